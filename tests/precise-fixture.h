/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* precise-fixture: a /proc of files in which a read can hang, and what is left behind. */
#pragma once

#include "lib/sys/precise.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define READABLE 100
#define HANGING	 200

#define HANGING2 400

/* So long that the thread has taken the request by then. */
#define DEADLINE (300 * USEC_PER_MSEC)

struct tree {
	char path[64];
	int fd;
	struct precise *precise;
	int before; /* fds and threads */
};

int count_fds_and_threads(void);

/* A thread that was joined is seen a moment longer: exit_notify() comes after mm_release(). */
bool is_as_before(int before);
usec_t now_usec(void);

/* What of READABLE starts at 54321. */
#define START 54321

int setup(void **state);
void free_precise(struct tree *tree);
int teardown(void **state);

/* A writer opens it: the read that hung (or is just about to) continues; it may fail, its result is
 * not used. */
void release_one(const struct tree *tree, pid_t pid);
void release(const struct tree *tree);

/* Until the thread is in the read of HANGING, for which it has opened a directory. */
void wait_until_it_hangs(const struct tree *tree);
int collect(struct tree *tree, pid_t *pid, int *result, struct reclaimable *ret);

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
