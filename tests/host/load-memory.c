/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-memory: the steps that take memory, each of another kind.
 *
 * A SIZE is in MiB; "SIZE@RATE" grows at RATE MiB/s, else all is taken at once.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/host/load.h"

#define TICK	 0.004 /* seconds; no shorter pause is made */
#define LATE_MIB 8

enum { PAGE = 4096, PIPE_BYTES = 1 << 20, TABLE_SPAN = 2 << 20, MAX_REGIONS = 256 };

/* What the steps touch and dirty refer to. */
static struct region {
	char *start;
	size_t size;
} regions[MAX_REGIONS];
static unsigned n_regions;

struct amount {
	size_t n_mib;
	double rate; /* MiB/s; 0: at once */
	double due;  /* when the next MiB is, by the clock */
};

static struct amount parse_amount(const char *value)
{
	const char *at = strchr(value, '@');

	return (struct amount){ .n_mib = (size_t)strtoul(value, NULL, 10),
				.rate = at ? strtod(at + 1, NULL) : 0,
				.due = seconds_now() };
}

/* Called after each MiB.  What was late is made up for, but not more than LATE_MIB of it. */
static void wait_for_rate(struct amount *amount)
{
	double now = seconds_now();

	if (amount->rate <= 0)
		return;
	if (amount->due < now - LATE_MIB / amount->rate)
		amount->due = now - LATE_MIB / amount->rate;
	amount->due += 1 / amount->rate;
	if (amount->due > now + TICK)
		pause_seconds(amount->due - now);
}

void fill(void *start, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		((volatile char *)start)[at] = (char)(at / PAGE | 1);
}

static void *map(size_t size, int protection, int flags, int fd)
{
	void *start = mmap(NULL, size, protection, flags | MAP_NORESERVE, fd, 0);

	if (start == MAP_FAILED)
		die("mmap");
	return start;
}

void *map_anonymous(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void remember(void *start, size_t size)
{
	if (n_regions < MAX_REGIONS)
		regions[n_regions++] = (struct region){ start, size };
}

static void grow(char *start, struct amount *amount)
{
	remember(start, amount->n_mib * MIB);
	for (size_t i = 0; i < amount->n_mib; i++) {
		fill(start + i * MIB, MIB);
		wait_for_rate(amount);
	}
}

static void grow_file(int fd, struct amount *amount)
{
	size_t size = amount->n_mib * MIB;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die("a file to map");
	grow(map(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd), amount);
	close(fd);
}

/* anon=SIZE: private anonymous memory */
static void take_anon(const char *value)
{
	struct amount amount = parse_amount(value);

	grow(map_anonymous(amount.n_mib * MIB), &amount);
}

/* kib=N: so many KiB of it */
static void take_kib(const char *value)
{
	size_t size = strtoul(value, NULL, 10) * 1024;

	fill(map_anonymous(size), size);
}

/* huge=SIZE: the same in huge pages, where there are some */
static void take_huge(const char *value)
{
	struct amount amount = parse_amount(value);
	char *start = map_anonymous(amount.n_mib * MIB);

	(void)madvise(start, amount.n_mib * MIB, MADV_HUGEPAGE);
	grow(start, &amount);
}

/* locked=SIZE: the same, locked */
static void take_locked(const char *value)
{
	if (mlockall(MCL_FUTURE | MCL_ONFAULT) < 0)
		die("mlockall");
	take_anon(value);
}

/* shared=SIZE: shared anonymous memory */
static void take_shared(const char *value)
{
	struct amount amount = parse_amount(value);

	grow(map(amount.n_mib * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1),
	     &amount);
}

/* memfd=SIZE: a memfd, mapped, its descriptor closed */
static void take_memfd(const char *value)
{
	struct amount amount = parse_amount(value);

	grow_file(memfd_create("load", MFD_CLOEXEC), &amount);
}

/* secret=SIZE: by memfd_secret(2) */
static void take_secret(const char *value)
{
	struct amount amount = parse_amount(value);

#ifdef SYS_memfd_secret
	grow_file((int)syscall(SYS_memfd_secret, 0), &amount);
#else
	grow_file(-1, &amount);
#endif
}

static void write_zeros(int fd, struct amount *amount)
{
	static char zeros[MIB];

	for (size_t i = 0; i < amount->n_mib; i++) {
		if (write(fd, zeros, sizeof(zeros)) < 0)
			return; /* the file system is full */
		wait_for_rate(amount);
	}
}

/* memfd-held=SIZE: a memfd that is written to, never mapped, and kept open */
static void hold_memfd(const char *value)
{
	struct amount amount = parse_amount(value);

	write_zeros(memfd_create("load", 0), &amount);
}

/* file=PATH,SIZE: a file, mapped and written to */
static void take_file(const char *value)
{
	char *path = take_word(&value);
	struct amount amount = parse_amount(value);

	grow_file(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), &amount);
	free(path);
}

/* write=PATH,SIZE: a file that is written to and closed */
static void write_file(const char *value)
{
	char *path = take_word(&value);
	struct amount amount = parse_amount(value);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	write_zeros(fd, &amount);
	close(fd);
	free(path);
}

/* read=PATH: all pages of a file, mapped for reading */
static void read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	volatile char *start;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	start = map((size_t)st.st_size, PROT_READ, MAP_SHARED, fd);
	for (off_t at = 0; at < st.st_size; at += PAGE)
		(void)start[at];
	close(fd);
}

/* lock=PATH: all pages of a file, mapped and locked in memory */
static void lock_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *start;

	/* (What was not written back yet cannot be reclaimed before it is locked.) */
	if (fd < 0 || fstat(fd, &st) < 0 || fdatasync(fd) < 0)
		die(path);
	start = map((size_t)st.st_size, PROT_READ, MAP_SHARED, fd);
	for (off_t at = 0; at < st.st_size; at += MIB)
		if (mlock(start + at, MIB) < 0)
			die("mlock");
	close(fd);
}

/* unlink=PATH */
static void remove_file(const char *path)
{
	if (unlink(path) < 0)
		die(path);
}

static void take_segment(const char *value, bool is_removed)
{
	struct amount amount = parse_amount(value);
	int id = shmget(IPC_PRIVATE, amount.n_mib * MIB, IPC_CREAT | 0600);
	void *start = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if ((intptr_t)start == -1)
		die("a System V segment");
	if (is_removed)
		shmctl(id, IPC_RMID, NULL);
	grow(start, &amount);
}

/* sysv=SIZE: a System V segment that vanishes with its last user */
static void take_sysv(const char *value)
{
	take_segment(value, true);
}

/* sysv-kept=SIZE: one that is not removed */
static void take_sysv_kept(const char *value)
{
	take_segment(value, false);
}

/* tables=SIZE: page tables: a page read in each 2 MiB */
static void take_tables(const char *value)
{
	struct amount amount = parse_amount(value);
	size_t per_mib = MIB / PAGE, size = amount.n_mib * per_mib * TABLE_SPAN;
	volatile char *start = map(size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)madvise((void *)start, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < amount.n_mib; i++) {
		for (size_t k = 0; k < per_mib; k++)
			(void)start[(i * per_mib + k) * TABLE_SPAN];
		wait_for_rate(&amount);
	}
}

/* pipes=SIZE: full pipes of 1 MiB each */
static void take_pipes(const char *value)
{
	static const char page[PAGE] = { 1 };
	struct amount amount = parse_amount(value);
	int ends[2];

	for (size_t i = 0; i < amount.n_mib; i++) {
		if (pipe2(ends, O_NONBLOCK) < 0)
			die("pipe");
		fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
		while (write(ends[1], page, sizeof(page)) > 0)
			;
		wait_for_rate(&amount);
	}
}

/* touch: reads each page of all regions; touch=MIB: of the first part of each */
static void touch(const char *value)
{
	size_t most = *value ? strtoul(value, NULL, 10) * MIB : SIZE_MAX;

	for (unsigned i = 0; i < n_regions; i++)
		for (size_t at = 0; at < regions[i].size && at < most; at += PAGE)
			(void)((volatile char *)regions[i].start)[at];
}

/* dirty: writes to each page of all regions */
static void dirty(const char *unused)
{
	for (unsigned i = 0; i < n_regions; i++)
		fill(regions[i].start, regions[i].size);
}

/* drop: unmaps all regions */
static void drop(const char *unused)
{
	while (n_regions > 0) {
		n_regions--;
		munmap(regions[n_regions].start, regions[n_regions].size);
	}
}

const struct verb memory_verbs[] = {
	{ "anon", take_anon },
	{ "kib", take_kib },
	{ "huge", take_huge },
	{ "locked", take_locked },
	{ "shared", take_shared },
	{ "memfd", take_memfd },
	{ "secret", take_secret },
	{ "memfd-held", hold_memfd },
	{ "file", take_file },
	{ "write", write_file },
	{ "read", read_file },
	{ "lock", lock_file },
	{ "unlink", remove_file },
	{ "sysv", take_sysv },
	{ "sysv-kept", take_sysv_kept },
	{ "tables", take_tables },
	{ "pipes", take_pipes },
	{ "touch", touch },
	{ "dirty", dirty },
	{ "drop", drop },
	{ NULL, NULL },
};
