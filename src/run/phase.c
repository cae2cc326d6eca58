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

#define TIMER_PERSIST 4         /* net/ipv4/inet_diag.c: icsk_pending == ICSK_TIME_PROBE0 */
#define MAX_UNPROVEN 64         /* opened ahead of proof: fewer than the smallest usual backlog (128) */
#define MAX_FAILED_LOOKS 8
#define PROVE_EVERY (50 * NSEC_PER_USEC)

int diag_of(struct run *r, const struct conn *c, struct diag_row *row)
{
	const struct port *port = &r->ports[c->client->port];
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->src_port), .sin_addr.s_addr = c->src_ip};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->src_port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (c->w.fd < 0 || !c->src_port)
		return -ENOENT;
	return diag_conn(r->world->diag, (const struct sockaddr *)&port->addr,
			 port->v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, row);
}

static bool all_acked(const struct conn *c)
{
	int unacked = 0;

	return ioctl(c->w.fd, SIOCOUTQ, &unacked) == 0 && unacked == 0;
}

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

	events_add(r->ev, EV_PROVEN, c->index, phase, inode, how);
	c->state = CONN_PROVEN;
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
	    c->client == &r->warmup)
		return;
	c->unproven = true;
	events_add(r->ev, EV_UNPROVEN, c->index, c->client->spec->phase, 0, why);
	unpend(r, c);
	if (c->state != CONN_OVER)
		c->state = CONN_FREE;
}

/* What the server's input alone decides. Called after every read. */
void phase_progress(struct run *r, struct conn *c)
{
	char why[128];

	if (c->state == CONN_PROVEN || c->state == CONN_FREE || c->state == CONN_OVER || c->unproven)
		return;
	switch (c->client->spec->phase) {
	case PHASE_STREAMING:
		if (c->answering && c->an.state == ANSWER_BODY && c->an.body > 0) {
			struct diag_row row = {0};

			diag_of(r, c, &row);
			phase_proven(r, c, row.inode, "the head and part of the body arrived");
		} else if (c->answered) {
			phase_unreachable(r, c, "the whole answer came at once");
		}
		break;
	case PHASE_WAITING:
	case PHASE_HALF_CLOSED:
	case PHASE_PIPELINED:
		if (c->read_any && (c->answered || c->head_seen)) {
			snprintf(why, sizeof why, "the answer (%d) came before the signal: this request is not slow",
				 c->an.status);
			phase_unreachable(r, c, why);
		}
		break;
	case PHASE_HALF_HEADER:
	case PHASE_HALF_BODY:
		if (c->head_seen || c->answered) {
			snprintf(why, sizeof why, "the server answered %d to half of the request", c->an.status);
			phase_unreachable(r, c, why);
		}
		break;
	case PHASE_IDLE:
		if (c->answered && c->an.close)
			phase_unreachable(r, c, "the server closes after every answer (no keep-alive)");
		break;
	case PHASE_CONNECTED:
	case PHASE_BACKLOG:
	case PHASE_SLOW_READER:
	case PHASE_LATE:
	case PHASE_LOOP:
	case PHASE_TLS_HANDSHAKE:
	case PHASE_UPGRADED:
	case PHASE_N:
		break;
	}
}

/* Every thread of the target asleep with a connection in the accept queue: nobody is on the way to accept it. */
static bool target_asleep(struct run *r)
{
	struct proc v[64];
	unsigned n = target_tree(r, v, 64, false);

	for (unsigned i = 0; i < n && i < 64; i++) {
		if (v[i].state != 'S' && v[i].state != 'D' && v[i].state != 'T' && v[i].state != 'Z')
			return false;
		if (v[i].threads < 2)
			continue;
		/* a sleeping leader says nothing of its threads */
		if (target_thread_runs(v[i].pid))
			return false;
	}
	return n > 0;
}

static bool prove_backlog(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (row->inode) {
		phase_unreachable(r, c, "the server accepted it at once: its workers are not all busy");
		return false;
	}
	if (row->state != TCP_ESTABLISHED || !all_acked(c))
		return false;
	if (!r->stopped) {
		/* three looks in a row, a scheduling tick apart */
		nsec_t now = clock_now();

		if (!target_asleep(r)) {
			r->t_all_asleep = 0;
			return false;
		}
		if (!r->t_all_asleep)
			r->t_all_asleep = now;
		if (now - r->t_all_asleep < 12 * NSEC_PER_MSEC)
			return false;
	}
	phase_proven(r, c, 0, r->stopped ? "handshake complete, target stopped, not accepted (inode 0)" :
		     "handshake complete, not accepted (inode 0), every thread of the target asleep");
	return true;
}

static bool prove_read(struct run *r, struct conn *c, const struct diag_row *row, uint32_t unread_allowed,
		       const char *how)
{
	if (!row->inode || row->rqueue > unread_allowed || !all_acked(c))
		return false;
	phase_proven(r, c, row->inode, how);
	return true;
}

static bool prove_connected(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (row->inode) {
		phase_proven(r, c, row->inode, "accepted (the server's socket has an inode)");
		return true;
	}
	if (row->state == TCP_SYN_RECV || row->state == 12) {
		phase_proven(r, c, 0, "held back by the kernel (TCP_DEFER_ACCEPT): established here, SYN-RECEIVED there");
		return true;
	}
	return false;
}

static bool prove_slow_reader(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (!row->inode || !row->wqueue || row->timer != TIMER_PERSIST)
		return false;
	phase_proven(r, c, row->inode, "zero window: the server's send queue is full and its persist timer runs");
	return true;
}

/* One look at a connection that has sent what its phase sends. */
bool phase_try_prove(struct run *r, struct conn *c)
{
	struct diag_row row = {0};
	const struct client_spec *spec = c->client->spec;

	if (c->state != CONN_PARKED || c->unproven)
		return false;
	if (c->client->gated && !c->gate_hit &&
	    (spec->phase == PHASE_WAITING || spec->phase == PHASE_PIPELINED || spec->phase == PHASE_HALF_CLOSED))
		return false;           /* the gate says it, nothing else does */
	if (spec->phase == PHASE_IDLE && !c->answered)
		return false;
	if (spec->phase == PHASE_HALF_BODY && spec->expect_continue && !c->continued)
		return false;
	if (diag_of(r, c, &row) <= 0)
		return false;
	switch (spec->phase) {
	case PHASE_CONNECTED:
		return prove_connected(r, c, &row);
	case PHASE_BACKLOG:
		return prove_backlog(r, c, &row);
	case PHASE_HALF_HEADER:
		return prove_read(r, c, &row, 0, "accepted, half of the head was read");
	case PHASE_HALF_BODY:
		return prove_read(r, c, &row, 0, c->continued ? "100 Continue, and what was sent was read" :
				  "accepted, half of the body was read");
	case PHASE_WAITING:
		return prove_read(r, c, &row, 0, c->gate_hit ? "it reached the gate" :
				  "accepted, and the request was read (receive queue empty)");
	case PHASE_IDLE:
		return prove_read(r, c, &row, 0, "answered, open, nothing unread");
	case PHASE_PIPELINED:
		return prove_read(r, c, &row, c->unsent_n - 1, c->gate_hit ? "the first request reached the gate" :
				  "the first request was read");
	case PHASE_HALF_CLOSED:
		if (row.state != TCP_CLOSE_WAIT)
			return false;
		/* in CLOSE-WAIT the FIN counts one in the receive queue until the server reads EOF */
		return prove_read(r, c, &row, 1, c->gate_hit ? "it reached the gate, our FIN is there (CLOSE-WAIT)" :
				  "the request was read, our FIN is there (CLOSE-WAIT)");
	case PHASE_SLOW_READER:
		return prove_slow_reader(r, c, &row);
	case PHASE_STREAMING:
	case PHASE_LATE:
	case PHASE_LOOP:
	case PHASE_TLS_HANDSHAKE:
	case PHASE_UPGRADED:
	case PHASE_N:
		break;
	}
	return false;
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

	r->look = r->t_prove;
	if (now < r->t_prove)
		return;
	/* servers take connections in order: when the oldest few are not there yet, the rest is not worth a look each */
	for (struct conn *c = r->pending, *next; c && failed < MAX_FAILED_LOOKS; c = next) {
		next = c->next_pending;
		failed += !phase_try_prove(r, c);
	}
	/* the next look starts behind those that hold the others up */
	for (; failed == MAX_FAILED_LOOKS && failed < r->n_pending && failed; failed--) {
		struct conn *c = r->pending;

		unpend(r, c);
		pend(r, c);
	}
	r->look = r->t_prove = clock_now() + PROVE_EVERY;
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
	else if (c->client->gated && !c->gate_hit && found > 0 && row.inode && !row.rqueue)
		snprintf(why, sizeof why, "the request was read, but it never reached the gate ($DRAINSPEC_GATE)");
	else if (found > 0)
		snprintf(why, sizeof why, "server's end: %s, %s, %u bytes unread, %u unsent; %u answers so far",
			 tcp_state_name(row.state), row.inode ? "accepted" : "not accepted", row.rqueue, row.wqueue,
			 c->answered);
	else
		snprintf(why, sizeof why, "the kernel shows no server end of this connection");
	phase_unreachable(r, c, why);
}

static int open_group(struct run *r, struct client *cl, nsec_t deadline)
{
	for (uint32_t i = 0; i < cl->spec->count; i++) {
		if (r->n_pending >= MAX_UNPROVEN && !pump(r, few_pending, deadline))
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
static int arm_pass(struct run *r, int pass, nsec_t deadline)
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
		if (open_group(r, cl, deadline) < 0)
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
	nsec_t deadline = clock_now() + r->sc->arm_within;
	uint32_t proven = 0, unproven = 0;

	r->t_prove = 0;
	for (int pass = 0; pass < 3; pass++) {
		if (arm_pass(r, pass, deadline) < 0)
			return -1;
		if (!pump(r, none_pending, deadline) && !r->world->interrupted)
			events_add(r->ev, EV_DEADLINE, -1, r->sc->arm_within, 0, "clients to be in their phases");
		while (r->pending)
			say_unproven(r, r->pending);
		if (pass == 1)
			pump(r, loops_answered, deadline);
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

	return c->answered || c->state == CONN_OVER || !r->alive;
}

/* One quick request before anything else: "from the first answered request" on, the server owes a clean stop. */
int warm_up(struct run *r)
{
	if (!r->warmup.proto || !r->warmup.rq.line)
		return 0;
	struct conn *c = conn_open(r, &r->warmup);

	if (!c)
		return -1;
	if (c->state == CONN_PARKED)
		c->state = CONN_FREE;
	if (!pump(r, warm_done, clock_now() + r->sc->arm_within) && !r->world->interrupted)
		events_add(r->ev, EV_DEADLINE, c->index, r->sc->arm_within, 0, "the answer to the first request");
	conn_close(r, c, "warm-up is over");
	return 0;
}

static bool batch_done(struct run *r)
{
	for (uint32_t i = r->leak_from; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];

		if (c->state != CONN_OVER && c->answered)
			conn_close(r, c, "one request each");
		if (c->state != CONN_OVER)
			return !r->alive;
	}
	return true;
}

static bool count_row(const struct diag_row *row, void *arg)
{
	(void)row;
	++*(uint32_t *)arg;
	return true;
}

static bool server_ends_gone(struct run *r)
{
	nsec_t now = clock_now();
	uint32_t open = 0;

	r->look = r->t_prove;
	if (now < r->t_prove)
		return false;
	r->look = r->t_prove = now + PROVE_EVERY * 4;
	diag_dump(r->world->diag, (1u << TCP_ESTABLISHED) | (1u << TCP_CLOSE_WAIT) | (1u << TCP_LAST_ACK),
		  r->ports[0].number, count_row, &open);
	return open == 0 || !r->alive;
}

/* RES-3, RES-4: connections of one request each in batches; after each, when the kernel shows no server end any more, a census. */
int leak_batches(struct run *r)
{
	for (uint32_t b = 0; b < r->sc->leak_batches; b++) {
		r->leak_from = r->n_conns;
		for (uint32_t i = 0; i < r->sc->leak_batch_size; i++) {
			struct conn *c = conn_open(r, &r->warmup);

			if (!c)
				return -1;
			if (c->state == CONN_PARKED)
				c->state = CONN_FREE;
		}
		pump(r, batch_done, clock_now() + r->sc->arm_within);
		pump(r, server_ends_gone, clock_now() + 2 * NSEC_PER_SEC);
		target_settle(r);
		target_census(r, "batch", true);
	}
	return 0;
}

static void loop_turn(struct run *r, struct conn *c)
{
	struct client *cl = c->client;
	uint32_t most = cl->spec->requests ? cl->spec->requests : 20000;
	/* refused ends a burst; a visitor that comes again and again (`every`) counts its refusals */
	bool over = (r->t_signal && clock_now() > r->t_signal + cl->spec->lasts) ||
		    (!c->connected && !cl->spec->every) || cl->opened + c->asked >= most;

	if (c->looped)
		return;
	if (!over && c->state != CONN_OVER && cl->spec->reuse && !c->an.close) {
		conn_ask(r, c);
		return;
	}
	c->looped = true;
	if (c->state != CONN_OVER)
		conn_close(r, c, over ? "the burst is over" : "one request each");
	if (!over)
		conn_open(r, cl);
}

static void loop_resume(struct timer *t)
{
	struct client *cl = t->arg;
	struct conn *c = cl->paused;

	cl->paused = NULL;
	for (struct conn *next; c; c = next) {
		next = c->next_pending;
		c->next_pending = NULL;
		c->paused = false;
		loop_turn(c->w.arg, c);
	}
}

/* Next turn of a loop client whose connection ended or was answered: ask again on it, or open the next; after its pause if
 * it has one. */
void phase_loop_step(struct run *r, struct conn *c)
{
	struct client *cl = c->client;

	if (!cl->spec->every || c->looped) {
		loop_turn(r, c);
		return;
	}
	if (c->paused)
		return;
	c->paused = true;
	c->next_pending = cl->paused;
	cl->paused = c;
	if (!c->next_pending) {
		cl->pause = (struct timer){.fn = loop_resume, .arg = cl, .at = NSEC_NEVER};
		timer_set(r->loop, &cl->pause, clock_now() + cl->spec->every);
	}
}
