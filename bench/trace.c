/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace: runs a child under ptrace(2) and counts its calls.  The child marks by a getppid(2) where
 * counting begins and ends. */
#include "bench/trace.h"

#include <linux/ptrace.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/util.h"

/* <sys/ptrace.h> and <linux/ptrace.h> do not go together. */
static long trace(long request, pid_t pid, long argument, void *data)
{
	return syscall(SYS_ptrace, request, (long)pid, argument, data);
}

_Noreturn static void run_traced(void (*f)(void *userdata), void *userdata)
{
	if (trace(PTRACE_TRACEME, 0, 0, NULL) < 0)
		_exit(1);
	raise(SIGSTOP);
	syscall(SYS_getppid);
	f(userdata);
	syscall(SYS_getppid);
	_exit(0);
}

/* At each stop; true when all is counted. */
static bool count(pid_t pid, unsigned *n_marks, int *n_syscalls)
{
	struct ptrace_syscall_info info = { 0 };

	if (trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	if (info.entry.nr == SYS_getppid)
		(*n_marks)++;
	else
		*n_syscalls += *n_marks == 1;
	return *n_marks == 2;
}

int trace_count_syscalls(void (*f)(void *userdata), void *userdata)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	unsigned n_marks = 0;
	bool done = false;
	int status, n = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_traced(f, userdata);
	while (!done) {
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -EPERM;
		done = count(pid, &n_marks, &n) ||
		       trace(PTRACE_SETOPTIONS, pid, 0, (void *)options) < 0 ||
		       trace(PTRACE_SYSCALL, pid, 0, NULL) < 0;
	}
	kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return n_marks == 2 ? n : -EPERM;
}
