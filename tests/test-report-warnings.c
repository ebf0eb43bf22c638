/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report: warnings, failures and what the daemon lacks; entries and their fields. */
#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "daemon/record/report.h"
#include "lib/history/event.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"
#include "tests/report-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* One warning for consecutive samples; watching and calm when that changes; a kill warns enough. */
static void test_warnings_are_logged_once(void **state)
{
	struct manager *m = test.m;

	m->reporter->warned = false;
	test.judgement.policy = &test.policy;
	report(m->reporter, REPORT_NOTHING, &test.judgement, REGIME_CALM, NOW);
	check_said(
		"Watching: 25.0% of 8.0 GiB available, no swap, stalled 0.0% of the last second.\n");
	check_said("Memory is low: 25.0% of 8.0 GiB available, no swap (policy now).\n");
	say(REPORT_NOTHING);
	assert_string_equal(test.said, "");

	m->regime->state = REGIME_CALM;
	test.judgement.policy = NULL;
	report(m->reporter, REPORT_NOTHING, &test.judgement, REGIME_WATCH, NOW);
	check_said("Calm again: ");
	assert_false(m->reporter->warned);

	m->regime->state = REGIME_WATCH;
	test.judgement.policy = &test.policy;
	test.said[0] = '\0';
	report(m->reporter, REPORT_SIGNALLED, &test.judgement, REGIME_WATCH, NOW);
	check_said("Killing leak");
	check_not_said("Memory is low: ");
}

static void test_debugging_logs_each_sample(void **state)
{
	say(REPORT_NOTHING);
	assert_string_equal(test.said, "");
	log_set_max_level(LOG_DEBUG);
	say(REPORT_NOTHING);
	check_said("sample: watch, 25.0% of 8.0 GiB available, no swap, policy none\n");
	test.judgement.policy = &test.policy;
	say(REPORT_NOTHING);
	check_said("policy now\n");
}

static void test_failures_are_logged_once_in_a_while(void **state)
{
	static const char line[] =
		"Cannot read memory or processes: Input/output error; trying again.\n";

	for (usec_t second = 0; second < 10; second++)
		report_sample_failed(test.m->reporter, -EIO, NOW + second * USEC_PER_SEC);
	assert_string_equal(test.said, line);
	test.said[0] = '\0';
	report_sample_failed(test.m->reporter, -EIO, NOW + 10 * USEC_PER_SEC);
	assert_string_equal(test.said, line);
}

struct entry_case {
	enum log_target target;
	int max_level;
	bool has_line, has_entry;
};

static void test_entries_and_lines_are_sent_to_their_target(void **state)
{
	static const struct entry_case cases[] = {
		{ LOG_TARGET_CONSOLE, LOG_INFO, true, false },
		{ LOG_TARGET_JOURNAL, LOG_INFO, false, true },
		{ LOG_TARGET_JOURNAL, LOG_ERR, false, false }, /* a kill is a warning */
		{ LOG_TARGET_NULL, LOG_INFO, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		log_set_target(cases[i].target);
		log_set_max_level(cases[i].max_level);
		test.entry[0] = '\0';
		say(REPORT_SIGNALLED);
		assert_true((strstr(test.said, "Killing") != NULL) == cases[i].has_line);
		assert_true((test.entry[0] != '\0') == cases[i].has_entry);
	}
}

static bool entry_has(const char *field)
{
	const char *found = strstr(test.entry, field);

	return found && (found == test.entry || found[-1] == '\n') && found[strlen(field)] == '\n';
}

static void test_an_entry_has_its_fields(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	log_set_target(LOG_TARGET_JOURNAL);
	strcpy(d->cgroup, "/system.slice/db.service");
	say(REPORT_SIGNALLED);
	assert_true(entry_has("MESSAGE_ID=" MESSAGE_ID_SIGNALLED));
	assert_true(entry_has("RECKOND_VICTIM_PID=812"));
	assert_true(entry_has("RECKOND_SIGNAL=SIGKILL"));
	assert_true(entry_has("RECKOND_DRY_RUN=no"));
	assert_true(entry_has("RECKOND_APPROXIMATE=no"));
	assert_true(entry_has("RECKOND_RECLAIMED=1073741824")); /* available has risen by 1 GiB */
	assert_true(entry_has("RECKOND_VICTIM_CGROUP=/system.slice/db.service"));
	assert_true(entry_has("RECKOND_VICTIM_FOOTPRINT=536870912"));
	assert_true(entry_has("RECKOND_TARGET_CGROUP="));
	assert_true(entry_has("RECKOND_OUTCOME=exited"));
	assert_true(entry_has("OBJECT_SYSTEMD_UNIT=db.service"));
	assert_null(strstr(test.entry, "OBJECT_SYSTEMD_USER_UNIT"));

	d->dry_run = d->approximate = d->kill.ineffective = true;
	d->kill.signal = 0;
	strcpy(d->cgroup, "/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope");
	say(REPORT_DRY_RUN);
	assert_true(entry_has("MESSAGE_ID=" MESSAGE_ID_DRY_RUN));
	assert_true(entry_has("RECKOND_SIGNAL=none"));
	assert_true(entry_has("RECKOND_DRY_RUN=yes"));
	assert_true(entry_has("RECKOND_APPROXIMATE=yes"));
	assert_true(entry_has("RECKOND_INEFFECTIVE=yes"));
	assert_true(entry_has("OBJECT_SYSTEMD_USER_UNIT=app.scope"));

	strcpy(d->cgroup, "/");
	say(REPORT_SIGNALLED);
	assert_null(strstr(test.entry, "OBJECT_SYSTEMD"));
}

/* Each row of the table that has a name in the journal, once, and nothing else. */
static void test_an_entry_has_all_fields_of_the_table(void **state)
{
	static const enum report_event events[] = {
		REPORT_SIGNALLED,   REPORT_DRY_RUN,	   REPORT_ESCALATED, REPORT_FINISHED,
		REPORT_CANNOT_OPEN, REPORT_CANNOT_CONFIRM, REPORT_SPARED,    REPORT_CANCELLED,
	};

	log_set_target(LOG_TARGET_JOURNAL);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		unsigned n = 0, n_expected = 0;

		say(events[i]);
		for (const char *at = test.entry; (at = strstr(at, "RECKOND_")); at++)
			n++;
		for (size_t row = 0; row < n_event_fields; row++) {
			char name[64];

			if (!history_fields[row].journal)
				continue;
			n_expected++;
			snprintf(name, sizeof(name), "\n%s=", history_fields[row].journal);
			if (!strstr(test.entry, name))
				fail_msg("there is no %s", history_fields[row].journal);
		}
		assert_int_equal(n, n_expected);
		assert_true(n > 20);
	}
}

/* What was found at start: each lack has its line, and is kept for MissingPrivileges, or for
 * Limitations where no privilege would help. */
struct lack {
	void (*apply)(struct probe_results *a, struct manager *m);
	const char *says, *says_not;
	unsigned n_privileges, n_limitations;
};

#define LACK(name) static void name(struct probe_results *a, struct manager *m)

LACK(nothing_lacks)
{
	m->sampler->domain.has_psi = true;
	a->self_test_reaped = true;
}
LACK(no_psi)
{
	a->self_test_reaped = true;
}
LACK(coarse_trigger)
{
	nothing_lacks(a, m);
	a->psi_trigger_error = -EPERM;
}
LACK(no_trigger)
{
	coarse_trigger(a, m);
	a->psi_fallback_error = -EINVAL;
}
LACK(no_capabilities)
{
	nothing_lacks(a, m);
	a->missing_capabilities = UINT64_MAX;
}
LACK(no_kill)
{
	nothing_lacks(a, m);
	a->missing_capabilities = (uint64_t)1 << CAP_KILL;
}
LACK(not_started_as_root)
{
	no_capabilities(a, m);
	a->is_unprivileged = true;
}
LACK(root_without_some)
{
	nothing_lacks(a, m);
	a->missing_capabilities = (uint64_t)1 << CAP_KILL | (uint64_t)1 << CAP_SYS_PTRACE;
}
LACK(root_of_a_namespace)
{
	no_capabilities(a, m);
	a->in_user_namespace = true;
}
LACK(in_namespace)
{
	nothing_lacks(a, m);
	a->in_user_namespace = true;
}
LACK(not_locked)
{
	nothing_lacks(a, m);
	a->memory_lock_error = -ENOMEM;
}
LACK(no_adj)
{
	nothing_lacks(a, m);
	a->oom_score_adj_error = -EACCES;
}
LACK(no_fifo)
{
	nothing_lacks(a, m);
	a->fifo_error = -EPERM;
}
LACK(ledger_is_taken)
{
	nothing_lacks(a, m);
	m->in_flight->ledger_error = -EBUSY;
}
LACK(ledger_on_disk)
{
	nothing_lacks(a, m);
	m->in_flight->ledger_error = -ENOTSUP;
}
LACK(ledger_is_denied)
{
	nothing_lacks(a, m);
	m->in_flight->ledger_error = -EACCES;
}
LACK(unreadable)
{
	nothing_lacks(a, m);
	m->sampler->census.n_unreadable = 3;
}
LACK(no_signal)
{
	nothing_lacks(a, m);
	a->self_test_result[KILL_STEP_SIGNAL] = -EPERM;
}
LACK(signal_fails)
{
	nothing_lacks(a, m);
	a->self_test_result[KILL_STEP_SIGNAL] = -EINVAL;
}
LACK(no_signal_in_a_dry_run)
{
	no_signal(a, m);
	m->config->policies.dry_run = true;
}
LACK(no_thaw)
{
	nothing_lacks(a, m);
	a->thaw_error[0] = a->thaw_error[1] = -EROFS;
}
LACK(child_is_stuck)
{
	nothing_lacks(a, m);
	a->self_test_stuck = true;
}
LACK(no_reap)
{
	m->sampler->domain.has_psi = true;
}
LACK(doubtful)
{
	nothing_lacks(a, m);
	m->sampler->domain.reading.doubts = MEMORY_DOUBT_SWAP | MEMORY_DOUBT_EVENTS;
}
LACK(scoped)
{
	static char subtree[] = "/tenant";

	nothing_lacks(a, m);
	m->config->policies.subtree = subtree;
}
LACK(swap_on_zram)
{
	nothing_lacks(a, m);
	m->sampler->domain.reading.swap_total = GIB;
	m->sampler->domain.reading.counters.zram_disksize = GIB;
	m->sampler->domain.reading.counters.arc_size = GIB;
}

static const struct lack lacks[] = {
	{ nothing_lacks, "pressure: PSI, trigger at some 70 ms in 1 s\n", "missing privilege:", 0,
	  0 },
	{ nothing_lacks, "swap: none\n", "limitation:", 0, 0 },
	{ nothing_lacks, "swap: none\n", "subtree", 0, 0 },
	{ nothing_lacks, "history: not kept over a restart", "dry run", 0, 0 },
	{ no_psi, "pressure: no PSI on this kernel", "missing privilege:", 0, 0 },
	{ coarse_trigger, "150 ms in 2 s (finer: Operation not permitted), and by the timer\n",
	  "missing privilege:", 0, 0 },
	{ no_trigger, "pressure: PSI by the timer alone (trigger: Invalid argument)\n",
	  "missing privilege:", 0, 0 },
	{ no_capabilities, "missing privilege: may not raise priorities (CAP_SYS_NICE)", NULL, 6,
	  0 },
	{ no_kill, "missing privilege: may not kill processes of other users", "CAP_SYS_NICE", 1,
	  0 },
	{ not_started_as_root,
	  "To have these privileges, run reckond as root: systemctl start reckond, or sudo "
	  "reckond.\n",
	  "CapabilityBoundingSet=", 6, 0 },
	{ root_without_some, "or grant to the container: CAP_KILL CAP_SYS_PTRACE\n", "as root", 2,
	  0 },
	{ root_of_a_namespace, "CAP_KILL", "To have", 7, 0 },
	{ nothing_lacks, "swap: none\n", "To have", 0, 0 },
	{ in_namespace, "missing privilege: in a user namespace: ", NULL, 1, 0 },
	{ not_locked,
	  "missing privilege: own memory is not locked: Cannot allocate memory (LimitMEMLOCK=",
	  NULL, 1, 0 },
	{ no_adj, "missing privilege: own oom_score_adj is not -1000: Permission denied\n", NULL, 1,
	  0 },
	{ no_fifo, "missing privilege: reapers run at normal priority: ", NULL, 1, 0 },
	{ ledger_is_taken, "runtime directory: another reckond has it\n", "missing privilege:", 0,
	  1 },
	{ ledger_on_disk, "runtime directory: not on a tmpfs\n", NULL, 0, 1 },
	{ ledger_is_denied, "missing privilege: groups that are thawed", "limitation:", 1, 0 },
	{ unreadable, "missing privilege: 3 processes cannot be read and will not be chosen\n",
	  NULL, 1, 0 },
	{ no_signal, "missing privilege: self-test could not signal: Operation not permitted\n",
	  NULL, 1, 0 },
	{ signal_fails, "limitation: self-test could not signal: Invalid argument\n",
	  "missing privilege:", 0, 1 },
	{ no_signal_in_a_dry_run, "dry run: no process will be killed.\n", "missing privilege:", 0,
	  0 },
	{ no_thaw, "missing privilege: may not thaw frozen groups (v1): Read-only file system\n",
	  NULL, 2, 0 },
	{ child_is_stuck, "limitation: the child of the self-test does not exit",
	  "missing privilege:", 0, 1 },
	{ no_reap, "limitation: process_mrelease does not work here", "missing privilege:", 0, 1 },
	{ doubtful, "limitation: /proc/meminfo contradicts itself: SwapFree",
	  "missing privilege:", 0, 2 },
	{ scoped, ", subtree /tenant\n", NULL, 0, 0 },
	{ swap_on_zram, "swap: 1.0 GiB, on zram; ZFS ARC that can shrink counts as available\n",
	  NULL, 0, 0 },
};

static void test_lacks_are_logged_and_kept(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lacks); i++) {
		const struct probe_results *probed;

		teardown(state);
		assert_int_equal(setup(state), 0);
		probed = test.m->probed;
		lacks[i].apply(test.m->probed, test.m);
		report_start(test.m->reporter, test.m->tick->history_store);
		check_said(lacks[i].says);
		if (lacks[i].says_not)
			check_not_said(lacks[i].says_not);
		assert_int_equal(probed->missing_privileges.n, lacks[i].n_privileges);
		assert_int_equal(probed->limitations.n, lacks[i].n_limitations);
	}
}

static void test_doubts_are_logged_once_each(void **state)
{
	struct manager *m = test.m;

	m->sampler->domain.reading.doubts = MEMORY_DOUBT_SWAP;
	report_doubts(m->reporter);
	report_doubts(m->reporter);
	m->sampler->domain.reading.doubts = MEMORY_DOUBT_SWAP | MEMORY_DOUBT_AVAILABLE;
	report_doubts(m->reporter);
	m->sampler->domain.reading.doubts = 0;
	report_doubts(m->reporter);
	assert_int_equal(m->probed->limitations.n, 2);
	assert_string_equal(m->probed->limitations.lines[0],
			    memory_doubt_to_string(MEMORY_DOUBT_SWAP));
	assert_string_equal(m->probed->limitations.lines[1],
			    memory_doubt_to_string(MEMORY_DOUBT_AVAILABLE));
}

/* It is in the log at least; what is kept is whole. */
static void test_a_lack_that_there_is_no_memory_for(void **state)
{
	struct manager *m = test.m;

	(void)m;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (unsigned n = 0; n < 2; n++) {
		m->sampler->domain.reading.doubts = 1U << n;
		n_mallocs_allowed = n;
		fail_malloc = true;
		report_doubts(m->reporter);
		fail_malloc = false;
		check_said(memory_doubt_to_string((enum memory_doubt)(1U << n)));
		assert_int_equal(m->probed->limitations.n, 0);
	}
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_warnings_are_logged_once),
		TEST(test_debugging_logs_each_sample),
		TEST(test_failures_are_logged_once_in_a_while),
		TEST(test_entries_and_lines_are_sent_to_their_target),
		TEST(test_an_entry_has_its_fields),
		TEST(test_an_entry_has_all_fields_of_the_table),
		TEST(test_lacks_are_logged_and_kept),
		TEST(test_doubts_are_logged_once_each),
		TEST(test_a_lack_that_there_is_no_memory_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
