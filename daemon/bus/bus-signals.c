/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-signals: the signals, and PropertiesChanged.
 *
 * A tick only sets marks; what there is to report is found out afterwards, by comparing the present
 * state with what was reported last.  So nothing is sent between a decision and its signal, and
 * what has changed and changed back in between is not reported.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "lib/base/hash.h"
#include "lib/domain/domain.h"
#include "lib/domain/forecast.h"

/* Memory that was short, and has not been for so long, is short anew. */
#define LOW_AGAIN_USEC (10 * USEC_PER_SEC)

void bus_note_judgement(struct bus *b, const struct policy_judgement *judgement, usec_t now)
{
	const struct policy *policy = judgement->policy;
	struct forecast_next next;
	const struct bus_subject *subject;

	if (!b)
		return;
	if (!policy) {
		if (now - b->low_at >= LOW_AGAIN_USEC)
			b->low_level = POLICY_ACTION_NONE;
		return;
	}
	b->low_at = now;
	if (policy->action <= b->low_level)
		return;
	subject = &b->subject;
	b->low_level = policy->action;
	forecast_next(&subject->sampler->forecast, &subject->config->policies,
		      &subject->sampler->domain.reading, &next);
	b->low_memory = (struct bus_low_memory){
		.action = policy->action,
		.available = subject->sampler->domain.reading.available,
		.swap_free = subject->sampler->domain.reading.swap_free,
		.forecast_usec = next.usec,
	};
	strncpy(b->low_memory.policy, policy->name, sizeof(b->low_memory.policy) - 1);
	if (next.policy)
		strncpy(b->low_memory.next_policy, next.policy->name,
			sizeof(b->low_memory.next_policy) - 1);
	b->has_low_memory = true;
}

void bus_note_reload(struct bus *b)
{
	if (!b)
		return;
	bus_forget_preview(b);
	b->low_level = POLICY_ACTION_NONE; /* of policies that are no more */
	b->has_reloaded = true;
	bus_schedule(b);
}

void bus_note_refusal(struct bus *b)
{
	if (!b)
		return;
	b->has_reloaded = true;
	bus_schedule(b);
}

/* And its end. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_bytes(hash, text, strlen(text) + 1);
}

static uint64_t hash_subtree(const struct bus_subject *subject)
{
	return hash_text(HASH_BEGIN, subject->config->policies.subtree);
}

static uint64_t hash_texts(char *const *texts, size_t n)
{
	uint64_t hash = HASH_BEGIN;

	for (size_t i = 0; i < n; i++)
		hash = hash_text(hash, texts[i]);
	return hash;
}

static uint64_t hash_config_files(const struct bus_subject *subject)
{
	return hash_texts(subject->config->files, subject->config->n_files);
}

static uint64_t hash_config_errors(const struct bus_subject *subject)
{
	return hash_texts(subject->config->errors, subject->config->n_errors);
}

static uint64_t hash_reload_errors(const struct bus_subject *subject)
{
	const struct config *config = subject->config;

	return hash_texts(config->reload_errors, config->n_reload_errors) ^
	       (uint64_t)config->reload_error ^ (uint64_t)(config->retry_pause > 0) << 32;
}

/* 0: it is not known where memory is. */
static usec_t held_since(const struct bus_subject *subject)
{
	return subject->selection->stuck.account.n_rows > 0 ? subject->selection->stuck.since : 0;
}

/* Of all that may change, and the NULL. */
#define N_NAMES 11

/* Properties that have changed since they were reported, by name; NULL at the end. */
static void list_changed(const struct bus *b, const char *names[static N_NAMES])
{
	const struct bus_subject *subject = &b->subject;
	unsigned n = 0;

	if (subject->regime->state != b->state)
		names[n++] = "State";
	if (subject->in_flight->n_kills != b->n_kills)
		names[n++] = "Kills";
	if (subject->conflicts->found != b->conflicts)
		names[n++] = "Conflicts";
	if (held_since(subject) != b->held_since ||
	    subject->selection->stuck.n_reports != b->held_reports)
		names[n++] = "MemoryHeldBy";
	if (b->has_reloaded && subject->config->policies.dry_run != b->dry_run)
		names[n++] = "DryRun";
	if (b->has_reloaded && hash_subtree(subject) != b->subtree)
		names[n++] = "Subtree";
	if (b->has_reloaded && hash_config_files(subject) != b->config_files)
		names[n++] = "ConfigFiles";
	if (b->has_reloaded && subject->config->is_degraded != b->is_degraded)
		names[n++] = "Degraded";
	if (b->has_reloaded && hash_config_errors(subject) != b->config_errors)
		names[n++] = "ConfigErrors";
	if (b->has_reloaded && hash_reload_errors(subject) != b->reload_errors)
		names[n++] = "ReloadErrors";
	names[n] = NULL;
}

bool bus_has_news(struct bus *b)
{
	const char *names[N_NAMES];

	list_changed(b, names);
	return names[0] || b->has_reloaded || b->has_low_memory || bus_next_killed(b);
}

static void forget(struct bus *b)
{
	b->state = b->subject.regime->state;
	b->n_kills = b->subject.in_flight->n_kills;
	b->conflicts = b->subject.conflicts->found;
	b->held_since = held_since(&b->subject);
	b->held_reports = b->subject.selection->stuck.n_reports;
	b->has_reloaded = false;
	b->dry_run = b->subject.config->policies.dry_run;
	b->subtree = hash_subtree(&b->subject);
	b->config_files = hash_config_files(&b->subject);
	b->is_degraded = b->subject.config->is_degraded;
	b->config_errors = hash_config_errors(&b->subject);
	b->reload_errors = hash_reload_errors(&b->subject);
	b->has_low_memory = false;
}

void bus_forget_news(struct bus *b)
{
	forget(b);
	bus_forget_killed(b);
}

static int emit_state_changed(struct bus *b, enum regime_state old, enum regime_state new)
{
	return sd_bus_emit_signal(b->link.bus, BUS_PATH, BUS_INTERFACE, "StateChanged", "ss",
				  regime_to_string(old), regime_to_string(new));
}

static int emit_low_memory(struct bus *b, const struct bus_low_memory *low)
{
	return sd_bus_emit_signal(b->link.bus, BUS_PATH, BUS_INTERFACE, "LowMemory", "a{sv}", 6,
				  "Policy", "s", low->policy, "Level", "s",
				  policy_action_to_string(low->action), "MemoryAvailable", "t",
				  low->available, "SwapFree", "t", low->swap_free, "NextPolicy",
				  "s", low->next_policy, "ForecastUSec", "t", low->forecast_usec);
}

static int emit_properties(struct bus *b, const char *const *names)
{
	if (!names[0])
		return 0;
	b->n_bytes = 0; /* of the last answer */
	return sd_bus_emit_properties_changed_strv(b->link.bus, BUS_PATH, BUS_INTERFACE,
						   (char **)(uintptr_t)names);
}

void bus_say_news(struct bus *b)
{
	const struct bus_subject *subject = &b->subject;
	enum regime_state old = b->state, new = subject->regime->state;
	bool has_low_memory = b->has_low_memory;
	const struct history_entry *killed = bus_next_killed(b);
	const char *names[N_NAMES];
	int r;

	list_changed(b, names);
	forget(b); /* whether it can be sent or not: the next report differs */
	r = old != new ? emit_state_changed(b, old, new) : 0;
	if (r >= 0)
		r = emit_properties(b, names);
	if (r >= 0 && has_low_memory)
		r = emit_low_memory(b, &b->low_memory);
	if (killed)
		r = bus_say_killed(b, killed);
	if (r < 0)
		log_debug("bus: cannot send a signal: %s", strerror(-r));
}
