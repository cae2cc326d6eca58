/* Protocol buffers, as little of them as a request needs: a compiled descriptor set (protoc -o) is read, and JSON becomes the
 * bytes of a message. By hand: this is all that is needed of them, and the input is a user's file. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum pb_type {          /* google/protobuf/descriptor.proto, FieldDescriptorProto.Type */
	PB_DOUBLE = 1, PB_FLOAT, PB_INT64, PB_UINT64, PB_INT32, PB_FIXED64, PB_FIXED32, PB_BOOL, PB_STRING, PB_GROUP,
	PB_MESSAGE, PB_BYTES, PB_UINT32, PB_ENUM, PB_SFIXED32, PB_SFIXED64, PB_SINT32, PB_SINT64,
};

struct pb_field {
	const char *name, *json_name, *type_name;       /* type_name: of messages and enums, without the leading dot */
	uint32_t number;
	enum pb_type type;
	uint32_t oneof;                 /* 1 + which of the message's; 0: none */
	bool repeated, required;
};

struct pb_message {
	const char *name;               /* with its package: helloworld.HelloRequest */
	struct pb_field *fields;
	size_t n_fields;
	bool map_entry;
	struct pb_message *next;
};

struct pb_value {
	const char *name;
	int32_t number;
};

struct pb_enum {
	const char *name;
	struct pb_value *values;
	size_t n_values;
	struct pb_enum *next;
};

struct pb_method {
	const char *name;               /* package.Service/Method */
	const char *input, *output;
	bool client_streams, server_streams;
	struct pb_method *next;
};

struct pb_set {
	struct pb_message *messages;
	struct pb_enum *enums;
	struct pb_method *methods;
};

/* A FileDescriptorSet. All is copied into arena. 0, or -1: no such thing. */
int pb_read_set(const uint8_t *p, size_t n, struct arena *arena, struct pb_set *ret, struct err *reterr);
const struct pb_message *pb_message(const struct pb_set *set, const char *name);
const struct pb_enum *pb_enum(const struct pb_set *set, const char *name);
const struct pb_method *pb_method(const struct pb_set *set, const char *name);

/* One JSON value at text as a message of that type (the JSON mapping of protocol buffers), appended to out; in *ret_used how much of
 * text it was. 0 or -1. */
int pb_from_json(const struct pb_set *set, const struct pb_message *m, const char *text, size_t *ret_used, struct buf *out,
		 struct err *reterr);

/* The wire's own format. */
void pb_varint(struct buf *out, uint64_t v);
