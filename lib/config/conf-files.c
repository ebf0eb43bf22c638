/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-files: which configuration files there are, in the order in which they apply.
 *
 * systemd's rules (systemd.unit(5), "drop-in"): one main file, the first that exists; drop-ins of
 * all directories sorted by name alone, where of several with one name that of the first directory
 * counts; and an empty file or a symlink to /dev/null, found first, hides the others of its name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/config/conf-loader.h"

/* /etc first: the administrator's, then the boot's, then the distribution's. */
static const char *const roots[] = { "etc", "run", "usr/lib" };
/* Below each of them. */
static const char main_name[] = "/reckond/reckond.conf";

struct file_list {
	char **paths;
	size_t n;
	size_t n_mains; /* the drop-ins follow */
	struct conf_messages *messages;
	bool is_incomplete; /* a directory could not be listed */
};

static void file_list_done(struct file_list *list)
{
	conf_files_free(list->paths, list->n);
}

char **conf_files_free(char **files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(files[i]);
	free(files);
	return NULL;
}

/* Owns path, in any case; NULL is -ENOMEM, so that a failed format_path() may be passed on. */
static int file_list_add(struct file_list *list, char *path)
{
	_cleanup_free_ char *owned = path;
	char **grown;

	if (!path)
		return -ENOMEM;
	grown = reallocarray(list->paths, list->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->paths = grown;
	list->paths[list->n++] = take_ptr(owned);
	return 0;
}

__attribute__((format(printf, 1, 2))) static char *format_path(const char *format, ...)
{
	va_list ap;
	char *path;
	int r;

	va_start(ap, format);
	r = vasprintf(&path, format, ap);
	va_end(ap);
	return r < 0 ? NULL : path;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(name_of(*(char *const *)a), name_of(*(char *const *)b));
}

static bool has_drop_in(const struct file_list *list, const char *name)
{
	for (size_t i = list->n_mains; i < list->n; i++)
		if (strcmp(name_of(list->paths[i]), name) == 0)
			return true;
	return false;
}

static bool is_drop_in_name(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

/* An empty file or the null device, 1:3 in the kernel's Documentation/admin-guide/devices.txt. */
static bool is_mask(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	return (S_ISREG(st.st_mode) && st.st_size == 0) ||
	       (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

/* Adds what is in the directory and not yet hidden by a file of the same name. */
static int list_directory(struct file_list *list, const char *directory)
{
	_cleanup_dir_ DIR *dir = opendir(directory);

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	for (;;) {
		struct dirent *entry;
		int r;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return -errno;
		if (!is_drop_in_name(entry->d_name) || has_drop_in(list, entry->d_name))
			continue;
		r = file_list_add(list, format_path("%s/%s", directory, entry->d_name));
		if (r < 0)
			return r;
	}
}

/* FILE.d of the main file.  0 or a transient -errno; others are for the messages. */
static int list_drop_ins(struct file_list *list, const char *file)
{
	_cleanup_free_ char *directory = format_path("%s.d", file);
	int r = directory ? list_directory(list, directory) : -ENOMEM;

	if (r == 0 || error_is_transient(r))
		return r;
	list->is_incomplete = true;
	return conf_messages_add_unlisted(list->messages, directory, r);
}

/* Sorts the drop-ins, and takes out what only hides others. */
static void settle_drop_ins(struct file_list *list)
{
	size_t n = list->n_mains;

	if (list->n == n)
		return;
	qsort(list->paths + n, list->n - n, sizeof(*list->paths), compare_names);
	for (size_t i = n; i < list->n; i++) {
		if (is_mask(list->paths[i]))
			free(list->paths[i]);
		else
			list->paths[n++] = list->paths[i];
	}
	list->n = n;
}

static int find_given(struct file_list *list, const char *file)
{
	int r = file_list_add(list, strdup(file));

	list->n_mains = list->n;
	return r < 0 ? r : list_drop_ins(list, file);
}

static int find_main(struct file_list *list, const char *root_prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		_cleanup_free_ char *path =
			format_path("%s/%s%s", root_prefix, roots[i], main_name);
		struct stat st;

		if (!path)
			return -ENOMEM;
		/* What is there and cannot be followed or reached is read, which says why. */
		if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
			continue;
		return is_mask(path) ? 0 : file_list_add(list, take_ptr(path));
	}
	return 0;
}

static int find_standard(struct file_list *list, const char *root_prefix)
{
	int r = find_main(list, root_prefix);

	list->n_mains = list->n;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(roots); i++) {
		_cleanup_free_ char *path =
			format_path("%s/%s%s", root_prefix, roots[i], main_name);

		r = path ? list_drop_ins(list, path) : -ENOMEM;
	}
	return r;
}

int conf_find_files(const char *file, const char *root_prefix, struct conf_messages *messages,
		    char ***ret, size_t *ret_n)
{
	_cleanup_(file_list_done) struct file_list list = { .messages = messages };
	int r;

	r = file ? find_given(&list, file) : find_standard(&list, root_prefix);
	if (r < 0)
		return r;
	settle_drop_ins(&list);
	*ret = take_ptr(list.paths);
	*ret_n = list.n;
	list.n = 0;
	return list.is_incomplete;
}

bool conf_is_standard(const char *file)
{
	for (size_t i = 0; *file == '/' && i < ARRAY_SIZE(roots); i++) {
		size_t length = strlen(roots[i]);
		const char *rest = file + 1 + length;

		if (strncmp(file + 1, roots[i], length) != 0 ||
		    strncmp(rest, main_name, strlen(main_name)) != 0)
			continue;
		rest += strlen(main_name);
		return *rest == '\0' || strncmp(rest, ".d/", 3) == 0;
	}
	return false;
}

static const char *file_kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	return S_ISFIFO(mode) ? "a FIFO" : "a device or the like";
}

/* What is short now may not be later: that says nothing about the file. */
static void note_error(struct conf_loader *loader, int error)
{
	if (error_is_transient(-error))
		loader->read_error = -error;
}

static void refuse_file(struct conf_loader *loader, int error)
{
	note_error(loader, error);
	conf_error(loader, "cannot be read: %s", strerror(error));
}

FILE *conf_open(struct conf_loader *loader, const char *file)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	FILE *stream;

	/* Non-blocking: opening a FIFO would wait for a writer. */
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		refuse_file(loader, errno);
		return NULL;
	}
	/* "--config=/dev/null" means "no configuration". */
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return NULL;
	if (!S_ISREG(st.st_mode)) {
		conf_error(loader, "is %s, not a regular file", file_kind(st.st_mode));
		return NULL;
	}
	if (st.st_size > (off_t)CONF_FILE_MAX) {
		conf_error(loader, "is too large: at most %u MiB", (unsigned)(CONF_FILE_MAX / MIB));
		return NULL;
	}
	stream = fdopen(fd, "re");
	if (stream)
		(void)take_fd(&fd);
	else if (errno == ENOMEM)
		loader->no_memory = true;
	else
		refuse_file(loader, errno);
	loader->opened = st;
	return stream;
}

static bool differs(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

/* (Another file that takes its name is another one: this one has been read as it was.) */
static bool has_changed(const struct stat *before, const struct stat *after)
{
	return before->st_size != after->st_size || differs(&before->st_mtim, &after->st_mtim) ||
	       differs(&before->st_ctim, &after->st_ctim);
}

void conf_check_end(struct conf_loader *loader)
{
	struct stat st;

	if (ferror(loader->stream)) {
		note_error(loader, loader->stream_error);
		conf_error(loader, "cannot be read to its end: %s", strerror(loader->stream_error));
	} else if (fstat(fileno(loader->stream), &st) < 0) {
		refuse_file(loader, errno);
	} else if (has_changed(&loader->opened, &st)) {
		loader->read_error = -EAGAIN;
		conf_error(loader, "has changed while it was read");
	} else if ((off_t)loader->n_bytes < st.st_size) {
		conf_error(loader, "cannot be read to its end");
	}
}

int conf_check_named(const char *file, struct conf_messages *messages)
{
	struct conf_loader loader = { .messages = messages, .file = file };
	size_t n_errors = messages->n_errors;
	_cleanup_fclose_ FILE *stream = conf_open(&loader, file);

	if (stream)
		return 0;
	if (loader.no_memory)
		return -ENOMEM;
	return loader.read_error < 0 ? loader.read_error : messages->n_errors > n_errors;
}
