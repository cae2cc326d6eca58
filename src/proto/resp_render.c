/* Commands as a person writes them in redis-cli become arrays of bulk strings. */
#include "proto/resp.h"

#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* One escape inside double quotes, at the backslash; returns its length. What is no escape stands for itself. */
static size_t escape(const char *s, struct buf *out)
{
	static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
	const char *at = s[1] ? strchr(names, s[1]) : NULL;

	if (s[1] == 'x' && hex_value(s[2]) >= 0 && hex_value(s[3]) >= 0) {
		buf_addc(out, (char)(hex_value(s[2]) << 4 | hex_value(s[3])));
		return 4;
	}
	if (!s[1])
		return 1;
	buf_addc(out, at ? bytes[at - names] : s[1]);
	return 2;
}

/* A quoted word, at its quote. Returns what follows the closing quote, NULL: there is none, or no space behind it. */
static const char *quoted(const char *s, struct buf *out)
{
	char quote = *s++;

	while (*s && *s != quote) {
		if (*s == '\\' && (quote == '"' || s[1] == '\''))
			s += escape(s, out);
		else
			buf_addc(out, *s++);
	}
	if (*s != quote || (s[1] && !strchr(" \t\r\n;", s[1])))
		return NULL;
	return s + 1;
}

enum word { WORD_NONE, WORD_IS, WORD_BAD };

/* The next word of a command into out; WORD_NONE at the end of the command, where *at then stands (at ';', '\n' or 0). */
static enum word next_word(const char **at, struct buf *out)
{
	const char *s = *at + strspn(*at, " \t\r");
	bool any = false;

	while (*s && !strchr(" \t\r\n;", *s)) {
		any = true;
		if ((*s == '"' || *s == '\'') && !(s = quoted(s, out)))
			return WORD_BAD;
		else if (s > *at && (s[-1] == '"' || s[-1] == '\''))
			break;
		else
			buf_addc(out, *s++);
	}
	*at = s;
	return any ? WORD_IS : WORD_NONE;
}

static int bad_command(const char *line, struct err *reterr)
{
	return err_set(reterr, ERR_USAGE, 0, "'%.80s' is no command: a quote is not closed, or no space follows it", line);
}

/* Is this word one of the list? A list is words with blanks between them. */
static bool listed(const char *list, const struct buf *word)
{
	for (const char *p = list; word->n && *p;) {
		size_t n = strcspn(p, " ");

		if (n == word->n && !strncasecmp(p, word->p, n))
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

enum resp_kind resp_kind(const char *line)
{
	struct buf word = {0};
	enum resp_kind kind = RESP_PLAIN;
	bool first = true, reads = false, nonce = line && strstr(line, "$nonce");

	while (line && next_word(&line, &word) == WORD_IS) {
		if (first && listed("BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF", &word))
			kind = RESP_WAITS;
		else if (first && listed("SUBSCRIBE PSUBSCRIBE SSUBSCRIBE MONITOR", &word))
			kind = RESP_STREAMS;
		else if (first && listed("UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE", &word))
			kind = RESP_LEAVES;
		else if (first && nonce && listed("ECHO PING GATE", &word))
			kind = RESP_ECHOES;
		else if (reads && listed("BLOCK", &word))
			kind = RESP_WAITS;
		reads |= first && listed("XREAD XREADGROUP", &word);
		first = false;
		buf_clear(&word);
	}
	buf_free(&word);
	return kind;
}

/* Where a command ends: at the ';', the newline or the end. NULL: a quote is not closed. *ret_any: has it a word? */
static const char *command_end(const char *s, bool *ret_any)
{
	struct buf word = {0};
	enum word w;

	*ret_any = false;
	while ((w = next_word(&s, &word)) == WORD_IS)
		*ret_any = true;
	buf_free(&word);
	return w == WORD_BAD ? NULL : s;
}

int resp_split(const struct request *rq, struct arena *arena, struct request **ret, size_t *ret_n, struct err *reterr)
{
	struct request *v = NULL;
	size_t n = 0, cap = 0;

	for (const char *s = rq->line, *end; s && *s; s = *end ? end + 1 : end) {
		bool any;

		end = command_end(s, &any);
		if (!end)
			return bad_command(s, reterr);
		if (!any)
			continue;
		if (n == RESP_COMMANDS_MAX)
			return err_set(reterr, ERR_USAGE, 0, "more than %d commands in one request", RESP_COMMANDS_MAX);
		if (n == cap) {
			struct request *more = arena_array(arena, struct request, cap = cap ? cap * 2 : 4);

			if (n)
				memcpy(more, v, n * sizeof *v);
			v = more;
		}
		s += strspn(s, " \t\r");
		v[n] = *rq;
		v[n].line = arena_strndup(arena, s, (size_t)(end - s));
		v[n].waits = resp_kind(v[n].line) == RESP_WAITS || resp_kind(v[n].line) == RESP_STREAMS;
		v[n++].body = 0;
	}
	if (!n)
		return err_set(reterr, ERR_USAGE, 0, "a request of no command");
	v[n - 1].body = rq->body;       /* of several commands the last one takes it */
	*ret = v;
	*ret_n = n;
	return 0;
}

static void add_bulk(struct buf *out, const char *p, size_t n)
{
	buf_printf(out, "$%zu\r\n", n);
	buf_add(out, p, n);
	buf_addc(out, '\r');
	buf_addc(out, '\n');
}

/* A word with $nonce replaced. */
static void add_word(struct buf *out, const struct buf *word, const char *nonce)
{
	const char *at = word->n ? memmem(word->p, word->n, "$nonce", 6) : NULL;
	struct buf full = {0};

	if (!at) {
		add_bulk(out, word->n ? word->p : "", word->n);
		return;
	}
	size_t head = (size_t)(at - word->p);

	buf_add(&full, word->p, head);
	buf_add(&full, nonce, NONCE_LEN);
	buf_add(&full, at + 6, word->n - head - 6);
	add_bulk(out, full.p, full.n);
	buf_free(&full);
}

/* The words of the command as bulk strings; how many, or -1. */
static int add_words(const char *line, const char *nonce, struct buf *out)
{
	struct buf word = {0};
	enum word w;
	int n = 0;

	while ((w = next_word(&line, &word)) == WORD_IS && n < RESP_WORDS_MAX) {
		add_word(out, &word, nonce);
		buf_clear(&word);
		n++;
	}
	buf_free(&word);
	return w == WORD_NONE && n ? n : -1;
}

/* A body is one word more: the nonce repeated. */
static void add_body(struct buf *out, const char *nonce, uint64_t n)
{
	buf_printf(out, "$%llu\r\n", (unsigned long long)n);
	for (uint64_t at = 0; at < n; at += NONCE_LEN)
		buf_add(out, nonce, n - at < NONCE_LEN ? (size_t)(n - at) : NONCE_LEN);
	buf_adds(out, "\r\n");
}

/* Offset of the middle of the last bulk string in p, which ends with it: behind its length, between two of its bytes. */
static size_t last_middle(const char *p, size_t n, size_t *ret_start)
{
	size_t start = n, last = 0;

	/* walk the bulk strings, which we wrote ourselves */
	for (size_t at = 0; at < n;) {
		size_t digits = 1, len = 0;

		while (at + digits < n && p[at + digits] != '\r')
			len = len * 10 + (size_t)(p[at + digits++] - '0');
		start = at + digits + 2;
		last = len;
		at = start + len + 2;
	}
	*ret_start = start;
	return start + last / 2;
}

int resp_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		struct err *reterr)
{
	struct buf words = {0};
	int n = add_words(rq->line, nonce, &words);

	if (n < 0) {
		buf_free(&words);
		return bad_command(rq->line, reterr);
	}
	if (rq->body)
		add_body(&words, nonce, rq->body);

	size_t from = out->n, start, middle = last_middle(words.p, words.n, &start);

	buf_printf(out, "*%d\r\n", n + (rq->body > 0));
	size_t head = out->n - from;

	buf_add(out, words.p, words.n);
	buf_free(&words);
	/* half of a command: up to the middle of the line that says how long its first word is */
	*ret = (struct cuts){.half_header = head + 1, .head_end = head + start, .half_body = head + middle,
			     .end = out->n - from};
	return 0;
}
