/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/config/executable.c, and of the built-in rules that need it: which process takes a
 * name that is not its own, and which has it by right.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config/executable.h"
#include "lib/config/policy.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PID 300

/* A /proc with init's executable and one process's, whose files are next to it, or in memory. */
struct world {
	char path[32];
	char other[32]; /* on another device; "" if there is none */
	int proc_fd;
	struct policy_set policies;
};

enum file {
	FILE_ROOTS, /* in the system, 0755, of root */
	FILE_USERS,
	FILE_GROUP_WRITABLE,
	FILE_WORLD_WRITABLE,
	FILE_OTHER_DEVICE, /* of root, in a file system that a user may have mounted */
	FILE_DIRECTORY,
	FILE_NONE,
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct stat a, b;
	char path[64];

	if (!world)
		return -1;
	strcpy(world->path, "/tmp/test-exec-XXXXXX");
	if (!mkdtemp(world->path))
		return -1;
	strcpy(world->other, "/dev/shm/test-exec-XXXXXX");
	if (mkdtemp(world->other) &&
	    (stat(world->other, &a) < 0 || stat(world->path, &b) < 0 || a.st_dev == b.st_dev)) {
		rmdir(world->other);
		world->other[0] = '\0';
	}
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", world->path,
			 (const char *[]){ "1", "300", "self" }[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(policy_set_init_defaults(&world->policies), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char command[128];

	policy_set_done(&world->policies);
	close(world->proc_fd);
	snprintf(command, sizeof(command), "rm -r '%s' %s", world->path, world->other);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

/* The file, and PID/exe which is it. */
static void put(const struct world *world, const char *pid, enum file kind, const char *name)
{
	char target[128], path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/exe", pid);
	(void)unlinkat(world->proc_fd, path, 0);
	if (kind == FILE_NONE)
		return;
	snprintf(target, sizeof(target), "%s/%s",
		 kind == FILE_OTHER_DEVICE ? world->other : world->path, name);
	if (kind == FILE_DIRECTORY) {
		(void)mkdir(target, 0755);
	} else {
		(void)unlink(target);
		fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		assert_true(fd >= 0);
		if (kind == FILE_USERS)
			assert_int_equal(fchown(fd, 1000, 1000), 0);
		if (kind == FILE_GROUP_WRITABLE)
			assert_int_equal(fchmod(fd, 0775), 0);
		if (kind == FILE_WORLD_WRITABLE)
			assert_int_equal(fchmod(fd, 0757), 0);
		close(fd);
	}
	assert_int_equal(symlinkat(target, world->proc_fd, path), 0);
}

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("SKIP: files of root's can only be made by root\n");
	return false;
}

static void test_read_returns_its_user(void **state)
{
	static const struct {
		enum file kind;
		const char *name;
		struct executable expected;
	} rows[] = {
		{ FILE_ROOTS, "Xorg", { true, true, true, "Xorg" } },
		{ FILE_ROOTS, "gnome-session-binary", { true, true, true, "gnome-session-b" } },
		{ FILE_ROOTS, "sway (deleted)", { true, true, true, "sway" } },
		{ FILE_ROOTS, " (deleted)", { true, true, true, " (deleted)" } },
		{ FILE_USERS, "Xorg", { true, false, false, "" } },
		{ FILE_GROUP_WRITABLE, "Xorg", { true, false, false, "" } },
		{ FILE_WORLD_WRITABLE, "Xorg", { true, false, false, "" } },
		{ FILE_OTHER_DEVICE, "Xorg", { true, true, false, "Xorg" } },
		{ FILE_DIRECTORY, "d", { true, false, false, "" } },
		{ FILE_NONE, NULL, { false, false, false, "" } },
	};
	struct world *world = *state;
	struct executable e;

	if (!is_root())
		skip();
	put(world, "1", FILE_ROOTS, "systemd");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct executable *expected = &rows[i].expected;

		if (rows[i].kind == FILE_OTHER_DEVICE && world->other[0] == '\0')
			continue;
		put(world, "300", rows[i].kind, rows[i].name);
		executable_read(world->proc_fd, PID, &e);
		if (e.known != expected->known || e.is_roots != expected->is_roots ||
		    e.is_of_system != expected->is_of_system || strcmp(e.name, expected->name) != 0)
			fail_msg("row %zu: %d %d %d '%s'", i, e.known, e.is_roots, e.is_of_system,
				 e.name);
	}
}

/* Where process 1 may not be read, this program says what the system is. */
static void test_read_knows_the_system_by_itself_too(void **state)
{
	struct world *world = *state;
	struct executable e;

	if (!is_root())
		skip();
	put(world, "300", FILE_ROOTS, "Xorg");
	executable_read(world->proc_fd, PID, &e);
	assert_false(e.is_of_system);
	put(world, "self", FILE_ROOTS, "reckond");
	executable_read(world->proc_fd, PID, &e);
	assert_true(e.is_of_system);
	if (world->other[0] == '\0')
		return;
	put(world, "self", FILE_OTHER_DEVICE, "reckond");
	executable_read(world->proc_fd, PID, &e);
	assert_false(e.is_of_system);
	put(world, "1", FILE_ROOTS, "init");
	executable_read(world->proc_fd, PID, &e);
	assert_true(e.is_of_system);
}

#define MANAGER "/user.slice/user-1000.slice/user@1000.service"
#define LOGIN	"/user.slice/user-1000.slice/session-3.scope"
#define APP	MANAGER "/app.slice/app-x-1.scope"
#define SHELL	MANAGER "/session.slice/org.gnome.Shell@wayland.service"
#define DOCKER	"/system.slice/docker-0123.scope"

struct claim {
	const char *comm;
	enum file kind;
	const char *file; /* NULL: as the comm is */
	const char *cgroup;
	uid_t uid;
	const char *rule; /* NULL: none protects it */
};

static const struct rule *ask(const struct world *world, const struct claim *claim)
{
	struct rule_subject subject = {
		.comm = claim->comm,
		.cgroup = claim->cgroup,
		.uid = claim->uid,
	};
	struct rule_verdict verdict;

	put(world, "300", claim->kind, claim->file ? claim->file : claim->comm);
	executable_apply_rules(&world->policies, world->proc_fd, PID, &subject, &verdict);
	return verdict.protected_by;
}

static void assert_claims(struct world *world, const struct claim *claims, size_t n)
{
	put(world, "1", FILE_ROOTS, "init-of-the-system");
	for (size_t i = 0; i < n; i++) {
		const struct claim *claim = &claims[i];
		const struct rule *rule;

		if (claim->kind == FILE_OTHER_DEVICE && world->other[0] == '\0')
			continue;
		rule = ask(world, claim);
		if (strcmp(rule ? rule->name : "(none)", claim->rule ? claim->rule : "(none)") != 0)
			fail_msg("%s in %s of %u: by %s instead of %s", claim->comm, claim->cgroup,
				 claim->uid, rule ? rule->name : "(none)",
				 claim->rule ? claim->rule : "(none)");
	}
}

static void test_what_takes_a_name_is_not_protected(void **state)
{
	static const struct claim claims[] = {
		/* a user's program, or prctl(PR_SET_NAME) of one */
		{ "Xorg", FILE_USERS, NULL, LOGIN, 1000, NULL },
		{ "Xorg", FILE_USERS, "hog", LOGIN, 1000, NULL },
		{ "systemd", FILE_USERS, NULL, MANAGER "/init.scope", 1000, NULL },
		{ "(sd-pam)", FILE_USERS, "hog", MANAGER "/init.scope", 1000, NULL },
		{ "i3", FILE_USERS, NULL, LOGIN, 1000, NULL },
		{ "gnome-shell", FILE_USERS, NULL, SHELL, 1000, NULL },
		{ "dbus-daemon", FILE_USERS, NULL, MANAGER "/session.slice/dbus.service", 1000,
		  NULL },
		{ "swaylock", FILE_USERS, NULL, LOGIN, 1000, NULL },
		{ "sway", FILE_GROUP_WRITABLE, NULL, LOGIN, 1000, NULL },
		/* in session.slice, by any name */
		{ "hog", FILE_USERS, NULL, SHELL, 1000, NULL },
		/* a script: its interpreter is root's */
		{ "Xorg", FILE_ROOTS, "bash", LOGIN, 1000, NULL },
		{ "Xorg", FILE_ROOTS, "python3.11", LOGIN, 1000, NULL },
		{ "systemd", FILE_ROOTS, "python3.11", MANAGER "/init.scope", 1000, NULL },
		{ "gnome-shell", FILE_ROOTS, "ld-linux-x86-64.so.2", LOGIN, 1000, NULL },
		{ "i3lock", FILE_ROOTS, "bash", LOGIN, 1000, NULL },
		/* on a medium, or by a server of the user's own that says it is root's */
		{ "Xorg", FILE_OTHER_DEVICE, NULL, LOGIN, 1000, NULL },
		{ "hog", FILE_OTHER_DEVICE, NULL, SHELL, 1000, NULL },
		/* what may not be read is a user's claim alone */
		{ "Xorg", FILE_NONE, NULL, LOGIN, 1000, NULL },
		{ "hog", FILE_NONE, NULL, SHELL, 1000, NULL },
		{ "Xorg", FILE_NONE, NULL, LOGIN, (uid_t)-1, NULL },
		/* where no such program is run */
		{ "weston", FILE_ROOTS, NULL, APP, 1000, NULL },
		{ "Xorg", FILE_ROOTS, NULL, DOCKER, 1000, NULL },
		{ "systemd", FILE_ROOTS, NULL, APP, 1000, NULL },
		/* root in a container */
		{ "sshd", FILE_ROOTS, NULL, DOCKER, 0, NULL },
		{ "init", FILE_ROOTS, NULL, "/machine.slice/libpod-1.scope", 0, NULL },
		{ "systemd", FILE_ROOTS, NULL, "/lxc.payload.c1/init.scope", 0, NULL },
		{ "apt", FILE_ROOTS, NULL, "/kubepods.slice/kubepods-pod1.slice/cri-1.scope", 0,
		  NULL },
		{ "Xorg", FILE_NONE, NULL, DOCKER, 0, NULL },
		/* not as root, or by a file that others can write */
		{ "sshd", FILE_ROOTS, NULL, LOGIN, 1000, NULL },
		{ "apt", FILE_ROOTS, NULL, LOGIN, 1000, NULL },
		{ "containerd", FILE_USERS, NULL, "/", 0, NULL },
		{ "dnf", FILE_WORLD_WRITABLE, NULL, LOGIN, 0, NULL },
		/* what a package manager runs */
		{ "sh", FILE_ROOTS, "dash", "/system.slice/apt-daily.service", 0, NULL },
		{ "update-initramf", FILE_ROOTS, "dash", LOGIN, 0, NULL },
	};

	if (!is_root())
		skip();
	assert_claims(*state, claims, ARRAY_SIZE(claims));
}

static void test_what_has_the_name_by_right_is_protected(void **state)
{
	static const struct claim claims[] = {
		{ "Xorg", FILE_ROOTS, NULL, LOGIN, 1000, "display" },
		{ "Xorg", FILE_ROOTS, NULL, LOGIN, 0, "display" },
		{ "X", FILE_ROOTS, "Xorg", LOGIN, 0, "display" },
		{ "systemd", FILE_ROOTS, NULL, MANAGER "/init.scope", 1000, "systemd-user" },
		{ "(sd-pam)", FILE_ROOTS, "systemd", MANAGER "/init.scope", 1000, "systemd-user" },
		{ "(sd-pam)", FILE_ROOTS, "systemd-executor", MANAGER "/init.scope", 1000,
		  "systemd-user" },
		{ "dbus-daemon", FILE_ROOTS, NULL, MANAGER "/app.slice/dbus.service", 1000, "bus" },
		{ "i3", FILE_ROOTS, NULL, LOGIN, 1000, "compositor" },
		{ "sway", FILE_ROOTS, "sway (deleted)", LOGIN, 1000, "compositor" },
		{ "gnome-shell", FILE_ROOTS, NULL, SHELL, 1000, "session-unit" },
		{ "gsd-color", FILE_ROOTS, NULL, SHELL, 1000, "session-unit" },
		{ "kwin_wayland", FILE_ROOTS, NULL, MANAGER "/session.slice/plasma-kwin.service",
		  1000, "session-unit" },
		{ "gnome-session-b", FILE_ROOTS, "gnome-session-binary",
		  MANAGER
		  "/app.slice/app-gnome\\x2dsession.slice/gnome-session-manager@gnome.service",
		  1000, "session" },
		{ "gnome-shell", FILE_ROOTS, NULL, "/2", 1000, "compositor" }, /* elogind */
		{ "sway", FILE_ROOTS, NULL, "/system.slice/system-getty.slice/getty@tty1.service",
		  1000, "compositor" },
		{ "swaylock", FILE_ROOTS, NULL, APP, 1000, "locker" },
		{ "kscreenlocker_g", FILE_ROOTS, "kscreenlocker_greet", SHELL, 1000, "locker" },
		{ "xscreensaver", FILE_ROOTS, NULL, LOGIN, 1000, "locker" },
		{ "slock", FILE_NONE, NULL, LOGIN, 0, "locker" },
		/* root's, interpreters and all */
		{ "dnf", FILE_ROOTS, "python3.11", APP, 0, "packages" },
		{ "unattended-upgr", FILE_ROOTS, "python3.11",
		  "/system.slice/apt-daily-upgrade.service", 0, "packages" },
		{ "dpkg", FILE_ROOTS, NULL, LOGIN, 0, "packages" },
		{ "packagekitd", FILE_ROOTS, NULL, "/system.slice/packagekit.service", 0,
		  "packages" },
		{ "sshd", FILE_ROOTS, NULL, "/system.slice/ssh.service", 0, "ssh" },
		{ "sshd", FILE_OTHER_DEVICE, NULL, "/system.slice/ssh.service", 0, "ssh" },
		{ "getty", FILE_ROOTS, "busybox", "/", 0, "login" },
		{ "conmon", FILE_ROOTS, NULL, "/machine.slice/libpod-conmon-1.scope", 0,
		  "containers" },
		{ "sshd", FILE_NONE, NULL, "/system.slice/ssh.service", 0, "ssh" },
		/* a unit needs no proof */
		{ "x", FILE_USERS, NULL, "/system.slice/dbus.service", 1000, "bus-unit" },
		{ "x", FILE_NONE, NULL, "/system.slice/gdm.service", 1000, "display-unit" },
	};

	if (!is_root())
		skip();
	assert_claims(*state, claims, ARRAY_SIZE(claims));
}

/* Without root: /bin/sh is root's on any machine, and where init is. */
static void test_the_slice_of_a_session_wants_a_file_of_the_system(void **state)
{
	struct world *world = *state;
	struct claim claim = { "hog", FILE_NONE, NULL, SHELL, 1000, NULL };
	struct rule_subject subject = { .comm = "any", .cgroup = SHELL, .uid = 1000 };
	struct rule_verdict verdict;
	struct executable e;

	assert_null(ask(world, &claim));
	assert_int_equal(symlinkat("/bin/sh", world->proc_fd, "1/exe"), 0);
	assert_int_equal(symlinkat("/bin/sh", world->proc_fd, "300/exe"), 0);
	executable_read(world->proc_fd, PID, &e);
	if (!e.is_roots) {
		print_message("SKIP: /bin/sh is not root's here\n");
		skip();
	}
	executable_apply_rules(&world->policies, world->proc_fd, PID, &subject, &verdict);
	assert_non_null(verdict.protected_by);
	assert_int_equal(verdict.protected_by->protection, RULE_PROTECTION_RELUCTANT);
	assert_true(verdict.asks_executable);
	assert_true(verdict.weight > 0.24 && verdict.weight < 0.26);
}

static void test_few_ask_and_nothing_is_allocated(void **state)
{
	static const struct {
		const char *comm, *cgroup;
		uid_t uid;
		bool asks;
	} rows[] = {
		{ "browser", APP, 1000, false },
		{ "Xorg", APP, 1000, false }, /* not there */
		{ "Xorg", LOGIN, 1000, true },
		{ "sshd", LOGIN, 1000, false }, /* not root's */
		{ "sshd", "/system.slice/ssh.service", 0, true },
		{ "x", "/system.slice/dbus.service", 0, false },
		{ "x", SHELL, 1000, true },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rule_subject subject = {
			.comm = rows[i].comm,
			.cgroup = rows[i].cgroup,
			.uid = rows[i].uid,
		};
		struct rule_verdict verdict;

		n_mallocs = 0;
		fail_malloc = FAIL_MALLOC_WORKS;
		executable_apply_rules(&world->policies, world->proc_fd, PID, &subject, &verdict);
		fail_malloc = false;
		assert_int_equal(n_mallocs, 0);
		assert_int_equal(verdict.asks_executable, rows[i].asks);
	}
}

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_read_returns_its_user),
		on_world(test_read_knows_the_system_by_itself_too),
		on_world(test_what_takes_a_name_is_not_protected),
		on_world(test_what_has_the_name_by_right_is_protected),
		on_world(test_the_slice_of_a_session_wants_a_file_of_the_system),
		on_world(test_few_ask_and_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
