/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc-fixture: files of tests/fixtures and of this machine, and hostile texts. */
#pragma once

#define PAGE 4096 /* of the fixtures */
