/* Searches while rows move: at one snapshot every way to the rows gives the same rows.
 *
 * variants: plain asan tsan
 */
#include "flights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROWS = 300, ALTITUDES = 40, WRITERS = 2, READERS = 2, SEARCHES = 40, RESULT_MAX = 2 * ROWS };

typedef struct arena {
    test_store store;
    _Atomic int readers;
} arena;

typedef struct worker {
    arena *shared;
    uint64_t seed;
    pthread_t thread;
    char wrong[400]; /* what was found, or "" */
} worker;

/* cmocka's assertions are for the main thread only. */
#define NEED(self_, session_, call_) \
    do { \
        if ((call_) != AERO_OK) { \
            snprintf((self_)->wrong, sizeof(self_)->wrong, "%s: %s", #call_, \
                     aero_session_error(session_)->text); \
            goto done; \
        } \
    } while (0)

static const char *const types[] = {"A320", "B738", "A320 of the longest kind", "C172"};

/* A session of this thread's: nothing of the arena is written. */
static aero_session *session_here(const arena *shared)
{
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(shared->store.db, &session, &error) != AERO_OK)
        abort();
    return session;
}

/* Put a row with random values: NULLs, equal keys and long texts among them. */
static aero_status put_random(aero_session *session, uint64_t *random)
{
    static const uint32_t columns[] = {FLIGHT_ID,       FLIGHT_LAT,     FLIGHT_LON,
                                       FLIGHT_ALTITUDE, FLIGHT_UPDATED, FLIGHT_TYP};
    char name[32];
    int32_t inserted;
    const uint64_t word = next_random(random);
    aero_value values[] = {v_text(flight_name(name, word % ROWS)),
                           v_real((double)(word >> 20 & 63)),
                           v_real(1),
                           v_int((int64_t)(word >> 10) % ALTITUDES),
                           v_int((int64_t)(word >> 30 & 1023)),
                           v_text(types[word >> 40 & 3])};
    if ((word >> 50 & 7) == 0)
        values[3].type = AERO_TYPE_NULL;
    if ((word >> 53 & 7) == 0)
        values[5].type = AERO_TYPE_NULL;
    if ((word >> 56 & 7) == 0) {
        int32_t found;
        return aero_delete(session, FLIGHTS, &values[0], &found);
    }
    return aero_replace(session, FLIGHTS, 6, columns, values, &inserted);
}

/* Several rows in one transaction, some of them rolled back. */
static void *write_rows(void *argument)
{
    worker *self = argument;
    aero_session *session = session_here(self->shared);
    while (atomic_load(&self->shared->readers) > 0) {
        NEED(self, session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
        aero_status status = AERO_OK;
        for (int i = 0; i < 4 && status == AERO_OK; i++)
            status = put_random(session, &self->seed);
        if (status == AERO_OK && next_random(&self->seed) % 4 != 0)
            status = aero_commit(session);
        if (status != AERO_CONFLICT)
            NEED(self, session, status);
        if (aero_depth(session) > 0)
            NEED(self, session, aero_rollback(session));
    }
done:
    aero_session_close(session);
    return NULL;
}

static int text_order(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* The keys of the rows a query gives, sorted; SIZE_MAX after an error. */
static size_t run(aero_query *query, char keys[][16])
{
    aero_cursor *cursor;
    const aero_row *row;
    size_t count = 0;
    if (aero_cursor_open(query, &cursor) != AERO_OK)
        return SIZE_MAX;
    while (count < RESULT_MAX && aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        static const uint32_t column = FLIGHT_ID;
        aero_value key;
        aero_row_values(row, 1, &column, &key);
        snprintf(keys[count++], 16, "%.*s", (int)key.length, key.u.data);
    }
    aero_cursor_close(cursor);
    qsort(keys, count, 16, text_order);
    return count;
}

static void random_text(char *text, size_t size, uint64_t *random)
{
    const int a = (int)(next_random(random) % ALTITUDES);
    const int b = (int)(next_random(random) % 1024);
    const char *type = types[next_random(random) % 4];
    switch (next_random(random) % 8) {
    case 0:
        snprintf(text, size, "= altitude %d", a);
        break;
    case 1:
        snprintf(text, size, "{>= altitude %d} {< updated_at %d}", a, b);
        break;
    case 2:
        snprintf(text, size, "{= typ {%s}} {<= altitude %d}", type, a);
        break;
    case 3:
        snprintf(text, size, "null altitude");
        break;
    case 4:
        snprintf(text, size, "{in altitude {%d 3 4 5}} {notnull typ}", a);
        break;
    case 5:
        snprintf(text, size, "{match_case typ A320*} {> updated_at %d}", b);
        break;
    case 6:
        snprintf(text, size, "{range updated_at %d %d} {!= altitude %d}", b, b + 200, a);
        break;
    default:
        snprintf(text, size, "{> typ A320} {> altitude %d} {< lat 40}", a);
    }
}

/* One random search, all ways, in the open transaction. */
static void compare_ways(worker *self, aero_session *session, bool sorted, char (*wanted)[16],
                         char (*got)[16])
{
    static const char *const ways[] = {
        "scan", "", "index altitude", "index typ", "index updated_at", "intersection"};
    char text[128];
    size_t count = 0;
    aero_query *query = NULL;
    random_text(text, sizeof text, &self->seed);
    NEED(self, session, aero_query_new(session, FLIGHTS, &query));
    NEED(self, session, aero_query_compare(query, text, strlen(text)));
    if (sorted)
        NEED(self, session, aero_query_sort(query, FLIGHT_ALTITUDE, self->seed & 1));
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        uint64_t counted;
        NEED(self, session, aero_query_using(query, ways[way], strlen(ways[way])));
        NEED(self, session, aero_query_count(query, &counted));
        const size_t rows = run(query, way == 0 ? wanted : got);
        if (way == 0)
            count = rows;
        if (rows == count && counted == rows && (way == 0 || memcmp(wanted, got, 16 * rows) == 0))
            continue;
        snprintf(self->wrong, sizeof self->wrong, "%s by \"%s\": %zu rows, counted %zu, scan %zu",
                 text, ways[way], rows, (size_t)counted, count);
        break;
    }
done:
    aero_query_free(query);
}

static void *read_rows(void *argument)
{
    worker *self = argument;
    aero_session *session = session_here(self->shared);
    char(*wanted)[16] = calloc(RESULT_MAX, 16);
    char(*got)[16] = calloc(RESULT_MAX, 16);
    for (int i = 0; i < SEARCHES && self->wrong[0] == '\0'; i++) {
        aero_status status = AERO_OK;
        NEED(self, session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
        for (uint64_t own = next_random(&self->seed) % 4; own > 0 && status == AERO_OK; own--)
            status = put_random(session, &self->seed);
        if (status == AERO_OK)
            compare_ways(self, session, i % 2 == 0, wanted, got);
        else if (status != AERO_CONFLICT)
            NEED(self, session, status);
        if (aero_depth(session) > 0)
            NEED(self, session, aero_rollback(session));
    }
done:
    free(wanted);
    free(got);
    aero_session_close(session);
    atomic_fetch_sub(&self->shared->readers, 1);
    return NULL;
}

/* Goal: at one snapshot, own writes included, indexes, intersections and scans agree; method:
 * writers move, delete and roll back rows of few keys while readers search all ways. */
static void ways_agree_while_rows_move(void **state)
{
    (void)state;
    static arena shared;
    worker workers[WRITERS + READERS];
    uint64_t seed = test_seed("ways_agree_while_rows_move");
    store_open(&shared.store, 64u << 20);
    for (int i = 0; i < 2 * ROWS; i++)
        assert_ok(shared.store.session, put_random(shared.store.session, &seed));
    atomic_store(&shared.readers, READERS);
    for (int i = 0; i < WRITERS + READERS; i++) {
        workers[i] = (worker){.shared = &shared, .seed = next_random(&seed)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i < WRITERS ? write_rows : read_rows, &workers[i]),
                         0);
    }
    for (int i = 0; i < WRITERS + READERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (int i = 0; i < WRITERS + READERS; i++)
        assert_string_equal(workers[i].wrong, "");
    store_close(&shared.store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ways_agree_while_rows_move),
};
AE_TEST_MAIN(tests)
