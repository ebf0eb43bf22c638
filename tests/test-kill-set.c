/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-set: which are killed with a victim, and what that frees, of a census made by hand. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "lib/kill/kill.h"
#include "lib/select/kill-set.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Larger than any pid can be (PID_MAX_LIMIT): /proc has none of them. */
#define VICTIM (1 << 23)

static struct {
	struct policy_set policies;
	struct census census;
	struct victim_request request;
	struct victim_result choice;
	struct proc_memory memory;
	struct kill_set set;
	unsigned n_wanted; /* of those that are found; 0: all */
	pid_t found[8];
	unsigned n_found;
} test;

static struct census_process *add(pid_t pid, uint64_t bytes, const char *cgroup)
{
	struct census_process *process = census_add(&test.census, pid, 1);

	assert_non_null(process);
	process->ppid = pid == VICTIM ? 1 : VICTIM;
	process->session = VICTIM;
	process->n_threads = 1;
	process->state = 'S';
	process->code_pages = 7;
	process->uid = 1000;
	strcpy(process->comm, "server");
	assert_int_equal(census_attach(&test.census, process, cgroup), 0);
	census_set_memory(&test.census, process, &(struct proc_memory){ .anon = bytes }, GIB, 1);
	return process;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	assert_int_equal(policy_set_init_defaults(&test.policies), 0);
	if (census_init(&test.census, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL,
			&exact_accuracy, &test.policies) < 0)
		return -1;
	test.memory = (struct proc_memory){ .anon = 512 * MIB };
	test.request.self = 1;
	test.set = (struct kill_set){
		.census = &test.census,
		.request = &test.request,
		.choice = &test.choice,
		.victim = add(VICTIM, 512 * MIB, "/a/b"),
		.memory = &test.memory,
		.group = "",
		.n_reads = KILL_TOGETHER_MAX,
	};
	return 0;
}

static int teardown(void **state)
{
	close(test.census.proc_fd);
	census_done(&test.census);
	policy_set_done(&test.policies);
	return 0;
}

static bool find(const struct census_process *process, void *userdata)
{
	assert_true(test.n_found < ARRAY_SIZE(test.found));
	test.found[test.n_found++] = process->pid - VICTIM;
	return test.n_found != test.n_wanted;
}

static bool found(pid_t pid)
{
	for (unsigned i = 0; i < test.n_found; i++)
		if (test.found[i] == pid)
			return true;
	return false;
}

/* Of its 512 MiB the victim shares 400 with its relatives, copy on write. */
static void share(void)
{
	test.set.is_unit = true;
	test.set.alone = 112 * MIB;
	test.memory =
		(struct proc_memory){ .anon = 512 * MIB, .kept = 200 * MIB, .is_measured = true };
}

static void test_members_of_the_group(void **state)
{
	static const struct {
		const char *group;
		unsigned n;
	} rows[] = { { "", 0 }, { "/a/b", 2 }, { "/a", 3 }, { "/elsewhere", 0 }, { "/ab", 0 } };

	add(VICTIM + 1, MIB, "/a/b");
	add(VICTIM + 2, MIB, "/a/c");
	add(VICTIM + 3, MIB, "/a/c");
	census_adjust(&test.census, VICTIM + 3, -1000);
	add(VICTIM + 4, 0, "/a/c")->state = 'Z';
	add(VICTIM + 5, MIB, "/ab");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct census_process *process;
		unsigned n = 0;

		test.set.group = rows[i].group;
		test.n_found = 0;
		kill_set_members(&test.set, find, NULL);
		assert_int_equal(test.n_found, rows[i].n);
		/* (Asked of one, it need not be the victim's.) */
		census_for_each(&test.census, process)
			n += kill_set_has_member(&test.set, process);
		assert_int_equal(n, rows[i].n + (strcmp(rows[i].group, "/ab") == 0));
	}
	test.set.group = "/a";
	test.n_found = 0;
	test.n_wanted = 2;
	kill_set_members(&test.set, find, NULL);
	assert_int_equal(test.n_found, 2);
}

static void test_siblings(void **state)
{
	static const struct {
		enum victim_as_one as_one;
		const char *group;
		bool is_replaced;
		unsigned n_wanted, n;
		pid_t first;
	} rows[] = {
		{ VICTIM_ALONE, "", true, 0, 0, 0 },
		{ VICTIM_AS_CGROUP, "/a/b", true, 0, 0, 0 },
		{ VICTIM_AS_SIBLINGS, "/a/b", true, 0, 0, 0 },
		{ VICTIM_AS_SIBLINGS, "", true, 0, 3, 9 }, /* what would start them again */
		{ VICTIM_AS_SIBLINGS, "", true, 1, 1, 9 },
		{ VICTIM_AS_SIBLINGS, "", true, 2, 2, 9 },
		{ VICTIM_AS_SIBLINGS, "", false, 0, 3, 0 }, /* it has their name and session */
		{ VICTIM_WITH_STARTER, "", false, 0, 1, 9 },
		{ VICTIM_WITH_STARTER, "/a/b", false, 0, 0, 0 },
	};

	add(VICTIM + 9, MIB, "/a/b")->ppid = 1;
	census_find(&test.census, VICTIM)->ppid = VICTIM + 9;
	for (pid_t i = 1; i <= 4; i++)
		add(VICTIM + i, MIB, "/a/b")->ppid = VICTIM + 9;
	strcpy(census_find(&test.census, VICTIM + 3)->comm, "other");
	census_adjust(&test.census, VICTIM + 4, -1000);
	test.choice.starter_pid = VICTIM + 9;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test.set.as_one = rows[i].as_one;
		test.set.group = rows[i].group;
		test.choice.is_replaced = rows[i].is_replaced;
		test.n_wanted = rows[i].n_wanted;
		test.n_found = 0;
		kill_set_siblings(&test.set, find, NULL);
		assert_int_equal(test.n_found, rows[i].n);
		if (rows[i].first > 0)
			assert_int_equal(test.found[0], rows[i].first);
	}
}

static void test_relatives(void **state)
{
	add(VICTIM + 1, 450 * MIB, "/c");
	add(VICTIM + 2, 8 * MIB, "/c"); /* has little of it */
	add(VICTIM + 3, 450 * MIB, "/c")->code_pages = 8;
	add(VICTIM + 4, 450 * MIB, "/c");
	kill_set_relatives(&test.set, find, NULL);
	assert_int_equal(test.n_found, 0); /* it shares nothing */
	share();
	kill_set_relatives(&test.set, find, NULL);
	assert_int_equal(test.n_found, 2);
	assert_true(found(1) && found(4));
	test.n_found = 0;
	test.n_wanted = 1;
	kill_set_relatives(&test.set, find, NULL);
	assert_int_equal(test.n_found, 1);
	/* It keeps what all of them have, however little it has by an old reading. */
	census_adjust(&test.census, VICTIM + 2, -1000);
	test.n_found = test.n_wanted = 0;
	kill_set_relatives(&test.set, find, NULL);
	assert_int_equal(test.n_found, 0);
}

static void test_what_is_freed(void **state)
{
	static const struct {
		bool is_unit, are_all;
		uint64_t kept, frees; /* MiB */
	} rows[] = {
		{ false, false, 0, 512 }, { false, true, 200, 312 }, { true, false, 200, 112 },
		{ true, true, 200, 562 }, /* with 50 of the relatives' own */
		{ true, true, 0, 512 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proc_memory frees;

		share();
		test.set.is_unit = rows[i].is_unit;
		test.memory.kept = rows[i].kept * MIB;
		frees = kill_set_frees(&test.set, rows[i].are_all, 50 * MIB);
		assert_int_equal(proc_reclaimable(&frees), rows[i].frees * MIB);
	}
}

/* What is shared counts where it is known whether it is freed. */
static void test_what_another_frees(void **state)
{
	struct proc_memory all = { .anon = 1 },
			   other = { .anon = 10, .swap = 20, .shmem = 40, .pagetables = 80 };

	kill_set_add(&all, &other);
	assert_int_equal(proc_reclaimable(&all), 111);
	other.is_measured = true;
	other.kept = 30;
	kill_set_add(&all, &other);
	assert_int_equal(proc_reclaimable(&all), 111 + 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_members_of_the_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_siblings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relatives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_another_frees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
