/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/psi.c: texts, triggers on plain files and on this machine, and averages over
 * histories with a clock of our own.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/psi.h"
#include "tests/fixture-fd.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define SOME "some avg10=12.34 avg60=5.00 avg300=0.99 total=123456789\n"
#define FULL "full avg10=10.00 avg60=4.05 avg300=0.00 total=98765432\n"

static void test_parse_reads_both_lines(void **state)
{
	struct psi_reading reading;

	assert_int_equal(psi_parse(SOME FULL, &reading), 0);
	assert_int_equal(reading.some.avg10, 1234);
	assert_int_equal(reading.some.avg60, 500);
	assert_int_equal(reading.some.avg300, 99);
	assert_int_equal(reading.some.total, 123456789);
	assert_int_equal(reading.full.avg10, 1000);
	assert_int_equal(reading.full.avg60, 405);
	assert_int_equal(reading.full.avg300, 0);
	assert_int_equal(reading.full.total, 98765432);
}

static void test_parse_refuses_other_texts(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		FULL,
		FULL SOME,
		SOME "full\n",
		SOME SOME,
		SOME FULL FULL,
		SOME "\n",
		"some avg10=12.34 avg60=5.00 avg300=0.99 total=1",
		"some avg10=12.34 avg60=5.00 avg300=0.99 total=\n",
		"some avg10=12.34 avg60=5.00 avg300=0.99\n",
		"some avg10=12.3 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=12.345 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=12 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=.34 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=-1.34 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=100.01 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=101.00 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=4294967296.00 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=18446744073709551616.00 avg60=5.00 avg300=0.99 total=1\n",
		"some avg10=12.34 avg60=5.00 avg300=0.99 total=18446744073709551616\n",
		"some avg10=12.34 avg60=5.00 avg300=0.99 total=-1\n",
		"some  avg10=12.34 avg60=5.00 avg300=0.99 total=1\n",
		"some avg60=12.34 avg10=5.00 avg300=0.99 total=1\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct psi_reading reading = { .some.total = 7 };

		if (psi_parse(texts[i], &reading) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(reading.some.total, 7);
	}
}

static void feed(const char *text, size_t length)
{
	char *copy = malloc(length + 1);
	struct psi_reading reading;

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (psi_parse(copy, &reading) == 0) {
		assert_true(reading.some.avg10 <= PERMYRIAD);
		assert_true(reading.full.avg300 <= PERMYRIAD);
	}
	free(copy);
}

static void test_parse_survives_cut_and_random_texts(void **state)
{
	static const char text[] = SOME FULL;
	static const char alphabet[] = "0123456789 .=\nsomefullavgtotal\xff";
	const size_t length = sizeof(text) - 1;
	unsigned seed = 1;

	for (size_t i = 0; i <= length; i++) {
		struct psi_reading reading;
		char cut[sizeof(text)];

		feed(text, i);
		/* A cut text is refused, but where it is whole without the rest. */
		memcpy(cut, text, i);
		cut[i] = '\0';
		assert_int_equal(psi_parse(cut, &reading),
				 i == length || i == strlen(SOME) ? 0 : -EBADMSG);
	}
	for (unsigned i = 0; i < 20000; i++) {
		char random[sizeof(text)];

		memcpy(random, text, sizeof(text));
		for (unsigned n = (unsigned)rand_r(&seed) % 4 + 1; n > 0; n--)
			random[(unsigned)rand_r(&seed) % length] =
				alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		feed(random, length);
	}
}

static void test_read_of_fixtures(void **state)
{
	_cleanup_close_ int psi_fd = fixture_fd("psi");
	struct psi_reading reading;

	assert_int_equal(psi_read(psi_fd, "memory", &reading), 0);
	assert_int_equal(reading.full.total, 98765432);
	assert_int_equal(psi_read(psi_fd, "some-only", &reading), 0);
	assert_int_equal(reading.some.avg10, PERMYRIAD);
	assert_true(reading.some.total == UINT64_MAX);
	assert_int_equal(reading.full.total, 0);
	assert_int_equal(psi_read(psi_fd, "garbage", &reading), -EBADMSG);
	assert_int_equal(psi_read(psi_fd, "none", &reading), -ENOENT);
}

static unsigned count_fds(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	return n;
}

/* What is written, to the byte: psi_write() overwrites the last one. */
static void test_trigger_open_writes_text_with_nul(void **state)
{
	static const struct {
		struct psi_trigger trigger;
		const char *text;
	} cases[] = {
		{ { false, 150000, 2000000 }, "some 150000 2000000" },
		{ { true, 1, 10000000 }, "full 1 10000000" },
		{ { true, UINT32_MAX, UINT32_MAX }, "full 4294967295 4294967295" },
	};
	char path[] = "/tmp/test-psi-XXXXXX", buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int file = -EBADF, fd = -EBADF;

		strcpy(path, "/tmp/test-psi-XXXXXX");
		file = mkstemp(path);
		assert_true(file >= 0);
		fd = psi_trigger_open(AT_FDCWD, path, &cases[i].trigger);
		unlink(path);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK),
				 O_RDWR | O_NONBLOCK);
		assert_int_equal(io_read_fd(file, buf, sizeof(buf)), strlen(cases[i].text) + 1);
		assert_string_equal(buf, cases[i].text);
	}
}

static void test_trigger_open_leaves_nothing_behind_when_it_fails(void **state)
{
	_cleanup_close_ int psi_fd = fixture_fd("psi");
	const struct psi_trigger trigger = { false, 150000, 2000000 };
	const struct psi_trigger too_long = { false, 150000, (usec_t)UINT32_MAX + 1 };
	unsigned before = count_fds();

	assert_int_equal(psi_trigger_open(psi_fd, "none", &trigger), -ENOENT);
	assert_int_equal(psi_trigger_open(psi_fd, ".", &trigger), -EISDIR);
	assert_int_equal(psi_trigger_open(AT_FDCWD, "/dev/full", &trigger), -ENOSPC);
	assert_int_equal(psi_trigger_open(AT_FDCWD, "/dev/null", &too_long), -EINVAL);
	assert_int_equal(count_fds(), before);
}

static void test_trigger_open_on_this_machine(void **state)
{
	static const struct {
		struct psi_trigger trigger;
		bool valid;
	} cases[] = {
		{ { false, 150000, 2000000 }, true },
		{ { true, 2000000, 2000000 }, true },
		{ { false, 2000001, 2000000 }, false }, /* stalls longer than the window */
		{ { false, 0, 2000000 }, false },
		{ { false, 150000, 12000000 }, false }, /* windows are up to 10 s */
		/* lost its last digit, this would be valid */
		{ { false, 150000, 20000000 }, false },
	};
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct psi_reading reading;
	unsigned before = count_fds();
	int r;

	r = psi_read(proc_fd, "pressure/memory", &reading);
	if (r < 0) {
		print_message("no pressure information here: %s\n", strerror(-r));
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd =
			psi_trigger_open(proc_fd, "pressure/memory", &cases[i].trigger);
		struct pollfd pollfd = { .fd = fd, .events = POLLPRI };

		if (i == 0 && (fd == -EACCES || fd == -EPERM || fd == -EINVAL)) {
			print_message("no trigger is permitted here: %s\n", strerror(-fd));
			skip();
		}
		if (!cases[i].valid) {
			assert_int_equal(fd, -EINVAL);
			assert_int_equal(count_fds(), before);
			continue;
		}
		assert_true(fd >= 0);
		/* An fd without a trigger would say POLLERR at once. */
		assert_true(poll(&pollfd, 1, 0) >= 0);
		assert_int_equal(pollfd.revents & POLLERR, 0);
	}
}

/* The clock and the counters of a machine that stalls by `share` permyriad of the time. */
struct machine {
	struct psi_history history;
	struct psi_reading reading;
	usec_t now;
};

static void run(struct machine *machine, usec_t span, usec_t step, unsigned share)
{
	for (usec_t end = machine->now + span; machine->now < end;) {
		machine->now += step;
		machine->reading.some.total += step * share / PERMYRIAD;
		machine->reading.full.total += step * share / PERMYRIAD / 2;
		psi_history_add(&machine->history, machine->now, &machine->reading);
	}
}

static void test_history_averages_over_the_window(void **state)
{
	/* However often readings come: more often than a step, just so, or less. */
	static const usec_t steps[] = { 1000, 10000, 100000, 249000, 250000, 251000, 1000000 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct machine machine = { .now = 1000 * USEC_PER_SEC };
		usec_t slack = 2 * (PSI_STEP_USEC > steps[i] ? PSI_STEP_USEC : steps[i]);
		usec_t began, stalled;
		unsigned some;

		run(&machine, 40 * USEC_PER_SEC, steps[i], 0);
		began = machine.now;
		run(&machine, 5 * USEC_PER_SEC, steps[i], 8000);
		stalled = (machine.now - began) * 8000;

		/* The window may begin up to a sample's distance earlier, when it was calm. */
		some = psi_history_some(&machine.history, 5 * USEC_PER_SEC);
		assert_in_range(some, stalled / (5 * USEC_PER_SEC + slack), 8000);
		assert_in_range(psi_history_full(&machine.history, 5 * USEC_PER_SEC), some / 2 - 1,
				some / 2);
		assert_in_range(psi_history_some(&machine.history, 10 * USEC_PER_SEC),
				stalled / (10 * USEC_PER_SEC + slack),
				stalled / (10 * USEC_PER_SEC));
		assert_in_range(psi_history_some(&machine.history, USEC_PER_SEC), 7990, 8000);
		/* The longest that is promised. */
		assert_in_range(psi_history_some(&machine.history, PSI_HISTORY_USEC),
				stalled / (PSI_HISTORY_USEC + slack), stalled / PSI_HISTORY_USEC);
	}
}

static void test_history_is_silent_until_the_window_is_full(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	assert_int_equal(psi_history_some(&machine.history, 0), 0);
	run(&machine, PSI_STEP_USEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 0), 0); /* one sample */
	run(&machine, 5 * USEC_PER_SEC - PSI_STEP_USEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 0);
	run(&machine, PSI_STEP_USEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 10000);
	assert_int_equal(psi_history_full(&machine.history, 5 * USEC_PER_SEC), 5000);
	assert_int_equal(psi_history_some(&machine.history, 1000 * USEC_PER_SEC), 0);
}

/* All that stopped and went on: the gap is in the average. */
static void test_history_spreads_a_stall_over_a_gap(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	run(&machine, 10 * USEC_PER_SEC, PSI_STEP_USEC, 0);
	machine.now += 20 * USEC_PER_SEC;
	machine.reading.full.total += 4 * USEC_PER_SEC;
	psi_history_add(&machine.history, machine.now, &machine.reading);
	assert_int_equal(psi_history_full(&machine.history, 5 * USEC_PER_SEC), 2000);
	assert_int_equal(psi_history_full(&machine.history, USEC_PER_SEC), 2000);

	/* Calm since: with each second the gap is more of the past; after five it is out. */
	run(&machine, USEC_PER_SEC, PSI_STEP_USEC, 0);
	assert_in_range(psi_history_full(&machine.history, 5 * USEC_PER_SEC), 1800, 2000);
	run(&machine, 4 * USEC_PER_SEC, PSI_STEP_USEC, 0);
	assert_int_equal(psi_history_full(&machine.history, 5 * USEC_PER_SEC), 0);
}

static void test_history_newest_is_always_the_last_reading(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	run(&machine, 2 * USEC_PER_SEC, PSI_STEP_USEC, 0);
	/* Three readings at once, within a step. */
	run(&machine, 30000, 10000, 10000);
	assert_in_range(psi_history_some(&machine.history, PSI_STEP_USEC),
			30000 * 10000 / 280000 - 1, 30000 * 10000 / 280000);
	assert_int_equal(machine.history.n_samples, 8 + 1);
	run(&machine, 30000, 10000, 10000);
	assert_int_equal(machine.history.n_samples, 8 + 1);
}

static void test_history_keeps_samples_a_step_apart(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };
	unsigned seed = 1;

	for (unsigned i = 0; i < 5000; i++) {
		const struct psi_history *history = &machine.history;
		usec_t step = (usec_t)rand_r(&seed) % 400000;

		machine.now += step;
		psi_history_add(&machine.history, machine.now, &machine.reading);
		for (unsigned j = 2; j < history->n_samples; j++) {
			unsigned at = (history->head + 2 * PSI_SAMPLES - j) % PSI_SAMPLES;
			unsigned before = (at + PSI_SAMPLES - 1) % PSI_SAMPLES;

			assert_true(history->samples[at].at - history->samples[before].at >=
				    PSI_STEP_USEC);
		}
	}
	assert_int_equal(machine.history.n_samples >= PSI_SAMPLES - 1, true);
}

static void test_history_starts_anew_when_a_counter_is_reset(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	run(&machine, 10 * USEC_PER_SEC, PSI_STEP_USEC, 10000);
	machine.reading = (struct psi_reading){};
	run(&machine, 4 * USEC_PER_SEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 0);
	assert_int_equal(psi_history_some(&machine.history, 3 * USEC_PER_SEC), 10000);

	machine.now = 5 * USEC_PER_SEC;
	run(&machine, 4 * USEC_PER_SEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 0);
	assert_int_equal(psi_history_some(&machine.history, 3 * USEC_PER_SEC), 10000);
	assert_int_equal(machine.history.n_samples, 16);

	/* either of the two */
	machine.reading.some.total--;
	run(&machine, PSI_STEP_USEC, PSI_STEP_USEC, 0);
	assert_int_equal(machine.history.n_samples, 1);
	run(&machine, PSI_STEP_USEC, PSI_STEP_USEC, 0);
	assert_int_equal(machine.history.n_samples, 2);
	machine.reading.full.total--;
	run(&machine, PSI_STEP_USEC, PSI_STEP_USEC, 0);
	assert_int_equal(machine.history.n_samples, 1);
}

/* The clock stands still in a suspend; the counters may not. */
static void test_history_starts_anew_when_totals_outrun_the_clock(void **state)
{
	static const struct {
		usec_t elapsed, some, full;
		unsigned n_samples; /* of two, after it */
	} cases[] = {
		{ USEC_PER_SEC, USEC_PER_SEC, USEC_PER_SEC, 2 },
		{ USEC_PER_SEC, 3 * USEC_PER_SEC, 0, 2 }, /* read a little later */
		{ USEC_PER_SEC, 3 * USEC_PER_SEC + 1, 0, 1 },
		{ USEC_PER_SEC, 0, 3 * USEC_PER_SEC + 1, 1 },
		{ USEC_PER_SEC, UINT64_MAX / 2, UINT64_MAX / 2, 1 },
		{ 3600 * USEC_PER_SEC, 3600 * USEC_PER_SEC, 0, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine machine = { .now = 1000 * USEC_PER_SEC };

		psi_history_add(&machine.history, machine.now, &machine.reading);
		machine.reading.some.total += cases[i].some;
		machine.reading.full.total += cases[i].full;
		machine.now += cases[i].elapsed;
		psi_history_add(&machine.history, machine.now, &machine.reading);
		if (machine.history.n_samples != cases[i].n_samples)
			fail_msg("case %zu: %u samples", i, machine.history.n_samples);
	}
}

/* Stalls before a reset are in no average after it, however far back that reaches. */
static void test_history_reset_forgets(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	run(&machine, 10 * USEC_PER_SEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 10000);
	psi_history_reset(&machine.history);
	assert_int_equal(psi_history_some(&machine.history, 0), 0);
	machine.reading.some.total += 30 * USEC_PER_SEC;
	machine.now += 60 * USEC_PER_SEC;
	psi_history_add(&machine.history, machine.now, &machine.reading);
	assert_int_equal(psi_history_some(&machine.history, 0), 0);
	run(&machine, 4 * USEC_PER_SEC, PSI_STEP_USEC, 0);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), 0);
	run(&machine, 4 * USEC_PER_SEC, PSI_STEP_USEC, 10000);
	assert_int_equal(psi_history_some(&machine.history, USEC_PER_SEC), 10000);
}

static void test_history_never_reports_more_than_all(void **state)
{
	struct machine machine = { .now = 1000 * USEC_PER_SEC };

	/* Readings are taken a little after the clock. */
	run(&machine, 10 * USEC_PER_SEC, PSI_STEP_USEC, 12000);
	assert_int_equal(psi_history_some(&machine.history, 5 * USEC_PER_SEC), PERMYRIAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_reads_both_lines),
		cmocka_unit_test(test_parse_refuses_other_texts),
		cmocka_unit_test(test_parse_survives_cut_and_random_texts),
		cmocka_unit_test(test_read_of_fixtures),
		cmocka_unit_test(test_trigger_open_writes_text_with_nul),
		cmocka_unit_test(test_trigger_open_leaves_nothing_behind_when_it_fails),
		cmocka_unit_test(test_trigger_open_on_this_machine),
		cmocka_unit_test(test_history_averages_over_the_window),
		cmocka_unit_test(test_history_is_silent_until_the_window_is_full),
		cmocka_unit_test(test_history_spreads_a_stall_over_a_gap),
		cmocka_unit_test(test_history_newest_is_always_the_last_reading),
		cmocka_unit_test(test_history_keeps_samples_a_step_apart),
		cmocka_unit_test(test_history_starts_anew_when_a_counter_is_reset),
		cmocka_unit_test(test_history_starts_anew_when_totals_outrun_the_clock),
		cmocka_unit_test(test_history_reset_forgets),
		cmocka_unit_test(test_history_never_reports_more_than_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
