/* What the kernel shows while the target drains: LISTEN rows, readiness, counters of the namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"

void listen_rows(struct run *r, const char *when)
{
	struct diag_row row;

	for (unsigned i = 0; i < r->n_ports; i++)
		if (diag_listener(r->world->diag, (struct sockaddr *)&r->ports[i].addr, &row) > 0)
			events_add(r->ev, EV_LISTEN_ROW, (int32_t)i, row.rqueue, row.wqueue, when);
}

static void readiness_answer(struct run *r, void *arg, int status, const char *body)
{
	(void)arg;
	(void)body;
	events_add(r->ev, EV_READINESS, -1, status, 0, NULL);
}

/* The first look falls behind the signal at once, later ones get rarer: a listener that stays open for seconds
 * need not be timed to 100 us. */
static nsec_t watch_period(nsec_t since)
{
	return since < 100 * NSEC_PER_MSEC ? 100 * NSEC_PER_USEC :
	       since < 2 * NSEC_PER_SEC ? NSEC_PER_MSEC : 5 * NSEC_PER_MSEC;
}

void watch_listeners(struct run *r)
{
	nsec_t now = clock_now();
	struct diag_row row;
	bool all_closed = true;

	if (now < r->t_watch)
		return;
	for (unsigned i = 0; i < r->n_ports; i++) {
		struct port *p = &r->ports[i];
		int found = diag_listener(r->world->diag, (struct sockaddr *)&p->addr, &row);

		now = clock_now();
		if (found > 0 && p->closed && !p->back) {
			p->back = true;
			events_add(r->ev, EV_LISTENER_BACK, (int32_t)i, p->number, row.inode, NULL);
		} else if (found > 0) {
			p->t_last_open = now;
		} else if (found == 0 && (!p->closed || p->back)) {
			if (!p->closed || p->back)
				events_add(r->ev, EV_LISTENER_CLOSED, (int32_t)i, p->number, p->t_last_open,
					   p->back ? "again" : NULL);
			p->closed = true;
			p->back = false;
		}
		all_closed &= p->closed;
	}
	if (all_closed && r->n_ports)
		actions_event(r, ON_LISTENER_CLOSED, now);
	if (r->sc->expect.readiness && r->n_ports && !r->ports[0].closed && !r->ask_outstanding && now >= r->t_probe) {
		r->t_probe = now + NSEC_PER_MSEC;
		ask(r, 0, r->sc->expect.readiness, NSEC_PER_SEC, readiness_answer, NULL);
	}
	r->t_watch = clock_now() + (r->t_on[ON_LISTENER_CLOSED] ? 2 * NSEC_PER_MSEC : watch_period(now - r->t_signal));
}

/* Those that say something of a shutdown. Per network namespace, so in our own they are the target's and ours alone. */
static const char *const counters[] = {
	"TcpExt.ListenDrops", "TcpExt.ListenOverflows", "TcpExt.TCPAbortOnData", "TcpExt.TCPAbortOnClose",
	"TcpExt.TCPAbortOnLinger", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPBacklogDrop",
	"TcpExt.TCPTimeouts", "TcpExt.TCPRetransFail", "Tcp.OutRsts", "Tcp.EstabResets", "Tcp.AttemptFails",
};
#define N_COUNTERS (sizeof counters / sizeof *counters)

static size_t word_at(const char *line, size_t k, char *out, size_t n)
{
	while (k-- && *line) {
		line += strcspn(line, " \n");
		line += *line == ' ';
	}
	size_t len = strcspn(line, " \n");

	snprintf(out, n, "%.*s", (int)len, line);
	return len;
}

/* Both files are pairs of lines: "Prefix: Name Name ..." and "Prefix: value value ...". */
static void read_counters(int fd, uint64_t *out)
{
	static char text[32 * 1024];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	char want[64], word[64];

	if (n <= 0)
		return;
	text[n] = '\0';
	for (size_t i = 0; i < N_COUNTERS; i++) {
		size_t prefix = strcspn(counters[i], ".");

		snprintf(want, sizeof want, "%.*s:", (int)prefix, counters[i]);
		char *names = text;

		if (strncmp(text, want, prefix + 1)) {
			names = strstr(text, want);
			while (names && names[-1] != '\n')
				names = strstr(names + 1, want);
		}
		char *values = names ? strchr(names, '\n') : NULL;

		for (size_t k = 1; values && word_at(names, k, word, sizeof word); k++)
			if (!strcmp(word, counters[i] + prefix + 1)) {
				word_at(values + 1, k, word, sizeof word);
				out[i] = strtoull(word, NULL, 10);
				break;
			}
	}
}

void watch_counters(struct run *r, bool end)
{
	uint64_t now[64] = {0};

	for (int i = 0; i < 2; i++) {
		int fd = open(i ? "/proc/self/net/snmp" : "/proc/self/net/netstat", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		read_counters(fd, now);
		close(fd);
	}
	for (size_t i = 0; end && i < N_COUNTERS; i++)
		if (now[i] != r->counters0[i])
			events_add(r->ev, EV_COUNTER, -1, (int64_t)(now[i] - r->counters0[i]), 0, counters[i]);
	memcpy(r->counters0, now, sizeof now);
}
