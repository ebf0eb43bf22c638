/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thaw-state: the file of what is to be frozen again. */
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/kill/thaw-state.h"
#include "lib/base/cleanup.h"
#include "lib/kill/ledger.h"
#include "tests/manager-parts.h"
#include "tests/thaw-state-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

static int open_once(void)
{
	struct manager *m = blank_manager();
	int r = thaw_state_open(m->in_flight);

	assert_int_equal(m->in_flight->ledger_error, r);
	assert_int_equal(m->in_flight->ledger != NULL, r == 0);
	drop_manager(m);
	return r;
}

/* Leaves one entry. */
static void leave_an_entry(void)
{
	struct manager *m = blank_manager();

	assert_int_equal(thaw_state_open(m->in_flight), 0);
	assert_int_equal(ledger_enter(m->in_flight->ledger, &(struct ledger_entry){ .pid = 1 },
				      "/nowhere", 8),
			 0);
	drop_manager(m);
}

static void change_byte(off_t offset)
{
	_cleanup_close_ int fd = open(file(), O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void test_open_keeps_a_good_file(void **state)
{
	struct stat st;

	require_runtime_directory();
	leave_an_entry();
	assert_return_code(stat(file(), &st), errno);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, sizeof(struct ledger));
	assert_true(st.st_blocks * 512 >= (off_t)sizeof(struct ledger)); /* no SIGBUS later */
	assert_int_equal(n_entries_left(), 1);
}

static void test_open_ignores_a_damaged_file(void **state)
{
	static const off_t offsets[] = {
		0,
		offsetof(struct ledger, slots[0].checksum),
		offsetof(struct ledger, slots[0].entry.path) + 3,
		offsetof(struct ledger, slots[40].state) + 1,
	};

	require_runtime_directory();
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		leave_an_entry();
		change_byte(offsets[i]);
		assert_int_equal(n_entries_left(), 0);
	}
	for (off_t size = 1; size < 2 * (off_t)sizeof(struct ledger); size += 20000) {
		leave_an_entry();
		assert_return_code(truncate(file(), size), errno);
		assert_int_equal(n_entries_left(), 0);
	}
}

static void test_open_forgets_another_boot(void **state)
{
	require_runtime_directory();
	leave_an_entry();
	change_byte(offsetof(struct ledger, boot_id));
	assert_int_equal(n_entries_left(), 0);
}

/* Groups are frozen by what it says: no file of another user is trusted. */
static void test_open_trusts_no_other_user(void **state)
{
	char other[160];

	require_runtime_directory();
	leave_an_entry();
	assert_return_code(chmod(file(), 0620), errno);
	assert_int_equal(open_once(), -EPERM);
	assert_return_code(chmod(file(), 0600), errno);
	if (geteuid() == 0) {
		assert_return_code(chown(file(), NOBODY, 0), errno);
		assert_int_equal(open_once(), -EPERM);
		assert_return_code(chown(file(), 0, 0), errno);
	}
	snprintf(other, sizeof(other), "%s/other", test.runtime);
	assert_return_code(link(file(), other), errno);
	assert_int_equal(open_once(), -EPERM);
	assert_return_code(unlink(file()), errno);
	assert_return_code(symlink("other", file()), errno);
	assert_int_equal(open_once(), -ELOOP);
	assert_return_code(unlink(file()), errno);
	assert_return_code(unlink(other), errno);
	assert_return_code(mkfifo(file(), 0600), errno);
	assert_int_equal(open_once(), -EPERM);
}

static void test_open_without_a_place(void **state)
{
	char path[] = "/tmp/test-thaw-state-XXXXXX", made[128];

	setenv("RUNTIME_DIRECTORY", "/nonexistent/reckond", 1);
	assert_int_equal(open_once(), -ENOENT);
	assert_non_null(mkdtemp(path));
	setenv("RUNTIME_DIRECTORY", path, 1);
	if (!is_on_tmpfs(path)) {
		assert_int_equal(open_once(), -ENOTSUP);
		assert_string_equal(thaw_state_strerror(-ENOTSUP), "not on a tmpfs");
	} else {
		snprintf(made, sizeof(made), "%s/thawed", path);
		(void)unlink(made);
	}
	assert_return_code(rmdir(path), errno); /* it is empty */
	/* the first of several, as systemd.exec(5) gives them */
	require_runtime_directory();
	snprintf(made, sizeof(made), "%s:/nonexistent", test.runtime);
	setenv("RUNTIME_DIRECTORY", made, 1);
	assert_int_equal(open_once(), 0);
	assert_return_code(access(file(), F_OK), errno);
}

/* The exit status of f in a child. */
static int in_child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int open_status(void)
{
	struct manager *m = blank_manager();

	return -thaw_state_open(m->in_flight);
}

static void test_open_is_for_one_at_a_time(void **state)
{
	struct manager *m = blank_manager();

	require_runtime_directory();
	assert_int_equal(thaw_state_open(m->in_flight), 0);
	assert_int_equal(in_child(open_status), EBUSY);
	assert_string_equal(thaw_state_strerror(-EBUSY), "another reckond has it");
	assert_int_equal(
		ledger_enter(m->in_flight->ledger, &(struct ledger_entry){ .pid = 1 }, "/x", 2), 0);
	assert_int_equal(in_child(open_status), EBUSY);
	assert_int_equal(thaw_state_open(m->in_flight), 0); /* it is open: nothing is done */
	assert_non_null(ledger_get(m->in_flight->ledger, 0));
	thaw_state_close(m->in_flight);
	assert_int_equal(in_child(open_status), 0);
	drop_manager(m);
}

/* A store to a page for which there is no room would be SIGBUS, in the emergency. */
static int open_in_full_file_system(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", test.runtime, "tmpfs", 0, "size=16k") < 0)
		return 0;
	return open_status();
}

static void test_open_in_a_full_file_system(void **state)
{
	int status;

	require_runtime_directory();
	status = in_child(open_in_full_file_system);
	if (status == 0) {
		print_message("SKIP: no tmpfs of our own can be mounted\n");
		skip();
	}
	assert_int_equal(status, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open_keeps_a_good_file),     TEST(test_open_ignores_a_damaged_file),
		TEST(test_open_forgets_another_boot),  TEST(test_open_trusts_no_other_user),
		TEST(test_open_without_a_place),       TEST(test_open_is_for_one_at_a_time),
		TEST(test_open_in_a_full_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
