/* ttl.c — expiring all of many rows at once, and what a writer of other rows notices.
 *
 * How it works: the loaded flights are years old, those of the writer are of now; with an hour to
 * live by the time of the position a sweep deletes the first and leaves the others.  A child sweeps
 * while the parent updates its rows and notes how long each update took; before, it does the same
 * alone.  The benchmarks pin themselves to one core; here all cores are taken back.  The writer's
 * times are wall times, because waiting is what is measured there.
 *
 * Concurrency: one thread a process.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { WRITTEN = 10000, UPDATES_MOST = 4000000, ALONE_MS = 500 };
#define HOUR_US 3600000000ll

static void writers_rows(aero_session *session, uint64_t rows)
{
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE,
                                       COLUMN_UPDATED_AT};
    const int64_t now_us = (int64_t)time(NULL) * 1000000;
    for (uint64_t number = 0; number < WRITTEN; number++) {
        char key[KEY_LENGTH];
        int32_t inserted = 0;
        flight_key(rows + number, key);
        const aero_value values[] = {value_text(key, KEY_LENGTH), value_real(1), value_real(2),
                                     value_int(3), value_time(now_us)};
        need(aero_upsert(session, 0, 5, columns, values, &inserted), session, "upsert");
    }
}

static uint32_t update_one(aero_session *session, uint64_t rows, uint64_t *random)
{
    static const uint32_t column = COLUMN_ALTITUDE;
    char key[KEY_LENGTH];
    int32_t found = 0;
    const uint64_t salt = random_next(random);
    flight_key(rows + salt % WRITTEN, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    const aero_value altitude = value_int((int64_t)(salt >> 32) % 45000);
    const uint64_t from = wall_ns();
    need(aero_update(session, 0, &id, 1, &column, &altitude, &found), session, "update");
    const uint64_t took = wall_ns() - from;
    if (!found)
        die("a row that was to live has expired");
    return took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static int by_time(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* Update until the child has ended, or without one for a while.  Returns the 99th percentile. */
static double write_beside(aero_session *session, uint64_t rows, pid_t child)
{
    static uint32_t took[UPDATES_MOST];
    uint64_t random = 1;
    size_t count = 0;
    const uint64_t end = wall_ns() + ALONE_MS * 1000000ull;
    for (int status = 0; count < UPDATES_MOST;) {
        took[count++] = update_one(session, rows, &random);
        if (child == 0 && wall_ns() > end)
            break;
        if (child == 0 || count % 64 != 0)
            continue;
        const pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child && status != 0)
            die("the sweep ended with %x", (unsigned)status);
        if (ended == child) {
            child = 0;
            break;
        }
    }
    if (child != 0)
        (void)waitpid(child, NULL, 0);
    qsort(took, count, sizeof took[0], by_time);
    return (double)took[count - 1 - count / 100];
}

static _Noreturn void sweep_all(aero_session *session, uint64_t rows, int round, const char *peer)
{
    uint64_t expired = 0;
    const uint64_t from = now_ns();
    need(aero_ttl_sweep(session, 0, &expired), session, "sweep");
    if (expired != rows)
        die("%" PRIu64 " rows expired", expired);
    report("expiry", peer, round, (double)(now_ns() - from) / (double)rows, "ns/row");
    struct rusage used;
    if (getenv("BENCH_TALK") != NULL && getrusage(RUSAGE_SELF, &used) == 0)
        fprintf(stderr, "%ld + %ld microseconds of processor, gave it up %ld times, lost it %ld\n",
                (long)(used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec),
                (long)(used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec), used.ru_nvcsw,
                used.ru_nivcsw);
    _exit(0);
}

static void round_run(aero_session *session, uint64_t rows, const char *flights, int round,
                      const char *peer)
{
    uint64_t left = 0;
    need(aero_ttl_set(session, 0, 0, -1), session, "ttl");
    store_ingest(session, flights, rows);
    need(aero_ttl_set(session, 0, HOUR_US, COLUMN_UPDATED_AT), session, "ttl");
    char what[64];
    snprintf(what, sizeof what, "writer's p99, %s", peer);
    report(what, "alone", round, write_beside(session, rows, 0), "ns/call");
    const pid_t child = fork();
    if (child < 0)
        die("fork failed");
    if (child == 0)
        sweep_all(session, rows, round, peer);
    report(what, "beside expiry", round, write_beside(session, rows, child), "ns/call");
    need(aero_count(session, 0, &left), session, "count");
    if (left != WRITTEN)
        die("%" PRIu64 " rows are left", left);
}

int main(int argc, char **argv)
{
    aero_db *db = NULL;
    if (argc != 6)
        die("usage: ttl ROWS ROUNDS INDEXES FLIGHTS.TSV DIRECTORY");
    const uint64_t rows = parse_count(argv[1]);
    const uint64_t rounds = parse_count(argv[2]);
    const bool indexed = strcmp(argv[3], "indexed") == 0;
    unpin();
    aero_session *session = store_open(argv[5], rows * 1024 + (256u << 20), &db);
    /* Nobody sweeps but the child. */
    need(aero_config_set(session, "aerostore.ttl_sweep_interval_ms", "0"), session, "config");
    if (!indexed)
        store_drop_indexes(session, 0);
    writers_rows(session, rows);
    for (int round = 0; round < (int)rounds; round++)
        round_run(session, rows, argv[4], round, indexed ? "four indexes" : "key only");
    store_close(db, session);
    return 0;
}
