/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: see the header.  What is found out is outlook's, how it is said is the other two's. */
#include "ctl/explain.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "ctl/outlook.h"
#include "lib/cleanup.h"
#include "lib/format.h"
#include "lib/parse.h"

const char *explain_user(uid_t uid)
{
	static char name[64];
	const struct passwd *passwd;

	if (uid == (uid_t)-1)
		return NULL;
	passwd = getpwuid(uid);
	if (passwd)
		return format_foreign(passwd->pw_name, name, sizeof(name));
	snprintf(name, sizeof(name), "%u", uid);
	return name;
}

const char *explain_command(const struct census_process *process,
			    char buf[static EXPLAIN_COMMAND_SIZE])
{
	return process->comm[0] ? format_foreign(process->comm, buf, EXPLAIN_COMMAND_SIZE)
				: "(no name)";
}

const char *explain_name(const struct census_process *process, char buf[static EXPLAIN_NAME_SIZE])
{
	const char *user = explain_user(process->uid);
	char command[EXPLAIN_COMMAND_SIZE];

	snprintf(buf, EXPLAIN_NAME_SIZE, "%s (pid %d%s%s)", explain_command(process, command),
		 process->pid, user ? ", user " : "", user ? user : "");
	return buf;
}

static void explain_exclusion(const struct outlook *o, struct explanation *e)
{
	const struct rule *rule = e->process->protected_by;
	char name[256];

	if (e->exclusion == VICTIM_IS_PROTECTED)
		snprintf(e->text, sizeof(e->text), "protected by the %srule %s",
			 rule->builtin ? "built-in " : "",
			 format_foreign(rule->name, name, sizeof(name)));
	else if (e->exclusion == VICTIM_IS_OUT_OF_SCOPE)
		snprintf(e->text, sizeof(e->text), "outside the scope %s",
			 format_foreign(o->policies.scope, name, sizeof(name)));
	else if (e->exclusion == VICTIM_IS_SELF)
		snprintf(e->text, sizeof(e->text), "this is reckonctl itself");
	else
		snprintf(e->text, sizeof(e->text), "%s", victim_exclusion_to_string(e->exclusion));
}

static void explain_rank(const struct outlook *o, struct explanation *e)
{
	const struct victim_candidate *victim = outlook_victim(o);
	char name[EXPLAIN_NAME_SIZE];

	if (e->would_go)
		snprintf(e->text, sizeof(e->text), "nobody ranks higher");
	else if (e->candidate.verdict == VICTIM_UNDECIDED)
		snprintf(e->text, sizeof(e->text), "%s seems to rank higher",
			 explain_name(victim->process, name));
	else
		snprintf(e->text, sizeof(e->text), "%s ranks higher",
			 explain_name(victim->process, name));
}

/* 0 or PROC_GONE. */
static int explain_process(struct outlook *o, pid_t pid, struct explanation *ret)
{
	const struct victim_candidate *victim = outlook_victim(o);
	struct explanation e = { .process = census_find(&o->census, pid) };
	int r;

	if (!e.process)
		return PROC_GONE;
	e.exclusion = victim_exclusion(&o->census, e.process, &o->request);
	r = outlook_candidate(o, e.process, &e.candidate, &e.rank);
	if (r != 0)
		return r;
	e.would_go = victim && victim->process == e.process;
	if (e.exclusion == VICTIM_ELIGIBLE) {
		explain_rank(o, &e);
	} else {
		explain_exclusion(o, &e);
		e.rank = 0;
	}
	*ret = e;
	return 0;
}

enum ctl_status explain(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(outlook_freep) struct outlook *o = NULL;
	struct explanation e;
	enum ctl_status status;
	uint64_t pid;

	if (n_arguments > 1)
		return ctl_fail(options, CTL_BAD_USAGE, "explain: one process at a time");
	if (n_arguments == 1 && parse_unsigned(arguments[0], INT_MAX, &pid) < 0)
		return ctl_fail(options, CTL_BAD_USAGE, "explain: '%s' is not a pid", arguments[0]);
	status = outlook_new(options, &o);
	if (status != CTL_OK)
		return status;
	if (n_arguments == 0)
		return options->json ? ctl_print_json(explain_json_machine(o))
				     : explain_text_machine(o);
	if (explain_process(o, (pid_t)pid, &e) != 0)
		return ctl_fail(options, CTL_FAILURE, "no such process%s: %d",
				o->hides_others ? ", or it is hidden (hidepid)" : "", (pid_t)pid);
	return options->json ? ctl_print_json(explain_json_process(o, &e))
			     : explain_text_process(o, &e);
}
