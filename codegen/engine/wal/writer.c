/* writer.c — who writes, when, and what is durable then.
 *
 * The writer word is taken by compare-and-swap and given back likewise.  Whoever wants commits on
 * disk takes it if it is free, writes and syncs for all, and wakes the others; else it waits, and
 * looks now and then whether the holder is dead, or has been stopped, or does not get on.  A dead
 * holder is replaced; what it wrote but did not publish is written again, over it.  A living one is
 * replaced as well, after a while: then the successor goes on in a new file, for the other may
 * still be about to write into this one.
 *
 * A failed sync ends all writing (keeps W4): the kernel may have dropped the pages and say nothing
 * the next time.  A full disk does not: the same bytes are written again at the same place.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/os_file.h"
#include "base/os_wait.h"
#include "wal/log_private.h"

/* How long to wait before the holder is looked at: some syncs of a fast disk, and what the death of
 * a writer may cost those who wait for it. */
#define LOOK_NS 2000000u
/* A stopped holder that makes no progress so long is replaced. */
#define STOPPED_NS 50000000u
/* Any living holder is: far above what a disk in order takes, below what people wait. */
#define STALLED_NS 5000000000u
/* How long a writer waits for the rest of its group: this part of a sync, and at most so long. */
#define GROUP_WAIT_SHARE 8u
#define GROUP_WAIT_NS 1000000u
/* Of syncs that are shorter, one more costs less than waiting. */
#define GROUP_SYNC_NS 100000u
/* A file is ended at this size, so that old ones can be given back; a checkpoint comes earlier. */
#define FILE_MAX_BYTES ((uint64_t)1 << 30)

/* One time in the writer's seat. */
typedef struct seat {
    ae_log *log;
    ae_log_writer *writer;
    uint64_t holder; /* the writer word while it is ours */
    uint64_t word;   /* of the state that we published or found */
    ae_log_position position;
} seat;

static aero_status poison(ae_log *log, int failure, const char *what, aero_error *error)
{
    AE_ALWAYS(failure != 0);
    (void)ae_cas32(&log->shared->poison, 0, (uint32_t)failure);
    (void)aei_file_fail(log, failure, what, error);
    if (error != NULL)
        error->code = AERO_IO;
    return AERO_IO;
}

static aero_status poison_check(const ae_log *log, aero_error *error)
{
    const int failure = ae_log_poisoned(log);
    if (failure == 0)
        return AERO_OK;
    return ae_fail_errno(error, AERO_IO, failure,
                         "the log %s/%s could not be written earlier, and nothing is written until "
                         "everybody has closed the database and it is opened again",
                         log->directory, log->name);
}

/* ---- taking and leaving the seat ------------------------------------------------------------ */

/* May the holder be replaced?  *living: it may go on some day. */
static bool holder_gone(const ae_log *log, uint64_t holder, ae_log_watch *watched, bool *living)
{
    const uint32_t member = aei_holder_member(holder);
    const uint64_t since = ae_load64(&log->shared->since_ns);
    const uint64_t now = ae_os_monotonic_ns();
    *living = false;
    if (member >= AE_MEMBERS || !ae_member_alive(log->proc, member))
        return true;
    *living = true;
    if (watched->holder != holder || watched->since_ns != since) {
        *watched = (ae_log_watch){holder, since, now};
        return false;
    }
    const uint64_t waited = now - watched->from_ns;
    const uint64_t identity = ae_load64(&log->proc->shared->members[member].identity);
    return waited > STALLED_NS || (waited > STOPPED_NS && ae_os_process_stopped(identity));
}

/* Try to take the writer word.  `look`: also from a holder that is gone. */
static bool seat_take(seat *of, ae_log_watch *watched, bool look)
{
    AE_ALWAYS(of->writer->member < AE_MEMBERS);
    ae_log_shared *shared = of->log->shared;
    const uint64_t holder = ae_load64_acquire(&shared->holder);
    bool living = false;
    if ((holder & AEI_HOLDER_MEMBER) != 0 &&
        (!look || !holder_gone(of->log, holder, watched, &living)))
        return false;
    const uint64_t mine = ((holder >> AEI_HOLDER_SHIFT) + 1) << AEI_HOLDER_SHIFT |
                          (living ? AEI_HOLDER_FENCE : holder & AEI_HOLDER_FENCE) |
                          (uint64_t)(of->writer->member + 1);
    /* Acquire: what the last holder did; pairs with seat_leave. */
    if (!ae_cas64(&shared->holder, holder, mine))
        return false;
    of->holder = mine;
    ae_store64(&shared->since_ns, ae_os_monotonic_ns());
    aei_state_read(of->log, &of->word, &of->position);
    AE_CRASH_POINT("log.seated");
    /* Acquire: a word that our successor published, lest we publish, is not taken for ours; pairs
     * with seat_take and file_next of whoever replaced us. */
    return ae_load64_acquire(&shared->holder) == mine;
}

static void seat_leave(const seat *of)
{
    AE_ASSERT(aei_holder_member(of->holder) == of->writer->member);
    ae_log_shared *shared = of->log->shared;
    /* Release: pairs with seat_take.  It fails when we were replaced. */
    (void)ae_cas64(&shared->holder, of->holder, of->holder & ~(uint64_t)AEI_HOLDER_MEMBER);
    AE_CRASH_POINT("log.left");
    ae_add32(&shared->event, 1);
    /* Sequentially consistent: a waiter says that it waits and then looks at the event, we move the
     * event and then look whether somebody waits; pairs with seat_wait. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ae_load32(&shared->waiting) != 0) {
        ae_store32(&shared->waiting, 0);
        ae_os_wake_all(&shared->event);
    }
}

static void seat_wait(ae_log *log, uint32_t event)
{
    ae_store32(&log->shared->waiting, 1);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with seat_leave */
    ae_os_wait(&log->shared->event, event, LOOK_NS);
}

/* Still ours?  Whoever was replaced finds out when it publishes. */
static bool seat_replaced(const seat *of)
{
    return ae_load64_acquire(&of->log->shared->holder) != of->holder ||
           ae_load64_acquire(&of->log->shared->published) != of->word;
}

/* ---- what is done in it --------------------------------------------------------------------- */

enum step { STEP_DONE, STEP_REPLACED, STEP_FAILED };

/* Note for the statistics how long a sync took. */
static void sync_count(ae_log_shared *shared, uint64_t took_ns)
{
    const uint64_t us = took_ns / 1000;
    const uint32_t bits = us == 0 ? 0 : 64u - (uint32_t)__builtin_clzll(us);
    ae_add64(&shared->syncs, 1);
    ae_add64(&shared->sync_total_ns, took_ns);
    ae_add64(&shared->sync_times[bits < AE_LOG_SYNC_TIMES ? bits : AE_LOG_SYNC_TIMES - 1], 1);
}

static enum step file_sync(seat *of, aero_status *status, aero_error *error)
{
    AE_ALWAYS(of->writer->fd >= 0);
    ae_log_shared *shared = of->log->shared;
    uint64_t size = 0;
    uint32_t names = 0;
    int failure = ae_os_file_state(of->writer->fd, &size, &names);
    /* Removed under us: what is written now would be gone with the last process. */
    if (failure == 0 && names == 0)
        failure = ENOENT;
    const uint64_t from = ae_os_monotonic_ns();
    if (failure == 0)
        failure = ae_os_file_sync(of->writer->fd);
    if (failure != 0) {
        *status = poison(of->log, failure, "sync", error);
        return STEP_FAILED;
    }
    AE_CRASH_POINT("log.synced");
    sync_count(shared, ae_os_monotonic_ns() - from);
    /* What we published lies in this file or in older ones, which were synced when they ended.
     * True whether or not we were replaced since. */
    ae_raise64(&shared->durable_lsn, of->position.lsn);
    ae_raise64(&shared->durable_number, of->position.number);
    return STEP_DONE;
}

/* Change the fence bit of our own writer word. */
static bool seat_fence(seat *of, bool fenced)
{
    AE_ALWAYS(aei_holder_member(of->holder) == of->writer->member);
    const uint64_t word = fenced ? of->holder | AEI_HOLDER_FENCE
                                 : of->holder & ~(uint64_t)AEI_HOLDER_FENCE;
    if (!ae_cas64(&of->log->shared->holder, of->holder, word))
        return false;
    of->holder = word;
    return true;
}

/* Go on in a new file; the old one is synced first. */
static enum step file_next(seat *of, aero_status *status, aero_error *error)
{
    /* A living holder that we replaced may be about to publish what it wrote, and to acknowledge
     * it; the new file will say that the old one ends here.  So it must not succeed from here on:
     * the same state under a new word.  Where it came first we begin anew, with what it wrote. */
    if ((of->holder & AEI_HOLDER_FENCE) != 0 &&
        !aei_state_publish(of->log, of->writer->member, &of->word, &of->position))
        return STEP_REPLACED;
    if (of->position.base != AEI_NO_BASE) {
        *status = aei_file_open(of->log, of->writer, of->position.base, error);
        if (*status != AERO_OK)
            return STEP_FAILED;
        if (file_sync(of, status, error) != STEP_DONE)
            return STEP_FAILED;
    }
    /* Once the new file has a name, the old one ends here, whatever becomes of us: so the fence
     * comes first, and goes when the new one is published. */
    const bool avoid = (of->holder & AEI_HOLDER_FENCE) != 0;
    ae_log_position position = of->position;
    if (!avoid && !seat_fence(of, true))
        return STEP_REPLACED;
    *status = aei_file_make(of->log, of->writer, of->holder, &position, avoid, error);
    if (*status != AERO_OK)
        return seat_replaced(of) ? STEP_REPLACED : STEP_FAILED;
    if (!aei_state_publish(of->log, of->writer->member, &of->word, &position))
        return STEP_REPLACED;
    of->position = position;
    return seat_fence(of, false) ? STEP_DONE : STEP_REPLACED;
}

/* Have a file to write to. */
static enum step file_ready(seat *of, aero_status *status, aero_error *error)
{
    const ae_log_position *at = &of->position;
    if (at->base == AEI_NO_BASE || (of->holder & AEI_HOLDER_FENCE) != 0 ||
        at->lsn - at->base > FILE_MAX_BYTES)
        return file_next(of, status, error);
    *status = aei_file_open(of->log, of->writer, at->base, error);
    return *status == AERO_OK ? STEP_DONE : STEP_FAILED;
}

static enum step bytes_write(seat *of, const void *data, size_t size, aero_status *status,
                             aero_error *error)
{
    AE_ALWAYS(of->writer->fd >= 0 && of->writer->base == of->position.base && size > 0);
    ae_log_shared *shared = of->log->shared;
    AE_CRASH_POINT("log.writing");
    const int failure = ae_os_file_write(of->writer->fd, of->position.lsn - of->position.base, data,
                                         size);
    AE_CRASH_POINT("log.written");
    if (failure == 0) {
        if (ae_load32(&shared->full) != 0)
            ae_store32(&shared->full, 0);
        ae_store64(&shared->since_ns, ae_os_monotonic_ns());
        return STEP_DONE;
    }
    if (failure == ENOSPC || failure == EDQUOT || failure == EFBIG) {
        ae_store32(&shared->full, (uint32_t)failure);
        *status = aei_file_fail(of->log, failure, "write", error);
    } else {
        *status = poison(of->log, failure, "write", error);
    }
    return STEP_FAILED;
}

/* What was published is not needed in the rings any more (keeps W5). */
static void tails_raise(ae_log *log, const aei_batch *batch)
{
    for (uint32_t word = 0; word < (AE_SLOTS + 63) / 64; word++) {
        for (uint64_t bits = batch->touched[word]; bits != 0; bits &= bits - 1) {
            const uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            AE_ASSERT(slot < AE_SLOTS);
            /* Release: read before it is overwritten; pairs with ae_log_place. */
            ae_raise64(&log->shared->rings[slot].tail, batch->tails[slot]);
        }
    }
}

/* Write one batch of what is decided; *more: there may be more. */
static enum step batch_write(seat *of, bool *more, aero_status *status, aero_error *error)
{
    aei_batch batch;
    const uint64_t clock = ae_load64_acquire(&of->log->proc->shared->clock);
    *more = false;
    if (clock == of->position.number)
        return STEP_DONE;
    *status = aei_gather(of->log, of->writer, &of->position, clock, &batch, error);
    if (*status != AERO_OK)
        return seat_replaced(of) ? STEP_REPLACED : STEP_FAILED;
    AE_ALWAYS(batch.position.lsn == batch.start + batch.size);
    if (batch.size > 0) {
        const enum step ready = file_ready(of, status, error);
        if (ready != STEP_DONE)
            return ready;
        *more = of->position.lsn != batch.start; /* a new file: the frames name their places */
        if (*more)
            return STEP_DONE;
        const enum step put = bytes_write(of, of->writer->buffer, batch.size, status, error);
        if (put != STEP_DONE)
            return put;
    }
    batch.position.base = of->position.base;
    if (!aei_state_publish(of->log, of->writer->member, &of->word, &batch.position))
        return STEP_REPLACED;
    of->position = batch.position;
    tails_raise(of->log, &batch);
    AE_CRASH_POINT("log.tails");
    *more = batch.more;
    return STEP_DONE;
}

/* Write everything that is decided. */
static enum step decided_write(seat *of, aero_status *status, aero_error *error)
{
    enum step done = STEP_DONE;
    /* First of all, lest the next one that takes the word from us shares a file with whom we
     * replaced. */
    if ((of->holder & AEI_HOLDER_FENCE) != 0)
        done = file_next(of, status, error);
    for (bool more = true; more && done == STEP_DONE;)
        done = batch_write(of, &more, status, error);
    return done;
}

/* ---- what others ask for -------------------------------------------------------------------- */

static bool syncs(enum ae_log_depth depth)
{
    AE_ASSERT(depth <= AE_LOG_TRY_SYNC);
    return depth >= AE_LOG_SYNC;
}

/* Is what is asked for so already? */
static bool flush_done(const ae_log *log, uint64_t number, enum ae_log_depth depth)
{
    return syncs(depth) ? ae_log_durable_number(log) >= number
                        : ae_log_written(log).number >= number;
}

/* Those whom the last sync woke are about to commit again, and who comes a little too late waits
 * for a whole sync more.  So wait for as many as there were, for a small part of what a sync
 * takes. Whoever is alone never waits. */
static void group_wait(const seat *of)
{
    const ae_log_shared *shared = of->log->shared;
    const uint64_t group = ae_load64(&shared->group);
    const uint64_t sync_ns = ae_load64(&shared->sync_ns);
    const uint64_t most = sync_ns / GROUP_WAIT_SHARE;
    if (group <= 1 || sync_ns < GROUP_SYNC_NS)
        return;
    const uint64_t until = ae_os_monotonic_ns() + (most < GROUP_WAIT_NS ? most : GROUP_WAIT_NS);
    while (ae_load64(&of->log->proc->shared->clock) - of->position.number < group &&
           ae_os_monotonic_ns() < until)
        ae_os_yield();
}

static enum step seat_flush(seat *of, enum ae_log_depth depth, aero_status *status,
                            aero_error *error)
{
    ae_log_shared *shared = of->log->shared;
    const uint64_t before = ae_log_durable_number(of->log);
    if (depth == AE_LOG_SYNC)
        group_wait(of);
    enum step done = decided_write(of, status, error);
    const uint64_t durable = ae_log_durable_lsn(of->log);
    if (done != STEP_DONE || !syncs(depth))
        return done;
    if (of->position.base == AEI_NO_BASE || durable >= of->position.lsn) {
        /* Nothing but what was rolled back since the last sync. */
        ae_raise64(&shared->durable_number, of->position.number);
        return STEP_DONE;
    }
    done = file_ready(of, status, error);
    const uint64_t from = ae_os_monotonic_ns();
    if (done == STEP_DONE)
        done = file_sync(of, status, error);
    if (done != STEP_DONE)
        return done;
    /* One that took long because the processor was busy shall not count for much. */
    const uint64_t took = ae_os_monotonic_ns() - from;
    const uint64_t most = ae_load64(&shared->sync_ns) * 5 / 4 + 1000;
    ae_store64(&shared->sync_ns, took < most ? took : most);
    ae_store64(&shared->group, ae_load64(&of->log->proc->shared->clock) - before);
    return STEP_DONE;
}

aero_status ae_log_flush(ae_log *log, ae_log_writer *writer, uint64_t number,
                         enum ae_log_depth depth, aero_error *error)
{
    seat of = {.log = log, .writer = writer};
    ae_log_watch watch = {0};
    ae_log_watch *watched = depth == AE_LOG_TRY_SYNC ? &writer->watched : &watch;
    for (bool look = depth == AE_LOG_TRY_SYNC;; look = true) {
        aero_status status = AERO_OK;
        const uint32_t event = ae_load32_acquire(&log->shared->event);
        if (flush_done(log, number, depth))
            return AERO_OK;
        status = poison_check(log, error);
        if (status != AERO_OK)
            return status;
        if (seat_take(&of, watched, look)) {
            const enum step done = seat_flush(&of, depth, &status, error);
            seat_leave(&of);
            if (done == STEP_FAILED)
                return status;
        } else if (depth == AE_LOG_TRY || depth == AE_LOG_TRY_SYNC) {
            return AERO_OK;
        } else {
            seat_wait(log, event);
        }
    }
}

aero_status ae_log_ready(ae_log *log, ae_log_writer *writer, aero_error *error)
{
    const aero_status status = poison_check(log, error);
    if (status != AERO_OK || ae_load32(&log->shared->full) == 0)
        return status;
    /* Something has not been written for want of room.  Is there room now? */
    const uint64_t clock = ae_load64_acquire(&log->proc->shared->clock);
    if (clock == ae_log_written(log).number) {
        ae_store32(&log->shared->full, 0);
        return AERO_OK;
    }
    return ae_log_flush(log, writer, clock, AE_LOG_WRITE, error);
}

/* Take the seat, waiting for it. */
static aero_status seat_wait_take(seat *of, aero_error *error)
{
    ae_log_watch watched = {0};
    for (bool look = false;; look = true) {
        const uint32_t event = ae_load32_acquire(&of->log->shared->event);
        const aero_status status = poison_check(of->log, error);
        if (status != AERO_OK || seat_take(of, &watched, look))
            return status;
        seat_wait(of->log, event);
    }
}

aero_status ae_log_rotate(ae_log *log, ae_log_writer *writer, ae_log_position *position,
                          aero_error *error)
{
    for (;;) {
        seat of = {.log = log, .writer = writer};
        aero_status status = seat_wait_take(&of, error);
        if (status != AERO_OK)
            return status;
        uint64_t heads[AE_SLOTS];
        for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
            heads[slot] = ae_load64_acquire(&log->shared->rings[slot].head);
        enum step done = decided_write(&of, &status, error);
        /* What lay below the heads was decided, so it is written now (keeps W5).  A writer that
         * died before it said so would have old pieces kept for ever. */
        for (uint32_t slot = 0; slot < AE_SLOTS && done == STEP_DONE; slot++)
            ae_raise64(&log->shared->rings[slot].tail, heads[slot]);
        if (done == STEP_DONE)
            done = file_next(&of, &status, error);
        *position = of.position;
        position->lsn = of.position.base;
        seat_leave(&of);
        if (done != STEP_REPLACED)
            return status;
    }
}

aero_status ae_log_piece(ae_log *log, ae_log_writer *writer, uint8_t *buffer, size_t size,
                         uint64_t before, uint32_t index, uint64_t *piece, aero_error *error)
{
    AE_ALWAYS(size > 0 && size <= AE_FRAME_MAX - AE_PIECE_ROOM && (index == 0) == (before == 0));
    const ae_piece_head head = {.before = before, .index = index};
    ae_frame *frame = (ae_frame *)(void *)buffer;
    for (;;) {
        seat of = {.log = log, .writer = writer};
        aero_status status = seat_wait_take(&of, error);
        if (status != AERO_OK)
            return status;
        enum step done = file_ready(&of, &status, error);
        if (done == STEP_DONE) {
            ae_log_position position = of.position;
            aei_frame_start(log, frame, AE_FRAME_PIECE, &position);
            memcpy(buffer + AE_FRAME_HEADER, &head, sizeof head);
            frame->length = (uint32_t)(AE_PIECE_ROOM + size);
            const uint64_t span = ae_frame_span(frame->length);
            memset(buffer + frame->length, 0, (size_t)(span - frame->length));
            ae_frame_seal(frame);
            *piece = position.lsn;
            position.previous = position.lsn;
            position.lsn += span;
            done = bytes_write(&of, buffer, (size_t)span, &status, error);
            if (done == STEP_DONE && !aei_state_publish(log, writer->member, &of.word, &position))
                done = STEP_REPLACED;
        }
        seat_leave(&of);
        if (done != STEP_REPLACED)
            return status;
    }
}

void ae_log_member_new(ae_log *log, uint32_t member)
{
    AE_ALWAYS(member < AE_MEMBERS);
    ae_log_shared *shared = log->shared;
    const uint64_t holder = shared == NULL ? 0 : ae_load64_acquire(&shared->holder);
    /* The line was a dead one's, and the word is still its: nobody else may tell that from ours. */
    if ((holder & AEI_HOLDER_MEMBER) != 0 && aei_holder_member(holder) == member)
        (void)ae_cas64(&shared->holder, holder, holder & ~(uint64_t)AEI_HOLDER_MEMBER);
}
