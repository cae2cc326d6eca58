/* TLS between a client's socket and its protocol, and what a run needs for it: an authority that is thrown away, its files,
 * the key log. A connection without TLS has a NULL pointer and nothing else of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tls.h"
#include "run/engine.h"

/* Who has said close_notify and means to close sends its FIN within this; who waits for ours gets it then. */
#define ANSWER_NOTIFY_AFTER (20 * NSEC_PER_MSEC)

struct conn_tls {
	struct tls *tls;
	struct timer answer;            /* of the server's close_notify */
	struct run *run;
	bool closed;                    /* its close_notify has been told */
};

/* ---- the run ---- */

static void key_line(void *arg, const char *line)
{
	struct run *r = arg;

	dprintf(r->keylog, "%s\n", line);
}

static bool mentions_tls(char *const *words)
{
	for (; words && *words; words++)
		if (strstr(*words, "${TLS_") || strstr(*words, "DRAINSPEC_TLS_"))
			return true;
	return false;
}

static bool wants_tls(const struct run *r)
{
	bool wants = run_needs_packets(r->plan) || mentions_tls(r->sc->target.command);

	for (unsigned i = 0; i < r->n_clients; i++)
		wants |= r->clients[i].tls;
	for (size_t i = 0; i < r->sc->target.n_env; i++)
		wants |= strstr(r->sc->target.env[i].value, "${TLS_") != NULL;
	return wants;
}

bool run_needs_packets(const struct plan *plan)
{
	bool tls = plan->protocol && !strncmp(plan->protocol, "tls+", 4);

	for (size_t i = 0; i < plan->sc->n_clients; i++)
		tls |= plan->sc->clients[i].protocol && !strncmp(plan->sc->clients[i].protocol, "tls+", 4);
	return tls;
}

static const char *put_file(struct run *r, const char *folder, const char *name, const struct buf *text)
{
	const char *path = arena_printf(r->arena, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, text->p, text->n) == (ssize_t)text->n;

	if (!ok)
		err_set(r->err, ERR_HARNESS, errno, "cannot write %s", path);
	if (fd >= 0)
		close(fd);
	return ok ? path : NULL;
}

static int tls_files(struct run *r, const struct tls_ca *ca)
{
	char *folder = realpath(r->dir, NULL);

	if (!folder)
		return err_set(r->err, ERR_HARNESS, errno, "cannot find %s", r->dir);
	r->tls_files[TLS_FILE_CA] = put_file(r, folder, "tls-ca.pem", &ca->ca);
	r->tls_files[TLS_FILE_CERT] = put_file(r, folder, "tls-cert.pem", &ca->cert);
	r->tls_files[TLS_FILE_KEY] = put_file(r, folder, "tls-key.pem", &ca->key);
	r->keylog = open(arena_printf(r->arena, "%s/tls.keys", folder), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	free(folder);
	if (r->keylog < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot write tls.keys");
	return r->tls_files[TLS_FILE_CA] && r->tls_files[TLS_FILE_CERT] && r->tls_files[TLS_FILE_KEY] ? 0 : -1;
}

int tls_open(struct run *r)
{
	struct tls_ca ca;

	if (r->tls)
		return 0;
	if (tls_ca_make(&ca, r->err) < 0)
		return -1;
	int rc = tls_files(r, &ca);

	if (rc == 0)
		r->tls = tls_ctx_new(&ca, key_line, r, r->err);
	tls_ca_free(&ca);
	return rc == 0 && r->tls ? 0 : -1;
}

int tls_begin(struct run *r)
{
	if (!wants_tls(r))
		return 0;
	r->tls_handed = true;
	return tls_open(r);
}

void tls_end(struct run *r)
{
	tls_ctx_free(r->tls);
	r->tls = NULL;
	if (r->keylog > 0)
		close(r->keylog);
	r->keylog = 0;
}

/* ---- a connection ---- */

static void queue_wire(struct conn *c, struct buf *b)
{
	if (b->n)
		conn_queue_wire(c, b, b->n);
	buf_free(b);
}

bool conn_shaking(const struct conn *c)
{
	return c->tls && tls_state(c->tls->tls) == TLS_SHAKING;
}

static void answer_notify(struct timer *t)
{
	struct conn *c = t->arg;
	struct run *r = c->tls->run;
	struct buf out = {0};

	if (c->state == CONN_OVER || c->w.fd < 0)
		return;
	tls_goodbye(c->tls->tls, &out);
	queue_wire(c, &out);
	conn_flush(r, c);
	if (c->state == CONN_OVER || c->unsent)
		return;
	shutdown(c->w.fd, SHUT_WR);
	events_add(r->ev, EV_SHUT_WR, c->index, 0, 0, "the server's close_notify is answered, and it has not closed yet");
}

/* The kernel has the connection: TLS comes first, then the protocol (conn_begin). */
void conn_tls_start(struct run *r, struct conn *c)
{
	enum phase phase = c->client->spec->phase;
	struct buf out = {0};

	c->tls = calloc(1, sizeof *c->tls);
	if (!c->tls)
		abort();
	c->tls->run = r;
	c->tls->tls = tls_new(r->tls, c->client->proto->alpn);
	c->tls->answer = (struct timer){.fn = answer_notify, .arg = c, .at = NSEC_NEVER};
	c->reading = true;
	c->state = CONN_SENDING;
	loop_set(r->loop, &c->w, EPOLLIN | EPOLLRDHUP);
	tls_start(c->tls->tls, &out);
	queue_wire(c, &out);
	conn_flush(r, c);
	/* nobody accepts: nothing comes back until somebody does */
	if (c->state == CONN_SENDING && phase == PHASE_BACKLOG)
		c->state = CONN_PARKED;
}

void conn_tls_stop(struct run *r, struct conn *c)
{
	if (!c->tls)
		return;
	timer_clear(r->loop, &c->tls->answer);
	tls_free(c->tls->tls);
	free(c->tls);
	c->tls = NULL;
}

/* Plain text becomes records. */
void conn_tls_seal(struct conn *c, const void *p, size_t n, struct buf *out)
{
	tls_write(c->tls->tls, p, n, out);
}

/* We write no more: close_notify, as far as the socket takes it at once. */
void conn_tls_bye(struct conn *c)
{
	struct buf out = {0};

	tls_goodbye(c->tls->tls, &out);
	if (out.n && !c->unsent && send(c->w.fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;      /* the server is gone: nobody is there to be told */
	buf_free(&out);
}

/* Held half-way: what the server sends is looked at and not answered. */
static void hold_handshake(struct run *r, struct conn *c, size_t n)
{
	struct diag_row row = {0};

	if (c->state != CONN_SENDING || c->unproven)
		return;
	if (r->buf[0] != 22) {
		phase_unreachable(r, c, r->buf[0] == 21 ? "the server answered the ClientHello with an alert" :
				  "the server does not speak TLS");
		return;
	}
	diag_of(r, c, &row);
	phase_proven(r, c, row.inode, arena_printf(r->arena, "the server's flight of the handshake came (%zu bytes), and is not answered", n));
}

static void tell_state(struct run *r, struct conn *c, bool was_shaking)
{
	struct conn_tls *t = c->tls;
	enum tls_state state = tls_state(t->tls);

	if (was_shaking && *tls_text(t->tls)) {
		events_add(r->ev, EV_TLS, c->index, tls_version(t->tls), 0, tls_text(t->tls));
		if (state != TLS_BROKEN)
			conn_begin(r, c);
	}
	if (state == TLS_BROKEN && !c->bad) {
		c->bad = true;
		events_add(r->ev, EV_TLS_FAILED, c->index, 0, 0, tls_why(t->tls));
		if (was_shaking)
			phase_unreachable(r, c, tls_why(t->tls));
	}
}

static void tell_notify(struct run *r, struct conn *c)
{
	if (!c->tls || c->tls->closed || tls_state(c->tls->tls) != TLS_CLOSED)
		return;
	c->tls->closed = true;
	events_add(r->ev, EV_CLOSE_NOTIFY, c->index, 0, 0, NULL);
	if (!c->client->spec->never_closes)
		timer_set(r->loop, &c->tls->answer, clock_now() + ANSWER_NOTIFY_AFTER);
}

/* n bytes of the wire are in the run's buffer. */
void conn_tls_read(struct run *r, struct conn *c, size_t n)
{
	struct buf plain = {0}, out = {0};
	bool was_shaking = conn_shaking(c);

	if (c->client->spec->phase == PHASE_TLS_HANDSHAKE) {
		hold_handshake(r, c, n);
		return;
	}
	tls_feed(c->tls->tls, r->buf, n, &plain, &out);
	queue_wire(c, &out);
	conn_flush(r, c);
	if (c->tls)
		tell_state(r, c, was_shaking);
	if (plain.n && c->state != CONN_OVER)
		conn_take(r, c, (const uint8_t *)plain.p, plain.n);
	buf_free(&plain);
	tell_notify(r, c);
}

/* May the end of the stream end an answer? Not if it cannot be told from a cut (RFC 9112, 9.8). */
bool conn_end_is_told(const struct conn *c)
{
	return !c->tls || c->tls->closed;
}
