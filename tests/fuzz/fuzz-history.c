/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-history: the text of a history, which another program may have written.  What is taken is
 * written and read again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/history/history-file.h"
#include "lib/history/history.h"
#include "tests/fuzz/fuzz.h"

static char encoded[HISTORY_TEXT_MAX], encoded_again[HISTORY_TEXT_MAX];
static struct history_entry entries[HISTORY_MAX];

static void check_texts(const struct history_field *fields, size_t n, const void *record)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = history_value(&fields[i], record);

		if (fields[i].type != HISTORY_TEXT)
			continue;
		FUZZ_CHECK(memchr(text, '\0', fields[i].size));
		FUZZ_CHECK(fuzz_is_utf8(text));
	}
}

static void check_entries(const struct history *history)
{
	unsigned n = history_copy(history, entries);

	FUZZ_CHECK(n <= HISTORY_MAX && n == history_count(history));
	for (unsigned i = 0; i < n; i++) {
		FUZZ_CHECK(i == 0 || entries[i].id > entries[i - 1].id);
		FUZZ_CHECK(entries[i].n_ranked <= HISTORY_RANKED_MAX);
		check_texts(history_fields, n_history_fields, &entries[i]);
		for (uint32_t k = 0; k < entries[i].n_ranked; k++)
			check_texts(history_ranked_fields, n_history_ranked_fields,
				    &entries[i].ranked[k]);
	}
}

static void check_round_trip(struct history *history)
{
	unsigned n = history_copy(history, entries);
	ssize_t length = history_encode(entries, n, encoded, sizeof(encoded)), again;
	char error[256];

	FUZZ_CHECK(length > 0);
	history_clear(history);
	FUZZ_CHECK(history_decode(history, encoded, (size_t)length, error, sizeof(error)) == 0);
	n = history_copy(history, entries);
	again = history_encode(entries, n, encoded_again, sizeof(encoded_again));
	FUZZ_CHECK(again == length && memcmp(encoded, encoded_again, (size_t)length) == 0);
}

/* One more can be put, and the file is still good. */
static void check_next(struct history *history)
{
	struct history_entry entry;
	char error[256];
	ssize_t length;
	unsigned n;

	history_entry_init(&entry);
	history_set_text(entry.kind, sizeof(entry.kind), "killed");
	history_put(history, &entry);
	FUZZ_CHECK(history_get(history, 0)->id == entry.id);
	n = history_copy(history, entries);
	length = history_encode(entries, n, encoded, sizeof(encoded));
	FUZZ_CHECK(length > 0);
	history_clear(history);
	FUZZ_CHECK(history_decode(history, encoded, (size_t)length, error, sizeof(error)) == 0);
}

/* The same by the file: what is refused is set aside, and what is taken is as it was. */
static void check_file(const uint8_t *data, size_t size, int r_of_text)
{
	int dir_fd = fuzz_directory_fd();
	struct history *history;
	char error[256];
	int r;

	FUZZ_CHECK(history_new(&history) == 0);
	FUZZ_CHECK(history_file_write(dir_fd, size > 0 ? (const char *)data : "", size) == 0);
	r = history_file_read(dir_fd, history, error, sizeof(error));
	FUZZ_CHECK(r == (r_of_text == 0 ? 0 : HISTORY_FILE_SET_ASIDE));
	FUZZ_CHECK((error[0] != '\0') == (r != 0));
	if (r != 0)
		FUZZ_CHECK(history_file_peek(dir_fd, history, error, sizeof(error)) ==
			   HISTORY_FILE_MISSING);
	history_free(history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), error[128];
	struct history *history;
	int r;

	FUZZ_CHECK(history_new(&history) == 0);
	r = history_decode(history, text, size, error, sizeof(error));
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r == 0) {
		check_entries(history);
		check_round_trip(history);
		check_next(history);
	} else {
		FUZZ_CHECK(error[0] && fuzz_is_utf8(error) && !fuzz_has_controls(error, false));
		FUZZ_CHECK(history_count(history) == 0);
	}
	history_free(history);
	free(text);
	if (size % 8 == 0)
		check_file(data, size, r);
	return 0;
}
