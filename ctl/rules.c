/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rules: the command.  Those of the daemon, or of the configuration where it does not run. */
#include "ctl/rules.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/check.h"
#include "ctl/explain.h"
#include "ctl/screen.h"
#include "ctl/table.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"
#include "lib/config/policy.h"
#include "lib/explain/describe.h"
#include "lib/sys/memory.h"

/* {"source", "connection", "policies", "rules"}, whose references it takes; NULL: no memory.  bus:
 * that was asked, or NULL. */
static json_t *answer_of(const struct bus *bus, json_t *policies, json_t *all_rules)
{
	return json_pack("{s:s, s:s?, s:o, s:o}", "source", bus ? "daemon" : "reckonctl",
			 "connection", bus ? bus_connection(bus) : NULL, "policies", policies,
			 "rules", all_rules);
}

json_t *rules_ask_policies(struct bus *bus)
{
	return bus_list(bus, "ListPolicies");
}

/* NULL: bus->trouble, or no memory. */
static json_t *ask(struct bus *bus)
{
	json_t *policies, *all_rules;

	policies = rules_ask_policies(bus);
	if (!policies)
		return NULL;
	all_rules = bus_list(bus, "ListRules");
	if (!all_rules) {
		json_decref(policies);
		return NULL;
	}
	return answer_of(bus, policies, all_rules);
}

/* Shares of memory are printed in bytes as well. */
static int sample_memory(struct memory_reading *ret)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct memory_source *source;
	int r;

	if (proc_fd < 0)
		return -errno;
	r = memory_source_new(proc_fd, sys_fd, &source);
	if (r < 0)
		return r;
	r = memory_sample(source, ret);
	memory_source_free(source);
	return r;
}

/* Whether it holds only the daemon knows, which has watched. */
static json_t *of_policy(const struct policy *policy, const struct memory_reading *memory)
{
	char conditions[DESCRIBE_POLICY_SIZE];

	return json_pack("{s:o, s:s, s:o, s:n}", "name", json_of_foreign(policy->name), "action",
			 policy_action_to_string(policy->action), "conditions",
			 json_of_foreign(describe_policy(policy, memory, conditions)), "holds");
}

static json_t *of_rule(const struct rule *rule)
{
	char conditions[4096];
	const char *user = rule->has_uid ? explain_user(rule->uid) : NULL;

	return json_pack("{s:s, s:o, s:o, s:f, s:b}", "kind", describe_rule_kind(rule), "name",
			 json_of_foreign(rule->name), "conditions",
			 json_of_foreign(describe_rule(rule, user, conditions, sizeof(conditions))),
			 "weight", rule->weight, "builtin", rule->builtin);
}

static enum ctl_status find_out(const struct ctl_options *options, json_t **ret)
{
	json_t *policies = json_array(), *all_rules = json_array();
	struct memory_reading memory;
	struct policy_set set;
	enum ctl_status status;
	int r;

	status = check_load(options, &set);
	if (status != CTL_OK) {
		json_decref(policies);
		json_decref(all_rules);
		return status;
	}
	r = sample_memory(&memory);
	for (size_t i = 0; r == 0 && i < set.n_policies; i++)
		json_append_to(&policies, of_policy(&set.policies[i], &memory));
	for (size_t i = 0; r == 0 && i < set.n_rules; i++)
		json_append_to(&all_rules, of_rule(&set.rules[i]));
	policy_set_done(&set);
	*ret = answer_of(NULL, policies, all_rules);
	if (r == 0)
		return CTL_OK;
	json_decref(*ret);
	return ctl_fail(options, CTL_FAILURE, "cannot read memory: %s", strerror(-r));
}

static int print_policies(const struct screen *screen, const json_t *policies)
{
	static const char *const titles[] = { "POLICY", "ACTION", "NOW", "CONDITIONS" };
	static const bool right[] = { false, false, false, false };
	_cleanup_(table_done) struct table table = {
		.titles = titles,
		.to_the_right = right,
		.n_columns = ARRAY_SIZE(titles),
	};
	char name[64], action[32], conditions[DESCRIBE_POLICY_SIZE];
	const json_t *policy;
	size_t i;

	json_array_foreach((json_t *)policies, i, policy)
	{
		table_add(&table, "%s",
			  screen_foreign(screen, words_text(policy, "name"), name, sizeof(name)));
		table_add(&table, "%s",
			  screen_foreign(screen, words_text(policy, "action"), action,
					 sizeof(action)));
		table_add(&table, "%s",
			  !words_has(policy, "holds")	? "?"
			  : words_bool(policy, "holds") ? "holds"
							: "-");
		table_add(&table, "%s",
			  screen_foreign(screen, words_text(policy, "conditions"), conditions,
					 sizeof(conditions)));
	}
	return table_print(&table, 0, screen);
}

static void add_rule(struct table *table, const struct screen *screen, const json_t *rule)
{
	char name[64], kind[32], conditions[4096];

	table_add(table, "%s",
		  screen_foreign(screen, words_text(rule, "kind"), kind, sizeof(kind)));
	table_add(table, "%s",
		  screen_foreign(screen, words_text(rule, "name"), name, sizeof(name)));
	table_add(table, "%s", words_bool(rule, "builtin") ? "yes" : "-");
	if (strcmp(kind, "protect") == 0 || strcmp(kind, "reluctant") == 0)
		table_add(table, "-");
	else
		table_add(table, "%.3g", words_real(rule, "weight"));
	table_add(table, "%s",
		  screen_foreign(screen, words_text(rule, "conditions"), conditions,
				 sizeof(conditions)));
}

static int print_rules(const struct screen *screen, const json_t *all_rules)
{
	static const char *const titles[] = { "RULE", "NAME", "BUILT IN", "WEIGHT", "MATCHES" };
	static const bool right[] = { false, false, false, true, false };
	_cleanup_(table_done) struct table table = {
		.titles = titles,
		.to_the_right = right,
		.n_columns = ARRAY_SIZE(titles),
	};
	const json_t *rule;
	size_t i;

	json_array_foreach((json_t *)all_rules, i, rule) add_rule(&table, screen, rule);
	return table_print(&table, 0, screen);
}

enum ctl_status rules_print(const struct screen *screen, const json_t *answer)
{
	if (print_policies(screen, json_object_get(answer, "policies")) < 0)
		return CTL_FAILURE;
	putc('\n', screen->file);
	return print_rules(screen, json_object_get(answer, "rules")) < 0 ? CTL_FAILURE : CTL_OK;
}

enum ctl_status rules(const struct ctl_options *options, char **arguments, int n_arguments)
{
	char source[BUS_TEXT_SIZE] = "as --config asks for";
	enum ctl_status status = CTL_OK;
	json_t *answer = NULL;
	struct screen screen;
	struct bus bus;

	if (n_arguments > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "rules: no arguments");
	if (!options->config_file) {
		bus_open(&bus);
		answer = ask(&bus);
		bus_trouble_text(&bus, source);
		if (!answer && bus_is_occupied(&bus))
			status = bus_fail(options, &bus);
		bus_done(&bus);
	}
	if (!answer && status == CTL_OK)
		status = find_out(options, &answer);
	if (status != CTL_OK || options->json)
		return status != CTL_OK ? status : ctl_print_json(answer);
	screen_init(&screen, stdout);
	status = rules_print(&screen, answer);
	words_say_source(&screen, answer, source);
	json_decref(answer);
	return status;
}
