/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conflicts: other out-of-memory daemons that are active, as lib/sys/conflict.h finds them. */
#pragma once

#include "daemon/machine.h"
#include "daemon/regime.h"

struct conflicts {
	int units_fd;	/* where systemd has its units; negative: nowhere */
	unsigned found; /* bits by enum conflict */
	usec_t checked_at;
};

void conflicts_open(struct conflicts *conflicts, const struct machine *machine);
void conflicts_close(struct conflicts *conflicts);

/* Checks, now and then, and not while memory is low; logs it when that changes. */
void conflicts_find(struct conflicts *conflicts, const struct machine *machine,
		    const struct regime *regime, usec_t now);
