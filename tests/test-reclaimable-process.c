/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/reclaimable.c on processes of our own: families, leaders that have exited,
 * processes without memory and with very many mappings.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaimable.h"
#include "tests/fail-malloc.h"
#include "tests/reclaimable-kernel-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* All of its memory, a child of it has too. */
static void hold_with_child(void)
{
	pid_t pid;

	hold_anon();
	pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
}

static pid_t child_of(pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64];
	int child = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	return file && fscanf(file, "%d", &child) == 1 ? child : 0;
}

/* Half each; and neither one's death alone frees anything. */
static void test_of_a_copy_on_write_family(void **state)
{
	const struct child child = start(hold_with_child);
	struct reclaimable parent, grandchild;
	pid_t pid;

	check_growth(hold_with_child, &(struct reclaimable){ .anon = SIZE / 2, .rss_anon = SIZE });
	assert_int_equal(write(child.to, "", 1), 1);
	wait_for(&child);
	pid = child_of(child.pid);
	if (pid == 0) {
		finish(&child);
		print_message("SKIP: no list of children here\n");
		skip();
	}
	parent = read_of(child.pid);
	grandchild = read_of(pid);
	finish(&child);
	assert_true(grandchild.rss_anon >= SIZE);
	assert_true(grandchild.alone <= SLACK);
	assert_in_range(parent.anon + grandchild.anon, SIZE - SLACK, SIZE + 4 * SLACK);
}

static void *hold_in_thread(void *userdata)
{
	hold_anon();
	hold_memfd();
	if (write(*(int *)userdata, "", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
	return NULL;
}

static int ready_fd;

static void leave_a_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold_in_thread, &ready_fd) == 0)
		(void)syscall(SYS_exit, 0);
	_exit(1);
}

static void test_of_a_leader_that_has_exited(void **state)
{
	struct proc_stat stat = {};
	struct child child;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	ready_fd = fds[1];
	child = start(leave_a_thread);
	assert_int_equal(write(child.to, "", 1), 1);
	close(child.from);
	child.from = fds[0];
	wait_for(&child);
	for (unsigned i = 0; stat.state != 'Z' && i < 5000; i++) {
		assert_int_equal(proc_read_stat(proc_fd, child.pid, &stat), 0);
		(void)usleep(1000);
	}
	assert_int_equal(stat.state, 'Z');
	assert_in_range(read_of(child.pid).anon, SIZE, SIZE + 8 * SLACK);
	assert_in_range(read_of(child.pid).shmem, SIZE, SIZE + SLACK);
	finish(&child);
	close(fds[1]);
}

static void exit_now(void)
{
	_exit(0);
}

static void test_of_what_has_no_memory(void **state)
{
	const struct child child = start(exit_now);
	struct reclaimable reclaimable = { .anon = 7 };
	struct proc_stat stat = {};

	assert_int_equal(write(child.to, "", 1), 1);
	for (unsigned i = 0; stat.state != 'Z' && i < 5000; i++) {
		assert_int_equal(proc_read_stat(proc_fd, child.pid, &stat), 0);
		(void)usleep(1000);
	}
	assert_int_equal(reclaimable_read(proc_fd, child.pid, &reclaimable), PROC_GONE);
	finish(&child);
	assert_int_equal(reclaimable_read(proc_fd, child.pid, &reclaimable), PROC_GONE);
	if (proc_read_stat(proc_fd, 2, &stat) == 0 && (stat.flags & PROC_FLAG_KTHREAD))
		assert_int_equal(reclaimable_read(proc_fd, 2, &reclaimable), PROC_GONE);
	assert_int_equal(reclaimable.anon, 7);
}

/* As many mappings as there may be: a memfd behind 65,000 others, with a linked file. */
static void hold_many_mappings(void)
{
	const size_t n = 64000;
	char *p;

	hold_linked_file();
	hold_memfd();
	p = mmap(NULL, n * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < n; i += 2)
		if (mprotect(p + i * 4096, 4096, PROT_NONE) < 0)
			break; /* vm.max_map_count */
}

static void test_of_very_many_mappings(void **state)
{
	struct reclaimable before, after;
	struct child child;

	skip_without_tmpfs();
	child = start(hold_many_mappings);
	before = read_of(child.pid);
	assert_int_equal(write(child.to, "", 1), 1);
	wait_for(&child);
	after = read_of(child.pid);
	finish(&child);
	/* half by size; alone leaves it out */
	check("shmem", before.shmem, after.shmem, SIZE);
	check("alone", before.alone + before.pagetables, after.alone + after.pagetables, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_copy_on_write_family),
		cmocka_unit_test(test_of_a_leader_that_has_exited),
		cmocka_unit_test(test_of_what_has_no_memory),
		cmocka_unit_test(test_of_very_many_mappings),
	};

	struct reclaimable ours;
	int r;

	if (HAS_THREAD_SANITIZER) {
		printf("SKIP: ThreadSanitizer has memory of its own for all that is touched\n");
		return 77;
	}
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = reclaimable_read(proc_fd, getpid(), &ours);
	if (r < 0) {
		printf("SKIP: smaps_rollup: %s\n", strerror(-r));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
