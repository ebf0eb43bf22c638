/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: the loop with a pressure trigger of our own (a socket: what is urgent there polls as a
 * trigger does), which fires and fails; memory that cannot be read; what is counted of late
 * samples.  No process is eligible.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/monitor.h"
#include "daemon/tick/tick.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	struct manager *manager;
	char config[64];
	int trigger_fd, other_fd; /* a connection */
	int sample_result;
} test;

static int connect_pair(int fds[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = bind(listener, (void *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0 ||
			    getsockname(listener, (void *)&address, &length) < 0 ||
			    connect(fds[0], (void *)&address, sizeof(address)) < 0
		    ? -errno
		    : 0;
	fds[1] = r < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return r < 0 || fds[1] < 0 ? -1 : 0;
}

int __wrap_psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger);
int __wrap_psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger)
{
	return test.trigger_fd;
}

int __real_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret)
{
	return test.sample_result < 0 ? test.sample_result : __real_memory_sample(source, ret);
}

static int setup(void **state)
{
	struct config_options options = { .config_file = test.config, .dry_run = true };
	int fds[2];
	FILE *f;

	if (connect_pair(fds) < 0)
		return -1;
	test.trigger_fd = fds[0];
	test.other_fd = fds[1];
	test.sample_result = 0;
	strcpy(test.config, "/tmp/test-monitor.XXXXXX");
	close(mkstemp(test.config));
	f = fopen(test.config, "we");
	if (!f)
		return -1;
	/* In calm; and nothing is in that cgroup. */
	fprintf(f, "[Daemon]\nWatchBelow=0%%\nSubtree=/test-monitor-%d\n", getpid());
	fclose(f);
	return manager_new(&options, false, &kill_ops_system, &test.manager);
}

static int teardown(void **state)
{
	test.manager = manager_free(test.manager); /* and the trigger */
	if (test.other_fd >= 0)
		close(test.other_fd);
	unlink(test.config);
	return 0;
}

/* Turns of the loop until it is so, for as long as it takes. */
static void run_until(bool (*is_so)(void))
{
	for (unsigned i = 0; i < 1000 && !is_so(); i++)
		assert_true(sd_event_run(test.manager->monitor->event, 20 * USEC_PER_MSEC) >= 0);
	assert_true(is_so());
}

static bool is_watching(void)
{
	return test.manager->regime->state == REGIME_WATCH;
}

static bool has_no_trigger(void)
{
	int enabled;

	assert_true(sd_event_source_get_enabled(test.manager->monitor->psi_source, &enabled) >= 0);
	return enabled == SD_EVENT_OFF;
}

static void need_psi(void)
{
	if (!test.manager->monitor->psi_source)
		skip(); /* no PSI here */
}

static void test_a_trigger_begins_watch(void **state)
{
	usec_t before = clock_now();

	need_psi();
	assert_int_equal(test.manager->regime->state, REGIME_CALM);
	assert_int_equal(send(test.other_fd, "!", 1, MSG_OOB), 1);
	run_until(is_watching);
	assert_true(test.manager->regime->watch_until >= before + 10 * USEC_PER_SEC);
	assert_false(has_no_trigger());
}

/* A connection that is reset polls as an error. */
static void test_a_trigger_that_fails_is_not_polled_any_more(void **state)
{
	struct linger at_once = { .l_onoff = 1 };

	need_psi();
	assert_int_equal(
		setsockopt(test.other_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(test.other_fd);
	test.other_fd = -1;
	run_until(has_no_trigger);
	assert_int_equal(test.manager->regime->state, REGIME_CALM);
	/* The timer continues. */
	assert_true(tick(test.manager->tick, clock_now()) > 0);
}

static void test_memory_that_cannot_be_read_is_read_again(void **state)
{
	struct manager *m = test.manager;
	usec_t complained_at, now = clock_now();

	m->regime->state = REGIME_WATCH;
	m->regime->watch_until = now + 10 * USEC_PER_SEC;
	test.sample_result = -EIO;
	assert_int_equal(tick(m->tick, now), USEC_PER_SEC);
	complained_at = m->reporter->complained_at;
	assert_int_equal(complained_at, now);
	assert_int_equal(m->regime->state, REGIME_WATCH);
	/* That is not logged each time. */
	assert_int_equal(tick(m->tick, now + USEC_PER_SEC), USEC_PER_SEC);
	assert_int_equal(m->reporter->complained_at, complained_at);
	test.sample_result = 0;
	assert_true(tick(m->tick, now + 2 * USEC_PER_SEC) < USEC_PER_SEC);
	assert_int_equal(m->sampler->sampled_at, now + 2 * USEC_PER_SEC);
}

static uint64_t n_counted(const struct latency *latency)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += latency->counts[i];
	return n;
}

static void test_late_samples_are_counted_and_reported_once(void **state)
{
	struct turns turns = { 0 };

	turns_open(&turns, test.manager->machine->proc_fd);
	/* In calm they are counted, no more. */
	turns_note_delay(&turns, 200 * USEC_PER_MSEC, true);
	assert_false(turns.is_reported);
	assert_int_equal(latency_n_late(&turns.delays), 1);
	turns_begin(&turns, 0);
	turns_end(&turns, 10 * USEC_PER_MSEC, false);
	assert_false(turns.is_reported);
	assert_int_equal(latency_n_late(&turns.durations), 0);
	turns_note_delay(&turns, 3600 * USEC_PER_SEC, false);
	assert_true(turns.is_reported);
	if (turns.schedstat_fd > 0)
		assert_int_equal(turns.delays.cause, LATENCY_KERNEL); /* no CPU was needed */
	turns_begin(&turns, 0);
	turns_end(&turns, 100 * USEC_PER_MSEC, false);
	assert_int_equal(n_counted(&turns.durations), 2);
	assert_int_equal(latency_n_late(&turns.durations), 1);
	assert_int_equal(turns.durations.max, 100 * USEC_PER_MSEC);
	assert_true(turns.is_reported);
	/* What was used is read now and then only, and not in calm. */
	assert_int_equal(turns.usage_at, 100 * USEC_PER_MSEC);
	turns_begin(&turns, 349 * USEC_PER_MSEC);
	turns_end(&turns, 349 * USEC_PER_MSEC, false);
	assert_int_equal(turns.usage_at, 100 * USEC_PER_MSEC);
	turns_begin(&turns, 350 * USEC_PER_MSEC);
	turns_end(&turns, 350 * USEC_PER_MSEC, false);
	assert_int_equal(turns.usage_at, 350 * USEC_PER_MSEC);
	turns_begin(&turns, USEC_PER_SEC);
	turns_end(&turns, USEC_PER_SEC, true);
	assert_int_equal(turns.usage_at, 0);
	assert_false(turns.is_reported);
	turns_close(&turns);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_trigger_begins_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_trigger_that_fails_is_not_polled_any_more,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_that_cannot_be_read_is_read_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_samples_are_counted_and_reported_once,
						setup, teardown),
	};

	monitor_block_signals();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
