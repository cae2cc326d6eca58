#include "judge/explain.h"

#include <string.h>

#define WIDTH 96
#define LABEL 10

/* Fill words to WIDTH columns, hanging under the label. Texts are ours: ASCII, one paragraph. */
static void paragraph(struct buf *out, const char *label, const char *text)
{
	size_t at = LABEL;

	if (!text)
		return;
	buf_printf(out, "%-*s", LABEL, label);
	while (*text) {
		size_t n = strcspn(text, " ");

		if (at > LABEL && at + 1 + n > WIDTH) {
			buf_printf(out, "\n%-*s", LABEL, "");
			at = LABEL;
		} else if (at > LABEL) {
			buf_addc(out, ' ');
			at++;
		}
		buf_add(out, text, n);
		at += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_adds(out, "\n\n");
}

void explain_print(const struct check *check, struct buf *out)
{
	buf_printf(out, "%s (%s): %s\n\n", check->id, check->level == MUST ? "MUST" : "SHOULD",
		check->title);
	paragraph(out, "why", check->why);
	paragraph(out, "proof", check->proof);
	paragraph(out, "catches", check->modes);
	paragraph(out, "to do", check->todo);
	if (!check->fix_c && !check->fix_go)
		return;
	paragraph(out, "Go", check->fix_go);
	paragraph(out, "Node", check->fix_node);
	paragraph(out, "Python", check->fix_python);
	paragraph(out, "C", check->fix_c);
	paragraph(out, "nginx", check->fix_nginx);
}
