#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct err *reterr, enum err_kind kind, int errnum, struct span at,
		 const char *fmt, va_list ap)
{
	if (!reterr)
		return;
	char what[sizeof reterr->what];

	/* formatted aside first: an argument may be the old text of this very error */
	vsnprintf(what, sizeof what, fmt, ap);
	reterr->kind = kind;
	reterr->errnum = errnum;
	reterr->at = at;
	memcpy(reterr->what, what, sizeof what);
}

int err_set(struct err *reterr, enum err_kind kind, int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(reterr, kind, errnum, (struct span){0}, fmt, ap);
	va_end(ap);
	return -1;
}

int err_at(struct err *reterr, struct span at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(reterr, ERR_USAGE, 0, at, fmt, ap);
	va_end(ap);
	return -1;
}

const char *err_text(const struct err *err, char *buf, unsigned long len)
{
	const char *sep = err->errnum ? ": " : "";
	const char *why = err->errnum ? strerror(err->errnum) : "";

	if (err->at.path && err->at.line)
		snprintf(buf, len, "%s:%u:%u: %s%s%s", err->at.path, err->at.line, err->at.col,
			 err->what, sep, why);
	else if (err->at.path)
		snprintf(buf, len, "%s: %s%s%s", err->at.path, err->what, sep, why);
	else
		snprintf(buf, len, "%s%s%s", err->what, sep, why);
	return buf;
}
