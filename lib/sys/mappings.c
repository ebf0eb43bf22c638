/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mappings: the shared memory of a process, mapping by mapping.
 *
 * A name is the process's own choice, but for newlines, which maps writes as "\012": a line is a
 * line.  A header line of smaps begins with an address, in lower case; a number's line with a
 * capital letter.
 */
#include "lib/sys/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/lines.h"
#include "lib/base/util.h"
#include "lib/sys/proc-scan.h"
#include "lib/sys/proc.h"

#define MOUNTINFO_MAX_BYTES (1U << 20)
#define SEGMENTS_MAX_BYTES  (1U << 20)

/* Files whose swap was counted are remembered so far back. */
#define RANGES_MAX 64

/* SHM_DEST of include/linux/shm.h: marked for removal, in the column "perms". */
#define SEGMENT_DEST 01000

enum fate {
	FATE_OTHER, /* not shared memory */
	FATE_DIES,
	FATE_STAYS,
};

struct mapping {
	uint64_t start, end, offset;
	uint64_t inode;
	uint32_t major, minor;
	bool is_shared; /* MAP_SHARED, "s" */
	bool is_deleted;
	const char *path; /* in the line; "" where there is none */
	enum fate fate;

	uint64_t rss, pss, anonymous, private_clean, private_dirty, swap, locked;
};

/* A part of a file. */
struct range {
	uint64_t inode;
	uint32_t major, minor;
	uint64_t from, to;
};

struct walk {
	struct mappings_request *request;
	struct mappings_sums *sums;
	struct mapping mapping; /* whose numbers are being read */
	unsigned n_lines;
	unsigned n_ranges; /* ever; the ring holds the last ones */
	struct range ranges[RANGES_MAX];
};

/* Digits of the base up to the byte `end`; *p is moved behind that. */
static int scan(const char **p, unsigned base, char end, uint64_t *ret)
{
	const char *s = *p;
	uint64_t value = 0;

	for (; *s != end; s++) {
		unsigned digit = *s >= '0' && *s <= '9'	  ? (unsigned)(*s - '0')
				 : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10
							  : base;

		if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -EBADMSG;
	}
	if (s == *p)
		return -EBADMSG;
	*p = s + 1;
	*ret = value;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);

	return length >= n && memcmp(text + length - n, end, n) == 0;
}

/* "7fcc41f35000-7fcc42f35000 rw-s 00000000 00:01 0                   /SYSV00000000 (deleted)" */
static int parse_header(const char *p, struct mapping *ret)
{
	struct mapping mapping = {};
	uint64_t major, minor;

	if (scan(&p, 16, '-', &mapping.start) < 0 || scan(&p, 16, ' ', &mapping.end) < 0 ||
	    mapping.end < mapping.start || strnlen(p, 5) < 5 || p[4] != ' ' ||
	    (p[3] != 's' && p[3] != 'p'))
		return -EBADMSG;
	mapping.is_shared = p[3] == 's';
	p += 5;
	if (scan(&p, 16, ' ', &mapping.offset) < 0 || scan(&p, 16, ':', &major) < 0 ||
	    scan(&p, 16, ' ', &minor) < 0 || major > UINT32_MAX || minor > UINT32_MAX ||
	    scan(&p, 10, ' ', &mapping.inode) < 0)
		return -EBADMSG;
	mapping.major = (uint32_t)major;
	mapping.minor = (uint32_t)minor;
	mapping.path = p + strspn(p, " ");
	mapping.is_deleted = ends_with(mapping.path, " (deleted)");
	*ret = mapping;
	return 0;
}

/* "36 35 0:28 / /dev/shm rw,nosuid - tmpfs tmpfs rw", with more words before the dash. */
static void add_mount(const char *p, struct mappings_request *request)
{
	uint64_t number, major, minor;
	bool is_tmpfs;

	if (scan(&p, 10, ' ', &number) < 0 || scan(&p, 10, ' ', &number) < 0 ||
	    scan(&p, 10, ':', &major) < 0 || scan(&p, 10, ' ', &minor) < 0 || major != 0 ||
	    minor > UINT32_MAX || request->n_devices == MAPPINGS_MAX_DEVICES)
		return;
	p = strstr(p, " - ");
	if (!p)
		return;
	is_tmpfs = strncmp(p, " - tmpfs ", strlen(" - tmpfs ")) == 0;
	for (unsigned i = 0; i < request->n_devices; i++)
		if (request->devices[i].minor == minor)
			return;
	request->devices[request->n_devices++] = (struct mappings_device){
		.minor = (uint32_t)minor,
		.is_tmpfs = is_tmpfs,
	};
}

/* Without it all devices are unknown, which is provided for. */
static void read_devices(struct mappings_request *request)
{
	_cleanup_close_ int fd = -EBADF;
	struct lines lines;
	char *line;

	request->has_devices = true;
	fd = openat(request->dir_fd, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	lines_init(&lines, fd, MOUNTINFO_MAX_BYTES);
	while (lines_next(&lines, &line) > 0)
		add_mount(line, request);
}

static const struct mappings_device *find_device(struct mappings_request *request,
						 const struct mapping *mapping)
{
	if (!request->has_devices)
		read_devices(request);
	for (unsigned i = 0; i < request->n_devices; i++)
		if (request->devices[i].minor == mapping->minor)
			return &request->devices[i];
	return NULL;
}

/* "       key      shmid perms ...", in decimal and, perms, octal. */
static void add_segment(const char *p, bool all_die, struct mappings_request *request)
{
	uint64_t id, perms;

	/* a key may be negative */
	p += strspn(p, " ");
	p += strspn(p, "-0123456789");
	p += strspn(p, " ");
	if (scan(&p, 10, ' ', &id) < 0 || id > UINT32_MAX)
		return;
	p += strspn(p, " ");
	if (scan(&p, 8, ' ', &perms) < 0 || (!all_die && !(perms & SEGMENT_DEST)) ||
	    request->n_segments == MAPPINGS_MAX_SEGMENTS)
		return;
	request->segments[request->n_segments++] = (uint32_t)id;
}

/* sysvipc/shm shows the segments of who reads it. */
static bool is_of_our_ipc_namespace(const struct mappings_request *request)
{
	struct stat ours, its;

	return fstatat(request->proc_fd, "self/ns/ipc", &ours, 0) == 0 &&
	       fstatat(request->dir_fd, "ns/ipc", &its, 0) == 0 && ours.st_ino == its.st_ino &&
	       ours.st_dev == its.st_dev;
}

static void read_segments(struct mappings_request *request)
{
	_cleanup_close_ int fd = -EBADF;
	char forced[8] = "", *line;
	struct lines lines;

	request->has_segments = true;
	if (!is_of_our_ipc_namespace(request))
		return;
	/* 1: every segment is removed with its last attachment. */
	(void)io_read_at(request->proc_fd, "sys/kernel/shm_rmid_forced", forced, sizeof(forced));
	fd = openat(request->proc_fd, "sysvipc/shm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	lines_init(&lines, fd, SEGMENTS_MAX_BYTES);
	while (lines_next(&lines, &line) > 0)
		add_segment(line, forced[0] == '1', request);
}

static enum fate fate_of_segment(struct mappings_request *request, uint64_t id)
{
	if (!request->has_segments)
		read_segments(request);
	for (unsigned i = 0; i < request->n_segments; i++)
		if (request->segments[i] == id)
			return FATE_DIES;
	return FATE_STAYS;
}

/* The file, by the magic link of the mapping: does a directory have it, as what name ever? */
static bool has_name(struct mappings_request *request, const struct mapping *mapping)
{
	char path[64];
	struct stat st;

	if (request->n_named == MAPPINGS_MAX_NAMED)
		return false;
	request->n_named++;
	(void)snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
		       mapping->end);
	return fstatat(request->dir_fd, path, &st, 0) == 0 && st.st_ino == mapping->inode &&
	       st.st_nlink > 0;
}

/* By its name.  The number of a System V segment is that of its inode. */
static enum fate fate_by_name(struct mappings_request *request, const struct mapping *mapping)
{
	const struct mappings_device *device;

	if (mapping->major != 0)
		return FATE_OTHER;
	/* MAP_SHARED | MAP_ANONYMOUS, named by PR_SET_VMA_ANON_NAME. */
	if (proc_after_name(mapping->path, "[anon_shmem:"))
		return FATE_DIES;
	if (mapping->path[0] != '/')
		return FATE_OTHER;
	if (mapping->is_deleted && (proc_after_name(mapping->path, "/memfd:") ||
				    strcmp(mapping->path, "/dev/zero (deleted)") == 0))
		return FATE_DIES;
	if (mapping->is_deleted && proc_after_name(mapping->path, "/SYSV") &&
	    strlen(mapping->path) == strlen("/SYSV00000000 (deleted)"))
		return fate_of_segment(request, mapping->inode);

	device = find_device(request, mapping);
	if (!device && strcmp(mapping->path, "/secretmem (deleted)") == 0)
		return FATE_OTHER; /* locked pages of a file, by all figures */
	if (device ? !device->is_tmpfs : !mapping->is_shared)
		return FATE_OTHER;
	return mapping->is_deleted ? FATE_DIES : FATE_STAYS;
}

static enum fate fate_of(struct mappings_request *request, const struct mapping *mapping)
{
	enum fate fate = fate_by_name(request, mapping);

	if (fate == FATE_DIES && mapping->is_deleted && has_name(request, mapping))
		return FATE_STAYS;
	return fate;
}

/* smaps tells for each mapping what is swapped out of its part of the file: is this part new? */
static bool is_new_range(struct walk *walk, const struct mapping *mapping)
{
	const struct range range = {
		.inode = mapping->inode,
		.major = mapping->major,
		.minor = mapping->minor,
		.from = mapping->offset,
		.to = add_u64(mapping->offset, mapping->end - mapping->start),
	};

	for (unsigned i = 0; i < min_u64(walk->n_ranges, RANGES_MAX); i++) {
		struct range *r = &walk->ranges[i];

		if (r->inode != range.inode || r->major != range.major || r->minor != range.minor)
			continue;
		if (range.from < r->to && r->from < range.to)
			return false;
		if (r->to == range.from) {
			r->to = range.to;
			return true;
		}
	}
	walk->ranges[walk->n_ranges++ % RANGES_MAX] = range;
	return true;
}

/* Of the mapping's swap, the share that its resident pages have. */
static uint64_t share_of_swap(const struct mapping *mapping)
{
	if (mapping->rss == 0 || mapping->pss >= mapping->rss)
		return mapping->swap;
	return (uint64_t)((__uint128_t)mapping->swap * mapping->pss / mapping->rss);
}

/* Of a file, but no shared memory; what was written to privately is anonymous. */
static bool is_of_file(const struct mapping *mapping)
{
	return mapping->fate == FATE_OTHER && mapping->inode != 0;
}

static void add_locked(struct mappings_sums *sums, const struct mapping *mapping)
{
	uint64_t private = add_u64(mapping->private_clean, mapping->private_dirty);
	uint64_t share = min_u64(mapping->locked, sub_u64(mapping->pss, mapping->anonymous));

	sums->locked_file = add_u64(sums->locked_file, share);
	sums->locked_private =
		add_u64(sums->locked_private, min_u64(share, sub_u64(private, mapping->anonymous)));
}

static void finish_mapping(struct walk *walk)
{
	const struct mapping *mapping = &walk->mapping;
	struct mappings_sums *sums = walk->sums;
	uint64_t size = mapping->end - mapping->start;

	if (is_of_file(mapping))
		add_locked(sums, mapping);
	if (mapping->fate == FATE_OTHER)
		return;
	if (mapping->fate == FATE_DIES)
		sums->size_dies = add_u64(sums->size_dies, size);
	else
		sums->size_stays = add_u64(sums->size_stays, size);
	if (mapping->is_shared)
		sums->swap_mapped = add_u64(sums->swap_mapped, mapping->swap);
	if (mapping->fate != FATE_DIES)
		return;

	if (!mapping->is_shared) {
		/* What it wrote is anonymous. */
		sums->pss = add_u64(sums->pss, sub_u64(mapping->pss, mapping->anonymous));
		return;
	}
	sums->pss = add_u64(sums->pss, mapping->pss);
	sums->private =
		add_u64(sums->private, add_u64(mapping->private_clean, mapping->private_dirty));
	if (mapping->swap > 0 && is_new_range(walk, mapping))
		sums->swap = add_u64(sums->swap, share_of_swap(mapping));
}

static int parse_number(const char *line, struct mapping *mapping)
{
	const struct {
		const char *name;
		uint64_t *value;
	} fields[] = {
		{ "Rss:", &mapping->rss },
		{ "Pss:", &mapping->pss },
		{ "Private_Clean:", &mapping->private_clean },
		{ "Private_Dirty:", &mapping->private_dirty },
		{ "Anonymous:", &mapping->anonymous },
		{ "Swap:", &mapping->swap },
		{ "Locked:", &mapping->locked },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *value = proc_after_name(line, fields[i].name);

		if (value)
			return proc_scan_kib(value, '\0', fields[i].value);
	}
	return 0;
}

static int take_line(struct walk *walk, const char *line)
{
	int r;

	walk->n_lines++;
	if (line[0] >= 'A' && line[0] <= 'Z')
		return walk->mapping.fate == FATE_OTHER && !is_of_file(&walk->mapping)
			       ? 0
			       : parse_number(line, &walk->mapping);

	finish_mapping(walk);
	r = parse_header(line, &walk->mapping);
	if (r < 0)
		return r;
	walk->mapping.fate = fate_of(walk->request, &walk->mapping);
	walk->mapping.path = NULL;
	return 0;
}

int mappings_read(struct mappings_request *request, const char *file, size_t max_bytes,
		  struct mappings_sums *ret)
{
	_cleanup_close_ int fd = openat(request->dir_fd, file, O_RDONLY | O_CLOEXEC);
	struct mappings_sums sums = {};
	struct walk walk = { .request = request, .sums = &sums };
	struct lines lines;
	char *line;
	int r;

	if (fd < 0)
		return -errno;
	lines_init(&lines, fd, max_bytes);
	while ((r = lines_next(&lines, &line)) > 0) {
		r = take_line(&walk, line);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (walk.n_lines == 0)
		return PROC_GONE;
	finish_mapping(&walk);
	sums.is_cut = lines.is_cut;
	*ret = sums;
	return 0;
}
