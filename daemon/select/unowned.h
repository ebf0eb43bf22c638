/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unowned: how much memory no process holds (files of a tmpfs, memfds, slab), and whether that is
 * what has filled memory: see lib/domain/worth.h.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct selection;

/* At each sample: whether that has changed. */
void unowned_note(struct selection *sel);

/* At each survey: likewise, without what processes hold by descriptors. */
void unowned_note_survey(struct selection *sel);

/* At each sample in calm: what no process holds. */
void unowned_note_calm(struct selection *sel, usec_t now);

/* Is so little available that it may be needed soon? */
bool unowned_is_low(const struct selection *sel);

/* Shared memory that is freed with processes, as far as is known. */
uint64_t unowned_mapped_shmem(const struct selection *sel);

/* worth_unowned_growth() since most was available, but less where processes have taken memory since
 * it grew, so that a victim has to free most of that; and the same if so much were mapped, whatever
 * processes took. */
uint64_t unowned_growth(const struct selection *sel);
uint64_t unowned_growth_less(const struct selection *sel, uint64_t mapped);

/* The same for processes that hold memory by descriptors: grown, but less where by the surveys such
 * have taken memory since the rest of it grew. */
uint64_t unowned_growth_of_holders(const struct selection *sel, uint64_t grown);

/* By how much all that is in no process's private memory has grown since. */
uint64_t unowned_since(const struct selection *sel);

/* By how much it has grown, if it worth_may_be_held(); else 0. */
uint64_t unowned_may_be_held(const struct selection *sel);

/* Is there so much in swap, more than when most was available, that is of no process?  It may be of
 * a tmpfs: a survey shows that. */
bool unowned_may_be_swapped(const struct selection *sel);
