/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/base/config-loader.c: a reload, while the files cannot be read for a time (a slow
 * disk, a name service that does not answer).
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/config-loader.h"
#include "daemon/base/config.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/sanitizer.h"
#include "lib/config/conf.h"
#include "lib/domain/domain.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	char path[32];
	struct config config;
	struct domain domain;
	bool is_slow;
	sem_t may_read, began;
} test;

__typeof__(conf_load) __real_conf_load;
__typeof__(conf_load) __wrap_conf_load;
int __wrap_conf_load(const char *const *files, size_t n_files, struct policy_set *ret,
		     struct conf_messages *messages)
{
	if (test.is_slow) {
		(void)sem_post(&test.began);
		(void)sem_wait(&test.may_read);
	}
	return __real_conf_load(files, n_files, ret, messages);
}

static void write_conf(const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(test.path, "we");

	assert_non_null(f);
	fputs(text, f);
}

static int setup(void **state)
{
	int fd;

	memset(&test, 0, sizeof(test));
	strcpy(test.path, "/tmp/test-config-loader-XXXXXX");
	fd = mkstemp(test.path);
	log_set_target(LOG_TARGET_NULL);
	if (fd < 0 || close(fd) < 0 || sem_init(&test.may_read, 0, 0) < 0 ||
	    sem_init(&test.began, 0, 0) < 0)
		return -1;
	test.config.options.config_file = test.path;
	if (config_load(&test.config, &test.domain) != 0)
		return -1;
	test.is_slow = true;
	(void)alarm(60); /* a call that waits ends the test */
	return config_start_loader(&test.config);
}

static int teardown(void **state)
{
	(void)alarm(0);
	config_done(&test.config);
	domain_done(&test.domain);
	log_set_target(LOG_TARGET_AUTO);
	return unlink(test.path);
}

static bool is_readable(int timeout)
{
	struct pollfd pollfd = { .fd = config_loader_fd(test.config.loader), .events = POLLIN };

	return poll(&pollfd, 1, timeout) == 1;
}

static bool has_policy(const char *name)
{
	for (size_t i = 0; i < test.config.policies.n_policies; i++)
		if (strcmp(test.config.policies.policies[i].name, name) == 0)
			return true;
	return false;
}

#define POLICY(name) "[Policy " name "]\nMemoryAvailable=10%\nAction=warn\n"

/* The old one is in force until then, and nothing waits. */
static void test_a_reload_waits_for_files_and_nothing_waits_for_it(void **state)
{
	char *errors = NULL;

	write_conf(POLICY("one"));
	for (int i = 0; i < 100; i++)
		assert_false(config_prepare_reload(&test.config));
	assert_int_equal(sem_wait(&test.began), 0);
	assert_false(is_readable(20));
	assert_false(has_policy("one"));
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
	assert_true(config_prepare_reload(&test.config));
	assert_false(is_readable(0));
	assert_int_equal(config_reload(&test.config, &test.domain, &errors), 0);
	assert_true(has_policy("one"));
	assert_true(test.config.users.n > 0);
	assert_true(HAS_SHADOW_MEMORY || test.config.read_bytes > 0);
	assert_int_equal(sem_trywait(&test.began), -1); /* read once */
}

/* The files have changed while they were read: they are read again. */
static void test_what_has_expired_is_not_taken(void **state)
{
	char *errors = NULL;

	write_conf(POLICY("one"));
	assert_false(config_prepare_reload(&test.config));
	assert_int_equal(sem_wait(&test.began), 0);
	write_conf(POLICY("two"));
	config_expire(&test.config);
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
	assert_false(config_prepare_reload(&test.config));
	assert_int_equal(sem_wait(&test.began), 0);
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
	write_conf(POLICY("three"));
	config_expire(&test.config); /* after it has been read, too */
	assert_false(config_prepare_reload(&test.config));
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
	assert_true(config_prepare_reload(&test.config));
	assert_int_equal(config_reload(&test.config, &test.domain, &errors), 0);
	assert_true(has_policy("three") && !has_policy("one") && !has_policy("two"));
}

/* Errors are found there, and the old one stays. */
static void test_errors_are_those_of_the_files(void **state)
{
	char *errors = NULL;

	write_conf("[Policy x]\nMemoryAvailable=plenty\n");
	assert_false(config_prepare_reload(&test.config));
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
	assert_true(config_prepare_reload(&test.config));
	assert_int_equal(config_reload(&test.config, &test.domain, &errors), 1);
	assert_non_null(strstr(errors, "MemoryAvailable="));
	free(errors);
	assert_true(test.config.reload_was_refused);
	assert_false(has_policy("x"));
}

/* Nor does the exit wait; what has been read and is not wanted is freed. */
static void test_the_exit_does_not_wait(void **state)
{
	write_conf(POLICY("one"));
	assert_false(config_prepare_reload(&test.config));
	(void)sem_post(&test.may_read);
	assert_true(is_readable(-1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_reload_waits_for_files_and_nothing_waits_for_it),
		TEST(test_what_has_expired_is_not_taken),
		TEST(test_errors_are_those_of_the_files),
		TEST(test_the_exit_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
