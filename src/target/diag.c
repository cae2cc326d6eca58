#include "target/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Two sockets: a dump is read in pieces, and its callback may look a single socket up meanwhile. */
struct diag {
	struct mnl_socket *look, *dump;
	uint32_t seq;
};

struct request {
	struct nlmsghdr nlh;
	struct inet_diag_req_v2 r;
};

enum { LISTEN = 10 };   /* TCP_LISTEN; linux/tcp.h and netinet/tcp.h do not go together */

static struct mnl_socket *open_one(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int saved = errno;

		mnl_socket_close(nl);
		errno = saved;
		return NULL;
	}
	return nl;
}

int diag_open(struct diag **ret, struct err *reterr)
{
	struct diag *diag = calloc(1, sizeof *diag);

	if (!diag)
		return err_set(reterr, ERR_HARNESS, ENOMEM, "sock_diag");
	diag->look = open_one();
	diag->dump = diag->look ? open_one() : NULL;
	if (!diag->dump) {
		int saved = errno;

		diag_close(diag);
		return err_set(reterr, ERR_HARNESS, saved,
			       "cannot open NETLINK_SOCK_DIAG (kernel module inet_diag, or a seccomp filter)");
	}
	*ret = diag;
	return 0;
}

void diag_close(struct diag *diag)
{
	if (!diag)
		return;
	if (diag->look)
		mnl_socket_close(diag->look);
	if (diag->dump)
		mnl_socket_close(diag->dump);
	free(diag);
}

static void row_of(const struct inet_diag_msg *m, struct diag_row *row)
{
	*row = (struct diag_row){
		.family = m->idiag_family, .state = m->idiag_state, .timer = m->idiag_timer,
		.sport = ntohs(m->id.idiag_sport), .dport = ntohs(m->id.idiag_dport),
		.rqueue = m->idiag_rqueue, .wqueue = m->idiag_wqueue,
		.inode = m->idiag_inode, .uid = m->idiag_uid,
	};
	memcpy(&row->src, m->id.idiag_src, sizeof row->src);
	memcpy(&row->dst, m->id.idiag_dst, sizeof row->dst);
}

static void request_init(struct request *rq, uint16_t flags, uint32_t seq)
{
	*rq = (struct request){
		.nlh = { .nlmsg_len = sizeof *rq, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = seq },
		.r = { .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u },
	};
	rq->r.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	rq->r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

/* Put an address where the kernel wants it. A v4-mapped one becomes plain v4: the kernel keeps the sockets of
 * both families in one table, and only the v4 lookup finds a dual-stack listener by a v4 address. */
static int put_addr(const struct sockaddr *sa, uint8_t *family, __be32 addr[4], __be16 *port)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		*family = AF_INET;
		addr[0] = in->sin_addr.s_addr;
		*port = in->sin_port;
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	*port = in6->sin6_port;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		*family = AF_INET;
		memcpy(addr, in6->sin6_addr.s6_addr + 12, 4);
	} else {
		*family = AF_INET6;
		memcpy(addr, &in6->sin6_addr, 16);
	}
	return 0;
}

/* The kernel answers inside send(), so recv never waits. An answer to an earlier request, whose recv was
 * interrupted, is recognised by its number and passed over. */
static int look_up(struct diag *diag, struct request *rq, struct diag_row *ret)
{
	int fd = mnl_socket_get_fd(diag->look);
	char buf[1024] __attribute__((aligned(8)));
	ssize_t n;

	do
		n = send(fd, rq, sizeof *rq, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (;;) {
		n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		const struct nlmsghdr *nlh = (const void *)buf;

		if (!mnl_nlmsg_ok(nlh, (int)n) || nlh->nlmsg_seq != rq->nlh.nlmsg_seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			return e->error == -ENOENT ? 0 : e->error ? e->error : -EPROTO;
		}
		if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    mnl_nlmsg_get_payload_len(nlh) < sizeof(struct inet_diag_msg))
			return -EPROTO;
		row_of(mnl_nlmsg_get_payload(nlh), ret);
		return 1;
	}
}

int diag_listener(struct diag *diag, const struct sockaddr *addr, struct diag_row *ret)
{
	struct request rq;

	request_init(&rq, 0, ++diag->seq);
	int r = put_addr(addr, &rq.r.sdiag_family, rq.r.id.idiag_src, &rq.r.id.idiag_sport);

	if (r < 0)
		return r;
	r = look_up(diag, &rq, ret);
	return r == 1 && ret->state != LISTEN ? 0 : r;
}

int diag_conn(struct diag *diag, const struct sockaddr *local, const struct sockaddr *peer,
	      struct diag_row *ret)
{
	struct request rq;
	uint8_t peer_family;

	request_init(&rq, 0, ++diag->seq);
	int r = put_addr(local, &rq.r.sdiag_family, rq.r.id.idiag_src, &rq.r.id.idiag_sport);

	if (!r)
		r = put_addr(peer, &peer_family, rq.r.id.idiag_dst, &rq.r.id.idiag_dport);
	if (!r && peer_family != rq.r.sdiag_family)
		r = -EAFNOSUPPORT;
	if (r < 0)
		return r;
	r = look_up(diag, &rq, ret);
	return r == 1 && ret->state == LISTEN ? 0 : r;
}

struct dump {
	bool (*fn)(const struct diag_row *, void *);
	void *arg;
	bool stopped;
};

/* One datagram of a dump. 1: more to come, 0: the end, -errno. Once fn has said stop the rest is read and dropped. */
static int dump_piece(struct dump *d, const void *buf, int len, uint32_t seq)
{
	for (const struct nlmsghdr *nlh = buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		struct diag_row row;

		if (nlh->nlmsg_seq != seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			return e->error;
		}
		if (d->stopped || mnl_nlmsg_get_payload_len(nlh) < sizeof(struct inet_diag_msg))
			continue;
		row_of(mnl_nlmsg_get_payload(nlh), &row);
		d->stopped = !d->fn(&row, d->arg);
	}
	return 1;
}

/* Send a request for a dump and read it to its end. */
static int dump_all(struct diag *diag, const struct nlmsghdr *request, struct dump *d)
{
	_cleanup_mem_ char *buf = malloc(32768);
	int fd = mnl_socket_get_fd(diag->dump), r = 1;

	if (!buf)
		return -ENOMEM;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	while (r > 0) {
		ssize_t n = recv(fd, buf, 32768, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = dump_piece(d, buf, (int)n, request->nlmsg_seq);
	}
	return r;
}

static int dump_family(struct diag *diag, uint8_t family, uint32_t states, uint16_t port, struct dump *d)
{
	struct request rq;

	request_init(&rq, NLM_F_DUMP, ++diag->seq);
	rq.r.sdiag_family = family;
	rq.r.idiag_states = states;
	rq.r.id.idiag_sport = htons(port);
	return dump_all(diag, &rq.nlh, d);
}

/* Each dump walks the kernel's whole tables. The older request walks them once for both families (AF_UNSPEC in
 * inet_diag_dump_compat(), net/ipv4/inet_diag.c), which the newer one cannot. */
static int dump_both(struct diag *diag, uint32_t states, uint16_t port, struct dump *d)
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req r;
	} rq = {
		.nlh = { .nlmsg_len = sizeof rq, .nlmsg_type = TCPDIAG_GETSOCK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = ++diag->seq },
		.r = { .idiag_family = AF_INET, .idiag_states = states, .id.idiag_sport = htons(port) },
	};

	return dump_all(diag, &rq.nlh, d);
}

int diag_dump(struct diag *diag, uint32_t states, uint16_t port,
	      bool (*fn)(const struct diag_row *, void *), void *arg)
{
	struct dump d = { .fn = fn, .arg = arg };
	int r = dump_both(diag, states, port, &d);

	if (r != -EINVAL && r != -EOPNOTSUPP && r != -ENOENT)
		return r;
	r = dump_family(diag, AF_INET, states, port, &d);

	return r || d.stopped ? r : dump_family(diag, AF_INET6, states, port, &d);
}
