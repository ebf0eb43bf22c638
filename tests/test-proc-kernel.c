/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/proc.c: the readers on this machine and on processes of our own. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
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
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096 /* of the fixtures */

static int real_proc(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
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
		cmocka_unit_test(test_read_stat_of_ourselves),
		cmocka_unit_test(test_stat_tells_the_length_of_the_arguments),
		cmocka_unit_test(test_list_of_the_machine_ascends),
		cmocka_unit_test(test_read_memory_of_a_leaderless_process),
		cmocka_unit_test(test_reads_of_zombies_and_of_the_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
