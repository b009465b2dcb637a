/* Whoever walks an ordered index keeps its nodes, also beside an open transaction that is at rest:
 * others free what such a one would keep.
 *
 * While a call of such a transaction's session stands at a node, another session commits and asks
 * which nodes are in nobody's hands.
 *
 * variants: crash
 */
#include "../unit/flights.h"
#include "txn/txn.h"

static struct {
    aero_session *other; /* NULL: nothing happens */
    uint32_t passages;
    uint32_t loose; /* of them, where the nodes were free */
} look;

void ae_crash_point(const char *name);
void ae_crash_point(const char *name)
{
    aero_session *other = look.other;
    ae_snapshots snapshots = {.steps = 0};
    if (other == NULL ||
        (strcmp(name, "tree.passing") != 0 && strcmp(name, "tree.estimating") != 0))
        return;
    const uint64_t before = ae_load64(&other->db->proc.shared->clock);
    look.other = NULL;
    assert_ok(other, flight_put(other, "another", 1));
    ae_snapshots_take(&other->db->proc, &snapshots);
    look.passages++;
    look.loose += snapshots.in_use > before || ae_horizon_compute(&other->db->proc) > before;
    look.other = other;
}

static void look_begin(aero_session *other)
{
    look.passages = look.loose = 0;
    look.other = other;
}

static void look_end(const char *what)
{
    look.other = NULL;
    printf("%s: %u nodes, %u not kept\n", what, look.passages, look.loose);
    assert_true(look.passages > 0);
    assert_int_equal(look.loose, 0);
}

/* Every call that walks an index without being a statement or a cursor. */
static void calls(aero_session *session, aero_session *other, bool executes)
{
    aero_index_info infos[8];
    const char *text = NULL;
    size_t length = 0;
    uint32_t count = 0;
    aero_query *query = NULL;
    look_begin(other);
    assert_ok(session, aero_index_list(session, FLIGHTS, 8, infos, &count));
    look_end("index_list");
    for (int32_t execute = 0; execute <= executes; execute++) { /* each plans anew */
        const char *above = "{> altitude 10}";
        assert_ok(session, aero_query_new(session, FLIGHTS, &query));
        assert_ok(session, aero_query_compare(query, above, strlen(above)));
        look_begin(other);
        assert_ok(session, aero_query_explain(query, execute, &text, &length));
        look_end("explain");
        aero_query_free(query);
    }
    const aero_stat *stats = NULL;
    look_begin(other);
    assert_ok(session, aero_stats(session, &stats, &count));
    look_end("stats");
}

/* Goal: as above.  Method: outside of a transaction; in one that is at rest; and in one that was
 * cancelled at rest, whose snapshot does not count at all. */
static void test_nodes_are_kept_for_who_looks(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *other = session_new(&store);
    for (uint32_t row = 0; row < 2000; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
    calls(store.session, other, true);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(flight_get(store.session, flight_name(name, 7)), 7);
    calls(store.session, other, true);
    ae_store64(&store.db->proc.shared->transaction_timeout_secs, 1);
    ae_cancel_overdue_at(store.db, UINT64_MAX);
    calls(store.session, other, false);
    assert_ok(store.session, aero_rollback(store.session));
    aero_session_close(other);
    store_verify(store.session);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nodes_are_kept_for_who_looks),
};

AE_TEST_MAIN(tests)
