/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/accuracy.c: the arithmetic, and the probe on this machine, whose verdict must
 * not contradict what a process of our own shows.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/proc.h"
#include "tests/fixture-fd.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_batch_follows_the_cpus(void **state)
{
	/* max(32, 2 x online CPUs) */
	assert_int_equal(accuracy_batch(1), 32);
	assert_int_equal(accuracy_batch(2), 32);
	assert_int_equal(accuracy_batch(16), 32);
	assert_int_equal(accuracy_batch(17), 34);
	assert_int_equal(accuracy_batch(64), 128);
	assert_int_equal(accuracy_batch(256), 512);
	assert_int_equal(accuracy_batch(384), 768);
}

static void test_parse_cpu_list(void **state)
{
	static const struct {
		const char *text;
		int result;
		unsigned n;
	} cases[] = {
		{ "0\n", 0, 1 },
		{ "0-1\n", 0, 2 },
		{ "0-3,8\n", 0, 5 },
		{ "1,3,5-7\n", 0, 5 },
		{ "0-127,256-383\n", 0, 256 },
		{ "0-8191\n", 0, 8192 },
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "0", -EBADMSG }, /* cut? */
		{ "0-\n", -EBADMSG },
		{ "-1\n", -EBADMSG },
		{ "0,\n", -EBADMSG },
		{ ",0\n", -EBADMSG },
		{ "3-1\n", -EBADMSG },
		{ "0-3,2\n", -EBADMSG },
		{ "1,1\n", -EBADMSG },
		{ "0 1\n", -EBADMSG },
		{ "0-3\n\n", -EBADMSG },
		{ "0-3:1/2\n", -EBADMSG },
		{ "0-4294967296\n", -EBADMSG },
		{ "99999999999999999999\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = 0;

		if (accuracy_parse_cpu_list(cases[i].text, &n) != cases[i].result)
			fail_msg("%s", cases[i].text);
		assert_int_equal(n, cases[i].n);
	}
}

static void test_parse_cpu_list_survives_random_texts(void **state)
{
	static const char alphabet[] = "0123456789-,\n";
	unsigned seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		size_t length = (unsigned)rand_r(&seed) % 12;
		char *text = malloc(length + 1);
		unsigned n = 1;

		assert_non_null(text);
		for (size_t j = 0; j < length; j++)
			text[j] = alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[length] = '\0';
		(void)accuracy_parse_cpu_list(text, &n);
		assert_in_range(n, 1, 65536);
		free(text);
	}
}

static void test_interval_by_regime(void **state)
{
	const uint64_t page = 4096, gib = GIB;
	const struct {
		enum accuracy_regime regime;
		unsigned n_cpus, n_threads;
		bool with_swap;
		uint64_t footprint, lo, hi;
	} cases[] = {
		{ ACCURACY_PRECISE, 64, 1000, true, gib, gib, gib },
		{ ACCURACY_PER_THREAD, 64, 1, false, gib, gib - 65 * page, gib + 65 * page },
		{ ACCURACY_PER_THREAD, 64, 10, true, gib, gib - 1300 * page, gib + 1300 * page },
		/* 31.75 MiB at 64 CPUs, 511 MiB at 256 */
		{ ACCURACY_PER_CPU, 64, 1000, false, gib, gib - 127 * 64 * page,
		  gib + 127 * 64 * page },
		{ ACCURACY_PER_CPU, 256, 1, false, gib, gib - 511 * MIB, gib + 511 * MIB },
		{ ACCURACY_PER_CPU, 256, 1, true, gib, gib - 1022 * MIB, gib + 1022 * MIB },
		/* the worse of the two */
		{ ACCURACY_UNKNOWN, 64, 1, false, gib, gib - 127 * 64 * page,
		  gib + 127 * 64 * page },
		{ ACCURACY_UNKNOWN, 2, 10, false, gib, gib - 650 * page, gib + 650 * page },
		/* ends where numbers do */
		{ ACCURACY_PER_CPU, 2, 1, false, page, 0, 63 * page },
		{ ACCURACY_PER_CPU, 2, 1, false, 0, 0, 62 * page },
		{ ACCURACY_PER_CPU, 2, 1, false, UINT64_MAX, UINT64_MAX - 62 * page, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct accuracy accuracy = {
			.regime = cases[i].regime,
			.n_cpus = cases[i].n_cpus,
			.batch = accuracy_batch(cases[i].n_cpus),
			.page_size = page,
		};
		struct interval interval = accuracy_interval(
			&accuracy, cases[i].footprint, cases[i].with_swap, cases[i].n_threads);

		assert_true(interval.lo == cases[i].lo);
		assert_true(interval.hi == cases[i].hi);
	}
}

static void test_classify(void **state)
{
	static const struct {
		int64_t by_threads, by_cpus;
		unsigned batch;
		enum accuracy_regime regime;
	} cases[] = {
		{ 0, 0, 32, ACCURACY_PRECISE },
		{ 2, -4, 32, ACCURACY_PRECISE },
		/* Debian's 6.1: nearly all that 8 threads touched; a thread alone hides some too */
		{ 384, 40, 32, ACCURACY_PER_THREAD },
		{ 320, 0, 32, ACCURACY_PER_THREAD },
		{ 2064, 60, 512, ACCURACY_PER_THREAD },
		/* 6.12 without the fix: one CPU hides less than a batch before, and after */
		{ -20, 62, 32, ACCURACY_PER_CPU },
		{ 62, 31, 32, ACCURACY_PER_CPU },
		{ -62, -31, 32, ACCURACY_PER_CPU },
		{ 0, 5, 32, ACCURACY_PER_CPU },
		{ 0, -5, 32, ACCURACY_PER_CPU },
		{ 1022, 4088, 512, ACCURACY_PER_CPU },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			accuracy_classify(cases[i].by_threads, cases[i].by_cpus, cases[i].batch),
			cases[i].regime);
	assert_string_equal(accuracy_regime_to_string(ACCURACY_PER_THREAD), "per-thread");
	assert_string_equal(accuracy_regime_to_string(ACCURACY_PRECISE), "precise");
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Its number says whether one more is open than before. */
static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_probe_counts_cpus(void **state)
{
	static const struct {
		const char *sys;
		unsigned n_cpus, batch;
	} cases[] = {
		{ "sys-2cpu", 2, 32 },
		{ "sys-256cpu", 256, 512 },
	};
	_cleanup_close_ int proc_fd = fixture_fd("proc"), none_fd = fixture_fd("psi");
	struct accuracy accuracy;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int sys_fd = fixture_fd(cases[i].sys);

		memset(&accuracy, 0xff, sizeof(accuracy));
		assert_int_equal(accuracy_probe(proc_fd, sys_fd, &accuracy), 0);
		assert_int_equal(accuracy.n_cpus, cases[i].n_cpus);
		assert_int_equal(accuracy.batch, cases[i].batch);
		assert_int_equal(accuracy.page_size, sysconf(_SC_PAGESIZE));
		/* The fixtures have no process like our child. */
		assert_int_equal(accuracy.regime, ACCURACY_UNKNOWN);
		assert_no_children();
	}

	assert_int_equal(accuracy_probe(proc_fd, none_fd, &accuracy), 0);
	assert_int_equal(accuracy.n_cpus, sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(accuracy_probe(proc_fd, -EBADF, &accuracy), 0);
	assert_int_equal(accuracy.n_cpus, sysconf(_SC_NPROCESSORS_ONLN));
}

/* Single pages on each CPU, up to just below what a CPU keeps to itself; then it waits. */
static pid_t start_toucher(unsigned batch)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	cpu_set_t allowed, one;
	char *page, byte;
	int fds[2];
	pid_t pid;

	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	page = mmap(NULL, (size_t)CPU_COUNT(&allowed) * batch * page_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(page != MAP_FAILED);
	(void)madvise(page, (size_t)CPU_COUNT(&allowed) * batch * page_size, MADV_NOHUGEPAGE);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) {
		(void)munmap(page, (size_t)CPU_COUNT(&allowed) * batch * page_size);
		close(fds[1]);
		assert_int_equal(read(fds[0], &byte, 1), 1);
		close(fds[0]);
		return pid;
	}

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		(void)sched_setaffinity(0, sizeof(one), &one);
		for (unsigned i = 0; i < batch - 1; i++, page += page_size)
			*(volatile char *)page = 1;
	}
	if (write(fds[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Anonymous pages by smaps_rollup less those by statm, of a process that hides what it can. */
static int64_t read_difference(int proc_fd, unsigned batch)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	const pid_t pid = start_toucher(batch);
	const struct proc_stat stat = { .pid = pid, .state = 'S', .n_threads = 1 };
	struct proc_memory shown, precise;

	assert_int_equal(proc_read_memory(proc_fd, &stat, false, page_size, &shown), 0);
	assert_int_equal(proc_read_rollup(proc_fd, pid, &precise), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return ((int64_t)precise.anon - (int64_t)shown.anon) / (int64_t)page_size;
}

static void check_probe(int proc_fd, int sys_fd)
{
	struct proc_memory memory;
	struct accuracy accuracy;
	int fd = next_fd();
	int64_t hidden;

	assert_int_equal(accuracy_probe(proc_fd, sys_fd, &accuracy), 0);
	assert_no_children();
	assert_int_equal(next_fd(), fd);
	if (proc_read_rollup(proc_fd, getpid(), &memory) != 0) {
		assert_int_equal(accuracy.regime, ACCURACY_UNKNOWN);
		print_message("no smaps_rollup here\n");
		return;
	}

	hidden = read_difference(proc_fd, accuracy.batch);
	print_message("%s, %u CPUs, batch %u; a process hides %ld pages\n",
		      accuracy_regime_to_string(accuracy.regime), accuracy.n_cpus, accuracy.batch,
		      (long)hidden);
	assert_int_not_equal(accuracy.regime, ACCURACY_UNKNOWN);
	if (hidden > 4 || hidden < -4)
		assert_int_not_equal(accuracy.regime, ACCURACY_PRECISE);
	else
		assert_int_not_equal(accuracy.regime, ACCURACY_PER_CPU);
}

static void test_probe_agrees_with_a_process_that_hides_pages(void **state)
{
	_cleanup_close_ int proc_fd = open_directory("/proc"), sys_fd = open_directory("/sys");

	check_probe(proc_fd, sys_fd);
}

static void test_probe_on_one_cpu(void **state)
{
	_cleanup_close_ int proc_fd = open_directory("/proc"), sys_fd = open_directory("/sys");
	cpu_set_t allowed, one;
	int last = -1;

	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			last = cpu;
	CPU_ZERO(&one);
	CPU_SET(last, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	check_probe(proc_fd, sys_fd);
	assert_int_equal(sched_getaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(CPU_COUNT(&one), 1); /* the child moved itself, not us */
	assert_int_equal(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
}

static void test_probe_leaves_signals_alone(void **state)
{
	_cleanup_close_ int proc_fd = open_directory("/proc");
	struct accuracy accuracy;
	sigset_t before, after;

	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(accuracy_probe(proc_fd, -EBADF, &accuracy), 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
	assert_int_equal(sigismember(&after, SIGUSR1), 1);
	assert_int_equal(sigismember(&after, SIGTERM), 0);
	assert_int_equal(sigismember(&after, SIGCHLD), 0);
	sigemptyset(&before);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);

	/* No child to wait for, where children are not waited for. */
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	assert_int_equal(accuracy_probe(proc_fd, -EBADF, &accuracy), 0);
	assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

static void test_probe_without_descriptors(void **state)
{
	_cleanup_close_ int proc_fd = open_directory("/proc");
	struct rlimit old, none;
	struct accuracy accuracy;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)proc_fd + 1, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	memset(&accuracy, 0xff, sizeof(accuracy));
	assert_int_equal(accuracy_probe(proc_fd, -EBADF, &accuracy), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* filled in all the same */
	assert_int_equal(accuracy.regime, ACCURACY_UNKNOWN);
	assert_true(accuracy.n_cpus > 0);
	assert_int_equal(accuracy.batch, accuracy_batch(accuracy.n_cpus));
	assert_int_equal(accuracy.page_size, sysconf(_SC_PAGESIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_follows_the_cpus),
		cmocka_unit_test(test_parse_cpu_list),
		cmocka_unit_test(test_parse_cpu_list_survives_random_texts),
		cmocka_unit_test(test_interval_by_regime),
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_probe_counts_cpus),
		cmocka_unit_test(test_probe_agrees_with_a_process_that_hides_pages),
		cmocka_unit_test(test_probe_on_one_cpu),
		cmocka_unit_test(test_probe_leaves_signals_alone),
		cmocka_unit_test(test_probe_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
