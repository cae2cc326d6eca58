/* CON-7 of HTTP/2: GOAWAY, in two steps, so that what crosses the first on the wire is still taken (RFC 9113 6.8). */
#pragma once
#include "judge/say.h"

/* A connection of HTTP/2 that stood when the signal came, and that the server closed. Its carrier alone. */
bool h2_closed(const struct facts *f, const struct conn_fact *c);
/* Was it told? One violation more of t, or one good one. */
void h2_goodbye(struct sum *t, const struct conn_fact *c);
