/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rehearsal: see the header. */
#include "daemon/rehearsal.h"

#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "lib/io.h"

#define CHILD_BYTES   (4 * MIB)
#define PATIENCE_MSEC 1000

/* Nobody asks for these in vain: each has its line in report.c. */
static const unsigned wanted[] = {
	CAP_KILL, CAP_SYS_NICE, CAP_SYS_PTRACE, CAP_SYS_RESOURCE, CAP_DAC_OVERRIDE,
};

static uint64_t missing_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint64_t have = 0, missing = 0;

	if (syscall(SYS_capget, &header, data) == 0)
		have = data[0].effective | (uint64_t)data[1].effective << 32;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		missing |= ((uint64_t)1 << wanted[i]) & ~have;
	return missing;
}

void rehearsal_protect_self(struct manager *m)
{
	struct abilities *a = &m->abilities;
	char text[16];

	a->missing_capabilities = missing_capabilities();
	/* On fault: what is never touched (libcgroup's tables alone are 2.4 MB) costs nothing. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		a->memory_lock_error = -errno;
	/* Late is too late: the loop itself must not wait behind what thrashes. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	/* The service has it from its unit; started by hand it may be permitted. */
	if (io_read_at(m->proc_fd, "self/oom_score_adj", text, sizeof(text)) > 0 &&
	    strncmp(text, "-1000", 5) != 0)
		a->oom_score_adj_error = io_write_at(m->proc_fd, "self/oom_score_adj", "-1000");
}

static void child(void)
{
	char *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory =
		mmap(NULL, CHILD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		memset(memory, 1, CHILD_BYTES);
	for (;;)
		pause();
}

/* Lets the reaper have its turn: it has nothing else to do. */
static bool wait_for_reaper(const struct manager *m, unsigned n_before)
{
	struct kill_reap_stats stats;

	for (int i = 0; i < PATIENCE_MSEC; i++) {
		kill_reapers_stats(m->reapers, &stats);
		if (stats.n_done > n_before)
			break;
		usleep(1000);
	}
	/* That the child was quicker (ESRCH) is an answer too: the call is there. */
	return stats.n_done > n_before && (stats.last_result == 0 || stats.last_result == -ESRCH);
}

static int end_child(struct manager *m, pid_t pid)
{
	struct kill_target target = { .pid = pid, .v2_path = "/", .v1_path = "/" };
	struct kill_reap_stats stats;
	struct kill_victim victim;
	struct pollfd pollfd;
	struct proc_stat stat;
	int r;

	kill_victim_init(&victim);
	kill_reapers_stats(m->reapers, &stats);
	r = proc_read_stat(m->proc_fd, pid, &stat);
	if (r == 0) {
		target.start_ticks = stat.start_ticks;
		r = kill_open(m->kill_ops, m->proc_fd, &target, &victim);
	}
	if (r == 0)
		r = kill_signal(m->kill_ops, m->proc_fd, &m->cgroups, &target, SIGKILL, m->reapers,
				&victim);
	memcpy(m->abilities.rehearsal_result, victim.step_result, sizeof(victim.step_result));
	if (r == 0) {
		pollfd = (struct pollfd){ .fd = victim.pidfd, .events = POLLIN };
		(void)poll(&pollfd, 1, PATIENCE_MSEC);
		m->abilities.rehearsal_reaped = wait_for_reaper(m, stats.n_done);
	}
	kill_victim_done(&victim);
	return r;
}

int rehearsal_run(struct manager *m)
{
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child();
	r = end_child(m, pid);
	if (r != 0)
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for: surely it */
	(void)waitpid(pid, NULL, 0);
	return r < 0 ? r : 0;
}
