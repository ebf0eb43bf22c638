/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-answer: what is answered of processes: ListCandidates(), Explain().
 *
 * Both need a census.  In watch there is one.  In calm it is brought up to date on request, one
 * slice per turn of the loop, and at most once a second however many calls there are.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "lib/base/cleanup.h"
#include "lib/explain/explain.h"

/* A census that was caught up with is good for so long. */
#define CAUGHT_UP_USEC USEC_PER_SEC
/* Of an Explain(), which cannot come in pages. */
#define JSON_BYTES_MAX (48 * KIB)
/* To compare address spaces takes some microseconds, unless the thread that does it is busy: then
 * it is not known which processes share the victim's. */
#define COMPARE_BUDGET_USEC (2 * USEC_PER_MSEC)
/* Of one turn.  The last part of a slice may take as long again. */
#define SLICE_USEC (500)

void bus_forget_preview(struct bus *b)
{
	b->has_preview = false;
	free(b->preview_json);
	b->preview_json = NULL;
}

int bus_catch_up(struct bus *b)
{
	const struct bus_subject *subject = &b->subject;
	usec_t now = clock_now();
	bool is_swept = subject->sampler->census.swept_at != 0;
	int r;

	b->asked_at = now;
	if (is_swept &&
	    (subject->regime->state != REGIME_CALM || now - b->caught_up_at < CAUGHT_UP_USEC))
		return 1;
	b->has_caught_up = true;
	bus_forget_preview(b);
	r = sampler_refresh(subject->sampler, SLICE_USEC, &b->reading);
	if (r < 0)
		return r;
	b->read_at = now;
	if (r == 0)
		return 0;
	b->caught_up_at = now;
	r = selection_reserve(subject->selection);
	return r < 0 ? r : 1;
}

static const char *find_user(uid_t uid, void *userdata)
{
	struct bus *b = userdata;

	return users_name(b->subject.users, uid);
}

static uint64_t find_min_victim(const struct policy *policy, void *userdata)
{
	struct bus *b = userdata;

	return stuck_minimum(b->subject.selection, policy);
}

/* The preview: computed once for all callers until the census changes. */
static int refresh_preview(struct bus *b)
{
	const struct bus_subject *subject = &b->subject;
	struct preview *o = &b->preview;
	char own_cgroup[CGROUP_PATH_MAX];
	int r;

	if (b->has_preview)
		return 0;
	r = sampler_read_memory(subject->sampler, &b->reading);
	if (r < 0)
		return r;
	b->read_at = clock_now();
	*o = (struct preview){
		.policies = &subject->config->policies,
		.accuracy = &subject->machine->accuracy,
		.census = &subject->sampler->census,
		/* What may block is left to the decision. */
		.precise = NULL,
		.comparing = subject->sampler->precise,
		.compare_budget = COMPARE_BUDGET_USEC,
		.proc_fd = subject->machine->proc_fd,
		.now = clock_now,
		.memory = b->reading,
		.has_psi = subject->sampler->domain.has_psi &&
			   psi_read_fd(subject->sampler->psi_fd, &b->pressure) == 0,
		.pressure = b->pressure,
		.psi = subject->sampler->domain.has_psi ? &subject->sampler->domain.psi : NULL,
		.reclaim = &subject->sampler->domain.reclaim,
		.stalls_are_explained = subject->sampler->stalls.explained,
		.unswappable = subject->sampler->domain.unswappable,
		.hides_others = !census_find(&subject->sampler->census, 1),
		.self_name = "reckond",
		.user = find_user,
		.userdata = b,
		.backoff = &subject->selection->backoff,
		.streak = &subject->selection->streak,
		.ticks_now = clock_ticks_before(0),
		.min_victim = find_min_victim,
	};
	r = cgroup_of_process(&subject->machine->cgroups, subject->machine->proc_fd, getpid(),
			      own_cgroup, sizeof(own_cgroup));
	o->own_cgroup = r == 0 ? own_cgroup : NULL;
	/* The room for the walk is lent by the daemon's own choice. */
	o->result.heap = subject->selection->choice.heap;
	o->result.n_allocated = subject->selection->choice.n_allocated;
	preview_choose(o);
	o->own_cgroup = NULL;
	o->result.heap = NULL;
	o->result.n_allocated = 0;
	b->has_preview = true;
	return 0;
}

/* "a{sv}" */
static int append_candidate(struct bus *b, sd_bus_message *reply,
			    const struct victim_candidate *candidate)
{
	const struct census_process *p = candidate->process;
	unsigned n_relatives;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}", "Pid", "u", (uint32_t)p->pid, "Uid",
					  "u", p->uid);
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Comm", p->comm);
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Cgroup", census_cgroup_path(p));
	if (r >= 0)
		r = sd_bus_message_append(
			reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "FootprintBytes", "t",
			proc_reclaimable(&candidate->memory), "WouldFreeBytes", "t",
			preview_frees(&b->preview, candidate, &n_relatives), "ScoreMinBytes", "t",
			candidate->score.lo, "ScoreMaxBytes", "t", candidate->score.hi,
			"EstimateBytes", "t", candidate->estimate, "SwapBytes", "t",
			candidate->memory.swap, "Weight", "d", preview_weight(candidate),
			"OomScoreAdj", "i", candidate->cgroup ? 0 : (int)p->oom_score_adj,
			"Precise", "b", (int)candidate->precise, "Verdict", "s",
			victim_verdict_to_string(candidate->verdict));
	if (r >= 0 && candidate->precise)
		r = sd_bus_message_append(reply, "{sv}", "AloneBytes", "t", candidate->alone);
	b->n_bytes += 512;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_list_candidates(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct bus_page page;
	int r;

	r = bus_read_page(call, VICTIM_RANKED_MAX, VICTIM_RANKED_MAX, &page);
	if (r >= 0)
		r = refresh_preview(b);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (size_t i = page.first; r >= 0 && i < b->preview.result.n_ranked; i++) {
		if (i - page.first == page.limit || bus_page_is_full(b))
			break;
		r = append_candidate(b, reply, &b->preview.result.ranked[i]);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int answer_no_such_process(sd_bus_message *call, uint32_t pid)
{
	return sd_bus_reply_method_errorf(call, BUS_ERROR_NO_SUCH_PROCESS,
					  "There is no process %u.", pid);
}

/* 0, PROC_GONE, -errno. */
static int explain_one(struct bus *b, pid_t pid, struct explanation *ret)
{
	int r;

	if (sampler_read_process(b->subject.sampler, pid, &b->reading))
		bus_forget_preview(b);
	r = refresh_preview(b);
	return r < 0 ? r : explain_process(&b->preview, pid, ret);
}

/* Removes the second half of the longest of these lists; false: all are empty. */
static bool truncate_list(json_t *json)
{
	static const char *const lists[] = { "protected", "ranked", "survivors" };
	json_t *longest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		json_t *list = json_object_get(json, lists[i]);

		if (json_array_size(list) > json_array_size(longest))
			longest = list;
	}
	if (json_array_size(longest) == 0)
		return false;
	for (size_t n = json_array_size(longest) / 2; json_array_size(longest) > n;)
		json_array_remove(longest, json_array_size(longest) - 1);
	return json_object_set_new(json, "truncated", json_true()) == 0;
}

/* Takes json; NULL: no memory.  Any user can create a cgroup whose path alone takes 24 KiB here. */
static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	while (text && strlen(text) > JSON_BYTES_MAX && truncate_list(json)) {
		free(text);
		text = json_dumps(json, JSON_COMPACT);
	}
	json_decref(json);
	return text;
}

/* The members of an Explain() that both kinds have. */
static int append_explanation(struct bus *b, sd_bus_message *reply, const char *json,
			      const char *reason)
{
	const struct preview *o = &b->preview;
	const struct victim_candidate *victim = preview_victim(o);

	b->n_bytes += strlen(json) + strlen(reason);

	return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Json", "s", json, "Reason", "s",
				     reason, "Victim", "u",
				     victim ? (uint32_t)victim->process->pid : 0, "Processes", "u",
				     o->group.length > 0 ? o->group.n_processes
				     : victim		 ? 1 + o->others.n
							 : 0);
}

static int answer_machine(struct bus *b, sd_bus_message *reply)
{
	char text[EXPLAIN_ANSWER_SIZE];
	int r;

	r = refresh_preview(b);
	if (r < 0)
		return r;
	if (!b->preview_json)
		b->preview_json = dump(explain_json_machine(&b->preview));
	if (!b->preview_json)
		return -ENOMEM;
	return append_explanation(b, reply, b->preview_json,
				  explain_answer_machine(&b->preview, text));
}

static int answer_process(struct bus *b, sd_bus_message *reply, const struct explanation *e)
{
	const char *excluded = explain_excluded(e);
	_cleanup_free_ char *text = NULL;
	char answer[EXPLAIN_ANSWER_SIZE];
	int r;

	text = dump(explain_json_process(&b->preview, e));
	if (!text)
		return -ENOMEM;
	r = append_explanation(b, reply, text, explain_answer_process(&b->preview, e, answer));
	if (r < 0)
		return r;
	return sd_bus_message_append(reply, "{sv}{sv}", "IsVictim", "b", (int)e->is_victim,
				     "Excluded", "s", excluded ? excluded : "");
}

int bus_answer_explain(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct explanation e;
	uint32_t pid;
	int r;

	r = sd_bus_message_read(call, "u", &pid);
	if (r >= 0 && pid != 0)
		r = pid > INT32_MAX ? PROC_GONE : explain_one(b, (pid_t)pid, &e);
	if (r == PROC_GONE && pid != 0)
		return answer_no_such_process(call, pid);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = pid == 0 ? answer_machine(b, reply) : answer_process(b, reply, &e);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
