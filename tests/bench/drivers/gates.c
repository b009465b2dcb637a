/* gates.c — what the system before this one was held against: an index beside a scan of the table,
 * processes that put one key, a hot row, and a scan by a child.
 *
 * Usage: gates index|forked ROUNDS DIRECTORY
 *
 * How it works: index loads 60,000 rows and asks the same questions through the index of a column
 * and through a scan of all rows; both must find as many.  forked inserts rows that all have one
 * value of an indexed column, from one process and from four; lets 16 processes add to one row;
 * and counts 120,000 rows in the parent and in a child.  Nothing may be lost.
 *
 * Concurrency: one thread a process.
 */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum {
    ROWS_INDEX = 60000,
    ROWS_SCAN = 120000,
    EQUALS = 2000,
    RANGES = 120,
    SCANS = 40, /* through the table there are fewer: each takes as long as the other */
    PUTS = 40000,
    PUTTERS = 4,
    HOT_WORKERS = 16,
    HOT_UPDATES = 1000,
    ALTITUDES = 45000
};

static void row_add(aero_session *session, uint64_t number, int64_t altitude)
{
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE,
                                       COLUMN_UPDATED_AT};
    char key[KEY_LENGTH];
    flight_key(number, key);
    const aero_value values[] = {value_text(key, KEY_LENGTH), value_real(1), value_real(2),
                                 value_int(altitude), value_time((int64_t)number)};
    need(aero_insert(session, 0, 5, columns, values), session, "insert");
}

static void rows_add(aero_session *session, uint64_t rows)
{
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    for (uint64_t row = 0; row < rows; row++)
        row_add(session, row, (int64_t)(row * 7919 % ALTITUDES));
    need(aero_commit(session), session, "commit");
}

/* ---- an index beside a scan ----------------------------------------------------------------- */

typedef struct question {
    const char *name;
    int32_t op;
    uint32_t values;
    int64_t low; /* of the first one; the next ones lie further on */
    int64_t wide;
} question;

static uint64_t ask(aero_session *session, const question *of, const char *way, int times,
                    double *each_ns)
{
    uint64_t total = 0;
    const uint64_t start = now_ns();
    for (int turn = 0; turn < times; turn++) {
        aero_query *query = NULL;
        uint64_t count = 0;
        const int64_t low = of->low + turn % SCANS;
        const aero_value values[] = {value_int(low), value_int(low + of->wide)};
        need(aero_query_new(session, 0, &query), session, "query");
        need(aero_query_clause(query, of->op, COLUMN_ALTITUDE, of->values, values), session,
             "clause");
        need(aero_query_using(query, way, strlen(way)), session, "using");
        need(aero_query_count(query, &count), session, "count");
        aero_query_free(query);
        if (turn < SCANS)
            total += count;
    }
    *each_ns = (double)(now_ns() - start) / times;
    return total;
}

static double compare(aero_session *session, int round, const question *of, int times)
{
    static const char *const ways[] = {"index altitude", "scan"};
    static const char *const peers[] = {"index", "scan of the table"};
    uint64_t found[2] = {0, 0};
    double took[2] = {0, 0};
    for (int turn = 0; turn < 2; turn++) {
        const int way = (turn + round) % 2;
        found[way] = ask(session, of, ways[way], way == 0 ? times : SCANS, &took[way]);
        report(of->name, peers[way], round, took[way], "ns/search");
    }
    if (found[0] != found[1] || found[0] == 0)
        die("%s: %" PRIu64 " by the index, %" PRIu64 " by a scan", of->name, found[0], found[1]);
    return took[1] / took[0];
}

static void gates_index(aero_session *session, int rounds)
{
    static const question equal = {"equality look-up", AERO_OP_EQ, 1, 7000, 0};
    static const question range = {"range look-up", AERO_OP_RANGE, 2, 20000, ALTITUDES / 100};
    static const question modes[] = {
        {"> of 0.1 %", AERO_OP_GT, 1, ALTITUDES - 85, 0},
        {"> of 1 %", AERO_OP_GT, 1, ALTITUDES - 490, 0},
        {"> of 5 %", AERO_OP_GT, 1, ALTITUDES - 2290, 0},
        {">= of 0.1 %", AERO_OP_GE, 1, ALTITUDES - 85, 0},
        {">= of 1 %", AERO_OP_GE, 1, ALTITUDES - 490, 0},
        {"< of 0.1 %", AERO_OP_LT, 1, 5, 0},
        {"< of 1 %", AERO_OP_LT, 1, 410, 0},
        {"<= of 0.1 %", AERO_OP_LE, 1, 5, 0},
        {"<= of 1 %", AERO_OP_LE, 1, 410, 0},
        {"range of 0.1 %", AERO_OP_RANGE, 2, 30000, ALTITUDES / 1000},
        {"range of 1 %", AERO_OP_RANGE, 2, 30000, ALTITUDES / 100},
        {"range of 5 %", AERO_OP_RANGE, 2, 30000, ALTITUDES / 20},
    };
    enum { MODES = sizeof modes / sizeof modes[0] };
    rows_add(session, ROWS_INDEX);
    for (int round = 1; round <= rounds; round++) {
        double least = 1e9;
        double sum = 0;
        (void)compare(session, round, &equal, EQUALS);
        (void)compare(session, round, &range, RANGES);
        for (int mode = 0; mode < MODES; mode++) {
            const double ratio = compare(session, round, &modes[mode], RANGES);
            least = ratio < least ? ratio : least;
            sum += ratio;
        }
        report("selectivities", "least of 12", round, least, "x a scan");
        report("selectivities", "mean of 12", round, sum / MODES, "x a scan");
    }
}

/* ---- several processes ---------------------------------------------------------------------- */

typedef void (*job)(aero_session *session, uint64_t number, uint64_t count);

/* Nanoseconds until all of `workers` children have done their share. */
static double forked(aero_session *session, uint32_t workers, job run, uint64_t first,
                     uint64_t share)
{
    const uint64_t start = wall_ns();
    fflush(NULL);
    for (uint32_t worker = 0; worker < workers; worker++) {
        const pid_t child = fork();
        if (child < 0)
            die("fork failed");
        if (child == 0) {
            run(session, first + worker * share, share);
            _exit(0);
        }
    }
    for (uint32_t worker = 0; worker < workers; worker++) {
        int status = 0;
        if (wait(&status) < 0 || status != 0)
            die("a worker ended with %x", (unsigned)status);
    }
    return (double)(wall_ns() - start);
}

static void put_one_key(aero_session *session, uint64_t first, uint64_t count)
{
    for (uint64_t row = first; row < first + count; row++)
        row_add(session, row, ALTITUDES);
}

static void add_to_one_row(aero_session *session, uint64_t first, uint64_t count)
{
    char key[KEY_LENGTH];
    const aero_value one = value_real(1);
    (void)first;
    flight_key(0, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    for (uint64_t turn = 0; turn < count; turn++) {
        int32_t found = 0;
        need(aero_incr(session, 0, &id, COLUMN_GS, &one, NULL, &found), session, "incr");
    }
}

static uint64_t count_altitudes(aero_session *session, int32_t op, int64_t altitude)
{
    aero_query *query = NULL;
    uint64_t count = 0;
    const aero_value value = value_int(altitude);
    need(aero_query_new(session, 0, &query), session, "query");
    need(aero_query_clause(query, op, COLUMN_ALTITUDE, 1, &value), session, "clause");
    need(aero_query_using(query, "index altitude", 14), session, "using");
    need(aero_query_count(query, &count), session, "count");
    aero_query_free(query);
    return count;
}

static void scan_all(aero_session *session, uint64_t round, uint64_t child)
{
    uint64_t count = 0;
    enum { TIMES = 5 };
    const uint64_t start = now_ns();
    for (int turn = 0; turn < TIMES; turn++)
        count += count_altitudes(session, AERO_OP_GE, 0);
    const uint64_t took = now_ns() - start;
    if (count < (uint64_t)TIMES * ROWS_SCAN)
        die("%" PRIu64 " rows in %d scans", count, TIMES);
    report("forked range scan", child != 0 ? "child" : "parent", (int)round,
           (double)took / (double)count, "ns/row");
}

static void gates_forked(aero_session *session, int rounds)
{
    uint64_t next = ROWS_SCAN;
    double hot_rows = 0;
    rows_add(session, ROWS_SCAN);
    for (int round = 1; round <= rounds; round++) {
        char key[KEY_LENGTH];
        static const uint32_t column = COLUMN_GS;
        aero_value total;
        int32_t found = 0;
        const uint64_t before = count_altitudes(session, AERO_OP_EQ, ALTITUDES);
        const double one = forked(session, 1, put_one_key, next, PUTS);
        const double many = forked(session, PUTTERS, put_one_key, next + PUTS, PUTS / PUTTERS);
        next += 2 * (uint64_t)PUTS;
        if (count_altitudes(session, AERO_OP_EQ, ALTITUDES) != before + 2 * (uint64_t)PUTS)
            die("rows of one key were lost");
        report("puts of one key", "one process", round, one / PUTS, "ns/row");
        report("puts of one key", "four processes", round, many / PUTS, "ns/row");
        const double hot = forked(session, HOT_WORKERS, add_to_one_row, 0, HOT_UPDATES);
        hot_rows += (double)HOT_WORKERS * HOT_UPDATES;
        report("one hot row", "16 processes", round, hot / (HOT_WORKERS * HOT_UPDATES), "ns/row");
        flight_key(0, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        need(aero_get(session, 0, &id, 1, &column, &total, &found), session, "get");
        if (!found || total.u.real != hot_rows)
            die("%.0f of %.0f updates of the hot row are there", total.u.real, hot_rows);
        scan_all(session, (uint64_t)round, 0);
        (void)forked(session, 1, scan_all, (uint64_t)round, 1);
    }
}

int main(int argc, char **argv)
{
    aero_db *db = NULL;
    cpu_set_t cores;
    if (argc != 4)
        die("usage: gates index|forked ROUNDS DIRECTORY");
    const int rounds = (int)parse_count(argv[2]);
    aero_session *session = store_open(argv[3], (uint64_t)1 << 30, &db);
    if (strcmp(argv[1], "index") == 0) {
        gates_index(session, rounds);
    } else {
        memset(&cores, 0xff, sizeof cores); /* several processes want several cores */
        (void)sched_setaffinity(0, sizeof cores, &cores);
        gates_forked(session, rounds);
    }
    store_close(db, session);
    return 0;
}
