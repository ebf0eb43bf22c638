/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mark: a figure and the limit that it has to meet, one line each, for readers and scripts:
 *
 *	mark NAME VALUE UNIT LIMIT ok|short
 *
 * marks_short counts the figures that fell short, for main()'s exit status.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

static unsigned marks_short;

/* at_most: the value may not be above the limit; otherwise, not below it. */
static inline void mark(const char *name, double value, const char *unit, double limit,
			bool at_most)
{
	bool ok = at_most ? value <= limit : value >= limit;

	printf("mark %s %.6g %s %.6g %s\n", name, value, unit, limit, ok ? "ok" : "short");
	marks_short += !ok;
}
