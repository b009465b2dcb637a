/* Cursors that rest with a part of their rows read, while others write: what is left comes as if
 * nothing had happened, and nothing is kept for it but the rows that its snapshot sees.
 *
 * variants: plain asan
 */
#include "flights.h"

enum { ROWS = 1000, ROUNDS = 30, VALUES = 25, CHANGES = 60, ALL = 65536 };

typedef struct place {
    test_store store;
    aero_session *reader;
    uint64_t random;
} place;

static uint64_t dice(place *at, uint64_t sides)
{
    return next_random(&at->random) % sides;
}

/* Texts longer than an index's words, too. */
static void row_put(place *at, uint64_t number)
{
    const uint32_t columns[] = {FLIGHT_ID,      FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE,
                                FLIGHT_UPDATED, FLIGHT_TYP, FLIGHT_DEST};
    char name[32];
    char typ[64];
    char dest[16];
    int32_t inserted = 0;
    snprintf(typ, sizeof typ, "a type of which there are more %02d", (int)dice(at, VALUES));
    snprintf(dest, sizeof dest, "D%d", (int)dice(at, 4));
    const int64_t altitude = (int64_t)dice(at, VALUES);
    const aero_value null = {.type = AERO_TYPE_NULL};
    const aero_value values[] = {v_text(flight_name(name, number)),
                                 v_real(1),
                                 v_real(1),
                                 dice(at, 20) == 0 ? null : v_int(altitude),
                                 v_int(1500000000 + (int64_t)dice(at, 100000)),
                                 v_text(typ),
                                 v_text(dest)};
    assert_ok(at->store.session,
              aero_upsert(at->store.session, FLIGHTS, 7, columns, values, &inserted));
}

static void place_open(place *at, const char *name)
{
    at->random = test_seed(name);
    store_open(&at->store, 64 << 20);
    at->reader = session_new(&at->store);
    for (uint64_t row = 0; row < ROWS; row++)
        row_put(at, row);
}

static void place_close(place *at)
{
    aero_session_close(at->reader);
    store_close(&at->store);
}

/* What others do meanwhile; a dropped index does not come back before the round is over. */
static void others_work(place *at, bool drop)
{
    static const uint32_t dropped[] = {FLIGHT_ALTITUDE, FLIGHT_TYP, FLIGHT_DEST, FLIGHT_UPDATED};
    for (uint64_t step = dice(at, CHANGES); step > 0; step--) {
        char name[32];
        const uint64_t number = dice(at, 2 * ROWS);
        if (dice(at, 3) > 0) {
            row_put(at, number);
            continue;
        }
        const aero_status status = flight_delete(at->store.session, flight_name(name, number));
        assert_true(status == AERO_OK || status == AERO_NOT_FOUND);
    }
    if (drop && dice(at, 6) == 0)
        for (int index = 0; index < 4; index++) {
            const aero_status status = aero_index_drop(at->store.session, FLIGHTS, 1,
                                                       &dropped[index]);
            assert_true(status == AERO_OK || status == AERO_NOT_FOUND);
        }
}

static void indexes_back(place *at)
{
    static const uint32_t columns[] = {FLIGHT_ALTITUDE, FLIGHT_TYP, FLIGHT_DEST, FLIGHT_UPDATED};
    for (int index = 0; index < 4; index++) {
        const aero_status status = aero_index_create(at->store.session, FLIGHTS, 1, &columns[index],
                                                     0);
        assert_true(status == AERO_OK || status == AERO_EXISTS);
    }
}

/* A search of one kind, along an index, an intersection, or a sort of everything. */
static aero_query *some_query(place *at, aero_session *session)
{
    static const char *const ways[] = {"index altitude", "index typ", "index updated_at",
                                       "intersection", "scan"};
    static const char *const compares[] = {
        "{>= altitude 3} {<= altitude 20}", "{in altitude {1 4 5 9 17 23}}",
        "{> updated_at 1500020000}",        "{match_case typ {a type of*}}",
        "{= dest D1} {< altitude 15}",      "{null altitude}"};
    static const uint32_t sorts[] = {FLIGHT_ALTITUDE, FLIGHT_TYP, FLIGHT_UPDATED};
    aero_query *query = NULL;
    const char *compare = compares[dice(at, 6)];
    assert_ok(session, aero_query_new(session, FLIGHTS, &query));
    assert_ok(session, aero_query_compare(query, compare, strlen(compare)));
    if (dice(at, 3) > 0)
        assert_ok(session, aero_query_sort(query, sorts[dice(at, 3)], (int32_t)dice(at, 2)));
    if (dice(at, 3) > 0) {
        const char *way = ways[dice(at, 5)];
        assert_ok(session, aero_query_using(query, way, strlen(way)));
    }
    if (dice(at, 5) == 0)
        assert_ok(session, aero_query_limit(query, (int64_t)dice(at, ROWS), (int64_t)dice(at, 50)));
    return query;
}

/* The keys of the rows that a fetch has given, one after the other. */
static void keys_append(char *keys, const aero_column_data *data, uint32_t rows)
{
    for (uint32_t row = 0; row < rows; row++) {
        const size_t length = data->offsets[row + 1] - data->offsets[row];
        strncat(keys, data->text + data->offsets[row], length);
        strcat(keys, " ");
    }
}

static char *keys_new(void)
{
    char *keys = malloc(2 * ROWS * 12 + 1);
    assert_non_null(keys);
    keys[0] = '\0';
    return keys;
}

/* Give up some rows from a cursor, by rows or by columns; false at the end. */
static bool keys_step(place *at, aero_cursor *cursor, char *keys)
{
    static const uint32_t column = FLIGHT_ID;
    const uint32_t most = 1 + (uint32_t)dice(at, 90);
    uint32_t rows = 0;
    if (dice(at, 2) == 0) {
        aero_column_data data;
        assert_ok(at->reader, aero_cursor_fetch(cursor, most, 1, &column, &data, &rows));
        keys_append(keys, &data, rows);
        return rows > 0;
    }
    for (; rows < most; rows++) {
        const aero_row *row = NULL;
        aero_value key;
        assert_ok(at->reader, aero_cursor_next(cursor, &row));
        if (row == NULL)
            break;
        aero_row_values(row, 1, &column, &key);
        strncat(keys, key.u.data, key.length);
        strcat(keys, " ");
    }
    assert_ok(at->reader, aero_cursor_rest(cursor));
    return rows > 0;
}

/* One search, read at once and by and by. */
static void round_run(place *at, int how, bool drop)
{
    static const uint32_t column = FLIGHT_ID;
    static const int32_t isolations[] = {AERO_ISOLATION_SERIALIZABLE, AERO_ISOLATION_SNAPSHOT};
    aero_cursor *whole = NULL;
    aero_cursor *parts = NULL;
    aero_column_data data;
    uint32_t rows = 0;
    char *expected = keys_new();
    char *keys = keys_new();
    if (how < 2)
        assert_ok(at->reader, aero_begin(at->reader, isolations[how]));
    aero_query *query = some_query(at, at->reader);
    assert_ok(at->reader, aero_cursor_open(query, &whole));
    assert_ok(at->reader, aero_cursor_open(query, &parts));
    assert_ok(at->reader, aero_cursor_fetch(whole, ALL, 1, &column, &data, &rows));
    keys_append(expected, &data, rows);
    aero_cursor_close(whole);
    do
        others_work(at, drop);
    while (keys_step(at, parts, keys));
    assert_string_equal(keys, expected);
    aero_cursor_close(parts);
    aero_query_free(query);
    if (how < 2)
        assert_ok(at->reader, aero_rollback(at->reader));
    free(expected);
    free(keys);
}

/* Goal: whatever way a search takes, and however often it rests while others write, it gives the
 * rows of its snapshot, each once, in its order.  Method: two cursors of one snapshot, of which one
 * is read at once. */
static void test_rows_come_by_and_by(void **state)
{
    place at;
    (void)state;
    place_open(&at, "resting");
    for (int round = 0; round < ROUNDS; round++)
        round_run(&at, round % 3, false);
    place_close(&at);
}

/* Goal: the same where the indexes are dropped between two steps. */
static void test_rows_come_without_their_index(void **state)
{
    place at;
    (void)state;
    place_open(&at, "resting, dropped");
    for (int round = 0; round < ROUNDS; round++) {
        round_run(&at, round % 3, true);
        indexes_back(&at);
    }
    place_close(&at);
}

/* ---- entries that lead nowhere -------------------------------------------------------------- */

enum { GUESTS = 20000, FILLER = 30000 };

/* Rows that only the writer sees, which go again, and whose memory other things take. */
static void guests_come(place *at)
{
    char name[32];
    for (uint64_t row = 0; row < GUESTS; row++)
        assert_ok(at->store.session,
                  flight_put(at->store.session, flight_name(name, 100000 + row), 5));
}

static void guests_go(place *at)
{
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_UPDATED, FLIGHT_DEST};
    char name[32];
    char text[FILLER + 1];
    uint64_t row = 0;
    memset(text, 0x7d, FILLER);
    text[FILLER] = '\0';
    for (uint64_t guest = 0; guest < GUESTS; guest++)
        assert_ok(at->store.session,
                  flight_delete(at->store.session, flight_name(name, 100000 + guest)));
    for (aero_status status = AERO_OK; status != AERO_FULL; row++) {
        int32_t inserted = 0;
        const aero_value values[] = {v_text(flight_name(name, 200000 + row)), v_real(1), v_real(1),
                                     v_int(1500000000), v_text(text)};
        status = aero_upsert(at->store.session, FLIGHTS, 5, columns, values, &inserted);
        assert_true(status == AERO_OK || status == AERO_FULL);
    }
    printf("%d rows took their memory\n", (int)row);
}

/* Goal: entries and anchors of rows that the snapshot does not see, and that are gone with their
 * memory by when the search goes on, are not looked at.  Method: such rows come before the search
 * is opened, or, in an index that is dropped, after; then other things take the memory. */
static void test_what_is_gone_is_not_looked_at(void **state)
{
    static const uint32_t key = FLIGHT_ID;
    static const uint32_t altitude = FLIGHT_ALTITUDE;
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        const char *compare = "{= altitude 5} {>= updated_at 0}";
        const char *way = dropped ? "index altitude" : "intersection";
        char name[32];
        aero_query *query = NULL;
        aero_cursor *cursor = NULL;
        aero_column_data data;
        uint32_t rows = 0;
        place at = {.random = 1};
        store_open(&at.store, 24 << 20);
        at.reader = session_new(&at.store);
        for (uint64_t row = 0; row < 200; row++)
            assert_ok(at.store.session, flight_put(at.store.session, flight_name(name, row), 5));
        assert_ok(at.reader, aero_begin(at.reader, AERO_ISOLATION_SNAPSHOT));
        assert_int_equal(flight_get(at.reader, "f0000001"), 5);
        if (!dropped)
            guests_come(&at);
        assert_ok(at.reader, aero_query_new(at.reader, FLIGHTS, &query));
        assert_ok(at.reader, aero_query_compare(query, compare, strlen(compare)));
        assert_ok(at.reader, aero_query_using(query, way, strlen(way)));
        assert_ok(at.reader, aero_cursor_open(query, &cursor));
        assert_ok(at.reader, aero_cursor_fetch(cursor, 10, 1, &key, &data, &rows));
        assert_int_equal(rows, 10);
        if (dropped) {
            guests_come(&at);
            assert_ok(at.store.session, aero_index_drop(at.store.session, FLIGHTS, 1, &altitude));
        }
        guests_go(&at);
        assert_ok(at.reader, aero_cursor_fetch(cursor, ALL, 1, &key, &data, &rows));
        assert_int_equal(rows, 190);
        aero_cursor_close(cursor);
        aero_query_free(query);
        assert_ok(at.reader, aero_commit(at.reader));
        place_close(&at);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A serializable search may have to compare all that was written for a lap of the commit queue. */
enum { FLAT_ROWS = 2000, FLAT_LAP = 40000, FLAT_UPDATES = 8000 };

/* How much more is in use after each of two lengths of updates beside a search that rests. */
static void growth(int how, const char *way, bool by_rows, int64_t grown[2])
{
    static const uint32_t column = FLIGHT_ID;
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    const char *compare = "{>= altitude 0} {>= updated_at 0}";
    char name[32];
    test_store store;
    store_open(&store, 64 << 20);
    aero_session *reader = session_new(&store);
    for (uint64_t row = 0; row < FLAT_ROWS; row++)
        assert_ok(store.session, flight_put(store.session, flight_name(name, row), (int64_t)row));
    if (how < 2)
        assert_ok(reader, aero_begin(reader, how == 0 ? AERO_ISOLATION_SERIALIZABLE
                                                      : AERO_ISOLATION_SNAPSHOT));
    assert_ok(reader, aero_query_new(reader, FLIGHTS, &query));
    assert_ok(reader, aero_query_compare(query, compare, strlen(compare)));
    assert_ok(reader, aero_query_using(query, way, strlen(way)));
    assert_ok(reader, aero_cursor_open(query, &cursor));
    if (by_rows) {
        const aero_row *row = NULL;
        assert_ok(reader, aero_cursor_next(cursor, &row));
        assert_non_null(row);
        assert_ok(reader, aero_cursor_rest(cursor));
    } else {
        aero_column_data data;
        uint32_t rows = 0;
        assert_ok(reader, aero_cursor_fetch(cursor, 10, 1, &column, &data, &rows));
        assert_int_equal(rows, 10);
    }
    uint64_t before = 0;
    for (int part = 0; part < 3; part++) {
        for (uint64_t turn = part == 0 && how == 0 ? FLAT_LAP : FLAT_UPDATES; turn > 0; turn--)
            assert_ok(store.session, flight_put(store.session, flight_name(name, turn % FLAT_ROWS),
                                                (int64_t)((turn * 7919 + (uint64_t)part) % 45000)));
        const uint64_t used = stat_value(store.session, "segment_used");
        if (part > 0)
            grown[part - 1] = (int64_t)(used - before);
        before = used;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    if (how < 2)
        assert_ok(reader, aero_commit(reader));
    aero_session_close(reader);
    store_close(&store);
}

/* Goal: a search that rests keeps the rows of its snapshot, and nothing more however long others
 * write: no nodes of the index that it walks, no versions between.  Method: two lengths of updates
 * that move keys, after a first one; some 100 bytes an update would be 800 KB each time. */
static void test_a_search_at_rest_keeps_its_rows_only(void **state)
{
    static const char *const ways[] = {"index altitude", "intersection", "scan"};
    (void)state;
    for (int how = 0; how < 3; how++)
        for (int way = 0; way < 3; way++) {
            int64_t grown[2];
            growth(how, ways[way], (how + way) % 2 != 0, grown);
            printf("%d %s: %d and %d bytes more\n", how, ways[way], (int)grown[0], (int)grown[1]);
            assert_true(grown[0] <= 3 * 65536 && grown[1] <= 3 * 65536);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows_come_by_and_by),
    cmocka_unit_test(test_rows_come_without_their_index),
    cmocka_unit_test(test_what_is_gone_is_not_looked_at),
    cmocka_unit_test(test_a_search_at_rest_keeps_its_rows_only),
};

AE_TEST_MAIN(tests)
