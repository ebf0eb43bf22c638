/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fixture: writes the files, and removes them. */
#include "bench/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define DIRECTORY "/dev/shm"

#define FIRST_PID  1000
#define SMALL_KIB  200
#define FILE_KIB   1200
#define PAGE_KIB   4
#define N_SIZES	   3 /* the largest, the large, all others */
#define START_TICK 1000

static const char *const same_files[] = { "status", "statm", "smaps_rollup" };

static unsigned size_of(unsigned i)
{
	return i == 0 ? 0 : i <= HERD_N_LARGE ? 1 : 2;
}

static int put(int dir_fd, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int put(int dir_fd, const char *name, const char *format, ...)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), n;
	va_list ap;

	if (fd < 0)
		return -errno;
	va_start(ap, format);
	n = vdprintf(fd, format, ap);
	va_end(ap);
	close(fd);
	return n < 0 ? -EIO : 0;
}

/* What processes of one size have in common: each links to it. */
static int put_size(int dir_fd, unsigned size)
{
	static const uint64_t kib[N_SIZES] = { HERD_LARGEST_BYTES / KIB, HERD_LARGE_BYTES / KIB,
					       SMALL_KIB };
	uint64_t anon = kib[size], rss = anon + FILE_KIB;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "status-%u", size);
	r = put(dir_fd, name,
		"Name:\tfixture\nUmask:\t0022\nState:\tS (sleeping)\nNgid:\t0\nPPid:\t1\n"
		"TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 \n"
		"VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n"
		"VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8u kB\n"
		"RssShmem:\t       0 kB\nVmData:\t%8lu kB\nVmStk:\t     132 kB\n"
		"VmExe:\t      80 kB\nVmLib:\t    1600 kB\nVmPTE:\t      40 kB\n"
		"VmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\nThreads:\t1\nSigQ:\t0/1\n",
		rss, rss, rss, rss, anon, FILE_KIB, anon);
	snprintf(name, sizeof(name), "statm-%u", size);
	if (r == 0)
		r = put(dir_fd, name, "%lu %lu %u 20 0 %lu 0\n", rss / PAGE_KIB, rss / PAGE_KIB,
			FILE_KIB / PAGE_KIB, anon / PAGE_KIB);
	snprintf(name, sizeof(name), "smaps_rollup-%u", size);
	if (r == 0)
		r = put(dir_fd, name,
			"55c609e48000-7ffff1bc1000 ---p 00000000 00:00 0    [rollup]\n"
			"Rss: %lu kB\nPss: %lu kB\nPss_Anon: %lu kB\nPss_File: 0 kB\n"
			"Pss_Shmem: 0 kB\nShared_Clean: %u kB\nShared_Dirty: 0 kB\n"
			"Private_Clean: 0 kB\nPrivate_Dirty: %lu kB\nReferenced: %lu kB\n"
			"Anonymous: %lu kB\nSwap: 0 kB\nSwapPss: 0 kB\nLocked: 0 kB\n",
			rss, anon, anon, FILE_KIB, anon, rss, anon);
	return r;
}

static int link_to(int dir_fd, const char *from, unsigned number, unsigned pid, const char *to)
{
	char old[32], new[48];

	snprintf(old, sizeof(old), "%s-%u", from, number);
	snprintf(new, sizeof(new), "%u/%s", pid, to);
	return linkat(dir_fd, old, dir_fd, new, 0) < 0 ? -errno : 0;
}

static int put_process(int dir_fd, unsigned i, unsigned i_cgroup)
{
	unsigned pid = FIRST_PID + i;
	char name[32];
	int r = 0;

	snprintf(name, sizeof(name), "%u", pid);
	if (mkdirat(dir_fd, name, 0755) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%u/stat", pid);
	r = put(dir_fd, name,
		"%u (fixture) S 1 %u %u 0 -1 4194304 50 0 0 0 0 0 0 0 20 0 1 0 %u 0 0 0 0 0 0 0 0 "
		"0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, pid, pid, START_TICK + i);
	for (size_t k = 0; k < ARRAY_SIZE(same_files) && r == 0; k++)
		r = link_to(dir_fd, same_files[k], size_of(i), pid, same_files[k]);
	if (r == 0)
		r = link_to(dir_fd, "oom_score_adj", 0, pid, "oom_score_adj");
	return r == 0 ? link_to(dir_fd, "cgroup", i_cgroup, pid, "cgroup") : r;
}

static int fill(int dir_fd, const char *cgroup, unsigned n_processes, unsigned n_cgroups)
{
	int r = put(dir_fd, "oom_score_adj-0", "0\n");

	for (unsigned i = 0; i < N_SIZES && r == 0; i++)
		r = put_size(dir_fd, i);
	for (unsigned i = 0; i < n_cgroups && r == 0; i++) {
		char name[32];

		snprintf(name, sizeof(name), "cgroup-%u", i);
		r = put(dir_fd, name, "1:name=systemd:%s/%u\n0::%s/%u\n", cgroup, i, cgroup, i);
	}
	for (unsigned i = 0; i < n_processes && r == 0; i++)
		r = put_process(dir_fd, i, (unsigned)(i * (uint64_t)n_cgroups / n_processes));
	if (r == 0)
		r = put(dir_fd, "loadavg", "0.00 0.00 0.00 1/%u %u\n", n_processes,
			FIRST_PID + n_processes - 1);
	return r;
}

int fixture_make(const char *cgroup, unsigned n_processes, unsigned n_cgroups, struct fixture *ret)
{
	int r;

	snprintf(ret->path, sizeof(ret->path), DIRECTORY "%s", cgroup);
	ret->proc_fd = -EBADF;
	ret->n_processes = n_processes;
	if (mkdir(ret->path, 0700) < 0)
		return -errno;
	ret->proc_fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = ret->proc_fd < 0 ? -errno : fill(ret->proc_fd, cgroup, n_processes, n_cgroups);
	if (r < 0)
		fixture_remove(ret);
	return r;
}

static void empty(int dir_fd)
{
	_cleanup_dir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && (entry = readdir(dir))) {
		_cleanup_close_ int below_fd = -EBADF;

		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dir_fd, entry->d_name, 0) == 0)
			continue;
		below_fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below_fd >= 0)
			empty(below_fd);
		(void)unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR);
	}
}

void fixture_remove(struct fixture *fixture)
{
	if (fixture->proc_fd >= 0)
		empty(fixture->proc_fd);
	closep(&fixture->proc_fd);
	fixture->proc_fd = -EBADF;
	(void)rmdir(fixture->path);
}

uint64_t fixture_anon(const struct fixture *fixture)
{
	return HERD_LARGEST_BYTES + HERD_N_LARGE * HERD_LARGE_BYTES +
	       (fixture->n_processes - 1 - HERD_N_LARGE) * SMALL_KIB * KIB;
}

void fixture_clean(const char *cgroup)
{
	struct fixture fixture;

	snprintf(fixture.path, sizeof(fixture.path), DIRECTORY "%s", cgroup);
	fixture.proc_fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fixture.proc_fd >= 0)
		fixture_remove(&fixture);
}
