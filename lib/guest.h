// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program as the first process of a guest (`aioabi-cases guest`): it sets
 * the machine up, runs the executor on the port to the host, and switches the
 * machine off when that leaves.
 *
 * /guest.conf, made by runner/guest.py, says how:
 *
 *	alone		there is no port: what the args name is run, and told as
 *			KTAP in the kernel's log; in front of all others
 *	load MODULE	to begin with, if the kernel has it
 *	port PATH	a serial line, or the name of a virtio port; of several
 *			the first that is there
 *	device NAME	of the zoo, if the kernel has it; in this order
 *	arg TEXT	an option of the executor; alone, a pattern, too
 *	file PATH	to be sent when the executor has left
 *	late MODULE	to be loaded when the executor runs, if it is there
 */
#ifndef AIOABI_GUEST_H
#define AIOABI_GUEST_H

/* guest() - does not return. */
void guest(void) __attribute__((noreturn));

#endif
