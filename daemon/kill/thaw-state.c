/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thaw-state: the file of what is to be frozen again, and the thawing of a victim's groups. */
#include "daemon/kill/thaw-state.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/base/boot.h"
#include "daemon/base/machine.h"
#include "daemon/base/runtime.h"
#include "daemon/kill/in-flight.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/kill/ledger.h"

/* A group that is frozen more often than this remains frozen. */
#define THAW_AGAIN_MAX 8
/* For so long a victim is given the time in which it is frozen: waking up takes milliseconds, on a
 * machine that stalls perhaps a second. */
#define THAW_PATIENCE_USEC (2 * USEC_PER_SEC)
#define MESSAGE_PATH_SIZE  256

/* Without systemd it does not exist yet. */
static int open_directory(const char *path)
{
	int fd;

	if (strcmp(path, RUNTIME_DIRECTORY) == 0)
		(void)mkdir(path, 0755);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       ((unsigned)fs.f_type == TMPFS_MAGIC || (unsigned)fs.f_type == RAMFS_MAGIC);
}

/* Is it a file of ours, on a tmpfs, and ours alone?  0 or -errno. */
static int claim(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* A file that another user could have put there is not trusted: groups are frozen by it. */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid() ||
	    st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	if (!is_in_memory(fd))
		return -ENOTSUP;
	/* Not inherited by children, so that none can keep it when the daemon has exited. */
	if (fcntl(fd, F_SETLK, &lock) < 0)
		return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
	return 0;
}

/* Gives it its size, with all blocks: a store to a page that the file system has no room for would
 * be SIGBUS.  *ret_fits: it had that size, or nothing was in it yet. */
static int make_room(int fd, bool *ret_fits)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_fits = st.st_size == 0 || st.st_size == sizeof(struct ledger);
	if (!*ret_fits && ftruncate(fd, 0) < 0)
		return -errno;
	r = posix_fallocate(fd, 0, sizeof(struct ledger));
	return -r;
}

static int open_file(struct in_flight *f, const char *directory)
{
	_cleanup_close_ int dir_fd = -EBADF, fd = -EBADF;
	char boot_id[SD_ID128_STRING_MAX];
	struct ledger *ledger;
	bool fits = true;
	int r;

	dir_fd = open_directory(directory);
	if (dir_fd < 0)
		return dir_fd;
	if (!is_in_memory(dir_fd)) /* nothing is left behind there */
		return -ENOTSUP;
	fd = openat(dir_fd, "thawed", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = claim(fd);
	if (r == 0)
		r = boot_read_id(boot_id);
	if (r == 0)
		r = make_room(fd, &fits);
	if (r < 0)
		return r;
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		return -errno;

	r = fits ? ledger_check(ledger, boot_id) : -EBADMSG;
	if (r < 0)
		log_warning("%s/thawed is damaged or another version's, ignoring.", directory);
	if (r != 0)
		ledger_init(ledger, boot_id);
	f->ledger = ledger;
	f->ledger_fd = take_fd(&fd); /* holds the lock */
	return 0;
}

int thaw_state_open(struct in_flight *f)
{
	char buf[512];

	if (f->ledger)
		return 0;
	f->ledger_error = open_file(f, runtime_directory(buf, sizeof(buf)));
	return f->ledger_error;
}

void thaw_state_close(struct in_flight *f)
{
	if (f->ledger)
		(void)munmap(f->ledger, sizeof(*f->ledger));
	f->ledger = NULL;
	closep(&f->ledger_fd);
	f->ledger_fd = -EBADF;
}

const char *thaw_state_strerror(int error)
{
	if (error == -EBUSY)
		return "another reckond has it";
	return error == -ENOTSUP ? "not on a tmpfs" : strerror(-error);
}

/* Of an entry whose victim has exited. */
static void refreeze_entry(struct in_flight *f, const struct ledger_entry *entry, int slot)
{
	struct freezer_thawed thawed;
	char path[MESSAGE_PATH_SIZE];
	int r;

	(void)format_foreign(entry->path, path, sizeof(path));
	freezer_thawed_init(&thawed);
	thawed.order.ledger = f->ledger;
	r = freezer_take_over(&f->machine->cgroups, entry, slot, &thawed);
	if (r == 0)
		r = freezer_refreeze(&thawed);
	else
		ledger_strike(f->ledger, slot);
	if (r > 0 && thawed.n_levels > 0)
		log_notice("%s (v%d) is frozen again: an earlier reckond had thawed it for pid %d.",
			   path, entry->v1 ? 1 : 2, entry->pid);
	else if (r < 0)
		log_warning("%s (v%d), which an earlier reckond had thawed for pid %d, could not "
			    "be frozen again: %s.",
			    path, entry->v1 ? 1 : 2, entry->pid, strerror(-r));
	freezer_thawed_done(&thawed);
}

/* The place of the entry's victim among those that are still exiting, made for it if it has none.
 * NULL if the victim has exited. */
static struct kill_victim *find_victim(struct in_flight *f, const struct ledger_entry *entry)
{
	struct kill_target target = { .pid = entry->pid, .start_ticks = entry->start_ticks };
	struct kill_victim victim, *place;

	for (size_t i = 0; i < EXITING_MAX; i++)
		if (f->exiting[i].pidfd >= 0 && f->exiting[i].pid == entry->pid &&
		    f->exiting[i].start_ticks == entry->start_ticks)
			return &f->exiting[i];
	kill_victim_init(&victim);
	if (kill_open(f->machine->kill_ops, f->machine->proc_fd, &target, &victim) != 0 ||
	    kill_is_gone(&victim)) {
		kill_victim_done(&victim);
		return NULL;
	}
	victim.thawed.order = (struct freezer_order){
		.pid = entry->pid,
		.start_ticks = entry->start_ticks,
		.ledger = f->ledger,
	};
	place = in_flight_make_place(f);
	*place = victim;
	return place;
}

static void recover_entry(struct in_flight *f, const struct ledger_entry *entry, int slot)
{
	struct kill_victim *victim = find_victim(f, entry);
	char path[MESSAGE_PATH_SIZE];

	if (!victim || freezer_take_over(&f->machine->cgroups, entry, slot, &victim->thawed) != 0) {
		refreeze_entry(f, entry, slot);
		return;
	}
	log_notice("Pid %d: an earlier reckond has %s %s (v%d) for it; this is undone when it "
		   "has exited.",
		   entry->pid, entry->moved ? "taken it out of" : "thawed",
		   format_foreign(entry->path, path, sizeof(path)), entry->v1 ? 1 : 2);
}

void thaw_state_recover(struct in_flight *f)
{
	if (!f->ledger)
		return;
	for (unsigned i = 0; i < LEDGER_ENTRIES; i++) {
		const struct ledger_entry *entry = ledger_get(f->ledger, i);

		if (entry)
			recover_entry(f, entry, (int)i);
	}
}

int thaw_state_prepare(struct in_flight *f, int signal)
{
	struct decision *d = &f->decision;
	struct freezer_thawed *thawed = &f->victim.thawed;

	thawed->order = (struct freezer_order){
		.pid = d->pid,
		.start_ticks = d->start_ticks,
		.victim_only = d->thaw == POLICY_THAW_VICTIM,
		.for_good = !d->refreeze,
		.ledger = f->ledger,
	};
	d->kill.frozen_usec = 0;
	if (thawed->n_levels > 0) /* not the first signal: it may have been taken out */
		(void)cgroup_of_process_v1_freezer(&f->machine->cgroups, f->machine->proc_fd,
						   d->pid, d->v1_freezer, sizeof(d->v1_freezer));
	/* On v2 no process is moved out (freezer.h), and a frozen process handles nothing: to wait
	 * for it would be to wait for SIGKILL. */
	d->kill.skips_term = signal == SIGTERM && thawed->order.victim_only &&
			     freezer_is_frozen(&f->machine->cgroups, d->cgroup, NULL) > 0;
	return d->kill.skips_term ? SIGKILL : signal;
}

/* Its cgroup now: false if that is not known, or it has exited meanwhile. */
static bool read_paths(const struct in_flight *f, pid_t pid, int pidfd, char *v2_path,
		       char *v1_path)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };
	int r = f->machine->kill_ops->read_cgroups(&f->machine->cgroups, f->machine->proc_fd, pid,
						   v2_path, v1_path, CGROUP_PATH_MAX);

	/* Polled after the pid was used: while the pidfd is not readable, the pid is the same
	 * process's. */
	return r == 0 && poll(&pollfd, 1, 0) == 0;
}

/*
 * The process's group was frozen again, it does not thaw, or the leader has exited and the other
 * threads were left in a frozen group, as the pid was written to `tasks`.  Returns what thawing
 * does, or 0.
 */
static int thaw_if_frozen(struct in_flight *f, pid_t pid, uint64_t start_ticks, int pidfd,
			  bool *ret_frozen)
{
	struct decision *d = &f->decision;
	struct freezer_thawed *thawed = &f->victim.thawed;
	char v2_buf[CGROUP_PATH_MAX], v1_path[CGROUP_PATH_MAX];
	const char *v2_path =
		d->kill.signal == SIGKILL ? NULL : v2_buf; /* it kills frozen ones, too */
	int r;

	if (!read_paths(f, pid, pidfd, v2_buf, v1_path) ||
	    freezer_is_frozen(&f->machine->cgroups, v2_path, v1_path) <= 0)
		return 0;
	*ret_frozen = d->kill.stays_frozen = true;
	if (!f->machine->kill_ops->thaw || d->kill.n_thawed_again == THAW_AGAIN_MAX)
		return 0;
	if (thawed->order.victim_only) {
		thawed->order.pid = pid;
		thawed->order.start_ticks = start_ticks;
	}
	thawed->error = 0; /* what was refused before may be permitted by now */
	r = f->machine->kill_ops->thaw(&f->machine->cgroups, v2_path, v1_path, thawed);
	/* 0 without an error: that it runs is only a matter of time, if it is thawed at all. */
	d->kill.stays_frozen =
		r < 0 || (r == 0 && (thawed->error < 0 || thawed->order.victim_only));
	return r;
}

static void note_thawed_again(struct in_flight *f)
{
	struct decision *d = &f->decision;

	if (d->kill.n_thawed_again++ == 0)
		log_notice("Pid %d: found frozen after its signal; thawed.", d->pid);
	if (d->kill.n_thawed_again == THAW_AGAIN_MAX)
		log_warning(
			"Pid %d: found frozen %u times after its signal; if it is once more, it "
			"stays frozen.",
			d->pid, d->kill.n_thawed_again);
	f->n_watched++;
}

void thaw_state_check(struct in_flight *f, usec_t now)
{
	const struct kill_victim *victim = &f->victim;
	struct decision *d = &f->decision;
	bool frozen = false, thawed;

	d->kill.stays_frozen = false;
	thawed = thaw_if_frozen(f, victim->pid, victim->start_ticks, victim->pidfd, &frozen) > 0;
	for (unsigned i = 0; i < victim->n_others && d->kill.signal == SIGKILL; i++) {
		const struct kill_other *other = &victim->others[i];

		thawed |= thaw_if_frozen(f, other->pid, other->start_ticks, other->pidfd, &frozen) >
			  0;
	}
	if (frozen)
		d->kill.frozen_usec =
			min_u64(sub_u64(now, d->kill.signalled_at), THAW_PATIENCE_USEC);
	if (thawed)
		note_thawed_again(f);
}
