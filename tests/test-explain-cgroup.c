/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/explain/: cgroups and siblings, and how they are ranked. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/explain/explain.h"
#include "tests/explain-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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
	assert_int_equal(o->size.lo, 1112 * MIB);
	assert_int_equal(o->size.hi, 1112 * MIB);
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
			assert_string_equal(explain_excluded(&e), cases[i].excluded);
		else
			assert_null(explain_excluded(&e));
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
		{ "helper", "killing a similar one freed little", NULL, "similar" },
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
	assert_null(explain_excluded(&e));
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
	assert_null(explain_excluded(&e));
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
	assert_int_equal(o->size.hi, 1124 * MIB);
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
		assert_int_equal(o->others.n_siblings, 0);
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
	assert_int_equal(o->size.hi, 2400 * MIB);
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
	assert_int_equal(o->others.n_siblings, 11);
	assert_int_equal(o->size.hi, 2400 * MIB);
	assert_int_equal(explain_process(o, 705, &e), 0);
	assert_true(e.is_victim);
	assert_int_equal(explain_process(o, 300, &e), 0);
	assert_false(e.is_victim);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		on_world(test_json_of_a_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
