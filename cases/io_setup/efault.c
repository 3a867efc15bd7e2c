// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() with a handle that it cannot read, or cannot write.
 *
 * The write comes last, when the context is made, charged and mapped: each of
 * these has to be undone, or the process has a context that nobody can name.
 */
#include "case.h"

#define EVENTS 200 /* of the context that is undone: a ring of some pages */
#define ROUNDS 8

static aio_handle *unwritable_handle(void)
{
	aio_handle *ctxp = GUARDED(aio_handle);

	read_only(ctxp, sizeof(*ctxp));
	return ctxp;
}

CASE(io_setup, efault_unmapped, "a handle at no mapped address is EFAULT",
     .clause = "io_setup.efault.unmapped")
{
	EXPECT_ERR(EFAULT, aio->setup(1, NULL));
	EXPECT_ERR(EFAULT, aio->setup(1, nowhere()));
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, efault_kernel_address, "a handle in the kernel is EFAULT",
     .clause = "io_setup.efault.kernel_address")
{
	EXPECT_ERR(EFAULT, aio->setup(1, kernel_address()));
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, efault_alias,
     "so is one that the kernel itself has at another address",
     .clause = "io_setup.efault.kernel_address",
     .needs = "page_frames wide_long", .flavours = NATIVE)
{
	aio_handle *page = io_buffer(PAGE_SIZE), *alias;
	unsigned int way;

	*page = 0;
	for (way = 0; (alias = kernel_alias(page, way)); way++) {
		ROUND("way %u", way);
		EXPECT_ERR(EFAULT, aio->setup(1, alias));
		EXPECT_EQ(0, *page);
	}
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, efault_straddle,
     "a handle that runs into an unmapped page is EFAULT",
     .clause = "io_setup.efault.straddle")
{
	char *end = (char *)GUARDED(aio_handle) + sizeof(aio_handle);
	size_t missing;

	for (missing = 1; missing <= sizeof(aio_handle); missing++)
		EXPECT_ERR(EFAULT,
			   aio->setup(1, (aio_handle *)(end + missing -
							sizeof(aio_handle))));
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, efault_read_only,
     "a handle that can be read but not written is EFAULT",
     .clause = "io_setup.efault.read_only")
{
	aio_handle *ctxp = unwritable_handle();

	EXPECT_ERR(EFAULT, aio->setup(EVENTS, ctxp));
	EXPECT_EQ(0, *ctxp);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, efault_read_only_slot,
     "a context whose handle cannot be written gives its table index back",
     .clause = "io_setup.efault.read_only_undone")
{
	aio_handle *ctxp = unwritable_handle();
	unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		EXPECT_ERR(EFAULT, aio->setup(EVENTS, ctxp));
	EXPECT_EQ(0, ring_of(new_context(EVENTS))->id);
	EXPECT_EQ(1, maps_named("/[aio]"));
	EXPECT_ERR(EFAULT, aio->setup(EVENTS, ctxp));
	EXPECT_EQ(1, ring_of(new_context(EVENTS))->id);
	EXPECT_EQ(2, maps_named("/[aio]"));
}

CASE(io_setup, efault_read_only_quota,
     "a context whose handle cannot be written gives its quota back",
     .clause = "io_setup.efault.read_only_undone", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle *ctxp = unwritable_handle();
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		EXPECT_ERR(EFAULT, aio->setup(EVENTS, ctxp));
		EXPECT_QUOTA_BACK();
	}
}
