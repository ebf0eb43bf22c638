/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* is-alive: has a child of the test not exited?  It is not waited for: it remains a zombie. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static inline bool is_alive(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}
