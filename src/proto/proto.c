#include "proto/proto.h"

#include <string.h>

#define X(name) extern const struct proto proto_##name;
#include "proto/protocols.def"
#undef X

const struct proto *const protos[] = {
#define X(name) &proto_##name,
#include "proto/protocols.def"
#undef X
};

static const char *const tls_names[] = {
#define X(name) "tls+" #name,
#include "proto/protocols.def"
#undef X
};

const size_t n_protos = sizeof protos / sizeof *protos;

const struct proto *proto_by_name(const char *name)
{
	for (size_t i = 0; name && i < n_protos; i++)
		if (!strcmp(protos[i]->name, name))
			return protos[i];
	return NULL;
}

const char *proto_in_tls(const struct proto *proto)
{
	size_t i = 0;

	while (protos[i] != proto)
		i++;
	return tls_names[i];
}

const struct proto *proto_find(const char *name, bool *ret_tls)
{
	*ret_tls = name && !strncmp(name, "tls+", 4);
	return proto_by_name(*ret_tls ? name + 4 : name);
}
