/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: what one of its readings that fails leads to: with real processes in a subtree of our own,
 * and a policy that always holds.  What fails is wrapped.  Needs root and a cgroup2 mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "daemon/stalls.h"
#include "daemon/tick.h"
#include "lib/base/io.h"
#include "lib/select/sharers.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PROCESSES_MAX 8

static struct {
	struct cgroup_fs cgroups;
	int proc_fd;
	char subtree[64], config[64];
	struct manager *m;
	pid_t processes[PROCESSES_MAX];
	unsigned n_processes;

	/* What fails, 0: nothing. */
	int sample_error, psi_error, census_error, cgroup_result, v1_result;
	int open_error, list_error;
	pid_t error_pid;	   /* of the two before it; of cgroup_result: any */
	unsigned n_cgroup_results; /* so often */
	pid_t sharer;		   /* shares the memory of all */
	int sharers_error;
	unsigned n_signals, n_complaints;
	bool by_pressure;
	enum stalls_answer answer;
} test;

int __real_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample(struct memory_source *source, struct memory_reading *ret)
{
	return test.sample_error < 0 ? test.sample_error : __real_memory_sample(source, ret);
}

int __real_memory_sample_levels(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample_levels(struct memory_source *source, struct memory_reading *ret);
int __wrap_memory_sample_levels(struct memory_source *source, struct memory_reading *ret)
{
	return test.sample_error < 0 ? test.sample_error : __real_memory_sample_levels(source, ret);
}

int __real_psi_read_fd(int fd, struct psi_reading *ret);
int __wrap_psi_read_fd(int fd, struct psi_reading *ret);
int __wrap_psi_read_fd(int fd, struct psi_reading *ret)
{
	return test.psi_error < 0 ? test.psi_error : __real_psi_read_fd(fd, ret);
}

int __real_census_find_new(struct census *census, usec_t now, uint64_t allocated);
int __wrap_census_find_new(struct census *census, usec_t now, uint64_t allocated);
int __wrap_census_find_new(struct census *census, usec_t now, uint64_t allocated)
{
	return test.census_error < 0 ? test.census_error
				     : __real_census_find_new(census, now, allocated);
}

/* For confirm.c: the census reads it otherwise. */
int __real_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size)
{
	if (test.n_cgroup_results > 0 && pid == test.error_pid) {
		test.n_cgroup_results--;
		return test.cgroup_result;
	}
	return __real_cgroup_of_process(fs, proc_fd, pid, buf, size);
}

int __real_cgroup_of_process_v1_freezer(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
					char *buf, size_t size);
int __wrap_cgroup_of_process_v1_freezer(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
					char *buf, size_t size);
int __wrap_cgroup_of_process_v1_freezer(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
					char *buf, size_t size)
{
	if (test.v1_result != 0 && pid == test.error_pid)
		return test.v1_result;
	return __real_cgroup_of_process_v1_freezer(fs, proc_fd, pid, buf, size);
}

void __real_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret);
void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret);
void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret)
{
	struct census_process *sharer = census_find(census, test.sharer);

	*ret = (struct sharers){ .error = test.sharers_error };
	if (sharer && sharer != victim)
		ret->items[ret->n++] = sharer;
}

void __real_report_sample_failed(struct reporter *rep, int error, usec_t now);
void __wrap_report_sample_failed(struct reporter *rep, int error, usec_t now);
void __wrap_report_sample_failed(struct reporter *rep, int error, usec_t now)
{
	test.n_complaints++;
	__real_report_sample_failed(rep, error, now);
}

/* The policy has a pressure condition, which the cgroups explain. */
bool __real_policy_waits_for_pressure(const struct policy *policy);
bool __wrap_policy_waits_for_pressure(const struct policy *policy);
bool __wrap_policy_waits_for_pressure(const struct policy *policy)
{
	return test.by_pressure || __real_policy_waits_for_pressure(policy);
}

void __real_policy_judge(struct policy_set *set, const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret);
void __wrap_policy_judge(struct policy_set *set, const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret);
void __wrap_policy_judge(struct policy_set *set, const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret)
{
	__real_policy_judge(set, reading, now, ret);
	if (test.by_pressure && reading->stalls_are_explained)
		ret->policy = NULL;
}

enum stalls_answer __wrap_stalls_ask(struct sampler *sampler, const struct policy *policy,
				     usec_t now);
enum stalls_answer __wrap_stalls_ask(struct sampler *sampler, const struct policy *policy,
				     usec_t now)
{
	return test.answer;
}

static struct kill_ops ops;

static int op_open(pid_t pid)
{
	return pid == test.error_pid && test.open_error < 0 ? test.open_error
							    : kill_ops_system.pidfd_open(pid);
}

static int op_signal(int pidfd, int signal)
{
	test.n_signals += signal != 0;
	return kill_ops_system.pidfd_send_signal(pidfd, signal);
}

static int op_group_kill(int dir_fd)
{
	test.n_signals++;
	return kill_ops_system.group_kill(dir_fd);
}

static int op_list(int dir_fd, kill_list_fn f, void *userdata)
{
	return test.list_error < 0 ? test.list_error
				   : kill_ops_system.group_list(dir_fd, f, userdata);
}

static int make_group(const char *relative)
{
	char path[320];

	snprintf(path, sizeof(path), "%s%s", test.subtree + 1, relative);
	return mkdirat(test.cgroups.v2_fd, path, 0755);
}

static void move(pid_t pid, const char *relative)
{
	char path[320], text[16];

	snprintf(path, sizeof(path), "%s%s/cgroup.procs", test.subtree + 1, relative);
	snprintf(text, sizeof(text), "%d", pid);
	assert_int_equal(io_write_at(test.cgroups.v2_fd, path, text), 0);
}

/* A process of so many MiB in a group of the subtree. */
static pid_t spawn(const char *relative, size_t mib)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)io_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
		munlockall();
		memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, mib * MIB);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	test.processes[test.n_processes++] = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	move(pid, relative);
	return pid;
}

static bool is_alive(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}

/* Memory may be reclaimed a moment before the process is gone. */
static bool is_killed(pid_t pid)
{
	for (int i = 0; i < 6000 && is_alive(pid); i++)
		usleep(10000);
	return !is_alive(pid);
}

static void start(const char *policy)
{
	struct config_options options = { .config_file = test.config };
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n[Policy now]\nMemoryAvailable=100%%\n%s",
		test.subtree, policy);
	fclose(f);
	assert_int_equal(manager_new(&options, false, &ops, &test.m), 0);
	test.n_signals = 0; /* those of the self-test */
}

#define KILL "Action=kill\n"

/* A step, as a second later; what takes several turns is waited for. */
static void step(void)
{
	usec_t decided_at = test.m->in_flight.decision.decided_at;

	test.m->selection.stuck.chosen_at = 0;
	for (int i = 0; i < 200; i++) {
		(void)tick(&test.m->tick, clock_now());
		if (test.m->regime.state == REGIME_KILLING ||
		    test.m->in_flight.decision.decided_at != decided_at)
			break;
	}
}

/* Until the current victim is done with: at most for a minute. */
static void wait_for_outcome(void)
{
	for (int i = 0; i < 6000 && test.m->regime.state == REGIME_KILLING; i++) {
		usleep(10000);
		(void)tick(&test.m->tick, clock_now());
	}
	assert_int_not_equal(test.m->regime.state, REGIME_KILLING);
}

static const struct history_entry *newest(void)
{
	return history_get(recorder_history(test.m->tick.recorder), 0);
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	setenv("STATE_DIRECTORY", "", 1);
	test.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup_fs_open(test.proc_fd, &test.cgroups) < 0 || geteuid() != 0 ||
	    test.cgroups.v2_fd < 0)
		return 0;
	ops = kill_ops_system;
	ops.pidfd_open = op_open;
	ops.pidfd_send_signal = op_signal;
	ops.group_kill = op_group_kill;
	ops.group_list = op_list;
	log_set_target(LOG_TARGET_NULL);
	snprintf(test.subtree, sizeof(test.subtree), "/reckond-faults-%d", getpid());
	snprintf(test.config, sizeof(test.config), "/tmp/reckond-faults-%d.conf", getpid());
	if (make_group("") < 0) {
		test.subtree[0] = '\0';
		return 0;
	}
	return make_group("/a") | make_group("/b");
}

static int teardown(void **state)
{
	static const char *const groups[] = { "/a", "/b", "" };
	char path[320];

	test.m = manager_free(test.m);
	for (unsigned i = 0; i < test.n_processes; i++) {
		kill(test.processes[i], SIGKILL); /* our children, not yet waited for */
		waitpid(test.processes[i], NULL, 0);
	}
	for (size_t i = 0; test.subtree[0] && i < ARRAY_SIZE(groups); i++) {
		snprintf(path, sizeof(path), "%s%s", test.subtree + 1, groups[i]);
		(void)unlinkat(test.cgroups.v2_fd, path, AT_REMOVEDIR);
	}
	if (test.config[0])
		(void)unlink(test.config);
	cgroup_fs_done(&test.cgroups);
	close(test.proc_fd);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

static void require_subtree(void)
{
	if (test.subtree[0])
		return;
	print_message("SKIP: this needs root and a cgroup2 mount\n");
	skip();
}

/* Old figures are no reason to kill; it is tried again after a second, until they can be read. */
static void test_nothing_is_killed_by_memory_that_cannot_be_read(void **state)
{
	static const int errors[] = { -EIO, -EMFILE, -ENOMEM };
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		enum regime_state before = test.m->regime.state;

		test.sample_error = errors[i];
		test.n_complaints = 0;
		test.m->sampler.due_at = 0;
		assert_int_equal(tick(&test.m->tick, clock_now()), USEC_PER_SEC);
		assert_int_equal(test.n_complaints, 1);
		assert_int_equal(test.m->regime.state, before);
		assert_int_equal(test.m->in_flight.decision.pid, 0);
	}
	test.sample_error = 0;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* It is for policies with pressure conditions; others do without. */
static void test_pressure_that_cannot_be_read_is_none(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	if (!test.m->sampler.has_psi) {
		print_message("SKIP: there is no PSI here\n");
		skip();
	}
	test.psi_error = -EOPNOTSUPP;
	step();
	assert_int_equal(test.m->sampler.psi.n_samples, 0);
	assert_int_equal(test.m->in_flight.decision.pid, victim);
	wait_for_outcome();
}

/* No file can be opened for what is new: kept ones are closed, that is reported, and the kill is
 * based on what is known. */
static void test_a_census_that_is_short_of_files(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start("Action=warn\n");
	for (int i = 0; i < 200 && (test.m->sampler.watch.listed_at == 0 ||
				    test.m->regime.state != REGIME_WATCH);
	     i++)
		(void)tick(&test.m->tick, clock_now());
	assert_false(test.m->sampler.census.keeps_none);
	test.census_error = -EMFILE;
	test.m->config.policies.policies[test.m->config.policies.n_policies - 1].action =
		POLICY_ACTION_KILL;
	test.m->sampler.watch.listed_at = clock_now();
	step();
	assert_true(test.m->sampler.census.keeps_none);
	assert_true(test.n_complaints > 0);
	assert_int_equal(test.m->in_flight.decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* Between the pidfd and the last read of it: no signal, and the next sample finds what is there. */
static void test_a_victim_that_vanishes_before_it_is_confirmed(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start(KILL);
	test.error_pid = large;
	test.cgroup_result = PROC_GONE;
	test.n_cgroup_results = 1;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, large);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.m->regime.state, REGIME_WATCH);
	assert_int_equal(test.m->selection.n_vanished, 1);

	/* The same, by its cgroup in the freezer's hierarchy. */
	test.v1_result = PROC_GONE;
	step();
	assert_int_equal(test.n_signals, 0);
	test.v1_result = 0;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, large);
	wait_for_outcome();
	assert_true(is_killed(large));
	assert_true(is_alive(small));
}

/* What cannot be read is "/" (as in the census), which is not in the subtree. */
static void test_a_victim_of_which_the_cgroup_cannot_be_read(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start(KILL);
	test.error_pid = large;
	test.cgroup_result = -ENOBUFS;
	test.n_cgroup_results = 1000;
	for (int i = 0; i < 20 && test.m->in_flight.decision.pid != small; i++)
		step();
	assert_int_equal(test.m->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	assert_true(is_killed(small));
}

/* Of the freezer's: it is killed, and taken for one that is not frozen. */
static void test_a_victim_of_which_the_freezer_cannot_be_read(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	test.error_pid = victim;
	test.v1_result = -EACCES;
	step();
	assert_string_equal(test.m->in_flight.decision.v1_freezer, "/");
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* A process that shares the victim's memory, and what there is to say of it. */
static void test_sharers_that_cannot_be_had(void **state)
{
	static const struct {
		int open_error, find_error;
		bool is_killed;
		unsigned n_sharers;
		int sharers_error;
	} cases[] = {
		{ 0, 0, true, 1, 0 },
		{ -ESRCH, 0, true, 0, 0 }, /* exited: nothing to kill, nothing to report */
		{ -EMFILE, 0, true, 0, -EMFILE },
		{ -EPERM, 0, false, 0, 0 },
		{ 0, -ETIMEDOUT, true, 1, -ETIMEDOUT },
	};

	require_subtree();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t victim = spawn("/a", 32), sharer = spawn("/a", 4);

		start(KILL);
		test.sharer = test.error_pid = sharer;
		test.open_error = cases[i].open_error;
		test.sharers_error = cases[i].find_error;
		step();
		assert_int_equal(test.m->in_flight.decision.pid, victim);
		assert_int_equal(test.m->in_flight.decision.n_sharers, cases[i].n_sharers);
		assert_int_equal(test.m->in_flight.decision.sharers_error, cases[i].sharers_error);
		wait_for_outcome();
		if (cases[i].is_killed) {
			assert_true(is_killed(victim));
		} else {
			assert_true(is_alive(victim));
			assert_int_equal(test.m->in_flight.decision.spared_pid, sharer);
			assert_int_equal(test.n_signals, 0);
			assert_int_equal(test.m->in_flight.decision.backoff_usec,
					 30 * USEC_PER_SEC);
		}
		test.m = manager_free(test.m);
		test.error_pid = test.sharer = 0;
		while (test.n_processes > 0) {
			pid_t pid = test.processes[--test.n_processes];

			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
}

/* Its members cannot be listed (a cgroup so deep).  Of SIGTERM, none of them gets it: it is
 * skipped, and the next largest does.  Of SIGKILL, those that are known do, and that it was not all
 * is noted. */
static void test_a_cgroup_that_cannot_be_listed(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start("Action=terminate\nTarget=cgroup\n");
	test.list_error = -ELOOP;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, large);
	assert_int_equal(test.m->in_flight.decision.outcome, KILL_PROGRESS_UNKILLABLE);
	assert_int_equal(test.m->in_flight.decision.error, -ELOOP);
	assert_string_equal(newest()->error, strerror(ELOOP));
	assert_int_equal(test.n_signals, 0);
	test.list_error = 0;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	assert_true(is_killed(small));

	test.m = manager_free(test.m);
	start("Action=kill\nTarget=cgroup\n");
	test.list_error = -ELOOP;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, large);
	assert_int_equal(test.m->in_flight.victim.step_result[KILL_STEP_SIGNAL], -ELOOP);
	test.list_error = 0;
	wait_for_outcome();
	assert_true(is_killed(large));
}

/* "/a" with so many levels below it; done: removes them. */
#define LEVELS (CENSUS_DEPTH_MAX + 16)

static void make_levels(char path[static 2 * LEVELS + 3], bool done)
{
	strcpy(path, "/a");
	for (unsigned i = 1; i <= LEVELS; i++) {
		memcpy(path + 2 * i, "/x", 3);
		assert_true(done || make_group(path) == 0);
	}
	for (unsigned i = LEVELS; done && i > 0; i--) {
		char group[320];

		snprintf(group, sizeof(group), "%s%.*s", test.subtree + 1, (int)(2 * i + 2), path);
		assert_int_equal(unlinkat(test.cgroups.v2_fd, group, AT_REMOVEDIR), 0);
	}
}

static void end_processes(void)
{
	test.m = manager_free(test.m);
	while (test.n_processes > 0) {
		pid_t pid = test.processes[--test.n_processes];

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Deeper than the census has levels: it is known, killed alone or with its cgroup, and a rule for a
 * cgroup above it holds. */
static void test_a_victim_that_is_nested_deep(void **state)
{
	static const char *const policies[] = { KILL, "Action=kill\nTarget=cgroup\n", NULL };
	char path[2 * LEVELS + 3], rule[400], expected[640];

	require_subtree();
	make_levels(path, false);
	snprintf(rule, sizeof(rule), KILL "[Protect deep]\nCgroup=%s/a\n", test.subtree);
	snprintf(expected, sizeof(expected), "%s%s", test.subtree, path);
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		pid_t deep = spawn(path, 32), small = spawn("/b", 16);

		start(policies[i] ? policies[i] : rule);
		step();
		assert_int_equal(test.m->in_flight.decision.pid, policies[i] ? deep : small);
		if (policies[i])
			assert_string_equal(test.m->in_flight.decision.cgroup, expected);
		wait_for_outcome();
		assert_true(is_killed(policies[i] ? deep : small));
		assert_true(is_alive(policies[i] ? small : deep));
		end_processes();
	}
	make_levels(path, true);
}

/* The stall of one cgroup at its own limit is not the machine's: no process is killed for it, and
 * that is kept and reported once.  While that is not known, it is waited for. */
static void test_pressure_that_is_a_cgroups_own(void **state)
{
	pid_t victim;
	uint64_t id;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	test.by_pressure = true;
	test.answer = STALLS_UNKNOWN;
	(void)tick(&test.m->tick, clock_now());
	assert_int_equal(history_count(recorder_history(test.m->tick.recorder)), 0);
	test.answer = STALLS_EXPLAINED;
	(void)tick(&test.m->tick, clock_now());
	assert_string_equal(newest()->kind, "explained");
	id = newest()->id;
	(void)tick(&test.m->tick, clock_now());
	assert_int_equal(newest()->id, id);
	assert_int_equal(test.m->in_flight.decision.pid, 0);
	test.answer = STALLS_COUNT;
	step();
	assert_int_equal(test.m->in_flight.decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_killed_by_memory_that_cannot_be_read),
		TEST(test_pressure_that_cannot_be_read_is_none),
		TEST(test_a_census_that_is_short_of_files),
		TEST(test_a_victim_that_vanishes_before_it_is_confirmed),
		TEST(test_a_victim_of_which_the_cgroup_cannot_be_read),
		TEST(test_a_victim_of_which_the_freezer_cannot_be_read),
		TEST(test_sharers_that_cannot_be_had),
		TEST(test_a_cgroup_that_cannot_be_listed),
		TEST(test_a_victim_that_is_nested_deep),
		TEST(test_pressure_that_is_a_cgroups_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
