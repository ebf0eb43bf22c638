/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of ctl/running.c, on directories like /proc. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/running.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

struct process {
	int pid;
	const char *comm, *state;
	const char *pids; /* as after "NSpid:"; NULL: no such line */
};

static void put(int fd, const char *path, const char *text)
{
	int file = openat(fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(file >= 0);
	assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
	close(file);
}

static void put_process(int fd, const struct process *process)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "%d", process->pid);
	assert_int_equal(mkdirat(fd, path, 0755), 0);
	snprintf(path, sizeof(path), "%d/stat", process->pid);
	snprintf(text, sizeof(text),
		 "%d (%s) %s 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 100 1000 100 "
		 "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		 process->pid, process->comm, process->state);
	put(fd, path, text);
	snprintf(path, sizeof(path), "%d/status", process->pid);
	snprintf(text, sizeof(text), "Name:\t%s\n%s%s%sThreads:\t1\n", process->comm,
		 process->pids ? "NSpid:\t" : "", process->pids ? process->pids : "",
		 process->pids ? "\n" : "");
	put(fd, path, text);
}

/* In a directory of these. */
static pid_t find(const struct process *processes, size_t n)
{
	char directory[] = "/tmp/test-running-XXXXXX", command[64];
	pid_t found;
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < n && processes[i].pid; i++)
		put_process(fd, &processes[i]);
	found = running_find(fd);
	close(fd);
	snprintf(command, sizeof(command), "rm -r '%s'", directory);
	assert_int_equal(system(command), 0);
	return found;
}

static void test_find_is_of_a_process_with_the_name(void **state)
{
	static const struct {
		struct process processes[4];
		pid_t found;
	} cases[] = {
		{ { { 1, "init", "S", "1" }, { 7, "reckond", "S", "7" } }, 7 },
		{ { { 1, "reckond", "S", "1" } }, 1 },
		{ { { 1, "init", "S", NULL }, { 7, "reckond", "R", NULL } }, 7 },
		{ { { 1, "init", "S", "1" }, { 7, "bash", "S", "7" } }, 0 },
		{ { { 1, "init", "S", "1" }, { 7, "reckond-x", "S", "7" } }, 0 },
		{ { { 1, "init", "S", "1" }, { 7, "mock-reckond", "S", "7" } }, 0 },
		{ { { 1, "init", "S", "1" }, { 7, ") (reckond", "S", "7" } }, 0 },
		{ { { 1, "init", "S", "1" }, { 7, "reckond", "Z", "7" } }, 0 },
		/* in a container: that one is on another bus */
		{ { { 1, "init", "S", "1" }, { 7, "reckond", "S", "7\t1" } }, 0 },
		{ { { 1, "init", "S", "1" },
		    { 7, "reckond", "S", "7\t1" },
		    { 8, "reckond", "S", "8" } },
		  8 },
		/* others are hidden */
		{ { { 7, "bash", "S", "7" } }, -EACCES },
		{ { { 0 } }, -EACCES },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(find(cases[i].processes, ARRAY_SIZE(cases[i].processes)),
				 cases[i].found);
}

/* What there is of process 1234. */
static void test_process_of_a_number(void **state)
{
	static const struct {
		const char *status; /* NULL: there is no such file */
		pid_t process;
		bool is_zombie;
	} cases[] = {
		{ "Name:\ta\nState:\tS (sleeping)\nTgid:\t1234\n", 1234, false },
		{ "Name:\ta\nState:\tR (running)\nTgid:\t77\n", 77, false },
		{ "Name:\ta\nState:\tZ (zombie)\nTgid:\t1234\n", 1234, true },
		{ "Name:\tTgid:\nState:\tS (sleeping)\n", 0, false },
		{ "", 0, false },
		{ NULL, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char directory[] = "/tmp/test-running-XXXXXX", command[64];
		bool is_zombie = false;
		int fd;

		assert_non_null(mkdtemp(directory));
		fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(mkdirat(fd, "1234", 0755), 0);
		if (cases[i].status)
			put(fd, "1234/status", cases[i].status);
		assert_int_equal(running_process_of(fd, 1234, &is_zombie), cases[i].process);
		assert_int_equal(is_zombie, cases[i].is_zombie);
		close(fd);
		snprintf(command, sizeof(command), "rm -r '%s'", directory);
		assert_int_equal(system(command), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_is_of_a_process_with_the_name),
		cmocka_unit_test(test_process_of_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
