/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * age-bound: can a process come to hold more than the machine has allocated meanwhile?
 *
 * The census (lib/snapshot/census.h) bounds the age of a reading by the pages allocated since it
 * was taken: memory_reading.allocated, pgalloc_* of /proc/vmstat.  Every way to grow that we know
 * of (age-ways.h) is tried, 64 MiB each, by a process of its own, and both are read around it:
 *
 *   grew	its footprint, anonymous and swapped, exactly (smaps_rollup)
 *   shown	the same by statm and status, as the census reads it
 *   allocated by the whole machine; least of the tries, which is the hardest for the bound
 *
 * Then it is watched while threads fault as fast as they can: a page allocated before a reading
 * and mapped after it is in neither.  The exit status is 1 where the bound is broken in a way that
 * is not known to.
 *
 * usage: age-bound [--machine] [--tries N] [NAME]
 *   --machine  also what changes settings, swaps, fragments memory and takes CPUs off line
 *   NAME       only ways with this in their name
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/age-ways.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/util.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/memory.h"
#include "lib/sys/proc.h"

struct bench {
	int proc_fd;
	struct memory_source *memory;
	struct accuracy accuracy;
	unsigned n_tries;
	const char *only;
	unsigned n_broken; /* not known to */
};

/* What is there at one moment; differences of two fit in the same. */
struct sample {
	int64_t precise;
	int64_t shown;
	int64_t allocated;
};

struct subject {
	struct scene *scene; /* shared with it */
	int control_fd;
	pid_t pid;
};

static int64_t read_allocated(const struct bench *b)
{
	struct memory_reading reading;

	if (memory_sample(b->memory, &reading) < 0)
		abort();
	return (int64_t)reading.allocated;
}

static void add_memory(const struct bench *b, pid_t pid, struct sample *sample)
{
	const struct proc_stat stat = { .pid = pid, .state = 'S', .n_threads = 1 };
	struct proc_memory precise = { 0 }, shown = { 0 };

	if (pid <= 0)
		return;
	(void)proc_read_rollup(b->proc_fd, pid, &precise);
	(void)proc_read_memory(b->proc_fd, &stat, true, PAGE_SIZE, &shown);
	sample->precise += (int64_t)(precise.anon + precise.swap);
	sample->shown += (int64_t)(shown.anon + shown.swap);
}

static void take_sample(const struct bench *b, const struct way *way, const struct subject *s,
			struct sample *sample)
{
	if (way->subject != WAY_CHILD)
		add_memory(b, s->pid, sample);
	if (way->subject != WAY_SELF)
		add_memory(b, s->scene->child, sample);
}

static bool tell(int fd)
{
	return send(fd, "", 1, MSG_NOSIGNAL) == 1;
}

static bool hear(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) == 1;
}

static _Noreturn void run_subject(const struct way *way, struct scene *scene)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((!way->prepare || way->prepare(scene) == 0) && tell(scene->control_fd) &&
	    hear(scene->control_fd) && (!way->grow || way->grow(scene) == 0) &&
	    tell(scene->control_fd))
		for (;;)
			pause();
	_exit(EXIT_FAILURE);
}

static int start_subject(const struct way *way, struct subject *s)
{
	int fds[2];

	memset(s->scene, 0, sizeof(*s->scene));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	s->control_fd = fds[0];
	s->scene->control_fd = fds[1];
	s->pid = fork();
	if (s->pid == 0)
		run_subject(way, s->scene);
	close(fds[1]);
	return s->pid < 0 ? -errno : 0;
}

/* A child of it that is to be killed with it. */
static void kill_subject(struct subject *s)
{
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, __WALL);
	close(s->control_fd);
}

/* 1: it cannot be done here. */
static int try(const struct bench *b, const struct way *way, struct subject *s, struct sample *ret)
{
	struct sample before = { 0 }, after = { 0 };
	bool done;

	if (start_subject(way, s) < 0)
		return 1;
	if (!hear(s->control_fd)) {
		kill_subject(s);
		return 1;
	}
	/* In the order of the census; and after it, what was allocated by then. */
	before.allocated = read_allocated(b);
	take_sample(b, way, s, &before);
	done = tell(s->control_fd) && hear(s->control_fd) &&
	       (!way->reach_in || way->reach_in(s->pid, s->scene) == 0);
	take_sample(b, way, s, &after);
	after.allocated = read_allocated(b);
	kill_subject(s);
	if (!done)
		return 1;
	ret->precise = after.precise - before.precise;
	ret->shown = after.shown - before.shown;
	ret->allocated = after.allocated - before.allocated;
	return 0;
}

static long in_kib(int64_t bytes)
{
	return (long)(bytes / (int64_t)KIB);
}

static void try_way(struct bench *b, const struct way *way, struct subject *s)
{
	struct sample worst = { 0 };
	int64_t excess = 0;

	if (b->only && !strstr(way->name, b->only))
		return;
	for (unsigned i = 0; i < b->n_tries; i++) {
		struct sample sample;

		if (try(b, way, s, &sample) != 0) {
			printf("%-45s not here: %s\n", way->name, s->scene->why);
			return;
		}
		if (i == 0 || sample.precise - sample.allocated > excess) {
			worst = sample;
			excess = sample.precise - sample.allocated;
		}
	}
	printf("%-45s %9ld %9ld %10ld  ", way->name, in_kib(worst.precise), in_kib(worst.shown),
	       in_kib(worst.allocated));
	if (excess <= 0)
		puts("holds");
	else
		printf("BREAKS by %ld KiB%s%s%s\n", in_kib(excess), way->breaks ? " (" : "",
		       way->breaks ? way->breaks : "", way->breaks ? ")" : "");
	b->n_broken += excess > 0 && !way->breaks;
}

/*
 * In flight.  The subject only grows, so whatever the order in which its pages are read, a sample
 * sees at least what it had before, and at most what it had after.
 */
enum { N_THREADS = 8, N_ROUNDS = 20 };

static pthread_barrier_t go;

static void *grow_in_thread(void *at)
{
	pthread_barrier_wait(&go);
	way_touch(at, WAY_SIZE / N_THREADS);
	return NULL;
}

static int start_threads(struct scene *scene)
{
	pthread_t thread;

	pthread_barrier_init(&go, NULL, N_THREADS + 1);
	for (size_t i = 0; i < N_THREADS; i++)
		if (pthread_create(&thread, NULL, grow_in_thread,
				   scene->at + i * (WAY_SIZE / N_THREADS)) != 0)
			return way_fails(scene, "pthread_create");
	return 0;
}

static int prepare_small(struct scene *scene)
{
	return way_map(scene, WAY_SIZE) ? start_threads(scene) : -1;
}

static int prepare_huge(struct scene *scene)
{
	return way_map_huge(scene, WAY_SIZE) ? start_threads(scene) : -1;
}

static int release_threads(struct scene *scene)
{
	pthread_barrier_wait(&go);
	return 0;
}

static int64_t read_footprint(const struct bench *b, pid_t pid)
{
	struct sample sample = { 0 };

	add_memory(b, pid, &sample);
	return b->accuracy.regime == ACCURACY_PRECISE ? sample.shown : sample.precise;
}

/* By how much the bound was exceeded at worst, between any two samples. */
static int64_t watch(const struct bench *b, const struct subject *s, unsigned *n_samples)
{
	int64_t least = INT64_MAX, worst = INT64_MIN, first = read_footprint(b, s->pid);

	if (!tell(s->control_fd))
		return worst;
	for (int64_t footprint = first; footprint - first < (int64_t)WAY_SIZE;) {
		int64_t before = read_allocated(b);

		footprint = read_footprint(b, s->pid);
		if (least != INT64_MAX && footprint - read_allocated(b) - least > worst)
			worst = footprint - read_allocated(b) - least;
		if (footprint - before < least)
			least = footprint - before;
		(*n_samples)++;
	}
	return worst;
}

static void watch_flight(const struct bench *b, const struct way *way, struct subject *s)
{
	int64_t worst = INT64_MIN;
	unsigned n_samples = 0;

	for (unsigned i = 0; i < N_ROUNDS; i++) {
		if (start_subject(way, s) < 0)
			return;
		if (hear(s->control_fd)) {
			int64_t excess = watch(b, s, &n_samples);

			if (excess > worst)
				worst = excess;
		}
		kill_subject(s);
	}
	if (worst == INT64_MIN)
		printf("%s: not here: %s\n", way->name, s->scene->why);
	else
		printf("%s: exceeded by at most %ld KiB between two of %u samples\n", way->name,
		       in_kib(worst > 0 ? worst : 0), n_samples);
}

/* A CPU that goes offline keeps its part of the count until that is folded into another's
 * (vm_events_fold_cpu(), mm/vmstat.c). */
static _Noreturn void toggle_cpu(void)
{
	static const char path[] = "/sys/devices/system/cpu/cpu1/online";

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < 10; i++)
		if (io_write_at(AT_FDCWD, path, "0") < 0 || io_write_at(AT_FDCWD, path, "1") < 0)
			_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

static void watch_offline(const struct bench *b)
{
	int64_t highest = 0, drop = 0;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		toggle_cpu();
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int64_t allocated = read_allocated(b);

		if (highest - allocated > drop)
			drop = highest - allocated;
		if (allocated > highest)
			highest = allocated;
	}
	if (status != 0)
		puts("CPU taken off line: not here");
	else
		printf("CPU taken off line, ten times: the count went back by at most %ld KiB\n",
		       in_kib(drop));
}

static int bench_init(struct bench *b)
{
	int r;

	b->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->proc_fd < 0)
		return -errno;
	r = accuracy_probe(b->proc_fd, -EBADF, &b->accuracy);
	if (r < 0)
		return r;
	return memory_source_new(b->proc_fd, -EBADF, &b->memory);
}

static void run(struct bench *b, bool machine)
{
	static const struct way small = { "8 threads, small pages in flight", prepare_small,
					  release_threads },
				huge = { "8 threads, huge pages in flight", prepare_huge,
					 release_threads };
	struct subject s = { 0 };
	struct utsname name;

	s.scene = mmap(NULL, sizeof(*s.scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (s.scene == MAP_FAILED || uname(&name) < 0)
		abort();
	printf("kernel %s, %u CPUs, statm %s; worst of %u tries\n", name.release,
	       b->accuracy.n_cpus, accuracy_regime_to_string(b->accuracy.regime), b->n_tries);
	printf("%-45s %9s %9s %10s\n", "KiB", "grew", "shown", "allocated");
	for (size_t i = 0; i < n_ways; i++)
		try_way(b, &ways[i], &s);
	for (size_t i = 0; i < n_ways_outside; i++)
		try_way(b, &ways_outside[i], &s);
	for (size_t i = 0; machine && i < n_ways_machine; i++)
		try_way(b, &ways_machine[i], &s);
	if (!b->only) {
		watch_flight(b, &small, &s);
		watch_flight(b, &huge, &s);
		if (machine)
			watch_offline(b);
	}
	munmap(s.scene, sizeof(*s.scene));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "machine", no_argument, NULL, 'm' },
		{ "tries", required_argument, NULL, 't' },
		{ "after-exec", required_argument, NULL, 'e' }, /* by ourselves */
		{ 0 },
	};
	struct bench b = { .n_tries = 3 };
	bool machine = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'e')
			way_after_exec(atoi(optarg));
		if (c == '?')
			return 2;
		if (c == 'm')
			machine = true;
		else if (atoi(optarg) > 0)
			b.n_tries = (unsigned)atoi(optarg);
	}
	b.only = argv[optind];
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = bench_init(&b);
	if (r < 0) {
		fprintf(stderr, "age-bound: cannot read the machine: %s\n", strerror(-r));
		return 1;
	}
	run(&b, machine);
	memory_source_free(b.memory);
	return b.n_broken > 0;
}
