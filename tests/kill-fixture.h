/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-fixture: ops that record what they are called for; and what all tests of kills use. */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/kill/kill.h"
#include "tests/count-fds.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Is it so within two seconds? */
#define wait_until(condition)                                                                      \
	({                                                                                         \
		int _tries = 2000;                                                                 \
		while (!(condition) && --_tries > 0)                                               \
			(void)usleep(1000);                                                        \
		_tries > 0;                                                                        \
	})

/*
 * Recording ops: what was called, in order, and what each is to answer.  The victim is FAKE_PID;
 * of another the record has the distance: "KILL2" is a signal to FAKE_PID + 2.
 */
#define FAKE_PID 100

struct answers {
	int open, read_start, probe, signal, boost, thaw, read_cgroups;
	int thaw_error; /* left in thawed->error */
};

static struct {
	char log[256];
	struct answers answers; /* of the victim's own steps */
	struct answers odd;	/* of odd_pid's */
	pid_t odd_pid;
	int mrelease;
	uint64_t start_ticks;
	const char *elsewhere; /* the cgroup of odd_pid; NULL: the victim's */
	pid_t pid_of_fd[256];
	usec_t now; /* one later at each call */
} fake;

static inline void record(const char *what, pid_t pid)
{
	size_t n = strlen(fake.log);

	(void)snprintf(fake.log + n, sizeof(fake.log) - n, pid == FAKE_PID ? "%s%s" : "%s%s%d",
		       n > 0 ? " " : "", what, pid - FAKE_PID);
}

static inline const struct answers *answers_of(pid_t pid)
{
	static const struct answers good;

	if (pid == fake.odd_pid)
		return &fake.odd;
	return pid == FAKE_PID ? &fake.answers : &good;
}

static inline int fake_open(pid_t pid)
{
	int fd;

	record("open", pid);
	if (answers_of(pid)->open < 0)
		return answers_of(pid)->open;
	fd = eventfd(0, EFD_CLOEXEC); /* not readable: the process lives */
	assert_in_range(fd, 0, ARRAY_SIZE(fake.pid_of_fd) - 1);
	fake.pid_of_fd[fd] = pid;
	return fd;
}

static inline int fake_send_signal(int pidfd, int signal)
{
	pid_t pid = fake.pid_of_fd[pidfd];

	record(signal == SIGKILL ? "KILL" : signal == 0 ? "probe" : "TERM", pid);
	return signal == 0 ? answers_of(pid)->probe : answers_of(pid)->signal;
}

/* On a reaper's thread: not in the record. */
static inline int fake_mrelease(int pidfd)
{
	return fake.mrelease;
}

static inline int fake_read_start(int proc_fd, pid_t pid, uint64_t *ret_start_ticks)
{
	record("start", pid);
	*ret_start_ticks = fake.start_ticks;
	return answers_of(pid)->read_start;
}

static inline int fake_boost(int proc_fd, pid_t pid)
{
	record("boost", pid);
	return answers_of(pid)->boost;
}

static inline int fake_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
			    struct freezer_thawed *thawed)
{
	pid_t pid = fake.elsewhere && strcmp(v2_path, "/") != 0 ? fake.odd_pid : FAKE_PID;

	record("thaw", pid);
	if (thawed->error == 0)
		thawed->error = answers_of(pid)->thaw_error;
	return answers_of(pid)->thaw;
}

static inline int fake_read_cgroups(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
				    char *v2_path, char *v1_path, size_t size)
{
	record("place", pid);
	(void)snprintf(v2_path, size, "%s",
		       pid == fake.odd_pid && fake.elsewhere ? fake.elsewhere : "/");
	(void)snprintf(v1_path, size, "/");
	return answers_of(pid)->read_cgroups;
}

static inline usec_t fake_now(void)
{
	return ++fake.now;
}

static const struct kill_ops fake_ops = {
	.pidfd_open = fake_open,
	.pidfd_send_signal = fake_send_signal,
	.process_mrelease = fake_mrelease,
	.read_start = fake_read_start,
	.boost = fake_boost,
	.thaw = fake_thaw,
	.read_cgroups = fake_read_cgroups,
	.now = fake_now,
};

static const struct kill_target fake_target = { .pid = FAKE_PID, .start_ticks = 7, .v2_path = "/" };

static inline unsigned n_done(const struct kill_reapers *reapers)
{
	struct kill_reap_stats stats;

	kill_reapers_stats(reapers, &stats);
	return stats.n_done;
}

#define OTHER(n) (FAKE_PID + (n))
