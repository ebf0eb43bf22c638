/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose: what a decision costs with 40, 1,000 and 10,000 real processes (herd.h), and 50,000 of a
 * fixture (fixture.h: pid_max is 32,768 on most machines), in one, 200 and up to 5,000 cgroups,
 * from a fresh and from a stale snapshot, and what it costs to be ready for one (measure.h).  Only
 * ratios have marks where other work on the machine would matter.
 *
 * A decision is what the daemon does from the moment a policy demands one: memory_sample() and
 * victim_choose() with its precise reads.  The census is as fresh as the daemon keeps it.
 *
 * The first process only makes a cgroup, waits, and cleans up, however the second one exits, which
 * does all else.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/fixture.h"
#include "bench/herd.h"
#include "bench/mark.h"
#include "bench/measure.h"
#include "lib/base/cleanup.h"

/* What a sleeping process takes in the kernel, and some room. */
#define BYTES_PER_PROCESS (192 * KIB)

static const struct size {
	unsigned n_processes, n_cgroups;
} sizes[] = { { 40, 1 },      { 1000, 1 },     { 1000, 200 }, { 1000, 500 },  { 10000, 1 },
	      { 10000, 200 }, { 10000, 5000 }, { 50000, 1 },  { 50000, 200 }, { 50000, 5000 } };
#define N_SOME	      2 /* of these, the one with 1,000 in 200 cgroups */
#define FIRST_MANY    4 /* from there on, 10,000 */
#define FIRST_FIXTURE 7 /* from there on, 50,000 */

/* As the argument has it, only sizes of so many processes; 0: all. */
static unsigned only;

static bool is_wanted(const struct size *size)
{
	return only == 0 || size->n_processes == only;
}

static void print_result(unsigned n_processes, unsigned n_cgroups, const struct result *result)
{
	printf("%u processes in %u cgroup%s (%zu in all)\n%32s %12s %12s\n", n_processes, n_cgroups,
	       n_cgroups == 1 ? "" : "s", result->n_processes, "us of CPU time", "p50", "p99");
	for (unsigned i = 0; i < N_MEASURES; i++)
		printf("%32s %12.1f %12.1f\n", measure_names[i], result->p50[i], result->p99[i]);
	printf("a decision visits %.0f of %zu nodes, reads %.2f processes", result->n_visited,
	       result->n_nodes, result->n_reads);
	if (result->n_syscalls >= 0)
		printf(" and makes %d system calls in all\n", result->n_syscalls);
	else
		printf("; its system calls could not be counted: %s\n",
		       strerror(-result->n_syscalls));
	printf("from a stale snapshot: right in %u of %u, re-reads %.0f, reads %.2f precisely\n",
	       result->n_stale_right, result->n_stale, result->n_stale_rereads,
	       result->n_stale_reads);
	printf("%.0f bytes a process\n", result->bytes / (double)result->n_processes);
	if (result->least_victim < HERD_LARGEST_BYTES)
		printf("a victim was not the largest: it had %.1f MiB\n",
		       (double)result->least_victim / MIB);
	printf("\n");
}

/* Twice what is needed, so that no other process is put under pressure. */
static bool has_room(const struct bench *bench, unsigned n_processes)
{
	uint64_t needed = n_processes * BYTES_PER_PROCESS + HERD_LARGEST_BYTES +
			  HERD_N_LARGE * HERD_LARGE_BYTES;

	return bench->reading.available >= 2 * needed;
}

static int measure_size(struct bench *bench, int cgroup_fd, const struct size *size,
			struct result *result)
{
	struct herd herd = {
		.cgroup_fd = cgroup_fd,
		.n_processes = size->n_processes,
		.n_cgroups = cgroup_fd < 0 ? 1 : size->n_cgroups,
	};
	int r;

	bench->largest = HERD_LARGEST_BYTES;
	r = memory_sample(bench->memory, &bench->reading);
	if (r == 0 && !has_room(bench, size->n_processes))
		r = -ENOMEM;
	if (r == 0)
		r = herd_start(&herd);
	if (r == 0)
		r = measure_all(bench, result);
	herd_end(&herd);
	if (r < 0)
		printf("%u processes: not measured: %s\n", size->n_processes, strerror(-r));
	else
		print_result(size->n_processes, herd.n_cgroups, result);
	fflush(stdout);
	return r;
}

/* As measure_size(), of files: what is read of the machine itself is real still. */
static int measure_fixture(struct bench *bench, const char *cgroup, const struct size *size,
			   struct result *result)
{
	struct fixture fixture;
	int proc_fd = bench->proc_fd;
	struct precise *precise = bench->precise;
	int r;

	r = fixture_make(cgroup, size->n_processes, size->n_cgroups, &fixture);
	if (r == 0) {
		bench->proc_fd = fixture.proc_fd;
		bench->fixture_anon = fixture_anon(&fixture);
		bench->largest = HERD_LARGEST_BYTES;
		r = precise_new(bench->proc_fd, &bench->precise);
		if (r == 0) {
			r = measure_all(bench, result);
			precise_free(bench->precise);
		}
		fixture_remove(&fixture);
	}
	bench->proc_fd = proc_fd;
	bench->precise = precise;
	bench->fixture_anon = 0;
	if (r < 0) {
		printf("%u processes: not measured: %s\n", size->n_processes, strerror(-r));
		return r;
	}
	printf("A fixture: ");
	print_result(size->n_processes, size->n_cgroups, result);
	fflush(stdout);
	return 0;
}

static void mark_of(const char *name, const struct size *size, double value, const char *unit,
		    double limit, bool at_most)
{
	char text[96];

	snprintf(text, sizeof(text), "choose_%s_%u_in_%u", name, size->n_processes,
		 size->n_cgroups);
	mark(text, value, unit, limit, at_most);
}

static void print_marks(const struct result *results)
{
	const struct result *some = &results[N_SOME], *many = &results[FIRST_MANY + 1];
	double decision = many->p50[DECISION];

	if (is_wanted(&sizes[FIRST_MANY])) {
		mark("choose_full_sample_to_decision", many->p50[FULL_SAMPLE] / decision, "times",
		     50, false);
		mark("choose_round_to_statm", many->p50[ROUND] / many->p50[STATM_ONCE], "times",
		     1.2, true);
		mark("choose_round_with_swap", many->p50[ROUND_WITH_SWAP] / many->p50[ROUND],
		     "times", 2, true);
	}
	if (only == 0)
		mark("choose_decision_10000_to_1000", decision / some->p50[DECISION], "times", 10,
		     true);
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		const struct result *result = &results[i];

		if (!is_wanted(&sizes[i]))
			continue;
		if (i >= FIRST_MANY)
			mark_of("decision", &sizes[i], result->p50[DECISION_BY_CLOCK], "us",
				i < FIRST_FIXTURE ? 100 : 200, true);
		mark_of("stale", &sizes[i], result->p50[STALE_DECISION_BY_CLOCK], "us", 50000,
			true);
		mark_of("stale_right", &sizes[i], 100.0 * result->n_stale_right / result->n_stale,
			"percent", 100, false);
		mark_of("bytes", &sizes[i], result->bytes / (double)result->n_processes, "bytes",
			400, true);
	}
}

static int get_ready(struct bench *bench, const char *subtree)
{
	struct utsname name;
	char *copy = strdup(subtree);
	int r;

	r = copy ? policy_set_init_defaults(&bench->policies) : -ENOMEM;
	if (r < 0)
		return r;
	free(bench->policies.subtree);
	bench->policies.subtree = copy;
	r = memory_source_new(bench->proc_fd, bench->sys_fd, &bench->memory);
	if (r == 0)
		r = accuracy_probe(bench->proc_fd, bench->sys_fd, &bench->accuracy);
	if (r == 0)
		r = precise_new(bench->proc_fd, &bench->precise);
	if (r == 0 && uname(&name) == 0)
		printf("Linux %s, %u CPUs; statm is %s\n\n", name.release, bench->accuracy.n_cpus,
		       accuracy_regime_to_string(bench->accuracy.regime));
	return r;
}

static int run(struct bench *bench, int cgroup_fd, const char *cgroup)
{
	struct result results[ARRAY_SIZE(sizes)] = { 0 };
	int r;

	r = get_ready(bench, cgroup_fd < 0 ? "/" : cgroup);
	if (r < 0)
		fprintf(stderr, "choose: %s\n", strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && r == 0; i++)
		r = !is_wanted(&sizes[i]) ? 0
		    : i < FIRST_FIXTURE	  ? measure_size(bench, cgroup_fd, &sizes[i], &results[i])
					  : measure_fixture(bench, cgroup, &sizes[i], &results[i]);
	if (r < 0)
		return EXIT_FAILURE;
	print_marks(results);
	return marks_short ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* An fd, or negative: no root, no v2. */
static int make_cgroup(const struct cgroup_fs *fs, const char *path)
{
	int fd = -ENOENT;

	if (fs->v2_fd >= 0)
		fd = mkdirat(fs->v2_fd, path + 1, 0755) < 0 ? -errno : cgroup_open(fs->v2_fd, path);
	if (fd < 0)
		printf("No cgroups can be made (%s): all are in one, and if another process is "
		       "larger, that is the victim.\n",
		       strerror(-fd));
	fflush(stdout);
	return fd;
}

static void remove_cgroup(const struct cgroup_fs *fs, int fd, const char *path)
{
	if (fd < 0)
		return;
	herd_remove_cgroups(fd);
	if (unlinkat(fs->v2_fd, path + 1, AT_REMOVEDIR) < 0)
		fprintf(stderr, "choose: cannot remove cgroup %s: %s\n", path, strerror(errno));
	close(fd);
}

/* For the child, or for a signal, which kills it; then for those that it leaves. */
static int wait_for(pid_t child, const sigset_t *signals)
{
	int number, status;

	sigwait(signals, &number);
	if (number != SIGCHLD)
		kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	herd_wait();
	if (number != SIGCHLD)
		return 128 + number;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int run_child(struct bench *bench, int cgroup_fd, const char *cgroup)
{
	sigset_t signals, before;
	pid_t child;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "choose: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (child > 0)
		return wait_for(child, &signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	exit(run(bench, cgroup_fd, cgroup));
}

int main(int argc, char **argv)
{
	static struct bench bench;
	char cgroup[64];
	int cgroup_fd, status;

	bench.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench.sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bench.proc_fd < 0 || cgroup_fs_open(bench.proc_fd, &bench.cgroups) < 0) {
		fprintf(stderr, "choose: cannot read /proc\n");
		return EXIT_FAILURE;
	}
	if (argc > 1)
		only = (unsigned)strtoul(argv[1], NULL, 10);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(cgroup, sizeof(cgroup), "/reckond-bench-%d", getpid());
	cgroup_fd = make_cgroup(&bench.cgroups, cgroup);
	status = run_child(&bench, cgroup_fd, cgroup);
	remove_cgroup(&bench.cgroups, cgroup_fd, cgroup);
	fixture_clean(cgroup);
	return status;
}
