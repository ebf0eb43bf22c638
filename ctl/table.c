/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table: keeps cells as text until the widths are known, and prints the rows. */
#include "ctl/table.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/screen.h"
#include "lib/base/cleanup.h"
#include "lib/base/util.h"

#define GAP 2
/* A last column that continues in the next line is not narrower than this. */
#define LAST_MIN     16
#define BELOW_INDENT 4

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
}

static int reserve(struct table *table, size_t n)
{
	size_t n_wanted = 2 * n;
	char **grown;

	if (n <= table->n_allocated)
		return 0;
	grown = reallocarray(table->cells, n_wanted, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	table->cells = grown;
	table->n_allocated = n_wanted;
	return 0;
}

void table_add(struct table *table, const char *format, ...)
{
	char *cell;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&cell, format, ap);
	va_end(ap);
	if (r < 0) {
		table->failed = true;
		return;
	}
	if (table->failed || reserve(table, table->n_cells + 1) < 0) {
		free(cell);
		table->failed = true;
		return;
	}
	table->cells[table->n_cells++] = cell;
}

/* The last cell, in as many lines as it needs. */
static void print_last(const char *text, unsigned column, const struct screen *screen)
{
	unsigned width = screen->width > column ? screen->width - column : UINT_MAX;
	const char *next;
	size_t n = screen_fit(text, width, &next);

	fprintf(screen->file, "%.*s\n", (int)n, text);
	while (*next) {
		text = next;
		n = screen_fit(text, width, &next);
		fprintf(screen->file, "%*s%.*s\n", (int)column, "", (int)n, text);
	}
}

/* is_below: the last cell has a line of its own. */
static void print_row(const struct table *table, const char *const *cells, const unsigned *widths,
		      unsigned indent, bool is_below, const struct screen *screen)
{
	size_t last = table->n_columns - 1;
	unsigned column = indent;

	fprintf(screen->file, "%*s", (int)indent, "");
	for (size_t i = 0; i < last; i++) {
		int padding = (int)(widths[i] - screen_text_width(cells[i]));
		int gap = is_below && i + 1 == last ? 0 : GAP;

		fprintf(screen->file, "%*s%s", table->to_the_right[i] ? padding : 0, "", cells[i]);
		if (gap > 0)
			fprintf(screen->file, "%*s", table->to_the_right[i] ? gap : padding + gap,
				"");
		column += widths[i] + GAP;
	}
	if (is_below) {
		column = indent + BELOW_INDENT;
		fprintf(screen->file, "\n%*s", (int)column, "");
	} else if (table->to_the_right[last]) {
		fprintf(screen->file, "%*s", (int)(widths[last] - screen_text_width(cells[last])),
			"");
	}
	print_last(cells[last], column, screen);
}

static void print_columns(const struct table *table, const unsigned *widths, unsigned indent,
			  bool is_below, const struct screen *screen)
{
	screen_begin(screen, SCREEN_DIM);
	print_row(table, table->titles, widths, indent, is_below, screen);
	screen_end(screen, SCREEN_DIM);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, (const char *const *)table->cells + i, widths, indent, is_below,
			  screen);
}

/* Each row as lines of a title and a cell. */
static void print_lists(const struct table *table, unsigned indent, const struct screen *screen)
{
	unsigned width = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		width = (unsigned)max_u64(width, screen_text_width(table->titles[i]));
	for (size_t i = 0; i < table->n_cells; i++) {
		if (i > 0 && i % table->n_columns == 0)
			putc('\n', screen->file);
		screen_begin(screen, SCREEN_DIM);
		fprintf(screen->file, "%*s%-*s", (int)indent, "", (int)(width + GAP),
			table->titles[i % table->n_columns]);
		screen_end(screen, SCREEN_DIM);
		print_last(table->cells[i], indent + width + GAP, screen);
	}
}

int table_print(const struct table *table, unsigned indent, const struct screen *screen)
{
	unsigned widths[TABLE_COLUMNS_MAX], sum = indent;
	unsigned screen_width = screen->width > 0 ? screen->width : UINT_MAX;

	if (table->failed)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = screen_text_width(table->titles[i]);
	for (size_t i = 0; i < table->n_cells; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a table has columns */
		size_t column = i % table->n_columns;

		widths[column] =
			(unsigned)max_u64(widths[column], screen_text_width(table->cells[i]));
	}
	for (size_t i = 0; i + 1 < table->n_columns; i++)
		sum += widths[i] + GAP;
	if (sum - GAP > screen_width)
		print_lists(table, indent, screen);
	else
		print_columns(table, widths, indent,
			      /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): as above */
			      sum + min_u64(widths[table->n_columns - 1], LAST_MIN) > screen_width,
			      screen);
	return 0;
}
