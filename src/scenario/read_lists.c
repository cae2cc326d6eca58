/* Readers of values that are lists, mappings, or one of several forms. */
#include <string.h>

#include "scenario/keys.h"

#define MAX_PORTS 8     /* of the engine: run/engine.h */
#define MAX_ITEMS 256

const struct node *comma_list(struct reader *r, const struct node *n)
{
	if (n->kind != NODE_SCALAR || node_is_null(n))
		return n;
	struct node *list = arena_new_of(r->arena, struct node);
	struct node **tail = &list->first;

	list->kind = NODE_LIST;
	list->at = n->at;
	for (const char *p = n->text;;) {
		size_t len = strcspn(p, ",");
		const char *from = p + strspn(p, " ");
		size_t keep = from < p + len ? (size_t)(p + len - from) : 0;

		while (keep && from[keep - 1] == ' ')
			keep--;
		struct node *item = node_scalar(r->arena, arena_strndup(r->arena, from, keep));

		item->at = n->at;
		item->plain = n->plain;
		*tail = item;
		tail = &item->next;
		list->n++;
		if (!p[len])
			return list;
		p += len + 1;
	}
}

/* n must be a list of at most MAX_ITEMS. */
static int check_list(struct reader *r, const struct key *k, const struct node *n)
{
	if (n->kind != NODE_LIST)
		return bad(r, k, n, "%s is needed, this is %s", type_rows[k->type].what, node_kind_text(n));
	if (n->n > MAX_ITEMS)
		return bad(r, k, n, "more than %d entries", MAX_ITEMS);
	return 0;
}

int read_needs(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	unsigned bits = 0;

	n = comma_list(r, n);
	if (check_list(r, k, n) < 0)
		return -1;
	for (const struct node *i = n->first; i; i = i->next) {
		const char *text = scalar(r, k, i);
		int at = text ? word(r, k, i, text, k->words) : -1;

		if (at < 0)
			return -1;
		bits |= 1u << at;
	}
	*FIELD(k, base, unsigned) = bits;
	return 0;
}

int read_tos(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	enum whom *v = arena_array(r->arena, enum whom, n->n + 1);
	size_t count = 0;

	if (check_list(r, k, n) < 0)
		return -1;
	for (const struct node *i = n->first; i; i = i->next) {
		const char *text = scalar(r, k, i);
		int at = text ? word(r, k, i, text, k->words) : -1;

		if (at < 0)
			return -1;
		for (size_t j = 0; j < count; j++)
			if (v[j] == (enum whom)at)
				return bad(r, k, i, "'%s' is there twice", text);
		v[count++] = (enum whom)at;
	}
	*FIELD(k, base, enum whom *) = v;
	*SECOND(k, base, size_t) = count;
	return 0;
}

/* A NULL-terminated array, appended to what is there: flags may be repeated. */
static int add_words(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	char ***field = FIELD(k, base, char **), **v;
	size_t old = 0;

	if (check_list(r, k, n) < 0)
		return -1;
	while (*field && (*field)[old])
		old++;
	v = arena_array(r->arena, char *, old + n->n + 1);
	if (old)
		memcpy(v, *field, old * sizeof *v);
	for (const struct node *i = n->first; i; i = i->next) {
		const char *text = scalar(r, k, i);

		if (!text)
			return -1;
		if (!*text)
			return bad(r, k, i, "an empty word");
		v[old++] = arena_strdup(r->arena, text);
	}
	*field = v;
	return 0;
}

int read_words(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	return add_words(r, k, comma_list(r, n), base);
}

/* As words, but a single value is one file, whatever is in its name. */
int read_paths(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	struct node list = {.at = n->at, .kind = NODE_LIST, .n = 1}, item = *n;

	if (n->kind != NODE_SCALAR || node_is_null(n))
		return add_words(r, k, n, base);
	item.next = NULL;
	list.first = &item;
	return add_words(r, k, &list, base);
}

int read_command(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *why;
	char **argv;

	if (n->kind == NODE_SCALAR && !node_is_null(n)) {
		argv = split_command(n->text, r->arena, &why);
		if (!argv)
			return bad(r, k, n, "'%s': %s", n->text, why);
		*FIELD(k, base, char **) = argv;
		return 0;
	}
	if (n->kind != NODE_LIST || !n->n)
		return bad(r, k, n, "a list of words or a text is needed, this is %s",
			   n->kind == NODE_LIST ? "an empty list" : node_kind_text(n));
	argv = arena_array(r->arena, char *, n->n + 1);
	size_t argc = 0;

	for (const struct node *i = n->first; i; i = i->next) {
		/* ~ and null are words of a command like any others */
		if (i->kind != NODE_SCALAR)
			return bad(r, k, i, "a word is needed, this is %s", node_kind_text(i));
		argv[argc++] = arena_strdup(r->arena, i->text);
	}
	if (!*argv[0])
		return bad(r, k, n, "the program's name is empty");
	*FIELD(k, base, char **) = argv;
	return 0;
}

/* A kind of text with a name: how a flag separates the two, and what cannot stand in them. */
struct named {
	char sep;
	const char *not_in_name, *not_in_value, *what, *form;
};

static int add_text(struct reader *r, const struct key *k, const struct node *n, const struct named *kind, const char *name,
		    const char *value, void *base)
{
	struct kv **field = FIELD(k, base, struct kv *), *v;
	size_t *count = SECOND(k, base, size_t);

	if (!*name || strlen(name) > 256 || strpbrk(name, kind->not_in_name))
		return bad(r, k, n, "'%.40s' is not %s", name, kind->what);
	if (strpbrk(value, kind->not_in_value))
		return bad(r, k, n, "the value of %s has a line break in it", name);
	for (size_t i = 0; i < *count; i++)
		if (!strcmp((*field)[i].key, name)) {
			(*field)[i].value = arena_strdup(r->arena, value);
			return 0;
		}
	if (*count == MAX_ITEMS)
		return bad(r, k, n, "more than %d entries", MAX_ITEMS);
	v = arena_array(r->arena, struct kv, *count + 1);
	if (*count)
		memcpy(v, *field, *count * sizeof *v);
	v[*count] = (struct kv){n->at, arena_strdup(r->arena, name), arena_strdup(r->arena, value)};
	*field = v;
	++*count;
	return 0;
}

/* A mapping; on the command line its one text is NAME sep VALUE. */
static int read_named(struct reader *r, const struct key *k, const struct node *n, const struct named *kind, void *base)
{
	if (r->flag && n->kind == NODE_SCALAR) {
		const char *sep = strchr(n->text, kind->sep);

		if (!sep)
			return bad(r, k, n, "'%s' is not %s", n->text, kind->form);
		return add_text(r, k, n, kind, arena_strndup(r->arena, n->text, (size_t)(sep - n->text)),
				kind->sep == ':' ? sep + 1 + strspn(sep + 1, " \t") : sep + 1, base);
	}
	if (n->kind != NODE_MAP)
		return bad(r, k, n, "a mapping of names to texts is needed, this is %s", node_kind_text(n));
	for (const struct node *i = n->first; i; i = i->next) {
		if (i->kind != NODE_SCALAR)
			return bad(r, k, i, "the value of '%s' must be a text, this is %s", i->key,
				   node_kind_text(i));
		if (add_text(r, k, i, kind, i->key, i->text, base) < 0)
			return -1;
	}
	return 0;
}

int read_texts(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	static const struct named variable = {'=', "=\r\n", "", "a name", "NAME=VALUE"};

	return read_named(r, k, n, &variable, base);
}

/* Header fields (RFC 9110 5): as a flag written as curl and HTTP write them. */
int read_fields(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	static const struct named field = {':', ":= \t\r\n", "\r\n", "the name of a header field", "'Name: value'"};

	return read_named(r, k, n, &field, base);
}

/* One named port: a number, auto, or {port: N, protocol: P}. */
static int one_port(struct reader *r, const struct key *k, const struct node *n, const char *name,
		    struct port_spec *ret)
{
	/* what is wrong is said of the key that was written */
	struct key number = *key_find(SEC_PORT, "port");

	number.name = k->name;
	number.section = k->section;
	section_defaults(r, SEC_PORT, ret);
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] || strlen(name) > 64)
		return bad(r, k, n, "'%.70s' cannot name a port: letters, digits and _ make ${PORT_name}", name);
	ret->name = arena_strdup(r->arena, name);
	if (n->kind == NODE_MAP)
		return section_read(r, SEC_PORT, n, ret);
	return read_port(r, &number, n, ret);
}

/* name=value, as in --port http=8080,redis=auto */
static int flag_port(struct reader *r, const struct key *k, const struct node *n, struct port_spec *ret)
{
	const char *eq = strchr(n->text, '=');
	struct node value = *n;

	if (!eq || eq == n->text)
		return bad(r, k, n, "'%s' is not name=port", n->text);
	value.text = eq + 1;
	return one_port(r, k, &value, arena_strndup(r->arena, n->text, (size_t)(eq - n->text)), ret);
}

static int many_ports(struct reader *r, const struct key *k, const struct node *n, struct port_spec *v)
{
	size_t count = 0;

	if (n->n > MAX_PORTS || !n->n)
		return bad(r, k, n, "%s", n->n ? "more than 8 ports" : "no port: say none");
	for (const struct node *i = n->first; i; i = i->next, count++) {
		if ((n->kind == NODE_MAP ? one_port(r, k, i, i->key, &v[count]) : flag_port(r, k, i, &v[count])) < 0)
			return -1;
		if (!*v[count].name)
			return bad(r, k, i, "a port without a name");
		for (size_t j = 0; j < count; j++)
			if (!strcmp(v[j].name, v[count].name))
				return bad(r, k, i, "two ports are called '%s'", v[j].name);
	}
	return 0;
}

int read_ports(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	bool *none = k->section == SEC_TARGET ? &((struct target_spec *)base)->no_port :
		     &((struct settings *)base)->no_port;
	struct port_spec *v = arena_array(r->arena, struct port_spec, MAX_PORTS);
	size_t count = 1;

	if (n->kind == NODE_LIST)
		return bad(r, k, n, "auto, none, a number or {name: port} is needed, this is a list");
	if (n->kind == NODE_SCALAR && !strcmp(n->text, "none")) {
		count = 0;
	} else if (n->kind == NODE_MAP) {
		count = n->n;
		if (many_ports(r, k, n, v) < 0)
			return -1;
	} else if (strchr(n->text, '=') && strncmp(n->text, "unix:", 5)) {
		const struct node *list = comma_list(r, n);

		count = list->n;
		if (many_ports(r, k, list, v) < 0)
			return -1;
	} else if (one_port(r, k, n, "", v) < 0) {
		return -1;
	}
	*none = !count;
	*FIELD(k, base, struct port_spec *) = v;
	*SECOND(k, base, size_t) = count;
	return 0;
}
