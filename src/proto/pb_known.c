/* JSON to protocol buffers: the types that have a form of their own in JSON (google/protobuf/{struct,any,field_mask,wrappers,...}.proto).
 * Their fields have the numbers that those files give them, and do not change. */
#include <string.h>

#include "proto/pb_json.h"

static pb_known_fn put_struct, put_list, put_dynamic;

static int put_sub(const struct pb_json *j, pb_known_fn *put, uint32_t number, const json_t *v, const struct pb_at *at,
		   struct buf *out)
{
	struct buf part = {0};
	int rc = put(j, NULL, v, at, &part);

	pb_bytes(out, number, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

/* google.protobuf.Value: whatever JSON has. */
static int put_dynamic(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	double d = json_number_value(v);
	uint64_t u;

	(void)m;
	switch (json_typeof(v)) {
	case JSON_NULL:
		pb_key(out, 1, 0);
		pb_varint(out, 0);
		return 0;
	case JSON_STRING:
		pb_bytes(out, 3, json_string_value(v), json_string_length(v));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		pb_key(out, 4, 0);
		pb_varint(out, json_is_true(v));
		return 0;
	case JSON_OBJECT:
		return put_sub(j, put_struct, 5, v, at, out);
	case JSON_ARRAY:
		return put_sub(j, put_list, 6, v, at, out);
	default:
		memcpy(&u, &d, sizeof d);
		pb_key(out, 2, 1);
		pb_fixed(out, u, 8);
		return 0;
	}
}

static int put_struct(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	const char *key;
	json_t *item;
	int rc = 0;

	(void)m;
	if (!json_is_object(v))
		return pb_wrong(j, at, "an object", v);
	if (at->depth > PB_MAX_DEPTH)
		return pb_wrong(j, at, "less nesting", v);
	json_object_foreach((json_t *)v, key, item) {
		struct pb_at inside = pb_key_at(at, key);
		struct buf entry = {0};

		pb_bytes(&entry, 1, key, strlen(key));
		rc = put_sub(j, put_dynamic, 2, item, &inside, &entry);
		pb_bytes(out, 1, entry.p, entry.n);
		buf_free(&entry);
		if (rc < 0)
			break;
	}
	return rc;
}

static int put_list(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	json_t *item;
	size_t i;

	(void)m;
	if (!json_is_array(v))
		return pb_wrong(j, at, "a list", v);
	if (at->depth > PB_MAX_DEPTH)
		return pb_wrong(j, at, "less nesting", v);
	json_array_foreach(v, i, item) {
		struct pb_at inside = pb_item_at(at, i);

		if (put_sub(j, put_dynamic, 1, item, &inside, out) < 0)
			return -1;
	}
	return 0;
}

static int put_wrapper(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	if (m->n_fields != 1 || m->fields[0].type == PB_MESSAGE || m->fields[0].type == PB_GROUP)
		return pb_say(j, at, "%.100s of this descriptor set is not Google's", m->name);
	return pb_put_value(j, &m->fields[0], v, at, out);
}

static int put_empty(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	return pb_put_fields(j, m, v, NULL, at, out);
}

/* google.protobuf.FieldMask: "user.displayName,photo" is the paths user.display_name and photo. */
static int put_mask(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	static const char want[] = "paths like \"user.displayName,photo\"";
	const char *s = pb_text(v);

	(void)m;
	if (!s || strchr(s, '_'))
		return pb_wrong(j, at, want, v);
	while (*s) {
		struct buf path = {0};

		for (; *s && *s != ','; s++) {
			if (*s >= 'A' && *s <= 'Z')
				buf_addc(&path, '_');
			buf_addc(&path, *s >= 'A' && *s <= 'Z' ? (char)(*s | 0x20) : *s);
		}
		size_t n = path.n;

		if (n)
			pb_bytes(out, 1, path.p, n);
		buf_free(&path);
		if (!n || (*s && !*++s))
			return pb_wrong(j, at, want, v);
	}
	return 0;
}

/* google.protobuf.Any: the fields of any message, and in @type which one it is; what has a form of its own is in "value". */
static int put_any(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	const json_t *type = json_object_get(v, "@type"), *value = json_object_get(v, "value");
	const char *url = pb_text(type), *name = url ? strrchr(url, '/') : NULL;
	struct buf part = {0};
	int rc;

	if (json_is_object(v) && !json_object_size(v))
		return 0;
	if (!name || at->depth > PB_MAX_DEPTH)
		return pb_wrong(j, at, !name ? "an object with \"@type\": \"type.googleapis.com/NAME\"" : "less nesting", v);
	m = pb_message(j->set, name + 1);
	if (!m)
		return pb_say(j, at, "the descriptor set has no message %.200s", name + 1);
	pb_known_fn *put = pb_known(m);

	if (put == put_empty && !value)
		put = NULL;
	if (put && (!value || json_object_size(v) != 2))
		return pb_wrong(j, at, "\"@type\" and \"value\", for this type has a form of its own", v);
	struct pb_at inside = pb_field_at(at, "value");

	rc = put ? put(j, m, value, &inside, &part) : pb_put_fields(j, m, v, "@type", at, &part);
	pb_bytes(out, 1, url, strlen(url));
	pb_bytes(out, 2, part.p ? part.p : "", part.n);
	buf_free(&part);
	return rc;
}

pb_known_fn *pb_known(const struct pb_message *m)
{
	static const struct {
		const char *name;
		pb_known_fn *put;
	} known[] = {
		{"Any", put_any}, {"Struct", put_struct}, {"Value", put_dynamic}, {"ListValue", put_list},
		{"FieldMask", put_mask}, {"Duration", pb_put_duration}, {"Timestamp", pb_put_timestamp}, {"Empty", put_empty},
		{"DoubleValue", put_wrapper}, {"FloatValue", put_wrapper}, {"Int64Value", put_wrapper},
		{"UInt64Value", put_wrapper}, {"Int32Value", put_wrapper}, {"UInt32Value", put_wrapper},
		{"BoolValue", put_wrapper}, {"StringValue", put_wrapper}, {"BytesValue", put_wrapper},
	};
	static const char package[] = "google.protobuf.";
	size_t n = sizeof package - 1;

	for (size_t i = 0; !strncmp(m->name, package, n) && i < sizeof known / sizeof *known; i++)
		if (!strcmp(m->name + n, known[i].name))
			return known[i].put;
	return NULL;
}
