/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fakemem: keeps a meminfo and a zoneinfo of a small machine, whose memory is used by one memory
 * cgroup and by a fixed base.
 *
 * usage: fakemem CGROUP MIB DIR
 *        fakemem --limit MIB
 *   CGROUP  the folder of a memory cgroup, version 1 or 2
 *   MIB     the memory that the machine has
 *   DIR     the folder of the two files, which are written in place every 10 ms
 *   --limit prints the bytes that the cgroup may hold until that machine is full, for its limit
 *
 * The figures agree with each other as the kernel's do: what is neither free nor named in a line is
 * kernel memory that /proc/meminfo does not name either (the buffers of pipes).  Version 1 does not
 * count page tables: they are the sum of VmPTE over the processes of the cgroup, so fakemem runs in
 * their pid namespace.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB 1024L
#define MIB (1024 * KIB)

/* What the machine uses without the cgroup, in bytes. */
enum {
	BASE_ANON = 20 * MIB,
	BASE_SHMEM = 2 * MIB,
	BASE_FILE = 30 * MIB,
	BASE_SRECLAIMABLE = 8 * MIB,
	BASE_SUNRECLAIM = 14 * MIB,
	BASE_STACK = 2 * MIB,
	BASE_TABLES = 3 * MIB,
	BASE_PERCPU = 1 * MIB,
	BASE_UNNAMED = 10 * MIB,
	BASE = BASE_ANON + BASE_SHMEM + BASE_FILE + BASE_SRECLAIMABLE + BASE_SUNRECLAIM +
	       BASE_STACK + BASE_TABLES + BASE_PERCPU + BASE_UNNAMED,
	LEAST_FREE = 8 * MIB,	 /* the kernel's own reserve: full */
	WATERMARK_LOW = 6 * MIB, /* the share of caches that is not counted as available */
	SLAB_PER_PROCESS = 24 * KIB,
	STACK_PER_PROCESS = 16 * KIB,
	INTERVAL_USEC = 10000,
	STATUS_PER_TURN = 16,
	MOST_PIDS = 1 << 22,
};

/* What the cgroup holds, in bytes. */
struct usage {
	long total, anon, file, shmem, mapped;
	long active_anon, inactive_anon, active_file, inactive_file, locked;
	long swap, swap_cached, tables, stack, reclaimable, unreclaimable;
};

/* The sum of VmPTE, a few processes a turn. */
struct tables {
	FILE *pids;
	long sum, n; /* of this pass */
	long last_sum, last_n;
};

static int group = -1;
static char text[65536];

/* The whole file in text; false if it cannot be read. */
static bool read_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n, length = 0;

	if (fd < 0)
		return false;
	while ((n = read(fd, text + length, sizeof(text) - 1 - (size_t)length)) > 0)
		length += n;
	close(fd);
	text[length] = '\0';
	return n >= 0 && length > 0;
}

/* "KEY VALUE" or "KEY: VALUE" in text; 0 if it is not there. */
static long value_of(const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && strchr(" :\t", line[length]))
			return atol(line + length + 1);
	}
	return 0;
}

static long read_number(const char *name)
{
	return read_file(group, name) ? atol(text) : 0;
}

/* One with very many groups has a status of 700 KiB, which takes 7 ms: it is read once. */
static long read_tables(int pid)
{
	static uint8_t is_long[MOST_PIDS];
	char path[64];

	if (pid <= 0 || pid >= MOST_PIDS || is_long[pid])
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!read_file(AT_FDCWD, path))
		return 0;
	is_long[pid] = strlen(text) == sizeof(text) - 1;
	return value_of("VmPTE") * KIB;
}

static void tables_advance(struct tables *t)
{
	char line[32];
	int fd;

	for (int i = 0; i < STATUS_PER_TURN; i++) {
		if (!t->pids) {
			fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
			t->pids = fd < 0 ? NULL : fdopen(fd, "r");
			t->sum = t->n = 0;
		}
		if (!t->pids || !fgets(line, sizeof(line), t->pids)) {
			if (t->pids)
				fclose(t->pids);
			t->pids = NULL;
			t->last_sum = t->sum;
			t->last_n = t->n;
			return;
		}
		t->sum += read_tables(atoi(line));
		t->n++;
	}
}

static long least(long a, long b)
{
	return a < b ? a : b;
}

static long most(long a, long b)
{
	return a > b ? a : b;
}

static void sample_v2(struct usage *u)
{
	u->total = read_number("memory.current");
	u->swap = read_number("memory.swap.current");
	if (!read_file(group, "memory.stat"))
		return;
	u->anon = value_of("anon");
	u->shmem = value_of("shmem");
	u->swap_cached = value_of("swapcached");
	u->file = value_of("file") - u->shmem - u->swap_cached;
	u->mapped = value_of("file_mapped");
	u->active_anon = value_of("active_anon");
	u->inactive_anon = value_of("inactive_anon");
	u->active_file = value_of("active_file");
	u->inactive_file = value_of("inactive_file");
	u->locked = value_of("unevictable");
	u->tables = value_of("pagetables");
	u->stack = value_of("kernel_stack");
	u->reclaimable = value_of("slab_reclaimable");
	u->unreclaimable = value_of("slab_unreclaimable");
}

static void sample_v1(struct usage *u, struct tables *tables)
{
	long kernel = read_number("memory.kmem.usage_in_bytes");

	u->total = read_number("memory.usage_in_bytes");
	if (read_file(group, "memory.stat")) {
		u->anon = value_of("total_rss");
		u->shmem = value_of("total_shmem");
		u->swap_cached = value_of("total_swapcached");
		u->file = value_of("total_cache") - u->shmem - u->swap_cached;
		u->mapped = value_of("total_mapped_file");
		u->active_anon = value_of("total_active_anon");
		u->inactive_anon = value_of("total_inactive_anon");
		u->active_file = value_of("total_active_file");
		u->inactive_file = value_of("total_inactive_file");
		u->locked = value_of("total_unevictable");
		u->swap = value_of("total_swap");
	}
	tables_advance(tables);
	u->tables = least(most(tables->last_sum, tables->sum), kernel);
	kernel -= u->tables;
	u->stack = least(tables->last_n * STACK_PER_PROCESS, kernel);
	kernel -= u->stack;
	u->unreclaimable = least(tables->last_n * SLAB_PER_PROCESS, kernel);
}

__attribute__((format(printf, 2, 3))) static void append(size_t *length, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	*length += (size_t)vsnprintf(text + *length, sizeof(text) - *length, format, arguments);
	va_end(arguments);
}

static long free_of(const struct usage *u, long machine)
{
	/* the statistics may be a little ahead of the counter, or behind */
	long named = u->anon + u->shmem + u->file + u->swap_cached + u->tables + u->stack +
		     u->reclaimable + u->unreclaimable;

	return most(machine - BASE - most(u->total, named), LEAST_FREE);
}

static long available_of(const struct usage *u, long machine)
{
	long file = BASE_FILE + u->active_file + u->inactive_file; /* without what is locked */
	long reclaimable = BASE_SRECLAIMABLE + u->reclaimable;

	return most(free_of(u, machine) - LEAST_FREE + file - least(file / 2, WATERMARK_LOW) +
			    reclaimable - least(reclaimable / 2, WATERMARK_LOW),
		    0);
}

static size_t print_meminfo(const struct usage *u, long machine)
{
	long anon = BASE_ANON + u->anon, shmem = BASE_SHMEM + u->shmem;
	long file = BASE_FILE + most(u->file, 0), reclaimable = BASE_SRECLAIMABLE + u->reclaimable;
	long unreclaimable = BASE_SUNRECLAIM + u->unreclaimable;
	long inactive_file = BASE_FILE / 2 + u->inactive_file;
	long active_file = BASE_FILE - BASE_FILE / 2 + u->active_file;
	long active_anon = BASE_ANON + BASE_SHMEM + u->active_anon;
	const struct {
		const char *name;
		long bytes;
	} lines[] = {
		{ "MemTotal", machine },
		{ "MemFree", free_of(u, machine) },
		{ "MemAvailable", available_of(u, machine) },
		{ "Buffers", 0 },
		{ "Cached", file + shmem },
		{ "SwapCached", u->swap_cached },
		{ "Active", active_anon + active_file },
		{ "Inactive", u->inactive_anon + inactive_file },
		{ "Active(anon)", active_anon },
		{ "Inactive(anon)", u->inactive_anon },
		{ "Active(file)", active_file },
		{ "Inactive(file)", inactive_file },
		{ "Unevictable", u->locked },
		{ "Mlocked", u->locked },
		{ "SwapTotal", u->swap },
		{ "SwapFree", 0 },
		{ "Dirty", 0 },
		{ "Writeback", 0 },
		{ "AnonPages", anon },
		{ "Mapped", BASE_FILE / 2 + u->mapped },
		{ "Shmem", shmem },
		{ "KReclaimable", reclaimable },
		{ "Slab", reclaimable + unreclaimable },
		{ "SReclaimable", reclaimable },
		{ "SUnreclaim", unreclaimable },
		{ "KernelStack", BASE_STACK + u->stack },
		{ "PageTables", BASE_TABLES + u->tables },
		{ "CommitLimit", machine / 2 },
		{ "Committed_AS", anon + shmem },
		{ "Percpu", BASE_PERCPU },
		{ "AnonHugePages", 0 },
		{ "Hugetlb", 0 },
	};
	size_t length = 0;

	/* Of constant length, so that nothing of an earlier text is left. */
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		append(&length, "%s:%*ld kB\n", lines[i].name, (int)(24 - strlen(lines[i].name)),
		       lines[i].bytes / KIB);
	return length;
}

static size_t print_zoneinfo(const struct usage *u, long machine)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t length = 0;

	append(&length, "Node 0, zone   Normal\n  pages free     %10ld\n",
	       free_of(u, machine) / page);
	append(&length, "        boost    0\n        min      %ld\n        low      %ld\n",
	       LEAST_FREE / 2 / page, WATERMARK_LOW / page);
	append(&length, "        high     %ld\n        spanned  %ld\n", LEAST_FREE / page,
	       machine / page);
	append(&length, "        present  %ld\n        managed  %ld\n", machine / page,
	       machine / page);
	append(&length, "        protection: (0, 0, 0, 0, 0)\n  pagesets\n");
	for (int cpu = 0; cpu < 2; cpu++)
		append(&length,
		       "    cpu: %d\n              count:    63\n              high:     378\n"
		       "              batch:    63\n  vm stats threshold: 12\n",
		       cpu);
	append(&length, "  node_unreclaimable:  0\n  start_pfn:           1\n");
	return length;
}

static void replace(int fd, size_t length)
{
	if (pwrite(fd, text, length, 0) != (ssize_t)length) {
		perror("fakemem: write");
		exit(1);
	}
}

static int create(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct tables tables = { 0 };
	int dir, meminfo, zoneinfo;
	long machine;
	bool v1;

	if (argc == 3 && strcmp(argv[1], "--limit") == 0) {
		printf("%ld\n", atol(argv[2]) * MIB - BASE - LEAST_FREE);
		return 0;
	}
	if (argc != 4)
		return 2;
	machine = atol(argv[2]) * MIB;
	group = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	dir = open(argv[3], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (group < 0 || dir < 0) {
		perror("fakemem");
		return 1;
	}
	v1 = faccessat(group, "memory.usage_in_bytes", R_OK, 0) == 0;
	meminfo = create(dir, "meminfo");
	zoneinfo = create(dir, "zoneinfo");
	for (;; usleep(INTERVAL_USEC)) {
		struct usage u = { 0 };

		if (v1)
			sample_v1(&u, &tables);
		else
			sample_v2(&u);
		replace(meminfo, print_meminfo(&u, machine));
		replace(zoneinfo, print_zoneinfo(&u, machine));
	}
}
