/* The key hash by itself: tags and anchors are made up, so that every shape can be forced.
 *
 * The hash of the table Trade is used, whose rows nobody writes here; the entries are removed
 * before the store is verified.
 *
 * variants: plain asan tsan
 * links: * generated/market
 */
#include <pthread.h>
#include <stdatomic.h>

#include "store.h"
#include "txn/txn.h"

enum { TRADE = 1, KEYS = 4000, STEPS = 60000, THREADS = 4 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RACE_KEYS = 1500 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { RACE_KEYS = 1500 };
#else
enum { RACE_KEYS = 12000 };
#endif
#else
enum { RACE_KEYS = 12000 };
#endif

/* An anchor is its key's number and who entered it; the hash only carries it around. */
static ae_ref anchor_of(uint32_t key, uint32_t who)
{
    return (key + 1) << 4 | who;
}

static bool is_key(void *context, ae_ref anchor)
{
    return anchor >> 4 == *(const uint32_t *)context + 1;
}

typedef struct place {
    ae_hash *hash;
    ae_proc *proc;
    uint32_t slot;
} place;

static place place_take(aero_db *db, uint32_t member)
{
    place at = {&db->hashes[TRADE], &db->proc, 0};
    assert_int_equal(ae_slot_claim(&db->proc, member, member, &at.slot, NULL), AERO_OK);
    (void)ae_snapshot_publish(&db->proc, &ae_slot_at(&db->proc, at.slot)->snapshot);
    return at;
}

/* Returns the anchor that was there, or 0. */
static ae_ref put(const place *at, uint32_t tag, uint32_t key, ae_ref anchor)
{
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    aero_error error;
    if (ae_hash_put(at->hash, at->slot, tag, is_key, &key, anchor, 0, &found, &entry, &error) !=
        AERO_OK)
        fail_msg("put: %s", error.text);
    assert_true(anchor == 0 || entry != NULL);
    if (found != 0 && found != anchor)
        assert_int_equal(ae_hash_remove(at->hash, at->slot, tag, anchor, NULL), AERO_OK);
    return found;
}

static void drop(const place *at, uint32_t tag, ae_ref anchor)
{
    assert_int_equal(ae_hash_remove(at->hash, at->slot, tag, anchor, NULL), AERO_OK);
}

static bool any(void *context, uint32_t tag, ae_ref anchor, ae_ref hint)
{
    (void)context;
    (void)tag;
    (void)hint;
    return anchor != 0;
}

static uint64_t entries(const place *at, uint64_t *shards)
{
    uint64_t count = 0;
    aero_error error;
    if (ae_hash_check(at->hash, any, NULL, &count, shards, &error) != AERO_OK)
        fail_msg("check: %s", error.text);
    return count;
}

/* Goal: X1 to X4 with one writer.  Method: random steps against a model, through many splits; the
 * whole key space is compared now and then. */
static void test_random_steps_agree_with_a_model(void **state)
{
    uint64_t random = test_seed("hash model");
    static uint32_t tags[KEYS];
    static bool there[KEYS];
    test_store store;
    uint64_t shards = 0;
    uint64_t count = 0;
    (void)state;
    store_open(&store, 64 << 20);
    const place at = place_take(store.db, store.session->member);
    memset(there, 0, sizeof there);
    for (uint32_t key = 0; key < KEYS; key++) /* one in eight shares its tag with many others */
        tags[key] = (uint32_t)(key % 8 == 0 ? next_random(&random) % 40 * 0x1234567u
                                            : next_random(&random)) >>
                    1;
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t key = (uint32_t)(next_random(&random) % KEYS);
        const ae_ref anchor = anchor_of(key, 1);
        const uint64_t what = next_random(&random) % (step / 15000 % 2 == 0 ? 4 : 6);
        if (what < 2) {
            assert_int_equal(put(&at, tags[key], key, anchor), there[key] ? anchor : 0);
            count += !there[key];
            there[key] = true;
        } else if (what > 3) {
            drop(&at, tags[key], anchor);
            count -= there[key];
            there[key] = false;
        } else {
            assert_int_equal(put(&at, tags[key], key, 0), there[key] ? anchor : 0);
        }
        if (step % 10000 == 9999) {
            assert_int_equal(entries(&at, &shards), count);
            for (uint32_t other = 0; other < KEYS; other++)
                assert_int_equal(put(&at, tags[other], other, 0),
                                 there[other] ? anchor_of(other, 1) : 0);
        }
    }
    assert_in_range(shards, 4, 1000);
    for (uint32_t key = 0; key < KEYS; key++)
        drop(&at, tags[key], anchor_of(key, 1));
    assert_int_equal(entries(&at, &shards), 0);
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

static void many_of_one_tag(uint32_t count, uint32_t tag, uint32_t spread)
{
    test_store store;
    uint64_t shards = 0;
    store_open(&store, 64 << 20);
    const place at = place_take(store.db, store.session->member);
    for (uint32_t key = 0; key < count; key++)
        assert_int_equal(put(&at, tag + key % spread, key, anchor_of(key, 1)), 0);
    for (uint32_t key = 0; key < count; key++)
        assert_int_equal(put(&at, tag + key % spread, key, 0), anchor_of(key, 1));
    assert_int_equal(entries(&at, &shards), count);
    assert_in_range(shards, 1, 64);
    for (uint32_t key = 0; key < count; key++)
        drop(&at, tag + key % spread, anchor_of(key, 1));
    assert_int_equal(entries(&at, &shards), 0);
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

/* Goal: keys whose hashes are made equal cost time, not the table.  Method: 30 to 450 entries of
 * one tag: more than a probe path, less than a shard. */
static void test_equal_tags_do_not_split_for_ever(void **state)
{
    (void)state;
    many_of_one_tag(30, 0x12345678u, 1);
    many_of_one_tag(199, 0x7fffffffu, 1);
    many_of_one_tag(250, 0, 1);
    many_of_one_tag(450, 0x40000000u, 1);
}

/* Goal: as above for tags that differ in their last bits only, below the directory's. */
static void test_neighbouring_tags_do_not_split_for_ever(void **state)
{
    (void)state;
    many_of_one_tag(450, 0x2aaaaaa0u, 7);
    many_of_one_tag(40, 0x2aaaaaa0u, 2);
}

/* Goal: what is more than fits is an error that leaves the rest usable.  Method: one tag until
 * FULL. */
static void test_a_full_shard_is_an_error_and_takes_removals(void **state)
{
    test_store store;
    uint64_t shards = 0;
    uint32_t key = 0;
    ae_ref found = 0;
    ae_hash_entry *entry = NULL;
    aero_error error;
    (void)state;
    store_open(&store, 64 << 20);
    const place at = place_take(store.db, store.session->member);
    for (; key < 2000; key++)
        if (ae_hash_put(at.hash, at.slot, 77, is_key, &key, anchor_of(key, 1), 0, &found, &entry,
                        &error) != AERO_OK)
            break;
    assert_int_equal(error.code, AERO_FULL);
    assert_in_range(key, 400, AE_HASH_ENTRIES);
    for (uint32_t other = 0; other < key; other++)
        assert_int_equal(put(&at, 77, other, 0), anchor_of(other, 1));
    for (uint32_t other = 0; other < 100; other++)
        drop(&at, 77, anchor_of(other, 1));
    for (uint32_t other = 0; other < 50; other++)
        assert_int_equal(put(&at, 77, other, anchor_of(other, 1)), 0);
    assert_int_equal(entries(&at, &shards), key - 50);
    for (uint32_t other = 0; other < key; other++)
        drop(&at, 77, anchor_of(other, 1));
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

/* Goal: L8.  Method: 100,000 different keys come and go, 50 at a time: the shards stay few. */
static void test_churn_keeps_the_shards_few(void **state)
{
    uint64_t random = test_seed("hash churn");
    static uint32_t tags[100000];
    test_store store;
    uint64_t shards = 0;
    (void)state;
    store_open(&store, 64 << 20);
    const place at = place_take(store.db, store.session->member);
    for (uint32_t key = 0; key < 100000; key++) {
        tags[key] = (uint32_t)next_random(&random) >> 1;
        assert_int_equal(put(&at, tags[key], key, anchor_of(key, 1)), 0);
        if (key >= 50)
            drop(&at, tags[key - 50], anchor_of(key - 50, 1));
    }
    assert_int_equal(entries(&at, &shards), 50);
    assert_in_range(shards, 1, 4);
    for (uint32_t key = 100000 - 50; key < 100000; key++)
        drop(&at, tags[key], anchor_of(key, 1));
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct racer {
    aero_db *db;
    uint32_t number;
    _Atomic uint32_t *winner; /* of each key: 1 + number */
    uint32_t wrong;
} racer;

static uint32_t race_tag(uint32_t key)
{
    return (key * 2654435761u) >> 1;
}

static void *race(void *context)
{
    racer *work = context;
    uint32_t member = 0;
    aero_error error;
    if (ae_member_claim(&work->db->proc, &member, &error) != AERO_OK) {
        work->wrong++;
        return NULL;
    }
    const place at = place_take(work->db, member);
    for (uint32_t key = 0; key < RACE_KEYS; key++) {
        const ae_ref mine = anchor_of(key, work->number + 1);
        ae_ref found = 0;
        ae_hash_entry *entry = NULL;
        if (ae_hash_put(at.hash, at.slot, race_tag(key), is_key, &key, mine, 0, &found, &entry,
                        NULL) != AERO_OK)
            work->wrong++;
        if (found == 0 && key % 3 != 0)
            work->wrong += atomic_exchange_explicit(&work->winner[key], work->number + 1,
                                                    memory_order_relaxed) != 0;
        else if (found != 0)
            work->wrong += found >> 4 != key + 1 ||
                           ae_hash_remove(at.hash, at.slot, race_tag(key), mine, NULL) != AERO_OK;
        /* The winner of every third key takes it out again; what follows must still be found. */
        if (found == 0 && key % 3 == 0)
            work->wrong += ae_hash_remove(at.hash, at.slot, race_tag(key), mine, NULL) != AERO_OK;
        if (key > 100 && key % 3 != 0) {
            const uint32_t earlier = key - 100 + (key - 100) % 3 % 2;
            const uint32_t wanted = earlier % 3 == 0 ? earlier + 1 : earlier;
            ae_ref seen = 0;
            (void)ae_hash_put(at.hash, at.slot, race_tag(wanted), is_key,
                              (void *)(uintptr_t)&wanted, 0, 0, &seen, &entry, NULL);
            work->wrong += seen >> 4 != wanted + 1;
        }
    }
    ae_slot_release(at.proc, at.slot);
    ae_member_release(&work->db->proc, member);
    return NULL;
}

/* Goal: X4 and no entry lost in a split.  Method: threads enter the same keys in the same order, so
 * that they meet at every one, and take some out; each of the others is won once, and found from
 * then on. */
static void test_threads_enter_each_key_once(void **state)
{
    test_store store;
    pthread_t threads[THREADS];
    racer racers[THREADS];
    static _Atomic uint32_t winner[RACE_KEYS];
    uint64_t shards = 0;
    (void)state;
    memset((void *)winner, 0, sizeof winner);
    store_open(&store, 64 << 20);
    for (uint32_t number = 0; number < THREADS; number++) {
        racers[number] = (racer){store.db, number, winner, 0};
        assert_int_equal(pthread_create(&threads[number], NULL, race, &racers[number]), 0);
    }
    for (uint32_t number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < THREADS; number++)
        assert_int_equal(racers[number].wrong, 0);
    const place at = place_take(store.db, store.session->member);
    uint64_t left = 0;
    for (uint32_t key = 0; key < RACE_KEYS; key++) {
        const ae_ref found = put(&at, race_tag(key), key, 0);
        if (key % 3 != 0)
            assert_int_equal(found, anchor_of(key, winner[key]));
        if (found != 0) {
            left++;
            drop(&at, race_tag(key), found);
        }
    }
    assert_in_range(left, RACE_KEYS - RACE_KEYS / 3 - 1, RACE_KEYS);
    assert_int_equal(entries(&at, &shards), 0);
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

enum { FEW_KEYS = 3, LAPS = RACE_KEYS };

typedef struct turner {
    aero_db *db;
    uint32_t number;
    _Atomic uint32_t *inside; /* of each key: how many think that it is theirs */
    uint32_t wrong;
    uint32_t won;
} turner;

/* Enter a key, be alone with it for a moment, take it out. */
static void *take_turns(void *context)
{
    turner *work = context;
    uint32_t member = 0;
    if (ae_member_claim(&work->db->proc, &member, NULL) != AERO_OK) {
        work->wrong++;
        return NULL;
    }
    const place at = place_take(work->db, member);
    for (uint32_t lap = 0; lap < LAPS; lap++) {
        uint32_t key = lap % FEW_KEYS;
        const ae_ref mine = anchor_of(key, work->number + 1);
        ae_ref found = 0;
        ae_hash_entry *entry = NULL;
        work->wrong += ae_hash_put(at.hash, at.slot, 99, is_key, &key, mine, 0, &found, &entry,
                                   NULL) != AERO_OK;
        if (found == 0) {
            work->won++;
            work->wrong += atomic_fetch_add_explicit(&work->inside[key], 1, memory_order_relaxed) !=
                           0;
            atomic_fetch_sub_explicit(&work->inside[key], 1, memory_order_relaxed);
        }
        work->wrong += ae_hash_remove(at.hash, at.slot, 99, mine, NULL) != AERO_OK;
    }
    ae_slot_release(at.proc, at.slot);
    ae_member_release(&work->db->proc, member);
    return NULL;
}

/* Goal: X4 where removed entries are used again.  Method: threads enter three keys of one tag and
 * take them out again; whoever is told that it entered a key must be the only one in it.  The shard
 * is not rewritten. */
static void test_threads_take_turns_in_removed_entries(void **state)
{
    test_store store;
    pthread_t threads[THREADS];
    turner turners[THREADS];
    _Atomic uint32_t inside[FEW_KEYS] = {0};
    uint64_t shards = 0;
    uint32_t won = 0;
    (void)state;
    store_open(&store, 16 << 20);
    for (uint32_t number = 0; number < THREADS; number++) {
        turners[number] = (turner){store.db, number, inside, 0, 0};
        assert_int_equal(pthread_create(&threads[number], NULL, take_turns, &turners[number]), 0);
    }
    for (uint32_t number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < THREADS; number++) {
        assert_int_equal(turners[number].wrong, 0);
        won += turners[number].won;
    }
    assert_true(won > LAPS / 4);
    const place at = place_take(store.db, store.session->member);
    assert_int_equal(entries(&at, &shards), 0);
    assert_int_equal(shards, 1);
    assert_in_range(ae_pool_bytes(at.proc->heap, at.hash->shard_pool), 1, 1 << 20);
    ae_slot_release(at.proc, at.slot);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_steps_agree_with_a_model),
    cmocka_unit_test(test_equal_tags_do_not_split_for_ever),
    cmocka_unit_test(test_neighbouring_tags_do_not_split_for_ever),
    cmocka_unit_test(test_a_full_shard_is_an_error_and_takes_removals),
    cmocka_unit_test(test_churn_keeps_the_shards_few),
    cmocka_unit_test(test_threads_enter_each_key_once),
    cmocka_unit_test(test_threads_take_turns_in_removed_entries),
};

AE_TEST_MAIN(tests)
