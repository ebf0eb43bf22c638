/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* history: the command.  From the daemon, which keeps it; where that does not run, from the file in
 * which it has left it. */
#include "ctl/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/bus.h"
#include "ctl/entry.h"
#include "ctl/fold.h"
#include "ctl/screen.h"
#include "ctl/table.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/parse.h"
#include "lib/history/history-file.h"
#include "lib/history/history.h"

/* So many are shown by default: they fit a terminal. */
#define SHOWN_DEFAULT 20
#define SHOWN_MAX     1000000

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void add_bytes(struct table *table, const json_t *entry, const char *key)
{
	char size[FORMAT_BYTES_SIZE];

	table_add(table, "%s",
		  words_has(entry, key) ? format_bytes(words_number(entry, key), size) : "-");
}

static void add_row(struct table *table, const struct screen *screen, const json_t *entry,
		    const struct fold *fold, usec_t at)
{
	char age[FORMAT_DURATION_SIZE], date[ENTRY_DATE_SIZE], name[ENTRY_NAME_SIZE], policy[64];
	char outcome[ENTRY_OUTCOME_SIZE], repeated[FOLD_TEXT_SIZE];

	table_add(table, "%u", (unsigned)words_number(entry, "id"));
	table_add(table, "%s", *entry_age(entry, at, age) ? age : entry_date(entry, date));
	table_add(table, "%s",
		  fold->n > 1 ? fold_text(fold, repeated) : entry_name(screen, entry, name));
	add_bytes(table, entry, "footprint_bytes");
	add_bytes(table, entry, "reclaimed_100ms_bytes");
	add_bytes(table, entry, "reclaimed_500ms_bytes");
	add_bytes(table, entry, "reclaimed_2s_bytes");
	table_add(table, "%s; policy %s", entry_outcome(entry, outcome),
		  screen_foreign(screen, words_text(entry, "policy"), policy, sizeof(policy)));
}

/* A row for each, or for those that are folded; the oldest first. */
static void add_rows(struct table *table, const struct screen *screen, const json_t *entries,
		     usec_t at)
{
	size_t n = json_array_size(entries), n_rows = 0, *firsts = calloc(n + 1, sizeof(*firsts));
	struct fold fold;

	if (!firsts) {
		table->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i += fold.n) {
		fold_find(entries, i, &fold);
		firsts[n_rows++] = i;
	}
	while (n_rows-- > 0) {
		fold_find(entries, firsts[n_rows], &fold);
		add_row(table, screen, json_array_get(entries, firsts[n_rows]), &fold, at);
	}
	free(firsts);
}

/* The newest last, next to the prompt. */
static enum ctl_status print_table(const struct screen *screen, const json_t *entries)
{
	static const char *const titles[] = { "ID",	     "AGO",   "VICTIM", "WOULD FREE",
					      "FREED 0.1 s", "0.5 s", "2 s",	"OUTCOME" };
	static const bool right[] = { true, true, false, true, true, true, true, false };
	_cleanup_(table_done) struct table table = {
		.titles = titles,
		.to_the_right = right,
		.n_columns = ARRAY_SIZE(titles),
	};

	add_rows(&table, screen, entries, now());
	return table_print(&table, 0, screen) < 0 ? CTL_FAILURE : CTL_OK;
}

static void print_full(const struct screen *screen, const json_t *entries)
{
	usec_t at = now();

	for (size_t i = json_array_size(entries); i-- > 0;) {
		entry_print(screen, json_array_get(entries, i), at);
		if (i > 0)
			putc('\n', screen->file);
	}
}

enum ctl_status history_print(const struct screen *screen, const json_t *entries, bool full)
{
	if (json_array_size(entries) == 0)
		screen_say(screen, SCREEN_PLAIN, "No process has been killed yet.");
	else if (full)
		print_full(screen, entries);
	else
		return print_table(screen, entries);
	return CTL_OK;
}

static enum ctl_status print_entries(const struct ctl_options *options, const json_t *entries)
{
	struct screen screen;

	screen_init(&screen, stdout);
	return history_print(&screen, entries, options->full);
}

static void history_freep(struct history **kept)
{
	history_free(*kept);
}

static json_t *to_json(const struct history *kept, uint64_t n)
{
	unsigned count = history_count(kept);
	json_t *entries = json_array();

	for (unsigned i = 0; i < count && (n == 0 || i < n); i++)
		json_append_to(&entries, history_entry_to_json(history_get(kept, i)));
	return entries;
}

/* The newest n, or NULL with the reason, which may be nothing: there is no file. */
static json_t *read_file(const char *directory, uint64_t n, char *error, size_t error_size)
{
	_cleanup_(history_freep) struct history *kept = NULL;
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *entries = NULL;
	int r = fd < 0 ? -errno : history_new(&kept);

	error[0] = '\0';
	if (r == 0)
		r = history_file_peek(fd, kept, error, error_size);
	if (r == 0)
		entries = to_json(kept, n);
	if (r < 0 && r != -EBADMSG && r != -ENOENT)
		snprintf(error, error_size, "%s", strerror(-r));
	return entries;
}

/* What the daemon has left, and why it was not queried. */
static enum ctl_status print_file(const struct ctl_options *options, struct bus *bus, uint64_t n)
{
	const char *directory = getenv("STATE_DIRECTORY");
	char why[BUS_TEXT_SIZE], error[256], path[512];
	enum ctl_status status;
	struct screen screen;
	json_t *entries;

	if (!directory || !*directory)
		directory = HISTORY_FILE_DIRECTORY;
	snprintf(path, sizeof(path), "%s/" HISTORY_FILE_NAME, directory);
	bus_trouble_text(bus, why);
	entries = read_file(directory, n, error, sizeof(error));
	if (!entries && error[0])
		return ctl_fail(options, CTL_FAILURE, "%s; nor can %s be read: %s", why, path,
				error);
	if (!entries)
		return ctl_fail(options, CTL_FAILURE, "%s; and there is no history in %s", why,
				directory);
	if (options->json)
		return ctl_print_json(json_pack("{s:s, s:n, s:s, s:o}", "source", "reckonctl",
						"connection", "file", path, "entries", entries));
	status = print_entries(options, entries);
	json_decref(entries);
	screen_init(&screen, stdout);
	screen_say(&screen, SCREEN_DIM, "Read from %s: %s.", path, why);
	return status;
}

/* The newest n, or all (0); NULL: bus->trouble. */
static json_t *ask(struct bus *bus, uint64_t n)
{
	json_t *entries = json_array(), *page;
	uint64_t before = 0, last;
	size_t n_page;

	do {
		uint64_t left = n > 0 ? n - json_array_size(entries) : 0;

		page = bus_history_page(bus, before, (uint32_t)left);
		n_page = json_array_size(page);
		if (!page || json_array_extend(entries, page) < 0) {
			json_decref(page);
			json_decref(entries);
			return NULL;
		}
		last = before;
		before = words_number(json_array_get(page, n_page - 1), "id");
		json_decref(page);
		/* (A page that is not older than the one before is no reason to query for ever.) */
	} while (n_page > 0 && before > 0 && (last == 0 || before < last) &&
		 (n == 0 || json_array_size(entries) < n));
	return entries;
}

enum ctl_status history(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(bus_done) struct bus bus = { 0 };
	enum ctl_status status;
	uint64_t n = SHOWN_DEFAULT;
	json_t *entries;

	if (n_arguments > 1)
		return ctl_fail(options, CTL_BAD_USAGE, "history: one number at most");
	if (n_arguments == 1 && parse_unsigned(arguments[0], SHOWN_MAX, &n) < 0)
		return ctl_fail(options, CTL_BAD_USAGE,
				"history: '%s' is not a number of entries (0 to %d)", arguments[0],
				SHOWN_MAX);
	bus_open(&bus);
	entries = ask(&bus, n);
	if (!entries && (bus.trouble == BUS_NO_BUS || bus.trouble == BUS_NOT_RUNNING ||
			 bus.trouble == BUS_NOT_JOINED))
		return print_file(options, &bus, n);
	if (!entries)
		return bus_fail(options, &bus);
	if (options->json)
		return ctl_print_json(json_pack("{s:s, s:s, s:o}", "source", "daemon", "connection",
						bus_connection(&bus), "entries", entries));
	status = print_entries(options, entries);
	json_decref(entries);
	return status;
}
