/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/hidepid.c. */
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/util.h"
#include "lib/sys/hidepid.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_is_set(void **state)
{
	static const struct {
		const char *line;
		bool is_set;
	} cases[] = {
		{ "22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n", false },
		{ "22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw,hidepid=invisible\n",
		  true },
		{ "22 28 0:20 / /proc rw - proc proc rw,gid=27,hidepid=noaccess\n", true },
		{ "22 28 0:20 / /proc rw - proc none rw,hidepid=ptraceable,gid=27\n", true },
		{ "22 28 0:20 / /proc rw - proc proc rw,hidepid=2\n", true },
		{ "22 28 0:20 / /proc rw - proc proc rw,hidepid=1,gid=5\n", true },
		{ "22 28 0:20 / /proc rw - proc proc rw,hidepid=0\n", false },
		{ "22 28 0:20 / /proc rw - proc proc rw,hidepid=off\n", false },
		{ "22 28 0:20 / /proc rw - proc proc rw,xhidepid=2\n", false },
		/* elsewhere, and others */
		{ "9 8 0:3 / /x/hidepid=2 rw - proc proc rw\n", false },
		{ "9 8 0:3 / /chroot/proc rw - proc proc rw,hidepid=2\n", true },
		{ "9 8 0:3 / /x rw - tmpfs proc rw,hidepid=2\n", false },
		{ "9 8 0:3 / /x\\040-\\040proc\\040 rw - tmpfs t rw,hidepid=2\n", false },
		{ "", false },
		{ " - proc ", false },
		{ "nonsense", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (hidepid_is_set(cases[i].line) != cases[i].is_set)
			fail_msg("%s", cases[i].line);
}

static void test_find_on_this_machine(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_in_range(hidepid_find(proc_fd), 0, 1);
	close(proc_fd);
	assert_true(hidepid_find(-1) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_set),
		cmocka_unit_test(test_find_on_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
