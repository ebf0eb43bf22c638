/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory: what is made of the kernel's numbers, and that libproc2 gives them.
 *
 * libproc2 reads the machine's own /proc; so the fixtures are bound over it, in a mount namespace
 * of a child (root's, or in a user namespace of its own).
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/memory.h"
#include "lib/sys/proc-virtual.h"
#include "lib/sys/zram.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096

static void test_evaluate_counts_what_can_be_freed(void **state)
{
	struct memory_counters c = {
		.total = 1000 * MIB,
		.available = 400 * MIB,
		.slab_unreclaimable = 40 * MIB,
		.percpu = 10 * MIB,
		.allocated_pages = 7,
		.freed_pages = 5,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, 950 * MIB);
	assert_int_equal(r.available, 400 * MIB);
	assert_int_equal(r.allocated, 7 * PAGE);
	assert_int_equal(r.freed, 5 * PAGE);
	assert_int_equal(memory_available_permyriad(&r), 4210);
	assert_int_equal(memory_swap_free_permyriad(&r), 0); /* no swap: exhausted */
}

/* Half of the machine is a huge-page pool: percentages are of the rest. */
static void test_evaluate_leaves_out_the_huge_page_pool(void **state)
{
	struct memory_counters c = {
		.total = 8 * GIB,
		.available = 400 * MIB,
		.hugetlb = 4 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, 4 * GIB);
	assert_int_equal(memory_available_permyriad(&r), 976);
}

static void test_evaluate_never_divides_by_next_to_nothing(void **state)
{
	struct memory_counters c = {
		.total = 8 * GIB,
		.available = 100 * MIB,
		.hugetlb = 7 * GIB,
		.slab_unreclaimable = 2 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, GIB);
}

static void test_evaluate_counts_arc_as_available(void **state)
{
	struct memory_counters c = {
		.total = 16 * GIB,
		.available = 2 * GIB,
		.slab_unreclaimable = 9 * GIB,
		.arc_size = 8 * GIB,
		.arc_min = GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 9 * GIB);
	assert_int_equal(r.total, 14 * GIB);
	c.arc_size = GIB / 2; /* below its minimum: nothing to free */
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 2 * GIB);
}

static void test_evaluate_counts_the_lists_of_free_pages(void **state)
{
	struct memory_counters c = {
		.total = 1000 * MIB,
		.available = 50 * MIB,
		.slab_unreclaimable = 100 * MIB,
		.free_listed = 120 * MIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 170 * MIB);
	c.free_listed = 2000 * MIB; /* never more than there is */
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 900 * MIB);
}

static void test_evaluate_zram_counts_by_what_it_frees(void **state)
{
	static const struct {
		uint64_t disk_mib, free_mib; /* of all swap */
		uint64_t stored_mib, used_mib;
		uint64_t expected_free_mib;
	} rows[] = {
		{ 0, 512, 0, 0, 307 },		/* nothing stored yet: 40 % is assumed */
		{ 0, 256, 256, 128, 128 },	/* 2:1, half full */
		{ 0, 256, 256, 256, 0 },	/* does not compress: no use */
		{ 0, 256, 256, 300, 0 },	/* costs more than it holds */
		{ 0, 0, 512, 128, 0 },		/* full */
		{ 1024, 1280, 256, 128, 1152 }, /* a disk beside it counts whole */
		{ 1024, 100, 256, 128, 50 },	/* what is free is on zram, at most */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = {
			.total = GIB,
			.swap_total = (512 + rows[i].disk_mib) * MIB,
			.swap_free = rows[i].free_mib * MIB,
			.zram_disksize = 512 * MIB,
			.zram_stored = rows[i].stored_mib * MIB,
			.zram_used = rows[i].used_mib * MIB,
		};
		struct memory_reading r;

		memory_evaluate(&c, PAGE, &r);
		if (r.swap_free / MIB != rows[i].expected_free_mib)
			fail_msg("row %zu: %llu MiB", i, (unsigned long long)(r.swap_free / MIB));
		assert_int_equal(r.swap_total, c.swap_total);
	}
}

static void test_zram_is_barred_by_its_limit(void **state)
{
	static const struct {
		uint64_t disk_mib, stored_mib, used_mib, limit_mib, expected_mib;
	} rows[] = {
		{ 8192, 1492, 512, 0, 0 },	 /* no limit */
		{ 8192, 1492, 512, 512, 6700 },	 /* met: all that is left */
		{ 8192, 1492, 600, 512, 6700 },	 /* more than met */
		{ 8192, 1024, 512, 1024, 6144 }, /* 2:1, half: as much again, of 7168 */
		{ 2048, 1024, 512, 1024, 0 },	 /* what is left fits */
		{ 1024, 0, 0, 200, 524 },	 /* nothing stored yet: 40 % is assumed */
		{ 8192, 4096, 1, 2, 0 },	 /* all of one page's kind */
		{ 8192, 4096, 2, 2, 4096 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct zram_device device = {
			.disksize = rows[i].disk_mib * MIB,
			.stored = rows[i].stored_mib * MIB,
			.used = rows[i].used_mib * MIB,
			.limit = rows[i].limit_mib * MIB,
		};

		if (zram_barred(&device) / MIB != rows[i].expected_mib)
			fail_msg("row %zu: %llu MiB", i,
				 (unsigned long long)(zram_barred(&device) / MIB));
	}
}

static void test_evaluate_counts_no_swap_that_is_barred(void **state)
{
	struct memory_counters c = {
		.total = 4 * GIB,
		.swap_total = 9 * GIB,
		.swap_free = 7 * GIB,
		.zram_disksize = 8 * GIB,
		.zram_stored = 2 * GIB,
		.zram_used = 1 * GIB,
		.zram_barred = 6 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.swap_free, GIB); /* on the disk beside it */
	c.zram_barred = 4 * GIB;
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.swap_free, 2 * GIB);
}

/* A machine of 2 GiB, consistent, in MiB. */
#define SANE                                                                                       \
	.total = 2048, .free = 300, .available = 500, .anon = 1000, .cached = 400, .shmem = 100,   \
	.active_anon = 900, .inactive_anon = 250, .active_file = 200, .inactive_file = 100,        \
	.swap_total = 512, .swap_free = 200, .slab = 60, .slab_reclaimable = 20,                   \
	.slab_unreclaimable = 40, .page_tables = 10, .kernel_stack = 5, .percpu = 2

/* (In a test's table all is in MiB.) */
static void scale(struct memory_counters *c, uint64_t unit)
{
	uint64_t *fields[] = {
		&c->total,
		&c->available,
		&c->free,
		&c->free_listed,
		&c->anon,
		&c->shmem,
		&c->active_anon,
		&c->inactive_anon,
		&c->active_file,
		&c->inactive_file,
		&c->cached,
		&c->buffers,
		&c->page_tables,
		&c->kernel_stack,
		&c->swap_total,
		&c->swap_free,
		&c->slab,
		&c->hugetlb,
		&c->slab_unreclaimable,
		&c->percpu,
		&c->arc_size,
		&c->arc_min,
		&c->slab_reclaimable,
		&c->kernel_reclaimable,
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		*fields[i] *= unit;
}

static void test_reconcile_leaves_sane_figures_alone(void **state)
{
	static const struct memory_counters rows[] = {
		{ SANE },
		{ SANE, .kernel_reclaimable = 60 },
		{ SANE, .hugetlb = 200, .free_listed = 100 },
		{ SANE, .arc_size = 450, .arc_min = 60 },
		/* Lazily freed memory is on the file lists, and counts as available. */
		{ .total = 2048,
		  .free = 100,
		  .available = 900,
		  .anon = 1500,
		  .cached = 100,
		  .active_anon = 600,
		  .inactive_file = 900 },
		{ .total = 2048, .available = 500 }, /* the parts are not known */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters before = rows[i], c;

		scale(&before, MIB);
		c = before;
		if (i + 1 < ARRAY_SIZE(rows))
			assert_int_equal(memory_reconcile(&c), 0);
		else
			assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_AVAILABLE);
		if (memcmp(&c, &before, sizeof(c)) != 0)
			fail_msg("row %zu was changed", i);
	}
}

/* What only the host can have, and, with the mount seen, what it may have. */
static void test_reconcile_forgets_what_is_the_hosts(void **state)
{
	static const struct memory_counters rows[] = {
		{ SANE, .virtualised = true },
		{ SANE, .virtualised = true, .arc_size = 100, .free_listed = 100, .hugetlb = 100 },
		{ SANE, .arc_size = 40000, .arc_min = 1000 },
		{ SANE, .free_listed = 5000 },
		{ SANE, .hugetlb = 65536 },
		{ SANE, .kernel_reclaimable = 3000, .arc_size = 1800 },
		{ .total = 256,
		  .free = 5,
		  .available = 10,
		  .cached = 5,
		  .slab_unreclaimable = 700 },
		{ .total = 2048,
		  .free = 300,
		  .available = 500,
		  .anon = 9000,
		  .cached = 400,
		  .active_anon = 900,
		  .inactive_anon = 250,
		  .shmem = 150,
		  .active_file = 250 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = rows[i];
		struct memory_reading r;

		scale(&c, MIB);
		assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_ORIGIN);
		assert_true(c.virtualised);
		memory_evaluate(&c, PAGE, &r);
		if (r.total != rows[i].total * MIB || r.available != rows[i].available * MIB)
			fail_msg("row %zu: %llu of %llu MiB", i,
				 (unsigned long long)(r.available / MIB),
				 (unsigned long long)(r.total / MIB));
		assert_int_equal(c.hugetlb + c.arc_size + c.free_listed + c.percpu + c.page_tables +
					 c.kernel_stack + c.kernel_reclaimable +
					 c.slab_unreclaimable,
				 0);
		if (rows[i].active_anon > 0)
			assert_int_equal(c.anon, (900 + 250) * MIB - c.shmem);
	}
}

static void test_reconcile_takes_no_shmem_for_cache(void **state)
{
	struct memory_counters c = {
		.total = 2048 * MIB,
		.free = 40 * MIB,
		.available = 1600 * MIB,
		.cached = 1560 * MIB,
		.shmem = 1550 * MIB,
		.slab_reclaimable = 20 * MIB,
	};

	assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_AVAILABLE);
	assert_int_equal(c.available, 70 * MIB);
	assert_int_equal(memory_reconcile(&c), 0);
	/* By less than counters may differ that are read one after the other: not worth a word. */
	c.available = 71 * MIB;
	assert_int_equal(memory_reconcile(&c), 0);
	assert_int_equal(c.available, 70 * MIB);
	c.available = (uint64_t)-4096;
	assert_int_equal(memory_reconcile(&c), 0);
	assert_int_equal(c.available, 0);
}

static void test_reconcile_has_no_more_swap_free_than_there_is(void **state)
{
	static const struct {
		uint64_t total, free, expected_total, expected_free;
		bool doubt;
	} rows[] = {
		{ GIB, GIB, GIB, GIB, false },
		{ GIB, 0, GIB, 0, false },
		{ 0, 0, 0, 0, false },
		{ GIB, GIB + KIB, GIB, GIB, true },
		{ GIB, (uint64_t)-256 * KIB, GIB, 0, true }, /* more used than there is */
		{ 0, (uint64_t)-256 * KIB, 0, 0, true },
		{ 0, GIB, 0, 0, true },
		{ (uint64_t)-KIB, (uint64_t)-KIB, 0, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = {
			.total = GIB,
			.swap_total = rows[i].total,
			.swap_free = rows[i].free,
		};

		assert_int_equal(memory_reconcile(&c), rows[i].doubt ? MEMORY_DOUBT_SWAP : 0);
		assert_int_equal(c.swap_total, rows[i].expected_total);
		assert_int_equal(c.swap_free, rows[i].expected_free);
	}
}

static void test_every_doubt_has_a_text_of_its_own(void **state)
{
	for (unsigned i = 0; i < MEMORY_DOUBTS; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(memory_doubt_to_string(1U << i),
						memory_doubt_to_string(1U << j));
	assert_string_equal(memory_doubt_to_string(1U << MEMORY_DOUBTS), "");
}

/* Counts how often arcstats is opened, and hides it. */
static bool hidden_arcstats;
static unsigned n_asked_for_arcstats;

int __real_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags)
{
	n_asked_for_arcstats += strstr(path, "arcstats") != NULL;
	if (hidden_arcstats)
		return -1;
	return __real_faccessat(fd, path, mode, flags);
}

/* In a child: a fixture's files over those of /proc; false where that is not permitted. */
static bool put_on_fixture(const char *fixture)
{
	static const char *const files[] = { "meminfo", "vmstat" };
	char path[4096], target[64];

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/memory/%s/proc/%s", getenv("FIXTURES"), fixture,
			 files[i]);
		snprintf(target, sizeof(target), "/proc/%s", files[i]);
		if (mount(path, target, NULL, MS_BIND, NULL) < 0)
			return false;
	}
	return true;
}

static int open_fixture(const char *fixture, const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/memory/%s/%s", getenv("FIXTURES"), fixture, directory);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Samples the fixture in a child and gets the reading back by a pipe. */
static void sample_fixture_by(int (*sample)(struct memory_source *, struct memory_reading *),
			      const char *fixture, struct memory_reading *ret)
{
	int pipe_fds[2], status;
	pid_t pid;

	assert_non_null(getenv("FIXTURES"));
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct memory_source *source = NULL;
		struct memory_reading r = { 0 };

		if (!put_on_fixture(fixture))
			_exit(77);
		if (memory_source_new(open_fixture(fixture, "proc"), open_fixture(fixture, "sys"),
				      &source) < 0 ||
		    sample(source, &r) < 0)
			_exit(1);
		memory_source_free(source);
		_exit(write(pipe_fds[1], &r, sizeof(r)) == sizeof(r) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[1]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		close(pipe_fds[0]);
		print_message("SKIP: no mount namespace may be made here\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_int_equal(read(pipe_fds[0], ret, sizeof(*ret)), sizeof(*ret));
	close(pipe_fds[0]);
}

static void sample_fixture(const char *fixture, struct memory_reading *ret)
{
	sample_fixture_by(memory_sample, fixture, ret);
}

static void test_sample_without_swap(void **state)
{
	struct memory_reading r;

	sample_fixture("no-swap", &r);
	assert_int_equal(r.counters.total, 1000000 * KIB);
	assert_int_equal(r.total, 950000 * KIB);
	assert_int_equal(r.available, 400000 * KIB);
	assert_int_equal(r.counters.free, 300000 * KIB);
	assert_int_equal(r.counters.anon, 350000 * KIB);
	assert_int_equal(r.counters.shmem, 8000 * KIB);
	assert_int_equal(r.swap_total, 0);
	assert_int_equal(r.counters.allocated_pages, 201040);
	assert_int_equal(r.counters.freed_pages, 5);
	assert_int_equal(r.counters.oom_kills, 2);
}

/* 17, 1444, 19522 and 30001 pages; a number lies across two reads. */
static void test_sample_counts_the_lists_of_free_pages(void **state)
{
	struct memory_reading r;

	sample_fixture("free-lists", &r);
	assert_int_equal(r.counters.free_listed, 50984 * sysconf(_SC_PAGESIZE));
	assert_int_equal(r.available, 50000 * KIB + r.counters.free_listed);
}

/* In calm, with 40 % available, they are left out; with 5 % they are not. */
static void test_sample_levels_leaves_the_lists_out_while_there_is_much(void **state)
{
	struct memory_reading r;

	sample_fixture_by(memory_sample_levels, "free-lists-calm", &r);
	assert_int_equal(r.available, 400000 * KIB);
	sample_fixture_by(memory_sample, "free-lists-calm", &r);
	assert_int_equal(r.available, 400000 * KIB + 50984 * sysconf(_SC_PAGESIZE));
	sample_fixture_by(memory_sample_levels, "free-lists", &r);
	assert_int_equal(r.available, 50000 * KIB + 50984 * sysconf(_SC_PAGESIZE));
}

static int sample_without_vmstat(struct memory_source *source, struct memory_reading *ret)
{
	struct memory_source *other;
	int r;

	r = memory_source_new(open_fixture("no-swap", "."), -EBADF, &other);
	if (r < 0)
		return r;
	r = memory_sample(other, ret);
	memory_source_free(other);
	return r;
}

/* Levels are what counts most. */
static void test_sample_continues_without_vmstat(void **state)
{
	struct memory_reading r;

	sample_fixture_by(sample_without_vmstat, "no-swap", &r);
	assert_int_equal(r.available, 400000 * KIB);
	assert_int_equal(r.allocated, 0);
	assert_int_equal(r.doubts, MEMORY_DOUBT_EVENTS);
}

static void test_sample_with_swap_and_huge_pages(void **state)
{
	struct memory_reading r;

	sample_fixture("with-swap", &r);
	assert_int_equal(r.total, (8000000 - 4000000 - 100000) * KIB);
	assert_int_equal(r.swap_total, 2000000 * KIB);
	assert_int_equal(r.swap_free, 150000 * KIB);
	assert_int_equal(memory_swap_free_permyriad(&r), 750);
	assert_int_equal(r.counters.allocated_pages, 5000007);
}

/* Every item is found under its own name, and the levels alone give them too. */
static void test_sample_returns_every_item(void **state)
{
	static int (*const samplers[])(struct memory_source *, struct memory_reading *) = {
		memory_sample,
		memory_sample_levels,
	};

	for (size_t i = 0; i < ARRAY_SIZE(samplers); i++) {
		struct memory_counters c;
		struct memory_reading r;

		sample_fixture_by(samplers[i], "every-item", &r);
		c = r.counters;
		assert_int_equal(c.total, 8000001 * KIB);
		assert_int_equal(c.free, 300002 * KIB);
		assert_int_equal(c.available, 600003 * KIB);
		assert_int_equal(c.buffers, 1004 * KIB);
		assert_int_equal(c.cached, 404805 * KIB);
		assert_int_equal(c.swap_cached, 206 * KIB);
		assert_int_equal(c.unevictable, 307 * KIB);
		assert_int_equal(c.mlocked, 208 * KIB);
		assert_int_equal(c.swap_total, 2000009 * KIB);
		assert_int_equal(c.swap_free, 150010 * KIB);
		assert_int_equal(c.anon, 3000011 * KIB);
		assert_int_equal(c.shmem, 70012 * KIB);
		assert_int_equal(c.kernel_reclaimable, 20513 * KIB);
		assert_int_equal(c.slab, 120014 * KIB);
		assert_int_equal(c.slab_reclaimable, 20015 * KIB);
		assert_int_equal(c.slab_unreclaimable, 99999 * KIB);
		assert_int_equal(c.kernel_stack, 3016 * KIB);
		assert_int_equal(c.page_tables, 40017 * KIB);
		assert_int_equal(c.percpu, 18018 * KIB);
		assert_int_equal(c.hugetlb, 2000019 * KIB);
	}
}

static void test_sample_zram_only_where_it_is_swap(void **state)
{
	struct memory_reading r;

	sample_fixture("zram", &r);
	assert_int_equal(r.counters.zram_disksize, 536870912);
	assert_int_equal(r.counters.zram_stored, 268435456);
	assert_int_equal(r.counters.zram_used, 134217728);
	assert_int_equal(r.swap_free / MIB, 127);
}

static void write_file(int directory_fd, const char *path, const char *text)
{
	int fd = openat(directory_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void remove_tree(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", path);
	assert_int_equal(system(command), 0);
}

/* Its node may be called anything: the numbers tell. */
static void test_zram_is_known_by_its_device_numbers(void **state)
{
	char directory[] = "/tmp/test-memory.XXXXXX", node[64], swaps[128];
	struct memory_counters c = { .total = GIB, .swap_total = GIB };
	int fd;

	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(node, sizeof(node), "%s/compressed", directory);
	if (mknod(node, S_IFBLK | 0600, makedev(259, 77)) < 0) {
		remove_tree(directory);
		print_message("SKIP: no device node may be made here\n");
		skip();
	}
	snprintf(swaps, sizeof(swaps), "Filename Type Size Used Priority\n%s partition 1 1 5\n",
		 node);
	write_file(fd, "swaps", swaps);
	for (const char *const *d =
		     (const char *const[]){ "block", "block/zram7", "dev", "dev/block", NULL };
	     *d; d++)
		assert_int_equal(mkdirat(fd, *d, 0700), 0);
	write_file(fd, "block/zram7/disksize", "1073741824\n");
	write_file(fd, "block/zram7/mm_stat", "67108864 1 33554432 0 0 0 0 0 0\n");

	zram_sample(fd, fd, &c); /* not in sysfs */
	assert_int_equal(c.zram_disksize, 0);
	assert_int_equal(symlinkat("../../devices/pci/block/sda", fd, "dev/block/259:77"), 0);
	zram_sample(fd, fd, &c);
	assert_int_equal(c.zram_disksize, 0);
	assert_int_equal(unlinkat(fd, "dev/block/259:77", 0), 0);
	assert_int_equal(symlinkat("../../devices/virtual/block/zram7", fd, "dev/block/259:77"), 0);
	zram_sample(fd, fd, &c);
	assert_int_equal(c.zram_disksize, GIB);
	assert_int_equal(c.zram_used, 32 * MIB);
	close(fd);
	remove_tree(directory);
}

static void test_sample_zfs(void **state)
{
	struct memory_reading r;

	sample_fixture("zfs", &r);
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.counters.arc_min, GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

/* In a process of its own: the limit is not raised again. */
static int sample_without_files(struct memory_source *source, struct memory_reading *ret)
{
	struct rlimit none = { 0, 0 };
	int r = memory_sample(source, ret);

	if (r < 0 || setrlimit(RLIMIT_NOFILE, &none) < 0)
		return r < 0 ? r : -errno;
	return memory_sample(source, ret);
}

/* What cannot be read for want of files has not shrunk. */
static void test_sample_zfs_without_files(void **state)
{
	struct memory_reading r;

	sample_fixture_by(sample_without_files, "zfs", &r);
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

/* As test_sample_zfs(), but arcstats is there only after a while. */
static int sample_before_and_after(struct memory_source *source, struct memory_reading *ret)
{
	for (unsigned i = 0; i < 100; i++) {
		hidden_arcstats = true;
		if (memory_sample(source, ret) < 0 || ret->counters.arc_size != 0)
			return -1;
	}
	/* Searched for often at first, and then less. */
	if (n_asked_for_arcstats < 8 || n_asked_for_arcstats > 12)
		return -2;
	hidden_arcstats = false;
	for (unsigned i = 0; i < 41 && ret->counters.arc_size == 0; i++)
		if (memory_sample(source, ret) < 0)
			return -1;
	return 0;
}

static void test_sample_finds_zfs_that_comes_later(void **state)
{
	struct memory_reading r;

	hidden_arcstats = true;
	sample_fixture_by(sample_before_and_after, "zfs", &r);
	hidden_arcstats = false;
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

/* Retyped from people's reports. */
static void test_sample_figures_as_reported(void **state)
{
	static const struct {
		const char *fixture;
		uint64_t total_kib, available_kib, swap_total_kib, swap_free_kib;
		unsigned doubts;
	} rows[] = {
		/* 64 CPUs' lists and 40 GiB of ARC are the host's; swap is used beyond its limit.
		 */
		{ "lxcfs", 2097152, 61440, 1048576, 0, MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_SWAP },
		/* The same without the mount. */
		{ "lxcfs-unseen", 2097152, 61440, 1048576, 0,
		  MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_SWAP },
		/* All cache counts as available; nearly all of it is shmem. */
		{ "lxcfs-shmem", 2097152, 72704, 0, 0,
		  MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_AVAILABLE },
		/* Data that cannot be compressed, on /dev/block/zram0. */
		{ "zram-android", 4161536, 102400, 2097152, 12288, 0 },
		/* At its mem_limit; half a gigabyte on a disk beside it. */
		{ "zram-limit", 4161536, 102400, 8912896, 524288, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_reading r;

		sample_fixture(rows[i].fixture, &r);
		if (r.total != rows[i].total_kib * KIB ||
		    r.available != rows[i].available_kib * KIB ||
		    r.swap_total != rows[i].swap_total_kib * KIB ||
		    r.swap_free != rows[i].swap_free_kib * KIB || r.doubts != rows[i].doubts)
			fail_msg("%s: %llu of %llu KiB, swap %llu of %llu KiB, doubts %u",
				 rows[i].fixture, (unsigned long long)(r.available / KIB),
				 (unsigned long long)(r.total / KIB),
				 (unsigned long long)(r.swap_free / KIB),
				 (unsigned long long)(r.swap_total / KIB), r.doubts);
	}
}

static void test_virtual_files_are_known_by_mountinfo(void **state)
{
	static const struct {
		const char *name, *mountinfo;
		bool expected;
	} rows[] = {
		{ "meminfo",
		  "1 0 0:9 / / rw - ext4 /dev/x rw\n"
		  "2 1 0:61 /proc/meminfo /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw\n",
		  true },
		{ "meminfo", "2 1 0:61 /proc/meminfo /proc/meminfo rw shared:3 - fuse x rw", true },
		{ "loadavg", "2 1 0:61 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n",
		  false },
		/* What is bound may be the kernel's, too. */
		{ "meminfo", "2 1 0:5 /meminfo /proc/meminfo ro - proc proc rw\n", false },
		{ "meminfo", "2 1 0:5 / /proc rw - proc proc rw\n", false },
		{ "meminfo", "2 1 0:5 / /proc/xmeminfo rw - tmpfs x rw\n", false },
		{ "meminfo", "2 1 0:5 / /meminfo rw - tmpfs x rw\n", false },
		{ "meminfo", "2 1 0:5 /proc/meminfo", false },
		{ "meminfo", "", false },
	};
	char directory[] = "/tmp/test-memory.XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/self", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(proc_is_virtualised(fd, "meminfo")); /* no mountinfo */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_file(fd, "self/mountinfo", rows[i].mountinfo);
		if (proc_is_virtualised(fd, rows[i].name) != rows[i].expected)
			fail_msg("row %zu", i);
	}
	close(fd);
	remove_tree(directory);
}

/* On this machine, in a child: meminfo and vmstat are mounted over, loadavg is not. */
static int ask_of_mounts(struct memory_source *source, struct memory_reading *ret)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ret->counters.virtualised = proc_is_virtualised(proc_fd, "meminfo") &&
				    proc_is_virtualised(proc_fd, "vmstat") &&
				    !proc_is_virtualised(proc_fd, "loadavg") &&
				    !proc_is_virtualised(proc_fd, "nothing");
	return 0;
}

static void test_virtual_files_are_known_by_their_mount(void **state)
{
	struct memory_reading r;

	sample_fixture_by(ask_of_mounts, "no-swap", &r);
	assert_true(r.counters.virtualised);
}

static uint64_t own_meminfo(const char *key)
{
	char line[256];
	uint64_t value = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 10) * KIB;
	fclose(f);
	return value;
}

static void test_sample_this_machine_without_allocating(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct memory_source *source = NULL;
	struct memory_reading r, later;
	volatile char *touched;
	int result;

	assert_int_equal(memory_source_new(proc_fd, sys_fd, &source), 0);
	assert_int_equal(memory_sample(source, &r), 0);
	assert_int_equal(r.counters.total, own_meminfo("MemTotal:"));
	assert_int_equal(r.swap_total, own_meminfo("SwapTotal:"));

	/* Twice without a cache between: what was allocated shows at once. */
	touched = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(touched != MAP_FAILED);
	for (size_t i = 0; i < 16 * MIB; i += PAGE)
		touched[i] = 1;
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	result = memory_sample(source, &later);
	fail_malloc = false;
	assert_int_equal(result, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(later.allocated >= r.allocated + 16 * MIB);

	/* The levels alone: they are new, what was allocated is as before. */
	r.available = r.counters.free = 0;
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	result = memory_sample_levels(source, &r);
	fail_malloc = false;
	assert_int_equal(result, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(r.available > 0 && r.counters.free > 0);
	assert_true(r.allocated > 0 && r.allocated < later.allocated);
	assert_int_equal(r.counters.oom_kills, later.counters.oom_kills);

	/* What was freed, too, though the kernel's lists may keep it from MemAvailable; but for the
	 * pages that are on their way to the LRU list (folio_batch_add()). */
	assert_int_equal(munmap((void *)touched, 16 * MIB), 0);
	assert_int_equal(memory_sample(source, &r), 0);
	assert_true(r.freed >= later.freed + 15 * MIB);

	memory_source_free(source);
	close(proc_fd);
	close(sys_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evaluate_counts_what_can_be_freed),
		cmocka_unit_test(test_evaluate_leaves_out_the_huge_page_pool),
		cmocka_unit_test(test_evaluate_never_divides_by_next_to_nothing),
		cmocka_unit_test(test_evaluate_counts_arc_as_available),
		cmocka_unit_test(test_evaluate_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_evaluate_zram_counts_by_what_it_frees),
		cmocka_unit_test(test_zram_is_barred_by_its_limit),
		cmocka_unit_test(test_evaluate_counts_no_swap_that_is_barred),
		cmocka_unit_test(test_reconcile_leaves_sane_figures_alone),
		cmocka_unit_test(test_reconcile_forgets_what_is_the_hosts),
		cmocka_unit_test(test_reconcile_takes_no_shmem_for_cache),
		cmocka_unit_test(test_reconcile_has_no_more_swap_free_than_there_is),
		cmocka_unit_test(test_every_doubt_has_a_text_of_its_own),
		cmocka_unit_test(test_sample_without_swap),
		cmocka_unit_test(test_sample_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_sample_levels_leaves_the_lists_out_while_there_is_much),
		cmocka_unit_test(test_sample_continues_without_vmstat),
		cmocka_unit_test(test_sample_with_swap_and_huge_pages),
		cmocka_unit_test(test_sample_returns_every_item),
		cmocka_unit_test(test_sample_zram_only_where_it_is_swap),
		cmocka_unit_test(test_zram_is_known_by_its_device_numbers),
		cmocka_unit_test(test_sample_zfs),
		cmocka_unit_test(test_sample_zfs_without_files),
		cmocka_unit_test(test_sample_finds_zfs_that_comes_later),
		cmocka_unit_test(test_sample_figures_as_reported),
		cmocka_unit_test(test_virtual_files_are_known_by_mountinfo),
		cmocka_unit_test(test_virtual_files_are_known_by_their_mount),
		cmocka_unit_test(test_sample_this_machine_without_allocating),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
