/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-held: takes a process that holds memory by descriptors for the victim; see victim.h. */
#include "lib/select/victim-walk.h"

uint64_t victim_with_held(const struct census *census, const struct census_process *process,
			  const struct victim_reader *reader, usec_t now, uint64_t held,
			  struct victim_result *result)
{
	struct victim_reading reading = { 0 };

	if (census_share_is_current(census, process, now))
		return add_u64(held, proc_reclaimable(&process->memory));
	if (!reader->precise || result->n_reads >= VICTIM_MAX_READS)
		return held;
	result->n_reads++;
	if (reader->precise(process, &reading, reader->userdata) != 0 || !reading.has_reclaimable)
		return held;
	return add_u64(held, reading.reclaimable.alone);
}

bool victim_would_be_first(const struct victim_result *result, const struct victim_request *request,
			   const struct census_process *process, uint64_t bytes)
{
	return result->n_ranked == 0 ||
	       victim_weighted(process, request, bytes) > result->ranked[0].estimate;
}

void victim_take(const struct census_process *process, uint64_t held, struct victim_result *result)
{
	struct victim_candidate *candidate = &result->ranked[0];

	*candidate = (struct victim_candidate){
		.node = &process->node,
		.process = process,
		.memory = process->memory,
		.held = held,
		.is_read = true,
		.precise = true,
		.verdict = VICTIM_CHOSEN,
	};
	candidate->memory.shmem = add_u64(candidate->memory.shmem, held);
	candidate->estimate = proc_reclaimable(&candidate->memory);
	candidate->score = (struct interval){ candidate->estimate, candidate->estimate };
	result->n_ranked = 1;
	result->approximate = result->is_reluctant = false;
	result->as_one = VICTIM_ALONE;
	result->n_respawned = 0;
	result->skipped = (struct victim_candidate){ 0 };
	result->skipped_for = BACKOFF_NONE;
	result->skipped_kinds = 0;
}
