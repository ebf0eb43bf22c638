/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: the figures, their words, and the survey of this machine and of fixtures. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static const struct memory_counters counters = {
	.total = 1000 * MIB,
	.free = 40 * MIB,
	.cached = 720 * MIB,
	.shmem = 700 * MIB,
	.anon = 90 * MIB,
	.page_tables = 10 * MIB,
	.slab = 60 * MIB,
	.slab_unreclaimable = 50 * MIB,
	.kernel_stack = 2 * MIB, /* less than a 256th */
	.percpu = 8 * MIB,
};

static const struct where_survey survey = {
	.tmpfs = { { "/dev/shm", 400 * MIB }, { "/run\t", 20 * MIB } },
	.n_tmpfs = 2,
	.tmpfs_bytes = 425 * MIB,
	.memfds = { .pid = 7, .comm = "holder", .bytes = 200 * MIB },
	.pipes = { .pid = 8, .comm = "plumber", .n = 64 },
	.sysv_bytes = 30 * MIB,
};

static void test_recorder_is_largest_first(void **state)
{
	static const struct {
		enum where_kind kind;
		uint64_t mib;
	} rows[] = {
		{ WHERE_TMPFS, 400 },	   { WHERE_MEMFDS, 200 }, { WHERE_PROCESSES, 100 },
		{ WHERE_UNACCOUNTED, 70 }, { WHERE_SLAB, 50 },	  { WHERE_SHMEM, 45 },
		{ WHERE_SYSV, 30 },	   { WHERE_TMPFS, 20 },	  { WHERE_PERCPU, 8 },
	};
	struct where_account a;

	where_account(&counters, &survey, &a);
	assert_int_equal(a.n_rows, ARRAY_SIZE(rows));
	for (unsigned i = 0; i < a.n_rows; i++) {
		assert_int_equal(a.rows[i].kind, rows[i].kind);
		assert_int_equal(a.rows[i].bytes / MIB, rows[i].mib);
	}
	assert_true(a.is_surveyed);
}

static void test_recorder_without_a_survey(void **state)
{
	struct where_account a;

	where_account(&counters, NULL, &a);
	assert_int_equal(a.rows[0].kind, WHERE_SHMEM);
	assert_int_equal(a.rows[0].bytes, 700 * MIB);
	assert_false(a.is_surveyed);
}

static void test_few_pipes_explain_nothing(void **state)
{
	struct where_survey few = survey;
	struct where_account a;

	few.pipes.n = WHERE_PIPES_MIN - 1;
	where_account(&counters, &few, &a);
	for (unsigned i = 0; i < a.n_rows; i++)
		if (a.rows[i].kind == WHERE_UNACCOUNTED)
			assert_int_equal(a.rows[i].pid, 0);
}

/* On a machine where hardly any memory is used, there are rows all the same. */
static void test_the_largest_is_reported_however_small(void **state)
{
	const struct memory_counters idle = {
		.total = 1024 * MIB,
		.free = 1018 * MIB,
		.anon = 3 * MIB,
		.slab = 2 * MIB,
		.slab_unreclaimable = 2 * MIB,
	};
	struct where_account a;

	where_account(&idle, NULL, &a);
	assert_int_equal(a.n_rows, 1);
	assert_int_equal(a.rows[0].kind, WHERE_PROCESSES);
}

/* Of memfds that others map, the death of the holder frees nothing. */
static void test_held_is_what_no_process_maps(void **state)
{
	static const struct {
		const char *label;
		uint64_t memfds, pipes;	       /* of the holder, MiB */
		uint64_t shmem, mapped, tmpfs; /* of the machine */
		uint64_t unaccounted;
		bool is_partial;
		uint64_t held;
		bool is_pipes;
	} rows[] = {
		{ "a memfd that is not mapped", 600, 0, 620, 0, 0, 0, false, 600, false },
		{ "one that others map", 600, 0, 620, 620, 0, 0, false, 0, true },
		{ "half of it is mapped", 600, 0, 600, 300, 0, 0, false, 300, false },
		{ "buffers of clients beside a full tmpfs", 500, 0, 1300, 500, 800, 0, false, 0,
		  true },
		{ "the same, the tmpfs is not known", 500, 0, 1300, 500, 0, 0, true, 0, true },
		{ "nearly all of it, though partial", 700, 0, 800, 0, 0, 0, true, 700, false },
		{ "pipes", 0, 700, 0, 0, 0, 750, false, 700, true },
		{ "pipes that the machine does not miss", 0, 700, 0, 0, 0, 20, false, 20, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters c = {
			.total = 4 * GIB,
			.free = 4 * GIB - (rows[i].shmem + rows[i].unaccounted) * MIB - 1,
			.anon = 1,
			.cached = rows[i].shmem * MIB,
			.shmem = rows[i].shmem * MIB,
		};
		const struct where_survey s = {
			.memfds = { .pid = 7,
				    .bytes = rows[i].memfds * MIB,
				    .unmeasured = rows[i].memfds * MIB },
			.pipes = { .pid = 8, .bytes = rows[i].pipes * MIB },
			.tmpfs_bytes = rows[i].tmpfs * MIB,
			.is_partial = rows[i].is_partial,
		};
		struct where_holder holders[WHERE_HOLDERS_MAX];
		unsigned n;

		print_message("%s\n", rows[i].label);
		n = where_holders(&s, &c, rows[i].mapped * MIB, holders);
		assert_int_equal(n, rows[i].held > 0);
		if (n == 0)
			continue;
		assert_int_equal(holders[0].bytes / MIB, rows[i].held);
		assert_int_equal(holders[0].pid, rows[i].is_pipes ? 8 : 7);
		assert_int_equal(holders[0].unmeasured / MIB, rows[i].is_pipes ? 0 : rows[i].held);
	}
}

/* A server holds descriptors of what its clients map; another holds what none maps. */
static void test_held_is_by_measure(void **state)
{
	static const struct {
		const char *label;
		uint64_t server, unmeasured, unmapped, shmem, swapped; /* MiB */
		uint64_t held;
		pid_t pid;
	} rows[] = {
		{ "all of the server's is mapped", 280, 0, 250, 530, 0, 250, 9 },
		{ "no other is there", 280, 0, 0, 280, 0, 0, 8 },
		{ "the server's cannot be seen", 280, 280, 250, 530, 0, 280, 7 },
		{ "an old survey", 0, 0, 250, 100, 0, 100, 9 },
		{ "some is in swap", 0, 0, 250, 100, 100, 200, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters c = {
			.shmem = rows[i].shmem * MIB,
			.swap_total = 1000 * MIB,
			.swap_free = (1000 - rows[i].swapped) * MIB,
		};
		const struct where_survey s = {
			.memfds = { .pid = 7,
				    .bytes = rows[i].server * MIB,
				    .unmeasured = rows[i].unmeasured * MIB },
			.pipes = { .pid = 8 },
			.unmapped = { { .pid = 9, .bytes = rows[i].unmapped * MIB } },
		};
		struct where_holder holders[WHERE_HOLDERS_MAX];
		unsigned n;

		print_message("%s\n", rows[i].label);
		n = where_holders(&s, &c, 0, holders);
		assert_int_equal(n > 0, rows[i].held > 0);
		if (n == 0)
			continue;
		assert_int_equal(holders[0].bytes, rows[i].held * MIB);
		assert_int_equal(holders[0].pid, rows[i].pid);
	}
}

/* A process that holds some of each kind, beside one that holds more of one. */
static void test_kinds_of_one_holder_add_up(void **state)
{
	const struct memory_counters c = {
		.total = 4 * GIB,
		.free = 4 * GIB - 1000 * MIB,
		.anon = 1,
		.cached = 700 * MIB,
		.shmem = 700 * MIB,
	};
	const struct where_survey s = {
		.memfds = { .pid = 7, .bytes = 300 * MIB, .unmeasured = 50 * MIB },
		.unmapped = { { .pid = 8, .bytes = 400 * MIB }, { .pid = 7, .bytes = 250 * MIB } },
		.pipes = { .pid = 7, .bytes = 260 * MIB, .n = 300 },
	};
	struct where_holder holders[WHERE_HOLDERS_MAX];

	assert_int_equal(where_holders(&s, &c, 0, holders), 2);
	assert_int_equal(holders[0].pid, 7);
	assert_int_equal(holders[0].bytes, 560 * MIB);
	assert_int_equal(holders[0].unmeasured, 50 * MIB);
	assert_int_equal(holders[1].pid, 8);
	assert_int_equal(holders[1].bytes, 400 * MIB);
}

static void test_words(void **state)
{
	char line[512], tiny[16];
	struct where_account a;

	where_account(&counters, &survey, &a);
	assert_string_equal(
		where_line(&a, line, sizeof(line)),
		"400 MiB tmpfs /dev/shm, 200 MiB memfds held by a descriptor; by holder "
		"(pid 7), 100 MiB anonymous memory and page tables of processes, 70.0 "
		"MiB in no process, e.g. pipe and socket buffers; likely held by plumber "
		"(pid 8), 50.0 MiB kernel slab, unreclaimable");
	where_line(&a, tiny, sizeof(tiny));
	assert_int_equal(strlen(tiny), sizeof(tiny) - 1);
	for (unsigned i = 0; i < a.n_rows; i++) {
		char text[WHERE_ROW_SIZE];

		assert_null(strchr(where_row_text(&a.rows[i], text), '\t'));
	}
	a.n_rows = 0;
	assert_string_equal(where_line(&a, line, sizeof(line)), "not known");
}

static void test_only_a_large_change_counts(void **state)
{
	struct where_survey changed = survey;
	struct where_account before, now;

	where_account(&counters, &survey, &before);
	assert_false(where_has_changed(&before, &before));
	changed.tmpfs[0].bytes += 100 * MIB;
	where_account(&counters, &changed, &now);
	assert_false(where_has_changed(&before, &now));
	changed.tmpfs[0].bytes += 50 * MIB;
	where_account(&counters, &changed, &now);
	assert_true(where_has_changed(&before, &now));
	assert_true(where_has_changed(&now, &before));
	changed = survey;
	strcpy(changed.tmpfs[0].path, "/tmp"); /* another one */
	where_account(&counters, &changed, &now);
	assert_true(where_has_changed(&before, &now));
}

static usec_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void run_survey(usec_t limit, struct where_survey *ret)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	static struct where_scratch scratch;

	where_survey(proc_fd, root_fd, now_usec, now_usec() + limit, &scratch, ret);
}

static void test_survey_finds_memfds_and_pipes(void **state)
{
	enum { N_PIPES = 300 };
	static struct where_survey found;
	int fd = memfd_create("held", MFD_CLOEXEC), pipes[N_PIPES][2];
	static const char text[5000];

	assert_true(fd >= 0);
	/* More than anything else here has, and freed at once. */
	assert_int_equal(ftruncate(fd, 48 * MIB), 0);
	assert_int_equal(fallocate(fd, 0, 0, 48 * MIB), 0);
	for (int i = 0; i < N_PIPES; i++)
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(pipes[i][1], text, sizeof(text)), sizeof(text));
	run_survey(60 * USEC_PER_SEC, &found);
	assert_true(found.memfds.bytes >= 48 * MIB);
	assert_true(found.pipes.n >= N_PIPES);
	if (found.pipes.pid == getpid()) { /* and a few that it was started with */
		assert_string_equal(found.pipes.comm, "test-where");
		assert_in_range(found.pipes.bytes, 100 * sizeof(text), 100 * sizeof(text) + MIB);
	}
	for (unsigned i = 1; i < found.n_tmpfs; i++)
		assert_true(found.tmpfs[i - 1].bytes >= found.tmpfs[i].bytes);
	for (int i = 0; i < N_PIPES; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	close(fd);
}

/* What a process maps counts as long as it is small; what is mapped of the others is measured. */
static void *wait_forever(void *userdata)
{
	(void)userdata;
	for (;;)
		pause();
	return NULL;
}

/* The first thread of the process that holds it has exited. */
static void test_survey_finds_a_memfd_of_another_thread(void **state)
{
	static struct where_survey found;
	char ready[2] = "";
	int status, ends[2];
	pthread_t thread;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = memfd_create("held", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, 52 * MIB) < 0 || fallocate(fd, 0, 0, 52 * MIB) < 0 ||
		    pthread_create(&thread, NULL, wait_forever, NULL) != 0)
			_exit(1);
		if (write(ends[1], "1", 1) != 1)
			_exit(1);
		pthread_exit(NULL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], ready, 1), 1);
	/* Until its first thread is a zombie. */
	for (unsigned i = 0; i < 1000; i++) {
		struct proc_stat stat;
		int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		int r = proc_read_stat(proc_fd, pid, &stat);

		close(proc_fd);
		assert_int_equal(r, 0);
		if (stat.state == 'Z')
			break;
		usleep(10000);
	}
	run_survey(60 * USEC_PER_SEC, &found);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[0]);
	/* (Others on this machine may hold more.) */
	if (found.memfds.bytes <= 52 * MIB + 4096)
		assert_int_equal(found.memfds.pid, pid);
	assert_true(found.memfds.bytes >= 52 * MIB);
}

static void test_survey_counts_what_small_processes_map(void **state)
{
	const size_t size = WHERE_MAPPED_SMALL + MIB;
	static struct where_survey none, small, large;
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	run_survey(60 * USEC_PER_SEC, &none);
	memset(shared, 1, 12 * MIB);
	run_survey(60 * USEC_PER_SEC, &small);
	memset(shared, 1, size);
	run_survey(60 * USEC_PER_SEC, &large);
	munmap(shared, size);
	assert_in_range(small.small_mapped_bytes - none.small_mapped_bytes, 8 * MIB, 16 * MIB);
	assert_true(large.small_mapped_bytes + 8 * MIB < small.small_mapped_bytes);
}

static void test_survey_finishes_in_time(void **state)
{
	static struct where_survey found;

	run_survey(0, &found);
	assert_true(found.is_partial);
	assert_int_equal(found.n_tmpfs, 0);
	assert_int_equal(found.pipes.pid, 0);
}

/* As a memfd: it is freed with the descriptor, as long as it has no name and no process maps it. */
static void check_deleted_file(const char *directory)
{
	enum { SIZE = 36 * MIB };
	static struct where_survey named, deleted, mapped;
	char file[96], *p;
	int fd;

	snprintf(file, sizeof(file), "%s/deleted", directory);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	memset(p, 1, SIZE);
	munmap(p, SIZE);
	run_survey(60 * USEC_PER_SEC, &named);
	assert_int_equal(unlink(file), 0);
	run_survey(60 * USEC_PER_SEC, &deleted);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	assert_true(p != MAP_FAILED);
	run_survey(60 * USEC_PER_SEC, &mapped);
	munmap(p, SIZE);
	close(fd);
	if (deleted.unmapped[0].pid == 0) {
		print_message("SKIP of a deleted file: it cannot be measured here\n");
		return;
	}
	assert_true(deleted.unmapped[0].bytes >= SIZE);
	if (deleted.unmapped[0].pid != getpid()) /* another one here holds more */
		return;
	assert_string_equal(deleted.unmapped[0].comm, "test-where");
	assert_true(named.unmapped[0].pid != getpid());
	assert_true(mapped.unmapped[0].pid != getpid());
}

/* In a mount namespace of its own; the last test, as it remains in it. */
static void test_survey_finds_each_tmpfs_once(void **state)
{
	char base[] = "/tmp/test-where-XXXXXX", path[64], hidden[64], file[96];
	static struct where_survey found;
	unsigned n = 0;
	int fd;

	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/a b", base);
	snprintf(hidden, sizeof(hidden), "%s/c", base);
	snprintf(file, sizeof(file), "%s/file", path);
	assert_int_equal(mkdir(path, 0700) | mkdir(hidden, 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("x", path, "tmpfs", 0, "size=64M") < 0) {
		print_message("SKIP: no tmpfs can be mounted here: %s\n", strerror(errno));
		rmdir(path);
		rmdir(hidden);
		rmdir(base);
		skip();
	}
	/* The same tmpfs a second time, one that another is mounted over, and one without a limit.
	 */
	assert_int_equal(mount(path, hidden, NULL, MS_BIND, NULL), 0);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 24 * MIB), 0);
	close(fd);
	run_survey(60 * USEC_PER_SEC, &found);
	for (unsigned i = 0; i < found.n_tmpfs; i++)
		if (strcmp(found.tmpfs[i].path, path) == 0 ||
		    strcmp(found.tmpfs[i].path, hidden) == 0) {
			assert_in_range(found.tmpfs[i].bytes, 24 * MIB, 25 * MIB);
			n++;
		}
	assert_int_equal(n, 1);
	assert_false(found.is_partial);
	check_deleted_file(path);

	assert_int_equal(umount(hidden), 0);
	assert_int_equal(mount("x", path, "tmpfs", 0, "size=0"), 0);
	run_survey(60 * USEC_PER_SEC, &found);
	assert_true(found.is_partial); /* how much it holds is not known */
	for (unsigned i = 0; i < found.n_tmpfs; i++)
		assert_string_not_equal(found.tmpfs[i].path, path);
	assert_int_equal(umount(path) | umount(path), 0);
	assert_int_equal(rmdir(path) | rmdir(hidden) | rmdir(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorder_is_largest_first),
		cmocka_unit_test(test_recorder_without_a_survey),
		cmocka_unit_test(test_few_pipes_explain_nothing),
		cmocka_unit_test(test_the_largest_is_reported_however_small),
		cmocka_unit_test(test_held_is_what_no_process_maps),
		cmocka_unit_test(test_held_is_by_measure),
		cmocka_unit_test(test_kinds_of_one_holder_add_up),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_only_a_large_change_counts),
		cmocka_unit_test(test_survey_finds_memfds_and_pipes),
		cmocka_unit_test(test_survey_finds_a_memfd_of_another_thread),
		cmocka_unit_test(test_survey_counts_what_small_processes_map),
		cmocka_unit_test(test_survey_finishes_in_time),
		cmocka_unit_test(test_survey_finds_each_tmpfs_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
