/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service: a reload, for all parts of the daemon, and the line of status. */
#include "daemon/service.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/base/self.h"
#include "daemon/bus/bus.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/log/log.h"
#include "daemon/monitor.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/format.h"
#include "lib/base/heap.h"

int service_reload(struct monitor *m, char **ret_errors)
{
	uint64_t before;
	int r;

	config_forget_refusal(m->config); /* what it takes is none of the configuration's */
	before = heap_used();
	r = config_reload(m->config, &m->sampler->domain, ret_errors);
	if (r != 0) { /* what there is now is the text of the errors */
		bus_note_refusal(m->bus);
		return r;
	}
	m->self->config_bytes =
		sub_u64(m->self->config_bytes + heap_used() + m->config->read_bytes, before);
	census_set_policies(&m->sampler->census, &m->config->policies);
	m->reporter->warned = false;   /* by policies that are no more */
	m->selection->quiet_until = 0; /* it may have been a dry run until now */
	bus_note_reload(m->bus);
	if (!m->config->policies.dry_run && !m->in_flight->ledger &&
	    m->in_flight->ledger_error == 0) {
		/* It was a dry run until now. */
		r = thaw_state_open(m->in_flight);
		if (r < 0)
			log_warning(
				"Groups that are thawed are not frozen again if reckond is killed: %s.",
				thaw_state_strerror(r));
		thaw_state_recover(m->in_flight);
	}
	log_info("The configuration was reloaded.");
	config_warn_of_subtree(m->config, &m->machine->cgroups);
	return 0;
}

const char *service_status(const struct monitor *m, char buf[static SERVICE_STATUS_SIZE])
{
	const char *named = m->config->options.config_file;
	char file[128] = "", refused[192] = "", error[CONFIG_ERROR_SIZE];

	if (named)
		format_foreign(named, file, sizeof(file));
	if (m->config->retry_pause > 0)
		snprintf(refused, sizeof(refused), "; the last reload failed: %s",
			 config_describe_error(m->config, error));
	else if (m->config->reload_was_refused)
		snprintf(refused, sizeof(refused),
			 "; the last reload was refused (reckonctl check%s%s)", named ? " " : "",
			 file);
	if (m->config->is_degraded)
		snprintf(buf, SERVICE_STATUS_SIZE,
			 "Degraded: the configuration has errors (reckonctl check%s%s)%s",
			 named ? " " : "", file,
			 m->config->policies.dry_run ? "; dry run: no process is killed" : "");
	else if (m->selection->stuck.since != 0)
		snprintf(buf, SERVICE_STATUS_SIZE,
			 "Memory is low, but no process is worth killing (reckonctl status)");
	else
		snprintf(buf, SERVICE_STATUS_SIZE, "%s%s",
			 m->config->policies.dry_run ? "Dry run: no process is killed"
						     : "Watching memory",
			 refused);
	return buf;
}
