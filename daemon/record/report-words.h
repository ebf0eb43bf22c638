/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report-words: parts of the sentences about a decision.  Each writes to buf, which may be empty
 * afterwards, and returns it.  What other programs chose, as names, is escaped. */
#pragma once

#include <stddef.h>

#include "daemon/select/decision.h"

struct reporter;

/* "chromium (pid 812, uid 1000, /a/b)", or "cgroup /a/b (3 processes, with ...)". */
const char *report_victim(const struct decision *d, char *buf, size_t size);
/* "Pid 812" or "Cgroup /a/b", at the beginning of a line. */
const char *report_short_name(const struct decision *d, char *buf, size_t size);
/* " and 2 that share its memory" */
const char *report_others(const struct decision *d, char *buf, size_t size);
/* "; next would be worker (pid 812, 512 MiB)" */
const char *report_next(const struct decision *d, char *buf, size_t size);
/* "; not the larger app (pid 7), as killing a similar one freed little" */
const char *report_skipped_larger(const struct decision *d, char *buf, size_t size);
/* " It is skipped for 30 s."  What was learnt of the last kill. */
const char *report_backoff(const struct reporter *rep, char *buf, size_t size);
/* "Killed NAME: 1.4 GiB reclaimed in 30 ms" */
void report_outcome(const struct reporter *rep, const char *name, char *buf, size_t size);
