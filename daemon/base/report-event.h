/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report-event: what a tick did, for all that report it: journal, history and bus. */
#pragma once

enum report_event {
	REPORT_NOTHING,
	REPORT_SIGNALLED,      /* the victim has its signal */
	REPORT_ESCALATED,      /* SIGKILL after SIGTERM */
	REPORT_FINISHED,       /* the kill of it: see decision.kill.outcome */
	REPORT_DRY_RUN,	       /* would have been signalled */
	REPORT_CANCELLED,      /* the emergency was over before the signal */
	REPORT_NO_VICTIM,      /* no process is worth killing: now stuck */
	REPORT_STUCK,	       /* where memory is, once that is known */
	REPORT_CANNOT_OPEN,    /* no pidfd */
	REPORT_VANISHED,       /* before the signal */
	REPORT_SPARED,	       /* shares its memory with one that may not be killed */
	REPORT_CGROUP_LIMIT,   /* the pressure is that of a cgroup at its own limit */
	REPORT_CANNOT_CONFIRM, /* changed in several choices in succession */
	REPORT_CHANGED,	       /* no longer eligible: renamed, moved, protected */
};
