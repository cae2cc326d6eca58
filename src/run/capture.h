/* libpcap on the loopback of the namespace in which capture_open() was called: one handle for a worker's life, one
 * wire.pcap and one set of wire events per scenario. The ring is drained by capture_poll(); nobody sleeps on it, so the
 * traffic pays no wake-ups. PACKET_IGNORE_OUTGOING: loopback packets would come twice.
 * A packet is in the ring before TCP sees it: whatever a client of ours has received, the next drain finds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/event.h"

struct capture;

struct capture_stats {
	uint64_t packets;       /* written to this scenario's file */
	uint64_t drops;         /* by the kernel's ring since capture_begin */
	uint32_t sentinel;      /* its frame, 0: not seen */
};

/* -1 with ERR_HARNESS when not permitted (no CAP_NET_RAW): the caller notes it and goes on without. ring_bytes 0: 8 MiB. */
int capture_open(struct capture **ret, unsigned ring_bytes, unsigned packet_bytes, struct err *reterr);
void capture_close(struct capture *cap);
/* Start a scenario: packets of these ports (server and gate; n 0: all packets) from now on go to path, and wire events to ev. */
int capture_begin(struct capture *cap, const char *path, const uint16_t *ports, unsigned n_ports,
		  struct events *ev, struct err *reterr);
/* Announce a client connection before its SYN is sent, or at least before the next drain: packets between
 * client_ip:client_port and server_port are conn's, until a SYN after the same pair was announced again.
 * client_ip_be: the source address, 0 for IPv6.
 * cap may be NULL in this and the next two: nothing happens. */
void capture_expect(struct capture *cap, int32_t conn, uint32_t client_ip_be, uint16_t client_port,
		    uint16_t server_port);
/* Drain what the ring holds: cheap when empty. Records wire events (the few that verdicts need, not one a packet). */
void capture_poll(struct capture *cap);
/* Drain, and note for each live connection what the server side has ACKed in packets up to time t (of the signal):
 * emits W_ACKED. Right before the signal or right after it (with its time) are equally exact, as long as no poll came
 * in between. */
void capture_mark(struct capture *cap, nsec_t t);
/* Send the sentinel (a UDP datagram to the discard port of 127.0.0.1), drain until it is seen (at most 2 s), emit the
 * final wire events of each connection (W_LAST, W_ACKED) and CAPTURE_END, close the file. Write errors of the file are in
 * *reterr (-1); *ret and the events are complete all the same, and the next capture_begin() works. */
int capture_end(struct capture *cap, struct capture_stats *ret, struct err *reterr);
