/* What a table of keys cannot say: defaults that depend on another key, keys that exclude or need each other. */
#include <signal.h>
#include <string.h>

#include "scenario/keys.h"

#define STOP_SHOWS_AT_LATEST (300 * NSEC_PER_MSEC)
#define LEAK_BATCHES 3

/* Without a limit of their own only the listener's end and the rest have one: many good servers keep it open while they drain,
 * and some never rest. */
static void trigger_rules(const struct node *map, struct trigger *t)
{
	bool stop_shows = t->on == ON_LISTENER_CLOSED || t->on == ON_SETTLED || t->on == ON_CLOSED_SETTLED;

	if (!node_find(map, "at_latest"))
		t->at_latest = stop_shows ? STOP_SHOWS_AT_LATEST : NSEC_NEVER;
}

/* Keys of a client that mean something in some phases only: written elsewhere they are a mistake. */
static int client_rules(struct reader *r, const struct node *map, struct client_spec *c)
{
	static const struct {
		const char *key;
		enum phase phase;
	} own[] = {
		{"stop_target", PHASE_BACKLOG}, {"reuse", PHASE_LOOP}, {"requests", PHASE_LOOP},
		{"lasts", PHASE_LOOP}, {"rcvbuf", PHASE_SLOW_READER},
	};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		const struct node *n = node_find(map, own[i].key);

		if (n && c->phase != own[i].phase)
			return bad(r, key_find(SEC_CLIENT, own[i].key), n, "only phase %s has it, this client is %s",
				   phase_rows[own[i].phase].name, phase_rows[c->phase].name);
	}
	const struct node *every = node_find(map, "every");

	if (every && c->phase != PHASE_LOOP && c->phase != PHASE_PING_ONLY)
		return bad(r, key_find(SEC_CLIENT, "every"), every, "only phases loop and ping-only have it, this client is %s",
			   phase_rows[c->phase].name);
	if (!c->name)
		c->name = phase_rows[c->phase].name;
	if (!strcmp(c->name, "all"))
		return err_at(r->reterr, c->at, "a client cannot be called 'all'");
	return 0;
}

static int step_rules(struct reader *r, const struct node *map, struct step_spec *s)
{
	const struct node *one = NULL;

	for (const struct node *n = map->first; n; n = n->next) {
		if (words_find(words_step, n->key) < 0)
			continue;
		if (one)
			return err_at(r->reterr, n->key_at, "'%s' and '%s' in one step: make it two", one->key, n->key);
		one = n;
	}
	if (!one)
		return err_at(r->reterr, map->at, "a step says one of release, finish, read, close or connect");
	if (s->what == STEP_CONNECT && !s->client)
		return err_at(r->reterr, one->at, "connect: name the client");
	trigger_rules(map, &s->when);
	return 0;
}

/* Keys that mean something in some ways of restarting only. */
static int restart_rules(struct reader *r, const struct node *map, struct restart_spec *s)
{
	static const struct {
		const char *key;
		unsigned how;
	} own[] = {
		{"send", 1u << RESTART_HOT}, {"command", 1u << RESTART_COMMAND}, {"when", 1u << RESTART_OVERLAP},
		{"after", 1u << RESTART_OVERLAP}, {"at_latest", 1u << RESTART_OVERLAP},
		{"leaves", 1u << RESTART_HOT | 1u << RESTART_COMMAND}, {"old", 1u << RESTART_HOT | 1u << RESTART_COMMAND},
		{"times", 1u << RESTART_HOT | 1u << RESTART_COMMAND}, {"answers", 1u << RESTART_HOT | 1u << RESTART_COMMAND},
		{"names", 1u << RESTART_HOT | 1u << RESTART_COMMAND}, {"spoil", 1u << RESTART_HOT | 1u << RESTART_COMMAND},
		{"within", 1u << RESTART_HOT | 1u << RESTART_COMMAND},
	};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		const struct node *n = node_find(map, own[i].key);

		if (n && !(own[i].how & 1u << s->how))
			return bad(r, key_find(SEC_RESTART, own[i].key), n, "`how: %s` has no such thing",
				   restart_name(s->how));
	}
	if (s->how == RESTART_COMMAND)
		s->newest = true;
	return 0;
}

static int same_name(struct reader *r, const struct scenario *sc)
{
	for (size_t i = 0; i < sc->n_clients; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(sc->clients[i].name, sc->clients[j].name))
				return err_at(r->reterr, sc->clients[i].at, "two clients are called '%s'%s",
					      sc->clients[i].name, ": give them names");
	return 0;
}

/* The file's name without folder and ending. */
static const char *name_of_file(struct reader *r, const char *path)
{
	const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path;
	const char *dot = strrchr(from, '.');
	size_t n = dot && dot > from ? (size_t)(dot - from) : strlen(from);

	return n ? arena_strndup(r->arena, from, n) : "unnamed";
}

static int top_rules(struct reader *r, const struct node *map, struct scenario *sc)
{
	if (!sc->name)
		sc->name = name_of_file(r, sc->path ? sc->path : "");
	if (!node_find(map, "signals")) {
		sc->signals = arena_new_of(r->arena, struct signal_spec);
		sc->n_signals = 1;
		section_defaults(r, SEC_SIGNAL, sc->signals);
		sc->signals->at = map->at;
		sc->signals->when.at_latest = NSEC_NEVER;
	}
	if (sc->restart.how == RESTART_CRASH && !node_find(map, "signals"))
		sc->signals->signo = SIGKILL;
	if (node_find(map, "leak") && !sc->leak_batches)
		sc->leak_batches = LEAK_BATCHES;
	for (size_t i = 0; i < sc->n_signals; i++) {
		struct trigger *t = &sc->signals[i].when;

		/* marked by the signal's own rules: its event was not written */
		if (t->on == ON_EXIT + 1)
			t->on = i ? ON_SIGNAL : ON_ARMED;
	}
	return same_name(r, sc);
}

int section_rules(struct reader *r, enum section section, const struct node *map, void *base)
{
	switch (section) {
	case SEC_TOP:
		return top_rules(r, map, base);
	case SEC_CLIENT:
		return client_rules(r, map, base);
	case SEC_SIGNAL:
		trigger_rules(map, &((struct signal_spec *)base)->when);
		if (!node_find(map, "when"))
			((struct signal_spec *)base)->when.on = ON_EXIT + 1;
		return 0;
	case SEC_RESTART:
		return restart_rules(r, map, base);
	case SEC_STEP:
		return step_rules(r, map, base);
	case SEC_VARY:
	case SEC_LEAK:
	case SEC_TARGET:
	case SEC_PORT:
	case SEC_EXPECT:
	case SEC_SETTINGS:
	case SEC_N:
		break;
	}
	return 0;
}
