/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* executable: reads which file a process runs, and what can prove its name. */
#include "lib/config/executable.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config/policy.h"

/* The kernel appends it to the path of a file that was replaced while it runs (d_path()). */
#define DELETED " (deleted)"

static bool read_file(int proc_fd, const char *path, struct statx *ret)
{
	return statx(proc_fd, path, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_UID, ret) ==
	       0;
}

static bool is_on_device_of(int proc_fd, const char *path, const struct statx *file)
{
	struct statx other;

	return read_file(proc_fd, path, &other) && other.stx_dev_major == file->stx_dev_major &&
	       other.stx_dev_minor == file->stx_dev_minor;
}

static void read_name(int proc_fd, const char *path, struct executable *ret)
{
	char target[PATH_MAX], *name;
	ssize_t n = readlinkat(proc_fd, path, target, sizeof(target) - 1);
	size_t length;

	if (n <= 0 || n == sizeof(target) - 1) /* perhaps cut: no name is better than a wrong one */
		return;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	length = strlen(name);
	if (length > strlen(DELETED) && strcmp(name + length - strlen(DELETED), DELETED) == 0)
		name[length - strlen(DELETED)] = '\0';
	snprintf(ret->name, sizeof(ret->name), "%.15s", name);
}

void executable_read(int proc_fd, pid_t pid, struct executable *ret)
{
	struct statx file;
	char path[32];

	*ret = (struct executable){ 0 };
	snprintf(path, sizeof(path), "%d/exe", pid);
	if (!read_file(proc_fd, path, &file))
		return;
	ret->known = true;
	ret->is_roots = file.stx_uid == 0 && S_ISREG(file.stx_mode) &&
			(file.stx_mode & (S_IWGRP | S_IWOTH)) == 0;
	if (!ret->is_roots)
		return;
	ret->is_of_system = is_on_device_of(proc_fd, "1/exe", &file) ||
			    is_on_device_of(proc_fd, "self/exe", &file);
	read_name(proc_fd, path, ret);
}

void executable_apply_rules(const struct policy_set *set, int proc_fd, pid_t pid,
			    const struct rule_subject *subject, struct rule_verdict *ret)
{
	struct rule_subject with = *subject;
	struct executable executable;

	policy_apply_rules(set, subject, ret);
	if (!ret->asks_executable)
		return;
	executable_read(proc_fd, pid, &executable);
	with.executable = &executable;
	policy_apply_rules(set, &with, ret);
}
