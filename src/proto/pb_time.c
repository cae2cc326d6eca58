/* Durations and moments, which JSON writes as texts: "1.5s" and "2026-11-21T13:00:00.5Z". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pb_json.h"

/* Digits after a point as nanoseconds; *s is moved behind them. -1: none, or more than nine. */
static int64_t fraction(const char **s)
{
	int64_t v = 0;
	int n = 0;

	for (; (*s)[n] >= '0' && (*s)[n] <= '9'; n++)
		if (n < 9)
			v = v * 10 + ((*s)[n] - '0');
	*s += n;
	if (!n || n > 9)
		return -1;
	for (; n < 9; n++)
		v *= 10;
	return v;
}

static bool duration(const char *s, int64_t *sec, int64_t *nano)
{
	bool negative = *s == '-';
	int n = 0;

	*sec = *nano = 0;
	s += negative;
	for (; s[n] >= '0' && s[n] <= '9' && n < 12; n++)
		*sec = *sec * 10 + (s[n] - '0');
	if (!n || *sec > 315576000000)
		return false;
	s += n;
	if (*s == '.') {
		s++;
		*nano = fraction(&s);
	}
	if (*nano < 0 || strcmp(s, "s") || (*sec == 315576000000 && *nano))
		return false;
	*sec = negative ? -*sec : *sec;
	*nano = negative ? -*nano : *nano;
	return true;
}

/* Days since 1970-01-01 of the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
	int64_t before = m < 3 ? y - 1 : y, shifted = m < 3 ? m + 9 : m - 3;

	return 365 * before + before / 4 - before / 100 + before / 400 + (153 * shifted + 2) / 5 + d - 1 - 719468;
}

static int days_of(int year, int month)
{
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 ? 28 + leap : 30 + (month > 7 ? month % 2 == 0 : month % 2);
}

/* The two digits at s, -1 if they are none. */
static int two(const char *s)
{
	return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9' ? (s[0] - '0') * 10 + s[1] - '0' : -1;
}

static bool offset(const char *s, int64_t *ret)
{
	*ret = 0;
	if (!strcmp(s, "Z"))
		return true;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 || s[3] != ':' || two(s + 1) < 0 || two(s + 1) > 23 || two(s + 4) < 0 ||
	    two(s + 4) > 59)
		return false;
	*ret = (*s == '-' ? -1 : 1) * (two(s + 1) * 3600 + two(s + 4) * 60);
	return true;
}

static bool moment(const char *s, int64_t *sec, int64_t *nano)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	int64_t zone;

	for (size_t i = 0; i < sizeof form - 1; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	int year = two(s) * 100 + two(s + 2), month = two(s + 5), day = two(s + 8);

	if (!year || month < 1 || month > 12 || day < 1 || day > days_of(year, month) || two(s + 11) > 23 || two(s + 14) > 59 ||
	    two(s + 17) > 59)
		return false;
	*sec = days(year, month, day) * 86400 + two(s + 11) * 3600 + two(s + 14) * 60 + two(s + 17);
	*nano = 0;
	s += sizeof form - 1;
	if (*s == '.') {
		s++;
		*nano = fraction(&s);
	}
	if (*nano < 0 || !offset(s, &zone))
		return false;
	*sec -= zone;
	return *sec >= days(1, 1, 1) * 86400 && *sec < days(10000, 1, 1) * 86400;
}

static void put_time(int64_t sec, int64_t nano, struct buf *out)
{
	for (uint32_t number = 1; number <= 2; number++) {
		int64_t part = number == 1 ? sec : nano;

		if (part) {
			pb_key(out, number, 0);
			pb_varint(out, (uint64_t)part);
		}
	}
}

int pb_put_duration(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	int64_t sec, nano;

	(void)m;
	if (!pb_text(v) || !duration(pb_text(v), &sec, &nano))
		return pb_wrong(j, at, "a time like \"1.5s\"", v);
	put_time(sec, nano, out);
	return 0;
}

int pb_put_timestamp(const struct pb_json *j, const struct pb_message *m, const json_t *v, const struct pb_at *at, struct buf *out)
{
	int64_t sec, nano;

	(void)m;
	if (!pb_text(v) || !moment(pb_text(v), &sec, &nano))
		return pb_wrong(j, at, "a moment like \"2026-11-21T13:00:00Z\"", v);
	put_time(sec, nano, out);
	return 0;
}
