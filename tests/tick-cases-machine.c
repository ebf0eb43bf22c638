/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick-cases-machine: what the machine has and has not, what cannot be read, and what changes
 * around a kill. */
#include "tests/tick-case.h"

/* clang-format off */

#define STALL \
	NO_BUILTIN "[Policy now]\nMemoryAvailable=600M\nPressureFull=50%\nFor=2s\nAction=kill\n"
#define STALLED(ms, stalled_ms) \
	.reading = { .at = (ms), .available = 500, .stalled = (stalled_ms), .reclaimed = 100 }
#define REFAULTED(ms, mib) \
	.reading = { .at = (ms), .available = 500, .reclaimed = 100, .refaulted = (mib) }
/* All of it exits, and others have its memory at once. */
#define IN_VAIN(ms, pids, gone) \
	{ AT(ms, 300), .state = KILLING, .event = REPORT_SIGNALLED, .sent = pids, .next = 20 }, \
	{ AT((ms) + 10, 300), .exits = { gone }, .state = KILLING, .next = 20 }, \
	{ AT((ms) + 1500, 300), .state = WATCH, .event = REPORT_FINISHED, .next = 20 }

const struct tick_case tick_cases_machine[] = {
	{
		.name = "stuck_and_out_of_it",
		.config = KILL PROTECT_LEAK,
		.processes = { LEAK, { .pid = 302, .comm = "shell", .cgroup = "/a", .anon = 2 } },
		.steps = {
			{ AT(0, 300), .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			{ AT(250, 300), .state = STUCK, .event = REPORT_STUCK, .next = 100 },
			QUIET(500, 300, STUCK, 100),
			{ AT(900, 300), .state = STUCK, .change = change_a_new_process_comes,
			  .next = 100 },
			{ AT(1510, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 310", .next = 20 },
			{ AT(1520, 3900), .exits = { 310 }, .state = WATCH, .event = REPORT_FINISHED,
			  .next = 20 },
		},
		.plan = "burst 310",
		.history = "killed burst SIGKILL exited | no-victim",
		.says = "Memory is low but no process is worth killing",
	},
	{
		.name = "stuck_ends_when_memory_has_recovered",
		.config = KILL PROTECT_LEAK,
		.processes = { LEAK },
		.steps = {
			{ AT(0, 300), .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			QUIET(500, 2000, WATCH, 250),
			QUIET(11000, 6000, CALM, 1822),
		},
		.history = "no-victim",
	},
	{
		.name = "a_tmpfs_that_has_filled_memory",
		.config = KILL,
		.processes = {
			{ .pid = 302, .comm = "shell", .cgroup = "/a", .anon = 300 },
		},
		.steps = {
			QUIET(0, 6000, CALM, 1822),
			{ .reading = { .at = 1000, .available = 300, .tmpfs = 5700 },
			  .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			{ .reading = { .at = 1250, .available = 300, .tmpfs = 5700 },
			  .state = STUCK, .event = REPORT_STUCK, .next = 100 },
		},
		.history = "no-victim",
		.says = "Memory is: 5.6 GiB other shared memory",
	},
	{
		.name = "where_memory_is_is_known_before_it_is_stuck",
		.config = KILL,
		.processes = {
			{ .pid = 302, .comm = "shell", .cgroup = "/a", .anon = 300 },
		},
		.steps = {
			QUIET(0, 6000, CALM, 1822),
			{ .reading = { .at = 1000, .available = 1500, .tmpfs = 4500 },
			  .state = WATCH, .next = 61 },
			{ .reading = { .at = 1250, .available = 1400, .tmpfs = 4600 },
			  .state = WATCH, .next = 74 },
			{ .reading = { .at = 1500, .available = 300, .tmpfs = 5700 },
			  .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			{ .reading = { .at = 1750, .available = 300, .tmpfs = 5700 },
			  .state = STUCK, .event = REPORT_STUCK, .next = 100 },
		},
		.history = "no-victim",
		.says = "Memory is: 5.6 GiB other shared memory",
	},
	{
		.name = "stuck_without_the_thread_that_finds_memory",
		.config = KILL PROTECT_LEAK,
		.prepare = change_has_no_survey,
		.processes = { LEAK },
		.steps = {
			{ AT(0, 300), .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			{ AT(250, 300), .state = STUCK, .event = REPORT_STUCK, .next = 100 },
			QUIET(500, 300, STUCK, 100),
		},
		.history = "no-victim",
		.says = "Memory is low but no process is worth killing",
	},
	{
		.name = "pressure_with_reclaim",
		.config = STALL,
		.prepare = change_has_swap,
		.steps = {
			{ STALLED(0, 0), .state = WATCH, .next = 250 },
			{ STALLED(1000, 800), .state = WATCH, .next = 250 },
			{ STALLED(2000, 800), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress",
	},
	{
		.name = "pressure_that_does_not_last",
		.config = STALL,
		.prepare = change_has_swap,
		.steps = {
			{ STALLED(0, 0), .state = WATCH, .next = 250 },
			{ STALLED(1000, 800), .state = WATCH, .next = 250 },
			{ STALLED(2000, 100), .state = WATCH, .next = 250 },
			{ STALLED(3000, 100), .state = WATCH, .next = 250 },
		},
	},
	{
		.name = "pressure_without_reclaim_of_the_whole_machine",
		.config = STALL,
		.steps = {
			QUIET(0, 500, WATCH, 250),
			QUIET(1000, 500, WATCH, 250),
			{ .reading = { .at = 2000, .available = 500, .stalled = 900 },
			  .state = WATCH, .next = 250 },
			{ .reading = { .at = 3000, .available = 500, .stalled = 900 },
			  .state = WATCH, .next = 250 },
		},
	},
	{
		.name = "no_pressure_information",
		.config = STALL "[Policy last]\nMemoryAvailable=100M\nAction=kill\n",
		.prepare = change_has_no_psi,
		.steps = {
			{ STALLED(0, 0), .state = WATCH, .next = 138 },
			{ STALLED(1000, 900), .state = WATCH, .next = 138 },
			{ STALLED(2000, 900), .state = WATCH, .next = 138 },
			KILLED(3000, 90, "KILL 300", 300, 3090),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "pressure_of_a_cgroup_at_its_own_limit",
		.config = STALL,
		.steps = {
			{ STALLED(0, 0), .change = change_leak_is_at_its_limit, .state = WATCH,
			  .next = 250 },
			{ STALLED(1000, 900), .change = change_leak_is_at_its_limit,
			  .state = WATCH, .next = 250 },
			{ STALLED(2000, 900), .change = change_leak_is_at_its_limit,
			  .state = WATCH, .event = REPORT_CGROUP_LIMIT, .next = 250 },
		},
		.history = "cgroup-limit",
		.says = "cgroup /app.slice/leak.scope is at its own limit",
	},
	{
		.name = "thrashing",
		.config = NO_BUILTIN "[Policy now]\nMemoryAvailable=600M\nThrashing=10%\n"
			  "For=2s\nAction=kill\n",
		.prepare = change_has_swap,
		.steps = {
			{ REFAULTED(0, 0), .state = WATCH, .next = 250 },
			{ REFAULTED(1000, 50), .state = WATCH, .next = 250 },
			{ REFAULTED(2000, 50), .state = WATCH, .next = 250 },
			{ REFAULTED(3000, 50), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress",
	},
	{
		.name = "what_is_reclaimed_is_not_needed_again",
		.config = NO_BUILTIN "[Policy now]\nMemoryAvailable=600M\nThrashing=10%\n"
			  "For=2s\nAction=kill\n",
		.prepare = change_has_swap,
		.steps = {
			{ REFAULTED(0, 0), .state = WATCH, .next = 250 },
			{ REFAULTED(1000, 5), .state = WATCH, .next = 250 },
			{ REFAULTED(2000, 5), .state = WATCH, .next = 250 },
			{ REFAULTED(3000, 5), .state = WATCH, .next = 250 },
		},
	},
	{
		.name = "no_swap_counts_as_used_up",
		.config = NOW "SwapFree=5%\nAction=kill\n",
		.steps = { KILLED(0, 300, "KILL 300", 300, 3300) },
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "free_swap_is_used_first",
		.config = NOW "SwapFree=5%\nAction=kill\n",
		.prepare = change_has_swap,
		.steps = {
			{ .reading = { .at = 0, .available = 300, .swap_free = 2000 },
			  .state = WATCH, .next = 250 },
			{ .reading = { .at = 1000, .available = 300, .swap_free = 300 },
			  .state = WATCH, .next = 20 },
			{ .reading = { .at = 1100, .available = 300, .swap_free = 200 },
			  .state = KILLING, .event = REPORT_SIGNALLED, .sent = "KILL 300",
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress",
	},
	{
		.name = "swap_counts_in_a_footprint",
		.config = KILL,
		.prepare = change_has_swap,
		.processes = {
			LEAK,
			{ .pid = 301, .comm = "idle", .cgroup = "/app.slice/idle.scope",
			  .anon = 1000, .swap = 2500 },
		},
		.steps = {
			{ .reading = { .at = 0, .available = 300, .swap_free = 1500 },
			  .state = KILLING, .event = REPORT_SIGNALLED, .sent = "KILL 301",
			  .next = 20 },
			{ .reading = { .at = 10, .available = 1300, .swap_free = 4000 },
			  .exits = { 301 }, .state = WATCH, .event = REPORT_FINISHED, .next = 20 },
		},
		.plan = "idle 301",
		.history = "killed idle SIGKILL exited",
	},
	{
		.name = "rank_by_swap",
		.config = KILL "RankBy=swap\n",
		.prepare = change_has_swap,
		.processes = {
			{ .pid = 300, .comm = "leak", .cgroup = "/app.slice/leak.scope",
			  .anon = 3000, .swap = 10 },
			{ .pid = 301, .comm = "idle", .cgroup = "/app.slice/idle.scope",
			  .anon = 100, .swap = 1000 },
		},
		.steps = {
			{ .reading = { .at = 0, .available = 300, .swap_free = 3086 },
			  .state = KILLING, .event = REPORT_SIGNALLED, .sent = "KILL 301",
			  .next = 20 },
		},
		.plan = "idle 301",
		.history = "killed idle SIGKILL in-progress",
	},
	{
		.name = "a_gap_in_sampling",
		.config = KILL "For=2s\n",
		.steps = {
			QUIET(0, 300, WATCH, 250),
			QUIET(1000, 300, WATCH, 250),
			QUIET(31000, 300, WATCH, 250),
			QUIET(32000, 300, WATCH, 250),
			KILLED(33000, 300, "KILL 300", 300, 3300),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
		.says = "No sample for 30 s",
	},
	{
		.name = "the_machine_was_suspended",
		.config = KILL "For=2s\n",
		.steps = {
			QUIET(0, 300, WATCH, 250),
			QUIET(1900, 300, WATCH, 250),
			{ AT(2000, 300), .change = change_sleep_for_an_hour, .state = WATCH,
			  .next = 250 },
			KILLED(4000, 300, "KILL 300", 300, 3300),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
		.says = "No sample for 1 h",
	},
	{
		.name = "a_reload_keeps_the_time_of_policies",
		.config = KILL "For=2s\n",
		.steps = {
			QUIET(0, 300, WATCH, 250),
			{ AT(1000, 300), .change = change_reload_with_more_policies, .state = WATCH,
			  .next = 250 },
			QUIET(1900, 300, WATCH, 250),
			KILLED(2000, 300, "KILL 300", 300, 3300),
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
	{
		.name = "meminfo_cannot_be_opened",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(200, 300), .change = change_meminfo_needs_a_file_too_many,
			  .state = WATCH, .next = 1000 },
			{ AT(1200, 300), .change = change_all_can_be_read, .state = KILLING,
			  .event = REPORT_SIGNALLED, .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress",
		.says = "Cannot read memory or processes: Too many open files; trying again.",
	},
	{
		.name = "the_cgroup_cannot_be_read_for_now",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(200, 300), .change = change_cgroup_of_leak_needs_a_file_too_many,
			  .state = KILLING, .event = REPORT_SIGNALLED, .sent = "KILL 300",
			  .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress",
		.says = "Killing leak (pid 300, uid 1000, /app.slice/leak.scope)",
	},
	{
		.name = "no_file_for_a_pidfd",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(200, 300), .change = change_no_more_pidfds, .state = WATCH,
			  .event = REPORT_CANNOT_OPEN, .next = 20 },
			{ AT(220, 300), .change = change_pidfds_again, .state = KILLING,
			  .event = REPORT_SIGNALLED, .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress | not-killed leak unkillable",
		.says = "Pid 300 cannot be opened for now: Too many open files; trying again.",
	},
	{
		.name = "the_memory_may_not_be_read",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(200, 300), .change = change_status_of_leak_is_refused,
			  .state = KILLING, .event = REPORT_SIGNALLED, .sent = "KILL 301",
			  .next = 20 },
		},
		.plan = "editor 301",
		.history = "killed editor SIGKILL in-progress",
	},
	{
		.name = "the_memory_is_gone_when_it_is_read",
		.config = KILL,
		.steps = {
			QUIET(0, 1000, WATCH, 227),
			{ AT(200, 300), .change = change_status_of_leak_is_gone, .state = KILLING,
			  .event = REPORT_SIGNALLED, .sent = "KILL 301", .next = 20 },
		},
		.plan = "editor 301",
		.history = "killed editor SIGKILL in-progress",
	},
	{
		.name = "a_reload_protects_it_within_the_grace",
		.config = TERMINATE,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			{ AT(1000, 300), .change = change_reload_to_protect_leak,
			  .state = KILLING, .next = 50 },
			{ AT(2000, 300), .state = WATCH, .event = REPORT_FINISHED, .next = 20 },
			{ AT(2020, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 301", .next = 50 },
		},
		.plan = "editor 301",
		.history = "killed editor SIGTERM in-progress | killed leak SIGTERM cancelled",
	},
	{
		.name = "a_reload_kills_within_the_grace",
		.config = TERMINATE,
		.steps = {
			{ AT(0, 300), .state = KILLING, .event = REPORT_SIGNALLED,
			  .sent = "TERM 300", .next = 50 },
			{ AT(100, 300), .change = change_reload_to_kill, .state = KILLING,
			  .event = REPORT_ESCALATED, .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress escalated",
	},
	{
		.name = "a_reload_ends_a_dry_run",
		.config = KILL "[Daemon]\nDryRun=yes\n",
		.steps = {
			{ AT(0, 300), .state = WATCH, .event = REPORT_DRY_RUN, .next = 250 },
			{ AT(500, 300), .change = change_reload_to_kill, .state = KILLING,
			  .event = REPORT_SIGNALLED, .sent = "KILL 300", .next = 20 },
		},
		.plan = "leak 300",
		.history = "killed leak SIGKILL in-progress | dry-run leak",
	},
	{
		.name = "ineffective_kills_in_a_row",
		.config = KILL,
		.processes = {
			{ .pid = 301, .comm = "one", .cgroup = "/a", .anon = 600 },
			{ .pid = 302, .comm = "two", .cgroup = "/b", .anon = 500 },
			{ .pid = 303, .comm = "three", .cgroup = "/c", .anon = 400 },
			{ .pid = 304, .comm = "four", .cgroup = "/d", .anon = 300 },
		},
		.steps = {
			IN_VAIN(0, "KILL 301", 301),
			IN_VAIN(2000, "KILL 302", 302),
			IN_VAIN(4000, "KILL 303", 303),
			{ AT(6000, 300), .state = STUCK, .event = REPORT_NO_VICTIM, .next = 100 },
			{ AT(6250, 300), .state = STUCK, .event = REPORT_STUCK, .next = 100 },
		},
		.plan = "three 303",
		.history = "no-victim | killed three SIGKILL exited ineffective | "
			   "killed two SIGKILL exited ineffective | "
			   "killed one SIGKILL exited ineffective",
		.says = "the last kills freed little",
	},
	{
		.name = "no_cgroups",
		.config = KILL,
		.prepare = change_has_no_cgroups,
		.steps = { KILLED(0, 300, "KILL 300", 300, 3300) },
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
		.says = "Killing leak (pid 300, uid 1000, /)",
	},
	{
		.name = "no_cgroups_to_be_killed",
		.config = KILL "Target=cgroup\n",
		.prepare = change_has_no_cgroups,
		.steps = { KILLED(0, 300, "KILL 300", 300, 3300) },
		.plan = "leak 300",
		.history = "killed leak SIGKILL exited",
	},
};
const size_t n_tick_cases_machine = ARRAY_SIZE(tick_cases_machine);
