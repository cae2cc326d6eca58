/* Names of signals, errnos and TCP states in both directions, and the nearest right word. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* "SIGTERM", "TERM", "term" or "15" -> 15; -1 if it is none. */
int signal_number(const char *name);
/* "SIGTERM"; real-time signals "SIGRTMIN+n"; "SIG99" for what has no name. Static or in a thread's ring. */
const char *signal_name(int signo);
/* Is its default action to do nothing (signal(7))? Then it is lost on whoever has no handler yet. */
bool signal_ignored_by_default(int signo);
/* "ECONNRESET"; "errno 999" for what has no name. */
const char *errno_name(int errnum);
/* "ESTABLISHED" ... as in RFC 9293; the numbers are the kernel's TCP_* (tcp_states.h). */
const char *tcp_state_name(int state);

/* The entry of words[0..n) closest to what was written, NULL if none is near enough to be meant. */
const char *nearest_word(const char *written, const char *const *words, size_t n);
