/* vacuum.c — when dead versions and retired blocks are freed, and who does it.
 *
 *   who                            what                       when
 *   a writer (ae_reclaim_some)     its own slot's             behind a write, at the writes' pace
 *   the daemon (ae_reclaim_idle)   a slot's that nobody has   while it has nothing else to do
 *   a reaper (ae_reclaim_dead)     a dead owner's             once it has cleaned the slot
 *   an open transaction            nodes that it retired      each 256 of them (ae_reclaim_own)
 *   who finds the segment full     all that can be had        before it says so (ae_reclaim_hard)
 *   ... after its transaction      free slabs, as pages       until they can be used
 *
 * How one version is freed is reclaim.c.
 */
#include "base/os.h"
#include "proc/feed.h"
#include "txn/entries.h"
#include "txn/prune.h"
#include "txn/reclaim_private.h"

/* How many versions may wait before the horizon is computed again (large ones count for more:
 * debt_note): the cost of a barrier system call, 400 ns where nobody else runs, 1 to 3 us and an
 * interruption of the others where somebody does, is spread over them, and they stay within a
 * second-level cache. */
#define RECLAIM_BATCH 512u

/* Behind a transaction of up to so many writes versions are freed at the pace at which they come to
 * wait: what is given back the next ones take again from the slot's magazine.  All at once would
 * overflow that, and every object would go to its slab and be claimed from there again. */
#define RECLAIM_PACED 16u

/* A node of a tree weighs as much as so many versions. */
#define TREE_NODE_DEBT 8u

/* Nodes of trees that a transaction retires before it asks whether others may be at them. */
#define RECLAIM_OWN 256u

/* Versions of a row that may be looked at for each one that is freed: where a row's chain is
 * longer, more of its versions are freed at once, with one walk for all (entries.c). */
#define RECLAIM_WALK 64u

/* Versions of an idle slot freed in one go: below a millisecond. */
#define RECLAIM_IDLE 4096u

/* Who is short of memory goes on freeing until so much was freed: little may be of no use to it. */
#define RECLAIM_ENOUGH 256u

/* Commits that a snapshot may lie behind before its owner's life is looked at: often enough that a
 * dead one pins little, and seldom enough that the 10 microseconds of the look cost a living reader
 * nothing. */
#define RECLAIM_LAG 1024u
/* ... and no more often than this, by all together. */
#define RECLAIM_LAG_NS 8000000u

/* Versions that walks along rows may look at for each commit, saved up for some: a walk past many
 * that a watch has not read yet must not be taken for every one behind them. */
#define PRUNE_STEPS 32
#define PRUNE_STEPS_SAVED 4096
/* The same for an idle slot. */
#define PRUNE_STEPS_IDLE 65536

/* When fewer pages than one in so many can be had, free slabs are looked for before somebody needs
 * them: the sooner, the fewer of one kind are used here and there, and the fewer are never free as
 * a whole again. */
#define RECLAIM_PAGES_SHARE 2u
/* One page in so many goes out of service then, and no more before they are back. */
#define RECLAIM_PAGES_PART 8u

/* Slabs that go out of service are waited for, while the clock moves: twice for the horizon, more
 * often where others hold it for a moment; and where the log's writer is behind, so long. */
#define RECLAIM_TURNS 64u
#define RECLAIM_PAUSE_NS 1000000u

/* Does somebody hold the horizon so far back that it is worth while to look between snapshots? */
static bool horizon_lags(const aero_db *db, uint64_t horizon)
{
    return ae_load64_acquire(&db->proc.shared->clock) - horizon > AE_PRUNE_LAG;
}

/* The horizon, and when it lags what the snapshots need; blocks are free up to *in_use. */
static uint64_t snapshots_look(aero_db *db, ae_snapshots *snapshots, uint64_t *in_use)
{
    const uint64_t horizon = ae_horizon_compute(&db->proc);
    snapshots->recent = 0;
    *in_use = horizon;
    if (horizon_lags(db, horizon)) {
        ae_snapshots_take(&db->proc, snapshots);
        *in_use = snapshots->in_use > horizon ? snapshots->in_use : horizon;
    }
    AE_ASSERT(*in_use >= horizon);
    return horizon;
}

static ae_snapshots *snapshots_if(ae_snapshots *snapshots)
{
    return snapshots->recent == 0 ? NULL : snapshots;
}

/* A dead owner that holds the horizon back is not left to the clock: at full rate a tenth of a
 * second is many megabytes of versions. */
static void laggards_reap(aero_session *session)
{
    aero_db *db = session->db;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    if (clock - session->horizon < RECLAIM_LAG || clock - session->lag_looked < RECLAIM_LAG)
        return;
    session->lag_looked = clock;
    /* One look does for all: where more processes run than there are processors, most of them hold
     * the horizon back, and are alive. */
    ae_a64 *place = &db->proc.shared->lag_due_ns;
    const uint64_t due = ae_load64(place);
    const uint64_t now = ae_os_coarse_ns();
    if ((now < due && due - now <= 2 * (uint64_t)RECLAIM_LAG_NS) ||
        !ae_cas64(place, due, now + RECLAIM_LAG_NS))
        return;
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t slot = 0; slot < high; slot++) {
        const uint64_t snapshot = ae_load64_acquire(&ae_slot_at(&db->proc, slot)->snapshot);
        if (snapshot != 0 && snapshot + RECLAIM_LAG <= clock && ae_slot_dead(&db->proc, slot))
            (void)ae_reap_slot(db, slot, session->member);
    }
}

/* What is to be freed for the sake of the pace: what waited when the horizon was computed, in equal
 * shares until it is computed again.  Nothing, or enough to be worth while. */
static uint32_t reclaim_share(const aero_session *session)
{
    const uint64_t debt = session->reclaim_debt < RECLAIM_BATCH ? session->reclaim_debt
                                                                : RECLAIM_BATCH;
    const uint64_t due = session->reclaim_waits * debt / RECLAIM_BATCH;
    return due < session->reclaim_freed + 1 ? 0 : (uint32_t)(due - session->reclaim_freed);
}

static void reclaim_up_to(aero_session *session, uint32_t most)
{
    const uint32_t slot = session->txn.slot;
    session->reclaim_freed += aei_limbo_reclaim(session->db, slot, session->horizon,
                                                snapshots_if(&session->snapshots), most);
}

/* How many versions to wait for, by what the last ones cost. */
static uint32_t reclaim_patience(const aero_session *session)
{
    const ae_slot *at = ae_slot_at(&session->db->proc, session->txn.slot);
    const uint32_t patience = ae_load32(&at->walked) / RECLAIM_WALK;
    return patience < AE_ENTRIES_OF_ROW ? patience : AE_ENTRIES_OF_ROW;
}

void ae_reclaim_ahead(aero_session *session)
{
    const uint32_t share = reclaim_share(session);
    const uint32_t patience = reclaim_patience(session);
    const uint32_t most = patience < RECLAIM_PACED ? RECLAIM_PACED : AE_ENTRIES_OF_ROW;
    if (share > 0 && share >= patience)
        reclaim_up_to(session, share < most ? share : most);
}

void ae_reclaim_some(aero_session *session, uint32_t most)
{
    AE_ASSERT(session->txn.slot < AE_SLOTS);
    aero_db *db = session->db;
    const uint32_t slot = session->txn.slot;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t writes = session->txn.intent_count;
    bool paced = writes > 0 && writes <= RECLAIM_PACED;
    const uint32_t patience = reclaim_patience(session);
    const uint32_t retired = ae_tree_retired(&db->proc, slot);
    session->reclaim_debt += TREE_NODE_DEBT * (retired - session->tree_retired);
    session->tree_retired = retired;
    /* Freeing walks the indexes: what it meets there must not be reused meanwhile.  A transaction
     * that did not do anything has no snapshot yet. */
    if (ae_load64(&at->snapshot) == 0)
        (void)ae_snapshot_publish(&db->proc, &at->snapshot);
    /* What others have computed holds for us, too.  Acquire: pairs with ae_horizon_compute. */
    const uint64_t known = ae_load64_acquire(&db->proc.shared->horizon);
    session->horizon = known > session->horizon ? known : session->horizon;
    if (session->reclaim_debt >= RECLAIM_BATCH) {
        session->reclaim_debt = 0;
        session->reclaim_freed = 0;
        session->reclaim_waits = ae_load32(&at->limbo_count);
        session->horizon = snapshots_look(db, &session->snapshots, &session->in_use);
        laggards_reap(session);
        if (ae_catalog_untidy(&db->catalog))
            (void)ae_catalog_tend(&db->catalog, slot, session->horizon);
        paced = false;
    }
    if (session->snapshots.recent != 0 && session->snapshots.steps < PRUNE_STEPS_SAVED)
        session->snapshots.steps += PRUNE_STEPS;
    if (paced && session->txn.explicit)
        ae_reclaim_ahead(session);
    else if (!paced)
        reclaim_up_to(session, most > patience ? most : patience);
    if (ae_load32(&at->block_head) != 0) {
        const bool later = session->in_use > session->horizon;
        (void)ae_block_reclaim(&db->proc, slot, later ? session->in_use : session->horizon);
    }
}

void ae_reclaim_idle(const aero_session *session, uint64_t turn)
{
    aero_db *db = session->db;
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t step = 0; step < high; step++) {
        const uint32_t index = (uint32_t)((turn + step) % high);
        const ae_slot *at = ae_slot_at(&db->proc, index);
        uint32_t slot = 0;
        if ((ae_load32(&at->limbo_head) == 0 && ae_load32(&at->block_head) == 0) ||
            ae_load64_acquire(&at->owner) != 0 ||
            ae_slot_claim_at(&db->proc, session->member, index, &slot) != AERO_OK)
            continue;
        /* Freeing walks the hash: its shards must not be reused meanwhile. */
        (void)ae_snapshot_publish(&db->proc, &ae_slot_at(&db->proc, slot)->snapshot);
        ae_snapshots snapshots = {.steps = PRUNE_STEPS_IDLE};
        uint64_t in_use = 0;
        const uint64_t horizon = snapshots_look(db, &snapshots, &in_use);
        (void)aei_limbo_reclaim(db, slot, horizon, snapshots_if(&snapshots), RECLAIM_IDLE);
        (void)ae_block_reclaim(&db->proc, slot, in_use);
        if (ae_catalog_untidy(&db->catalog))
            (void)ae_catalog_tend(&db->catalog, slot, horizon);
        ae_slot_release(&db->proc, slot);
        return;
    }
}

void ae_reclaim_dead(aero_db *db, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    (void)ae_snapshot_publish(&db->proc, &at->snapshot);
    ae_snapshots snapshots = {.steps = PRUNE_STEPS_IDLE};
    uint64_t in_use = 0;
    const uint64_t horizon = snapshots_look(db, &snapshots, &in_use);
    (void)aei_limbo_reclaim(db, slot, horizon, snapshots_if(&snapshots), RECLAIM_IDLE);
    (void)ae_block_reclaim(&db->proc, slot, in_use);
    (void)ae_heap_flush(&db->heap, &at->cache, slot);
}

/* Free what can be freed, wherever it is; returns how many objects.  *stock: so many free ones have
 * been given to everybody. */
static uint64_t reclaim_everywhere(aero_session *session, uint64_t *stock)
{
    aero_db *db = session->db;
    const uint64_t horizon = snapshots_look(db, &session->snapshots, &session->in_use);
    ae_snapshots *snapshots = snapshots_if(&session->snapshots);
    session->horizon = horizon;
    session->snapshots.steps = INT64_MAX / 2;
    uint64_t freed = 0;
    if (session->txn.open) {
        freed += aei_limbo_reclaim(db, session->txn.slot, horizon, snapshots, UINT32_MAX);
        freed += ae_block_reclaim(&db->proc, session->txn.slot, session->in_use);
    }
    /* Idle slots keep stock and limbo; claim each for a moment and empty it. */
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t index = 0; index < high; index++) {
        ae_slot *at = ae_slot_at(&db->proc, index);
        uint32_t slot = 0;
        if (ae_load64_acquire(&at->owner) != 0 ||
            ae_slot_claim_at(&db->proc, session->member, index, &slot) != AERO_OK)
            continue;
        (void)ae_snapshot_publish(&db->proc, &at->snapshot);
        freed += aei_limbo_reclaim(db, slot, horizon, snapshots, UINT32_MAX);
        freed += ae_block_reclaim(&db->proc, slot, session->in_use);
        *stock += ae_heap_flush(&db->heap, &at->cache, slot);
        ae_slot_release(&db->proc, slot);
    }
    session->snapshots.steps = 0;
    return freed;
}

bool ae_reclaim_hard(aero_session *session)
{
    AE_ASSERT(session->member < AE_MEMBERS);
    aero_db *db = session->db;
    session->full = true;
    (void)ae_reap_all(db, session->member);
    ae_cancel_overdue(db);
    ae_feed_squeeze(&db->proc);
    uint64_t stock = 0;
    uint64_t freed = reclaim_everywhere(session, &stock);
    /* Watches that lag hold no writer up: the oldest give up first. */
    for (uint32_t round = 0; round < AE_FEEDS && freed < RECLAIM_ENOUGH; round++) {
        if (!ae_feed_revoke(&db->proc, session->horizon))
            break;
        freed += reclaim_everywhere(session, &stock);
    }
    return freed + stock > 0;
}

/* Slabs out of service whose pages are not back yet.  Where somebody died between the deed and the
 * counting of it, the counts never meet: then it is looked, and they are put right. */
static bool slabs_wait(const aero_db *db)
{
    ae_segment_header *header = db->segment.header;
    const uint32_t returned = ae_load32(&header->returned);
    const uint32_t given = ae_load32(&header->given);
    if (given == returned)
        return false;
    if (ae_heap_drains(&db->heap))
        return true;
    (void)ae_cas32(&header->given, given, returned);
    return false;
}

/* Slabs that are free as a whole go out of service, until it is `most` pages.  Not while somebody
 * holds a snapshot: what is out of service is of no use to anybody until the horizon has passed.
 * The clock moves first, so that whoever is here already has an older snapshot than ours. */
static void slabs_drain(aero_session *session, uint64_t most)
{
    aero_db *db = session->db;
    uint32_t slot = 0;
    uint32_t pool = 0;
    uint32_t index = 0;
    uint64_t out = 0;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    if (most == 0)
        return;
    ae_reclaim_tick(session);
    if (ae_load64_acquire(&db->proc.shared->clock) == clock ||
        ae_slot_claim(&db->proc, session->member, session->slot_hint, &slot, NULL) != AERO_OK)
        return;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint64_t snapshot = ae_snapshot_publish(&db->proc, &at->snapshot);
    if (ae_horizon_compute(&db->proc) >= snapshot) {
        (void)ae_heap_flush(&db->heap, &at->cache, slot);
        for (ae_ref ref = 0; out < most && (ref = ae_heap_drain(&db->heap, &at->cache, slot, &pool,
                                                                &index)) != 0;) {
            out += ((const ae_slab *)ae_at(&db->segment, ref))->pages;
            ae_slab_retire(&db->proc, slot, ref);
        }
    }
    ae_slot_release(&db->proc, slot);
}

/* Slabs that are free become pages for anything: at once, where nobody holds the horizon.  `waits`:
 * for the log's writer too, when it is behind, without whom the clock cannot move. */
static void slabs_regain(aero_session *session, uint64_t most, bool waits)
{
    const aero_db *db = session->db;
    uint64_t stock = 0;
    slabs_drain(session, most);
    for (uint32_t turn = 0; turn < RECLAIM_TURNS && slabs_wait(db); turn++) {
        const uint64_t horizon = session->horizon;
        const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
        (void)reclaim_everywhere(session, &stock);
        if (session->horizon < clock && session->horizon == horizon)
            return; /* somebody holds it */
        ae_reclaim_tick(session);
        if (ae_load64_acquire(&db->proc.shared->clock) != clock)
            session->ticks++; /* there may be memory, whoever has moved the clock */
        else if (waits)
            ae_os_sleep_ns(RECLAIM_PAUSE_NS);
        else
            return;
    }
}

void ae_reclaim_after(aero_session *session)
{
    const bool full = session->full;
    uint64_t stock = 0;
    ae_reclaim_tick(session);
    if (!full)
        return;
    (void)reclaim_everywhere(session, &stock);
    slabs_regain(session, UINT64_MAX, true);
}

void ae_reclaim_pages(aero_session *session)
{
    const aero_db *db = session->db;
    uint64_t all = 0;
    AE_ASSERT(!session->txn.open);
    if (ae_pages_free(&db->segment, &all) >= all / RECLAIM_PAGES_SHARE)
        return;
    /* A part at a time: who begins before the pages are back must not meet FULL for it. */
    slabs_regain(session, slabs_wait(db) ? 0 : all / RECLAIM_PAGES_PART, false);
}

/* Move the clock, by a commit of nothing, if nobody is behind it whom that would hurt. */
static void clock_move(aero_session *session)
{
    aero_db *db = session->db;
    uint32_t slot = 0;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    /* The log's writer needs the queue's entries of what it has not written, and who only fails
     * does not write: then the commits that write will move the clock. */
    if (clock >= AE_COMMITS_MAX ||
        (ae_log_is_on(&db->log) && clock - ae_log_written_number(&db->log) > db->queue.mask / 2))
        return;
    if (ae_slot_claim(&db->proc, session->member, session->slot_hint, &slot, NULL) != AERO_OK)
        return;
    ae_slot *at = ae_slot_at(&db->proc, slot);
    /* An aborted commit that has written nothing: what its owner's death leaves, a reaper settles
     * as any other. */
    if (ae_cas64(&at->state, AE_STATE(AE_STATE_ACTIVE, 0), AE_STATE(AE_STATE_COMMITTING, 0))) {
        AE_CRASH_POINT("reclaim.ticking");
        const uint64_t position = ae_queue_enter(&db->queue, slot);
        AE_CRASH_POINT("reclaim.entered");
        (void)ae_queue_wait(&db->queue, slot, position);
        (void)ae_queue_decide(&db->queue, slot, position, false);
        session->ticks++;
    }
    ae_slot_release(&db->proc, slot);
}

void ae_reclaim_tick(aero_session *session)
{
    AE_ASSERT(!session->txn.open);
    session->full = false;
    clock_move(session);
}

void ae_reclaim_own(aero_session *session)
{
    aero_db *db = session->db;
    ae_txn *txn = &session->txn;
    const uint32_t retired = ae_tree_retired(&db->proc, txn->slot);
    AE_ASSERT(txn->open && txn->explicit && txn->awake == 0 && txn->readers == NULL);
    if (retired - txn->tree_retired < RECLAIM_OWN)
        return;
    txn->tree_retired = retired;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    uint64_t others = ae_horizon_of_others(&db->proc, txn->slot);
    /* Somebody came as late as the last of them.  Each move of the clock is one more commit to be
     * looked at when this one is validated, and the queue remembers so many. */
    if (others <= clock && clock - txn->snapshot < db->proc.shared->queue_size / 2) {
        clock_move(session);
        others = ae_horizon_of_others(&db->proc, txn->slot);
    }
    (void)ae_block_reclaim(&db->proc, txn->slot, others);
}
