/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf: configuration files to policies, by inih.
 *
 * read_line() is inih's reader.  It counts lines, refuses what is malformed, opens sections, and
 * passes on only lines in the core of the format, on which all builds of inih agree: "[Section]"
 * and "Key=value", without leading blanks (to Debian's build a continuation), from a key of letters
 * (':' separates too).  inih's copy of a value may be cut, at its buffer's end (200 bytes) or at "
 * ;"; so the value is kept here and inih's is not used.  What a key means is conf-keys.c.
 *
 * A section starts from what there is of its name; whether a policy or rule is complete is judged
 * when all files have been read.
 */
#include "lib/config/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf-loader.h"

#define BLANKS	 " \t\r\n\v\f"
#define UTF8_BOM "\xEF\xBB\xBF"

static void loader_done(struct conf_loader *loader)
{
	policy_set_done(&loader->set);
	free(loader->items);
}

/* What was meant by the line is not known: it may have been anything that its section needs. */
static void lose_line(struct conf_loader *loader)
{
	if (!loader->item)
		return;
	loader->item->has_action = true;
	loader->item->has_errors = true;
}

static char *strip(char *text)
{
	size_t length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length > 0 && strchr(BLANKS, text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static void *section_object(struct conf_loader *loader)
{
	if (loader->section == CONF_SECTION_DAEMON)
		return &loader->set;
	/* NOLINTBEGIN(clang-analyzer-core.NullDereference): a section of these has an item */
	if (loader->section == CONF_SECTION_POLICY)
		return &loader->set.policies[loader->item->index];
	return &loader->set.rules[loader->item->index];
	/* NOLINTEND(clang-analyzer-core.NullDereference) */
}

static struct conf_item *items_put(struct conf_loader *loader, enum conf_section section,
				   size_t index)
{
	struct conf_item *grown;

	for (size_t i = 0; i < loader->n_items; i++)
		if (loader->items[i].section == section && loader->items[i].index == index)
			return &loader->items[i];
	grown = reallocarray(loader->items, loader->n_items + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	loader->items = grown;
	grown[loader->n_items] = (struct conf_item){ .section = section, .index = index };
	return &grown[loader->n_items++];
}

/* Makes the policy or rule of that name, found or new, that of the section. */
static int open_item(struct conf_loader *loader, enum conf_section section, const char *name)
{
	size_t n_before, index;
	struct conf_item *item;

	if (section == CONF_SECTION_POLICY) {
		struct policy *policy;

		n_before = loader->set.n_policies;
		policy = policy_set_policy(&loader->set, name);
		if (!policy)
			return -ENOMEM;
		index = (size_t)(policy - loader->set.policies);
	} else {
		struct rule *rule;

		n_before = loader->set.n_rules;
		rule = policy_set_rule(&loader->set, conf_section_rule_kind(section), name);
		if (!rule)
			return -ENOMEM;
		rule_take_over(rule);
		index = (size_t)(rule - loader->set.rules);
	}
	item = items_put(loader, section, index);
	if (!item)
		return -ENOMEM;
	item->is_new |= index >= n_before;
	item->file = loader->file;
	item->line = loader->line;
	loader->item = item;
	return 0;
}

static bool is_comment(char first)
{
	return first == '#' || first == ';';
}

/* Splits "[Section name]" in place; false if it has been complained about. */
static bool split_header(struct conf_loader *loader, char *header, char **ret_section,
			 char **ret_name)
{
	char *end = strchr(header, ']');
	size_t length;

	if (!end) {
		conf_error(loader, "no ']' after '%.60s'", header);
		return false;
	}
	if (end[1] != '\0') {
		conf_error(loader, "text after ']': '%.60s'; a comment needs a line of its own",
			   end + 1 + strspn(end + 1, BLANKS));
		return false;
	}
	*end = '\0';
	header = strip(header + 1);
	length = strcspn(header, BLANKS);
	*ret_section = header;
	*ret_name = strip(header + length);
	header[length] = '\0';
	return true;
}

static void close_section(struct conf_loader *loader)
{
	loader->section = CONF_SECTION_NONE;
	loader->is_ignoring = loader->is_lost_daemon = false;
	loader->item = NULL;
	memset(loader->given_at, 0, sizeof(loader->given_at));
}

/* True if the header is good; "[Section name]" is then in buf for inih. */
static bool open_section(struct conf_loader *loader, char *header, char *buf, size_t size)
{
	enum conf_section section;
	char text[CONF_TEXT_MAX];
	char *word, *name;

	close_section(loader);
	loader->is_ignoring = true;
	loader->is_lost_daemon = strcasestr(header, "Daemon");
	if (!split_header(loader, header, &word, &name))
		return false;
	section = conf_section_from_string(word);
	if (section == CONF_SECTION_NONE) {
		conf_suggest_section(word, text);
		if (loader->is_lenient)
			conf_warning(loader, "unknown section [%.60s]: %s", word, text);
		else
			conf_error(loader, "unknown section [%.60s]: %s", word, text);
		return false;
	}
	if (section == CONF_SECTION_DAEMON && *name != '\0') {
		conf_error(loader, "[Daemon] takes no name");
		return false;
	}
	if (section != CONF_SECTION_DAEMON && *name == '\0') {
		conf_error(loader, "[%s] needs a name: [%s NAME]", word, word);
		return false;
	}
	if (section != CONF_SECTION_DAEMON && !conf_is_name(name)) {
		conf_error(loader,
			   "'%.60s' is no name: letters, digits and . _ @ -, at most %d of them",
			   name, CONF_NAME_MAX);
		return false;
	}
	if (section != CONF_SECTION_DAEMON && conf_is_one_too_many(loader, section, name))
		return false;
	if (section != CONF_SECTION_DAEMON && open_item(loader, section, name) < 0) {
		loader->no_memory = true;
		return false;
	}
	loader->section = section;
	loader->is_ignoring = loader->is_lost_daemon = false;
	snprintf(buf, size, "[%s%s%s]", word, *name != '\0' ? " " : "", name);
	return true;
}

static void refuse_key(struct conf_loader *loader, const char *name)
{
	char text[CONF_TEXT_MAX];

	conf_suggest_key(loader->section, name, text);
	/* A newer version may know it. */
	if (loader->is_lenient)
		conf_warning(loader, "unknown key '%.60s' in [%s]: %s", name,
			     conf_section_to_string(loader->section), text);
	else
		conf_error(loader, "unknown key '%.60s' in [%s]: %s", name,
			   conf_section_to_string(loader->section), text);
	lose_line(loader);
	conf_lose_key(loader, conf_key_meant(loader->section, name));
}

static bool is_key(const char *name)
{
	size_t length = strlen(name);

	for (const char *p = name; *p != '\0'; p++)
		if (!isalpha((unsigned char)*p))
			return false;
	return length <= CONF_NAME_MAX;
}

/* True if the line is "Key=value", which is then in buf for inih. */
static bool read_key(struct conf_loader *loader, char *line, char *buf, size_t size)
{
	char *equals = strchr(line, '=');
	const char *name;

	if (loader->is_lost_daemon)
		conf_lose_named_key(loader, line);
	if (loader->is_ignoring)
		return false;
	if (loader->section == CONF_SECTION_NONE) {
		conf_error(loader, "'%.60s' stands before any section such as [Daemon]", line);
		loader->is_ignoring = loader->is_lost_daemon = true;
		conf_lose_named_key(loader, line);
		return false;
	}
	if (!equals || equals == line) {
		conf_error(loader, "%s '=' in '%.60s': a line is Key=value, [Section] or a comment",
			   equals ? "no key before" : "no", line);
		lose_line(loader);
		if (loader->section == CONF_SECTION_DAEMON)
			conf_lose_named_key(loader, line);
		return false;
	}
	*equals = '\0';
	name = strip(line);
	loader->value = strip(equals + 1);
	if (!is_key(name)) {
		refuse_key(loader, name);
		return false;
	}
	/* Not the value: it is ours already, and one that fills inih's buffer makes inih 59 swallow
	 * the lines that follow. */
	snprintf(buf, size, "%s=", name);
	return true;
}

/* A line that cannot be taken as a whole.  If it is a header, what follows is not known to be of
 * any section; if it is no text at all, nor is what follows. */
static void refuse_line(struct conf_loader *loader, const char *line, bool has_nul)
{
	bool is_said = loader->is_ignoring && *line != '[';
	bool is_daemon = loader->section == CONF_SECTION_DAEMON || loader->is_lost_daemon;

	if (has_nul && !is_said)
		conf_error(loader, "a NUL byte: this is not text");
	else if (!is_said)
		conf_error(loader, "line too long: at most %d bytes", CONF_LINE_MAX);
	lose_line(loader);
	if (is_daemon)
		conf_lose_named_key(loader, line);
	if (*line != '[' && !has_nul)
		return;
	close_section(loader);
	loader->is_ignoring = true;
	loader->is_lost_daemon = *line == '[' ? !!strcasestr(line, "Daemon") : is_daemon;
}

/* EOF beyond what a file may have: it may have grown since it was opened. */
static int fetch_char(struct conf_loader *loader)
{
	int c = loader->n_bytes < CONF_FILE_MAX ? getc_unlocked(loader->stream) : EOF;

	if (c != EOF)
		loader->n_bytes++;
	else if (loader->stream_error == 0)
		loader->stream_error = errno;
	return c;
}

/* The next line, into loader->text, empty if it has been refused; false at the end. */
static bool fetch_line(struct conf_loader *loader)
{
	int c = fetch_char(loader);
	bool has_nul = false;
	const char *line;
	size_t n = 0;

	if (c == EOF)
		return false;
	loader->line++;
	for (; c != EOF && c != '\n'; c = fetch_char(loader)) {
		has_nul |= c == '\0';
		if (n <= CONF_LINE_MAX)
			loader->text[n++] = (char)c;
	}
	loader->text[n] = '\0';
	if (loader->line == 1 && strncmp(loader->text, UTF8_BOM, strlen(UTF8_BOM)) == 0)
		memset(loader->text, ' ', strlen(UTF8_BOM));
	line = loader->text + strspn(loader->text, BLANKS);
	if ((n <= CONF_LINE_MAX && !has_nul) || is_comment(*line))
		return true;
	refuse_line(loader, line, has_nul);
	loader->text[0] = '\0';
	return true;
}

/* inih's reader, in the place of fgets(3). */
static char *read_line(char *buf, int size, void *user)
{
	struct conf_loader *loader = user;

	while (!loader->no_memory && !loader->is_full && fetch_line(loader)) {
		char *line = strip(loader->text);
		bool good;

		if (*line == '\0' || is_comment(*line))
			continue;
		good = *line == '[' ? open_section(loader, line, buf, (size_t)size)
				    : read_key(loader, line, buf, (size_t)size);
		if (good)
			return buf;
	}
	return NULL;
}

/* That it exists can only be told on the machine: conf_check_subtree(). */
static void note_subtree(struct conf_loader *loader)
{
	char *file = strdup(loader->file);

	loader->no_memory |= !file;
	free(loader->set.subtree_file);
	loader->set.subtree_file = file;
	loader->set.subtree_line = loader->line;
}

/* inih's handler; non-zero is success. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct conf_loader *loader = user;
	const struct conf_key *key;
	char text[CONF_TEXT_MAX];
	unsigned *given_at;
	int r;

	/* Some builds call for each section too. */
	if (!name)
		return 1;
	key = conf_key_find(loader->section, name);
	if (!key) {
		refuse_key(loader, name);
		return 1;
	}
	if (strcmp(name, key->name) != 0)
		conf_warning(loader, "%s= is the old name of %s=", name, key->name);
	given_at = &loader->given_at[key - conf_keys];
	if (*given_at > 0)
		conf_warning(loader, "%s= is in line %u of this section already; this one counts",
			     key->name, *given_at);
	*given_at = loader->line;
	if (loader->item && strcmp(name, "Action") == 0)
		loader->item->has_action = true;
	if (conf_costs_too_much(loader, key))
		return 1;
	r = conf_key_set(key, section_object(loader), loader->value, text);
	if (r == -ENOMEM) {
		loader->no_memory = true;
	} else if (r < 0) {
		conf_error(loader, "%s", text);
		conf_lose_key(loader, key);
	} else if (text[0] != '\0') {
		conf_warning(loader, "%s", text);
	}
	/* (At start it is used as it is: see conf_load_lenient().) */
	if (r == CONF_KEY_FOR_NOW && !loader->is_lenient)
		loader->read_error = -EAGAIN;
	if (r == 0 && loader->section == CONF_SECTION_DAEMON && strcmp(key->name, "Subtree") == 0)
		note_subtree(loader);
	return 1;
}

static void load_file(struct conf_loader *loader, const char *file)
{
	_cleanup_fclose_ FILE *stream = NULL;
	int r;

	loader->file = file;
	loader->line = 0;
	close_section(loader);
	stream = conf_open(loader, file);
	if (!stream)
		return;
	loader->stream = stream;
	loader->n_bytes = 0;
	loader->stream_error = 0;
	r = ini_parse_stream(read_line, loader, on_key, loader);
	/* A positive number would be a line that read_line() accepts and inih does not. */
	assert(r <= 0);
	if (r < 0)
		loader->no_memory = true;
	loader->line = 0;
	if (!loader->no_memory && !loader->is_full)
		conf_check_end(loader);
}

static void remove_disabled(struct policy_set *set)
{
	for (size_t i = set->n_rules; i-- > 0;)
		if (set->rules[i].disabled)
			policy_set_remove_rule(set, &set->rules[i]);
}

static int load(struct conf_loader *loader, const char *const *files, size_t n_files)
{
	int r;

	r = policy_set_init_defaults(&loader->set);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_files && !loader->is_full; i++)
		load_file(loader, files[i]);
	conf_check_items(loader);
	return loader->no_memory ? -ENOMEM : loader->read_error;
}

int conf_load(const char *const *files, size_t n_files, struct policy_set *ret,
	      struct conf_messages *messages)
{
	_cleanup_(loader_done) struct conf_loader loader = { .messages = messages };
	size_t n_errors = messages->n_errors;
	int r;

	r = load(&loader, files, n_files);
	if (r < 0)
		return r;
	if (messages->n_errors > n_errors)
		return 1;
	remove_disabled(&loader.set);
	*ret = loader.set;
	loader.set = (struct policy_set){};
	return 0;
}

int conf_load_lenient(const char *const *files, size_t n_files, struct policy_set *ret,
		      struct conf_messages *messages)
{
	_cleanup_(loader_done) struct conf_loader loader = {
		.messages = messages,
		.is_lenient = true,
	};
	size_t n_errors = messages->n_errors;
	int r;

	r = load(&loader, files, n_files);
	if (r == 0)
		r = conf_salvage(&loader);
	if (r < 0)
		return r;
	remove_disabled(&loader.set);
	*ret = loader.set;
	loader.set = (struct policy_set){};
	return messages->n_errors > n_errors;
}
