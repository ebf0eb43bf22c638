/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/proc.c: the readers on fixtures. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/proc.h"
#include "tests/fixture-fd.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096 /* of the fixtures */

static void test_read_stat_of_fixtures(void **state)
{
	static const struct {
		pid_t pid;
		int result;
		const char *comm;
		char state;
		unsigned n_threads;
		bool is_kthread;
	} cases[] = {
		{ 1, 0, "systemd", 'S', 1 },
		{ 2, 0, "kthreadd", 'S', 1, true },
		{ 812, 0, "worker", 'S', 3 },
		{ 900, 0, "leader", 'Z', 3 },
		{ 1000, 0, "defunct", 'Z', 1 },
		{ 1200, 0, ") R 1 (\n\xff\xfe", 'S', 1 },
		{ 1300, 0, "vanished", 'R', 1 },
		{ 1400, -EBADMSG },
		{ 4711, PROC_GONE },
	};
	_cleanup_close_ int proc_fd = fixture_fd("proc");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_stat stat;

		assert_int_equal(proc_read_stat(proc_fd, cases[i].pid, &stat), cases[i].result);
		if (cases[i].result != 0)
			continue;
		assert_int_equal(stat.pid, cases[i].pid);
		assert_string_equal(stat.comm, cases[i].comm);
		assert_int_equal(stat.state, cases[i].state);
		assert_int_equal(stat.n_threads, cases[i].n_threads);
		assert_int_equal((stat.flags & PROC_FLAG_KTHREAD) != 0, cases[i].is_kthread);
	}
}

static void test_read_status_of_fixtures(void **state)
{
	static const struct {
		pid_t pid;
		int result;
		uid_t uid;
		uint64_t swap, pagetables;
	} cases[] = {
		{ 1, 0, 0, 0, 84 * KIB },
		{ 2, 0, 0 },
		{ 812, 0, 1001, 2 * MIB, 300 * KIB },
		{ 900, 0, 1000 },
		{ 1200, 0, 65534, 0, 40 * KIB },
		{ 1300, PROC_GONE },
		{ 1400, -EBADMSG },
	};
	_cleanup_close_ int proc_fd = fixture_fd("proc");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_status status = {};

		assert_int_equal(proc_read_status(proc_fd, cases[i].pid, &status), cases[i].result);
		assert_int_equal(status.uid, cases[i].uid);
		assert_int_equal(status.swap_bytes, cases[i].swap);
		assert_int_equal(status.pagetable_bytes, cases[i].pagetables);
	}
}

/* A proc directory with one process, 7, and a status to be written. */
struct status_fixture {
	char dir[32];
	char path[64];
	int proc_fd;
};

static void status_fixture_init(struct status_fixture *fixture)
{
	strcpy(fixture->dir, "/tmp/test-proc-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	fixture->proc_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->proc_fd >= 0);
	assert_int_equal(mkdirat(fixture->proc_fd, "7", 0700), 0);
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/7/status", fixture->dir);
}

static void status_fixture_done(struct status_fixture *fixture)
{
	unlink(fixture->path);
	(void)unlinkat(fixture->proc_fd, "7", AT_REMOVEDIR);
	rmdir(fixture->dir);
	close(fixture->proc_fd);
}

static void check_status(const struct status_fixture *fixture)
{
	struct proc_status status = {};

	assert_int_equal(proc_read_status(fixture->proc_fd, 7, &status), 0);
	assert_int_equal(status.uid, 2);
	assert_int_equal(status.pagetable_bytes, 40 * KIB);
	assert_int_equal(status.swap_bytes, 8 * KIB);
}

#define STATUS_HEAD "Name:\tx\nUid:\t1\t2\t3\t4\nGroups:\t"
#define STATUS_TAIL "\nVmPTE:\t      40 kB\nVmSwap:\t       8 kB\nThreads:\t1\n"

/* The line of groups, which comes first, may be longer than any buffer. */
static void test_read_status_behind_many_groups(void **state)
{
	struct status_fixture fixture;

	status_fixture_init(&fixture);
	/* Every length near that of the buffer, and up to the kernel's NGROUPS_MAX. */
	for (unsigned n_groups = 360; n_groups < 65536; n_groups += n_groups < 420 ? 1 : 13000) {
		FILE *file = fopen(fixture.path, "we");

		assert_non_null(file);
		fputs(STATUS_HEAD, file);
		for (unsigned i = 0; i < n_groups; i++)
			fprintf(file, "%u ", 4294900000U + i);
		fputs(STATUS_TAIL, file);
		fclose(file);
		check_status(&fixture);
	}
	status_fixture_done(&fixture);
}

/* Where a line is read in pieces, the beginning of a piece is not the beginning of a line. */
static void test_read_status_takes_no_piece_for_a_line(void **state)
{
	struct status_fixture fixture;

	status_fixture_init(&fixture);
	for (unsigned n = 4000; n < 4100; n++) {
		FILE *file = fopen(fixture.path, "we");

		assert_non_null(file);
		fprintf(file,
			STATUS_HEAD "%0*u"
				    "Uid:\t8\t9\t9\t9" STATUS_TAIL,
			(int)n, 0);
		fclose(file);
		check_status(&fixture);
	}
	status_fixture_done(&fixture);
}

static void test_read_oom_score_adj_of_fixtures(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc");
	int adj = 7;

	assert_int_equal(proc_read_oom_score_adj(proc_fd, 1400, &adj), -EBADMSG);
	assert_int_equal(proc_read_oom_score_adj(proc_fd, 1300, &adj), PROC_GONE);
	assert_int_equal(adj, 7);
	assert_int_equal(proc_read_oom_score_adj(proc_fd, 812, &adj), 0);
	assert_int_equal(adj, -250);
	assert_int_equal(proc_read_oom_score_adj(proc_fd, 1200, &adj), 0);
	assert_int_equal(adj, 1000);
}

static void test_read_memory_of_fixtures(void **state)
{
	static const struct {
		pid_t pid;
		bool with_swap;
		int result;
		struct proc_memory memory;
	} cases[] = {
		{ 812, false, 0, { .anon = 25000 * PAGE, .shared = 2500 * PAGE } },
		{ 812,
		  true,
		  0,
		  { .anon = 25000 * PAGE,
		    .swap = 2 * MIB,
		    .shared = 2500 * PAGE,
		    .shmem = 1000 * KIB,
		    .pagetables = 300 * KIB } },
		{ 2, true, 0, {} },
		{ 1000, true, 0, {} },
		/* by the thread that lives */
		{ 900, false, 0, { .anon = 8 * MIB, .shared = 952 * PAGE } },
		{ 900,
		  true,
		  0,
		  { .anon = 8 * MIB,
		    .swap = 512 * KIB,
		    .shared = 952 * PAGE,
		    .pagetables = 60 * KIB } },
		{ 1300, false, PROC_GONE, {} },
	};
	_cleanup_close_ int proc_fd = fixture_fd("proc");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_memory memory = {};
		struct proc_stat stat;

		assert_int_equal(proc_read_stat(proc_fd, cases[i].pid, &stat), 0);
		assert_int_equal(
			proc_read_memory(proc_fd, &stat, cases[i].with_swap, PAGE, &memory),
			cases[i].result);
		assert_memory_equal(&memory, &cases[i].memory, sizeof(memory));
	}
}

static void test_read_memory_follows_a_leader_that_has_just_exited(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc");
	struct proc_stat stat = { .pid = 900, .state = 'S', .n_threads = 3 }; /* read earlier */
	struct proc_memory memory;

	assert_int_equal(proc_read_memory(proc_fd, &stat, false, PAGE, &memory), 0);
	assert_int_equal(memory.anon, 8 * MIB);

	stat = (struct proc_stat){ .pid = 1400, .state = 'S', .n_threads = 1 };
	assert_int_equal(proc_read_memory(proc_fd, &stat, false, PAGE, &memory), -EBADMSG);
}

static void test_read_rollup_of_fixtures(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc");
	struct proc_memory memory;

	assert_int_equal(proc_read_rollup(proc_fd, 812, &memory), 0);
	assert_int_equal(memory.anon, 100400 * KIB);
	assert_int_equal(memory.shared, 10000 * KIB);
	assert_int_equal(memory.swap, 2 * MIB);
	assert_int_equal(proc_read_rollup(proc_fd, 900, &memory), 0);
	assert_int_equal(memory.anon, 8 * MIB);
	assert_int_equal(proc_read_rollup(proc_fd, 1300, &memory), PROC_GONE);
	assert_int_equal(proc_read_rollup(proc_fd, 1400, &memory), -EBADMSG);
}

static void test_find_live_thread_skips_the_dead(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc");
	pid_t tid = 0;

	assert_int_equal(proc_find_live_thread(proc_fd, 900, &tid), 0);
	assert_int_equal(tid, 902);
	assert_int_equal(proc_find_live_thread(proc_fd, 4711, &tid), PROC_GONE);
	assert_int_equal(tid, 902);
}

struct listing {
	pid_t pids[32];
	unsigned n;
	unsigned stop_after;
};

static int add_pid(pid_t pid, void *userdata)
{
	struct listing *listing = userdata;

	assert_true(listing->n < ARRAY_SIZE(listing->pids));
	listing->pids[listing->n++] = pid;
	return listing->n == listing->stop_after ? -ECANCELED : 0;
}

static int compare_pids(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

static void test_list_finds_pids_only(void **state)
{
	static const pid_t expected[] = { 1, 2, 812, 900, 1000, 1200, 1300, 1400 };
	_cleanup_close_ int proc_fd = fixture_fd("proc");

	/* Twice with each buffer: nothing is left of the one before.  The small one needs several
	 * rounds. */
	for (unsigned i = 0; i < 4; i++) {
		_Alignas(struct dirent64) char buf[4096];
		struct listing listing = {};

		assert_int_equal(
			proc_list(proc_fd, buf, i < 2 ? 128 : sizeof(buf), add_pid, &listing), 0);
		qsort(listing.pids, listing.n, sizeof(pid_t), compare_pids);
		assert_int_equal(listing.n, ARRAY_SIZE(expected));
		assert_memory_equal(listing.pids, expected, sizeof(expected));
	}
}

static void test_list_stops_where_the_caller_wants(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc");
	_Alignas(struct dirent64) char buf[4096];
	struct listing listing = { .stop_after = 3 };

	assert_int_equal(proc_list(proc_fd, buf, sizeof(buf), add_pid, &listing), -ECANCELED);
	assert_int_equal(listing.n, 3);
	assert_int_equal(proc_list(proc_fd, buf, 8, add_pid, &listing), -EINVAL);
	assert_int_equal(proc_list(-EBADF, buf, sizeof(buf), add_pid, &listing), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_stat_of_fixtures),
		cmocka_unit_test(test_read_status_of_fixtures),
		cmocka_unit_test(test_read_status_behind_many_groups),
		cmocka_unit_test(test_read_status_takes_no_piece_for_a_line),
		cmocka_unit_test(test_read_oom_score_adj_of_fixtures),
		cmocka_unit_test(test_read_memory_of_fixtures),
		cmocka_unit_test(test_read_memory_follows_a_leader_that_has_just_exited),
		cmocka_unit_test(test_read_rollup_of_fixtures),
		cmocka_unit_test(test_find_live_thread_skips_the_dead),
		cmocka_unit_test(test_list_finds_pids_only),
		cmocka_unit_test(test_list_stops_where_the_caller_wants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
