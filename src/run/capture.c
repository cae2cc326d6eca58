/* libpcap on the loopback. One handle for a worker's life, because opening and closing one waits 30 ms for RCU. */
#include "run/capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "run/wire.h"

#define SNAPLEN         256
#define RING_BYTES      (8u << 20)
#define STDIO_BYTES     (256u << 10)
#define SENTINEL_PORT   9
#define SENTINEL_WITHIN (2 * NSEC_PER_SEC)
#define CLOCK_SLACK     NSEC_PER_MSEC

struct capture {
	pcap_t *pcap;
	int fd;                 /* the pcap's, to wait on */
	int udp;                /* sends sentinels */
	uint64_t sentinels;     /* number of the last one: it starts at the time of opening, so that
	                         * workers that share a namespace do not take each other's */
	char sentinel[48];      /* text of the one awaited, "" if none */
	size_t sentinel_n;
	/* the scenario in progress */
	pcap_dumper_t *dump;    /* NULL: none */
	FILE *file;             /* the dump's */
	char *stdio;            /* its buffer, STDIO_BYTES */
	struct events *ev;
	struct wire wire;
	nsec_t offset;          /* real - monotonic */
	nsec_t mark;            /* capture_mark() in progress, NSEC_NEVER: none */
	uint32_t frames, sentinel_frame;
	unsigned drops_base;
	bool write_failed;      /* nothing more is written, but events go on */
	int write_errno;
};

static int pcap_error(struct capture *cap, int status, const char *what, struct err *reterr)
{
	const char *detail = cap->pcap ? pcap_geterr(cap->pcap) : "";

	return err_set(reterr, ERR_HARNESS, 0, "%s: %s%s%s", what, pcap_statustostr(status),
		       *detail ? ": " : "", detail);
}

static int set_filter(struct capture *cap, struct err *reterr)
{
	struct bpf_program prog;

	if (pcap_compile(cap->pcap, &prog, "tcp or (udp and dst port 9)", 1, PCAP_NETMASK_UNKNOWN) < 0)
		return pcap_error(cap, PCAP_ERROR, "capture filter", reterr);
	int rc = pcap_setfilter(cap->pcap, &prog);

	pcap_freecode(&prog);
	return rc < 0 ? pcap_error(cap, rc, "capture filter", reterr) : 0;
}

/* Immediate mode means TPACKET_V2: a packet can be read as soon as it is there, without waiting for a block to fill.
 * Its price, a wake-up a packet, is paid only while somebody sleeps on the fd, and nobody does. */
static int open_pcap(struct capture *cap, unsigned ring_bytes, unsigned packet_bytes, struct err *reterr)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	int one = 1;

	cap->pcap = pcap_create("lo", errbuf);
	if (!cap->pcap)
		return err_set(reterr, ERR_HARNESS, 0, "capture on lo: %s", errbuf);
	pcap_set_snaplen(cap->pcap, packet_bytes ? (int)packet_bytes : SNAPLEN);
	pcap_set_promisc(cap->pcap, 0);
	pcap_set_immediate_mode(cap->pcap, 1);
	pcap_set_tstamp_precision(cap->pcap, PCAP_TSTAMP_PRECISION_NANO);
	pcap_set_buffer_size(cap->pcap, (int)(ring_bytes ? ring_bytes : RING_BYTES));
	int rc = pcap_activate(cap->pcap);

	if (rc < 0)
		return pcap_error(cap, rc, "capture on lo", reterr);
	if (pcap_datalink(cap->pcap) != DLT_EN10MB)
		return err_set(reterr, ERR_HARNESS, 0, "capture on lo: link type %s instead of Ethernet",
			       pcap_datalink_val_to_name(pcap_datalink(cap->pcap)));
	cap->fd = pcap_get_selectable_fd(cap->pcap);
	/* Without this each loopback packet takes two slots; libpcap throws the outgoing copy away in any case. */
	if (setsockopt(pcap_fileno(cap->pcap), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 &&
	    errno != ENOPROTOOPT)
		return err_set(reterr, ERR_HARNESS, errno, "capture on lo: PACKET_IGNORE_OUTGOING");
	fcntl(cap->fd, F_SETFD, FD_CLOEXEC);    /* libpcap does not, and no target may inherit it */
	if (pcap_setnonblock(cap->pcap, 1, errbuf) < 0)
		return err_set(reterr, ERR_HARNESS, 0, "capture on lo: %s", errbuf);
	return set_filter(cap, reterr);
}

int capture_open(struct capture **ret, unsigned ring_bytes, unsigned packet_bytes, struct err *reterr)
{
	struct capture *cap = calloc(1, sizeof *cap);

	if (!cap)
		return err_set(reterr, ERR_HARNESS, ENOMEM, "capture");
	cap->fd = cap->udp = -1;
	cap->mark = NSEC_NEVER;
	cap->sentinels = (uint64_t)clock_now();
	cap->stdio = malloc(STDIO_BYTES);
	cap->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!cap->stdio || cap->udp < 0) {
		err_set(reterr, ERR_HARNESS, errno, "capture: socket for the sentinel");
		capture_close(cap);
		return -1;
	}
	if (open_pcap(cap, ring_bytes, packet_bytes, reterr) < 0) {
		capture_close(cap);
		return -1;
	}
	*ret = cap;
	return 0;
}

static void close_dump(struct capture *cap)
{
	if (cap->dump)
		pcap_dump_close(cap->dump);
	cap->dump = NULL;
	cap->file = NULL;
	cap->ev = NULL;
}

void capture_close(struct capture *cap)
{
	if (!cap)
		return;
	close_dump(cap);
	if (cap->pcap)
		pcap_close(cap->pcap);
	cleanup_fd(&cap->udp);
	wire_free(&cap->wire);
	free(cap->stdio);
	free(cap);
}

static bool is_sentinel(const struct capture *cap, const struct packet *pk)
{
	return pk->udp && cap->sentinel_n && pk->dport == SENTINEL_PORT && pk->data_n == cap->sentinel_n &&
	       !memcmp(pk->data, cap->sentinel, cap->sentinel_n);
}

/* pcap_dump() says nothing of a full disk, so the stream is asked at once, while errno still stands. */
static void write_frame(struct capture *cap, const struct pcap_pkthdr *h, const u_char *p)
{
	cap->frames++;
	if (cap->write_failed)
		return;
	pcap_dump((u_char *)cap->dump, h, p);
	if (ferror(cap->file)) {
		cap->write_failed = true;
		cap->write_errno = errno;
	}
}

static void on_packet(u_char *user, const struct pcap_pkthdr *h, const u_char *p)
{
	struct capture *cap = (struct capture *)user;
	struct packet pk;

	if (!cap->dump || !packet_parse(p, h->caplen, h->len, &pk))
		return;
	bool sentinel = is_sentinel(cap, &pk);

	/* Other UDP comes only through the filter's hole for sentinels; it is another worker's. */
	if (!sentinel && (pk.udp || !(wire_port(&cap->wire, pk.dport) || wire_port(&cap->wire, pk.sport))))
		return;
	nsec_t t = h->ts.tv_sec * NSEC_PER_SEC + h->ts.tv_usec - cap->offset;

	if (t > cap->mark) {
		wire_mark(&cap->wire, cap->mark);
		cap->mark = NSEC_NEVER;
	}
	write_frame(cap, h, p);
	if (sentinel)
		cap->sentinel_frame = cap->frames;
	else
		wire_packet(&cap->wire, &pk, t, cap->frames);
}

static void drain(struct capture *cap)
{
	pcap_dispatch(cap->pcap, -1, on_packet, (u_char *)cap);
}

static unsigned drops(struct capture *cap)
{
	struct pcap_stat st;

	return pcap_stats(cap->pcap, &st) < 0 ? 0 : st.ps_drop;
}

int capture_begin(struct capture *cap, const char *path, const uint16_t *ports, unsigned n_ports,
		  struct events *ev, struct err *reterr)
{
	close_dump(cap);
	drain(cap);             /* what is left of the time before belongs to nobody */
	unlink(path);           /* truncating an older one would make ext4 write it out: 0.9 ms */
	cap->file = fopen(path, "we");
	if (!cap->file)
		return err_set(reterr, ERR_HARNESS, errno, "cannot write %s", path);
	setvbuf(cap->file, cap->stdio, _IOFBF, STDIO_BYTES);
	cap->dump = pcap_dump_fopen(cap->pcap, cap->file);
	if (!cap->dump) {
		err_set(reterr, ERR_HARNESS, 0, "cannot write %s: %s", path, pcap_geterr(cap->pcap));
		fclose(cap->file);
		cap->file = NULL;
		return -1;
	}
	cap->ev = ev;
	cap->frames = cap->sentinel_frame = 0;
	cap->write_failed = false;
	cap->sentinel_n = 0;
	cap->mark = NSEC_NEVER;
	cap->drops_base = drops(cap);
	cap->offset = clock_real_offset();
	wire_begin(&cap->wire, ports, n_ports, ev);
	events_add(ev, EV_CLOCK, -1, cap->offset, 0, NULL);
	return 0;
}

void capture_expect(struct capture *cap, int32_t conn, uint32_t client_ip_be, uint16_t client_port,
		    uint16_t server_port)
{
	if (!cap || !cap->dump)
		return;
	wire_expect(&cap->wire, conn, client_ip_be, client_port, server_port);
}

void capture_poll(struct capture *cap)
{
	if (cap && cap->dump)
		drain(cap);
}

void capture_mark(struct capture *cap, nsec_t t)
{
	if (!cap || !cap->dump)
		return;
	cap->mark = t;
	drain(cap);
	if (cap->mark != NSEC_NEVER)
		wire_mark(&cap->wire, t);
	cap->mark = NSEC_NEVER;
}

/* A datagram that is in the ring after everything that was sent before it: who has seen it has seen all. */
static void await_sentinel(struct capture *cap)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(SENTINEL_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	nsec_t limit = clock_now() + SENTINEL_WITHIN;

	drain(cap);             /* or a full ring has no slot for it */
	cap->sentinel_n = (size_t)snprintf(cap->sentinel, sizeof cap->sentinel, "drainspec sentinel %llu",
					   (unsigned long long)++cap->sentinels);
	ssize_t sent = sendto(cap->udp, cap->sentinel, cap->sentinel_n, 0, (struct sockaddr *)&to, sizeof to);

	drain(cap);
	while (sent >= 0 && !cap->sentinel_frame) {
		nsec_t left = limit - clock_now();
		struct pollfd pfd = {.fd = cap->fd, .events = POLLIN};

		if (left <= 0)
			break;
		poll(&pfd, 1, (int)(left / NSEC_PER_MSEC) + 1);
		drain(cap);
	}
	cap->sentinel_n = 0;
}

static void check_clock(struct capture *cap)
{
	nsec_t offset = clock_real_offset();
	nsec_t moved = offset - cap->offset;
	char text[24];

	events_add(cap->ev, EV_CLOCK, -1, offset, 0, NULL);
	if (moved > CLOCK_SLACK || moved < -CLOCK_SLACK)
		events_addf(cap->ev, EV_NOTE, -1, 0, 0,
			    "the wall clock was set by %s during the run: times of packets after that are off by as much",
			    duration_text(moved, text));
}

int capture_end(struct capture *cap, struct capture_stats *ret, struct err *reterr)
{
	*ret = (struct capture_stats){0};
	if (!cap->dump)
		return err_set(reterr, ERR_HARNESS, 0, "capture_end without capture_begin");
	await_sentinel(cap);
	wire_end(&cap->wire, clock_now());
	check_clock(cap);
	*ret = (struct capture_stats){
		.packets = cap->frames,
		.drops = drops(cap) - cap->drops_base,
		.sentinel = cap->sentinel_frame,
	};
	if (ret->sentinel)
		events_addf(cap->ev, EV_CAPTURE_END, -1, (int64_t)ret->packets, (int64_t)ret->drops,
			    "sentinel frame %u", ret->sentinel);
	else
		events_add(cap->ev, EV_CAPTURE_END, -1, (int64_t)ret->packets, (int64_t)ret->drops, "no sentinel");
	if (!cap->write_failed && pcap_dump_flush(cap->dump) < 0) {
		cap->write_failed = true;
		cap->write_errno = errno;
	}
	close_dump(cap);
	if (cap->write_failed)
		return err_set(reterr, ERR_HARNESS, cap->write_errno, "wire.pcap is incomplete");
	return 0;
}
