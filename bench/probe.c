/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe: reads /proc directly, and by libproc2. */
#include "bench/probe.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <libproc2/pids.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"

static bool read_file(const char *path)
{
	char text[4096];
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0;
}

size_t probe_full(void)
{
	static const char *const names[] = { "stat", "statm", "oom_score", "oom_score_adj",
					     "comm" };
	_cleanup_dir_ DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	while (dir && (entry = readdir(dir))) {
		bool all = isdigit((unsigned char)entry->d_name[0]);

		for (size_t i = 0; all && i < ARRAY_SIZE(names); i++) {
			char path[64];

			snprintf(path, sizeof(path), "/proc/%.16s/%s", entry->d_name, names[i]);
			all = read_file(path);
		}
		n += all;
	}
	return n;
}

struct pids_info *probe_libproc2_new(void)
{
	/* RSS would need stat a second time, VM_RSS status; OOM_ADJ alone opens both oom files. */
	enum pids_item items[] = { PIDS_ID_PID,	 PIDS_ID_PPID,	 PIDS_CMD,    PIDS_STATE,
				   PIDS_MEM_RES, PIDS_OOM_SCORE, PIDS_OOM_ADJ };
	struct pids_info *info = NULL;

	return procps_pids_new(&info, items, ARRAY_SIZE(items)) < 0 ? NULL : info;
}

size_t probe_libproc2(struct pids_info *info)
{
	struct pids_fetch *fetch = procps_pids_reap(info, PIDS_FETCH_TASKS_ONLY);

	return fetch ? (size_t)fetch->counts->total : 0;
}

void probe_libproc2_free(struct pids_info *info)
{
	if (info)
		procps_pids_unref(&info);
}

size_t probe_statm(const pid_t *pids, size_t n)
{
	size_t n_read = 0;

	for (size_t i = 0; i < n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/statm", pids[i]);
		n_read += read_file(path);
	}
	return n_read;
}
