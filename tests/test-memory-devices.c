/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory: zram, ZFS and files that are not the kernel's own, on fixtures. */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/sys/memory.h"
#include "lib/sys/proc-virtual.h"
#include "lib/sys/zram.h"
#include "tests/memory-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Counts how often arcstats is opened, and hides it. */
static bool hidden_arcstats;
static unsigned n_asked_for_arcstats;

int __real_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags)
{
	n_asked_for_arcstats += strstr(path, "arcstats") != NULL;
	if (hidden_arcstats)
		return -1;
	return __real_faccessat(fd, path, mode, flags);
}

static void test_sample_zram_only_where_it_is_swap(void **state)
{
	struct memory_reading r;

	sample_fixture("zram", &r);
	assert_int_equal(r.counters.zram_disksize, 536870912);
	assert_int_equal(r.counters.zram_stored, 268435456);
	assert_int_equal(r.counters.zram_used, 134217728);
	assert_int_equal(r.swap_free / MIB, 127);
}

static void write_file(int directory_fd, const char *path, const char *text)
{
	int fd = openat(directory_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void remove_tree(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", path);
	assert_int_equal(system(command), 0);
}

static struct memory_counters sample_zram(struct zram_devices *devices, int fd, uint64_t swap_total)
{
	struct memory_counters c = { .total = GIB, .swap_total = swap_total };

	zram_sample(devices, fd, fd, &c);
	return c;
}

static struct memory_counters sample_anew(int fd)
{
	struct zram_devices devices = { 0 };

	return sample_zram(&devices, fd, GIB);
}

/* Which devices there are is read again when swap has another size, and now and then. */
static void test_zram_devices_are_found_again(void **state)
{
	static const char swaps[] = "Filename Type Size Used Priority\n";
	char directory[] = "/tmp/test-memory.XXXXXX", text[128];
	struct zram_devices devices = { 0 };
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(fd, "block", 0700), 0);
	assert_int_equal(mkdirat(fd, "block/zram0", 0700), 0);
	write_file(fd, "block/zram0/disksize", "1073741824\n");
	write_file(fd, "block/zram0/mm_stat", "0 0 0 0 0 0 0 0 0\n");
	write_file(fd, "swaps", swaps);
	assert_int_equal(sample_zram(&devices, fd, GIB).zram_disksize, 0);
	snprintf(text, sizeof(text), "%s/dev/zram0 partition 1 1 5\n", swaps);
	write_file(fd, "swaps", text);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, GIB);
	/* What it holds is read at each sample, and if the list cannot be, it is the last one. */
	write_file(fd, "block/zram0/mm_stat", "67108864 1 33554432 0 0 0 0 0 0\n");
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_used, 32 * MIB);
	assert_int_equal(unlinkat(fd, "swaps", 0), 0);
	for (unsigned i = 0; i < 2 * ZRAM_SAMPLES; i++)
		assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, GIB);
	write_file(fd, "swaps", swaps);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, 0);
	write_file(fd, "swaps", text);
	for (unsigned i = 0; i < ZRAM_SAMPLES; i++)
		assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, 0);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, GIB);
	/* Another one is used instead, and swap has the same size as before. */
	assert_int_equal(mkdirat(fd, "block/zram1", 0700), 0);
	write_file(fd, "block/zram1/disksize", "2147483648\n");
	write_file(fd, "block/zram1/mm_stat", "0 0 0 0 0 0 0 0 0\n");
	write_file(fd, "block/zram0/disksize", "0\n");
	snprintf(text, sizeof(text), "%s/dev/zram1 partition 1 1 5\n", swaps);
	write_file(fd, "swaps", text);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, 0);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, 2 * GIB);
	assert_int_equal(sample_zram(&devices, fd, 0).zram_disksize, 0); /* no swap */
	close(fd);
	remove_tree(directory);
}

/* Its room would count in full otherwise.  (A directory cannot be read, even by root.) */
static void test_zram_that_cannot_be_read_counts_as_before(void **state)
{
	char directory[] = "/tmp/test-memory.XXXXXX";
	struct zram_devices devices = { 0 };
	struct memory_counters c;
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(fd, "block", 0700), 0);
	assert_int_equal(mkdirat(fd, "block/zram0", 0700), 0);
	write_file(fd, "block/zram0/disksize", "1073741824\n");
	write_file(fd, "block/zram0/mm_stat", "67108864 1 33554432 0 0 0 0 0 0\n");
	write_file(fd, "swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1 1 5\n");
	assert_int_equal(sample_zram(&devices, fd, GIB).zram_used, 32 * MIB);
	assert_int_equal(unlinkat(fd, "block/zram0/mm_stat", 0), 0);
	assert_int_equal(mkdirat(fd, "block/zram0/mm_stat", 0700), 0);
	c = sample_zram(&devices, fd, GIB);
	assert_int_equal(c.zram_disksize, GIB);
	assert_int_equal(c.zram_used, 32 * MIB);
	/* Nor can the list, when swap has another size. */
	assert_int_equal(unlinkat(fd, "swaps", 0), 0);
	assert_int_equal(mkdirat(fd, "swaps", 0700), 0);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_used, 32 * MIB);
	/* One that is no more does not count. */
	assert_int_equal(unlinkat(fd, "block/zram0/mm_stat", AT_REMOVEDIR), 0);
	assert_int_equal(sample_zram(&devices, fd, 2 * GIB).zram_disksize, 0);
	close(fd);
	remove_tree(directory);
}

/* Its node may be called anything: the numbers tell. */
static void test_zram_is_known_by_its_device_numbers(void **state)
{
	char directory[] = "/tmp/test-memory.XXXXXX", node[64], swaps[128];
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(node, sizeof(node), "%s/compressed", directory);
	if (mknod(node, S_IFBLK | 0600, makedev(259, 77)) < 0) {
		remove_tree(directory);
		print_message("SKIP: no device node may be made here\n");
		skip();
	}
	snprintf(swaps, sizeof(swaps), "Filename Type Size Used Priority\n%s partition 1 1 5\n",
		 node);
	write_file(fd, "swaps", swaps);
	for (const char *const *d =
		     (const char *const[]){ "block", "block/zram7", "dev", "dev/block", NULL };
	     *d; d++)
		assert_int_equal(mkdirat(fd, *d, 0700), 0);
	write_file(fd, "block/zram7/disksize", "1073741824\n");
	write_file(fd, "block/zram7/mm_stat", "67108864 1 33554432 0 0 0 0 0 0\n");

	assert_int_equal(sample_anew(fd).zram_disksize, 0); /* not in sysfs */
	assert_int_equal(symlinkat("../../devices/pci/block/sda", fd, "dev/block/259:77"), 0);
	assert_int_equal(sample_anew(fd).zram_disksize, 0);
	assert_int_equal(unlinkat(fd, "dev/block/259:77", 0), 0);
	assert_int_equal(symlinkat("../../devices/virtual/block/zram7", fd, "dev/block/259:77"), 0);
	assert_int_equal(sample_anew(fd).zram_disksize, GIB);
	assert_int_equal(sample_anew(fd).zram_used, 32 * MIB);
	close(fd);
	remove_tree(directory);
}

static void test_sample_zfs(void **state)
{
	struct memory_reading r;

	sample_fixture("zfs", &r);
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.counters.arc_min, GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

/* In a process of its own: the limit is not raised again. */
static int sample_without_files(struct memory_source *source, struct memory_reading *ret)
{
	struct rlimit none = { 0, 0 };
	int r = memory_sample(source, ret);

	if (r < 0 || setrlimit(RLIMIT_NOFILE, &none) < 0)
		return r < 0 ? r : -errno;
	return memory_sample(source, ret);
}

/* What cannot be read for want of files has not shrunk. */
static void test_sample_zfs_without_files(void **state)
{
	struct memory_reading r;

	sample_fixture_by(sample_without_files, "zfs", &r);
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

/* As test_sample_zfs(), but arcstats is there only after a while. */
static int sample_before_and_after(struct memory_source *source, struct memory_reading *ret)
{
	for (unsigned i = 0; i < 100; i++) {
		hidden_arcstats = true;
		if (memory_sample(source, ret) < 0 || ret->counters.arc_size != 0)
			return -1;
	}
	/* Searched for often at first, and then less. */
	if (n_asked_for_arcstats < 8 || n_asked_for_arcstats > 12)
		return -2;
	hidden_arcstats = false;
	for (unsigned i = 0; i < 41 && ret->counters.arc_size == 0; i++)
		if (memory_sample(source, ret) < 0)
			return -1;
	return 0;
}

static void test_sample_finds_zfs_that_comes_later(void **state)
{
	struct memory_reading r;

	hidden_arcstats = true;
	sample_fixture_by(sample_before_and_after, "zfs", &r);
	hidden_arcstats = false;
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

static void test_virtual_files_are_known_by_mountinfo(void **state)
{
	static const struct {
		const char *name, *mountinfo;
		bool expected;
	} rows[] = {
		{ "meminfo",
		  "1 0 0:9 / / rw - ext4 /dev/x rw\n"
		  "2 1 0:61 /proc/meminfo /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw\n",
		  true },
		{ "meminfo", "2 1 0:61 /proc/meminfo /proc/meminfo rw shared:3 - fuse x rw", true },
		{ "loadavg", "2 1 0:61 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n",
		  false },
		/* What is bound may be the kernel's, too. */
		{ "meminfo", "2 1 0:5 /meminfo /proc/meminfo ro - proc proc rw\n", false },
		{ "meminfo", "2 1 0:5 / /proc rw - proc proc rw\n", false },
		{ "meminfo", "2 1 0:5 / /proc/xmeminfo rw - tmpfs x rw\n", false },
		{ "meminfo", "2 1 0:5 / /meminfo rw - tmpfs x rw\n", false },
		{ "meminfo", "2 1 0:5 /proc/meminfo", false },
		{ "meminfo", "", false },
	};
	char directory[] = "/tmp/test-memory.XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/self", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(proc_is_virtualised(fd, "meminfo")); /* no mountinfo */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_file(fd, "self/mountinfo", rows[i].mountinfo);
		if (proc_is_virtualised(fd, rows[i].name) != rows[i].expected)
			fail_msg("row %zu", i);
	}
	close(fd);
	remove_tree(directory);
}

/* On this machine, in a child: meminfo and vmstat are mounted over, loadavg is not. */
static int ask_of_mounts(struct memory_source *source, struct memory_reading *ret)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ret->counters.virtualised = proc_is_virtualised(proc_fd, "meminfo") &&
				    proc_is_virtualised(proc_fd, "vmstat") &&
				    !proc_is_virtualised(proc_fd, "loadavg") &&
				    !proc_is_virtualised(proc_fd, "nothing");
	return 0;
}

static void test_virtual_files_are_known_by_their_mount(void **state)
{
	struct memory_reading r;

	sample_fixture_by(ask_of_mounts, "no-swap", &r);
	assert_true(r.counters.virtualised);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample_zram_only_where_it_is_swap),
		cmocka_unit_test(test_zram_devices_are_found_again),
		cmocka_unit_test(test_zram_that_cannot_be_read_counts_as_before),
		cmocka_unit_test(test_zram_is_known_by_its_device_numbers),
		cmocka_unit_test(test_sample_zfs),
		cmocka_unit_test(test_sample_zfs_without_files),
		cmocka_unit_test(test_sample_finds_zfs_that_comes_later),
		cmocka_unit_test(test_virtual_files_are_known_by_mountinfo),
		cmocka_unit_test(test_virtual_files_are_known_by_their_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
