/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/log/log.c and daemon/log/log-queue.c: lines on a standard error of our own, a
 * pipe that is read in time, late, or not at all.  (Entries: check-log.sh.)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/log/log.h"
#include "daemon/monitor.h"
#include "lib/base/cleanup.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	int real_stderr, read_fd;
	char *text; /* all that was read */
	size_t size;
} test;

static int setup(void **state)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	test.real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	test.read_fd = fds[0];
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	test.size = 0;
	test.text = calloc(1, 1);
	return test.text ? 0 : -1;
}

/* From here on assertions may fail, which write there; and the thread would. */
static void restore_stderr(void)
{
	if (test.real_stderr >= 0)
		dup2(test.real_stderr, STDERR_FILENO);
	closep(&test.real_stderr);
	test.real_stderr = -EBADF;
}

static int teardown(void **state)
{
	restore_stderr();
	closep(&test.read_fd);
	free(test.text);
	return 0;
}

/* With empty lines. */
static void fill_pipe(void)
{
	(void)fcntl(STDERR_FILENO, F_SETFL, O_WRONLY | O_NONBLOCK);
	while (write(STDERR_FILENO, "\n", 1) == 1)
		;
	(void)fcntl(STDERR_FILENO, F_SETFL, O_WRONLY);
}

/* What comes until nothing has for so long, or the other end is closed. */
static void read_text(int patience_msec)
{
	struct pollfd pollfd = { .fd = test.read_fd, .events = POLLIN };
	ssize_t n;

	while (poll(&pollfd, 1, patience_msec) > 0) {
		test.text = realloc(test.text, test.size + 4096 + 1);
		n = read(test.read_fd, test.text + test.size, 4096);
		if (n <= 0)
			return;
		test.size += (size_t)n;
		test.text[test.size] = '\0';
	}
}

static void *read_slowly(void *userdata)
{
	struct pollfd pollfd = { .fd = test.read_fd, .events = POLLIN };
	const atomic_bool *is_running = userdata;

	while (atomic_load(is_running)) {
		test.text = realloc(test.text, test.size + 997 + 1);
		if (poll(&pollfd, 1, 10) > 0)
			test.size += (size_t)read(test.read_fd, test.text + test.size, 997);
		usleep(100);
	}
	read_text(200);
	return NULL;
}

/*
 * "line 1 xxx", "line 2 x" and so on, as many as wanted: each is there, in order, or has been
 * counted among the lost, in its place.  How many were lost.
 */
static unsigned check_lines(unsigned n_wanted)
{
	unsigned next = 1, n_lost = 0, n, lost;
	char *saved = NULL;

	for (char *line = strtok_r(test.text, "\n", &saved); line;
	     line = strtok_r(NULL, "\n", &saved)) {
		if (sscanf(line, "line %u ", &n) == 1) {
			if (n != next)
				fail_msg("line %u in place of %u", n, next);
			next++;
		} else if (sscanf(line, "%u message", &lost) == 1 && lost > 0 &&
			   strstr(line, "lost, as the log was not read in time.")) {
			n_lost += lost;
			next += lost;
		} else {
			fail_msg("what is this: %s", line);
		}
	}
	assert_int_equal(next, n_wanted + 1);
	return n_lost;
}

static void test_lines_are_written_at_once_before_the_start(void **state)
{
	char buf[64] = "";

	log_info("one of %d", 2);
	(void)!read(test.read_fd, buf, sizeof(buf) - 1);
	restore_stderr();
	assert_string_equal(buf, "one of 2\n");
}

static void test_lines_come_promptly_and_all_are_there_at_the_stop(void **state)
{
	struct pollfd pollfd = { .fd = test.read_fd, .events = POLLIN };
	bool is_prompt;

	log_start();
	log_info("line 1 ");
	is_prompt = poll(&pollfd, 1, 5000) == 1;
	for (unsigned i = 2; i <= 300; i++)
		log_info("line %u ", i);
	log_stop();
	log_info("line 301 "); /* by ourselves again */
	restore_stderr();
	read_text(0);
	assert_true(is_prompt);
	assert_int_equal(check_lines(301), 0);
}

static void test_a_long_line_is_cut(void **state)
{
	char text[4000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_start();
	log_info("%s", text);
	log_stop();
	restore_stderr();
	read_text(0);
	assert_true(test.size > 2000 && test.size <= 2048);
	assert_int_equal(test.text[test.size - 1], '\n');
}

/* All lengths, and a reader that falls behind and comes after: round the ring many times. */
static void test_what_is_lost_is_counted_in_its_place(void **state)
{
	enum { N = 6000 };
	char text[1024];
	atomic_bool is_running;
	pthread_t thread;
	unsigned n_lost;

	memset(text, 'x', sizeof(text));
	atomic_init(&is_running, true);
	if (pthread_create(&thread, NULL, read_slowly, &is_running) != 0)
		abort();
	log_start();
	srand(1);
	for (unsigned i = 1; i <= N; i++) {
		log_info("line %u %.*s", i, rand() % (int)sizeof(text), text);
		if (i / 1000 % 2)
			usleep(200);
	}
	atomic_store(&is_running, false);
	(void)pthread_join(thread, NULL);
	log_stop();
	read_text(0);
	restore_stderr();
	n_lost = check_lines(N);
	assert_true(n_lost > 0 && n_lost < N);
}

static void test_logging_never_waits(void **state)
{
	enum { N = 3000 };
	usec_t began, took;
	unsigned n_lost;

	fill_pipe();
	log_start();
	began = clock_now();
	for (unsigned i = 1; i <= N; i++)
		log_info("line %u %s", i, "is about as long as a line of the log is usually.");
	took = clock_now() - began;
	read_text(500);
	log_stop();
	restore_stderr();
	n_lost = check_lines(N);
	assert_true(took < USEC_PER_SEC);
	assert_true(n_lost > 0 && n_lost < N - 450); /* what fits into the ring */
}

/* (The last one: the thread is left behind.) */
static void test_stop_waits_for_no_reader_for_ever(void **state)
{
	usec_t began, took;

	fill_pipe();
	log_start();
	began = clock_now();
	log_info("no reader");
	log_stop();
	for (unsigned i = 1; i <= 3000; i++)
		log_info("still no reader");
	took = clock_now() - began;
	restore_stderr();
	test.read_fd = -EBADF; /* open, lest it be passed on, to the other one */
	assert_true(took >= USEC_PER_SEC && took < 3 * USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines_are_written_at_once_before_the_start,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_lines_come_promptly_and_all_are_there_at_the_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_line_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_lost_is_counted_in_its_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_logging_never_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_waits_for_no_reader_for_ever, setup,
						teardown),
	};

	monitor_block_signals();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
