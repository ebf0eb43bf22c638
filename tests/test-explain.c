/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/explain/preview.c, lib/explain/explain.c and lib/explain/explain-json.c: what is
 * found out and printed of a small machine whose /proc is of our own making.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/explain/explain.h"
#include "lib/select/family.h"

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

/* Larger than any pid can be (PID_MAX_LIMIT): not one of those below. */
pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	return 1 << 23;
}

struct world {
	char path[32];
	int proc_fd;
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct census census;
	struct backoff backoff;
	struct streak streak;
	uint64_t ticks_now;
	struct preview preview;
};

static void put(const struct world *world, int pid, const char *file, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d", world->path, pid);
	(void)mkdir(path, 0755);
	strcat(strcat(path, "/"), file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_process(const struct world *world, int pid, const char *comm, unsigned mib,
			const char *cgroup)
{
	char text[512];

	snprintf(
		text, sizeof(text),
		"%d (%s) S 1 1 1 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 77 1000000 1 1 1 1 1 1 1 0 0 0 0 0 0 0 "
		"17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
		pid, comm);
	put(world, pid, "stat", text);
	snprintf(text, sizeof(text), "%llu %llu 0 1 0 1 0\n", mib * MIB / PAGE + 100,
		 mib * MIB / PAGE);
	put(world, pid, "statm", text);
	snprintf(text, sizeof(text),
		 "Name:\t%s\nState:\tS\nPid:\t%d\nPPid:\t1\nUid:\t1000\t1000\t1000\t1000\n"
		 "VmPTE:\t0 kB\nVmSwap:\t0 kB\nThreads:\t1\n",
		 comm, pid);
	put(world, pid, "status", text);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	put(world, pid, "cgroup", text);
	put(world, pid, "oom_score_adj", "0\n");
}

static usec_t no_clock(void)
{
	return 7;
}

static const char *find_user(uid_t uid, void *userdata)
{
	return uid == 1000 ? userdata : NULL;
}

/* A rule of the administrator's, which may protect by any name. */
static void protect(struct world *world, const char *name, const char *comm)
{
	struct rule *rule = policy_set_rule(&world->policies, RULE_PROTECT, name);
	char error[64];

	assert_non_null(rule);
	assert_int_equal(rule_set_comm(rule, comm, error, sizeof(error)), 0);
}

/* A browser, an editor half as large, one that is protected, and one outside the subtree. */
static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;
	strcpy(world->path, "/tmp/test-explain-XXXXXX");
	if (!mkdtemp(world->path))
		return -1;
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cgroup_fs_init(&world->cgroups, -EBADF, -EBADF);
	world->cgroups.v2_fd = dup(world->proc_fd);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	protect(world, "desktop", "^gnome-shell$");
	free(world->policies.subtree);
	world->policies.subtree = strdup("/user.slice");
	put_process(world, 1, "systemd", 30, "/init.scope");
	put_process(world, 300, "browser", 1024, "/user.slice/b.scope");
	put_process(world, 400, "editor", 512, "/user.slice/e.scope");
	put_process(world, 500, "gnome-shell", 900, "/user.slice/s.scope");
	put_process(world, 600, "database", 4096, "/system.slice/d.service");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char command[64];

	victim_done(&world->preview.result);
	census_done(&world->census);
	policy_set_done(&world->policies);
	cgroup_fs_done(&world->cgroups);
	close(world->proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

static struct preview *run_preview(struct world *world, uint64_t available)
{
	struct preview *o = &world->preview;

	assert_int_equal(census_init(&world->census, world->proc_fd, &world->cgroups, &accuracy,
				     &world->policies),
			 0);
	assert_int_equal(census_sweep(&world->census, 7, 0, false), 0);
	*o = (struct preview){
		.policies = &world->policies,
		.accuracy = &accuracy,
		.census = &world->census,
		.proc_fd = world->proc_fd,
		.now = no_clock,
		.memory = { .total = 8 * GIB, .available = available },
		.self_name = "the test",
		.user = find_user,
		.userdata = (void *)(uintptr_t) "alice",
		.backoff = &world->backoff,
		.streak = &world->streak,
		.ticks_now = world->ticks_now,
		.own_cgroup = o->own_cgroup,
	};
	o->memory.counters.total = 8 * GIB;
	assert_int_equal(victim_reserve(&o->result, &world->census), 0);
	preview_choose(o);
	return o;
}

static void test_choose_finds_policy_and_victim(void **state)
{
	struct preview *o = run_preview(*state, 4 * GIB);
	char text[EXPLAIN_ANSWER_SIZE];

	assert_string_equal(o->policy->name, "terminate"); /* the first that kills */
	assert_false(o->policy_holds);
	assert_null(o->warning);
	assert_int_equal(preview_victim(o)->process->pid, 300);
	assert_int_equal(preview_read_error(o), 0);
	assert_int_equal(o->n_excluded[ELIGIBILITY_PROTECTED], 1);
	assert_int_equal(o->n_excluded[ELIGIBILITY_OUTSIDE_SUBTREE], 1);
	assert_string_equal(
		explain_answer_machine(o, text),
		"If memory ran out now, browser (pid 300, user alice) would be killed first; this would free 1.0 GiB.");
}

static void test_choose_knows_what_holds(void **state)
{
	struct preview *o = run_preview(*state, 8 * GIB * 4 / 100);
	char text[EXPLAIN_ANSWER_SIZE];

	assert_string_equal(o->policy->name, "kill");
	assert_true(o->policy_holds);
	assert_string_equal(o->warning->name, "warn");
	explain_answer_machine(o, text);
	assert_non_null(strstr(text, "The conditions of policy kill hold now: browser (pid 300"));
}

static void test_process_shows_why_and_why_not(void **state)
{
	static const struct {
		pid_t pid;
		const char *answer;
		const char *excluded;
		size_t rank;
	} cases[] = {
		{ 300,
		  "browser (pid 300, user alice) would be killed first: no process ranks higher; this would "
		  "free 1.0 GiB.",
		  NULL, 1 },
		{ 400,
		  "editor (pid 400, user alice) would not be killed first: browser (pid 300, user alice) "
		  "ranks higher.",
		  NULL, 2 },
		{ 500,
		  "gnome-shell (pid 500, user alice) would not be killed: protected by the rule "
		  "desktop.",
		  "protected", 0 },
		{ 600,
		  "database (pid 600, user alice) would not be killed: outside the subtree /user.slice.",
		  "outside_subtree", 0 },
		{ 1, "systemd (pid 1, user alice) would not be killed: the init process.", "init",
		  0 },
	};
	struct preview *o = run_preview(*state, 4 * GIB);
	char text[EXPLAIN_ANSWER_SIZE];
	struct explanation e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(explain_process(o, cases[i].pid, &e), 0);
		assert_string_equal(explain_answer_process(o, &e, text), cases[i].answer);
		assert_int_equal(e.rank, cases[i].rank);
		assert_int_equal(e.is_victim, cases[i].rank == 1);
		if (cases[i].excluded)
			assert_string_equal(explain_left_out(&e), cases[i].excluded);
		else
			assert_null(explain_left_out(&e));
	}
	assert_int_equal(explain_process(o, 301, &e), PROC_GONE);
}

static const char *text_at(const json_t *object, const char *first, const char *second)
{
	const json_t *member = json_object_get(object, first);

	return json_string_value(second ? json_object_get(member, second) : member);
}

/* By its oom_score_adj, or by a rule of a unit in which users can have memory. */
static void test_process_shows_why_it_is_reluctant(void **state)
{
	static const struct {
		pid_t pid;
		const char *reason;
	} cases[] = {
		{ 310, "killed only if no eligible process is worth killing (its oom_score_adj is "
		       "-950)" },
		{ 320, "killed only if no eligible process is worth killing (built-in rule "
		       "display-unit)" },
	};
	struct world *world = *state;
	struct explanation e;
	struct preview *o;
	json_t *json;

	put_process(world, 310, "leak", 2000, "/user.slice/l.scope");
	put(world, 310, "oom_score_adj", "-950\n");
	put_process(world, 320, "Xorg", 2000, "/system.slice/gdm.service");
	free(world->policies.subtree);
	world->policies.subtree = strdup("/");
	put_process(world, 330, "Xorg", 2100, "/system.slice/gdm.service"); /* over a quarter */
	put_process(world, 600, "database", 500, "/system.slice/d.service");
	o = run_preview(world, 4 * GIB);
	assert_int_equal(preview_victim(o)->process->pid, 300);
	assert_int_equal(o->n_excluded[ELIGIBILITY_RELUCTANT], 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(explain_process(o, cases[i].pid, &e), 0);
		assert_string_equal(e.text, cases[i].reason);
		assert_string_equal(explain_left_out(&e), "reluctant");
		assert_int_equal(e.rank, 0);
	}
	json = explain_json_process(o, &e);
	assert_string_equal(text_at(json_object_get(json, "process"), "rule", "name"),
			    "display-unit");
	json_decref(json);
	json = explain_json_machine(o);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "excluded"), "reluctant")),
		2);
	json_decref(json);
	/* Counts as a quarter of its size. */
	assert_int_equal(explain_process(o, 330, &e), 0);
	assert_int_equal(e.exclusion, ELIGIBILITY_ELIGIBLE);
	assert_int_equal(e.candidate.estimate, 525 * MIB);
}

/* It is read each time, however often. */
static void test_process_can_be_called_again_and_again(void **state)
{
	struct world *world = *state;
	struct preview *o = run_preview(world, 4 * GIB);
	struct explanation e;

	for (unsigned i = 0; i < 10 * VICTIM_MAX_READS; i++) {
		assert_int_equal(explain_process(o, i % 2 ? 500 : 600, &e), 0);
		assert_true(e.candidate.precise);
	}
	put(world, 600, "stat", "600 (other) S 1 1 1 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 99 1 1\n");
	assert_int_equal(explain_process(o, 600, &e), PROC_GONE); /* another process by now */
}

static void test_process_of_an_ineffective_kind(void **state)
{
	struct world *world = *state;
	struct backoff_subject subject = {
		.pid = 299,
		.uid = 1000,
		.comm = "browser",
		.cgroup = "/user.slice/b.scope",
	};
	struct explanation e;
	struct preview *o;

	backoff_add_kind(&world->backoff, &subject, 0, 1, 7);
	o = run_preview(world, 4 * GIB);
	assert_int_equal(preview_victim(o)->process->pid, 400);
	assert_int_equal(explain_process(o, 300, &e), 0);
	assert_false(e.is_victim);
	assert_string_equal(e.text, "its score is higher than that of editor (pid 400, "
				    "user alice), but killing a similar one freed little");
}

struct ineligible {
	const char *name, *reason, *excluded, *skipped_for;
};

static void assert_ineligible(const json_t *json, const struct ineligible *expected, size_t n)
{
	const json_t *rows = json_object_get(json, "survivors"), *process;
	size_t i;

	assert_int_equal(json_array_size(rows), n);
	json_array_foreach((json_t *)rows, i, process)
	{
		const char *excluded = json_string_value(json_object_get(process, "excluded"));
		const char *avoided = json_string_value(json_object_get(process, "skipped_for"));

		assert_string_equal(json_string_value(json_object_get(process, "command")),
				    expected[i].name);
		assert_string_equal(json_string_value(json_object_get(process, "reason")),
				    expected[i].reason);
		assert_string_equal(excluded ? excluded : "",
				    expected[i].excluded ? expected[i].excluded : "");
		assert_string_equal(avoided ? avoided : "",
				    expected[i].skipped_for ? expected[i].skipped_for : "");
	}
}

static void let_fail(struct world *world, pid_t pid, enum backoff_why why, usec_t at)
{
	const struct backoff_seen seen = {
		.pid = pid,
		.start_ticks = 77,
		.footprint = 2 * GIB,
	};

	(void)backoff_add(&world->backoff, why, &seen, at);
}

/* All that are larger than the victim, with the reason. */
static void test_ineligible_has_reasons(void **state)
{
	static const struct ineligible expected[] = {
		{ "database", "outside the subtree /user.slice", "outside_subtree", NULL },
		{ "hidden", "its oom_score_adj is -1000", "oom_score_adj_min", NULL },
		{ "stuck", "could not be killed a moment ago", "skipped", NULL },
		{ "app", "killing a similar one freed little", NULL, "kind" },
		{ "light", "its score is 200 MiB (oom_score_adj -900, weight 1)", NULL, NULL },
		{ "browser", "the last try to kill it failed", NULL, "failed" },
		{ "gnome-shell", "protected by the rule desktop", "protected", NULL },
	};
	struct world *world = *state;
	struct backoff_subject subject = {
		.pid = 1,
		.comm = "app",
		.cgroup = "/user.slice/a.scope",
	};
	struct explanation e;
	struct preview *o;
	json_t *json;

	put_process(world, 310, "light", 2000, "/user.slice/l.scope");
	put(world, 310, "oom_score_adj", "-900\n");
	put_process(world, 320, "app", 2500, "/user.slice/a.scope");
	put_process(world, 330, "stuck", 2700, "/user.slice/u.scope");
	put_process(world, 340, "hidden", 3000, "/user.slice/h.scope");
	put(world, 340, "oom_score_adj", "-1000\n");
	backoff_add_kind(&world->backoff, &subject, 1, 0, 7);
	let_fail(world, 330, BACKOFF_STILL_EXITING, 7);
	let_fail(world, 300, BACKOFF_UNKILLABLE, (usec_t)-BACKOFF_FIRST_USEC); /* over at 0 */
	o = run_preview(world, 4 * GIB);
	assert_int_equal(preview_victim(o)->process->pid, 400);

	json = explain_json_machine(o);
	assert_ineligible(json, expected, ARRAY_SIZE(expected));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "excluded"), "skipped")),
		1);
	json_decref(json);
	assert_int_equal(explain_process(o, 300, &e), 0);
	assert_string_equal(e.text, "its score is higher than that of editor (pid 400, user "
				    "alice), but the last try to kill it failed");
	assert_int_equal(explain_process(o, 330, &e), 0);
	assert_string_equal(explain_left_out(&e), "skipped");
}

/* One that is skipped is named, however many larger ones are not killed. */
static void test_ineligible_is_bounded(void **state)
{
	struct world *world = *state;
	struct backoff_subject subject = {
		.pid = 1,
		.comm = "browser",
		.cgroup = "/user.slice/b.scope",
	};
	struct explanation rows[EXPLAIN_SURVIVORS_MAX];
	struct preview *o;

	for (int i = 0; i < 20; i++)
		put_process(world, 700 + i, "gnome-shell", 2000U + (unsigned)i * 7 % 20,
			    "/user.slice/s.scope");
	o = run_preview(world, 4 * GIB);
	assert_int_equal(explain_survivors(o, rows), EXPLAIN_SURVIVORS_MAX);
	assert_int_equal(rows[0].process->pid, 600); /* outside the subtree */
	for (size_t i = 1; i < EXPLAIN_SURVIVORS_MAX; i++)
		assert_int_equal(proc_reclaimable(&rows[i].process->memory), (2020 - i) * MIB);

	census_done(&world->census);
	victim_done(&o->result);
	backoff_add_kind(&world->backoff, &subject, 1, 0, 7);
	o = run_preview(world, 4 * GIB);
	assert_int_equal(explain_survivors(o, rows), EXPLAIN_SURVIVORS_MAX);
	assert_int_equal(proc_reclaimable(&rows[6].process->memory), 2014 * MIB);
	assert_int_equal(rows[7].process->pid, 300);
	assert_string_equal(explain_avoided(o, &rows[7]), "kind");
}

static void test_none_is_named_without_a_victim(void **state)
{
	struct world *world = *state;
	struct explanation rows[EXPLAIN_SURVIVORS_MAX];

	free(world->policies.subtree);
	world->policies.subtree = strdup("/none.slice");
	assert_int_equal(explain_survivors(run_preview(world, 4 * GIB), rows), 0);
}

/* A rule spares its process alone; this keeps the whole cgroup. */
static void forbid_cgroup_of_shell(struct world *world)
{
	put(world, 500, "oom_score_adj", "-1000\n");
}

/* Two in one cgroup are larger together than the browser; one of the cgroups has a process that may
 * not be killed, one has us in it. */
static struct preview *preview_cgroups(struct world *world)
{
	forbid_cgroup_of_shell(world);
	put_process(world, 410, "helper", 600, "/user.slice/e.scope");
	put_process(world, 510, "wallpaper", 2000, "/user.slice/s.scope");
	put_process(world, 700, "self", 3000, "/user.slice/r.scope");
	for (size_t i = 0; i < world->policies.n_policies; i++)
		world->policies.policies[i].target = POLICY_TARGET_CGROUP;
	world->preview.own_cgroup = "/user.slice/r.scope";
	return run_preview(world, 4 * GIB);
}

static void test_cgroups_are_ranked_where_the_policy_kills_them(void **state)
{
	struct preview *o = preview_cgroups(*state);
	char text[EXPLAIN_ANSWER_SIZE];

	assert_string_equal(
		explain_answer_machine(o, text),
		"If memory ran out now, helper (pid 410, user alice) would be killed first, with all "
		"of cgroup /user.slice/e.scope (2 processes); this would free 1.1 GiB.");
	assert_int_equal(o->group.n_processes, 2);
	assert_int_equal(o->group.footprint, 1112 * MIB);
	assert_int_equal(o->group.size.lo, 1112 * MIB);
	assert_int_equal(o->group.size.hi, 1112 * MIB);
	assert_false(o->group.is_flagged);
	assert_int_equal(o->result.n_ranked, 2);
	assert_string_equal(o->result.ranked[1].cgroup->path, "/user.slice/b.scope");
	assert_int_equal(preview_processes(&o->result.ranked[0]), 2);
}

static void test_cgroups_show_why_and_why_not(void **state)
{
	static const struct {
		pid_t pid;
		const char *answer;
		const char *excluded;
		size_t rank;
	} cases[] = {
		{ 400,
		  "editor (pid 400, user alice) would be killed first, with all of cgroup "
		  "/user.slice/e.scope (2 processes): no other cgroup ranks higher; this would free "
		  "1.1 GiB.",
		  NULL, 1 },
		{ 300,
		  "browser (pid 300, user alice) would not be killed first: cgroup /user.slice/e.scope "
		  "(2 processes) ranks higher.",
		  NULL, 2 },
		{ 510,
		  "wallpaper (pid 510, user alice) would not be killed: the policy kills whole cgroups, "
		  "and its own is not eligible as a whole.",
		  "cgroup", 0 },
	};
	struct preview *o = preview_cgroups(*state);
	char text[EXPLAIN_ANSWER_SIZE];
	struct explanation e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(explain_process(o, cases[i].pid, &e), 0);
		assert_string_equal(explain_answer_process(o, &e, text), cases[i].answer);
		assert_int_equal(e.rank, cases[i].rank);
		assert_int_equal(e.is_victim, cases[i].rank == 1);
		if (cases[i].excluded)
			assert_string_equal(explain_left_out(&e), cases[i].excluded);
		else
			assert_null(explain_left_out(&e));
	}
}

/* A cgroup that is skipped stands for all in it; what keeps its own from being killed is named. */
static void test_cgroups_show_which_are_not_killed(void **state)
{
	static const struct ineligible expected[] = {
		{ "database", "outside the subtree /user.slice", "outside_subtree", NULL },
		{ "wallpaper",
		  "the policy kills whole cgroups, and its own is not eligible as a whole",
		  "cgroup", NULL },
		{ "helper", "killing a similar one freed little", NULL, "kind" },
	};
	struct world *world = *state;
	struct backoff_subject subject = {
		.pid = 1,
		.comm = "",
		.cgroup = "/user.slice/e.scope",
	};
	struct explanation e;
	struct preview *o;
	json_t *json;

	forbid_cgroup_of_shell(world);
	backoff_add_kind(&world->backoff, &subject, 1, 0, 7);
	put_process(world, 410, "helper", 600, "/user.slice/e.scope");
	put_process(world, 510, "wallpaper", 2000, "/user.slice/s.scope");
	for (size_t i = 0; i < world->policies.n_policies; i++)
		world->policies.policies[i].target = POLICY_TARGET_CGROUP;
	o = run_preview(world, 4 * GIB);
	assert_string_equal(preview_victim(o)->cgroup->path, "/user.slice/b.scope");
	json = explain_json_machine(o);
	assert_ineligible(json, expected, ARRAY_SIZE(expected));
	json_decref(json);
	assert_int_equal(explain_process(o, 400, &e), 0);
	assert_null(explain_left_out(&e));
	assert_string_equal(
		e.text, "the score of its cgroup is higher than that of cgroup /user.slice/b.scope "
			"(1 process), but killing a similar one freed little");
}

/* Its own cgroup is the subtree: it is ranked by itself, and killed alone. */
static void test_a_process_of_the_subtree_is_ranked_with_cgroups(void **state)
{
	struct world *world = *state;
	struct explanation e, rows[EXPLAIN_SURVIVORS_MAX];
	struct preview *o;
	char text[EXPLAIN_ANSWER_SIZE];

	put_process(world, 610, "stray", 3000, "/user.slice");
	put_process(world, 620, "smaller", 1050, "/user.slice");
	o = preview_cgroups(world);
	assert_string_equal(
		explain_answer_machine(o, text),
		"If memory ran out now, stray (pid 610, user alice) would be killed first; this would "
		"free 2.9 GiB.");
	assert_null(preview_victim(o)->cgroup);
	assert_int_equal(o->group.length, 0);
	assert_int_equal(explain_process(o, 610, &e), 0);
	assert_true(e.is_victim && e.rank == 1);
	assert_string_equal(e.text, "no cgroup ranks higher");
	assert_int_equal(explain_process(o, 620, &e), 0);
	assert_false(e.is_victim);
	assert_int_equal(e.rank, 3);
	assert_null(explain_left_out(&e));
	assert_string_equal(e.text, "stray (pid 610, user alice) ranks higher");
	assert_int_equal(explain_process(o, 400, &e), 0);
	assert_int_equal(e.rank, 2);
	assert_string_equal(e.text, "stray (pid 610, user alice) ranks higher");
	for (size_t i = 0; i < explain_survivors(o, rows); i++)
		assert_false(rows[i].process->pid == 620);
}

static void test_no_cgroup_is_eligible(void **state)
{
	struct world *world = *state;
	struct preview *o;
	char text[EXPLAIN_ANSWER_SIZE];

	free(world->policies.subtree);
	world->policies.subtree = strdup("/user.slice/r.scope/below");
	o = preview_cgroups(world);
	assert_null(preview_victim(o));
	assert_string_equal(
		explain_answer_machine(o, text),
		"If memory ran out now, no cgroup would be killed: none is eligible and large enough.");
}

/* As the kernel does it: the highest one that has the flag. */
static void test_a_flagged_cgroup_is_killed_with_its_victim(void **state)
{
	struct world *world = *state;
	char path[96], text[EXPLAIN_ANSWER_SIZE];
	struct explanation e;
	struct preview *o;
	FILE *f;

	put_process(world, 310, "tab", 100, "/user.slice/b.scope/tabs");
	snprintf(path, sizeof(path), "%s/user.slice", world->path);
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/b.scope");
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/memory.oom.group");
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("1\n", f);
	fclose(f);

	o = run_preview(world, 4 * GIB);
	assert_int_equal(preview_victim(o)->process->pid, 300);
	assert_true(o->group.is_flagged);
	assert_int_equal(o->group.footprint, 1124 * MIB);
	assert_string_equal(
		explain_answer_machine(o, text),
		"If memory ran out now, browser (pid 300, user alice) would be killed first, with "
		"all of cgroup /user.slice/b.scope (2 processes); this would free 1.1 GiB.");
	assert_int_equal(explain_process(o, 310, &e), 0);
	assert_true(e.is_victim);
	assert_string_equal(e.text, "browser (pid 300, user alice) ranks highest, and "
				    "memory.oom.group is set");
	assert_int_equal(explain_process(o, 400, &e), 0);
	assert_false(e.is_victim);
}

/* Workers that have filled memory together, none as large as the browser. */
static void put_workers(struct world *world)
{
	for (int i = 0; i < 12; i++)
		put_process(world, 700 + i, "worker", 200, "/user.slice/w.scope");
}

static void test_near_equals_the_youngest_is_named(void **state)
{
	struct world *world = *state;

	put_process(world, 310, "larger", 1050, "/user.slice/l.scope");
	put(world, 310, "stat",
	    "310 (larger) S 1 1 1 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 70 1000000 1 1 1 1 1 1 1 0 0 0 "
	    "0 0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n");
	assert_int_equal(preview_victim(run_preview(world, 4 * GIB))->process->pid, 300);
}

/* Which are young is known by ticks_now alone. */
static void test_siblings_are_compared_together(void **state)
{
	static const struct {
		uint64_t ticks_now;
		pid_t pid;
	} cases[] = { { 0, 300 }, { 100, 711 } };
	struct world *world = *state;

	put_process(world, 300, "browser", 1000, "/user.slice/b.scope");
	put_workers(world);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct preview *o;

		world->ticks_now = cases[i].ticks_now;
		o = run_preview(world, 4 * GIB);
		assert_int_equal(preview_victim(o)->process->pid, cases[i].pid);
		assert_int_equal(o->n_siblings, 0);
		if (i + 1 < ARRAY_SIZE(cases)) {
			census_done(&world->census);
			victim_done(&o->result);
		}
	}
}

static void put_kills(struct world *world, const char *cgroup, pid_t ppid)
{
	const struct streak_subject subject = { cgroup, "worker", ppid, 1000, .age = 1 };

	world->ticks_now = 100;
	put_workers(world);
	for (unsigned i = 0; i < STREAK_KILLS; i++)
		streak_add(&world->streak, &subject, 7 + i); /* each but the first is new */
}

/* All of the unit is killed, though the browser is larger than any process in it. */
static void test_a_unit_with_repeated_kills_is_named(void **state)
{
	struct world *world = *state;
	struct explanation e;
	struct preview *o;
	json_t *json;

	put_kills(world, "/user.slice/w.scope", 99);
	o = run_preview(world, 4 * GIB);
	assert_string_equal(preview_victim(o)->process->comm, "worker");
	assert_true(o->group.is_repeated);
	assert_false(o->group.is_flagged);
	assert_int_equal(o->group.n_processes, 12);
	assert_int_equal(o->group.footprint, 2400 * MIB);
	assert_int_equal(explain_process(o, 705, &e), 0);
	assert_true(e.is_victim);
	assert_string_equal(e.text, "repeated kills in its cgroup have not freed enough memory");
	json = explain_json_machine(o);
	assert_string_equal(text_at(json, "group", "by"), "repeated-kills");
	json_decref(json);
}

static void test_siblings_with_repeated_kills_are_killed_together(void **state)
{
	struct world *world = *state;
	struct explanation e;
	struct preview *o;

	put_process(world, 300, "browser", 1000, "/user.slice/b.scope");
	put_kills(world, "/user.slice/gone.scope", 1);
	o = run_preview(world, 4 * GIB);
	assert_int_equal(preview_victim(o)->process->pid, 711);
	assert_int_equal(o->group.length, 0);
	assert_int_equal(o->n_siblings, 11);
	assert_int_equal(o->siblings_footprint, 2200 * MIB);
	assert_int_equal(explain_process(o, 705, &e), 0);
	assert_true(e.is_victim);
	assert_int_equal(explain_process(o, 300, &e), 0);
	assert_false(e.is_victim);
}

static void test_json_has_what_is_promised(void **state)
{
	struct preview *o = run_preview(*state, 4 * GIB);
	struct explanation e;
	json_t *json;

	json = explain_json_machine(o);
	assert_non_null(json);
	assert_string_equal(text_at(json, "victim", "command"), "browser");
	assert_string_equal(text_at(json, "victim", "user"), "alice");
	assert_string_equal(text_at(json, "policy", "name"), "terminate");
	assert_string_equal(text_at(json, "subtree", NULL), "/user.slice");
	assert_int_equal(json_array_size(json_object_get(json, "ranked")), 2);
	assert_true(json_is_null(json_object_get(json, "group")));
	assert_int_equal(json_array_size(json_object_get(json, "protected")), 1);
	json_decref(json);

	assert_int_equal(explain_process(o, 500, &e), 0);
	json = explain_json_process(o, &e);
	assert_non_null(json);
	assert_string_equal(text_at(json, "process", "excluded"), "protected");
	assert_true(json_is_null(json_object_get(json_object_get(json, "process"), "rank")));
	json_decref(json);
}

static void test_json_of_a_cgroup(void **state)
{
	json_t *json = explain_json_machine(preview_cgroups(*state));
	const json_t *group = json_object_get(json, "group"), *victim;

	assert_string_equal(text_at(json, "group", "cgroup"), "/user.slice/e.scope");
	assert_string_equal(text_at(json, "group", "by"), "policy");
	assert_int_equal(json_integer_value(json_object_get(group, "processes")), 2);
	assert_int_equal(json_integer_value(json_object_get(group, "footprint_bytes")), 1112 * MIB);
	victim = json_object_get(json, "victim");
	assert_int_equal(json_integer_value(json_object_get(victim, "processes")), 2);
	assert_int_equal(json_integer_value(json_object_get(victim, "footprint_bytes")),
			 1112 * MIB);
	assert_string_equal(text_at(json, "victim", "command"), "helper");
	json_decref(json);
}

/* What remains of its memory, by what there is. */
static void test_kept_has_its_reason(void **state)
{
	static const struct {
		struct proc_memory memory;
		const char *why;
	} cases[] = {
		{ { .anon = GIB }, NULL },
		{ { .anon = GIB, .shmem = MIB, .kept = 900 * MIB, .is_measured = true },
		  "copy-on-write pages that it shares with other processes, "
		  "or memory that is free already (MADV_FREE)" },
		{ { .anon = MIB, .shmem = GIB, .kept = GIB, .is_measured = true },
		  "shared memory that other processes map, or files on a tmpfs" },
		{ { .anon = GIB, .shmem = GIB, .kept = GIB, .is_measured = true },
		  "pages that it shares with other processes, or files on a tmpfs" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why = explain_kept(&cases[i].memory);

		assert_string_equal(why ? why : "", cases[i].why ? cases[i].why : "");
	}
}

/* A copy on write whose share was measured a moment ago: its own pages only. */
static void test_process_would_free_its_own_pages(void **state)
{
	struct world *world = *state;
	struct preview *o = run_preview(world, 4 * GIB);
	struct census_process *process = (struct census_process *)census_find(&world->census, 400);
	struct proc_memory memory = process->memory;
	struct explanation e;
	json_t *json, *of_it;

	memory.kept = 500 * MIB;
	memory.is_measured = true;
	census_set_memory(&world->census, process, &memory, 0, 7);
	assert_true(census_share_is_current(&world->census, process, 7));
	o->result.n_ranked = 1; /* it is read, not resolved */
	assert_int_equal(explain_process(o, 400, &e), 0);
	assert_int_equal(proc_reclaimable(&e.candidate.memory), 12 * MIB);
	json = explain_json_process(o, &e);
	of_it = json_object_get(json, "process");
	assert_int_equal(json_integer_value(json_object_get(of_it, "would_free_bytes")), 12 * MIB);
	assert_int_equal(json_integer_value(json_object_get(of_it, "kept_bytes")), 500 * MIB);
	assert_string_equal(text_at(json, "process", "kept_for"),
			    "copy-on-write pages that it shares with other processes, "
			    "or memory that is free already (MADV_FREE)");
	json_decref(json);
	assert_int_equal(explain_process(o, 500, &e), 0); /* not measured: so much at most */
	json = explain_json_process(o, &e);
	assert_true(json_is_null(json_object_get(json_object_get(json, "process"), "kept_bytes")));
	json_decref(json);
}

static void share(struct world *world, pid_t pid, uint64_t alone)
{
	struct census_process *process = (struct census_process *)census_find(&world->census, pid);
	struct proc_memory memory = process->memory;

	memory.kept = (proc_mapped(&memory) - alone) / 2;
	memory.is_measured = true;
	process->is_unit = true;
	process->code_pages = 10; /* one program */
	process->alone = alone;
	census_set_memory(&world->census, process, &memory, 0, 7);
}

/* Copies on write: each frees little by itself, and all of it with the other. */
static void test_relatives_are_killed_together(void **state)
{
	struct world *world = *state;
	char text[EXPLAIN_ANSWER_SIZE];
	struct proc_memory memory;
	struct explanation e;
	struct preview *o;
	json_t *json, *of_it;

	put_process(world, 310, "server", 5000, "/user.slice/a.scope");
	put_process(world, 320, "server", 5000, "/user.slice/b.scope");
	put_process(world, 600, "database", 100, "/system.slice/d.service");
	o = run_preview(world, 4 * GIB);
	share(world, 310, 20 * MIB);
	share(world, 320, 10 * MIB);
	preview_choose(o);
	assert_int_equal(preview_victim(o)->process->pid, 320);
	assert_int_equal(o->n_relatives, 1);
	assert_string_equal(explain_answer_machine(o, text),
			    "If memory ran out now, server (pid 320, user alice) would be killed "
			    "first, with 1 that shares its memory; this would free 4.9 GiB.");
	assert_int_equal(explain_process(o, 310, &e), 0);
	assert_true(e.is_victim);
	assert_string_equal(e.text, "server (pid 320, user alice) ranks highest, and most of its "
				    "memory is shared with this one");
	json = explain_json_process(o, &e);
	of_it = json_object_get(json, "process");
	assert_int_equal(json_integer_value(json_object_get(of_it, "relatives")), 1);
	assert_int_equal(json_integer_value(json_object_get(of_it, "would_free_bytes")),
			 5010 * MIB);
	assert_int_equal(json_integer_value(json_object_get(of_it, "kept_bytes")), 0);
	json_decref(json);

	/* What lies on a tmpfs besides is not common, and is not freed. */
	memory = e.process->memory;
	memory.shmem += GIB;
	memory.kept += GIB;
	assert_int_equal(family_common(&memory, 20 * MIB), 4980 * MIB);
}

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_choose_finds_policy_and_victim),
		on_world(test_choose_knows_what_holds),
		on_world(test_process_shows_why_and_why_not),
		on_world(test_process_shows_why_it_is_reluctant),
		on_world(test_process_can_be_called_again_and_again),
		on_world(test_process_of_an_ineffective_kind),
		on_world(test_ineligible_has_reasons),
		on_world(test_ineligible_is_bounded),
		on_world(test_none_is_named_without_a_victim),
		on_world(test_cgroups_show_which_are_not_killed),
		on_world(test_cgroups_are_ranked_where_the_policy_kills_them),
		on_world(test_cgroups_show_why_and_why_not),
		on_world(test_no_cgroup_is_eligible),
		on_world(test_a_process_of_the_subtree_is_ranked_with_cgroups),
		on_world(test_a_flagged_cgroup_is_killed_with_its_victim),
		on_world(test_near_equals_the_youngest_is_named),
		on_world(test_siblings_are_compared_together),
		on_world(test_a_unit_with_repeated_kills_is_named),
		on_world(test_siblings_with_repeated_kills_are_killed_together),
		on_world(test_json_has_what_is_promised),
		on_world(test_json_of_a_cgroup),
		cmocka_unit_test(test_kept_has_its_reason),
		on_world(test_process_would_free_its_own_pages),
		on_world(test_relatives_are_killed_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
