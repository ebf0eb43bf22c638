/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history-file: the file in which a history outlives the daemon: history.json in a directory of its
 * own.
 *
 * It is always replaced as a whole, so that a reader finds the old one or the new one.  A file that
 * is damaged, too large or not ours at all is set aside, not overwritten and not fatal.
 */
#pragma once

#include <stddef.h>

struct history;

#define HISTORY_FILE_NAME     "history.json"
#define HISTORY_FILE_BAD_NAME "history.json.bad" /* what was set aside last */

enum {
	HISTORY_FILE_MISSING = 1,
	HISTORY_FILE_SET_ASIDE = 2, /* the reason is in error */
};

/* Where that usually is; a service manager may name another (STATE_DIRECTORY, systemd.exec(5)). */
#define HISTORY_FILE_DIRECTORY "/var/lib/reckond"

/* For programs that do not own it: reads it into an empty history, and does not change it.  0,
 * HISTORY_FILE_MISSING, -EBADMSG with the reason in error, or another -errno. */
int history_file_peek(int dir_fd, struct history *history, char *error, size_t error_size);

/* Reads it into an empty history.  0, one of the above, or -errno if it could not be read or set
 * aside (error then says what was wrong with it, or is empty); it is then left as it is. */
int history_file_read(int dir_fd, struct history *history, char *error, size_t error_size);

/* Replaces it; waits for the disk.  0 or -errno; the old one is then kept.  Allocates nothing, so
 * it may be called on any thread; by one at a time. */
int history_file_write(int dir_fd, const char *text, size_t length);
