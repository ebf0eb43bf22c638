/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* self: the limits that it sets to its own size, and when it has outgrown them. */
#include "daemon/base/self.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/io.h"
#include "lib/base/parse.h"
#include "lib/base/sanitizer.h"

#define CHECK_USEC (10 * USEC_PER_SEC)

/* It has 1.2 MiB of its own, and 400 bytes for each process (docs/benchmarks.md).  A message of the
 * bus, an answer, a history and a configuration take no more than a few MiB besides. */
#if HAS_SHADOW_MEMORY
#	define ALLOWANCE_BYTES GIB
#else
#	define ALLOWANCE_BYTES (16 * MIB)
#endif
#define ALLOWANCE_BYTES_PER_PROCESS KIB
/* Of thousands of rules.  A regular expression grows when it is matched. */
#define ALLOWANCE_PER_CONFIG_BYTE 3
/* Less that is free in the heap is kept there. */
#define GIVE_BACK_MIN MIB

struct own_memory {
	uint64_t anonymous;
	uint64_t data;
};

/* proc(5), statm: size resident shared text lib data dt, in pages. */
static int read_own_memory(int proc_fd, struct own_memory *ret)
{
	unsigned long resident, shared, data;
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	char text[256];
	ssize_t n = io_read_record_at(proc_fd, "self/statm", text, sizeof(text));

	if (n < 0)
		return (int)n;
	if (sscanf(text, "%*u %lu %lu %*u %*u %lu", &resident, &shared, &data) != 3)
		return -EBADMSG;
	ret->anonymous = sub_u64(resident, shared) * page_size;
	ret->data = data * page_size;
	return 0;
}

/* 0: none, or not known. */
static uint64_t read_memory_max(const struct machine *machine)
{
	_cleanup_close_ int fd = -EBADF;
	char path[CGROUP_PATH_MAX], text[64];
	unsigned long long max;

	if (machine->cgroups.v2_fd < 0 || cgroup_of_process(&machine->cgroups, machine->proc_fd,
							    getpid(), path, sizeof(path)) != 0)
		return 0;
	fd = cgroup_open(machine->cgroups.v2_fd, path);
	if (fd < 0 || io_read_at(fd, "memory.max", text, sizeof(text)) < 0 ||
	    sscanf(text, "%llu", &max) != 1) /* "max" */
		return 0;
	return max;
}

uint64_t self_allowance(size_t n_processes)
{
	return add_u64(ALLOWANCE_BYTES, (uint64_t)n_processes * ALLOWANCE_BYTES_PER_PROCESS);
}

uint64_t self_data_limit(uint64_t max, uint64_t used, uint64_t data)
{
	uint64_t room = sub_u64(max - max / 8, used);

	return max == 0 ? 0 : add_u64(data, room);
}

void self_limit(const struct machine *machine)
{
	struct own_memory own;
	struct rlimit limit;
	uint64_t bytes;

	if (read_own_memory(machine->proc_fd, &own) < 0)
		return;
	bytes = self_data_limit(read_memory_max(machine), own.anonymous, own.data);
	if (bytes == 0 || getrlimit(RLIMIT_DATA, &limit) < 0 || bytes >= limit.rlim_cur)
		return;
	limit.rlim_cur = bytes;
	(void)setrlimit(RLIMIT_DATA, &limit); /* lower than it was: nothing is needed for that */
}

uint64_t self_heap_used(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

int self_release_memory(bool is_locked)
{
	struct mallinfo2 info = mallinfo2();

	if (info.fordblks < GIVE_BACK_MIN)
		return 0;
	/* Of memory that is locked only the end of the heap can be returned to the kernel
	 * (madvise(2)). */
	if (is_locked)
		(void)munlockall();
	(void)malloc_trim(0);
	if (is_locked && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		return -errno;
	return 0;
}

bool self_is_too_large(struct self *self, const struct machine *machine,
		       const struct regime *regime, size_t n_processes, usec_t now)
{
	char is[FORMAT_BYTES_SIZE], may_be[FORMAT_BYTES_SIZE];
	struct own_memory own;
	uint64_t allowance;

	if (n_processes > self->n_processes)
		self->n_processes = n_processes;
	if (regime->state > REGIME_WATCH || now - self->checked_at < CHECK_USEC)
		return false;
	self->checked_at = now;
	allowance = add_u64(self_allowance(self->n_processes),
			    self->config_bytes * ALLOWANCE_PER_CONFIG_BYTE);
	if (read_own_memory(machine->proc_fd, &own) < 0 || own.anonymous <= allowance)
		return false;
	log_error(
		"reckond itself has %s of memory, and should have %s at most: exiting, to be restarted.",
		format_bytes(own.anonymous, is), format_bytes(allowance, may_be));
	return true;
}
