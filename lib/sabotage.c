// SPDX-License-Identifier: GPL-2.0-or-later
#include "sabotage.h"

#include <limits.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "copy.h"

#define LIST_MAX                                                             \
	64	    /* requests of a list, and events, that a break looks at \
		     */
#define WRONG	  5 /* a number that nothing here should give */
#define WRONG_KEY 7

static const struct aio_calls *kernel;
static const struct breakage *broken;
static unsigned int broken_nth;
static atomic_uint *made; /* children count on */

static void put_handle(aio_handle *ctxp, aio_handle ctx)
{
	copy_checked(ctxp, &ctx, sizeof(ctx));
}

static long other_errno(long result)
{
	return result == -EINVAL ? -ENOMEM : -EINVAL;
}

/* --- io_setup --- */

static long setup_other_errno(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);

	return result < 0 ? other_errno(result) : result;
}

static long setup_success_for_failure(unsigned int nr, aio_handle *ctxp)
{
	kernel->setup(nr, ctxp);
	return 0;
}

static long setup_refused(unsigned int nr, aio_handle *ctxp)
{
	return -EAGAIN;
}

static long setup_failure_for_success(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);

	return result ? result : -ENOMEM;
}

static long setup_positive(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);

	return result ? result : 1;
}

static long setup_ctxp_unwritten(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);

	if (!result)
		put_handle(ctxp, 0);
	return result;
}

static long setup_ctxp_written_on_error(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);

	if (result)
		put_handle(ctxp, (aio_handle)nowhere());
	return result;
}

static long setup_handle_shifted(unsigned int nr, aio_handle *ctxp)
{
	long result = kernel->setup(nr, ctxp);
	aio_handle ctx;

	if (!result && copy_checked(&ctx, ctxp, sizeof(ctx)))
		put_handle(ctxp, ctx + sizeof(struct aio_ring));
	return result;
}

static long setup_handle_given_twice(unsigned int nr, aio_handle *ctxp)
{
	static aio_handle first;
	long result = kernel->setup(nr, ctxp);

	if (result)
		return result;
	if (first)
		put_handle(ctxp, first);
	else
		copy_checked(&first, ctxp, sizeof(first));
	return result;
}

static long setup_nr_less(unsigned int nr, aio_handle *ctxp)
{
	return kernel->setup(nr > 1 ? nr - 1 : nr, ctxp);
}

static long setup_nr_more(unsigned int nr, aio_handle *ctxp)
{
	return kernel->setup(nr ? nr + 1 : nr, ctxp);
}

static long setup_nr_halved(unsigned int nr, aio_handle *ctxp)
{
	return kernel->setup(nr > 1 ? nr / 2 : nr, ctxp);
}

static long setup_nr_doubled(unsigned int nr, aio_handle *ctxp)
{
	return kernel->setup(nr * 2, ctxp);
}

static long setup_zero_events_taken(unsigned int nr, aio_handle *ctxp)
{
	return kernel->setup(nr ? nr : 1, ctxp);
}

static long setup_old_handle_taken(unsigned int nr, aio_handle *ctxp)
{
	put_handle(ctxp, 0);
	return kernel->setup(nr, ctxp);
}

/* As a failure of its own making would, or a reference too many. */
static long setup_leaves_another(unsigned int nr, aio_handle *ctxp)
{
	aio_handle lost = 0;

	kernel->setup(nr, &lost);
	return kernel->setup(nr, ctxp);
}

/* Change the ring of a context that was just made. */
static long setup_then(unsigned int nr, aio_handle *ctxp,
		       void (*change)(volatile struct aio_ring *ring))
{
	long result = kernel->setup(nr, ctxp);
	aio_handle ctx;

	if (!result && copy_checked(&ctx, ctxp, sizeof(ctx)))
		change(ring_of(ctx));
	return result;
}

#define RING_FIELD(field, wrong)                                    \
	static void wrong_##field(volatile struct aio_ring *ring)   \
	{                                                           \
		ring->field = (wrong);                              \
	}                                                           \
	static long ring_##field(unsigned int nr, aio_handle *ctxp) \
	{                                                           \
		return setup_then(nr, ctxp, wrong_##field);         \
	}
RING_FIELD(id, ring->id + 1)
RING_FIELD(nr, ring->nr + 1)
RING_FIELD(head, 1)
RING_FIELD(tail, 1)
RING_FIELD(magic, AIO_RING_MAGIC + 1)
RING_FIELD(compat_features, AIO_RING_COMPAT_FEATURES + 1)
RING_FIELD(incompat_features, AIO_RING_INCOMPAT_FEATURES + 1)
RING_FIELD(header_length, 0)

static void protect_ring(volatile struct aio_ring *ring)
{
	mprotect((void *)ring, ring_size(ring->nr), PROT_READ);
}

static long ring_read_only(unsigned int nr, aio_handle *ctxp)
{
	return setup_then(nr, ctxp, protect_ring);
}

static void fill_ring(volatile struct aio_ring *ring)
{
	memset((void *)ring->events, WRONG, ring->nr * sizeof(*ring->events));
}

static long ring_not_zeroed(unsigned int nr, aio_handle *ctxp)
{
	return setup_then(nr, ctxp, fill_ring);
}

static void cut_ring(volatile struct aio_ring *ring)
{
	size_t size = ring_size(ring->nr);

	munmap((char *)ring + size - PAGE_SIZE, PAGE_SIZE);
}

static long ring_short_of_a_page(unsigned int nr, aio_handle *ctxp)
{
	return setup_then(nr, ctxp, cut_ring);
}

/* --- io_destroy --- */

static long destroy_other_errno(aio_handle ctx)
{
	long result = kernel->destroy(ctx);

	return result < 0 ? other_errno(result) : result;
}

static long destroy_success_for_failure(aio_handle ctx)
{
	kernel->destroy(ctx);
	return 0;
}

static long destroy_failure_for_success(aio_handle ctx)
{
	long result = kernel->destroy(ctx);

	return result ? result : -EINVAL;
}

static long destroy_positive(aio_handle ctx)
{
	long result = kernel->destroy(ctx);

	return result ? result : 1;
}

static long destroy_refused(aio_handle ctx)
{
	return -EINVAL;
}

static long destroy_not_done(aio_handle ctx)
{
	return 0;
}

static long destroy_ring_left(aio_handle ctx)
{
	long result = kernel->destroy(ctx);

	if (!result)
		mmap((void *)ctx, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return result;
}

static void *destroy_by_the_way(void *ctx)
{
	kernel->destroy((aio_handle)ctx);
	return NULL;
}

/* The context is gone for later calls; its requests may be in flight. */
static long destroy_does_not_wait(aio_handle ctx)
{
	struct timespec none = { 0, 0 };
	struct io_event event;
	pthread_t thread;

	if (kernel->getevents(ctx, 0, 0, &event, &none) < 0 ||
	    pthread_create(&thread, NULL, destroy_by_the_way, (void *)ctx))
		return kernel->destroy(ctx);
	pthread_detach(thread);
	while (!kernel->getevents(ctx, 0, 0, &event, &none))
		breathe();
	return 0;
}

/* --- io_submit --- */

static long submit_other_errno(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result < 0 ? other_errno(result) : result;
}

static long submit_success_for_failure(aio_handle ctx, long nr,
				       struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result < 0 ? 1 : result;
}

static long submit_failure_for_success(aio_handle ctx, long nr,
				       struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result > 0 ? -EAGAIN : result;
}

static long submit_refused(aio_handle ctx, long nr, struct iocb **list)
{
	return -EAGAIN;
}

static long submit_not_done(aio_handle ctx, long nr, struct iocb **list)
{
	return nr;
}

static long submit_short_by_one(aio_handle ctx, long nr, struct iocb **list)
{
	return kernel->submit(ctx, nr > 0 ? nr - 1 : nr, list);
}

static long submit_count_less(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result > 0 ? result - 1 : result;
}

static long submit_count_more(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result >= 0 ? result + 1 : result;
}

static long submit_nr_zero_refused(aio_handle ctx, long nr, struct iocb **list)
{
	return nr ? kernel->submit(ctx, nr, list) : -EINVAL;
}

static long submit_twice(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	if (result > 0)
		kernel->submit(ctx, result, list);
	return result;
}

static long submit_first_alone(aio_handle ctx, long nr, struct iocb **list)
{
	return kernel->submit(ctx, nr > 1 ? 1 : nr, list);
}

static long submit_reversed(aio_handle ctx, long nr, struct iocb **list)
{
	struct iocb *reversed[LIST_MAX];
	long i;

	if (nr < 2 || nr > LIST_MAX)
		return kernel->submit(ctx, nr, list);
	for (i = 0; i < nr; i++)
		if (!copy_checked(&reversed[nr - 1 - i], list + i,
				  sizeof(*list)))
			return kernel->submit(ctx, nr, list);
	return kernel->submit(ctx, nr, reversed);
}

static long submit_goes_on_after_error(aio_handle ctx, long nr,
				       struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	if (result >= 0 && result + 1 < nr)
		kernel->submit(ctx, nr - result - 1, list + result + 1);
	return result;
}

static long submit_error_after_some(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);

	return result > 0 && result < nr ? -EINVAL : result;
}

/*
 * Submit with every request changed, as a kernel that reads it wrong does: the
 * requests are as the case made them afterwards, but for what the kernel
 * writes into them, the key.
 */
static long submit_changed(aio_handle ctx, long nr, struct iocb **list,
			   void (*change)(struct iocb *iocb))
{
	struct iocb *at[LIST_MAX], saved[LIST_MAX], changed;
	long result, i, n = 0;

	for (i = 0; i < nr && i < LIST_MAX; i++) {
		if (!copy_checked(&at[n], list + i, sizeof(*list)) ||
		    !copy_checked(&saved[n], at[n], sizeof(*at[n])))
			continue;
		changed = saved[n];
		change(&changed);
		if (copy_checked(at[n], &changed, sizeof(changed)))
			n++;
	}
	result = kernel->submit(ctx, nr, list);
	while (n--) {
		copy_checked(&saved[n].aio_key, &at[n]->aio_key,
			     sizeof(saved[n].aio_key));
		copy_checked(at[n], &saved[n], sizeof(saved[n]));
	}
	return result;
}

#define SUBMIT_CHANGED(name, statement)                                        \
	static void change_##name(struct iocb *iocb)                           \
	{                                                                      \
		statement;                                                     \
	}                                                                      \
	static long submit_##name(aio_handle ctx, long nr, struct iocb **list) \
	{                                                                      \
		return submit_changed(ctx, nr, list, change_##name);           \
	}
SUBMIT_CHANGED(data_changed, iocb->aio_data += WRONG)
SUBMIT_CHANGED(length_less, iocb->aio_nbytes /= 2)
SUBMIT_CHANGED(length_more, iocb->aio_nbytes *= 2)
SUBMIT_CHANGED(offset_ignored, iocb->aio_offset = 0)
SUBMIT_CHANGED(offset_more, iocb->aio_offset += (int64_t)PAGE_SIZE)
SUBMIT_CHANGED(opcode_ignored, iocb->aio_lio_opcode = IOCB_CMD_FDSYNC)
SUBMIT_CHANGED(flags_ignored, iocb->aio_flags = 0)
SUBMIT_CHANGED(rw_flags_ignored, iocb->aio_rw_flags = 0)
SUBMIT_CHANGED(reqprio_ignored, iocb->aio_reqprio = 0)
SUBMIT_CHANGED(reserved_ignored, iocb->aio_reserved2 = 0)
SUBMIT_CHANGED(other_file, iocb->aio_fildes++)
SUBMIT_CHANGED(notifies_other,
	       if (iocb->aio_flags & IOCB_FLAG_RESFD) iocb->aio_resfd++)
SUBMIT_CHANGED(poll_for_other, if (iocb->aio_lio_opcode == IOCB_CMD_POLL)
				       iocb->aio_buf = POLLPRI)
SUBMIT_CHANGED(poll_cut,
	       if (iocb->aio_lio_opcode == IOCB_CMD_POLL) iocb->aio_buf &= 0xff)
SUBMIT_CHANGED(
	poll_unchecked, if (iocb->aio_lio_opcode == IOCB_CMD_POLL) {
		iocb->aio_offset = 0;
		iocb->aio_nbytes = 0;
		iocb->aio_rw_flags = 0;
	})

static long submit_with_key(aio_handle ctx, long nr, struct iocb **list,
			    const uint32_t *key)
{
	uint32_t keys[LIST_MAX];
	struct iocb *at[LIST_MAX];
	long result, i, n = 0;

	for (i = 0; i < nr && i < LIST_MAX; i++)
		if (copy_checked(&at[n], list + i, sizeof(*list)) &&
		    copy_checked(&keys[n], &at[n]->aio_key, sizeof(keys[n])))
			n++;
	result = kernel->submit(ctx, nr, list);
	while (n--)
		copy_checked(&at[n]->aio_key, key ? key : &keys[n],
			     sizeof(keys[n]));
	return result;
}

static long submit_key_unwritten(aio_handle ctx, long nr, struct iocb **list)
{
	return submit_with_key(ctx, nr, list, NULL);
}

static long submit_key_other(aio_handle ctx, long nr, struct iocb **list)
{
	static const uint32_t key = WRONG_KEY;

	return submit_with_key(ctx, nr, list, &key);
}

/* Change the events that are in the ring when io_submit() returns. */
static long submit_then_events(aio_handle ctx, long nr, struct iocb **list,
			       void (*change)(struct io_event *event))
{
	long result = kernel->submit(ctx, nr, list);
	volatile struct aio_ring *ring = ring_of(ctx);
	struct aio_ring header;
	struct io_event event;
	unsigned int i;

	if (result <= 0 ||
	    !copy_checked(&header, (void *)ring, sizeof(header)) ||
	    header.head >= header.nr || header.tail >= header.nr)
		return result;
	for (i = header.head; i != header.tail; i = (i + 1) % header.nr) {
		if (!copy_checked(&event, (void *)&ring->events[i],
				  sizeof(event)))
			break;
		change(&event);
		copy_checked((void *)&ring->events[i], &event, sizeof(event));
	}
	return result;
}

#define RING_EVENT(field)                                        \
	static void change_event_##field(struct io_event *event) \
	{                                                        \
		event->field += WRONG;                           \
	}                                                        \
	static long ring_event_##field(aio_handle ctx, long nr,  \
				       struct iocb **list)       \
	{                                                        \
		return submit_then_events(ctx, nr, list,         \
					  change_event_##field); \
	}
RING_EVENT(res)
RING_EVENT(res2)
RING_EVENT(data)
RING_EVENT(obj)

static long submit_then_tail(aio_handle ctx, long nr, struct iocb **list,
			     unsigned int turn)
{
	long result = kernel->submit(ctx, nr, list);
	volatile struct aio_ring *ring = ring_of(ctx);
	struct aio_ring header;

	if (result <= 0 ||
	    !copy_checked(&header, (void *)ring, sizeof(header)) ||
	    header.head == header.tail || header.tail >= header.nr)
		return result;
	ring->tail = (header.tail + header.nr + turn) % header.nr;
	return result;
}

static long ring_tail_behind(aio_handle ctx, long nr, struct iocb **list)
{
	return submit_then_tail(ctx, nr, list, -1u);
}

static long ring_tail_ahead(aio_handle ctx, long nr, struct iocb **list)
{
	return submit_then_tail(ctx, nr, list, 1);
}

static long ring_tail_unwritten(aio_handle ctx, long nr, struct iocb **list)
{
	volatile unsigned int *at = &ring_of(ctx)->tail;
	unsigned int tail;
	bool there = copy_checked(&tail, (void *)at, sizeof(tail));
	long result = kernel->submit(ctx, nr, list);

	if (there)
		copy_checked((void *)at, &tail, sizeof(tail));
	return result;
}

static long submit_notifies_at_once(aio_handle ctx, long nr, struct iocb **list)
{
	static const uint64_t one = 1;
	long result = kernel->submit(ctx, nr, list), i;
	struct iocb *at, iocb;

	for (i = 0; i < result && i < LIST_MAX; i++)
		if (copy_checked(&at, list + i, sizeof(at)) &&
		    copy_checked(&iocb, at, sizeof(iocb)) &&
		    iocb.aio_flags & IOCB_FLAG_RESFD &&
		    write((int)iocb.aio_resfd, &one, sizeof(one)) < 0)
			break;
	return result;
}

/* Hold on to a descriptor of each request, as a reference too many does. */
static void keep_files(long nr, struct iocb **list, bool notified)
{
	struct iocb *at, iocb;
	long i;

	for (i = 0; i < nr && i < LIST_MAX; i++) {
		if (!copy_checked(&at, list + i, sizeof(at)) ||
		    !copy_checked(&iocb, at, sizeof(iocb)))
			continue;
		if (!notified)
			fcntl((int)iocb.aio_fildes, F_DUPFD_CLOEXEC, 0);
		else if (iocb.aio_flags & IOCB_FLAG_RESFD)
			fcntl((int)iocb.aio_resfd, F_DUPFD_CLOEXEC, 0);
	}
}

static long submit_keeps_file(aio_handle ctx, long nr, struct iocb **list)
{
	keep_files(nr, list, false);
	return kernel->submit(ctx, nr, list);
}

static long submit_keeps_eventfd(aio_handle ctx, long nr, struct iocb **list)
{
	keep_files(nr, list, true);
	return kernel->submit(ctx, nr, list);
}

/* One reference too few after a failure: the descriptor's own goes with it. */
static long submit_closes_refused(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);
	struct iocb *at, iocb;

	if (result < 0 && copy_checked(&at, list, sizeof(at)) &&
	    copy_checked(&iocb, at, sizeof(iocb)) &&
	    iocb.aio_fildes > STDERR_FILENO)
		close((int)iocb.aio_fildes);
	return result;
}

/* A request of nobody's takes memory, and a place in the ring. */
static long submit_keeps_request(aio_handle ctx, long nr, struct iocb **list)
{
	long result = kernel->submit(ctx, nr, list);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct iocb iocb, *lost = &iocb;

	prep_poll(&iocb, fd, POLLIN);
	kernel->submit(ctx, 1, &lost);
	close(fd);
	return result;
}

/* --- io_cancel --- */

static long cancel_other_errno(aio_handle ctx, struct iocb *iocb,
			       struct io_event *event)
{
	long result = kernel->cancel(ctx, iocb, event);

	return result == -EINPROGRESS ? -EAGAIN : other_errno(result);
}

static long cancel_zero_for_einprogress(aio_handle ctx, struct iocb *iocb,
					struct io_event *event)
{
	long result = kernel->cancel(ctx, iocb, event);

	return result == -EINPROGRESS ? 0 : result;
}

static long cancel_einprogress_for_failure(aio_handle ctx, struct iocb *iocb,
					   struct io_event *event)
{
	kernel->cancel(ctx, iocb, event);
	return -EINPROGRESS;
}

static long cancel_einval_for_einprogress(aio_handle ctx, struct iocb *iocb,
					  struct io_event *event)
{
	long result = kernel->cancel(ctx, iocb, event);

	return result == -EINPROGRESS ? -EINVAL : result;
}

static long cancel_not_done(aio_handle ctx, struct iocb *iocb,
			    struct io_event *event)
{
	return -EINPROGRESS;
}

static long cancel_refused(aio_handle ctx, struct iocb *iocb,
			   struct io_event *event)
{
	return -EINVAL;
}

static long cancel_key_ignored(aio_handle ctx, struct iocb *iocb,
			       struct io_event *event)
{
	static const uint32_t none;
	uint32_t key = 0;
	long result;

	copy_checked(&key, &iocb->aio_key, sizeof(key));
	copy_checked(&iocb->aio_key, &none, sizeof(none));
	result = kernel->cancel(ctx, iocb, event);
	copy_checked(&iocb->aio_key, &key, sizeof(key));
	return result;
}

static long cancel_result_written(aio_handle ctx, struct iocb *iocb,
				  struct io_event *event)
{
	const struct io_event wrong = { WRONG, WRONG, WRONG, WRONG };
	long result = kernel->cancel(ctx, iocb, event);

	copy_checked(event, &wrong, sizeof(wrong));
	return result;
}

static long cancel_event_lost(aio_handle ctx, struct iocb *iocb,
			      struct io_event *event)
{
	long result = kernel->cancel(ctx, iocb, event);
	struct timespec none = { 0, 0 };
	struct io_event lost;

	if (result == -EINPROGRESS)
		kernel->getevents(ctx, 0, 1, &lost, &none);
	return result;
}

/* --- io_getevents and io_pgetevents --- */

static long reap(const struct aio_args *r)
{
	return aio_make(kernel, r);
}

static long reap_other_errno(const struct aio_args *r)
{
	long result = reap(r);

	return result < 0 ? other_errno(result) : result;
}

static long reap_success_for_failure(const struct aio_args *r)
{
	long result = reap(r);

	return result < 0 ? 0 : result;
}

static long reap_failure_for_success(const struct aio_args *r)
{
	long result = reap(r);

	return result < 0 ? result : -EINVAL;
}

static long reap_failure_for_none(const struct aio_args *r)
{
	long result = reap(r);

	return result ? result : -EAGAIN;
}

static long reap_refused(const struct aio_args *r)
{
	return -EINVAL;
}

static long reap_nothing(const struct aio_args *r)
{
	return 0;
}

static long reap_count_less(const struct aio_args *r)
{
	long result = reap(r);

	return result > 0 ? result - 1 : result;
}

static long reap_count_more(const struct aio_args *r)
{
	long result = reap(r);

	return result >= 0 ? result + 1 : result;
}

static long reap_nr_less(const struct aio_args *r)
{
	struct aio_args less = *r;

	if (less.nr > 1)
		less.nr--;
	if (less.min_nr > less.nr)
		less.min_nr = less.nr;
	return reap(&less);
}

static long reap_min_nr_ignored(const struct aio_args *r)
{
	struct aio_args less = *r;

	less.min_nr = 0;
	return reap(&less);
}

static long reap_min_nr_less(const struct aio_args *r)
{
	struct aio_args less = *r;

	if (less.min_nr > 1)
		less.min_nr--;
	return reap(&less);
}

static long reap_min_nr_for_nr(const struct aio_args *r)
{
	struct aio_args less = *r;

	if (less.min_nr > 0 && less.min_nr < less.nr)
		less.nr = less.min_nr;
	return reap(&less);
}

static long reap_nr_for_min_nr(const struct aio_args *r)
{
	struct aio_args more = *r;

	if (more.min_nr > 0 && more.min_nr < more.nr)
		more.min_nr = more.nr;
	return reap(&more);
}

static long reap_min_nr_over_nr_taken(const struct aio_args *r)
{
	struct aio_args less = *r;

	if (less.min_nr > less.nr && less.nr >= 0)
		less.min_nr = less.nr;
	return reap(&less);
}

static long reap_negative_taken(const struct aio_args *r)
{
	struct aio_args mended = *r;

	if (mended.min_nr < 0)
		mended.min_nr = 0;
	if (mended.nr < 0)
		mended.nr = 0;
	return reap(&mended);
}

/* Change the events that were given. */
static long reap_changed(const struct aio_args *r,
			 void (*change)(struct io_event *event))
{
	long result = reap(r), i;
	struct io_event event;

	for (i = 0; i < result; i++) {
		if (!copy_checked(&event, &r->events[i], sizeof(event)))
			break;
		change(&event);
		copy_checked(&r->events[i], &event, sizeof(event));
	}
	return result;
}

#define REAP_EVENT(field)                                        \
	static long reap_event_##field(const struct aio_args *r) \
	{                                                        \
		return reap_changed(r, change_event_##field);    \
	}
REAP_EVENT(res)
REAP_EVENT(res2)
REAP_EVENT(data)
REAP_EVENT(obj)

static void change_sign(struct io_event *event)
{
	if (event->res < 0)
		event->res = -event->res;
}

static long reap_errno_positive(const struct aio_args *r)
{
	return reap_changed(r, change_sign);
}

static void swap_res(struct io_event *event)
{
	int64_t res = event->res;

	event->res = event->res2;
	event->res2 = res;
}

static long reap_res_in_res2(const struct aio_args *r)
{
	return reap_changed(r, swap_res);
}

static long reap_events_unwritten(const struct aio_args *r)
{
	struct io_event before[LIST_MAX];
	long nr = r->nr > LIST_MAX ? LIST_MAX : r->nr, result;
	size_t size = nr > 0 ? (size_t)nr * sizeof(*before) : 0;
	bool saved = size && copy_checked(before, r->events, size);

	result = reap(r);
	if (saved && result > 0)
		copy_checked(r->events, before, size);
	return result;
}

static long reap_reversed(const struct aio_args *r)
{
	struct io_event events[LIST_MAX];
	long result = reap(r), i;

	if (result < 2 || result > LIST_MAX ||
	    !copy_checked(events, r->events, (size_t)result * sizeof(*events)))
		return result;
	for (i = 0; i < result; i++)
		copy_checked(&r->events[result - 1 - i], &events[i],
			     sizeof(*events));
	return result;
}

static long reap_first_dropped(const struct aio_args *r)
{
	struct io_event events[LIST_MAX];
	long result = reap(r);

	if (result < 1 || result > LIST_MAX ||
	    !copy_checked(events, r->events, (size_t)result * sizeof(*events)))
		return result;
	copy_checked(r->events, events + 1,
		     (size_t)(result - 1) * sizeof(*events));
	return result - 1;
}

/* An event that a call kept back, for the next of the same context. */
static struct io_event kept;
static aio_handle kept_of;

static long reap_after_kept(const struct aio_args *r)
{
	struct aio_args rest = *r;
	long result;

	if (kept_of != r->ctx || r->nr < 1 ||
	    !copy_checked(r->events, &kept, sizeof(kept)))
		return -1;
	kept_of = 0;
	rest.events++;
	rest.nr--;
	rest.min_nr = rest.min_nr > 0 ? rest.min_nr - 1 : 0;
	result = reap(&rest);
	return result < 0 ? 1 : result + 1;
}

static long keep_last(const struct aio_args *r, long result)
{
	if (result > 0 &&
	    copy_checked(&kept, &r->events[result - 1], sizeof(kept)))
		kept_of = r->ctx;
	return result;
}

static long reap_event_late(const struct aio_args *r)
{
	long result = reap_after_kept(r);

	if (result > 0)
		return result;
	result = keep_last(r, reap(r));
	return result > 0 ? result - 1 : result;
}

static long reap_event_doubled(const struct aio_args *r)
{
	long result = reap_after_kept(r);

	return result > 0 ? result : keep_last(r, reap(r));
}

static long reap_and_turn(const struct aio_args *r, unsigned int turn)
{
	volatile struct aio_ring *ring = ring_of(r->ctx);
	struct aio_ring header;
	long result = reap(r);

	if (result > 0 && copy_checked(&header, (void *)ring, sizeof(header)) &&
	    header.nr)
		ring->head = (header.head + header.nr + turn) % header.nr;
	return result;
}

static long ring_head_behind(const struct aio_args *r)
{
	return reap_and_turn(r, -1u);
}

static long ring_head_ahead(const struct aio_args *r)
{
	return reap_and_turn(r, 1);
}

static long reap_with_timeout(const struct aio_args *r,
			      struct timespec *timeout)
{
	struct aio_args other = *r;

	other.timeout = timeout;
	return reap(&other);
}

static long reap_timeout_halved(const struct aio_args *r)
{
	struct timespec half;
	int64_t ns;

	if (!copy_checked(&half, r->timeout, sizeof(half)) || half.tv_sec < 0 ||
	    half.tv_sec > 3600 || half.tv_nsec < 0 ||
	    half.tv_nsec >= NSEC_PER_SEC)
		return reap(r);
	ns = (half.tv_sec * NSEC_PER_SEC + half.tv_nsec) / 2;
	half = (struct timespec){ ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };
	return reap_with_timeout(r, &half);
}

static long reap_timeout_zero(const struct aio_args *r)
{
	struct timespec none = { 0, 0 };

	return r->timeout ? reap_with_timeout(r, &none) : reap(r);
}

static long reap_no_timeout_zero(const struct aio_args *r)
{
	struct timespec none = { 0, 0 };

	return r->timeout ? reap(r) : reap_with_timeout(r, &none);
}

static long reap_timeout_ignored(const struct aio_args *r)
{
	return reap_with_timeout(r, NULL);
}

static long reap_bad_timeout_taken(const struct aio_args *r)
{
	struct timespec timeout;

	if (r->timeout &&
	    (!copy_checked(&timeout, r->timeout, sizeof(timeout)) ||
	     timeout.tv_sec < 0 || timeout.tv_nsec < 0 ||
	     timeout.tv_nsec >= NSEC_PER_SEC))
		return reap_timeout_zero(r);
	return reap(r);
}

static long reap_timeout_written(const struct aio_args *r)
{
	static const struct timespec left = { 0, WRONG };
	long result = reap(r);

	copy_checked(r->timeout, &left, sizeof(left));
	return result;
}

static long reap_eintr_lost(const struct aio_args *r)
{
	long result;

	do
		result = reap(r);
	while (result == -EINTR);
	return result;
}

static long reap_eintr_for_some(const struct aio_args *r)
{
	long result = reap(r);

	return result > 0 && result < r->min_nr ? -EINTR : result;
}

static long reap_efault_for_some(const struct aio_args *r)
{
	long result = reap(r);

	return result > 0 && result < r->min_nr ? -EFAULT : result;
}

static bool mask_of(const struct aio_args *r, sigset_t *mask)
{
	const void *from = r->mask;
	struct aio_usig usig;

	sigemptyset(mask);
	if (r->call == CALL_PGETEVENTS_USIG) {
		if (!copy_checked(&usig, from, sizeof(usig)) ||
		    usig.size != KERNEL_SIGSET_SIZE)
			return false;
		from = usig.mask;
	}
	return copy_checked(mask, from, KERNEL_SIGSET_SIZE);
}

static long mask_not_applied(const struct aio_args *r)
{
	struct aio_args bare = *r;
	sigset_t mask;

	if (mask_of(r, &mask))
		bare.mask = NULL;
	return reap(&bare);
}

static long mask_not_restored(const struct aio_args *r)
{
	bool masked;
	sigset_t mask;
	long result;

	masked = mask_of(r, &mask);
	result = reap(r);
	if (masked)
		pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return result;
}

/* Between two calls of the program's, where a signal can come in. */
static long mask_not_atomic(const struct aio_args *r)
{
	struct aio_args bare = *r;
	sigset_t mask, old;
	long result;

	if (!mask_of(r, &mask))
		return reap(r);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	bare.mask = NULL;
	result = reap(&bare);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return result;
}

static long mask_added(const struct aio_args *r)
{
	struct aio_args with = *r;
	sigset_t mask, old, both;
	struct aio_usig usig = { &both, KERNEL_SIGSET_SIZE };

	if (!mask_of(r, &mask))
		return reap(r);
	pthread_sigmask(SIG_SETMASK, NULL, &old);
	sigorset(&both, &mask, &old);
	with.call = CALL_PGETEVENTS_USIG;
	with.mask = &usig;
	return reap(&with);
}

static long mask_size_unchecked(const struct aio_args *r)
{
	struct aio_args with = *r;
	struct aio_usig usig;

	if (r->call != CALL_PGETEVENTS_USIG ||
	    !copy_checked(&usig, r->mask, sizeof(usig)))
		return reap(r);
	usig.size = KERNEL_SIGSET_SIZE;
	with.mask = &usig;
	return reap(&with);
}

static long mask_unreadable_taken(const struct aio_args *r)
{
	struct aio_args bare = *r;
	sigset_t mask;

	if (!mask_of(r, &mask))
		bare.mask = NULL;
	return reap(&bare);
}

/* --- the breaks --- */

const struct breakage breakages[] = {
	{ "setup.other_errno", "fails with another errno",
	  .setup = setup_other_errno },
	{ "setup.success_for_failure", "says 0 when it fails",
	  .setup = setup_success_for_failure },
	{ "setup.refused", "makes no context, EAGAIN", .setup = setup_refused },
	{ "setup.failure_for_success", "says ENOMEM of a context it made",
	  .setup = setup_failure_for_success },
	{ "setup.positive", "says 1 for 0", .setup = setup_positive },
	{ "setup.ctxp_unwritten", "does not write the handle",
	  .setup = setup_ctxp_unwritten },
	{ "setup.ctxp_written_on_error", "writes a handle though it fails",
	  .setup = setup_ctxp_written_on_error },
	{ "setup.handle_shifted", "gives the address of the events",
	  .setup = setup_handle_shifted },
	{ "setup.handle_given_twice", "gives a second context the first handle",
	  .setup = setup_handle_given_twice },
	{ "setup.nr_less", "takes one event fewer", .setup = setup_nr_less },
	{ "setup.nr_more", "takes one event more", .setup = setup_nr_more },
	{ "setup.nr_halved", "takes half the events",
	  .setup = setup_nr_halved },
	{ "setup.nr_doubled", "takes twice the events",
	  .setup = setup_nr_doubled },
	{ "setup.zero_events_taken", "does not refuse 0 events",
	  .setup = setup_zero_events_taken },
	{ "setup.old_handle_taken", "does not refuse a handle that is not 0",
	  .setup = setup_old_handle_taken },
	{ "setup.leaves_another", "leaves a context that nobody has",
	  .setup = setup_leaves_another, .leaks = true },
	{ "ring.id", "a wrong id", .setup = ring_id },
	{ "ring.nr", "one event more in the header", .setup = ring_nr },
	{ "ring.head", "begins with head 1", .setup = ring_head },
	{ "ring.tail", "begins with tail 1", .setup = ring_tail },
	{ "ring.magic", "a wrong magic", .setup = ring_magic },
	{ "ring.compat_features", "other compat_features",
	  .setup = ring_compat_features },
	{ "ring.incompat_features", "other incompat_features",
	  .setup = ring_incompat_features },
	{ "ring.header_length", "no header_length",
	  .setup = ring_header_length },
	{ "ring.read_only", "a ring that cannot be written to",
	  .setup = ring_read_only },
	{ "ring.not_zeroed", "old memory in the ring",
	  .setup = ring_not_zeroed },
	{ "ring.short_of_a_page", "the last page is not mapped",
	  .setup = ring_short_of_a_page },
	{ "destroy.other_errno", "fails with another errno",
	  .destroy = destroy_other_errno },
	{ "destroy.success_for_failure", "says 0 when it fails",
	  .destroy = destroy_success_for_failure },
	{ "destroy.failure_for_success", "says EINVAL when it is done",
	  .destroy = destroy_failure_for_success },
	{ "destroy.positive", "says 1 for 0", .destroy = destroy_positive },
	{ "destroy.refused", "does nothing, EINVAL",
	  .destroy = destroy_refused },
	{ "destroy.not_done", "does nothing, 0", .destroy = destroy_not_done,
	  .leaks = true },
	{ "destroy.ring_left", "memory stays at the ring's address",
	  .destroy = destroy_ring_left },
	{ "destroy.does_not_wait", "returns before the requests are done",
	  .destroy = destroy_does_not_wait },
	{ "submit.other_errno", "fails with another errno",
	  .submit = submit_other_errno },
	{ "submit.success_for_failure", "says 1 when it fails",
	  .submit = submit_success_for_failure },
	{ "submit.failure_for_success", "says EAGAIN of what it queued",
	  .submit = submit_failure_for_success },
	{ "submit.refused", "queues nothing, EAGAIN",
	  .submit = submit_refused },
	{ "submit.not_done", "queues nothing, and says all",
	  .submit = submit_not_done },
	{ "submit.short_by_one", "leaves the last one out",
	  .submit = submit_short_by_one },
	{ "submit.count_less", "says one fewer than it queued",
	  .submit = submit_count_less },
	{ "submit.count_more", "says one more than it queued",
	  .submit = submit_count_more },
	{ "submit.nr_zero_refused", "EINVAL for no requests",
	  .submit = submit_nr_zero_refused },
	{ "submit.twice", "queues each request twice", .submit = submit_twice },
	{ "submit.first_alone", "queues the first of a list only",
	  .submit = submit_first_alone },
	{ "submit.reversed", "takes a list from its end",
	  .submit = submit_reversed },
	{ "submit.goes_on_after_error", "queues what follows a bad one",
	  .submit = submit_goes_on_after_error },
	{ "submit.error_after_some", "says the error, not how many were queued",
	  .submit = submit_error_after_some },
	{ "submit.data_changed", "reads another aio_data",
	  .submit = submit_data_changed },
	{ "submit.length_less", "reads half of aio_nbytes",
	  .submit = submit_length_less },
	{ "submit.length_more", "reads twice aio_nbytes",
	  .submit = submit_length_more },
	{ "submit.offset_ignored", "reads 0 for aio_offset",
	  .submit = submit_offset_ignored },
	{ "submit.offset_more", "a page added to aio_offset",
	  .submit = submit_offset_more },
	{ "submit.opcode_ignored", "does IOCB_CMD_FDSYNC whatever it is told",
	  .submit = submit_opcode_ignored },
	{ "submit.flags_ignored", "reads 0 for aio_flags",
	  .submit = submit_flags_ignored },
	{ "submit.rw_flags_ignored", "reads 0 for aio_rw_flags",
	  .submit = submit_rw_flags_ignored },
	{ "submit.reqprio_ignored", "reads 0 for aio_reqprio",
	  .submit = submit_reqprio_ignored },
	{ "submit.reserved_ignored", "does not look at aio_reserved2",
	  .submit = submit_reserved_ignored },
	{ "submit.other_file", "uses the next descriptor",
	  .submit = submit_other_file },
	{ "submit.notifies_other", "signals the next descriptor",
	  .submit = submit_notifies_other },
	{ "submit.notifies_at_once", "signals the eventfd when it queues",
	  .submit = submit_notifies_at_once },
	{ "submit.poll_for_other", "polls for POLLPRI alone",
	  .submit = submit_poll_for_other },
	{ "submit.poll_cut", "polls for the low eight bits alone",
	  .submit = submit_poll_cut },
	{ "submit.poll_unchecked", "takes a POLL with fields that must be 0",
	  .submit = submit_poll_unchecked },
	{ "submit.key_unwritten", "does not write aio_key",
	  .submit = submit_key_unwritten },
	{ "submit.key_other", "writes another aio_key",
	  .submit = submit_key_other },
	{ "ring.event_res", "another res in the ring",
	  .submit = ring_event_res },
	{ "ring.event_res2", "another res2 in the ring",
	  .submit = ring_event_res2 },
	{ "ring.event_data", "another data in the ring",
	  .submit = ring_event_data },
	{ "ring.event_obj", "another obj in the ring",
	  .submit = ring_event_obj },
	{ "ring.tail_behind", "tail does not reach the last event",
	  .submit = ring_tail_behind },
	{ "ring.tail_ahead", "tail is beyond the last event",
	  .submit = ring_tail_ahead },
	{ "ring.tail_unwritten", "does not move tail",
	  .submit = ring_tail_unwritten },
	{ "submit.keeps_file", "never lets the file go",
	  .submit = submit_keeps_file, .leaks = true },
	{ "submit.keeps_eventfd", "never lets the eventfd go",
	  .submit = submit_keeps_eventfd, .leaks = true },
	{ "submit.closes_refused", "lets the file go twice when it fails",
	  .submit = submit_closes_refused },
	{ "submit.keeps_request", "leaves a request that nobody made",
	  .submit = submit_keeps_request, .leaks = true },
	{ "cancel.other_errno", "another errno", .cancel = cancel_other_errno },
	{ "cancel.zero_for_einprogress", "says 0, as it was before 2018",
	  .cancel = cancel_zero_for_einprogress },
	{ "cancel.einprogress_for_failure", "says EINPROGRESS when it fails",
	  .cancel = cancel_einprogress_for_failure },
	{ "cancel.einval_for_einprogress", "says EINVAL when it is done",
	  .cancel = cancel_einval_for_einprogress },
	{ "cancel.not_done", "does nothing, EINPROGRESS",
	  .cancel = cancel_not_done },
	{ "cancel.refused", "does nothing, EINVAL", .cancel = cancel_refused },
	{ "cancel.key_ignored", "does not look at aio_key",
	  .cancel = cancel_key_ignored },
	{ "cancel.result_written", "writes to the result",
	  .cancel = cancel_result_written },
	{ "cancel.event_lost", "the request gives no event",
	  .cancel = cancel_event_lost },
	{ "reap.other_errno", "fails with another errno",
	  .reap = reap_other_errno },
	{ "reap.success_for_failure", "says 0 when it fails",
	  .reap = reap_success_for_failure },
	{ "reap.failure_for_success", "says EINVAL for what it gave",
	  .reap = reap_failure_for_success },
	{ "reap.failure_for_none", "says EAGAIN when there is none",
	  .reap = reap_failure_for_none },
	{ "reap.refused", "does nothing, EINVAL", .reap = reap_refused },
	{ "reap.nothing", "does nothing, 0", .reap = reap_nothing },
	{ "reap.count_less", "says one fewer than it gave",
	  .reap = reap_count_less },
	{ "reap.count_more", "says one more than it gave",
	  .reap = reap_count_more },
	{ "reap.nr_less", "gives one fewer than it may", .reap = reap_nr_less },
	{ "reap.min_nr_ignored", "never waits", .reap = reap_min_nr_ignored },
	{ "reap.min_nr_less", "waits for one fewer", .reap = reap_min_nr_less },
	{ "reap.min_nr_for_nr", "gives no more than min_nr",
	  .reap = reap_min_nr_for_nr },
	{ "reap.nr_for_min_nr", "waits for nr", .reap = reap_nr_for_min_nr },
	{ "reap.min_nr_over_nr_taken", "does not refuse min_nr above nr",
	  .reap = reap_min_nr_over_nr_taken },
	{ "reap.negative_taken", "does not refuse negative numbers",
	  .reap = reap_negative_taken },
	{ "reap.event_res", "another res", .reap = reap_event_res },
	{ "reap.event_res2", "another res2", .reap = reap_event_res2 },
	{ "reap.event_data", "another data", .reap = reap_event_data },
	{ "reap.event_obj", "another obj", .reap = reap_event_obj },
	{ "reap.errno_positive", "an errno in res loses its sign",
	  .reap = reap_errno_positive },
	{ "reap.res_in_res2", "res and res2 are swapped",
	  .reap = reap_res_in_res2 },
	{ "reap.events_unwritten", "counts events that it does not write",
	  .reap = reap_events_unwritten },
	{ "reap.reversed", "gives events in reverse", .reap = reap_reversed },
	{ "reap.first_dropped", "loses the first event",
	  .reap = reap_first_dropped },
	{ "reap.event_late", "gives the last event to the next call",
	  .reap = reap_event_late },
	{ "reap.event_doubled", "gives the last event to the next call, too",
	  .reap = reap_event_doubled },
	{ "ring.head_behind", "head stays before the last event",
	  .reap = ring_head_behind },
	{ "ring.head_ahead", "head goes one too far", .reap = ring_head_ahead },
	{ "reap.timeout_halved", "waits half the time",
	  .reap = reap_timeout_halved },
	{ "reap.timeout_zero", "waits no time when there is a time-out",
	  .reap = reap_timeout_zero },
	{ "reap.no_timeout_zero", "waits no time when there is no time-out",
	  .reap = reap_no_timeout_zero },
	{ "reap.timeout_ignored", "waits for ever",
	  .reap = reap_timeout_ignored },
	{ "reap.bad_timeout_taken", "does not refuse a bad time-out",
	  .reap = reap_bad_timeout_taken },
	{ "reap.timeout_written", "writes what is left of the time",
	  .reap = reap_timeout_written },
	{ "reap.eintr_lost", "waits on after a signal",
	  .reap = reap_eintr_lost },
	{ "reap.eintr_for_some", "says EINTR though it gave some",
	  .reap = reap_eintr_for_some },
	{ "reap.efault_for_some", "says EFAULT though it gave some",
	  .reap = reap_efault_for_some },
	{ "pgetevents.mask_not_applied", "ignores the mask",
	  .mask = mask_not_applied },
	{ "pgetevents.mask_not_restored", "leaves the mask behind",
	  .mask = mask_not_restored },
	{ "pgetevents.mask_not_atomic", "puts the mask back too early",
	  .mask = mask_not_atomic },
	{ "pgetevents.mask_added", "adds the mask to the present one",
	  .mask = mask_added },
	{ "pgetevents.mask_size_unchecked", "takes any size of a mask",
	  .mask = mask_size_unchecked },
	{ "pgetevents.mask_unreadable_taken", "goes on without a bad mask",
	  .mask = mask_unreadable_taken },
};
const unsigned int breakage_count = sizeof(breakages) / sizeof(breakages[0]);

unsigned int breakage_calls(const struct breakage *breakage)
{
	const unsigned int masked = 1u << CALL_PGETEVENTS |
				    1u << CALL_PGETEVENTS_USIG;

	if (breakage->setup)
		return 1u << CALL_SETUP;
	if (breakage->destroy)
		return 1u << CALL_DESTROY;
	if (breakage->submit)
		return 1u << CALL_SUBMIT;
	if (breakage->cancel)
		return 1u << CALL_CANCEL;
	return breakage->mask ? masked : masked | 1u << CALL_GETEVENTS;
}

/* --- the table --- */

/* Whether this call, one that the break is about, is to be broken. */
static bool strikes(void)
{
	unsigned int n = atomic_fetch_add(made, 1) + 1;

	return !broken_nth || n == broken_nth;
}

static long sabotaged(const struct aio_args *args)
{
	switch (args->call) {
	case CALL_SETUP:
		if (broken->setup && strikes())
			return broken->setup(args->nr_events, args->ctxp);
		break;
	case CALL_DESTROY:
		if (broken->destroy && strikes())
			return broken->destroy(args->ctx);
		break;
	case CALL_SUBMIT:
		if (broken->submit && strikes())
			return broken->submit(args->ctx, args->nr,
					      args->iocbpp);
		break;
	case CALL_CANCEL:
		if (broken->cancel && strikes())
			return broken->cancel(args->ctx, args->iocb,
					      args->events);
		break;
	default:
		if (broken->reap && strikes())
			return broken->reap(args);
		if (broken->mask && args->call != CALL_GETEVENTS && strikes())
			return broken->mask(args);
	}
	return aio_make(kernel, args);
}

AIO_INTERPOSER(sabotaged, sabotaged);

const struct aio_calls *sabotage(const struct aio_calls *calls,
				 const struct breakage *breakage,
				 unsigned int nth)
{
	made = shared_memory(sizeof(*made));
	kernel = calls;
	broken = breakage;
	broken_nth = nth;
	return &sabotaged_calls;
}
