/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held-files: which processes alone hold most of what no process maps. */
#include "lib/domain/held-files.h"

#include "lib/base/util.h"

static bool has(const pid_t *pids, unsigned n, pid_t pid)
{
	for (unsigned i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static void note_other(struct held_file *f, pid_t pid)
{
	if (f->pid == pid || has(f->others, f->n_others, pid))
		return;
	if (f->n_others < HELD_OTHERS_MAX)
		f->others[f->n_others++] = pid;
	else
		f->is_crowded = true;
}

bool held_files_note(struct held_files *files, dev_t device, uint64_t inode, pid_t pid)
{
	for (unsigned i = 0; i < files->n; i++) {
		struct held_file *f = &files->files[i];

		if (f->inode != inode || f->device != device)
			continue;
		note_other(f, pid);
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

static uint64_t all_of(const struct held_sum *sum)
{
	return add_u64(sum->bytes, sum->together);
}

/* Not if that would be too many others. */
static void add_together(struct held_sum *sum, const struct held_file *f)
{
	unsigned n = sum->n_others;

	for (unsigned i = 0; i < f->n_others; i++) {
		if (has(sum->others, n, f->others[i]))
			continue;
		if (n == HELD_OTHERS_MAX)
			return;
		sum->others[n++] = f->others[i];
	}
	sum->n_others = n;
	sum->together = add_u64(sum->together, f->unmapped);
}

static unsigned insert(struct held_sum *sums, unsigned n_sums, unsigned n,
		       const struct held_sum *sum)
{
	unsigned i = n_sums;

	if (all_of(sum) == 0)
		return n_sums;
	for (; i > 0 && all_of(&sums[i - 1]) < all_of(sum); i--)
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
		if (f->is_crowded || f->unmapped == 0)
			continue;
		if (f->n_others > 0)
			add_together(&sum, f);
		else
			sum.bytes = add_u64(sum.bytes, f->unmapped);
	}
	return insert(ret, n_sums, n, &sum);
}
