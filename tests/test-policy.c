/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/policy.c and lib/config/policy-builtin.c: what the built-in rules protect,
 * how patterns and globs match, and the judgement over readings, pressure histories and a clock of
 * our own.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "lib/config/policy.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct policy *find_policy(struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i].name, name) == 0)
			return &set->policies[i];
	fail_msg("no policy %s", name);
	return NULL;
}

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
		assert_true(policy->holds_since == USEC_INFINITY);
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

static void test_builtin_rules_protect_what_carries_session_and_machine(void **state)
{
	static const struct {
		const char *comm, *cgroup;
		uid_t uid;
		const char *rule; /* NULL: may be a victim */
	} cases[] = {
		{ "systemd", "/init.scope", 0, "init-unit" },
		{ "systemd", MANAGER "/init.scope", 1000, "systemd-user" },
		{ "(sd-pam)", MANAGER "/init.scope", 1000, "systemd-user" },
		{ "systemd", "/user.slice/user-0.slice/user@0.service/init.scope", 0, "systemd" },
		{ "gnome-shell", MANAGER "/session.slice/org.gnome.Shell@wayland.service", 1000,
		  "session-unit" },
		{ "plasmashell", MANAGER "/session.slice/plasma-plasmashell.service", 1000,
		  "session-unit" },
		{ "systemd-journal", "/system.slice/systemd-journald.service", 0, "systemd-unit" },
		{ "systemd-resolve", "/system.slice/systemd-resolved.service", 991,
		  "systemd-unit" },
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
		  "/system.slice/system-systemd\\x2dcoredump.slice/systemd-coredump@1.service", 0,
		  NULL },
		{ "mysqld", "/system.slice/mysql.service", 110, NULL },
		{ "x", "/user.slice/user-1000.slice/user@1000.service/session.slicer", 1000, NULL },
		{ "x", LOGIN "/session.slice", 1000, NULL },
		{ "gnome-session", LOGIN, 1000, NULL },
		{ "swaybg", LOGIN, 1000, NULL },
		{ "", "/", 0, NULL },
	};
	struct executable own = { .known = true, .is_roots = true, .is_of_system = true };
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rule_subject subject = {
			.comm = cases[i].comm,
			.cgroup = cases[i].cgroup,
			.uid = cases[i].uid,
			.executable = &own,
		};
		const char *expected = cases[i].rule ? cases[i].rule : "(none)";
		struct rule_verdict verdict;
		const char *name;

		/* It runs a program of its name: see test-executable for those that do not. */
		snprintf(own.name, sizeof(own.name), "%s", cases[i].comm);
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

static bool apply_protects(struct policy_set *set, const char *comm, const char *cgroup, uid_t uid)
{
	struct rule_subject subject = { .comm = comm, .cgroup = cgroup, .uid = uid };
	struct rule_verdict verdict;

	policy_apply_rules(set, &subject, &verdict);
	return verdict.protected_by;
}

static struct rule *add_rule(struct policy_set *set, enum rule_kind kind, const char *name,
			     const char *comm)
{
	struct rule *rule = policy_set_rule(set, kind, name);
	char error[128];

	assert_non_null(rule);
	assert_int_equal(rule_set_comm(rule, comm, error, sizeof(error)), 0);
	return rule;
}

static void test_apply_rules_takes_the_strongest_protector(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };
	static const struct {
		const char *name;
		enum rule_protection protection, above_ceiling;
	} rules[] = {
		{ "soft", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
		{ "other", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
		{ "harder", RULE_PROTECTION_NEVER, RULE_PROTECTION_AVOID },
		{ "locker", RULE_PROTECTION_NEVER, RULE_PROTECTION_RELUCTANT },
		{ "never", RULE_PROTECTION_NEVER, RULE_PROTECTION_NEVER },
		{ "late", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
	};
	static const char *const strongest[] = {
		"soft", "soft", "harder", "locker", "never", "never",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct rule *rule = add_rule(&set, RULE_PROTECT, rules[i].name, "abc");
		struct rule_verdict verdict;

		rule->protection = rules[i].protection;
		rule->above_ceiling = rules[i].above_ceiling;
		policy_apply_rules(&set, &subject, &verdict);
		assert_string_equal(verdict.protected_by->name, strongest[i]);
		/* What it is worth above the ceiling. */
		assert_int_equal(verdict.weight < 1,
				 verdict.protected_by->above_ceiling == RULE_PROTECTION_AVOID);
	}
}

/* What a plain list matches must be what regcomp(3) would have matched. */
static void test_rule_set_comm_matches_as_regcomp_does(void **state)
{
	static const struct {
		const char *pattern;
		bool list;
	} patterns[] = {
		{ "^one$", true },
		{ "^(one)$", true },
		{ "^(one|two|three)$", true },
		{ "^(on|one|ones)$", true },
		{ "^\\(sd-pam\\)$", true },
		{ "^(a\\.b|\\$c)$", true },
		{ "^(tmux: server)$", true },
		{ "^one|two$", false },
		{ "one", false },
		{ "^one", false },
		{ "one$", false },
		{ "^(one|)$", false },
		{ "^(|one)$", false },
		{ "^$", false },
		{ "^()$", false },
		{ "^o.e$", false },
		{ "^(one|t.*)$", false },
		{ "^on\\w$", false },
		{ "^((one)|two)$", false },
		{ "^(one)(two)$", false },
		{ "^(one)?$", false },
		{ "^one+$", false },
		{ "^[ot]ne$", false },
		{ "^(one|^two)$", false },
		{ "", false },
		{ "^", false },
		{ "^o{1}ne$", false },
	};
	static const char *const names[] = {
		"",	"one",		"two",		"three", "on",	     "ones",	"xone",
		"onex", "onetwo",	"two",		"t",	 "(sd-pam)", "sd-pam",	"a.b",
		"axb",	"$c",		"tmux: server", "twox",	 "o",	     "one|two", "(one)",
		"one$", "\\(sd-pam\\)", "onee",		"tone",
	};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		_cleanup_(policy_set_done) struct policy_set set = {};
		const struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", patterns[i].pattern);
		regex_t regex;

		if (!rule->comm != patterns[i].list)
			fail_msg("%s: a list? %d", patterns[i].pattern, !rule->comm);
		assert_int_equal(regcomp(&regex, patterns[i].pattern, REG_EXTENDED | REG_NOSUB), 0);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			bool expected = regexec(&regex, names[k], 0, NULL, 0) == 0;

			if (apply_protects(&set, names[k], "/", 0) != expected)
				fail_msg("%s against '%s': not %d", patterns[i].pattern, names[k],
					 expected);
		}
		regfree(&regex);
	}
}

static void test_rule_set_comm_reports_what_is_wrong(void **state)
{
	static const struct {
		const char *pattern, *error;
	} cases[] = {
		{ "^(one", "nmatched" },
		{ "[a", "nmatched" },
		{ "*", "nvalid" },
		{ "a\\", "railing" },
		{ "a{2,1}", "nvalid" },
		{ "(a)\\1", "Back-references" },
		{ "(a)\\\\\\1", "Back-references" },
		{ "a\\\\1", NULL },
		/* regcomp(3) would take gigabytes */
		{ "((((a{99}){99}){99}){99}){99}", "repetitions" },
		{ "((((a{,99}){2,99}){99}){99}){99}", "repetitions" },
		{ "a{99}{99}{99}{99}", "repetitions" },
		{ "a{32767}", "repetitions" },
		{ "a{9999}b{9999}", "repetitions" },
		{ "((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)", "repetitions" },
		{ "^((foo|bar)+-)+[a-z]{1,15}x+y+z+\\{99}$", NULL },
	};
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", "^keep");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[128] = "";
		int r = rule_set_comm(rule, cases[i].pattern, error, sizeof(error));

		if (!cases[i].error) {
			assert_int_equal(r, 0);
			assert_string_equal(rule->comm_pattern, cases[i].pattern);
			assert_int_equal(rule_set_comm(rule, "^keep", error, sizeof(error)), 0);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		if (!strstr(error, cases[i].error))
			fail_msg("%s: '%s'", cases[i].pattern, error);
		assert_string_equal(rule->comm_pattern, "^keep");
		assert_true(apply_protects(&set, "keeper", "/", 0));
	}
	assert_int_equal(rule_set_comm(rule, NULL, NULL, 0), 0);
	assert_null(rule->comm_pattern);
	assert_null(rule->comm);
	assert_false(apply_protects(&set, "keeper", "/", 0));
}

static void test_apply_rules_wants_all_conditions(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", NULL);

	/* none: matches nothing */
	assert_false(apply_protects(&set, "a", "/x", 0));
	rule->has_uid = true;
	rule->uid = 7;
	assert_true(apply_protects(&set, "a", "/x", 7));
	assert_false(apply_protects(&set, "a", "/x", 0));
	rule->cgroup = strdup(" /no/*.where\t/x/*.slice  /y ");
	assert_non_null(rule->cgroup);
	assert_true(apply_protects(&set, "a", "/x/1.slice", 7));
	assert_true(apply_protects(&set, "a", "/x/1.slice/below", 7));
	assert_true(apply_protects(&set, "a", "/y", 7));
	assert_true(apply_protects(&set, "a", "/y/below", 7));
	assert_false(apply_protects(&set, "a", "/yy", 7));
	assert_false(apply_protects(&set, "a", "/x/1.scope", 7));
	assert_false(apply_protects(&set, "a", "/", 7));
	assert_false(apply_protects(&set, "a", "/y", 8));
	assert_int_equal(rule_set_comm(rule, "^a", NULL, 0), 0);
	assert_true(apply_protects(&set, "ab", "/y", 7));
	assert_false(apply_protects(&set, "ba", "/y", 7));
	rule->disabled = true;
	assert_false(apply_protects(&set, "ab", "/y", 7));
}

static void test_apply_rules_multiplies_weights_and_names_the_first_protector(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };
	struct rule_verdict verdict;

	policy_apply_rules(&set, &subject, &verdict);
	assert_null(verdict.protected_by);
	assert_true(verdict.weight >= 1 && verdict.weight <= 1);

	add_rule(&set, RULE_PREFER, "large", "^a");
	add_rule(&set, RULE_AVOID, "small", "b");
	add_rule(&set, RULE_PREFER, "other", "x")->weight = 100;
	policy_apply_rules(&set, &subject, &verdict);
	assert_true(verdict.weight >= 1 && verdict.weight <= 1); /* 2 * 0.5 */

	add_rule(&set, RULE_PREFER, "three", "c$")->weight = 3;
	add_rule(&set, RULE_PROTECT, "miss", "x");
	add_rule(&set, RULE_PROTECT, "first", "b");
	add_rule(&set, RULE_PROTECT, "second", "b");
	policy_apply_rules(&set, &subject, &verdict);
	assert_true(verdict.weight >= 3 && verdict.weight <= 3);
	assert_non_null(verdict.protected_by);
	assert_string_equal(verdict.protected_by->name, "first");
}

static void test_apply_rules_bounds_the_product_of_weights(void **state)
{
	static const struct {
		unsigned n_rules;
		double weight, expected;
	} rows[] = {
		{ 2, 1000, 1e6 },   { 5, 1000, 1e6 },  { 14, 1000, 1e6 }, /* beyond a float */
		{ 110, 1000, 1e6 },					  /* beyond a double */
		{ 1, 1e-6, 1e-6 },  { 8, 1e-6, 1e-6 }, /* 0 as a float: not to be killed */
		{ 60, 1e-6, 1e-6 },		       /* 0 as a double */
	};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(policy_set_done) struct policy_set set = {};
		struct rule_verdict verdict;
		char name[16];

		for (unsigned n = 0; n < rows[i].n_rules; n++) {
			snprintf(name, sizeof(name), "rule-%u", n);
			add_rule(&set, RULE_PREFER, name, "abc")->weight = rows[i].weight;
		}
		policy_apply_rules(&set, &subject, &verdict);
		if (verdict.weight < rows[i].expected || verdict.weight > rows[i].expected)
			fail_msg("row %zu: %g", i, verdict.weight);
	}
}

static void test_policy_set_finds_adds_and_removes(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct policy *policy;

	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		add_rule(&set, i % 2 ? RULE_AVOID : RULE_PREFER, name, i % 3 ? "^a.*" : "^a$");
		policy = policy_set_policy(&set, name);
		assert_non_null(policy);
		assert_int_equal(policy->action, POLICY_ACTION_NONE);
		assert_int_equal(policy->grace_usec, POLICY_GRACE_USEC);
		assert_true(policy->holds_since == USEC_INFINITY);
	}
	assert_int_equal(set.n_rules, 50);
	assert_ptr_equal(policy_set_rule(&set, RULE_AVOID, "n7"), &set.rules[7]);
	assert_ptr_equal(policy_set_policy(&set, "n7"), &set.policies[7]);
	assert_true(set.rules[7].weight < 1);
	/* a rule is found by kind and name */
	assert_non_null(policy_set_rule(&set, RULE_PREFER, "n7"));
	assert_int_equal(set.n_rules, 51);
	assert_true(set.rules[50].weight > 1);
	policy_set_remove_rule(&set, &set.rules[50]);
	policy_set_remove_rule(&set, &set.rules[0]);
	assert_int_equal(set.n_rules, 49);
	assert_string_equal(set.rules[0].name, "n1");
	assert_string_equal(set.rules[48].name, "n49");
	assert_int_equal(set.n_policies, 50);
}

static void test_strings_name_all_values(void **state)
{
	enum policy_action action;
	enum policy_rank_by rank_by;

	for (int i = POLICY_ACTION_NONE; i <= POLICY_ACTION_KILL; i++) {
		assert_int_equal(policy_action_from_string(
					 policy_action_to_string((enum policy_action)i), &action),
				 0);
		assert_int_equal(action, i);
	}
	for (int i = POLICY_RANK_BY_FOOTPRINT; i <= POLICY_RANK_BY_GROWTH; i++) {
		assert_int_equal(
			policy_rank_by_from_string(policy_rank_by_to_string((enum policy_rank_by)i),
						   &rank_by),
			0);
		assert_int_equal(rank_by, i);
	}
	assert_int_equal(policy_action_from_string("Kill", &action), -EINVAL);
	for (int i = POLICY_TARGET_PROCESS; i <= POLICY_TARGET_CGROUP; i++) {
		enum policy_target target = (enum policy_target) - 1;

		assert_int_equal(policy_target_from_string(
					 policy_target_to_string((enum policy_target)i), &target),
				 0);
		assert_int_equal(target, i);
	}
	assert_int_equal(policy_target_from_string("slice", &(enum policy_target){ 0 }), -EINVAL);
	assert_int_equal(policy_rank_by_from_string("", &rank_by), -EINVAL);
	assert_string_equal(rule_kind_to_string(RULE_AVOID), "avoid");
}

#define TOTAL (10 * GIB)
#define SWAP  (4 * GIB)

static struct memory_reading reading_of(uint64_t available, uint64_t swap_total, uint64_t swap_free)
{
	return (struct memory_reading){
		.total = TOTAL,
		.available = available,
		.swap_total = swap_total,
		.swap_free = swap_free,
	};
}

static void test_policy_holds_at_the_line_and_below(void **state)
{
	static const struct policy_line ten = { .set = true, .permyriad = 1000 };
	static const struct policy_line size = { .set = true, .is_size = true, .bytes = GIB };
	static const struct policy_line unset = {};
	static const struct {
		const struct policy_line *memory, *swap;
		uint64_t available, swap_total, swap_free;
		bool holds;
	} cases[] = {
		{ &ten, &unset, GIB, 0, 0, true },
		{ &ten, &unset, GIB + 1, 0, 0, false },
		{ &ten, &unset, 0, SWAP, SWAP, true },
		{ &size, &unset, GIB, 0, 0, true },
		{ &size, &unset, GIB + 1, 0, 0, false },
		{ &ten, &ten, GIB, SWAP, SWAP / 10, true },
		{ &ten, &ten, GIB, SWAP, SWAP / 10 + 1, false },
		{ &ten, &ten, GIB + 1, SWAP, 0, false },
		{ &ten, &size, GIB, SWAP, GIB, true },
		{ &ten, &size, GIB, SWAP, GIB + 1, false },
		/* no swap is swap exhausted */
		{ &ten, &ten, GIB, 0, 0, true },
		{ &ten, &size, GIB, 0, 0, true },
		{ &ten, &ten, GIB, 0, SWAP, true }, /* swapoff(8) between two readings */
		/* ... but not by itself: that is no shortage of memory */
		{ &unset, &ten, 0, 0, 0, false },
		{ &unset, &size, TOTAL, 0, SWAP, false },
		{ &unset, &ten, TOTAL, SWAP, SWAP / 10, true },
		{ &unset, &unset, TOTAL, SWAP, SWAP, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .memory_available = *cases[i].memory,
					 .swap_free = *cases[i].swap };
		struct memory_reading memory =
			reading_of(cases[i].available, cases[i].swap_total, cases[i].swap_free);
		struct policy_reading reading = { .memory = &memory };

		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("case %zu: not %d", i, cases[i].holds);
	}
}

static void test_line_bytes_are_the_lower_of_share_and_cap(void **state)
{
	static const struct {
		struct policy_line line;
		uint64_t total, bytes;
	} cases[] = {
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 16 * GIB, 16 * GIB / 10 },
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 40 * GIB, 4 * GIB },
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 256 * GIB, 4 * GIB },
		{ { .set = true, .permyriad = 1000 }, 250 * GIB, 25 * GIB },
		{ { .set = true, .is_size = true, .bytes = GIB, .cap = 1 }, 250 * GIB, GIB },
		{ { .permyriad = 1000, .cap = 4 * GIB }, 40 * GIB, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(policy_line_bytes(&cases[i].line, cases[i].total), cases[i].bytes);
}

static void test_line_bytes_rounds_down_and_does_not_overflow(void **state)
{
	struct policy_line line = { .permyriad = 1000, .bytes = 7 };

	assert_int_equal(policy_line_bytes(&line, TOTAL), 0);
	line.set = true;
	assert_int_equal(policy_line_bytes(&line, 99), 9);
	assert_true(policy_line_bytes(&line, UINT64_MAX) == UINT64_MAX / 10);
	line.is_size = true;
	assert_int_equal(policy_line_bytes(&line, TOTAL), 7);
}

/* A history of usec until now, stalled by these shares all along. */
static void stall(struct psi_history *history, usec_t now, usec_t usec, unsigned some_percent,
		  unsigned full_percent)
{
	struct psi_reading reading = {};

	*history = (struct psi_history){};
	for (usec_t at = now - usec; at <= now; at += PSI_STEP_USEC) {
		psi_history_add(history, at, &reading);
		reading.some.total += PSI_STEP_USEC * some_percent / 100;
		reading.full.total += PSI_STEP_USEC * full_percent / 100;
	}
}

static void test_policy_holds_on_pressure_over_its_time(void **state)
{
	static const struct {
		unsigned some, full; /* the policy's, permyriad */
		usec_t for_usec, watched;
		unsigned has_some, has_full; /* percent */
		bool holds;
	} cases[] = {
		{ 0, 4000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 40, true },
		{ 0, 4000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 39, false },
		{ 0, 4000, 5 * USEC_PER_SEC, 3 * USEC_PER_SEC, 90, 90, false },
		{ 4000, 0, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 40, 0, true },
		{ 4000, 0, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 39, 39, false },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 25, true },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 10, false },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 30, 25, false },
		/* no time: 1 s */
		{ 0, 4000, 0, 2 * USEC_PER_SEC, 50, 50, true },
		{ 0, 4000, 0, 500 * USEC_PER_MSEC, 50, 50, false },
	};
	struct memory_reading memory = reading_of(TOTAL, SWAP, SWAP);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .pressure_some = cases[i].some,
					 .pressure_full = cases[i].full,
					 .for_usec = cases[i].for_usec };
		struct psi_history history;
		struct policy_reading reading = { .memory = &memory, .psi = &history };

		stall(&history, 100 * USEC_PER_SEC, cases[i].watched, cases[i].has_some,
		      cases[i].has_full);
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("case %zu: not %d", i, cases[i].holds);
		reading.psi = NULL;
		assert_false(policy_holds(&policy, &reading));
	}
}

/* For 10 s: each 250 ms so many pages reclaimed, of which so many percent are refaulted. */
static void reclaim(struct reclaim_history *history, usec_t until, unsigned pages, unsigned percent)
{
	struct vmstat_counters c = { .allocated = 1 };

	*history = (struct reclaim_history){ 0 };
	for (usec_t age = 10 * USEC_PER_SEC; age <= 10 * USEC_PER_SEC; age -= RECLAIM_STEP_USEC) {
		c.scanned += 2 * (uint64_t)pages;
		c.stolen += pages;
		c.refaulted_anon += (uint64_t)pages * percent / 100;
		reclaim_history_add(history, until - age, &c, TOTAL / 100);
	}
}

static void test_policy_holds_on_pressure_that_is_the_machines(void **state)
{
	static const struct {
		const char *what;
		bool knows_reclaim;
		unsigned pages;
		bool explained, holds;
	} cases[] = {
		{ "reclaim is not known", false, 0, false, true },
		{ "the machine reclaims", true, 1, false, true },
		{ "the machine does not reclaim", true, 0, false, false },
		{ "a cgroup's limit explains it", true, 1000, true, false },
	};
	struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
	struct policy policy = { .pressure_full = 4000, .for_usec = 5 * USEC_PER_SEC };
	struct reclaim_history reclaimed;
	struct psi_history history;

	stall(&history, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_reading reading = {
			.memory = &memory,
			.psi = &history,
			.reclaim = cases[i].knows_reclaim ? &reclaimed : NULL,
			.stalls_are_explained = cases[i].explained,
		};

		reclaim(&reclaimed, 100 * USEC_PER_SEC, cases[i].pages, 0);
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("%s", cases[i].what);
		/* Those without pressure conditions do not use it. */
		policy.pressure_full = 0;
		assert_true(policy_holds(&policy, &reading));
		policy.pressure_full = 4000;
	}
}

/* Right after calm it is not known whether the machine reclaims: that is sampled in watch. */
static void test_policy_watches_before_pressure_counts(void **state)
{
	struct memory_reading memory = reading_of(TOTAL, SWAP, SWAP);
	struct policy policy = {
		.action = POLICY_ACTION_KILL,
		.pressure_full = 4000,
		.holds_since = USEC_INFINITY,
	};
	struct policy_set set = { .policies = &policy, .n_policies = 1 };
	struct reclaim_history reclaimed = { 0 };
	struct vmstat_counters c = { .allocated = 1 };
	struct psi_history history;
	struct policy_reading reading = {
		.memory = &memory,
		.psi = &history,
		.reclaim = &reclaimed,
	};
	struct policy_judgement judgement;
	usec_t now = 100 * USEC_PER_SEC;

	stall(&history, now, 10 * USEC_PER_SEC, 90, 30);
	policy_judge(&set, &reading, now, &judgement);
	assert_false(judgement.watch); /* it would not hold anyway */
	stall(&history, now, 10 * USEC_PER_SEC, 90, 90);
	for (unsigned i = 0; i < 3; i++, now += RECLAIM_STEP_USEC) {
		policy_judge(&set, &reading, now, &judgement);
		assert_true(judgement.watch);
		assert_null(judgement.policy);
		reclaim_history_add(&reclaimed, now, &c, TOTAL);
	}
	c.scanned++;
	reclaim_history_add(&reclaimed, now, &c, TOTAL);
	policy_judge(&set, &reading, now, &judgement);
	assert_ptr_equal(judgement.policy, &policy);
}

static void test_policy_holds_on_thrashing(void **state)
{
	struct policy policy = { .thrashing = 3000 };
	struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
	struct policy_reading reading = { .memory = &memory };
	struct reclaim_history reclaimed;

	assert_false(policy_holds(&policy, &reading)); /* nothing is known of it */
	reading.reclaim = &reclaimed;
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 29);
	assert_false(policy_holds(&policy, &reading));
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 30);
	assert_true(policy_holds(&policy, &reading));
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 0, 100);
	assert_false(policy_holds(&policy, &reading));
	/* Nor for the moment in which a shortage begins, before or behind a time without. */
	for (unsigned late = 0; late < 2; late++) {
		struct vmstat_counters c = { .allocated = 1 };

		policy.for_usec = 5 * USEC_PER_SEC;
		reclaimed = (struct reclaim_history){ 0 };
		for (unsigned i = 0; i <= 40; i++) {
			c.scanned += 1000;
			c.stolen += 1000;
			c.refaulted_file += (i > 30) == late ? 0 : 900;
			reclaim_history_add(&reclaimed, i * RECLAIM_STEP_USEC, &c, 0);
		}
		assert_false(policy_holds(&policy, &reading));
	}
	/* Not before it has been watched for long enough. */
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 100);
	policy.for_usec = 20 * USEC_PER_SEC;
	assert_false(policy_holds(&policy, &reading));
}

static void test_policy_holds_where_swap_is_no_help(void **state)
{
	static const struct {
		const char *what;
		unsigned anon, unswappable; /* percent of memory */
		bool swap_is_unused, memory_only, holds;
	} cases[] = {
		{ "it may all be swapped", 80, 0, false, false, false },
		{ "a cgroup of some may not", 80, 40, false, false, false },
		{ "the leak may not, and others have little", 80, 75, false, false, true },
		{ "none may", 80, 100, false, false, true },
		{ "none may, but the policy goes by swap alone", 80, 100, false, true, false },
		{ "the kernel does not use it", 80, 0, true, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
		struct policy policy = { .memory_available = { .set = true, .permyriad = 500 },
					 .swap_free = { .set = true, .permyriad = 500 } };
		struct policy_reading reading = { .memory = &memory, .page_size = 4096 };
		struct reclaim_history reclaimed;

		memory.counters.anon = TOTAL / 100 * cases[i].anon;
		reading.unswappable = TOTAL / 100 * cases[i].unswappable;
		policy.memory_available.set = !cases[i].memory_only;
		reclaim(&reclaimed, 100 * USEC_PER_SEC, 500000, 0);
		if (cases[i].swap_is_unused)
			reading.reclaim = &reclaimed;
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("%s", cases[i].what);
		/* Never above its line of memory. */
		memory.available = TOTAL / 2;
		assert_false(policy_holds(&policy, &reading));
	}
}

static void test_judge_takes_the_strongest_of_the_defaults(void **state)
{
	static const struct {
		unsigned available, swap_free; /* percent */
		bool no_swap, watch;
		const char *policy;
	} cases[] = {
		{ 50, 100, false, false, NULL },      { 31, 0, false, false, NULL },
		{ 30, 100, false, true, NULL },	      { 15, 26, false, true, NULL },
		{ 15, 25, false, true, "warn" },      { 10, 25, false, true, "warn" },
		{ 10, 10, false, true, "terminate" }, { 5, 10, false, true, "terminate" },
		{ 5, 5, false, true, "kill" },	      { 0, 0, false, true, "kill" },
		{ 16, 0, true, true, NULL },	      { 15, 0, true, true, "warn" },
		{ 10, 0, true, true, "terminate" },   { 5, 0, true, true, "kill" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(policy_set_done) struct policy_set set;
		uint64_t swap = cases[i].no_swap ? 0 : SWAP;
		struct memory_reading memory = reading_of(TOTAL * cases[i].available / 100, swap,
							  swap * cases[i].swap_free / 100);
		struct policy_reading reading = { .memory = &memory };
		struct policy_judgement judgement;
		const char *name;

		assert_int_equal(policy_set_init_defaults(&set), 0);
		policy_judge(&set, &reading, 1000, &judgement);
		name = judgement.policy ? judgement.policy->name : "(none)";
		if (strcmp(name, cases[i].policy ? cases[i].policy : "(none)") != 0)
			fail_msg("case %zu: %s", i, name);
		if (judgement.watch != cases[i].watch)
			fail_msg("case %zu: watch is %d", i, judgement.watch);
	}
}

/* What judge() is given of reclaim. */
static struct reclaim_history reclaimed_then;

static const char *judge(struct policy_set *set, const struct memory_reading *memory,
			 const struct psi_history *psi, usec_t now, bool *ret_watch)
{
	struct policy_reading reading = {
		.memory = memory,
		.psi = psi,
		.reclaim = &reclaimed_then,
	};
	struct policy_judgement judgement;

	policy_judge(set, &reading, now, &judgement);
	if (ret_watch)
		*ret_watch = judgement.watch;
	return judgement.policy ? judgement.policy->name : "(none)";
}

/* What is built in, by the size of the machine: what percentages come to, or their caps. */
static void test_the_defaults_scale_to_large_machines(void **state)
{
	static const struct {
		uint64_t total, available;
		const char *policy;
		bool watch;
	} cases[] = {
		{ 8 * GIB, 8 * GIB * 31 / 100, "(none)", false },
		{ 8 * GIB, 8 * GIB * 29 / 100, "(none)", true },
		{ 8 * GIB, GIB, "warn", true },
		{ 8 * GIB, 800 * MIB, "terminate", true },
		{ 8 * GIB, 400 * MIB, "kill", true },
		{ 40 * GIB, 4 * GIB, "terminate", true },
		{ 40 * GIB, 2 * GIB, "kill", true },
		{ 256 * GIB, 65 * GIB, "(none)", false },
		{ 256 * GIB, 25 * GIB, "(none)", true },
		{ 256 * GIB, 6 * GIB, "warn", true },
		{ 256 * GIB, 5 * GIB, "warn", true },
		{ 256 * GIB, 4 * GIB, "terminate", true },
		{ 256 * GIB, 2 * GIB, "kill", true },
		{ 6144 * GIB, 65 * GIB, "(none)", true }, /* by the lines of thrash */
		{ 6144 * GIB, 2 * GIB + 1, "terminate", true },
		{ 6144 * GIB, 2 * GIB, "kill", true },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory = {
			.total = cases[i].total,
			.available = cases[i].available,
		};
		bool watch;
		const char *name = judge(&set, &memory, NULL, 1, &watch);

		if (strcmp(name, cases[i].policy) != 0 || watch != cases[i].watch)
			fail_msg("case %zu: %s, %d", i, name, watch);
		/* Swap is capped alike. */
		memory.swap_total = cases[i].total;
		memory.swap_free = 11 * GIB;
		if (cases[i].total > 110 * GIB)
			assert_string_equal(judge(&set, &memory, NULL, 1, &watch), "(none)");
	}
}

/* Nothing is killed by levels while more than half of memory is available. */
static void test_policy_does_not_kill_above_the_floor(void **state)
{
	static const struct policy_line unset = {}, all = { .set = true, .permyriad = PERMYRIAD };
	static const struct policy_line most = { .set = true, .permyriad = 9900 };
	static const struct policy_line large = { .set = true, .is_size = true, .bytes = TOTAL };
	static const struct policy_line capped = { .set = true,
						   .permyriad = PERMYRIAD,
						   .cap = TOTAL - 1 };
	static const struct policy_line little = { .set = true, .permyriad = 1000 };
	static const struct {
		const struct policy_line *memory, *swap;
		enum policy_action action;
		unsigned pressure_full;
		bool above, at; /* half of memory: does it hold? */
	} cases[] = {
		{ &most, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &most, &unset, POLICY_ACTION_TERMINATE, 0, false, true },
		{ &most, &unset, POLICY_ACTION_WARN, 0, true, true },
		{ &large, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &capped, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &most, &little, POLICY_ACTION_KILL, 0, false, true },
		{ &little, &little, POLICY_ACTION_KILL, 0, false, false },
		{ &unset, &little, POLICY_ACTION_KILL, 0, false, true },
		{ &unset, &little, POLICY_ACTION_WARN, 0, true, true },
		/* 100% is written only on purpose */
		{ &all, &unset, POLICY_ACTION_KILL, 0, true, true },
		{ &all, &little, POLICY_ACTION_KILL, 0, true, true },
		/* pressure shows a shortage, with a threshold in memory or alone */
		{ &most, &unset, POLICY_ACTION_KILL, 4000, true, true },
		{ &unset, &little, POLICY_ACTION_KILL, 4000, false, true },
		{ &unset, &unset, POLICY_ACTION_KILL, 4000, true, true },
	};
	struct psi_history psi;

	stall(&psi, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .memory_available = *cases[i].memory,
					 .swap_free = *cases[i].swap,
					 .action = cases[i].action,
					 .pressure_full = cases[i].pressure_full };
		struct memory_reading memory = reading_of(TOTAL / 2 + 1, SWAP, 0);
		struct policy_reading reading = { .memory = &memory, .psi = &psi };

		if (policy_holds(&policy, &reading) != cases[i].above)
			fail_msg("case %zu, above: not %d", i, cases[i].above);
		memory.available = TOTAL / 2;
		if (policy_holds(&policy, &reading) != cases[i].at)
			fail_msg("case %zu, at: not %d", i, cases[i].at);
	}
}

static void test_judge_waits_for_the_time_without_a_break(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading low = reading_of(TOTAL / 25, 0, 0);
	struct memory_reading high = reading_of(TOTAL / 2, 0, 0);

	assert_int_equal(policy_set_init_defaults(&set), 0);
	find_policy(&set, "kill")->for_usec = 100;
	find_policy(&set, "terminate")->action = POLICY_ACTION_NONE;
	assert_string_equal(judge(&set, &low, NULL, 1000, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1099, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1100, NULL), "kill");
	assert_string_equal(judge(&set, &high, NULL, 1101, NULL), "(none)");
	assert_true(find_policy(&set, "kill")->holds_since == USEC_INFINITY);
	/* from the beginning again */
	assert_string_equal(judge(&set, &low, NULL, 1102, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1201, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1202, NULL), "kill");
	/* after a gap, too */
	policy_forget(&set);
	assert_string_equal(judge(&set, &low, NULL, 5000, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 5100, NULL), "kill");
}

static void test_judge_thrash_needs_scarcity_pressure_and_time(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading scarce = reading_of(TOTAL / 5, SWAP, SWAP);
	struct memory_reading ample = reading_of(TOTAL / 5 + 1, SWAP, SWAP);
	usec_t now = 100 * USEC_PER_SEC;
	struct psi_history stalled, calm;
	bool watch;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	stall(&stalled, now, 10 * USEC_PER_SEC, 80, 60);
	stall(&calm, now, 10 * USEC_PER_SEC, 80, 30);
	reclaim(&reclaimed_then, now, 1000, 12);
	assert_string_equal(judge(&set, &ample, &stalled, now, &watch), "(none)");
	/* scarce from here on */
	assert_string_equal(judge(&set, &scarce, &stalled, now, &watch), "(none)");
	assert_true(watch);
	now += 5 * USEC_PER_SEC;
	assert_string_equal(judge(&set, &scarce, &stalled, now - 1, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	assert_string_equal(judge(&set, &scarce, &calm, now, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, NULL, now, NULL), "(none)");
	/* the average over its time is what says "for 5 s" of pressure: no second wait */
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	assert_string_equal(judge(&set, &ample, &stalled, now, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "(none)");
	now += 5 * USEC_PER_SEC;
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	/* What is written out is not needed: no thrashing, as much as all may wait for it. */
	reclaim(&reclaimed_then, now, 1000, 9);
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "(none)");
}

/*
 * Figures of loads that were recorded in a VM of 1 GiB (docs/defaults.md), over 5 s: those that
 * must not be killed for, and beside each those that must.
 */
static void test_judge_tells_thrashing_from_writing_out(void **state)
{
	static const struct {
		const char *load;
		unsigned available, full, pages, refaulted; /* percent; a step of 250 ms */
		const char *policy;
	} loads[] = {
		{ "cold growth, disk, 40 MiB/s", 1, 56, 2700, 3, "(none)" },
		{ "cold growth, disk, 200 MiB/s", 0, 54, 2800, 0, "(none)" },
		{ "cold growth, zram, 20 MiB/s", 0, 91, 2100, 4, "(none)" },
		{ "cold growth, zram, 200 MiB/s", 0, 92, 2600, 6, "(none)" },
		{ "hot growth, disk", 0, 64, 240, 15, "stall" },
		{ "hot growth, disk, in part", 0, 36, 300, 20, "stall" },
		{ "hot growth, zram", 0, 50, 2000, 38, "stall" },
		{ "a mapped file, zram", 17, 79, 2000, 69, "thrash" },
		{ "a mapped file, disk", 20, 32, 4700, 90, "(none)" },
		{ "files read again and again", 35, 14, 5000, 95, "(none)" },
	};
	usec_t now = 100 * USEC_PER_SEC;

	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		_cleanup_(policy_set_done) struct policy_set set;
		struct memory_reading memory =
			reading_of(TOTAL * loads[i].available / 100, SWAP, SWAP * 3 / 4);
		struct psi_history history;
		const char *name;

		assert_int_equal(policy_set_init_defaults(&set), 0);
		stall(&history, now, 10 * USEC_PER_SEC, loads[i].full, loads[i].full);
		reclaim(&reclaimed_then, now, loads[i].pages, loads[i].refaulted);
		(void)judge(&set, &memory, &history, now - 5 * USEC_PER_SEC, NULL);
		name = judge(&set, &memory, &history, now, NULL);
		if (strcmp(name, loads[i].policy) != 0)
			fail_msg("%s: %s", loads[i].load, name);
	}
}

static void test_judge_takes_the_first_of_equals(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct memory_reading memory = reading_of(0, 0, 0);
	static const char *const names[] = { "warning", "one", "two" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct policy *policy = policy_set_policy(&set, names[i]);

		assert_non_null(policy);
		policy->action = i == 0 ? POLICY_ACTION_WARN : POLICY_ACTION_TERMINATE;
		policy->memory_available = (struct policy_line){ .set = true, .permyriad = 100 };
	}
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "one");
	find_policy(&set, "two")->action = POLICY_ACTION_KILL;
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "two");
	find_policy(&set, "one")->action = POLICY_ACTION_NONE;
	find_policy(&set, "two")->action = POLICY_ACTION_NONE;
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "warning");
}

static void test_judge_watches_where_a_policy_above_the_watch_line_holds(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading memory = reading_of(TOTAL / 2, 0, 0);
	struct policy *policy;
	bool watch;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch);
	policy = policy_set_policy(&set, "high");
	assert_non_null(policy);
	policy->memory_available = (struct policy_line){ .set = true, .permyriad = 6000 };
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch); /* Action=none */
	policy->action = POLICY_ACTION_WARN;
	policy->for_usec = 1000;
	assert_string_equal(judge(&set, &memory, NULL, 1, &watch), "(none)");
	assert_true(watch);
	/* on pressure alone there is nothing to watch by memory */
	policy->memory_available.set = false;
	policy->pressure_some = 10;
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch);
}

static void test_interval_follows_headroom(void **state)
{
	static const struct {
		bool watch;
		uint64_t available, swap_total, swap_free;
		usec_t usec;
	} cases[] = {
		/* calm: to terminate, 1 GiB, at 3 GiB/s; thrash, 2 GiB, has to hold for 5 s */
		{ false, 8 * GIB, 0, 0, 2333333 },
		{ false, 8 * GIB, SWAP, SWAP, 2333333 },
		{ false, 4 * GIB, 0, 0, USEC_PER_SEC },
		{ false, GIB + 100 * MIB, 0, 0, 100 * USEC_PER_MSEC },
		{ false, GIB, 0, 0, 100 * USEC_PER_MSEC },
		{ false, 200 * GIB, 0, 0, 10 * USEC_PER_SEC },
		/* watch: thrash holds from 2 GiB on, so to terminate, 1 GiB */
		{ true, GIB + 384 * MIB, 0, 0, 125 * USEC_PER_MSEC },
		{ true, GIB + 30 * MIB, 0, 0, 20 * USEC_PER_MSEC },
		{ true, 2 * GIB, 0, 0, 250 * USEC_PER_MSEC },
		/* ... which needs swap too: 0.4 GiB free */
		{ true, GIB, 8 * GIB, 819 * MIB + 128 * MIB + 209715, 125 * USEC_PER_MSEC },
		{ true, GIB + 384 * MIB, 8 * GIB, 0, 125 * USEC_PER_MSEC },
		/* ... but for stall, 0.4 GiB */
		{ true, 512 * MIB + 204 * MIB, SWAP, SWAP, 99739 },
		/* ... or from terminate to kill, 0.5 GiB */
		{ true, 512 * MIB + 192 * MIB, 0, 0, 62500 },
		/* all hold */
		{ true, 0, 0, 0, 250 * USEC_PER_MSEC },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory =
			reading_of(cases[i].available, cases[i].swap_total, cases[i].swap_free);
		usec_t usec = policy_interval(&set, &memory, cases[i].watch);

		/* sizes that percentages do not hit to the byte */
		if (usec > cases[i].usec + 10 || usec + 10 < cases[i].usec)
			fail_msg("case %zu: %llu", i, (unsigned long long)usec);
	}
}

/* Samples take an eighth of a CPU at most, but are no later for that than a quarter of a second. */
static void test_pause_is_longer_where_samples_take_long(void **state)
{
	static const struct {
		usec_t interval, spent, pause; /* us */
	} rows[] = {
		{ 20000, 0, 20000 },	      { 20000, 300, 20000 },	  { 20000, 2857, 20000 },
		{ 20000, 2858, 20006 },	      { 20000, 10000, 70000 },	  { 20000, 40000, 250000 },
		{ 10000000, 1000, 10000000 }, { 500000, 100000, 500000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(policy_pause(rows[i].interval, rows[i].spent), rows[i].pause);
}

static void test_interval_is_the_longest_where_nothing_can_act(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct memory_reading memory = reading_of(MIB, SWAP, SWAP / 2);
	struct policy *policy = policy_set_policy(&set, "only");

	assert_non_null(policy);
	assert_int_equal(policy_interval(&set, &memory, false), 10 * USEC_PER_SEC);
	policy->memory_available = (struct policy_line){ .set = true, .permyriad = 5000 };
	policy->action = POLICY_ACTION_WARN;
	assert_int_equal(policy_interval(&set, &memory, false), 10 * USEC_PER_SEC);
	assert_int_equal(policy_interval(&set, &memory, true), 250 * USEC_PER_MSEC);
	/* on pressure alone: the trigger's business */
	policy->memory_available.set = false;
	policy->pressure_full = 100;
	policy->action = POLICY_ACTION_KILL;
	assert_int_equal(policy_interval(&set, &memory, false), 10 * USEC_PER_SEC);
	/* on swap alone: 1 GiB above its line, at 1 GiB/s */
	policy->swap_free = (struct policy_line){ .set = true, .is_size = true, .bytes = GIB };
	assert_int_equal(policy_interval(&set, &memory, false), USEC_PER_SEC);
	/* ... and on memory, of which half is the floor: 6 GiB above it, at 3 GiB/s */
	memory.available = TOTAL / 2 + 6 * GIB;
	assert_int_equal(policy_interval(&set, &memory, false), 2 * USEC_PER_SEC);
	assert_int_equal(policy_interval(&set, &memory, true), 250 * USEC_PER_MSEC);
	/* without swap it never holds */
	memory = reading_of(MIB, 0, 0);
	assert_int_equal(policy_interval(&set, &memory, false), 10 * USEC_PER_SEC);
	assert_int_equal(policy_interval(&set, &memory, true), 250 * USEC_PER_MSEC);
	memory = reading_of(MIB, SWAP, SWAP / 2);
	/* for which it has to hold 4 s, found at most 2 s late */
	policy->for_usec = 4 * USEC_PER_SEC;
	assert_int_equal(policy_interval(&set, &memory, false), 3 * USEC_PER_SEC);
}

/* The tick judges, and the census matches rules, when there may be no memory to allocate. */
static void test_judgement_and_builtin_rules_allocate_nothing(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
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
	stall(&history, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	n_mallocs = 0;
	fail_malloc = true;
	policy_apply_rules(&set, &subject, &verdict);
	policy_judge(&set, &reading, 1, &judgement);
	policy_interval(&set, &memory, true);
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
		cmocka_unit_test(test_apply_rules_takes_the_strongest_protector),
		cmocka_unit_test(test_rule_set_comm_matches_as_regcomp_does),
		cmocka_unit_test(test_rule_set_comm_reports_what_is_wrong),
		cmocka_unit_test(test_apply_rules_wants_all_conditions),
		cmocka_unit_test(test_apply_rules_multiplies_weights_and_names_the_first_protector),
		cmocka_unit_test(test_apply_rules_bounds_the_product_of_weights),
		cmocka_unit_test(test_policy_set_finds_adds_and_removes),
		cmocka_unit_test(test_strings_name_all_values),
		cmocka_unit_test(test_rank_by_swap_needs_swap),
		cmocka_unit_test(test_policy_holds_at_the_line_and_below),
		cmocka_unit_test(test_line_bytes_are_the_lower_of_share_and_cap),
		cmocka_unit_test(test_the_defaults_scale_to_large_machines),
		cmocka_unit_test(test_policy_does_not_kill_above_the_floor),
		cmocka_unit_test(test_line_bytes_rounds_down_and_does_not_overflow),
		cmocka_unit_test(test_policy_holds_on_pressure_over_its_time),
		cmocka_unit_test(test_policy_holds_on_pressure_that_is_the_machines),
		cmocka_unit_test(test_policy_watches_before_pressure_counts),
		cmocka_unit_test(test_policy_holds_on_thrashing),
		cmocka_unit_test(test_policy_holds_where_swap_is_no_help),
		cmocka_unit_test(test_judge_takes_the_strongest_of_the_defaults),
		cmocka_unit_test(test_judge_waits_for_the_time_without_a_break),
		cmocka_unit_test(test_judge_tells_thrashing_from_writing_out),
		cmocka_unit_test(test_judge_thrash_needs_scarcity_pressure_and_time),
		cmocka_unit_test(test_judge_takes_the_first_of_equals),
		cmocka_unit_test(test_judge_watches_where_a_policy_above_the_watch_line_holds),
		cmocka_unit_test(test_interval_follows_headroom),
		cmocka_unit_test(test_interval_is_the_longest_where_nothing_can_act),
		cmocka_unit_test(test_pause_is_longer_where_samples_take_long),
		cmocka_unit_test(test_judgement_and_builtin_rules_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
