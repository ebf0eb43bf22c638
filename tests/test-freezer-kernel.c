/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on the kernel's own freezers: children of this test in cgroups that are made here, three
 * deep, frozen from above, twice, by both versions at once, with threads elsewhere, in the middle
 * of a vfork, by the thousand.  Each of the two versions where it is mounted; needs root.
 *
 * Trees of plain files are test-freezer's, a victim's way from its signal on is test-kill's.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"
#include "lib/sys/proc.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_LEVELS  4
#define N_THREADS 33
#define N_MEMBERS (FAIL_MALLOC_WORKS ? 2000 : 200) /* a sanitizer's processes are large */

#define BOOT_ID "0123456789abcdef0123456789abcdef"

/* /T, /T/b, /T/b/c, /T/b/c/d; and /T/x beside them. */
static const char *const level_names[N_LEVELS] = { "", "/b", "/b/c", "/b/c/d" };
#define TOP    0
#define LEAF   (N_LEVELS - 1)
#define BESIDE "/x"

struct child {
	pid_t pid;
	int pidfd;
	int ask_fd;    /* a byte in ... */
	int answer_fd; /* ... a byte out, if it runs; one at first when it is ready */
};

static struct {
	struct cgroup_fs fs;
	int proc_fd;
	bool has_groups[2]; /* by "is v1" */
	char top[64];
	struct child children[4];
	unsigned n_children;
	pid_t *members;
	unsigned n_members;
	struct freezer_thawed thawed;
} test;

static struct ledger ledger;

static const char *path_of(const char *below)
{
	static char paths[4][128];
	static unsigned n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s%s", test.top, below);
	return path;
}

static int mount_fd(bool v1)
{
	return v1 ? test.fs.v1_freezer_fd : test.fs.v2_fd;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	freezer_thawed_init(&test.thawed);
	(void)snprintf(test.top, sizeof(test.top), "/reckond-test-%d", getpid());
	test.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return cgroup_fs_open(test.proc_fd, &test.fs);
}

static int try_to_write(bool v1, const char *below, const char *file, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", path_of(below) + 1, file);
	return io_write_at(mount_fd(v1), path, text);
}

static void write_file(bool v1, const char *below, const char *file, const char *text)
{
	int r = try_to_write(v1, below, file, text);

	if (r < 0)
		fail_msg("%s%s: %s", path_of(below), file, strerror(-r));
}

static const char *const state_file[] = { [false] = "cgroup.freeze", [true] = "freezer.state" };
static const char *const states[2][2] = {
	[false] = { [false] = "0", [true] = "1" },
	[true] = { [false] = "THAWED", [true] = "FROZEN" },
};

static void freeze(bool v1, int level, bool frozen)
{
	write_file(v1, level_names[level], state_file[v1], states[v1][frozen]);
}

/* What the group itself says. */
static bool says_frozen(bool v1, const char *below)
{
	char path[256], text[256] = "";

	(void)snprintf(path, sizeof(path), "%s/%s", path_of(below) + 1,
		       v1 ? "freezer.state" : "cgroup.events");
	(void)io_read_at(mount_fd(v1), path, text, sizeof(text));
	return strstr(text, v1 ? "FROZEN" : "frozen 1");
}

/* Within ten seconds, on a machine that is busy. */
#define assert_soon(condition)                                                                     \
	do {                                                                                       \
		bool is_true_ = false;                                                             \
                                                                                                   \
		for (int i_ = 0; i_ < 10000 && !is_true_; i_++) {                                  \
			usleep(i_ > 0 ? 1000 : 0);                                                 \
			is_true_ = (condition);                                                    \
		}                                                                                  \
		if (!is_true_)                                                                     \
			fail_msg("%s", #condition);                                                \
	} while (0)

static void make_groups(bool v1)
{
	if (geteuid() != 0 || mount_fd(v1) < 0) {
		print_message("SKIP: %s\n", geteuid() != 0 ? "not root"
					    : v1	   ? "no v1 freezer"
							   : "no cgroup v2");
		skip();
	}
	test.has_groups[v1] = true;
	for (int i = 0; i < N_LEVELS; i++)
		assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[i]) + 1, 0755), errno);
	assert_return_code(mkdirat(mount_fd(v1), path_of(BESIDE) + 1, 0755), errno);
}

/* Whatever a failed test has left. */
static void thaw_groups(bool v1)
{
	for (int i = 0; i < N_LEVELS; i++)
		(void)try_to_write(v1, level_names[i], state_file[v1], states[v1][false]);
}

static bool is_removed(bool v1, const char *below)
{
	return unlinkat(mount_fd(v1), path_of(below) + 1, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static void remove_groups(bool v1)
{
	assert_soon(is_removed(v1, BESIDE));
	for (int i = N_LEVELS; i-- > 0;)
		assert_soon(is_removed(v1, level_names[i]));
}

static int teardown(void **state)
{
	fail_malloc = false;
	freezer_thawed_done(&test.thawed);
	for (unsigned i = 0; i < test.n_members; i++)
		(void)kill(test.members[i], SIGKILL);
	for (unsigned i = 0; i < test.n_children; i++)
		(void)pidfd_send_signal(test.children[i].pidfd, SIGKILL, NULL, 0);
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			thaw_groups(v1);
	for (unsigned i = 0; i < test.n_members; i++)
		(void)waitpid(test.members[i], NULL, 0);
	for (unsigned i = 0; i < test.n_children; i++) {
		(void)waitpid(test.children[i].pid, NULL, 0);
		close(test.children[i].pidfd);
		close(test.children[i].ask_fd);
		close(test.children[i].answer_fd);
	}
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			remove_groups(v1);
	free(test.members);
	cgroup_fs_done(&test.fs);
	close(test.proc_fd);
	return 0;
}

static int told_fd; /* where the SIGTERM handler writes */

static void on_term(int signal)
{
	if (write(told_fd, "T", 1) != 1)
		_exit(1);
}

static void *sleep_thread(void *userdata)
{
	for (;;)
		(void)pause();
	return NULL;
}

static void start_threads(int n)
{
	pthread_t thread;

	while (n-- > 0)
		if (pthread_create(&thread, NULL, sleep_thread, NULL) != 0)
			_exit(1);
}

/* Lives: in a vfork until its child, which has one more answer to give, exits. */
static void live_in_vfork(int ask_fd, int answer_fd)
{
	char byte;

	if (syscall(SYS_vfork) == 0) {
		if (write(answer_fd, "R", 1) != 1 || read(ask_fd, &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	_exit(2);
}

enum life {
	LIFE_PLAIN,
	LIFE_THREADS,
	LIFE_HEADLESS, /* the leader has exited */
	LIFE_VFORK,
};

static _Noreturn void live(enum life life, int ask_fd, int answer_fd)
{
	char byte = 'R';

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	told_fd = answer_fd;
	(void)signal(SIGTERM, on_term);
	if (life == LIFE_VFORK)
		live_in_vfork(ask_fd, answer_fd);
	if (life != LIFE_PLAIN)
		start_threads(N_THREADS - 1);
	do {
		if (write(answer_fd, &byte, 1) != 1)
			break;
		if (life == LIFE_HEADLESS && byte == 'Z')
			pthread_exit(NULL);
	} while (read(ask_fd, &byte, 1) == 1 || errno == EINTR);
	_exit(0);
}

/* Does a byte come within the time?  Which? */
static char byte_within(const struct child *child, int timeout_msec)
{
	struct pollfd pollfd = { .fd = child->answer_fd, .events = POLLIN };
	char byte = '\0';

	if (poll(&pollfd, 1, timeout_msec) > 0 && read(child->answer_fd, &byte, 1) == 1)
		return byte;
	return '\0';
}

static void put(bool v1, const char *below, const char *file, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	write_file(v1, below, file, text);
}

/* In the leaf of each hierarchy that has groups. */
static struct child *spawn(enum life life)
{
	struct child *child = &test.children[test.n_children];
	int ask[2], answer[2];

	assert_return_code(pipe2(ask, O_CLOEXEC), errno);
	assert_return_code(pipe2(answer, O_CLOEXEC), errno);
	child->pid = fork();
	assert_return_code(child->pid, errno);
	if (child->pid == 0) {
		close(ask[1]); /* else no process in there would ever see its end */
		live(life, ask[0], answer[1]);
	}
	test.n_children++;
	close(ask[0]);
	close(answer[1]);
	child->ask_fd = ask[1];
	child->answer_fd = answer[0];
	child->pidfd = pidfd_open(child->pid, 0);
	assert_int_equal(byte_within(child, 10000), 'R');
	for (int v1 = 0; v1 < 2; v1++)
		if (test.has_groups[v1])
			put(v1, level_names[LEAF], "cgroup.procs", child->pid);
	return child;
}

static bool is_running(const struct child *child, int timeout_msec)
{
	assert_int_equal(write(child->ask_fd, "?", 1), 1);
	return byte_within(child, timeout_msec) == '?';
}

static bool is_gone(const struct child *child)
{
	struct pollfd pollfd = { .fd = child->pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0;
}

static int thaw(const char *v2_below, const char *v1_below)
{
	int r;

	n_mallocs = 0;
	fail_malloc = true;
	r = freezer_thaw(&test.fs, v2_below ? path_of(v2_below) : NULL,
			 v1_below ? path_of(v1_below) : NULL, &test.thawed);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

static int thaw_leaf(bool v1)
{
	return thaw(v1 ? NULL : level_names[LEAF], v1 ? level_names[LEAF] : NULL);
}

static void order_victim_only(const struct child *victim)
{
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){
		.pid = victim->pid,
		.start_ticks = 1,
		.victim_only = true,
		.ledger = &ledger,
	};
}

static unsigned n_entries(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(&ledger, i) != NULL;
	return n;
}

/* Frozen by the levels from..LEAF: 33 threads are taken out of it, and killed; the others notice
 * nothing. */
static void check_take_out(int from, bool twice)
{
	struct child *victim, *neighbour;
	struct proc_stat stat;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, from, true);
	if (twice)
		freeze(true, LEAF, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_int_equal(proc_read_stat(test.proc_fd, victim->pid, &stat), 0);
	assert_true(stat.n_threads >= N_THREADS);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	usleep(20000);
	assert_false(is_gone(victim)); /* SIGKILL alone has no effect at all */

	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_soon(is_gone(victim));
	assert_int_equal(test.thawed.error, 0);
	assert_true(test.thawed.levels[0].moved);
	assert_true(says_frozen(true, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
	assert_int_equal(freezer_refreeze(&test.thawed), 0); /* nothing was thawed */
	assert_int_equal(n_entries(), 0);
}

static void test_take_out_of_a_group_frozen_from_above(void **state)
{
	check_take_out(TOP, false);
}

static void test_take_out_of_a_group_frozen_twice(void **state)
{
	check_take_out(1, true);
}

/* The nearest one that runs, not the root: what is limited there stays limited. */
static void test_take_out_moves_no_further_than_needed(void **state)
{
	char path[CGROUP_PATH_MAX];
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	freeze(true, 2, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[1]));
	assert_true(is_running(victim, 10000));
	assert_int_equal(n_entries(), 1);
	assert_true(ledger_get(&ledger, 0)->moved);
	assert_string_equal(ledger_get(&ledger, 0)->path, path_of(level_names[LEAF]));

	/* there it is not frozen: nothing more to do; frozen there too, it continues upwards, and
	 * is remembered once */
	assert_int_equal(thaw(NULL, level_names[1]), 0);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[1]));
	assert_int_equal(thaw(NULL, level_names[1]), 1);
	assert_true(is_running(victim, 10000));
	assert_int_equal(test.thawed.n_levels, 1);

	/* and back: frozen with the others */
	assert_int_equal(freezer_move_back(&test.thawed), 1);
	assert_false(is_running(victim, 50));
	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[LEAF]));
}

/* Two that are killed together, from one group: each is moved back on its own. */
static void test_take_out_two(void **state)
{
	struct child *first, *second, *neighbour;

	make_groups(true);
	first = spawn(LIFE_PLAIN);
	second = spawn(LIFE_PLAIN);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(first);
	assert_int_equal(thaw_leaf(true), 1);
	test.thawed.order.pid = second->pid;
	assert_int_equal(thaw_leaf(true), 1);
	assert_true(is_running(first, 10000) && is_running(second, 10000));
	assert_false(is_running(neighbour, 50));
	assert_int_equal(n_entries(), 2);
	assert_int_equal(ledger_get(&ledger, 0)->pid, first->pid);
	assert_int_equal(ledger_get(&ledger, 1)->pid, second->pid);
	assert_int_equal(freezer_move_back(&test.thawed), 2);
	assert_false(is_running(first, 50) || is_running(second, 50));
	assert_int_equal(freezer_refreeze(&test.thawed), 0);
	assert_int_equal(n_entries(), 0);
}

static void test_take_out_runs_the_handler_of_sigterm(void **state)
{
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGTERM), errno);
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_int_equal(byte_within(victim, 10000), 'T');
}

/* As in a container that is frozen from outside: its root is frozen too. */
static void test_take_out_without_a_place(void **state)
{
	struct cgroup_fs inner;
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_PLAIN);
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	order_victim_only(victim);
	cgroup_fs_init(&inner, -EBADF,
		       openat(test.fs.v1_freezer_fd, path_of(level_names[1]) + 1,
			      O_PATH | O_DIRECTORY | O_CLOEXEC));
	assert_int_equal(freezer_thaw(&inner, "/", "/c/d", &test.thawed), -EBUSY);
	assert_int_equal(test.thawed.error, -EBUSY);
	assert_int_equal(test.thawed.n_levels, 0);
	assert_int_equal(n_entries(), 0);
	cgroup_fs_done(&inner);
}

/* v2: no process is thawed; SIGKILL does not need it, nor does a SIGTERM without a handler. */
static void test_v2_victim_only_thaws_none(void **state)
{
	struct child *victim, *other;

	make_groups(false);
	victim = spawn(LIFE_THREADS);
	other = spawn(LIFE_THREADS);
	freeze(false, TOP, true);
	assert_soon(says_frozen(false, level_names[LEAF]));
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(false), 0);
	assert_int_equal(kill(other->pid, SIGTERM), 0);
	assert_int_equal(byte_within(other, 100), '\0'); /* its handler waits */
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_soon(is_gone(victim));
	assert_true(says_frozen(false, level_names[LEAF]));
	assert_false(is_gone(other));
}

/* The pid was written to `tasks`: the leader alone was moved, the threads stay frozen where they
 * are.  They are found where they are, and the process is then gone as a whole. */
static void test_v1_threads_left_in_a_frozen_group(void **state)
{
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	put(true, BESIDE, "tasks", victim->pid);
	assert_true(is_running(victim, 10000));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_int_equal(thaw(NULL, BESIDE), 0); /* by its leader, nothing is frozen */
	usleep(50000);
	assert_false(is_gone(victim));
	assert_int_equal(thaw(NULL, level_names[LEAF]), 1);
	assert_soon(is_gone(victim));
}

/* The same, by moving all of it: cgroup.procs takes every thread along. */
static void test_v1_threads_elsewhere_are_taken_out_with_the_process(void **state)
{
	struct child *victim, *neighbour;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	put(true, BESIDE, "tasks", victim->pid);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_soon(is_gone(victim));
	assert_false(is_running(neighbour, 50));
}

/* A leader that has exited reads as in the root of a v1 hierarchy; its threads are elsewhere. */
static void test_v1_leader_has_exited(void **state)
{
	char path[CGROUP_PATH_MAX];
	struct proc_stat stat;
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_HEADLESS);
	assert_int_equal(write(victim->ask_fd, "Z", 1), 1);
	assert_int_equal(byte_within(victim, 10000), 'Z');
	assert_soon(proc_read_stat(test.proc_fd, victim->pid, &stat) == 0 && stat.state == 'Z');
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);

	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[LEAF]));
	assert_int_equal(freezer_thaw(&test.fs, NULL, path, &test.thawed), 1);
	assert_soon(is_gone(victim));
}

/* (Frozen while it does that, it would stay FREEZING: freeze_task() is called once.) */
static bool is_vfork_parent_waiting(const struct child *child)
{
	struct proc_stat stat;

	return proc_read_stat(test.proc_fd, child->pid, &stat) == 0 && stat.state == 'D';
}

/* A process in the middle of a vfork waits in D, counts as frozen, and exits when thawed. */
static void check_vfork(bool v1, bool victim_only)
{
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_VFORK);
	assert_soon(is_vfork_parent_waiting(victim));
	freeze(v1, TOP, true);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	if (victim_only)
		order_victim_only(victim);
	assert_int_equal(thaw_leaf(v1), 1);
	assert_soon(is_gone(victim));
}

static void test_v1_vfork_parent(void **state)
{
	check_vfork(true, false);
}

static void test_v1_vfork_parent_taken_out(void **state)
{
	check_vfork(true, true);
}

static void test_v2_vfork_parent(void **state)
{
	check_vfork(false, false);
}

/* Frozen by both at once: each alone would keep it.  (Version 2 has to be first to be seen in its
 * events: a process that sleeps in the v1 refrigerator does not get to the v2 trap.) */
static void test_hybrid_frozen_by_both(void **state)
{
	struct child *victim, *neighbour;

	make_groups(false);
	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(false, TOP, true);
	freeze(false, LEAF, true);
	assert_soon(says_frozen(false, level_names[LEAF]));
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){ .pid = victim->pid, .ledger = &ledger };
	assert_return_code(kill(victim->pid, SIGTERM), errno);
	assert_int_equal(byte_within(victim, 100), '\0');
	assert_int_equal(thaw(level_names[LEAF], level_names[LEAF]), 3);
	assert_int_equal(byte_within(victim, 10000), 'T');
	assert_true(is_running(neighbour, 10000));
	assert_int_equal(n_entries(), 3);

	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_soon(is_gone(victim));
	assert_int_equal(freezer_refreeze(&test.thawed), 3);
	assert_int_equal(n_entries(), 0);
	/* (FREEZING it may be for ever, if v2 has stopped them first: freeze_task() comes once.) */
	assert_int_equal(freezer_is_frozen(&test.fs, NULL, path_of(level_names[LEAF])), 1);
	freeze(true, 1, false); /* each of them by its own flag, as before */
	assert_soon(says_frozen(false, level_names[LEAF]));
	freeze(false, TOP, false);
	assert_true(says_frozen(false, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
}

/* Thawed by another program first; frozen by another program meanwhile, again and again. */
static void check_others(bool v1)
{
	struct child *victim, *neighbour;

	make_groups(v1);
	victim = spawn(LIFE_PLAIN);
	neighbour = spawn(LIFE_PLAIN);
	freeze(v1, TOP, true);
	freeze(v1, TOP, false);
	assert_int_equal(thaw_leaf(v1), 0);

	freeze(v1, TOP, true);
	assert_int_equal(thaw_leaf(v1), 1);
	for (int i = 0; i < 3; i++) {
		freeze(v1, TOP, true);
		freeze(v1, 2, true);
		assert_int_equal(thaw_leaf(v1), 2);
		assert_true(is_running(victim, 10000));
	}
	assert_int_equal(test.thawed.n_levels, 2);
	freeze(v1, 2, true); /* as another program left it */
	assert_int_equal(freezer_refreeze(&test.thawed), 1);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
}

static void test_v1_others_thaw_and_freeze(void **state)
{
	check_others(true);
}

static void test_v2_others_thaw_and_freeze(void **state)
{
	check_others(false);
}

/* With its processes; before the thaw, and between that and the end. */
static void check_vanished(bool v1)
{
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_PLAIN);
	freeze(v1, TOP, true);
	freeze(v1, LEAF, true);
	assert_int_equal(thaw_leaf(v1), 2);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_int_equal(waitpid(victim->pid, NULL, 0), victim->pid);
	for (int i = N_LEVELS; --i > TOP;)
		assert_soon(unlinkat(mount_fd(v1), path_of(level_names[i]) + 1, AT_REMOVEDIR) == 0);
	freeze(v1, TOP, true);
	assert_int_equal(thaw_leaf(v1), 0);
	/* Nothing is thawed for a process that is not there.  (v1 says FREEZING until the removed
	 * groups are released.) */
	assert_soon(says_frozen(v1, level_names[TOP]));
	freeze(v1, TOP, false);
	assert_int_equal(freezer_refreeze(&test.thawed), 0);
	for (int i = TOP + 1; i < N_LEVELS; i++) /* for the teardown */
		assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[i]) + 1, 0755), errno);
}

static void test_v1_vanished(void **state)
{
	check_vanished(true);
}

static void test_v2_vanished(void **state)
{
	check_vanished(false);
}

/* Sleeping, in the leaf. */
static void spawn_members(bool v1)
{
	char path[256];

	test.members = calloc(N_MEMBERS, sizeof(test.members[0]));
	assert_non_null(test.members);
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", path_of(level_names[LEAF]) + 1);
	while (test.n_members < N_MEMBERS) {
		pid_t pid = fork();

		assert_return_code(pid, errno);
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (io_write_at(mount_fd(v1), path, "0") < 0)
				_exit(1);
			for (;;)
				(void)pause();
		}
		test.members[test.n_members++] = pid;
	}
}

static usec_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* However many they are, it is one write each way. */
static void check_thousands(bool v1)
{
	usec_t began, thawed, running, refrozen;
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_THREADS);
	spawn_members(v1);
	usleep(100000);
	freeze(v1, TOP, true);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	began = now();
	assert_int_equal(thaw_leaf(v1), 1);
	thawed = now();
	assert_soon(is_gone(victim));
	assert_soon(!says_frozen(v1, level_names[LEAF]));
	running = now();
	assert_int_equal(freezer_refreeze(&test.thawed), 1);
	refrozen = now();
	assert_soon(says_frozen(v1, level_names[LEAF]));
	print_message("%d members: thaw %u us, the victim gone after %u us, refreeze %u us, "
		      "all frozen after %u us\n",
		      N_MEMBERS, (unsigned)(thawed - began), (unsigned)(running - began),
		      (unsigned)(refrozen - running), (unsigned)(now() - running));
}

static void test_v1_thousands_of_members(void **state)
{
	check_thousands(true);
}

static void test_v2_thousands_of_members(void **state)
{
	check_thousands(false);
}

/* From the ledger alone, as after a restart; a group made anew under the old name is another. */
static void check_take_over(bool v1)
{
	struct freezer_thawed later;
	struct child *neighbour;

	make_groups(v1);
	neighbour = spawn(LIFE_PLAIN);
	freeze(v1, 1, true);
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){ .pid = 1, .ledger = &ledger };
	assert_int_equal(thaw_leaf(v1), 1);
	assert_true(is_running(neighbour, 10000));
	freezer_thawed_done(&test.thawed); /* it dies here */

	freezer_thawed_init(&later);
	later.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later), 0);
	assert_int_equal(freezer_refreeze(&later), 1);
	assert_int_equal(n_entries(), 0);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
	freezer_thawed_done(&later);

	freeze(v1, 1, false);
	freeze(v1, LEAF, true);
	test.thawed.order = (struct freezer_order){ .pid = 1, .ledger = &ledger };
	assert_int_equal(thaw_leaf(v1), 1);
	put(v1, BESIDE, "cgroup.procs", neighbour->pid);
	freezer_thawed_done(&test.thawed);
	assert_soon(unlinkat(mount_fd(v1), path_of(level_names[LEAF]) + 1, AT_REMOVEDIR) == 0);
	later.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later),
			 FREEZER_NOT_THERE);
	assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[LEAF]) + 1, 0755), errno);
	assert_int_equal(freezer_take_over(&test.fs, ledger_get(&ledger, 0), 0, &later),
			 FREEZER_NOT_THERE);
}

static void test_v1_take_over(void **state)
{
	check_take_over(true);
}

static void test_v2_take_over(void **state)
{
	check_take_over(false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_out_of_a_group_frozen_from_above),
		TEST(test_take_out_of_a_group_frozen_twice),
		TEST(test_take_out_moves_no_further_than_needed),
		TEST(test_take_out_two),
		TEST(test_take_out_runs_the_handler_of_sigterm),
		TEST(test_take_out_without_a_place),
		TEST(test_v2_victim_only_thaws_none),
		TEST(test_v1_threads_left_in_a_frozen_group),
		TEST(test_v1_threads_elsewhere_are_taken_out_with_the_process),
		TEST(test_v1_leader_has_exited),
		TEST(test_v1_vfork_parent),
		TEST(test_v1_vfork_parent_taken_out),
		TEST(test_v2_vfork_parent),
		TEST(test_hybrid_frozen_by_both),
		TEST(test_v1_others_thaw_and_freeze),
		TEST(test_v2_others_thaw_and_freeze),
		TEST(test_v1_vanished),
		TEST(test_v2_vanished),
		TEST(test_v1_thousands_of_members),
		TEST(test_v2_thousands_of_members),
		TEST(test_v1_take_over),
		TEST(test_v2_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
