/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/manager.c: what it finds out about itself, and a start without memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/service.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Up to there nothing but memory is needed: no thread has been started, nothing is locked. */
#define N_FIRST 120

/* A start that fails for want of memory is tried again, so that nothing waits. */
int __wrap_usleep(useconds_t usec);
int __wrap_usleep(useconds_t usec)
{
	return 0;
}

static void test_a_start_without_memory_fails(void **state)
{
	static const struct config_options options = { .config_file = "/dev/null",
						       .dry_run = true };

	(void)state;
	(void)options;
	if (!FAIL_MALLOC_WORKS)
		skip();
	for (unsigned n = 0; n < N_FIRST; n++) {
		struct manager *m = NULL;
		int r;

#if FAIL_MALLOC_WORKS
		n_mallocs_allowed = n;
		fail_malloc = true;
		r = manager_new(&options, false, &kill_ops_system, &m);
		fail_malloc = false;
#else
		r = -ENOMEM;
#endif
		assert_int_equal(r, -ENOMEM);
		assert_null(m);
		assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* it is not the daemon's */
	}
}

static void test_the_status_is_one_line(void **state)
{
	static const struct {
		bool is_degraded, dry_run, was_refused;
		const char *file, *status;
		usec_t retry_pause;
	} cases[] = {
		{ false, false, false, NULL, "Watching memory" },
		{ false, true, false, "x.conf", "Dry run: no process is killed" },
		{ true, false, false, NULL,
		  "Degraded: the configuration has errors (reckonctl check)" },
		{ true, false, false, "/etc/site\n.conf",
		  "Degraded: the configuration has errors (reckonctl check /etc/site?.conf)" },
		{ true, true, false, NULL,
		  "Degraded: the configuration has errors (reckonctl check); dry run: no process is killed" },
		{ false, false, true, NULL,
		  "Watching memory; the last reload was refused (reckonctl check)" },
		{ false, true, true, "x.conf",
		  "Dry run: no process is killed; the last reload was refused (reckonctl check x.conf)" },
		{ false, false, true, NULL,
		  "Watching memory; the last reload failed: Too many open files; it is tried again",
		  USEC_PER_SEC },
	};
	char buf[SERVICE_STATUS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config = {
			.is_degraded = cases[i].is_degraded,
			.policies.dry_run = cases[i].dry_run,
			.reload_was_refused = cases[i].was_refused,
			.reload_error = cases[i].retry_pause > 0 ? -EMFILE : 0,
			.retry_pause = cases[i].retry_pause,
			.options.config_file = cases[i].file,
		};
		struct selection selection = { 0 };
		const struct monitor m = { .config = &config, .selection = &selection };

		assert_string_equal(service_status(&m, buf), cases[i].status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_start_without_memory_fails),
		cmocka_unit_test(test_the_status_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
