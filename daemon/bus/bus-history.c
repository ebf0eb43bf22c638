/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-history: what was decided, as dictionaries: GetHistory(), ListHistory() and the signal
 * Killed.  Which members there are is in lib/history/history.c.
 */
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/record/recorder.h"
#include "lib/base/cleanup.h"

static int append_value(sd_bus_message *message, const struct history_field *field,
			const void *record)
{
	const char type[] = { (char)field->type, '\0' };
	const void *value = history_value(field, record);
	int as_int, r;

	if (field->type == HISTORY_BOOL) {
		as_int = *(const bool *)value;
		value = &as_int;
	}
	r = sd_bus_message_open_container(message, 'v', type);
	if (r >= 0)
		r = sd_bus_message_append_basic(message, (char)field->type, value);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* The members that are known, each "{sv}". */
static int append_fields(struct bus *b, sd_bus_message *message, const struct history_field *fields,
			 size_t n, const void *record)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (!history_is_known(&fields[i], record))
			continue;
		r = sd_bus_message_open_container(message, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append(message, "s", fields[i].bus_name);
		if (r >= 0)
			r = append_value(message, &fields[i], record);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
		b->n_bytes += 40;
		if (fields[i].type == HISTORY_TEXT)
			b->n_bytes += strlen(history_value(&fields[i], record));
	}
	return r;
}

static int append_ranked(struct bus *b, sd_bus_message *message, const struct history_entry *entry)
{
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", "Ranked");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "aa{sv}");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "a{sv}");
	for (uint32_t i = 0; r >= 0 && i < entry->n_ranked; i++) {
		r = sd_bus_message_open_container(message, 'a', "{sv}");
		if (r >= 0)
			r = append_fields(b, message, history_ranked_fields,
					  n_history_ranked_fields, &entry->ranked[i]);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
	}
	for (int i = 0; r >= 0 && i < 3; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

/* "a{sv}". */
static int append_entry(struct bus *b, sd_bus_message *message, const struct history_entry *entry)
{
	int r;

	r = sd_bus_message_open_container(message, 'a', "{sv}");
	if (r >= 0)
		r = append_fields(b, message, history_fields, n_history_fields, entry);
	if (r >= 0)
		r = append_ranked(b, message, entry);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Entries older than the one of that number: new ones may have been added since the request. */
static int answer(struct bus *b, sd_bus_message *call, uint64_t before, uint32_t limit)
{
	const struct history *history = recorder_history(b->subject.recorder);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct history_entry *entry;
	uint32_t n = 0;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (unsigned i = 0; r >= 0 && (entry = history_get(history, i)); i++) {
		if (before > 0 && entry->id >= before)
			continue;
		if ((limit > 0 && n == limit) || bus_page_is_full(b))
			break;
		r = append_entry(b, reply, entry);
		n++;
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int bus_answer_history(struct bus *b, sd_bus_message *call)
{
	uint32_t limit;
	int r = sd_bus_message_read(call, "u", &limit);

	return r < 0 ? r : answer(b, call, 0, limit);
}

int bus_list_history(struct bus *b, sd_bus_message *call)
{
	uint64_t before;
	uint32_t limit;
	int r = sd_bus_message_read(call, "tu", &before, &limit);

	return r < 0 ? r : answer(b, call, before, limit);
}

/* Entries that are not complete yet are left for later: the last process that was signalled, until
 * its record is closed. */
static bool is_complete(const struct bus *b, const struct history_entry *entry)
{
	const struct recorder *recorder = b->subject.recorder;

	return !recorder_is_open(recorder) || entry->id < recorder_open_id(recorder);
}

const struct history_entry *bus_next_killed(struct bus *b)
{
	const struct history *history = recorder_history(b->subject.recorder);
	const struct history_entry *entry;
	unsigned next = HISTORY_MAX;

	if (history_generation(history) == b->history_generation)
		return NULL;
	for (unsigned i = 0; (entry = history_get(history, i)) && entry->id > b->reported_id; i++)
		if (strcmp(entry->kind, "killed") == 0 && is_complete(b, entry))
			next = i;
	if (next == HISTORY_MAX) {
		b->history_generation = history_generation(history);
		return NULL;
	}
	return history_get(history, next);
}

/* Without what identifies the process: every client receives a signal. */
static const struct history_entry *anonymous(const struct history_entry *entry,
					     struct history_entry *buf)
{
	*buf = *entry;
	history_anonymize(buf);
	return buf;
}

int bus_say_killed(struct bus *b, const struct history_entry *entry)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	struct history_entry buf;
	int r;

	b->reported_id = entry->id;
	r = sd_bus_message_new_signal(b->link.bus, &signal, BUS_PATH, BUS_INTERFACE, "Killed");
	if (r >= 0)
		r = append_entry(b, signal,
				 bus_hides_processes(b) ? anonymous(entry, &buf) : entry);
	return r < 0 ? r : sd_bus_send(b->link.bus, signal, NULL);
}

void bus_forget_killed(struct bus *b)
{
	const struct history *history = recorder_history(b->subject.recorder);
	const struct history_entry *newest = history_get(history, 0);
	const struct recorder *recorder = b->subject.recorder;

	b->history_generation = history_generation(history);
	if (recorder_is_open(recorder)) /* that one is still to come */
		b->reported_id = recorder_open_id(recorder) - 1;
	else
		b->reported_id = newest ? newest->id : 0;
}
