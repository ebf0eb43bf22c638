/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-fixture: processes that hold memory by descriptors, for tests of the survey. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"

usec_t now_usec(void);

/* A thread that does nothing. */
void *wait_forever(void *userdata);

/* A child of so many descriptors, and one of a memfd after them. */
pid_t fork_with_descriptors(unsigned n, size_t size);
void kill_child(pid_t pid);
