/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census: sweeps over a /proc of our own making, which changes between them. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"
#include "tests/census-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_sweep_reads_attributes_and_memory(void **state)
{
	struct world *world = *state;
	const struct census_process *p;

	put_process(world, &browser);
	p = sweep_and_find(world, USEC_PER_SEC, 5000, true, 300);
	assert_non_null(p);
	assert_string_equal(p->comm, "browser");
	assert_int_equal(p->start_ticks, 77);
	assert_int_equal(p->uid, 1000);
	assert_int_equal(p->oom_score_adj, 100);
	assert_string_equal(census_cgroup_path(p), "/user.slice/a.scope");
	assert_int_equal(p->memory.anon, 600 * PAGE);
	assert_int_equal(p->memory.shared, 400 * PAGE);
	assert_int_equal(p->memory.swap, 8192);
	assert_int_equal(proc_reclaimable(&p->memory), 600 * PAGE + 8192);
	assert_int_equal(p->read_at_allocated, 5000);
	assert_true(census_is_in_subtree(&world->census, p));
	assert_null(p->protected_by);
	assert_true(p->weight == 1);
}

static void test_locked_files_count(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct row row = browser;

	row.locked_kib = 4 * 900; /* its 600 anonymous pages may be locked, too */
	put_process(world, &row);
	p = sweep_and_find(world, USEC_PER_SEC, 5000, true, 300);
	assert_int_equal(p->memory.shmem, 400 * PAGE);
	assert_int_equal(proc_reclaimable(&p->memory), 1000 * PAGE + 8192);
	/* statm does not tell: what was read holds */
	census_set_resident(&world->census, census_find(&world->census, 300), 650 * PAGE,
			    400 * PAGE, 6000, 2 * USEC_PER_SEC);
	assert_int_equal(p->memory.shmem, 400 * PAGE);
}

/* Of what was measured before a fork nothing holds. */
static void test_a_share_is_that_before_a_fork(void **state)
{
	struct world *world = *state;
	const struct proc_memory measured = { .anon = 600 * PAGE, .is_measured = true };
	struct row child = browser;
	struct census_process *p;

	put_process(world, &browser);
	(void)sweep_and_find(world, USEC_PER_SEC, 5000, false, 300);
	p = census_find(&world->census, 300);
	assert_non_null(p);
	census_set_memory(&world->census, p, &measured, 5000, USEC_PER_SEC);
	assert_true(census_share_is_current(&world->census, p, USEC_PER_SEC));
	child.pid = 301;
	child.ppid = 7;
	put_process(world, &child);
	(void)sweep_and_find(world, USEC_PER_SEC, 5000, false, 301);
	census_set_memory(&world->census, p, &measured, 5000, USEC_PER_SEC);
	assert_true(census_share_is_current(&world->census, p, USEC_PER_SEC)); /* not its child */
	child.pid = 302;
	child.ppid = 300;
	put_process(world, &child);
	(void)sweep_and_find(world, USEC_PER_SEC, 5000, false, 302);
	assert_false(census_share_is_current(&world->census, p, USEC_PER_SEC));
	census_set_memory(&world->census, p, &measured, 5000, USEC_PER_SEC);
	assert_true(census_share_is_current(&world->census, p, USEC_PER_SEC));
}

static void test_sweep_knows_kernel_threads_zombies_and_hostile_names(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	row.pid = 2, row.comm = "kworker/u512:0-events_unbound", row.flags = 0x200000;
	row.resident = row.shared = 0, row.cgroup = "/";
	put_process(world, &row);
	row = browser, row.pid = 301, row.comm = ") R 1 (";
	put_process(world, &row);
	row = browser, row.pid = 302, row.state = 'Z', row.resident = row.shared = 0;
	put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	assert_int_equal(world->census.n_processes, 3);
	assert_true(census_find(&world->census, 2)->kthread);
	assert_string_equal(census_find(&world->census, 301)->comm, ") R 1 (");
	assert_int_equal(census_find(&world->census, 301)->state, 'S');
	assert_int_equal(census_find(&world->census, 302)->memory.anon, 0);
	assert_null(census_find(&world->census, 1));
	assert_null(census_find(&world->census, 303));
}

static void test_sweep_drops_what_has_exited_and_zombies(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	char path[128];

	put_process(world, &browser);
	row.pid = 301;
	put_process(world, &row);
	assert_non_null(sweep_and_find(world, 1, 1, false, 301));
	remove_process(world, 300);
	snprintf(path, sizeof(path), "%s/301/status", world->path);
	assert_int_equal(unlink(path), 0); /* vanished between two reads */
	assert_null(sweep_and_find(world, 2, 2, false, 300));
	assert_null(census_find(&world->census, 301));
	assert_int_equal(world->census.n_processes, 0);
}

static void test_sweep_never_takes_a_reused_pid_for_the_same(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct row row = browser;

	put_process(world, &browser);
	assert_non_null(sweep_and_find(world, 1, 1, false, 300));
	row.start = 78, row.uid = 7, row.cgroup = "/b"; /* the same name, even */
	put_process(world, &row);
	p = sweep_and_find(world, 2, 2, false, 300);
	assert_int_equal(p->start_ticks, 78);
	assert_int_equal(p->uid, 7);
	assert_string_equal(census_cgroup_path(p), "/b");
	assert_int_equal(p->earlier_footprint, 600 * PAGE + 8192);
}

static void test_sweep_reads_attributes_again_after_an_exec(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct row row = browser;

	put_process(world, &browser);
	p = sweep_and_find(world, 1, 1, false, 300);
	assert_null(p->protected_by);
	row.comm = "sshd", row.uid = 0;
	put_process(world, &row);
	p = sweep_and_find(world, 2, 2, false, 300);
	assert_string_equal(p->comm, "sshd");
	assert_int_equal(p->uid, 0);
	assert_non_null(p->protected_by); /* of root's by that name */
}

static void run_file(const struct world *world, int pid, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d", world->path, pid);
	(void)mkdir(path, 0755);
	strcat(path, "/exe");
	(void)unlink(path);
	if (file)
		assert_int_equal(symlink(file, path), 0);
}

/* An exec of another file by the same name: where a rule needs the file, it is read again whenever
 * a process is compared. */
static void test_compare_reads_the_executable_again(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct row row = browser;
	struct stat sh;

	if (stat("/bin/sh", &sh) < 0 || sh.st_uid != 0) {
		print_message("SKIP: /bin/sh is not root's here\n");
		skip();
	}
	row.cgroup = "/user.slice/user-1000.slice/user@1000.service/session.slice/x.service";
	put_process(world, &row);
	run_file(world, 1, "/bin/sh");
	for (unsigned i = 1; i < 5; i++) {
		run_file(world, 300, i % 2 ? NULL : "/bin/sh");
		p = sweep_and_find(world, i, i, false, 300);
		assert_true(p->asks_executable);
		assert_int_equal(!p->protected_by, i % 2);
	}
	/* Reluctant is not refused: it is ranked by its size. */
	assert_int_equal(world->census.n_candidates, 1);
	assert_true(p->node.weight_max >= 1);
	assert_true(p->weight > 0.24F && p->weight < 0.26F);

	row.cgroup = "/user.slice/a.scope";
	put_process(world, &row);
	p = sweep_and_find(world, 5, 5, false, 300);
	assert_false(p->asks_executable);
	assert_null(p->protected_by);
}

static void test_sweep_counts_reluctant_ones_as_candidates(void **state)
{
	static const struct {
		int adj;
		bool candidate;
		float weight_max;
	} rows[] = {
		{ -1000, false, 0 },  { -999, true, 1 }, { -901, true, 1 },
		{ -900, true, 0.1F }, { 1000, true, 2 },
	};
	struct world *world = *state;
	struct row row = browser;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct census_process *p;

		row.adj = rows[i].adj;
		put_process(world, &row);
		p = sweep_and_find(world, 1 + i, 1, false, 300);
		assert_int_equal(world->census.n_candidates, rows[i].candidate);
		assert_true(p->node.weight_max > rows[i].weight_max - 0.01F &&
			    p->node.weight_max < rows[i].weight_max + 0.01F);
	}
}

/* What stands before proc_read_status_fd(): the next reads of memory fail like this. */
static int read_fails;
int __real_proc_read_status_fd(int fd, struct proc_status *ret);
int __wrap_proc_read_status_fd(int fd, struct proc_status *ret);
int __wrap_proc_read_status_fd(int fd, struct proc_status *ret)
{
	return read_fails != 0 ? read_fails : __real_proc_read_status_fd(fd, ret);
}

static void forget_all(struct world *world)
{
	struct census_process *process;

	census_for_each(&world->census, process)
		census_drop(&world->census, process);
}

/* Of a process that could not be read yet nothing is known: it may be the largest. */
static void test_a_transient_error_in_the_first_sweep_is_no_verdict(void **state)
{
	static const int errors[] = { -EMFILE, -ENFILE, -ENOMEM, -EINTR, -EAGAIN };
	struct world *world = *state;
	const struct census_process *p;

	put_process(world, &browser);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		forget_all(world);
		read_fails = errors[i];
		p = sweep_and_find(world, 1, GIB, true, 300);
		assert_non_null(p);
		assert_int_equal(p->error, 0);
		assert_int_equal(world->census.n_unreadable, 0);
		assert_int_equal(world->census.n_candidates, 1);
		assert_true(census_interval(&world->census, p, GIB, 1).hi >= GIB);
		p = sweep_and_find(world, 2, GIB, true, 300);
		read_fails = 0;
		p = sweep_and_find(world, 3, GIB, true, 300);
		assert_int_equal(p->memory.anon, 600 * PAGE);
		assert_int_equal(p->earlier_footprint, 600 * PAGE + 8192); /* it has not grown */
		/* And what was read stands. */
		read_fails = errors[i];
		p = sweep_and_find(world, 4, 2 * GIB, true, 300);
		p = sweep_and_find(world, 5, 2 * GIB, true, 300);
		read_fails = 0;
		assert_int_equal(p->memory.anon, 600 * PAGE);
		assert_int_equal(p->read_at_allocated, GIB);
	}
	read_fails = -EACCES;
	p = sweep_and_find(world, 6, GIB, true, 300);
	read_fails = 0;
	assert_int_equal(p->error, -EACCES);
	assert_int_equal(world->census.n_candidates, 0);
}

static void test_sweep_notices_a_move_in_the_end(void **state)
{
	struct world *world = *state;
	const struct census_process *p = NULL;
	struct row row = browser;

	put_process(world, &browser);
	assert_non_null(sweep_and_find(world, 1, 1, false, 300));
	row.cgroup = "/moved";
	put_process(world, &row);
	for (unsigned i = 0; i < 16; i++)
		p = sweep_and_find(world, 2 + i, 2, false, 300);
	assert_string_equal(census_cgroup_path(p), "/moved");
}

static void test_sweep_marks_the_subtree(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	free(world->policies.subtree);
	world->policies.subtree = strdup("/user.slice");
	put_process(world, &browser);
	row.pid = 301, row.cgroup = "/user.slice2/a";
	put_process(world, &row);
	assert_true(census_is_in_subtree(&world->census, sweep_and_find(world, 1, 1, false, 300)));
	assert_false(census_is_in_subtree(&world->census, census_find(&world->census, 301)));
	assert_int_equal(world->census.n_candidates, 1);
}

/* Nested as deep as a path can be: it hangs on the cgroup at the deepest level that is kept, is a
 * candidate, and rules and the subtree hold for it. */
static void test_sweep_cuts_what_is_nested_deep(void **state)
{
	static const unsigned depths[] = { 1, CENSUS_DEPTH_MAX, CENSUS_DEPTH_MAX + 1, 2046 };
	struct world *world = *state;
	struct policy_set other;
	struct rule *rule;

	assert_int_equal(policy_set_init_defaults(&other), 0);
	rule = policy_set_rule(&other, RULE_PROTECT, "deep");
	rule->cgroup = strdup("/p");
	free(other.subtree);
	other.subtree = strdup("/p");
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		unsigned kept = (unsigned)min_u64(depths[i], CENSUS_DEPTH_MAX);
		char path[CGROUP_PATH_MAX] = "/p";
		const struct census_process *p;
		struct row row = browser;

		for (unsigned depth = 1; depth < depths[i]; depth++)
			memcpy(path + 2 * depth, "/x", 3);
		row.cgroup = path;
		put_process(world, &row);
		census_set_policies(&world->census, &world->policies);
		p = sweep_and_find(world, 1, 1, false, 300);
		assert_int_equal(strlen(census_cgroup_path(p)), 2 * kept);
		assert_memory_equal(census_cgroup_path(p), path, 2 * kept);
		/* the machine, the levels, the process */
		assert_int_equal(world->census.n_nodes, 1 + kept + 1);
		assert_int_equal(world->census.n_candidates, 1);

		census_set_policies(&world->census, &other);
		p = sweep_and_find(world, 2, 2, false, 300);
		assert_ptr_equal(p->protected_by, rule);
		assert_true(census_is_in_subtree(&world->census, p));
		assert_int_equal(world->census.n_nodes, 1 + kept + 1);
		census_set_policies(&world->census, &world->policies);
		assert_null(census_find(&world->census, 300));
	}
	policy_set_done(&other);
}

/* A process's cgroup, its cgroups' sums and the subtree on each kind of hierarchy. */
static void test_sweep_on_every_hierarchy(void **state)
{
	static const struct {
		enum cgroup_layout layout;
		const char *membership, *path, *parent;
	} cases[] = {
		{ CGROUP_LAYOUT_V2, "0::/two/x\n", "/two/x", "/two" },
		{ CGROUP_LAYOUT_HYBRID, "9:freezer:/one\n1:name=systemd:/sd\n0::/two/x\n", "/two/x",
		  "/two" },
		{ CGROUP_LAYOUT_V1, "9:cpu,cpuacct:/c\n8:freezer:/one/y\n1:name=systemd:/sd\n",
		  "/one/y", "/one" },
		{ CGROUP_LAYOUT_NONE, "", "/", NULL },
	};
	struct world *world = *state;

	put_process(world, &browser);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum cgroup_layout layout = cases[i].layout;
		bool v2 = layout == CGROUP_LAYOUT_V2 || layout == CGROUP_LAYOUT_HYBRID;
		bool v1 = layout == CGROUP_LAYOUT_V1 || layout == CGROUP_LAYOUT_HYBRID;
		const struct census_cgroup *cgroup;
		const struct census_process *p;
		struct cgroup_fs fs;
		struct census census;

		cgroup_fs_init(&fs, v2 ? dup(world->proc_fd) : -EBADF,
			       v1 ? dup(world->proc_fd) : -EBADF);
		assert_int_equal(fs.layout, layout);
		free(world->policies.subtree);
		world->policies.subtree = strdup(cases[i].parent ? cases[i].parent : "/");
		put(world, 300, "cgroup", "%s", cases[i].membership);
		assert_int_equal(census_init(&census, world->proc_fd, &fs, &exact_accuracy,
					     &world->policies),
				 0);
		assert_int_equal(census_sweep(&census, 1, 1, true), 0);
		p = census_find(&census, 300);
		assert_non_null(p);
		assert_string_equal(census_cgroup_path(p), cases[i].path);
		assert_true(census_is_in_subtree(&census, p));
		cgroup = census_cgroup_of(p);
		assert_string_equal(cgroup->path, cases[i].path);
		assert_int_equal(tally_sum(&p->above->tally, TALLY_ANON), 600 * PAGE + 8192);
		if (cases[i].parent) {
			const struct census_node *above = census_above(cgroup);

			assert_int_equal(above->kind, CENSUS_CGROUP);
			cgroup = (const struct census_cgroup *)above;
			assert_string_equal(cgroup->path, cases[i].parent);
			assert_int_equal(tally_sum(&cgroup->branch.tally, TALLY_ANON),
					 600 * PAGE + 8192);
		}
		census_done(&census);
		cgroup_fs_done(&fs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_sweep_reads_attributes_and_memory),
		on_world(test_locked_files_count),
		on_world(test_a_share_is_that_before_a_fork),
		on_world(test_sweep_knows_kernel_threads_zombies_and_hostile_names),
		on_world(test_sweep_drops_what_has_exited_and_zombies),
		on_world(test_sweep_never_takes_a_reused_pid_for_the_same),
		on_world(test_sweep_reads_attributes_again_after_an_exec),
		on_world(test_compare_reads_the_executable_again),
		on_world(test_sweep_counts_reluctant_ones_as_candidates),
		on_world(test_a_transient_error_in_the_first_sweep_is_no_verdict),
		on_world(test_sweep_notices_a_move_in_the_end),
		on_world(test_sweep_marks_the_subtree),
		on_world(test_sweep_cuts_what_is_nested_deep),
		on_world(test_sweep_on_every_hierarchy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
