/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz: parts of the input, the temporary files, and how a check fails. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/util.h"

_Noreturn void fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

bool fuzz_is_utf8(const char *text)
{
	json_t *string = json_string(text);

	json_decref(string);
	return string != NULL;
}

bool fuzz_has_controls(const char *text, bool allow_line_ends)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p < 0x20 && !(allow_line_ends && *p == '\n')) || *p == 0x7f ||
		    (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f))
			return true;
	return false;
}

static char directory[PATH_MAX];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)remove(path);
	return 0;
}

static void remove_directory(void)
{
	(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_directory(void)
{
	const char *tmp = getenv("TMPDIR");

	if (directory[0])
		return directory;
	snprintf(directory, sizeof(directory), "%s/reckond-fuzz-XXXXXX",
		 tmp && *tmp ? tmp : "/tmp");
	FUZZ_CHECK(mkdtemp(directory));
	atexit(remove_directory);
	return directory;
}

int fuzz_directory_fd(void)
{
	static int fd = -EBADF;

	if (fd < 0)
		fd = open(fuzz_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0);
	return fd;
}

static void make_parents(int dir_fd, const char *path)
{
	char parent[PATH_MAX];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		(void)mkdirat(dir_fd, parent, 0700);
	}
}

void fuzz_write(const char *path, const void *data, size_t size)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
	int dir_fd = fuzz_directory_fd(), fd;

	if (!data) {
		(void)unlinkat(dir_fd, path, 0);
		return;
	}
	fd = openat(dir_fd, path, flags, 0600);
	if (fd < 0) {
		make_parents(dir_fd, path);
		fd = openat(dir_fd, path, flags, 0600);
	}
	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, data, size) == (ssize_t)size);
	close(fd);
}

/* Where the next line that begins a part is, or the end; *ret_name: behind its mark. */
static const uint8_t *find_part(const uint8_t *from, const uint8_t *end, const uint8_t **ret_name)
{
	static const char mark[] = "%%% ";
	const size_t length = sizeof(mark) - 1;

	for (const uint8_t *line = from; line && (size_t)(end - line) > length;) {
		if (memcmp(line, mark, length) == 0) {
			*ret_name = line + length;
			return line;
		}
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	*ret_name = NULL;
	return end;
}

size_t fuzz_split(const uint8_t *data, size_t size, struct fuzz_part *parts, size_t max)
{
	const uint8_t *end = data + size, *name, *next_name;
	size_t n = 0;

	if (size == 0)
		return 0;
	(void)find_part(data, end, &name);
	for (; name && n < max; name = next_name) {
		const uint8_t *line_end = memchr(name, '\n', (size_t)(end - name));
		struct fuzz_part *part = &parts[n];

		if (!line_end)
			break;
		snprintf(part->name, sizeof(part->name), "%.*s", (int)(line_end - name),
			 (const char *)name);
		part->data = line_end + 1;
		part->size = (size_t)(find_part(part->data, end, &next_name) - part->data);
		n++;
	}
	return n;
}
