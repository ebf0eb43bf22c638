/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * accuracy: how far a memory number of the kernel may be from the truth.
 *
 * The first half is arithmetic; the second is the probe, an exchange with a child over a socket.
 * Each byte sent requests one step, each byte received confirms that it is done and that the child
 * waits again: only then are its files read.  The child does nothing but touch pages; it does not
 * outlive its parent (PR_SET_PDEATHSIG, and end of file on the socket).
 */
#include "lib/sys/accuracy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/proc.h"

/* TASK_RSS_EVENTS_THRESH + 1 (mm/memory.c of 6.1): what a thread does not yet add to the
 * counter. */
#define THREAD_HIDES_PAGES 65

/* So many are below that, with the faults that a new thread has itself. */
#define PROBE_PAGES_PER_THREAD 48
#define PROBE_THREADS_MIN      8

/* The question is whether CPUs hide pages, not how many they are; a hop to a busy one waits. */
#define PROBE_CPUS_MAX 8
#define PROBE_STEPS    4

/* The kernel's limit (CONFIG_NR_CPUS) is 8192; cpu_set_t holds 1024. */
#define CPU_SETS 8

#define PROBE_REPLY_MSEC 5000

/* A child that sleeps shows the same number twice; this much is not worth a bound. */
#define TOLERATED_PAGES 4

#define CPU_LIST_MAX 65536

const char *accuracy_regime_to_string(enum accuracy_regime regime)
{
	static const char *const names[] = {
		[ACCURACY_UNKNOWN] = "unknown",
		[ACCURACY_PER_THREAD] = "per-thread",
		[ACCURACY_PER_CPU] = "per-cpu",
		[ACCURACY_PRECISE] = "precise",
	};

	return names[regime];
}

unsigned accuracy_batch(unsigned n_cpus)
{
	return n_cpus > 16 ? 2 * n_cpus : 32;
}

struct interval accuracy_interval(const struct accuracy *accuracy, uint64_t footprint_bytes,
				  bool with_swap, unsigned n_threads)
{
	uint64_t by_threads = (uint64_t)THREAD_HIDES_PAGES * n_threads;
	uint64_t by_cpus = ((uint64_t)accuracy->batch - 1) * accuracy->n_cpus;
	uint64_t pages = 0, bytes;

	switch (accuracy->regime) {
	case ACCURACY_UNKNOWN:
		pages = max_u64(by_threads, by_cpus);
		break;
	case ACCURACY_PER_THREAD:
		pages = by_threads;
		break;
	case ACCURACY_PER_CPU:
		pages = by_cpus;
		break;
	case ACCURACY_PRECISE:
		break;
	}

	bytes = pages * accuracy->page_size * (with_swap ? 2 : 1);
	return (struct interval){
		.lo = sub_u64(footprint_bytes, bytes),
		.hi = add_u64(footprint_bytes, bytes),
	};
}

static int scan_cpu(const char **p, unsigned *ret)
{
	unsigned cpu = 0;

	if (**p < '0' || **p > '9')
		return -EBADMSG;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		cpu = cpu * 10 + (unsigned)(**p - '0');
		if (cpu >= CPU_LIST_MAX)
			return -EBADMSG;
	}

	*ret = cpu;
	return 0;
}

int accuracy_parse_cpu_list(const char *text, unsigned *ret_n)
{
	unsigned n = 0, next = 0;

	for (const char *p = text;; p++) {
		unsigned first, last;

		if (scan_cpu(&p, &first) < 0)
			return -EBADMSG;
		last = first;
		if (*p == '-') {
			p++;
			if (scan_cpu(&p, &last) < 0)
				return -EBADMSG;
		}
		/* Ascending and apart, as bitmap_print_to_pagebuf() has them. */
		if (first < next || last < first)
			return -EBADMSG;
		n += last - first + 1;
		next = last + 1;

		if (*p == '\n' && p[1] == '\0') {
			*ret_n = n;
			return 0;
		}
		if (*p != ',')
			return -EBADMSG;
	}
}

/*
 * Threads asleep on one CPU hide nearly all of their pages from 5.15 to 6.1.  A CPU hides less
 * than a batch, of either sign, so from before to after less than two.
 */
enum accuracy_regime accuracy_classify(int64_t hidden_by_threads, int64_t hidden_by_cpus,
				       unsigned batch)
{
	if (hidden_by_threads >= 2 * (int64_t)batch)
		return ACCURACY_PER_THREAD;
	if (hidden_by_cpus > TOLERATED_PAGES || hidden_by_cpus < -TOLERATED_PAGES)
		return ACCURACY_PER_CPU;
	return ACCURACY_PRECISE;
}

/* The child's state; its threads share it. */
struct probe {
	int socket_fd;
	size_t page_size;
	unsigned batch;
	unsigned n_threads;
	char *fresh;   /* the first page that was not touched */
	sem_t touched; /* posted by each thread */
	cpu_set_t allowed[CPU_SETS];
};

enum probe_step {
	PROBE_STEP_CPUS = 'c',
	PROBE_STEP_THREADS = 't',
};

static void touch_pages(struct probe *probe, unsigned n)
{
	char *page = __atomic_fetch_add(&probe->fresh, n * probe->page_size, __ATOMIC_RELAXED);

	for (; n > 0; n--, page += probe->page_size)
		*(volatile char *)page = 1;
}

static int pin_to(unsigned cpu)
{
	cpu_set_t sets[CPU_SETS];

	CPU_ZERO_S(sizeof(sets), sets);
	CPU_SET_S(cpu, sizeof(sets), sets);
	return sched_setaffinity(0, sizeof(sets), sets);
}

/* A quarter of a batch on each: whatever a CPU hid before, some step shows it hide much. */
static int touch_on_cpus(struct probe *probe)
{
	unsigned n_cpus = 0;

	for (unsigned cpu = 0; cpu < CPU_SETS * CPU_SETSIZE && n_cpus < PROBE_CPUS_MAX; cpu++) {
		if (!CPU_ISSET_S(cpu, sizeof(probe->allowed), probe->allowed))
			continue;
		/* Refused, or just taken off line: it counts on the CPU on which it runs. */
		(void)pin_to(cpu);
		touch_pages(probe, probe->batch / PROBE_STEPS);
		n_cpus++;
	}
	return n_cpus > 0 ? 0 : -ENODEV;
}

static void *touch_and_sleep(void *userdata)
{
	struct probe *probe = userdata;

	touch_pages(probe, PROBE_PAGES_PER_THREAD);
	sem_post(&probe->touched);
	for (;;)
		pause();
	return NULL;
}

/* All on one CPU, which can then hide but one batch. */
static int touch_in_threads(struct probe *probe)
{
	pthread_attr_t attr;
	int cpu = sched_getcpu();

	if (cpu < 0 || pin_to((unsigned)cpu) < 0)
		return -errno;
	if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, 256 * KIB) != 0)
		return -ENOMEM;

	for (unsigned i = 0; i < probe->n_threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, touch_and_sleep, probe) != 0)
			return -EAGAIN;
	}
	for (unsigned i = 0; i < probe->n_threads; i++)
		if (sem_wait(&probe->touched) < 0)
			return -errno;
	return 0;
}

static int probe_init(struct probe *probe)
{
	size_t n_pages = (size_t)PROBE_CPUS_MAX * probe->batch +
			 (size_t)probe->n_threads * PROBE_PAGES_PER_THREAD;
	void *area;

	if (sched_getaffinity(0, sizeof(probe->allowed), probe->allowed) < 0 ||
	    sem_init(&probe->touched, 0, 0) < 0)
		return -errno;
	area = mmap(NULL, n_pages * probe->page_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	/* A huge page would be one event of 512 pages.  Kernels without them say EINVAL. */
	(void)madvise(area, n_pages * probe->page_size, MADV_NOHUGEPAGE);
	probe->fresh = area;
	return 0;
}

static void close_all_but(int fd)
{
	if (fd > 3)
		(void)close_range(3, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1 > 3 ? (unsigned)fd + 1 : 3, ~0U, 0);
}

/* Never returns: the parent kills it. */
static _Noreturn void run_child(struct probe *probe, pid_t parent)
{
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	close_all_but(probe->socket_fd);

	for (r = probe_init(probe); r == 0;) {
		char step = 0;

		if (send(probe->socket_fd, &step, 1, MSG_NOSIGNAL) != 1 ||
		    recv(probe->socket_fd, &step, 1, 0) != 1)
			break;
		r = step == PROBE_STEP_CPUS ? touch_on_cpus(probe) : touch_in_threads(probe);
	}
	_exit(EXIT_FAILURE);
}

/* Until the child waits for the next step; -EPIPE where it has failed. */
static int await_child(int socket_fd)
{
	struct pollfd pollfd = { .fd = socket_fd, .events = POLLIN };
	unsigned n_interruptions = 0;
	char byte;
	int n;

	do
		n = poll(&pollfd, 1, PROBE_REPLY_MSEC);
	while (io_is_interrupted(n, &n_interruptions));
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return recv(socket_fd, &byte, 1, 0) == 1 ? 0 : -EPIPE;
}

/* The anonymous pages that statm does not show. */
static int read_hidden(int proc_fd, pid_t pid, uint64_t page_size, int64_t *ret_pages)
{
	const struct proc_stat stat = { .pid = pid, .state = 'S', .n_threads = 1 };
	struct proc_memory shown, precise;

	if (proc_read_memory(proc_fd, &stat, false, page_size, &shown) != 0 ||
	    proc_read_rollup(proc_fd, pid, &precise) != 0)
		return -ENODATA;

	*ret_pages = ((int64_t)precise.anon - (int64_t)shown.anon) / (int64_t)page_size;
	return 0;
}

static int take_step(int socket_fd, enum probe_step step, int proc_fd, pid_t pid,
		     uint64_t page_size, int64_t *ret_hidden)
{
	char byte = (char)step;
	int r;

	if (send(socket_fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return -errno;
	r = await_child(socket_fd);
	return r < 0 ? r : read_hidden(proc_fd, pid, page_size, ret_hidden);
}

static int64_t larger_of(int64_t a, int64_t b)
{
	return (a < 0 ? -a : a) > (b < 0 ? -b : b) ? a : b;
}

static enum accuracy_regime converse(int socket_fd, int proc_fd, pid_t pid,
				     const struct accuracy *accuracy)
{
	int64_t by_cpus, by_threads, hidden;

	if (await_child(socket_fd) < 0 ||
	    read_hidden(proc_fd, pid, accuracy->page_size, &hidden) < 0)
		return ACCURACY_UNKNOWN;

	by_cpus = hidden;
	for (unsigned i = 0; i < PROBE_STEPS; i++) {
		if (take_step(socket_fd, PROBE_STEP_CPUS, proc_fd, pid, accuracy->page_size,
			      &hidden) < 0)
			return ACCURACY_UNKNOWN;
		by_cpus = larger_of(by_cpus, hidden);
	}

	if (take_step(socket_fd, PROBE_STEP_THREADS, proc_fd, pid, accuracy->page_size,
		      &by_threads) < 0)
		return ACCURACY_UNKNOWN;
	return accuracy_classify(by_threads - hidden, by_cpus, accuracy->batch);
}

/* fork(), but that no handler of ours runs in the child: all signals are blocked there. */
static pid_t fork_quietly(void)
{
	sigset_t all, old;
	pid_t pid;
	int e;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	e = errno;
	if (pid != 0)
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = e;
	return pid;
}

static unsigned count_cpus(int sys_fd)
{
	char buf[4096];
	unsigned n;
	long online;

	if (sys_fd >= 0 && io_read_at(sys_fd, "devices/system/cpu/online", buf, sizeof(buf)) >= 0 &&
	    accuracy_parse_cpu_list(buf, &n) == 0)
		return n;
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}

int accuracy_probe(int proc_fd, int sys_fd, struct accuracy *ret)
{
	_cleanup_close_ int ours = -EBADF, theirs = -EBADF, pidfd = -EBADF;
	pid_t parent = getpid(), pid;
	unsigned n_threads, n_interruptions = 0;
	int fds[2];

	ret->regime = ACCURACY_UNKNOWN;
	ret->n_cpus = count_cpus(sys_fd);
	ret->batch = accuracy_batch(ret->n_cpus);
	ret->page_size = (uint64_t)sysconf(_SC_PAGESIZE);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];

	/* Twice what a CPU could hide from before to after, see accuracy_classify(). */
	n_threads = 4 * ret->batch / PROBE_PAGES_PER_THREAD + 1;
	if (n_threads < PROBE_THREADS_MIN)
		n_threads = PROBE_THREADS_MIN;

	pid = fork_quietly();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		struct probe probe = {
			.socket_fd = theirs,
			.page_size = ret->page_size,
			.batch = ret->batch,
			.n_threads = n_threads,
		};

		run_child(&probe, parent);
	}

	close(take_fd(&theirs));
	pidfd = pidfd_open(pid, 0);
	if (pidfd >= 0) {
		ret->regime = converse(ours, proc_fd, pid, ret);
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	}
	/* End of file makes it exit too, where there is no pidfd. */
	close(take_fd(&ours));
	while (io_is_interrupted(waitpid(pid, NULL, 0), &n_interruptions))
		;
	return 0;
}
