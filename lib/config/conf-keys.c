/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-keys: the keys of a configuration file, and what their values mean.
 *
 * One table; each row has a setter for its kind of value.  A setter returns -EINVAL or -ERANGE for
 * what it does not take, and conf_key_set() then says what is needed in the words of the row; it
 * writes a text itself only where there is more to say.  Called by conf alone.
 */
#include "lib/config/conf-keys.h"

#include <assert.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/format.h"
#include "lib/base/parse.h"
#include "lib/config/conf.h"

/* Below this a victim that dies normally would be called unkillable: exit_mmap() of a large process
 * takes tens of milliseconds. */
#define KILL_TIMEOUT_MIN_USEC (100 * USEC_PER_MSEC)

/* "MemoryAvailable=10" is 10 bytes literally and 10% by intention; no threshold is so small. */
#define THRESHOLD_BYTES_MIN MIB

static int set_bool(const struct conf_key *key, void *object, const char *value, char *text)
{
	return parse_bool(value, (bool *)((char *)object + key->offset));
}

static int set_duration(const struct conf_key *key, void *object, const char *value, char *text)
{
	return parse_duration(value, (usec_t *)((char *)object + key->offset));
}

static int set_kill_timeout(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy_set *set = object;
	usec_t timeout;
	int r;

	r = parse_duration(value, &timeout);
	if (r < 0)
		return r;
	if (timeout < KILL_TIMEOUT_MIN_USEC)
		return -ERANGE;
	set->kill_timeout_usec = timeout;
	return 0;
}

static int set_threshold(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy_threshold *threshold =
		(struct policy_threshold *)((char *)object + key->offset);
	struct parse_level level;
	int r;

	if (*value == '\0') {
		*threshold = (struct policy_threshold){};
		return 0;
	}
	r = parse_level(value, &level);
	if (r < 0)
		return r;
	if (level.has_size && level.bytes < THRESHOLD_BYTES_MIN) {
		snprintf(
			text, CONF_TEXT_MAX,
			"%s=%.40s would be %llu bytes: a percentage has a %% at its end, a size a K, M, G or T",
			key->name, value, (unsigned long long)level.bytes);
		return -ERANGE;
	}
	*threshold = (struct policy_threshold){
		.set = true,
		.is_size = !level.has_share,
		.permyriad = level.permyriad,
		.bytes = level.has_share ? 0 : level.bytes,
		.cap = level.has_share ? level.bytes : 0,
	};
	if (level.is_loose) {
		char bytes[FORMAT_BYTES_SIZE];

		snprintf(text, CONF_TEXT_MAX, "%s=%.40s counts in units of 1024: %s", key->name,
			 value, format_bytes(level.bytes, bytes));
	}
	return 0;
}

/* Not set: a default that depends on the machine. */
static int set_min_victim(const struct conf_key *key, void *object, const char *value, char *text)
{
	const struct policy_set *set = object;
	int r = set_threshold(key, object, value, text);

	if (r == 0 && !set->min_victim.is_size && set->min_victim.cap == 0 &&
	    set->min_victim.permyriad >= PERMYRIAD / 2)
		snprintf(text, CONF_TEXT_MAX,
			 "MinVictim=%.40s: no process is killed that frees less than that, so "
			 "hardly any ever is",
			 value);
	return r;
}

static int set_pressure(const struct conf_key *key, void *object, const char *value, char *text)
{
	unsigned *field = (unsigned *)((char *)object + key->offset);
	unsigned permyriad = 0;
	int r;

	if (*value != '\0') {
		r = parse_permyriad(value, &permyriad);
		if (r < 0)
			return r;
		if (permyriad == 0)
			return -ERANGE;
	}
	*field = permyriad;
	return 0;
}

static int set_action(const struct conf_key *key, void *object, const char *value, char *text)
{
	static const struct {
		const char *word, *action;
	} words[] = {
		{ "SIGTERM", "terminate" },   { "TERM", "terminate" }, { "15", "terminate" },
		{ "SIGKILL", "kill" },	      { "9", "kill" },	       { "warning", "warn" },
		{ "terminate", "terminate" }, { "kill", "kill" },      { "warn", "warn" },
		{ "none", "none" },
	};
	struct policy *policy = object;
	int r = policy_action_from_string(value, &policy->action);

	if (r < 0 && *value == '\0')
		snprintf(text, CONF_TEXT_MAX,
			 "Action= needs none, warn, terminate or kill: it has no default");
	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(words); i++)
		if (strcasecmp(value, words[i].word) == 0)
			snprintf(text, CONF_TEXT_MAX,
				 "Action= needs none, warn, terminate or kill, not '%s': did you "
				 "mean %s?",
				 value, words[i].action);
	return r;
}

static int set_rank_by(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy *policy = object;

	return policy_rank_by_from_string(value, &policy->rank_by);
}

static int set_thaw(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy *policy = object;

	return policy_thaw_from_string(value, &policy->thaw);
}

/* Has one value in this version; other versions may know more. */
static int set_policy_cgroup(const struct conf_key *key, void *object, const char *value,
			     char *text)
{
	if (strcmp(value, "/") == 0)
		return 0;
	if (*value == '/')
		snprintf(
			text, CONF_TEXT_MAX,
			"Cgroup=%.80s: this version measures the whole machine only, which is Cgroup=/",
			value);
	return -EINVAL;
}

static int set_target(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy *policy = object;

	return policy_target_from_string(value, &policy->target);
}

static int replace(char **field, const char *value)
{
	char *copy = NULL;

	if (value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

/* Is it one absolute path without trailing, double or relative parts, as /proc/PID/cgroup has
 * them?  "/" is.  Anything else would match nothing, ever. */
static bool is_cgroup_path(const char *path, size_t length, char *text)
{
	const char *p = path;

	if (length > 14 && strncmp(path, "/sys/fs/cgroup", 14) == 0)
		snprintf(text, CONF_TEXT_MAX,
			 "'%.*s': cgroups are named from their root, without /sys/fs/cgroup",
			 (int)min_u64(length, 80), path);
	if (length == 0 || *p != '/' || *text != '\0')
		return false;
	while (length > 1 && p < path + length) {
		size_t part = strcspn(++p, "/ \t");

		if (part == 0 || (part <= 2 && strncmp(p, "..", part) == 0))
			return false;
		p += part;
	}
	return true;
}

static int set_subtree(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct policy_set *set = object;

	if (strpbrk(value, "*? \t") || !is_cgroup_path(value, strlen(value), text))
		return -EINVAL;
	return replace(&set->subtree, value);
}

static int set_rule_cgroup(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct rule *rule = object;

	for (const char *glob = value; *glob != '\0'; glob += strspn(glob, " \t")) {
		size_t length = strcspn(glob, " \t");

		if (!is_cgroup_path(glob, length, text))
			return -EINVAL;
		glob += length;
	}
	if (strstr(value, ",/"))
		snprintf(text, CONF_TEXT_MAX,
			 "Cgroup=%.80s: the ',' is part of the pattern; patterns are separated by "
			 "blanks",
			 value);
	return replace(&rule->cgroup, *value != '\0' ? value : NULL);
}

static int set_comm(const struct conf_key *key, void *object, const char *value, char *text)
{
	char error[128];
	int r;

	r = rule_set_comm(object, *value != '\0' ? value : NULL, error, sizeof(error));
	if (r == -EINVAL)
		snprintf(text, CONF_TEXT_MAX, "Comm=%.80s is not a regular expression: %s%s", value,
			 error, strstr(value, "(?") ? "; there is no (?...) in POSIX's" : "");
	if (r == 0)
		conf_check_comm(value, text);
	return r;
}

static int find_user(const char *name, uid_t *ret, char *text)
{
	struct passwd passwd, *found = NULL;
	size_t size = 1024;
	int r;

	for (;;) {
		_cleanup_free_ char *buf = malloc(size);

		if (!buf)
			return -ENOMEM;
		r = getpwnam_r(name, &passwd, buf, size, &found);
		if (r == ERANGE && size < MIB) {
			size *= 4;
			continue;
		}
		if (found) {
			*ret = passwd.pw_uid;
			return 0;
		}
		break;
	}
	/* The man page lists half a dozen errors that mean "not found". */
	snprintf(text, CONF_TEXT_MAX,
		 "User=%.80s: %s; the rule matches no process until there is one and the "
		 "configuration is loaded again",
		 name,
		 error_is_transient(-r)	 ? strerror(r)
		 : strpbrk(name, " \t,") ? "there is no such user (several need a section each)"
					 : "there is no such user");
	return error_is_transient(-r) ? -EAGAIN : -ENOENT;
}

static int set_user(const struct conf_key *key, void *object, const char *value, char *text)
{
	_cleanup_free_ char *unknown = NULL;
	struct rule *rule = object;
	uint64_t number = 0;
	uid_t uid = 0;
	int r = 0;

	if (*value >= '0' && *value <= '9') {
		/* (uid_t)-1 is no user: chown(2) takes it for "do not change". */
		r = parse_unsigned(value, UINT32_MAX - 1, &number);
		uid = (uid_t)number;
	} else if (*value != '\0') {
		r = find_user(value, &uid, text);
	}
	if (r == -ENOENT || r == -EAGAIN) {
		unknown = strdup(value);
		r = !unknown ? -ENOMEM : r == -EAGAIN ? CONF_KEY_FOR_NOW : 0;
	}
	if (r < 0)
		return r;
	free(rule->unknown_user);
	rule->unknown_user = take_ptr(unknown);
	rule->has_uid = *value != '\0';
	rule->uid = uid;
	return r;
}

static int set_weight(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct rule *rule = object;
	bool prefer = rule->kind == RULE_PREFER;
	double weight = prefer ? RULE_WEIGHT_PREFER : RULE_WEIGHT_AVOID;
	int r;

	if (*value != '\0') {
		r = parse_weight(value, &weight);
		if (r < 0)
			return r;
	}
	if (prefer ? weight <= 1 : weight >= 1) {
		snprintf(text, CONF_TEXT_MAX,
			 "Weight=%.40s in [%s] must be %s 1; [%s] is for the others", value,
			 prefer ? "Prefer" : "Avoid", prefer ? "above" : "below",
			 prefer ? "Avoid" : "Prefer");
		return -ERANGE;
	}
	rule->weight = weight;
	return 0;
}

static int set_enabled(const struct conf_key *key, void *object, const char *value, char *text)
{
	struct rule *rule = object;
	bool enabled;
	int r;

	r = parse_bool(value, &enabled);
	if (r < 0)
		return r;
	rule->disabled = !enabled;
	return 0;
}

/* clang-format off */

#define DAEMON (1U << CONF_SECTION_DAEMON)
#define POLICY (1U << CONF_SECTION_POLICY)
#define RANKED (1U << CONF_SECTION_PREFER | 1U << CONF_SECTION_AVOID)
#define RULE   (1U << CONF_SECTION_PROTECT | RANKED)

#define FORM_BOOL     "yes or no"
#define FORM_LEVEL    "a percentage such as 10% or a size such as 512M, or both (the lower counts)"
#define FORM_PRESSURE "a percentage above 0% such as 40%"
#define FORM_DURATION "a duration such as 5s, 250ms or 1min 30s"

#define SET(field)    offsetof(struct policy_set, field)
#define OF(field)     offsetof(struct policy, field)

const struct conf_key conf_keys[] = {
	{ "DryRun",          DAEMON, "no",  FORM_BOOL,     set_bool, SET(dry_run), .restricts = true },
	{ "Subtree",         DAEMON, "/",   "one cgroup such as /user.slice", set_subtree, .restricts = true, .old_name = "Scope" },
	{ "MinVictim",       DAEMON, NULL,      FORM_LEVEL,    set_min_victim, SET(min_victim) },
	{ "WatchBelow",      DAEMON, "30% 64G", FORM_LEVEL,    set_threshold, SET(watch_below) },
	{ "KillTimeout",     DAEMON, "2s",  "a duration of at least 100ms such as 2s", set_kill_timeout },

	{ "Cgroup",          POLICY, "/",   "/",           set_policy_cgroup },
	{ "MemoryAvailable", POLICY, NULL,  FORM_LEVEL,    set_threshold, OF(memory_available) },
	{ "SwapFree",        POLICY, NULL,  FORM_LEVEL,    set_threshold, OF(swap_free) },
	{ "PressureSome",    POLICY, NULL,  FORM_PRESSURE, set_pressure, OF(pressure_some) },
	{ "PressureFull",    POLICY, NULL,  FORM_PRESSURE, set_pressure, OF(pressure_full) },
	{ "Thrashing",       POLICY, NULL,  FORM_PRESSURE, set_pressure, OF(thrashing) },
	{ "For",             POLICY, "0",   FORM_DURATION, set_duration, OF(for_usec) },
	{ "Action",          POLICY, NULL,  "none, warn, terminate or kill", set_action },
	{ "Target",          POLICY, "process", "process or cgroup", set_target },
	{ "RankBy",          POLICY, "footprint", "footprint, badness, swap or growth", set_rank_by },
	{ "Grace",           POLICY, "5s",  FORM_DURATION, set_duration, OF(grace_usec) },
	{ "Thaw",            POLICY, "group", "group or victim", set_thaw },
	{ "Refreeze",        POLICY, "yes", FORM_BOOL,     set_bool, OF(refreeze) },

	{ "Comm",            RULE,   NULL,  "a regular expression", set_comm },
	{ "Cgroup",          RULE,   NULL,  "globs that begin with / such as /user.slice/user-*.slice", set_rule_cgroup },
	{ "User",            RULE,   NULL,  "a user's name or number", set_user },
	{ "Weight",          RANKED, NULL,  "a factor such as 2 or 0.5, at most 1000", set_weight },
	{ "Enabled",         RULE,   "yes", FORM_BOOL,     set_enabled },
};

const size_t conf_n_keys = ARRAY_SIZE(conf_keys);
static_assert(ARRAY_SIZE(conf_keys) <= CONF_KEYS_MAX, "conf counts keys in an array");

static const char *const section_names[] = {
	[CONF_SECTION_DAEMON] = "Daemon",
	[CONF_SECTION_POLICY] = "Policy",
	[CONF_SECTION_PROTECT] = "Protect",
	[CONF_SECTION_PREFER] = "Prefer",
	[CONF_SECTION_AVOID] = "Avoid",
};

/* clang-format on */

const char *conf_section_to_string(enum conf_section section)
{
	return section == CONF_SECTION_NONE ? NULL : section_names[section];
}

enum conf_section conf_section_from_string(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(section_names); i++)
		if (strcmp(section_names[i], text) == 0)
			return (enum conf_section)i;
	return CONF_SECTION_NONE;
}

enum rule_kind conf_section_rule_kind(enum conf_section section)
{
	if (section == CONF_SECTION_PROTECT)
		return RULE_PROTECT;
	return section == CONF_SECTION_PREFER ? RULE_PREFER : RULE_AVOID;
}

bool conf_key_is_named(const struct conf_key *key, const char *name)
{
	return strcmp(key->name, name) == 0 || (key->old_name && strcmp(key->old_name, name) == 0);
}

const struct conf_key *conf_key_find(enum conf_section section, const char *name)
{
	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].sections & 1U << section && conf_key_is_named(&conf_keys[i], name))
			return &conf_keys[i];
	return NULL;
}

int conf_key_set(const struct conf_key *key, void *object, const char *value, char *text)
{
	int r;

	text[0] = '\0';
	if (*value == '\0' && key->if_empty)
		value = key->if_empty;
	r = key->set(key, object, value, text);
	if (r >= 0 || r == -ENOMEM)
		return r;
	if (text[0] == '\0')
		snprintf(text, CONF_TEXT_MAX, "%s= needs %s, not '%.80s'%s", key->name, key->form,
			 value,
			 strstr(value, " #") || strstr(value, " ;")
				 ? "; a comment needs a line of its own"
				 : "");
	return -EINVAL;
}
