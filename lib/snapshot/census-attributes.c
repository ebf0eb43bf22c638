/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-attributes: the identity of a process and its place: its user, cgroup and oom_score_adj,
 * which rules apply to it, and what its eligibility is judged by.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/errors.h"
#include "lib/config/executable.h"
#include "lib/snapshot/census-tree.h"

static void apply_rules(struct census *census, struct census_process *process)
{
	struct rule_subject subject = {
		.comm = process->comm,
		.cgroup = census_cgroup_path(process),
		.uid = process->uid,
	};
	struct rule_verdict verdict;

	executable_apply_rules(census->policies, census->proc_fd, process->pid, &subject, &verdict);
	process->protected_by = verdict.protected_by;
	process->asks_executable = verdict.asks_executable;
	process->weight = (float)verdict.weight;
}

/*
 * The effective uid.  The directory's owner is always that (task_dump_owner() in fs/proc/base.c),
 * and costs a tenth of status: so status is read for the number only where another one owns it, or
 * did (root has that of a process that cannot be dumped).
 */
static int read_uid(struct census *census, struct census_process *process, bool is_other,
		    struct census_status *status)
{
	struct stat directory;
	char path[16];
	int r;

	snprintf(path, sizeof(path), "%d", process->pid);
	if (fstatat(census->proc_fd, path, &directory, 0) < 0)
		directory.st_uid = (uid_t)-1;
	else if (!is_other && !process->is_of_another && directory.st_uid == process->uid)
		return 0;
	r = census_read_status(census, process, status);
	if (r == PROC_GONE)
		return r;
	if (error_is_transient(r) && !is_other)
		return 0;
	process->uid = r < 0 && r != -E2BIG ? (uid_t)-1 : status->status.uid;
	process->is_of_another = directory.st_uid != process->uid;
	return 0;
}

void census_cut_path(char *path)
{
	unsigned depth = 0;

	for (char *p = path; *p != '\0'; p++)
		if (*p == '/' && depth++ == CENSUS_DEPTH_MAX) {
			*p = '\0';
			return;
		}
}

static int read_place(struct census *census, struct census_process *process, bool is_other,
		      bool *ret_moved)
{
	char path[CGROUP_PATH_MAX];
	int r;

	r = cgroup_of_process(census->cgroups, census->proc_fd, process->pid, path, sizeof(path));
	if (r == PROC_GONE)
		return r;
	if (error_is_transient(r) && !is_other)
		return 0;
	if (r < 0)
		strcpy(path, "/");
	census_cut_path(path);
	*ret_moved = strcmp(path, census_cgroup_path(process)) != 0;
	return census_attach(census, process, path);
}

static int read_adj(struct census *census, struct census_process *process, bool is_other)
{
	int r, adj = 0;

	r = proc_read_oom_score_adj(census->proc_fd, process->pid, &adj);
	if (r == PROC_GONE)
		return r;
	if (!error_is_transient(r) || is_other)
		process->oom_score_adj = (short)adj;
	return 0;
}

int census_read_attributes(struct census *census, struct census_process *process, bool is_other,
			   struct census_status *status, usec_t now)
{
	uid_t uid = process->uid;
	bool moved = false;
	int r;

	r = read_uid(census, process, is_other, status);
	if (r == 0)
		r = read_place(census, process, is_other, &moved);
	if (r == 0)
		r = read_adj(census, process, is_other);
	if (r != 0)
		return r;
	if (is_other || process->uid != uid || moved || process->asks_executable ||
	    process->compared_at == 0)
		apply_rules(census, process);
	process->compared_at = census_stamp(now);
	census_update_eligibility(census, process);
	return 0;
}

struct eligibility_subject census_subject(const struct census *census,
					  const struct census_process *process)
{
	return (struct eligibility_subject){
		.pid = process->pid,
		.kthread = process->kthread,
		.in_subtree = census_is_in_subtree(census, process),
		.has_memory = !process->is_gone &&
			      (process->state != 'Z' || proc_mapped(&process->memory) > 0),
		.oom_score_adj = process->oom_score_adj,
		.error = process->error,
		.protected_by = process->protected_by,
		.reclaimable = proc_reclaimable(&process->memory),
	};
}

double census_rank_weight(const struct census_process *process)
{
	double weight = (double)process->weight * (1000 + process->oom_score_adj) / 1000;

	if (process->oom_score_adj >= ELIGIBILITY_RELUCTANT_ADJ && !process->protected_by)
		return weight;
	return weight < 1 ? 1 : weight;
}

/* Updates what is kept of cgroups that depends on the policies. */
static void update_cgroups(const struct census *census, struct census_node *node)
{
	struct census_node *child;

	if (node->kind == CENSUS_CGROUP) {
		struct census_cgroup *cgroup = (struct census_cgroup *)node;

		cgroup->in_subtree = cgroup_path_is_below(cgroup->path, census->policies->subtree);
		cgroup->weight = 0;
	}
	if (node->kind == CENSUS_PROCESS)
		return;
	census_for_each_child(child, node)
		update_cgroups(census, child);
}

void census_set_policies(struct census *census, const struct policy_set *policies)
{
	struct census_process *process;

	census_stop_round(census);
	census_stop_catching_up(census);
	census->policies = policies;
	census->swept_at = 0;
	update_cgroups(census, &census->machine);
	/* No process is kept that points to an old rule. */
	census_for_each(census, process) {
		if (process->protected_by) {
			census_drop(census, process);
			continue;
		}
		process->compared_at = 0;
		census_update_eligibility(census, process);
	}
}

const char *census_cgroup_path(const struct census_process *process)
{
	const struct census_cgroup *cgroup = census_cgroup_of(process);

	return cgroup ? cgroup->path : "/";
}

bool census_is_in_subtree(const struct census *census, const struct census_process *process)
{
	const struct census_cgroup *cgroup = census_cgroup_of(process);

	return cgroup ? cgroup->in_subtree : cgroup_path_is_below("/", census->policies->subtree);
}

void census_adjust(struct census *census, pid_t pid, int oom_score_adj)
{
	struct census_process *process = census_find(census, pid);

	if (!process || process->oom_score_adj == oom_score_adj)
		return;
	process->oom_score_adj = (short)oom_score_adj;
	census_update_eligibility(census, process);
}
