/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* running: searches /proc for a process of that name, and for one of that number. */
#include "ctl/running.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/io.h"
#include "lib/sys/proc.h"

/* More than one pid in "NSpid:": the others are in namespaces below.  (Where that line is missing,
 * it is none.) */
static bool is_in_container(int proc_fd, pid_t pid)
{
	char path[32], text[4096], *line;

	snprintf(path, sizeof(path), "%d/status", pid);
	if (io_read_at(proc_fd, path, text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nNSpid:\t");
	if (!line)
		return false;
	line += strlen("\nNSpid:\t");
	line[strcspn(line, "\n")] = '\0';
	return strchr(line, '\t') != NULL;
}

/* Its pid, or 0: it is another. */
static int check_process(pid_t pid, void *userdata)
{
	int proc_fd = *(const int *)userdata;
	struct proc_stat stat;

	if (proc_read_stat(proc_fd, pid, &stat) != 0 || strcmp(stat.comm, "reckond") != 0 ||
	    stat.state == 'Z' || stat.state == 'X' || is_in_container(proc_fd, pid))
		return 0;
	return pid;
}

pid_t running_find(int proc_fd)
{
	_Alignas(8) char buf[32 * 1024];
	struct proc_stat stat;

	/* Where others are hidden, so is it. */
	if (proc_read_stat(proc_fd, 1, &stat) != 0)
		return -EACCES;
	return proc_list(proc_fd, buf, sizeof(buf), check_process, &proc_fd);
}

pid_t running_process_of(int proc_fd, pid_t pid, bool *ret_is_zombie)
{
	char path[32], text[4096];
	const char *state, *tgid;

	snprintf(path, sizeof(path), "%d/status", pid);
	if (io_read_at(proc_fd, path, text, sizeof(text)) < 0)
		return 0;
	state = strstr(text, "\nState:\t");
	tgid = strstr(text, "\nTgid:\t");
	if (!state || !tgid)
		return 0;
	*ret_is_zombie = state[strlen("\nState:\t")] == 'Z';
	return (pid_t)strtol(tgid + strlen("\nTgid:\t"), NULL, 10);
}
