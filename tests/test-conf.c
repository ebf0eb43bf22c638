/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/conf.c and lib/conf-*.c: every key, every error with its line and its words,
 * where files are searched for; and that what we ship and what the manual shows is a valid
 * configuration.
 */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "lib/explain/describe.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PATH_SIZE 4096

/* Where files are written that are not fixtures: long, binary, or made from tables. */
static char tmp_dir[64];

static int make_tmp_dir(void **state)
{
	snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/test-conf.XXXXXX");
	return mkdtemp(tmp_dir) ? 0 : -1;
}

/* It holds what these tests make, one level deep, or two below "etc". */
static int remove_tmp_dir(void **state)
{
	static const char *const names[] = {
		"x.conf",
		"fifo",
		"null.conf",
		"etc/reckond/reckond.conf.d/30-null.conf",
		"etc/reckond/reckond.conf.d/40-dangling.conf",
		"etc/reckond/reckond.conf.d",
		"etc/reckond/reckond.conf",
		"etc/reckond",
		"etc",
		"usr/lib/reckond/reckond.conf.d/30-null.conf",
		"usr/lib/reckond/reckond.conf.d",
		"usr/lib/reckond/reckond.conf",
		"usr/lib/reckond",
		"usr/lib",
		"usr",
	};
	int dir_fd = open(tmp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dir_fd, names[i], 0) < 0)
			unlinkat(dir_fd, names[i], AT_REMOVEDIR);
	close(dir_fd);
	return rmdir(tmp_dir);
}

static const char *fixture(const char *name)
{
	static char path[PATH_SIZE];
	const char *fixtures = getenv("FIXTURES");

	assert_non_null(fixtures);
	snprintf(path, sizeof(path), "%s/conf/%s", fixtures, name);
	return path;
}

static const char *tmp_path(const char *name)
{
	static char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", tmp_dir, name);
	return path;
}

static const char *write_tmp(const char *text, size_t length)
{
	const char *path = tmp_path("x.conf");
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void print_messages(const struct conf_messages *messages)
{
	for (size_t i = 0; i < messages->n; i++)
		conf_message_print(&messages->items[i], stderr);
}

/* Loads one file that must have no error. */
static void load_good(const char *path, struct policy_set *ret, struct conf_messages *messages)
{
	int r;

	*messages = (struct conf_messages){};
	r = conf_load(&path, 1, ret, messages);
	if (r != 0)
		print_messages(messages);
	assert_int_equal(r, 0);
	assert_int_equal(messages->n_errors, 0);
}

static void load_text(const char *text, struct policy_set *ret)
{
	struct conf_messages messages;

	load_good(write_tmp(text, strlen(text)), ret, &messages);
	print_messages(&messages);
	assert_int_equal(messages.n, 0);
	conf_messages_done(&messages);
}

static struct policy *find_policy(struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i].name, name) == 0)
			return &set->policies[i];
	fail_msg("no policy %s", name);
	abort();
}

static bool has_rule(struct policy_set *set, enum rule_kind kind, const char *name)
{
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == kind && strcmp(set->rules[i].name, name) == 0)
			return true;
	return false;
}

static struct rule *find_rule(struct policy_set *set, enum rule_kind kind, const char *name)
{
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == kind && strcmp(set->rules[i].name, name) == 0)
			return &set->rules[i];
	fail_msg("no rule %s", name);
	abort();
}

static void assert_line(const struct policy_threshold *line, bool set, unsigned permyriad,
			uint64_t bytes)
{
	assert_int_equal(line->set, set);
	assert_int_equal(line->is_size, bytes > 0);
	assert_int_equal(line->permyriad, permyriad);
	assert_int_equal(line->bytes, bytes);
}

static void assert_caps(struct policy_set *a, struct policy_set *b)
{
	assert_int_equal(a->watch_below.cap, b->watch_below.cap);
	for (size_t i = 0; i < a->n_policies; i++) {
		assert_int_equal(a->policies[i].memory_available.cap,
				 b->policies[i].memory_available.cap);
		assert_int_equal(a->policies[i].swap_free.cap, b->policies[i].swap_free.cap);
	}
}

static void assert_same_policies(struct policy_set *a, struct policy_set *b)
{
	assert_int_equal(a->dry_run, b->dry_run);
	assert_string_equal(a->subtree, b->subtree);
	assert_line(&a->watch_below, b->watch_below.set, b->watch_below.permyriad,
		    b->watch_below.bytes);
	assert_int_equal(a->kill_timeout_usec, b->kill_timeout_usec);
	assert_int_equal(a->n_policies, b->n_policies);
	assert_caps(a, b);
	for (size_t i = 0; i < a->n_policies; i++) {
		const struct policy *p = &a->policies[i], *q = &b->policies[i];

		assert_string_equal(p->name, q->name);
		assert_line(&p->memory_available, q->memory_available.set,
			    q->memory_available.permyriad, q->memory_available.bytes);
		assert_line(&p->swap_free, q->swap_free.set, q->swap_free.permyriad,
			    q->swap_free.bytes);
		assert_int_equal(p->pressure_some, q->pressure_some);
		assert_int_equal(p->pressure_full, q->pressure_full);
		assert_int_equal(p->thrashing, q->thrashing);
		assert_int_equal(p->for_usec, q->for_usec);
		assert_int_equal(p->action, q->action);
		assert_int_equal(p->rank_by, q->rank_by);
		assert_int_equal(p->grace_usec, q->grace_usec);
		assert_int_equal(p->thaw, q->thaw);
		assert_int_equal(p->refreeze, q->refreeze);
	}
}

static void test_load_nothing_is_the_defaults(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, defaults;
	struct conf_messages messages = {};

	assert_int_equal(policy_set_init_defaults(&defaults), 0);
	assert_int_equal(conf_load(NULL, 0, &set, &messages), 0);
	assert_int_equal(messages.n, 0);
	assert_same_policies(&set, &defaults);
	assert_int_equal(set.n_rules, defaults.n_rules);
}

static void test_load_sets_every_key(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, defaults;
	struct conf_messages messages;
	struct policy *policy;
	struct rule *rule;

	assert_int_equal(policy_set_init_defaults(&defaults), 0);
	load_good(fixture("all-keys.conf"), &set, &messages);
	print_messages(&messages);
	assert_int_equal(messages.n, 0);
	conf_messages_done(&messages);

	assert_true(set.dry_run);
	assert_string_equal(set.subtree, "/user.slice");
	assert_line(&set.watch_below, true, 0, 4 * GIB);
	assert_int_equal(set.kill_timeout_usec, 90 * USEC_PER_SEC);

	assert_int_equal(set.n_policies, defaults.n_policies + 1);
	policy = find_policy(&set, "kill");
	assert_line(&policy->memory_available, false, 0, 0);
	assert_line(&policy->swap_free, true, 0, 1536 * MIB);
	assert_int_equal(policy->pressure_some, 1250);
	assert_int_equal(policy->pressure_full, 200);
	assert_int_equal(policy->thrashing, 3300);
	assert_int_equal(policy->for_usec, 250 * USEC_PER_MSEC);
	assert_int_equal(policy->action, POLICY_ACTION_KILL);
	assert_int_equal(policy->grace_usec, 0);
	assert_int_equal(policy->rank_by, POLICY_RANK_BY_BADNESS);
	assert_int_equal(policy->target, POLICY_TARGET_CGROUP);
	assert_int_equal(policy->thaw, POLICY_THAW_VICTIM);
	assert_false(policy->refreeze);

	policy = find_policy(&set, "new.one@2_x-y");
	assert_line(&policy->memory_available, true, 700, 0);
	assert_line(&policy->swap_free, false, 0, 0);
	assert_int_equal(policy->action, POLICY_ACTION_TERMINATE);
	assert_int_equal(policy->rank_by, POLICY_RANK_BY_GROWTH);
	assert_int_equal(policy->target, POLICY_TARGET_PROCESS);
	assert_int_equal(policy->grace_usec, POLICY_GRACE_USEC);
	assert_int_equal(policy->thaw, POLICY_THAW_GROUP);
	assert_true(policy->refreeze);
	assert_int_equal(policy->for_usec, 0);
	assert_int_equal(find_policy(&set, "terminate")->action, POLICY_ACTION_NONE);

	/* three new, one removed */
	assert_int_equal(set.n_rules, defaults.n_rules + 2);
	assert_false(has_rule(&set, RULE_PROTECT, "init-unit"));
	rule = find_rule(&set, RULE_PROTECT, "editors");
	assert_string_equal(rule->comm_pattern, "^(emacs|vim) ;[#=:]x");
	assert_false(rule->builtin || rule->has_uid || rule->cgroup);
	rule = find_rule(&set, RULE_PREFER, "browsers");
	assert_string_equal(rule->cgroup, "/user.slice/*/app-*firefox*\t/b");
	assert_true(rule->weight > 1.49 && rule->weight < 1.51);
	rule = find_rule(&set, RULE_AVOID, "builds");
	assert_true(rule->has_uid && rule->uid == 4242 && rule->cgroup && rule->comm_pattern);
	assert_true(rule->weight > 0.49 && rule->weight < 0.51);
	/* an override keeps what it does not name */
	rule = find_rule(&set, RULE_PROTECT, "ssh");
	assert_false(rule->has_uid || rule->builtin);
	assert_string_equal(rule->comm_pattern,
			    find_rule(&defaults, RULE_PROTECT, "ssh")->comm_pattern);
	assert_true(find_rule(&set, RULE_PROTECT, "systemd")->builtin);
}

static void test_load_takes_empty_values_as_unset_or_default(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, defaults;
	struct policy *policy;
	struct rule *rule;

	assert_int_equal(policy_set_init_defaults(&defaults), 0);
	load_text("[Daemon]\nDryRun=\nSubtree=\nWatchBelow=\nKillTimeout=\n", &set);
	assert_same_policies(&set, &defaults);
	policy_set_done(&set);

	load_text(
		"[Policy kill]\nThaw=victim\nRefreeze=no\n[Policy kill]\nThaw=\nRefreeze=\nSwapFree=\nPressureSome=\nFor=\nGrace=\nRankBy=\nCgroup=\n"
		"Target=\n[Policy thrash]\nMemoryAvailable=1%\nPressureFull=\nThrashing=\nFor=\n"
		"[Protect x]\nComm=a\nCgroup=/a\nUser=1\n"
		"[Protect x]\nComm=\nUser=\nEnabled=\n"
		"[Prefer x]\nComm=a.*\nWeight=7\n[Prefer x]\nWeight=\n",
		&set);
	policy = find_policy(&set, "kill");
	assert_line(&policy->memory_available, true, 500, 0);
	assert_line(&policy->swap_free, false, 0, 0);
	assert_int_equal(policy->grace_usec, POLICY_GRACE_USEC);
	assert_int_equal(policy->thaw, POLICY_THAW_GROUP);
	assert_true(policy->refreeze);
	policy = find_policy(&set, "thrash");
	assert_int_equal(policy->pressure_full, 0);
	assert_int_equal(policy->thrashing, 0);
	assert_int_equal(policy->for_usec, 0);
	rule = find_rule(&set, RULE_PROTECT, "x");
	assert_null(rule->comm_pattern);
	assert_null(rule->comm);
	assert_false(rule->has_uid);
	assert_string_equal(rule->cgroup, "/a");
	assert_true(find_rule(&set, RULE_PREFER, "x")->weight < 2.01);
}

static void test_load_takes_a_percentage_and_a_size(void **state)
{
	static const struct {
		const char *value;
		unsigned permyriad;
		uint64_t bytes, cap;
	} cases[] = {
		{ "4% 2G", 400, 0, 2 * GIB },	   { "2G, 4 %", 400, 0, 2 * GIB },
		{ "2.5 GiB", 0, 2560 * MIB, 0 },   { "4 %", 400, 0, 0 },
		{ "3%,512 M", 300, 0, 512 * MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(policy_set_done) struct policy_set set;
		struct policy *policy;
		char text[256];

		snprintf(
			text, sizeof(text),
			"[Daemon]\nWatchBelow=%s\n[Policy kill]\nMemoryAvailable=%s\nSwapFree=%s\n",
			cases[i].value, cases[i].value, cases[i].value);
		load_text(text, &set);
		policy = find_policy(&set, "kill");
		assert_line(&policy->memory_available, true, cases[i].permyriad, cases[i].bytes);
		assert_line(&policy->swap_free, true, cases[i].permyriad, cases[i].bytes);
		assert_line(&set.watch_below, true, cases[i].permyriad, cases[i].bytes);
		assert_int_equal(policy->memory_available.cap, cases[i].cap);
		assert_int_equal(policy->swap_free.cap, cases[i].cap);
		assert_int_equal(set.watch_below.cap, cases[i].cap);
	}
}

static void test_load_resolves_users(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct passwd *root = getpwuid(0);
	char text[256];

	if (!root) {
		print_message("skipped: uid 0 has no name here\n");
		skip();
	}
	snprintf(text, sizeof(text), "[Protect x]\nUser=%s\n", root->pw_name);
	load_text(text, &set);
	assert_true(find_rule(&set, RULE_PROTECT, "x")->has_uid);
	assert_int_equal(find_rule(&set, RULE_PROTECT, "x")->uid, 0);
}

#define WARNING true

static void test_load_reports_what_is_wrong_and_where(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *said; /* NULL: nothing is wrong */
		bool warning;
	} cases[] = {
		{ "", 0, NULL },
		{ "\n\n  \n\t# x\n ; y\n[Daemon]", 0, NULL },
		{ "\xEF\xBB\xBF[Daemon]\r\nDryRun=yes\r\n", 0, NULL },
		{ "\xEF\xBB\xBF# x\n", 0, NULL },
		{ "[Daemon]\nDryRun=yes", 0, NULL },
		/* lines */
		{ "DryRun=yes\nSubtree=/\n\n[Daemon]\n", 1, "before any section" },
		{ "[Daemon]\n\nDryRun\n", 3, "no '=' in 'DryRun'" },
		{ "[Daemon]\nDryRun: yes\n", 2, "no '='" },
		{ "[Daemon]\n = yes\n", 2, "no key before '=' in '= yes'" },
		{ "[Daemon]\nDryRun=yes\n  Subtree=/x\n", 0, NULL },
		{ "[Daemon]\nDryRun=yes\n  continued\n", 3, "no '='" },
		/* headers */
		{ "[Daemon\nDryRun=junk\n", 1, "no ']' after '[Daemon'" },
		{ "[Daemon] # x\nDryRun=junk\n", 1, "text after ']': '# x'; a comment" },
		{ "[Daemon]]\n", 1, "text after ']'" },
		{ "[]\n", 1, "known are [Daemon], [Policy NAME], [Protect NAME], [Prefer NAME]" },
		{ "[Foo]\nDryRun=junk\n[Daemon]\n", 1, "unknown section [Foo]: known are" },
		{ "[daemon]\n", 1, "unknown section [daemon]: did you mean [Daemon]?" },
		{ "[Polices x]\n", 1, "did you mean [Policy]?" },
		{ "[Daemon x]\n", 1, "takes no name" },
		{ "[Policy]\nAction=kill\n", 1, "[Policy] needs a name: [Policy NAME]" },
		{ "[Prefer \"x\"]\n", 1, "'\"x\"' is no name" },
		{ "[Prefer x y]\n", 1, "'x y' is no name" },
		{ "[Protect a2345678901234567890123456789012345678901]\n", 1, "at most 40" },
		{ "[Protect a23456789012345678901234567890123456789z]\nComm=a\n"
		  "[Protect a23456789012345678901234567890123456789y]\nComm=b\n",
		  0, NULL },
		/* keys */
		{ "[Daemon]\nDryrun=yes\n", 2,
		  "unknown key 'Dryrun' in [Daemon]: did you mean DryRun=?" },
		{ "[Policy kill]\nMemAvailable=1%\n", 2, "did you mean MemoryAvailable=?" },
		{ "[Policy kill]\nSWAPFREE=1%\n", 2, "did you mean SwapFree=?" },
		{ "[Policy kill]\nPressureSom=1%\n", 2, "did you mean PressureSome=?" },
		{ "[Policy kill]\nXyzzy=1%\n", 2, "known are Cgroup=, MemoryAvailable=" },
		{ "[Daemon]\nSwapFree=1%\n", 2, "SwapFree= belongs in [Policy NAME]" },
		{ "[Protect x]\nComm=a\nWeight=2\n", 3, "belongs in [Prefer NAME], [Avoid NAME]" },
		{ "[Daemon]\nDry:Run=yes\n", 2, "unknown key 'Dry:Run'" },
		{ "[Daemon]\nDryRun:=yes\n", 2, "unknown key 'DryRun:'" },
		{ "[Daemon]\nDry\x01Run=yes\n", 2, "unknown key 'Dry?Run'" },
		{ "[Daemon]\nSubtree=/a\n\nSubtree=/b\n", 4,
		  "Subtree= is in line 2 of this section", WARNING },
		{ "[Daemon]\nSubtree=/a\n[Daemon]\nSubtree=/b\n", 0, NULL },
		{ "[Daemon]\nScope=/a\n", 2, "Scope= is the old name of Subtree=", WARNING },
		{ "[Policy p]\nScope=/a\n", 2, "Scope", 0 },
		/* values */
		{ "[Daemon]\nDryRun=maybe\n", 2, "DryRun= needs yes or no, not 'maybe'" },
		{ "[Daemon]\nDryRun=yes # really\n", 2,
		  "not 'yes # really'; a comment needs a line" },
		{ "[Daemon]\nDryRun=yes ; really\n", 2, "a comment needs a line" },
		{ "[Daemon]\nKillTimeout=99ms\n", 2, "at least 100ms" },
		{ "[Daemon]\nKillTimeout=100ms\n", 0, NULL },
		{ "[Daemon]\nKillTimeout=5 parsecs\n", 2, "KillTimeout= needs a duration" },
		{ "[Daemon]\nWatchBelow=10\n", 2, "would be 10 bytes" },
		{ "[Daemon]\nWatchBelow=1023K\n", 2, "bytes" },
		{ "[Daemon]\nWatchBelow=101%\n", 2, "needs a percentage such as 10% or a size" },
		{ "[Daemon]\nWatchBelow=1M\n", 0, NULL },
		{ "[Daemon]\nWatchBelow=10% 10\n", 2, "would be 10 bytes" },
		{ "[Daemon]\nWatchBelow=10% 20%\n", 2, "or both (the lower counts)" },
		{ "[Policy kill]\nMemoryAvailable=500MB\n", 2,
		  "MemoryAvailable=500MB counts in units of 1024: 500 MiB", WARNING },
		{ "[Policy kill]\nMemoryAvailable=5% 500MB\n", 2, "500 MiB", WARNING },
		{ "[Policy kill]\nMemoryAvailable=512000 kB\n", 0, NULL },
		{ "[Daemon]\nSubtree=user.slice\n", 2, "Subtree= needs one cgroup such as" },
		{ "[Daemon]\nSubtree=/user.slice/*\n", 2, "Subtree= needs one cgroup" },
		{ "[Daemon]\nSubtree=/user.slice/\n", 2, "Subtree= needs one cgroup" },
		{ "[Daemon]\nSubtree=/a//b\n", 2, "Subtree= needs one cgroup" },
		{ "[Daemon]\nSubtree=/a/../b\n", 2, "Subtree= needs one cgroup" },
		{ "[Daemon]\nSubtree=/a/.b/..c\n", 0, NULL },
		{ "[Daemon]\nSubtree=/sys/fs/cgroup/a\n", 2, "without /sys/fs/cgroup" },
		{ "[Policy kill]\nAction=Kill\n", 2,
		  "Action= needs none, warn, terminate or kill" },
		{ "[Policy kill]\nAction=\n", 2, "Action= needs none, warn" },
		{ "[Policy kill]\nRankBy=size\n", 2, "RankBy= needs footprint, badness, swap" },
		{ "[Policy kill]\nFor=5x\n", 2,
		  "For= needs a duration such as 5s, 250ms or 1min 30s, not '5x'" },
		{ "[Policy kill]\nPressureFull=0%\n", 2,
		  "PressureFull= needs a percentage above 0%" },
		{ "[Policy kill]\nPressureFull=40\n", 2, "PressureFull= needs a percentage" },
		{ "[Policy kill]\nTarget=cgroup\n", 0, NULL },
		{ "[Policy kill]\nTarget=planet\n", 2,
		  "Target= needs process or cgroup, not 'planet'" },
		{ "[Policy kill]\nCgroup=/user.slice\n", 2, "measures the whole machine only" },
		{ "[Policy kill]\nCgroup=user.slice\n", 2, "Cgroup= needs /" },
		{ "[Protect x]\nComm=(\n", 2, "Comm=( is not a regular expression: Unmatched" },
		{ "[Protect x]\nComm=(a)\\1\n", 2, "Back-references" },
		{ "[Protect x]\nCgroup=a.slice\n", 2, "globs that begin with /" },
		{ "[Protect x]\nCgroup=/a.slice b.slice\n", 2, "globs that begin with /" },
		{ "[Protect x]\nCgroup=/a.slice/\n", 2, "globs that begin with /" },
		{ "[Protect x]\nCgroup=/a.slice /sys/fs/cgroup/b\n", 2,
		  "'/sys/fs/cgroup/b': cgroups" },
		{ "[Protect x]\nCgroup=/a /b/*\n", 0, NULL },
		{ "[Protect x]\nUser=no such user\n", 2,
		  "User=no such user: there is no such user; the rule matches no process until",
		  WARNING },
		{ "[Protect x]\nUser=4294967295\n", 2, "User= needs a user's name or number" },
		{ "[Protect x]\nUser=4294967294\n", 0, NULL },
		{ "[Protect x]\nUser=12a\n", 2, "User= needs" },
		{ "[Prefer x]\nComm=a\nWeight=0.5\n", 3, "in [Prefer] must be above 1" },
		{ "[Prefer x]\nComm=a\nWeight=1\n", 3, "above 1" },
		{ "[Avoid x]\nComm=a\nWeight=2\n", 3, "in [Avoid] must be below 1" },
		{ "[Avoid x]\nComm=a\nWeight=0\n", 3, "Weight= needs a factor" },
		{ "[Avoid x]\nComm=a\nEnabled=7\n", 3, "Enabled= needs yes or no" },
		/* what can never match */
		{ "[Protect x]\nComm=^gnome-session-binary$\n", 2,
		  "'gnome-session-binary' can never match: the kernel keeps 15 bytes of a name, here 'gnome-session-b'",
		  WARNING },
		{ "[Protect x]\nComm=^(a|gnome-session-binary)$\n", 2, "can never match", WARNING },
		{ "[Protect x]\nComm=gnome-session-bi\n", 2, "can never match", WARNING },
		{ "[Protect x]\nComm=^gnome-session-bi+\n", 2, "can never match", WARNING },
		{ "[Protect x]\nComm=^gnome-session-b$\n", 0, NULL },
		{ "[Protect x]\nComm=^gnome-session-bi?\n", 0, NULL },
		{ "[Protect x]\nComm=^gnome-session-.*binary\n", 0, NULL },
		{ "[Protect x]\nComm=^[abcdefghijklmnopqrstuvwxyz]\n", 0, NULL },
		{ "[Protect x]\nComm=^[]abcdefghijklmnopqrstuvwxyz]\n", 0, NULL },
		{ "[Protect x]\nComm=^[^]abcdefghijklmnopqrstuvwxyz]\n", 0, NULL },
		{ "[Protect x]\nComm=^\\(sd-pam\\)123456789\n", 0, NULL },
		{ "[Protect x]\nComm=^[[:alpha:]]gnome-session-bi\n", 2, "can never match",
		  WARNING },
		/* what is not meant */
		{ "[Protect x]\nComm=\"^emacs$\"\n", 2, "the quotes are part of the pattern",
		  WARNING },
		{ "[Protect x]\nComm='emacs'\n", 2, "no quoting here", WARNING },
		{ "[Protect x]\nComm=it's\n", 0, NULL },
		{ "[Protect x]\nComm=^emacs$,^vim$\n", 2, "names are separated by '|'", WARNING },
		{ "[Protect x]\nComm=emacs, vim\n", 2, "names are separated by '|'", WARNING },
		{ "[Protect x]\nComm=^a{1,2}[,;]\n", 0, NULL },
		{ "[Protect x]\nComm=^worker-\\d+$\n", 2,
		  "\\d is a plain 'd' in a POSIX regular expression; a digit is [0-9]", WARNING },
		{ "[Protect x]\nComm=a\\tb\n", 2, "\\t is a plain 't'", WARNING },
		{ "[Protect x]\nComm=\\w\\W\\s\\S\\b\\B\\.\\$\n", 0, NULL },
		{ "[Protect x]\nComm=[\\d]x\n", 0, NULL },
		{ "[Protect x]\nComm=^(?i)firefox$\n", 2, "there is no (?...) in POSIX's" },
		{ "[Protect x]\nComm=/bin/sh\n", 2, "the name of a process has no path", WARNING },
		{ "[Protect x]\nComm=^(sh|/bin/sh)$\n", 2, "no path", WARNING },
		{ "[Protect x]\nComm=^/usr/bin/firefox$\n", 2, "no path", WARNING },
		{ "[Protect x]\nComm=^kworker/0:1$\n", 0, NULL },
		{ "[Protect x]\nComm=emacs$|^vim$|^$\n", 0, NULL },
		{ "[Protect x]\nComm=^(^a$|^b$)$\n", 0, NULL },
		{ "[Protect x]\nComm=y*^a\n", 0, NULL },
		{ "[Protect x]\nComm=a$x*\n", 0, NULL },
		{ "[Protect x]\nComm=a\\$b\\^c[$^]d[^x]\n", 0, NULL },
		{ "[Protect x]\nComm=[[:alpha:]$^]d\n", 0, NULL },
		{ "[Protect x]\nComm=^emacs$^vim$\n", 2, "the '$' in the middle", WARNING },
		{ "[Protect x]\nComm=a^b\n", 2, "the '^' in the middle can never match: it is the",
		  WARNING },
		{ "[Protect x]\nComm=(a|b)$c\n", 2, "end of the name", WARNING },
		/* what matches all */
		{ "[Protect x]\nComm=.*\n", 1, "[Protect x] protects every process", WARNING },
		{ "[Protect x]\nComm=.\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nComm=x*\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nComm=^.{1,14}$\n", 0, NULL },
		{ "[Protect x]\nComm=^[^~]\n", 0, NULL },
		{ "[Protect x]\nCgroup=/\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nCgroup=/x /*\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nCgroup=/**\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nCgroup=/*.slice /*.scope\n", 0, NULL },
		{ "[Protect x]\nCgroup=/\nComm=.*\n", 1, "none can be killed", WARNING },
		{ "[Protect x]\nCgroup=/\nComm=^a\n", 0, NULL },
		{ "[Protect x]\nCgroup=/\nUser=0\n", 0, NULL },
		{ "[Protect x]\nComm=.*\nEnabled=no\n", 0, NULL },
		{ "[Avoid x]\nComm=.*\n", 1, "[Avoid x] matches every process: it changes nothing",
		  WARNING },
		{ "[Prefer x]\nCgroup=/*\n", 1, "[Prefer x] matches every process", WARNING },
		/* what always holds, or never, or never first */
		{ "[Policy x]\nMemoryAvailable=100%\nAction=kill\n", 1, "holds always", WARNING },
		{ "[Policy x]\nMemoryAvailable=100%\nAction=warn\n", 0, NULL },
		{ "[Policy x]\nMemoryAvailable=99%\nAction=kill\n", 1,
		  "[Policy x] with MemoryAvailable=99% would kill", WARNING },
		{ "[Policy x]\nMemoryAvailable=99% 1G\nAction=none\n", 0, NULL },
		{ "[Policy x]\nMemoryAvailable=99%\nPressureFull=40%\nAction=kill\n", 0, NULL },
		{ "[Policy x]\nMemoryAvailable=0%\nAction=kill\n", 1,
		  "[Policy x] with MemoryAvailable=0% never holds in time", WARNING },
		{ "[Policy x]\nMemoryAvailable=0% 1G\nAction=warn\n", 1, "never holds", WARNING },
		{ "[Policy kill]\nMemoryAvailable=20%\n", 0, NULL }, /* swap is lower */
		{ "[Policy kill]\nMemoryAvailable=20%\nSwapFree=20%\n", 1,
		  "[Policy kill] holds whenever [Policy terminate] does", WARNING },
		{ "[Policy kill]\nMemoryAvailable=20%\nSwapFree=\n", 1, "never act first",
		  WARNING },
		{ "[Policy kill]\nMemoryAvailable=20%\nSwapFree=\nFor=1s\n", 0, NULL },
		{ "[Policy kill]\nMemoryAvailable=20% 3G\nSwapFree=\n", 0, NULL },
		{ "[Policy kill]\nMemoryAvailable=20% 4G\nSwapFree=\n", 1, "never act first",
		  WARNING },
		{ "[Policy kill]\nMemoryAvailable=3G\nSwapFree=\n", 0, NULL },
		{ "[Policy kill]\nMemoryAvailable=4G\nSwapFree=\n", 1, "never act first", WARNING },
		{ "[Policy terminate]\nMemoryAvailable=5%\nSwapFree=5%\n", 0, NULL },
		{ "[Policy terminate]\nMemoryAvailable=5% 2G\nSwapFree=5% 1G\n", 1,
		  "[Policy terminate] can never act first: [Policy kill] holds whenever it does",
		  WARNING },
		{ "[Policy x]\nSwapFree=5%\nMemoryAvailable=90%\nAction=warn\n", 0, NULL },
		{ "[Policy kill]\nMemoryAvailable=4%\nSwapFree=4%\n[Policy terminate]\n"
		  "MemoryAvailable=4%\nSwapFree=4%\n",
		  1, "[Policy kill] holds whenever [Policy terminate] does", WARNING },
		/* what is incomplete */
		{ "\n[Policy x]\nMemoryAvailable=1%\n", 2, "[Policy x] has no Action=" },
		{ "[Policy x]\nFor=1s\n[Policy x]\nMemoryAvailable=1%\n", 3,
		  "[Policy x] has no Action=" },
		{ "[Policy x]\nAction=kill\n", 1, "[Policy x] has no condition: MemoryAvailable=" },
		{ "[Policy kill]\nMemoryAvailable=\nSwapFree=\n", 1,
		  "[Policy kill] has no condition" },
		{ "[Policy x]\nAction=none\n", 0, NULL },
		{ "[Policy x]\nMemoryAvailable=x\nAction=kill\n", 2, "needs a percentage" },
		{ "[Policy x]\nMemoryAvailable=1%\nAktion=kill\n", 3, "did you mean Action=?" },
		{ "[Policy x]\nMemoryAvailable=1%\nAction=kil\n", 3, "Action= needs" },
		{ "[Policy x]\nSwapFree=1%\nAction=kill\n", 1, "never holds where there is no swap",
		  WARNING },
		{ "[Policy x]\nPressureSome=1%\nFor=31s\nAction=kill\n", 1,
		  "pressure is remembered for 30s only" },
		{ "[Policy x]\nPressureSome=1%\nFor=30s\nAction=kill\n", 0, NULL },
		{ "[Policy x]\nMemoryAvailable=1%\nFor=31s\nAction=kill\n", 0, NULL },
		{ "\n\n[Avoid x]\nWeight=0.1\n", 3, "[Avoid x] has no condition: Comm=" },
		{ "[Protect ssh]\nComm=\nUser=\n", 1, "[Protect ssh] has no condition" },
		{ "[Protect ssh]\nComm=\nUser=\nEnabled=no\n", 0, NULL },
		{ "[Protect shh]\nEnabled=no\n", 1, "there is no [Protect shh] to disable",
		  WARNING },
		{ "[Protect x]\nComm=a\nEnabled=no\n", 0, NULL },
		{ "[Avoid ssh]\nEnabled=no\n", 1, "there is no [Avoid ssh] to disable", WARNING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = write_tmp(cases[i].text, strlen(cases[i].text));
		struct conf_messages messages = {};
		struct policy_set set = {};
		int r = conf_load(&path, 1, &set, &messages);
		bool error = cases[i].said && !cases[i].warning;

		if (r != error || messages.n != !!cases[i].said ||
		    messages.n_errors != (size_t)error) {
			print_messages(&messages);
			fail_msg("'%s': %d, %zu messages", cases[i].text, r, messages.n);
		}
		if (cases[i].said && (messages.items[0].line != cases[i].line ||
				      messages.items[0].warning != cases[i].warning ||
				      strcmp(messages.items[0].file, path) != 0 ||
				      !strstr(messages.items[0].text, cases[i].said))) {
			print_messages(&messages);
			fail_msg("'%s': not line %u, '%s'", cases[i].text, cases[i].line,
				 cases[i].said);
		}
		if (r == 0)
			policy_set_done(&set);
		else
			assert_null(set.policies);
		conf_messages_done(&messages);
	}
}

static void test_check_subtree_reports_where_it_is_named(void **state)
{
	static const struct {
		const char *text;
		unsigned line; /* of a warning, or 0 */
	} cases[] = {
		{ "", 0 },
		{ "[Daemon]\nSubtree=/there\n", 0 },
		{ "[Daemon]\n\nSubtree=/not/there\n", 3 },
		{ "[Daemon]\nSubtree=/not/there\n[Daemon]\nSubtree=/there\n", 0 },
		{ "[Daemon]\nSubtree=/not/there\n[Daemon]\nSubtree=\n", 0 },
	};
	char directory[] = "/tmp/test-conf-subtree.XXXXXX";
	struct cgroup_fs cgroups;
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(fd, "there", 0700), 0);
	cgroup_fs_init(&cgroups, fd, -EBADF);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = write_tmp(cases[i].text, strlen(cases[i].text));
		_cleanup_(conf_messages_done) struct conf_messages messages = {};
		_cleanup_(policy_set_done) struct policy_set set;

		assert_int_equal(conf_load(&path, 1, &set, &messages), 0);
		assert_int_equal(conf_check_subtree(&set, &cgroups, &messages), 0);
		assert_int_equal(messages.n, cases[i].line > 0);
		if (messages.n == 0)
			continue;
		assert_true(messages.items[0].warning);
		assert_int_equal(messages.items[0].line, cases[i].line);
		assert_string_equal(messages.items[0].file, path);
		assert_non_null(
			strstr(messages.items[0].text, "Subtree=/not/there: there is no such"));
	}
	assert_int_equal(unlinkat(fd, "there", AT_REMOVEDIR), 0);
	cgroup_fs_done(&cgroups);
	assert_int_equal(rmdir(directory), 0);
}

static void test_load_reports_all_of_ten_errors_in_order(void **state)
{
	static const unsigned lines[] = { 3, 6, 7, 9, 12, 15, 18, 21, 22, 27 };
	const char *path = fixture("mistakes.conf");
	struct conf_messages messages = {};
	struct policy_set set;

	assert_int_equal(conf_load(&path, 1, &set, &messages), 1);
	if (messages.n != ARRAY_SIZE(lines))
		print_messages(&messages);
	assert_int_equal(messages.n, ARRAY_SIZE(lines));
	assert_int_equal(messages.n_errors, ARRAY_SIZE(lines));
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(messages.items[i].line, lines[i]);
	conf_messages_done(&messages);
}

static const char *line_text(const struct policy_threshold *line, char buf[static 32])
{
	if (!line->set)
		snprintf(buf, 32, "-");
	else if (line->is_size)
		snprintf(buf, 32, "%lluM", (unsigned long long)(line->bytes / MIB));
	else if (line->cap > 0)
		snprintf(buf, 32, "%u%%/%lluM", line->permyriad / 100,
			 (unsigned long long)(line->cap / MIB));
	else
		snprintf(buf, 32, "%u%%", line->permyriad / 100);
	return buf;
}

/* "kill": "ACTION MEMORY SWAP FULL SECONDS TARGET GRACE"; "protect x": its conditions; "-" if there
 * is none.  "" is the daemon's. */
static const char *render(const struct policy_set *set, const char *what, char buf[static 256])
{
	char memory[32], swap[32];

	if (*what == '\0') {
		snprintf(buf, 256, "%s %s", set->dry_run ? "dry" : "armed", set->subtree);
		return buf;
	}
	snprintf(buf, 256, "-");
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *p = &set->policies[i];

		if (strcmp(p->name, what) == 0)
			snprintf(buf, 256, "%s %s %s %u%% %llus %s %llus",
				 policy_action_to_string(p->action),
				 line_text(&p->memory_available, memory),
				 line_text(&p->swap_free, swap), p->pressure_full / 100,
				 (unsigned long long)(p->for_usec / USEC_PER_SEC),
				 policy_target_to_string(p->target),
				 (unsigned long long)(p->grace_usec / USEC_PER_SEC));
	}
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule *rule = &set->rules[i];
		char name[128];

		snprintf(name, sizeof(name), "%s %s", rule_kind_to_string(rule->kind), rule->name);
		if (strcmp(name, what) == 0)
			describe_rule(rule, rule->has_uid ? "UID" : NULL, buf, 256);
	}
	return buf;
}

#define BUILTIN_KILL "kill 5%/2048M 5%/2048M 0% 0s process 5s"
#define DRY_RUN	     "could not be read: until it can, this is a dry run"

/* What is left may kill less than what was written, never more; what is built in remains. */
static void test_lenient_load_uses_what_is_safe(void **state)
{
	static const struct {
		const char *text;
		unsigned n_errors;
		const char *said; /* by one of the errors; NULL: no error */
		const char *what, *left;
	} cases[] = {
		/* no errors */
		{ "", 0, NULL, "kill", BUILTIN_KILL },
		{ "[Policy kill]\nMemoryAvailable=9%\n", 0, NULL, "kill",
		  "kill 9% 5%/2048M 0% 0s process 5s" },
		{ "[Policy x]\nMemoryAvailable=9%\nAction=kill\n", 0, NULL, "x",
		  "kill 9% - 0% 0s process 5s" },
		/* a new policy is used whole or not at all */
		{ "[Policy x]\nMemoryAvailable=9%\nSwapFree=9\nAction=kill\n", 2,
		  "[Policy x] has errors and is not used", "x", "-" },
		{ "[Policy x]\nMemoryAvailable=9%\nNew=1\nAction=kill\n", 1,
		  "[Policy x] has errors and is not used", "x", "-" },
		{ "[Policy x]\nMemoryAvailable=9%\nnonsense\nAction=kill\n", 2, "is not used", "x",
		  "-" },
		{ "[Policy x]\nMemoryAvailable=9%\n", 2, "is not used", "x", "-" },
		{ "[Policy x]\nAction=kill\n", 2, "is not used", "x", "-" },
		{ "[Policy x]\nMemoryAvailable=9%\nAction=kill\n[Policy x]\nFor=x\n", 2,
		  "is not used", "x", "-" },
		{ "[Policy x]\nSwapFree=9\nAction=kill\n[Policy y]\nSwapFree=9%\nAction=warn\n", 2,
		  "[Policy x] has errors and is not used", "y", "warn - 9% 0% 0s process 5s" },
		/* one that is built in remains */
		{ "[Policy kill]\nMemoryAvailable=x\n", 2,
		  "[Policy kill] has errors: it stays as it is built in", "kill", BUILTIN_KILL },
		{ "[Policy kill]\nMemoryAvailable=50%\nPressureFull=x\n", 2, "stays", "kill",
		  BUILTIN_KILL },
		{ "[Policy kill]\nMemoryAvailable=\nSwapFree=\n", 2, "stays", "kill",
		  BUILTIN_KILL },
		{ "[Policy kill]\nTarget=cgroup\nAction=kil\n", 2, "stays", "kill", BUILTIN_KILL },
		{ "[Policy kill]\nMemoryAvailable=512M\nSwapFree=3G\nFor=x\n", 2, "stays", "kill",
		  "kill 5%/512M 5%/2048M 0% 0s process 5s" },
		{ "[Policy kill]\nMemoryAvailable=3% 4G\nSwapFree=9% 1G\nFor=x\n", 2, "stays",
		  "kill", "kill 3%/2048M 5%/1024M 0% 0s process 5s" },
		/* but for what restricts it */
		{ "[Policy kill]\nAction=none\nFor=x\n", 2, "restricts", "kill",
		  "none 5%/2048M 5%/2048M 0% 0s process 5s" },
		{ "[Policy warn]\nAction=kill\nFor=x\n", 2, "restricts", "warn",
		  "warn 15%/6144M 25%/10240M 0% 0s process 5s" },
		{ "[Policy kill]\nMemoryAvailable=2%\nSwapFree=x\nFor=3s\nGrace=9s\n", 2,
		  "restricts", "kill", "kill 2%/2048M 5%/2048M 0% 3s process 9s" },
		{ "[Policy kill]\nPressureFull=30%\nNew=1\n", 1, "restricts", "kill",
		  "kill 5%/2048M 5%/2048M 30% 0s process 5s" },
		{ "[Policy stall]\nSwapFree=1G\nFor=x\n", 2, "restricts", "stall",
		  "kill 4% 1024M 25% 5s process 5s" },
		{ "[Policy stall]\nFor=60s\n", 2, "restricts", "stall",
		  "kill 4% - 25% 30s process 5s" },
		/* Prefer exposes */
		{ "[Prefer x]\nComm=a\nUser=5x\n", 2, "[Prefer x] has errors and is not used",
		  "prefer x", "-" },
		{ "[Prefer x]\nComm=a\nWeight=0.1\n", 2, "is not used", "prefer x", "-" },
		{ "[Prefer x]\nComm=a\nExe=/bin/a\n", 1, "is not used", "prefer x", "-" },
		/* Protect and Avoid spare */
		{ "[Protect x]\nComm=a\nCgroup=b\n", 2,
		  "[Protect x] has errors: it is used with the conditions that could be read",
		  "protect x", "Comm=a" },
		{ "[Avoid x]\nComm=a\nWeight=5\n", 2, "[Avoid x] has errors: it is used", "avoid x",
		  "Comm=a" },
		{ "[Protect x]\nComm=(\n", 2, "[Protect x] has errors and is not used", "protect x",
		  "-" },
		{ "[Protect x]\nExe=/bin/a\n", 1, "is not used", "protect x", "-" },
		{ "[Protect x]\n", 2, "is not used", "protect x", "-" },
		{ "[Protect ssh]\nComm=(\n", 2, "it is used", "protect ssh",
		  "Comm=^(sshd|sshd-session|sshd-auth|dropbear)$ User=UID" },
		{ "[Protect ssh]\nEnabled=no\nComm=(\n", 1, "Comm=( is not", "protect ssh", "-" },
		/* a user that does not exist */
		{ "[Protect x]\nUser=no such user\n", 0, NULL, "protect x",
		  "User=no such user (no such user)" },
		/* what a newer version knows, and what no version knows */
		{ "[Metrics x]\nComm=a\n", 0, NULL, "kill", BUILTIN_KILL },
		{ "[Daemon]\nNew=1\n", 0, NULL, "", "armed /" },
		{ "[Policy kill\nAction=none\n", 1, "no ']'", "kill", BUILTIN_KILL },
		/* what may be killed at all */
		{ "[Daemon]\nDryRun=ye\n", 2, "DryRun= says what may be killed and " DRY_RUN, "",
		  "dry /" },
		{ "[Daemon]\nSubtree=user.slice\n", 2,
		  "Subtree= says what may be killed and " DRY_RUN, "", "dry /" },
		{ "[Daemon]\nDryrun=yes\n", 1, DRY_RUN, "", "dry /" },
		{ "[Daemon]\nDryRun yes\n", 2, DRY_RUN, "", "dry /" },
		{ "[daemon]\nDryRun=yes\n", 1, DRY_RUN, "", "dry /" },
		{ "[Daemon\nDryRun=yes\n", 2, DRY_RUN, "", "dry /" },
		{ "DryRun=yes\n", 2, DRY_RUN, "", "dry /" },
		{ "WatchBelow=20%\nDryRun=yes\n", 2, DRY_RUN, "", "dry /" },
		{ "[Policy kill]\nDryRun=yes\n", 2, DRY_RUN, "", "dry /" },
		{ "[Metrics]\nSubtree=/a\n", 0, NULL, "", "armed /" },
		{ "[Daemon\nScope=/a\n", 2, DRY_RUN, "", "dry /" },
		{ "[Daemon]\nScope /a\n", 2, DRY_RUN, "", "dry /" },
		{ "[Daemon]\nScop=/a\n", 1, DRY_RUN, "", "dry /" },
		{ "[Policy kill]\nScope=/a\n", 2, DRY_RUN, "", "dry /" },
		{ "[Daemon]\nScope=/a\n", 0, NULL, "", "armed /a" },
		{ "[Daemon]\nWatchBelow=x\nSubtree=/a\n", 1, "WatchBelow= needs", "", "armed /a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = write_tmp(cases[i].text, strlen(cases[i].text));
		_cleanup_(conf_messages_done) struct conf_messages messages = {};
		_cleanup_(policy_set_done) struct policy_set set = {};
		bool is_said = !cases[i].said;
		const char *left;
		char buf[256];

		assert_int_equal(conf_load_lenient(&path, 1, &set, &messages),
				 cases[i].n_errors > 0);
		for (size_t k = 0; k < messages.n; k++)
			is_said |= cases[i].said && !messages.items[k].warning &&
				   strstr(messages.items[k].text, cases[i].said);
		left = render(&set, cases[i].what, buf);
		if (messages.n_errors == cases[i].n_errors && is_said &&
		    strcmp(left, cases[i].left) == 0)
			continue;
		print_messages(&messages);
		fail_msg("'%s': %zu errors, '%s' is '%s'", cases[i].text, messages.n_errors,
			 cases[i].what, left);
	}
}

/* What is wrong in one file takes nothing from the others. */
static void test_lenient_load_continues_with_other_files(void **state)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = {};
	_cleanup_(policy_set_done) struct policy_set set = {};
	static const char good[] = "[Protect x]\nComm=a\n";
	const char *files[] = { "/nonexistent/x.conf", "/", write_tmp(good, strlen(good)) };
	char buf[256];

	assert_int_equal(conf_load_lenient(files, ARRAY_SIZE(files), &set, &messages), 1);
	assert_int_equal(messages.n_errors, 2);
	assert_string_equal(render(&set, "protect x", buf), "Comm=a");
	assert_string_equal(render(&set, "kill", buf), BUILTIN_KILL);
}

/* What a file says that cannot be opened for now is not known: to start without its rules would be
 * to kill what they protect. */
static void test_lenient_load_fails_for_want_of_files(void **state)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = {};
	static const char good[] = "[Protect x]\nComm=a\n";
	const char *path = write_tmp(good, strlen(good));
	struct rlimit before, limit;
	struct policy_set set;
	int next = open("/", O_RDONLY | O_CLOEXEC), r[2];

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r[0] = conf_load_lenient(&path, 1, &set, &messages);
	r[1] = conf_load(&path, 1, &set, &messages);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r[0], -EMFILE);
	assert_int_equal(r[1], 1);
	assert_int_equal(messages.n_errors, 2);
	assert_string_equal(messages.items[0].text, "cannot be read: Too many open files");
}

/* (No process is of nobody's user, but one whose user is not known has that number here.) */
static void test_a_rule_of_an_unknown_user_matches_nothing(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	static const struct rule_subject subjects[] = {
		{ .comm = "a", .cgroup = "/", .uid = (uid_t)-1 },
		{ .comm = "a", .cgroup = "/", .uid = 0 },
		{ .comm = "a", .cgroup = "/", .uid = 65534 },
		{ .cgroup = "/" },
	};
	static const char text[] = "[Protect x]\nUser=no-such-user\n";
	struct conf_messages messages;
	struct rule_verdict verdict;

	load_good(write_tmp(text, strlen(text)), &set, &messages);
	conf_messages_done(&messages);
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++) {
		policy_apply_rules(&set, &subjects[i], &verdict);
		assert_null(verdict.protected_by);
	}
}

/* "KEY=" and so many bytes in all, with a line after it. */
static char *long_line(const char *start, char fill, size_t length, const char *end)
{
	size_t start_length = strlen(start), end_length = strlen(end);
	char *text = malloc(length + end_length + 1);

	assert_non_null(text);
	assert_true(start_length <= length);
	memcpy(text, start, start_length);
	memset(text + start_length, fill, length - start_length);
	memcpy(text + length, end, end_length + 1);
	return text;
}

/* inih's own buffer is 200 bytes, and what is beyond it would be a line of its own. */
static void test_load_keeps_long_values_whole(void **state)
{
	static const size_t lengths[] = { 190, 198, 199, 200, 201, 202, 500, CONF_LINE_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_free_ char *line =
			long_line("Cgroup=/a/DryRun=", 'x', lengths[i], "\nUser=7\n");
		_cleanup_free_ char *text = NULL;
		struct policy_set set;
		struct rule *rule;

		assert_true(asprintf(&text, "[Protect x]\n%s", line) > 0);
		load_text(text, &set);
		rule = find_rule(&set, RULE_PROTECT, "x");
		assert_int_equal(strlen(rule->cgroup), lengths[i] - strlen("Cgroup="));
		assert_int_equal(rule->uid, 7);
		policy_set_done(&set);
	}
}

/* One error, in that line, or none (line 0). */
static void check_one(const char *text, size_t length, unsigned line, const char *said)
{
	const char *path = write_tmp(text, length);
	struct conf_messages messages = {};
	struct policy_set set;
	int r = conf_load(&path, 1, &set, &messages);

	if (messages.n != (line > 0))
		print_messages(&messages);
	assert_int_equal(messages.n, line > 0);
	assert_int_equal(r, line > 0);
	if (r == 0) {
		policy_set_done(&set);
	} else {
		assert_int_equal(messages.items[0].line, line);
		if (!strstr(messages.items[0].text, said))
			fail_msg("'%s' instead of '%s'", messages.items[0].text, said);
	}
	conf_messages_done(&messages);
}

static void test_load_refuses_lines_that_are_too_long(void **state)
{
	static const struct {
		const char *start;
		size_t length;
		const char *end;
		unsigned line;
	} cases[] = {
		{ "[Protect x]\nCgroup=/", 12 + CONF_LINE_MAX, "\n", 0 },
		{ "[Protect x]\nCgroup=/", 12 + CONF_LINE_MAX + 1, "\n", 2 },
		{ "[Protect x]\nCgroup=/", 12 + CONF_LINE_MAX + 2, "\n", 2 },
		{ "[Protect x]\nCgroup=/", 12 + 100000, "\n\n[Daemon]\n", 2 },
		{ "[Protect x]\nCgroup=/", 12 + CONF_LINE_MAX + 1, "", 2 },
		{ "[Protect x]\nComm=a\n#", 100000, "\nUser=0\n", 0 },
		/* its keys must not fall into the section before it */
		{ "[Daemon]\n\n[Policy x", 5000, "]\nAction=kill\n", 3 },
		{ "[Foo]\nCgroup=/", 5000, "\n", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			long_line(cases[i].start, 'x', cases[i].length, cases[i].end);

		check_one(text, strlen(text), cases[i].line,
			  i < ARRAY_SIZE(cases) - 1 ? "line too long: at most 1024" : "unknown");
	}
}

static void test_load_refuses_nul_bytes(void **state)
{
	static const char after_nul[] = "[Daemon]\nDryRun=yes\0no\n";
	static const char alone[] = "[Daemon]\n\0\nDryRun=yes\n";
	static const char twice[] = "[Daemon]\n\0\n\0\nDryRun=junk\n";
	static const char in_header[] = "[Policy kill]\n[Dae\0mon]\nDryRun=yes\n";
	static const char in_comment[] = "# \0\n[Daemon]\n";

	check_one(after_nul, sizeof(after_nul) - 1, 2, "NUL");
	check_one(alone, sizeof(alone) - 1, 2, "NUL");
	check_one(twice, sizeof(twice) - 1, 2, "NUL");
	check_one(in_header, sizeof(in_header) - 1, 2, "NUL");
	check_one(in_comment, sizeof(in_comment) - 1, 0, NULL);
}

static void test_load_shows_only_printable_text(void **state)
{
	static const char text[] = "[Daemon]\nDryRun=\x1b[31m\xff!\x7f\n";
	const char *path = write_tmp(text, strlen(text));
	struct conf_messages messages = {};
	struct policy_set set;

	assert_int_equal(conf_load(&path, 1, &set, &messages), 1);
	assert_int_equal(messages.n, 1);
	assert_string_equal(messages.items[0].text, "DryRun= needs yes or no, not '?[31m?!?'");
	conf_messages_done(&messages);
}

static void test_load_takes_regular_files_only(void **state)
{
	static const struct {
		const char *path, *said;
	} cases[] = {
		{ "/nonexistent/x.conf", "cannot be read: No such file" },
		{ "/", "is a directory, not a regular file" },
		{ "/dev/zero", "is a device or the like, not a regular file" },
		{ "fifo", "is a FIFO, not a regular file" },
		{ "/dev/null", NULL },
	};

	assert_int_equal(mkfifo(tmp_path("fifo"), 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = *cases[i].path == '/' ? cases[i].path : tmp_path(cases[i].path);
		struct conf_messages messages = {};
		struct policy_set set;

		assert_int_equal(conf_load(&path, 1, &set, &messages), !!cases[i].said);
		assert_int_equal(messages.n, !!cases[i].said);
		if (!cases[i].said) {
			policy_set_done(&set);
			continue;
		}
		assert_int_equal(messages.items[0].line, 0);
		if (!strstr(messages.items[0].text, cases[i].said))
			fail_msg("%s: '%s'", path, messages.items[0].text);
		conf_messages_done(&messages);
	}
}

/* Neither a file nor what is wrong with it takes memory or time without limit. */
static void test_load_is_bounded(void **state)
{
	_cleanup_free_ char *text = malloc(2 * CONF_FILE_MAX);
	const char *path;
	struct policy_set set;
	size_t n = 0;

	assert_non_null(text);
	n += (size_t)sprintf(text, "[Daemon]\n");
	while (n < CONF_FILE_MAX - 2)
		n += (size_t)sprintf(text + n, "x\n");
	for (int i = 0; i < 2; i++) {
		struct conf_messages messages = {};

		path = write_tmp(text, n);
		assert_int_equal(conf_load(&path, 1, &set, &messages), 1);
		assert_int_equal(messages.n, i == 0 ? CONF_MESSAGES_MAX : 1);
		assert_int_equal(messages.n + messages.n_left_out,
				 messages.n_errors + messages.n_warnings);
		if (i == 0)
			assert_true(messages.n_errors > 500000);
		else
			assert_non_null(strstr(messages.items[0].text, "too large: at most 1 MiB"));
		conf_messages_done(&messages);
		n += (size_t)sprintf(text + n, "xxxx\n");
	}
}

static void test_message_print_is_file_line_text(void **state)
{
	static char file[] = "a.conf", text[] = "is wrong";
	struct conf_message message = { .file = file, .line = 7, .text = text };
	_cleanup_free_ char *buf = NULL;
	size_t size;
	FILE *stream = open_memstream(&buf, &size);

	assert_non_null(stream);
	conf_message_print(&message, stream);
	message.line = 0;
	message.warning = true;
	conf_message_print(&message, stream);
	assert_int_equal(fclose(stream), 0);
	assert_string_equal(buf, "a.conf:7: is wrong\na.conf: warning: is wrong\n");
}

/* Later files over earlier ones, key by key; completeness is judged in the end. */
static void test_load_merges_drop_ins(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct conf_messages messages = {};
	struct policy *policy;
	char **files;
	size_t n;
	int r;

	assert_int_equal(conf_find_files(fixture("given.conf"), "/nonexistent", &files, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(files[0], fixture("given.conf"));
	assert_string_equal(files[1], fixture("given.conf.d/10-a.conf"));
	assert_string_equal(files[2], fixture("given.conf.d/20-b.conf"));
	r = conf_load((const char *const *)files, n, &set, &messages);
	print_messages(&messages);
	assert_int_equal(r, 0);
	assert_int_equal(messages.n, 0);
	assert_false(set.dry_run);
	assert_int_equal(set.kill_timeout_usec, 7 * USEC_PER_SEC);
	policy = find_policy(&set, "new");
	assert_line(&policy->memory_available, true, 1100, 0);
	assert_int_equal(policy->action, POLICY_ACTION_WARN);
	assert_false(find_rule(&set, RULE_PROTECT, "ssh")->disabled);

	/* alone, the first lacks an action: reported at its last section */
	assert_int_equal(conf_load((const char *const *)files, 1, &set, &messages), 1);
	assert_int_equal(messages.n, 1);
	assert_int_equal(messages.items[0].line, 6);
	policy_set_done(&set);
	assert_int_equal(conf_load((const char *const *)files, 2, &set, &messages), 0);
	assert_false(has_rule(&set, RULE_PROTECT, "ssh"));
	conf_messages_done(&messages);
	assert_null(conf_files_free(files, n));
}

static void assert_found(const char *root, const char *const *expected)
{
	char **files;
	size_t n;

	assert_int_equal(conf_find_files(NULL, root, &files, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(expected[i]);
		assert_int_equal(strncmp(files[i], root, strlen(root)), 0);
		assert_string_equal(files[i] + strlen(root), expected[i]);
	}
	assert_null(expected[n]);
	conf_files_free(files, n);
}

static void test_find_files_keeps_the_order_of_directories(void **state)
{
	static const char *const all[] = {
		"/etc/reckond/reckond.conf",
		"/usr/lib/reckond/reckond.conf.d/10-first.conf",
		/* 20-masked.conf: empty in /run */
		"/etc/reckond/reckond.conf.d/50-both.conf",
		"/run/reckond/reckond.conf.d/90-last.conf",
		NULL,
	};
	static const char *const later[] = { "/run/reckond/reckond.conf", NULL };
	static const char *const none[] = { NULL };

	assert_found(fixture("root"), all);
	assert_found(fixture("later"), later);
	assert_found(fixture("nonexistent"), none);
}

static void make_at_tmp(const char *name, const char *target)
{
	const char *path = tmp_path(name);
	int fd;

	if (!target) {
		assert_int_equal(mkdir(path, 0700), 0);
	} else if (*target != '\0') {
		assert_int_equal(symlink(target, path), 0);
	} else {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "#\n", 2), 2);
		close(fd);
	}
}

static void test_find_files_hides_by_null_devices(void **state)
{
	static const char *const dangling[] = {
		"/etc/reckond/reckond.conf.d/40-dangling.conf",
		NULL,
	};
	char **files;
	size_t n;

	make_at_tmp("etc", NULL);
	make_at_tmp("etc/reckond", NULL);
	make_at_tmp("etc/reckond/reckond.conf.d", NULL);
	make_at_tmp("etc/reckond/reckond.conf", "/dev/null");
	make_at_tmp("etc/reckond/reckond.conf.d/30-null.conf", "/dev/null");
	make_at_tmp("etc/reckond/reckond.conf.d/40-dangling.conf", "/nonexistent/x");
	make_at_tmp("usr", NULL);
	make_at_tmp("usr/lib", NULL);
	make_at_tmp("usr/lib/reckond", NULL);
	make_at_tmp("usr/lib/reckond/reckond.conf.d", NULL);
	make_at_tmp("usr/lib/reckond/reckond.conf", "");
	make_at_tmp("usr/lib/reckond/reckond.conf.d/30-null.conf", "");
	/* a dangling link is an error, and reading it will report it */
	assert_found(tmp_dir, dangling);

	/* a file that was named is read, be it empty or not */
	make_at_tmp("null.conf", "/dev/null");
	assert_int_equal(conf_find_files(tmp_path("null.conf"), "", &files, &n), 0);
	assert_int_equal(n, 1);
	conf_files_free(files, n);
}

static const char *source_path(const char *name)
{
	static char path[PATH_SIZE];
	const char *dir = getenv("SRCDIR");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : ".", name);
	return path;
}

/* The example as it is, and with all its commented-out assignments: the defaults. */
static void test_example_file_shows_the_defaults(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, commented, defaults;
	_cleanup_fclose_ FILE *file = fopen(source_path("conf/reckond.conf"), "re");
	struct conf_messages messages;
	char line[CONF_LINE_MAX], text[16384];
	unsigned n_keys = 0;
	size_t length = 0;

	assert_non_null(file);
	assert_int_equal(policy_set_init_defaults(&defaults), 0);
	load_good(source_path("conf/reckond.conf"), &commented, &messages);
	assert_int_equal(messages.n, 0);
	assert_same_policies(&commented, &defaults);

	while (fgets(line, sizeof(line), file)) {
		bool key = line[0] == '#' && line[1] >= 'A' && line[1] <= 'Z';
		size_t n = strlen(line + key);

		assert_true(length + n < sizeof(text));
		memcpy(text + length, line + key, n + 1);
		length += n;
		n_keys += key;
	}
	assert_true(n_keys >= 16);
	load_text(text, &set);
	assert_same_policies(&set, &defaults);
}

/* Every display of the manual that begins with a section. */
static void test_examples_of_the_manual_are_valid(void **state)
{
	_cleanup_fclose_ FILE *file = fopen(source_path("man/reckond.conf.5"), "re");
	unsigned n_examples = 0;
	char line[CONF_LINE_MAX], text[4096];
	bool inside = false;
	size_t length = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, ".Bd -literal", 12) == 0) {
			inside = true;
			length = 0;
			continue;
		}
		if (inside && strncmp(line, ".Ed", 3) == 0) {
			inside = false;
			if (text[0] != '[')
				continue;
			assert_null(strchr(text, '\\'));
			if (!strstr(text, "User=nobody") || getpwnam("nobody")) {
				struct policy_set set;

				load_text(text, &set);
				policy_set_done(&set);
			}
			n_examples++;
			continue;
		}
		if (!inside)
			continue;
		assert_true(length + strlen(line) < sizeof(text));
		memcpy(text + length, line, strlen(line) + 1);
		length += strlen(line);
	}
	assert_int_equal(n_examples, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_nothing_is_the_defaults),
		cmocka_unit_test(test_load_sets_every_key),
		cmocka_unit_test(test_load_takes_empty_values_as_unset_or_default),
		cmocka_unit_test(test_load_takes_a_percentage_and_a_size),
		cmocka_unit_test(test_load_resolves_users),
		cmocka_unit_test(test_load_reports_what_is_wrong_and_where),
		cmocka_unit_test(test_check_subtree_reports_where_it_is_named),
		cmocka_unit_test(test_load_reports_all_of_ten_errors_in_order),
		cmocka_unit_test(test_lenient_load_uses_what_is_safe),
		cmocka_unit_test(test_lenient_load_continues_with_other_files),
		cmocka_unit_test(test_lenient_load_fails_for_want_of_files),
		cmocka_unit_test(test_a_rule_of_an_unknown_user_matches_nothing),
		cmocka_unit_test(test_load_keeps_long_values_whole),
		cmocka_unit_test(test_load_refuses_lines_that_are_too_long),
		cmocka_unit_test(test_load_refuses_nul_bytes),
		cmocka_unit_test(test_load_shows_only_printable_text),
		cmocka_unit_test(test_load_takes_regular_files_only),
		cmocka_unit_test(test_load_is_bounded),
		cmocka_unit_test(test_message_print_is_file_line_text),
		cmocka_unit_test(test_load_merges_drop_ins),
		cmocka_unit_test(test_find_files_keeps_the_order_of_directories),
		cmocka_unit_test(test_find_files_hides_by_null_devices),
		cmocka_unit_test(test_example_file_shows_the_defaults),
		cmocka_unit_test(test_examples_of_the_manual_are_valid),
	};

	return cmocka_run_group_tests(tests, make_tmp_dir, remove_tmp_dir);
}
