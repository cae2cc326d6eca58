/* An answer that came to nothing: by contract, or whose? */
#pragma once
#include "judge/facts_read.h"

/* After a second signal whose policy lets it cut. */
bool by_contract(const struct facts *f, const struct conn_fact *c, nsec_t t);
/* The policy says that a second signal changes nothing, and after it this was lost: SIG-3 says so. */
bool second_broke_it(const struct facts *f, const struct conn_fact *c, nsec_t t);
/* Which check answers for it: "CON-1" unless another is more specific. */
const char *loss_of(const struct facts *f, const struct conn_fact *c);
