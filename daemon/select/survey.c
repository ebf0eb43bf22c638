/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* survey: the thread that reads which tmpfs hold memory. */
#include "daemon/select/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "lib/base/cleanup.h"
#include "lib/base/thread.h"

/* Where memory is short it may get a tenth of the CPU, and waits for reclaim. */
#define SURVEY_CPU_USEC	  (500 * USEC_PER_MSEC)
#define SURVEY_USEC	  (5 * USEC_PER_SEC)
#define SURVEY_STACK_SIZE (96 * KIB)

enum survey_state { SURVEY_IDLE, SURVEY_ASKED, SURVEY_FINISHED, SURVEY_STOPPED };

struct survey {
	int proc_fd, root_fd;
	sem_t asked;
	atomic_int state;     /* enum survey_state; the thread's while requested */
	atomic_uint n_owners; /* the caller and the thread; the last one frees */
	uint64_t least_untouched;
	_Atomic usec_t cpu_time; /* that the thread has used since it was asked */
	struct where_scratch scratch;
	struct where_survey result;
};

static void disown(struct survey *survey)
{
	if (atomic_fetch_sub(&survey->n_owners, 1) > 1)
		return;
	closep(&survey->proc_fd);
	closep(&survey->root_fd);
	(void)sem_destroy(&survey->asked);
	free(survey);
}

/* Of the thread. */
static _Thread_local struct survey *own;
static _Thread_local usec_t own_began;

static usec_t cpu_time_used(void)
{
	usec_t used = clock_cpu_time() - own_began;

	atomic_store(&own->cpu_time, used);
	return used;
}

static void run(struct survey *survey)
{
	const struct where_limits limits = {
		.now = clock_now,
		.deadline = clock_now() + SURVEY_USEC,
		.cpu_time = cpu_time_used,
		.cpu_deadline = SURVEY_CPU_USEC,
		.least_untouched = survey->least_untouched,
		.skipped = getpid(),
	};

	own = survey;
	own_began = clock_cpu_time();
	where_survey(survey->proc_fd, survey->root_fd, &limits, &survey->scratch, &survey->result);
	survey->result.took_usec = cpu_time_used();
}

static void *survey_run(void *userdata)
{
	struct survey *survey = userdata;

	for (;;) {
		int asked = SURVEY_ASKED;

		while (sem_wait(&survey->asked) < 0)
			; /* EINTR */
		if (atomic_load(&survey->state) == SURVEY_STOPPED)
			break;
		run(survey);
		if (!atomic_compare_exchange_strong(&survey->state, &asked, SURVEY_FINISHED))
			break;
	}
	disown(survey);
	return NULL;
}

/* It runs until survey_free(). */
static int start_thread(struct survey *survey, const char *name)
{
	const struct thread_options options = { .name = name,
						.stack_size = SURVEY_STACK_SIZE,
						.is_detached = true };
	pthread_t thread;
	int r;

	atomic_fetch_add(&survey->n_owners, 1);
	r = thread_start(&options, survey_run, survey, &thread);
	if (r < 0)
		atomic_fetch_sub(&survey->n_owners, 1);
	return r;
}

int survey_new(int proc_fd, const char *name, struct survey **ret)
{
	struct survey *survey = calloc(1, sizeof(*survey));
	int r;

	if (!survey)
		return -ENOMEM;
	atomic_init(&survey->n_owners, 1);
	(void)sem_init(&survey->asked, 0, 0);
	survey->proc_fd = fcntl(proc_fd, F_DUPFD_CLOEXEC, 0);
	survey->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = survey->proc_fd < 0 || survey->root_fd < 0 ? -errno : start_thread(survey, name);
	if (r < 0) {
		disown(survey);
		return r;
	}
	*ret = survey;
	return 0;
}

struct survey *survey_free(struct survey *survey)
{
	if (!survey)
		return NULL;
	atomic_store(&survey->state, SURVEY_STOPPED);
	(void)sem_post(&survey->asked);
	disown(survey);
	return NULL;
}

bool survey_ask(struct survey *survey, uint64_t least_untouched)
{
	if (atomic_load(&survey->state) != SURVEY_IDLE)
		return false;
	survey->least_untouched = least_untouched;
	atomic_store(&survey->cpu_time, 0);
	atomic_store(&survey->state, SURVEY_ASKED);
	(void)sem_post(&survey->asked);
	return true;
}

usec_t survey_cpu_time(struct survey *survey)
{
	return atomic_load(&survey->cpu_time);
}

bool survey_collect(struct survey *survey, struct where_survey *ret)
{
	if (atomic_load(&survey->state) != SURVEY_FINISHED)
		return false;
	*ret = survey->result;
	atomic_store(&survey->state, SURVEY_IDLE);
	return true;
}
