/* Pins of those who follow the commits, in every order: claiming and taking over lines, reading
 * beside those who reuse what was replaced, revoking, burying, and sleeping.
 *
 * A commit is a tick of the clock here.  What commit n replaced is a word that is overwritten when
 * the horizon has passed n.  The commit queue has eight entries, so a pin is revoked when it lags
 * by more than six.
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include "base/os.h"
#include "flight_models.h"
#include "proc/feed.h"

enum { COMMITS = 64, GONE = 7 };

static struct {
    ae_a64 replaced[COMMITS]; /* by commit, from the first of the run on; GONE: used again */
    uint64_t first;           /* the clock at the beginning */
    uint32_t line[EXPLORE_THREADS];
    bool has[EXPLORE_THREADS];
} run;

/* ---- the pieces ----------------------------------------------------------------------------- */

static ae_proc *proc(void)
{
    return &world.db->proc;
}

static uint64_t clock_now(void)
{
    return ae_load64_acquire(&proc()->shared->clock);
}

static uint32_t member_of(uint32_t thread)
{
    return world.sessions[thread]->member;
}

/* One commit.  What it replaced is kept for those who have not read it. */
static void commit(void)
{
    ae_add64(&proc()->shared->tail, 1);
    ae_add64(&proc()->shared->clock, 1);
}

/* Use again what nobody can need. */
static void reuse(void)
{
    const uint64_t horizon = ae_horizon_compute(proc());
    for (uint64_t number = run.first + 1; number <= horizon; number++)
        if (ae_load64(&run.replaced[number - run.first]) != GONE)
            ae_store64_release(&run.replaced[number - run.first], GONE);
}

/* Have a line, with a pin. */
static bool claim(uint32_t thread, uint64_t *pin)
{
    aero_error error;
    if (ae_feed_claim(proc(), member_of(thread), &run.line[thread], pin, &error) != AERO_OK)
        return false;
    run.has[thread] = true;
    for (uint32_t other = 0; other < EXPLORE_THREADS; other++)
        if (other != thread && run.has[other] && !explore_died(other))
            explore_assert(run.line[other] != run.line[thread]);
    return true;
}

static void release(uint32_t thread)
{
    run.has[thread] = false;
    ae_feed_release(proc(), run.line[thread]);
}

/* Read what the next commits replaced, one after the other. */
static void follow(uint32_t thread, uint64_t pin, uint32_t most)
{
    const uint32_t line = run.line[thread];
    for (uint32_t turn = 0; turn < most && pin < clock_now(); turn++) {
        const uint64_t position = pin;
        const uint64_t seen = ae_load64(&run.replaced[pin + 1 - run.first]);
        const bool holds = ae_feed_holds(proc(), line, pin);
        explore_assert(!holds || seen != GONE);
        if (holds && ae_feed_advance(proc(), line, pin + 1, &pin)) {
            explore_assert(pin <= clock_now());
        } else { /* only whoever lags may lose its pin */
            explore_assert(clock_now() - position > AE_QUEUE_MAX / 8 * 6);
            pin = ae_feed_restart(proc(), line);
        }
    }
}

static void begin(void)
{
    memset(&run, 0, sizeof run);
    run.first = clock_now();
    world.overslept = false;
}

static void end_feeds(void)
{
    uint64_t pin = 0;
    explore_assert(!world.overslept || explore_died(1));
    (void)ae_reap_all(world.db, world.observer->member);
    for (uint32_t member = 0; member < 2 * EXPLORE_THREADS; member++)
        (void)ae_member_bury(proc(), member);
    /* Whoever is dead holds nothing that the next one cannot have, and nobody holds the horizon. */
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        if (run.has[thread] && !explore_died(thread))
            ae_feed_release(proc(), run.line[thread]);
    for (uint32_t turn = 0; turn < AE_QUEUE_MAX; turn++)
        commit();
    explore_assert(ae_horizon_compute(proc()) == clock_now());
    for (uint32_t line = 0; line < AE_FEEDS; line++) {
        uint32_t got = 0;
        aero_error error;
        explore_assert(ae_feed_claim(proc(), world.observer->member, &got, &pin, &error) ==
                       AERO_OK);
    }
}

/* ---- bodies --------------------------------------------------------------------------------- */

static void body_follow(uint32_t thread)
{
    uint64_t pin = 0;
    explore_assert(claim(thread, &pin));
    follow(thread, pin, 3);
    release(thread);
}

/* From a snapshot of one's own, as those do who begin with what is there: the pin comes first. */
static void body_follow_from_a_snapshot(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    ae_member *member = &proc()->shared->members[session->member];
    uint64_t pin = 0;
    explore_assert(claim(thread, &pin));
    const uint64_t snapshot = ae_snapshot_publish(proc(), &member->pin);
    explore_assert(ae_feed_advance(proc(), run.line[thread], snapshot, &pin) && pin == snapshot);
    ae_store64_release(&member->pin, 0);
    follow(thread, pin, 2);
    release(thread);
}

static void body_commit(uint32_t thread)
{
    (void)thread;
    commit();
    reuse();
    commit();
    reuse();
}

/* More than a pin may lag. */
static void body_commit_much(uint32_t thread)
{
    (void)thread;
    for (uint32_t turn = 0; turn < 7; turn++)
        commit();
    reuse();
}

static void body_claim_twice(uint32_t thread)
{
    uint64_t pin = 0;
    for (uint32_t turn = 0; turn < 2; turn++) {
        explore_assert(claim(thread, &pin));
        explore_assert(ae_feed_holds(proc(), run.line[thread], pin));
        release(thread);
    }
}

/* Follows, one commit at least, and leaves nothing in order. */
static void body_follow_on(uint32_t thread)
{
    uint64_t pin = 0;
    explore_assert(claim(thread, &pin));
    commit();
    follow(thread, pin, 2);
}

/* Takes over what the dead one has not read.  While that one lives nobody can. */
static bool adopt(uint32_t thread, uint64_t *pin)
{
    const uint64_t position = clock_now();
    run.has[thread] = ae_feed_adopt(proc(), member_of(thread), position, &run.line[thread], pin);
    explore_assert(!run.has[thread] || (explore_died(0) && *pin <= position));
    return run.has[thread];
}

/* The pin of a follower that came to be one is there for whoever asks after the death. */
static void body_adopt(uint32_t thread)
{
    uint64_t pin = 0;
    const bool adopted = adopt(thread, &pin);
    if (!adopted && !explore_died(0))
        return;
    if (!adopted && !adopt(thread, &pin)) {
        explore_assert(!run.has[0]);
        return;
    }
    follow(thread, pin, 2);
    release(thread);
}

/* The same where there are others, or the pin may be revoked. */
static void body_adopt_perhaps(uint32_t thread)
{
    uint64_t pin = 0;
    if (!adopt(thread, &pin))
        return;
    follow(thread, pin, 2);
    release(thread);
}

/* Follows, tells of three commits, and leaves nothing in order. */
static void body_tell_on(uint32_t thread)
{
    uint64_t pin = 0;
    explore_assert(claim(thread, &pin));
    for (uint32_t turn = 0; turn < 3; turn++)
        commit();
    for (uint32_t turn = 0; turn < 2; turn++) /* it may die before the second */
        ae_store64_release(&proc()->shared->feeds[run.line[thread]].told, pin + 3);
}

/* Its user remembers less of it. */
static void body_adopt_before(uint32_t thread)
{
    const uint64_t position = run.first + 2;
    uint64_t pin = 0;
    if (clock_now() < run.first + 3 ||
        !ae_feed_adopt(proc(), member_of(thread), position, &run.line[thread], &pin))
        return;
    run.has[thread] = true;
    /* Nobody revokes anything here: what it was given it keeps. */
    explore_assert(ae_feed_holds(proc(), run.line[thread], position));
    explore_assert(pin <= position);
    release(thread);
}

static void body_squeeze(uint32_t thread)
{
    (void)thread;
    ae_feed_squeeze(proc());
}

static void body_bury(uint32_t thread)
{
    (void)thread;
    (void)ae_member_bury(proc(), member_of(0));
}

/* Comes with the dead one's member as soon as it is free, and follows. */
static void body_come_again(uint32_t thread)
{
    ae_member *line = &proc()->shared->members[member_of(0)];
    uint64_t pin = 0;
    uint64_t next = 0;
    (void)ae_member_bury(proc(), member_of(0));
    if (!explore_died(0) || !ae_cas64(&line->identity, 0, ae_os_process_identity()))
        return;
    explore_assert(ae_feed_claim(proc(), member_of(0), &run.line[thread], &pin, NULL) == AERO_OK);
    /* Nobody takes a living one's line. */
    const bool taken = ae_feed_adopt(proc(), world.observer->member, UINT64_MAX - 1, &run.line[0],
                                     &next);
    explore_assert(!taken || run.line[0] != run.line[thread]);
    if (taken)
        ae_feed_release(proc(), run.line[0]);
    ae_feed_release(proc(), run.line[thread]);
}

static void body_sleep(uint32_t thread)
{
    (void)thread;
    while (clock_now() == run.first)
        ae_feed_sleep(proc(), run.first, UINT64_MAX);
}

static void body_commit_and_notify(uint32_t thread)
{
    (void)thread;
    commit();
    ae_feed_notify(proc());
}

/* ---- models --------------------------------------------------------------------------------- */

static void search(explore_model model)
{
    flights_open_with(false);
    world.strict = true;
    model.begin = begin;
    model.end = end_feeds;
    flights_search(&model);
}

/* Goal: a line has one living owner. */
static void test_three_claim_lines(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: three claim",
                           .threads = 3,
                           .body = {body_claim_twice, body_claim_twice, body_claim_twice},
                           .interruptions = 2});
}

/* Goal: P4: what is not read yet is kept, and what is read is believed only if it was. */
static void test_following_beside_a_committer(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: follow",
                           .threads = 2,
                           .body = {body_follow, body_commit},
                           .interruptions = 4});
}

/* Goal: the pin is there before the snapshot it comes from goes. */
static void test_following_from_a_snapshot(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: from a snapshot",
                           .threads = 2,
                           .body = {body_follow_from_a_snapshot, body_commit},
                           .interruptions = 4});
}

/* Goal: a pin that lags is revoked, and its owner believes nothing any more. */
static void test_a_pin_is_revoked(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: revoked",
                           .threads = 2,
                           .body = {body_follow, body_commit_much},
                           .interruptions = 3});
}

/* Goal: who comes back takes the dead one's pin over and misses nothing. */
static void test_taking_over_from_the_dead(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: taking over",
                           .threads = 3,
                           .body = {body_follow_on, body_adopt, body_commit},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 6});
}

/* Goal: who has taken a line over keeps what it was given, though somebody short of memory is about
 * to move the pin to what the dead one had told. */
static void test_taking_over_beside_a_squeeze(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: taking over, squeezed",
                           .threads = 3,
                           .body = {body_tell_on, body_adopt_before, body_squeeze},
                           .interruptions = 3,
                           .deaths = 1,
                           .spared = 6});
}

/* Goal: a pin that is revoked while it is taken over is not believed. */
static void test_taking_over_what_is_revoked(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: taking over, revoked",
                           .threads = 3,
                           .body = {body_follow_on, body_adopt_perhaps, body_commit_much},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 6});
}

/* Goal: one of two who want it takes the dead one's line. */
static void test_two_take_over_from_the_dead(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: two take over",
                           .threads = 3,
                           .body = {body_follow_on, body_adopt_perhaps, body_adopt_perhaps},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 6});
}

/* Goal: a late burial does not make a living one's line an orphan. */
static void test_a_late_burial(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: late burial",
                           .threads = 3,
                           .body = {body_follow_on, body_come_again, body_bury},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 6});
}

/* Goal: whoever sleeps is woken by the commit it waits for, also with store buffers; and where a
 * committer dies before it wakes anybody, soon after. */
static void test_sleeping_until_a_commit(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: sleeping",
                           .threads = 2,
                           .body = {body_sleep, body_commit_and_notify},
                           .interruptions = 3,
                           .buffered = true});
}
static void test_sleeping_while_a_committer_dies(void **state)
{
    (void)state;
    search((explore_model){.name = "feed: sleeping, death",
                           .threads = 3,
                           .body = {body_sleep, body_commit_and_notify, body_commit_and_notify},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 5});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_three_claim_lines),
    cmocka_unit_test(test_following_beside_a_committer),
    cmocka_unit_test(test_following_from_a_snapshot),
    cmocka_unit_test(test_a_pin_is_revoked),
    cmocka_unit_test(test_taking_over_from_the_dead),
    cmocka_unit_test(test_taking_over_beside_a_squeeze),
    cmocka_unit_test(test_taking_over_what_is_revoked),
    cmocka_unit_test(test_two_take_over_from_the_dead),
    cmocka_unit_test(test_a_late_burial),
    cmocka_unit_test(test_sleeping_until_a_commit),
    cmocka_unit_test(test_sleeping_while_a_committer_dies),
};

AE_TEST_MAIN(tests)
