/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * where: the survey of a few processes: what is left of its limits, whose turn it is, and which
 * mappings are read.  A /proc of our own has links to processes of our own, or files.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define POPULATE_READ 22
/* More than are read of each process at first, by so many. */
#define FIRST_LINKS 1024
#define MORE_LINKS  500

static struct {
	char path[32];
	int proc_fd, root_fd;
	pid_t children[4];
	unsigned n_children;
} world;

static struct where_scratch scratch;
static struct where_survey found;

/* Each link that is read is a call, and so is each mount. */
static usec_t n_calls;
static usec_t count_calls(void)
{
	return ++n_calls;
}

static usec_t run_survey(usec_t deadline, uint64_t least_untouched)
{
	const struct where_limits limits = {
		.now = count_calls,
		.deadline = deadline,
		.least_untouched = least_untouched,
	};

	n_calls = 0;
	where_survey(world.proc_fd, world.root_fd, &limits, &scratch, &found);
	return n_calls;
}

static uint64_t unmapped_of(pid_t pid)
{
	for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++)
		if (found.unmapped[i].pid == pid)
			return found.unmapped[i].bytes;
	return 0;
}

static int setup(void **state)
{
	struct rlimit limit;

	memset(&world, 0, sizeof(world));
	memset(&scratch, 0, sizeof(scratch));
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	strcpy(world.path, "/tmp/test-where.XXXXXX");
	if (!mkdtemp(world.path))
		return -1;
	world.proc_fd = open(world.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return symlinkat("/proc/self", world.proc_fd, "self");
}

static int teardown(void **state)
{
	char name[16];

	for (unsigned i = 0; i < world.n_children; i++) {
		kill(world.children[i], SIGKILL); /* not yet waited for */
		waitpid(world.children[i], NULL, 0);
		snprintf(name, sizeof(name), "%d", world.children[i]);
		(void)unlinkat(world.proc_fd, name, 0);
	}
	(void)unlinkat(world.proc_fd, "self", 0);
	close(world.root_fd);
	close(world.proc_fd);
	return rmdir(world.path);
}

/* On kernels before 5.14 it is not seen what is mapped. */
static void require_populate_read(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = madvise(p, 4096, POPULATE_READ);

	munmap(p, 4096);
	if (r < 0)
		skip();
}

static int make_memfd(size_t size)
{
	int fd = memfd_create("held", MFD_CLOEXEC);
	static const char bytes[64 * 1024];

	for (size_t at = 0; at < size; at += sizeof(bytes))
		if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			return -1;
	return fd;
}

/* It has many descriptors, and a memfd after them. */
static pid_t spawn(unsigned n)
{
	char name[16], path[32], ready;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int any = open("/dev/null", O_RDONLY | O_CLOEXEC);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (n-- > 0)
			if (dup(any) < 0)
				_exit(1);
		if (make_memfd(MIB) < 0 || write(ends[1], "1", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	world.children[world.n_children++] = pid;
	close(ends[1]);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	close(ends[0]);
	snprintf(name, sizeof(name), "%d", pid);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	assert_int_equal(symlinkat(path, world.proc_fd, name), 0);
	return pid;
}

static void require_descriptors(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < FIRST_LINKS + MORE_LINKS + 100)
		skip();
	require_populate_read();
}

static void test_the_rest_of_the_descriptors_is_read(void **state)
{
	usec_t before = run_survey(USEC_INFINITY, 0), calls;
	pid_t pid;

	require_descriptors();
	pid = spawn(FIRST_LINKS + MORE_LINKS);
	calls = run_survey(USEC_INFINITY, 0) - before;
	assert_int_equal(unmapped_of(pid), MIB);
	assert_false(found.is_partial);
	/* And none twice. */
	assert_in_range(calls, FIRST_LINKS + MORE_LINKS, FIRST_LINKS + MORE_LINKS + 100);
}

/* There is time for the rest of one of three in each survey. */
static void test_each_has_its_turn(void **state)
{
	usec_t before = run_survey(USEC_INFINITY, 0);
	unsigned n_found[3] = { 0 };

	require_descriptors();
	for (unsigned i = 0; i < 3; i++)
		(void)spawn(FIRST_LINKS + MORE_LINKS);
	scratch.turn = 0;
	for (unsigned n = 0; n < 6; n++) {
		unsigned n_now = 0;

		(void)run_survey(before + 3 * FIRST_LINKS + MORE_LINKS * 3 / 2, 0);
		assert_true(found.is_partial);
		for (unsigned i = 0; i < 3; i++) {
			n_found[i] += unmapped_of(world.children[i]) > 0;
			n_now += unmapped_of(world.children[i]) > 0;
		}
		assert_int_equal(n_now, 1);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(n_found[i], 2);
}

static void put(const char *path, const char *text)
{
	int fd = openat(world.proc_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Of a process 7, or of its thread 8: a line of its mappings, and the file of that. */
static void put_mapping(const char *directory, const char *line, int fd)
{
	char path[64], link[64];

	snprintf(path, sizeof(path), "%s/maps", directory);
	put(path, line);
	snprintf(path, sizeof(path), "%s/map_files/%.*s", directory, (int)strcspn(line, " \n"),
		 line);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	assert_int_equal(symlinkat(link, world.proc_fd, path), 0);
}

static void remove_all(const char *const *paths, size_t n)
{
	while (n-- > 0)
		if (unlinkat(world.proc_fd, paths[n], 0) < 0)
			(void)unlinkat(world.proc_fd, paths[n], AT_REMOVEDIR);
}

#define SHARED "7f0000000000-7f0000010000 rw-s 00000000 00:01 1031 "
#define PAGES  1000

static const struct {
	const char *label, *line;
	uint64_t untouched; /* pages */
	bool is_read;
} mappings[] = {
	{ "shared memory", SHARED "    /dev/zero (deleted)\n", PAGES, true },
	{ "a memfd", SHARED "/memfd:x (deleted)\n", PAGES, true },
	{ "with a name of its own", SHARED "[anon_shmem:x]\n", PAGES, true },
	{ "more is untouched", SHARED "/x (deleted)\n", PAGES + 1, true },
	{ "less is untouched", SHARED "/x (deleted)\n", PAGES - 1, false },
	{ "it has no memory", SHARED "/x (deleted)\n", 0, false },
	{ "private", "7f0000000000-7f0000010000 rw-p 00000000 00:01 1031 /x (deleted)\n", PAGES,
	  false },
	{ "on a disk", "7f0000000000-7f0000010000 rw-s 00000000 08:01 1031 /x (deleted)\n", PAGES,
	  false },
	{ "small", "7f0000000000-7f000000f000 rw-s 00000000 00:01 1031 /x (deleted)\n", PAGES,
	  false },
	{ "a System V segment", SHARED "/SYSV00000000 (deleted)\n", PAGES, false },
	{ "it has a name", SHARED "/dev/shm/x\n", PAGES, false },
	{ "whose end looks like that", SHARED "/dev/shm/x(deleted)\n", PAGES, false },
	{ "and is short", SHARED "/x\n", PAGES, false },
	{ "no file", SHARED "[x] (deleted)\n", PAGES, false },
	{ "without any name", SHARED "\n", PAGES, false },
	{ "from its end to its start",
	  "7f0000010000-7f0000000000 rw-s 00000000 00:01 1031 /x (deleted)\n", PAGES, false },
	{ "no mapping", "7f0000000000-7f0000010000 rw-s\n", PAGES, false },
	{ "no inode", "7f0000000000-7f0000010000 rw-s 00000000 00:01 /x (deleted)\n", PAGES,
	  false },
	{ "nothing that is known", "x\n", PAGES, false },
};

static void test_which_mappings_are_read(void **state)
{
	enum { SIZE = 256 * 1024 };
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	_cleanup_close_ int fd = -EBADF;

	require_populate_read();
	fd = make_memfd(SIZE);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(mappings); i++) {
		/* The first thread of the process has exited. */
		bool by_thread = i >= ARRAY_SIZE(mappings);
		size_t row = i % ARRAY_SIZE(mappings);
		const char *directory = by_thread ? "8" : "7";
		char statm[64], mapping[64], files[16], maps[16], path[16];
		const char *paths[] = { "7",	 "7/task", "7/task/8", "8",	 files,
					mapping, maps,	   path,       "7/statm" };

		print_message("%s%s\n", mappings[row].label, by_thread ? ", by a thread" : "");
		assert_int_equal(mkdirat(world.proc_fd, "7", 0700), 0);
		assert_int_equal(mkdirat(world.proc_fd, "7/task", 0700), 0);
		if (by_thread) {
			assert_int_equal(mkdirat(world.proc_fd, "7/task/8", 0700), 0);
			put("7/statm", "0 0 0 0 0 0 0\n");
			assert_int_equal(mkdirat(world.proc_fd, "8", 0700), 0);
		}
		snprintf(files, sizeof(files), "%s/map_files", directory);
		assert_int_equal(mkdirat(world.proc_fd, files, 0700), 0);
		snprintf(mapping, sizeof(mapping), "%s/%.*s", files,
			 (int)strcspn(mappings[row].line, " \n"), mappings[row].line);
		snprintf(maps, sizeof(maps), "%s/maps", directory);
		snprintf(path, sizeof(path), "%s/statm", directory);
		snprintf(statm, sizeof(statm), "%llu 100 0 0 0 0 0\n",
			 mappings[row].untouched == 0
				 ? 0ULL
				 : 100ULL + (unsigned long long)mappings[row].untouched);
		put(path, statm);
		put_mapping(directory, mappings[row].line, fd);
		(void)run_survey(USEC_INFINITY, PAGES * page_size);
		assert_int_equal(found.unmapped[0].bytes + found.unmapped[0].together,
				 mappings[row].is_read ? SIZE : 0);
		/* (Here 8 is listed as a process, too, so both hold it.) */
		assert_int_equal(found.unmapped[0].n_others, mappings[row].is_read && by_thread);
		remove_all(paths, ARRAY_SIZE(paths));
	}
}

/* A process may have any number of them: the clock is looked at between, and they are left. */
static void test_many_mappings(void **state)
{
	enum { N = 640 };
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	static const char *const paths[] = { "7", "7/map_files",
					     "7/map_files/7f0000000000-7f0000010000", "7/maps",
					     "7/statm" };
	static const char last[] = SHARED "/x (deleted)\n";
	_cleanup_close_ int fd = -EBADF;
	char text[N * 16 + sizeof(last)] = "";
	usec_t before = run_survey(USEC_INFINITY, page_size), calls;

	require_populate_read();
	fd = make_memfd(MIB);
	assert_int_equal(mkdirat(world.proc_fd, "7", 0700), 0);
	assert_int_equal(mkdirat(world.proc_fd, "7/map_files", 0700), 0);
	put("7/statm", "1000 0 0 0 0 0 0\n");
	put_mapping("7", last, fd);
	for (unsigned i = 0; i < N - 1; i++)
		strcpy(text + i * 16, "1-2 rw-p 0 0:0 \n");
	strcpy(text + (N - 1) * (size_t)16, last);
	put("7/maps", text);
	calls = run_survey(USEC_INFINITY, page_size) - before;
	assert_int_equal(unmapped_of(7), MIB);
	assert_in_range(calls, N / 32, N / 32 + 8);
	(void)run_survey(before + N / 64, page_size);
	assert_int_equal(unmapped_of(7), 0);
	assert_false(found.is_partial);
	remove_all(paths, ARRAY_SIZE(paths));
}

/* What is not read, as there are no files left, might hold any of it. */
static void test_no_files_are_left(void **state)
{
	struct rlimit before, limit;
	int next;

	(void)spawn(1);
	assert_int_equal(unlinkat(world.proc_fd, "self", 0), 0);
	assert_int_equal(mkdirat(world.proc_fd, "self", 0700), 0);
	put("self/mountinfo", "");
	(void)run_survey(USEC_INFINITY, 0);
	assert_false(found.is_partial);
	next = dup(world.proc_fd);
	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next + 1; /* for the list of processes */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	(void)run_survey(USEC_INFINITY, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	remove_all((const char *const[]){ "self", "self/mountinfo" }, 2);
	assert_true(found.is_partial);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_rest_of_the_descriptors_is_read),
		TEST(test_each_has_its_turn),
		TEST(test_which_mappings_are_read),
		TEST(test_many_mappings),
		TEST(test_no_files_are_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
