/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: sweeps over a /proc of our own making, which changes between them, and over the
 * machine's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096ULL

static struct accuracy accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = PAGE,
};

struct world {
	char path[64];
	int proc_fd;
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct census census;
};

struct row {
	int pid;
	const char *comm;
	char state;
	unsigned flags;
	unsigned n_threads;
	unsigned long long start;
	unsigned long resident, shared; /* pages */
	unsigned long swap_kib;
	unsigned uid;
	const char *cgroup;
	int adj;
	unsigned long locked_kib;
	int ppid; /* 0: 1 */
};

__attribute__((format(printf, 4, 5))) static void put(const struct world *world, int pid,
						      const char *file, const char *format, ...)
{
	char path[256];
	va_list ap;
	FILE *f;

	if (pid)
		snprintf(path, sizeof(path), "%s/%d/%s", world->path, pid, file);
	else
		snprintf(path, sizeof(path), "%s/%s", world->path, file);
	f = fopen(path, "we");
	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fclose(f);
}

static void put_process(const struct world *world, const struct row *row)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d", world->path, row->pid);
	mkdir(path, 0755);
	put(world, row->pid, "stat",
	    "%d (%s) %c %d 1 1 0 -1 %u 1 0 0 0 1 1 0 0 20 0 %u 0 %llu 1000000 %lu 1 1 1 1 1 1 0 0 0 0 "
	    "0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
	    row->pid, row->comm, row->state, row->ppid ? row->ppid : 1, row->flags, row->n_threads,
	    row->start, row->resident);
	put(world, row->pid, "statm", "%lu %lu %lu 1 0 1 0\n", row->resident + 100, row->resident,
	    row->shared);
	put(world, row->pid, "status",
	    "Name:\t%s\nState:\t%c\nPid:\t%d\nPPid:\t1\nUid:\t%u\t%u\t%u\t%u\n"
	    "VmSize:\t%8lu kB\nVmLck:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t       0 kB\n"
	    "VmExe:\t       4 kB\nVmPTE:\t       0 kB\nVmSwap:\t%8lu kB\nThreads:\t%u\n",
	    row->comm, row->state, row->pid, row->uid, row->uid, row->uid, row->uid,
	    4 * (row->resident + 100), row->locked_kib, 4 * (row->resident - row->shared),
	    4 * row->shared, row->swap_kib, row->n_threads);
	put(world, row->pid, "cgroup", "0::%s\n", row->cgroup);
	put(world, row->pid, "oom_score_adj", "%d\n", row->adj);
}

static void remove_process(const struct world *world, int pid)
{
	static const char *const files[] = { "stat",   "statm",		"status",
					     "cgroup", "oom_score_adj", "" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%d/%s", world->path, pid, files[i]);
		assert_int_equal(remove(path), 0);
	}
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;

	/* (Hundreds of small files, rewritten again and again: on a disk that takes half a minute.)
	 */
	strcpy(world->path, "/dev/shm/test-census.XXXXXX");
	if (!mkdtemp(world->path)) {
		strcpy(world->path, "/tmp/test-census.XXXXXX");
		assert_non_null(mkdtemp(world->path));
	}
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Any directory does for a v2 mount: only that there is one counts here. */
	cgroup_fs_init(&world->cgroups, dup(world->proc_fd), -EBADF);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	put(world, 0, "loadavg", "0.00 0.01 0.00 1/123 500\n");
	assert_int_equal(census_init(&world->census, world->proc_fd, &world->cgroups, &accuracy,
				     &world->policies),
			 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char command[128];

	census_done(&world->census);
	policy_set_done(&world->policies);
	cgroup_fs_done(&world->cgroups);
	close(world->proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

static const struct row browser = { .pid = 300,
				    .comm = "browser",
				    .state = 'S',
				    .n_threads = 1,
				    .start = 77,
				    .resident = 1000,
				    .shared = 400,
				    .swap_kib = 8,
				    .uid = 1000,
				    .cgroup = "/user.slice/a.scope",
				    .adj = 100 };

static const struct census_process *sweep_and_find(struct world *world, usec_t now,
						   uint64_t allocated, bool with_swap, pid_t pid)
{
	assert_int_equal(census_sweep(&world->census, now, allocated, with_swap), 0);
	return census_find(&world->census, pid);
}

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
		assert_int_equal(
			census_init(&census, world->proc_fd, &fs, &accuracy, &world->policies), 0);
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

static void test_set_policies_applies_new_rules(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct policy_set other;
	struct rule *rule;

	put_process(world, &browser);
	assert_null(sweep_and_find(world, 1, 1, false, 300)->protected_by);
	assert_int_equal(policy_set_init_defaults(&other), 0);
	rule = policy_set_rule(&other, RULE_PROTECT, "browsers");
	assert_int_equal(rule_set_comm(rule, "^browser$", NULL, 0), 0);
	census_set_policies(&world->census, &other);
	assert_int_equal(census_find(&world->census, 300)->compared_at,
			 0); /* its memory is known */
	assert_int_equal(census_find(&world->census, 300)->memory.anon, 600 * PAGE);
	p = sweep_and_find(world, 2, 2, false, 300);
	assert_string_equal(p->protected_by->name, "browsers");
	assert_int_not_equal(p->compared_at, 0);
	census_set_policies(&world->census, &world->policies);
	assert_null(census_find(&world->census, 300)); /* none with a rule of old */
	policy_set_done(&other);
}

static void test_sweep_remembers_growth(void **state)
{
	struct world *world = *state;
	const struct census_process *p = NULL;
	struct row row = browser;

	for (unsigned second = 1; second <= 20; second++) {
		row.resident = 1000 + second * 10;
		put_process(world, &row);
		p = sweep_and_find(world, second * USEC_PER_SEC, 1, false, 300);
		assert_true(proc_reclaimable(&p->memory) >= p->earlier_footprint);
	}
	/* One to two periods of 5 s, at 10 pages a second. */
	assert_in_range(proc_reclaimable(&p->memory) - p->earlier_footprint, 50 * PAGE, 100 * PAGE);
}

static void test_sweep_grows_with_the_machine(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	int r;

	for (int i = 0; i < 1200; i++) {
		row.pid = 1000 + i;
		put_process(world, &row);
	}
	assert_non_null(sweep_and_find(world, 1, 1, false, 2199));
	assert_int_equal(world->census.n_processes, 1200);
	/* The next one needs nothing new; nor do a few that start in an emergency. */
	for (int i = 0; i < 10; i++) {
		row.pid = 5000 + i;
		put_process(world, &row);
	}
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	r = census_sweep(&world->census, 2, 1, false);
	fail_malloc = false;
	assert_int_equal(r, 0);
	assert_non_null(census_find(&world->census, 5009));
	assert_int_equal(n_mallocs, 0);
}

static void test_interval_ages(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct interval interval;

	put_process(world, &browser);
	p = sweep_and_find(world, 1, 10 * MIB, false, 300);
	interval = census_interval(&world->census, p, 10 * MIB, 0);
	assert_int_equal(interval.lo, 0); /* all may be shared: that was not measured */
	assert_int_equal(interval.hi, 600 * PAGE + 8192);
	interval = census_interval(&world->census, p, 30 * MIB, 0);
	assert_int_equal(interval.lo, 0); /* it may have shrunk */
	assert_int_equal(interval.hi, 600 * PAGE + 8192 + 20 * MIB);
}

static void last_pid(const struct world *world, int pid)
{
	put(world, 0, "loadavg", "0.00 0.01 0.00 1/123 %d\n", pid);
}

static void find_new(struct world *world)
{
	int r = census_find_new(&world->census, 3 * USEC_PER_SEC, 777);

	if (r > 0)
		r = census_list(&world->census, 3 * USEC_PER_SEC, 777, false, NULL, 0) > 0 ? 0 : -1;
	assert_int_equal(r, 0);
}

static void test_find_new_by_the_pids_assigned_since(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	/* Not assigned since, as far as is known: not searched for. */
	row.pid = 400;
	put_process(world, &row);
	find_new(world);
	assert_null(census_find(&world->census, 400));

	row.pid = 510;
	put_process(world, &row);
	last_pid(world, 520);
	find_new(world);
	assert_non_null(census_find(&world->census, 510));
	assert_int_equal(census_find(&world->census, 510)->read_at_allocated, 777);
	assert_null(census_find(&world->census, 400));
	assert_int_equal(world->census.n_processes, 2);
}

/* The last pid of lxcfs -l is the host's: it may be far beyond those here, and stand still. */
static void test_find_new_does_not_trust_a_loadavg_that_is_mounted_over(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	assert_int_equal(mkdirat(world->proc_fd, "self", 0755), 0);
	put(world, 0, "self/mountinfo",
	    "2 1 0:61 /proc/loadavg /proc/loadavg rw,nosuid - fuse.lxcfs lxcfs rw\n");
	last_pid(world, 812345);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.pid = 400;
	put_process(world, &row);
	find_new(world);
	assert_non_null(census_find(&world->census, 400));
	row.pid = 401;
	put_process(world, &row);
	last_pid(world, 812346);
	find_new(world);
	assert_non_null(census_find(&world->census, 401));
	row.start = 999; /* any number may be given out again meanwhile */
	put_process(world, &row);
	find_new(world);
	assert_int_equal(census_find(&world->census, 401)->start_ticks, 999);
}

static void test_find_new_tells_threads_from_processes(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.pid = 501;
	put_process(world, &row);
	put(world, 501, "status", "Name:\tx\nTgid:\t300\nPid:\t501\nUid:\t1\t1\t1\t1\n");
	last_pid(world, 501);
	find_new(world);
	assert_null(census_find(&world->census, 501));
}

/* A number is given out before its process can be seen. */
static void test_find_new_reads_twice(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	last_pid(world, 501);
	find_new(world);
	assert_null(census_find(&world->census, 501));
	row.pid = 501;
	put_process(world, &row);
	find_new(world); /* no new pid since */
	assert_non_null(census_find(&world->census, 501));
}

static void test_find_new_knows_a_reused_pid(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 299);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.start = 999, row.uid = 5;
	put_process(world, &row);
	last_pid(world, 300);
	find_new(world);
	assert_int_equal(census_find(&world->census, 300)->start_ticks, 999);
	assert_int_equal(census_find(&world->census, 300)->uid, 5);
}

static void test_find_new_lists_all_when_many_came_or_pids_wrapped(void **state)
{
	static const struct {
		int before, after;
	} cases[] = { { 500, 5000 }, { 30000, 310 } };
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct row row = browser;

		put_process(world, &browser);
		last_pid(world, cases[i].before);
		assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
		row.pid = 306;
		put_process(world, &row);
		remove_process(world, 300); /* a listing shows what has exited, too */
		last_pid(world, cases[i].after);
		find_new(world);
		assert_non_null(census_find(&world->census, 306));
		assert_null(census_find(&world->census, 300));
		remove_process(world, 306);
	}
}

static usec_t fake_clock_now;

static usec_t fake_clock(void)
{
	return fake_clock_now += 10;
}

/* Largest first, as far as the time allows; then on from there. */
static void test_refresh_in_slices_largest_first(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	unsigned n_slices = 1;
	int r;

	row.shared = 0;
	for (int i = 0; i < 64; i++) {
		row.pid = 1000 + i, row.resident = (unsigned long)(i + 1) * 100;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 100, false), 0);
	for (int i = 0; i < 64; i++) {
		row.pid = 1000 + i, row.resident = (unsigned long)(i + 1) * 100 + 7;
		put_process(world, &row);
	}
	fake_clock_now = 0;
	r = census_refresh(&world->census, 2, 200, false, fake_clock, 40);
	assert_int_equal(r, 0);
	assert_true(census_round_is_under_way(&world->census));
	/* The largest is new, the smallest old. */
	assert_int_equal(census_find(&world->census, 1063)->memory.anon, 6407 * PAGE);
	assert_int_equal(census_find(&world->census, 1063)->read_at_allocated, 200);
	assert_int_equal(census_find(&world->census, 1000)->memory.anon, 100 * PAGE);
	assert_int_equal(world->census.oldest_allocated, 100);
	for (; r == 0; n_slices++) {
		fake_clock_now = 0;
		r = census_refresh(&world->census, 2, 200 + n_slices, false, fake_clock, 40);
	}
	assert_int_equal(r, 1);
	assert_true(n_slices > 3);
	assert_int_equal(census_find(&world->census, 1000)->memory.anon, 107 * PAGE);
	assert_int_equal(world->census.oldest_allocated, 200); /* when the round began */
	assert_int_equal(world->census.largest, 6407 * PAGE + 8192);
}

static void test_refresh_drops_what_has_exited(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (int i = 0; i < 8; i++) {
		row.pid = 1000 + i;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	remove_process(world, 1003);
	/* And one vanishes while the round has it still before it. */
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 2, false, fake_clock, 10), 0);
	remove_process(world, 1006);
	census_read_anew(&world->census, 1006, 2, 2);
	assert_null(census_find(&world->census, 1006));
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_null(census_find(&world->census, 1003));
	assert_int_equal(world->census.n_processes, 6);
	assert_int_equal(world->census.n_candidates, 6);
}

static void test_release_fds_closes_what_is_kept_open(void **state)
{
	struct world *world = *state;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_true(census_find(&world->census, 300)->kept_fd >= 0);
	census_release_fds(&world->census);
	assert_true(census_find(&world->census, 300)->kept_fd < 0);
}

/* After a rest much may have changed: the first round compares all processes. */
static void test_refresh_after_a_rest_compares_all(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.cgroup = "/moved", row.adj = 7;
	put_process(world, &row);
	census_release_fds(&world->census);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_string_equal(census_cgroup_path(census_find(&world->census, 300)), "/moved");
	assert_int_equal(census_find(&world->census, 300)->oom_score_adj, 7);
}

static void test_unreadable_are_counted_once(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	put_process(world, &browser);
	put(world, 300, "status", "secret\n");
	row.pid = 301;
	put_process(world, &row);
	put(world, 301, "stat", "secret\n");
	for (usec_t i = 1; i <= 3; i++) {
		assert_int_equal(census_sweep(&world->census, i, i, false), 0);
		assert_int_equal(world->census.n_unreadable, 2);
		assert_int_equal(census_refresh(&world->census, i, i, false, NULL, 0), 1);
		assert_int_equal(world->census.n_unreadable, 2);
		assert_int_equal(census_catch_up(&world->census, i, i, false, NULL, 0), 1);
		assert_int_equal(world->census.n_unreadable, 2);
	}
	put_process(world, &browser);
	remove_process(world, 301);
	assert_int_equal(census_sweep(&world->census, 5, 5, false), 0);
	assert_int_equal(world->census.n_unreadable, 0);
	put(world, 300, "statm", "secret\n");
	assert_int_equal(census_sweep(&world->census, 6, 6, false), 0);
	remove_process(world, 300);
	assert_int_equal(census_refresh(&world->census, 7, 7, false, NULL, 0), 1);
	assert_int_equal(world->census.n_unreadable, 0);
}

static usec_t ticks;
static usec_t count_ticks(void)
{
	return ++ticks;
}

/* As much as before the deadline, which is always over after the first part. */
static unsigned catch_up(struct world *world)
{
	unsigned n_slices = 1;
	int r;

	while ((r = census_catch_up(&world->census, 2, 2, false, count_ticks, ticks + 2)) == 0)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	return n_slices;
}

static void test_catch_up_in_slices(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 1000);
	for (int pid = 301; pid <= 500; pid++) {
		row.pid = pid;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_release_fds(&world->census);
	for (int pid = 501; pid <= 600; pid++) { /* new ones */
		row.pid = pid;
		put_process(world, &row);
	}
	remove_process(world, 400);
	row.pid = 401, row.start = 78; /* another process */
	put_process(world, &row);
	row.pid = 402, row.start = browser.start, row.resident = 1000, row.shared = 0;
	put_process(world, &row);
	last_pid(world, 1401);
	assert_true(catch_up(world) > 10);
	assert_int_equal(world->census.n_processes, 299);
	assert_null(census_find(&world->census, 400));
	assert_int_equal(census_find(&world->census, 401)->start_ticks, 78);
	assert_int_equal(census_find(&world->census, 402)->memory.anon, 1000 * PAGE);
	assert_int_equal(world->census.last_pid, 1401);

	/* Once more at once: from the kept files. */
	row.pid = 402, row.start = 79; /* the numbers have begun anew */
	put_process(world, &row);
	row.pid = 601;
	put_process(world, &row);
	last_pid(world, 402);
	catch_up(world);
	assert_int_equal(world->census.n_processes, 300);
	assert_int_equal(census_find(&world->census, 402)->start_ticks, 79);
}

/* The caller gets the present state, however often it asks. */
static void test_catch_up_compares_all(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	for (int i = 1; i <= 3; i++) {
		row.cgroup = i % 2 ? "/moved" : "/back", row.adj = i;
		for (row.pid = 300; row.pid < 400; row.pid++)
			put_process(world, &row);
		catch_up(world);
		for (row.pid = 300; row.pid < 400; row.pid++) {
			const struct census_process *p = census_find(&world->census, row.pid);

			assert_int_equal(p->oom_score_adj, i);
			assert_string_equal(census_cgroup_path(p), row.cgroup);
		}
	}
}

/* A round that watch has begun may compare no process. */
static void test_catch_up_does_not_continue_a_round(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, count_ticks, 0), 0);
	row.adj = 7;
	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	catch_up(world);
	for (row.pid = 300; row.pid < 400; row.pid++)
		assert_int_equal(census_find(&world->census, row.pid)->oom_score_adj, 7);
}

/* Samples as in watch, from one time (after the sweep at 0) to another. */
static void sample_until(struct world *world, usec_t from, usec_t to)
{
	for (usec_t now = from; now <= to; now += 50 * USEC_PER_MSEC)
		assert_int_equal(census_find_new(&world->census, now, 1), 0);
}

/* 300 large ones and 300 small ones; those with an even pid are adjusted. */
static void put_crowd(const struct world *world, int adj)
{
	struct row row = browser;

	for (row.pid = 1000; row.pid < 1600; row.pid++) {
		row.resident = row.pid < 1300 ? 100000 : 1000;
		row.adj = row.pid % 2 ? 0 : adj;
		put_process(world, &row);
	}
}

static size_t count_adjusted(const struct world *world, int adj)
{
	const struct census_process *process;
	size_t n = 0;

	census_for_each(&world->census, process)
		n += process->oom_score_adj == adj;
	return n;
}

static void test_find_new_compares_those_that_are_known(void **state)
{
	struct world *world = *state;
	const usec_t begin = 100 * USEC_PER_SEC;

	put_crowd(world, 0);
	assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, begin, 1, false, NULL, 0), 1);
	put_crowd(world, 9);
	sample_until(world, begin, begin + CENSUS_LARGEST_USEC / 2);
	assert_in_range(count_adjusted(world, 9), 0, 20);
	/* The largest, in any of their orders, and few others. */
	sample_until(world, begin + CENSUS_LARGEST_USEC, begin + CENSUS_LARGEST_USEC * 3 / 2);
	assert_in_range(count_adjusted(world, 9), CENSUS_LARGEST / 2, CENSUS_LARGEST / 2 + 60);
	put_crowd(world, 8);
	sample_until(world, begin + CENSUS_LARGEST_USEC * 2,
		     begin + CENSUS_LARGEST_USEC * 2 + CENSUS_ALL_USEC);
	assert_int_equal(count_adjusted(world, 8), 300);

	/* The next one of the round exits. */
	for (int pid = 1000; pid < 1500; pid++) {
		remove_process(world, pid);
		census_read_anew(&world->census, pid, begin, 1);
		if (pid % 50 == 0)
			sample_until(world, begin + (usec_t)pid * USEC_PER_SEC,
				     begin + (usec_t)pid * USEC_PER_SEC + USEC_PER_SEC);
	}
	assert_int_equal(world->census.n_processes, 100);
}

/* Gradually, those that have started. */
static void test_find_new_compares_the_young_soon(void **state)
{
	static const usec_t at[] = { 500 * USEC_PER_MSEC, 3 * USEC_PER_SEC, 15 * USEC_PER_SEC };
	const usec_t begin = 100 * USEC_PER_SEC;
	struct world *world = *state;
	struct row row = browser;
	usec_t from = begin + 50 * USEC_PER_MSEC;

	last_pid(world, 300);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
	sample_until(world, begin, begin);
	row.pid = 400;
	put_process(world, &row);
	last_pid(world, 400);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		sample_until(world, from, from + 100 * USEC_PER_MSEC);
		world->census.in_turn_at = UINT64_MAX / 2; /* no process's turn comes by itself */
		row.adj = 5 + (int)i;
		put_process(world, &row);
		sample_until(world, from + 150 * USEC_PER_MSEC, begin + at[i]);
		assert_int_equal(census_find(&world->census, 400)->oom_score_adj, row.adj);
		from = begin + at[i];
	}
}

static void test_compare_sees_another_user(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	char path[128];

	put_process(world, &browser);
	snprintf(path, sizeof(path), "%s/300", world->path);
	if (geteuid() != 0) { /* or may, where it runs as that user by chance */
		print_message("SKIP: only root may give files away\n");
		skip();
	}
	assert_int_equal(chown(path, browser.uid, (gid_t)-1), 0);
	catch_up(world);
	assert_int_equal(census_find(&world->census, 300)->uid, browser.uid);
	row.uid = 1001;
	put_process(world, &row);
	assert_int_equal(chown(path, row.uid, (gid_t)-1), 0);
	catch_up(world);
	assert_int_equal(census_find(&world->census, 300)->uid, 1001);
}

/* And where it was, no process is left: its bucket there is freed, the next may be at the same
 * address. */
static void test_compare_matches_the_rules_after_a_move(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	struct rule *rule;

	rule = policy_set_rule(&world->policies, RULE_PROTECT, "moved");
	rule->cgroup = strdup("/moved");
	census_set_policies(&world->census, &world->policies);
	put_process(world, &browser);
	catch_up(world);
	assert_null(census_find(&world->census, 300)->protected_by);
	row.cgroup = "/moved";
	put_process(world, &row);
	catch_up(world);
	assert_ptr_equal(census_find(&world->census, 300)->protected_by, rule);
	assert_int_equal(world->census.n_candidates, 0);
}

/* No more files can be opened: all that is known stands. */
static void test_want_does_not_lose_any(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct rlimit limit, none;
	int r, fd;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 100, false), 0);
	fd = dup(world->proc_fd);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)fd, .rlim_max = limit.rlim_max };
	world->census.compares_next = true;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = census_refresh(&world->census, 2, GIB, false, NULL, 0);
	census_read_anew(&world->census, 300, 2, GIB);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, 1);
	p = census_find(&world->census, 300);
	assert_non_null(p);
	assert_string_equal(p->comm, "browser");
	assert_int_equal(p->memory.anon, 600 * PAGE);
	assert_int_equal(p->read_at_allocated, 100);
	assert_int_equal(world->census.n_candidates, 1);
	assert_int_equal(world->census.n_unreadable, 0);
	/* A sum with this in it is as old; a round is over all the same. */
	assert_int_equal(world->census.oldest_allocated, 100);
	assert_false(census_is_stale(&world->census, GIB));
}

/* It lives, for all that is known, but will not be chosen before it can be read again. */
static void test_what_becomes_unreadable_is_known_still(void **state)
{
	static const struct {
		const char *file;
		bool is_candidate;
	} cases[] = {
		{ "stat", false },
		{ "status", false }, /* its memory is in it */
		{ "cgroup", true },
		{ "oom_score_adj", true },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_process(world, &browser);
		catch_up(world);
		assert_int_equal(world->census.n_candidates, 1);
		assert_int_equal(world->census.n_unreadable, 0);
		put(world, 300, cases[i].file, "secret\n");
		catch_up(world);
		census_read_anew(&world->census, 300, 2, 2);
		assert_int_equal(world->census.n_candidates, cases[i].is_candidate);
		assert_int_equal(world->census.n_unreadable, !cases[i].is_candidate);
		assert_int_equal(census_find(&world->census, 300)->memory.anon, 600 * PAGE);
		assert_string_equal(census_find(&world->census, 300)->comm, "browser");
	}
	put_process(world, &browser);
	put(world, 300, "stat", "secret\n");
	catch_up(world);
	put_process(world, &browser);
	assert_int_equal(census_refresh(&world->census, 3, 3, false, NULL, 0), 1);
	assert_int_equal(world->census.n_candidates, 1);
}

/* On a machine so slow, or so busy, that the time is always over. */
static void test_catch_up_gets_on_when_it_is_late(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	unsigned n_slices = 1;
	int r;

	for (row.pid = 300; row.pid <= 500; row.pid++)
		put_process(world, &row);
	while ((r = census_catch_up(&world->census, 2, 2, false, count_ticks, 0)) == 0)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	assert_int_equal(world->census.n_processes, 201);
	row.pid = 402, row.resident = 1000, row.shared = 0;
	put_process(world, &row);
	for (n_slices = 1; (r = census_refresh(&world->census, 3, 3, false, count_ticks, 0)) == 0;)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	assert_int_equal(census_find(&world->census, 402)->memory.anon, 1000 * PAGE);
}

/* A reload drops all results. */
static void test_catch_up_instead_of_a_sweep(void **state)
{
	struct world *world = *state;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_set_policies(&world->census, &world->policies);
	assert_int_equal(world->census.swept_at, 0);
	assert_int_equal(census_find(&world->census, 300)->compared_at, 0);
	catch_up(world);
	assert_int_not_equal(census_find(&world->census, 300)->compared_at, 0);
	assert_true(world->census.swept_at != 0);
}

static void test_catch_up_is_forgotten_by_rest(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid <= 500; row.pid++)
		put_process(world, &row);
	assert_int_equal(census_catch_up(&world->census, 1, 1, false, count_ticks, ticks + 1), 0);
	assert_true(world->census.listing_fd >= 0);
	census_release_fds(&world->census);
	assert_int_equal(world->census.listing_fd, -EBADF);
}

static void test_is_stale_by_what_was_allocated(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	row.resident = 400000, row.shared = 0; /* 1.5 GiB */
	put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, GIB, false), 0);
	assert_false(census_is_stale(&world->census, GIB + 100 * MIB));
	assert_true(census_is_stale(&world->census, GIB + 200 * MIB));
	remove_process(world, 300);
	assert_int_equal(census_sweep(&world->census, 1, GIB, false), 0);
	assert_false(census_is_stale(&world->census, GIB + 60 * MIB));
	assert_true(census_is_stale(&world->census, GIB + 65 * MIB));
}

static uint64_t count_below(const struct census_node *node, size_t *n_nodes)
{
	const struct census_node *child;
	uint64_t sum = 0;

	++*n_nodes;
	if (node->kind == CENSUS_PROCESS) {
		const struct proc_memory *memory = &((const struct census_process *)node)->memory;

		return memory->anon + memory->swap;
	}
	census_for_each_below(child, node)
		sum += count_below(child, n_nodes);
	assert_int_equal(sum, tally_sum(&((const struct census_branch *)node)->tally, TALLY_ANON));
	return sum;
}

/* The tree stays whole while processes start, exit, and move between groups that are made and
 * removed. */
static void test_tree_stays_exact(void **state)
{
	static const char *const paths[] = { "/", "/a", "/a/b", "/a/b/c", "/d", "/d/e/f/g" };
	struct world *world = *state;
	bool is_there[150] = { 0 };
	unsigned seed = 4711;

	print_message("seed %u\n", seed);
	for (int round = 0; round < 60; round++) {
		size_t n_nodes = 0;

		for (int i = 0; i < 150; i++) {
			struct row row = browser;

			if (rand_r(&seed) % 4 > 1)
				continue;
			row.pid = 1000 + i;
			row.cgroup = paths[(unsigned)rand_r(&seed) % ARRAY_SIZE(paths)];
			row.resident = 400 + (unsigned long)rand_r(&seed) % 100000;
			row.start = (unsigned)rand_r(&seed) % 2;
			if (rand_r(&seed) % 4 == 0 && is_there[i]) {
				remove_process(world, row.pid);
				is_there[i] = false;
			} else {
				put_process(world, &row);
				is_there[i] = true;
			}
		}
		if (round % 5 == 0)
			census_release_fds(&world->census); /* so that moves are noticed */
		if (round % 3 == 0)
			assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
		else
			assert_int_equal(census_refresh(&world->census, 1, 1, false, NULL, 0), 1);
		(void)count_below(&world->census.machine, &n_nodes);
		assert_int_equal(n_nodes, world->census.n_nodes);
	}
}

static void test_sweep_finds_us_on_this_machine(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct census_process *p;
	struct accuracy unknown = { .n_cpus = 2, .batch = 32 };
	struct policy_set policies;
	struct cgroup_fs cgroups;
	struct interval interval;
	struct census census;
	const size_t size = 32 * MIB;
	char *memory;

	unknown.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 1, size);
	assert_int_equal(policy_set_init_defaults(&policies), 0);
	assert_int_equal(cgroup_fs_open(proc_fd, &cgroups), 0);
	assert_int_equal(census_init(&census, proc_fd, &cgroups, &unknown, &policies), 0);
	assert_int_equal(census_sweep(&census, 1, 1, false), 0);
	p = census_find(&census, getpid());
	assert_non_null(p);
	assert_int_equal(p->uid, geteuid());
	assert_int_equal(p->ppid, getppid());
	assert_true(census.last_pid > 0);
	interval = census_interval(&census, p, 1, 0);
	assert_true(interval.hi >= size);
	assert_true(interval.lo < interval.hi);
	census_done(&census);
	cgroup_fs_done(&cgroups);
	policy_set_done(&policies);
	munmap(memory, size);
	close(proc_fd);
}

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* What swap has done, in pages, as /proc/vmstat and /proc/meminfo have it. */
static void set_swapped(struct world *world, uint64_t moved, uint64_t cached)
{
	const struct memory_counters counters = {
		.anon = GIB,
		.swap_total = GIB,
		.swap_cached = cached * PAGE,
		.events = { .swapped_out = moved, .has_zswap = true },
	};

	census_set_totals(&world->census, &counters);
}

static void test_swap_off_is_what_was_swapped(void **state)
{
	static const uint64_t lag = 2 * UINT64_C(125) * 2 * PAGE; /* of two CPUs */
	static const struct {
		const char *label;
		struct census_totals then, now;
		uint64_t off;
	} rows[] = {
		{ "nothing was",
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  lag },
		{ "some was, and some was in both, or is",
		  { .knows_swapped = true, .swapped = 7 * MIB, .swap_cached = MIB },
		  { .knows_swapped = true, .swapped = 9 * MIB, .swap_cached = 4 * MIB },
		  lag + 7 * MIB },
		{ "it was not counted then",
		  { .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  UINT64_MAX },
		{ "it is not counted now",
		  { .knows_swapped = true },
		  { .swapped = 0 },
		  UINT64_MAX },
		{ "the counter has begun anew",
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 6 * MIB },
		  UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct census census = {
			.accuracy = &accuracy,
			.status_totals = rows[i].then,
			.totals = rows[i].now,
		};

		if (census_swap_off(&census) != rows[i].off)
			fail_msg("%s: %llu", rows[i].label,
				 (unsigned long long)census_swap_off(&census));
	}
}

/* A process whose swap has changed with nothing to be seen of that in statm: was status read? */
static void test_round_with_swap_reads_status_if_that_has_moved(void **state)
{
	static const struct {
		const char *label;
		uint64_t moved, cached; /* MiB, since the sweep */
		unsigned long resident; /* pages less than before */
		bool is_known, is_by_cgroup, reads_status;
	} rows[] = {
		{ "nothing was swapped", 0, 0, 0, true, false, false },
		{ "little was", 10, 10, 200, true, false, false },
		{ "much was", 40, 0, 0, true, false, true },
		{ "much may be mapped again", 0, 40, 0, true, false, true },
		{ "this one is less resident", 0, 0, 300, true, false, true },
		{ "it is not known", 0, 0, 0, false, false, true },
		{ "cgroups are compared", 0, 0, 0, true, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = *state;
		const struct census_process *p;
		struct row row = browser;

		put_process(world, &row);
		if (rows[i].is_by_cgroup)
			world->policies.policies[0].target = POLICY_TARGET_CGROUP;
		if (rows[i].is_known)
			set_swapped(world, 1000, 0);
		assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
		if (rows[i].is_known)
			set_swapped(world, 1000 + rows[i].moved * MIB / PAGE,
				    rows[i].cached * MIB / PAGE);
		row.swap_kib = 800;
		row.resident -= rows[i].resident;
		put_process(world, &row);
		assert_int_equal(census_refresh(&world->census, 2, 1, true, NULL, 0), 1);
		p = census_find(&world->census, 300);
		if (p->memory.swap != (rows[i].reads_status ? 800 : 8) * KIB)
			fail_msg("%s: %llu", rows[i].label, (unsigned long long)p->memory.swap);
		assert_int_equal(p->memory.anon, (row.resident - row.shared) * PAGE);
		/* Either way it is where it may be. */
		assert_true(census_interval(&world->census, p, 1, 1).hi >=
			    proc_mapped(&p->memory) + 800 * KIB - p->memory.swap);
		teardown(state);
		setup(state);
	}
}

/* One that moves in the middle of a round: the round begins anew. */
static void test_round_begins_anew_if_swap_moves(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000, 0);
	assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 1, true, fake_clock, 10), 0);
	assert_false(world->census.keeps_status);
	row.swap_kib = 800;
	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000 + 40 * MIB / PAGE, 0);
	assert_int_equal(census_refresh(&world->census, 3, 1, true, NULL, 0), 1);
	assert_true(world->census.keeps_status);
	for (pid_t pid = 300; pid < 320; pid++)
		assert_int_equal(census_find(&world->census, pid)->memory.swap, 800 * KIB);
	/* And by statm again, once it moves no more. */
	assert_int_equal(census_refresh(&world->census, 4, 1, true, NULL, 0), 1);
	assert_false(world->census.keeps_status);
}

/* Of those that such a round has not come to, statm is not enough in the next one either. */
static void test_round_with_swap_reads_each_status_once(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000, 0);
	assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
	row.swap_kib = 800;
	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000 + 40 * MIB / PAGE, 0);
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 1, true, fake_clock, 10), 0);
	assert_true(world->census.keeps_status);
	census_stop_round(&world->census);
	assert_int_equal(census_refresh(&world->census, 3, 1, true, NULL, 0), 1);
	assert_false(world->census.keeps_status);
	for (pid_t pid = 300; pid < 320; pid++)
		assert_int_equal(census_find(&world->census, pid)->memory.swap, 800 * KIB);
}

/* All in pages; what is allocated in all and swapped in and out in all, and what is in both. */
struct swapping {
	struct row rows[20];
	uint64_t allocated, moved, cached[20];
};

static void let_swap(struct swapping *s, unsigned *seed, unsigned i)
{
	unsigned long most = rand_r(seed) % 8 == 0 ? 20000 : 200;
	unsigned long n = (unsigned long)rand_r(seed) % most, *swap = &s->rows[i].swap_kib;
	unsigned long *anon = &s->rows[i].resident;

	switch (rand_r(seed) % 5) {
	case 0: /* allocates */
		*anon += n;
		s->allocated += n;
		break;
	case 1: /* frees */
		*anon -= min_u64(n, *anon - 1);
		s->cached[i] = min_u64(s->cached[i], *anon);
		break;
	case 2: /* out, written */
		n = min_u64(n, *anon - 1 - min_u64(s->cached[i], *anon - 1));
		*anon -= n;
		*swap += 4 * n;
		s->moved += n;
		break;
	case 3: /* in; what was read stays in swap as well, every other time */
		n = min_u64(n, *swap / 4);
		*anon += n;
		*swap -= 4 * n;
		s->moved += n;
		s->allocated += n;
		s->cached[i] += n % 2 ? n : 0;
		break;
	case 4: /* out, as it is in swap still */
		n = min_u64(s->cached[i], *anon - 1);
		*anon -= n;
		*swap += 4 * n;
		s->cached[i] -= n;
		break;
	}
}

static void check_swapping(const struct world *world, const struct swapping *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->rows); i++) {
		const struct row *row = &s->rows[i];
		const struct census_process *p = census_find(&world->census, row->pid);
		uint64_t truth = row->resident * PAGE + row->swap_kib * KIB;
		struct interval interval =
			census_interval(&world->census, p, s->allocated * PAGE, 1);

		if (truth > interval.hi)
			fail_msg("%d: %llu is above %llu", row->pid, (unsigned long long)truth,
				 (unsigned long long)interval.hi);
	}
}

static void test_interval_holds_while_swapping(void **state)
{
	struct world *world = *state;
	struct swapping s = { .allocated = 1 };
	unsigned seed = 4711, n_by_statm = 0;

	print_message("seed %u\n", seed);
	for (unsigned i = 0; i < ARRAY_SIZE(s.rows); i++) {
		s.rows[i] = browser;
		s.rows[i].pid = 300 + (int)i;
		s.rows[i].shared = 0;
		put_process(world, &s.rows[i]);
	}
	set_swapped(world, 0, 0);
	assert_int_equal(census_sweep(&world->census, 1, PAGE, true), 0);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t cached = 0;

		for (unsigned n = (unsigned)rand_r(&seed) % 40; n > 0; n--)
			let_swap(&s, &seed, (unsigned)rand_r(&seed) % ARRAY_SIZE(s.rows));
		check_swapping(world, &s);
		for (unsigned i = 0; i < ARRAY_SIZE(s.rows); i++) {
			put_process(world, &s.rows[i]);
			cached += s.cached[i];
		}
		set_swapped(world, s.moved, cached);
		assert_int_equal(
			census_refresh(&world->census, 2, s.allocated * PAGE, true, NULL, 0), 1);
		n_by_statm += !world->census.keeps_status;
		check_swapping(world, &s);
	}
	print_message("%u of 300 by statm\n", n_by_statm);
	assert_in_range(n_by_statm, 50, 250);
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
		on_world(test_set_policies_applies_new_rules),
		on_world(test_sweep_remembers_growth),
		on_world(test_sweep_grows_with_the_machine),
		on_world(test_interval_ages),
		on_world(test_find_new_by_the_pids_assigned_since),
		on_world(test_find_new_does_not_trust_a_loadavg_that_is_mounted_over),
		on_world(test_find_new_tells_threads_from_processes),
		on_world(test_find_new_reads_twice),
		on_world(test_find_new_knows_a_reused_pid),
		on_world(test_find_new_lists_all_when_many_came_or_pids_wrapped),
		on_world(test_refresh_in_slices_largest_first),
		on_world(test_refresh_drops_what_has_exited),
		on_world(test_release_fds_closes_what_is_kept_open),
		on_world(test_refresh_after_a_rest_compares_all),
		on_world(test_unreadable_are_counted_once),
		on_world(test_catch_up_in_slices),
		on_world(test_catch_up_compares_all),
		on_world(test_catch_up_does_not_continue_a_round),
		on_world(test_find_new_compares_those_that_are_known),
		on_world(test_find_new_compares_the_young_soon),
		on_world(test_compare_sees_another_user),
		on_world(test_compare_matches_the_rules_after_a_move),
		on_world(test_want_does_not_lose_any),
		on_world(test_what_becomes_unreadable_is_known_still),
		on_world(test_catch_up_gets_on_when_it_is_late),
		on_world(test_catch_up_instead_of_a_sweep),
		on_world(test_catch_up_is_forgotten_by_rest),
		on_world(test_is_stale_by_what_was_allocated),
		on_world(test_tree_stays_exact),
		cmocka_unit_test(test_sweep_finds_us_on_this_machine),
		cmocka_unit_test(test_swap_off_is_what_was_swapped),
		on_world(test_round_with_swap_reads_status_if_that_has_moved),
		on_world(test_round_begins_anew_if_swap_moves),
		on_world(test_round_with_swap_reads_each_status_once),
		on_world(test_interval_holds_while_swapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
