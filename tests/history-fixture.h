/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* history-fixture: histories and entries of every length. */
#pragma once

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/history/history.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static inline void history_freep(struct history **history)
{
	history_free(*history);
}
#define _cleanup_history_ _cleanup_(history_freep)

static inline struct history *make_history(void)
{
	struct history *history;

	assert_int_equal(history_new(&history), 0);
	return history;
}

/* Something in every field, another for each n. */
static inline void fill(const struct history_field *fields, size_t n_fields, void *record,
			unsigned n)
{
	for (size_t i = 0; i < n_fields; i++) {
		void *value = (char *)record + fields[i].offset;
		unsigned x = n * 100 + (unsigned)i;
		char text[64];

		switch (fields[i].type) {
		case HISTORY_BOOL:
			*(bool *)value = x % 2;
			break;
		case HISTORY_DOUBLE:
			*(double *)value = x / 4.0;
			break;
		case HISTORY_I32:
			*(int32_t *)value = 5 - (int)x;
			break;
		case HISTORY_TEXT:
			memset(value, 0, fields[i].size);
			snprintf(text, sizeof(text), "%u \xc3\xa4 %s", x, fields[i].name);
			history_set_text(value, fields[i].size, text);
			break;
		case HISTORY_U32:
			*(uint32_t *)value = x;
			break;
		case HISTORY_U64:
			*(uint64_t *)value = (uint64_t)x << 33;
			break;
		}
	}
}

static inline struct history_entry make_entry(unsigned n)
{
	struct history_entry entry;

	history_entry_init(&entry);
	fill(history_fields, n_history_fields, &entry, n);
	memset(entry.kind, 0, sizeof(entry.kind));
	history_set_text(entry.kind, sizeof(entry.kind), "killed");
	entry.id = 0;
	entry.n_ranked = n % (HISTORY_RANKED_MAX + 1);
	for (unsigned i = 0; i < entry.n_ranked; i++)
		fill(history_ranked_fields, n_history_ranked_fields, &entry.ranked[i], n + i);
	return entry;
}

static inline void put_entries(struct history *history, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		struct history_entry entry = make_entry(i);

		history_put(history, &entry);
	}
}
