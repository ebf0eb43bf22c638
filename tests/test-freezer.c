/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on trees of plain files: which levels are found, written and written back.  What the
 * kernel does with them is tested on real cgroups in test-freezer-kernel and test-kill.
 */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

/* A tree in a temporary directory: v2/ and v1/ are the mounts. */
struct tree {
	char path[64];
	int fd;
	struct cgroup_fs fs;
	struct freezer_thawed thawed;
	unsigned n_fds; /* open before */
};

static unsigned count_fds(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	return n;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void put(const struct tree *tree, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void make_directory(const struct tree *tree, const char *path)
{
	assert_return_code(mkdirat(tree->fd, path, 0755), errno);
}

static void make_v2(const struct tree *tree, const char *path, const char *freeze,
		    const char *events)
{
	char file[1024];

	make_directory(tree, path);
	(void)snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
	put(tree, file, freeze);
	(void)snprintf(file, sizeof(file), "%s/cgroup.events", path);
	put(tree, file, events);
}

static void make_v1(const struct tree *tree, const char *path, const char *self, const char *state,
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

static void assert_text(const struct tree *tree, const char *path, const char *expected)
{
	_cleanup_close_ int fd = openat(tree->fd, path, O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	assert_return_code(fd, errno);
	assert_return_code(read(fd, text, sizeof(text) - 1), errno);
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, expected) != 0)
		fail_msg("%s is '%s', not '%s'", path, text, expected);
}

#define FROZEN_EVENTS  "populated 1\nfrozen 1\n"
#define RUNNING_EVENTS "populated 1\nfrozen 0\n"

/* Which of /a, /a/b, /a/b/c freeze by their own flag, and what the last one says. */
static const struct {
	const char *freeze[3];
	const char *own_events;
	const char *path;
	int n_thawed;
	bool events;
} v2_cases[] = {
	{ { "0\n", "0\n", "0\n" }, RUNNING_EVENTS, "/a/b/c", 0, false },
	{ { "0\n", "0\n", "1\n" }, FROZEN_EVENTS, "/a/b/c", 1, true },
	/* the frozen one is above; its own flag says 0 */
	{ { "1\n", "0\n", "0\n" }, FROZEN_EVENTS, "/a/b/c", 1, true },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "/a/b/c", 3, true },
	/* still freezing: nothing to wait for */
	{ { "1\n", "0\n", "1\n" }, RUNNING_EVENTS, "/a/b/c", 2, false },
	/* what is frozen below does not concern it */
	{ { "1\n", "0\n", "1\n" }, FROZEN_EVENTS, "/a/b", 1, false },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "/", 0, false },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "//a/b//c/", 3, true },
};

static void test_thaw_v2_levels(void **state)
{
	static const char *const directories[] = { "v2/a", "v2/a/b", "v2/a/b/c" };
	static const char *const flags[] = { "v2/a/cgroup.freeze", "v2/a/b/cgroup.freeze",
					     "v2/a/b/c/cgroup.freeze" };
	struct tree *tree = *state;

	for (size_t i = 0; i < 3; i++)
		make_v2(tree, directories[i], "0\n", RUNNING_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(v2_cases); i++) {
		const char *path = v2_cases[i].path;
		size_t depth = strstr(path, "c") ? 3 : strstr(path, "b") ? 2 : 0;

		for (size_t level = 0; level < 3; level++)
			put(tree, flags[level], v2_cases[i].freeze[level]);
		put(tree, "v2/a/b/c/cgroup.events", v2_cases[i].own_events);

		assert_int_equal(freezer_thaw(&tree->fs, path, NULL, &tree->thawed),
				 v2_cases[i].n_thawed);
		assert_int_equal(tree->thawed.n_levels, v2_cases[i].n_thawed);
		assert_int_equal(tree->thawed.error, 0);
		assert_int_equal(tree->thawed.events_fd >= 0, v2_cases[i].events);
		for (size_t level = 0; level < 3; level++)
			assert_text(tree, flags[level],
				    level < depth || *v2_cases[i].freeze[level] == '0' ? "0" : "1");
		freezer_thawed_done(&tree->thawed);
	}
}

static void test_thaw_v1_writes_state_where_self_freezing(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/a/b", "0\n", "FROZEN\n", ""); /* by its parent */
	make_v1(tree, "v1/a/b/c", "1\n", "FROZEN\n", "1\n");

	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/a/b/c", &tree->thawed), 2);
	assert_text(tree, "v1/a/freezer.state", "THAWED");
	assert_text(tree, "v1/a/b/freezer.state", "FROZEN");
	assert_text(tree, "v1/a/b/c/freezer.state", "THAWED");
	assert_true(tree->thawed.levels[0].v1);
	assert_int_equal(tree->thawed.events_fd, -EBADF);
}

static void test_thaw_counts_both_hierarchies(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/x", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a", "/x", &tree->thawed), 2);
	assert_false(tree->thawed.levels[0].v1);
	assert_true(tree->thawed.levels[1].v1);
}

static void test_thaw_without_hierarchies_is_nothing(void **state)
{
	struct tree *tree = *state;
	struct cgroup_fs none;

	cgroup_fs_init(&none, -EBADF, -EBADF);
	assert_int_equal(freezer_thaw(&none, "/a", "/a", &tree->thawed), 0);
	assert_int_equal(freezer_is_frozen(&none, "/a", "/a"), 0);
	cgroup_fs_done(&none);
}

/* A cgroup that was removed has no processes: nothing above it is thawed for it. */
static void test_thaw_of_vanished_thaws_none(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/gone", "/a/gone/too", &tree->thawed), 0);
	assert_int_equal(tree->thawed.n_levels, 0);
	assert_int_equal(tree->thawed.error, 0);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_text(tree, "v1/a/freezer.state", "FROZEN");
}

static void test_thaw_refuses_paths_out_of_the_mount(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/../../etc", NULL, &tree->thawed), -EINVAL);
	assert_int_equal(freezer_thaw(&tree->fs, "a", NULL, &tree->thawed), -EINVAL);
	/* the other hierarchy is thawed all the same */
	assert_int_equal(freezer_thaw(&tree->fs, "/..", "/a", &tree->thawed), 1);
	assert_text(tree, "v1/a/freezer.state", "THAWED");
	assert_int_equal(tree->thawed.error, -EINVAL);

	assert_return_code(symlinkat("..", tree->fd, "v2/link"), errno);
	assert_true(freezer_thaw(&tree->fs, "/link", NULL, &tree->thawed) < 0);
}

static void test_thaw_continues_after_a_refusal(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b/c", "1\n", FROZEN_EVENTS);
	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/c/cgroup.freeze", 0666, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);

	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", NULL, &tree->thawed), 2);
	assert_int_equal(tree->thawed.error, -EACCES);
	assert_int_equal(tree->thawed.n_levels, 2); /* only those can be frozen again */
	assert_text(tree, "v2/a/cgroup.freeze", "0");
	assert_text(tree, "v2/a/b/cgroup.freeze", "1");
	assert_text(tree, "v2/a/b/c/cgroup.freeze", "0");

	/* the same, with nothing else to thaw: found out, but not thawed */
	freezer_thawed_done(&tree->thawed);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 0);
	assert_int_equal(tree->thawed.error, -EACCES);
}

static void test_thaw_of_unreadable_is_an_error(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", RUNNING_EVENTS);
	assert_return_code(fchmodat(tree->fd, "v2/a", 0000, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), -EACCES);
	assert_int_equal(freezer_is_frozen(&tree->fs, "/a/b", NULL), -EACCES);
}

static void test_thaw_again_keeps_and_adds(void **state)
{
	struct tree *tree = *state;
	int events_fd;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 1);
	events_fd = tree->thawed.events_fd;

	/* nothing new */
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 0);
	assert_int_equal(tree->thawed.n_levels, 1);

	/* another program freezes the known one again, and another */
	put(tree, "v2/a/cgroup.freeze", "1\n");
	put(tree, "v2/a/b/cgroup.freeze", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_int_equal(tree->thawed.n_levels, 2);
	assert_int_equal(tree->thawed.events_fd, events_fd);
	assert_text(tree, "v2/a/cgroup.freeze", "0");
	assert_text(tree, "v2/a/b/cgroup.freeze", "0");
}

/* More frozen levels than can be remembered: all are thawed. */
static void test_thaw_of_too_many_levels(void **state)
{
	const int n = FREEZER_MAX_LEVELS + 5;
	struct tree *tree = *state;
	char path[512] = "v2", file[600];

	for (int i = 0; i < n; i++) {
		strcat(path, "/d");
		make_v2(tree, path, "1\n", FROZEN_EVENTS);
	}
	assert_int_equal(freezer_thaw(&tree->fs, path + strlen("v2"), NULL, &tree->thawed), n);
	assert_int_equal(tree->thawed.n_levels, FREEZER_MAX_LEVELS);
	assert_int_equal(tree->thawed.error, -EOVERFLOW);
	for (int i = 0; i < n; i++) {
		(void)snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
		assert_text(tree, file, "0");
		*strrchr(path, '/') = '\0';
	}
}

/* What happens to a thawed level before it is to be frozen again, and what comes of it. */
static const struct {
	const char *name;
	const char *events;
	const char *freeze;
	int n_frozen;
	const char *after;
} refreeze_cases[] = {
	{ "left as we left it", "populated 1\nfrozen 0\n", "0\n", 1, "1" },
	{ "lines in the other order", "frozen 0\npopulated 1\n", "0\n", 1, "1" },
	{ "no process in it any more", "populated 0\nfrozen 0\n", "0\n", 0, "0" },
	{ "frozen by another program", "populated 1\nfrozen 1\n", "1\n", 0, "1" },
};

static void test_refreeze_v2(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(refreeze_cases); i++) {
		put(tree, "v2/a/cgroup.freeze", "1\n");
		assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
		put(tree, "v2/a/cgroup.events", refreeze_cases[i].events);
		put(tree, "v2/a/cgroup.freeze", refreeze_cases[i].freeze);
		if (freezer_refreeze(&tree->thawed) != refreeze_cases[i].n_frozen)
			fail_msg("%s", refreeze_cases[i].name);
		assert_text(tree, "v2/a/cgroup.freeze", refreeze_cases[i].after);
	}
}

static void test_refreeze_passes_over_vanished(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_return_code(unlinkat(tree->fd, "v2/a/b/cgroup.freeze", 0), errno);
	assert_return_code(unlinkat(tree->fd, "v2/a/b/cgroup.events", 0), errno);
	assert_return_code(unlinkat(tree->fd, "v2/a/b", AT_REMOVEDIR), errno);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
}

static void test_refreeze_v1_reads_below(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/full", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/x", "0\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/y", "0\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/y/.z", "1\n", "FROZEN\n", "123\n456\n");
	make_v1(tree, "v1/empty", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/empty/x", "0\n", "FROZEN\n", "");

	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/full", &tree->thawed), 1);
	put(tree, "v1/full/freezer.self_freezing", "0\n");
	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/empty", &tree->thawed), 1);
	put(tree, "v1/empty/freezer.self_freezing", "0\n");
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v1/full/freezer.state", "FROZEN");
	assert_text(tree, "v1/empty/freezer.state", "THAWED");
}

static void test_refreeze_continues_after_a_refusal(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_refreeze(&tree->thawed), -EACCES);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_text(tree, "v2/a/b/cgroup.freeze", "0");
}

static struct ledger ledger;

static unsigned n_entries(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
		n += ledger_get(&ledger, i) != NULL;
	return n;
}

static void keep_a_ledger(struct tree *tree)
{
	ledger_init(&ledger, "boot");
	tree->thawed.order = (struct freezer_order){
		.pid = 42,
		.start_ticks = 43,
		.ledger = &ledger,
	};
}

static void assert_entry(const struct tree *tree, unsigned slot, bool v1, const char *path)
{
	const struct ledger_entry *entry = ledger_get(&ledger, slot);
	char file[1024];
	struct stat st;

	assert_non_null(entry);
	assert_string_equal(entry->path, path);
	assert_true(entry->pid == 42 && entry->start_ticks == 43);
	assert_true(entry->v1 == v1 && !entry->moved);
	(void)snprintf(file, sizeof(file), "%s%s", v1 ? "v1" : "v2", path);
	assert_return_code(fstatat(tree->fd, file, &st, 0), errno);
	assert_true(entry->cgroup_id == st.st_ino);
}

static void test_ledger_has_what_is_to_be_frozen_again(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b/c", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/x", "1\n", "FROZEN\n", "1\n");
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", "/x", &tree->thawed), 3);
	assert_int_equal(tree->thawed.ledger_error, 0);
	assert_int_equal(n_entries(), 3);
	assert_entry(tree, 0, false, "/a");
	assert_entry(tree, 1, false, "/a/b/c");
	assert_entry(tree, 2, true, "/x");

	/* frozen by another program and thawed again: recorded once, as before */
	put(tree, "v1/x/freezer.self_freezing", "0\n");
	put(tree, "v2/a/cgroup.freeze", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", "/x", &tree->thawed), 1);
	assert_int_equal(n_entries(), 3);
	assert_int_equal(freezer_refreeze(&tree->thawed), 3);
	assert_int_equal(n_entries(), 0);
}

static void test_ledger_has_only_what_was_thawed(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/gone", NULL, &tree->thawed), 0);
	assert_int_equal(n_entries(), 0);

	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 1);
	assert_int_equal(n_entries(), 1);
	assert_entry(tree, 0, false, "/a");
}

/* A thaw that hangs, in a process that is killed in it (here: a fifo without a reader): what it was
 * about to thaw has been entered before. */
static void test_ledger_knows_before_it_is_thawed(void **state)
{
	struct ledger *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tree *tree = *state;
	int status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	ledger_init(shared, "boot");
	make_v1(tree, "v1/a", "1\n", "", "1\n");
	assert_return_code(unlinkat(tree->fd, "v1/a/freezer.state", 0), errno);
	assert_return_code(mkfifoat(tree->fd, "v1/a/freezer.state", 0600), errno);
	tree->thawed.order = (struct freezer_order){ .pid = 42, .ledger = shared };
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)freezer_thaw(&tree->fs, NULL, "/a", &tree->thawed);
		_exit(0);
	}
	for (int i = 0; i < 10000 && !ledger_get(shared, 0); i++)
		usleep(1000);
	assert_non_null(ledger_get(shared, 0));
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_non_null(ledger_get(shared, 0));
	assert_return_code(munmap(shared, sizeof(*shared)), errno);
}

static void test_ledger_that_is_full_prevents_no_thaw(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	for (int i = 0; i < LEDGER_ENTRIES; i++)
		(void)ledger_enter(&ledger, &(struct ledger_entry){ .pid = 1 }, "/", 1);
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	assert_int_equal(tree->thawed.error, 0);
	assert_int_equal(tree->thawed.ledger_error, -ENOSPC);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_int_equal(n_entries(), LEDGER_ENTRIES); /* none of the others' */
}

static void test_thaw_for_good_is_not_undone(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	tree->thawed.order.for_good = true;
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	assert_int_equal(tree->thawed.n_levels, 1);
	assert_int_equal(n_entries(), 0);
	assert_int_equal(freezer_refreeze(&tree->thawed), 0);
	assert_text(tree, "v2/a/cgroup.freeze", "0");
}

/* Only a process that was taken out is ever written anywhere. */
static void test_victim_only_writes_cgroup_procs(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	put(tree, "v1/cgroup.procs", "");
	make_v1(tree, "v1/a", "0\n", "THAWED\n", "");
	make_v1(tree, "v1/a/b", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/a/b/c", "0\n", "FROZEN\n", "");
	keep_a_ledger(tree);
	tree->thawed.order.victim_only = true;
	assert_int_equal(freezer_thaw(&tree->fs, "/a", "/a/b/c", &tree->thawed), 1);
	assert_text(tree, "v1/a/cgroup.procs", "42");
	assert_text(tree, "v1/cgroup.procs", "");
	assert_text(tree, "v1/a/b/freezer.state", "FROZEN");
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_int_equal(n_entries(), 1);
	assert_true(ledger_get(&ledger, 0)->moved);
	assert_string_equal(ledger_get(&ledger, 0)->path, "/a/b/c");

	assert_int_equal(freezer_move_back(&tree->thawed), 1);
	assert_text(tree, "v1/a/b/c/cgroup.procs", "42");
	assert_int_equal(freezer_refreeze(&tree->thawed), 0);
	assert_text(tree, "v1/a/b/c/freezer.state", "FROZEN");
	assert_int_equal(n_entries(), 0);
}

static void test_victim_only_when_it_may_not_be_moved(void **state)
{
	struct tree *tree = *state;

	put(tree, "v1/cgroup.procs", "");
	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "");
	assert_return_code(fchmodat(tree->fd, "v1/cgroup.procs", 0444, 0), errno);
	keep_a_ledger(tree);
	tree->thawed.order.victim_only = true;
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/a", &tree->thawed), -EACCES);
	assert_int_equal(tree->thawed.error, -EACCES);
	assert_int_equal(tree->thawed.n_levels, 0);
	assert_int_equal(n_entries(), 0);
}

static void test_take_over_knows_the_very_cgroup(void **state)
{
	struct tree *tree = *state;
	struct ledger_entry entry;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	keep_a_ledger(tree);
	assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
	entry = *ledger_get(&ledger, 0);
	freezer_thawed_done(&tree->thawed);
	assert_int_equal(n_entries(), 1); /* still owed */

	tree->thawed.order.ledger = &ledger;
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), 0);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_int_equal(n_entries(), 0);

	entry.cgroup_id++;
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), FREEZER_NOT_THERE);
	strcpy(entry.path, "/gone/too");
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), FREEZER_NOT_THERE);
	strcpy(entry.path, "/../v2/a");
	assert_int_equal(freezer_take_over(&tree->fs, &entry, 0, &tree->thawed), -EINVAL);
	assert_int_equal(tree->thawed.n_levels, 1);
}

static const struct {
	const char *v2_path, *v1_path;
	int expected;
} is_frozen_cases[] = {
	{ "/run", "/run", 0 },	    { "/run", NULL, 0 },	{ "/", "/", 0 },
	{ "/flag", NULL, 1 },	    /* freezing, not yet frozen */
	{ "/flag/below", NULL, 1 }, /* by its parent */
	{ "/events", NULL, 1 },	    /* by another program, above the mount */
	{ "/gone", "/gone", 0 },    { "/run", "/state", 1 },	{ "/run", "/freezing", 1 },
	{ "/gone", "/state", 1 },   { "/..", "/run", -EINVAL }, { "/..", "/state", 1 },
};

static void test_is_frozen(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/run", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/flag", "1\n", RUNNING_EVENTS);
	make_v2(tree, "v2/flag/below", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/events", "0\n", FROZEN_EVENTS);
	make_v1(tree, "v1/run", "0\n", "THAWED\n", "1\n");
	make_v1(tree, "v1/state", "0\n", "FROZEN\n", "1\n");
	make_v1(tree, "v1/freezing", "0\n", "FREEZING\n", "1\n");
	for (size_t i = 0; i < ARRAY_SIZE(is_frozen_cases); i++)
		if (freezer_is_frozen(&tree->fs, is_frozen_cases[i].v2_path,
				      is_frozen_cases[i].v1_path) != is_frozen_cases[i].expected)
			fail_msg("%s, %s", is_frozen_cases[i].v2_path, is_frozen_cases[i].v1_path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_thaw_v2_levels),
		TEST(test_thaw_v1_writes_state_where_self_freezing),
		TEST(test_thaw_counts_both_hierarchies),
		TEST(test_thaw_without_hierarchies_is_nothing),
		TEST(test_thaw_of_vanished_thaws_none),
		TEST(test_thaw_refuses_paths_out_of_the_mount),
		TEST(test_thaw_continues_after_a_refusal),
		TEST(test_thaw_of_unreadable_is_an_error),
		TEST(test_thaw_again_keeps_and_adds),
		TEST(test_thaw_of_too_many_levels),
		TEST(test_refreeze_v2),
		TEST(test_refreeze_passes_over_vanished),
		TEST(test_refreeze_v1_reads_below),
		TEST(test_refreeze_continues_after_a_refusal),
		TEST(test_is_frozen),
		TEST(test_ledger_has_what_is_to_be_frozen_again),
		TEST(test_ledger_has_only_what_was_thawed),
		TEST(test_ledger_knows_before_it_is_thawed),
		TEST(test_ledger_that_is_full_prevents_no_thaw),
		TEST(test_thaw_for_good_is_not_undone),
		TEST(test_victim_only_writes_cgroup_procs),
		TEST(test_victim_only_when_it_may_not_be_moved),
		TEST(test_take_over_knows_the_very_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
