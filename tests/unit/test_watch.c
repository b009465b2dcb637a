/* Watches: what they tell of each commit, where they begin and end, and what they cost others.
 *
 * variants: plain asan tsan
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "flights.h"
#include "txn/handles.h"

static const uint32_t key_and_altitude[] = {FLIGHT_ID, FLIGHT_ALTITUDE};

typedef struct watcher {
    aero_query *query;
    aero_watch *watch;
} watcher;

static void watcher_open(watcher *at, aero_session *session, const char *compare, int32_t start,
                         uint64_t position)
{
    assert_ok(session, aero_query_new(session, FLIGHTS, &at->query));
    if (compare != NULL)
        assert_ok(session, aero_query_compare(at->query, compare, strlen(compare)));
    assert_ok(session, aero_watch_open(at->query, start, position, &at->watch));
}

static void watcher_close(watcher *at)
{
    aero_watch_close(at->watch);
    aero_query_free(at->query);
}

/* "key:altitude" of an image, "-" for none. */
static void image_text(aero_watch *watch, const void *image, char *out, size_t room)
{
    aero_value values[2];
    if (image == NULL) {
        snprintf(out, room, "-");
        return;
    }
    assert_int_equal(aero_watch_values(watch, image, 2, key_and_altitude, values), AERO_OK);
    snprintf(out, room, "%.*s:%lld", (int)values[0].length, values[0].u.data,
             (long long)values[1].u.integer);
}

static aero_event event_next(aero_session *session, aero_watch *watch)
{
    aero_event event;
    assert_ok(session, aero_watch_next(watch, &event));
    return event;
}

/* The next event must be of this kind, with these images. */
#define assert_event(session_, watch_, kind_, old_, new_) \
    do { \
        char texts_[2][80]; \
        const aero_event event_ = event_next(session_, watch_); \
        assert_int_equal(event_.kind, kind_); \
        image_text(watch_, event_.old_row, texts_[0], sizeof texts_[0]); \
        image_text(watch_, event_.new_row, texts_[1], sizeof texts_[1]); \
        assert_string_equal(texts_[0], old_); \
        assert_string_equal(texts_[1], new_); \
    } while (0)
#define assert_silent(session_, watch_) assert_event(session_, watch_, AERO_EVENT_NONE, "-", "-")

/* Goal: each kind of change is told with both images and the changed columns.  Method: one of
 * each. */
static void test_each_change_is_told(void **state)
{
    test_store store;
    watcher at;
    (void)state;
    store_open(&store, 8 << 20);
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_silent(store.session, at.watch);
    assert_ok(store.session, flight_insert(store.session, "a", 1));
    assert_ok(store.session, flight_put(store.session, "a", 2));
    assert_ok(store.session, flight_delete(store.session, "a"));
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "a:1");
    const aero_event update = event_next(store.session, at.watch);
    assert_int_equal(update.kind, AERO_EVENT_UPDATE);
    assert_int_equal(update.changed[0], 1u << FLIGHT_LAT | 1u << FLIGHT_LON |
                                            1u << FLIGHT_ALTITUDE | 1u << FLIGHT_UPDATED);
    assert_int_equal(update.last, 1);
    assert_int_equal(update.position, update.number);
    assert_event(store.session, at.watch, AERO_EVENT_DELETE, "a:2", "-");
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    store_close(&store);
}

/* Goal: a transaction's rows once each, after it committed; what is rolled back never.  Method: a
 * transaction that writes rows several times, of two tables' worth of intents. */
static void test_a_transaction_is_told_as_a_whole(void **state)
{
    enum { MANY = 700 };
    test_store store;
    watcher at;
    char name[32];
    (void)state;
    store_open(&store, 8 << 20);
    assert_ok(store.session, flight_insert(store.session, "old", 1));
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    for (uint32_t number = 0; number < MANY; number++)
        assert_ok(store.session, flight_insert(store.session, flight_name(name, number), number));
    assert_ok(store.session, flight_put(store.session, "old", 2));
    assert_ok(store.session, flight_delete(store.session, "old"));
    assert_ok(store.session, flight_insert(store.session, "brief", 1));
    assert_ok(store.session, flight_delete(store.session, "brief"));
    assert_ok(store.session, aero_savepoint(store.session, "s", 1));
    assert_ok(store.session, flight_insert(store.session, "undone", 1));
    assert_ok(store.session, aero_rollback_to(store.session, "s", 1));
    assert_ok(store.session, flight_put(store.session, flight_name(name, 5), 55));
    assert_silent(store.session, at.watch);
    assert_ok(store.session, aero_commit(store.session));
    uint64_t number = 0;
    for (uint32_t index = 0; index < MANY; index++) {
        char text[80];
        char wanted[80];
        const aero_event event = event_next(store.session, at.watch);
        assert_int_equal(event.kind, AERO_EVENT_INSERT);
        image_text(at.watch, event.new_row, text, sizeof text);
        snprintf(wanted, sizeof wanted, "%s:%u", flight_name(name, index), index == 5 ? 55 : index);
        assert_string_equal(text, wanted);
        assert_int_equal(event.last, 0);
        assert_int_equal(event.position, event.number - 1);
        number = event.number;
    }
    const aero_event last = event_next(store.session, at.watch);
    assert_int_equal(last.kind, AERO_EVENT_DELETE);
    assert_int_equal(last.last, 1);
    assert_int_equal(last.number, number);
    assert_int_equal(last.position, number);
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    store_close(&store);
}

/* Goal: a filter is about the row before or after.  Method: a row enters, moves inside, leaves. */
static void test_a_filter_sees_rows_come_and_go(void **state)
{
    test_store store;
    watcher at;
    (void)state;
    store_open(&store, 8 << 20);
    watcher_open(&at, store.session, "{> altitude 100}", AERO_WATCH_NOW, 0);
    assert_ok(store.session, flight_insert(store.session, "a", 1));
    assert_ok(store.session, flight_put(store.session, "a", 200));
    assert_ok(store.session, flight_put(store.session, "a", 300));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(store.session, flight_put(store.session, "a", 5));
    assert_ok(store.session, flight_insert(store.session, "b", 6));
    assert_ok(store.session, aero_commit(store.session));
    assert_ok(store.session, flight_delete(store.session, "a"));
    assert_event(store.session, at.watch, AERO_EVENT_UPDATE, "a:1", "a:200");
    assert_event(store.session, at.watch, AERO_EVENT_UPDATE, "a:200", "a:300");
    const aero_event left = event_next(store.session, at.watch);
    assert_int_equal(left.kind, AERO_EVENT_UPDATE);
    assert_int_equal(left.last, 1); /* what follows in its transaction is of no interest */
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    store_close(&store);
}

/* Goal: a watch that fell behind is told so, holds nobody up, and can begin again.  Method: more
 * commits than the queue has entries. */
static void test_falling_behind_is_told(void **state)
{
    test_store store;
    watcher at;
    (void)state;
    store_open(&store, 4 << 20);
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_ok(store.session, flight_insert(store.session, "a", 0));
    for (int64_t step = 1; step <= 20000; step++) /* as much would not fit if it were kept */
        assert_ok(store.session, flight_put(store.session, "a", step));
    assert_int_equal(event_next(store.session, at.watch).kind, AERO_EVENT_OVERFLOW);
    assert_silent(store.session, at.watch);
    assert_ok(store.session, aero_watch_resync(at.watch));
    assert_event(store.session, at.watch, AERO_EVENT_SNAPSHOT, "-", "a:20000");
    assert_ok(store.session, flight_put(store.session, "a", 7));
    assert_event(store.session, at.watch, AERO_EVENT_LIVE, "-", "-");
    assert_event(store.session, at.watch, AERO_EVENT_UPDATE, "a:20000", "a:7");
    watcher_close(&at);
    store_close(&store);
}

/* Goal: who was killed goes on where it was.  Method: a child watches, is killed after some events;
 * the parent resumes at its position. */
static void test_a_killed_watch_is_resumed(void **state)
{
    test_store store;
    watcher at;
    int pipes[2];
    uint64_t position = 0;
    (void)state;
    store_open(&store, 8 << 20);
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
        assert_int_equal(write(pipes[1], &position, sizeof position), sizeof position);
        for (int seen = 0; seen < 3;) {
            int32_t ready = 0;
            assert_ok(store.session, aero_watch_wait(at.watch, 60000000, &ready));
            const aero_event event = event_next(store.session, at.watch);
            seen += event.kind == AERO_EVENT_INSERT;
            position = event.position;
        }
        assert_int_equal(write(pipes[1], &position, sizeof position), sizeof position);
        for (;;)
            pause();
    }
    char name[32];
    assert_int_equal(read(pipes[0], &position, sizeof position), sizeof position);
    for (uint32_t number = 0; number < 3; number++)
        assert_ok(store.session, flight_insert(store.session, flight_name(name, number), number));
    assert_int_equal(read(pipes[0], &position, sizeof position), sizeof position);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_ok(store.session, flight_insert(store.session, "later", 9));
    /* From its last position, and from one before. */
    watcher_open(&at, store.session, NULL, AERO_WATCH_POSITION, position - 1);
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "f0000002:2");
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "later:9");
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    /* No line in memory keeps it any more, but the log does. */
    watcher_open(&at, store.session, NULL, AERO_WATCH_POSITION, position - 1);
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "f0000002:2");
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "later:9");
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    /* Until it is cut. */
    aero_checkpoint_report report;
    assert_ok(store.session, aero_checkpoint(store.session, &report));
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &at.query));
    assert_status(store.session, AERO_NOT_FOUND,
                  aero_watch_open(at.query, AERO_WATCH_POSITION, position, &at.watch));
    aero_query_free(at.query);
    close(pipes[0]);
    close(pipes[1]);
    store_close(&store);
}

/* Goal: the descriptor wakes an event loop, and is quiet when there is nothing.  Method: poll. */
static void test_the_descriptor_tells_of_news(void **state)
{
    test_store store;
    watcher at;
    int32_t descriptor = -1;
    (void)state;
    store_open(&store, 8 << 20);
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_ok(store.session, aero_watch_descriptor(at.watch, &descriptor));
    struct pollfd poller = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 1);
    for (int64_t round = 0; round < 50; round++) {
        while (event_next(store.session, at.watch).kind != AERO_EVENT_NONE)
            ;
        assert_int_equal(poll(&poller, 1, 0), 0);
        aero_session *other = session_new(&store);
        assert_ok(other, flight_put(other, "a", round));
        aero_session_close(other);
        assert_int_equal(poll(&poller, 1, 60000), 1);
        assert_int_not_equal(event_next(store.session, at.watch).kind, AERO_EVENT_NONE);
    }
    watcher_close(&at);
    store_close(&store);
}

static void count_news(void *context)
{
    atomic_fetch_add((_Atomic uint32_t *)context, 1);
}

static bool news_within(const _Atomic uint32_t *news, uint32_t count, uint32_t milliseconds)
{
    for (uint32_t waited = 0; waited < milliseconds && atomic_load(news) < count; waited++)
        usleep(1000);
    return atomic_load(news) >= count;
}

/* Goal: a hook is called for each piece of news, and not without, nor after the end.  Method: count
 * its calls. */
static void test_the_hook_tells_of_news(void **state)
{
    test_store store;
    watcher at;
    int32_t descriptor = -1;
    _Atomic uint32_t news = 0;
    (void)state;
    store_open(&store, 8 << 20);
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_status(store.session, AERO_USAGE, aero_watch_hook(at.watch, NULL, NULL));
    assert_ok(store.session, aero_watch_hook(at.watch, count_news, (void *)&news));
    assert_status(store.session, AERO_USAGE, aero_watch_hook(at.watch, count_news, (void *)&news));
    assert_status(store.session, AERO_USAGE, aero_watch_descriptor(at.watch, &descriptor));
    assert_int_equal(atomic_load(&news), 1); /* at once */
    aero_session *other = session_new(&store);
    for (int64_t round = 0; round < 50; round++) {
        while (event_next(store.session, at.watch).kind != AERO_EVENT_NONE)
            ;
        const uint32_t before = atomic_load(&news);
        assert_false(news_within(&news, before + 1, round == 0 ? 250 : 1));
        assert_ok(other, flight_put(other, "a", round));
        assert_true(news_within(&news, before + 1, 60000));
        assert_int_not_equal(event_next(store.session, at.watch).kind, AERO_EVENT_NONE);
    }
    while (event_next(store.session, at.watch).kind != AERO_EVENT_NONE)
        ;
    watcher_close(&at);
    const uint32_t before = atomic_load(&news);
    assert_ok(other, flight_put(other, "a", 51));
    assert_false(news_within(&news, before + 1, 20));
    aero_session_close(other);
    store_close(&store);
}

/* Goal: handles end well.  Method: close the session first; use in a child; too many. */
static void test_handles_end_well(void **state)
{
    enum { MOST = 64 };
    test_store store;
    watcher at[MOST + 1];
    aero_event event;
    (void)state;
    store_open(&store, 8 << 20);
    aero_session *other = session_new(&store);
    watcher_open(&at[0], other, NULL, AERO_WATCH_SNAPSHOT, 0);
    int32_t descriptor = -1;
    assert_ok(other, aero_watch_descriptor(at[0].watch, &descriptor));
    aero_session_close(other);
    assert_int_equal(aero_watch_next(at[0].watch, &event), AERO_STALE);
    watcher_close(&at[0]);
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &at[0].query));
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_status(store.session, AERO_USAGE,
                  aero_watch_open(at[0].query, AERO_WATCH_NOW, 0, &at[0].watch));
    assert_ok(store.session, aero_rollback(store.session));
    aero_query_free(at[0].query);
    for (uint32_t index = 0; index < MOST; index++)
        watcher_open(&at[index], store.session, NULL, AERO_WATCH_NOW, 0);
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &at[MOST].query));
    assert_status(store.session, AERO_LIMIT,
                  aero_watch_open(at[MOST].query, AERO_WATCH_NOW, 0, &at[MOST].watch));
    aero_query_free(at[MOST].query);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const bool stale = aero_watch_next(at[0].watch, &event) == AERO_STALE;
        aero_watch_close(at[0].watch); /* its line is the parent's */
        _exit(stale ? 0 : 1);
    }
    child_join(child);
    assert_ok(store.session, aero_query_new(store.session, FLIGHTS, &at[MOST].query));
    assert_status(store.session, AERO_LIMIT,
                  aero_watch_open(at[MOST].query, AERO_WATCH_NOW, 0, &at[MOST].watch));
    aero_query_free(at[MOST].query);
    assert_ok(store.session, flight_put(store.session, "a", 1));
    assert_event(store.session, at[0].watch, AERO_EVENT_INSERT, "-", "a:1");
    for (uint32_t index = 0; index < MOST; index++)
        watcher_close(&at[index]);
    store_close(&store);
}

/* Goal: one key deleted and inserted again in one transaction is one row that changed, and what
 * came and went in it was never there.  Method: each such order of writes. */
static void test_a_key_that_comes_again_is_one_change(void **state)
{
    test_store store;
    watcher at;
    (void)state;
    store_open(&store, 8 << 20);
    assert_ok(store.session, flight_insert(store.session, "a", 1));
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(store.session, flight_delete(store.session, "a"));
    assert_ok(store.session, flight_insert(store.session, "a", 2));
    assert_ok(store.session, flight_insert(store.session, "b", 1));
    assert_ok(store.session, flight_delete(store.session, "b"));
    assert_ok(store.session, flight_insert(store.session, "b", 2));
    assert_ok(store.session, flight_insert(store.session, "c", 1));
    assert_ok(store.session, flight_delete(store.session, "c"));
    assert_ok(store.session, aero_commit(store.session));
    assert_event(store.session, at.watch, AERO_EVENT_UPDATE, "a:1", "a:2");
    assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "b:2");
    assert_silent(store.session, at.watch);
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(store.session, flight_delete(store.session, "a"));
    assert_ok(store.session, flight_insert(store.session, "a", 3));
    assert_ok(store.session, flight_delete(store.session, "a"));
    assert_ok(store.session, aero_commit(store.session));
    assert_event(store.session, at.watch, AERO_EVENT_DELETE, "a:2", "-");
    assert_silent(store.session, at.watch);
    watcher_close(&at);
    store_close(&store);
}

/* Change all rows in one transaction. */
static void change_all(aero_session *session, uint32_t rows, int64_t altitude)
{
    char name[32];
    assert_ok(session, aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    for (uint32_t number = 0; number < rows; number++)
        assert_ok(session, flight_put(session, flight_name(name, number), altitude));
    assert_ok(session, aero_commit(session));
}

/* Goal: who keeps up misses nothing, though what it has read is kept for a while, and memory is
 * short.  Method: transactions of which a segment holds only a few dozen. */
static void test_what_was_told_gives_way_to_writers(void **state)
{
    enum { ROWS = 300, TURNS = 150 };
    test_store store;
    watcher at;
    (void)state;
    store_open(&store, 4 << 20);
    change_all(store.session, ROWS, 0);
    watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
    for (int64_t turn = 1; turn <= TURNS; turn++) {
        change_all(store.session, ROWS, turn);
        for (uint32_t number = 0; number < ROWS; number++)
            assert_int_equal(event_next(store.session, at.watch).kind, AERO_EVENT_UPDATE);
        assert_silent(store.session, at.watch);
    }
    watcher_close(&at);
    store_close(&store);
}

/* Goal: a stopped watch costs no writer anything, however much each commit writes; it is told what
 * happened.  Method: one that is stopped while many times the segment is written. */
static void test_a_stopped_watch_gives_way_to_writers(void **state)
{
    enum { ROWS = 300, TURNS = 150 };
    test_store store;
    watcher at;
    int pipes[2];
    char byte = 0;
    (void)state;
    store_open(&store, 4 << 20);
    change_all(store.session, ROWS, 0);
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
        assert_int_equal(write(pipes[1], &byte, 1), 1);
        raise(SIGSTOP);
        assert_int_equal(event_next(store.session, at.watch).kind, AERO_EVENT_OVERFLOW);
        assert_silent(store.session, at.watch);
        watcher_close(&at);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    for (int64_t turn = 1; turn <= TURNS; turn++)
        change_all(store.session, ROWS, turn);
    kill(child, SIGCONT);
    child_join(child);
    close(pipes[0]);
    close(pipes[1]);
    store_close(&store);
}

/* Watch in a child that is killed after so many events; returns its position. */
static uint64_t killed_after(test_store *store, uint32_t events)
{
    watcher at;
    int pipes[2];
    char name[32];
    uint64_t position = 0;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        watcher_open(&at, store->session, NULL, AERO_WATCH_NOW, 0);
        assert_int_equal(write(pipes[1], &position, sizeof position), sizeof position);
        for (uint32_t seen = 0; seen < events;) {
            int32_t ready = 0;
            assert_ok(store->session, aero_watch_wait(at.watch, 60000000, &ready));
            const aero_event event = event_next(store->session, at.watch);
            seen += event.kind != AERO_EVENT_NONE;
            position = event.position;
        }
        assert_int_equal(write(pipes[1], &position, sizeof position), sizeof position);
        for (;;)
            pause();
    }
    assert_int_equal(read(pipes[0], &position, sizeof position), sizeof position);
    for (uint32_t number = 0; number < events; number++)
        assert_ok(store->session, flight_put(store->session, flight_name(name, number), 1));
    assert_int_equal(read(pipes[0], &position, sizeof position), sizeof position);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipes[0]);
    close(pipes[1]);
    return position;
}

/* Goal: of two that were killed, each can go on, whoever comes first.  Method: the later position
 * first: the line of the other would do for it, too. */
static void test_two_killed_watches_are_resumed_in_any_order(void **state)
{
    test_store store;
    watcher older;
    watcher newer;
    (void)state;
    store_open(&store, 8 << 20);
    const uint64_t first = killed_after(&store, 3);
    const uint64_t second = killed_after(&store, 4);
    assert_true(first < second);
    watcher_open(&newer, store.session, NULL, AERO_WATCH_POSITION, second);
    watcher_open(&older, store.session, NULL, AERO_WATCH_POSITION, first);
    assert_silent(store.session, newer.watch);
    for (uint32_t number = 0; number < 4; number++)
        assert_int_not_equal(event_next(store.session, older.watch).kind, AERO_EVENT_NONE);
    assert_silent(store.session, older.watch);
    watcher_close(&older);
    watcher_close(&newer);
    store_close(&store);
}

/* Goal: a wake-up that never comes, because the committer is killed or stopped before it, delays
 * the news, but not for as long as one would wait.  Method: take the flag away that it looks at. */
static void test_a_lost_wake_up_is_made_good(void **state)
{
    test_store store;
    watcher at;
    int32_t ready = 0;
    (void)state;
    store_open(&store, 8 << 20);
    ae_proc_shared *shared = store.db->proc.shared;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        watcher_open(&at, store.session, NULL, AERO_WATCH_NOW, 0);
        assert_ok(store.session, aero_watch_wait(at.watch, 3600000000, &ready));
        assert_int_equal(ready, 1);
        assert_event(store.session, at.watch, AERO_EVENT_INSERT, "-", "a:1");
        watcher_close(&at);
        _exit(0);
    }
    while (!ae_cas32(&shared->feed_waiting, 1, 0))
        sched_yield();
    assert_ok(store.session, flight_put(store.session, "a", 1));
    child_join(child); /* within the test's time limit, or not */
    store_close(&store);
}

/* Goal: what a segment says about watches is checked before it is used.  Method: more lines than
 * there can be. */
static void test_a_damaged_count_of_watches_is_refused(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 8 << 20);
    aero_db *other = NULL;
    const aero_open_options options = {.data_dir = store.data_dir, .shm_path = store.segment};
    ae_store32(&store.db->proc.shared->feed_high, AE_FEEDS + 1);
    assert_int_equal(aero_open(&options, &other, &store.error), AERO_CORRUPT);
    ae_store32(&store.db->proc.shared->feed_high, 0);
    store_close(&store);
}

/* ---- replaying ------------------------------------------------------------------------------ */

enum { KEYS = 60, WRITERS = 3 };

/* Altitudes by key number, FLIGHT_NONE where there is no row. */
typedef struct mirror {
    int64_t altitude[KEYS];
} mirror;

static void mirror_apply(aero_watch *watch, const aero_event *event, mirror *copy)
{
    const void *image = event->new_row != NULL ? event->new_row : event->old_row;
    aero_value values[2];
    if (image == NULL)
        return;
    assert_int_equal(aero_watch_values(watch, image, 2, key_and_altitude, values), AERO_OK);
    const uint64_t number = strtoull(values[0].u.data + 1, NULL, 10);
    assert_true(number < KEYS);
    copy->altitude[number] = event->new_row != NULL ? values[1].u.integer : FLIGHT_NONE;
}

static void writer_run(test_store *store, uint64_t seed, uint32_t steps)
{
    uint64_t random = seed;
    char name[32];
    for (uint32_t step = 0; step < steps;) {
        const uint64_t what = next_random(&random);
        aero_status status = aero_begin(store->session, AERO_ISOLATION_SERIALIZABLE);
        for (uint64_t left = 1 + what % 4; status == AERO_OK && left > 0; left--) {
            flight_name(name, next_random(&random) % KEYS);
            if (next_random(&random) % 4 != 0)
                status = flight_put(store->session, name, (int64_t)(next_random(&random) % 1000));
            else if ((status = flight_delete(store->session, name)) == AERO_NOT_FOUND)
                status = AERO_OK;
        }
        if (status == AERO_OK)
            status = aero_commit(store->session);
        else
            assert_ok(store->session, aero_rollback(store->session));
        step += status == AERO_OK;
    }
}

/* Goal: the events on top of the snapshot are the table, whoever writes.  Method: writers in forked
 * processes; a watch from the middle of it; in the end the mirror equals the rows, key by key, and
 * commit numbers never fall. */
static void test_replaying_gives_the_table(void **state)
{
    const uint32_t steps = 3000;
    uint64_t random = test_seed("replay");
    test_store store;
    watcher at;
    mirror copy;
    pid_t children[WRITERS];
    (void)state;
    store_open(&store, 32 << 20);
    for (uint32_t number = 0; number < WRITERS; number++) {
        const uint64_t seed = next_random(&random);
        fflush(NULL);
        children[number] = fork();
        assert_true(children[number] >= 0);
        if (children[number] == 0) {
            writer_run(&store, seed, steps);
            _exit(0);
        }
    }
    while (row_count(store.session, FLIGHTS) == 0)
        ;
    watcher_open(&at, store.session, NULL, AERO_WATCH_SNAPSHOT, 0);
    for (uint32_t key = 0; key < KEYS; key++)
        copy.altitude[key] = FLIGHT_NONE;
    uint64_t last = 0;
    for (uint32_t left = WRITERS; left > 0;) {
        int32_t ready = 0;
        assert_ok(store.session, aero_watch_wait(at.watch, 1000, &ready));
        for (;;) {
            const aero_event event = event_next(store.session, at.watch);
            if (event.kind == AERO_EVENT_NONE)
                break;
            if (event.kind == AERO_EVENT_OVERFLOW) { /* a slow machine: from the start */
                assert_ok(store.session, aero_watch_resync(at.watch));
                for (uint32_t key = 0; key < KEYS; key++)
                    copy.altitude[key] = FLIGHT_NONE;
            }
            assert_true(event.number >= last);
            last = event.number;
            mirror_apply(at.watch, &event, &copy);
        }
        while (left > 0 && waitpid(-1, NULL, WNOHANG) > 0)
            left--;
    }
    for (;;) { /* what was committed between the last look and the last exit */
        const aero_event event = event_next(store.session, at.watch);
        if (event.kind == AERO_EVENT_NONE)
            break;
        assert_int_not_equal(event.kind, AERO_EVENT_OVERFLOW);
        mirror_apply(at.watch, &event, &copy);
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        char name[32];
        assert_int_equal(flight_get(store.session, flight_name(name, key)), copy.altitude[key]);
    }
    watcher_close(&at);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_change_is_told),
    cmocka_unit_test(test_a_transaction_is_told_as_a_whole),
    cmocka_unit_test(test_a_filter_sees_rows_come_and_go),
    cmocka_unit_test(test_falling_behind_is_told),
    cmocka_unit_test(test_a_killed_watch_is_resumed),
    cmocka_unit_test(test_the_descriptor_tells_of_news),
    cmocka_unit_test(test_the_hook_tells_of_news),
    cmocka_unit_test(test_handles_end_well),
    cmocka_unit_test(test_a_key_that_comes_again_is_one_change),
    cmocka_unit_test(test_what_was_told_gives_way_to_writers),
    cmocka_unit_test(test_a_stopped_watch_gives_way_to_writers),
    cmocka_unit_test(test_two_killed_watches_are_resumed_in_any_order),
    cmocka_unit_test(test_a_lost_wake_up_is_made_good),
    cmocka_unit_test(test_a_damaged_count_of_watches_is_refused),
    cmocka_unit_test(test_replaying_gives_the_table),
};

AE_TEST_MAIN(tests)
