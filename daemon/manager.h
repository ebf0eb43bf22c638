/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager: owns the parts of the daemon, from setup to exit.  Each part knows those that it works
 * on, not the manager.
 */
#pragma once

#include <stdbool.h>

struct bus_subject;
struct config;
struct config_options;
struct conflicts;
struct in_flight;
struct kill_ops;
struct machine;
struct monitor;
struct probe_results;
struct regime;
struct reporter;
struct sampler;
struct selection;
struct self;
struct self_test;
struct tick;

struct manager {
	struct config *config;
	struct probe_results *probed;
	struct self *self;

	struct machine *machine;
	struct regime *regime;
	struct sampler *sampler;
	struct selection *selection;
	struct in_flight *in_flight;
	struct tick *tick;
	struct reporter *reporter;

	struct conflicts *conflicts;
	struct monitor *monitor;
};

/* An empty one: nothing is open, and each part knows those that it works on.  To be freed with
 * free(), as long as nothing is.  NULL: no memory. */
struct manager *manager_alloc(void);

/* What the self-test works on, and what the bus reports. */
struct self_test manager_self_test(struct manager *manager);
struct bus_subject manager_bus_subject(struct manager *manager);

/* Finds out everything, locks memory, runs the self-test, and logs what it found.  Errors in the
 * configuration are no reason to fail (conf_load_lenient()).  0 or -errno. */
int manager_new(const struct config_options *options, bool with_log, const struct kill_ops *ops,
		struct manager **ret);
struct manager *manager_free(struct manager *manager);
static inline void manager_freep(struct manager **manager)
{
	manager_free(*manager);
}
