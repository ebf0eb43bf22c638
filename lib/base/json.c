/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json: helpers that build jansson values and take NULL for a failure. */
#include "lib/base/json.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/util.h"

json_t *json_of_bytes(uint64_t bytes)
{
	return json_integer((json_int_t)min_u64(bytes, INT64_MAX));
}

json_t *json_of_foreign(const char *text)
{
	_cleanup_free_ char *clean = NULL;
	size_t size;

	if (!text)
		return json_null();
	size = FORMAT_UTF8_SIZE(strlen(text));
	clean = malloc(size);
	return clean ? json_string(format_utf8(text, clean, size)) : NULL;
}

void json_append_to(json_t **array, json_t *item)
{
	if (!*array) {
		json_decref(item);
	} else if (json_array_append_new(*array, item) < 0) {
		json_decref(*array);
		*array = NULL;
	}
}

json_t *json_with(json_t *object, const char *key, json_t *value)
{
	if (!object) {
		json_decref(value);
	} else if (json_object_set_new(object, key, value) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}
