/* Readers of values with a small syntax of their own: conditions, endings, signal lists, steps. */
#include <stdlib.h>
#include <string.h>

#include "scenario/keys.h"

#define MAX_SIGNALS 32
#define SIGNAL_GAP (10 * NSEC_PER_MSEC)

/* A word, or {word: argument} for the words that take one. *ret_arg is NULL for a bare word. */
static int word_or_map(struct reader *r, const struct key *k, const struct node *n, const char **ret_arg)
{
	const char *text;

	*ret_arg = NULL;
	if (n->kind == NODE_MAP && n->n == 1) {
		*ret_arg = scalar(r, k, n->first);
		if (*ret_arg && !**ret_arg)
			return bad(r, k, n->first, "an empty text");
		return *ret_arg ? word(r, k, n->first, n->first->key, k->words) : -1;
	}
	if (n->kind != NODE_SCALAR || node_is_null(n)) {
		struct buf list = {0};

		words_list(&list, k->words);
		bad(r, k, n, "one of %s is needed, this is %s", list.p, node_kind_text(n));
		buf_free(&list);
		return -1;
	}
	text = n->text;
	/* http:/path and log:regex, as on the command line */
	const char *colon = strchr(text, ':');

	if (colon && colon[1] && (!strncmp(text, "http:", 5) || !strncmp(text, "log:", 4) ||
				 !strncmp(text, "grpc:", 5))) {
		*ret_arg = colon + 1;
		text = arena_strndup(r->arena, text, (size_t)(colon - text));
	}
	return word(r, k, n, text, k->words);
}

int read_when(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *arg;
	int at = word_or_map(r, k, n, &arg);

	if (at < 0)
		return -1;
	if (at == ON_LOG && !arg)
		return bad(r, k, n, "say which line: {log: regex}");
	if (at != ON_LOG && arg)
		return bad(r, k, n, "'%s' takes nothing, only log does: {log: regex}", k->words[at]);
	*FIELD(k, base, unsigned) = (unsigned)at;
	*SECOND(k, base, const char *) = arena_strdup(r->arena, arg);
	return 0;
}

int read_ready(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *arg;
	int at = word_or_map(r, k, n, &arg);

	if (at < 0)
		return -1;
	if ((at == READY_HTTP || at == READY_LOG) && !arg)
		return bad(r, k, n, at == READY_HTTP ? "say which path: {http: /healthz}" :
			   "say which line: {log: regex}");
	if (at != READY_HTTP && at != READY_LOG && at != READY_GRPC && arg)
		return bad(r, k, n, "'%s' takes nothing", k->words[at]);
	if (at == READY_HTTP && *arg != '/')
		return bad(r, k, n, "the path '%s' does not begin with /", arg);
	*FIELD(k, base, unsigned) = (unsigned)at;
	*SECOND(k, base, const char *) = arena_strdup(r->arena, arg);
	if (k->section == SEC_SETTINGS)
		((struct settings *)base)->has_ready = true;
	return 0;
}

static int one_exit(struct reader *r, const struct key *k, const struct node *n, struct exit_allowed *ret)
{
	static const char *const forms[] = {"clean", "any", "sig:TERM", NULL};
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (!strcmp(text, "clean")) {
		*ret = (struct exit_allowed){EXIT_CLEAN, 0};
	} else if (!strcmp(text, "any")) {
		*ret = (struct exit_allowed){EXIT_ANY, 0};
	} else if (!strncmp(text, "sig:", 4)) {
		int signo = signal_value(r, k, n, text + 4);

		if (signo < 0)
			return -1;
		*ret = (struct exit_allowed){EXIT_SIGNAL, signo};
	} else if (text[strspn(text, "0123456789")]) {
		return word(r, k, n, text, forms) < 0 ? -1 : 0;
	} else if (!*text || strlen(text) > 3 || atoi(text) > 255) {
		return bad(r, k, n, "'%s' is not an exit status (0 to 255)", text);
	} else {
		*ret = (struct exit_allowed){EXIT_CODE, atoi(text)};
	}
	return 0;
}

int read_exits(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	n = comma_list(r, n);
	if (n->kind != NODE_LIST || n->n > 64)
		return bad(r, k, n, "a list of endings is needed, this is %s", node_kind_text(n));
	if (!n->n)
		return bad(r, k, n, "no ending is allowed: say any, if that is meant");
	struct exit_allowed *v = arena_array(r->arena, struct exit_allowed, n->n);
	size_t count = 0;

	for (const struct node *i = n->first; i; i = i->next)
		if (one_exit(r, k, i, &v[count++]) < 0)
			return -1;
	*FIELD(k, base, struct exit_allowed *) = v;
	*SECOND(k, base, size_t) = count;
	return 0;
}

/* 'SIGTERM,50ms,SIGINT': a time stands between two signals. `after` of a signal counts from the one before it. */
int read_signals(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	struct signal_spec *v = arena_array(r->arena, struct signal_spec, MAX_SIGNALS);
	nsec_t gap = -1;
	size_t count = 0;

	n = comma_list(r, n);
	if (n->kind != NODE_LIST || !n->n)
		return bad(r, k, n, "signals are needed, this is %s", node_kind_text(n));
	for (const struct node *i = n->first; i; i = i->next) {
		const char *text = scalar(r, k, i);

		if (!text)
			return -1;
		if (*text >= '0' && *text <= '9' && text[strspn(text, "0123456789")]) {
			if (!count || gap >= 0 || !i->next)
				return bad(r, k, i, "the time '%s' does not stand between two signals", text);
			if (time_value(r, k, i, text, &gap) < 0)
				return -1;
			continue;
		}
		int signo = signal_value(r, k, i, text);

		if (signo < 0)
			return -1;
		if (count == MAX_SIGNALS)
			return bad(r, k, i, "more than %d signals", MAX_SIGNALS);
		if (count && gap < 0)
			gap = SIGNAL_GAP;
		v[count] = (struct signal_spec){.at = i->at, .signo = signo, .to = TO_PROCESS, .count = 1};
		v[count].when = (struct trigger){.on = count ? ON_SIGNAL : ON_ARMED, .after = count ? gap : 0,
						 .at_latest = NSEC_NEVER};
		count++;
		gap = -1;
	}
	*FIELD(k, base, struct signal_spec *) = v;
	*SECOND(k, base, size_t) = count;
	return 0;
}

/* 'junit=FILE': the names are the reporters' (a layer above), checked there. */
int read_formats(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	struct format_request **field = FIELD(k, base, struct format_request *), *v;
	size_t *count = SECOND(k, base, size_t);

	n = comma_list(r, n);
	if (n->kind != NODE_LIST || *count + n->n > 64)
		return bad(r, k, n, "a list of formats is needed, this is %s", node_kind_text(n));
	v = arena_array(r->arena, struct format_request, *count + n->n);
	if (*count)
		memcpy(v, *field, *count * sizeof *v);
	size_t at = *count;

	for (const struct node *i = n->first; i; i = i->next, at++) {
		const char *text = scalar(r, k, i), *eq = text ? strchr(text, '=') : NULL;

		if (!text)
			return -1;
		if (!*text || eq == text || (eq && !eq[1]))
			return bad(r, k, i, "'%s' is neither NAME nor NAME=FILE", text);
		v[at].name = arena_strndup(r->arena, text, eq ? (size_t)(eq - text) : strlen(text));
		v[at].file = eq ? arena_strdup(r->arena, eq + 1) : NULL;
	}
	*field = v;
	*count = at;
	return 0;
}

/* The key says what is done, the value to whom. That there is exactly one such key is a rule (rules.c). */
int read_step(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);
	int what = words_find(words_step, k->name);

	if (!text)
		return -1;
	if (!*text)
		return bad(r, k, n, "an empty text");
	if (k->words && word(r, k, n, text, k->words) < 0)
		return -1;
	*FIELD(k, base, unsigned) = (unsigned)what;
	*SECOND(k, base, const char *) =
		what == STEP_RELEASE_GATE || !strcmp(text, "all") ? NULL : arena_strdup(r->arena, text);
	return 0;
}
