/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history-json: records as JSON and back, by the tables of fields.
 *
 * The input is a file that any process with permission may have written: every type and range is
 * checked, and one error refuses the whole, as what else is wrong in it cannot be told.  Members of
 * later versions are skipped.  Each "o" takes a new reference; NULL there makes the whole NULL.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/history/history.h"

#define FORMAT_VERSION 1
/* What every reader of JSON can hold exactly; at one entry a microsecond for 285 years. */
#define ID_MAX ((uint64_t)1 << 53)
/* A weight is a float: more digits would be noise. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(7))

#define _cleanup_json_ _cleanup_(json_decrefp)

static json_t *of_value(const struct history_field *field, const void *record)
{
	const void *value = history_value(field, record);

	switch (field->type) {
	case HISTORY_BOOL:
		return json_boolean(*(const bool *)value);
	case HISTORY_DOUBLE:
		return json_real(*(const double *)value);
	case HISTORY_I32:
		return json_integer(*(const int32_t *)value);
	case HISTORY_TEXT:
		return json_string(value);
	case HISTORY_U32:
		return json_integer(*(const uint32_t *)value);
	case HISTORY_U64:
		return json_integer((json_int_t)min_u64(*(const uint64_t *)value, INT64_MAX));
	}
	return NULL;
}

static json_t *of_record(const struct history_field *fields, size_t n_fields, const void *record)
{
	_cleanup_json_ json_t *object = json_object();

	for (size_t i = 0; i < n_fields; i++)
		if (history_is_known(&fields[i], record) &&
		    json_object_set_new(object, fields[i].name, of_value(&fields[i], record)) < 0)
			return NULL;
	return take_ptr(object);
}

static json_t *of_ranked(const struct history_entry *entry)
{
	_cleanup_json_ json_t *array = json_array();

	for (uint32_t i = 0; i < entry->n_ranked; i++)
		if (json_array_append_new(array,
					  of_record(history_ranked_fields, n_history_ranked_fields,
						    &entry->ranked[i])) < 0)
			return NULL;
	return take_ptr(array);
}

json_t *history_entry_to_json(const struct history_entry *entry)
{
	_cleanup_json_ json_t *object = of_record(history_fields, n_history_fields, entry);

	if (json_object_set_new(object, "ranked", of_ranked(entry)) < 0)
		return NULL;
	return take_ptr(object);
}

/* Puts the entry and what stands before it at buf; the length, -ENOBUFS, or -ENOMEM. */
static ssize_t encode_entry(const struct history_entry *entry, const char *before, char *buf,
			    size_t size)
{
	_cleanup_json_ json_t *object = history_entry_to_json(entry);
	size_t n_before = strlen(before), n;

	if (!object)
		return -ENOMEM;
	if (n_before >= size)
		return -ENOBUFS;
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the length is returned */
	memcpy(buf, before, n_before);
	n = json_dumpb(object, buf + n_before, size - n_before, DUMP_FLAGS);
	if (n == 0)
		return -ENOMEM;
	return n > size - n_before ? -ENOBUFS : (ssize_t)(n_before + n);
}

static ssize_t encode(const struct history_entry *entries, unsigned n, char *buf, size_t size)
{
	static const char end[] = "\n]}\n";
	size_t length;
	int head = snprintf(buf, size, "{\"version\":%d,\"entries\":[", FORMAT_VERSION);

	if ((size_t)head + sizeof(end) > size)
		return -ENOBUFS;
	length = (size_t)head;
	size -= sizeof(end) - 1;
	for (unsigned i = 0; i < n; i++) {
		ssize_t r = encode_entry(&entries[i], i == 0 ? "\n" : ",\n", buf + length,
					 size - length);

		if (r < 0)
			return r;
		length += (size_t)r;
	}
	memcpy(buf + length, end, sizeof(end) - 1);
	return (ssize_t)(length + sizeof(end) - 1);
}

ssize_t history_encode(const struct history_entry *entries, unsigned n, char *buf, size_t size)
{
	unsigned first = 0;
	ssize_t r;

	/* Too long: the older half is left out. */
	while ((r = encode(entries + first, n - first, buf, size)) == -ENOBUFS && first + 1 < n)
		first += (n - first + 1) / 2;
	return r;
}

/* What is wrong, and where. */
struct complaint {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct complaint *complaint,
							  const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)format_foreign(text, complaint->text, complaint->size);
	return -EBADMSG;
}

static int take_integer(const struct history_field *field, const json_t *json, void *value)
{
	json_int_t n = json_integer_value(json);

	switch (field->type) {
	case HISTORY_I32:
		if (n <= INT32_MIN || n > INT32_MAX)
			return -ERANGE;
		*(int32_t *)value = (int32_t)n;
		return 0;
	case HISTORY_U32:
		if (n < 0 || n >= UINT32_MAX)
			return -ERANGE;
		*(uint32_t *)value = (uint32_t)n;
		return 0;
	case HISTORY_U64:
		if (n < 0)
			return -ERANGE;
		*(uint64_t *)value = (uint64_t)n;
		return 0;
	case HISTORY_BOOL:
	case HISTORY_DOUBLE:
	case HISTORY_TEXT:
		break;
	}
	return -EINVAL;
}

/* 0, -EINVAL for another type, -ERANGE. */
static int take_value(const struct history_field *field, const json_t *json, void *record)
{
	void *value = (char *)record + field->offset;

	if (field->type == HISTORY_TEXT && json_is_string(json)) {
		history_set_text(value, field->size, json_string_value(json));
		return 0;
	}
	if (field->type == HISTORY_BOOL && json_is_boolean(json)) {
		*(bool *)value = json_is_true(json);
		return 0;
	}
	if (field->type == HISTORY_DOUBLE && json_is_number(json)) {
		if (json_number_value(json) < 0)
			return -ERANGE;
		*(double *)value = json_number_value(json);
		return 0;
	}
	return json_is_integer(json) ? take_integer(field, json, value) : -EINVAL;
}

/* What earlier versions wrote: it may be in the file. */
struct renamed {
	const char *name, *old_name;
};

static const struct renamed members[] = {
	{ "skipped_for", "avoided_for" },
	{ "skipped_pid", "avoided_pid" },
	{ "skipped_comm", "avoided_comm" },
	{ "skipped_cgroup", "avoided_cgroup" },
	{ "skipped_footprint_bytes", "avoided_footprint_bytes" },
	{ "skipped_score_bytes", "avoided_score_bytes" },
	{ "reclaimed_100ms_bytes", "returned_100ms_bytes" },
	{ "reclaimed_500ms_bytes", "returned_500ms_bytes" },
	{ "reclaimed_2s_bytes", "returned_2s_bytes" },
	{ "reclaimed_bytes", "returned_bytes" },
	{ "ineffective", "useless" },
	{ "exited_usec", "ended_usec" },
	{ "killed_with", "goes_too" },
};
static const struct renamed kinds[] = {
	{ "cancelled", "stood-down" },
	{ "no-victim", "nobody" },
	{ "cgroup-limit", "explained" },
};
static const struct renamed reasons[] = {
	{ "similar", "kind" },
};
static const struct renamed outcomes[] = {
	{ "reclaimed", "memory-back" },
	{ "exited", "gone" },
	{ "in-progress", "wait" },
	{ "cancelled", "stand-down" },
};

static const json_t *get_member(const json_t *object, const char *name)
{
	const json_t *json = json_object_get(object, name);

	for (size_t i = 0; !json && i < ARRAY_SIZE(members); i++)
		if (strcmp(members[i].name, name) == 0)
			json = json_object_get(object, members[i].old_name);
	return json;
}

static void rename_text(const struct renamed *names, size_t n, char *text, size_t size)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, names[i].old_name) == 0)
			history_set_text(text, size, names[i].name);
}

static int take_record(const struct history_field *fields, size_t n_fields, const json_t *object,
		       void *record, const struct complaint *complaint)
{
	if (!json_is_object(object))
		return complain(complaint, "an entry is not an object");
	for (size_t i = 0; i < n_fields; i++) {
		const json_t *json = get_member(object, fields[i].name);
		int r = !json || json_is_null(json) ? 0 : take_value(&fields[i], json, record);

		if (r < 0)
			return complain(complaint, "%s is %s", fields[i].name,
					r == -ERANGE ? "out of range" : "of another type");
	}
	return 0;
}

static int take_ranked(const json_t *array, struct history_entry *entry,
		       const struct complaint *complaint)
{
	int r = 0;

	entry->n_ranked = 0;
	if (!array || json_is_null(array))
		return 0;
	if (!json_is_array(array))
		return complain(complaint, "ranked is of another type");
	while (r == 0 && entry->n_ranked < min_u64(json_array_size(array), HISTORY_RANKED_MAX)) {
		r = take_record(history_ranked_fields, n_history_ranked_fields,
				json_array_get(array, entry->n_ranked),
				&entry->ranked[entry->n_ranked], complaint);
		entry->n_ranked++;
	}
	return r;
}

/* 0, or -EBADMSG with the reason in error. */
static int entry_from_json(const json_t *object, struct history_entry *ret, char *error,
			   size_t error_size)
{
	const struct complaint complaint = { error, error_size };
	int r;

	history_entry_init(ret);
	r = take_record(history_fields, n_history_fields, object, ret, &complaint);
	if (r == 0)
		r = take_ranked(json_object_get(object, "ranked"), ret, &complaint);
	if (r < 0)
		return r;
	if (ret->id == 0 || ret->id > ID_MAX)
		return complain(&complaint, "id is missing or out of range");
	if (!ret->kind[0])
		return complain(&complaint, "kind is missing");
	rename_text(kinds, ARRAY_SIZE(kinds), ret->kind, sizeof(ret->kind));
	rename_text(reasons, ARRAY_SIZE(reasons), ret->skipped_for, sizeof(ret->skipped_for));
	rename_text(outcomes, ARRAY_SIZE(outcomes), ret->outcome, sizeof(ret->outcome));
	return 0;
}

/* Numbers that leave no room for many more are renumbered: with the next ones the file would be
 * refused. */
static bool is_to_be_renumbered(const json_t *array)
{
	const json_t *last = json_array_get(array, json_array_size(array) - 1);

	return json_integer_value(json_object_get(last, "id")) > (json_int_t)(ID_MAX / 2);
}

static int take_entries(struct history *history, const json_t *array,
			const struct complaint *complaint)
{
	bool renumber = is_to_be_renumbered(array);
	struct history_entry entry;
	uint64_t last_id = 0;

	for (size_t i = 0; i < json_array_size(array); i++) {
		char error[128];
		int r = entry_from_json(json_array_get(array, i), &entry, error, sizeof(error));

		if (r < 0)
			return complain(complaint, "entry %zu: %s", i + 1, error);
		if (entry.id <= last_id)
			return complain(complaint, "entry %zu: id %" PRIu64 " after %" PRIu64,
					i + 1, entry.id, last_id);
		last_id = entry.id;
		if (renumber)
			entry.id = i + 1;
		history_put(history, &entry);
	}
	return 0;
}

int history_decode(struct history *history, const char *text, size_t length, char *error,
		   size_t error_size)
{
	const struct complaint complaint = { error, error_size };
	_cleanup_json_ json_t *root = NULL;
	const json_t *entries;
	json_error_t json_error;
	int r;

	if (length > HISTORY_TEXT_MAX)
		return complain(&complaint, "it is longer than %u bytes",
				(unsigned)HISTORY_TEXT_MAX);
	root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &json_error);
	/* (jansson is silent where it has no memory, or has that code.) */
	if (!root && (json_error.text[0] == '\0' ||
		      json_error_code(&json_error) == json_error_out_of_memory))
		return -ENOMEM;
	if (!root)
		return complain(&complaint, "line %d: %s", json_error.line, json_error.text);
	if (!json_is_integer(json_object_get(root, "version")))
		return complain(&complaint, "it is not a history");
	if (json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION)
		return complain(&complaint, "it is of version %" JSON_INTEGER_FORMAT ", not %d",
				json_integer_value(json_object_get(root, "version")),
				FORMAT_VERSION);
	entries = json_object_get(root, "entries");
	if (!json_is_array(entries))
		return complain(&complaint, "entries is missing or of another type");
	r = take_entries(history, entries, &complaint);
	if (r < 0)
		history_clear(history);
	return r;
}
