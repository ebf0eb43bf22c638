/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held-files: which processes alone hold most of what no process maps. */
#include "lib/domain/held-files.h"

#include "lib/base/util.h"

/* The first limit of what is small. */
#define LEAST_MIN (8 * KIB)

static bool has(const pid_t *pids, unsigned n, pid_t pid)
{
	for (unsigned i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

void held_files_clear(struct held_files *files)
{
	files->n = files->n_links = 0;
	files->least = 0;
}

/* By process.  Not qsort(3), which may allocate. */
static void sort(struct held_files *files)
{
	for (unsigned gap = files->n / 2; gap > 0; gap /= 2) {
		for (unsigned i = gap; i < files->n; i++) {
			const struct held_file file = files->files[i];
			unsigned at = i;

			for (; at >= gap && files->files[at - gap].pid > file.pid; at -= gap)
				files->files[at] = files->files[at - gap];
			files->files[at] = file;
		}
	}
}

/* Process after process: if it is known, it is the last one. */
static void note_other(struct held_files *files, struct held_file *f, pid_t pid)
{
	struct held_link *last = f->last != 0 ? &files->links[f->last - 1] : NULL;

	if (f->pid == pid || (last && last->pid == pid))
		return;
	if (f->n_others == HELD_OTHERS_MAX || files->n_links == HELD_LINKS_MAX) {
		f->is_crowded = true;
		return;
	}
	files->links[files->n_links++] = (struct held_link){ .pid = pid };
	f->last = files->n_links;
	if (last)
		last->next = f->last;
	else
		f->first = f->last;
	f->n_others++;
}

bool held_files_note(struct held_files *files, dev_t device, uint64_t inode, pid_t pid)
{
	for (unsigned i = 0; i < files->n; i++) {
		struct held_file *f = &files->files[i];

		if (f->inode != inode || f->device != device)
			continue;
		note_other(files, f, pid);
		return true;
	}
	return false;
}

static bool is_sum(const struct held_file *f)
{
	return f->inode == 0;
}

static void add_small(struct held_file *sum, const struct held_file *f)
{
	bool is_first = sum->unmapped == 0;

	sum->is_crowded =
		sum->is_crowded || f->is_crowded || (!is_first && sum->device != f->device);
	sum->device = f->device;
	sum->least_inode = is_first ? f->least_inode : min_u64(sum->least_inode, f->least_inode);
	sum->most_inode = max_u64(sum->most_inode, f->most_inode);
	sum->unmapped = add_u64(sum->unmapped, f->unmapped);
	sum->creator = f->foreign > 0 ? f->creator : sum->creator;
	sum->foreign = add_u64(sum->foreign, f->foreign);
	sum->unsure = sum->is_crowded ? sum->unmapped : add_u64(sum->unsure, f->unsure);
}

static struct held_file as_sum(const struct held_file *f)
{
	struct held_file sum = *f;

	if (is_sum(f))
		return sum;
	sum.least_inode = sum.most_inode = f->inode;
	sum.inode = sum.first = sum.last = 0;
	return sum;
}

/* Those of one process, from i on: the small ones become one, if it is not small itself.  To n. */
static unsigned add_up_process(struct held_files *files, unsigned *i, unsigned n)
{
	struct held_file sum = { .pid = files->files[*i].pid };

	for (; *i < files->n && files->files[*i].pid == sum.pid; ++*i) {
		const struct held_file small = as_sum(&files->files[*i]);

		if (!is_sum(&files->files[*i]) && small.unmapped >= files->least)
			files->files[n++] = files->files[*i];
		else if (small.n_others == 0 && small.unmapped > 0)
			add_small(&sum, &small);
	}
	if (sum.unmapped > 0 && sum.unmapped >= files->least)
		files->files[n++] = sum;
	return n;
}

/* Until a quarter is free. */
static void make_room(struct held_files *files)
{
	while (files->n > HELD_FILES_MAX / 4 * 3) {
		unsigned n = 0;

		sort(files);
		files->least = files->least > 0 ? add_u64(files->least, files->least) : LEAST_MIN;
		for (unsigned i = 0; i < files->n;)
			n = add_up_process(files, &i, n);
		files->n = n;
	}
}

static void append(struct held_files *files, const struct held_file *file)
{
	if (files->n == HELD_FILES_MAX)
		make_room(files);
	files->files[files->n++] = *file;
}

/* It may be one of those that were added up: of another process, or of this one. */
static void compare_with_sums(struct held_files *files, struct held_file *small)
{
	for (unsigned i = 0; i < files->n; i++) {
		struct held_file *f = &files->files[i];

		if (!is_sum(f) || f->device != small->device ||
		    small->least_inode < f->least_inode || small->least_inode > f->most_inode)
			continue;
		small->unsure = small->unmapped;
		if (f->pid == small->pid)
			continue;
		f->is_crowded = true;
		f->unsure = f->unmapped;
	}
}

void held_files_add(struct held_files *files, const struct held_file *file)
{
	struct held_file *last = files->n > 0 ? &files->files[files->n - 1] : NULL;
	struct held_file small;

	if (file->unmapped >= files->least) {
		append(files, file);
		return;
	}
	small = as_sum(file);
	compare_with_sums(files, &small);
	if (last && is_sum(last) && last->pid == file->pid)
		add_small(last, &small);
	else if (small.unmapped > 0)
		append(files, &small);
}

static uint64_t all_of(const struct held_sum *sum)
{
	return add_u64(sum->bytes, sum->together);
}

/* Not if that would be too many others. */
static void add_together(const struct held_files *files, struct held_sum *sum,
			 const struct held_file *f)
{
	unsigned n = sum->n_others;
	const struct held_link *link;

	for (unsigned i = f->first; i != 0; i = link->next) {
		link = &files->links[i - 1];
		if (has(sum->others, sum->n_others, link->pid))
			continue;
		if (n == HELD_OTHERS_MAX)
			return;
		sum->others[n++] = link->pid;
	}
	sum->n_others = n;
	sum->together = add_u64(sum->together, f->unmapped);
}

/* Only if it was added. */
static void add_foreign(struct held_sum *sum, uint64_t before, uint64_t *most,
			const struct held_file *f)
{
	if (f->foreign == 0 || all_of(sum) == before)
		return;
	if (f->foreign > *most) {
		*most = f->foreign;
		sum->creator = f->creator;
	}
	sum->foreign = add_u64(sum->foreign, f->foreign);
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

unsigned held_files_most(struct held_files *files, struct held_sum *ret, unsigned n)
{
	struct held_sum sum = { 0 };
	uint64_t before, most_foreign = 0;
	unsigned n_sums = 0;

	sort(files);
	for (unsigned i = 0; i < files->n; i++) {
		const struct held_file *f = &files->files[i];

		if (f->pid != sum.pid) {
			n_sums = insert(ret, n_sums, n, &sum);
			sum = (struct held_sum){ .pid = f->pid };
			most_foreign = 0;
		}
		if ((f->is_crowded && !is_sum(f)) || f->unmapped == 0)
			continue;
		before = all_of(&sum);
		if (f->n_others > 0)
			add_together(files, &sum, f);
		else
			sum.bytes = add_u64(sum.bytes, f->unmapped);
		sum.unsure = add_u64(sum.unsure, f->unsure);
		add_foreign(&sum, before, &most_foreign, f);
	}
	return insert(ret, n_sums, n, &sum);
}
