/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-answer: what has to wait for its answer, and how it comes to it.
 *
 * Whatever is asked of processes needs a census.  In watch there is one; in calm one is caught up
 * with for whoever asks, a slice a turn of the loop, and at most once a second however many ask.
 * While a victim is on its way neither processes nor files are looked at: the loop has better to
 * do, and the census is about to change.  Mostly that is over in a moment; whoever would have to
 * wait for longer is told so, and who is on its way.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bus-internal.h"
#include "daemon/monitor.h"
#include "lib/cleanup.h"
#include "lib/explain.h"
#include "lib/format.h"

/* A census that was caught up with is good for so long. */
#define CAUGHT_UP_USEC USEC_PER_SEC
/* Of one turn.  What a slice ends with may take as long again. */
#define SLICE_USEC (500)
/* So long after its signal a victim is waited for before those who ask are sent away: most are
 * gone by then. */
#define PATIENCE_USEC USEC_PER_SEC

int bus_wait(struct bus *b, sd_bus_message *call, bus_answer_fn answer, enum bus_need need)
{
	if (b->n_waiting == BUS_WAITING_MAX)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "%d calls are waiting already.", BUS_WAITING_MAX);
	b->waiting[(b->first_waiting + b->n_waiting++) % BUS_WAITING_MAX] =
		(struct bus_waiting){ sd_bus_message_ref(call), answer, need };
	bus_schedule(b);
	return 1;
}

static struct bus_waiting *waiting(struct bus *b, unsigned i)
{
	return &b->waiting[(b->first_waiting + i) % BUS_WAITING_MAX];
}

bool bus_is_to_wait(const struct bus *b)
{
	const struct manager *m = b->manager;

	return m->state == MANAGER_SETTLE &&
	       monitor_now() - m->decision.signalled_at < PATIENCE_USEC;
}

/* Of those that wait, the first whose turn it is, if only to be sent away; n_waiting: nobody's. */
static unsigned find_next(struct bus *b)
{
	unsigned i = 0;

	if (!bus_is_to_wait(b))
		return 0;
	while (i < b->n_waiting && waiting(b, i)->need != BUS_NEEDS_NOTHING)
		i++;
	return i;
}

bool bus_can_answer(struct bus *b)
{
	return find_next(b) < b->n_waiting;
}

/* The others stay in their order.  Whose answer is begun (b->partial) is the first, and stays it:
 * that needs nothing. */
static void bring_forward(struct bus *b, unsigned i)
{
	struct bus_waiting it = *waiting(b, i);

	for (; i > 0; i--)
		*waiting(b, i) = *waiting(b, i - 1);
	*waiting(b, 0) = it;
}

static struct bus_waiting take_first(struct bus *b)
{
	struct bus_waiting first = b->waiting[b->first_waiting];

	b->first_waiting = (b->first_waiting + 1) % BUS_WAITING_MAX;
	b->n_waiting--;
	return first;
}

void bus_drop_answers(struct bus *b)
{
	b->partial = sd_bus_message_unref(b->partial);
	while (b->n_waiting > 0)
		sd_bus_message_unref(take_first(b).call);
}

void bus_forget_outlook(struct bus *b)
{
	b->is_looked_out = false;
	free(b->outlook_json);
	b->outlook_json = NULL;
}

/* 1: it is as fresh as it is to be; 0: there is more to do; -errno. */
static int catch_up(struct bus *b)
{
	struct manager *m = b->manager;
	usec_t now = monitor_now();
	bool is_swept = m->census.swept_at != 0;
	int r;

	b->asked_at = now;
	if (is_swept && (m->state != MANAGER_CALM || now - b->caught_up_at < CAUGHT_UP_USEC))
		return 1;
	b->is_awake = true;
	bus_forget_outlook(b);
	r = memory_sample(m->memory, &b->reading);
	if (r < 0)
		return r;
	b->read_at = now;
	r = census_catch_up(&m->census, now, b->reading.allocated,
			    b->reading.swap_free < b->reading.swap_total, monitor_now,
			    monitor_now() + SLICE_USEC);
	if (r <= 0)
		return r;
	b->caught_up_at = now;
	r = victim_reserve(&m->choice, &m->census);
	return r < 0 ? r : 1;
}

static const char *find_user(uid_t uid, void *userdata)
{
	struct bus *b = userdata;

	return users_name(&b->users, uid);
}

/* Who would go: found out once for all who ask until the census changes. */
static int look_out(struct bus *b)
{
	struct manager *m = b->manager;
	struct outlook *o = &b->outlook;
	char own_cgroup[CGROUP_PATH_MAX];
	int r;

	if (b->is_looked_out)
		return 0;
	r = memory_sample(m->memory, &b->reading);
	if (r < 0)
		return r;
	b->read_at = monitor_now();
	*o = (struct outlook){
		.policies = &m->policies,
		.accuracy = &m->accuracy,
		.census = &m->census,
		/* What may block is for the one who decides. */
		.precise = NULL,
		.proc_fd = m->proc_fd,
		.now = monitor_now,
		.memory = b->reading,
		.has_psi = m->abilities.psi && psi_read_fd(m->psi_fd, &b->pressure) == 0,
		.pressure = b->pressure,
		.psi = m->abilities.psi ? &m->psi : NULL,
		.reclaim = &m->reclaim,
		.stalls_are_explained = m->stalls.explained,
		.unswappable = m->unswappable,
		.hides_others = !census_find(&m->census, 1),
		.self_name = "reckond",
		.user = find_user,
		.userdata = b,
		.passover = &m->passover,
	};
	r = cgroup_of_process(&m->cgroups, m->proc_fd, getpid(), own_cgroup, sizeof(own_cgroup));
	o->own_cgroup = r == 0 ? own_cgroup : NULL;
	/* The room for the walk is lent by the manager's own choice. */
	o->result.heap = m->choice.heap;
	o->result.n_allocated = m->choice.n_allocated;
	outlook_choose(o);
	o->own_cgroup = NULL;
	o->result.heap = NULL;
	o->result.n_allocated = 0;
	b->is_looked_out = true;
	return 0;
}

/* In words that can be shown as they are. */
static int answer_busy(struct bus *b, sd_bus_message *call)
{
	const struct decision *d = &b->manager->decision;
	char name[512], text[480], policy[128], since[FORMAT_DURATION_SIZE];

	if (d->target == POLICY_TARGET_CGROUP)
		snprintf(name, sizeof(name), "cgroup %s (%u process%s)",
			 format_foreign(d->group[0] ? d->group : d->cgroup, text, sizeof(text)),
			 d->n_processes, d->n_processes == 1 ? "" : "es");
	else
		snprintf(name, sizeof(name), "%s (pid %d)",
			 format_foreign(d->comm, text, sizeof(text)), d->pid);
	return sd_bus_reply_method_errorf(
		call, BUS_ERROR_BUSY,
		"%s was sent %s %s ago by policy %s; ask again when it is gone.", name,
		d->signal == SIGKILL ? "SIGKILL" : "SIGTERM",
		format_duration(monitor_now() - d->signalled_at, since),
		format_foreign(d->policy, policy, sizeof(policy)));
}

/* Returns what a bus_answer_fn does. */
static int answer_first(struct bus *b, const struct bus_waiting *first)
{
	int r = 1;

	if (first->need != BUS_NEEDS_NOTHING && b->manager->state == MANAGER_SETTLE)
		return answer_busy(b, first->call);
	if (first->need == BUS_NEEDS_PROCESSES)
		r = catch_up(b);
	if (r == 0)
		return BUS_NOT_DONE;
	return r < 0 ? r : first->answer(b, first->call);
}

void bus_answer(struct bus *b)
{
	struct bus_waiting first;
	int r;

	bring_forward(b, find_next(b));
	first = *waiting(b, 0);
	r = answer_first(b, &first);
	if (r == BUS_NOT_DONE)
		return;
	/* Who has gone meanwhile is not told; the bus does not mind. */
	if (r < 0)
		(void)sd_bus_reply_method_errno(first.call, r, NULL);
	sd_bus_message_unref(take_first(b).call);
}

int bus_read_limit(sd_bus_message *call, uint32_t standard, uint32_t most, uint32_t *ret)
{
	uint32_t limit;
	int r;

	r = sd_bus_message_read(call, "u", &limit);
	if (r < 0)
		return r;
	*ret = (uint32_t)min_u64(limit ? limit : standard, most);
	return 0;
}

static int append_candidate(sd_bus_message *reply, const struct victim_candidate *candidate)
{
	const struct census_process *p = candidate->process;
	int r;

	r = sd_bus_message_open_container(reply, 'r', "uusstttttdibs");
	if (r >= 0)
		r = sd_bus_message_append(reply, "uu", (uint32_t)p->pid, p->uid);
	if (r >= 0)
		r = bus_append_foreign(reply, p->comm);
	if (r >= 0)
		r = bus_append_foreign(reply, census_cgroup_path(p));
	if (r >= 0)
		r = sd_bus_message_append(
			reply, "tttttdibs", proc_reclaimable(&candidate->memory),
			candidate->score.lo, candidate->score.hi, candidate->estimate,
			candidate->memory.swap, outlook_weight(candidate),
			candidate->cgroup ? 0 : (int)p->oom_score_adj, (int)candidate->precise,
			victim_verdict_to_string(candidate->verdict));
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_answer_candidates(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint32_t limit;
	int r;

	r = bus_read_limit(call, VICTIM_RANKED_MAX, VICTIM_RANKED_MAX, &limit);
	if (r >= 0)
		r = look_out(b);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(uusstttttdibs)");
	for (uint32_t i = 0; r >= 0 && i < min_u64(limit, b->outlook.result.n_ranked); i++)
		r = append_candidate(reply, &b->outlook.result.ranked[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(b->bus, reply, NULL);
}

static int answer_no_such_process(sd_bus_message *call, uint32_t pid)
{
	return sd_bus_reply_method_errorf(call, BUS_ERROR_NO_SUCH_PROCESS,
					  "There is no process %u.", pid);
}

/* The one who is asked about may be so new that the census has not seen it, or have changed its
 * name or cgroup since.  (Not by the number of a thread.) */
static void look_again(struct bus *b, pid_t pid)
{
	struct manager *m = b->manager;
	struct proc_status status;

	if (proc_read_status(m->proc_fd, pid, &status) != 0 ||
	    (status.tgid != 0 && status.tgid != pid) || memory_sample(m->memory, &b->reading) < 0)
		return;
	census_look_again(&m->census, pid, monitor_now(), b->reading.allocated);
	bus_forget_outlook(b);
}

/* 0, PROC_GONE, -errno. */
static int explain_one(struct bus *b, pid_t pid, struct explanation *ret)
{
	int r;

	look_again(b, pid);
	r = look_out(b);
	return r < 0 ? r : explain_process(&b->outlook, pid, ret);
}

/* The members of an Explain() that both kinds have. */
static int append_explanation(sd_bus_message *reply, const struct outlook *o, const char *json,
			      const char *reason)
{
	const struct victim_candidate *victim = outlook_victim(o);

	return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Json", "s", json, "Reason", "s",
				     reason, "Victim", "u",
				     victim ? (uint32_t)victim->process->pid : 0, "Processes", "u",
				     o->group.length > 0 ? o->group.n_processes : !!victim);
}

static int answer_machine(struct bus *b, sd_bus_message *reply)
{
	char text[EXPLAIN_ANSWER_SIZE];
	json_t *json;
	int r;

	r = look_out(b);
	if (r < 0)
		return r;
	if (!b->outlook_json) {
		json = explain_json_machine(&b->outlook);
		b->outlook_json = json ? json_dumps(json, JSON_COMPACT) : NULL;
		json_decref(json);
	}
	if (!b->outlook_json)
		return -ENOMEM;
	return append_explanation(reply, &b->outlook, b->outlook_json,
				  explain_answer_machine(&b->outlook, text));
}

static int answer_process(struct bus *b, sd_bus_message *reply, const struct explanation *e)
{
	const char *left_out = explain_left_out(e);
	_cleanup_free_ char *text = NULL;
	char answer[EXPLAIN_ANSWER_SIZE];
	json_t *json;
	int r;

	json = explain_json_process(&b->outlook, e);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return -ENOMEM;
	r = append_explanation(reply, &b->outlook, text,
			       explain_answer_process(&b->outlook, e, answer));
	if (r < 0)
		return r;
	return sd_bus_message_append(reply, "{sv}{sv}", "WouldGo", "b", (int)e->would_go, "LeftOut",
				     "s", left_out ? left_out : "");
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
	return r < 0 ? r : sd_bus_send(b->bus, reply, NULL);
}
