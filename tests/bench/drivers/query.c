/* query.c — searches through ordered indexes: rows of one value, ranges counted and read, the end
 * of an index, the first rows of an order; and what it costs to parse, plan and bind a search.
 *
 * Usage: query ROWS ROUNDS DIRECTORY
 *
 * How it works: the flights of driver.h, their altitudes rounded so that a value has about a
 * thousand rows in a million.  Each peer has the same indexes (altitude, updated_at) and prepared
 * statements; LMDB has a second database from altitude to key, so a row is two look-ups there, as
 * it would be in a program that uses it.  Sums of what was read must agree.
 */
#include "driver.h"
#if BENCH_LMDB
#include "lmdb_peer.h"
#endif
#if BENCH_SQLITE
#include "sqlite_peer.h"
#endif

enum {
    STEP = 50,       /* altitudes are multiples of it: 900 values */
    VALUES = 900,    /* of altitudes */
    SEARCHES = 200,  /* of one value, a round */
    LOOKUPS = 20000, /* of keys, a round */
    TAIL = 64,
    TOP = 50
};

typedef struct bench {
    uint64_t rows;
    aero_session *session;
    aero_query *equal;
    aero_query *range;
    aero_query *key;
    aero_query *tail;
    aero_query *top;
    aero_query *filter;
    uint64_t random;
    double *lat; /* the plain peer: by altitude value, in the order of flights */
    double *lon;
    double *gs;
    uint32_t starts[VALUES + 1];
#if BENCH_LMDB
    lmdb_peer lmdb;
    MDB_dbi by_altitude;
#endif
#if BENCH_SQLITE
    sqlite3 *sqlite;
    sqlite3_stmt *select;
    sqlite3_stmt *select_range;
    sqlite3_stmt *count_range;
#endif
} bench;

/* A peer's answer: rows met and a sum that does not depend on their order. */
typedef struct answer {
    uint64_t rows;
    double sum;
} answer;

typedef struct peer {
    const char *what;
    const char *name;
    answer (*run)(bench *all, uint64_t low, uint64_t high);
} peer;

static int32_t altitude_of(const flight *one)
{
    return one->altitude / STEP * STEP;
}

/* ---- Aerostore ------------------------------------------------------------------------------ */

static const uint32_t read_columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_GS};

static answer read_all(bench *all, aero_query *query)
{
    aero_cursor *cursor = NULL;
    aero_column_data data[3];
    answer got = {0};
    uint32_t count = 0;
    need(aero_cursor_open(query, &cursor), all->session, "cursor");
    do {
        need(aero_cursor_fetch(cursor, 2048, 3, read_columns, data, &count), all->session, "fetch");
        for (uint32_t i = 0; i < count; i++)
            got.sum += data[0].reals[i] + data[1].reals[i] + data[2].reals[i];
        got.rows += count;
    } while (count > 0);
    aero_cursor_close(cursor);
    return got;
}

static answer aerostore_equal(bench *all, uint64_t low, uint64_t high)
{
    const aero_value value = value_int((int64_t)low);
    (void)high;
    need(aero_query_bind(all->equal, 0, 1, &value), all->session, "bind");
    return read_all(all, all->equal);
}

static void bind_range(bench *all, uint64_t low, uint64_t high)
{
    const aero_value values[] = {value_int((int64_t)low), value_int((int64_t)high)};
    need(aero_query_bind(all->range, 0, 1, &values[0]), all->session, "bind");
    need(aero_query_bind(all->range, 1, 1, &values[1]), all->session, "bind");
}

static answer aerostore_count(bench *all, uint64_t low, uint64_t high)
{
    answer got = {0};
    bind_range(all, low, high);
    need(aero_query_count(all->range, &got.rows), all->session, "count");
    return got;
}

static answer aerostore_range(bench *all, uint64_t low, uint64_t high)
{
    bind_range(all, low, high);
    return read_all(all, all->range);
}

/* ---- peers ---------------------------------------------------------------------------------- */

static answer plain_range(bench *all, uint64_t low, uint64_t high)
{
    const uint32_t first = all->starts[low / STEP];
    const uint32_t end = all->starts[high / STEP];
    answer got = {.rows = end - first};
    for (uint32_t i = first; i < end; i++)
        got.sum += all->lat[i] + all->lon[i] + all->gs[i];
    return got;
}

static answer plain_equal(bench *all, uint64_t low, uint64_t high)
{
    (void)high;
    return plain_range(all, low, low + STEP);
}

#if BENCH_LMDB
static answer lmdb_range(bench *all, uint64_t low, uint64_t high)
{
    MDB_cursor *cursor = NULL;
    answer got = {0};
    uint32_t bound = __builtin_bswap32((uint32_t)low);
    MDB_val at = {sizeof bound, &bound};
    MDB_val key;
    MDB_val data;
    lmdb_need(mdb_txn_renew(all->lmdb.reader), "renew");
    lmdb_need(mdb_cursor_open(all->lmdb.reader, all->by_altitude, &cursor), "cursor");
    int code = mdb_cursor_get(cursor, &at, &key, MDB_SET_RANGE);
    for (; code == 0; code = mdb_cursor_get(cursor, &at, &key, MDB_NEXT)) {
        uint32_t altitude;
        memcpy(&altitude, at.mv_data, sizeof altitude);
        if (__builtin_bswap32(altitude) >= high)
            break;
        lmdb_need(mdb_get(all->lmdb.reader, all->lmdb.dbi, &key, &data), "get");
        plain_row row;
        memcpy(&row, data.mv_data, sizeof row);
        got.sum += row.lat + row.lon + row.gs;
        got.rows++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(all->lmdb.reader);
    return got;
}

static answer lmdb_equal(bench *all, uint64_t low, uint64_t high)
{
    (void)high;
    return lmdb_range(all, low, low + STEP);
}

static void lmdb_load(bench *all, const char *directory)
{
    MDB_txn *txn = NULL;
    lmdb_peer_open(&all->lmdb, directory, 2 * all->rows);
    lmdb_need(mdb_txn_begin(all->lmdb.env, NULL, 0, &txn), "begin");
    lmdb_need(
        mdb_dbi_open(txn, "altitude", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &all->by_altitude),
        "dbi");
    for (uint64_t i = 0; i < all->rows; i++) {
        flight one;
        flight_make(i, &one);
        uint32_t altitude = __builtin_bswap32((uint32_t)altitude_of(&one));
        MDB_val at = {sizeof altitude, &altitude};
        MDB_val key = {KEY_LENGTH, one.key};
        lmdb_need(mdb_put(txn, all->by_altitude, &at, &key, 0), "put");
    }
    lmdb_need(mdb_txn_commit(txn), "commit");
}
#endif

#if BENCH_SQLITE
static answer sqlite_read(sqlite3_stmt *statement)
{
    answer got = {0};
    while (sqlite3_step(statement) == SQLITE_ROW) {
        got.sum += sqlite3_column_double(statement, 0) + sqlite3_column_double(statement, 1) +
                   sqlite3_column_double(statement, 2);
        got.rows++;
    }
    sqlite3_reset(statement);
    return got;
}

static answer sqlite_equal(bench *all, uint64_t low, uint64_t high)
{
    (void)high;
    sqlite3_bind_int64(all->select, 1, (int64_t)low);
    return sqlite_read(all->select);
}

static answer sqlite_range(bench *all, uint64_t low, uint64_t high)
{
    sqlite3_bind_int64(all->select_range, 1, (int64_t)low);
    sqlite3_bind_int64(all->select_range, 2, (int64_t)high);
    return sqlite_read(all->select_range);
}

static answer sqlite_count(bench *all, uint64_t low, uint64_t high)
{
    answer got = {0};
    sqlite3_bind_int64(all->count_range, 1, (int64_t)low);
    sqlite3_bind_int64(all->count_range, 2, (int64_t)high);
    if (sqlite3_step(all->count_range) != SQLITE_ROW)
        die("sqlite: no count");
    got.rows = (uint64_t)sqlite3_column_int64(all->count_range, 0);
    sqlite3_reset(all->count_range);
    return got;
}

static void sqlite_load(bench *all)
{
    all->sqlite = sqlite_peer_open();
    sqlite3_stmt *insert = sqlite_peer_prepare(all->sqlite, SQLITE_PEER_INSERT);
    sqlite_need(sqlite3_exec(all->sqlite, "BEGIN", NULL, NULL, NULL), all->sqlite, "begin");
    for (uint64_t i = 0; i < all->rows; i++) {
        flight one;
        flight_make(i, &one);
        one.altitude = altitude_of(&one);
        sqlite_peer_insert(all->sqlite, insert, &one);
    }
    sqlite_need(sqlite3_exec(all->sqlite,
                             "COMMIT; CREATE INDEX a ON FlightState(altitude);"
                             "CREATE INDEX u ON FlightState(updated_at); ANALYZE",
                             NULL, NULL, NULL),
                all->sqlite, "commit");
    sqlite3_finalize(insert);
    all->select = sqlite_peer_prepare(all->sqlite,
                                      "SELECT lat, lon, gs FROM FlightState WHERE altitude = ?");
    all->select_range = sqlite_peer_prepare(all->sqlite,
                                            "SELECT lat, lon, gs FROM FlightState INDEXED BY a"
                                            " WHERE altitude >= ? AND altitude < ?");
    all->count_range = sqlite_peer_prepare(
        all->sqlite, "SELECT count(*) FROM FlightState WHERE altitude >= ? AND altitude < ?");
}
#endif

static const peer peers[] = {
    {"equal", "aerostore", aerostore_equal}, {"equal", "plain columns", plain_equal},
    {"range", "aerostore", aerostore_range}, {"range", "plain columns", plain_range},
    {"count", "aerostore", aerostore_count},
#if BENCH_LMDB
    {"equal", "lmdb", lmdb_equal},           {"range", "lmdb", lmdb_range},
#endif
#if BENCH_SQLITE
    {"equal", "sqlite", sqlite_equal},       {"range", "sqlite", sqlite_range},
    {"count", "sqlite", sqlite_count},
#endif
};
enum { PEER_COUNT = sizeof peers / sizeof peers[0] };

/* ---- loading -------------------------------------------------------------------------------- */

static void store_load(bench *all)
{
    static const uint32_t columns[COLUMN_COUNT] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (uint64_t i = 0; i < all->rows; i++) {
        flight one;
        int32_t inserted;
        flight_make(i, &one);
        const aero_value values[COLUMN_COUNT] = {
            value_text(one.key, KEY_LENGTH),
            value_real(one.lat),
            value_real(one.lon),
            value_int(altitude_of(&one)),
            value_real(one.gs),
            {.type = AERO_TYPE_TIME, .u.integer = one.updated_us},
            value_text(one.typ, CODE_LENGTH),
            value_text(one.dest, CODE_LENGTH)};
        if (i % 1000 == 0)
            need(aero_begin(all->session, AERO_ISOLATION_SNAPSHOT), all->session, "begin");
        need(aero_replace(all->session, 0, COLUMN_COUNT, columns, values, &inserted), all->session,
             "replace");
        if (i % 1000 == 999 || i + 1 == all->rows)
            need(aero_commit(all->session), all->session, "commit");
    }
}

/* Rows by altitude, as arrays: what a program that only ever asks this would keep. */
static void plain_load(bench *all)
{
    all->lat = calloc(all->rows, sizeof *all->lat);
    all->lon = calloc(all->rows, sizeof *all->lon);
    all->gs = calloc(all->rows, sizeof *all->gs);
    uint32_t *next = calloc(VALUES + 1, sizeof *next);
    if (all->lat == NULL || all->lon == NULL || all->gs == NULL || next == NULL)
        die("out of memory");
    flight one;
    for (uint64_t i = 0; i < all->rows; i++) {
        flight_make(i, &one);
        next[one.altitude / STEP + 1]++;
    }
    for (uint32_t value = 0; value < VALUES; value++) {
        next[value + 1] += next[value];
        all->starts[value + 1] = next[value + 1];
    }
    for (uint64_t i = 0; i < all->rows; i++) {
        flight_make(i, &one);
        const uint32_t at = next[one.altitude / STEP]++;
        all->lat[at] = one.lat;
        all->lon[at] = one.lon;
        all->gs[at] = one.gs;
    }
    free(next);
}

static aero_query *query_new(bench *all)
{
    aero_query *query = NULL;
    need(aero_query_new(all->session, 0, &query), all->session, "query");
    return query;
}

static void open_clause(bench *all, aero_query *query, int32_t op, uint32_t column, uint64_t first)
{
    const aero_value value = {.type = AERO_TYPE_PARAMETER, .u.natural = first};
    need(aero_query_clause(query, op, column, 1, &value), all->session, "clause");
}

static void build_queries(bench *all)
{
    all->equal = query_new(all);
    open_clause(all, all->equal, AERO_OP_EQ, COLUMN_ALTITUDE, 0);
    all->range = query_new(all);
    open_clause(all, all->range, AERO_OP_GE, COLUMN_ALTITUDE, 0);
    open_clause(all, all->range, AERO_OP_LT, COLUMN_ALTITUDE, 1);
    all->key = query_new(all);
    open_clause(all, all->key, AERO_OP_EQ, COLUMN_ID, 0);
    all->tail = query_new(all);
    open_clause(all, all->tail, AERO_OP_GT, COLUMN_UPDATED_AT, 0);
    need(aero_query_limit(all->tail, TAIL, 0), all->session, "limit");
    all->top = query_new(all);
    need(aero_query_sort(all->top, COLUMN_UPDATED_AT, 1), all->session, "sort");
    need(aero_query_limit(all->top, TOP, 0), all->session, "limit");
    /* Says nothing, but only after all was planned: what is timed is parse, plan and bind. */
    all->filter = query_new(all);
    open_clause(all, all->filter, AERO_OP_EQ, COLUMN_ALTITUDE, 0);
    open_clause(all, all->filter, AERO_OP_GT, COLUMN_LAT, 1);
    const aero_value nothing[] = {value_real(91), value_real(91)};
    need(aero_query_clause(all->filter, AERO_OP_RANGE, COLUMN_LON, 2, nothing), all->session,
         "clause");
}

/* ---- single searches ------------------------------------------------------------------------ */

static void time_one(bench *all, const char *what, int round, aero_query *query, uint64_t count,
                     void (*prepare)(bench *all, aero_query *query))
{
    uint64_t rows = 0;
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        prepare(all, query);
        rows += read_all(all, query).rows;
    }
    const uint64_t took = now_ns() - start;
    if (rows == 0)
        die("%s: no rows", what);
    if (round > 0)
        report("search", what, round, (double)took / (double)count, "ns/search");
}

static void bind_key(bench *all, aero_query *query)
{
    char key[KEY_LENGTH];
    flight_key(random_next(&all->random) % all->rows, key);
    const aero_value value = value_text(key, KEY_LENGTH);
    need(aero_query_bind(query, 0, 1, &value), all->session, "bind");
}

/* A time that the last hundred flights or so are above. */
static void bind_tail(bench *all, aero_query *query)
{
    const int64_t last = 1533099600000000 + 1000000000 + (int64_t)all->rows * 1000;
    const int64_t back = all->rows < 500000 ? 200000000 : 20000000;
    const int64_t at = last - back - (int64_t)(random_next(&all->random) % 1000000);
    const aero_value value = {.type = AERO_TYPE_TIME, .u.integer = at};
    need(aero_query_bind(query, 0, 1, &value), all->session, "bind");
}

static void bind_nothing(bench *all, aero_query *query)
{
    (void)all;
    (void)query;
}

static void time_planning(bench *all, int round)
{
    static const char text[] = "{= altitude 31000} {> lat 12.5} {range lon 91 91}";
    uint64_t count = 0;
    uint64_t start = now_ns();
    for (int i = 0; i < LOOKUPS; i++) {
        aero_query *query = query_new(all);
        need(aero_query_compare(query, text, sizeof text - 1), all->session, "compare");
        need(aero_query_count(query, &count), all->session, "count");
        aero_query_free(query);
    }
    const double whole = (double)(now_ns() - start) / LOOKUPS;
    start = now_ns();
    for (int i = 0; i < LOOKUPS; i++) {
        const aero_value values[] = {value_int(i % 45000), value_real(i % 90)};
        need(aero_query_bind(all->filter, 0, 1, &values[0]), all->session, "bind");
        need(aero_query_bind(all->filter, 1, 1, &values[1]), all->session, "bind");
        need(aero_query_count(all->filter, &count), all->session, "count");
    }
    const double bound = (double)(now_ns() - start) / LOOKUPS;
    start = now_ns();
    for (int i = 0; i < LOOKUPS; i++) /* what running costs without new values */
        need(aero_query_count(all->filter, &count), all->session, "count");
    const double run = (double)(now_ns() - start) / LOOKUPS;
    if (round > 0) {
        report("search", "parse and plan", round, whole - run, "ns/search");
        report("search", "bind", round, bound - run, "ns/search");
    }
}

/* ---- rounds --------------------------------------------------------------------------------- */

static void run_peer(bench *all, const peer *one, int round, uint64_t width, const char *what,
                     answer *expected)
{
    uint64_t random = (uint64_t)round * 7 + width;
    answer sum = {0};
    const uint64_t searches = SEARCHES / width + 1;
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < searches; i++) {
        const uint64_t low = random_next(&random) % (VALUES - width) * STEP;
        const answer got = one->run(all, low, low + width * STEP);
        sum.rows += got.rows;
        sum.sum += got.sum;
    }
    const uint64_t took = now_ns() - start;
    const double off = sum.sum - expected->sum;
    if (expected->rows != 0 && (expected->rows != sum.rows ||
                                (sum.sum != 0 && expected->sum != 0 && (off > 1 || off < -1))))
        die("%s: %s answers %" PRIu64 " rows, others %" PRIu64, what, one->name, sum.rows,
            expected->rows);
    expected->rows = sum.rows;
    expected->sum = sum.sum != 0 ? sum.sum : expected->sum;
    if (round > 0)
        report(what, one->name, round, (double)took / (double)sum.rows, "ns/row");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        die("usage: query ROWS ROUNDS DIRECTORY");
    static bench all;
    all.rows = parse_count(argv[1]);
    all.random = 42;
    const int rounds = (int)parse_count(argv[2]);
    aero_db *db = NULL;
    all.session = store_open(argv[3], all.rows * 640 + (128u << 20), &db);
    store_load(&all);
    plain_load(&all);
#if BENCH_LMDB
    lmdb_load(&all, argv[3]);
#endif
#if BENCH_SQLITE
    sqlite_load(&all);
#endif
    build_queries(&all);
    for (int round = 0; round <= rounds; round++) {
        answer expected[2][3] = {0};
        for (int turn = 0; turn < PEER_COUNT; turn++) {
            const peer *one = &peers[(turn + round) % PEER_COUNT];
            const bool equal = strcmp(one->what, "equal") == 0;
            const bool count = strcmp(one->what, "count") == 0;
            for (int wide = 0; wide < (equal ? 1 : 2); wide++) {
                char what[32];
                snprintf(what, sizeof what, "%s%s", one->what,
                         equal  ? ""
                         : wide ? " of a tenth"
                                : " of a thousandth");
                run_peer(&all, one, round, wide ? VALUES / 10 : 1, what,
                         &expected[wide][equal   ? 0
                                         : count ? 1
                                                 : 2]);
            }
        }
        time_one(&all, "key look-up", round, all.key, LOOKUPS, bind_key);
        time_one(&all, "tail", round, all.tail, LOOKUPS / 10, bind_tail);
        time_one(&all, "top", round, all.top, LOOKUPS / 10, bind_nothing);
        time_planning(&all, round);
    }
    aero_query *const queries[] = {all.equal, all.range, all.key, all.tail, all.top, all.filter};
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        aero_query_free(queries[i]);
    store_close(db, all.session);
    return 0;
}
