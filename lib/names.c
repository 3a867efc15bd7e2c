// SPDX-License-Identifier: GPL-2.0-or-later
#include "names.h"

#include <stdio.h>
#include <string.h>

/* include/linux/errno.h: never meant for user space, so a find if seen */
static const struct {
	int number;
	const char *name;
} internal_errnos[] = {
	{ 512, "ERESTARTSYS" },
	{ 513, "ERESTARTNOINTR" },
	{ 514, "ERESTARTNOHAND" },
	{ 515, "ENOIOCTLCMD" },
	{ 516, "ERESTART_RESTARTBLOCK" },
	{ 517, "EPROBE_DEFER" },
	{ 524, "ENOTSUPP" },
	{ 529, "EIOCBQUEUED" },
};

static const char *errno_name(int number)
{
	unsigned int i;

	for (i = 0; i < sizeof(internal_errnos) / sizeof(internal_errnos[0]);
	     i++)
		if (internal_errnos[i].number == number)
			return internal_errnos[i].name;
	return strerrorname_np(number);
}

const char *value_name(long long value, char *buf, size_t size)
{
	const char *name = NULL;

	if (value < 0 && value >= -4095)
		name = errno_name((int)-value);
	if (name)
		snprintf(buf, size, "-%s", name);
	else
		snprintf(buf, size, "%lld", value);
	return buf;
}

const char *signal_name(int sig, char *buf, size_t size)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		snprintf(buf, size, "SIG%s", name);
	else
		snprintf(buf, size, "signal %d", sig);
	return buf;
}
