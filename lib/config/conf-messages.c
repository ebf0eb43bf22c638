/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-messages: the errors of a configuration, collected.
 *
 * Filled by conf; printed by reckond --check-config and reckonctl check, logged on a reload.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/config/conf-loader.h"

void conf_messages_done(struct conf_messages *messages)
{
	for (size_t i = 0; i < messages->n; i++) {
		free(messages->items[i].file);
		free(messages->items[i].text);
	}
	free(messages->items);
	*messages = (struct conf_messages){};
}

void conf_message_print(const struct conf_message *message, FILE *stream)
{
	char file[PATH_MAX];

	/* Its name may be anything, too. */
	fputs(*message->file ? format_foreign(message->file, file, sizeof(file)) : "''", stream);
	if (message->line > 0)
		fprintf(stream, ":%u", message->line);
	fprintf(stream, ": %s%s\n", message->warning ? "warning: " : "", message->text);
}

/* Files are quoted in messages, and messages are sent to terminals, the journal and the bus. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Among those of its file, by line: some errors are only known when all has been read. */
static size_t find_place(const struct conf_messages *messages, const char *file, unsigned line)
{
	size_t at = messages->n;

	for (size_t i = messages->n; i-- > 0;) {
		const struct conf_message *other = &messages->items[i];

		if (strcmp(other->file, file) != 0)
			continue;
		if (line == 0 || other->line <= line)
			return i + 1;
		at = i;
	}
	return at;
}

int conf_messages_addv(struct conf_messages *messages, const char *file, unsigned line,
		       bool warning, const char *format, va_list ap)
{
	_cleanup_free_ char *text = NULL, *copy = strdup(file);
	struct conf_message *grown;
	size_t at;

	if (messages->n == CONF_MESSAGES_MAX) {
		messages->n_errors += !warning;
		messages->n_warnings += warning;
		messages->n_left_out++;
		return 0;
	}
	if (vasprintf(&text, format, ap) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	if (!copy)
		return -ENOMEM;
	grown = reallocarray(messages->items, messages->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	make_printable(text);
	messages->items = grown;
	at = find_place(messages, file, line);
	memmove(&grown[at + 1], &grown[at], (messages->n - at) * sizeof(*grown));
	messages->n++;
	grown[at] = (struct conf_message){
		.file = take_ptr(copy),
		.line = line,
		.warning = warning,
		.text = take_ptr(text),
	};
	messages->n_errors += !warning;
	messages->n_warnings += warning;
	return 0;
}

int conf_messages_add(struct conf_messages *messages, const char *file, unsigned line, bool warning,
		      const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = conf_messages_addv(messages, file, line, warning, format, ap);
	va_end(ap);
	return r;
}

int conf_messages_add_unlisted(struct conf_messages *messages, const char *directory, int error)
{
	return conf_messages_add(messages, directory, 0, false,
				 "cannot be listed: %s; its drop-ins are left out",
				 strerror(-error));
}

void conf_error(struct conf_loader *loader, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (conf_messages_addv(loader->messages, loader->file, loader->line, false, format, ap) < 0)
		loader->no_memory = true;
	va_end(ap);
	if (loader->item)
		loader->item->has_errors = true;
}

void conf_warning(struct conf_loader *loader, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (conf_messages_addv(loader->messages, loader->file, loader->line, true, format, ap) < 0)
		loader->no_memory = true;
	va_end(ap);
}
