/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-subject: what is read of a victim to tell whether it replaces another; see streak.h. */
#include "lib/select/streak.h"
#include "lib/select/victim-walk.h"

/* Of a process with more than this share of memory the arguments are not read for their own sake:
 * that takes long, and a queue has smaller ones. */
#define ARGS_SHARE 4

/* Of the one that is ranked first: later ones are compared with it, and units are killed for that.
 */
uint64_t victim_args_hash(struct choice *choice, const struct census_process *process)
{
	struct victim_candidate *candidate = &choice->result->ranked[0];
	struct victim_reading reading = { 0 };

	if (candidate->process == process && candidate->args_hash == 0 && choice->reader->precise &&
	    proc_mapped(&candidate->memory) <= choice->request->memory / ARGS_SHARE &&
	    choice->result->n_reads < VICTIM_MAX_READS) {
		choice->result->n_reads++;
		if (choice->reader->precise(process, &reading, choice->reader->userdata) == 0)
			candidate->args_hash = reading.reclaimable.args_hash;
	}
	return candidate->process == process ? candidate->args_hash : 0;
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
