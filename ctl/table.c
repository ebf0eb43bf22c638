/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table: see the header.  Cells are kept as text until the widths are known. */
#include "ctl/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

#define GAP 2

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

/* In characters of UTF-8: bytes that do not continue one. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void print_row(const struct table *table, const char *const *cells, const size_t *widths,
		      const char *indent, FILE *f)
{
	size_t i;

	fputs(indent, f);
	for (i = 0; i < table->n_columns; i++) {
		bool is_last = i == table->n_columns - 1;
		int padding = (int)(widths[i] - width_of(cells[i]));

		if (table->to_the_right[i])
			fprintf(f, "%*s%s%*s", padding, "", cells[i], is_last ? 0 : GAP, "");
		else
			fprintf(f, "%s%*s", cells[i], is_last ? 0 : padding + GAP, "");
	}
	putc('\n', f);
}

int table_print(const struct table *table, const char *indent, FILE *f)
{
	size_t widths[TABLE_COLUMNS_MAX];

	if (table->failed)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = width_of(table->titles[i]);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns, width = width_of(table->cells[i]);

		if (width > widths[column])
			widths[column] = width;
	}
	print_row(table, table->titles, widths, indent, f);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, (const char *const *)table->cells + i, widths, indent, f);
	return 0;
}
