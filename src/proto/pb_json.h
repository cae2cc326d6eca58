/* Private to pb_*.c. */
#pragma once
#include <jansson.h>

#include "proto/pb.h"

struct pb_json {
	const struct pb_set *set;
	struct err *reterr;
};

void pb_key(struct buf *out, uint32_t number, unsigned wire);
void pb_bytes(struct buf *out, uint32_t number, const char *p, size_t n);
int pb_wrong(const struct pb_json *j, const char *name, const char *want, const json_t *v);
/* google.protobuf.Duration and Timestamp are texts in JSON. false: m is neither, or v is an object. */
bool pb_well_known(const struct pb_json *j, const struct pb_message *m, const json_t *v, struct buf *out, int *ret);
