/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* judge: what the policies say of the last sample. */
#pragma once

#include <stdbool.h>

#include "daemon/base/report-event.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/domain/domain.h"

struct sampler;

/* What policies are judged by; points into the sampler. */
struct policy_reading judge_reading(const struct sampler *s);

/* The policy that holds, if one does.  A policy with pressure conditions counts only if stalls of
 * the whole machine explain it (stalls.h): REPORT_CGROUP_LIMIT where they are explained by a cgroup
 * at its own limit, once; else REPORT_NOTHING. */
enum report_event judge_policies(struct sampler *s, usec_t now, struct policy_judgement *ret);

/* Does one hold that kills or terminates, whatever its For= is? */
bool judge_kills(const struct sampler *s);
