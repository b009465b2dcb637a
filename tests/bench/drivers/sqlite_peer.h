/* sqlite_peer.h — SQLite in memory as a peer: the same eight columns, the key as the clustered
 * primary key (its fastest form for keyed access), no journal.
 *
 * Concurrency: one thread.
 */
#ifndef BENCH_SQLITE_PEER_H
#define BENCH_SQLITE_PEER_H

#include <sqlite3.h>

#include "driver.h"

static inline void sqlite_need(int code, sqlite3 *db, const char *what)
{
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        die("sqlite %s: %s", what, sqlite3_errmsg(db));
}

#define SQLITE_PEER_TABLE \
    "CREATE TABLE FlightState(flight_id TEXT PRIMARY KEY, lat REAL NOT NULL," \
    " lon REAL NOT NULL, altitude INTEGER, gs REAL," \
    " updated_at INTEGER NOT NULL, typ TEXT, dest TEXT) WITHOUT ROWID"

static inline sqlite3 *sqlite_peer_open(void)
{
    sqlite3 *db = NULL;
    sqlite_need(sqlite3_open(":memory:", &db), db, "open");
    sqlite_need(sqlite3_exec(db,
                             "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" SQLITE_PEER_TABLE,
                             NULL, NULL, NULL),
                db, "create");
    return db;
}

static inline sqlite3_stmt *sqlite_peer_prepare(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement = NULL;
    sqlite_need(sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), db,
                "prepare");
    return statement;
}

static inline void sqlite_peer_insert(sqlite3 *db, sqlite3_stmt *insert, const flight *one)
{
    sqlite3_bind_text(insert, 1, one->key, KEY_LENGTH, SQLITE_STATIC);
    sqlite3_bind_double(insert, 2, one->lat);
    sqlite3_bind_double(insert, 3, one->lon);
    sqlite3_bind_int(insert, 4, one->altitude);
    sqlite3_bind_double(insert, 5, one->gs);
    sqlite3_bind_int64(insert, 6, one->updated_us);
    sqlite3_bind_text(insert, 7, one->typ, CODE_LENGTH, SQLITE_STATIC);
    sqlite3_bind_text(insert, 8, one->dest, CODE_LENGTH, SQLITE_STATIC);
    sqlite_need(sqlite3_step(insert), db, "insert");
    sqlite3_reset(insert);
}

#define SQLITE_PEER_INSERT "INSERT INTO FlightState VALUES (?,?,?,?,?,?,?,?)"

static inline void sqlite_peer_load(sqlite3 *db, uint64_t rows)
{
    sqlite3_stmt *insert = sqlite_peer_prepare(db, SQLITE_PEER_INSERT);
    sqlite_need(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), db, "begin");
    for (uint64_t i = 0; i < rows; i++) {
        flight one;
        flight_make(i, &one);
        sqlite_peer_insert(db, insert, &one);
    }
    sqlite_need(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db, "commit");
    sqlite3_finalize(insert);
}

#endif
