/* indexes.c — what ordered indexes cost: updates that move keys, and making an index.
 *
 * Usage: indexes ROWS OPERATIONS ROUNDS FLIGHTS.TSV DIRECTORY
 *
 * How it works: the table has three indexes (altitude, updated_at, typ).  One kind of update
 * changes three columns without an index, the other the same number, two of them indexed; each is a
 * transaction of one row.  Then three columns get an index each, and lose it again.
 *
 * Concurrency: one thread.
 */
#include "driver.h"

static double updates(aero_session *session, uint64_t rows, uint64_t operations, bool moves,
                      uint64_t seed)
{
    static const uint32_t plain[] = {COLUMN_LAT, COLUMN_LON, COLUMN_GS};
    static const uint32_t indexed[] = {COLUMN_LAT, COLUMN_ALTITUDE, COLUMN_UPDATED_AT};
    const uint64_t start = now_ns();
    for (uint64_t turn = 0; turn < operations; turn++) {
        char key[KEY_LENGTH];
        int32_t found = 0;
        const uint64_t salt = random_next(&seed);
        flight_key(salt % rows, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        const aero_value still[] = {value_real((double)(salt % 90)), value_real(1),
                                    value_real((double)(salt % 600))};
        const aero_value moved[] = {value_real((double)(salt % 90)),
                                    value_int((int64_t)(salt >> 32) % 45000),
                                    value_time((int64_t)(salt >> 16))};
        need(
            aero_update(session, 0, &id, 3, moves ? indexed : plain, moves ? moved : still, &found),
            session, "update");
        if (!found)
            die("a row is missing");
    }
    return (double)(now_ns() - start) / (double)operations;
}

int main(int argc, char **argv)
{
    static const struct {
        uint32_t column;
        const char *name;
    } made[] = {{COLUMN_LAT, "lat"}, {COLUMN_LON, "lon"}, {COLUMN_GS, "gs"}};
    aero_db *db = NULL;
    if (argc != 6)
        die("usage: indexes ROWS OPERATIONS ROUNDS FLIGHTS.TSV DIRECTORY");
    const uint64_t rows = parse_count(argv[1]);
    const uint64_t operations = parse_count(argv[2]);
    const int rounds = (int)parse_count(argv[3]);
    aero_session *session = store_open(argv[5], rows * 1024 + (256u << 20), &db);
    store_drop_indexes(session, 3);
    store_ingest(session, argv[4], rows);
    for (int round = 0; round <= rounds; round++) { /* round 0 warms up */
        double took[2];
        for (int turn = 0; turn < 2; turn++) {
            const int moves = (turn + round) % 2;
            took[moves] = updates(session, rows, operations, moves == 1, (uint64_t)round);
        }
        if (round > 0) {
            report("indexed update", "moves none", round, took[0], "ns/row");
            report("indexed update", "moves two", round, took[1], "ns/row");
        }
    }
    for (int round = 1; round <= rounds; round++)
        for (size_t index = 0; index < sizeof made / sizeof made[0]; index++) {
            const uint64_t start = now_ns();
            need(aero_index_create(session, 0, 1, &made[index].column, 0), session, "create");
            report("index create", made[index].name, round,
                   (double)(now_ns() - start) / (double)rows, "ns/row");
            need(aero_index_drop(session, 0, 1, &made[index].column), session, "drop");
        }
    store_close(db, session);
    return 0;
}
