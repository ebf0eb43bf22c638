/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ledger: entering, striking, and what is made of a table that another program has written. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/kill/ledger.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define BOOT_ID	   "0123456789abcdef0123456789abcdef"
#define OTHER_BOOT "1123456789abcdef0123456789abcdef"

static struct ledger ledger;

static const struct ledger_entry sample = {
	.cgroup_id = 4711,
	.start_ticks = UINT64_MAX,
	.pid = 42,
	.v1 = 1,
	.moved = 1,
};

static int enter(const char *path)
{
	int r;

	n_mallocs = 0;
	fail_malloc = true;
	r = ledger_enter(&ledger, &sample, path, strlen(path));
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

static void test_enter_keeps_all_and_strike_forgets(void **state)
{
	const struct ledger_entry *entry;

	ledger_init(&ledger, BOOT_ID);
	assert_null(ledger_get(&ledger, 0));
	assert_int_equal(ledger_enter(&ledger, &sample, "/a/b/c", 4), 0);
	assert_int_equal(enter("/long"), 1);
	entry = ledger_get(&ledger, 0);
	assert_non_null(entry);
	assert_string_equal(entry->path, "/a/b");
	assert_true(entry->cgroup_id == 4711 && entry->start_ticks == UINT64_MAX);
	assert_true(entry->pid == 42 && entry->v1 && entry->moved);
	assert_int_equal(ledger_check(&ledger, BOOT_ID), 0);

	ledger_strike(&ledger, 0);
	ledger_strike(&ledger, -1);
	assert_null(ledger_get(&ledger, 0));
	assert_non_null(ledger_get(&ledger, 1));
	assert_int_equal(enter("/a"), 0); /* nothing is left of the longer one */
	assert_string_equal(ledger_get(&ledger, 0)->path, "/a");
	assert_int_equal(ledger_check(&ledger, BOOT_ID), 0);
}

static void test_enter_refuses_what_has_no_place(void **state)
{
	char path[LEDGER_PATH_MAX + 1];

	ledger_init(&ledger, BOOT_ID);
	memset(path, '/', sizeof(path));
	path[LEDGER_PATH_MAX] = '\0';
	assert_int_equal(enter(path), -ENAMETOOLONG);
	assert_null(ledger_get(&ledger, 0));
	path[LEDGER_PATH_MAX - 1] = '\0';
	for (int i = 0; i < LEDGER_ENTRIES; i++)
		assert_int_equal(enter(path), i);
	assert_int_equal(enter("/"), -ENOSPC);
	assert_int_equal(ledger_check(&ledger, BOOT_ID), 0);
	ledger_strike(&ledger, 17);
	assert_int_equal(enter("/"), 17);
}

static void test_check_blank_and_other_boot(void **state)
{
	memset(&ledger, 0, sizeof(ledger));
	assert_int_equal(ledger_check(&ledger, BOOT_ID), LEDGER_BLANK);
	ledger_init(&ledger, BOOT_ID);
	assert_int_equal(ledger_check(&ledger, BOOT_ID), 0);
	assert_int_equal(ledger_check(&ledger, OTHER_BOOT), LEDGER_OTHER_BOOT);
	assert_int_equal(ledger_check(&ledger, ""), LEDGER_OTHER_BOOT);
}

/* One byte of a table with one entry is changed. */
static void test_check_finds_damage(void **state)
{
	static const struct {
		const char *what;
		size_t offset;
	} cases[] = {
		{ "magic", offsetof(struct ledger, magic) + 15 },
		{ "state", offsetof(struct ledger, slots[1].state) },
		{ "state of a free slot", offsetof(struct ledger, slots[2].state) + 3 },
		{ "checksum", offsetof(struct ledger, slots[1].checksum) },
		{ "id", offsetof(struct ledger, slots[1].entry.cgroup_id) },
		{ "start", offsetof(struct ledger, slots[1].entry.start_ticks) + 7 },
		{ "pid", offsetof(struct ledger, slots[1].entry.pid) },
		{ "v1", offsetof(struct ledger, slots[1].entry.v1) },
		{ "path", offsetof(struct ledger, slots[1].entry.path) + 1 },
		{ "end", offsetof(struct ledger, slots[1].entry.path) + LEDGER_PATH_MAX - 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ledger_init(&ledger, BOOT_ID);
		(void)enter("/struck");
		(void)enter("/a/b");
		ledger_strike(&ledger, 0);
		assert_int_equal(ledger_check(&ledger, BOOT_ID), 0);
		((unsigned char *)&ledger)[cases[i].offset] ^= 0x42;
		if (ledger_check(&ledger, BOOT_ID) != -EBADMSG)
			fail_msg("%s", cases[i].what);
	}
}

/* Well-formed, but not what is ever written. */
static void test_check_refuses_nonsense(void **state)
{
	static const struct ledger_entry nonsense[] = {
		{ .pid = 0 },
		{ .pid = -7 },
		{ .pid = 1, .v1 = 2 },
		{ .pid = 1, .moved = 1 }, /* no process is moved on v2 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		ledger_init(&ledger, BOOT_ID);
		assert_int_equal(ledger_enter(&ledger, &nonsense[i], "/a", 2), 0);
		assert_int_equal(ledger_check(&ledger, BOOT_ID), -EBADMSG);
	}
	ledger_init(&ledger, BOOT_ID);
	assert_int_equal(ledger_enter(&ledger, &(struct ledger_entry){ .pid = 1 }, "a", 1), 0);
	assert_int_equal(ledger_check(&ledger, BOOT_ID), -EBADMSG);
}

/* Random bytes, and random bytes changed in a good one: judged without a crash, and never good
 * with an entry that was not entered. */
static void test_check_survives_anything(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	unsigned char *bytes = (unsigned char *)&ledger;

	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 500; round++) {
		ledger_init(&ledger, BOOT_ID);
		for (int i = 0; i < 5; i++)
			(void)enter("/a/b/c");
		for (int n = rand() % 5; n >= 0; n--)
			bytes[(size_t)rand() % sizeof(ledger)] = (unsigned char)rand();
		if (ledger_check(&ledger, BOOT_ID) != 0)
			continue;
		for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
			if (ledger_get(&ledger, i))
				assert_string_equal(ledger_get(&ledger, i)->path, "/a/b/c");
	}
	for (size_t i = 0; i < sizeof(ledger); i++)
		bytes[i] = (unsigned char)rand();
	assert_int_equal(ledger_check(&ledger, BOOT_ID), -EBADMSG);
}

/* The writer is killed at any moment: what is found is whole. */
static void test_survives_its_writer(void **state)
{
	struct ledger *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(shared, MAP_FAILED);
	for (int round = 0; round < 50; round++) {
		pid_t pid;

		ledger_init(shared, BOOT_ID);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			for (unsigned i = 0;; i++) {
				static const char *const paths[] = { "/a", "/some/where/else" };
				const char *path = paths[i % 2];
				int slot = ledger_enter(shared, &sample, path, strlen(path));

				if (i % 3)
					ledger_strike(shared, slot < 0 ? (int)i % 63 : slot);
			}
		usleep((unsigned)round * 37 % 1000);
		assert_int_equal(kill(pid, SIGKILL), 0); /* our child, not yet waited for */
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(ledger_check(shared, BOOT_ID), 0);
	}
	assert_int_equal(munmap(shared, sizeof(*shared)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enter_keeps_all_and_strike_forgets),
		cmocka_unit_test(test_enter_refuses_what_has_no_place),
		cmocka_unit_test(test_check_blank_and_other_boot),
		cmocka_unit_test(test_check_finds_damage),
		cmocka_unit_test(test_check_refuses_nonsense),
		cmocka_unit_test(test_check_survives_anything),
		cmocka_unit_test(test_survives_its_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
