/* Row latches: whoever has locked a row is alone with it, and a lock ends with its owner.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

static struct {
    uint32_t holder; /* thread + 1 */
    uint32_t counted;
    bool outsiders; /* write without locking: one may have come too far to be kept out */
} run;

static const char *const keys[] = {"x"};

static void begin(void)
{
    run.holder = 0;
    run.counted = 0;
}

static void forget_the_dead(void)
{
    if (run.holder != 0 && explore_died(run.holder - 1))
        run.holder = 0;
}

/* Lock x, add one to it, and let go.  Under the lock nobody else can be in the way. */
static void body_lock(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    const aero_value key = v_text("x");
    int32_t found = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    if (try_(thread, aero_lock_row(session, FLIGHTS, &key, &found))) {
        explore_assert(found);
        forget_the_dead();
        explore_assert(run.holder == 0);
        run.holder = thread + 1;
        ae_pause();
        const bool added = try_(thread, add_one(session, "x", &found));
        explore_assert(added || run.outsiders);
        explore_assert(run.holder == thread + 1);
        run.holder = 0;
        if (added && try_(thread, aero_commit(session))) {
            run.counted++;
            return;
        }
    }
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

static void body_count(uint32_t thread)
{
    count_up(thread, "x");
    run.counted++;
}

static void end_locked(void)
{
    uint32_t dead = 0;
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        dead += explore_died(thread);
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t total = look(world.observer, "x") - 10;
    explore_assert(total >= run.counted && total <= run.counted + dead);
    world_check(keys, 1);
}

static void search(const char *name, void (*second)(uint32_t), uint32_t interruptions,
                   uint32_t deaths)
{
    run.outsiders = second != body_lock;
    flights_open();
    must(0, flight_put(world.sessions[0], "x", 10));
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_lock, second},
                                    .begin = begin,
                                    .end = end_locked,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: a lock excludes.  Method: two lock a row and change it. */
static void test_two_lock_a_row(void **state)
{
    (void)state;
    search("latch: two", body_lock, 2, 0);
}

/* Goal: a lock dies with its owner.  Method: the same, one dies anywhere. */
static void test_a_lock_dies_with_its_owner(void **state)
{
    (void)state;
    search("latch: death", body_lock, 1, 1);
}

/* Goal: writers that do not lock wait their turn, or fail, and nothing is lost. */
static void test_a_writer_beside_a_lock(void **state)
{
    (void)state;
    search("latch: writer", body_count, 2, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_lock_a_row),
    cmocka_unit_test(test_a_lock_dies_with_its_owner),
    cmocka_unit_test(test_a_writer_beside_a_lock),
};

AE_TEST_MAIN(tests)
