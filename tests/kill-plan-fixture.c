/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-plan-fixture: makes a census, and wraps what may be killed and what can be opened. */
#include "tests/kill-plan-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kill/kill-plan.h"
#include "lib/select/sharers.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static char everything[] = "/";

struct kill_plan_fixture test;

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	return test.now;
}

bool __wrap_confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within);
bool __wrap_confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within)
{
	return pid != test.may_not;
}

enum eligibility __wrap_victim_exclusion(const struct census *census,
					 const struct census_process *process,
					 const struct victim_request *request);
enum eligibility __wrap_victim_exclusion(const struct census *census,
					 const struct census_process *process,
					 const struct victim_request *request)
{
	return process->pid == test.odd ? test.odd_why : ELIGIBILITY_ELIGIBLE;
}

int __wrap_kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
			   struct kill_victim *victim);
int __wrap_kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
			   struct kill_victim *victim)
{
	test.n_opens++;
	test.now += test.open_takes;
	if (pid == test.fails)
		return test.failure;
	if (victim->n_others == KILL_OTHERS_MAX)
		return -ENOSPC;
	victim->others[victim->n_others++] =
		(struct kill_other){ .pid = pid, .start_ticks = start_ticks, .pidfd = -EBADF };
	return 0;
}

void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret);
void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret)
{
	*ret = (struct sharers){ 0 };
	for (unsigned i = 0; i < test.n_sharers; i++)
		ret->items[ret->n++] = census_find(census, VICTIM + 1 + (pid_t)i);
}

size_t __wrap_kill_group_find_whole(const struct cgroup_fs *fs, const char *path,
				    const char *subtree, const char *own_path);
size_t __wrap_kill_group_find_whole(const struct cgroup_fs *fs, const char *path,
				    const char *subtree, const char *own_path)
{
	return test.group_length;
}

size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path);
size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path)
{
	return test.group_length;
}

int __wrap_kill_group_open(const struct cgroup_fs *fs, const char *path, struct kill_group *group);
int __wrap_kill_group_open(const struct cgroup_fs *fs, const char *path, struct kill_group *group)
{
	return test.group_result;
}

int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size)
{
	strcpy(buf, "/reckond");
	return test.own_cgroup_result;
}

int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret);
int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	*ret = (struct proc_stat){ .pid = pid, .start_ticks = START, .n_threads = 1 };
	ret->state = test.state ? test.state : 'S';
	return test.footprints[pid - VICTIM] == UINT64_MAX ? PROC_GONE : 0;
}

int __wrap_proc_read_memory(int proc_fd, const struct proc_stat *stat, bool with_swap,
			    uint64_t page_size, struct proc_memory *ret);
int __wrap_proc_read_memory(int proc_fd, const struct proc_stat *stat, bool with_swap,
			    uint64_t page_size, struct proc_memory *ret)
{
	*ret = (struct proc_memory){ .anon = test.footprints[stat->pid - VICTIM] };
	return 0;
}

bool __wrap_kill_group_is_gone(const struct kill_ops *ops, int proc_fd,
			       const struct kill_target *target, const struct kill_group *group);
bool __wrap_kill_group_is_gone(const struct kill_ops *ops, int proc_fd,
			       const struct kill_target *target, const struct kill_group *group)
{
	return test.group_is_gone;
}

bool __wrap_kill_is_gone(const struct kill_victim *victim);
bool __wrap_kill_is_gone(const struct kill_victim *victim)
{
	return victim->pid == 0;
}

struct census_process *add(pid_t pid, uint64_t bytes, const char *cgroup)
{
	struct census_process *process = census_add(&test.m->sampler->census, pid, START);

	assert_non_null(process);
	process->ppid = pid == VICTIM ? 1 : VICTIM;
	process->session = VICTIM;
	process->n_threads = 1;
	process->code_pages = CODE;
	strcpy(process->comm, "server");
	assert_int_equal(census_attach(&test.m->sampler->census, process, cgroup), 0);
	census_set_memory(&test.m->sampler->census, process, &(struct proc_memory){ .anon = bytes },
			  GIB, 1);
	return process;
}

int setup(void **state)
{
	struct decision *d;
	struct manager *m;

	memset(&test, 0, sizeof(test));
	m = test.m = manager_alloc();
	if (!m)
		return -1;
	m->config->policies.subtree = everything;
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (census_init(&m->sampler->census, m->machine->proc_fd, NULL, &exact_accuracy,
			&m->config->policies) < 0)
		return -1;
	kill_victim_init(&m->in_flight->victim);
	m->in_flight->victim.pid = VICTIM;
	m->in_flight->victim.start_ticks = START;
	test.policy.target = POLICY_TARGET_PROCESS;
	d = &m->in_flight->decision;
	d->pid = VICTIM;
	d->start_ticks = START;
	d->others.n_processes = 1;
	d->memory = (struct proc_memory){ .anon = 512 * MIB };
	strcpy(d->cgroup, "/a/b");
	add(VICTIM, 512 * MIB, "/a/b");
	return 0;
}

int teardown(void **state)
{
	census_done(&test.m->sampler->census);
	close(test.m->machine->proc_fd);
	free(test.m);
	return 0;
}

enum report_event gather(void)
{
	return kill_plan_gather(test.m->in_flight, &test.policy);
}
