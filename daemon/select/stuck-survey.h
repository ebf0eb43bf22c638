/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stuck-survey: when a survey of where memory is is asked for and collected; of stuck.h, for the
 * files that decide by it.
 *
 * There are two: of what is held by descriptors, and of mappings as well, which may hang at a lock
 * of the process that is read.
 */
#pragma once

#include "daemon/select/stuck.h"

/* Asks for both.  missing: the bytes that are searched for. */
void stuck_ask_survey(struct stuck *s, uint64_t missing, usec_t now);
/* The same for all that no process owns. */
void stuck_ask_about_growth(struct selection *sel, usec_t now);
/* Takes one that is complete into s->surveyed. */
void stuck_collect_survey(struct selection *sel, usec_t now);
/* While stuck: is there anything to report of where memory is?  Asks for another in time. */
bool stuck_is_surveyed(struct selection *sel, usec_t now);
/* There were files in flight to the same process for STUCK_RECEIVER_USEC. */
bool stuck_has_old_receiver(const struct stuck *s);
