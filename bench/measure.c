/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure: the steps that are timed, and their medians. */
#include "bench/measure.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/probe.h"
#include "bench/trace.h"
#include "lib/base/cleanup.h"
#include "lib/select/reader.h"

#define N_COLD	    5
#define N_SWEEPS    20
#define N_STALE	    100
#define N_TURNS	    200
#define SAMPLE_USEC (250 * USEC_PER_MSEC)
/* As in daemon/tick/tick.c. */
#define CUT_MAX		   4
#define REREAD_BUDGET_USEC (40 * USEC_PER_MSEC)
#define MIN_VICTIM_BYTES   (4 * MIB)
/* Taken as allocated since the last round, besides what was: half of what makes a round due. */
#define SINCE_ROUND (32 * MIB)
/* So much that any process may be the largest by now, and all have to be read. */
#define SINCE_ROUND_LATE (1 * GIB)

const char *const measure_names[N_MEASURES] = {
	[FULL_SAMPLE] = "full sample of /proc",
	[BY_LIBPROC2] = "the same by libproc2",
	[STATM_ONCE] = "statm of each, once",
	[SWEEP] = "first sweep of the census",
	[ROUND] = "round of the census",
	[NONE_NEW] = "no new process",
	[DECISION] = "decision",
	[DECISION_BY_CLOCK] = "decision, by the clock",
	[STALE_DECISION] = "decision, stale snapshot",
	[STALE_DECISION_BY_CLOCK] = "the same, by the clock",
	[ROUND_WITH_SWAP] = "round, swap in use",
	[ROUND_SWAPPING] = "round, while it is swapped",
	[COMPARING] = "comparing, in 250 ms of watch",
};

static double usec_by(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static usec_t clock_usec(void)
{
	return (usec_t)usec_by(CLOCK_MONOTONIC);
}

/* CPU time, user's and kernel's. */
static double now_usec(void)
{
	return usec_by(CLOCK_PROCESS_CPUTIME_ID);
}

static void note(struct bench *bench, enum measure what, double usec)
{
	struct series *series = &bench->series[what];

	if (series->n < ARRAY_SIZE(series->values))
		series->values[series->n++] = usec;
}

static void note_since(struct bench *bench, enum measure what, double began)
{
	note(bench, what, now_usec() - began);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile(struct series *series, unsigned percent)
{
	if (series->n == 0)
		return 0;
	qsort(series->values, series->n, sizeof(series->values[0]), compare);
	return series->values[(series->n - 1) * percent / 100];
}

static size_t bytes_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static bool with_swap(const struct bench *bench)
{
	return bench->reading.counters.swap_free < bench->reading.counters.swap_total;
}

static int find_new(struct bench *bench, usec_t now)
{
	struct census *census = &bench->census;
	int r = census_find_new(census, now, bench->reading.allocated);

	if (r > 0)
		r = census_list(census, now, bench->reading.allocated, with_swap(bench), NULL, 0);
	return r < 0 ? r : 0;
}

/* As the daemon's tick keeps it: new processes, and all again if so much was allocated. */
static int keep_census(struct bench *bench, bool round_is_due)
{
	struct census *census = &bench->census;
	double began;
	int r;

	r = memory_sample(bench->memory, &bench->reading);
	if (r == 0)
		r = find_new(bench, clock_usec());
	if (r == 0)
		r = victim_reserve(&bench->choice, census);
	if (r < 0 || (!round_is_due && !census_is_stale(census, bench->reading.allocated)))
		return r;
	began = now_usec();
	r = census_refresh(census, clock_usec(), bench->reading.allocated, with_swap(bench), NULL,
			   0);
	if (round_is_due)
		note_since(bench, ROUND, began);
	return r < 0 ? r : 0;
}

/* The last one is kept. */
static int measure_sweeps(struct bench *bench, struct result *result)
{
	int r = 0;

	for (unsigned i = 0; i < N_COLD && r == 0; i++) {
		size_t before;
		double began;

		census_done(&bench->census);
		victim_done(&bench->choice);
		before = bytes_in_use();
		r = census_init(&bench->census, bench->proc_fd, &bench->cgroups, &bench->accuracy,
				&bench->policies);
		if (r == 0)
			r = memory_sample(bench->memory, &bench->reading);
		if (r < 0)
			break;
		began = now_usec();
		r = census_sweep(&bench->census, clock_usec(), bench->reading.allocated,
				 with_swap(bench));
		note_since(bench, SWEEP, began);
		if (r == 0)
			r = keep_census(bench, false);
		result->bytes = (double)bytes_in_use() - (double)before;
	}
	return r;
}

/* What a round of the census reads. */
static pid_t *list_pids(const struct census *census, size_t *ret_n)
{
	pid_t *pids = calloc(census->n_processes, sizeof(*pids));
	const struct census_process *process;
	size_t n = 0;

	if (pids)
		census_for_each(census, process)
			if (!process->kthread)
				pids[n++] = process->pid;
	*ret_n = n;
	return pids;
}

/* Rounds where more is swapped in each than what a process may be off by, then where nothing was.
 * The first of either opens other files. */
static int measure_swap(struct bench *bench)
{
	struct memory_counters counters = bench->reading.counters;
	int r = 0;

	for (unsigned i = 0; i < 4 && r >= 0; i++) {
		bool is_swapping = i < 2;
		double began;

		if (is_swapping)
			bench->swapped += CENSUS_SWAP_OFF_MAX / bench->accuracy.page_size;
		counters.events.swapped_out += bench->swapped;
		census_set_totals(&bench->census, &counters);
		counters.events.swapped_out -= bench->swapped;
		began = now_usec();
		r = census_refresh(&bench->census, clock_usec(), bench->reading.allocated, true,
				   NULL, 0);
		if (i % 2 == 1)
			note_since(bench, is_swapping ? ROUND_SWAPPING : ROUND_WITH_SWAP, began);
		if (r >= 0 && bench->census.keeps_status != is_swapping)
			return -EINVAL;
	}
	return r;
}

static int measure_samples(struct bench *bench)
{
	struct pids_info *info = probe_libproc2_new();
	int r = info ? 0 : -ENOMEM;

	for (unsigned i = 0; i < N_SWEEPS && r == 0; i++) {
		_cleanup_free_ pid_t *pids = NULL;
		double began;
		size_t n;

		if (bench->fixture_anon > 0) {
			r = keep_census(bench, true);
			continue;
		}
		began = now_usec();
		probe_full();
		note_since(bench, FULL_SAMPLE, began);

		began = now_usec();
		probe_libproc2(info);
		note_since(bench, BY_LIBPROC2, began);

		pids = list_pids(&bench->census, &n);
		if (!pids)
			r = -ENOMEM;
		began = now_usec();
		probe_statm(pids, n);
		note_since(bench, STATM_ONCE, began);

		if (r == 0)
			r = keep_census(bench, true);
	}
	probe_libproc2_free(info);
	for (unsigned i = 0; i < N_SWEEPS && r >= 0; i++)
		r = measure_swap(bench);
	return r < 0 ? r : keep_census(bench, true);
}

static bool is_none_new(const struct bench *bench, pid_t last_pid)
{
	return bench->census.lookup_from == 0 && bench->census.last_pid == last_pid;
}

static int measure_none_new(struct bench *bench)
{
	struct census *census = &bench->census;
	int r = 0;

	for (unsigned i = 0; i < MEASURE_N_DECISIONS && r == 0; i++) {
		pid_t last_pid = census->last_pid;
		bool settled = is_none_new(bench, last_pid);
		double began = now_usec();

		r = find_new(bench, clock_usec());
		if (settled && is_none_new(bench, last_pid))
			note_since(bench, NONE_NEW, began);
	}
	return r;
}

static void decide(void *userdata)
{
	struct bench *bench = userdata;
	struct reader reader = {
		.proc_fd = bench->proc_fd,
		.accuracy = &bench->accuracy,
		.precise = bench->precise,
		.left = 100 * USEC_PER_MSEC,
		.now = clock_usec,
	};
	struct victim_request request = {
		.self = getpid(),
		.n_wanted = VICTIM_REPORTED,
		.node_budget = VICTIM_REPORTED_NODES,
		.min_victim = MIN_VICTIM_BYTES,
	};
	const struct victim_reader reads = { reader_read, reader_reread, &reader };

	if (memory_sample(bench->memory, &bench->reading) < 0)
		return;
	request.allocated = bench->reading.allocated + bench->since_round;
	request.total = bench->reading.counters.total + bench->reading.counters.swap_total;
	request.now = clock_usec();
	reader.allocated = request.allocated;
	reader.sampled_at = request.now;
	reader.reread_until = request.now + REREAD_BUDGET_USEC;
	if (bench->fixture_anon > 0)
		bench->reading.counters.anon = bench->fixture_anon;
	census_set_totals(&bench->census, &bench->reading.counters);
	victim_choose(&bench->census, &request, &reads, &bench->choice);
}

static size_t reads_left;

/* Time for so many reads of the clock. */
static usec_t clock_for_reads(void)
{
	return reads_left-- > 0 ? 0 : 1;
}

/* A part of a round, from none to nearly all of it, largest first, after half of what was
 * allocated.  (The clock is read at every fourth process.) */
static int read_part(struct bench *bench, unsigned i)
{
	reads_left = bench->census.n_processes * i / N_STALE / 4;
	return census_refresh(&bench->census, clock_usec(),
			      bench->reading.allocated + bench->since_round + SINCE_ROUND_LATE / 2,
			      with_swap(bench), clock_for_reads, 1);
}

/* A snapshot of mixed ages.  As the daemon does, a choice that was cut is continued.  What was read
 * is known from then on, so each time that much more was allocated. */
static int measure_stale(struct bench *bench, struct result *result)
{
	const struct victim_result *choice = &bench->choice;

	bench->since_round = 0;
	for (unsigned i = 0; i < N_STALE; i++) {
		int r = read_part(bench, i);
		double began, began_by_clock;

		if (r < 0)
			return r;
		bench->since_round += SINCE_ROUND_LATE;
		began_by_clock = usec_by(CLOCK_MONOTONIC);
		began = now_usec();
		for (unsigned n = 0; n <= CUT_MAX && (n == 0 || choice->is_cut); n++) {
			decide(bench);
			result->n_stale_reads += (double)choice->n_reads / N_STALE;
			result->n_stale_rereads += (double)choice->n_rereads / N_STALE;
		}
		note_since(bench, STALE_DECISION, began);
		note(bench, STALE_DECISION_BY_CLOCK, usec_by(CLOCK_MONOTONIC) - began_by_clock);
		result->n_stale++;
		result->n_stale_right +=
			choice->n_ranked > 0 && choice->ranked[0].memory.anon >= bench->largest;
	}
	return 0;
}

static int measure_decisions(struct bench *bench, struct result *result)
{
	const struct victim_result *choice = &bench->choice;

	bench->since_round = SINCE_ROUND;
	result->least_victim = UINT64_MAX;
	for (unsigned i = 0; i < MEASURE_N_DECISIONS; i++) {
		double began, began_by_clock;
		int r = keep_census(bench, false);

		if (r < 0)
			return r;
		began_by_clock = usec_by(CLOCK_MONOTONIC);
		began = now_usec();
		decide(bench);
		note_since(bench, DECISION, began);
		note(bench, DECISION_BY_CLOCK, usec_by(CLOCK_MONOTONIC) - began_by_clock);
		if (choice->n_ranked == 0)
			return -ESRCH;
		result->least_victim = min_u64(result->least_victim, choice->ranked[0].memory.anon);
		result->n_reads += (double)choice->n_reads / MEASURE_N_DECISIONS;
		result->n_visited += (double)choice->n_visited / MEASURE_N_DECISIONS;
	}
	result->n_syscalls = trace_count_syscalls(decide, bench);

	return measure_stale(bench, result);
}

/* On a clock of its own, which is ahead afterwards. */
static int measure_turns(struct bench *bench)
{
	usec_t now = clock_usec() + SAMPLE_USEC;
	int r = 0;

	for (unsigned i = 0; i < N_TURNS && r == 0; i++, now += SAMPLE_USEC) {
		double began = now_usec();

		r = find_new(bench, now);
		note_since(bench, COMPARING, began);
	}
	return r;
}

int measure_all(struct bench *bench, struct result *result)
{
	int r;

	r = measure_sweeps(bench, result);
	if (r == 0)
		r = measure_samples(bench);
	if (r == 0)
		r = measure_none_new(bench);
	if (r == 0)
		r = measure_decisions(bench, result);
	if (r == 0)
		r = measure_turns(bench);
	result->n_processes = bench->census.n_processes;
	result->n_nodes = bench->census.n_nodes;
	census_done(&bench->census);
	victim_done(&bench->choice);
	for (unsigned i = 0; i < N_MEASURES; i++) {
		result->p50[i] = percentile(&bench->series[i], 50);
		result->p99[i] = percentile(&bench->series[i], 99);
		bench->series[i].n = 0;
	}
	return r;
}
