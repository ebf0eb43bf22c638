/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/history/history-json.c: what is encoded is decoded again; what others wrote,
 * damaged and cut texts.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/history/history.h"
#include "tests/history-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* A text of its own of exactly that length: AddressSanitizer sees the byte after it. */
static int decode(struct history *history, const char *text, size_t length)
{
	_cleanup_free_ char *copy = malloc(length > 0 ? length : 1);
	char error[256] = "";
	int r;

	assert_non_null(copy);
	memcpy(copy, text, length);
	history_clear(history);
	r = history_decode(history, copy, length, error, sizeof(error));
	assert_true(r == 0 || r == -EBADMSG);
	assert_int_equal(r != 0, error[0] != '\0');
	if (r < 0)
		assert_int_equal(history_count(history), 0);
	return r;
}

static ssize_t encode_into(const struct history *history, char *buf, size_t size)
{
	static struct history_entry entries[HISTORY_MAX];

	return history_encode(entries, history_copy(history, entries), buf, size);
}

static char *encode(const struct history *history, size_t *ret_length)
{
	_cleanup_free_ char *buf = malloc(HISTORY_TEXT_MAX);
	ssize_t r;

	assert_non_null(buf);
	r = encode_into(history, buf, HISTORY_TEXT_MAX);
	assert_true(r > 0);
	*ret_length = (size_t)r;
	return take_ptr(buf);
}

static void assert_same(const struct history *a, const struct history *b)
{
	assert_int_equal(history_count(a), history_count(b));
	for (unsigned i = 0; i < history_count(a); i++)
		assert_memory_equal(history_get(a, i), history_get(b, i),
				    sizeof(struct history_entry));
}

static void test_decode_returns_what_was_encoded(void **state)
{
	static const unsigned counts[] = { 0, 1, 9, HISTORY_MAX, HISTORY_MAX + 7 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		_cleanup_history_ struct history *history = make_history(), *other = make_history();
		_cleanup_free_ char *text = NULL;
		struct history_entry entry = make_entry(1);
		size_t length;

		put_entries(history, counts[i]);
		text = encode(history, &length);
		assert_int_equal(decode(other, text, length), 0);
		assert_same(history, other);
		/* Numbers continue. */
		history_put(other, &entry);
		assert_int_equal(entry.id, counts[i] + 1);
	}
}

static void test_decode_keeps_what_is_not_known(void **state)
{
	_cleanup_history_ struct history *history = make_history(), *other = make_history();
	_cleanup_free_ char *text = NULL;
	struct history_entry entry;
	size_t length;

	history_entry_init(&entry);
	history_set_text(entry.kind, sizeof(entry.kind), "no-victim");
	history_put(history, &entry);
	text = encode(history, &length);
	assert_null(memmem(text, length, "pid", 3));
	assert_int_equal(decode(other, text, length), 0);
	assert_same(history, other);
}

static void test_decode_takes_old_names(void **state)
{
	static const char text[] =
		"{\"version\":1,\"entries\":["
		"{\"id\":1,\"kind\":\"killed\",\"avoided_for\":\"kind\",\"avoided_pid\":7,"
		"\"returned_2s_bytes\":5,\"returned_bytes\":6,\"useless\":true,\"ended_usec\":9,"
		"\"ranked\":[{\"pid\":8,\"goes_too\":true}]},"
		"{\"id\":2,\"kind\":\"stood-down\",\"outcome\":\"memory-back\"},{\"id\":3,\"kind\":\"nobody\"},"
		"{\"id\":4,\"kind\":\"explained\"},"
		"{\"id\":5,\"kind\":\"killed\",\"outcome\":\"gone\"},"
		"{\"id\":6,\"kind\":\"killed\",\"outcome\":\"wait\"}]}";
	_cleanup_history_ struct history *history = make_history();
	const struct history_entry *entry;

	assert_int_equal(decode(history, text, sizeof(text) - 1), 0);
	assert_string_equal(history_get(history, 0)->outcome, "in-progress");
	assert_string_equal(history_get(history, 1)->outcome, "exited");
	assert_string_equal(history_get(history, 2)->kind, "cgroup-limit");
	assert_string_equal(history_get(history, 3)->kind, "no-victim");
	assert_string_equal(history_get(history, 4)->kind, "cancelled");
	assert_string_equal(history_get(history, 4)->outcome, "reclaimed");
	entry = history_get(history, 5);
	assert_string_equal(entry->kind, "killed");
	assert_string_equal(entry->skipped_for, "similar");
	assert_int_equal(entry->skipped_pid, 7);
	assert_int_equal(entry->reclaimed_2s_bytes, 5);
	assert_int_equal(entry->reclaimed_bytes, 6);
	assert_int_equal(entry->exited_usec, 9);
	assert_true(entry->ineffective);
	assert_true(entry->ranked[0].killed_with);
}

static void test_encode_leaves_out_the_oldest_of_what_is_too_long(void **state)
{
	_cleanup_history_ struct history *history = make_history(), *other = make_history();
	_cleanup_free_ char *text = NULL;
	struct history_entry entry;
	size_t length;
	char little[64];

	/* The longest there is: control characters take six bytes each. */
	for (unsigned n = 0; n < HISTORY_MAX; n++) {
		entry = make_entry(HISTORY_RANKED_MAX);
		memset(entry.cgroup, 1, sizeof(entry.cgroup) - 1);
		for (unsigned i = 0; i < HISTORY_RANKED_MAX; i++)
			memset(entry.ranked[i].cgroup, 1, sizeof(entry.ranked[i].cgroup) - 1);
		history_put(history, &entry);
	}
	text = encode(history, &length);
	assert_true(length <= HISTORY_TEXT_MAX);
	assert_int_equal(decode(other, text, length), 0);
	assert_in_range(history_count(other), HISTORY_MAX / 4, HISTORY_MAX - 1);
	assert_memory_equal(history_get(other, 0), history_get(history, 0), sizeof(entry));

	assert_int_equal(encode_into(history, little, sizeof(little)), -ENOBUFS);
	assert_int_equal(encode_into(history, little, 0), -ENOBUFS);
}

static void test_encode_is_read_by_others(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	_cleanup_free_ char *text = NULL;
	struct history_entry entry = make_entry(3);
	json_t *root, *last;
	size_t length;

	entry.footprint_bytes = UINT64_MAX - 1; /* more than JSON has numbers for */
	history_put(history, &entry);
	text = encode(history, &length);
	assert_int_equal(text[length - 1], '\n');
	root = json_loadb(text, length, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "version")), 1);
	last = json_array_get(json_object_get(root, "entries"), 0);
	assert_string_equal(json_string_value(json_object_get(last, "kind")), "killed");
	assert_true(json_integer_value(json_object_get(last, "footprint_bytes")) == INT64_MAX);
	assert_true(json_is_boolean(json_object_get(last, "ineffective")));
	assert_int_equal(json_array_size(json_object_get(last, "ranked")), 3);
	json_decref(root);
}

#define ONE(members) "{\"version\":1,\"entries\":[{\"id\":1,\"kind\":\"killed\"," members "}]}"

static void test_decode_refuses_errors(void **state)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "null", -EBADMSG },
		{ "\xff", -EBADMSG },
		{ "{\"version\":1}", -EBADMSG },
		{ "{\"entries\":[]}", -EBADMSG },
		{ "{\"version\":2,\"entries\":[]}", -EBADMSG },
		{ "{\"version\":\"1\",\"entries\":[]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":{}}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[],\"entries\":[]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[]}", 0 },
		{ "{\"version\":1,\"entries\":[],\"more\":1}", 0 },
		{ "{\"version\":1,\"entries\":[]} x", -EBADMSG },
		{ "{\"version\":1,\"entries\":[1]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[{}]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":1}]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":0,\"kind\":\"killed\"}]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":9007199254740993,\"kind\":\"x\"}]}",
		  -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":1,\"kind\":\"\"}]}", -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":1,\"kind\":\"k\"},{\"id\":1,\"kind\":\"k\"}]}",
		  -EBADMSG },
		{ "{\"version\":1,\"entries\":[{\"id\":2,\"kind\":\"k\"},{\"id\":1,\"kind\":\"k\"}]}",
		  -EBADMSG },
		{ ONE("\"pid\":1"), 0 },
		{ ONE("\"pid\":null"), 0 },
		{ ONE("\"of_a_later_version\":[{}]"), 0 },
		{ ONE("\"pid\":-1"), -EBADMSG },
		{ ONE("\"pid\":4294967294"), 0 },
		{ ONE("\"pid\":4294967295"), -EBADMSG },
		{ ONE("\"pid\":1.0"), -EBADMSG },
		{ ONE("\"pid\":\"1\""), -EBADMSG },
		{ ONE("\"pid\":true"), -EBADMSG },
		{ ONE("\"pid\":[]"), -EBADMSG },
		{ ONE("\"refrozen\":-2147483647"), 0 },
		{ ONE("\"refrozen\":-2147483648"), -EBADMSG },
		{ ONE("\"refrozen\":2147483648"), -EBADMSG },
		{ ONE("\"swap_bytes\":9223372036854775807"), 0 },
		{ ONE("\"swap_bytes\":9223372036854775808"), -EBADMSG },
		{ ONE("\"swap_bytes\":-1"), -EBADMSG },
		{ ONE("\"weight\":2"), 0 },
		{ ONE("\"weight\":0.5"), 0 },
		{ ONE("\"weight\":-0.5"), -EBADMSG },
		{ ONE("\"weight\":1e999"), -EBADMSG },
		{ ONE("\"weight\":\"1\""), -EBADMSG },
		{ ONE("\"ineffective\":1"), -EBADMSG },
		{ ONE("\"comm\":1"), -EBADMSG },
		{ ONE("\"comm\":\"\\u0000\""), -EBADMSG },
		{ ONE("\"comm\":\"longer than any process could call itself\""), 0 },
		{ ONE("\"ranked\":[]"), 0 },
		{ ONE("\"ranked\":{}"), -EBADMSG },
		{ ONE("\"ranked\":[1]"), -EBADMSG },
		{ ONE("\"ranked\":[{\"pid\":-1}]"), -EBADMSG },
		{ ONE("\"ranked\":[{},{},{},{},{},{},{},{},{},{}]"), 0 },
	};
	_cleanup_history_ struct history *history = make_history();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (decode(history, cases[i].text, strlen(cases[i].text)) != cases[i].expected)
			fail_msg("%s", cases[i].text);
}

/* A file with the largest number there is: what is written after it can be read again. */
static void test_decode_renumbers_what_leaves_no_room(void **state)
{
	static const char *const texts[] = {
		"{\"version\":1,\"entries\":[{\"id\":3,\"kind\":\"x\",\"pid\":1},"
		"{\"id\":9007199254740992,\"kind\":\"x\",\"pid\":2}]}",
		"{\"version\":1,\"entries\":[{\"id\":4503599627370497,\"kind\":\"x\",\"pid\":1},"
		"{\"id\":4503599627370498,\"kind\":\"x\",\"pid\":2}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_history_ struct history *history = make_history(), *again = make_history();
		struct history_entry entry;
		_cleanup_free_ char *text = NULL;
		size_t length;

		assert_int_equal(decode(history, texts[i], strlen(texts[i])), 0);
		assert_int_equal(history_get(history, 0)->id, 2);
		assert_int_equal(history_get(history, 0)->pid, 2);
		history_entry_init(&entry);
		entry.id = 0;
		history_set_text(entry.kind, sizeof(entry.kind), "killed");
		history_put(history, &entry);
		text = encode(history, &length);
		assert_int_equal(decode(again, text, length), 0);
		assert_int_equal(history_count(again), 3);
		assert_int_equal(history_get(again, 0)->id, 3);
	}
}

static void test_decode_takes_as_many_as_there_is_room_for(void **state)
{
	static const char text[] = ONE(
		"\"ranked\":[{\"pid\":1},{},{},{},{},{},{},{\"pid\":8},{\"pid\":9},{\"pid\":10}]");
	_cleanup_history_ struct history *history = make_history();

	assert_int_equal(decode(history, text, strlen(text)), 0);
	assert_int_equal(history_get(history, 0)->n_ranked, HISTORY_RANKED_MAX);
	assert_int_equal(history_get(history, 0)->ranked[7].pid, 8);
}

static void test_decode_reports_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ ONE("\"pid\":-1"), "entry 1: pid is out of range" },
		{ ONE("\"comm\":1"), "entry 1: comm is of another type" },
		{ "{\"version\":7}", "it is of version 7, not 1" },
		{ "{\"version\":1,\n\"\x1b[2J", NULL },
	};
	_cleanup_history_ struct history *history = make_history();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[128] = "";

		assert_int_equal(history_decode(history, cases[i].text, strlen(cases[i].text),
						error, sizeof(error)),
				 -EBADMSG);
		if (cases[i].error)
			assert_string_equal(error, cases[i].error);
		assert_null(strchr(error, '\x1b')); /* is printed on a terminal */
	}
}

static void test_decode_refuses_what_is_too_long(void **state)
{
	static const char text[] = "{\"version\":1,\"entries\":[]}";
	_cleanup_history_ struct history *history = make_history();
	_cleanup_free_ char *long_text = malloc(HISTORY_TEXT_MAX + 1);

	assert_non_null(long_text);
	memset(long_text, ' ', HISTORY_TEXT_MAX + 1);
	memcpy(long_text, text, sizeof(text) - 1);
	assert_int_equal(decode(history, long_text, HISTORY_TEXT_MAX), 0);
	assert_int_equal(decode(history, long_text, HISTORY_TEXT_MAX + 1), -EBADMSG);
	/* Deeper than a stack would bear. */
	memset(long_text, '[', HISTORY_TEXT_MAX);
	assert_int_equal(decode(history, long_text, HISTORY_TEXT_MAX), -EBADMSG);
}

static void test_decode_survives_being_cut_anywhere(void **state)
{
	_cleanup_history_ struct history *history = make_history(), *other = make_history();
	_cleanup_free_ char *text = NULL;
	size_t length;

	put_entries(history, 3);
	text = encode(history, &length);
	for (size_t n = 0; n < length - 1; n++)
		assert_int_equal(decode(other, text, n), -EBADMSG);
	assert_int_equal(decode(other, text, length - 1), 0); /* the last line's end */
}

/* What was accepted can be written and read again. */
static void assert_is_sound(const struct history *history)
{
	_cleanup_history_ struct history *again = make_history();
	_cleanup_free_ char *text = NULL;
	size_t length;

	text = encode(history, &length);
	assert_int_equal(decode(again, text, length), 0);
	assert_int_equal(history_count(again), history_count(history));
}

static void test_decode_survives_bytes_being_changed(void **state)
{
	static const char likely[] = "{}[]\",:0123456789.eE+-\\un\0\xff \n";
	_cleanup_history_ struct history *history = make_history(), *other = make_history();
	const char *given = getenv("RECKOND_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
	_cleanup_free_ char *text = NULL, *damaged = NULL;
	unsigned n_accepted = 0, n_refused = 0;
	size_t length;

	print_message("RECKOND_TEST_SEED=%u\n", seed);
	srandom(seed);
	put_entries(history, 3);
	text = encode(history, &length);
	damaged = malloc(length);
	assert_non_null(damaged);
	for (unsigned round = 0; round < 5000; round++) {
		long n = 1 + random() % 4;

		memcpy(damaged, text, length);
		while (n-- > 0)
			damaged[(size_t)random() % length] =
				random() % 2 ? likely[(size_t)random() % sizeof(likely)]
					     : (char)random();
		if (decode(other, damaged, length) == 0) {
			n_accepted++;
			assert_is_sound(other);
		} else {
			n_refused++;
		}
	}
	assert_true(n_accepted > 0 && n_refused > 0);
}

/* As if memory were exhausted after so many allocations; jansson's own are all there are. */
static unsigned n_allocations_left;

static void *allocate(size_t size)
{
	return n_allocations_left > 0 && n_allocations_left-- > 0 ? malloc(size) : NULL;
}

static void test_without_memory_it_reports_it(void **state)
{
	_cleanup_history_ struct history *history = make_history(), *other = make_history();
	_cleanup_free_ char *text = NULL, *buf = malloc(HISTORY_TEXT_MAX);
	char error[128];
	unsigned n;
	size_t length;
	ssize_t encoded = -ENOMEM;
	int r = -1;

	assert_non_null(buf);
	put_entries(history, 2);
	text = encode(history, &length);
	json_set_alloc_funcs(allocate, free);
	for (n = 0; encoded == -ENOMEM; n++) {
		n_allocations_left = n;
		encoded = encode_into(history, buf, HISTORY_TEXT_MAX);
	}
	assert_int_equal(encoded, length);
	assert_in_range(n, 100, 10000);
	assert_memory_equal(buf, text, length);
	/* (jansson takes a string that it has no room for to be an error.) */
	for (n = 0; r != 0; n++) {
		assert_int_equal(history_count(other), 0);
		n_allocations_left = n;
		r = history_decode(other, text, length, error, sizeof(error));
		assert_true(r == 0 || r == -ENOMEM || r == -EBADMSG);
	}
	json_set_alloc_funcs(malloc, free);
	assert_in_range(n, 100, 10000);
	assert_int_equal(r, 0);
	assert_same(history, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_returns_what_was_encoded),
		cmocka_unit_test(test_decode_keeps_what_is_not_known),
		cmocka_unit_test(test_decode_takes_old_names),
		cmocka_unit_test(test_encode_leaves_out_the_oldest_of_what_is_too_long),
		cmocka_unit_test(test_encode_is_read_by_others),
		cmocka_unit_test(test_decode_refuses_errors),
		cmocka_unit_test(test_decode_renumbers_what_leaves_no_room),
		cmocka_unit_test(test_decode_takes_as_many_as_there_is_room_for),
		cmocka_unit_test(test_decode_reports_what_is_wrong),
		cmocka_unit_test(test_decode_refuses_what_is_too_long),
		cmocka_unit_test(test_decode_survives_being_cut_anywhere),
		cmocka_unit_test(test_decode_survives_bytes_being_changed),
		cmocka_unit_test(test_without_memory_it_reports_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
