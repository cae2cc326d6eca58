/* The messages of a gRPC request as they are written, to bytes. */
#include "proto/grpc.h"

#include <string.h>

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

bool grpc_is(const char *line)
{
	return line && !strncmp(line, "grpc ", 5);
}

static int hex_bytes(const char **s, struct buf *out, struct err *reterr)
{
	const char *p = *s + 2;

	for (; hex(p[0]) >= 0 && hex(p[1]) >= 0; p += 2)
		buf_addc(out, (char)(hex(p[0]) << 4 | hex(p[1])));
	if (*p && *p != ' ')
		return err_set(reterr, ERR_USAGE, 0, "'%.40s' in a gRPC message: after 0x come pairs of hexadecimal digits", p);
	*s = p;
	return 0;
}

static int one_message(const char **s, const struct pb_set *set, const struct pb_method *m, struct buf *out, struct err *reterr)
{
	struct buf part = {0};
	size_t used = 0;
	int rc;

	if (!strncmp(*s, "0x", 2)) {
		rc = hex_bytes(s, &part, reterr);
	} else if (!set || !m) {
		rc = err_set(reterr, ERR_USAGE, 0, "a message as JSON needs %s: give --proto FILE.desc (protoc --include_imports "
			     "-o FILE.desc FILE.proto), or the message as 0xBYTES", set ? "a method that the descriptor set has" :
			     "its descriptors");
	} else if (!pb_message(set, m->input)) {
		rc = err_set(reterr, ERR_USAGE, 0, "the descriptor set has no message %.200s: make it with --include_imports", m->input);
	} else {
		rc = pb_from_json(set, pb_message(set, m->input), *s, &used, &part, reterr);
		*s += used;
	}
	if (!rc) {
		for (int shift = 32; shift >= 0; shift -= 8)    /* not compressed, then four bytes of length */
			buf_addc(out, (char)(shift == 32 ? 0 : part.n >> shift));
		buf_add(out, part.p ? part.p : "", part.n);
	}
	buf_free(&part);
	return rc;
}

int grpc_messages(const char *line, const struct pb_set *set, struct buf *out, bool *ret_client_streams, struct err *reterr)
{
	const char *s = grpc_is(line) ? line + 5 : "";
	size_t n = strcspn(s, " ");
	const struct pb_method *m = NULL;
	char name[512];

	*ret_client_streams = false;
	if (!n || n >= sizeof name)
		return err_set(reterr, ERR_USAGE, 0, "'%.100s' is no gRPC call: write grpc package.Service/Method MESSAGE",
			       line ? line : "");
	memcpy(name, s, n);
	name[n] = '\0';
	if (set) {
		m = pb_method(set, name[0] == '/' ? name + 1 : name);
		*ret_client_streams = m && m->client_streams;
	}
	s += n + strspn(s + n, " ");
	if (!*s)
		buf_add(out, "\0\0\0\0", 5);    /* one that is empty */
	while (*s) {
		if (one_message(&s, set, m, out, reterr) < 0)
			return -1;
		s += strspn(s, " ");
	}
	return 0;
}
