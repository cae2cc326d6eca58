/* Ethernet, IPv4, IPv6, TCP, UDP: headers only, nothing trusted. */
#include <string.h>

#include "run/wire.h"

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What stands behind the network header: its place in the frame, its length on the wire, its protocol. */
struct segment {
	size_t at, len;
	uint8_t proto;
};

static bool parse_ip4(const uint8_t *p, size_t n, size_t wire_len, struct packet *ret, struct segment *seg)
{
	if (n < 34 || p[14] >> 4 != 4)
		return false;
	size_t ihl = (size_t)(p[14] & 15) * 4, total = be16(p + 16);

	if (be16(p + 20) & 0x3FFF)
		return false;   /* a fragment: its first bytes are no TCP header, or its end is elsewhere */
	if (!total)
		total = wire_len - 14;  /* BIG TCP: the length does not fit */
	if (ihl < 20 || total < ihl)
		return false;
	memcpy(&ret->src, p + 26, 4);
	memcpy(&ret->dst, p + 30, 4);
	*seg = (struct segment){.at = 14 + ihl, .len = total - ihl, .proto = p[23]};
	return true;
}

static bool parse_ip6(const uint8_t *p, size_t n, size_t wire_len, struct segment *seg)
{
	if (n < 54 || p[14] >> 4 != 6)
		return false;
	size_t at = 54, len = be16(p + 18);
	uint8_t proto = p[20];

	if (!len)
		len = wire_len - 54;
	if (proto == 0) {       /* hop-by-hop options: the only extension seen on a loopback (BIG TCP) */
		if (n < at + 2)
			return false;
		size_t skip = 8 + (size_t)p[at + 1] * 8;

		if (len < skip)
			return false;
		proto = p[at];
		at += skip;
		len -= skip;
	}
	*seg = (struct segment){.at = at, .len = len, .proto = proto};
	return true;
}

static bool parse_tcp(const uint8_t *p, size_t n, struct segment seg, struct packet *ret)
{
	if (n < seg.at + 20 || seg.len < 20)
		return false;
	const uint8_t *h = p + seg.at;
	size_t hlen = (size_t)(h[12] >> 4) * 4;

	if (hlen < 20 || hlen > seg.len)
		return false;
	ret->seq = be32(h + 4);
	ret->ack = be32(h + 8);
	ret->flags = h[13];
	ret->win = be16(h + 14);
	ret->len = (uint32_t)(seg.len - hlen);
	seg.at += hlen;
	ret->data = p + (n < seg.at ? n : seg.at);
	ret->data_n = n < seg.at ? 0 : n - seg.at < ret->len ? n - seg.at : ret->len;
	return true;
}

static bool parse_udp(const uint8_t *p, size_t n, struct segment seg, struct packet *ret)
{
	if (n < seg.at + 8 || seg.len < 8)
		return false;
	ret->udp = true;
	ret->len = (uint32_t)(seg.len - 8);
	ret->data = p + seg.at + 8;
	ret->data_n = n - seg.at - 8 < ret->len ? n - seg.at - 8 : ret->len;
	return true;
}

bool packet_parse(const uint8_t *p, size_t n, size_t wire_len, struct packet *ret)
{
	struct segment seg;

	*ret = (struct packet){0};
	if (n < 14 || wire_len < n)
		return false;
	uint16_t type = be16(p + 12);

	if (!(type == 0x0800 ? parse_ip4(p, n, wire_len, ret, &seg) :
	      type == 0x86DD && parse_ip6(p, n, wire_len, &seg)))
		return false;
	if (!(seg.proto == 6 ? parse_tcp(p, n, seg, ret) : seg.proto == 17 && parse_udp(p, n, seg, ret)))
		return false;
	ret->sport = be16(p + seg.at);
	ret->dport = be16(p + seg.at + 2);
	return true;
}
