/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slice: a part of a text, and its parts between separators.  Borrowed, not terminated. */
#pragma once

#include <stdbool.h>
#include <string.h>

struct slice {
	const char *text;
	size_t length;
};

static inline bool slice_is(struct slice slice, const char *text)
{
	return slice.length == strlen(text) && memcmp(slice.text, text, slice.length) == 0;
}

/* Up to the separator or the end of the text; *p is moved behind it. */
static inline struct slice next_slice(const char **p, const char *separators)
{
	struct slice slice = { .text = *p, .length = strcspn(*p, separators) };

	*p += slice.length;
	if (**p != '\0')
		(*p)++;
	return slice;
}
