/* One is stopped for long, anywhere, while another does a great deal: writes, deletes, inserts,
 * reclaims, splits the hash.  When it goes on, nothing that it knew is true any more.
 *
 * One interruption is enough for that: the other runs to its end.  What the stopped one does is
 * right or a conflict, what it reads is one snapshot, and afterwards everything is accounted for.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

enum { ROUNDS = 3, FRESH = 16 };

static struct {
    bool won[EXPLORE_THREADS];
    uint32_t rounds; /* that the busy one has finished */
} run;

static void begin(void)
{
    memset(&run, 0, sizeof run);
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        world.sessions[thread]->reclaim_debt = 1000;
}

static void reclaim(uint32_t thread)
{
    for (uint64_t turn = 0; turn < AE_SLOTS; turn++)
        ae_reclaim_idle(world.sessions[thread], turn);
}

/* A statement that may come upon the other's work. */
static void attempt(uint32_t thread, aero_status status)
{
    world.sessions[thread]->reclaim_debt = 1000;
    if (status != AERO_EXISTS && status != AERO_NOT_FOUND)
        (void)try_(thread, status);
}

/* Both rows live, die and come back, and all memory changes hands. */
static void body_churn(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    for (; run.rounds < ROUNDS; run.rounds++) {
        attempt(thread, flight_put(session, "x", 20 + run.rounds));
        attempt(thread, flight_delete(session, "x"));
        attempt(thread, flight_put(session, "y", 20 + run.rounds));
        reclaim(thread);
        attempt(thread, flight_insert(session, "x", 30 + run.rounds));
        attempt(thread, flight_delete(session, "y"));
        reclaim(thread);
    }
}

/* New keys until shards have been split twice over. */
static void body_fill(uint32_t thread)
{
    char name[32];
    for (uint32_t number = 0; number < FRESH; number++)
        attempt(thread, flight_insert(world.sessions[thread], flight_name(name, number), number));
    reclaim(thread);
    for (uint32_t number = 0; number < FRESH; number++)
        explore_assert(look(world.sessions[thread], flight_name(name, number)) == number);
}

static void body_put(uint32_t thread)
{
    attempt(thread, flight_put(world.sessions[thread], "x", 90));
}

static void body_insert(uint32_t thread)
{
    attempt(thread, flight_insert(world.sessions[thread], "y", 91));
}

static void body_delete(uint32_t thread)
{
    attempt(thread, flight_delete(world.sessions[thread], "x"));
}

static void body_undo(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    attempt(thread, flight_put(session, "x", 92));
    if (!session->txn.doomed)
        attempt(thread, flight_insert(session, "y", 93));
    if (!session->txn.doomed)
        attempt(thread, flight_delete(session, "x"));
    must(thread, aero_rollback(session));
}

static void body_look(uint32_t thread)
{
    (void)look_thoroughly(thread, "x");
    (void)look_thoroughly(thread, "y");
}

/* Rows on both sides of every split. */
static void body_look_around(uint32_t thread)
{
    for (uint32_t number = 0; number < 3; number++) {
        char name[8];
        snprintf(name, sizeof name, "k%u", number);
        explore_assert(look(world.sessions[thread], name) == number);
    }
}

/* Several writes that were validated against all that. */
static void body_transact(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    const int64_t x = look(session, "x");
    const int64_t y = look(session, "y");
    explore_assert(look(session, "x") == x && look(session, "y") == y);
    if (try_(thread, flight_put(session, "own0", 94)) &&
        try_(thread, flight_put(session, "z", 95)) && try_(thread, aero_commit(session)))
        run.won[thread] = true;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

/* As many rows as make a shard split, whatever else is in it. */
static void body_split(uint32_t thread)
{
    for (uint32_t number = 0; number < 6; number++) {
        char name[8];
        snprintf(name, sizeof name, "s%u", number);
        must(thread, flight_insert(world.sessions[thread], name, 96));
        explore_assert(look(world.sessions[thread], name) == 96);
    }
}

static void end_checked(void)
{
    int64_t altitude = 0;
    static const char *const keys[] = {"x", "y", "z", "s0"};
    (void)ae_reap_all(world.db, world.observer->member);
    for (uint32_t index = 0; index < 4; index++) {
        const int64_t found = look(world.observer, keys[index]);
        explore_assert(scan(world.observer, keys[index], &altitude) == (found != FLIGHT_NONE));
        explore_assert(altitude == found);
    }
    explore_assert(!run.won[0] || look(world.observer, "z") == 95);
    world_check(keys, 4);
}

static void search(const char *name, void (*body)(uint32_t), void (*other)(uint32_t),
                   uint32_t interruptions)
{
    explore_model model = {.name = name,
                           .threads = 2,
                           .body = {body, other},
                           .begin = begin,
                           .end = end_checked,
                           .interruptions = interruptions,
                           .steady = 2};
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    for (uint32_t number = 0; number < 3; number++) {
        char name[8];
        snprintf(name, sizeof name, "k%u", number);
        must(0, flight_put(world.sessions[0], name, number));
    }
    world_freeze();
    explore(&model);
    /* And it never goes on: it dies, and the other comes upon what it left. */
    model.interruptions = 0;
    model.deaths = 1;
    model.spared = 2;
    explore(&model);
    world_close();
}

static void test_an_update_is_stopped(void **state)
{
    (void)state;
    search("frozen: put", body_put, body_churn, 1);
}

static void test_an_insert_is_stopped(void **state)
{
    (void)state;
    search("frozen: insert", body_insert, body_churn, 1);
}

static void test_a_deletion_is_stopped(void **state)
{
    (void)state;
    search("frozen: delete", body_delete, body_churn, 1);
}

static void test_a_rollback_is_stopped(void **state)
{
    (void)state;
    search("frozen: undo", body_undo, body_churn, 1);
}

static void test_a_reader_is_stopped(void **state)
{
    (void)state;
    search("frozen: look", body_look, body_churn, 1);
}

static void test_a_transaction_is_stopped(void **state)
{
    (void)state;
    search("frozen: transaction", body_transact, body_churn, 1);
}

static void test_a_split_is_stopped(void **state)
{
    (void)state;
    search("frozen: split", body_split, body_fill, 0); /* a split is long: stopped in the torture */
}

static void test_a_reader_is_stopped_in_a_shard(void **state)
{
    (void)state;
    search("frozen: look in a shard", body_look_around, body_fill, 1);
}

static void test_a_reclaimer_is_stopped(void **state)
{
    (void)state;
    search("frozen: reclaim", reclaim, body_churn, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_update_is_stopped),
    cmocka_unit_test(test_an_insert_is_stopped),
    cmocka_unit_test(test_a_deletion_is_stopped),
    cmocka_unit_test(test_a_rollback_is_stopped),
    cmocka_unit_test(test_a_reader_is_stopped),
    cmocka_unit_test(test_a_transaction_is_stopped),
    cmocka_unit_test(test_a_split_is_stopped),
    cmocka_unit_test(test_a_reader_is_stopped_in_a_shard),
    cmocka_unit_test(test_a_reclaimer_is_stopped),
};

AE_TEST_MAIN(tests)
