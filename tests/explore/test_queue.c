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
    if (ae_queue_decide(queue, slot, position, front && !seen.aborts[thread]))
        seen.number[thread][turn] = position + 1;
    explore_assert(ae_load64_acquire(&proc->shared->clock) > position);
    ae_slot_release(proc, slot);
}

static void run(uint32_t thread)
{
    for (uint32_t turn = 0; turn < seen.commits[thread]; turn++)
        commit(thread, turn);
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

static void search(const char *name, const uint32_t *commits, const bool *aborts,
                   uint32_t interruptions, uint32_t deaths)
{
    explore_model model = {.name = name,
                           .threads = commits[2] == 0 ? 2 : 3,
                           .body = {run, run, run},
                           .begin = begin,
                           .step = step,
                           .end = end,
                           .interruptions = interruptions,
                           .deaths = deaths};
    memcpy(seen.commits, commits, sizeof seen.commits);
    memcpy(seen.aborts, aborts, sizeof seen.aborts);
    world_open(false);
    world_freeze();
    explore(&model);
    world_close();
}

static const bool nobody[EXPLORE_THREADS];

/* Goal: Q1 to Q3.  Method: three commit once each, one of them changes its mind. */
static void test_three_commit_at_once(void **state)
{
    (void)state;
    search("queue: three", (uint32_t[]){1, 1, 1}, (bool[]){false, true, false}, 2, 0);
}

/* Goal: whoever dies in the queue holds nobody up.  Method: two commit, one dies anywhere. */
static void test_one_of_two_dies(void **state)
{
    (void)state;
    search("queue: death", (uint32_t[]){1, 2, 0}, nobody, 2, 1);
}

/* Goal: an entry is taken only in its own lap.  Method: while one commits, the other goes round. */
static void test_a_lap_goes_by(void **state)
{
    (void)state;
    search("queue: lap", (uint32_t[]){1, 10, 0}, nobody, 2, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_three_commit_at_once),
    cmocka_unit_test(test_one_of_two_dies),
    cmocka_unit_test(test_a_lap_goes_by),
};

AE_TEST_MAIN(tests)
