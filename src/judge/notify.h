/* TLS: whether the end of a stream was told, by close_notify (notify.c). */
#pragma once
#include "judge/say.h"

/* The server's FIN came without close_notify before it: a cut looks the same (RFC 8446, 6.1). */
bool end_untold(const struct facts *f, const struct conn_fact *c);
/* The same, and only the end of the stream would have ended the answer: nobody can say whether it is whole. */
bool whole_unknown(const struct facts *f, const struct conn_fact *c);
/* Has the server said close_notify to anybody in this run? Then it knows how. */
bool server_notifies(const struct facts *f);

/* CON-7's part. */
bool notify_applies(const struct facts *f);
void judge_notify(struct sum *t);
