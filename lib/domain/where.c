/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: makes the account from counters and survey, and its texts. */
#include "lib/domain/where.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/format.h"
#include "lib/domain/worth.h"

static const struct {
	const char *name, *text;
} kinds[_WHERE_MAX] = {
	[WHERE_PROCESSES] = { "processes", "anonymous memory and page tables of processes" },
	[WHERE_TMPFS] = { "tmpfs", "tmpfs" },
	[WHERE_MEMFDS] = { "memfds", "memfds held by a descriptor" },
	[WHERE_SYSV] = { "sysv", "System V shared memory, not attached" },
	[WHERE_SHMEM] = { "shmem", "other shared memory" },
	[WHERE_SLAB] = { "slab", "kernel slab, unreclaimable" },
	[WHERE_HUGETLB] = { "hugetlb", "the pool of huge pages" },
	[WHERE_KERNEL_STACK] = { "kernel_stack", "kernel stacks" },
	[WHERE_PERCPU] = { "percpu", "per-CPU memory of the kernel" },
	[WHERE_ZRAM] = { "zram", "compressed swap (zram)" },
	[WHERE_UNACCOUNTED] = { "unaccounted", "in no process, e.g. pipe and socket buffers" },
};

/* Of the process that is named. */
static const char *const relations[_WHERE_MAX] = {
	[WHERE_MEMFDS] = "by",
	[WHERE_SHMEM] = "files in flight to",
};

const char *where_kind_to_string(enum where_kind kind)
{
	return kinds[kind].name;
}

/* Sorted in: largest first. */
static void add_row(struct where_account *a, const struct where_row *row)
{
	unsigned i = a->n_rows;

	if (row->bytes == 0 || a->n_rows == WHERE_ROWS_MAX)
		return;
	for (; i > 0 && a->rows[i - 1].bytes < row->bytes; i--)
		a->rows[i] = a->rows[i - 1];
	a->rows[i] = *row;
	a->rows[i].text = kinds[row->kind].text;
	a->n_rows++;
}

static void add(struct where_account *a, enum where_kind kind, uint64_t bytes,
		const struct where_holder *holder)
{
	struct where_row row = { .kind = kind, .bytes = bytes };

	if (holder && holder->pid != 0) {
		row.pid = holder->pid;
		memcpy(row.comm, holder->comm, sizeof(row.comm));
	}
	add_row(a, &row);
}

/* NULL: there is none. */
static const struct where_holder *most_in_flight(const struct where_survey *survey,
						 struct where_holder *ret)
{
	const struct where_receiver *most = &survey->receivers[0];

	for (unsigned i = 1; i < survey->n_receivers; i++)
		if (survey->receivers[i].n_files > most->n_files)
			most = &survey->receivers[i];
	ret->pid = most->pid;
	memcpy(ret->comm, most->comm, sizeof(ret->comm));
	return survey->n_receivers > 0 ? ret : NULL;
}

/* Parts of Shmem, in the order in which they are sure; what is swapped out is in the parts too, so
 * the rest is never negative, and may be too low. */
static void add_shmem(struct where_account *a, uint64_t shmem, const struct where_survey *survey)
{
	struct where_holder receiver = { 0 };

	if (survey) {
		for (unsigned i = 0; i < survey->n_tmpfs; i++) {
			struct where_row row = { .kind = WHERE_TMPFS,
						 .bytes = survey->tmpfs[i].bytes };

			memcpy(row.path, survey->tmpfs[i].path, sizeof(row.path));
			add_row(a, &row);
		}
		add(a, WHERE_MEMFDS, survey->memfds.bytes, &survey->memfds);
		add(a, WHERE_SYSV, survey->sysv_bytes, NULL);
		shmem = sub_u64(shmem, survey->tmpfs_bytes);
		shmem = sub_u64(shmem, survey->memfds.bytes);
		shmem = sub_u64(shmem, survey->sysv_bytes);
	}
	add(a, WHERE_SHMEM, shmem, survey ? most_in_flight(survey, &receiver) : NULL);
}

/* What it holds of several kinds adds up, to no more than there is of it. */
static unsigned add_holder(struct where_holder *holders, unsigned n,
			   const struct where_holder *holder, uint64_t bytes, uint64_t all)
{
	unsigned i = 0;

	if (holder->pid == 0 || (bytes == 0 && holder->together == 0))
		return n;
	while (i < n && holders[i].pid != holder->pid)
		i++;
	if (i == n) {
		holders[n] = *holder;
		holders[n].bytes = holders[n].unmeasured = holders[n].foreign = 0;
		holders[n].together = min_u64(holder->together, all);
		n++;
	}
	if (holder->foreign > holders[i].foreign)
		holders[i].creator = holder->creator;
	holders[i].foreign = add_u64(holders[i].foreign, holder->foreign);
	holders[i].bytes =
		add_u64(holders[i].bytes, min_u64(bytes, sub_u64(all, holders[i].bytes)));
	return n;
}

static void add_unmeasured(struct where_holder *holders, unsigned n,
			   const struct where_holder *holder, uint64_t bytes)
{
	for (unsigned i = 0; i < n; i++)
		if (holders[i].pid == holder->pid)
			holders[i].unmeasured =
				min_u64(add_u64(holders[i].unmeasured, bytes), holders[i].bytes);
}

static uint64_t all_of(const struct where_holder *holder)
{
	return add_u64(holder->bytes, holder->together);
}

/* By insertion: there are few. */
static void sort_holders(struct where_holder *holders, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		struct where_holder holder = holders[i];
		unsigned at = i;

		for (; at > 0 && all_of(&holders[at - 1]) < all_of(&holder); at--)
			holders[at] = holders[at - 1];
		holders[at] = holder;
	}
}

uint64_t where_unexplained(const struct where_survey *survey, const struct memory_counters *c,
			   uint64_t mapped_shmem)
{
	uint64_t explained = add_u64(add_u64(survey->held_bytes, survey->hidden_tmpfs),
				     add_u64(survey->tmpfs_bytes, survey->sysv_bytes));

	if (survey->is_partial || survey->has_more_receivers || survey->has_other_holders)
		return 0;
	return sub_u64(worth_unowned_shmem(c, mapped_shmem), explained);
}

unsigned where_holders(const struct where_survey *survey, const struct memory_counters *c,
		       uint64_t mapped_shmem, struct where_holder ret[static WHERE_HOLDERS_MAX])
{
	uint64_t shmem = sub_u64(worth_unowned_shmem(c, mapped_shmem),
				 add_u64(survey->tmpfs_bytes, survey->sysv_bytes));
	uint64_t memfds = min_u64(survey->memfds.unmeasured, shmem);
	uint64_t all = add_u64(c->shmem, sub_u64(c->swap_total, c->swap_free));
	unsigned n = 0;

	if (survey->is_partial && memfds < shmem / 4 * 3)
		memfds = 0;
	for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++) {
		n = add_holder(ret, n, &survey->unmapped[i], survey->unmapped[i].bytes, all);
		add_unmeasured(ret, n, &survey->unmapped[i], survey->unmapped[i].unmeasured);
	}
	n = add_holder(ret, n, &survey->memfds, memfds, all);
	add_unmeasured(ret, n, &survey->memfds, memfds);
	n = add_holder(ret, n, &survey->pipes, min_u64(survey->pipes.bytes, worth_unaccounted(c)),
		       UINT64_MAX);
	sort_holders(ret, n);
	return n;
}

void where_account(const struct memory_counters *c, const struct where_survey *survey,
		   struct where_account *ret)
{
	bool has_pipes = survey && survey->pipes.n >= WHERE_PIPES_MIN;

	*ret = (struct where_account){
		.total = c->total,
		.is_surveyed = survey != NULL,
		.is_partial = survey && survey->is_partial,
	};
	add(ret, WHERE_PROCESSES, add_u64(c->anon, c->page_tables), NULL);
	add_shmem(ret, c->shmem, survey);
	add(ret, WHERE_SLAB, c->slab_unreclaimable, NULL);
	add(ret, WHERE_HUGETLB, c->hugetlb, NULL);
	add(ret, WHERE_KERNEL_STACK, c->kernel_stack, NULL);
	add(ret, WHERE_PERCPU, c->percpu, NULL);
	add(ret, WHERE_ZRAM, c->zram_used, NULL);
	add(ret, WHERE_UNACCOUNTED, worth_unaccounted(c), has_pipes ? &survey->pipes : NULL);
	while (ret->n_rows > 1 && ret->rows[ret->n_rows - 1].bytes < c->total / WHERE_ROW_SHARE)
		ret->n_rows--;
}

static uint64_t bytes_of(const struct where_account *a, const struct where_row *like)
{
	for (unsigned i = 0; i < a->n_rows; i++)
		if (a->rows[i].kind == like->kind && strcmp(a->rows[i].path, like->path) == 0)
			return a->rows[i].bytes;
	return 0;
}

/* Are there rows in a that differ much in b? */
static bool differs(const struct where_account *a, const struct where_account *b)
{
	for (unsigned i = 0; i < a->n_rows; i++) {
		uint64_t x = a->rows[i].bytes, y = bytes_of(b, &a->rows[i]);

		if (sub_u64(x, y) + sub_u64(y, x) >= max_u64(1, a->total / WHERE_CHANGE_SHARE))
			return true;
	}
	return false;
}

bool where_has_changed(const struct where_account *before, const struct where_account *now)
{
	if (before->n_rows == 0 || now->n_rows == 0)
		return before->n_rows != now->n_rows;
	return bytes_of(before, &now->rows[0]) == 0 ||
	       (before->is_surveyed == now->is_surveyed &&
		(differs(before, now) || differs(now, before)));
}

const char *where_row_text(const struct where_row *row, char buf[static WHERE_ROW_SIZE])
{
	char path[WHERE_PATH_MAX], comm[16];
	int n = snprintf(buf, WHERE_ROW_SIZE, "%s%s%s", row->text, *row->path ? " " : "",
			 format_foreign(row->path, path, sizeof(path)));

	if (row->pid != 0 && n > 0 && n < WHERE_ROW_SIZE)
		snprintf(buf + n, WHERE_ROW_SIZE - (size_t)n, "; %s %s (pid %d)",
			 relations[row->kind] ? relations[row->kind] : "likely held by",
			 format_foreign(row->comm, comm, sizeof(comm)), row->pid);
	return buf;
}

const char *where_line(const struct where_account *account, char *buf, size_t size)
{
	struct format_text line = { .buf = buf, .size = size };

	buf[0] = '\0';
	for (unsigned i = 0; i < account->n_rows && i < WHERE_LINE_ROWS; i++) {
		char bytes[FORMAT_BYTES_SIZE], text[WHERE_ROW_SIZE];

		format_add(&line, "%s%s %s", i > 0 ? ", " : "",
			   format_bytes(account->rows[i].bytes, bytes),
			   where_row_text(&account->rows[i], text));
	}
	if (account->n_rows == 0)
		snprintf(buf, size, "not known");
	return buf;
}
