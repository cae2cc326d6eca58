/* The target: what the scenario says about it, then the settings, then the default. */
#include <string.h>

#include "plan/parts.h"

static int resolve_command(struct builder *b)
{
	struct target_spec *t = &b->sc->target;
	size_t n = 0;

	if (t->command)
		return 0;
	if (!b->st->command || !b->st->command[0])
		return err_at(b->reterr, b->sc->at, "no command: put it after -- or under target.command");
	while (b->st->command[n])
		n++;
	t->command = arena_array(b->arena, char *, n + 1);
	for (size_t i = 0; i < n; i++)
		t->command[i] = arena_strdup(b->arena, b->st->command[i]);
	return 0;
}

/* The settings describe the target of the command line: a scenario with its own command keeps its own ports. */
static void resolve_ports(struct builder *b)
{
	struct target_spec *t = &b->sc->target;

	if (!t->n_ports && !t->no_port && !b->own_target) {
		t->no_port = b->st->no_port;
		t->n_ports = b->st->n_ports;
		t->ports = arena_array(b->arena, struct port_spec, b->st->n_ports + 1);
		for (size_t i = 0; i < t->n_ports; i++) {
			const struct port_spec *p = &b->st->ports[i];

			t->ports[i] = (struct port_spec){.name = arena_strdup(b->arena, p->name), .port = p->port,
				.path = arena_strdup(b->arena, p->path), .protocol = arena_strdup(b->arena, p->protocol)};
		}
	}
	if (!t->n_ports && !t->no_port) {
		t->ports = arena_new_of(b->arena, struct port_spec);
		t->ports->name = "";
		t->n_ports = 1;
	}
}

/* Both, the scenario's own value of a name wins: it is the more particular one. */
static void resolve_env(struct builder *b)
{
	struct target_spec *t = &b->sc->target;
	struct kv *v = arena_array(b->arena, struct kv, t->n_env + b->st->n_env);
	size_t n = 0;

	for (size_t i = 0; i < b->st->n_env; i++) {
		size_t same = 0;

		while (same < t->n_env && strcmp(t->env[same].key, b->st->env[i].key))
			same++;
		if (same < t->n_env)
			continue;
		v[n].key = arena_strdup(b->arena, b->st->env[i].key);
		v[n++].value = arena_strdup(b->arena, b->st->env[i].value);
	}
	if (t->n_env)
		memcpy(v + n, t->env, t->n_env * sizeof *v);
	t->env = v;
	t->n_env += n;
}

static void resolve_ready(struct builder *b)
{
	struct target_spec *t = &b->sc->target;

	if (b->st->has_ready && t->ready == READY_LISTENING && !b->own_target) {
		t->ready = b->st->ready;
		t->ready_arg = arena_strdup(b->arena, b->st->ready_arg);
	}
	/* a target that listens nowhere is up when it runs */
	if (t->no_port && t->ready == READY_LISTENING)
		t->ready = READY_STARTED;
	if (!t->ready_within)
		t->ready_within = b->st->ready_within ? b->st->ready_within : 30 * NSEC_PER_SEC;
}

/* The flag decides, but a scenario about PID 1 is nothing without a container. */
static void resolve_isolate(struct builder *b)
{
	struct target_spec *t = &b->sc->target;

	if (t->isolate == ISOLATE_CONTAINER && b->st->isolate == ISOLATE_HOST)
		plan_skip(b, "it needs a PID namespace: not with --isolate host");
	else if (t->isolate != ISOLATE_CONTAINER && b->st->isolate != ISOLATE_AUTO)
		t->isolate = b->st->isolate;
	if (b->sc->sweep && t->isolate == ISOLATE_CONTAINER)
		plan_skip(b, "as PID 1 nobody gets a signal for which he has no handler yet: the kernel drops it");
}

int plan_target(struct builder *b)
{
	b->own_target = b->sc->target.command != NULL;
	if (resolve_command(b) < 0)
		return -1;
	resolve_ports(b);
	resolve_env(b);
	resolve_ready(b);
	resolve_isolate(b);
	for (size_t i = 0; i < b->sc->n_signals; i++)
		b->sc->target.tty |= b->sc->signals[i].to == TO_TTY;
	return 0;
}
