/* Watches beside writers, while both are killed: the events on top of the snapshot are the table.
 *
 * Four writers change the same rows at random: single rows, transactions, large ones, rolled-back
 * ones, savepoints.  Three watchers, each with a filter, keep a copy of the rows it lets through,
 * in memory that outlives them.  The first is slow and falls behind; the last is killed again and
 * again, and its successor goes on at its position.  Writers are killed, too.  Each event must fit
 * the copy: no repeat, no gap, the old image is what the copy has.  In the end every copy is what
 * its filter lets through of the table.  $AE_WATCH_KILLS sets the number of kills (60).
 *
 * variants: plain
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "flights.h"

enum { KEYS = 300, WRITERS = 4, WATCHERS = 3, SLOW = 0, KILLED = 2 };

/* What one watcher knows of a key, and from which commit. */
typedef struct known {
    int64_t altitude;
    uint64_t number;
} known;

typedef struct copy {
    known of[KEYS];
    _Atomic uint64_t position; /* of the last event */
    _Atomic uint32_t live;     /* the snapshot is complete */
    uint64_t events;
    uint64_t overflows;
    uint64_t resumed;
    uint64_t refused; /* resumed too late: began anew */
} copy;

typedef struct board {
    _Atomic uint32_t ended; /* 1: the writers end; 2: they have */
    copy copies[WATCHERS];
} board;

static const char *const filters[WATCHERS] = {"{< altitude 500}", "{match flight f*7}",
                                              "{>= altitude 250} {< altitude 750}"};

static bool passes(uint32_t watcher, uint64_t key, int64_t altitude)
{
    if (altitude == FLIGHT_NONE)
        return false;
    switch (watcher) {
    case 0:
        return altitude < 500;
    case 1:
        return key % 10 == 7;
    default:
        return altitude >= 250 && altitude < 750;
    }
}

static void nap_us(uint64_t microseconds)
{
    const struct timespec span = {.tv_sec = (time_t)(microseconds / 1000000),
                                  .tv_nsec = (long)(microseconds % 1000000) * 1000};
    nanosleep(&span, NULL);
}

static board *board_new(void)
{
    board *made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                       0);
    assert_ptr_not_equal(made, MAP_FAILED);
    return made;
}

/* ---- writers -------------------------------------------------------------------------------- */

static aero_status change_one(aero_session *session, uint64_t what)
{
    char name[32];
    flight_name(name, what % KEYS);
    if ((what >> 16) % 4 != 0)
        return flight_put(session, name, (int64_t)((what >> 24) % 1000));
    const aero_status status = flight_delete(session, name);
    return status == AERO_NOT_FOUND ? AERO_OK : status;
}

static aero_status change_several(aero_session *session, uint64_t what, uint64_t *random)
{
    const uint32_t writes = what % 64 == 1 ? 400 : 2 + (uint32_t)(what >> 8) % 6;
    aero_status status = aero_begin(session, AERO_ISOLATION_SNAPSHOT);
    for (uint32_t step = 0; step < writes && status == AERO_OK; step++) {
        if (what % 5 == 2 && step == writes / 2)
            assert_ok(session, aero_savepoint(session, "s", 1));
        status = change_one(session, next_random(random));
    }
    if (status == AERO_OK && what % 5 == 2)
        status = aero_rollback_to(session, "s", 1);
    if (status == AERO_OK && what % 11 != 3)
        return aero_commit(session);
    assert_ok(session, aero_rollback(session));
    return status;
}

static void writer_run(test_store *store, const board *shared, uint64_t random)
{
    while (atomic_load(&shared->ended) == 0) {
        const uint64_t what = next_random(&random);
        const aero_status status = what % 3 == 0 ? change_several(store->session, what, &random)
                                                 : change_one(store->session, what);
        if (status != AERO_CONFLICT)
            assert_ok(store->session, status);
        if (what % 8 == 5)
            nap_us(200);
    }
}

/* ---- watchers ------------------------------------------------------------------------------- */

typedef struct watcher {
    aero_session *session;
    aero_query *query;
    aero_watch *watch;
    copy *of;
    uint32_t number;
    uint64_t begun; /* position it went on from */
    uint64_t first; /* commit of the first event after that: its predecessor may have told it */
    uint64_t last;  /* commit of the last event */
} watcher;

static void forget_all(copy *of)
{
    atomic_store(&of->live, 0);
    for (uint32_t key = 0; key < KEYS; key++)
        of->of[key] = (known){.altitude = FLIGHT_NONE};
}

static int64_t altitude_of(const watcher *at, const void *image, uint64_t *key)
{
    static const uint32_t columns[] = {FLIGHT_ID, FLIGHT_ALTITUDE};
    aero_value values[2];
    if (image == NULL)
        return FLIGHT_NONE;
    assert_int_equal(aero_watch_values(at->watch, image, 2, columns, values), AERO_OK);
    *key = strtoull(values[0].u.data + 1, NULL, 10);
    assert_true(*key < KEYS);
    return values[1].u.integer;
}

/* A change: it follows what is known. */
static void change_apply(watcher *at, const aero_event *event)
{
    uint64_t key = 0;
    const int64_t old = altitude_of(at, event->old_row, &key);
    const int64_t new = altitude_of(at, event->new_row, &key);
    known *mine = &at->of->of[key];
    const int64_t before = passes(at->number, key, old) ? old : FLIGHT_NONE;
    const int64_t after = passes(at->number, key, new) ? new : FLIGHT_NONE;
    if (at->begun != 0 && at->first == 0)
        at->first = event->number;
    const bool fits = mine->number < event->number && mine->altitude == before;
    if (event->number <= at->begun || event->number < at->last ||
        (before == FLIGHT_NONE && after == FLIGHT_NONE) || !(fits || event->number == at->first))
        fail_msg("watcher %u: commit %" PRIu64 " of key %" PRIu64 " (%" PRId64 " to %" PRId64
                 ") does not follow %" PRId64 " of commit %" PRIu64,
                 at->number, event->number, key, old, new, mine->altitude, mine->number);
    mine->altitude = after;
    mine->number = event->number;
    at->last = event->number;
}

static void event_apply(watcher *at, const aero_event *event)
{
    uint64_t key = 0;
    int64_t altitude = 0;
    at->of->events++;
    switch (event->kind) {
    case AERO_EVENT_OVERFLOW:
        at->of->overflows++;
        forget_all(at->of);
        assert_ok(at->session, aero_watch_resync(at->watch));
        return;
    case AERO_EVENT_SNAPSHOT:
        altitude = altitude_of(at, event->new_row, &key);
        assert_true(passes(at->number, key, altitude));
        assert_int_equal(at->of->of[key].altitude, FLIGHT_NONE);
        at->of->of[key] = (known){altitude, event->number};
        break;
    case AERO_EVENT_LIVE:
        atomic_store(&at->of->live, 1);
        break;
    default:
        change_apply(at, event);
    }
    atomic_store(&at->of->position, event->position);
}

/* Go on where the predecessor was killed; the event it was busy with may be half in the copy. */
static void watch_resume(watcher *at)
{
    copy *of = at->of;
    const uint64_t position = atomic_load(&of->position);
    if (atomic_load(&of->live) == 0 ||
        aero_watch_open(at->query, AERO_WATCH_POSITION, position, &at->watch) != AERO_OK) {
        of->refused += atomic_load(&of->live);
        forget_all(of);
        assert_ok(at->session, aero_watch_open(at->query, AERO_WATCH_SNAPSHOT, 0, &at->watch));
        return;
    }
    of->resumed++;
    at->begun = position;
}

static void watcher_run(test_store *store, board *shared, uint32_t number, bool resumes)
{
    watcher at = {.session = store->session, .of = &shared->copies[number], .number = number};
    aero_event event;
    int32_t ready = 0;
    assert_ok(at.session, aero_query_new(at.session, FLIGHTS, &at.query));
    assert_ok(at.session, aero_query_compare(at.query, filters[number], strlen(filters[number])));
    if (resumes) {
        watch_resume(&at);
    } else {
        forget_all(at.of);
        assert_ok(at.session, aero_watch_open(at.query, AERO_WATCH_SNAPSHOT, 0, &at.watch));
    }
    for (;;) {
        const uint32_t ended = atomic_load(&shared->ended);
        assert_ok(at.session, aero_watch_next(at.watch, &event));
        if (event.kind == AERO_EVENT_NONE && ended == 2)
            break;
        if (event.kind == AERO_EVENT_NONE)
            assert_ok(at.session, aero_watch_wait(at.watch, 50000, &ready));
        else
            event_apply(&at, &event);
        if (number == SLOW && ended == 0)
            nap_us(500);
    }
    aero_watch_close(at.watch);
    aero_query_free(at.query);
}

/* ---- the play ------------------------------------------------------------------------------- */

static pid_t start(test_store *store, board *shared, uint32_t number, uint64_t seed, bool resumes)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* when a check of the parent fails */
    if (number < WRITERS)
        writer_run(store, shared, seed);
    else
        watcher_run(store, shared, number - WRITERS, resumes);
    _exit(0);
}

static void kill_one(pid_t child)
{
    int status = 0;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFSIGNALED(status))
        fail_msg("a process ended by itself with status %x", (unsigned)status);
}

static void copy_check(test_store *store, const copy *of, uint32_t watcher)
{
    printf("watcher %u: %" PRIu64 " events, %" PRIu64 " overflows, resumed %" PRIu64
           " times, too late %" PRIu64 " times\n",
           watcher, of->events, of->overflows, of->resumed, of->refused);
    assert_int_equal(atomic_load(&of->live), 1);
    for (uint32_t key = 0; key < KEYS; key++) {
        char name[32];
        const int64_t altitude = flight_get(store->session, flight_name(name, key));
        const int64_t wanted = passes(watcher, key, altitude) ? altitude : FLIGHT_NONE;
        if (of->of[key].altitude != wanted)
            fail_msg("watcher %u: key %u is %" PRId64 ", not %" PRId64, watcher, key, wanted,
                     of->of[key].altitude);
    }
}

/* Goal: exactly once, in order, for who keeps up; told, and whole again, for who does not; across
 * the deaths of both sides.  Method: as described at the top. */
static void test_copies_are_the_table_whoever_is_killed(void **state)
{
    const char *wish = getenv("AE_WATCH_KILLS");
    const uint64_t kills = wish != NULL ? strtoull(wish, NULL, 10) : 60;
    uint64_t random = test_seed("watch kills");
    test_store store;
    pid_t children[WRITERS + WATCHERS];
    (void)state;
    store_open(&store, 64 << 20);
    board *shared = board_new();
    for (uint32_t number = 0; number < WRITERS + WATCHERS; number++)
        children[number] = start(&store, shared, number, next_random(&random), false);
    for (uint64_t kill = 0; kill < kills; kill++) {
        /* A random instant, not a synchronisation.  Every other time it is the watcher. */
        const uint64_t victim = kill % 2 == 0 ? WRITERS + KILLED : next_random(&random) % WRITERS;
        nap_us(next_random(&random) % 60000);
        kill_one(children[victim]);
        children[victim] = start(&store, shared, (uint32_t)victim, next_random(&random), true);
    }
    atomic_store(&shared->ended, 1);
    for (uint32_t number = 0; number < WRITERS; number++)
        child_join(children[number]);
    atomic_store(&shared->ended, 2);
    for (uint32_t number = WRITERS; number < WRITERS + WATCHERS; number++)
        child_join(children[number]);
    for (uint32_t number = 0; number < WATCHERS; number++)
        copy_check(&store, &shared->copies[number], number);
    munmap(shared, sizeof *shared);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_copies_are_the_table_whoever_is_killed),
};

AE_TEST_MAIN(tests)
