/* Pruning beside readers, writers, other pruners and the horizon: what an old snapshot sees stays
 * where it is (V3), a walk along a row does not lose its way (V1, V2), and what somebody stands on
 * is not used again (V4).
 *
 * The horizon lags when it is two commits behind here, and is looked at when a body says so.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"
#include "txn/prune.h"
#include "watch/watch.h"

static const char *const keys[] = {"x", "y"};

static ae_a64 *observer_pin(void)
{
    return &world.db->proc.shared->members[world.observer->member].pin;
}

/* Written by its session; nothing is freed. */
static void put_quietly(uint32_t thread, const char *key, int64_t altitude)
{
    world.sessions[thread]->reclaim_debt = 0;
    must(thread, flight_put(world.sessions[thread], key, altitude));
}

/* Written, and what is needed is looked at anew. */
static void put(uint32_t thread, const char *key, int64_t altitude)
{
    world.sessions[thread]->reclaim_debt = 1000;
    must(thread, flight_put(world.sessions[thread], key, altitude));
}

static void hold_from_here(aero_session *session)
{
    if (aero_begin(session, AERO_ISOLATION_READ_ONLY) != AERO_OK ||
        look(session, "x") == FLIGHT_NONE)
        explore_fail("the snapshot cannot be taken");
}

/* The observer's snapshot shows 10; 11, 12 and 13 are seen by nobody, and 14 is the newest.  Who
 * replaced them has them in its limbo: the first session 10 and 12, the second 11 and 13. */
static void x_was_written_four_times(void)
{
    flights_open();
    put_quietly(0, "x", 10);
    hold_from_here(world.observer);
    put_quietly(0, "x", 11);
    put_quietly(1, "x", 12);
    put_quietly(0, "x", 13);
    put_quietly(1, "x", 14);
}

/* What the holder sees is what it saw; then it lets go, and all is as it should be. */
static void end_held(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.sessions[2]->member);
    ae_store64_release(observer_pin(), 0);
    explore_assert(look(world.observer, "x") == 10);
    explore_assert(scan(world.observer, "x", &altitude) == 1 && altitude == 10);
    explore_assert(aero_commit(world.observer) == AERO_OK);
    explore_assert(look(world.observer, "x") >= 14);
    explore_assert(scan(world.observer, "x", &altitude) == 1 && altitude >= 14);
    for (uint32_t lock = 0; lock < AE_PRUNE_LOCKS; lock++)
        explore_assert(ae_load32(&world.db->proc.shared->prune_locks[lock]) == 0);
    world_check(keys, 2);
}

static void body_prune(uint32_t thread)
{
    put(thread, thread == 0 ? "own0" : "own1", 20);
}

static void body_prune_and_write(uint32_t thread)
{
    put(thread, "own0", 20);
    put(thread, "x", 20 + thread);
    put(thread, "x", 30 + thread);
}

/* The old snapshot, beside those who prune. */
static void body_look_back(uint32_t thread)
{
    (void)thread;
    for (uint32_t turn = 0; turn < 2; turn++)
        explore_assert(look(world.observer, "x") == 10);
}

/* A new one. */
static void body_look(uint32_t thread)
{
    int64_t scanned = 0;
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    const int64_t seen = look(session, "x");
    explore_assert(seen >= 14);
    explore_assert(scan(session, "x", &scanned) == 1 && scanned == seen);
    explore_assert(look(session, "x") == seen);
    must(thread, aero_commit(session));
}

/* Goal: V1 to V3: an old reader finds its version whoever takes out those in front of it.  Method:
 * one prunes and uses the memory again for the same row, one walks. */
static void test_an_old_reader_walks_while_others_prune(void **state)
{
    (void)state;
    x_was_written_four_times();
    flights_search(&(explore_model){.name = "prune: an old reader",
                                    .threads = 2,
                                    .body = {body_prune_and_write, body_look_back},
                                    .end = end_held,
                                    .interruptions = 2});
}

static void test_a_new_reader_walks_while_others_prune(void **state)
{
    (void)state;
    x_was_written_four_times();
    flights_search(&(explore_model){.name = "prune: a new reader",
                                    .threads = 2,
                                    .body = {body_prune_and_write, body_look},
                                    .end = end_held,
                                    .interruptions = 2});
}

/* Goal: two who prune one row leave it whole.  Method: each has every second version. */
static void test_two_prune_a_row(void **state)
{
    (void)state;
    x_was_written_four_times();
    flights_search(&(explore_model){.name = "prune: two",
                                    .threads = 2,
                                    .body = {body_prune, body_prune},
                                    .end = end_held,
                                    .interruptions = 2});
}

/* Goal: a death anywhere leaves nothing that is lost or locked. */
static void test_pruning_and_dying(void **state)
{
    (void)state;
    x_was_written_four_times();
    flights_search(&(explore_model){.name = "prune: death",
                                    .threads = 2,
                                    .body = {body_prune, body_prune},
                                    .end = end_held,
                                    .interruptions = 1,
                                    .deaths = 1});
}

/* ---- beside the horizon --------------------------------------------------------------------- */

static int64_t newest; /* of x */

static void begin_with_14(void)
{
    newest = 14;
}

/* Two snapshots show 10 and 13.  The first session has 10 and 11 in its limbo, the second 12, and
 * `last` 13. */
static void two_hold(uint32_t last)
{
    flights_open();
    put_quietly(0, "x", 10);
    hold_from_here(world.observer);
    put_quietly(0, "x", 11);
    put_quietly(0, "x", 12);
    put_quietly(1, "x", 13);
    (void)ae_snapshot_publish(&world.db->proc, observer_pin());
    put_quietly(last, "x", 14);
}

static void body_let_one_go_and_prune(uint32_t thread)
{
    ae_store64_release(observer_pin(), 0);
    put(thread, "own1", 20);
}

/* Goal: V1: whoever relinks a row does it alone.  Method: one takes 12 out from behind 13, which
 * the other, who knows that it is not needed any more, takes out at the same time. */
static void test_two_prune_and_know_different_things(void **state)
{
    (void)state;
    two_hold(1);
    flights_search(&(explore_model){.name = "prune: two who know different things",
                                    .threads = 2,
                                    .body = {body_prune, body_let_one_go_and_prune},
                                    .end = end_held,
                                    .interruptions = 2});
}

/* Not beside somebody who is writing it and has not ended. */
static void put_if_free(uint32_t thread, const char *key, int64_t altitude)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    session->reclaim_debt = 1000;
    if (try_(thread, flight_put(session, key, altitude)) && try_(thread, aero_commit(session)))
        newest = altitude;
    else if (session->txn.open)
        must(thread, aero_rollback(session));
}

static void body_let_go_and_write(uint32_t thread)
{
    if (aero_commit(world.observer) != AERO_OK)
        explore_fail("the snapshot cannot be left");
    ae_store64_release(observer_pin(), 0);
    for (int64_t altitude = 20; altitude <= 30; altitude += 10)
        put_if_free(thread, "x", altitude);
}

/* What it wrote is undone at the end. */
static void body_write_at_last(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    put(thread, "own2", 20);
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    (void)try_(thread, flight_put(session, "x", 40));
}

static void end_written(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    explore_assert(aero_rollback(world.sessions[2]) == AERO_OK);
    explore_assert(look(world.observer, "x") == newest);
    explore_assert(scan(world.observer, "x", &altitude) == 1 && altitude == newest);
    world_check(keys, 2);
}

/* Goal: V4.  Method: one stands on 13, about to take out 12; the snapshots go, and the others free
 * both behind the horizon, use them again for the same row, in the same order, and undo that. */
static void test_what_a_pruner_stands_on_is_not_reused(void **state)
{
    (void)state;
    two_hold(2);
    flights_search(&(explore_model){.name = "prune: beside the horizon",
                                    .threads = 3,
                                    .body = {body_prune, body_let_go_and_write, body_write_at_last},
                                    .begin = begin_with_14,
                                    .end = end_written,
                                    .interruptions = 1,
                                    .steady = 6});
}

/* ---- a row that came and went --------------------------------------------------------------- */

/* y came and went behind the observer's snapshot; the first session has both of its versions. */
static void y_came_and_went(void)
{
    flights_open();
    put_quietly(0, "x", 10);
    hold_from_here(world.observer);
    put_quietly(1, "x", 14);
    put_quietly(0, "y", 50);
    put_quietly(0, "y", 60);
    world.sessions[0]->reclaim_debt = 0;
    must(0, flight_delete(world.sessions[0], "y"));
}

static void body_revive(uint32_t thread)
{
    must(thread, flight_insert(world.sessions[thread], "y", 70));
}

static void body_revive_and_undo(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    (void)try_(thread, flight_insert(session, "y", 77));
    must(thread, aero_rollback(session));
}

static void end_revived(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.sessions[2]->member);
    explore_assert(look(world.observer, "y") == FLIGHT_NONE);
    explore_assert(scan(world.observer, "y", &altitude) == 0);
    explore_assert(aero_commit(world.observer) == AERO_OK);
    const int64_t found = look(world.observer, "y");
    explore_assert(found == FLIGHT_NONE || found == 70);
    explore_assert(scan(world.observer, "y", &altitude) == (found == 70));
    world_check(keys, 2);
}

/* Goal: a deleted row that no snapshot sees goes once, revived or not.  Method: one prunes it, one
 * inserts its key anew, for good or not. */
static void test_a_row_is_revived_while_it_is_pruned(void **state)
{
    (void)state;
    y_came_and_went();
    flights_search(&(explore_model){.name = "prune: revival",
                                    .threads = 2,
                                    .body = {body_prune, body_revive},
                                    .end = end_revived,
                                    .interruptions = 2});
}

static void test_a_revival_is_undone_while_the_row_is_pruned(void **state)
{
    (void)state;
    y_came_and_went();
    flights_search(&(explore_model){.name = "prune: revival undone",
                                    .threads = 2,
                                    .body = {body_prune, body_revive_and_undo},
                                    .end = end_revived,
                                    .interruptions = 2});
}

static void test_dying_at_a_row_that_went(void **state)
{
    (void)state;
    y_came_and_went();
    flights_search(&(explore_model){.name = "prune: death at a dead row",
                                    .threads = 2,
                                    .body = {body_prune, body_revive},
                                    .end = end_revived,
                                    .interruptions = 1,
                                    .deaths = 1});
}

/* ---- beside a watch ------------------------------------------------------------------------- */

static int64_t altitude_of(const void *row)
{
    aero_value value;
    world.db->schema->tables[FLIGHTS].columns[FLIGHT_ALTITUDE].get(row, NULL, &value);
    return value.u.integer;
}

/* Begins with a snapshot, and goes on from there: each change follows from the one before. */
static void body_watch(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event = {.kind = AERO_EVENT_SNAPSHOT};
    int64_t last = FLIGHT_NONE;
    const aero_value key = v_text("x");
    must(thread, aero_query_new(session, FLIGHTS, &query));
    must(thread, aero_query_clause(query, AERO_OP_EQ, FLIGHT_ID, 1, &key));
    must(thread, aero_watch_open(query, AERO_WATCH_SNAPSHOT, 0, &watch));
    for (uint32_t live = 0; event.kind != AERO_EVENT_NONE; live += event.kind == AERO_EVENT_LIVE) {
        must(thread, aero_watch_next(watch, &event));
        explore_assert(event.kind != AERO_EVENT_OVERFLOW);
        if (event.old_row != NULL)
            explore_assert(live == 1 && altitude_of(event.old_row) == last);
        if (event.new_row != NULL)
            last = altitude_of(event.new_row);
    }
    explore_assert(last != FLIGHT_NONE);
    aero_watch_close(watch);
    aero_query_free(query);
}

static void body_write_and_prune(uint32_t thread)
{
    put_quietly(thread, "x", 20);
    put_quietly(thread, "x", 30);
    put(thread, "x", 40);
    put(thread, "x", 50);
}

/* Goal: a watch that begins with a snapshot is told all that came after it.  Method: it is opened
 * beside one who writes the row that it shows, and prunes what it replaced. */
static void test_a_watch_is_opened_while_others_prune(void **state)
{
    (void)state;
    x_was_written_four_times();
    flights_search(&(explore_model){.name = "prune: a watch",
                                    .threads = 2,
                                    .body = {body_watch, body_write_and_prune},
                                    .end = end_held,
                                    .interruptions = 1});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_old_reader_walks_while_others_prune),
    cmocka_unit_test(test_a_new_reader_walks_while_others_prune),
    cmocka_unit_test(test_two_prune_a_row),
    cmocka_unit_test(test_pruning_and_dying),
    cmocka_unit_test(test_two_prune_and_know_different_things),
    cmocka_unit_test(test_what_a_pruner_stands_on_is_not_reused),
    cmocka_unit_test(test_a_row_is_revived_while_it_is_pruned),
    cmocka_unit_test(test_a_revival_is_undone_while_the_row_is_pruned),
    cmocka_unit_test(test_dying_at_a_row_that_went),
    cmocka_unit_test(test_a_watch_is_opened_while_others_prune),
};

AE_TEST_MAIN(tests)
