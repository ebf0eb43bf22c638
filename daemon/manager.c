/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manager: see the header. */
#include "daemon/manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/account.h"
#include "daemon/archive.h"
#include "daemon/bus.h"
#include "daemon/ending.h"
#include "daemon/log.h"
#include "daemon/message-ids.h"
#include "daemon/monitor.h"
#include "daemon/rehearsal.h"
#include "daemon/report.h"
#include "daemon/thawed.h"
#include "lib/cleanup.h"
#include "lib/conf.h"
#include "lib/conflict.h"
#include "lib/format.h"

/* One frees, another is free should a second victim follow before the first one's memory is. */
#define N_REAPERS 2

/* Who else is there does not change often. */
#define CONFLICTS_USEC (60 * USEC_PER_SEC)

const char *manager_state_to_string(enum manager_state state)
{
	static const char *const strings[] = {
		[MANAGER_CALM] = "calm",
		[MANAGER_WATCH] = "watch",
		[MANAGER_STUCK] = "stuck",
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
	free(set->scope_file);
	set->scope = scope;
	set->scope_file = NULL;
	set->scope_line = 0;
	return 0;
}

/* What a configuration comes to. */
struct loaded {
	struct policy_set policies;
	char **files;
	size_t n_files;
};

/* 0, 1 if it has mistakes (*ret is not set then), -errno. */
static int load(const struct manager_options *options, struct conf_messages *messages,
		struct loaded *ret)
{
	struct loaded loaded = { 0 };
	int r;

	r = conf_find_files(options->config_file, "", &loaded.files, &loaded.n_files);
	if (r < 0)
		return r;
	r = conf_load((const char *const *)loaded.files, loaded.n_files, &loaded.policies,
		      messages);
	if (r == 0) {
		r = apply_options(options, &loaded.policies);
		if (r < 0)
			policy_set_done(&loaded.policies);
	}
	if (r == 0)
		*ret = loaded;
	else
		conf_files_free(loaded.files, loaded.n_files);
	return r;
}

/* As conf_message_print(). */
static void log_messages(const struct conf_messages *messages)
{
	for (size_t i = 0; i < messages->n; i++) {
		const struct conf_message *message = &messages->items[i];
		char line[16] = "";

		if (message->line > 0)
			snprintf(line, sizeof(line), ":%u", message->line);
		log_line(message->warning ? LOG_WARNING : LOG_ERR, "%s%s: %s%s", message->file,
			 line, message->warning ? "warning: " : "", message->text);
	}
}

static void take(struct manager *m, const struct loaded *loaded)
{
	policy_set_done(&m->policies);
	conf_files_free(m->config_files, m->n_config_files);
	m->policies = loaded->policies;
	m->config_files = loaded->files;
	m->n_config_files = loaded->n_files;
}

/* --check-config: is the scope there? */
static int check_scope_of(const struct policy_set *set, struct conf_messages *messages)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cgroup_fs cgroups;
	int r;

	if (cgroup_fs_open(proc_fd, &cgroups) < 0)
		return 0;
	r = conf_check_scope(set, &cgroups, messages);
	cgroup_fs_done(&cgroups);
	return r;
}

int manager_load_policies(const struct manager_options *options, struct policy_set *ret)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	r = load(options, &messages, &loaded);
	if (r == 0)
		(void)check_scope_of(&loaded.policies, &messages);
	for (size_t i = 0; i < messages.n; i++)
		conf_message_print(&messages.items[i], stderr);
	if (r != 0)
		return r;
	conf_files_free(loaded.files, loaded.n_files);
	*ret = loaded.policies;
	return 0;
}

/* As they are printed, but in UTF-8: names of files may be anything. */
static char *list_mistakes(const struct conf_messages *messages)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	char *clean;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (size_t i = 0; i < messages->n; i++)
		if (!messages->items[i].warning)
			conf_message_print(&messages->items[i], f);
	if (fclose(f) == EOF)
		return NULL;
	if (size > 0)
		text[size - 1] = '\0'; /* the last line end */
	clean = malloc(FORMAT_UTF8_SIZE(size));
	if (clean)
		format_utf8(text, clean, FORMAT_UTF8_SIZE(size));
	return clean;
}

bool manager_scope_exists(const struct manager *m)
{
	return cgroup_find(&m->cgroups, m->policies.scope) != -ENOENT;
}

/* It may come later, as the slice of a user does. */
static void warn_of_scope(const struct manager *m)
{
	if (!manager_scope_exists(m))
		log_warning(
			"Scope %s: there is no such cgroup; until there is, nobody may be ended.",
			m->policies.scope);
}

int manager_reload(struct manager *m, char **ret_mistakes)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	r = load(&m->options, &messages, &loaded);
	log_messages(&messages);
	if (r != 0) {
		log_event(MESSAGE_ID_CONFIG_REFUSED, LOG_ERR,
			  "The configuration was not reloaded%s%s; the old one stays.",
			  r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
		*ret_mistakes = r > 0 ? list_mistakes(&messages) : NULL;
		return r;
	}
	take(m, &loaded);
	m->n_reloads++;
	census_set_policies(&m->census, &m->policies);
	m->warned = false; /* by policies that are no more */
	bus_note_reload(m->bus);
	if (!m->policies.dry_run && !m->ledger && m->abilities.ledger_error == 0) {
		/* It was a dry run until now. */
		r = thawed_open(m);
		if (r < 0)
			log_warning("Groups that are thawed stay so if reckond is killed: %s.",
				    thawed_strerror(r));
		thawed_recover(m);
	}
	log_info("The configuration was reloaded.");
	warn_of_scope(m);
	return 0;
}

void manager_find_conflicts(struct manager *m, usec_t now)
{
	unsigned found;

	if (m->units_fd < 0 || m->state > MANAGER_WATCH ||
	    (m->conflicts_at != 0 && now - m->conflicts_at < CONFLICTS_USEC))
		return;
	m->conflicts_at = now;
	found = conflict_find(m->units_fd);
	for (unsigned i = 0; i < CONFLICT_MAX; i++)
		if (found & ~m->conflicts & 1U << i)
			log_event(MESSAGE_ID_CONFLICT, LOG_WARNING,
				  "%s is active, too: when memory is short, both will end "
				  "somebody where one would do.",
				  conflict_units[i]);
	m->conflicts = found;
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
	m->units_fd = conflict_open(m->proc_fd, &m->cgroups); /* without it: nobody is known */
	return 0;
}

/* One that is given by hand, for this run, is to be there. */
static int check_scope(const struct manager *m)
{
	const char *scope = m->policies.scope;
	int r;

	if (scope[0] != '/') {
		log_error("Scope %s: a cgroup's path begins with '/', as in /proc/PID/cgroup.",
			  scope);
		return -EINVAL;
	}
	r = cgroup_find(&m->cgroups, scope);
	if (r == -ENOENT && !m->options.scope)
		return 0;
	if (r < 0)
		log_error("Scope %s: %s", scope,
			  m->cgroups.layout == CGROUP_LAYOUT_NONE ? "there are no cgroups here"
								  : strerror(-r));
	return r;
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
	stuck_init(m);
	return kill_reapers_new(m->kill_ops, N_REAPERS, &m->reapers, &m->abilities.fifo_error);
}

/* Everything that the emergency will need is allocated and touched now. */
static int take_first_census(struct manager *m)
{
	int r;

	stall_init(&m->stalls.walk, m->cgroups.v2_fd);
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
	r = bus_new(m, &m->bus);
	if (r < 0)
		return r;
	r = take_first_census(m);
	if (r < 0)
		return r;
	if (m->policies.dry_run)
		return 0;
	(void)thawed_open(m);
	r = rehearsal_run(m);
	if (r < 0)
		log_warning("The rehearsal failed: %s, ignoring.", strerror(-r));
	return 0;
}

static uint64_t realtime_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static int load_first(struct manager *m)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	r = load(&m->options, &messages, &loaded);
	log_messages(&messages);
	if (r == 0)
		take(m, &loaded);
	return r;
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
	m->proc_fd = m->sys_fd = m->psi_fd = m->units_fd = m->placeholder_fd = m->ledger_fd =
		-EBADF;
	cgroup_fs_init(&m->cgroups, -EBADF, -EBADF);
	kill_victim_init(&m->victim);
	for (size_t i = 0; i < MANAGER_LINGERING_MAX; i++)
		kill_victim_init(&m->lingering[i]);

	r = load_first(m);
	if (r > 0)
		log_event(MESSAGE_ID_CONFIG_REFUSED, LOG_ERR,
			  "Not started: the configuration has mistakes.");
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
	m->started_usec = realtime_now();
	report_start(m);
	warn_of_scope(m);
	manager_find_conflicts(m, monitor_now());
	thawed_recover(m);
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
	bus_free(m->bus);
	thawed_close(m);
	monitor_free(m);
	kill_reapers_free(m->reapers);
	precise_free(m->precise);
	stuck_done(m);
	census_done(&m->census);
	victim_done(&m->choice);
	memory_source_free(m->memory);
	stall_clear(&m->stalls.walk);
	cgroup_fs_done(&m->cgroups);
	closep(&m->units_fd);
	closep(&m->psi_fd);
	closep(&m->proc_fd);
	closep(&m->sys_fd);
	policy_set_done(&m->policies);
	conf_files_free(m->config_files, m->n_config_files);
	for (size_t i = 0; i < m->n_limits; i++)
		free(m->limits[i]);
	free(m->limits);
	free(m);
	return NULL;
}
