/* Private to pb_*.c. */
#pragma once
#include <jansson.h>

#include "proto/pb.h"

#define PB_MAX_DEPTH 100        /* as in Google's own parsers */

struct pb_json {
	const struct pb_set *set;
	struct err *reterr;
};

/* Where in the JSON: a field, an element of a list or an entry of a map, inside of another place. The whole has no name. */
struct pb_at {
	const struct pb_at *in;
	const char *name;
	enum { PB_AT_FIELD, PB_AT_ITEM, PB_AT_KEY } kind;
	size_t index;           /* of PB_AT_ITEM */
	unsigned depth;
};

struct pb_at pb_field_at(const struct pb_at *in, const char *name);
struct pb_at pb_item_at(const struct pb_at *in, size_t index);
struct pb_at pb_key_at(const struct pb_at *in, const char *key);

/* Errors: the place, then what is wrong there. Both return -1. */
int pb_say(const struct pb_json *j, const struct pb_at *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int pb_wrong(const struct pb_json *j, const struct pb_at *at, const char *want, const json_t *v);

/* pb_json.c: a message; its fields, where without (NULL: nothing) is a key that is none of them. 0 or -1. */
int pb_put_message(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out);
int pb_put_fields(const struct pb_json *j, const struct pb_message *m, const json_t *v, const char *without,
		  const struct pb_at *at, struct buf *out);
/* A field's key and its value (one of them, where it is repeated). */
int pb_put_value(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out);

/* pb_scalar.c: the value alone. */
const char *pb_text(const json_t *v);   /* a text without NUL bytes, else NULL */
unsigned pb_wire_type(enum pb_type type);
int pb_put_scalar(const struct pb_json *j, const struct pb_field *f, const json_t *v, const struct pb_at *at, struct buf *out);
/* null is a value of google.protobuf.Value and NullValue, and nothing at all for every other field. */
bool pb_takes_null(const struct pb_field *f);

/* pb_known.c: the types that have a form of their own in JSON; NULL: this is none. */
typedef int pb_known_fn(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at,
			struct buf *out);
pb_known_fn *pb_known(const struct pb_message *m);

/* pb_time.c: google.protobuf.Duration and Timestamp. */
pb_known_fn pb_put_duration, pb_put_timestamp;

/* The wire. */
void pb_key(struct buf *out, uint32_t number, unsigned wire);
void pb_fixed(struct buf *out, uint64_t v, unsigned bytes);
void pb_bytes(struct buf *out, uint32_t number, const char *p, size_t n);
