/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe: a bystander that shows how long others make it wait.
 *
 * usage: probe MAPPED_FILE [SLICES]
 *
 * Every 10 ms it wakes and touches a part of its working set (64 MiB, page by
 * page) and of a mapped file.  A stall is how much later than planned a round
 * was done.  Every five rounds it writes a line: monotonic seconds, MemAvailable
 * and SwapFree in KiB, the longest stall of these rounds in ms.  On SIGTERM it writes one more
 * line: rounds, the longest stall and when it ended, how many were long, the sum of those over 20
 * ms, and what a round costs.
 *
 * A round touches every SLICESth page, the next round the pages after those,
 * and so on.  With SLICES 1 it touches all 16,384 pages in each round: that
 * takes 0.4 ms on hardware, but 9 to 12 ms under software emulation, which is
 * no longer a light load.  Hence the default of 16 (0.9 ms there), in which
 * every page is touched every 160 ms.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, SET_BYTES = 64 << 20, TRACE_ROUNDS = 5, DEFAULT_SLICES = 16 };
#define PERIOD 0.010

struct stalls {
	unsigned long rounds, over20, over100, over1000;
	double longest, longest_at, recent, sum, work;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long meminfo_kib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atol(at + strlen(key)) : -1;
}

static void trace(int meminfo_fd, double recent)
{
	char text[4096];
	ssize_t n = pread(meminfo_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	dprintf(STDOUT_FILENO, "%.3f %ld %ld %.0f\n", now(), meminfo_kib(text, "MemAvailable:"),
		meminfo_kib(text, "SwapFree:"), recent * 1e3);
}

static void account(struct stalls *s, double due, double done)
{
	double stall = done - due;

	s->rounds++;
	s->over20 += stall > 0.020;
	s->over100 += stall > 0.100;
	s->over1000 += stall > 1;
	if (stall > 0.020)
		s->sum += stall;
	if (stall > s->recent)
		s->recent = stall;
	if (stall > s->longest) {
		s->longest = stall;
		s->longest_at = done;
	}
}

static void *map_file(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return MAP_FAILED;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return p;
}

int main(int argc, char **argv)
{
	size_t slices = argc > 2 ? strtoul(argv[2], NULL, 10) : DEFAULT_SLICES;
	size_t file_size = 0;
	volatile char *set, *file;
	struct stalls s = { 0 };
	int meminfo_fd;
	double due;

	if (argc < 2 || slices < 1)
		return 2;
	meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	file = map_file(argv[1], &file_size);
	set = mmap(NULL, SET_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (meminfo_fd < 0 || file == MAP_FAILED || set == MAP_FAILED) {
		perror("probe");
		return 1;
	}
	/* Small pages, each of which can be evicted by itself. */
	madvise((void *)set, SET_BYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < SET_BYTES; i += PAGE)
		set[i] = 1;
	signal(SIGTERM, on_term);

	for (due = now() + PERIOD; !stop;) {
		double wait = due - now(), woke, done;
		size_t first = s.rounds % slices * PAGE;

		if (wait > 0)
			usleep((useconds_t)(wait * 1e6));
		woke = now();
		for (size_t i = first; i < SET_BYTES; i += slices * PAGE)
			set[i]++;
		for (size_t i = first; i < file_size; i += slices * PAGE)
			(void)file[i];
		done = now();
		s.work += done - woke;
		account(&s, due, done);
		if (s.rounds % TRACE_ROUNDS == 0) {
			trace(meminfo_fd, s.recent);
			s.recent = 0;
		}
		due += PERIOD;
		if (due < done) /* late: do not count the same wait again */
			due = done + PERIOD;
	}
	printf("rounds=%lu longest_ms=%.0f at=%.3f over20ms=%lu over100ms=%lu over1s=%lu "
	       "stalled_s=%.2f work_ms=%.2f\n",
	       s.rounds, s.longest * 1e3, s.longest_at, s.over20, s.over100, s.over1000, s.sum,
	       s.work * 1e3 / (double)s.rounds);
	return 0;
}
