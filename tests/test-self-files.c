/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self: what the daemon makes of its own files in /proc and of its cgroup's limit, on a tree of the
 * test's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/self.h"
#include "daemon/log/log.h"
#include "tests/manager-parts.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	char path[64];
	struct manager *m;
	struct rlimit limit; /* of data */
	const char *cgroup;  /* the daemon's; NULL: cannot be read */
} test;

int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size)
{
	assert_int_equal(pid, getpid());
	if (!test.cgroup)
		return -EACCES;
	strcpy(buf, test.cgroup);
	return 0;
}

/* (A real one would be this program's own, and a sanitizer needs much.) */
int __wrap_getrlimit(__rlimit_resource_t resource, struct rlimit *ret);
int __wrap_getrlimit(__rlimit_resource_t resource, struct rlimit *ret)
{
	assert_int_equal(resource, RLIMIT_DATA);
	*ret = test.limit;
	return 0;
}

int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit);
int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	assert_int_equal(resource, RLIMIT_DATA);
	test.limit = *limit;
	return 0;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", test.path, name);
	if (!text) {
		(void)unlink(path);
		return;
	}
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	char path[128];

	memset(&test, 0, sizeof(test));
	strcpy(test.path, "/tmp/test-self-files-XXXXXX");
	test.m = manager_alloc();
	if (!test.m || !mkdtemp(test.path))
		return -1;
	snprintf(path, sizeof(path), "%s/self", test.path);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/service", test.path);
	if (mkdir(path, 0755) < 0)
		return -1;
	test.m->machine->proc_fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test.m->machine->cgroups.v2_fd = test.m->machine->proc_fd;
	test.cgroup = "/service";
	log_set_target(LOG_TARGET_NULL);
	return 0;
}

static int teardown(void **state)
{
	close(test.m->machine->proc_fd);
	free(test.m);
	log_set_target(LOG_TARGET_AUTO);
	return nftw(test.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Its statm: size resident shared text lib data dt, in pages. */
static void write_statm(uint64_t anonymous, uint64_t data)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	char text[128];

	snprintf(text, sizeof(text), "99999 %llu 100 50 0 %llu 0\n",
		 (unsigned long long)(anonymous / page_size + 100),
		 (unsigned long long)(data / page_size));
	write_file("self/statm", text);
}

/* Data may grow to seven eighths of the limit, so that malloc() fails before the kernel kills. */
static void test_data_is_limited_below_the_cgroups_limit(void **state)
{
	static const struct {
		const char *cgroup, *max, *statm; /* statm NULL: as written */
		bool has_v2;
		bool is_limited;
	} cases[] = {
		{ "/service", "1073741824\n", NULL, true, true },
		{ "/service", "max\n", NULL, true, false },
		{ "/service", NULL, NULL, true, false },
		{ "/gone", "1073741824\n", NULL, true, false },
		{ NULL, "1073741824\n", NULL, true, false },
		{ "/service", "1073741824\n", NULL, false, false },
		{ "/service", "1073741824\n", "1 2 nonsense\n", true, false },
		{ "/service", "1073741824\n", "", true, false },
		/* Higher than what it is anyway. */
		{ "/service", "18446744073709551615\n", NULL, true, false },
	};
	int v2_fd = test.m->machine->cgroups.v2_fd;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.limit.rlim_cur = 4 * GIB;
		test.cgroup = cases[i].cgroup;
		test.m->machine->cgroups.v2_fd = cases[i].has_v2 ? v2_fd : -EBADF;
		write_file("service/memory.max", cases[i].max);
		write_statm(100 * MIB, 300 * MIB);
		if (cases[i].statm)
			write_file("self/statm", cases[i].statm);
		self_limit(test.m->machine);
		assert_int_equal(test.limit.rlim_cur,
				 cases[i].is_limited ? (896 - 100 + 300) * MIB : 4 * GIB);
	}
	write_file("self/statm", NULL);
	self_limit(test.m->machine); /* not known: none */
}

static bool is_too_large(struct manager *m, usec_t now)
{
	return self_is_too_large(m->self, m->machine, m->regime, m->sampler->census.n_processes,
				 now);
}

#define NOW (1000 * USEC_PER_SEC)

static void test_it_is_too_large_by_its_own_statm(void **state)
{
	struct manager *m = test.m;
	uint64_t allowance;

	m->sampler->census.n_processes = 1000;
	allowance = self_allowance(1000);
	write_statm(allowance, 0);
	assert_false(is_too_large(m, NOW));
	write_statm(allowance + MIB, 0);
	assert_false(is_too_large(m, NOW + 9 * USEC_PER_SEC)); /* checked a moment ago */
	assert_true(is_too_large(m, NOW + 10 * USEC_PER_SEC));

	/* Not while there is work to do; and by the most processes that there were. */
	m->regime->state = REGIME_KILLING;
	assert_false(is_too_large(m, NOW + 20 * USEC_PER_SEC));
	m->regime->state = REGIME_CALM;
	m->sampler->census.n_processes = 10;
	write_statm(allowance, 0);
	assert_false(is_too_large(m, NOW + 30 * USEC_PER_SEC));
	/* What cannot be read is no reason to exit. */
	write_file("self/statm", "nonsense\n");
	assert_false(is_too_large(m, NOW + 40 * USEC_PER_SEC));
	write_file("self/statm", NULL);
	assert_false(is_too_large(m, NOW + 50 * USEC_PER_SEC));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_data_is_limited_below_the_cgroups_limit),
		TEST(test_it_is_too_large_by_its_own_statm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
