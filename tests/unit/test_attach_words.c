/* What opening says of a segment in which one word of its fixed structures is wrong.
 *
 * Strategy: a store that somebody has open; one word of each kind is changed by hand, the store is
 * opened once more, and the word put back.  Words of the header are sealed again, as who made it
 * would.  Invariants: what is damaged is refused as CORRUPT (or MISMATCH) and named; no descriptor
 * is lost; with the word back the store opens warm, with its rows.
 *
 * variants: plain asan
 */
#include "flights.h"
#include "txn/db.h"
#include "wal/log_private.h"

enum { SIZE = 8 << 20 };

static test_store store;

static int make(void **state)
{
    (void)state;
    char name[32];
    store_open(&store, SIZE);
    for (uint32_t row = 0; row < 20; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
    return 0;
}

static int drop(void **state)
{
    (void)state;
    store_close(&store);
    return 0;
}

static aero_status opens(aero_error *error)
{
    const aero_open_options options = {
        .data_dir = store.data_dir, .shm_path = store.segment, .size = SIZE};
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_status status = aero_open(&options, &db, error);
    if (status != AERO_OK)
        return status;
    assert_string_equal(aero_boot(db), "warm");
    assert_int_equal(aero_session_open(db, &session, error), AERO_OK);
    assert_int_equal(flight_get(session, "f0000007"), 7);
    aero_session_close(session);
    return aero_close(db, error);
}

/* Open with a word of `size` bytes changed; `header`: which is then sealed again. */
static void refused(void *word, size_t size, uint64_t value, bool header, int32_t code,
                    const char *words)
{
    uint64_t kept = 0;
    aero_error error;
    memcpy(&kept, word, size);
    if (memcmp(&kept, &value, size) == 0)
        fail_msg("%s: the word is %llx already", words, (unsigned long long)value);
    memcpy(word, &value, size);
    if (header)
        ae_segment_adopt(&store.db->segment, store.db->segment.header->store_id);
    const aero_status status = opens(&error);
    memcpy(word, &kept, size);
    if (header)
        ae_segment_adopt(&store.db->segment, store.db->segment.header->store_id);
    if (status != code || strstr(error.text, words) == NULL)
        fail_msg("%d, not %d \"%s\": %s", status, code, words,
                 status == AERO_OK ? "open" : error.text);
    if (opens(&error) != AERO_OK)
        fail_msg("%s, afterwards: %s", words, error.text);
}

#define REFUSED(word, value, words) \
    refused(&(word), sizeof(word), (uint64_t)(value), false, AERO_CORRUPT, words)
#define ROOT(number, value, words) \
    refused(&store.db->segment.header->roots[number], sizeof(ae_ref), (uint64_t)(value), true, \
            AERO_CORRUPT, words)

/* Goal: each structure lies where it can. */
static void test_structures_that_lie_outside(void **state)
{
    (void)state;
    const ae_segment_header *header = store.db->segment.header;
    /* The last 64 bytes of the fixed part: too little for any of them. */
    const uint64_t last = ((uint64_t)header->first_page << AE_PAGE_SHIFT >> 4) - 4;
    const struct {
        uint32_t root;
        const char *words;
    } roots[] = {{AE_ROOT_LOG, "log lies outside"},
                 {AE_ROOT_SETTINGS, "settings lie outside"},
                 {AE_ROOT_QUEUE, "commit queue lies outside"},
                 {AE_ROOT_TABLES, "tables lie outside"}};
    for (size_t index = 0; index < sizeof roots / sizeof roots[0]; index++)
        ROOT(roots[index].root, last, roots[index].words);
    ROOT(AE_ROOT_LOG, 0, "log lies outside");
    ROOT(AE_ROOT_SETTINGS, 0, "settings lie outside");
    ROOT(AE_ROOT_INDEXES, 0, "catalogue of indexes");
    ROOT(AE_ROOT_POOLS, 0, "pool 0 of the segment");
    REFUSED(store.db->settings->age, 0, "marks of time lie outside");
    REFUSED(store.db->settings->age, last, "marks of time lie outside");
}

/* Goal: numbers that lengths and places are made of are in their bounds. */
static void test_numbers_out_of_bounds(void **state)
{
    (void)state;
    ae_proc_shared *shared = store.db->proc.shared;
    REFUSED(shared->queue_size, AE_QUEUE_MIN / 2, "process table");
    REFUSED(shared->queue_size, (uint64_t)AE_QUEUE_MAX * 2, "process table");
    REFUSED(shared->queue_size, AE_QUEUE_MIN + 1, "process table");
    REFUSED(shared->asymmetric, 2, "process table");
    REFUSED(shared->clock, 0, "process table");
    REFUSED(shared->slot_high, AE_SLOTS + 1, "process table");
    REFUSED(shared->feed_high, AE_FEEDS + 1, "process table");
    REFUSED(shared->member_high, AE_MEMBERS + 1, "process table");
    ae_log_shared *log = store.db->log.shared;
    REFUSED(log->ring_size, 8, "log is damaged");
    REFUSED(log->ring_size, 1 << 30, "log is damaged");
    REFUSED(log->ring_size, log->ring_size + 4, "log is damaged");
    REFUSED(log->on, 2, "log is damaged");
    REFUSED(log->published, 2 * AE_MEMBERS, "log is damaged");
    refused(&store.db->settings->profile, sizeof store.db->settings->profile, AE_PROFILE_LOGICAL,
            false, AERO_MISMATCH, "has the profile logical, not shared");
    refused(&store.db->settings->profile, sizeof store.db->settings->profile, 9, false,
            AERO_MISMATCH, "has the profile ?, not shared");
}

/* Goal: pools, key directories and indexes are what the schema says. */
static void test_pools_and_directories(void **state)
{
    (void)state;
    const ae_segment_header *header = store.db->segment.header;
    const uint64_t last = ((uint64_t)header->first_page << AE_PAGE_SHIFT >> 4) - 1;
    ae_pool *pool = &store.db->heap.pools[ae_heap_version_pool(FLIGHTS)];
    ae_a32 *directory = ae_at(&store.db->segment, pool->directory);
    ae_hash_root *root = store.db->hashes[FLIGHTS].root;
    ae_index_place *place = ae_catalog_place(&store.db->catalog, FLIGHTS, 0);
    REFUSED(pool->object_size, pool->object_size + 16, "pool 0 of the segment");
    REFUSED(pool->kind, AE_POOL_BLOCK, "pool 0 of the segment");
    REFUSED(pool->directory, 0, "pool 0 of the segment");
    REFUSED(pool->directory, last, "pool 0 of the segment");
    REFUSED(pool->slab_count, pool->directory_size + 1, "pool 0 of the segment");
    REFUSED(directory[0], header->first_page - 1, "slab 0 of pool 0 lies outside");
    REFUSED(directory[0], (uint64_t)SIZE >> AE_PAGE_SHIFT, "slab 0 of pool 0 lies outside");
    REFUSED(root->bits, 3, "key directory");
    REFUSED(root->bits, 29, "key directory");
    REFUSED(root->directory, 0, "key directory");
    REFUSED(root->directory, last, "key directory");
    REFUSED(store.db->catalog.shared->patterns[0].width, 2, "");
    REFUSED(place->column_count, 0, "index 0 of table FlightState");
    REFUSED(place->columns[0], 99, "index 0 of table FlightState");
    REFUSED(place->state, UINT64_MAX, "index 0 of table FlightState");
    REFUSED(place->root.width, place->root.width + 1, "index 0 of table FlightState");
}

/* Goal: paths and profiles that cannot be are refused before anything is made. */
static void test_options_that_cannot_be(void **state)
{
    (void)state;
    static char endless[5000];
    aero_db *db = NULL;
    aero_error error;
    memset(endless, 'x', sizeof endless - 1);
    const struct {
        aero_open_options options;
        int32_t code;
        const char *words;
    } cases[] = {
        {{.data_dir = NULL}, AERO_USAGE, "a data directory is needed"},
        {{.data_dir = ""}, AERO_USAGE, "a data directory is needed"},
        {{.data_dir = endless}, AERO_IO, "cannot use"},
        {{.data_dir = store.data_dir, .shm_path = endless}, AERO_IO, "longer than"},
        {{.data_dir = store.data_dir, .profile = "x"}, AERO_USAGE, "unknown profile"},
        {{.data_dir = store.data_dir, .memory = "x"}, AERO_USAGE, "unknown memory"},
        {{.data_dir = "/nothing/at/all", .must_exist = 1}, AERO_NOT_FOUND, "no database"},
        {{.data_dir = "/proc/self/stat/x", .must_exist = 1}, AERO_NOT_FOUND, "no database"}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const aero_status status = aero_open(&cases[index].options, &db, &error);
        if (status != cases[index].code || strstr(error.text, cases[index].words) == NULL)
            fail_msg("%zu: %d %s", index, status, status == AERO_OK ? "open" : error.text);
        assert_null(db);
    }
    assert_int_equal(opens(&error), AERO_OK);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_structures_that_lie_outside, make, drop),
    cmocka_unit_test_setup_teardown(test_numbers_out_of_bounds, make, drop),
    cmocka_unit_test_setup_teardown(test_pools_and_directories, make, drop),
    cmocka_unit_test_setup_teardown(test_options_that_cannot_be, make, drop),
};

AE_TEST_MAIN(tests)
