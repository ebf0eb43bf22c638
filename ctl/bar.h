/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bar: how full something is, for a terminal, with lines marked in it.
 */
#pragma once

#include "ctl/screen.h"

/* A letter in the bar; where several are at the same place, the last is seen. */
struct bar_mark {
	unsigned permyriad; /* from the left */
	char letter;
	enum screen_style style;
};

/* So many columns in all, the brackets too; 3 at least. */
void bar_print(const struct screen *screen, unsigned width, unsigned permyriad,
	       enum screen_style style, const struct bar_mark *marks, size_t n_marks);
