/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on the kernel's own freezers: a victim that is taken out of its frozen group, and one
 * that another daemon takes over.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"
#include "lib/sys/proc.h"
#include "tests/freezer-kernel-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Frozen by the levels from..LEAF: 33 threads are taken out of it, and killed; the others notice
 * nothing. */
static void check_take_out(int from, bool twice)
{
	struct child *victim, *neighbour;
	struct proc_stat stat;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, from, true);
	if (twice)
		freeze(true, LEAF, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_int_equal(proc_read_stat(test.proc_fd, victim->pid, &stat), 0);
	assert_true(stat.n_threads >= N_THREADS);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	usleep(20000);
	assert_false(is_gone(victim)); /* SIGKILL alone has no effect at all */

	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_soon(is_gone(victim));
	assert_int_equal(test.thawed.error, 0);
	assert_true(test.thawed.levels[0].moved);
	assert_true(says_frozen(true, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
	assert_int_equal(freezer_refreeze(&test.thawed), 0); /* nothing was thawed */
	assert_int_equal(n_entries(), 0);
}

static void test_take_out_of_a_group_frozen_from_above(void **state)
{
	check_take_out(TOP, false);
}

static void test_take_out_of_a_group_frozen_twice(void **state)
{
	check_take_out(1, true);
}

/* The nearest one that runs, not the root: what is limited there stays limited. */
static void test_take_out_moves_no_further_than_needed(void **state)
{
	char path[CGROUP_PATH_MAX];
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	freeze(true, 2, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[1]));
	assert_true(is_running(victim, 10000));
	assert_int_equal(n_entries(), 1);
	assert_true(ledger_get(&ledger, 0)->moved);
	assert_string_equal(ledger_get(&ledger, 0)->path, path_of(level_names[LEAF]));

	/* there it is not frozen: nothing more to do; frozen there too, it continues upwards, and
	 * is remembered once */
	assert_int_equal(thaw(NULL, level_names[1]), 0);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[1]));
	assert_int_equal(thaw(NULL, level_names[1]), 1);
	assert_true(is_running(victim, 10000));
	assert_int_equal(test.thawed.n_levels, 1);

	/* and back: frozen with the others */
	assert_int_equal(freezer_move_back(&test.thawed), 1);
	assert_false(is_running(victim, 50));
	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[LEAF]));
}

/* Two that are killed together, from one group: each is moved back on its own. */
static void test_take_out_two(void **state)
{
	struct child *first, *second, *neighbour;

	make_groups(true);
	first = spawn(LIFE_PLAIN);
	second = spawn(LIFE_PLAIN);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(first);
	assert_int_equal(thaw_leaf(true), 1);
	test.thawed.order.pid = second->pid;
	assert_int_equal(thaw_leaf(true), 1);
	assert_true(is_running(first, 10000) && is_running(second, 10000));
	assert_false(is_running(neighbour, 50));
	assert_int_equal(n_entries(), 2);
	assert_int_equal(ledger_get(&ledger, 0)->pid, first->pid);
	assert_int_equal(ledger_get(&ledger, 1)->pid, second->pid);
	assert_int_equal(freezer_move_back(&test.thawed), 2);
	assert_false(is_running(first, 50) || is_running(second, 50));
	assert_int_equal(freezer_refreeze(&test.thawed), 0);
	assert_int_equal(n_entries(), 0);
}

static void test_take_out_runs_the_handler_of_sigterm(void **state)
{
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGTERM), errno);
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_int_equal(byte_within(victim, 10000), 'T');
}

/* As in a container that is frozen from outside: its root is frozen too. */
static void test_take_out_without_a_place(void **state)
{
	struct cgroup_fs inner;
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(victim);
	cgroup_fs_init(&inner, -EBADF,
		       openat(test.fs.v1_freezer_fd, path_of(level_names[1]) + 1,
			      O_PATH | O_DIRECTORY | O_CLOEXEC));
	assert_int_equal(freezer_thaw(&inner, "/", "/c/d", &test.thawed), -EBUSY);
	assert_int_equal(test.thawed.error, -EBUSY);
	assert_int_equal(test.thawed.n_levels, 0);
	assert_int_equal(n_entries(), 0);
	cgroup_fs_done(&inner);
}

/* From the ledger alone, as after a restart; a group made anew under the old name is another. */
static void check_take_over(bool v1)
{
	struct freezer_thawed later;
	struct child *neighbour;

	make_groups(v1);
	neighbour = spawn(LIFE_PLAIN);
	freeze(v1, 1, true);
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){ .pid = 1, .ledger = &ledger };
	assert_int_equal(thaw_leaf(v1), 1);
	assert_true(is_running(neighbour, 10000));
	freezer_thawed_done(&test.thawed); /* it dies here */

	freezer_thawed_init(&later);
	later.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later), 0);
	assert_int_equal(freezer_refreeze(&later), 1);
	assert_int_equal(n_entries(), 0);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
	freezer_thawed_done(&later);

	freeze(v1, 1, false);
	freeze(v1, LEAF, true);
	test.thawed.order = (struct freezer_order){ .pid = 1, .ledger = &ledger };
	assert_int_equal(thaw_leaf(v1), 1);
	put(v1, BESIDE, "cgroup.procs", neighbour->pid);
	freezer_thawed_done(&test.thawed);
	assert_soon(unlinkat(mount_fd(v1), path_of(level_names[LEAF]) + 1, AT_REMOVEDIR) == 0);
	later.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later),
			 FREEZER_NOT_THERE);
	assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[LEAF]) + 1, 0755), errno);
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later),
			 FREEZER_NOT_THERE);
}

static void test_v1_take_over(void **state)
{
	check_take_over(true);
}

static void test_v2_take_over(void **state)
{
	check_take_over(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_out_of_a_group_frozen_from_above),
		TEST(test_take_out_of_a_group_frozen_twice),
		TEST(test_take_out_moves_no_further_than_needed),
		TEST(test_take_out_two),
		TEST(test_take_out_runs_the_handler_of_sigterm),
		TEST(test_take_out_without_a_place),
		TEST(test_v1_take_over),
		TEST(test_v2_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
