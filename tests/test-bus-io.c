/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of what the bus decides without one: how long a message is, by its first 16 bytes
 * (bus-io.c); how long it waits before it connects again (bus.c); which messages come with the end
 * of a client's login (bus-private.c). */
#include "daemon/bus/bus-internal.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_message_size_is_of_header_and_body(void **state)
{
	/* The byte order, type, flags and version; the body's length, the serial, the fields'. */
	static const struct {
		unsigned char header[16];
		uint64_t size;
	} cases[] = {
		{ { 'l', 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, 16 },
		{ { 'l', 1, 0, 1, 4, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0 }, 16 + 8 + 4 },
		/* the fields are padded, the body is not */
		{ { 'l', 1, 0, 1, 5, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0 }, 16 + 16 + 5 },
		{ { 'l', 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0 }, 16 + 65536 + 256 },
		{ { 'B', 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0 }, 16 + 65536 + 256 },
		/* what no bus takes: it must not become a small number */
		{ { 'l', 1, 0, 1, 255, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255 },
		  16 + 0x100000000 + 0xffffffff },
		{ { 0 }, 0 },
		{ { 'x', 1, 0, 1, 4, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(bus_io_message_size(cases[i].header), cases[i].size);
}

static void test_messages_behind_begin(void **state)
{
#define AUTH	"\0AUTH EXTERNAL 30\r\n"
#define BEGIN	"BEGIN\r\n"
#define MESSAGE "l\1\0\1\4\0\0\0\1\0\0\0\10\0\0\0ffffffffbody" /* of 28 bytes */
#define LARGE	"l\1\0\1\0\0\1\0\1\0\0\0\10\0\0\0ffffffff"
#define CASE(text, cut, r)                                                                         \
	{                                                                                          \
		text, sizeof(text) - 1 - (cut), r                                                  \
	}
	static const struct {
		const char *text;
		size_t n;
		int r;
	} cases[] = {
		CASE("", 0, 0),
		CASE(AUTH, 0, 0),
		CASE(AUTH BEGIN, 0, 0),
		CASE(AUTH BEGIN, 1, 0), /* not all of it is there */
		CASE(BEGIN MESSAGE, 0, 1),
		CASE(BEGIN MESSAGE, 1, -EAGAIN),
		CASE(BEGIN MESSAGE, 12, -EAGAIN),
		CASE(BEGIN MESSAGE, 13, -EAGAIN), /* not even its header */
		CASE(BEGIN MESSAGE, 27, -EAGAIN),
		CASE(AUTH BEGIN MESSAGE MESSAGE, 0, 2),
		CASE(AUTH BEGIN MESSAGE MESSAGE, 28, 1),
		CASE(AUTH BEGIN MESSAGE MESSAGE, 27, -EAGAIN),
		CASE(BEGIN MESSAGE BEGIN MESSAGE, 0, -EBADMSG), /* the second is none */
		CASE(BEGIN LARGE, 0, -EBADMSG),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			bus_private_behind_begin((const unsigned char *)cases[i].text, cases[i].n),
			cases[i].r);
}

static void test_how_long_until_the_next_attempt(void **state)
{
	static const struct {
		enum bus_end end;
		unsigned last_ms, joined_for_ms, ms;
	} cases[] = {
		{ BUS_END_ABSENT, 0, 0, 500 },
		{ BUS_END_ABSENT, 500, 0, 1000 },
		{ BUS_END_ABSENT, 8000, 0, 10000 },
		{ BUS_END_ABSENT, 60000, 0, 10000 },
		/* it is left after ten seconds, and that is no reason to try at once */
		{ BUS_END_SILENT, 0, 10000, 500 },
		{ BUS_END_SILENT, 8000, 10000, 16000 },
		{ BUS_END_SILENT, 32000, 10000, 60000 },
		{ BUS_END_SILENT, 60000, 10000, 60000 },
		{ BUS_END_LOST, 0, 100, 500 },
		{ BUS_END_LOST, 8000, 9999, 10000 },
		{ BUS_END_LOST, 8000, 10000, 0 },
		{ BUS_END_REFUSED, 0, 0, 60000 },
		{ BUS_END_REFUSED, 500, 20000, 60000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(bus_join_pause(cases[i].last_ms * USEC_PER_MSEC, cases[i].end,
						cases[i].joined_for_ms * USEC_PER_MSEC),
				 cases[i].ms * USEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_size_is_of_header_and_body),
		cmocka_unit_test(test_how_long_until_the_next_attempt),
		cmocka_unit_test(test_messages_behind_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
