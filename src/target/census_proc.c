#include "target/census_proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int proc_read(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t n = read(fd, buf, size - 1);
	int saved = errno;

	close(fd);
	if (n < 0)
		return -saved;
	buf[n] = '\0';
	return (int)n;
}

int proc_numbers(const char *path, bool (*fn)(int number, void *arg), void *arg)
{
	DIR *dir = opendir(path);

	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	for (struct dirent *e; (e = readdir(dir));)
		if (isdigit((unsigned char)e->d_name[0]) && !fn(atoi(e->d_name), arg))
			break;
	closedir(dir);
	return 0;
}

int proc_fd_link(pid_t pid, int fd, char *buf, size_t size)
{
	char path[48];

	snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(path, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

uint32_t proc_socket_inode(pid_t pid, int fd)
{
	char link[64];

	if (proc_fd_link(pid, fd, link, sizeof link) < 0 || strncmp(link, "socket:[", 8))
		return 0;
	return (uint32_t)strtoul(link + 8, NULL, 10);
}

bool proc_fd_cloexec(pid_t pid, int fd)
{
	char name[32], text[512];

	snprintf(name, sizeof name, "fdinfo/%d", fd);
	if (proc_read(pid, name, text, sizeof text) < 0)
		return false;
	const char *flags = strstr(text, "flags:");

	return flags && strtoul(flags + 6, NULL, 8) & O_CLOEXEC;
}

char proc_stat_state(const char *text, const char **ret_at)
{
	const char *close = strrchr(text, ')');

	if (!close || close[1] != ' ' || !close[2])
		return 0;
	if (ret_at)
		*ret_at = close + 2;
	return close[2];
}

struct living {
	pid_t pid, found;
};

static bool is_living(int tid, void *arg)
{
	struct living *l = arg;
	char name[48], text[1024];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	if (tid == l->pid || proc_read(l->pid, name, text, sizeof text) <= 0)
		return true;
	char state = proc_stat_state(text, NULL);

	if (state && state != 'Z' && state != 'X')
		l->found = tid;
	return !l->found;
}

pid_t proc_view(pid_t pid)
{
	struct living l = { .pid = pid };
	char text[1024], path[40];

	if (proc_read(pid, "stat", text, sizeof text) <= 0 || proc_stat_state(text, NULL) != 'Z')
		return pid;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	proc_numbers(path, is_living, &l);
	return l.found ? l.found : pid;
}

void proc_printable(char *comm)
{
	for (; *comm; comm++)
		if ((unsigned char)*comm < 0x20 || *comm == 0x7f)
			*comm = '?';
}

void proc_comm(pid_t pid, char *buf, size_t size)
{
	int n = proc_read(pid, "comm", buf, size);

	if (n <= 0) {
		snprintf(buf, size, "?");
		return;
	}
	if (buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	proc_printable(buf);
}
