/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manager: see the header. */
#include "daemon/manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/account.h"
#include "daemon/archive.h"
#include "daemon/ending.h"
#include "daemon/log.h"
#include "daemon/monitor.h"
#include "daemon/rehearsal.h"
#include "daemon/report.h"
#include "lib/cleanup.h"
#include "lib/conf.h"

/* One frees, another is free should a second victim follow before the first one's memory is. */
#define N_REAPERS 2

const char *manager_state_to_string(enum manager_state state)
{
	static const char *const strings[] = {
		[MANAGER_CALM] = "calm",
		[MANAGER_WATCH] = "watch",
		[MANAGER_ACT] = "act",
		[MANAGER_SETTLE] = "settle",
	};

	return strings[state];
}

/* The command line over the files. */
static int apply_options(const struct manager_options *options, struct policy_set *set)
{
	char *scope;

	set->dry_run = set->dry_run || options->dry_run;
	if (!options->scope)
		return 0;
	scope = strdup(options->scope);
	if (!scope)
		return -ENOMEM;
	free(set->scope);
	set->scope = scope;
	return 0;
}

int manager_load_policies(const struct manager_options *options, struct policy_set *ret)
{
	struct conf_messages messages = { 0 };
	struct policy_set set;
	char **files = NULL;
	size_t n_files = 0;
	int r;

	r = conf_find_files(options->config_file, "", &files, &n_files);
	if (r < 0)
		return r;
	r = conf_load((const char *const *)files, n_files, &set, &messages);
	for (size_t i = 0; i < messages.n; i++)
		conf_message_print(&messages.items[i], stderr);
	conf_messages_done(&messages);
	conf_files_free(files, n_files);
	if (r != 0)
		return r;
	r = apply_options(options, &set);
	if (r < 0) {
		policy_set_done(&set);
		return r;
	}
	*ret = set;
	return 0;
}

void manager_reload(struct manager *m)
{
	struct policy_set set;
	int r;

	r = manager_load_policies(&m->options, &set);
	if (r != 0) {
		log_error("The configuration was not reloaded%s%s; the old one stays.",
			  r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
		return;
	}
	policy_set_done(&m->policies);
	m->policies = set;
	census_set_policies(&m->census, &m->policies);
	log_info("The configuration was reloaded.");
}

static int open_machine(struct manager *m)
{
	int r;

	m->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->proc_fd < 0) {
		r = -errno;
		log_error("Cannot open /proc: %s", strerror(-r));
		return r;
	}
	m->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without it: no zram */
	r = memory_source_new(m->proc_fd, m->sys_fd, &m->memory);
	if (r == 0)
		r = memory_sample(m->memory, &m->reading);
	if (r < 0) {
		log_error("Cannot read /proc/meminfo and /proc/vmstat (is /proc mounted?): %s",
			  strerror(-r));
		return r;
	}
	r = cgroup_fs_open(m->proc_fd, &m->cgroups);
	if (r < 0) {
		log_warning("Cannot find the cgroups: %s; going on without.", strerror(-r));
		cgroup_fs_init(&m->cgroups, -EBADF, -EBADF);
	}
	return 0;
}

static int check_scope(const struct manager *m)
{
	const char *scope = m->policies.scope;
	int mount_fd = m->cgroups.v2_fd >= 0 ? m->cgroups.v2_fd : m->cgroups.v1_freezer_fd;
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(scope, "/") == 0)
		return 0;
	if (scope[0] != '/') {
		log_error("Scope %s: a cgroup's path begins with '/', as in /proc/PID/cgroup.",
			  scope);
		return -EINVAL;
	}
	fd = mount_fd < 0 ? -ENOENT : cgroup_open(mount_fd, scope);
	if (fd < 0)
		log_error("Scope %s: %s", scope,
			  mount_fd < 0 ? "there are no cgroups here" : strerror(-fd));
	return fd < 0 ? fd : 0;
}

static int start_helpers(struct manager *m)
{
	int r;

	r = accuracy_probe(m->proc_fd, m->sys_fd, &m->accuracy);
	if (r < 0)
		log_warning("Cannot find out how exact statm is: %s; the worst is assumed.",
			    strerror(-r));
	r = precise_new(m->proc_fd, &m->precise);
	if (r < 0)
		return r;
	return kill_reapers_new(m->kill_ops, N_REAPERS, &m->reapers, &m->abilities.fifo_error);
}

/* Everything that the emergency will need is allocated and touched now. */
static int take_first_census(struct manager *m)
{
	int r;

	r = census_init(&m->census, m->proc_fd, &m->cgroups, &m->accuracy, &m->policies);
	if (r < 0)
		return r;
	r = census_sweep(&m->census, monitor_now(), m->reading.allocated,
			 m->reading.counters.swap_free < m->reading.counters.swap_total);
	if (r < 0)
		return r;
	return victim_reserve(&m->choice, &m->census);
}

static int prepare(struct manager *m)
{
	struct psi_reading psi;
	int r;

	r = start_helpers(m);
	if (r < 0)
		return r;
	rehearsal_protect_self(m);
	m->psi_fd = openat(m->proc_fd, "pressure/memory", O_RDONLY | O_CLOEXEC);
	m->abilities.psi = m->psi_fd >= 0 && psi_read_fd(m->psi_fd, &psi) == 0;
	r = monitor_new(m);
	if (r < 0)
		return r;
	if (m->abilities.psi)
		monitor_arm_pressure(m);
	r = take_first_census(m);
	if (r < 0)
		return r;
	if (m->policies.dry_run)
		return 0;
	r = rehearsal_run(m);
	if (r < 0)
		log_warning("The rehearsal failed: %s, ignoring.", strerror(-r));
	return 0;
}

int manager_new(const struct manager_options *options, const struct kill_ops *ops,
		struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *m = NULL;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->options = *options;
	m->kill_ops = ops;
	m->proc_fd = m->sys_fd = m->psi_fd = m->placeholder_fd = -EBADF;
	cgroup_fs_init(&m->cgroups, -EBADF, -EBADF);
	kill_victim_init(&m->victim);
	for (size_t i = 0; i < MANAGER_LINGERING_MAX; i++)
		kill_victim_init(&m->lingering[i]);

	r = manager_load_policies(options, &m->policies);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	r = open_machine(m);
	if (r == 0)
		r = check_scope(m);
	if (r == 0)
		r = account_new(m->proc_fd, &m->account);
	if (r < 0)
		return r;
	m->archive = archive_open(account_history(m->account));
	r = prepare(m);
	if (r < 0) {
		log_error("Cannot get ready: %s", strerror(-r));
		return r;
	}
	report_start(m);
	*ret = take_ptr(m);
	return 0;
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	ending_put_back_all(m);
	if (m->account)
		account_close(m);
	m->archive = archive_close(m->archive);
	m->account = account_free(m->account);
	monitor_free(m);
	kill_reapers_free(m->reapers);
	precise_free(m->precise);
	census_done(&m->census);
	victim_done(&m->choice);
	memory_source_free(m->memory);
	cgroup_fs_done(&m->cgroups);
	closep(&m->psi_fd);
	closep(&m->proc_fd);
	closep(&m->sys_fd);
	policy_set_done(&m->policies);
	free(m);
	return NULL;
}
