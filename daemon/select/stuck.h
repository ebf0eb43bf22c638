/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stuck: a policy that kills holds, and no process is worth killing.
 *
 * Nothing is killed then.  Where memory is, is found out on a thread of its own (survey), as that
 * may block, and reported once; again only when it has changed much.  A victim is searched for
 * again every second, and earlier when memory has fallen by as much as a victim has to free.
 */
#pragma once

#include "lib/config/eligibility.h"
#include "lib/domain/where.h"
#include "lib/domain/worth.h"
#include "lib/select/victim.h"

struct decision;
struct policy;
struct selection;
struct survey;

/* In watch a survey is asked for so often at most; but they take no more than this share of the CPU
 * time: one takes 40 ms with 1,000 processes. */
#define STUCK_SURVEY_USEC  (2 * USEC_PER_SEC)
#define STUCK_SURVEY_SHARE 100
/* A process is killed by a survey that is no older than 3 s, or half as old again as they become in
 * watch. */
#define STUCK_SURVEY_OLD_USEC (15 * USEC_PER_SEC)

/* Files in flight are no reason before they have been there for so long: to receive them takes less
 * than a millisecond.  If it was none, there is none for a while. */
#define STUCK_RECEIVER_USEC (1 * USEC_PER_SEC)
#define STUCK_VAIN_USEC	    (600 * USEC_PER_SEC)

struct stuck {
	struct survey *survey; /* NULL: the thread could not be started */
	/* Of what is mapped and was not touched, too: it may hang, and then the other one is taken.
	 * NULL: likewise. */
	struct survey *deep;
	bool is_deep; /* it was asked, when the other one was */
	/* In calm, when most was available, in this window of time and in the one before; all
	 * zeros: not known. */
	struct worth_holdings best, best_earlier;
	usec_t window_began;
	struct worth_mark mark;
	usec_t marked_at;
	struct worth_mark held_mark, held_now; /* at surveys: unowned_note_survey() */

	usec_t since;	  /* 0: not stuck */
	usec_t chosen_at; /* the last choice that found none */
	uint64_t available_then;
	uint64_t minimum;	 /* what a victim would have to free */
	uint64_t holder_minimum; /* likewise, one that holds memory by descriptors */
	uint64_t unowned_growth;
	uint64_t held_growth; /* likewise, for those */

	usec_t asked_at;      /* the survey; 0: never since stuck */
	usec_t began_at;      /* the one of descriptors: an earlier one may not be over */
	uint64_t grown_asked; /* unowned_may_be_held() then */
	usec_t regrown_at;    /* it was asked for again, as much had been added since */
	usec_t heirs_at;      /* likewise, as a holder had started processes since */
	bool is_waiting;      /* for it */
	usec_t waited_at;     /* asked_at of the survey that a choice waits for */
	bool has_survey;
	bool is_new;			   /* the survey: not checked yet */
	usec_t surveyed_from, surveyed_at; /* it was asked for, and collected */
	usec_t nominated_at;	/* surveyed_at of the survey by which a holder was nominated */
	unsigned n_nominations; /* that found none, by this survey */
	uint64_t missing;	/* then: holder_missing() */
	/* The process that has had files in flight to it since that survey, and when one was taken
	 * for that. */
	struct {
		pid_t pid;
		uint64_t start_ticks;
		usec_t since, taken_at;
	} receiver;
	/* Relatives that hold as well what the holder that was taken does: they are killed too. */
	pid_t together[HELD_OTHERS_MAX];
	unsigned n_together;
	usec_t watched_at;
	struct where_survey surveyed;
	struct where_account account; /* n_rows 0: none; as of the last report */
	usec_t reported_at;	      /* 0: never */
	unsigned n_reports;
	/* The process that holds most, and why it is no victim; pid 0: none is known. */
	pid_t largest_pid;
	char largest_comm[16];
	uint64_t largest_bytes;
	enum eligibility largest_why;
};

void stuck_init(struct selection *sel);
void stuck_done(struct selection *sel);

/* From one survey to the next, in watch. */
static inline usec_t stuck_survey_pause(const struct stuck *s)
{
	return max_u64(STUCK_SURVEY_USEC, STUCK_SURVEY_SHARE * s->surveyed.took_usec);
}

/* A process may be killed by this survey. */
static inline bool stuck_has_fresh_survey(const struct stuck *s, usec_t now)
{
	usec_t old = min_u64(stuck_survey_pause(s) / 2 * 3, STUCK_SURVEY_OLD_USEC);

	return s->has_survey && now < s->surveyed_at + old;
}

/* At each sample in watch, and while stuck: where what no process holds has filled memory, a survey
 * is made, so that it is there when it is needed. */
void stuck_watch(struct selection *sel, usec_t now);

/* The last kill freed nothing of the shared memory that was expected: which process holds it is
 * being found out, and no other is to be killed meanwhile (holder.h). */
bool stuck_waits_for_holder(struct selection *sel, const struct decision *last, usec_t now);

/* More may be held by descriptors than the chosen process frees, and it is not known yet by which
 * process: that is being found out, and none is to be killed meanwhile (holder_before()). */
bool stuck_waits_before(struct selection *sel, const struct decision *last, usec_t now);
/* A choice waits for the survey that was asked for last. */
static inline bool stuck_delays_choice(const struct stuck *s)
{
	return s->is_waiting && s->waited_at == s->asked_at;
}
/* It still does, and there is no answer yet: another choice would find the same. */
bool stuck_is_waited_for(struct selection *sel, usec_t now);

/* No process is worth killing, or what is held is searched for: the one that by a survey of this
 * moment holds enough by descriptors alone, and more than the chosen one, if it is eligible, as
 * sel->choice.  true: none is to be killed yet, it is to be chosen again.  It has started processes
 * since, which may hold that as well, and another survey is waited for; or the last kill was in
 * vain and none holds that, and all processes were read again. */
bool stuck_take_holder(struct selection *sel, const struct decision *last,
		       const struct victim_reader *reader, usec_t now);

/* What a victim of this policy has to free now. */
uint64_t stuck_min_victim(struct selection *sel, const struct policy *policy);
/* Did the reads of sel->choice show that a victim has to free more than what was chosen by
 * them? */
bool stuck_has_more(struct selection *sel, const struct policy *policy);

/* A choice found no victim. */
void stuck_enter(struct selection *sel, usec_t now);
void stuck_leave(struct selection *sel);
/* While stuck: is it time to search for a victim again? */
bool stuck_is_to_choose(const struct selection *sel, usec_t now);
/* While stuck: true if the account is new and to be reported. */
bool stuck_has_report(struct selection *sel, usec_t now);
/* The same when it cannot be reported now: what is new is new at the next sample. */
void stuck_report_later(struct selection *sel, usec_t now);
/* "; the largest process is x (pid 7, 30 MiB): ...", or "".  Returns buf. */
const char *stuck_largest_text(const struct stuck *stuck, char *buf, size_t size);
/* Why it is not killed: eligibility_to_string(), or that it is too small. */
const char *stuck_largest_why(const struct stuck *stuck);
