#include "cli/output.h"

#include <stdio.h>

#include "cli/cli.h"

int output_check(const struct settings *settings)
{
	struct err err = {0};

	if (settings->n_formats >= MAX_REPORTS)
		err_set(&err, ERR_USAGE, 0, "more than %d reports", MAX_REPORTS - 1);
	else if (report_check(settings->formats, settings->n_formats, &err) == 0)
		return 0;
	return cli_fail(&err);
}

static void note_failure(struct output *o, const struct err *err)
{
	if (err->kind && !o->err.kind)
		o->err = *err;
}

int output_open(struct output *o, const struct settings *settings, const struct report_env *env)
{
	static const struct format_request text = {.name = "text"};
	struct err err = {0};

	for (size_t i = 0; i <= settings->n_formats; i++) {
		bool extra = i == settings->n_formats;

		if (extra && report_on_stdout(settings->formats, settings->n_formats))
			break;
		err = (struct err){0};
		if (report_open(extra ? &text : &settings->formats[i], env, &o->v[o->n], &err) < 0) {
			if (!o->v[o->n])
				return cli_fail(&err);
			note_failure(o, &err);
		}
		o->n++;
	}
	return 0;
}

void output_add(struct output *o, const struct result *all, size_t n)
{
	for (size_t i = 0; i < o->n; i++) {
		struct err err = {0};

		if (report_add(o->v[i], all, n, &err) < 0)
			note_failure(o, &err);
	}
}

void output_running(struct output *o, const struct result *all, size_t n, const char *name)
{
	for (size_t i = 0; i < o->n; i++) {
		struct err err = {0};

		report_running(o->v[i], all, n, name);
		if (n && report_catch_up(o->v[i], all, n, &err) < 0)
			note_failure(o, &err);
	}
}

int output_close(struct output *o, const struct result *all, size_t n, bool interrupted, int status)
{
	for (size_t i = 0; i < o->n; i++) {
		struct err err = {0};

		if (report_close(o->v[i], all, n, interrupted, &err) < 0)
			note_failure(o, &err);
	}
	o->n = 0;
	if (!o->err.kind)
		return status;
	cli_fail(&o->err);
	return interrupted ? status : report_exit_write_failed(status);
}
