#include "target/diag_unix.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

enum { ESTABLISHED = 1, LISTEN = 10 };  /* a unix socket has the states of TCP */

struct request {
	struct nlmsghdr nlh;
	struct unix_diag_req r;
};

struct answer {
	const char *path;       /* listener: the name that is looked for */
	uint32_t file;          /* inode of what is at that name now (unix_diag has 32 bits of it), 0: nothing. A listener whose
				 * file was replaced keeps its name. */
	uint32_t inode;         /* of the row at hand */
	uint32_t peer;
	uint32_t rqueue, wqueue;
	uint8_t state;
	bool found, current;    /* current: no other row can be meant */
};

static void read_attributes(const struct nlmsghdr *nlh, struct answer *a)
{
	const struct unix_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct answer row = { .path = a->path, .file = a->file, .inode = m->udiag_ino, .state = m->udiag_state };
	bool named = !a->path, current = !a->path;

	mnl_attr_for_each(attr, nlh, sizeof *m) {
		const void *v = mnl_attr_get_payload(attr);
		size_t n = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == UNIX_DIAG_NAME) {
			named |= a->path && strlen(a->path) <= n && !memcmp(v, a->path, strlen(a->path)) &&
				 (n == strlen(a->path) || !((const char *)v)[strlen(a->path)]);
		} else if (mnl_attr_get_type(attr) == UNIX_DIAG_VFS && n >= sizeof(struct unix_diag_vfs)) {
			current |= a->file && a->file == ((const struct unix_diag_vfs *)v)->udiag_vfs_ino;
		} else if (mnl_attr_get_type(attr) == UNIX_DIAG_PEER && n >= 4) {
			memcpy(&row.peer, v, 4);
		} else if (mnl_attr_get_type(attr) == UNIX_DIAG_RQLEN && n >= sizeof(struct unix_diag_rqlen)) {
			memcpy(&row.rqueue, v, 4);
			memcpy(&row.wqueue, (const char *)v + 4, 4);
		}
	}
	if (!named || (a->found && !current))
		return;
	*a = row;
	a->found = true;
	a->current = current;
}

/* All datagrams of one answer. 0 or -errno; a->found says whether the row was there. */
static int exchange(struct request *rq, struct answer *a)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	char buf[16384] __attribute__((aligned(8)));
	bool dump = rq->nlh.nlmsg_flags & NLM_F_DUMP;
	int rc = nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 && mnl_socket_sendto(nl, rq, sizeof *rq) >= 0 ? 1 : -errno;

	while (rc > 0) {
		ssize_t got = mnl_socket_recvfrom(nl, buf, sizeof buf);
		int n = (int)got;

		if (got < 0) {
			rc = -errno;
			break;
		}
		for (const struct nlmsghdr *nlh = (const void *)buf; rc > 0 && mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n)) {
			if (nlh->nlmsg_type == NLMSG_ERROR)
				rc = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
			else if (nlh->nlmsg_type == NLMSG_DONE)
				rc = 0;
			else if (!a->current && mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct unix_diag_msg))
				read_attributes(nlh, a);
		}
		if (!dump && rc > 0)
			rc = 0;
	}
	if (nl)
		mnl_socket_close(nl);
	return rc;
}

static struct request request_for(uint16_t flags, uint32_t states, uint32_t inode, uint32_t show)
{
	return (struct request){
		.nlh = { .nlmsg_len = sizeof(struct request), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = 1 },
		.r = { .sdiag_family = AF_UNIX, .udiag_states = states, .udiag_ino = inode, .udiag_show = show,
		       .udiag_cookie = { ~0u, ~0u } },
	};
}

int diag_unix_listener(const char *path, struct diag_row *ret)
{
	struct request rq = request_for(NLM_F_DUMP, 1u << LISTEN, 0, UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN);
	struct stat st;
	struct answer a = { .path = path, .file = stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0 };
	int rc = exchange(&rq, &a);

	if (rc < 0 || !a.found)
		return rc < 0 ? rc : 0;
	*ret = (struct diag_row){ .family = AF_UNIX, .state = LISTEN, .inode = a.inode, .rqueue = a.rqueue, .wqueue = a.wqueue };
	return 1;
}

/* One row by its inode. 1, 0: it is gone, -errno. */
static int look_up(uint32_t inode, struct answer *a)
{
	struct request rq = request_for(0, ~0u, inode, UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN);
	int rc = exchange(&rq, a);

	return rc == -ENOENT ? 0 : rc < 0 ? rc : a->found;
}

int diag_unix_peer(int fd, struct diag_row *ret)
{
	struct answer ours = { 0 }, theirs = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	int rc = look_up((uint32_t)st.st_ino, &ours);

	if (rc <= 0)
		return rc;
	*ret = (struct diag_row){ .family = AF_UNIX, .state = ours.state, .inode = ours.peer, .wqueue = ours.rqueue };
	if (!ours.peer) {       /* not accepted yet; or closed, and then our end has been told */
		struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

		ret->rqueue = ours.wqueue;
		return poll(&pfd, 1, 0) == 1 && pfd.revents & (POLLHUP | POLLRDHUP) ? 0 : ours.state == ESTABLISHED;
	}
	rc = look_up(ours.peer, &theirs);
	ret->rqueue = theirs.rqueue;
	return rc;
}
