/* Cancelling what is open too long: its owner either learns it, or goes on seeing its snapshot.
 *
 * Owner and canceller each set a word and then look at the other's, so this is searched with store
 * buffers too, with fences on both sides and with a barrier for everybody on one.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

static struct {
    bool won;
    const ae_slot *resting; /* where somebody came to rest */
} run;

static uint32_t cursor_slot; /* where a cursor was, before the run */

static const char *const keys[] = {"x", "y"};

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

/* False when the transaction was cancelled; any other failure is one. */
static bool goes_on(uint32_t thread, aero_status status)
{
    if (status != AERO_OK && status != AERO_CANCELLED)
        explore_fail("thread %u: status %d: %s", thread, status,
                     aero_session_error(world.sessions[thread])->text);
    return status == AERO_OK;
}

static bool sees(uint32_t thread, int64_t *altitude)
{
    const uint32_t columns[] = {FLIGHT_ALTITUDE, FLIGHT_LAT};
    const aero_value key = v_text("x");
    aero_value values[2];
    int32_t found = 0;
    if (!goes_on(thread,
                 aero_get(world.sessions[thread], FLIGHTS, &key, 2, columns, values, &found)))
        return false;
    explore_assert(found && values[1].u.real == (double)values[0].u.integer);
    *altitude = values[0].u.integer;
    return true;
}

/* Look again and again, with rests between; write, look, and commit. */
static void body_patient(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    int64_t first = 0;
    int64_t again = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    bool alive = sees(thread, &first);
    for (uint32_t turn = 0; turn < 2 && alive; turn++) {
        ae_pause();
        alive = sees(thread, &again);
        explore_assert(!alive || again == first);
    }
    alive = alive && goes_on(thread, flight_put(session, "y", 70));
    if (alive) {
        ae_pause();
        alive = sees(thread, &again);
        explore_assert(!alive || again == first);
    }
    if (alive && goes_on(thread, aero_commit(session)))
        run.won = true;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

/* The same in short. */
static void body_patient_reader(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    int64_t first = 0;
    int64_t again = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    if (sees(thread, &first)) {
        ae_pause();
        if (sees(thread, &again))
            explore_assert(again == first);
    }
    must(thread, aero_rollback(session));
}

/* Replace x and free what may be freed, cancelling as it comes. */
static void body_busy(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    world_later(10000000000u);
    must(thread, flight_put(session, "x", 20));
    for (uint32_t turn = 0; turn < 2; turn++) {
        ae_pause(); /* the patient one may have come some way first */
        ae_cancel_overdue(world.db);
        session->reclaim_debt = 1000;
        must(thread, flight_put(session, "x", 21 + turn));
    }
}

static void end_cancelled(void)
{
    int64_t altitude = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const int64_t y = look(world.observer, "y");
    explore_assert(y == (run.won ? 70 : 60) || (explore_died(0) && y == 70));
    explore_assert(scan(world.observer, "y", &altitude) == 1);
    world_check(keys, 2);
}

/* Write, rest, and come back to undo it: from then on the snapshot counts. */
static void body_comes_back(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    const ae_slot *at = ae_slot_at(&world.db->proc, session->txn.slot);
    (void)goes_on(thread, flight_put(session, "y", 70));
    run.resting = at;
    ae_pause();
    must(thread, aero_rollback(session));
    explore_assert(!ae_slot_void(at));
}

static void body_cancel(uint32_t thread)
{
    (void)thread;
    world_later(10000000000u);
    ae_cancel_overdue(world.db);
}

static void body_reap(uint32_t thread)
{
    (void)ae_reap_all(world.db, world.sessions[thread]->member);
}

/* Claim the slot that a cursor has left. */
static void body_claim_anew(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    uint32_t slot = 0;
    if (ae_slot_claim_at(proc, world.sessions[thread]->member, cursor_slot, &slot) != AERO_OK)
        return;
    (void)ae_snapshot_publish(proc, &ae_slot_at(proc, slot)->snapshot);
    ae_pause();
    explore_assert(!ae_slot_void(ae_slot_at(proc, slot)));
    ae_slot_release(proc, slot);
}

/* What was written at rest is undone under a snapshot that counts to the end. */
static void end_not_void(void)
{
    end_cancelled();
    explore_assert(run.resting == NULL || !ae_slot_void(run.resting));
}

static void search(const char *name, bool asymmetric, bool buffered, uint32_t interruptions,
                   uint32_t deaths)
{
    flights_open_with(asymmetric);
    must(0, flight_put(world.sessions[0], "x", 10));
    must(0, flight_put(world.sessions[0], "y", 60));
    ae_store64(&world.db->proc.shared->transaction_timeout_secs, 1);
    flights_search(
        &(explore_model){.name = name,
                         .threads = 2,
                         .body = {buffered ? body_patient_reader : body_patient, body_busy},
                         .begin = begin,
                         .end = end_cancelled,
                         .interruptions = interruptions,
                         .deaths = deaths,
                         .steady = buffered ? 2 : 0,
                         .buffered = buffered});
}

/* Goal: whoever is not told of being cancelled sees what it saw. */
static void test_cancelled_or_seeing(void **state)
{
    (void)state;
    search("cancel: rest", false, false, 1, 0);
}

static void test_cancelled_or_seeing_by_fences(void **state)
{
    (void)state;
    search("cancel: rest, fences", false, true, 1, 0);
}

static void test_cancelled_or_seeing_by_a_barrier(void **state)
{
    (void)state;
    search("cancel: rest, barrier", true, true, 1, 0);
}

/* Goal: a death leaves nothing, cancelled or not. */
static void test_cancelling_and_dying(void **state)
{
    (void)state;
    search("cancel: death", false, false, 0, 1);
}

/* Goal: who was told and came back is not made void any more, by one of two who cancel that was
 * held up while the other came. */
static void test_two_cancel_one_who_comes_back(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "y", 60));
    ae_store64(&world.db->proc.shared->transaction_timeout_secs, 1);
    flights_search(&(explore_model){.name = "cancel: two",
                                    .threads = 3,
                                    .body = {body_comes_back, body_cancel, body_cancel},
                                    .end = end_cancelled,
                                    .begin = begin,
                                    .interruptions = 2});
}

/* Goal: the same for who died at rest, and is being reaped. */
static void test_cancelling_who_is_reaped(void **state)
{
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "y", 60));
    ae_store64(&world.db->proc.shared->transaction_timeout_secs, 1);
    flights_search(&(explore_model){.name = "cancel: reaped",
                                    .threads = 3,
                                    .body = {body_comes_back, body_cancel, body_reap},
                                    .end = end_not_void,
                                    .begin = begin,
                                    .interruptions = 1,
                                    .deaths = 1,
                                    .spared = 6});
}

/* Goal: nobody is cancelled for the age of who had the slot before.  Method: a cursor that was at
 * rest when it was closed. */
static void test_a_new_owner_is_not_the_old_one(void **state)
{
    ae_reader reader;
    (void)state;
    flights_open();
    must(0, flight_put(world.sessions[0], "y", 60));
    must(0, ae_reader_open(world.sessions[0], true, &reader));
    cursor_slot = reader.slot;
    ae_reader_rest(&reader);
    ae_reader_close(&reader);
    ae_store64(&world.db->proc.shared->transaction_timeout_secs, 1);
    flights_search(&(explore_model){.name = "cancel: a new owner",
                                    .threads = 2,
                                    .body = {body_claim_anew, body_cancel},
                                    .end = end_cancelled,
                                    .begin = begin,
                                    .interruptions = 2});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_cancel_one_who_comes_back),
    cmocka_unit_test(test_cancelling_who_is_reaped),
    cmocka_unit_test(test_a_new_owner_is_not_the_old_one),
    cmocka_unit_test(test_cancelled_or_seeing),
    cmocka_unit_test(test_cancelled_or_seeing_by_fences),
    cmocka_unit_test(test_cancelled_or_seeing_by_a_barrier),
    cmocka_unit_test(test_cancelling_and_dying),
};

AE_TEST_MAIN(tests)
