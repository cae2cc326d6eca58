/* One clock: CLOCK_MONOTONIC in nanoseconds. Packets carry CLOCK_REALTIME; the offset is recorded. */
#pragma once
#include <stdint.h>
#include <time.h>

typedef int64_t nsec_t;

#define NSEC_PER_USEC INT64_C(1000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_NEVER    INT64_MAX

static inline nsec_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline nsec_t clock_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, read so that a preemption in between cannot skew it. */
nsec_t clock_real_offset(void);

/* "250us" "1.5s" "100ms" "2m" "0"; 0 on success. A bare number other than 0 is an error: units are said. */
int duration_parse(const char *s, nsec_t *ret);
/* The shortest exact-looking form, three digits: "1.23s" "450ms" "61.2us". buf holds at least 24. */
const char *duration_text(nsec_t t, char *buf);
