/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/base/io.c, on files of a temporary directory and on a long file of the kernel's,
 * which hands it out in pieces.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

struct fixture {
	char path[32];
	int fd;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	strcpy(fixture->path, "/tmp/test-io-XXXXXX");
	if (!mkdtemp(fixture->path))
		return -1;
	fixture->fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return fixture->fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	(void)unlinkat(fixture->fd, "file", 0);
	close(fixture->fd);
	rmdir(fixture->path);
	free(fixture);
	return 0;
}

static void put_file(const struct fixture *fixture, const char *text)
{
	_cleanup_close_ int fd =
		openat(fixture->fd, "file", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_read_at_ends_with_nul(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		ssize_t result;
		const char *buf;
	} cases[] = {
		{ "", 1, 0, "" },	    { "", 8, 0, "" },
		{ "abc", 4, 3, "abc" }, /* just fits */
		{ "abc", 8, 3, "abc" },	    { "abc", 3, -ENOBUFS, "ab" },
		{ "abc", 1, -ENOBUFS, "" }, { "abcdefgh", 4, -ENOBUFS, "abc" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *buf = malloc(cases[i].size); /* of that size, for the sanitizer */

		assert_non_null(buf);
		memset(buf, 'x', cases[i].size);
		put_file(*state, cases[i].text);
		assert_int_equal(
			io_read_at(((struct fixture *)*state)->fd, "file", buf, cases[i].size),
			cases[i].result);
		assert_string_equal(buf, cases[i].buf);
		free(buf);
	}
}

static unsigned n_preads;

ssize_t __real_pread(int fd, void *buf, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at)
{
	n_preads++;
	return __real_pread(fd, buf, size, at);
}

/* The end is looked for only where it may not have been reached. */
static void test_a_record_is_read_at_once(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		ssize_t result;
		const char *buf;
		unsigned n;
	} cases[] = {
		{ "a\n", 8, 2, "a\n", 1 },
		{ "a\nb\n", 8, 4, "a\nb\n", 1 },
		{ "a\nb\n", 5, 4, "a\nb\n", 2 },     /* just fits */
		{ "a\nb\n", 3, -ENOBUFS, "a\n", 2 }, /* cut where a line ends */
		{ "a", 8, 1, "a", 2 },
		{ "", 8, 0, "", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[8];

		put_file(*state, cases[i].text);
		n_preads = 0;
		assert_int_equal(io_read_record_at(((struct fixture *)*state)->fd, "file", buf,
						   cases[i].size),
				 cases[i].result);
		assert_string_equal(buf, cases[i].buf);
		assert_int_equal(n_preads, cases[i].n);
	}
}

static void test_read_at_returns_what_is_wrong(void **state)
{
	struct fixture *fixture = *state;
	char buf[8];

	assert_int_equal(io_read_at(fixture->fd, "none", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(io_read_at(fixture->fd, ".", buf, sizeof(buf)), -EISDIR);
	assert_int_equal(io_read_at(-EBADF, "file", buf, sizeof(buf)), -EBADF);
	put_file(fixture, "abc");
	assert_int_equal(io_read_at(fixture->fd, "file", buf, 0), -ENOBUFS);
}

static void test_read_fd_starts_over(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_close_ int fd = -EBADF;
	char buf[8];

	put_file(fixture, "one");
	fd = openat(fixture->fd, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_read_fd(fd, buf, sizeof(buf)), 3);
	put_file(fixture, "three");
	assert_int_equal(io_read_fd(fd, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "three");
}

/* smaps comes in pieces of at most a page; the stack is in one of the last. */
static void test_read_at_continues_short_reads(void **state)
{
	_cleanup_close_ int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const size_t size = 64 * MIB;
	_cleanup_free_ char *buf = malloc(size);
	ssize_t n;

	assert_non_null(buf);
	n = io_read_at(fd, "smaps", buf, size);
	if (n < 0) {
		print_message("no /proc/self/smaps here (%zd)\n", n);
		skip();
	}
	assert_true(n > 4096);
	assert_int_equal(strlen(buf), n);
	assert_int_equal(buf[n - 1], '\n');
	assert_non_null(strstr(buf, "[stack]"));
}

static void test_write_at_writes_once(void **state)
{
	struct fixture *fixture = *state;
	char buf[16];

	put_file(fixture, "FROZEN\n");
	assert_int_equal(io_write_at(fixture->fd, "file", "THAWED"), 0);
	assert_int_equal(io_read_at(fixture->fd, "file", buf, sizeof(buf)), 7);
	assert_string_equal(buf, "THAWED\n");
	assert_int_equal(io_write_at(fixture->fd, "none", "1"), -ENOENT);
	assert_int_equal(io_write_at(AT_FDCWD, "/dev/full", "1"), -ENOSPC);
}

static void test_open_files_do_not_leak(void **state)
{
	struct fixture *fixture = *state;
	int before, after;
	char buf[8];

	put_file(fixture, "abcdefghijk");
	before = dup(fixture->fd);
	close(before);
	(void)io_read_at(fixture->fd, "file", buf, sizeof(buf));
	(void)io_read_at(fixture->fd, ".", buf, sizeof(buf));
	(void)io_write_at(fixture->fd, "file", "1");
	(void)io_write_at(AT_FDCWD, "/dev/full", "1");
	after = dup(fixture->fd);
	close(after);
	assert_int_equal(before, after);
}

static void test_interruptions_are_bounded(void **state)
{
	unsigned n = 0, n_again = 0;

	errno = EINTR;
	assert_false(io_is_interrupted(0, &n));
	assert_false(io_is_interrupted(7, &n));
	errno = EIO;
	assert_false(io_is_interrupted(-1, &n));
	assert_int_equal(n, 0);
	errno = EINTR;
	while (io_is_interrupted(-1, &n))
		n_again++;
	assert_int_equal(n_again, 20);
	assert_false(io_is_interrupted(-1, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_at_ends_with_nul),
		cmocka_unit_test(test_a_record_is_read_at_once),
		cmocka_unit_test(test_read_at_returns_what_is_wrong),
		cmocka_unit_test(test_read_fd_starts_over),
		cmocka_unit_test(test_read_at_continues_short_reads),
		cmocka_unit_test(test_write_at_writes_once),
		cmocka_unit_test(test_interruptions_are_bounded),
		cmocka_unit_test(test_open_files_do_not_leak),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
