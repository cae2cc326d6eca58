/* Who speaks first? SMTP, FTP, SSH servers say a line before they are asked; it is no answer. The first connection of a run says
 * nothing until the server has spoken or, having accepted it, waits for us: the kernel shows every thread of the target asleep. From
 * then on it is known: clients of a server that speaks first wait for its greeting, and ask when all of the target waits again. */
#include <ctype.h>
#include <errno.h>

#include "run/engine.h"

#define LOOK_EVERY (100 * NSEC_PER_USEC)

/* Must this client hear before it asks? While the target is stopped nobody can greet. */
bool greeting_awaited(struct run *r, const struct conn *c)
{
	if (!c->client->proto->may_greet || r->speaks_first == SPEAKS_SECOND)
		return false;
	return r->speaks_first == SPEAKS_FIRST || (!r->stopped && c->client->spec->phase != PHASE_BACKLOG);
}

void greeting_await(struct run *r, struct conn *c)
{
	c->hearing = true;
	c->next_hearing = r->hearing;
	r->hearing = c;
	r->t_greet = 0;
}

/* Bytes that nobody asked for. */
void greeting_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	char line[80];
	size_t k = 0;

	for (; k < n && k < sizeof line - 1 && p[k] != '\n' && p[k] != '\r'; k++)
		line[k] = isprint(p[k]) ? (char)p[k] : '.';
	line[k] = '\0';
	c->t_read = clock_now();
	if (!c->greeted) {
		events_add(r->ev, EV_GREETING, c->index, (int64_t)n, 0, line);
		r->t_progress = c->t_read;
	}
	c->greeted = true;
	r->speaks_first = SPEAKS_FIRST;
}

/* Has the server said all that it says unasked? */
static bool heard_all(struct run *r, struct conn *c)
{
	struct diag_row row = {0};

	if (r->speaks_first == SPEAKS_SECOND)
		return true;
	if (!c->greeted && (r->speaks_first == SPEAKS_FIRST || diag_of(r, c, &row) <= 0 || !row.inode))
		return false;
	if (!target_waits(r, &c->t_read))
		return false;
	if (!c->greeted)
		r->speaks_first = SPEAKS_SECOND;
	return true;
}

void greetings_look(struct run *r)
{
	struct conn **at = &r->hearing;
	nsec_t now = clock_now();

	if (!r->hearing || now < r->t_greet)
		return;
	r->t_greet = now + LOOK_EVERY;
	while (*at) {
		struct conn *c = *at;

		if (c->state != CONN_OVER && !heard_all(r, c)) {
			at = &c->next_hearing;
			continue;
		}
		*at = c->next_hearing;
		c->hearing = false;
		if (c->state != CONN_OVER)
			conn_speak(r, c);
	}
}
