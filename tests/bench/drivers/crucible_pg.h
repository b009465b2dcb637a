/* crucible_pg.h — the Crucible on PostgreSQL: prepared statements over libpq, binary both ways.
 *
 * One statement an upsert and one a scan, each its own transaction at the server's default level
 * (read committed).
 *
 * Concurrency: a connection a worker.
 */
#ifndef BENCH_CRUCIBLE_PG_H
#define BENCH_CRUCIBLE_PG_H

#include <arpa/inet.h>
#include <endian.h>
#include <libpq-fe.h>

#include "crucible.h"

static PGconn *pg_connect(const crucible *all)
{
    PGconn *to = PQconnectdb(all->server);
    if (PQstatus(to) != CONNECTION_OK)
        die("PostgreSQL: %s", PQerrorMessage(to));
    return to;
}

static PGresult *pg_need(PGconn *to, PGresult *result)
{
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("PostgreSQL: %s", PQerrorMessage(to));
    return result;
}

static void pg_run(PGconn *to, const char *text)
{
    PQclear(pg_need(to, PQexec(to, text)));
}

static void pg_make(crucible *all)
{
    PGconn *to = pg_connect(all);
    pg_run(to, "SET client_min_messages = warning");
    pg_run(to, "DROP TABLE IF EXISTS event");
    pg_run(to, "CREATE TABLE event (id text PRIMARY KEY, altitude int4 NOT NULL,"
               " event_ts int8 NOT NULL, payload bytea NOT NULL)");
    pg_run(to, "INSERT INTO event SELECT 'K' || lpad(g::text, 7, '0'), 0, g + 1,"
               " decode(repeat('00', 32), 'hex') FROM generate_series(0, 49999) g");
    pg_run(to, "CREATE INDEX ON event (event_ts)");
    pg_run(to, "VACUUM ANALYZE event");
    pg_run(to, "CHECKPOINT");
    PQfinish(to);
}

static void *pg_join(crucible *all)
{
    PGconn *to = pg_connect(all);
    PQclear(pg_need(
        to, PQprepare(to, "upsert",
                      "INSERT INTO event VALUES ($1, 1, $2, decode(repeat('00', 32), 'hex'))"
                      " ON CONFLICT (id) DO UPDATE SET altitude = event.altitude + 1,"
                      " event_ts = excluded.event_ts, payload = set_byte(event.payload, 31,"
                      " (get_byte(event.payload, 31) + 1) % 256)",
                      2, (const Oid[]){25, 20})));
    PQclear(pg_need(to, PQprepare(to, "scan",
                                  "SELECT id, event_ts FROM event WHERE event_ts > $1"
                                  " ORDER BY event_ts LIMIT 64",
                                  1, (const Oid[]){20})));
    return to;
}

static uint32_t pg_upsert(void *mine, uint32_t row, int64_t stamp)
{
    char key[ROW_KEY + 1];
    const uint64_t number = htobe64((uint64_t)stamp);
    const char *values[] = {key, (const char *)&number};
    const int lengths[] = {ROW_KEY, sizeof number};
    const int formats[] = {1, 1};
    row_key(row, key);
    PQclear(pg_need(mine, PQexecPrepared(mine, "upsert", 2, values, lengths, formats, 1)));
    return 0;
}

static uint32_t pg_scan(void *mine, int64_t above)
{
    const uint64_t number = htobe64((uint64_t)above);
    const char *values[] = {(const char *)&number};
    const int lengths[] = {sizeof number};
    const int formats[] = {1};
    PGresult *rows = pg_need(mine, PQexecPrepared(mine, "scan", 1, values, lengths, formats, 1));
    const uint32_t count = (uint32_t)PQntuples(rows);
    for (uint32_t row = 0; row < count; row++) {
        uint64_t stamp;
        memcpy(&stamp, PQgetvalue(rows, (int)row, 1), sizeof stamp);
        above = scan_check(above, (int64_t)be64toh(stamp), PQgetvalue(rows, (int)row, 0));
    }
    PQclear(rows);
    return count;
}

static uint64_t pg_total(crucible *all)
{
    PGconn *to = pg_connect(all);
    PGresult *rows = pg_need(to, PQexec(to, "SELECT sum(altitude) FROM event"));
    const uint64_t total = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    PQfinish(to);
    return total;
}

static void pg_end(crucible *all)
{
    PGconn *to = pg_connect(all);
    pg_run(to, "DROP TABLE event");
    PQfinish(to);
}

#endif
