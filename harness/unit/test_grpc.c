/* gRPC requests: JSON and bytes to messages. What protoc --encode made of the same is the reference. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/grpc.h"

static struct arena *arena;
static struct pb_set set;

static void setup(void)
{
	static uint8_t file[64 * 1024];
	FILE *f = fopen("fixtures/proto/kinds.desc", "re");
	struct err err;

	ck_assert_ptr_nonnull(f);
	size_t n = fread(file, 1, sizeof file, f);

	fclose(f);
	arena = arena_new();
	ck_assert_int_eq(pb_read_set(file, n, arena, &set, &err), 0);
}

static void teardown(void)
{
	arena_free(arena);
}

static const struct {
	const char *json, *hex;
} encoded[] = {
	{"{\"d\":1.5,\"f\":-2.5,\"i64\":\"-9007199254740993\",\"u64\":\"18446744073709551615\",\"i32\":-7}",
	 "09000000000000f83f15000020c018ffffffffffffffefff0120ffffffffffffffffff0128f9ffffffffffffffff01"},
	{"{\"f64\":\"5\",\"f32\":6,\"yes\":true,\"s\":\"h\\u00e9\",\"inner\":{\"word\":\"a\",\"deeper\":{\"word\":\"b\"}}}",
	 "3105000000000000003d0600000040014a0368c3a952080a016112030a0162"},
	{"{\"raw\":\"AAEC/w==\",\"u32\":4294967295,\"colour\":\"BELOW\"}",
	 "5a04000102ff60ffffffff0f68ffffffffffffffffff01"},
	{"{\"colour\":1,\"sf32\":-1,\"sf64\":\"-2\",\"s32\":-3,\"s64\":\"-4\"}",
	 "680175ffffffff79feffffffffffffff800105880107"},
	{"{\"inners\":[{\"word\":\"x\"},{}],\"counts\":{\"k\":3},\"named\":{\"7\":{\"word\":\"w\"}}}",
	 "9a01030a01789a0100a201050a016b1003aa0107080712030a0177"},
	{"{\"wait\":\"-1.5s\",\"when\":\"2026-11-21T13:00:00.25Z\",\"text\":\"t\",\"bigOne\":\"9\"}",
	 "b2011608ffffffffffffffffff011080b6ca91feffffffff01ba010b08d0ab86d8061080e59a77c201030a0174ca01020809"},
	{"{\"left\":\"l\",\"s\":null,\"when\":\"1969-12-31T23:59:59+01:00\"}", "d201016cba010b08efe3ffffffffffffff01"},
	{"{\"many\":[1,-1]}", "9001019001ffffffffffffffffff01"},        /* one by one: every reader takes that */
	{"{}", ""},
};

static void hex_of(const struct buf *b, char *out, size_t n)
{
	ck_assert_uint_lt(b->n * 2, n);
	*out = '\0';
	for (size_t i = 0; i < b->n; i++)
		sprintf(out + 2 * i, "%02x", (uint8_t)b->p[i]);
}

START_TEST(json_is_encoded)
{
	struct buf out = {0};
	struct err err = {0};
	size_t used = 0;
	char hex[1024];

	ck_assert_msg(pb_from_json(&set, pb_message(&set, "kinds.All"), encoded[_i].json, &used, &out, &err) == 0, "%s", err.what);
	ck_assert_uint_eq(used, strlen(encoded[_i].json));
	hex_of(&out, hex, sizeof hex);
	ck_assert_str_eq(hex, encoded[_i].hex);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *json, *says;
} refused[] = {
	{"{\"no\":1}", "message kinds.All has no field 'no'"},
	{"{\"i32\":2147483648}", "i32: want a whole number of 32 bits, got 2147483648"},
	{"{\"u32\":-1}", "u32: want a whole number from 0 of 32 bits, got -1"},
	{"{\"u64\":\"-1\"}", "u64: want a whole number from 0 of 64 bits, got \"-1\""},
	{"{\"i64\":1.5}", "i64: want a whole number of 64 bits, got 1.5"},
	{"{\"yes\":1}", "yes: want true or false, got 1"},
	{"{\"s\":1}", "s: want a text, got 1"},
	{"{\"raw\":\"?\"}", "raw: want bytes in base64, got \"?\""},
	{"{\"colour\":\"BLUE\"}", "colour: want kinds.Colour, got \"BLUE\""},
	{"{\"many\":1}", "many: want a list (it is repeated), got 1"},
	{"{\"counts\":[]}", "counts: want an object (it is a map), got []"},
	{"{\"inner\":\"x\"}", "kinds.All.Inner: want an object, got \"x\""},
	{"{\"wait\":\"1.5\"}", "google.protobuf.Duration: want a time like \"1.5s\", got \"1.5\""},
	{"{\"when\":\"2026-13-01T00:00:00Z\"}", "google.protobuf.Timestamp: want a moment like \"2026-11-21T13:00:00Z\", got "
	 "\"2026-13-01T00:00:00Z\""},
};

START_TEST(json_is_refused)
{
	struct buf out = {0};
	struct err err = {0};
	size_t used;

	ck_assert_int_eq(pb_from_json(&set, pb_message(&set, "kinds.All"), refused[_i].json, &used, &out, &err), -1);
	ck_assert_str_eq(err.what, refused[_i].says);
	buf_free(&out);
}
END_TEST

START_TEST(sets)
{
	struct pb_set none;
	struct err err;

	ck_assert(pb_method(&set, "kinds.Calls/In")->client_streams);
	ck_assert(!pb_method(&set, "kinds.Calls/In")->server_streams);
	ck_assert(pb_method(&set, "kinds.Calls/Both")->server_streams);
	ck_assert_str_eq(pb_method(&set, "kinds.Calls/One")->input, "kinds.All");
	ck_assert_ptr_null(pb_method(&set, "kinds.Calls/Two"));
	ck_assert(pb_message(&set, "kinds.All.CountsEntry")->map_entry);
	ck_assert_int_eq(pb_enum(&set, "kinds.Colour")->values[0].number, -1 + 1);
	ck_assert_int_eq(pb_read_set((const uint8_t *)"", 0, arena, &none, &err), -1);
	ck_assert_int_eq(pb_read_set((const uint8_t *)"\x0a\x7f", 2, arena, &none, &err), -1);
	ck_assert_int_eq(pb_read_set((const uint8_t *)"syntax = 3;", 11, arena, &none, &err), -1);
}
END_TEST

START_TEST(lines)
{
	struct buf out = {0};
	struct err err = {0};
	bool streams;

	ck_assert_int_eq(grpc_messages("grpc a.B/C", NULL, &out, &streams, &err), 0);
	ck_assert_uint_eq(out.n, 5);
	buf_clear(&out);
	ck_assert_int_eq(grpc_messages("grpc a.B/C 0x0a0178 0x", NULL, &out, &streams, &err), 0);
	ck_assert_uint_eq(out.n, 13);
	ck_assert_int_eq(memcmp(out.p, "\0\0\0\0\3\x0a\1x\0\0\0\0", 13), 0);
	buf_clear(&out);
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/In {\"i32\":1} {\"i32\":2}", &set, &out, &streams, &err), 0);
	ck_assert(streams);
	ck_assert_int_eq(memcmp(out.p, "\0\0\0\0\2\x28\1\0\0\0\0\2\x28\2", 14), 0);
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/One {}", NULL, &out, &streams, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.what, "--proto"));
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/Two {}", &set, &out, &streams, &err), -1);
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/One {", &set, &out, &streams, &err), -1);
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/One 0x0", &set, &out, &streams, &err), -1);
	ck_assert_int_eq(grpc_messages("GET /", &set, &out, &streams, &err), -1);
	buf_free(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("grpc");
	TCase *t = tcase_create("grpc");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, json_is_encoded, 0, sizeof encoded / sizeof *encoded);
	tcase_add_loop_test(t, json_is_refused, 0, sizeof refused / sizeof *refused);
	tcase_add_test(t, sets);
	tcase_add_test(t, lines);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
