/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/config/conf-lenient.c: what is used of a configuration with errors. */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "lib/explain/describe.h"
#include "tests/conf-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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

static const struct {
	const char *text;
	unsigned n_errors;
	const char *said; /* by one of the errors; NULL: no error */
	const char *what, *left;
} lenient_files[] = {
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
	{ "[Policy x]\nMemoryAvailable=9%\nnonsense\nAction=kill\n", 2, "is not used", "x", "-" },
	{ "[Policy x]\nMemoryAvailable=9%\n", 2, "is not used", "x", "-" },
	{ "[Policy x]\nAction=kill\n", 2, "is not used", "x", "-" },
	{ "[Policy x]\nMemoryAvailable=9%\nAction=kill\n[Policy x]\nFor=x\n", 2, "is not used", "x",
	  "-" },
	{ "[Policy x]\nSwapFree=9\nAction=kill\n[Policy y]\nSwapFree=9%\nAction=warn\n", 2,
	  "[Policy x] has errors and is not used", "y", "warn - 9% 0% 0s process 5s" },
	/* one that is built in remains */
	{ "[Policy kill]\nMemoryAvailable=x\n", 2,
	  "[Policy kill] has errors: it stays as it is built in", "kill", BUILTIN_KILL },
	{ "[Policy kill]\nMemoryAvailable=50%\nPressureFull=x\n", 2, "stays", "kill",
	  BUILTIN_KILL },
	{ "[Policy kill]\nMemoryAvailable=\nSwapFree=\n", 2, "stays", "kill", BUILTIN_KILL },
	{ "[Policy kill]\nTarget=cgroup\nAction=kil\n", 2, "stays", "kill", BUILTIN_KILL },
	{ "[Policy kill]\nMemoryAvailable=512M\nSwapFree=3G\nFor=x\n", 2, "stays", "kill",
	  "kill 5%/512M 5%/2048M 0% 0s process 5s" },
	{ "[Policy kill]\nMemoryAvailable=3% 4G\nSwapFree=9% 1G\nFor=x\n", 2, "stays", "kill",
	  "kill 3%/2048M 5%/1024M 0% 0s process 5s" },
	/* but for what restricts it */
	{ "[Policy kill]\nAction=none\nFor=x\n", 2, "restricts", "kill",
	  "none 5%/2048M 5%/2048M 0% 0s process 5s" },
	{ "[Policy warn]\nAction=kill\nFor=x\n", 2, "restricts", "warn",
	  "warn 15%/6144M 25%/10240M 0% 0s process 5s" },
	{ "[Policy kill]\nMemoryAvailable=2%\nSwapFree=x\nFor=3s\nGrace=9s\n", 2, "restricts",
	  "kill", "kill 2%/2048M 5%/2048M 0% 3s process 9s" },
	{ "[Policy kill]\nPressureFull=30%\nNew=1\n", 1, "restricts", "kill",
	  "kill 5%/2048M 5%/2048M 30% 0s process 5s" },
	{ "[Policy stall]\nSwapFree=1G\nFor=x\n", 2, "restricts", "stall",
	  "kill 4% 1024M 25% 5s process 5s" },
	{ "[Policy stall]\nFor=60s\n", 2, "restricts", "stall", "kill 4% - 25% 30s process 5s" },
	/* Prefer exposes */
	{ "[Prefer x]\nComm=a\nUser=5x\n", 2, "[Prefer x] has errors and is not used", "prefer x",
	  "-" },
	{ "[Prefer x]\nComm=a\nWeight=0.1\n", 2, "is not used", "prefer x", "-" },
	{ "[Prefer x]\nComm=a\nExe=/bin/a\n", 1, "is not used", "prefer x", "-" },
	/* Protect and Avoid spare */
	{ "[Protect x]\nComm=a\nCgroup=b\n", 2,
	  "[Protect x] has errors: it is used with the conditions that could be read", "protect x",
	  "Comm=a" },
	{ "[Avoid x]\nComm=a\nWeight=5\n", 2, "[Avoid x] has errors: it is used", "avoid x",
	  "Comm=a" },
	{ "[Protect x]\nComm=(\n", 2, "[Protect x] has errors and is not used", "protect x", "-" },
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
	{ "[Daemon]\nDryRun=ye\n", 2, "DryRun= says what may be killed and " DRY_RUN, "", "dry /" },
	{ "[Daemon]\nSubtree=user.slice\n", 2, "Subtree= says what may be killed and " DRY_RUN, "",
	  "dry /" },
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

/* What is left may kill less than what was written, never more; what is built in remains. */
static void test_lenient_load_uses_what_is_safe(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lenient_files); i++) {
		const char *path = write_tmp(lenient_files[i].text, strlen(lenient_files[i].text));
		_cleanup_(conf_messages_done) struct conf_messages messages = {};
		_cleanup_(policy_set_done) struct policy_set set = {};
		bool is_said = !lenient_files[i].said;
		const char *left;
		char buf[256];

		assert_int_equal(conf_load_lenient(&path, 1, &set, &messages),
				 lenient_files[i].n_errors > 0);
		for (size_t k = 0; k < messages.n; k++)
			is_said |= lenient_files[i].said && !messages.items[k].warning &&
				   strstr(messages.items[k].text, lenient_files[i].said);
		left = render(&set, lenient_files[i].what, buf);
		if (messages.n_errors == lenient_files[i].n_errors && is_said &&
		    strcmp(left, lenient_files[i].left) == 0)
			continue;
		print_messages(&messages);
		fail_msg("'%s': %zu errors, '%s' is '%s'", lenient_files[i].text, messages.n_errors,
			 lenient_files[i].what, left);
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
 * to kill what they protect; and on a reload that is no error in it. */
static void test_a_load_fails_for_want_of_files(void **state)
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
	assert_int_equal(r[1], -EMFILE);
	assert_int_equal(messages.n_errors, 2);
	assert_string_equal(messages.items[0].text, "cannot be read: Too many open files");
}

/* Also for a start: the built-in defaults would be another configuration. */
static void test_a_named_file_has_to_be_readable(void **state)
{
	static const char broken[] = "[Policy\nno\n";
	const struct {
		const char *file;
		int result;
		const char *said;
	} cases[] = {
		{ "/dev/null", 0, NULL },
		{ "/nonexistent/x.conf", 1, "cannot be read: No such file or directory" },
		{ "/", 1, "is a directory, not a regular file" },
		{ "/dev/zero", 1, "is a device or the like, not a regular file" },
		{ "", 1, "cannot be read: No such file or directory" },
		/* What is in it is no reason. */
		{ write_tmp(broken, strlen(broken)), 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(conf_messages_done) struct conf_messages messages = {};

		assert_int_equal(conf_check_named(cases[i].file, &messages), cases[i].result);
		assert_int_equal(messages.n, cases[i].said != NULL);
		if (cases[i].said)
			assert_string_equal(messages.items[0].text, cases[i].said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lenient_load_uses_what_is_safe),
		cmocka_unit_test(test_lenient_load_continues_with_other_files),
		cmocka_unit_test(test_a_load_fails_for_want_of_files),
		cmocka_unit_test(test_a_named_file_has_to_be_readable),
	};

	return cmocka_run_group_tests(tests, make_tmp_dir, remove_tmp_dir);
}
