/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick-faults-fixture: wraps reads of the kernel, so that they fail as the test says. */
#include "tests/tick-faults-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/log/log.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/stalls.h"
#include "lib/base/io.h"
#include "lib/select/sharers.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "tests/real-victim.h"

struct tick_faults_fixture test;

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

void __real_domain_judge(struct domain *domain, const struct policy_set *set,
			 const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret);
void __wrap_domain_judge(struct domain *domain, const struct policy_set *set,
			 const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret);
void __wrap_domain_judge(struct domain *domain, const struct policy_set *set,
			 const struct policy_reading *reading, usec_t now,
			 struct policy_judgement *ret)
{
	__real_domain_judge(domain, set, reading, now, ret);
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

int make_group(const char *relative)
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

pid_t spawn(const char *relative, size_t mib)
{
	pid_t pid = fork_victim(NULL, mib, false);

	test.processes[test.n_processes++] = pid;
	move(pid, relative);
	return pid;
}

bool is_killed(pid_t pid)
{
	for (int i = 0; i < 6000 && is_alive(pid); i++)
		usleep(10000);
	return !is_alive(pid);
}

void start(const char *policy)
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

void step(void)
{
	usec_t decided_at = test.m->in_flight->decision.decided_at;

	test.m->selection->stuck.chosen_at = 0;
	for (int i = 0; i < 200; i++) {
		(void)tick(test.m->tick, clock_now());
		if (test.m->regime->state == REGIME_KILLING ||
		    test.m->in_flight->decision.decided_at != decided_at)
			break;
	}
}

static void tick_once(void)
{
	(void)tick(test.m->tick, clock_now());
}

void wait_for_outcome(void)
{
	tick_until_over(test.m, tick_once);
}

int setup(void **state)
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

int teardown(void **state)
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

void require_subtree(void)
{
	if (test.subtree[0])
		return;
	print_message("SKIP: this needs root and a cgroup2 mount\n");
	skip();
}
