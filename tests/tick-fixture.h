/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick-fixture: a subtree of our own with real processes, a policy that always holds, and ops that
 * disturb single steps.
 *
 * Tests on it need root and a cgroup2 mount; where there is none, require_subtree() skips them.
 * From the choice to the watching every allocation is made to fail.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/record/recorder.h"
#include "daemon/tick/tick.h"
#include "lib/base/io.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "tests/real-victim.h"

#define MAX_VICTIMS 128

static pid_t all_victims[MAX_VICTIMS];

static struct {
	struct cgroup_fs cgroups;
	char subtree[64];
	char config[64];

	unsigned n_victims;
	struct manager *manager;
	int partner_pidfd; /* of the child of a victim, if there is one */

	/* What the ops do. */
	int open_result;
	int signal_result;
	bool signal_is_lost;
	int thaw_result;
	void (*on_open)(pid_t pid);
	void (*on_opened)(pid_t pid);
	void (*on_thaw)(void);
	bool frees_nothing; /* the machine, as it says; or only so much */
	uint64_t freed;
	unsigned n_signals;
	unsigned n_journal;
	unsigned n_choices;
	char flagged[128]; /* this cgroup has memory.oom.group 1 */
} test;

/* The daemon's entries end here; the first one closes the time without allocations. */
int sd_journal_sendv(const struct iovec *iov, int n);
int sd_journal_sendv(const struct iovec *iov, int n)
{
	fail_malloc = false;
	test.n_journal++;
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
	if (result->n_ranked == 0) /* that was all */
		fail_malloc = false;
}

/* Its memory may be reclaimed a moment before it is gone. */
static inline bool is_over(enum kill_progress outcome)
{
	return outcome == KILL_PROGRESS_EXITED || outcome == KILL_PROGRESS_RECLAIMED;
}

int __real_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret)
{
	int r = __real_memory_sample(source, ret);

	if (test.frees_nothing) { /* nor does any other on this machine, as far as is seen */
		ret->freed = test.freed;
		ret->available = ret->total / 2;
	}
	return r;
}

/* There may be no memory controller here: the flag is imagined. */
size_t __real_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path);
size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path);
size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path)
{
	assert_string_equal(subtree, test.subtree);
	if (test.flagged[0] && cgroup_path_is_below(path, test.flagged))
		return strlen(test.flagged);
	return __real_kill_group_find_flagged(fs, path, subtree, own_path);
}

static inline int op_open(pid_t pid)
{
	if (test.on_open)
		test.on_open(pid);
	return test.open_result < 0 ? test.open_result : kill_ops_system.pidfd_open(pid);
}

static inline int op_signal(int pidfd, int signal)
{
	if (signal == 0) /* is it permitted? */
		return kill_ops_system.pidfd_send_signal(pidfd, 0);
	test.n_signals++;
	if (test.signal_result < 0)
		return test.signal_result;
	return test.signal_is_lost ? 0 : kill_ops_system.pidfd_send_signal(pidfd, signal);
}

/* The first thing that is done with the pidfd. */
static inline int op_read_start(int proc_fd, pid_t pid, uint64_t *ret)
{
	if (test.on_opened)
		test.on_opened(pid);
	return kill_ops_system.read_start(proc_fd, pid, ret);
}

static inline int op_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
			  struct freezer_thawed *thawed)
{
	if (test.on_thaw)
		test.on_thaw();
	return test.thaw_result < 0 ? test.thaw_result
				    : kill_ops_system.thaw(fs, v2_path, v1_path, thawed);
}

static inline int op_group_kill(int dir_fd)
{
	return test.signal_is_lost ? 0 : kill_ops_system.group_kill(dir_fd);
}

static struct kill_ops ops;

/* All paths are relative to the mount. */
static inline int make_group(const char *relative)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", test.subtree + 1, relative);
	return mkdirat(test.cgroups.v2_fd, path, 0755);
}

static inline void write_group(const char *relative, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s/%s", test.subtree + 1, relative, file);
	assert_int_equal(io_write_at(test.cgroups.v2_fd, path, text), 0);
}

static inline bool group_is_frozen(const char *relative)
{
	char path[512], text[512];

	snprintf(path, sizeof(path), "%s%s/cgroup.events", test.subtree + 1, relative);
	return io_read_at(test.cgroups.v2_fd, path, text, sizeof(text)) > 0 &&
	       strstr(text, "frozen 1");
}

/* A process of so many MiB in a group of the subtree (NULL: outside of it). */
static inline pid_t spawn_as(const char *name, const char *relative, size_t mib, bool ignores_term)
{
	pid_t pid = fork_victim(name, mib, ignores_term);
	char pid_text[16];

	all_victims[test.n_victims++] = pid;
	if (relative) {
		snprintf(pid_text, sizeof(pid_text), "%d", pid);
		write_group(relative, "cgroup.procs", pid_text);
	}
	return pid;
}

static inline pid_t spawn(const char *relative, size_t mib, bool ignores_term)
{
	return spawn_as(NULL, relative, mib, ignores_term);
}

static inline void start(const char *more)
{
	struct config_options options = { .config_file = test.config };
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n%s", test.subtree, more);
	fclose(f);
	assert_int_equal(manager_new(&options, false, &ops, &test.manager), 0);
	test.n_signals = test.n_journal = test.n_choices = 0; /* the self-test's do not count */
	n_mallocs = 0;
}

/* Each step chooses a victim, as if a second had passed since none was found. */
static inline void let_choose_again(void)
{
	test.manager->selection->stuck.chosen_at = 0;
}

static inline void let_malloc_succeed(void)
{
	fail_malloc = false;
}

static inline void one_tick(void)
{
	let_choose_again();
	tick_until_decided(test.manager, let_malloc_succeed);
}

/* As if the signal had been sent long ago. */
static inline void let_the_grace_pass(void)
{
	test.manager->in_flight->decision.kill.signalled_at -= 2 * 60 * USEC_PER_SEC;
}

static inline void some_ticks(void)
{
	for (int i = 0; i < 10; i++) {
		one_tick();
		usleep(1000);
	}
}

static inline void wait_for_outcome(void)
{
	tick_until_over(test.manager, one_tick);
}

static inline int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	setenv("STATE_DIRECTORY", "", 1); /* what is decided here is not written to the history */
	test.partner_pidfd = -EBADF;
	if (cgroup_fs_open(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &test.cgroups) < 0 ||
	    geteuid() != 0 || test.cgroups.v2_fd < 0)
		return 0;
	ops = kill_ops_system;
	ops.pidfd_open = op_open;
	ops.pidfd_send_signal = op_signal;
	ops.group_kill = op_group_kill;
	ops.read_start = op_read_start;
	ops.thaw = op_thaw;
	snprintf(test.subtree, sizeof(test.subtree), "/reckond-test-%d", getpid());
	snprintf(test.config, sizeof(test.config), "/tmp/reckond-test-%d.conf", getpid());
	return make_group("");
}

static inline void require_subtree(void)
{
	if (test.subtree[0])
		return;
	print_message("SKIP: this needs root and a cgroup2 mount\n");
	skip();
}

/* The processes of a test are copies of it, with the shadow of a sanitizer: none is small. */
static inline bool sizes_are_exact(void)
{
	return !HAS_THREAD_SANITIZER;
}

static inline bool partner_is_alive(void)
{
	struct pollfd pollfd = { .fd = test.partner_pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

static inline bool partner_exits_soon(void)
{
	for (int i = 0; i < 5000 && partner_is_alive(); i++)
		usleep(1000);
	return !partner_is_alive();
}

/* Before its cgroup can be removed. */
static inline void kill_partner(void)
{
	if (test.partner_pidfd < 0)
		return;
	(void)kill_ops_system.pidfd_send_signal(test.partner_pidfd, SIGKILL);
	(void)partner_exits_soon();
	close(test.partner_pidfd);
}

static inline int teardown(void **state)
{
	static const char *const groups[] = { "/a/b/c", "/a/b", "/a", "/b", "/c", "" };
	char path[512];

	fail_malloc = false;
	test.manager = manager_free(test.manager);
	kill_partner();
	if (test.subtree[0] && test.cgroups.v1_freezer_fd >= 0) {
		snprintf(path, sizeof(path), "%s/freezer.state", test.subtree + 1);
		(void)io_write_at(test.cgroups.v1_freezer_fd, path, "THAWED");
	}
	/* Our children, not yet waited for.  A tracer is waited for after its tracee, which waits
	 * for it. */
	for (unsigned i = test.n_victims; i-- > 0;) {
		kill(all_victims[i], SIGKILL);
		waitpid(all_victims[i], NULL, 0);
	}
	for (size_t i = 0; test.subtree[0] && i < ARRAY_SIZE(groups); i++) {
		snprintf(path, sizeof(path), "%s%s", test.subtree + 1, groups[i]);
		(void)unlinkat(test.cgroups.v2_fd, path, AT_REMOVEDIR);
	}
	if (test.subtree[0] && test.cgroups.v1_freezer_fd >= 0)
		(void)unlinkat(test.cgroups.v1_freezer_fd, test.subtree + 1, AT_REMOVEDIR);
	if (test.config[0])
		(void)unlink(test.config);
	cgroup_fs_done(&test.cgroups);
	return 0;
}

static inline void let_the_emergency_pass(pid_t pid)
{
	struct policy *now = policy_set_policy(&test.manager->config->policies, "now");

	now->memory_available.permyriad = 0;
}

static inline const struct history_entry *newest(void)
{
	return history_get(recorder_history(test.manager->tick->recorder), 0);
}

/* Reaped, the memory may be reclaimed before the exit can be seen. */
static inline void assert_succeeded(void)
{
	enum kill_progress outcome = test.manager->in_flight->decision.kill.outcome;

	assert_true(outcome == KILL_PROGRESS_EXITED || outcome == KILL_PROGRESS_RECLAIMED);
}

#define GROUP_NOW KILL_NOW "Target=cgroup\n"

#define with_subtree(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
