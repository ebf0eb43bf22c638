/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/base/config.c: a reload that is refused, or for which there is no memory or no
 * file; and that the memory of the configuration counts as the daemon's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/config.h"
#include "daemon/log/log.h"
#include "daemon/service.h"
#include "lib/base/cleanup.h"
#include "lib/domain/domain.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* More than a reload allocates. */
#define N_MALLOCS_MAX 2000
/* Beside those that are built in. */
#define N_ADDED 20

/* (A sanitizer has its own malloc(), and mallinfo2() says nothing of it.) */
#define HEAP_IS_KNOWN FAIL_MALLOC_WORKS
/* What is freed and kept for the next of its size counts as used. */
#define NOISE	 (4 * KIB)
#define N_ERRORS 90
#define N_RULES	 100

static char path[] = "/tmp/test-config-XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	log_set_target(LOG_TARGET_NULL);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	log_set_target(LOG_TARGET_AUTO);
	return unlink(path);
}

static void write_policies(unsigned n, const char *rest)
{
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "[Policy p%u]\nMemoryAvailable=10%%\nAction=warn\n", i);
	fputs(rest, f);
}

#if FAIL_MALLOC_WORKS
static int reload_with(unsigned n_mallocs_that_succeed, struct config *config,
		       struct domain *domain)
{
	char *errors = NULL;
	int r;

	n_mallocs_allowed = n_mallocs_that_succeed;
	fail_malloc = true;
	r = config_reload(config, domain, &errors);
	fail_malloc = false;
	assert_null(errors);
	return r;
}
#endif

/* Whichever allocation fails, the old one stays, and it is known that it does. */
static void test_a_reload_without_memory_is_refused(void **state)
{
#if FAIL_MALLOC_WORKS
	struct config config = { .options = { .config_file = path } };
	struct domain domain = { 0 };
	const struct policy *policies;
	size_t n_policies;
	unsigned n = 0;

	write_policies(0, "");
	assert_int_equal(config_load(&config, &domain), 0);
	for (size_t i = 0; i < domain.n_policies; i++)
		domain.holds_since[i] = 7;
	policies = config.policies.policies;
	n_policies = config.policies.n_policies;
	write_policies(N_ADDED, "");
	for (int r = -ENOMEM; r != 0; n++) {
		assert_true(n < N_MALLOCS_MAX);
		config.reload_was_refused = false;
		r = reload_with(n, &config, &domain);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_true(config.reload_was_refused);
		assert_int_equal(config.reload_error, -ENOMEM);
		assert_int_equal(config.n_reload_errors, 0);
		assert_ptr_equal(config.policies.policies, policies);
		assert_int_equal(config.policies.n_policies, n_policies);
		assert_int_equal(config.n_reloads, 0);
	}
	assert_true(n > N_ADDED);
	assert_false(config.reload_was_refused);
	assert_int_equal(config.policies.n_policies, n_policies + N_ADDED);
	assert_int_equal(domain.n_policies, config.policies.n_policies);
	for (size_t i = 0; i < domain.n_policies; i++)
		assert_true(domain.holds_since[i] == (i < n_policies ? 7 : USEC_INFINITY));
	config_done(&config);
	domain_done(&domain);
#else
	skip();
#endif
}

/* Why it was refused is known until one succeeds. */
static void test_a_refusal_is_known_until_a_reload_succeeds(void **state)
{
	struct config config = { .options = { .config_file = path } };
	struct domain domain = { 0 };
	char expected[64];

	write_policies(0, "");
	assert_int_equal(config_load(&config, &domain), 0);
	assert_int_equal(config.n_reload_errors, 0);
	snprintf(expected, sizeof(expected), "%s:1: ", path);
	for (unsigned n = 1; n <= 2; n++) {
		_cleanup_free_ char *errors = NULL;

		write_policies(0, n == 1 ? "nonsense\n" : "nonsense\n[Daemon]\nMinVictim=plenty\n");
		assert_int_equal(config_reload(&config, &domain, &errors), 1);
		assert_true(config.reload_was_refused);
		assert_int_equal(config.reload_error, 0);
		assert_int_equal(config.n_reload_errors, n);
		assert_int_equal(strncmp(config.reload_errors[0], expected, strlen(expected)), 0);
		assert_false(config.is_degraded);
		assert_int_equal(config.n_errors, 0);
	}
	write_policies(1, "");
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_free_ char *errors = NULL;

		assert_int_equal(config_reload(&config, &domain, &errors), 0);
		assert_false(config.reload_was_refused);
		assert_int_equal(config.n_reload_errors, 0);
		assert_null(config.reload_errors);
	}
	config_done(&config);
	domain_done(&domain);
}

/* Without a file for it, as it may be open to this process soon. */
static int reload_without_files(struct config *config, struct domain *domain)
{
	int next = open("/", O_RDONLY | O_CLOEXEC), r;
	struct rlimit before, limit;
	char *errors = NULL;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = config_reload(config, domain, &errors);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_null(errors);
	return r;
}

/* For a minute or so, with longer and longer pauses; what is asked for anew, as often again. */
static void test_what_fails_for_now_is_tried_again(void **state)
{
	struct config config = { .options = { .config_file = path } };
	struct domain domain = { 0 };
	char text[CONFIG_ERROR_SIZE];
	usec_t pause, sum = 0;

	write_policies(0, "");
	assert_int_equal(config_load(&config, &domain), 0);
	write_policies(1, "");
	for (unsigned round = 0; round < 2; round++) {
		for (pause = USEC_PER_SEC;; pause *= 2) {
			assert_int_equal(reload_without_files(&config, &domain), -EMFILE);
			assert_true(config.reload_was_refused);
			assert_int_equal(config.reload_error, -EMFILE);
			config_describe_error(&config, text);
			if (config.retry_pause == 0)
				break;
			assert_int_equal(config.retry_pause, pause);
			assert_string_equal(text, "Too many open files; it is tried again");
			sum += pause;
		}
		assert_string_equal(text, "Too many open files");
	}
	assert_in_range(sum, 2 * 30 * USEC_PER_SEC, 2 * 90 * USEC_PER_SEC);

	for (unsigned i = 0; i < 3; i++)
		(void)reload_without_files(&config, &domain);
	assert_int_equal(config.retry_pause, 4 * USEC_PER_SEC);
	config_expire(&config); /* asked for anew */
	(void)reload_without_files(&config, &domain);
	assert_int_equal(config.retry_pause, USEC_PER_SEC);
	/* What is in the files is no reason to read them again, and nor is it that they are fine.
	 */
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_free_ char *errors = NULL;

		(void)reload_without_files(&config, &domain);
		write_policies(1, i == 0 ? "nonsense\n" : "");
		assert_int_equal(config_reload(&config, &domain, &errors), i == 0);
		assert_int_equal(config.retry_pause, 0);
		assert_int_equal(config.n_retries, 0);
	}
	config_done(&config);
	domain_done(&domain);
}

/* It takes memory for its errors, which is not that of the configuration. */
static void test_a_reload_that_is_refused_allows_for_no_more_memory(void **state)
{
	struct manager *m = manager_alloc();
	char bad[64 * N_ERRORS] = "";

	assert_non_null(m);
	m->config->options.config_file = path;
	write_policies(N_ADDED, "");
	assert_int_equal(config_load(m->config, &m->sampler->domain), 0);
	m->self->config_bytes = MIB;
	for (size_t i = 0; i < N_ERRORS; i++)
		strcat(bad, "[Policy x]\nMemoryAvailable=plenty\nAction=kill\n");
	write_policies(N_ADDED, bad);
	for (int i = 0; i < 10; i++) {
		_cleanup_free_ char *errors = NULL;

		assert_int_equal(service_reload(m->monitor, &errors), 1);
		assert_non_null(errors);
		assert_int_equal(m->self->config_bytes, MIB);
	}
	/* nor is it given back as that of the configuration */
	write_policies(N_ADDED, "");
	{
		_cleanup_free_ char *errors = NULL;

		assert_int_equal(service_reload(m->monitor, &errors), 0);
	}
	assert_in_range(m->self->config_bytes, MIB - NOISE, MIB + NOISE);
	config_done(m->config);
	domain_done(&m->sampler->domain);
	free(m);
}

/* What the one in force takes explains as much of the daemon's size, be it larger or smaller. */
static void test_the_memory_of_a_configuration_is_allowed_for(void **state)
{
	static char rules[64 * N_RULES];
	struct manager *m = manager_alloc();

	for (unsigned i = 0; i < N_RULES; i++)
		snprintf(rules + strlen(rules), 64, "[Avoid r%u]\nComm=^(a|b)%u$\nWeight=0.5\n", i,
			 i);
	assert_non_null(m);
	m->config->options.config_file = path;
	write_policies(0, "");
	assert_int_equal(config_load(m->config, &m->sampler->domain), 0);
	m->self->config_bytes = MIB;
	for (int i = 0; i < 4; i++) {
		_cleanup_free_ char *errors = NULL;
		bool is_larger = i % 2 == 0;

		write_policies(0, is_larger ? rules : "");
		assert_int_equal(service_reload(m->monitor, &errors), 0);
		if (HEAP_IS_KNOWN)
			assert_in_range(m->self->config_bytes,
					MIB - NOISE + is_larger * N_RULES * KIB,
					MIB + 32 * NOISE + is_larger * 64 * N_RULES * KIB);
	}
	config_done(m->config);
	domain_done(&m->sampler->domain);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reload_without_memory_is_refused),
		cmocka_unit_test(test_a_refusal_is_known_until_a_reload_succeeds),
		cmocka_unit_test(test_what_fails_for_now_is_tried_again),
		cmocka_unit_test(test_the_memory_of_a_configuration_is_allowed_for),
		cmocka_unit_test(test_a_reload_that_is_refused_allows_for_no_more_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
