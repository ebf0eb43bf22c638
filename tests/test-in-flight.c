/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* in-flight: what is known of a kill when its signal was sent. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/kill/in-flight.h"
#include "lib/select/victim-group.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOW	  (1000 * USEC_PER_SEC)
#define TICKS_NOW 100000
#define VICTIM	  (1 << 23) /* more than there can be */
#define START	  (TICKS_NOW - 250)
#define N_ALIKE	  7

static struct {
	struct manager *m;
	int signal_result;
	unsigned n_signals, n_counted;
} test;

uint64_t __wrap_clock_ticks_before(usec_t usec);
uint64_t __wrap_clock_ticks_before(usec_t usec)
{
	return TICKS_NOW - usec;
}

int __wrap_thaw_state_prepare(struct in_flight *f, int signal);
int __wrap_thaw_state_prepare(struct in_flight *f, int signal)
{
	return signal;
}

int __wrap_kill_signal(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		       const struct kill_target *target, int signal, struct kill_reapers *reapers,
		       struct kill_victim *victim);
int __wrap_kill_signal(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		       const struct kill_target *target, int signal, struct kill_reapers *reapers,
		       struct kill_victim *victim)
{
	test.n_signals++;
	return test.signal_result;
}

/* It walks all processes. */
unsigned __wrap_victim_count_alike(const struct census *census,
				   const struct census_process *victim);
unsigned __wrap_victim_count_alike(const struct census *census, const struct census_process *victim)
{
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(victim->pid, VICTIM);
	test.n_counted++;
	return N_ALIKE;
}

static int setup(void **state)
{
	struct decision *d;
	struct manager *m;

	memset(&test, 0, sizeof(test));
	m = test.m = manager_alloc();
	if (!m)
		return -1;
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (census_init(&m->sampler->census, m->machine->proc_fd, NULL, &exact_accuracy,
			&m->config->policies) < 0 ||
	    !census_add(&m->sampler->census, VICTIM, START))
		return -1;
	kill_victim_init(&m->in_flight->victim);
	d = &m->in_flight->decision;
	*d = (struct decision){
		.pid = VICTIM,
		.start_ticks = START,
		.uid = 1000,
		.comm = "job",
		.cgroup = "/q",
		.ppid = 7,
		.session = 5,
		.stack_start = 11,
		.args_length = 12,
		.args_hash = 13,
	};
	return 0;
}

static int teardown(void **state)
{
	census_done(&test.m->sampler->census);
	close(test.m->machine->proc_fd);
	free(test.m);
	return 0;
}

static void test_a_kill_is_recorded_for_the_next_choice(void **state)
{
	const struct streak *streak = &test.m->selection->streak;
	const struct streak_kill *kill = &streak->kills[0];

	assert_int_equal(in_flight_start(test.m->in_flight, SIGTERM, NOW), REPORT_SIGNALLED);
	assert_int_equal(streak->next, 1);
	assert_int_equal(kill->at, NOW);
	assert_int_equal(kill->started_at, NOW - 2500 * USEC_PER_MSEC);
	assert_int_equal(kill->uid, 1000);
	assert_int_equal(kill->ppid, 7);
	assert_int_equal(kill->session, 5);
	assert_int_equal(kill->stack_start, 11);
	assert_int_equal(kill->args_length, 12);
	assert_int_equal(kill->args_hash, 13);
	assert_int_equal(kill->n_alike, N_ALIKE);
	assert_string_equal(kill->comm, "job");
	assert_string_equal(kill->cgroup, "/q");
	/* It is one kill still. */
	assert_int_equal(in_flight_start(test.m->in_flight, SIGKILL, NOW), REPORT_ESCALATED);
	assert_int_equal(streak->next, 1);
	assert_int_equal(test.n_signals, 2);
	assert_int_equal(test.n_counted, 1);
}

/* And what is known of earlier choices is over. */
static void test_what_begins_with_the_first_signal(void **state)
{
	struct in_flight *f = test.m->in_flight;
	struct selection *s = test.m->selection;

	f->decision.others.n_processes = 3;
	f->decision.skipped.kinds = 2;
	f->victim.step_at[KILL_STEP_SIGNAL] = NOW + 5;
	s->n_vanished = 3;
	s->backoff.n_unconfirmed = 3;
	s->backoff.kinds[0].until = s->backoff.kinds[1].until = NOW + 1;
	for (unsigned n = 1; n <= 2; n++) {
		assert_int_equal(in_flight_start(f, SIGTERM, NOW), REPORT_SIGNALLED);
		assert_int_equal(f->n_kills, n);
		/* Of a group those that were signalled. */
		assert_int_equal(f->decision.others.n_processes, n == 1 ? 3 : 1);
		assert_int_equal(f->decision.kill.signal_usec, 5);
		assert_int_equal(s->n_vanished, 0);
		assert_int_equal(s->backoff.n_unconfirmed, 0);
		assert_int_equal(s->backoff.kinds[0].until, NOW + 1);
		assert_int_equal(s->backoff.kinds[1].until, 0);
		f->decision.kill.signal = 0; /* another kill */
		f->victim.group.n_signalled = 1;
		test.n_signals = 0;
	}
}

/* Then it is not known how many of those that were alike have finished by themselves. */
static void test_of_several_none_is_counted(void **state)
{
	static const struct {
		const char *label;
		struct decision with;
		unsigned n_alike;
	} rows[] = {
		{ "alone", { .others.n_processes = 1 }, N_ALIKE },
		{ "some that are not killed share its memory",
		  { .others.n_sharers_left = 1 },
		  N_ALIKE },
		{ "with siblings", { .others.n_siblings = 1 }, 0 },
		{ "with those that share its memory", { .others.n_sharers = 1 }, 0 },
		{ "with relatives", { .others.n_relatives = 1 }, 0 },
		{ "with its cgroup", { .others.group = "/q" }, 0 },
		{ "it has left the census", { .pid = VICTIM + 1 }, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].label);
		teardown(state);
		assert_int_equal(setup(state), 0);
		test.m->in_flight->decision = rows[i].with;
		test.m->in_flight->decision.pid += rows[i].with.pid == 0 ? VICTIM : 0;
		assert_int_equal(in_flight_start(test.m->in_flight, SIGKILL, NOW),
				 REPORT_SIGNALLED);
		assert_int_equal(test.m->selection->streak.next, 1);
		assert_int_equal(test.m->selection->streak.kills[0].n_alike, rows[i].n_alike);
		assert_int_equal(test.n_counted, rows[i].n_alike > 0);
	}
}

/* What is learned of a kill: more than a quarter of what it maps may be held by its relatives. */
static void test_one_that_maps_shared_memory(void **state)
{
	struct decision d = { .memory = { .anon = 300 * MIB, .shmem = 100 * MIB } };

	assert_false(decision_subject(&d).maps_shmem);
	d.memory.shmem += 4;
	assert_true(decision_subject(&d).maps_shmem);
	assert_false(decision_subject(&d).shares_memory);
}

static void test_what_may_not_be_signalled_is_no_kill(void **state)
{
	test.signal_result = -EPERM;
	assert_int_equal(in_flight_start(test.m->in_flight, SIGKILL, NOW), REPORT_FINISHED);
	assert_int_equal(test.m->selection->streak.next, 0);
	assert_int_equal(test.n_counted, 0);
	assert_int_equal(test.m->in_flight->n_kills, 0);
	assert_int_equal(test.m->in_flight->decision.kill.signal, 0); /* none was sent */
}

/* SIGTERM was sent, and is the last that was. */
static void test_what_may_not_be_escalated(void **state)
{
	assert_int_equal(in_flight_start(test.m->in_flight, SIGTERM, NOW), REPORT_SIGNALLED);
	test.signal_result = -EPERM;
	assert_int_equal(in_flight_start(test.m->in_flight, SIGKILL, NOW), REPORT_FINISHED);
	assert_int_equal(test.m->in_flight->decision.kill.signal, SIGTERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_kill_is_recorded_for_the_next_choice),
		TEST(test_what_begins_with_the_first_signal),
		TEST(test_of_several_none_is_counted),
		TEST(test_one_that_maps_shared_memory),
		TEST(test_what_may_not_be_signalled_is_no_kill),
		TEST(test_what_may_not_be_escalated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
