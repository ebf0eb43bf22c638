/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain-fixture: a small /proc and its cgroups, and a preview of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/explain/explain.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

struct world {
	char path[32];
	int proc_fd;
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct census census;
	struct backoff backoff;
	struct streak streak;
	uint64_t ticks_now;
	struct preview preview;
};

void put(const struct world *world, int pid, const char *file, const char *text);
void put_process(const struct world *world, int pid, const char *comm, unsigned mib,
		 const char *cgroup);

/* A browser, an editor half as large, one that is protected, and one outside the subtree. */
int setup(void **state);
int teardown(void **state);
struct preview *run_preview(struct world *world, uint64_t available);
const char *text_at(const json_t *object, const char *first, const char *second);

struct ineligible {
	const char *name, *reason, *excluded, *skipped_for;
};

void assert_ineligible(const json_t *json, const struct ineligible *expected, size_t n);

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
