/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/reclaimable.c on processes of our own, each of which holds memory of one kind.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
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

static void hold_shared_anon(void)
{
	memset(map(MAP_SHARED | MAP_ANONYMOUS, -1), 1, SIZE);
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

static void test_of_anonymous_memory(void **state)
{
	check_growth(hold_anon,
		     &(struct reclaimable){ .anon = SIZE, .alone = SIZE, .rss_anon = SIZE });
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
