/* vacuum.c — a mixed load in a segment of four times the live data, beside one of plenty.
 *
 * How it works: both databases are open in one process and get the same load in turns: updates of
 * random rows, flights that come and go, and index scans of some rows.  The small segment is as
 * large as an empty one takes and four times what the rows add.  A first turn, not measured, goes
 * on until the small segment has been written over several times.
 *
 * Concurrency: one thread; the keepers of both databases run beside it.
 */
#include "driver.h"

enum { BATCH = 256, SCAN_ROWS = 64, COMERS = 1000 };

typedef struct load {
    aero_db *db;
    aero_session *session;
    aero_query *query;
    uint64_t rows;
    uint64_t first; /* of those that come and go: the oldest that is there */
    uint64_t last;
    uint64_t random;
    uint64_t read;
} load;

static uint64_t stat_of(aero_session *session, const char *name)
{
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    need(aero_stats(session, &stats, &count), session, "stats");
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(stats[index].name, name) == 0)
            return (uint64_t)stats[index].value.u.integer;
    die("no statistic %s", name);
}

static void load_open(load *of, const char *directory, uint64_t size, const char *flights,
                      uint64_t rows, uint64_t *empty)
{
    static const uint32_t dest = COLUMN_DEST;
    *of = (load){.rows = rows, .first = rows, .last = rows};
    of->session = store_open(directory, size, &of->db);
    /* What is measured is memory, not the disk. */
    need(aero_config_set(of->session, "aerostore.checkpoint_wal_bytes", "1000000000000"),
         of->session, "config");
    need(aero_index_drop(of->session, 0, 1, &dest), of->session, "drop");
    *empty = stat_of(of->session, "segment_used");
    store_ingest(of->session, flights, rows);
    need(aero_query_new(of->session, 0, &of->query), of->session, "query");
    const aero_value bound = {.type = AERO_TYPE_PARAMETER, .u.natural = 0};
    need(aero_query_clause(of->query, AERO_OP_GE, COLUMN_ALTITUDE, 1, &bound), of->session,
         "clause");
    need(aero_query_sort(of->query, COLUMN_ALTITUDE, 0), of->session, "sort");
    need(aero_query_limit(of->query, SCAN_ROWS, 0), of->session, "limit");
}

static void load_close(load *of)
{
    uint64_t rows = 0;
    uint64_t blocks = 0;
    need(aero_verify(of->session, &rows, &blocks), of->session, "verify");
    if (rows != of->rows + of->last - of->first)
        die("%" PRIu64 " rows", rows);
    aero_query_free(of->query);
    store_close(of->db, of->session);
}

static void row_update(load *of, uint64_t salt)
{
    static const uint32_t columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE, COLUMN_UPDATED_AT};
    char key[KEY_LENGTH];
    int32_t found = 0;
    flight_key(salt % of->rows, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    const aero_value values[] = {value_real(1), value_real(2), value_int((salt >> 32) % 45000),
                                 value_time(1533099600000000 + (int64_t)(salt >> 24))};
    need(aero_update(of->session, 0, &id, 4, columns, values, &found), of->session, "update");
    if (!found)
        die("a row is missing");
}

/* One comes, and the oldest of those that came goes. */
static void row_come_and_go(load *of, uint64_t salt)
{
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE,
                                       COLUMN_UPDATED_AT};
    char key[KEY_LENGTH];
    int32_t found = 0;
    flight_key(of->last++, key);
    const aero_value values[] = {value_text(key, KEY_LENGTH), value_real(1), value_real(2),
                                 value_int((salt >> 32) % 45000),
                                 value_time(1533099600000000 + (int64_t)(salt >> 24))};
    need(aero_insert(of->session, 0, 5, columns, values), of->session, "insert");
    if (of->last - of->first <= COMERS)
        return;
    flight_key(of->first++, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    need(aero_delete(of->session, 0, &id, &found), of->session, "delete");
    if (!found)
        die("a row that came is missing");
}

/* Read some rows in the order of their altitude, from a random one on. */
static void rows_scan(load *of, uint64_t salt)
{
    aero_cursor *cursor = NULL;
    const aero_row *row = NULL;
    const aero_value bound = value_int((salt >> 32) % 40000);
    need(aero_query_bind(of->query, 0, 1, &bound), of->session, "bind");
    need(aero_cursor_open(of->query, &cursor), of->session, "cursor");
    for (;;) {
        need(aero_cursor_next(cursor, &row), of->session, "next");
        if (row == NULL)
            break;
        of->read++;
    }
    aero_cursor_close(cursor);
}

/* A batch of operations: of twenty, seventeen updates, two of coming and going, one scan. */
static void batch_run(load *of)
{
    for (int step = 0; step < BATCH; step++) {
        const uint64_t salt = random_next(&of->random);
        const uint64_t kind = (salt >> 8) % 20;
        if (kind < 17)
            row_update(of, random_next(&of->random));
        else if (kind < 19)
            row_come_and_go(of, random_next(&of->random));
        else
            rows_scan(of, random_next(&of->random));
    }
}

/* Nanoseconds an operation, over some time. */
static double load_run(load *of, uint64_t milliseconds)
{
    const uint64_t from = now_ns();
    uint64_t batches = 0;
    uint64_t took = 0;
    do {
        batch_run(of);
        batches++;
        took = now_ns() - from;
    } while (took < milliseconds * 1000000u);
    return (double)took / (double)(batches * BATCH);
}

int main(int argc, char **argv)
{
    load tight;
    load ample;
    uint64_t empty = 0;
    if (argc != 7)
        die("usage: vacuum ROWS ROUNDS MILLISECONDS FLIGHTS.TSV DIRECTORY DIRECTORY");
    const uint64_t rows = parse_count(argv[1]);
    const uint64_t rounds = parse_count(argv[2]);
    const uint64_t milliseconds = parse_count(argv[3]);
    load_open(&ample, argv[5], rows * 4096 + (512u << 20), argv[4], rows, &empty);
    const uint64_t live = stat_of(ample.session, "segment_used") - empty;
    /* Of an empty segment of about that size. */
    load_open(&tight, argv[6], 4 * live + (64u << 20), argv[4], rows, &empty);
    load_close(&tight);
    char command[4200];
    if (snprintf(command, sizeof command, "rm -rf '%s'/*", argv[6]) >= (int)sizeof command ||
        system(command) != 0)
        die("cannot empty %s", argv[6]);
    load_open(&tight, argv[6], empty + 4 * live, argv[4], rows, &empty);
    for (uint64_t done = 0; done < 4 * rows; done += BATCH) {
        batch_run(&tight);
        batch_run(&ample);
    }
    for (int round = 0; round < (int)rounds; round++)
        for (int turn = 0; turn < 2; turn++) {
            const bool is_tight = (turn + round) % 2 == 0;
            report("mixed load", is_tight ? "four times the data" : "plenty", round,
                   load_run(is_tight ? &tight : &ample, milliseconds), "ns/row");
        }
    report("segment in use", "four times the data", 0,
           (double)(stat_of(tight.session, "segment_used") - empty) / (double)live, "of the rows");
    if (tight.read == 0 || ample.read == 0)
        die("nothing was read");
    load_close(&tight);
    load_close(&ample);
    return 0;
}
