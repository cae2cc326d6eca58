/* LSN-7: ready means that it listens. */
#include "judge/say.h"
#include "judge/shows.h"

static bool ready_applies(const struct scenario *sc, const struct facts *f)
{
	return shows_ready(sc) && f->n_ports && any_round(f);
}

/* The first LISTEN socket of the port after its event. */
static uint32_t listened(const struct facts *f, uint32_t early)
{
	for_each_event(f, EV_LISTEN, n)
		if (fact_t(f, n) >= fact_t(f, early) && fact_a(f, n) == fact_a(f, early))
			return n;
	return 0;
}

static void judge_lsn_7(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	enum level level = sc->target.ready == READY_NOTIFY ? MUST : SHOULD;
	struct sum t;

	(void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "ready is said when every port listens";
	for_each_round(f, r) {
		bool early = false;

		for_each_event(f, EV_READY_EARLY, n) {
			uint32_t l = listened(f, n);

			if (fact_event(f, n)->round != r->id)
				continue;
			early = true;
			if (sum_bad(&t, level, "application", "%s was there %s before port %d listened",
				    sc->target.ready == READY_NOTIFY ? "READY=1" : "the line that says ready",
				    l ? between(f, n, l) : "long", (int)fact_a(f, n))) {
				cite(ret, n);
				cite(ret, l);
			}
		}
		t.good += !early;
	}
	sum_end(&t, "starts said ready when every port listened");
}

const struct check check_lsn_7 = {
	.id = "LSN-7", .title = "ready means that it listens", .level = MUST,
	.shows = shows_ready, .applies = ready_applies, .judge = judge_lsn_7,
	.todo = "say READY=1 (or fork away, or answer 200) only after listen() has returned on every port",
	.why = "Who waits for READY=1 (systemd's dependent units, a rolling restart, a test) sends its first "
	       "request right after it. If a port does not listen yet, that request is refused "
	       "(sd_notify(3): READY=1 says that start-up is finished). For a line of the log it is a "
	       "SHOULD: programs like to print \"listening\" just before they do.",
	.proof = "READY=1 or the line was read first; then sock_diag was asked for the LISTEN socket of each "
		 "port, and there was none. The time between is a lower bound.",
	.modes = "SD-START-READY-LIE",
	.fix_go = "net.Listen in the caller, then go Serve(ln), then say ready: a goroutine that will listen some "
		  "day is not a server. With several, wait for each on a channel.",
	.fix_node = "Say it in the callback of listen(), or after the promises of all of them.",
	.fix_python = "After create_server() has returned; uvicorn: the lifespan's startup comes before the bind.",
	.fix_c = "sd_notify after listen() on the last socket; threads report to the one who says it.",
	.fix_nginx = "Type=forking does it: the parent exits when the sockets are there.",
};
