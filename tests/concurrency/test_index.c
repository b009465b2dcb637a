/* Ordered indexes under many writers: threads with sessions on one handle, and forked processes.
 *
 * Rows move through key space all the time, and every snapshot must find each of them exactly once
 * in every index, as a scan of the same snapshot does.  Unique values are fought for; indexes are
 * made and dropped meanwhile.
 *
 * variants: plain asan tsan
 * links: * generated/market
 */
#include <pthread.h>
#include <stdatomic.h>

#include "index_probe.h"

enum { INSTRUMENT = 0, TRADE = 1, SYMBOL = 0, ISIN = 1, TITLE = 2, SECTOR = 3 };
enum { TRADE_ID = 0, TRADE_SYMBOL = 1, PRICE = 2, AMOUNT = 3, VENUE = 8, ACCOUNT = 9 };
enum { PLACED_AT = 10, NOTE = 14 };
enum { ROWS = 300, WRITERS = 3, VALUES = 12, VALUES_MAX = 40 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
enum { MOVES = 700, LOOKS = 25, FIGHTS = 400, MAKINGS = 6 };
#else
enum { MOVES = 8000, LOOKS = 120, FIGHTS = 4000, MAKINGS = 40 };
#endif

typedef struct worker {
    aero_db *db;
    uint32_t number;
    uint64_t seed;
    _Atomic uint32_t *running; /* writers that have not ended */
    const char *wrong;
    char text[200];
} worker;

#define WRONG(worker_, ...) \
    do { \
        snprintf((worker_)->text, sizeof(worker_)->text, __VA_ARGS__); \
        (worker_)->wrong = (worker_)->text; \
        goto done; \
    } while (0)

/* A row somewhere in key space: everything follows from `place`. */
static aero_status trade_place(aero_session *session, int64_t id, uint64_t place)
{
    char symbol[32];
    char note[64];
    int32_t flag = 0;
    const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, PRICE,     AMOUNT,
                                VENUE,    ACCOUNT,      PLACED_AT, NOTE};
    snprintf(symbol, sizeof symbol, "S%u", (unsigned)(place % VALUES_MAX));
    snprintf(note, sizeof note, "a note that is not short: %u", (unsigned)(place % 100));
    const aero_value values[] = {v_int(id),
                                 v_text(symbol),
                                 v_real((double)(place % 1000)),
                                 v_int(5),
                                 v_int((int64_t)(place % 7)),
                                 v_int((int64_t)(place % 90)),
                                 v_int((int64_t)place),
                                 v_text(note)};
    return aero_upsert(session, TRADE, 8, columns, values, &flag);
}

/* Move rows, alone and several at once; roll some back. */
static const char *move_rows(aero_session *session, worker *mine)
{
    uint64_t random = mine->seed;
    for (uint32_t move = 0; move < MOVES; move++) {
        const int64_t id = (int64_t)(next_random(&random) % ROWS);
        const uint64_t what = next_random(&random) % 16;
        aero_status status = AERO_OK;
        int32_t flag = 0;
        if (what == 0) {
            const aero_value key = v_int(id);
            status = aero_delete(session, TRADE, &key, &flag);
        } else if (what < 4) {
            status = aero_begin(session, AERO_ISOLATION_SNAPSHOT);
            for (int64_t row = 0; row < 5 && status == AERO_OK; row++)
                status = trade_place(session, (id + row) % ROWS, next_random(&random) % 5000);
            if (status == AERO_OK && what == 1)
                status = aero_rollback(session);
            else if (status == AERO_OK)
                status = aero_commit(session);
            if (status == AERO_CONFLICT) {
                (void)aero_rollback(session);
                status = AERO_OK;
            }
        } else {
            status = trade_place(session, id, next_random(&random) % 5000);
        }
        if (status != AERO_OK)
            WRONG(mine, "move: %d %s", status, aero_session_error(session)->text);
    }
done:
    return mine->wrong;
}

static void *mover(void *context)
{
    worker *mine = context;
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(mine->db, &session, &error) != AERO_OK) {
        mine->wrong = "no session";
    } else {
        (void)move_rows(session, mine);
        aero_session_close(session);
    }
    atomic_fetch_sub_explicit(mine->running, 1, memory_order_release);
    return NULL;
}

static void *looker(void *context)
{
    worker *mine = context;
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(mine->db, &session, &error) != AERO_OK) {
        mine->wrong = "no session";
        return NULL;
    }
    for (uint32_t look = 0; look < LOOKS && mine->wrong == NULL; look++) {
        /* Sometimes two looks at one snapshot. */
        if (look % 2 == 0 && aero_begin(session, AERO_ISOLATION_READ_ONLY) != AERO_OK)
            mine->wrong = "begin";
        for (uint32_t turn = 0; turn < 2 && mine->wrong == NULL; turn++)
            mine->wrong = probe_indexes(session, TRADE, &mine->seed, 4);
        if (look % 2 == 0)
            (void)aero_rollback(session);
    }
    aero_session_close(session);
    return NULL;
}

/* Make and drop indexes while rows move. */
static void *maker(void *context)
{
    static const uint32_t columns[][2] = {{ACCOUNT, 0}, {NOTE, 0}, {PRICE, ACCOUNT}};
    static const uint32_t counts[] = {1, 1, 2};
    worker *mine = context;
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(mine->db, &session, &error) != AERO_OK) {
        mine->wrong = "no session";
        return NULL;
    }
    for (uint32_t making = 0; making < MAKINGS; making++) {
        const uint32_t which = making % 3;
        aero_status status = aero_index_create(session, TRADE, counts[which], columns[which], 0);
        if (status != AERO_OK)
            WRONG(mine, "create: %d %s", status, aero_session_error(session)->text);
        mine->wrong = probe_indexes(session, TRADE, &mine->seed, 3);
        if (mine->wrong != NULL)
            goto done;
        status = aero_index_drop(session, TRADE, counts[which], columns[which]);
        if (status != AERO_OK)
            WRONG(mine, "drop: %d %s", status, aero_session_error(session)->text);
    }
done:
    aero_session_close(session);
    return NULL;
}

/* Goal: a snapshot's search finds each row exactly once while keys move and indexes come and go.
 * Method: threads that move, look, and make. */
static void test_each_row_is_found_once_while_keys_move(void **state)
{
    test_store store;
    pthread_t threads[WRITERS + 2];
    worker workers[WRITERS + 2];
    _Atomic uint32_t running = WRITERS;
    uint64_t seed = test_seed("moving");
    (void)state;
    store_open(&store, 128 << 20);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_ok(store.session, trade_place(store.session, row, row));
    for (uint32_t index = 0; index < WRITERS + 2; index++) {
        workers[index] = (worker){
            .db = store.db, .number = index, .seed = next_random(&seed), .running = &running};
        assert_int_equal(pthread_create(&threads[index], NULL,
                                        index < WRITERS    ? mover
                                        : index == WRITERS ? looker
                                                           : maker,
                                        &workers[index]),
                         0);
    }
    for (uint32_t index = 0; index < WRITERS + 2; index++)
        pthread_join(threads[index], NULL);
    for (uint32_t index = 0; index < WRITERS + 2; index++)
        if (workers[index].wrong != NULL)
            fail_msg("worker %u: %s", index, workers[index].wrong);
    const char *wrong = probe_indexes(store.session, TRADE, &seed, 10);
    if (wrong != NULL)
        fail_msg("at the end: %s", wrong);
    store_close(&store);
}

/* Goal: forked writers leave exactly the entries of the rows that are there, and the parent, who
 * looks all the time, sees the children's inserts. */
static void test_forked_writers_leave_exactly_the_entries(void **state)
{
    test_store store;
    pid_t children[WRITERS];
    _Atomic uint32_t running = WRITERS;
    uint64_t seed = test_seed("forked");
    (void)state;
    store_open(&store, 128 << 20);
    for (uint32_t index = 0; index < WRITERS; index++) {
        worker mine = {
            .db = store.db, .number = index, .seed = next_random(&seed), .running = &running};
        fflush(NULL);
        children[index] = fork();
        assert_true(children[index] >= 0);
        if (children[index] == 0) {
            alarm(300);
            const char *wrong = move_rows(store.session, &mine);
            /* A mark that the parent looks for. */
            if (wrong == NULL &&
                trade_place(store.session, 100000 + index, 9000000 + index) != AERO_OK)
                wrong = "mark";
            if (wrong != NULL) {
                printf("child %u: %s\n", index, wrong);
                fflush(NULL);
            }
            _exit(wrong == NULL ? 0 : 1);
        }
    }
    for (uint32_t look = 0; look < LOOKS / 2; look++) {
        const char *wrong = probe_indexes(store.session, TRADE, &seed, 3);
        if (wrong != NULL)
            fail_msg("parent: %s", wrong);
    }
    for (uint32_t index = 0; index < WRITERS; index++)
        child_join(children[index]);
    const uint32_t column = PLACED_AT;
    aero_value low;
    aero_value high;
    int32_t found = 0;
    assert_ok(store.session,
              aero_index_span(store.session, TRADE, 1, &column, &low, &high, &found));
    assert_true(found && high.u.integer == (9000000 + WRITERS - 1) * 1000000LL);
    const char *wrong = probe_indexes(store.session, TRADE, &seed, 10);
    if (wrong != NULL)
        fail_msg("at the end: %s", wrong);
    store_close(&store);
}

/* ---- unique --------------------------------------------------------------------------------- */

/* Take a value for a row, or give it up. */
static aero_status isin_set(aero_session *session, uint32_t row, uint32_t value)
{
    char symbol[16];
    char isin[32];
    int32_t flag = 0;
    const uint32_t columns[] = {SYMBOL, ISIN};
    snprintf(symbol, sizeof symbol, "I%u", row);
    snprintf(isin, sizeof isin, "XX%010u", value);
    const aero_value values[] = {v_text(symbol),
                                 value == 0 ? (aero_value){.type = AERO_TYPE_NULL} : v_text(isin)};
    return aero_upsert(session, INSTRUMENT, 2, columns, values, &flag);
}

/* Every value that is held is held once, in this snapshot. */
static const char *values_alone(aero_session *session)
{
    const uint32_t isin = ISIN;
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    const aero_row *row = NULL;
    bool held[VALUES_MAX] = {false};
    const char *wrong = NULL;
    if (aero_query_new(session, INSTRUMENT, &query) != AERO_OK ||
        aero_cursor_open(query, &cursor) != AERO_OK)
        return "cursor";
    while (wrong == NULL && aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        aero_value value;
        aero_row_values(row, 1, &isin, &value);
        if (value.type == AERO_TYPE_NULL)
            continue;
        char text[16] = {0};
        memcpy(text, value.u.data, value.length < 15 ? value.length : 15);
        const unsigned number = (unsigned)atoi(text + 2);
        if (number == 0 || number >= VALUES_MAX || held[number])
            wrong = "a value is held twice";
        else
            held[number] = true;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    return wrong;
}

static const char *fight(aero_session *session, uint64_t random, uint32_t *taken)
{
    for (uint32_t turn = 0; turn < FIGHTS; turn++) {
        const uint32_t row = (uint32_t)(next_random(&random) % (3 * VALUES));
        const uint32_t value = (uint32_t)(next_random(&random) % (VALUES + 1));
        const bool several = next_random(&random) % 4 == 0;
        aero_status status = several ? aero_begin(session, AERO_ISOLATION_SERIALIZABLE) : AERO_OK;
        if (status == AERO_OK)
            status = isin_set(session, row, value);
        if (several && status == AERO_OK)
            status = isin_set(session, row + 1, (uint32_t)(next_random(&random) % (VALUES + 1)));
        if (several && (status == AERO_OK || status == AERO_EXISTS))
            status = next_random(&random) % 3 == 0 ? aero_rollback(session) : aero_commit(session);
        else if (several)
            (void)aero_rollback(session);
        if (status != AERO_OK && status != AERO_EXISTS && status != AERO_CONFLICT)
            return aero_session_error(session)->text;
        *taken += status == AERO_OK;
        const char *wrong = turn % 50 == 0 ? values_alone(session) : NULL;
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static void *fighter(void *context)
{
    worker *mine = context;
    aero_session *session = NULL;
    aero_error error;
    uint32_t taken = 0;
    if (aero_session_open(mine->db, &session, &error) != AERO_OK) {
        mine->wrong = "no session";
        return NULL;
    }
    mine->wrong = fight(session, mine->seed, &taken);
    if (mine->wrong == NULL && taken == 0)
        mine->wrong = "nothing could be written";
    if (mine->wrong != NULL)
        snprintf(mine->text, sizeof mine->text, "%s", mine->wrong);
    mine->wrong = mine->wrong == NULL ? NULL : mine->text;
    aero_session_close(session);
    return NULL;
}

/* Goal: whoever fights for unique values, no snapshot shows one twice.  Method: threads. */
static void test_unique_values_are_held_once_by_threads(void **state)
{
    test_store store;
    pthread_t threads[WRITERS];
    worker workers[WRITERS];
    uint64_t seed = test_seed("unique threads");
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t index = 0; index < WRITERS; index++) {
        workers[index] = (worker){.db = store.db, .number = index, .seed = next_random(&seed)};
        assert_int_equal(pthread_create(&threads[index], NULL, fighter, &workers[index]), 0);
    }
    for (uint32_t index = 0; index < WRITERS; index++)
        pthread_join(threads[index], NULL);
    for (uint32_t index = 0; index < WRITERS; index++)
        if (workers[index].wrong != NULL)
            fail_msg("worker %u: %s", index, workers[index].wrong);
    assert_null(values_alone(store.session));
    store_close(&store);
}

/* The same by processes, while unique indexes are made and dropped as well: one is only made when
 * it is true. */
static void test_unique_values_are_held_once_by_processes(void **state)
{
    const uint32_t isin = ISIN;
    test_store store;
    pid_t children[WRITERS];
    uint64_t seed = test_seed("unique processes");
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t index = 0; index < WRITERS; index++) {
        const uint64_t random = next_random(&seed);
        fflush(NULL);
        children[index] = fork();
        assert_true(children[index] >= 0);
        if (children[index] == 0) {
            uint32_t taken = 0;
            alarm(300);
            const char *wrong = fight(store.session, random, &taken);
            if (wrong != NULL) {
                printf("child %u: %s\n", index, wrong);
                fflush(NULL);
            }
            _exit(wrong == NULL && taken > 0 ? 0 : 1);
        }
    }
    for (uint32_t index = 0; index < WRITERS; index++)
        child_join(children[index]);
    assert_null(values_alone(store.session));
    assert_ok(store.session, aero_index_drop(store.session, INSTRUMENT, 1, &isin));
    store_verify(store.session);
    assert_ok(store.session, aero_index_create(store.session, INSTRUMENT, 1, &isin, 1));
    store_close(&store);
}

/* Goal: a unique index that is made while others bring values is refused or true, never neither.
 * Method: processes insert values that collide now and then, without an index; the parent makes
 * one, and after it stands looks for duplicates. */
static void test_a_unique_index_is_made_only_if_it_is_true(void **state)
{
    const uint32_t isin = ISIN;
    test_store store;
    pid_t children[2];
    uint64_t seed = test_seed("making unique");
    uint32_t made = 0;
    uint32_t refused = 0;
    (void)state;
    store_open(&store, 64 << 20);
    assert_ok(store.session, aero_index_drop(store.session, INSTRUMENT, 1, &isin));
    for (uint32_t index = 0; index < 2; index++) {
        uint64_t random = next_random(&seed);
        fflush(NULL);
        children[index] = fork();
        assert_true(children[index] >= 0);
        if (children[index] == 0) {
            alarm(300);
            for (uint32_t turn = 0; turn < 5 * FIGHTS; turn++) {
                const aero_status status = isin_set(store.session,
                                                    (uint32_t)(next_random(&random) % 6),
                                                    (uint32_t)(next_random(&random) % VALUES_MAX));
                if (status != AERO_OK && status != AERO_EXISTS && status != AERO_CONFLICT) {
                    printf("child: %d %s\n", status, aero_session_error(store.session)->text);
                    fflush(NULL);
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (uint32_t ended = 0; ended < 2;) {
        int code = 0;
        const pid_t child = waitpid(-1, &code, WNOHANG);
        if (child > 0 && !(WIFEXITED(code) && WEXITSTATUS(code) == 0))
            fail_msg("a child ended with status %x", (unsigned)code);
        ended += child > 0;
        const aero_status status = aero_index_create(store.session, INSTRUMENT, 1, &isin, 1);
        if (status == AERO_OK) {
            made++;
            const char *wrong = values_alone(store.session);
            if (wrong != NULL)
                fail_msg("%s", wrong);
            assert_ok(store.session, aero_index_drop(store.session, INSTRUMENT, 1, &isin));
        } else {
            refused++;
            assert_status(store.session, AERO_EXISTS, status);
        }
    }
    printf("made %u, refused %u\n", made, refused);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_row_is_found_once_while_keys_move),
    cmocka_unit_test(test_forked_writers_leave_exactly_the_entries),
    cmocka_unit_test(test_unique_values_are_held_once_by_threads),
    cmocka_unit_test(test_unique_values_are_held_once_by_processes),
    cmocka_unit_test(test_a_unique_index_is_made_only_if_it_is_true),
};

AE_TEST_MAIN(tests)
