/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: from the signal until 95% of a victim's memory is freed, by plain SIGKILL and by ours
 * (kill_open() and kill_signal() with the system's calls and two reapers, at nice -20, as the
 * daemon has it), in turn, in one run; victims of several sizes in conditions in which processes
 * exit slowly (kill-victim.h).  Medians count.
 *
 * "Sender" is how long the signalling thread was blocked; "others" how late a bystander was at most
 * that needs the CPU for a moment every millisecond; "cpu" what it took of the bench's own CPU
 * time, that is of what would be the daemon's; "reaped" in how many trials a reaper got hold of the
 * memory before the victim had begun to free it by itself.
 *
 * The first process only makes cgroups, waits, and cleans up however the second one exits, which
 * does all else.
 *
 * Larger victims get fewer trials, so that a size takes about as long as another; marks are of
 * sizes with at least three.
 *
 * usage: kill [--sizes GIB,...] [--trials N] [--only CONDITION] [--all-ways]
 */
#include "lib/kill/kill.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/kill-places.h"
#include "bench/kill-series.h"
#include "bench/kill-victim.h"
#include "bench/kill-watch.h"
#include "bench/mark.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/memory.h"

#define N_REAPERS 2 /* as in daemon/manager.c */
#define SIZES_MAX 8
/* A victim that has not freed its memory by then is given up, and so is the way in which it was
 * killed: it would only take time. */
#define GIVE_UP_USEC (1500 * USEC_PER_MSEC)
/* Of fewer trials the median says too little to be marked. */
#define TRIALS_MARKED  3
#define BACK_PERCENT   95
#define SESSION_NICE   "-15"
#define SETTLE_USEC    (30 * USEC_PER_MSEC)
#define MEMORY_SHARE   3 /* a victim takes at most this part of what is available */
#define SLOWER_PERCENT 10
#define LEAST_NOISE_MS 2.0

/* And how many times as long as when idle it may take, 0: no mark. */
static const struct {
	struct condition condition;
	const char *mark;
	double times_idle;
} cases[] = {
	{ { .name = "idle" }, "idle", 0 },
	{ { .name = "nice 19, loaded", .nice = 19, .loaded = true }, "nice_19", 3 },
	{ { .name = "SCHED_IDLE, loaded", .sched_idle = true, .loaded = true }, "sched_idle", 3 },
	{ { .name = "stopped", .stopped = true }, "stopped", 0 },
	{ { .name = "frozen, v1", .frozen_v1 = true }, "frozen_v1", 2 },
	{ { .name = "frozen, v2, 3 up", .frozen_v2 = true }, "frozen_v2", 0 },
	{ { .name = "2 % of a CPU", .cpu_percent = 2 }, "quota", 0 },
	{ { .name = "17 threads", .n_threads = 17 }, "threads", 0 },
};
#define IDLE 0 /* the first of the cases */

/* Ways of killing.  The first two are compared; the others show what each step is worth. */
static const struct way {
	const char *name;
	bool ours, boost, reap, fifo;
} ways[] = {
	{ "plain" },
	{ "ours", .ours = true, .boost = true, .reap = true, .fifo = true },
	{ "boost only", .ours = true, .boost = true },
	{ "reap only", .ours = true, .reap = true, .fifo = true },
	{ "not fifo", .ours = true, .boost = true, .reap = true },
};
enum { PLAIN, OURS, N_WAYS_COMPARED, N_WAYS = ARRAY_SIZE(ways) };

struct result {
	bool measured;
	struct series series[N_WAYS];
};

struct bench {
	int proc_fd;
	struct cgroup_fs cgroups;
	struct places places;
	struct watch *watch;
	struct load load;
	struct kill_reapers *reapers[2]; /* [fifo] */

	unsigned n_sizes, n_trials, n_ways;
	unsigned sizes[SIZES_MAX]; /* GiB */
	const char *only;	   /* in the condition's name; NULL: all */
};

/*
 * One trial
 */
static int kill_ours(const struct bench *bench, const struct victim *victim, const struct way *way,
		     struct kill_victim *kill_victim)
{
	const struct kill_target target = {
		.pid = victim->pid,
		.start_ticks = victim->start_ticks,
		.v2_path = bench->places.v2_leaf_fd >= 0 ? bench->places.v2_path : "/",
		.v1_path = bench->places.v1_freezer_fd >= 0 ? bench->places.name : NULL,
	};
	struct kill_ops ops = kill_ops_system;
	int r;

	if (!way->boost)
		ops.boost = NULL;
	r = kill_open(&ops, bench->proc_fd, &target, kill_victim);
	if (r == 0)
		r = kill_signal(&ops, bench->proc_fd, &bench->cgroups, &target, SIGKILL,
				way->reap ? bench->reapers[way->fifo] : NULL, kill_victim);
	return r;
}

static double msec(usec_t usec)
{
	return (double)usec / USEC_PER_MSEC;
}

static int kill_one(const struct bench *bench, const struct victim *victim, const struct way *way,
		    uint64_t bytes, struct trial *ret)
{
	int64_t down_to = watch_read(bench->watch) - (int64_t)(bytes / 100 * BACK_PERCENT);
	usec_t cpu = watch_cpu_of_others(bench->watch), began = watch_now(), sent, reclaimed;
	struct kill_victim kill_victim;
	int r;

	kill_victim_init(&kill_victim);
	(void)bystander_read();
	watch_begin(bench->watch, down_to, began + GIVE_UP_USEC);
	began = watch_now();
	if (way->ours)
		r = kill_ours(bench, victim, way, &kill_victim);
	else
		r = kill(victim->pid, SIGKILL) < 0 ? -errno : 0;
	sent = watch_now();
	reclaimed = watch_end(bench->watch);
	usleep(SETTLE_USEC); /* so that all reaping has finished, and the bystander has run */
	kill_victim_done(&kill_victim);
	ret->value[TRIAL_RECLAIMED] = msec(reclaimed > 0 ? reclaimed - began : GIVE_UP_USEC);
	ret->value[TRIAL_SENDER] = msec(sent - began);
	ret->value[TRIAL_OTHERS] = msec(bystander_read());
	ret->value[TRIAL_CPU] = msec(watch_cpu_of_others(bench->watch) - cpu);
	return r < 0 ? r : reclaimed > 0 ? 0 : 1;
}

static unsigned count_reaped(const struct bench *bench, const struct way *way)
{
	struct kill_reap_stats stats;

	kill_reapers_stats(bench->reapers[way->fifo], &stats);
	return stats.n_reaped;
}

static int run_trial(const struct bench *bench, const struct condition *condition,
		     const struct way *way, uint64_t bytes, struct series *series)
{
	unsigned n_reaped = count_reaped(bench, way);
	struct victim victim;
	int r;

	r = victim_start(condition, &bench->places, bench->proc_fd, bytes, &victim);
	if (r < 0)
		return r;
	if (condition->loaded)
		load_run(&bench->load, true);
	usleep(SETTLE_USEC);
	r = kill_one(bench, &victim, way, bytes, &series->trials[series->n]);
	if (condition->loaded)
		load_run(&bench->load, false);
	victim_clear(condition, &bench->places, bench->proc_fd, &victim);
	if (r < 0)
		return r;
	series->n++;
	series->n_given_up += r > 0;
	series->n_reaped += count_reaped(bench, way) - n_reaped;
	return 0;
}

static unsigned trials_of_size(const struct bench *bench, unsigned gib)
{
	return bench->n_trials > gib ? bench->n_trials / gib : 1;
}

/* In turn, so that other work meets all ways alike. */
static int measure(const struct bench *bench, const struct condition *condition, uint64_t bytes,
		   unsigned n_trials, struct result *result)
{
	int r = 0;

	for (unsigned trial = 0; trial < n_trials && r == 0; trial++)
		for (unsigned i = 0; i < bench->n_ways && r == 0; i++) {
			unsigned way = (trial + i) % bench->n_ways;
			struct series *series = &result->series[way];

			if (series->n_given_up == 0)
				r = run_trial(bench, condition, &ways[way], bytes, series);
		}
	result->measured = r == 0;
	return r;
}

static void measure_size(const struct bench *bench, unsigned gib, struct result *results)
{
	printf("A victim of %u GiB\n", gib);
	series_print_heading();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct condition *condition = &cases[i].condition;
		const char *missing = condition_is_missing(condition, &bench->places);
		int r = 0;

		if (bench->only && !strstr(condition->name, bench->only))
			continue;
		if (!missing)
			r = measure(bench, condition, gib * GIB, trials_of_size(bench, gib),
				    &results[i]);
		if (missing || r < 0) {
			printf("%20s not measured: %s\n", condition->name,
			       missing ? missing : strerror(-r));
			continue;
		}
		for (unsigned way = 0; way < bench->n_ways; way++)
			series_print(way == 0 ? condition->name : "", ways[way].name,
				     &results[i].series[way]);
		fflush(stdout);
	}
	printf("\n");
}

/*
 * Plain SIGKILL's median is no less uncertain than ours: what is slower by less than a tenth and
 * the noise is not slower.  The noise is the middle half of plain's trials, and at least what a few
 * samples of the watch and another process's turn on the CPU come to.
 */
static double slower_limit(const struct series *plain)
{
	double noise = series_quantile(plain, TRIAL_RECLAIMED, 0.75) -
		       series_quantile(plain, TRIAL_RECLAIMED, 0.25);

	return series_median(plain, TRIAL_RECLAIMED) * (100 + SLOWER_PERCENT) / 100 +
	       (noise > LEAST_NOISE_MS ? noise : LEAST_NOISE_MS);
}

static void print_marks(unsigned gib, const struct result *results)
{
	double idle = series_median(&results[IDLE].series[OURS], TRIAL_RECLAIMED);
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double reclaimed = series_median(&results[i].series[OURS], TRIAL_RECLAIMED);

		if (!results[i].measured)
			continue;
		snprintf(name, sizeof(name), "ending_%uG_%s", gib, cases[i].mark);
		mark(name, reclaimed, "ms", slower_limit(&results[i].series[PLAIN]), true);
		snprintf(name, sizeof(name), "ending_%uG_%s_to_idle", gib, cases[i].mark);
		if (cases[i].times_idle > 0 && results[IDLE].measured)
			mark(name, reclaimed / idle, "times", cases[i].times_idle, true);
	}
}

/*
 * The run
 */

/* Those made so far: there is no other way to have reapers at the caller's own priority where
 * they may have a real-time one. */
static void demote_reapers(void)
{
	_cleanup_dir_ DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks))) {
		char path[300], comm[32];

		snprintf(path, sizeof(path), "%s/comm", entry->d_name);
		if (io_read_at(dirfd(tasks), path, comm, sizeof(comm)) > 0 &&
		    strcmp(comm, "reaper\n") == 0)
			(void)sched_setscheduler(atoi(entry->d_name), SCHED_OTHER,
						 &(struct sched_param){ 0 });
	}
}

/*
 * What others do on this machine should change the figures little: a session of its own, whose
 * processes together have precedence over other sessions' (sched(7), "The autogroup feature").
 * Where there are no autogroups nothing is done.
 */
static void be_undisturbed(int proc_fd)
{
	(void)setsid();
	(void)io_write_at(proc_fd, "self/autogroup", SESSION_NICE);
}

static int get_ready(struct bench *bench)
{
	int error = 0, r;

	be_undisturbed(bench->proc_fd);
	r = bystander_start();
	if (r >= 0)
		r = load_new(&bench->load);
	if (r < 0)
		return r;
	(void)setpriority(PRIO_PROCESS, 0, -20);
	r = kill_reapers_new(&kill_ops_system, N_REAPERS, &bench->reapers[false], &error);
	demote_reapers();
	if (r == 0)
		r = kill_reapers_new(&kill_ops_system, N_REAPERS, &bench->reapers[true], &error);
	if (r == 0 && error < 0)
		printf("Reapers run at normal priority: %s.\n", strerror(-error));
	bench->watch = watch_new(&bench->places, bench->proc_fd);
	return r < 0 ? r : bench->watch ? 0 : -ENOMEM;
}

static uint64_t available_bytes(int proc_fd)
{
	struct memory_reading reading = { 0 };
	struct memory_source *source;

	if (memory_source_new(proc_fd, -EBADF, &source) < 0)
		return 0;
	(void)memory_sample(source, &reading);
	memory_source_free(source);
	return reading.available;
}

static int run(struct bench *bench)
{
	static struct result results[SIZES_MAX][ARRAY_SIZE(cases)];
	uint64_t available = available_bytes(bench->proc_fd);
	struct utsname name;
	int r;

	r = get_ready(bench);
	if (r < 0) {
		fprintf(stderr, "kill: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (uname(&name) == 0)
		printf("Linux %s, %ld CPUs, load: %u busy processes; memory by %s, pages of 4 KiB\n\n",
		       name.release, sysconf(_SC_NPROCESSORS_ONLN), bench->load.n,
		       watch_source(bench->watch));
	for (unsigned i = 0; i < bench->n_sizes; i++) {
		if (bench->sizes[i] * GIB > available / MEMORY_SHARE)
			printf("%u GiB: not measured: more than a third of what is available\n\n",
			       bench->sizes[i]);
		else
			measure_size(bench, bench->sizes[i], results[i]);
	}
	for (unsigned i = 0; i < bench->n_sizes; i++)
		if (trials_of_size(bench, bench->sizes[i]) >= TRIALS_MARKED)
			print_marks(bench->sizes[i], results[i]);
	load_done(&bench->load);
	return marks_short ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* For the child, or for a signal, which kills it. */
static int wait_for(pid_t child, const sigset_t *signals)
{
	int number, status;

	sigwait(signals, &number);
	if (number != SIGCHLD)
		kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	if (number != SIGCHLD)
		return 128 + number;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int run_child(struct bench *bench)
{
	sigset_t signals, before;
	pid_t child;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	fflush(stdout);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "kill: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (child > 0)
		return wait_for(child, &signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	exit(run(bench));
}

static bool parse_sizes(const char *text, struct bench *bench)
{
	char *end;

	for (bench->n_sizes = 0; bench->n_sizes < SIZES_MAX; text = end + 1) {
		unsigned long size = strtoul(text, &end, 10);

		if (end == text || size == 0 || size > 1024)
			return false;
		bench->sizes[bench->n_sizes++] = (unsigned)size;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
	}
	return false;
}

static bool parse_arguments(int argc, char **argv, struct bench *bench)
{
	static const struct option options[] = {
		{ "sizes", required_argument, NULL, 's' },
		{ "trials", required_argument, NULL, 't' },
		{ "only", required_argument, NULL, 'o' },
		{ "all-ways", no_argument, NULL, 'a' },
		{ 0 },
	};
	int c;

	bench->n_trials = 5;
	bench->n_ways = N_WAYS_COMPARED;
	(void)parse_sizes("1,4", bench);
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 's' && !parse_sizes(optarg, bench))
			return false;
		if (c == 't')
			bench->n_trials = (unsigned)atoi(optarg);
		if (c == 'o')
			bench->only = optarg;
		if (c == 'a')
			bench->n_ways = N_WAYS;
		if (c == '?')
			return false;
	}
	return optind == argc && bench->n_trials > 0 && bench->n_trials <= SERIES_MAX;
}

int main(int argc, char **argv)
{
	static struct bench bench;
	int status;

	if (!parse_arguments(argc, argv, &bench)) {
		fprintf(stderr, "usage: kill [--sizes GIB,...] [--trials N] [--only CONDITION] "
				"[--all-ways]\n");
		return 2;
	}
	bench.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bench.proc_fd < 0 || cgroup_fs_open(bench.proc_fd, &bench.cgroups) < 0) {
		fprintf(stderr, "kill: cannot read /proc\n");
		return EXIT_FAILURE;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	places_make(&bench.places, &bench.cgroups);
	status = run_child(&bench);
	places_clear(&bench.places, &bench.cgroups);
	cgroup_fs_done(&bench.cgroups);
	return status;
}
