/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer-kernel-fixture: children of the test in cgroups of the kernel's own freezers, three
 * levels deep.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"
#include "lib/sys/proc.h"
#include "tests/child.h"
#include "tests/fail-malloc.h"
#include "tests/real-groups.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define N_LEVELS  4
#define N_THREADS 33

#define BOOT_ID "0123456789abcdef0123456789abcdef"

/* /T, /T/b, /T/b/c, /T/b/c/d; and /T/x beside them. */
static const char *const level_names[N_LEVELS] = { "", "/b", "/b/c", "/b/c/d" };
#define TOP    0
#define LEAF   (N_LEVELS - 1)
#define BESIDE "/x"

static struct {
	struct cgroup_fs fs;
	int proc_fd;
	bool has_groups[2]; /* by "is v1" */
	char top[64];
	struct child children[4];
	unsigned n_children;
	pid_t *members;
	unsigned n_members;
	struct freezer_thawed thawed;
} test;

static struct ledger ledger;

static inline const char *path_of(const char *below)
{
	static char paths[4][128];
	static unsigned n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s%s", test.top, below);
	return path;
}

static inline int mount_fd(bool v1)
{
	return v1 ? test.fs.v1_freezer_fd : test.fs.v2_fd;
}

static inline int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	freezer_thawed_init(&test.thawed);
	(void)snprintf(test.top, sizeof(test.top), "/reckond-test-%d", getpid());
	test.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return cgroup_fs_open(test.proc_fd, &test.fs);
}

static inline void freeze(bool v1, int level, bool frozen)
{
	int r = group_freeze(mount_fd(v1), v1, path_of(level_names[level]) + 1, frozen);

	if (r < 0)
		fail_msg("%s: %s", path_of(level_names[level]), strerror(-r));
}

static inline bool says_frozen(bool v1, const char *below)
{
	return group_is_frozen(mount_fd(v1), v1, path_of(below) + 1);
}

static inline void make_groups(bool v1)
{
	if (geteuid() != 0 || mount_fd(v1) < 0) {
		print_message("SKIP: %s\n", geteuid() != 0 ? "not root"
					    : v1	   ? "no v1 freezer"
							   : "no cgroup v2");
		skip();
	}
	test.has_groups[v1] = true;
	for (int i = 0; i < N_LEVELS; i++)
		assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[i]) + 1, 0755), errno);
	assert_return_code(mkdirat(mount_fd(v1), path_of(BESIDE) + 1, 0755), errno);
}

/* Whatever a failed test has left. */
static inline void thaw_groups(bool v1)
{
	for (int i = 0; i < N_LEVELS; i++)
		(void)group_freeze(mount_fd(v1), v1, path_of(level_names[i]) + 1, false);
}

static inline void remove_groups(bool v1)
{
	assert_soon(group_is_removed(mount_fd(v1), path_of(BESIDE) + 1));
	for (int i = N_LEVELS; i-- > 0;)
		assert_soon(group_is_removed(mount_fd(v1), path_of(level_names[i]) + 1));
}

static inline int teardown(void **state)
{
	fail_malloc = false;
	freezer_thawed_done(&test.thawed);
	for (unsigned i = 0; i < test.n_members; i++)
		(void)kill(test.members[i], SIGKILL);
	for (unsigned i = 0; i < test.n_children; i++)
		(void)pidfd_send_signal(test.children[i].pidfd, SIGKILL, NULL, 0);
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			thaw_groups(v1);
	for (unsigned i = 0; i < test.n_members; i++)
		(void)waitpid(test.members[i], NULL, 0);
	for (unsigned i = 0; i < test.n_children; i++) {
		(void)waitpid(test.children[i].pid, NULL, 0);
		close(test.children[i].pidfd);
		close(test.children[i].ask_fd);
		close(test.children[i].answer_fd);
	}
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			remove_groups(v1);
	free(test.members);
	cgroup_fs_done(&test.fs);
	close(test.proc_fd);
	return 0;
}

static inline void start_threads(int n)
{
	pthread_t thread;

	while (n-- > 0)
		if (pthread_create(&thread, NULL, sleep_thread, NULL) != 0)
			_exit(1);
}

/* Lives: in a vfork until its child, which has one more answer to give, exits. */
static inline void live_in_vfork(int ask_fd, int answer_fd)
{
	char byte;

	if (syscall(SYS_vfork) == 0) {
		if (write(answer_fd, "R", 1) != 1 || read(ask_fd, &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	_exit(2);
}

enum life {
	LIFE_PLAIN,
	LIFE_THREADS,
	LIFE_HEADLESS, /* the leader has exited */
	LIFE_VFORK,
};

static inline _Noreturn void live(enum life life, int ask_fd, int answer_fd)
{
	char byte = 'R';

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	told_fd = answer_fd;
	(void)signal(SIGTERM, on_term);
	if (life == LIFE_VFORK)
		live_in_vfork(ask_fd, answer_fd);
	if (life != LIFE_PLAIN)
		start_threads(N_THREADS - 1);
	do {
		if (write(answer_fd, &byte, 1) != 1)
			break;
		if (life == LIFE_HEADLESS && byte == 'Z')
			pthread_exit(NULL);
	} while (read(ask_fd, &byte, 1) == 1 || errno == EINTR);
	_exit(0);
}

static inline void put(bool v1, const char *below, const char *file, pid_t pid)
{
	int r = group_put(mount_fd(v1), path_of(below) + 1, file, pid);

	if (r < 0)
		fail_msg("%s/%s: %s", path_of(below), file, strerror(-r));
}

/* In the leaf of each hierarchy that has groups. */
static inline struct child *spawn(enum life life)
{
	struct child *child = &test.children[test.n_children];
	int ask[2], answer[2];

	assert_return_code(pipe2(ask, O_CLOEXEC), errno);
	assert_return_code(pipe2(answer, O_CLOEXEC), errno);
	child->pid = fork();
	assert_return_code(child->pid, errno);
	if (child->pid == 0) {
		close(ask[1]); /* else no process in there would ever see its end */
		live(life, ask[0], answer[1]);
	}
	test.n_children++;
	close(ask[0]);
	close(answer[1]);
	child->ask_fd = ask[1];
	child->answer_fd = answer[0];
	child->pidfd = pidfd_open(child->pid, 0);
	assert_int_equal(byte_within(child, 10000), 'R');
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			put(v1, level_names[LEAF], "cgroup.procs", child->pid);
	return child;
}

static inline bool is_gone(const struct child *child)
{
	struct pollfd pollfd = { .fd = child->pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0;
}

static inline int thaw(const char *v2_below, const char *v1_below)
{
	int r;

	n_mallocs = 0;
	fail_malloc = true;
	r = freezer_thaw(&test.fs, v2_below ? path_of(v2_below) : NULL,
			 v1_below ? path_of(v1_below) : NULL, &test.thawed);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

static inline int thaw_leaf(bool v1)
{
	return thaw(v1 ? NULL : level_names[LEAF], v1 ? level_names[LEAF] : NULL);
}

static inline void order_victim_only(const struct child *victim)
{
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){
		.pid = victim->pid,
		.start_ticks = 1,
		.victim_only = true,
		.ledger = &ledger,
	};
}

static inline unsigned n_entries(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(&ledger, i) != NULL;
	return n;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
