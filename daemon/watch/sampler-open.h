/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler-open: opens the machine, and what is sampled of it, at start. */
#pragma once

struct machine;
struct sampler;

/*
 * /proc, /sys, memory and the cgroups; each is tried again where it fails for now (startup.h). What
 * cannot be opened for want of files or of memory, or for an error of the file system, is there: to
 * continue as if it were not would be to take every process for one without a cgroup.  So the start
 * fails if that lasts.  0, or -errno, which has been logged; what was opened until then is still
 * open.
 */
int sampler_open(struct sampler *sampler, struct machine *machine);

/* Pressure, a startup_fn on the sampler: 0, whether there is some (domain.has_psi) or none; -errno
 * if that is not known for now. */
int sampler_open_pressure(void *sampler);
