/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: the survey of this machine and of fixtures. */
#include <dirent.h>
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where.h"
#include "lib/sys/proc.h"
#include "tests/where-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static uint64_t least_untouched;

static void run_survey(struct where_survey *ret)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	static struct where_scratch scratch;

	where_survey(proc_fd, root_fd,
		     &(struct where_limits){
			     .now = now_usec,
			     .deadline = now_usec() + 60 * USEC_PER_SEC,
			     .least_untouched = least_untouched,
		     },
		     &scratch, ret);
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
	run_survey(&found);
	assert_true(found.took_usec > 0 && found.took_usec < 3600 * USEC_PER_SEC);
	assert_true(found.memfds.bytes >= 48 * MIB);
	assert_true(found.pipes.n >= N_PIPES);
	if (found.pipes.pid == getpid()) { /* and a few that it was started with */
		assert_string_equal(found.pipes.comm, "test-where-surv"); /* cut */
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

		prctl(PR_SET_PDEATHSIG, SIGKILL);
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
	run_survey(&found);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[0]);
	/* (Others on this machine may hold more.) */
	if (found.memfds.bytes <= 52 * MIB + 4096)
		assert_int_equal(found.memfds.pid, pid);
	assert_true(found.memfds.bytes >= 52 * MIB);
}

static void *hold_alone(void *write_fd)
{
	int fd;

	if (unshare(CLONE_FILES) < 0)
		_exit(1);
	fd = memfd_create("held", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 56 * MIB) < 0 || fallocate(fd, 0, 0, 56 * MIB) < 0 ||
	    write(*(const int *)write_fd, "1", 1) != 1)
		_exit(1);
	return wait_forever(NULL);
}

/* The other threads of the process do not have this descriptor. */
static void test_survey_finds_a_memfd_that_a_thread_has_for_itself(void **state)
{
	static struct where_survey found;
	char ready[2] = "";
	int status, ends[2];
	pthread_t thread;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, hold_alone, &ends[1]) != 0)
			_exit(1);
		(void)wait_forever(NULL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], ready, 1), 1);
	run_survey(&found);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[0]);
	assert_true(found.memfds.bytes >= 56 * MIB);
	if (found.memfds.bytes <= 56 * MIB + 4096) /* others may hold more */
		assert_int_equal(found.memfds.pid, pid);
}

static uint64_t unmapped_of(pid_t pid, uint64_t least)
{
	static struct where_survey found;
	uint64_t bytes = 0;

	least_untouched = least;
	run_survey(&found);
	least_untouched = 0;
	for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++)
		if (found.unmapped[i].pid == pid)
			bytes = found.unmapped[i].bytes;
	return bytes;
}

/* A child of the test, with a mapping of the test that it touches or not. */
static pid_t fork_with_mapping(char *shared, size_t size, bool touches, int ready_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t at = 0; touches && at < size; at += 4096)
		(void)((volatile char *)shared)[at];
	if (write(ready_fd, "1", 1) != 1)
		_exit(1);
	wait_forever(NULL);
	_exit(1);
}

/* Its links may be followed with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN only. */
static bool can_read_map_files(void)
{
	DIR *dir = opendir("/proc/self/map_files");
	struct dirent *entry;
	bool can = false;
	struct stat st;

	while (dir && !can && (entry = readdir(dir)))
		can = entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0;
	if (dir)
		closedir(dir);
	return can;
}

/* It keeps all of the memory, of which none is resident in it. */
static void test_survey_finds_what_is_mapped_and_was_not_touched(void **state)
{
	const size_t size = 80 * MIB;
	char ready[2], *shared;
	int status, ends[2];
	pid_t pid;

	if (!can_read_map_files())
		skip();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (int touches = 0; touches < 2; touches++) {
		shared =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		assert_true(shared != MAP_FAILED);
		memset(shared, 1, size);
		pid = fork_with_mapping(shared, size, touches, ends[1]);
		assert_true(pid > 0);
		assert_int_equal(read(ends[0], ready, 1), 1);
		assert_int_equal(unmapped_of(pid, size / 2), 0); /* this one maps it, too */
		munmap(shared, size);
		assert_int_equal(unmapped_of(pid, 0), 0); /* mappings are not read */
		/* (AddressSanitizer maps 20 TiB.) */
		assert_int_equal(unmapped_of(pid, 1ULL << 60), 0);
		assert_int_equal(unmapped_of(pid, size / 2), touches ? 0 : size);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	close(ends[0]);
	close(ends[1]);
}

/* A child that has a memfd of that user, and is another's. */
static pid_t fork_with_memfd_of(uid_t creator, uid_t uid, size_t size)
{
	char ready[2];
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static const char bytes[MIB];
		int fd;

		if (seteuid(creator) < 0)
			_exit(1);
		fd = memfd_create("held", MFD_CLOEXEC);
		for (size_t at = 0; at < size; at += sizeof(bytes))
			if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
				_exit(1);
		if (seteuid(0) < 0 || setresuid(uid, uid, uid) < 0 ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || write(ends[1], "1", 1) != 1)
			_exit(1);
		wait_forever(NULL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], ready, 1), 1);
	close(ends[0]);
	return pid;
}

static void test_survey_finds_the_creator_of_a_memfd(void **state)
{
	static const struct {
		uid_t creator, uid;
		bool is_foreign;
	} rows[] = { { 65533, 65534, true },
		     { 65534, 65534, false },
		     { 0, 65534, false },
		     { 65533, 0, true } };
	static struct where_survey found;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = fork_with_memfd_of(rows[i].creator, rows[i].uid, 44 * MIB);
		unsigned n_found = 0;

		run_survey(&found);
		for (unsigned k = 0; k < WHERE_UNMAPPED_MAX; k++) {
			if (found.unmapped[k].pid != pid)
				continue;
			n_found++;
			assert_int_equal(found.unmapped[k].bytes, 44 * MIB);
			assert_int_equal(found.unmapped[k].foreign, rows[i].is_foreign * 44 * MIB);
			if (rows[i].is_foreign)
				assert_int_equal(found.unmapped[k].creator, rows[i].creator);
		}
		kill_child(pid);
		assert_int_equal(n_found, 1);
	}
}

/* More than are read of each process at first. */
static void test_survey_finds_the_last_of_many_descriptors(void **state)
{
	enum { N = 9000 };
	struct rlimit limit;
	pid_t pid;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < N + 100 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip();
	pid = fork_with_descriptors(N, 64 * MIB);
	assert_int_equal(unmapped_of(pid, 0), 64 * MIB);
	kill_child(pid);
}

/* What a process maps counts as long as it is small; what is mapped of the others is measured. */
static void test_survey_counts_what_small_processes_map(void **state)
{
	const size_t size = WHERE_MAPPED_SMALL + MIB;
	static struct where_survey none, small, large;
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	run_survey(&none);
	memset(shared, 1, 12 * MIB);
	run_survey(&small);
	memset(shared, 1, size);
	run_survey(&large);
	munmap(shared, size);
	assert_in_range(small.small_mapped_bytes - none.small_mapped_bytes, 8 * MIB, 16 * MIB);
	assert_true(large.small_mapped_bytes + 8 * MIB < small.small_mapped_bytes);
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
	run_survey(&named);
	assert_int_equal(unlink(file), 0);
	run_survey(&deleted);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	assert_true(p != MAP_FAILED);
	run_survey(&mapped);
	munmap(p, SIZE);
	close(fd);
	if (deleted.unmapped[0].pid == 0) {
		print_message("SKIP of a deleted file: it cannot be measured here\n");
		return;
	}
	assert_true(deleted.unmapped[0].bytes >= SIZE);
	if (deleted.unmapped[0].pid != getpid()) /* another one here holds more */
		return;
	assert_string_equal(deleted.unmapped[0].comm, "test-where-surv"); /* cut */
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
	run_survey(&found);
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
	run_survey(&found);
	assert_true(found.is_partial); /* how much it holds is not known */
	for (unsigned i = 0; i < found.n_tmpfs; i++)
		assert_string_not_equal(found.tmpfs[i].path, path);
	assert_int_equal(umount(path) | umount(path), 0);
	assert_int_equal(rmdir(path) | rmdir(hidden) | rmdir(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survey_finds_memfds_and_pipes),
		cmocka_unit_test(test_survey_finds_a_memfd_of_another_thread),
		cmocka_unit_test(test_survey_finds_a_memfd_that_a_thread_has_for_itself),
		cmocka_unit_test(test_survey_finds_what_is_mapped_and_was_not_touched),
		cmocka_unit_test(test_survey_finds_the_creator_of_a_memfd),
		cmocka_unit_test(test_survey_finds_the_last_of_many_descriptors),
		cmocka_unit_test(test_survey_counts_what_small_processes_map),
		cmocka_unit_test(test_survey_finds_each_tmpfs_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
