/* A compiled descriptor set: which messages, enums and methods there are. */
#include "proto/pb.h"

#include <string.h>

#define MAX_NESTING 32
#define NAME_MAX_LEN 512

/* What is left of a message that is being read; bad once anything does not fit. */
struct in {
	const uint8_t *p;
	size_t n;
	bool bad;
};

struct reading {
	struct arena *arena;
	struct pb_set *set;
};

/* One field: number and wire type, then its value; a length-delimited one is in sub. */
struct item {
	uint32_t number;
	uint64_t value;
	struct in sub;
	bool is_sub;
};

static uint64_t varint(struct in *in)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && in->n; shift += 7) {
		uint8_t b = *in->p++;

		in->n--;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	in->bad = true;
	return 0;
}

static void skip(struct in *in, size_t n)
{
	if (n > in->n) {
		in->bad = true;
		in->n = 0;
		return;
	}
	in->p += n;
	in->n -= n;
}

static bool next(struct in *in, struct item *ret)
{
	if (!in->n || in->bad)
		return false;
	uint64_t key = varint(in);

	*ret = (struct item){.number = (uint32_t)(key >> 3)};
	if (in->bad || !ret->number)
		in->bad = true;
	else if ((key & 7) == 0)
		ret->value = varint(in);
	else if ((key & 7) == 1)
		skip(in, 8);
	else if ((key & 7) == 5)
		skip(in, 4);
	else if ((key & 7) == 2) {
		uint64_t n = varint(in);

		if (n > in->n)
			in->bad = true;
		else
			ret->sub = (struct in){.p = in->p, .n = (size_t)n};
		ret->is_sub = true;
		skip(in, in->bad ? 0 : (size_t)n);
	} else
		in->bad = true;
	return !in->bad;
}

static const char *text(struct reading *r, const struct item *it)
{
	const char *s = (const char *)it->sub.p;
	size_t n = it->sub.n;

	if (n && s[0] == '.') {
		s++;
		n--;
	}
	return n < NAME_MAX_LEN && (!n || !memchr(s, '\0', n)) ? arena_strndup(r->arena, n ? s : "", n) : "";
}

static const char *joined(struct reading *r, const char *scope, const char *name, char between)
{
	if (strlen(scope) + strlen(name) > NAME_MAX_LEN)
		return "";
	return *scope ? arena_printf(r->arena, "%s%c%s", scope, between, name) : name;
}

/* How many fields of that number: to make room for them. */
static size_t count(struct in in, uint32_t number)
{
	struct item it;
	size_t n = 0;

	while (next(&in, &it))
		n += it.number == number && it.is_sub;
	return n;
}

/* What protoc makes of big_one: bigOne. Descriptor sets of other compilers may leave it out. */
static const char *json_name(struct reading *r, const char *name)
{
	char *ret = arena_strdup(r->arena, name), *to = ret;

	for (const char *from = name; *from; from++)
		if (*from != '_')
			*to++ = from > name && from[-1] == '_' && *from >= 'a' && *from <= 'z' ? (char)(*from & ~0x20) : *from;
	*to = '\0';
	return ret;
}

static bool read_field(struct reading *r, struct in in, struct pb_field *f)
{
	struct item it;

	*f = (struct pb_field){.name = "", .type_name = ""};
	while (next(&in, &it)) {
		if (it.number == 1 && it.is_sub)
			f->name = text(r, &it);
		else if (it.number == 3)
			f->number = (uint32_t)it.value;
		else if (it.number == 4) {
			f->repeated = it.value == 3;
			f->required = it.value == 2;
		}
		else if (it.number == 5)
			f->type = it.value >= PB_DOUBLE && it.value <= PB_SINT64 ? (enum pb_type)it.value : 0;
		else if (it.number == 6 && it.is_sub)
			f->type_name = text(r, &it);
		else if (it.number == 10 && it.is_sub)
			f->json_name = text(r, &it);
		else if (it.number == 9 && !it.is_sub && it.value < UINT32_MAX)
			f->oneof = (uint32_t)it.value + 1;
	}
	if (!f->json_name || !*f->json_name)
		f->json_name = json_name(r, f->name);
	return !in.bad && f->number > 0 && f->number < 1u << 29 && f->type && *f->name;
}

static bool read_enum(struct reading *r, struct in in, const char *scope)
{
	struct pb_enum *e = arena_new_of(r->arena, struct pb_enum);
	struct item it, part;

	e->values = arena_array(r->arena, struct pb_value, count(in, 2) + 1);
	while (next(&in, &it)) {
		if (it.number == 1 && it.is_sub)
			e->name = joined(r, scope, text(r, &it), '.');
		if (it.number != 2 || !it.is_sub)
			continue;
		struct pb_value *v = &e->values[e->n_values++];

		v->name = "";
		while (next(&it.sub, &part)) {
			if (part.number == 1 && part.is_sub)
				v->name = text(r, &part);
			else if (part.number == 2)
				v->number = (int32_t)part.value;
		}
		if (it.sub.bad)
			return false;
	}
	e->next = r->set->enums;
	r->set->enums = e;
	return !in.bad && e->name;
}

static bool is_map_entry(struct in in)
{
	struct item it;
	bool is = false;

	while (next(&in, &it))
		if (it.number == 7)
			is = it.value;
	return is;
}

static bool read_message(struct reading *r, struct in in, const char *scope, unsigned depth)
{
	struct pb_message *m = arena_new_of(r->arena, struct pb_message);
	struct in again = in;
	struct item it;

	if (depth > MAX_NESTING)
		return false;
	while (next(&again, &it))
		if (it.number == 1 && it.is_sub)
			m->name = joined(r, scope, text(r, &it), '.');
	if (again.bad || !m->name)
		return false;
	m->fields = arena_array(r->arena, struct pb_field, count(in, 2) + 1);
	while (next(&in, &it)) {
		bool good = true;

		if (it.number == 2 && it.is_sub)
			good = read_field(r, it.sub, &m->fields[m->n_fields++]);
		else if (it.number == 3 && it.is_sub)
			good = read_message(r, it.sub, m->name, depth + 1);
		else if (it.number == 4 && it.is_sub)
			good = read_enum(r, it.sub, m->name);
		else if (it.number == 7 && it.is_sub)
			m->map_entry = is_map_entry(it.sub);
		if (!good)
			return false;
	}
	m->next = r->set->messages;
	r->set->messages = m;
	return true;
}

static bool read_method(struct reading *r, struct in in, const char *service)
{
	struct pb_method *m = arena_new_of(r->arena, struct pb_method);
	struct item it;

	m->input = m->output = "";
	while (next(&in, &it)) {
		if (it.number == 1 && it.is_sub)
			m->name = joined(r, service, text(r, &it), '/');
		else if (it.number == 2 && it.is_sub)
			m->input = text(r, &it);
		else if (it.number == 3 && it.is_sub)
			m->output = text(r, &it);
		else if (it.number == 5)
			m->client_streams = it.value;
		else if (it.number == 6)
			m->server_streams = it.value;
	}
	m->next = r->set->methods;
	r->set->methods = m;
	return !in.bad && m->name;
}

static bool read_service(struct reading *r, struct in in, const char *package)
{
	struct in again = in;
	const char *name = "";
	struct item it;

	while (next(&again, &it))
		if (it.number == 1 && it.is_sub)
			name = joined(r, package, text(r, &it), '.');
	while (next(&in, &it))
		if (it.number == 2 && it.is_sub && !read_method(r, it.sub, name))
			return false;
	return !in.bad && *name;
}

static bool read_file(struct reading *r, struct in in)
{
	struct in again = in;
	const char *package = "";
	struct item it;

	while (next(&again, &it))
		if (it.number == 2 && it.is_sub)
			package = text(r, &it);
	while (next(&in, &it)) {
		bool good = true;

		if (it.number == 4 && it.is_sub)
			good = read_message(r, it.sub, package, 0);
		else if (it.number == 5 && it.is_sub)
			good = read_enum(r, it.sub, package);
		else if (it.number == 6 && it.is_sub)
			good = read_service(r, it.sub, package);
		if (!good)
			return false;
	}
	return !in.bad;
}

int pb_read_set(const uint8_t *p, size_t n, struct arena *arena, struct pb_set *ret, struct err *reterr)
{
	struct reading r = {.arena = arena, .set = ret};
	struct in in = {.p = p, .n = n};
	struct item it;
	bool good = n > 0;

	*ret = (struct pb_set){0};
	while (good && next(&in, &it))
		good = it.number == 1 && it.is_sub && read_file(&r, it.sub);
	if (good && !in.bad)
		return 0;
	return err_set(reterr, ERR_USAGE, 0, "this is no compiled descriptor set: make one with protoc --include_imports -o FILE.desc "
		       "FILE.proto");
}

const struct pb_message *pb_message(const struct pb_set *set, const char *name)
{
	const struct pb_message *m = set->messages;

	while (m && strcmp(m->name, name))
		m = m->next;
	return m;
}

const struct pb_enum *pb_enum(const struct pb_set *set, const char *name)
{
	const struct pb_enum *e = set->enums;

	while (e && strcmp(e->name, name))
		e = e->next;
	return e;
}

const struct pb_method *pb_method(const struct pb_set *set, const char *name)
{
	const struct pb_method *m = set->methods;

	while (m && strcmp(m->name, name))
		m = m->next;
	return m;
}
