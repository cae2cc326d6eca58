/* JSON to protocol buffers: the JSON mapping of https://protobuf.dev/programming-guides/json/ for requests. Repeated scalars are
 * written one by one: every reader takes that. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pb_json.h"

#define MAX_DEPTH 64

static int put_message(const struct pb_json *j, const struct pb_message *m, const json_t *v, unsigned depth, struct buf *out);

void pb_varint(struct buf *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

static void fixed(struct buf *out, uint64_t v, unsigned bytes)
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

int pb_wrong(const struct pb_json *j, const char *name, const char *want, const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

	err_set(j->reterr, ERR_USAGE, 0, "%.100s: want %s, got %.100s", *name ? name : "the message", want, text ? text : "?");
	free(text);
	return -1;
}

/* Whole numbers: a JSON number, or a string of one (so that 64 bits survive JavaScript). */
static int whole(const struct pb_json *j, const struct pb_field *f, const json_t *v, bool is_signed, unsigned bits, uint64_t *ret)
{
	const char *s = json_string_value(v);
	char *end = NULL;
	long long i = 0;
	unsigned long long u = 0;

	errno = 0;
	if (json_is_integer(v)) {
		i = json_integer_value(v);
		u = (unsigned long long)i;
		if (!is_signed && i < 0)
			errno = ERANGE;
	} else if (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)) && fabs(json_real_value(v)) < 9e15) {
		i = (long long)json_real_value(v);
		u = (unsigned long long)i;
		if (!is_signed && i < 0)
			errno = ERANGE;
	} else if (s && (*s == '-' || (*s >= '0' && *s <= '9'))) {
		i = is_signed ? strtoll(s, &end, 10) : 0;
		u = is_signed ? (unsigned long long)i : strtoull(s, &end, 10);
		if (*end || (!is_signed && *s == '-'))
			errno = EINVAL;
	} else {
		errno = EINVAL;
	}
	if (!errno && bits == 32)
		errno = is_signed ? (i < INT32_MIN || i > INT32_MAX ? ERANGE : 0) : u > UINT32_MAX ? ERANGE : 0;
	*ret = u;
	if (!errno)
		return 0;
	return pb_wrong(j, f->name, is_signed ? bits == 32 ? "a whole number of 32 bits" : "a whole number of 64 bits" :
			bits == 32 ? "a whole number from 0 of 32 bits" : "a whole number from 0 of 64 bits", v);
}

static int real(const struct pb_json *j, const struct pb_field *f, const json_t *v, double *ret)
{
	const char *s = json_string_value(v);
	char *end;

	if (json_is_number(v)) {
		*ret = json_number_value(v);
		return 0;
	}
	if (s && *s) {
		*ret = !strcmp(s, "Infinity") ? INFINITY : !strcmp(s, "-Infinity") ? -INFINITY : strtod(s, &end);
		if (!strcmp(s, "Infinity") || !strcmp(s, "-Infinity") || !*end)
			return 0;
	}
	return pb_wrong(j, f->name, "a number", v);
}

static int digit64(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 :
	       c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static int base64(const struct pb_json *j, const struct pb_field *f, const json_t *v, struct buf *out)
{
	const char *s = json_string_value(v);
	uint32_t bits = 0;
	unsigned have = 0;

	for (; s && *s && *s != '='; s++) {
		int d = digit64(*s);

		if (d < 0)
			return pb_wrong(j, f->name, "bytes in base64", v);
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(out, (char)(bits >> have));
		}
	}
	return s ? 0 : pb_wrong(j, f->name, "bytes in base64", v);
}

static int enum_value(const struct pb_json *j, const struct pb_field *f, const json_t *v, struct buf *out)
{
	const struct pb_enum *e = pb_enum(j->set, f->type_name);
	const char *s = json_string_value(v);

	if (json_is_integer(v)) {
		pb_varint(out, (uint64_t)json_integer_value(v));
		return 0;
	}
	for (size_t i = 0; e && s && i < e->n_values; i++)
		if (!strcmp(e->values[i].name, s)) {
			pb_varint(out, (uint64_t)(int64_t)e->values[i].number);
			return 0;
		}
	return pb_wrong(j, f->name, f->type_name, v);
}

static unsigned wire_type(enum pb_type type)
{
	switch (type) {
	case PB_DOUBLE:
	case PB_FIXED64:
	case PB_SFIXED64:
		return 1;
	case PB_FLOAT:
	case PB_FIXED32:
	case PB_SFIXED32:
		return 5;
	case PB_STRING:
	case PB_BYTES:
	case PB_MESSAGE:
		return 2;
	default:
		return 0;
	}
}

static int put_number(const struct pb_json *j, const struct pb_field *f, const json_t *v, struct buf *out)
{
	bool is_signed = f->type != PB_UINT64 && f->type != PB_UINT32 && f->type != PB_FIXED64 && f->type != PB_FIXED32;
	bool narrow = f->type == PB_INT32 || f->type == PB_UINT32 || f->type == PB_FIXED32 || f->type == PB_SFIXED32 ||
		      f->type == PB_SINT32;
	uint64_t u;

	if (whole(j, f, v, is_signed, narrow ? 32 : 64, &u) < 0)
		return -1;
	if (wire_type(f->type) == 1)
		fixed(out, u, 8);
	else if (wire_type(f->type) == 5)
		fixed(out, u, 4);
	else if (f->type == PB_SINT32 || f->type == PB_SINT64)
		pb_varint(out, u << 1 ^ (0 - (u >> 63)));
	else
		pb_varint(out, u);
	return 0;
}

static int put_real(const struct pb_json *j, const struct pb_field *f, const json_t *v, struct buf *out)
{
	double d;
	float narrow;
	uint64_t u = 0;

	if (real(j, f, v, &d) < 0)
		return -1;
	narrow = (float)d;
	if (f->type == PB_DOUBLE)
		memcpy(&u, &d, sizeof d);
	else
		memcpy(&u, &narrow, sizeof narrow);
	fixed(out, u, f->type == PB_DOUBLE ? 8 : 4);
	return 0;
}

static int put_text(const struct pb_json *j, const struct pb_field *f, const json_t *v, struct buf *out)
{
	struct buf part = {0};
	int rc = 0;

	if (f->type == PB_STRING && !json_is_string(v))
		rc = pb_wrong(j, f->name, "a text", v);
	else if (f->type == PB_STRING)
		buf_add(&part, json_string_value(v), json_string_length(v));
	else
		rc = base64(j, f, v, &part);
	pb_varint(out, part.n);
	buf_add(out, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

static int put_value(const struct pb_json *j, const struct pb_field *f, const json_t *v, unsigned depth, struct buf *out)
{
	struct buf part = {0};
	int rc;

	switch (f->type) {
	case PB_GROUP:
		return pb_wrong(j, f->name, "no group: they are not written", v);
	case PB_FLOAT:
	case PB_DOUBLE:
		return put_real(j, f, v, out);
	case PB_BOOL:
		if (!json_is_boolean(v))
			return pb_wrong(j, f->name, "true or false", v);
		pb_varint(out, json_is_true(v));
		return 0;
	case PB_ENUM:
		return enum_value(j, f, v, out);
	case PB_STRING:
	case PB_BYTES:
		return put_text(j, f, v, out);
	case PB_MESSAGE:
		break;
	default:
		return put_number(j, f, v, out);
	}
	const struct pb_message *m = pb_message(j->set, f->type_name);

	if (!m)
		return err_set(j->reterr, ERR_USAGE, 0, "the descriptor set has no message %.200s: make it with --include_imports",
			       f->type_name);
	rc = put_message(j, m, v, depth + 1, &part);
	pb_varint(out, part.n);
	buf_add(out, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

/* One entry of a map: a message of key and value. */
static int put_entry(const struct pb_json *j, const struct pb_field *f, const struct pb_message *entry, const char *key,
		     const json_t *v, unsigned depth, struct buf *out)
{
	struct buf part = {0};
	int rc = 0;

	for (size_t i = 0; i < entry->n_fields && !rc; i++) {
		const struct pb_field *part_of = &entry->fields[i];
		bool is_key = part_of->number == 1;
		/* keys are texts in JSON, whatever they are here */
		json_t *name = !is_key ? NULL : part_of->type != PB_BOOL ? json_string(key) :
			       !strcmp(key, "true") ? json_true() : !strcmp(key, "false") ? json_false() : json_string(key);

		pb_key(&part, part_of->number, wire_type(part_of->type));
		rc = put_value(j, part_of, is_key ? name : v, depth, &part);
		json_decref(name);
	}
	pb_bytes(out, f->number, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

static int put_field(const struct pb_json *j, const struct pb_field *f, const json_t *v, unsigned depth, struct buf *out)
{
	const struct pb_message *entry = f->type == PB_MESSAGE && f->repeated ? pb_message(j->set, f->type_name) : NULL;
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_null(v) && strcmp(f->type_name, "google.protobuf.Value"))
		return 0;
	if (entry && entry->map_entry) {
		if (!json_is_object(v))
			return pb_wrong(j, f->name, "an object (it is a map)", v);
		json_object_foreach((json_t *)v, key, item)
			if (put_entry(j, f, entry, key, item, depth + 1, out) < 0)
				return -1;
		return 0;
	}
	if (!f->repeated) {
		pb_key(out, f->number, wire_type(f->type));
		return put_value(j, f, v, depth, out);
	}
	if (!json_is_array(v))
		return pb_wrong(j, f->name, "a list (it is repeated)", v);
	json_array_foreach(v, i, item) {
		pb_key(out, f->number, wire_type(f->type));
		if (put_value(j, f, item, depth, out) < 0)
			return -1;
	}
	return 0;
}

static const struct pb_field *field_named(const struct pb_message *m, const char *name)
{
	for (size_t i = 0; i < m->n_fields; i++)
		if (!strcmp(m->fields[i].name, name) || !strcmp(m->fields[i].json_name, name))
			return &m->fields[i];
	return NULL;
}

static int put_message(const struct pb_json *j, const struct pb_message *m, const json_t *v, unsigned depth, struct buf *out)
{
	const char *key;
	json_t *item;
	int rc;

	if (depth > MAX_DEPTH)
		return pb_wrong(j, m->name, "less nesting", v);
	if (pb_well_known(j, m, v, out, &rc))
		return rc;
	if (m->n_fields == 1 && !m->fields[0].repeated && !strncmp(m->name, "google.protobuf.", 16) && strstr(m->name, "Value") && !json_is_object(v)) {
		/* a wrapper stands for its value */
		pb_key(out, m->fields[0].number, wire_type(m->fields[0].type));
		return put_value(j, &m->fields[0], v, depth, out);
	}
	if (!json_is_object(v))
		return pb_wrong(j, m->name, "an object", v);
	json_object_foreach((json_t *)v, key, item) {
		const struct pb_field *f = field_named(m, key);

		if (!f)
			return err_set(j->reterr, ERR_USAGE, 0, "message %.200s has no field '%.100s'", m->name, key);
		if (put_field(j, f, item, depth, out) < 0)
			return -1;
	}
	return 0;
}

int pb_from_json(const struct pb_set *set, const struct pb_message *m, const char *text, size_t *ret_used, struct buf *out,
		 struct err *reterr)
{
	struct pb_json j = {.set = set, .reterr = reterr};
	json_error_t why;
	json_t *v = json_loads(text, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

	if (!v)
		return err_set(reterr, ERR_USAGE, 0, "the message is no JSON: %s, at character %d of '%.200s'", why.text,
			       why.position, text);
	*ret_used = (size_t)why.position;
	int rc = put_message(&j, m, v, 0, out);

	json_decref(v);
	return rc;
}
