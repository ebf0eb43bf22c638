/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dumped-preview: does explain name the same that the daemon of a dumped machine kills?  Compared
 * when the victim is signalled, over the same census: what was killed with it, and what it frees.
 */
#pragma once

/* The differences as text, "" where there is none; good until the next call. */
const char *dumped_preview_compare(void);
