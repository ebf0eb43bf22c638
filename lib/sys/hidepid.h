/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hidepid: does /proc hide the processes of other users (mount option hidepid=, proc(5))?
 *
 * Root still sees them, and then must not reveal them to other users.
 */
#pragma once

#include <stdbool.h>

/* One line of /proc/PID/mountinfo: is it a mount of proc that hides something, or of anything else?
 */
bool hidepid_is_set(const char *line);

/* Does any mount of proc in our mount namespace?  1, 0, or -errno. */
int hidepid_find(int proc_fd);
