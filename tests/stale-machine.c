/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stale-machine: makes the machines, lets them run, and computes what each kill would free. */
#include "tests/stale-machine.h"

#include <stdlib.h>
#include <string.h>

const char *const stale_cgroups[STALE_N_CGROUPS] = { "/", "/a", "/a/b", "/a/b/c", "/d", "/e/f" };

uint64_t stale_rng;

uint64_t stale_below(uint64_t n)
{
	stale_rng ^= stale_rng >> 12;
	stale_rng ^= stale_rng << 25;
	stale_rng ^= stale_rng >> 27;
	return n == 0 ? 0 : (stale_rng * 0x2545f4914f6cdd1dULL >> 16) % n;
}

static bool one_in(unsigned n)
{
	return stale_below(n) == 0;
}

/* As many small as large ones, whatever the scale. */
static uint64_t log_uniform(uint64_t from, uint64_t to)
{
	unsigned doublings = 0;
	uint64_t base;

	while (from << (doublings + 1) <= to)
		doublings++;
	base = from << stale_below(doublings + 1);
	return min_u64(to, base + stale_below(base));
}

static unsigned n_sharers(const struct stale_machine *machine, int group, unsigned moment)
{
	unsigned n = 0;

	for (size_t i = 0; i < machine->n; i++) {
		const struct stale_process *p = &machine->processes[i];

		n += p->group == group && !(p->is_new && moment == 0) &&
		     !(p->is_gone && moment == STALE_NOW);
	}
	return n;
}

struct stale_view stale_view(const struct stale_machine *machine, size_t i, unsigned moment)
{
	const struct stale_process *p = &machine->processes[i];
	const struct stale_memory *m = &p->at[moment];
	struct stale_view view = {
		.anon = m->anon,
		.swap = m->swap,
		.shmem = m->memfd + m->tmpfs,
		.file = m->file,
		.pagetables = m->pagetables,
		.fair_anon = m->anon,
		.fair_shmem = m->memfd,
		.alone = m->anon + m->swap + m->memfd + m->pagetables,
	};
	uint64_t common;
	unsigned n;

	if (p->group < 0)
		return view;
	common = machine->groups[p->group].common[moment];
	n = n_sharers(machine, p->group, moment);
	if (n <= 1)
		view.alone += common;
	n = n == 0 ? 1 : n;
	if (machine->groups[p->group].is_shmem) {
		view.shmem += common;
		view.fair_shmem += common / n;
	} else {
		view.anon += common;
		view.fair_anon += common / n;
	}
	return view;
}

uint64_t stale_mapped(const struct stale_view *view)
{
	return view->anon + view->swap + view->shmem + view->pagetables;
}

struct stale_memory stale_totals(const struct stale_machine *machine)
{
	struct stale_memory sum = { 0 };

	for (size_t i = 0; i < machine->n; i++) {
		const struct stale_memory *m = &machine->processes[i].at[STALE_NOW];

		if (machine->processes[i].is_gone)
			continue;
		sum.anon += m->anon;
		sum.swap += m->swap;
		sum.memfd += m->memfd + m->tmpfs;
		sum.pagetables += m->pagetables;
	}
	for (size_t g = 0; g < machine->n_groups; g++) {
		const struct stale_group *group = &machine->groups[g];

		if (n_sharers(machine, (int)g, STALE_NOW) == 0)
			continue;
		*(group->is_shmem ? &sum.memfd : &sum.anon) += group->common[STALE_NOW];
	}
	return sum;
}

enum stale_class stale_class(const struct stale_machine *machine, size_t i)
{
	const struct stale_process *p = &machine->processes[i];

	if (p->is_gone || p->is_protected || p->adj == -1000)
		return STALE_REFUSED;
	return p->adj < -900 ? STALE_RELUCTANT : STALE_ELIGIBLE;
}

/* As they are now: killable or refused. */
static unsigned n_relatives(const struct stale_machine *machine, size_t i, bool are_refused)
{
	const struct stale_process *p = &machine->processes[i];
	unsigned n = 0;

	if (p->group < 0 || !p->is_related)
		return 0;
	for (size_t k = 0; k < machine->n; k++)
		n += k != i && machine->processes[k].group == p->group &&
		     !machine->processes[k].is_gone &&
		     (stale_class(machine, k) == STALE_REFUSED) == are_refused;
	return n;
}

uint64_t stale_value(const struct stale_machine *machine, size_t i, bool *ret_is_unit)
{
	struct stale_view view = stale_view(machine, i, STALE_NOW);
	uint64_t fair = view.fair_anon + view.swap + view.fair_shmem + view.pagetables;
	uint64_t shared = fair - view.alone, common;
	unsigned n = 0, n_refused = 0;

	if (ret_is_unit)
		*ret_is_unit = false;
	if (shared > view.alone / 4) {
		n = n_relatives(machine, i, false);
		n_refused = n_relatives(machine, i, true);
	}
	if (n_refused > 0)
		return view.alone;
	common = min_u64(stale_mapped(&view) - view.alone, shared * (n + 1));
	if (n > 0 && common > view.alone) {
		if (ret_is_unit)
			*ret_is_unit = true;
		return view.alone + common / 2;
	}
	return fair;
}

uint64_t stale_freed(const struct stale_machine *machine, size_t i)
{
	const struct stale_process *p = &machine->processes[i];
	struct stale_view view = stale_view(machine, i, STALE_NOW);
	uint64_t freed = view.alone;
	bool is_unit, any_left = false;

	(void)stale_value(machine, i, &is_unit);
	if (!is_unit)
		return freed;
	for (size_t k = 0; k < machine->n; k++) {
		if (k == i || machine->processes[k].group != p->group ||
		    machine->processes[k].is_gone)
			continue;
		if (stale_class(machine, k) == STALE_REFUSED) {
			any_left = true;
			continue;
		}
		view = stale_view(machine, k, STALE_NOW);
		freed += view.alone;
	}
	return any_left ? freed : freed + machine->groups[p->group].common[STALE_NOW];
}

static uint64_t weighted(const struct stale_process *p, uint64_t bytes, bool reluctantly)
{
	int factor = 1000 + p->adj < 1 ? 1 : 1000 + p->adj;

	return reluctantly ? bytes : (uint64_t)((double)bytes * factor / 1000 * (double)p->weight);
}

static uint64_t badness(const struct stale_machine *machine, const struct stale_process *p,
			const struct stale_view *view)
{
	uint64_t points = view->anon + view->swap + view->shmem + view->file + view->pagetables;
	uint64_t shift = machine->total / 1000 * (uint64_t)abs(p->adj);

	points = p->adj < 0 ? sub_u64(points, shift) : points + shift;
	return (uint64_t)((double)points * (double)p->weight);
}

uint64_t stale_score(const struct stale_machine *machine, size_t i, enum stale_rank rank,
		     bool reluctantly)
{
	const struct stale_process *p = &machine->processes[i];
	struct stale_view view = stale_view(machine, i, STALE_NOW), then;
	uint64_t value = stale_value(machine, i, NULL);

	if (value < STALE_MIN_VICTIM)
		return 0;
	switch (rank) {
	case STALE_RANK_SWAP:
		return weighted(p, view.swap, reluctantly);
	case STALE_RANK_BADNESS:
		return badness(machine, p, &view);
	case STALE_RANK_GROWTH:
		then = stale_view(machine, i,
				  p->is_new || (p->is_fresh && !machine->share_is_current));
		return weighted(p,
				min_u64(value, sub_u64(stale_mapped(&view), stale_mapped(&then))),
				reluctantly);
	case STALE_RANK_FOOTPRINT:
		break;
	}
	return weighted(p, value, reluctantly);
}

static bool is_worth_it(const struct stale_machine *machine, size_t i)
{
	return stale_value(machine, i, NULL) >= STALE_MIN_VICTIM;
}

uint64_t stale_best(const struct stale_machine *machine, enum stale_rank rank,
		    bool *ret_reluctantly)
{
	enum stale_class class = STALE_RELUCTANT;
	uint64_t best = 0;

	for (size_t i = 0; i < machine->n; i++)
		if (stale_class(machine, i) == STALE_ELIGIBLE && is_worth_it(machine, i))
			class = STALE_ELIGIBLE;
	for (size_t i = 0; i < machine->n; i++)
		if (stale_class(machine, i) == class)
			best = max_u64(best,
				       stale_score(machine, i, rank, class == STALE_RELUCTANT));
	*ret_reluctantly = class == STALE_RELUCTANT;
	return best;
}

static void make_process(struct stale_machine *machine, size_t i, bool with_tmpfs)
{
	struct stale_process *p = &machine->processes[i];
	struct stale_memory *m = &p->at[0];
	uint64_t size = log_uniform(256 * KIB, one_in(4) ? 4 * GIB : 128 * MIB);

	*p = (struct stale_process){
		.pid = (pid_t)(100 + i),
		.ppid = 1,
		.session = (pid_t)(100 + i),
		.start_ticks = 1000 + stale_below(1000000),
		.code_pages = 1000 + (unsigned)i,
		.weight = one_in(6) ? 0.5F : 1,
		.group = -1,
		.cgroup = (unsigned)stale_below(STALE_N_CGROUPS),
		.is_protected = one_in(40),
	};
	if (one_in(3))
		p->adj = (short)((int)stale_below(2001) - 1000);
	if (one_in(20))
		p->adj = one_in(2) ? -1000 : -950;
	m->anon = size;
	m->file = stale_below(8 * MIB);
	m->pagetables = size / 400;
	if (machine->with_swap && one_in(3)) {
		m->swap = stale_below(size);
		m->anon -= m->swap;
	}
	if (one_in(8))
		m->memfd = log_uniform(MIB, 2 * GIB);
	if (with_tmpfs && one_in(10))
		m->tmpfs = log_uniform(MIB, 8 * GIB);
}

/* A server with workers, with or without its first process; or what shares a memfd. */
static void make_group(struct stale_machine *machine)
{
	int id = (int)machine->n_groups++;
	struct stale_group *group = &machine->groups[id];
	size_t n = 2 + stale_below(one_in(4) ? 24 : 4), first = stale_below(machine->n);
	bool is_related = !one_in(4), has_parent = !one_in(3);
	const struct stale_process *parent = NULL;

	group->is_shmem = one_in(3);
	group->common[0] = log_uniform(MIB, 8 * GIB);
	for (size_t i = first; i < machine->n && n > 0; i++) {
		struct stale_process *p = &machine->processes[i];

		if (p->group >= 0)
			continue;
		p->group = id;
		p->is_related = is_related;
		n--;
		if (one_in(2)) /* most that it has is shared */
			p->at[0].anon = p->at[0].anon / 16 + 64 * KIB;
		if (!is_related)
			continue;
		if (!parent)
			parent = p;
		p->uid = 500 + (uid_t)id;
		p->code_pages = 10 + (unsigned)id;
		p->session = parent->pid;
		p->start_ticks = max_u64(p->start_ticks, parent->start_ticks);
		if (has_parent && p != parent)
			p->ppid = parent->pid;
	}
}

/* From one moment to the next: what was allocated, and by which process. */
static void let_pass(struct stale_machine *machine, unsigned to, uint64_t allocated)
{
	uint64_t left = allocated;
	size_t grows = stale_below(machine->n);

	for (size_t i = 0; i < machine->n; i++) {
		struct stale_process *p = &machine->processes[i];
		struct stale_memory *m = &p->at[to];
		uint64_t gain;

		*m = p->at[to - 1];
		if (one_in(8)) {
			m->anon = stale_below(m->anon + 1);
			m->memfd = stale_below(m->memfd + 1);
		}
		if (machine->with_swap && one_in(8)) { /* swapped out, or in */
			uint64_t all = m->anon + m->swap;

			m->swap = stale_below(all + 1);
			m->anon = all - m->swap;
		}
		gain = i == grows  ? stale_below(min_u64(left, 16 * GIB) + 1)
		       : one_in(4) ? stale_below(min_u64(left, 64 * MIB) + 1)
				   : 0;
		left -= gain;
		if (one_in(4))
			m->memfd += gain;
		else
			m->anon += gain;
	}
	for (size_t g = 0; g < machine->n_groups; g++) {
		struct stale_group *group = &machine->groups[g];
		uint64_t copied;

		group->common[to] = group->common[to - 1];
		if (group->is_shmem || !one_in(4) || n_sharers(machine, (int)g, to) == 0)
			continue;
		/* Each writes to what they had in common, and has a copy of its own then. */
		copied = stale_below(
			min_u64(group->common[to], left / n_sharers(machine, (int)g, to)) + 1);
		group->common[to] -= copied;
		for (size_t i = 0; i < machine->n; i++)
			if (machine->processes[i].group == (int)g) {
				machine->processes[i].at[to].anon += copied;
				left -= copied;
			}
	}
}

void stale_machine_make(struct stale_machine *machine, bool with_groups)
{
	size_t n = 2 + stale_below(one_in(12) ? STALE_MAX - 2 : 50);
	uint64_t allocated = log_uniform(MIB, 100 * GIB), first, later;
	uint64_t kind = stale_below(3);

	*machine = (struct stale_machine){
		.n = n,
		.with_swap = one_in(2),
		.totals_are_known = !one_in(4),
		.share_is_current = one_in(2),
		.total = 16 * GIB,
	};
	for (size_t i = 0; i < n; i++)
		make_process(machine, i, with_groups);
	for (uint64_t g = with_groups && one_in(2) ? 1 + stale_below(3) : 0; g > 0; g--)
		make_group(machine);
	machine->allocated[0] = GIB;
	first = stale_below(allocated);
	machine->allocated[1] = GIB + first;
	machine->allocated[2] = GIB + allocated;
	if (kind == 0) { /* a new leak: it is read when it is found, and small then */
		struct stale_process *p = &machine->processes[stale_below(n)];

		if (p->group < 0) {
			p->is_new = true;
			p->start_ticks = 2000000;
			p->at[0] = (struct stale_memory){ 0 };
		}
	}
	let_pass(machine, 1, first);
	later = (allocated - first) / 2;
	let_pass(machine, 2, kind == 1 ? 0 : later);
	if (kind == 0 || kind == 2) { /* new, or old and small: half of it is allocated by one */
		size_t i = stale_below(n);

		for (size_t k = 0; k < n && kind == 0; k++)
			i = machine->processes[k].is_new ? k : i;
		machine->processes[i].at[2] = machine->processes[i].at[1];
		machine->processes[i].at[2].anon += min_u64(later, 12 * GIB);
	}
	for (size_t i = 0; i < n; i++)
		machine->processes[i].is_gone = machine->processes[i].group < 0 && one_in(30);
	machine->fresh_permyriad = (unsigned)stale_below(10001);
}

static const struct stale_machine *sorted;

static int compare(const void *a, const void *b)
{
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	struct stale_view x = stale_view(sorted, i, 0), y = stale_view(sorted, k, 0);
	uint64_t mx = stale_mapped(&x), my = stale_mapped(&y);

	return mx != my ? (mx < my) - (mx > my) : (i > k) - (i < k);
}

void stale_machine_read_round(struct stale_machine *machine)
{
	size_t order[STALE_MAX], n_fresh = machine->n * machine->fresh_permyriad / PERMYRIAD;

	for (size_t i = 0; i < machine->n; i++)
		order[i] = i;
	sorted = machine;
	qsort(order, machine->n, sizeof(order[0]), compare);
	for (size_t i = 0; i < machine->n; i++) {
		struct stale_process *p = &machine->processes[order[i]];

		p->is_fresh = p->is_new || i < n_fresh;
		p->is_measured = p->is_fresh && stale_below(3) == 0;
	}
}
