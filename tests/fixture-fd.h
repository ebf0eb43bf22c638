/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fixture-fd: a directory below tests/fixtures. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static inline int fixture_fd(const char *name)
{
	const char *fixtures = getenv("FIXTURES");
	char path[4096];
	int fd;

	assert_non_null(fixtures);
	(void)snprintf(path, sizeof(path), "%s/%s", fixtures, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}
