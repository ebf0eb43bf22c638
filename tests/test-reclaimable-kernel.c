/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/reclaimable.c on processes of our own, each of which holds memory of one kind.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaimable.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define SIZE (16 * MIB)
/* What a small process has besides; with sanitizers it is no small process. */
#if FAIL_MALLOC_WORKS
#	define SLACK (1 * MIB)
#else
#	define SLACK (4 * MIB)
#endif

static void *map(int flags, int fd)
{
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(1);
	(void)madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static void hold_anon(void)
{
	memset(map(MAP_PRIVATE | MAP_ANONYMOUS, -1), 1, SIZE);
}

static void hold_shared_anon(void)
{
	memset(map(MAP_SHARED | MAP_ANONYMOUS, -1), 1, SIZE);
}

static void hold_memfd(void)
{
	int fd = memfd_create("new\nline (deleted)", MFD_CLOEXEC);

	if (ftruncate(fd, SIZE) < 0)
		_exit(1);
	memset(map(MAP_SHARED, fd), 1, SIZE);
}

/* A file on tmpfs; what is linked is removed by the parent. */
static void hold_file(bool is_linked)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/shm/test-reclaimable-%d", getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		_exit(1);
	memset(map(MAP_SHARED, fd), 1, SIZE);
	if (!is_linked)
		(void)unlink(path);
}

static void hold_linked_file(void)
{
	hold_file(true);
}

static void hold_deleted_file(void)
{
	hold_file(false);
}

/* The number is that which the parent gave: it removes what the child does not. */
static int segment = -1;

static void hold_segment(void)
{
	void *p = shmat(segment, NULL, 0);

	if (p == (void *)-1)
		_exit(1);
	memset(p, 1, SIZE);
}

static void hold_removed_segment(void)
{
	hold_segment();
	(void)shmctl(segment, IPC_RMID, NULL);
}

static void hold_mixed(void)
{
	hold_anon();
	hold_shared_anon();
	hold_linked_file();
	hold_memfd();
}

/* A page in each 2 MiB: as much in page tables.  (A sanitizer would touch its shadow as well.) */
static __attribute__((no_sanitize("address"))) void hold_pagetables(void)
{
	const size_t step = 2 * MIB, n = SIZE / 4096;
	char *p = mmap(NULL, n * step, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	(void)madvise(p, n * step, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < n; i++) /* read: of the one zero page */
		(void)*(volatile char *)(p + i * step);
}

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

struct child {
	pid_t pid;
	int to, from;
};

static void wait_for(const struct child *child)
{
	char byte;

	if (read(child->from, &byte, 1) != 1)
		fail_msg("the child did not hold its memory");
}

/* A child that is ready, and takes hold of its memory on request. */
static struct child start(void (*hold)(void))
{
	struct child child;
	int to[2], from[2];
	char byte = 0;

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	child = (struct child){ .pid = fork(), .to = to[1], .from = from[0] };
	assert_return_code(child.pid, errno);
	if (child.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(from[1], "", 1) != 1 || read(to[0], &byte, 1) != 1)
			_exit(1);
		hold();
		if (write(from[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	close(to[0]);
	close(from[1]);
	wait_for(&child);
	return child;
}

static void finish(const struct child *child)
{
	char path[64];

	(void)kill(child->pid, SIGKILL); /* our own, not yet waited for */
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->to);
	close(child->from);
	(void)snprintf(path, sizeof(path), "/dev/shm/test-reclaimable-%d", child->pid);
	(void)unlink(path);
}

static int proc_fd = -EBADF;

static struct reclaimable read_of(pid_t pid)
{
	struct reclaimable reclaimable = {};
	int r;

	fail_malloc = true;
	r = reclaimable_read(proc_fd, pid, &reclaimable);
	fail_malloc = false;
	assert_int_equal(r, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(reclaimable.alone <= reclaimable_total(&reclaimable));
	return reclaimable;
}

static void check(const char *what, uint64_t before, uint64_t after, uint64_t wanted)
{
	uint64_t grown = sub_u64(after, before);

	if (grown + SLACK < wanted || grown > wanted + SLACK)
		fail_msg("%s grew by %llu KiB", what, (unsigned long long)(grown / KIB));
}

/* What grows by how much once the child holds its memory. */
static void check_growth(void (*hold)(void), const struct reclaimable *wanted)
{
	const struct child child = start(hold);
	struct reclaimable before = read_of(child.pid), after;

	assert_int_equal(write(child.to, "", 1), 1);
	wait_for(&child);
	after = read_of(child.pid);
	finish(&child);
	check("anon", before.anon + before.swap, after.anon + after.swap, wanted->anon);
	check("shmem", before.shmem, after.shmem, wanted->shmem);
	check("pagetables", before.pagetables, after.pagetables, wanted->pagetables);
	check("alone", before.alone, after.alone, wanted->alone);
	check("rss_anon", before.rss_anon + before.all_swap, after.rss_anon + after.all_swap,
	      wanted->rss_anon);
	check("rss_shmem", before.rss_shmem, after.rss_shmem, wanted->rss_shmem);
}

static void test_of_anonymous_memory(void **state)
{
	check_growth(hold_anon,
		     &(struct reclaimable){ .anon = SIZE, .alone = SIZE, .rss_anon = SIZE });
}

static void skip_without_tmpfs(void)
{
	struct statfs fs;

	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return;
	print_message("SKIP: no tmpfs at /dev/shm\n");
	skip();
}

static void test_of_shared_memory_that_is_freed(void **state)
{
	const struct reclaimable wanted = { .shmem = SIZE, .alone = SIZE, .rss_shmem = SIZE };

	check_growth(hold_shared_anon, &wanted);
	check_growth(hold_memfd, &wanted);
	skip_without_tmpfs();
	check_growth(hold_deleted_file, &wanted);
}

static void test_of_shared_memory_that_is_not_freed(void **state)
{
	skip_without_tmpfs();
	check_growth(hold_linked_file, &(struct reclaimable){ .rss_shmem = SIZE });
}

/* By memfd_secret(2): locked pages of a file. */
static void hold_secret(void)
{
#ifdef SYS_memfd_secret
	int fd = (int)syscall(SYS_memfd_secret, 0);

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		_exit(1);
	memset(map(MAP_SHARED, fd), 1, SIZE);
#endif
}

static void hold_secret_beside_anon(void)
{
	hold_anon();
	hold_secret();
}

static void hold_locked_anon(void)
{
	void *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memset(p, 1, SIZE);
	if (mlock(p, SIZE) < 0)
		_exit(1);
}

static bool has_secret_memory(void)
{
#ifdef SYS_memfd_secret
	int fd = (int)syscall(SYS_memfd_secret, 0);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, SIZE) == 0)
		p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		(void)munmap(p, SIZE);
	if (fd >= 0)
		close(fd);
	return p != MAP_FAILED;
#else
	return false;
#endif
}

static void test_of_locked_memory(void **state)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can_lock = p != MAP_FAILED && mlock(p, SIZE) == 0;

	if (p != MAP_FAILED)
		(void)munmap(p, SIZE);
	if (!can_lock) {
		print_message("SKIP: memory cannot be locked here\n");
		skip();
	}
	check_growth(hold_locked_anon,
		     &(struct reclaimable){ .anon = SIZE, .alone = SIZE, .rss_anon = SIZE });
	if (!has_secret_memory()) {
		print_message("SKIP: no memfd_secret(2)\n");
		skip();
	}
	check_growth(hold_secret, &(struct reclaimable){ .shmem = SIZE, .alone = SIZE });
	check_growth(hold_secret_beside_anon,
		     &(struct reclaimable){
			     .anon = SIZE, .shmem = SIZE, .alone = 2 * SIZE, .rss_anon = SIZE });
}

static void test_of_segments(void **state)
{
	segment = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	if (segment < 0) {
		print_message("SKIP: shmget: %s\n", strerror(errno));
		skip();
	}
	check_growth(hold_segment, &(struct reclaimable){ .rss_shmem = SIZE });
	check_growth(hold_removed_segment,
		     &(struct reclaimable){ .shmem = SIZE, .alone = SIZE, .rss_shmem = SIZE });
}

/* Also where the test failed. */
static int remove_segment(void **state)
{
	if (segment >= 0)
		(void)shmctl(segment, IPC_RMID, NULL);
	return 0;
}

static void test_of_a_mixture(void **state)
{
	skip_without_tmpfs();
	check_growth(hold_mixed, &(struct reclaimable){ .anon = SIZE,
							.shmem = 2 * SIZE,
							.alone = 3 * SIZE,
							.rss_anon = SIZE,
							.rss_shmem = 3 * SIZE });
}

static void test_of_page_tables(void **state)
{
	check_growth(hold_pagetables, &(struct reclaimable){ .pagetables = SIZE, .alone = SIZE });
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
		cmocka_unit_test(test_of_anonymous_memory),
		cmocka_unit_test(test_of_shared_memory_that_is_freed),
		cmocka_unit_test(test_of_shared_memory_that_is_not_freed),
		cmocka_unit_test(test_of_locked_memory),
		cmocka_unit_test_teardown(test_of_segments, remove_segment),
		cmocka_unit_test(test_of_a_mixture),
		cmocka_unit_test(test_of_page_tables),
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
