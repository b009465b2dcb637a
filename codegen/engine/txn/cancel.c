/* cancel.c — ending transactions that have been open too long.
 *
 * A transaction, or a cursor, that its owner leaves open holds the horizon back: what others
 * replace meanwhile stays.  When aerostore.transaction_timeout_secs is set, whoever looks for the
 * dead also cancels what is older, in two steps:
 *
 *   1 the slot's `cancel` word names the generation: the owner learns it at its next call
 *   2 once the owner is seen at rest, after a barrier, the word is made void: its snapshot no
 *     longer counts (ae_horizon_compute)
 *
 * An owner at rest is not in the engine and holds no row in its hands.  It wakes by clearing
 * `resting` and then looking at `cancel`; step 2 sets `cancel`, passes a barrier and then looks at
 * `resting`.  So either the owner sees that it was cancelled and touches nothing that it has read,
 * or it is seen awake and its snapshot goes on counting.  Before it undoes its writes, for which it
 * walks the hash, a cancelled owner says so in the word and publishes a new snapshot; a reaper does
 * the same for who died at rest.  From then on nobody makes it void any more, also not one who saw
 * the owner at rest before, and was held up.
 *
 * An owner that is stopped inside a call cannot be told from one that works, and keeps its
 * snapshot: statistics name it, and the segment's size bounds what it costs.
 */
#include "base/os.h"
#include "txn/txn.h"

aero_status ae_txn_cancelled(aero_session *session)
{
    ae_fail(&session->error, AERO_CANCELLED,
            "the transaction was open longer than aerostore.transaction_timeout_secs and was "
            "cancelled: its snapshot is too old");
    session->error.reason = AERO_CONFLICT_CANCELLED;
    session->error.aborted = session->txn.open;
    return AERO_CANCELLED;
}

aero_status ae_txn_wake(aero_session *session)
{
    AE_ASSERT(session->txn.open);
    ae_txn *txn = &session->txn;
    if (!txn->explicit)
        return AERO_OK;
    if (txn->awake == 0 && txn->readers == NULL)
        ae_reclaim_own(session);
    if (txn->awake++ > 0)
        return AERO_OK;
    if (ae_slot_wake(&session->db->proc, txn->slot, txn->generation))
        return AERO_OK;
    txn->awake = 0;
    txn->doomed = true;
    txn->cancelled = true;
    return ae_txn_cancelled(session);
}

void ae_txn_rest(aero_session *session)
{
    AE_ASSERT(session->txn.open);
    ae_txn *txn = &session->txn;
    if (!txn->explicit || txn->awake == 0 || --txn->awake > 0)
        return;
    ae_slot_rest(&session->db->proc, txn->slot);
}

void ae_txn_take_back(aero_session *session)
{
    AE_ASSERT(session->txn.open && session->txn.explicit);
    ae_slot *slot = ae_slot_at(&session->db->proc, session->txn.slot);
    if (!ae_slot_wake(&session->db->proc, session->txn.slot, session->txn.generation) &&
        ae_cancel_over(slot))
        (void)ae_snapshot_publish(&session->db->proc, &slot->snapshot);
}

bool ae_cancel_over(ae_slot *slot)
{
    const uint64_t generation = ae_load64_acquire(&slot->generation);
    /* Not void yet: then it will not be, also by those who saw the owner at rest. */
    if (ae_cas64(&slot->cancel, AE_CANCEL(generation, AE_CANCEL_TOLD),
                 AE_CANCEL(generation, AE_CANCEL_OVER)))
        return false;
    return ae_cas64(&slot->cancel, AE_CANCEL(generation, AE_CANCEL_VOID),
                    AE_CANCEL(generation, AE_CANCEL_OVER));
}

/* One slot: the step that is due.  Returns whether a transaction was cancelled. */
static bool slot_cancel(const ae_proc *proc, ae_slot *slot, uint64_t now, uint64_t limit_ns)
{
    AE_ASSERT(limit_ns > 0);
    const uint64_t generation = ae_load64_acquire(&slot->generation);
    const uint64_t began = ae_load64_acquire(&slot->began_ns);
    const uint64_t cancel = ae_load64_acquire(&slot->cancel);
    bool fresh = false;
    /* 0: a statement on its own; in the future: another time namespace's clock. */
    if (ae_load64_acquire(&slot->owner) == 0 || began == 0 || began > now ||
        now - began <= limit_ns || ae_load64_acquire(&slot->generation) != generation)
        return false;
    if (AE_CANCEL_GENERATION(cancel) != generation) {
        /* The word names the generation, so that one who is held up here harms no later claim. */
        if (!ae_cas64(&slot->cancel, cancel, AE_CANCEL(generation, AE_CANCEL_TOLD)))
            return false;
        fresh = true;
        AE_CRASH_POINT("cancel.told");
    } else if (cancel != AE_CANCEL(generation, AE_CANCEL_TOLD)) {
        return false;
    }
    /* Acquire-release and a barrier: `cancel` before the look at `resting`; pairs with
     * ae_slot_wake. */
    if (proc->asymmetric && !ae_os_barrier())
        return fresh;
    atomic_thread_fence(memory_order_seq_cst);
    if (ae_load32_acquire(&slot->resting) != 0)
        (void)ae_cas64(&slot->cancel, AE_CANCEL(generation, AE_CANCEL_TOLD),
                       AE_CANCEL(generation, AE_CANCEL_VOID));
    AE_CRASH_POINT("cancel.void");
    return fresh;
}

void ae_cancel_overdue(const aero_db *db)
{
    ae_cancel_overdue_at(db, ae_os_monotonic_ns());
}

void ae_cancel_overdue_at(const aero_db *db, uint64_t now)
{
    const uint64_t limit_secs = ae_load64(&db->proc.shared->transaction_timeout_secs);
    if (limit_secs == 0)
        return;
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t slot = 0; slot < high; slot++)
        if (slot_cancel(&db->proc, ae_slot_at(&db->proc, slot), now, limit_secs * 1000000000u))
            ae_count(&db->proc, AE_COUNT_CANCELLED);
}
