/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thawed: the file of what is owed, and frozen victims in the hands of the daemon: ticks are called
 * by hand, in groups of our own in both hierarchies; a daemon that is killed is a child of this
 * test.  Needs root, a cgroup2 mount (for the subtree), a tmpfs in /dev/shm, and a v1 freezer for
 * what is about that.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/manager.h"
#include "daemon/thaw-state.h"
#include "daemon/tick.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/ledger.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

static struct {
	struct cgroup_fs cgroups;
	char subtree[64]; /* in both hierarchies; "": not made */
	char runtime[64]; /* RUNTIME_DIRECTORY */
	char config[64];
	pid_t children[8];
	unsigned n_children;
	struct manager *manager;
	unsigned n_signals;
	unsigned n_choices;
	int thaw_result; /* 0: the real one's */
} test;

/* The daemon's entries end here; the first one closes the time without allocations. */
int sd_journal_sendv(const struct iovec *iov, int n);
int sd_journal_sendv(const struct iovec *iov, int n)
{
	fail_malloc = false;
	return 0;
}

void __real_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result)
{
	fail_malloc = FAIL_MALLOC_WORKS;
	__real_victim_choose(census, request, reader, result);
	test.n_choices += !result->is_cut;
}

static int op_signal(int pidfd, int signal)
{
	test.n_signals++;
	return kill_ops_system.pidfd_send_signal(pidfd, signal);
}

static int op_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		   struct freezer_thawed *thawed)
{
	if (test.thaw_result < 0)
		return thawed->error = test.thaw_result;
	return kill_ops_system.thaw(fs, v2_path, v1_path, thawed);
}

static struct kill_ops ops;

static bool is_on_tmpfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned)fs.f_type == TMPFS_MAGIC;
}

static int mount_fd(bool v1)
{
	return v1 ? test.cgroups.v1_freezer_fd : test.cgroups.v2_fd;
}

static const char *path_of(const char *below)
{
	static char paths[4][320];
	static unsigned n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s%s", test.subtree + 1, below);
	return path;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	if (cgroup_fs_open(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &test.cgroups) < 0)
		return -1;
	ops = kill_ops_system;
	ops.pidfd_send_signal = op_signal;
	ops.thaw = op_thaw;
	snprintf(test.config, sizeof(test.config), "/tmp/test-thaw-state-%d.conf", getpid());
	snprintf(test.runtime, sizeof(test.runtime), "/dev/shm/test-thaw-state-%d", getpid());
	if (!is_on_tmpfs("/dev/shm") || mkdir(test.runtime, 0755) < 0)
		test.runtime[0] = '\0';
	setenv("RUNTIME_DIRECTORY", test.runtime, 1);
	return 0;
}

static void require_runtime_directory(void)
{
	if (test.runtime[0])
		return;
	print_message("SKIP: this needs a tmpfs in /dev/shm\n");
	skip();
}

/* The subtree, with a group /g in it, in each hierarchy. */
static void make_groups(bool with_v1)
{
	require_runtime_directory();
	if (geteuid() != 0 || test.cgroups.v2_fd < 0 ||
	    (with_v1 && test.cgroups.v1_freezer_fd < 0)) {
		print_message("SKIP: %s\n", geteuid() != 0	     ? "not root"
					    : test.cgroups.v2_fd < 0 ? "no cgroup v2"
								     : "no v1 freezer");
		skip();
	}
	snprintf(test.subtree, sizeof(test.subtree), "/reckond-thawed-%d", getpid());
	for (int v1 = 0; v1 <= with_v1; v1++) {
		assert_return_code(mkdirat(mount_fd(v1), path_of(""), 0755), errno);
		assert_return_code(mkdirat(mount_fd(v1), path_of("/g"), 0755), errno);
	}
}

static int write_group(bool v1, const char *below, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", path_of(below), file);
	return io_write_at(mount_fd(v1), path, text);
}

static void freeze(bool v1, const char *below, bool frozen)
{
	assert_int_equal(v1 ? write_group(v1, below, "freezer.state", frozen ? "FROZEN" : "THAWED")
			    : write_group(v1, below, "cgroup.freeze", frozen ? "1" : "0"),
			 0);
}

static bool is_frozen(bool v1, const char *below)
{
	char path[512], text[256] = "";

	snprintf(path, sizeof(path), "%s/%s", path_of(below),
		 v1 ? "freezer.state" : "cgroup.events");
	(void)io_read_at(mount_fd(v1), path, text, sizeof(text));
	return strstr(text, v1 ? "FROZEN" : "frozen 1");
}

/* FREEZING it may be for ever, if v2 has stopped its processes first: freeze_task() comes once. */
static bool is_to_be_frozen_v1(const char *below)
{
	char path[512], text[16] = "";

	snprintf(path, sizeof(path), "%s/freezer.self_freezing", path_of(below));
	(void)io_read_at(mount_fd(true), path, text, sizeof(text));
	return text[0] == '1';
}

/* Within ten seconds, on a machine that is busy. */
#define assert_soon(condition)                                                                     \
	do {                                                                                       \
		bool is_true_ = false;                                                             \
                                                                                                   \
		for (int i_ = 0; i_ < 1000 && !is_true_; i_++) {                                   \
			usleep(i_ > 0 ? 10000 : 0);                                                \
			is_true_ = (condition);                                                    \
		}                                                                                  \
		if (!is_true_)                                                                     \
			fail_msg("%s", #condition);                                                \
	} while (0)

static bool is_removed(bool v1, const char *below)
{
	return unlinkat(mount_fd(v1), path_of(below), AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static int teardown(void **state)
{
	static const char *const groups[] = { "/g", "" };
	char path[128];

	fail_malloc = false;
	test.manager = manager_free(test.manager);
	for (int v1 = 0; v1 < 2 && test.subtree[0]; v1++) {
		(void)write_group(v1, "/g", v1 ? "freezer.state" : "cgroup.freeze",
				  v1 ? "THAWED" : "0");
		(void)write_group(v1, "", v1 ? "freezer.state" : "cgroup.freeze",
				  v1 ? "THAWED" : "0");
	}
	for (unsigned i = 0; i < test.n_children; i++) {
		(void)kill(test.children[i], SIGKILL); /* our children, not yet waited for */
		(void)waitpid(test.children[i], NULL, 0);
	}
	for (int v1 = 0; v1 < 2 && test.subtree[0]; v1++)
		for (size_t i = 0; mount_fd(v1) >= 0 && i < ARRAY_SIZE(groups); i++)
			assert_soon(is_removed(v1, groups[i]));
	snprintf(path, sizeof(path), "%s/thawed", test.runtime);
	(void)unlink(path);
	(void)rmdir(test.runtime);
	(void)unlink(test.config);
	cgroup_fs_done(&test.cgroups);
	return 0;
}

/*
 * The file.
 */
static struct manager *blank_manager(void)
{
	static struct manager m;

	manager_init(&m);
	m.machine.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return &m;
}

static void drop_manager(struct manager *m)
{
	thaw_state_close(&m->in_flight);
	close(m->machine.proc_fd);
}

static int open_once(void)
{
	struct manager *m = blank_manager();
	int r = thaw_state_open(&m->in_flight);

	assert_int_equal(m->in_flight.ledger_error, r);
	assert_int_equal(m->in_flight.ledger != NULL, r == 0);
	drop_manager(m);
	return r;
}

static const char *file(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/thawed", test.runtime);
	return path;
}

/* Leaves one entry. */
static void leave_an_entry(void)
{
	struct manager *m = blank_manager();

	assert_int_equal(thaw_state_open(&m->in_flight), 0);
	assert_int_equal(ledger_enter(m->in_flight.ledger, &(struct ledger_entry){ .pid = 1 },
				      "/nowhere", 8),
			 0);
	drop_manager(m);
}

static unsigned n_entries_left(void)
{
	struct manager *m = blank_manager();
	unsigned n = 0;

	assert_int_equal(thaw_state_open(&m->in_flight), 0);
	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(m->in_flight.ledger, i) != NULL;
	drop_manager(m);
	return n;
}

static void change_byte(off_t offset)
{
	_cleanup_close_ int fd = open(file(), O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void test_open_keeps_a_good_file(void **state)
{
	struct stat st;

	require_runtime_directory();
	leave_an_entry();
	assert_return_code(stat(file(), &st), errno);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, sizeof(struct ledger));
	assert_true(st.st_blocks * 512 >= (off_t)sizeof(struct ledger)); /* no SIGBUS later */
	assert_int_equal(n_entries_left(), 1);
}

static void test_open_ignores_a_damaged_file(void **state)
{
	static const off_t offsets[] = {
		0,
		offsetof(struct ledger, slots[0].checksum),
		offsetof(struct ledger, slots[0].entry.path) + 3,
		offsetof(struct ledger, slots[40].state) + 1,
	};

	require_runtime_directory();
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		leave_an_entry();
		change_byte(offsets[i]);
		assert_int_equal(n_entries_left(), 0);
	}
	for (off_t size = 1; size < 2 * (off_t)sizeof(struct ledger); size += 20000) {
		leave_an_entry();
		assert_return_code(truncate(file(), size), errno);
		assert_int_equal(n_entries_left(), 0);
	}
}

static void test_open_forgets_another_boot(void **state)
{
	require_runtime_directory();
	leave_an_entry();
	change_byte(offsetof(struct ledger, boot_id));
	assert_int_equal(n_entries_left(), 0);
}

/* Groups are frozen by what it says: no file of another user is trusted. */
static void test_open_trusts_no_other_user(void **state)
{
	char other[160];

	require_runtime_directory();
	leave_an_entry();
	assert_return_code(chmod(file(), 0620), errno);
	assert_int_equal(open_once(), -EPERM);
	assert_return_code(chmod(file(), 0600), errno);
	if (geteuid() == 0) {
		assert_return_code(chown(file(), NOBODY, 0), errno);
		assert_int_equal(open_once(), -EPERM);
		assert_return_code(chown(file(), 0, 0), errno);
	}
	snprintf(other, sizeof(other), "%s/other", test.runtime);
	assert_return_code(link(file(), other), errno);
	assert_int_equal(open_once(), -EPERM);
	assert_return_code(unlink(file()), errno);
	assert_return_code(symlink("other", file()), errno);
	assert_int_equal(open_once(), -ELOOP);
	assert_return_code(unlink(file()), errno);
	assert_return_code(unlink(other), errno);
	assert_return_code(mkfifo(file(), 0600), errno);
	assert_int_equal(open_once(), -EPERM);
}

static void test_open_without_a_place(void **state)
{
	char path[] = "/tmp/test-thaw-state-XXXXXX", made[128];

	setenv("RUNTIME_DIRECTORY", "/nonexistent/reckond", 1);
	assert_int_equal(open_once(), -ENOENT);
	assert_non_null(mkdtemp(path));
	setenv("RUNTIME_DIRECTORY", path, 1);
	if (!is_on_tmpfs(path)) {
		assert_int_equal(open_once(), -ENOTSUP);
		assert_string_equal(thaw_state_strerror(-ENOTSUP), "not on a tmpfs");
	} else {
		snprintf(made, sizeof(made), "%s/thawed", path);
		(void)unlink(made);
	}
	assert_return_code(rmdir(path), errno); /* it is empty */
	/* the first of several, as systemd.exec(5) gives them */
	require_runtime_directory();
	snprintf(made, sizeof(made), "%s:/nonexistent", test.runtime);
	setenv("RUNTIME_DIRECTORY", made, 1);
	assert_int_equal(open_once(), 0);
	assert_return_code(access(file(), F_OK), errno);
}

/* The exit status of f in a child. */
static int in_child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int open_status(void)
{
	struct manager *m = blank_manager();

	return -thaw_state_open(&m->in_flight);
}

static void test_open_is_for_one_at_a_time(void **state)
{
	struct manager *m = blank_manager();

	require_runtime_directory();
	assert_int_equal(thaw_state_open(&m->in_flight), 0);
	assert_int_equal(in_child(open_status), EBUSY);
	assert_string_equal(thaw_state_strerror(-EBUSY), "another reckond has it");
	assert_int_equal(
		ledger_enter(m->in_flight.ledger, &(struct ledger_entry){ .pid = 1 }, "/x", 2), 0);
	assert_int_equal(in_child(open_status), EBUSY);
	assert_int_equal(thaw_state_open(&m->in_flight), 0); /* it is open: nothing is done */
	assert_non_null(ledger_get(m->in_flight.ledger, 0));
	thaw_state_close(&m->in_flight);
	assert_int_equal(in_child(open_status), 0);
	drop_manager(m);
}

/* A store to a page for which there is no room would be SIGBUS, in the emergency. */
static int open_in_full_file_system(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", test.runtime, "tmpfs", 0, "size=16k") < 0)
		return 0;
	return open_status();
}

static void test_open_in_a_full_file_system(void **state)
{
	int status;

	require_runtime_directory();
	status = in_child(open_in_full_file_system);
	if (status == 0) {
		print_message("SKIP: no tmpfs of our own can be mounted\n");
		skip();
	}
	assert_int_equal(status, ENOSPC);
}

/*
 * Victims.
 */
static void move(pid_t pid, bool v1, const char *below)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	assert_int_equal(write_group(v1, below, "cgroup.procs", text), 0);
}

/* A process of so many MiB in /g, in each hierarchy.  Below KILL_BACK_MIN only its exit counts as
 * its end. */
static pid_t spawn(size_t mib, bool ignores_term)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigset_t none;
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGTERM, ignores_term ? SIG_IGN : SIG_DFL);
		munlockall();
		memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, mib * MIB);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	test.children[test.n_children++] = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	move(pid, false, "/g");
	if (test.cgroups.v1_freezer_fd >= 0 &&
	    faccessat(mount_fd(true), path_of("/g"), F_OK, 0) == 0)
		move(pid, true, "/g");
	return pid;
}

static bool is_alive(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}

static int exit_signal(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_soon(!is_alive(pid));
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return info.si_status;
}

static struct manager *new_manager(const char *more)
{
	struct config_options options = { .config_file = test.config };
	struct manager *m;
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n%s", test.subtree, more);
	fclose(f);
	assert_int_equal(manager_new(&options, false, &ops, &m), 0);
	assert_int_equal(m->in_flight.ledger_error, 0);
	test.n_signals = test.n_choices = n_mallocs = 0; /* the self-test's do not count */
	return m;
}

/* A step: what takes several turns on a busy machine (the first listing, a choice that was cut
 * short) is waited for. */
static void one_tick(void)
{
	const struct manager *m = test.manager;
	usec_t decided_at = m->in_flight.decision.decided_at;

	for (int i = 0; i < 200; i++) {
		unsigned n_vanished = m->selection.n_vanished;

		(void)tick(&test.manager->tick, clock_now());
		fail_malloc = false;
		if (m->regime.state == REGIME_KILLING ||
		    m->in_flight.decision.decided_at != decided_at ||
		    (m->selection.n_cut == 0 && m->selection.n_vanished == n_vanished &&
		     (m->sampler.watch.listed_at != 0 || m->sampler.watch.since == 0)))
			break;
	}
}

static void wait_for_outcome(void)
{
	for (int i = 0; i < 6000 && test.manager->regime.state == REGIME_KILLING; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_not_equal(test.manager->regime.state, REGIME_KILLING);
}

#define KILL_NOW "[Policy now]\nMemoryAvailable=100%\nAction=kill\n"
#define TERM_NOW "[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=1min\n"
#define NOT_NOW	 "[Policy now]\nMemoryAvailable=0%\nAction=kill\n"

static void let_the_emergency_pass(void)
{
	struct policy *now = policy_set_policy(&test.manager->config.policies, "now");

	now->memory_available.permyriad = 0;
}

static unsigned n_owed(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(test.manager->in_flight.ledger, i) != NULL;
	return n;
}

/* Both at once: what is owed is entered before it is thawed, without allocation, and struck. */
static void test_both_hierarchies_are_entered_and_frozen_again(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, false);
	sibling = spawn(4, false);
	freeze(false, "", true);
	assert_soon(is_frozen(false, "/g"));
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(KILL_NOW);
	one_tick();
	if (FAIL_MALLOC_WORKS)
		assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(n_owed(), 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(test.manager->in_flight.decision.refrozen, 2);
	assert_int_equal(n_owed(), 0);
	assert_true(is_to_be_frozen_v1("/g"));
	freeze(true, "/g", false);
	assert_soon(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

/* Runs a daemon in a child up to its first signal, and kills it there. */
static void kill_a_daemon(const char *more)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		test.manager = new_manager(more);
		one_tick();
		byte = (char)test.n_signals;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(byte, 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* In one hierarchy or in both. */
static void check_recovery_at_start(bool v2, bool v1)
{
	pid_t victim, sibling;

	make_groups(v1);
	victim = spawn(12, false);
	sibling = spawn(4, false);
	if (v2) {
		freeze(false, "/g", true);
		assert_soon(is_frozen(false, "/g"));
	}
	if (v1) {
		freeze(true, "", true);
		assert_soon(is_frozen(true, "/g"));
	}
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_soon(!is_frozen(false, "/g") && !is_frozen(true, "/g"));

	test.manager = new_manager(NOT_NOW);
	if (v1) {
		assert_true(is_to_be_frozen_v1(""));
		freeze(true, "", false);
	}
	if (v2)
		assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_owed(), 0);
	assert_true(is_alive(sibling));
}

static void test_recover_v2(void **state)
{
	check_recovery_at_start(true, false);
}

static void test_recover_v1(void **state)
{
	check_recovery_at_start(false, true);
}

static void test_recover_both(void **state)
{
	check_recovery_at_start(true, true);
}

/* A victim that lives on keeps its group thawed, with the next daemon too. */
static void test_recover_waits_for_a_victim_that_is_still_exiting(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(TERM_NOW);
	test.manager = new_manager(NOT_NOW);
	assert_int_equal(n_owed(), 1);
	one_tick();
	assert_false(is_frozen(false, "/g"));
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
	one_tick();
	assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_owed(), 0);
}

/* And it is frozen again when that one gets SIGTERM. */
static void test_recover_then_stop(void **state)
{
	make_groups(false);
	(void)spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(TERM_NOW);
	test.manager = new_manager(NOT_NOW);
	assert_false(is_frozen(false, "/g"));
	test.manager = manager_free(test.manager);
	assert_soon(is_frozen(false, "/g"));
	assert_int_equal(n_entries_left(), 0);
}

/* A group of the same name is another's now. */
static void test_recover_leaves_another_group_alone(void **state)
{
	pid_t victim, other;

	make_groups(false);
	victim = spawn(12, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(waitpid(victim, NULL, 0), victim);
	test.n_children--;
	assert_soon(is_removed(false, "/g"));
	assert_return_code(mkdirat(mount_fd(false), path_of("/g"), 0755), errno);
	other = spawn(4, false);
	test.manager = new_manager(NOT_NOW);
	usleep(50000);
	assert_false(is_frozen(false, "/g"));
	assert_true(is_alive(other));
	assert_int_equal(n_owed(), 0);
}

static void test_dry_run_does_not_touch_the_file(void **state)
{
	struct config_options options = { .config_file = test.config, .dry_run = true };
	pid_t victim;

	make_groups(false);
	victim = spawn(12, false);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(manager_new(&options, false, &ops, &test.manager), 0);
	assert_null(test.manager->in_flight.ledger);
	assert_false(is_frozen(false, "/g"));
	test.manager = manager_free(test.manager);
	assert_int_equal(n_entries_left(), 1);
}

/* A configuration that ends the dry run: what an earlier daemon left thawed is frozen again now. */
static void test_a_dry_run_is_switched_off(void **state)
{
	struct config_options options = { .config_file = test.config };
	_cleanup_free_ char *errors = NULL;
	FILE *f;

	make_groups(false);
	(void)spawn(12, false);
	(void)spawn(4, false);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	kill_a_daemon(KILL_NOW);
	f = fopen(test.config, "we");
	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\nDryRun=yes\n", test.subtree);
	fclose(f);
	assert_soon(!is_frozen(false, "/g"));
	assert_int_equal(manager_new(&options, false, &ops, &test.manager), 0);
	assert_null(test.manager->in_flight.ledger);
	assert_false(is_frozen(false, "/g"));
	f = fopen(test.config, "we");
	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n", test.subtree);
	fputs(NOT_NOW, f);
	fclose(f);
	assert_int_equal(manager_reload(test.manager, &errors), 0);
	assert_non_null(test.manager->in_flight.ledger);
	assert_int_equal(n_owed(), 0);
	assert_soon(is_frozen(false, "/g"));
}

/* A frozen process is not waited for to handle its SIGTERM; one that may be thawed later, is. */
static void test_what_cannot_be_thawed_gets_sigkill(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW);
	test.thaw_result = -EACCES;
	one_tick();
	assert_int_equal(test.n_signals, 1);
	test.thaw_result = 0;
	one_tick(); /* it is now */
	assert_soon(!is_frozen(false, "/g"));
	one_tick();
	assert_int_equal(test.n_signals, 1);

	test.thaw_result = -EACCES;
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* The grace is for a process that can use it. */
static void test_time_in_which_it_is_frozen_does_not_count(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager =
		new_manager("[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=500ms\n");
	one_tick();
	assert_soon(!is_frozen(false, "/g"));
	test.manager->in_flight.decision.signalled_at -= USEC_PER_SEC; /* a second of it */
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.manager->in_flight.decision.n_thawed_again, 1);
	assert_true(test.manager->in_flight.decision.frozen_usec >= USEC_PER_SEC);
	assert_soon(!is_frozen(false, "/g"));
	one_tick();
	assert_int_equal(test.n_signals, 1);

	usleep(600000); /* all of its grace */
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* Not for ever, and then there is nothing to wait for. */
static void test_thawing_again_is_bounded(void **state)
{
	pid_t victim;

	make_groups(false);
	victim = spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW);
	one_tick();
	for (unsigned i = 1; i <= 8; i++) {
		freeze(false, "/g", true);
		one_tick();
		assert_int_equal(test.manager->in_flight.decision.n_thawed_again, i);
		assert_soon(!is_frozen(false, "/g"));
	}
	assert_int_equal(test.n_signals, 1);
	freeze(false, "/g", true);
	one_tick();
	assert_int_equal(test.n_signals, 2); /* SIGKILL, within the grace */
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* Frozen for the first time when it has had SIGTERM already. */
static void test_frozen_meanwhile_is_thawed_and_frozen_again(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, true);
	sibling = spawn(4, false);
	test.manager = new_manager(TERM_NOW);
	one_tick();
	assert_int_equal(n_owed(), 0);
	freeze(true, "/g", true);
	one_tick();
	assert_soon(!is_frozen(true, "/g"));
	assert_int_equal(n_owed(), 1);
	assert_int_equal(kill(victim, SIGKILL), 0);
	wait_for_outcome();
	assert_soon(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
}

/* The loop is woken by cgroup.events, once for each change. */
static void test_thaw_wakes_the_loop(void **state)
{
	struct manager *m;
	int enabled;

	make_groups(false);
	(void)spawn(12, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	m = test.manager = new_manager(TERM_NOW);
	assert_int_equal(sd_event_source_set_enabled(m->monitor.timer, SD_EVENT_OFF), 0);
	if (m->monitor.psi_source)
		assert_int_equal(sd_event_source_set_enabled(m->monitor.psi_source, SD_EVENT_OFF),
				 0);
	assert_int_equal(sd_event_run(m->monitor.event, 0), 0); /* nothing to wait for */
	assert_int_equal(sd_event_source_set_time(m->monitor.timer, 0), 0);
	assert_int_equal(sd_event_source_set_enabled(m->monitor.timer, SD_EVENT_ONESHOT), 0);
	while (m->regime.state != REGIME_KILLING)
		assert_int_equal(sd_event_run(m->monitor.event, 10 * USEC_PER_SEC), 1);
	assert_int_equal(sd_event_source_set_enabled(m->monitor.timer, SD_EVENT_OFF), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sd_event_run(m->monitor.event, 10 * USEC_PER_SEC), 1);
		/* the timer is set by the sample that follows */
		assert_int_equal(sd_event_source_get_enabled(m->monitor.timer, &enabled), 1);
		assert_int_equal(sd_event_source_set_enabled(m->monitor.timer, SD_EVENT_OFF), 0);
		/* it does not continue for ever: at most once more, for what was thawed again */
		for (int n = 0; sd_event_run(m->monitor.event, 100 * USEC_PER_MSEC) > 0; n++) {
			assert_true(n < 3);
			assert_int_equal(
				sd_event_source_set_enabled(m->monitor.timer, SD_EVENT_OFF), 0);
		}
		assert_false(is_frozen(false, "/g"));
		freeze(false, "/g", true); /* the next round */
	}
	let_the_emergency_pass();
	test.manager->in_flight.decision.signalled_at -= 2 * 60 * USEC_PER_SEC;
	test.manager->in_flight.decision.n_thawed_again = 0;
	one_tick();
	freeze(false, "/g", false);
}

static void test_victim_only_v1_leaves_the_others_frozen(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, false);
	sibling = spawn(4, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_true(is_frozen(true, "/g"));
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
	assert_true(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
	assert_int_equal(n_owed(), 0);
	if (FAIL_MALLOC_WORKS)
		assert_int_equal(n_mallocs, 0);
}

static void test_victim_only_v1_is_moved_back_when_it_does_not_exit(void **state)
{
	char path[CGROUP_PATH_MAX];
	pid_t victim;

	make_groups(true);
	victim = spawn(12, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_int_equal(cgroup_of_process_v1_freezer(&test.cgroups, test.manager->machine.proc_fd,
						      victim, path, sizeof(path)),
			 0);
	assert_string_equal(path, test.subtree);
	test.manager = manager_free(test.manager);
	assert_int_equal(cgroup_of_process_v1_freezer(&test.cgroups, open("/proc", O_PATH), victim,
						      path, sizeof(path)),
			 0);
	assert_string_equal(path + 1, path_of("/g"));
	assert_true(is_alive(victim));
	assert_int_equal(n_entries_left(), 0);
}

static void test_victim_only_v2_is_killed_at_once(void **state)
{
	pid_t victim, sibling;

	make_groups(false);
	victim = spawn(12, true);
	sibling = spawn(4, true);
	freeze(false, "", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.signal, SIGKILL);
	assert_true(test.manager->in_flight.decision.skips_term);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

static int share(void *userdata)
{
	prctl(PR_SET_PDEATHSIG, 0);
	prctl(PR_SET_NAME, "sharer");
	for (;;)
		pause();
	return 0;
}

/* A process of 12 MiB and another one with the same memory, in /g; the other one's pid and pidfd.
 */
static pid_t spawn_sharing(pid_t *ret_other, int *ret_other_fd)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static char stack[64 * 1024];
		char *memory = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pid_t other;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(memory, 1, 12 * MIB);
		other = clone(share, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		if (write(ready[1], &other, sizeof(other)) != sizeof(other))
			_exit(1);
		for (;;)
			pause();
	}
	test.children[test.n_children++] = pid;
	assert_int_equal(read(ready[0], ret_other, sizeof(*ret_other)), sizeof(*ret_other));
	close(ready[0]);
	close(ready[1]);
	*ret_other_fd = pidfd_open(*ret_other, 0);
	assert_true(*ret_other_fd >= 0);
	for (int v1 = 0; v1 < 2; v1++) {
		move(pid, v1, "/g");
		move(*ret_other, v1, "/g");
	}
	return pid;
}

/* Each of those that are killed together is moved out; no other is. */
static void test_victim_only_v1_takes_sharers_too(void **state)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t victim, other, sibling;
	int other_fd;

	make_groups(true);
	victim = spawn_sharing(&other, &other_fd);
	sibling = spawn(4, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(KILL_NOW "Thaw=victim\n");
	one_tick();
	if (test.manager->in_flight.decision.n_sharers == 0) {
		(void)pidfd_send_signal(other_fd, SIGKILL, NULL, 0);
		freeze(true, "/g", false);
		close(other_fd);
		print_message("SKIP: processes that share memory cannot be found here\n");
		skip();
	}
	assert_true(test.manager->in_flight.decision.pid == victim ||
		    test.manager->in_flight.decision.pid == other);
	assert_int_equal(test.manager->in_flight.victim.thawed.n_levels, 2);
	pollfd.fd = other_fd;
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	close(other_fd);
	wait_for_outcome();
	assert_true(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
	assert_int_equal(n_owed(), 0);
}

/* The victim has exited; the other one, in a group that could not be thawed at first, has not yet.
 */
static void test_the_other_one_is_found_frozen(void **state)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t victim, other;
	int other_fd;

	make_groups(true);
	victim = spawn_sharing(&other, &other_fd);
	move(victim, true, "");
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager("KillTimeout=1min\n[Avoid sharer]\nComm=^sharer$\n" KILL_NOW);
	test.thaw_result = -EACCES;
	one_tick();
	assert_int_equal(test.manager->in_flight.decision.pid, victim);
	if (test.manager->in_flight.decision.n_sharers == 0) {
		(void)pidfd_send_signal(other_fd, SIGKILL, NULL, 0);
		freeze(true, "/g", false);
		close(other_fd);
		print_message("SKIP: processes that share memory cannot be found here\n");
		skip();
	}
	pollfd.fd = other_fd;
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
	test.thaw_result = 0;
	one_tick();
	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	close(other_fd);
	wait_for_outcome();
}

static void test_refreeze_no(void **state)
{
	pid_t victim, sibling;

	make_groups(false);
	victim = spawn(12, false);
	sibling = spawn(4, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW "Refreeze=no\n");
	one_tick();
	assert_int_equal(n_owed(), 0);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
	test.manager = manager_free(test.manager);
	usleep(20000);
	assert_false(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

static void *sleep_thread(void *userdata)
{
	for (;;)
		pause();
	return NULL;
}

/* The leader alone was moved by `tasks`: all the other threads are found where they were left. */
static void test_threads_left_in_a_frozen_group(void **state)
{
	struct proc_stat stat;
	int ready[2];
	char text[16];
	pid_t victim;

	make_groups(true);
	assert_int_equal(pipe(ready), 0);
	victim = fork();
	assert_true(victim >= 0);
	if (victim == 0) {
		pthread_t thread;
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memory = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, 32 * MIB);
		for (int i = 0; i < 32; i++)
			if (pthread_create(&thread, NULL, sleep_thread, NULL) != 0)
				_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		sleep_thread(NULL);
	}
	test.children[test.n_children++] = victim;
	assert_int_equal(read(ready[0], text, 1), 1);
	move(victim, false, "/g");
	move(victim, true, "/g");
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	snprintf(text, sizeof(text), "%d", victim);
	assert_int_equal(write_group(true, "", "tasks", text), 0);
	test.manager = new_manager("KillTimeout=1min\n" KILL_NOW);
	one_tick();
	assert_soon(proc_read_stat(test.manager->machine.proc_fd, victim, &stat) == 0 &&
		    stat.state == 'Z');
	assert_true(is_frozen(true, "/g"));
	wait_for_outcome(); /* by its memory, perhaps, which is reaped from outside */
	assert_int_equal(exit_signal(victim), SIGKILL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open_keeps_a_good_file),
		TEST(test_open_ignores_a_damaged_file),
		TEST(test_open_forgets_another_boot),
		TEST(test_open_trusts_no_other_user),
		TEST(test_open_without_a_place),
		TEST(test_open_is_for_one_at_a_time),
		TEST(test_open_in_a_full_file_system),
		TEST(test_both_hierarchies_are_entered_and_frozen_again),
		TEST(test_recover_v2),
		TEST(test_recover_v1),
		TEST(test_recover_both),
		TEST(test_recover_waits_for_a_victim_that_is_still_exiting),
		TEST(test_recover_then_stop),
		TEST(test_recover_leaves_another_group_alone),
		TEST(test_dry_run_does_not_touch_the_file),
		TEST(test_a_dry_run_is_switched_off),
		TEST(test_what_cannot_be_thawed_gets_sigkill),
		TEST(test_time_in_which_it_is_frozen_does_not_count),
		TEST(test_thawing_again_is_bounded),
		TEST(test_frozen_meanwhile_is_thawed_and_frozen_again),
		TEST(test_thaw_wakes_the_loop),
		TEST(test_victim_only_v1_leaves_the_others_frozen),
		TEST(test_victim_only_v1_is_moved_back_when_it_does_not_exit),
		TEST(test_victim_only_v2_is_killed_at_once),
		TEST(test_victim_only_v1_takes_sharers_too),
		TEST(test_the_other_one_is_found_frozen),
		TEST(test_refreeze_no),
		TEST(test_threads_left_in_a_frozen_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
