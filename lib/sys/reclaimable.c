/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaimable: what one process holds, and what its death frees.
 *
 * All files are opened below one directory fd, which stands for this process only: once the process
 * is gone they read as gone, even if the pid was reused.  status is read last: a process that has
 * lost its memory in the middle has none there, and its half numbers are dropped.
 */
#include "lib/sys/reclaimable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/io.h"
#include "lib/base/util.h"
#include "lib/sys/mappings.h"
#include "lib/sys/proc-scan.h"

/* 25 lines of 28 bytes, so far. */
#define ROLLUP_SIZE 4096

/* Of maps: all of 65,530 mappings (vm.max_map_count) unless their names are long.  Of smaps: 5,000
 * mappings. */
#define MAPS_MAX_BYTES	(8U << 20)
#define SMAPS_MAX_BYTES (4U << 20)
#define ARGS_MAX_BYTES	(1U << 20)

/* For less shared memory than both it is not determined whether it is freed. */
#define SHMEM_SMALL	  (4 * MIB)
#define SHMEM_SMALL_SHARE 16

/* Shared memory is swapped out, and not just a difference between two moments. */
#define SHMEM_SWAPPED (1 * MIB)

uint64_t reclaimable_total(const struct reclaimable *reclaimable)
{
	return add_u64(add_u64(reclaimable->anon, reclaimable->swap),
		       add_u64(reclaimable->shmem, reclaimable->pagetables));
}

static bool rollup_is_sound(const struct reclaimable_rollup *rollup)
{
	uint64_t private = add_u64(rollup->private_clean, rollup->private_dirty);
	uint64_t pss = add_u64(add_u64(rollup->pss_anon, rollup->pss_file), rollup->pss_shmem);

	return private <= rollup->rss && rollup->anonymous <= rollup->rss && pss <= rollup->rss &&
	       rollup->pss_anon <= rollup->anonymous && rollup->swap_pss <= rollup->swap &&
	       rollup->lazy_free <= rollup->anonymous;
}

int reclaimable_rollup_parse(const char *text, struct reclaimable_rollup *ret)
{
	struct reclaimable_rollup rollup = {};
	const struct proc_kib_field fields[] = {
		{ "Pss_Anon:", &rollup.pss_anon },
		{ "Pss_File:", &rollup.pss_file },
		{ "Pss_Shmem:", &rollup.pss_shmem },
		{ "Rss:", &rollup.rss },
		{ "Private_Clean:", &rollup.private_clean },
		{ "Private_Dirty:", &rollup.private_dirty },
		{ "Anonymous:", &rollup.anonymous },
		{ "Swap:", &rollup.swap },
		{ "SwapPss:", &rollup.swap_pss },
		{ "Locked:", &rollup.locked },
		{ "LazyFree:", &rollup.lazy_free },
	};
	const unsigned all = (1U << (ARRAY_SIZE(fields) - 2)) - 1, pss = 7;
	unsigned seen;

	if (proc_scan_kib_lines(text, fields, ARRAY_SIZE(fields), &seen) < 0)
		return -EBADMSG;
	seen &= all; /* the last two need not be there */
	if (seen == (all & ~pss))
		return -EOPNOTSUPP;
	if (seen != all || !rollup_is_sound(&rollup))
		return -EBADMSG;

	*ret = rollup;
	return 0;
}

static uint64_t prorate(uint64_t value, unsigned permyriad)
{
	return (uint64_t)((__uint128_t)value * permyriad / PERMYRIAD);
}

/* At least so much of the whole is private where a private page counts in full in the share, and
 * another one half at most. */
static uint64_t private_of(uint64_t share, uint64_t whole)
{
	return sub_u64(share, sub_u64(whole, share));
}

/* Resident anonymous memory, and shared memory that dies, that has no other mapping: at least. */
static uint64_t sum_private(const struct reclaimable_rollup *rollup,
			    const struct reclaimable_shmem *shmem)
{
	uint64_t private = add_u64(rollup->private_clean, rollup->private_dirty);
	uint64_t no_file = sub_u64(private, rollup->pss_file);
	uint64_t anon = max_u64(private_of(rollup->pss_anon, rollup->anonymous),
				sub_u64(no_file, rollup->pss_shmem));

	switch (shmem->how) {
	case RECLAIMABLE_ALL_DIES:
		return max_u64(no_file, anon);
	case RECLAIMABLE_SUMMED:
		return add_u64(anon, min_u64(shmem->private, rollup->pss_shmem));
	case RECLAIMABLE_NONE_DIES:
	case RECLAIMABLE_PRORATED:
		break;
	}
	return anon;
}

/* Its fair share of locked pages of files, by the rollup alone: from where all else is locked
 * before them to where they are before all else. */
static struct interval locked_file_by_rollup(const struct reclaimable_rollup *rollup)
{
	uint64_t other = add_u64(rollup->pss_anon, rollup->pss_shmem);

	return (struct interval){
		.lo = min_u64(sub_u64(rollup->locked, other), rollup->pss_file),
		.hi = min_u64(rollup->locked, rollup->pss_file),
	};
}

/* The middle, where it is not known better. */
static uint64_t share_of_locked_file(const struct reclaimable_rollup *rollup,
				     const struct reclaimable_shmem *shmem)
{
	struct interval locked = locked_file_by_rollup(rollup);

	return shmem->knows_locked ? min_u64(shmem->locked_file, locked.hi)
				   : locked.lo + (locked.hi - locked.lo) / 2;
}

/* Of that share, what has no other mapping: at least.  All that is shared may be locked. */
static uint64_t private_locked_file(const struct reclaimable_rollup *rollup,
				    const struct reclaimable_shmem *shmem, uint64_t rss_shmem)
{
	uint64_t private = add_u64(rollup->private_clean, rollup->private_dirty);
	uint64_t rss_file = sub_u64(rollup->rss, add_u64(rollup->anonymous, rss_shmem));
	uint64_t own = max_u64(private_of(rollup->pss_file, max_u64(rss_file, rollup->pss_file)),
			       sub_u64(private, add_u64(rollup->pss_anon, rollup->pss_shmem)));
	struct interval locked = locked_file_by_rollup(rollup);

	if (shmem->knows_locked)
		return min_u64(shmem->locked_private, locked.hi);
	return sub_u64(locked.lo, sub_u64(rollup->pss_file, own));
}

/* Its fair share of what it has released by MADV_FREE: that is available already. */
static uint64_t share_of_lazy_free(const struct reclaimable_rollup *rollup)
{
	if (rollup->lazy_free == 0)
		return 0;
	return (uint64_t)((__uint128_t)rollup->lazy_free * rollup->pss_anon / rollup->anonymous);
}

static uint64_t sum_shmem(const struct reclaimable_rollup *rollup, const struct proc_status *status,
			  const struct reclaimable_shmem *shmem)
{
	/* Not anonymous, that is. */
	uint64_t swap = sub_u64(rollup->swap, max_u64(rollup->swap_pss, status->swap_bytes));

	switch (shmem->how) {
	case RECLAIMABLE_NONE_DIES:
		break;
	case RECLAIMABLE_ALL_DIES:
		return rollup->pss_shmem;
	case RECLAIMABLE_SUMMED:
		return add_u64(min_u64(shmem->pss, rollup->pss_shmem),
			       min_u64(shmem->swap, rollup->swap));
	case RECLAIMABLE_PRORATED:
		return prorate(add_u64(rollup->pss_shmem, swap), shmem->permyriad);
	}
	return 0;
}

/* Anonymous swap in full.  The rollup tells it where no swap is shared; else smaps may; else it is
 * near what status counts. */
static uint64_t full_swap(const struct reclaimable_rollup *rollup, const struct proc_status *status,
			  const struct reclaimable_shmem *shmem)
{
	uint64_t swap = shmem->how == RECLAIMABLE_SUMMED
				? sub_u64(rollup->swap, shmem->swap_mapped)
				: min_u64(rollup->swap, status->swap_bytes);

	return max_u64(swap, rollup->swap_pss);
}

void reclaimable_sum(const struct reclaimable_rollup *rollup, const struct proc_status *status,
		     const struct reclaimable_shmem *shmem, struct reclaimable *ret)
{
	uint64_t swap_mapped = shmem->how == RECLAIMABLE_SUMMED ? shmem->swap_mapped : 0;
	uint64_t swap = private_of(rollup->swap_pss, sub_u64(rollup->swap, swap_mapped));
	uint64_t rss_shmem = max_u64(status->rss_shmem, rollup->pss_shmem);
	uint64_t locked = share_of_locked_file(rollup, shmem);

	*ret = (struct reclaimable){
		.anon = rollup->pss_anon - share_of_lazy_free(rollup),
		.swap = rollup->swap_pss,
		.shmem = sum_shmem(rollup, status, shmem),
		.pagetables = status->pagetable_bytes,
		.rss_anon = status->rss_anon,
		.rss_shmem = status->rss_shmem,
		.all_swap = status->swap_bytes,
		.full = {
			.anon = rollup->anonymous,
			.swap = full_swap(rollup, status, shmem),
			.shared = rollup->rss - rollup->anonymous,
			.shmem = rss_shmem,
			.pagetables = status->pagetable_bytes,
		},
	};
	ret->full.shmem = add_u64(ret->full.shmem, sub_u64(ret->shmem, rollup->pss_shmem));
	ret->shmem = add_u64(ret->shmem, locked);
	ret->full.shmem = add_u64(ret->full.shmem, max_u64(locked, proc_locked_file(status)));
	ret->alone = sub_u64(sum_private(rollup, shmem), rollup->lazy_free);
	ret->alone = add_u64(
		add_u64(ret->alone, min_u64(swap, rollup->swap_pss)),
		add_u64(private_locked_file(rollup, shmem, rss_shmem), status->pagetable_bytes));
	ret->alone = min_u64(ret->alone, reclaimable_total(ret));
}

/* Where so little is shared that it does not matter, it is not read. */
static bool shmem_matters(const struct reclaimable_rollup *rollup)
{
	uint64_t rest = add_u64(rollup->pss_anon, rollup->swap_pss);
	uint64_t shmem = add_u64(rollup->pss_shmem, sub_u64(rollup->swap, rollup->swap_pss));

	return shmem > 0 && (shmem >= SHMEM_SMALL || shmem >= rest / SHMEM_SMALL_SHARE);
}

/* By size, where there are more mappings than are read.  What was not seen may be anything;
 * assuming that it is freed kills no wrong process. */
static struct reclaimable_shmem prorated(const struct mappings_sums *maps)
{
	uint64_t size = add_u64(maps->size_dies, maps->size_kept);

	return (struct reclaimable_shmem){
		.how = RECLAIMABLE_PRORATED,
		.permyriad = size == 0 ? PERMYRIAD : permyriad_of(maps->size_dies, size),
	};
}

static int read_shmem(struct mappings_request *request, const struct reclaimable_rollup *rollup,
		      struct reclaimable_shmem *ret)
{
	bool is_swapped = rollup->swap - rollup->swap_pss >= SHMEM_SWAPPED;
	struct mappings_sums maps, smaps;
	int r;

	*ret = (struct reclaimable_shmem){ .how = RECLAIMABLE_NONE_DIES };
	if (!shmem_matters(rollup))
		return 0;
	r = mappings_read(request, "maps", MAPS_MAX_BYTES, &maps);
	if (r != 0)
		return r;
	if (maps.is_cut) {
		*ret = prorated(&maps);
		return 0;
	}
	if (maps.size_dies == 0)
		return 0;
	if (maps.size_kept == 0 && !is_swapped) {
		ret->how = RECLAIMABLE_ALL_DIES;
		return 0;
	}

	r = mappings_read(request, "smaps", SMAPS_MAX_BYTES, &smaps);
	if (r != 0)
		return r;
	*ret = smaps.is_cut ? prorated(&maps)
			    : (struct reclaimable_shmem){
				      .how = RECLAIMABLE_SUMMED,
				      .pss = smaps.pss,
				      .private = smaps.private,
				      .swap = smaps.swap,
				      .swap_mapped = smaps.swap_mapped,
				      .knows_locked = true,
				      .locked_file = smaps.locked_file,
				      .locked_private = smaps.locked_private,
			      };
	return 0;
}

/* What is locked beside pages of files may be so much that it matters what it is. */
static bool locked_matters(const struct reclaimable_rollup *rollup)
{
	struct interval locked = locked_file_by_rollup(rollup);
	uint64_t rest = add_u64(rollup->pss_anon, rollup->swap_pss), off = locked.hi - locked.lo;

	return off >= SHMEM_SMALL && off >= rest / SHMEM_SMALL_SHARE;
}

static int read_locked(struct mappings_request *request, const struct reclaimable_rollup *rollup,
		       struct reclaimable_shmem *shmem)
{
	struct mappings_sums smaps;
	int r;

	if (shmem->knows_locked || !locked_matters(rollup))
		return 0;
	r = mappings_read(request, "smaps", SMAPS_MAX_BYTES, &smaps);
	if (r != 0)
		return r;
	shmem->knows_locked = !smaps.is_cut;
	shmem->locked_file = smaps.locked_file;
	shmem->locked_private = smaps.locked_private;
	return 0;
}

/* To read them takes the mmap lock, as smaps_rollup does. */
static uint64_t hash_args(int dir_fd, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dir_fd, "cmdline", O_RDONLY | O_CLOEXEC);
	uint64_t hash = HASH_BEGIN;
	ssize_t n;

	if (fd < 0)
		return 0;
	for (size_t all = 0; all < ARGS_MAX_BYTES; all += (size_t)n) {
		n = read(fd, buf, size);
		if (n < 0 || (n == 0 && all == 0))
			return 0;
		if (n == 0)
			break;
		hash = hash_bytes(hash, buf, (size_t)n);
	}
	return hash == 0 ? 1 : hash;
}

/* From a directory of a process or of a thread. */
static int read_below(int proc_fd, int dir_fd, struct reclaimable *ret)
{
	struct mappings_request request = { .proc_fd = proc_fd, .dir_fd = dir_fd };
	struct reclaimable_rollup rollup;
	struct reclaimable_shmem shmem;
	_cleanup_close_ int fd = -EBADF;
	struct proc_status status;
	char buf[ROLLUP_SIZE];
	ssize_t n;
	int r;

	n = io_read_at(dir_fd, "smaps_rollup", buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	r = reclaimable_rollup_parse(buf, &rollup);
	if (r < 0)
		return r;
	r = read_shmem(&request, &rollup, &shmem);
	if (r == 0)
		r = read_locked(&request, &rollup, &shmem);
	if (r != 0)
		return r;

	fd = openat(dir_fd, "status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = proc_read_status_all_fd(fd, &status);
	if (r != 0)
		return r;
	if (!status.has_mm)
		return PROC_GONE;
	reclaimable_sum(&rollup, &status, &shmem, ret);
	ret->args_hash = hash_args(dir_fd, buf, sizeof(buf));
	return 0;
}

static int open_directory(int proc_fd, pid_t pid, pid_t tid)
{
	char path[32];
	int fd;

	if (tid == 0)
		(void)snprintf(path, sizeof(path), "%d", pid);
	else
		(void)snprintf(path, sizeof(path), "%d/task/%d", pid, tid);
	fd = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A file that is not there: the process is gone, or the kernel does not have it. */
static int error_of_missing(int dir_fd, int r)
{
	if (r == -ENOENT && faccessat(dir_fd, "stat", F_OK, 0) == 0)
		return -EOPNOTSUPP;
	return proc_fold_gone(r);
}

int reclaimable_read(int proc_fd, pid_t pid, struct reclaimable *ret)
{
	_cleanup_close_ int dir_fd = open_directory(proc_fd, pid, 0), task_fd = -EBADF;
	pid_t tid;
	int r;

	if (dir_fd < 0)
		return proc_fold_gone(dir_fd);
	r = read_below(proc_fd, dir_fd, ret);
	if (r == PROC_GONE || errno_is_gone(r)) {
		/* No memory: gone, or a leader that has exited before its threads. */
		int found = proc_find_live_thread(proc_fd, pid, &tid);

		if (found != 0)
			return found;
		if (tid == pid)
			return error_of_missing(dir_fd, r);
		task_fd = open_directory(proc_fd, pid, tid);
		if (task_fd < 0)
			return proc_fold_gone(task_fd);
		r = error_of_missing(task_fd, read_below(proc_fd, task_fd, ret));
	}
	return r;
}
