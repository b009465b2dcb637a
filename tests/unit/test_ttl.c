/* Time to live: marks of time, eras of the wall clock, what a sweep deletes and what it leaves.
 *
 * Time is told to the marks, not waited for.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>

#include "base/os.h"
#include "flights.h"
#include "row/version.h"
#include "table/table.h"
#include "ttl/ttl.h"

#define SECOND 1000000ll
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

static uint64_t clock_of(const aero_db *db)
{
    return ae_load64_acquire(&db->proc.shared->clock);
}

static uint64_t sweep(aero_session *session)
{
    uint64_t expired = 0;
    assert_ok(session, aero_ttl_sweep(session, FLIGHTS, &expired));
    return expired;
}

/* Nothing is swept but by the test. */
static void store_quiet(test_store *store)
{
    store_open(store, 16 << 20);
    assert_ok(store->session,
              aero_config_set(store->session, "aerostore.ttl_sweep_interval_ms", "0"));
}

/* A row whose timestamp is so many microseconds after the wall clock. */
static void flight_at(aero_session *session, const char *key, int64_t after_us)
{
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE, FLIGHT_UPDATED};
    char text[40];
    int32_t inserted = 0;
    const int64_t at = ae_os_wall_us() + after_us;
    snprintf(text, sizeof text, "%lld.%06lld", (long long)(at / SECOND), (long long)(at % SECOND));
    const aero_value values[] = {v_text(key), v_real(1), v_real(2), v_int(3), v_text(text)};
    assert_ok(session, aero_upsert(session, FLIGHTS, 5, columns, values, &inserted));
}

/* Goal: E1, and that a time is known to 1/64 of its age.  Method: a mark a second for three weeks
 * of told time, then questions of all ages. */
static void test_marks_know_times_to_a_part_of_their_age(void **state)
{
    const int64_t end = 21 * DAY;
    test_store store;
    (void)state;
    store_quiet(&store);
    /* Number n had been given at second n. */
    for (int64_t now = SECOND; now <= end; now += SECOND)
        ae_age_note(store.db, (uint64_t)(now / SECOND), now);
    for (int64_t age = SECOND; age < end - DAY; age += age / 7 + SECOND) {
        const uint64_t number = ae_age_number(store.db, end - age);
        const int64_t late = (end - age) - (int64_t)number * SECOND;
        assert_true(late >= 0); /* keeps E1: never younger than asked */
        assert_true(late <= age / 64 + 2 * SECOND);
    }
    assert_int_equal(ae_age_number(store.db, 0), 0);
    assert_int_equal(ae_age_number(store.db, -5), 0);
    store_close(&store);
}

/* Goal: rows expire by the time of their last write, and what was written since stays.
 * Method: told marks; an update and a rollback in between. */
static void test_rows_expire_by_their_last_write(void **state)
{
    test_store store;
    int64_t ttl_us = -1;
    int32_t column = 0;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    const int64_t now = ae_age_now(store.db);
    assert_ok(session, flight_insert(session, "old", 1));
    assert_ok(session, flight_insert(session, "touched", 1));
    ae_age_note(store.db, clock_of(store.db), now - HOUR);
    assert_ok(session, flight_insert(session, "young", 1));
    assert_ok(session, flight_put(session, "touched", 2));
    assert_int_equal(sweep(session), 0); /* no time to live */
    assert_ok(session, aero_ttl_set(session, FLIGHTS, HOUR + 10 * SECOND, -1));
    assert_int_equal(sweep(session), 0); /* never early */
    assert_ok(session, aero_ttl_set(session, FLIGHTS, HOUR - 10 * SECOND, -1));
    assert_ok(session, aero_ttl_get(session, FLIGHTS, &ttl_us, &column));
    assert_int_equal(ttl_us, HOUR - 10 * SECOND);
    assert_int_equal(column, -1);
    assert_int_equal(sweep(session), 1);
    assert_int_equal(flight_get(session, "old"), FLIGHT_NONE);
    assert_int_equal(flight_get(session, "touched"), 2);
    assert_int_equal(flight_get(session, "young"), 1);
    assert_int_equal(sweep(session), 0);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* Goal: a jump of the wall clock neither makes rows vanish nor keeps them for ever.  Method: eras
 * told: rows written before, between and after the clock jumped ten days back. */
static void test_the_wall_clock_may_jump(void **state)
{
    test_store store;
    (void)state;
    store_quiet(&store);
    aero_db *db = store.db;
    ae_age_note_wall(db, 10, 0);
    ae_age_note_wall(db, 20, 5000); /* a drift that is none */
    ae_age_note_wall(db, 30, -10 * DAY);
    ae_age_note_wall(db, 40, -10 * DAY);
    assert_int_equal(ae_age_steady(db, 15, HOUR), HOUR);
    assert_int_equal(ae_age_steady(db, 20, HOUR), HOUR);
    assert_int_equal(ae_age_steady(db, 35, HOUR), HOUR + 10 * DAY);
    /* Written before or after the jump, nobody knows: the later time. */
    assert_int_equal(ae_age_steady(db, 25, HOUR), HOUR + 10 * DAY);
    ae_age_note_wall(db, 50, 3650 * DAY);
    assert_int_equal(ae_age_steady(db, 45, 3650 * DAY), 3660 * DAY);
    assert_int_equal(ae_age_steady(db, 60, 3651 * DAY), DAY);
    assert_int_equal(ae_age_steady(db, 15, HOUR), HOUR); /* unmoved by all of it */
    assert_int_equal(ae_age_steady(db, 60, INT64_MIN), INT64_MIN);
    store_close(&store);
}

/* Goal: an era that another writer is at, one that was held up for a lap, is not believed.  Method:
 * that one's offset, or its number, beside the rest of the era's; then there is a new one. */
static void test_an_era_of_two_writers_is_missing(void **state)
{
    test_store store;
    (void)state;
    for (int word = 0; word < 2; word++) {
        store_quiet(&store);
        aero_db *db = store.db;
        ae_age_note_wall(db, 10, 0);
        ae_age_note_wall(db, 30, -10 * DAY);
        assert_int_equal(ae_age_steady(db, 35, HOUR), HOUR + 10 * DAY);
        ae_age_era *era = &db->age->eras[1];
        if (word == 0)
            ae_store64(&era->offset, (uint64_t)(3650 * DAY));
        else
            ae_store64(&era->first, 3);
        assert_int_equal(ae_age_steady(db, 35, HOUR), HOUR); /* by the one before */
        ae_age_note_wall(db, 40, -10 * DAY);
        assert_int_equal(ae_age_steady(db, 35, HOUR), HOUR + 10 * DAY);
        store_close(&store);
    }
}

/* Goal: a Timestamp column counts, NULL of none; wrong columns and times are refused.  Method:
 * timestamps around now. */
static void test_rows_expire_by_a_column(void **state)
{
    test_store store;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    flight_at(session, "past", -2 * HOUR);
    flight_at(session, "now", 0);
    flight_at(session, "future", 2 * HOUR);
    assert_status(session, AERO_TYPE, aero_ttl_set(session, FLIGHTS, HOUR, FLIGHT_ALTITUDE));
    assert_status(session, AERO_NAME, aero_ttl_set(session, FLIGHTS, HOUR, 99));
    assert_status(session, AERO_TYPE, aero_ttl_set(session, FLIGHTS, 1, FLIGHT_UPDATED));
    assert_status(session, AERO_TYPE, aero_ttl_set(session, FLIGHTS, -HOUR, FLIGHT_UPDATED));
    assert_status(session, AERO_NAME, aero_ttl_set(session, 99, HOUR, -1));
    assert_ok(session, aero_ttl_set(session, FLIGHTS, HOUR, FLIGHT_UPDATED));
    assert_int_equal(sweep(session), 1);
    assert_int_equal(flight_get(session, "past"), FLIGHT_NONE);
    assert_int_equal(flight_get(session, "now"), 3);
    assert_int_equal(flight_get(session, "future"), 3);
    assert_ok(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    uint64_t expired = 0;
    assert_status(session, AERO_USAGE, aero_ttl_sweep(session, -1, &expired));
    assert_ok(session, aero_rollback(session));
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* Goal: not early by a twentieth of a second, neither by marks nor by a column.  Method: a time to
 * live that ends that much after now; an attempt counts when the sweep was over before. */
static void test_never_early_by_little(void **state)
{
    test_store store;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    for (int by_column = 0; by_column < 2; by_column++) {
        int64_t margin = SECOND / 20;
        bool counted = false;
        for (int attempt = 0; attempt < 6 && !counted; attempt++, margin *= 2) {
            const int64_t now = ae_age_now(store.db);
            const int64_t written = now - HOUR - attempt;
            flight_at(session, "a", -HOUR);
            if (!by_column)
                ae_age_note(store.db, clock_of(store.db), written);
            const int64_t ttl = ae_age_now(store.db) - (now - HOUR) + margin;
            assert_ok(session,
                      aero_ttl_set(session, FLIGHTS, ttl, by_column ? FLIGHT_UPDATED : -1));
            const uint64_t swept = sweep(session);
            counted = ae_age_now(store.db) < written + ttl;
            if (counted)
                assert_int_equal(swept, 0);
        }
        assert_true(counted);
    }
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* Goal: a sweep judges a Timestamp by the wall clock of its writer.  Method: told eras; timestamps
 * of a clock that was ten days behind, and one of after it was set right. */
static void test_a_sweep_minds_the_eras(void **state)
{
    test_store store;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    ae_age_note_wall(store.db, clock_of(store.db), -10 * DAY);
    flight_at(session, "behind, young", -10 * DAY);
    flight_at(session, "behind, old", -10 * DAY - 2 * HOUR);
    ae_age_note_wall(store.db, clock_of(store.db), -10 * DAY);
    ae_age_note_wall(store.db, clock_of(store.db), 0);
    flight_at(session, "right, young", 0);
    flight_at(session, "right, old", -2 * HOUR);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, HOUR, FLIGHT_UPDATED));
    assert_int_equal(sweep(session), 2);
    assert_int_equal(flight_get(session, "behind, young"), 3);
    assert_int_equal(flight_get(session, "right, young"), 3);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* The newest version of the only row, as a sweep notes it. */
static ae_expiring only_row(aero_session *session)
{
    ae_reader reader;
    ae_scan scan;
    ae_view view;
    assert_ok(session, ae_reader_open(session, false, &reader));
    ae_scan_start(&scan, &reader, FLIGHTS);
    assert_int_equal(ae_scan_next(&scan, &view, 1), 1);
    const ae_version *version = (const ae_version *)(const void *)((const char *)view.row -
                                                                   offsetof(ae_version, row));
    const ae_expiring seen = {
        .anchor = ae_load32(&version->anchor),
        .version = (ae_ref)((size_t)((const char *)version - session->db->segment.base) >> 4),
        .begin = ae_load64_acquire(&version->begin)};
    ae_reader_close(&reader);
    return seen;
}

/* Goal: what was written after it was found due is not deleted.  Method: a row is noted, then
 * updated, deleted and inserted anew; the note is acted on each time. */
static void test_what_was_written_since_lives_on(void **state)
{
    test_store store;
    uint32_t deleted = 9;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    assert_ok(session, flight_insert(session, "a", 1));
    ae_expiring seen = only_row(session);
    assert_ok(session, flight_put(session, "a", 2));
    assert_ok(session, ae_table_expire(session, FLIGHTS, &seen, 1, &deleted));
    assert_int_equal(deleted, 0);
    assert_int_equal(flight_get(session, "a"), 2);
    seen = only_row(session);
    assert_ok(session, flight_delete(session, "a"));
    assert_ok(session, flight_insert(session, "a", 3));
    assert_ok(session, ae_table_expire(session, FLIGHTS, &seen, 1, &deleted));
    assert_int_equal(deleted, 0);
    assert_int_equal(flight_get(session, "a"), 3);
    seen = only_row(session);
    seen.begin--; /* memory that another commit has filled since */
    assert_ok(session, ae_table_expire(session, FLIGHTS, &seen, 1, &deleted));
    assert_int_equal(deleted, 0);
    seen.begin++;
    assert_ok(session, ae_table_expire(session, FLIGHTS, &seen, 1, &deleted));
    assert_int_equal(deleted, 1);
    assert_int_equal(flight_get(session, "a"), FLIGHT_NONE);
    store_close(&store);
}

/* Goal: what others hold is left alone, old snapshots go on seeing what has expired, and a watch is
 * told `expire`, also of a single row.  Method: a row written, one locked, one free. */
static void test_rows_in_hands_are_left(void **state)
{
    test_store store;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event;
    int32_t found = 0;
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    aero_session *other = session_new(&store);
    const aero_value locked = v_text("locked");
    assert_ok(session, flight_insert(session, "free", 1));
    assert_ok(session, flight_insert(session, "locked", 1));
    assert_ok(session, flight_insert(session, "written", 1));
    ae_age_note(store.db, clock_of(store.db), ae_age_now(store.db) - HOUR);
    assert_ok(session, aero_query_new(session, FLIGHTS, &query));
    assert_ok(session, aero_watch_open(query, AERO_WATCH_NOW, 0, &watch));
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_ok(other, aero_lock_row(other, FLIGHTS, &locked, &found));
    assert_ok(other, flight_put(other, "written", 2));
    assert_ok(session, aero_ttl_set(session, FLIGHTS, SECOND, -1));
    assert_int_equal(sweep(session), 1);
    assert_ok(session, aero_watch_next(watch, &event));
    assert_int_equal(event.kind, AERO_EVENT_EXPIRE);
    assert_int_equal(flight_get(session, "free"), FLIGHT_NONE);
    assert_int_equal(flight_get(other, "free"), 1);
    assert_int_equal(flight_get(session, "locked"), 1);
    assert_ok(other, aero_rollback(other));
    assert_int_equal(sweep(session), 2);
    for (int turn = 0; turn < 2; turn++) {
        assert_ok(session, aero_watch_next(watch, &event));
        assert_int_equal(event.kind, AERO_EVENT_EXPIRE);
    }
    assert_ok(session, aero_watch_next(watch, &event));
    assert_int_equal(event.kind, AERO_EVENT_NONE);
    aero_watch_close(watch);
    aero_query_free(query);
    aero_session_close(other);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* ---- several at once ------------------------------------------------------------------------ */

enum { ROWS = 3000, WORKERS = 3 };

typedef struct worker {
    test_store *store;
    uint64_t swept;
    bool writes;
} worker;

static void *worker_run(void *context)
{
    worker *of = context;
    aero_session *session = NULL;
    aero_error error;
    char name[32];
    if (aero_session_open(of->store->db, &session, &error) != AERO_OK)
        return NULL;
    if (of->writes) {
        for (uint64_t key = 0; key < ROWS; key += 3)
            if (flight_put(session, flight_name(name, key), 7) != AERO_OK)
                of->swept++;
    } else if (aero_ttl_sweep(session, FLIGHTS, &of->swept) != AERO_OK) {
        of->swept = ROWS * 10;
    }
    aero_session_close(session);
    return NULL;
}

/* Goal: sweepers at once delete each row once, and none that was written meanwhile.  Method: two
 * sweep, one writes every third row; the rest must be gone. */
static void test_sweepers_share_the_rows(void **state)
{
    test_store store;
    pthread_t threads[WORKERS];
    worker workers[WORKERS];
    char name[32];
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    for (uint64_t key = 0; key < ROWS; key++)
        assert_ok(session, flight_insert(session, flight_name(name, key), 1));
    const int64_t now = ae_age_now(store.db);
    ae_age_note(store.db, clock_of(store.db), now - HOUR);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, HOUR / 2, -1));
    for (int each = 0; each < WORKERS; each++) {
        workers[each] = (worker){.store = &store, .writes = each == 0};
        assert_int_equal(pthread_create(&threads[each], NULL, worker_run, &workers[each]), 0);
    }
    for (int each = 0; each < WORKERS; each++)
        assert_int_equal(pthread_join(threads[each], NULL), 0);
    assert_int_equal(workers[0].swept, 0);
    const uint64_t swept = workers[1].swept + workers[2].swept;
    uint64_t left = 0;
    for (uint64_t key = 0; key < ROWS; key++) {
        const int64_t altitude = flight_get(session, flight_name(name, key));
        assert_int_equal(altitude, key % 3 == 0 ? 7 : FLIGHT_NONE);
        left += altitude == 7;
    }
    assert_int_equal(left, ROWS / 3);
    assert_in_range(swept, ROWS - ROWS / 3, ROWS);
    assert_ok(session, aero_ttl_set(session, FLIGHTS, 0, -1));
    store_close(&store);
}

/* Goal: a round goes on where the last step stood, whoever makes the next.  Method: steps by two
 * sessions in turn until the round is over; the keeper may make some too, and be in their way. */
static void test_a_round_is_anybodys(void **state)
{
    test_store store;
    uint64_t rows = 0;
    char name[32];
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    aero_session *other = session_new(&store);
    for (uint64_t key = 0; key < ROWS; key++)
        assert_ok(session, flight_insert(session, flight_name(name, key), 1));
    ae_age_note(store.db, clock_of(store.db), ae_age_now(store.db) - HOUR);
    ae_ttl_set(store.db, FLIGHTS, (ae_ttl){SECOND, -1});
    assert_false(ae_ttl_step(session)); /* the interval is 0: none by itself */
    assert_ok(session, aero_config_set(session, "aerostore.ttl_sweep_interval_ms", "3600000"));
    while (ae_load64_acquire(&store.db->age->rounds) == 0) {
        (void)ae_ttl_step(session);
        (void)ae_ttl_step(other);
    }
    assert_ok(session, aero_count(session, FLIGHTS, &rows));
    assert_int_equal(rows, 0);
    assert_int_equal(ae_load64(&store.db->age->expired), ROWS);
    assert_int_equal(ae_load64(&store.db->age->rounds), 1);
    assert_false(ae_ttl_step(session)); /* the next one is due in an hour */
    aero_session_close(other);
    ae_ttl_set(store.db, FLIGHTS, (ae_ttl){0, -1});
    store_close(&store);
}

/* Goal: a step begins at the place that is kept, and keeps where it got to.  Method: a place in the
 * middle is told: what lies before it is left, and the round is over after few steps. */
static void test_a_step_begins_at_the_place(void **state)
{
    test_store store;
    uint64_t rows = 0;
    char name[32];
    (void)state;
    store_quiet(&store);
    aero_session *session = store.session;
    for (uint64_t key = 0; key < ROWS; key++)
        assert_ok(session, flight_insert(session, flight_name(name, key), 1));
    ae_age_note(store.db, clock_of(store.db), ae_age_now(store.db) - HOUR);
    ae_ttl_set(store.db, FLIGHTS, (ae_ttl){SECOND, -1});
    ae_store64_release(&store.db->age->place, (uint64_t)FLIGHTS << 56 | 1);
    /* A step takes at least one batch of 256 along. */
    for (uint64_t before = 1; before != AE_AGE_PLACE_IDLE;) {
        (void)ae_ttl_step(session);
        const uint64_t place = ae_load64_acquire(&store.db->age->place);
        assert_true(place > before); /* IDLE is above all */
        before = place;
    }
    assert_ok(session, aero_count(session, FLIGHTS, &rows));
    assert_in_range(rows, 1, 64);
    assert_int_equal(ae_load64(&store.db->age->expired), ROWS - rows);
    ae_ttl_set(store.db, FLIGHTS, (ae_ttl){0, -1});
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_marks_know_times_to_a_part_of_their_age),
    cmocka_unit_test(test_rows_expire_by_their_last_write),
    cmocka_unit_test(test_the_wall_clock_may_jump),
    cmocka_unit_test(test_rows_expire_by_a_column),
    cmocka_unit_test(test_never_early_by_little),
    cmocka_unit_test(test_an_era_of_two_writers_is_missing),
    cmocka_unit_test(test_a_sweep_minds_the_eras),
    cmocka_unit_test(test_what_was_written_since_lives_on),
    cmocka_unit_test(test_rows_in_hands_are_left),
    cmocka_unit_test(test_sweepers_share_the_rows),
    cmocka_unit_test(test_a_round_is_anybodys),
    cmocka_unit_test(test_a_step_begins_at_the_place),
};

AE_TEST_MAIN(tests)
