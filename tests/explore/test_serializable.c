/* Validation: no two transactions that each read what the other writes both commit.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

static struct {
    bool won[EXPLORE_THREADS];
    int64_t saw[EXPLORE_THREADS][2];
} run;

static const char *const keys[] = {"x", "y"};

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

/* Read both rows, by key; if they are both 1, set one's own to 0. */
static void body_skew(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    run.saw[thread][0] = look(session, "x");
    run.saw[thread][1] = look(session, "y");
    const bool both = run.saw[thread][0] == 1 && run.saw[thread][1] == 1;
    if ((!both || try_(thread, flight_put(session, keys[thread], 0))) &&
        try_(thread, aero_commit(session)))
        run.won[thread] = both;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

/* Read by scan: if no row of the other's key is there, insert one's own. */
static void body_phantom(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    int64_t altitude = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    const bool none = scan(session, thread == 0 ? "q" : "p", &altitude) == 0;
    if ((!none || try_(thread, flight_insert(session, thread == 0 ? "p" : "q", 5))) &&
        try_(thread, aero_commit(session)))
        run.won[thread] = none;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

/* Several writes, which are described otherwise than one. */
static void body_both(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    const int64_t x = look(session, "x");
    if (try_(thread, flight_put(session, "y", x + 1)) &&
        try_(thread, flight_put(session, "own0", x + 1)) && try_(thread, aero_commit(session)))
        run.won[thread] = true;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

static void body_copy_back(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    const int64_t y = look(session, "y");
    if (try_(thread, flight_put(session, "x", y + 10)) && try_(thread, aero_commit(session)))
        run.won[thread] = true;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

static void end_skew(void)
{
    explore_assert(!(run.won[0] && run.won[1]));
    world_check(keys, 2);
}

/* y = x + 1 and x = y + 10 in one order or the other. */
static void end_copied(void)
{
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t x = look(world.observer, "x");
    const int64_t y = look(world.observer, "y");
    if (run.won[0] && run.won[1])
        explore_assert((x == 12 && y == 2) || (x == 11 && y == 12));
    explore_assert(run.won[0] || run.won[1] || explore_died(0) || explore_died(1));
    if (run.won[1] && !run.won[0]) /* the first may have died after its decision, or not */
        explore_assert(x == 11 || (explore_died(0) && x == 12 && y == 2));
    explore_assert(look(world.observer, "own0") == (y == 1 ? 1 : y));
    world_check(keys, 2);
}

/* Both rows in one snapshot: x goes before y in body_pair, so y is never newer. */
static void body_pair(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, flight_put(session, "x", 2));
    must(thread, flight_put(session, "y", 2));
}

static void body_watch(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    const int64_t y = look(session, "y");
    const int64_t x = look(session, "x");
    must(thread, aero_commit(session));
    explore_assert(y == 1 || x == 2);
    explore_assert(look(session, "x") >= x);
}

static void end_pair(void)
{
    world_check(keys, 2);
}

static void search(const char *name, void (*first)(uint32_t), void (*second)(uint32_t),
                   void (*end)(void), uint32_t interruptions, uint32_t deaths)
{
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 1));
    must(0, flight_put(world.sessions[0], "y", 1));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {first, second},
                                    .begin = begin,
                                    .end = end,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: no write skew on rows that were read by key. */
static void test_write_skew(void **state)
{
    (void)state;
    search("validate: write skew", body_skew, body_skew, end_skew, 2, 0);
}

/* Goal: no phantom: rows that a scan would have found. */
static void test_phantom(void **state)
{
    (void)state;
    search("validate: phantom", body_phantom, body_phantom, end_skew, 2, 0);
}

/* Goal: what several writes changed is found, too, and one of two always commits. */
static void test_several_writes(void **state)
{
    (void)state;
    search("validate: several writes", body_both, body_copy_back, end_copied, 2, 0);
}

/* Goal: the writes of the dead are found as well, and what was kept for validators is not lost. */
static void test_several_writes_and_dying(void **state)
{
    (void)state;
    search("validate: several writes and die", body_both, body_copy_back, end_copied, 0, 1);
}

/* Goal: a snapshot is a prefix of the order, also when a committer dies. */
static void test_snapshot_is_a_prefix(void **state)
{
    (void)state;
    search("snapshot: prefix", body_pair, body_watch, end_pair, 2, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_write_skew),           cmocka_unit_test(test_phantom),
    cmocka_unit_test(test_several_writes),       cmocka_unit_test(test_several_writes_and_dying),
    cmocka_unit_test(test_snapshot_is_a_prefix),
};

AE_TEST_MAIN(tests)
