#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "target/diag.h"

const char *diag_addr_text(const struct diag_row *row, bool peer, char *buf)
{
	const struct in6_addr *a = peer ? &row->dst : &row->src;
	unsigned port = peer ? row->dport : row->sport;
	char host[INET6_ADDRSTRLEN];

	if (row->family == AF_INET || IN6_IS_ADDR_V4MAPPED(a)) {
		inet_ntop(AF_INET, row->family == AF_INET ? a->s6_addr : a->s6_addr + 12, host, sizeof host);
		snprintf(buf, DIAG_ADDR_TEXT, "%s:%u", host, port);
	} else {
		inet_ntop(AF_INET6, a, host, sizeof host);
		snprintf(buf, DIAG_ADDR_TEXT, "[%s]:%u", host, port);
	}
	return buf;
}
