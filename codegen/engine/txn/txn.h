/* txn.h — transactions: begin, commit, roll back, savepoints, and the write intents in between.
 *
 * A transaction claims a slot, takes a snapshot, and writes new versions that carry its mark.  Each
 * write is first noted as an intent in the segment, so that anybody can undo it; commit orders the
 * transaction in the queue, and its versions are stamped with the number afterwards.  See
 * README.md.
 */
#ifndef AE_TXN_TXN_H
#define AE_TXN_TXN_H

#include "row/version.h"
#include "txn/handles.h"

/* Claim a slot.  An explicit transaction takes its snapshot with its first statement: until then
 * nothing that others commit can be in its way.  Errors: NO_SLOT. */
aero_status ae_txn_begin(aero_session *session, int32_t isolation, bool explicit_);
/* Take the snapshot unless there is one. */
void ae_txn_look(aero_session *session);
/* Errors: CONFLICT, FULL, LIMIT, NO_MEMORY (rolled back then); IO, FULL of a synchronous commit:
 * committed for everybody who is attached, and perhaps not on disk. */
aero_status ae_txn_commit(aero_session *session);
void ae_txn_rollback(aero_session *session);
aero_status ae_txn_savepoint(aero_session *session, const char *name, size_t length);
aero_status ae_txn_rollback_to(aero_session *session, const char *name, size_t length);
aero_status ae_txn_release(aero_session *session, const char *name, size_t length);

/* ---- cancelling (cancel.c) ------------------------------------------------------------------ */

/* Around what an explicit transaction does in the engine, nesting.  Errors: CANCELLED. */
aero_status ae_txn_wake(aero_session *session);
void ae_txn_rest(aero_session *session);
/* Awake for good, to roll back: a snapshot that was given up is replaced. */
void ae_txn_take_back(aero_session *session);
/* The owner of the slot is awake, or a reaper has it, and has passed a fence: nobody makes its
 * snapshot void any more.  True: it was, and did not count for a time. */
bool ae_cancel_over(ae_slot *slot);
/* The error of a cancelled transaction or cursor. */
aero_status ae_txn_cancelled(aero_session *session);
/* Why nothing but a rollback can follow: USAGE after a conflict, or CANCELLED. */
aero_status ae_txn_doomed(aero_session *session);
/* Cancel what has been open longer than the setting allows. */
void ae_cancel_overdue(const aero_db *db);
void ae_cancel_overdue_at(const aero_db *db, uint64_t now);

/* Mark of the transaction's next write. */
static inline uint64_t ae_txn_mark(const aero_session *session)
{
    return ae_mark(session->txn.slot, session->txn.generation, session->txn.intent_count);
}

/* Have a lasting reader of the open transaction told about undoing; and no longer. */
void ae_txn_watch(aero_session *session, ae_own_reader *reader);
void ae_txn_unwatch(ae_own_reader *reader);

/* Make sure the next intent has a place.  Errors: FULL, LIMIT. */
aero_status ae_txn_reserve(aero_session *session);
/* Note a write before it is made; ae_txn_reserve has made place.  `what`: table and AE_INTENT_….
 * Errors: FULL, LIMIT. */
aero_status ae_txn_intend(aero_session *session, ae_ref anchor, ae_ref created, ae_ref replaced,
                          uint32_t what);
/* Undo the last intents down to `count`. */
void ae_txn_undo_to(aero_session *session, uint32_t count);

/* What a mark means now. */
enum ae_mark_state { AE_MARK_RUNNING, AE_MARK_DONE, AE_MARK_STALE };
/* DONE: committed with *number.  STALE: the stamp has been replaced, look again. */
enum ae_mark_state ae_mark_resolve(const ae_proc *proc, uint64_t mark, uint64_t *number);

/* Wait a little after a failed attempt: truncated exponential back-off with jitter (attempt from
 * 0). */
void ae_backoff(aero_session *session, uint32_t attempt);
/* Nominal delay of an attempt in nanoseconds. */
uint64_t ae_backoff_nominal_ns(uint32_t attempt);

/* ---- counting rows (count.c) ---------------------------------------------------------------- */

/* Words of a slot, a line or more, so that no two slots share one. */
static inline uint32_t ae_row_counts_stride(uint32_t tables)
{
    return (tables + 7u) & ~7u;
}
/* After the stamping, before the slot is released: what it wrote counts.  Done again by a
 * reaper. */
void ae_writes_count(aero_db *db, uint32_t slot);
/* Rows of a table as committed; those of commits in flight may be missing. */
uint64_t ae_rows_counted(const aero_db *db, uint32_t table);

/* ---- validating (validate.c) ---------------------------------------------------------------- */

/* Before a transaction's second write: take the block that its commit will need.  Errors: FULL. */
aero_status ae_writes_reserve(aero_session *session);
/* Before a commit enters the queue: keep a copy of several intents for validators. */
void ae_writes_prepare(const aero_session *session);
/* After the decision: say at the queue position what the slot wrote.  Done again by a reaper. */
void ae_writes_describe(aero_db *db, uint32_t slot, uint64_t position);
/* After the stamping: what validators may still read is retired, not freed. */
void ae_writes_retire(aero_db *db, uint32_t slot);
/* Compare the session's reads with what was committed at positions [from, upto).
 * AERO_CONFLICT_…. */
int32_t ae_validate(const aero_session *session, uint64_t from, uint64_t upto);

/* ---- the log (record.c) --------------------------------------------------------------------- */

/* Does the open transaction wait for the disk when it commits? */
static inline bool ae_txn_synchronous(const aero_session *session)
{
    return session->txn.synchronous < 0 ? ae_load32(&session->db->synchronous_commit) != 0
                                        : session->txn.synchronous != 0;
}
/* Before a commit enters the queue: what it writes, for the log.  Errors: IO, FULL, LIMIT,
 * NO_MEMORY. */
aero_status ae_record_prepare(aero_session *session);
/* After the decision, before the slot is released: the record stays or is taken back. */
void ae_record_settle(aero_session *session, bool committed);
/* After a commit: wait for the disk, if that is asked for.  `slot` may be somebody else's by now.
 * Errors: IO, FULL: committed in memory, and perhaps not on disk. */
aero_status ae_record_finish(aero_session *session, uint32_t slot, uint64_t number);

/* ---- reclaiming (reclaim.c, vacuum.c) ------------------------------------------------------- */

/* Free some of the slot's dead versions that the horizon has passed. */
void ae_reclaim_some(aero_session *session, uint32_t most);
/* The same, as much as keeps the pace of small writes: a statement does it while it begins, when
 * the row that it will write is on its way to the processor. */
void ae_reclaim_ahead(aero_session *session);
/* Free dead versions that an idle slot has kept; `turn` counts up, so that each slot has its
 * turn. */
void ae_reclaim_idle(const aero_session *session, uint64_t turn);
/* Empty the limbo and the stock of a slot that its reaper has cleaned, so that memory follows the
 * number of the living, not of the dead. */
void ae_reclaim_dead(aero_db *db, uint32_t slot);
/* Make room: reap the dead, empty other slots' limbo and stock.  True when something was freed. */
bool ae_reclaim_hard(aero_session *session);
/* Free the head of the slot's limbo, which has no index entries and is seen by nobody.  False: its
 * row is being relinked, later. */
bool ae_version_reclaim(aero_db *db, uint32_t slot, ae_ref ref);
/* No transaction of the session is open: move the clock by a position that nobody commits, so that
 * what was retired at the present one, by a rollback perhaps, waits for the snapshots of today and
 * not for a commit that need not come. */
void ae_reclaim_tick(aero_session *session);
/* At the beginning of a call inside a transaction that holds nothing in its hands yet, and has no
 * cursor: free nodes of trees that the transaction itself has retired, as it does when it rolls
 * back to a savepoint again and again.  Its own snapshot does not keep them: it looks up anew
 * whatever it looks at next, and the clock moves for their sake. */
void ae_reclaim_own(aero_session *session);
/* After a transaction that found the segment full, or undid much: tick, and again until what was
 * taken out of service can be used. */
void ae_reclaim_after(aero_session *session);
/* No transaction of the session is open: when pages are few, look for some that can be had. */
void ae_reclaim_pages(aero_session *session);
/* Free one version that has been unlinked; `pool` is its pool. */
void ae_version_free(aero_db *db, uint32_t slot, uint32_t pool, ae_ref ref);
/* Take the row's anchor out of the hash for good, if its head is still `head`. */
bool ae_anchor_close(aero_db *db, uint32_t slot, uint32_t table, ae_ref anchor, uint64_t head);
/* Repair what the dead holder left half-freed. */
void ae_reclaim_recover(aero_db *db, uint32_t slot);

/* ---- the dead (reaper.c) -------------------------------------------------------------------- */

/* Finish or undo the transaction in a slot whose owner is dead.  False: nothing to do. */
bool ae_reap_slot(aero_db *db, uint32_t slot, uint32_t member);
/* All slots; returns how many were reaped. */
uint32_t ae_reap_all(aero_db *db, uint32_t member);

/* ---- intents (intent.c) --------------------------------------------------------------------- */

/* Chunks that a number of intents needs. */
static inline uint32_t ae_intent_chunks(uint32_t count)
{
    return count <= AE_INTENTS_INLINE
               ? 0
               : (count - AE_INTENTS_INLINE + AE_INTENTS_CHUNK - 1) / AE_INTENTS_CHUNK;
}
ae_intent *ae_intent_at(const aero_db *db, ae_slot *slot, uint32_t index);
/* A cursor over the list that does not start from the first chunk at each step. */
typedef struct ae_intent_walk {
    const aero_db *db;
    ae_slot *slot;
    ae_intent_chunk *chunk;
    uint32_t index;
} ae_intent_walk;
void ae_intent_walk_start(ae_intent_walk *walk, const aero_db *db, ae_slot *slot, uint32_t index);
ae_intent *ae_intent_walk_here(const ae_intent_walk *walk);
void ae_intent_walk_next(ae_intent_walk *walk);
void ae_intents_undo(aero_db *db, uint32_t slot, uint32_t from, uint32_t to);
void ae_intents_stamp(aero_db *db, uint32_t slot, uint64_t number);
/* Give back chunks beyond the first `count` intents. */
void ae_intents_trim(aero_db *db, uint32_t slot, uint32_t count);

#endif
