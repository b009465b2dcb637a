/* lookup.c — what a key and an index save: one row of a table found through them, and the same row
 * found by looking at all.
 *
 * Usage: lookup ROWS ROUNDS FLIGHTS.TSV DIRECTORY
 *
 * How it works: four prepared searches, each bound to a random row's value and read to the end;
 * three columns of what is found are fetched.  `using scan` keeps the planner from the short way.
 */
#include "driver.h"

enum { LOOKUPS = 20000, SCANS = 20 };

typedef struct bench {
    uint64_t rows;
    uint64_t random;
    aero_session *session;
} bench;

/* A search for one value of `column`, the planner's way or by a scan. */
static aero_query *open_query(bench *all, uint32_t column, bool scan)
{
    const aero_value value = {.type = AERO_TYPE_PARAMETER, .u.natural = 0};
    aero_query *query = NULL;
    need(aero_query_new(all->session, 0, &query), all->session, "query");
    need(aero_query_clause(query, AERO_OP_EQ, column, 1, &value), all->session, "clause");
    if (scan)
        need(aero_query_using(query, "scan", 4), all->session, "using");
    return query;
}

static uint64_t look_up(bench *all, aero_query *query, uint32_t column)
{
    static const uint32_t read_columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_GS};
    aero_cursor *cursor = NULL;
    aero_column_data data[3];
    uint32_t count = 0;
    uint64_t found = 0;
    flight one;
    flight_make(random_next(&all->random) % all->rows, &one);
    const aero_value value = column == COLUMN_ID ? value_text(one.key, KEY_LENGTH)
                                                 : (aero_value){.type = AERO_TYPE_TIME,
                                                                .u.integer = one.updated_us};
    need(aero_query_bind(query, 0, 1, &value), all->session, "bind");
    need(aero_cursor_open(query, &cursor), all->session, "cursor");
    do {
        need(aero_cursor_fetch(cursor, 64, 3, read_columns, data, &count), all->session, "fetch");
        found += count;
    } while (count > 0);
    aero_cursor_close(cursor);
    return found;
}

static void time_searches(bench *all, const char *what, const char *how, uint32_t column,
                          aero_query *query, uint32_t count, int round)
{
    uint64_t found = 0;
    const uint64_t start = now_ns();
    for (uint32_t i = 0; i < count; i++)
        found += look_up(all, query, column);
    const uint64_t took = now_ns() - start;
    if (found < count)
        die("%s: %" PRIu64 " rows of %u found", what, found, count);
    if (round > 0)
        report(what, how, round, (double)took / count, "ns/search");
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: lookup ROWS ROUNDS FLIGHTS.TSV DIRECTORY");
    bench all = {.rows = parse_count(argv[1]), .random = 42};
    const int rounds = (int)parse_count(argv[2]);
    aero_db *db = NULL;
    all.session = store_open(argv[4], all.rows * 640 + (128u << 20), &db);
    store_ingest(all.session, argv[3], all.rows);
    aero_query *const by_key = open_query(&all, COLUMN_ID, false);
    aero_query *const key_scan = open_query(&all, COLUMN_ID, true);
    aero_query *const by_index = open_query(&all, COLUMN_UPDATED_AT, false);
    aero_query *const index_scan = open_query(&all, COLUMN_UPDATED_AT, true);
    for (int round = 0; round <= rounds; round++) {
        time_searches(&all, "key", "look-up", COLUMN_ID, by_key, LOOKUPS, round);
        time_searches(&all, "key", "full scan", COLUMN_ID, key_scan, SCANS, round);
        time_searches(&all, "equality", "look-up", COLUMN_UPDATED_AT, by_index, LOOKUPS, round);
        time_searches(&all, "equality", "full scan", COLUMN_UPDATED_AT, index_scan, SCANS, round);
    }
    aero_query *const queries[] = {by_key, key_scan, by_index, index_scan};
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        aero_query_free(queries[i]);
    store_close(db, all.session);
    return 0;
}
