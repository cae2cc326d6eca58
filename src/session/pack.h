/* Results on their way from a worker to the parent: one flat message, written and read by the same program on the same machine
 * (native byte order), through a pipe. The reader trusts nothing: a worker that crashes may send anything.
 *
 * Layout: magic, length of the whole message, then the fields of struct result in their order. A string is its length, its
 * bytes and a NUL; NULL is a length of all ones. Pointers into what was unpacked stay valid as long as the arena. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "judge/judge.h"

#define RESULT_PACK_MAX (64u << 20)     /* longer messages are not read */

/* Append the message to out. */
void result_pack(const struct result *r, struct buf *out);
/* The message is the n bytes at p, no more and no less. 0, or -EBADMSG and *ret is all zero. */
int result_unpack(const void *p, size_t n, struct arena *arena, struct result *ret);
/* How long the message that begins with these bytes is: 0: more bytes are needed to know; -EBADMSG: this is none. */
ssize_t result_pack_size(const void *p, size_t n);
