/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/proc.c: the parsers on what the kernel writes and on what it never would. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define TAIL                                                                                       \
	"1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 20 0 3 0 54321 3133440 376 18446744073709551615\n"

static void test_stat_parse_reads_all_fields(void **state)
{
	struct proc_stat stat;

	assert_int_equal(proc_stat_parse("42 (worker) S " TAIL, &stat), 0);
	assert_int_equal(stat.pid, 42);
	assert_string_equal(stat.comm, "worker");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.flags, 4194304);
	assert_int_equal(stat.n_threads, 3);
	assert_int_equal(stat.start_ticks, 54321);
	assert_int_equal(stat.stack_start, 0); /* cut before it */
	assert_int_equal(proc_stat_parse("42 (worker) S 1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 "
					 "20 0 3 0 54321 3133440 376 18446744073709551615 1 2 "
					 "140735234567890 0 0\n",
					 &stat),
			 0);
	assert_int_equal(stat.stack_start, 140735234567890);
	assert_int_equal(stat.args_length, 0);
	assert_int_equal(
		proc_stat_parse("42 (worker) S 1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 "
				"20 0 3 0 54321 3133440 376 18446744073709551615 1 2 "
				"140735234567890 0 0 0 0 6 0 0 0 0 -1 1 0 0 0 0 0 93 94 95 "
				"140735234568000 140735234568021 140735234568021 "
				"140735234568900 0\n",
				&stat),
		0);
	assert_int_equal(stat.stack_start, 140735234567890);
	assert_int_equal(stat.args_length, 21);
}

static void test_stat_parse_believes_no_name(void **state)
{
	static const char *const names[] = {
		"",
		" ",
		")",
		"(",
		"a b",
		") R 1 (",
		"a) S 1 1 1",
		") Z 1 1 1 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 9 0 7 1",
		"new\nline",
		"\xff\xfe\x80",
		"123456789012345678901234567890123456789012345678901234567890123", /* 63 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct proc_stat stat;
		char text[512];

		(void)snprintf(text, sizeof(text), "42 (%s) S " TAIL, names[i]);
		assert_int_equal(proc_stat_parse(text, &stat), 0);
		assert_string_equal(stat.comm, names[i]);
		assert_int_equal(stat.pid, 42);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.flags, 4194304);
		assert_int_equal(stat.start_ticks, 54321);
	}
}

static void test_stat_parse_refuses_what_no_kernel_writes(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"42",
		"42 ",
		"42 (",
		"42 (worker",
		"42 (worker)",
		"42 (worker) ",
		"42 (worker) S",
		"42 (worker)S " TAIL,
		"42 (worker) Q " TAIL,
		"42 (worker) SS " TAIL,
		"42(worker) S " TAIL,
		"(worker) S " TAIL,
		" 42 (worker) S " TAIL,
		"-42 (worker) S " TAIL,
		"2147483648 (worker) S " TAIL,
		"18446744073709551658 (worker) S " TAIL,
		/* 64 bytes of name */
		"42 (1234567890123456789012345678901234567890123456789012345678901234) S " TAIL,
		/* ppid, flags, threads, start */
		"42 (w) S 2147483648 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 4294967296 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 -1 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 -3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 18446744073709551616 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321\n", /* cut there? */
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 543.21 1\n",
		"42 (w) S 1 7 7 0 - 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 x -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct proc_stat stat = { .pid = 7 };

		if (proc_stat_parse(texts[i], &stat) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(stat.pid, 7); /* left alone */
	}
}

static void test_statm_parse_reads_three_numbers(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"1",
		"1 2 3",
		"1 2\n",
		"-1 2 3 4\n",
		"1 x 3 4\n",
		"1  2 3 4\n",
		"18446744073709551616 2 3 4\n",
		"1 18446744073709551615 3 4\n", /* fits, but not as bytes */
	};
	struct proc_statm statm;

	assert_int_equal(proc_statm_parse("765 423 394 5 0 123 0\n", &statm), 0);
	assert_int_equal(statm.size, 765);
	assert_int_equal(statm.resident, 423);
	assert_int_equal(statm.shared, 394);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_statm_parse(bad[i], &statm), -EBADMSG);
}

static void test_status_parse_takes_names_at_line_starts(void **state)
{
	static const struct {
		const char *text;
		int result;
		uid_t uid;
		uint64_t swap, pagetables;
	} cases[] = {
		{ "Name:\tx\nUid:\t1\t2\t3\t4\nVmPTE:\t  40 kB\nVmSwap:\t  8 kB\n", 0, 2, 8192,
		  40960 },
		{ "Name:\tUid:\t9\t9\t9\t9\nUid:\t1\t2\t3\t4\n", 0, 2 },
		{ "Name:\tVmSwap: 99 kB\nUid:\t1\t4294967295\t3\t4\n", 0, UINT32_MAX },
		/* Cut: what is not whole does not count. */
		{ "Uid:\t1\t2\t3\t4\nVmPTE:\t  40 kB\nVmSwap:\t  8", 0, 2, 0, 40960 },
		{ "Uid:\t1\t2\t3\t4", -EBADMSG },
		{ "", -EBADMSG },
		{ "Name:\tx\n", -EBADMSG },
		{ "Uid:\t1\n", -EBADMSG },
		{ "Uid:\t1\t2\n", -EBADMSG },
		{ "Uid:\t1\t-1\t3\t4\n", -EBADMSG },
		{ "Uid:\t1\t4294967296\t3\t4\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t8 MB\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t8\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t18446744073709551615 kB\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmPTE:\t-8 kB\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_status status = {};

		assert_int_equal(proc_status_parse(cases[i].text, &status), cases[i].result);
		assert_int_equal(status.uid, cases[i].uid);
		assert_int_equal(status.swap_bytes, cases[i].swap);
		assert_int_equal(status.pagetable_bytes, cases[i].pagetables);
	}
}

static void test_rollup_parse_needs_all_three(void **state)
{
	static const char *const bad[] = {
		"",
		"Rss: 4 kB\nAnonymous: 4 kB\n",
		"Rss: 4 kB\nAnonymous: 4 kB\nSwap: 4",
		"Rss: 4 kB\nAnonymous: 4\nSwap: 4 kB\n",
		"Rss: 4 kB\n Anonymous: 4 kB\nSwap: 4 kB\n",
	};
	struct proc_memory memory;

	assert_int_equal(proc_rollup_parse("[rollup]\nRss:   100 kB\nPss_Anon: 9 kB\n"
					   "Anonymous:  60 kB\nSwapPss: 1 kB\nSwap:  8 kB\n",
					   &memory),
			 0);
	assert_int_equal(memory.anon, 60 * KIB);
	assert_int_equal(memory.shared, 40 * KIB);
	assert_int_equal(memory.swap, 8 * KIB);
	assert_int_equal(memory.pagetables, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_rollup_parse(bad[i], &memory), -EBADMSG);
}

/* All four, on a text in memory of its very size; a number that is accepted must be `right`. */
static void feed(const char *text, size_t length, const struct proc_stat *right)
{
	char *copy = malloc(length + 1);
	struct proc_stat stat;
	struct proc_statm statm;
	struct proc_status status;
	struct proc_memory memory;

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (proc_stat_parse(copy, &stat) == 0 && right) {
		assert_int_equal(stat.start_ticks, right->start_ticks);
		assert_int_equal(stat.n_threads, right->n_threads);
	}
	(void)proc_statm_parse(copy, &statm);
	(void)proc_status_parse(copy, &status);
	(void)proc_rollup_parse(copy, &memory);
	free(copy);
}

static void test_parsers_survive_cut_and_random_texts(void **state)
{
	static const char *const texts[] = {
		("42 (w) R (x) S " TAIL),
		"765 423 394 5 0 123 0\n",
		"Name:\tx\nUid:\t1\t2\t3\t4\nVmPTE:\t      40 kB\nVmSwap:\t       8 kB\n",
		"Rss: 4 kB\nAnonymous: 4 kB\nSwap: 4 kB\n",
	};
	static const char alphabet[] = "0123456789 ():\t\n-kBSRUidVmSwap\xff";
	const struct proc_stat right = { .start_ticks = 54321, .n_threads = 3 };
	unsigned seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t length = 0; length <= strlen(texts[i]); length++)
			feed(texts[i], length, &right);

	for (unsigned i = 0; i < 20000; i++) {
		const char *base = texts[i % ARRAY_SIZE(texts)];
		size_t length = strlen(base);
		char text[512];

		memcpy(text, base, length);
		for (unsigned n = (unsigned)rand_r(&seed) % 4 + 1; n > 0; n--)
			text[(unsigned)rand_r(&seed) % length] =
				alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		feed(text, length, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_parse_reads_all_fields),
		cmocka_unit_test(test_stat_parse_believes_no_name),
		cmocka_unit_test(test_stat_parse_refuses_what_no_kernel_writes),
		cmocka_unit_test(test_statm_parse_reads_three_numbers),
		cmocka_unit_test(test_status_parse_takes_names_at_line_starts),
		cmocka_unit_test(test_rollup_parse_needs_all_three),
		cmocka_unit_test(test_parsers_survive_cut_and_random_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
