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

static void read_usage(const struct turns *turns, struct latency_usage *ret)
{
	struct rusage usage;
	char text[128];

	*ret = (struct latency_usage){ 0 };
	if (turns->schedstat_fd <= 0 ||
	    io_read_record_fd(turns->schedstat_fd, text, sizeof(text)) < 0 ||
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

/* "came", 20 ms, " too late".  The cause is that of the last one that was late. */
static void note_late(struct turns *turns, struct latency *latency, const char *what,
		      const char *suffix, usec_t usec)
{
	struct latency_usage before = turns->usage;

	read_usage(turns, &turns->usage);
	latency->cause = latency_find_cause(&before, &turns->usage, usec);
	if (!turns->is_reported)
		report(what, suffix, usec, latency->cause, &before, &turns->usage);
	turns->is_reported = true;
}

void turns_note_delay(struct turns *turns, usec_t delay, bool is_calm)
{
	if (latency_count(&turns->delays, delay) && !is_calm)
		note_late(turns, &turns->delays, "came", " too late", delay);
}

void turns_begin(struct turns *turns, usec_t now)
{
	turns->began = now;
}

void turns_end(struct turns *turns, usec_t now, bool is_calm)
{
	usec_t took = sub_u64(now, turns->began);
	bool is_late = latency_count(&turns->durations, took);

	if (is_calm) {
		turns->usage.is_known = turns->is_reported = false;
		turns->usage_at = 0;
		return;
	}
	if (is_late)
		note_late(turns, &turns->durations, "took", "", took);
	else if (turns->usage_at == 0 || now - turns->usage_at >= TURNS_USAGE_USEC)
		read_usage(turns, &turns->usage);
	else
		return;
	turns->usage_at = now;
}
