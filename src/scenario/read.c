/* Readers of single values: from a scalar node into a member. What is wrong is said at its place. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "scenario/keys.h"

#define TIME_MAX (24 * 3600 * NSEC_PER_SEC)

int bad(struct reader *r, const struct key *k, const struct node *n, const char *fmt, ...)
{
	char what[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return err_at(r->reterr, n->at, "%s%s: %s", r->flag ? "--" : section_rows[k->section].prefix, k->name,
		      what);
}

const char *scalar(struct reader *r, const struct key *k, const struct node *n)
{
	if (n->kind == NODE_SCALAR && !node_is_null(n))
		return n->text;
	bad(r, k, n, "%s is needed, this is %s", type_rows[k->type].what, node_kind_text(n));
	return NULL;
}

int word(struct reader *r, const struct key *k, const struct node *n, const char *text,
	 const char *const *words)
{
	int at = words_find(words, text);

	if (at >= 0)
		return at;
	const char *nearest = nearest_word(text, words, words_n(words));
	struct buf list = {0};

	words_list(&list, words);
	bad(r, k, n, "'%s' is not %s%s%s%s", text, list.p, nearest ? ", did you mean '" : "",
	    nearest ? nearest : "", nearest ? "'?" : "");
	buf_free(&list);
	return -1;
}

int read_text(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (!*text)
		return bad(r, k, n, "an empty text");
	*FIELD(k, base, const char *) = arena_strdup(r->arena, text);
	return 0;
}

int read_protocol(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (!strchr("abcdefghijklmnopqrstuvwxyz", *text) || !*text ||
	    text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-")])
		return bad(r, k, n, "'%s' is not the name of a protocol (see: drainspec list protocols)", text);
	*FIELD(k, base, const char *) = arena_strdup(r->arena, text);
	return 0;
}

/* "$word" must be one of the settings; other text that begins with $ (RESP does) is a request. */
int read_request(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	static const char *const variables[] = {"$slow", "$quick", "$stream", "$big", "$upload", "$upgrade", NULL};
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (text[0] == '$' && text[1] && !text[1 + strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_")] &&
	    word(r, k, n, text, variables) < 0)
		return -1;
	return read_text(r, k, n, base);
}

int read_bool(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (n->plain && !strcmp(text, "true"))
		*FIELD(k, base, bool) = true;
	else if (n->plain && !strcmp(text, "false"))
		*FIELD(k, base, bool) = false;
	else
		return bad(r, k, n, "'%s' is neither true nor false", text);
	return 0;
}

int read_switch(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);
	int at = text ? word(r, k, n, text, k->words) : -1;

	if (at < 0)
		return -1;
	*FIELD(k, base, bool) = at;
	return 0;
}

int read_word(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);
	int at = text ? word(r, k, n, text, k->words) : -1;

	if (at < 0)
		return -1;
	*FIELD(k, base, unsigned) = (unsigned)at;
	if (k->second != k->field)
		*SECOND(k, base, bool) = true;
	return 0;
}

/* Decimal digits only; *ret_end is where they stop. False: none, or more than 64 bits hold. */
static bool digits(const char *text, uint64_t *ret, const char **ret_end)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	*ret_end = end;
	return !errno;
}

int read_number(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n), *end;
	uint64_t v;

	if (!text)
		return -1;
	if (!digits(text, &v, &end) || *end || v < (uint64_t)k->min || v > (uint64_t)k->max)
		return bad(r, k, n, "'%s' is not a number from %lld to %lld", text, (long long)k->min,
			   (long long)k->max);
	*FIELD(k, base, uint32_t) = (uint32_t)v;
	return 0;
}

int read_number64(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n), *end;
	uint64_t v;

	if (!text)
		return -1;
	if (!digits(text, &v, &end) || *end)
		return bad(r, k, n, "'%s' is not a number of at most 64 bits", text);
	*FIELD(k, base, uint64_t) = v;
	if (k->second != k->field)
		*SECOND(k, base, bool) = true;
	return 0;
}

static int bytes_value(struct reader *r, const struct key *k, const struct node *n, uint64_t *ret)
{
	const char *text = scalar(r, k, n), *end;
	uint64_t v, scale = 1;

	if (!text)
		return -1;
	if (!digits(text, &v, &end))
		return bad(r, k, n, "'%s' is not a number of bytes such as 65536, 64k or 16M", text);
	if (*end) {
		scale = *end == 'k' ? 1 << 10 : *end == 'M' ? 1 << 20 : *end == 'G' ? 1 << 30 : 0;
		end++;
	}
	if (!scale || *end)
		return bad(r, k, n, "'%s' is not a number of bytes such as 65536, 64k or 16M", text);
	if (v > (uint64_t)k->max / scale)
		return bad(r, k, n, "'%s' is more than %lld bytes", text, (long long)k->max);
	*ret = v * scale;
	return 0;
}

int read_bytes(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	return bytes_value(r, k, n, FIELD(k, base, uint64_t));
}

int read_bytes32(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	uint64_t v;

	if (bytes_value(r, k, n, &v) < 0)
		return -1;
	*FIELD(k, base, uint32_t) = (uint32_t)v;
	return 0;
}

int time_value(struct reader *r, const struct key *k, const struct node *n, const char *text, nsec_t *ret)
{
	nsec_t t;
	int failed = duration_parse(text, &t);

	if (failed && *text && !text[strspn(text, "0123456789.")])
		return bad(r, k, n, "'%s' has no unit: say %sms or %ss", text, text, text);
	if (failed)
		return bad(r, k, n, "'%s' is not a time such as 250us, 100ms, 1.5s or 2m", text);
	if (t > TIME_MAX)
		return bad(r, k, n, "'%s' is more than a day", text);
	*ret = t;
	return 0;
}

int read_time(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);

	return text ? time_value(r, k, n, text, FIELD(k, base, nsec_t)) : -1;
}

int read_limit(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);

	if (!text)
		return -1;
	if (!strcmp(text, "never")) {
		*FIELD(k, base, nsec_t) = NSEC_NEVER;
		return 0;
	}
	return time_value(r, k, n, text, FIELD(k, base, nsec_t));
}

int signal_value(struct reader *r, const struct key *k, const struct node *n, const char *text)
{
	char names[32][16];
	const char *list[32], *nearest;
	size_t n_list = 0;
	int signo = *text ? signal_number(text) : -1;

	/* between the named and the real-time ones are two that the C library keeps for itself */
	if (signo > 0 && (signo < 32 || signo >= SIGRTMIN))
		return signo;
	for (int i = 1; i < 32; i++) {
		snprintf(names[n_list], sizeof names[0], "%s", signal_name(i));
		list[n_list] = names[n_list];
		n_list++;
	}
	nearest = nearest_word(text, list, n_list);
	return bad(r, k, n, "'%s' is not a signal%s%s%s", text, nearest ? ", did you mean '" : "",
		   nearest ? nearest : "", nearest ? "'?" : "");
}

int read_signal(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n);
	int signo;

	if (!text)
		return -1;
	if (!strcmp(text, "$signal")) {
		*FIELD(k, base, int) = 0;
		return 0;
	}
	signo = signal_value(r, k, n, text);
	if (signo < 0)
		return -1;
	*FIELD(k, base, int) = signo;
	return 0;
}

int read_port(struct reader *r, const struct key *k, const struct node *n, void *base)
{
	const char *text = scalar(r, k, n), *end;
	uint64_t v = 0;

	if (!text)
		return -1;
	if (!strncmp(text, "unix:", 5) && text[5] && k->second != k->field) {
		*SECOND(k, base, const char *) = arena_strdup(r->arena, text + 5);
		return 0;
	}
	if (strcmp(text, "auto") && (!digits(text, &v, &end) || *end || v < 1 || v > 65535))
		return bad(r, k, n, "'%s' is neither auto nor a port from 1 to 65535", text);
	*FIELD(k, base, int) = (int)v;
	return 0;
}
