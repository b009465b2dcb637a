/* Calls of the system, and allocations, that fail in what is done with a store's files later on.
 *
 * Method: as in test_calls_fail.c; n grows until none is left.  A watch that was away reads the log
 * of a store in use; files are verified, restored to a time and repaired; a backup and a checkpoint
 * are made.  Invariants: each answers OK with all there is, or an error that says something; no
 * descriptor is lost, nothing that exists is harmed, and the next attempt without a fault succeeds.
 *
 * variants: plain
 */
#define FAIL_ALLOCATIONS
#include "failing.h"

#include <limits.h>

enum { SIZE = 16 << 20, ROWS = 60, MANY = 900, FAILURES = 3 };

/* What is tried of a fault; each of them once, and the first for good, too. */
static const int failures[FAILURES] = {EIO, ENOMEM, ENOENT};

static test_store store;
static char position[AERO_POSITION_SIZE];
static char target[128];
static uint64_t number_then; /* of a commit between two checkpoints */

static void store_private(void)
{
    const aero_open_options options = {
        .data_dir = store.data_dir, .memory = "private", .size = SIZE};
    if (aero_open(&options, &store.db, &store.error) != AERO_OK ||
        aero_session_open(store.db, &store.session, &store.error) != AERO_OK)
        fail_msg("open: %s", store.error.text);
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.checkpoint_interval_secs", "0"));
    assert_ok(store.session, aero_config_set(store.session, "aerostore.keep_log", "on"));
}

/* Commits of all kinds, checkpoints between them, and a position in the middle. */
static int store_make(void **state)
{
    (void)state;
    char name[32];
    aero_checkpoint_report report;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    store_paths(&store);
    snprintf(target, sizeof target, "%s.target", store.data_dir);
    store_private();
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), row));
        if (row == ROWS / 3 || row == 2 * ROWS / 3)
            assert_ok(store.session, aero_checkpoint(store.session, &report));
        if (row == ROWS / 2) {
            number_then = stat_value(store.session, "commit_clock");
            assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &query));
            assert_ok(store.session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
            assert_ok(store.session,
                      aero_watch_position_text(watch, number_then, position, sizeof position));
            aero_watch_close(watch);
            aero_query_free(query);
        }
    }
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
    for (uint32_t row = 0; row < MANY; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, 1000 + row), row));
    assert_ok(store.session, aero_commit(store.session));
    assert_ok(store.session, flight_delete(store.session, "f0000001"));
    store_detach(&store);
    return 0;
}

static int store_drop(void **state)
{
    (void)state;
    folder_remove(target);
    folder_remove(store.data_dir);
    return 0;
}

/* ---- what is tried -------------------------------------------------------------------------- */

static const char *doing;
static aero_error answer; /* of the last attempt that failed */

static aero_status noted(aero_session *session, aero_status status)
{
    if (status != AERO_OK)
        answer = *aero_session_error(session);
    return status;
}

enum { EVENTS = ROWS - ROWS / 2 - 1 + MANY + 1 };

/* Read on where the watch was. */
static aero_status watch_again(void)
{
    aero_session *session = store.session;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    uint32_t events = 0;
    aero_status status = noted(session, aero_query_new(session, FLIGHTS, &query));
    if (status == AERO_OK)
        status = noted(session, aero_watch_open_at(query, position, &watch));
    while (status == AERO_OK) {
        aero_event event;
        status = noted(session, aero_watch_next(watch, &event));
        if (status != AERO_OK || event.kind == AERO_EVENT_NONE)
            break;
        if (event.kind == AERO_EVENT_OVERFLOW) { /* the log could not be read on: it says so */
            status = AERO_NOT_FOUND;
            snprintf(answer.text, sizeof answer.text, "overflow");
            break;
        }
        events++;
    }
    fault.armed = false;
    if (status == AERO_OK && events != EVENTS)
        fail_msg("%u events, not %u (%s, call %u)", events, EVENTS, fault.kind, fault.calls);
    if (watch != NULL)
        aero_watch_close(watch);
    if (query != NULL)
        aero_query_free(query);
    return status;
}

static const aero_open_options *files(void)
{
    static aero_open_options of;
    of = (aero_open_options){.data_dir = store.data_dir};
    return &of;
}

static aero_status files_verify(void)
{
    aero_files_report report;
    const aero_status status = aero_files_verify(files(), &report, &answer);
    if (status == AERO_OK)
        assert_int_equal(report.rows, ROWS + MANY - 1);
    return status;
}

static aero_status files_restore(void)
{
    aero_files_report report;
    const aero_status status = aero_files_restore(files(), target, number_then, INT64_MAX, &report,
                                                  &answer);
    fault.armed = false;
    if (status == AERO_OK)
        assert_int_equal(report.number, number_then);
    folder_remove(target);
    return status;
}

static aero_status files_backup(void)
{
    aero_checkpoint_report report;
    const aero_status status = noted(store.session, aero_backup(store.session, target, &report));
    fault.armed = false;
    if (status == AERO_OK)
        assert_int_equal(report.rows, ROWS + MANY - 1);
    folder_remove(target);
    return status;
}

static aero_status files_checkpoint(void)
{
    aero_checkpoint_report report;
    const aero_status status = noted(store.session, aero_checkpoint(store.session, &report));
    fault.armed = false;
    if (status != AERO_OK) { /* a log that has failed goes on when it is opened anew */
        store_detach(&store);
        store_private();
        assert_ok(store.session, flight_put(store.session, "f0000002", 2)); /* its file is open */
    }
    return status;
}

/* Let every call fail in turn. */
static void each_fault(const char *what, aero_status (*attempt)(void), int failure, bool lasting)
{
    uint32_t refused = 0;
    uint32_t passage = 1;
    doing = what;
    assert_int_equal(attempt(), AERO_OK);
    const uint32_t before = descriptors();
    for (;; passage++) {
        answer.text[0] = '\0';
        fault_set(passage, failure, lasting);
        const aero_status status = attempt();
        fault.armed = false;
        if (status != AERO_OK && (answer.text[0] == '\0' || fault.failed == 0))
            fail_msg("%s, call %u (%s, %s): %d \"%s\"", what, passage, fault.kind,
                     strerror(failure), status, answer.text);
        if (descriptors() != before)
            fail_msg("%s, call %u (%s, %s): %u descriptors, not %u", what, passage, fault.kind,
                     strerror(failure), descriptors(), before);
        refused += status != AERO_OK;
        if (fault.failed == 0)
            break;
    }
    assert_true(refused > 0);
    if (attempt() != AERO_OK)
        fail_msg("%s after %s: %s", what, strerror(failure), answer.text);
    printf("%s, %s%s: %u calls, %u attempts refused\n", what, strerror(failure),
           lasting ? " for good" : "", passage - 1, refused);
}

static void each(const char *what, aero_status (*attempt)(void))
{
    for (size_t index = 0; index < FAILURES; index++)
        each_fault(what, attempt, failures[index], false);
    each_fault(what, attempt, failures[0], true);
}

/* Goal: a watch that was away gets all it has missed, or an error. */
static void test_calls_fail_while_a_watch_reads_the_log(void **state)
{
    (void)state;
    store_private();
    each("watch", watch_again);
    store_detach(&store);
}

/* Goal: looking at files that nobody has opened, and copying what they held, change nothing. */
static void test_calls_fail_while_files_are_looked_at(void **state)
{
    (void)state;
    each("verify", files_verify);
    each("restore", files_restore);
}

/* Goal: a backup and a checkpoint are whole or not there, and the store goes on. */
static void test_calls_fail_while_rows_are_written_out(void **state)
{
    (void)state;
    store_private();
    each("backup", files_backup);
    each("checkpoint", files_checkpoint);
    store_detach(&store);
    assert_int_equal(files_verify(), AERO_OK);
}

/* Goal: a repair that fails can be made again, and loses nothing of what is good. */
static void test_calls_fail_while_files_are_repaired(void **state)
{
    (void)state;
    char aside[PATH_MAX];
    uint32_t refused = 0;
    const uint32_t before = descriptors();
    for (uint32_t passage = 1;; passage++) {
        aero_files_report report;
        char path[512];
        fault_set(passage, EIO, false);
        answer.text[0] = '\0';
        const aero_status status = aero_files_repair(files(), aside, sizeof aside, &report,
                                                     &answer);
        fault.armed = false;
        const uint32_t failed = fault.failed;
        assert_int_equal(descriptors(), before);
        if (status != AERO_OK && (answer.text[0] == '\0' || failed == 0))
            fail_msg("repair, call %u (%s): %d \"%s\"", passage, fault.kind, status, answer.text);
        refused += status != AERO_OK;
        /* Whatever it has left. */
        if (status != AERO_OK &&
            aero_files_repair(files(), aside, sizeof aside, &report, &answer) != AERO_OK)
            fail_msg("repair after call %u (%s): %s", passage, fault.kind, answer.text);
        assert_int_equal(files_verify(), AERO_OK);
        /* Away with what was moved aside. */
        DIR *folder = opendir(store.data_dir);
        for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
            if (strncmp(entry->d_name, "damaged-", 8) == 0) {
                snprintf(path, sizeof path, "%s/%s", store.data_dir, entry->d_name);
                folder_remove(path);
                rewinddir(folder);
            }
        closedir(folder);
        if (failed == 0)
            break;
    }
    assert_true(refused > 0);
    printf("repair: %u attempts refused\n", refused);
}

/* Close with a commit that is not on the disk yet; true: the fault was met. */
static bool closes(uint32_t passage, bool lasting)
{
    char name[32];
    const uint32_t before = descriptors();
    store_private();
    assert_ok(store.session, aero_config_set(store.session, "aerostore.synchronous_commit", "off"));
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.flush_interval_ms", "60000"));
    snprintf(name, sizeof name, "late-%u", passage);
    assert_ok(store.session, flight_put(store.session, name, passage));
    aero_session_close(store.session);
    fault_set(passage, ENOMEM, lasting);
    assert_int_equal(aero_close(store.db, &store.error), AERO_OK);
    fault.armed = false;
    const bool met = fault.failed != 0;
    assert_int_equal(descriptors(), before);
    store_private();
    assert_int_equal(flight_get(store.session, "f0000002"), 2);
    const int64_t late = flight_get(store.session, name);
    assert_true(late == passage || (met && late == FLIGHT_NONE));
    store_detach(&store);
    return met;
}

/* Goal: closing lets go of everything whatever fails, and touches nothing afterwards; only what an
 * asynchronous commit had not written yet may be missing then. */
static void test_calls_fail_while_a_database_is_closed(void **state)
{
    (void)state;
    for (int lasting = 0; lasting < 2; lasting++) {
        uint32_t passage = 1;
        while (closes(passage, lasting))
            passage++;
        assert_true(passage > 3);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_calls_fail_while_a_watch_reads_the_log, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_calls_fail_while_files_are_looked_at, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_calls_fail_while_rows_are_written_out, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_calls_fail_while_files_are_repaired, store_make,
                                    store_drop),
    cmocka_unit_test_setup_teardown(test_calls_fail_while_a_database_is_closed, store_make,
                                    store_drop),
};

AE_TEST_MAIN(tests)
