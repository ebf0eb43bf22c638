/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick-case: a series of readings of a dumped machine, and what the daemon makes of it: the cases
 * of test-tick-machine.c.
 *
 * The machine has 8 GiB, and mostly a policy `now` at 400 MiB.  Time to the next sample: pace.h in
 * watch, 100 ms while it is stuck; in calm what is left above that threshold at 3 GiB/s; 20 ms
 * after a kill and while SIGKILL shows no effect, 50 ms while a victim exits; and when the record
 * of a kill needs it.
 */
#pragma once

#include "tests/dumped-machine.h"

#define CALM	REGIME_CALM
#define WATCH	REGIME_WATCH
#define STUCK	REGIME_STUCK
#define KILLING REGIME_KILLING

#define STEPS_MAX     14
#define PROCESSES_MAX 8
#define EXITS_MAX     4

/* A reading, and what is to follow from it. */
struct step {
	struct dumped_reading reading;
	pid_t exits[EXITS_MAX]; /* before it */
	void (*change)(void);	/* likewise */

	enum regime_state state;
	enum report_event event;
	const char *sent; /* signals; NULL: none */
	unsigned next;	  /* ms */
};

struct tick_case {
	const char *name;
	const char *config;
	void (*prepare)(void);				/* before the first reading */
	struct dumped_process processes[PROCESSES_MAX]; /* none: the usual */
	struct step steps[STEPS_MAX];
	const char *plan;    /* of the last kill; NULL: there is none */
	const char *history; /* newest first: "KIND COMM SIGNAL OUTCOME | "; NULL: none */
	const char *says;    /* part of a line of the log */
};

#define NONE(name) "[Policy " name "]\nAction=none\n"
#define NO_BUILTIN NONE("warn") NONE("terminate") NONE("kill") NONE("stall") NONE("thrash")
#define NOW	   NO_BUILTIN "[Policy now]\nMemoryAvailable=400M\n"
#define KILL	   NOW "Action=kill\n"
#define TERMINATE  NOW "Action=terminate\nGrace=2s\n"

#define LEAK                                                                                       \
	{                                                                                          \
		.pid = 300, .comm = "leak", .cgroup = "/app.slice/leak.scope", .anon = 3000        \
	}
#define EDITOR                                                                                     \
	{                                                                                          \
		.pid = 301, .comm = "editor", .cgroup = "/app.slice/editor.scope", .anon = 2000    \
	}

#define PROTECT_LEAK "[Protect mine]\nComm=^leak$\n"

/* clang-format off */

#define AT(ms, mib) .reading = { .at = (ms), .available = (mib) }
#define QUIET(ms, mib, s, after) { AT(ms, mib), .state = (s), .next = (after) }

/* It is chosen, signalled, exits, and its memory is reclaimed. */
#define KILLED(ms, mib, pids, gone, back) \
	{ AT(ms, mib), .state = KILLING, .event = REPORT_SIGNALLED, .sent = pids, .next = 20 }, \
	{ AT((ms) + 10, back), .exits = { gone }, .state = WATCH, .event = REPORT_FINISHED, .next = 20 }

/* clang-format on */

/* tick-cases-kill.c, tick-cases-choice.c, tick-cases-machine.c */
extern const struct tick_case tick_cases_kill[], tick_cases_choice[], tick_cases_machine[];
extern const size_t n_tick_cases_kill, n_tick_cases_choice, n_tick_cases_machine;

/* tick-changes.c: what happens to the machine. */
void change_on_open_leak_vanishes(void);
void change_on_open_leak_is_another(void);
void change_on_open_leak_is_renamed(void);
void change_on_open_leak_is_moved(void);
void change_leak_has_shrunk(void);
void change_on_open_leak_has_shrunk(void);
void change_on_open_memory_recovers(void);
void change_leak_may_not_be_signalled(void);
void change_has_swap(void);
void change_has_no_psi(void);
void change_has_no_cgroups(void);
void change_meminfo_needs_a_file_too_many(void);
void change_status_of_leak_is_refused(void);
void change_status_of_leak_is_gone(void);
void change_cgroup_of_leak_needs_a_file_too_many(void);
void change_all_can_be_read(void);
void change_sleep_for_an_hour(void);
void change_flag_the_app(void);
void change_shell_has_grown(void);
void change_a_new_process_comes(void);
void change_reload_to_protect_leak(void);
void change_reload_to_kill(void);
void change_reload_with_more_policies(void);
void change_leak_is_at_its_limit(void);
void change_on_open_leak_changes_its_pid(void);
void change_has_no_survey(void);
void change_no_more_pidfds(void);
void change_pidfds_again(void);
