/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/select/sharers.c on real processes: those that share an address space are found,
 * copies are not.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/select/sharers.h"
#include "lib/snapshot/census-tree.h"
#include "lib/sys/precise.h"
#include "tests/sharers-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * Real processes.  The victim is a child with memory of its own, so that this test is no sharer.
 */
enum { SHARER, COPY, VFORKED, N_KINDS };

static struct real {
	pid_t pids[N_KINDS];
	int ready[2];
} * real;

static int sleep_child(void *arg)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)pause();
	return 0;
}

static _Noreturn void be_victim(void)
{
	static char stacks[2][65536] __attribute__((aligned(64)));
	char *memory;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	memset(memory, 1, 64 * MIB);
	real->pids[COPY] = clone(sleep_child, stacks[0] + sizeof(stacks[0]), SIGCHLD, NULL);
	real->pids[SHARER] =
		clone(sleep_child, stacks[1] + sizeof(stacks[1]), CLONE_VM | SIGCHLD, NULL);
	real->pids[VFORKED] = vfork();
	if (real->pids[VFORKED] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		real->pids[VFORKED] = getpid();
		if (write(real->ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause(); /* and so does the parent, in vfork(2) */
	}
	_exit(0);
}

static void real_compare(pid_t tid, const pid_t *tids, unsigned n, int *ret, void *userdata)
{
	precise_compare(userdata, tid, tids, n, 5 * USEC_PER_SEC, ret);
}

static void test_real_sharers_are_found_and_a_copy_is_not(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct policy_set policies = { .subtree = everything };
	const struct census_process *victim;
	struct precise *precise = NULL;
	struct cgroup_fs cgroups;
	struct sharers sharers;
	struct census census;
	unsigned n_found = 0;
	pid_t pid;
	char byte;

	real = mmap(NULL, sizeof(*real), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(real, MAP_FAILED);
	assert_int_equal(pipe2(real->ready, O_CLOEXEC), 0);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0)
		be_victim();
	assert_int_equal(read(real->ready[0], &byte, 1), 1);

	assert_int_equal(precise_new(proc_fd, &precise), 0);
	cgroup_fs_init(&cgroups, -EBADF, -EBADF);
	assert_int_equal(census_init(&census, proc_fd, &cgroups, &exact_accuracy, &policies), 0);
	assert_int_equal(census_sweep(&census, 1, 1, false), 0);
	victim = census_find(&census, pid);
	assert_non_null(victim);
	sharers_find(&census, victim, &victim->memory, 1 + 4 * MIB, real_compare, precise,
		     &sharers);

	for (int kind = 0; kind < N_KINDS; kind++) {
		assert_true(real->pids[kind] > 0);
		(void)kill(real->pids[kind], SIGKILL); /* ours, or our child's, alive until here */
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (sharers.error == -ENOSYS || sharers.error == -EPERM) {
		print_message("SKIP: kcmp: %s\n", strerror(-sharers.error));
	} else {
		for (unsigned i = 0; i < sharers.n; i++)
			n_found += sharers.items[i]->pid == real->pids[SHARER] ||
				   sharers.items[i]->pid == real->pids[VFORKED];
		assert_int_equal(sharers.error, 0);
		assert_int_equal(sharers.n, 2);
		assert_int_equal(n_found, 2);
	}
	census_done(&census);
	precise_free(precise);
	cgroup_fs_done(&cgroups);
	(void)munmap(real, sizeof(*real));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_sharers_are_found_and_a_copy_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
