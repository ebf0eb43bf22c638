/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* share-bound: bounds what is shared by what relatives map and by what all processes map. */
#include "lib/select/share-bound.h"

#include "lib/kill/kill.h"

/* Up to this part of what it maps. */
#define EXACT_SHARE 16
/* Of the machine's memory: what processes may have that are not known, as those of another pid
 * namespace, which does not matter. */
#define UNSEEN_SHARE 16
/* Most: so many parts of four. */
#define UNIT_QUARTERS 3

uint64_t share_bound_of_machine(uint64_t mapped, uint64_t off, uint64_t of_machine)
{
	if (add_u64(mapped, off) < of_machine - of_machine / UNSEEN_SHARE)
		return UINT64_MAX;
	return add_u64(sub_u64(mapped, of_machine), off);
}

void share_bound(const struct share_facts *facts, struct share_bound *ret)
{
	const struct proc_memory *memory = &facts->memory;
	uint64_t anon = min_u64(memory->anon, facts->machine);
	uint64_t private = min_u64(add_u64(anon, memory->swap), facts->relatives);
	uint64_t mapped = proc_mapped(memory);
	uint64_t shared = add_u64(private, memory->shmem);
	uint64_t refused = min_u64(facts->refused, shared);

	*ret = (struct share_bound){ .shared = shared };
	ret->is_exact = shared <= mapped / EXACT_SHARE;
	if (ret->is_exact)
		return;
	if (facts->n_alike > KILL_TOGETHER_MAX) { /* more than are killed at once */
		ret->kept = shared - (shared - refused) / (facts->n_alike + 1);
		return;
	}
	ret->kept = refused + (shared - refused) / 2;
	ret->is_unit = refused == 0 && shared >= SHARE_BOUND_UNIT_MIN &&
		       shared >= mapped / 4 * UNIT_QUARTERS && facts->n_alike > 0 &&
		       facts->seen / facts->n_alike >= shared / 2;
}
