/* The table of keys (keys.def) as the rest of this folder sees it: which key of which section is read into
 * which member, and the two functions that every type of value has. */
#pragma once
#include "scenario/node.h"
#include "scenario/scenario.h"

#define SECTIONS(X) \
	X(TOP, struct scenario, "", "") \
	X(VARY, struct scenario, "vary", "vary.") \
	X(LEAK, struct scenario, "leak", "leak.") \
	X(RESTART, struct restart_spec, "restart", "restart.") \
	X(TARGET, struct target_spec, "target", "target.") \
	X(PORT, struct port_spec, "target.port.NAME", "port.") \
	X(CLIENT, struct client_spec, "clients[]", "") \
	X(SIGNAL, struct signal_spec, "signals[]", "") \
	X(STEP, struct step_spec, "then[]", "") \
	X(EXPECT, struct expect_spec, "expect", "expect.") \
	X(SETTINGS, struct settings, "drainspec.yaml", "")

enum section {
#define X(section, type, title, prefix) SEC_##section,
	SECTIONS(X)
#undef X
	SEC_N
};

struct section_row {
	const char *title, *prefix;     /* prefix: how messages call a key of it */
	size_t size;
};
extern const struct section_row section_rows[SEC_N];

enum key_type {
#define X(type, name, what, schema) TYPE_##type,
#include "scenario/types.def"
#undef X
	TYPE_N
};

struct key {
	const char *name;
	enum section section, inner;    /* inner: the section of a MAP, LIST or SAME */
	enum key_type type;
	unsigned short field, second;   /* offsets in the section's struct; second == field: there is none */
	const char *def;                /* NULL: none; "(...)": only printed */
	const char *const *words;       /* NULL-terminated; position is the value */
	int64_t min, max;               /* both 0: not bounded by the table */
	const char *help;
};
extern const struct key keys[];
extern const size_t n_keys;

extern const char *const words_need[], *const words_unreachable[], *const words_to[],
	*const words_ready[], *const words_isolate[], *const words_phase[], *const words_closes[],
	*const words_when[], *const words_gate[], *const words_second[], *const words_step[],
	*const words_how[], *const words_leaves[];

/* What the readers share. */
struct reader {
	struct arena *arena;
	struct err *reterr;
	bool flag;              /* the value comes from the command line */
};

struct type_row {
	const char *name, *what, *schema;
	/* Put the value of n into the member of base; 0, or -1 and r->reterr. */
	int (*read)(struct reader *r, const struct key *k, const struct node *n, void *base);
	/* Append the member as JSON; false: it is not set, nothing was appended. */
	bool (*dump)(const struct key *k, const void *base, struct buf *out);
};
extern const struct type_row type_rows[TYPE_N];

#define X(type, name, what, schema) \
	int read_##name(struct reader *r, const struct key *k, const struct node *n, void *base); \
	bool dump_##name(const struct key *k, const void *base, struct buf *out);
#include "scenario/types.def"
#undef X

#define FIELD(key, base, type) ((type *)(void *)((char *)(base) + (key)->field))
#define SECOND(key, base, type) ((type *)(void *)((char *)(base) + (key)->second))
#define FIELD_CONST(key, base, type) ((__typeof__(type) const *)(const void *)((const char *)(base) + (key)->field))
#define SECOND_CONST(key, base, type) ((__typeof__(type) const *)(const void *)((const char *)(base) + (key)->second))

const struct key *key_find(enum section section, const char *name);
size_t words_n(const char *const *words);
/* Position of text in words, -1 if it is not there. */
int words_find(const char *const *words, const char *text);
/* "a, b or c" */
void words_list(struct buf *out, const char *const *words);

/* "KEY: ..." or "--KEY: ...", at the place of n; returns -1. */
int bad(struct reader *r, const struct key *k, const struct node *n, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The text of a single value, NULL (and r->reterr) if n is none. */
const char *scalar(struct reader *r, const struct key *k, const struct node *n);
/* Position in words, or -1 and a message with the nearest right one. */
int word(struct reader *r, const struct key *k, const struct node *n, const char *text,
	 const char *const *words);
int time_value(struct reader *r, const struct key *k, const struct node *n, const char *text, nsec_t *ret);
int signal_value(struct reader *r, const struct key *k, const struct node *n, const char *text);
/* Split a scalar at commas into a list; a list stays what it is. */
const struct node *comma_list(struct reader *r, const struct node *n);
/* Words of a command line as a shell would see them, without expansions. NULL and *ret_why if a shell is needed. */
char **split_command(const char *text, struct arena *arena, const char **ret_why);

/* Members to their defaults. */
void section_defaults(struct reader *r, enum section section, void *base);
/* All keys of a mapping into base; the rules between keys are load.c's. */
int section_read(struct reader *r, enum section section, const struct node *map, void *base);
void section_dump(enum section section, const void *base, struct buf *out);
/* rules.c: what a table cannot say - defaults that depend on another key, keys that exclude each other. */
int section_rules(struct reader *r, enum section section, const struct node *map, void *base);

/* A JSON string that YAML reads back to the same bytes. */
void dump_string(struct buf *out, const char *s);
void dump_duration(struct buf *out, nsec_t t);
