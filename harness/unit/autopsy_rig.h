/* What an autopsy says of a child of the test, its first line and the rest. */
#pragma once
#include "target/autopsy.h"
#include "target_rig.h"

struct scene {
	struct diag *diag;
	int listener, client;
	uint16_t port, client_port;
	struct buf out;
};

static inline const char *peer(void *arg, uint16_t server, uint16_t client)
{
	const struct scene *s = arg;

	return server == s->port && client == s->client_port ? "client #4 (idle keep-alive)" : NULL;
}

static inline const char *first_line(struct scene *s, pid_t pid)
{
	static char line[1024];

	buf_clear(&s->out);
	autopsy_process(pid, s->diag, peer, s, &s->out);
	snprintf(line, sizeof line, "%.*s", (int)strcspn(s->out.p, "\n"), s->out.p);
	return line;
}

/* Until the first line says so: a child may still be on its way into the call that it will be found in. */
static inline void expect_first(struct scene *s, pid_t pid, const char *part)
{
	nsec_t until = clock_now() + 5 * NSEC_PER_SEC;

	while (!strstr(first_line(s, pid), part))
		ck_assert_msg(clock_now() < until, "no \"%s\" at the top of:\n%s", part, s->out.p);
}

static inline void expect_line(struct scene *s, pid_t pid, const char *part)
{
	nsec_t until = clock_now() + 5 * NSEC_PER_SEC;

	while (first_line(s, pid) && !strstr(s->out.p, part))
		ck_assert_msg(clock_now() < until, "no \"%s\" in:\n%s", part, s->out.p);
}

static inline void scene_end(struct scene *s, pid_t pid)
{
	rig_kill(pid);
	if (s->listener > 0)
		close(s->listener);
	if (s->client > 0)
		close(s->client);
	diag_close(s->diag);
	buf_free(&s->out);
}

static inline void waits(int ready, void *arg)
{
	(void)arg;
	rig_say(ready, 1);
	pause();
}
