/* A plan as a person reads it: --dry-run. */
#include <string.h>

#include "base/names.h"
#include "plan/plan.h"

static void print_command(const struct target_spec *t, struct buf *out)
{
	buf_adds(out, "  target  ");
	for (size_t i = 0; t->command[i]; i++) {
		bool plain = *t->command[i] && !strpbrk(t->command[i], " \t\n'\"");

		buf_printf(out, plain ? " %s" : " '%s'", t->command[i]);
	}
	buf_addc(out, '\n');
}

static void print_target(const struct target_spec *t, struct buf *out)
{
	static const char *const ready[] = {
		[READY_LISTENING] = "when it listens", [READY_HTTP] = "when GET %s answers 200",
		[READY_LOG] = "when it prints /%s/", [READY_NOTIFY] = "when it says READY=1",
		[READY_STARTED] = "when it runs", [READY_GRPC] = "when its health service says SERVING",
	};
	char time[24];

	print_command(t, out);
	buf_adds(out, "  port     ");
	if (t->no_port)
		buf_adds(out, "none");
	for (size_t i = 0; i < t->n_ports; i++) {
		buf_printf(out, "%s%s%s", i ? ", " : "", t->ports[i].name, *t->ports[i].name ? " " : "");
		if (t->ports[i].port)
			buf_printf(out, "%d", t->ports[i].port);
		else
			buf_adds(out, "auto");
	}
	buf_printf(out, "; isolation %s%s%s\n  ready    ", isolate_name(t->isolate), t->fresh ? ", fresh" : "",
		   t->tty ? ", on a terminal" : "");
	const char *how = ready[t->ready], *arg = strstr(how, "%s");

	if (arg)
		buf_printf(out, "%.*s%s%s", (int)(arg - how), how, t->ready_arg, arg + 2);
	else
		buf_adds(out, how);
	buf_printf(out, ", within %s\n", duration_text(t->ready_within, time));
}

static void print_client(const struct client_spec *c, struct buf *out)
{
	const struct phase_row *phase = &phase_rows[c->phase];

	buf_printf(out, "  client   %s: %u x %s", c->name, c->count, phase->name);
	if (c->request)
		buf_printf(out, ", '%s'", c->request);
	buf_printf(out, " (%s)%s%s\n", c->protocol ? c->protocol : "protocol probed",
		   c->never_closes ? ", never closes" : "", c->stop_target ? ", while the target is stopped" : "");
	buf_printf(out, "           proof: %s\n", phase->proof);
}

static void print_trigger(const struct trigger *t, struct buf *out)
{
	char time[24];

	buf_printf(out, "  when     %s", trigger_name(t->on));
	if (t->regex)
		buf_printf(out, " /%s/", t->regex);
	if (t->after)
		buf_printf(out, " + %s", duration_text(t->after, time));
	if (t->at_latest != NSEC_NEVER)
		buf_printf(out, " (%s later at the latest)", duration_text(t->at_latest, time));
	buf_adds(out, ": ");
}

static void print_signal(const struct signal_spec *s, struct buf *out)
{
	char time[24];

	print_trigger(&s->when, out);
	buf_printf(out, "send %s to the %s", signal_name(s->signo), whom_name(s->to));
	if (s->count > 1)
		buf_printf(out, ", %u times, %s apart", s->count, duration_text(s->gap, time));
	buf_addc(out, '\n');
}

static void print_step(const struct step_spec *s, struct buf *out)
{
	static const char *const what[] = {
		[STEP_RELEASE_GATE] = "release the gate", [STEP_FINISH] = "send the rest of the request",
		[STEP_READ] = "start to read", [STEP_CLOSE] = "close", [STEP_CONNECT] = "connect",
	};

	print_trigger(&s->when, out);
	buf_adds(out, what[s->what]);
	if (s->what != STEP_RELEASE_GATE)
		buf_printf(out, " (%s)", s->client ? s->client : "all");
	buf_addc(out, '\n');
}

static void print_expect(const struct expect_spec *e, struct buf *out)
{
	char a[24], b[24];

	buf_adds(out, "  expect   exit ");
	for (size_t i = 0; i < e->n_exits; i++) {
		buf_adds(out, i ? " or " : "");
		if (e->exits[i].how == EXIT_CODE)
			buf_addi(out, e->exits[i].value);
		else if (e->exits[i].how == EXIT_SIGNAL)
			buf_adds(out, signal_name(e->exits[i].value));
		else
			buf_adds(out, e->exits[i].how == EXIT_CLEAN ? "clean" : "any");
	}
	buf_printf(out, " within %s, listener closed within %s, second signal: %s\n", duration_text(e->within, a),
		   duration_text(e->listener_within, b), second_name(e->second));
}

static void print_restart(const struct restart_spec *s, struct buf *out)
{
	static const char *const what[] = {
		[RESTART_AFTER_EXIT] = "after    the same command again on the same port",
		[RESTART_CRASH] = "after    the same command again on the same port, after SIGKILL",
		[RESTART_OVERLAP] = "beside   the same command again on the same port, while the old one drains",
	};

	if (restart_hands_over(s))
		buf_printf(out, "  restart  %u times by %s, %s leave; the loop clients get %u answers%s\n", s->times,
			   s->how == RESTART_HOT ? signal_name(s->signo) : "a command",
			   s->newest ? "old generations" : "old workers", s->answers,
			   s->spoil ? "; then once with a bad configuration" : "");
	if (restart_hands_over(s))
		buf_adds(out, "           then the last generation is armed anew, and stopped\n");
	else if (s->how != RESTART_NO)
		buf_printf(out, "  %s\n", what[s->how]);
}

static void print_rounds(const struct scenario *sc, struct buf *out)
{
	if (sc->sweep)
		buf_printf(out, "  rounds   %u moments of the start-up\n", sc->sweep);
	for (size_t i = 0; i < sc->n_vary_to; i++)
		buf_printf(out, "%s%s%s", i ? ", " : "  rounds   to the ", whom_name(sc->vary_to[i]),
			   i + 1 == sc->n_vary_to ? "\n" : "");
	if (sc->control)
		buf_adds(out, "  before   one request of each line that clients wait for, answered\n");
	if (sc->leak_batches)
		buf_printf(out, "  before   %u batches of %u connections, counting what stays\n", sc->leak_batches,
			   sc->leak_batch_size);
	print_restart(&sc->restart, out);
}

void plan_print(const struct plan *plan, struct buf *out)
{
	const struct scenario *sc = plan->sc;
	char time[24];

	buf_printf(out, "%s%s%s\n", sc->name, sc->why ? ": " : "", sc->why ? sc->why : "");
	if (plan->skip_reason) {
		buf_printf(out, "  SKIP     %s\n", plan->skip_reason);
		return;
	}
	print_target(&sc->target, out);
	for (size_t i = 0; i < sc->n_clients; i++)
		print_client(&sc->clients[i], out);
	if (sc->n_clients)
		buf_printf(out, "  armed    within %s\n", duration_text(sc->arm_within, time));
	print_rounds(sc, out);
	for (size_t i = 0; i < sc->n_signals; i++)
		print_signal(&sc->signals[i], out);
	for (size_t i = 0; i < sc->n_steps; i++)
		print_step(&sc->steps[i], out);
	print_expect(&sc->expect, out);
}
