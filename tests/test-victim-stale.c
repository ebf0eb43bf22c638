/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim from a stale snapshot, against brute force: part of it was read again, the rest is as old
 * as up to 100 GiB of allocations; memory is shared; reads are limited (stale-machine.h).
 *
 * A choice that is cut is continued up to CUT_MAX times, as the daemon does.  The victim's true
 * score is then at least RIGHT_PERCENT of the best there is, or the result says that it is
 * approximate.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/stale-machine.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define CUT_MAX	      4 /* as in daemon/tick.c */
#define RIGHT_PERCENT 90
#define SEED	      20250710

#ifdef __SANITIZE_ADDRESS__
#	define MACHINES 5000
#else
#	define MACHINES 100000
#endif

static const struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
static const struct rule protection = { .kind = RULE_PROTECT };

struct run {
	struct stale_machine *machine;
	struct policy_set policies;
	struct census census;
	struct victim_request request;
	unsigned rereads_left, n_rereads_each; /* of one choice */
	unsigned n_choices, n_reads;
	unsigned late_percent; /* precise reads that get no answer */
	bool was_read[STALE_MAX];
};

static struct victim_result result;

#define index_of(process) ((size_t)((process)->pid - 100))

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
	census_count(census, process, &memory, run->request.allocated, run->request.now);
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
		census_count(&run->census, process, &reading.memory, allocated,
			     moment == 0 ? now - 10 * USEC_PER_SEC : now);
	else
		census_count_resident(&run->census, process, view.anon, view.file + view.shmem,
				      allocated, now);
	if (moment == 0 || !machine->processes[i].is_measured)
		return;
	(void)victim_apply_share(&run->census, process, &run->request, &reading);
	process->fair_share = reclaimable_total(&reading.reclaimable);
	census_count(&run->census, process, &reading.memory, allocated, now);
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
	assert_int_equal(census_place(&run->census, process, stale_cgroups[p->cgroup]), 0);
	census_weigh(&run->census, process);
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

/* order: in which they are added. */
static void run_init(struct run *run, struct stale_machine *machine, const size_t *order)
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
	census_tighten(&run->census, machine->allocated[machine->fresh_permyriad == PERMYRIAD]);
	assert_int_equal(victim_reserve(&result, &run->census), 0);
}

static void choose(struct run *run)
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

static void shuffle(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t k = stale_below(i), swap = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swap;
	}
}

static const enum policy_rank_by rank_bys[] = {
	[STALE_RANK_FOOTPRINT] = POLICY_RANK_BY_FOOTPRINT,
	[STALE_RANK_SWAP] = POLICY_RANK_BY_SWAP,
	[STALE_RANK_BADNESS] = POLICY_RANK_BY_BADNESS,
	[STALE_RANK_GROWTH] = POLICY_RANK_BY_GROWTH,
};

struct tally_of {
	unsigned n_chosen, n_none, n_wrong, n_approximate, n_approximate_known, n_known;
	unsigned n_silent; /* wrong, and does not say so */
	unsigned n_choices, n_reads;
};

/* True: the victim is wrong, and the result does not say so. */
static bool note(const struct run *run, bool right, struct tally_of *tally)
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

static void judge(const struct run *run, enum stale_rank rank, unsigned round,
		  struct tally_of *tally)
{
	const struct stale_machine *machine = run->machine;
	bool reluctantly, right;
	uint64_t best = stale_best(machine, rank, &reluctantly), score = 0;
	size_t victim = SIZE_MAX;

	if (result.n_ranked > 0) {
		victim = index_of(result.ranked[0].process);
		if (!run->was_read[victim] || !result.ranked[0].is_read)
			fail_msg("machine %u: the victim was not read", round);
		if (machine->processes[victim].is_gone ||
		    stale_class(machine, victim) == STALE_REFUSED)
			fail_msg("machine %u: no candidate was chosen", round);
		score = stale_score(machine, victim, rank, reluctantly);
		if (!reluctantly && stale_class(machine, victim) == STALE_RELUCTANT)
			score = 0;
	}
	right = (double)score >= (double)best * RIGHT_PERCENT / 100;
	if (!note(run, right, tally))
		return;
	tally->n_silent++;
	if (tally->n_silent <= 8)
		print_message("machine %u: %zu of %" PRIu64 " MiB, best %" PRIu64
			      " MiB, n %zu, known %d, swap %d, current %d, choices %u, reads %u, "
			      "cut %d\n",
			      round, victim, score / MIB, best / MIB, machine->n,
			      machine->totals_are_known, machine->with_swap,
			      machine->share_is_current, run->n_choices, run->n_reads,
			      result.is_cut);
}

static void print_tally(const char *name, const struct tally_of *tally)
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

/* Enough for all; in a quarter of the machines less. */
static unsigned random_budget(size_t n)
{
	return (unsigned)(stale_below(4) != 0 ? n : 1 + stale_below(n));
}

static void try_machines(enum stale_rank rank, bool with_groups, unsigned n_machines,
			 struct tally_of *tally)
{
	static struct stale_machine machine;

	stale_rng = SEED + rank;
	for (unsigned round = 0; round < n_machines; round++) {
		struct run run = { .request.rank_by = rank_bys[rank] };
		size_t order[STALE_MAX];
		bool is_late;
		pid_t victim;

		stale_machine_make(&machine, with_groups);
		stale_machine_read_round(&machine);
		run.n_rereads_each = random_budget(machine.n);
		run.late_percent = stale_below(20) == 0 ? 50 : 0;
		is_late = run.late_percent > 0;
		shuffle(order, machine.n);
		run_init(&run, &machine, order);
		choose(&run);
		judge(&run, rank, round, tally);
		victim = result.n_ranked > 0 ? result.ranked[0].process->pid : 0;
		census_done(&run.census);
		if (round % 4 != 0 || is_late)
			continue;
		shuffle(order, machine.n);
		run_init(&run, &machine, order);
		choose(&run);
		if ((result.n_ranked > 0 ? result.ranked[0].process->pid : 0) != victim)
			fail_msg("machine %u: another order, another victim", round);
		census_done(&run.census);
	}
}

static void test_stale_by_footprint(void **state)
{
	struct tally_of tally = { 0 };

	print_message("seed %d\n", SEED);
	try_machines(STALE_RANK_FOOTPRINT, true, MACHINES, &tally);
	print_tally("footprint", &tally);
	assert_int_equal(tally.n_silent, 0);
	/* In a quarter of the machines less than all can be read in one choice, evenly from one to
	 * all; less than a fifth is too little for CUT_MAX + 1 choices: 5 %.  In another 5 % half
	 * of the precise reads get no answer. */
	assert_true(tally.n_approximate_known < tally.n_known / 10);
}

static void test_stale_by_other_ranks(void **state)
{
	static const char *const names[] = { "footprint", "swap", "badness", "growth" };

	for (enum stale_rank rank = STALE_RANK_SWAP; rank <= STALE_RANK_GROWTH; rank++) {
		struct tally_of tally = { 0 };

		try_machines(rank, true, MACHINES / 10, &tally);
		print_tally(names[rank], &tally);
		assert_int_equal(tally.n_silent, 0);
	}
}

static bool is_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	return strncmp(path, above, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* What killing this cgroup would free of its own processes; 0: it is no candidate.  (Nothing is
 * shared.)  Those in cgroups below may forbid it. */
static uint64_t cgroup_score(const struct stale_machine *machine, unsigned cgroup,
			     enum stale_class wanted)
{
	enum stale_class class = STALE_REFUSED;
	uint64_t sum = 0;

	if (strcmp(stale_cgroups[cgroup], "/") == 0)
		return 0;
	for (size_t i = 0; i < machine->n; i++) {
		const struct stale_process *p = &machine->processes[i];
		struct stale_view view = stale_view(machine, i, STALE_NOW);

		if (p->is_gone || !is_below(stale_cgroups[p->cgroup], stale_cgroups[cgroup]))
			continue;
		if (p->adj == -1000)
			return 0;
		if (stale_class(machine, i) == STALE_REFUSED)
			continue; /* spared */
		if (stale_class(machine, i) > class)
			class = stale_class(machine, i);
		if (p->cgroup == cgroup && stale_class(machine, i) >= wanted)
			sum += stale_mapped(&view);
	}
	return class == wanted && sum >= STALE_MIN_VICTIM ? sum : 0;
}

/* Those directly in the root compete as single processes. */
static uint64_t top_score(const struct stale_machine *machine, size_t i, enum stale_class wanted)
{
	const struct stale_process *p = &machine->processes[i];

	if (strcmp(stale_cgroups[p->cgroup], "/") != 0 || stale_class(machine, i) != wanted)
		return 0;
	return stale_score(machine, i, STALE_RANK_FOOTPRINT, wanted == STALE_RELUCTANT);
}

static uint64_t best_cgroup(const struct stale_machine *machine, enum stale_class *ret_class)
{
	uint64_t best = 0;

	for (enum stale_class c = STALE_ELIGIBLE; c > STALE_REFUSED && best == 0; c--) {
		for (unsigned i = 0; i < STALE_N_CGROUPS; i++) {
			best = max_u64(best, cgroup_score(machine, i, c));
			*ret_class = c;
		}
		for (size_t i = 0; i < machine->n; i++)
			best = max_u64(best, top_score(machine, i, c));
	}
	return best;
}

static const char *name_victim(char buf[static 16])
{
	const struct victim_candidate *victim = &result.ranked[0];

	if (result.n_ranked == 0)
		buf[0] = '\0';
	else if (victim->cgroup)
		snprintf(buf, 16, "%s", victim->cgroup->path);
	else
		snprintf(buf, 16, "%d", victim->process->pid);
	return buf;
}

static void judge_cgroup(const struct run *run, unsigned round, struct tally_of *tally)
{
	const struct stale_machine *machine = run->machine;
	enum stale_class class = STALE_ELIGIBLE;
	uint64_t best = best_cgroup(machine, &class), score = 0;
	char name[16];
	bool right;

	if (result.n_ranked > 0 && result.ranked[0].process)
		score = top_score(machine, index_of(result.ranked[0].process), class);
	for (unsigned i = 0; i < STALE_N_CGROUPS && result.n_ranked > 0; i++)
		if (result.ranked[0].cgroup &&
		    strcmp(stale_cgroups[i], result.ranked[0].cgroup->path) == 0)
			score = cgroup_score(machine, i, class);
	if (result.n_ranked > 0 && !result.ranked[0].is_read)
		fail_msg("machine %u: the victim was not read", round);
	right = (double)score >= (double)best * RIGHT_PERCENT / 100;
	if (!note(run, right, tally))
		return;
	if (tally->n_silent++ < 8)
		print_message("machine %u: %s of %" PRIu64 " MiB, best %" PRIu64 " MiB\n", round,
			      name_victim(name), score / MIB, best / MIB);
}

static void test_stale_by_cgroup(void **state)
{
	static struct stale_machine machine;
	struct tally_of tally = { 0 };

	stale_rng = SEED + 100;
	for (unsigned round = 0; round < MACHINES / 5; round++) {
		struct run run = { .request.target = POLICY_TARGET_CGROUP };
		size_t order[STALE_MAX];
		char victim[16] = "", other[16];

		stale_machine_make(&machine, false);
		/* That a process has vanished which forbids to kill a cgroup is not searched for.
		 */
		for (size_t i = 0; i < machine.n; i++)
			machine.processes[i].is_gone = machine.processes[i].is_gone &&
						       !machine.processes[i].is_protected &&
						       machine.processes[i].adj != -1000;
		if (stale_below(4) != 0) /* else hardly any cgroup is a candidate */
			for (size_t i = 0; i < machine.n; i++) {
				machine.processes[i].is_protected = false;
				machine.processes[i].adj =
					(short)max_u64((uint64_t)(machine.processes[i].adj + 1000),
						       1) -
					1000;
			}
		stale_machine_read_round(&machine);
		run.n_rereads_each = random_budget(machine.n);
		for (unsigned turn = 0; turn < (round % 4 == 0 ? 2 : 1); turn++) {
			shuffle(order, machine.n);
			run_init(&run, &machine, order);
			choose(&run);
			if (turn == 0)
				judge_cgroup(&run, round, &tally);
			else if (!result.is_cut && strcmp(victim, name_victim(other)) != 0)
				fail_msg("machine %u: another order, another victim", round);
			name_victim(victim);
			census_done(&run.census);
		}
	}
	print_tally("cgroup", &tally);
	assert_int_equal(tally.n_silent, 0);
}

static int teardown(void **state)
{
	victim_done(&result);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_by_footprint),
		cmocka_unit_test(test_stale_by_other_ranks),
		cmocka_unit_test(test_stale_by_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
