/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * describe: policies and rules in words, as configuration files say them: for the log, the bus and
 * reckonctl.  What a configuration file has chosen (names, patterns) is passed on as it is.
 */
#pragma once

#include <stddef.h>

#include "lib/config/policy.h"
#include "lib/select/victim.h"
#include "lib/sys/memory.h"

/*
 * "available <= 10% capped at 4.0 GiB (102 MiB), swap free <= 200 MiB, PSI full >= 40% for 5 s";
 * with what is in force of them on this machine: the floor (policy_has_floor()), where that is
 * lower, and, without swap, nothing of swap beside a threshold of memory.  "" for a policy that has
 * no conditions.  Returns buf.
 */
#define DESCRIBE_POLICY_SIZE 256
const char *describe_policy(const struct policy *policy, const struct memory_reading *memory,
			    char buf[static DESCRIBE_POLICY_SIZE]);

/* "9.8% of 7.6 GiB available, swap 90.4% free".  Returns buf. */
#define DESCRIBE_MEMORY_SIZE 128
const char *describe_memory(const struct memory_reading *reading,
			    char buf[static DESCRIBE_MEMORY_SIZE]);

/* "init, 65 kernel threads, 3 protected, 26 outside the subtree": which are not eligible, as
 * counted by victim_count_exclusions().  Returns buf. */
#define DESCRIBE_EXCLUSIONS_SIZE 320
const char *describe_exclusions(const size_t n[static _ELIGIBILITY_MAX],
				char buf[static DESCRIBE_EXCLUSIONS_SIZE]);

/* "protect", "prefer", "avoid"; "reluctant": a Protect rule under which a process is killed only if
 * no eligible one is worth killing. */
const char *describe_rule_kind(const struct rule *rule);

/* "Comm=^firefox$ Cgroup=/user.slice User=alice"; user: of the rule's uid, NULL where it asks for
 * none.  Of what is built in, what else has to be seen of the process, and up to which share of
 * memory it holds.  What does not fit is cut off.  Returns buf. */
const char *describe_rule(const struct rule *rule, const char *user, char *buf, size_t size);
