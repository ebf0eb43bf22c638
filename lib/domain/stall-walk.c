/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stall-walk: walks down the cgroups, in slices; see stall.h.
 *
 * Between two slices a walk is a stack of directories, each with the place where it continues:
 * cgroups may be made and removed meanwhile, as a directory of cgroups is ordered by the hash of
 * the names (kernfs_dir_pos() in fs/kernfs/dir.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/domain/stall.h"
#include "lib/sys/psi.h"

#define PLACES_MIN 256
/* Of the cgroup's name and the file's. */
#define FILE_PATH_SIZE (NAME_MAX + 32)
/* A walk that has read so many stops there. */
#define READS_MAX ((size_t)2 * STALL_CGROUPS_MAX)

#define PERIOD_USEC (2 * USEC_PER_SEC)
/* At most a hundredth of the time. */
#define PERIOD_TO_COST 100

void stall_init(struct stall *stall, int root_fd)
{
	*stall = (struct stall){ .root_fd = root_fd, .max_entries = STALL_CGROUPS_MAX };
}

static void leave_all(struct stall *stall)
{
	while (stall->n_levels > 0)
		close(stall->levels[--stall->n_levels].fd);
}

void stall_clear(struct stall *stall)
{
	leave_all(stall);
	free(stall->entries);
	stall_init(stall, stall->root_fd);
}

static struct stall_entry *place_of(struct stall_entry *entries, size_t n_places, uint64_t id)
{
	size_t i = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (n_places - 1);

	while (entries[i].id != 0 && entries[i].id != id)
		i = (i + 1) & (n_places - 1);
	return &entries[i];
}

/* Room for one more, so that half of the places are free. */
static int make_room(struct stall *stall)
{
	size_t n_places = stall->n_places > 0 ? stall->n_places * 2 : PLACES_MIN;
	struct stall_entry *entries;

	if (stall->n_entries >= stall->max_entries)
		return -ENOSPC;
	if (stall->n_places > 0 && stall->n_entries * 2 < stall->n_places)
		return 0;
	entries = calloc(n_places, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < stall->n_places; i++)
		if (stall->entries[i].id != 0)
			*place_of(entries, n_places, stall->entries[i].id) = stall->entries[i];
	free(stall->entries);
	stall->entries = entries;
	stall->n_places = n_places;
	return 0;
}

static unsigned share_of(uint64_t stalled, usec_t elapsed)
{
	return (unsigned)min_u64(permyriad_of(min_u64(stalled, elapsed), elapsed), PERMYRIAD);
}

/*
 * The share since the cgroup was last read, which is remembered anew.  One that is not known was
 * made since the last walk, and its totals began at 0; or there was no room for it, and then
 * nothing is known of it.
 */
static int update_entry(struct stall *stall, uint64_t id, const struct psi_reading *psi, usec_t now,
			struct stall_share *ret)
{
	struct stall_entry before = { .id = id, .at = stall->last_began_at }, *entry;
	int r;

	*ret = (struct stall_share){ 0 };
	r = make_room(stall);
	if (r < 0 && r != -ENOSPC)
		return r;
	entry = place_of(stall->entries, stall->n_places, id);
	if (entry->id == id)
		before = *entry;
	else if (r == -ENOSPC)
		return 0;
	else
		stall->n_entries++;
	*entry = (struct stall_entry){ id, psi->some.total, psi->full.total, now };
	if (stall->last_began_at == 0) {
		/* The first walk: after any stall, what is below is read. */
		ret->some = psi->some.total > 0 ? PERMYRIAD : 0;
		return 0;
	}
	ret->some = share_of(sub_u64(psi->some.total, before.some), sub_u64(now, before.at));
	ret->full = share_of(sub_u64(psi->full.total, before.full), sub_u64(now, before.at));
	return 0;
}

static ssize_t read_file(int dir_fd, const char *name, const char *file, char *buf, size_t size)
{
	char path[FILE_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", name, file);
	return io_read_record_at(dir_fd, path, buf, size);
}

/* A number, or "max"; what is not there (no memory controller) is no limit. */
static uint64_t read_limit(int dir_fd, const char *name, const char *file, uint64_t otherwise)
{
	uint64_t value;
	char text[64];

	if (read_file(dir_fd, name, file, text, sizeof(text)) < 0 ||
	    sscanf(text, "%" SCNu64, &value) != 1)
		return otherwise;
	return value;
}

/* "high" and "max" of memory.events: throttled, and at its maximum. */
static uint64_t read_events(int dir_fd, const char *name, const char *file)
{
	uint64_t sum = 0, value;
	char text[512];

	if (read_file(dir_fd, name, file, text, sizeof(text)) < 0)
		return 0;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "high %" SCNu64, &value) == 1 ||
		    sscanf(line, "max %" SCNu64, &value) == 1)
			sum = add_u64(sum, value);
	}
	return sum;
}

static bool read_is_limited(int dir_fd, const char *name, bool delegated, bool is_leaf)
{
	struct stall_limits limits = { .delegated = delegated };

	limits.limit = min_u64(read_limit(dir_fd, name, "memory.max", UINT64_MAX),
			       read_limit(dir_fd, name, "memory.high", UINT64_MAX));
	if (!delegated && limits.limit == UINT64_MAX)
		return false;
	limits.current = read_limit(dir_fd, name, "memory.current", 0);
	limits.n_events = read_events(
		dir_fd, name, delegated && is_leaf ? "memory.events" : "memory.events.local");
	return stall_is_limited(&limits);
}

/* The path of the level with this name below it; the end of it if it does not fit. */
static void note_limited(struct stall *stall, const struct stall_level *level, const char *name,
			 const struct stall_share *share)
{
	struct stall_verdict *draft = &stall->draft;
	char path[PATH_MAX + NAME_MAX + 2];
	size_t length;

	if (share->full < draft->limited_share.full ||
	    (share->full == draft->limited_share.full && share->some <= draft->limited_share.some))
		return;
	draft->limited_share = *share;
	length = (size_t)snprintf(path, sizeof(path), "%.*s%s%s", (int)level->path_length,
				  stall->path, *name ? "/" : "", name);
	(void)snprintf(draft->limited, sizeof(draft->limited), "%s",
		       path + sub_u64(length, sizeof(draft->limited) - 1));
}

/* Enters a directory.  One that cannot be opened has vanished, or is one file too many: 0. */
static int enter(struct stall *stall, const char *name, const struct stall_node *node)
{
	struct stall_level *parent = &stall->levels[stall->n_levels - 1];
	size_t length = parent->path_length + 1 + strlen(name);
	struct stall_level *level;
	int fd;

	if (stall->n_levels == STALL_DEPTH || length >= sizeof(stall->path))
		return 0;
	fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	(void)snprintf(stall->path + parent->path_length, sizeof(stall->path) - parent->path_length,
		       "/%s", name);
	level = &stall->levels[stall->n_levels++];
	*level = (struct stall_level){ .fd = fd, .path_length = length, .node = *node };
	if (node->delegated && stall->delegated_at == 0) {
		stall->delegated_at = stall->n_levels;
		stall->n_delegated = 0;
	}
	return 1;
}

/*
 * One cgroup, by its name in the directory on top of the stack: 1 if it is entered, 0 if all of it
 * that matters is known now, -errno.
 */
static int read_child(struct stall *stall, const char *name, uint64_t id, usec_t now)
{
	struct stall_level *level = &stall->levels[stall->n_levels - 1];
	struct stall_node child = { .delegated = level->node.delegated };
	bool is_leaf = false;
	struct psi_reading psi;
	struct stat st;
	char text[512];
	ssize_t n;
	int r;

	stall->draft.n_read++;
	n = read_file(level->fd, name, "memory.pressure", text, sizeof(text));
	if (n < 0 || psi_parse(text, &psi) < 0) {
		/* Vanished; or its owner has turned its pressure off (cgroup.pressure): what the
		 * cgroup above stalled is then not found below it. */
		stall_add_child(&level->node, &child);
		return 0;
	}
	r = update_entry(stall, id, &psi, now, &child.share);
	if (r < 0)
		return r;
	if (child.share.some < STALL_LEAST) {
		stall_add_child(&level->node, &child);
		return 0;
	}
	if (fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		child.delegated = child.delegated || st.st_uid != stall->owner;
		is_leaf = st.st_nlink == 2;
		child.has_children = !is_leaf;
	}
	if (stall->last_began_at != 0) {
		child.limited = read_is_limited(level->fd, name, child.delegated, is_leaf);
		if (child.limited)
			note_limited(stall, level, name, &child.share);
	}
	if (!is_leaf && !child.limited && enter(stall, name, &child) > 0)
		return 1;
	stall_add_child(&level->node, &child);
	return 0;
}

/* The directory on top of the stack is done: what is known of it is added to the one above, or is
 * the verdict. */
static void leave(struct stall *stall)
{
	struct stall_level *level = &stall->levels[--stall->n_levels];

	close(level->fd);
	if (stall->delegated_at > stall->n_levels)
		stall->delegated_at = 0;
	if (level->node.delegated &&
	    stall_unexplained(&level->node).some < level->node.share.some / 2)
		note_limited(stall, level, "", &level->node.share);
	if (stall->n_levels > 0)
		stall_add_child(&stall->levels[stall->n_levels - 1].node, &level->node);
	else
		stall->draft.unexplained = stall_unexplained(&level->node);
}

/* Has enough been seen, of all or of the delegated subtree that this is in? */
static bool is_enough(struct stall *stall)
{
	if (stall->draft.n_read >= READS_MAX)
		return true;
	return stall->delegated_at > 0 && ++stall->n_delegated > STALL_DELEGATED_MAX;
}

static bool is_subdirectory(const struct dirent64 *entry)
{
	return entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
	       strcmp(entry->d_name, "..") != 0;
}

/* Some entries of the directory on top of the stack.  1: it was left or another was entered; 0: the
 * time is up; -errno. */
static int go_on(struct stall *stall, usec_t (*clock_now)(void), usec_t until_usec)
{
	struct stall_level *level = &stall->levels[stall->n_levels - 1];
	_Alignas(struct dirent64) char buf[2048];
	ssize_t n;
	int r;

	if (lseek(level->fd, level->position, SEEK_SET) < 0)
		return -errno;
	while ((n = getdents64(level->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n; p += ((struct dirent64 *)p)->d_reclen) {
			const struct dirent64 *entry = (struct dirent64 *)p;

			level->position = entry->d_off;
			if (!is_subdirectory(entry))
				continue;
			if (is_enough(stall)) {
				leave(stall);
				return 1;
			}
			r = read_child(stall, entry->d_name, entry->d_ino, clock_now());
			if (r != 0)
				return r;
			if (clock_now() >= until_usec)
				return 0;
		}
	}
	leave(stall); /* vanished, perhaps */
	return 1;
}

static int begin(struct stall *stall, usec_t now)
{
	struct stall_level *root = &stall->levels[0];
	struct psi_reading psi;
	struct stat st;
	int r;

	stall->delegated_at = 0;
	stall->busy_usec = 0;
	stall->began_at = now;
	r = psi_read(stall->root_fd, "memory.pressure", &psi);
	if (r < 0)
		return r;
	if (fstat(stall->root_fd, &st) < 0)
		return -errno;
	stall->owner = st.st_uid;
	stall->draft = (struct stall_verdict){ .over = sub_u64(now, stall->last_began_at) };
	*root = (struct stall_level){ .node = { .has_children = true } };
	r = update_entry(stall, st.st_ino, &psi, now, &root->node.share);
	if (r < 0)
		return r;
	stall->draft.machine = root->node.share;
	root->fd = openat(stall->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		return -errno;
	stall->n_levels = 1;
	return 0;
}

static void finish(struct stall *stall, usec_t now)
{
	bool is_first = stall->last_began_at == 0;

	stall->last_began_at = stall->began_at;
	stall->cost_usec = stall->busy_usec;
	stall->draft.at = now;
	if (!is_first)
		stall->verdict = stall->draft;
	/* No more room, and most of it is of cgroups that were removed: begin anew. */
	if (stall->n_entries >= stall->max_entries && stall->draft.n_read < stall->n_entries / 2)
		stall_clear(stall);
}

int stall_walk(struct stall *stall, usec_t (*clock_now)(void), usec_t until_usec)
{
	usec_t now = clock_now();
	int r;

	if (stall->n_levels == 0) {
		r = begin(stall, now);
		if (r < 0) {
			stall_clear(stall);
			return r;
		}
	}
	do {
		r = go_on(stall, clock_now, until_usec);
	} while (r > 0 && stall->n_levels > 0 && clock_now() < until_usec);
	if (r < 0) {
		stall_clear(stall);
		return r;
	}
	stall->busy_usec += clock_now() - now;
	if (stall->n_levels > 0)
		return 0;
	finish(stall, clock_now());
	return 1;
}

usec_t stall_period(const struct stall *stall)
{
	return max_u64(PERIOD_USEC, stall->cost_usec * PERIOD_TO_COST);
}
