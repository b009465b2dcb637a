/* scan.c — whole-table work: count rows that satisfy two numeric predicates; the 50 rows with the
 * largest ground speed.
 *
 * Usage: scan ROWS ROUNDS FLIGHTS.TSV DIRECTORY
 *
 * How it works: the scan counts `altitude >= 30000 and gs < 300`, nulls never matching, over equal
 * 88-byte rows in each peer.  The sort opens a query ordered by an unindexed column, once with a
 * limit of 50 and once without, and reads the first 50 rows either way: what differs is top-k
 * against sorting everything.  Rounds alternate; all counts must agree.
 */
#include "driver.h"
#if BENCH_LMDB
#include "lmdb_peer.h"
#endif
#if BENCH_SQLITE
#include "sqlite_peer.h"
#endif

enum { ALTITUDE_LOW = 30000, TOP_COUNT = 50 };
static const double gs_high = 300.0;

typedef struct peer_set {
    uint64_t rows;
    aero_query *filter;
    aero_query *top;
    aero_query *sorted;
    aero_session *session;
    plain_row *plain;
#if BENCH_LMDB
    lmdb_peer lmdb;
#endif
#if BENCH_SQLITE
    sqlite3 *sqlite;
    sqlite3_stmt *count;
    sqlite3_stmt *order;
#endif
} peer_set;

typedef struct peer {
    const char *what;
    const char *name;
    uint64_t (*run)(peer_set *bench);
} peer;

/* 1 when the row matches; without a branch, so that no peer lives on branch prediction. */
static inline uint64_t plain_match(const plain_row *row)
{
    return (uint64_t)((row->nulls & (PLAIN_NULL_ALTITUDE | PLAIN_NULL_GS)) == 0) &
           (uint64_t)(row->altitude >= ALTITUDE_LOW) & (uint64_t)(row->gs < gs_high);
}

static uint64_t aerostore_scan(peer_set *bench)
{
    uint64_t count = 0;
    need(aero_query_count(bench->filter, &count), bench->session, "count");
    return count;
}

static uint64_t plain_scan(peer_set *bench)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < bench->rows; i++)
        count += plain_match(&bench->plain[i]);
    return count;
}

#if BENCH_LMDB
/* As plain_match; LMDB aligns values to two bytes only. */
static uint64_t lmdb_match(const char *data)
{
    uint32_t nulls;
    int32_t altitude;
    double gs;
    memcpy(&nulls, data + offsetof(plain_row, nulls), sizeof nulls);
    memcpy(&altitude, data + offsetof(plain_row, altitude), sizeof altitude);
    memcpy(&gs, data + offsetof(plain_row, gs), sizeof gs);
    return (uint64_t)((nulls & (PLAIN_NULL_ALTITUDE | PLAIN_NULL_GS)) == 0) &
           (uint64_t)(altitude >= ALTITUDE_LOW) & (uint64_t)(gs < gs_high);
}

static uint64_t lmdb_scan(peer_set *bench)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val data;
    uint64_t count = 0;
    lmdb_need(mdb_txn_renew(bench->lmdb.reader), "renew");
    lmdb_need(mdb_cursor_open(bench->lmdb.reader, bench->lmdb.dbi, &cursor), "cursor");
    int code = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    for (; code == 0; code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT))
        count += lmdb_match(data.mv_data);
    mdb_cursor_close(cursor);
    mdb_txn_reset(bench->lmdb.reader);
    return count;
}
#endif

#if BENCH_SQLITE
static uint64_t sqlite_scan(peer_set *bench)
{
    if (sqlite3_step(bench->count) != SQLITE_ROW)
        die("sqlite: no count");
    const uint64_t count = (uint64_t)sqlite3_column_int64(bench->count, 0);
    sqlite3_reset(bench->count);
    return count;
}

static uint64_t sqlite_top(peer_set *bench)
{
    uint64_t sum = 0;
    while (sqlite3_step(bench->order) == SQLITE_ROW)
        sum += (uint64_t)(sqlite3_column_double(bench->order, 1) * 10.0);
    sqlite3_reset(bench->order);
    return sum;
}
#endif

/* Read the first rows of an ordered query; the sum of speeds tells that they are the right ones. */
static uint64_t read_top(peer_set *bench, aero_query *query)
{
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_GS};
    aero_cursor *cursor = NULL;
    uint64_t sum = 0;
    need(aero_cursor_open(query, &cursor), bench->session, "cursor");
    for (int i = 0; i < TOP_COUNT; i++) {
        const aero_row *row = NULL;
        aero_value values[2];
        need(aero_cursor_next(cursor, &row), bench->session, "next");
        if (row == NULL)
            break;
        aero_row_values(row, 2, columns, values);
        sum += (uint64_t)(values[1].u.real * 10.0);
    }
    aero_cursor_close(cursor);
    return sum;
}

static uint64_t aerostore_top(peer_set *bench)
{
    return read_top(bench, bench->top);
}

static uint64_t aerostore_sort(peer_set *bench)
{
    return read_top(bench, bench->sorted);
}

static const peer peers[] = {
    {"scan", "aerostore", aerostore_scan}, {"scan", "plain loop", plain_scan},
#if BENCH_LMDB
    {"scan", "lmdb", lmdb_scan},
#endif
#if BENCH_SQLITE
    {"scan", "sqlite", sqlite_scan},       {"sort", "sqlite", sqlite_top},
#endif
    {"sort", "aerostore", aerostore_top},  {"sort", "aerostore full sort", aerostore_sort},
};
enum { PEER_COUNT = sizeof peers / sizeof peers[0] };

static void build_queries(peer_set *bench)
{
    aero_session *session = bench->session;
    const aero_value altitude = value_int(ALTITUDE_LOW);
    const aero_value gs = value_real(gs_high);
    need(aero_query_new(session, 0, &bench->filter), session, "query");
    need(aero_query_clause(bench->filter, AERO_OP_GE, COLUMN_ALTITUDE, 1, &altitude), session,
         "ge");
    need(aero_query_clause(bench->filter, AERO_OP_LT, COLUMN_GS, 1, &gs), session, "lt");
    need(aero_query_new(session, 0, &bench->top), session, "query");
    need(aero_query_sort(bench->top, COLUMN_GS, 1), session, "sort");
    need(aero_query_limit(bench->top, TOP_COUNT, 0), session, "limit");
    need(aero_query_new(session, 0, &bench->sorted), session, "query");
    need(aero_query_sort(bench->sorted, COLUMN_GS, 1), session, "sort");
}

static void load_peers(peer_set *bench, const char *directory)
{
    bench->plain = calloc(bench->rows, sizeof *bench->plain);
    if (bench->plain == NULL)
        die("out of memory");
    for (uint64_t i = 0; i < bench->rows; i++) {
        flight one;
        flight_make(i, &one);
        plain_fill(&bench->plain[i], &one);
    }
#if BENCH_LMDB
    lmdb_peer_open(&bench->lmdb, directory, bench->rows);
#else
    (void)directory;
#endif
#if BENCH_SQLITE
    bench->sqlite = sqlite_peer_open();
    sqlite_peer_load(bench->sqlite, bench->rows);
    bench->count = sqlite_peer_prepare(
        bench->sqlite, "SELECT count(*) FROM FlightState WHERE altitude >= 30000 AND gs < 300.0");
    bench->order = sqlite_peer_prepare(
        bench->sqlite, "SELECT flight_id, gs FROM FlightState ORDER BY gs DESC LIMIT 50");
#endif
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: scan ROWS ROUNDS FLIGHTS.TSV DIRECTORY");
    static peer_set bench;
    bench.rows = parse_count(argv[1]);
    const int rounds = (int)parse_count(argv[2]);
    aero_db *db = NULL;
    bench.session = store_open(argv[4], bench.rows * 512 + (128u << 20), &db);
    store_ingest(bench.session, argv[3], bench.rows);
    load_peers(&bench, argv[4]);
    build_queries(&bench);
    uint64_t scanned = 0;
    uint64_t sorted = 0;
    for (int round = 0; round <= rounds; round++) {
        for (int turn = 0; turn < PEER_COUNT; turn++) {
            const peer *one = &peers[(turn + round) % PEER_COUNT];
            uint64_t *expected = strcmp(one->what, "scan") == 0 ? &scanned : &sorted;
            const uint64_t start = now_ns();
            const uint64_t answer = one->run(&bench);
            const uint64_t took = now_ns() - start;
            if (*expected != 0 && answer != *expected)
                die("%s: %s answers %" PRIu64 ", others %" PRIu64, one->what, one->name, answer,
                    *expected);
            *expected = answer;
            if (round > 0) /* round 0 warms caches and page tables */
                report(one->what, one->name, round, (double)took / (double)bench.rows, "ns/row");
        }
    }
    aero_query_free(bench.filter);
    aero_query_free(bench.top);
    aero_query_free(bench.sorted);
    store_close(db, bench.session);
    return 0;
}
