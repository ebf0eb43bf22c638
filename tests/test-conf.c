/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/config/conf.c: every key, long lines, and drop-ins. */
#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "tests/conf-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Of getpwnam_r(); 0: as it is. */
static int lookup_error;

int __real_getpwnam_r(const char *name, struct passwd *passwd, char *buf, size_t size,
		      struct passwd **ret);
int __wrap_getpwnam_r(const char *name, struct passwd *passwd, char *buf, size_t size,
		      struct passwd **ret);
int __wrap_getpwnam_r(const char *name, struct passwd *passwd, char *buf, size_t size,
		      struct passwd **ret)
{
	if (lookup_error == 0)
		return __real_getpwnam_r(name, passwd, buf, size, ret);
	*ret = NULL;
	return lookup_error;
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

static void expect_every_rule(struct policy_set *set, struct policy_set *defaults)
{
	const struct rule *rule;

	/* three new, one removed */
	assert_int_equal(set->n_rules, defaults->n_rules + 2);
	assert_false(has_rule(set, RULE_PROTECT, "init-unit"));
	rule = find_rule(set, RULE_PROTECT, "editors");
	assert_string_equal(rule->comm_pattern, "^(emacs|vim) ;[#=:]x");
	assert_false(rule->builtin || rule->has_uid || rule->cgroup);
	rule = find_rule(set, RULE_PREFER, "browsers");
	assert_string_equal(rule->cgroup, "/user.slice/*/app-*firefox*\t/b");
	assert_true(rule->weight > 1.49 && rule->weight < 1.51);
	rule = find_rule(set, RULE_AVOID, "builds");
	assert_true(rule->has_uid && rule->uid == 4242 && rule->cgroup && rule->comm_pattern);
	assert_true(rule->weight > 0.49 && rule->weight < 0.51);
	/* an override keeps what it does not name */
	rule = find_rule(set, RULE_PROTECT, "ssh");
	assert_false(rule->has_uid || rule->builtin);
	assert_string_equal(rule->comm_pattern,
			    find_rule(defaults, RULE_PROTECT, "ssh")->comm_pattern);
	assert_true(find_rule(set, RULE_PROTECT, "systemd")->builtin);
}

static void test_load_sets_every_key(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, defaults;
	struct conf_messages messages;
	struct policy *policy;

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
	expect_every_rule(&set, &defaults);
}

static void test_load_takes_empty_values_as_unset_or_default(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set, defaults;
	struct policy *policy;
	struct rule *rule;

	assert_int_equal(policy_set_init_defaults(&defaults), 0);
	load_text("[Daemon]\nDryRun=\nSubtree=\nWatchBelow=\nKillTimeout=\n"
		  "[Daemon]\nMinVictim=8M\n[Daemon]\nMinVictim=\n",
		  &set);
	assert_same_policies(&set, &defaults);
	assert_false(set.min_victim.set);
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
/* What is short now says nothing of the user: the file is to be read again. */
static void test_a_user_that_cannot_be_looked_up_for_now(void **state)
{
	static const struct {
		int error, result, result_lenient;
	} cases[] = { { EMFILE, -EAGAIN, 0 }, { ENFILE, -EAGAIN, 0 }, { EIO, 0, 0 }, { 0, 0, 0 } };
	static const char text[] = "[Protect x]\nUser=no-such-user\n";
	const char *file = write_tmp(text, strlen(text));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int is_lenient = 0; is_lenient < 2; is_lenient++) {
			struct conf_messages messages = { 0 };
			struct policy_set set = { 0 };

			lookup_error = cases[i].error;
			assert_int_equal(is_lenient ? conf_load_lenient(&file, 1, &set, &messages)
						    : conf_load(&file, 1, &set, &messages),
					 is_lenient ? cases[i].result_lenient : cases[i].result);
			lookup_error = 0;
			assert_int_equal(messages.n, 1);
			if (is_lenient)
				assert_non_null(find_rule(&set, RULE_PROTECT, "x")->unknown_user);
			policy_set_done(&set);
			conf_messages_done(&messages);
		}
	}
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_nothing_is_the_defaults),
		cmocka_unit_test(test_load_sets_every_key),
		cmocka_unit_test(test_load_takes_empty_values_as_unset_or_default),
		cmocka_unit_test(test_load_takes_a_percentage_and_a_size),
		cmocka_unit_test(test_load_resolves_users),
		cmocka_unit_test(test_a_rule_of_an_unknown_user_matches_nothing),
		cmocka_unit_test(test_a_user_that_cannot_be_looked_up_for_now),
		cmocka_unit_test(test_load_keeps_long_values_whole),
		cmocka_unit_test(test_load_refuses_lines_that_are_too_long),
		cmocka_unit_test(test_load_refuses_nul_bytes),
		cmocka_unit_test(test_load_shows_only_printable_text),
		cmocka_unit_test(test_load_takes_regular_files_only),
		cmocka_unit_test(test_load_is_bounded),
		cmocka_unit_test(test_message_print_is_file_line_text),
	};

	return cmocka_run_group_tests(tests, make_tmp_dir, remove_tmp_dir);
}
