/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/proc.c: the parsers on what the kernel writes and on what it never would, the
 * readers on a tree of fixtures, and on processes of our own what only a kernel can show: a leader
 * that has exited before its threads, zombies, and what has exited.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

#define PAGE 4096 /* of the fixtures */

#define TAIL                                                                                       \
	"1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 20 0 3 0 54321 3133440 376 18446744073709551615\n"

static int fixture_fd(const char *name)
{
	const char *fixtures = getenv("FIXTURES");
	char path[4096];
	int fd;

	assert_non_null(fixtures);
	(void)snprintf(path, sizeof(path), "%s/%s", fixtures, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int real_proc(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_stat_parse_reads_all_fields(void **state)
{
	struct proc_stat stat;

	assert_int_equal(proc_stat_parse("42 (worker) S " TAIL, &stat), 0);
	assert_int_equal(stat.pid, 42);
	assert_string_equal(stat.comm, "worker");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.flags, 4194304);
	assert_int_equal(stat.n_threads, 3);
	assert_int_equal(stat.start_ticks, 54321);
	assert_int_equal(stat.stack_start, 0); /* cut before it */
	assert_int_equal(proc_stat_parse("42 (worker) S 1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 "
					 "20 0 3 0 54321 3133440 376 18446744073709551615 1 2 "
					 "140735234567890 0 0\n",
					 &stat),
			 0);
	assert_int_equal(stat.stack_start, 140735234567890);
	assert_int_equal(stat.args_length, 0);
	assert_int_equal(
		proc_stat_parse("42 (worker) S 1 7 7 0 -1 4194304 101 20 3 4 50 60 70 80 "
				"20 0 3 0 54321 3133440 376 18446744073709551615 1 2 "
				"140735234567890 0 0 0 0 6 0 0 0 0 -1 1 0 0 0 0 0 93 94 95 "
				"140735234568000 140735234568021 140735234568021 "
				"140735234568900 0\n",
				&stat),
		0);
	assert_int_equal(stat.stack_start, 140735234567890);
	assert_int_equal(stat.args_length, 21);
}

/* That of this program: each argument with its NUL. */
static void test_stat_tells_the_length_of_the_arguments(void **state)
{
	char args[4096];
	struct proc_stat stat;
	int proc_fd = real_proc(), fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, args, sizeof(args));
	assert_true(n > 0);
	assert_int_equal(proc_read_stat(proc_fd, getpid(), &stat), 0);
	assert_int_equal(stat.args_length, n);
	close(fd);
	close(proc_fd);
}

static void test_stat_parse_believes_no_name(void **state)
{
	static const char *const names[] = {
		"",
		" ",
		")",
		"(",
		"a b",
		") R 1 (",
		"a) S 1 1 1",
		") Z 1 1 1 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 9 0 7 1",
		"new\nline",
		"\xff\xfe\x80",
		"123456789012345678901234567890123456789012345678901234567890123", /* 63 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct proc_stat stat;
		char text[512];

		(void)snprintf(text, sizeof(text), "42 (%s) S " TAIL, names[i]);
		assert_int_equal(proc_stat_parse(text, &stat), 0);
		assert_string_equal(stat.comm, names[i]);
		assert_int_equal(stat.pid, 42);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.flags, 4194304);
		assert_int_equal(stat.start_ticks, 54321);
	}
}

static void test_stat_parse_refuses_what_no_kernel_writes(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"42",
		"42 ",
		"42 (",
		"42 (worker",
		"42 (worker)",
		"42 (worker) ",
		"42 (worker) S",
		"42 (worker)S " TAIL,
		"42 (worker) Q " TAIL,
		"42 (worker) SS " TAIL,
		"42(worker) S " TAIL,
		"(worker) S " TAIL,
		" 42 (worker) S " TAIL,
		"-42 (worker) S " TAIL,
		"2147483648 (worker) S " TAIL,
		"18446744073709551658 (worker) S " TAIL,
		/* 64 bytes of name */
		"42 (1234567890123456789012345678901234567890123456789012345678901234) S " TAIL,
		/* ppid, flags, threads, start */
		"42 (w) S 2147483648 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 4294967296 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 -1 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 -3 0 54321 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 18446744073709551616 1\n",
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321\n", /* cut there? */
		"42 (w) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 543.21 1\n",
		"42 (w) S 1 7 7 0 - 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
		"42 (w) S 1 7 7 x -1 0 1 2 3 4 5 6 7 8 20 0 3 0 54321 1\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct proc_stat stat = { .pid = 7 };

		if (proc_stat_parse(texts[i], &stat) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(stat.pid, 7); /* left alone */
	}
}

static void test_statm_parse_reads_three_numbers(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"1",
		"1 2 3",
		"1 2\n",
		"-1 2 3 4\n",
		"1 x 3 4\n",
		"1  2 3 4\n",
		"18446744073709551616 2 3 4\n",
		"1 18446744073709551615 3 4\n", /* fits, but not as bytes */
	};
	struct proc_statm statm;

	assert_int_equal(proc_statm_parse("765 423 394 5 0 123 0\n", &statm), 0);
	assert_int_equal(statm.size, 765);
	assert_int_equal(statm.resident, 423);
	assert_int_equal(statm.shared, 394);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_statm_parse(bad[i], &statm), -EBADMSG);
}

static void test_status_parse_takes_names_at_line_starts(void **state)
{
	static const struct {
		const char *text;
		int result;
		uid_t uid;
		uint64_t swap, pagetables;
	} cases[] = {
		{ "Name:\tx\nUid:\t1\t2\t3\t4\nVmPTE:\t  40 kB\nVmSwap:\t  8 kB\n", 0, 2, 8192,
		  40960 },
		{ "Name:\tUid:\t9\t9\t9\t9\nUid:\t1\t2\t3\t4\n", 0, 2 },
		{ "Name:\tVmSwap: 99 kB\nUid:\t1\t4294967295\t3\t4\n", 0, UINT32_MAX },
		/* Cut: what is not whole does not count. */
		{ "Uid:\t1\t2\t3\t4\nVmPTE:\t  40 kB\nVmSwap:\t  8", 0, 2, 0, 40960 },
		{ "Uid:\t1\t2\t3\t4", -EBADMSG },
		{ "", -EBADMSG },
		{ "Name:\tx\n", -EBADMSG },
		{ "Uid:\t1\n", -EBADMSG },
		{ "Uid:\t1\t2\n", -EBADMSG },
		{ "Uid:\t1\t-1\t3\t4\n", -EBADMSG },
		{ "Uid:\t1\t4294967296\t3\t4\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t8 MB\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t8\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmSwap:\t18446744073709551615 kB\n", -EBADMSG },
		{ "Uid:\t1\t2\t3\t4\nVmPTE:\t-8 kB\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_status status = {};

		assert_int_equal(proc_status_parse(cases[i].text, &status), cases[i].result);
		assert_int_equal(status.uid, cases[i].uid);
		assert_int_equal(status.swap_bytes, cases[i].swap);
		assert_int_equal(status.pagetable_bytes, cases[i].pagetables);
	}
}

static void test_rollup_parse_needs_all_three(void **state)
{
	static const char *const bad[] = {
		"",
		"Rss: 4 kB\nAnonymous: 4 kB\n",
		"Rss: 4 kB\nAnonymous: 4 kB\nSwap: 4",
		"Rss: 4 kB\nAnonymous: 4\nSwap: 4 kB\n",
		"Rss: 4 kB\n Anonymous: 4 kB\nSwap: 4 kB\n",
	};
	struct proc_memory memory;

	assert_int_equal(proc_rollup_parse("[rollup]\nRss:   100 kB\nPss_Anon: 9 kB\n"
					   "Anonymous:  60 kB\nSwapPss: 1 kB\nSwap:  8 kB\n",
					   &memory),
			 0);
	assert_int_equal(memory.anon, 60 * KIB);
	assert_int_equal(memory.shared, 40 * KIB);
	assert_int_equal(memory.swap, 8 * KIB);
	assert_int_equal(memory.pagetables, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_rollup_parse(bad[i], &memory), -EBADMSG);
}

/* All four, on a text in memory of its very size; a number that is accepted must be `right`. */
static void feed(const char *text, size_t length, const struct proc_stat *right)
{
	char *copy = malloc(length + 1);
	struct proc_stat stat;
	struct proc_statm statm;
	struct proc_status status;
	struct proc_memory memory;

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (proc_stat_parse(copy, &stat) == 0 && right) {
		assert_int_equal(stat.start_ticks, right->start_ticks);
		assert_int_equal(stat.n_threads, right->n_threads);
	}
	(void)proc_statm_parse(copy, &statm);
	(void)proc_status_parse(copy, &status);
	(void)proc_rollup_parse(copy, &memory);
	free(copy);
}

static void test_parsers_survive_cut_and_random_texts(void **state)
{
	static const char *const texts[] = {
		("42 (w) R (x) S " TAIL),
		"765 423 394 5 0 123 0\n",
		"Name:\tx\nUid:\t1\t2\t3\t4\nVmPTE:\t      40 kB\nVmSwap:\t       8 kB\n",
		"Rss: 4 kB\nAnonymous: 4 kB\nSwap: 4 kB\n",
	};
	static const char alphabet[] = "0123456789 ():\t\n-kBSRUidVmSwap\xff";
	const struct proc_stat right = { .start_ticks = 54321, .n_threads = 3 };
	unsigned seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t length = 0; length <= strlen(texts[i]); length++)
			feed(texts[i], length, &right);

	for (unsigned i = 0; i < 20000; i++) {
		const char *base = texts[i % ARRAY_SIZE(texts)];
		size_t length = strlen(base);
		char text[512];

		memcpy(text, base, length);
		for (unsigned n = (unsigned)rand_r(&seed) % 4 + 1; n > 0; n--)
			text[(unsigned)rand_r(&seed) % length] =
				alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		feed(text, length, NULL);
	}
}

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

/* On a process of our own. */

static void test_read_stat_of_ourselves(void **state)
{
	_cleanup_close_ int proc_fd = real_proc();
	struct proc_status status;
	struct proc_stat stat;
	int adj = -1001;

	assert_int_equal(prctl(PR_SET_NAME, ") Z 9 (\n"), 0);
	assert_int_equal(proc_read_stat(proc_fd, getpid(), &stat), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.state, 'R');
	assert_string_equal(stat.comm, ") Z 9 (\n");
	assert_true(stat.start_ticks > 0);

	assert_int_equal(proc_read_status(proc_fd, getpid(), &status), 0);
	assert_int_equal(status.uid, geteuid());
	assert_true(status.pagetable_bytes > 0);
	assert_int_equal(proc_read_oom_score_adj(proc_fd, getpid(), &adj), 0);
	assert_true(adj >= -1000 && adj <= 1000);
}

static bool is_listed_self;

static int note_self(pid_t pid, void *userdata)
{
	pid_t *last = userdata;

	assert_true(pid > *last); /* as the header says of Linux */
	*last = pid;
	is_listed_self |= pid == getpid();
	return 0;
}

static void test_list_of_the_machine_ascends(void **state)
{
	_cleanup_close_ int proc_fd = real_proc();
	_Alignas(struct dirent64) char buf[1024];
	pid_t last = 0;

	is_listed_self = false;
	assert_int_equal(proc_list(proc_fd, buf, sizeof(buf), note_self, &last), 0);
	assert_true(is_listed_self);
}

static void nap(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

static void *hold_memory(void *userdata)
{
	size_t size = 8 * MIB;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < size; i += PAGE)
		*(volatile char *)(area + i) = 1;
	if (write(*(int *)userdata, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/* The leader has exited as by pthread_exit(3) in main. */
static pid_t start_leaderless(void)
{
	int fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_t thread;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, hold_memory, &fds[1]) == 0)
			(void)syscall(SYS_exit, 0);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void kill_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_read_memory_of_a_leaderless_process(void **state)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	_cleanup_close_ int proc_fd = real_proc();
	struct proc_memory memory = {}, rollup = {};
	struct proc_stat stat = {};
	pid_t pid = start_leaderless(), tid = 0;
	int r;

	for (unsigned i = 0; stat.state != 'Z' && i < 5000; i++) {
		assert_int_equal(proc_read_stat(proc_fd, pid, &stat), 0);
		nap();
	}
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(stat.n_threads, 2);

	assert_int_equal(proc_find_live_thread(proc_fd, pid, &tid), 0);
	assert_int_not_equal(tid, pid);
	assert_int_equal(proc_read_memory(proc_fd, &stat, true, page_size, &memory), 0);
	/* The fault events that a thread may hide, to 6.1. */
	assert_true(memory.anon + 2 * 65 * page_size >= 8 * MIB);
	assert_true(memory.pagetables > 0);

	r = proc_read_rollup(proc_fd, pid, &rollup);
	if (r == 0)
		assert_true(rollup.anon >= 8 * MIB);
	else
		print_message("no smaps_rollup here (%d)\n", r);
	kill_child(pid);
}

static void test_reads_of_zombies_and_of_the_gone(void **state)
{
	_cleanup_close_ int proc_fd = real_proc();
	struct proc_memory memory = { .anon = 1 };
	struct proc_status status;
	struct proc_stat stat = {};
	pid_t pid = fork(), tid;
	int adj;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	for (unsigned i = 0; stat.state != 'Z' && i < 5000; i++) {
		assert_int_equal(proc_read_stat(proc_fd, pid, &stat), 0);
		nap();
	}

	assert_int_equal(stat.state, 'Z');
	assert_int_equal(proc_read_memory(proc_fd, &stat, true, PAGE, &memory), 0);
	assert_int_equal(memory.anon, 0);
	/* ESRCH, but when it is read, not when it is opened */
	assert_int_equal(proc_read_rollup(proc_fd, pid, &memory), PROC_GONE);
	assert_int_equal(proc_find_live_thread(proc_fd, pid, &tid), PROC_GONE);

	assert_int_equal(waitpid(pid, NULL, 0), pid);
	stat.state = 'S';
	assert_int_equal(proc_read_memory(proc_fd, &stat, true, PAGE, &memory), PROC_GONE);
	assert_int_equal(proc_read_rollup(proc_fd, pid, &memory), PROC_GONE);
	assert_int_equal(proc_read_stat(proc_fd, pid, &stat), PROC_GONE);
	assert_int_equal(proc_read_status(proc_fd, pid, &status), PROC_GONE);
	assert_int_equal(proc_read_oom_score_adj(proc_fd, pid, &adj), PROC_GONE);
	assert_int_equal(proc_find_live_thread(proc_fd, pid, &tid), PROC_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_parse_reads_all_fields),
		cmocka_unit_test(test_stat_tells_the_length_of_the_arguments),
		cmocka_unit_test(test_stat_parse_believes_no_name),
		cmocka_unit_test(test_stat_parse_refuses_what_no_kernel_writes),
		cmocka_unit_test(test_statm_parse_reads_three_numbers),
		cmocka_unit_test(test_status_parse_takes_names_at_line_starts),
		cmocka_unit_test(test_rollup_parse_needs_all_three),
		cmocka_unit_test(test_parsers_survive_cut_and_random_texts),
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
		cmocka_unit_test(test_read_stat_of_ourselves),
		cmocka_unit_test(test_list_of_the_machine_ascends),
		cmocka_unit_test(test_read_memory_of_a_leaderless_process),
		cmocka_unit_test(test_reads_of_zombies_and_of_the_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
