/* The address-in-use autopsy: who holds a TCP port, in which state, would a bind succeed, and the one-line fix. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "target/diag.h"

enum holder_kind {
	HOLDER_LISTENER = 1,    /* a live process listens */
	HOLDER_INHERITED,       /* a child holds a listening fd that it does not accept from: CLOEXEC was missing */
	HOLDER_TWIN,            /* a SO_REUSEPORT sibling listens as well */
	HOLDER_BOUND,           /* bound, neither listening nor connected */
	HOLDER_OUTGOING,        /* an outgoing connection got it as its ephemeral port */
	HOLDER_CONNECTION,      /* accepted connections of a server that still runs or was orphaned */
	HOLDER_TIME_WAIT,       /* closed by the server side; only SO_REUSEADDR is missing */
	HOLDER_SELF,            /* the asking process itself (two Listen on one address) */
	HOLDER_UNKNOWN,         /* in use, but by nobody that we may see */
};

struct port_holder {
	enum holder_kind kind;
	pid_t pid;              /* 0: none or not visible */
	char comm[32];
	int fd;                 /* -1: unknown */
	uint32_t inode;
	uint8_t state;          /* TCP state */
	uint32_t count;         /* sockets of this kind (TIME_WAIT rows) */
	char text[256];         /* one sentence: who and how */
	char fix[256];          /* one line: what to do */
};

struct port_report {
	uint16_t port;
	int errno_plain, errno_reuse;   /* bind+listen on 0.0.0.0 and [::]: 0 = would succeed */
	struct port_holder *v;          /* malloc'ed */
	size_t n;
};

/* Look at port in this network namespace (diag must be of the same one); all processes in /proc are searched. 0 or -1.
 * The probe really binds and listens, since nothing less shows EADDRINUSE, four times for some 10 us. A client that
 * connects in such a moment is not answered at all (its SYN is dropped) and tries again by itself one second later.
 * asker: who wants the port; its own sockets are HOLDER_SELF. 0: nobody's are. */
int port_examine_for(struct diag *diag, uint16_t port, pid_t asker, struct port_report *ret, struct err *reterr);
void port_report_free(struct port_report *r);
/* As a person reads it (drainspec port N), and as JSON. */
void port_report_text(const struct port_report *r, struct buf *out);
void port_report_json(const struct port_report *r, struct buf *out);
const char *holder_kind_name(enum holder_kind kind);
