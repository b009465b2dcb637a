/* keyed.c — access by key in a table of many rows: read one random row, update one random row.
 *
 * Usage: keyed get|update ROWS OPERATIONS ROUNDS FLIGHTS.TSV DIRECTORY
 *
 * How it works: every peer holds the same rows; then each round runs the same OPERATIONS random
 * keys on each peer in turn, so that drift of the machine meets all of them.  A read takes every
 * column of the row and folds it into a checksum, which must be the same for all peers.  An update
 * sets the five columns of a position report.  Each operation stands alone: for the engines it is
 * its own transaction (or snapshot).
 */
#include "driver.h"
#include "plain_hash.h"
#if BENCH_LMDB
#include "lmdb_peer.h"
#endif
#if BENCH_SQLITE
#include "sqlite_peer.h"
#endif

typedef struct peer_set {
    uint64_t rows;
    uint64_t operations;
    aero_session *session;
    plain_hash plain;
#if BENCH_LMDB
    lmdb_peer lmdb;
#endif
#if BENCH_SQLITE
    sqlite3 *sqlite;
    sqlite3_stmt *select;
    sqlite3_stmt *update;
#endif
} peer_set;

typedef uint64_t (*work)(peer_set *bench, uint64_t seed);

typedef struct peer {
    const char *name;
    work get;
    work update;
} peer;

/* The new position number `salt` of a flight: never what the row holds by accident. */
static void position_make(uint64_t salt, flight *out)
{
    out->lat = (double)(salt % 90000) / 1000.0;
    out->lon = (double)(salt % 180000) / 1000.0;
    out->altitude = (int32_t)(salt % 45000);
    out->gs = (double)(salt % 600);
    out->updated_us = 1600000000000000 + (int64_t)(salt % 1000000000);
}

/* ---- Aerostore ------------------------------------------------------------------------------ */

static uint64_t consume_value(uint64_t sum, const aero_value *value)
{
    if (value->type == AERO_TYPE_DOUBLE)
        return consume_real(sum, value->u.real);
    if (value->type == AERO_TYPE_TEXT)
        return consume_text(sum, value->u.data, value->length);
    return sum * 31 + (uint64_t)value->u.integer;
}

static uint64_t aerostore_get(peer_set *bench, uint64_t seed)
{
    static const uint32_t columns[] = {COLUMN_LAT,        COLUMN_LON, COLUMN_ALTITUDE, COLUMN_GS,
                                       COLUMN_UPDATED_AT, COLUMN_TYP, COLUMN_DEST};
    enum { COUNT = sizeof columns / sizeof columns[0] };
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        aero_value values[COUNT];
        int32_t found = 0;
        flight_key(random_next(&seed) % bench->rows, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        need(aero_get(bench->session, 0, &id, COUNT, columns, values, &found), bench->session,
             "get");
        if (!found)
            die("aerostore: key missing");
        for (int column = 0; column < COUNT; column++)
            sum = consume_value(sum, &values[column]);
    }
    return sum;
}

static uint64_t aerostore_update(peer_set *bench, uint64_t seed)
{
    static const uint32_t columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE, COLUMN_GS,
                                       COLUMN_UPDATED_AT};
    enum { COUNT = sizeof columns / sizeof columns[0] };
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        flight one;
        int32_t found = 0;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % bench->rows, key);
        position_make(salt, &one);
        const aero_value id = value_text(key, KEY_LENGTH);
        const aero_value values[COUNT] = {value_real(one.lat), value_real(one.lon),
                                          value_int(one.altitude), value_real(one.gs),
                                          value_time(one.updated_us)};
        need(aero_update(bench->session, 0, &id, COUNT, columns, values, &found), bench->session,
             "update");
        sum += (uint64_t)found;
    }
    return sum;
}

/* ---- the plain hash ------------------------------------------------------------------------- */

static uint64_t plain_get(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        flight_key(random_next(&seed) % bench->rows, key);
        const plain_row *row = plain_hash_find(&bench->plain, key, KEY_LENGTH);
        if (row == NULL)
            die("plain hash: key missing");
        sum = plain_consume(sum, row);
    }
    return sum;
}

static uint64_t plain_update(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        flight one;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % bench->rows, key);
        position_make(salt, &one);
        plain_row *row = plain_hash_find(&bench->plain, key, KEY_LENGTH);
        if (row == NULL)
            die("plain hash: key missing");
        row->lat = one.lat;
        row->lon = one.lon;
        row->altitude = one.altitude;
        row->gs = one.gs;
        row->updated_us = one.updated_us;
        sum++;
    }
    return sum;
}

/* ---- LMDB ----------------------------------------------------------------------------------- */

#if BENCH_LMDB
static uint64_t lmdb_get(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char text[KEY_LENGTH];
        plain_row row;
        flight_key(random_next(&seed) % bench->rows, text);
        MDB_val key = {KEY_LENGTH, text};
        MDB_val data;
        lmdb_need(mdb_txn_renew(bench->lmdb.reader), "renew");
        lmdb_need(mdb_get(bench->lmdb.reader, bench->lmdb.dbi, &key, &data), "get");
        memcpy(&row, data.mv_data, sizeof row);
        mdb_txn_reset(bench->lmdb.reader);
        sum = plain_consume(sum, &row);
    }
    return sum;
}

static uint64_t lmdb_update(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char text[KEY_LENGTH];
        flight one;
        plain_row row;
        MDB_txn *txn = NULL;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % bench->rows, text);
        position_make(salt, &one);
        MDB_val key = {KEY_LENGTH, text};
        MDB_val data;
        lmdb_need(mdb_txn_begin(bench->lmdb.env, NULL, 0, &txn), "begin");
        lmdb_need(mdb_get(txn, bench->lmdb.dbi, &key, &data), "get");
        memcpy(&row, data.mv_data, sizeof row);
        row.lat = one.lat;
        row.lon = one.lon;
        row.altitude = one.altitude;
        row.gs = one.gs;
        row.updated_us = one.updated_us;
        data = (MDB_val){sizeof row, &row};
        lmdb_need(mdb_put(txn, bench->lmdb.dbi, &key, &data, 0), "put");
        lmdb_need(mdb_txn_commit(txn), "commit");
        sum++;
    }
    return sum;
}
#endif

/* ---- SQLite --------------------------------------------------------------------------------- */

#if BENCH_SQLITE
static uint64_t sqlite_get(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    sqlite3_stmt *select = bench->select;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        flight_key(random_next(&seed) % bench->rows, key);
        sqlite3_bind_text(select, 1, key, KEY_LENGTH, SQLITE_STATIC);
        if (sqlite3_step(select) != SQLITE_ROW)
            die("sqlite: key missing");
        sum = consume_real(sum, sqlite3_column_double(select, 0));
        sum = consume_real(sum, sqlite3_column_double(select, 1));
        sum = sum * 31 + (uint64_t)sqlite3_column_int64(select, 2);
        sum = consume_real(sum, sqlite3_column_double(select, 3));
        sum = sum * 31 + (uint64_t)sqlite3_column_int64(select, 4);
        for (int column = 5; column < 7; column++)
            sum = consume_text(sum, (const char *)sqlite3_column_text(select, column),
                               (size_t)sqlite3_column_bytes(select, column));
        sqlite3_reset(select);
    }
    return sum;
}

static uint64_t sqlite_update(peer_set *bench, uint64_t seed)
{
    uint64_t sum = 0;
    sqlite3_stmt *update = bench->update;
    for (uint64_t i = 0; i < bench->operations; i++) {
        char key[KEY_LENGTH];
        flight one;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % bench->rows, key);
        position_make(salt, &one);
        sqlite3_bind_double(update, 1, one.lat);
        sqlite3_bind_double(update, 2, one.lon);
        sqlite3_bind_int(update, 3, one.altitude);
        sqlite3_bind_double(update, 4, one.gs);
        sqlite3_bind_int64(update, 5, one.updated_us);
        sqlite3_bind_text(update, 6, key, KEY_LENGTH, SQLITE_STATIC);
        sqlite_need(sqlite3_step(update), bench->sqlite, "update");
        sqlite3_reset(update);
        sum += (uint64_t)sqlite3_changes(bench->sqlite);
    }
    return sum;
}
#endif

static const peer peers[] = {
    {"aerostore", aerostore_get, aerostore_update},
    {"plain hash", plain_get, plain_update},
#if BENCH_LMDB
    {"lmdb", lmdb_get, lmdb_update},
#endif
#if BENCH_SQLITE
    {"sqlite", sqlite_get, sqlite_update},
#endif
};
enum { PEER_COUNT = sizeof peers / sizeof peers[0] };

static void load_peers(peer_set *bench, const char *directory)
{
    plain_hash_init(&bench->plain, bench->rows);
    for (uint64_t i = 0; i < bench->rows; i++) {
        flight one;
        flight_make(i, &one);
        plain_hash_add(&bench->plain, &one);
    }
#if BENCH_LMDB
    lmdb_peer_open(&bench->lmdb, directory, bench->rows);
#else
    (void)directory;
#endif
#if BENCH_SQLITE
    bench->sqlite = sqlite_peer_open();
    sqlite_peer_load(bench->sqlite, bench->rows);
    bench->select = sqlite_peer_prepare(bench->sqlite,
                                        "SELECT lat, lon, altitude, gs, updated_at, typ, dest FROM "
                                        "FlightState WHERE flight_id = ?");
    bench->update = sqlite_peer_prepare(
        bench->sqlite, "UPDATE FlightState SET lat = ?, lon = ?, altitude = ?, gs = ?,"
                       " updated_at = ? WHERE flight_id = ?");
#endif
}

static void run_round(peer_set *bench, int updates, int round)
{
    const char *what = updates ? "update" : "get";
    uint64_t expected = 0;
    for (int turn = 0; turn < PEER_COUNT; turn++) {
        const int which = (turn + round) % PEER_COUNT; /* nobody is always first */
        const work run = updates ? peers[which].update : peers[which].get;
        const uint64_t start = now_ns();
        const uint64_t sum = run(bench, 1000 + (uint64_t)round);
        const uint64_t took = now_ns() - start;
        if (turn > 0 && sum != expected)
            die("%s: %s read other values than its peers", what, peers[which].name);
        expected = sum;
        /* Round 0 warms caches and page tables. */
        if (round > 0)
            report(what, peers[which].name, round, (double)took / (double)bench->operations,
                   "ns/row");
    }
}

int main(int argc, char **argv)
{
    if (argc != 7 || (strcmp(argv[1], "get") != 0 && strcmp(argv[1], "update") != 0))
        die("usage: keyed get|update ROWS OPERATIONS ROUNDS FLIGHTS.TSV DIRECTORY");
    static peer_set bench;
    bench.rows = parse_count(argv[2]);
    bench.operations = parse_count(argv[3]);
    const int rounds = (int)parse_count(argv[4]);
    aero_db *db = NULL;
    bench.session = store_open(argv[6], bench.rows * 1024 + (256u << 20), &db);
    store_drop_indexes(bench.session, 0); /* the plain peers have none */
    store_ingest(bench.session, argv[5], bench.rows);
    load_peers(&bench, argv[6]);
    for (int round = 0; round <= rounds; round++)
        run_round(&bench, strcmp(argv[1], "update") == 0, round);
    store_close(db, bench.session);
    return 0;
}
