/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held: makes the survey and describes it. */
#include "ctl/held.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/words.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/domain/where.h"

/* Some 40 ms with 1,000 processes. */
#define SURVEY_MAX_USEC (2 * USEC_PER_SEC)
/* Every program holds some small ones. */
#define SHOWN_MIN (1 * MIB)

struct survey {
	struct where_scratch scratch;
	struct where_survey result;
};

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* NULL: no memory, or there is no /proc. */
static struct survey *make_survey(void)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct survey *survey = calloc(1, sizeof(*survey));

	if (proc_fd < 0 || root_fd < 0 || !survey) {
		free(survey);
		return NULL;
	}
	where_survey(proc_fd, root_fd,
		     &(struct where_limits){ .now = now, .deadline = now() + SURVEY_MAX_USEC },
		     &survey->scratch, &survey->result);
	return survey;
}

void held_describe(json_t *answer)
{
	struct survey *survey = make_survey();
	json_t *process = json_object_get(answer, "process"), *holders = json_array();

	for (unsigned i = 0; survey && i < WHERE_UNMAPPED_MAX; i++) {
		const struct where_holder *holder = &survey->result.unmapped[i];
		uint64_t bytes = add_u64(holder->bytes, holder->together);

		if (holder->pid == 0 || bytes < SHOWN_MIN)
			continue;
		json_append_to(&holders,
			       json_pack("{s:i, s:o, s:o, s:i}", "pid", (int)holder->pid, "command",
					 json_of_foreign(holder->comm), "bytes",
					 json_of_bytes(bytes), "others", (int)holder->n_others));
		if (words_number(process, "pid") == (uint64_t)holder->pid)
			(void)json_object_set_new(process, "held_bytes", json_of_bytes(bytes));
	}
	if (!survey) {
		json_decref(holders);
		holders = json_null();
	}
	(void)json_object_set_new(answer, "held_by_descriptors", holders);
	free(survey);
}
