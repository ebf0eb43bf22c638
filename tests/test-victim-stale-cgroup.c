/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim from a stale snapshot, against brute force, where the policy kills cgroups: see
 * tests/test-victim-stale.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/select/victim.h"
#include "tests/stale-machine.h"
#include "tests/victim-stale-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_by_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
