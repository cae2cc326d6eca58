#include "judge/say.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/names.h"
#include "judge/notify.h"

bool any_round(const struct facts *f)
{
	for_each_round(f, r) {
		return true;
	}
	return false;
}

bool has_phase(const struct scenario *sc, unsigned phases)
{
	for (size_t i = 0; i < sc->n_clients; i++)
		if (sc->clients[i].phase < PHASE_N && phases >> sc->clients[i].phase & 1)
			return true;
	return false;
}

const char *client_name(const struct facts *f, const struct conn_fact *c)
{
	const char *text = fact_text(f, c->connect), *blank = strrchr(text, ' ');
	int n = blank ? (int)(blank - text) : (int)strlen(text);

	return arena_printf(f->arena, "client %.*s#%u", n > 80 ? 80 : n, text, c->number);
}

const char *first_signal(const struct facts *f, const struct round_fact *r)
{
	return r->sig ? signal_name((int)fact_a(f, r->sig)) : "the signal";
}

const char *time_text(const struct facts *f, nsec_t t)
{
	char text[32];
	bool negative = t < 0;

	duration_text(negative ? -(t + (t == INT64_MIN)) : t, text);
	return arena_printf(f->arena, "%s%s", negative ? "-" : "", text);
}

const char *after_signal(const struct facts *f, const struct round_fact *r, uint32_t event)
{
	return time_text(f, nsec_sub(fact_t(f, event), signal_begin(f, r)));
}

const char *between(const struct facts *f, uint32_t from, uint32_t to)
{
	return time_text(f, nsec_sub(fact_t(f, to), fact_t(f, from)));
}

static const char *first_line(const struct facts *f, uint32_t event)
{
	const char *text = fact_text(f, event);

	return arena_strndup(f->arena, text, strcspn(text, "\n"));
}

/* A master waits for its workers: who of the tree has a client says more than the root. */
static const char *suspect_process(const struct facts *f, const struct round_fact *r)
{
	const char *root = r->autopsy ? first_line(f, r->autopsy) : "not looked at";

	if (!r->autopsy || strstr(root, "client #"))
		return root;
	for_each_event(f, EV_AUTOPSY, n) {
		if (fact_event(f, n)->round != r->id || fact_t(f, n) > fact_t(f, r->kill) || n == r->autopsy)
			continue;
		const char *text = first_line(f, n);

		if (strstr(text, "client #"))
			return arena_printf(f->arena, "%s, in process %lld", text, (long long)fact_a(f, n));
	}
	return root;
}

/* Where main waits, and, of what else waits in the program, the first: it may be what main waits for. */
static const char *goroutines_of(const struct facts *f, uint32_t stacks)
{
	const char *main = first_line(f, stacks), *rest = fact_text(f, stacks) + strlen(main);
	size_t n = *rest ? strcspn(++rest, "\n") : 0;
	const char *second = arena_strndup(f->arena, rest, n);

	return strstr(second, "] in main.") ? arena_printf(f->arena, "%s, %s", main, second) : main;
}

/* A runtime's own dump says where in the program it waits. */
const char *suspect_of(const struct facts *f, const struct round_fact *r)
{
	const char *process = suspect_process(f, r);

	for_each_event(f, EV_STACKS, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == fact_a(f, r->autopsy))
			return arena_printf(f->arena, "%s; %s", process, goroutines_of(f, n));
	return process;
}

nsec_t end_time(const struct facts *f, const struct conn_fact *c)
{
	uint32_t end;
	enum conn_how how = conn_how(f, c, &end);

	if (how == HOW_FIN && c->w_fin)
		return fact_t(f, c->w_fin);
	if (how == HOW_RST && c->w_rst)
		return fact_t(f, c->w_rst);
	return fact_t(f, end);
}

static const char *request_text(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	nsec_t sig = signal_begin(f, r);
	const char *signame = first_signal(f, r);

	const char *acked = "";

	if (c->w_acked && fact_a(f, c->w_acked) > 0 && fact_t(f, c->w_acked) <= sig)
		acked = arena_printf(f->arena, "%lld bytes%s ACKed and ", (long long)fact_a(f, c->w_acked),
			c->tls ? " of TLS" : "");
	uint32_t sent = c->request ? c->request : c->partial;

	if (!sent)
		return arena_printf(f->arena, "connected, nothing sent");
	nsec_t before = nsec_sub(sig, fact_t(f, sent));

	if (c->proven && c->phase < PHASE_N)
		return arena_printf(f->arena, "%sproven %s %s before %s", acked,
			phase_rows[c->phase].name, time_text(f, nsec_sub(sig, fact_t(f, c->proven))),
			signame);
	return arena_printf(f->arena, "%srequest sent %s %s %s", acked,
		time_text(f, before < 0 ? nsec_sub(0, before) : before),
		before < 0 ? "after" : "before", signame);
}

static const char *ending_of_conn(const struct facts *f, const struct conn_fact *c, uint32_t *ret_frame)
{
	uint32_t end;

	*ret_frame = 0;
	switch (conn_how(f, c, &end)) {
	case HOW_FIN:
		*ret_frame = c->w_fin ? fact_event(f, c->w_fin)->frame : 0;
		return conn_error(f, c) ?
			arena_printf(f->arena, "GOAWAY %s (a connection error) and FIN", fact_text(f, conn_error(f, c))) :
			end_untold(f, c) ? "FIN without close_notify" : "FIN";
	case HOW_RST:
		*ret_frame = c->w_rst ? fact_event(f, c->w_rst)->frame : 0;
		return arena_printf(f->arena, "RST (%s)", errno_name((int)fact_a(f, end)));
	case HOW_STREAM:
		return arena_printf(f->arena, "RST_STREAM %s", fact_text(f, c->rst_stream));
	case HOW_CLIENT:
		return "the client's own close";
	case HOW_OPEN:
		break;
	}
	return "neither FIN nor RST";
}

/* Of a pipeline: the first request that has no answer. "" if there was but one. */
static const char *missing_text(const struct facts *f, const struct conn_fact *c)
{
	if (c->asked < 2 || c->asked <= c->answers)
		return "";
	const char *text = fact_text(f, conn_numbered(f, EV_REQUEST, c, c->answers)), *line = strchr(text, ' ');

	return !*text ? "" : arena_printf(f->arena, "; %u of %u requests were answered, the first that was not: '%.60s'", c->answers, c->asked,
					  line ? line + 1 : text);
}

const char *loss_text(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	uint32_t frame, end;
	const char *how = ending_of_conn(f, c, &frame);
	int64_t got = 0, of = -1;
	const char *amount;

	conn_how(f, c, &end);
	if (c->rst_stream || c->end)
		got = fact_b(f, c->rst_stream ? c->rst_stream : c->end);
	uint32_t head = head_of_cut(f, c);

	if (head)
		of = fact_b(f, head);
	if (of > 0)
		amount = arena_printf(
			f->arena, "%lld of %lld bytes of body", (long long)got, (long long)of);
	else if (head && of == -1)
		amount = arena_printf(f->arena, "%lld bytes of a %s", (long long)got,
			conn_upgraded(f, c) ? "WebSocket's messages" :
			c->stream ? "body without END_STREAM" : "chunked body without its last chunk");
	else if (conn_partial(f, c))
		amount = arena_printf(
			f->arena, "part of the answer (%lld bytes of body)", (long long)got);
	else
		amount = "0 bytes of the answer";
	nsec_t after = end ? nsec_sub(end_time(f, c), signal_begin(f, r)) : 0;
	const char *at = end ? arena_printf(f->arena, ", %s after the signal", time_text(f, after)) : "";
	const char *in = frame ? arena_printf(f->arena, " (frame %u)", frame) : "";

	const char *disowned = "";

	if (c->stream && c->goaway_last && fact_a(f, c->stream) > fact_a(f, c->goaway_last))
		disowned = arena_printf(f->arena, "; GOAWAY(last %lld) says that stream %lld was not taken, but it was",
			(long long)fact_a(f, c->goaway_last), (long long)fact_a(f, c->stream));
	else if (c->stream && c->goaway_last && c->phase == PHASE_GOAWAY_RACE)
		disowned = arena_printf(f->arena, "; GOAWAY(last %lld) says that stream %lld was taken",
			(long long)fact_a(f, c->goaway_last), (long long)fact_a(f, c->stream));
	if (c->end && *fact_text(f, c->end))
		in = arena_printf(f->arena, "%s: %s", in, fact_text(f, c->end));
	return arena_printf(f->arena, "%s: %s, then %s after %s%s%s%s%s", client_name(f, c),
		request_text(f, c), how, amount, at, in, disowned, whole_unknown(f, c) ?
			": truncation cannot be told from the end" : missing_text(f, c));
}

void cite(struct finding *ret, uint32_t event)
{
	for (unsigned i = 0; i < ret->n_cites; i++)
		if (ret->cites[i] == event)
			return;
	if (event && ret->n_cites < FINDING_CITES)
		ret->cites[ret->n_cites++] = event;
}

void cite_conn(const struct facts *f, struct finding *ret, const struct conn_fact *c)
{
	uint32_t cites[FINDING_CITES];
	unsigned n;

	judge_conn(f, (int32_t)(c - f->conns), cites, &n);
	for (unsigned i = 0; i < n; i++)
		cite(ret, cites[i]);
}

void found(const struct facts *f, struct finding *ret, enum outcome outcome, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ret->outcome = outcome;
	ret->actual = arena_vprintf(f->arena, fmt, ap);
	va_end(ap);
	if (outcome == FAIL && !ret->whose)
		ret->whose = "server";
}

void sum_begin(struct sum *t, const struct facts *f, struct finding *ret)
{
	sum_begin_of(t, f, ret, "connections");
}

void sum_begin_of(struct sum *t, const struct facts *f, struct finding *ret, const char *unit)
{
	*t = (struct sum){ .f = f, .ret = ret, .unit = unit };
}

/* "; the same on 3 of 4 rounds" */
static const char *same_text(const struct sum *t, uint32_t n, uint32_t all)
{
	if (n < 2)
		return "";
	if (!t->unit)
		return arena_printf(t->f->arena, "; %u such in all", n);
	return arena_printf(t->f->arena, "; the same %s %u of %u %s", strcmp(t->unit, "rounds") ? "on" : "in", n, all, t->unit);
}

bool sum_bad(struct sum *t, enum level level, const char *whose, const char *fmt, ...)
{
	va_list ap;

	bool tell = !t->bad || (level == MUST && !t->must);

	t->bad++;
	if (!tell)
		return false;
	t->must = level == MUST;
	t->ret->level = level;
	t->ret->whose = whose;
	va_start(ap, fmt);
	t->ret->actual = arena_vprintf(t->f->arena, fmt, ap);
	va_end(ap);
	t->ret->n_cites = 0;
	return true;
}

bool sum_unsure(struct sum *t, uint32_t event, const char *fmt, ...)
{
	va_list ap;

	if (t->unsure++)
		return false;
	va_start(ap, fmt);
	t->unsure_text = arena_vprintf(t->f->arena, fmt, ap);
	va_end(ap);
	if (!t->bad)
		cite(t->ret, event);
	return !t->bad;
}

const char *see_text(struct arena *arena, uint64_t see)
{
	const char *text = "";

	for (unsigned i = 0; i < n_checks; i++)
		if (see >> i & 1)
			text = arena_printf(arena, "%s%s%s", text, *text ? ", " : "", checks[i]->id);
	return text;
}

void sum_see(struct sum *t, const char *id)
{
	t->elsewhere++;
	t->see |= UINT64_C(1) << check_index(check_by_id(id));
}

void sum_killed(struct sum *t, const struct round_fact *r)
{
	const struct hung *h = hang_of(t->f, r);

	if (h->charged) {
		sum_see(t, h->charged);
		return;
	}
	t->unseen++;
	t->unseen_text = h->why ? h->why : "no end of the process was seen";
}

void sum_end(struct sum *t, const char *what)
{
	const struct facts *f = t->f;
	uint32_t all = t->good + t->bad + t->unsure + t->contract + t->elsewhere + t->unseen;

	if (t->bad) {
		found(f, t->ret, FAIL, "%s%s", t->ret->actual, same_text(t, t->bad, all));
	} else if (t->unsure) {
		found(f, t->ret, UNSURE, "%s%s", t->unsure_text, same_text(t, t->unsure, all));
	} else if (t->good || t->contract) {
		const char *also = "";

		if (t->contract)
			also = arena_printf(f->arena,
				"; %u lost after the second signal, by the contract of its policy",
				t->contract);
		if (t->elsewhere)
			also = arena_printf(f->arena, "%s; %u charged to %s", also, t->elsewhere,
				see_text(f->arena, t->see));
		found(f, t->ret, PASS, "%u of %u %s%s", t->good, all, what, also);
	} else if (t->elsewhere) {
		found(f, t->ret, SKIP, "not charged twice: see %s", see_text(f->arena, t->see));
	} else if (t->unseen) {
		found(f, t->ret, SKIP, "the harness had to end it, so this could not be seen: %s", t->unseen_text);
	} else {
		found(f, t->ret, SKIP, "no such connection in this run");
	}
	t->ret->see = t->ret->outcome == FAIL ? 0 : t->see;
}
