/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* real-victim: a process that holds memory, and a daemon that is called by hand until it acts. */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "lib/base/io.h"
#include "tests/is-alive.h"
#include "tests/manager-parts.h"

#define KILL_NOW "[Policy now]\nMemoryAvailable=100%\nAction=kill\n"
#define TERM_NOW "[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=1min\n"

/* The daemon's oom_score_adj of -1000, which it has where that is permitted, is not for children.
 */
static inline void be_ordinary(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)io_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
}

static inline void hold_memory(size_t mib)
{
	char *memory =
		mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	memset(memory, 1, mib * MIB);
}

/* Returns when it has all of it.  name: NULL: that of the test. */
static inline pid_t fork_victim(const char *name, size_t mib, bool ignores_term)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigset_t none;

		be_ordinary();
		if (name)
			prctl(PR_SET_NAME, name);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGTERM, ignores_term ? SIG_IGN : SIG_DFL);
		munlockall();
		hold_memory(mib);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* By which signal it exits, or with which status: within a minute. */
static inline int exit_signal(pid_t pid)
{
	siginfo_t info = { 0 };

	for (int i = 0; i < 6000 && is_alive(pid); i++)
		usleep(10000);
	assert_false(is_alive(pid));
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return info.si_status;
}

/* A step: what takes several turns on a busy machine (the first listing, a choice that was cut
 * short) is waited for.  after: each turn; or NULL. */
static inline void tick_until_decided(struct manager *m, void (*after)(void))
{
	usec_t decided_at = m->in_flight->decision.decided_at;

	for (int i = 0; i < 200; i++) {
		unsigned n_vanished = m->selection->n_vanished;

		(void)tick(m->tick, clock_now());
		if (after)
			after();
		if (m->regime->state == REGIME_KILLING ||
		    m->in_flight->decision.decided_at != decided_at ||
		    (m->selection->n_cut == 0 && m->selection->n_vanished == n_vanished &&
		     (m->sampler->watch.listed_at != 0 || m->sampler->watch.since == 0)))
			break;
	}
}

/* Until the victim is done with: at most for a minute, on a machine that is busy. */
static inline void tick_until_over(const struct manager *m, void (*take)(void))
{
	for (int i = 0; i < 6000 && m->regime->state == REGIME_KILLING; i++) {
		usleep(10000);
		take();
	}
	assert_int_not_equal(m->regime->state, REGIME_KILLING);
}
