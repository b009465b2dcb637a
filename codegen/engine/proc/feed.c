/* feed.c — lines, pins and waking of followers (see feed.h). */
#include "proc/feed.h"

#include "base/os_wait.h"

/* A pin this far behind, in eighths of the queue's entries, is revoked: the rest of the ring is for
 * what is committed while a follower reads. */
#define LAG_EIGHTHS 6u

/* In the low half of an owner: a member that has been buried. */
#define ORPHAN UINT32_MAX

static ae_feed_line *line_at(const ae_proc *proc, uint32_t line)
{
    AE_ASSERT(line < AE_FEEDS);
    return &proc->shared->feeds[line];
}

/* Of an owner that is not 0. */
static bool owner_dead(const ae_proc *proc, uint64_t owner)
{
    AE_ASSERT((uint32_t)owner != 0);
    return (uint32_t)owner == ORPHAN || !ae_member_alive(proc, (uint32_t)owner - 1);
}

/* Make the line the member's, if its owner still is `seen`. */
static bool line_take(ae_proc *proc, uint32_t index, uint64_t seen, uint32_t member)
{
    AE_ASSERT(member < AE_MEMBERS);
    ae_feed_line *line = line_at(proc, index);
    ae_raise32(&proc->shared->feed_high, index + 1);
    /* The word differs from every earlier one of the line, so a slow rival's CAS fails. */
    return ae_cas64(&line->owner, seen, AE_OWNER((seen >> 33) + 1, member));
}

/* How willingly a line is given to somebody new: 0 not at all. */
static uint32_t line_worth(const ae_proc *proc, uint32_t index, uint64_t *owner)
{
    const ae_feed_line *line = line_at(proc, index);
    *owner = ae_load64_acquire(&line->owner);
    if ((uint32_t)*owner == 0)
        return 3;
    if (!owner_dead(proc, *owner))
        return 0;
    const uint64_t pin = ae_load64_acquire(&line->pin);
    return pin == 0 || pin == AE_PIN_REVOKED ? 2 : 1;
}

static bool line_claim(ae_proc *proc, uint32_t member, uint32_t *line)
{
    for (uint32_t worth = 3; worth > 0; worth--) {
        for (uint32_t index = 0; index < AE_FEEDS; index++) {
            uint64_t owner = 0;
            if (line_worth(proc, index, &owner) < worth || !line_take(proc, index, owner, member))
                continue;
            *line = index;
            return true;
        }
    }
    return false;
}

aero_status ae_feed_claim(ae_proc *proc, uint32_t member, uint32_t *line, uint64_t *pin,
                          aero_error *error)
{
    if (!line_claim(proc, member, line))
        return ae_fail(error, AERO_LIMIT, "%u watches are open already", AE_FEEDS);
    AE_CRASH_POINT("feed.claimed");
    ae_feed_line *at = line_at(proc, *line);
    ae_store64(&at->delivered, 0);
    /* Before the new pin; pairs with ae_feed_squeeze. */
    ae_store64_release(&at->told, 0);
    *pin = ae_feed_restart(proc, *line);
    return AERO_OK;
}

/* The dead's line with the highest pin that is at or below `position`; AE_FEEDS: there is none. */
static uint32_t line_fitting(const ae_proc *proc, uint64_t position, uint64_t *owner)
{
    const uint32_t high = ae_load32_acquire(&proc->shared->feed_high);
    uint32_t best = AE_FEEDS;
    uint64_t best_pin = 0;
    for (uint32_t index = 0; index < high; index++) {
        const ae_feed_line *at = line_at(proc, index);
        const uint64_t seen = ae_load64_acquire(&at->owner);
        if ((uint32_t)seen == 0 || !owner_dead(proc, seen))
            continue;
        /* The dead one's last.  It may have died before it looked at the clock again: then what the
         * pin says may have been reused before it was there.  Pairs with ae_feed_restart. */
        const uint64_t pin = ae_load64_acquire(&at->pin);
        if (pin <= best_pin || pin > position || ae_load64_acquire(&at->settled) == 0)
            continue;
        best = index;
        best_pin = pin;
        *owner = seen;
    }
    return best;
}

/* The pin of a line that has been taken over.  Who was about to move it up to what the dead one had
 * told, and is held up, must not do so any more: so it goes on by one, if it may. */
static uint64_t pin_seize(ae_feed_line *line, uint64_t position)
{
    for (;;) {
        const uint64_t pin = ae_load64_acquire(&line->pin);
        if (pin == 0 || pin >= position)
            return pin;
        /* Acquire-release: after the new `told`; pairs with ae_feed_squeeze. */
        if (ae_cas64(&line->pin, pin, pin + 1))
            return pin + 1;
    }
}

bool ae_feed_adopt(ae_proc *proc, uint32_t member, uint64_t position, uint32_t *line, uint64_t *pin)
{
    uint64_t owner = 0;
    for (;;) {
        *line = line_fitting(proc, position, &owner);
        if (*line == AE_FEEDS)
            return false;
        if (!line_take(proc, *line, owner, member))
            continue; /* somebody else took it */
        AE_CRASH_POINT("feed.adopting");
        ae_feed_line *at = line_at(proc, *line);
        /* The dead may have told more than its user remembers. */
        ae_store64_release(&at->told, position);
        AE_CRASH_POINT("feed.adopted");
        *pin = pin_seize(at, position);
        if (*pin != 0 && ae_feed_holds(proc, *line, position))
            return true;
        ae_feed_release(proc, *line); /* revoked or moved in between */
    }
}

bool ae_feed_holds(const ae_proc *proc, uint32_t line, uint64_t position)
{
    /* What was read before is read before the pin is looked at (keeps P4); pairs with the
     * compare-and-swap of those who revoke or move it. */
    atomic_thread_fence(memory_order_acquire);
    return ae_load64_acquire(&line_at(proc, line)->pin) <= position;
}

bool ae_feed_advance(ae_proc *proc, uint32_t line, uint64_t to, uint64_t *pin)
{
    AE_ASSERT(to != AE_PIN_REVOKED);
    ae_feed_line *at = line_at(proc, line);
    for (;;) {
        const uint64_t seen = ae_load64_acquire(&at->pin);
        *pin = seen < to ? to : seen;
        if (seen == AE_PIN_REVOKED)
            return false;
        if (seen >= to || ae_cas64(&at->pin, seen, to))
            return true;
    }
}

uint64_t ae_feed_restart(ae_proc *proc, uint32_t line)
{
    ae_feed_line *at = line_at(proc, line);
    /* Release, here and below: nobody takes over a pin that is half published; pairs with
     * ae_feed_adopt. */
    ae_store64_release(&at->settled, 0);
    const uint64_t pin = ae_snapshot_publish(proc, &at->pin);
    AE_CRASH_POINT("feed.pinned");
    ae_store64_release(&at->settled, 1);
    return pin;
}

void ae_feed_release(ae_proc *proc, uint32_t line)
{
    ae_feed_line *at = line_at(proc, line);
    ae_store64_release(&at->pin, 0);
    AE_CRASH_POINT("feed.unpinned");
    /* Release: the pin is gone before the line can be claimed; the count of claims stays. */
    ae_store64_release(&at->owner, ae_load64(&at->owner) & AE_OWNER_CLAIM);
}

void ae_feed_orphan(ae_proc *proc, uint32_t member, uint64_t identity)
{
    AE_ALWAYS(member < AE_MEMBERS && identity != 0);
    const uint32_t high = ae_load32_acquire(&proc->shared->feed_high);
    for (uint32_t index = 0; index < high; index++) {
        ae_feed_line *line = line_at(proc, index);
        const uint64_t owner = ae_load64_acquire(&line->owner);
        /* The member was buried by somebody else, and is a living one's by now?  Then the line may
         * be, too.  Looked at in this order: an owner seen while the dead one had the member was
         * the dead one, and its word does not come again. */
        if ((uint32_t)owner == member + 1 &&
            ae_load64_acquire(&proc->shared->members[member].identity) == identity)
            (void)ae_cas64(&line->owner, owner, (owner & AE_OWNER_CLAIM) | ORPHAN);
    }
}

uint64_t ae_feed_horizon(ae_proc *proc, uint64_t clock, uint64_t horizon)
{
    AE_ASSERT(horizon <= clock);
    const uint64_t most = (uint64_t)proc->shared->queue_size / 8 * LAG_EIGHTHS;
    const uint32_t high = ae_load32_acquire(&proc->shared->feed_high);
    for (uint32_t index = 0; index < high; index++) {
        ae_feed_line *line = line_at(proc, index);
        const uint64_t pin = ae_load64_acquire(&line->pin);
        if (pin == 0 || pin == AE_PIN_REVOKED || pin >= horizon)
            continue;
        /* Acquire-release: the pin is revoked before anything it kept is reused; pairs with
         * ae_feed_holds. */
        if (clock - pin > most && ae_cas64(&line->pin, pin, AE_PIN_REVOKED))
            continue;
        const uint64_t now = ae_load64_acquire(&line->pin);
        horizon = now < pin ? horizon : pin; /* it may have been released meanwhile */
    }
    return horizon;
}

void ae_feed_squeeze(ae_proc *proc)
{
    const uint32_t high = ae_load32_acquire(&proc->shared->feed_high);
    for (uint32_t index = 0; index < high; index++) {
        ae_feed_line *line = line_at(proc, index);
        const uint64_t pin = ae_load64_acquire(&line->pin);
        /* After the pin: what a later owner of the line told goes with a later pin, and then the
         * compare-and-swap fails.  (Where it came back with the very position of the pin, there is
         * no later one, and it may be told of an overflow that was none.) */
        const uint64_t told = ae_load64_acquire(&line->told);
        if (pin != 0 && told > pin && ae_cas64(&line->pin, pin, told))
            AE_CRASH_POINT("feed.squeezed");
    }
}

bool ae_feed_revoke(ae_proc *proc, uint64_t horizon)
{
    const uint64_t clock = ae_load64_acquire(&proc->shared->clock);
    const uint32_t high = ae_load32_acquire(&proc->shared->feed_high);
    ae_feed_line *oldest = NULL;
    uint64_t least = horizon < clock ? horizon + 1 : clock;
    for (uint32_t index = 0; index < high; index++) {
        ae_feed_line *line = line_at(proc, index);
        const uint64_t pin = ae_load64_acquire(&line->pin);
        if (pin == 0 || pin >= least)
            continue;
        least = pin;
        oldest = line;
    }
    if (oldest == NULL)
        return false;
    /* Acquire-release: as in ae_feed_horizon.  When it fails somebody has moved it. */
    (void)ae_cas64(&oldest->pin, least, AE_PIN_REVOKED);
    return true;
}

void ae_feed_notify(ae_proc *proc)
{
    ae_proc_shared *shared = proc->shared;
    /* The clock was moved before the flag is looked at; pairs with ae_feed_sleep. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ae_load32(&shared->feed_waiting) != 0 && ae_cas32(&shared->feed_waiting, 1, 0))
        ae_feed_wake(proc);
}

void ae_feed_wake(ae_proc *proc)
{
    ae_add32(&proc->shared->feed_event, 1);
    ae_os_wake_all(&proc->shared->feed_event);
}

void ae_feed_sleep(ae_proc *proc, uint64_t clock, uint64_t timeout_ns)
{
    ae_proc_shared *shared = proc->shared;
    const uint32_t event = ae_load32_acquire(&shared->feed_event);
    ae_store32(&shared->feed_waiting, 1);
    /* The flag is set before the clock is looked at; pairs with ae_feed_notify. */
    atomic_thread_fence(memory_order_seq_cst);
    if (ae_load64_acquire(&shared->clock) > clock)
        return;
    ae_os_wait(&shared->feed_event, event,
               timeout_ns < AE_FEED_SLEEP_NS ? timeout_ns : AE_FEED_SLEEP_NS);
}
