/* Do the parts of a scenario fit together? Said with the place, before anything is started. Whether a protocol
 * has a phase is not known here: that is run's to say. */
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "plan/parts.h"

#define MAX_REGEX 1000
#define MAX_REPEATS 10000
#define MAX_ACTIONS 60  /* signals and steps together: run/engine.h */
#define MAX_VARIED 8    /* signals in a varied scenario: run/run.c copies them into a fixed array */

static const struct client_spec *find_client(const struct scenario *sc, const char *name)
{
	for (size_t i = 0; i < sc->n_clients; i++)
		if (!strcmp(sc->clients[i].name, name))
			return &sc->clients[i];
	return NULL;
}

static int no_client(const struct builder *b, const struct step_spec *s)
{
	const char *names[64], *nearest;
	size_t n = 0;

	for (; n < b->sc->n_clients && n < 64; n++)
		names[n] = b->sc->clients[n].name;
	nearest = nearest_word(s->client, names, n);
	return err_at(b->reterr, s->at, "there is no client '%s'%s%s%s", s->client,
		      nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Has this client anything that the step could do? */
static bool step_fits(enum step_do what, enum phase phase)
{
	switch (what) {
	case STEP_FINISH:
		return phase == PHASE_HALF_HEADER || phase == PHASE_HALF_BODY || phase == PHASE_PIPELINED ||
		       phase == PHASE_STREAMING || phase == PHASE_TRANSACTION || phase == PHASE_CONNECTED;
	case STEP_READ:
		return phase == PHASE_SLOW_READER;
	case STEP_CONNECT:
		return phase == PHASE_LATE;
	case STEP_RELEASE_GATE:
	case STEP_CLOSE:
	case STEP_START:
		break;
	}
	return true;
}

static int check_step(const struct builder *b, const struct step_spec *s)
{
	static const char *const owed[] = {
		[STEP_FINISH] = "finish is for half-header, half-body, transaction, streaming (a call that keeps sending) and connected (asks only then)",
		[STEP_READ] = "read is for slow-reader",
		[STEP_CONNECT] = "connect is for late",
	};
	const struct client_spec *c = NULL;
	bool any = false;

	if (s->what == STEP_RELEASE_GATE)
		return 0;
	if (s->client && !(c = find_client(b->sc, s->client)))
		return no_client(b, s);
	if (c && !step_fits(s->what, c->phase))
		return err_at(b->reterr, s->at, "client '%s' is %s: %s", c->name, phase_rows[c->phase].name,
			      owed[s->what]);
	if (c && s->what == STEP_FINISH && c->phase == PHASE_CONNECTED && (!c->request || !strcmp(c->request, "none")))
		return err_at(b->reterr, s->at, "client '%s' has no request that it could finish with", c->name);
	for (size_t i = 0; i < b->sc->n_clients; i++)
		any |= step_fits(s->what, b->sc->clients[i].phase);
	if (!any)
		return err_at(b->reterr, s->at, "there is no client that it could mean: %s",
			      s->what == STEP_CLOSE ? "the scenario has none" : owed[s->what]);
	return 0;
}

/* Repetitions of repetitions make regcomp(3) take memory without end: the product of their bounds is limited. */
static bool repeats_much(const char *regex)
{
	double product = 1;

	for (const char *p = strchr(regex, '{'); p; p = strchr(p + 1, '{')) {
		unsigned long low = strtoul(p + 1, (char **)&p, 10), high = *p == ',' ? strtoul(p + 1, NULL, 10) : 0;

		product *= 1 + (double)(low > high ? low : high);
	}
	return product > MAX_REPEATS;
}

static int check_regex(const struct builder *b, struct span at, const char *key, const char *regex)
{
	regex_t re;
	char why[128];

	if (!regex)
		return 0;
	if (strlen(regex) > MAX_REGEX)
		return err_at(b->reterr, at, "%s: a regular expression of more than %d bytes", key, MAX_REGEX);
	if (repeats_much(regex))
		return err_at(b->reterr, at, "%s: '%.200s' repeats too often", key, regex);
	int failed = regcomp(&re, regex, REG_EXTENDED | REG_NOSUB);

	if (!failed) {
		regfree(&re);
		return 0;
	}
	regerror(failed, &re, why, sizeof why);
	return err_at(b->reterr, at, "%s: '%.200s' is not a regular expression: %s", key, regex, why);
}

static int check_client(const struct builder *b, const struct client_spec *c)
{
	const struct target_spec *t = &b->sc->target;

	if (c->port) {
		size_t i = 0;

		while (i < t->n_ports && strcmp(t->ports[i].name, c->port))
			i++;
		if (i == t->n_ports)
			return err_at(b->reterr, c->at, "client '%s': the target has no port '%s'", c->name, c->port);
	}
	return check_regex(b, c->at, "answer", c->answer);
}

/* A terminal sends what its keys send, and a hang-up. */
static bool tty_sends(int signo)
{
	return signo == SIGINT || signo == SIGQUIT || signo == SIGTSTP || signo == SIGHUP;
}

static int check_signal(const struct builder *b, const struct signal_spec *s)
{
	const struct scenario *sc = b->sc;
	bool tty = s->to == TO_TTY;

	for (size_t i = 0; i < sc->n_vary_to; i++)
		tty |= sc->vary_to[i] == TO_TTY;
	if (tty && !tty_sends(s->signo))
		return err_at(b->reterr, s->at, "a terminal cannot send %s, only SIGINT, SIGQUIT, SIGTSTP and SIGHUP",
			      signal_name(s->signo));
	if (s->to == TO_INIT && sc->target.isolate != ISOLATE_CONTAINER)
		return err_at(b->reterr, s->at, "to: init needs `isolate: container`, there is no init otherwise");
	return check_regex(b, s->at, "when", s->when.regex);
}

static int check_signals(const struct builder *b)
{
	const struct scenario *sc = b->sc;
	bool starts = !sc->n_signals;

	for (size_t i = 0; i < sc->n_signals; i++) {
		if (check_signal(b, &sc->signals[i]) < 0)
			return -1;
		starts |= sc->signals[i].when.on != ON_SIGNAL;
	}
	if (!starts)
		return err_at(b->reterr, sc->signals[0].at,
			      "every signal waits for a signal: say `when: armed` for the first");
	if (sc->n_vary_to && sc->n_signals > MAX_VARIED)
		return err_at(b->reterr, sc->at, "more than %d signals in a varied scenario", MAX_VARIED);
	return 0;
}

int plan_check(const struct builder *b)
{
	const struct scenario *sc = b->sc;

	if (check_regex(b, b->st->at, "answer", b->st->answer) < 0)
		return -1;
	if (sc->n_signals + sc->n_steps > MAX_ACTIONS)
		return err_at(b->reterr, sc->at, "more than %d signals and steps", MAX_ACTIONS);
	for (size_t i = 0; i < sc->n_clients; i++)
		if (check_client(b, &sc->clients[i]) < 0)
			return -1;
	if (check_signals(b) < 0)
		return -1;
	for (size_t i = 0; i < sc->n_steps; i++)
		if (check_step(b, &sc->steps[i]) < 0 ||
		    check_regex(b, sc->steps[i].at, "when", sc->steps[i].when.regex) < 0)
			return -1;
	if (check_regex(b, sc->at, "restart.names", sc->restart.names) < 0 ||
	    check_regex(b, sc->at, "restart.when", sc->restart.when.regex) < 0)
		return -1;
	if (sc->target.ready == READY_LOG && check_regex(b, sc->target.at, "ready", sc->target.ready_arg) < 0)
		return -1;
	return check_regex(b, sc->expect.at, "expect.log", sc->expect.log);
}
