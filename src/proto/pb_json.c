/* JSON to protocol buffers: the JSON mapping of https://protobuf.dev/programming-guides/json/ for requests. Repeated scalars are
 * written one by one: every reader takes that. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "proto/pb_json.h"

void pb_varint(struct buf *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

void pb_fixed(struct buf *out, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++, v >>= 8)
		buf_addc(out, (char)v);
}

void pb_key(struct buf *out, uint32_t number, unsigned wire)
{
	pb_varint(out, (uint64_t)number << 3 | wire);
}

void pb_bytes(struct buf *out, uint32_t number, const char *p, size_t n)
{
	pb_key(out, number, 2);
	pb_varint(out, n);
	buf_add(out, p, n);
}

struct pb_at pb_field_at(const struct pb_at *in, const char *name)
{
	return (struct pb_at){.in = in, .name = name, .kind = PB_AT_FIELD, .depth = in->depth + 1};
}

struct pb_at pb_item_at(const struct pb_at *in, size_t index)
{
	return (struct pb_at){.in = in, .name = "", .kind = PB_AT_ITEM, .index = index, .depth = in->depth + 1};
}

struct pb_at pb_key_at(const struct pb_at *in, const char *key)
{
	return (struct pb_at){.in = in, .name = key, .kind = PB_AT_KEY, .depth = in->depth + 1};
}

/* items[3].labels["a"].word */
static void path(const struct pb_at *at, struct buf *out)
{
	if (!at->in)
		return;
	path(at->in, out);
	if (at->kind == PB_AT_ITEM)
		buf_printf(out, "[%zu]", at->index);
	else if (at->kind == PB_AT_KEY)
		buf_printf(out, "[\"%.60s\"]", at->name);
	else
		buf_printf(out, "%s%.100s", out->n ? "." : "", at->name);
}

int pb_say(const struct pb_json *j, const struct pb_at *at, const char *fmt, ...)
{
	struct buf where = {0};
	char what[sizeof j->reterr->what];
	va_list ap;

	path(at, &where);
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	err_set(j->reterr, ERR_USAGE, 0, "%.300s%s%.450s", where.n ? where.p : "", where.n ? ": " : "", what);
	buf_free(&where);
	return -1;
}

int pb_wrong(const struct pb_json *j, const struct pb_at *at, const char *want, const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));

	pb_say(j, at, "%swant %s, got %.100s", at->in ? "" : "the message: ", want, text ? text : "?");
	free(text);
	return -1;
}

/* The field's key, then a message behind its length, or a group between two keys. */
static int put_sub(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	const struct pb_message *m = pb_message(j->set, f->type_name);
	struct buf part = {0};
	int rc;

	if (!m)
		return pb_say(j, at, "the descriptor set has no message %.200s: make it with --include_imports", f->type_name);
	rc = pb_put_message(j, m, v, at, &part);
	if (f->type == PB_GROUP) {
		pb_key(out, f->number, 3);
		buf_add(out, part.p ? part.p : "", part.n);
		pb_key(out, f->number, 4);
	} else {
		pb_bytes(out, f->number, part.p ? part.p : "", part.n);
	}
	buf_free(&part);
	return rc;
}

int pb_put_value(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	if (f->type == PB_MESSAGE || f->type == PB_GROUP)
		return put_sub(j, f, v, at, out);
	pb_key(out, f->number, pb_wire_type(f->type));
	return pb_put_scalar(j, f, v, at, out);
}

/* One of several: null stands for nothing, and nothing cannot stand there. */
static int put_one(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	if (json_is_null(v) && !pb_takes_null(f))
		return pb_say(j, at, "null cannot stand in a list or a map");
	return pb_put_value(j, f, v, at, out);
}

/* One entry of a map: a message of key and value. Keys are texts in JSON, whatever they are here. */
static int put_entry(const struct pb_json *j, const struct pb_field *f, const struct pb_message *entry, const char *key,
		     const json_t *v, const struct pb_at *at, struct buf *out)
{
	struct pb_at inside = pb_key_at(at, key);
	struct buf part = {0};
	int rc = 0;

	for (size_t i = 0; i < entry->n_fields && !rc; i++) {
		const struct pb_field *part_of = &entry->fields[i];

		if (part_of->number == 1) {
			json_t *name = part_of->type != PB_BOOL ? json_string(key) : !strcmp(key, "true") ? json_true() :
				       !strcmp(key, "false") ? json_false() : json_string(key);

			rc = pb_put_value(j, part_of, name, &inside, &part);
			json_decref(name);
		} else {
			rc = put_one(j, part_of, v, &inside, &part);
		}
	}
	pb_bytes(out, f->number, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

static int put_field(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	const struct pb_message *entry = f->type == PB_MESSAGE && f->repeated ? pb_message(j->set, f->type_name) : NULL;
	const char *key;
	json_t *item;
	size_t i;

	if (!f->repeated)
		return pb_put_value(j, f, v, at, out);
	if (entry && entry->map_entry) {
		if (!json_is_object(v))
			return pb_wrong(j, at, "an object (it is a map)", v);
		json_object_foreach((json_t *)v, key, item)
			if (put_entry(j, f, entry, key, item, at, out) < 0)
				return -1;
		return 0;
	}
	if (!json_is_array(v))
		return pb_wrong(j, at, "a list (it is repeated)", v);
	json_array_foreach(v, i, item) {
		struct pb_at inside = pb_item_at(at, i);

		if (put_one(j, f, item, &inside, out) < 0)
			return -1;
	}
	return 0;
}

/* A group's field is called like its type, in small letters; people write either. */
static bool has_name(const struct pb_field *f, const char *name)
{
	const char *type = f->type == PB_GROUP ? strrchr(f->type_name, '.') : NULL;

	return !strcmp(f->name, name) || !strcmp(f->json_name, name) || (type && !strcmp(type + 1, name));
}

static const struct pb_field *field_named(const struct pb_message *m, const char *name)
{
	for (size_t i = 0; i < m->n_fields; i++)
		if (has_name(&m->fields[i], name))
			return &m->fields[i];
	return NULL;
}

static int no_such_field(const struct pb_json *j, const struct pb_message *m, const char *name, const struct pb_at *at)
{
	const char **names = calloc(m->n_fields + 1, sizeof *names);
	const char *near;

	if (!names)
		abort();
	for (size_t i = 0; i < m->n_fields; i++)
		names[i] = m->fields[i].json_name;
	near = nearest_word(name, names, m->n_fields);
	pb_say(j, at, "message %.200s has no field '%.100s'%s%.100s%s", m->name, name, near ? ", did you mean '" : "",
	       near ? near : "", near ? "'?" : "");
	free(names);
	return -1;
}

/* Before the field is taken from key: may it? seen: of every field the key that gave it. */
static int contradicted(const struct pb_json *j, const struct pb_message *m, const struct pb_field *f, const char *key,
			const char **seen, const struct pb_at *at)
{
	const char *before = seen[f - m->fields];

	if (before)
		return pb_say(j, at, "'%.100s' and '%.100s' are the same field", before, key);
	for (size_t i = 0; f->oneof && i < m->n_fields; i++)
		if (m->fields[i].oneof == f->oneof && seen[i])
			return pb_say(j, at, "only one of '%.100s' and '%.100s' can be given (they are a oneof)", seen[i], key);
	seen[f - m->fields] = key;
	return 0;
}

static int put_each(const struct pb_json *j, const struct pb_message *m, const json_t *v, const char *without,
		    const char **seen, const struct pb_at *at, struct buf *out)
{
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)v, key, item) {
		const struct pb_field *f = field_named(m, key);
		struct pb_at inside = pb_field_at(at, key);

		if (without && !strcmp(key, without))
			continue;
		if (!f)
			return no_such_field(j, m, key, at);
		if (json_is_null(item) && (f->repeated || !pb_takes_null(f)))
			continue;
		if (contradicted(j, m, f, key, seen, at) < 0 || put_field(j, f, item, &inside, out) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->n_fields; i++)
		if (m->fields[i].required && !seen[i])
			return pb_say(j, at, "message %.200s needs the field '%.100s'", m->name, m->fields[i].json_name);
	return 0;
}

int pb_put_fields(const struct pb_json *j, const struct pb_message *m, const json_t *v, const char *without,
		  const struct pb_at *at, struct buf *out)
{
	char want[160];

	if (!json_is_object(v)) {
		snprintf(want, sizeof want, "an object (%.120s)", m->name);
		return pb_wrong(j, at, want, v);
	}
	const char **seen = calloc(m->n_fields + 1, sizeof *seen);

	if (!seen)
		abort();
	int rc = put_each(j, m, v, without, seen, at, out);

	free(seen);
	return rc;
}

int pb_put_message(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	pb_known_fn *put = pb_known(m);

	if (at->depth > PB_MAX_DEPTH)
		return pb_wrong(j, at, "less nesting", v);
	return put ? put(j, m, v, at, out) : pb_put_fields(j, m, v, NULL, at, out);
}

int pb_from_json(const struct pb_set *set, const struct pb_message *m, const char *text, size_t *ret_used, struct buf *out,
		 struct err *reterr)
{
	struct pb_json j = {.set = set, .reterr = reterr};
	struct pb_at top = {.name = ""};
	json_error_t why;
	json_t *v = json_loads(text, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

	if (!v)
		return err_set(reterr, ERR_USAGE, 0, "the message is no JSON: %s, at character %d of '%.200s'%s", why.text,
			       why.position, text, strncmp(why.text, "too big", 7) ? "" :
			       "; whole numbers of 64 bits can be written as texts");
	*ret_used = (size_t)why.position;
	int rc = pb_put_message(&j, m, v, &top, out);

	json_decref(v);
	return rc;
}
