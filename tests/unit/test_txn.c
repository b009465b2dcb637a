/* Transactions: who sees what, conflicts, limits, forks and threads.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>

#include "flights.h"
#include "txn/visibility_inline.h"

/* ---- visibility ----------------------------------------------------------------------------- */

enum { NOW = 1000, FOREIGN_NUMBER = 900 };

/* A stamp as the truth table has it. */
enum stamp_kind {
    STAMP_OLD_NUMBER, /* 500 */
    STAMP_NEW_NUMBER, /* 2,000 */
    STAMP_INFINITE,
    STAMP_OWN_EARLY, /* own write 2 */
    STAMP_OWN_LATE,  /* own write 7 */
    STAMP_FOREIGN,   /* mark of another transaction */
    STAMP_KINDS
};

static uint64_t stamp_make(enum stamp_kind kind, uint32_t own_slot, uint64_t own_generation,
                           uint32_t slot, uint64_t generation)
{
    switch (kind) {
    case STAMP_OLD_NUMBER:
        return 500;
    case STAMP_NEW_NUMBER:
        return 2000;
    case STAMP_INFINITE:
        return AE_STAMP_INFINITY;
    case STAMP_OWN_EARLY:
        return ae_mark(own_slot, own_generation, 2);
    case STAMP_OWN_LATE:
        return ae_mark(own_slot, own_generation, 7);
    default:
        return ae_mark(slot, generation, 3);
    }
}

/* Has it happened for a reader with snapshot S and own writes below 5?  Written from the
 * definition. */
static bool stamp_happened(enum stamp_kind kind, uint64_t snapshot, bool inside,
                           uint64_t foreign_state)
{
    switch (kind) {
    case STAMP_OLD_NUMBER:
        return 500 <= snapshot;
    case STAMP_NEW_NUMBER:
        return 2000 <= snapshot;
    case STAMP_OWN_EARLY:
        return inside;
    case STAMP_FOREIGN:
        return ae_state_of(foreign_state) == AE_STATE_COMMITTED &&
               ae_state_number(foreign_state) <= snapshot;
    default:
        return false;
    }
}

/* Goal: a version is seen when it began and has not ended, for every kind of stamp and every state
 * of the transaction behind a mark.  Method: the whole table against the definition. */
static void test_visibility_truth_table(void **state)
{
    test_store store;
    ae_version version;
    uint32_t own = 0;
    uint32_t other = 0;
    (void)state;
    store_open(&store, 8 << 20);
    ae_proc *proc = &store.db->proc;
    assert_int_equal(ae_slot_claim(proc, store.session->member, 0, &own, NULL), AERO_OK);
    assert_int_equal(ae_slot_claim(proc, store.session->member, 1, &other, NULL), AERO_OK);
    ae_slot *slot = ae_slot_at(proc, other);
    const uint64_t own_generation = ae_load64(&ae_slot_at(proc, own)->generation);
    const uint64_t generation = ae_load64(&slot->generation);
    const uint64_t states[] = {AE_STATE(AE_STATE_ACTIVE, 0),
                               AE_STATE(AE_STATE_COMMITTING, 0),
                               AE_STATE(AE_STATE_COMMITTED, FOREIGN_NUMBER),
                               AE_STATE(AE_STATE_COMMITTED, NOW),
                               AE_STATE(AE_STATE_COMMITTED, NOW + 1),
                               AE_STATE(AE_STATE_ABORTED, 0)};
    const uint64_t snapshots[] = {400, 500, FOREIGN_NUMBER - 1, FOREIGN_NUMBER, NOW, 2000};
    memset(&version, 0, sizeof version);
    uint32_t cases = 0;
    for (uint32_t begin = 0; begin < STAMP_KINDS; begin++)
        for (uint32_t end = 0; end < STAMP_KINDS; end++)
            for (size_t at = 0; at < 6 * 6 * 2; at++) {
                const uint64_t of = states[at % 6];
                const uint64_t snapshot = snapshots[at / 6 % 6];
                const bool inside = at / 36 != 0;
                if (begin == STAMP_INFINITE)
                    continue;
                ae_store64(&slot->state, of);
                ae_store64(&version.begin,
                           stamp_make(begin, own, own_generation, other, generation));
                ae_store64(&version.end, stamp_make(end, own, own_generation, other, generation));
                const bool began = stamp_happened(begin, snapshot, inside, of);
                const bool ended = stamp_happened(end, snapshot, inside, of);
                const enum ae_sight wanted = !began ? AE_UNBORN : ended ? AE_ENDED : AE_SEEN;
                const enum ae_sight sight = ae_version_sight(
                    proc, snapshot, inside ? ae_mark(own, own_generation, 5) : 0, &version);
                if (sight != wanted)
                    fail_msg("begin %u end %u state %zu snapshot %" PRIu64 " inside %d: %d, not %d",
                             begin, end, at % 6, snapshot, inside, sight, wanted);
                cases++;
            }
    assert_int_equal(cases, (STAMP_KINDS - 1) * STAMP_KINDS * 72);
    for (uint32_t by = 0; by < 256; by++) {
        ae_store64(&version.begin, AE_WORD_CACHED | by);
        assert_int_equal(ae_version_sight(proc, UINT64_MAX >> 2, 0, &version), AE_NOTHING);
    }
    ae_store64(&version.begin, 0);
    assert_int_equal(ae_version_sight(proc, UINT64_MAX >> 2, 0, &version), AE_NOTHING);
    ae_slot_release(proc, own);
    ae_slot_release(proc, other);
    store_close(&store);
}

/* Goal: uncommitted writes are seen by their transaction alone; committed ones by whoever begins
 * later. Method: insert, update and delete in one session, looks from two others. */
static void test_others_see_a_transaction_when_it_has_committed(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *a = store.session;
    aero_session *old = session_new(&store);
    aero_session *b = session_new(&store);
    for (int commits = 0; commits < 2; commits++) {
        assert_ok(a, flight_put(a, "updated", 1));
        assert_ok(a, flight_put(a, "deleted", 1));
        assert_ok(old, aero_begin(old, AERO_ISOLATION_SNAPSHOT));
        assert_int_equal(flight_get(old, "updated"), 1);
        assert_ok(a, aero_begin(a, AERO_ISOLATION_SERIALIZABLE));
        assert_ok(a, flight_put(a, "updated", 2));
        assert_ok(a, flight_delete(a, "deleted"));
        assert_ok(a, flight_insert(a, "inserted", 2));
        assert_int_equal(flight_get(a, "updated"), 2);
        assert_int_equal(flight_get(a, "deleted"), FLIGHT_NONE);
        assert_int_equal(flight_get(a, "inserted"), 2);
        assert_int_equal(flight_get(b, "updated"), 1);
        assert_int_equal(flight_get(b, "deleted"), 1);
        assert_int_equal(flight_get(b, "inserted"), FLIGHT_NONE);
        assert_int_equal(row_count(b, FLIGHTS), 2);
        assert_int_equal(row_count(a, FLIGHTS), 2);
        assert_ok(a, commits ? aero_commit(a) : aero_rollback(a));
        assert_int_equal(flight_get(b, "updated"), commits ? 2 : 1);
        assert_int_equal(flight_get(b, "deleted"), commits ? FLIGHT_NONE : 1);
        assert_int_equal(flight_get(b, "inserted"), commits ? 2 : FLIGHT_NONE);
        assert_int_equal(flight_get(old, "updated"), 1);
        assert_int_equal(flight_get(old, "deleted"), 1);
        assert_int_equal(flight_get(old, "inserted"), FLIGHT_NONE);
        assert_int_equal(row_count(old, FLIGHTS), 2);
        assert_ok(old, aero_commit(old));
    }
    aero_session_close(old);
    aero_session_close(b);
    store_close(&store);
}

/* Goal: P3, what a snapshot sees stays.  Method: rows are updated, deleted and made anew many
 * times, so that memory is reused, under two open transactions and an open cursor of which one is
 * in a high slot. */
static void test_a_snapshot_outlives_many_updates(void **state)
{
    test_store store;
    aero_session *readers[40];
    char name[32];
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t key = 0; key < 50; key++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, key), 1));
    for (uint32_t index = 0; index < 40; index++) {
        readers[index] = session_new(&store);
        assert_ok(readers[index], aero_begin(readers[index], AERO_ISOLATION_READ_ONLY));
        assert_int_equal(flight_get(readers[index], name), 1);
    }
    for (uint32_t round = 2; round < 200; round++)
        for (uint32_t key = 0; key < 50; key++) {
            if ((key + round) % 5 == 0)
                assert_ok(store.session, flight_delete(store.session, flight_name(name, key)));
            assert_ok(store.session, flight_put(store.session, flight_name(name, key), round));
        }
    for (uint32_t index = 0; index < 40; index++) {
        for (uint32_t key = 0; key < 50; key++)
            assert_int_equal(flight_get(readers[index], flight_name(name, key)), 1);
        assert_int_equal(row_count(readers[index], FLIGHTS), 50);
        aero_session_close(readers[index]);
    }
    store_close(&store);
}

/* Goal: a row is found behind a version whose writer has committed and was stopped before stamping.
 * Method: put a mark back in the place of a stamp in the middle of a chain, as such a writer leaves
 * it. */
static void test_a_mark_in_the_middle_of_a_chain_hides_nothing(void **state)
{
    test_store store;
    uint32_t slot = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *reader = session_new(&store);
    aero_db *db = store.db;
    assert_ok(store.session, flight_put(store.session, "row", 1));
    assert_ok(reader, aero_begin(reader, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(reader, "row"), 1);
    assert_ok(store.session, flight_put(store.session, "row", 2));
    assert_ok(store.session, flight_put(store.session, "row", 3));
    const ae_slab *slab = ae_pool_slab(&db->heap, &db->heap.pools[0], 0);
    ae_version *middle = NULL;
    for (uint32_t index = 0; index < ae_load32(&slab->high); index++) {
        ae_version *version = ae_slab_object(slab, index);
        const uint64_t begin = ae_load64(&version->begin);
        const uint64_t end = ae_load64(&version->end);
        if (begin < AE_STAMP_INFINITY && begin > reader->txn.snapshot && end != AE_STAMP_INFINITY)
            middle = version;
    }
    assert_non_null(middle);
    const uint64_t number = ae_load64(&middle->begin);
    assert_int_equal(ae_slot_claim(&db->proc, store.session->member, 99, &slot, NULL), AERO_OK);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    ae_store64(&at->state, AE_STATE(AE_STATE_COMMITTED, number));
    ae_store64(&middle->begin, ae_mark(slot, ae_load64(&at->generation), 0));
    assert_int_equal(flight_get(reader, "row"), 1);
    ae_store64(&middle->begin, number);
    ae_slot_release(&db->proc, slot);
    aero_session_close(reader);
    store_close(&store);
}

/* ---- conflicts ------------------------------------------------------------------------------ */

/* Goal: first updater wins; the other can only be rolled back.  Method: both cases, a writer that
 * has committed and one that is still open. */
static void test_the_first_updater_wins(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *a = store.session;
    aero_session *b = session_new(&store);
    assert_ok(a, flight_put(a, "row", 1));
    for (int open = 0; open < 2; open++) {
        assert_ok(a, aero_begin(a, AERO_ISOLATION_SNAPSHOT));
        assert_ok(a, flight_put(a, "mine", open));
        if (open)
            assert_ok(b, aero_begin(b, AERO_ISOLATION_SNAPSHOT));
        assert_ok(b, flight_put(b, "row", 2 + open));
        assert_status(a, AERO_CONFLICT, flight_put(a, "row", 9));
        assert_int_equal(aero_session_error(a)->reason, AERO_CONFLICT_WRITE);
        assert_int_equal(aero_session_error(a)->aborted, 1);
        assert_int_equal(aero_session_error(a)->retryable, 1);
        assert_status(a, AERO_USAGE, flight_put(a, "other", 9));
        assert_status(a, AERO_USAGE, aero_savepoint(a, "s", 1));
        if (open) {
            assert_ok(a, aero_rollback(a));
            assert_ok(b, aero_commit(b));
        } else {
            assert_status(a, AERO_CONFLICT, aero_commit(a));
        }
        assert_int_equal(aero_depth(a), 0);
        assert_int_equal(flight_get(a, "mine"), FLIGHT_NONE);
        assert_int_equal(flight_get(a, "row"), 2 + open);
    }
    aero_session_close(b);
    store_close(&store);
}

/* One way of reading "seen", or that there is no "none". */
static void read_one(aero_session *a, int way)
{
    char name[32];
    switch (way) {
    case 0:
        assert_int_equal(flight_get(a, "seen"), 1);
        break;
    case 1: /* written, and undone */
        assert_ok(a, aero_savepoint(a, "s", 1));
        assert_ok(a, flight_put(a, "seen", 5));
        assert_ok(a, aero_rollback_to(a, "s", 1));
        break;
    case 2:
        assert_int_equal(flight_get(a, "none"), FLIGHT_NONE);
        break;
    case 3: /* a write that found nothing */
        assert_int_equal(flight_delete(a, "none"), AERO_NOT_FOUND);
        break;
    default: /* more rows than are remembered */
        for (uint64_t row = 0; row < AE_READS_ROWS; row++)
            assert_ok(a, flight_put(a, flight_name(name, row), 2));
        assert_int_equal(flight_get(a, "seen"), 1);
    }
}

/* Goal: only reads of rows that the transaction has written go without validation.  Method: read
 * something in each way, write another row; another session changes what was read. */
static void test_reads_of_own_rows_only_need_no_validation(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *a = store.session;
    aero_session *b = session_new(&store);
    for (int way = 0; way < 5; way++) {
        assert_ok(b, flight_put(b, "row", 1));
        assert_ok(b, flight_put(b, "seen", 1));
        for (uint64_t row = 0; row < AE_READS_ROWS; row++)
            assert_ok(b, flight_put(b, flight_name(name, row), 1));
        assert_ok(a, aero_begin(a, AERO_ISOLATION_SERIALIZABLE));
        read_one(a, way);
        assert_ok(a, flight_put(a, "row", 2));
        assert_ok(b, way == 2 || way == 3 ? flight_insert(b, "none", 3) : flight_put(b, "seen", 3));
        assert_status(a, AERO_CONFLICT, aero_commit(a));
        assert_int_equal(aero_session_error(a)->reason, AERO_CONFLICT_READ);
        assert_int_equal(flight_get(a, "row"), 1);
        if (way == 2 || way == 3)
            assert_ok(b, flight_delete(b, "none"));
    }
    /* Nothing is looked at: not even a snapshot older than a lap of the queue is in the way. */
    assert_ok(a, aero_begin(a, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(a, "row"), 1);
    assert_ok(a, flight_put(a, "row", 2));
    for (uint64_t commit = 0; commit <= store.db->queue.mask; commit++)
        assert_ok(b, flight_put(b, "seen", (int64_t)commit));
    assert_ok(a, aero_commit(a));
    aero_session_close(b);
    store_close(&store);
}

/* Goal: an insert meets an insert, a delete, and an insert that was undone. */
static void test_inserts_of_one_key_meet(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *a = store.session;
    aero_session *b = session_new(&store);
    assert_ok(a, aero_begin(a, AERO_ISOLATION_SNAPSHOT));
    assert_ok(a, flight_insert(a, "key", 1));
    assert_ok(b, aero_begin(b, AERO_ISOLATION_SNAPSHOT));
    assert_status(b, AERO_CONFLICT, flight_insert(b, "key", 2));
    assert_ok(b, aero_rollback(b));
    assert_ok(a, aero_rollback(a));
    assert_ok(b, flight_insert(b, "key", 2));
    assert_status(a, AERO_EXISTS, flight_insert(a, "key", 1));
    assert_ok(a, aero_begin(a, AERO_ISOLATION_SNAPSHOT));
    assert_status(a, AERO_EXISTS, flight_insert(a, "key", 1)); /* an error of the statement alone */
    assert_ok(a, flight_insert(a, "next", 1));
    assert_ok(a, flight_delete(a, "key"));
    assert_ok(a, flight_insert(a, "key", 3));
    assert_ok(a, aero_commit(a));
    assert_int_equal(flight_get(b, "key"), 3);
    assert_ok(b, aero_begin(b, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(flight_get(b, "key"), 3);
    assert_ok(a, flight_delete(a, "key"));
    assert_status(b, AERO_CONFLICT, flight_insert(b, "key", 4)); /* gone since the snapshot */
    assert_ok(b, aero_rollback(b));
    aero_session_close(b);
    store_close(&store);
}

static void test_calls_in_the_wrong_state_are_usage_errors(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_status(s, AERO_USAGE, aero_commit(s));
    assert_status(s, AERO_USAGE, aero_rollback(s));
    assert_status(s, AERO_USAGE, aero_begin(s, 3));
    assert_status(s, AERO_USAGE, aero_begin(s, -1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_READ_ONLY));
    assert_status(s, AERO_USAGE, aero_begin(s, AERO_ISOLATION_READ_ONLY));
    assert_status(s, AERO_READ_ONLY, flight_put(s, "row", 1));
    assert_status(s, AERO_READ_ONLY, flight_delete(s, "row"));
    assert_ok(s, aero_commit(s));
    assert_int_equal(aero_close(store.db, &store.error), AERO_USAGE); /* a session is open */
    store_close(&store);
}

/* ---- limits --------------------------------------------------------------------------------- */

/* Goal: row P7.  Method: 256 open transactions; the 257th, and a cursor, are NO_SLOT; one ends,
 * and both can be had.  Reads outside transactions go on all the time. */
static void test_the_257th_transaction_finds_no_slot(void **state)
{
    test_store store;
    static aero_session *sessions[AE_SLOTS];
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "row", 1));
    for (uint32_t index = 0; index < AE_SLOTS; index++) {
        sessions[index] = session_new(&store);
        assert_ok(sessions[index], aero_begin(sessions[index], AERO_ISOLATION_SNAPSHOT));
        assert_int_equal(flight_get(sessions[index], "row"), 1);
    }
    assert_status(s, AERO_NO_SLOT, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(aero_session_error(s)->retryable, 1);
    assert_ok(s, aero_query_new(s, FLIGHTS, &query));
    assert_status(s, AERO_NO_SLOT, aero_cursor_open(query, &cursor));
    assert_int_equal(flight_get(s, "row"), 1);
    assert_int_equal(row_count(s, FLIGHTS), 1);
    assert_int_equal(stat_value(s, "slots_in_use"), AE_SLOTS);
    assert_ok(sessions[100], aero_commit(sessions[100]));
    assert_ok(s, aero_cursor_open(query, &cursor));
    assert_status(sessions[100], AERO_NO_SLOT, aero_begin(sessions[100], AERO_ISOLATION_SNAPSHOT));
    aero_cursor_close(cursor);
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, aero_commit(s));
    aero_query_free(query);
    for (uint32_t index = 0; index < AE_SLOTS; index++)
        aero_session_close(sessions[index]); /* rolls back */
    assert_int_equal(stat_value(s, "slots_in_use"), 0);
    store_close(&store);
}

/* Goal: sessions are as many as promised, and a closed one leaves no trace.  Method: open up to the
 * limit and one more; open and close three times as many. */
static void test_sessions_are_limited_and_leave_no_trace(void **state)
{
    test_store store;
    static aero_session *sessions[AE_MEMBERS];
    aero_session *extra = NULL;
    uint32_t count = 0;
    (void)state;
    store_open(&store, 16 << 20);
    while (count < AE_MEMBERS &&
           aero_session_open(store.db, &sessions[count], &store.error) == AERO_OK)
        count++;
    assert_int_equal(count, AE_MEMBERS - 1);
    assert_int_equal(store.error.code, AERO_LIMIT);
    aero_session_close(sessions[--count]);
    assert_int_equal(aero_session_open(store.db, &extra, &store.error), AERO_OK);
    aero_session_close(extra);
    while (count > 0)
        aero_session_close(sessions[--count]);
    for (uint32_t turn = 0; turn < 3 * AE_MEMBERS; turn++)
        aero_session_close(session_new(&store));
    assert_int_equal(stat_value(store.session, "sessions"), 1);
    store_close(&store);
}

/* ---- forks and threads ---------------------------------------------------------------------- */

static int child_of_fork(aero_session *session)
{
    if (aero_depth(session) == 0)
        return 1; /* it looks open until it is used */
    if (flight_put(session, "child", 1) != AERO_STALE)
        return 2;
    if (aero_depth(session) != 0)
        return 3;
    if (flight_put(session, "child", 1) != AERO_OK || flight_get(session, "parent") != FLIGHT_NONE)
        return 4;
    if (aero_begin(session, AERO_ISOLATION_SNAPSHOT) != AERO_OK ||
        flight_put(session, "child", 2) != AERO_OK || aero_commit(session) != AERO_OK)
        return 5;
    aero_session_close(session);
    return 0;
}

/* Goal: row P11.  Method: fork inside a transaction; the child is told once, works on its own,
 * closes and ends; the parent's transaction never notices. */
static void test_a_fork_leaves_the_transaction_to_the_parent(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    assert_ok(s, aero_savepoint(s, "before", 6));
    assert_ok(s, flight_put(s, "parent", 1));
    for (int round = 0; round < 3; round++) {
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(round == 2 ? 0 : child_of_fork(s)); /* the third never touches it */
        child_join(child);
        assert_int_equal(aero_depth(s), 2);
        assert_int_equal(flight_get(s, "parent"), 1);
    }
    assert_ok(s, flight_put(s, "parent", 2));
    assert_ok(s, aero_commit(s));
    assert_int_equal(flight_get(s, "parent"), 2);
    assert_int_equal(flight_get(s, "child"), 2);
    store_close(&store);
}

/* Goal: a grandchild, and a session opened in a child, are sessions of their own. */
static void test_forks_of_forks_work_on(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        int status = 0;
        aero_session *fresh = NULL;
        if (aero_session_open(store.db, &fresh, NULL) != AERO_OK ||
            flight_put(fresh, "fresh", 1) != AERO_OK)
            _exit(1);
        const pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(flight_put(fresh, "grandchild", 1) != AERO_OK ||
                  flight_put(store.session, "inherited", 1) != AERO_OK);
        if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
            _exit(2);
        _exit(flight_get(fresh, "grandchild") != 1 ||
              flight_put(store.session, "child", 1) != AERO_OK);
    }
    child_join(child);
    assert_int_equal(row_count(store.session, FLIGHTS), 4);
    store_close(&store);
}

static void *use_elsewhere(void *context)
{
    aero_session *session = context;
    const aero_value key = v_text("row");
    int32_t found = 0;
    return aero_exists(session, FLIGHTS, &key, &found) == AERO_STALE &&
                   aero_begin(session, AERO_ISOLATION_SNAPSHOT) == AERO_STALE
               ? context
               : NULL;
}

static void test_a_session_belongs_to_its_thread(void **state)
{
    test_store store;
    pthread_t thread;
    void *answer = NULL;
    (void)state;
    store_open(&store, 16 << 20);
    assert_ok(store.session, flight_put(store.session, "row", 1));
    assert_int_equal(pthread_create(&thread, NULL, use_elsewhere, store.session), 0);
    pthread_join(thread, &answer);
    assert_ptr_equal(answer, store.session);
    assert_int_equal(flight_get(store.session, "row"), 1);
    store_close(&store);
}

/* Goal: what a killed transaction held back is free within a tenth of a second of work.  Method: a
 * child dies with an open transaction that wrote and read; the survivor only does other things. */
static void test_a_dead_reader_frees_the_horizon_unasked(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "row", 1));
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(aero_begin(s, AERO_ISOLATION_SNAPSHOT) != AERO_OK || flight_get(s, "row") != 1 ||
              flight_put(s, "mine", 1) != AERO_OK);
    child_join(child);
    assert_int_equal(stat_value(s, "slots_in_use"), 1);
    const uint64_t deadline = now_ns() + 60000000000u; /* how soon: tests/crash measures it */
    uint32_t writes = 0;
    while (stat_value(s, "slots_in_use") != 0 && now_ns() < deadline) {
        assert_ok(s, flight_put(s, "other", writes++));
    }
    assert_int_equal(stat_value(s, "slots_in_use"), 0);
    assert_int_equal(stat_value(s, "reaped_slots"), 1);
    assert_int_equal(flight_get(s, "mine"), FLIGHT_NONE);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_visibility_truth_table),
    cmocka_unit_test(test_others_see_a_transaction_when_it_has_committed),
    cmocka_unit_test(test_a_snapshot_outlives_many_updates),
    cmocka_unit_test(test_a_mark_in_the_middle_of_a_chain_hides_nothing),
    cmocka_unit_test(test_the_first_updater_wins),
    cmocka_unit_test(test_reads_of_own_rows_only_need_no_validation),
    cmocka_unit_test(test_inserts_of_one_key_meet),
    cmocka_unit_test(test_calls_in_the_wrong_state_are_usage_errors),
    cmocka_unit_test(test_the_257th_transaction_finds_no_slot),
    cmocka_unit_test(test_sessions_are_limited_and_leave_no_trace),
    cmocka_unit_test(test_a_fork_leaves_the_transaction_to_the_parent),
    cmocka_unit_test(test_forks_of_forks_work_on),
    cmocka_unit_test(test_a_session_belongs_to_its_thread),
    cmocka_unit_test(test_a_dead_reader_frees_the_horizon_unasked),
};

AE_TEST_MAIN(tests)
