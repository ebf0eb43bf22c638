/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive: keeps the history over a restart, in the state directory: $STATE_DIRECTORY, which the
 * service manager sets, or /var/lib/reckond where that is there and may be written to.
 *
 * Written when there is something new and nothing is wrong with the machine, on a thread that is
 * made for it: a file system may hold up whoever writes for as long as it likes (a slow disk, a
 * snapshot), but not the loop.  The directory is locked, so that of two daemons only one keeps its
 * history there.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct archive;
struct history;

/* Reads what is there into the history, which is borrowed.  Says what is wrong; NULL: the history
 * is not kept, which is no failure. */
struct archive *archive_open(struct history *history);

/* Writes what is new, and waits for it, but not for ever. */
struct archive *archive_close(struct archive *archive);

/* Is there something to write, and is it time?  archive may be NULL. */
bool archive_is_due(const struct archive *archive, usec_t now);

/* Begins to write. */
void archive_write(struct archive *archive, usec_t now);

/* "/var/lib/reckond", or NULL: the history is not kept. */
const char *archive_path(const struct archive *archive);
