/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-subject: what is read of a victim to tell whether it replaces another; see streak.h. */
#include "lib/select/streak.h"
#include "lib/select/victim-walk.h"

/* Of a process with more than this share of memory, or than this, the arguments are not read for
 * their own sake: with its share they take some 5 ms a GiB, and a queue has smaller ones. */
#define ARGS_SHARE 4
#define ARGS_MAX   GIB

void victim_note_args(struct victim_args args[static VICTIM_ARGS_MAX],
		      const struct census_process *process, uint64_t hash)
{
	args[(unsigned)process->pid % VICTIM_ARGS_MAX] = (struct victim_args){
		.pid = process->pid,
		.start_ticks = process->start_ticks,
		.hash = hash,
	};
}

/* 0: not known. */
static uint64_t known_hash(const struct victim_request *request,
			   const struct census_process *process)
{
	const struct victim_args *known;

	if (!request->args)
		return 0;
	known = &request->args[(unsigned)process->pid % VICTIM_ARGS_MAX];
	return known->pid == process->pid && known->start_ticks == process->start_ticks
		       ? known->hash
		       : 0;
}

/* Of the first one alone, once: what could not be read is no more readable a moment later. */
static uint64_t args_hash(struct choice *choice, const struct census_process *process,
			  uint64_t most)
{
	struct victim_candidate *candidate = &choice->result->ranked[0];
	struct victim_reading reading = { 0 };

	if (candidate->process != process)
		return 0;
	if (candidate->args_hash == 0)
		candidate->args_hash = known_hash(choice->request, process);
	if (candidate->args_hash == 0 && !candidate->has_args && choice->reader->precise &&
	    proc_mapped(&candidate->memory) <= most && choice->result->n_reads < VICTIM_MAX_READS) {
		candidate->has_args = true;
		choice->result->n_reads++;
		if (choice->reader->precise(process, &reading, choice->reader->userdata) == 0)
			candidate->args_hash = reading.reclaimable.args_hash;
	}
	return candidate->args_hash;
}

/* Later ones are compared with it, and units are killed for that. */
uint64_t victim_args_hash(struct choice *choice, const struct census_process *process)
{
	return args_hash(choice, process, min_u64(choice->request->memory / ARGS_SHARE, ARGS_MAX));
}

uint64_t victim_read_args(struct choice *choice, const struct census_process *process)
{
	return args_hash(choice, process, UINT64_MAX);
}

/* Its stat is read for what the census does not keep, and its arguments. */
struct streak_subject victim_streak_subject(struct choice *choice,
					    const struct census_process *process)
{
	struct proc_stat stat = { 0 };

	if (proc_read_stat(choice->census->proc_fd, process->pid, &stat) != 0 ||
	    stat.start_ticks != process->start_ticks)
		stat.stack_start = stat.args_length = 0;
	return (struct streak_subject){
		.cgroup = census_cgroup_path(process),
		.comm = process->comm,
		.ppid = process->ppid,
		.uid = process->uid,
		.session = process->session,
		.age = streak_age(process->start_ticks, choice->request->ticks_now),
		.stack_start = stat.stack_start,
		.args_length = stat.args_length,
		.args_hash = victim_args_hash(choice, process),
	};
}
