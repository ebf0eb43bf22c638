/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hide: hold anonymous memory of which a part is missing in the kernel's approximate counters.
 *
 * usage: hide KIB [THREADS PAGES]
 *
 * Holds KIB in all.  THREADS * PAGES pages of it are touched by so many threads, the first on the
 * first CPU that is allowed and so on around, each of which then sleeps for ever.  With a thread
 * on each CPU and PAGES a little below percpu_counter's batch, max(32, 2 * CPUs), kernels from 6.2
 * on do not show these pages in /proc/PID/stat and oom_score; to 6.1 it is up to 64 pages a
 * thread, on whatever CPU (check_sync_rss_stat(), mm/memory.c).  When all is touched it writes
 * one line, and holds on.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, STACK = 64 << 10, MAX_CPUS = 4096 };

static char *fresh; /* the first page that was not touched */
static size_t n_pages;
static sem_t touched;
static cpu_set_t *allowed;
static size_t cpus_size;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void touch(size_t n)
{
	char *page = __atomic_fetch_add(&fresh, n * PAGE, __ATOMIC_RELAXED);

	for (; n > 0; n--, page += PAGE)
		*(volatile char *)page = 1;
}

static void *touch_and_sleep(void *unused)
{
	touch(n_pages);
	sem_post(&touched);
	for (;;)
		pause();
	return unused;
}

/* The next one that is allowed, around. */
static int next_cpu(int cpu)
{
	do
		cpu = (cpu + 1) % MAX_CPUS;
	while (!CPU_ISSET_S(cpu, cpus_size, allowed));
	return cpu;
}

/* From its first instruction on that CPU: what its stack takes is counted there, too. */
static void start_thread(int cpu, cpu_set_t *only)
{
	pthread_attr_t attr;
	pthread_t thread;

	CPU_ZERO_S(cpus_size, only);
	CPU_SET_S(cpu, cpus_size, only);
	if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, STACK) != 0 ||
	    pthread_attr_setaffinity_np(&attr, cpus_size, only) != 0 ||
	    pthread_create(&thread, &attr, touch_and_sleep, NULL) != 0)
		die("pthread_create");
	pthread_attr_destroy(&attr);
	while (sem_wait(&touched) < 0)
		;
}

int main(int argc, char **argv)
{
	size_t n_all, n_threads = 0;
	cpu_set_t *only;
	int cpu = -1;

	if (argc != 2 && argc != 4)
		return 2;
	n_all = strtoul(argv[1], NULL, 10) / (PAGE / 1024);
	if (argc == 4) {
		n_threads = strtoul(argv[2], NULL, 10);
		n_pages = strtoul(argv[3], NULL, 10);
	}
	if (n_all == 0 || n_threads * n_pages > n_all)
		return 2;

	cpus_size = CPU_ALLOC_SIZE(MAX_CPUS);
	allowed = CPU_ALLOC(MAX_CPUS);
	only = CPU_ALLOC(MAX_CPUS);
	if (!allowed || !only || sched_getaffinity(0, cpus_size, allowed) < 0)
		die("sched_getaffinity");
	/* One CPU for all the rest, so that nothing is left on the others. */
	CPU_ZERO_S(cpus_size, only);
	CPU_SET_S(next_cpu(-1), cpus_size, only);
	if (sched_setaffinity(0, cpus_size, only) < 0 || sem_init(&touched, 0, 0) < 0)
		die("sched_setaffinity");

	fresh = mmap(NULL, n_all * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (fresh == MAP_FAILED)
		die("mmap");
	/* A huge page would be one event of 512 pages.  Kernels without them say EINVAL. */
	(void)madvise(fresh, n_all * PAGE, MADV_NOHUGEPAGE);

	touch(n_all - n_threads * n_pages);
	for (size_t i = 0; i < n_threads; i++) {
		cpu = next_cpu(cpu);
		start_thread(cpu, only);
	}
	if (printf("%zu KiB held\n", n_all * (PAGE / 1024)) < 0 || fflush(stdout) != 0)
		die("write");
	for (;;)
		pause();
}
