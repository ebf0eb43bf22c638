/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick-cases-kill: when a process is killed, how, and what comes of it. */
#include "tests/tick-case.h"

/* clang-format off */

const struct tick_case tick_cases_kill[] = {
	{
		.name = "calm_stays_calm",
		.config = "",
		.steps = {
			QUIET(0, 6000, CALM, 1686),
			QUIET(1000, 5900, CALM, 1653),
			QUIET(2000, 3000, CALM, 709),
		},
	},
	{
		.name = "watch_begins_and_ends",
		.config = "",
		.steps = {
			QUIET(0, 6000, CALM, 1686),
			QUIET(1000, 2000, WATCH, 22),
			QUIET(3000, 6000, WATCH, 250),
			QUIET(5000, 6000, WATCH, 250),
			QUIET(7000, 6000, WATCH, 250),
			QUIET(9000, 6000, WATCH, 250),
			QUIET(10990, 6000, WATCH, 250),
			QUIET(11010, 6000, CALM, 1686),
		},
		.says = "Watching: 24.4% of 8.0 GiB available",
	},
	{
		.name = "a_warning_is_logged_once",
		.config = "",
		.steps = {
			QUIET(0, 1100, WATCH, 158),
			QUIET(100, 1100, WATCH, 158),
		},
		.says = "Memory is low: ",
	},
	{
		.name = "the_time_of_a_policy_is_not_reached",
		.config = KILL "For=2s\n",
		.steps = {
			QUIET(0, 300, WATCH, 250),
			QUIET(1000, 300, WATCH, 250),
			QUIET(1900, 500, WATCH, 65),
			QUIET(2100, 300, WATCH, 250),
			QUIET(4000, 300, WATCH, 250),
		},
	},
	{
		.name = "the_time_of_a_policy_is_reached",
		.config = KILL "For=2s\n",
		.steps = {
			QUIET(0, 300, WATCH, 250),
			QUIET(1900, 300, WATCH, 250),
			KILLED(2000, 300, "KILL 300", 300, 3300),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "kill",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			KILLED(100, 300, "KILL 300", 300, 3300),
			QUIET(130, 3300, WATCH, 70),
			QUIET(2200, 3300, WATCH, 250),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
		.says = "Killing leak (pid 300, uid 1000, /app.slice/leak.scope)",
	},
	{
		.name = "kill_without_effect_is_hastened",
		.config = KILL,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 300", .next = 20 },
			QUIET(10, 300, KILLING, 20),
			QUIET(20, 300, KILLING, 50),
			QUIET(70, 900, KILLING, 30),
			{ AT(120, 3300), .exits = { 300 }, .state = WATCH, .event = REPORT_FINISHED,
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "unkillable_and_another_is_killed",
		.config = KILL,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 300", .next = 20 },
			QUIET(1990, 300, KILLING, 10),
			{ AT(2000, 300), .state = WATCH, .event = REPORT_FINISHED, .next = 20 },
			KILLED(2020, 300, "KILL 301", 301, 2300),
		},
		.plan = "editor 301",
		.history = "killed editor SIGKILL exited | killed leak SIGKILL unkillable",
		.says = "It is skipped for 30 s",
	},
	{
		.name = "memory_is_reclaimed_before_the_exit",
		.config = KILL,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 300", .next = 20 },
			{ AT(20, 3200), .change = change_leak_has_shrunk, .state = WATCH,
			  .event = REPORT_FINISHED, .next = 20 },
			{ AT(40, 3200), .exits = { 300 }, .state = WATCH, .next = 60 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "terminate_and_it_exits",
		.config = TERMINATE,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			{ AT(50, 3300), .exits = { 300 }, .state = WATCH, .event = REPORT_FINISHED,
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGTERM exited",
	},
	{
		.name = "terminate_escalates_after_the_grace",
		.config = TERMINATE,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			QUIET(1990, 300, KILLING, 10),
			{ AT(2000, 300), .state = KILLING, .event = REPORT_ESCALATED,
			  .sent = "KILL 300", .next = 20 },
			{ AT(2010, 3300), .exits = { 300 }, .state = WATCH, .event = REPORT_FINISHED,
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited escalated",
		.says = "Pid 300 has not exited after SIGTERM: sending SIGKILL.",
	},
	{
		.name = "terminate_escalates_at_the_next_level",
		.config = TERMINATE "[Policy last]\nMemoryAvailable=100M\nAction=kill\n",
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			{ AT(50, 90), .state = KILLING, .event = REPORT_ESCALATED,
			  .sent = "KILL 300", .next = 20 },
			{ AT(60, 3090), .exits = { 300 }, .state = WATCH, .event = REPORT_FINISHED,
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited escalated",
	},
	{
		.name = "terminate_is_cancelled_when_memory_has_recovered",
		.config = TERMINATE,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			QUIET(1000, 1500, KILLING, 50),
			{ AT(2000, 1500), .state = WATCH, .event = REPORT_FINISHED, .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGTERM cancelled",
	},
	{
		.name = "memory_recovers_before_the_signal",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(100, 300), .change = change_on_open_memory_recovers, .state = WATCH,
			  .event = REPORT_CANCELLED, .next = 57 },
		},
		.history = "cancelled leak",
		.says = "memory has recovered before the signal",
	},
};
const size_t n_tick_cases_kill = ARRAY_SIZE(tick_cases_kill);
