/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus-value: values of the bus as JSON. */
#pragma once

#include <jansson.h>
#include <systemd/sd-bus.h>

/* The next value of the message; NULL: no memory, or nothing that could be read. */
json_t *bus_read_value(sd_bus_message *m);
