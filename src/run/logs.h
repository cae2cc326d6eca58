/* Inside the run layer: stdout and stderr of the target. */
#pragma once
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

struct run;

struct log_file {                       /* stdout or stderr of the target */
	char path[512];
	int fd;                         /* our reading end */
	int64_t at;                     /* scanned up to here */
	int64_t from;                   /* what was said before belongs to a round before */
	int64_t at_signal;              /* its size when the first signal was sent */
	int64_t at_dump;                /* what follows is the dump that we asked for */
	bool dumped;
};

int log_open(struct run *r, struct log_file *lf, const char *name);
int logs_watch(struct run *r);
void logs_begin_here(struct run *r);                            /* a round that goes on in the same files */
void target_files(struct run *r, bool close_them);
/* Can the target's output go on? False: the disk that it goes to is full. */
bool log_has_room(const struct log_file *lf);
void logs_dump_begins(struct run *r);                           /* all that follows is not the target's own word */
void logs_dump_read(struct run *r, const char *runtime);
const char *log_last_lines(struct run *r, struct log_file *lf, unsigned lines, uint64_t *ret_bytes);
bool log_next(struct run *r, char *line, size_t n, int *ret_stream);
bool log_scan(struct run *r, const regex_t *re, char *line, size_t n, int *ret_stream);
