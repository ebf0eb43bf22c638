/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: the ordered steps of a kill; see kill.h.  Called from the daemon's tick (open, signal,
 * judge) and at its start (the self-test).
 */
#include "lib/kill/kill.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/sys/proc.h"

const char *kill_step_to_string(enum kill_step step)
{
	static const char *const names[] = {
		[KILL_STEP_OPEN] = "open",     [KILL_STEP_BOOST] = "boost",
		[KILL_STEP_SIGNAL] = "signal", [KILL_STEP_REAP] = "reap",
		[KILL_STEP_THAW] = "thaw",
	};

	return (unsigned)step < ARRAY_SIZE(names) ? names[step] : NULL;
}

void kill_victim_init(struct kill_victim *victim)
{
	*victim = (struct kill_victim){ .pidfd = -EBADF };
	kill_group_init(&victim->group);
	freezer_thawed_init(&victim->thawed);
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		victim->step_result[step] = 1;
}

void kill_victim_done(struct kill_victim *victim)
{
	closep(&victim->pidfd);
	for (unsigned i = 0; i < victim->n_others; i++)
		closep(&victim->others[i].pidfd);
	kill_group_done(&victim->group);
	freezer_thawed_done(&victim->thawed);
	kill_victim_init(victim);
}

void kill_victim_drop_others(struct kill_victim *victim, unsigned n)
{
	while (victim->n_others > n)
		closep(&victim->others[--victim->n_others].pidfd);
}

static void step_is_over(const struct kill_ops *ops, struct kill_victim *victim,
			 enum kill_step step)
{
	victim->step_at[step] = ops->now ? ops->now() : 0;
}

/* The pidfd of the very process that was chosen, KILL_GONE, or -errno. */
static int open_process(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
			int *ret_pidfd)
{
	_cleanup_close_ int pidfd = ops->pidfd_open(pid);
	uint64_t read_ticks;
	int r;

	/* EINVAL: the number is now that of a thread, not of a process (pidfd_open(2)). */
	if (errno_is_gone(pidfd) || pidfd == -EINVAL)
		return KILL_GONE;
	if (pidfd < 0)
		return pidfd;

	r = ops->read_start(proc_fd, pid, &read_ticks);
	if (r < 0)
		return r;
	if (r == PROC_GONE || read_ticks != start_ticks)
		return KILL_GONE;

	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int kill_open(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
	      struct kill_victim *victim)
{
	int r;

	assert(victim->pidfd < 0);
	r = open_process(ops, proc_fd, target->pid, target->start_ticks, &victim->pidfd);
	victim->step_result[KILL_STEP_OPEN] = r == KILL_GONE ? -ESRCH : r;
	step_is_over(ops, victim, KILL_STEP_OPEN);
	if (r == 0) {
		victim->pid = target->pid;
		victim->start_ticks = target->start_ticks;
	}
	return r;
}

int kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
		    struct kill_victim *victim)
{
	struct kill_other *other = &victim->others[victim->n_others];
	_cleanup_close_ int pidfd = -EBADF;
	int r;

	if (victim->n_others == KILL_OTHERS_MAX)
		return -ENOSPC;
	r = open_process(ops, proc_fd, pid, start_ticks, &pidfd);
	if (r != 0)
		return r;
	r = ops->pidfd_send_signal(pidfd, 0); /* is it permitted? */
	if (r < 0)
		return errno_is_gone(r) ? KILL_GONE : r;
	*other = (struct kill_other){ pid, start_ticks, take_fd(&pidfd) };
	victim->n_others++;
	return 0;
}

bool kill_rest_add(struct kill_rest *rest, pid_t pid, uint64_t start_ticks)
{
	if (rest->n == KILL_REST_MAX)
		return false;
	rest->items[rest->n].pid = pid;
	rest->items[rest->n++].start_ticks = start_ticks;
	return true;
}

bool kill_rest_has(const struct kill_rest *rest, pid_t pid)
{
	for (unsigned i = 0; i < rest->n; i++)
		if (rest->items[i].pid == pid)
			return true;
	return false;
}

static bool is_gone(int pidfd)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLIN | POLLHUP);
}

bool kill_is_gone(const struct kill_victim *victim)
{
	for (unsigned i = 0; i < victim->n_others; i++)
		if (!is_gone(victim->others[i].pidfd))
			return false;
	return is_gone(victim->pidfd);
}

/* The first thing that went wrong is kept; that nothing was to be done counts least. */
static void note(int *result, int r)
{
	if (*result >= 0 && (r < 0 || *result > r))
		*result = r;
}

/* Once a pidfd is readable its pid may have been reused. */
static int boost(const struct kill_ops *ops, int proc_fd, pid_t pid, int pidfd)
{
	return is_gone(pidfd) ? 1 : ops->boost(proc_fd, pid);
}

static void boost_all(const struct kill_ops *ops, int proc_fd, struct kill_victim *victim)
{
	int *result = &victim->step_result[KILL_STEP_BOOST];

	*result = boost(ops, proc_fd, victim->pid, victim->pidfd);
	for (unsigned i = 0; i < victim->n_others; i++)
		note(result, boost(ops, proc_fd, victim->others[i].pid, victim->others[i].pidfd));
}

/* Several signals: one that is sent is success; a process that is gone is no error. */
struct sent {
	bool any;
	int error; /* the first */
};

static void add_sent(struct sent *sent, int r)
{
	if (r == 0)
		sent->any = true;
	else if (r < 0 && !errno_is_gone(r) && sent->error == 0)
		sent->error = r;
}

static void send_rest(const struct kill_ops *ops, int proc_fd, const struct kill_rest *rest,
		      int signal, struct sent *sent)
{
	for (unsigned i = 0; rest && i < rest->n; i++) {
		_cleanup_close_ int pidfd = -EBADF;
		int r = open_process(ops, proc_fd, rest->items[i].pid, rest->items[i].start_ticks,
				     &pidfd);

		add_sent(sent, r == 0 ? ops->pidfd_send_signal(pidfd, signal) : r);
	}
}

/*
 * The group, the victim, and (SIGKILL) the others.  Without a group, if the victim may not be
 * signalled, neither are the others: killing them would free nothing.
 */
static void send_all(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
		     int signal, struct kill_victim *victim, struct sent *sent)
{
	const bool has_group = victim->group.dir_fd >= 0;

	if (has_group) {
		add_sent(sent, kill_group_signal(ops, proc_fd, target, signal, &victim->group));
		if (victim->group.error < 0)
			add_sent(sent, victim->group.error);
		if (signal != SIGKILL)
			return;
	}
	add_sent(sent, ops->pidfd_send_signal(victim->pidfd, signal));
	if ((signal != SIGKILL && !victim->is_family) || (!has_group && sent->error < 0))
		return;
	for (unsigned i = 0; i < victim->n_others; i++)
		add_sent(sent, ops->pidfd_send_signal(victim->others[i].pidfd, signal));
	send_rest(ops, proc_fd, target->rest, signal, sent);
}

static int signal_all(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
		      int signal, struct kill_victim *victim)
{
	struct sent sent = { 0 };

	send_all(ops, proc_fd, target, signal, victim, &sent);
	victim->step_result[KILL_STEP_SIGNAL] = sent.any || sent.error < 0 ? sent.error : -ESRCH;
	if (sent.any)
		return 0;
	return sent.error < 0 ? sent.error : KILL_GONE;
}

struct thawing {
	const struct kill_ops *ops;
	int proc_fd;
	const struct cgroup_fs *fs;
	const struct kill_target *target;
	struct kill_victim *victim;
	/* Thawed last: most of those killed together are in one cgroup, or in the victim's. */
	char v2_path[CGROUP_PATH_MAX];
	char v1_path[CGROUP_PATH_MAX];
};

/* 0, 1 where there was nothing to thaw, in this call or an earlier one, or -errno. */
static int thaw(struct thawing *thawing, const char *v2_path, const char *v1_path)
{
	struct freezer_thawed *thawed = &thawing->victim->thawed;
	int r = thawing->ops->thaw(thawing->fs, v2_path, v1_path, thawed);

	(void)snprintf(thawing->v2_path, sizeof(thawing->v2_path), "%s", v2_path);
	(void)snprintf(thawing->v1_path, sizeof(thawing->v1_path), "%s", v1_path ? v1_path : "/");
	if (r < 0)
		return r;
	if (thawed->error < 0)
		return thawed->error;
	return r > 0 || thawed->n_levels > 0 ? 0 : 1;
}

/* Each has to be taken out of its frozen group by itself. */
static int take_out_other(struct thawing *thawing, pid_t pid, const char *v2_path,
			  const char *v1_path)
{
	struct freezer_order *order = &thawing->victim->thawed.order;
	const struct freezer_order of_victim = *order;
	int r;

	order->pid = pid;
	r = thawing->ops->read_start(thawing->proc_fd, pid, &order->start_ticks);
	r = r == 0 ? thaw(thawing, v2_path, v1_path) : 1;
	*order = of_victim;
	return r;
}

/* The cgroup of another process that was signalled just now. */
static int thaw_other(struct thawing *thawing, pid_t pid)
{
	const struct kill_target *target = thawing->target;
	char v2_path[CGROUP_PATH_MAX], v1_path[CGROUP_PATH_MAX];
	int r = thawing->ops->read_cgroups(thawing->fs, thawing->proc_fd, pid, v2_path, v1_path,
					   sizeof(v2_path));

	if (r != 0)
		return r < 0 ? r : 1; /* gone: it was not frozen */
	if (thawing->victim->thawed.order.victim_only)
		return take_out_other(thawing, pid, v2_path, v1_path);
	if ((strcmp(v2_path, thawing->v2_path) == 0 && strcmp(v1_path, thawing->v1_path) == 0) ||
	    (strcmp(v2_path, target->v2_path) == 0 &&
	     (!target->v1_path || strcmp(v1_path, target->v1_path) == 0)))
		return 1;
	return thaw(thawing, v2_path, v1_path);
}

static int thaw_member(pid_t pid, void *userdata)
{
	struct thawing *thawing = userdata;
	const struct kill_target *target = thawing->target;

	if (pid != 0 && !(target->spares && target->spares(pid, target->userdata)))
		note(&thawing->victim->step_result[KILL_STEP_THAW], thaw_other(thawing, pid));
	return 0;
}

static void thaw_all(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		     const struct kill_target *target, int signal, struct kill_victim *victim)
{
	struct thawing thawing = { ops, proc_fd, fs, target, victim };
	int *result = &victim->step_result[KILL_STEP_THAW];

	*result = thaw(&thawing, target->v2_path, target->v1_path);
	for (unsigned i = 0; i < victim->n_others && signal == SIGKILL; i++)
		note(result, thaw_other(&thawing, victim->others[i].pid));
	/* On v2 SIGKILL needs no thaw. */
	for (unsigned i = 0; target->rest && i < target->rest->n && fs->v1_freezer_fd >= 0; i++)
		if (signal == SIGKILL || victim->is_family)
			note(result, thaw_other(&thawing, target->rest->items[i].pid));
	if (victim->group.dir_fd >= 0 && (signal != SIGKILL || fs->v1_freezer_fd >= 0))
		(void)ops->group_list(victim->group.dir_fd, thaw_member, &thawing);
}

/* One reap frees it all, if all were dying by then and the victim's own memory was still there. */
static void reap_all(struct kill_reapers *reapers, struct kill_victim *victim)
{
	int *result = &victim->step_result[KILL_STEP_REAP];

	*result = kill_reapers_push(reapers, victim->pidfd);
	for (unsigned i = 0; i < victim->n_others; i++)
		note(result, kill_reapers_push(reapers, victim->others[i].pidfd));
}

int kill_signal(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		const struct kill_target *target, int signal, struct kill_reapers *reapers,
		struct kill_victim *victim)
{
	const bool final = signal == SIGKILL;
	int r;

	assert(victim->pidfd >= 0);
	if (final && ops->boost && !target->without_haste) {
		boost_all(ops, proc_fd, victim);
		step_is_over(ops, victim, KILL_STEP_BOOST);
	}
	r = signal_all(ops, proc_fd, target, signal, victim);
	step_is_over(ops, victim, KILL_STEP_SIGNAL);
	if (r != 0)
		return r;
	victim->signal = signal;
	if (final && reapers && ops->process_mrelease && !target->without_haste) {
		reap_all(reapers, victim);
		step_is_over(ops, victim, KILL_STEP_REAP);
	}
	if (ops->thaw) {
		thaw_all(ops, proc_fd, fs, target, signal, victim);
		step_is_over(ops, victim, KILL_STEP_THAW);
	}
	return 0;
}

void kill_hasten(const struct kill_ops *ops, int proc_fd, struct kill_reapers *reapers,
		 struct kill_victim *victim)
{
	if (ops->boost) {
		boost_all(ops, proc_fd, victim);
		step_is_over(ops, victim, KILL_STEP_BOOST);
	}
	if (reapers && ops->process_mrelease) {
		reap_all(reapers, victim);
		step_is_over(ops, victim, KILL_STEP_REAP);
	}
}
