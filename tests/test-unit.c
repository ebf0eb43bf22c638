/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit and swap-use: which unit is marked as out of memory, and when memory that cannot be swapped
 * is read.  The files below are the test's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kill/unit.h"
#include "daemon/watch/swap-use.h"
#include "lib/kill/unit-mark.h"
#include "lib/snapshot/census-tree.h"
#include "lib/sys/proc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	struct manager *m;

	/* The victim's parent. */
	pid_t ppid;
	const char *parent_cgroup; /* NULL: it cannot be read */

	int mark_result;
	char marked[128]; /* the unit's cgroup; "": none */
	unsigned n_killed, n_cancels;

	bool is_last_resort;
	uint64_t barred;
	unsigned n_asked;
	char asked_of[64];
} test;

int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret);
int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	*ret = (struct proc_stat){ .ppid = test.ppid };
	return test.ppid < 0 ? PROC_GONE : 0;
}

int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size)
{
	assert_int_equal(pid, test.ppid);
	if (!test.parent_cgroup)
		return PROC_GONE;
	strcpy(buf, test.parent_cgroup);
	return 0;
}

int __wrap_unit_mark(struct unit_marker *marker, const char *path, size_t length, usec_t deadline);
int __wrap_unit_mark(struct unit_marker *marker, const char *path, size_t length, usec_t deadline)
{
	assert_int_equal(strlen(path), length);
	strcpy(test.marked, path);
	return test.mark_result;
}

void __wrap_unit_mark_killed(struct unit_marker *marker, unsigned n);
void __wrap_unit_mark_killed(struct unit_marker *marker, unsigned n)
{
	test.n_killed += n;
}

void __wrap_unit_mark_cancel(struct unit_marker *marker);
void __wrap_unit_mark_cancel(struct unit_marker *marker)
{
	test.n_cancels++;
}

bool __wrap_swap_room_is_last_resort(int proc_fd);
bool __wrap_swap_room_is_last_resort(int proc_fd)
{
	test.n_asked++;
	return test.is_last_resort;
}

uint64_t __wrap_swap_room_barred(int v2_fd, const char *path, uint64_t least);
uint64_t __wrap_swap_room_barred(int v2_fd, const char *path, uint64_t least)
{
	strcpy(test.asked_of, path);
	return test.barred;
}

static struct census_process largest;

const struct census_process *__wrap_victim_largest_below(const struct census_node *node);
const struct census_process *__wrap_victim_largest_below(const struct census_node *node)
{
	return largest.pid != 0 ? &largest : NULL;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	test.m = manager_alloc();
	if (!test.m)
		return -1;
	test.m->in_flight->unit_marker = (struct unit_marker *)(void *)&test; /* only handed on */
	test.m->in_flight->decision.pid = 812;
	strcpy(test.m->in_flight->decision.cgroup, "/system.slice/db.service/workers");
	test.ppid = 1;
	test.parent_cgroup = "/init.scope";
	largest = (struct census_process){ 0 };
	return 0;
}

static int teardown(void **state)
{
	free(test.m);
	return 0;
}

#define UNIT "/system.slice/db.service"

static void test_which_kill_terminates_a_unit(void **state)
{
	static const struct {
		const char *cgroup, *group; /* group: killed as a whole */
		pid_t ppid;
		const char *parent;
		const char *marked;
	} cases[] = {
		/* Its main process: the parent is elsewhere. */
		{ UNIT, NULL, 1, "/init.scope", UNIT },
		{ UNIT "/workers", NULL, 1, "/init.scope", UNIT },
		/* A worker of a process of the unit, which continues to run. */
		{ UNIT "/workers", NULL, 700, UNIT, "" },
		{ UNIT, NULL, 700, UNIT "/workers", "" },
		/* The unit with all in it, or a cgroup above; but not a part of it. */
		{ UNIT, UNIT, 700, UNIT, UNIT },
		{ UNIT, "/system.slice", 700, UNIT, UNIT },
		{ UNIT "/workers", UNIT "/workers", 700, UNIT, "" },
		/* Not known. */
		{ UNIT, NULL, -1, NULL, "" },
		{ UNIT, NULL, 0, NULL, "" },
		{ UNIT, NULL, 700, NULL, "" },
		/* No unit. */
		{ "/docker/0123", NULL, 1, "/init.scope", "" },
		{ "/", NULL, 1, "/init.scope", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct decision *d = &test.m->in_flight->decision;

		strcpy(d->cgroup, cases[i].cgroup);
		d->target = cases[i].group ? POLICY_TARGET_CGROUP : POLICY_TARGET_PROCESS;
		strcpy(d->others.group, cases[i].group ? cases[i].group : "");
		test.ppid = cases[i].ppid;
		test.parent_cgroup = cases[i].parent;
		test.marked[0] = '\0';
		unit_before_signal(test.m->in_flight);
		assert_string_equal(test.marked, cases[i].marked);
		assert_int_equal(d->kill.unit_is_marked, cases[i].marked[0] != '\0');
	}
	test.m->in_flight->unit_marker = NULL; /* systemd does not count by cgroup v2 */
	strcpy(test.m->in_flight->decision.cgroup, UNIT);
	test.marked[0] = '\0';
	unit_before_signal(test.m->in_flight);
	assert_string_equal(test.marked, "");
}

static void test_what_becomes_of_a_mark(void **state)
{
	static const struct {
		int mark_result, signal_result;
		unsigned n_signalled; /* of the cgroup; 0: one process */
		bool is_marked;
		unsigned n_killed, n_cancels;
	} cases[] = {
		{ 0, 0, 0, true, 1, 0 },
		{ 0, 0, 5, true, 5, 0 },
		{ -EINPROGRESS, 0, 0, true, 1, 0 }, /* late, but under way */
		{ -EACCES, 0, 0, false, 0, 0 },
		{ 0, -EPERM, 0, false, 0, 1 }, /* not killed: taken back */
		{ -EACCES, -EPERM, 0, false, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.mark_result = cases[i].mark_result;
		test.n_killed = test.n_cancels = 0;
		test.m->in_flight->victim.group.n_signalled = cases[i].n_signalled;
		unit_before_signal(test.m->in_flight);
		unit_after_signal(test.m->in_flight, cases[i].signal_result);
		assert_int_equal(test.m->in_flight->decision.kill.unit_is_marked,
				 cases[i].is_marked);
		assert_int_equal(test.n_killed, cases[i].n_killed);
		assert_int_equal(test.n_cancels, cases[i].n_cancels);
		assert_int_equal(test.m->in_flight->decision.kill.unit_error, cases[i].mark_result);
	}
	unit_cancel(test.m->in_flight); /* nothing is marked */
	assert_int_equal(test.n_cancels, 0);
}

#define NOW (1000 * USEC_PER_SEC)

static void test_what_cannot_be_swapped(void **state)
{
	struct manager *m = test.m;

	m->sampler->domain.reading = (struct memory_reading){
		.total = 8 * GIB, .available = GIB, .swap_total = GIB, .swap_free = GIB
	};
	m->machine->cgroups.v2_has_memory = true;
	m->sampler->domain.unswappable = 7;
	swap_use_sample(m->sampler, NOW);
	assert_int_equal(m->sampler->domain.unswappable, 0); /* no process is known */

	largest.pid = 812;
	test.barred = 3 * GIB;
	swap_use_sample(m->sampler, NOW + 1); /* too soon */
	assert_int_equal(m->sampler->domain.unswappable, 0);
	swap_use_sample(m->sampler, NOW + USEC_PER_SEC);
	assert_int_equal(m->sampler->domain.unswappable, 3 * GIB);
	assert_string_equal(test.asked_of, "/");
	test.barred = 2 * GIB;
	swap_use_sample(m->sampler, NOW + 2 * USEC_PER_SEC - 1);
	assert_int_equal(m->sampler->domain.unswappable, 3 * GIB);
	largest.pid = 813; /* not so soon of another one */
	swap_use_sample(m->sampler, NOW + USEC_PER_SEC + USEC_PER_SEC / 4 - 1);
	assert_int_equal(m->sampler->domain.unswappable, 3 * GIB);
	swap_use_sample(m->sampler, NOW + USEC_PER_SEC + USEC_PER_SEC / 4);
	assert_int_equal(m->sampler->domain.unswappable, 2 * GIB);
	m->machine->cgroups.v2_has_memory = false; /* there are no limits of swap */
	swap_use_sample(m->sampler, NOW + 3 * USEC_PER_SEC);
	assert_int_equal(m->sampler->domain.unswappable, 0);
	test.is_last_resort = true; /* vm.swappiness=0 */
	swap_use_sample(m->sampler, NOW + 4 * USEC_PER_SEC);
	assert_int_equal(m->sampler->domain.unswappable, UINT64_MAX);

	/* Nothing is read while there is much memory, or no swap to use. */
	test.n_asked = 0;
	m->sampler->domain.reading.available = 2 * GIB;
	swap_use_sample(m->sampler, NOW + 4 * USEC_PER_SEC);
	assert_int_equal(m->sampler->domain.unswappable, 0);
	m->sampler->domain.reading.available = GIB;
	m->sampler->domain.reading.swap_free = 0;
	m->sampler->domain.unswappable = 7;
	swap_use_sample(m->sampler, NOW + 5 * USEC_PER_SEC);
	assert_int_equal(m->sampler->domain.unswappable, 0);
	assert_int_equal(test.n_asked, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_which_kill_terminates_a_unit),
		TEST(test_what_becomes_of_a_mark),
		TEST(test_what_cannot_be_swapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
