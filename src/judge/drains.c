/* Which signal drains a well-known server: drains.def. */
#include <ctype.h>
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/blame.h"

const char *drain_signal_hint(const struct facts *f, const struct round_fact *r)
{
	static const struct {
		const char *name;
		int cuts[2];
		const char *drains;
	} rows[] = {
#define D(name, fast, faster, drains) { name, { fast, faster }, drains },
#include "judge/drains.def"
#undef D
	};
	int signo = (int)fact_a(f, r->sig);
	char name[32];

	if (!r->root_before || !process_string(f, r->root_before, "comm", name, sizeof name))
		return NULL;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = strlen(rows[i].name);

		if (strncmp(name, rows[i].name, n) || isalpha((unsigned char)name[n]) ||
		    (signo != rows[i].cuts[0] && signo != rows[i].cuts[1]))
			continue;
		return arena_printf(f->arena, "%s is the fast stop of %s, it drains by %s: --signal %s here; KillSignal=, STOPSIGNAL "
			"or stop_signal where it runs", signal_name(signo), rows[i].name, rows[i].drains, rows[i].drains);
	}
	return NULL;
}
