/* visibility_inline.h — does a reader see a version?  The hot path of every read.
 */
#ifndef AE_TXN_VISIBILITY_INLINE_H
#define AE_TXN_VISIBILITY_INLINE_H

#include "txn/txn.h"

enum ae_sight {
    AE_SEEN,   /* the version is the row for this reader */
    AE_ENDED,  /* it began for the reader, and ended: the row is gone for it */
    AE_UNBORN, /* it began after the reader: look at an older one */
    AE_NOTHING /* no version lies here */
};

/* The general case: marks, own writes. */
enum ae_sight ae_version_sight_slow(const ae_proc *proc, uint64_t snapshot, uint64_t own,
                                    const ae_version *version);

/* `own` is the mark of the reader's transaction with the number of its writes it may see, or 0. */
static inline enum ae_sight ae_version_sight(const ae_proc *proc, uint64_t snapshot, uint64_t own,
                                             const ae_version *version)
{
    /* `end` first (see row/version.h).  Acquire: pairs with the release of whoever fills or
     * stamps. */
    const uint64_t end = ae_load64_acquire(&version->end);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    if (__builtin_expect(((begin | end) & AE_MARK) == 0, 1)) {
        if (begin > snapshot)
            return begin < AE_STAMP_TAKEN ? AE_UNBORN : AE_NOTHING;
        if (begin == 0)
            return AE_NOTHING;
        return end > snapshot ? AE_SEEN : AE_ENDED;
    }
    return ae_version_sight_slow(proc, snapshot, own, version);
}

/* A step along a row's chain: where it began.  A version between two snapshots may be taken out of
 * the chain (prune.c) while somebody stands on it or on the one before; what it led to may then be
 * reused.  After looking at a version, see that the one it was reached from is still what it was,
 * and still leads there; else begin again. */
typedef struct ae_step {
    const ae_version *from; /* NULL: from the row's head */
    uint64_t begin;
} ae_step;

static inline bool ae_step_holds(const ae_step *step, ae_ref to)
{
    /* Acquire: pairs with version_unlink, which changes the link before what it led to. */
    return step->from == NULL || (ae_load32_acquire(&step->from->older) == to &&
                                  ae_load64_acquire(&step->from->begin) == step->begin);
}

#endif
