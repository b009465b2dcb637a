/* What a watch reads may be something else at any instant, slabs and all: its pin may be revoked,
 * and it holds no snapshot.
 *
 * A watch is told of a commit, and at the n-th passage of the point behind the look at a slab its
 * pin is revoked and the headers of all slabs are overwritten, as the texts of blocks might that
 * took their place.  Whatever the watch does with what it had found, it must end in an overflow.
 *
 * variants: crash
 */
#include "../unit/flights.h"
#include "txn/handles.h"

enum { HEADER = 32, SLABS = 512, MOST = 100000 };

static struct {
    const test_store *store;
    uint32_t left; /* passages until it happens; 0: nothing happens */
    uint32_t count;
    char *at[SLABS];
    char was[SLABS][HEADER];
} reuse;

static void slabs_scribble(void)
{
    const ae_heap *heap = &reuse.store->db->heap;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++) {
        const ae_pool *of = &heap->pools[pool];
        for (uint32_t index = 0; index < ae_pool_slab_count(of); index++) {
            char *slab = (char *)ae_pool_slab(heap, of, index);
            if (slab == NULL)
                continue;
            assert_true(reuse.count < SLABS);
            memcpy(reuse.was[reuse.count], slab, HEADER);
            reuse.at[reuse.count++] = slab;
            memset(slab, 0xff, HEADER);
        }
    }
}

static void slabs_restore(void)
{
    while (reuse.count > 0) {
        reuse.count--;
        memcpy(reuse.at[reuse.count], reuse.was[reuse.count], HEADER);
    }
}

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    if (reuse.left == 0 || strcmp(name, "heap.home") != 0 || --reuse.left != 0)
        return;
    ae_store64_release(&reuse.store->db->proc.shared->feeds[0].pin, AE_PIN_REVOKED);
    slabs_scribble();
}

/* Rows with texts of their own, in one transaction. */
static void rows_write(aero_session *session, uint32_t rows, int64_t altitude)
{
    assert_ok(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    for (uint32_t row = 0; row < rows; row++) {
        char name[32];
        snprintf(name, sizeof name, "with-its-own-text-%u", row);
        assert_ok(session, flight_put(session, name, altitude));
    }
    assert_ok(session, aero_commit(session));
}

/* One watch that is told of one transaction; returns whether there was an n-th passage. */
static bool told_while_reused(uint32_t rows, uint32_t passage)
{
    test_store store;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event = {.kind = AERO_EVENT_NONE};
    store_open(&store, 8 << 20);
    rows_write(store.session, rows, 1);
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &query));
    assert_ok(store.session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    rows_write(store.session, rows, 2);
    reuse.store = &store;
    reuse.left = passage;
    do {
        assert_ok(store.session, aero_watch_next(watch, &event));
    } while (event.kind != AERO_EVENT_NONE && reuse.left > 0);
    const bool met = reuse.left == 0;
    reuse.left = 0;
    slabs_restore();
    if (met)
        assert_int_equal(event.kind, AERO_EVENT_OVERFLOW);
    aero_watch_close(watch);
    aero_query_free(query);
    store_verify(store.session);
    store_close(&store);
    return met;
}

/* Goal: as above, for a transaction of one row, of several, and of more than its slot has room for.
 * Method: passage by passage, until there are no more; of the many, some. */
static void test_slabs_may_go_at_any_look(void **state)
{
    const uint32_t rows[] = {1, 5, 300};
    (void)state;
    for (uint32_t kind = 0; kind < 3; kind++) {
        uint32_t met = 0;
        for (uint32_t passage = 1; passage < MOST; passage += 1 + passage / 16) {
            if (!told_while_reused(rows[kind], passage))
                break;
            met++;
        }
        printf("%u rows: %u passages\n", rows[kind], met);
        assert_true(met >= 4);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_slabs_may_go_at_any_look),
};

AE_TEST_MAIN(tests)
