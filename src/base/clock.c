#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

nsec_t clock_real_offset(void)
{
	nsec_t best = INT64_MAX, offset = 0;

	for (int i = 0; i < 5; i++) {
		nsec_t before = clock_now();
		nsec_t real = clock_ns(CLOCK_REALTIME);
		nsec_t after = clock_now();

		if (after - before < best) {
			best = after - before;
			offset = real - (before + (after - before) / 2);
		}
	}
	return offset;
}

static const struct {
	const char *suffix;
	double scale;
} units[] = {
	{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9},
};

int duration_parse(const char *s, nsec_t *ret)
{
	char *end;

	if (!s || !(isdigit((unsigned char)*s) || *s == '.') || s[0] == 'i' || s[0] == 'n')
		return -EINVAL;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return -EINVAL;
	errno = 0;
	double v = strtod(s, &end);

	if (errno || !isfinite(v) || end == s)
		return -EINVAL;
	if (!*end) {
		if (v != 0)
			return -EINVAL;
		*ret = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (!strcmp(end, units[i].suffix)) {
			if (v * units[i].scale > 9e18)
				return -ERANGE;
			*ret = (nsec_t)llround(v * units[i].scale);
			return 0;
		}
	return -EINVAL;
}

const char *duration_text(nsec_t t, char *buf)
{
	double v = (double)(t < 0 ? -t : t);
	const char *sign = t < 0 ? "-" : "";
	const char *unit = "ns";

	if (v >= 1e9)
		v /= 1e9, unit = "s";
	else if (v >= 1e6)
		v /= 1e6, unit = "ms";
	else if (v >= 1e3)
		v /= 1e3, unit = "us";
	int digits = v >= 100 || v == floor(v) ? 0 : v >= 10 ? 1 : 2;

	if (v >= 999.5 && unit[0] != 's')
		digits = 0;
	snprintf(buf, 24, "%s%.*f%s", sign, digits, v, unit);
	return buf;
}
