/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl: see the header. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/format.h"
#include "lib/util.h"

enum ctl_status ctl_fail(const struct ctl_options *options, enum ctl_status status,
			 const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(stderr, "reckonctl: %s\n", text);
	if (options->json)
		(void)ctl_print_json(json_pack("{s:o}", "error", ctl_json_foreign(text)));
	return status;
}

enum ctl_status ctl_print_json(json_t *object)
{
	int r;

	if (!object) {
		fputs("reckonctl: no memory\n", stderr);
		return CTL_FAILURE;
	}
	r = json_dumpf(object, stdout, JSON_INDENT(2));
	json_decref(object);
	putchar('\n');
	return r < 0 ? CTL_FAILURE : CTL_OK;
}

json_t *ctl_json_bytes(uint64_t bytes)
{
	return json_integer((json_int_t)min_u64(bytes, INT64_MAX));
}

json_t *ctl_json_foreign(const char *text)
{
	_cleanup_free_ char *clean = NULL;
	size_t size;

	if (!text)
		return json_null();
	size = FORMAT_UTF8_SIZE(strlen(text));
	clean = malloc(size);
	return clean ? json_string(format_utf8(text, clean, size)) : NULL;
}

void ctl_json_append(json_t **array, json_t *item)
{
	if (!*array) {
		json_decref(item);
	} else if (json_array_append_new(*array, item) < 0) {
		json_decref(*array);
		*array = NULL;
	}
}
