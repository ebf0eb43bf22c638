/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/boot.c, on a directory of our own and on the machine's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"
#include "lib/sys/boot.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define FILE_NAME "sys/kernel/random/boot_id"

static const char *const directories[] = { "sys", "sys/kernel", "sys/kernel/random" };

static const struct {
	const char *text;
	int result;
	const char *id;
} cases[] = {
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7e\n", 0, "3a60a1b28f454d0e9d3c6f1f0a5d0f7e" },
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7e", 0, "3a60a1b28f454d0e9d3c6f1f0a5d0f7e" },
	{ "", -EBADMSG, NULL },
	{ "\n", -EBADMSG, NULL },
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7\n", -EBADMSG, NULL },
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7ee\n", -EBADMSG, NULL },
	{ "3a60a1b28f454d0e9d3c6f1f0a5d0f7ee\n", -EBADMSG, NULL },
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7g\n", -EBADMSG, NULL },
	{ "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7e\n\n\n", -EBADMSG, NULL },
};

static void test_read_id_takes_32_digits(void **state)
{
	char path[] = "/tmp/test-boot-XXXXXX", id[BOOT_ID_SIZE];
	_cleanup_close_ int fd = -EBADF;

	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(boot_read_id(fd, id), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdirat(fd, directories[i], 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int file = openat(fd, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		size_t length = strlen(cases[i].text);

		assert_int_equal(write(file, cases[i].text, length), length);
		close(file);
		strcpy(id, "as it was");
		assert_int_equal(boot_read_id(fd, id), cases[i].result);
		assert_string_equal(id, cases[i].id ? cases[i].id : "as it was");
	}
	assert_int_equal(unlinkat(fd, FILE_NAME, 0), 0);
	for (size_t i = ARRAY_SIZE(directories); i > 0; i--)
		assert_int_equal(unlinkat(fd, directories[i - 1], AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(path), 0);
}

static void test_read_id_of_this_machine(void **state)
{
	_cleanup_close_ int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char id[BOOT_ID_SIZE];

	assert_int_equal(boot_read_id(fd, id), 0);
	assert_int_equal(strlen(id), 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_id_takes_32_digits),
		cmocka_unit_test(test_read_id_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
