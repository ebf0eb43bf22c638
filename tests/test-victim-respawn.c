/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: what is killed with a program that is started again after each kill. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/select/respawn.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOW	  (100 * USEC_PER_SEC)
#define TICKS_NOW 10000
#define HASH	  9

/* The last kill was five seconds ago. */
enum { KILLED_TICKS = TICKS_NOW - 500 };
enum which { LEAK, MAKE, LOOP, SHELL, OTHER, BESIDE, N_PROCESSES };
#define PID(which) (FIRST_PID + (pid_t)(which))

static struct machine *machine_now;
static pid_t loop_pgrp;
static int tty;
static pid_t reused; /* it is another by now */

int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret);
int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	const struct census_process *process = census_find(&machine_now->census, pid);

	(void)proc_fd;
	if (!process)
		return PROC_GONE;
	*ret = (struct proc_stat){
		.pid = pid,
		.start_ticks = process->start_ticks + (pid == reused),
		.pgrp = pid == PID(LOOP) ? loop_pgrp : PID(LOOP),
		.tty = tty,
	};
	return 0;
}

struct row {
	const char *name;
	enum victim_as_one expected;
	unsigned n_kills; /* 0: RESPAWN_KILLS */
	bool loop_is_leader, other_group, has_tty, is_slice, elsewhere, other_uid, is_protected;
	uint64_t loop_mib; /* 0: 4 */
	/* Of the other child of LOOP; 0: there is none. */
	uint64_t other_ticks;
	bool other_is_beside; /* in the unit, and no child of it */
	char other_state;     /* 'Z', or 'x': it is gone */
	uint64_t loop_ticks;  /* 0: long ago */
	bool other_session, loop_is_unknown;
	enum { THE_SAME, VICTIM_IS_ANOTHER, LOOP_IS_ANOTHER } pids;
	enum { NOTED, READ, READ_OTHERS, NOT_NEEDED } args;
	bool shell_is_no_leader;
};

/* SHELL (the first process of the unit) starts LOOP, which starts MAKE for each LEAK. */
static void make_machine(struct machine *machine, const struct row *row)
{
	const char *unit = row->is_slice ? "/a.slice" : "/a.service";
	static const pid_t parents[] = { PID(MAKE), PID(LOOP), PID(SHELL), 1, PID(LOOP), 1 };

	machine_init(machine, N_PROCESSES);
	for (enum which which = LEAK; which < N_PROCESSES; which++) {
		struct census_process *process = machine->processes[which];
		bool is_alien = which == BESIDE || (which == LOOP && row->elsewhere) ||
				(which == OTHER && row->other_ticks == 0);

		set(machine, which, MIB, MIB);
		strcpy(process->comm, which == LEAK ? "leak" : "x");
		process->ppid = parents[which];
		process->session = row->loop_is_leader	     ? PID(LOOP)
				   : row->shell_is_no_leader ? 1
							     : PID(SHELL);
		process->uid = 1000;
		process->start_ticks = which <= MAKE ? KILLED_TICKS + 100 : 100;
		assert_int_equal(
			census_attach(&machine->census, process, is_alien ? "/b.service" : unit),
			0);
	}
	set(machine, LEAK, 700 * MIB, 700 * MIB);
	set(machine, LOOP, (row->loop_mib ? row->loop_mib : 4) * MIB,
	    (row->loop_mib ? row->loop_mib : 4) * MIB);
	if (row->other_uid)
		machine->processes[LOOP]->uid = 0;
	if (row->loop_is_leader)
		machine->processes[LOOP]->ppid = 1;
	if (row->loop_is_leader || row->elsewhere)
		assert_int_equal(
			census_attach(&machine->census, machine->processes[SHELL], "/b.service"),
			0);
	if (row->other_ticks > 0)
		machine->processes[OTHER]->start_ticks = row->other_ticks;
	if (row->other_ticks == 0 || row->other_is_beside)
		machine->processes[OTHER]->ppid = 1;
	if (row->is_protected)
		set_adj(machine, LOOP, -1000);
	machine->processes[OTHER]->is_gone = row->other_state == 'x';
	machine->processes[OTHER]->state = row->other_state == 'Z' ? 'Z' : 'S';
	if (row->loop_ticks > 0)
		machine->processes[LOOP]->start_ticks = row->loop_ticks;
	if (row->other_session)
		machine->processes[LOOP]->session = 1;
	if (row->loop_is_unknown)
		machine->processes[MAKE]->ppid = PID(N_PROCESSES);
}

static const struct row rows_of_what_is_killed_with_it[] = {
	{ "a script", VICTIM_WITH_STARTER },
	{ "killed less often", VICTIM_ALONE, .n_kills = RESPAWN_KILLS - 1 },
	{ "its other child is of this round", VICTIM_WITH_STARTER,
	  .other_ticks = KILLED_TICKS + 1 },
	{ "it has started another program before", VICTIM_ALONE, .other_ticks = 100 },
	{ "a shell with job control, at a terminal", VICTIM_ALONE, .other_group = true,
	  .has_tty = true },
	{ "an editor", VICTIM_ALONE, .loop_mib = 33, .has_tty = true },
	{ "another user's", VICTIM_ALONE, .other_uid = true, .has_tty = true },
	{ "in another cgroup", VICTIM_ALONE, .elsewhere = true },
	{ "the main process of a service", VICTIM_AS_CGROUP, .loop_is_leader = true },
	{ "of another user, in a service", VICTIM_AS_CGROUP, .other_uid = true },
	{ "a login shell", VICTIM_ALONE, .loop_is_leader = true, .has_tty = true },
	{ "a session leader in a slice", VICTIM_ALONE, .loop_is_leader = true, .is_slice = true },
	{ "a service with another program", VICTIM_ALONE, .loop_is_leader = true,
	  .other_ticks = 100, .other_is_beside = true },
	{ "one that was started with the victim", VICTIM_AS_CGROUP, .loop_is_leader = true,
	  .other_ticks = KILLED_TICKS + 1, .other_is_beside = true },
	{ "a main process that holds much", VICTIM_ALONE, .loop_is_leader = true, .loop_mib = 33 },
	{ "a script that is protected", VICTIM_ALONE, .is_protected = true },
	{ "its other child was there at the kill", VICTIM_ALONE, .other_ticks = KILLED_TICKS },
	{ "but has exited", VICTIM_WITH_STARTER, .other_ticks = 100, .other_state = 'x' },
	{ "but is a zombie", VICTIM_WITH_STARTER, .other_ticks = 100, .other_state = 'Z' },
	{ "a script that was started at the kill", VICTIM_WITH_STARTER,
	  .loop_ticks = KILLED_TICKS },
	{ "its pid is of one that is younger than its child", VICTIM_ALONE,
	  .loop_ticks = KILLED_TICKS + 101 },
	{ "likewise, of a script in a script", VICTIM_ALONE, .loop_ticks = KILLED_TICKS + 101,
	  .shell_is_no_leader = true },
	{ "a script in a script", VICTIM_WITH_STARTER, .shell_is_no_leader = true },
	{ "what has started it is not known", VICTIM_ALONE, .loop_is_unknown = true },
	{ "a script of another session", VICTIM_ALONE, .other_session = true },
	{ "the pid of the script is another's by now", VICTIM_ALONE, .pids = LOOP_IS_ANOTHER,
	  .has_tty = true },
	{ "that of the victim is", VICTIM_ALONE, .pids = VICTIM_IS_ANOTHER },
	{ "its arguments are read", VICTIM_WITH_STARTER, .args = READ },
	{ "and are others", VICTIM_ALONE, .args = READ_OTHERS },
	{ "another program was killed", VICTIM_ALONE, .args = NOT_NEEDED },
};

static void test_what_is_killed_with_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_what_is_killed_with_it); i++) {
		unsigned n = rows_of_what_is_killed_with_it[i].n_kills
				     ? rows_of_what_is_killed_with_it[i].n_kills
				     : RESPAWN_KILLS;
		static struct streak streak;
		static struct victim_args args[VICTIM_ARGS_MAX];
		struct machine machine;
		struct victim_request request;

		print_message("%s\n", rows_of_what_is_killed_with_it[i].name);
		machine_now = &machine;
		make_machine(&machine, &rows_of_what_is_killed_with_it[i]);
		request = request_at(&machine, NOW, TICKS_NOW);
		request.streak = &streak;
		request.args = args;
		loop_pgrp = rows_of_what_is_killed_with_it[i].other_group ? PID(SHELL) : PID(LOOP);
		tty = rows_of_what_is_killed_with_it[i].has_tty ? 34816 : 0;
		reused = rows_of_what_is_killed_with_it[i].pids == VICTIM_IS_ANOTHER ? PID(LEAK)
			 : rows_of_what_is_killed_with_it[i].pids == LOOP_IS_ANOTHER ? PID(LOOP)
										     : 0;
		memset(&streak, 0, sizeof(streak));
		for (unsigned j = n; j > 0; j--)
			streak_add(
				&streak,
				&(struct streak_subject){
					.cgroup = "/a.service",
					.comm = rows_of_what_is_killed_with_it[i].args == NOT_NEEDED
							? "x"
							: "leak",
					.ppid = 1,
					.uid = 1000,
					.session = machine.processes[LEAK]->session,
					.age = 4 * USEC_PER_SEC,
					.args_hash = rows_of_what_is_killed_with_it[i].args == READ
							     ? PID(LEAK)
							     : HASH,
				},
				NOW - j * 5 * USEC_PER_SEC);
		memset(args, 0, sizeof(args));
		if (rows_of_what_is_killed_with_it[i].args == NOTED)
			victim_note_args(args, machine.processes[LEAK], HASH);
		choose_for(&machine, &request);
		assert_true(result.n_ranked > 0);
		assert_int_equal(result.ranked[0].process->pid, PID(LEAK));
		assert_int_equal(result.n_respawned,
				 rows_of_what_is_killed_with_it[i].args >= READ_OTHERS ? 0 : n);
		assert_int_equal(result.n_reads,
				 rows_of_what_is_killed_with_it[i].args == READ ||
						 rows_of_what_is_killed_with_it[i].args ==
							 READ_OTHERS
					 ? 2
					 : 1);
		assert_int_equal(result.as_one, rows_of_what_is_killed_with_it[i].expected);
		if (rows_of_what_is_killed_with_it[i].expected == VICTIM_WITH_STARTER)
			assert_int_equal(result.starter_pid, PID(LOOP));
		machine_done(&machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_what_is_killed_with_it, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
