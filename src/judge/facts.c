/* One pass over the events. What is kept is numbers of events: see facts.h. */
#include "judge/facts.h"

#include <string.h>

#include "judge/blame.h"
#include "judge/logged.h"
#include "judge/outcome.h"

struct build {
	struct facts *f;
	struct round_fact *round;       /* of the event at hand */
	uint32_t cap_rounds, cap_ports, cap_lines;
	uint16_t last_spec, last_line;  /* most events are about the group of the one before */
	uint32_t *numbers; /* connections of this round so far, by group; the last: NO_SPEC */
	uint16_t numbers_round;
};

static void *grown(struct arena *arena, void *v, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 4;
	void *more = arena_alloc(arena, *cap * size);

	if (n)
		memcpy(more, v, n * size);
	return more;
}

static struct round_fact *round_for(struct build *b, uint16_t id)
{
	struct facts *f = b->f;

	if (b->round && b->round->id == id)
		return b->round;
	for (uint32_t i = f->n_rounds; i-- > 0;)
		if (f->rounds[i].id == id)
			return &f->rounds[i];
	f->rounds = grown(f->arena, f->rounds, f->n_rounds, &b->cap_rounds, sizeof *f->rounds);
	f->rounds[f->n_rounds] = (struct round_fact){ .id = id };
	return &f->rounds[f->n_rounds++];
}

static struct port_fact *port_for(struct build *b, int32_t index, int64_t number)
{
	struct facts *f = b->f;
	uint16_t round = (uint16_t)(b->round - f->rounds);

	for (uint32_t i = f->n_ports; i-- > 0;)
		if (f->ports[i].round == round && f->ports[i].index == index) {
			if (number)
				f->ports[i].number = number;
			return &f->ports[i];
		}
	f->ports = grown(f->arena, f->ports, f->n_ports, &b->cap_ports, sizeof *f->ports);
	f->ports[f->n_ports] = (struct port_fact){ .round = round, .index = index, .number = number };
	return &f->ports[f->n_ports++];
}

static struct conn_fact *conn_for(struct build *b, const struct event *e)
{
	struct facts *f = b->f;

	if (e->conn < 0 || (uint32_t)e->conn >= f->n_conns || !f->conns[e->conn].opened)
		return NULL;
	return &f->conns[e->conn];
}

/* Was e seen before the first signal of its round (or was none sent)? */
static bool before_signal(const struct facts *f, const struct round_fact *r, const struct event *e)
{
	return !r->sig || e->t <= signal_end(f, r);
}

static uint16_t spec_named(struct build *b, const char *name, size_t n)
{
	const struct scenario *sc = b->f->sc;

	for (size_t k = 0; k < sc->n_clients && k < NO_SPEC; k++) {
		size_t i = (k + b->last_spec) % sc->n_clients;
		const char *own = sc->clients[i].name;

		if (own && strlen(own) == n && !memcmp(own, name, n))
			return b->last_spec = (uint16_t)i;
	}
	return NO_SPEC;
}

/* text is 'group phase'; the phase has no blanks, the group may. */
static void conn_begin(struct build *b, const struct event *e, uint32_t n)
{
	struct facts *f = b->f;

	if (e->conn < 0 || (uint32_t)e->conn >= f->n_conns)
		return;
	struct conn_fact *c = &f->conns[e->conn];

	if (c->opened) {
		f->incomplete = "a connection was opened twice under one number";
		f->incomplete_event = n;
		return;
	}
	const char *text = e->text ? e->text : "", *blank = strrchr(text, ' ');

	*c = (struct conn_fact){ .opened = true,
		.connect = n,
		.phase = PHASE_N,
		.round = (uint16_t)(b->round - f->rounds) };
	c->spec = blank ? spec_named(b, text, (size_t)(blank - text)) : NO_SPEC;
	if (c->spec != NO_SPEC && f->sc->clients[c->spec].phase < PHASE_N)
		c->phase = (uint8_t)f->sc->clients[c->spec].phase;
	for (unsigned i = 0; blank && c->phase == PHASE_N && i < PHASE_N; i++)
		if (!strcmp(phase_rows[i].name, blank + 1))
			c->phase = (uint8_t)i;
	size_t slots = f->sc->n_clients + 1, slot = c->spec == NO_SPEC ? slots - 1 : c->spec;

	if (!b->numbers || b->numbers_round != c->round) {
		if (!b->numbers)
			b->numbers = arena_array(f->arena, uint32_t, slots);
		memset(b->numbers, 0, slots * sizeof *b->numbers);
		b->numbers_round = c->round;
	}
	c->number = b->numbers[slot]++;
}

#define LINES_MAX 256
/* The request line that c sent last; NULL: it is one of too many. */
static struct line_fact *line_of(const struct facts *f, const struct conn_fact *c)
{
	return c->line < f->n_lines && c->line != LINES_MAX - 1 ? &f->lines[c->line] : NULL;
}

static uint16_t line_for(struct build *b, const char *text)
{
	struct facts *f = b->f;
	const char *blank = text ? strchr(text, ' ') : NULL, *line = blank ? blank + 1 : "";

	for (uint32_t k = 0; k < f->n_lines; k++) {
		uint32_t i = (k + b->last_line) % f->n_lines;

		if (!strcmp(f->lines[i].text, line))
			return b->last_line = (uint16_t)i;
	}
	if (f->n_lines == LINES_MAX) /* nobody sends so many in one scenario: they share the last, which proves nothing */
		return LINES_MAX - 1;
	f->lines = grown(f->arena, f->lines, f->n_lines, &b->cap_lines, sizeof *f->lines);
	f->lines[f->n_lines] = (struct line_fact){ .text = line };
	return b->last_line = (uint16_t)f->n_lines++;
}

static void conn_asked(struct build *b, struct conn_fact *c, const struct event *e, uint32_t n)
{
	c->request = n;
	c->asked++;
	c->line = line_for(b, e->text);
}

static void conn_answered(struct build *b, struct conn_fact *c, const struct event *e, uint32_t n)
{
	struct facts *f = b->f;
	struct line_fact *line = c->asked ? line_of(f, c) : NULL;
	const char *p = e->text ? e->text : "";
	int status = 0;

	for (; *p >= '0' && *p <= '9' && status < 1000; p++)
		status = status * 10 + (*p - '0');
	c->answer = n;
	c->answers++;
	c->status = (int16_t)status;
	if (e->b > 0 && __builtin_add_overflow(c->body, (uint64_t)e->b, &c->body))
		c->body = UINT64_MAX;
	if (strstr(p, "echo-bad"))
		c->bad = n;
	else if (strstr(p, "body-other"))
		c->other_body = n;
	else if (strstr(p, "echo-ok") && line)
		line->echoed = n;
	if (status >= 500 && status <= 599 && (c->phase != PHASE_PIPELINED || !e->a))
		c->fail5xx = n;
	if (status >= 200 && status <= 299) {
		log_owes(c, e->a);
		if (line && !line->ok && (!b->round->sig || e->t < fact_t(f, b->round->sig)))
			line->ok = n;
	}
	if (!b->round->first_answer)
		b->round->first_answer = n;
}

static void conn_head(struct build *b, struct conn_fact *c, const struct event *e, uint32_t n)
{
	c->head = n;
	/* bytes without any frame: the first of them answers, whenever the last comes */
	if (!e->a && e->b == -2 && !b->round->first_answer)
		b->round->first_answer = n;
}

static void set_once(uint32_t *slot, uint32_t n)
{
	if (!*slot)
		*slot = n;
}

static void conn_event(struct build *b, struct conn_fact *c, const struct event *e, uint32_t n)
{
	const struct facts *f = b->f;
	const struct round_fact *r = &f->rounds[c->round];

	switch ((enum event_kind)e->kind) {
	case EV_CONNECTED:      set_once(&c->connected, n); break;
	case EV_REFUSED:        set_once(&c->refused, n); break;
	case EV_REQUEST:        conn_asked(b, c, e, n); break;
	case EV_PARTIAL:        set_once(&c->partial, n); break;
	case EV_CONTINUE_100:   set_once(&c->cont100, n); break;
	case EV_WAITS:          set_once(&c->waits, n); break;
	case EV_PROVEN:         set_once(&c->proven, n); break;
	case EV_UNPROVEN:       set_once(&c->unproven, n); break;
	case EV_GREETING:       set_once(&c->greeting, n); break;
	case EV_FIRST_BYTE:     c->first_byte = n; break;
	case EV_HEAD:           conn_head(b, c, e, n); break;
	case EV_ANSWER:         conn_answered(b, c, e, n); break;
	case EV_BAD_ANSWER:     set_once(&c->bad, n); break;
	case EV_EOF_SEEN:
	case EV_RESET_SEEN:     set_once(&c->end, n); break;
	case EV_SETTINGS:       set_once(&c->settings, n); break;
	case EV_STREAM:
		c->stream = n;
		c->rst_stream = 0;
		break;
	case EV_STREAM_RESET:   c->rst_stream = n; break;
	case EV_ABOVE_GOAWAY:   set_once(&c->above, n); break;
	case EV_GOAWAY:
		set_once(&c->goaway, n);
		c->goaway_last = n;
		break;
	case EV_TLS:            set_once(&c->tls, n); break;
	case EV_CLOSE_NOTIFY:   set_once(&c->notify, n); break;
	case EV_CLIENT_CLOSED:  set_once(&c->closed, n); break;
	case EV_STILL_OPEN:     c->still = n; break;
	case EV_GATE_REACHED:
		set_once(&c->gate, n);
		c->gate_last = n;
		break;
	case EV_LOG_NONCE:      log_names(c, e->b); break;
	case EV_PEER_STATE:
		if (event_inode(f, n) > c->peer_inode)
			c->peer_inode = event_inode(f, n);
		if (before_signal(f, r, e))
			c->peer = n;
		break;
	case EV_W_SYN:          set_once(&c->w_syn, n); break;
	case EV_W_SYNACK:       set_once(&c->w_synack, n); break;
	case EV_W_RST_SYN:      set_once(&c->w_refused, n); break;
	case EV_W_FIRST: case EV_W_LAST: c->w_last = n; break;
	case EV_W_FIN_S:        set_once(&c->w_fin, n); break;
	case EV_W_RST_S:        set_once(&c->w_rst, n); break;
	case EV_W_ACKED:
		if (before_signal(f, r, e))
			c->w_acked = n;
		break;
	default:
		break;
	}
}

static void signal_event(struct build *b, struct round_fact *r, uint32_t n)
{
	if (r->restarted)
		return;
	if (!r->sig)
		r->sig = n;
	else if (!r->sig2)
		r->sig2 = n;
	b->f->any_signal = true;
}

static bool is_root_end(const struct facts *f, const struct round_fact *r, const struct event *e)
{
	return r->launch && e->conn == fact_b(f, r->launch) && e->text && !strncmp(e->text, "root", 4);
}

static void port_event(struct build *b, struct round_fact *r, const struct event *e, uint32_t n)
{
	bool named = e->kind != EV_LISTEN_ROW;
	struct port_fact *p = port_for(b, e->conn, named ? e->a : 0);

	if (r->restarted)
		return;
	if (e->kind == EV_LISTEN) {
		if (!r->sig)
			p->listen = n;
	} else if (e->kind == EV_LISTEN_ROW) {
		const char *when = e->text ? e->text : "";

		p->row_last = n;
		if (!strcmp(when, "signal") || (!strcmp(when, "armed") && !p->row_signal))
			p->row_signal = n;
	} else if (e->kind == EV_LISTENER_CLOSED) {
		if (r->sig)
			set_once(&p->closed, n);
	} else if (p->closed) {
		set_once(&p->back, n);
	}
}

/* of the first launch, not of a restart */
static void set_first(const struct round_fact *r, uint32_t *fact, uint32_t n)
{
	if (!r->restarted)
		set_once(fact, n);
}

static void launched(struct round_fact *r, uint32_t n)
{
	if (r->launch) {
		set_once(&r->relaunch, n);
		r->restarted = true;
	}
	set_once(&r->launch, n);
}

static void round_event(struct build *b, const struct event *e, uint32_t n)
{
	struct facts *f = b->f;
	struct round_fact *r = b->round;

	switch ((enum event_kind)e->kind) {
	case EV_ROUND:          r->begin = n, r->alone = e->b == 1; break;
	case EV_HEIR:           r->launch = n, r->heir = true; break;
	case EV_LAUNCH:         launched(r, n); break;
	case EV_LISTEN:
		set_first(r, &r->listening, n);
		port_event(b, r, e, n);
		break;
	case EV_LISTEN_ROW:
	case EV_LISTENER_CLOSED:
	case EV_LISTENER_BACK:  port_event(b, r, e, n); break;
	case EV_READY:          set_once(&r->ready, n); break;
	case EV_ARMED:          set_once(&r->armed, n); break;
	case EV_SIGNAL:         signal_event(b, r, n); break;
	case EV_GATE_RELEASED:
		if (!r->kill)
			r->released = n;
		break;
	case EV_HARNESS_KILL:   set_first(r, &r->kill, n); break;
	case EV_AUTOPSY:        set_first(r, &r->autopsy, n); break;
	case EV_CPU_WAIT:       set_first(r, &r->cpu_wait, n); break;
	case EV_EXIT:
	case EV_KILLED:
		if (is_root_end(f, r, e))
			set_once(&r->exit, n);
		break;
	case EV_SERVES:         r->serves = r->restarted ? r->serves : n; break;
	case EV_CENSUS:
		if (!r->sig)
			r->census = n;
		break;
	case EV_PROCESS:
		/* the root is the first of its census */
		if (!r->sig && r->launch &&
			(e->a == fact_a(f, r->launch) || (!fact_a(f, r->launch) && r->census == n - 1)))
			r->root_before = n;
		break;
	case EV_SEES:
		f->sees |= (unsigned)e->a;
		f->has_sees = true;
		break;
	default:
		break;
	}
}

static void whole_log(struct facts *f)
{
	uint32_t bad = f->first[EV_BROKEN] ? f->first[EV_BROKEN] : f->first[EV_INTERRUPTED];

	if (f->incomplete)
		return;
	f->incomplete_event = bad;
	if (f->first[EV_BROKEN])
		f->incomplete = fact_text(f, bad)[0] ? fact_text(f, bad) : "the harness failed";
	else if (bad)
		f->incomplete = "the harness was interrupted";
	else if (!f->ev->n)
		f->incomplete = "the log is empty";
	else if (!f->first[EV_END])
		f->incomplete = "the log ends before the run did";
}

static void wire_seen(struct facts *f)
{
	uint32_t end = f->first[EV_CAPTURE_END];

	if (!(f->sees & SEES_WIRE))
		f->wire = WIRE_UNSEEN;
	else if (!end || fact_b(f, end) != 0 || strncmp(fact_text(f, end), "sentinel", 8) != 0)
		f->wire = WIRE_BROKEN;
	else
		f->wire = WIRE_OK;
}

/* The wire sees connections, and a GOAWAY is about all of one: each stream has what its carrier has. */
static void share_carrier(struct facts *f, struct conn_fact *c)
{
	int64_t index = fact_b(f, c->stream);

	if (!c->stream || index < 0 || index >= f->n_conns)
		return;
	const struct conn_fact *own = &f->conns[index];

	if (own == c || !own->opened || own->round != c->round)
		return;
	c->goaway = own->goaway;
	c->goaway_last = own->goaway_last;
	c->w_syn = own->w_syn;
	c->w_synack = own->w_synack;
	c->w_refused = own->w_refused;
	c->w_acked = own->w_acked;
	c->w_last = own->w_last;
	c->w_fin = own->w_fin;
	c->w_rst = own->w_rst;
}

/* Programs name the request in the head of every answer. Its body is owed the nonce only where another answer to that line had it. */
static void judge_bodies(struct facts *f)
{
	for (uint32_t i = 0; i < f->n_conns; i++) {
		struct conn_fact *c = &f->conns[i];
		const struct line_fact *line = line_of(f, c);

		if (c->other_body && !c->bad && line && line->echoed)
			c->bad = c->other_body;
	}
}

static void conclude(struct facts *f)
{
	const char *text;
	uint32_t cites[2];

	whole_log(f);
	wire_seen(f);
	judge_bodies(f);
	for (uint32_t i = 0; i < f->n_conns; i++) {
		struct conn_fact *c = &f->conns[i];

		if (!c->opened)
			continue;
		share_carrier(f, c);
		c->outcome = (uint8_t)conn_outcome_of(f, c);
		uint32_t gone = c->unproven ? c->unproven : conn_ended_early(f, c);

		if (gone && f->sc->skip_if_unreachable && !f->unreachable && !f->rounds[c->round].alone)
			f->unreachable = gone;
		text = NULL;
		if (!f->dissent && disagree(f, c, &text, cites))
			f->dissent = i + 1;
	}
	mark_deviations(f);
	f->hung = arena_array(f->arena, struct hung, f->n_rounds);
	for (uint32_t i = 0; i < f->n_rounds; i++)
		f->hung[i] = hang_find(f, &f->rounds[i]);
}

struct facts *facts_build(const struct scenario *sc, const struct events *ev, struct arena *arena)
{
	struct facts *f = arena_new_of(arena, struct facts);
	struct build b = { .f = f };

	f->sc = sc;
	f->ev = ev;
	f->arena = arena;
	for (size_t i = 0; i < ev->n; i++)
		f->n_conns += ev->v[i].kind == EV_CONNECT;
	f->conns = arena_array(arena, struct conn_fact, f->n_conns);
	f->next = arena_array(arena, uint32_t, ev->n + 1);
	for (uint32_t n = 1; n <= ev->n; n++) {
		const struct event *e = &ev->v[n - 1];

		if (e->kind >= EV_N)
			continue;
		if (f->last[e->kind])
			f->next[f->last[e->kind]] = n;
		else
			f->first[e->kind] = n;
		f->last[e->kind] = n;
		b.round = round_for(&b, e->round);
		if (e->kind == EV_CONNECT) {
			conn_begin(&b, e, n);
			continue;
		}
		struct conn_fact *c = conn_for(&b, e);

		if (c)
			conn_event(&b, c, e, n);
		round_event(&b, e, n);
	}
	conclude(f);
	return f;
}
