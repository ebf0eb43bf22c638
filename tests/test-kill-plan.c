/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan: which processes are killed with a victim, of a census made by hand.  Which may be
 * killed, and what opening a process results in, is the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kill-plan.h"
#include "daemon/manager.h"
#include "lib/select/sharers.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define VICTIM 100
#define CODE   7
#define START  1000

static struct accuracy accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";

static struct {
	struct manager *m;
	struct policy policy;
	usec_t now;
	usec_t open_takes; /* each */
	pid_t may_not;	   /* be killed */
	enum eligibility odd_why;
	pid_t odd; /* is excluded for that */
	pid_t fails;
	int failure;	  /* of opening it */
	unsigned n_opens; /* of others */
	unsigned n_sharers;
	size_t group_length;
	int group_result;
	int own_cgroup_result;
	char state; /* of all processes, by /proc */
	bool group_is_gone;
	uint64_t footprints[8]; /* by pid from VICTIM on; UINT64_MAX: gone */
} test;

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	return test.now;
}

bool __wrap_confirm_may_kill(const struct manager *m, pid_t pid, const char *within);
bool __wrap_confirm_may_kill(const struct manager *m, pid_t pid, const char *within)
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

static struct census_process *add(pid_t pid, uint64_t bytes, const char *cgroup)
{
	struct census_process *process = census_add(&test.m->sampler.census, pid, START);

	assert_non_null(process);
	process->ppid = pid == VICTIM ? 1 : VICTIM;
	process->session = VICTIM;
	process->n_threads = 1;
	process->code_pages = CODE;
	strcpy(process->comm, "server");
	assert_int_equal(census_attach(&test.m->sampler.census, process, cgroup), 0);
	census_set_memory(&test.m->sampler.census, process, &(struct proc_memory){ .anon = bytes },
			  GIB, 1);
	return process;
}

static int setup(void **state)
{
	struct decision *d;
	struct manager *m;

	memset(&test, 0, sizeof(test));
	m = test.m = malloc(sizeof(*m));
	if (!m)
		return -1;
	manager_init(m);
	m->config.policies.subtree = everything;
	m->machine.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (census_init(&m->sampler.census, m->machine.proc_fd, NULL, &accuracy,
			&m->config.policies) < 0)
		return -1;
	kill_victim_init(&m->in_flight.victim);
	m->in_flight.victim.pid = VICTIM;
	m->in_flight.victim.start_ticks = START;
	test.policy.target = POLICY_TARGET_PROCESS;
	d = &m->in_flight.decision;
	d->pid = VICTIM;
	d->start_ticks = START;
	d->n_processes = 1;
	d->memory = (struct proc_memory){ .anon = 512 * MIB };
	strcpy(d->cgroup, "/a/b");
	add(VICTIM, 512 * MIB, "/a/b");
	return 0;
}

static int teardown(void **state)
{
	census_done(&test.m->sampler.census);
	close(test.m->machine.proc_fd);
	free(test.m);
	return 0;
}

static enum report_event gather(void)
{
	return kill_plan_gather(&test.m->in_flight, &test.policy);
}

/* Of its 512 MiB the victim shares 400 with its relatives, copy on write. */
static void share_with_relatives(void)
{
	struct decision *d = &test.m->in_flight.decision;

	d->is_unit = true;
	d->alone = 112 * MIB;
	d->memory =
		(struct proc_memory){ .anon = 512 * MIB, .kept = 200 * MIB, .is_measured = true };
}

static void test_a_victim_that_is_another_by_now(void **state)
{
	test.m->in_flight.decision.start_ticks = START + 1;
	assert_int_equal(gather(), REPORT_VANISHED);
	test.m->in_flight.decision.pid = 4242;
	assert_int_equal(gather(), REPORT_VANISHED);
}

static void test_sharers_are_opened_or_reported(void **state)
{
	static const struct {
		int failure;
		enum report_event event;
		unsigned n_sharers, n_left;
		int error;
		pid_t spared;
	} cases[] = {
		{ 0, REPORT_NOTHING, 2, 0, 0, 0 },
		{ KILL_GONE, REPORT_NOTHING, 1, 0, 0, 0 },
		{ -ENOSPC, REPORT_NOTHING, 1, 1, 0, 0 },
		{ -EMFILE, REPORT_NOTHING, 1, 0, -EMFILE, 0 },
		{ -EPERM, REPORT_SPARED, 1, 0, 0, VICTIM + 1 },
	};
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 4 * MIB, "/a/b");
	add(VICTIM + 2, 4 * MIB, "/a/b");
	test.n_sharers = 2;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.fails = cases[i].failure == 0 ? 0 : VICTIM + 1;
		test.failure = cases[i].failure;
		d->n_sharers = d->n_sharers_left = 0;
		d->sharers_error = d->spared_pid = 0;
		test.m->in_flight.victim.n_others = 0;
		assert_int_equal(gather(), cases[i].event);
		assert_int_equal(d->n_sharers, cases[i].n_sharers);
		assert_int_equal(d->n_sharers_left, cases[i].n_left);
		assert_int_equal(d->sharers_error, cases[i].error);
		assert_int_equal(d->spared_pid, cases[i].spared);
	}
	/* The first that is spared is named; what it is called is kept. */
	d->spared_pid = 0;
	test.may_not = VICTIM + 2;
	assert_int_equal(gather(), REPORT_SPARED);
	assert_int_equal(d->spared_pid, VICTIM + 1);
	assert_string_equal(d->spared_comm, "server");
}

/* All that have it are killed: what they have in common is freed, and what each has alone. */
static void test_a_family_is_killed_together(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 450 * MIB, "/a/b")->memory.is_measured = true;
	census_find(&test.m->sampler.census, VICTIM + 1)->alone = 50 * MIB;
	add(VICTIM + 2, 420 * MIB, "/c");
	add(VICTIM + 3, 8 * MIB, "/c"); /* has little of it */
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 2);
	assert_true(test.m->in_flight.victim.is_family);
	assert_int_equal(d->memory.kept, 0);
	assert_int_equal(d->memory.anon, (512 + 50) * MIB);
}

/* One keeps what is common: the others are killed for what is theirs, or not at all. */
static void test_a_family_of_which_one_is_not_killed(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	add(VICTIM + 2, 450 * MIB, "/c");
	share_with_relatives();
	test.fails = VICTIM + 1;
	test.failure = -EMFILE;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 1);
	assert_int_equal(d->memory.kept, 400 * MIB);
	assert_int_equal(d->memory.anon, 512 * MIB);

	/* Gone meanwhile: nothing is kept by it. */
	share_with_relatives();
	d->n_relatives = 0;
	test.m->in_flight.victim.n_others = 0;
	test.failure = KILL_GONE;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 1);
	assert_int_equal(d->memory.kept, 0);

	/* As it is now it may not be killed. */
	share_with_relatives();
	d->n_relatives = 0;
	test.m->in_flight.victim.n_others = 0;
	test.fails = 0;
	test.may_not = VICTIM + 2;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 1);
	assert_int_equal(d->memory.kept, 400 * MIB);

	/* Protected: to kill its relatives would be in vain. */
	share_with_relatives();
	d->n_relatives = 0;
	test.m->in_flight.victim.n_others = 0;
	test.m->in_flight.victim.is_family = false;
	test.may_not = 0;
	test.odd = VICTIM + 2;
	test.odd_why = ELIGIBILITY_PROTECTED;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 0);
	assert_false(test.m->in_flight.victim.is_family);
	assert_int_equal(d->memory.kept, 400 * MIB);
}

static void test_no_family_where_little_is_shared(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	for (unsigned i = 0; i < 2; i++) {
		share_with_relatives();
		d->is_unit = i != 0;
		d->memory.kept = i == 1 ? 0 : d->memory.kept;
		assert_int_equal(gather(), REPORT_NOTHING);
		assert_int_equal(d->n_relatives, 0);
		assert_int_equal(test.n_opens, 0);
	}
}

/* What is shared was not measured: all that may have it die (share-bound.h). */
static void test_a_family_whose_share_is_assumed(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	add(VICTIM + 2, 8 * MIB, "/c");
	d->is_unit = true;
	d->alone = 0;
	d->memory = (struct proc_memory){ .anon = 512 * MIB, .kept = 256 * MIB };
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, 1);
	assert_int_equal(d->memory.kept, 0);
	assert_int_equal(d->memory.anon, 512 * MIB);
}

/* If one is left, nothing is freed: on a slow machine, too, all are killed at once. */
static void test_sharers_are_killed_in_one_round(void **state)
{
	struct decision *d = &test.m->in_flight.decision;
	unsigned n = 150;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 512 * MIB, "/a/b");
	test.n_sharers = n;
	test.open_takes = USEC_PER_MSEC;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_sharers, n);
	assert_int_equal(d->n_sharers_left, 0);
	assert_int_equal(d->rest.n, n - KILL_OTHERS_MAX);
	/* Not if one of them is protected, which the census knows. */
	d->n_sharers = d->rest.n = test.m->in_flight.victim.n_others = 0;
	test.odd = VICTIM + 120;
	test.odd_why = ELIGIBILITY_PROTECTED;
	assert_int_equal(gather(), REPORT_SPARED);
	assert_int_equal(d->spared_pid, VICTIM + 120);
}

/* More than there are places for: the rest is without pidfds, and examined for a while only. */
static void test_a_family_that_is_large(void **state)
{
	struct decision *d = &test.m->in_flight.decision;
	unsigned n = KILL_OTHERS_MAX + 20;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 450 * MIB, "/a/b");
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, n);
	assert_int_equal(test.m->in_flight.victim.n_others, KILL_OTHERS_MAX);
	assert_int_equal(d->rest.n, 20);
	assert_int_equal(d->memory.kept, 0);

	share_with_relatives();
	d->n_relatives = d->rest.n = test.m->in_flight.victim.n_others = 0;
	test.open_takes = USEC_PER_MSEC;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, KILL_OTHERS_MAX);
	assert_int_equal(d->rest.n, 0);
	assert_int_equal(d->memory.kept, 400 * MIB); /* not all that have it are killed */
}

static void test_a_cgroup_is_killed_as_a_whole(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 30 * MIB, "/a/b/c");
	add(VICTIM + 2, 60 * MIB, "/a/b");
	add(VICTIM + 3, 90 * MIB, "/a");
	add(VICTIM + 4, 10 * MIB, "/a/b");
	d->target = test.policy.target = POLICY_TARGET_CGROUP;
	test.group_length = strlen("/a/b");
	test.odd = VICTIM + 4;
	test.odd_why = ELIGIBILITY_PROTECTED; /* is counted out */
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_string_equal(d->group, "/a/b");
	assert_int_equal(d->n_processes, 3);
	assert_false(d->is_flagged);
	assert_int_equal(test.m->in_flight.victim.n_others, 2); /* the largest first */
	assert_int_equal(test.m->in_flight.victim.others[0].pid, VICTIM + 2);
	assert_int_equal(test.m->in_flight.victim.others[1].pid, VICTIM + 1);
	assert_int_equal(d->memory.anon, 512 * MIB); /* it was the cgroup's */
}

/* By memory.oom.group, though one process was chosen: what the others have is added. */
static void test_a_flagged_cgroup(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 30 * MIB, "/a/b/c");
	test.group_length = strlen("/a/b");
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_true(d->is_flagged);
	assert_int_equal(d->target, POLICY_TARGET_CGROUP);
	assert_int_equal(d->memory.anon, 542 * MIB);
}

static void test_a_cgroup_that_cannot_be_killed_as_a_whole(void **state)
{
	static const struct {
		size_t length;
		int open_result;
		enum report_event event;
		int error;
	} cases[] = {
		{ 0, 0, REPORT_CANNOT_OPEN, -EPERM }, /* the daemon is in it */
		{ 4, -EMFILE, REPORT_CANNOT_OPEN, -EMFILE },
		{ 4, KILL_GONE, REPORT_VANISHED, KILL_GONE },
	};
	struct decision *d = &test.m->in_flight.decision;

	test.policy.target = POLICY_TARGET_CGROUP;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		d->target = POLICY_TARGET_CGROUP;
		test.group_length = cases[i].length;
		test.group_result = cases[i].open_result;
		assert_int_equal(gather(), cases[i].event);
		assert_int_equal(d->error, cases[i].error);
		assert_int_equal(test.n_opens, 0);
	}
	/* One process was chosen, and there is no such cgroup: that process alone. */
	d->target = test.policy.target = POLICY_TARGET_PROCESS;
	test.group_length = 0;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->target, POLICY_TARGET_PROCESS);
}

/* After repeated kills: the parent first, if it is the same program; none that may not be. */
static void test_siblings_after_repeated_kills(void **state)
{
	struct decision *d = &test.m->in_flight.decision;
	struct census_process *victim = census_find(&test.m->sampler.census, VICTIM);

	victim->ppid = 99;
	add(99, 8 * MIB, "/a/b")->ppid = 1;
	for (pid_t pid = VICTIM + 1; pid <= VICTIM + 4; pid++)
		add(pid, 16 * MIB, "/a/b")->ppid = 99;
	strcpy(census_find(&test.m->sampler.census, VICTIM + 4)->comm, "other");
	d->as_one = VICTIM_AS_SIBLINGS;
	test.m->selection.choice.is_replaced = true;
	test.odd = VICTIM + 1;
	test.odd_why = ELIGIBILITY_SKIPPED;
	test.may_not = VICTIM + 2;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_siblings, 2);
	assert_int_equal(d->n_processes, 3);
	assert_int_equal(test.m->in_flight.victim.others[0].pid, 99);
	assert_int_equal(test.m->in_flight.victim.others[1].pid, VICTIM + 3);
	assert_int_equal(d->memory.anon, (512 + 8 + 16) * MIB);
}

/* It starts them again each time: with them, though it is another program. */
static void test_siblings_with_what_starts_them(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct census_process *victim = census_find(&test.m->sampler.census, VICTIM),
				      *parent;

		victim->ppid = 99;
		parent = add(99, 8 * MIB, "/a/b");
		parent->ppid = 1;
		parent->code_pages = CODE + 1;
		strcpy(parent->comm, "maker");
		for (pid_t pid = VICTIM + 1; pid <= VICTIM + 4; pid++)
			add(pid, 16 * MIB, "/a/b")->ppid = 99;
		victim->session = parent->session = 98;
		test.m->in_flight.decision.as_one = VICTIM_AS_SIBLINGS;
		test.m->selection.choice.is_undone = i;
		assert_int_equal(gather(), REPORT_NOTHING);
		assert_int_equal(test.m->in_flight.decision.n_siblings, 4 + i);
		if (i == 1)
			assert_int_equal(test.m->in_flight.victim.others[0].pid, 99);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* Of those that share one memory the largest reading counts, others add up; one that has exited
 * counts for nothing while another is there. */
static void test_the_footprint_of_all(void **state)
{
	static const struct {
		uint64_t mib[4]; /* the victim, a sharer, two others; UINT64_MAX: gone */
		uint64_t sum;
	} cases[] = {
		{ { 100, 90, 10, 5 }, 115 },
		{ { 90, 100, 10, 5 }, 115 },
		{ { UINT64_MAX, 90, 10, 5 }, 105 },
		{ { 100, UINT64_MAX, 10, 5 }, 115 },
		{ { UINT64_MAX, UINT64_MAX, 10, 5 }, 15 },
		{ { UINT64_MAX, UINT64_MAX, UINT64_MAX, 5 }, 5 },
	};
	struct kill_victim *victim = &test.m->in_flight.victim;

	for (unsigned i = 0; i < 3; i++)
		victim->others[i] = (struct kill_other){ VICTIM + 1 + (pid_t)i, START, -EBADF };
	victim->n_others = 3;
	test.m->in_flight.decision.n_sharers = 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned j = 0; j < 4; j++)
			test.footprints[j] =
				cases[i].mib[j] == UINT64_MAX ? UINT64_MAX : cases[i].mib[j] * MIB;
		assert_int_equal(kill_plan_footprint(&test.m->in_flight), cases[i].sum * MIB);
	}
	for (unsigned j = 0; j < 4; j++)
		test.footprints[j] = UINT64_MAX;
	assert_int_equal(kill_plan_footprint(&test.m->in_flight), UINT64_MAX); /* not known */
	test.footprints[0] = 0;
	victim->start_ticks = START + 1; /* another by that pid */
	assert_int_equal(kill_plan_footprint(&test.m->in_flight), UINT64_MAX);
}

/* There is no place for it at all: it keeps what is common. */
static void test_a_family_beyond_all_places(void **state)
{
	struct decision *d = &test.m->in_flight.decision;
	unsigned n = KILL_TOGETHER_MAX + 1;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 450 * MIB, "/a/b");
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_relatives, KILL_TOGETHER_MAX);
	assert_int_equal(d->memory.kept, 400 * MIB);
}

/* Where the daemon itself is, is not known: then no cgroup is killed as a whole. */
static void test_no_cgroup_is_killed_where_the_own_one_is_not_known(void **state)
{
	test.own_cgroup_result = -EACCES;
	test.group_length = strlen("/a/b");
	test.policy.target = test.m->in_flight.decision.target = POLICY_TARGET_CGROUP;
	assert_int_equal(gather(), REPORT_CANNOT_OPEN);
	assert_int_equal(test.m->in_flight.decision.error, -EPERM);
}

/* The victim was moved since the census: the cgroup's members are not known, and not guessed. */
static void test_a_cgroup_that_the_census_does_not_know(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 30 * MIB, "/a/b");
	strcpy(d->cgroup, "/c/d");
	test.group_length = strlen("/c/d");
	d->target = test.policy.target = POLICY_TARGET_CGROUP;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_string_equal(d->group, "/c/d");
	assert_int_equal(test.m->in_flight.victim.n_others, 0);
	assert_int_equal(d->n_processes, 1);
}

/* After repeated kills in it: one process was chosen, and all are killed; zombies do not count. */
static void test_a_cgroup_as_one(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	add(VICTIM + 1, 30 * MIB, "/a/b");
	add(VICTIM + 2, 0, "/a/b");
	d->target = POLICY_TARGET_CGROUP;
	d->as_one = VICTIM_AS_CGROUP;
	test.group_length = strlen("/a/b");
	test.odd = VICTIM + 2;
	test.odd_why = ELIGIBILITY_NO_MEMORY;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->n_processes, 2);
	assert_int_equal(d->memory.anon, 542 * MIB);
}

/* As many as there are places for. */
static void test_siblings_beyond_all_places(void **state)
{
	census_find(&test.m->sampler.census, VICTIM)->ppid = 99;
	for (unsigned i = 1; i <= KILL_OTHERS_MAX + 5; i++)
		add(VICTIM + (pid_t)i, 16 * MIB, "/a/b")->ppid = 99;
	test.m->in_flight.decision.as_one = VICTIM_AS_SIBLINGS;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(test.m->in_flight.decision.n_siblings, KILL_OTHERS_MAX);
}

/* The victim, those that no pidfd is kept of, and the cgroup: all of them. */
static void test_all_have_to_be_gone(void **state)
{
	static const struct {
		bool victim, group;
		uint64_t rest; /* its start as it is now */
		char state;
		bool is_gone;
	} cases[] = {
		{ true, true, UINT64_MAX, 0, true }, /* vanished */
		{ false, true, UINT64_MAX, 0, false }, { true, false, UINT64_MAX, 0, false },
		{ true, true, START, 'S', false },     { true, true, START, 'Z', true },
		{ true, true, START + 1, 'S', true }, /* another by that pid */
	};
	struct decision *d = &test.m->in_flight.decision;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		d->rest.n = d->n_rest_gone = 0;
		assert_true(kill_rest_add(&d->rest, VICTIM + 5,
					  cases[i].rest == START + 1 ? START + 1 : START));
		test.footprints[5] = cases[i].rest == UINT64_MAX ? UINT64_MAX : 0;
		test.state = cases[i].state;
		test.m->in_flight.victim.pid = cases[i].victim ? 0 : VICTIM;
		test.group_is_gone = cases[i].group;
		assert_int_equal(kill_plan_is_gone(&test.m->in_flight), cases[i].is_gone);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_victim_that_is_another_by_now),
		TEST(test_sharers_are_opened_or_reported),
		TEST(test_a_family_is_killed_together),
		TEST(test_a_family_of_which_one_is_not_killed),
		TEST(test_no_family_where_little_is_shared),
		TEST(test_a_family_that_is_large),
		TEST(test_a_family_whose_share_is_assumed),
		TEST(test_sharers_are_killed_in_one_round),
		TEST(test_a_cgroup_is_killed_as_a_whole),
		TEST(test_a_flagged_cgroup),
		TEST(test_a_cgroup_that_cannot_be_killed_as_a_whole),
		TEST(test_siblings_after_repeated_kills),
		TEST(test_siblings_with_what_starts_them),
		TEST(test_the_footprint_of_all),
		TEST(test_a_family_beyond_all_places),
		TEST(test_no_cgroup_is_killed_where_the_own_one_is_not_known),
		TEST(test_a_cgroup_that_the_census_does_not_know),
		TEST(test_a_cgroup_as_one),
		TEST(test_siblings_beyond_all_places),
		TEST(test_all_have_to_be_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
