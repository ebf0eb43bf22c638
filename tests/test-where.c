/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: the figures and their words. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static const struct memory_counters counters = {
	.total = 1000 * MIB,
	.free = 40 * MIB,
	.cached = 720 * MIB,
	.shmem = 700 * MIB,
	.anon = 90 * MIB,
	.page_tables = 10 * MIB,
	.slab = 60 * MIB,
	.slab_unreclaimable = 50 * MIB,
	.kernel_stack = 2 * MIB, /* less than a 256th */
	.percpu = 8 * MIB,
};

static const struct where_survey survey = {
	.tmpfs = { { "/dev/shm", 400 * MIB }, { "/run\t", 20 * MIB } },
	.n_tmpfs = 2,
	.tmpfs_bytes = 425 * MIB,
	.memfds = { .pid = 7, .comm = "holder", .bytes = 200 * MIB },
	.pipes = { .pid = 8, .comm = "plumber", .n = 64 },
	.sysv_bytes = 30 * MIB,
};

static void test_recorder_is_largest_first(void **state)
{
	static const struct {
		enum where_kind kind;
		uint64_t mib;
	} rows[] = {
		{ WHERE_TMPFS, 400 },	   { WHERE_MEMFDS, 200 }, { WHERE_PROCESSES, 100 },
		{ WHERE_UNACCOUNTED, 70 }, { WHERE_SLAB, 50 },	  { WHERE_SHMEM, 45 },
		{ WHERE_SYSV, 30 },	   { WHERE_TMPFS, 20 },	  { WHERE_PERCPU, 8 },
	};
	struct where_account a;

	where_account(&counters, &survey, &a);
	assert_int_equal(a.n_rows, ARRAY_SIZE(rows));
	for (unsigned i = 0; i < a.n_rows; i++) {
		assert_int_equal(a.rows[i].kind, rows[i].kind);
		assert_int_equal(a.rows[i].bytes / MIB, rows[i].mib);
	}
	assert_true(a.is_surveyed);
}

static void test_recorder_without_a_survey(void **state)
{
	struct where_account a;

	where_account(&counters, NULL, &a);
	assert_int_equal(a.rows[0].kind, WHERE_SHMEM);
	assert_int_equal(a.rows[0].bytes, 700 * MIB);
	assert_false(a.is_surveyed);
}

static void test_few_pipes_explain_nothing(void **state)
{
	struct where_survey few = survey;
	struct where_account a;

	few.pipes.n = WHERE_PIPES_MIN - 1;
	where_account(&counters, &few, &a);
	for (unsigned i = 0; i < a.n_rows; i++)
		if (a.rows[i].kind == WHERE_UNACCOUNTED)
			assert_int_equal(a.rows[i].pid, 0);
}

/* On a machine where hardly any memory is used, there are rows all the same. */
static void test_the_largest_is_reported_however_small(void **state)
{
	const struct memory_counters idle = {
		.total = 1024 * MIB,
		.free = 1018 * MIB,
		.anon = 3 * MIB,
		.slab = 2 * MIB,
		.slab_unreclaimable = 2 * MIB,
	};
	struct where_account a;

	where_account(&idle, NULL, &a);
	assert_int_equal(a.n_rows, 1);
	assert_int_equal(a.rows[0].kind, WHERE_PROCESSES);
}

/* Of memfds that others map, the death of the holder frees nothing. */
static void test_held_is_what_no_process_maps(void **state)
{
	static const struct {
		const char *label;
		uint64_t memfds, pipes;	       /* of the holder, MiB */
		uint64_t shmem, mapped, tmpfs; /* of the machine */
		uint64_t unaccounted;
		bool is_partial;
		uint64_t held;
		bool is_pipes;
	} rows[] = {
		{ "a memfd that is not mapped", 600, 0, 620, 0, 0, 0, false, 600, false },
		{ "one that others map", 600, 0, 620, 620, 0, 0, false, 0, true },
		{ "half of it is mapped", 600, 0, 600, 300, 0, 0, false, 300, false },
		{ "buffers of clients beside a full tmpfs", 500, 0, 1300, 500, 800, 0, false, 0,
		  true },
		{ "the same, the tmpfs is not known", 500, 0, 1300, 500, 0, 0, true, 0, true },
		{ "nearly all of it, though partial", 700, 0, 800, 0, 0, 0, true, 700, false },
		{ "pipes", 0, 700, 0, 0, 0, 750, false, 700, true },
		{ "pipes that the machine does not miss", 0, 700, 0, 0, 0, 20, false, 20, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters c = {
			.total = 4 * GIB,
			.free = 4 * GIB - (rows[i].shmem + rows[i].unaccounted) * MIB - 1,
			.anon = 1,
			.cached = rows[i].shmem * MIB,
			.shmem = rows[i].shmem * MIB,
		};
		const struct where_survey s = {
			.memfds = { .pid = 7,
				    .bytes = rows[i].memfds * MIB,
				    .unmeasured = rows[i].memfds * MIB },
			.pipes = { .pid = 8, .bytes = rows[i].pipes * MIB },
			.tmpfs_bytes = rows[i].tmpfs * MIB,
			.is_partial = rows[i].is_partial,
		};
		struct where_holder holders[WHERE_HOLDERS_MAX];
		unsigned n;

		print_message("%s\n", rows[i].label);
		n = where_holders(&s, &c, rows[i].mapped * MIB, holders);
		assert_int_equal(n, rows[i].held > 0);
		if (n == 0)
			continue;
		assert_int_equal(holders[0].bytes / MIB, rows[i].held);
		assert_int_equal(holders[0].pid, rows[i].is_pipes ? 8 : 7);
		assert_int_equal(holders[0].unmeasured / MIB, rows[i].is_pipes ? 0 : rows[i].held);
	}
}

/* A server holds descriptors of what its clients map; another holds what none maps. */
static void test_held_is_by_measure(void **state)
{
	static const struct {
		const char *label;
		uint64_t server, unmeasured, unmapped, shmem, swapped; /* MiB */
		uint64_t held;
		pid_t pid;
	} rows[] = {
		{ "all of the server's is mapped", 280, 0, 250, 530, 0, 250, 9 },
		{ "no other is there", 280, 0, 0, 280, 0, 0, 8 },
		{ "the server's cannot be seen", 280, 280, 250, 530, 0, 280, 7 },
		{ "an old survey", 0, 0, 250, 100, 0, 100, 9 },
		{ "some is in swap", 0, 0, 250, 100, 100, 200, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters c = {
			.shmem = rows[i].shmem * MIB,
			.swap_total = 1000 * MIB,
			.swap_free = (1000 - rows[i].swapped) * MIB,
		};
		const struct where_survey s = {
			.memfds = { .pid = 7,
				    .bytes = rows[i].server * MIB,
				    .unmeasured = rows[i].unmeasured * MIB },
			.pipes = { .pid = 8 },
			.unmapped = { { .pid = 9, .bytes = rows[i].unmapped * MIB } },
		};
		struct where_holder holders[WHERE_HOLDERS_MAX];
		unsigned n;

		print_message("%s\n", rows[i].label);
		n = where_holders(&s, &c, 0, holders);
		assert_int_equal(n > 0, rows[i].held > 0);
		if (n == 0)
			continue;
		assert_int_equal(holders[0].bytes, rows[i].held * MIB);
		assert_int_equal(holders[0].pid, rows[i].pid);
	}
}

/* A process that holds some of each kind, beside one that holds more of one. */
static void test_kinds_of_one_holder_add_up(void **state)
{
	const struct memory_counters c = {
		.total = 4 * GIB,
		.free = 4 * GIB - 1000 * MIB,
		.anon = 1,
		.cached = 700 * MIB,
		.shmem = 700 * MIB,
	};
	const struct where_survey s = {
		.memfds = { .pid = 7, .bytes = 300 * MIB, .unmeasured = 50 * MIB },
		.unmapped = { { .pid = 8, .bytes = 400 * MIB, .unmeasured = 90 * MIB },
			      { .pid = 7, .bytes = 250 * MIB, .unmeasured = 20 * MIB } },
		.pipes = { .pid = 7, .bytes = 260 * MIB, .n = 300 },
	};
	struct where_holder holders[WHERE_HOLDERS_MAX];

	assert_int_equal(where_holders(&s, &c, 0, holders), 2);
	assert_int_equal(holders[0].pid, 7);
	assert_int_equal(holders[0].bytes, 560 * MIB);
	assert_int_equal(holders[0].unmeasured, 70 * MIB);
	assert_int_equal(holders[1].pid, 8);
	assert_int_equal(holders[1].bytes, 400 * MIB);
	assert_int_equal(holders[1].unmeasured, 90 * MIB);
}

/* What no mapping, tmpfs or descriptor explains may be in files in flight. */
static void test_unexplained(void **state)
{
	static const struct {
		uint64_t mapped, tmpfs, hidden, sysv, held; /* MiB of 700 */
		bool is_partial, has_more, has_other_holders;
		uint64_t unexplained;
	} rows[] = {
		{ .unexplained = 700 },
		{ 100, 50, 20, 5, 200, .unexplained = 325 },
		{ .tmpfs = 701 },
		{ .hidden = UINT64_MAX / MIB },
		{ .is_partial = true },
		{ .has_more = true },
		{ .has_other_holders = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct where_survey s = {
			.tmpfs_bytes = rows[i].tmpfs * MIB,
			.hidden_tmpfs = rows[i].hidden * MIB,
			.sysv_bytes = rows[i].sysv * MIB,
			.held_bytes = rows[i].held * MIB,
			.is_partial = rows[i].is_partial,
			.has_more_receivers = rows[i].has_more,
			.has_other_holders = rows[i].has_other_holders,
		};

		print_message("row %zu\n", i);
		assert_int_equal(where_unexplained(&s, &counters, rows[i].mapped * MIB),
				 rows[i].unexplained * MIB);
	}
}

static void test_files_in_flight_are_named(void **state)
{
	const struct where_survey s = {
		.receivers = { { 7, "few", 1, 0, 0 }, { 8, "many", 9, 0, 0 } },
		.n_receivers = 2,
	};
	struct where_account a;
	char text[WHERE_ROW_SIZE];

	where_account(&counters, &s, &a);
	assert_int_equal(a.rows[0].kind, WHERE_SHMEM);
	assert_int_equal(a.rows[0].pid, 8);
	assert_string_equal(where_row_text(&a.rows[0], text),
			    "other shared memory; files in flight to many (pid 8)");
}

/* More processes hold it than one kill takes, or unrelated ones: it is named, and no victim. */
static void test_a_crowd_is_named(void **state)
{
	static struct held_files files;
	struct where_survey s = { .memfds = { .pid = 7, .comm = "crowd", .bytes = 600 * MIB } };
	struct held_file file = { .device = 1, .inode = 1, .unmapped = 600 * MIB, .pid = 7 };
	struct where_holder holders[WHERE_HOLDERS_MAX];
	struct where_account a;
	struct held_sum sums[2];
	char text[WHERE_ROW_SIZE];

	held_files_add(&files, &file);
	for (pid_t pid = 8; pid < 8 + HELD_OTHERS_MAX + 100; pid++)
		assert_true(held_files_note(&files, 1, 1, pid));
	assert_int_equal(held_files_most(&files, sums, 2), 0);
	assert_int_equal(where_holders(&s, &counters, 0, holders), 0);
	where_account(&counters, &s, &a);
	assert_string_equal(where_row_text(&a.rows[0], text),
			    "memfds held by a descriptor; by crowd (pid 7)");
}

static void test_words(void **state)
{
	char line[512], tiny[16];
	struct where_account a;

	where_account(&counters, &survey, &a);
	assert_string_equal(
		where_line(&a, line, sizeof(line)),
		"400 MiB tmpfs /dev/shm, 200 MiB memfds held by a descriptor; by holder "
		"(pid 7), 100 MiB anonymous memory and page tables of processes, 70.0 "
		"MiB in no process, e.g. pipe and socket buffers; likely held by plumber "
		"(pid 8), 50.0 MiB kernel slab, unreclaimable");
	where_line(&a, tiny, sizeof(tiny));
	assert_int_equal(strlen(tiny), sizeof(tiny) - 1);
	for (unsigned i = 0; i < a.n_rows; i++) {
		char text[WHERE_ROW_SIZE];

		assert_null(strchr(where_row_text(&a.rows[i], text), '\t'));
	}
	a.n_rows = 0;
	assert_string_equal(where_line(&a, line, sizeof(line)), "not known");
}

static void test_only_a_large_change_counts(void **state)
{
	struct where_survey changed = survey;
	struct where_account before, now;

	where_account(&counters, &survey, &before);
	assert_false(where_has_changed(&before, &before));
	changed.tmpfs[0].bytes += 100 * MIB;
	where_account(&counters, &changed, &now);
	assert_false(where_has_changed(&before, &now));
	changed.tmpfs[0].bytes += 50 * MIB;
	where_account(&counters, &changed, &now);
	assert_true(where_has_changed(&before, &now));
	assert_true(where_has_changed(&now, &before));
	changed = survey;
	strcpy(changed.tmpfs[0].path, "/tmp"); /* another one */
	where_account(&counters, &changed, &now);
	assert_true(where_has_changed(&before, &now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorder_is_largest_first),
		cmocka_unit_test(test_recorder_without_a_survey),
		cmocka_unit_test(test_few_pipes_explain_nothing),
		cmocka_unit_test(test_the_largest_is_reported_however_small),
		cmocka_unit_test(test_held_is_what_no_process_maps),
		cmocka_unit_test(test_held_is_by_measure),
		cmocka_unit_test(test_kinds_of_one_holder_add_up),
		cmocka_unit_test(test_unexplained),
		cmocka_unit_test(test_files_in_flight_are_named),
		cmocka_unit_test(test_a_crowd_is_named),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_only_a_large_change_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
