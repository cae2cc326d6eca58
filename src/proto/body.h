/* What readers of every protocol do with body bytes: hash them, or compare them with the nonce repeated. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/proto.h"

#define FNV1A_START UINT32_C(0x811c9dc5)

static inline uint32_t fnv1a(uint32_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT32_C(0x01000193);
	return h;
}

/* Index of the first of n bytes that is not the nonce's when the first is byte `at` of a body; n if all are.
 * After one whole nonce the rest is right exactly if it repeats what stands 16 bytes before: one memcmp. */
static inline size_t echo_check(const char *nonce, uint64_t at, const uint8_t *p, size_t n)
{
	size_t first = n < NONCE_LEN ? n : NONCE_LEN;

	for (size_t i = 0; i < first; i++)
		if (p[i] != (uint8_t)nonce[(at + i) % NONCE_LEN])
			return i;
	if (n == first || !memcmp(p + NONCE_LEN, p, n - NONCE_LEN))
		return n;
	for (size_t i = first; i < n; i++)
		if (p[i] != p[i - NONCE_LEN])
			return i;
	return n;
}
