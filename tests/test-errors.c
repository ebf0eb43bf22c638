/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/base/errors.h. */
#include <errno.h>

#include "lib/base/errors.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_each_class(void **state)
{
	static const struct {
		int r;
		enum error_class class;
	} rows[] = {
		{ 0, ERROR_NONE },
		{ 1, ERROR_NONE },
		{ ENOMEM, ERROR_NONE }, /* positive: an outcome, not an errno */
		{ -ENOENT, ERROR_GONE },
		{ -ESRCH, ERROR_GONE },
		{ -ENODEV, ERROR_GONE },
		{ -EMFILE, ERROR_TRANSIENT },
		{ -ENFILE, ERROR_TRANSIENT },
		{ -ENOMEM, ERROR_TRANSIENT },
		{ -EINTR, ERROR_TRANSIENT },
		{ -EAGAIN, ERROR_TRANSIENT },
		{ -EWOULDBLOCK, ERROR_TRANSIENT },
		{ -EACCES, ERROR_FINAL },
		{ -EPERM, ERROR_FINAL },
		{ -EIO, ERROR_FINAL },
		{ -EBADMSG, ERROR_FINAL },
		{ -ENOSYS, ERROR_FINAL },
		{ -EOPNOTSUPP, ERROR_FINAL },
		{ -EBUSY, ERROR_FINAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(error_classify(rows[i].r), rows[i].class);
		assert_int_equal(error_is_transient(rows[i].r), rows[i].class == ERROR_TRANSIENT);
	}
}

/* Of a mount point, for instance: is it for this process as if there were none? */
static void test_what_is_not_there_for_us(void **state)
{
	static const struct {
		int r;
		bool is_unreachable;
	} rows[] = {
		{ 0, false },	    { 3, false },	   { -ENOENT, true },  { -ENOTDIR, true },
		{ -ENODEV, true },  { -ELOOP, true },	   { -EACCES, true },  { -EPERM, true },
		{ -EIO, false },    { -EMFILE, false },	   { -ENFILE, false }, { -ENOMEM, false },
		{ -EINTR, false },  { -EAGAIN, false },	   { -ESTALE, false }, { -EBADF, false },
		{ -ENOSYS, false }, { -EOVERFLOW, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(error_is_unreachable(rows[i].r), rows[i].is_unreachable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_class),
		cmocka_unit_test(test_what_is_not_there_for_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
