/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory: samples the machine and evaluates the sample.  libproc2's results are used in place. */
#include "lib/sys/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libproc2/meminfo.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/sys/proc-virtual.h"
#include "lib/sys/zram.h"

/* However much is set aside, percentages are of at least this share of MemTotal. */
#define MEMORY_LEAST_SHARE 8

/* In calm: above that an eighth more or less decides nothing, and /proc/zoneinfo costs more than
 * all the rest: 60 us, and 2 us more for each CPU in each zone. */
#define LISTS_BELOW_PERCENT 30

#define ARCSTATS "spl/kstat/zfs/arcstats"

/*
 * ZFS may be loaded later.  It is searched for when memory is low (as above) and so much of it is
 * in no item of meminfo, as ARC is: at the first few samples, and then every so many, which is 10 s
 * at the usual 250 ms (POLICY_INTERVAL_WATCH_MAX_USEC).
 */
#define ARC_SHARE	  16
#define ARC_SAMPLES_FIRST 8
#define ARC_SAMPLES	  40

/* What is taken of /proc/meminfo, in KiB, and where it is kept.  An item that the kernel does not
 * have reads 0. */
#define FIELD(item, field)                                                                         \
	{                                                                                          \
		MEMINFO_##item, offsetof(struct memory_counters, field)                            \
	}
static const struct {
	enum meminfo_item item;
	size_t offset;
} meminfo_fields[] = {
	FIELD(MEM_TOTAL, total),
	FIELD(MEM_AVAILABLE, available),
	FIELD(MEM_FREE, free),
	FIELD(MEM_ANON, anon),
	FIELD(MEM_SHARED, shmem),
	FIELD(MEM_ACTIVE_ANON, active_anon),
	FIELD(MEM_INACTIVE_ANON, inactive_anon),
	FIELD(MEM_ACTIVE_FILE, active_file),
	FIELD(MEM_INACTIVE_FILE, inactive_file),
	FIELD(MEM_CACHED, cached),
	FIELD(MEM_BUFFERS, buffers),
	FIELD(SWAP_CACHED, swap_cached),
	FIELD(MEM_PAGE_TABLES, page_tables),
	FIELD(MEM_KERNEL_STACK, kernel_stack),
	FIELD(MEM_UNEVICTABLE, unevictable),
	FIELD(MEM_LOCKED, mlocked),
	FIELD(SWAP_TOTAL, swap_total),
	FIELD(SWAP_FREE, swap_free),
	FIELD(MEM_HUGETBL, hugetlb),
	FIELD(MEM_SLAB, slab),
	FIELD(MEM_SLAB_RECLAIM, slab_reclaimable),
	FIELD(MEM_SLAB_UNRECLAIM, slab_unreclaimable),
	FIELD(MEM_KERNEL_RECLAIM, kernel_reclaimable),
	FIELD(MEM_PER_CPU, percpu),
};

struct memory_source {
	int proc_fd; /* borrowed */
	int sys_fd;  /* borrowed */
	struct meminfo_info *meminfo;
	enum meminfo_item meminfo_items[ARRAY_SIZE(meminfo_fields)];
	int vmstat_fd;	 /* likewise */
	int zoneinfo_fd; /* kept: another read needs no new buffer in the kernel */
	bool has_arc;
	uint64_t arc_size, arc_min; /* as last read */
	bool virtualised;	    /* meminfo is mounted over */
	unsigned n_without_arc;	    /* samples that it was missed at */
	uint64_t page_size;
	struct zram_devices zram;
};

/*
 * Room in zram is worth what storing there frees: a page stored there frees itself and takes its
 * compressed size.  So its free space counts by (1 - ratio), while the total stays whole: with data
 * that cannot be compressed, swap on zram is exhausted from the start.
 */
static uint64_t swap_worth(const struct memory_counters *c)
{
	uint64_t zram_size = min_u64(c->zram_disksize, c->swap_total);
	uint64_t zram_left = sub_u64(zram_size, c->zram_stored);
	uint64_t zram_free = min_u64(zram_left, c->swap_free);
	uint64_t other_free = c->swap_free - zram_free;
	uint64_t percent = zram_percent(c->zram_stored, c->zram_used);

	/* What its mem_limit prevents it from storing can never be used. */
	zram_free = min_u64(zram_free, sub_u64(zram_left, c->zram_barred));
	return other_free + zram_free * (100 - percent) / 100;
}

void memory_evaluate(const struct memory_counters *counters, uint64_t page_size,
		     struct memory_reading *ret)
{
	const struct memory_counters *c = counters;
	uint64_t reserved = add_u64(c->hugetlb, add_u64(c->slab_unreclaimable, c->percpu));
	uint64_t arc = sub_u64(c->arc_size, c->arc_min);

	*ret = (struct memory_reading){
		.total = max_u64(sub_u64(c->total, reserved), c->total / MEMORY_LEAST_SHARE),
		.swap_total = c->swap_total,
		.swap_free = swap_worth(c),
		.allocated = c->allocated_pages * page_size,
		.freed = c->freed_pages * page_size,
		.counters = *c,
	};
	/* ARC is slab to the kernel: neither available nor, while it can shrink, lost. */
	ret->total = min_u64(ret->total + arc, c->total);
	ret->available = min_u64(add_u64(c->available + arc, c->free_listed), ret->total);
}

unsigned memory_available_permyriad(const struct memory_reading *reading)
{
	return permyriad_of(reading->available, reading->total);
}

unsigned memory_swap_free_permyriad(const struct memory_reading *reading)
{
	return permyriad_of(reading->swap_free, reading->swap_total);
}

static bool has_arcstats(const struct memory_source *source)
{
	return faccessat(source->proc_fd, ARCSTATS, R_OK, AT_EACCESS) == 0;
}

int memory_source_new(int proc_fd, int sys_fd, struct memory_source **ret)
{
	_cleanup_free_ struct memory_source *source = NULL;
	int r;

	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->proc_fd = proc_fd;
	source->sys_fd = sys_fd;
	source->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < ARRAY_SIZE(meminfo_fields); i++)
		source->meminfo_items[i] = meminfo_fields[i].item;
	source->has_arc = has_arcstats(source);
	source->virtualised = proc_is_virtualised(proc_fd, "meminfo");

	r = procps_meminfo_new(&source->meminfo);
	if (r < 0)
		return r;
	source->vmstat_fd = openat(proc_fd, "vmstat", O_RDONLY | O_CLOEXEC);
	if (source->vmstat_fd < 0)
		source->vmstat_fd = -errno;
	source->zoneinfo_fd = openat(proc_fd, "zoneinfo", O_RDONLY | O_CLOEXEC);
	*ret = take_ptr(source);
	return 0;
}

struct memory_source *memory_source_free(struct memory_source *source)
{
	if (!source)
		return NULL;
	procps_meminfo_unref(&source->meminfo);
	closep(&source->zoneinfo_fd);
	closep(&source->vmstat_fd);
	free(source);
	return NULL;
}

/* The numbers that follow "count:", found however the text is cut into pieces. */
struct count_sum {
	uint64_t sum, number;
	unsigned n_matched; /* characters of the key */
	bool has_digits;
};

static void add_counts(struct count_sum *s, const char *text, size_t n)
{
	static const char key[] = "count:";
	const unsigned length = sizeof(key) - 1;

	for (const char *c = text; c < text + n; c++) {
		if (s->n_matched < length) {
			s->n_matched = *c == key[s->n_matched] ? s->n_matched + 1 : *c == key[0];
		} else if (*c >= '0' && *c <= '9') {
			s->number = s->number * 10 + (uint64_t)(*c - '0');
			s->has_digits = true;
		} else if (*c != ' ' || s->has_digits) {
			*s = (struct count_sum){ .sum = s->sum + s->number };
		}
	}
}

/*
 *   pagesets
 *     cpu: 0
 *               count:    19522
 */
static void sample_lists(const struct memory_source *source, struct memory_counters *c)
{
	struct count_sum counts = { 0 };
	char text[4096];
	off_t at = 0;
	ssize_t n;

	if (source->zoneinfo_fd < 0)
		return;
	while ((n = pread(source->zoneinfo_fd, text, sizeof(text), at)) > 0) {
		add_counts(&counts, text, (size_t)n);
		at += n;
	}
	c->free_listed = counts.sum * source->page_size;
}

/* "size 4 123" in a kstat table: name, type, value. */
static uint64_t kstat_value(const char *text, const char *name)
{
	size_t length = strlen(name);
	uint64_t value;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ' ' &&
		    sscanf(line + length, "%*u %" SCNu64, &value) == 1)
			return value;
	}
	return 0;
}

static bool is_low(const struct memory_counters *c)
{
	return c->available < c->total / 100 * LISTS_BELOW_PERCENT;
}

/* In none of the items: the kernel's own, and drivers'; ARC is. */
static uint64_t unaccounted(const struct memory_counters *c)
{
	uint64_t known = add_u64(add_u64(c->free, c->anon), add_u64(c->cached, c->buffers));

	return sub_u64(c->total, add_u64(add_u64(known, c->hugetlb), c->slab));
}

static void find_arc(struct memory_source *source, const struct memory_counters *c)
{
	unsigned n;

	if (!is_low(c) || unaccounted(c) < c->total / ARC_SHARE) {
		source->n_without_arc = 0;
		return;
	}
	n = source->n_without_arc++;
	if (n < ARC_SAMPLES_FIRST || n % ARC_SAMPLES == 0)
		source->has_arc = has_arcstats(source);
}

static void sample_arc(struct memory_source *source, struct memory_counters *c)
{
	char text[16384];
	ssize_t n;

	if (!source->has_arc)
		find_arc(source, c);
	if (!source->has_arc)
		return;
	n = io_read_at(source->proc_fd, ARCSTATS, text, sizeof(text));
	if (n >= 0) {
		source->arc_size = kstat_value(text, "size");
		source->arc_min = kstat_value(text, "c_min");
	} else if (!error_is_transient((int)n)) {
		source->has_arc = false;
		return;
	}
	/* After a transient error (no descriptors) the last value is kept: memory is not short
	 * because of that. */
	c->arc_size = source->arc_size;
	c->arc_min = source->arc_min;
}

/* What was allocated and freed, and the kernel's own kills. */
static int sample_events(struct memory_source *source, struct memory_counters *c)
{
	struct vmstat_counters *events = &c->events;
	int r;

	r = source->vmstat_fd < 0 ? source->vmstat_fd : vmstat_read_fd(source->vmstat_fd, events);
	if (r == -ENOENT)
		return 0; /* all are 0: MEMORY_DOUBT_EVENTS */
	if (r < 0)
		return r;
	c->allocated_pages = events->allocated;
	c->freed_pages = events->freed;
	c->oom_kills = events->oom_kills;
	return 0;
}

static int sample_meminfo(struct memory_source *source, struct memory_counters *c)
{
	struct meminfo_stack *m;

	errno = 0;
	m = procps_meminfo_select(source->meminfo, source->meminfo_items,
				  ARRAY_SIZE(source->meminfo_items));
	if (!m)
		return errno > 0 ? -errno : -EIO;
	for (size_t i = 0; i < ARRAY_SIZE(meminfo_fields); i++)
		*(uint64_t *)((char *)c + meminfo_fields[i].offset) =
			m->head[i].result.ul_int * KIB;
	return c->total == 0 ? -EBADMSG : 0;
}

/* The CPUs' own lists. */
enum lists {
	LISTS_READ,
	LISTS_READ_IF_LOW,
	LISTS_KEPT, /* as they were */
};

static int sample_levels(struct memory_source *source, enum lists lists,
			 struct memory_reading *reading)
{
	struct memory_counters c = {
		.allocated_pages = reading->counters.allocated_pages,
		.freed_pages = reading->counters.freed_pages,
		.oom_kills = reading->counters.oom_kills,
		.events = reading->counters.events,
	};
	unsigned doubts;
	int r;

	r = sample_meminfo(source, &c);
	if (r < 0)
		return r;
	c.virtualised = source->virtualised;
	if (!c.virtualised && (lists == LISTS_READ || (lists == LISTS_READ_IF_LOW && is_low(&c))))
		sample_lists(source, &c);
	else if (lists == LISTS_KEPT)
		c.free_listed = reading->counters.free_listed;
	if (!c.virtualised)
		sample_arc(source, &c);
	zram_sample(&source->zram, source->proc_fd, source->sys_fd, &c);
	doubts = memory_reconcile(&c);
	if (source->vmstat_fd == -ENOENT)
		doubts |= MEMORY_DOUBT_EVENTS;
	memory_evaluate(&c, source->page_size, reading);
	reading->doubts = doubts;
	return 0;
}

int memory_sample_levels(struct memory_source *source, struct memory_reading *reading)
{
	return sample_levels(source, LISTS_READ_IF_LOW, reading);
}

int memory_sample_lightly(struct memory_source *source, struct memory_reading *reading)
{
	return sample_levels(source, LISTS_KEPT, reading);
}

int memory_sample(struct memory_source *source, struct memory_reading *ret)
{
	struct memory_reading reading = { 0 };
	int r;

	/* Before the levels: what is allocated between the two is then counted as growth later. */
	r = sample_events(source, &reading.counters);
	if (r < 0)
		return r;
	r = sample_levels(source, LISTS_READ, &reading);
	if (r < 0)
		return r;
	*ret = reading;
	return 0;
}
