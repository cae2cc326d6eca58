/* The dump of values that are lists, mappings, or one of several forms: each as its reader takes it. */
#include "base/names.h"
#include "scenario/keys.h"

static void comma(struct buf *out, bool wanted)
{
	if (wanted)
		buf_addc(out, ',');
}

/* "word", or {"word": "argument"} */
static void dump_word_arg(struct buf *out, const char *text, const char *arg)
{
	if (arg)
		buf_addc(out, '{');
	dump_string(out, text);
	if (arg) {
		buf_addc(out, ':');
		dump_string(out, arg);
		buf_addc(out, '}');
	}
}

bool dump_when(const struct key *k, const void *base, struct buf *out)
{
	dump_word_arg(out, k->words[*FIELD_CONST(k, base, unsigned)], *SECOND_CONST(k, base, char *));
	return true;
}

bool dump_ready(const struct key *k, const void *base, struct buf *out)
{
	return dump_when(k, base, out);
}

bool dump_needs(const struct key *k, const void *base, struct buf *out)
{
	unsigned bits = *FIELD_CONST(k, base, unsigned);
	bool more = false;

	buf_addc(out, '[');
	for (int i = 0; k->words[i]; i++) {
		if (!(bits & 1u << i))
			continue;
		comma(out, more);
		dump_string(out, k->words[i]);
		more = true;
	}
	buf_addc(out, ']');
	return bits;
}

bool dump_tos(const struct key *k, const void *base, struct buf *out)
{
	const enum whom *v = *FIELD_CONST(k, base, enum whom *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		comma(out, i);
		dump_string(out, k->words[v[i]]);
	}
	buf_addc(out, ']');
	return true;
}

bool dump_words(const struct key *k, const void *base, struct buf *out)
{
	char **v = *FIELD_CONST(k, base, char **);

	if (!v)
		return false;
	buf_addc(out, '[');
	for (size_t i = 0; v[i]; i++) {
		comma(out, i);
		dump_string(out, v[i]);
	}
	buf_addc(out, ']');
	return true;
}

bool dump_paths(const struct key *k, const void *base, struct buf *out)
{
	return dump_words(k, base, out);
}

bool dump_command(const struct key *k, const void *base, struct buf *out)
{
	return dump_words(k, base, out);
}

bool dump_texts(const struct key *k, const void *base, struct buf *out)
{
	const struct kv *v = *FIELD_CONST(k, base, struct kv *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '{');
	for (size_t i = 0; i < n; i++) {
		comma(out, i);
		dump_string(out, v[i].key);
		buf_addc(out, ':');
		dump_string(out, v[i].value);
	}
	buf_addc(out, '}');
	return n;
}

bool dump_fields(const struct key *k, const void *base, struct buf *out)
{
	return dump_texts(k, base, out);
}

static void dump_port_spec(const struct port_spec *p, struct buf *out)
{
	if (p->protocol)
		section_dump(SEC_PORT, p, out);
	else
		dump_port(key_find(SEC_PORT, "port"), p, out);
}

bool dump_ports(const struct key *k, const void *base, struct buf *out)
{
	const struct port_spec *v = *FIELD_CONST(k, base, struct port_spec *);
	size_t n = *SECOND_CONST(k, base, size_t);

	if (k->section == SEC_TARGET && ((const struct target_spec *)base)->no_port) {
		dump_string(out, "none");
		return true;
	}
	if (n == 1 && !*v->name && !v->protocol) {
		dump_port_spec(v, out);
		return true;
	}
	buf_addc(out, '{');
	for (size_t i = 0; i < n; i++) {
		comma(out, i);
		dump_string(out, v[i].name);
		buf_addc(out, ':');
		dump_port_spec(&v[i], out);
	}
	buf_addc(out, '}');
	return n;
}

bool dump_exits(const struct key *k, const void *base, struct buf *out)
{
	const struct exit_allowed *v = *FIELD_CONST(k, base, struct exit_allowed *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		comma(out, i);
		switch (v[i].how) {
		case EXIT_CLEAN:
			dump_string(out, "clean");
			break;
		case EXIT_ANY:
			dump_string(out, "any");
			break;
		case EXIT_CODE:
			buf_addi(out, v[i].value);
			break;
		case EXIT_SIGNAL:
			buf_printf(out, "\"sig:%s\"", signal_name(v[i].value));
			break;
		}
	}
	buf_addc(out, ']');
	return n;
}

bool dump_signals(const struct key *k, const void *base, struct buf *out)
{
	const struct signal_spec *v = *FIELD_CONST(k, base, struct signal_spec *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		comma(out, i);
		dump_string(out, signal_name(v[i].signo));
		if (i + 1 == n)
			break;
		buf_addc(out, ',');
		dump_duration(out, v[i + 1].when.after);
	}
	buf_addc(out, ']');
	return n;
}

bool dump_formats(const struct key *k, const void *base, struct buf *out)
{
	const struct format_request *v = *FIELD_CONST(k, base, struct format_request *);
	size_t n = *SECOND_CONST(k, base, size_t);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		struct buf text = {0};

		comma(out, i);
		buf_printf(&text, "%s%s%s", v[i].name, v[i].file ? "=" : "", v[i].file ? v[i].file : "");
		dump_string(out, text.p);
		buf_free(&text);
	}
	buf_addc(out, ']');
	return n;
}

/* Each of the five keys stands for one step; the others are not there. */
bool dump_step(const struct key *k, const void *base, struct buf *out)
{
	const char *client = *SECOND_CONST(k, base, char *);
	unsigned what = *FIELD_CONST(k, base, unsigned);

	if (words_find(words_step, k->name) != (int)what)
		return false;
	dump_string(out, k->words ? k->words[0] : client ? client : "all");
	return true;
}
