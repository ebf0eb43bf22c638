/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/history/history.c and lib/history/history-json.c: the table of fields against the
 * record, the ring, and the text: what is written is read back the same, and what was damaged in
 * any way is refused or accepted, and never more than that.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/history/history.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void history_freep(struct history **history)
{
	history_free(*history);
}
#define _cleanup_history_ _cleanup_(history_freep)

static struct history *make_history(void)
{
	struct history *history;

	assert_int_equal(history_new(&history), 0);
	return history;
}

/* Something in every field, another for each n. */
static void fill(const struct history_field *fields, size_t n_fields, void *record, unsigned n)
{
	for (size_t i = 0; i < n_fields; i++) {
		void *value = (char *)record + fields[i].offset;
		unsigned x = n * 100 + (unsigned)i;
		char text[64];

		switch (fields[i].type) {
		case HISTORY_BOOL:
			*(bool *)value = x % 2;
			break;
		case HISTORY_DOUBLE:
			*(double *)value = x / 4.0;
			break;
		case HISTORY_I32:
			*(int32_t *)value = 5 - (int)x;
			break;
		case HISTORY_TEXT:
			memset(value, 0, fields[i].size);
			snprintf(text, sizeof(text), "%u \xc3\xa4 %s", x, fields[i].name);
			history_set_text(value, fields[i].size, text);
			break;
		case HISTORY_U32:
			*(uint32_t *)value = x;
			break;
		case HISTORY_U64:
			*(uint64_t *)value = (uint64_t)x << 33;
			break;
		}
	}
}

static struct history_entry make_entry(unsigned n)
{
	struct history_entry entry;

	history_entry_init(&entry);
	fill(history_fields, n_history_fields, &entry, n);
	memset(entry.kind, 0, sizeof(entry.kind));
	history_set_text(entry.kind, sizeof(entry.kind), "killed");
	entry.id = 0;
	entry.n_ranked = n % (HISTORY_RANKED_MAX + 1);
	for (unsigned i = 0; i < entry.n_ranked; i++)
		fill(history_ranked_fields, n_history_ranked_fields, &entry.ranked[i], n + i);
	return entry;
}

static void put_entries(struct history *history, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		struct history_entry entry = make_entry(i);

		history_put(history, &entry);
	}
}

static void check_table(const struct history_field *fields, size_t n, size_t begin, size_t size,
			const char *rest)
{
	static const size_t sizes[] = {
		[HISTORY_BOOL] = sizeof(bool),	  [HISTORY_DOUBLE] = sizeof(double),
		[HISTORY_I32] = sizeof(int32_t),  [HISTORY_U32] = sizeof(uint32_t),
		[HISTORY_U64] = sizeof(uint64_t),
	};
	bool covered[sizeof(struct history_entry)] = { false };
	unsigned gap = 0;

	for (size_t i = 0; i < n; i++) {
		const struct history_field *f = &fields[i];
		char camel[64];
		size_t at = 0;
		bool up = true;

		for (const char *c = f->name; *c; c++) {
			if (*c != '_')
				camel[at++] = up ? (char)toupper(*c) : *c;
			up = *c == '_';
		}
		camel[at] = '\0';
		assert_string_equal(f->bus_name, camel);
		assert_true(f->type == HISTORY_TEXT ? f->size > 4 : f->size == sizes[f->type]);
		for (size_t b = f->offset; b < f->offset + f->size; b++) {
			assert_false(covered[b]); /* no member twice */
			covered[b] = true;
		}
	}
	/* No member is missing: what is not covered is padding. */
	for (size_t b = begin; b < size; b++) {
		gap = covered[b] ? 0 : gap + 1;
		if (gap >= 8)
			fail_msg("%s: something at %zu is in no field", rest, b);
	}
}

static void test_fields_cover_the_record(void **state)
{
	check_table(history_fields, n_history_fields, 0, offsetof(struct history_entry, n_ranked),
		    "entry");
	check_table(history_ranked_fields, n_history_ranked_fields, 0,
		    sizeof(struct history_ranked), "ranked");
}

static void test_entry_init_knows_nothing(void **state)
{
	struct history_entry entry;

	memset(&entry, 0x55, sizeof(entry));
	history_entry_init(&entry);
	for (size_t i = 0; i < n_history_fields; i++) {
		const struct history_field *f = &history_fields[i];

		if (f->type == HISTORY_BOOL)
			assert_false(*(const bool *)history_value(f, &entry));
		else if (f->offset != offsetof(struct history_entry, id))
			assert_false(history_is_known(f, &entry));
	}
	assert_int_equal(entry.n_ranked, 0);
	assert_int_equal(entry.id, 0);

	fill(history_fields, n_history_fields, &entry, 1);
	for (size_t i = 0; i < n_history_fields; i++)
		assert_true(history_is_known(&history_fields[i], &entry));
}

static void test_set_text_and_path(void **state)
{
	static const struct {
		bool path;
		size_t size;
		const char *in, *out;
	} cases[] = {
		{ false, 8, "firefox", "firefox" },
		{ false, 8, "chromium", "chromiu" },
		{ false, 8, "abcdef\xc3\xa4", "abcdef" },
		{ false, 16,
		  "a\xff"
		  "b\x1b[",
		  "a\xef\xbf\xbd"
		  "b\x1b[" },
		{ true, 16, "/a.slice/b.scope", "...lice/b.scope" },
		{ true, 16, "/user.slice/b.s", "/user.slice/b.s" },
		{ true, 16, "/", "/" },
		{ true, 8, "/\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "...\xc3\xa4\xc3\xa4" },
		{ true, 8, "/x\xc3\xa4\xc3\xa4zz", "...\xc3\xa4zz" },
		{ true, 8, "/x\xc3\xa4\xc3\xa4zzz", "...zzz" },
		{ true, 8, "/\xff\xff\xff\xff\xff\xff\xff\xff", "...\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[32];

		memset(buf, 'x', sizeof(buf));
		(cases[i].path ? history_set_path : history_set_text)(buf, cases[i].size,
								      cases[i].in);
		assert_true(strlen(buf) < cases[i].size);
		if (strcmp(buf, cases[i].out) != 0)
			fail_msg("%zu: '%s' is not '%s'", i, buf, cases[i].out);
		assert_int_equal(buf[cases[i].size], 'x');
	}
}

static void test_put_counts_up_and_forgets_the_oldest(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	struct history_entry entry;

	assert_int_equal(history_count(history), 0);
	assert_null(history_get(history, 0));
	put_entries(history, 3);
	assert_int_equal(history_count(history), 3);
	assert_int_equal(history_get(history, 0)->id, 3);
	assert_int_equal(history_get(history, 2)->id, 1);
	assert_null(history_get(history, 3));

	put_entries(history, HISTORY_MAX);
	assert_int_equal(history_count(history), HISTORY_MAX);
	assert_int_equal(history_get(history, 0)->id, HISTORY_MAX + 3);
	assert_int_equal(history_get(history, HISTORY_MAX - 1)->id, 4);
	assert_null(history_get(history, HISTORY_MAX));
	assert_memory_equal(history_get(history, 0)->comm, make_entry(HISTORY_MAX).comm,
			    sizeof(entry.comm));
}

static void test_put_changes_what_is_there(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	struct history_entry entry = make_entry(1);
	uint64_t generation;

	history_put(history, &entry);
	assert_int_equal(entry.id, 1);
	put_entries(history, 2);
	generation = history_generation(history);
	history_set_text(entry.outcome, sizeof(entry.outcome), "gone");
	history_put(history, &entry);
	assert_int_not_equal(history_generation(history), generation);
	assert_int_equal(history_count(history), 3);
	assert_string_equal(history_get(history, 2)->outcome, "gone");

	/* The place is another's by now. */
	put_entries(history, HISTORY_MAX);
	history_put(history, &entry);
	assert_int_equal(history_count(history), HISTORY_MAX);
	for (unsigned i = 0; i < HISTORY_MAX; i++)
		assert_int_not_equal(history_get(history, i)->id, 1);
}

/* Text as long as can be, or none: it is kept packed. */
static struct history_entry make_long_entry(unsigned pid, bool is_long)
{
	struct history_entry entry;
	char text[400];

	memset(text, 'a' + (int)(pid % 26), sizeof(text));
	text[is_long ? sizeof(text) - 1 : 0] = '\0';
	history_entry_init(&entry);
	entry.pid = pid;
	entry.footprint_bytes = pid * MIB;
	for (size_t i = 0; i < n_history_fields; i++)
		if (history_fields[i].type == HISTORY_TEXT)
			history_set_text((char *)&entry + history_fields[i].offset,
					 history_fields[i].size, text);
	entry.n_ranked = is_long ? HISTORY_RANKED_MAX : 0;
	for (unsigned i = 0; i < entry.n_ranked; i++) {
		history_ranked_init(&entry.ranked[i]);
		entry.ranked[i].pid = pid + i;
		history_set_text(entry.ranked[i].cgroup, sizeof(entry.ranked[i].cgroup), text);
	}
	return entry;
}

static void test_put_keeps_the_others_whole(void **state)
{
	_cleanup_history_ struct history *history = make_history();
	static struct history_entry put[HISTORY_MAX + 7], copies[HISTORY_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(put); i++) {
		put[i] = make_long_entry(i + 1, i % 3 != 0);
		put[i].id = 0;
		history_put(history, &put[i]);
	}
	/* Each in another place grows, shrinks, or stays as long. */
	for (unsigned i = 7; i < ARRAY_SIZE(put); i += 5) {
		uint64_t id = put[i].id;

		put[i] = make_long_entry(i + 2, i % 2 == 0);
		put[i].id = id;
		history_put(history, &put[i]);
	}
	assert_int_equal(history_copy(history, copies), HISTORY_MAX);
	for (unsigned i = 0; i < HISTORY_MAX; i++) {
		assert_memory_equal(&copies[i], &put[i + 7], sizeof(copies[i]));
		assert_memory_equal(history_get(history, HISTORY_MAX - 1 - i), &put[i + 7],
				    sizeof(copies[i]));
	}
}

static void test_put_allocates_nothing(void **state)
{
	_cleanup_history_ struct history *history = NULL;
	struct history_entry entry;

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	history = make_history();
	fail_malloc = true;
	history_entry_init(&entry);
	history_set_path(entry.cgroup, sizeof(entry.cgroup), "/a");
	for (unsigned i = 0; i < 2 * HISTORY_MAX; i++, entry.id = 0)
		history_put(history, &entry);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

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
		"{\"id\":2,\"kind\":\"stood-down\",\"outcome\":\"memory-back\"},{\"id\":3,\"kind\":\"nobody\"}]}";
	_cleanup_history_ struct history *history = make_history();
	const struct history_entry *entry;

	assert_int_equal(decode(history, text, sizeof(text) - 1), 0);
	assert_string_equal(history_get(history, 0)->kind, "no-victim");
	assert_string_equal(history_get(history, 1)->kind, "cancelled");
	assert_string_equal(history_get(history, 1)->outcome, "reclaimed");
	entry = history_get(history, 2);
	assert_string_equal(entry->kind, "killed");
	assert_string_equal(entry->skipped_for, "kind");
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
		cmocka_unit_test(test_fields_cover_the_record),
		cmocka_unit_test(test_entry_init_knows_nothing),
		cmocka_unit_test(test_set_text_and_path),
		cmocka_unit_test(test_put_counts_up_and_forgets_the_oldest),
		cmocka_unit_test(test_put_changes_what_is_there),
		cmocka_unit_test(test_put_keeps_the_others_whole),
		cmocka_unit_test(test_put_allocates_nothing),
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
