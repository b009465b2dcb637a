/* latch.h — row latches: the order in which writers of a row that is fought over take turns.
 *
 * Optimism is right until many want one row: then each attempt fails because another succeeded.
 * So after some conflicts on a row its writers queue for the latch in the row's anchor, take their
 * snapshot when they have it, and keep it to the end of the transaction.  A latch is a courtesy:
 * first-updater-wins and validation decide what commits, and would without it.  So it may be lost
 * at any time without harm, and readers never look at it.
 *
 *      31      24 23       22      21   20                  0
 *     | slot     | starved | waits | user | generation, never 0 |     0: nobody
 *
 * Invariants
 *   K1  a latch counts while the transaction its word names runs: it lapses with the slot's
 *       generation or state, so nobody has to clean up after the dead
 *   K2  whoever waits wakes by itself within AE_LATCH_LOOK_NS, and looks whether the owner lives
 *   K3  who holds a latch or has written waits only for younger transactions (wait-die), or for a
 *       bounded time, so no circle of waiting lasts
 *   K4  a waiter that has waited long marks the word "starved": from then on newcomers queue, and
 *       the next release leaves the latch to the sleepers
 *
 * Concurrency: any thread of any process; the word changes by compare-and-swap only.
 * Progress: blocking, bounded by the lock timeout; a latch of the engine's own (not "user") whose
 * owner does not give it up within AE_LATCH_STEAL_NS is taken away.
 */
#ifndef AE_TXN_LATCH_H
#define AE_TXN_LATCH_H

#include "txn/txn.h"

#define AE_LATCH_SLOT_SHIFT 24
#define AE_LATCH_STARVED (1u << 23)
#define AE_LATCH_WAITS (1u << 22)
#define AE_LATCH_USER (1u << 21)
#define AE_LATCH_FLAGS (AE_LATCH_STARVED | AE_LATCH_WAITS | AE_LATCH_USER)
#define AE_LATCH_GENERATION (AE_LATCH_USER - 1)

enum ae_latch {
    AE_LATCH_GO,    /* go on with the write */
    AE_LATCH_AGAIN, /* the snapshot was renewed: look the row up again */
    AE_LATCH_LATE   /* another has the row, and we cannot wait (longer) */
};

/* A write has met a conflict on a row. */
void ae_latch_conflict(aero_session *session, uint32_t table, uint32_t tag, ae_ref anchor);
/* Does the session queue for this row? */
static inline bool ae_latch_wanted(const aero_session *session, uint32_t table, uint32_t tag)
{
    return __builtin_expect(session->hot.heat != 0, 0) && session->hot.tag == tag &&
           session->hot.table == table;
}
/* Before a write judges the row: keep to the queue if there is one.  `wanted`: ae_latch_wanted. */
enum ae_latch ae_latch_meet(aero_session *session, ae_ref anchor, bool wanted);
/* The row whose latch we have was being written: wait a little and look again, `attempt` from 0.
 * False when that is no use (any more). */
bool ae_latch_patience(aero_session *session, ae_ref anchor, uint32_t attempt);
/* For lock_for_update: take the latch as the user's, waiting up to the lock timeout. */
enum ae_latch ae_latch_lock(aero_session *session, ae_ref anchor);
/* Is the row in the hands of a running transaction that took its latch? */
bool ae_latch_held(const aero_db *db, ae_ref anchor);
/* At the beginning of a transaction whose predecessor failed on a hot row. */
void ae_latch_begin(aero_session *session);
/* At the end of the transaction: give up what it holds. */
void ae_latch_leave(aero_session *session);
/* Renew the snapshot of a transaction that has seen nothing yet. */
void ae_txn_renew(aero_session *session);

#endif
