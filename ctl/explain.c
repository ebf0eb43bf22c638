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
