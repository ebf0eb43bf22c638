/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler-open: see sampler-open.h.  All but sampler_open() are steps (startup.h). */
#include "daemon/watch/sampler-open.h"

#include <fcntl.h>
#include <string.h>

#include "daemon/base/machine.h"
#include "daemon/base/startup.h"
#include "daemon/log/log.h"
#include "daemon/watch/sampler.h"
#include "lib/base/cleanup.h"
#include "lib/base/errors.h"

struct opening {
	struct sampler *sampler;
	struct machine *machine;
};

static int open_proc(void *userdata)
{
	const struct opening *o = userdata;

	o->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return o->machine->proc_fd < 0 ? -errno : 0;
}

/* Without it: no zram. */
static int open_sys(void *userdata)
{
	const struct opening *o = userdata;

	o->machine->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return o->machine->sys_fd < 0 && error_is_transient(-errno) ? -errno : 0;
}

static int open_memory(void *userdata)
{
	const struct opening *o = userdata;
	struct sampler *s = o->sampler;
	int r = memory_source_new(o->machine->proc_fd, o->machine->sys_fd, &s->source);

	if (r < 0)
		return r;
	r = sampler_read_memory(s, &s->domain.reading);
	if (r < 0)
		s->source = memory_source_free(s->source);
	return r;
}

static int open_cgroups(void *userdata)
{
	const struct opening *o = userdata;
	int r = cgroup_fs_open(o->machine->proc_fd, &o->machine->cgroups);

	if (r == 0 || !error_is_unreachable(r))
		return r;
	log_warning("Cannot find the cgroups: %s; continuing without them.", strerror(-r));
	cgroup_fs_init(&o->machine->cgroups, -EBADF, -EBADF);
	return 0;
}

int sampler_open(struct sampler *sampler, struct machine *machine)
{
	struct opening opening = { .sampler = sampler, .machine = machine };
	int r = startup_require("open /proc", open_proc, &opening);

	if (r == 0)
		r = startup_require("open /sys", open_sys, &opening);
	if (r == 0)
		r = startup_require("read /proc/meminfo and /proc/vmstat (is /proc mounted?)",
				    open_memory, &opening);
	if (r == 0)
		r = startup_require("open the cgroups", open_cgroups, &opening);
	return r;
}

int sampler_open_pressure(void *userdata)
{
	struct sampler *s = userdata;
	struct psi_reading psi;
	int fd = openat(s->machine->proc_fd, "pressure/memory", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : psi_read_fd(fd, &psi);

	if (r < 0) { /* psi=0: there is a file, but it cannot be read */
		closep(&fd);
		fd = -EBADF;
	}
	s->psi_fd = fd;
	s->domain.has_psi = fd >= 0;
	return error_is_transient(r) ? r : 0;
}
