/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/mappings.c and lib/base/lines.c, on a proc directory that is written: one
 * process, 7.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/lines.h"
#include "lib/sys/mappings.h"
#include "lib/sys/proc.h"
#include "tests/fail-malloc.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

struct world {
	char path[64];
	int proc_fd, dir_fd;
};

static void put(int dir_fd, const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static const char mountinfo[] = "20 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
				"21 20 0:27 / /dev/shm rw,nosuid shared:2 - tmpfs tmpfs rw\n"
				"22 20 0:27 /x /mnt\\040- rw - tmpfs tmpfs rw\n"
				"23 20 0:40 / /home rw shared:3 - btrfs /dev/vdb rw\n"
				"24 20 0:5 / /dev rw - devtmpfs devtmpfs rw\n"
				"25 20 0:50\n"
				"nonsense\n";

static const char segments[] =
	"       key      shmid perms                  size  cpid  lpid nattch   uid\n"
	"         0          0   600              16777216  8192  8192      1     0\n"
	"         0          1  1600              16777216  8192  8192      1     0\n"
	"-559038737      32770  1666              16777216  8192  8192      1     0\n";

static int setup(void **state)
{
	static struct world world;

	strcpy(world.path, "/tmp/test-mappings-XXXXXX");
	if (!mkdtemp(world.path))
		return -1;
	world.proc_fd = open(world.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(world.proc_fd, "7", 0700) < 0 || mkdirat(world.proc_fd, "7/ns", 0700) < 0 ||
	    mkdirat(world.proc_fd, "self", 0700) < 0 ||
	    mkdirat(world.proc_fd, "self/ns", 0700) < 0 ||
	    mkdirat(world.proc_fd, "sys", 0700) < 0 ||
	    mkdirat(world.proc_fd, "sys/kernel", 0700) < 0 ||
	    mkdirat(world.proc_fd, "sysvipc", 0700) < 0)
		return -1;
	world.dir_fd = openat(world.proc_fd, "7", O_PATH | O_DIRECTORY | O_CLOEXEC);
	put(world.proc_fd, "self/ns/ipc", "");
	put(world.proc_fd, "sysvipc/shm", segments);
	put(world.dir_fd, "mountinfo", mountinfo);
	*state = &world;
	return linkat(world.proc_fd, "self/ns/ipc", world.dir_fd, "ns/ipc", 0);
}

static int teardown(void **state)
{
	struct world *world = *state;

	close(world->proc_fd);
	close(world->dir_fd);
	return nftw(world->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int read_file(const struct world *world, const char *file, struct mappings_sums *ret)
{
	struct mappings_request request = {
		.proc_fd = world->proc_fd,
		.dir_fd = world->dir_fd,
	};
	int r;

	n_mallocs = 0;
	fail_malloc = true;
	r = mappings_read(&request, file, MIB, ret);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

enum { OTHER, DIES, STAYS };

static void check_fate(const struct world *world, const char *mapping, int fate)
{
	struct mappings_sums sums;
	char text[8192];

	(void)snprintf(text, sizeof(text), "10000-20000 %s\n", mapping);
	put(world->dir_fd, "maps", text);
	assert_int_equal(read_file(world, "maps", &sums), 0);
	if (sums.size_dies != (fate == DIES ? 0x10000 : 0) ||
	    sums.size_kept != (fate == STAYS ? 0x10000 : 0))
		fail_msg("%s: dies %#llx, stays %#llx", mapping, (long long)sums.size_dies,
			 (long long)sums.size_kept);
}

static void test_a_mapping_is_freed_or_not_by_its_backing(void **state)
{
	static const struct {
		const char *mapping;
		int fate;
	} cases[] = {
		{ "rw-p 00000000 00:00 0 ", OTHER },
		{ "rw-p 00000000 00:00 0      [heap]", OTHER },
		{ "rw-s 00000000 00:01 9      /dev/zero (deleted)", DIES },
		{ "rw-s 00000000 00:01 9      [anon_shmem:pool]", DIES },
		{ "rw-p 00000000 00:00 0      [anon:pool]", OTHER },
		{ "rw-s 00000000 00:01 9      /memfd:x (deleted)", DIES },
		{ "rw-s 00000000 00:01 9      /memfd:a\\012b (deleted) x (deleted)", DIES },
		{ "rw-p 00000000 00:01 9      /memfd:x (deleted)", DIES },
		{ "rw-s 00000000 00:01 0      /SYSV00000000 (deleted)", STAYS },
		{ "rw-s 00000000 00:01 1      /SYSV00000000 (deleted)", DIES },
		{ "rw-s 00000000 00:01 32770  /SYSVdeadbeef (deleted)", DIES },
		{ "rw-s 00000000 00:01 77     /SYSV00000000 (deleted)", STAYS },
		/* tmpfs: 1b is 27 */
		{ "rw-s 00000000 00:1b 9      /dev/shm/x", STAYS },
		{ "r--p 00000000 00:1b 9      /dev/shm/x", STAYS },
		{ "rw-s 00000000 00:1b 9      /dev/shm/x (deleted)", DIES },
		{ "rw-s 00000000 00:1b 9      /dev/shm/x (deleted) ", STAYS },
		/* a file system on a disk, with a number or without */
		{ "rw-s 00000000 fe:00 9      /tmp/x (deleted)", OTHER },
		{ "rw-s 00000000 fe:00 9      /memfd:x (deleted)", OTHER },
		{ "rw-s 00000000 00:28 9      /home/x (deleted)", OTHER },
		{ "r-xp 00000000 00:28 9      /home/lib.so (deleted)", OTHER },
		{ "rw-s 00000000 00:05 9      /dev/dri/card0", OTHER },
		/* not in mountinfo: a tmpfs of another mount namespace */
		{ "rw-s 00000000 00:99 9      /x (deleted)", DIES },
		{ "rw-s 00000000 00:99 9      /x", STAYS },
		{ "r-xp 00000000 00:99 9      /x (deleted)", OTHER },
		{ "rw-s 00000000 00:0d 9      anon_inode:[io_uring]", OTHER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_fate(*state, cases[i].mapping, cases[i].fate);
}

/* map_files has the file of the mapping, whose name may be another. */
static void test_a_file_with_a_name_is_not_freed(void **state)
{
	static const struct {
		const char *label, *name;
		bool has_link, is_same;
		int fate;
	} rows[] = {
		{ "deleted by one of two names", "/dev/shm/x (deleted)", true, true, STAYS },
		{ "named so", "/memfd:x (deleted)", true, true, STAYS },
		{ "map_files may not be read", "/dev/shm/x (deleted)", false, true, DIES },
		{ "another file by now", "/dev/shm/x (deleted)", true, false, DIES },
	};
	const struct world *world = *state;
	char mapping[256];
	struct stat st;

	assert_int_equal(mkdirat(world->dir_fd, "map_files", 0700), 0);
	put(world->dir_fd, "map_files/file", "");
	assert_int_equal(fstatat(world->dir_fd, "map_files/file", &st, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].label);
		if (rows[i].has_link)
			assert_int_equal(symlinkat("file", world->dir_fd, "map_files/10000-20000"),
					 0);
		(void)snprintf(mapping, sizeof(mapping), "rw-s 00000000 00:1b %llu %s",
			       (unsigned long long)st.st_ino + !rows[i].is_same, rows[i].name);
		check_fate(world, mapping, rows[i].fate);
		(void)unlinkat(world->dir_fd, "map_files/10000-20000", 0);
	}
}

static void test_a_name_longer_than_the_buffer_keeps_its_end(void **state)
{
	static const char head[] = "rw-s 00000000 00:1b 9   /dev/shm/";
	char mapping[8000];

	for (size_t n = 900; n<7000; n += n> 4000 && n < 4200 ? 1 : 97) {
		strcpy(mapping, head);
		memset(mapping + strlen(head), 'x', n);
		strcpy(mapping + strlen(head) + n, " (deleted)");
		check_fate(*state, mapping, DIES);
		mapping[strlen(head) + n] = '\0';
		check_fate(*state, mapping, STAYS);
	}
}

static void test_segments_of_another_namespace_are_not_freed(void **state)
{
	static const char marked[] = "rw-s 00000000 00:01 1 /SYSV00000000 (deleted)";
	const struct world *world = *state;

	assert_int_equal(unlinkat(world->dir_fd, "ns/ipc", 0), 0);
	check_fate(world, marked, STAYS);
	put(world->dir_fd, "ns/ipc", ""); /* there, but another one */
	check_fate(world, marked, STAYS);
}

static void test_segments_are_freed_where_the_kernel_removes_them_all(void **state)
{
	const struct world *world = *state;

	put(world->proc_fd, "sys/kernel/shm_rmid_forced", "1\n");
	check_fate(world, "rw-s 00000000 00:01 0 /SYSV00000000 (deleted)", DIES);
	put(world->proc_fd, "sys/kernel/shm_rmid_forced", "0\n");
	check_fate(world, "rw-s 00000000 00:01 0 /SYSV00000000 (deleted)", STAYS);
	assert_int_equal(unlinkat(world->proc_fd, "sysvipc/shm", 0), 0);
	check_fate(world, "rw-s 00000000 00:01 1 /SYSV00000000 (deleted)", STAYS);
}

static void test_what_no_kernel_writes_is_refused(void **state)
{
	static const char *const texts[] = {
		"10000\n",
		"10000-2000g rw-s 00000000 00:01 9 /memfd:x (deleted)\n",
		"20000-10000 rw-s 00000000 00:01 9 /memfd:x (deleted)\n",
		"10000-20000 rw\n",
		"10000-20000 rw-x 00000000 00:01 9 /x\n",
		"10000-20000 rw-s 00000000 0001 9 /x\n",
		"10000-20000 rw-s 00000000 00:100000000 9 /x\n",
		"10000-20000 rw-s 11112222333344445 00:01 9 /x\n",
		"10000-20000 rw-s 00000000 00:01 x /x\n",
		"\n",
		"10000-20000 rw-s 00000000 00:01 9 /memfd:x (deleted)\nPss: -4 kB\n",
		"10000-20000 rw-s 00000000 00:01 9 /memfd:x (deleted)\nPss: 18446744073709551615 kB\n",
		"10000-20000 rw-s 00000000 00:01 9 /memfd:x (deleted)\nPss: 4 MB\n",
	};
	const struct world *world = *state;
	struct mappings_sums sums = { .pss = 7 };

	assert_int_equal(read_file(world, "maps", &sums), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put(world->dir_fd, "maps", texts[i]);
		if (read_file(world, "maps", &sums) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
	}
	put(world->dir_fd, "maps", ""); /* it has lost its memory */
	assert_int_equal(read_file(world, "maps", &sums), PROC_GONE);
	assert_int_equal(sums.pss, 7);
}

#define NUMBERS(rss, pss, clean, dirty, anonymous, swap)                                           \
	"Size: 64 kB\nRss: " #rss " kB\nPss: " #pss " kB\nPss_Dirty: 99 kB\n"                      \
	"Private_Clean: " #clean " kB\nPrivate_Dirty: " #dirty " kB\nAnonymous: " #anonymous       \
	" kB\nSwap: " #swap " kB\nSwapPss: 0 kB\nVmFlags: rd wr\n"
#define MEMFD(range, offset, inode, mode)                                                          \
	range " " mode " " offset " 00:01 " inode " /memfd:x (deleted)\n"

static void check_smaps(const struct world *world, const char *text, uint64_t pss, uint64_t private,
			uint64_t swap, uint64_t swap_mapped)
{
	struct mappings_sums sums;

	put(world->dir_fd, "smaps", text);
	assert_int_equal(read_file(world, "smaps", &sums), 0);
	assert_int_equal(sums.pss, pss * KIB);
	assert_int_equal(sums.private, private * KIB);
	assert_int_equal(sums.swap, swap * KIB);
	assert_int_equal(sums.swap_mapped, swap_mapped * KIB);
}

static void test_smaps_are_summed_by_fate(void **state)
{
	const struct world *world = *state;

	check_smaps(
		world,
		"1000-2000 rw-p 00000000 00:00 0 [heap]\n" NUMBERS(64, 64, 0, 64, 64, 9) /**/
		MEMFD("2000-3000", "0", "5", "rw-s")
			NUMBERS(64, 32, 8, 0, 0, 10) "3000-4000 rw-s 00000000 00:1b 9 /dev/shm/x\n" NUMBERS(
				40, 40, 0, 40, 0,
				3) "4000-5000 r--p 00000000 fe:00 9 /x\n" NUMBERS(4, 2, 0, 0, 0, 0),
		32, 8, 5, 13);
	/* what a private mapping wrote is anonymous */
	check_smaps(world, MEMFD("2000-3000", "0", "5", "rw-p") NUMBERS(64, 60, 30, 10, 40, 10), 20,
		    0, 0, 0);
	/* nothing resident: in full */
	check_smaps(world, MEMFD("2000-3000", "0", "5", "rw-s") NUMBERS(0, 0, 0, 0, 0, 10), 0, 0,
		    10, 10);
}

/* Each a mapping of 64 KiB with its numbers. */
static void test_locked_pages_of_files(void **state)
{
#define LOCKED(kib) "Locked: " #kib " kB\n"
	static const struct {
		const char *text;
		uint64_t share, private; /* KiB */
	} rows[] = {
		{ "1000-2000 rw-p 00000000 00:00 0 [heap]\n" NUMBERS(64, 64, 0, 64, 64, 0)
			  LOCKED(64),
		  0, 0 },
		{ "1000-2000 r--s 00000000 fe:00 9 /x\n" NUMBERS(64, 64, 64, 0, 0, 0) LOCKED(64),
		  64, 64 },
		{ "1000-2000 r--s 00000000 fe:00 9 /x\n" NUMBERS(64, 64, 64, 0, 0, 0) LOCKED(0), 0,
		  0 },
		/* mapped by two */
		{ "1000-2000 r--s 00000000 fe:00 9 /x\n" NUMBERS(64, 32, 0, 0, 0, 0) LOCKED(32), 32,
		  0 },
		/* a half was written to privately */
		{ "1000-2000 rw-p 00000000 fe:00 9 /x\n" NUMBERS(64, 64, 32, 32, 32, 0) LOCKED(64),
		  32, 32 },
		/* of a file system that is not known: it may be a tmpfs */
		{ "1000-2000 r--s 00000000 00:2a 9 /x\n" NUMBERS(64, 64, 64, 0, 0, 0) LOCKED(64), 0,
		  0 },
		/* shared memory is no file */
		{ MEMFD("2000-3000", "0", "5", "rw-s") NUMBERS(64, 64, 0, 64, 0, 0) LOCKED(64), 0,
		  0 },
		/* memfd_secret(2) */
		{ "1000-2000 rw-s 00000000 00:0f 9 /secretmem (deleted)\n" NUMBERS(64, 64, 0, 64, 0,
										   0) LOCKED(64),
		  64, 64 },
	};
	const struct world *world = *state;
	struct mappings_sums sums;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%.60s\n", rows[i].text);
		put(world->dir_fd, "smaps", rows[i].text);
		assert_int_equal(read_file(world, "smaps", &sums), 0);
		assert_int_equal(sums.locked_file, rows[i].share * KIB);
		assert_int_equal(sums.locked_private, rows[i].private * KIB);
	}
}

static void test_swap_of_a_file_counts_once(void **state)
{
#define TEN NUMBERS(4, 4, 0, 4, 0, 10)
	/* the same part twice, and another that overlaps */
	check_smaps(*state,
		    MEMFD("2000-3000", "0", "5", "rw-s") TEN	     /**/
			    MEMFD("5000-6000", "0", "5", "rw-s") TEN /**/
				    MEMFD("7000-9000", "800", "5", "rw-s") TEN,
		    12, 12, 10, 30);
	/* two parts, and another file */
	check_smaps(*state,
		    MEMFD("2000-3000", "0", "5", "rw-s") TEN		/**/
			    MEMFD("3000-4000", "1000", "5", "rw-s") TEN /**/
				    MEMFD("7000-9000", "0", "6", "rw-s") TEN,
		    12, 12, 30, 30);
	/* the joint of what was joined */
	check_smaps(*state,
		    MEMFD("2000-3000", "0", "5", "rw-s") TEN		/**/
			    MEMFD("3000-4000", "1000", "5", "rw-s") TEN /**/
				    MEMFD("7000-8000", "800", "5", "rw-s") TEN,
		    12, 12, 20, 30);
}

static void test_what_is_longer_is_cut_and_marked(void **state)
{
	static const char text[] = MEMFD("2000-3000", "0", "5", "rw-s");
	const struct world *world = *state;
	struct mappings_request request = { .proc_fd = world->proc_fd, .dir_fd = world->dir_fd };
	struct mappings_sums sums;

	put(world->dir_fd, "maps", text);
	assert_int_equal(mappings_read(&request, "maps", strlen(text), &sums), 0);
	assert_false(sums.is_cut);
	assert_int_equal(sums.size_dies, 0x1000);
	put(world->dir_fd, "maps", MEMFD("2000-3000", "0", "5", "rw-s") "3");
	assert_int_equal(mappings_read(&request, "maps", strlen(text), &sums), 0);
	assert_true(sums.is_cut);
	assert_int_equal(sums.size_dies, 0x1000);
}

static void test_lines_are_whole_or_have_both_ends(void **state)
{
	const struct world *world = *state;
	char text[24000];

	for (size_t n = 0; n<11000; n += n> 2000 && n < 2100 ? 1 : 331) {
		_cleanup_close_ int fd = -EBADF;
		struct lines lines;
		char *line;

		memset(text, 'x', n);
		(void)snprintf(text + n, sizeof(text) - n, "\n<%0*u>\nlast\ncut", (int)n, 0);
		put(world->dir_fd, "lines", text);
		fd = openat(world->dir_fd, "lines", O_RDONLY | O_CLOEXEC);
		lines_init(&lines, fd, SIZE_MAX);
		assert_int_equal(lines_next(&lines, &line), 1);
		assert_true(strlen(line) == n || (n > LINES_SIZE - 1024 && strlen(line) >= 1024));
		assert_int_equal(lines_next(&lines, &line), 1);
		assert_int_equal(line[0], '<');
		assert_int_equal(line[strlen(line) - 1], '>');
		assert_int_equal(lines_next(&lines, &line), 1);
		assert_string_equal(line, "last");
		assert_int_equal(lines_next(&lines, &line), 0);
		assert_int_equal(lines_next(&lines, &line), 0);
		assert_false(lines.is_cut);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_mapping_is_freed_or_not_by_its_backing),
		TEST(test_a_file_with_a_name_is_not_freed),
		TEST(test_a_name_longer_than_the_buffer_keeps_its_end),
		TEST(test_segments_of_another_namespace_are_not_freed),
		TEST(test_segments_are_freed_where_the_kernel_removes_them_all),
		TEST(test_what_no_kernel_writes_is_refused),
		TEST(test_smaps_are_summed_by_fate),
		TEST(test_locked_pages_of_files),
		TEST(test_swap_of_a_file_counts_once),
		TEST(test_what_is_longer_is_cut_and_marked),
		TEST(test_lines_are_whole_or_have_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
