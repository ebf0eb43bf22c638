/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns: how long one turn of the daemon's loop works on its processes at most, where there are
 * very many: 30,000 in 10,000 cgroups, all of a fixture (fixture.h).  By CPU time, so that other
 * work on the machine counts for little; the slices end by the same clock.  (What the kernel takes
 * to write a file of its /proc is not in it: where that is more, a slice has fewer of them.)
 *
 * usage: turns [PROCESSES [CGROUPS]]
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/fixture.h"
#include "bench/mark.h"
#include "lib/base/cleanup.h"
#include "lib/config/conf.h"
#include "lib/explain/preview.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"

#define TURN_MAX_MS 20.0
/* As in daemon/watch/watch.c. */
#define SLICE_USEC (1 * USEC_PER_MSEC)
/* Between two samples. */
#define SAMPLE_USEC (20 * USEC_PER_MSEC)
#define N_SAMPLES   2000
#define N_PREVIEWS  50
#define N_NEW_FEW   200
#define N_NEW_MANY  5000
#define N_RULES	    1000
#define N_ALLOCATED GIB
/* More than before there were any; the rules that were loaded take 1 MiB of it. */
#define LEFT_MAX_MIB 2.0

struct bench {
	struct fixture fixture;
	struct census census;
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct victim_result choice;
	usec_t now; /* of the daemon's clock */
	usec_t longest, began;
	unsigned n_turns;
};

static struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};

static usec_t cpu_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static double resident_mib(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / MIB;
}

static void begin(struct bench *bench)
{
	bench->now += SAMPLE_USEC;
	bench->began = cpu_usec();
}

static void end(struct bench *bench)
{
	bench->longest = max_u64(bench->longest, cpu_usec() - bench->began);
	bench->n_turns++;
}

static void print(struct bench *bench, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "turns_%s", name);
	mark(text, (double)bench->longest / USEC_PER_MSEC, "ms", TURN_MAX_MS, true);
	printf("\t(%u turn%s)\n", bench->n_turns, bench->n_turns == 1 ? "" : "s");
	bench->longest = 0;
	bench->n_turns = 0;
	fflush(stdout);
}

/* A full listing, in slices. */
static int list(struct bench *bench)
{
	int r = 0;

	while (r == 0) {
		begin(bench);
		r = census_list(&bench->census, bench->now, N_ALLOCATED, false, cpu_usec,
				bench->began + SLICE_USEC);
		if (r >= 0 && victim_reserve(&bench->choice, &bench->census) < 0)
			r = -ENOMEM;
		end(bench);
	}
	return r < 0 ? r : 0;
}

static int go_round(struct bench *bench, bool with_swap)
{
	int r = 0;

	while (r == 0) {
		begin(bench);
		r = census_refresh(&bench->census, bench->now, N_ALLOCATED, with_swap, cpu_usec,
				   bench->began + SLICE_USEC);
		end(bench);
	}
	return r < 0 ? r : 0;
}

/* So many samples, at which no process is new. */
static int sample(struct bench *bench, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		begin(bench);
		r = census_find_new(&bench->census, bench->now, N_ALLOCATED);
		if (r > 0)
			r = census_list(&bench->census, bench->now, N_ALLOCATED, false, cpu_usec,
					bench->began + SLICE_USEC);
		end(bench);
		while (r >= 0 && census_listing_is_under_way(&bench->census)) {
			begin(bench);
			r = census_list(&bench->census, bench->now, N_ALLOCATED, false, cpu_usec,
					bench->began + SLICE_USEC);
			end(bench);
		}
	}
	return r < 0 ? r : 0;
}

/* The newest of them, as if they had not been there before. */
static int find_new(struct bench *bench, unsigned n)
{
	pid_t last = bench->census.last_pid;

	for (pid_t pid = last - (pid_t)n + 1; pid <= last; pid++) {
		struct census_process *process = census_find(&bench->census, pid);

		if (process)
			census_drop(&bench->census, process);
	}
	bench->census.last_pid = last - (pid_t)n;
	bench->census.lookup_from = 0;
	return sample(bench, 1);
}

static const char *no_user(uid_t uid, void *userdata)
{
	return "user";
}

/* What would be killed, for one call on the bus. */
static void run_previews(struct bench *bench)
{
	struct preview preview = {
		.policies = &bench->policies,
		.accuracy = &exact,
		.census = &bench->census,
		.proc_fd = bench->census.proc_fd,
		.now = cpu_usec,
		.memory = { .total = 64 * GIB, .available = 32 * GIB, .allocated = N_ALLOCATED },
		.self_name = "reckond",
		.user = no_user,
	};

	for (unsigned i = 0; i < N_PREVIEWS; i++) {
		begin(bench);
		preview.result = bench->choice; /* it lends its heap */
		preview_choose(&preview);
		end(bench);
	}
}

static int write_rules(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	for (unsigned i = 0; i < N_RULES; i++)
		fprintf(f, "[Avoid r%u]\nComm=^program-%u$\nCgroup=/a.slice/%u\n", i, i, i);
	return fclose(f) == EOF ? -EIO : 0;
}

/* With so many rules, which the next listing then matches for each process. */
static int reload(struct bench *bench)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct policy_set policies;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s.conf", bench->fixture.path);
	r = write_rules(path);
	if (r < 0)
		return r;
	begin(bench);
	r = conf_load(&(const char *){ path }, 1, &policies, &messages);
	if (r == 0)
		census_set_policies(&bench->census, &policies);
	end(bench);
	unlink(path);
	if (r != 0)
		return r < 0 ? r : -EINVAL;
	policy_set_done(&bench->policies);
	bench->policies = policies;
	census_set_policies(&bench->census, &bench->policies);
	return 0;
}

/* As the daemon does when it is back in calm (watch_release()). */
static void rest(struct bench *bench, const char *name)
{
	begin(bench);
	census_release_fds(&bench->census);
	victim_done(&bench->choice);
	(void)victim_reserve(&bench->choice, &bench->census);
	(void)munlockall(); /* self_release_memory() */
	(void)malloc_trim(0);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	end(bench);
	print(bench, name);
}

/* All have exited, which a round finds; what they took is freed. */
static int find_gone(struct bench *bench, double before)
{
	double with_all = resident_mib(), after;
	int r;

	rest(bench, "rest");
	r = go_round(bench, false);
	print(bench, "all_gone");
	rest(bench, "rest_of_none");
	after = resident_mib();
	printf("MiB resident: %.2f before, %.2f with all, %.2f when all are gone\n", before,
	       with_all, after);
	mark("turns_peak_left", after - before, "MiB", LEFT_MAX_MIB, true);
	return r;
}

static int measure(struct bench *bench)
{
	static const struct {
		const char *name;
		bool with_swap;
	} rounds[] = { { "round", false }, { "round_again", false }, { "round_with_swap", true } };
	int r;

	r = list(bench);
	printf("%zu processes known, %zu nodes\n", bench->census.n_processes,
	       bench->census.n_nodes);
	print(bench, "first_listing");
	if (r == 0)
		r = list(bench);
	print(bench, "listing");
	for (size_t i = 0; i < ARRAY_SIZE(rounds) && r == 0; i++) {
		r = go_round(bench, rounds[i].with_swap);
		print(bench, rounds[i].name);
	}
	if (r == 0)
		run_previews(bench);
	print(bench, "preview");
	if (r == 0)
		r = sample(bench, N_SAMPLES);
	print(bench, "comparing");
	if (r == 0)
		r = find_new(bench, N_NEW_FEW);
	print(bench, "few_new");
	if (r == 0)
		r = find_new(bench, N_NEW_MANY);
	print(bench, "many_new");
	census_release_fds(&bench->census);
	if (r == 0)
		r = go_round(bench, false);
	print(bench, "round_that_compares");
	if (r == 0)
		r = reload(bench);
	print(bench, "reload");
	if (r == 0)
		r = list(bench);
	print(bench, "listing_after_reload");
	return r;
}

int main(int argc, char **argv)
{
	unsigned n_processes = argc > 1 ? (unsigned)atoi(argv[1]) : 30000;
	unsigned n_cgroups = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;
	struct bench bench = { .now = 100 * USEC_PER_SEC };
	double before = 0;
	char name[64];
	int r, fd = -EBADF;

	snprintf(name, sizeof(name), "/reckond-turns-%d", getpid());
	/* Any directory: only whether there is one counts. */
	cgroup_fs_init(&bench.cgroups, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), -EBADF);
	r = policy_set_init_defaults(&bench.policies);
	if (r == 0)
		r = fixture_make(name, n_processes, n_cgroups, &bench.fixture);
	if (r == 0) {
		/* (One that is there still when the fixture is not.) */
		fd = fcntl(bench.fixture.proc_fd, F_DUPFD_CLOEXEC, 3);
		r = census_init(&bench.census, fd, &bench.cgroups, &exact, &bench.policies);
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT); /* as the daemon */
		before = resident_mib();
		if (r == 0)
			r = measure(&bench);
		fixture_remove(&bench.fixture);
		if (r == 0)
			r = find_gone(&bench, before);
		census_done(&bench.census);
		victim_done(&bench.choice);
		close(fd);
	}
	policy_set_done(&bench.policies);
	cgroup_fs_done(&bench.cgroups);
	if (r < 0) {
		fprintf(stderr, "turns: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	return marks_short > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
