/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/history/history.c: the table of fields against the record, and the ring. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/history/event.h"
#include "lib/history/history.h"
#include "tests/fail-malloc.h"
#include "tests/history-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void check_table(const struct history_field *fields, size_t n, size_t begin, size_t size,
			const char *rest)
{
	static const size_t sizes[] = {
		[HISTORY_BOOL] = sizeof(bool),	  [HISTORY_DOUBLE] = sizeof(double),
		[HISTORY_I32] = sizeof(int32_t),  [HISTORY_U32] = sizeof(uint32_t),
		[HISTORY_U64] = sizeof(uint64_t),
	};
	bool covered[sizeof(struct history_entry)] = { false };
	unsigned gap = 0;

	for (size_t i = 0; i < n; i++) {
		const struct history_field *f = &fields[i];
		char camel[64];
		size_t at = 0;
		bool up = true;

		for (const char *c = f->name; *c; c++) {
			if (*c != '_')
				camel[at++] = up ? (char)toupper(*c) : *c;
			up = *c == '_';
		}
		camel[at] = '\0';
		assert_string_equal(f->bus_name, camel);
		assert_true(f->type == HISTORY_TEXT ? f->size > 4 : f->size == sizes[f->type]);
		for (size_t b = f->offset; b < f->offset + f->size; b++) {
			assert_false(covered[b]); /* no member twice */
			covered[b] = true;
		}
	}
	/* No member is missing: what is not covered is padding. */
	for (size_t b = begin; b < size; b++) {
		gap = covered[b] ? 0 : gap + 1;
		if (gap >= 8)
			fail_msg("%s: something at %zu is in no field", rest, b);
	}
}

static void test_fields_cover_the_record(void **state)
{
	check_table(history_fields, n_history_fields, 0, offsetof(struct history_entry, n_ranked),
		    "entry");
	check_table(history_ranked_fields, n_history_ranked_fields, 0,
		    sizeof(struct history_ranked), "ranked");
}

/* The fields of the journal have names of their own; those of the journal alone come last. */
static void test_fields_of_the_journal(void **state)
{
	struct event event;

	event_init(&event);
	for (size_t i = 0; i < n_event_fields; i++) {
		const struct history_field *f = &history_fields[i];

		assert_true((i < n_history_fields) == (f->bus_name != NULL));
		assert_true((i < n_history_fields) == (f->offset < sizeof(struct history_entry)));
		assert_true(f->offset + f->size <= sizeof(event));
		if (f->type != HISTORY_BOOL && f->offset != offsetof(struct history_entry, id))
			assert_false(history_is_known(f, &event));
		if (!f->journal)
			continue;
		assert_int_equal(strncmp(f->journal, "RECKOND_", 8), 0);
		for (size_t j = 0; j < i; j++)
			assert_true(!history_fields[j].journal ||
				    strcmp(history_fields[j].journal, f->journal) != 0);
	}
	for (size_t i = n_history_fields; i < n_event_fields; i++)
		assert_non_null(history_fields[i].journal);
}

static void test_text_of_a_field(void **state)
{
	static const struct {
		size_t offset;
		const char *text;
	} cases[] = {
		{ offsetof(struct history_entry, dry_run), "no" },
		{ offsetof(struct history_entry, escalated), "yes" },
		{ offsetof(struct history_entry, weight), "0.5" },
		{ offsetof(struct history_entry, oom_score_adj), "-7" },
		{ offsetof(struct history_entry, uid), "4294967294" },
		{ offsetof(struct history_entry, swap_bytes), "18446744073709551614" },
		{ offsetof(struct event, victim_cgroup), "/a" },
	};
	char buf[EVENT_TEXT_SIZE];
	struct event event;
	unsigned n = 0;

	event_init(&event);
	event.entry.escalated = true;
	event.entry.weight = 0.5;
	event.entry.oom_score_adj = -7;
	event.entry.uid = UINT32_MAX - 1;
	event.entry.swap_bytes = UINT64_MAX - 1;
	strcpy(event.victim_cgroup, "/a");
	for (size_t i = 0; i < n_event_fields; i++)
		for (size_t j = 0; j < ARRAY_SIZE(cases); j++)
			if (history_fields[i].offset == cases[j].offset) {
				assert_string_equal(event_text(&history_fields[i], &event, buf),
						    cases[j].text);
				n++;
			}
	assert_int_equal(n, ARRAY_SIZE(cases));
}

/* Names, pids and cgroups; what is not text of a process is kept. */
static void test_anonymize(void **state)
{
	struct history_entry entry = make_entry(3);

	history_anonymize(&entry);
	for (size_t i = 0; i < n_history_fields; i++) {
		const char *name = history_fields[i].name;
		bool is_private = strstr(name, "pid") || strstr(name, "uid") ||
				  strstr(name, "comm") || strstr(name, "cgroup");

		if (history_fields[i].type != HISTORY_BOOL && strcmp(name, "id") != 0)
			assert_true(history_is_known(&history_fields[i], &entry) == !is_private);
		assert_true(history_fields[i].identifies == is_private);
	}
	assert_int_equal(entry.n_ranked, 0);
}

static void test_entry_init_knows_nothing(void **state)
{
	struct history_entry entry;

	memset(&entry, 0x55, sizeof(entry));
	history_entry_init(&entry);
	for (size_t i = 0; i < n_history_fields; i++) {
		const struct history_field *f = &history_fields[i];

		if (f->type == HISTORY_BOOL)
			assert_false(*(const bool *)history_value(f, &entry));
		else if (f->offset != offsetof(struct history_entry, id))
			assert_false(history_is_known(f, &entry));
	}
	assert_int_equal(entry.n_ranked, 0);
	assert_int_equal(entry.id, 0);

	fill(history_fields, n_history_fields, &entry, 1);
	for (size_t i = 0; i < n_history_fields; i++)
		assert_true(history_is_known(&history_fields[i], &entry));
}

static void test_set_text_and_path(void **state)
{
	static const struct {
		bool path;
		size_t size;
		const char *in, *out;
	} cases[] = {
		{ false, 8, "firefox", "firefox" },
		{ false, 8, "chromium", "chromiu" },
		{ false, 8, "abcdef\xc3\xa4", "abcdef" },
		{ false, 16,
		  "a\xff"
		  "b\x1b[",
		  "a\xef\xbf\xbd"
		  "b\x1b[" },
		{ true, 16, "/a.slice/b.scope", "...lice/b.scope" },
		{ true, 16, "/user.slice/b.s", "/user.slice/b.s" },
		{ true, 16, "/", "/" },
		{ true, 8, "/\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "...\xc3\xa4\xc3\xa4" },
		{ true, 8, "/x\xc3\xa4\xc3\xa4zz", "...\xc3\xa4zz" },
		{ true, 8, "/x\xc3\xa4\xc3\xa4zzz", "...zzz" },
		{ true, 8, "/\xff\xff\xff\xff\xff\xff\xff\xff", "...\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[32];

		memset(buf, 'x', sizeof(buf));
		(cases[i].path ? history_set_path : history_set_text)(buf, cases[i].size,
								      cases[i].in);
		assert_true(strlen(buf) < cases[i].size);
		if (strcmp(buf, cases[i].out) != 0)
			fail_msg("%zu: '%s' is not '%s'", i, buf, cases[i].out);
		assert_int_equal(buf[cases[i].size], 'x');
	}
}

static void test_put_counts_up_and_forgets_the_oldest(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	struct history_entry entry;

	assert_int_equal(history_count(history), 0);
	assert_null(history_get(history, 0));
	put_entries(history, 3);
	assert_int_equal(history_count(history), 3);
	assert_int_equal(history_get(history, 0)->id, 3);
	assert_int_equal(history_get(history, 2)->id, 1);
	assert_null(history_get(history, 3));

	put_entries(history, HISTORY_MAX);
	assert_int_equal(history_count(history), HISTORY_MAX);
	assert_int_equal(history_get(history, 0)->id, HISTORY_MAX + 3);
	assert_int_equal(history_get(history, HISTORY_MAX - 1)->id, 4);
	assert_null(history_get(history, HISTORY_MAX));
	assert_memory_equal(history_get(history, 0)->comm, make_entry(HISTORY_MAX).comm,
			    sizeof(entry.comm));
}

static void test_put_changes_what_is_there(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	struct history_entry entry = make_entry(1);
	uint64_t generation;

	history_put(history, &entry);
	assert_int_equal(entry.id, 1);
	put_entries(history, 2);
	generation = history_generation(history);
	history_set_text(entry.outcome, sizeof(entry.outcome), "exited");
	history_put(history, &entry);
	assert_int_not_equal(history_generation(history), generation);
	assert_int_equal(history_count(history), 3);
	assert_string_equal(history_get(history, 2)->outcome, "exited");

	/* The place is another's by now. */
	put_entries(history, HISTORY_MAX);
	history_put(history, &entry);
	assert_int_equal(history_count(history), HISTORY_MAX);
	for (unsigned i = 0; i < HISTORY_MAX; i++)
		assert_int_not_equal(history_get(history, i)->id, 1);
}

/* Text as long as can be, or none: it is kept packed. */
static struct history_entry make_long_entry(unsigned pid, bool is_long)
{
	struct history_entry entry;
	char text[400];

	memset(text, 'a' + (int)(pid % 26), sizeof(text));
	text[is_long ? sizeof(text) - 1 : 0] = '\0';
	history_entry_init(&entry);
	entry.pid = pid;
	entry.footprint_bytes = pid * MIB;
	for (size_t i = 0; i < n_history_fields; i++)
		if (history_fields[i].type == HISTORY_TEXT)
			history_set_text((char *)&entry + history_fields[i].offset,
					 history_fields[i].size, text);
	entry.n_ranked = is_long ? HISTORY_RANKED_MAX : 0;
	for (unsigned i = 0; i < entry.n_ranked; i++) {
		history_ranked_init(&entry.ranked[i]);
		entry.ranked[i].pid = pid + i;
		history_set_text(entry.ranked[i].cgroup, sizeof(entry.ranked[i].cgroup), text);
	}
	return entry;
}

static void test_put_keeps_the_others_whole(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	static struct history_entry put[HISTORY_MAX + 7], copies[HISTORY_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(put); i++) {
		put[i] = make_long_entry(i + 1, i % 3 != 0);
		put[i].id = 0;
		history_put(history, &put[i]);
	}
	/* Each in another place grows, shrinks, or stays as long. */
	for (unsigned i = 7; i < ARRAY_SIZE(put); i += 5) {
		uint64_t id = put[i].id;

		put[i] = make_long_entry(i + 2, i % 2 == 0);
		put[i].id = id;
		history_put(history, &put[i]);
	}
	assert_int_equal(history_copy(history, copies), HISTORY_MAX);
	for (unsigned i = 0; i < HISTORY_MAX; i++) {
		assert_memory_equal(&copies[i], &put[i + 7], sizeof(copies[i]));
		assert_memory_equal(history_get(history, HISTORY_MAX - 1 - i), &put[i + 7],
				    sizeof(copies[i]));
	}
}

static void test_put_allocates_nothing(void **state)
{
	_cleanup_history_ struct history *history = NULL;
	struct history_entry entry;

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	history = make_history();
	fail_malloc = true;
	history_entry_init(&entry);
	history_set_path(entry.cgroup, sizeof(entry.cgroup), "/a");
	for (unsigned i = 0; i < 2 * HISTORY_MAX; i++, entry.id = 0)
		history_put(history, &entry);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_cover_the_record),
		cmocka_unit_test(test_fields_of_the_journal),
		cmocka_unit_test(test_text_of_a_field),
		cmocka_unit_test(test_anonymize),
		cmocka_unit_test(test_entry_init_knows_nothing),
		cmocka_unit_test(test_set_text_and_path),
		cmocka_unit_test(test_put_counts_up_and_forgets_the_oldest),
		cmocka_unit_test(test_put_changes_what_is_there),
		cmocka_unit_test(test_put_keeps_the_others_whole),
		cmocka_unit_test(test_put_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
