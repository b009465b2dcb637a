/* Pools, slabs and magazines: every object is in one hand at a time, and none is lost.
 *
 * Each test takes slots of its own and talks to the heap directly.  What is taken is given back
 * before the store is verified, which counts every object.
 *
 * variants: plain asan tsan
 * links: * generated/market
 */
#include <pthread.h>

#include "store.h"
#include "txn/txn.h"

enum { THREADS = 4, HANDS = 150 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { TURNS = 4000 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { TURNS = 4000 };
#else
enum { TURNS = 60000 };
#endif
#else
enum { TURNS = 60000 };
#endif

typedef struct place {
    ae_heap *heap;
    ae_proc *proc;
    ae_cache *cache;
    uint32_t slot;
} place;

static place place_take(aero_db *db, uint32_t member)
{
    place at = {&db->heap, &db->proc, NULL, 0};
    assert_int_equal(ae_slot_claim(&db->proc, member, member, &at.slot, NULL), AERO_OK);
    at.cache = &ae_slot_at(&db->proc, at.slot)->cache;
    return at;
}

static void place_leave(const place *at)
{
    ae_slot_release(at->proc, at->slot);
}

static aero_status take(const place *at, uint32_t pool, ae_ref *ref)
{
    return ae_heap_take(at->heap, at->cache, at->slot, pool, ref, NULL);
}

/* Use it: write its word, as its owner would, and fill the rest. */
static void use(const place *at, uint32_t pool, ae_ref ref, uint64_t word)
{
    const uint32_t size = at->heap->pools[pool].object_size;
    ae_a64 *object = ae_at(at->heap->segment, ref);
    assert_true(ae_heap_is_cached(at->heap, pool, ref, at->slot));
    assert_non_null(ae_heap_slab(at->heap, ref));
    memset(object + 1, (int)(word & 0xff), size - 8);
    ae_store64_release(object, word);
    ae_heap_linked(at->cache, ref);
}

static bool untouched(const place *at, uint32_t pool, ae_ref ref, uint64_t word)
{
    const uint32_t size = at->heap->pools[pool].object_size;
    const unsigned char *bytes = ae_at(at->heap->segment, ref);
    for (uint32_t index = 8; index < size; index++)
        if (bytes[index] != (word & 0xff))
            return false;
    return ae_load64((const ae_a64 *)(const void *)bytes) == word;
}

static void give(const place *at, uint32_t pool, ae_ref ref)
{
    ae_heap_give(at->heap, at->cache, at->slot, pool, ref);
}

/* Objects whose words say that the slot caches them. */
static uint64_t cached_by(const place *at)
{
    uint64_t count = 0;
    for (uint32_t pool = 0; pool < at->heap->pool_count; pool++) {
        const ae_pool *of = &at->heap->pools[pool];
        for (uint32_t index = 0; index < ae_pool_slab_count(of); index++) {
            const ae_slab *slab = ae_pool_slab(at->heap, of, index);
            for (uint32_t object = 0; object < ae_load32(&slab->high); object++)
                count += ae_heap_is_cached(
                    at->heap, pool, ae_ref_of(at->heap->segment, ae_slab_object(slab, object)),
                    at->slot);
        }
    }
    return count;
}

/* Goal: sizes do not mix.  Method: the class of every size up to a page, and of telling ones above.
 */
static void test_a_size_gets_the_smallest_class_that_holds_it(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    const ae_heap *heap = &store.db->heap;
    for (uint64_t bytes = 1; bytes < (40u << 20); bytes += bytes < 70000 ? 1 : bytes / 7) {
        const uint32_t pool = ae_heap_class(heap, bytes);
        if (bytes + sizeof(ae_block) > (32u << 20)) {
            assert_int_equal(pool, UINT32_MAX);
            continue;
        }
        assert_in_range(pool, heap->class_first, heap->pool_count - 1);
        assert_true(heap->pools[pool].object_size >= bytes + sizeof(ae_block));
        if (pool > heap->class_first)
            assert_true(heap->pools[pool - 1].object_size < bytes + sizeof(ae_block));
    }
    assert_true(heap->pools[ae_heap_class(heap, AE_OVERFLOW_MAX)].object_size > AE_OVERFLOW_MAX);
    store_close(&store);
}

/* Goal: H1, H2.  Method: 150 objects of each pool of moderate size are in hand at once, all
 * different and apart from each other; the one given last is taken first. */
static void test_objects_of_a_pool_are_apart(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 64 << 20);
    const place at = place_take(store.db, store.session->member);
    for (uint32_t pool = 0; pool < at.heap->pool_count; pool++) {
        if (at.heap->pools[pool].kind == AE_POOL_ANCHOR || at.heap->pools[pool].object_size > 70000)
            continue;
        ae_ref refs[HANDS];
        for (uint32_t hand = 0; hand < HANDS; hand++) {
            assert_int_equal(take(&at, pool, &refs[hand]), AERO_OK);
            assert_int_equal(ae_heap_slab(at.heap, refs[hand])->pool, pool);
            use(&at, pool, refs[hand], 0x1000 + hand);
        }
        for (uint32_t hand = 0; hand < HANDS; hand++)
            assert_true(untouched(&at, pool, refs[hand], 0x1000 + hand));
        for (uint32_t hand = 0; hand < HANDS; hand++)
            give(&at, pool, refs[hand]);
        if (at.heap->pools[pool].object_size <= AE_MAGAZINE_OBJECT_MAX) {
            ae_ref again = 0;
            assert_int_equal(take(&at, pool, &again), AERO_OK);
            assert_int_equal(again, refs[HANDS - 1]);
            give(&at, pool, again);
        }
    }
    assert_int_equal(cached_by(&at), ae_heap_stock(at.heap, at.cache));
    place_leave(&at);
    store_close(&store);
}

/* Goal: a reference that leads to no object is known.  Method: every unit around some objects. */
static void test_only_the_start_of_an_object_is_one(void **state)
{
    test_store store;
    ae_ref ref = 0;
    (void)state;
    store_open(&store, 16 << 20);
    const place at = place_take(store.db, store.session->member);
    const uint32_t pool = ae_heap_class(at.heap, 200);
    assert_int_equal(take(&at, pool, &ref), AERO_OK);
    assert_non_null(ae_heap_slab(at.heap, ref));
    for (uint32_t inside = 1; inside < at.heap->pools[pool].object_size / AE_UNIT; inside++)
        assert_null(ae_heap_slab(at.heap, ref + inside));
    assert_null(ae_heap_slab(at.heap, 0));
    assert_null(ae_heap_slab(at.heap, UINT32_MAX));
    assert_null(ae_heap_slab(at.heap, (ae_ref)(at.heap->segment->size >> 4)));
    give(&at, pool, ref);
    place_leave(&at);
    store_close(&store);
}

/* Goal: L10.  Method: take blocks of one class until the segment is full; give all; the other slot
 * can have as many after a flush, and after that the first again. */
static void test_full_is_an_error_and_everything_can_be_had_again(void **state)
{
    test_store store;
    static ae_ref refs[4096];
    uint32_t most = 0;
    uint32_t member = 0;
    (void)state;
    store_open(&store, 8 << 20);
    assert_int_equal(ae_member_claim(&store.db->proc, &member, NULL), AERO_OK);
    const place first = place_take(store.db, store.session->member);
    const place second = place_take(store.db, member);
    const uint32_t pool = ae_heap_class(first.heap, 3000);
    const place *who[] = {&second, &first, &second, &first};
    ae_ref warm = 0; /* the first has its magazines before the segment fills */
    assert_int_equal(take(&first, pool, &warm), AERO_OK);
    give(&first, pool, warm);
    for (uint32_t turn = 0; turn < 4; turn++) {
        uint32_t count = 0;
        while (count < 4096 && take(who[turn], pool, &refs[count]) == AERO_OK) {
            use(who[turn], pool, refs[count], 0x77);
            count++;
        }
        assert_in_range(count, 500, 4095);
        if (turn > 1)
            assert_in_range(count, most, most); /* after a flush each has all */
        most = count > most ? count : most;
        while (count > 0)
            give(who[turn], pool, refs[--count]);
        assert_int_equal(cached_by(who[turn]), ae_heap_stock(who[turn]->heap, who[turn]->cache));
        (void)ae_heap_flush(who[turn]->heap, who[turn]->cache, who[turn]->slot);
        assert_int_equal(cached_by(who[turn]), 0);
        assert_int_equal(ae_heap_stock(who[turn]->heap, who[turn]->cache), 0);
    }
    place_leave(&first);
    place_leave(&second);
    ae_member_release(&store.db->proc, member);
    store_close(&store);
}

/* Goal: hints that have fallen behind hide nothing for ever.  Method: after much was given back,
 * set all slabs' hints to nothing; as much can be had again without a new page. */
static void test_wrong_hints_do_not_make_a_pool_grow(void **state)
{
    test_store store;
    static ae_ref refs[1000];
    (void)state;
    store_open(&store, 32 << 20);
    const place at = place_take(store.db, store.session->member);
    const uint32_t pool = ae_heap_class(at.heap, 3000);
    uint64_t used = 0;
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t index = 0; index < 1000; index++) {
            assert_int_equal(take(&at, pool, &refs[index]), AERO_OK);
            use(&at, pool, refs[index], 0x77);
        }
        if (turn > 0)
            assert_int_equal(ae_load64(&at.heap->segment->header->used), used);
        used = ae_load64(&at.heap->segment->header->used);
        for (uint32_t index = 0; index < 1000; index++)
            give(&at, pool, refs[index]);
        const ae_pool *of = &at.heap->pools[pool];
        for (uint32_t index = 0; index < ae_pool_slab_count(of); index++)
            ae_store32(&ae_pool_slab(at.heap, of, index)->free_hint, 0u - 5);
    }
    place_leave(&at);
    store_close(&store);
}

static bool never(void *context, ae_ref ref, uint64_t word)
{
    (void)context;
    (void)ref;
    (void)word;
    return false;
}

/* Goal: what a dead hand held is found once.  Method: objects are taken and given in an order that
 * leaves old names in the registers; at each step the magazines are recovered as after a death
 * there, and every cached object is in a magazine exactly once. */
static void test_recovery_neither_loses_nor_doubles_an_object(void **state)
{
    uint64_t random = test_seed("recovery");
    test_store store;
    ae_ref hands[HANDS];
    uint32_t count = 0;
    (void)state;
    store_open(&store, 32 << 20);
    const place at = place_take(store.db, store.session->member);
    const uint32_t pools[] = {ae_heap_version_pool(0), ae_heap_class(at.heap, 100),
                              ae_heap_class(at.heap, 4000)};
    for (uint32_t step = 0; step < 6000; step++) {
        const uint32_t pool = pools[step / 2000];
        if (step % 2000 == 0)
            count = 0;
        if (next_random(&random) % 2 == 0 && count < HANDS) {
            assert_int_equal(take(&at, pool, &hands[count]), AERO_OK);
            if (next_random(&random) % 4 ==
                0) { /* dead with it in hand: it goes back to the magazine */
                ae_heap_recover(at.heap, at.cache, at.slot, 0, never, NULL);
            } else {
                use(&at, pool, hands[count], 0x3000 + count);
                count++;
            }
        } else if (count > 0) {
            const uint32_t which = (uint32_t)(next_random(&random) % count);
            if (next_random(&random) % 4 == 0)
                ae_heap_register(at.heap, at.cache, pool, hands[which]);
            give(&at, pool, hands[which]);
            hands[which] = hands[--count];
            if (next_random(&random) % 4 == 0)
                ae_heap_recover(at.heap, at.cache, at.slot, 0, never, NULL);
        }
        if (step % 50 == 0)
            assert_int_equal(cached_by(&at), ae_heap_stock(at.heap, at.cache));
        if (step % 2000 == 1999)
            while (count > 0)
                give(&at, pool, hands[--count]);
    }
    assert_int_equal(cached_by(&at), ae_heap_stock(at.heap, at.cache));
    place_leave(&at);
    store_close(&store);
}

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct hammer {
    aero_db *db;
    uint32_t number;
    uint64_t seed;
    uint32_t wrong;
} hammer;

static void *hammer_run(void *context)
{
    hammer *work = context;
    uint64_t random = work->seed;
    uint32_t member = 0;
    if (ae_member_claim(&work->db->proc, &member, NULL) != AERO_OK) {
        work->wrong++;
        return NULL;
    }
    ae_ref hands[HANDS];
    uint32_t count = 0;
    place at = place_take(work->db, member);
    const uint32_t pool = ae_heap_class(at.heap, 900);
    const uint64_t word = AE_WORD_OF_SLOT(at.slot) | (work->number + 1) * 0x11;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const uint64_t what = next_random(&random) % 100;
        if (what < 52 && count < HANDS) {
            if (take(&at, pool, &hands[count]) != AERO_OK) {
                work->wrong++;
                break;
            }
            use(&at, pool, hands[count++], word);
        } else if (what < 99 && count > 0) {
            const uint32_t which = (uint32_t)(next_random(&random) % count);
            work->wrong += !untouched(&at, pool, hands[which], word);
            give(&at, pool, hands[which]);
            hands[which] = hands[--count];
        } else {
            (void)ae_heap_flush(at.heap, at.cache, at.slot);
        }
    }
    while (count > 0)
        give(&at, pool, hands[--count]);
    place_leave(&at);
    ae_member_release(&work->db->proc, member);
    return NULL;
}

/* Goal: an object is in one hand at a time.  Method: threads take, fill, check and give objects of
 * one pool and flush their stock; everything is where it was in the end. */
static void test_threads_never_hold_the_same_object(void **state)
{
    uint64_t random = test_seed("hammer");
    test_store store;
    pthread_t threads[THREADS];
    hammer hammers[THREADS];
    (void)state;
    store_open(&store, 32 << 20);
    for (uint32_t number = 0; number < THREADS; number++) {
        hammers[number] = (hammer){store.db, number, next_random(&random), 0};
        assert_int_equal(pthread_create(&threads[number], NULL, hammer_run, &hammers[number]), 0);
    }
    for (uint32_t number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < THREADS; number++)
        assert_int_equal(hammers[number].wrong, 0);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_size_gets_the_smallest_class_that_holds_it),
    cmocka_unit_test(test_objects_of_a_pool_are_apart),
    cmocka_unit_test(test_only_the_start_of_an_object_is_one),
    cmocka_unit_test(test_full_is_an_error_and_everything_can_be_had_again),
    cmocka_unit_test(test_wrong_hints_do_not_make_a_pool_grow),
    cmocka_unit_test(test_recovery_neither_loses_nor_doubles_an_object),
    cmocka_unit_test(test_threads_never_hold_the_same_object),
};

AE_TEST_MAIN(tests)
