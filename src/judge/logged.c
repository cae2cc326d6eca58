#include "judge/logged.h"

#include <regex.h>
#include <string.h>

#define LOG_SCANNED (INT64_C(8) << 20)  /* the run layer reads that much of each stream */

void log_owes(struct conn_fact *c, int64_t number)
{
	int64_t at = number - c->log_from;

	if (number < c->log_from || number > INT32_MAX)
		return;
	if (at > 63) { /* nothing is named yet, but a log by hand may have any order */
		unsigned by = at - 63 > 63 ? 64 : (unsigned)(at - 63);

		c->answered_mask = by > 63 ? 0 : c->answered_mask >> by;
		c->logged_mask = by > 63 ? 0 : c->logged_mask >> by;
		c->log_from = (uint32_t)number - 63;
		at = 63;
	}
	c->answered_mask |= UINT64_C(1) << at;
}

void log_names(struct conn_fact *c, int64_t number)
{
	c->logged = true;
	if (number < c->log_from)
		c->logged_early = true;
	else if (number - c->log_from < 64)
		c->logged_mask |= UINT64_C(1) << (number - c->log_from);
}

static bool names_any(const struct conn_fact *c)
{
	return (c->logged_mask & c->answered_mask) || c->logged_early;
}

bool logs_nonces(const struct facts *f)
{
	for_each_event(f, EV_LOG_NONCE, n) {
		const struct round_fact *r = round_at(f, n);

		if (r && round_judged(f, r))
			return true;
	}
	return false;
}

/* Only a request line that was logged before the signal must be logged after it: many servers leave some paths out. */
static bool line_is_logged(const struct facts *f, const struct round_fact *r, uint16_t line)
{
	for_each_conn(f, c)
		if (round_of(f, c) == r && c->line == line && names_any(c) &&
			fact_before(f, c->answer, signal_begin(f, r)))
			return true;
	return false;
}

static void count_missing(const struct facts *f, struct logged *l, const struct conn_fact *c, uint64_t missing, bool early)
{
	unsigned number = (unsigned)__builtin_ctzll(missing);

	l->missing += (uint32_t)__builtin_popcountll(missing);
	if (c->logged_mask & c->answered_mask & ~UINT64_C(0) << number)
		l->hole = c;
	if (l->first && !(early && fact_t(f, c->answer) < fact_t(f, l->first->answer)))
		return;
	l->first = c;
	l->request = conn_numbered(f, EV_REQUEST, c, c->log_from + number);
	l->answer = conn_numbered(f, EV_ANSWER, c, c->log_from + number);
}

void count_logged(const struct facts *f, const struct round_fact *r, struct logged *l)
{
	bool known[256] = { false }, logs[256];

	for_each_conn(f, c) {
		if (round_of(f, c) != r || !c->answered_mask ||
			fact_t(f, c->connect) >= fact_t(f, r->relaunch))
			continue;
		bool early = fact_before(f, c->answer, signal_begin(f, r));
		uint64_t missing = c->answered_mask & ~c->logged_mask;
		uint8_t line = (uint8_t)c->line;

		if (!known[line]) {
			known[line] = true;
			logs[line] = line_is_logged(f, r, c->line);
		}
		if (!logs[line])
			continue;
		if (early && names_any(c))
			l->before++;
		if (early)
			l->before_missing += missing != 0;
		if (missing)
			count_missing(f, l, c, missing, early);
	}
	for_each_event(f, EV_LOG_NONCE, n)
		if (!l->proof && fact_event(f, n)->round == r->id)
			l->proof = n;
}

uint32_t log_unread(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_LOG_TAIL, n)
		if (fact_event(f, n)->round == r->id && fact_b(f, n) >= LOG_SCANNED)
			return n;
	for_each_event(f, EV_LOG_BAD, n)        /* the scan stops there */
		if (fact_event(f, n)->round == r->id)
			return n;
	return 0;
}

uint32_t log_full(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_LOG_FULL, n)
		if (fact_event(f, n)->round == r->id)
			return n;
	return 0;
}

bool log_line_matches(const struct facts *f, const struct round_fact *r, const char *pattern, uint32_t *ret)
{
	regex_t re;
	bool have = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0;

	*ret = 0;
	for_each_event(f, EV_LOGLINE, n)
		if (!*ret && fact_event(f, n)->round == r->id && (have ? !regexec(&re, fact_text(f, n), 0, NULL, 0) :
				     strstr(fact_text(f, n), pattern) != NULL))
			*ret = n;
	if (have)
		regfree(&re);
	return *ret != 0;
}

const char *log_last_words(const struct facts *f, const struct round_fact *r)
{
	const char *ret = NULL;

	for_each_event(f, EV_LOG_TAIL, n) {
		const char *text = fact_text(f, n);
		size_t end = strlen(text), from;

		while (end && text[end - 1] == '\n')
			end--;
		for (from = end; from && text[from - 1] != '\n'; from--)
			;
		if (fact_event(f, n)->round == r->id && end)
			ret = arena_printf(f->arena, "; the last one: '%.*s'", end - from < 120 ? (int)(end - from) : 120, text + from);
	}
	return ret ? ret : "; it said nothing at all";
}
