/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-suggest: what may have been meant by a key or section that is not known.
 *
 * In this order: the section where there is such a key; what is said here in its place; the name
 * that is one typing error away; all names.  Called by conf alone, for its messages.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/format.h"
#include "lib/config/conf-keys.h"

/* Levenshtein's distance, in any case; all known names are shorter than the row. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t replaced = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

			diagonal = row[j];
			row[j] = min_u64(replaced, min_u64(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

/* Is name a likely typing error for known, and likelier than what *best stands for? */
static bool is_nearer(const char *name, const char *known, size_t *best)
{
	size_t distance = edit_distance(name, known);

	if (distance > strlen(known) / 3 || distance >= *best)
		return false;
	*best = distance;
	return true;
}

/* By its name, or its old one. */
static bool is_key_nearer(const char *name, const struct conf_key *key, size_t *best)
{
	bool is_near = is_nearer(name, key->name, best);

	return (key->old_name && is_nearer(name, key->old_name, best)) || is_near;
}

/* NULL if nothing is near. */
static const struct conf_key *nearest_key(enum conf_section section, const char *name)
{
	const struct conf_key *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].sections & 1U << section &&
		    is_key_nearer(name, &conf_keys[i], &best))
			nearest = &conf_keys[i];
	return nearest;
}

const struct conf_key *conf_key_meant(enum conf_section section, const char *name)
{
	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_key_is_named(&conf_keys[i], name))
			return &conf_keys[i];
	return nearest_key(section, name);
}

static void append_sections(struct format_text *text, unsigned sections)
{
	const char *comma = "";

	for (size_t i = 0; i < CONF_SECTION_NONE; i++) {
		if (!(sections & 1U << i))
			continue;
		format_add(text, "%s[%s%s]", comma, conf_section_to_string((enum conf_section)i),
			   i == CONF_SECTION_DAEMON ? "" : " NAME");
		comma = ", ";
	}
}

/* What other programs have, and what is the same here. */
static const char *find_equivalent(enum conf_section section, const char *name)
{
	static const struct {
		const char *names; /* in lower case, between blanks */
		const char *text;
	} others[] = {
		{ " unit service slice scope container ",
		  "a unit is matched by its cgroup, as Cgroup=/system.slice/NAME.service" },
		{ " name process program command regex ",
		  "the name of a process is matched by Comm=" },
		{ " uid userid username owner ", "a user is matched by User=, by name or number" },
		{ " group gid ", "a group of users cannot be matched: use User= or Cgroup=" },
		{ " cmdline commandline args exe executable path ",
		  "a command line or an executable cannot be matched: use Comm=, Cgroup= or User=" },
	};
	char word[32];
	size_t n = 1;

	if (section != CONF_SECTION_PROTECT && section != CONF_SECTION_PREFER &&
	    section != CONF_SECTION_AVOID)
		return NULL;
	word[0] = ' ';
	for (const char *p = name; *p != '\0' && n < sizeof(word) - 2; p++)
		word[n++] = (char)tolower((unsigned char)*p);
	snprintf(word + n, sizeof(word) - n, " ");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strstr(others[i].names, word))
			return others[i].text;
	return NULL;
}

void conf_suggest_key(enum conf_section section, const char *name, char *text)
{
	struct format_text added = { .buf = text, .size = CONF_TEXT_MAX };
	const char *equivalent = find_equivalent(section, name);
	const struct conf_key *nearest = nearest_key(section, name);
	const char *comma = "known are ";
	unsigned elsewhere = 0;

	text[0] = '\0';
	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_key_is_named(&conf_keys[i], name))
			elsewhere |= conf_keys[i].sections;
	if (elsewhere) {
		format_add(&added, "%s= belongs in ", name);
		append_sections(&added, elsewhere);
	} else if (equivalent) {
		format_add(&added, "%s", equivalent);
	} else if (nearest) {
		format_add(&added, "did you mean %s=?", nearest->name);
	} else {
		for (size_t i = 0; i < conf_n_keys; i++) {
			if (!(conf_keys[i].sections & 1U << section))
				continue;
			format_add(&added, "%s%s=", comma, conf_keys[i].name);
			comma = ", ";
		}
	}
}

void conf_suggest_section(const char *name, char *text)
{
	struct format_text added = { .buf = text, .size = CONF_TEXT_MAX };
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	text[0] = '\0';
	for (size_t i = 0; i < CONF_SECTION_NONE; i++)
		if (is_nearer(name, conf_section_to_string((enum conf_section)i), &best))
			nearest = conf_section_to_string((enum conf_section)i);
	if (nearest) {
		format_add(&added, "did you mean [%s]?", nearest);
	} else {
		format_add(&added, "known are ");
		append_sections(&added, ~0U);
	}
}
