/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: plain lines on standard error, with the journal's priority prefix (sd-daemon(3)) where
 * standard error is the journal; and entries of the journal, which have fields.
 *
 * For one thread alone.  It never waits for readers of the log, from log_start() on: where they are
 * too late, some of it is lost, and how much is logged when they read again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

/* Early, but not before signals are blocked.  A failure is logged, and the log may block then. */
void log_start(void);
/* Waits until all is written, but no longer than a second; last of all. */
void log_stop(void);

__attribute__((format(printf, 2, 3))) void log_line(int priority, const char *format, ...);

#define log_error(...)	 log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
/* At most so many a second; the others are counted. */
#define LOG_DEBUG_BURST 50
#define log_debug(...)	log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * One entry in the journal, with the MESSAGE_ID by which it is found and explained (message-ids.h);
 * the same as a plain line on standard error, unless that is the journal.  Without a journal the
 * line is all.
 */
__attribute__((format(printf, 3, 4))) void log_event(const char *message_id, int priority,
						     const char *format, ...);

/*
 * An entry with the caller's own fields, if log_takes() and log_takes_entries() are true; from
 * begin to end nothing else may be logged.  log_entry_add(&entry, "NAME=%s", value), not more than
 * LOG_QUEUE_FIELDS_MAX; what does not fit is left out.
 */
struct log_entry {
	char *fields; /* NULL: it is lost */
	size_t n;
};
void log_entry_begin(struct log_entry *entry);
__attribute__((format(printf, 2, 3))) void log_entry_add(struct log_entry *entry,
							 const char *format, ...);
void log_entry_end(struct log_entry *entry);

/* Is standard error the journal? */
bool log_is_journal(void);

/* What is above the level (LOG_INFO at first) is left out. */
int log_get_max_level(void);
void log_set_max_level(int level);
bool log_takes(int priority);
/* "info"; names as in syslog(3).  The level, or -EINVAL. */
const char *log_level_to_string(int level);
int log_level_from_string(const char *text);

enum log_target {
	LOG_TARGET_AUTO,    /* entries to the journal if there is one, lines to standard error */
	LOG_TARGET_CONSOLE, /* all as lines, to standard error */
	LOG_TARGET_JOURNAL, /* all to the journal */
	LOG_TARGET_NULL,
};
enum log_target log_get_target(void);
void log_set_target(enum log_target target);
const char *log_target_to_string(enum log_target target);
int log_target_from_string(const char *text);
/* Are entries sent to the journal; are their messages written to standard error as well? */
bool log_takes_entries(void);
bool log_takes_lines_of_entries(void);
