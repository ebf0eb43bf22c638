/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-plan: processes that hold files together with the victim by descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kill/kill-plan.h"
#include "daemon/manager.h"
#include "lib/select/sharers.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define VICTIM 100
#define START  1000

static struct accuracy accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
static pid_t may_not, fails;

bool __wrap_confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within);
bool __wrap_confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within)
{
	return pid != may_not;
}

int __wrap_kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
			   struct kill_victim *victim);
int __wrap_kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
			   struct kill_victim *victim)
{
	if (pid == fails)
		return -EMFILE;
	victim->others[victim->n_others++] =
		(struct kill_other){ .pid = pid, .start_ticks = start_ticks, .pidfd = -EBADF };
	return 0;
}

void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret);
void __wrap_sharers_find(const struct census *census, const struct census_process *victim,
			 const struct proc_memory *memory, uint64_t allocated,
			 sharers_compare_fn compare, void *userdata, struct sharers *ret)
{
	*ret = (struct sharers){ 0 };
}

size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path);
size_t __wrap_kill_group_find_flagged(const struct cgroup_fs *fs, const char *path,
				      const char *subtree, const char *own_path)
{
	return 0;
}

static void add(struct manager *m, pid_t pid)
{
	struct census_process *process = census_add(&m->sampler.census, pid, START);

	assert_non_null(process);
	process->n_threads = 1;
	assert_int_equal(census_attach(&m->sampler.census, process, "/a"), 0);
}

static int setup(void **state)
{
	struct manager *m = malloc(sizeof(*m));

	if (!m)
		return -1;
	*state = m;
	manager_init(m);
	m->config.policies.subtree = everything;
	m->machine.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (census_init(&m->sampler.census, m->machine.proc_fd, NULL, &accuracy,
			&m->config.policies) < 0)
		return -1;
	for (pid_t pid = VICTIM; pid < VICTIM + 4; pid++)
		add(m, pid);
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	census_done(&m->sampler.census);
	close(m->machine.proc_fd);
	free(m);
	return 0;
}

/* SIGTERM is sent to all of them, as nothing is freed before the last one has exited. */
static void test_holders_are_terminated_together(void **state)
{
	static const struct {
		const char *label;
		uint64_t held;
		unsigned n_together;
		pid_t may_not, fails;
		enum report_event event;
		unsigned n_relatives;
	} rows[] = {
		{ "two others", MIB, 2, 0, 0, REPORT_NOTHING, 2 },
		{ "none", MIB, 0, 0, 0, REPORT_NOTHING, 0 },
		{ "the victim was not chosen for that", 0, 2, 0, 0, REPORT_NOTHING, 0 },
		{ "one may not be killed", MIB, 2, VICTIM + 2, 0, REPORT_SPARED, 1 },
		{ "none can be opened", MIB, 1, 0, VICTIM + 1, REPORT_NOTHING, 0 },
	};
	const struct policy policy = { .target = POLICY_TARGET_PROCESS };
	struct manager *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stuck *s = &m->selection.stuck;

		print_message("%s\n", rows[i].label);
		may_not = rows[i].may_not;
		fails = rows[i].fails;
		s->together[0] = VICTIM + 1;
		s->together[1] = VICTIM + 2;
		s->n_together = rows[i].n_together;
		kill_victim_init(&m->in_flight.victim);
		m->in_flight.victim.pid = VICTIM;
		m->in_flight.victim.start_ticks = START;
		m->in_flight.decision = (struct decision){
			.pid = VICTIM,
			.start_ticks = START,
			.n_processes = 1,
			.held = rows[i].held,
			.cgroup = "/a",
		};
		assert_int_equal(kill_plan_gather(&m->in_flight, &policy), rows[i].event);
		assert_int_equal(m->in_flight.decision.n_relatives, rows[i].n_relatives);
		assert_int_equal(m->in_flight.victim.n_others, rows[i].n_relatives);
		assert_int_equal(m->in_flight.victim.is_family, rows[i].n_relatives > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_holders_are_terminated_together, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
