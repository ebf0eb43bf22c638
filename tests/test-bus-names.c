/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of ctl/bus.c: members as they are named on the bus and in JSON. */
#include <string.h>

#include "ctl/bus.h"
#include "lib/base/util.h"
#include "lib/history/history.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_member_name_is_that_of_json(void **state)
{
	static const struct {
		const char *bus, *json;
	} cases[] = {
		{ "Pid", "pid" },
		{ "FootprintBytes", "footprint_bytes" },
		{ "OomScoreAdj", "oom_score_adj" },
		{ "Reclaimed100msBytes", "reclaimed_100ms_bytes" },
		{ "Reclaimed2sBytes", "reclaimed_2s_bytes" },
		{ "StartedUSec", "started_usec" },
		{ "TimeUsec", "time_usec" },
		{ "HasPSI", "has_psi" },
		{ "", "" },
		{ "already_so", "already_so" },
	};
	char buf[BUS_NAME_SIZE], name[1000];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(bus_member_name(cases[i].bus, buf), cases[i].json);
	memset(name, 'A', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_true(strlen(bus_member_name(name, buf)) < BUS_NAME_SIZE);
}

/* One table names them on both sides; the test is whether one can be derived from the other. */
static void test_member_name_is_that_of_the_history(void **state)
{
	char buf[BUS_NAME_SIZE];

	for (size_t i = 0; i < n_history_fields; i++)
		assert_string_equal(bus_member_name(history_fields[i].bus_name, buf),
				    history_fields[i].name);
	for (size_t i = 0; i < n_history_ranked_fields; i++)
		assert_string_equal(bus_member_name(history_ranked_fields[i].bus_name, buf),
				    history_ranked_fields[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_member_name_is_that_of_json),
		cmocka_unit_test(test_member_name_is_that_of_the_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
