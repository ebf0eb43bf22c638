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

static void add_device(int sys_fd, const char *name, struct memory_counters *c)
{
	struct zram_device device = { 0 };
	char path[64], text[256];

	snprintf(path, sizeof(path), "block/%.31s/disksize", name);
	if (io_read_at(sys_fd, path, text, sizeof(text)) < 0 ||
	    sscanf(text, "%" SCNu64, &device.disksize) != 1)
		return;
	/* orig_data_size compr_data_size mem_used_total mem_limit ... */
	snprintf(path, sizeof(path), "block/%.31s/mm_stat", name);
	if (io_read_at(sys_fd, path, text, sizeof(text)) < 0 ||
	    sscanf(text, "%" SCNu64 " %*u %" SCNu64 " %" SCNu64, &device.stored, &device.used,
		   &device.limit) < 2)
		return;
	c->zram_disksize = add_u64(c->zram_disksize, device.disksize);
	c->zram_stored = add_u64(c->zram_stored, device.stored);
	c->zram_used = add_u64(c->zram_used, device.used);
	c->zram_barred = add_u64(c->zram_barred, zram_barred(&device));
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

/* Its name in sysfs, where its node is called something else. */
static bool find_name(int sys_fd, const char *path, char ret[static ZRAM_NAME_SIZE])
{
	char link[64], target[256];
	const char *name;
	struct stat st;
	ssize_t n;

	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	snprintf(link, sizeof(link), "dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	n = readlinkat(sys_fd, link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (!is_zram(name) || strlen(name) >= ZRAM_NAME_SIZE)
		return false;
	strcpy(ret, name);
	return true;
}

/* A line of swaps: the node's path, blanks in it as \040, and what kind of swap it is. */
static void add_line(struct zram_devices *devices, int sys_fd, const char *line)
{
	char path[256], kind[16], *name = devices->names[devices->n];
	const char *base;

	if (sscanf(line, "%255s %15s", path, kind) != 2 || strcmp(kind, "partition") != 0)
		return;
	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	if (is_zram(base) && strlen(base) < ZRAM_NAME_SIZE)
		strcpy(name, base);
	else if (!find_name(sys_fd, path, name))
		return;
	devices->n++;
}

static void find_devices(struct zram_devices *devices, int proc_fd, int sys_fd)
{
	char text[4096], *line, *rest = NULL;
	ssize_t n;

	n = io_read_at(proc_fd, "swaps", text, sizeof(text));
	if (n < 0 && n != -ENOBUFS)
		return; /* tried again at the next sample */
	devices->n = 0;
	for (line = strtok_r(text, "\n", &rest); line && devices->n < ZRAM_DEVICES_MAX;
	     line = strtok_r(NULL, "\n", &rest))
		add_line(devices, sys_fd, line);
	devices->n_samples = ZRAM_SAMPLES;
}

void zram_sample(struct zram_devices *devices, int proc_fd, int sys_fd,
		 struct memory_counters *counters)
{
	if (sys_fd < 0 || counters->swap_total == 0)
		return;
	if (devices->swap_total != counters->swap_total)
		*devices = (struct zram_devices){ .swap_total = counters->swap_total };
	if (devices->n_samples == 0)
		find_devices(devices, proc_fd, sys_fd);
	else
		devices->n_samples--;
	for (unsigned i = 0; i < devices->n; i++)
		add_device(sys_fd, devices->names[i], counters);
}
