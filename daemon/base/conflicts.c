/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conflicts: searches for other out-of-memory daemons, and logs those that it finds. */
#include "daemon/base/conflicts.h"

#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/sys/conflict.h"

/* Other daemons do not change often. */
#define AGAIN_USEC (60 * USEC_PER_SEC)

void conflicts_open(struct conflicts *c, const struct machine *machine)
{
	c->units_fd = conflict_open(machine->proc_fd, &machine->cgroups);
}

void conflicts_close(struct conflicts *c)
{
	closep(&c->units_fd);
}

void conflicts_find(struct conflicts *c, const struct machine *machine, const struct regime *regime,
		    usec_t now)
{
	unsigned found;

	if (regime->state > REGIME_WATCH ||
	    (c->checked_at != 0 && now - c->checked_at < AGAIN_USEC))
		return;
	c->checked_at = now;
	if (error_is_transient(c->units_fd))
		conflicts_open(c, machine);
	if (c->units_fd < 0)
		return;
	found = conflict_find(c->units_fd);
	for (unsigned i = 0; i < CONFLICT_MAX; i++)
		if (found & ~c->found & 1U << i)
			log_event(MESSAGE_ID_CONFLICT, LOG_WARNING,
				  "%s is active, too: when memory is low, both may kill "
				  "for one shortage.",
				  conflict_units[i]);
	c->found = found;
}
