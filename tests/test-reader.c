/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/select/reader.c, on tests/fixtures/proc: 812 has a smaps_rollup that differs from
 * its statm, 1000 has none, 1300 has no statm (it exits between two reads).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/select/reader.h"
#include "lib/select/victim.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE	  4096
#define START_812 54321
/* anonymous, swap, shmem, page tables */
#define STATUS_812  ((100000 + 2048 + 1000 + 300) * KIB)
#define ROLLUP_812  ((100400 + 2048 + 1000 + 300) * KIB)
#define THREADS_812 3
#define ADJ_812	    (-250)

struct fixture {
	int proc_fd;
	struct precise *precise;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *fixtures = getenv("FIXTURES");
	_cleanup_close_ int fd = -EBADF;

	if (!fixture || !fixtures)
		return -1;
	fd = open(fixtures, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->proc_fd = openat(fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return fixture->proc_fd < 0 ? -1 : precise_new(fixture->proc_fd, &fixture->precise);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	precise_free(fixture->precise);
	close(fixture->proc_fd);
	free(fixture);
	return 0;
}

/* A clock on which every read takes 30 ms. */
static usec_t now_usec;

static usec_t slow_clock(void)
{
	return now_usec += 30 * USEC_PER_MSEC;
}

static struct accuracy accuracy_of(enum accuracy_regime regime)
{
	return (struct accuracy){ .regime = regime, .n_cpus = 2, .batch = 32, .page_size = PAGE };
}

static const struct census_process worker = { .pid = 812, .start_ticks = START_812 };

static void test_read_is_as_exact_as_can_be(void **state)
{
	const struct fixture *fixture = *state;
	/* three counters: anonymous, swap, shmem */
	const uint64_t by_threads = 3 * 65 * THREADS_812 * PAGE, by_cpus = 3 * 31 * 2 * PAGE;
	const struct {
		enum accuracy_regime regime;
		bool with_rollup;
		uint64_t footprint;
		uint64_t error;
	} cases[] = {
		{ ACCURACY_PRECISE, true, ROLLUP_812, 0 },
		{ ACCURACY_PRECISE, false, STATUS_812, 0 },
		{ ACCURACY_PER_CPU, true, ROLLUP_812, 0 },
		{ ACCURACY_PER_CPU, false, STATUS_812, by_cpus },
		{ ACCURACY_PER_THREAD, true, ROLLUP_812, 0 },
		{ ACCURACY_PER_THREAD, false, STATUS_812, by_threads },
		{ ACCURACY_UNKNOWN, true, ROLLUP_812, 0 },
		{ ACCURACY_UNKNOWN, false, STATUS_812, by_threads },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct accuracy accuracy = accuracy_of(cases[i].regime);
		struct reader reader = {
			.proc_fd = fixture->proc_fd,
			.accuracy = &accuracy,
			.precise = cases[i].with_rollup ? fixture->precise : NULL,
			.left = USEC_PER_SEC,
			.now = slow_clock,
		};
		struct victim_reading reading = { .error = 12345, .has_reclaimable = true };

		assert_int_equal(reader_read(&worker, &reading, &reader), 0);
		assert_int_equal(proc_reclaimable(&reading.memory), cases[i].footprint);
		assert_int_equal(reading.error, cases[i].error);
		assert_int_equal(reading.oom_score_adj, ADJ_812);
		assert_int_equal(reading.has_reclaimable, cases[i].with_rollup);
		if (reading.has_reclaimable) {
			assert_int_equal(reading.reclaimable.anon, 100400 * KIB);
			assert_int_equal(reading.reclaimable.shmem, 0);
			assert_int_equal(reading.reclaimable.rss_anon, 100000 * KIB);
		}
	}
}

static void test_read_keeps_to_the_budget(void **state)
{
	const struct fixture *fixture = *state;
	struct accuracy accuracy = accuracy_of(ACCURACY_PER_CPU);
	struct reader reader = {
		.proc_fd = fixture->proc_fd,
		.accuracy = &accuracy,
		.precise = fixture->precise,
		.left = 50 * USEC_PER_MSEC,
		.now = slow_clock,
	};
	static const struct {
		uint64_t footprint;
		usec_t left;
	} cases[] = {
		{ ROLLUP_812, 20 * USEC_PER_MSEC },
		{ ROLLUP_812, 0 },
		{ STATUS_812, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct victim_reading reading;

		assert_int_equal(reader_read(&worker, &reading, &reader), 0);
		assert_int_equal(proc_reclaimable(&reading.memory), cases[i].footprint);
		assert_int_equal(reader.left, cases[i].left);
		assert_true((reading.error > 0) == (i == 2));
		assert_true(reading.has_reclaimable == (i < 2));
	}
}

static void test_read_falls_back_where_there_is_no_rollup(void **state)
{
	const struct fixture *fixture = *state;
	struct accuracy accuracy = accuracy_of(ACCURACY_PER_CPU);
	struct census_process process = { .pid = 1 }; /* has no smaps_rollup there */
	struct reader reader = {
		.proc_fd = fixture->proc_fd,
		.accuracy = &accuracy,
		.precise = fixture->precise,
		.left = USEC_PER_SEC,
		.now = slow_clock,
	};
	struct victim_reading reading;
	struct proc_stat stat;

	assert_int_equal(proc_read_stat(fixture->proc_fd, process.pid, &stat), 0);
	process.start_ticks = stat.start_ticks;
	assert_int_equal(reader_read(&process, &reading, &reader), 0);
	assert_true(reading.error > 0);
}

static void test_read_knows_what_has_exited(void **state)
{
	const struct fixture *fixture = *state;
	static const struct census_process cases[] = {
		{ .pid = 812, .start_ticks = START_812 + 1 }, /* another by the same pid */
		{ .pid = 4242, .start_ticks = 1 },
		{ .pid = 1300, .start_ticks = 0 }, /* between two reads */
		{ .pid = 1000, .start_ticks = 0 }, /* a zombie without memory */
	};
	struct accuracy accuracy = accuracy_of(ACCURACY_PRECISE);
	struct reader reader = { .proc_fd = fixture->proc_fd, .accuracy = &accuracy };
	struct victim_reading reading;
	struct proc_stat stat;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct census_process process = cases[i];

		if (process.start_ticks == 0) {
			assert_int_equal(proc_read_stat(fixture->proc_fd, process.pid, &stat), 0);
			process.start_ticks = stat.start_ticks;
		}
		assert_int_equal(reader_read(&process, &reading, &reader), VICTIM_READ_GONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_is_as_exact_as_can_be),
		cmocka_unit_test(test_read_keeps_to_the_budget),
		cmocka_unit_test(test_read_falls_back_where_there_is_no_rollup),
		cmocka_unit_test(test_read_knows_what_has_exited),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
