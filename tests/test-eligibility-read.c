/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/select/eligibility-read.c, on a /proc of files: it comes to the same as the census.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/select/eligibility-read.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static const struct rule of_the_admin = { .kind = RULE_PROTECT };

static const struct accuracy accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 1,
	.page_size = 4096,
};

struct world {
	char path[32];
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct census census;
	struct eligibility_source source;
};

static void put(const struct world *world, const char *file, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", world->path, file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

struct row {
	const char *comm;
	char state;
	unsigned flags;
	unsigned uid;
	const char *cgroup;
	int adj;
	unsigned pages;
};

/* As /proc/300. */
static void put_process(const struct world *world, const struct row *row)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "300 (%s) %c 1 1 1 0 -1 %u 1 0 0 0 1 1 0 0 20 0 1 0 77 1000000 1 1 1 1 1 1 1 0 0 "
		 "0 0 0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
		 row->comm, row->state, row->flags);
	put(world, "300/stat", text);
	snprintf(text, sizeof(text), "%u %u 0 1 0 1 0\n", row->pages, row->pages);
	put(world, "300/statm", text);
	snprintf(text, sizeof(text), "Name:\t%s\nPid:\t300\nUid:\t%u\t%u\t%u\t%u\n%s", row->comm,
		 row->uid, row->uid, row->uid, row->uid, row->pages ? "VmSwap:\t0 kB\n" : "");
	put(world, "300/status", text);
	snprintf(text, sizeof(text), "0::%s\n", row->cgroup);
	put(world, "300/cgroup", text);
	snprintf(text, sizeof(text), "%d\n", row->adj);
	put(world, "300/oom_score_adj", text);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char path[64];

	if (!world)
		return -1;
	strcpy(world->path, "/tmp/test-eligib-XXXXXX");
	if (!mkdtemp(world->path))
		return -1;
	snprintf(path, sizeof(path), "%s/300", world->path);
	assert_int_equal(mkdir(path, 0755), 0);
	put(world, "loadavg", "0.00 0.01 0.00 1/123 500\n");
	world->source.proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cgroup_fs_init(&world->cgroups, dup(world->source.proc_fd), -EBADF);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	assert_int_equal(census_init(&world->census, world->source.proc_fd, &world->cgroups,
				     &accuracy, &world->policies),
			 0);
	world->source.cgroups = &world->cgroups;
	world->source.policies = &world->policies;
	world->source.census = &world->census;
	world->source.subtree = "/";
	world->source.page_size = 4096;
	world->source.total = 400000;
	world->source.self = 77;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char command[64];

	census_done(&world->census);
	policy_set_done(&world->policies);
	cgroup_fs_done(&world->cgroups);
	close(world->source.proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

static const struct row browser = {
	.comm = "browser",
	.state = 'S',
	.uid = 1000,
	.cgroup = "/user.slice/a.scope",
	.pages = 10,
};

static enum eligibility judge_live(const struct world *world)
{
	struct eligibility_subject subject;

	assert_int_equal(eligibility_read(&world->source, 300, &subject), 0);
	return eligibility_judge(&subject);
}

static void test_live_reads_come_to_the_same(void **state)
{
	static const struct {
		struct row row;
		const char *subtree; /* NULL: "/" */
		enum eligibility expected;
	} rows[] = {
		{ { "browser", 'S', 0, 1000, "/user.slice/a.scope", 0, 10 },
		  NULL,
		  ELIGIBILITY_ELIGIBLE },
		{ { "kworker", 'S', 0x200000, 0, "/", 0, 0 }, NULL, ELIGIBILITY_KTHREAD },
		{ { "browser", 'S', 0, 1000, "/user.slice/a.scope", -1000, 10 },
		  NULL,
		  ELIGIBILITY_ADJ_MIN },
		{ { "browser", 'S', 0, 1000, "/user.slice/a.scope", -950, 10 },
		  NULL,
		  ELIGIBILITY_RELUCTANT },
		{ { "browser", 'S', 0, 1000, "/user.slice/a.scope", 0, 10 },
		  "/system.slice",
		  ELIGIBILITY_OUTSIDE_SUBTREE },
		{ { "browser", 'S', 0, 1000, "/user.slice/a.scope", 0, 10 },
		  "/user.slice",
		  ELIGIBILITY_ELIGIBLE },
		{ { "x", 'S', 0, 0, "/system.slice/systemd-journald.service", 0, 90 },
		  NULL,
		  ELIGIBILITY_PROTECTED_BUILTIN },
		/* A unit in which users can have memory: to a quarter, which is 24 pages. */
		{ { "x", 'S', 0, 0, "/system.slice/gdm.service", 0, 24 },
		  NULL,
		  ELIGIBILITY_RELUCTANT },
		{ { "x", 'S', 0, 0, "/system.slice/gdm.service", 0, 25 },
		  NULL,
		  ELIGIBILITY_ELIGIBLE },
		/* A name without an executable that may be read: root's counts, others' do not. */
		{ { "sshd", 'S', 0, 0, "/system.slice/ssh.service", 0, 10 },
		  NULL,
		  ELIGIBILITY_PROTECTED_BUILTIN },
		{ { "Xorg", 'S', 0, 1000, "/user.slice/user-1000.slice/session-2.scope", 0, 10 },
		  NULL,
		  ELIGIBILITY_ELIGIBLE },
		{ { "browser", 'Z', 0, 1000, "/user.slice/a.scope", 0, 0 },
		  NULL,
		  ELIGIBILITY_NO_MEMORY },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put_process(world, &rows[i].row);
		world->source.subtree = rows[i].subtree ? rows[i].subtree : "/";
		if (judge_live(world) != rows[i].expected)
			fail_msg("row %zu: %s", i, eligibility_to_string(judge_live(world)));
	}
}

static void test_live_reads_of_what_is_gone(void **state)
{
	struct world *world = *state;
	struct eligibility_subject subject;

	assert_int_equal(eligibility_read(&world->source, 301, &subject), PROC_GONE);
	put_process(world, &browser);
	put(world, "300/stat", "nonsense");
	assert_true(eligibility_read(&world->source, 300, &subject) < 0);
}

/* One that is as the census knows it is not matched again; one that has changed is. */
static void test_live_reads_ask_the_rules_only_where_needed(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_find(&world->census, 300)->protected_by = &of_the_admin;
	assert_int_equal(judge_live(world), ELIGIBILITY_PROTECTED);
	census_find(&world->census, 300)->compared_at = 0; /* the rules are others now */
	assert_int_equal(judge_live(world), ELIGIBILITY_ELIGIBLE);
	assert_int_equal(census_sweep(&world->census, 2, 1, false), 0);
	row.uid = 1001;
	put_process(world, &row);
	assert_int_equal(judge_live(world), ELIGIBILITY_ELIGIBLE);
	row = browser, row.cgroup = "/system.slice/dbus.service";
	put_process(world, &row);
	assert_int_equal(judge_live(world), ELIGIBILITY_PROTECTED_BUILTIN);
}

/* Out of descriptors: the census is believed, and what it does not know is not judged. */
static void test_a_transient_error_leaves_what_is_known(void **state)
{
	struct world *world = *state;
	struct eligibility_subject subject;
	struct rlimit before, none;
	int r;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_find(&world->census, 300)->protected_by = &of_the_admin;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = eligibility_read(&world->source, 300, &subject);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, 0);
	assert_int_equal(eligibility_judge(&subject), ELIGIBILITY_PROTECTED);

	/* Not by rules that are no more, nor without a census. */
	census_find(&world->census, 300)->compared_at = 0;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		r = eligibility_read(&world->source, 300, &subject);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(r, -EMFILE);
		world->source.census = NULL;
	}
}

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_live_reads_come_to_the_same),
		on_world(test_live_reads_of_what_is_gone),
		on_world(test_live_reads_ask_the_rules_only_where_needed),
		on_world(test_a_transient_error_leaves_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
