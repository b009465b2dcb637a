/* visibility.c — what a mark means, and the slow case of seeing (see visibility_inline.h). */
#include "txn/visibility_inline.h"

enum ae_mark_state ae_mark_resolve(const ae_proc *proc, uint64_t mark, uint64_t *number)
{
    AE_ASSERT((mark & AE_MARK) != 0);
    const ae_slot *slot = ae_slot_at(proc, ae_mark_slot(mark));
    const uint64_t wanted = ae_mark_generation(mark);
    if ((ae_load64_acquire(&slot->generation) & AE_MARK_GENERATION) != wanted)
        return AE_MARK_STALE;
    /* Acquire: the writes of a committed transaction; pairs with ae_queue_decide. */
    const uint64_t state = ae_load64_acquire(&slot->state);
    if ((ae_load64_acquire(&slot->generation) & AE_MARK_GENERATION) != wanted)
        return AE_MARK_STALE;
    *number = ae_state_number(state);
    switch (ae_state_of(state)) {
    case AE_STATE_COMMITTED:
        return AE_MARK_DONE;
    case AE_STATE_IDLE:
        return AE_MARK_STALE; /* stamped or undone before it was released */
    default:
        return AE_MARK_RUNNING;
    }
}

enum ae_sight ae_version_sight_slow(const ae_proc *proc, uint64_t snapshot, uint64_t own,
                                    const ae_version *version)
{
    AE_ASSERT(own == 0 || (own & AE_MARK) != 0);
    for (;;) {
        const uint64_t end = ae_load64_acquire(&version->end);
        const uint64_t begin = ae_load64_acquire(&version->begin);
        uint64_t number = 0;
        if (begin == 0 || (begin & ~(uint64_t)0xff) == AE_WORD_CACHED)
            return AE_NOTHING;
        if ((begin & AE_MARK) != 0) {
            if (own != 0 && ae_mark_same(begin, own)) {
                if ((begin & AE_MARK_SEQUENCE) >= (own & AE_MARK_SEQUENCE))
                    return AE_UNBORN;
            } else {
                const enum ae_mark_state state = ae_mark_resolve(proc, begin, &number);
                if (ae_load64_acquire(&version->begin) != begin)
                    continue;
                if (state != AE_MARK_DONE || number > snapshot)
                    return AE_UNBORN;
            }
        } else if (begin > snapshot) {
            return AE_UNBORN;
        }
        if ((end & AE_MARK) == 0)
            return end > snapshot ? AE_SEEN : AE_ENDED;
        if (own != 0 && ae_mark_same(end, own))
            return (end & AE_MARK_SEQUENCE) >= (own & AE_MARK_SEQUENCE) ? AE_SEEN : AE_ENDED;
        const enum ae_mark_state state = ae_mark_resolve(proc, end, &number);
        if (ae_load64_acquire(&version->end) != end)
            continue;
        return state == AE_MARK_DONE && number <= snapshot ? AE_ENDED : AE_SEEN;
    }
}
