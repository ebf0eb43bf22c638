/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freezer-fixture: trees of plain files in the form of both hierarchies. */
#pragma once

#include "lib/kill/freezer.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

/* A tree in a temporary directory: v2/ and v1/ are the mounts. */
struct tree {
	char path[64];
	int fd;
	struct cgroup_fs fs;
	struct freezer_thawed thawed;
	unsigned n_fds; /* open before */
};

int setup(void **state);
int teardown(void **state);
void put(const struct tree *tree, const char *path, const char *text);
void make_v2(const struct tree *tree, const char *path, const char *freeze, const char *events);
void make_v1(const struct tree *tree, const char *path, const char *self, const char *state,
	     const char *procs);
void assert_text(const struct tree *tree, const char *path, const char *expected);

#define FROZEN_EVENTS "populated 1\nfrozen 1\n"

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
