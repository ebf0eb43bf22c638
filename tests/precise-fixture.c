/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise-fixture: makes a /proc of files in which a read can hang, and counts what is left
 * behind.
 */
#include "tests/precise-fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/precise.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static int count_entries(const char *path)
{
	_cleanup_dir_ DIR *dir = opendir(path);
	int n = 0;

	while (readdir(dir))
		n++;
	return n;
}

int count_fds_and_threads(void)
{
	return count_entries("/proc/self/fd") + count_entries("/proc/self/task");
}

bool is_as_before(int before)
{
	for (int i = 0; i < 2000 && count_fds_and_threads() != before; i++)
		(void)usleep(1000);
	return count_fds_and_threads() == before;
}

usec_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

static const char rollup[] = "555555554000-7ffffffff000 ---p 00000000 00:00 0 [rollup]\n"
			     "Rss:                3000 kB\n"
			     "Pss_Anon:           1000 kB\n"
			     "Pss_File:            900 kB\n"
			     "Pss_Shmem:             0 kB\n"
			     "Private_Clean:         0 kB\n"
			     "Private_Dirty:      1000 kB\n"
			     "Anonymous:          1000 kB\n"
			     "Swap:                200 kB\n"
			     "SwapPss:             200 kB\n";
static const char status[] = "Name:\tx\nUid:\t0\t0\t0\t0\nVmPTE:\t 7 kB\nThreads:\t1\n";

static const char stat_text[] =
	"100 (x) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 54321 3133440 376 18446744073709551615\n";

static void put(int fd, const char *name, const char *text)
{
	_cleanup_close_ int file = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(write(file, text, strlen(text)), strlen(text));
}

int setup(void **state)
{
	static struct tree tree;

	strcpy(tree.path, "/tmp/test-precise-XXXXXX");
	if (!mkdtemp(tree.path))
		return -1;
	tree.fd = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(tree.fd, "100", 0755) < 0 || mkdirat(tree.fd, "200", 0755) < 0 ||
	    mkdirat(tree.fd, "300", 0755) < 0 || mkdirat(tree.fd, "400", 0755) < 0 ||
	    mkfifoat(tree.fd, "200/smaps_rollup", 0644) < 0 ||
	    mkfifoat(tree.fd, "400/smaps_rollup", 0644) < 0)
		return -1;
	put(tree.fd, "100/smaps_rollup", rollup);
	put(tree.fd, "100/status", status);
	put(tree.fd, "100/stat", stat_text);
	tree.before = count_fds_and_threads();
	tree.precise = NULL;
	*state = &tree;
	return precise_new(tree.fd, &tree.precise);
}

void free_precise(struct tree *tree)
{
	assert_null(precise_free(tree->precise));
	tree->precise = NULL;
}

int teardown(void **state)
{
	struct tree *tree = *state;

	free_precise(tree);
	close(tree->fd);
	return nftw(tree->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void release_one(const struct tree *tree, pid_t pid)
{
	char path[32];
	_cleanup_close_ int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "%d/smaps_rollup", pid);
	for (int i = 0; fd < 0 && i < 2000; i++) { /* ENXIO: no reader yet */
		fd = openat(tree->fd, path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			(void)usleep(1000);
	}
	assert_return_code(fd, errno);
}

void release(const struct tree *tree)
{
	release_one(tree, HANGING);
}

void wait_until_it_hangs(const struct tree *tree)
{
	assert_true(is_as_before(tree->before + 3));
}

int collect(struct tree *tree, pid_t *pid, int *result, struct reclaimable *ret)
{
	uint64_t start_ticks = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < 5000; i++) {
		r = precise_collect(tree->precise, pid, &start_ticks, result, ret);
		if (r == 0)
			(void)usleep(1000);
	}
	if (r == 1)
		assert_in_range(start_ticks, START, START + 1);
	return r;
}
