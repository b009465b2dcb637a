/* prune.h — taking versions that no snapshot sees out of the middle of their row's chain.
 *
 * An old snapshot that is held open holds the horizon back, but it needs one version of a row only.
 * What began after it and ended before every other snapshot is seen by nobody:
 *
 *      head ──▶ newest ──▶ x ──▶ y ──▶ old          old is seen by the held snapshot,
 *                  └───────────────────▲            x and y by nobody
 *
 * The limbo's owner looks at its versions in turn, and gives those that are still needed another
 * turn later.  For one that is not it walks along its row and takes out all that nobody sees, by
 * changing the link of the next younger version.  What is taken out is marked so (AE_STAMP_TAKEN)
 * and freed by the slot in whose limbo it is.
 *
 * Invariants
 *   V1  the links of a row's committed versions are changed only by the holder of its prune lock
 *   V2  a version that was taken out is made invisible before that lock is released
 *   V3  a version is taken out only when no published snapshot sees it, and nobody may ask any more
 *       what its writer wrote (ae_snapshots.recent)
 *   V4  the memory of a row's versions is not used again while somebody else holds the row's lock:
 *       who frees one behind the horizon says so in its `begin`, and then looks at the lock
 *
 * Why a walker does not lose its way: say it stands on x, and means to go to y.  If y is taken out
 * while x leads to it, the link of x has changed (V1).  If x was taken out before, x is invisible
 * by then (V2).  So if x is unchanged after the look at y (ae_step_holds), y is what it was; found
 * dead, it was passed by the horizon, and nobody who is still here needs it or what is behind it.
 *
 * Concurrency: only the holder of the slot.  Progress: a lock that is taken is passed by.
 */
#ifndef AE_TXN_PRUNE_H
#define AE_TXN_PRUNE_H

#include "txn/txn.h"

/* Free the head of the slot's limbo, which no snapshot sees; what else of its row nobody sees is
 * taken out along with it, for its owners to free: our own that follow in the limbo at once.
 * Returns how many were freed, at most `most`; 0: not now.  Costs steps of `snapshots`; it is not
 * begun when there are none. */
uint32_t ae_prune(aero_db *db, uint32_t slot, ae_ref ref, ae_snapshots *snapshots, uint32_t most);
/* Does somebody else relink the row just now?  For who frees a version behind the horizon, after a
 * fence (keeps V4). */
bool ae_prune_waits(const aero_db *db, uint32_t slot, ae_ref anchor);
/* The limbo's head goes to its end. */
void ae_prune_later(aero_db *db, uint32_t slot);
/* For a reaper: complete a move to the end, before anything else is done with the limbo. */
void ae_prune_moved(aero_db *db, uint32_t slot);
/* For a reaper: finish or forget taking out a version, and give up the lock. */
void ae_prune_recover(aero_db *db, uint32_t slot);

#endif
