/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* zram: sums up mm_stat of the zram devices in use as swap. */
#include "lib/sys/zram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/base/errors.h"
#include "lib/base/io.h"

/* It compresses two to three to one (zram.rst); assumed until enough is stored to tell. */
#define ASSUMED_PERCENT 40
#define ENOUGH		(16 * MIB)

uint64_t zram_percent(uint64_t stored, uint64_t used)
{
	if (stored < ENOUGH)
		return ASSUMED_PERCENT;
	return min_u64((uint64_t)((__uint128_t)used * 100 / stored), 100);
}

uint64_t zram_barred(const struct zram_device *device)
{
	uint64_t percent = zram_percent(device->stored, device->used);
	uint64_t free = sub_u64(device->disksize, device->stored);
	uint64_t left = sub_u64(device->limit, device->used);

	if (device->limit == 0)
		return 0;
	/* Compressed to less than a hundredth: a limit that is not used up is not met. */
	if (percent == 0)
		return left > 0 ? 0 : free;
	return sub_u64(free, (uint64_t)((__uint128_t)left * 100 / percent));
}

static int read_device(int sys_fd, const char *name, struct zram_device *ret)
{
	char path[64], text[256];
	ssize_t n;

	snprintf(path, sizeof(path), "block/%.31s/disksize", name);
	n = io_read_at(sys_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	if (sscanf(text, "%" SCNu64, &ret->disksize) != 1)
		return -EBADMSG;
	/* orig_data_size compr_data_size mem_used_total mem_limit ... */
	snprintf(path, sizeof(path), "block/%.31s/mm_stat", name);
	n = io_read_at(sys_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	return sscanf(text, "%" SCNu64 " %*u %" SCNu64 " %" SCNu64, &ret->stored, &ret->used,
		      &ret->limit) < 2
		       ? -EBADMSG
		       : 0;
}

/* Without its numbers, its free space would count in full, just when files cannot be opened as
 * memory is short: then the last ones count.  False: it is no device that can be swapped to. */
static bool add_device(int sys_fd, const char *name, struct zram_device *last,
		       struct memory_counters *c)
{
	struct zram_device device = { 0 };
	int r = read_device(sys_fd, name, &device);

	if (r == 0)
		*last = device;
	else if (errno_is_gone(r) || r == -EBADMSG)
		*last = (struct zram_device){ 0 };
	c->zram_disksize = add_u64(c->zram_disksize, last->disksize);
	c->zram_stored = add_u64(c->zram_stored, last->stored);
	c->zram_used = add_u64(c->zram_used, last->used);
	c->zram_barred = add_u64(c->zram_barred, zram_barred(last));
	return last->disksize > 0;
}

/* "zram0" */
static bool is_zram(const char *name)
{
	size_t n;

	if (strncmp(name, "zram", 4) != 0)
		return false;
	n = strspn(name + 4, "0123456789");
	return n > 0 && name[4 + n] == '\0';
}

/* Its name in sysfs, where its node is called something else.  1, 0: it is none; -errno: it could
 * not be read. */
static int find_name(int sys_fd, const char *path, char ret[static ZRAM_NAME_SIZE])
{
	char link[64], target[256];
	const char *name;
	struct stat st;
	ssize_t n;

	if (stat(path, &st) < 0)
		return error_is_transient(-errno) ? -errno : 0;
	if (!S_ISBLK(st.st_mode))
		return 0;
	snprintf(link, sizeof(link), "dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	n = readlinkat(sys_fd, link, target, sizeof(target) - 1);
	if (n < 0)
		return error_is_transient(-errno) ? -errno : 0;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (!is_zram(name) || strlen(name) >= ZRAM_NAME_SIZE)
		return 0;
	strcpy(ret, name);
	return 1;
}

/* A line of swaps: the node's path, blanks in it as \040, and what kind of swap it is. */
static int add_line(struct zram_devices *devices, int sys_fd, const char *line)
{
	char path[256], kind[16], name[ZRAM_NAME_SIZE];
	const char *base;
	int r = 1;

	if (sscanf(line, "%255s %15s", path, kind) != 2 || strcmp(kind, "partition") != 0)
		return 0;
	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	if (is_zram(base) && strlen(base) < ZRAM_NAME_SIZE)
		strcpy(name, base);
	else
		r = find_name(sys_fd, path, name);
	if (r <= 0)
		return r;
	if (strcmp(devices->names[devices->n], name) != 0)
		devices->last[devices->n] = (struct zram_device){ 0 };
	strcpy(devices->names[devices->n++], name);
	return 0;
}

/* What cannot be read is tried again at the next sample. */
static void find_devices(struct zram_devices *devices, int proc_fd, int sys_fd)
{
	char text[4096], *line, *rest = NULL;
	bool is_complete = true;
	ssize_t n;

	n = io_read_at(proc_fd, "swaps", text, sizeof(text));
	if (n < 0 && n != -ENOBUFS)
		return;
	devices->n = 0;
	for (line = strtok_r(text, "\n", &rest); line && devices->n < ZRAM_DEVICES_MAX;
	     line = strtok_r(NULL, "\n", &rest))
		is_complete &= add_line(devices, sys_fd, line) == 0;
	if (is_complete)
		devices->n_samples = ZRAM_SAMPLES;
}

void zram_sample(struct zram_devices *devices, int proc_fd, int sys_fd,
		 struct memory_counters *counters)
{
	if (sys_fd < 0 || counters->swap_total == 0)
		return;
	if (devices->swap_total != counters->swap_total)
		devices->n_samples = 0; /* of the old ones, until they can be read */
	devices->swap_total = counters->swap_total;
	if (devices->n_samples == 0)
		find_devices(devices, proc_fd, sys_fd);
	else
		devices->n_samples--;
	for (unsigned i = 0; i < devices->n; i++)
		if (!add_device(sys_fd, devices->names[i], &devices->last[i], counters))
			devices->n_samples = 0; /* another one of that size may be used instead */
}
