/* The commit queue in every order: entering, waiting, deciding, being aborted, dying.
 *
 * The ring has eight entries, so that laps happen.  At each change of a word: the clock moves one
 * position at a time and never past an undecided one (Q1, Q2), and a transaction becomes committed
 * only with a number above the clock, which makes every snapshot a prefix of the order.  At the
 * end: numbers are unique, later than what the transaction saw, and the queue is still usable.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "explore.h"
#include "store.h"
#include "txn/txn.h"

enum { COMMITS_MAX = 12 };

static struct {
    uint32_t commits[EXPLORE_THREADS]; /* how many each makes */
    uint64_t number[EXPLORE_THREADS][COMMITS_MAX];
    uint64_t before[EXPLORE_THREADS][COMMITS_MAX]; /* the clock when it began */
    bool aborts[EXPLORE_THREADS];                  /* decides against itself */
    bool describes;                                /* says what it wrote */
    uint32_t reapers;                              /* bit per thread: looks for the dead first */
    uint64_t clock;
    uint64_t states[AE_SLOTS];
} seen;

static ae_proc_shared *shared(void)
{
    return world.db->proc.shared;
}

static void begin(void)
{
    memset(seen.number, 0, sizeof seen.number);
    seen.clock = ae_load64(&shared()->clock);
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
        seen.states[slot] = ae_load64(&shared()->slots[slot].state);
}

static void step(void)
{
    const uint64_t clock = ae_load64(&shared()->clock);
    const ae_queue *queue = &world.db->queue;
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++) {
        const uint64_t state = ae_load64(&shared()->slots[slot].state);
        if (state != seen.states[slot] && ae_state_of(state) == AE_STATE_COMMITTED)
            explore_assert(ae_state_number(state) > clock);
        seen.states[slot] = state;
    }
    if (clock == seen.clock)
        return;
    explore_assert(clock == seen.clock + 1);
    uint32_t slot = 0;
    uint64_t generation = 0;
    explore_assert(ae_queue_owner(queue, seen.clock, &slot, &generation));
    const uint64_t state = seen.states[slot];
    if (ae_load64(&shared()->slots[slot].generation) == generation)
        explore_assert(ae_state_of(state) == AE_STATE_COMMITTED ||
                       ae_state_of(state) == AE_STATE_ABORTED);
    seen.clock = clock;
}

/* One transaction that writes nothing, through the queue. */
static void commit(uint32_t thread, uint32_t turn)
{
    ae_proc *proc = &world.db->proc;
    ae_queue *queue = &world.db->queue;
    uint32_t slot = 0;
    if (ae_slot_claim_at(proc, world.sessions[thread]->member, thread, &slot) != AERO_OK)
        explore_fail("slot %u is not free", thread);
    seen.before[thread][turn] = ae_load64_acquire(&proc->shared->clock);
    explore_assert(ae_cas64(&ae_slot_at(proc, slot)->state, AE_STATE(AE_STATE_ACTIVE, 0),
                            AE_STATE(AE_STATE_COMMITTING, 0)));
    const uint64_t position = ae_queue_enter(queue, slot);
    const bool front = ae_queue_wait(queue, slot, position);
    if (ae_queue_decide(queue, slot, position, front && !seen.aborts[thread])) {
        seen.number[thread][turn] = position + 1;
        if (seen.describes)
            ae_queue_describe(queue, position, AE_WROTE_INSERT, (ae_ref)position);
    }
    explore_assert(ae_load64_acquire(&proc->shared->clock) > position);
    ae_slot_release(proc, slot);
}

static void run(uint32_t thread)
{
    if ((seen.reapers >> thread & 1u) != 0)
        (void)ae_reap_all(world.db, world.sessions[thread]->member);
    for (uint32_t turn = 0; turn < seen.commits[thread]; turn++)
        commit(thread, turn);
}

/* Each entry of the last lap says what the transaction at its position wrote, and nothing else. */
static void described_check(uint64_t number)
{
    enum ae_queue_what what = AE_WROTE_SEVERAL;
    ae_ref ref = 0;
    uint32_t slot = 0;
    uint64_t generation = 0;
    if (!ae_queue_owner(&world.db->queue, number - 1, &slot, &generation))
        return; /* overwritten */
    explore_assert(ae_queue_described(&world.db->queue, number - 1, &what, &ref));
    explore_assert(what == AE_WROTE_INSERT && ref == number - 1);
}

static void end(void)
{
    aero_db *db = world.db;
    uint64_t highest = 0;
    (void)ae_reap_all(db, world.observer->member);
    explore_assert(ae_queue_check(&db->queue));
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
        explore_assert(ae_load64(&shared()->slots[slot].owner) == 0);
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        for (uint32_t turn = 0; turn < seen.commits[thread]; turn++) {
            const uint64_t number = seen.number[thread][turn];
            if (number == 0)
                continue;
            explore_assert(number > seen.before[thread][turn]);
            if (seen.describes)
                described_check(number);
            highest = number > highest ? number : highest;
            for (uint32_t other = 0; other < EXPLORE_THREADS; other++)
                for (uint32_t at = 0; at < seen.commits[other]; at++)
                    explore_assert((other == thread && at == turn) ||
                                   seen.number[other][at] != number);
        }
    explore_assert(ae_load64(&shared()->clock) >= highest);
    const uint64_t clock = ae_load64(&shared()->clock);
    const uint64_t position = ae_queue_enter(&db->queue, AE_SLOTS - 1);
    explore_assert(position == clock);
}

/* The plan is in `seen`. */
static void search(const char *name, uint32_t interruptions, uint32_t deaths, uint32_t spared)
{
    explore_model model = {.name = name,
                           .threads = seen.commits[2] == 0 ? 2 : 3,
                           .body = {run, run, run},
                           .begin = begin,
                           .step = step,
                           .end = end,
                           .interruptions = interruptions,
                           .deaths = deaths,
                           .spared = spared};
    world_open(false);
    world_freeze();
    explore(&model);
    world_close();
}

static void plan(uint32_t first, uint32_t second, uint32_t third)
{
    memset(&seen, 0, sizeof seen);
    seen.commits[0] = first;
    seen.commits[1] = second;
    seen.commits[2] = third;
}

/* Goal: Q1 to Q3.  Method: three commit once each, one of them changes its mind. */
static void test_three_commit_at_once(void **state)
{
    (void)state;
    plan(1, 1, 1);
    seen.aborts[1] = true;
    search("queue: three", 2, 0, 0);
}

/* Goal: whoever dies in the queue holds nobody up.  Method: two commit, one dies anywhere. */
static void test_one_of_two_dies(void **state)
{
    (void)state;
    plan(1, 2, 0);
    search("queue: death", 2, 1, 0);
}

/* Goal: the dead are settled once.  Method: one dies while it commits, two come to clean up and
 * then commit, and one of them may die, too. */
static void test_reapers_beside_committers(void **state)
{
    (void)state;
    plan(1, 1, 1);
    seen.reapers = 6;
    search("queue: reapers", 0, 2, 4);
}

/* Goal: an entry is taken only in its own lap.  Method: while one commits, the other goes round. */
static void test_a_lap_goes_by(void **state)
{
    (void)state;
    plan(1, 10, 0);
    search("queue: lap", 2, 0, 0);
}

/* Goal: what is said of a position stays, whoever was held up for a lap in saying it. */
static void test_a_lap_goes_by_while_describing(void **state)
{
    (void)state;
    plan(1, 9, 0);
    seen.describes = true;
    search("queue: describing", 2, 0, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_three_commit_at_once),           cmocka_unit_test(test_one_of_two_dies),
    cmocka_unit_test(test_reapers_beside_committers),      cmocka_unit_test(test_a_lap_goes_by),
    cmocka_unit_test(test_a_lap_goes_by_while_describing),
};

AE_TEST_MAIN(tests)
