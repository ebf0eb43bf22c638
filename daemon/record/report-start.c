/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report-start: what was found at start; see report.h. */
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/self-test.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "daemon/record/history-store.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"
#include "lib/base/format.h"
#include "lib/explain/describe.h"

static void report_policies(const struct policy_set *set, const struct memory_reading *memory)
{
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *p = &set->policies[i];
		char text[DESCRIBE_POLICY_SIZE];

		if (p->action != POLICY_ACTION_NONE)
			log_info("policy %s: %s%s, %s", p->name, policy_action_to_string(p->action),
				 p->target == POLICY_TARGET_CGROUP ? " a whole cgroup" : "",
				 describe_policy(p, memory, text));
	}
}

static void report_pressure(const struct probe_results *a, bool has_psi)
{
	if (!has_psi)
		log_info(
			"pressure: no PSI on this kernel (CONFIG_PSI, psi=1): only conditions on memory and swap apply");
	else if (a->psi_trigger_error == 0)
		log_info("pressure: PSI, trigger at some 70 ms in 1 s");
	else if (a->psi_fallback_error == 0)
		log_info(
			"pressure: PSI, trigger at some 150 ms in 2 s (finer: %s), and by the timer",
			strerror(-a->psi_trigger_error));
	else
		log_info("pressure: PSI by the timer alone (trigger: %s)",
			 strerror(-a->psi_fallback_error));
}

static void report_accuracy(const struct accuracy *accuracy)
{
	char error[FORMAT_BYTES_SIZE];

	if (accuracy->regime == ACCURACY_PRECISE)
		log_info("counting: statm is exact on this kernel");
	else
		log_info("counting: statm is %s, off by up to %s for a process of one thread",
			 accuracy_regime_to_string(accuracy->regime),
			 format_bytes(accuracy_interval(accuracy, 0, false, 1).hi, error));
}

/* What does not work, for the log, and for MissingPrivileges of org.reckond1; or, if no privilege
 * would help, for Limitations. */
__attribute__((format(printf, 3, 4))) static void
say_lack(struct probe_results *probed, bool is_privilege, const char *format, ...)
{
	struct probe_lines *kept =
		is_privilege ? &probed->missing_privileges : &probed->limitations;
	char text[256];
	char **grown;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (is_privilege)
		log_event(MESSAGE_ID_PRIVILEGE, LOG_NOTICE, "missing privilege: %s", text);
	else
		log_event(MESSAGE_ID_LIMITATION, LOG_NOTICE, "limitation: %s", text);
	grown = reallocarray(kept->lines, kept->n + 1, sizeof(*grown));
	if (!grown)
		return;
	kept->lines = grown;
	grown[kept->n] = strdup(text);
	kept->n += grown[kept->n] != NULL;
}

void report_doubts(struct reporter *rep)
{
	unsigned doubts = rep->f->sampler->domain.reading.doubts & ~rep->doubts;

	rep->doubts |= doubts;
	for (unsigned i = 0; i < MEMORY_DOUBTS; i++)
		if (doubts & 1U << i)
			say_lack(rep->probed, false, "%s",
				 memory_doubt_to_string((enum memory_doubt)(1U << i)));
}

/* Those that it needs. */
static const struct {
	unsigned number;
	const char *name, *text; /* what it may not do without */
} capabilities[] = {
	{ CAP_KILL, "CAP_KILL", "may not kill processes of other users (CAP_KILL)" },
	{ CAP_SYS_NICE, "CAP_SYS_NICE",
	  "may not raise priorities (CAP_SYS_NICE): on a busy machine memory "
	  "is reclaimed late" },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
	  "may not read smaps_rollup of others (CAP_SYS_PTRACE): choices are as exact as statm, "
	  "and which processes share a victim's memory is not known" },
	{ CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE",
	  "may not lower oom_score_adj or have fine PSI triggers "
	  "(CAP_SYS_RESOURCE)" },
	{ CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE",
	  "may not thaw or kill groups of other users (CAP_DAC_OVERRIDE)" },
	{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE",
	  "may not examine files that processes map (CAP_CHECKPOINT_RESTORE): one on a "
	  "tmpfs that seems to be deleted, but has another name, counts as deleted" },
};

/* What grants the capabilities.  (In a user namespace nothing in it does.) */
static void report_remedy(const struct probe_results *a)
{
	char names[256] = "";
	struct format_text text = { .buf = names, .size = sizeof(names) };

	if (a->missing_capabilities == 0 || a->in_user_namespace)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (a->missing_capabilities & ((uint64_t)1 << capabilities[i].number))
			format_add(&text, " %s", capabilities[i].name);
	if (a->is_unprivileged)
		log_notice(
			"To have these privileges, run reckond as root: systemctl start reckond, "
			"or sudo reckond.");
	else
		log_notice("To have these privileges, add to CapabilityBoundingSet= of the unit "
			   "(systemctl edit reckond), or grant to the container:%s",
			   names);
}

/* What it may not do: by its capabilities, for its own memory and threads, or to others. */
static void report_privileges(const struct reporter *rep)
{
	const struct probe_results *a = rep->probed;

	if (a->in_user_namespace)
		say_lack(rep->probed, true,
			 "in a user namespace: capabilities count for processes within it only");
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (a->missing_capabilities & ((uint64_t)1 << capabilities[i].number))
			say_lack(rep->probed, true, "%s", capabilities[i].text);
	report_remedy(a);
	if (a->memory_lock_error < 0)
		say_lack(rep->probed, true,
			 "own memory is not locked: %s (LimitMEMLOCK= of the unit, ulimit -l)",
			 strerror(-a->memory_lock_error));
	if (a->oom_score_adj_error < 0)
		say_lack(rep->probed, error_is_denied(a->oom_score_adj_error),
			 "own oom_score_adj is not -1000: %s", strerror(-a->oom_score_adj_error));
	if (a->fifo_error < 0)
		say_lack(rep->probed, error_is_denied(a->fifo_error),
			 "reapers run at normal priority: %s", strerror(-a->fifo_error));
	if (rep->f->sampler->census.n_unreadable > 0)
		say_lack(rep->probed, true, "%zu processes cannot be read and will not be chosen",
			 rep->f->sampler->census.n_unreadable);
}

static void report_self_test(const struct reporter *rep)
{
	const struct probe_results *a = rep->probed;

	for (unsigned step = 0; step < _KILL_STEP_MAX; step++)
		if (a->self_test_result[step] < 0)
			say_lack(rep->probed, error_is_denied(a->self_test_result[step]),
				 "self-test could not %s: %s", kill_step_to_string(step),
				 strerror(-a->self_test_result[step]));
	for (int v1 = 0; v1 < 2; v1++)
		if (a->thaw_error[v1] < 0)
			say_lack(rep->probed, error_is_denied(a->thaw_error[v1]),
				 "may not thaw frozen groups (v%d): %s", v1 ? 1 : 2,
				 strerror(-a->thaw_error[v1]));
	if (a->self_test_stuck)
		say_lack(rep->probed, false,
			 "the child of the self-test does not exit: it may be impossible to kill "
			 "frozen processes here");
	if (a->self_test_result[KILL_STEP_REAP] == 0 && !a->self_test_reaped)
		say_lack(rep->probed, false,
			 "process_mrelease does not work here: victims free their own memory");
}

static void report_lacks(struct reporter *rep)
{
	report_privileges(rep);
	if (rep->f->ledger_error < 0)
		say_lack(
			rep->probed, error_is_denied(rep->f->ledger_error),
			"groups that are thawed are not frozen again if reckond is killed: no file 'thawed' "
			"in the runtime directory: %s",
			thaw_state_strerror(rep->f->ledger_error));
	if (rep->probed->private_socket_error < 0)
		say_lack(rep->probed, error_is_denied(rep->probed->private_socket_error),
			 "root cannot query reckond without a bus: no socket 'private' in the "
			 "runtime directory: %s",
			 rep->probed->private_socket_error == -EBUSY
				 ? "another reckond has it"
				 : strerror(-rep->probed->private_socket_error));
	if (!rep->f->config->policies.dry_run)
		report_self_test(rep);
	report_doubts(rep);
}

static void report_history(const struct recorder *recorder, const struct history_store *store)
{
	if (!store)
		log_info("history: not kept over a restart (no state directory)");
	else
		log_info("history: kept in %s, %u of earlier", history_store_path(store),
			 history_count(recorder_history(recorder)));
}

void report_start(struct reporter *rep, const struct history_store *store)
{
	const struct memory_reading *r = &rep->f->sampler->domain.reading;
	char total[FORMAT_BYTES_SIZE], physical[FORMAT_BYTES_SIZE], swap[FORMAT_BYTES_SIZE];
	char memory[DESCRIBE_MEMORY_SIZE];

	describe_memory(r, memory);
	log_info("reckond " PACKAGE_VERSION "%s%s%s",
		 rep->f->config->policies.dry_run ? ", dry run" : "",
		 strcmp(rep->f->config->policies.subtree, "/") ? ", subtree " : "",
		 strcmp(rep->f->config->policies.subtree, "/") ? rep->f->config->policies.subtree
							       : "");
	log_info("memory: %s, of which %s can be reclaimed; %s",
		 format_bytes(r->counters.total, physical), format_bytes(r->total, total), memory);
	log_info("swap: %s%s%s", r->swap_total ? format_bytes(r->swap_total, swap) : "none",
		 r->counters.zram_disksize ? ", on zram" : "",
		 r->counters.arc_size ? "; ZFS ARC that can shrink counts as available" : "");
	report_pressure(rep->probed, rep->f->sampler->domain.has_psi);
	log_info("cgroups: %s%s%s", cgroup_layout_to_string(rep->f->machine->cgroups.layout),
		 rep->f->machine->cgroups.v2_fd >= 0 ? ", v2 at " : "",
		 rep->f->machine->cgroups.v2_fd >= 0 ? rep->f->machine->cgroups.v2_mount : "");
	report_accuracy(&rep->f->machine->accuracy);
	report_policies(&rep->f->config->policies, r);
	report_history(rep->recorder, store);
	log_info("processes: %zu", rep->f->sampler->census.n_processes);
	report_lacks(rep);
	log_info("%s", rep->f->config->policies.dry_run
			       ? "Ready; dry run: no process will be killed."
			       : "Ready; self-test done.");
}
