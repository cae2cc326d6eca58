/* The second half of the GitHub reporter: the Markdown page. */
#pragma once
#include "report/report.h"

void github_summary(const struct report_env *env, const struct result *all, size_t n, bool interrupted,
		    struct buf *out);
