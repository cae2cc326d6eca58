/* SHA-1 (FIPS 180-4) and base64, for the handshake of WebSocket and nothing else: no secret depends on it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SHA1_LEN 20

/* n <= 119: two blocks are enough for a key and its GUID. */
void sha1_short(const void *p, size_t n, uint8_t ret[SHA1_LEN]);
/* Writes 4 * ((n + 2) / 3) characters and a NUL. */
void base64(const uint8_t *p, size_t n, char *ret);
