/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim-stale-fixture: makes a census of a random machine, chooses from it, and tells how far off
 * it is.
 */
#include "tests/victim-stale-fixture.h"

#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/stale-machine.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define CUT_MAX 4 /* as in daemon/tick/tick.c */

static const struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
static const struct rule protection = { .kind = RULE_PROTECT };

struct victim_result result;

static struct proc_memory memory_of(const struct stale_view *view)
{
	return (struct proc_memory){
		.anon = view->anon,
		.swap = view->swap,
		.shared = view->file + view->shmem,
		.shmem = view->shmem,
		.pagetables = view->pagetables,
	};
}

static struct victim_reading reading_of(const struct stale_machine *machine, size_t i,
					unsigned moment)
{
	struct stale_view view = stale_view(machine, i, moment);

	return (struct victim_reading){
		.memory = memory_of(&view),
		.oom_score_adj = machine->processes[i].adj,
		.has_reclaimable = true,
		.reclaimable = {
			.anon = view.fair_anon,
			.swap = view.swap,
			.shmem = view.fair_shmem,
			.pagetables = view.pagetables,
			.alone = view.alone,
			.full = memory_of(&view),
		},
	};
}

static int read_precisely(const struct census_process *process, struct victim_reading *ret,
			  void *userdata)
{
	struct run *run = userdata;
	size_t i = index_of(process);

	run->n_reads++;
	if (run->machine->processes[i].is_gone)
		return VICTIM_READ_GONE;
	if (run->late_percent > 0 && stale_below(100) < run->late_percent)
		return VICTIM_READ_LATE;
	*ret = reading_of(run->machine, i, STALE_NOW);
	run->was_read[i] = true;
	return 0;
}

static int reread(struct census *census, struct census_process *process, void *userdata)
{
	struct run *run = userdata;
	size_t i = index_of(process);
	struct stale_view view = stale_view(run->machine, i, STALE_NOW);
	struct proc_memory memory = memory_of(&view);

	if (run->rereads_left == 0)
		return VICTIM_READ_LATE;
	run->rereads_left--;
	if (run->machine->processes[i].is_gone)
		return VICTIM_READ_GONE;
	census_set_memory(census, process, &memory, run->request.allocated, run->request.now);
	run->was_read[i] = true;
	return 0;
}

/* As the census reads at the first moment, or in a round at the second. */
static void count(struct run *run, size_t i, unsigned moment)
{
	const struct stale_machine *machine = run->machine;
	struct census_process *process = census_find(&run->census, machine->processes[i].pid);
	struct stale_view view = stale_view(machine, i, moment);
	struct victim_reading reading = reading_of(machine, i, moment);
	usec_t now = run->request.now - (machine->share_is_current ? 1 : 30) * USEC_PER_SEC;
	uint64_t allocated = machine->allocated[moment];

	if (moment == 0 || machine->with_swap)
		census_set_memory(&run->census, process, &reading.memory, allocated,
				  moment == 0 ? now - 10 * USEC_PER_SEC : now);
	else
		census_set_resident(&run->census, process, view.anon, view.file + view.shmem,
				    allocated, now);
	if (moment == 0 || !machine->processes[i].is_measured)
		return;
	(void)victim_apply_share(&run->census, process, &run->request, &reading);
	process->fair_share = reclaimable_total(&reading.reclaimable);
	census_set_memory(&run->census, process, &reading.memory, allocated, now);
}

static void add(struct run *run, size_t i)
{
	const struct stale_process *p = &run->machine->processes[i];
	struct census_process *process = census_add(&run->census, p->pid, p->start_ticks);

	assert_non_null(process);
	process->state = 'S';
	process->n_threads = 1;
	process->ppid = p->ppid;
	process->session = p->session;
	process->uid = p->uid;
	process->code_pages = p->code_pages;
	process->oom_score_adj = p->adj;
	process->weight = p->weight;
	process->protected_by = p->is_protected ? &protection : NULL;
	assert_int_equal(census_attach(&run->census, process, stale_cgroups[p->cgroup]), 0);
	census_update_eligibility(&run->census, process);
}

static void set_totals(struct run *run)
{
	struct stale_memory totals = stale_totals(run->machine);
	struct memory_counters counters = {
		.anon = run->machine->totals_are_known ? totals.anon : 0,
		.swap_total = totals.swap,
		.shmem = totals.memfd,
		.page_tables = totals.pagetables,
	};

	census_set_totals(&run->census, &counters);
}

void run_init(struct run *run, struct stale_machine *machine, const size_t *order)
{
	run->machine = machine;
	run->policies = (struct policy_set){ .subtree = everything };
	run->request.now = 1000 * USEC_PER_SEC;
	run->request.self = 1 << 20;
	run->request.total = machine->total;
	run->request.min_victim = STALE_MIN_VICTIM;
	run->request.allocated = machine->allocated[STALE_NOW];
	assert_int_equal(census_init(&run->census, -1, NULL, &exact, &run->policies), 0);
	run->census.with_swap = machine->with_swap;
	for (size_t k = 0; k < machine->n; k++)
		add(run, order[k]);
	for (size_t k = 0; k < machine->n; k++)
		if (!machine->processes[order[k]].is_new)
			count(run, order[k], 0);
	set_totals(run); /* those of now: the machine's own are never old */
	for (size_t k = 0; k < machine->n; k++)
		if (machine->processes[order[k]].is_fresh)
			count(run, order[k], 1);
	census_recompute_bounds(&run->census,
				machine->allocated[machine->fresh_permyriad == PERMYRIAD]);
	assert_int_equal(victim_reserve(&result, &run->census), 0);
}

void choose(struct run *run)
{
	const struct victim_reader reader = { read_precisely, reread, run };

	run->n_choices = 0;
	do {
		run->rereads_left = run->n_rereads_each;
		run->n_reads = 0;
		memset(run->was_read, 0, sizeof(run->was_read));
		victim_choose(&run->census, &run->request, &reader, &result);
		run->n_choices++;
		if (run->n_reads > VICTIM_MAX_READS || result.n_reads > VICTIM_MAX_READS)
			fail_msg("%u precise reads", run->n_reads);
		run->request.now += 1 * USEC_PER_MSEC;
	} while (result.is_cut && run->n_choices <= CUT_MAX);
}

void shuffle(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t k = stale_below(i), swap = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swap;
	}
}

bool note(const struct run *run, bool right, struct tally_of *tally)
{
	bool known = run->machine->totals_are_known;

	tally->n_chosen += result.n_ranked > 0;
	tally->n_none += result.n_ranked == 0;
	tally->n_choices += run->n_choices;
	tally->n_reads += run->n_reads;
	tally->n_wrong += !right;
	tally->n_known += known;
	tally->n_approximate += result.approximate;
	tally->n_approximate_known += result.approximate && known;
	return !right && !result.approximate && (!result.is_cut || result.n_ranked > 0);
}

void print_tally(const char *name, const struct tally_of *tally)
{
	print_message("%s: %u machines, %u without a victim; victim below %d%%: %u, of which %u "
		      "are not said to be approximate; approximate: %u, of which %u of the %u "
		      "with totals; %.3f choices, %.2f precise reads in the last\n",
		      name, tally->n_chosen + tally->n_none, tally->n_none, RIGHT_PERCENT,
		      tally->n_wrong, tally->n_silent, tally->n_approximate,
		      tally->n_approximate_known, tally->n_known,
		      (double)tally->n_choices / (tally->n_chosen + tally->n_none),
		      (double)tally->n_reads / (tally->n_chosen + tally->n_none));
}

unsigned random_budget(size_t n)
{
	return (unsigned)(stale_below(4) != 0 ? n : 1 + stale_below(n));
}

int teardown(void **state)
{
	victim_done(&result);
	return 0;
}
