/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* startup: a step of the start, and again. */
#include "daemon/base/startup.h"

#include <string.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/base/errors.h"

#define RETRIES_MAX 5
#define PAUSE_USEC  (50 * USEC_PER_MSEC)

int startup_try(const char *what, startup_fn *step, void *userdata)
{
	int r = step(userdata);

	for (unsigned n = 0; error_is_transient(r) && n < RETRIES_MAX; n++) {
		if (n == 0)
			log_warning("Cannot %s for now: %s; trying again.", what, strerror(-r));
		(void)usleep(PAUSE_USEC << n);
		r = step(userdata);
	}
	return r;
}

int startup_require(const char *what, startup_fn *step, void *userdata)
{
	int r = startup_try(what, step, userdata);

	if (r < 0)
		log_error("Cannot start: cannot %s: %s.", what, strerror(-r));
	return r;
}
