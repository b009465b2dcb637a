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
                                    .interruptions = 3});
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_count),
    cmocka_unit_test(test_one_counts_one_looks),
    cmocka_unit_test(test_counting_and_dying),
    cmocka_unit_test(test_undoing_beside_a_writer_and_a_reader),
    cmocka_unit_test(test_undoing_and_dying),
    cmocka_unit_test(test_two_insert_one_key),
    cmocka_unit_test(test_inserting_and_dying),
    cmocka_unit_test(test_deleting_and_inserting),
    cmocka_unit_test(test_deleting_inserting_and_dying),
};

AE_TEST_MAIN(tests)
