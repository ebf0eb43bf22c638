/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* program: after it was touched, all of this program's code is mapped. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/program.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* So much that the kernel does not map it with what is next to it. */
__asm__(".pushsection .text\n.skip 1048576\n.popsection");

/* KiB of a file's mappings that are executed, and of those what is resident. */
static void read_code(const char *file, unsigned long *ret_size, unsigned long *ret_resident)
{
	char line[4096], flags[8], path[4096];
	FILE *f = fopen("/proc/self/smaps", "re");
	bool is_code = false;
	unsigned long kib;

	assert_non_null(f);
	*ret_size = *ret_resident = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x-%*x %7s %*x %*s %*u %4095s", flags, path) == 2)
			is_code = strstr(path, file) && strchr(flags, 'x');
		else if (is_code && sscanf(line, "Size: %lu", &kib) == 1)
			*ret_size += kib;
		else if (is_code && sscanf(line, "Rss: %lu", &kib) == 1)
			*ret_resident += kib;
	}
	fclose(f);
}

static void check(const char *file)
{
	unsigned long size, resident;

	read_code(file, &size, &resident);
	print_message("%s: %lu of %lu KiB\n", file, resident, size);
	assert_true(size > 0);
	assert_int_equal(resident, size);
}

static void test_all_of_the_code_is_mapped(void **state)
{
	char program[4096];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	(void)state;
	assert_true(n > 0);
	program[n] = '\0';
	program_touch();
	check(program);
	check("/libsystemd.so.");
	check("/libproc2.so.");
	check("/libjansson.so.");
	check("/libc.so.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_the_code_is_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
