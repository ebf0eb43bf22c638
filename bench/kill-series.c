/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-series: medians and quartiles of the trials. */
#include "bench/kill-series.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double series_quantile(const struct series *series, enum trial_value value, double part)
{
	double values[SERIES_MAX], at = part * (series->n - 1);
	unsigned i = (unsigned)at;

	if (series->n == 0)
		return 0;
	for (unsigned k = 0; k < series->n; k++)
		values[k] = series->trials[k].value[value];
	qsort(values, series->n, sizeof(values[0]), compare);
	if (i + 1 >= series->n)
		return values[series->n - 1];
	return values[i] + (values[i + 1] - values[i]) * (at - i);
}

double series_median(const struct series *series, enum trial_value value)
{
	return series_quantile(series, value, 0.5);
}

void series_print_heading(void)
{
	printf("%31s %10s %8s %8s %8s %8s %8s %4s %6s\n", "ms", "reclaimed", "least", "most",
	       "sender", "others", "cpu", "n", "reaped");
}

void series_print(const char *name, const char *way, const struct series *series)
{
	bool is_given_up = series->n_given_up * 2 >= series->n && series->n > 0;

	printf("%20s %10s %2s%8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %4u %6u\n", name, way,
	       is_given_up ? ">" : "", series_median(series, TRIAL_RECLAIMED),
	       series_quantile(series, TRIAL_RECLAIMED, 0),
	       series_quantile(series, TRIAL_RECLAIMED, 1), series_median(series, TRIAL_SENDER),
	       series_median(series, TRIAL_OTHERS), series_median(series, TRIAL_CPU), series->n,
	       series->n_reaped);
}
