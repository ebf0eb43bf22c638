/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * odd: programs that hold memory in ways in which not every program does.
 *
 * usage: odd NAME KIND [NUMBER...]     NAME becomes its comm
 *   grow RATE [MAX]         private memory, at RATE MiB/s; holds on at MAX MiB
 *   hot RATE MAX THREADS    the same, and THREADS threads touch all of it, again and again
 *   deaf RATE MAX           on SIGTERM grows at ten times the rate
 *   shared RATE MAX         shared memory that no other process has
 *   memfd RATE MAX          likewise, of a memfd
 *   held MIB                a memfd that it does not map
 *   inflight MIB            likewise, and its only descriptor is in a socket that nothing reads
 *   tables MIB              MIB of page tables, and next to no pages
 *   pipes MIB               MIB of pipe buffers
 *   saver MIB               MIB, and a child by fork that only reads them
 *   pool MIB N RATE         MIB shared by N children of which the last one grows at RATE
 *   jobs N TOTAL MIB SECS   TOTAL children, N at a time, each grows to MIB in SECS and exits;
 *                           prints how many did
 *   storm PER_S MIB         children of MIB, PER_S a second, that stay
 *   churn MIB               takes MIB and gives them back, again and again
 *   reader FILE             touches all of a mapped FILE, at random, again and again
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/send-fd.h"

#define PAGE	   4096L
#define MIB	   (1L << 20)
#define TABLE_SPAN (2 * MIB) /* of address space, for one page of page tables */

static double numbers[4];
static char *volatile held; /* one mapping, of which so much is in use: */
static volatile long held_bytes;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static _Noreturn void hold_on(void)
{
	for (;;)
		pause();
}

static void sleep_for(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t random_number(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Half of each page is random: it compresses two to one. */
static void fill(char *p, long bytes)
{
	static uint64_t state = 88172645463325252U;

	for (long at = 0; at < bytes; at += PAGE)
		for (long i = 0; i < PAGE / 2; i += (long)sizeof(uint64_t))
			*(uint64_t *)(p + at + i) = random_number(&state);
}

static char *map(long bytes, int flags, int fd)
{
	char *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	madvise(p, (size_t)bytes, MADV_NOHUGEPAGE);
	return p;
}

/* Fills the mapping at that rate. */
static void grow(char *p, double rate, long mib)
{
	double start = now();

	held = p;
	for (long i = 0; i < mib; i++) {
		double early = (double)i / rate - (now() - start);

		if (early > 0)
			sleep_for(early);
		fill(p + i * MIB, MIB);
		held_bytes = (i + 1) * MIB;
	}
}

static long max_or(double number)
{
	return number > 0 ? (long)number : 1 << 20;
}

static void *touch_all(void *userdata)
{
	uint64_t state = (uintptr_t)userdata * 2654435761U + 1;

	for (;;) {
		if (held_bytes > 0)
			((volatile char *)held)[random_number(&state) %
						(uint64_t)(held_bytes / PAGE) * PAGE]++;
		else
			sleep_for(0.01);
	}
	return NULL;
}

static void run_hot(void)
{
	for (intptr_t i = 0; i < (intptr_t)numbers[2]; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, touch_all, (void *)(i + 1)) != 0)
			fail("pthread_create");
	}
	grow(map(max_or(numbers[1]) * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), numbers[0],
	     max_or(numbers[1]));
}

static void on_term(int signal)
{
	grow(map(max_or(0) * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), numbers[0] * 10, max_or(0));
}

static void run_grow(void)
{
	grow(map(max_or(numbers[1]) * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), numbers[0],
	     max_or(numbers[1]));
}

static void run_deaf(void)
{
	signal(SIGTERM, on_term);
	run_grow();
}

static void run_shared(void)
{
	grow(map((long)numbers[1] * MIB, MAP_SHARED | MAP_ANONYMOUS, -1), numbers[0],
	     (long)numbers[1]);
}

static void run_memfd(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)numbers[1] * MIB) < 0)
		fail("memfd");
	grow(map((long)numbers[1] * MIB, MAP_SHARED, fd), numbers[0], (long)numbers[1]);
}

static int filled_memfd(long mib)
{
	static char data[MIB];
	int fd = memfd_create("ram", MFD_CLOEXEC);

	memset(data, 'x', sizeof(data));
	for (long i = 0; i < mib; i++) {
		if (write(fd, data, sizeof(data)) < 0)
			fail("memfd");
		sleep_for(0.01);
	}
	return fd;
}

static void run_held(void)
{
	(void)filled_memfd((long)numbers[0]);
}

static void run_inflight(void)
{
	int ends[2], fd = filled_memfd((long)numbers[0]);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    send_fd(ends[0], fd) < 0)
		fail("sendmsg");
	close(fd);
}

/* Reads of pages that were never written share one page of zeros, but not the tables. */
static void run_tables(void)
{
	long n = (long)numbers[0] * (MIB / PAGE);
	volatile char *p = map(n * TABLE_SPAN, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (long i = 0; i < n; i++) {
		(void)p[i * TABLE_SPAN];
		if (i % 256 == 255)
			sleep_for(0.02);
	}
}

static void run_pipes(void)
{
	static char data[PAGE];

	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 65536, 65536 });
	memset(data, 'x', sizeof(data));
	for (long i = 0; i < (long)numbers[0]; i++) {
		int fds[2];

		if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
			fail("pipe");
		fcntl(fds[1], F_SETPIPE_SZ, (int)MIB);
		while (write(fds[1], data, sizeof(data)) > 0)
			;
		sleep_for(0.025);
	}
}

static void read_all(const volatile char *p, long bytes)
{
	for (long i = 0; i < bytes; i += PAGE)
		(void)p[i];
}

static void run_saver(void)
{
	long bytes = (long)numbers[0] * MIB;
	char *p = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	fill(p, bytes);
	if (fork() == 0)
		read_all(p, bytes);
}

static void run_pool(void)
{
	long bytes = (long)numbers[0] * MIB, n = (long)numbers[1];
	char *p = map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);

	fill(p, bytes);
	for (long i = 0; i < n; i++) {
		if (fork() != 0)
			continue;
		read_all(p, bytes);
		if (i == n - 1) {
			prctl(PR_SET_NAME, "grower");
			numbers[0] = numbers[2];
			numbers[1] = 0;
			run_grow();
		}
		hold_on();
	}
}

static _Noreturn void run_job(void)
{
	prctl(PR_SET_NAME, "compiler");
	numbers[0] = numbers[2] / numbers[3];
	numbers[1] = numbers[2];
	run_grow();
	sleep_for(1);
	_exit(0);
}

static void run_jobs(void)
{
	long left = (long)numbers[1], running = 0, done = 0, killed = 0;
	int status;

	while (left > 0 || running > 0) {
		if (left > 0 && running < (long)numbers[0]) {
			if (fork() == 0)
				run_job();
			left--;
			running++;
			continue;
		}
		if (wait(&status) < 0)
			fail("wait");
		running--;
		if (WIFSIGNALED(status))
			killed++;
		else
			done++;
	}
	printf("done=%ld killed=%ld\n", done, killed);
	exit(0);
}

static void run_storm(void)
{
	for (;;) {
		if (fork() == 0) {
			prctl(PR_SET_NAME, "drop");
			fill(map((long)numbers[1] * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1),
			     (long)numbers[1] * MIB);
			hold_on();
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sleep_for(1 / numbers[0]);
	}
}

static void run_churn(void)
{
	long bytes = (long)numbers[0] * MIB;

	for (;;) {
		char *p = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		fill(p, bytes);
		munmap(p, (size_t)bytes);
		sleep_for(0.02);
	}
}

static _Noreturn void run_reader(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t state = (uint64_t)getpid();
	volatile char *p;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	madvise((void *)p, (size_t)st.st_size, MADV_RANDOM);
	for (;;)
		(void)p[random_number(&state) % (uint64_t)(st.st_size / PAGE) * (uint64_t)PAGE];
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		int n_numbers; /* at least */
	} kinds[] = {
		{ "grow", run_grow, 1 },   { "hot", run_hot, 3 },
		{ "deaf", run_deaf, 2 },   { "shared", run_shared, 2 },
		{ "memfd", run_memfd, 2 }, { "tables", run_tables, 1 },
		{ "pipes", run_pipes, 1 }, { "saver", run_saver, 1 },
		{ "pool", run_pool, 3 },   { "jobs", run_jobs, 4 },
		{ "storm", run_storm, 2 }, { "churn", run_churn, 1 },
		{ "held", run_held, 1 },   { "inflight", run_inflight, 1 },
	};

	if (argc < 4)
		return 2;
	prctl(PR_SET_NAME, argv[1]);
	if (strcmp(argv[2], "reader") == 0)
		run_reader(argv[3]);
	for (int i = 3; i < argc && i < 7; i++)
		numbers[i - 3] = atof(argv[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[2], kinds[i].name) != 0 || argc - 3 < kinds[i].n_numbers)
			continue;
		kinds[i].run();
		while (wait(NULL) > 0)
			;
		hold_on();
	}
	return 2;
}
