/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-builtin: the policies and rules that hold without any configuration.
 *
 * Rules go by unit and cgroup first, which a process cannot choose, and by name for machines
 * without systemd and for sessions that live in one scope.  A name is what a process calls itself,
 * so those that always run as root are asked for uid 0 too.  The kernel keeps 15 bytes of a name
 * (TASK_COMM_LEN in include/linux/sched.h): "gnome-session-b" is gnome-session-binary.  Names are
 * plain lists, which need no regex (policy.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/policy.h"

/* clang-format off */

static const struct {
	const char *name;
	unsigned memory_available; /* percent, 0: not set; likewise the next three */
	unsigned swap_free;
	unsigned pressure_full;
	unsigned thrashing;
	usec_t for_usec;
	enum policy_action action;
} builtin_policies[] = {
	{ "warn",      15, 25,  0,  0, 0,                POLICY_ACTION_WARN },
	{ "terminate", 10, 10,  0,  0, 0,                POLICY_ACTION_TERMINATE },
	{ "kill",       5,  5,  0,  0, 0,                POLICY_ACTION_KILL },
	/* Swap that is free is there to be used, and to write memory out takes time: everything
	 * stalls for up to 95 % of it.  What is written out because it is not used does not come
	 * back (at most 6 % of what is reclaimed, over 5 s); of what is used, 12 to 70 %.  Both
	 * were measured, docs/defaults.md has the tables. */
	{ "stall",      4,  0, 25, 15, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
	{ "thrash",    20,  0, 40, 10, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
};

#define USER_MANAGER "/user.slice/user-*.slice/user@*.service"
#define SYSTEM       "/system.slice/"

/* A unit's cgroup holds its services' children too: units that run other people's programs in
 * their own cgroup (sshd without logind, a display manager that starts sessions itself) are left
 * to the names.  Containers are elsewhere: docker-ID.scope, libpod-ID.scope, kubepods.slice,
 * /docker with the cgroupfs driver. */
static const struct {
	enum rule_kind kind;
	const char *name;
	const char *cgroup;
	const char *comm;
	bool root; /* of uid 0 only */
} builtin_rules[] = {
	{ RULE_PROTECT, "init-unit", .cgroup = "/init.scope " USER_MANAGER "/init.scope" },
	{ RULE_PROTECT, "session-unit", .cgroup = USER_MANAGER "/session.slice" },
	/* journald, logind, udevd, networkd, resolved, oomd and so on; not coredumps, which have
	 * a slice of their own */
	{ RULE_PROTECT, "systemd-unit", .cgroup =
	  SYSTEM "systemd-*.service " SYSTEM "elogind.service" },
	{ RULE_PROTECT, "bus-unit", .cgroup =
	  SYSTEM "dbus.service " SYSTEM "dbus-broker.service " SYSTEM "polkit.service" },
	{ RULE_PROTECT, "display-unit", .cgroup =
	  SYSTEM "gdm*.service " SYSTEM "sddm.service " SYSTEM "lightdm.service "
	  SYSTEM "lxdm.service " SYSTEM "ly.service " SYSTEM "system-ly.slice "
	  SYSTEM "greetd.service " SYSTEM "plasmalogin.service " SYSTEM "cosmic-greeter*.service" },
	{ RULE_PROTECT, "containers-unit", .cgroup =
	  SYSTEM "containerd.service " SYSTEM "docker.service " SYSTEM "crio.service "
	  SYSTEM "podman.service " SYSTEM "kubelet.service " SYSTEM "k3s*.service" },
	{ RULE_PROTECT, "network-unit", .cgroup =
	  SYSTEM "NetworkManager.service " SYSTEM "wpa_supplicant*.service "
	  SYSTEM "iwd.service " SYSTEM "connman.service" },
	{ RULE_PROTECT, "reckond-unit", .cgroup = SYSTEM "reckond.service" },

	{ RULE_PROTECT, "init", .root = true, .comm =
	  "^(init|runit|runsvdir|runsv|s6-svscan|s6-supervise|openrc-init|supervise-daemo|dinit|"
	  "finit)$" },
	{ RULE_PROTECT, "systemd", .comm =
	  "^(systemd|\\(sd-pam\\)|systemd-journal|systemd-logind|systemd-udevd|\\(udev-worker\\)|"
	  "systemd-network|systemd-resolve|systemd-timesyn|systemd-oomd|systemd-userdbd|"
	  "systemd-machine|elogind|elogind-daemon|udevd|eudevd)$" },
	{ RULE_PROTECT, "bus", .comm = "^(dbus-daemon|dbus-broker|dbus-broker-lau|polkitd)$" },
	{ RULE_PROTECT, "display", .comm =
	  "^(X|Xorg|Xwayland|Xvnc|Xtigervnc|gdm|gdm3|gdm-session-wor|sddm|sddm-helper|lightdm|"
	  "lxdm|lxdm-binary|lxdm-session|ly|ly-dm|greetd|xdm|slim|plasmalogin)$" },
	{ RULE_PROTECT, "compositor", .comm =
	  "^(gnome-shell|mutter|mutter-x11-fram|kwin_wayland|kwin_wayland_wr|kwin_x11|plasmashell|"
	  "cinnamon|muffin|xfwm4|marco|metacity|cosmic-comp|budgie-wm|gala|enlightenment|"
	  "sway|Hyprland|niri|river|wayfire|labwc|weston|gamescope|gamescope-wl|phoc|cage|dwl|"
	  "i3|openbox|bspwm|awesome|dwm|xmonad|xmonad-x86_64-l|qtile|fluxbox|icewm|herbstluftwm)$" },
	{ RULE_PROTECT, "session", .comm =
	  "^(gnome-session-b|gnome-session-s|gnome-session-c|gdm-wayland-ses|gdm-x-session|"
	  "plasma_session|startplasma-way|startplasma-x11|ksmserver|xfce4-session|cinnamon-sessio|"
	  "mate-session|lxqt-session|lxsession|budgie-session-|cosmic-session)$" },
	{ RULE_PROTECT, "login", .root = true, .comm =
	  "^(login|sulogin|getty|agetty|mingetty|fgetty)$" },
	/* the listener, and of each session the part that runs as root; /system.slice/ssh.service
	 * would take in whole sessions where there is no logind */
	{ RULE_PROTECT, "ssh", .root = true, .comm = "^(sshd|sshd-session|sshd-auth|dropbear)$" },
	{ RULE_PROTECT, "containers", .root = true, .comm =
	  "^(containerd|containerd-shim|dockerd|crio|conmon|kubelet|k3s-server|k3s-agent|lxcfs|"
	  "lxd|incusd)$" },
	{ RULE_PROTECT, "network", .root = true, .comm =
	  "^(NetworkManager|wpa_supplicant|iwd|connmand|dhclient|dhcpcd)$" },
	{ RULE_PROTECT, "reckond", .root = true, .comm = "^reckond$" },

	/* What people are logged in by.  Not protected: a script is a shell too, and can grow. */
	{ RULE_AVOID, "shell", .comm =
	  "^(sh|ash|bash|dash|fish|ksh|mksh|zsh|csh|tcsh|su|sudo|doas|screen|tmux: server|"
	  "tmux: client|sshd|sshd-session|mosh-server)$" },
};

/* clang-format on */

/* Percentages are capped at what they come to on a machine of this size: 10 % at 4 GiB.  How much a
 * victim must give back, and how fast memory is taken, does not grow with the machine.  Those that
 * wait for pressure are not: much more memory than that can be full of what all are waiting for.
 * (docs/defaults.md, Caps) */
#define CAPPED_FROM (40 * GIB)

/* Watched from here on: 20 s at POLICY_FILL_BYTES_PER_SEC. */
#define WATCH_CAP (64 * GIB)

static struct policy_line percent_line(unsigned percent, uint64_t capped_from)
{
	return (struct policy_line){
		.set = percent > 0,
		.permyriad = percent * PERMYRIAD / 100,
		.cap = capped_from * percent / 100,
	};
}

static int add_policies(struct policy_set *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtin_policies); i++) {
		struct policy *policy = policy_set_policy(set, builtin_policies[i].name);
		uint64_t capped_from;

		if (!policy)
			return -ENOMEM;
		capped_from = builtin_policies[i].pressure_full > 0 ? 0 : CAPPED_FROM;
		policy->memory_available =
			percent_line(builtin_policies[i].memory_available, capped_from);
		policy->swap_free = percent_line(builtin_policies[i].swap_free, capped_from);
		policy->pressure_full = builtin_policies[i].pressure_full * PERMYRIAD / 100;
		policy->thrashing = builtin_policies[i].thrashing * PERMYRIAD / 100;
		policy->for_usec = builtin_policies[i].for_usec;
		policy->action = builtin_policies[i].action;
	}
	return 0;
}

static int add_rules(struct policy_set *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtin_rules); i++) {
		struct rule *rule =
			policy_set_rule(set, builtin_rules[i].kind, builtin_rules[i].name);
		char error[128];
		int r;

		if (!rule)
			return -ENOMEM;
		rule->builtin = true;
		rule->has_uid = builtin_rules[i].root;
		r = rule_set_comm(rule, builtin_rules[i].comm, error, sizeof(error));
		assert(r != -EINVAL);
		if (r < 0)
			return r;
		if (!builtin_rules[i].cgroup)
			continue;
		rule->cgroup = strdup(builtin_rules[i].cgroup);
		if (!rule->cgroup)
			return -ENOMEM;
	}
	return 0;
}

int policy_set_init_defaults(struct policy_set *set)
{
	struct policy_set defaults = {
		.watch_below = { .set = true, .permyriad = 3000, .cap = WATCH_CAP },
		.kill_timeout_usec = 2 * USEC_PER_SEC,
	};
	int r;

	defaults.scope = strdup("/");
	r = defaults.scope ? add_policies(&defaults) : -ENOMEM;
	if (r == 0)
		r = add_rules(&defaults);
	if (r < 0) {
		policy_set_done(&defaults);
		return r;
	}
	*set = defaults;
	return 0;
}
