#include "judge/story.h"

#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"

#define STORY_LINES 12
#define TEXT_SHOWN 160

struct line {
	nsec_t t;
	uint32_t event;
	bool cited;
};

struct story {
	const struct facts *f;
	struct line v[STORY_LINES];
	unsigned n;
};

/* 0: not worth a story. A failed MUST, then what is broken, then a failed SHOULD, then doubt. */
static int weight(const struct finding *v)
{
	if (v->outcome == FAIL)
		return v->level == MUST ? 4 : 2;
	return v->outcome == BROKEN ? 3 : v->outcome == UNSURE ? 1 : 0;
}

static const struct finding *worst_of(const struct result *result)
{
	const struct finding *worst = NULL;

	for (size_t i = 0; i < result->n_verdicts; i++) {
		const struct finding *v = &result->verdicts[i].finding;

		if (weight(v) && v->n_cites && (!worst || weight(v) > weight(worst)))
			worst = v;
	}
	return worst;
}

static void tell(struct story *s, uint32_t event, bool cited)
{
	if (!event || s->n == STORY_LINES)
		return;
	for (unsigned i = 0; i < s->n; i++)
		if (s->v[i].event == event)
			return;
	s->v[s->n++] = (struct line){ fact_t(s->f, event), event, cited };
}

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->t != y->t)
		return x->t < y->t ? -1 : 1;
	return x->event < y->event ? -1 : x->event > y->event;
}

static const char *whom_of(const struct facts *f, const struct event *e)
{
	if (e->conn < 0 || (uint32_t)e->conn >= f->n_conns || !f->conns[e->conn].opened)
		return "";
	return client_name(f, &f->conns[e->conn]);
}

/* By its meaning as events.def has it: a number that has a name is shown by its name. */
static void field(struct buf *out, const char *meaning, int64_t v)
{
	bool small = v >= 0 && v <= 0xFFFF;

	if (!*meaning || !strncmp(meaning, "t_", 2))
		return;
	if (!strcmp(meaning, "phase") && small && v < PHASE_N)
		buf_printf(out, "  %s %s", meaning, phase_rows[v].name);
	else if ((!strcmp(meaning, "state") || !strcmp(meaning, "server_state")) && small)
		buf_printf(out, "  %s %s", meaning, tcp_state_name((int)v));
	else if (!strncmp(meaning, "errno", 5) && small)
		buf_printf(out, "  %s %s", meaning, v ? errno_name((int)v) : "none");
	else if (!strcmp(meaning, "signo") && small)
		buf_printf(out, "  %s %s", meaning, signal_name((int)v));
	else
		buf_printf(out, "  %s %lld", meaning, (long long)v);
}

static void plain(struct buf *out, const struct facts *f, const struct event *e)
{
	const struct event_row *row = &event_rows[e->kind];
	const char *who = e->kind >= EV_CONNECT && e->kind <= EV_PEER_STATE ? whom_of(f, e) :
			  e->kind >= EV_W_SYN && e->kind <= EV_W_RST_SYN ? whom_of(f, e) : "";

	buf_printf(out, "%s%s%s", row->name, *who ? "  " : "", who);
	field(out, row->a, e->a);
	field(out, row->b, e->b);
}

/* The kinds that most stories are made of, as a person would say them. false: not one of these. */
static bool told_of_process(struct buf *out, const struct event *e)
{
	const char *text = e->text ? e->text : "";

	switch ((enum event_kind)e->kind) {
	case EV_READY:
		buf_printf(out, "ready: %s", text);
		return true;
	case EV_ARMED:
		buf_printf(out, "armed: %lld client%s proven in phase", (long long)e->a, e->a == 1 ? "" : "s");
		if (e->b)
			buf_printf(out, ", %lld not", (long long)e->b);
		return true;
	case EV_SIGNAL:
		buf_printf(out, "signal %s -> %s", signal_name((int)(e->a & 0xFF)), text);
		return true;
	case EV_EXIT:
		buf_printf(out, "%s %lld exits with %lld", strncmp(text, "root", 4) ? "child process" : "process", (long long)e->a,
			(long long)e->b);
		return true;
	case EV_KILLED:
		buf_printf(out, "process %lld is killed by %s: %s", (long long)e->a, signal_name((int)(e->b & 0xFF)), text);
		return true;
	case EV_HARNESS_KILL:
		buf_printf(out, "the harness sends %s to %lld: %s", signal_name((int)(e->b & 0xFF)), (long long)e->a, text);
		return true;
	case EV_LISTENER_CLOSED:
		buf_printf(out, "listener of port %lld is gone", (long long)e->a);
		return true;
	case EV_GATE_RELEASED:
		buf_printf(out, "the gate is opened: %lld request%s waited at it", (long long)e->a, e->a == 1 ? "" : "s");
		return true;
	case EV_SERVES:
		buf_printf(out, "asked once more it answers with %lld", (long long)e->a);
		return true;
	default:
		return false;
	}
}

static void request_text(struct buf *out, const char *who, const struct event *e)
{
	const char *line = e->text ? strchr(e->text, ' ') : NULL;       /* after the nonce */

	buf_printf(out, "%s asks %s (%lld bytes)", who, line ? line + 1 : "", (long long)e->b);
}

static bool told_of_client(struct buf *out, const struct facts *f, const struct event *e)
{
	const char *who = whom_of(f, e), *text = e->text ? e->text : "";

	switch ((enum event_kind)e->kind) {
	case EV_CONNECT:
		buf_printf(out, "%s connects to port %lld", who, (long long)e->a);
		return true;
	case EV_REFUSED:
		buf_printf(out, "%s is refused: %s", who, errno_name((int)(e->a & 0xFFFF)));
		return true;
	case EV_REQUEST:
		request_text(out, who, e);
		return true;
	case EV_PROVEN:
		buf_printf(out, "%s is proven %s: %s", who, e->a >= 0 && e->a < PHASE_N ? phase_rows[e->a].name : "in its phase", text);
		return true;
	case EV_ANSWER:
		buf_printf(out, "%s has its whole answer: %s, %lld bytes of body", who, text, (long long)e->b);
		return true;
	case EV_EOF_SEEN:
		buf_printf(out, "%s reads EOF after", who);
		if (e->a)
			buf_printf(out, " %lld whole answer%s", (long long)e->a, e->a == 1 ? "" : "s");
		if (e->b || !e->a)
			buf_printf(out, "%s %lld bytes of %s", e->a ? " and" : "", (long long)e->b,
				e->a ? "the next" : "its answer's body");
		return true;
	case EV_RESET_SEEN:
		buf_printf(out, "%s reads %s after %lld bytes", who, errno_name((int)(e->a & 0xFFFF)), (long long)e->b);
		return true;
	case EV_STILL_OPEN:
		buf_printf(out, "%s is still open: %s here, %s there", who, tcp_state_name((int)(e->a & 0xFF)),
			tcp_state_name((int)(e->b & 0xFF)));
		return true;
	case EV_HELD:
		buf_printf(out, "%s is still open there when the grace is all but over: %s", who, tcp_state_name((int)(e->b & 0xFF)));
		return true;
	case EV_W_FIN_S:
		buf_printf(out, "wire: FIN to %s after %lld bytes", who, (long long)e->a);
		return true;
	case EV_W_RST_S:
		buf_printf(out, "wire: RST to %s, %lld bytes sent, %lld acknowledged", who, (long long)e->a, (long long)e->b);
		return true;
	case EV_W_ACKED:
		buf_printf(out, "wire: %lld bytes of %s acknowledged", (long long)e->a, who);
		return true;
	default:
		return false;
	}
}

static void print_line(struct buf *out, const struct facts *f, const struct line *line)
{
	const struct event *e = fact_event(f, line->event);
	const char *text = fact_text(f, line->event);
	size_t n = strcspn(text, "\n");
	struct buf said = { 0 };

	buf_printf(out, "%c %8s  ", line->cited ? '>' : ' ', time_text(f, nsec_sub(e->t, f->ev->v[0].t)));
	if (!told_of_process(&said, e) && !told_of_client(&said, f, e)) {
		plain(&said, f, e);
		if (n && e->kind != EV_PROCESS)
			buf_printf(&said, " %.*s", (int)n, text);
	}
	n = strcspn(said.p, "\n");
	buf_printf(out, "%.*s%s", (int)(n > TEXT_SHOWN ? TEXT_SHOWN : n), said.p, n > TEXT_SHOWN ? "..." : "");
	buf_free(&said);
	if (e->frame)
		buf_printf(out, "  [frame %u]", e->frame);
	buf_addc(out, '\n');
}

static bool gate_reached(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_GATE_REACHED, n)
		if (fact_event(f, n)->round == r->id)
			return true;
	return false;
}

/* What everyone asks first: when was it signalled, when did the listener go, when the process. */
static void tell_frame(struct story *s, const struct round_fact *r)
{
	const struct facts *f = s->f;

	tell(s, r->sig, false);
	tell(s, r->exit, false);
	tell(s, r->kill, false);
	for (uint32_t i = 0; i < f->n_ports; i++)
		if (&f->rounds[f->ports[i].round] == r)
			tell(s, f->ports[i].closed, false);
	tell(s, r->sig2, false);
	if (r->released && gate_reached(f, r))
		tell(s, r->released, false);
	tell(s, r->armed, false);
	tell(s, r->ready, false);
	tell(s, r->launch, false);
}

const char *story_of(const struct facts *f, const struct result *result, struct arena *arena)
{
	const struct finding *worst = worst_of(result);
	struct story s = { .f = f };
	struct buf out = { 0 };

	if (!worst)
		return NULL;
	for (unsigned i = 0; i < worst->n_cites; i++)
		tell(&s, worst->cites[i], true);
	const struct round_fact *r = round_at(f, worst->cites[0]);

	if (r)
		tell_frame(&s, r);
	qsort(s.v, s.n, sizeof *s.v, by_time);
	for (unsigned i = 0; i < s.n; i++)
		print_line(&out, f, &s.v[i]);
	const char *text = arena_strndup(arena, out.p ? out.p : "", out.n);

	buf_free(&out);
	return text;
}
