/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* next-sample: by state, by what has just happened, and by what other parts of the daemon wait for.
 */
#include "daemon/tick/next-sample.h"

#include <signal.h>

#include "daemon/base/regime.h"
#include "daemon/kill/in-flight.h"
#include "daemon/record/recorder.h"
#include "daemon/select/selection.h"
#include "daemon/tick/choose.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/sample.h"
#include "daemon/watch/sampler.h"
#include "daemon/watch/stalls.h"
#include "daemon/watch/watch.h"

/* The choice is not complete. */
#define GO_ON_USEC (1 * USEC_PER_MSEC)
/* The next slice of a round; what a choice waits for is polled. */
#define NEXT_SLICE_USEC (4 * USEC_PER_MSEC)
/* After a victim has exited or could not be killed; memory has to be counted anew. */
#define SOON_USEC (20 * USEC_PER_MSEC)
/* While a kill is in progress, besides the event of its exit. */
#define KILLING_USEC (50 * USEC_PER_MSEC)

/* Something was not as thought, or is over: memory is to be counted anew. */
static bool is_to_sample_again(enum report_event event)
{
	return event == REPORT_FINISHED || event == REPORT_VANISHED || event == REPORT_CHANGED ||
	       choose_has_failed(event);
}

static usec_t while_killing(const struct tick *t)
{
	return t->in_flight->decision.kill.signal == SIGKILL &&
			       !t->in_flight->decision.kill.hastened
		       ? KILL_STARVED_USEC
		       : KILLING_USEC;
}

static usec_t by_state(struct tick *t, enum report_event event, bool goes_on, usec_t cpu_time)
{
	if (goes_on)
		return stuck_delays_choice(&t->selection->stuck) ? NEXT_SLICE_USEC : GO_ON_USEC;
	if (is_to_sample_again(event))
		return SOON_USEC;
	if (t->regime->state == REGIME_KILLING)
		return policy_pause(while_killing(t), cpu_time);
	if (watch_is_busy(t->sampler) &&
	    (t->regime->state == REGIME_WATCH || t->regime->state == REGIME_STUCK))
		return NEXT_SLICE_USEC;
	if (t->regime->state == REGIME_WATCH && !recorder_is_open(t->recorder))
		pace_note_sample(&t->sampler->pace, cpu_time);
	return policy_pause(sample_interval(t->sampler), cpu_time);
}

usec_t next_sample(struct tick *t, enum report_event event, bool goes_on, usec_t cpu_time,
		   usec_t now)
{
	usec_t next = by_state(t, event, goes_on, cpu_time);

	return min_u64(min_u64(next, stalls_next(t->sampler)), recorder_next(t->recorder, now));
}
