/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-proc: files of /proc, /sys and cgroups, read as the daemon reads them, from a directory.
 *
 * The input is of files: each begins behind a line "%%% NAME", as in the table below.  What reads
 * one of those that are there is called.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/running.h"
#include "daemon/base/users.h"
#include "lib/config/policy.h"
#include "lib/domain/stall.h"
#include "lib/domain/where.h"
#include "lib/kill/freezer.h"
#include "lib/kill/kill-group.h"
#include "lib/snapshot/census.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/conflict.h"
#include "lib/sys/hidepid.h"
#include "lib/sys/memory.h"
#include "lib/sys/proc-virtual.h"
#include "lib/sys/proc.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaimable.h"
#include "lib/sys/swap-room.h"
#include "tests/fuzz/fuzz.h"

#define PID	  812
#define CGROUP	  "/a/b"
#define FILES_MAX 32

/* Which parsers read it. */
enum {
	OF_MEMORY = 1 << 0,
	OF_PROCESS = 1 << 1,
	OF_CENSUS = 1 << 2,
	OF_MOUNTS = 1 << 3,
	OF_CGROUP = 1 << 4,
	OF_OTHERS = 1 << 5,
};

static const struct {
	const char *path;
	unsigned readers;
} files[] = {
	{ "proc/meminfo", OF_MEMORY },
	{ "proc/vmstat", OF_MEMORY },
	{ "proc/zoneinfo", OF_MEMORY },
	{ "proc/swaps", OF_MEMORY },
	{ "proc/spl/kstat/zfs/arcstats", OF_MEMORY },
	{ "sys/block/zram0/disksize", OF_MEMORY },
	{ "sys/block/zram0/mm_stat", OF_MEMORY },
	{ "proc/loadavg", OF_CENSUS },
	{ "proc/self/mountinfo", OF_MOUNTS | OF_MEMORY },
	{ "proc/sysvipc/shm", OF_MOUNTS | OF_PROCESS },
	{ "proc/sys/vm/swappiness", OF_OTHERS },
	{ "proc/pressure/memory", OF_OTHERS },
	{ "proc/1/stat", OF_OTHERS | OF_CENSUS },
	{ "proc/812/stat", OF_PROCESS | OF_CENSUS | OF_OTHERS },
	{ "proc/812/statm", OF_PROCESS | OF_CENSUS },
	{ "proc/812/status", OF_PROCESS | OF_CENSUS },
	{ "proc/812/cgroup", OF_CENSUS },
	{ "proc/812/oom_score_adj", OF_PROCESS | OF_CENSUS },
	{ "proc/812/smaps_rollup", OF_PROCESS },
	{ "proc/812/smaps", OF_PROCESS },
	{ "proc/812/maps", OF_PROCESS },
	{ "proc/812/mountinfo", OF_PROCESS },
	{ "proc/812/task/813/stat", OF_PROCESS },
	{ "proc/812/task/813/status", OF_PROCESS },
	{ "cgroup/memory.pressure", OF_CGROUP },
	{ "cgroup/a/memory.pressure", OF_CGROUP },
	{ "cgroup/a/memory.current", OF_CGROUP },
	{ "cgroup/a/memory.max", OF_CGROUP },
	{ "cgroup/a/memory.high", OF_CGROUP },
	{ "cgroup/a/memory.events", OF_CGROUP },
	{ "cgroup/a/memory.events.local", OF_CGROUP },
	{ "cgroup/a/memory.stat", OF_CGROUP },
	{ "cgroup/a/memory.swap.max", OF_CGROUP },
	{ "cgroup/a/memory.swap.current", OF_CGROUP },
	{ "cgroup/a/cgroup.events", OF_CGROUP },
	{ "cgroup/a/memory.oom.group", OF_CGROUP },
	{ "cgroup/a/b/memory.oom.group", OF_CGROUP },
	{ "cgroup/a/b/cgroup.type", OF_CGROUP },
	{ "cgroup/a/b/cgroup.procs", OF_CGROUP },
	{ "cgroup/a/b/cgroup.events", OF_CGROUP },
	{ "cgroup/a/b/cgroup.freeze", OF_CGROUP },
	{ "cgroup/a/b/memory.swap.max", OF_CGROUP },
	{ "cgroup/a/b/memory.stat", OF_CGROUP },
	{ "passwd", OF_OTHERS },
};

static bool was_written[ARRAY_SIZE(files)];
static bool has_meminfo;
static int proc_fd, sys_fd, cgroup_fd;

/* libproc2 reads the machine's own /proc/meminfo: in its place, that of the input. */
static int open_ours(const char *path, int flags, mode_t mode)
{
	if (has_meminfo && strcmp(path, "/proc/meminfo") == 0)
		return openat(proc_fd, "meminfo", flags);
	return openat(AT_FDCWD, path, flags, mode);
}

__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_ours(path, flags, mode);
}

#if !defined(_FILE_OFFSET_BITS) || _FILE_OFFSET_BITS != 64 /* else that is open() */
__attribute__((visibility("default"))) int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_ours(path, flags, mode);
}
#endif

static int open_part(const char *name)
{
	int fd = openat(fuzz_directory_fd(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	FUZZ_CHECK(fd >= 0);
	return fd;
}

static void prepare(void)
{
	/* The directories, in which nothing is but what an input has. */
	fuzz_write("proc/1/x", "", 0);
	fuzz_write("proc/812/task/813/x", "", 0);
	fuzz_write("sys/x", "", 0);
	fuzz_write("cgroup/a/b/x", "", 0);
	proc_fd = open_part("proc");
	sys_fd = open_part("sys");
	cgroup_fd = open_part("cgroup");
}

static usec_t now_never(void)
{
	return 0;
}

static void check_reading(const struct memory_reading *reading)
{
	char text[WHERE_ROW_SIZE], line[512];
	struct where_account account;

	FUZZ_CHECK(reading->total > 0 || reading->counters.total == 0);
	FUZZ_CHECK(reading->available <= reading->total);
	FUZZ_CHECK(memory_available_permyriad(reading) <= PERMYRIAD);
	FUZZ_CHECK(reading->swap_free <= reading->swap_total);
	FUZZ_CHECK(memory_swap_free_permyriad(reading) <= PERMYRIAD);
	where_account(&reading->counters, NULL, &account);
	FUZZ_CHECK(account.n_rows <= WHERE_ROWS_MAX);
	for (unsigned i = 0; i < account.n_rows; i++) {
		FUZZ_CHECK(i == 0 || account.rows[i].bytes <= account.rows[i - 1].bytes);
		where_row_text(&account.rows[i], text);
	}
	(void)where_line(&account, line, sizeof(line));
}

static void try_memory(void)
{
	struct memory_source *source;
	struct memory_reading reading;

	if (!has_meminfo || memory_source_new(proc_fd, sys_fd, &source) < 0)
		return;
	for (int i = 0; i < 2; i++)
		if (memory_sample(source, &reading) == 0) {
			check_reading(&reading);
			if (memory_sample_levels(source, &reading) == 0)
				check_reading(&reading);
		}
	memory_source_free(source);
}

static void try_process(void)
{
	struct reclaimable reclaimable;
	struct proc_memory memory;
	struct proc_stat stat;
	int adj;

	if (proc_read_oom_score_adj(proc_fd, PID, &adj) == 0)
		FUZZ_CHECK(adj >= -1000 && adj <= 1000);
	if (reclaimable_read(proc_fd, PID, &reclaimable) == 0) {
		FUZZ_CHECK(reclaimable.alone <= reclaimable_total(&reclaimable));
		FUZZ_CHECK(reclaimable.anon <= reclaimable.full.anon);
		FUZZ_CHECK(reclaimable.swap <= reclaimable.full.swap);
		FUZZ_CHECK(reclaimable.shmem <= reclaimable.full.shmem);
	}
	(void)proc_read_rollup(proc_fd, PID, &memory);
	if (proc_read_stat(proc_fd, PID, &stat) != 0)
		return;
	for (int with_swap = 0; with_swap < 2; with_swap++)
		if (proc_read_memory(proc_fd, &stat, with_swap, 4096, &memory) == 0)
			FUZZ_CHECK(proc_reclaimable(&memory) <= proc_mapped(&memory));
}

static void check_census(const struct census *census)
{
	const struct census_process *process;

	census_for_each(census, process) {
		struct interval interval = census_interval(census, process, GIB, USEC_PER_SEC);

		FUZZ_CHECK(interval.lo <= interval.hi);
		FUZZ_CHECK(interval.hi <= census_mapped_at_most(census, process, GIB));
		FUZZ_CHECK(census_cgroup_path(process)[0] == '/');
	}
}

static void try_census(void)
{
	const struct accuracy accuracy = { .n_cpus = 2, .batch = 32, .page_size = 4096 };
	struct cgroup_fs cgroups;
	struct census census;
	struct policy_set set;

	cgroup_fs_init(&cgroups, dup(cgroup_fd), -EBADF);
	FUZZ_CHECK(policy_set_init_defaults(&set) == 0);
	FUZZ_CHECK(census_init(&census, proc_fd, &cgroups, &accuracy, &set) == 0);
	if (census_sweep(&census, 0, 0, true) >= 0) {
		check_census(&census);
		(void)census_find_new(&census, USEC_PER_SEC, 0);
		(void)census_refresh(&census, USEC_PER_SEC, GIB, true, now_never, 1);
	}
	census_done(&census);
	policy_set_done(&set);
	cgroup_fs_done(&cgroups);
}

static void try_mounts(void)
{
	static struct where_scratch scratch;
	struct where_survey survey;
	struct cgroup_fs cgroups;

	(void)hidepid_find(proc_fd);
	(void)proc_is_virtualised(proc_fd, "meminfo");
	where_survey(
		proc_fd, cgroup_fd,
		&(struct where_limits){ .now = now_never, .deadline = 1, .least_untouched = 1 },
		&scratch, &survey);
	FUZZ_CHECK(survey.n_tmpfs <= WHERE_TMPFS_MAX);
	if (cgroup_fs_open(proc_fd, &cgroups) == 0) {
		int fd = conflict_open(proc_fd, &cgroups);

		if (fd >= 0)
			close(fd);
		cgroup_fs_done(&cgroups);
	}
}

static usec_t walk_at;

static usec_t walk_now(void)
{
	return walk_at;
}

static void try_cgroup(void)
{
	struct cgroup_fs cgroups;
	struct psi_reading psi;
	struct stall stall;
	size_t length;

	cgroup_fs_init(&cgroups, dup(cgroup_fd), -EBADF);
	(void)psi_read(cgroup_fd, "a/memory.pressure", &psi);
	(void)swap_room_barred(cgroup_fd, CGROUP, MIB);
	(void)freezer_is_frozen(&cgroups, CGROUP, "/");
	(void)conflict_find(cgroup_fd);
	length = kill_group_find_flagged(&cgroups, CGROUP, "/", "/own");
	FUZZ_CHECK(length <= strlen(CGROUP));
	length = kill_group_find_whole(&cgroups, CGROUP, "/", "/own");
	FUZZ_CHECK(length <= strlen(CGROUP));
	stall_init(&stall, cgroup_fd);
	/* Totals that change between two walks; some go back. */
	for (int i = 0; i < 3; i++) {
		walk_at = (usec_t)i * 2 * USEC_PER_SEC;
		(void)stall_walk(&stall, walk_now, walk_at + 1);
		(void)renameat2(cgroup_fd, "memory.pressure", cgroup_fd, "a/memory.pressure",
				RENAME_EXCHANGE);
	}
	FUZZ_CHECK(memchr(stall.verdict.limited, '\0', sizeof(stall.verdict.limited)));
	stall_clear(&stall);
	cgroup_fs_done(&cgroups);
}

static void try_others(void)
{
	static struct users users;
	char path[4200];
	struct psi_reading psi;

	(void)swap_room_is_last_resort(proc_fd);
	FUZZ_CHECK(running_find(proc_fd) <= PID);
	(void)psi_read(proc_fd, "pressure/memory", &psi);
	snprintf(path, sizeof(path), "%s/passwd", fuzz_directory());
	users_load(&users, path);
	for (size_t i = 0; i < users.n; i++) {
		FUZZ_CHECK(memchr(users.items[i].name, '\0', sizeof(users.items[i].name)));
		FUZZ_CHECK(fuzz_is_utf8(users.items[i].name));
		FUZZ_CHECK(!fuzz_has_controls(users.items[i].name, false));
	}
	FUZZ_CHECK(users_name(&users, 4294967294U));
	users_done(&users);
}

/* Which readers there are for what it has. */
static unsigned write_parts(const struct fuzz_part *parts, size_t n)
{
	unsigned readers = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		bool is_there = false;

		for (size_t k = 0; k < n && !is_there; k++) {
			if (strcmp(parts[k].name, files[i].path) != 0)
				continue;
			fuzz_write(files[i].path, parts[k].data, parts[k].size);
			readers |= files[i].readers;
			is_there = true;
		}
		if (!is_there && was_written[i])
			fuzz_write(files[i].path, NULL, 0);
		was_written[i] = is_there;
	}
	has_meminfo = was_written[0];
	return readers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(void) = { try_memory, try_process, try_census,
					       try_mounts, try_cgroup,	try_others };
	struct fuzz_part parts[FILES_MAX];
	unsigned readers;

	if (proc_fd == 0)
		prepare();
	readers = write_parts(parts, fuzz_split(data, size, parts, FILES_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		if (readers & 1U << i)
			tries[i]();
	return 0;
}
