#include <string.h>

#include "scenario/keys.h"

#define MAX_WORDS 1024

/* One word from *p on, quotes and backslashes resolved into out. False and *ret_why if it has no end. */
static bool take_word(const char **p, struct buf *out, const char **ret_why)
{
	char quote = 0;
	const char *s = *p;

	for (; *s && (quote || !strchr(" \t\n", *s)); s++) {
		if (quote && *s == quote)
			quote = 0;
		else if (!quote && (*s == '"' || *s == '\''))
			quote = *s;
		else if (*s == '\\' && quote != '\'' && s[1] && (!quote || strchr("\"\\$`", s[1])))
			buf_addc(out, *++s);
		else if (!quote && strchr("|&;<>`", *s)) {
			*ret_why = "it needs a shell: write [sh, -c, '...']";
			return false;
		} else
			buf_addc(out, *s);
	}
	if (quote)
		*ret_why = "a quote is not closed";
	*p = s;
	return !quote;
}

char **split_command(const char *text, struct arena *arena, const char **ret_why)
{
	char *words[MAX_WORDS + 1];
	size_t n = 0;
	struct buf b = {0};
	bool ok = true;

	*ret_why = NULL;
	for (;;) {
		text += strspn(text, " \t\n");
		if (!*text)
			break;
		if (n == MAX_WORDS) {
			*ret_why = "it has too many words";
			ok = false;
			break;
		}
		buf_clear(&b);
		buf_reserve(&b, 0);
		b.p[0] = '\0';
		ok = take_word(&text, &b, ret_why);
		if (!ok)
			break;
		words[n++] = arena_strndup(arena, b.p, b.n);
	}
	buf_free(&b);
	if (ok && (!n || !*words[0])) {
		*ret_why = "it is empty";
		ok = false;
	}
	if (!ok)
		return NULL;
	char **argv = arena_array(arena, char *, n + 1);

	memcpy(argv, words, n * sizeof *words);
	return argv;
}
