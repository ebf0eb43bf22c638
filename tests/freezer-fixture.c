/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freezer-fixture: writes trees of plain files in the form of both hierarchies. */
#include "tests/freezer-fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/kill/freezer.h"
#include "tests/count-fds.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

int setup(void **state)
{
	static struct tree tree;

	tree.n_fds = count_fds();
	strcpy(tree.path, "/tmp/test-freezer-XXXXXX");
	if (!mkdtemp(tree.path) || chmod(tree.path, 0755) < 0)
		return -1;
	tree.fd = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(tree.fd, "v2", 0755) < 0 || mkdirat(tree.fd, "v1", 0755) < 0)
		return -1;
	cgroup_fs_init(&tree.fs, openat(tree.fd, "v2", O_PATH | O_DIRECTORY | O_CLOEXEC),
		       openat(tree.fd, "v1", O_PATH | O_DIRECTORY | O_CLOEXEC));
	freezer_thawed_init(&tree.thawed);
	*state = &tree;
	return 0;
}

int teardown(void **state)
{
	struct tree *tree = *state;

	if (geteuid() != getuid() && seteuid(getuid()) < 0)
		return -1;
	(void)fchmodat(tree->fd, "v2/a", 0755, 0);
	freezer_thawed_done(&tree->thawed);
	cgroup_fs_done(&tree->fs);
	close(tree->fd);
	if (nftw(tree->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0)
		return -1;
	assert_int_equal(count_fds(), tree->n_fds);
	return 0;
}

void put(const struct tree *tree, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void make_directory(const struct tree *tree, const char *path)
{
	assert_return_code(mkdirat(tree->fd, path, 0755), errno);
}

void make_v2(const struct tree *tree, const char *path, const char *freeze, const char *events)
{
	char file[1024];

	make_directory(tree, path);
	(void)snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
	put(tree, file, freeze);
	(void)snprintf(file, sizeof(file), "%s/cgroup.events", path);
	put(tree, file, events);
}

void make_v1(const struct tree *tree, const char *path, const char *self, const char *state,
	     const char *procs)
{
	char file[1024];

	make_directory(tree, path);
	(void)snprintf(file, sizeof(file), "%s/freezer.self_freezing", path);
	put(tree, file, self);
	(void)snprintf(file, sizeof(file), "%s/freezer.state", path);
	put(tree, file, state);
	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	put(tree, file, procs);
}

void assert_text(const struct tree *tree, const char *path, const char *expected)
{
	_cleanup_close_ int fd = openat(tree->fd, path, O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	assert_return_code(fd, errno);
	assert_return_code(read(fd, text, sizeof(text) - 1), errno);
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, expected) != 0)
		fail_msg("%s is '%s', not '%s'", path, text, expected);
}
