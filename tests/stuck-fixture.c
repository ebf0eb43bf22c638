/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stuck-fixture: wraps the survey's thread and the eligibility, and makes a manager with a census.
 */
#include "tests/stuck-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static char everything[] = "/";

struct stuck_test test;

int __wrap_survey_new(int proc_fd, const char *name, struct survey **ret);
int __wrap_survey_new(int proc_fd, const char *name, struct survey **ret)
{
	/* The second one is of mappings. */
	*ret = test.new_result < 0		 ? NULL
	       : test.m->selection->stuck.survey ? (struct survey *)(void *)&test.deep
						 : (struct survey *)(void *)&test;
	return test.new_result;
}

struct survey *__wrap_survey_free(struct survey *survey);
struct survey *__wrap_survey_free(struct survey *survey)
{
	return NULL;
}

bool __wrap_survey_ask(struct survey *survey, uint64_t least_untouched);
bool __wrap_survey_ask(struct survey *survey, uint64_t least_untouched)
{
	if ((void *)survey == &test.deep) {
		test.deep.least_untouched = least_untouched;
		test.deep.n_asked += !test.deep.hangs;
		return !test.deep.hangs;
	}
	assert_int_equal(least_untouched, 0);
	test.n_asked += !test.is_busy;
	return !test.is_busy;
}

usec_t __wrap_survey_cpu_time(struct survey *survey);
usec_t __wrap_survey_cpu_time(struct survey *survey)
{
	return survey == (void *)&test.deep ? test.deep.cpu_time : test.cpu_time;
}

bool __wrap_survey_collect(struct survey *survey, struct where_survey *ret);
bool __wrap_survey_collect(struct survey *survey, struct where_survey *ret)
{
	bool is_deep = (void *)survey == &test.deep;
	bool *finished = is_deep ? &test.deep.is_finished : &test.is_finished;
	bool is_finished = *finished;

	if (is_finished)
		*ret = is_deep ? test.deep.survey : test.survey;
	*finished = false;
	return is_finished;
}

enum eligibility __wrap_victim_exclusion(const struct census *census,
					 const struct census_process *process,
					 const struct victim_request *request);
enum eligibility __wrap_victim_exclusion(const struct census *census,
					 const struct census_process *process,
					 const struct victim_request *request)
{
	return process->pid == test.protected_pid ? ELIGIBILITY_PROTECTED : test.exclusion;
}

static int reread(struct census *census, struct census_process *process, void *userdata)
{
	test.n_rereads++;
	return test.alive != 0 && process->pid != test.alive ? VICTIM_READ_GONE
							     : test.reread_result;
}

const struct victim_reader reader = { .reread = reread };

int setup(void **state)
{
	struct manager *m;

	memset(&test, 0, sizeof(test));
	test.deep.hangs = true;
	m = test.m = manager_alloc();
	if (!m)
		return -1;
	m->config->policies.subtree = everything;
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (census_init(&m->sampler->census, m->machine->proc_fd, NULL, &exact_accuracy,
			&m->config->policies) < 0 ||
	    census_reserve(&m->sampler->census) < 0 ||
	    victim_reserve(&m->selection->choice, &m->sampler->census) < 0)
		return -1;
	m->sampler->domain.reading = (struct memory_reading){
		.total = 8 * GIB,
		.available = GIB, /* low */
		.counters = { .total = 8 * GIB, .free = GIB, .anon = 7 * GIB },
	};
	log_set_target(LOG_TARGET_NULL);
	stuck_init(m->selection);
	return 0;
}

int teardown(void **state)
{
	stuck_done(test.m->selection);
	victim_done(&test.m->selection->choice);
	census_done(&test.m->sampler->census);
	close(test.m->machine->proc_fd);
	free(test.m);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

struct census_process *add(pid_t pid, const char *comm, uint64_t bytes)
{
	struct census_process *process = census_add(&test.m->sampler->census, pid, STARTED);

	assert_non_null(process);
	strcpy(process->comm, comm);
	assert_int_equal(census_attach(&test.m->sampler->census, process, "/a"), 0);
	census_set_memory(&test.m->sampler->census, process, &(struct proc_memory){ .anon = bytes },
			  GIB, 1);
	return process;
}

void fill_tmpfs(void)
{
	struct manager *m = test.m;

	m->sampler->domain.reading.available = 6 * GIB;
	m->sampler->domain.reading.counters.anon = GIB;
	m->sampler->domain.reading.counters.free = 6 * GIB;
	unowned_note_calm(m->selection, NOW - 400 * SEC);
	m->sampler->domain.reading.available = m->sampler->domain.reading.counters.free = GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		5 * GIB;
}
