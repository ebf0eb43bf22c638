/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: see the header.  A line is formatted on the stack and written at once: no lock, no buffer,
 * nothing allocated.  (What goes to the journal with fields allocates, in sd_journal_send().)
 */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"

static int max_level = LOG_INFO;
static enum log_target target = LOG_TARGET_AUTO;

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

/* "<4>" in front, a line end behind. */
static void write_line(int priority, const char *text)
{
	char line[2048];
	size_t n = 0;
	int r;

	if (log_is_journal())
		n = (size_t)snprintf(line, sizeof(line), "<%d>", priority);
	r = snprintf(line + n, sizeof(line) - n - 1, "%s", text);
	n = min_u64(n + (size_t)r, sizeof(line) - 2);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody reads it: there is nobody to tell */
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
		snprintf(text, sizeof(text), "(%u debugging lines left out)", n_left_out);
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
	if (target == LOG_TARGET_JOURNAL && !log_is_journal())
		(void)sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority, NULL);
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
		(void)sd_journal_send("MESSAGE=%s", text, "MESSAGE_ID=%s", message_id,
				      "PRIORITY=%i", priority, NULL);
}
