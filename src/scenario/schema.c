/* The table of keys as JSON Schema (draft-07, which editors know): scenarios/schema.json. */
#include <stdlib.h>
#include <string.h>

#include "scenario/keys.h"

static void section_schema(enum section section, struct buf *out);

static void word_enum(struct buf *out, const char *const *words, const char *but1, const char *but2)
{
	const char *sep = "";

	buf_adds(out, "{\"enum\":[");
	for (size_t i = 0; words[i]; i++) {
		if (!strcmp(words[i], but1) || !strcmp(words[i], but2))
			continue;
		buf_adds(out, sep);
		buf_json(out, words[i]);
		sep = ",";
	}
	buf_adds(out, "]}");
}

static void one_key_map(struct buf *out, const char *key, const char *pattern)
{
	buf_printf(out, ",{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"%s\"],"
		   "\"properties\":{\"%s\":{\"type\":\"string\",\"pattern\":\"%s\"}}}", key, key, pattern);
}

/* A step's and a condition's forms: a word, or {log: regex}, {http: /path}. */
static void forms(const struct key *k, struct buf *out)
{
	buf_adds(out, "{\"anyOf\":[");
	word_enum(out, k->words, "log", "http");
	one_key_map(out, "log", ".");
	if (k->type == TYPE_READY) {
		one_key_map(out, "http", "^/");
		buf_adds(out, ",{\"type\":\"string\",\"pattern\":\"^(http:/|log:.)\"}");
	} else {
		buf_adds(out, ",{\"type\":\"string\",\"pattern\":\"^log:.\"}");
	}
	buf_adds(out, "]}");
}

static void ports(struct buf *out)
{
	buf_adds(out, "{\"anyOf\":[{\"enum\":[\"auto\",\"none\"]},"
		 "{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535},"
		 "{\"type\":\"string\",\"pattern\":\"=|^unix:.\"},"
		 "{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":8,\"additionalProperties\":{\"anyOf\":["
		 "{\"const\":\"auto\"},{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535},{\"type\":\"string\",\"pattern\":\"^unix:.\"},");
	section_schema(SEC_PORT, out);
	buf_adds(out, "]}}]}");
}

static void exits(struct buf *out)
{
	static const char *const one = "{\"type\":\"integer\",\"minimum\":0,\"maximum\":255},"
		"{\"type\":\"string\",\"pattern\":\"^(clean|any|[0-9]+|sig:[A-Za-z0-9+]+)"
		"(,(clean|any|[0-9]+|sig:[A-Za-z0-9+]+))*$\"}";

	buf_printf(out, "{\"anyOf\":[%s,{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[%s]}}]}", one, one);
}

/* The types whose schema depends on the row: words, bounds, the inner section. */
static void made_schema(const struct key *k, struct buf *out)
{
	switch (k->type) {
	case TYPE_SWITCH:
	case TYPE_WORD:
		word_enum(out, k->words, "", "");
		break;
	case TYPE_NUMBER:
		buf_printf(out, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld}", (long long)k->min,
			   (long long)k->max);
		break;
	case TYPE_NEEDS:
	case TYPE_TOS:
		buf_adds(out, "{\"type\":\"array\",\"uniqueItems\":true,\"items\":");
		word_enum(out, k->words, "", "");
		buf_addc(out, '}');
		break;
	case TYPE_WHEN:
	case TYPE_READY:
		forms(k, out);
		break;
	case TYPE_PORTS:
		ports(out);
		break;
	case TYPE_EXITS:
		exits(out);
		break;
	case TYPE_STEP:
		if (k->words)
			word_enum(out, k->words, "", "");
		else
			buf_adds(out, "{\"type\":\"string\",\"minLength\":1}");
		break;
	case TYPE_LIST:
		buf_adds(out, "{\"type\":\"array\",\"maxItems\":64,\"items\":");
		section_schema(k->inner, out);
		buf_addc(out, '}');
		break;
	case TYPE_RESTART:
		buf_adds(out, "{\"anyOf\":[{\"type\":\"boolean\"},");
		section_schema(k->inner, out);
		buf_adds(out, "]}");
		break;
	case TYPE_MAP:
	case TYPE_SAME:
		section_schema(k->inner, out);
		break;
	default:
		buf_adds(out, "{}");
	}
}

/* The schema of one key, its help put in front of whatever else the object says. */
static void with_description(struct buf *out, const struct key *k)
{
	struct buf value = {0}, help = {0};

	if (type_rows[k->type].schema)
		buf_adds(&value, type_rows[k->type].schema);
	else
		made_schema(k, &value);
	buf_adds(&help, k->help);
	if (k->def)
		buf_printf(&help, " [default: %s]", k->def);
	buf_adds(out, "{\"description\":");
	buf_jsonn(out, help.p, help.n);
	buf_addc(out, value.n > 2 ? ',' : '}');
	if (value.n > 2)
		buf_add(out, value.p + 1, value.n - 1);
	buf_free(&value);
	buf_free(&help);
}

/* Exactly one of the five keys that say what a step does. */
static void step_schema(struct buf *out)
{
	buf_adds(out, ",\"oneOf\":[");
	for (size_t i = 0; words_step[i]; i++)
		buf_printf(out, "%s{\"required\":[\"%s\"]}", i ? "," : "", words_step[i]);
	buf_addc(out, ']');
}

static void section_schema(enum section section, struct buf *out)
{
	const char *sep = "";

	buf_adds(out, "{\"type\":\"object\",\"additionalProperties\":false");
	if (section == SEC_STEP)
		step_schema(out);
	buf_adds(out, ",\"properties\":{");
	for (size_t i = 0; i < n_keys; i++) {
		if (keys[i].section != section)
			continue;
		buf_adds(out, sep);
		buf_adds(out, "\n");
		buf_json(out, keys[i].name);
		buf_addc(out, ':');
		with_description(out, &keys[i]);
		sep = ",";
	}
	buf_adds(out, "}}");
}

void keys_schema(struct buf *out)
{
	struct buf top = {0};

	section_schema(SEC_TOP, &top);
	buf_adds(out, "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\n"
		 "\"title\":\"drainspec scenario (made by `drainspec list schema` from src/scenario/keys.def)\",\n"
		 "\"definitions\":{\"settings\":");
	section_schema(SEC_SETTINGS, out);
	buf_adds(out, "},\n");
	buf_add(out, top.p + 1, top.n - 1);
	buf_addc(out, '\n');
	buf_free(&top);
}
