/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/policy-builtin.c: what the built-in rules protect and at which level; and
 * the defaults.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "lib/config/policy.h"
#include "lib/domain/domain.h"
#include "tests/fail-malloc.h"
#include "tests/policy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_init_defaults_has_the_documented_policies(void **state)
{
	static const struct {
		const char *name;
		unsigned memory, swap, full, thrashing;
		usec_t for_usec;
		enum policy_action action;
	} cases[] = {
		{ "warn", 1500, 2500, 0, 0, 0, POLICY_ACTION_WARN },
		{ "terminate", 1000, 1000, 0, 0, 0, POLICY_ACTION_TERMINATE },
		{ "kill", 500, 500, 0, 0, 0, POLICY_ACTION_KILL },
		{ "stall", 400, 0, 2500, 1500, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
		{ "thrash", 2000, 0, 4000, 1000, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	assert_false(set.dry_run);
	assert_string_equal(set.subtree, "/");
	assert_true(set.watch_below.set && !set.watch_below.is_size);
	assert_int_equal(set.watch_below.permyriad, 3000);
	assert_int_equal(set.kill_timeout_usec, 2 * USEC_PER_SEC);
	assert_int_equal(set.n_policies, ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct policy *policy = &set.policies[i];

		assert_string_equal(policy->name, cases[i].name);
		assert_true(policy->memory_available.set && !policy->memory_available.is_size);
		assert_int_equal(policy->memory_available.permyriad, cases[i].memory);
		assert_int_equal(policy->swap_free.set, cases[i].swap > 0);
		assert_int_equal(policy->swap_free.permyriad, cases[i].swap);
		assert_int_equal(policy->pressure_some, 0);
		assert_int_equal(policy->pressure_full, cases[i].full);
		assert_int_equal(policy->thrashing, cases[i].thrashing);
		assert_int_equal(policy->for_usec, cases[i].for_usec);
		assert_int_equal(policy->action, cases[i].action);
		assert_int_equal(policy->rank_by, POLICY_RANK_BY_FOOTPRINT);
		assert_int_equal(policy->grace_usec, 5 * USEC_PER_SEC);
	}
}

/* Each name in "^(one|two)$" or "^one$", without its escapes. */
static void assert_names_fit(const struct rule *rule)
{
	const char *p = rule->comm_pattern;
	unsigned n_names = 0;
	size_t length = 0;

	for (p += strspn(p, "^("); *p != '\0'; p++) {
		if (*p == '\\') {
			length++;
			p++;
		} else if (!strchr("|)$", *p)) {
			length++;
		} else {
			if (length > 15)
				fail_msg("%s: a name of %zu bytes before '%s'", rule->name, length,
					 p);
			n_names += length > 0;
			length = 0;
		}
	}
	assert_true(n_names > 0);
}

static void test_builtin_rules_are_well_formed(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	assert_true(set.n_rules >= 12);
	for (size_t i = 0; i < set.n_rules; i++) {
		const struct rule *rule = &set.rules[i];

		assert_true(rule->builtin && !rule->disabled);
		assert_true(strlen(rule->name) <= CONF_NAME_MAX);
		assert_true(!rule->comm_pattern != !rule->cgroup);
		assert_int_equal(rule->uid, 0);
		if (rule->comm_pattern) {
			assert_names_fit(rule);
			/* plain lists: no regex, no memory, no allocation in the match */
			assert_null(rule->comm);
			continue;
		}
		for (const char *glob = rule->cgroup; *glob != '\0';) {
			assert_int_equal(*glob, '/');
			glob += strcspn(glob, " ");
			glob += strspn(glob, " ");
		}
		for (size_t k = 0; k < i; k++)
			if (set.rules[k].kind == rule->kind)
				assert_string_not_equal(set.rules[k].name, rule->name);
	}
}

#define MANAGER "/user.slice/user-1000.slice/user@1000.service"
#define LOGIN	"/user.slice/user-1000.slice/session-3.scope"

static const struct {
	const char *comm, *cgroup;
	uid_t uid;
	const char *rule; /* NULL: may be a victim */
} protected_by_builtin_rules[] = {
	{ "systemd", "/init.scope", 0, "init-unit" },
	{ "systemd", MANAGER "/init.scope", 1000, "systemd-user" },
	{ "(sd-pam)", MANAGER "/init.scope", 1000, "systemd-user" },
	{ "systemd", "/user.slice/user-0.slice/user@0.service/init.scope", 0, "systemd" },
	{ "gnome-shell", MANAGER "/session.slice/org.gnome.Shell@wayland.service", 1000,
	  "session-unit" },
	{ "plasmashell", MANAGER "/session.slice/plasma-plasmashell.service", 1000,
	  "session-unit" },
	{ "systemd-journal", "/system.slice/systemd-journald.service", 0, "systemd-unit" },
	{ "systemd-resolve", "/system.slice/systemd-resolved.service", 991, "systemd-unit" },
	{ "(udev-worker)", "/system.slice/systemd-udevd.service/udev", 0, "systemd-unit" },
	{ "dbus-daemon", "/system.slice/dbus.service", 100, "bus-unit" },
	{ "sddm", "/system.slice/sddm.service", 0, "display-unit" },
	{ "Xorg", "/system.slice/lightdm.service", 0, "display-unit" },
	{ "gdm3", "/system.slice/gdm3.service", 0, "display-unit" },
	{ "dockerd", "/system.slice/docker.service", 0, "containers-unit" },
	{ "NetworkManager", "/system.slice/NetworkManager.service", 0, "network-unit" },
	{ "reckond", "/system.slice/reckond.service", 0, "reckond-unit" },
	/* without systemd, or all in one subtree */
	{ "init", "/", 0, "init" },
	{ "supervise-daemo", "/", 0, "init" },
	{ "systemd-logind", "/", 0, "systemd" },
	{ "(sd-pam)", "/", 1000, "systemd-user" },
	{ "swaylock", LOGIN, 1000, "locker" },
	{ "apt-get", LOGIN, 0, "packages" },
	{ "fwupd", "/system.slice/fwupd.service", 0, "packages" },
	{ "flatpak-system-", "/system.slice/flatpak-system-helper.service", 0, "packages" },
	{ "dbus-broker-lau", "/", 1000, "bus" },
	{ "Xorg", LOGIN, 1000, "display" },
	{ "sway", LOGIN, 1000, "compositor" },
	{ "Hyprland", LOGIN, 1000, "compositor" },
	{ "gnome-session-b", LOGIN, 1000, "session" },
	{ "cinnamon-sessio", LOGIN, 1000, "session" },
	{ "agetty", "/system.slice/system-getty.slice/getty@tty1.service", 0, "login" },
	{ "sshd", "/system.slice/ssh.service", 0, "ssh" },
	{ "sshd", "/user.slice/user-0.slice/session-1.scope", 0, "ssh" },
	{ "containerd-shim", "/", 0, "containers" },
	{ "kubelet", "/runtime.slice/kubelet.service", 0, "containers" },
	/* all other processes */
	{ "firefox", MANAGER "/app.slice/app-firefox-1.scope", 1000, NULL },
	{ "tail", LOGIN, 1000, NULL },
	{ "bash", LOGIN, 1000, NULL },
	{ "bash", "/system.slice/ssh.service", 1000, NULL },
	{ "sshd", LOGIN, 1000, NULL }, /* the user's own part; or any process's claim */
	{ "init", LOGIN, 1000, NULL },
	{ "apt", LOGIN, 1000, NULL },
	{ "x", MANAGER "/init.scope", 1000, NULL }, /* the user's own to fill */
	{ "qtile", LOGIN, 1000, NULL },		    /* a script */
	{ "java", "/system.slice/docker-0123.scope", 0, NULL },
	{ "java", "/docker/0123", 0, NULL },
	{ "java", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope", 0, NULL },
	{ "systemd-coredum",
	  "/system.slice/system-systemd\\x2dcoredump.slice/systemd-coredump@1.service", 0, NULL },
	{ "mysqld", "/system.slice/mysql.service", 110, NULL },
	{ "x", "/user.slice/user-1000.slice/user@1000.service/session.slicer", 1000, NULL },
	{ "x", LOGIN "/session.slice", 1000, NULL },
	{ "gnome-session", LOGIN, 1000, NULL },
	{ "swaybg", LOGIN, 1000, NULL },
	{ "", "/", 0, NULL },
};

static void test_builtin_rules_protect_what_carries_session_and_machine(void **state)
{
	struct executable own = { .known = true, .is_roots = true, .is_of_system = true };
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(protected_by_builtin_rules); i++) {
		struct rule_subject subject = {
			.comm = protected_by_builtin_rules[i].comm,
			.cgroup = protected_by_builtin_rules[i].cgroup,
			.uid = protected_by_builtin_rules[i].uid,
			.executable = &own,
		};
		const char *expected = protected_by_builtin_rules[i].rule
					       ? protected_by_builtin_rules[i].rule
					       : "(none)";
		struct rule_verdict verdict;
		const char *name;

		/* It runs a program of its name: see test-executable for those that do not. */
		snprintf(own.name, sizeof(own.name), "%s", protected_by_builtin_rules[i].comm);
		policy_apply_rules(&set, &subject, &verdict);
		name = verdict.protected_by ? verdict.protected_by->name : "(none)";
		if (strcmp(name, expected) != 0)
			fail_msg("%s in %s of %u: by %s instead of %s", subject.comm,
				 subject.cgroup, subject.uid, name, expected);
	}
}

/* How strongly, and on which proof.  What matches by a name needs one; what users can fill has a
 * ceiling. */
#define NEVER	  RULE_PROTECTION_NEVER
#define RELUCTANT RULE_PROTECTION_RELUCTANT
#define AVOID	  RULE_PROTECTION_AVOID

static void test_builtin_rules_have_a_level(void **state)
{
	static const struct {
		const char *rule;
		enum rule_protection protection, above_ceiling;
		enum rule_proof proof;
		bool of_root;
	} rows[] = {
		{ "init-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "session-unit", RELUCTANT, AVOID, RULE_PROOF_FILE, false },
		{ "systemd-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "bus-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "display-unit", RELUCTANT, AVOID, RULE_PROOF_NONE, false },
		{ "containers-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "network-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "reckond-unit", NEVER, NEVER, RULE_PROOF_NONE, false },
		{ "init", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "systemd", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "systemd-user", NEVER, AVOID, RULE_PROOF_PROGRAM, false },
		{ "bus", NEVER, AVOID, RULE_PROOF_PROGRAM, false },
		{ "display", RELUCTANT, AVOID, RULE_PROOF_PROGRAM, false },
		{ "compositor", RELUCTANT, AVOID, RULE_PROOF_PROGRAM, false },
		{ "session", RELUCTANT, AVOID, RULE_PROOF_PROGRAM, false },
		{ "locker", NEVER, RELUCTANT, RULE_PROOF_PROGRAM, false },
		{ "packages", NEVER, RELUCTANT, RULE_PROOF_FILE, true },
		{ "login", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "ssh", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "containers", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "network", NEVER, NEVER, RULE_PROOF_FILE, true },
		{ "reckond", NEVER, NEVER, RULE_PROOF_FILE, true },
	};
	_cleanup_(policy_set_done) struct policy_set set;
	size_t n = 0;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < set.n_rules; i++) {
		const struct rule *rule = &set.rules[i];

		if (rule->kind != RULE_PROTECT)
			continue;
		assert_string_equal(rule->name, rows[n].rule);
		assert_int_equal(rule->protection, rows[n].protection);
		assert_int_equal(rule->above_ceiling, rows[n].above_ceiling);
		assert_int_equal(rule->proof, rows[n].proof);
		assert_int_equal(rule->has_uid, rows[n].of_root);
		assert_true(!rule->comm_pattern || rule->proof != RULE_PROOF_NONE);
		assert_int_equal(!rule->comm_pattern, !rule->place);
		n++;
	}
	assert_int_equal(n, ARRAY_SIZE(rows));
}

/* What a configuration file changes is as its author wrote it. */
static void test_rule_take_over_leaves_the_conditions_alone(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct rule_subject subject = { .comm = "sway", .cgroup = "/any", .uid = 1000 };
	struct rule_verdict verdict;
	struct rule *rule;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	policy_apply_rules(&set, &subject, &verdict);
	assert_null(verdict.protected_by);
	rule = policy_set_rule(&set, RULE_PROTECT, "compositor");
	rule_take_over(rule);
	policy_apply_rules(&set, &subject, &verdict);
	assert_ptr_equal(verdict.protected_by, rule);
	assert_false(rule->builtin || verdict.asks_executable);
	assert_int_equal(rule->protection, RULE_PROTECTION_NEVER);
	assert_int_equal(rule->above_ceiling, RULE_PROTECTION_NEVER);
	assert_true(verdict.weight >= 1 && verdict.weight <= 1);
}

/* The tick judges, and the census matches rules, when there may be no memory to allocate. */
static void test_judgement_and_builtin_rules_allocate_nothing(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	_cleanup_(domain_done) struct domain domain = { 0 };
	struct rule_subject subject = { .comm = "nobody", .cgroup = MANAGER "/app.slice/x.scope" };
	struct memory_reading memory = reading_of(0, SWAP, 0);
	struct policy_judgement judgement;
	struct rule_verdict verdict;
	struct psi_history history;
	struct policy_reading reading = { .memory = &memory, .psi = &history };

	if (!FAIL_MALLOC_WORKS) {
		print_message("skipped: the sanitizer has its own malloc()\n");
		skip();
	}
	assert_int_equal(policy_set_init_defaults(&set), 0);
	assert_int_equal(domain_change_policies(&domain, &(struct policy_set){ 0 }, &set), 0);
	stall(&history, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	n_mallocs = 0;
	fail_malloc = true;
	policy_apply_rules(&set, &subject, &verdict);
	domain_judge(&domain, &set, &reading, 1, &judgement);
	policy_interval(&set, &memory);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	assert_string_equal(judgement.policy->name, "kill");
}

static void test_rank_by_swap_needs_swap(void **state)
{
	static const struct {
		enum policy_rank_by rank_by, expected;
		uint64_t swap_total, swap_free;
		enum policy_target target;
	} rows[] = {
		{ POLICY_RANK_BY_SWAP, POLICY_RANK_BY_FOOTPRINT, 0, 0 },
		{ POLICY_RANK_BY_SWAP, POLICY_RANK_BY_FOOTPRINT, GIB, GIB },
		{ POLICY_RANK_BY_SWAP, POLICY_RANK_BY_SWAP, GIB, GIB - 4096 },
		{ POLICY_RANK_BY_GROWTH, POLICY_RANK_BY_GROWTH, 0, 0 },
		{ POLICY_RANK_BY_GROWTH, POLICY_RANK_BY_FOOTPRINT, 0, 0, POLICY_TARGET_CGROUP },
		{ POLICY_RANK_BY_SWAP, POLICY_RANK_BY_FOOTPRINT, GIB, 0, POLICY_TARGET_CGROUP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct policy policy = { .rank_by = rows[i].rank_by,
					       .target = rows[i].target };
		const struct memory_reading memory = { .swap_total = rows[i].swap_total,
						       .swap_free = rows[i].swap_free };

		assert_int_equal(policy_rank_by_now(&policy, &memory), rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_defaults_has_the_documented_policies),
		cmocka_unit_test(test_builtin_rules_are_well_formed),
		cmocka_unit_test(test_builtin_rules_protect_what_carries_session_and_machine),
		cmocka_unit_test(test_builtin_rules_have_a_level),
		cmocka_unit_test(test_rule_take_over_leaves_the_conditions_alone),
		cmocka_unit_test(test_rank_by_swap_needs_swap),
		cmocka_unit_test(test_judgement_and_builtin_rules_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
