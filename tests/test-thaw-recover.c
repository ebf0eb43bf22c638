/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thaw-state: frozen victims, and what a daemon that starts finds and freezes again.  Ticks are
 * called by hand; frozen groups are real.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/service.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"
#include "tests/thaw-state-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* FREEZING it may be for ever, if v2 has stopped its processes first: freeze_task() comes once. */
static bool is_to_be_frozen_v1(const char *below)
{
	char path[512], text[16] = "";

	snprintf(path, sizeof(path), "%s/freezer.self_freezing", path_of(below));
	(void)io_read_at(mount_fd(true), path, text, sizeof(text));
	return text[0] == '1';
}

#define NOT_NOW "[Policy now]\nMemoryAvailable=0%\nAction=kill\n"

static void let_the_emergency_pass(void)
{
	struct policy *now = policy_set_policy(&test.manager->config->policies, "now");

	now->memory_available.permyriad = 0;
}

/* Both at once: what is owed is entered before it is thawed, without allocation, and struck. */
static void test_both_hierarchies_are_entered_and_frozen_again(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, false);
	sibling = spawn(4, false);
	freeze(false, "", true);
	assert_soon(is_frozen(false, "/g"));
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(KILL_NOW);
	one_tick();
	if (FAIL_MALLOC_WORKS)
		assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(n_owed(), 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(test.manager->in_flight->decision.kill.refrozen, 2);
	assert_int_equal(n_owed(), 0);
	assert_true(is_to_be_frozen_v1("/g"));
	freeze(true, "/g", false);
	assert_soon(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

/* Runs a daemon in a child up to its first signal, and kills it there. */
static void kill_a_daemon(const char *more)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		test.manager = new_manager(more);
		one_tick();
		byte = (char)test.n_signals;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(byte, 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* In one hierarchy or in both. */
static void check_recovery_at_start(bool v2, bool v1)
{
	pid_t victim, sibling;

	make_groups(v1);
	victim = spawn(12, false);
	sibling = spawn(4, false);
	if (v2) {
		freeze(false, "/g", true);
		assert_soon(is_frozen(false, "/g"));
	}
	if (v1) {
		freeze(true, "", true);
		assert_soon(is_frozen(true, "/g"));
	}
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_soon(!is_frozen(false, "/g") && !is_frozen(true, "/g"));

	test.manager = new_manager(NOT_NOW);
	if (v1) {
		assert_true(is_to_be_frozen_v1(""));
		freeze(true, "", false);
	}
	if (v2)
		assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_owed(), 0);
	assert_true(is_alive(sibling));
}

static void test_recover_v2(void **state)
{
	check_recovery_at_start(true, false);
}

static void test_recover_v1(void **state)
{
	check_recovery_at_start(false, true);
}

static void test_recover_both(void **state)
{
	check_recovery_at_start(true, true);
}

/* A victim that lives on keeps its group thawed, with the next daemon too. */
static void test_recover_waits_for_a_victim_that_is_still_exiting(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(TERM_NOW);
	test.manager = new_manager(NOT_NOW);
	assert_int_equal(n_owed(), 1);
	one_tick();
	assert_false(is_frozen(false, "/g"));
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
	one_tick();
	assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_owed(), 0);
}

/* And it is frozen again when that one gets SIGTERM. */
static void test_recover_then_stop(void **state)
{
	make_groups(false);
	(void)spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(TERM_NOW);
	test.manager = new_manager(NOT_NOW);
	assert_false(is_frozen(false, "/g"));
	test.manager = manager_free(test.manager);
	assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_entries_left(), 0);
}

/* A group of the same name is another's now. */
static void test_recover_leaves_another_group_alone(void **state)
{
	pid_t victim, other;

	make_groups(false);
	victim = spawn(12, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(waitpid(victim, NULL, 0), victim);
	test.n_children--;
	assert_soon(group_is_removed(mount_fd(false), path_of("/g")));
	assert_return_code(mkdirat(mount_fd(false), path_of("/g"), 0755), errno);
	other = spawn(4, false);
	test.manager = new_manager(NOT_NOW);
	usleep(50000);
	assert_false(is_frozen(false, "/g"));
	assert_true(is_alive(other));
	assert_int_equal(n_owed(), 0);
}

static void test_dry_run_does_not_touch_the_file(void **state)
{
	struct config_options options = { .config_file = test.config, .dry_run = true };
	pid_t victim;

	make_groups(false);
	victim = spawn(12, false);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(manager_new(&options, false, &ops, &test.manager), 0);
	assert_null(test.manager->in_flight->ledger);
	assert_false(is_frozen(false, "/g"));
	test.manager = manager_free(test.manager);
	assert_int_equal(n_entries_left(), 1);
}

/* A configuration that ends the dry run: what an earlier daemon left thawed is frozen again now. */
static void test_a_dry_run_is_switched_off(void **state)
{
	struct config_options options = { .config_file = test.config };
	_cleanup_free_ char *errors = NULL;
	FILE *f;

	make_groups(false);
	(void)spawn(12, false);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	f = fopen(test.config, "we");
	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\nDryRun=yes\n", test.subtree);
	fclose(f);
	assert_soon(!is_frozen(false, "/g"));
	assert_int_equal(manager_new(&options, false, &ops, &test.manager), 0);
	assert_null(test.manager->in_flight->ledger);
	assert_false(is_frozen(false, "/g"));
	f = fopen(test.config, "we");
	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n", test.subtree);
	fputs(NOT_NOW, f);
	fclose(f);
	assert_int_equal(service_reload(test.manager->monitor, &errors), 0);
	assert_non_null(test.manager->in_flight->ledger);
	assert_int_equal(n_owed(), 0);
	assert_soon(is_frozen(false, "/g"));
}

/* A frozen process is not waited for to handle its SIGTERM; one that may be thawed later, is. */
static void test_what_cannot_be_thawed_gets_sigkill(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW);
	test.thaw_result = -EACCES;
	one_tick();
	assert_int_equal(test.n_signals, 1);
	test.thaw_result = 0;
	one_tick(); /* it is now */
	assert_soon(!is_frozen(false, "/g"));
	one_tick();
	assert_int_equal(test.n_signals, 1);

	test.thaw_result = -EACCES;
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* The grace is for a process that can use it. */
static void test_time_in_which_it_is_frozen_does_not_count(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager =
		new_manager("[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=500ms\n");
	one_tick();
	assert_soon(!is_frozen(false, "/g"));
	test.manager->in_flight->decision.kill.signalled_at -= USEC_PER_SEC; /* a second of it */
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.manager->in_flight->decision.kill.n_thawed_again, 1);
	assert_true(test.manager->in_flight->decision.kill.frozen_usec >= USEC_PER_SEC);
	assert_soon(!is_frozen(false, "/g"));
	one_tick();
	assert_int_equal(test.n_signals, 1);

	usleep(600000); /* all of its grace */
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* Not for ever, and then there is nothing to wait for. */
static void test_thawing_again_is_bounded(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW);
	one_tick();
	for (unsigned i = 1; i <= 8; i++) {
		freeze(false, "/g", true);
		one_tick();
		assert_int_equal(test.manager->in_flight->decision.kill.n_thawed_again, i);
		assert_soon(!is_frozen(false, "/g"));
	}
	assert_int_equal(test.n_signals, 1);
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 2); /* SIGKILL, within the grace */
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* Frozen for the first time when it has had SIGTERM already. */
static void test_frozen_meanwhile_is_thawed_and_frozen_again(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, true);
	sibling = spawn(4, false);
	test.manager = new_manager(TERM_NOW);
	one_tick();
	assert_int_equal(n_owed(), 0);
	freeze(true, "/g", true);
	one_tick();
	assert_soon(!is_frozen(true, "/g"));
	assert_int_equal(n_owed(), 1);
	assert_int_equal(kill(victim, SIGKILL), 0);
	wait_for_outcome();
	assert_soon(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
}

/* The loop is woken by cgroup.events, once for each change. */
static void test_thaw_wakes_the_loop(void **state)
{
	struct manager *m;
	int enabled;

	make_groups(false);
	(void)spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	m = test.manager = new_manager(TERM_NOW);
	assert_int_equal(sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_OFF), 0);
	if (m->monitor->psi_source)
		assert_int_equal(sd_event_source_set_enabled(m->monitor->psi_source, SD_EVENT_OFF),
				 0);
	assert_int_equal(sd_event_run(m->monitor->event, 0), 0); /* nothing to wait for */
	assert_int_equal(sd_event_source_set_time(m->monitor->timer, 0), 0);
	assert_int_equal(sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_ONESHOT), 0);
	while (m->regime->state != REGIME_KILLING)
		assert_int_equal(sd_event_run(m->monitor->event, 10 * USEC_PER_SEC), 1);
	assert_int_equal(sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_OFF), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sd_event_run(m->monitor->event, 10 * USEC_PER_SEC), 1);
		/* the timer is set by the sample that follows */
		assert_int_equal(sd_event_source_get_enabled(m->monitor->timer, &enabled), 1);
		assert_int_equal(sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_OFF), 0);
		/* it does not continue for ever: at most once more, for what was thawed again */
		for (int n = 0; sd_event_run(m->monitor->event, 100 * USEC_PER_MSEC) > 0; n++) {
			assert_true(n < 3);
			assert_int_equal(
				sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_OFF), 0);
		}
		assert_false(is_frozen(false, "/g"));
		freeze(false, "/g", true); /* the next round */
	}
	let_the_emergency_pass();
	test.manager->in_flight->decision.kill.signalled_at -= 2 * 60 * USEC_PER_SEC;
	test.manager->in_flight->decision.kill.n_thawed_again = 0;
	one_tick();
	freeze(false, "/g", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_hierarchies_are_entered_and_frozen_again),
		TEST(test_recover_v2),
		TEST(test_recover_v1),
		TEST(test_recover_both),
		TEST(test_recover_waits_for_a_victim_that_is_still_exiting),
		TEST(test_recover_then_stop),
		TEST(test_recover_leaves_another_group_alone),
		TEST(test_dry_run_does_not_touch_the_file),
		TEST(test_a_dry_run_is_switched_off),
		TEST(test_what_cannot_be_thawed_gets_sigkill),
		TEST(test_time_in_which_it_is_frozen_does_not_count),
		TEST(test_thawing_again_is_bounded),
		TEST(test_frozen_meanwhile_is_thawed_and_frozen_again),
		TEST(test_thaw_wakes_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
