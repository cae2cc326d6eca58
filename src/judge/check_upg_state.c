/* UPG-3, UPG-4: what a hand-over leaves behind: deafness after a failed one, descriptors after many. */
#include <string.h>

#include "judge/upg.h"
#include "judge/shows.h"

#define MAX_POINTS 64

static bool spoil_applies(const struct scenario *sc, const struct facts *f)
{
	return upg_applies(sc, f) && f->first[EV_SPOILED];
}

/* The hand-overs after the configuration was made bad: the one that must fail, and the one after it was mended. */
static void find_both(const struct facts *f, uint32_t *ret_bad, uint32_t *ret_good)
{
	*ret_bad = *ret_good = 0;
	for_each_event(f, EV_HANDOVER, n) {
		if (fact_t(f, n) < upg_spoiled(f))
			continue;
		if (!*ret_bad)
			*ret_bad = n;
		else
			*ret_good = n;
	}
}

static void judge_upg_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint32_t by_fate[UPG_FATES] = { 0 }, wrong, right, death = upg_death(f);
	const char *file = fact_text(f, f->first[EV_SPOILED]);
	struct sum t;

	(void)sc, (void)arena;
	find_both(f, &wrong, &right);
	sum_begin(&t, f, ret);
	ret->expected = "with a bad configuration the old generation serves on, and takes the next good one";
	if (!wrong) {
		found(f, ret, UNSURE, "nobody asked it to take the bad %s", file);
		return;
	}
	upg_losses(&t, upg_spoiled(f), NSEC_NEVER, by_fate);
	if (death && fact_t(f, death) >= upg_spoiled(f) && sum_bad(&t, MUST, "application",
		    "the target ended %s after it was told to take a bad %s, and nobody serves", between(f, wrong, death), file)) {
		cite(ret, wrong);
		cite(ret, death);
	} else if (t.bad) {
		found(f, ret, FAIL, "with a bad %s: %s", file, ret->actual);
	}
	if (t.bad)
		ret->outcome = FAIL;
	else if (upg_answer_of(f, fact_event(f, wrong)->conn))
		found(f, ret, UNSURE, "it took over all the same: %s is not what it reads, or it takes anything", file);
	else if (!right || !upg_answer_of(f, fact_event(f, right)->conn)) {
		cite(ret, f->first[EV_SPOILED]);
		cite(ret, wrong);
		cite(ret, right);
		ret->whose = "application";
		found(f, ret, FAIL, "it is deaf: %s, with %s as it was before, changed nothing", upg_text(f, right), file);
	} else {
		cite(ret, wrong);
		cite(ret, right);
		found(f, ret, PASS, "with a bad %s the old generation served on; when it was mended, %s took over", file,
			upg_text(f, right));
	}
}

/* The most descriptors that one process has: an old generation that lives on is UPG-2's matter. */
static bool most_fds(const struct facts *f, uint32_t census, uint64_t *ret)
{
	uint64_t v;

	*ret = 0;
	for (uint32_t n = census + 1; n <= f->ev->n && fact_event(f, n)->kind == EV_PROCESS &&
	     fact_event(f, n)->conn == fact_a(f, census); n++) {
		if (!process_field(f, n, "fds", &v) || v > UINT32_MAX)
			return false;
		*ret = v > *ret ? v : *ret;
	}
	return *ret > 0;
}

static bool fds_apply(const struct scenario *sc, const struct facts *f)
{
	return upg_applies(sc, f) && sc->restart.times >= 4;
}

static void judge_upg_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint64_t points[MAX_POINTS];
	uint32_t events[MAX_POINTS], n = 0, grew = 0;
	const char *text = "";

	(void)sc, (void)arena;
	ret->expected = "a generation has no more descriptors open than the one before";
	for_each_event(f, EV_CENSUS, e) {
		if (strcmp(fact_text(f, e), "generation") || n == MAX_POINTS || fact_t(f, e) > upg_spoiled(f))
			continue;
		if (!most_fds(f, e, &points[n])) {
			found(f, ret, SKIP, "the number of open descriptors is not visible here");
			return;
		}
		events[n] = e;
		text = arena_printf(f->arena, "%s%s%llu", text, n ? ", " : "", (unsigned long long)points[n]);
		n++;
	}
	if (n < 5) {
		found(f, ret, SKIP, "%u generations came to rest: too few to see a growth", n);
		return;
	}
	/* the first hand-over may change what a process has for good: it inherits what the first one opened */
	for (uint32_t i = 2; i < n; i++)
		grew += points[i] > points[i - 1];
	cite(ret, events[0]);
	cite(ret, events[n - 1]);
	if (grew == n - 2) {
		ret->whose = "application";
		found(f, ret, FAIL, "every generation has more descriptors open than the one before: %s", text);
	} else {
		found(f, ret, PASS, "the process with most has %s", text);
	}
}

const struct check check_upg_3 = {
	.id = "UPG-3", .title = "a failed reload changes nothing", .level = MUST,
	.shows = shows_hand_over, .applies = spoil_applies, .judge = judge_upg_3,
	.todo = "load and check the new configuration whole before anything of the old one is closed",
	.why = "Configurations are wrong now and then. The old generation must go on as if nothing had been, and must still hear "
	       "the next reload: a master that is deaf after a failed one needs a restart, with all that it loses.",
	.proof = "restart.spoil names a file: nonsense is put at its end, the hand-over is asked for, and the stream of clients "
		 "goes on and loses nothing. Then the file is as it was, and the next hand-over must take place.",
	.modes = "SD-UPG-STATE",
	.fix_go = "Wait for the new process to say that it serves (a pipe; tableflip's Ready()) before you let go of anything; if "
		  "its end of the pipe closes first, reap it and go on.",
	.fix_node = "Listen for the new worker's 'exit' before 'listening', and keep the old ones then.",
	.fix_python = "gunicorn ends when a new worker does not boot: check the application before HUP (gunicorn --check-config).",
	.fix_c = "Read the new configuration whole before you give up the old one; reap the child that failed.",
	.fix_nginx = "It keeps the old workers; nginx -t before HUP says why.",
};

const struct check check_upg_4 = {
	.id = "UPG-4", .title = "descriptors do not grow from generation to generation", .level = MUST,
	.shows = shows_hand_over, .applies = fds_apply, .judge = judge_upg_4,
	.todo = "close what belonged to the generation before; CLOEXEC on every descriptor but those that are handed on",
	.why = "What is inherited over exec and not known to the new program is never closed: one descriptor a deploy, until "
	       "accept() fails with EMFILE, or a connection stays open that everybody has closed.",
	.proof = "After each hand-over, when nobody asks anything and no thread runs, /proc/PID/fd of all processes is counted; the "
		 "process with most must not have more each time (four hand-overs or more; the first is not compared).",
	.modes = "SD-UPG-STATE",
	.fix_go = "os.NewFile(3) and net.FileListener duplicate: close the file; Go marks all else CLOEXEC.",
	.fix_node = "stdio: ['ignore', ...] for what the child does not need.",
	.fix_python = "subprocess(close_fds=True, pass_fds=[...]).",
	.fix_c = "O_CLOEXEC everywhere; clear it only on what is handed over, and set it again in the new program.",
	.fix_nginx = "Nothing to do.",
};
