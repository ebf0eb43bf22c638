/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: notifies the service manager (sd_notify(3)), by a thread of its own.
 *
 * sd_notify() waits for as long as the service manager does not read: its socket takes a few
 * messages only (net.unix.max_dgram_qlen), of any process that may write to it.  So the caller only
 * leaves a message, and never waits: of what cannot be sent yet, as it is not read or as the call
 * fails, the latest is kept, and sent once it can be.  That the loop runs is for the loop to tell
 * (notify_watchdog()).
 *
 * One writer and one reader, without locks.  All functions are for one thread alone.  Until
 * notify_start() each message is sent at once.
 */
#pragma once

#include "lib/base/util.h"

/* Starts the thread, if there is a service manager.  0, or -errno: messages are sent by the caller,
 * which may wait then. */
int notify_start(void);
/* Waits until all is sent, but no longer than a second. */
void notify_stop(void);

void notify_ready(const char *status);
void notify_reloading(usec_t now);
void notify_status(const char *status);
void notify_watchdog(void);
void notify_stopping(void);

/* Sends what could not be sent before, if it can be. */
void notify_turn(void);
