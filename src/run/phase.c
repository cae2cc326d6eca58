/* Bring every client into its phase and prove that it is there: by the kernel's view of the server's end of the
 * connection (sock_diag), by the gate, or by what the server said. Never by time. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"

#define MAX_UNPROVEN 64         /* opened ahead of proof: fewer than the smallest usual backlog (128) */
#define MAX_FAILED_LOOKS 8
#define PROVE_EVERY (50 * NSEC_PER_USEC)

static void unpend(struct run *r, struct conn *c)
{
	for (struct conn **p = &r->pending, *last = NULL; *p; last = *p, p = &(*p)->next_pending)
		if (*p == c) {
			*p = c->next_pending;
			if (r->pending_last == c)
				r->pending_last = last;
			c->next_pending = NULL;
			r->n_pending--;
			return;
		}
}

void phase_proven(struct run *r, struct conn *c, uint32_t inode, const char *how)
{
	enum phase phase = c->client->spec->phase;

	if (c->answered < c->asked && conn_request(c, c->answered)->waits)
		events_add(r->ev, EV_WAITS, c->index, c->answered, 0, conn_request(c, c->answered)->line);
	events_add(r->ev, EV_PROVEN, c->index, phase, inode, how);
	c->state = CONN_PROVEN;
	r->t_progress = clock_now();
	unpend(r, c);
	if (phase == PHASE_WAITING || phase == PHASE_STREAMING || phase == PHASE_HALF_CLOSED ||
	    phase == PHASE_PIPELINED || phase == PHASE_SLOW_READER) {
		c->owed = true;
		r->owed++;
	}
}

void phase_unreachable(struct run *r, struct conn *c, const char *why)
{
	enum phase phase = c->client->spec->phase;

	/* a late client and a burst have nothing to prove */
	if (c->unproven || c->state >= CONN_PROVEN || phase == PHASE_LATE || phase == PHASE_LOOP ||
	    c->client == &r->warmup || c->client->is_control)
		return;
	c->unproven = true;
	events_add(r->ev, EV_UNPROVEN, c->index, c->client->spec->phase, 0, why);
	unpend(r, c);
	if (c->state != CONN_OVER)
		c->state = CONN_FREE;
}

/* The answer to the last request that was handed over, or withheld in part, has begun. */
static bool last_begun(const struct conn *c)
{
	return (c->answered && c->answered >= c->asked) || (c->answering && c->head_seen && c->answered + 1 == c->asked);
}

/* The last answer is on its way: the others of the pipeline are there. */
static void streaming_progress(struct run *r, struct conn *c)
{
	struct diag_row row = {0};

	if (c->answered && c->answered >= c->asked) {
		phase_unreachable(r, c, "the whole answer came at once");
	} else if (c->answering && c->answered + 1 == c->asked && c->an.state == ANSWER_BODY && c->an.body > 0) {
		diag_of(r, c, &row);
		phase_proven(r, c, row.inode, "the head and part of the body arrived");
	}
}

/* On a WebSocket no answer belongs to a message. It is slow in its handshake, or in its handler: at the gate, or with a message read. */
static void waiting_upgraded(struct run *r, struct conn *c)
{
	char why[192];

	if (c->answered) {
		snprintf(why, sizeof why, "the answer (%d%s%.60s) came before the signal: this WebSocket is not slow", c->an.status,
			 c->an.note ? ", " : "", c->an.note ? c->an.note : "");
		phase_unreachable(r, c, why);
	} else if (c->continued && !c->client->gated && !strchr(c->client->rq.line, '\n') && !c->client->rq.body) {
		phase_unreachable(r, c, "it was opened at once (101), and no message follows that a handler would be slow with");
	}
}

static void upgraded_ends(struct run *r, struct conn *c)
{
	char why[128];

	if (!c->answered)
		return;
	snprintf(why, sizeof why, "no open WebSocket: %d%s%.60s", c->an.status, c->an.note ? ", " : "", c->an.note ? c->an.note : "");
	phase_unreachable(r, c, why);
}

/* What the server's input alone decides. Called after every read. */
void phase_progress(struct run *r, struct conn *c)
{
	bool pair = c->client->n_rqs == 1 && c->asked == 2;     /* pipelined: the first is the one that waits */
	char why[128];

	if (c->state == CONN_PROVEN || c->state == CONN_FREE || c->state == CONN_OVER || c->unproven)
		return;
	switch (c->client->spec->phase) {
	case PHASE_STREAMING:
		streaming_progress(r, c);
		break;
	case PHASE_WAITING:
	case PHASE_HALF_CLOSED:
	case PHASE_PIPELINED:
		if (c->client->proto->upgrades)
			waiting_upgraded(r, c);
		else if (last_begun(c) || (pair && (c->answered || c->head_seen))) {
			snprintf(why, sizeof why, "the answer (%d) came before the signal: this request is not slow",
				 c->an.status);
			phase_unreachable(r, c, why);
		}
		break;
	case PHASE_HALF_HEADER:
	case PHASE_HALF_BODY:
	case PHASE_TRANSACTION:
		if (last_begun(c) && !(c->an.status == 101 && c->answering)) {
			snprintf(why, sizeof why, c->client->proto->upgrades ? "no open WebSocket: %d" :
				 "the server answered %d to half of the request", c->an.status);
			phase_unreachable(r, c, why);
		} else if (c->an.status >= 400) {
			snprintf(why, sizeof why, "request %u of %u was refused: %.60s", c->answered, c->asked,
				 c->an.note ? c->an.note : "");
			phase_unreachable(r, c, why);
		}
		break;
	case PHASE_UPGRADED:
		upgraded_ends(r, c);
		break;
	case PHASE_IDLE:
		if (c->answered && c->an.close)
			phase_unreachable(r, c, "the server closes after every answer (no keep-alive)");
		break;
	case PHASE_SLOW_READER:
		if (c->client->proto->upgrades && c->answered)
			phase_unreachable(r, c, "the whole answer came at once: it is not big");
		else if (c->car && c->answered)
			phase_unreachable(r, c, "the whole answer came at once: it is smaller than the flow-control window");
		break;
	case PHASE_CONNECTED:
	case PHASE_BACKLOG:
	case PHASE_PING_ONLY:
	case PHASE_GOAWAY_RACE:
	case PHASE_LATE:
	case PHASE_LOOP:
	case PHASE_TLS_HANDSHAKE:
	case PHASE_N:
		break;
	}
}

static void pend(struct run *r, struct conn *c)
{
	if (c->state == CONN_PROVEN || c->state == CONN_OVER || c->unproven)
		return;
	if (r->pending)
		r->pending_last->next_pending = c;
	else
		r->pending = c;
	r->pending_last = c;
	r->n_pending++;
}

static void prove_pending(struct run *r)
{
	nsec_t now = clock_now();
	unsigned failed = 0;
	bool at_gate = true;

	r->look = r->t_prove;
	if (now < r->t_prove)
		return;
	/* servers take connections in order: when the oldest few are not there yet, the rest is not worth a look each */
	for (struct conn *c = r->pending, *next; c && failed < MAX_FAILED_LOOKS; c = next) {
		next = c->next_pending;
		if (phase_try_prove(r, c))
			continue;
		failed++;
		at_gate &= phase_awaits_gate(c);
	}
	/* the next look starts behind those that hold the others up */
	for (; failed == MAX_FAILED_LOOKS && failed < r->n_pending && failed; failed--) {
		struct conn *c = r->pending;

		unpend(r, c);
		pend(r, c);
	}
	/* its request at the gate is an event: who waits for nothing else need not be looked at meanwhile */
	r->look = r->t_prove = clock_now() + (at_gate ? NSEC_PER_MSEC : PROVE_EVERY);
}

static bool few_pending(struct run *r)
{
	prove_pending(r);
	return r->n_pending < MAX_UNPROVEN || !r->alive;
}

static bool none_pending(struct run *r)
{
	prove_pending(r);
	return !r->n_pending || !r->alive;
}

/* What was seen of a connection that never got into its phase. */
static void say_unproven(struct run *r, struct conn *c)
{
	struct diag_row row = {0};
	int found = diag_of(r, c, &row);
	char why[256];

	if (!c->connected)
		snprintf(why, sizeof why, "no answer to the SYN");
	else if (c->car && !mux_heard(c) && c->client->spec->phase != PHASE_CONNECTED)
		snprintf(why, sizeof why, "no SETTINGS of the server came: it does not speak HTTP/2 here");
	else if (c->car && c->number > mux_max_streams(c) && c->asking)
		snprintf(why, sizeof why, "the server takes %u streams at once on a connection, this is the %uth",
			 mux_max_streams(c), c->number);
	else if (conn_shaking(c))
		snprintf(why, sizeof why, "no TLS handshake came about: does it speak TLS on this port?");
	else if (c->client->gated && !c->gate_hit && found > 0 && row.inode && !row.rqueue)
		snprintf(why, sizeof why, "the request was read, but it never reached the gate ($DRAINSPEC_GATE)");
	else if (c->hearing)
		snprintf(why, sizeof why, "nothing was asked: the server speaks first, and has not greeted this client");
	else if (found > 0)
		snprintf(why, sizeof why, "server's end: %s, %s, %u bytes unread, %u unsent; %u answers so far",
			 tcp_state_name(row.state), row.inode ? "accepted" : "not accepted", row.rqueue, row.wqueue,
			 c->answered);
	else
		snprintf(why, sizeof why, "the kernel shows no server end of this connection");
	phase_unreachable(r, c, why);
}

static int open_group(struct run *r, struct client *cl)
{
	for (uint32_t i = 0; i < cl->spec->count; i++) {
		if (r->n_pending >= MAX_UNPROVEN && !pump_progress(r, few_pending))
			break;
		if (!r->alive || r->world->interrupted)
			break;
		struct conn *c = conn_open(r, cl);

		if (!c)
			return -1;
		pend(r, c);
		phase_try_prove(r, c);
	}
	return 0;
}

static bool opens_before_signal(const struct client_spec *s)
{
	return s->phase != PHASE_LATE;
}

/* Ordinary phases first, then the loops, then those that must find the accept queue unattended. */
static int arm_pass(struct run *r, int pass)
{
	for (unsigned i = 0; i < r->n_clients; i++) {
		struct client *cl = &r->clients[i];
		int own = cl->spec->phase == PHASE_LOOP ? 1 : cl->spec->phase == PHASE_BACKLOG ? 2 : 0;

		if (own != pass || !opens_before_signal(cl->spec))
			continue;
		if (pass == 1) {
			client_start(r, cl);
			continue;
		}
		if (pass == 2 && cl->spec->stop_target && !r->stopped)
			target_stop_continue(r, true);
		if (open_group(r, cl) < 0)
			return -1;
	}
	return 0;
}

static bool loops_answered(struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].spec->phase == PHASE_LOOP && !r->clients[i].answers)
			return !r->alive;
	return true;
}

int clients_arm(struct run *r)
{
	uint32_t proven = 0, unproven = 0;

	r->t_prove = 0;
	for (int pass = 0; pass < 3; pass++) {
		if (arm_pass(r, pass) < 0)
			return -1;
		if (!pump_progress(r, none_pending) && !r->world->interrupted)
			events_add(r->ev, EV_DEADLINE, -1, r->sc->arm_within, 0, "clients to be in their phases");
		while (r->pending)
			say_unproven(r, r->pending);
		if (pass == 1)
			pump_progress(r, loops_answered);
	}
	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		proven += r->conns[i]->state == CONN_PROVEN;
		unproven += r->conns[i]->unproven;
	}
	events_add(r->ev, EV_ARMED, -1, proven, unproven, NULL);
	actions_event(r, ON_ARMED, clock_now());
	return 0;
}

/* A late group opens at its step; a loop keeps `count` connections busy. */
void client_start(struct run *r, struct client *cl)
{
	cl->started = true;
	for (uint32_t i = 0; i < cl->spec->count; i++)
		if (!conn_open(r, cl))
			return;
}

static bool warm_done(struct run *r)
{
	struct conn *c = r->conns[r->n_conns - 1];

	return conn_heard(r, c) || c->bad || c->state == CONN_OVER || !r->alive;
}

static bool was_read(struct run *r, struct conn *c)
{
	struct diag_row row = {0};

	return diag_of(r, c, &row) > 0 && row.inode && !row.rqueue;
}

void first_answer(struct run *r, struct conn *c, const char *what)
{
	bool done = pump_progress(r, warm_done);

	/* who has read it is at work: a first request may compile, or connect to a database */
	if (!done && was_read(r, c))
		done = pump(r, warm_done, clock_now() + (WARM_AT_MOST - 1) * r->sc->arm_within);
	if (!done && !r->world->interrupted)
		events_add(r->ev, EV_DEADLINE, c->index, r->sc->arm_within, 0, what);
}

/* One quick request before anything else: "from the first answered request" on, the server owes a clean stop. */
int warm_up(struct run *r)
{
	if (!r->warmup.proto || !r->warmup.n_rqs)
		return 0;
	struct conn *c = conn_open(r, &r->warmup);

	if (!c)
		return -1;
	if (c->state == CONN_PARKED)
		c->state = CONN_FREE;
	first_answer(r, c, "the answer to the first request");
	conn_close(r, c, "warm-up is over");
	return 0;
}

