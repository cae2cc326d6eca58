/* What to do, for the one who runs this command. */
#include <string.h>

#include "report/words.h"

/* Does one of the command's first words name this program, whatever its folder? names: NULL-terminated; a name matches
 * "python3.11" as well. */
static bool runs(const char *command, const char *const *names)
{
	for (int word = 0; word < 4 && *command; word++) {
		size_t len = strcspn(command, " "), base = len;

		while (base && command[base - 1] != '/')
			base--;
		for (const char *const *name = names; *name; name++) {
			size_t k = strlen(*name);

			if (k <= len - base && !strncmp(command + base, *name, k) &&
			    strspn(command + base + k, "0123456789.") == len - base - k)
				return true;
		}
		command += len;
		command += strspn(command, " ");
	}
	return false;
}

/* "gunicorn sync: --graceful-timeout ..." is for who runs gunicorn. Does it begin with names of servers only, which a command
 * line shows (a library it does not), and this one shows none of them? */
static bool for_another(const char *advice, size_t len, const char *command)
{
	static const char *const servers[] = {"uvicorn", "gunicorn", NULL};
	const char *colon = memchr(advice, ':', len);
	bool another = false;

	while (colon && advice < colon) {
		const char *const *s = servers;

		while (*s && strncmp(advice, *s, strlen(*s)))
			s++;
		if (!*s || strstr(command, *s))
			return false;
		another = true;
		advice += strcspn(advice, ",:");
		advice += strspn(advice, ", ");
	}
	return another;
}

/* What of a fix is for this command: its sentences and their parts, but those for another server. */
static void adapt(struct buf *out, const char *fix, const char *command)
{
	while (*fix) {
		size_t len = strcspn(fix, ".;");

		while (fix[len] && fix[len + 1] && fix[len + 1] != ' ')
			len += 1 + strcspn(fix + len + 1, ".;");
		if (!for_another(fix, len, command))
			buf_printf(out, "%s%.*s", out->n ? " " : "", (int)len + (fix[len] != 0), fix);
		fix += len + (fix[len] != 0);
		fix += strspn(fix, " ");
	}
	if (out->n && out->p[out->n - 1] == ';')
		out->p[out->n - 1] = '.';
}

/* Advice in the language that the command line shows; guessing wrong would be worse than saying nothing. Empty: none. */
static const char *fix_for(struct buf *out, const struct check *check, const char *command)
{
	static const char *const node[] = {"node", "nodejs", "npm", "npx", "yarn", "deno", "bun", NULL};
	static const char *const python[] = {"python", "uvicorn", "gunicorn", "hypercorn", "flask", "daphne", NULL};
	static const char *const nginx[] = {"nginx", NULL}, *const go[] = {"go", NULL};
	const struct {
		const char *const *names, *language, *fix;
	} rows[] = {
		{node, "Node", check->fix_node}, {python, "Python", check->fix_python},
		{nginx, "nginx", check->fix_nginx}, {go, "Go", check->fix_go},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].fix && runs(command, rows[i].names)) {
			adapt(out, rows[i].fix, command);
			return rows[i].language;
		}
	return NULL;
}

void words_fix(struct buf *out, const struct report_env *env, const struct verdict *v)
{
	struct buf fix = {0};
	const char *language = v->check && env->command && v->finding.hint ? fix_for(&fix, v->check, env->command) : NULL;

	if (fix.n)
		buf_printf(out, "in %s: %s", language, fix.p);
	buf_free(&fix);
}

void words_todo(struct buf *out, const struct report_env *env, const struct verdict *v)
{
	struct buf fix = {0};

	if (!v->finding.hint && v->check && env->command)
		fix_for(&fix, v->check, env->command);
	if (v->finding.hint)
		buf_adds(out, v->finding.hint);
	else if (fix.n)
		buf_adds(out, fix.p);
	else if (v->check && v->check->todo)
		buf_adds(out, v->check->todo);
	buf_free(&fix);
}
