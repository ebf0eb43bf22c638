/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-victim: makes the victims, and the processes that keep the CPUs busy. */
#include "bench/kill-victim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"

#ifndef MADV_POPULATE_WRITE /* glibc 2.35, Linux 5.14 */
#	define MADV_POPULATE_WRITE 23
#endif

#define BYSTANDER_NSEC 1000000
#define THREAD_STACK   (64 * KIB)
#define NSEC_PER_SEC   1000000000L

/* Is killed with its parent, and has an ordinary priority; the rest of the bench has not. */
static void be_ordinary(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	(void)setpriority(PRIO_PROCESS, 0, 0);
}

static void *idle(void *userdata)
{
	for (;;)
		pause();
	return userdata;
}

static bool start_threads(unsigned n)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	while (n-- > 0 && r == 0)
		r = pthread_create(&thread, &attributes, idle, NULL);
	return r == 0;
}

/* Huge pages are freed many times as fast, but no process is sure to get them. */
static bool take_memory(uint64_t bytes)
{
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0)
		return true;
	for (uint64_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	return true;
}

_Noreturn static void be_victim(const struct condition *condition, const struct places *places,
				uint64_t bytes, int ready_fd)
{
	if (!places_enter(places, condition->cpu_percent > 0) || !take_memory(bytes) ||
	    (condition->n_threads > 1 && !start_threads(condition->n_threads - 1)))
		_exit(1);
	if (condition->nice)
		(void)setpriority(PRIO_PROCESS, 0, condition->nice);
	if (condition->sched_idle)
		(void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 });
	if (write(ready_fd, "", 1) != 1)
		_exit(1);
	if (condition->cpu_percent) /* a limit is felt by those that reach it */
		for (;;)
			(void)getppid();
	idle(NULL);
	_exit(1);
}

const char *condition_is_missing(const struct condition *condition, const struct places *places)
{
	if (condition->frozen_v1 && places->v1_freezer_fd < 0)
		return "no freezer of cgroup v1 to be had";
	if (condition->frozen_v2 && places->v2_leaf_fd < 0)
		return "no cgroups of v2 to be had";
	if (condition->cpu_percent && places->cpu_fd < 0)
		return "no cgroup with the cpu controller to be had";
	return NULL;
}

static int impose(const struct condition *condition, const struct places *places, pid_t pid)
{
	siginfo_t info;
	int r = 0;

	if (condition->stopped) {
		if (kill(pid, SIGSTOP) < 0 || waitid(P_PID, (id_t)pid, &info, WSTOPPED) < 0)
			r = -errno;
	}
	if (r == 0 && condition->frozen_v1)
		r = places_freeze_v1(places, true);
	if (r == 0 && condition->frozen_v2)
		r = places_freeze_v2(places, true);
	if (r == 0 && condition->cpu_percent)
		r = places_limit_cpu(places, condition->cpu_percent);
	return r;
}

static int wait_until_ready(int fd)
{
	char byte;
	ssize_t n = read(fd, &byte, 1);

	return n < 0 ? -errno : n == 1 ? 0 : -ENOMEM;
}

int victim_start(const struct condition *condition, const struct places *places, int proc_fd,
		 uint64_t bytes, struct victim *ret)
{
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	pid_t parent = getpid();
	struct proc_stat stat;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	ret->pid = fork();
	if (ret->pid < 0)
		return -errno;
	if (ret->pid == 0) {
		be_ordinary(parent);
		be_victim(condition, places, bytes, write_fd);
	}
	close(take_fd(&write_fd));
	r = wait_until_ready(read_fd);
	if (r == 0)
		r = impose(condition, places, ret->pid);
	if (r == 0)
		r = proc_read_stat(proc_fd, ret->pid, &stat);
	if (r != 0) {
		victim_clear(condition, places, proc_fd, ret);
		return r < 0 ? r : -ESRCH;
	}
	ret->start_ticks = stat.start_ticks;
	return 0;
}

void victim_clear(const struct condition *condition, const struct places *places, int proc_fd,
		  struct victim *victim)
{
	if (victim->pid <= 0)
		return;
	(void)kill_ops_system.boost(proc_fd, victim->pid);
	(void)kill(victim->pid, SIGKILL); /* our own child, not yet waited for */
	if (condition->frozen_v1)
		(void)places_freeze_v1(places, false);
	if (condition->frozen_v2)
		(void)places_freeze_v2(places, false);
	if (condition->cpu_percent)
		(void)places_limit_cpu(places, 0);
	(void)waitpid(victim->pid, NULL, 0);
	victim->pid = 0;
}

int load_new(struct load *load)
{
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t parent = getpid();

	for (load->n = 0; load->n < 2 * n_cpus && load->n < LOAD_MAX; load->n++) {
		pid_t pid = fork();
		volatile unsigned n = 0;

		if (pid < 0)
			return -errno;
		if (pid == 0) {
			be_ordinary(parent);
			raise(SIGSTOP);
			for (;;)
				n++;
		}
		load->pids[load->n] = pid;
	}
	return 0;
}

void load_run(const struct load *load, bool run)
{
	for (unsigned i = 0; i < load->n; i++)
		kill(load->pids[i], run ? SIGCONT : SIGSTOP);
}

void load_done(struct load *load)
{
	for (unsigned i = 0; i < load->n; i++) {
		kill(load->pids[i], SIGKILL);
		(void)waitpid(load->pids[i], NULL, 0);
	}
	load->n = 0;
}

static atomic_uint_fast64_t *latest; /* shared with the bystander */

static uint64_t now_nsec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void run_bystander(void)
{
	for (;;) {
		uint64_t due = now_nsec() + BYSTANDER_NSEC, late;

		nanosleep(&(struct timespec){ .tv_nsec = BYSTANDER_NSEC }, NULL);
		late = now_nsec() - due;
		if (late > atomic_load(latest))
			atomic_store(latest, late);
	}
}

int bystander_start(void)
{
	pid_t parent = getpid(), pid;

	latest = mmap(NULL, sizeof(*latest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (latest == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid == 0) {
		be_ordinary(parent);
		prctl(PR_SET_TIMERSLACK, 1);
		run_bystander();
	}
	return pid < 0 ? -errno : pid;
}

usec_t bystander_read(void)
{
	return atomic_exchange(latest, 0) / 1000;
}
