/* Ports for targets. In a namespace of our own a counter is enough: nobody else binds there. On the host the port is taken
 * from below the ephemeral range, so that no outgoing connection can get it, and held against other drainspec processes by the name
 * of an abstract socket for the scenario's life (a socket bound to the port itself would hold it against the target as well). */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/engine.h"
#include "run/env.h"
#include "target/iso.h"
#include "target/port.h"

#define FIRST_PORT 20000u
#define LAST_PORT  31999u

static bool port_free(unsigned number)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number)};
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd >= 0) {
		ok = bind(fd, (struct sockaddr *)&any6, sizeof any6) == 0;
		close(fd);
		return ok;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The name of an abstract socket belongs to the network namespace, as the port does: one holder among all users of the host, no file
 * left behind, and the kernel lets go of it with the process. */
static bool port_lock(struct world *w, unsigned number)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "drainspec-port-%u", number);
	int fd;

	if (w->got & ISO_NET)
		return true;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (w->port_locks[i] < 0) {
			w->port_locks[i] = fd;
			return true;
		}
	close(fd);
	return false;
}

void ports_release(struct run *r)
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		if (r->world->port_locks[i] >= 0)
			close(r->world->port_locks[i]);
		r->world->port_locks[i] = -1;
	}
}

static int taken(struct run *r, unsigned number)
{
	struct port_report rep;
	struct buf b = {0};

	if (port_examine_for(r->world->diag, (uint16_t)number, 0, &rep, NULL) < 0)
		return err_set(r->err, ERR_HARNESS, 0, "port %u is taken", number);
	port_report_text(&rep, &b);
	err_set(r->err, ERR_TARGET, 0, "the target's port is taken. %s", b.p ? b.p : "");
	port_report_free(&rep);
	buf_free(&b);
	return -1;
}

static int choose(struct run *r, struct port *p)
{
	struct world *w = r->world;

	if (p->spec->port) {
		p->number = (uint16_t)p->spec->port;
		return port_free(p->number) || w->got & ISO_NET ? 0 : taken(r, p->number);
	}
	for (unsigned tries = 0; tries < LAST_PORT - FIRST_PORT; tries++) {
		if (w->next_port < FIRST_PORT || w->next_port > LAST_PORT)
			w->next_port = w->next_port || w->got & ISO_NET ? FIRST_PORT :
				       FIRST_PORT + (unsigned)getpid() * 97 % (LAST_PORT - FIRST_PORT);
		unsigned number = w->next_port++;

		/* in this order: a lock is held to the end, so none is taken for a port that is of no use */
		if (port_free(number) && port_lock(w, number)) {
			p->number = (uint16_t)number;
			return 0;
		}
	}
	return err_set(r->err, ERR_HARNESS, 0, "no free port between %u and %u", FIRST_PORT, LAST_PORT);
}

/* A path is a name as it is given to the target: a relative one is in the target's folder, and ours would not find it. */
static int unix_port(struct run *r, struct port *p, const struct target_spec *t)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&p->addr;
	char *path = env_expand(r, p->spec->path);

	if (*path != '/')
		return err_at(r->err, t->at, "unix:%s is relative: say ${TMPDIR}/%s", path, path);
	if (strlen(path) >= sizeof un->sun_path)
		return err_at(r->err, t->at, "unix:%s is longer than %zu bytes", path, sizeof un->sun_path - 1);
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	p->path = path;
	return 0;
}

int ports_choose(struct run *r)
{
	static const struct port_spec single = {.name = ""};
	const struct target_spec *t = &r->sc->target;

	r->n_ports = t->no_port ? 0 : t->n_ports ? (unsigned)t->n_ports : 1;
	if (r->n_ports > MAX_PORTS)
		return err_at(r->err, t->at, "more than %d ports", MAX_PORTS);
	for (unsigned i = 0; i < r->n_ports; i++) {
		struct port *p = &r->ports[i];
		struct sockaddr_in *v4 = (struct sockaddr_in *)&p->addr;
		uint16_t number = p->number;

		memset(p, 0, sizeof *p);
		p->spec = t->n_ports ? &t->ports[i] : &single;
		if (p->spec->path && unix_port(r, p, t) < 0)
			return -1;
		/* on the host, rounds of one scenario keep their port: the capture knows it */
		if (number && !(r->world->got & ISO_NET))
			p->number = number;
		else if (choose(r, p) < 0)
			return -1;
		if (p->path)
			continue;
		*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(p->number),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	return 0;
}
