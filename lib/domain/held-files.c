/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held-files: which process alone holds most of what no process maps. */
#include "lib/domain/held-files.h"

#include "lib/base/util.h"

bool held_files_note(struct held_files *files, dev_t device, uint64_t inode, pid_t pid)
{
	for (unsigned i = 0; i < files->n; i++) {
		struct held_file *f = &files->files[i];

		if (f->inode != inode || f->device != device)
			continue;
		f->is_shared = f->is_shared || f->pid != pid;
		return true;
	}
	return false;
}

bool held_files_add(struct held_files *files, const struct held_file *file)
{
	if (files->n == HELD_FILES_MAX)
		return false;
	files->files[files->n++] = *file;
	return true;
}

uint64_t held_files_most(const struct held_files *files, pid_t *ret_pid)
{
	uint64_t most = 0, sum = 0;

	*ret_pid = 0;
	for (unsigned i = 0; i < files->n; i++) {
		const struct held_file *f = &files->files[i];

		if (i == 0 || f->pid != f[-1].pid)
			sum = 0;
		if (!f->is_shared)
			sum = add_u64(sum, f->unmapped);
		if (sum > most) {
			most = sum;
			*ret_pid = f->pid;
		}
	}
	return most;
}
