/* Indexes of a table under several hands: unique values that two bring at once, and indexes that
 * go, and come, beside writers and the dead.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

enum { WANTED = 50 }; /* the altitude that is to be there once */

static struct {
    uint32_t won;   /* acknowledged */
    uint32_t ended; /* threads that came to their end */
} run;

static const uint32_t altitude_column[] = {FLIGHT_ALTITUDE}; /* the schema's index */
static const uint32_t lon_column[] = {FLIGHT_LON};           /* as unique as the altitude */
static const char *const keys[] = {"x", "y"};

static void begin(void)
{
    memset(&run, 0, sizeof run);
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        world.sessions[thread]->reclaim_debt = 0;
}

/* A few rows of different altitudes. */
static void rows_open(void)
{
    flights_open();
    for (uint32_t index = 0; index < EXPLORE_THREADS; index++) {
        char key[16];
        snprintf(key, sizeof key, "own%u", index);
        must(index, flight_put(world.sessions[index], key, 1 + index));
    }
    must(0, flight_put(world.sessions[0], "x", 10));
    must(0, flight_put(world.sessions[0], "y", 11));
}

/* ---- unique values -------------------------------------------------------------------------- */

/* A statement that brings the value: it is the first, or there is one. */
static void bring(uint32_t thread, aero_status status)
{
    if (status != AERO_OK && status != AERO_EXISTS)
        explore_fail("thread %u: status %d: %s", thread, status,
                     aero_session_error(world.sessions[thread])->text);
    run.won += status == AERO_OK;
    run.ended++;
}

static void body_insert(uint32_t thread)
{
    bring(thread, flight_insert(world.sessions[thread], thread == 0 ? "a" : "b", WANTED));
}

static void body_update(uint32_t thread)
{
    bring(thread, flight_put(world.sessions[thread], keys[thread % 2], WANTED));
}

/* In a transaction that may meet a conflict, and then is undone. */
static void body_insert_and_wait(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    const aero_status status = flight_insert(session, "c", WANTED);
    if (status == AERO_OK) {
        ae_pause();
        if (try_(thread, aero_commit(session)))
            bring(thread, AERO_OK);
    }
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

static uint32_t wanted_count(void)
{
    static const char *const all[] = {"a", "b", "c", "x", "y"};
    uint32_t count = 0;
    for (uint32_t index = 0; index < sizeof all / sizeof all[0]; index++)
        count += look(world.observer, all[index]) == WANTED;
    return count;
}

static void end_once(void)
{
    uint32_t dead = 0;
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        dead += explore_died(thread);
    (void)ae_reap_all(world.db, world.observer->member);
    const uint32_t count = wanted_count();
    explore_assert(count <= 1 && run.won <= count);
    explore_assert(dead > 0 || run.ended < 2 || run.won == 1);
    uint64_t rows = 0;
    uint64_t blocks = 0;
    if (aero_verify(world.observer, &rows, &blocks) != AERO_OK)
        explore_fail("verify: %s", aero_session_error(world.observer)->text);
    /* What lost has left nothing that is in the way. */
    if (count == 0 && flight_put(world.observer, "z", WANTED) != AERO_OK)
        explore_fail("the value cannot be had: %s", aero_session_error(world.observer)->text);
}

static void search_unique(const char *name, void (*one)(uint32_t), void (*other)(uint32_t),
                          uint32_t interruptions, uint32_t deaths)
{
    rows_open();
    must(0, aero_index_create(world.sessions[0], FLIGHTS, 1, lon_column, 1));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {one, other},
                                    .begin = begin,
                                    .end = end_once,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: of two who insert rows with one value one succeeds, and one does. */
static void test_two_insert_a_unique_value(void **state)
{
    (void)state;
    search_unique("index: two unique inserts", body_insert, body_insert, 2, 0);
}

/* Goal: the same for rows that are there. */
static void test_two_update_to_a_unique_value(void **state)
{
    (void)state;
    search_unique("index: two unique updates", body_update, body_update, 2, 0);
}

/* Goal: the same where one does not commit at once. */
static void test_a_unique_value_that_is_not_committed(void **state)
{
    (void)state;
    search_unique("index: unique, open", body_insert, body_insert_and_wait, 2, 0);
}

/* Goal: who dies with a unique value in hand has it, or leaves it. */
static void test_a_unique_value_and_a_death(void **state)
{
    (void)state;
    search_unique("index: unique, death", body_insert, body_insert, 1, 1);
}

/* ---- coming and going ----------------------------------------------------------------------- */

static void body_drop(uint32_t thread)
{
    must(thread, aero_index_drop(world.sessions[thread], FLIGHTS, 1, altitude_column));
}

static void body_create(uint32_t thread)
{
    must(thread, aero_index_create(world.sessions[thread], FLIGHTS, 1, lon_column, 0));
}

/* Another index may get the place. */
static void body_drop_and_create(uint32_t thread)
{
    body_drop(thread);
    body_create(thread);
}

static void body_delete(uint32_t thread)
{
    world.sessions[thread]->reclaim_debt = 1000;
    must(thread, flight_delete(world.sessions[thread], "y"));
}

static void body_write(uint32_t thread)
{
    world.sessions[thread]->reclaim_debt = 1000;
    must(thread, flight_put(world.sessions[thread], "x", 20));
    world.sessions[thread]->reclaim_debt = 1000;
    must(thread, flight_delete(world.sessions[thread], "y"));
}

/* Places that are neither free nor ready. */
static uint32_t places_waiting(void)
{
    uint32_t waiting = 0;
    for (uint32_t number = 0; number < AE_INDEXES_MAX; number++) {
        const ae_index_place *place = ae_catalog_place(&world.db->catalog, FLIGHTS, number);
        const enum ae_index_phase phase = ae_index_phase_of(ae_load64(&place->state));
        waiting += phase != AE_INDEX_ABSENT && phase != AE_INDEX_READY;
    }
    return waiting;
}

/* All is accounted for, and what was dropped is gone once somebody has looked at the horizon. */
static void end_tidy(void)
{
    world_check(keys, 2);
    for (uint32_t turn = 0; turn < 4; turn++) {
        ae_member_sweep(&world.db->proc, turn); /* as who begins does now and then */
        world.observer->reclaim_debt = 1000;
        explore_assert(flight_put(world.observer, "x", 30 + turn) == AERO_OK);
    }
    explore_assert(places_waiting() == 0);
    world_check(keys, 2);
}

static void search_drop(const char *name, void (*drops)(uint32_t), uint32_t interruptions,
                        uint32_t deaths)
{
    rows_open();
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {drops, body_write},
                                    .begin = begin,
                                    .end = end_tidy,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: C2, and nothing is lost.  Method: one drops an index, one writes and frees. */
static void test_dropping_beside_a_writer(void **state)
{
    (void)state;
    search_drop("index: drop", body_drop, 2, 0);
}

/* Goal: an index that is made has no entry of a version that was freed meanwhile: one that was
 * ended, and not stamped, when it was read.  Method: who deletes is held up, goes on in the midst
 * of the making, and frees what it deleted. */
static void test_making_beside_a_delete(void **state)
{
    (void)state;
    rows_open();
    flights_search(&(explore_model){.name = "index: create",
                                    .threads = 2,
                                    .body = {body_create, body_delete},
                                    .begin = begin,
                                    .end = end_tidy,
                                    .interruptions = 2});
}

/* Goal: the same while another index is made. */
static void test_dropping_and_making_beside_a_writer(void **state)
{
    (void)state;
    search_drop("index: drop, create", body_drop_and_create, 1, 0);
}

/* Goal: an index goes, whoever dies: the dropper, the writer, or who comes after. */
static void test_dropping_and_dying(void **state)
{
    (void)state;
    search_drop("index: drop, death", body_drop, 0, 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_insert_a_unique_value),
    cmocka_unit_test(test_two_update_to_a_unique_value),
    cmocka_unit_test(test_a_unique_value_that_is_not_committed),
    cmocka_unit_test(test_a_unique_value_and_a_death),
    cmocka_unit_test(test_dropping_beside_a_writer),
    cmocka_unit_test(test_making_beside_a_delete),
    cmocka_unit_test(test_dropping_and_making_beside_a_writer),
    cmocka_unit_test(test_dropping_and_dying),
};

AE_TEST_MAIN(tests)
