/* Slabs that go out of service: with nothing of them in anybody's hand, never under somebody who
 * may still write there, and neither lost nor doubled with the dead.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

enum { LARGE = 30000, OTHER = 14000, REFS = 1 << 18 }; /* one and three to a page */

static struct {
    uint8_t hands[REFS]; /* how many hold the object */
} run;

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

static uint32_t large_pool(void)
{
    return ae_heap_class(&world.db->heap, LARGE);
}

/* A slot with a published snapshot, as whoever works on the heap has. */
static uint32_t slot_take(uint32_t thread)
{
    uint32_t slot = 0;
    if (ae_slot_claim_at(&world.db->proc, world.sessions[thread]->member, thread + 1, &slot) !=
        AERO_OK)
        explore_fail("slot %u is not free", thread + 1);
    (void)ae_snapshot_publish(&world.db->proc, &ae_slot_at(&world.db->proc, slot)->snapshot);
    return slot;
}

static ae_ref object_take(uint32_t slot)
{
    ae_heap *heap = &world.db->heap;
    ae_ref ref = 0;
    aero_error error;
    if (ae_heap_take(heap, &ae_slot_at(&world.db->proc, slot)->cache, slot, large_pool(), &ref,
                     &error) != AERO_OK)
        explore_fail("full: %s", error.text);
    explore_assert(ref < REFS);
    explore_assert(ae_heap_is_cached(heap, large_pool(), ref, slot));
    explore_assert(ae_heap_slab(heap, ref) != NULL &&
                   ae_heap_slab(heap, ref)->pool == large_pool());
    explore_assert(run.hands[ref]++ == 0);
    return ref;
}

static void object_give(uint32_t slot, ae_ref ref)
{
    explore_assert(run.hands[ref]-- == 1);
    ae_heap_give(&world.db->heap, &ae_slot_at(&world.db->proc, slot)->cache, slot, large_pool(),
                 ref);
}

static void body_take(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    const ae_ref ref = object_take(slot);
    ae_pause();
    object_give(slot, ref);
    ae_slot_release(&world.db->proc, slot);
}

/* Take all slabs of the large objects out of service that can be. */
static void drain(uint32_t slot)
{
    ae_heap *heap = &world.db->heap;
    uint32_t pool = large_pool();
    uint32_t index = 0;
    ae_ref ref = 0;
    while (pool == large_pool() &&
           (ref = ae_heap_drain(heap, &ae_slot_at(&world.db->proc, slot)->cache, slot, &pool,
                                &index)) != 0) {
        ae_slab *slab = ae_heap_drained(heap, ref);
        explore_assert(slab != NULL);
        for (uint32_t object = 0; object < slab->object_count && pool == large_pool(); object++)
            explore_assert(run.hands[ae_ref_of(heap->segment, ae_slab_object(slab, object))] == 0);
        ae_slab_retire(&world.db->proc, slot, ref);
    }
}

static void body_drain(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    drain(slot);
    ae_slot_release(&world.db->proc, slot);
}

/* The clock moves as commits move it, and what is retired and seen by nobody is given back. */
static void give_back(aero_session *session, uint32_t slot, uint32_t turns)
{
    ae_proc *proc = &world.db->proc;
    for (uint32_t turn = 0; turn < turns; turn++) {
        ae_reclaim_tick(session);
        (void)ae_snapshot_publish(proc, &ae_slot_at(proc, slot)->snapshot);
        (void)ae_block_reclaim(proc, slot, ae_horizon_compute(proc));
    }
}

static void body_drain_and_give_back(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    drain(slot);
    give_back(world.sessions[thread], slot, 3);
    /* The pages are used for other objects now. */
    ae_heap *heap = &world.db->heap;
    ae_cache *cache = &ae_slot_at(&world.db->proc, slot)->cache;
    ae_ref ref = 0;
    explore_assert(ae_heap_take(heap, cache, slot, ae_heap_class(heap, OTHER), &ref, NULL) ==
                   AERO_OK);
    ae_heap_give(heap, cache, slot, ae_heap_class(heap, OTHER), ref);
    ae_slot_release(&world.db->proc, slot);
}

static void body_reap(uint32_t thread)
{
    (void)ae_reap_all(world.db, world.sessions[thread]->member);
}

static void body_reap_and_drain(uint32_t thread)
{
    body_reap(thread);
    body_drain(thread);
}

/* A free object of a slab in service whose bit is not set would be lost. */
static void bits_check(void)
{
    const ae_heap *heap = &world.db->heap;
    const ae_pool *of = &heap->pools[large_pool()];
    for (uint32_t index = 0; index < ae_pool_slab_count(of); index++) {
        const ae_slab *slab = ae_pool_slab(heap, of, index);
        for (uint32_t object = 0; slab != NULL && object < slab->object_count; object++) {
            const uint64_t word = ae_load64(ae_slab_object(slab, object));
            const bool bit = (ae_load64(&slab->bits[object / 64]) >> (object % 64) & 1u) != 0;
            explore_assert(bit || !ae_heap_is_free_word(AE_POOL_BLOCK, word));
        }
    }
}

static void end_drained(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    bits_check();
    world_check((const char *const[]){"x"}, 1);
}

static uint32_t given_runs; /* in which pages came back */

static void end_given(void)
{
    given_runs += ae_load32(&world.db->segment.header->given) != 0;
    end_drained();
}

/* A store whose pool of large objects has so many slabs, all of them free. */
static void heap_open(uint32_t slabs)
{
    ae_ref refs[2] = {0, 0};
    flights_open();
    const uint32_t slot = slot_take(0);
    for (uint32_t index = 0; index < slabs; index++)
        refs[index] = object_take(slot);
    for (uint32_t index = 0; index < slabs; index++)
        object_give(slot, refs[index]);
    (void)ae_heap_flush(&world.db->heap, &ae_slot_at(&world.db->proc, slot)->cache, slot);
    ae_slot_release(&world.db->proc, slot);
}

/* Goal: H4.  Method: one takes objects while another takes their slab. */
static void test_draining_what_others_take(void **state)
{
    (void)state;
    heap_open(1);
    flights_search(&(explore_model){.name = "drain: taken",
                                    .threads = 2,
                                    .body = {body_take, body_drain},
                                    .begin = begin,
                                    .end = end_drained,
                                    .interruptions = 2});
}

/* Goal: H4 where a bit is set of what one is about to take: a reaper set it.  Method: one dies
 * taking, one is held up taking, and one reaps and drains. */
static void test_draining_beside_a_reaper(void **state)
{
    (void)state;
    heap_open(1);
    flights_search(&(explore_model){.name = "drain: reaper",
                                    .threads = 3,
                                    .body = {body_take, body_take, body_reap_and_drain},
                                    .begin = begin,
                                    .end = end_drained,
                                    .interruptions = 1,
                                    .deaths = 1,
                                    .spared = 6});
}

/* Goal: a drainer's death loses nothing.  Method: it dies anywhere, beside one who takes. */
static void test_draining_and_dying(void **state)
{
    (void)state;
    heap_open(1);
    flights_search(&(explore_model){.name = "drain: death",
                                    .threads = 2,
                                    .body = {body_take, body_drain},
                                    .begin = begin,
                                    .end = end_drained,
                                    .interruptions = 1,
                                    .deaths = 1,
                                    .spared = 1});
}

/* Goal: pages are neither lost nor doubled.  Method: who drains, waits and gives back dies
 * anywhere, a reaper takes it up, and may die, too. */
static void test_giving_back_and_dying(void **state)
{
    (void)state;
    heap_open(2);
    flights_search(&(explore_model){.name = "drain: giving back, death",
                                    .threads = 2,
                                    .body = {body_drain_and_give_back, body_reap},
                                    .begin = begin,
                                    .end = end_drained,
                                    .interruptions = 1,
                                    .deaths = 2});
}

/* Goal: pages are not given back while somebody may write to the slab.  Method: one takes, held up
 * anywhere, while all is drained and given back. */
static void test_a_slab_is_not_given_back_under_a_taker(void **state)
{
    (void)state;
    heap_open(1);
    flights_search(&(explore_model){.name = "drain: taker held up",
                                    .threads = 2,
                                    .body = {body_take, body_drain_and_give_back},
                                    .begin = begin,
                                    .end = end_given,
                                    .interruptions = 2});
    printf("%u runs gave pages back\n", given_runs);
    assert_true(given_runs > 0);
}

/* Take an object, for which a slab must be made, if there is room for one more. */
static void body_take_last(uint32_t thread)
{
    ae_heap *heap = &world.db->heap;
    const uint32_t slot = slot_take(thread);
    ae_cache *cache = &ae_slot_at(&world.db->proc, slot)->cache;
    ae_ref ref = 0;
    const aero_status status = ae_heap_take(heap, cache, slot, large_pool(), &ref, NULL);
    explore_assert(status == AERO_OK || status == AERO_FULL);
    if (status == AERO_OK)
        ae_heap_give(heap, cache, slot, large_pool(), ref);
    ae_slot_release(&world.db->proc, slot);
}

static void end_unclaimed(void)
{
    uint64_t claimed = 0;
    end_drained();
    (void)ae_pages_holes(&world.db->segment, &claimed);
    explore_assert(claimed == 0);
}

/* Goal: pages for a slab that finds no place in its directory are not lost.  Method: two need the
 * last place. */
static void test_the_last_place_of_a_directory(void **state)
{
    (void)state;
    flights_open();
    ae_pool *of = &world.db->heap.pools[large_pool()];
    of->directory_size = ae_pool_slab_count(of) + 1;
    flights_search(&(explore_model){.name = "drain: last place",
                                    .threads = 2,
                                    .body = {body_take_last, body_take_last},
                                    .begin = begin,
                                    .end = end_unclaimed,
                                    .interruptions = 2,
                                    .deaths = 1});
}

/* Runs of pages, without slabs: each page in one hand at a time. */
static uint32_t run_take(uint32_t thread, uint32_t count)
{
    uint32_t first = 0;
    explore_assert(ae_pages_take(&world.db->segment, count, thread, &first, NULL) == AERO_OK);
    for (uint32_t page = first; page < first + count; page++)
        explore_assert(run.hands[page]++ == 0);
    return first;
}

static void run_offer(uint32_t first, uint32_t count)
{
    for (uint32_t page = first; page < first + count; page++)
        explore_assert(run.hands[page]-- == 1);
    ae_pages_offer(&world.db->segment, first, count);
}

static void body_pages_one(uint32_t thread)
{
    (void)run_take(thread, 1);
}

/* Two runs that are given up, as those of the dead are, and taken as one; then given up again. */
static void body_pages_join(uint32_t thread)
{
    const uint32_t first = run_take(thread, 1);
    const uint32_t second = run_take(thread, 1);
    run_offer(first, 1);
    run_offer(second, 1);
    const uint32_t both = run_take(thread, 2);
    ae_pause();
    run_offer(both, 2);
}

static void end_of_pages(void)
{
}

/* Goal: who claims pages at the end of what is used, and is held up, gets none that have become the
 * inside of another run. */
static void test_a_late_claim_at_the_frontier(void **state)
{
    (void)state;
    flights_open();
    flights_search(&(explore_model){.name = "pages: frontier",
                                    .threads = 2,
                                    .body = {body_pages_one, body_pages_join},
                                    .begin = begin,
                                    .end = end_of_pages,
                                    .interruptions = 2});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_late_claim_at_the_frontier),
    cmocka_unit_test(test_the_last_place_of_a_directory),
    cmocka_unit_test(test_draining_what_others_take),
    cmocka_unit_test(test_draining_beside_a_reaper),
    cmocka_unit_test(test_draining_and_dying),
    cmocka_unit_test(test_giving_back_and_dying),
    cmocka_unit_test(test_a_slab_is_not_given_back_under_a_taker),
};

AE_TEST_MAIN(tests)
