#include <string.h>

#include "plan/parts.h"

static void *copy_array(struct arena *arena, const void *v, size_t n, size_t size)
{
	if (!v)
		return NULL;
	void *copy = arena_alloc(arena, (n + 1) * size);

	if (n)
		memcpy(copy, v, n * size);
	return copy;
}

static char **copy_words(struct arena *arena, char *const *v)
{
	size_t n = 0;

	if (!v)
		return NULL;
	while (v[n])
		n++;
	char **copy = arena_array(arena, char *, n + 1);

	for (size_t i = 0; i < n; i++)
		copy[i] = arena_strdup(arena, v[i]);
	return copy;
}

static void copy_string(struct arena *arena, const char **s)
{
	*s = arena_strdup(arena, *s);
}

struct kv *plan_copy_kv(struct arena *arena, const struct kv *v, size_t n)
{
	struct kv *copy = copy_array(arena, v, n, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		copy_string(arena, &copy[i].at.path);
		copy_string(arena, &copy[i].key);
		copy_string(arena, &copy[i].value);
	}
	return copy;
}

static void copy_target(struct arena *arena, struct target_spec *t)
{
	copy_string(arena, &t->at.path);
	t->command = copy_words(arena, t->command);
	t->env = plan_copy_kv(arena, t->env, t->n_env);
	copy_string(arena, &t->cwd);
	t->ports = copy_array(arena, t->ports, t->n_ports, sizeof *t->ports);
	for (size_t i = 0; i < t->n_ports; i++) {
		copy_string(arena, &t->ports[i].name);
		copy_string(arena, &t->ports[i].protocol);
		copy_string(arena, &t->ports[i].path);
	}
	copy_string(arena, &t->ready_arg);
}

static void copy_clients(struct arena *arena, struct scenario *sc)
{
	sc->clients = copy_array(arena, sc->clients, sc->n_clients, sizeof *sc->clients);
	for (size_t i = 0; i < sc->n_clients; i++) {
		struct client_spec *c = &sc->clients[i];

		copy_string(arena, &c->at.path);
		copy_string(arena, &c->name);
		copy_string(arena, &c->protocol);
		copy_string(arena, &c->descriptors);
		copy_string(arena, &c->request);
		copy_string(arena, &c->answer);
		copy_string(arena, &c->port);
		c->headers = plan_copy_kv(arena, c->headers, c->n_headers);
	}
}

static void copy_actions(struct arena *arena, struct scenario *sc)
{
	sc->signals = copy_array(arena, sc->signals, sc->n_signals, sizeof *sc->signals);
	for (size_t i = 0; i < sc->n_signals; i++) {
		copy_string(arena, &sc->signals[i].at.path);
		copy_string(arena, &sc->signals[i].when.regex);
	}
	sc->steps = copy_array(arena, sc->steps, sc->n_steps, sizeof *sc->steps);
	for (size_t i = 0; i < sc->n_steps; i++) {
		copy_string(arena, &sc->steps[i].at.path);
		copy_string(arena, &sc->steps[i].client);
		copy_string(arena, &sc->steps[i].when.regex);
	}
}

struct scenario *plan_copy(const struct scenario *sc, struct arena *arena)
{
	struct scenario *copy = arena_new_of(arena, struct scenario);
	struct expect_spec *e = &copy->expect;

	*copy = *sc;
	copy_string(arena, &copy->at.path);
	copy_string(arena, &copy->path);
	copy_string(arena, &copy->name);
	copy_string(arena, &copy->why);
	copy_target(arena, &copy->target);
	copy_clients(arena, copy);
	copy_actions(arena, copy);
	copy_string(arena, &e->at.path);
	copy->restart.command = copy_words(arena, copy->restart.command);
	copy_string(arena, &copy->restart.names);
	copy_string(arena, &copy->restart.spoil);
	copy_string(arena, &copy->restart.when.regex);
	e->exits = copy_array(arena, e->exits, e->n_exits, sizeof *e->exits);
	copy_string(arena, &e->log);
	e->removes = copy_words(arena, e->removes);
	copy_string(arena, &e->readiness);
	copy->vary_to = copy_array(arena, copy->vary_to, copy->n_vary_to, sizeof *copy->vary_to);
	copy->only = copy_words(arena, copy->only);
	return copy;
}
