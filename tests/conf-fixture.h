/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conf-fixture: configuration files in a temporary directory, and what is loaded from them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/config/conf.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define PATH_SIZE 4096

/* Where files are written that are not fixtures: long, binary, or made from tables. */
extern char tmp_dir[64];

int make_tmp_dir(void **state);

/* It holds what these tests make, one level deep, or two below "etc". */
int remove_tmp_dir(void **state);
const char *fixture(const char *name);
const char *tmp_path(const char *name);
const char *write_tmp(const char *text, size_t length);
void print_messages(const struct conf_messages *messages);

/* Loads one file that must have no error. */
void load_good(const char *path, struct policy_set *ret, struct conf_messages *messages);
void load_text(const char *text, struct policy_set *ret);
struct policy *find_policy(struct policy_set *set, const char *name);
bool has_rule(struct policy_set *set, enum rule_kind kind, const char *name);
struct rule *find_rule(struct policy_set *set, enum rule_kind kind, const char *name);
void assert_line(const struct policy_threshold *line, bool set, unsigned permyriad, uint64_t bytes);
void assert_same_policies(struct policy_set *a, struct policy_set *b);
