/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* preview: samples memory and all processes once, and evaluates the policies. */
#include "ctl/preview.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/check.h"
#include "ctl/explain.h"
#include "lib/base/cleanup.h"
#include "lib/sys/cgroup.h"

/* No emergency waits for it: ten times what the daemon allows itself. */
#define PRECISE_BUDGET_USEC USEC_PER_SEC
#define COMPARE_BUDGET_USEC (50 * USEC_PER_MSEC)

/* What a preview borrows. */
struct machine {
	struct preview preview; /* first: it is freed by it */
	struct policy_set policies;
	int proc_fd;
	int sys_fd;
	struct cgroup_fs cgroups;
	struct memory_source *memory_source;
	struct psi_history psi;
	struct accuracy accuracy;
	struct precise *precise;
	struct census census;
};

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* As the kernel counts start times: with the time that the machine was suspended. */
static uint64_t ticks_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000) / USEC_PER_TICK;
}

static enum ctl_status open_machine(const struct ctl_options *options, struct machine *m)
{
	int r;

	m->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->proc_fd < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot open /proc: %s", strerror(errno));
	m->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without it: no zram */
	r = memory_source_new(m->proc_fd, m->sys_fd, &m->memory_source);
	if (r == 0)
		r = memory_sample(m->memory_source, &m->preview.memory);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE,
				"cannot read /proc/meminfo and /proc/vmstat: %s", strerror(-r));
	if (cgroup_fs_open(m->proc_fd, &m->cgroups) < 0)
		cgroup_fs_init(&m->cgroups, -EBADF, -EBADF);
	return CTL_OK;
}

static enum ctl_status check_subtree(const struct ctl_options *options, const struct machine *m)
{
	const char *subtree = m->policies.subtree;
	int mount_fd = m->cgroups.v2_fd >= 0 ? m->cgroups.v2_fd : m->cgroups.v1_freezer_fd;
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(subtree, "/") == 0)
		return CTL_OK;
	if (subtree[0] != '/')
		return ctl_fail(
			options, CTL_BAD_USAGE,
			"subtree %s: a cgroup's path begins with '/', as in /proc/PID/cgroup",
			subtree);
	if (mount_fd < 0)
		return ctl_fail(options, CTL_FAILURE, "subtree %s: there are no cgroups here",
				subtree);
	fd = cgroup_open(mount_fd, subtree);
	if (fd < 0)
		return ctl_fail(options, CTL_FAILURE, "subtree %s: %s", subtree, strerror(-fd));
	return CTL_OK;
}

/*
 * Policies use the pressure of the seconds before now, in which it was not sampled: the kernel's
 * averages are used instead of a history.
 */
static void imagine_history(struct machine *m, usec_t at)
{
	static const struct {
		usec_t age;
		bool by_avg60;
	} samples[] = { { 60 * USEC_PER_SEC, true }, { 10 * USEC_PER_SEC, false }, { 0, false } };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct psi_reading *p = &m->preview.pressure;
		usec_t age = samples[i].age;
		unsigned some = samples[i].by_avg60 ? p->some.avg60 : p->some.avg10;
		unsigned full = samples[i].by_avg60 ? p->full.avg60 : p->full.avg10;
		struct psi_reading then = {
			.some.total = sub_u64(p->some.total, age / PERMYRIAD * some),
			.full.total = sub_u64(p->full.total, age / PERMYRIAD * full),
		};

		if (age <= at)
			psi_history_add(&m->psi, at - age, &then);
	}
}

/* All processes; and memory once more, so that what was allocated during the sweep is known. */
static int take_census(struct machine *m)
{
	const struct memory_counters *c = &m->preview.memory.counters;
	int r;

	r = accuracy_probe(m->proc_fd, m->sys_fd, &m->accuracy);
	if (r < 0)
		m->accuracy.regime = ACCURACY_UNKNOWN;
	r = census_init(&m->census, m->proc_fd, &m->cgroups, &m->accuracy, &m->policies);
	if (r < 0)
		return r;
	r = memory_sample(m->memory_source, &m->preview.memory);
	if (r == 0)
		r = census_sweep(&m->census, now(), m->preview.memory.allocated,
				 c->swap_free < c->swap_total);
	if (r == 0)
		r = victim_reserve(&m->preview.result, &m->census);
	return r < 0 ? r : memory_sample(m->memory_source, &m->preview.memory);
}

static const char *find_user(uid_t uid, void *userdata)
{
	return explain_user(uid);
}

static void fill_in(struct machine *m)
{
	struct preview *o = &m->preview;

	o->policies = &m->policies;
	o->accuracy = &m->accuracy;
	o->census = &m->census;
	o->precise = m->precise;
	o->proc_fd = m->proc_fd;
	o->now = now;
	o->budget = PRECISE_BUDGET_USEC;
	o->comparing = m->precise;
	o->compare_budget = COMPARE_BUDGET_USEC;
	o->ticks_now = ticks_now();
	o->has_psi = psi_read(m->proc_fd, "pressure/memory", &o->pressure) == 0;
	if (o->has_psi) {
		imagine_history(m, now());
		o->psi = &m->psi;
	}
	o->hides_others = !census_find(&m->census, 1);
	o->self_name = "reckonctl";
	o->user = find_user;
}

static struct machine *machine_free(struct machine *m)
{
	if (!m)
		return NULL;
	precise_free(m->precise);
	census_done(&m->census);
	victim_done(&m->preview.result);
	memory_source_free(m->memory_source);
	cgroup_fs_done(&m->cgroups);
	closep(&m->proc_fd);
	closep(&m->sys_fd);
	policy_set_done(&m->policies);
	free(m);
	return NULL;
}

static void machine_freep(struct machine **machine)
{
	machine_free(*machine);
}

enum ctl_status preview_new(const struct ctl_options *options, json_t **ret_errors,
			    struct preview **ret)
{
	_cleanup_(machine_freep) struct machine *m = calloc(1, sizeof(*m));
	enum ctl_status status;
	int r;

	if (!m)
		return ctl_fail(options, CTL_FAILURE, "no memory");
	m->proc_fd = m->sys_fd = -EBADF;
	cgroup_fs_init(&m->cgroups, -EBADF, -EBADF);
	status = ret_errors ? check_load_lenient(options, &m->policies, ret_errors)
			    : check_load(options, &m->policies);
	if (status == CTL_OK)
		status = open_machine(options, m);
	if (status == CTL_OK && !ret_errors)
		status = check_subtree(options, m);
	if (status != CTL_OK)
		return status;

	r = take_census(m);
	if (r == 0)
		r = precise_new(m->proc_fd, &m->precise);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot read memory or processes: %s",
				strerror(-r));
	fill_in(m);
	preview_choose(&m->preview);
	*ret = &take_ptr(m)->preview;
	return CTL_OK;
}

struct preview *preview_free(struct preview *preview)
{
	machine_free((struct machine *)preview);
	return NULL;
}
