#include "proto/sha1.h"

#include <string.h>

static uint32_t rotated(uint32_t x, unsigned by)
{
	return x << by | x >> (32 - by);
}

static void take_block(uint32_t h[5], const uint8_t *p)
{
	static const uint32_t constant[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], v[5];

	for (unsigned t = 0; t < 16; t++)
		w[t] = (uint32_t)p[4 * t] << 24 | (uint32_t)p[4 * t + 1] << 16 | (uint32_t)p[4 * t + 2] << 8 | p[4 * t + 3];
	for (unsigned t = 16; t < 80; t++)
		w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, h, sizeof v);
	for (unsigned t = 0; t < 80; t++) {
		uint32_t ch = (v[1] & v[2]) ^ (~v[1] & v[3]), parity = v[1] ^ v[2] ^ v[3];
		uint32_t maj = (v[1] & v[2]) ^ (v[1] & v[3]) ^ (v[2] & v[3]);
		uint32_t f = t < 20 ? ch : t >= 40 && t < 60 ? maj : parity;
		uint32_t sum = rotated(v[0], 5) + f + v[4] + constant[t / 20] + w[t];

		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotated(v[1], 30);
		v[1] = v[0];
		v[0] = sum;
	}
	for (unsigned i = 0; i < 5; i++)
		h[i] += v[i];
}

void sha1_short(const void *p, size_t n, uint8_t ret[SHA1_LEN])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t blocks[128] = {0};
	size_t len = n < 56 ? 64 : 128;

	memcpy(blocks, p, n);
	blocks[n] = 0x80;
	for (unsigned i = 0; i < 4; i++)
		blocks[len - 1 - i] = (uint8_t)(n * 8 >> 8 * i);
	for (size_t at = 0; at < len; at += 64)
		take_block(h, blocks + at);
	for (unsigned i = 0; i < SHA1_LEN; i++)
		ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void base64(const uint8_t *p, size_t n, char *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < n; at += 3) {
		uint32_t v = (uint32_t)p[at] << 16 | (at + 1 < n ? (uint32_t)p[at + 1] << 8 : 0) | (at + 2 < n ? p[at + 2] : 0);

		*ret++ = digits[v >> 18];
		*ret++ = digits[v >> 12 & 63];
		*ret++ = at + 1 < n ? digits[v >> 6 & 63] : '=';
		*ret++ = at + 2 < n ? digits[v & 63] : '=';
	}
	*ret = '\0';
}
