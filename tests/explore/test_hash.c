/* The key hash in every order: entering one key from several sides, places used again, splitting.
 *
 * A key is entered once (X4), and whoever looks for a key that is there finds it, whatever moves
 * (X2); after a death nothing of a split is lost or left over.  Shards have twelve entries here.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

/* ---- one tag --------------------------------------------------------------------------------
 * Anchors are numbers here: the key above, who entered it below; all keys share one tag. */

enum { TAG = 0x1234567, KEYS = 3, FIRST = 16 };

static struct {
    ae_a32 closed[FIRST * (KEYS + 1)]; /* by anchor: its inserter has given up, or it was removed */
    bool won[EXPLORE_THREADS];
    ae_ref entered;
    bool there; /* somebody has entered key 1 for good */
} run;

static ae_ref anchor_of(uint32_t key, uint32_t who)
{
    return FIRST * key + who;
}

static bool same_key(void *context, ae_ref anchor)
{
    const uint32_t *key = context;
    return anchor / FIRST == *key && ae_load32_acquire(&run.closed[anchor]) == 0;
}

static uint32_t slot_take(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    uint32_t slot = 0;
    if (ae_slot_claim_at(proc, world.sessions[thread]->member, thread + 1, &slot) != AERO_OK)
        explore_fail("slot %u is not free", thread + 1);
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, slot)->snapshot);
    return slot;
}

static void entry_remove(uint32_t slot, ae_ref anchor)
{
    ae_store32_release(&run.closed[anchor], 1);
    if (ae_hash_remove(&world.db->hashes[FLIGHTS], slot, TAG, anchor, NULL) != AERO_OK)
        explore_fail("no memory to remove");
}

/* Enter key 1; give up for another who has entered it. */
static bool key_enter(uint32_t slot, uint32_t thread)
{
    uint32_t key = 1;
    const ae_ref anchor = anchor_of(1, thread);
    aero_error error;
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    if (ae_hash_put(&world.db->hashes[FLIGHTS], slot, TAG, same_key, &key, anchor, 0, &found,
                    &entry, &error) != AERO_OK)
        explore_fail("no memory to enter");
    explore_assert(entry != NULL && found != anchor);
    if (found == 0)
        return true;
    entry_remove(slot, anchor);
    return false;
}

static void body_enter(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    run.won[thread] = key_enter(slot, thread);
    run.there |= run.won[thread];
    ae_slot_release(&world.db->proc, slot);
}

/* Key 2 was there, before or behind the place of key 1, and goes. */
static void body_remove(uint32_t thread)
{
    const uint32_t slot = slot_take(thread);
    entry_remove(slot, anchor_of(2, 0));
    ae_slot_release(&world.db->proc, slot);
}

static void body_find(uint32_t thread)
{
    uint32_t key = 1;
    aero_error error;
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    const uint32_t slot = slot_take(thread);
    const bool there = run.there;
    (void)ae_hash_put(&world.db->hashes[FLIGHTS], slot, TAG, same_key, &key, 0, 0, &found, &entry,
                      &error);
    explore_assert(!there || found != 0);
    ae_slot_release(&world.db->proc, slot);
}

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

static bool count_entry(void *context, uint32_t tag, ae_ref anchor, ae_ref hint)
{
    uint32_t *count = context;
    (void)hint;
    *count += tag == TAG && anchor / FIRST == 1;
    return true;
}

static void end_entered(void)
{
    uint32_t entries = 0;
    uint64_t all = 0;
    uint64_t shards = 0;
    aero_error error;
    const uint32_t winners = run.won[0] + (uint32_t)run.won[1] + run.won[2];
    if (ae_hash_check(&world.db->hashes[FLIGHTS], count_entry, &entries, &all, &shards, &error) !=
        AERO_OK)
        explore_fail("hash: %s", error.text);
    explore_assert(winners <= 1); /* two may give up for each other, and would try again */
    explore_assert(entries == winners);
}

static void entry_make(uint32_t slot, uint32_t number)
{
    uint32_t key = number;
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    aero_error error;
    if (ae_hash_put(&world.db->hashes[FLIGHTS], slot, TAG, same_key, &key, anchor_of(number, 0), 0,
                    &found, &entry, &error) != AERO_OK)
        explore_fail("no memory to begin with");
}

static void tag_search(const char *name, uint32_t before, void (*third)(uint32_t),
                       uint32_t interruptions)
{
    flights_open(); /* so the first shard is there */
    memset(&run, 0, sizeof run);
    const uint32_t slot = slot_take(0);
    for (uint32_t key = 2; key < 2 + before; key++)
        entry_make(slot, key);
    ae_slot_release(&world.db->proc, slot);
    flights_search(&(explore_model){.name = name,
                                    .threads = 3,
                                    .body = {body_enter, body_enter, third},
                                    .begin = begin,
                                    .end = end_entered,
                                    .interruptions = interruptions});
}

/* Goal: X4 on an empty path.  Method: two enter a key, one looks. */
static void test_one_key_on_an_empty_path(void **state)
{
    (void)state;
    tag_search("hash: empty path", 0, body_find, 3);
}

/* Goal: X4 where a removed entry is used again while one inserter has passed it.  Method: a third
 * removes another key of the tag meanwhile. */
static void test_one_key_while_a_place_becomes_free(void **state)
{
    (void)state;
    tag_search("hash: place becomes free", 1, body_remove, 3);
}

/* ---- splitting ------------------------------------------------------------------------------ */

static uint64_t shards_now(void)
{
    uint32_t ignored = 0;
    uint64_t entries = 0;
    uint64_t shards = 0;
    aero_error error;
    if (ae_hash_check(&world.db->hashes[FLIGHTS], count_entry, &ignored, &entries, &shards,
                      &error) != AERO_OK)
        explore_fail("hash: %s", error.text);
    return shards;
}

static void fill(uint32_t rows)
{
    flights_open();
    for (uint32_t number = 0; number < rows; number++) {
        char name[32];
        must(0, flight_insert(world.sessions[0], flight_name(name, number), number));
    }
}

static bool splits(uint32_t rows, const char *key)
{
    fill(rows);
    const uint64_t before = shards_now();
    must(0, flight_insert(world.sessions[0], key, 1));
    const uint64_t after = shards_now();
    world_close();
    return before == 1 && after > 1;
}

/* As many rows as go into the first shard before "s" makes it split. */
static uint32_t rows_before_a_split(void)
{
    for (uint32_t rows = 1; rows < AE_HASH_ENTRIES; rows++)
        if (splits(rows, "s"))
            return rows;
    explore_fail("the first shard does not split");
}

/* Another key, for which there is room. */
static char roomy[8];

static void roomy_choose(uint32_t rows)
{
    for (uint32_t number = 0; number < 100; number++) {
        snprintf(roomy, sizeof roomy, "t%u", number);
        if (!splits(rows, roomy))
            return;
    }
    explore_fail("the first shard has no room for any key");
}

static void body_insert_s(uint32_t thread)
{
    const aero_status status = flight_insert(world.sessions[thread], "s", 1 + thread);
    if (status != AERO_EXISTS)
        must(thread, status);
    run.won[thread] = status == AERO_OK;
}

static void body_insert_t(uint32_t thread)
{
    must(thread, flight_insert(world.sessions[thread], roomy, 2));
    explore_assert(look(world.sessions[thread], roomy) == 2);
    run.won[2] = true;
}


/* Rows that are there are found, and one that goes is gone. */
static void body_visit(uint32_t thread)
{
    char name[32];
    explore_assert(look(world.sessions[thread], flight_name(name, 0)) == 0);
    must(thread, flight_delete(world.sessions[thread], flight_name(name, 1)));
    explore_assert(look(world.sessions[thread], flight_name(name, 1)) == FLIGHT_NONE);
    explore_assert(look(world.sessions[thread], flight_name(name, 0)) == 0);
}

static void end_split(void)
{
    char name[32];
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    explore_assert(look(world.observer, flight_name(name, 0)) == 0);
    explore_assert(scan(world.observer, "s", &altitude) == (look(world.observer, "s") >= 0));
    for (uint32_t thread = 0; thread < 2; thread++)
        explore_assert(!run.won[thread] || look(world.observer, "s") == 1 + thread);
    explore_assert(!run.won[2] || look(world.observer, roomy) == 2);
    explore_assert(scan(world.observer, roomy, &altitude) == (look(world.observer, roomy) >= 0));
    if (!explore_died(0))
        explore_assert(shards_now() > 1);
    world_check((const char *const[]){"s", roomy}, 2);
}

static void split_search(const char *name, void (*second)(uint32_t), uint32_t interruptions,
                         uint32_t deaths)
{
    const uint32_t rows = rows_before_a_split();
    roomy_choose(rows);
    fill(rows);
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_insert_s, second},
                                    .begin = begin,
                                    .end = end_split,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: a row that is entered while the shard is copied goes along. */
static void test_entering_a_shard_that_splits(void **state)
{
    (void)state;
    split_search("hash: insert beside a split", body_insert_t, 1, 0);
}

/* Goal: a shard that two find full is replaced once, and takes the row once. */
static void test_two_split_a_shard(void **state)
{
    (void)state;
    split_search("hash: two split", body_insert_s, 1, 0);
}

/* Goal: look-ups and removals go on during a split. */
static void test_visiting_a_shard_that_splits(void **state)
{
    (void)state;
    split_search("hash: split and visit", body_visit, 2, 0);
}

/* Goal: a split is finished or undone for the dead.  Method: whoever splits dies anywhere, or the
 * one who inserts beside it. */
static void test_splitting_and_dying(void **state)
{
    (void)state;
    split_search("hash: split and die", body_insert_t, 0, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_key_on_an_empty_path),
    cmocka_unit_test(test_one_key_while_a_place_becomes_free),
    cmocka_unit_test(test_entering_a_shard_that_splits),
    cmocka_unit_test(test_two_split_a_shard),
    cmocka_unit_test(test_visiting_a_shard_that_splits),
    cmocka_unit_test(test_splitting_and_dying),
};

AE_TEST_MAIN(tests)
