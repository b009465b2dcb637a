/* latch.c — taking, waiting for and giving up row latches (see latch.h). */
#include "txn/latch.h"

#include "base/os.h"
#include "base/os_wait.h"

/* Turns of spinning before a waiter sleeps: some two microseconds, a short transaction. */
#define LATCH_SPINS 40u
/* Longest sleep (K2): what a lost wake-up or a death costs. */
#define LATCH_LOOK_NS 1000000u
/* After so long without a turn a waiter is starved (K4). */
#define LATCH_STARVED_NS 2000000u
/* Attempts at a row whose latch we hold while others finish what they had begun. */
#define LATCH_PATIENCE 24u

static ae_a32 *latch_of(const aero_db *db, ae_ref anchor)
{
    return &((ae_anchor *)ae_at(&db->segment, anchor))->latch;
}

static uint32_t latch_owner(uint32_t word)
{
    return word & ~AE_LATCH_FLAGS;
}

/* The word of a slot's claim.  The generation never reads 0, so that a free latch is 0. */
static uint32_t latch_word(uint32_t slot, uint64_t generation)
{
    return slot << AE_LATCH_SLOT_SHIFT | (uint32_t)(generation % AE_LATCH_GENERATION + 1);
}

static uint32_t latch_own(const aero_session *session)
{
    return latch_word(session->txn.slot, session->txn.generation);
}

/* Keeps K1. */
static bool owner_runs(const aero_db *db, uint32_t word)
{
    const uint32_t slot = word >> AE_LATCH_SLOT_SHIFT;
    const ae_slot *at = ae_slot_at(&db->proc, slot);
    if (latch_owner(word) == 0 ||
        latch_word(slot, ae_load64_acquire(&at->generation)) != latch_owner(word))
        return false;
    if (AE_CANCEL_GENERATION(ae_load64_acquire(&at->cancel)) == ae_load64_acquire(&at->generation))
        return false; /* cancelled: it can only be rolled back */
    const uint32_t state = ae_state_of(ae_load64_acquire(&at->state));
    return state == AE_STATE_ACTIVE || state == AE_STATE_COMMITTING;
}

bool ae_latch_held(const aero_db *db, ae_ref anchor)
{
    const uint32_t word = ae_load32_acquire(latch_of(db, anchor));
    return word != 0 && owner_runs(db, word);
}

void ae_txn_renew(aero_session *session)
{
    ae_slot *slot = ae_slot_at(&session->db->proc, session->txn.slot);
    session->txn.snapshot = ae_snapshot_publish(&session->db->proc, &slot->snapshot);
}

/* May the snapshot still be renewed?  A transaction that has read or written keeps its own. */
static bool renewable(const aero_session *session)
{
    return session->txn.intent_count == 0 && session->txn.fresh;
}

/* Keeps K3: with empty hands anybody may be waited for; else only the younger.  A statement that
 * is its own transaction has no age and waits for nobody once it has written. */
static bool may_wait(const aero_session *session, ae_ref anchor, uint32_t word)
{
    const ae_txn *txn = &session->txn;
    bool empty = txn->intent_count == 0;
    for (uint32_t index = 0; index < session->latch_count && empty; index++) {
        const ae_ref held = session->latches[index];
        empty = held == anchor ||
                latch_owner(ae_load32(latch_of(session->db, held))) != latch_own(session);
    }
    if (empty && session->latch_count < AE_LATCHES_KEPT)
        return true;
    if (!txn->explicit)
        return false;
    const uint64_t mine = ae_load64(&ae_slot_at(&session->db->proc, txn->slot)->began_ns);
    const uint32_t slot = word >> AE_LATCH_SLOT_SHIFT;
    const uint64_t theirs = ae_load64(&ae_slot_at(&session->db->proc, slot)->began_ns);
    return mine < theirs || (mine == theirs && txn->slot < slot);
}

static void latch_note(aero_session *session, ae_ref anchor)
{
    for (uint32_t index = 0; index < session->latch_count; index++)
        if (session->latches[index] == anchor)
            return;
    if (session->latch_count < AE_LATCHES_KEPT)
        session->latches[session->latch_count++] = anchor;
}

/* A wait for one latch. */
typedef struct latch_wait {
    aero_session *session;
    ae_ref anchor;
    ae_a32 *latch;
    uint64_t limit_ns;
    uint64_t started_ns; /* 0: not yet */
    uint64_t owner_ns;   /* since when it is this owner's */
    uint32_t owner;
    uint32_t spins;
    bool queued; /* has slept: may take what is left to sleepers */
    bool waited;
} latch_wait;

enum latch_patience { LATCH_LOOK, LATCH_STEAL, LATCH_GIVE_UP };

/* How long was waited, for anybody and for this owner. */
static enum latch_patience latch_clock(latch_wait *wait, uint32_t word, uint64_t *waited)
{
    const uint64_t now = ae_os_monotonic_ns();
    if (wait->started_ns == 0)
        wait->started_ns = now;
    if (wait->owner_ns == 0 || wait->owner != latch_owner(word)) {
        wait->owner = latch_owner(word);
        wait->owner_ns = now;
    }
    *waited = now - wait->started_ns;
    if ((word & AE_LATCH_USER) == 0 && now - wait->owner_ns > AE_LATCH_STEAL_NS)
        return LATCH_STEAL;
    return *waited > wait->limit_ns ? LATCH_GIVE_UP : LATCH_LOOK;
}

/* The latch is another's: wait for a change. */
static enum latch_patience latch_sleep(latch_wait *wait, uint32_t word)
{
    aero_session *session = wait->session;
    aero_db *db = session->db;
    uint64_t waited = 0;
    wait->waited = true;
    if (owner_runs(db, word) && !may_wait(session, wait->anchor, word))
        return LATCH_GIVE_UP;
    if (wait->spins < LATCH_SPINS) {
        wait->spins++;
        ae_pause();
        return LATCH_LOOK;
    }
    const enum latch_patience patience = latch_clock(wait, word, &waited);
    if (patience != LATCH_LOOK)
        return patience;
    /* A death is found by who waits for it. */
    const uint32_t slot = word >> AE_LATCH_SLOT_SHIFT;
    if (wait->queued && latch_owner(word) != 0 && ae_slot_dead(&db->proc, slot))
        (void)ae_reap_slot(db, slot, session->member);
    const uint32_t flags = AE_LATCH_WAITS | (waited > LATCH_STARVED_NS ? AE_LATCH_STARVED : 0);
    if ((word & flags) != flags && !ae_cas32(wait->latch, word, word | flags))
        return LATCH_LOOK;
    const uint64_t left = wait->limit_ns - waited + 1;
    ae_os_wait(wait->latch, word | flags, left < LATCH_LOOK_NS ? left : LATCH_LOOK_NS);
    wait->queued = true;
    wait->spins = 0;
    if (renewable(session))
        ae_txn_renew(session); /* a sleeper must not hold the horizon */
    return ae_session_patient(session) ? LATCH_LOOK : LATCH_GIVE_UP;
}

/* Take the latch; *waited says whether somebody was in the way.  False: too late. */
static bool latch_take(aero_session *session, ae_ref anchor, uint32_t flags, bool *waited)
{
    const uint32_t mine = latch_own(session);
    latch_wait wait = {.session = session,
                       .anchor = anchor,
                       .latch = latch_of(session->db, anchor),
                       .limit_ns = ae_load64(&session->db->lock_timeout_ms) * 1000000u};
    bool taken = false;
    enum latch_patience patience = LATCH_LOOK;
    while (!taken && patience != LATCH_GIVE_UP) {
        const uint32_t word = ae_load32_acquire(wait.latch);
        const bool ours = latch_owner(word) == mine;
        const bool left = (word & AE_LATCH_STARVED) == 0 || wait.queued;
        if (ours || (left && !owner_runs(session->db, word))) {
            /* Who has slept may not have slept alone. */
            const uint32_t kept = ours ? word & AE_LATCH_FLAGS
                                       : (word & AE_LATCH_WAITS) |
                                             (wait.queued ? AE_LATCH_WAITS : 0);
            /* Acquire-release: what the last owner did; pairs with latch_release. */
            taken = ae_cas32(wait.latch, word, mine | kept | flags);
            continue;
        }
        patience = latch_sleep(&wait, word);
        if (patience == LATCH_STEAL) /* from one who is stopped: it goes on without */
            taken = ae_cas32(wait.latch, word, mine | AE_LATCH_WAITS | flags);
    }
    AE_CRASH_POINT("latch.taken");
    *waited = wait.waited;
    if (taken) {
        latch_note(session, anchor);
        ae_count(&session->db->proc, AE_COUNT_LATCHES);
    }
    return taken;
}

static void latch_release(const aero_session *session, ae_ref anchor)
{
    ae_a32 *latch = latch_of(session->db, anchor);
    const uint32_t mine = latch_own(session);
    for (;;) {
        const uint32_t word = ae_load32_acquire(latch);
        if (latch_owner(word) != mine)
            return;
        /* Only "starved" stays: one sleeper is woken, and says again that others wait. */
        const uint32_t next = word & AE_LATCH_STARVED;
        if (!ae_cas32(latch, word, next))
            continue;
        AE_CRASH_POINT("latch.free");
        if ((word & AE_LATCH_WAITS) != 0 && ae_os_wake(latch, 1) == 0)
            (void)ae_cas32(latch, AE_LATCH_STARVED, 0); /* nobody is left to take it */
        return;
    }
}

/* ---- for writers ---------------------------------------------------------------------------- */

void ae_latch_conflict(aero_session *session, uint32_t table, uint32_t tag, ae_ref anchor)
{
    ae_hot *hot = &session->hot;
    const uint64_t bound = ae_load64(&session->db->escalate_after);
    if (hot->table != table || hot->tag != tag || hot->anchor != anchor)
        *hot = (ae_hot){.table = table, .tag = tag, .anchor = anchor};
    if (bound != 0 && ++hot->conflicts >= bound)
        hot->heat = AE_LATCH_HEAT;
    hot->retry = hot->heat != 0;
}

/* Somebody was in the way, or not: the row stays hot, or cools. */
static void hot_judge(aero_session *session, bool waited)
{
    ae_hot *hot = &session->hot;
    if (waited)
        hot->heat = AE_LATCH_HEAT;
    else if (hot->heat > 0 && --hot->heat == 0)
        hot->conflicts = 0;
}

/* Has this transaction written the row already?  Then it is ours, whoever queues. */
static bool row_is_ours(const aero_session *session, ae_ref anchor)
{
    if (session->txn.intent_count == 0)
        return false;
    const aero_db *db = session->db;
    const uint64_t head = ae_load64_acquire(&((ae_anchor *)ae_at(&db->segment, anchor))->head);
    if (!ae_head_is_row(head))
        return false;
    const ae_version *version = ae_at(&db->segment, ae_head_ref(head));
    const uint64_t mark = ae_txn_mark(session);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const uint64_t end = ae_load64_acquire(&version->end);
    return ((begin & AE_MARK) != 0 && ae_mark_same(begin, mark)) ||
           ((end & AE_MARK) != 0 && ae_mark_same(end, mark));
}

static enum ae_latch latch_queue(aero_session *session, ae_ref anchor, uint32_t flags, bool *waited)
{
    *waited = false;
    const bool fresh = renewable(session);
    const bool had = latch_owner(ae_load32_acquire(latch_of(session->db, anchor))) ==
                     latch_own(session);
    if (!latch_take(session, anchor, flags, waited))
        return AE_LATCH_LATE;
    if (had || !fresh)
        return AE_LATCH_GO;
    ae_txn_renew(session);
    return AE_LATCH_AGAIN;
}

enum ae_latch ae_latch_meet(aero_session *session, ae_ref anchor, bool wanted)
{
    const uint32_t word = ae_load32_acquire(latch_of(session->db, anchor));
    if (latch_owner(word) == latch_own(session) || row_is_ours(session, anchor))
        return AE_LATCH_GO;
    bool waited = owner_runs(session->db, word);
    if (!wanted && !waited && (word & AE_LATCH_STARVED) == 0)
        return AE_LATCH_GO; /* what is left of an owner that has ended */
    /* With an older snapshot waiting is no use: the owner's commit would be a conflict. */
    if (waited && !renewable(session))
        return AE_LATCH_LATE;
    const enum ae_latch outcome = latch_queue(session, anchor, 0, &waited);
    if (wanted)
        hot_judge(session, waited);
    return outcome;
}

bool ae_latch_patience(aero_session *session, ae_ref anchor, uint32_t attempt)
{
    const uint32_t word = ae_load32_acquire(latch_of(session->db, anchor));
    if (attempt >= LATCH_PATIENCE || !renewable(session) || latch_owner(word) != latch_own(session))
        return false;
    ae_backoff(session, attempt / 2);
    ae_txn_renew(session);
    return true;
}

enum ae_latch ae_latch_lock(aero_session *session, ae_ref anchor)
{
    bool waited = false;
    if (row_is_ours(session, anchor))
        return AE_LATCH_GO;
    return latch_queue(session, anchor, AE_LATCH_USER, &waited);
}

/* ---- for transactions ----------------------------------------------------------------------- */

void ae_latch_begin(aero_session *session)
{
    ae_hot *hot = &session->hot;
    bool waited = false;
    hot->retry = false;
    if (hot->heat == 0)
        return;
    /* Anchors stay anchors: at worst the row is another's by now, and we queue for nothing. */
    const ae_anchor *row = ae_at(&session->db->segment, hot->anchor);
    if (ae_load32(&row->tag) != hot->tag)
        hot->heat = 0;
    else
        (void)latch_take(session, hot->anchor, 0, &waited);
}

void ae_latch_leave(aero_session *session)
{
    while (session->latch_count > 0)
        latch_release(session, session->latches[--session->latch_count]);
}
