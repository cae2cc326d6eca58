#include "run/env.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"

static const char *const tls_names[TLS_FILES] = {"TLS_CERT", "TLS_KEY", "TLS_CA"};

static const char *port_text(struct run *r, const struct port *p)
{
	return p->path ? p->path : arena_printf(r->arena, "%u", p->number);
}

/* Value of ${name} in commands and environment; NULL: not ours, left as it is. */
static const char *variable(struct run *r, const char *name, size_t n)
{
	if (n == 4 && !memcmp(name, "PORT", 4))
		return r->n_ports ? port_text(r, &r->ports[0]) : "";
	for (unsigned i = 0; i < r->n_ports; i++) {
		const char *own = r->ports[i].spec->name;

		if (n > 5 && !memcmp(name, "PORT_", 5) && strlen(own) == n - 5 && !memcmp(name + 5, own, n - 5))
			return port_text(r, &r->ports[i]);
	}
	if (n == 6 && !memcmp(name, "OLDPID", 6))
		return arena_printf(r->arena, "%d", r->pid);
	if (n == 14 && !memcmp(name, "DRAINSPEC_GATE", 14))
		return arena_printf(r->arena, "127.0.0.1:%u", r->gate_port);
	for (unsigned i = 0; r->tls_handed && i < TLS_FILES; i++)
		if (n == strlen(tls_names[i]) && !memcmp(name, tls_names[i], n))
			return r->tls_files[i];
	if (n == 6 && !memcmp(name, "TMPDIR", 6))
		return r->world->tmp;
	return NULL;
}

char *env_expand(struct run *r, const char *s)
{
	struct buf b = {0};

	while (*s) {
		const char *end = s[0] == '$' && s[1] == '{' ? strchr(s, '}') : NULL;
		const char *value = end ? variable(r, s + 2, (size_t)(end - s - 2)) : NULL;

		if (value) {
			buf_adds(&b, value);
			s = end + 1;
		} else {
			buf_addc(&b, *s++);
		}
	}
	char *copy = arena_strndup(r->arena, b.p ? b.p : "", b.n);

	buf_free(&b);
	return copy;
}

struct env {
	char **v;
	size_t n;
};

static void env_set(struct run *r, struct env *env, const char *key, const char *value)
{
	char *line = arena_printf(r->arena, "%s=%s", key, value);
	size_t len = strlen(key);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], key, len) && env->v[i][len] == '=') {
			env->v[i] = line;
			return;
		}
	env->v[env->n++] = line;
}

int env_build(struct run *r, const char *notify)
{
	const struct target_spec *t = &r->sc->target;
	size_t argc = 0, envc = 0;
	char key[96];

	while (t->command[argc])
		argc++;
	while (environ[envc])
		envc++;
	r->argv = arena_array(r->arena, char *, argc + 1);
	for (size_t i = 0; i < argc; i++)
		r->argv[i] = env_expand(r, t->command[i]);

	struct env env = {.v = arena_array(r->arena, char *, envc + t->n_env + MAX_PORTS + 8 + TLS_FILES)};

	for (size_t i = 0; i < envc; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) && strncmp(environ[i], "LISTEN_FDS=", 11))
			env.v[env.n++] = environ[i];
	env_set(r, &env, "TMPDIR", r->world->tmp);
	for (unsigned i = 0; i < r->n_ports; i++) {
		const char *port = port_text(r, &r->ports[i]);

		if (i == 0)
			env_set(r, &env, "PORT", port);
		if (r->ports[i].spec->name[0]) {
			snprintf(key, sizeof key, "PORT_%s", r->ports[i].spec->name);
			env_set(r, &env, key, port);
		}
	}
	if (r->gate_port)
		env_set(r, &env, "DRAINSPEC_GATE", arena_printf(r->arena, "127.0.0.1:%u", r->gate_port));
	for (unsigned i = 0; r->tls_handed && i < TLS_FILES; i++) {
		snprintf(key, sizeof key, "DRAINSPEC_%s", tls_names[i]);
		env_set(r, &env, key, r->tls_files[i]);
	}
	if (notify[0])
		env_set(r, &env, "NOTIFY_SOCKET", notify);
	for (size_t i = 0; i < t->n_env; i++)
		env_set(r, &env, t->env[i].key, env_expand(r, t->env[i].value));
	r->envp = env.v;
	return 0;
}
