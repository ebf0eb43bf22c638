/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service: what the service manager and callers on the bus ask for: a reload, and how it is. */
#pragma once

struct monitor;

/* The configuration anew; with errors the old one stays.  0; 1 if it has errors, with all of them
 * in *ret_errors, a line each (to be freed; NULL: no memory for it); -errno. */
int service_reload(struct monitor *m, char **ret_errors);

/* For the service manager, in one line.  Returns buf. */
#define SERVICE_STATUS_SIZE 512
const char *service_status(const struct monitor *m, char buf[static SERVICE_STATUS_SIZE]);
