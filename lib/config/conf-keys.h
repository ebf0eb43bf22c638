/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-keys: the keys of a configuration file, and what their values mean.  Private to conf.
 */
#pragma once

#include <stddef.h>

#include "lib/config/policy.h"

enum conf_section {
	CONF_SECTION_DAEMON,
	CONF_SECTION_POLICY,
	CONF_SECTION_PROTECT,
	CONF_SECTION_PREFER,
	CONF_SECTION_AVOID,
	CONF_SECTION_NONE, /* before the first, or in one that was refused */
};

#define CONF_KEYS_MAX 32

/* What a complaint about a value may take. */
#define CONF_TEXT_MAX 512

/* It was set as far as could be known for now: to read the file again may set more. */
enum { CONF_KEY_FOR_NOW = 1 };

struct conf_key {
	const char *name;
	unsigned sections;    /* bits, 1 << enum conf_section */
	const char *if_empty; /* what "Key=" stands for; NULL: the setter takes "" */
	const char *form;     /* "a duration such as 5s": completes "For= needs" */
	/* 0; CONF_KEY_FOR_NOW; -errno. */
	int (*set)(const struct conf_key *key, void *object, const char *value, char *text);
	size_t offset;	      /* of the field in the object */
	bool restricts;	      /* what may be killed: an unknown value must not permit more */
	const char *old_name; /* of an earlier version, still accepted; or NULL */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;

/* "Policy"; NULL for CONF_SECTION_NONE. */
const char *conf_section_to_string(enum conf_section section);
/* CONF_SECTION_NONE if there is none of that name. */
enum conf_section conf_section_from_string(const char *text);
/* Of a section that is a rule. */
enum rule_kind conf_section_rule_kind(enum conf_section section);

/* By its name, or its old one. */
bool conf_key_is_named(const struct conf_key *key, const char *name);

/* By its name or its old one; NULL if the section has no such key. */
const struct conf_key *conf_key_find(enum conf_section section, const char *name);

/*
 * Sets the key's field in object: the policy_set, policy or rule of its section.  0, -ENOMEM, or
 * -EINVAL with the complaint in text (CONF_TEXT_MAX).  With 0 text is empty or a warning.
 */
int conf_key_set(const struct conf_key *key, void *object, const char *value, char *text);

/* The key that may have been meant by a name: the one of that name in any section, or the nearest
 * in this section, or NULL. */
const struct conf_key *conf_key_meant(enum conf_section section, const char *name);

/* Puts into text (CONF_TEXT_MAX) why a valid pattern of names cannot mean what it seems to
 * (conf-comm.c); else text is left alone. */
void conf_check_comm(const char *pattern, char *text);

/* Puts into text (CONF_TEXT_MAX) what may have been meant by a name that is not known. */
void conf_suggest_key(enum conf_section section, const char *name, char *text);
void conf_suggest_section(const char *name, char *text);
