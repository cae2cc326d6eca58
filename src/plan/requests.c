/* Which protocol a client speaks, what it asks for, and which flag is missing if that is not known. */
#include <string.h>
#include <strings.h>

#include "plan/parts.h"

/* The form of a gRPC call: 'grpc package.Service/Method MESSAGE'. */
static bool is_call(const char *request)
{
	return request && !strncmp(request, "grpc ", 5);
}

/* A call has no path of its own choice: its message says it, by a field with the text "gate". */
bool plan_gated(const char *request)
{
	const char *path = request ? strchr(request, ' ') : NULL;

	return path && (is_call(request) ? strstr(path, "\"gate\"") != NULL : !strncmp(path + 1, "/gate", 5));
}

/* Protocols whose requests and answers have a known form, and what stands for a request that nobody gave. */
struct known {
	const char *protocol;
	const char *quick;      /* answered at once, changes nothing */
	const char *gate;       /* what --slow gate asks of the target's handler */
};

static const struct known *known_protocol(const char *protocol)
{
	static const struct known known[] = {
		{"http", "GET /", "GET /gate"},
		/* the one call that every gRPC server answers, were it by UNIMPLEMENTED */
		{"grpc", "grpc grpc.health.v1.Health/Check 0x", "GET /gate"},
		{"resp", "PING", "GATE /gate $nonce"},
		{"websocket", "GET /", "GET /gate"},
	};

	if (protocol && !strncmp(protocol, "tls+", 4))
		protocol += 4;
	for (size_t i = 0; protocol && i < sizeof known / sizeof *known; i++)
		if (!strncmp(protocol, known[i].protocol, strlen(known[i].protocol)))
			return &known[i];
	return protocol ? NULL : known;         /* not known yet: HTTP is what most speak */
}

static const char *without_tls(const char *protocol)
{
	return strncmp(protocol, "tls+", 4) ? protocol : protocol + 4;
}

static bool is_websocket(const char *protocol)
{
	return protocol && !strcmp(without_tls(protocol), "websocket");
}

static bool is_http2(const char *protocol)
{
	protocol = without_tls(protocol);
	return !strcmp(protocol, "http2") || !strcmp(protocol, "grpc");
}

/* A request of the settings, or what stands for it. NULL: there is none. */
static const char *request_of(struct builder *b, enum need need)
{
	const struct settings *st = b->st;
	bool gate = st->slow && !strcmp(st->slow, "gate");
	const struct known *known = known_protocol(b->plan->protocol);

	switch (need) {
	case NEED_SLOW:
		return !gate ? st->slow : known ? known->gate : "GET /gate";
	case NEED_STREAM:
		return st->stream;
	case NEED_BIG:
		return st->big;
	case NEED_UPLOAD:
		/* any call can be sent by halves, and a message on any WebSocket */
		if (!st->upload && is_websocket(b->plan->protocol))
			return request_of(b, NEED_UPGRADE);
		return !st->upload && is_call(st->slow) ? st->slow : st->upload;
	case NEED_UPGRADE:
		return !st->upgrade && is_websocket(b->plan->protocol) ? b->plan->quick : st->upgrade;
	case NEED_REQUEST:
		return b->plan->quick;
	case NEED_KEEPALIVE:
	case NEED_HTTP:
	case NEED_HTTP2:
	case NEED_PORT:
	case NEED_GATE:
	case NEED_TLS:
		break;
	}
	return NULL;
}

static void skip_for(struct builder *b, enum need need)
{
	switch (need) {
	case NEED_SLOW:
		plan_skip(b, "no slow request: give --slow 'GET /path' or --slow gate");
		break;
	case NEED_STREAM:
		plan_skip(b, "no streamed answer: give --stream 'GET /path'");
		break;
	case NEED_BIG:
		plan_skip(b, "no big answer: give --big 'GET /path' (some MiB)");
		break;
	case NEED_UPLOAD:
		plan_skip(b, "no request with a body: give --upload 'POST /path'");
		break;
	case NEED_UPGRADE:
		plan_skip(b, "no WebSocket: give --upgrade 'GET /path'");
		break;
	case NEED_REQUEST:
		plan_skip(b, "no request: give --quick 'BYTES', or --protocol http1");
		break;
	case NEED_GATE:
		plan_skip(b, "the time of an answer must be ours: give --slow gate");
		break;
	case NEED_KEEPALIVE:
		plan_skip(b, "the server closes after every answer: no keep-alive");
		break;
	case NEED_HTTP:
		plan_skip(b, "not an HTTP server%s%s%s", b->plan->protocol ? " (" : "",
			  b->plan->protocol ? b->plan->protocol : "", b->plan->protocol ? ")" : "");
		break;
	case NEED_TLS:
		plan_skip(b, "not inside TLS%s%s%s", b->plan->protocol ? " (" : "", b->plan->protocol ? b->plan->protocol : "",
			  b->plan->protocol ? ")" : "");
		break;
	case NEED_HTTP2:
		plan_skip(b, "HTTP/2 alone has it, this is %s", b->plan->protocol ? b->plan->protocol : "not said");
		break;
	case NEED_PORT:
		plan_skip(b, "the target listens nowhere (port: none)");
		break;
	}
}

/* What a phase asks for when its client does not say; 0: nothing. */
static enum need need_of_phase(enum phase phase)
{
	switch (phase) {
	case PHASE_WAITING:
	case PHASE_HALF_CLOSED:
	case PHASE_PIPELINED:
	case PHASE_TRANSACTION:
		return NEED_SLOW;
	case PHASE_STREAMING:
		return NEED_STREAM;
	case PHASE_SLOW_READER:
		return NEED_BIG;
	case PHASE_HALF_BODY:
		return NEED_UPLOAD;
	case PHASE_IDLE:
	case PHASE_GOAWAY_RACE:
	case PHASE_HALF_HEADER:
	case PHASE_BACKLOG:
	case PHASE_LOOP:
	case PHASE_LATE:
	case PHASE_TLS_HANDSHAKE:
		return NEED_REQUEST;
	case PHASE_UPGRADED:
		return NEED_UPGRADE;
	case PHASE_CONNECTED:
	case PHASE_PING_ONLY:
	case PHASE_N:
		break;
	}
	return 0;
}

static enum need need_of_variable(const char *request)
{
	static const struct {
		const char *name;
		enum need need;
	} variables[] = {
		{"$slow", NEED_SLOW}, {"$stream", NEED_STREAM}, {"$big", NEED_BIG}, {"$upload", NEED_UPLOAD},
		{"$quick", NEED_REQUEST}, {"$upgrade", NEED_UPGRADE},
	};

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		if (!strcmp(request, variables[i].name))
			return variables[i].need;
	return 0;
}

/* Phases in which the answer is still to come when the signal does. */
static bool awaits_answer(enum phase phase)
{
	return phase == PHASE_WAITING || phase == PHASE_STREAMING || phase == PHASE_HALF_CLOSED ||
	       phase == PHASE_PIPELINED;
}

/* Those of the settings, behind the client's own, which win (RFC 9110, 5.1: names without regard to case). */
static void add_headers(struct builder *b, struct client_spec *c)
{
	struct kv *v = arena_array(b->arena, struct kv, c->n_headers + b->plan->n_headers + 1);
	size_t n = c->n_headers;

	if (n)
		memcpy(v, c->headers, n * sizeof *v);
	for (size_t i = 0; i < b->plan->n_headers; i++) {
		size_t same = 0;

		while (same < c->n_headers && strcasecmp(c->headers[same].key, b->plan->headers[i].key))
			same++;
		if (same == c->n_headers)
			v[n++] = b->plan->headers[i];
	}
	c->headers = v;
	c->n_headers = n;
}


static void resolve_client(struct builder *b, struct client_spec *c)
{
	const struct target_spec *t = &b->sc->target;
	enum need need = c->request ? need_of_variable(c->request) : need_of_phase(c->phase);

	for (size_t i = 0; i < t->n_ports && !c->protocol; i++)
		if (!c->port || !strcmp(c->port, t->ports[i].name)) {
			c->protocol = t->ports[i].protocol;
			break;
		}
	if (!c->protocol)
		c->protocol = b->plan->protocol;
	/* a WebSocket goes through the TLS that the rest of the target speaks */
	if (c->protocol && !strcmp(c->protocol, "websocket") && b->plan->protocol && !strncmp(b->plan->protocol, "tls+", 4))
		c->protocol = "tls+websocket";
	/* an idle WebSocket is one that is open */
	if (is_websocket(c->protocol) && c->phase == PHASE_IDLE) {
		c->phase = PHASE_UPGRADED;
		need = need ? NEED_UPGRADE : 0;
	}
	/* `none`: it only connects, and what the server says unasked is the answer */
	if (c->request && !strcmp(c->request, "none"))
		need = 0;
	if (need) {
		/* a late client proves something by connecting alone */
		bool optional = !c->request && c->phase == PHASE_LATE;

		c->request = arena_strdup(b->arena, request_of(b, need));
		if (!c->request && !optional)
			skip_for(b, need);
	}
	if (!c->answer)
		c->answer = b->plan->answer;
	if (!c->descriptors)
		c->descriptors = arena_strdup(b->arena, b->st->descriptors);
	add_headers(b, c);
	if (is_call(c->request) && (!c->protocol || !strcmp(c->protocol, "http2")))
		c->protocol = "grpc";
	b->plan->uses_gate |= plan_gated(c->request);
	b->plan->timed |= awaits_answer(c->phase) && c->request && !plan_gated(c->request);
}

/* Needs that no client's request shows. */
static void other_needs(struct builder *b)
{
	static const enum need order[] = {NEED_PORT, NEED_HTTP, NEED_HTTP2, NEED_TLS, NEED_KEEPALIVE, NEED_GATE, NEED_SLOW, NEED_STREAM,
					  NEED_BIG, NEED_UPLOAD, NEED_UPGRADE, NEED_REQUEST};
	bool gate = b->st->slow && (!strcmp(b->st->slow, "gate") || (is_call(b->st->slow) && plan_gated(b->st->slow)));

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		bool missing = false;

		if (!(b->sc->needs & order[i]))
			continue;
		if (order[i] == NEED_PORT)
			missing = b->sc->target.no_port;
		else if (order[i] == NEED_HTTP)
			missing = b->http_known && !b->http;
		else if (order[i] == NEED_TLS)
			missing = !b->plan->protocol || strncmp(b->plan->protocol, "tls+", 4);
		else if (order[i] == NEED_HTTP2)
			missing = b->http_known && !is_http2(b->plan->protocol);
		else if (order[i] == NEED_KEEPALIVE)
			/* what cannot be shown on a WebSocket the phases say */
			missing = b->probe->done && !b->probe->keepalive && !b->own_target &&
				  !is_websocket(b->plan->protocol);
		else if (order[i] == NEED_GATE)
			missing = !gate;
		else
			missing = !request_of(b, order[i]);
		if (missing)
			skip_for(b, order[i]);
	}
	/* the requests stand in the clients now: whoever runs the resolved scenario again need not give them */
	if (!b->plan->skip_reason)
		b->sc->needs &= NEED_PORT | NEED_HTTP | NEED_KEEPALIVE;
}

/* The protocol of clients that do not say one: flag, then what the probe saw. Both are about the settings' target, not
 * about a scenario's own. */
static void resolve_protocol(struct builder *b)
{
	struct plan *p = b->plan;

	if (!b->own_target && b->st->protocol)
		p->protocol = arena_strdup(b->arena, b->st->protocol);
	else if (!b->own_target && b->probe->done)
		p->protocol = arena_strdup(b->arena, b->probe->protocol);
	for (size_t i = 0; i < b->sc->target.n_ports && !p->protocol; i++)
		p->protocol = b->sc->target.ports[i].protocol;
	for (size_t i = 0; i < b->sc->n_clients && !p->protocol; i++)
		p->protocol = b->sc->clients[i].protocol;
	/* what is spoken on HTTP/2 the requests say */
	if (p->protocol && !strcmp(p->protocol, "http2") && !b->own_target && is_call(b->st->slow))
		p->protocol = "grpc";
	b->http_known = p->protocol != NULL;
	b->http = p->protocol && known_protocol(p->protocol);
	p->quick = b->own_target ? NULL : arena_strdup(b->arena, b->st->quick);
	p->descriptors = arena_strdup(b->arena, b->st->descriptors);
	p->n_headers = b->own_target ? 0 : b->st->n_headers;
	p->headers = plan_copy_kv(b->arena, b->st->headers, p->n_headers);
	p->answer = b->own_target ? NULL : arena_strdup(b->arena, b->st->answer);
	if (!p->quick && !b->own_target && is_websocket(p->protocol))
		p->quick = arena_strdup(b->arena, b->st->upgrade);
	if (!p->quick && known_protocol(p->protocol))
		p->quick = known_protocol(p->protocol)->quick;
}

void plan_requests(struct builder *b)
{
	if (b->sc->target.no_port && b->sc->n_clients)
		skip_for(b, NEED_PORT);
	resolve_protocol(b);
	other_needs(b);
	for (size_t i = 0; i < b->sc->n_clients; i++)
		resolve_client(b, &b->sc->clients[i]);
}
