/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick on real processes: what shares the memory of a victim.  Needs root, a cgroup2 mount and
 * kcmp(2): see tests/tick-fixture.h.
 */
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "tests/fail-malloc.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * A victim whose child has its memory, by clone(2) or vfork(2), and calls itself `name`.
 */
struct partner {
	bool by_vfork;
	const char *name;
	pid_t pid;
};

static int *partner_ready;
static const char *partner_name;

static int partner_main(void *arg)
{
	pid_t pid = getpid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, partner_name);
	if (write(partner_ready[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	for (;;)
		pause();
}

static pid_t spawn_with_partner(size_t mib, struct partner *partner)
{
	static char stack[65536] __attribute__((aligned(64)));
	int ready[2];
	char text[16];
	pid_t pid;

	if (HAS_THREAD_SANITIZER && !partner->by_vfork) {
		print_message("SKIP: ThreadSanitizer's state of a thread cannot be shared\n");
		skip();
	}
	assert_int_equal(pipe(ready), 0);
	partner_ready = ready;
	partner_name = partner->name;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *memory;

		be_ordinary();
		munlockall();
		memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, mib * MIB);
		clone(partner_main, stack + sizeof(stack),
		      CLONE_VM | SIGCHLD | (partner->by_vfork ? CLONE_VFORK : 0), NULL);
		for (;;)
			pause();
	}
	all_victims[test.n_victims++] = pid;
	assert_int_equal(read(ready[0], &partner->pid, sizeof(pid)), sizeof(pid));
	close(ready[0]);
	close(ready[1]);
	test.partner_pidfd = kill_ops_system.pidfd_open(partner->pid);
	assert_true(test.partner_pidfd >= 0);
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%d", i ? partner->pid : pid);
		write_group("", "cgroup.procs", text);
	}
	return pid;
}

static void require_kcmp(void)
{
	require_subtree();
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0)
		return;
	print_message("SKIP: kcmp: %s\n", strerror(errno));
	skip();
}

/* A choice was made; but on a machine that is very busy there may have been no time to compare. */
static void require_comparison(void)
{
	if (test.manager->in_flight->decision.others.sharers_error != -ETIMEDOUT)
		return;
	print_message("SKIP: the comparison took too long\n");
	skip();
}

static void check_partner_is_killed_too(bool by_vfork)
{
	struct partner partner = { .by_vfork = by_vfork, .name = "partner" };
	pid_t victim, small;

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	small = spawn("", 8, false);
	start(KILL_NOW);
	one_tick();
	require_comparison();
	/* the younger one is chosen, among equals */
	assert_int_equal(test.manager->in_flight->decision.pid, partner.pid);
	assert_int_equal(test.manager->in_flight->decision.others.n_sharers, 1);
	assert_int_equal(test.manager->in_flight->victim.others[0].pid, victim);
	assert_int_equal(test.manager->in_flight->decision.next.pid,
			 small); /* not the one killed with it */
	assert_int_equal(test.n_signals, 2);
	assert_int_equal(n_mallocs, 0);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
	assert_true(is_alive(small));
}

static void test_tick_kills_what_shares_the_memory(void **state)
{
	check_partner_is_killed_too(false);
}

static void test_tick_kills_the_parent_of_a_vfork(void **state)
{
	check_partner_is_killed_too(true);
}

static void test_tick_terminates_one_and_kills_both(void **state)
{
	struct partner partner = { .name = "partner" };
	pid_t victim;

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	start(TERM_NOW);
	one_tick();
	require_comparison();
	assert_int_equal(test.n_signals, 1);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
	assert_succeeded();
}

/* No process is signalled, whichever of them is chosen; then it is another's turn. */
static void check_partner_is_spared(const char *more, bool outside_subtree)
{
	struct partner partner = { .name = "not-for-us" };
	pid_t victim, small;
	char text[16];

	require_kcmp();
	victim = spawn_with_partner(64, &partner);
	small = spawn("", 8, false);
	if (outside_subtree) {
		snprintf(text, sizeof(text), "%d", partner.pid);
		assert_int_equal(io_write_at(test.cgroups.v2_fd, "cgroup.procs", text), 0);
	}
	start(more);
	one_tick();
	require_comparison();
	assert_int_equal(test.manager->in_flight->decision.pid, victim);
	assert_int_equal(test.manager->in_flight->decision.others.spared_pid, partner.pid);
	assert_string_equal(test.manager->in_flight->decision.others.spared_comm, "not-for-us");
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->regime->state, REGIME_WATCH);
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, small);
	wait_for_outcome();
	assert_int_equal(exit_signal(small), SIGKILL);
	assert_true(is_alive(victim) && partner_is_alive());
}

static void test_tick_spares_what_shares_memory_with_one_protected(void **state)
{
	check_partner_is_spared(KILL_NOW "[Protect it]\nComm=^not-for-us$\n", false);
}

static void test_tick_spares_what_shares_memory_with_one_out_of_subtree(void **state)
{
	check_partner_is_spared(KILL_NOW, true);
}

static void test_tick_dry_run_names_what_shares_the_memory(void **state)
{
	struct partner partner = { .name = "partner" };
	pid_t victim;

	require_kcmp();
	victim = spawn_with_partner(32, &partner);
	start("DryRun=yes\n" KILL_NOW);
	one_tick();
	require_comparison();
	assert_int_equal(test.manager->in_flight->decision.others.n_sharers, 1);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(victim) && partner_is_alive());
}

static void test_tick_kills_what_shares_memory_with_a_cgroup(void **state)
{
	struct partner partner = { .name = "partner" };
	char text[16];
	pid_t victim;

	require_kcmp();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn_with_partner(48, &partner);
	snprintf(text, sizeof(text), "%d", victim);
	write_group("/a", "cgroup.procs", text);
	spawn("/a", 8, false); /* more than the partner, which is in the subtree */
	start(GROUP_NOW);
	one_tick();
	assert_non_null(strstr(test.manager->in_flight->decision.others.group, "/a"));
	assert_int_equal(test.manager->in_flight->decision.pid, victim);
	assert_int_equal(test.manager->in_flight->decision.others.n_sharers, 1);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(partner_exits_soon());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_kills_what_shares_the_memory),
		with_subtree(test_tick_kills_the_parent_of_a_vfork),
		with_subtree(test_tick_terminates_one_and_kills_both),
		with_subtree(test_tick_spares_what_shares_memory_with_one_protected),
		with_subtree(test_tick_spares_what_shares_memory_with_one_out_of_subtree),
		with_subtree(test_tick_dry_run_names_what_shares_the_memory),
		with_subtree(test_tick_kills_what_shares_memory_with_a_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
