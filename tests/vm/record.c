/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record: what the kernel counts, every 250 ms, as a table: what thresholds are chosen by.
 *
 * usage: record [PERIOD_MS]
 *
 * The first line names the columns.  Memory in MiB as it is; pressure in ms and /proc/vmstat in
 * pages (or events), both since the last line.  It is locked in memory and has a high priority, so
 * that it has a line for the worst second too.  Until SIGTERM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_SIZE = 32768, MAX_KEYS = 8 };

/* A column of /proc/vmstat: the sum of what begins with one of these. */
struct counter {
	const char *name;
	const char *keys[MAX_KEYS];
	unsigned long long last;
};

static struct counter counters[] = {
	{ "refault_anon", { "workingset_refault_anon " } },
	{ "refault_file", { "workingset_refault_file " } },
	{ "activate_file", { "workingset_activate_file " } },
	{ "swapin", { "pswpin " } },
	{ "swapout", { "pswpout " } },
	{ "majfault", { "pgmajfault " } },
	{ "scan_kswapd", { "pgscan_kswapd " } },
	{ "scan_direct", { "pgscan_direct " } },
	{ "steal", { "pgsteal_kswapd ", "pgsteal_direct " } },
	{ "allocstall",
	  { "allocstall_normal ", "allocstall_movable ", "allocstall_dma32 ", "allocstall_dma " } },
	{ "alloc", { "pgalloc_normal ", "pgalloc_movable ", "pgalloc_dma32 ", "pgalloc_dma " } },
	{ "oom_kill", { "oom_kill " } },
};

static const struct {
	const char *name, *key;
} levels[] = {
	{ "available", "MemAvailable:" },
	{ "free", "MemFree:" },
	{ "anon", "AnonPages:" },
	{ "act_anon", "Active(anon):" },
	{ "file", "Active(file):" },
	{ "ina_file", "Inactive(file):" },
	{ "shmem", "Shmem:" },
	{ "swapfree", "SwapFree:" },
};

enum {
	N_COUNTERS = sizeof(counters) / sizeof(counters[0]),
	N_LEVELS = sizeof(levels) / sizeof(levels[0])
};

static volatile sig_atomic_t stop;
static char text[TEXT_SIZE];

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

static void read_file(int fd)
{
	size_t length = 0;
	ssize_t n;

	while (length < TEXT_SIZE - 1 &&
	       (n = pread(fd, text + length, TEXT_SIZE - 1 - length, (off_t)length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
}

/* At the beginning of a line. */
static unsigned long long value_of(const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0)
			return strtoull(line + length, NULL, 10);
	}
	return 0;
}

static void print_pressure(int fd)
{
	static unsigned long long last[2];
	const char *at = text;

	read_file(fd);
	for (int i = 0; i < 2; i++) {
		unsigned long long total;

		at = strstr(at, "total=");
		if (!at)
			break;
		at += strlen("total=");
		total = strtoull(at, NULL, 10);
		printf(" %llu", (total - last[i]) / 1000);
		last[i] = total;
	}
}

static void print_counters(int fd)
{
	read_file(fd);
	for (int i = 0; i < N_COUNTERS; i++) {
		unsigned long long sum = 0;

		for (int k = 0; k < MAX_KEYS && counters[i].keys[k]; k++)
			sum += value_of(counters[i].keys[k]);
		printf(" %llu", sum - counters[i].last);
		counters[i].last = sum;
	}
}

static void print_levels(int fd)
{
	read_file(fd);
	for (int i = 0; i < N_LEVELS; i++)
		printf(" %llu", value_of(levels[i].key) / 1024);
}

int main(int argc, char **argv)
{
	long period = argc > 1 ? atol(argv[1]) : 250;
	int meminfo = open("/proc/meminfo", O_RDONLY), vmstat = open("/proc/vmstat", O_RDONLY);
	int pressure = open("/proc/pressure/memory", O_RDONLY);

	if (meminfo < 0 || vmstat < 0 || pressure < 0 || period < 1) {
		fprintf(stderr, "usage: record [PERIOD_MS]\n");
		return 1;
	}
	signal(SIGTERM, on_term);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	setpriority(PRIO_PROCESS, 0, -20);

	printf("at some full");
	for (int i = 0; i < N_COUNTERS; i++)
		printf(" %s", counters[i].name);
	for (int i = 0; i < N_LEVELS; i++)
		printf(" %s", levels[i].name);
	printf("\n");
	while (!stop) {
		printf("%.3f", now());
		print_pressure(pressure);
		print_counters(vmstat);
		print_levels(meminfo);
		printf("\n");
		fflush(stdout);
		usleep((useconds_t)period * 1000);
	}
	return 0;
}
