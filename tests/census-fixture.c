/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-fixture: writes a /proc of files, and reads the census from it. */
#include "tests/census-fixture.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

void put(const struct world *world, int pid, const char *file, const char *format, ...)
{
	char path[256];
	va_list ap;
	FILE *f;

	if (pid)
		snprintf(path, sizeof(path), "%s/%d/%s", world->path, pid, file);
	else
		snprintf(path, sizeof(path), "%s/%s", world->path, file);
	f = fopen(path, "we");
	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fclose(f);
}

void put_process(const struct world *world, const struct row *row)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d", world->path, row->pid);
	mkdir(path, 0755);
	put(world, row->pid, "stat",
	    "%d (%s) %c %d 1 1 0 -1 %u 1 0 0 0 1 1 0 0 20 0 %u 0 %llu 1000000 %lu 1 1 1 1 1 1 0 0 0 0 "
	    "0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
	    row->pid, row->comm, row->state, row->ppid ? row->ppid : 1, row->flags, row->n_threads,
	    row->start, row->resident);
	put(world, row->pid, "statm", "%lu %lu %lu 1 0 1 0\n", row->resident + 100, row->resident,
	    row->shared);
	put(world, row->pid, "status",
	    "Name:\t%s\nState:\t%c\nPid:\t%d\nPPid:\t1\nUid:\t%u\t%u\t%u\t%u\n"
	    "VmSize:\t%8lu kB\nVmLck:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t       0 kB\n"
	    "VmExe:\t       4 kB\nVmPTE:\t       0 kB\nVmSwap:\t%8lu kB\nThreads:\t%u\n",
	    row->comm, row->state, row->pid, row->uid, row->uid, row->uid, row->uid,
	    4 * (row->resident + 100), row->locked_kib, 4 * (row->resident - row->shared),
	    4 * row->shared, row->swap_kib, row->n_threads);
	put(world, row->pid, "cgroup", "0::%s\n", row->cgroup);
	put(world, row->pid, "oom_score_adj", "%d\n", row->adj);
}

void remove_process(const struct world *world, int pid)
{
	static const char *const files[] = { "stat",   "statm",		"status",
					     "cgroup", "oom_score_adj", "" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%d/%s", world->path, pid, files[i]);
		assert_int_equal(remove(path), 0);
	}
}

int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;

	/* (Hundreds of small files, rewritten again and again: on a disk that takes half a minute.)
	 */
	strcpy(world->path, "/dev/shm/test-census.XXXXXX");
	if (!mkdtemp(world->path)) {
		strcpy(world->path, "/tmp/test-census.XXXXXX");
		assert_non_null(mkdtemp(world->path));
	}
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Any directory does for a v2 mount: only that there is one counts here. */
	cgroup_fs_init(&world->cgroups, dup(world->proc_fd), -EBADF);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	put(world, 0, "loadavg", "0.00 0.01 0.00 1/123 500\n");
	assert_int_equal(census_init(&world->census, world->proc_fd, &world->cgroups,
				     &exact_accuracy, &world->policies),
			 0);
	*state = world;
	return 0;
}

int teardown(void **state)
{
	struct world *world = *state;
	char command[128];

	census_done(&world->census);
	policy_set_done(&world->policies);
	cgroup_fs_done(&world->cgroups);
	close(world->proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

const struct row browser = { .pid = 300,
			     .comm = "browser",
			     .state = 'S',
			     .n_threads = 1,
			     .start = 77,
			     .resident = 1000,
			     .shared = 400,
			     .swap_kib = 8,
			     .uid = 1000,
			     .cgroup = "/user.slice/a.scope",
			     .adj = 100 };

const struct census_process *sweep_and_find(struct world *world, usec_t now, uint64_t allocated,
					    bool with_swap, pid_t pid)
{
	assert_int_equal(census_sweep(&world->census, now, allocated, with_swap), 0);
	return census_find(&world->census, pid);
}

void last_pid(const struct world *world, int pid)
{
	put(world, 0, "loadavg", "0.00 0.01 0.00 1/123 %d\n", pid);
}

usec_t fake_clock_now;

usec_t fake_clock(void)
{
	return fake_clock_now += 10;
}

usec_t ticks;
usec_t count_ticks(void)
{
	return ++ticks;
}

unsigned catch_up(struct world *world)
{
	unsigned n_slices = 1;
	int r;

	while ((r = census_catch_up(&world->census, 2, 2, false, count_ticks, ticks + 2)) == 0)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	return n_slices;
}
