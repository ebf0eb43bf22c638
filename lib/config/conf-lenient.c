/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-lenient: what is used of a configuration with errors, at a start.
 *
 * One rule for all: what is left may kill less than what was written, never more.
 *
 *   [Policy], new        is not used: without one of its conditions it would act more often.
 *   [Policy], built in   is kept as it is built in, as protection must not lapse; of the section
 *                        those settings are used which make it act later or do less.
 *   [Prefer]             is not used: with fewer conditions it would expose more processes.
 *   [Protect], [Avoid]   is used with the conditions that could be read, so that it spares at least
 *                        what was meant; without any it would match nothing, and is not used.
 *   [Daemon]             a key that could not be read has its default; but where that is one that
 *                        says what may be killed at all (DryRun=, Subtree=), the daemon makes a
 *                        dry run.
 *
 * The exception is a file that cannot be read: what it restricts is not known, and it is left out,
 * lest a machine be without protection.  (A file that was named is an error: conf_check_named().)
 *
 * Called by conf.
 */
#include <ctype.h>
#include <string.h>

#include "lib/config/conf-loader.h"

void conf_lose_key(struct conf_loader *loader, const struct conf_key *key)
{
	if (!key || !key->restricts || loader->lost_key)
		return;
	loader->lost_key = key;
	loader->lost_file = loader->file;
	loader->lost_line = loader->line;
}

void conf_lose_named_key(struct conf_loader *loader, const char *line)
{
	char name[CONF_NAME_MAX + 1];
	size_t length = 0;

	while (length < CONF_NAME_MAX && isalpha((unsigned char)line[length]))
		length++;
	snprintf(name, sizeof(name), "%.*s", (int)length, line);
	conf_lose_key(loader, conf_key_meant(CONF_SECTION_DAEMON, name));
}

/* Of bytes of which 0 is none. */
static uint64_t smaller_of_set(uint64_t a, uint64_t b)
{
	return a > 0 && (b == 0 || a < b) ? a : b;
}

/* What is below both: of a share and a size, the share with the size as its cap. */
static struct policy_threshold narrower_threshold(const struct policy_threshold *written,
						  const struct policy_threshold *builtin)
{
	struct policy_threshold threshold = *builtin;

	if (!written->set)
		return threshold;
	if (!builtin->set)
		return *written;
	if (written->is_size && builtin->is_size) {
		threshold.bytes = min_u64(written->bytes, builtin->bytes);
		return threshold;
	}
	if (builtin->is_size)
		threshold = *written;
	else if (!written->is_size && written->permyriad < threshold.permyriad)
		threshold.permyriad = written->permyriad;
	threshold.cap = smaller_of_set(written->is_size ? written->bytes : written->cap,
				       builtin->is_size ? builtin->bytes : builtin->cap);
	return threshold;
}

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* The built-in policy with what restricts it. */
static void restrict_policy(struct policy *policy, const struct policy *builtin)
{
	struct policy p = *builtin;

	p.name = policy->name;
	if (policy->action < p.action)
		p.action = policy->action;
	if (policy->target == POLICY_TARGET_PROCESS)
		p.target = POLICY_TARGET_PROCESS;
	p.memory_available =
		narrower_threshold(&policy->memory_available, &builtin->memory_available);
	p.swap_free = narrower_threshold(&policy->swap_free, &builtin->swap_free);
	p.pressure_some = larger(policy->pressure_some, builtin->pressure_some);
	p.pressure_full = larger(policy->pressure_full, builtin->pressure_full);
	p.thrashing = larger(policy->thrashing, builtin->thrashing);
	p.for_usec = max_u64(policy->for_usec, builtin->for_usec);
	/* Longer, and it could never act. */
	if (p.pressure_some > 0 || p.pressure_full > 0 || p.thrashing > 0)
		p.for_usec = min_u64(p.for_usec, PSI_HISTORY_USEC);
	p.grace_usec = max_u64(policy->grace_usec, builtin->grace_usec);
	p.thaw = policy->thaw;
	p.refreeze = policy->refreeze;
	*policy = p;
}

static const struct policy *find_builtin(const struct policy_set *builtin, const char *name)
{
	for (size_t i = 0; i < builtin->n_policies; i++)
		if (strcmp(builtin->policies[i].name, name) == 0)
			return &builtin->policies[i];
	return NULL;
}

static void salvage_policy(struct conf_loader *loader, struct conf_item *item,
			   const struct policy_set *builtin)
{
	struct policy *policy = &loader->set.policies[item->index];
	const struct policy *original = find_builtin(builtin, policy->name);

	if (original) {
		restrict_policy(policy, original);
		conf_error(loader,
			   "[Policy %s] has errors: it stays as it is built in, but for what "
			   "restricts it",
			   policy->name);
		return;
	}
	conf_error(loader, "[Policy %s] has errors and is not used", policy->name);
	item->is_dropped = true;
}

static void salvage_rule(struct conf_loader *loader, const struct conf_item *item)
{
	struct rule *rule = &loader->set.rules[item->index];
	const char *section = conf_section_to_string(item->section);

	if (rule->disabled)
		return;
	if (rule->kind != RULE_PREFER && (rule->comm_pattern || rule->cgroup || rule->has_uid)) {
		conf_error(loader,
			   "[%s %s] has errors: it is used with the conditions that could be read, "
			   "and may match more processes than was meant",
			   section, rule->name);
		return;
	}
	conf_error(loader, "[%s %s] has errors and is not used", section, rule->name);
	rule->disabled = true;
}

static bool is_dropped(const struct conf_loader *loader, size_t policy)
{
	for (size_t i = 0; i < loader->n_items; i++)
		if (loader->items[i].section == CONF_SECTION_POLICY &&
		    loader->items[i].index == policy)
			return loader->items[i].is_dropped;
	return false;
}

static void salvage_daemon(struct conf_loader *loader)
{
	if (!loader->lost_key)
		return;
	loader->file = loader->lost_file;
	loader->line = loader->lost_line;
	conf_error(loader,
		   "%s= says what may be killed and could not be read: until it can, this is a dry "
		   "run, and no process is killed",
		   loader->lost_key->name);
	loader->set.dry_run = true;
}

int conf_salvage(struct conf_loader *loader)
{
	struct policy_set builtin;
	int r;

	r = policy_set_init_defaults(&builtin);
	if (r < 0)
		return r;
	for (size_t i = 0; i < loader->n_items; i++) {
		struct conf_item *item = &loader->items[i];

		if (!item->has_errors)
			continue;
		loader->file = item->file;
		loader->line = item->line;
		if (item->section == CONF_SECTION_POLICY)
			salvage_policy(loader, item, &builtin);
		else
			salvage_rule(loader, item);
	}
	for (size_t i = loader->set.n_policies; i-- > 0;)
		if (is_dropped(loader, i))
			policy_set_remove_policy(&loader->set, &loader->set.policies[i]);
	salvage_daemon(loader);
	policy_set_done(&builtin);
	return loader->no_memory ? -ENOMEM : 0;
}
