/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole path with real processes, in a subtree of our own: a cgroup that is made here,
 * and a policy that always holds.  Needs root and a cgroup2 mount.
 *
 * The daemon's objects are linked in; ticks are called by hand.  The ops table stands between, to
 * disturb single steps; and from the choice to the watching every allocation is made to fail.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "daemon/tick.h"
#include "lib/base/io.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

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
static bool is_over(enum kill_progress outcome)
{
	return outcome == KILL_PROGRESS_GONE || outcome == KILL_PROGRESS_RECLAIMED;
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

static int op_open(pid_t pid)
{
	if (test.on_open)
		test.on_open(pid);
	return test.open_result < 0 ? test.open_result : kill_ops_system.pidfd_open(pid);
}

static int op_signal(int pidfd, int signal)
{
	if (signal == 0) /* is it permitted? */
		return kill_ops_system.pidfd_send_signal(pidfd, 0);
	test.n_signals++;
	if (test.signal_result < 0)
		return test.signal_result;
	return test.signal_is_lost ? 0 : kill_ops_system.pidfd_send_signal(pidfd, signal);
}

/* The first thing that is done with the pidfd. */
static int op_read_start(int proc_fd, pid_t pid, uint64_t *ret)
{
	if (test.on_opened)
		test.on_opened(pid);
	return kill_ops_system.read_start(proc_fd, pid, ret);
}

static int op_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		   struct freezer_thawed *thawed)
{
	if (test.on_thaw)
		test.on_thaw();
	return test.thaw_result < 0 ? test.thaw_result
				    : kill_ops_system.thaw(fs, v2_path, v1_path, thawed);
}

static int op_group_kill(int dir_fd)
{
	return test.signal_is_lost ? 0 : kill_ops_system.group_kill(dir_fd);
}

static struct kill_ops ops;

/* All paths are relative to the mount. */
static int make_group(const char *relative)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", test.subtree + 1, relative);
	return mkdirat(test.cgroups.v2_fd, path, 0755);
}

static void write_group(const char *relative, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s/%s", test.subtree + 1, relative, file);
	assert_int_equal(io_write_at(test.cgroups.v2_fd, path, text), 0);
}

static bool group_is_frozen(const char *relative)
{
	char path[512], text[512];

	snprintf(path, sizeof(path), "%s%s/cgroup.events", test.subtree + 1, relative);
	return io_read_at(test.cgroups.v2_fd, path, text, sizeof(text)) > 0 &&
	       strstr(text, "frozen 1");
}

/* The daemon's oom_score_adj of -1000, which it has where that is permitted, is not for children.
 */
static void be_ordinary(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)io_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
}

/* A process of so many MiB in a group of the subtree (NULL: outside of it). */
static pid_t spawn_as(const char *name, const char *relative, size_t mib, bool ignores_term)
{
	int ready[2];
	char pid_text[16], byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigset_t none;
		char *memory;

		be_ordinary();
		if (name)
			prctl(PR_SET_NAME, name);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGTERM, ignores_term ? SIG_IGN : SIG_DFL);
		munlockall();
		memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, mib * MIB);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	all_victims[test.n_victims++] = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	if (relative) {
		snprintf(pid_text, sizeof(pid_text), "%d", pid);
		write_group(relative, "cgroup.procs", pid_text);
	}
	return pid;
}

static pid_t spawn(const char *relative, size_t mib, bool ignores_term)
{
	return spawn_as(NULL, relative, mib, ignores_term);
}

static bool is_alive(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}

static int exit_signal(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return info.si_status;
}

static void start(const char *more)
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
static void let_choose_again(void)
{
	test.manager->selection.stuck.chosen_at = 0;
}

/* A step: what takes several turns on a busy machine (the first listing, a choice that was cut
 * short) is waited for. */
static void one_tick(void)
{
	const struct manager *m = test.manager;
	usec_t decided_at = m->in_flight.decision.decided_at;

	let_choose_again();
	for (int i = 0; i < 200; i++) {
		unsigned n_vanished = m->selection.n_vanished;

		(void)tick(&test.manager->tick, clock_now());
		fail_malloc = false;
		if (m->regime.state == REGIME_KILLING ||
		    m->in_flight.decision.decided_at != decided_at ||
		    (m->selection.n_cut == 0 && m->selection.n_vanished == n_vanished &&
		     (m->sampler.watch.listed_at != 0 || m->sampler.watch.since == 0)))
			break;
	}
}

/* As if the signal had been sent long ago. */
static void let_the_grace_pass(void)
{
	test.manager->in_flight.decision.signalled_at -= 2 * 60 * USEC_PER_SEC;
}

/* As if it had been skipped so much earlier. */
static void let_pass(usec_t usec)
{
	for (unsigned i = 0; i < BACKOFF_MAX; i++)
		test.manager->selection.backoff.entries[i].failed_at -= usec;
}

static void some_ticks(void)
{
	for (int i = 0; i < 10; i++) {
		one_tick();
		usleep(1000);
	}
}

/* Ticks until the current victim is done with: at most for a minute, on a machine that is busy. */
static void wait_for_outcome(void)
{
	for (int i = 0; i < 6000 && test.manager->regime.state == REGIME_KILLING; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_not_equal(test.manager->regime.state, REGIME_KILLING);
}

#define KILL_NOW "[Policy now]\nMemoryAvailable=100%\nAction=kill\n"
#define TERM_NOW "[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=1min\n"

static int setup(void **state)
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

static void require_subtree(void)
{
	if (test.subtree[0])
		return;
	print_message("SKIP: this needs root and a cgroup2 mount\n");
	skip();
}

static bool partner_is_alive(void)
{
	struct pollfd pollfd = { .fd = test.partner_pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

static bool partner_exits_soon(void)
{
	for (int i = 0; i < 5000 && partner_is_alive(); i++)
		usleep(1000);
	return !partner_is_alive();
}

/* Before its cgroup can be removed. */
static void kill_partner(void)
{
	if (test.partner_pidfd < 0)
		return;
	(void)kill_ops_system.pidfd_send_signal(test.partner_pidfd, SIGKILL);
	(void)partner_exits_soon();
	close(test.partner_pidfd);
}

static int teardown(void **state)
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

static void test_tick_kills_the_largest_of_the_subtree_and_no_other(void **state)
{
	pid_t outside, small, large, middle;

	require_subtree();
	outside = spawn(NULL, 96, false);
	small = spawn("", 8, false);
	large = spawn("", 64, false);
	middle = spawn("", 32, false);
	start(KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_KILLING);
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight.decision.outcome));
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_true(is_alive(outside) && is_alive(small) && is_alive(middle));
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.n_journal, 2); /* the decision and the end */
	assert_false(test.manager->in_flight.decision.ineffective);

	/* The policy still holds: the next one is the next largest. */
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, middle);
	wait_for_outcome();
	assert_true(is_alive(outside) && is_alive(small));
}

static void test_tick_allocates_nothing_from_choice_to_watching(void **state)
{
	pid_t victim;

	require_subtree();
	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1"); /* the thaw is on the way, too */
	start(KILL_NOW);
	one_tick();
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(n_mallocs, 0);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* As after SIGSTOP and SIGCONT: what was before, and what was counted meanwhile, is over. */
static void test_tick_starts_anew_after_a_gap(void **state)
{
	struct policy *slow;
	usec_t now;
	pid_t pid;

	require_subtree();
	pid = spawn("", 8, false);
	start("[Policy slow]\nMemoryAvailable=100%\nAction=kill\nFor=10s\n");
	slow = policy_set_policy(&test.manager->config.policies, "slow");
	now = clock_now();
	(void)tick(&test.manager->tick, now);
	assert_int_equal(slow->holds_since, now);
	/* Sampled in time, it would hold by the tenth second. */
	(void)tick(&test.manager->tick, now + USEC_PER_SEC);
	assert_int_equal(slow->holds_since, now);
	(void)tick(&test.manager->tick, now + 11 * USEC_PER_SEC);
	fail_malloc = false;
	assert_int_equal(slow->holds_since, now + 11 * USEC_PER_SEC);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(pid));
	if (test.manager->sampler.has_psi)
		assert_int_equal(test.manager->sampler.psi.n_samples, 1);
	assert_int_equal(test.manager->sampler.forecast.n_samples, 1);
	/* From then on it holds. */
	for (usec_t s = 12; s <= 21; s++)
		(void)tick(&test.manager->tick, now + s * USEC_PER_SEC);
	fail_malloc = false;
	assert_int_equal(test.n_signals, 1);
	wait_for_outcome();
}

static void let_the_emergency_pass(pid_t pid)
{
	struct policy *now = policy_set_policy(&test.manager->config.policies, "now");

	now->memory_available.permyriad = 0;
}

static const struct history_entry *newest(void)
{
	return history_get(recorder_history(test.manager->tick.recorder), 0);
}

static void thaw_late(void)
{
	usleep(30 * USEC_PER_MSEC);
}

/* The thaw comes after the signal, and may wait for others. */
static void test_tick_times_the_signal_without_the_thaw(void **state)
{
	const struct decision *d;

	require_subtree();
	spawn("", 8, false);
	start(KILL_NOW);
	test.on_thaw = thaw_late;
	one_tick();
	d = &test.manager->in_flight.decision;
	assert_true(d->signal_usec > 0);
	assert_true(d->signal_usec + 30 * USEC_PER_MSEC <= d->signalled_at - d->decided_at);
	wait_for_outcome();
}

static void test_tick_keeps_a_record(void **state)
{
	const struct decision *d;
	const struct history_entry *e;
	pid_t small, large;
	usec_t next;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	small = spawn("", 8, false);
	large = spawn("/a", 64, false);
	start(KILL_NOW);
	one_tick();
	d = &test.manager->in_flight.decision;
	e = newest();
	assert_int_equal(e->pid, large);
	assert_string_equal(e->outcome, "wait");
	assert_string_equal(e->policy, "now");
	assert_string_equal(e->cgroup, d->cgroup);
	assert_in_range(e->footprint_bytes, 64 * MIB, 80 * MIB);
	assert_int_equal(e->footprint_bytes, proc_reclaimable(&d->memory));
	assert_int_equal(e->ranked[0].pid, large);
	/* The next victim cannot reach it, and is named without being read. */
	assert_int_equal(e->precise_reads, 1);
	assert_int_equal(d->next_pid, small);
	assert_int_equal(e->n_ranked, 2);
	assert_int_equal(e->ranked[1].pid, small);
	assert_string_equal(e->ranked[1].verdict, "cannot-reach");
	assert_in_range(e->ranked[1].score_max_bytes, 8 * MIB, 64 * MIB);
	/* Each step after the one before, up to the signal. */
	assert_true(e->choose_usec <= e->open_usec && e->open_usec <= e->signal_usec);
	assert_true(e->signal_usec < 60 * USEC_PER_SEC);
	/* Not before it is starved. */
	assert_int_equal(e->boost_usec, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->reap_usec, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->thaw_usec, HISTORY_UNKNOWN_U64); /* it was not frozen */
	wait_for_outcome();
	assert_true(is_over(d->outcome));
	assert_in_range(newest()->exited_usec, newest()->signal_usec, 60 * USEC_PER_SEC);

	/* The kill of the victim is finished, but not its record: the clock is ours from here. */
	if (clock_now() - d->signalled_at > 100 * USEC_PER_MSEC) {
		print_message("It took too long: the rest is left out.\n");
		return;
	}
	let_the_emergency_pass(0);
	for (unsigned i = 0; i < 3; i++) {
		static const usec_t at[] = { 120, 510, 2010 };

		test.manager->regime.watch_until = 0; /* calm samples seldom */
		next = tick(&test.manager->tick, d->signalled_at + at[i] * USEC_PER_MSEC);
		assert_true(recorder_is_open(test.manager->tick.recorder) == (i < 2));
		if (i < 2) /* the next sample is not later than the next mark */
			assert_true(next <= (i == 0 ? 380 : 1490) * USEC_PER_MSEC);
	}
	e = newest();
	assert_int_equal(e->pid, large);
	assert_int_not_equal(e->reclaimed_500ms_bytes, HISTORY_UNKNOWN_U64);
	assert_int_not_equal(e->reclaimed_2s_bytes, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->reclaimed_bytes, e->reclaimed_2s_bytes);
	assert_int_equal(history_count(recorder_history(test.manager->tick.recorder)), 1);
}

static void test_tick_thaws_the_whole_group_and_freezes_it_again(void **state)
{
	pid_t large, sibling, cousin;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/a/b/c"), 0);
	large = spawn("/a/b/c", 64, false);
	sibling = spawn("/a/b/c", 8, false);
	cousin = spawn("/a", 8, false);
	write_group("/a", "cgroup.freeze", "1"); /* two levels above the victim */
	for (int i = 0; i < 2000 && !group_is_frozen("/a/b/c"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a/b/c"));
	start(TERM_NOW); /* a SIGTERM is only acted on when thawed */
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.victim.thawed.n_levels, 1);
	assert_int_equal(newest()->thawed_levels, 1);
	wait_for_outcome();
	assert_int_equal(newest()->refrozen, 1);
	assert_int_equal(exit_signal(large), SIGTERM);
	assert_true(is_alive(sibling) && is_alive(cousin));
	assert_int_equal(test.manager->in_flight.decision.refrozen, 1);
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a"));
	write_group("/a", "cgroup.freeze", "0");
}

/* It was frozen by another program on purpose, and need not be killed any more. */
static void test_tick_puts_a_group_back_when_it_stands_down(void **state)
{
	pid_t victim, sibling;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, true);
	sibling = spawn("/a", 8, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start(TERM_NOW);
	one_tick();
	let_the_emergency_pass(victim);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_CANCELLED);
	assert_int_equal(test.manager->in_flight.decision.refrozen, 1);
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a"));
	assert_true(is_alive(victim) && is_alive(sibling));

	/* Its owner's setting counts after that, whatever becomes of the victim. */
	write_group("/a", "cgroup.freeze", "0");
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
	some_ticks();
	assert_false(group_is_frozen("/a"));
}

static void test_tick_escalates_when_sigterm_is_ignored(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start(TERM_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGTERM);
	one_tick();
	assert_true(is_alive(victim)); /* the grace is not over */
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(test.n_signals, 2);
	assert_true(newest()->escalated);
	assert_true(newest()->signal_usec < newest()->escalated_usec);
	assert_true(newest()->escalated_usec < newest()->exited_usec);
	assert_string_equal(newest()->signal, "SIGKILL");
}

static void test_tick_escalates_at_once_at_the_next_level(void **state)
{
	struct policy *last;
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start("[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=1h\n"
	      "[Policy last]\nMemoryAvailable=0%\nAction=kill\n");
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGTERM);
	last = policy_set_policy(&test.manager->config.policies, "last");
	last->memory_available.permyriad = PERMYRIAD;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGKILL);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

static void test_tick_cancels_when_the_emergency_has_passed(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start(KILL_NOW);
	test.on_open = let_the_emergency_pass;
	one_tick();
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(victim));
	assert_string_equal(newest()->kind, "cancelled");
	assert_int_equal(newest()->pid, victim);
}

static void test_tick_cancels_after_the_grace_when_memory_has_recovered(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start(TERM_NOW);
	one_tick();
	let_the_emergency_pass(victim);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_CANCELLED);
	assert_true(is_alive(victim));
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.n_choices, 1);
}

static void test_tick_chooses_no_other_while_a_kill_is_in_progress(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, true);
	small = spawn("", 32, false);
	start("KillTimeout=1h\n" TERM_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGTERM);
	some_ticks(); /* within the grace */
	assert_int_equal(test.n_choices, 1);
	test.signal_is_lost = true;
	let_the_grace_pass();
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGKILL);
	some_ticks(); /* within the timeout */
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 2);
	assert_true(is_alive(small));
	test.signal_is_lost = false;
	assert_int_equal(kill(large, SIGKILL), 0);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight.decision.outcome));
	assert_int_equal(test.n_choices, 1);
	one_tick();			  /* only now */
	assert_true(test.n_choices >= 2); /* (one may find that the first has vanished) */
	assert_int_equal(test.manager->in_flight.decision.pid, small);
}

static void exit_by_itself(pid_t pid)
{
	test.on_open = test.on_opened = NULL;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(exit_signal(pid), SIGKILL); /* a zombie: it is not waited for */
}

static void exits_by_itself(void (**hook)(pid_t pid))
{
	pid_t victim, other;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 16, false);
	start(KILL_NOW);
	*hook = exit_by_itself;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->in_flight.n_kills, 0);
	assert_int_equal(census_find(&test.manager->sampler.census, victim)->state, 'Z');
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, other);
	wait_for_outcome();
}

static void test_tick_does_not_signal_what_exits_before_it_is_opened(void **state)
{
	exits_by_itself(&test.on_open);
}

static void test_tick_does_not_signal_what_exits_after_it_was_opened(void **state)
{
	exits_by_itself(&test.on_opened);
}

static usec_t thawed_at;

static void thaw_slowly(void)
{
	usleep(50000);
	thawed_at = clock_now();
}

static void test_tick_counts_the_grace_from_the_thaw(void **state)
{
	pid_t victim;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start(TERM_NOW);
	test.on_thaw = thaw_slowly;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGTERM);
	assert_true(test.manager->in_flight.decision.signalled_at >= thawed_at);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
}

static void move_out_of_the_subtree(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	assert_int_equal(io_write_at(test.cgroups.v2_fd, "cgroup.procs", text), 0);
	test.on_open = NULL;
}

static void test_tick_spares_what_was_moved_out_meanwhile(void **state)
{
	pid_t victim, other;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 16, false);
	start(KILL_NOW);
	test.on_open = move_out_of_the_subtree;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	one_tick(); /* sampled again, and another process chosen */
	assert_int_equal(test.manager->in_flight.decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(victim));
	assert_false(is_alive(other));
}

static void test_tick_continues_when_the_victim_vanishes(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start(KILL_NOW);
	test.open_result = -ESRCH;
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_WATCH);
	assert_int_equal(test.n_signals, 0);
	test.open_result = 0;
	one_tick();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

static void test_tick_skips_what_may_not_be_signalled(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 32, false);
	small = spawn("", 8, false);
	start(KILL_NOW);
	test.signal_result = -EPERM;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	assert_int_equal(test.manager->in_flight.decision.backoff_usec, 30 * USEC_PER_SEC);
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(newest()->error, strerror(EPERM));
	test.signal_result = 0;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	one_tick(); /* none is left: it is not tried in a loop */
	one_tick();
	assert_string_equal(newest()->kind, "no-victim");
	assert_true(is_alive(large));
	assert_int_equal(test.n_signals, 2);
}

/* A memfd that is not mapped is in no figure of the process that holds it. */
static void test_tick_kills_what_holds_memory_by_descriptors(void **state)
{
	int fd = memfd_create("held", MFD_CLOEXEC);
	pid_t holder;

	require_subtree();
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 96 * MIB), 0);
	holder = spawn("", 8, false);
	close(fd);
	spawn("", 16, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_STUCK);
	assert_int_equal(test.n_signals, 0);
	for (int i = 0; i < 6000 && test.manager->regime.state == REGIME_STUCK; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_equal(test.manager->in_flight.decision.pid, holder);
	assert_in_range(test.manager->in_flight.decision.held, 64 * MIB, 97 * MIB);
	wait_for_outcome();
	assert_int_equal(exit_signal(holder), SIGKILL);
	assert_false(test.manager->in_flight.decision.ineffective);
}

static void test_tick_is_stuck_where_no_victim_is_worth_it(void **state)
{
	struct where_account account;
	unsigned n_choices;
	uint64_t id;
	pid_t small;

	require_subtree();
	small = spawn("", 8, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_STUCK);
	assert_int_equal(test.manager->selection.stuck.minimum, 64 * MIB);
	assert_string_equal(newest()->kind, "no-victim");
	id = newest()->id;

	/* Where memory is, is reported once, when it has been found out. */
	for (int i = 0; i < 6000 && test.manager->selection.stuck.n_reports == 0; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_equal(test.manager->selection.stuck.n_reports, 1);
	assert_true(test.manager->selection.stuck.account.n_rows > 0);
	assert_true(test.manager->selection.stuck.largest_pid > 0); /* of the machine */
	account = test.manager->selection.stuck.account;
	some_ticks();
	/* Long ago: found out again, and nothing has changed, but for what other programs do. */
	test.manager->selection.stuck.asked_at = 1;
	some_ticks();
	assert_true(test.manager->selection.stuck.n_reports == 1 ||
		    where_has_changed(&account, &test.manager->selection.stuck.account));
	assert_int_equal(newest()->id, id);
	assert_int_equal(test.n_signals, 0);

	/* Not sampled again at once. */
	test.manager->selection.stuck.chosen_at = clock_now();
	n_choices = test.manager->sampler.census.choice;
	(void)tick(&test.manager->tick, test.manager->selection.stuck.chosen_at + 1);
	assert_int_equal(test.manager->sampler.census.choice, n_choices);
	assert_int_equal(test.manager->regime.state, REGIME_STUCK);

	/* One that is worth it ends that. */
	test.manager->sampler.watch.listed_at = 0;
	small = spawn("", 96, false);
	for (int i = 0; i < 100 && test.manager->selection.stuck.since != 0; i++)
		one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	assert_int_equal(test.manager->regime.state, REGIME_KILLING);
	assert_int_equal(test.manager->selection.stuck.since, 0);
	wait_for_outcome();
}

static void test_tick_is_not_stuck_when_memory_has_recovered(void **state)
{
	require_subtree();
	spawn("", 8, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_STUCK);
	test.manager->config.policies.policies[test.manager->config.policies.n_policies - 1]
		.action = POLICY_ACTION_WARN;
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_WATCH);
	assert_int_equal(test.manager->selection.stuck.since, 0);
}

static void test_tick_skips_what_cannot_be_opened(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 32, false);
	small = spawn("", 8, false);
	start(KILL_NOW);
	test.open_result = -EPERM;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.decision.backoff_usec, 30 * USEC_PER_SEC);
	test.open_result = 0;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
}

static void test_tick_skips_what_does_not_exit(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, false);
	small = spawn("", 24, false);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	test.signal_is_lost = false;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
}

static void test_tick_passes_over_for_longer_each_time(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, false);
	small = spawn("", 24, false);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.backoff_usec, 30 * USEC_PER_SEC);

	/* Its time is over; but it was the last one, and there is another. */
	let_pass(31 * USEC_PER_SEC);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.backoff_usec, 60 * USEC_PER_SEC);
	let_pass(31 * USEC_PER_SEC);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
}

static void test_tick_tries_earlier_what_was_thawed(void **state)
{
	pid_t victim;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	test.thaw_result = -EACCES;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	let_pass(4 * USEC_PER_SEC);
	one_tick();
	assert_int_equal(test.n_signals, 1);

	write_group("/a", "cgroup.freeze", "0");
	for (int i = 0; i < 2000 && group_is_frozen("/a"); i++)
		usleep(10000);
	test.signal_is_lost = false;
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* The victim is drained, and remains: success, not to be tried again. */
static void check_still_exiting(pid_t victim, pid_t other)
{
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_RECLAIMED);
	assert_true(is_alive(victim));
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, other);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight.decision.outcome));
	let_pass(3600 * USEC_PER_SEC);
	some_ticks();
	assert_int_equal(test.n_signals, 2);
}

/* It keeps all its memory in its exit, for as long as the tracer likes. */
static void test_tick_leaves_what_is_still_exiting_under_a_tracer(void **state)
{
	pid_t victim, other, tracer;
	int ready[2];
	ssize_t n;
	char byte;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 8, false);
	assert_int_equal(pipe(ready), 0);
	tracer = fork();
	assert_true(tracer >= 0);
	if (tracer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, victim, NULL, PTRACE_O_TRACEEXIT) == 0 &&
		    write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	all_victims[test.n_victims++] = tracer;
	close(ready[1]);
	n = read(ready[0], &byte, 1);
	close(ready[0]);
	if (n != 1) {
		print_message("SKIP: may not trace\n");
		skip();
	}
	start("KillTimeout=200ms\n" KILL_NOW);
	check_still_exiting(victim, other);
}

/* In a freezer of version 1 that may not be thawed, SIGKILL alone frees nothing. */
static void test_tick_leaves_what_is_still_exiting_in_a_freezer(void **state)
{
	const int freezer_fd = test.cgroups.v1_freezer_fd;
	pid_t victim, other;
	char path[512], text[16];

	require_subtree();
	snprintf(path, sizeof(path), "%s", test.subtree + 1);
	if (freezer_fd < 0 || mkdirat(freezer_fd, path, 0755) < 0) {
		print_message("SKIP: there is no freezer of version 1\n");
		skip();
	}
	victim = spawn("", 64, false);
	other = spawn("", 8, false);
	snprintf(path, sizeof(path), "%s/cgroup.procs", test.subtree + 1);
	snprintf(text, sizeof(text), "%d", victim);
	assert_int_equal(io_write_at(freezer_fd, path, text), 0);
	snprintf(path, sizeof(path), "%s/freezer.state", test.subtree + 1);
	assert_int_equal(io_write_at(freezer_fd, path, "FROZEN"), 0);
	for (int i = 0; i < 2000 && io_read_at(freezer_fd, path, text, sizeof(text)) > 0 &&
			strncmp(text, "FROZEN", 6) != 0;
	     i++)
		usleep(10000);
	start("KillTimeout=200ms\n" KILL_NOW);
	test.thaw_result = -EACCES;
	check_still_exiting(victim, other);
	assert_int_equal(io_write_at(freezer_fd, path, "THAWED"), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* 96 and 80 in a group of their own, two besides, and nothing is reclaimed.  (All have one name:
 * what starts later passes for the first one, started again.) */
static void test_tick_passes_over_an_ineffective_kind_once(void **state)
{
	pid_t first, second, beside;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	first = spawn("/a", 96, false);
	second = spawn("/a", 80, false);
	beside = spawn("", 24, false);
	spawn("", 16, false);
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, first);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_GONE);
	assert_true(test.manager->in_flight.decision.ineffective);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, beside);
	assert_int_equal(test.manager->in_flight.decision.skipped_pid, second);
	assert_int_equal(newest()->skipped_pid, second);
	assert_string_equal(newest()->skipped_for, "kind");
	assert_in_range(newest()->skipped_footprint_bytes, 80 * MIB, 112 * MIB);
	wait_for_outcome();
	assert_false(test.manager->in_flight.decision.ineffective); /* too small to tell */
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, second);
	assert_int_equal(test.manager->in_flight.decision.skipped_pid, 0);
}

static void test_tick_waits_for_memory_that_comes_late(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 96, false);
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_int_equal(exit_signal(victim), SIGKILL);
	one_tick(); /* exited, but another process may hold its memory */
	assert_int_equal(test.manager->regime.state, REGIME_KILLING);
	test.freed = 96 * MIB;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_GONE);
	assert_false(test.manager->in_flight.decision.ineffective);
}

static void test_tick_kills_an_ineffective_kind_rather_than_none(void **state)
{
	pid_t first, second, tiny;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	first = spawn("/a", 320, false);
	second = spawn("/a", 240, false);
	tiny = spawn("", 4, false); /* a sanitizer adds to it */
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, first);
	wait_for_outcome();
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, second);
	wait_for_outcome();
	assert_true(is_alive(tiny));
}

/* It maps a memfd that its parent holds open: the memory is kept, which could not be known before.
 */
static pid_t spawn_sharer(size_t mib)
{
	int ready[2];
	char text[16];
	pid_t holder, pid;

	assert_int_equal(pipe(ready), 0);
	holder = fork();
	assert_true(holder >= 0);
	if (holder == 0) {
		int fd = memfd_create("held", MFD_CLOEXEC);
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		munlockall();
		if (fd < 0 || ftruncate(fd, (off_t)(mib * MIB)) < 0)
			_exit(1);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			memset(memory, 1, mib * MIB);
			pid = getpid();
			if (write(ready[1], &pid, sizeof(pid)) != sizeof(pid))
				_exit(1);
		}
		for (;;)
			pause();
	}
	all_victims[test.n_victims++] = holder;
	close(ready[1]);
	assert_int_equal(read(ready[0], &pid, sizeof(pid)), sizeof(pid));
	close(ready[0]);
	snprintf(text, sizeof(text), "%d", pid);
	write_group("", "cgroup.procs", text);
	return pid;
}

static void test_tick_sees_that_a_kill_was_ineffective(void **state)
{
	require_subtree();
	for (int i = 0; i < 10; i++) {
		pid_t sharer = spawn_sharer(256);
		const struct decision *d;

		/* a manager of its own: one of which three consecutive kills were ineffective is
		 * stuck */
		test.manager = manager_free(test.manager);
		start(KILL_NOW);
		d = &test.manager->in_flight.decision;
		one_tick();
		assert_int_equal(d->pid, sharer);
		assert_true(proc_reclaimable(&d->memory) >= 256 * MIB);
		wait_for_outcome();
		assert_true(is_over(d->outcome));
		assert_int_equal(d->ineffective, d->freed < 32 * MIB);
		if (d->ineffective)
			return;
		kill(all_victims[--test.n_victims], SIGKILL);
		waitpid(all_victims[test.n_victims], NULL, 0);
	}
	print_message("SKIP: others free memory all the time\n");
	skip();
}

static bool ticks_until_there_is(const char *path)
{
	for (int i = 0; i < 1000 && access(path, F_OK) < 0; i++) {
		one_tick();
		usleep(10000);
	}
	return access(path, F_OK) == 0;
}

/* In an emergency no files are written, unless nothing can be done about it any more. */
static void test_tick_keeps_the_history_where_none_is_left(void **state)
{
	char directory[] = "/tmp/test-tick-XXXXXX", path[64];

	require_subtree();
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/history.json", directory);
	setenv("STATE_DIRECTORY", directory, 1);
	spawn("", 16, false);
	start(KILL_NOW);
	one_tick();
	wait_for_outcome();
	for (int i = 0; i < 1000 && recorder_is_open(test.manager->tick.recorder); i++) {
		usleep(10000);
		one_tick();
	}
	some_ticks(); /* the policy still holds */
	assert_int_not_equal(access(path, F_OK), 0);
	test.manager->in_flight.decision.decided_at -= 60 * USEC_PER_SEC;
	assert_true(ticks_until_there_is(path));
	test.manager = manager_free(test.manager);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void test_tick_dry_run_never_signals(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start("DryRun=yes\n" KILL_NOW);
	for (int i = 0; i < 5; i++)
		one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.n_journal, 1); /* logged once, not five times */
	assert_string_equal(newest()->kind, "dry-run");
	assert_true(newest()->dry_run);
	assert_int_equal(newest()->pid, victim);
	assert_true(is_alive(victim));
}

/* A leader that has exited while a thread holds the memory reads as 0. */
static void *hold(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void test_tick_finds_a_process_whose_leader_has_exited(void **state)
{
	pid_t headless, small;
	char text[16];
	int ready[2], go[2];

	require_subtree();
	assert_int_equal(pipe(ready) | pipe(go), 0);
	headless = fork();
	assert_true(headless >= 0);
	if (headless == 0) {
		pthread_t thread;
		char *memory;

		be_ordinary();
		memory = mmap(NULL, 48 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, 48 * MIB);
		if (pthread_create(&thread, NULL, hold, NULL) != 0 || write(ready[1], "", 1) != 1 ||
		    read(go[0], memory, 1) != 1)
			_exit(1);
		pthread_exit(NULL);
	}
	all_victims[test.n_victims++] = headless;
	assert_int_equal(read(ready[0], text, 1), 1);
	snprintf(text, sizeof(text), "%d", headless);
	write_group("", "cgroup.procs", text); /* an exited leader is not moved */
	assert_int_equal(write(go[1], "", 1), 1);
	small = spawn("", 16, false);
	start(KILL_NOW);
	assert_int_equal(census_find(&test.manager->sampler.census, headless)->state, 'Z');
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, headless);
	wait_for_outcome();
	assert_true(is_alive(small));
}

/*
 * A victim whose child has its memory, by clone(2) or vfork(2), and calls itself `name`.
 */
struct partner {
	bool by_vfork;
	const char *name;
	pid_t pid;
};

static int *partner_ready;
static const char *partner_name;

static int partner_main(void *arg)
{
	pid_t pid = getpid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, partner_name);
	if (write(partner_ready[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	for (;;)
		pause();
}

static pid_t spawn_with_partner(size_t mib, struct partner *partner)
{
	static char stack[65536] __attribute__((aligned(64)));
	int ready[2];
	char text[16];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	partner_ready = ready;
	partner_name = partner->name;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *memory;

		be_ordinary();
		munlockall();
		memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, mib * MIB);
		clone(partner_main, stack + sizeof(stack),
		      CLONE_VM | SIGCHLD | (partner->by_vfork ? CLONE_VFORK : 0), NULL);
		for (;;)
			pause();
	}
	all_victims[test.n_victims++] = pid;
	assert_int_equal(read(ready[0], &partner->pid, sizeof(pid)), sizeof(pid));
	close(ready[0]);
	close(ready[1]);
	test.partner_pidfd = kill_ops_system.pidfd_open(partner->pid);
	assert_true(test.partner_pidfd >= 0);
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%d", i ? partner->pid : pid);
		write_group("", "cgroup.procs", text);
	}
	return pid;
}

static void require_kcmp(void)
{
	require_subtree();
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0)
		return;
	print_message("SKIP: kcmp: %s\n", strerror(errno));
	skip();
}

/* A choice was made; but on a machine that is very busy there may have been no time to compare. */
static void require_comparison(void)
{
	if (test.manager->in_flight.decision.sharers_error != -ETIMEDOUT)
		return;
	print_message("SKIP: the comparison took too long\n");
	skip();
}

/* Reaped, the memory may be reclaimed before the exit can be seen. */
static void assert_succeeded(void)
{
	enum kill_progress outcome = test.manager->in_flight.decision.outcome;

	assert_true(outcome == KILL_PROGRESS_GONE || outcome == KILL_PROGRESS_RECLAIMED);
}

static void check_partner_is_killed_too(bool by_vfork)
{
	struct partner partner = { .by_vfork = by_vfork, .name = "partner" };
	pid_t victim, small;

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	small = spawn("", 8, false);
	start(KILL_NOW);
	one_tick();
	require_comparison();
	/* the younger one is chosen, among equals */
	assert_int_equal(test.manager->in_flight.decision.pid, partner.pid);
	assert_int_equal(test.manager->in_flight.decision.n_sharers, 1);
	assert_int_equal(test.manager->in_flight.victim.others[0].pid, victim);
	assert_int_equal(test.manager->in_flight.decision.next_pid,
			 small); /* not the one killed with it */
	assert_int_equal(test.n_signals, 2);
	assert_int_equal(n_mallocs, 0);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
	assert_true(is_alive(small));
}

static void test_tick_kills_what_shares_the_memory(void **state)
{
	check_partner_is_killed_too(false);
}

static void test_tick_kills_the_parent_of_a_vfork(void **state)
{
	check_partner_is_killed_too(true);
}

static void test_tick_terminates_one_and_kills_both(void **state)
{
	struct partner partner = { .name = "partner" };
	pid_t victim;

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	start(TERM_NOW);
	one_tick();
	require_comparison();
	assert_int_equal(test.n_signals, 1);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
	assert_succeeded();
}

/* No process is signalled, whichever of them is chosen; then it is another's turn. */
static void check_partner_is_spared(const char *more, bool outside_subtree)
{
	struct partner partner = { .name = "not-for-us" };
	pid_t victim, small;
	char text[16];

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	small = spawn("", 8, false);
	if (outside_subtree) {
		snprintf(text, sizeof(text), "%d", partner.pid);
		assert_int_equal(io_write_at(test.cgroups.v2_fd, "cgroup.procs", text), 0);
	}
	start(more);
	one_tick();
	require_comparison();
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	assert_int_equal(test.manager->in_flight.decision.spared_pid, partner.pid);
	assert_string_equal(test.manager->in_flight.decision.spared_comm, "not-for-us");
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->regime.state, REGIME_WATCH);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_int_equal(exit_signal(small), SIGKILL);
	assert_true(is_alive(victim) && partner_is_alive());
}

static void test_tick_spares_what_shares_memory_with_one_protected(void **state)
{
	check_partner_is_spared(KILL_NOW "[Protect it]\nComm=^not-for-us$\n", false);
}

static void test_tick_spares_what_shares_memory_with_one_out_of_subtree(void **state)
{
	check_partner_is_spared(KILL_NOW, true);
}

static void test_tick_dry_run_names_what_shares_the_memory(void **state)
{
	struct partner partner = { .name = "partner" };
	pid_t victim;

	require_kcmp();
	victim = spawn_with_partner(32, &partner);
	start("DryRun=yes\n" KILL_NOW);
	one_tick();
	require_comparison();
	assert_int_equal(test.manager->in_flight.decision.n_sharers, 1);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(victim) && partner_is_alive());
}

#define GROUP_NOW KILL_NOW "Target=cgroup\n"

static void test_tick_kills_the_largest_cgroup_with_all_in_it(void **state)
{
	pid_t in_a[3], in_b, in_subtree;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/b"), 0);
	in_a[0] = spawn("/a/b", 48, false);
	in_a[1] = spawn("/a/b", 64, false);
	in_a[2] = spawn("/a", 8, false); /* not in the group: it has others below */
	in_b = spawn("/b", 72, false);
	in_subtree = spawn("", 8, false);
	start(GROUP_NOW);
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight.decision.target, POLICY_TARGET_CGROUP);
	assert_string_equal(strrchr(test.manager->in_flight.decision.group, '/'), "/b");
	assert_non_null(strstr(test.manager->in_flight.decision.group, "/a/b"));
	assert_int_equal(test.manager->in_flight.decision.pid, in_a[1]);
	assert_int_equal(test.manager->in_flight.decision.n_processes, 2);
	assert_true(proc_reclaimable(&test.manager->in_flight.decision.memory) >= 56 * MIB);
	assert_int_equal(test.manager->in_flight.victim.n_others, 1);
	assert_int_equal(test.manager->in_flight.victim.others[0].pid, in_a[0]);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(in_a[0]), SIGKILL);
	assert_int_equal(exit_signal(in_a[1]), SIGKILL);
	assert_true(is_alive(in_a[2]) && is_alive(in_b) && is_alive(in_subtree));
	assert_int_equal(test.n_journal, 2);

	/* The next one; its slice has a process of its own. */
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, in_b);
	wait_for_outcome();
	assert_true(is_alive(in_a[2]) && is_alive(in_subtree));
}

/* Directly in the subtree: it is killed alone, though the subtree has memory.oom.group. */
static void test_tick_kills_a_process_of_the_subtree_with_cgroups_in_it(void **state)
{
	pid_t in_a[2], in_subtree, other;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	in_a[0] = spawn("/a", 24, false);
	in_a[1] = spawn("/a", 16, false);
	in_subtree = spawn("", 192, false);
	other = spawn("", 8, false);
	snprintf(test.flagged, sizeof(test.flagged), "%s", test.subtree);
	start(GROUP_NOW);
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight.decision.target, POLICY_TARGET_PROCESS);
	assert_int_equal(test.manager->in_flight.decision.pid, in_subtree);
	assert_string_equal(test.manager->in_flight.decision.group, "");
	assert_int_equal(test.manager->in_flight.decision.n_processes, 1);
	assert_false(test.manager->in_flight.decision.is_flagged);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(in_subtree), SIGKILL);
	assert_true(is_alive(in_a[0]) && is_alive(in_a[1]) && is_alive(other));

	/* The next is a cgroup. */
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.target, POLICY_TARGET_CGROUP);
	assert_int_equal(test.manager->in_flight.decision.pid, in_a[0]);
	wait_for_outcome();
	assert_true(is_alive(other));
}

static void move_to_b(pid_t pid)
{
	char text[16];

	test.on_open = NULL;
	snprintf(text, sizeof(text), "%d", pid);
	write_group("/b", "cgroup.procs", text);
}

/* What was chosen is the cgroup, not the one to which its largest process has moved since. */
static void test_tick_does_not_kill_the_cgroup_to_which_one_was_moved(void **state)
{
	pid_t mover, left, bystander;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	mover = spawn("/a", 48, false);
	left = spawn("/a", 40, false);
	bystander = spawn("/b", 8, false);
	start(GROUP_NOW "[Protect innocent]\nUser=4711\n");
	test.on_open = move_to_b;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->regime.state, REGIME_WATCH);
	assert_true(is_alive(mover) && is_alive(left) && is_alive(bystander));

	/* By now /b is the largest, and known to be, at the latest when it was read anew. */
	for (int i = 0; i < 100 && test.manager->regime.state != REGIME_KILLING; i++)
		one_tick();
	assert_non_null(strstr(test.manager->in_flight.decision.group, "/b"));
	wait_for_outcome();
	assert_true(is_alive(left));
	assert_false(is_alive(mover));
}

static pid_t evasive;
static unsigned n_moves;

static void move_again(pid_t pid)
{
	char text[16];

	if (pid != evasive)
		return;
	snprintf(text, sizeof(text), "%d", pid);
	write_group(n_moves++ % 2 ? "/a" : "/b", "cgroup.procs", text);
}

/* One that is never where it was chosen is skipped after some tries, and another is killed. */
static void test_tick_skips_what_moves_all_the_time(void **state)
{
	pid_t other;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b") | make_group("/c"), 0);
	(void)spawn("/a", 8, false);
	(void)spawn("/b", 8, false);
	evasive = spawn("/a", 64, false);
	other = spawn("/c", 24, false);
	n_moves = 0;
	start(GROUP_NOW);
	test.on_open = move_again;
	for (unsigned i = 0; i < 100 && test.n_signals == 0; i++)
		one_tick();
	assert_int_equal(n_moves, BACKOFF_TRIES);
	assert_int_equal(test.manager->in_flight.decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(evasive));
	assert_false(is_alive(other));
}

static pid_t becomes_another;

/* As a service does that drops its privileges. */
static void become_another(int signal)
{
	if (setresuid(4711, 4711, 4711) < 0)
		_exit(1);
}

static void wait_until_it_is_another(pid_t pid)
{
	struct proc_status status = { 0 };

	if (pid != becomes_another)
		return;
	assert_int_equal(kill(pid, SIGUSR1), 0);
	for (int i = 0; i < 5000 && status.uid != 4711; i++) {
		usleep(1000);
		(void)proc_read_status(test.manager->machine.proc_fd, pid, &status);
	}
}

static void test_tick_spares_what_is_another_users_by_now(void **state)
{
	pid_t other;

	require_subtree();
	signal(SIGUSR1, become_another); /* inherited by fork() */
	becomes_another = spawn("", 48, false);
	signal(SIGUSR1, SIG_DFL);
	other = spawn("", 16, false);
	start(KILL_NOW "[Protect his]\nUser=4711\n");
	test.on_open = wait_until_it_is_another;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(becomes_another));
}

static void reload(const char *more)
{
	char *errors = NULL;
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n%s", test.subtree, more);
	fclose(f);
	assert_int_equal(manager_reload(test.manager, &errors), 0);
}

/* A process that had SIGTERM is not killed by a configuration that is no more. */
static void test_tick_does_not_escalate_against_the_configuration(void **state)
{
	static const char *const configurations[] = {
		"DryRun=yes\n" TERM_NOW,
		TERM_NOW "[Protect it]\nComm=^deaf-one$\n",
	};
	pid_t victim;

	require_subtree();
	victim = spawn_as("deaf-one", "", 32, true);
	for (size_t i = 0; i < ARRAY_SIZE(configurations); i++) {
		start(TERM_NOW);
		one_tick();
		assert_int_equal(test.manager->regime.state, REGIME_KILLING);
		reload(configurations[i]);
		let_the_grace_pass();
		one_tick();
		assert_int_equal(test.manager->regime.state, REGIME_WATCH);
		assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_CANCELLED);
		assert_true(test.manager->in_flight.decision.called_off);
		some_ticks();
		assert_int_equal(test.n_signals, 1);
		assert_true(is_alive(victim));
		test.manager = manager_free(test.manager);
	}
	/* Another that permits it changes nothing. */
	start(TERM_NOW);
	one_tick();
	reload(TERM_NOW);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* More than are watched by themselves; the smallest of them is deaf. */
static void test_tick_terminates_a_cgroup_and_kills_what_remains(void **state)
{
	pid_t deaf, others[KILL_OTHERS_MAX + 2];

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = spawn("/a", 4, false);
	deaf = spawn("/a", 1, true);
	start(TERM_NOW "Target=cgroup\n");
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGTERM);
	assert_int_equal(test.n_signals, ARRAY_SIZE(others) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(exit_signal(others[i]), SIGTERM);
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_KILLING); /* one is left */
	assert_true(is_alive(deaf));
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(deaf), SIGKILL);
	assert_int_equal(test.manager->in_flight.decision.n_processes, ARRAY_SIZE(others) + 1);
	assert_succeeded();
}

/* They are frozen, and signalled one by one, as one of them is spared. */
static void test_tick_kills_all_that_the_flag_says_but_what_is_spared(void **state)
{
	pid_t large, small, spared, outside;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/b"), 0);
	large = spawn("/a/b", 48, false);
	small = spawn("/a", 8, false);
	outside = spawn("/b", 32, false);
	spared = spawn_as("spare-me", "/a", 192, false);
	write_group("/a", "cgroup.freeze", "1");
	snprintf(test.flagged, sizeof(test.flagged), "%s/a", test.subtree);
	start(KILL_NOW "[Protect it]\nComm=^spare-me$\n");
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.decision.target, POLICY_TARGET_CGROUP);
	assert_true(test.manager->in_flight.decision.is_flagged);
	assert_string_equal(test.manager->in_flight.decision.group, test.flagged);
	assert_int_equal(test.manager->in_flight.decision.n_processes, 2);
	assert_true(proc_reclaimable(&test.manager->in_flight.decision.memory) >= 56 * MIB);
	assert_true(proc_reclaimable(&test.manager->in_flight.decision.memory) < 180 * MIB);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_int_equal(exit_signal(small), SIGKILL);
	assert_true(is_alive(spared) && is_alive(outside));
	assert_int_equal(test.manager->in_flight.victim.group.dir_fd, -EBADF);
	/* A process is left in the group, which was frozen before; at once, if all have exited. */
	assert_int_equal(test.manager->in_flight.decision.refrozen,
			 test.manager->in_flight.decision.outcome == KILL_PROGRESS_GONE ? 1 : 0);
	write_group("/a", "cgroup.freeze", "0");
}

static void test_tick_kills_what_shares_memory_with_a_cgroup(void **state)
{
	struct partner partner = { .name = "partner" };
	char text[16];
	pid_t victim;

	require_kcmp();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn_with_partner(48, &partner);
	snprintf(text, sizeof(text), "%d", victim);
	write_group("/a", "cgroup.procs", text);
	spawn("/a", 8, false); /* more than the partner, which is in the subtree */
	start(GROUP_NOW);
	one_tick();
	assert_non_null(strstr(test.manager->in_flight.decision.group, "/a"));
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	assert_int_equal(test.manager->in_flight.decision.n_sharers, 1);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
}

/* It may be the largest in it. */
static void test_tick_spares_one_protected_in_a_cgroup(void **state)
{
	pid_t large, spared, small;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	large = spawn("/a", 48, false);
	spared = spawn_as("spare-me", "/a", 192, false);
	small = spawn("/b", 8, false);
	start(GROUP_NOW "[Protect it]\nComm=^spare-me$\n");
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, large);
	assert_int_equal(test.manager->in_flight.decision.n_processes, 1);
	assert_true(proc_reclaimable(&test.manager->in_flight.decision.memory) < 180 * MIB);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_true(is_alive(spared) && is_alive(small));
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	one_tick();
	assert_int_equal(test.manager->regime.state, REGIME_STUCK);
	assert_true(is_alive(spared));
}

static void test_tick_passes_over_a_cgroup_that_does_not_die(void **state)
{
	pid_t large[2], small;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	large[0] = spawn("/a", 48, false);
	large[1] = spawn("/a", 16, false);
	small = spawn("/b", 24, false);
	start("KillTimeout=100ms\n" GROUP_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight.decision.pid, large[0]);
	assert_int_equal(test.manager->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	test.signal_is_lost = false;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large[0]) && is_alive(large[1]));
}

static void test_tick_dry_run_leaves_a_cgroup_alone(void **state)
{
	pid_t pids[2];

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	pids[0] = spawn("/a", 16, false);
	pids[1] = spawn("/a", 8, false);
	start("DryRun=yes\n" GROUP_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.n_processes, 2);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(pids[0]) && is_alive(pids[1]));
	assert_false(group_is_frozen("/a"));
}

#define with_subtree(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_kills_the_largest_of_the_subtree_and_no_other),
		with_subtree(test_tick_allocates_nothing_from_choice_to_watching),
		with_subtree(test_tick_starts_anew_after_a_gap),
		with_subtree(test_tick_times_the_signal_without_the_thaw),
		with_subtree(test_tick_keeps_a_record),
		with_subtree(test_tick_thaws_the_whole_group_and_freezes_it_again),
		with_subtree(test_tick_puts_a_group_back_when_it_stands_down),
		with_subtree(test_tick_escalates_when_sigterm_is_ignored),
		with_subtree(test_tick_escalates_at_once_at_the_next_level),
		with_subtree(test_tick_cancels_when_the_emergency_has_passed),
		with_subtree(test_tick_cancels_after_the_grace_when_memory_has_recovered),
		with_subtree(test_tick_chooses_no_other_while_a_kill_is_in_progress),
		with_subtree(test_tick_does_not_signal_what_exits_before_it_is_opened),
		with_subtree(test_tick_does_not_signal_what_exits_after_it_was_opened),
		with_subtree(test_tick_counts_the_grace_from_the_thaw),
		with_subtree(test_tick_spares_what_was_moved_out_meanwhile),
		with_subtree(test_tick_continues_when_the_victim_vanishes),
		with_subtree(test_tick_skips_what_may_not_be_signalled),
		with_subtree(test_tick_kills_what_holds_memory_by_descriptors),
		with_subtree(test_tick_is_stuck_where_no_victim_is_worth_it),
		with_subtree(test_tick_is_not_stuck_when_memory_has_recovered),
		with_subtree(test_tick_skips_what_cannot_be_opened),
		with_subtree(test_tick_skips_what_does_not_exit),
		with_subtree(test_tick_passes_over_for_longer_each_time),
		with_subtree(test_tick_tries_earlier_what_was_thawed),
		with_subtree(test_tick_leaves_what_is_still_exiting_under_a_tracer),
		with_subtree(test_tick_leaves_what_is_still_exiting_in_a_freezer),
		with_subtree(test_tick_passes_over_an_ineffective_kind_once),
		with_subtree(test_tick_waits_for_memory_that_comes_late),
		with_subtree(test_tick_kills_an_ineffective_kind_rather_than_none),
		with_subtree(test_tick_sees_that_a_kill_was_ineffective),
		with_subtree(test_tick_keeps_the_history_where_none_is_left),
		with_subtree(test_tick_dry_run_never_signals),
		with_subtree(test_tick_finds_a_process_whose_leader_has_exited),
		with_subtree(test_tick_kills_what_shares_the_memory),
		with_subtree(test_tick_kills_the_parent_of_a_vfork),
		with_subtree(test_tick_terminates_one_and_kills_both),
		with_subtree(test_tick_spares_what_shares_memory_with_one_protected),
		with_subtree(test_tick_spares_what_shares_memory_with_one_out_of_subtree),
		with_subtree(test_tick_dry_run_names_what_shares_the_memory),
		with_subtree(test_tick_kills_the_largest_cgroup_with_all_in_it),
		with_subtree(test_tick_kills_a_process_of_the_subtree_with_cgroups_in_it),
		with_subtree(test_tick_does_not_kill_the_cgroup_to_which_one_was_moved),
		with_subtree(test_tick_skips_what_moves_all_the_time),
		with_subtree(test_tick_spares_what_is_another_users_by_now),
		with_subtree(test_tick_does_not_escalate_against_the_configuration),
		with_subtree(test_tick_terminates_a_cgroup_and_kills_what_remains),
		with_subtree(test_tick_kills_all_that_the_flag_says_but_what_is_spared),
		with_subtree(test_tick_kills_what_shares_memory_with_a_cgroup),
		with_subtree(test_tick_spares_one_protected_in_a_cgroup),
		with_subtree(test_tick_passes_over_a_cgroup_that_does_not_die),
		with_subtree(test_tick_dry_run_leaves_a_cgroup_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
