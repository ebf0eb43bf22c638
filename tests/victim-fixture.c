/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-fixture: makes a small machine, and chooses a victim from it. */
#include "tests/victim-fixture.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static char everything[] = "/";

void machine_init(struct machine *machine, size_t n)
{
	memset(machine, 0, sizeof(*machine));
	machine->accuracy = exact_accuracy;
	machine->policies.subtree = everything;
	assert_int_equal(
		census_init(&machine->census, -1, NULL, &machine->accuracy, &machine->policies), 0);
	for (size_t i = 0; i < n; i++) {
		struct census_process *process =
			census_add(&machine->census, (pid_t)(FIRST_PID + i), 1000 + i);

		assert_non_null(process);
		process->state = 'S';
		process->n_threads = 1;
		assert_int_equal(census_attach(&machine->census, process, "/a.slice"), 0);
		machine->processes[machine->n++] = process;
		census_update_eligibility(&machine->census, process);
	}
}

void machine_done(struct machine *machine)
{
	census_done(&machine->census);
}

void read_as(struct machine *machine, size_t i, uint64_t reading)
{
	struct proc_memory memory = { .anon = reading };

	census_set_memory(&machine->census, machine->processes[i], &memory, machine->allocated,
			  USEC_PER_SEC);
}

void set(struct machine *machine, size_t i, uint64_t reading, uint64_t truth)
{
	read_as(machine, i, reading);
	machine->truth[i] = truth;
}

void set_adj(struct machine *machine, size_t i, int adj)
{
	machine->processes[i]->oom_score_adj = (short)adj;
	census_update_eligibility(&machine->census, machine->processes[i]);
}

int read_truth(const struct census_process *process, struct victim_reading *ret, void *userdata)
{
	struct machine *machine = userdata;
	size_t i = (size_t)(process->pid - FIRST_PID);

	machine->n_reads++;
	*ret = (struct victim_reading){
		.oom_score_adj = process->oom_score_adj,
		.has_reclaimable = machine->with_shares,
		.reclaimable.args_hash = machine->without_args ? 0 : (uint64_t)process->pid,
	};
	if (i >= machine->n) { /* a bystander, as it was */
		ret->memory = process->memory;
		return 0;
	}
	if (machine->gone[i])
		return VICTIM_READ_GONE;
	if (machine->read_result != 0)
		return machine->read_result;
	ret->memory.anon = machine->truth[i];
	ret->reclaimable.anon = ret->reclaimable.alone = machine->truth[i];
	if (machine->true_adj[i] != 0)
		ret->oom_score_adj = machine->true_adj[i];
	return 0;
}

int reread_truth(struct census *census, struct census_process *process, void *userdata)
{
	struct machine *machine = userdata;
	size_t i = (size_t)(process->pid - FIRST_PID);
	struct proc_memory memory = process->memory;

	if (i < machine->n && machine->gone[i])
		return VICTIM_READ_GONE;
	if (i < machine->n)
		memory.anon = machine->truth[i];
	census_set_memory(census, process, &memory, machine->allocated, 0);
	return 0;
}

struct victim_request request_at(const struct machine *machine, usec_t now, uint64_t ticks_now)
{
	return (struct victim_request){
		.allocated = machine->allocated,
		.total = GIB,
		.memory = GIB,
		.min_victim = 4 * MIB,
		.now = now,
		.ticks_now = ticks_now,
		.self = 1 << 20,
	};
}

struct victim_result result;

void choose_for(struct machine *machine, const struct victim_request *request)
{
	const struct victim_reader reader = {
		.precise = read_truth,
		.reread = machine->with_rereads ? reread_truth : NULL,
		.userdata = machine,
	};

	assert_int_equal(victim_reserve(&result, &machine->census), 0);
	victim_choose(&machine->census, request, &reader, &result);
}

pid_t choose_by(struct machine *machine, enum policy_rank_by rank_by)
{
	struct victim_request request = {
		.rank_by = rank_by,
		.allocated = machine->allocated,
		.total = 16 * GIB,
		.now = 1000 * USEC_PER_SEC,
		.self = 1 << 20,
		.n_wanted = VICTIM_RANKED_MAX,
	};

	choose_for(machine, &request);
	return result.n_ranked > 0 ? result.ranked[0].process->pid : -1;
}

pid_t choose(struct machine *machine)
{
	return choose_by(machine, POLICY_RANK_BY_FOOTPRINT);
}

int teardown(void **state)
{
	victim_done(&result);
	return 0;
}
