/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/record/history-store.c, in a state directory of our own: what is written when,
 * what is read back, and what happens where that does not work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/record/history-store.h"
#include "lib/base/cleanup.h"
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
	char path[40];
	struct history *history;
	struct history_store *store;
} test;

/* The C library's, but for a disk that takes its time. */
static atomic_bool disk_is_stuck;

int fdatasync(int fd)
{
	while (disk_is_stuck)
		usleep(1000);
	return fsync(fd);
}

static int setup(void **state)
{
	strcpy(test.path, "/tmp/test-history-store-XXXXXX");
	if (!mkdtemp(test.path) || history_new(&test.history) < 0)
		return -1;
	test.store = NULL;
	return setenv("STATE_DIRECTORY", test.path, 1);
}

static int teardown(void **state)
{
	_cleanup_close_ int fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	test.store = history_store_close(test.store);
	history_free(test.history);
	(void)unlinkat(fd, "history.json", 0);
	(void)unlinkat(fd, "history.json.new", AT_REMOVEDIR);
	(void)unlinkat(fd, "history.json.bad", 0);
	return rmdir(test.path);
}

static void put(const char *kind)
{
	struct history_entry entry;

	history_entry_init(&entry);
	history_set_text(entry.kind, sizeof(entry.kind), kind);
	history_put(test.history, &entry);
}

/* How many entries are on the disk; -1: no file. */
static int count_on_disk(void)
{
	_cleanup_close_ int fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct history *history;
	char error[128];
	int n = -1;

	assert_int_equal(history_new(&history), 0);
	if (history_file_read(fd, history, error, sizeof(error)) == 0)
		n = (int)history_count(history);
	history_free(history);
	return n;
}

/* Writes, and waits until the thread is done. */
static void write_now(usec_t now)
{
	assert_true(history_store_is_due(test.store, now));
	history_store_write(test.store, now);
	for (int i = 0; i < 6000 && !history_store_is_due(test.store, now); i++)
		usleep(10000);
	assert_true(history_store_is_due(test.store, now)); /* to be cleared up */
	history_store_write(test.store, now);
}

static void restart(void)
{
	test.store = history_store_close(test.store);
	history_clear(test.history);
	test.store = history_store_open(test.history);
	assert_non_null(test.store);
}

static void test_write_when_there_is_something_new(void **state)
{
	usec_t now = 100 * USEC_PER_SEC;

	test.store = history_store_open(test.history);
	assert_non_null(test.store);
	assert_string_equal(history_store_path(test.store), test.path);
	assert_false(history_store_is_due(test.store, now));
	put("killed");
	write_now(now);
	assert_int_equal(count_on_disk(), 1);
	assert_false(history_store_is_due(test.store, now));
	assert_false(history_store_is_due(test.store, now + 60 * USEC_PER_SEC));
	put("killed");
	assert_false(history_store_is_due(test.store, now + 4 * USEC_PER_SEC)); /* not so soon */
	write_now(now + 5 * USEC_PER_SEC);
	assert_int_equal(count_on_disk(), 2);
}

static void test_close_writes_what_is_new(void **state)
{
	test.store = history_store_open(test.history);
	put("killed");
	test.store = history_store_close(test.store);
	assert_int_equal(count_on_disk(), 1);
}

/* Changed while it is being written: the end waits for the one and writes the other. */
static void test_close_writes_what_has_changed_meanwhile(void **state)
{
	test.store = history_store_open(test.history);
	put("killed");
	history_store_write(test.store, 0);
	put("dry-run");
	test.store = history_store_close(test.store);
	assert_int_equal(count_on_disk(), 2);
}

static void test_open_continues_from_what_was_kept(void **state)
{
	test.store = history_store_open(test.history);
	put("killed");
	put("killed");
	restart();
	assert_int_equal(history_count(test.history), 2);
	assert_false(history_store_is_due(test.store, 0)); /* there is nothing new in it */
	put("nobody");
	assert_int_equal(history_get(test.history, 0)->id, 3);
	restart();
	assert_int_equal(history_count(test.history), 3);
}

static void test_open_takes_one_daemon_at_a_time(void **state)
{
	struct history *history;

	test.store = history_store_open(test.history);
	assert_int_equal(history_new(&history), 0);
	assert_null(history_store_open(history));
	history_free(history);
	restart();
}

static void test_open_without_a_directory(void **state)
{
	char list[128];

	setenv("STATE_DIRECTORY", "", 1);
	assert_null(history_store_open(test.history));
	setenv("STATE_DIRECTORY", "/nowhere/reckond", 1);
	assert_null(history_store_open(test.history));
	assert_false(history_store_is_due(NULL, 0));
	assert_null(history_store_path(NULL));
	assert_null(history_store_close(NULL));
	/* Of several, the first. */
	snprintf(list, sizeof(list), "%s:/nowhere", test.path);
	setenv("STATE_DIRECTORY", list, 1);
	test.store = history_store_open(test.history);
	assert_string_equal(history_store_path(test.store), test.path);
}

static void test_open_sets_aside_what_is_damaged(void **state)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/history.json", test.path);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("{\"version\":1", f);
	fclose(f);
	test.store = history_store_open(test.history);
	assert_non_null(test.store);
	put("killed");
	test.store = history_store_close(test.store);
	assert_int_equal(count_on_disk(), 1);
	snprintf(path, sizeof(path), "%s/history.json.bad", test.path);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_write_that_fails_is_tried_again(void **state)
{
	usec_t now = 100 * USEC_PER_SEC;
	char path[64];

	snprintf(path, sizeof(path), "%s/history.json.new", test.path);
	assert_int_equal(mkdir(path, 0700), 0); /* in the way */
	test.store = history_store_open(test.history);
	put("killed");
	write_now(now);
	assert_int_equal(count_on_disk(), -1);
	assert_false(history_store_is_due(test.store, now + 29 * USEC_PER_SEC));
	assert_int_equal(rmdir(path), 0);
	write_now(now + 30 * USEC_PER_SEC);
	assert_int_equal(count_on_disk(), 1);
	assert_false(history_store_is_due(test.store, now + 90 * USEC_PER_SEC));
}

static usec_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void test_a_disk_that_is_stuck_blocks_nothing(void **state)
{
	static struct history_store *volatile stuck; /* it is left to its thread */
	usec_t began = now_usec(), now = 100 * USEC_PER_SEC;

	test.store = stuck = history_store_open(test.history);
	put("killed");
	disk_is_stuck = true;
	history_store_write(test.store, now);
	assert_true(now_usec() - began < USEC_PER_SEC);
	put("killed");
	assert_false(history_store_is_due(test.store, now + 60 * USEC_PER_SEC));
	test.store = history_store_close(test.store);
	assert_true(now_usec() - began < 30 * USEC_PER_SEC);
	assert_int_equal(count_on_disk(), -1);
	disk_is_stuck = false;
	for (int i = 0; i < 6000 && count_on_disk() < 0; i++)
		usleep(10000);
	assert_int_equal(count_on_disk(), 1);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_directory(test_write_when_there_is_something_new),
		in_directory(test_close_writes_what_is_new),
		in_directory(test_close_writes_what_has_changed_meanwhile),
		in_directory(test_open_continues_from_what_was_kept),
		in_directory(test_open_takes_one_daemon_at_a_time),
		in_directory(test_open_without_a_directory),
		in_directory(test_open_sets_aside_what_is_damaged),
		in_directory(test_write_that_fails_is_tried_again),
		in_directory(test_a_disk_that_is_stuck_blocks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
