/* served.c — access by key to servers on this machine: read one random row, update one random row.
 *
 * Usage: served redis|postgresql get|update ROWS OPERATIONS ADDRESS
 *
 * How it works: loads the made-up flights, then asks for random keys one after the other over a
 * Unix socket, as a program that keeps its table in a server does.  Redis holds a hash a row
 * (HMGET, HSET), PostgreSQL a table (prepared statements).  ADDRESS is a socket, or what libpq
 * connects to.
 *
 * Concurrency: one thread.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver.h"
#if BENCH_PQ
#include <libpq-fe.h>
#endif

enum { LINE_MAX_BYTES = 512, LOADED_AHEAD = 64 };

/* ---- Redis ---------------------------------------------------------------------------------- */

typedef struct redis {
    int socket;
    size_t from;
    size_t upto;
    char buffer[1 << 16];
} redis;

static void redis_connect(redis *to, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    to->from = to->upto = 0;
    if (strlen(path) >= sizeof at.sun_path)
        die("path too long: %s", path);
    memcpy(at.sun_path, path, strlen(path));
    to->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int attempt = 0; connect(to->socket, (const struct sockaddr *)&at, sizeof at) != 0;) {
        if (++attempt == 500)
            die("no server at %s", path);
        usleep(10000); /* it is starting */
    }
}

static void redis_send(const redis *to, const char *data, size_t length)
{
    while (length > 0) {
        const ssize_t sent = write(to->socket, data, length);
        if (sent <= 0)
            die("redis: cannot write");
        data += sent;
        length -= (size_t)sent;
    }
}

/* The next line of an answer, without its end; lives until the next one. */
static const char *redis_line(redis *from)
{
    for (;;) {
        char *start = from->buffer + from->from;
        char *end = memchr(start, '\n', from->upto - from->from);
        if (end != NULL) {
            from->from = (size_t)(end - from->buffer) + 1;
            end[-1] = '\0';
            return start;
        }
        memmove(from->buffer, start, from->upto - from->from);
        from->upto -= from->from;
        from->from = 0;
        const ssize_t got = read(from->socket, from->buffer + from->upto,
                                 sizeof from->buffer - from->upto);
        if (got <= 0)
            die("redis: cannot read");
        from->upto += (size_t)got;
    }
}

/* An answer's first line: not an error. */
static const char *redis_answer(redis *from)
{
    const char *line = redis_line(from);
    if (*line == '-')
        die("redis: %s", line);
    return line;
}

static int redis_set(char *line, const char *key, const flight *one)
{
    return snprintf(line, LINE_MAX_BYTES,
                    "HSET %.12s lat %.7f lon %.7f altitude %d gs %.1f updated_at %" PRId64 "\r\n",
                    key, one->lat, one->lon, one->altitude, one->gs, one->updated_us);
}

static void redis_load(redis *to, uint64_t rows)
{
    for (uint64_t row = 0; row < rows; row++) {
        char line[2 * LINE_MAX_BYTES];
        flight one;
        flight_make(row, &one);
        int length = redis_set(line, one.key, &one) - 2;
        length += snprintf(line + length, LINE_MAX_BYTES, " typ %.4s dest %.4s\r\n", one.typ,
                           one.dest);
        redis_send(to, line, (size_t)length);
        if (row >= LOADED_AHEAD)
            (void)redis_answer(to);
    }
    for (uint64_t row = 0; row < rows && row < LOADED_AHEAD; row++)
        (void)redis_answer(to);
}

static void redis_get(redis *to, const char *key)
{
    char line[LINE_MAX_BYTES];
    const int length = snprintf(line, sizeof line,
                                "HMGET %.12s lat lon altitude gs updated_at typ dest\r\n", key);
    redis_send(to, line, (size_t)length);
    if (strcmp(redis_answer(to), "*7") != 0)
        die("redis: not seven fields");
    for (int field = 0; field < 7; field++) {
        if (redis_line(to)[1] == '-')
            die("redis: a field is missing");
        (void)redis_line(to);
    }
}

static void redis_update(redis *to, const char *key, const flight *one)
{
    char line[LINE_MAX_BYTES];
    redis_send(to, line, (size_t)redis_set(line, key, one));
    (void)redis_answer(to);
}

static void redis_run(const char *address, bool updates, uint64_t rows, uint64_t operations)
{
    static redis to;
    uint64_t seed = 1;
    redis_connect(&to, address);
    redis_load(&to, rows);
    const uint64_t start = now_ns();
    for (uint64_t turn = 0; turn < operations; turn++) {
        flight one;
        flight_make(random_next(&seed) % rows, &one);
        if (updates)
            redis_update(&to, one.key, &one);
        else
            redis_get(&to, one.key);
    }
    report(updates ? "update" : "get", "redis", 0, (double)(now_ns() - start) / (double)operations,
           "ns/row");
    close(to.socket);
}

/* ---- PostgreSQL ----------------------------------------------------------------------------- */

#if BENCH_PQ
static void pg_need(PGconn *to, PGresult *result, const char *affected)
{
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("PostgreSQL: %s", PQerrorMessage(to));
    if (affected != NULL && strcmp(PQcmdTuples(result), affected) != 0)
        die("PostgreSQL: a row is missing");
    PQclear(result);
}

static void pg_load(PGconn *to, uint64_t rows)
{
    pg_need(to, PQexec(to, "DROP TABLE IF EXISTS flight"), NULL);
    pg_need(to,
            PQexec(to, "CREATE TABLE flight (flight_id text PRIMARY KEY, lat float8, lon float8,"
                       " altitude int4, gs float8, updated_at int8, typ text, dest text)"),
            NULL);
    PQclear(PQexec(to, "COPY flight FROM STDIN"));
    for (uint64_t row = 0; row < rows; row++) {
        char line[LINE_MAX_BYTES];
        flight one;
        flight_make(row, &one);
        const int length = snprintf(
            line, sizeof line, "%.12s\t%.7f\t%.7f\t%d\t%.1f\t%" PRId64 "\t%.4s\t%.4s\n", one.key,
            one.lat, one.lon, one.altitude, one.gs, one.updated_us, one.typ, one.dest);
        if (PQputCopyData(to, line, length) != 1)
            die("PostgreSQL: %s", PQerrorMessage(to));
    }
    if (PQputCopyEnd(to, NULL) != 1)
        die("PostgreSQL: %s", PQerrorMessage(to));
    for (PGresult *result; (result = PQgetResult(to)) != NULL;)
        pg_need(to, result, NULL);
    pg_need(to, PQexec(to, "VACUUM ANALYZE flight"), NULL);
}

static void pg_run(const char *address, bool updates, uint64_t rows, uint64_t operations)
{
    uint64_t seed = 1;
    PGconn *to = PQconnectdb(address);
    if (PQstatus(to) != CONNECTION_OK)
        die("PostgreSQL: %s", PQerrorMessage(to));
    pg_load(to, rows);
    pg_need(to,
            PQprepare(to, "get",
                      "SELECT lat, lon, altitude, gs, updated_at, typ, dest FROM flight"
                      " WHERE flight_id = $1",
                      1, NULL),
            NULL);
    pg_need(to,
            PQprepare(to, "update",
                      "UPDATE flight SET lat = $2, lon = $3, altitude = $4, gs = $5,"
                      " updated_at = $6 WHERE flight_id = $1",
                      6, NULL),
            NULL);
    const uint64_t start = now_ns();
    for (uint64_t turn = 0; turn < operations; turn++) {
        char texts[6][32];
        const char *values[6];
        flight one;
        flight_make(random_next(&seed) % rows, &one);
        snprintf(texts[0], sizeof texts[0], "%.12s", one.key);
        snprintf(texts[1], sizeof texts[1], "%.7f", one.lat);
        snprintf(texts[2], sizeof texts[2], "%.7f", one.lon);
        snprintf(texts[3], sizeof texts[3], "%d", one.altitude);
        snprintf(texts[4], sizeof texts[4], "%.1f", one.gs);
        snprintf(texts[5], sizeof texts[5], "%" PRId64, one.updated_us);
        for (int value = 0; value < 6; value++)
            values[value] = texts[value];
        pg_need(
            to,
            PQexecPrepared(to, updates ? "update" : "get", updates ? 6 : 1, values, NULL, NULL, 0),
            "1");
    }
    report(updates ? "update" : "get", "postgresql", 0,
           (double)(now_ns() - start) / (double)operations, "ns/row");
    PQfinish(to);
}
#endif

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: served redis|postgresql get|update ROWS OPERATIONS ADDRESS");
    const bool updates = strcmp(argv[2], "update") == 0;
    const uint64_t rows = parse_count(argv[3]);
    const uint64_t operations = parse_count(argv[4]);
    if (strcmp(argv[1], "redis") == 0)
        redis_run(argv[5], updates, rows, operations);
#if BENCH_PQ
    else if (strcmp(argv[1], "postgresql") == 0)
        pg_run(argv[5], updates, rows, operations);
#endif
    else
        die("no peer %s", argv[1]);
    return 0;
}
