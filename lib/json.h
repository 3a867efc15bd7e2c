// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON, written only: one object a line, made in memory, out in one write. */
#ifndef AIOABI_JSON_H
#define AIOABI_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct json {
	char *text;
	size_t used, room;
	bool comma; /* the next member or element needs one before it */
};

/* json_begin() - an empty object "{"; json_end() closes it with a newline. */
void json_begin(struct json *json);
void json_end(struct json *json);
void json_free(struct json *json);

/* Members of the current object. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, long long value);
void json_seconds(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
/* json_lines() - a list of the lines of a text of this length. */
void json_lines(struct json *json, const char *key, const char *text,
		size_t len);

/* json_open() - a member (or, without key, an element) that is { or [. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
/* json_element() - a string in the current list. */
void json_element(struct json *json, const char *value, size_t len);

#endif
