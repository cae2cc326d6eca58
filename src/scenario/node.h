/* A YAML document as a small tree in which every value knows its file, line and column. Hostile input is
 * bounded while it is read: size, depth, number of nodes, of anchors. An alias is a copy of a node that is
 * already complete, its children shared, so there are no cycles and nothing is ever multiplied out. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

#define NODE_MAX_BYTES (256 * 1024)
#define NODE_MAX_NODES 20000
#define NODE_MAX_DEPTH 12
#define NODE_MAX_ANCHORS 64

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	struct span at;
	enum node_kind kind;
	bool plain;             /* a scalar without quotes: null, true and numbers mean what they say */
	const char *text;       /* of a scalar; never contains NUL */
	struct node *first;     /* items of a list, values of a map */
	struct node *next;
	size_t n;
	struct span key_at;     /* in a map: the key of this value */
	const char *key;
};

/* 0, or -1 and *reterr. An empty document gives *ret = NULL. */
int node_parse(const char *path, const char *text, size_t n, struct arena *arena, struct node **ret,
	       struct err *reterr);
/* A file for node_parse, malloc'ed; one byte more than NODE_MAX_BYTES of a file that is too large. */
int node_read_file(const char *path, char **ret_text, size_t *ret_n, struct err *reterr);
/* A scalar that did not come from a file: a command line argument, or a default of the table of keys. */
struct node *node_scalar(struct arena *arena, const char *text);
const struct node *node_find(const struct node *map, const char *key);
/* "a list", "a mapping", "nothing", "a value" */
const char *node_kind_text(const struct node *n);
/* Written as nothing, ~ or null. */
bool node_is_null(const struct node *n);
