/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thaw-state: groups that are thawed for a victim: the order of it, what becomes of it while the
 * victim is waited for, and what is to be frozen again after this daemon.
 *
 * What is to be frozen again is in the file "thawed" of the runtime directory (RUNTIME_DIRECTORY,
 * else /run/reckond), which is mapped and stays in memory: see lib/kill/ledger.h.  It has to be on
 * a tmpfs, or an emergency would wait for a disk.  One daemon at a time has it.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"

struct in_flight;

/*
 * Opens the file and repairs it; what it lists is left for thaw_state_recover().  0, or -errno
 * (-EBUSY: another reckond has it; -ENOTSUP: not on a tmpfs), also in f->ledger_error: the daemon
 * continues without.  Nothing if it is open.
 */
int thaw_state_open(struct in_flight *f);
void thaw_state_close(struct in_flight *f);
/* The reason in words. */
const char *thaw_state_strerror(int error);

/* At start: what an earlier daemon left thawed is frozen again, at once where its victim has
 * exited, else when it exits.  Logs it. */
void thaw_state_recover(struct in_flight *f);

/* Before a signal: how its victim's group is to be thawed.  Returns the signal to be sent: SIGKILL
 * for a SIGTERM that would never be handled. */
int thaw_state_prepare(struct in_flight *f, int signal);

/*
 * While the victim is waited for: the time for which it is frozen does not count against it
 * (f->decision.kill.frozen_usec); a group that is frozen meanwhile is thawed again, some
 * times.
 */
void thaw_state_check(struct in_flight *f, usec_t now);
