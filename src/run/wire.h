/* Private to capture.c: packets off the loopback, and the few wire events that verdicts need of each connection. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "event/event.h"

enum { PK_FIN = 1, PK_SYN = 2, PK_RST = 4, PK_ACK = 16 };

struct packet {
	uint32_t src, dst;      /* IPv4 addresses in network order; 0 of IPv6: a loopback has but ::1 */
	uint32_t seq, ack;      /* host order, as the ports */
	uint16_t sport, dport;
	uint16_t win;
	uint8_t flags;
	bool udp;
	uint32_t len;           /* bytes of payload on the wire */
	const uint8_t *data;    /* as many of them as were captured */
	size_t data_n;
};

/* Parse an Ethernet frame of which n of wire_len bytes were captured. False: not TCP or UDP, or the headers are cut. */
bool packet_parse(const uint8_t *p, size_t n, size_t wire_len, struct packet *ret);

struct wire_conn;

struct wire {
	struct wire_conn *v;    /* in the order of wire_expect() */
	uint32_t *heads;        /* hash table: index of the newest connection of a bucket + 1 */
	uint32_t n, cap, mask;
	uint8_t ports[8192];    /* bit set of the scenario's server ports */
	bool all_ports;
	struct events *ev;
};

/* Forget all connections; the memory stays. n_ports 0: all ports. */
void wire_begin(struct wire *w, const uint16_t *ports, unsigned n_ports, struct events *ev);
void wire_free(struct wire *w);
bool wire_port(const struct wire *w, uint16_t port);
void wire_expect(struct wire *w, int32_t conn, uint32_t client_ip, uint16_t client_port, uint16_t server_port);
/* Take one packet that stands in wire.pcap as frame; t is its time on CLOCK_MONOTONIC. */
void wire_packet(struct wire *w, const struct packet *pk, nsec_t t, uint32_t frame);
/* W_ACKED of every connection that is not over, at time t. */
void wire_mark(struct wire *w, nsec_t t);
/* W_LAST (where W_FIRST is not it) and W_ACKED of every connection. */
void wire_end(struct wire *w, nsec_t t);
