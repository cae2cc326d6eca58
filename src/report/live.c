#include "report/live.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report/term.h"
#include "report/words.h"

#define REDRAW_EVERY (50 * NSEC_PER_MSEC)

void live_init(struct live *live, bool on, size_t planned)
{
	*live = (struct live){.on = on, .planned = planned};
}

static void put(const char *p, size_t n)
{
	/* A status line that cannot be drawn is not worth a word. */
	ssize_t ignored = write(STDERR_FILENO, p, n);

	(void)ignored;
}

void live_wipe(struct live *live)
{
	if (live->drawn)
		put("\r\033[K", 4);
	live->drawn = false;
}

static unsigned columns(void)
{
	struct winsize ws;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col < 20 ? 79 : ws.ws_col - 1u;
}

void live_draw(struct live *live, const struct result *all, size_t n, bool strict, const char *running)
{
	struct buf line = {0}, out = {0};

	if (!live->on)
		return;
	for (; live->counted < n; live->counted++) {
		enum kind kind = result_kind(&all[live->counted], strict);

		live->failed += kind == KIND_FAIL;
		live->other += kind == KIND_BROKEN || kind == KIND_UNSURE;
	}
	/* Scenarios end every half millisecond; a terminal need not be told each time. */
	if (live->drawn && clock_now() < live->next)
		return;
	live->next = clock_now() + REDRAW_EVERY;
	buf_printf(&line, "[%zu", n);
	if (live->planned)
		buf_printf(&line, "/%zu", live->planned);
	buf_printf(&line, "] %zu failed", live->failed);
	if (live->other)
		buf_printf(&line, ", %zu unsure or broken", live->other);
	if (running) {
		buf_adds(&line, ", running: ");
		scrub(&line, running, 0);
	}
	buf_adds(&out, "\r\033[K");
	buf_add(&out, line.p, text_fit(line.p, line.n, columns()));
	put(out.p, out.n);
	live->drawn = true;
	buf_free(&line);
	buf_free(&out);
}
