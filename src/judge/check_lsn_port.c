/* LSN-3, LSN-4, LSN-5: what the next start finds. */
#include "base/names.h"
#include "judge/say.h"
#include "judge/shows.h"

#define HOLDER_TIME_WAIT 7      /* enum holder_kind of target/port.h, which the judge may not include */
#define REUSEADDR "set SO_REUSEADDR on the listener before bind(): TIME_WAIT then does not count"

static uint32_t event_in(const struct facts *f, const struct round_fact *r, enum event_kind kind)
{
	for_each_event(f, kind, n)
		if (fact_event(f, n)->round == r->id)
			return n;
	return 0;
}

static bool rebind_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_round(f, r) {
		if (event_in(f, r, EV_REBIND))
			return true;
	}
	return false;
}

static const char *holder_text(
	const struct facts *f, const struct round_fact *r, struct finding *ret, bool *ret_time_wait)
{
	const char *text = NULL;

	*ret_time_wait = false;
	for_each_event(f, EV_PORT_HOLDER, n) {
		if (fact_event(f, n)->round != r->id)
			continue;
		*ret_time_wait |= fact_b(f, n) == HOLDER_TIME_WAIT;
		text = text ? text : fact_text(f, n);
		if (ret)
			cite(ret, n);
	}
	return text ? text : "no holder is visible";
}

/* Is it the kernel's memory of closed connections only? That every server leaves that closes first. */
static bool only_time_wait(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_PORT_HOLDER, n)
		if (fact_event(f, n)->round == r->id && fact_b(f, n) != HOLDER_TIME_WAIT)
			return false;
	return true;
}

/* TIME_WAIT stands in the way even of a bind with SO_REUSEADDR: then the sockets that left it, the server's own, had none. */
static bool server_lacks_reuse(const struct facts *f, const struct round_fact *r, uint32_t rebind)
{
	bool any = false;

	for_each_event(f, EV_PORT_HOLDER, n)
		any |= fact_event(f, n)->round == r->id;
	return fact_a(f, rebind) && any && only_time_wait(f, r);
}

static void one_rebind(struct sum *t, const struct round_fact *r, uint32_t n, bool *ret_time_wait)
{
	const struct facts *f = t->f;
	const char *held = port_held_by(f, (uint16_t)(r - f->rounds));
	bool time_wait, strict = fact_a(f, n) != 0;
	int errnum = (int)(strict ? fact_a(f, n) : fact_b(f, n));

	if (!strict && (!errnum || only_time_wait(f, r))) {
		t->good++;
		*ret_time_wait |= errnum != 0;
	} else if (strict && r->kill && !held) {
		sum_killed(t, r);
	} else if (held && held[0] == 'R') {
		sum_see(t, held);
	} else if (server_lacks_reuse(f, r, n)) {
		if (sum_bad(t, MUST, "server",
			    "bind and listen after the exit: %s even with SO_REUSEADDR, so the server's own sockets had none; %s",
			    errno_name(errnum), holder_text(f, r, NULL, &time_wait))) {
			cite(t->ret, r->exit);
			cite(t->ret, n);
			holder_text(f, r, t->ret, &time_wait);
			t->ret->hint = REUSEADDR;
		}
	} else if (sum_bad(t, strict ? MUST : SHOULD, held ? "server" : "environment",
			   "bind and listen %s SO_REUSEADDR after the exit: %s; %s",
			   strict ? "with" : "without", errno_name(errnum),
			   holder_text(f, r, NULL, &time_wait))) {
		cite(t->ret, r->exit);
		cite(t->ret, n);
		holder_text(f, r, t->ret, &time_wait);
	}
}

static void judge_lsn_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	bool time_wait = false;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "ports");
	ret->expected = "once the process is gone, the port can be bound at once (with SO_REUSEADDR)";
	for_each_event(f, EV_REBIND, n) {
		const struct round_fact *r = round_at(f, n);

		if (r && round_judged(f, r))
			one_rebind(&t, r, n, &time_wait);
	}
	sum_end(&t, "ports could be bound again at once");
	if (ret->outcome == PASS && time_wait)
		found(f, ret, PASS,
			"%s; without SO_REUSEADDR the bind fails for up to 60 s: TIME_WAIT, as after "
			"every server that "
			"closes first",
			ret->actual);
}

static bool restart_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->restart.how == RESTART_NO || sc->sweep)
		return false;
	for_each_round(f, r) {
		if (event_in(f, r, EV_RESTART))
			return true;
	}
	return false;
}

/* What a killed process leaves only the next start can clear away, and some good servers do not: workers of a killed nginx keep
 * its port. */
static enum level restart_level(const struct scenario *sc)
{
	return sc->restart.how == RESTART_CRASH ? SHOULD : MUST;
}

static void judge_lsn_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = sc->restart.how == RESTART_OVERLAP ?
		"the same command comes up on the same port while the old process drains, and serves on after its end" :
		"the same command comes up again on the same port and answers";
	ret->level = restart_level(sc);
	for_each_event(f, EV_RESTART, n) {
		const struct round_fact *r = round_at(f, n);
		const char *held = r && sc->restart.how == RESTART_AFTER_EXIT ? port_held_by(f, (uint16_t)(r - f->rounds)) : NULL;
		bool time_wait;

		if (!r || !round_judged(f, r))
			continue;
		uint32_t rebind = event_in(f, r, EV_REBIND);

		if (fact_a(f, n)) {
			t.good++;
		} else if (sc->restart.how == RESTART_AFTER_EXIT && rebind && server_lacks_reuse(f, r, rebind)) {
			sum_see(&t, "LSN-3");
		} else if (held) {
			sum_see(&t, held);
		} else if (sum_bad(&t, restart_level(sc), "application", "%s; %s", fact_text(f, n),
				   holder_text(f, r, NULL, &time_wait))) {
			cite(ret, f->first[EV_HANDOVER]);
			cite(ret, r->exit);
			cite(ret, r->relaunch);
			cite(ret, n);
			holder_text(f, r, ret, &time_wait);
			if (time_wait)
				ret->hint = REUSEADDR;
		}
	}
	sum_end(&t, "restarts came up and answered");
}

static bool removes_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && sc->expect.removes && sc->expect.removes[0] && any_round(f);
}

/* Killed on purpose it removes nothing: then the next start must cope with what is there. */
static void files_of_the_killed(struct sum *t, const struct round_fact *r)
{
	uint32_t again = event_in(t->f, r, EV_RESTART);

	if (again && fact_a(t->f, again))
		t->good++;
	else if (again)
		sum_see(t, "LSN-4");
}

static void files_of(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	bool any = false;

	for_each_event(f, EV_LEFT_FILE, n) {
		int32_t how = fact_event(f, n)->conn;
		const char *what = how == 1 ? "is still there after the exit" :
				   "is gone: the old process removed what is the new one's";

		if (fact_event(f, n)->round != r->id || (how != 1 && how != 2))
			continue;
		any = true;
		if (charged_to_default(f, r)) {
			sum_see(t, "SIG-1");
		} else if (sum_bad(t, MUST, "application", "%s %s", fact_text(f, n), what)) {
			cite(t->ret, f->first[EV_HANDOVER]);
			cite(t->ret, r->exit);
			cite(t->ret, n);
		}
	}
	t->good += !any;
}

static void judge_lsn_5(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	enum restart_how how = sc->restart.how;
	struct sum t;

	(void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = how == RESTART_OVERLAP ?
		"the unix sockets and pidfiles listed in expect.removes stay: they are the new process's" :
		how == RESTART_CRASH ? "what SIGKILL leaves behind does not keep the same command from coming up" :
		"the unix sockets and pidfiles listed in expect.removes are gone after the exit";
	for_each_round(f, r) {
		if (!r->exit || r->kill)
			sum_killed(&t, r);
		else if (how == RESTART_CRASH)
			files_of_the_killed(&t, r);
		else
			files_of(&t, r);
	}
	sum_end(&t, how == RESTART_OVERLAP || how == RESTART_CRASH ? "rounds left the files to whom they belong" :
		"rounds removed their files");
}

const struct check check_lsn_3 = {
	.id = "LSN-3", .title = "the port can be bound again at once", .level = MUST,
	.alone = true,
	.applies = rebind_applies, .judge = judge_lsn_3,
	.todo = "end the process that is named as holder; open listeners with SO_REUSEADDR and SOCK_CLOEXEC",
	.why = "`bind: address already in use` after a stop means that somebody still has the port: a "
	       "child, a helper, a socket that was bound and forgotten. TIME_WAIT alone is normal: "
	       "whoever closes first has it for 60 s on Linux (RFC 9293, 3.6.1), and SO_REUSEADDR "
	       "(socket(7)) is the answer to it.",
	.proof = "bind() and listen() on the port right after the exit, with and without SO_REUSEADDR, "
		 "and an autopsy of the port that names every holder. Failing with it is a MUST; "
		 "failing without it a SHOULD, and none at all if only TIME_WAIT is there.",
	.modes = "SD-LEFT-FD-PORT, SD-LEFT-TIMEWAIT, SD-LEFT-ORPHAN",
	.fix_go = "Stop helpers you started; net.Listen sets SO_REUSEADDR and CLOEXEC by itself.",
	.fix_node = "End child processes that got the handle; net sets SO_REUSEADDR itself.",
	.fix_python = "socketserver: allow_reuse_address = True; subprocess closes fds by default, "
		      "os.fork does not.",
	.fix_c = "SO_REUSEADDR before bind(), SOCK_CLOEXEC, and close the socket in every forked "
		 "child.",
	.fix_nginx = "Nothing to do; look for a second master (ss -ltnp).",
};

const struct check check_lsn_4 = {
	.id = "LSN-4", .title = "the same command restarts at once", .level = MUST,
	.crash = true,
	.shows = shows_restart, .applies = restart_applies, .judge = judge_lsn_4,
	.todo = "run the command twice by hand: what it says when it does not come up names what is left behind",
	.why = "Stop and start is what every deploy does. A server that cannot take its own port back "
	       "for a minute turns each deploy into an outage.",
	.proof = "The same command line on the same port, immediately after the exit; it must become "
		 "ready and answer one request. If it does not, the port's holders are named. With "
		 "`restart: {how: overlap}` it is started while the old process drains, and asked again after its "
		 "end; with `how: crash` after a SIGKILL, and then it is a SHOULD.",
	.modes = "SD-LEFT-TIMEWAIT, SD-LEFT-FILE, SD-LEFT-FD-PORT",
	.fix_go = "A ListenConfig.Control of your own must not clear SO_REUSEADDR.",
	.fix_node = "Do not retry listen() on EADDRINUSE in a loop: find the holder (drainspec port "
		    "N).",
	.fix_python = "class Server(HTTPServer): allow_reuse_address = True (the default of "
		      "http.server, not of socketserver.TCPServer).",
	.fix_c = "setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) between socket() and "
		 "bind().",
	.fix_nginx = "Wait for the master's end (the pidfile goes last), or reload instead.",
};

const struct check check_lsn_5 = {
	.id = "LSN-5", .title = "sockets and pidfiles are removed", .level = MUST,
	.crash = true,
	.shows = shows_removes, .applies = removes_applies, .judge = judge_lsn_5,
	.todo = "remove socket file and pidfile in the shutdown path, after the listener is closed",
	.why = "A socket file outlives its socket (unix(7)): the next bind() gets EADDRINUSE although "
	       "nobody listens. A stale pidfile makes stop scripts kill a stranger.",
	.proof = "The paths listed in expect.removes are looked at after the exit. With an overlapping restart "
		 "they are the new process's, and must still be there when the old one has ended.",
	.modes = "SD-LEFT-FILE",
	.fix_go = "Closing a UnixListener unlinks its file; do not exit before Close.",
	.fix_node = "server.close() unlinks; process.exit() in the handler does not.",
	.fix_python = "os.unlink(path) in a finally; asyncio unlinks since 3.13.",
	.fix_c = "unlink(path) after close(); at the start unlink only what nobody answers on.",
	.fix_nginx = "It unlinks on QUIT and TERM (1.19.1 and later); after SIGKILL remove the file by "
		     "hand.",
};
