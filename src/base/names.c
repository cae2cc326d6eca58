#include "base/names.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int signal_number(const char *name)
{
	if (isdigit((unsigned char)*name)) {
		char *end;
		long n = strtol(name, &end, 10);

		return *end || n < 1 || n > SIGRTMAX ? -1 : (int)n;
	}
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (int n = 1; n < SIGRTMIN; n++) {
		const char *abbrev = sigabbrev_np(n);

		if (abbrev && !strcasecmp(abbrev, name))
			return n;
	}
	if (!strcasecmp(name, "CLD"))
		return SIGCHLD;
	if (!strcasecmp(name, "IOT"))
		return SIGABRT;
	if (!strncasecmp(name, "RTMIN", 5)) {
		char *end;
		long n = name[5] == '+' ? strtol(name + 6, &end, 10) : (end = (char *)name + 5, 0);

		return *end || n < 0 || SIGRTMIN + n > SIGRTMAX ? -1 : SIGRTMIN + (int)n;
	}
	return -1;
}

bool signal_ignored_by_default(int signo)
{
	return signo == SIGCHLD || signo == SIGCONT || signo == SIGURG || signo == SIGWINCH;
}

const char *signal_name(int signo)
{
	static __thread char ring[4][24];
	static __thread unsigned at;
	const char *abbrev = signo > 0 && signo < SIGRTMIN ? sigabbrev_np(signo) : NULL;
	char *p = ring[at++ % 4];

	if (abbrev)
		snprintf(p, sizeof ring[0], "SIG%s", abbrev);
	else if (signo >= SIGRTMIN && signo <= SIGRTMAX)
		snprintf(p, sizeof ring[0], "SIGRTMIN+%d", signo - SIGRTMIN);
	else
		snprintf(p, sizeof ring[0], "SIG%d", signo);
	return p;
}

const char *errno_name(int errnum)
{
	static __thread char unknown[24];
	const char *name = strerrorname_np(errnum);

	if (name)
		return name;
	snprintf(unknown, sizeof unknown, "errno %d", errnum);
	return unknown;
}

const char *tcp_state_name(int state)
{
	static const char *const names[] = {
		[1] = "ESTABLISHED", [2] = "SYN-SENT", [3] = "SYN-RECEIVED", [4] = "FIN-WAIT-1",
		[5] = "FIN-WAIT-2", [6] = "TIME-WAIT", [7] = "CLOSED", [8] = "CLOSE-WAIT",
		[9] = "LAST-ACK", [10] = "LISTEN", [11] = "CLOSING", [12] = "NEW-SYN-RECEIVED",
	};

	if (state <= 0 || state >= (int)(sizeof names / sizeof *names) || !names[state])
		return "no socket";
	return names[state];
}

/* Optimal string alignment distance (insert, delete, substitute, swap of neighbours). */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned char row[3][66];

	if (la > 64 || lb > 64)
		return 99;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = (unsigned char)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned char *cur = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];

		cur[0] = (unsigned char)i;
		for (size_t j = 1; j <= lb; j++) {
			int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			size_t best = up[j - 1] + !same;

			if (up[j] + 1u < best)
				best = up[j] + 1u;
			if (cur[j - 1] + 1u < best)
				best = cur[j - 1] + 1u;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    up2[j - 2] + 1u < best)
				best = up2[j - 2] + 1u;
			cur[j] = (unsigned char)best;
		}
	}
	return row[la % 3][lb];
}

const char *nearest_word(const char *written, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t best_distance = strlen(written) / 3 + 2;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(written, words[i]);

		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	return best;
}
