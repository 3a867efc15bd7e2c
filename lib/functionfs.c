// SPDX-License-Identifier: GPL-2.0-or-later
#include "functionfs.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/usb/functionfs.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "modules.h"
#include "needs.h"

#define CONFIGFS     "/sys/kernel/config"
#define GADGETS	     CONFIGFS "/usb_gadget"
#define CONTROLLERS  "/sys/class/udc"
#define CONTROLLER   "dummy_udc."
#define TRANSFER_MS  20000    /* a hang guard: a transfer takes milliseconds */
#define VENDOR	     "0x1d6b" /* the Linux Foundation's */
#define PRODUCT	     "0x0104"
#define PACKET_FULL  64 /* of a bulk endpoint at full speed */
#define INTERFACE_NR 0

/* The device, and how it is found again; the case knows the first part. */
struct gadget {
	struct endpoints endpoints;
	unsigned int controller;
	int claim;	    /* of the controller, locked */
	int control;	    /* ep0 */
	int host;	    /* of usbfs */
	unsigned char from; /* the host sends to this address … */
	unsigned char to;   /* … and takes from this one */
	char folder[64];    /* in configfs */
	char instance[32];  /* of the function */
};

static struct gadget *gadget_of(struct endpoints *endpoints)
{
	return (struct gadget *)(void *)endpoints;
}

/* --- needs --- */

/* Only a function shows whether the kernel has it; the first loads it. */
static const char *no_function(void)
{
	char folder[64], function[128];
	const char *why = NULL;

	snprintf(folder, sizeof(folder), GADGETS "/aioabi-%d", getpid());
	snprintf(function, sizeof(function), "%s/functions/ffs.aioabi-%d",
		 folder, getpid());
	if (mkdir(folder, 0755))
		return strerror(errno);
	if (mkdir(function, 0755))
		why = strerror(errno);
	rmdir(function);
	rmdir(folder);
	return why;
}

NEED(functionfs, "USB FunctionFS, and dummy_hcd to plug it into")
{
	static const char *const modules[] = { "configfs", "dummy_hcd",
					       "libcomposite", "usb_f_fs" };
	char why[300];
	unsigned int i;

	if (geteuid())
		return "run by another user";
	/* those of a guest; what is still lacking then, is told below */
	for (i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		module_load(modules[i], why, sizeof(why));
	if (machine_is_ours && access(GADGETS, F_OK))
		mount("configfs", CONFIGFS, "configfs", 0, NULL);
	if (access(GADGETS, W_OK))
		return "configfs has no usb_gadget";
	if (access(CONTROLLERS "/" CONTROLLER "0", F_OK))
		return "there is no dummy_udc";
	if (access("/dev/bus/usb", F_OK))
		return "there is no /dev/bus/usb";
	return no_function();
}

/* --- small things --- */

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static void make_dir(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	REQUIRE(!mkdir(path, 0755));
}

static void remove_dir(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rmdir(path);
}

/* --- the descriptors of the device --- */

struct side {
	struct usb_interface_descriptor interface;
	struct usb_endpoint_descriptor_no_audio in, out;
} __attribute__((packed));

static struct usb_endpoint_descriptor_no_audio bulk(unsigned char address,
						    unsigned int packet)
{
	return (struct usb_endpoint_descriptor_no_audio){
		.bLength = sizeof(struct usb_endpoint_descriptor_no_audio),
		.bDescriptorType = USB_DT_ENDPOINT,
		.bEndpointAddress = address,
		.bmAttributes = USB_ENDPOINT_XFER_BULK,
		.wMaxPacketSize = htole16((uint16_t)packet),
	};
}

static struct side side_of(unsigned int packet)
{
	return (struct side){
		.interface = {
			.bLength = sizeof(struct usb_interface_descriptor),
			.bDescriptorType = USB_DT_INTERFACE,
			.bNumEndpoints = 2,
			.bInterfaceClass = USB_CLASS_VENDOR_SPEC,
			.iInterface = 1,
		},
		.in = bulk(USB_DIR_IN | 1, packet),
		.out = bulk(USB_DIR_OUT | 2, packet),
	};
}

#define SIDE_DESCRIPTORS 3

static void write_descriptors(int control, int counter)
{
	struct {
		struct usb_functionfs_descs_head_v2 head;
		__le32 eventfd, full_count, high_count;
		struct side full, high;
	} __attribute__((packed)) descriptors = {
		.head = {
			.magic = htole32(FUNCTIONFS_DESCRIPTORS_MAGIC_V2),
			.length = htole32(sizeof(descriptors)),
			.flags = htole32(FUNCTIONFS_HAS_FS_DESC |
					 FUNCTIONFS_HAS_HS_DESC |
					 FUNCTIONFS_EVENTFD),
		},
		.eventfd = htole32((uint32_t)counter),
		.full_count = htole32(SIDE_DESCRIPTORS),
		.high_count = htole32(SIDE_DESCRIPTORS),
		.full = side_of(PACKET_FULL),
		.high = side_of(ENDPOINT_PACKET),
	};
	struct {
		struct usb_functionfs_strings_head head;
		__le16 language;
		char name[sizeof("aioabi")];
	} __attribute__((packed)) strings = {
		.head = {
			.magic = htole32(FUNCTIONFS_STRINGS_MAGIC),
			.length = htole32(sizeof(strings)),
			.str_count = htole32(1),
			.lang_count = htole32(1),
		},
		.language = htole16(0x0409), /* English */
		.name = "aioabi",
	};

	REQUIRE(write(control, &descriptors, sizeof(descriptors)) ==
		sizeof(descriptors));
	REQUIRE(write(control, &strings, sizeof(strings)) == sizeof(strings));
}

/* --- making it and taking it down --- */

/* A controller of our own as long as the descriptor is open; false: none. */
static bool claim_controller(struct gadget *gadget)
{
	char path[64];

	for (gadget->controller = 0;; gadget->controller++) {
		snprintf(path, sizeof(path),
			 CONTROLLERS "/" CONTROLLER "%u/state",
			 gadget->controller);
		gadget->claim = open(path, O_RDONLY | O_CLOEXEC);
		if (gadget->claim < 0)
			return false;
		if (!flock(gadget->claim, LOCK_EX | LOCK_NB))
			return true;
		close(gadget->claim);
	}
}

/* Also what a killed case left of the device on this controller. */
static void remove_gadget(const struct gadget *gadget)
{
	char path[PATH_MAX];

	write_file(gadget->folder, "UDC", "\n");
	snprintf(path, sizeof(path), "%s/configs/c.1/f", gadget->folder);
	unlink(path);
	snprintf(path, sizeof(path), "functions/ffs.%s", gadget->instance);
	remove_dir(gadget->folder, path);
	remove_dir(gadget->folder, "configs/c.1");
	rmdir(gadget->folder);
}

static void make_gadget(const struct gadget *gadget)
{
	char function[PATH_MAX], path[PATH_MAX];

	/* one whose case was killed goes when its last descriptor does */
	for (remove_gadget(gadget); !access(gadget->folder, F_OK);
	     remove_gadget(gadget))
		breathe();
	REQUIRE(!mkdir(gadget->folder, 0755));
	REQUIRE(!write_file(gadget->folder, "idVendor", VENDOR));
	REQUIRE(!write_file(gadget->folder, "idProduct", PRODUCT));
	snprintf(path, sizeof(path), "functions/ffs.%s", gadget->instance);
	make_dir(gadget->folder, path);
	snprintf(function, sizeof(function), "%s/%s", gadget->folder, path);
	make_dir(gadget->folder, "configs/c.1");
	snprintf(path, sizeof(path), "%s/configs/c.1/f", gadget->folder);
	REQUIRE(!symlink(function, path));
}

/* The function's files, mounted nowhere: gives a descriptor of their place. */
static int mount_function(const struct gadget *gadget)
{
	int mnt, fs = (int)syscall(SYS_fsopen, "functionfs", FSOPEN_CLOEXEC);

	REQUIRE(fs >= 0);
	REQUIRE(!syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source",
			 gadget->instance, 0));
	REQUIRE(!syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	REQUIRE(mnt >= 0);
	close(fs);
	return mnt;
}

/* Plug it in, and wait until the host has taken it into use. */
static void plug(const struct gadget *gadget)
{
	struct usb_functionfs_event event;
	char controller[32];

	snprintf(controller, sizeof(controller), CONTROLLER "%u",
		 gadget->controller);
	REQUIRE(!write_file(gadget->folder, "UDC", controller));
	do
		REQUIRE(read(gadget->control, &event, sizeof(event)) ==
			sizeof(event));
	while (event.type != FUNCTIONFS_ENABLE);
}

/* A directory whose name begins so, in this one; false when there is none. */
static bool find_in(char *dir, size_t size, const char *prefix)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	size_t used = strlen(dir);
	bool found = false;

	while (stream && !found && (entry = readdir(stream))) {
		found = !strncmp(entry->d_name, prefix, strlen(prefix));
		if (found)
			snprintf(dir + used, size - used, "/%s", entry->d_name);
	}
	if (stream)
		closedir(stream);
	return found;
}

/* The host's side: the one device on the one port of its bus. */
static int open_host(const struct gadget *gadget)
{
	char dir[PATH_MAX], path[PATH_MAX], port[16];
	long bus, number;
	int fd;

	snprintf(dir, sizeof(dir), "/sys/devices/platform/dummy_hcd.%u",
		 gadget->controller);
	REQUIRE(find_in(dir, sizeof(dir), "usb"));
	snprintf(path, sizeof(path), "%s/busnum", dir);
	bus = file_number(path);
	snprintf(port, sizeof(port), "%ld-1", bus);
	snprintf(path, sizeof(path), "%s/%s/devnum", dir, port);
	number = file_number(path);
	snprintf(path, sizeof(path), "/dev/bus/usb/%03ld/%03ld", bus, number);
	WAIT_FOR((fd = open(path, O_RDWR | O_CLOEXEC)) >= 0 || errno != ENOENT);
	REQUIRE(fd >= 0);
	return fd;
}

static unsigned char address_of(int endpoint)
{
	struct usb_endpoint_descriptor descriptor;

	REQUIRE(!ioctl(endpoint, FUNCTIONFS_ENDPOINT_DESC, &descriptor));
	return descriptor.bEndpointAddress;
}

static void close_gadget(void *arg)
{
	struct gadget *gadget = arg;

	write_file(gadget->folder, "UDC", "\n");
	close(gadget->endpoints.reader);
	close(gadget->endpoints.writer);
	close(gadget->endpoints.eventfd);
	close(gadget->host);
	close(gadget->control);
	remove_gadget(gadget);
	close(gadget->claim);
	free(gadget);
}

struct endpoints *endpoints_open(void)
{
	struct gadget *gadget = calloc(1, sizeof(*gadget));
	int mnt, interface = INTERFACE_NR;

	REQUIRE(gadget);
	WAIT_FOR(claim_controller(gadget));
	snprintf(gadget->instance, sizeof(gadget->instance), "aioabi%u",
		 gadget->controller);
	snprintf(gadget->folder, sizeof(gadget->folder), GADGETS "/%s",
		 gadget->instance);
	make_gadget(gadget);
	mnt = mount_function(gadget);
	gadget->control = openat(mnt, "ep0", O_RDWR | O_CLOEXEC);
	REQUIRE(gadget->control >= 0);
	gadget->endpoints.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	REQUIRE(gadget->endpoints.eventfd >= 0);
	write_descriptors(gadget->control, gadget->endpoints.eventfd);
	gadget->endpoints.writer = openat(mnt, "ep1", O_RDWR | O_CLOEXEC);
	REQUIRE(gadget->endpoints.writer >= 0);
	gadget->endpoints.reader = openat(mnt, "ep2", O_RDWR | O_CLOEXEC);
	REQUIRE(gadget->endpoints.reader >= 0);
	close(mnt);
	plug(gadget);
	gadget->to = address_of(gadget->endpoints.writer);
	gadget->from = address_of(gadget->endpoints.reader);
	gadget->host = open_host(gadget);
	REQUIRE(!ioctl(gadget->host, USBDEVFS_CLAIMINTERFACE, &interface));
	eventfd_take(gadget->endpoints.eventfd); /* the events of ep0 */
	at_end(close_gadget, gadget);
	return &gadget->endpoints;
}

/* --- the host --- */

static long transfer(struct gadget *gadget, unsigned char address, void *data,
		     size_t len)
{
	struct usbdevfs_bulktransfer bulk = {
		.ep = address,
		.len = (unsigned int)len,
		.timeout = TRANSFER_MS,
		.data = data,
	};
	int moved = ioctl(gadget->host, USBDEVFS_BULK, &bulk);

	return moved < 0 ? -errno : moved;
}

long endpoints_send(struct endpoints *endpoints, const void *data, size_t len)
{
	struct gadget *gadget = gadget_of(endpoints);

	return transfer(gadget, gadget->from, (void *)(uintptr_t)data, len);
}

long endpoints_take(struct endpoints *endpoints, void *data, size_t len)
{
	struct gadget *gadget = gadget_of(endpoints);

	return transfer(gadget, gadget->to, data, len);
}

void endpoints_unplug(struct endpoints *endpoints)
{
	REQUIRE(!write_file(gadget_of(endpoints)->folder, "UDC", "\n"));
}

void reap_endpoints(unsigned long ctx, long n, struct io_event *events)
{
	bool twice = contract_in_force("ops.event.res2_functionfs");
	long i;

	stage_reap(ctx, n, events);
	for (i = 0; twice && i < n; i++)
		if (events[i].res2 == events[i].res)
			events[i].res2 = 0;
}
