/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message-ids: each kind of entry in the journal that an administrator may want to find or to have
 * explained has a MESSAGE_ID of its own (systemd.journal-fields(7)).  They never change: queries of
 * administrators contain them.  systemd/reckond.catalog explains each (journalctl -x), reckond(8)
 * lists them, and tests/check-catalog.sh checks that the three agree.
 */
#pragma once

#define MESSAGE_ID_SIGNALLED	  "3c1f0a5d0f7e4b0c9a52a4e7c6f1d280"
#define MESSAGE_ID_FINISHED	  "8d4b6e2f51a94d6fb7c30c2be95f14a7"
#define MESSAGE_ID_ESCALATED	  "6763f1504b7c48e3a4c5d431a53ecc83"
#define MESSAGE_ID_SKIPPED	  "ddcd5c3a72cd48ad895ffcf35fd64843"
#define MESSAGE_ID_DRY_RUN	  "1ed27a7ed8974c92ae0001660ceb5780"
#define MESSAGE_ID_CANCELLED	  "fda5731c5769453e9e80345cab277041"
#define MESSAGE_ID_STUCK	  "0053582b11a44f68978f6cb184916a3b"
#define MESSAGE_ID_LOW_MEMORY	  "a14351380e9f4af2a47c0222f937ea25"
#define MESSAGE_ID_PRIVILEGE	  "ef3541c866474da8a20c567b0751a8ce"
#define MESSAGE_ID_LIMITATION	  "8d9db9689a4b448980e3e1f8a3173285"
#define MESSAGE_ID_CONFIG_REFUSED "ab351a3e015b46e3abe4d94365752cd5"
#define MESSAGE_ID_CGROUP_LIMIT	  "5f0c1a86b1c74d2c9c7e3d1a64b8f20e"
#define MESSAGE_ID_DEGRADED	  "b45f2af8b8d6418f8a45ba3255919980"
#define MESSAGE_ID_CONFLICT	  "7decbb184c324b3eac1eb941fe193e78"
