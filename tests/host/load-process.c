/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-process: the steps that change what the process is, not what it holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/load.h"
#include "tests/send-fd.h"

enum { STACK = 64 << 10, KEPT_FD = 100, POLL_USEC = 10000 };

static double interval; /* of the step that is repeated for ever, in seconds */

/* name=COMM */
static void set_name(const char *name)
{
	prctl(PR_SET_NAME, name);
}

/* name-of-its-own */
static void name_by_pid(const char *unused)
{
	char name[16];

	snprintf(name, sizeof(name), "n%d", getpid());
	set_name(name);
}

/* adj=N: oom_score_adj */
static void set_adj(const char *value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("oom_score_adj");
	close(fd);
}

/* uid=N: an ordinary user */
static void set_uid(const char *value)
{
	unsigned id = (unsigned)strtoul(value, NULL, 10);

	if (setgroups(0, NULL) < 0 || setgid(id) < 0 || setuid(id) < 0)
		die("setuid");
	prctl(PR_SET_DUMPABLE, 1);
}

/* groups=N: so many supplementary groups, with long numbers */
static void set_groups(const char *value)
{
	size_t n = strtoul(value, NULL, 10);
	gid_t *groups = calloc(n, sizeof(*groups));

	for (size_t i = 0; groups && i < n; i++)
		groups[i] = (gid_t)(4000000000u + i);
	if (!groups || setgroups(n, groups) < 0)
		die("setgroups");
	free(groups);
}

/* deaf: ignores SIGTERM */
static void be_deaf(const char *unused)
{
	signal(SIGTERM, SIG_IGN);
}

static void on_term(int signal_number)
{
	const size_t size = 64 * MIB;

	for (;;) {
		fill(map_anonymous(size), size);
		pause_seconds(0.15);
	}
}

/* greedy: takes memory, some 400 MiB/s, when it gets SIGTERM */
static void be_greedy(const char *unused)
{
	signal(SIGTERM, on_term);
}

/* stop: by SIGSTOP */
static void stop(const char *unused)
{
	raise(SIGSTOP);
}

/* session: a new one, as its leader */
static void begin_session(const char *unused)
{
	if (setsid() < 0)
		die("setsid");
}

/* terminal: a new session with one, as its leader */
static void begin_terminal(const char *unused)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;

	begin_session(unused);
	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0)
		die("posix_openpt");
	terminal = open(ptsname(fd), O_RDWR | O_CLOEXEC);
	if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0)
		die("terminal");
	/* Both are kept open: execve(2) would hang it up. */
	(void)fcntl(fd, F_SETFD, 0);
	(void)fcntl(terminal, F_SETFD, 0);
}

/* sleep=SECONDS */
static void sleep_for(const char *value)
{
	pause_seconds(strtod(value, NULL));
}

/* exit */
static void quit(const char *unused)
{
	_exit(0);
}

/* finish: when all children have exited */
static void finish(const char *unused)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
	_exit(0);
}

/* mark=FILE: creates it */
static void mark(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	close(fd);
}

/* await=FILE: until it is there */
static void await(const char *path)
{
	while (access(path, F_OK) < 0)
		usleep(POLL_USEC);
}

static int sleeper(void *unused)
{
	for (;;)
		pause();
	return 0;
}

static void clone_sharer(int flags, int (*function)(void *))
{
	char *stack = map_anonymous(STACK);

	if (clone(function, stack + STACK, flags, NULL) < 0)
		die("clone");
}

/* sharers=N: children in the same address space */
static void make_sharers(const char *value)
{
	for (long n = atol(value); n > 0; n--)
		clone_sharer(CLONE_VM | SIGCHLD, sleeper);
}

/* vfork: a child of vfork() that neither exits nor executes, so that this one waits for it */
static void wait_in_vfork(const char *unused)
{
	clone_sharer(CLONE_VM | CLONE_VFORK | SIGCHLD, sleeper);
}

/* Two stacks by turns: the last but one is no longer in use when it is needed again. */
static int hop_on(void *stacks)
{
	static volatile unsigned n_hops;
	char *stack = (char *)stacks + (n_hops++ % 2 + 1) * STACK;

	pause_seconds(interval);
	clone(hop_on, stack, CLONE_VM | SIGCHLD, stacks);
	_exit(0);
}

/* hop=SECONDS: from one process to the next in the same address space, for ever */
static void hop(const char *value)
{
	interval = strtod(value, NULL);
	signal(SIGCHLD, SIG_IGN);
	hop_on(map_anonymous(2UL * STACK));
}

/* hop-fork=SECONDS: the same by fork() */
static void hop_by_fork(const char *value)
{
	double seconds = strtod(value, NULL);

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		pause_seconds(seconds);
		if (fork() > 0)
			_exit(0);
	}
}

/* pass-on: a child continues with all memory, this one exits */
static void pass_on(const char *unused)
{
	if (fork() > 0)
		_exit(0);
}

static void *thread(void *unused)
{
	sleeper(NULL);
	return NULL;
}

/* A child of its parent continues, which ignores that signal. */
static void leave_to_sibling(int signal_number)
{
	(void)signal(signal_number, SIG_IGN);
	if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) != 0)
		_exit(0);
	for (;;)
		pause();
}

/* sibling-on-term: on SIGTERM a child of its parent continues with all memory, this one exits */
static void await_term(const char *unused)
{
	(void)signal(SIGTERM, leave_to_sibling);
}

/* threads=N */
static void make_threads(const char *value)
{
	pthread_attr_t attributes;
	pthread_t id;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	for (long n = atol(value); n > 0; n--)
		if (pthread_create(&id, &attributes, thread, NULL) != 0)
			die("pthread_create");
}

/* leave-thread: the first thread exits, another holds the memory */
static void leave_thread(const char *unused)
{
	make_threads("1");
	syscall(SYS_exit, 0);
}

/* exec-loop=MIB,SECONDS: executes itself for ever; a mapped memfd of MIB is all it holds */
static void exec_loop(const char *value)
{
	size_t size = (size_t)take_number(&value) * MIB;
	char *arguments[64] = { NULL }, line[4096];
	ssize_t length;
	void *start;
	int fd;

	if (fcntl(KEPT_FD, F_GETFD) < 0) {
		fd = memfd_create("load", 0);
		if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || dup2(fd, KEPT_FD) < 0)
			die("memfd_create");
		close(fd);
	}
	start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, KEPT_FD, 0);
	if (start == MAP_FAILED)
		die("mmap");
	fill(start, size);
	pause_seconds(take_number(&value));

	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	length = read(fd, line, sizeof(line) - 1);
	line[length > 0 ? length : 0] = '\0';
	for (ssize_t at = 0, n = 0; at < length && n < 63; at += (ssize_t)strlen(line + at) + 1)
		arguments[n++] = line + at;
	execv(arguments[0], arguments);
	die("exec");
}

/* move=SECONDS,CGROUP,CGROUP: between two cgroups for ever (the first of them is its own) */
static void move(const char *value)
{
	double seconds = take_number(&value);
	char *path[2] = { take_word(&value), take_word(&value) };
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = openat(open(path[i], O_PATH), "cgroup.procs", O_WRONLY);
		if (fd[i] < 0)
			die(path[i]);
	}
	for (unsigned i = 0;; i++) {
		if (write(fd[i % 2], "0", 1) < 0)
			die("cgroup.procs");
		pause_seconds(seconds);
	}
}

int receive_fd(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };

	return recvmsg(from, &message, 0) == 1 ? 0 : -1;
}

void give_fd(int to, int fd)
{
	if (send_fd(to, fd) < 0)
		die("sendmsg");
}

/* lend-memfd=MIB,COMM: maps and fills a memfd, and hands its descriptor to a child of that name,
 * which never maps it */
static void lend_memfd(const char *value)
{
	size_t size = (size_t)take_number(&value) * MIB;
	int ends[2], fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		die("socketpair");
	if (fork() == 0) {
		set_name(value);
		if (receive_fd(ends[0]) < 0)
			die("recvmsg");
		sleeper(NULL);
	}
	fd = memfd_create("load", 0);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die("memfd_create");
	fill(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), size);
	give_fd(ends[1], fd);
	close(fd);
}

/* pass-memfd=MIB,COMM: the same, and exits */
static void pass_memfd(const char *value)
{
	lend_memfd(value);
	_exit(0);
}

static void trace(const char *value, int options)
{
	char *name = take_word(&value);
	size_t size = (size_t)take_number(&value) * MIB;
	pid_t pid = fork();

	if (pid == 0) {
		set_name(name);
		fill(map_anonymous(size), size);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		sleeper(NULL);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0 || ptrace(PTRACE_SETOPTIONS, pid, 0, options) < 0)
		die("ptrace");
}

/* trace=COMM,MIB: a stopped child of that name and size */
static void trace_child(const char *value)
{
	trace(value, 0);
}

/* trace-exit=COMM,MIB: likewise, one that stops again when it exits */
static void trace_exit(const char *value)
{
	trace(value, PTRACE_O_TRACEEXIT);
}

const struct verb process_verbs[] = {
	{ "name", set_name },
	{ "name-of-its-own", name_by_pid },
	{ "adj", set_adj },
	{ "uid", set_uid },
	{ "groups", set_groups },
	{ "deaf", be_deaf },
	{ "greedy", be_greedy },
	{ "stop", stop },
	{ "session", begin_session },
	{ "terminal", begin_terminal },
	{ "sleep", sleep_for },
	{ "exit", quit },
	{ "finish", finish },
	{ "mark", mark },
	{ "await", await },
	{ "sharers", make_sharers },
	{ "vfork", wait_in_vfork },
	{ "hop", hop },
	{ "hop-fork", hop_by_fork },
	{ "pass-on", pass_on },
	{ "sibling-on-term", await_term },
	{ "threads", make_threads },
	{ "leave-thread", leave_thread },
	{ "exec-loop", exec_loop },
	{ "move", move },
	{ "lend-memfd", lend_memfd },
	{ "pass-memfd", pass_memfd },
	{ "memfd-thread", hold_memfd_in_thread },
	{ "memfd-in-flight", leave_memfd_in_flight },
	{ "queue", make_queue },
	{ "receive", receive_one },
	{ "send-memfd", send_memfd },
	{ "reserve", reserve },
	{ "descriptors", open_descriptors },
	{ "mappings", make_mappings },
	{ "thread-tables", make_thread_tables },
	{ "small-memfds", hold_small_memfds },
	{ "small-deleted", hold_small_deleted },
	{ "trace", trace_child },
	{ "trace-exit", trace_exit },
	{ "hold-mmap-lock", hold_mmap_lock },
	{ NULL, NULL },
};
