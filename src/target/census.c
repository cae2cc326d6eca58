#include "target/census.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/census_proc.h"

enum { PF_EXITING_BIT = 0x4 };

/* comm may hold ')', spaces and newlines, but nothing behind it does. */
static int parse_stat(const char *text, struct proc *p)
{
	/* of what follows the state: proc_pid_stat(5), fields 4 to 22 */
	enum { PPID, PGRP, SESSION, FLAGS = 5, THREADS = 16, START = 18, FIELDS };
	const char *open = strchr(text, '('), *at;
	uint64_t v[FIELDS];

	if (!open || !proc_stat_state(text, &at) || at - 2 < open)
		return -EPROTO;
	size_t n = (size_t)(at - 2 - open - 1);

	if (n >= sizeof p->comm)
		n = sizeof p->comm - 1;
	memcpy(p->comm, open + 1, n);
	p->comm[n] = '\0';
	p->state = *at++;
	for (int i = 0; i < FIELDS; i++) {
		char *end;

		v[i] = strtoull(at, &end, 10);
		if (end == at)
			return -EPROTO;
		at = end;
	}
	p->ppid = (pid_t)v[PPID];
	p->pgid = (pid_t)v[PGRP];
	p->sid = (pid_t)v[SESSION];
	p->exiting = v[FLAGS] & PF_EXITING_BIT;
	p->threads = (uint32_t)v[THREADS];
	p->starttime = v[START];
	return 0;
}

static void parse_status(const char *text, struct proc *p)
{
	/* in the order of the file, so that one walk finds all of them */
	static const char *const keys[] = { "\nNSpid:", "\nVmRSS:", "\nSigPnd:", "\nShdPnd:", "\nSigBlk:",
					    "\nSigIgn:", "\nSigCgt:" };
	uint64_t v[sizeof keys / sizeof *keys] = {0};
	const char *at = text;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *hit = strstr(at, keys[i]);

		if (!hit)
			continue;
		at = hit + strlen(keys[i]);
		if (i == 0)
			for (char *end; *at == '\t' || *at == ' '; at = end)
				v[0] = strtoull(at, &end, 10);
		else
			v[i] = strtoull(at, NULL, i == 1 ? 10 : 16);
	}
	p->pid1 = v[0] == 1;
	p->rss_kib = v[1];
	p->sigpnd = v[2] | v[3];
	p->sigblk = v[4];
	p->sigign = v[5];
	p->sigcgt = v[6];
}

/* Linux 6.2 and later say the number of open fds in st_size; 0 means that it has to be counted. */
static uint32_t count_fds(pid_t pid)
{
	char path[40];
	struct stat st;
	uint32_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	if (!stat(path, &st) && st.st_size > 0 && !access(path, R_OK))
		return (uint32_t)st.st_size;
	DIR *dir = opendir(path);

	if (!dir)
		return UINT32_MAX;
	errno = 0;
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	if (errno)
		n = UINT32_MAX;
	closedir(dir);
	return n;
}

/* The main thread ended and others live: that is no zombie, and what it has is under another thread's id. */
static pid_t look_past_leader(pid_t pid, struct proc *p)
{
	pid_t view = proc_view(pid);
	char text[1024];

	if (view == pid || proc_read(view, "stat", text, sizeof text) <= 0)
		return pid;
	char state = proc_stat_state(text, NULL);

	if (!state || state == 'Z' || state == 'X')
		return pid;
	p->state = state;
	p->exiting = false;
	return view;
}

int census_one(pid_t pid, bool with_fds, struct proc *ret)
{
	char text[4096];

	*ret = (struct proc){ .pid = pid, .fds = UINT32_MAX };
	int r = proc_read(pid, "stat", text, sizeof text);

	if (r < 0)
		return r;
	r = parse_stat(text, ret);
	if (r < 0)
		return r;
	pid_t view = ret->state == 'Z' && ret->threads > 1 ? look_past_leader(pid, ret) : pid;

	r = proc_read(view, "status", text, sizeof text);
	if (r < 0)
		return r;
	parse_status(text, ret);
	if (with_fds)   /* a zombie has none, and its table may be unreadable for us */
		ret->fds = ret->state == 'Z' || ret->state == 'X' ? 0 : count_fds(view);
	return 0;
}

void census_json(const struct proc *p, struct buf *out)
{
	buf_adds(out, "{\"comm\":");
	buf_json(out, p->comm);
	buf_printf(out, ",\"state\":\"%c\",\"pgid\":%d,\"sid\":%d,\"threads\":%u,\"fds\":", p->state, p->pgid,
		   p->sid, p->threads);
	if (p->fds == UINT32_MAX)
		buf_adds(out, "null");
	else
		buf_printf(out, "%u", p->fds);
	/* masks as text: all 64 bits do not fit a JSON integer */
	buf_printf(out, ",\"sigcgt\":\"%016llx\",\"sigblk\":\"%016llx\",\"sigign\":\"%016llx\",\"sigpnd\":\"%016llx\"",
		   (unsigned long long)p->sigcgt, (unsigned long long)p->sigblk,
		   (unsigned long long)p->sigign, (unsigned long long)p->sigpnd);
	buf_printf(out, ",\"rss_kib\":%llu,\"start\":%llu,\"pid1\":%s,\"exiting\":%s}",
		   (unsigned long long)p->rss_kib, (unsigned long long)p->starttime,
		   p->pid1 ? "true" : "false", p->exiting ? "true" : "false");
}
