/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup-mount: where the hierarchies are mounted, and which controllers they have.
 *
 * Mounts are looked up once, when cgroup_fs is opened; from then on everything is relative to
 * their fds.  libcgroup is asked for the one thing it does well, the place of a v1 controller,
 * and only where mountinfo shows a v1 mount; where it is not installed, mountinfo has to do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/base/slice.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/proc.h"

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

/* Blanks, backslashes and the like come as \ooo (fs/proc_namespace.c, mangle()). */
static int unescape(struct slice slice, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < slice.length; i++) {
		char c = slice.text[i];

		if (c == '\\' && slice.length - i > 3 && is_octal(slice.text + i + 1)) {
			const char *s = slice.text + i + 1;

			c = (char)((s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0'));
			i += 3;
		}
		if (n + 1 >= size)
			return -ENOBUFS;
		buf[n++] = c;
	}

	buf[n] = '\0';
	return 0;
}

/* A v1 hierarchy without controllers must have a name (cgroup1_parse_param()). */
static bool options_have_controllers(struct slice options)
{
	const char *p = options.text;

	while (p < options.text + options.length)
		if (strncmp(next_slice(&p, ", \n").text, "name=", 5) == 0)
			return false;
	return true;
}

static bool options_have(struct slice options, const char *option)
{
	const char *p = options.text;

	while (p < options.text + options.length)
		if (slice_is(next_slice(&p, ", \n"), option))
			return true;
	return false;
}

/*
 * "36 35 98:0 /root /mount/point rw,noatime master:1 - type source rw,options": proc(5).  There
 * may be any number of fields before the "-".
 */
int cgroup_parse_mountinfo(const char *line, struct cgroup_mount *ret)
{
	struct slice root, point, type, field;
	const char *p = line;

	for (unsigned i = 0; i < 3; i++)
		next_slice(&p, " \n");
	root = next_slice(&p, " \n");
	point = next_slice(&p, " \n");
	do {
		field = next_slice(&p, " \n");
		if (field.length == 0)
			return -EBADMSG;
	} while (!slice_is(field, "-"));
	type = next_slice(&p, " \n");
	(void)next_slice(&p, " \n");
	field = next_slice(&p, " \n");
	if (field.length == 0 || point.length == 0 || point.text[0] != '/')
		return -EBADMSG;

	ret->is_v2 = slice_is(type, "cgroup2");
	if (!ret->is_v2 && !slice_is(type, "cgroup"))
		return 0;
	ret->has_controllers = ret->is_v2 || options_have_controllers(field);
	ret->has_freezer = !ret->is_v2 && options_have(field, "freezer");
	ret->is_whole = slice_is(root, "/");
	return unescape(point, ret->path, sizeof(ret->path)) < 0 ? -ENOBUFS : 1;
}

/* The directory, if it is the root of what is looked for: another mount may hide it. */
static int open_mount(const char *path, unsigned magic)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if ((unsigned)fs.f_type != magic)
		return -ENODEV;
	return take_fd(&fd);
}

static void discard_log(void *userdata, int level, const char *format, va_list ap)
{
}

/* The functions of libcgroup that are used; false: it has not all of them. */
struct libcgroup {
	__typeof__(cgroup_set_logger) *set_logger;
	__typeof__(cgroup_init) *init;
	__typeof__(cgroup_get_subsys_mount_point) *get_subsys_mount_point;
};

static bool find_functions(void *library, struct libcgroup *ret)
{
	/* (As POSIX has it: a pointer to a function is a pointer like others.) */
	*(void **)&ret->set_logger = dlsym(library, "cgroup_set_logger");
	*(void **)&ret->init = dlsym(library, "cgroup_init");
	*(void **)&ret->get_subsys_mount_point = dlsym(library, "cgroup_get_subsys_mount_point");
	return ret->set_logger && ret->init && ret->get_subsys_mount_point;
}

/*
 * Where libcgroup says that the v1 freezer is mounted; NULL: it is not installed, or does not know.
 * When it is initialised it writes to 0.8 of its 2.4 MB of tables, for good: more than all the rest
 * of the daemon.  So it is loaded for this question, and unloaded again.
 */
static char *ask_libcgroup(void)
{
	void *library = dlopen(LIBCGROUP_SONAME, RTLD_NOW | RTLD_LOCAL);
	struct libcgroup functions;
	char *path = NULL;

	if (!library)
		return NULL;
	if (find_functions(library, &functions)) {
		/* It logs to standard output. */
		functions.set_logger(discard_log, CGROUP_LOG_ERROR, NULL);
		if (functions.init() != 0 ||
		    functions.get_subsys_mount_point("freezer", &path) != 0)
			path = NULL;
	}
	(void)dlclose(library);
	return path;
}

static bool has_memory_controller(int v2_fd)
{
	char buf[512];
	const char *p = buf;

	if (io_read_at(v2_fd, "cgroup.controllers", buf, sizeof(buf)) < 0)
		return false;
	while (*p != '\0')
		if (slice_is(next_slice(&p, " \n"), "memory"))
			return true;
	return false;
}

static enum cgroup_layout layout_of(bool has_v1, bool has_v2)
{
	if (has_v2)
		return has_v1 ? CGROUP_LAYOUT_HYBRID : CGROUP_LAYOUT_V2;
	return has_v1 ? CGROUP_LAYOUT_V1 : CGROUP_LAYOUT_NONE;
}

void cgroup_fs_init(struct cgroup_fs *fs, int v2_fd, int v1_freezer_fd)
{
	*fs = (struct cgroup_fs){
		.layout = layout_of(v1_freezer_fd >= 0, v2_fd >= 0),
		.v2_fd = v2_fd,
		.v1_freezer_fd = v1_freezer_fd,
		.v2_has_memory = v2_fd >= 0 && has_memory_controller(v2_fd),
	};
}

void cgroup_fs_done(struct cgroup_fs *fs)
{
	closep(&fs->v2_fd);
	closep(&fs->v1_freezer_fd);
	cgroup_fs_init(fs, -EBADF, -EBADF);
}

/* What mountinfo has shown so far. */
struct mount_search {
	int v2_fd;
	bool v2_is_whole;
	bool has_v1_controllers;
	char v2_mount[PATH_MAX];
	char v1_freezer[PATH_MAX]; /* "": none */
	int error;		   /* a mount is there, but could not be opened */
};

static void mount_search_done(struct mount_search *search)
{
	closep(&search->v2_fd);
}

/* The first whole mount, else the first that is a part. */
static void consider_v2_mount(struct mount_search *search, const struct cgroup_mount *mount)
{
	int fd;

	if (search->v2_is_whole || (search->v2_fd >= 0 && !mount->is_whole))
		return;
	fd = open_mount(mount->path, CGROUP2_SUPER_MAGIC);
	/* It may be hidden by another mount; else it is there, and so are its cgroups. */
	if (fd < 0 && !error_is_unreachable(fd))
		search->error = fd;
	if (fd < 0)
		return;

	closep(&search->v2_fd);
	search->v2_fd = fd;
	search->v2_is_whole = mount->is_whole;
	memcpy(search->v2_mount, mount->path, sizeof(search->v2_mount));
}

static void consider_v1_mount(struct mount_search *search, const struct cgroup_mount *mount)
{
	search->has_v1_controllers |= mount->has_controllers;
	if (mount->has_freezer && search->v1_freezer[0] == '\0')
		memcpy(search->v1_freezer, mount->path, sizeof(search->v1_freezer));
}

static int open_v1_freezer(const struct mount_search *search)
{
	_cleanup_free_ char *path = ask_libcgroup();
	int fd = path ? open_mount(path, CGROUP_SUPER_MAGIC) : -ENOENT;

	if (fd < 0 && search->v1_freezer[0] != '\0')
		fd = open_mount(search->v1_freezer, CGROUP_SUPER_MAGIC);
	return fd;
}

static int search_mounts(int proc_fd, struct mount_search *search)
{
	_cleanup_close_ int fd = openat(proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	struct cgroup_mount mount;
	size_t size = 0;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file)
		return -errno;
	(void)take_fd(&fd);

	while (errno = 0, getline(&line, &size, file) >= 0) {
		if (cgroup_parse_mountinfo(line, &mount) <= 0)
			continue;
		if (mount.is_v2)
			consider_v2_mount(search, &mount);
		else
			consider_v1_mount(search, &mount);
	}
	if (errno != 0)
		return -errno;
	return search->v2_is_whole ? 0 : search->error;
}

int cgroup_fs_open(int proc_fd, struct cgroup_fs *ret)
{
	_cleanup_(mount_search_done) struct mount_search search = { .v2_fd = -EBADF };
	_cleanup_close_ int v1_freezer_fd = -EBADF;
	int r;

	r = search_mounts(proc_fd, &search);
	if (r < 0)
		return r;
	if (search.has_v1_controllers)
		v1_freezer_fd = open_v1_freezer(&search);
	if (v1_freezer_fd < 0 && v1_freezer_fd != -EBADF && !error_is_unreachable(v1_freezer_fd))
		return v1_freezer_fd;

	cgroup_fs_init(ret, take_fd(&search.v2_fd), take_fd(&v1_freezer_fd));
	ret->layout = layout_of(search.has_v1_controllers, ret->v2_fd >= 0);
	memcpy(ret->v2_mount, search.v2_mount, sizeof(ret->v2_mount));
	return 0;
}
