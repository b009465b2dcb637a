/* One row under several hands: updating, undoing, deleting, inserting, and dying at it.
 *
 * First updater wins, nothing is lost, readers see each row once and whole whatever is going on,
 * and what the dead left half-done is gone.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

static struct {
    uint32_t counted; /* acknowledged */
    int64_t seen;     /* by the reader */
    bool won[EXPLORE_THREADS];
} run;

static const char *const keys[] = {"x"};

static void begin(void)
{
    memset(&run, 0, sizeof run);
    run.seen = -2;
}

/* ---- updating ------------------------------------------------------------------------------- */

static void body_count(uint32_t thread)
{
    count_up(thread, "x");
    run.counted++;
}

static void body_look(uint32_t thread)
{
    run.seen = look_thoroughly(thread, "x");
}

static void end_counted(void)
{
    uint32_t dead = 0;
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        dead += explore_died(thread);
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t total = look(world.observer, "x") - 10;
    explore_assert(total >= run.counted && total <= run.counted + dead);
    explore_assert(run.seen == -2 || (run.seen >= 10 && run.seen <= 10 + total));
    world_check(keys, 1);
}

/* Goal: no update is lost.  Method: two add one to a row. */
static void test_two_count(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: two count",
                                    .threads = 2,
                                    .body = {body_count, body_count},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 2});
}

/* Goal: each snapshot shows the row once.  Method: one adds one, one looks by key and by scan. */
static void test_one_counts_one_looks(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: count and look",
                                    .threads = 2,
                                    .body = {body_count, body_look},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 3});
}

/* Goal: the dead are in nobody's way, and what they had acknowledged stays.  Method: two add one to
 * a row, one of them dies anywhere, and so may the one who comes upon it. */
static void test_counting_and_dying(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: count and die",
                                    .threads = 2,
                                    .body = {body_count, body_count},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 0,
                                    .deaths = 2});
}

/* ---- undoing -------------------------------------------------------------------------------- */

static void body_undo(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    if (try_(thread, flight_put(session, "x", 99)))
        explore_assert(look(session, "x") == 99);
    must(thread, aero_rollback(session));
}

/* Goal: what is rolled back was never there, and takes nothing with it.  Method: one writes and
 * rolls back, the others count and look. */
static void test_undoing_beside_a_writer_and_a_reader(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: undo",
                                    .threads = 3,
                                    .body = {body_undo, body_count, body_look},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 2});
}

/* Goal: a death in the middle of undoing.  Method: the one who rolls back dies anywhere. */
static void test_undoing_and_dying(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: undo and die",
                                    .threads = 2,
                                    .body = {body_undo, body_count},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 1,
                                    .deaths = 1});
}

/* Undo one write and make another, of a new row: the second may get the first one's version, with
 * the very same mark, and nothing older. */
static void body_savepoint(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    must(thread, aero_savepoint(session, "s", 1));
    must(thread, flight_put(session, "x", 99));
    ae_pause(); /* whoever has come so far may go on from here */
    must(thread, aero_rollback_to(session, "s", 1));
    must(thread, flight_put(session, "y", 21));
    ae_pause();
    must(thread, aero_commit(session));
}

static void body_look_at_both(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    int64_t altitude = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    explore_assert(look(session, "x") == 10);
    const int64_t y = look(session, "y");
    explore_assert(y == FLIGHT_NONE || y == 21);
    explore_assert(scan(session, "x", &altitude) == 1 && altitude == 10);
    explore_assert(scan(session, "y", &altitude) == (y == 21) && altitude == y);
    must(thread, aero_commit(session));
}

static void end_savepoint(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t y = look(world.observer, "y");
    explore_assert(look(world.observer, "x") == 10);
    explore_assert(y == 21 || (y == FLIGHT_NONE && explore_died(0)));
    world_check((const char *const[]){"x", "y"}, 2);
}

static void savepoint_search(const char *name, uint32_t interruptions, uint32_t deaths)
{
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_savepoint, body_look_at_both},
                                    .begin = begin,
                                    .end = end_savepoint,
                                    .interruptions = interruptions,
                                    .deaths = deaths,
                                    .spared = 2});
}

/* Goal: a version that is reused at once is nobody else's.  Method: one rolls back to a savepoint
 * and writes another row, one looks at both. */
static void test_a_savepoint_beside_a_reader(void **state)
{
    (void)state;
    savepoint_search("rows: savepoint", 3, 0);
}

static void test_a_savepoint_and_dying(void **state)
{
    (void)state;
    savepoint_search("rows: savepoint and die", 1, 1);
}

/* ---- long texts ----------------------------------------------------------------------------- */

/* A row whose text lies in a block of its own: written, written again, undone. */
static aero_status long_put(aero_session *session, int64_t altitude)
{
    char text[80];
    const uint32_t columns[] = {FLIGHT_ID,       FLIGHT_LAT,     FLIGHT_LON,
                                FLIGHT_ALTITUDE, FLIGHT_UPDATED, FLIGHT_DEST};
    snprintf(text, sizeof text, "%060lld", (long long)altitude);
    const aero_value values[] = {
        v_text("x"), v_real((double)altitude), v_real(-(double)altitude), v_int(altitude), v_int(1),
        v_text(text)};
    int32_t inserted = 0;
    return aero_upsert(session, FLIGHTS, 6, columns, values, &inserted);
}

static void body_long(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    session->reclaim_debt = 1000;
    must(thread, long_put(session, 11));
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    must(thread, long_put(session, 12));
    must(thread, aero_rollback(session));
}

static void body_look_long(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    const uint32_t columns[] = {FLIGHT_ALTITUDE, FLIGHT_DEST};
    const aero_value key = v_text("x");
    aero_value values[2];
    char wanted[80];
    int32_t found = 0;
    must(thread, aero_get(session, FLIGHTS, &key, 2, columns, values, &found));
    explore_assert(found && (values[0].u.integer == 10 || values[0].u.integer == 11));
    snprintf(wanted, sizeof wanted, "%060lld", (long long)values[0].u.integer);
    explore_assert(values[1].length == strlen(wanted) &&
                   memcmp(values[1].u.data, wanted, strlen(wanted)) == 0);
}

static void end_long(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t x = look(world.observer, "x");
    explore_assert(x == 11 || (x == 10 && explore_died(0)));
    world_check(keys, 1);
}

static void long_search(const char *name, uint32_t interruptions, uint32_t deaths)
{
    flights_open();
    must(0, long_put(world.sessions[0], 10));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_long, body_look_long},
                                    .begin = begin,
                                    .end = end_long,
                                    .interruptions = interruptions,
                                    .deaths = deaths,
                                    .spared = 2});
}

/* Goal: a text is read whole, however often its block changes hands. */
static void test_long_texts_beside_a_reader(void **state)
{
    (void)state;
    long_search("rows: long texts", 2, 0);
}

/* Goal: no block is lost, or given twice, with the dead. */
static void test_long_texts_and_dying(void **state)
{
    (void)state;
    long_search("rows: long texts and die", 1, 1);
}

/* ---- inserting and deleting ----------------------------------------------------------------- */

static void body_insert(uint32_t thread)
{
    const aero_status status = flight_insert(world.sessions[thread], "y", 100 + thread);
    if (status != AERO_EXISTS)
        must(thread, status);
    run.won[thread] = status == AERO_OK;
}

static void body_look_y(uint32_t thread)
{
    run.seen = look_thoroughly(thread, "y");
}

static void end_inserted(void)
{
    int64_t altitude = 0;
    uint32_t winners = 0;
    uint32_t dead = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t found = look(world.observer, "y");
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++) {
        winners += run.won[thread];
        dead += explore_died(thread);
        if (run.won[thread])
            explore_assert(found == 100 + thread);
    }
    explore_assert(winners <= 1 && winners + dead >= 1);
    explore_assert(scan(world.observer, "y", &altitude) == (found != FLIGHT_NONE));
    explore_assert(run.seen < 0 || run.seen == found);
    world_check((const char *const[]){"x", "y"}, 2);
}

/* Goal: a key is entered once (X4).  Method: two insert it, one looks. */
static void test_two_insert_one_key(void **state)
{
    (void)state;
    flights_open();
    flights_search(&(explore_model){.name = "rows: insert",
                                    .threads = 3,
                                    .body = {body_insert, body_insert, body_look_y},
                                    .begin = begin,
                                    .end = end_inserted,
                                    .interruptions = 2});
}

/* Goal: and also when an inserter dies.  Method: two insert, one dies anywhere. */
static void test_inserting_and_dying(void **state)
{
    (void)state;
    flights_open();
    flights_search(&(explore_model){.name = "rows: insert and die",
                                    .threads = 2,
                                    .body = {body_insert, body_insert},
                                    .begin = begin,
                                    .end = end_inserted,
                                    .interruptions = 1,
                                    .deaths = 1});
}

static void body_delete(uint32_t thread)
{
    const aero_status status = flight_delete(world.sessions[thread], "y");
    if (status != AERO_NOT_FOUND)
        must(thread, status);
    run.won[thread] = status == AERO_OK;
}

/* y is there: one deletes it, one inserts it; whoever inserts succeeds only after the deletion. */
static void end_deleted(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t found = look(world.observer, "y");
    if (!explore_died(0) && !explore_died(1))
        explore_assert(run.won[0] && found == (run.won[1] ? 101 : FLIGHT_NONE));
    explore_assert(found == FLIGHT_NONE || found == 50 || found == 101);
    explore_assert(scan(world.observer, "y", &altitude) == (found != FLIGHT_NONE));
    world_check((const char *const[]){"y"}, 1);
}

/* Goal: a row that goes and comes back is never two.  Method: one deletes, one inserts, one
 * looks. */
static void test_deleting_and_inserting(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "y", 50));
    flights_search(&(explore_model){.name = "rows: delete and insert",
                                    .threads = 3,
                                    .body = {body_delete, body_insert, body_look_y},
                                    .begin = begin,
                                    .end = end_deleted,
                                    .interruptions = 2});
}

/* Goal: nor when one dies. */
static void test_deleting_inserting_and_dying(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "y", 50));
    flights_search(&(explore_model){.name = "rows: delete, insert and die",
                                    .threads = 2,
                                    .body = {body_delete, body_insert},
                                    .begin = begin,
                                    .end = end_deleted,
                                    .interruptions = 1,
                                    .deaths = 1});
}

/* ---- several writes in one transaction ------------------------------------------------------- */

enum { MANY = 14 }; /* more than a slot holds by itself */

static const char *many_key(uint32_t number)
{
    static char keys[EXPLORE_THREADS + 1][8]; /* of each coroutine its own */
    char *key = keys[explore_self()];
    snprintf(key, sizeof keys[0], "m%u", number);
    return key;
}

static void body_many(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    for (uint32_t number = 0; number < MANY; number++)
        must(thread, flight_put(session, many_key(number), 5));
    must(thread, aero_commit(session));
    run.won[thread] = true;
}

/* All of it or nothing is there, in each snapshot. */
static bool many_seen(aero_session *session, uint32_t from)
{
    const int64_t first = look(session, many_key(from));
    explore_assert(first == 4 || first == 5);
    for (uint32_t number = from; number < MANY; number += MANY - 1)
        explore_assert(look(session, many_key(number)) == first);
    return first == 5;
}

static void body_look_at_many(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    (void)many_seen(session, 0);
    must(thread, aero_commit(session));
}

static void end_many(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    const bool there = many_seen(world.observer, 0);
    for (uint32_t number = 0; number < MANY; number++)
        explore_assert(look(world.observer, many_key(number)) == (there ? 5 : 4));
    explore_assert(there || !run.won[0]);
    world_check((const char *const[]){"m0", "m13"}, 2);
}

/* Goal: a transaction whose writes lie in several places is finished or undone whole.  Method: it
 * dies anywhere, beside a reader. */
static void test_many_writes_and_dying(void **state)
{
    (void)state;
    flights_open();
    for (uint32_t number = 0; number < MANY; number++)
        must(0, flight_put(world.sessions[0], many_key(number), 4));
    flights_search(&(explore_model){.name = "rows: many writes and die",
                                    .threads = 2,
                                    .body = {body_many, body_look_at_many},
                                    .begin = begin,
                                    .end = end_many,
                                    .interruptions = 0,
                                    .deaths = 1,
                                    .spared = 2});
}

/* Insert and delete what nobody else is to see, replace a row twice, delete it and think better. */
static void body_to_and_fro(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    const aero_status status = flight_insert(session, "y", 30);
    if (status == AERO_OK)
        must(thread, flight_delete(session, "y"));
    else
        explore_assert(status == AERO_EXISTS || status == AERO_CONFLICT);
    if (status != AERO_CONFLICT) {
        must(thread, flight_put(session, "x", 50));
        must(thread, flight_put(session, "x", 51));
        must(thread, aero_savepoint(session, "s", 1));
        must(thread, flight_delete(session, "x"));
        explore_assert(look(session, "x") == FLIGHT_NONE);
        must(thread, aero_rollback_to(session, "s", 1));
        explore_assert(look(session, "x") == 51);
    }
    if (status == AERO_CONFLICT || !try_(thread, aero_commit(session))) {
        if (session->txn.open)
            must(thread, aero_rollback(session));
        return;
    }
    run.won[thread] = true;
}

static void body_insert_and_look(uint32_t thread)
{
    body_insert(thread);
    run.seen = look_thoroughly(thread, "x");
}

static void end_to_and_fro(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t x = look(world.observer, "x");
    const int64_t y = look(world.observer, "y");
    explore_assert(x == 51 || (x == 10 && !run.won[0]));
    explore_assert(run.seen == -2 || run.seen == 10 || (run.seen == 51 && x == 51));
    explore_assert(!run.won[1] || y == 101);
    explore_assert(run.won[1] || y == FLIGHT_NONE || explore_died(1));
    explore_assert(scan(world.observer, "y", &altitude) == (y != FLIGHT_NONE));
    world_check((const char *const[]){"x", "y"}, 2);
}

static void to_and_fro_search(const char *name, uint32_t interruptions, uint32_t deaths)
{
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_to_and_fro, body_insert_and_look},
                                    .begin = begin,
                                    .end = end_to_and_fro,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: what a transaction does and undoes to its own rows is seen by nobody. */
static void test_to_and_fro(void **state)
{
    (void)state;
    to_and_fro_search("rows: to and fro", 2, 0);
}

static void test_to_and_fro_and_dying(void **state)
{
    (void)state;
    to_and_fro_search("rows: to and fro, and die", 0, 1);
}

static void body_reap(uint32_t thread)
{
    (void)ae_reap_all(world.db, world.sessions[thread]->member);
}

/* Goal: somebody looks while a dead writer is cleaned away.  Method: one counts and dies, one
 * reaps, one looks. */
static void test_looking_while_the_dead_are_reaped(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "rows: reap and look",
                                    .threads = 3,
                                    .body = {body_count, body_reap, body_look},
                                    .begin = begin,
                                    .end = end_counted,
                                    .interruptions = 1,
                                    .deaths = 1,
                                    .spared = 6});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_count),
    cmocka_unit_test(test_one_counts_one_looks),
    cmocka_unit_test(test_counting_and_dying),
    cmocka_unit_test(test_undoing_beside_a_writer_and_a_reader),
    cmocka_unit_test(test_undoing_and_dying),
    cmocka_unit_test(test_a_savepoint_beside_a_reader),
    cmocka_unit_test(test_a_savepoint_and_dying),
    cmocka_unit_test(test_long_texts_beside_a_reader),
    cmocka_unit_test(test_long_texts_and_dying),
    cmocka_unit_test(test_two_insert_one_key),
    cmocka_unit_test(test_inserting_and_dying),
    cmocka_unit_test(test_deleting_and_inserting),
    cmocka_unit_test(test_deleting_inserting_and_dying),
    cmocka_unit_test(test_many_writes_and_dying),
    cmocka_unit_test(test_to_and_fro),
    cmocka_unit_test(test_to_and_fro_and_dying),
    cmocka_unit_test(test_looking_while_the_dead_are_reaped),
};

AE_TEST_MAIN(tests)
