/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/watch/sampler.c: what is read between ticks, for callers on the bus; on the
 * machine's own /proc.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct manager *m;

static int setup(void **state)
{
	struct sampler *s;

	m = manager_alloc();
	if (!m)
		return -1;
	log_set_target(LOG_TARGET_NULL);
	s = m->sampler;
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	m->machine->accuracy = (struct accuracy){ .n_cpus = 1, .batch = 64, .page_size = 4096 };
	return memory_source_new(m->machine->proc_fd, -EBADF, &s->source) == 0 &&
			       sampler_read_memory(s, &s->domain.reading) == 0 &&
			       policy_set_init_defaults(&m->config->policies) == 0 &&
			       sampler_begin(s) == 0 && selection_reserve(m->selection) == 0
		       ? 0
		       : -1;
}

static int teardown(void **state)
{
	log_set_target(LOG_TARGET_AUTO);
	manager_free(m);
	return 0;
}

/* Free space on zram is worth less than it is long; that no process has swap is told by its length.
 */
static void test_what_the_census_is_told_of_memory(void **state)
{
	static const struct {
		uint64_t total, free, worth;
		bool is_used;
	} cases[] = {
		{ 0, 0, 0, false },	      { GIB, GIB, GIB, false },
		{ GIB, GIB, GIB / 2, false }, { GIB, GIB - 4096, GIB - 4096, true },
		{ GIB, 0, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct memory_reading reading = {
			.swap_total = cases[i].total,
			.swap_free = cases[i].worth,
			.counters = {
				.anon = 7,
				.swap_total = cases[i].total,
				.swap_free = cases[i].free,
			},
		};

		assert_int_equal(sampler_note_totals(m->sampler, &reading), cases[i].is_used);
		assert_true(m->sampler->census.totals.is_known);
		assert_int_equal(m->sampler->census.totals.swap, cases[i].total - cases[i].free);
	}
}

/* In slices, each of which makes some progress; what memory is, is told with each. */
static void test_a_census_is_brought_up_to_date_in_slices(void **state)
{
	struct sampler *s = m->sampler;
	usec_t swept_at = s->census.swept_at;
	unsigned n = 0;
	int r;

	s->census.totals.is_known = false;
	do {
		struct memory_reading reading = { 0 };

		r = sampler_refresh(s, 0, &reading);
		assert_true(r >= 0);
		assert_true(reading.total > 0);
		assert_true(++n < 100000);
	} while (r == 0);
	assert_true(s->census.totals.is_known);
	assert_true(s->census.swept_at >= swept_at);
	assert_non_null(census_find(&s->census, getpid()));
	sampler_release(s);
	assert_true(s->census.listing_fd < 0);
}

static int thread_is_there[2], thread_may_exit[2];

static void *be_there(void *userdata)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char byte;

	assert_int_equal(write(thread_is_there[1], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(read(thread_may_exit[0], &byte, 1), 1);
	return NULL;
}

/* One that the census has not seen; but no thread, and none that has exited. */
static void test_one_process_is_read_anew(void **state)
{
	struct sampler *s = m->sampler;
	struct memory_reading reading = { 0 };
	pthread_t thread;
	pid_t pid, tid;

	assert_int_equal(pipe2(thread_is_there, O_CLOEXEC), 0);
	assert_int_equal(pipe2(thread_may_exit, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_null(census_find(&s->census, pid));
	assert_true(sampler_read_process(s, pid, &reading));
	assert_true(reading.total > 0);
	assert_non_null(census_find(&s->census, pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(sampler_read_process(s, pid, &reading));

	assert_int_equal(pthread_create(&thread, NULL, be_there, NULL), 0);
	assert_int_equal(read(thread_is_there[0], &tid, sizeof(tid)), sizeof(tid));
	assert_false(sampler_read_process(s, tid, &reading));
	assert_null(census_find(&s->census, tid));
	assert_int_equal(write(thread_may_exit[1], "x", 1), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		close(thread_is_there[i]);
		close(thread_may_exit[i]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_census_is_told_of_memory),
		TEST(test_a_census_is_brought_up_to_date_in_slices),
		TEST(test_one_process_is_read_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
