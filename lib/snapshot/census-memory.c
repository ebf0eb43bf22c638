/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-memory: the memory of one process that is known; see census.h.
 *
 * By status where it may have been swapped since that was read last, or a choice rests on it; by
 * statm (half of that) elsewhere.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"

/*
 * Its file, kept open for the largest in watch.  A kept fd refers to its process for good; a path
 * by pid could refer to another by now, but all pids allocated since are looked up
 * (census_find_new()).
 */
int census_open_file(const struct census *census, const struct census_process *process,
		     const char *name)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "%d/%s", process->pid, name);
	fd = openat(census->proc_fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* One pread(2): a file of one record is returned whole (single_open() in fs/seq_file.c). */
static bool read_statm(const struct census *census, const struct census_process *process,
		       char *text, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	if (process->kept_fd < 0 || census->keeps_status) {
		fd = census_open_file(census, process, "statm");
		if (fd < 0)
			return false;
	}
	n = pread(fd < 0 ? process->kept_fd : fd, text, size - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* Anonymous and shared, and the size of the code; false if that is not enough (it has exited, or
 * has no memory). */
bool census_read_shares(const struct census *census, const struct census_process *process,
			struct proc_memory *ret, unsigned *ret_code_pages)
{
	struct proc_statm statm;
	char text[256], *p = text;

	if (!read_statm(census, process, text, sizeof(text)) ||
	    proc_statm_parse(text, &statm) < 0 || statm.size == 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		p = strchr(p, ' ') + 1;
	*ret_code_pages = (unsigned)strtoul(p, NULL, 10);
	*ret = (struct proc_memory){
		.anon = sub_u64(statm.resident, statm.shared) * census->accuracy->page_size,
		.shared = statm.shared * census->accuracy->page_size,
	};
	return true;
}

static int read_status(const struct census *census, const struct census_process *process,
		       struct proc_status *ret)
{
	_cleanup_close_ int fd = -EBADF;

	if (process->kept_fd >= 0 && census->keeps_status)
		return proc_read_status_fd(process->kept_fd, ret);
	fd = census_open_file(census, process, "status");
	if (fd < 0)
		return errno_is_gone(fd) ? PROC_GONE : fd;
	return proc_read_status_fd(fd, ret);
}

int census_read_status(const struct census *census, const struct census_process *process,
		       struct census_status *status)
{
	if (!status->is_read)
		status->result = read_status(census, process, &status->status);
	status->is_read = true;
	return status->result;
}

static struct proc_memory memory_of(const struct proc_status *status)
{
	return (struct proc_memory){
		.anon = status->rss_anon,
		.swap = status->swap_bytes,
		.shared = add_u64(status->rss_file, status->rss_shmem),
		.shmem = add_u64(status->rss_shmem, proc_locked_file(status)),
		.pagetables = status->pagetable_bytes,
	};
}

/*
 * By status alone.  Its list of groups can be so long that the kernel takes milliseconds to write
 * it: of such a process status is read once, and then statm.  1: it has no memory of its own, so a
 * thread may have it; 0; PROC_GONE is 1 too: stat distinguishes them.
 */
int census_read_by_status(struct census *census, struct census_process *process,
			  struct census_status *status, uint64_t allocated, usec_t now)
{
	struct proc_memory memory;
	unsigned code_pages;
	int r = -E2BIG;

	if (!process->has_many_groups)
		r = census_read_status(census, process, status);
	if (r == -E2BIG) {
		process->has_many_groups = true;
		if (!census_read_shares(census, process, &memory, &code_pages))
			return CENSUS_READ_ELSEWHERE;
		census_set_resident(census, process, memory.anon, memory.shared, allocated, now);
		return 0;
	}
	if (r < 0)
		return r;
	if (r != 0 || !status->status.has_mm || !status->status.has_rss)
		return CENSUS_READ_ELSEWHERE;
	memory = memory_of(&status->status);
	process->n_threads = status->status.n_threads;
	process->code_pages = (unsigned)(status->status.code_bytes / census->accuracy->page_size);
	process->status_is_new = true;
	census_set_memory(census, process, &memory, allocated, now);
	return 0;
}

int census_reread(struct census *census, struct census_process *process, uint64_t allocated,
		  usec_t now)
{
	struct census_status status = { 0 };
	struct proc_memory memory;
	struct proc_stat stat;
	int r;

	r = census_read_by_status(census, process, &status, allocated, now);
	if (r != CENSUS_READ_ELSEWHERE)
		return r;
	r = proc_read_stat(census->proc_fd, process->pid, &stat);
	if (r == 0 && stat.start_ticks != process->start_ticks)
		return PROC_GONE;
	if (r == 0)
		r = proc_read_memory(census->proc_fd, &stat, true, census->accuracy->page_size,
				     &memory);
	if (r == 0 && stat.state == 'Z' && proc_mapped(&memory) == 0)
		return PROC_GONE; /* a zombie, to be reaped by its parent */
	if (r == 0)
		census_set_memory(census, process, &memory, allocated, now);
	return r;
}
