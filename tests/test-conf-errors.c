/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/conf.c and lib/config/conf-messages.c: every error with its line and its
 * words.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "tests/conf-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define WARNING true

static const struct {
	const char *text;
	unsigned line;
	const char *said; /* NULL: nothing is wrong */
	bool warning;
} wrong_files[] = {
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
	{ "[Daemon]\nDryrun=yes\n", 2, "unknown key 'Dryrun' in [Daemon]: did you mean DryRun=?" },
	{ "[Policy kill]\nMemAvailable=1%\n", 2, "did you mean MemoryAvailable=?" },
	{ "[Policy kill]\nSWAPFREE=1%\n", 2, "did you mean SwapFree=?" },
	{ "[Policy kill]\nPressureSom=1%\n", 2, "did you mean PressureSome=?" },
	{ "[Protect x]\nUnit=a.service\n", 2,
	  "unknown key 'Unit' in [Protect]: a unit is matched by its cgroup, as "
	  "Cgroup=/system.slice/NAME.service" },
	{ "[Avoid x]\nGroup=wheel\n", 2, "a group of users cannot be matched" },
	{ "[Prefer x]\nCMDLINE=x\n", 2, "a command line or an executable cannot" },
	{ "[Prefer x]\nName=x\n", 2, "matched by Comm=" },
	{ "[Protect x]\nUID=0\n", 2, "a user is matched by User=" },
	{ "[Daemon]\nUnit=x\n", 2, "in [Daemon]: known are" },
	{ "[Protect x]\nNam=x\n", 2, "in [Protect]: known are" },
	{ "[Policy kill]\nAction=SIGTERM\n", 2, "not 'SIGTERM': did you mean terminate?" },
	{ "[Policy kill]\nAction=Kill\n", 2, "not 'Kill': did you mean kill?" },
	{ "[Policy kill]\nAction=explode\n", 2,
	  "Action= needs none, warn, terminate or kill, not 'explode'" },
	{ "[Policy kill]\nAction=\n", 2, "terminate or kill: it has no default" },
	{ "[Protect x]\nUser=root,daemon\n", 2,
	  "there is no such user (several need a section each)", WARNING },
	{ "[Protect x]\nUser=nosuch\n", 2, "there is no such user; the rule", WARNING },
	{ "[Policy kill]\nXyzzy=1%\n", 2, "known are Cgroup=, MemoryAvailable=" },
	{ "[Daemon]\nSwapFree=1%\n", 2, "SwapFree= belongs in [Policy NAME]" },
	{ "[Protect x]\nComm=a\nWeight=2\n", 3, "belongs in [Prefer NAME], [Avoid NAME]" },
	{ "[Daemon]\nDry:Run=yes\n", 2, "unknown key 'Dry:Run'" },
	{ "[Daemon]\nDryRun:=yes\n", 2, "unknown key 'DryRun:'" },
	{ "[Daemon]\nDry\x01Run=yes\n", 2, "unknown key 'Dry?Run'" },
	{ "[Daemon]\nSubtree=/a\n\nSubtree=/b\n", 4, "Subtree= is in line 2 of this section",
	  WARNING },
	{ "[Daemon]\nSubtree=/a\n[Daemon]\nSubtree=/b\n", 0, NULL },
	{ "[Daemon]\nScope=/a\n", 2, "Scope= is the old name of Subtree=", WARNING },
	{ "[Policy p]\nScope=/a\n", 2, "Scope", 0 },
	/* values */
	{ "[Daemon]\nDryRun=maybe\n", 2, "DryRun= needs yes or no, not 'maybe'" },
	{ "[Daemon]\nDryRun=yes # really\n", 2, "not 'yes # really'; a comment needs a line" },
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
	{ "[Policy kill]\nAction=Kill\n", 2, "Action= needs none, warn, terminate or kill" },
	{ "[Policy kill]\nAction=\n", 2, "Action= needs none, warn" },
	{ "[Policy kill]\nRankBy=size\n", 2, "RankBy= needs footprint, badness, swap" },
	{ "[Policy kill]\nFor=5x\n", 2,
	  "For= needs a duration such as 5s, 250ms or 1min 30s, not '5x'" },
	{ "[Policy kill]\nPressureFull=0%\n", 2, "PressureFull= needs a percentage above 0%" },
	{ "[Policy kill]\nPressureFull=40\n", 2, "PressureFull= needs a percentage" },
	{ "[Policy kill]\nTarget=cgroup\n", 0, NULL },
	{ "[Policy kill]\nTarget=planet\n", 2, "Target= needs process or cgroup, not 'planet'" },
	{ "[Policy kill]\nCgroup=/user.slice\n", 2, "measures the whole machine only" },
	{ "[Policy kill]\nCgroup=user.slice\n", 2, "Cgroup= needs /" },
	{ "[Protect x]\nComm=(\n", 2, "Comm=( is not a regular expression: Unmatched" },
	{ "[Protect x]\nComm=(a)\\1\n", 2, "Back-references" },
	{ "[Protect x]\nCgroup=a.slice\n", 2, "globs that begin with /" },
	{ "[Protect x]\nCgroup=/a.slice b.slice\n", 2, "globs that begin with /" },
	{ "[Protect x]\nCgroup=/a.slice/\n", 2, "globs that begin with /" },
	{ "[Protect x]\nCgroup=/a.slice /sys/fs/cgroup/b\n", 2, "'/sys/fs/cgroup/b': cgroups" },
	{ "[Protect x]\nCgroup=/a /b/*\n", 0, NULL },
	{ "[Protect x]\nUser=no such user\n", 2,
	  "User=no such user: there is no such user (several need a section each); the "
	  "rule matches no process until",
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
	{ "[Protect x]\nComm=^[[:alpha:]]gnome-session-bi\n", 2, "can never match", WARNING },
	/* what is not meant */
	{ "[Protect x]\nComm=\"^emacs$\"\n", 2, "the quotes are part of the pattern", WARNING },
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
	{ "[Daemon]\nMinVictim=100%\n", 2, "hardly any ever is", WARNING },
	{ "[Daemon]\nMinVictim=49%\n", 0, NULL },
	{ "[Daemon]\nMinVictim=60% 1G\n", 0, NULL },
	{ "[Protect x]\nCgroup=/a,b\n", 0, NULL },
	{ "[Protect x]\nCgroup=/a,/b\n", 2, "the ',' is part of the pattern", WARNING },
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
	{ "[Policy kill]\nMemoryAvailable=20%\nSwapFree=\n", 1, "never act first", WARNING },
	{ "[Policy kill]\nMemoryAvailable=20%\nSwapFree=\nFor=1s\n", 0, NULL },
	{ "[Policy kill]\nMemoryAvailable=20% 3G\nSwapFree=\n", 0, NULL },
	{ "[Policy kill]\nMemoryAvailable=20% 4G\nSwapFree=\n", 1, "never act first", WARNING },
	{ "[Policy kill]\nMemoryAvailable=3G\nSwapFree=\n", 0, NULL },
	{ "[Policy kill]\nMemoryAvailable=4G\nSwapFree=\n", 1, "never act first", WARNING },
	{ "[Policy terminate]\nMemoryAvailable=5%\nSwapFree=5%\n", 0, NULL },
	{ "[Policy terminate]\nMemoryAvailable=5% 2G\nSwapFree=5% 1G\n", 1,
	  "[Policy terminate] can never act first: [Policy kill] holds whenever it does", WARNING },
	{ "[Policy x]\nSwapFree=5%\nMemoryAvailable=90%\nAction=warn\n", 0, NULL },
	{ "[Policy kill]\nMemoryAvailable=4%\nSwapFree=4%\n[Policy terminate]\n"
	  "MemoryAvailable=4%\nSwapFree=4%\n",
	  1, "[Policy kill] holds whenever [Policy terminate] does", WARNING },
	/* what is incomplete */
	{ "\n[Policy x]\nMemoryAvailable=1%\n", 2, "[Policy x] has no Action=" },
	{ "[Policy x]\nFor=1s\n[Policy x]\nMemoryAvailable=1%\n", 3, "[Policy x] has no Action=" },
	{ "[Policy x]\nAction=kill\n", 1, "[Policy x] has no condition: MemoryAvailable=" },
	{ "[Policy kill]\nMemoryAvailable=\nSwapFree=\n", 1, "[Policy kill] has no condition" },
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
	{ "[Protect shh]\nEnabled=no\n", 1, "there is no [Protect shh] to disable", WARNING },
	{ "[Protect x]\nComm=a\nEnabled=no\n", 0, NULL },
	{ "[Avoid ssh]\nEnabled=no\n", 1, "there is no [Avoid ssh] to disable", WARNING },
};

static void test_load_reports_what_is_wrong_and_where(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong_files); i++) {
		const char *path = write_tmp(wrong_files[i].text, strlen(wrong_files[i].text));
		struct conf_messages messages = {};
		struct policy_set set = {};
		int r = conf_load(&path, 1, &set, &messages);
		bool error = wrong_files[i].said && !wrong_files[i].warning;

		if (r != error || messages.n != !!wrong_files[i].said ||
		    messages.n_errors != (size_t)error) {
			print_messages(&messages);
			fail_msg("'%s': %d, %zu messages", wrong_files[i].text, r, messages.n);
		}
		if (wrong_files[i].said && (messages.items[0].line != wrong_files[i].line ||
					    messages.items[0].warning != wrong_files[i].warning ||
					    strcmp(messages.items[0].file, path) != 0 ||
					    !strstr(messages.items[0].text, wrong_files[i].said))) {
			print_messages(&messages);
			fail_msg("'%s': not line %u, '%s'", wrong_files[i].text,
				 wrong_files[i].line, wrong_files[i].said);
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
	const char *path = fixture("errors.conf");
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

/* Each sample judges all of them. */
static void test_there_are_at_most_so_many_policies(void **state)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = {};
	_cleanup_(policy_set_done) struct policy_set set = {};
	char text[CONF_POLICIES_MAX * 48], *end = text;
	const char *path;

	for (unsigned i = 0; i < CONF_POLICIES_MAX; i++)
		end += sprintf(end, "[Policy p%u]\nAction=none\n", i);
	sprintf(end, "[Policy p1]\nGrace=1s\n");
	path = write_tmp(text, strlen(text));
	assert_int_equal(conf_load(&path, 1, &set, &messages), 1);
	assert_int_equal(messages.n, 5); /* those that are built in */
	assert_non_null(strstr(messages.items[0].text, "[Policy p59] is one too many: at most 64"));
	assert_int_equal(conf_load_lenient(&path, 1, &set, &messages), 1);
	assert_int_equal(set.n_policies, CONF_POLICIES_MAX);
}

/* Nothing more is compiled, or searched for. */
static void test_there_are_at_most_so_many_rules(void **state)
{
	static const struct {
		const char *value;
		bool is_same; /* rule, again and again */
		unsigned n;   /* enough to be too many */
		const char *said;
	} cases[] = {
		{ "Comm=^one$", false, CONF_RULES_MAX, "at most 1024 rules" },
		{ "Comm=^one-[a-z]+$", false, CONF_COST_MAX + 1, "is one too many" },
		{ "Comm=^one.{0,250}$", false, 50, "is one too many" },
		{ "Comm=^one-[a-z]+$", true, CONF_COST_MAX + 1, "is one too many" },
		{ "User=root", false, CONF_COST_MAX + 1, "is one too many" },
	};
	static char text[64 * 1024];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(conf_messages_done) struct conf_messages messages = {};
		_cleanup_(policy_set_done) struct policy_set set = {};
		char *end = text;
		const char *path;
		bool is_there = false;

		for (unsigned k = 0; k < cases[i].n; k++)
			end += sprintf(end, "[Avoid r%u]\n%s\n", cases[i].is_same ? 5 : k,
				       cases[i].value);
		path = write_tmp(text, (size_t)(end - text));
		assert_int_equal(conf_load(&path, 1, &set, &messages), 1);
		assert_int_equal(messages.n_errors, 1); /* the rest is not read */
		assert_non_null(strstr(messages.items[0].text, cases[i].said));
		assert_true(messages.items[0].line > 20);
		/* At a start all the others are used. */
		assert_int_equal(conf_load_lenient(&path, 1, &set, &messages), 1);
		assert_true(set.n_rules <= CONF_RULES_MAX);
		for (size_t k = 0; k < set.n_rules; k++)
			is_there |= strcmp(set.rules[k].name, "r5") == 0;
		assert_true(is_there);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_reports_what_is_wrong_and_where),
		cmocka_unit_test(test_there_are_at_most_so_many_policies),
		cmocka_unit_test(test_there_are_at_most_so_many_rules),
		cmocka_unit_test(test_check_subtree_reports_where_it_is_named),
		cmocka_unit_test(test_load_reports_all_of_ten_errors_in_order),
	};

	return cmocka_run_group_tests(tests, make_tmp_dir, remove_tmp_dir);
}
