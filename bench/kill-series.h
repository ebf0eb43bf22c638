/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-series: the trials of one way to kill one kind of victim, and their medians. */
#pragma once

enum trial_value {
	TRIAL_RECLAIMED, /* until the memory was reclaimed; where it was given up: until then */
	TRIAL_SENDER,
	TRIAL_OTHERS,
	TRIAL_CPU,
	_TRIAL_VALUE_MAX,
};

/* In milliseconds. */
struct trial {
	double value[_TRIAL_VALUE_MAX];
};

#define SERIES_MAX 99

struct series {
	unsigned n, n_given_up;
	unsigned n_reaped; /* of so many process_mrelease(2) got hold in time */
	struct trial trials[SERIES_MAX];
};

/* Between two trials where it falls between them; 0 of none. */
double series_quantile(const struct series *series, enum trial_value value, double part);
double series_median(const struct series *series, enum trial_value value);

void series_print_heading(void);
/* One line of the table: medians, and the least and the most of TRIAL_RECLAIMED. */
void series_print(const char *name, const char *way, const struct series *series);
