/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl: see the header. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>

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
		(void)ctl_print_json(json_pack("{s:o}", "error", json_of_foreign(text)));
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
