/* Taking and giving memory: no object is in two hands, and none is lost with the dead.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

enum { SMALL = 100, LARGE = 9000, HELD_MAX = 8, REFS = 1 << 18 };

static struct {
    uint8_t hands[REFS]; /* how many hold the object */
    ae_ref held[EXPLORE_THREADS][HELD_MAX];
    uint32_t held_count[EXPLORE_THREADS];
} run;

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

static uint32_t slot_take(uint32_t thread)
{
    uint32_t slot = 0;
    if (ae_slot_claim_at(&world.db->proc, world.sessions[thread]->member, thread + 1, &slot) !=
        AERO_OK)
        explore_fail("slot %u is not free", thread + 1);
    return slot;
}

static ae_ref object_take(uint32_t thread, uint32_t slot, uint32_t pool)
{
    ae_heap *heap = &world.db->heap;
    ae_ref ref = 0;
    aero_error error;
    if (ae_heap_take(heap, &ae_slot_at(&world.db->proc, slot)->cache, slot, pool, &ref, &error) !=
        AERO_OK)
        explore_fail("full: %s", error.text);
    explore_assert(ref < REFS);
    explore_assert(ae_heap_is_cached(heap, pool, ref, slot));
    explore_assert(run.hands[ref] == 0);
    run.hands[ref]++;
    run.held[thread][run.held_count[thread]++] = ref;
    return ref;
}

static void object_give(uint32_t thread, uint32_t slot, uint32_t pool, ae_ref ref)
{
    explore_assert(run.hands[ref] == 1);
    run.hands[ref]--;
    run.held_count[thread]--;
    ae_heap_give(&world.db->heap, &ae_slot_at(&world.db->proc, slot)->cache, slot, pool, ref);
}

static uint32_t pool_of(uint64_t bytes)
{
    return ae_heap_class(&world.db->heap, bytes);
}

/* Take two large objects one at a time from their bitmap, give them back, take again. */
static void body_large(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const uint32_t pool = pool_of(LARGE);
    const ae_ref first = object_take(thread, slot, pool);
    const ae_ref second = object_take(thread, slot, pool);
    object_give(thread, slot, pool, first);
    const ae_ref third = object_take(thread, slot, pool);
    object_give(thread, slot, pool, third);
    object_give(thread, slot, pool, second);
    ae_slot_release(&world.db->proc, slot);
}

/* Fill a magazine from a bitmap and hand all of it back. */
static void body_small(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const uint32_t pool = pool_of(SMALL);
    const ae_ref ref = object_take(thread, slot, pool);
    object_give(thread, slot, pool, ref);
    (void)ae_heap_flush(&world.db->heap, &ae_slot_at(&world.db->proc, slot)->cache, slot);
    ae_slot_release(&world.db->proc, slot);
}

/* A free object whose bit is not set would be lost. */
static void bits_check(void)
{
    const ae_heap *heap = &world.db->heap;
    for (uint32_t pool = 0; pool < heap->pool_count; pool++)
        for (uint32_t index = 0; index < ae_pool_slab_count(&heap->pools[pool]); index++) {
            const ae_slab *slab = ae_pool_slab(heap, &heap->pools[pool], index);
            for (uint32_t object = 0; slab != NULL && object < slab->object_count; object++) {
                const uint64_t word = ae_load64(ae_slab_object(slab, object));
                const bool bit = (ae_load64(&slab->bits[object / 64]) >> (object % 64) & 1u) != 0;
                explore_assert(bit || !ae_heap_is_free_word(heap->pools[pool].kind, word));
            }
        }
}

static void end_taken(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    bits_check();
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        explore_assert(run.held_count[thread] == 0 || explore_died(thread));
    world_check((const char *const[]){"x"}, 1);
}

static void heap_open(uint32_t bytes)
{
    flights_open();
    /* The pool has a slab: growing is another matter. */
    const uint32_t slot = slot_take(0);
    const ae_ref ref = object_take(0, slot, pool_of(bytes));
    object_give(0, slot, pool_of(bytes), ref);
    (void)ae_heap_flush(&world.db->heap, &ae_slot_at(&world.db->proc, slot)->cache, slot);
    ae_slot_release(&world.db->proc, slot);
}

static void heap_search(const char *name, void (*body)(uint32_t), uint32_t bytes,
                        uint32_t interruptions, uint32_t deaths)
{
    heap_open(bytes);
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body, body},
                                    .begin = begin,
                                    .end = end_taken,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: H1, H2: the word decides who has an object.  Method: two take and give large ones. */
static void test_large_objects_are_in_one_hand(void **state)
{
    (void)state;
    heap_search("heap: large", body_large, LARGE, 2, 0);
}

/* Goal: what the dead had in hand is free again.  Method: the same, and one dies anywhere. */
static void test_large_objects_of_the_dead(void **state)
{
    (void)state;
    heap_search("heap: large, death", body_large, LARGE, 1, 1);
}

/* Three with a part each: one takes and dies at it, one takes again what it has given, and one
 * cleans up and takes. */
static void body_take(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    object_give(thread, slot, pool_of(LARGE), object_take(thread, slot, pool_of(LARGE)));
    ae_slot_release(&world.db->proc, slot);
}

static void body_take_again(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const uint32_t pool = pool_of(LARGE);
    object_give(thread, slot, pool, object_take(thread, slot, pool));
    const ae_ref ref = object_take(thread, slot, pool);
    ae_pause();
    object_give(thread, slot, pool, ref);
    ae_slot_release(&world.db->proc, slot);
}

static void body_reap_and_take(uint32_t thread)
{
    (void)ae_reap_all(world.db, world.sessions[thread]->member);
    body_take(thread);
}

/* Goal: H2 where a reaper and a giver both set the bit of one object. */
static void test_taking_beside_a_reaper(void **state)
{
    (void)state;
    heap_open(LARGE);
    flights_search(&(explore_model){.name = "heap: reaper",
                                    .threads = 3,
                                    .body = {body_take, body_take_again, body_reap_and_take},
                                    .begin = begin,
                                    .end = end_taken,
                                    .interruptions = 1,
                                    .deaths = 1,
                                    .spared = 6});
}

/* Goal: magazines take whole words of a bitmap, and give them back while others take. */
static void test_magazines(void **state)
{
    (void)state;
    heap_search("heap: magazines", body_small, SMALL, 1, 0);
}

static void test_magazines_of_the_dead(void **state)
{
    (void)state;
    heap_search("heap: magazines, death", body_small, SMALL, 0, 1);
}

/* Both find the pool empty and add a slab. */
static void body_grow(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const uint32_t pool = pool_of(60000);
    const ae_ref ref = object_take(thread, slot, pool);
    object_give(thread, slot, pool, ref);
    ae_slot_release(&world.db->proc, slot);
}

/* Goal: a pool grows under two hands, and a slab that is being added is not lost with the dead. */
static void test_growing_and_dying(void **state)
{
    (void)state;
    flights_open();
    flights_search(&(explore_model){.name = "heap: growing",
                                    .threads = 2,
                                    .body = {body_grow, body_grow},
                                    .begin = begin,
                                    .end = end_taken,
                                    .interruptions = 2,
                                    .deaths = 1});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_large_objects_are_in_one_hand),
    cmocka_unit_test(test_large_objects_of_the_dead),
    cmocka_unit_test(test_taking_beside_a_reaper),
    cmocka_unit_test(test_magazines),
    cmocka_unit_test(test_magazines_of_the_dead),
    cmocka_unit_test(test_growing_and_dying),
};

AE_TEST_MAIN(tests)
