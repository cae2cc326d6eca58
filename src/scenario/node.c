#include "scenario/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/cleanup.h"

struct builder {
	yaml_parser_t parser;
	const char *path;
	struct arena *arena;
	struct err *reterr;
	size_t n_nodes;
	struct {
		const char *name;
		const struct node *node;        /* NULL: still being read */
	} anchors[NODE_MAX_ANCHORS];
	size_t n_anchors;
};

static struct span span_of(const struct builder *b, yaml_mark_t mark)
{
	return (struct span){b->path, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static int next_event(struct builder *b, yaml_event_t *ret)
{
	if (yaml_parser_parse(&b->parser, ret))
		return 0;
	yaml_mark_t mark = b->parser.problem_mark;
	const char *problem = b->parser.problem ? b->parser.problem : "not YAML";

	if (b->parser.error == YAML_MEMORY_ERROR)
		return err_set(b->reterr, ERR_HARNESS, ENOMEM, "%s", b->path);
	/* what is not even text has no line, only an offset */
	if (b->parser.error == YAML_READER_ERROR)
		return err_at(b->reterr, (struct span){b->path, 0, 0}, "not YAML: %s at byte %zu", problem,
			      b->parser.problem_offset);
	return err_at(b->reterr, span_of(b, mark), "not YAML: %s%s%s", problem,
		      b->parser.context ? " " : "", b->parser.context ? b->parser.context : "");
}

/* Anchors are entered when they begin and usable when they end: an alias inside its own anchor is refused. */
static int anchor_begin(struct builder *b, const yaml_char_t *name, struct span at, size_t *ret_slot)
{
	*ret_slot = NODE_MAX_ANCHORS;
	if (!name)
		return 0;
	if (b->n_anchors == NODE_MAX_ANCHORS)
		return err_at(b->reterr, at, "more than %d anchors", NODE_MAX_ANCHORS);
	*ret_slot = b->n_anchors++;
	b->anchors[*ret_slot].name = arena_strdup(b->arena, (const char *)name);
	return 0;
}

static struct node *alias(struct builder *b, const char *name, struct span at)
{
	for (size_t i = b->n_anchors; i-- > 0;) {
		if (strcmp(b->anchors[i].name, name))
			continue;
		if (!b->anchors[i].node) {
			err_at(b->reterr, at, "the alias '*%s' stands inside its own anchor", name);
			return NULL;
		}
		struct node *n = arena_new_of(b->arena, struct node);

		*n = *b->anchors[i].node;
		n->next = NULL;
		n->key = NULL;
		n->at = at;
		return n;
	}
	err_at(b->reterr, at, "there is no anchor '&%s' before this alias", name);
	return NULL;
}

static struct node *build(struct builder *b, const yaml_event_t *event, unsigned depth);

static int key_add(struct builder *b, const struct node *map, const struct node *key, struct node *value)
{
	if (key->kind != NODE_SCALAR)
		return err_at(b->reterr, key->at, "a key is a word, this is %s", node_kind_text(key));
	const struct node *old = node_find(map, key->text);

	if (old)
		return err_at(b->reterr, key->at, "key '%s' is there twice, first in line %u", key->text,
			      old->key_at.line);
	value->key = key->text;
	value->key_at = key->at;
	return 0;
}

/* Items up to the end of the list or mapping that has just begun. */
static int build_items(struct builder *b, struct node *n, unsigned depth)
{
	struct node **tail = &n->first;
	yaml_event_type_t end = n->kind == NODE_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT;

	if (depth >= NODE_MAX_DEPTH)
		return err_at(b->reterr, n->at, "nested deeper than %d levels", NODE_MAX_DEPTH);
	for (;;) {
		yaml_event_t event;
		struct node *key = NULL, *item;

		if (next_event(b, &event) < 0)
			return -1;
		if (event.type == end) {
			yaml_event_delete(&event);
			return 0;
		}
		item = build(b, &event, depth + 1);
		yaml_event_delete(&event);
		if (item && n->kind == NODE_MAP) {
			key = item;
			if (next_event(b, &event) < 0)
				return -1;
			item = build(b, &event, depth + 1);
			yaml_event_delete(&event);
		}
		if (!item || (key && key_add(b, n, key, item) < 0))
			return -1;
		*tail = item;
		tail = &item->next;
		n->n++;
	}
}

static int build_scalar(struct builder *b, struct node *n, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	n->kind = NODE_SCALAR;
	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (memchr(value, '\0', len))
		return err_at(b->reterr, n->at, "a NUL byte cannot stand in a text");
	n->text = arena_strndup(b->arena, value, len);
	return 0;
}

/* The value that begins with event; NULL and *reterr if it cannot be. */
static struct node *build(struct builder *b, const yaml_event_t *event, unsigned depth)
{
	struct span at = span_of(b, event->start_mark);
	const yaml_char_t *anchor = NULL;
	struct node *n;
	size_t slot;

	if (++b->n_nodes > NODE_MAX_NODES) {
		err_at(b->reterr, at, "more than %d values", NODE_MAX_NODES);
		return NULL;
	}
	if (event->type == YAML_ALIAS_EVENT)
		return alias(b, (const char *)event->data.alias.anchor, at);
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor;
	else if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor;
	if (anchor_begin(b, anchor, at, &slot) < 0)
		return NULL;
	n = arena_new_of(b->arena, struct node);
	n->at = at;
	if (event->type == YAML_SCALAR_EVENT) {
		if (build_scalar(b, n, event) < 0)
			return NULL;
	} else {
		n->kind = event->type == YAML_SEQUENCE_START_EVENT ? NODE_LIST : NODE_MAP;
		if (build_items(b, n, depth) < 0)
			return NULL;
	}
	if (slot < NODE_MAX_ANCHORS)
		b->anchors[slot].node = n;
	return n;
}

static int build_document(struct builder *b, struct node **ret)
{
	bool seen = false;

	*ret = NULL;
	for (;;) {
		yaml_event_t event;
		int failed = 0;

		if (next_event(b, &event) < 0)
			return -1;
		yaml_event_type_t type = event.type;

		if (type == YAML_DOCUMENT_START_EVENT && seen)
			failed = err_at(b->reterr, span_of(b, event.start_mark),
					"a second document: one file holds one");
		else if (type == YAML_DOCUMENT_START_EVENT)
			seen = true;
		else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
			 type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT)
			failed = (*ret = build(b, &event, 0)) ? 0 : -1;
		yaml_event_delete(&event);
		if (failed < 0)
			return -1;
		if (type == YAML_STREAM_END_EVENT)
			return 0;
	}
}

int node_parse(const char *path, const char *text, size_t n, struct arena *arena, struct node **ret,
	       struct err *reterr)
{
	struct builder b = {.path = path, .arena = arena, .reterr = reterr};
	struct node *root = NULL;

	if (n > NODE_MAX_BYTES)
		return err_at(reterr, (struct span){path, 0, 0}, "larger than %d KiB", NODE_MAX_BYTES / 1024);
	if (!yaml_parser_initialize(&b.parser))
		return err_set(reterr, ERR_HARNESS, ENOMEM, "%s", path);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, n);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	int failed = build_document(&b, &root);

	yaml_parser_delete(&b.parser);
	if (failed < 0)
		return -1;
	*ret = root && node_is_null(root) ? NULL : root;
	return 0;
}

int node_read_file(const char *path, char **ret_text, size_t *ret_n, struct err *reterr)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_mem_ char *text = NULL;
	size_t n = 0;

	if (fd < 0)
		return err_set(reterr, ERR_USAGE, errno, "%s", path);
	text = malloc(NODE_MAX_BYTES + 1);
	if (!text)
		return err_set(reterr, ERR_HARNESS, ENOMEM, "%s", path);
	while (n <= NODE_MAX_BYTES) {
		ssize_t got = read(fd, text + n, NODE_MAX_BYTES + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(reterr, ERR_USAGE, errno, "%s", path);
		if (!got)
			break;
		n += (size_t)got;
	}
	*ret_text = text;
	*ret_n = n;
	text = NULL;
	return 0;
}

struct node *node_scalar(struct arena *arena, const char *text)
{
	struct node *n = arena_new_of(arena, struct node);

	n->kind = NODE_SCALAR;
	n->plain = true;
	n->text = text;
	return n;
}

const struct node *node_find(const struct node *map, const char *key)
{
	for (const struct node *n = map->first; n; n = n->next)
		if (!strcmp(n->key, key))
			return n;
	return NULL;
}

bool node_is_null(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->plain &&
	       (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

const char *node_kind_text(const struct node *n)
{
	switch (n->kind) {
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a mapping";
	case NODE_SCALAR:
		break;
	}
	return node_is_null(n) ? "nothing" : "a single value";
}
