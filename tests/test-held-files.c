/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held-files: which process alone holds most, in tables; unmapped: on two threads. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"
#include "lib/domain/held-files.h"
#include "lib/domain/unmapped.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static const struct {
	const char *label;
	struct {
		pid_t pid;
		uint64_t inode;
		uint64_t unmapped; /* MiB */
	} links[6];
	pid_t pid;
	uint64_t most;
	pid_t next; /* 0: there is none */
	uint64_t together;
	pid_t other;
} rows_of_most[] = {
	{ "none", { { 0 } }, 0, 0 },
	{ "one", { { 7, 1, 250 } }, 7, 250 },
	{ "by two descriptors", { { 7, 1, 250 }, { 7, 1, 250 } }, 7, 250 },
	{ "all that a server holds is mapped by its clients",
	  { { 5, 1, 0 }, { 5, 2, 0 }, { 7, 3, 250 } },
	  7,
	  250 },
	{ "the sum counts",
	  { { 5, 1, 90 }, { 6, 2, 150 }, { 8, 3, 80 }, { 8, 4, 80 } },
	  8,
	  160,
	  6 },
	{ "what another holds as well is freed with both",
	  { { 5, 1, 300 }, { 6, 1, 300 }, { 6, 2, 10 } },
	  5,
	  0,
	  6,
	  300,
	  6 },
	{ "some of it alone",
	  { { 5, 1, 300 }, { 5, 2, 40 }, { 6, 1, 300 }, { 6, 1, 300 } },
	  5,
	  40,
	  0,
	  300,
	  6 },
	{ "two that are held by the same other",
	  { { 5, 1, 300 }, { 5, 2, 40 }, { 6, 1, 300 }, { 6, 2, 40 } },
	  5,
	  0,
	  0,
	  340,
	  6 },
	{ "a process has a second turn",
	  { { 9, 1, 40 }, { 7, 2, 100 }, { 8, 3, 150 }, { 7, 4, 100 }, { 9, 5, 30 } },
	  7,
	  200,
	  8 },
	{ "shared by all, and mapped", { { 5, 1, 0 }, { 6, 1, 0 } }, 0, 0 },
};

static void test_most(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_most); i++) {
		static struct held_files files;
		struct held_sum sums[2];
		unsigned n;

		held_files_clear(&files);
		print_message("%s\n", rows_of_most[i].label);
		for (size_t k = 0;
		     k < ARRAY_SIZE(rows_of_most[i].links) && rows_of_most[i].links[k].pid; k++) {
			const struct held_file file = {
				.device = 1,
				.inode = rows_of_most[i].links[k].inode,
				.unmapped = rows_of_most[i].links[k].unmapped * MIB,
				.pid = rows_of_most[i].links[k].pid,
			};

			if (!held_files_note(&files, 1, file.inode, file.pid))
				held_files_add(&files, &file);
		}
		n = held_files_most(&files, sums, 2);
		assert_int_equal(n, (rows_of_most[i].pid != 0) + (rows_of_most[i].next != 0));
		if (n > 0) {
			assert_int_equal(sums[0].bytes, rows_of_most[i].most * MIB);
			assert_int_equal(sums[0].pid, rows_of_most[i].pid);
			assert_int_equal(sums[0].together, rows_of_most[i].together * MIB);
			assert_int_equal(sums[0].n_others, rows_of_most[i].other != 0);
			assert_int_equal(sums[0].others[0], rows_of_most[i].other);
		}
		if (n > 1)
			assert_int_equal(sums[1].pid, rows_of_most[i].next);
	}
}

/* Some have a second turn: those of which the rest is read later, and for mappings. */
static void test_the_files_of_a_process_in_any_order(void **state)
{
	enum { N = 500 };
	static struct held_files files;
	static struct held_sum sums[N];

	held_files_clear(&files);
	for (unsigned k = 0; k < 2 * N; k++)
		held_files_add(&files, &(struct held_file){
					       .device = 1,
					       .inode = k + 1,
					       .unmapped = MIB,
					       .pid = (pid_t)(1 + k * 377 % N),
				       });
	assert_int_equal(held_files_most(&files, sums, N), N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(sums[i].bytes, 2 * MIB);
}

static void test_a_file_that_many_hold_counts_for_none(void **state)
{
	static struct held_files files;
	struct held_file file = { .device = 1, .inode = 1, .unmapped = MIB, .pid = 7 };
	struct held_sum sum;

	held_files_add(&files, &file);
	for (pid_t pid = 8; pid < 8 + HELD_OTHERS_MAX; pid++)
		assert_true(held_files_note(&files, 1, 1, pid));
	assert_int_equal(held_files_most(&files, &sum, 1), 1);
	assert_int_equal(sum.n_others, HELD_OTHERS_MAX);
	assert_int_equal(sum.others[HELD_OTHERS_MAX - 1], 7 + HELD_OTHERS_MAX);

	/* Another file of its, which others hold: they would be too many. */
	file.inode = 2;
	held_files_add(&files, &file);
	assert_true(held_files_note(&files, 1, 2, 9000));
	assert_int_equal(held_files_most(&files, &sum, 1), 1);
	assert_int_equal(sum.together, MIB);
	assert_int_equal(sum.n_others, HELD_OTHERS_MAX);

	for (pid_t pid = 10000; pid < 10000 + HELD_LINKS_MAX; pid++)
		assert_true(held_files_note(&files, 1, 1, pid));
	assert_int_equal(held_files_most(&files, &sum, 1), 1);
	assert_int_equal(sum.n_others, 1);
	assert_int_equal(sum.others[0], 9000);
	/* Nor does it take the place of others. */
	assert_int_equal(files.n_links, HELD_OTHERS_MAX + 1);
}

/* The others of all files are in one list. */
static void test_the_links_of_all_files_are_bounded(void **state)
{
	enum { N_FILES = HELD_LINKS_MAX / HELD_OTHERS_MAX + 1 };
	static struct held_files files;
	struct held_sum sums[2];

	held_files_clear(&files);
	for (uint64_t inode = 1; inode <= N_FILES; inode++) {
		const struct held_file file = {
			.device = 1, .inode = inode, .unmapped = MIB, .pid = (pid_t)inode
		};

		held_files_add(&files, &file);
	}
	for (uint64_t inode = 1; inode <= N_FILES; inode++)
		for (pid_t pid = 1000; pid < 1000 + HELD_OTHERS_MAX; pid++)
			for (unsigned n = 0; n < 2; n++) /* by two descriptors */
				assert_true(held_files_note(&files, 1, inode, pid));
	assert_int_equal(files.n_links, HELD_LINKS_MAX);
	assert_int_equal(held_files_most(&files, sums, 2), 2);
	assert_int_equal(sums[0].pid, 1);
	assert_int_equal(sums[0].n_others, HELD_OTHERS_MAX);
	for (unsigned i = 0; i < HELD_OTHERS_MAX; i++)
		assert_int_equal(sums[0].others[i], 1000 + i);
	/* The last of them came too late. */
	assert_true(files.files[N_FILES - 1].is_crowded);
	assert_false(files.files[0].is_crowded);
}

/* The small ones of a process are added up, where there are too many files. */
static void test_many_small_files_do_not_hide_a_large_one(void **state)
{
	static const struct {
		const char *label;
		pid_t n_before, n_after; /* processes with 1,000 small ones each */
		uint64_t small;		 /* KiB */
		unsigned n_own;		 /* of the one that holds most: so many */
		uint64_t own;		 /* of so many KiB */
	} rows[] = {
		{ "there is room", 2, 2, 4, 1, 600 * 1024 },
		{ "it is the last", 9, 0, 4, 1, 600 * 1024 },
		{ "it is the first", 0, 9, 4, 1, 600 * 1024 },
		{ "in the middle of many", 90, 90, 60, 1, 600 * 1024 },
		{ "what it has is small, too", 9, 9, 4, 6000, 100 },
		{ "all are equal", 9, 9, 100, 6000, 100 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t n = rows[i].n_before + 1 + rows[i].n_after;
		uint64_t inode = 0, all = rows[i].n_own * rows[i].own * KIB;
		static struct held_files files;
		struct held_sum sums[2];

		print_message("%s\n", rows[i].label);
		held_files_clear(&files);
		for (pid_t pid = 1; pid <= n; pid++) {
			bool is_it = pid == rows[i].n_before + 1;

			for (unsigned k = 0; k < (is_it ? rows[i].n_own : 1000); k++)
				held_files_add(&files, &(struct held_file){
							       .device = 1,
							       .inode = ++inode,
							       .unmapped = (is_it ? rows[i].own
										  : rows[i].small) *
									   KIB,
							       .pid = pid,
						       });
			assert_in_range(files.n, 1, HELD_FILES_MAX);
		}
		assert_in_range(held_files_most(&files, sums, 2), 1, 2);
		assert_int_equal(sums[0].pid, rows[i].n_before + 1);
		assert_in_range(sums[0].bytes, all / 8 * 7, all);
		assert_int_equal(sums[0].unsure, 0);

		/* Of another survey. */
		held_files_clear(&files);
		for (inode = 1; inode <= 2; inode++)
			held_files_add(&files, &(struct held_file){
						       .inode = inode, .unmapped = KIB, .pid = 1 });
		assert_int_equal(files.n, 2);
	}
}

static struct held_sum sum_of(struct held_files *files, pid_t pid)
{
	static struct held_sum sums[4];
	unsigned n = held_files_most(files, sums, ARRAY_SIZE(sums)), i = 0;

	while (i < n && sums[i].pid != pid)
		i++;
	assert_in_range(i + 1, 1, n);
	return sums[i];
}

static void add_many(struct held_files *files, struct held_file file, unsigned n)
{
	while (n-- > 0) {
		held_files_add(files, &file);
		file.inode++;
	}
}

/* A range of inodes is of one device. */
static void test_small_files_of_several_devices_are_unsure(void **state)
{
	const uint64_t all = 5000 * 64 * KIB;
	static const struct {
		const char *label;
		unsigned n_devices;
		uint64_t unsure; /* KiB, of each */
		uint64_t expected;
	} rows[] = {
		{ "one", 1, 0, 0 },
		{ "two", 2, 0, all - 64 * KIB }, /* (one is known by itself) */
		{ "one, and each is unsure", 1, 16, all / 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct held_files files;

		print_message("%s\n", rows[i].label);
		held_files_clear(&files);
		for (unsigned k = 0; k < 5000; k++)
			held_files_add(&files, &(struct held_file){
						       .device = 1 + k % rows[i].n_devices,
						       .inode = k + 1,
						       .unmapped = 64 * KIB,
						       .unsure = rows[i].unsure * KIB,
						       .pid = 7,
					       });
		assert_int_equal(sum_of(&files, 7).bytes, all);
		assert_int_equal(sum_of(&files, 7).unsure, rows[i].expected);
	}
}

/* What was added up is so twice, or more often. */
static void test_what_is_known_of_a_sum_is_kept(void **state)
{
	const struct held_file of_it = {
		.device = 1, .inode = 1000, .unmapped = 64 * KIB, .pid = 7
	};
	const struct held_file of_others = { .device = 3, .inode = 1, .unmapped = MIB, .pid = 9 };
	const struct held_file same = { .device = 1, .inode = 1500, .unmapped = 4 * KIB, .pid = 8 };
	struct held_file later = of_it;
	static struct held_files files;

	/* The range of its inodes. */
	held_files_clear(&files);
	add_many(&files, of_it, 5000);
	add_many(&files, of_others, 5000);
	assert_int_equal(sum_of(&files, 7).unsure, 0);
	held_files_add(&files, &same);
	assert_int_equal(sum_of(&files, 7).unsure, 5000 * 64 * KIB);

	/* That others may hold them. */
	held_files_clear(&files);
	add_many(&files, of_it, 5000);
	held_files_add(&files, &same);
	later.inode = 100000;
	add_many(&files, later, 100);
	assert_int_equal(sum_of(&files, 7).unsure, HELD_FILES_MAX * 64 * KIB); /* the first ones */
	add_many(&files, of_others, 5000);
	assert_int_equal(sum_of(&files, 7).bytes, 5100 * 64 * KIB);
	assert_int_equal(sum_of(&files, 7).unsure, 5100 * 64 * KIB);
}

/* A child that has inherited them, or others that were made before, after, or in the same time. */
static void test_small_files_that_others_may_hold(void **state)
{
	static const struct {
		const char *label;
		uint64_t from, step; /* of the other's inodes */
		dev_t device;
		bool is_unsure;
	} rows[] = {
		{ "the same", 1000, 1, 1, true }, { "some of them", 5990, 1, 1, true },
		{ "before", 1, 0, 1, false },	  { "after", 7000, 1, 1, false },
		{ "beside", 1000, 2, 1, true },	  { "on another device", 1000, 1, 2, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct held_files files;
		struct held_file file = { .device = 1, .unmapped = 64 * KIB, .pid = 7 };
		struct held_sum sum;

		print_message("%s\n", rows[i].label);
		held_files_clear(&files);
		for (file.inode = 1000; file.inode < 6000; file.inode++)
			held_files_add(&files, &file);
		file = (struct held_file){ .device = rows[i].device,
					   .inode = rows[i].from,
					   .unmapped = 4 * KIB,
					   .pid = 8 };
		for (unsigned k = 0; k < 500; k++, file.inode += rows[i].step)
			if (!held_files_note(&files, file.device, file.inode, file.pid))
				held_files_add(&files, &file);
		assert_int_equal(held_files_most(&files, &sum, 1), 1);
		assert_int_equal(sum.pid, 7);
		assert_int_equal(sum.bytes, 5000 * 64 * KIB);
		assert_int_equal(sum.unsure > 0, rows[i].is_unsure);
		assert_true(sum.unsure <= sum.bytes);
	}
}

/* One by one, and added up. */
static void test_what_another_user_has_created(void **state)
{
	static struct held_files files;
	struct held_sum sum;

	held_files_clear(&files);
	for (uint64_t inode = 1; inode <= 2 * HELD_FILES_MAX; inode++) {
		const bool is_large = inode == HELD_FILES_MAX,
			   is_foreign = is_large || inode % 4 == 0;
		const uint64_t bytes = is_large ? GIB : 4 * KIB;

		held_files_add(&files, &(struct held_file){
					       .device = 1,
					       .inode = inode,
					       .unmapped = bytes,
					       .pid = 7,
					       .foreign = is_foreign ? bytes : 0,
					       .creator = is_large ? 1001 : 1002,
				       });
	}
	assert_int_equal(held_files_most(&files, &sum, 1), 1);
	assert_int_equal(sum.bytes, GIB + (2 * HELD_FILES_MAX - 1) * 4 * KIB);
	assert_int_equal(sum.foreign, GIB + (HELD_FILES_MAX / 2 - 1) * 4 * KIB);
	assert_int_equal(sum.creator, 1001);
}

static void test_another_device_is_another_file(void **state)
{
	static struct held_files files;
	const struct held_file file = { .device = 1, .inode = 1, .pid = 7 };

	held_files_add(&files, &file);
	assert_false(held_files_note(&files, 2, 1, 7));
}

struct measuring {
	char name[16];
	int dir_fd, pagemap_fd;
	uint64_t size;
	unsigned n_wrong;
};

static void *measure_often(void *userdata)
{
	struct measuring *m = userdata;
	uint64_t unmapped;

	for (unsigned i = 0; i < 5000; i++)
		m->n_wrong += unmapped_measure(m->dir_fd, m->name, m->pagemap_fd, m->size,
					       &unmapped) < 0 ||
			      unmapped < m->size / 10 * 9;
	return NULL;
}

/* Two surveys are made at a time.  What one maps to measure it is no mapping for the other one. */
static void test_two_threads_measure_the_same_file(void **state)
{
	struct measuring measuring[2] = { { .size = 4 * MIB } };
	_cleanup_close_ int fd = memfd_create("held", MFD_CLOEXEC);
	static const char bytes[4 * MIB];
	pthread_t other;

	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	snprintf(measuring[0].name, sizeof(measuring[0].name), "%d", fd);
	measuring[0].dir_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	measuring[0].pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	measuring[1] = measuring[0];
	assert_int_equal(pthread_create(&other, NULL, measure_often, &measuring[1]), 0);
	measure_often(&measuring[0]);
	assert_int_equal(pthread_join(other, NULL), 0);
	close(measuring[0].dir_fd);
	close(measuring[0].pagemap_fd);
	/* (All are, where the kernel cannot tell.  A survey of another process, such as of a test
	 * that runs at the same time, may map the page, too.) */
	assert_in_range(measuring[0].n_wrong + measuring[1].n_wrong, 0,
			measuring[0].n_wrong == 5000 && measuring[1].n_wrong == 5000 ? 10000 : 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_the_files_of_a_process_in_any_order),
		cmocka_unit_test(test_a_file_that_many_hold_counts_for_none),
		cmocka_unit_test(test_the_links_of_all_files_are_bounded),
		cmocka_unit_test(test_many_small_files_do_not_hide_a_large_one),
		cmocka_unit_test(test_small_files_that_others_may_hold),
		cmocka_unit_test(test_small_files_of_several_devices_are_unsure),
		cmocka_unit_test(test_what_is_known_of_a_sum_is_kept),
		cmocka_unit_test(test_what_another_user_has_created),
		cmocka_unit_test(test_another_device_is_another_file),
		cmocka_unit_test(test_two_threads_measure_the_same_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
