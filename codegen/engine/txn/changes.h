/* changes.h — what the transaction at a decided queue position wrote.
 *
 * Where it is found: at the position itself, once described; before that, in the slot, whose owner
 * describes it before it changes anything there.  What it leads to (versions, lists of intents)
 * stays in memory as long as the caller's own snapshot or pin is at or below the position.
 */
#ifndef AE_TXN_CHANGES_H
#define AE_TXN_CHANGES_H

#include "txn/txn.h"

/* One write: the version it made (0 for a delete) and the one it ended (0 for an insert).  Another
 * answer than 0 ends the walk. */
typedef int32_t (*ae_change_visit)(void *context, ae_ref created, ae_ref replaced, uint32_t what);

#define AE_CHANGES_LOST (-1) /* the ring has come round: nobody knows any more */

/* Visit the writes in the order they were made.  0, what a visit answered, or AE_CHANGES_LOST.
 * Nothing is visited when the position was aborted. */
int32_t ae_changes_visit(const aero_db *db, uint64_t position, ae_change_visit visit,
                         void *context);
/* Ask for the memory that visiting a position a few after this one will need, if that is below
 * `upto`: what was written lies anywhere, and in another processor's cache.  First the new version,
 * and when that has come the one it replaced. */
void ae_changes_fetch(const aero_db *db, uint64_t position, uint64_t upto);

#endif
