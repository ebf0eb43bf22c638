/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on trees of plain files: what the ledger has of what was thawed, and victims that are
 * taken out of their group.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"
#include "tests/freezer-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static struct ledger ledger;

static unsigned n_entries(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(&ledger, i) != NULL;
	return n;
}

static void keep_a_ledger(struct tree *tree)
{
	ledger_init(&ledger, "boot");
	tree->thawed.order = (struct freezer_order){
		.pid = 42,
		.start_ticks = 43,
		.ledger = &ledger,
	};
}

static void assert_entry(const struct tree *tree, unsigned slot, bool v1, const char *path)
{
	const struct ledger_entry *entry = ledger_get(&ledger, slot);
	char file[1024];
	struct stat st;

	assert_non_null(entry);
	assert_string_equal(entry->path, path);
	assert_true(entry->pid == 42 && entry->start_ticks == 43);
	assert_true(entry->v1 == v1 && !entry->moved);
	(void)snprintf(file, sizeof(file), "%s%s", v1 ? "v1" : "v2", path);
	assert_return_code(fstatat(tree->fd, file, &st, 0), errno);
	assert_true(entry->cgroup_id == st.st_ino);
}

static void test_ledger_has_what_is_to_be_frozen_again(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b/c", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/x", "1\n", "FROZEN\n", "1\n");
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", "/x", &tree->thawed), 3);
	assert_int_equal(tree->thawed.ledger_error, 0);
	assert_int_equal(n_entries(), 3);
	assert_entry(tree, 0, false, "/a");
	assert_entry(tree, 1, false, "/a/b/c");
	assert_entry(tree, 2, true, "/x");

	/* frozen by another program and thawed again: recorded once, as before */
	put(tree, "v1/x/freezer.self_freezing", "0\n");
	put(tree, "v2/a/cgroup.freeze", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", "/x", &tree->thawed), 1);
	assert_int_equal(n_entries(), 3);
	assert_int_equal(freezer_refreeze(&tree->thawed), 3);
	assert_int_equal(n_entries(), 0);
}

static void test_ledger_has_only_what_was_thawed(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/gone", NULL, &tree->thawed), 0);
	assert_int_equal(n_entries(), 0);

	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 1);
	assert_int_equal(n_entries(), 1);
	assert_entry(tree, 0, false, "/a");
}

/* A thaw that hangs, in a process that is killed in it (here: a fifo without a reader): what it was
 * about to thaw has been entered before. */
static void test_ledger_knows_before_it_is_thawed(void **state)
{
	struct ledger *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tree *tree = *state;
	int status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	ledger_init(shared, "boot");
	make_v1(tree, "v1/a", "1\n", "", "1\n");
	assert_return_code(unlinkat(tree->fd, "v1/a/freezer.state", 0), errno);
	assert_return_code(mkfifoat(tree->fd, "v1/a/freezer.state", 0600), errno);
	tree->thawed.order = (struct freezer_order){ .pid = 42, .ledger = shared };
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)freezer_thaw(&tree->fs, NULL, "/a", &tree->thawed);
		_exit(0);
	}
	for (int i = 0; i < 10000 && !ledger_get(shared, 0); i++)
		usleep(1000);
	assert_non_null(ledger_get(shared, 0));
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_non_null(ledger_get(shared, 0));
	assert_return_code(munmap(shared, sizeof(*shared)), errno);
}

static void test_ledger_that_is_full_prevents_no_thaw(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	for (int i = 0; i < LEDGER_ENTRIES; i++)
		(void)ledger_enter(&ledger, &(struct ledger_entry){ .pid = 1 }, "/", 1);
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	assert_int_equal(tree->thawed.error, 0);
	assert_int_equal(tree->thawed.ledger_error, -ENOSPC);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_int_equal(n_entries(), LEDGER_ENTRIES); /* none of the others' */
}

static void test_thaw_for_good_is_not_undone(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	tree->thawed.order.for_good = true;
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	assert_int_equal(tree->thawed.n_levels, 1);
	assert_int_equal(n_entries(), 0);
	assert_int_equal(freezer_refreeze(&tree->thawed), 0);
	assert_text(tree, "v2/a/cgroup.freeze", "0");
}

/* Only a process that was taken out is ever written anywhere. */
static void test_victim_only_writes_cgroup_procs(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	put(tree, "v1/cgroup.procs", "");
	make_v1(tree, "v1/a", "0\n", "THAWED\n", "");
	make_v1(tree, "v1/a/b", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/a/b/c", "0\n", "FROZEN\n", "");
	keep_a_ledger(tree);
	tree->thawed.order.victim_only = true;
	assert_int_equal(freezer_thaw(&tree->fs, "/a", "/a/b/c", &tree->thawed), 1);
	assert_text(tree, "v1/a/cgroup.procs", "42");
	assert_text(tree, "v1/cgroup.procs", "");
	assert_text(tree, "v1/a/b/freezer.state", "FROZEN");
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_int_equal(n_entries(), 1);
	assert_true(ledger_get(&ledger, 0)->moved);
	assert_string_equal(ledger_get(&ledger, 0)->path, "/a/b/c");

	assert_int_equal(freezer_move_back(&tree->thawed), 1);
	assert_text(tree, "v1/a/b/c/cgroup.procs", "42");
	assert_int_equal(freezer_refreeze(&tree->thawed), 0);
	assert_text(tree, "v1/a/b/c/freezer.state", "FROZEN");
	assert_int_equal(n_entries(), 0);
}

static void test_victim_only_when_it_may_not_be_moved(void **state)
{
	struct tree *tree = *state;

	put(tree, "v1/cgroup.procs", "");
	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "");
	assert_return_code(fchmodat(tree->fd, "v1/cgroup.procs", 0444, 0), errno);
	keep_a_ledger(tree);
	tree->thawed.order.victim_only = true;
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/a", &tree->thawed), -EACCES);
	assert_int_equal(tree->thawed.error, -EACCES);
	assert_int_equal(tree->thawed.n_levels, 0);
	assert_int_equal(n_entries(), 0);
}

static void test_take_over_knows_the_very_cgroup(void **state)
{
	struct tree *tree = *state;
	struct ledger_entry entry;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	entry = *ledger_get(&ledger, 0);
	freezer_thawed_done(&tree->thawed);
	assert_int_equal(n_entries(), 1); /* still owed */

	tree->thawed.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), 0);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_int_equal(n_entries(), 0);

	entry.cgroup_id++;
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), FREEZER_NOT_THERE);
	strcpy(entry.path, "/gone/too");
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), FREEZER_NOT_THERE);
	strcpy(entry.path, "/../v2/a");
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), -EINVAL);
	assert_int_equal(tree->thawed.n_levels, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ledger_has_what_is_to_be_frozen_again),
		TEST(test_ledger_has_only_what_was_thawed),
		TEST(test_ledger_knows_before_it_is_thawed),
		TEST(test_ledger_that_is_full_prevents_no_thaw),
		TEST(test_thaw_for_good_is_not_undone),
		TEST(test_victim_only_writes_cgroup_procs),
		TEST(test_victim_only_when_it_may_not_be_moved),
		TEST(test_take_over_knows_the_very_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
