/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-builtin: the policies and rules that hold without any configuration.
 *
 * Rules match the system's units first, which no user can choose, and names for machines without
 * systemd and for sessions.  A process can set its own name, so a name counts only with proof (enum
 * rule_proof) and where such a program is run, which is not in a container.  Those that always run
 * as root are asked for uid 0, and their file may be a script's interpreter (dnf); of others the
 * file must be of that name too.  A user can still make any program of that user allocate
 * (LD_PRELOAD, ptrace), so protection of a user's processes has a ceiling (eligibility.h).
 *
 * The kernel keeps 15 bytes of a name (TASK_COMM_LEN in include/linux/sched.h): "gnome-session-b"
 * is gnome-session-binary.  Names are plain lists, which need no regex (policy-rules.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/policy.h"

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
	 * stalls for up to 95% of it.  What is written out because it is not used is not read
	 * again (at most 6% of what is reclaimed, over 5 s); of what is used, 12 to 70%.  Both
	 * were measured, docs/defaults.md has the tables. */
	{ "stall",      4,  0, 25, 15, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
	{ "thrash",    20,  0, 40, 10, 5 * USEC_PER_SEC, POLICY_ACTION_KILL },
};

#define USER_MANAGER "/user.slice/user-*.slice/user@*.service"
#define SYSTEM       "/system.slice/"

/* Services, units of a slice of their own (getty@tty1.service), and what is run by hand; without
 * systemd OpenRC's services, and the sessions of elogind, which are a number or "c" and a number. */
#define SERVICES \
	"/init.scope " SYSTEM "*.service " SYSTEM "*.slice/*.service /openrc.* /[0-9]* /c[0-9]*"
/* Each container has one of its own. */
#define CONMON \
	SYSTEM "crio-conmon-*.scope /machine.slice/libpod-conmon-*.scope " \
	"/kubepods.slice/*/crio-conmon-*.scope /kubepods.slice/*/*/crio-conmon-*.scope"
/* All but containers, virtual machines and whatever else has a slice of its own. */
#define HOST \
	SERVICES " /user.slice " SYSTEM "run-*.scope /runtime.slice /podruntime.slice " CONMON
/* Of a session's own: what its login started, and services of the user's manager, which have been
 * in session.slice and app.slice since systemd 246, and directly below the manager before. */
#define SESSION \
	SERVICES " /user.slice/user-*.slice/session-*.scope " USER_MANAGER "/init.scope " \
	USER_MANAGER "/session.slice " USER_MANAGER "/*.service " \
	USER_MANAGER "/app.slice/*.service " USER_MANAGER "/app.slice/*.slice/*.service"

/* The protection that a rule of each class gives: below the ceiling, above it, and with which
 * proof. */
enum class {
	CLASS_UNIT,	/* a system's unit, of any size */
	CLASS_ROOT,	/* by name, of root's, of any size */
	CLASS_USER,	/* by name, of any user's; an ordinary candidate above */
	CLASS_DISPLAY,	/* a system's unit in which users can have memory */
	CLASS_SLICE,	/* a user's cgroup, in which there may be anything */
	CLASS_SESSION,	/* by name, reluctant; an ordinary candidate above */
	CLASS_LOCKER,	/* by name, of any user's; reluctant above */
	CLASS_PACKAGES, /* by name, of root's; reluctant above */
	CLASS_WEIGHT,	/* not of PROTECT */
};

static const struct {
	enum rule_protection protection, above_ceiling;
	enum rule_proof proof;
	const char *place;
	bool root; /* of uid 0 only */
} classes[] = {
	[CLASS_UNIT] = { 0 },
	[CLASS_ROOT] = { RULE_PROTECTION_NEVER, RULE_PROTECTION_NEVER, RULE_PROOF_FILE, HOST,
			 true },
	[CLASS_USER] = { RULE_PROTECTION_NEVER, RULE_PROTECTION_AVOID, RULE_PROOF_PROGRAM,
			 SESSION },
	[CLASS_DISPLAY] = { RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
	[CLASS_SLICE] = { RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID, RULE_PROOF_FILE },
	[CLASS_SESSION] = { RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID, RULE_PROOF_PROGRAM,
			    SESSION },
	[CLASS_LOCKER] = { RULE_PROTECTION_NEVER, RULE_PROTECTION_RELUCTANT, RULE_PROOF_PROGRAM,
			   HOST },
	[CLASS_PACKAGES] = { RULE_PROTECTION_NEVER, RULE_PROTECTION_RELUCTANT, RULE_PROOF_FILE,
			     HOST, true },
	[CLASS_WEIGHT] = { 0 },
};

/* A unit's cgroup holds its services' children too: units that run other people's programs in
 * their own cgroup (sshd without logind, a display manager that starts sessions itself) are left
 * to the names.  Containers are elsewhere: docker-ID.scope, libpod-ID.scope, kubepods.slice,
 * /docker with the cgroupfs driver. */
static const struct {
	enum rule_kind kind;
	enum class class;
	const char *name;
	const char *cgroup;
	const char *comm;
} builtin_rules[] = {
	{ RULE_PROTECT, CLASS_UNIT, "init-unit", .cgroup = "/init.scope" },
	{ RULE_PROTECT, CLASS_SLICE, "session-unit", .cgroup = USER_MANAGER "/session.slice" },
	/* journald, logind, udevd, networkd, resolved, oomd and so on; not coredumps, which have
	 * a slice of their own */
	{ RULE_PROTECT, CLASS_UNIT, "systemd-unit", .cgroup =
	  SYSTEM "systemd-*.service " SYSTEM "elogind.service" },
	{ RULE_PROTECT, CLASS_UNIT, "bus-unit", .cgroup =
	  SYSTEM "dbus.service " SYSTEM "dbus-broker.service " SYSTEM "polkit.service" },
	{ RULE_PROTECT, CLASS_DISPLAY, "display-unit", .cgroup =
	  SYSTEM "gdm*.service " SYSTEM "sddm.service " SYSTEM "lightdm.service "
	  SYSTEM "lxdm.service " SYSTEM "ly.service " SYSTEM "system-ly.slice "
	  SYSTEM "greetd.service " SYSTEM "plasmalogin.service " SYSTEM "cosmic-greeter*.service" },
	{ RULE_PROTECT, CLASS_UNIT, "containers-unit", .cgroup =
	  SYSTEM "containerd.service " SYSTEM "docker.service " SYSTEM "crio.service "
	  SYSTEM "podman.service " SYSTEM "kubelet.service " SYSTEM "k3s*.service" },
	{ RULE_PROTECT, CLASS_UNIT, "network-unit", .cgroup =
	  SYSTEM "NetworkManager.service " SYSTEM "wpa_supplicant*.service "
	  SYSTEM "iwd.service " SYSTEM "connman.service" },
	{ RULE_PROTECT, CLASS_UNIT, "reckond-unit", .cgroup = SYSTEM "reckond.service" },

	{ RULE_PROTECT, CLASS_ROOT, "init", .comm =
	  "^(init|runit|runsvdir|runsv|s6-svscan|s6-supervise|openrc-init|supervise-daemo|dinit|"
	  "finit)$" },
	{ RULE_PROTECT, CLASS_ROOT, "systemd", .comm =
	  "^(systemd|systemd-journal|systemd-logind|systemd-udevd|\\(udev-worker\\)|"
	  "systemd-userdbd|systemd-machine|elogind|elogind-daemon|udevd|eudevd)$" },
	/* A user's manager, with its PAM session, whose program is systemd's, and daemons that have
	 * a user of their own. */
	{ RULE_PROTECT, CLASS_USER, "systemd-user", .comm =
	  "^(systemd|\\(sd-pam\\)|systemd-executo|systemd-network|systemd-resolve|"
	  "systemd-timesyn|systemd-oomd)$" },
	{ RULE_PROTECT, CLASS_USER, "bus", .comm =
	  "^(dbus-daemon|dbus-broker|dbus-broker-lau|polkitd)$" },
	{ RULE_PROTECT, CLASS_SESSION, "display", .comm =
	  "^(X|Xorg|Xwayland|Xvnc|Xtigervnc|gdm|gdm3|gdm-session-wor|sddm|sddm-helper|lightdm|"
	  "lxdm|lxdm-binary|lxdm-session|ly|ly-dm|greetd|xdm|slim|plasmalogin)$" },
	/* (qtile is a script, and xmonad compiles itself into the user's home.) */
	{ RULE_PROTECT, CLASS_SESSION, "compositor", .comm =
	  "^(gnome-shell|mutter|mutter-x11-fram|kwin_wayland|kwin_wayland_wr|kwin_x11|plasmashell|"
	  "cinnamon|muffin|xfwm4|marco|metacity|cosmic-comp|budgie-wm|gala|enlightenment|"
	  "sway|Hyprland|niri|river|wayfire|labwc|weston|gamescope|gamescope-wl|phoc|cage|dwl|"
	  "i3|openbox|bspwm|awesome|dwm|xmonad|fluxbox|icewm|herbstluftwm)$" },
	{ RULE_PROTECT, CLASS_SESSION, "session", .comm =
	  "^(gnome-session-b|gnome-session-s|gnome-session-c|gnome-session-i|gdm-wayland-ses|"
	  "gdm-x-session|plasma_session|startplasma-way|startplasma-x11|ksmserver|xfce4-session|"
	  "cinnamon-sessio|mate-session|lxqt-session|lxsession|budgie-session-|cosmic-session)$" },
	/* Killing one may unlock the screen.  (Those that are scripts, as cinnamon-screensaver, are
	 * named by their interpreter alone.) */
	{ RULE_PROTECT, CLASS_LOCKER, "locker", .comm =
	  "^(swaylock|i3lock|i3lock-color|xscreensaver|xscreensaver-au|xscreensaver-sy|"
	  "gnome-screensav|mate-screensave|xfce4-screensav|budgie-screensa|cs-backup-locke|"
	  "kscreenlocker_g|light-locker|xsecurelock|auth_x11|slock|hyprlock|gtklock|physlock|"
	  "vlock|vlock-main|waylock|xlock|xtrlock|cosmic-greeter)$" },
	/* Killed half-way they leave a machine that does not start.  Not their children: a
	 * maintainer's script is a shell. */
	{ RULE_PROTECT, CLASS_PACKAGES, "packages", .comm =
	  "^(apt|apt-get|aptitude|aptd|dpkg|dpkg-deb|unattended-upgr|do-release-upgr|dnf|dnf-3|"
	  "dnf5|dnf5daemon-serv|microdnf|yum|rpm|rpm-ostree|packagekitd|pacman|zypper|Zypp-main|"
	  "apk|emerge|xbps-install|eopkg|snapd|flatpak-system-|fwupd)$" },
	{ RULE_PROTECT, CLASS_ROOT, "login", .comm =
	  "^(login|sulogin|getty|agetty|mingetty|fgetty)$" },
	/* the listener, and of each session the part that runs as root; /system.slice/ssh.service
	 * would take in whole sessions where there is no logind */
	{ RULE_PROTECT, CLASS_ROOT, "ssh", .comm = "^(sshd|sshd-session|sshd-auth|dropbear)$" },
	{ RULE_PROTECT, CLASS_ROOT, "containers", .comm =
	  "^(containerd|containerd-shim|dockerd|crio|conmon|kubelet|k3s-server|k3s-agent|lxcfs|"
	  "lxd|incusd)$" },
	{ RULE_PROTECT, CLASS_ROOT, "network", .comm =
	  "^(NetworkManager|wpa_supplicant|iwd|connmand|dhclient|dhcpcd)$" },
	{ RULE_PROTECT, CLASS_ROOT, "reckond", .comm = "^reckond$" },

	/* Login shells.  Not protected: a script is a shell too, and can grow. */
	{ RULE_AVOID, CLASS_WEIGHT, "shell", .comm =
	  "^(sh|ash|bash|dash|fish|ksh|mksh|zsh|csh|tcsh|su|sudo|doas|screen|tmux: server|"
	  "tmux: client|sshd|sshd-session|mosh-server)$" },
};

/* clang-format on */

/* Percentages are capped at their value on a machine of this size: 10% at 4 GiB.  How much a victim
 * must free, and how fast memory is allocated, does not grow with the machine.  Those that wait for
 * pressure are not: much more memory than that can be full of what all are waiting for.
 * (docs/defaults.md, Caps) */
#define CAPPED_FROM (40 * GIB)

/* Watched from here on: 20 s at POLICY_FILL_BYTES_PER_SEC. */
#define WATCH_CAP (64 * GIB)

static struct policy_threshold percent_threshold(unsigned percent, uint64_t capped_from)
{
	return (struct policy_threshold){
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
			percent_threshold(builtin_policies[i].memory_available, capped_from);
		policy->swap_free = percent_threshold(builtin_policies[i].swap_free, capped_from);
		policy->pressure_full = builtin_policies[i].pressure_full * PERMYRIAD / 100;
		policy->thrashing = builtin_policies[i].thrashing * PERMYRIAD / 100;
		policy->for_usec = builtin_policies[i].for_usec;
		policy->action = builtin_policies[i].action;
	}
	return 0;
}

static void take_class(struct rule *rule, enum class class)
{
	rule->protection = classes[class].protection;
	rule->above_ceiling = classes[class].above_ceiling;
	rule->proof = classes[class].proof;
	rule->place = classes[class].place;
	rule->has_uid = classes[class].root;
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
		take_class(rule, builtin_rules[i].class);
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

	defaults.subtree = strdup("/");
	r = defaults.subtree ? add_policies(&defaults) : -ENOMEM;
	if (r == 0)
		r = add_rules(&defaults);
	if (r < 0) {
		policy_set_done(&defaults);
		return r;
	}
	*set = defaults;
	return 0;
}
