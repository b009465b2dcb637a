/* txn_single.c — transactions of one process: what beginning and ending one costs, and changing one
 * row in one, beside SQLite and LMDB, each through its C interface.
 *
 * How it works: each peer reads a random row's altitude and writes one more, in a transaction; the
 * sums of what was read must agree.  SQLite: WAL without syncing; LMDB: NOSYNC, by
 * writing to its file (its default) and through a writable mapping; all in files on the benchmark's
 * own tmpfs folder.
 *
 * Concurrency: one thread.
 */
#include <stdatomic.h>

#include "driver.h"
#if BENCH_LMDB
#include "lmdb_peer.h"
#endif
#if BENCH_SQLITE
#include "sqlite_peer.h"
#endif

enum { SHORT_RUN = 200000, LONG_RUN = 10000000, PAUSES = 5 };

typedef struct bench {
    aero_session *session;
    uint64_t rows;
    uint64_t operations;
    char directory[2048];
#if BENCH_LMDB
    lmdb_peer lmdb;
    lmdb_peer lmdb_mapped;
#endif
#if BENCH_SQLITE
    sqlite3 *sqlite;
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    sqlite3_stmt *select;
    sqlite3_stmt *update;
#endif
} bench;

/* ---- beginning and ending ------------------------------------------------------------------- */

/* An uncontended compare-and-swap, on a cached line. */
static double cas_ns(void)
{
    static _Atomic uint64_t cell;
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < SHORT_RUN; i++) {
        uint64_t expected = i;
        if (!atomic_compare_exchange_strong_explicit(&cell, &expected, i + 1, memory_order_acq_rel,
                                                     memory_order_acquire))
            die("somebody else was here");
    }
    const double took = (double)(now_ns() - start) / SHORT_RUN;
    atomic_store(&cell, 0);
    return took;
}

static double empty_ns(aero_session *session, uint64_t times)
{
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        need(aero_begin(session, AERO_ISOLATION_READ_ONLY), session, "begin");
        need(aero_commit(session), session, "commit");
    }
    return (double)(now_ns() - start) / (double)times;
}

/* The same around one look-up, which makes the transaction take its snapshot; `inside` false: the
 * look-up alone. */
static double look_ns(aero_session *session, bool inside)
{
    char key[KEY_LENGTH];
    int32_t found = 0;
    flight_key(1, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < SHORT_RUN; i++) {
        if (inside)
            need(aero_begin(session, AERO_ISOLATION_READ_ONLY), session, "begin");
        need(aero_exists(session, 0, &id, &found), session, "exists");
        if (inside)
            need(aero_commit(session), session, "commit");
    }
    return (double)(now_ns() - start) / SHORT_RUN;
}

static double least(double left, double right)
{
    return left < right ? left : right;
}

static void begin_and_end(bench *of, int round)
{
    double cas = cas_ns();
    double alone = look_ns(of->session, false);
    double inside = look_ns(of->session, true);
    for (int pause = 0; pause < PAUSES; pause++) { /* the least: neighbours only add */
        cas = least(cas, cas_ns());
        alone = least(alone, look_ns(of->session, false));
        inside = least(inside, look_ns(of->session, true));
    }
    report("begin and end", "compare-and-swap", round, cas, "ns/row");
    report("begin and end", "aerostore", round, inside - alone, "ns/row");
}

static void flatness(bench *of, int round)
{
    double before = empty_ns(of->session, SHORT_RUN);
    for (int pause = 0; pause < PAUSES; pause++)
        before = least(before, empty_ns(of->session, SHORT_RUN));
    (void)empty_ns(of->session, LONG_RUN);
    double after = empty_ns(of->session, SHORT_RUN);
    for (int pause = 0; pause < PAUSES; pause++)
        after = least(after, empty_ns(of->session, SHORT_RUN));
    report("empty transaction", "after a few", round, before, "ns/row");
    report("empty transaction", "after 10,000,000", round, after, "ns/row");
}

/* ---- one row -------------------------------------------------------------------------------- */

static const uint32_t altitude_column = COLUMN_ALTITUDE;

static uint64_t aerostore_transactions(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    aero_session *session = of->session;
    for (uint64_t i = 0; i < of->operations; i++) {
        char key[KEY_LENGTH];
        aero_value altitude;
        int32_t found = 0;
        flight_key(random_next(&seed) % of->rows, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
        need(aero_get(session, 0, &id, 1, &altitude_column, &altitude, &found), session, "get");
        sum += (uint64_t)altitude.u.integer;
        altitude = value_int(altitude.u.integer + 1);
        need(aero_update(session, 0, &id, 1, &altitude_column, &altitude, &found), session,
             "update");
        need(aero_commit(session), session, "commit");
    }
    return sum;
}

/* The same without a transaction around it: what the ratio is taken of. */
static uint64_t aerostore_statements(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < of->operations; i++) {
        char key[KEY_LENGTH];
        int32_t found = 0;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % of->rows, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        const aero_value gs = value_real((double)(salt >> 40));
        static const uint32_t column = COLUMN_GS;
        need(aero_update(of->session, 0, &id, 1, &column, &gs, &found), of->session, "update");
        sum += (uint64_t)found;
    }
    return sum;
}

#if BENCH_LMDB
static uint64_t lmdb_run(const bench *of, const lmdb_peer *lmdb, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < of->operations; i++) {
        char text[KEY_LENGTH];
        plain_row row;
        MDB_txn *txn = NULL;
        flight_key(random_next(&seed) % of->rows, text);
        MDB_val key = {KEY_LENGTH, text};
        MDB_val data;
        lmdb_need(mdb_txn_begin(lmdb->env, NULL, 0, &txn), "begin");
        lmdb_need(mdb_get(txn, lmdb->dbi, &key, &data), "get");
        memcpy(&row, data.mv_data, sizeof row);
        sum += (uint64_t)row.altitude;
        row.altitude++;
        data = (MDB_val){sizeof row, &row};
        lmdb_need(mdb_put(txn, lmdb->dbi, &key, &data, 0), "put");
        lmdb_need(mdb_txn_commit(txn), "commit");
    }
    return sum;
}

static uint64_t lmdb_transactions(bench *of, uint64_t seed)
{
    return lmdb_run(of, &of->lmdb, seed);
}

static uint64_t lmdb_mapped_transactions(bench *of, uint64_t seed)
{
    return lmdb_run(of, &of->lmdb_mapped, seed);
}
#endif

#if BENCH_SQLITE
static void sqlite_run(bench *of, sqlite3_stmt *statement)
{
    sqlite_need(sqlite3_step(statement), of->sqlite, "step");
    sqlite3_reset(statement);
}

static uint64_t sqlite_transactions(bench *of, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < of->operations; i++) {
        char key[KEY_LENGTH];
        flight_key(random_next(&seed) % of->rows, key);
        sqlite_run(of, of->begin);
        sqlite3_bind_text(of->select, 1, key, KEY_LENGTH, SQLITE_STATIC);
        if (sqlite3_step(of->select) != SQLITE_ROW)
            die("sqlite: key missing");
        const int altitude = sqlite3_column_int(of->select, 0);
        sqlite3_reset(of->select);
        sum += (uint64_t)altitude;
        sqlite3_bind_int(of->update, 1, altitude + 1);
        sqlite3_bind_text(of->update, 2, key, KEY_LENGTH, SQLITE_STATIC);
        sqlite_run(of, of->update);
        sqlite_run(of, of->commit);
    }
    return sum;
}

static void sqlite_open_file(bench *of)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/sqlite.db", of->directory);
    sqlite_need(sqlite3_open(path, &of->sqlite), of->sqlite, "open");
    sqlite_need(sqlite3_exec(of->sqlite,
                             "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" SQLITE_PEER_TABLE,
                             NULL, NULL, NULL),
                of->sqlite, "create");
    sqlite_peer_load(of->sqlite, of->rows);
    of->begin = sqlite_peer_prepare(of->sqlite, "BEGIN IMMEDIATE");
    of->commit = sqlite_peer_prepare(of->sqlite, "COMMIT");
    of->select = sqlite_peer_prepare(of->sqlite,
                                     "SELECT altitude FROM FlightState WHERE flight_id = ?");
    of->update = sqlite_peer_prepare(of->sqlite,
                                     "UPDATE FlightState SET altitude = ? WHERE flight_id = ?");
}
#endif

typedef struct peer {
    const char *name;
    uint64_t (*run)(bench *of, uint64_t seed);
    bool sums; /* its sum is that of the others */
} peer;

static const peer peers[] = {
    {"aerostore", aerostore_transactions, true},
    {"aerostore, statement", aerostore_statements, false},
#if BENCH_LMDB
    {"lmdb", lmdb_transactions, true},
    {"lmdb, writemap", lmdb_mapped_transactions, true},
#endif
#if BENCH_SQLITE
    {"sqlite", sqlite_transactions, true},
#endif
};
enum { PEER_COUNT = sizeof peers / sizeof peers[0] };

static void one_row(bench *of, int round)
{
    uint64_t expected = 0;
    bool known = false;
    for (int turn = 0; turn < PEER_COUNT; turn++) {
        const peer *each = &peers[(turn + round) % PEER_COUNT]; /* nobody is always first */
        const uint64_t start = now_ns();
        const uint64_t sum = each->run(of, 500 + (uint64_t)round);
        const uint64_t took = now_ns() - start;
        if (each->sums && known && sum != expected)
            die("%s read other values than its peers", each->name);
        expected = each->sums ? sum : expected;
        known |= each->sums;
        if (round > 0) /* round 0 warms caches and page tables */
            report("one-row transaction", each->name, round, (double)took / (double)of->operations,
                   "ns/row");
    }
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: txn_single ROWS OPERATIONS ROUNDS FLIGHTS.TSV DIRECTORY");
    static bench of;
    aero_db *db = NULL;
    of.rows = parse_count(argv[1]);
    of.operations = parse_count(argv[2]);
    const int rounds = (int)parse_count(argv[3]);
    snprintf(of.directory, sizeof of.directory, "%s", argv[5]);
    of.session = store_open(argv[5], of.rows * 1024 + (256u << 20), &db);
    store_drop_indexes(of.session, 0); /* the peers have none */
    store_ingest(of.session, argv[4], of.rows);
#if BENCH_LMDB
    lmdb_peer_open_with(&of.lmdb, argv[5], of.rows, 0);
    lmdb_peer_open(&of.lmdb_mapped, argv[5], of.rows);
#endif
#if BENCH_SQLITE
    sqlite_open_file(&of);
#endif
    for (int round = 0; round <= rounds; round++)
        one_row(&of, round);
    for (int round = 1; round <= rounds; round++) {
        begin_and_end(&of, round);
        flatness(&of, round);
    }
    store_close(db, of.session);
    return 0;
}
