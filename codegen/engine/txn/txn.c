/* txn.c — the life of a transaction (see txn.h and README.md). */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "proc/feed.h"
#include "txn/latch.h"

/* Versions freed per commit beyond what it retired, so that a backlog shrinks while nobody waits
 * long. */
#define RECLAIM_PER_COMMIT 8u

aero_status ae_conflict(aero_session *session, int32_t reason, const char *table)
{
    AE_ASSERT(reason > AERO_CONFLICT_NONE && reason <= AERO_CONFLICT_LOCK);
    static const char *const sentences[] = {"",
                                            "another transaction has written the row",
                                            "a row that was read has changed",
                                            "a row entered or left what was read",
                                            "stopped too long while committing",
                                            "the snapshot is too old to be validated",
                                            "cancelled",
                                            "another transaction has locked the row"};
    ae_fail(&session->error, AERO_CONFLICT, "transaction conflict%s%s: %s; run it again",
            table == NULL ? "" : " in ", table == NULL ? "" : table, sentences[reason]);
    session->error.reason = reason;
    ae_error_place(&session->error, table, NULL);
    ae_count(&session->db->proc, AE_COUNT_CONFLICTS + (uint32_t)reason);
    return AERO_CONFLICT;
}

/* What asynchronous commits leave in memory, and checkpoints that become due, need a keeper, or
 * else whoever is at work. */
static void keep_when_due(aero_session *session, uint64_t now)
{
    const aero_db *db = session->db;
    /* Wraps where it has passed, and is large where another time namespace's clock set it. */
    if (ae_load64(&db->settings->look_due_ns) - now - 1 >= AE_LOOK_AHEAD_NS && db->keep != NULL &&
        ae_log_is_on(&db->log))
        db->keep(session);
}

/* Dead owners hold the horizon back even if nobody meets their rows: somebody looks now and
 * then. */
static void reap_when_due(aero_session *session)
{
    ae_a64 *place = &session->db->proc.shared->reap_due_ns;
    const uint64_t due = ae_load64(place);
    const uint64_t now = ae_os_coarse_ns();
    /* Much in the future: set under another time namespace's clock. */
    if (now < due && due - now <= 2 * (uint64_t)AE_REAP_INTERVAL_NS)
        return;
    if (!ae_cas64(place, due, now + AE_REAP_INTERVAL_NS))
        return;
    (void)ae_reap_all(session->db, session->member);
    ae_cancel_overdue(session->db);
    ae_member_sweep(&session->db->proc, now / AE_REAP_INTERVAL_NS);
    ae_reclaim_idle(session, now / AE_REAP_INTERVAL_NS);
    ae_reclaim_pages(session);
    keep_when_due(session, now);
}

aero_status ae_txn_begin(aero_session *session, int32_t isolation, bool explicit_)
{
    aero_db *db = session->db;
    ae_txn *txn = &session->txn;
    AE_ALWAYS(!txn->open);
    reap_when_due(session);
    aero_status status = ae_slot_claim(&db->proc, session->member, session->slot_hint, &txn->slot,
                                       &session->error);
    if (status == AERO_NO_SLOT && ae_reap_all(db, session->member) > 0)
        status = ae_slot_claim(&db->proc, session->member, session->slot_hint, &txn->slot,
                               &session->error);
    if (status != AERO_OK)
        return status;
    AE_ALWAYS(txn->slot < AE_SLOTS && txn->readers == NULL && txn->savepoint_count == 0);
    ae_slot *slot = ae_slot_at(&db->proc, txn->slot);
    session->slot_hint = txn->slot;
    txn->open = true;
    txn->explicit = explicit_;
    txn->doomed = false;
    txn->cancelled = false;
    session->full = false;
    txn->awake = explicit_ ? 1 : 0;
    txn->isolation = isolation;
    txn->tracks = explicit_ && isolation == AERO_ISOLATION_SERIALIZABLE;
    txn->intent_count = 0;
    txn->chunk_count = 0;
    txn->logged = false;
    txn->synchronous = -1;
    txn->generation = ae_load64(&slot->generation);
    txn->tree_retired = ae_tree_retired(&db->proc, txn->slot);
    if (explicit_)
        ae_store64(&slot->began_ns, ae_os_monotonic_ns());
    /* Release: before the snapshot; pairs with ae_snapshots_take. */
    if (explicit_ && !txn->tracks)
        ae_store32_release(&slot->plain, 1);
    txn->snapshot = 0;
    txn->fresh = false; /* there is none to renew */
    if (!explicit_) {
        ae_txn_look(session);
        ae_reclaim_ahead(session);
    } else if (session->hot.retry && isolation != AERO_ISOLATION_READ_ONLY) {
        ae_latch_begin(session);
    }
    AE_CRASH_POINT("txn.begun");
    if (session->stopped) { /* while it queued for its hot row */
        ae_txn_rollback(session);
        return ae_session_stopped(session);
    }
    ae_txn_rest(session);
    return AERO_OK;
}

void ae_txn_look(aero_session *session)
{
    AE_ASSERT(session->txn.open);
    session->txn.fresh = session->txn.snapshot == 0;
    if (session->txn.fresh)
        ae_txn_renew(session);
}

static void savepoints_drop(ae_txn *txn, uint32_t count)
{
    while (txn->savepoint_count > count)
        free(txn->savepoints[--txn->savepoint_count].name);
    if (count == 0) {
        free(txn->savepoints);
        txn->savepoints = NULL;
        txn->savepoint_capacity = 0;
    }
}

/* Tree nodes that a rollback may retire without moving the clock for their sake. */
#define ROLLBACK_NODES 64u

/* The slot's intents are finished: leave it. */
static void txn_leave(aero_session *session)
{
    AE_ASSERT(session->txn.open && session->txn.slot < AE_SLOTS);
    ae_txn *txn = &session->txn;
    ae_slot *slot = ae_slot_at(&session->db->proc, txn->slot);
    /* Release: stamped or undone before it stops counting; pairs with ae_reap_slot. */
    ae_store32_release(&slot->intent_count, 0);
    if (ae_load32(&slot->chunk_first) != 0)
        ae_intents_trim(session->db, txn->slot, 0);
    if (session->latch_count != 0)
        ae_latch_leave(session);
    ae_reclaim_some(session, RECLAIM_PER_COMMIT + 2 * txn->intent_count);
    ae_slot_release(&session->db->proc, txn->slot);
    txn->open = false;
    txn->awake = 0;
    txn->intent_count = 0;
    if (ae_reads_any(&txn->reads))
        ae_reads_clear(&txn->reads);
    while (txn->readers != NULL) {
        txn->readers->stale = true;
        ae_txn_unwatch(txn->readers);
    }
    if (txn->savepoints != NULL)
        savepoints_drop(txn, 0);
}

void ae_txn_watch(aero_session *session, ae_own_reader *reader)
{
    AE_ASSERT(session->txn.open);
    reader->sequence = session->txn.intent_count;
    reader->stale = false;
    reader->next = session->txn.readers;
    reader->back = &session->txn.readers;
    if (reader->next != NULL)
        reader->next->back = &reader->next;
    session->txn.readers = reader;
}

void ae_txn_unwatch(ae_own_reader *reader)
{
    if (reader->back == NULL)
        return;
    *reader->back = reader->next;
    if (reader->next != NULL)
        reader->next->back = reader->back;
    reader->back = NULL;
}

/* Readers that see more than `count` writes of the transaction go stale. */
static void readers_notify(ae_txn *txn, uint32_t count)
{
    for (ae_own_reader *reader = txn->readers; reader != NULL; reader = reader->next)
        reader->stale |= reader->sequence > count;
}

void ae_txn_undo_to(aero_session *session, uint32_t count)
{
    AE_ASSERT(session->txn.open);
    if (session->txn.intent_count <= count)
        return; /* a chunk reserved for a write that was not made stays reserved */
    readers_notify(&session->txn, count);
    ae_intents_undo(session->db, session->txn.slot, session->txn.intent_count, count);
    session->txn.intent_count = count;
    const uint32_t chunks = ae_intent_chunks(count);
    if (session->txn.chunk_count > chunks)
        session->txn.chunk_count = chunks;
}

void ae_txn_rollback(aero_session *session)
{
    ae_txn *txn = &session->txn;
    ae_slot *slot = ae_slot_at(&session->db->proc, txn->slot);
    AE_ALWAYS(txn->open);
    const uint32_t retired = ae_tree_retired(&session->db->proc, txn->slot);
    if (txn->explicit)
        ae_txn_take_back(session);
    ae_store64_release(&slot->state, AE_STATE(AE_STATE_ABORTED, 0));
    ae_record_settle(session, false);
    ae_txn_undo_to(session, 0);
    ae_writes_retire(session->db, txn->slot);
    ae_count(&session->db->proc, AE_COUNT_ROLLBACKS);
    const uint32_t nodes = ae_tree_retired(&session->db->proc, txn->slot) - retired;
    txn_leave(session);
    /* The nodes that lost their entries were retired at the present clock, and would wait for the
     * next commit: which may need them. */
    if (session->full || nodes >= ROLLBACK_NODES)
        ae_reclaim_after(session);
}

/* Has the transaction read nothing but rows that it has written?  Each of them was as in its
 * snapshot when it was written, and nobody else has written it since (first updater wins): so what
 * was read holds at any place in the order, and needs no validation.  Undone writes are no intents
 * any more. */
static bool reads_are_own(const aero_session *session)
{
    AE_ASSERT(session->txn.reads.row_count <= AE_READS_ROWS);
    const ae_reads *reads = &session->txn.reads;
    const ae_slot *slot = ae_slot_at(&session->db->proc, session->txn.slot);
    const uint32_t count = session->txn.intent_count;
    if (reads->loose != 0 || reads->predicate_count != 0 || reads->whole != 0 ||
        count > AE_INTENTS_INLINE)
        return false;
    for (uint32_t row = 0; row < reads->row_count; row++) {
        bool own = false;
        for (uint32_t index = 0; index < count; index++)
            own |= ae_load32(&slot->intents[index].anchor) == reads->rows[row] &&
                   ae_load32(&slot->intents[index].replaced) != 0;
        if (!own)
            return false;
    }
    return true;
}

/* Validate what has been decided since the snapshot while there is much of it, outside the queue:
 * inside, others wait.  *upto is where the rest begins. */
static int32_t validate_ahead(const aero_session *session, uint64_t *upto)
{
    AE_ASSERT(session->txn.snapshot != 0);
    const ae_proc_shared *shared = session->db->proc.shared;
    int32_t reason = AERO_CONFLICT_NONE;
    *upto = session->txn.snapshot;
    for (int round = 0; round < 4 && reason == AERO_CONFLICT_NONE; round++) {
        const uint64_t clock = ae_load64_acquire(&shared->clock);
        if (clock - *upto < 4)
            break;
        reason = ae_validate(session, *upto, clock);
        *upto = clock;
    }
    return reason;
}

/* Take the place in the serial order, and decide.  *reason says why not. */
static bool commit_in_order(aero_session *session, bool validates, uint64_t validated,
                            uint64_t *position, int32_t *reason)
{
    AE_ASSERT(session->txn.intent_count > 0 && validated >= session->txn.snapshot);
    aero_db *db = session->db;
    const uint32_t slot = session->txn.slot;
    *position = ae_queue_enter(&db->queue, slot);
    *reason = AERO_CONFLICT_STALLED;
    AE_ASSERT(*position >= session->txn.snapshot);
    bool commit = ae_queue_wait(&db->queue, slot, *position);
    if (commit && validates) {
        const int32_t hit = ae_validate(session, validated, *position);
        if (hit != AERO_CONFLICT_NONE) {
            *reason = hit;
            commit = false;
        }
    }
    return ae_queue_decide(&db->queue, slot, *position, commit);
}

aero_status ae_txn_commit(aero_session *session)
{
    aero_db *db = session->db;
    ae_txn *txn = &session->txn;
    ae_slot *slot = ae_slot_at(&db->proc, txn->slot);
    AE_ALWAYS(txn->open && !txn->doomed);
    if (ae_txn_wake(session) != AERO_OK) {
        ae_txn_rollback(session);
        return ae_txn_cancelled(session);
    }
    if (txn->intent_count ==
        0) { /* a snapshot is a prefix of the order: reads alone need no validation */
        ae_writes_retire(db, txn->slot); /* of writes that were taken back */
        txn_leave(session);
        return AERO_OK;
    }
    if (__builtin_expect(txn->snapshot >= AE_COMMITS_MAX, 0)) {
        ae_txn_rollback(session);
        return ae_fail(
            &session->error, AERO_LIMIT,
            "the database has numbered all the commits it can; dump it and load it anew");
    }
    const bool validates = txn->tracks && ae_reads_any(&txn->reads) && !reads_are_own(session);
    uint64_t validated = txn->snapshot;
    uint64_t position = 0;
    int32_t reason = validates ? validate_ahead(session, &validated) : AERO_CONFLICT_NONE;
    if (reason != AERO_CONFLICT_NONE) {
        ae_txn_rollback(session);
        return ae_conflict(session, reason, NULL);
    }
    ae_queue_fetch(&db->queue, validated);
    ae_writes_prepare(session);
    aero_status status = ae_record_prepare(session);
    if (status != AERO_OK) {
        ae_txn_rollback(session);
        return status;
    }
    /* A compare-and-swap, because somebody may have cancelled the transaction. */
    if (!ae_cas64(&slot->state, AE_STATE(AE_STATE_ACTIVE, 0), AE_STATE(AE_STATE_COMMITTING, 0))) {
        ae_txn_rollback(session);
        return ae_fail(&session->error, AERO_CANCELLED, "the transaction was cancelled");
    }
    AE_CRASH_POINT("txn.committing");
    if (!commit_in_order(session, validates, validated, &position, &reason)) {
        ae_txn_rollback(session);
        return ae_conflict(session, reason, NULL);
    }
    AE_ASSERT(position + 1 > txn->snapshot);
    ae_record_settle(session, true);
    ae_writes_describe(db, txn->slot, position);
    ae_feed_notify(&db->proc);
    ae_intents_stamp(db, txn->slot, position + 1);
    AE_CRASH_POINT("txn.stamped");
    ae_writes_count(db, txn->slot);
    ae_writes_retire(db, txn->slot);
    session->reclaim_debt += txn->intent_count;
    /* Our reads are over: a new snapshot, so that what we replaced ourselves can be freed at
     * once. */
    (void)ae_snapshot_publish(&db->proc, &slot->snapshot);
    ae_store64(&slot->commits, ae_load64(&slot->commits) + 1);
    txn_leave(session);
    status = ae_record_finish(session, txn->slot, position + 1);
    keep_when_due(session, ae_os_coarse_ns());
    return status;
}

/* ---- savepoints ----------------------------------------------------------------------------- */

static ae_savepoint *savepoint_find(ae_txn *txn, const char *name, size_t length)
{
    for (uint32_t index = txn->savepoint_count; index-- > 0;) {
        ae_savepoint *point = &txn->savepoints[index];
        if (point->name_length == length && memcmp(point->name, name, length) == 0)
            return point;
    }
    return NULL;
}

aero_status ae_txn_doomed(aero_session *session)
{
    return session->txn.cancelled
               ? ae_txn_cancelled(session)
               : ae_fail(&session->error, AERO_USAGE,
                         "the transaction met a conflict and can only be rolled back");
}

static aero_status savepoint_check(aero_session *session, size_t length)
{
    if (!session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "no transaction is open");
    if (session->txn.doomed)
        return ae_txn_doomed(session);
    if (length > AE_NAME_MAX)
        return ae_fail(&session->error, AERO_LIMIT, "a savepoint's name has at most %u bytes",
                       AE_NAME_MAX);
    return AERO_OK;
}

aero_status ae_txn_savepoint(aero_session *session, const char *name, size_t length)
{
    ae_txn *txn = &session->txn;
    const aero_status status = savepoint_check(session, length);
    if (status != AERO_OK)
        return status;
    if (txn->savepoint_count == AE_SAVEPOINTS_MAX)
        return ae_fail(&session->error, AERO_LIMIT, "%u savepoints are open already",
                       AE_SAVEPOINTS_MAX);
    if (txn->savepoint_count == txn->savepoint_capacity) {
        const uint32_t capacity = txn->savepoint_capacity == 0 ? 8 : 2 * txn->savepoint_capacity;
        ae_savepoint *more = realloc(txn->savepoints, capacity * sizeof *more);
        if (more == NULL)
            return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a savepoint");
        txn->savepoints = more;
        txn->savepoint_capacity = capacity;
    }
    AE_ASSERT(txn->savepoint_count < txn->savepoint_capacity && length <= AE_NAME_MAX);
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a savepoint");
    if (length > 0)
        memcpy(copy, name, length);
    copy[length] = '\0';
    txn->savepoints[txn->savepoint_count++] = (ae_savepoint){
        .name = copy, .name_length = length, .intent_count = txn->intent_count};
    return AERO_OK;
}

static aero_status savepoint_known(aero_session *session, const char *name, size_t length,
                                   ae_savepoint **point)
{
    const aero_status status = savepoint_check(session, length);
    if (status != AERO_OK)
        return status;
    *point = savepoint_find(&session->txn, name, length);
    if (*point == NULL)
        return ae_fail(&session->error, AERO_NAME, "no savepoint \"%.*s\" is open", (int)length,
                       name);
    return AERO_OK;
}

aero_status ae_txn_rollback_to(aero_session *session, const char *name, size_t length)
{
    ae_savepoint *point = NULL;
    aero_status status = savepoint_known(session, name, length, &point);
    if (status == AERO_OK)
        status = ae_txn_wake(session);
    if (status != AERO_OK)
        return status;
    AE_ASSERT(point->intent_count <= session->txn.intent_count);
    ae_txn_undo_to(session, point->intent_count);
    ae_txn_rest(session);
    const uint32_t kept = (uint32_t)(point - session->txn.savepoints) + 1;
    AE_ASSERT(kept <= session->txn.savepoint_count);
    while (session->txn.savepoint_count > kept)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    return AERO_OK;
}

aero_status ae_txn_release(aero_session *session, const char *name, size_t length)
{
    ae_savepoint *point = NULL;
    const aero_status status = savepoint_known(session, name, length, &point);
    if (status != AERO_OK)
        return status;
    const uint32_t kept = (uint32_t)(point - session->txn.savepoints);
    AE_ASSERT(kept < session->txn.savepoint_count);
    while (session->txn.savepoint_count > kept)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    return AERO_OK;
}

/* ---- back-off ------------------------------------------------------------------------------- */

#define BACKOFF_FIRST_NS 500u
#define BACKOFF_DOUBLINGS 11u /* about one millisecond at most */

uint64_t ae_backoff_nominal_ns(uint32_t attempt)
{
    return (uint64_t)BACKOFF_FIRST_NS
           << (attempt < BACKOFF_DOUBLINGS ? attempt : BACKOFF_DOUBLINGS);
}

void ae_backoff(aero_session *session, uint32_t attempt)
{
    const uint64_t nominal = ae_backoff_nominal_ns(attempt);
    session->random ^= session->random << 13; /* xorshift64 (Marsaglia, 2003) */
    session->random ^= session->random >> 7;
    session->random ^= session->random << 17;
    const uint64_t wait = nominal / 2 + session->random % nominal; /* half to one and a half */
    if (nominal > 20000) {
        ae_os_sleep_ns(wait);
        return;
    }
    const uint64_t until = ae_os_monotonic_ns() + wait;
    while (ae_os_monotonic_ns() < until)
        ae_pause();
}
