/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: lines and entries, by level and target.  A message is composed in the memory of the queue
 * (log-queue.h): no lock, nothing allocated.
 */
#include "daemon/log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log/log-queue.h"
#include "lib/base/util.h"

/* Of a line; what is longer is cut. */
#define LINE_SIZE 2048
/* Of an entry: two paths of cgroups, a line, and what is left. */
#define ENTRY_SIZE (12 * KIB)

static int max_level = LOG_INFO;
static _Atomic enum log_target target = LOG_TARGET_AUTO; /* (for report_lost()) */

static const char *const levels[] = {
	[LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",	  [LOG_CRIT] = "crit",
	[LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static const char *const targets[] = {
	[LOG_TARGET_AUTO] = "auto",
	[LOG_TARGET_CONSOLE] = "console",
	[LOG_TARGET_JOURNAL] = "journal",
	[LOG_TARGET_NULL] = "null",
};

static int index_of(const char *const *names, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}

int log_get_max_level(void)
{
	return max_level;
}

void log_set_max_level(int level)
{
	max_level = level;
}

bool log_takes(int priority)
{
	return priority <= max_level && target != LOG_TARGET_NULL;
}

const char *log_level_to_string(int level)
{
	return levels[level];
}

int log_level_from_string(const char *text)
{
	return index_of(levels, ARRAY_SIZE(levels), text);
}

enum log_target log_get_target(void)
{
	return target;
}

void log_set_target(enum log_target t)
{
	target = t;
}

const char *log_target_to_string(enum log_target t)
{
	return targets[t];
}

int log_target_from_string(const char *text)
{
	return index_of(targets, ARRAY_SIZE(targets), text);
}

bool log_takes_entries(void)
{
	return target == LOG_TARGET_AUTO || target == LOG_TARGET_JOURNAL;
}

bool log_takes_lines_of_entries(void)
{
	return target == LOG_TARGET_CONSOLE || (target == LOG_TARGET_AUTO && !log_is_journal());
}

/* $JOURNAL_STREAM names the device and inode that standard error has if it is the journal. */
bool log_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* "<4>" in front where that is the journal's, a line end behind; the length. */
static size_t format_line(char *buf, size_t size, int priority, const char *text)
{
	size_t n = 0;
	int r;

	if (log_is_journal())
		n = (size_t)snprintf(buf, size, "<%d>", priority);
	r = snprintf(buf + n, size - n - 1, "%s", text);
	n = min_u64(n + (size_t)r, size - 2);
	buf[n++] = '\n';
	return n;
}

static void write_line(int priority, const char *text)
{
	char *line = log_queue_reserve(LINE_SIZE);

	if (line)
		log_queue_commit(LOG_OUTLET_STDERR, format_line(line, LINE_SIZE, priority, text));
}

void log_entry_begin(struct log_entry *entry)
{
	*entry = (struct log_entry){ .fields = log_queue_reserve(ENTRY_SIZE) };
}

void log_entry_add(struct log_entry *entry, const char *format, ...)
{
	size_t room = ENTRY_SIZE - entry->n;
	va_list ap;
	int r;

	if (!entry->fields)
		return;
	va_start(ap, format);
	r = vsnprintf(entry->fields + entry->n, room, format, ap);
	va_end(ap);
	if (r >= 0 && (size_t)r < room)
		entry->n += (size_t)r + 1;
}

void log_entry_end(struct log_entry *entry)
{
	if (entry->fields)
		log_queue_commit(LOG_OUTLET_JOURNAL, entry->n);
}

static void write_entry(const char *message_id, int priority, const char *text)
{
	struct log_entry entry;

	log_entry_begin(&entry);
	log_entry_add(&entry, "MESSAGE=%s", text);
	if (message_id)
		log_entry_add(&entry, "MESSAGE_ID=%s", message_id);
	log_entry_add(&entry, "PRIORITY=%i", priority);
	log_entry_end(&entry);
}

/* Do lines go to the journal as entries? */
static bool lines_are_entries(void)
{
	return target == LOG_TARGET_JOURNAL && !log_is_journal();
}

/* On the thread of the queue, past the queue. */
static void report_lost(unsigned n)
{
	char text[64], line[128];
	size_t length;

	if (target == LOG_TARGET_NULL)
		return;
	snprintf(text, sizeof(text), "%u message%s lost, as the log was not read in time.", n,
		 n == 1 ? " was" : "s were");
	if (lines_are_entries()) {
		length = (size_t)snprintf(line, sizeof(line), "MESSAGE=%s%cPRIORITY=%i", text, '\0',
					  LOG_WARNING);
		log_queue_write(LOG_OUTLET_JOURNAL, line, length);
	} else {
		length = format_line(line, sizeof(line), LOG_WARNING, text);
		log_queue_write(LOG_OUTLET_STDERR, line, length);
	}
}

void log_start(void)
{
	int r = log_queue_start(report_lost);

	if (r < 0)
		log_warning(
			"No thread for the log: %s; a reader that stops reading blocks reckond.",
			strerror(-r));
}

void log_stop(void)
{
	log_queue_stop();
}

/* May one more debugging line be written in this second? */
static bool may_debug(void)
{
	static time_t second;
	static unsigned n, n_left_out;
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second && n_left_out > 0) {
		snprintf(text, sizeof(text), "(%u debugging lines dropped)", n_left_out);
		write_line(LOG_DEBUG, text);
	}
	if (now.tv_sec != second)
		n = n_left_out = 0;
	second = now.tv_sec;
	if (n++ < LOG_DEBUG_BURST)
		return true;
	n_left_out++;
	return false;
}

void log_line(int priority, const char *format, ...)
{
	char text[2048];
	va_list ap;
	int r;

	if (!log_takes(priority) || (priority == LOG_DEBUG && !may_debug()))
		return;
	va_start(ap, format);
	r = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (r < 0)
		return;
	if (lines_are_entries())
		write_entry(NULL, priority, text);
	else
		write_line(priority, text);
}

void log_event(const char *message_id, int priority, const char *format, ...)
{
	char text[2048];
	va_list ap;
	int r;

	va_start(ap, format);
	r = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (r < 0)
		return;
	if (log_takes_lines_of_entries())
		log_line(priority, "%s", text);
	if (log_takes(priority) && log_takes_entries())
		write_entry(message_id, priority, text);
}
