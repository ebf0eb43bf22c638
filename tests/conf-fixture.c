/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conf-fixture: writes configuration files, loads them and finds what was loaded. */
#include "tests/conf-fixture.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/config/conf.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

char tmp_dir[64];

int make_tmp_dir(void **state)
{
	snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/test-conf.XXXXXX");
	return mkdtemp(tmp_dir) ? 0 : -1;
}

int remove_tmp_dir(void **state)
{
	static const char *const names[] = {
		"x.conf",
		"fifo",
		"null.conf",
		"named.conf",
		"etc/reckond/reckond.conf.d/30-null.conf",
		"etc/reckond/reckond.conf.d/40-dangling.conf",
		"etc/reckond/reckond.conf.d",
		"etc/reckond/reckond.conf",
		"etc/reckond",
		"etc",
		"usr/lib/reckond/reckond.conf.d/30-null.conf",
		"usr/lib/reckond/reckond.conf.d",
		"usr/lib/reckond/reckond.conf",
		"usr/lib/reckond",
		"usr/lib",
		"usr",
	};
	int dir_fd = open(tmp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dir_fd, names[i], 0) < 0)
			unlinkat(dir_fd, names[i], AT_REMOVEDIR);
	close(dir_fd);
	return rmdir(tmp_dir);
}

const char *fixture(const char *name)
{
	static char path[PATH_SIZE];
	const char *fixtures = getenv("FIXTURES");

	assert_non_null(fixtures);
	snprintf(path, sizeof(path), "%s/conf/%s", fixtures, name);
	return path;
}

const char *tmp_path(const char *name)
{
	static char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", tmp_dir, name);
	return path;
}

const char *write_tmp(const char *text, size_t length)
{
	const char *path = tmp_path("x.conf");
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	return path;
}

void print_messages(const struct conf_messages *messages)
{
	for (size_t i = 0; i < messages->n; i++)
		conf_message_print(&messages->items[i], stderr);
}

void load_good(const char *path, struct policy_set *ret, struct conf_messages *messages)
{
	int r;

	*messages = (struct conf_messages){};
	r = conf_load(&path, 1, ret, messages);
	if (r != 0)
		print_messages(messages);
	assert_int_equal(r, 0);
	assert_int_equal(messages->n_errors, 0);
}

void load_text(const char *text, struct policy_set *ret)
{
	struct conf_messages messages;

	load_good(write_tmp(text, strlen(text)), ret, &messages);
	print_messages(&messages);
	assert_int_equal(messages.n, 0);
	conf_messages_done(&messages);
}

struct policy *find_policy(struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i].name, name) == 0)
			return &set->policies[i];
	fail_msg("no policy %s", name);
	abort();
}

bool has_rule(struct policy_set *set, enum rule_kind kind, const char *name)
{
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == kind && strcmp(set->rules[i].name, name) == 0)
			return true;
	return false;
}

struct rule *find_rule(struct policy_set *set, enum rule_kind kind, const char *name)
{
	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == kind && strcmp(set->rules[i].name, name) == 0)
			return &set->rules[i];
	fail_msg("no rule %s", name);
	abort();
}

void assert_line(const struct policy_threshold *line, bool set, unsigned permyriad, uint64_t bytes)
{
	assert_int_equal(line->set, set);
	assert_int_equal(line->is_size, bytes > 0);
	assert_int_equal(line->permyriad, permyriad);
	assert_int_equal(line->bytes, bytes);
}

static void assert_caps(struct policy_set *a, struct policy_set *b)
{
	assert_int_equal(a->watch_below.cap, b->watch_below.cap);
	for (size_t i = 0; i < a->n_policies; i++) {
		assert_int_equal(a->policies[i].memory_available.cap,
				 b->policies[i].memory_available.cap);
		assert_int_equal(a->policies[i].swap_free.cap, b->policies[i].swap_free.cap);
	}
}

void assert_same_policies(struct policy_set *a, struct policy_set *b)
{
	assert_int_equal(a->dry_run, b->dry_run);
	assert_string_equal(a->subtree, b->subtree);
	assert_line(&a->watch_below, b->watch_below.set, b->watch_below.permyriad,
		    b->watch_below.bytes);
	assert_int_equal(a->kill_timeout_usec, b->kill_timeout_usec);
	assert_int_equal(a->n_policies, b->n_policies);
	assert_caps(a, b);
	for (size_t i = 0; i < a->n_policies; i++) {
		const struct policy *p = &a->policies[i], *q = &b->policies[i];

		assert_string_equal(p->name, q->name);
		assert_line(&p->memory_available, q->memory_available.set,
			    q->memory_available.permyriad, q->memory_available.bytes);
		assert_line(&p->swap_free, q->swap_free.set, q->swap_free.permyriad,
			    q->swap_free.bytes);
		assert_int_equal(p->pressure_some, q->pressure_some);
		assert_int_equal(p->pressure_full, q->pressure_full);
		assert_int_equal(p->thrashing, q->thrashing);
		assert_int_equal(p->for_usec, q->for_usec);
		assert_int_equal(p->action, q->action);
		assert_int_equal(p->rank_by, q->rank_by);
		assert_int_equal(p->grace_usec, q->grace_usec);
		assert_int_equal(p->thaw, q->thaw);
		assert_int_equal(p->refreeze, q->refreeze);
	}
}
