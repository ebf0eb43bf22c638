/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: plain lines on standard error, with the journal's priority prefix (sd-daemon(3)) where
 * standard error is the journal.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

__attribute__((format(printf, 2, 3))) void log_line(int priority, const char *format, ...);

#define log_error(...)	 log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)

/* Is standard error the journal? */
bool log_is_journal(void);
