/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader: the precise reads of the second pass.
 *
 * Used by the daemon's tick and by reckonctl, which choose by the same function and must get the
 * same result.
 */
#include "lib/select/reader.h"

/* What it shares, and all it maps exactly, if there is time: 0, or anything else. */
static int read_reclaimable(struct reader *reader, pid_t pid, struct reclaimable *ret)
{
	usec_t began;
	int r;

	if (!reader->precise || reader->left == 0)
		return PRECISE_LATE;
	began = reader->now();
	r = precise_read(reader->precise, pid, reader->left, ret);
	reader->left = sub_u64(reader->left, reader->now() - began);
	return r;
}

/* What cannot be read is unchanged. */
static int read_adj(const struct reader *reader, const struct census_process *process, int *ret)
{
	int r;

	*ret = process->oom_score_adj;
	r = proc_read_oom_score_adj(reader->proc_fd, process->pid, ret);
	return r == PROC_GONE ? r : 0;
}

/* The clock is asked at each fourth: it costs a fraction of a read. */
int reader_reread(struct census *census, struct census_process *process, void *userdata)
{
	struct reader *reader = userdata;

	if (reader->n_rereads++ % 4 == 3 && reader->now() >= reader->reread_until)
		return VICTIM_READ_LATE;
	return census_reread(census, process, reader->allocated, reader->sampled_at);
}

/* Anonymous memory and swap are a counter each, and so is shared memory, where there is any. */
static uint64_t error_of(const struct reader *reader, const struct proc_memory *memory,
			 unsigned n_threads)
{
	uint64_t bytes = proc_reclaimable(memory);
	uint64_t error = accuracy_interval(reader->accuracy, bytes, true, n_threads).hi - bytes;

	if (memory->shmem > 0)
		error += accuracy_interval(reader->accuracy, bytes, false, n_threads).hi - bytes;
	return error;
}

int reader_read(const struct census_process *process, struct victim_reading *ret, void *userdata)
{
	struct reader *reader = userdata;
	struct proc_stat stat;
	int r;

	r = proc_read_stat(reader->proc_fd, process->pid, &stat);
	if (r == PROC_GONE || (r == 0 && stat.start_ticks != process->start_ticks))
		return VICTIM_READ_GONE;
	if (r < 0)
		return r;
	if (read_adj(reader, process, &ret->oom_score_adj) == PROC_GONE)
		return VICTIM_READ_GONE;
	ret->error = 0;
	ret->has_reclaimable = read_reclaimable(reader, process->pid, &ret->reclaimable) == 0;
	if (ret->has_reclaimable) {
		ret->memory = ret->reclaimable.full;
		return 0;
	}
	r = proc_read_memory(reader->proc_fd, &stat, true, reader->accuracy->page_size,
			     &ret->memory);
	if (r == PROC_GONE)
		return VICTIM_READ_GONE;
	if (r < 0)
		return r;
	if (stat.state == 'Z' && proc_reclaimable(&ret->memory) == 0)
		return VICTIM_READ_GONE; /* a zombie, to be reaped by its parent */
	ret->error = error_of(reader, &ret->memory, stat.n_threads);
	return 0;
}
