/* Private to test_capture.c: a namespace with a listener, a capture, and wire.pcap read back by libpcap. */
#pragma once
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "run/capture.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* A frame as libpcap reads it, parsed anew here: the test must not believe the code that it tests. */
struct frame {
	nsec_t real;
	unsigned flags, sport, dport, win, len;
	bool udp;
};

static struct frame frames[4096];
static unsigned n_frames;
static char dir[64], path[96];
static struct capture *cap;
static struct arena *arena;
static struct events ev;
static struct sockaddr_in server;
static int listener = -1;

static int own_netns(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = ioctl(s, SIOCSIFFLAGS, &ifr);

	close(s);
	return rc;
}

static int bound(struct sockaddr_in *ret)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof *ret;

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_eq(bind(s, (struct sockaddr *)ret, sizeof *ret), 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)ret, &len), 0);
	return s;
}

static void setup(void)
{
	struct err err = {0};

	ck_assert_int_eq(own_netns(), 0);
	ck_assert_msg(capture_open(&cap, 0, 0, &err) == 0, "%s", err.what);
	snprintf(dir, sizeof dir, "/tmp/test_capture.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/wire.pcap", dir);
	arena = arena_new();
	listener = bound(&server);
	ck_assert_int_eq(listen(listener, 64), 0);
}

static void teardown(void)
{
	capture_close(cap);
	unlink(path);
	rmdir(dir);
	arena_free(arena);
}

static void begin(void)
{
	uint16_t port = ntohs(server.sin_port);
	struct err err = {0};

	events_init(&ev, arena);
	ck_assert_msg(capture_begin(cap, path, &port, 1, &ev, &err) == 0, "%s", err.what);
}

static void read_back(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, errbuf);
	struct pcap_pkthdr *h;
	const u_char *d;

	ck_assert_msg(p != NULL, "%s", errbuf);
	for (n_frames = 0; n_frames < 4096 && pcap_next_ex(p, &h, &d) == 1; n_frames++) {
		const u_char *t = d + (d[12] == 0x86 ? 54 : 14 + (d[14] & 15) * 4);
		unsigned total = d[12] == 0x86 ? d[18] * 256u + d[19] : d[16] * 256u + d[17] - (d[14] & 15) * 4u;
		bool udp = (d[12] == 0x86 ? d[20] : d[23]) == 17;

		frames[n_frames] = (struct frame){
			.real = h->ts.tv_sec * NSEC_PER_SEC + h->ts.tv_usec,
			.sport = t[0] * 256u + t[1], .dport = t[2] * 256u + t[3], .udp = udp,
			.flags = udp ? 0 : t[13], .win = t[14] * 256u + t[15],
			.len = total - (udp ? 8 : (t[12] >> 4) * 4u),
		};
	}
	pcap_close(p);
}

static struct capture_stats end(void)
{
	struct capture_stats st;
	struct err err = {0};

	ck_assert_msg(capture_end(cap, &st, &err) == 0, "%s", err.what);
	read_back();
	ck_assert_uint_eq(st.packets, n_frames);
	ck_assert_uint_eq(st.drops, 0);
	/* after it nothing happens but what TCP had put off */
	ck_assert(st.sentinel && frames[st.sentinel - 1].udp && frames[st.sentinel - 1].dport == 9);
	return st;
}

static int client_of(int32_t conn, const struct sockaddr_in *to, int rcvbuf)
{
	struct sockaddr_in me;
	int s = bound(&me);

	if (rcvbuf)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
	if (conn >= 0)
		capture_expect(cap, conn, me.sin_addr.s_addr, ntohs(me.sin_port), ntohs(to->sin_port));
	if (connect(s, (const struct sockaddr *)to, sizeof *to) < 0)
		ck_assert_int_eq(errno, ECONNREFUSED);
	return s;
}

static void linger0(int fd)
{
	struct linger l = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static void send_all(int fd, size_t n)
{
	static const char zeros[65536];

	ck_assert(n <= sizeof zeros);
	ck_assert_int_eq(send(fd, zeros, n, 0), (ssize_t)n);
}

static size_t recv_some(int fd)
{
	char b[65536];
	ssize_t n = recv(fd, b, sizeof b, 0);

	return n < 0 ? 0 : (size_t)n;
}

/* The only event of this kind and connection; its frame must have these flags. NULL if there is none. */
static const struct event *one(enum event_kind kind, int32_t conn, unsigned flags)
{
	const struct event *found = NULL;

	for (size_t i = 0; i < ev.n; i++) {
		if (ev.v[i].kind != kind || ev.v[i].conn != conn)
			continue;
		ck_assert_msg(!found, "%s twice", event_rows[kind].name);
		found = &ev.v[i];
	}
	if (!found)
		return NULL;
	ck_assert(found->frame >= 1 && found->frame <= n_frames);
	const struct frame *f = &frames[found->frame - 1];

	ck_assert_msg((f->flags & (FIN | SYN | RST | ACK)) == flags, "%s: frame %u has flags %x",
		      event_rows[kind].name, found->frame, f->flags);
	/* the packet's own time, converted with the offset of the first clock event */
	ck_assert_int_eq(ev.v[0].kind, EV_CLOCK);
	if (kind != EV_W_ACKED)
		ck_assert_int_eq(found->t + ev.v[0].a, f->real);
	return found;
}

static void expect_one(enum event_kind kind, int32_t conn, unsigned flags, int64_t a, int64_t b)
{
	const struct event *e = one(kind, conn, flags);

	ck_assert_msg(e != NULL, "no %s", event_rows[kind].name);
	ck_assert_msg(e->a == a && e->b == b, "%s: %ld, %ld", event_rows[kind].name, (long)e->a, (long)e->b);
}
