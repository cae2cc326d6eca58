/* Hand-overs as the events tell them: what UPG-* share. */
#pragma once
#include "judge/say.h"

bool upg_applies(const struct scenario *sc, const struct facts *f);
/* A client of the time when generations changed; those of the last one's end are not UPG-*'s. */
bool upg_concerns(const struct facts *f, const struct conn_fact *c);
/* The HANDOVER that began last before t; 0: none. */
uint32_t upg_before(const struct facts *f, nsec_t t);
/* "hand-over 3 (SIGUSR1 to 12)" */
const char *upg_text(const struct facts *f, uint32_t handover);
/* When the configuration was made bad, NSEC_NEVER: it was not. What comes later is UPG-3's. */
nsec_t upg_spoiled(const struct facts *f);
/* The first event of this kind whose conn is the generation; 0: none. */
uint32_t upg_of(const struct facts *f, enum event_kind kind, int64_t generation);
/* An answer of this generation; 0: none. */
uint32_t upg_answer_of(const struct facts *f, int64_t generation);
/* Died the target with nobody to follow it? The event, 0: no. */
uint32_t upg_death(const struct facts *f);
/* A connection to which nobody owed more than it got, lost to an idle race, or lost: how. */
enum upg_fate { UPG_SERVED, UPG_RACE, UPG_REFUSED, UPG_RESET, UPG_CLOSED, UPG_CUT, UPG_ERROR, UPG_UNANSWERED, UPG_FATES };
extern const char *const upg_fates[UPG_FATES];
enum upg_fate upg_fate(const struct facts *f, const struct conn_fact *c, uint32_t *ret_event);
/* Connections lost in [from, to): the first is told and cited, the number returned by kind. */
uint32_t upg_losses(struct sum *t, nsec_t from, nsec_t to, uint32_t by_fate[UPG_FATES]);
