/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history-store: keeps the history over a restart, in the state directory: $STATE_DIRECTORY, which
 * the service manager sets, or /var/lib/reckond where that is there and may be written to.
 *
 * Written when there is something new and nothing is wrong with the machine, on a thread that is
 * made for it: a file system may block its writers for as long as it likes (a slow disk, a
 * snapshot), but not the loop.  The directory is locked, so that of two daemons only one keeps its
 * history there.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct history_store;
struct history;

/* Reads the file into the history, which is borrowed.  Logs what is wrong; NULL: the history is not
 * kept, which is no failure. */
struct history_store *history_store_open(struct history *history);

/* Writes what is new, and waits for it, but not for ever. */
struct history_store *history_store_close(struct history_store *store);

/* Is there something to write, and is it time?  store may be NULL. */
bool history_store_is_due(const struct history_store *store, usec_t now);

/* Begins to write. */
void history_store_write(struct history_store *store, usec_t now);

/* "/var/lib/reckond", or NULL: the history is not kept. */
const char *history_store_path(const struct history_store *store);
