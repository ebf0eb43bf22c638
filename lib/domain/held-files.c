/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held-files: which processes alone hold most of what no process maps. */
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

static unsigned insert(struct held_sum *sums, unsigned n_sums, unsigned n,
		       const struct held_sum *sum)
{
	unsigned i = n_sums;

	if (sum->bytes == 0)
		return n_sums;
	for (; i > 0 && sums[i - 1].bytes < sum->bytes; i--)
		if (i < n)
			sums[i] = sums[i - 1];
	if (i < n)
		sums[i] = *sum;
	return n_sums < n ? n_sums + 1 : n;
}

unsigned held_files_most(const struct held_files *files, struct held_sum *ret, unsigned n)
{
	struct held_sum sum = { 0 };
	unsigned n_sums = 0;

	for (unsigned i = 0; i < files->n; i++) {
		const struct held_file *f = &files->files[i];

		if (f->pid != sum.pid) {
			n_sums = insert(ret, n_sums, n, &sum);
			sum = (struct held_sum){ .pid = f->pid };
		}
		if (!f->is_shared)
			sum.bytes = add_u64(sum.bytes, f->unmapped);
	}
	return insert(ret, n_sums, n, &sum);
}
