/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-conf: a configuration file ("%%% main") with two drop-ins ("%%% 10", "%%% 20"), read
 * strictly and as at a start, described, judged by, written out and read again.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/conf-keys.h"
#include "lib/config/conf.h"
#include "lib/domain/domain.h"
#include "lib/domain/pace.h"
#include "lib/explain/describe.h"
#include "tests/fuzz/fuzz.h"

#define FILES_MAX 3

/* In place of libc's: the same on each machine, and quick. */
int getpwnam_r(const char *name, struct passwd *passwd, char *buf, size_t size, struct passwd **ret)
{
	*ret = NULL;
	if (strcmp(name, "alice") != 0)
		return 0;
	*passwd = (struct passwd){ .pw_uid = 1000 };
	*ret = passwd;
	return 0;
}

static void check_messages(const struct conf_messages *messages)
{
	size_t n_errors = 0;

	for (size_t i = 0; i < messages->n; i++) {
		for (const char *p = messages->items[i].text; *p; p++)
			FUZZ_CHECK(*p >= 0x20 && *p < 0x7f);
		n_errors += !messages->items[i].warning;
	}
	FUZZ_CHECK(messages->n <= CONF_MESSAGES_MAX);
	FUZZ_CHECK(n_errors <= messages->n_errors);
	FUZZ_CHECK(messages->n + messages->n_left_out == messages->n_errors + messages->n_warnings);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_line(const struct policy_threshold *a, const struct policy_threshold *b)
{
	return a->set == b->set && a->is_size == b->is_size && a->permyriad == b->permyriad &&
	       a->bytes == b->bytes && a->cap == b->cap;
}

static void check_same_policy(const struct policy *a, const struct policy *b)
{
	FUZZ_CHECK(is_same_text(a->name, b->name));
	FUZZ_CHECK(is_same_line(&a->memory_available, &b->memory_available));
	FUZZ_CHECK(is_same_line(&a->swap_free, &b->swap_free));
	FUZZ_CHECK(a->pressure_some == b->pressure_some && a->pressure_full == b->pressure_full);
	FUZZ_CHECK(a->thrashing == b->thrashing && a->for_usec == b->for_usec);
	FUZZ_CHECK(a->action == b->action && a->target == b->target && a->rank_by == b->rank_by);
	FUZZ_CHECK(a->grace_usec == b->grace_usec);
	FUZZ_CHECK(a->thaw == b->thaw && a->refreeze == b->refreeze);
}

static void check_same_rule(const struct rule *a, const struct rule *b)
{
	FUZZ_CHECK(a->kind == b->kind && is_same_text(a->name, b->name));
	FUZZ_CHECK(a->weight == b->weight);
	FUZZ_CHECK(is_same_text(a->comm_pattern, b->comm_pattern));
	FUZZ_CHECK(is_same_text(a->cgroup, b->cgroup));
	FUZZ_CHECK(a->has_uid == b->has_uid && is_same_text(a->unknown_user, b->unknown_user));
	FUZZ_CHECK(!a->has_uid || a->unknown_user || a->uid == b->uid);
	FUZZ_CHECK(a->builtin == b->builtin && a->protection == b->protection);
	FUZZ_CHECK(a->above_ceiling == b->above_ceiling && a->proof == b->proof);
	FUZZ_CHECK(is_same_text(a->place, b->place) && !a->disabled && !b->disabled);
}

static void check_same(const struct policy_set *a, const struct policy_set *b)
{
	FUZZ_CHECK(a->dry_run == b->dry_run && is_same_text(a->subtree, b->subtree));
	FUZZ_CHECK(is_same_line(&a->watch_below, &b->watch_below));
	FUZZ_CHECK(is_same_line(&a->min_victim, &b->min_victim));
	FUZZ_CHECK(a->kill_timeout_usec == b->kill_timeout_usec);
	FUZZ_CHECK(a->n_policies == b->n_policies && a->n_rules == b->n_rules);
	for (size_t i = 0; i < a->n_policies; i++)
		check_same_policy(&a->policies[i], &b->policies[i]);
	for (size_t i = 0; i < a->n_rules; i++)
		check_same_rule(&a->rules[i], &b->rules[i]);
}

static void write_share(FILE *f, const char *key, unsigned permyriad)
{
	if (permyriad > 0)
		fprintf(f, "%s=%u.%02u%%\n", key, permyriad / 100, permyriad % 100);
	else
		fprintf(f, "%s=\n", key);
}

static void write_line(FILE *f, const char *key, const struct policy_threshold *line)
{
	unsigned long long bytes = line->bytes, cap = line->cap;

	fprintf(f, "%s=", key);
	if (line->set && line->is_size)
		fprintf(f, "%llu", bytes);
	else if (line->set)
		fprintf(f, "%u.%02u%%", line->permyriad / 100, line->permyriad % 100);
	if (line->set && cap > 0)
		fprintf(f, " %llu", cap);
	fputc('\n', f);
}

static void write_policy(FILE *f, const struct policy *policy)
{
	fprintf(f, "[Policy %s]\n", policy->name);
	write_line(f, "MemoryAvailable", &policy->memory_available);
	write_line(f, "SwapFree", &policy->swap_free);
	write_share(f, "PressureSome", policy->pressure_some);
	write_share(f, "PressureFull", policy->pressure_full);
	write_share(f, "Thrashing", policy->thrashing);
	fprintf(f, "For=%lluus\nGrace=%lluus\n", (unsigned long long)policy->for_usec,
		(unsigned long long)policy->grace_usec);
	fprintf(f, "Action=%s\nTarget=%s\nRankBy=%s\nThaw=%s\nRefreeze=%s\n",
		policy_action_to_string(policy->action), policy_target_to_string(policy->target),
		policy_rank_by_to_string(policy->rank_by), policy_thaw_to_string(policy->thaw),
		policy->refreeze ? "yes" : "no");
}

static const char *section_of(const struct rule *rule)
{
	return rule->kind == RULE_PROTECT  ? "Protect"
	       : rule->kind == RULE_PREFER ? "Prefer"
					   : "Avoid";
}

static void write_rule(FILE *f, const struct rule *rule)
{
	fprintf(f, "[%s %s]\nComm=%s\nCgroup=%s\n", section_of(rule), rule->name,
		rule->comm_pattern ? rule->comm_pattern : "", rule->cgroup ? rule->cgroup : "");
	if (rule->unknown_user)
		fprintf(f, "User=%s\n", rule->unknown_user);
	else if (rule->has_uid)
		fprintf(f, "User=%u\n", rule->uid);
	else
		fputs("User=\n", f);
	if (rule->kind != RULE_PROTECT)
		fprintf(f, "Weight=%.6f\n", rule->weight);
}

static bool has_rule(const struct policy_set *set, const struct rule *rule)
{
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == rule->kind &&
		    is_same_text(set->rules[i].name, rule->name))
			return true;
	return false;
}

/* What is built in and was switched off is written too. */
static void write_set(FILE *f, const struct policy_set *set)
{
	struct policy_set builtin;

	FUZZ_CHECK(policy_set_init_defaults(&builtin) == 0);
	fprintf(f, "[Daemon]\nDryRun=%s\nSubtree=%s\nKillTimeout=%lluus\n",
		set->dry_run ? "yes" : "no", set->subtree,
		(unsigned long long)set->kill_timeout_usec);
	write_line(f, "WatchBelow", &set->watch_below);
	if (set->min_victim.set)
		write_line(f, "MinVictim", &set->min_victim);
	for (size_t i = 0; i < set->n_policies; i++)
		write_policy(f, &set->policies[i]);
	for (size_t i = 0; i < builtin.n_rules; i++)
		if (!has_rule(set, &builtin.rules[i]))
			fprintf(f, "[%s %s]\nEnabled=no\n", section_of(&builtin.rules[i]),
				builtin.rules[i].name);
	for (size_t i = 0; i < set->n_rules; i++)
		if (!set->rules[i].builtin)
			write_rule(f, &set->rules[i]);
	policy_set_done(&builtin);
}

/* Written out, it is read as the same. */
static void check_round_trip(const struct policy_set *set)
{
	struct conf_messages messages = { 0 };
	struct policy_set again;
	char path[4200];
	const char *files[] = { path };
	FILE *f;

	snprintf(path, sizeof(path), "%s/again", fuzz_directory());
	f = fopen(path, "we");
	FUZZ_CHECK(f);
	write_set(f, set);
	fclose(f);
	if (conf_load(files, 1, &again, &messages) != 0) {
		for (size_t i = 0; i < messages.n; i++)
			conf_message_print(&messages.items[i], stderr);
		FUZZ_CHECK(!"what was written out is refused");
	}
	check_same(set, &again);
	policy_set_done(&again);
	conf_messages_done(&messages);
}

static void describe(const struct policy_set *set, const struct memory_reading *memory)
{
	char text[4096];

	for (size_t i = 0; i < set->n_policies; i++)
		FUZZ_CHECK(strlen(describe_policy(&set->policies[i], memory, text)) <
			   DESCRIBE_POLICY_SIZE);
	for (size_t i = 0; i < set->n_rules; i++)
		FUZZ_CHECK(strlen(describe_rule(&set->rules[i], "x", text, sizeof(text))) <
			   sizeof(text));
}

/* A machine of so much swap that gets short of memory, stalls and thrashes. */
static void judge(const struct policy_set *set, uint64_t swap_total)
{
	struct memory_counters counters = { .total = 8 * GIB, .swap_total = swap_total };
	struct psi_reading pressure = { 0 };
	struct policy_judgement judgement;
	struct memory_reading memory;
	struct psi_history psi = { 0 };
	struct pace pace = { 0 };
	struct reclaim_history reclaim = { 0 };
	struct domain domain = { 0 };
	struct policy_reading reading = {
		.memory = &memory,
		.psi = &psi,
		.reclaim = &reclaim,
		.page_size = 4096,
	};

	FUZZ_CHECK(domain_change_policies(&domain, &(struct policy_set){ 0 }, set) == 0);
	for (usec_t now = 2 * USEC_PER_SEC; now <= 40 * USEC_PER_SEC; now += 2 * USEC_PER_SEC) {
		counters.available = 40 * GIB / 10 / (now / USEC_PER_SEC);
		counters.swap_free = swap_total / (now / USEC_PER_SEC);
		pressure.some.total += 1600 * USEC_PER_MSEC;
		pressure.full.total += 1200 * USEC_PER_MSEC;
		counters.events.scanned += 100000;
		counters.events.stolen += 90000;
		counters.events.refaulted_file += 80000;
		memory_evaluate(&counters, 4096, &memory);
		psi_history_add(&psi, now, &pressure);
		reclaim_history_add(&reclaim, now, &counters.events, counters.available);
		domain_judge(&domain, set, &reading, now, &judgement);
		FUZZ_CHECK(!judgement.policy ||
			   (judgement.policy >= set->policies &&
			    judgement.policy < set->policies + set->n_policies));
		pace_add(&pace, now, &memory);
		FUZZ_CHECK(policy_interval(set, &memory) <= POLICY_INTERVAL_CALM_MAX_USEC);
		FUZZ_CHECK(pace_interval(&pace, set, &reading) <= POLICY_INTERVAL_WATCH_MAX_USEC);
	}
	domain_done(&domain);
	describe(set, &memory);
}

static void apply_rules(const struct policy_set *set)
{
	static const struct rule_subject subjects[] = {
		{ .comm = "firefox", .cgroup = "/user.slice/user-1000.slice/x", .uid = 1000 },
		{ .comm = "", .cgroup = "/", .uid = 0 },
		{ .comm = "sshd: \xff\033[m", .cgroup = "/system.slice/ssh.service", .uid = 0 },
		{ .comm = NULL, .cgroup = "/user.slice", .uid = (uid_t)-1 },
	};
	struct rule_verdict verdict;

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		policy_apply_rules(set, &subjects[i], &verdict);
		FUZZ_CHECK(verdict.weight >= RULE_WEIGHT_MIN && verdict.weight <= RULE_WEIGHT_MAX);
	}
}

static void use(struct policy_set *set)
{
	judge(set, 0);
	judge(set, 2 * GIB);
	apply_rules(set);
	/* (The defaults of MinVictim cannot be written.) */
	check_round_trip(set);
}

static void load_both_ways(const char *const *files, size_t n)
{
	struct conf_messages strict_messages = { 0 }, messages = { 0 };
	struct policy_set strict, lenient;
	int r = conf_load(files, n, &strict, &strict_messages);

	check_messages(&strict_messages);
	FUZZ_CHECK(r == (strict_messages.n_errors > 0));
	/* It fails for want of memory only. */
	FUZZ_CHECK(conf_load_lenient(files, n, &lenient, &messages) == (messages.n_errors > 0));
	check_messages(&messages);
	/* What is right is read alike. */
	if (r == 0) {
		FUZZ_CHECK(messages.n_errors == 0);
		check_same(&strict, &lenient);
		policy_set_done(&strict);
	}
	use(&lenient);
	policy_set_done(&lenient);
	conf_messages_done(&strict_messages);
	conf_messages_done(&messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *name, *path;
	} places[FILES_MAX] = {
		{ "main", "main.conf" },
		{ "10", "main.conf.d/10.conf" },
		{ "20", "main.conf.d/20.conf" },
	};
	struct fuzz_part parts[FILES_MAX];
	size_t n = fuzz_split(data, size, parts, FILES_MAX), n_files;
	char path[4200], **files;

	fuzz_write("main.conf", "", 0);
	for (size_t i = 1; i < FILES_MAX; i++)
		fuzz_write(places[i].path, NULL, 0);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < FILES_MAX; k++)
			if (strcmp(parts[i].name, places[k].name) == 0)
				fuzz_write(places[k].path, parts[i].data, parts[i].size);
	snprintf(path, sizeof(path), "%s/main.conf", fuzz_directory());
	FUZZ_CHECK(conf_find_files(path, "", &files, &n_files) == 0);
	load_both_ways((const char *const *)files, n_files);
	conf_files_free(files, n_files);
	return 0;
}
