/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hash: uthash, as we want it: no exit() when memory is short, and a hash function that compiles
 * without warnings everywhere.
 *
 * After HASH_ADD(hh, ...) of e, hash_has(e) is false if there was no memory and e was not added.
 */
#pragma once

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV

#include <uthash.h>

#define hash_has(e) ((e)->hh.tbl != NULL)
