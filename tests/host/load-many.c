/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-many: the steps that make many descriptors and mappings, which take long to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/host/load.h"

/* descriptors=N: so many of /dev/null */
void open_descriptors(const char *value)
{
	int fd = open("/dev/null", O_RDONLY);

	for (unsigned long n = strtoul(value, NULL, 10); n > 1; n--)
		if (dup(fd) < 0)
			die("dup");
}

/* mappings=N: so many untouched ones, of which no two are alike */
void make_mappings(const char *value)
{
	const size_t page = 4096;
	const unsigned long n = strtoul(value, NULL, 10);
	char *start = mmap(NULL, n * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		die("mmap");
	for (unsigned long i = 0; i < n; i += 2)
		if (mprotect(start + i * page, page, PROT_READ) < 0)
			die("mprotect");
}

static void hold_small(const char *value, int (*make)(const char *path))
{
	unsigned long n = (unsigned long)take_number(&value);
	const size_t size = (size_t)take_number(&value) * 1024;
	static char zeros[MIB];

	for (; n > 0; n--) {
		int fd = make(value);

		if (fd < 0 || write(fd, zeros, size < MIB ? size : MIB) < 0)
			die("a small file");
	}
}

static int make_memfd(const char *unused)
{
	return memfd_create(unused, 0);
}

static int make_deleted(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)unlink(path);
	return fd;
}

static void *unshare_files(void *unused)
{
	if (unshare(CLONE_FILES) < 0)
		die("unshare");
	for (;;)
		pause();
	return unused;
}

/* thread-tables=N: so many threads with descriptors of their own */
void make_thread_tables(const char *value)
{
	pthread_attr_t attributes;
	pthread_t id;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (unsigned long n = strtoul(value, NULL, 10); n > 0; n--)
		if (pthread_create(&id, &attributes, unshare_files, NULL) != 0)
			die("pthread_create");
}

/* small-memfds=N,KIB: so many of KIB each, held by descriptors */
void hold_small_memfds(const char *value)
{
	hold_small(value, make_memfd);
}

/* small-deleted=N,KIB,PATH: the same of deleted files */
void hold_small_deleted(const char *value)
{
	hold_small(value, make_deleted);
}
