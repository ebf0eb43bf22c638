/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report: log lines and journal entries of events.  At start: report-start.c. */
#include "daemon/record/report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kill/in-flight.h"
#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "daemon/record/record.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report-words.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"
#include "lib/base/format.h"
#include "lib/domain/domain.h"
#include "lib/explain/describe.h"
#include "lib/history/event.h"
#include "lib/select/respawn.h"
#include "lib/sys/cgroup-unit.h"

#define COMPLAIN_USEC (10 * USEC_PER_SEC)

/* So that journalctl -u UNIT and --user-unit=UNIT show it: they accept it from root. */
static void add_unit(struct log_entry *e, const struct decision *d)
{
	struct cgroup_unit unit;

	cgroup_unit_find(d->cgroup, &unit);
	if (unit.system[0] != '\0')
		log_entry_add(e, "OBJECT_SYSTEMD_UNIT=%s", unit.system);
	if (unit.user[0] != '\0')
		log_entry_add(e, "OBJECT_SYSTEMD_USER_UNIT=%s", unit.user);
}

/* The fields that have a name in the journal. */
static void add_event(const struct reporter *rep, struct log_entry *entry)
{
	struct event event;
	char buf[EVENT_TEXT_SIZE];

	record_event(rep->f, rep->recorder ? recorder_current(rep->recorder) : NULL, &event);
	for (size_t i = 0; i < n_event_fields; i++)
		if (history_fields[i].journal)
			log_entry_add(entry, "%s=%s", history_fields[i].journal,
				      event_text(&history_fields[i], &event, buf));
	add_unit(entry, &rep->f->decision);
}

/* The journal takes it where there is one; standard error too, unless that is the journal. */
static void log_decision(const struct reporter *rep, const char *message_id, int priority,
			 const char *text)
{
	struct log_entry e;

	if (log_takes_lines_of_entries())
		log_line(priority, "%s", text);
	if (!log_takes(priority) || !log_takes_entries())
		return;
	log_entry_begin(&e);
	log_entry_add(&e, "MESSAGE=%s", text);
	log_entry_add(&e, "MESSAGE_ID=%s", message_id);
	log_entry_add(&e, "PRIORITY=%i", priority);
	add_event(rep, &e);
	log_entry_end(&e);
}

static void report_thawed(const struct decision *d, const struct freezer_thawed *thawed,
			  const char *name)
{
	if (thawed->order.victim_only && thawed->n_levels > 0)
		log_notice("%s: it was frozen, and taken out of its group, which stays so.", name);
	else if (thawed->n_levels > 0)
		log_notice("%s: its group was frozen, thawed (%u level%s)%s.", name,
			   thawed->n_levels, thawed->n_levels > 1 ? "s" : "",
			   thawed->order.for_good ? " for good" : "");
	if (d->kill.skips_term)
		log_notice("%s: frozen, and is not to be thawed: SIGKILL in place of SIGTERM.",
			   name);
	if (thawed->ledger_error < 0)
		log_warning("%s: if reckond is killed before its group is frozen again, it remains "
			    "thawed: %s.",
			    name, strerror(-thawed->ledger_error));
}

/* What is worth knowing, but not the decision itself. */
static void report_steps(const struct reporter *rep)
{
	const struct decision *d = &rep->f->decision;
	char name[384];

	report_short_name(d, name, sizeof(name));
	for (unsigned step = 0; step < _KILL_STEP_MAX; step++)
		if (rep->f->victim.step_result[step] < 0)
			log_warning("%s: could not %s: %s, ignoring.", name,
				    kill_step_to_string(step),
				    strerror(-rep->f->victim.step_result[step]));
	report_thawed(d, &rep->f->victim.thawed, name);
	if (rep->f->victim.group.n_spared > 0)
		log_notice("%s: %u of its processes are not eligible and were not killed.", name,
			   rep->f->victim.group.n_spared);
	if (d->kill.unit_error < 0 && d->kill.unit_error != -EOPNOTSUPP &&
	    d->kill.unit_error != -EINPROGRESS && !errno_is_gone(d->kill.unit_error))
		log_notice("%s: systemd may not learn that its unit ran out of memory: %s.", name,
			   strerror(-d->kill.unit_error));
}

static const char *describe_held(const struct decision *d)
{
	if (d->held == 0)
		return "";
	return d->held < proc_reclaimable(&d->memory) / 8 * 7
		       ? ", part of which it holds by descriptors or untouched mappings"
		       : ", which it holds by descriptors or untouched mappings";
}

static void report_signalled(const struct reporter *rep)
{
	const struct decision *d = &rep->f->decision;
	char text[1024], name[384], memory[DESCRIBE_MEMORY_SIZE], size[FORMAT_BYTES_SIZE],
		next[256], others[96];
	char skipped[256];

	describe_memory(&d->before, memory);
	snprintf(text, sizeof(text),
		 "%s %s%s: would free %s of memory%s, %s. Policy %s: %s, stalled " PERCENT_FORMAT
		 ". %u of %zu candidates read%s%s%s.",
		 d->dry_run ? "Would kill" : "Killing", report_victim(d, name, sizeof(name)),
		 report_others(d, others, sizeof(others)),
		 format_bytes(proc_reclaimable(&d->memory), size), describe_held(d),
		 d->dry_run ? "but this is a dry run" : record_signal_name(d->kill.signal),
		 d->policy, memory, PERCENT_ARGS(d->pressure_full), d->n_reads, d->n_candidates,
		 d->approximate ? ", approximately" : "",
		 report_skipped_larger(d, skipped, sizeof(skipped)),
		 report_next(d, next, sizeof(next)));
	log_decision(rep, d->dry_run ? MESSAGE_ID_DRY_RUN : MESSAGE_ID_SIGNALLED, LOG_WARNING,
		     text);
	if (d->n_respawned == RESPAWN_KILLS && d->others.as_one == VICTIM_ALONE)
		log_notice("Pid %d: it was started again after each of the last %u kills, by what "
			   "is not killed with it.",
			   d->pid, d->n_respawned);
	if (d->others.n_sharers_left > 0 ||
	    (d->others.sharers_error < 0 && !errno_is_gone(d->others.sharers_error)))
		log_notice("Pid %d: others may share its memory and would be next: %u not "
			   "examined%s%s.",
			   d->pid, d->others.n_sharers_left, d->others.sharers_error ? ", " : "",
			   d->others.sharers_error ? strerror(-d->others.sharers_error) : "");
	if (!d->dry_run)
		report_steps(rep);
}

static void report_finished(const struct reporter *rep)
{
	const struct decision *d = &rep->f->decision;
	char text[1280], name[384], memory[DESCRIBE_MEMORY_SIZE], outcome[640];
	char refrozen[64] = "", skipped[192];

	report_victim(d, name, sizeof(name));
	report_outcome(rep, name, outcome, sizeof(outcome));
	describe_memory(&rep->f->sampler->domain.reading, memory);
	if (d->kill.refrozen > 0)
		snprintf(refrozen, sizeof(refrozen), " Its group is frozen again.");
	else if (d->kill.refrozen < 0)
		snprintf(refrozen, sizeof(refrozen), " Its group could not be frozen again: %s.",
			 strerror(-d->kill.refrozen));
	snprintf(text, sizeof(text), "%s; now %s.%s%s", outcome, memory,
		 report_backoff(rep, skipped, sizeof(skipped)), refrozen);
	log_decision(rep, MESSAGE_ID_FINISHED,
		     d->kill.outcome == KILL_PROGRESS_UNKILLABLE ? LOG_ERR : LOG_NOTICE, text);
}

static void report_cancelled(const struct reporter *rep)
{
	char text[512], name[384];

	snprintf(text, sizeof(text), "Not killing %s: memory has recovered before the signal.",
		 report_victim(&rep->f->decision, name, sizeof(name)));
	log_decision(rep, MESSAGE_ID_CANCELLED, LOG_NOTICE, text);
}

static void report_escalated(const struct reporter *rep)
{
	char text[512], name[384];

	snprintf(text, sizeof(text), "%s has not exited after SIGTERM: sending SIGKILL.",
		 report_short_name(&rep->f->decision, name, sizeof(name)));
	log_decision(rep, MESSAGE_ID_ESCALATED, LOG_WARNING, text);
}

/* Chosen, and not signalled, as it cannot or may not be. */
static void report_skipped(const struct reporter *rep, enum report_event event)
{
	const struct decision *d = &rep->f->decision;
	char text[768], name[384], comm[16];
	uint64_t seconds = d->kill.backoff_usec / USEC_PER_SEC;

	if (event == REPORT_CANNOT_OPEN && error_is_transient(d->error))
		snprintf(text, sizeof(text), "%s cannot be opened for now: %s; trying again.",
			 report_short_name(d, name, sizeof(name)), strerror(-d->error));
	else if (event == REPORT_CANNOT_OPEN)
		snprintf(text, sizeof(text), "%s cannot be opened: %s; skipped for %" PRIu64 " s.",
			 report_short_name(d, name, sizeof(name)), strerror(-d->error), seconds);
	else if (event == REPORT_CANNOT_CONFIRM)
		snprintf(text, sizeof(text),
			 "%s had changed or was moved after each of %d choices: skipped for "
			 "%" PRIu64 " s.",
			 report_short_name(d, name, sizeof(name)), BACKOFF_TRIES, seconds);
	else
		snprintf(text, sizeof(text),
			 "Pid %d shares its memory with %s (pid %d), which is not eligible: "
			 "skipped for %" PRIu64 " s.",
			 d->pid, format_foreign(d->others.spared_comm, comm, sizeof(comm)),
			 d->others.spared_pid, seconds);
	log_decision(rep, MESSAGE_ID_SKIPPED, event == REPORT_CANNOT_OPEN ? LOG_ERR : LOG_WARNING,
		     text);
}

/* What recurs is logged once in a while. */
static bool may_warn(struct reporter *rep, usec_t now)
{
	if (rep->complained_at != 0 && now - rep->complained_at < COMPLAIN_USEC)
		return false;
	rep->complained_at = now;
	return true;
}

static void report_stuck(const struct reporter *rep)
{
	const struct stuck *stuck = &rep->f->selection->stuck;
	char excluded[DESCRIBE_EXCLUSIONS_SIZE], where[512], largest[160], size[FORMAT_BYTES_SIZE];
	bool is_group = rep->f->selection->request.target == POLICY_TARGET_CGROUP;
	size_t n[_ELIGIBILITY_MAX];

	victim_count_exclusions(&rep->f->sampler->census, &rep->f->selection->request, n);
	(void)describe_exclusions(n, excluded);
	log_event(
		MESSAGE_ID_STUCK, LOG_ERR,
		"Memory is low but no %s is worth killing (it would have to free %s). %s: %s%s%s%s%s.%s%s%s",
		is_group ? "cgroup as a whole" : "process", format_bytes(stuck->minimum, size),
		stuck->n_reports > 1 ? "Memory is now" : "Memory is",
		where_line(&stuck->account, where, sizeof(where)),
		stuck->account.is_surveyed ? "" : "; not known which tmpfs",
		stuck->account.is_partial ? "; some could not be read" : "",
		stuck_largest_text(stuck, largest, sizeof(largest)),
		worth_is_spree(&rep->f->selection->worth) ? "; the last kills freed little" : "",
		excluded[0] != '\0' ? " Not eligible: " : "", excluded,
		excluded[0] != '\0' ? "." : "");
}

/* Once, until there is no pressure any more. */
static void report_cgroup_limit(struct reporter *rep)
{
	const struct stall_verdict *v = &rep->f->sampler->stalls.walk.verdict;
	char cgroup[STALL_PATH_MAX];

	rep->f->sampler->stalls.reported = true;
	log_event(
		MESSAGE_ID_CGROUP_LIMIT, LOG_NOTICE,
		"Memory pressure, but not killing for policy %s: cgroup %s is at its own limit and "
		"stalled " PERCENT_FORMAT " of the time, all others at most " PERCENT_FORMAT ".",
		rep->f->sampler->stalls.policy->name,
		format_foreign(v->limited, cgroup, sizeof(cgroup)),
		PERCENT_ARGS(v->limited_share.full), PERCENT_ARGS(v->unexplained.full));
}

static void report_event(struct reporter *rep, enum report_event event, usec_t now)
{
	switch (event) {
	case REPORT_SIGNALLED:
	case REPORT_DRY_RUN:
		report_signalled(rep);
		break;
	case REPORT_ESCALATED:
		report_escalated(rep);
		break;
	case REPORT_FINISHED:
		report_finished(rep);
		break;
	case REPORT_CANCELLED:
		report_cancelled(rep);
		break;
	case REPORT_STUCK:
		report_stuck(rep);
		break;
	case REPORT_CANNOT_OPEN:
	case REPORT_CANNOT_CONFIRM:
	case REPORT_SPARED:
		report_skipped(rep, event);
		break;
	case REPORT_CGROUP_LIMIT:
		report_cgroup_limit(rep);
		break;
	case REPORT_CHANGED:
		log_notice("Pid %d has changed or was moved since it was chosen: choosing again.",
			   rep->f->decision.pid);
		break;
	case REPORT_NO_VICTIM: /* with where memory is, when that is known */
	case REPORT_VANISHED:
	case REPORT_NOTHING:
		break;
	}
}

void report(struct reporter *rep, enum report_event event, const struct policy_judgement *judgement,
	    enum regime_state before, usec_t now)
{
	bool was_calm = before == REGIME_CALM, is_calm = rep->f->regime->state == REGIME_CALM;
	char memory[DESCRIBE_MEMORY_SIZE];

	if (event == REPORT_SIGNALLED || event == REPORT_FINISHED || event == REPORT_DRY_RUN)
		rep->warned = true; /* that entry is warning enough */
	report_event(rep, event, now);
	report_doubts(rep);
	if (is_calm)
		rep->warned = false;
	if (log_takes(LOG_DEBUG))
		log_debug("sample: %s, %s, policy %s", regime_to_string(rep->f->regime->state),
			  describe_memory(&rep->f->sampler->domain.reading, memory),
			  judgement->policy ? judgement->policy->name : "none");
	if (was_calm == is_calm && (rep->warned || !judgement->policy))
		return; /* as nearly always: no text is made without use */

	describe_memory(&rep->f->sampler->domain.reading, memory);
	if (was_calm != is_calm)
		log_info(
			"%s: %s, stalled " PERCENT_FORMAT " of the last second.",
			is_calm ? "Calm again" : "Watching", memory,
			PERCENT_ARGS(psi_history_some(&rep->f->sampler->domain.psi, USEC_PER_SEC)));
	if (judgement->policy && !rep->warned) {
		rep->warned = true;
		log_event(MESSAGE_ID_LOW_MEMORY, LOG_WARNING, "Memory is low: %s (policy %s).",
			  memory, judgement->policy->name);
	}
}

void report_sample_failed(struct reporter *rep, int error, usec_t now)
{
	if (may_warn(rep, now))
		log_error("Cannot read memory or processes: %s; trying again.", strerror(-error));
}

void report_loop_failed(struct reporter *rep, int error, usec_t now)
{
	if (may_warn(rep, now))
		log_warning("The event loop failed: %s; continuing.", strerror(-error));
}
