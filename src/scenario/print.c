/* The table of keys as a person reads it: `drainspec list keys`. */
#include <string.h>

#include "scenario/keys.h"

/* "number from 1 to 100", "one of host, private or container" */
static void print_type(const struct key *k, struct buf *out)
{
	const struct type_row *type = &type_rows[k->type];

	if (k->type == TYPE_MAP || k->type == TYPE_LIST || k->type == TYPE_SAME) {
		buf_printf(out, "%s: see %s", type->what, section_rows[k->inner].title);
		return;
	}
	buf_adds(out, type->what);
	if (k->words) {
		if (k->type == TYPE_READY || k->type == TYPE_WHEN || k->type == TYPE_STEP)
			buf_adds(out, ":");
		buf_addc(out, ' ');
		words_list(out, k->words);
	}
	if (k->max && k->type == TYPE_NUMBER)
		buf_printf(out, " from %lld to %lld", (long long)k->min, (long long)k->max);
}

static void print_key(const struct key *k, struct buf *out)
{
	buf_printf(out, "  %-16s ", k->name);
	print_type(k, out);
	if (k->def)
		buf_printf(out, "; default %.*s", (int)(strlen(k->def) - 2 * (k->def[0] == '(')),
			   k->def + (k->def[0] == '('));
	buf_printf(out, "\n                   %s\n", k->help);
}

void keys_print(struct buf *out)
{
	static const enum section order[] = {
		SEC_TOP, SEC_TARGET, SEC_PORT, SEC_CLIENT, SEC_SIGNAL, SEC_STEP, SEC_EXPECT, SEC_VARY, SEC_LEAK,
		SEC_RESTART,
		SEC_SETTINGS,
	};

	_Static_assert(sizeof order / sizeof *order == SEC_N, "every section is printed");
	for (size_t s = 0; s < SEC_N; s++) {
		const char *title = section_rows[order[s]].title;

		buf_printf(out, "%s%s\n", s ? "\n" : "", *title ? title : "scenario file");
		for (size_t i = 0; i < n_keys; i++)
			if (keys[i].section == order[s])
				print_key(&keys[i], out);
	}
}
