/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-history: what was decided, as dictionaries: GetHistory() and the signal Killed.  Which
 * members there are is in lib/history.c.
 */
#include <string.h>

#include "daemon/account.h"
#include "daemon/bus-internal.h"
#include "lib/cleanup.h"

/* Of one turn: half a millisecond. */
#define ENTRIES_AT_ONCE 10

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

/* Those that are known, each "{sv}". */
static int append_fields(sd_bus_message *message, const struct history_field *fields, size_t n,
			 const void *record)
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
	}
	return r;
}

static int append_ranked(sd_bus_message *message, const struct history_entry *entry)
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
			r = append_fields(message, history_ranked_fields, n_history_ranked_fields,
					  &entry->ranked[i]);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
	}
	for (int i = 0; r >= 0 && i < 3; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

/* "a{sv}". */
static int append_entry(sd_bus_message *message, const struct history_entry *entry)
{
	int r;

	r = sd_bus_message_open_container(message, 'a', "{sv}");
	if (r >= 0)
		r = append_fields(message, history_fields, n_history_fields, entry);
	if (r >= 0)
		r = append_ranked(message, entry);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int begin(struct bus *b, sd_bus_message *call)
{
	const struct history *history = account_history(b->manager->account);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = bus_read_limit(call, HISTORY_MAX, history_count(history), &b->partial_left);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	if (r < 0)
		return r;
	b->partial = take_ptr(reply);
	b->partial_id = UINT64_MAX;
	return 0;
}

/* Those that are older than the last; new ones may have come since. */
static int append_some(struct bus *b)
{
	const struct history *history = account_history(b->manager->account);
	const struct history_entry *entry;
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; r >= 0 && b->partial_left > 0 && n < ENTRIES_AT_ONCE; i++) {
		entry = history_get(history, i);
		if (!entry)
			b->partial_left = 0; /* the oldest have gone meanwhile */
		if (!entry || entry->id >= b->partial_id)
			continue;
		r = append_entry(b->partial, entry);
		b->partial_id = entry->id;
		b->partial_left--;
		n++;
	}
	return r;
}

int bus_answer_history(struct bus *b, sd_bus_message *call)
{
	int r = b->partial ? 0 : begin(b, call);

	if (r >= 0)
		r = append_some(b);
	if (r >= 0 && b->partial_left > 0)
		return BUS_NOT_DONE;
	if (r >= 0)
		r = sd_bus_message_close_container(b->partial);
	if (r >= 0)
		r = sd_bus_send(b->bus, b->partial, NULL);
	b->partial = sd_bus_message_unref(b->partial);
	return r;
}

/* Those that are not complete yet are left for later: the last who was signalled, until its account
 * is closed. */
static bool is_complete(const struct bus *b, const struct history_entry *entry)
{
	const struct account *account = b->manager->account;

	return !account_is_open(account) || entry->id < account_open_id(account);
}

const struct history_entry *bus_next_killed(struct bus *b)
{
	const struct history *history = account_history(b->manager->account);
	const struct history_entry *entry;
	unsigned next = HISTORY_MAX;

	if (history_generation(history) == b->history_generation)
		return NULL;
	for (unsigned i = 0; (entry = history_get(history, i)) && entry->id > b->told_id; i++)
		if (strcmp(entry->kind, "killed") == 0 && is_complete(b, entry))
			next = i;
	if (next == HISTORY_MAX) {
		b->history_generation = history_generation(history);
		return NULL;
	}
	return history_get(history, next);
}

int bus_say_killed(struct bus *b, const struct history_entry *entry)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	b->told_id = entry->id;
	r = sd_bus_message_new_signal(b->bus, &signal, BUS_PATH, BUS_INTERFACE, "Killed");
	if (r >= 0)
		r = append_entry(signal, entry);
	return r < 0 ? r : sd_bus_send(b->bus, signal, NULL);
}

void bus_forget_killed(struct bus *b)
{
	const struct history *history = account_history(b->manager->account);
	const struct history_entry *newest = history_get(history, 0);
	const struct account *account = b->manager->account;

	b->history_generation = history_generation(history);
	if (account_is_open(account)) /* that one is still to come */
		b->told_id = account_open_id(account) - 1;
	else
		b->told_id = newest ? newest->id : 0;
}
