/* From a file to a scenario or to settings: sections by the table of keys, then the rules between keys. */
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "scenario/keys.h"

#define MAX_LIST 64     /* clients, signals, steps: as many actions as the engine takes */

void section_defaults(struct reader *r, enum section section, void *base)
{
	memset(base, 0, section_rows[section].size);
	for (size_t i = 0; i < n_keys; i++) {
		const struct key *k = &keys[i];

		if (k->section == section && k->type == TYPE_SAME) {
			/* its keys are members of the same struct: zero but for their own defaults */
			for (size_t j = 0; j < n_keys; j++)
				if (keys[j].section == k->inner && keys[j].def && keys[j].def[0] != '(')
					type_rows[keys[j].type].read(r, &keys[j],
								     node_scalar(r->arena, keys[j].def), base);
		} else if (k->section == section && k->type == TYPE_MAP) {
			section_defaults(r, k->inner, FIELD(k, base, char));
		} else if (k->section == section && k->def && k->def[0] != '(') {
			type_rows[k->type].read(r, k, node_scalar(r->arena, k->def), base);
		}
	}
}

/* The key exists, but elsewhere: a wrong indentation, or an option of the other file. */
static const struct key *key_elsewhere(const char *name, enum section here)
{
	for (size_t i = 0; i < n_keys; i++)
		if (!strcmp(keys[i].name, name) && (keys[i].section == SEC_SETTINGS) == (here == SEC_SETTINGS))
			return &keys[i];
	return NULL;
}

static int unknown_key(struct reader *r, enum section section, const struct node *n)
{
	const char *names[64], *nearest;
	size_t n_names = 0;
	const char *where = section_rows[section].title;
	const struct key *other = key_elsewhere(n->key, section);

	if (other)
		return err_at(r->reterr, n->key_at, "key '%s' belongs to %s%s%s", n->key,
			      other->section == SEC_TOP ? "the top level" : section_rows[other->section].title,
			      *where ? ", not to " : "", where);
	for (size_t i = 0; i < n_keys && n_names < 64; i++)
		if (keys[i].section == section)
			names[n_names++] = keys[i].name;
	nearest = nearest_word(n->key, names, n_names);
	return err_at(r->reterr, n->key_at, "unknown key '%.60s'%s%s%s%s%s", n->key, *where ? " in " : "", where,
		      nearest ? ", did you mean '" : " (see: drainspec list keys)", nearest ? nearest : "",
		      nearest ? "'?" : "");
}

int section_read(struct reader *r, enum section section, const struct node *map, void *base)
{
	for (const struct node *n = map->first; n; n = n->next) {
		const struct key *k = key_find(section, n->key);

		if (!k)
			return unknown_key(r, section, n);
		if (node_is_null(n) && k->type != TYPE_COMMAND)
			return bad(r, k, n, "it has no value");
		if (type_rows[k->type].read(r, k, n, base) < 0)
			return -1;
	}
	return section_rules(r, section, map, base);
}

/* The sections that begin with their place in the file. */
static void set_place(enum section section, const struct node *n, void *base)
{
	if (section == SEC_TARGET || section == SEC_CLIENT || section == SEC_SIGNAL || section == SEC_STEP ||
	    section == SEC_EXPECT)
		*(struct span *)base = n->at;
}

static int need_map(struct reader *r, const struct key *k, const struct node *n)
{
	if (n->kind != NODE_MAP)
		return bad(r, k, n, "a mapping (key: value) is needed, this is %s", node_kind_text(n));
	return 0;
}

int read_map(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	void *inner = FIELD(k, base, char);

	if (need_map(r, k, n) < 0)
		return -1;
	set_place(k->inner, n, inner);
	return section_read(r, k->inner, n, inner);
}

int read_same(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	return need_map(r, k, n) < 0 ? -1 : section_read(r, k->inner, n, base);
}

/* true is the mapping {how: after-exit}; what is not written of a mapping has its defaults. */
int read_restart(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	struct restart_spec *s = FIELD(k, base, struct restart_spec);
	bool same = false;
	struct key as_bool = *k;

	section_defaults(r, SEC_RESTART, s);
	if (n->kind == NODE_MAP)
		return section_read(r, SEC_RESTART, n, s);
	as_bool.field = 0;
	if (read_bool(r, &as_bool, n, &same) < 0)
		return -1;
	s->how = same ? RESTART_AFTER_EXIT : RESTART_NO;
	return 0;
}

int read_list(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	size_t size = section_rows[k->inner].size, at = 0;

	if (n->kind != NODE_LIST)
		return bad(r, k, n, "a list (- ...) is needed, this is %s", node_kind_text(n));
	if (n->n > MAX_LIST)
		return bad(r, k, n, "more than %d entries", MAX_LIST);
	char *v = arena_alloc(r->arena, size * (n->n + 1));

	for (const struct node *i = n->first; i; i = i->next, at++) {
		if (need_map(r, k, i) < 0)
			return -1;
		section_defaults(r, k->inner, v + at * size);
		set_place(k->inner, i, v + at * size);
		if (section_read(r, k->inner, i, v + at * size) < 0)
			return -1;
	}
	*FIELD(k, base, void *) = v;
	*SECOND(k, base, size_t) = n->n;
	return 0;
}

int scenario_parse(const char *path, const char *text, size_t n, struct arena *arena,
		   struct scenario **ret, struct err *reterr)
{
	struct reader r = {.arena = arena, .reterr = reterr};
	struct scenario *sc = arena_new_of(arena, struct scenario);
	struct node *root;

	if (node_parse(arena_strdup(arena, path), text, n, arena, &root, reterr) < 0)
		return -1;
	if (!root)
		return err_at(reterr, (struct span){path, 1, 1}, "the file is empty");
	if (root->kind != NODE_MAP)
		return err_at(reterr, root->at, "a scenario is a mapping (key: value), this is %s",
			      node_kind_text(root));
	section_defaults(&r, SEC_TOP, sc);
	sc->at = root->at;
	sc->target.at = sc->expect.at = root->at;
	sc->path = root->at.path;
	if (section_read(&r, SEC_TOP, root, sc) < 0)
		return -1;
	*ret = sc;
	return 0;
}

int scenario_load(const char *path, struct arena *arena, struct scenario **ret, struct err *reterr)
{
	_cleanup_mem_ char *text = NULL;
	size_t n;

	if (node_read_file(path, &text, &n, reterr) < 0)
		return -1;
	return scenario_parse(path, text, n, arena, ret, reterr);
}

static uint64_t flag_bit(const struct key *k)
{
	const struct key *first = k;

	while (first > keys && first[-1].section == k->section)
		first--;
	return UINT64_C(1) << (k - first);
}

/* The member as if it had never been written: lists are replaced, not added to. */
static void forget(const struct key *k, struct settings *settings)
{
	if (k->type != TYPE_WORDS && k->type != TYPE_TEXTS && k->type != TYPE_FIELDS && k->type != TYPE_FORMATS)
		return;
	*FIELD(k, settings, void *) = NULL;
	if (k->second != k->field)
		*SECOND(k, settings, size_t) = 0;
}

int settings_parse(const char *path, const char *text, size_t n, struct arena *arena,
		   struct settings *settings, struct err *reterr)
{
	struct reader r = {.arena = arena, .reterr = reterr};
	struct settings got = *settings;
	struct node *root;

	if (node_parse(arena_strdup(arena, path), text, n, arena, &root, reterr) < 0)
		return -1;
	if (!root)
		return 0;
	if (root->kind != NODE_MAP)
		return err_at(reterr, root->at, "settings are a mapping (key: value), this is %s",
			      node_kind_text(root));
	for (const struct node *i = root->first; i; i = i->next) {
		const struct key *k = key_find(SEC_SETTINGS, i->key);
		struct settings unused = {0};
		bool given = k && settings->from_flags & flag_bit(k);

		if (!k)
			return unknown_key(&r, SEC_SETTINGS, i);
		if (node_is_null(i) && k->type != TYPE_COMMAND)
			return bad(&r, k, i, "it has no value");
		if (!given)
			forget(k, &got);
		/* what a flag has already said is read all the same: a mistake in the file stays one */
		if (type_rows[k->type].read(&r, k, i, given ? &unused : &got) < 0)
			return -1;
	}
	got.at = root->at;
	*settings = got;
	return 0;
}

int settings_load(const char *path, struct arena *arena, struct settings *settings, struct err *reterr)
{
	_cleanup_mem_ char *text = NULL;
	size_t n;

	if (node_read_file(path, &text, &n, reterr) < 0)
		return -1;
	return settings_parse(path, text, n, arena, settings, reterr);
}

int settings_set(struct settings *settings, const char *key, const char *value, struct arena *arena,
		 struct err *reterr)
{
	struct reader r = {.arena = arena, .reterr = reterr, .flag = true};
	char *name = arena_strdup(arena, key);

	for (char *p = name; (p = strchr(p, '_'));)
		*p = '-';
	const struct key *k = key_find(SEC_SETTINGS, name);

	if (!k)
		return err_set(reterr, ERR_USAGE, 0, "unknown setting '%s'", key);
	struct node *n = node_scalar(arena, arena_strdup(arena, value ? value : "true"));
	struct settings got = *settings;

	/* the command line has no null: "~" and "null" are words like others, nothing is nothing */
	n->plain = k->type == TYPE_BOOL;
	if (!*n->text)
		return bad(&r, k, n, "it has no value");
	if (!(settings->from_flags & flag_bit(k)))
		forget(k, &got);
	if (type_rows[k->type].read(&r, k, n, &got) < 0)
		return -1;
	got.from_flags |= flag_bit(k);
	*settings = got;
	return 0;
}
