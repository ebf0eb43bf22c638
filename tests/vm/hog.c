/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hog: grow anonymous memory at a fixed rate until it is killed.
 *
 * usage: hog [-i] [-t] [RATE_MIB_PER_S [MAX_MIB]]
 *   -i  ignore SIGTERM
 *   -t  keep touching random pages of all that is held, so that nothing of it
 *       can be evicted for long
 *
 * At MAX_MIB it stops growing and holds on.  Every 16 MiB it writes one line:
 * monotonic seconds, MiB held, MemAvailable and SwapFree in MiB.  Half of each
 * page is random, so that it compresses about 2:1 on zram.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 1 << 20, MAX_CHUNKS = 1 << 16, REPORT_CHUNKS = 16 };

static unsigned char *chunks[MAX_CHUNKS];
static size_t n_chunks;

static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252u; /* xorshift64 */

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long meminfo_mib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atol(at + strlen(key)) / 1024 : -1;
}

static void report(int meminfo_fd)
{
	char text[4096];
	ssize_t n = pread(meminfo_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	dprintf(STDOUT_FILENO, "%.3f held %zu available %ld swapfree %ld\n", now(), n_chunks,
		meminfo_mib(text, "MemAvailable:"), meminfo_mib(text, "SwapFree:"));
}

static int grow(void)
{
	unsigned char *p =
		mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	for (size_t page = 0; page < CHUNK; page += PAGE) {
		for (size_t i = 0; i < PAGE / 2; i += sizeof(uint64_t)) {
			uint64_t r = next_random();

			memcpy(p + page + i, &r, sizeof(r));
		}
	}
	chunks[n_chunks++] = p;
	return 0;
}

static void touch_some(void)
{
	for (int i = 0; i < 256; i++) {
		uint64_t r = next_random();

		chunks[r % n_chunks][(r >> 32) % (CHUNK / PAGE) * PAGE]++;
	}
}

int main(int argc, char **argv)
{
	double rate = 50, start = now();
	size_t max = MAX_CHUNKS;
	int meminfo_fd, opt, thrash = 0;

	while ((opt = getopt(argc, argv, "it")) != -1) {
		if (opt == 'i')
			signal(SIGTERM, SIG_IGN);
		else if (opt == 't')
			thrash = 1;
		else
			return 2;
	}
	if (optind < argc)
		rate = atof(argv[optind++]);
	if (optind < argc)
		max = strtoul(argv[optind], NULL, 10);
	if (max > MAX_CHUNKS)
		max = MAX_CHUNKS;
	meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (meminfo_fd < 0) {
		perror("/proc/meminfo");
		return 1;
	}
	for (;;) {
		if (n_chunks < max && (double)n_chunks < (now() - start) * rate) {
			if (grow() < 0) {
				perror("mmap");
				return 1;
			}
			if (n_chunks % REPORT_CHUNKS == 0)
				report(meminfo_fd);
		} else if (thrash && n_chunks > 0) {
			touch_some();
		} else {
			usleep(2000);
		}
	}
}
