/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of census_reread() and reader_reread(): a process that is read again for a choice may have
 * vanished, be another, or not be readable; and there may be no time.  Over a /proc of our own. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/select/reader.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PID   77
#define START 1000

#define STATUS_OF(kib)                                                                             \
	"Name:\tx\nState:\tS (sleeping)\nPid:\t77\nPPid:\t1\nUid:\t0\t0\t0\t0\nVmSize:\t99999 "    \
	"kB\nRssAnon:\t" kib                                                                       \
	" kB\nRssFile:\t4 kB\nRssShmem:\t0 kB\nVmExe:\t4 kB\nVmPTE:\t0 kB\nVmSwap:\t0 "            \
	"kB\nThreads:\t1\n"
#define STATUS_OF_ZOMBIE                                                                           \
	"Name:\tx\nState:\tZ (zombie)\nPid:\t77\nPPid:\t1\nUid:\t0\t0\t0\t0\nThreads:\t1\n"

static char everything[] = "/";
static struct policy_set policies = { .subtree = everything };

static struct {
	char path[64];
	int proc_fd;
	struct census census;
	struct census_process *process;
} world;

/* NULL: there is no such file. */
static void put(const char *file, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d/%s", world.path, PID, file);
	if (!text) {
		(void)unlink(path);
		return;
	}
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static unsigned n_threads = 1;

static void put_stat(char state, unsigned start)
{
	char text[256];

	snprintf(
		text, sizeof(text),
		"%d (x) %c 1 1 1 0 -1 4194304 1 0 0 0 1 1 0 0 20 0 %u 0 %u 1000000 0 1 1 1 1 1 1 0 "
		"0 0 0 0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
		PID, state, n_threads, start);
	put("stat", text);
}

static int setup(void **state)
{
	struct proc_memory memory = { .anon = 5 * MIB };
	char path[128];

	strcpy(world.path, "/tmp/test-reread.XXXXXX");
	if (!mkdtemp(world.path))
		return -1;
	world.proc_fd = open(world.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%d", world.path, PID);
	mkdir(path, 0755);
	if (census_init(&world.census, world.proc_fd, NULL, &exact_accuracy, &policies) < 0)
		return -1;
	world.process = census_add(&world.census, PID, START);
	if (!world.process || census_attach(&world.census, world.process, "/a") < 0)
		return -1;
	census_set_memory(&world.census, world.process, &memory, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "stat", "status", "statm" };
	char path[128];

	census_done(&world.census);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		put(files[i], NULL);
	snprintf(path, sizeof(path), "%s/%d", world.path, PID);
	rmdir(path);
	rmdir(world.path);
	return close(world.proc_fd);
}

static void test_reread(void **state)
{
	static const struct {
		const char *name, *status;
		char state; /* of stat; 0: there is none */
		unsigned start;
		int result;
		uint64_t anon; /* then */
	} cases[] = {
		{ "is there", STATUS_OF("7168"), 'S', START, 0, 7 * MIB },
		{ "vanished", NULL, 0, 0, PROC_GONE, 5 * MIB },
		{ "vanished after status", STATUS_OF_ZOMBIE, 0, 0, PROC_GONE, 5 * MIB },
		{ "a zombie", STATUS_OF_ZOMBIE, 'Z', START, PROC_GONE, 5 * MIB },
		{ "another with its pid", STATUS_OF_ZOMBIE, 'S', START + 1, PROC_GONE, 5 * MIB },
		{ "not to be read", STATUS_OF_ZOMBIE, '\n', START, -EBADMSG, 5 * MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_memory before = { .anon = 5 * MIB };
		int r;

		census_set_memory(&world.census, world.process, &before, i, 1);
		put("status", cases[i].status);
		if (cases[i].state == 0)
			put("stat", NULL);
		else if (cases[i].state == '\n')
			put("stat", "77 (x\n");
		else
			put_stat(cases[i].state, cases[i].start);
		r = census_reread(&world.census, world.process, i, 2);
		if (r != cases[i].result || world.process->memory.anon != cases[i].anon)
			fail_msg("%s: %d, %llu", cases[i].name, r,
				 (unsigned long long)world.process->memory.anon);
	}
}

/* Its first thread has exited: another one has its memory, if the process is still the same. */
static void test_reread_by_another_thread(void **state)
{
	char path[128];

	n_threads = 2;
	snprintf(path, sizeof(path), "%s/%d/task", world.path, PID);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%d/task/%d", world.path, PID, PID + 1);
	assert_int_equal(mkdir(path, 0755), 0);
	put("status", STATUS_OF_ZOMBIE);
	put("task/78/status", STATUS_OF("7168"));
	put_stat('Z', START + 1);
	assert_int_equal(census_reread(&world.census, world.process, 0, 2), PROC_GONE);
	assert_int_equal(world.process->memory.anon, 5 * MIB);
	put_stat('Z', START);
	assert_int_equal(census_reread(&world.census, world.process, 0, 2), 0);
	assert_int_equal(world.process->memory.anon, 7 * MIB);
	n_threads = 1;
	put("task/78/status", NULL);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/%d/task", world.path, PID);
	assert_int_equal(rmdir(path), 0);
}

static usec_t clock_usec;

static usec_t now(void)
{
	return clock_usec;
}

/* The clock is read at each fourth. */
static void test_there_is_no_more_time(void **state)
{
	struct reader reader = { .now = now, .reread_until = 100, .accuracy = &exact_accuracy };

	put("status", STATUS_OF("7168"));
	put_stat('S', START);
	for (unsigned i = 1; i <= 12; i++) {
		clock_usec = i <= 8 ? 99 : 100;
		assert_int_equal(reader_reread(&world.census, world.process, &reader),
				 i == 12 ? VICTIM_READ_LATE : 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reread_by_another_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_there_is_no_more_time, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
