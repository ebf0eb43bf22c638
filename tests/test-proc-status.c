/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/proc-status.c: texts of several kernels, cut and forged ones, and a list of
 * groups that fills the first read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define HEAD "Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nNgid:\t0\nPid:\t8\nPPid:\t3\n"
#define UIDS "Uid:\t1\t2\t3\t4\nGid:\t1\t1\t1\t1\nFDSize:\t64\n"
#define VM                                                                                                  \
	"VmPeak:\t   900 kB\nVmSize:\t   800 kB\nVmLck:\t   450 kB\nVmHWM:\t   600 kB\nVmRSS:\t   500 kB\n" \
	"RssAnon:\t   100 kB\nRssFile:\t   200 kB\nRssShmem:\t   200 kB\nVmData:\t     7 kB\n"              \
	"VmPTE:\t      40 kB\nVmSwap:\t       8 kB\n"
#define TAIL "HugetlbPages:\t     0 kB\nThreads:\t5\nSigQ:\t0/1\n"

static void test_parse_reads_all_fields(void **state)
{
	struct proc_status status;

	assert_int_equal(proc_status_parse(HEAD UIDS "Groups:\t1 2 \n" VM TAIL, &status), 0);
	assert_int_equal(status.state, 'S');
	assert_int_equal(status.tgid, 7);
	assert_int_equal(status.ppid, 3);
	assert_int_equal(status.uid, 2);
	assert_int_equal(status.n_threads, 5);
	assert_true(status.has_mm);
	assert_true(status.has_rss);
	assert_false(status.is_oversized);
	assert_int_equal(status.rss_anon, 100 * KIB);
	assert_int_equal(status.rss_file, 200 * KIB);
	assert_int_equal(status.rss_shmem, 200 * KIB);
	assert_int_equal(status.pagetable_bytes, 40 * KIB);
	assert_int_equal(status.swap_bytes, 8 * KIB);
	assert_int_equal(status.locked_bytes, 450 * KIB);
	assert_int_equal(proc_locked_file(&status), 200 * KIB);
}

static void test_locked_file_is_bounded(void **state)
{
	static const struct {
		uint64_t locked, anon, file, shmem, wanted;
	} cases[] = {
		{ 0, 100, 200, 300, 0 },
		{ 600, 20, 610, 0, 600 },  /* a model */
		{ 600, 300, 610, 0, 600 }, /* beside anonymous memory */
		{ 620, 20, 610, 0, 610 },
		{ 4000, 20, 610, 100, 610 }, /* mlockall(), address space that was never touched */
		{ 100, 100, 200, 0, 100 },   /* perhaps its anonymous memory */
		{ 100, 90, 0, 20, 0 },
		{ UINT64_MAX, UINT64_MAX, 5, UINT64_MAX, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct proc_status status = {
			.locked_bytes = cases[i].locked,
			.rss_anon = cases[i].anon,
			.rss_file = cases[i].file,
			.rss_shmem = cases[i].shmem,
		};

		assert_int_equal(proc_locked_file(&status), cases[i].wanted);
	}
}

static void test_parse_knows_what_is_missing(void **state)
{
	static const struct {
		const char *text;
		int result;
		bool has_mm, has_rss;
		unsigned n_threads;
	} cases[] = {
		{ HEAD UIDS TAIL, 0, .n_threads = 5 }, /* zombie, kernel thread */
		{ HEAD UIDS "VmPeak:\t1 kB\nVmRSS:\t1 kB\n" TAIL, 0, true, false, 5 },
		{ HEAD UIDS VM, 0, true, true, 0 },
		{ UIDS, 0 },
		{ HEAD VM TAIL, -EBADMSG }, /* no uid */
		/* what stands behind the last line wanted is not parsed */
		{ UIDS TAIL "VmSwap:\tx\n", 0, .n_threads = 5 },
		{ HEAD UIDS "Threads:\t-5\n", -EBADMSG },
		{ HEAD UIDS "Threads:\t4294967296\n", -EBADMSG },
		{ HEAD UIDS "RssAnon:\t1 MB\n", -EBADMSG },
		{ HEAD UIDS "VmLck:\t1 MB\n", -EBADMSG },
		{ HEAD UIDS "RssFile:\t18446744073709551615 kB\n", -EBADMSG },
		{ HEAD UIDS "RssShmem:\t\n", -EBADMSG },
		{ UIDS "State:\tQ (sleeping)\n", -EBADMSG },
		{ UIDS "State:\t\n", -EBADMSG },
		{ UIDS "PPid:\t2147483648\n", -EBADMSG },
		{ UIDS "PPid:\t1 2\n", -EBADMSG },
		{ UIDS "Tgid:\t-1\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_status status = {};

		assert_int_equal(proc_status_parse(cases[i].text, &status), cases[i].result);
		assert_int_equal(status.has_mm, cases[i].has_mm);
		assert_int_equal(status.has_rss, cases[i].has_rss);
		assert_int_equal(status.n_threads, cases[i].n_threads);
	}
}

/* A number is the right one, or its line was not seen at all. */
static void check_cut(const struct proc_status *status)
{
	assert_true(status->uid == 2);
	assert_true(status->rss_anon == 0 || status->rss_anon == 100 * KIB);
	assert_true(status->rss_shmem == 0 || status->rss_shmem == 200 * KIB);
	assert_true(status->locked_bytes == 0 || status->locked_bytes == 450 * KIB);
	assert_true(status->swap_bytes == 0 || status->swap_bytes == 8 * KIB);
	assert_true(status->n_threads == 0 || status->n_threads == 5);
}

static void test_parse_never_misreads_what_was_cut(void **state)
{
	static const char text[] = HEAD UIDS "Groups:\t1 2 \n" VM TAIL;

	for (size_t length = 0; length < sizeof(text); length++) {
		char *copy = strndup(text, length);
		struct proc_status status;

		assert_non_null(copy);
		if (proc_status_parse(copy, &status) == 0)
			check_cut(&status);
		free(copy);
	}
}

/* A memfd with a status of so many groups. */
static int open_status(unsigned n_groups)
{
	int fd = memfd_create("status", MFD_CLOEXEC), copy = dup(fd);
	FILE *file = fdopen(copy, "w");

	assert_true(fd >= 0);
	assert_non_null(file);
	fputs(HEAD UIDS "Groups:\t", file);
	for (unsigned i = 0; i < n_groups; i++)
		fprintf(file, "%u ", 4294900000U + i);
	fputs("\n" VM TAIL, file);
	fclose(file);
	return fd;
}

static void check_all(const struct proc_status *status)
{
	assert_int_equal(status->uid, 2);
	assert_int_equal(status->rss_anon, 100 * KIB);
	assert_int_equal(status->swap_bytes, 8 * KIB);
	assert_int_equal(status->n_threads, 5);
	assert_false(status->is_oversized);
}

static void test_read_fd_reports_what_is_oversized(void **state)
{
	bool was_oversized = false;

	/* Each length at which a line of the memory is where the first read ends, and the longest.
	 */
	for (unsigned n = 0; n <= 65536; n += n < 320 || n > 460 ? 1 + n / 100 * 100 : 1) {
		_cleanup_close_ int fd = open_status(n);
		struct proc_status status = {};
		int r = proc_read_status_fd(fd, &status);

		if (r == 0) {
			assert_false(was_oversized);
			check_all(&status);
			continue;
		}
		was_oversized = true;
		assert_int_equal(r, -E2BIG);
		assert_true(status.is_oversized);
		assert_false(status.has_mm);
		assert_int_equal(status.uid, 2);
		assert_int_equal(status.tgid, 7);
		assert_int_equal(status.ppid, 3);
		assert_int_equal(status.state, 'S');
	}
	assert_true(was_oversized);
}

static void test_read_reads_on_and_reports_it(void **state)
{
	_cleanup_close_ int fd = open_status(65536), dir_fd = -EBADF;
	char path[] = "/tmp/test-proc-status-XXXXXX", target[64];
	struct proc_status status = {};

	assert_non_null(mkdtemp(path));
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(dir_fd, "7", 0700), 0);
	(void)snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	assert_int_equal(symlinkat(target, dir_fd, "7/status"), 0);

	assert_int_equal(proc_read_status(dir_fd, 7, &status), 0);
	assert_true(status.is_oversized);
	status.is_oversized = false;
	check_all(&status);

	(void)unlinkat(dir_fd, "7/status", 0);
	(void)unlinkat(dir_fd, "7", AT_REMOVEDIR);
	(void)rmdir(path);
}

static void test_read_fd_refuses_what_is_none(void **state)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct proc_status status = { .uid = 9 };

	assert_int_equal(proc_read_status_fd(-EBADF, &status), -EBADF);
	assert_int_equal(proc_read_status_fd(null, &status), -EBADMSG);
	assert_int_equal(status.uid, 9);
}

/* A kept fd is read from its beginning each time. */
static void test_read_fd_of_ourselves(void **state)
{
	_cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	const size_t size = 16 * MIB;
	struct proc_status before, after;
	void *p;

	assert_int_equal(proc_read_status_fd(fd, &before), 0);
	assert_int_equal(before.tgid, getpid());
	assert_int_equal(before.ppid, getppid());
	assert_int_equal(before.n_threads, 1);
	assert_true(before.has_mm && before.has_rss && before.rss_file > 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 1, size);
	assert_int_equal(proc_read_status_fd(fd, &after), 0);
	/* what a kernel may hide in its counters: less than a MiB a counter here */
	assert_in_range(after.rss_shmem - before.rss_shmem, size - MIB, size + MIB);
	assert_true(after.rss_anon < before.rss_anon + size / 2);
	(void)munmap(p, size);
}

/* A name is compared to the end of its line, and all of it. */
static void test_parse_knows_names_from_their_beginnings(void **state)
{
	static const char *const lines[] = { "R\n",
					     "Rss\n",
					     "RssAnon\n",
					     "V\n",
					     "Vm\n",
					     "VmSwap\n",
					     "RssAnonX:\t  9 kB\n",
					     "xRssAnon:\t  9 kB\n",
					     "VmSwaps:\t  9 kB\n",
					     "Thread\n",
					     "Threads\n" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *text = NULL;
		struct proc_status status;

		assert_true(asprintf(&text, "%s%s%s", HEAD, UIDS, lines[i]) > 0);
		assert_int_equal(proc_status_parse(text, &status), 0);
		assert_int_equal(status.rss_anon, 0);
		assert_int_equal(status.swap_bytes, 0);
		assert_int_equal(status.n_threads, 0);
		assert_false(status.has_rss);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_reads_all_fields),
		cmocka_unit_test(test_locked_file_is_bounded),
		cmocka_unit_test(test_parse_knows_what_is_missing),
		cmocka_unit_test(test_parse_knows_names_from_their_beginnings),
		cmocka_unit_test(test_parse_never_misreads_what_was_cut),
		cmocka_unit_test(test_read_fd_reports_what_is_oversized),
		cmocka_unit_test(test_read_reads_on_and_reports_it),
		cmocka_unit_test(test_read_fd_refuses_what_is_none),
		cmocka_unit_test(test_read_fd_of_ourselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
