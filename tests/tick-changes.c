/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick-changes: what happens to the machine between two readings, or before a signal. */
#include <errno.h>
#include <stdio.h>

#include "daemon/service.h"
#include "tests/tick-case.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void read_available(unsigned mib)
{
	dumped_machine_read(&(struct dumped_reading){
		.at = (unsigned)((dumped.now - DUMPED_BEGIN) / USEC_PER_MSEC),
		.available = mib,
	});
}

static void leak_vanishes(void)
{
	dumped_machine_exit(300);
	read_available(3300);
}

/* With all that it had, as of clone(CLONE_VM) and exit. */
static void leak_changes_its_pid(void)
{
	dumped_machine_exit(300);
	dumped_machine_put(&(struct dumped_process){
		.pid = 310, .comm = "leak", .anon = 3000, .cgroup = "/app.slice/leak.scope" });
}

void change_on_open_leak_changes_its_pid(void)
{
	dumped.on_pidfd_open = leak_changes_its_pid;
}

void change_has_no_survey(void)
{
	dumped.has_no_survey = true;
}

void change_on_open_leak_vanishes(void)
{
	dumped.on_pidfd_open = leak_vanishes;
}

/* Another process has the number by then. */
static void leak_is_another(void)
{
	dumped_machine_put(&(struct dumped_process){ .pid = 300,
						     .comm = "cat",
						     .anon = 1,
						     .cgroup = "/app.slice/leak.scope",
						     .start_ticks = 99000 });
}

void change_on_open_leak_is_another(void)
{
	dumped.on_pidfd_open = leak_is_another;
}

static void leak_is_renamed(void)
{
	struct dumped_process p = *dumped_machine_find(300);

	p.comm = "keep";
	dumped_machine_put(&p);
}

void change_on_open_leak_is_renamed(void)
{
	dumped.on_pidfd_open = leak_is_renamed;
}

static void leak_is_moved(void)
{
	struct dumped_process p = *dumped_machine_find(300);

	p.cgroup = "/other.slice/leak.scope";
	dumped_machine_put(&p);
}

void change_on_open_leak_is_moved(void)
{
	dumped.on_pidfd_open = leak_is_moved;
}

void change_leak_has_shrunk(void)
{
	struct dumped_process p = *dumped_machine_find(300);

	p.anon = 20;
	dumped_machine_put(&p);
}

void change_on_open_leak_has_shrunk(void)
{
	dumped.on_pidfd_open = change_leak_has_shrunk;
}

static void memory_recovers(void)
{
	read_available(2000);
}

void change_on_open_memory_recovers(void)
{
	dumped.on_pidfd_open = memory_recovers;
}

void change_leak_may_not_be_signalled(void)
{
	dumped.refused = 300;
}

void change_has_swap(void)
{
	dumped.swap_total = 4096;
}

void change_has_no_psi(void)
{
	dumped.has_no_psi = true;
}

void change_has_no_cgroups(void)
{
	dumped.has_no_cgroups = true;
}

void change_meminfo_needs_a_file_too_many(void)
{
	dumped.failing = "meminfo";
	dumped.error = -EMFILE;
}

void change_status_of_leak_is_refused(void)
{
	dumped.failing = "300/status";
	dumped.error = -EACCES;
}

void change_status_of_leak_is_gone(void)
{
	dumped.failing = "300/status";
	dumped.error = -ESRCH;
}

void change_cgroup_of_leak_needs_a_file_too_many(void)
{
	dumped.failing = "300/cgroup";
	dumped.error = -EMFILE;
}

void change_all_can_be_read(void)
{
	dumped.failing = NULL;
}

void change_sleep_for_an_hour(void)
{
	dumped.asleep += 3600 * USEC_PER_SEC;
}

void change_flag_the_app(void)
{
	dumped_machine_cgroup("/app.slice/build.scope", "memory.oom.group", "1\n");
}

/* The small one of before: all that was allocated is its own. */
void change_shell_has_grown(void)
{
	struct dumped_process p = *dumped_machine_find(302);

	p.anon = 3200;
	dumped_machine_put(&p);
}

void change_a_new_process_comes(void)
{
	dumped_machine_put(&(struct dumped_process){ .pid = 310,
						     .comm = "burst",
						     .anon = 3600,
						     .cgroup = "/app.slice/burst.scope",
						     .start_ticks = 100005 });
}

static void reload(const char *config)
{
	char *errors = NULL;

	dumped_machine_configure(config);
	assert_int_equal(service_reload(dumped.manager->monitor, &errors), 0);
	assert_null(errors);
}

void change_reload_to_protect_leak(void)
{
	reload(TERMINATE PROTECT_LEAK);
}

void change_reload_to_kill(void)
{
	reload(KILL);
}

void change_reload_with_more_policies(void)
{
	reload(KILL "For=2s\n[Policy more]\nMemoryAvailable=1M\nAction=warn\n");
}

/* The limit of a cgroup: its own and that of all below it stalled for so long since boot. */
static void put_stalls(unsigned ms, unsigned n_events)
{
	char text[256], events[64];

	(void)snprintf(text, sizeof(text),
		       "some avg10=0.00 avg60=0.00 avg300=0.00 total=%u000\n"
		       "full avg10=0.00 avg60=0.00 avg300=0.00 total=%u000\n",
		       ms, ms);
	(void)snprintf(events, sizeof(events), "low 0\nhigh 0\nmax %u\noom 0\n", n_events);
	dumped_machine_cgroup("/app.slice", "memory.pressure", text);
	dumped_machine_cgroup("/app.slice/leak.scope", "memory.pressure", text);
	dumped_machine_cgroup("/app.slice/leak.scope", "memory.max", "3145728000\n");
	dumped_machine_cgroup("/app.slice/leak.scope", "memory.current", "3145728000\n");
	dumped_machine_cgroup("/app.slice/leak.scope", "memory.events.local", events);
}

void change_leak_is_at_its_limit(void)
{
	static unsigned n;

	n++;
	put_stalls(1000 * n, 100 * n);
}

void change_no_more_pidfds(void)
{
	dumped.pidfd_error = -EMFILE;
}

void change_pidfds_again(void)
{
	dumped.pidfd_error = 0;
}
