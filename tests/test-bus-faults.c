/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: answers that cannot be put together, and with an allocation that fails at each place, on a
 * bus that is this test's own end of a socket.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/bus.h"
#include "daemon/record/recorder.h"
#include "tests/bus-fixture.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* An answer needs no more allocations than so many. */
#define N_MALLOCS_MAX 20000U
#define N_STEPS_MAX   2000U

/* Joined, and it answers as before. */
static void check_recovers(void)
{
	static const struct call version =
		PROPERTIES("Get", "ss", .text = { BUS_INTERFACE, "Version" });

	test.n_allowed = UINT32_MAX;
	/* (A bus that is about to be left, for what failed before, does not answer.) */
	for (int i = 0; i < 3; i++) {
		pump();
		if (!is_joined())
			join();
		assert_true(is_joined());
		call(&version);
		if (test.is_answered && !test.error[0])
			return;
	}
	assert_string_equal(test.error, "");
	assert_true(test.is_answered);
}

/* Of each answer each step fails once: the caller gets an error, and the next call is answered. */
static void test_answers_that_cannot_be_put_together(void **state)
{
	struct history_entry entry;

	history_entry_init(&entry);
	history_set_text(entry.kind, sizeof(entry.kind), "killed");
	history_set_text(entry.outcome, sizeof(entry.outcome), "exited");
	history_put(recorder_history(test.m->tick->recorder), &entry);
	test.m->selection->stuck.since = 1;
	test.m->selection->stuck.account.n_rows = 1;
	test.m->selection->stuck.account.rows[0].text = "tmpfs";
	test.m->selection->stuck.largest_pid = 1;
	test.m->conflicts->found = 1;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		check_recovers();
		for (unsigned n = 0; n < N_STEPS_MAX; n++) {
			bus_forget_preview(test.m->monitor->bus);
			test.n_steps = 0;
			test.n_steps_allowed = n;
			call(&calls[i]);
			test.n_steps_allowed = UINT32_MAX;
			assert_true(test.is_answered);
			if (!test.error[0] && test.n_steps <= n)
				break;
			assert_true(n + 1 < N_STEPS_MAX);
		}
	}
	check_recovers();
}

/* All allocations but the first few fail, for each number of these: until there are enough. */
static void test_answers_without_memory(void **state)
{
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned step = 1, n = 0;

		check_recovers();
		for (; n < N_MALLOCS_MAX; n += step) {
			test.m->monitor->bus->caught_up_at = 0; /* it is all to be done anew */
			bus_forget_preview(test.m->monitor->bus);
			n_mallocs = 0;
			test.n_allowed = n;
			call(&calls[i]);
			test.n_allowed = UINT32_MAX;
			if (test.is_answered && !test.error[0] && n_mallocs == 0)
				break;
			check_recovers();
			step = n < 150 ? 1 : n / 50; /* JSON has thousands */
		}
		assert_true(n < N_MALLOCS_MAX);
	}
#endif
}

static void test_joining_without_memory(void **state)
{
	unsigned n = 0;

	(void)n;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (; n < N_MALLOCS_MAX; n++) {
		if (test.m->monitor->bus->link.bus) {
			assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
			pump();
		}
		assert_null(test.m->monitor->bus->link.bus);
		n_mallocs = 0;
		test.n_allowed = n;
		join();
		test.n_allowed = UINT32_MAX;
		if (is_joined() && n_mallocs == 0)
			break;
		check_recovers();
	}
	assert_true(n < N_MALLOCS_MAX);
#endif
}

static void test_news_without_memory(void **state)
{
	unsigned n = 0;

	(void)n;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (; n < N_MALLOCS_MAX; n++) {
		check_recovers();
		test.m->regime->state =
			test.m->regime->state == REGIME_WATCH ? REGIME_CALM : REGIME_WATCH;
		test.m->monitor->bus->has_low_memory = true;
		test.signals[0] = '\0';
		bus_schedule(test.m->monitor->bus);
		n_mallocs = 0;
		test.n_allowed = n;
		pump();
		test.n_allowed = UINT32_MAX;
		if (n_mallocs == 0)
			break;
	}
	assert_true(n > 0 && n < N_MALLOCS_MAX);
	assert_string_equal(test.signals, "StateChanged\nPropertiesChanged\nLowMemory\n");
#endif
}

/* A client of the private socket, which takes the place of the bus here. */
static void connect_privately(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/private", directory);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	test.peer = sd_bus_close_unref(test.peer);
	assert_true(sd_bus_new(&test.peer) >= 0);
	assert_true(sd_bus_set_fd(test.peer, fd, fd) >= 0);
	assert_true(sd_bus_start(test.peer) >= 0);
}

/* Each allocation for a client fails, from its connection to its answer; the next client is
 * answered. */
static void test_private_clients_without_memory(void **state)
{
	static const struct call properties = PROPERTIES("GetAll", "s", .text = { BUS_INTERFACE });
	char directory[] = "/tmp/test-bus-faults.XXXXXX", path[64];
	unsigned n = 0;

	assert_non_null(mkdtemp(directory));
	setenv("RUNTIME_DIRECTORY", directory, 1);
	assert_int_equal(bus_listen(test.m->monitor->bus), 0);
	for (; n < N_MALLOCS_MAX; n++) {
		connect_privately(directory);
#if FAIL_MALLOC_WORKS
		n_mallocs = 0;
		test.n_allowed = n;
#endif
		call(&properties);
		test.n_allowed = UINT32_MAX;
		if (test.is_answered && !test.error[0] && (n_mallocs == 0 || !FAIL_MALLOC_WORKS))
			break;
		connect_privately(directory);
		call(&properties);
		for (unsigned i = 0; i < 5000 && !test.is_answered; i++) { /* it is paused */
			usleep(1000);
			renew_quota();
			pump();
		}
		assert_true(test.is_answered);
		assert_string_equal(test.error, "");
	}
	assert_true((n > 20 || !FAIL_MALLOC_WORKS) && n < N_MALLOCS_MAX);
	test.peer = sd_bus_close_unref(test.peer);
	test.m->monitor->bus = bus_free(test.m->monitor->bus);
	snprintf(path, sizeof(path), "%s/private.lock", directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0); /* the socket was removed */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answers_that_cannot_be_put_together),
		TEST(test_answers_without_memory),
		TEST(test_joining_without_memory),
		TEST(test_news_without_memory),
		TEST(test_private_clients_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
