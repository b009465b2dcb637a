/* Calls of the system that fail while a database is opened, each in turn, with each error.
 *
 * Method: the program brings its own open, fstat, pread, flock, mmap and so on, which count and let
 * the n-th call fail, or the n-th and all of its kind that follow.  A store with a checkpoint and a
 * log is opened from its files, and then from its segment; n grows until none is left.  Invariants:
 * an open answers OK with every row, or an error that says something; no file of the store is
 * changed; no descriptor is lost; without the fault it opens.
 *
 * variants: plain
 */

#include "failing.h"

/* ---- the store ------------------------------------------------------------------------------ */

enum { ROWS = 40, SIZE = 8 << 20 };

static void store_make(test_store *store)
{
    char name[32];
    aero_checkpoint_report report;
    store_paths(store);
    store_attach(store, SIZE);
    assert_ok(store->session,
              aero_config_set(store->session, "aerostore.checkpoint_interval_secs", "0"));
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_ok(store->session, flight_put(store->session, flight_name(name, row), row));
        if (row == ROWS / 2)
            assert_ok(store->session, aero_checkpoint(store->session, &report));
    }
    store_detach(store);
}

/* Sizes and names of the store's files, in one number. */
static uint64_t files_sum(const test_store *store)
{
    DIR *folder = opendir(store->data_dir);
    uint64_t sum = 0;
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512];
        struct stat info;
        uint64_t hash = 1469598103934665603ull;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "aerostore.lock") == 0)
            continue;
        for (const char *at = entry->d_name; *at != '\0'; at++)
            hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
        snprintf(path, sizeof path, "%s/%s", store->data_dir, entry->d_name);
        assert_int_equal(stat(path, &info), 0);
        sum += hash * ((uint64_t)info.st_size + 1);
    }
    closedir(folder);
    return sum;
}

/* Open with or without a fault and look at every row; false: it was refused. */
static bool open_once(const test_store *store, const char *what)
{
    const aero_open_options options = {
        .data_dir = store->data_dir, .shm_path = store->segment, .size = SIZE};
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    char name[32];
    aero_status status = aero_open(&options, &db, &error);
    if (status == AERO_OK) {
        status = aero_session_open(db, &session, &error);
        fault.armed = false;
        for (uint32_t row = 0; status == AERO_OK && row < ROWS; row++)
            assert_int_equal(flight_get(session, flight_name(name, row)), row);
        if (session != NULL)
            aero_session_close(session);
        aero_error ignored;
        assert_int_equal(aero_close(db, &ignored), AERO_OK);
    }
    fault.armed = false;
    if (status != AERO_OK && (error.text[0] == '\0' || fault.failed == 0))
        fail_msg("%s, call %u (%s, %s): %d %s", what, fault.calls, fault.kind,
                 strerror(fault.failure), status, error.text);
    return status == AERO_OK;
}

/* Let every call fail in turn while the store is opened, without its segment or with it. */
static void every_call(const test_store *store, bool warm, int failure, bool lasting)
{
    const char *const what = warm ? "warm" : "cold";
    const uint64_t files = files_sum(store);
    uint32_t refused = 0;
    uint32_t passage = 1;
    if (warm)
        assert_true(open_once(store, what));
    const uint32_t before = descriptors();
    for (;; passage++) {
        if (!warm)
            (void)unlink(store->segment);
        fault_set(passage, failure, lasting);
        refused += !open_once(store, what);
        if (fault.failed == 0)
            break;
        if (files_sum(store) != files || descriptors() != before)
            fail_msg("%s, call %u (%s, %s): files or descriptors differ", what, passage, fault.kind,
                     strerror(failure));
        fault.failed = 0;
        if (warm)
            assert_true(open_once(store, what));
    }
    assert_true(refused > 0);
    assert_true(open_once(store, what));
    printf("%s, %s%s: %u calls, %u opens refused\n", what, strerror(failure),
           lasting ? " for good" : "", passage - 1, refused);
}

static void each_call_fails(bool warm)
{
    static const int failures[] = {EIO,    EINTR,  ENOSPC, EACCES, ENOMEM,
                                   ENOENT, EDQUOT, EPERM,  ELOOP,  ENXIO};
    test_store store;
    store_make(&store);
    for (size_t index = 0; index < sizeof failures / sizeof failures[0]; index++)
        every_call(&store, warm, failures[index], false);
    every_call(&store, warm, EIO, true);
    every_call(&store, warm, EDQUOT, true);
    store_attach(&store, SIZE);
    store_close(&store);
}

/* Goal: no failed call while the files are recovered does harm. */
static void test_calls_fail_while_the_files_are_recovered(void **state)
{
    (void)state;
    each_call_fails(false);
}

/* Goal: no failed call while the segment is attached does harm. */
static void test_calls_fail_while_the_segment_is_attached(void **state)
{
    (void)state;
    each_call_fails(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_calls_fail_while_the_files_are_recovered),
    cmocka_unit_test(test_calls_fail_while_the_segment_is_attached),
};

AE_TEST_MAIN(tests)
