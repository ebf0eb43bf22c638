/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole path from the sample to the record, on a dumped machine (dumped-machine.h): each
 * case is a series of readings, and what the daemon makes of it.  No privileges are needed.  What
 * needs the kernel is in test-tick.c.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log/log.h"
#include "daemon/record/recorder.h"
#include "tests/dumped-preview.h"
#include "tests/tick-case.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define CASES_MAX 100

static const struct dumped_process usual[] = {
	{ .pid = 300, .comm = "leak", .cgroup = "/app.slice/leak.scope", .anon = 3000 },
	{ .pid = 301, .comm = "editor", .cgroup = "/app.slice/editor.scope", .anon = 2000 },
	{ .pid = 302, .comm = "shell", .cgroup = "/app.slice/term.scope", .anon = 20 },
};

static void put_processes(const struct dumped_process *processes, size_t n)
{
	dumped_machine_put(&(struct dumped_process){
		.pid = 1, .comm = "init", .cgroup = "/init.scope", .anon = 10, .as_root = true });
	dumped_machine_put(&(struct dumped_process){ .pid = DUMPED_SELF,
						     .comm = "reckond",
						     .cgroup = "/system.slice/reckond.service",
						     .anon = 6,
						     .as_root = true });
	for (size_t i = 0; i < n && processes[i].pid != 0; i++)
		dumped_machine_put(&processes[i]);
}

/* Is all as expected?  If not, says how it is. */
static bool take_step(const struct tick_case *c, const struct step *step)
{
	const struct manager *m = dumped.manager;
	unsigned next = dumped_machine_tick();

	/* The exit of a victim is waited for by its pidfd. */
	if (m->regime->state == step->state && dumped.event == step->event && next == step->next &&
	    strcmp(dumped.sent, step->sent ? step->sent : "") == 0 &&
	    dumped.watched == (m->regime->state == KILLING ? m->in_flight->decision.pid : 0))
		return true;
	print_error("%s, at %u ms: state %s, event %d, sent \"%s\", next %u ms, watched %d\n",
		    c->name, step->reading.at, regime_to_string(m->regime->state), dumped.event,
		    dumped.sent, next, dumped.watched);
	return false;
}

static void add_word(char *buf, size_t size, const char *word)
{
	size_t n = strlen(buf);

	if (word[0] != '\0')
		(void)snprintf(buf + n, size - n, "%s%s", n > 0 ? " " : "", word);
}

static const char *tell_history(char *buf, size_t size)
{
	struct history *history = recorder_history(dumped.manager->tick->recorder);

	buf[0] = '\0';
	for (unsigned i = 0; i < history_count(history); i++) {
		const struct history_entry *e = history_get(history, i);
		char kind[32];

		(void)snprintf(kind, sizeof(kind), "%s%s", i > 0 ? "| " : "", e->kind);
		add_word(buf, size, kind);
		add_word(buf, size, e->comm);
		add_word(buf, size, e->signal);
		add_word(buf, size, e->outcome);
		add_word(buf, size, e->escalated ? "escalated" : "");
		add_word(buf, size, e->ineffective ? "ineffective" : "");
	}
	return buf;
}

/* What explain says differently from what is done: of the case that is run. */
static char differences[1024];

static void compare_with_preview(void)
{
	unsigned n_choices = dumped.n_choices;

	add_word(differences, sizeof(differences), dumped_preview_compare());
	dumped.n_choices = n_choices;
}

static void run_case(void **state)
{
	const struct tick_case *c = *state;
	char history[1024];
	unsigned n_wrong = 0;

	differences[0] = '\0';
	dumped.on_signalled = compare_with_preview;

	if (c->prepare)
		c->prepare();
	if (c->processes[0].pid != 0)
		put_processes(c->processes, PROCESSES_MAX);
	else
		put_processes(usual, ARRAY_SIZE(usual));
	for (size_t i = 0; i < STEPS_MAX && c->steps[i].reading.available > 0; i++) {
		const struct step *step = &c->steps[i];

		for (size_t k = 0; k < EXITS_MAX && step->exits[k] != 0; k++)
			dumped_machine_exit(step->exits[k]);
		if (step->change)
			step->change();
		dumped_machine_read(&step->reading);
		if (i == 0)
			dumped_machine_start(c->config);
		n_wrong += !take_step(c, step);
	}
	if (n_wrong > 0)
		fail_msg("%s: %u steps are not as expected; it said:\n%s", c->name, n_wrong,
			 dumped.said);
	assert_string_equal(dumped.plan, c->plan ? c->plan : "");
	assert_string_equal(tell_history(history, sizeof(history)), c->history ? c->history : "");
	assert_string_equal(differences, "");
	if (c->says && !strstr(dumped.said, c->says))
		fail_msg("%s: \"%s\" is not in:\n%s", c->name, c->says, dumped.said);
}

/* Shared memory has grown, and the survey that would name its holder does not come: a kill waits
 * for it for some time, and one choice is made before and one after it. */
static void test_a_choice_is_not_repeated_while_it_waits(void **state)
{
	put_processes(usual, ARRAY_SIZE(usual));
	dumped_machine_put(&(struct dumped_process){ .pid = 300,
						     .comm = "vault",
						     .anon = 3000,
						     .cgroup = "/app.slice/vault.scope",
						     .oom_score_adj = -1000 });
	dumped_machine_read(&(struct dumped_reading){ .at = 0, .available = 3100 });
	dumped_machine_start(KILL);
	dumped_machine_tick();
	dumped.survey_hangs = true;
	dumped_machine_read(
		&(struct dumped_reading){ .at = 1000, .available = 300, .tmpfs = 2800 });
	dumped_machine_tick();
	assert_string_equal(dumped.sent, "KILL 301");
	assert_int_equal(dumped.n_choices, 2);
	assert_in_range(dumped.n_turns, 50, 150);
}

static int setup(void **state)
{
	log_set_target(LOG_TARGET_CONSOLE);
	log_set_max_level(LOG_INFO);
	return dumped_machine_new();
}

static int teardown(void **state)
{
	dumped_machine_free();
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

static struct CMUnitTest tests[CASES_MAX];
static size_t n_tests;

static void add_cases(const struct tick_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert(n_tests < CASES_MAX);
		tests[n_tests++] = (struct CMUnitTest){ cases[i].name, run_case, setup, teardown,
							(void *)&cases[i] };
	}
}

int main(void)
{
	add_cases(tick_cases_kill, n_tick_cases_kill);
	add_cases(tick_cases_choice, n_tick_cases_choice);
	add_cases(tick_cases_machine, n_tick_cases_machine);
	tests[n_tests++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
		test_a_choice_is_not_repeated_while_it_waits, setup, teardown);
	return _cmocka_run_group_tests("tick", tests, n_tests, NULL, NULL);
}
