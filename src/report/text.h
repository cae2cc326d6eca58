/* The text report's blocks, which the GitHub reporter prints too. */
#pragma once
#include "report/term.h"
#include "report/words.h"

/* One line: mark, name, time, counts. */
void text_line(const struct pen *pen, const struct report_env *env, const struct result *r);
/* What went wrong in all[n - 1], a block each; nothing if nothing did. with_tail: also the target's last output. */
void text_blocks(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n,
		 bool with_tail);
/* Indented lines under a label, each cut to a few rows. */
void text_lines(const struct pen *pen, const char *label, const char *lines, unsigned max_lines);
/* Every SKIP, once for each reason, with the flag that would enable it; nothing if there are none. */
void text_skips(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n);
