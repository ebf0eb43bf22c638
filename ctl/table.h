/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table: aligned columns.
 *
 * The last column is not padded, and what is in it may be long: on a terminal it continues in the
 * next line, or begins there if the others leave too little of the width.  On one that is too
 * narrow for the others each row is a list of its cells.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct screen;

#define TABLE_COLUMNS_MAX 12

struct table {
	const char *const *titles; /* borrowed, n_columns of them; likewise the next */
	const bool *to_the_right;
	size_t n_columns;
	char **cells; /* row by row */
	size_t n_cells;
	size_t n_allocated;
	bool failed; /* no memory */
};

void table_done(struct table *table);

/* The next cell, row by row.  Text must be harmless: see format_foreign(). */
__attribute__((format(printf, 2, 3))) void table_add(struct table *table, const char *format, ...);

/* Each line begins with so many blanks.  0 or -ENOMEM, if a cell could not be kept. */
int table_print(const struct table *table, unsigned indent, const struct screen *screen);
