/* A scenario as one line of JSON, which is YAML too: what differs from the defaults, by the table of keys. */
#include <string.h>

#include "base/names.h"
#include "scenario/keys.h"

/* JSON and YAML agree on all but a few characters: those that YAML does not take raw, or would fold as line ends,
 * are escaped (all of them are of two or three bytes in UTF-8). */
static size_t yaml_special(const unsigned char *p, unsigned *ret)
{
	if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0xA0) {
		*ret = p[1];
		return 2;
	}
	if (p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9)) {
		*ret = 0x2000u + (p[2] & 0x3Fu);
		return 3;
	}
	if (p[0] == 0xEF && ((p[1] == 0xBB && p[2] == 0xBF) || (p[1] == 0xBF && p[2] >= 0xBE))) {
		*ret = p[1] == 0xBB ? 0xFEFF : 0xFFC0u + (p[2] & 0x3Fu);
		return 3;
	}
	return 0;
}

void dump_string(struct buf *out, const char *s)
{
	struct buf json = {0};

	buf_json(&json, s);
	for (size_t i = 0; i < json.n;) {
		unsigned code;
		size_t plain = 0;

		/* all that are special begin with one of these */
		while (i + plain < json.n && (unsigned char)json.p[i + plain] < 0xC2)
			plain++;
		buf_add(out, json.p + i, plain);
		i += plain;
		if (i == json.n)
			break;
		size_t special = yaml_special((const unsigned char *)json.p + i, &code);

		if (special)
			buf_printf(out, "\\u%04x", code);
		else
			buf_addc(out, json.p[i]);
		i += special ? special : 1;
	}
	buf_free(&json);
}

/* In the largest unit that divides it, so that nothing is lost. */
void dump_duration(struct buf *out, nsec_t t)
{
	static const struct {
		nsec_t unit;
		const char *name;
	} units[] = {{NSEC_PER_SEC, "s"}, {NSEC_PER_MSEC, "ms"}, {NSEC_PER_USEC, "us"}, {1, "ns"}};
	size_t i = 0;

	while (t % units[i].unit)
		i++;
	buf_addc(out, '"');
	buf_addi(out, t / units[i].unit);
	buf_adds(out, units[i].name);
	buf_addc(out, '"');
}

static bool dump_chars(const char *s, struct buf *out)
{
	if (s)
		dump_string(out, s);
	return s;
}

bool dump_text(const struct key *k, const void *base, struct buf *out)
{
	return dump_chars(*FIELD_CONST(k, base, char *), out);
}

bool dump_protocol(const struct key *k, const void *base, struct buf *out)
{
	return dump_text(k, base, out);
}

bool dump_request(const struct key *k, const void *base, struct buf *out)
{
	return dump_text(k, base, out);
}

bool dump_bool(const struct key *k, const void *base, struct buf *out)
{
	buf_adds(out, *FIELD_CONST(k, base, bool) ? "true" : "false");
	return true;
}

bool dump_switch(const struct key *k, const void *base, struct buf *out)
{
	return dump_chars(k->words[*FIELD_CONST(k, base, bool)], out);
}

bool dump_word(const struct key *k, const void *base, struct buf *out)
{
	if (k->second != k->field && !*SECOND_CONST(k, base, bool))
		return false;
	return dump_chars(k->words[*FIELD_CONST(k, base, unsigned)], out);
}

bool dump_number(const struct key *k, const void *base, struct buf *out)
{
	buf_addi(out, *FIELD_CONST(k, base, uint32_t));
	return true;
}

bool dump_number64(const struct key *k, const void *base, struct buf *out)
{
	if (k->second != k->field && !*SECOND_CONST(k, base, bool))
		return false;
	buf_printf(out, "%llu", (unsigned long long)*FIELD_CONST(k, base, uint64_t));
	return true;
}

bool dump_bytes(const struct key *k, const void *base, struct buf *out)
{
	buf_addi(out, (int64_t)*FIELD_CONST(k, base, uint64_t));
	return true;
}

bool dump_bytes32(const struct key *k, const void *base, struct buf *out)
{
	return dump_number(k, base, out);
}

bool dump_time(const struct key *k, const void *base, struct buf *out)
{
	dump_duration(out, *FIELD_CONST(k, base, nsec_t));
	return true;
}

bool dump_limit(const struct key *k, const void *base, struct buf *out)
{
	if (*FIELD_CONST(k, base, nsec_t) == NSEC_NEVER)
		return dump_chars("never", out);
	return dump_time(k, base, out);
}

bool dump_signal(const struct key *k, const void *base, struct buf *out)
{
	int signo = *FIELD_CONST(k, base, int);

	return dump_chars(signo ? signal_name(signo) : "$signal", out);
}

bool dump_port(const struct key *k, const void *base, struct buf *out)
{
	int port = *FIELD_CONST(k, base, int);
	const char *path = k->second != k->field ? *SECOND_CONST(k, base, char *) : NULL;

	if (path) {
		struct buf text = {0};

		buf_printf(&text, "unix:%s", path);
		dump_string(out, text.p);
		buf_free(&text);
		return true;
	}
	if (!port)
		return dump_chars("auto", out);
	buf_addi(out, port);
	return true;
}

/* Members in the order of the table; one that is as it would be if nothing were written is left out, unless
 * the absence of its key has a meaning of its own (its default is a rule, as for signals). */
static void dump_keys(enum section section, const void *base, const void *blank, struct buf *out)
{
	struct buf value = {0}, usual = {0};
	const char *sep = "";

	buf_addc(out, '{');
	for (size_t i = 0; i < n_keys; i++) {
		const struct key *k = &keys[i];
		const struct type_row *type = &type_rows[k->type];

		if (k->section != section)
			continue;
		buf_clear(&value);
		buf_clear(&usual);
		if (!type->dump(k, base, &value))
			continue;
		bool always = k->type == TYPE_STEP ||
			      (k->def && k->def[0] == '(' && (k->type == TYPE_LIST || k->type == TYPE_WHEN ||
							      k->type == TYPE_LIMIT));

		if (!always && type->dump(k, blank, &usual) && usual.n == value.n &&
		    !memcmp(usual.p, value.p, value.n))
			continue;
		buf_adds(out, sep);
		buf_json(out, k->name);
		buf_addc(out, ':');
		buf_add(out, value.p, value.n);
		sep = ",";
	}
	buf_addc(out, '}');
	buf_free(&value);
	buf_free(&usual);
}

/* The section as it is if nothing is written. Made once: every scenario of a run is dumped. */
static const void *blank_of(enum section section)
{
	static struct arena *arena;
	static void *blanks[SEC_N];

	if (!arena)
		arena = arena_new();
	if (!blanks[section]) {
		struct reader r = {.arena = arena};

		blanks[section] = arena_alloc(arena, section_rows[section].size);
		section_defaults(&r, section, blanks[section]);
	}
	return blanks[section];
}

void section_dump(enum section section, const void *base, struct buf *out)
{
	dump_keys(section, base, blank_of(section), out);
}

bool dump_map(const struct key *k, const void *base, struct buf *out)
{
	section_dump(k->inner, FIELD_CONST(k, base, char), out);
	return true;
}

bool dump_same(const struct key *k, const void *base, struct buf *out)
{
	/* without batches there is no leak test, whatever their size would be */
	if (k->inner == SEC_LEAK && !((const struct scenario *)base)->leak_batches)
		return false;
	dump_keys(k->inner, base, blank_of(k->section), out);
	return true;
}

bool dump_restart(const struct key *k, const void *base, struct buf *out)
{
	const struct restart_spec *s = FIELD_CONST(k, base, struct restart_spec);

	if (s->how == RESTART_NO || s->how == RESTART_AFTER_EXIT)
		buf_adds(out, s->how == RESTART_NO ? "false" : "true");
	else
		section_dump(SEC_RESTART, s, out);
	return true;
}

bool dump_list(const struct key *k, const void *base, struct buf *out)
{
	const char *v = *FIELD_CONST(k, base, char *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(out, ',');
		section_dump(k->inner, v + i * section_rows[k->inner].size, out);
	}
	buf_addc(out, ']');
	return true;
}

void scenario_dump(const struct scenario *sc, struct buf *out)
{
	section_dump(SEC_TOP, sc, out);
}
