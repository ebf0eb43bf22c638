/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/base/users.c, on files of our own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/users.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static char path[] = "/tmp/test-users-XXXXXX";

static FILE *begin(void)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	return f;
}

static void test_name_is_of_the_file_or_the_number(void **state)
{
	struct users users = { 0 };
	FILE *f = begin();

	fputs("root:x:0:0:root:/root:/bin/sh\n"
	      "# no entry\n"
	      "not an entry either\n"
	      "alice:x:1000:1000::/home/alice:/bin/sh\n"
	      "also-alice:x:1000:1000::/home/alice:/bin/sh\n"
	      "a-name-that-is-much-longer-than-useradd-permits:x:1001:1::/:/bin/sh\n"
	      "b\033[1m\xff:x:1002:1::/:/bin/sh\n",
	      f);
	fclose(f);
	users_load(&users, path);
	assert_string_equal(users_name(&users, 0), "root");
	assert_string_equal(users_name(&users, 1000), "alice");
	assert_string_equal(users_name(&users, 1001), "a-name-that-is-much-longer-than-");
	assert_string_equal(users_name(&users, 1002), "b?[1m?");
	assert_string_equal(users_name(&users, 4294967294U), "4294967294");
	assert_null(users_name(&users, (uid_t)-1));

	/* Again, without the file. */
	users_load(&users, "/nonexistent/passwd");
	assert_string_equal(users_name(&users, 0), "0");
	users_done(&users);
}

static void test_load_reads_no_more_than_the_most(void **state)
{
	struct users users = { 0 };
	FILE *f = begin();

	for (unsigned i = 0; i < USERS_MAX + 100; i++)
		fprintf(f, "user%u:x:%u:1::/:/bin/sh\n", i, i);
	fclose(f);
	users_load(&users, path);
	assert_int_equal(users.n, USERS_MAX);
	assert_string_equal(users_name(&users, USERS_MAX - 1), "user1023");
	assert_string_equal(users_name(&users, USERS_MAX), "1024");
	users_done(&users);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_is_of_the_file_or_the_number),
		cmocka_unit_test(test_load_reads_no_more_than_the_most),
	};
	int fd = mkstemp(path), r;

	if (fd < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
