/* stats.c — what asking for statistics costs, with many rows, transactions and a watch.
 *
 * Usage: stats ROWS ROUNDS FLIGHTS.TSV DIRECTORY
 *
 * How it works: several sessions have a transaction open, one watches, and another asks again and
 * again, with a random look-up before each time, so that the caches are those of a database in use.
 * Reports the median and the 99th percentile of a call.
 */
#include "driver.h"

enum { CALLS = 2000, TRANSACTIONS = 16 };

static int by_time(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void transaction_open(aero_session *session, uint64_t number)
{
    char key[KEY_LENGTH];
    flight_key(number, key);
    const aero_value name = value_text(key, sizeof key);
    const uint32_t column = COLUMN_ALTITUDE;
    const aero_value altitude = value_int(1);
    int32_t found = 0;
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    need(aero_update(session, 0, &name, 1, &column, &altitude, &found), session, "update");
}

/* Read some row, for its cache misses. */
static uint64_t disturb(aero_session *session, uint64_t rows, uint64_t *random)
{
    char key[KEY_LENGTH];
    flight_key(random_next(random) % rows, key);
    const aero_value name = value_text(key, sizeof key);
    const uint32_t column = COLUMN_ALTITUDE;
    aero_value altitude;
    int32_t found = 0;
    need(aero_get(session, 0, &name, 1, &column, &altitude, &found), session, "get");
    return (uint64_t)altitude.u.integer;
}

static void round_run(aero_session *session, uint64_t rows, int round)
{
    static uint64_t took[CALLS];
    uint64_t random = (uint64_t)round + 1;
    uint64_t sum = 0;
    for (int call = 0; call < CALLS; call++) {
        const aero_stat *stats = NULL;
        uint32_t count = 0;
        sum += disturb(session, rows, &random);
        const uint64_t start = now_ns();
        need(aero_stats(session, &stats, &count), session, "stats");
        took[call] = now_ns() - start;
        sum += count;
    }
    qsort(took, CALLS, sizeof took[0], by_time);
    report("stats", "aerostore", round, (double)took[CALLS / 2], "ns/call");
    report("stats p99", "aerostore", round, (double)took[CALLS / 100 * 99], "ns/call");
    if (sum == 0)
        die("nothing was read");
}

int main(int argc, char **argv)
{
    aero_session *holders[TRANSACTIONS];
    aero_db *db = NULL;
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_error error;
    if (argc != 5)
        die("usage: stats ROWS ROUNDS FLIGHTS.TSV DIRECTORY");
    const uint64_t rows = parse_count(argv[1]);
    const uint64_t rounds = parse_count(argv[2]);
    aero_session *session = store_open(argv[4], rows * 512 + (128u << 20), &db);
    store_ingest(session, argv[3], rows);
    for (uint64_t number = 0; number < TRANSACTIONS; number++) {
        if (aero_session_open(db, &holders[number], &error) != AERO_OK)
            die("session: %s", error.text);
        transaction_open(holders[number], number);
    }
    need(aero_query_new(session, 0, &query), session, "query");
    need(aero_watch_open(query, AERO_WATCH_NOW, 0, &watch), session, "watch");
    for (int round = 0; round < (int)rounds; round++)
        round_run(session, rows, round);
    aero_watch_close(watch);
    aero_query_free(query);
    for (int number = 0; number < TRANSACTIONS; number++)
        aero_session_close(holders[number]);
    store_close(db, session);
    return 0;
}
