/* Slots: claimed, released, seized from the dead; a slot has one owner (P1).
 *
 * Also the two places where a thread publishes something and then looks at what the other
 * publishes, so that one of the two must see the other.  These are searched with store buffers as
 * x86 has them, once with fences on both sides, and once with a barrier for everybody on one.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "flight_models.h"

enum { TURNS = 2 };

static struct {
    uint32_t inside; /* threads that believe they own slot 0 */
    uint32_t claims;
    uint64_t generations[EXPLORE_THREADS * TURNS];
    uint64_t held;
    uint64_t horizon;
    bool released;
} run;

static void begin(void)
{
    memset(&run, 0, sizeof run);
}

/* ---- claiming and seizing ------------------------------------------------------------------- */

static void enter(void)
{
    const ae_slot *slot = ae_slot_at(&world.db->proc, 0);
    explore_assert(run.inside == 0);
    run.inside++;
    run.generations[run.claims++] = ae_load64(&slot->generation);
}

static void leave(void)
{
    run.inside--;
}

/* The dead are inside no more. */
static void forget_the_dead(void)
{
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        if (explore_died(thread) && run.held == thread + 1) {
            run.inside = 0;
            run.held = 0;
        }
}

static void body_claim(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    const uint32_t member = world.sessions[thread]->member;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t slot = 0;
        if (ae_slot_claim_at(proc, member, 0, &slot) != AERO_OK) {
            if (!ae_slot_dead(proc, 0) || !ae_slot_seize(proc, 0, member))
                continue;
            forget_the_dead();
        }
        run.held = thread + 1;
        enter();
        ae_pause();
        explore_assert((uint32_t)(ae_load64_acquire(&ae_slot_at(proc, 0)->owner) & ~AE_OWNER_CLAIM &
                                  ~AE_OWNER_REAPING) == member + 1);
        leave();
        run.held = 0;
        ae_slot_release(proc, 0);
    }
}

static void end_claimed(void)
{
    forget_the_dead();
    explore_assert(run.inside == 0);
    (void)ae_reap_all(world.db, world.observer->member);
    explore_assert(ae_load64(&ae_slot_at(&world.db->proc, 0)->owner) == 0);
    world_check(NULL, 0);
}

static void claims_search(const char *name, uint32_t threads, uint32_t interruptions,
                          uint32_t deaths)
{
    flights_open();
    flights_search(&(explore_model){.name = name,
                                    .threads = threads,
                                    .body = {body_claim, body_claim, body_claim},
                                    .begin = begin,
                                    .end = end_claimed,
                                    .interruptions = interruptions,
                                    .deaths = deaths});
}

/* Goal: P1.  Method: three claim the same slot, twice each. */
static void test_three_claim_a_slot(void **state)
{
    (void)state;
    claims_search("slots: claim", 3, 2, 0);
}

/* Goal: P1, also for whoever seizes the slot of a dead owner, while the next one is seized. */
static void test_a_slot_of_the_dead_is_seized_once(void **state)
{
    (void)state;
    claims_search("slots: seize", 3, 2, 1);
}

/* ---- lines of members ------------------------------------------------------------------------ */

/* A line of the table of members is that of the dead first; whoever is held up in burying it must
 * not touch it once a living session has it. */
static void body_member(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    uint32_t member = AE_MEMBERS;
    aero_error error;
    if (thread == 0) { /* dies with a line of its own, or goes */
        if (ae_member_claim(proc, &member, &error) != AERO_OK)
            explore_fail("no line");
        (void)ae_snapshot_publish(proc, &proc->shared->members[member].pin);
        ae_pause();
        ae_member_release(proc, member);
        return;
    }
    const uint32_t line = EXPLORE_THREADS + 1; /* the next one */
    (void)ae_member_bury(proc, line);
    if (ae_member_claim(proc, &member, &error) != AERO_OK)
        explore_fail("no line");
    ae_a64 *pin = &proc->shared->members[member].pin;
    const uint64_t snapshot = ae_snapshot_publish(proc, pin);
    ae_pause();
    explore_assert(ae_load64_acquire(pin) == snapshot);
    explore_assert(ae_member_alive(proc, member));
    ae_member_release(proc, member);
}

static void end_members(void)
{
    const ae_proc_shared *shared = world.db->proc.shared;
    (void)ae_reap_all(world.db, world.observer->member);
    for (uint32_t line = EXPLORE_THREADS + 1; line < EXPLORE_THREADS + 4; line++) {
        (void)ae_member_bury(&world.db->proc, line);
        explore_assert(ae_load64(&shared->members[line].identity) == 0);
        explore_assert(ae_load64(&shared->members[line].pin) == 0);
    }
}

/* Goal: a member's line has one owner, and its pin stays while it lives.  Method: one dies with a
 * line, two bury it and claim one. */
static void test_lines_of_the_dead_are_buried_once(void **state)
{
    (void)state;
    world_open(false);
    flights_search(&(explore_model){.name = "slots: members",
                                    .threads = 3,
                                    .body = {body_member, body_member, body_member},
                                    .begin = begin,
                                    .end = end_members,
                                    .interruptions = 2,
                                    .deaths = 1,
                                    .spared = 6});
}

/* Own slot 0 for a while, as `member`. */
static void slot_own(uint32_t thread, uint32_t member)
{
    ae_proc *proc = &world.db->proc;
    run.held = thread + 1;
    enter();
    ae_pause();
    explore_assert((uint32_t)(ae_load64_acquire(&ae_slot_at(proc, 0)->owner) & ~AE_OWNER_CLAIM &
                              ~AE_OWNER_REAPING) == member + 1);
    leave();
    run.held = 0;
    ae_slot_release(proc, 0);
}

/* The first dies with a line and a slot; the second cleans up both and takes them for itself; the
 * third has judged the first dead, and comes late. */
static void body_late(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    const uint32_t line = EXPLORE_THREADS + 1;
    uint32_t member = world.sessions[thread]->member;
    uint32_t slot = 0;
    aero_error error;
    if (thread != 0 && ae_slot_seize(proc, 0, member)) {
        forget_the_dead();
        slot_own(thread, member);
    }
    if (thread == 2)
        return;
    if (thread == 1)
        (void)ae_member_bury(proc, line);
    if (ae_member_claim(proc, &member, &error) != AERO_OK)
        explore_fail("no line");
    if (ae_slot_claim_at(proc, member, 0, &slot) == AERO_OK)
        slot_own(thread, member);
    ae_member_release(proc, member);
}

/* Goal: a slot is not seized from a living owner whose line was a dead one's. */
static void test_a_late_reaper_takes_nothing(void **state)
{
    (void)state;
    world_open(false);
    flights_search(&(explore_model){.name = "slots: late reaper",
                                    .threads = 3,
                                    .body = {body_late, body_late, body_late},
                                    .begin = begin,
                                    .end = end_members,
                                    .interruptions = 2,
                                    .deaths = 1,
                                    .spared = 6});
}

/* ---- publishing and looking ----------------------------------------------------------------- */

/* A reader publishes the snapshot it took; the horizon that a reclaimer computes while it is held
 * is not above it. */
static void body_publish(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    ae_a64 *pin = &proc->shared->members[world.sessions[thread]->member].pin;
    const uint64_t snapshot = ae_snapshot_publish(proc, pin);
    run.held = snapshot;
    ae_pause();
    explore_assert(run.horizon == 0 || run.horizon <= snapshot);
    run.held = 0;
    run.released = true;
    ae_store64_release(pin, 0);
}

static void body_horizon(uint32_t thread)
{
    ae_proc *proc = &world.db->proc;
    (void)thread;
    (void)ae_cas64(&proc->shared->clock, ae_load64(&proc->shared->clock),
                   ae_load64(&proc->shared->clock) + 1);
    const uint64_t horizon = ae_horizon_compute(proc);
    if (!run.released)
        run.horizon = horizon;
}

static void end_published(void)
{
}

static void horizon_search(const char *name, bool asymmetric)
{
    world_open(asymmetric);
    flights_search(&(explore_model){.name = name,
                                    .threads = 2,
                                    .body = {body_publish, body_horizon},
                                    .begin = begin,
                                    .end = end_published,
                                    .interruptions = 3,
                                    .buffered = true});
}

/* Goal: P3 from the side of the horizon, with fences. */
static void test_horizon_sees_the_snapshot_by_fences(void **state)
{
    (void)state;
    horizon_search("slots: horizon, fences", false);
}

/* Goal: the same with a barrier for everybody in place of the reader's fence. */
static void test_horizon_sees_the_snapshot_by_a_barrier(void **state)
{
    (void)state;
    horizon_search("slots: horizon, barrier", true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_three_claim_a_slot),
    cmocka_unit_test(test_a_slot_of_the_dead_is_seized_once),
    cmocka_unit_test(test_lines_of_the_dead_are_buried_once),
    cmocka_unit_test(test_a_late_reaper_takes_nothing),
    cmocka_unit_test(test_horizon_sees_the_snapshot_by_fences),
    cmocka_unit_test(test_horizon_sees_the_snapshot_by_a_barrier),
};

AE_TEST_MAIN(tests)
