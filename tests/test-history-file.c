/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/history/history-file.c, in a directory of our own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/history/history-file.h"
#include "lib/history/history.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	char path[32];
	int fd;
	struct history *history;
	char error[256];
} test;

static int setup(void **state)
{
	strcpy(test.path, "/tmp/test-history-XXXXXX");
	if (!mkdtemp(test.path) || history_new(&test.history) < 0)
		return -1;
	test.fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return test.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)unlinkat(test.fd, "history.json", 0);
	(void)unlinkat(test.fd, "history.json", AT_REMOVEDIR);
	(void)unlinkat(test.fd, "history.json.bad", 0);
	(void)unlinkat(test.fd, "history.json.bad", AT_REMOVEDIR);
	close(test.fd);
	history_free(test.history);
	return rmdir(test.path); /* nothing else is left behind */
}

static void put_file(const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(test.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static bool file_is(const char *name, const char *expected)
{
	char text[256];

	return io_read_at(test.fd, name, text, sizeof(text)) >= 0 && strcmp(text, expected) == 0;
}

static bool is_there(const char *name)
{
	return faccessat(test.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int read_file(void)
{
	strcpy(test.error, "x");
	return history_file_read(test.fd, test.history, test.error, sizeof(test.error));
}

#define EMPTY "{\"version\":1,\"entries\":[]}"
#define ONE   "{\"version\":1,\"entries\":[{\"id\":7,\"kind\":\"killed\"}]}"

static void test_read_what_was_written(void **state)
{
	struct stat st;

	assert_int_equal(read_file(), HISTORY_FILE_MISSING);
	assert_int_equal(history_file_write(test.fd, EMPTY, strlen(EMPTY)), 0);
	assert_int_equal(read_file(), 0);
	assert_int_equal(history_file_write(test.fd, ONE, strlen(ONE)), 0);
	assert_true(file_is("history.json", ONE));
	assert_int_equal(fstatat(test.fd, "history.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read_file(), 0);
	assert_string_equal(test.error, "");
	assert_int_equal(history_count(test.history), 1);
	assert_int_equal(history_get(test.history, 0)->id, 7);
}

static void test_read_sets_aside_what_is_damaged(void **state)
{
	put_file("history.json.bad", "an older one");
	put_file("history.json", "{");
	assert_int_equal(read_file(), HISTORY_FILE_SET_ASIDE);
	assert_string_not_equal(test.error, "");
	assert_true(file_is("history.json.bad", "{"));
	assert_int_equal(read_file(), HISTORY_FILE_MISSING);
}

static void test_read_sets_aside_what_is_too_large(void **state)
{
	_cleanup_close_ int fd = -EBADF;

	put_file("history.json", EMPTY);
	fd = openat(test.fd, "history.json", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, HISTORY_TEXT_MAX + 1), 0);
	assert_int_equal(read_file(), HISTORY_FILE_SET_ASIDE);
	assert_string_equal(test.error, "it is longer than 1048576 bytes");
	assert_true(is_there("history.json.bad"));
}

static void test_read_sets_aside_what_is_no_file(void **state)
{
	assert_int_equal(symlinkat("/etc/passwd", test.fd, "history.json"), 0);
	assert_int_equal(read_file(), HISTORY_FILE_SET_ASIDE);
	assert_string_equal(test.error, "it is a symbolic link");
	assert_int_equal(mkfifoat(test.fd, "history.json", 0600), 0);
	assert_int_equal(read_file(), HISTORY_FILE_SET_ASIDE);
	assert_string_equal(test.error, "it is not a file");
	assert_int_equal(unlinkat(test.fd, "history.json.bad", 0), 0);
	assert_int_equal(mkdirat(test.fd, "history.json", 0700), 0);
	assert_int_equal(read_file(), HISTORY_FILE_SET_ASIDE);
	assert_int_equal(history_count(test.history), 0);
}

static void test_read_leaves_what_cannot_be_set_aside(void **state)
{
	put_file("history.json", "{");
	assert_int_equal(mkdirat(test.fd, "history.json.bad", 0700), 0);
	assert_int_equal(read_file(), -EISDIR);
	assert_string_not_equal(test.error, "");
	assert_true(file_is("history.json", "{"));
}

static void test_read_without_permission(void **state)
{
	bool is_root = geteuid() == 0;
	int r;

	put_file("history.json", ONE);
	assert_int_equal(fchmodat(test.fd, "history.json", 0, 0), 0);
	if (is_root)
		assert_int_equal(seteuid(65534), 0);
	r = read_file();
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EACCES);
	assert_true(is_there("history.json"));
}

static void test_write_that_fails_leaves_the_old_one(void **state)
{
	static char text[256 * 1024];
	struct rlimit unlimited, limit = { .rlim_cur = 4096 };
	int r;

	memset(text, ' ', sizeof(text));
	put_file("history.json", ONE);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	limit.rlim_max = unlimited.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0); /* as a disk that is full */
	r = history_file_write(test.fd, text, sizeof(text));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_int_equal(r, -EFBIG);
	assert_true(file_is("history.json", ONE));
	assert_false(is_there("history.json.new"));
}

static void test_write_continues_where_another_was_cut_off(void **state)
{
	put_file("history.json.new", "{\"version\":1,\"entr");
	assert_int_equal(history_file_write(test.fd, ONE, strlen(ONE)), 0);
	assert_true(file_is("history.json", ONE));
	assert_false(is_there("history.json.new"));

	/* No file is written through a link. */
	put_file("history.json.bad", "mine");
	assert_int_equal(symlinkat("history.json.bad", test.fd, "history.json.new"), 0);
	assert_int_equal(history_file_write(test.fd, EMPTY, strlen(EMPTY)), 0);
	assert_true(file_is("history.json.bad", "mine"));
	assert_true(file_is("history.json", EMPTY));
}

static void test_write_where_it_cannot(void **state)
{
	assert_int_equal(mkdirat(test.fd, "history.json", 0700), 0);
	assert_int_equal(history_file_write(test.fd, ONE, strlen(ONE)), -EISDIR);
	assert_false(is_there("history.json.new"));
	assert_int_equal(history_file_write(-EBADF, ONE, strlen(ONE)), -EBADF);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_directory(test_read_what_was_written),
		in_directory(test_read_sets_aside_what_is_damaged),
		in_directory(test_read_sets_aside_what_is_too_large),
		in_directory(test_read_sets_aside_what_is_no_file),
		in_directory(test_read_leaves_what_cannot_be_set_aside),
		in_directory(test_read_without_permission),
		in_directory(test_write_that_fails_leaves_the_old_one),
		in_directory(test_write_continues_where_another_was_cut_off),
		in_directory(test_write_where_it_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
