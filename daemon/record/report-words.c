/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report-words: parts of the sentences about a decision. */
#include "daemon/record/report-words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kill/in-flight.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report.h"
#include "lib/base/format.h"

/* Less than this share of what was expected. */
#define LITTLE_SHARE 8

static const char *group_name(const struct decision *d, char *buf, size_t size)
{
	char comm[16], group[256];

	snprintf(buf, size, "cgroup %s (%u process%s%s, with %s, pid %d, uid %u)",
		 format_foreign(d->others.group, group, sizeof(group)), d->others.n_processes,
		 d->others.n_processes == 1 ? "" : "es",
		 d->others.is_flagged ? " by memory.oom.group" : "",
		 format_foreign(d->comm, comm, sizeof(comm)), d->pid, d->uid);
	return buf;
}

const char *report_victim(const struct decision *d, char *buf, size_t size)
{
	char comm[16], cgroup[256];

	if (d->target == POLICY_TARGET_CGROUP)
		return group_name(d, buf, size);
	snprintf(buf, size, "%s (pid %d, uid %u, %s)", format_foreign(d->comm, comm, sizeof(comm)),
		 d->pid, d->uid, format_foreign(d->cgroup, cgroup, sizeof(cgroup)));
	return buf;
}

const char *report_short_name(const struct decision *d, char *buf, size_t size)
{
	char group[256];

	if (d->target == POLICY_TARGET_CGROUP)
		snprintf(buf, size, "Cgroup %s",
			 format_foreign(d->others.group[0] ? d->others.group : d->cgroup, group,
					sizeof(group)));
	else
		snprintf(buf, size, "Pid %d", d->pid);
	return buf;
}

const char *report_others(const struct decision *d, char *buf, size_t size)
{
	unsigned n = d->others.n_sharers + d->others.n_relatives;
	char comm[16];

	buf[0] = '\0';
	if (d->others.as_one == VICTIM_WITH_STARTER && d->others.n_siblings > 0)
		snprintf(buf, size, " and %s (pid %d), which has started it again after %u kills",
			 format_foreign(d->others.starter_comm, comm, sizeof(comm)),
			 d->others.starter_pid, d->n_respawned);
	else if (d->others.as_one == VICTIM_AS_CGROUP && d->target == POLICY_TARGET_CGROUP)
		snprintf(buf, size, " as one, after repeated kills in it");
	else if (d->others.n_siblings > 0)
		snprintf(buf, size, " and %u others with its name and parent, after repeated kills",
			 d->others.n_siblings);
	else if (n > 0 && d->target == POLICY_TARGET_PROCESS)
		snprintf(buf, size, " and %u that share%s its memory", n, n == 1 ? "s" : "");
	return buf;
}

const char *report_next(const struct decision *d, char *buf, size_t size)
{
	char comm[16], footprint[FORMAT_BYTES_SIZE], group[sizeof(d->next.group)];

	buf[0] = '\0';
	format_bytes(d->next.footprint, footprint);
	if (d->next.group[0] != '\0')
		snprintf(buf, size, "; next would be %s (%s)",
			 format_foreign(d->next.group, group, sizeof(group)), footprint);
	else if (d->next.pid > 0)
		snprintf(buf, size, "; next would be %s (pid %d, %s)",
			 format_foreign(d->next.comm, comm, sizeof(comm)), d->next.pid, footprint);
	return buf;
}

const char *report_skipped_larger(const struct decision *d, char *buf, size_t size)
{
	char comm[16], group[sizeof(d->skipped.group)];
	const char *why = d->skipped.why == BACKOFF_SIMILAR
				  ? "as killing a similar one freed little"
				  : "as the last attempt to kill it failed";

	buf[0] = '\0';
	if (d->skipped.group[0] != '\0')
		snprintf(buf, size, "; not the larger cgroup %s, %s",
			 format_foreign(d->skipped.group, group, sizeof(group)), why);
	else if (d->skipped.pid > 0)
		snprintf(buf, size, "; not the larger %s (pid %d), %s",
			 format_foreign(d->skipped.comm, comm, sizeof(comm)), d->skipped.pid, why);
	return buf;
}

const char *report_backoff(const struct reporter *rep, char *buf, size_t size)
{
	const struct decision *d = &rep->f->decision;
	char expected[FORMAT_BYTES_SIZE], freed[FORMAT_BYTES_SIZE];

	buf[0] = '\0';
	if (d->kill.ineffective)
		snprintf(buf, size,
			 " Ineffective: of %s expected at most %s was freed; similar processes are "
			 "skipped once.",
			 format_bytes(proc_reclaimable(&d->memory), expected),
			 format_bytes(d->kill.freed, freed));
	else if (d->kill.backoff_usec > 0)
		snprintf(buf, size, " It is skipped for %" PRIu64 " s.",
			 d->kill.backoff_usec / USEC_PER_SEC);
	return buf;
}

/*
 * "1.4 GiB reclaimed in 30 ms", of a victim whose memory is free again.  As much as can be seen so
 * soon: the kernel keeps some in its lists by processor, others may have allocated some.
 */
static void describe_reclaimed(const struct reporter *rep, char *buf, size_t size)
{
	const struct decision *d = &rep->f->decision;
	char bytes_text[FORMAT_BYTES_SIZE];
	uint64_t bytes;
	usec_t within;

	if (!recorder_reclaimed(rep->recorder, &bytes, &within) ||
	    bytes < proc_reclaimable(&d->memory) / LITTLE_SHARE)
		snprintf(buf, size, "exited after %" PRIu64 " ms, so far little more is available",
			 (d->kill.finished_at - d->decided_at) / USEC_PER_MSEC);
	else
		snprintf(buf, size, "%s reclaimed in %" PRIu64 " ms",
			 format_bytes(bytes, bytes_text),
			 (within + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

void report_outcome(const struct reporter *rep, const char *name, char *buf, size_t size)
{
	const struct decision *d = &rep->f->decision;
	char reclaimed_text[96];

	describe_reclaimed(rep, reclaimed_text, sizeof(reclaimed_text));
	if (d->kill.cancelled_by_reload)
		snprintf(
			buf, size,
			"%s did not exit on SIGTERM and is not killed: the configuration has changed",
			name);
	else if (d->kill.outcome == KILL_PROGRESS_CANCELLED)
		snprintf(buf, size,
			 "%s did not exit on SIGTERM and is not killed: memory has recovered",
			 name);
	else if (d->kill.outcome == KILL_PROGRESS_UNKILLABLE)
		snprintf(buf, size, "%s cannot be killed%s%s, %" PRIu64 " ms after the decision",
			 name, d->error ? ": " : "", d->error ? strerror(-d->error) : "",
			 (d->kill.finished_at - d->decided_at) / USEC_PER_MSEC);
	else if (d->kill.outcome == KILL_PROGRESS_RECLAIMED && d->kill.signal != SIGKILL)
		snprintf(buf, size, "Terminated %s: %s, still exiting", name, reclaimed_text);
	else
		snprintf(buf, size, "Killed %s: %s", name, reclaimed_text);
}
