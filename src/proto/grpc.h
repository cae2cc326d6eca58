/* gRPC requests as they are written: 'grpc package.Service/Method MESSAGE...'. */
#pragma once
#include "proto/pb.h"

/* Is this the form of one? */
bool grpc_is(const char *line);
/* The messages of the request line, framed, appended to out: each JSON (set says how, NULL: there is none) or 0xBYTES; none is one empty
 * message. *ret_client_streams: the set says that the method takes a stream. 0 or -1. */
int grpc_messages(const char *line, const struct pb_set *set, struct buf *out, bool *ret_client_streams, struct err *reterr);
