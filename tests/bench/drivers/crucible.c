/* crucible.c — the Crucible: workers that upsert and scan 50,000 keyed rows, one index moving.
 *
 * Usage: crucible aerostore|simple|postgresql WORKERS SECONDS WARM_UP SEGMENT_MB DISK SEGMENT
 *        [SERVER]
 *
 * How it works: a worker repeats 80 upserts, then 20 scans.  An upsert reads its row by key, adds
 * one to altitude and payload, sets event_ts to the next value of everybody's counter, and commits:
 * serializable, asynchronously durable, and the index moves with it.  Every 20th picks one of 256
 * rows that all workers share, the others a row of the worker's own.  A scan fetches id and
 * event_ts of the first 64 rows stamped after newest - 4096, in order.  Conflicts are begun anew,
 * within the time of the upsert.  At the end the sum of all altitudes must be the number of
 * upserts: a lost or a repeated one would show.
 *
 * Concurrency: one thread a process; all cores.
 */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crucible.h"
#include "crucible_mutex.h"
#if BENCH_PQ
#include "crucible_pg.h"
#endif

/* ---- Aerostore ------------------------------------------------------------------------------ */

enum { COLUMN_EVENT_ALTITUDE = 1, COLUMN_EVENT_TS = 2, COLUMN_EVENT_PAYLOAD = 3 };

typedef struct store {
    aero_db *db;
    aero_session *session;
    aero_query *query;
} store;

static void store_make(crucible *all)
{
    static const uint32_t columns[] = {0, COLUMN_EVENT_ALTITUDE, COLUMN_EVENT_TS,
                                       COLUMN_EVENT_PAYLOAD};
    static store of;
    aero_error error;
    const aero_open_options options = {
        .data_dir = all->directory, .shm_path = all->segment, .size = all->segment_size};
    if (aero_open(&options, &of.db, &error) != AERO_OK ||
        aero_session_open(of.db, &of.session, &error) != AERO_OK)
        die("open: %s", error.text);
    need(aero_config_set(of.session, "aerostore.synchronous_commit", "off"), of.session, "config");
    need(aero_begin(of.session, AERO_ISOLATION_SERIALIZABLE), of.session, "begin");
    for (uint32_t row = 0; row < ROWS; row++) {
        char key[ROW_KEY + 1];
        char payload[DIGITS];
        row_key(row, key);
        memset(payload, '0', sizeof payload);
        const aero_value values[] = {value_text(key, ROW_KEY), value_int(0),
                                     value_int((int64_t)row + 1), value_text(payload, DIGITS)};
        need(aero_insert(of.session, 0, 4, columns, values), of.session, "insert");
    }
    need(aero_commit(of.session), of.session, "commit");
    all->peer = &of;
}

static void *store_join(crucible *all)
{
    static store mine;
    aero_error error;
    const aero_value above = {.type = AERO_TYPE_PARAMETER, .u.natural = 0};
    mine.db = ((const store *)all->peer)->db;
    if (aero_session_open(mine.db, &mine.session, &error) != AERO_OK)
        die("session: %s", error.text);
    need(aero_query_new(mine.session, 0, &mine.query), mine.session, "query");
    need(aero_query_clause(mine.query, AERO_OP_GT, COLUMN_EVENT_TS, 1, &above), mine.session,
         "clause");
    need(aero_query_sort(mine.query, COLUMN_EVENT_TS, 0), mine.session, "sort");
    need(aero_query_limit(mine.query, SCAN_ROWS, 0), mine.session, "limit");
    return &mine;
}

/* False: a conflict, and nothing was changed. */
static bool store_change(aero_session *session, const aero_value *key, int64_t stamp)
{
    static const uint32_t read[] = {COLUMN_EVENT_ALTITUDE, COLUMN_EVENT_PAYLOAD};
    static const uint32_t written[] = {0, COLUMN_EVENT_ALTITUDE, COLUMN_EVENT_TS,
                                       COLUMN_EVENT_PAYLOAD};
    aero_value had[2];
    char payload[DIGITS];
    int32_t found = 0;
    int32_t inserted = 0;
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    aero_status status = aero_get(session, 0, key, 2, read, had, &found);
    if (status == AERO_OK) {
        if (!found || had[1].length != DIGITS)
            die("a row is missing");
        memcpy(payload, had[1].u.data, DIGITS);
        digits_next(payload);
        const aero_value values[] = {*key, value_int(had[0].u.integer + 1), value_int(stamp),
                                     value_text(payload, DIGITS)};
        status = aero_upsert(session, 0, 4, written, values, &inserted);
    }
    if (status == AERO_OK)
        status = aero_commit(session);
    if (status == AERO_CONFLICT) {
        if (aero_depth(session) > 0)
            need(aero_rollback(session), session, "rollback");
        return false;
    }
    need(status, session, "upsert");
    return true;
}

static uint32_t store_upsert(void *context, uint32_t row, int64_t stamp)
{
    const store *mine = context;
    char key[ROW_KEY + 1];
    uint32_t conflicts = 0;
    row_key(row, key);
    const aero_value id = value_text(key, ROW_KEY);
    while (!store_change(mine->session, &id, stamp))
        conflicts++;
    return conflicts;
}

static uint32_t store_scan(void *context, int64_t above)
{
    static const uint32_t columns[] = {0, COLUMN_EVENT_TS};
    const store *mine = context;
    const aero_value bound = value_int(above);
    aero_cursor *cursor = NULL;
    aero_column_data data[2];
    uint32_t count = 0;
    need(aero_query_bind(mine->query, 0, 1, &bound), mine->session, "bind");
    need(aero_cursor_open(mine->query, &cursor), mine->session, "cursor");
    need(aero_cursor_fetch(cursor, SCAN_ROWS, 2, columns, data, &count), mine->session, "fetch");
    for (uint32_t row = 0; row < count; row++)
        above = scan_check(above, data[1].integers[row], data[0].text + data[0].offsets[row]);
    aero_cursor_close(cursor);
    return count;
}

static uint64_t store_total(crucible *all)
{
    static const uint32_t column = COLUMN_EVENT_ALTITUDE;
    const store *of = all->peer;
    const aero_row *row = NULL;
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    uint64_t total = 0;
    need(aero_query_new(of->session, 0, &query), of->session, "query");
    need(aero_cursor_open(query, &cursor), of->session, "cursor");
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        aero_value altitude;
        aero_row_values(row, 1, &column, &altitude);
        total += (uint64_t)altitude.u.integer;
    }
    aero_cursor_close(cursor);
    aero_query_free(query);
    return total;
}

static uint64_t store_used(crucible *all)
{
    const store *of = all->peer;
    const aero_stat *stats = NULL;
    uint32_t count = 0;
    need(aero_stats(of->session, &stats, &count), of->session, "stats");
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(stats[index].name, "segment_used") == 0)
            return (uint64_t)stats[index].value.u.integer;
    die("no statistic segment_used");
}

static void store_end(crucible *all)
{
    const store *of = all->peer;
    store_close(of->db, of->session);
}

static const peer peers[] = {
    {"aerostore", store_make, store_join, store_upsert, store_scan, store_total, store_used,
     store_end},
    {"simple", simple_make, simple_join, simple_upsert, simple_scan, simple_total, NULL,
     simple_end},
#if BENCH_PQ
    {"postgresql", pg_make, pg_join, pg_upsert, pg_scan, pg_total, NULL, pg_end},
#endif
};

/* ---- workers -------------------------------------------------------------------------------- */

typedef struct worker {
    const peer *of;
    void *mine;
    board *shared;
    worker_line *line;
    uint32_t number;
    uint32_t workers;
    uint64_t seed;
    uint64_t upserts;
} worker;

static uint64_t cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void wait_until(uint64_t ns)
{
    const struct timespec at = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

static uint32_t bucket_of(uint64_t ns)
{
    if (ns < FINE)
        return (uint32_t)ns;
    const uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - 4u;
    const uint32_t bucket = (shift + 1) * FINE + (uint32_t)((ns >> shift) & (FINE - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_middle(uint32_t bucket)
{
    if (bucket < FINE)
        return bucket;
    const uint32_t shift = bucket / FINE - 1;
    return ((double)(FINE + bucket % FINE) + 0.5) * (double)(UINT64_C(1) << shift);
}

static void upsert_once(worker *work)
{
    const uint32_t share = (ROWS - HOT_ROWS) / work->workers;
    const uint64_t salt = random_next(&work->seed);
    const uint32_t row = work->upserts % HOT_EVERY == HOT_EVERY - 1
                             ? (uint32_t)(salt % HOT_ROWS)
                             : HOT_ROWS + work->number * share + (uint32_t)(salt % share);
    const int64_t stamp = atomic_fetch_add_explicit(&work->shared->stamp, 1, memory_order_relaxed) +
                          1;
    const uint32_t conflicts = work->of->upsert(work->mine, row, stamp);
    work->upserts++;
    if (conflicts > 0)
        atomic_fetch_add_explicit(&work->line->conflicts, conflicts, memory_order_relaxed);
    atomic_store_explicit(&work->line->upserts, work->upserts, memory_order_relaxed);
}

static void scan_once(worker *work)
{
    const int64_t newest = atomic_load_explicit(&work->shared->stamp, memory_order_relaxed);
    if (work->of->scan(work->mine, newest - SCAN_BACK) < SCAN_ROWS)
        work->line->short_scans++;
}

static _Noreturn void worker_run(worker *work, crucible *all)
{
    work->mine = work->of->join(all);
    atomic_fetch_add_explicit(&work->shared->ready, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&work->shared->state, memory_order_acquire) == 0)
        usleep(500);
    uint64_t last = wall_ns();
    uint64_t from = 0;
    for (uint32_t turn = 0;; turn++) {
        const uint32_t state = atomic_load_explicit(&work->shared->state, memory_order_relaxed);
        if (state == 3)
            break;
        if (state == 2 && from == 0)
            from = cpu_ns();
        const enum kind kind = turn % (UPSERTS + SCANS) < UPSERTS ? KIND_UPSERT : KIND_SCAN;
        if (kind == KIND_UPSERT)
            upsert_once(work);
        else
            scan_once(work);
        const uint64_t now = wall_ns();
        if (state == 2) {
            work->line->spent[kind][bucket_of(now - last)]++;
            atomic_store_explicit(&work->line->done,
                                  atomic_load_explicit(&work->line->done, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
        }
        last = now;
    }
    work->line->cpu_ns = cpu_ns() - from;
    _exit(0);
}

/* ---- what comes out ------------------------------------------------------------------------- */

static double percentile(const board *shared, uint32_t workers, int first, int last, double share)
{
    uint64_t all = 0;
    uint64_t below = 0;
    for (uint32_t bucket = 0; bucket < 2 * BUCKETS; bucket++) {
        if (bucket == BUCKETS)
            share *= (double)all;
        uint64_t here = 0;
        for (uint32_t number = 0; number < workers; number++)
            for (int kind = first; kind <= last; kind++)
                here += shared->of[number].spent[kind][bucket % BUCKETS];
        if (bucket < BUCKETS)
            all += here;
        else if ((double)(below += here) >= share && here > 0)
            return bucket_middle(bucket % BUCKETS);
    }
    return 0;
}

static uint64_t done_sum(const board *shared, uint32_t workers)
{
    uint64_t sum = 0;
    for (uint32_t number = 0; number < workers; number++)
        sum += atomic_load_explicit(&shared->of[number].done, memory_order_relaxed);
    return sum;
}

static void tell(const char *load, const char *what, const char *name, double value,
                 const char *unit)
{
    char text[256];
    snprintf(text, sizeof text, "%s: %s", load, what);
    report(text, name, 0, value, unit);
}

/* Rates of the second and of the last minute, and how much memory is in use at their ends. */
static void measure(crucible *all, const peer *of, const char *load, uint32_t workers,
                    uint64_t seconds)
{
    board *shared = all->shared;
    const uint64_t from = wall_ns();
    uint64_t minute_done[3] = {0, 0, 0}; /* after one, after two, one before the end */
    uint64_t used_early = 0;
    atomic_store_explicit(&shared->state, 2, memory_order_release);
    for (uint64_t second = 1; second <= seconds; second++) {
        wait_until(from + second * 1000000000u);
        const uint64_t done = done_sum(shared, workers);
        if (second == 60) {
            minute_done[0] = done;
            used_early = of->used == NULL ? 0 : of->used(all);
        }
        if (second == 120)
            minute_done[1] = done;
        if (second + 60 == seconds)
            minute_done[2] = done;
    }
    const uint64_t done = done_sum(shared, workers);
    const double took = (double)(wall_ns() - from);
    tell(load, "rate", of->name, (double)done * 1e9 / took, "a second");
    if (seconds >= 180) {
        tell(load, "second minute", of->name, (double)(minute_done[1] - minute_done[0]) / 60,
             "a second");
        tell(load, "last minute", of->name, (double)(done - minute_done[2]) / 60, "a second");
        if (used_early != 0)
            tell(load, "memory at the end, of that after a minute", of->name,
                 (double)of->used(all) / (double)used_early, "of it");
    }
    if (of->used != NULL)
        tell(load, "memory", of->name, (double)of->used(all), "bytes");
}

static void tell_times(const board *shared, const peer *of, const char *load, uint32_t workers)
{
    static const char *const kinds[] = {"upsert", "scan", "any"};
    static const double shares[] = {0.5, 0.9, 0.99};
    uint64_t conflicts = 0;
    uint64_t short_scans = 0;
    uint64_t spent_ns = 0;
    for (int kind = 0; kind < 3; kind++)
        for (size_t index = 0; index < 3; index++) {
            char what[64];
            const int first = kind == 2 ? 0 : kind;
            const int last = kind == 2 ? KIND_COUNT - 1 : kind;
            snprintf(what, sizeof what, "%s p%.0f", kinds[kind], 100 * shares[index]);
            tell(load, what, of->name, percentile(shared, workers, first, last, shares[index]),
                 "ns");
        }
    for (uint32_t number = 0; number < workers; number++) {
        conflicts += atomic_load(&shared->of[number].conflicts);
        short_scans += shared->of[number].short_scans;
        spent_ns += shared->of[number].cpu_ns;
    }
    /* What a worker costs, whoever else keeps the machine busy. */
    tell(load, "processor time", of->name, (double)spent_ns / (double)done_sum(shared, workers),
         "ns");
    if (getenv("BENCH_TALK") != NULL)
        fprintf(stderr, "%s %s: %" PRIu64 " conflicts, %" PRIu64 " scans of less than %d rows\n",
                of->name, load, conflicts, short_scans, SCAN_ROWS);
}

static void run(crucible *all, const peer *of, uint32_t workers, uint64_t seconds, uint64_t warm_up)
{
    pid_t children[WORKERS_MAX];
    board *shared = all->shared;
    char load[64];
    snprintf(load, sizeof load, "crucible, %u workers, %" PRIu64 " MB", workers,
             all->segment_size >> 20);
    for (uint32_t number = 0; number < workers; number++) {
        children[number] = fork();
        if (children[number] < 0)
            die("fork failed");
        if (children[number] == 0) {
            worker work = {.of = of,
                           .shared = shared,
                           .line = &shared->of[number],
                           .number = number,
                           .workers = workers,
                           .seed = number + 1};
            worker_run(&work, all);
        }
    }
    while (atomic_load_explicit(&shared->ready, memory_order_acquire) < workers) {
        if (waitpid(-1, NULL, WNOHANG) > 0)
            die("a worker has ended");
        usleep(500);
    }
    atomic_store_explicit(&shared->state, 1, memory_order_release);
    wait_until(wall_ns() + warm_up * 1000000000u);
    measure(all, of, load, workers, seconds);
    atomic_store_explicit(&shared->state, 3, memory_order_release);
    uint64_t upserts = 0;
    for (uint32_t number = 0; number < workers; number++) {
        int status = 0;
        if (waitpid(children[number], &status, 0) < 0 || status != 0)
            die("a worker ended with %x", (unsigned)status);
        upserts += atomic_load(&shared->of[number].upserts);
    }
    tell_times(shared, of, load, workers);
    const uint64_t total = of->total(all);
    if (total != upserts)
        die("%s: %" PRIu64 " upserts, but altitudes sum up to %" PRIu64, of->name, upserts, total);
}

int main(int argc, char **argv)
{
    static crucible all;
    if (argc != 8 && argc != 9)
        die("usage: crucible PEER WORKERS SECONDS WARM_UP SEGMENT_MB DISK SEGMENT [SERVER]");
    const uint64_t workers = parse_count(argv[2]);
    cpu_set_t cores;
    if (workers > WORKERS_MAX)
        die("at most %d workers", WORKERS_MAX);
    memset(&cores, 0xff, sizeof cores);
    (void)sched_setaffinity(0, sizeof cores, &cores);
    all.segment_size = parse_count(argv[5]) << 20;
    all.directory = argv[6];
    all.server = argc == 9 ? argv[8] : NULL;
    if (snprintf(all.segment, sizeof all.segment, "%s", argv[7]) >= (int)sizeof all.segment)
        die("path too long");
    all.shared = mmap(NULL, sizeof *all.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
    if (all.shared == MAP_FAILED)
        die("no memory");
    atomic_store(&all.shared->stamp, ROWS);
    for (size_t index = 0; index < sizeof peers / sizeof peers[0]; index++)
        if (strcmp(peers[index].name, argv[1]) == 0) {
            peers[index].make(&all);
            run(&all, &peers[index], (uint32_t)workers, parse_count(argv[3]), parse_count(argv[4]));
            peers[index].end(&all);
            return 0;
        }
    die("no peer %s", argv[1]);
}
