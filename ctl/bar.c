/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bar: draws a share of the whole with markers, of cells of half a column. */
#include "ctl/bar.h"

#include "lib/base/util.h"

/* The cell at that share of the whole; what is at the very end is in the last. */
static unsigned cell_of(unsigned permyriad, unsigned n_cells)
{
	return (unsigned)min_u64((uint64_t)permyriad * n_cells / PERMYRIAD, n_cells - 1);
}

static const struct bar_mark *mark_at(const struct bar_mark *marks, size_t n_marks, unsigned cell,
				      unsigned n_cells)
{
	for (size_t i = n_marks; i-- > 0;)
		if (cell_of(marks[i].permyriad, n_cells) == cell)
			return &marks[i];
	return NULL;
}

void bar_print(const struct screen *screen, unsigned width, unsigned permyriad,
	       enum screen_style style, const struct bar_mark *marks, size_t n_marks)
{
	const char *full = screen->is_utf8 ? "\u2588" : "#";
	const char *empty = screen->is_utf8 ? "\u2591" : ".";
	unsigned n_cells = width - 2;
	/* Rounded: only what is all but full is drawn as full. */
	unsigned n_full = (unsigned)(((uint64_t)permyriad * n_cells + PERMYRIAD / 2) / PERMYRIAD);
	enum screen_style its = SCREEN_PLAIN;

	putc('[', screen->file);
	for (unsigned i = 0; i < n_cells; i++) {
		const struct bar_mark *mark = mark_at(marks, n_marks, i, n_cells);
		enum screen_style wanted = mark ? mark->style : i < n_full ? style : SCREEN_DIM;

		if (wanted != its) {
			screen_end(screen, its);
			screen_begin(screen, wanted);
			its = wanted;
		}
		if (mark)
			putc(mark->letter, screen->file);
		else
			fputs(i < n_full ? full : empty, screen->file);
	}
	screen_end(screen, its);
	fputs("]\n", screen->file);
}
