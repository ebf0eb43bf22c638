/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/base/self.c: its limits, when the daemon is too large, and what it returns. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/self.h"
#include "lib/base/sanitizer.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_PIECES    4096
#define PIECE_BYTES 1000

static void test_limits(void **state)
{
	static const struct {
		uint64_t max, used, data, limit;
	} cases[] = {
		{ 0, MIB, 3 * MIB, 0 },
		{ 256 * MIB, MIB, 3 * MIB, (224 - 1 + 3) * MIB },
		{ 8 * MIB, 2 * MIB, 4 * MIB, (7 - 2 + 4) * MIB },
		/* above already: nothing more, and what there is remains */
		{ 8 * MIB, 9 * MIB, 12 * MIB, 12 * MIB },
		{ UINT64_MAX, 0, MIB, UINT64_MAX - UINT64_MAX / 8 + MIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(self_data_limit(cases[i].max, cases[i].used, cases[i].data),
				 cases[i].limit);
#if HAS_SHADOW_MEMORY
	assert_int_equal(self_allowance(0), GIB);
#else
	assert_int_equal(self_allowance(0), 16 * MIB);
#endif
	/* more than twice the budget of 400 bytes */
	assert_true(self_allowance(50000) > 2 * 400 * 50000);
}

static bool is_too_large(struct manager *m, usec_t now)
{
	return self_is_too_large(m->self, m->machine, m->regime, m->sampler->census.n_processes,
				 now);
}

/* By what this process itself has. */
static void test_it_is_seen_to_be_too_large(void **state)
{
	struct manager *m = manager_alloc();
	usec_t now = 100 * USEC_PER_SEC;
	size_t size = self_allowance(0) + 16 * MIB;
	char *ballast;

	(void)state;
	assert_non_null(m);
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_false(is_too_large(m, now));
	ballast = malloc(size);
	assert_non_null(ballast);
	memset(ballast, 1, size);
	/* not so soon, and not while a kill is in progress */
	assert_false(is_too_large(m, now + USEC_PER_SEC));
	m->regime->state = REGIME_KILLING;
	assert_false(is_too_large(m, now + 20 * USEC_PER_SEC));
	m->regime->state = REGIME_WATCH;
	assert_true(is_too_large(m, now + 20 * USEC_PER_SEC));
	if (HAS_THREAD_SANITIZER) /* the shadow is a multiple */
		skip();
	/* there are, or were, as many processes as explain it */
	m->sampler->census.n_processes = 128 * 1024;
	assert_false(is_too_large(m, now + 40 * USEC_PER_SEC));
	m->sampler->census.n_processes = 10;
	assert_false(is_too_large(m, now + 60 * USEC_PER_SEC));
	/* or a configuration that is so large */
	m->self->n_processes = 0;
	assert_true(is_too_large(m, now + 80 * USEC_PER_SEC));
	m->self->config_bytes = size / 2;
	assert_false(is_too_large(m, now + 100 * USEC_PER_SEC));
	free(ballast);
	close(m->machine->proc_fd);
	free(m);
}

static uint64_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Small pieces in the middle of the heap, which is locked. */
static void test_what_is_free_is_returned(void **state)
{
	static char *pieces[N_PIECES];
	bool is_locked;
	uint64_t before = resident(), peak;
	static char *volatile last; /* else the compiler leaves it out */

	(void)state;
	/* (With a limit, malloc() fails later.) */
	is_locked = geteuid() == 0 && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
	for (size_t i = 0; i < N_PIECES; i++) {
		pieces[i] = malloc(PIECE_BYTES);
		assert_non_null(pieces[i]);
		memset(pieces[i], 1, PIECE_BYTES);
	}
	last = malloc(64 * KIB); /* at the end of the heap */
	peak = resident();
	for (size_t i = 0; i < N_PIECES; i++)
		free(pieces[i]);
	assert_int_equal(self_release_memory(is_locked), 0);
	assert_true(peak >= before + N_PIECES * PIECE_BYTES);
#if !HAS_SHADOW_MEMORY /* it keeps what is freed */
	assert_true(resident() < before + MIB);
#endif
	free(last);
	(void)munlockall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_it_is_seen_to_be_too_large),
		cmocka_unit_test(test_what_is_free_is_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
