/* Many writers on one segment: threads with sessions on one handle, and forked processes.
 *
 * Accounts hold money; transfers move it between two of them in a transaction.  In every snapshot,
 * by scan and by key, the sum is what it was, and every row proves itself: its columns are
 * functions of each other, so a torn row, or one seen twice, or not at all, shows.  Rows of a third
 * kind are written by everybody, inserted and deleted all the time, so that anchors, hash entries
 * and versions are recycled under the readers' eyes.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "flights.h"

enum { ACCOUNTS = 24, START_MONEY = 1000, WORKERS = 5, SHARED = 6 };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
enum { TRANSFERS = 800, LOOKS = 150, CHURNS = 1500 };
#else
enum { TRANSFERS = 6000, LOOKS = 1500, CHURNS = 12000 };
#endif

typedef struct worker {
    aero_db *db;
    uint32_t number;
    uint64_t seed;
    const char *wrong; /* what was found, or NULL */
    char text[200];
} worker;

#define WRONG(worker_, ...) \
    do { \
        snprintf((worker_)->text, sizeof(worker_)->text, __VA_ARGS__); \
        (worker_)->wrong = (worker_)->text; \
        goto done; \
    } while (0)

/* A row of an account: the latitude is the money, everything else follows from money and key. */
static aero_status account_set(aero_session *session, const char *key, int64_t money, bool insert)
{
    char typ[64];
    char dest[128];
    int32_t flag = 0;
    const uint32_t columns[] = {FLIGHT_ID,      FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE,
                                FLIGHT_UPDATED, FLIGHT_TYP, FLIGHT_DEST};
    snprintf(typ, sizeof typ, "%s=%lld", key, (long long)money);
    snprintf(dest, sizeof dest, "%0*lld of %s", (int)(5 + (money & 63)), (long long)money, key);
    const aero_value values[] = {v_text(key),  v_real((double)money),  v_real(-(double)money),
                                 v_int(money), v_int(1000000 + money), v_text(typ),
                                 v_text(dest)};
    return insert ? aero_insert(session, FLIGHTS, 7, columns, values)
                  : aero_upsert(session, FLIGHTS, 7, columns, values, &flag);
}

/* Money of a row whose columns agree with each other, or -1. */
static int64_t account_proven(const aero_value *values)
{
    char wanted[160];
    char key[32];
    const int64_t money = values[3].u.integer;
    if (values[0].length >= sizeof key)
        return -1;
    memcpy(key, values[0].u.data, values[0].length);
    key[values[0].length] = '\0';
    if (values[1].u.real != (double)money || values[2].u.real != -(double)money)
        return -1;
    int length = snprintf(wanted, sizeof wanted, "%s=%lld", key, (long long)money);
    if ((int)values[5].length != length || memcmp(values[5].u.data, wanted, (size_t)length) != 0)
        return -1;
    length = snprintf(wanted, sizeof wanted, "%0*lld of %s", (int)(5 + (money & 63)),
                      (long long)money, key);
    if ((int)values[6].length != length || memcmp(values[6].u.data, wanted, (size_t)length) != 0)
        return -1;
    return money;
}

static const uint32_t all_columns[] = {FLIGHT_ID,      FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE,
                                       FLIGHT_UPDATED, FLIGHT_TYP, FLIGHT_DEST};

static int64_t account_get(aero_session *session, const char *key)
{
    aero_value values[7];
    int32_t found = 0;
    const aero_value id = v_text(key);
    if (aero_get(session, FLIGHTS, &id, 7, all_columns, values, &found) != AERO_OK)
        return -2;
    return found ? account_proven(values) : -3;
}

static const char *account_name(char name[32], uint32_t number)
{
    snprintf(name, 32, number % 2 ? "account-%03u-long-name" : "a%03u", number);
    return name;
}

static bool retryable(aero_status status)
{
    return status == AERO_CONFLICT || status == AERO_NO_SLOT;
}

/* ---- workers: each returns NULL or what it found wrong -------------------------------------- */

static void transfer_many(worker *work, aero_session *session)
{
    uint64_t random = work->seed;
    char from[32];
    char to[32];
    for (uint32_t done_count = 0; done_count < TRANSFERS;) {
        const uint32_t first = (uint32_t)(next_random(&random) % ACCOUNTS);
        const uint32_t second = (first + 1 + (uint32_t)(next_random(&random) % (ACCOUNTS - 1))) %
                                ACCOUNTS;
        const int32_t isolation = (int32_t)(next_random(&random) % 2);
        if (aero_begin(session, isolation) != AERO_OK)
            WRONG(work, "begin: %s", aero_session_error(session)->text);
        const int64_t a = account_get(session, account_name(from, first));
        const int64_t b = account_get(session, account_name(to, second));
        if (a < 0 || b < 0)
            WRONG(work, "account %s or %s: %lld %lld", from, to, (long long)a, (long long)b);
        const int64_t amount = a == 0 ? 0 : 1 + (int64_t)(next_random(&random) % (uint64_t)a) / 4;
        aero_status status = account_set(session, from, a - amount, false);
        if (status == AERO_OK)
            status = account_set(session, to, b + amount, false);
        if (status == AERO_OK && next_random(&random) % 8 == 0)
            status = AERO_INTERRUPTED; /* change of mind */
        if (status == AERO_OK) {
            status = aero_commit(session);
            if (status == AERO_OK)
                done_count++;
            else if (!retryable(status))
                WRONG(work, "commit: %d %s", status, aero_session_error(session)->text);
        } else if (retryable(status) || status == AERO_INTERRUPTED) {
            if (aero_rollback(session) != AERO_OK)
                WRONG(work, "rollback: %s", aero_session_error(session)->text);
        } else {
            WRONG(work, "write: %d %s", status, aero_session_error(session)->text);
        }
    }
done:
    if (aero_depth(session) > 0)
        (void)aero_rollback(session);
}

/* Sum by scan in one snapshot; every account exactly once. */
static bool look_once(worker *work, aero_session *session)
{
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    const aero_row *row = NULL;
    int64_t sum = 0;
    uint32_t seen[ACCOUNTS] = {0};
    char names[2 * SHARED][32];
    uint32_t shared = 0;
    uint32_t count = 0;
    bool good = false;
    aero_status status = aero_query_new(session, FLIGHTS, &query);
    if (status == AERO_OK)
        status = aero_cursor_open(query, &cursor);
    while (status == AERO_OK && (status = aero_cursor_next(cursor, &row)) == AERO_OK &&
           row != NULL) {
        aero_value values[7];
        aero_row_values(row, 7, all_columns, values);
        const int64_t money = account_proven(values);
        if (money < 0)
            WRONG(work, "a torn row: %.*s", (int)values[0].length, values[0].u.data);
        if (values[0].u.data[0] != 'a') {
            for (uint32_t other = 0; other < shared; other++)
                if (strlen(names[other]) == values[0].length &&
                    memcmp(names[other], values[0].u.data, values[0].length) == 0)
                    WRONG(work, "row %s was found twice", names[other]);
            if (shared < 2 * SHARED)
                snprintf(names[shared++], 32, "%.*s", (int)values[0].length, values[0].u.data);
            continue;
        }
        const uint32_t number = (uint32_t)strtoul(values[0].u.data + (values[0].length > 8 ? 8 : 1),
                                                  NULL, 10);
        sum += money;
        count++;
        if (number >= ACCOUNTS || seen[number]++ != 0)
            WRONG(work, "account %u was found twice", number);
    }
    if (status != AERO_OK)
        WRONG(work, "scan: %d %s", status, aero_session_error(session)->text);
    if (count != ACCOUNTS || sum != (int64_t)ACCOUNTS * START_MONEY)
        WRONG(work, "%u accounts hold %lld", count, (long long)sum);
    good = true;
done:
    aero_cursor_close(cursor);
    aero_query_free(query);
    return good;
}

static void look_many(worker *work, aero_session *session)
{
    uint64_t random = work->seed;
    for (uint32_t look = 0; look < LOOKS; look++) {
        const bool inside = next_random(&random) % 2 == 0;
        if (inside && aero_begin(session, AERO_ISOLATION_READ_ONLY) != AERO_OK)
            WRONG(work, "begin: %s", aero_session_error(session)->text);
        if (!look_once(work, session))
            return;
        if (!inside)
            continue;
        int64_t sum = 0;
        for (uint32_t number = 0; number < ACCOUNTS; number++) {
            char name[32];
            const int64_t money = account_get(session, account_name(name, number));
            if (money < 0)
                WRONG(work, "account %s: %lld", name, (long long)money);
            sum += money;
        }
        if (sum != (int64_t)ACCOUNTS * START_MONEY)
            WRONG(work, "by key the accounts hold %lld", (long long)sum);
        if (!look_once(work, session))
            return;
        if (aero_commit(session) != AERO_OK)
            WRONG(work, "commit: %s", aero_session_error(session)->text);
    }
done:;
}

/* Insert, change and delete rows that everybody writes. */
static void churn_many(worker *work, aero_session *session)
{
    uint64_t random = work->seed;
    for (uint32_t step = 0; step < CHURNS; step++) {
        char name[32];
        const uint64_t what = next_random(&random);
        snprintf(name, sizeof name, what & 64 ? "shared-row-%u" : "s%u",
                 (unsigned)(what >> 32) % SHARED);
        const aero_value key = v_text(name);
        int32_t found = 0;
        aero_status status = AERO_OK;
        switch (what % 8) {
        case 0:
        case 1:
        case 2:
            status = aero_delete(session, FLIGHTS, &key, &found);
            break;
        case 3:
            status = account_set(session, name, (int64_t)(what >> 40) % 1000, true);
            break;
        default:
            status = account_set(session, name, (int64_t)(what >> 40) % 1000, false);
        }
        if (status != AERO_OK && status != AERO_EXISTS)
            WRONG(work, "%s: %d %s", name, status, aero_session_error(session)->text);
    }
done:;
}

static void *worker_run(void *context)
{
    worker *work = context;
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(work->db, &session, &error) != AERO_OK)
        WRONG(work, "session: %s", error.text);
    if (work->number == 1)
        look_many(work, session);
    else if (work->number >= 3) /* two, that meet in their rows */
        churn_many(work, session);
    else
        transfer_many(work, session);
    aero_session_close(session);
done:
    return NULL;
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void bank_open(test_store *store)
{
    store_open(store, 32 << 20);
    for (uint32_t number = 0; number < ACCOUNTS; number++) {
        char name[32];
        assert_ok(store->session,
                  account_set(store->session, account_name(name, number), START_MONEY, true));
    }
}

static void bank_close(test_store *store)
{
    worker work = {.db = store->db};
    if (!look_once(&work, store->session))
        fail_msg("%s", work.wrong);
    store_close(store);
}

/* Goal: L2 to L5 without deaths.  Method: as described at the top, with threads. */
static void test_threads_keep_the_sum_and_whole_rows(void **state)
{
    uint64_t random = test_seed("threads");
    test_store store;
    pthread_t threads[WORKERS];
    worker workers[WORKERS];
    (void)state;
    bank_open(&store);
    for (uint32_t number = 0; number < WORKERS; number++) {
        workers[number] = (worker){.db = store.db, .number = number, .seed = next_random(&random)};
        assert_int_equal(pthread_create(&threads[number], NULL, worker_run, &workers[number]), 0);
    }
    for (uint32_t number = 0; number < WORKERS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < WORKERS; number++)
        if (workers[number].wrong != NULL)
            fail_msg("worker %u: %s", number, workers[number].wrong);
    bank_close(&store);
}

/* Goal: the same with processes.  Method: forked children that use the inherited handle. */
static void test_processes_keep_the_sum_and_whole_rows(void **state)
{
    uint64_t random = test_seed("processes");
    test_store store;
    pid_t children[WORKERS];
    (void)state;
    bank_open(&store);
    for (uint32_t number = 0; number < WORKERS; number++) {
        worker work = {.db = store.db, .number = number, .seed = next_random(&random)};
        fflush(NULL);
        children[number] = fork();
        assert_true(children[number] >= 0);
        if (children[number] == 0) {
            worker_run(&work);
            if (work.wrong != NULL)
                printf("worker %u: %s\n", number, work.wrong);
            fflush(NULL);
            _exit(work.wrong != NULL);
        }
    }
    for (uint32_t number = 0; number < WORKERS; number++)
        child_join(children[number]);
    bank_close(&store);
}

typedef struct counter {
    aero_db *db;
    const char *key;
    uint32_t times;
    aero_status status;
} counter;

static void *count_up(void *context)
{
    counter *work = context;
    aero_session *session = NULL;
    aero_error error;
    const aero_value key = v_text(work->key);
    const aero_value one = v_int(1);
    work->status = aero_session_open(work->db, &session, &error);
    for (uint32_t time = 0; time < work->times && work->status == AERO_OK; time++) {
        int32_t found = 0;
        work->status = aero_incr(session, FLIGHTS, &key, FLIGHT_ALTITUDE, &one, NULL, &found);
        if (work->status == AERO_OK && !found)
            work->status = AERO_NOT_FOUND;
    }
    aero_session_close(session);
    return NULL;
}

/* Goal: no lost update.  Method: threads count one row up, and rows of their own. */
static void test_counters_lose_nothing(void **state)
{
    test_store store;
    pthread_t threads[2 * WORKERS];
    counter counters[2 * WORKERS];
    char names[WORKERS][32];
    (void)state;
    store_open(&store, 16 << 20);
    assert_ok(store.session, flight_insert(store.session, "hot", 0));
    for (uint32_t number = 0; number < WORKERS; number++)
        assert_ok(store.session,
                  flight_insert(store.session, flight_name(names[number], number), 0));
    for (uint32_t number = 0; number < 2 * WORKERS; number++) {
        counters[number] = (counter){store.db, number < WORKERS ? "hot" : names[number - WORKERS],
                                     CHURNS / 4, 0};
        assert_int_equal(pthread_create(&threads[number], NULL, count_up, &counters[number]), 0);
    }
    for (uint32_t number = 0; number < 2 * WORKERS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < 2 * WORKERS; number++)
        assert_int_equal(counters[number].status, AERO_OK);
    assert_int_equal(flight_get(store.session, "hot"), WORKERS * (CHURNS / 4));
    for (uint32_t number = 0; number < WORKERS; number++)
        assert_int_equal(flight_get(store.session, names[number]), CHURNS / 4);
    store_close(&store);
}

typedef struct inserter {
    aero_db *db;
    _Atomic uint32_t *won;
    uint32_t number;
    aero_status status;
} inserter;

enum { RACES = CHURNS / 8 };

static void *insert_all(void *context)
{
    inserter *work = context;
    aero_session *session = NULL;
    aero_error error;
    work->status = aero_session_open(work->db, &session, &error);
    for (uint32_t key = 0; key < RACES && work->status == AERO_OK; key++) {
        char name[32];
        const aero_status status = flight_insert(session, flight_name(name, key), work->number);
        if (status == AERO_OK)
            atomic_fetch_add_explicit(&work->won[key], 1, memory_order_relaxed);
        else if (status != AERO_EXISTS)
            work->status = status;
    }
    aero_session_close(session);
    return NULL;
}

/* Goal: X4, one row a key.  Method: threads insert the same keys in the same order, through splits
 * of the hash; each key is won once. */
static void test_same_keys_are_inserted_once(void **state)
{
    test_store store;
    pthread_t threads[WORKERS];
    inserter inserters[WORKERS];
    static _Atomic uint32_t won[RACES];
    (void)state;
    memset((void *)won, 0, sizeof won);
    store_open(&store, 16 << 20);
    for (uint32_t number = 0; number < WORKERS; number++) {
        inserters[number] = (inserter){store.db, won, number, 0};
        assert_int_equal(pthread_create(&threads[number], NULL, insert_all, &inserters[number]), 0);
    }
    for (uint32_t number = 0; number < WORKERS; number++)
        pthread_join(threads[number], NULL);
    for (uint32_t number = 0; number < WORKERS; number++)
        assert_int_equal(inserters[number].status, AERO_OK);
    for (uint32_t key = 0; key < RACES; key++)
        assert_int_equal(won[key], 1);
    assert_int_equal(row_count(store.session, FLIGHTS), RACES);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_threads_keep_the_sum_and_whole_rows),
    cmocka_unit_test(test_processes_keep_the_sum_and_whole_rows),
    cmocka_unit_test(test_counters_lose_nothing),
    cmocka_unit_test(test_same_keys_are_inserted_once),
};

AE_TEST_MAIN(tests)
