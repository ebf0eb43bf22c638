/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl: prints errors and JSON. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* The control characters that JSON does not escape, and a terminal may act on: DEL, C1, and what
 * turns the direction of writing or ends a line (format.c).  Returns the length of one that is at
 * p, or 0. */
static unsigned control_at(const unsigned char *p, unsigned *ret)
{
	if (p[0] == 0x7f) {
		*ret = p[0];
		return 1;
	}
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
		*ret = p[1];
		return 2;
	}
	if (p[0] != 0xe2 || !((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
			      (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))
		return 0;
	*ret = 0x2000 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
	return 3;
}

/* They are in strings alone, where an escape is the same. */
static void print_escaped(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned c, n;

	while (*p) {
		n = control_at(p, &c);
		if (n > 0)
			printf("\\u%04x", c);
		else
			putchar(*p);
		p += n > 0 ? n : 1;
	}
	putchar('\n');
}

enum ctl_status ctl_print_json(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;

	json_decref(object);
	if (!text) {
		fputs("reckonctl: no memory\n", stderr);
		return CTL_FAILURE;
	}
	print_escaped(text);
	free(text);
	return CTL_OK;
}
