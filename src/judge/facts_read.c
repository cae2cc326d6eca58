/* Reading facts: rounds, signals, processes. */
#include <stdlib.h>
#include <string.h>

#include "judge/facts_read.h"

const struct round_fact *round_at(const struct facts *f, uint32_t n)
{
	for (uint32_t i = f->n_rounds; n && i-- > 0;)
		if (f->rounds[i].id == fact_event(f, n)->round)
			return &f->rounds[i];
	return NULL;
}

uint32_t conn_numbered(const struct facts *f, enum event_kind kind, const struct conn_fact *c, uint32_t number)
{
	for_each_event(f, kind, n)
		if (fact_event(f, n)->conn == c - f->conns && fact_a(f, n) == number)
			return n;
	return 0;
}

bool round_judged(const struct facts *f, const struct round_fact *r)
{
	return r->sig && !r->deviates && !r->alone && !f->sc->sweep;
}

nsec_t usual_start(const struct facts *f)
{
	nsec_t longest = -1;

	for (uint32_t i = 0; i < f->n_rounds; i++) {
		const struct round_fact *r = &f->rounds[i];

		if (r->sig || !r->launch || !r->first_answer)
			continue;
		nsec_t took = nsec_sub(fact_t(f, r->first_answer), fact_t(f, r->launch));

		if (took > longest)
			longest = took;
	}
	return longest < 0 ? NSEC_NEVER : longest;
}

nsec_t sweep_gap(const struct facts *f)
{
	nsec_t last = 0, widest = 0;

	for (uint32_t i = 0; i < f->n_rounds; i++) {
		const struct round_fact *r = &f->rounds[i];

		if (!r->sig || !r->launch)
			continue;
		nsec_t delay = nsec_sub(signal_begin(f, r), fact_t(f, r->launch));

		widest = delay - last > widest ? delay - last : widest;
		last = delay > last ? delay : last;
	}
	return widest;
}

nsec_t signal_begin(const struct facts *f, const struct round_fact *r)
{
	return fact_t(f, r->sig);
}

/* b is when the call returned; a log without it still has t. */
nsec_t signal_end(const struct facts *f, const struct round_fact *r)
{
	nsec_t t = fact_t(f, r->sig), after = fact_b(f, r->sig);

	return r->sig && after > t ? after : t;
}

/* The text is ours (target/census.c), with quotes escaped inside strings: a quoted key and a colon
 * occur only as a key. */
static const char *value_of(const struct facts *f, uint32_t number, const char *key)
{
	const char *text = fact_text(f, number);
	size_t n = strlen(key);

	for (const char *p = text; (p = strstr(p, key)); p += n)
		if (p > text && p[-1] == '"' && p[n] == '"' && p[n + 1] == ':')
			return p + n + 2;
	return NULL;
}

bool process_field(const struct facts *f, uint32_t number, const char *key, uint64_t *ret)
{
	const char *v = value_of(f, number, key);
	char *end;

	if (!v)
		return false;
	if (*v == 't' || *v == 'f') {
		*ret = *v == 't';
		return true;
	}
	int base = *v == '"' ? 16 : 10;

	v += *v == '"';
	if (!strchr("0123456789abcdefABCDEF", *v) || !*v)
		return false;
	*ret = strtoull(v, &end, base);
	return end != v;
}

bool process_string(const struct facts *f, uint32_t number, const char *key, char *ret, size_t n)
{
	const char *v = value_of(f, number, key);
	size_t i = 0;

	if (!v || *v != '"' || !n)
		return false;
	for (v++; *v && *v != '"' && i + 1 < n; v++) {
		if (*v == '\\' && v[1])
			v++;
		ret[i++] = *v;
	}
	ret[i] = '\0';
	return true;
}

uint64_t event_inode(const struct facts *f, uint32_t number)
{
	const char *p = strstr(fact_text(f, number), "inode ");
	uint64_t inode = 0;

	for (p = p ? p + 6 : ""; *p >= '0' && *p <= '9' && inode < UINT64_MAX / 16; p++)
		inode = inode * 10 + (uint64_t)(*p - '0');
	return inode;
}
