/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eligibility-read: reads a process's attributes from /proc, and falls back to the census after a
 * transient error. */
#include "lib/select/eligibility-read.h"

#include <string.h>

#include "lib/base/errors.h"
#include "lib/config/executable.h"
#include "lib/sys/proc.h"

struct live {
	struct proc_stat stat;
	uid_t uid;
	int adj;
	char cgroup[CGROUP_PATH_MAX];
};

/* A user or a path that cannot be read for good is taken for (uid_t)-1 and the root, as in the
 * census. */
static int read_live(const struct eligibility_source *source, pid_t pid, struct live *ret)
{
	struct proc_status status;
	int r;

	r = proc_read_stat(source->proc_fd, pid, &ret->stat);
	if (r == 0)
		r = proc_read_oom_score_adj(source->proc_fd, pid, &ret->adj);
	if (r != 0)
		return r;
	r = cgroup_of_process(source->cgroups, source->proc_fd, pid, ret->cgroup,
			      sizeof(ret->cgroup));
	if (r == PROC_GONE || error_is_transient(r))
		return r;
	if (r < 0)
		strcpy(ret->cgroup, "/");
	r = proc_read_status(source->proc_fd, pid, &status);
	if (r == PROC_GONE || error_is_transient(r))
		return r;
	ret->uid = r < 0 ? (uid_t)-1 : status.uid;
	return 0;
}

static bool is_as_known(const struct census_process *known, const struct live *live)
{
	return known && known->compared_at != 0 && known->start_ticks == live->stat.start_ticks &&
	       known->uid == live->uid &&
	       strncmp(known->comm, live->stat.comm, sizeof(known->comm) - 1) == 0 &&
	       strcmp(census_cgroup_path(known), live->cgroup) == 0;
}

static const struct rule *find_rule(const struct eligibility_source *source, pid_t pid,
				    const struct census_process *known, struct live *live)
{
	struct rule_subject subject = {
		.comm = live->stat.comm,
		.cgroup = live->cgroup,
		.uid = live->uid,
	};
	struct rule_verdict verdict;

	if (is_as_known(known, live))
		return known->protected_by;
	live->stat.comm[sizeof(known->comm) - 1] = '\0';
	executable_apply_rules(source->policies, source->proc_fd, pid, &subject, &verdict);
	return verdict.protected_by;
}

/* A ceiling needs the size, a zombie whether it has any.  What cannot be read is below the
 * ceiling. */
static int read_size(const struct eligibility_source *source, const struct live *live,
		     struct eligibility_subject *ret)
{
	const struct rule *rule = ret->protected_by;
	struct proc_memory memory;
	int r;

	ret->has_memory = true;
	if (live->stat.state != 'Z' && (!rule || rule->protection == rule->above_ceiling))
		return 0;
	r = proc_read_memory(source->proc_fd, &live->stat, true, source->page_size, &memory);
	if (r == PROC_GONE)
		return r;
	if (r < 0)
		return 0;
	ret->reclaimable = proc_reclaimable(&memory);
	ret->has_memory = live->stat.state != 'Z' || proc_mapped(&memory) > 0;
	return 0;
}

static int fall_back(const struct eligibility_source *source, const struct census_process *known,
		     int error, struct eligibility_subject *ret)
{
	if (!error_is_transient(error) || !known || known->compared_at == 0)
		return error;
	*ret = census_subject(source->census, known);
	ret->in_subtree = cgroup_path_is_below(census_cgroup_path(known), source->subtree);
	ret->self = source->self;
	ret->total = source->total;
	return 0;
}

int eligibility_read(const struct eligibility_source *source, pid_t pid,
		     struct eligibility_subject *ret)
{
	const struct census_process *known =
		source->census ? census_find(source->census, pid) : NULL;
	struct live live;
	int r;

	r = read_live(source, pid, &live);
	if (r != 0)
		return fall_back(source, known, r, ret);
	*ret = (struct eligibility_subject){
		.pid = pid,
		.self = source->self,
		.kthread = live.stat.flags & PROC_FLAG_KTHREAD,
		.in_subtree = cgroup_path_is_below(live.cgroup, source->subtree),
		.oom_score_adj = live.adj,
		.protected_by = find_rule(source, pid, known, &live),
		.total = source->total,
	};
	return read_size(source, &live, ret);
}
