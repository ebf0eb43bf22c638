/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conf-check: may a section have this name, and is its policy or rule complete, now that all files
 * have been read?  Called by conf.  And, of the machine: is the subtree there? */
#include <ctype.h>
#include <string.h>

#include "lib/config/conf-loader.h"

static void check_policy(struct conf_loader *loader, const struct conf_item *item)
{
	const struct policy *policy = &loader->set.policies[item->index];
	bool has_pressure = policy_waits_for_pressure(policy) || policy->thrashing > 0;
	bool has_memory = policy->memory_available.set;

	if (item->is_new && !item->has_action) {
		conf_error(loader, "[Policy %s] has no Action=: none, warn, terminate or kill",
			   policy->name);
		return;
	}
	if (policy->action == POLICY_ACTION_NONE || item->has_errors)
		return;
	if (!has_memory && !has_pressure && !policy->swap_free.set)
		conf_error(loader,
			   "[Policy %s] has no condition: MemoryAvailable=, SwapFree=, "
			   "PressureSome=, PressureFull= or Thrashing= (or Action=none)",
			   policy->name);
	else if (!has_memory && !has_pressure)
		conf_warning(
			loader,
			"[Policy %s] has SwapFree= alone: it never holds where there is no swap",
			policy->name);
	if (has_pressure && policy->for_usec > PSI_HISTORY_USEC)
		conf_error(loader,
			   "[Policy %s] can never act: pressure is remembered for %us only, "
			   "and For= is longer",
			   policy->name, (unsigned)(PSI_HISTORY_USEC / USEC_PER_SEC));
	if (!item->has_errors)
		conf_check_policy_traps(loader, item->index);
}

static void check_rule(struct conf_loader *loader, const struct conf_item *item)
{
	const struct rule *rule = &loader->set.rules[item->index];
	const char *section = conf_section_to_string(item->section);

	if (item->has_errors)
		return;
	if (rule->comm_pattern || rule->cgroup || rule->has_uid) {
		conf_check_rule_traps(loader, item->index);
		return;
	}
	if (!rule->disabled)
		conf_error(loader,
			   "[%s %s] has no condition: Comm=, Cgroup= or User= (or Enabled=no)",
			   section, rule->name);
	else if (item->is_new)
		conf_warning(loader, "there is no [%s %s] to disable", section, rule->name);
}

bool conf_is_name(const char *name)
{
	size_t length = strlen(name);

	for (const char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._@-", *p))
			return false;
	return length > 0 && length <= CONF_NAME_MAX;
}

static bool is_known(const struct conf_loader *loader, enum conf_section section, const char *name)
{
	const struct policy_set *set = &loader->set;

	if (section == CONF_SECTION_POLICY) {
		for (size_t i = 0; i < set->n_policies; i++)
			if (strcmp(set->policies[i].name, name) == 0)
				return true;
		return false;
	}
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == conf_section_rule_kind(section) &&
		    strcmp(set->rules[i].name, name) == 0)
			return true;
	return false;
}

bool conf_is_one_too_many(struct conf_loader *loader, enum conf_section section, const char *name)
{
	bool is_policy = section == CONF_SECTION_POLICY;
	size_t n = is_policy ? loader->set.n_policies : loader->set.n_rules;
	size_t max = is_policy ? CONF_POLICIES_MAX : CONF_RULES_MAX;

	if (n < max || is_known(loader, section, name))
		return false;
	conf_error(loader, "[%s %s] is one too many: at most %zu%s, with those built in",
		   conf_section_to_string(section), name, max, is_policy ? "" : " rules");
	loader->is_full = !loader->is_lenient && !is_policy;
	return true;
}

bool conf_costs_too_much(struct conf_loader *loader, const struct conf_key *key)
{
	const char *value = loader->value;
	unsigned cost = 0;

	if (strcmp(key->name, "Comm") == 0)
		cost = rule_comm_cost(value);
	else if (strcmp(key->name, "User") == 0)
		cost = *value != '\0' && !isdigit((unsigned char)*value);
	if (cost <= CONF_COST_MAX - loader->cost) {
		loader->cost += cost;
		return false;
	}
	conf_error(
		loader,
		"%s=%.80s is one too many: a configuration has at most %d regular expressions "
		"that are no plain lists such as ^(one|two)$, fewer if they have repetitions, and "
		"names of users",
		key->name, value, CONF_COST_MAX);
	loader->is_full = !loader->is_lenient;
	return true;
}

void conf_check_items(struct conf_loader *loader)
{
	for (size_t i = 0; i < loader->n_items; i++) {
		loader->item = &loader->items[i];
		loader->file = loader->items[i].file;
		loader->line = loader->items[i].line;
		if (loader->items[i].section == CONF_SECTION_POLICY)
			check_policy(loader, &loader->items[i]);
		else
			check_rule(loader, &loader->items[i]);
	}
	loader->item = NULL;
}

__attribute__((format(printf, 4, 5))) static int
warn_at(struct conf_messages *messages, const char *file, unsigned line, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = conf_messages_addv(messages, file, line, true, format, ap);
	va_end(ap);
	return r;
}

int conf_check_subtree(const struct policy_set *set, const struct cgroup_fs *cgroups,
		       struct conf_messages *messages)
{
	if (cgroup_find(cgroups, set->subtree) != -ENOENT)
		return 0;
	return warn_at(
		messages, set->subtree_file ? set->subtree_file : "--subtree", set->subtree_line,
		"Subtree=%.200s: there is no such cgroup now; no process can be killed while "
		"there is none",
		set->subtree);
}

int conf_check_subtree_at(const struct policy_set *set, int proc_fd, struct conf_messages *messages)
{
	struct cgroup_fs cgroups;
	int r;

	if (cgroup_fs_open(proc_fd, &cgroups) < 0)
		return 0;
	r = conf_check_subtree(set, &cgroups, messages);
	cgroup_fs_done(&cgroups);
	return r;
}
