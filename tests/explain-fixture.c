/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain-fixture: writes a /proc and its cgroups, and makes a preview of them. */
#include "tests/explain-fixture.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096ULL

/* Larger than any pid can be (PID_MAX_LIMIT): not one of those below. */
pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	return 1 << 23;
}

void put(const struct world *world, int pid, const char *file, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d", world->path, pid);
	(void)mkdir(path, 0755);
	strcat(strcat(path, "/"), file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

void put_process(const struct world *world, int pid, const char *comm, unsigned mib,
		 const char *cgroup)
{
	char text[512];

	snprintf(
		text, sizeof(text),
		"%d (%s) S 1 1 1 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 77 1000000 1 1 1 1 1 1 1 0 0 0 0 0 0 0 "
		"17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
		pid, comm);
	put(world, pid, "stat", text);
	snprintf(text, sizeof(text), "%llu %llu 0 1 0 1 0\n", mib * MIB / PAGE + 100,
		 mib * MIB / PAGE);
	put(world, pid, "statm", text);
	snprintf(text, sizeof(text),
		 "Name:\t%s\nState:\tS\nPid:\t%d\nPPid:\t1\nUid:\t1000\t1000\t1000\t1000\n"
		 "VmPTE:\t0 kB\nVmSwap:\t0 kB\nThreads:\t1\n",
		 comm, pid);
	put(world, pid, "status", text);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	put(world, pid, "cgroup", text);
	put(world, pid, "oom_score_adj", "0\n");
}

static usec_t no_clock(void)
{
	return 7;
}

static const char *find_user(uid_t uid, void *userdata)
{
	return uid == 1000 ? userdata : NULL;
}

/* A rule of the administrator's, which may protect by any name. */
static void protect(struct world *world, const char *name, const char *comm)
{
	struct rule *rule = policy_set_rule(&world->policies, RULE_PROTECT, name);
	char error[64];

	assert_non_null(rule);
	assert_int_equal(rule_set_comm(rule, comm, error, sizeof(error)), 0);
}

int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;
	strcpy(world->path, "/tmp/test-explain-XXXXXX");
	if (!mkdtemp(world->path))
		return -1;
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cgroup_fs_init(&world->cgroups, -EBADF, -EBADF);
	world->cgroups.v2_fd = dup(world->proc_fd);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	protect(world, "desktop", "^gnome-shell$");
	free(world->policies.subtree);
	world->policies.subtree = strdup("/user.slice");
	put_process(world, 1, "systemd", 30, "/init.scope");
	put_process(world, 300, "browser", 1024, "/user.slice/b.scope");
	put_process(world, 400, "editor", 512, "/user.slice/e.scope");
	put_process(world, 500, "gnome-shell", 900, "/user.slice/s.scope");
	put_process(world, 600, "database", 4096, "/system.slice/d.service");
	*state = world;
	return 0;
}

int teardown(void **state)
{
	struct world *world = *state;
	char command[64];

	victim_done(&world->preview.result);
	census_done(&world->census);
	policy_set_done(&world->policies);
	cgroup_fs_done(&world->cgroups);
	close(world->proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

struct preview *run_preview(struct world *world, uint64_t available)
{
	struct preview *o = &world->preview;

	assert_int_equal(census_init(&world->census, world->proc_fd, &world->cgroups,
				     &exact_accuracy, &world->policies),
			 0);
	assert_int_equal(census_sweep(&world->census, 7, 0, false), 0);
	*o = (struct preview){
		.policies = &world->policies,
		.accuracy = &exact_accuracy,
		.census = &world->census,
		.proc_fd = world->proc_fd,
		.now = no_clock,
		.memory = { .total = 8 * GIB, .available = available },
		.self_name = "the test",
		.user = find_user,
		.userdata = (void *)(uintptr_t) "alice",
		.backoff = &world->backoff,
		.streak = &world->streak,
		.ticks_now = world->ticks_now,
		.own_cgroup = o->own_cgroup,
	};
	o->memory.counters.total = 8 * GIB;
	assert_int_equal(victim_reserve(&o->result, &world->census), 0);
	preview_choose(o);
	return o;
}

const char *text_at(const json_t *object, const char *first, const char *second)
{
	const json_t *member = json_object_get(object, first);

	return json_string_value(second ? json_object_get(member, second) : member);
}

void assert_ineligible(const json_t *json, const struct ineligible *expected, size_t n)
{
	const json_t *rows = json_object_get(json, "survivors"), *process;
	size_t i;

	assert_int_equal(json_array_size(rows), n);
	json_array_foreach((json_t *)rows, i, process)
	{
		const char *excluded = json_string_value(json_object_get(process, "excluded"));
		const char *skipped = json_string_value(json_object_get(process, "skipped_for"));

		assert_string_equal(json_string_value(json_object_get(process, "command")),
				    expected[i].name);
		assert_string_equal(json_string_value(json_object_get(process, "reason")),
				    expected[i].reason);
		assert_string_equal(excluded ? excluded : "",
				    expected[i].excluded ? expected[i].excluded : "");
		assert_string_equal(skipped ? skipped : "",
				    expected[i].skipped_for ? expected[i].skipped_for : "");
	}
}
