/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* turns: times the ticks, and reports those that are late. */
#include "daemon/base/turns.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/base/format.h"
#include "lib/base/io.h"

void turns_open(struct turns *turns, int proc_fd)
{
	/* Of the first thread, which is the loop's. */
	turns->schedstat_fd = openat(proc_fd, "self/schedstat", O_RDONLY | O_CLOEXEC);
}

void turns_close(struct turns *turns)
{
	if (turns->schedstat_fd > 0)
		close(turns->schedstat_fd);
	turns->schedstat_fd = -EBADF;
}

static void read_usage(const struct turns *turns, bool is_calm, struct latency_usage *ret)
{
	struct rusage usage;
	char text[128];

	*ret = (struct latency_usage){ 0 };
	if (is_calm || turns->schedstat_fd <= 0 ||
	    io_read_fd(turns->schedstat_fd, text, sizeof(text)) < 0 ||
	    latency_parse_schedstat(text, ret) < 0)
		return;
	if (getrusage(RUSAGE_THREAD, &usage) == 0)
		ret->major = (uint64_t)usage.ru_majflt;
	ret->is_known = true;
}

static void report(const char *what, const char *suffix, usec_t usec, enum latency_cause cause,
		   const struct latency_usage *before, const struct latency_usage *after)
{
	char late[FORMAT_DURATION_SIZE], ran[FORMAT_DURATION_SIZE], waited[FORMAT_DURATION_SIZE];

	format_duration(usec, late);
	if (cause == LATENCY_UNKNOWN)
		log_warning("reckond is late: a sample of memory %s %s%s.", what, late, suffix);
	else
		log_warning("reckond is late: a sample of memory %s %s%s; %s (CPU time %s, waiting "
			    "for a CPU %s, major faults %llu).",
			    what, late, suffix, latency_cause_text(cause),
			    format_duration(sub_u64(after->ran, before->ran), ran),
			    format_duration(sub_u64(after->waited, before->waited), waited),
			    (unsigned long long)sub_u64(after->major, before->major));
}

void turns_note_delay(struct turns *turns, usec_t delay, bool is_calm)
{
	struct latency_usage usage;

	if (!latency_count(&turns->delays, delay) || is_calm)
		return;
	read_usage(turns, is_calm, &usage);
	turns->delays.cause = latency_find_cause(&turns->ended, &usage, delay);
	if (!turns->is_reported)
		report("came", " too late", delay, turns->delays.cause, &turns->ended, &usage);
	turns->is_reported = true;
}

void turns_begin(struct turns *turns, usec_t now, bool is_calm)
{
	turns->began = now;
	read_usage(turns, is_calm, &turns->began_as);
}

void turns_end(struct turns *turns, usec_t now, bool is_calm)
{
	usec_t took = sub_u64(now, turns->began);
	const struct latency_usage *before = &turns->began_as;
	bool is_late = latency_count(&turns->durations, took);

	read_usage(turns, is_calm, &turns->ended);
	if (is_late && !is_calm) {
		turns->durations.cause = latency_find_cause(before, &turns->ended, took);
		if (!turns->is_reported)
			report("took", "", took, turns->durations.cause, before, &turns->ended);
		turns->is_reported = true;
	}
	if (is_calm)
		turns->is_reported = false;
}
