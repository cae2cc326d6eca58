#include "judge/exit_set.h"

#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"

bool fatal_signal(int signo)
{
	switch (signo) {
	case SIGSEGV: case SIGABRT: case SIGBUS: case SIGFPE: case SIGILL: case SIGSYS: case SIGTRAP:
		return true;
	}
	return false;
}

bool signal_sent(const struct facts *f, const struct round_fact *r, int signo)
{
	for_each_event(f, EV_SIGNAL, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == signo)
			return true;
	return false;
}

/* 0, 128+n or killed by n, for a signal n that was sent: whoever drained may say so in either way. */
static bool clean(const struct facts *f, const struct round_fact *r, const struct ending *e)
{
	if (e->kind == ENDED_SIGNAL)
		return signal_sent(f, r, e->value);
	return e->value == 0 || (e->value > 128 && signal_sent(f, r, e->value - 128));
}

bool exit_allowed(
	const struct facts *f, const struct round_fact *r, const struct ending *e, bool *ret_explicit)
{
	const struct expect_spec *x = &f->sc->expect;

	*ret_explicit = false;
	if (!x->n_exits)
		return clean(f, r, e) || (was_forced(f, r) && e->kind == ENDED_CODE);
	for (size_t i = 0; i < x->n_exits; i++) {
		const struct exit_allowed *a = &x->exits[i];

		if (a->how == EXIT_CLEAN &&
			(clean(f, r, e) || (was_forced(f, r) && e->kind == ENDED_CODE)))
			return true;
		*ret_explicit =
			a->how == EXIT_ANY ||
			(a->how == EXIT_CODE && e->kind == ENDED_CODE && a->value == e->value) ||
			(a->how == EXIT_SIGNAL && e->kind == ENDED_SIGNAL && a->value == e->value);
		if (*ret_explicit)
			return true;
	}
	return false;
}

const char *exit_set_text(const struct facts *f)
{
	const struct expect_spec *x = &f->sc->expect;
	const char *text = "";

	if (!x->n_exits)
		return "exit status 0, 128+n, or killed by n after its handler ran, for a signal n "
		       "that was sent";
	for (size_t i = 0; i < x->n_exits && i < 16; i++) {
		const struct exit_allowed *a = &x->exits[i];
		const char *one = a->how == EXIT_CLEAN ? "clean (0, 128+n, killed by n)" :
				  a->how == EXIT_ANY   ? "any" :
				  a->how == EXIT_CODE  ? arena_printf(f->arena, "%d", a->value) :
							 arena_printf(f->arena, "killed by %s",
								 signal_name(a->value));

		text = arena_printf(f->arena, "%s%s%s", text, i ? ", " : "exit status in: ", one);
	}
	return text;
}

/* Of the round's processes: the one that crashed on or after the signal, not by our hand and not by the
 * signal that was sent. */
uint32_t crash_of(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_KILLED, n) {
		const struct event *e = fact_event(f, n);
		const char *text = fact_text(f, n);

		if (e->round != r->id || e->t < signal_begin(f, r) || e->t >= fact_t(f, r->relaunch) ||
			strstr(text, "by harness") || e->t >= fact_t(f, r->kill))
			continue;
		bool allowed = false;

		for (size_t i = 0; i < f->sc->expect.n_exits; i++)
			allowed |= f->sc->expect.exits[i].how == EXIT_SIGNAL &&
				   f->sc->expect.exits[i].value == e->b;
		if (!allowed && fatal_signal((int)(e->b & 0xFFFF)) && e->b != fact_a(f, r->sig) &&
			!(r->sig2 && e->b == fact_a(f, r->sig2)))
			return n;
	}
	return 0;
}
