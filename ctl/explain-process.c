/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain-process: why one process would go, or would not, for people; from the object that --json
 * prints.
 */
#include <string.h>

#include "ctl/explain.h"
#include "ctl/screen.h"
#include "ctl/words.h"

static void print_size(const struct screen *screen, const json_t *process)
{
	char size[FORMAT_INTERVAL_SIZE], anon[FORMAT_BYTES_SIZE], swap[FORMAT_BYTES_SIZE];
	char shared[FORMAT_BYTES_SIZE];

	if (!words_has(process, "footprint_bytes")) {
		screen_item(screen, "  Size:", SCREEN_PLAIN, "not permitted to read");
		return;
	}
	screen_item(screen, "  Size:", SCREEN_PLAIN,
		    "%s (%s in memory, %s in swap); %s shared with others or files do not count",
		    words_size(process, size),
		    format_bytes(words_number(process, "anonymous_bytes"), anon),
		    format_bytes(words_number(process, "swap_bytes"), swap),
		    format_bytes(words_number(process, "shared_bytes"), shared));
}

static void print_rank(const struct screen *screen, const json_t *answer, const json_t *process)
{
	const json_t *policy = json_object_get(answer, "policy");
	const char *rank_by = words_text(policy, "rank_by");
	char score[FORMAT_BYTES_SIZE], rank[32];

	if (strcmp(words_text(policy, "target"), "cgroup") == 0) {
		screen_item(screen, "  Rank:", SCREEN_PLAIN, "%u (that of its cgroup)",
			    (unsigned)words_number(process, "rank"));
		return;
	}
	screen_item(screen, "  Counts:", SCREEN_PLAIN,
		    "%s (oom_score_adj %d, weight %.3g, ranked by %s)",
		    format_bytes(words_number(process, "score_bytes"), score),
		    (int)json_integer_value(json_object_get(process, "oom_score_adj")),
		    words_real(process, "weight"),
		    screen_foreign(screen, *rank_by ? rank_by : "footprint", rank, sizeof(rank)));
	screen_item(screen, "  Rank:", SCREEN_PLAIN, "%u of %u",
		    (unsigned)words_number(process, "rank"),
		    (unsigned)words_number(answer, "candidates"));
}

enum ctl_status explain_print_process(const struct screen *screen, const json_t *answer)
{
	const json_t *process = json_object_get(answer, "process");
	bool is_candidate = words_number(process, "rank") > 0;
	char text[1024], cgroup[4096];

	screen_say(screen, SCREEN_BOLD, "%s",
		   screen_foreign(screen, words_text(answer, "answer"), text, sizeof(text)));
	if (strcmp(words_text(process, "left_out"), "kernel_thread") == 0)
		return CTL_OK;
	print_size(screen, process);
	if (is_candidate)
		print_rank(screen, answer, process);
	screen_item(screen, "  Cgroup:", SCREEN_PLAIN, "%s",
		    screen_foreign(screen, words_text(process, "cgroup"), cgroup, sizeof(cgroup)));
	return CTL_OK;
}
