/* JSON to protocol buffers: numbers, truth, texts, bytes and enums. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "proto/pb_json.h"

const char *pb_text(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

/* Is s a number as JSON writes them? *ret_whole: without point and exponent. */
static bool is_number(const char *s, bool *ret_whole)
{
	size_t n = strspn(s += *s == '-', "0123456789");

	s += n;
	*ret_whole = n && !*s;
	if (n && *s == '.') {
		n = strspn(++s, "0123456789");
		s += n;
	}
	if (n && (*s == 'e' || *s == 'E')) {
		s += 1 + (s[1] == '-' || s[1] == '+');
		n = strspn(s, "0123456789");
		s += n;
	}
	return n && !*s;
}

static bool whole_of_real(double d, bool is_signed, uint64_t *ret)
{
	if (d != floor(d) || (is_signed ? d < -0x1p63 || d >= 0x1p63 : d < 0 || d >= 0x1p64))
		return false;
	*ret = is_signed ? (uint64_t)(int64_t)d : (uint64_t)d;
	return true;
}

static bool whole_of_text(const char *s, bool is_signed, uint64_t *ret)
{
	bool plain;

	if (!is_number(s, &plain))
		return false;
	if (!plain)
		return whole_of_real(strtod(s, NULL), is_signed, ret);
	errno = 0;
	*ret = is_signed ? (uint64_t)strtoll(s, NULL, 10) : strtoull(s, NULL, 10);
	return !errno && (is_signed || *s != '-' || !*ret);
}

/* Whole numbers: a JSON number, or a text of one (so that 64 bits survive JavaScript). */
static int whole(const struct pb_json *j, const json_t *v, bool is_signed, unsigned bits, const struct pb_at *at, uint64_t *ret)
{
	json_int_t i = json_integer_value(v);
	bool good = false;

	*ret = (uint64_t)i;
	if (json_is_integer(v))
		good = is_signed || i >= 0;
	else if (json_is_real(v))
		good = whole_of_real(json_real_value(v), is_signed, ret);
	else if (pb_text(v))
		good = whole_of_text(pb_text(v), is_signed, ret);
	if (good && bits == 32)
		good = is_signed ? (int64_t)*ret >= INT32_MIN && (int64_t)*ret <= INT32_MAX : *ret <= UINT32_MAX;
	if (good)
		return 0;
	return pb_wrong(j, at, is_signed ? bits == 32 ? "a whole number of 32 bits" : "a whole number of 64 bits" :
			bits == 32 ? "a whole number from 0 of 32 bits" : "a whole number from 0 of 64 bits", v);
}

static int put_whole(const struct pb_json *j, enum pb_type type, const json_t *v, const struct pb_at *at, struct buf *out)
{
	bool is_signed = type != PB_UINT64 && type != PB_UINT32 && type != PB_FIXED64 && type != PB_FIXED32;
	bool narrow = type == PB_INT32 || type == PB_UINT32 || type == PB_FIXED32 || type == PB_SFIXED32 || type == PB_SINT32;
	uint64_t u;

	if (whole(j, v, is_signed, narrow ? 32 : 64, at, &u) < 0)
		return -1;
	if (pb_wire_type(type) == 1)
		pb_fixed(out, u, 8);
	else if (pb_wire_type(type) == 5)
		pb_fixed(out, u, 4);
	else if (type == PB_SINT32 || type == PB_SINT64)
		pb_varint(out, u << 1 ^ (0 - (u >> 63)));
	else
		pb_varint(out, u);
	return 0;
}

static bool real(const json_t *v, double *ret)
{
	const char *s = pb_text(v);
	bool plain;

	if (!s) {
		*ret = json_number_value(v);
		return json_is_number(v);
	}
	*ret = !strcmp(s, "NaN") ? NAN : !strcmp(s, "Infinity") ? INFINITY : -INFINITY;
	if (isnan(*ret) || *ret > 0 || !strcmp(s, "-Infinity"))
		return true;
	*ret = strtod(s, NULL);
	return is_number(s, &plain) && !isinf(*ret);
}

static int put_real(const struct pb_json *j, enum pb_type type, const json_t *v, const struct pb_at *at, struct buf *out)
{
	double d;
	uint64_t u = 0;

	if (!real(v, &d))
		return pb_wrong(j, at, "a number", v);
	float narrow = (float)d;

	if (type == PB_FLOAT && isinf(narrow) && !isinf(d))
		return pb_wrong(j, at, "a number that a float can hold", v);
	if (type == PB_DOUBLE)
		memcpy(&u, &d, sizeof d);
	else
		memcpy(&u, &narrow, sizeof narrow);
	pb_fixed(out, u, type == PB_DOUBLE ? 8 : 4);
	return 0;
}

static int digit64(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 :
	       c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets, with or without the padding. */
static bool base64(const char *s, size_t n, struct buf *out)
{
	size_t digits = n;
	uint32_t bits = 0;
	unsigned have = 0;

	while (digits && n - digits < 2 && s[digits - 1] == '=')
		digits--;
	if (digits % 4 == 1 || (digits < n && n % 4))
		return false;
	for (size_t i = 0; i < digits; i++) {
		int d = digit64(s[i]);

		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(out, (char)(bits >> have));
		}
	}
	return true;
}

static int put_text(const struct pb_json *j, enum pb_type type, const json_t *v, const struct pb_at *at, struct buf *out)
{
	struct buf part = {0};
	bool good = json_is_string(v);

	if (good && type == PB_STRING)
		buf_add(&part, json_string_value(v), json_string_length(v));
	else if (good)
		good = base64(json_string_value(v), json_string_length(v), &part);
	pb_varint(out, part.n);
	buf_add(out, part.p ? part.p : "", part.n);
	buf_free(&part);
	return good ? 0 : pb_wrong(j, at, type == PB_STRING ? "a text" : "bytes in base64", v);
}

static int no_such_value(const struct pb_json *j, const struct pb_enum *e, const char *name, const struct pb_at *at)
{
	const char **names = calloc(e->n_values + 1, sizeof *names);
	const char *near;

	if (!names)
		abort();
	for (size_t i = 0; i < e->n_values; i++)
		names[i] = e->values[i].name;
	near = nearest_word(name, names, e->n_values);
	pb_say(j, at, "%.200s has no value '%.100s'%s%s%s", e->name, name, near ? ", did you mean '" : "", near ? near : "",
	       near ? "'?" : "");
	free(names);
	return -1;
}

static int put_enum(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	const struct pb_enum *e = pb_enum(j->set, f->type_name);
	const char *s = pb_text(v);

	if (json_is_null(v) && pb_takes_null(f)) {
		pb_varint(out, 0);
		return 0;
	}
	if (!s && !json_is_number(v))
		return pb_wrong(j, at, "a name or a number of an enum", v);
	if (!s)
		return put_whole(j, PB_INT32, v, at, out);
	if (!e)
		return pb_say(j, at, "the descriptor set has no enum %.200s: make it with --include_imports", f->type_name);
	for (size_t i = 0; i < e->n_values; i++)
		if (!strcmp(e->values[i].name, s)) {
			pb_varint(out, (uint64_t)(int64_t)e->values[i].number);
			return 0;
		}
	return no_such_value(j, e, s, at);
}

unsigned pb_wire_type(enum pb_type type)
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
	case PB_GROUP:
		return 3;
	default:
		return 0;
	}
}

bool pb_takes_null(const struct pb_field *f)
{
	return (f->type == PB_MESSAGE && !strcmp(f->type_name, "google.protobuf.Value")) ||
	       (f->type == PB_ENUM && !strcmp(f->type_name, "google.protobuf.NullValue"));
}

int pb_put_scalar(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out)
{
	switch (f->type) {
	case PB_FLOAT:
	case PB_DOUBLE:
		return put_real(j, f->type, v, at, out);
	case PB_BOOL:
		if (!json_is_boolean(v))
			return pb_wrong(j, at, "true or false", v);
		pb_varint(out, json_is_true(v));
		return 0;
	case PB_ENUM:
		return put_enum(j, f, v, at, out);
	case PB_STRING:
	case PB_BYTES:
		return put_text(j, f->type, v, at, out);
	default:
		return put_whole(j, f->type, v, at, out);
	}
}
