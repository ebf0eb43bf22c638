/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/conf-files.c: which files are read, in which order, also where a directory
 * cannot be listed; and that the example and the manual are right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
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

/* How much of each file there is that cannot be read. */
static off_t n_lost;
/* By how much it has grown, and its times have changed, at each look at it. */
static struct {
	off_t size;
	long mtime, ctime;
} step;

int __real_fstat(int fd, struct stat *ret);
int __wrap_fstat(int fd, struct stat *ret);
int __wrap_fstat(int fd, struct stat *ret)
{
	static unsigned n;
	int r = __real_fstat(fd, ret);

	n++;
	ret->st_size += n_lost + n * step.size;
	ret->st_mtim.tv_nsec += (long)n * step.mtime;
	ret->st_ctim.tv_nsec += (long)n * step.ctime;
	return r;
}

/* Of /etc and /run. */
static int opendir_errors[2];

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	errno = strstr(path, "/etc/reckond/")	? opendir_errors[0]
		: strstr(path, "/run/reckond/") ? opendir_errors[1]
						: 0;
	return errno == 0 ? __real_opendir(path) : NULL;
}

/* Half a file is not taken for the whole. */
static void test_a_file_that_ends_early_is_an_error(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct conf_messages messages = {};
	char **files;
	size_t n;

	assert_int_equal(
		conf_find_files(fixture("given.conf"), "/nonexistent", &messages, &files, &n), 0);
	n_lost = 1;
	assert_int_equal(conf_load_lenient((const char *const *)files, n, &set, &messages), 1);
	n_lost = 0;
	/* ... and the section that it ends in is not trusted */
	assert_int_equal(messages.n_errors, n + 2);
	for (size_t i = 0; i < n; i++)
		assert_non_null(strstr(messages.items[i].text, "cannot be read to its end"));
	conf_messages_done(&messages);
	assert_null(conf_files_free(files, n));
}

/* Nor what it was before and after somebody wrote to it. */
static void test_a_file_that_changes_is_to_be_read_again(void **state)
{
	static const __typeof__(step) steps[] = {
		{ 1, 0, 0 }, { -1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }
	};
	static const char text[] = "[Protect x]\nComm=a\n";
	const char *file = write_tmp(text, strlen(text));

	for (size_t i = 0; i < ARRAY_SIZE(steps) * 2; i++) {
		struct conf_messages messages = {};
		struct policy_set set;
		int r;

		step = steps[i / 2];
		r = i % 2 == 0 ? conf_load(&file, 1, &set, &messages)
			       : conf_load_lenient(&file, 1, &set, &messages);
		step = (__typeof__(step)){ 0 };
		assert_int_equal(r, -EAGAIN);
		assert_int_equal(messages.n, 1);
		assert_string_equal(messages.items[0].text, "has changed while it was read");
		conf_messages_done(&messages);
	}
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

	assert_int_equal(
		conf_find_files(fixture("given.conf"), "/nonexistent", &messages, &files, &n), 0);
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
	struct conf_messages messages = {};
	char **files;
	size_t n;

	assert_int_equal(conf_find_files(NULL, root, &messages, &files, &n), 0);
	assert_int_equal(messages.n, 0);
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
	struct conf_messages messages = {};
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
	assert_int_equal(conf_find_files(tmp_path("null.conf"), "", &messages, &files, &n), 0);
	assert_int_equal(n, 1);
	conf_files_free(files, n);
}

/* The others are there, lest a machine be without them. */
static void test_find_files_goes_on_without_a_directory(void **state)
{
	struct conf_messages messages = {};
	char **files;
	size_t n;

	make_at_tmp("named.conf", "");
	make_at_tmp("named.conf.d", "named.conf.d");
	assert_int_equal(conf_find_files(tmp_path("named.conf"), "", &messages, &files, &n), 1);
	assert_int_equal(n, 1);
	assert_int_equal(messages.n_errors, 1);
	assert_string_equal(messages.items[0].file, tmp_path("named.conf.d"));
	assert_int_equal(messages.items[0].line, 0);
	assert_string_equal(messages.items[0].text,
			    "cannot be listed: Too many levels of symbolic links; its drop-ins "
			    "are left out");
	conf_messages_done(&messages);
	conf_files_free(files, n);
	assert_int_equal(unlink(tmp_path("named.conf.d")), 0);
}

/* What cannot be had for now is tried again, whatever is wrong with another directory. */
static void test_find_files_fails_for_now(void **state)
{
	static const struct {
		int etc, run, r; /* r: of conf_find_files() */
		size_t n_errors;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ EACCES, 0, 1, 1 },
		{ EACCES, EIO, 1, 2 },
		{ ENOENT, ENOTDIR, 0, 0 },
		{ EMFILE, 0, -EMFILE, 0 },
		{ EMFILE, EACCES, -EMFILE, 0 },
		{ EACCES, ENFILE, -ENFILE, 1 },
		{ EACCES, ENOMEM, -ENOMEM, 1 },
		{ ELOOP, EINTR, -EINTR, 1 },
		{ ENOENT, EAGAIN, -EAGAIN, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_messages messages = {};
		char **files = NULL;
		size_t n = 0;

		opendir_errors[0] = cases[i].etc;
		opendir_errors[1] = cases[i].run;
		assert_int_equal(conf_find_files(NULL, fixture("root"), &messages, &files, &n),
				 cases[i].r);
		opendir_errors[0] = opendir_errors[1] = 0;
		assert_int_equal(messages.n_errors, cases[i].n_errors);
		if (cases[i].r < 0)
			assert_null(files);
		if (cases[i].n_errors == 2) {
			assert_string_equal(messages.items[0].file,
					    fixture("root/etc/reckond/reckond.conf.d"));
			assert_string_equal(messages.items[1].file,
					    fixture("root/run/reckond/reckond.conf.d"));
		}
		conf_messages_done(&messages);
		conf_files_free(files, n);
	}
}

static void test_which_files_are_the_standard_ones(void **state)
{
	static const char *const standard[] = {
		"/etc/reckond/reckond.conf",
		"/run/reckond/reckond.conf",
		"/usr/lib/reckond/reckond.conf",
		"/usr/lib/reckond/reckond.conf.d/10-a.conf",
	};
	static const char *const others[] = {
		"",
		"reckond.conf",
		"etc/reckond/reckond.conf",
		"/reckond/reckond.conf",
		"/home/etc/reckond/reckond.conf",
		"/usr/local/etc/reckond/reckond.conf",
		"/etc/reckond/reckond.conf.new",
		"/etc/reckond/reckond.conf.d",
		"/etc/reckond/other.conf",
		"/etcetera/reckond/reckond.conf",
	};

	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		assert_true(conf_is_standard(standard[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(conf_is_standard(others[i]));
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
		cmocka_unit_test(test_load_merges_drop_ins),
		cmocka_unit_test(test_a_file_that_ends_early_is_an_error),
		cmocka_unit_test(test_a_file_that_changes_is_to_be_read_again),
		cmocka_unit_test(test_find_files_keeps_the_order_of_directories),
		cmocka_unit_test(test_find_files_hides_by_null_devices),
		cmocka_unit_test(test_find_files_goes_on_without_a_directory),
		cmocka_unit_test(test_find_files_fails_for_now),
		cmocka_unit_test(test_which_files_are_the_standard_ones),
		cmocka_unit_test(test_example_file_shows_the_defaults),
		cmocka_unit_test(test_examples_of_the_manual_are_valid),
	};

	return cmocka_run_group_tests(tests, make_tmp_dir, remove_tmp_dir);
}
