/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/cgroup-unit.c: from the path of a cgroup to the unit. */
#include <string.h>

#include "lib/base/util.h"
#include "lib/sys/cgroup-unit.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define USER "/user.slice/user-1000.slice/user@1000.service"
#define LONG                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_unit_of_a_path(void **state)
{
	static const struct {
		const char *path, *system, *user, *cgroup;
	} cases[] = {
		{ "/", "", "", "" },
		{ "", "", "", "" },
		{ "/system.slice", "", "", "" },
		{ "/system.slice/mydb.service", "mydb.service", "", "/system.slice/mydb.service" },
		/* below the unit's own cgroup, which is the one that the manager reads */
		{ "/system.slice/mydb.service/worker", "mydb.service", "",
		  "/system.slice/mydb.service" },
		{ "/system.slice/a.service/b.service", "a.service", "", "/system.slice/a.service" },
		/* slices nest; instances */
		{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "",
		  "/system.slice/system-getty.slice/getty@tty1.service" },
		{ "/a.slice/a-b.slice/a-b-c.slice/x.scope", "x.scope", "",
		  "/a.slice/a-b.slice/a-b-c.slice/x.scope" },
		{ "/init.scope", "init.scope", "", "/init.scope" },
		/* escapes: systemd's own are kept, that of the cgroup is removed */
		{ "/system.slice/a\\x2db.service", "a\\x2db.service", "",
		  "/system.slice/a\\x2db.service" },
		{ "/system.slice/_cgroup.service", "cgroup.service", "",
		  "/system.slice/_cgroup.service" },
		{ "/system.slice/dev-sda\\x2d1.swap", "dev-sda\\x2d1.swap", "",
		  "/system.slice/dev-sda\\x2d1.swap" },
		/* of users */
		{ "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "",
		  "/user.slice/user-1000.slice/session-3.scope" },
		{ USER, "user@1000.service", "", USER },
		{ USER "/init.scope", "user@1000.service", "init.scope", USER "/init.scope" },
		{ USER "/app.slice/app-org.x.Y-12.scope", "user@1000.service",
		  "app-org.x.Y-12.scope", USER "/app.slice/app-org.x.Y-12.scope" },
		{ USER "/app.slice/app-a.slice/app-a@1.service/sub", "user@1000.service",
		  "app-a@1.service", USER "/app.slice/app-a.slice/app-a@1.service" },
		{ USER "/app.slice", "user@1000.service", "", USER },
		{ "/user.slice/user@x.service/a.service", "user@x.service", "",
		  "/user.slice/user@x.service" },
		/* no units */
		{ "/docker/0123456789abcdef", "", "", "" },
		{ "/lxc.payload.web/system.slice/nginx.service", "", "", "" },
		{ "/system.slice/x.timer", "", "", "" },
		{ "/system.slice/.service", "", "", "" },
		{ "/system.slice/foo@.service", "", "", "" },
		{ "/system.slice/@a.service", "", "", "" },
		{ "/system.slice/a b.service", "", "", "" },
		{ "/system.slice/a\nb.service", "", "", "" },
		{ "/system.slice/" LONG ".service", "", "", "" },
		{ "/../other/a.service", "", "", "" },
		{ "system.slice/a.service", "", "", "" },
	};
	struct cgroup_unit unit;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cgroup_unit_find(cases[i].path, &unit);
		assert_string_equal(unit.system, cases[i].system);
		assert_string_equal(unit.user, cases[i].user);
		assert_int_equal(unit.length, strlen(cases[i].cgroup));
		assert_memory_equal(cases[i].path, cases[i].cgroup, unit.length);
		assert_true(unit.system_length <= unit.length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit_of_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
