/* The wire tracker without a wire: sequence numbers that wrap, packets lost or out of order, frames cut anywhere. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "run/wire.h"

#define CLIENT  0x0100007f
#define CPORT   40000
#define SPORT   8080

static struct wire w;
static struct events ev;
static struct arena *arena;
static uint32_t frame;

static void setup(void)
{
	const uint16_t port = SPORT;

	arena = arena_new();
	events_init(&ev, arena);
	wire_begin(&w, &port, 1, &ev);
	wire_expect(&w, 1, CLIENT, CPORT, SPORT);
	frame = 0;
}

static void teardown(void)
{
	wire_free(&w);
	events_close(&ev);
	arena_free(arena);
}

/* The frame's number serves as its time. */
static void from(bool server, unsigned flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct packet pk = {
		.src = CLIENT, .dst = CLIENT, .seq = seq, .ack = ack, .len = len, .flags = (uint8_t)flags, .win = 100,
		.sport = server ? SPORT : CPORT, .dport = server ? CPORT : SPORT,
	};

	frame++;
	wire_packet(&w, &pk, frame, frame);
}

#define C(...) from(false, __VA_ARGS__)
#define S(...) from(true, __VA_ARGS__)

static void open_at(uint32_t c, uint32_t s)
{
	C(PK_SYN, c, 0, 0);
	S(PK_SYN | PK_ACK, s, c + 1, 0);
	C(PK_ACK, c + 1, s + 1, 0);
}

static const struct event *last(enum event_kind kind)
{
	for (size_t i = ev.n; i; i--)
		if (ev.v[i - 1].kind == kind)
			return &ev.v[i - 1];
	return NULL;
}

static void expect(enum event_kind kind, int64_t a, int64_t b, uint32_t at)
{
	const struct event *e = last(kind);

	ck_assert_msg(e != NULL, "no %s", event_rows[kind].name);
	ck_assert_msg(e->conn == 1 && e->a == a && e->b == b && e->frame == at, "%s: %ld %ld in frame %u",
		      event_rows[kind].name, (long)e->a, (long)e->b, e->frame);
}

START_TEST(numbers_wrap)
{
	open_at(0xFFFFFFF0, 0xFFFFFFFF);
	C(PK_ACK, 0xFFFFFFF1, 0, 0x20);         /* across zero */
	S(PK_ACK, 0, 0x11, 0);
	S(PK_ACK, 0, 0x11, 5);
	S(PK_ACK, 5, 0x11, 5);
	C(PK_ACK, 0x11, 10, 0);
	S(PK_RST | PK_ACK, 10, 0x11, 0);
	wire_end(&w, 99);
	expect(EV_W_ACKED, 0x20, 0, 5);
	expect(EV_W_FIRST, 5, 0, 6);
	expect(EV_W_LAST, 10, 0, 7);
	ck_assert_int_eq(last(EV_W_LAST)->t, 7);
	expect(EV_W_RST_S, 10, 10, 9);
}
END_TEST

START_TEST(more_than_4_gib)
{
	const uint32_t step = 1u << 30;
	uint32_t s = 1001, c = 1;

	open_at(0, 1000);
	for (int i = 0; i < 6; i++) {
		S(PK_ACK, s, c, step);
		s += step;
		C(PK_ACK, c, s, step);
		c += step;
		S(PK_ACK, s, c, 0);
	}
	S(PK_RST | PK_ACK, s, c, 0);
	C(PK_FIN | PK_ACK, c, s, 0);
	wire_mark(&w, 50);
	ck_assert_ptr_null(last(EV_W_ACKED));   /* it is over */
	wire_end(&w, 99);
	expect(EV_W_RST_S, INT64_C(6) << 30, INT64_C(6) << 30, 22);
	expect(EV_W_FIN_C, INT64_C(6) << 30, 0, 23);
	expect(EV_W_ACKED, INT64_C(6) << 30, 0, 21);
}
END_TEST

START_TEST(retransmission_and_probes)
{
	open_at(100, 200);
	C(PK_ACK, 101, 201, 50);
	C(PK_ACK, 101, 201, 50);
	S(PK_ACK, 201, 151, 10);
	S(PK_ACK, 201, 151, 10);
	C(PK_ACK, 151, 211, 0);
	S(PK_ACK, 210, 151, 1);                 /* keep-alive probe with a byte of garbage */
	S(PK_FIN | PK_ACK, 211, 151, 4);
	S(PK_FIN | PK_ACK, 211, 151, 4);
	C(PK_ACK, 151, 216, 0);                 /* acknowledges the FIN too */
	S(PK_RST | PK_ACK, 216, 151, 0);
	wire_end(&w, 99);
	expect(EV_W_FIRST, 10, 0, 6);
	expect(EV_W_LAST, 14, 0, 10);
	expect(EV_W_FIN_S, 14, 0, 10);
	expect(EV_W_RST_S, 14, 14, 13);
	expect(EV_W_ACKED, 50, 0, 6);
}
END_TEST

START_TEST(out_of_order)
{
	open_at(0, 0);
	S(PK_ACK, 1, 31, 0);                    /* the ACK is captured before what it acknowledges */
	wire_mark(&w, 5);
	expect(EV_W_ACKED, 0, 0, 4);
	C(PK_FIN | PK_ACK, 1, 11, 30);
	S(PK_ACK, 1, 32, 10);
	S(PK_RST, 11, 0, 0);
	wire_end(&w, 99);
	expect(EV_W_FIN_C, 30, 0, 5);
	expect(EV_W_ACKED, 30, 0, 6);
	expect(EV_W_RST_S, 10, 10, 7);
}
END_TEST

START_TEST(unacknowledged_by_client)
{
	open_at(0, 0);
	S(PK_ACK, 1, 1, 500);
	C(PK_ACK, 1, 300, 0);
	C(PK_ACK, 1, 301, 0);
	S(PK_RST | PK_ACK, 501, 1, 0);
	expect(EV_W_RST_S, 500, 300, 7);
}
END_TEST

START_TEST(lost_syn)
{
	C(PK_ACK, 5000, 70, 10);
	S(PK_ACK, 70, 5010, 20);
	S(PK_RST | PK_ACK, 90, 5010, 0);
	expect(EV_W_FIRST, 20, 0, 2);
	expect(EV_W_RST_S, 20, 0, 3);
	ck_assert_ptr_null(last(EV_W_RST_SYN));
}
END_TEST

START_TEST(refused_and_reset)
{
	C(PK_SYN, 9, 0, 0);
	S(PK_RST | PK_ACK, 0, 10, 0);
	expect(EV_W_RST_SYN, 0, 0, 2);
	ck_assert_ptr_null(last(EV_W_RST_S));
	wire_expect(&w, 1, CLIENT, CPORT, SPORT);       /* the same pair again, another connection */
	C(PK_SYN, 1009, 0, 0);
	S(PK_SYN | PK_ACK, 0xFFFFFFFF, 10, 0);
	S(PK_RST | PK_ACK, 0, 10, 0);                   /* sequence number 0 by chance */
	expect(EV_W_RST_S, 0, 0, 5);
	ck_assert_uint_eq(last(EV_W_SYN)->frame, 3);
}
END_TEST

START_TEST(pair_used_again)
{
	open_at(100, 100);
	wire_expect(&w, 2, CLIENT, CPORT, SPORT);
	wire_expect(&w, 3, CLIENT, CPORT, SPORT);
	S(PK_RST | PK_ACK, 101, 101, 0);                /* still of the first, drained late */
	ck_assert_int_eq(last(EV_W_RST_S)->conn, 1);
	open_at(500, 500);
	S(PK_ACK, 501, 501, 3);
	ck_assert_int_eq(last(EV_W_FIRST)->conn, 2);
	C(PK_SYN, 900, 0, 0);
	C(PK_SYN, 900, 0, 0);                           /* sent again: not another connection */
	wire_expect(&w, 4, CLIENT, CPORT, SPORT);
	C(PK_SYN, 900, 0, 0);
	S(PK_RST | PK_ACK, 0, 901, 0);
	ck_assert_int_eq(last(EV_W_RST_SYN)->conn, 3);
	ck_assert_int_eq(last(EV_W_SYN)->conn, 3);
}
END_TEST

START_TEST(unannounced)
{
	struct packet pk = {.src = CLIENT, .dst = CLIENT, .sport = SPORT, .dport = 1, .flags = PK_RST | PK_ACK};

	wire_packet(&w, &pk, 1, 1);
	ck_assert(ev.n == 1 && ev.v[0].kind == EV_W_RST_SYN && ev.v[0].conn == -1);
	pk.sport = 1;           /* of a port that is not the scenario's */
	wire_packet(&w, &pk, 1, 2);
	pk.sport = SPORT;
	pk.seq = 7;             /* not in answer to a SYN */
	wire_packet(&w, &pk, 1, 3);
	pk.flags = PK_SYN;
	pk.dport = CPORT;
	pk.sport = CPORT;
	wire_packet(&w, &pk, 1, 4);
	wire_mark(&w, 5);
	wire_end(&w, 5);
	ck_assert_uint_eq(ev.n, 1);
	open_at(1, 1);
	wire_end(&w, 9);
	ck_assert(last(EV_W_ACKED) && !last(EV_W_LAST));
}
END_TEST

START_TEST(many_connections)
{
	for (int i = 0; i < 60000; i++)
		wire_expect(&w, i + 2, CLIENT, (uint16_t)(i + 1), SPORT + 1);
	for (int i = 0; i < 60000; i++) {
		struct packet pk = {.src = CLIENT, .dst = CLIENT, .sport = (uint16_t)(i + 1), .dport = SPORT + 1, .flags = PK_SYN,
			.win = 1};

		wire_packet(&w, &pk, i, (uint32_t)i + 1);
	}
	ck_assert_uint_eq(ev.n, 60000);
	for (int i = 0; i < 60000; i++)
		ck_assert_int_eq(ev.v[i].conn, i + 2);
	wire_begin(&w, NULL, 0, &ev);
	ck_assert(wire_port(&w, 12345));
	wire_begin(&w, (const uint16_t[]){9, 12345}, 2, &ev);
	ck_assert(!wire_port(&w, SPORT) && wire_port(&w, 12345) && wire_port(&w, 9) && !wire_port(&w, 12344));
}
END_TEST

static const uint8_t ip4[] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0,
	0x46, 0, 0, 56, 0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2, 1, 1, 1, 1,        /* with an option */
	0x12, 0x34, 0x1f, 0x90, 1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0x18, 2, 0, 0, 0, 0, 0, 1, 1, 1, 1,  /* and one here */
	'h', 'e', 'l', 'l', 'o', '!', '!', '!',
};
static const uint8_t ip6[] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xDD,
	0x60, 0, 0, 0, 0, 30, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	6, 0, 1, 4, 0, 0, 0, 0,         /* hop by hop */
	0x12, 0x34, 0x1f, 0x90, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x11, 0, 0, 0, 0, 0, 0, 'h', 'i',
};

/* Each length in a block of its own, so that ASan sees a read beyond it. */
static bool parse_cut(const uint8_t *p, size_t n, size_t wire_len, struct packet *ret)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, p, n);
	bool ok = packet_parse(copy, n, wire_len, ret);

	ck_assert(!ok || ret->data_n <= n);
	for (size_t i = 0; ok && i < ret->data_n; i++)
		ck_assert(ret->data[i] == p[(size_t)(ret->data - copy) + i]);
	free(copy);
	return ok;
}

START_TEST(parse)
{
	struct packet pk;

	ck_assert(parse_cut(ip4, sizeof ip4, sizeof ip4, &pk));
	ck_assert(pk.src == 0x0100007f && pk.dst == 0x0200007f && pk.sport == 0x1234 && pk.dport == SPORT);
	ck_assert(pk.seq == 0x01020304 && pk.ack == 0x05060708 && pk.win == 512 && pk.flags == 0x18);
	ck_assert(pk.len == 8 && pk.data_n == 8 && !pk.udp);
	ck_assert(parse_cut(ip6, sizeof ip6, sizeof ip6, &pk));
	ck_assert(pk.len == 2 && pk.data_n == 2 && pk.sport == 0x1234 && pk.flags == (PK_FIN | PK_ACK) && !pk.win);
	for (size_t n = 0; n <= sizeof ip4; n++) {
		bool ok = parse_cut(ip4, n, sizeof ip4, &pk);

		ck_assert_msg(ok == (n >= 58), "cut at %zu", n);        /* 38 bytes before TCP and 20 of it */
		ck_assert(!ok || (pk.len == 8 && pk.data_n == (n > 62 ? n - 62 : 0)));
	}
	for (size_t n = 0; n <= sizeof ip6; n++)
		ck_assert_msg(parse_cut(ip6, n, sizeof ip6, &pk) == (n >= 82), "cut at %zu", n);
}
END_TEST

START_TEST(parse_rejects)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{12, 9},                /* not IP */
		{14, 0x56}, {14, 0x44}, /* version, header length */
		{20, 0x20}, {21, 1},    /* fragments */
		{23, 1},                /* ICMP */
		{17, 10}, {17, 30},     /* total length below that of the headers */
		{50, 0x40}, {50, 0xF0}, /* TCP header length */
	};
	struct packet pk;
	uint8_t p[sizeof ip4];

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		memcpy(p, ip4, sizeof p);
		p[changes[i].at] = changes[i].value;
		ck_assert_msg(!parse_cut(p, sizeof p, sizeof p, &pk), "change %zu", i);
	}
	ck_assert(!packet_parse(ip4, sizeof ip4, sizeof ip4 - 1, &pk));
	uint8_t q[sizeof ip6];

	memcpy(q, ip6, sizeof q);
	q[19] = 4;                      /* the extension header is longer than the payload */
	ck_assert(!parse_cut(q, sizeof q, sizeof q, &pk));
	memcpy(p, ip4, sizeof p);
	p[16] = p[17] = 0;              /* BIG TCP: the length comes from the frame */
	ck_assert(parse_cut(p, sizeof p, 100000, &pk));
	ck_assert_uint_eq(pk.len, 100000 - 62);
}
END_TEST

/* Whatever is in a frame, nothing beyond it is read and the tracker stays whole. */
START_TEST(parse_random)
{
	unsigned seed = 1;
	uint8_t p[sizeof ip6];

	for (int i = 0; i < 300000; i++) {
		const uint8_t *base = i & 1 ? ip4 : ip6;
		size_t n = i & 1 ? sizeof ip4 : sizeof ip6;
		struct packet pk;

		memcpy(p, base, n);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			p[12 + (unsigned)rand_r(&seed) % (n - 12)] = (uint8_t)rand_r(&seed);
		if (!parse_cut(p, n - (unsigned)rand_r(&seed) % 40, n, &pk))
			continue;
		pk.src = pk.dst = CLIENT;
		pk.sport = i & 2 ? CPORT : SPORT;
		pk.dport = i & 2 ? SPORT : CPORT;
		wire_packet(&w, &pk, i, 1);
	}
	wire_end(&w, 0);
	ck_assert(ev.n < 20);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire");
	TCase *tc = tcase_create("wire");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, numbers_wrap);
	tcase_add_test(tc, more_than_4_gib);
	tcase_add_test(tc, retransmission_and_probes);
	tcase_add_test(tc, out_of_order);
	tcase_add_test(tc, unacknowledged_by_client);
	tcase_add_test(tc, lost_syn);
	tcase_add_test(tc, refused_and_reset);
	tcase_add_test(tc, pair_used_again);
	tcase_add_test(tc, unannounced);
	tcase_add_test(tc, many_connections);
	tcase_add_test(tc, parse);
	tcase_add_test(tc, parse_rejects);
	tcase_add_test(tc, parse_random);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
