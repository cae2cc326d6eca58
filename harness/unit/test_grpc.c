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
	const char *json, *hex;         /* of kinds.All, or of the message whose name stands before */
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
	{"{\"loose\":{\"a\":[null,-1.5,{\"b\":true}]},\"anything\":null,\"several\":[\"t\"]}",
	 "ea01250a230a0161121e321c0a0208000a0911000000000000f8bf0a0b2a090a070a016212022001f201020800fa01050a031a0174"},
	{"{\"any\":{\"@type\":\"x.org/kinds.All.Inner\",\"word\":\"a\"},\"mask\":\"user.displayName,photo\",\"empty\":{}}",
	 "82021c0a15782e6f72672f6b696e64732e416c6c2e496e6e657212030a01618a021a0a11757365722e646973706c61795f6e616d650a0570686f746f92"
	 "0200"},
	{"{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"},\"doubleValue\":\"NaN\",\"bytesValue\":\"_-8\"}",
	 "8202200a1a782f676f6f676c652e70726f746f6275662e4475726174696f6e12020801a2020909000000000000f87fd202040a02ffef"},
	{"{\"d\":\"-Infinity\",\"f\":\"NaN\",\"i64\":1e18,\"middle\":null,\"colours\":{\"true\":-1},\"maybe\":0}",
	 "09000000000000f0ff150000c07f18808090bbbad6adf00de201020800ea020d080110ffffffffffffffffff01900300"},
	{"kinds2.Old {\"name\":\"n\",\"sender\":{\"host\":\"h\"},\"Line\":[{\"number\":1},{\"number\":2}],\"here\":{}}",
	 "0a016e130a0168141b08011c1b08021c2324"},
	{"google.protobuf.Value []", "3200"},
};

/* The message of a text, and where its JSON begins. */
static const struct pb_message *message(const char *text, const char **ret)
{
	size_t n = text[0] == 'k' || text[0] == 'g' ? strcspn(text, " ") : 0;
	char name[64];

	snprintf(name, sizeof name, "%.*s", n ? (int)n : 9, n ? text : "kinds.All");
	*ret = text + n + (n > 0);
	ck_assert_ptr_nonnull(pb_message(&set, name));
	return pb_message(&set, name);
}

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
	const char *json;
	const struct pb_message *m = message(encoded[_i].json, &json);

	ck_assert_msg(pb_from_json(&set, m, json, &used, &out, &err) == 0, "%s", err.what);
	ck_assert_uint_eq(used, strlen(json));
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
	{"{\"colour\":\"BLUE\"}", "colour: kinds.Colour has no value 'BLUE'"},
	{"{\"many\":1}", "many: want a list (it is repeated), got 1"},
	{"{\"counts\":[]}", "counts: want an object (it is a map), got []"},
	{"{\"inner\":\"x\"}", "inner: want an object (kinds.All.Inner), got \"x\""},
	{"{\"wait\":\"1.5\"}", "wait: want a time like \"1.5s\", got \"1.5\""},
	{"{\"when\":\"2026-13-01T00:00:00Z\"}", "when: want a moment like \"2026-11-21T13:00:00Z\", got "
	 "\"2026-13-01T00:00:00Z\""},
	/* where it is, and the nearest right name */
	{"{\"inners\":[{},{\"deeper\":{\"wurd\":1}}]}",
	 "inners[1].deeper: message kinds.All.Inner has no field 'wurd', did you mean 'word'?"},
	{"{\"named\":{\"7\":{\"word\":[]}}}", "named[\"7\"].word: want a text, got []"},
	{"{\"named\":{\"x\":{}}}", "named[\"x\"]: want a whole number of 32 bits, got \"x\""},
	{"{\"colours\":{\"yes\":0}}", "colours[\"yes\"]: want true or false, got \"yes\""},
	{"{\"palette\":[\"RED\",\"BELO\"]}", "palette[1]: kinds.Colour has no value 'BELO', did you mean 'BELOW'?"},
	{"[]", "the message: want an object (kinds.All), got []"},
	/* what contradicts itself */
	{"{\"bigOne\":1,\"big_one\":2}", "'bigOne' and 'big_one' are the same field"},
	{"{\"left\":\"a\",\"middle\":null}", "only one of 'left' and 'middle' can be given (they are a oneof)"},
	{"{\"many\":[1,null]}", "many[1]: null cannot stand in a list or a map"},
	{"{\"counts\":{\"a\":null}}", "counts[\"a\"]: null cannot stand in a list or a map"},
	/* numbers and bytes that are none */
	{"{\"d\":\"nan\"}", "d: want a number, got \"nan\""},
	{"{\"d\":\"0x10\"}", "d: want a number, got \"0x10\""},
	{"{\"d\":\"1e\"}", "d: want a number, got \"1e\""},
	{"{\"f\":1e39}", "f: want a number that a float can hold, got 1e39"},
	{"{\"u64\":1e20}", "u64: want a whole number from 0 of 64 bits, got 1e20"},
	{"{\"i64\":\"9223372036854775808\"}", "i64: want a whole number of 64 bits, got \"9223372036854775808\""},
	{"{\"i32\":\"1 \"}", "i32: want a whole number of 32 bits, got \"1 \""},
	{"{\"raw\":\"AQ=A\"}", "raw: want bytes in base64, got \"AQ=A\""},
	{"{\"raw\":\"AQIDB\"}", "raw: want bytes in base64, got \"AQIDB\""},
	/* types with a form of their own */
	{"{\"wait\":{\"seconds\":1}}", "wait: want a time like \"1.5s\", got {\"seconds\":1}"},
	{"{\"wait\":\"315576000001s\"}", "wait: want a time like \"1.5s\", got \"315576000001s\""},
	{"{\"when\":\"2023-02-29T00:00:00Z\"}", "when: want a moment like \"2026-11-21T13:00:00Z\", got \"2023-02-29T00:00:00Z\""},
	{"{\"when\":\"0001-01-01T00:00:00+00:01\"}",
	 "when: want a moment like \"2026-11-21T13:00:00Z\", got \"0001-01-01T00:00:00+00:01\""},
	{"{\"text\":{\"value\":\"x\"}}", "text: want a text, got {\"value\":\"x\"}"},
	{"{\"loose\":[]}", "loose: want an object, got []"},
	{"{\"several\":{}}", "several: want a list, got {}"},
	{"{\"mask\":\"a_b\"}", "mask: want paths like \"user.displayName,photo\", got \"a_b\""},
	{"{\"mask\":\"a,,b\"}", "mask: want paths like \"user.displayName,photo\", got \"a,,b\""},
	{"{\"mask\":\"a,\"}", "mask: want paths like \"user.displayName,photo\", got \"a,\""},
	{"{\"empty\":{\"x\":1}}", "empty: message google.protobuf.Empty has no field 'x'"},
	{"{\"any\":{\"word\":\"a\"}}", "any: want an object with \"@type\": \"type.googleapis.com/NAME\", got {\"word\":\"a\"}"},
	{"{\"any\":{\"@type\":\"x/No\"}}", "any: the descriptor set has no message No"},
	{"{\"any\":{\"@type\":\"x/kinds.All.Inner\",\"deeper\":{\"word\":1}}}", "any.deeper.word: want a text, got 1"},
	{"{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":1}}", "any.value: want a time like \"1.5s\", got 1"},
	{"{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"seconds\":1}}", "any: want \"@type\" and \"value\", for this type has "
	 "a form of its own, got {\"@type\":\"x/google.protobuf.Duration\",\"seconds\":1}"},
	/* proto2 */
	{"kinds2.Old {\"name\":\"n\",\"line\":[{\"number\":1},{}]}", "line[1]: message kinds2.Old.Line needs the field 'number'"},
	{"kinds2.Old {\"name\":null}", "message kinds2.Old needs the field 'name'"},
	{"kinds2.Old {\"name\":\"n\",\"here\":{},\"there\":\"x\"}",
	 "only one of 'here' and 'there' can be given (they are a oneof)"},
};

START_TEST(json_is_refused)
{
	struct buf out = {0};
	struct err err = {0};
	size_t used;
	const char *json;
	const struct pb_message *m = message(refused[_i].json, &json);

	ck_assert_int_eq(pb_from_json(&set, m, json, &used, &out, &err), -1);
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

/* Some compilers leave json_name out; it follows from the name. */
START_TEST(names_without_json_name)
{
	static const char bytes[] = "\x0a\x1a\x22\x18\x0a\x01M\x12\x13\x0a\x0d" "big_one_2__it" "\x18\x01\x28\x05";
	struct buf out = {0};
	struct pb_set own;
	struct err err = {0};
	size_t used;

	ck_assert_msg(pb_read_set((const uint8_t *)bytes, sizeof bytes - 1, arena, &own, &err) == 0, "%s", err.what);
	ck_assert_str_eq(pb_message(&own, "M")->fields[0].json_name, "bigOne2It");
	ck_assert_int_eq(pb_from_json(&own, pb_message(&own, "M"), "{\"bigOne2It\":3}", &used, &out, &err), 0);
	ck_assert_mem_eq(out.p, "\x08\x03", 2);
	buf_free(&out);
}
END_TEST

/* A hundred levels are enough for Google's own parsers; none takes what the stack cannot hold. */
START_TEST(nesting)
{
	static const struct {
		const char *open, *in, *close;
	} forms[] = {{"{\"kids\":{\"a\":", "{}", "}}"}, {"[", "1", "]"}, {"{\"a\":", "1", "}"}};
	static const char *const messages[] = {"kinds.Tree ", "google.protobuf.Value ", "google.protobuf.Value "};
	const char *rest;
	const struct pb_message *m = message(messages[_i], &rest);
	struct err err = {0};
	size_t used;

	for (int levels = 40; levels <= 400; levels *= 10) {
		struct buf text = {0}, out = {0};

		for (int i = 0; i < levels; i++)
			buf_adds(&text, forms[_i].open);
		buf_adds(&text, forms[_i].in);
		for (int i = 0; i < levels; i++)
			buf_adds(&text, forms[_i].close);
		ck_assert_int_eq(pb_from_json(&set, m, text.p, &used, &out, &err), levels == 40 ? 0 : -1);
		ck_assert(levels == 40 || strstr(err.what, "less nesting"));
		buf_free(&text);
		buf_free(&out);
	}
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
	ck_assert_int_eq(grpc_messages("grpc kinds.Calls/One {\"u64\":18446744073709551615}", &set, &out, &streams, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.what, "can be written as texts"));
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
	tcase_add_test(t, names_without_json_name);
	tcase_add_loop_test(t, nesting, 0, 3);
	tcase_add_test(t, lines);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
