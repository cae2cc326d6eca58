/* A client that does not read holds nobody up whose whole answer is in the socket buffers: the program has written it all, the kernel
 * delivers it. Such an answer proves nothing about slow readers, and is too small. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/engine.h"

#define PEEK 16384
#define STATE_MAX 128

/* Length of the answer, head included, from the bytes that wait unread here; 0: not to be seen (no length in the head, or no head yet). */
static uint64_t answer_length(struct run *r, const struct conn *c)
{
	const struct proto *proto = c->client->proto;
	ssize_t n = recv(c->w.fd, r->buf, PEEK, MSG_PEEK);
	_Alignas(8) char st[STATE_MAX] = {0};
	char nonce[NONCE_LEN + 1];
	struct answer an = {0};
	struct buf reply = {0};

	if (n <= 0 || proto->state_size > sizeof st)
		return 0;
	conn_nonce(r, c, c->answered, nonce);
	proto->start(st, &c->client->rq, nonce, &an);
	proto->feed(st, r->buf, (size_t)n, &an, &reply);
	if (proto->stop)
		proto->stop(st);
	buf_free(&reply);
	if ((an.state != ANSWER_BODY && an.state != ANSWER_DONE) || an.length < 0)
		return 0;
	return an.bytes - an.body + (uint64_t)an.length;
}

/* The most that the kernel takes from the server without a reader: the last number of tcp_wmem. */
static unsigned long send_buffer_max(void)
{
	int fd = open("/proc/sys/net/ipv4/tcp_wmem", O_RDONLY | O_CLOEXEC);
	unsigned long most = 4 << 20;
	char text[64];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	sscanf(text, "%*u %*u %lu", &most);
	return most;
}

bool too_small(struct run *r, struct conn *c, const struct diag_row *row)
{
	int here = 0;

	if (ioctl(c->w.fd, FIONREAD, &here) < 0 || here <= 0)
		return false;
	uint64_t length = answer_length(r, c);
	char why[320];

	if (!length || (uint64_t)here + row->wqueue < length)
		return false;
	snprintf(why, sizeof why, "the answer is too small: all its %llu bytes are in the socket buffers (%d in the client's, %u in the server's), "
		 "so nobody waits for the client to read. It must be larger than both together: the server's can grow to %lu bytes here "
		 "(tcp_wmem), 16 MiB are enough", (unsigned long long)length, here, row->wqueue, send_buffer_max());
	phase_unreachable(r, c, why);
	return true;
}
