/* Names of system calls by number, for the machine that we run on. */
#pragma once

/* "epoll_wait", or NULL for a number that we have no name for (or a machine that we have no table of). */
const char *syscall_name(long nr);
