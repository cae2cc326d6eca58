/* Where a report goes: stdout, something that can only be written to in order (pipe, terminal, device), or a file that is
 * replaced as a whole, so that no reader ever sees half a report. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct sink {
	bool gone;              /* stdout's reader went away: what comes is dropped */
	bool whole;             /* a regular file: sink_replace(); else sink_append() */
	int fd;                 /* of an appended sink, -1 for a replaced one */
	char *path;             /* symbolic links resolved; "stdout"; owned */
};

/* file NULL or "-": stdout. Folders above it are created. On failure *ret can be used all the same: each write tries again. */
int sink_open(const char *file, struct sink *ret, struct err *reterr);
int sink_append(struct sink *sink, const char *p, size_t n, struct err *reterr);
int sink_replace(struct sink *sink, const char *p, size_t n, struct err *reterr);
void sink_close(struct sink *sink);

/* Append to path; at most so many bytes are in it afterwards: what would not fit is cut after a line. */
int sink_add_to_file(const char *path, const char *p, size_t n, size_t limit, struct err *reterr);
