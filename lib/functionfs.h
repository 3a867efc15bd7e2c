// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Endpoints whose reads and writes can be cancelled.
 *
 * A USB device of the case's own: its function is served by this process
 * through FunctionFS, whose endpoints are the files in the kernel that put
 * requests of native AIO on the list of those that can be cancelled. It is
 * plugged into dummy_hcd, which has the device and its host in one machine, so
 * that a request ends when the case, as the host, sends or takes data. Ask for
 * it with .needs = "functionfs". Cases with a device of their own run side by
 * side, as many as dummy_hcd has ports (its parameter num); others wait.
 */
#ifndef AIOABI_FUNCTIONFS_H
#define AIOABI_FUNCTIONFS_H

#include <stddef.h>
#include <sys/types.h>

/* What the host sends and takes at once: a request of it ends with that. */
#define ENDPOINT_PACKET 512

struct endpoints {
	int reader;  /* its reads end with what the host sends */
	int writer;  /* its writes end when the host takes their data */
	int eventfd; /* the function's own, nonblocking */
};

/* endpoints_open() - make the device, plug it in, and open its endpoints. */
struct endpoints *endpoints_open(void);

/*
 * endpoints_send(), endpoints_take() - as the host, one transfer: give the
 * bytes moved, or -errno, -ETIMEDOUT when nothing on the endpoint waits for it.
 */
long endpoints_send(struct endpoints *endpoints, const void *data, size_t len);
long endpoints_take(struct endpoints *endpoints, void *data, size_t len);

/* endpoints_unplug() - pull the device: requests end with -ESHUTDOWN. */
void endpoints_unplug(struct endpoints *endpoints);

struct io_event;
/*
 * reap_endpoints() - as stage_reap(), of requests on endpoints. Their res2 is
 * made 0 where the contract says that it is the result once more, and it is.
 */
void reap_endpoints(unsigned long ctx, long n, struct io_event *events);

#endif
