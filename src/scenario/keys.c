#include "scenario/keys.h"

#include <stddef.h>
#include <string.h>

#define X(section, type, title, prefix) typedef type section_##section;
SECTIONS(X)
#undef X

const struct section_row section_rows[SEC_N] = {
#define X(section, type, title, prefix) [SEC_##section] = {title, prefix, sizeof(type)},
	SECTIONS(X)
#undef X
};

#define W(list) .words = list
#define R(low, high) .min = low, .max = high
#define S(inner_section) .inner = SEC_##inner_section
#define ANY .min = 0
#define ROW(s, name_, t, first_, second_, def_, help_) \
	.section = SEC_##s, .name = name_, .type = TYPE_##t, .def = def_, .help = help_, \
	.field = offsetof(section_##s, first_), .second = offsetof(section_##s, second_)
/* allowed stays out of ROW: it may expand to two initializers */
#define K2(s, name, t, first, second, def, allowed, help) \
	{ROW(s, name, t, first, second, def, help), allowed},
#define K(s, name, t, first, def, allowed, help) {ROW(s, name, t, first, first, def, help), allowed},

const struct key keys[] = {
#include "scenario/keys.def"
};
const size_t n_keys = sizeof keys / sizeof *keys;

const struct type_row type_rows[TYPE_N] = {
#define X(type, name, what, schema) [TYPE_##type] = {#name, what, schema, read_##name, dump_##name},
#include "scenario/types.def"
#undef X
};

/* read.c writes every enum through an unsigned */
_Static_assert(sizeof(enum phase) == sizeof(unsigned) && sizeof(enum whom) == sizeof(unsigned) &&
	       sizeof(enum trigger_on) == sizeof(unsigned) && sizeof(enum ready_by) == sizeof(unsigned) &&
	       sizeof(enum isolate) == sizeof(unsigned) && sizeof(enum second_policy) == sizeof(unsigned) &&
	       sizeof(enum step_do) == sizeof(unsigned) && sizeof(enum restart_how) == sizeof(unsigned), "enums are ints");

const struct key *key_find(enum section section, const char *name)
{
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

size_t words_n(const char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

int words_find(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	return -1;
}

void words_list(struct buf *out, const char *const *words)
{
	for (size_t i = 0, n = words_n(words); i < n; i++) {
		if (i)
			buf_adds(out, i + 1 == n ? " or " : ", ");
		buf_adds(out, words[i]);
	}
}
