/* Reclaiming beside readers, revivals and undoing: nothing that somebody sees is reused (P3), and a
 * row that is gone leaves its key exactly once.
 *
 * The horizon is computed and the limbo emptied at each commit here.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

static struct {
    bool won[EXPLORE_THREADS];
} run;

static const char *const keys[] = {"x", "y"};

static void begin(void)
{
    memset(&run, 0, sizeof run);
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        world.sessions[thread]->reclaim_debt = 1000; /* the next commit looks at the horizon */
}

static void end_checked(void)
{
    world_check(keys, 2);
}

/* Free what the horizon allows in all idle slots, again and again. */
static void body_reclaim(uint32_t thread)
{
    for (uint64_t turn = 0; turn < AE_SLOTS; turn++)
        ae_reclaim_idle(world.sessions[thread], turn);
}

/* Replace x twice and insert y: what x was is reused for y as soon as it may be. */
static void body_replace(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, flight_put(session, "x", 20));
    session->reclaim_debt = 1000;
    must(thread, flight_put(session, "x", 30));
    session->reclaim_debt = 1000;
    must(thread, flight_put(session, "y", 40));
}

/* The row that a snapshot shows stays where it is, and what it was, while the snapshot is held. */
static void body_hold(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    ae_reader reader;
    ae_view view;
    char copy[512];
    const aero_table *of = &session->db->schema->tables[FLIGHTS];
    const aero_value key = v_text("x");
    explore_assert(of->row_size <= sizeof copy);
    of->clear(session->key_row);
    of->columns[FLIGHT_ID].set(session->key_row, &key);
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    must(thread, ae_reader_open(session, true, &reader));
    explore_assert(ae_table_find(&reader, FLIGHTS, session->key_row, &view));
    memcpy(copy, view.row, of->row_size);
    const uint32_t rows = EXPLORE_THREADS + 1 + (look(session, "y") != FLIGHT_NONE);
    for (uint32_t times = 0; times < 2; times++) {
        int64_t altitude = 0;
        uint32_t all = 0;
        ae_pause(); /* for as long as the others like */
        explore_assert(memcmp(copy, view.row, of->row_size) == 0);
        explore_assert(scan_all(session, "x", &altitude, &all) == 1);
        explore_assert(all == rows);
    }
    ae_reader_close(&reader);
    must(thread, aero_commit(session));
}

/* Goal: P3.  Method: one holds a row of an old snapshot, another replaces and reuses it. */
static void test_what_a_reader_holds_is_not_reused(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = "reclaim: hold",
                                    .threads = 2,
                                    .body = {body_replace, body_hold},
                                    .begin = begin,
                                    .end = end_checked,
                                    .interruptions = 2});
}

static void body_insert(uint32_t thread)
{
    const aero_status status = flight_insert(world.sessions[thread], "y", 100 + thread);
    if (status != AERO_EXISTS)
        must(thread, status);
    run.won[thread] = status == AERO_OK;
}

static void body_insert_undo(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    const aero_status status = flight_insert(session, "y", 77);
    if (status != AERO_EXISTS)
        (void)try_(thread, status);
    must(thread, aero_rollback(session));
}

static void end_revived(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t found = look(world.observer, "y");
    explore_assert(scan(world.observer, "y", &altitude) == (found != FLIGHT_NONE));
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        if (run.won[thread])
            explore_assert(found == 100 + thread);
    world_check(keys, 2);
}

/* y was inserted and deleted: its dead version waits in the limbo of slot 3. */
static void y_was_deleted(void)
{
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    must(2, flight_put(world.sessions[2], "y", 60));
    must(2, flight_delete(world.sessions[2], "y"));
}

/* Goal: the last version of a deleted row is freed once, whether the row is revived, the revival
 * undone, or neither.  Method: one reclaims, one revives and undoes, one inserts for good. */
static void test_revival_undone_while_reclaiming(void **state)
{
    (void)state;
    y_was_deleted();
    flights_search(&(explore_model){.name = "reclaim: revival undone",
                                    .threads = 2,
                                    .body = {body_reclaim, body_insert_undo},
                                    .begin = begin,
                                    .end = end_revived,
                                    .interruptions = 2});
}

/* Goal: and with store buffers, where only fences make one of the two see the other. */
static void test_revival_undone_with_store_buffers(void **state)
{
    (void)state;
    y_was_deleted();
    flights_search(&(explore_model){.name = "reclaim: revival undone, buffered",
                                    .threads = 2,
                                    .body = {body_reclaim, body_insert_undo},
                                    .begin = begin,
                                    .end = end_revived,
                                    .interruptions = 2,
                                    .buffered = true});
}

static void test_revival_undone_reclaimed_and_inserted(void **state)
{
    (void)state;
    y_was_deleted();
    flights_search(&(explore_model){.name = "reclaim: three at a dead row",
                                    .threads = 3,
                                    .body = {body_reclaim, body_insert_undo, body_insert},
                                    .begin = begin,
                                    .end = end_revived,
                                    .interruptions = 1});
}

/* Goal: the same with a death anywhere. */
static void test_reclaiming_and_dying(void **state)
{
    (void)state;
    y_was_deleted();
    flights_search(&(explore_model){.name = "reclaim: death",
                                    .threads = 2,
                                    .body = {body_reclaim, body_insert_undo},
                                    .begin = begin,
                                    .end = end_revived,
                                    .interruptions = 1,
                                    .deaths = 1});
}

/* Goal: whoever comes to clean up may die of it, too.  Method: the reclaimer dies, and then the one
 * who inserts and meets what it left. */
static void test_two_deaths_while_reclaiming(void **state)
{
    (void)state;
    y_was_deleted();
    flights_search(&(explore_model){.name = "reclaim: two deaths",
                                    .threads = 2,
                                    .body = {body_reclaim, body_insert},
                                    .begin = begin,
                                    .end = end_revived,
                                    .interruptions = 0,
                                    .deaths = 2});
}

/* A change that its transaction takes back: the key it had stays needed. */
static void body_change_undo(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    (void)try_(thread, flight_put(session, "x", 90));
    must(thread, aero_rollback(session));
}

/* x went through some altitudes and came back to the last but one; what it was waits in slot 3's
 * limbo. */
static void x_came_back(uint32_t altitudes)
{
    flights_open();
    for (uint32_t step = 0; step < altitudes; step++)
        must(2, flight_put(world.sessions[2], "x", 10 + step));
    must(2, flight_put(world.sessions[2], "x", 10 + altitudes - 2));
    must(0, flight_put(world.sessions[0], "y", 60));
}

/* Goal: the entry of a key that came back stays, while one frees the version that had it first and
 * another's newest version comes and goes. */
static void test_key_came_back_and_a_change_is_undone(void **state)
{
    (void)state;
    x_came_back(2);
    flights_search(&(explore_model){.name = "reclaim: key came back",
                                    .threads = 2,
                                    .body = {body_reclaim, body_change_undo},
                                    .begin = begin,
                                    .end = end_checked,
                                    .interruptions = 2});
}

/* Goal: and so when many versions of the row are freed in one go. */
static void test_many_versions_of_a_row(void **state)
{
    (void)state;
    x_came_back(9);
    flights_search(&(explore_model){.name = "reclaim: many of a row",
                                    .threads = 2,
                                    .body = {body_change_undo, body_reclaim},
                                    .begin = begin,
                                    .end = end_checked,
                                    .interruptions = 1});
}

/* Goal: also with a death anywhere. */
static void test_many_versions_of_a_row_and_a_death(void **state)
{
    (void)state;
    x_came_back(9);
    flights_search(&(explore_model){.name = "reclaim: many of a row, death",
                                    .threads = 2,
                                    .body = {body_change_undo, body_reclaim},
                                    .begin = begin,
                                    .end = end_checked,
                                    .interruptions = 0,
                                    .deaths = 1});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_key_came_back_and_a_change_is_undone),
    cmocka_unit_test(test_many_versions_of_a_row),
    cmocka_unit_test(test_many_versions_of_a_row_and_a_death),
    cmocka_unit_test(test_what_a_reader_holds_is_not_reused),
    cmocka_unit_test(test_revival_undone_while_reclaiming),
    cmocka_unit_test(test_revival_undone_with_store_buffers),
    cmocka_unit_test(test_revival_undone_reclaimed_and_inserted),
    cmocka_unit_test(test_reclaiming_and_dying),
    cmocka_unit_test(test_two_deaths_while_reclaiming),
};

AE_TEST_MAIN(tests)
