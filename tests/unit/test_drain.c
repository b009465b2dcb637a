/* What goes out of service and comes back as something else: references that are older than that
 * are not followed, and what is freed serves every kind of use.
 *
 * variants: plain asan
 */
#include "base/os.h"
#include "flights.h"
#include "txn/txn.h"

enum { ROWS = 3000, SEGMENT = 8 << 20 };

static void drain_all(aero_session *session)
{
    session->full = true;
    ae_reclaim_after(session);
}

static uint64_t pages_free(const test_store *store)
{
    uint64_t all = 0;
    return ae_pages_free(&store->db->segment, &all);
}

/* Goal: pages come back to the page map.  Method: rows are made and deleted; all pages but those of
 * anchors and of structures that stay are free again, and full of zeros. */
static void test_pages_of_deleted_rows_are_free_again(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, SEGMENT);
    const uint64_t before = pages_free(&store);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t row = 0; row < ROWS; row++)
            assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
        const uint64_t full = pages_free(&store);
        for (uint32_t row = 0; row < ROWS; row++)
            assert_ok(store.session, flight_delete(store.session, flight_name(name, row)));
        drain_all(store.session);
        printf("%d pages at first, %d with rows, %d without\n", (int)before, (int)full,
               (int)pages_free(&store));
        assert_true(pages_free(&store) > full);
        /* Its versions take some six pages; anchors and shards stay. */
        assert_true(pages_free(&store) >= full + 6);
        store_verify(store.session);
    }
    assert_int_not_equal(ae_load32(&store.db->segment.header->given), 0);
    store_close(&store);
}

/* Goal: nothing is out of service while somebody reads what is older.  Method: the same with a
 * reader: nothing comes back until it ends. */
static void test_a_reader_keeps_slabs_in_service(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    store_open(&store, SEGMENT);
    aero_session *reader = session_new(&store);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
    assert_ok(reader, aero_begin(reader, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(reader, flight_name(name, 7)), 7);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(store.session, flight_delete(store.session, flight_name(name, row)));
    drain_all(store.session);
    assert_int_equal(ae_load32(&store.db->segment.header->returned), 0);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_int_equal(flight_get(reader, flight_name(name, row)), row);
    assert_ok(reader, aero_commit(reader));
    drain_all(store.session);
    assert_int_not_equal(ae_load32(&store.db->segment.header->given), 0);
    aero_session_close(reader);
    store_close(&store);
}

/* Nobody looks for free slabs during the next calls. */
static void nothing_is_due(const test_store *store)
{
    ae_store64(&store->db->proc.shared->reap_due_ns, ae_os_coarse_ns() + AE_REAP_INTERVAL_NS);
}

/* Fill more than half of the segment with rows, delete them, and free what they took. */
static void fill_and_delete(const test_store *store)
{
    enum { MANY = 14000 };
    char name[32];
    for (uint32_t row = 0; row < MANY; row++)
        assert_ok(store->session, flight_put(store->session, flight_name(name, row), row));
    for (uint32_t row = 0; row < MANY; row++) {
        nothing_is_due(store);
        assert_ok(store->session, flight_delete(store->session, flight_name(name, row)));
    }
    (void)ae_reclaim_hard(store->session);
}

/* Goal: the same for a reader that has only begun, and when slabs are looked for ahead of time:
 * what it would keep from coming back stays in service.  Method: its snapshot is as new as the
 * clock. */
static void test_a_new_reader_keeps_slabs_in_service(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, SEGMENT);
    const ae_segment_header *header = store.db->segment.header;
    aero_session *reader = session_new(&store);
    fill_and_delete(&store);
    const uint32_t before = ae_load32(&header->returned);
    assert_ok(reader, aero_begin(reader, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(row_count(reader, FLIGHTS), 0);
    ae_reclaim_pages(store.session);
    assert_int_equal(ae_load32(&header->returned), before);
    assert_ok(reader, aero_commit(reader));
    ae_reclaim_pages(store.session);
    assert_true(ae_load32(&header->returned) > before); /* there was something to take */
    assert_int_equal(ae_load32(&header->given), ae_load32(&header->returned));
    aero_session_close(reader);
    store_close(&store);
}

/* Goal: a slab that waits for the horizon a second time holds nothing up that was retired after it.
 * Method: a slab and a block, retired one after the other; the clock moves once. */
static void test_a_waiting_slab_holds_nothing_up(void **state)
{
    test_store store;
    uint32_t slot = 0;
    uint32_t pool = 0;
    uint32_t index = 0;
    ae_ref block = 0;
    (void)state;
    store_open(&store, SEGMENT);
    ae_proc *proc = &store.db->proc;
    ae_heap *heap = &store.db->heap;
    fill_and_delete(&store);
    const uint32_t given = ae_load32(&heap->segment->header->given);
    assert_int_equal(ae_slot_claim(proc, store.session->member, 9, &slot, NULL), AERO_OK);
    ae_slot *at = ae_slot_at(proc, slot);
    ae_cache *cache = &at->cache;
    const ae_ref slab = ae_heap_drain(heap, cache, slot, &pool, &index);
    assert_int_not_equal(slab, 0);
    ae_slab_retire(proc, slot, slab);
    assert_int_equal(ae_heap_take(heap, cache, slot, ae_heap_class(heap, 256), &block, NULL),
                     AERO_OK);
    ae_block_retire(proc, slot, block);
    ae_heap_linked(cache, block);
    ae_reclaim_tick(store.session);
    assert_int_equal(ae_block_reclaim(proc, slot, ae_load64(&proc->shared->clock)), 1);
    assert_int_equal(ae_load32(&at->block_head), slab);
    assert_int_equal(ae_load32(&heap->segment->header->given), given);
    ae_reclaim_tick(store.session);
    assert_int_equal(ae_block_reclaim(proc, slot, ae_load64(&proc->shared->clock)), 1);
    assert_int_equal(ae_load32(&at->block_head), 0);
    assert_int_equal(ae_load32(&heap->segment->header->given), given + 1);
    ae_slot_release(proc, slot);
    store_close(&store);
}

/* Goal: the two waits of a slab are two looks at the snapshots, also where nobody has one and the
 * horizon lies beyond the clock.  Method: it is there after the first look, and goes with the
 * second. */
static void test_a_slab_waits_twice_beyond_the_clock(void **state)
{
    test_store store;
    uint32_t slot = 0;
    uint32_t pool = 0;
    uint32_t index = 0;
    (void)state;
    store_open(&store, SEGMENT);
    ae_proc *proc = &store.db->proc;
    ae_heap *heap = &store.db->heap;
    fill_and_delete(&store);
    const uint32_t given = ae_load32(&heap->segment->header->given);
    assert_int_equal(ae_slot_claim(proc, store.session->member, 9, &slot, NULL), AERO_OK);
    ae_slot *at = ae_slot_at(proc, slot);
    for (uint32_t count = 0; count < 2; count++) {
        const ae_ref slab = ae_heap_drain(heap, &at->cache, slot, &pool, &index);
        assert_int_not_equal(slab, 0);
        ae_slab_retire(proc, slot, slab);
    }
    const uint64_t beyond = ae_horizon_of_others(proc, slot);
    assert_int_equal(beyond, ae_load64(&proc->shared->clock) + 1);
    assert_int_equal(ae_block_reclaim(proc, slot, beyond), 0);
    assert_int_equal(ae_load32(&heap->segment->header->given), given);
    assert_int_equal(ae_block_reclaim(proc, slot, ae_horizon_of_others(proc, slot)), 2);
    assert_int_equal(ae_load32(&heap->segment->header->given), given + 2);
    assert_int_equal(ae_load32(&at->block_head), 0);
    ae_slot_release(proc, slot);
    store_verify(store.session);
    store_close(&store);
}

/* A place in memory of another kind that looks like a version of the row, with another altitude. */
static ae_ref forge(test_store *store, ae_ref anchor)
{
    const ae_heap *heap = &store->db->heap;
    const ae_anchor *row = ae_at(heap->segment, anchor);
    const ae_version *version = ae_at(heap->segment, ae_head_ref(ae_load64(&row->head)));
    const aero_table *of = &store->db->schema->tables[FLIGHTS];
    const uint32_t pool = ae_heap_class(heap, 256);
    ae_ref block = 0;
    uint32_t slot = 0;
    assert_int_equal(ae_slot_claim(&store->db->proc, store->session->member, 9, &slot, NULL),
                     AERO_OK);
    ae_cache *cache = &ae_slot_at(&store->db->proc, slot)->cache;
    assert_int_equal(ae_heap_take(&store->db->heap, cache, slot, pool, &block, NULL), AERO_OK);
    ae_version *forged = ae_at(heap->segment, block + 1);
    memcpy((void *)forged, (const void *)version, ae_version_size(of));
    const int32_t altitude = 666;
    memcpy(forged->row + of->columns[FLIGHT_ALTITUDE].offset, &altitude, sizeof altitude);
    ae_store64(&forged->begin, 1);
    ae_heap_give(&store->db->heap, cache, slot, pool, block);
    ae_slot_release(&store->db->proc, slot);
    return block + 1;
}

static bool any(void *context, ae_ref anchor)
{
    *(ae_ref *)context = anchor;
    return true;
}

/* Goal: a stale hint, and a stale link to an older version, are not followed to where there are no
 * versions any more.  Method: they are led into other memory, which looks like a version. */
static void test_stale_references_are_not_followed(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, SEGMENT);
    assert_ok(store.session, flight_put(store.session, "one", 1));
    ae_hash *hash = &store.db->hashes[FLIGHTS];
    ae_ref anchor = 0;
    ae_hash_entry *entry = NULL;
    /* The row's own version tells its tag. */
    const ae_heap *heap = &store.db->heap;
    const ae_slab *anchors = ae_pool_slab(heap, &heap->pools[ae_heap_anchor_pool(FLIGHTS)], 0);
    uint32_t tag = 0;
    for (uint32_t index = 0; index < ae_load32(&anchors->high) && tag == 0; index++) {
        const ae_anchor *row = ae_slab_object(anchors, index);
        tag = ae_head_is_row(ae_load64(&row->head)) ? ae_load32(&row->tag) : 0;
    }
    assert_ok(store.session, ae_hash_put(hash, 0, tag, any, &anchor, 0, 0, &anchor, &entry, NULL));
    assert_non_null(entry);
    const ae_ref forged = forge(&store, anchor);
    const ae_ref hint = ae_load32(&entry->hint);
    ae_store32(&entry->hint, forged);
    /* It would be believed if it could be a version: the forgery is a good one. */
    assert_int_equal(flight_get(store.session, "one"), 666);
    ae_add32(&heap->segment->header->returned, 1);
    ae_add32(&heap->segment->header->given, 1);
    assert_int_equal(flight_get(store.session, "one"), 1);
    ae_store32(&entry->hint, hint);
    store_close(&store);
}

/* Goal: what a death leaves uncounted does not keep free slabs in service for ever.  Method: one
 * slab more was taken out of service than ever comes back. */
static void test_a_death_between_deed_and_count_is_put_right(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, SEGMENT);
    const ae_segment_header *header = store.db->segment.header;
    ae_add32(&store.db->segment.header->returned, 1);
    fill_and_delete(&store);
    const uint32_t before = ae_load32(&header->returned);
    for (uint32_t turn = 0; turn < 2; turn++)
        ae_reclaim_pages(store.session);
    assert_true(ae_load32(&header->returned) > before);
    assert_int_equal(ae_load32(&header->given), ae_load32(&header->returned));
    store_close(&store);
}

/* Goal: after 2^32 slabs it is still known that there was one: references are looked at, and holes
 * are found.  Method: counts that are about to go round. */
static void test_counts_that_go_round_stay_counts(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, SEGMENT);
    ae_segment_header *header = store.db->segment.header;
    fill_and_delete(&store);
    /* One slab, and the count stands where it goes round. */
    ae_store32(&header->returned, UINT32_MAX);
    ae_store32(&header->given, UINT32_MAX);
    ae_store32(&header->holes, UINT32_MAX);
    ae_heap *heap = &store.db->heap;
    uint32_t slot = 0;
    uint32_t pool = 0;
    uint32_t index = 0;
    assert_int_equal(ae_slot_claim(&store.db->proc, store.session->member, 9, &slot, NULL),
                     AERO_OK);
    const ae_ref slab = ae_heap_drain(heap, &ae_slot_at(&store.db->proc, slot)->cache, slot, &pool,
                                      &index);
    assert_int_not_equal(slab, 0);
    assert_false(ae_heap_leads(heap, slab));
    ae_slab_retire(&store.db->proc, slot, slab);
    for (uint32_t wait = 0; wait < 2; wait++)
        (void)ae_block_reclaim(&store.db->proc, slot, ae_horizon_of_others(&store.db->proc, slot));
    ae_slot_release(&store.db->proc, slot);
    assert_int_not_equal(ae_load32(&header->returned), 0);
    assert_int_equal(ae_load32(&header->given), ae_load32(&header->returned));
    assert_true(ae_pages_holes(&store.db->segment, NULL) > 0);
    store_verify(store.session);
    store_close(&store);
}

/* Goal: a row that is undone does not lead to where no versions are any more.  Method: a deleted
 * row is inserted again, and what the new version is linked to is led into other memory, which
 * looks like a version: as where the transaction was cancelled at rest, and all was reused. */
static void test_undoing_leads_to_no_foreign_memory(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, SEGMENT);
    aero_session *holder = session_new(&store);
    assert_ok(store.session, flight_put(store.session, "one", 1));
    assert_ok(holder, aero_begin(holder, AERO_ISOLATION_READ_ONLY));
    assert_int_equal(flight_get(holder, "one"), 1); /* so the deleted row stays there */
    const ae_heap *heap = &store.db->heap;
    const ae_slab *anchors = ae_pool_slab(heap, &heap->pools[ae_heap_anchor_pool(FLIGHTS)], 0);
    ae_anchor *row = NULL;
    for (uint32_t index = 0; index < ae_load32(&anchors->high) && row == NULL; index++) {
        ae_anchor *at = ae_slab_object(anchors, index);
        row = ae_head_is_row(ae_load64(&at->head)) ? at : NULL;
    }
    assert_non_null(row);
    const ae_ref forged = forge(&store, ae_ref_of(heap->segment, row));
    assert_ok(store.session, flight_delete(store.session, "one"));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
    assert_ok(store.session, flight_insert(store.session, "one", 2));
    ae_version *made = ae_at(heap->segment, ae_head_ref(ae_load64(&row->head)));
    assert_int_not_equal(ae_load32(&made->older), 0);
    ae_store32(&made->older, forged);
    ae_add32(&heap->segment->header->returned, 1);
    ae_add32(&heap->segment->header->given, 1);
    assert_ok(store.session, aero_rollback(store.session));
    assert_int_equal(flight_get(store.session, "one"), FLIGHT_NONE);
    assert_false(ae_head_is_row(ae_load64(&row->head)));
    assert_ok(holder, aero_commit(holder));
    assert_ok(store.session, flight_insert(store.session, "one", 3));
    aero_session_close(holder);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_death_between_deed_and_count_is_put_right),
    cmocka_unit_test(test_undoing_leads_to_no_foreign_memory),
    cmocka_unit_test(test_pages_of_deleted_rows_are_free_again),
    cmocka_unit_test(test_a_reader_keeps_slabs_in_service),
    cmocka_unit_test(test_a_new_reader_keeps_slabs_in_service),
    cmocka_unit_test(test_a_waiting_slab_holds_nothing_up),
    cmocka_unit_test(test_a_slab_waits_twice_beyond_the_clock),
    cmocka_unit_test(test_stale_references_are_not_followed),
    cmocka_unit_test(test_counts_that_go_round_stay_counts),
};

AE_TEST_MAIN(tests)
