/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manager-parts: the manager, and all that it points to, for tests that look into the daemon. */
#pragma once

#include "daemon/base/config.h"
#include "daemon/base/conflicts.h"
#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/base/self.h"
#include "daemon/bus/bus.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/self-test.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/sampler.h"
