/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * screen: where text output is printed.
 *
 * On a terminal lines are wrapped to its width, and what matters has a colour; in a pipe there is
 * neither, and each line is whole.  A terminal without UTF-8 gets ASCII: there the bytes of a
 * character may be control characters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct screen {
	FILE *file;	/* borrowed */
	unsigned width; /* columns; 0: no terminal */
	bool has_colour;
	bool is_utf8;
};

enum screen_style {
	SCREEN_PLAIN,
	SCREEN_DIM,
	SCREEN_BOLD,
	SCREEN_GREEN,
	SCREEN_YELLOW,
	SCREEN_RED,
};

/* After setlocale(): from the file, the locale and COLUMNS, NO_COLOR, TERM. */
void screen_init(struct screen *screen, FILE *file);

/* For a terminal that has no UTF-8 as format_foreign(), and '?' for what is not ASCII. */
const char *screen_foreign(const struct screen *screen, const char *text, char *buf, size_t size);

/* In columns, of text that is harmless: a character of Han takes two, an accent none. */
unsigned screen_text_width(const char *text);

/* How many bytes of text go into a line of so many columns: as many words as fit, or as much of
 * the first; *ret_next is where the next line begins.  A number stays with its unit. */
size_t screen_fit(const char *text, unsigned width, const char **ret_next);

/* Whatever is printed between the two has the style. */
void screen_begin(const struct screen *screen, enum screen_style style);
void screen_end(const struct screen *screen, enum screen_style style);

/* A paragraph.  Text must be harmless; likewise below. */
__attribute__((format(printf, 3, 4))) void
screen_say(const struct screen *screen, enum screen_style style, const char *format, ...);

/* "Label     text", the text in the style. */
__attribute__((format(printf, 4, 5))) void screen_item(const struct screen *screen,
						       const char *label, enum screen_style style,
						       const char *format, ...);
/* Where the text of an item begins. */
#define SCREEN_ITEM_COLUMN 16

/* A text that comes in parts; what does not fit is left off. */
struct screen_text {
	char text[8192];
	size_t n;
};
__attribute__((format(printf, 2, 3))) void screen_text_add(struct screen_text *text,
							   const char *format, ...);
