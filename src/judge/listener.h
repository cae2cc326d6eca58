/* A port and the connects to it: how long it was open, who came when it was closed, and which check answers for that. */
#pragma once
#include "judge/facts_read.h"

/* LSN-1's T. */
nsec_t listener_within(const struct scenario *sc);
/* The listener that c was meant for; NULL: not known. */
const struct port_fact *port_of(const struct facts *f, const struct conn_fact *c);
/* Did c come when its port's listener was gone, and before the harness itself started the command again? Then the event that
 * says so, else 0. */
uint32_t came_after(const struct facts *f, const struct conn_fact *c);
/* An earlier connect to the same port was refused. */
bool refused_before(const struct facts *f, const struct conn_fact *c);
/* The check that answers for c having been connected at all after the signal: its listener was open too long (LSN-1), was
 * another's (LSN-2) or had come back (CON-9). NULL: it was still open, and rightly so. */
const char *listener_charged(const struct facts *f, const struct conn_fact *c);
/* How many were waiting to be accepted when the signal came, as LISTEN's Recv-Q said. Cites it. */
int64_t listener_queued(const struct facts *f, const struct round_fact *r, struct finding *ret);
/* It came while the server was stopping, 100 ms after the signal or later, found the port open, and asked for something. (Of a
 * burst some always come in the instant between signal and close: only clients that were to come late count.) */
bool came_late(const struct facts *f, const struct conn_fact *c);
