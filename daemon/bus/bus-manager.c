/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-manager: org.reckond1.Manager, as org.reckond1(5) has it: its table, and the methods that are
 * answered at once.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/watch/judge.h"
#include "lib/base/cleanup.h"
#include "lib/explain/describe.h"

/* Comm= and Cgroup= of a rule, each a line of a configuration file, and a name. */
#define CONDITIONS_SIZE 2304

#define HIDDEN "Processes of other users are hidden here (hidepid): only root can query them."

/* What reveals processes. */
static const struct {
	const char *method;
	bus_answer_fn answer;
	enum bus_need need;
} of_processes[] = {
	{ "Explain", bus_answer_explain, BUS_NEEDS_PROCESSES },
	{ "GetHistory", bus_answer_history, BUS_NEEDS_NOTHING },
	{ "ListCandidates", bus_list_candidates, BUS_NEEDS_PROCESSES },
	{ "ListHistory", bus_list_history, BUS_NEEDS_NOTHING },
};

static int wait_for_processes(struct bus *b, sd_bus_message *call)
{
	const char *method = sd_bus_message_get_member(call);

	for (size_t i = 0; i < ARRAY_SIZE(of_processes); i++)
		if (strcmp(of_processes[i].method, method) == 0)
			return bus_wait(b, call, of_processes[i].answer, of_processes[i].need);
	return -EOPNOTSUPP;
}

static int method_of_processes(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	if (bus_hides_processes(userdata))
		return bus_call_if_permitted(userdata, call, wait_for_processes, HIDDEN);
	return wait_for_processes(userdata, call);
}

static int method_list_cgroups(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_wait(userdata, call, bus_list_cgroups, BUS_NEEDS_PROCESSES);
}

/* Its conditions in words, of configuration files. */
static const char *describe(struct bus *b, const struct rule *rule,
			    char buf[static CONDITIONS_SIZE])
{
	const char *user = rule->has_uid ? users_name(b->subject.users, rule->uid) : NULL;

	return describe_rule(rule, user, buf, CONDITIONS_SIZE);
}

/* "a{sv}" */
static int append_rule(struct bus *b, sd_bus_message *reply, const struct rule *rule)
{
	char conditions[CONDITIONS_SIZE];
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}", "Kind", "s", describe_rule_kind(rule));
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Name", rule->name);
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Conditions",
					      describe(b, rule, conditions));
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}", "Weight", "d", rule->weight, "Builtin",
					  "b", (int)rule->builtin);
	b->n_bytes += 160;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int list_rules(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct policy_set *set = &b->subject.config->policies;
	struct bus_page page;
	int r;

	r = bus_read_page(call, UINT32_MAX, UINT32_MAX, &page);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (size_t i = page.first; r >= 0 && i < set->n_rules; i++) {
		if (i - page.first == page.limit || bus_page_is_full(b))
			break;
		r = append_rule(b, reply, &set->rules[i]);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_rules(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_wait(userdata, call, list_rules, BUS_NEEDS_NOTHING);
}

static bool holds(struct bus *b, const struct policy *policy)
{
	const struct bus_subject *subject = &b->subject;
	struct policy_reading reading = judge_reading(subject->sampler);

	reading.memory = &b->reading;
	return policy->action != POLICY_ACTION_NONE && policy_holds(policy, &reading);
}

/* "a{sv}" */
static int append_policy(struct bus *b, sd_bus_message *reply, const struct policy *policy)
{
	char conditions[DESCRIBE_POLICY_SIZE];
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Name", policy->name);
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "Action", "s",
					  policy_action_to_string(policy->action), "Conditions",
					  "s", describe_policy(policy, &b->reading, conditions),
					  "Holds", "b", (int)holds(b, policy));
	b->n_bytes += DESCRIBE_POLICY_SIZE + 128;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int list_policies(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct policy_set *set = &b->subject.config->policies;
	struct bus_page page;
	int r;

	r = bus_read_page(call, UINT32_MAX, UINT32_MAX, &page);
	if (r < 0)
		return r;
	bus_read_memory(b);
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (size_t i = page.first; r >= 0 && i < set->n_policies; i++) {
		if (i - page.first == page.limit || bus_page_is_full(b))
			break;
		r = append_policy(b, reply, &set->policies[i]);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_policies(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_wait(userdata, call, list_policies, BUS_NEEDS_NOTHING);
}

static int answer_reload(struct bus *b, sd_bus_message *call)
{
	_cleanup_free_ char *errors = NULL;
	char error[CONFIG_ERROR_SIZE];
	int r = b->subject.reload(b->subject.userdata, &errors);

	if (r == 0)
		return sd_bus_reply_method_return(call, NULL);
	if (r < 0)
		config_describe_error(b->subject.config, error);
	return sd_bus_reply_method_errorf(call, BUS_ERROR_BAD_CONFIGURATION, "%s",
					  r < 0	   ? error
					  : errors ? errors
						   : strerror(ENOMEM));
}

static int wait_for_reload(struct bus *b, sd_bus_message *call)
{
	b->subject.expire(b->subject.userdata);
	return bus_wait(b, call, answer_reload, BUS_NEEDS_CONFIG);
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return bus_call_if_permitted(userdata, call, wait_for_reload, "Only root may do this.");
}

/* clang-format off */
#define CONST	SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES	SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
/* Reload() too: it checks its caller by itself, without blocking (bus-access.c). */
#define UNPRIVILEGED	SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", bus_get_version, 0, CONST),
	SD_BUS_PROPERTY("State", "s", bus_get_state, 0, CHANGES),
	SD_BUS_PROPERTY("DryRun", "b", bus_get_flag, 0, CHANGES),
	SD_BUS_PROPERTY("Subtree", "s", bus_get_subtree, 0, CHANGES),
	SD_BUS_PROPERTY("ConfigFiles", "as", bus_get_config_files, 0, CHANGES),
	SD_BUS_PROPERTY("Degraded", "b", bus_get_flag, 0, CHANGES),
	SD_BUS_PROPERTY("ConfigErrors", "as", bus_get_config_errors, 0, CHANGES),
	SD_BUS_PROPERTY("ReloadErrors", "as", bus_get_reload_errors, 0, CHANGES),
	SD_BUS_PROPERTY("Conflicts", "as", bus_get_conflicts, 0, CHANGES),
	SD_BUS_PROPERTY("MissingPrivileges", "as", bus_get_missing_privileges, 0, 0),
	SD_BUS_PROPERTY("Limitations", "as", bus_get_limitations, 0, 0),
	SD_BUS_PROPERTY("MemoryTotal", "t", bus_get_memory, 0, 0),
	SD_BUS_PROPERTY("MemoryAvailable", "t", bus_get_memory, 0, 0),
	SD_BUS_PROPERTY("SwapTotal", "t", bus_get_memory, 0, 0),
	SD_BUS_PROPERTY("SwapFree", "t", bus_get_memory, 0, 0),
	SD_BUS_PROPERTY("PressureSome", "u", bus_get_pressure, 0, 0),
	SD_BUS_PROPERTY("PressureFull", "u", bus_get_pressure, 0, 0),
	SD_BUS_PROPERTY("HasPressure", "b", bus_get_has_pressure, 0, CONST),
	SD_BUS_PROPERTY("MinVictim", "t", bus_get_min_victim, 0, 0),
	SD_BUS_PROPERTY("MemoryHeldBy", "aa{sv}", bus_get_memory_held_by, 0, CHANGES),
	SD_BUS_PROPERTY("Processes", "u", bus_get_count, 0, 0),
	SD_BUS_PROPERTY("Kills", "u", bus_get_count, 0, CHANGES),
	SD_BUS_PROPERTY("StartedUSec", "t", bus_get_times, 0, CONST),
	SD_BUS_PROPERTY("ReadUSec", "t", bus_get_times, 0, 0),
	SD_BUS_PROPERTY("TimerLatencyMaxUSec", "t", bus_get_times, 0, 0),
	SD_BUS_PROPERTY("Latency", "aa{sv}", bus_get_latency, 0, 0),
	SD_BUS_METHOD_WITH_NAMES("Explain",
				 "u", SD_BUS_PARAM(pid),
				 "a{sv}", SD_BUS_PARAM(explanation),
				 method_of_processes, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("GetHistory",
				 "u", SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(entries),
				 method_of_processes, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListCandidates",
				 "uu", SD_BUS_PARAM(first) SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(candidates),
				 method_of_processes, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListCgroups",
				 "uu", SD_BUS_PARAM(first) SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(cgroups),
				 method_list_cgroups, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListHistory",
				 "tu", SD_BUS_PARAM(before) SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(entries),
				 method_of_processes, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListRules",
				 "uu", SD_BUS_PARAM(first) SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(rules),
				 method_list_rules, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("ListPolicies",
				 "uu", SD_BUS_PARAM(first) SD_BUS_PARAM(limit),
				 "aa{sv}", SD_BUS_PARAM(policies),
				 method_list_policies, UNPRIVILEGED),
	SD_BUS_METHOD("Reload", NULL, NULL, method_reload, UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_NAMES("StateChanged",
				 "ss", SD_BUS_PARAM(old) SD_BUS_PARAM(new), 0),
	SD_BUS_SIGNAL_WITH_NAMES("LowMemory", "a{sv}", SD_BUS_PARAM(memory), 0),
	SD_BUS_SIGNAL_WITH_NAMES("Killed", "a{sv}", SD_BUS_PARAM(entry), 0),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

int bus_add_manager(struct bus_link *link)
{
	return sd_bus_add_object_vtable(link->bus, NULL, BUS_PATH, BUS_INTERFACE, vtable,
					link->owner);
}
