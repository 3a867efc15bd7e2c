// SPDX-License-Identifier: GPL-2.0-or-later
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct json *json, const char *text, size_t len)
{
	if (json->used + len > json->room) {
		json->room = (json->used + len) * 2;
		json->text = realloc(json->text, json->room);
		if (!json->text)
			abort();
	}
	memcpy(json->text + json->used, text, len);
	json->used += len;
}

static void add_text(struct json *json, const char *text)
{
	add(json, text, strlen(text));
}

/* The length of a valid UTF-8 sequence at s, 0 if there is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t len = *s < 0x80			? 1
		     : *s >= 0xc2 && *s <= 0xdf ? 2
		     : *s >= 0xe0 && *s <= 0xef ? 3
		     : *s >= 0xf0 && *s <= 0xf4 ? 4
						: 0;
	size_t i;

	if (len > left)
		return 0;
	for (i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, and beyond the last plane */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

/* A byte that is no UTF-8 is written as the character of its number. */
static void add_quoted(struct json *json, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	char escape[8];
	size_t i, n;

	add_text(json, "\"");
	for (i = 0; i < len; i += n ? n : 1) {
		n = utf8_length(s + i, len - i);
		if (s[i] == '"' || s[i] == '\\') {
			snprintf(escape, sizeof(escape), "\\%c", s[i]);
			add_text(json, escape);
		} else if (!n || s[i] < 0x20 || s[i] == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", s[i]);
			add_text(json, escape);
		} else {
			add(json, text + i, n);
		}
	}
	add_text(json, "\"");
}

static void add_key(struct json *json, const char *key)
{
	if (json->comma)
		add_text(json, ",");
	json->comma = true;
	if (!key)
		return;
	add_quoted(json, key, strlen(key));
	add_text(json, ":");
}

void json_begin(struct json *json)
{
	json->used = 0;
	json->comma = false;
	add_text(json, "{");
}

void json_end(struct json *json)
{
	add_text(json, "}\n");
}

void json_free(struct json *json)
{
	free(json->text);
	memset(json, 0, sizeof(*json));
}

void json_string(struct json *json, const char *key, const char *value)
{
	add_key(json, key);
	add_quoted(json, value ? value : "", value ? strlen(value) : 0);
}

void json_number(struct json *json, const char *key, long long value)
{
	char text[32];

	add_key(json, key);
	snprintf(text, sizeof(text), "%lld", value);
	add_text(json, text);
}

void json_seconds(struct json *json, const char *key, double value)
{
	char text[64];

	add_key(json, key);
	snprintf(text, sizeof(text), "%.6f", value);
	add_text(json, text);
}

void json_bool(struct json *json, const char *key, bool value)
{
	add_key(json, key);
	add_text(json, value ? "true" : "false");
}

void json_open(struct json *json, const char *key, char bracket)
{
	add_key(json, key);
	add(json, &bracket, 1);
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	add(json, &bracket, 1);
	json->comma = true;
}

void json_element(struct json *json, const char *value, size_t len)
{
	add_key(json, NULL);
	add_quoted(json, value, len);
}

void json_lines(struct json *json, const char *key, const char *text,
		size_t len)
{
	const char *end = text + len;

	json_open(json, key, '[');
	while (text < end) {
		size_t line = strcspn(text, "\n");

		if (line > (size_t)(end - text))
			line = (size_t)(end - text);
		json_element(json, text, line);
		text += line + 1;
	}
	json_close(json, ']');
}
