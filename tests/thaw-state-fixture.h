/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thaw-state-fixture: groups of both hierarchies, a file of what is owed, and a daemon that is
 * called by hand.
 */
#pragma once

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/tick/tick.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/ledger.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"
#include "tests/real-groups.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "tests/real-victim.h"

static struct {
	struct cgroup_fs cgroups;
	char subtree[64]; /* in both hierarchies; "": not made */
	char runtime[64]; /* RUNTIME_DIRECTORY */
	char config[64];
	pid_t children[8];
	unsigned n_children;
	struct manager *manager;
	unsigned n_signals;
	unsigned n_choices;
	int thaw_result; /* 0: the real one's */
} test;

/* The daemon's entries end here; the first one closes the time without allocations. */
int sd_journal_sendv(const struct iovec *iov, int n);
int sd_journal_sendv(const struct iovec *iov, int n)
{
	fail_malloc = false;
	return 0;
}

void __real_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result)
{
	fail_malloc = FAIL_MALLOC_WORKS;
	__real_victim_choose(census, request, reader, result);
	test.n_choices += !result->is_cut;
}

static inline int op_signal(int pidfd, int signal)
{
	test.n_signals++;
	return kill_ops_system.pidfd_send_signal(pidfd, signal);
}

static inline int op_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
			  struct freezer_thawed *thawed)
{
	if (test.thaw_result < 0)
		return thawed->error = test.thaw_result;
	return kill_ops_system.thaw(fs, v2_path, v1_path, thawed);
}

static struct kill_ops ops;

static inline bool is_on_tmpfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned)fs.f_type == TMPFS_MAGIC;
}

static inline int mount_fd(bool v1)
{
	return v1 ? test.cgroups.v1_freezer_fd : test.cgroups.v2_fd;
}

static inline const char *path_of(const char *below)
{
	static char paths[4][320];
	static unsigned n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s%s", test.subtree + 1, below);
	return path;
}

static inline int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	if (cgroup_fs_open(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &test.cgroups) < 0)
		return -1;
	ops = kill_ops_system;
	ops.pidfd_send_signal = op_signal;
	ops.thaw = op_thaw;
	snprintf(test.config, sizeof(test.config), "/tmp/test-thaw-state-%d.conf", getpid());
	snprintf(test.runtime, sizeof(test.runtime), "/dev/shm/test-thaw-state-%d", getpid());
	if (!is_on_tmpfs("/dev/shm") || mkdir(test.runtime, 0755) < 0)
		test.runtime[0] = '\0';
	setenv("RUNTIME_DIRECTORY", test.runtime, 1);
	return 0;
}

static inline void require_runtime_directory(void)
{
	if (test.runtime[0])
		return;
	print_message("SKIP: this needs a tmpfs in /dev/shm\n");
	skip();
}

/* The subtree, with a group /g in it, in each hierarchy. */
static inline void make_groups(bool with_v1)
{
	require_runtime_directory();
	if (geteuid() != 0 || test.cgroups.v2_fd < 0 ||
	    (with_v1 && test.cgroups.v1_freezer_fd < 0)) {
		print_message("SKIP: %s\n", geteuid() != 0	     ? "not root"
					    : test.cgroups.v2_fd < 0 ? "no cgroup v2"
								     : "no v1 freezer");
		skip();
	}
	snprintf(test.subtree, sizeof(test.subtree), "/reckond-thawed-%d", getpid());
	for (int v1 = 0; v1 <= with_v1; v1++) {
		assert_return_code(mkdirat(mount_fd(v1), path_of(""), 0755), errno);
		assert_return_code(mkdirat(mount_fd(v1), path_of("/g"), 0755), errno);
	}
}

static inline void freeze(bool v1, const char *below, bool frozen)
{
	assert_int_equal(group_freeze(mount_fd(v1), v1, path_of(below), frozen), 0);
}

static inline bool is_frozen(bool v1, const char *below)
{
	return group_is_frozen(mount_fd(v1), v1, path_of(below));
}

static inline int teardown(void **state)
{
	static const char *const groups[] = { "/g", "" };
	char path[128];

	fail_malloc = false;
	test.manager = manager_free(test.manager);
	for (int v1 = 0; v1 < 2 && test.subtree[0]; v1++) {
		(void)group_freeze(mount_fd(v1), v1, path_of("/g"), false);
		(void)group_freeze(mount_fd(v1), v1, path_of(""), false);
	}
	for (unsigned i = 0; i < test.n_children; i++) {
		(void)kill(test.children[i], SIGKILL); /* our children, not yet waited for */
		(void)waitpid(test.children[i], NULL, 0);
	}
	for (int v1 = 0; v1 < 2 && test.subtree[0]; v1++)
		for (size_t i = 0; mount_fd(v1) >= 0 && i < ARRAY_SIZE(groups); i++)
			assert_soon(group_is_removed(mount_fd(v1), path_of(groups[i])));
	snprintf(path, sizeof(path), "%s/thawed", test.runtime);
	(void)unlink(path);
	(void)rmdir(test.runtime);
	(void)unlink(test.config);
	cgroup_fs_done(&test.cgroups);
	return 0;
}

/*
 * The file.
 */
static inline struct manager *blank_manager(void)
{
	struct manager *m = manager_alloc();

	assert_non_null(m);
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return m;
}

static inline void drop_manager(struct manager *m)
{
	thaw_state_close(m->in_flight);
	close(m->machine->proc_fd);
	free(m);
}

static inline const char *file(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/thawed", test.runtime);
	return path;
}

static inline unsigned n_entries_left(void)
{
	struct manager *m = blank_manager();
	unsigned n = 0;

	assert_int_equal(thaw_state_open(m->in_flight), 0);
	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(m->in_flight->ledger, i) != NULL;
	drop_manager(m);
	return n;
}

/*
 * Victims.
 */
static inline void move(pid_t pid, bool v1, const char *below)
{
	assert_int_equal(group_put(mount_fd(v1), path_of(below), "cgroup.procs", pid), 0);
}

/* A process of so many MiB in /g, in each hierarchy.  Below KILL_RECLAIMED_MIN only its exit counts
 * as its end. */
static inline pid_t spawn(size_t mib, bool ignores_term)
{
	pid_t pid = fork_victim(NULL, mib, ignores_term);

	test.children[test.n_children++] = pid;
	move(pid, false, "/g");
	if (test.cgroups.v1_freezer_fd >= 0 &&
	    faccessat(mount_fd(true), path_of("/g"), F_OK, 0) == 0)
		move(pid, true, "/g");
	return pid;
}

static inline struct manager *new_manager(const char *more)
{
	struct config_options options = { .config_file = test.config };
	struct manager *m;
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n%s", test.subtree, more);
	fclose(f);
	assert_int_equal(manager_new(&options, false, &ops, &m), 0);
	assert_int_equal(m->in_flight->ledger_error, 0);
	test.n_signals = test.n_choices = n_mallocs = 0; /* the self-test's do not count */
	return m;
}

static inline void let_malloc_succeed(void)
{
	fail_malloc = false;
}

static inline void one_tick(void)
{
	tick_until_decided(test.manager, let_malloc_succeed);
}

static inline void wait_for_outcome(void)
{
	tick_until_over(test.manager, one_tick);
}

static inline unsigned n_owed(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(test.manager->in_flight->ledger, i) != NULL;
	return n;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
