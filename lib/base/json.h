/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json: jansson values for types that are used in many places.
 *
 * Each returns a new reference, or NULL: no memory.  jansson takes NULL where a value is expected
 * for a failure, so that the last of consecutive calls shows the failure of any.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

json_t *json_of_bytes(uint64_t bytes);
json_t *json_of_foreign(const char *text); /* of any bytes (format_utf8); null for NULL */

/* Puts the item, whose reference it takes, last into *array; where one of them is NULL, or there is
 * no memory, *array becomes NULL. */
void json_append_to(json_t **array, json_t *item);

/* The object with one member more, whose references it takes; NULL as above. */
json_t *json_with(json_t *object, const char *key, json_t *value);
