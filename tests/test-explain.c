/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/explain/preview.c, lib/explain/explain.c and lib/explain/explain-json.c: what is
 * found out and printed of a small machine whose /proc is of our own making.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/explain/explain.h"
#include "lib/select/family.h"
#include "tests/explain-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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

/* As the daemon does: swap that the kernel does not use for seconds is no help. */
static void test_choose_knows_that_swap_is_no_help(void **state)
{
	struct preview *o = run_preview(*state, 8 * GIB * 4 / 100);
	struct vmstat_counters c = { .allocated = 1 };
	struct reclaim_history reclaimed = { 0 };

	o->memory.swap_total = o->memory.swap_free = 2 * GIB;
	preview_choose(o);
	assert_false(o->policy_holds);
	for (usec_t now = USEC_PER_SEC; now <= 11 * USEC_PER_SEC; now += RECLAIM_STEP_USEC) {
		c.scanned += 8 * GIB / 4096;
		reclaim_history_add(&reclaimed, now, &c, 8 * MIB);
	}
	o->reclaim = &reclaimed;
	preview_choose(o);
	assert_string_equal(o->policy->name, "kill");
	assert_true(o->policy_holds);
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
			assert_string_equal(explain_excluded(&e), cases[i].excluded);
		else
			assert_null(explain_excluded(&e));
	}
	assert_int_equal(explain_process(o, 301, &e), PROC_GONE);
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
		assert_string_equal(explain_excluded(&e), "reluctant");
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
		{ "app", "killing a similar one freed little", NULL, "similar" },
		{ "light", "its score is 200 MiB (oom_score_adj -900, weight 1)", NULL, NULL },
		{ "browser", "the last attempt to kill it failed", NULL, "failed" },
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
				    "alice), but the last attempt to kill it failed");
	assert_int_equal(explain_process(o, 330, &e), 0);
	assert_string_equal(explain_excluded(&e), "skipped");
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
	assert_string_equal(explain_skipped(o, &rows[7]), "similar");
}

static void test_none_is_named_without_a_victim(void **state)
{
	struct world *world = *state;
	struct explanation rows[EXPLAIN_SURVIVORS_MAX];

	free(world->policies.subtree);
	world->policies.subtree = strdup("/none.slice");
	assert_int_equal(explain_survivors(run_preview(world, 4 * GIB), rows), 0);
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

/* One that may not be killed keeps all that they have in common. */
static void test_a_relative_that_is_not_killed_is_named(void **state)
{
	struct world *world = *state;
	struct explanation e, survivors[EXPLAIN_SURVIVORS_MAX];
	struct preview *o;

	put_process(world, 310, "server", 5000, "/user.slice/a.scope");
	put_process(world, 320, "server", 5000, "/user.slice/b.scope");
	put_process(world, 600, "database", 100, "/system.slice/d.service");
	o = run_preview(world, 4 * GIB);
	share(world, 310, 2 * MIB);
	share(world, 320, 2 * MIB);
	census_adjust(&world->census, 310, -1000);
	preview_choose(o);
	assert_int_equal(preview_victim(o)->process->pid, 300);
	assert_int_equal(explain_process(o, 320, &e), 0);
	assert_false(e.is_victim);
	assert_string_equal(e.text, "its memory is shared with server (pid 310, user alice), which "
				    "is not killed: its oom_score_adj is -1000");
	assert_true(explain_survivors(o, survivors) > 0);
	assert_int_equal(survivors[0].process->pid, 320);
	assert_string_equal(survivors[0].text, e.text);
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
	assert_int_equal(o->others.n_relatives, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_choose_finds_policy_and_victim),
		on_world(test_choose_knows_what_holds),
		on_world(test_choose_knows_that_swap_is_no_help),
		on_world(test_process_shows_why_and_why_not),
		on_world(test_process_shows_why_it_is_reluctant),
		on_world(test_process_can_be_called_again_and_again),
		on_world(test_process_of_an_ineffective_kind),
		on_world(test_ineligible_has_reasons),
		on_world(test_ineligible_is_bounded),
		on_world(test_none_is_named_without_a_victim),
		on_world(test_json_has_what_is_promised),
		cmocka_unit_test(test_kept_has_its_reason),
		on_world(test_process_would_free_its_own_pages),
		on_world(test_a_relative_that_is_not_killed_is_named),
		on_world(test_relatives_are_killed_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
