/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain-process: prints as text why one process would be killed, or would not; from the object
 * that --json prints.
 */
#include <string.h>

#include "ctl/explain.h"
#include "ctl/screen.h"
#include "ctl/words.h"

static void print_size(const struct screen *screen, const json_t *process)
{
	uint64_t shmem = words_number(process, "shmem_bytes");
	uint64_t files = sub_u64(words_number(process, "shared_bytes"), shmem);
	uint64_t kept = words_number(process, "kept_bytes");
	unsigned n_relatives = (unsigned)words_number(process, "relatives");
	char size[FORMAT_INTERVAL_SIZE], anon[FORMAT_BYTES_SIZE], swap[FORMAT_BYTES_SIZE];
	char shmem_size[FORMAT_BYTES_SIZE], why[128];
	/* (An older daemon does not say.) */
	bool is_unmeasured = json_is_null(json_object_get(process, "kept_bytes"));

	if (!words_has(process, "footprint_bytes")) {
		screen_item(screen, "  Frees:", SCREEN_PLAIN, "not permitted to read");
		return;
	}
	screen_item(screen, "  Holds:", SCREEN_PLAIN,
		    "%s anonymous, %s in swap, %s of shared memory",
		    format_bytes(words_number(process, "anonymous_bytes"), anon),
		    format_bytes(words_number(process, "swap_bytes"), swap),
		    format_bytes(shmem, shmem_size));
	if (words_number(process, "held_bytes") > 0)
		screen_item(screen, "", SCREEN_PLAIN,
			    "and %s by descriptors alone, which is freed as well",
			    format_bytes(words_number(process, "held_bytes"), size));
	screen_item(screen, "  Frees:", SCREEN_PLAIN, "%s%s%s", is_unmeasured ? "at most " : "",
		    words_size(process, size),
		    is_unmeasured ? "; what it shares with others is not measured" : "");
	if (n_relatives > 0)
		screen_item(screen, "", SCREEN_PLAIN,
			    "with %u that share%s its memory and would be killed with it; "
			    "%s by itself",
			    n_relatives, n_relatives == 1 ? "s" : "",
			    format_bytes(words_number(process, "alone_bytes"), size));
	if (kept > 0)
		screen_item(
			screen, "  Kept:", SCREEN_PLAIN, "%s: %s", format_bytes(kept, size),
			screen_foreign(screen, words_text(process, "kept_for"), why, sizeof(why)));
	if (files > 0)
		screen_item(screen, kept > 0 ? "" : "  Kept:", SCREEN_PLAIN,
			    "%s: mapped files, which are page cache", format_bytes(files, size));
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
	screen_item(screen, "  Score:", SCREEN_PLAIN,
		    "%s (oom_score_adj %d, weight %.3g, ranked by %s)",
		    format_bytes(words_number(process, "score_bytes"), score),
		    (int)json_integer_value(json_object_get(process, "oom_score_adj")),
		    words_real(process, "weight"),
		    screen_foreign(screen, *rank_by ? rank_by : "footprint", rank, sizeof(rank)));
	screen_item(screen, "  Rank:", SCREEN_PLAIN, "%u of %u",
		    (unsigned)words_number(process, "rank"),
		    (unsigned)words_number(answer, "candidates"));
}

static void print_text(const struct screen *screen, const json_t *process, const char *label,
		       const char *name)
{
	char text[4096];

	if (words_has(process, name))
		screen_item(screen, label, SCREEN_PLAIN, "%s",
			    screen_foreign(screen, words_text(process, name), text, sizeof(text)));
}

enum ctl_status explain_print_process(const struct screen *screen, const json_t *answer)
{
	const json_t *process = json_object_get(answer, "process");
	bool is_candidate = words_number(process, "rank") > 0;
	char text[1024];

	screen_say(screen, SCREEN_BOLD, "%s",
		   screen_foreign(screen, words_text(answer, "answer"), text, sizeof(text)));
	if (strcmp(words_text(process, "excluded"), "kernel_thread") == 0)
		return CTL_OK;
	print_size(screen, process);
	if (is_candidate)
		print_rank(screen, answer, process);
	print_text(screen, process, "  Command line:", "command_line");
	print_text(screen, process, "  Executable:", "executable");
	print_text(screen, process, "  Container:", "container");
	print_text(screen, process, "  Unit:", "unit");
	print_text(screen, process, "  Cgroup:", "cgroup");
	return CTL_OK;
}
