/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace: how many system calls something makes. */
#pragma once

/* Calls f in a traced child, where only the calling thread is counted.  The number, or -errno. */
int trace_count_syscalls(void (*f)(void *userdata), void *userdata);
