/* txn_many.c — transactions of several processes at once: on own rows, on one hot row, and
 * a long scan beside a writer.
 *
 * How it works: children are forked from a process that has loaded the rows, wait for a common
 * start, and count what they commit in a page they share; the parent lets them run for a while.
 * The benchmarks pin themselves to one core; here all cores are taken back.
 *
 * Concurrency: one thread a process.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { HOT_WORKERS = 16, WORKERS_MAX = 16, RUN_MS = 1000, LEAD_MS = 100, OWN_ROWS = 10 };

typedef struct board {
    _Atomic uint32_t ready;
    _Atomic uint32_t state; /* 0 wait, 1 warm up, 2 count, 3 end */
    char pad[56];
    struct {
        _Atomic uint64_t done;
        _Atomic uint64_t conflicts;
        _Atomic uint64_t cpu_ns; /* spent while it counted */
        char pad[40];
    } of[WORKERS_MAX];
} board;

typedef struct bench {
    aero_session *session;
    aero_db *db;
    board *shared;
    uint64_t rows;
} bench;

typedef struct worker {
    aero_session *session;
    board *shared;
    uint32_t number;
    uint32_t workers;
    uint64_t rows;
    uint64_t seed;
} worker;

static uint32_t board_state(const board *shared)
{
    return atomic_load_explicit(&shared->state, memory_order_acquire);
}

static void board_tell(board *shared, uint32_t state)
{
    atomic_store_explicit(&shared->state, state, memory_order_release);
}

static uint64_t cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Is processor time to be measured instead of wall time? */
static bool by_cpu(void)
{
    const char *name = getenv("BENCH_CLOCK");
    return name != NULL && strcmp(name, "cpu") == 0;
}

/* ---- what a worker does --------------------------------------------------------------------- */

/* Read a row's altitude and write one more, in a serializable transaction.  False: a conflict. */
static bool read_and_write(aero_session *session, const aero_value *key)
{
    static const uint32_t column = COLUMN_ALTITUDE;
    aero_value altitude;
    int32_t found = 0;
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    need(aero_get(session, 0, key, 1, &column, &altitude, &found), session, "get");
    if (!found)
        die("a row is missing");
    altitude = value_int((altitude.u.integer + 1) % 45000);
    aero_status status = aero_update(session, 0, key, 1, &column, &altitude, &found);
    if (status == AERO_OK)
        status = aero_commit(session);
    if (status == AERO_CONFLICT) {
        if (aero_depth(session) > 0)
            need(aero_rollback(session), session, "rollback");
        return false;
    }
    need(status, session, "update");
    return true;
}

static void transaction_on_own_rows(worker *work)
{
    char key[KEY_LENGTH];
    const uint64_t share = work->rows / work->workers;
    flight_key(work->number * share + random_next(&work->seed) % share, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    while (!read_and_write(work->session, &id))
        atomic_fetch_add_explicit(&work->shared->of[work->number].conflicts, 1,
                                  memory_order_relaxed);
}

/* Add one to a counter that everybody adds to, and change ten rows of one's own: an order with its
 * running number.  False: a conflict. */
static bool count_and_change(worker *work)
{
    char key[KEY_LENGTH];
    int32_t found = 0;
    aero_session *session = work->session;
    const aero_value one = value_real(1);
    flight_key(0, key);
    aero_value id = value_text(key, KEY_LENGTH);
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    aero_status status = aero_incr(session, 0, &id, COLUMN_GS, &one, NULL, &found);
    for (int step = 0; step < OWN_ROWS && status == AERO_OK; step++) {
        static const uint32_t column = COLUMN_ALTITUDE;
        const uint64_t share = work->rows / HOT_WORKERS;
        const uint64_t number = random_next(&work->seed);
        flight_key(1 + work->number * share + number % (share - 1), key);
        id = value_text(key, KEY_LENGTH);
        const aero_value altitude = value_int((int64_t)(number >> 32) % 45000);
        status = aero_update(session, 0, &id, 1, &column, &altitude, &found);
    }
    if (status == AERO_OK)
        status = aero_commit(session);
    if (status == AERO_CONFLICT) {
        if (aero_depth(session) > 0)
            need(aero_rollback(session), session, "rollback");
        return false;
    }
    need(status, session, "count and change");
    return true;
}

static void order_with_number(worker *work)
{
    while (!count_and_change(work)) {
        atomic_fetch_add_explicit(&work->shared->of[work->number].conflicts, 1,
                                  memory_order_relaxed);
        if (board_state(work->shared) == 3)
            return;
    }
}

static void transaction_on_hot_row(worker *work)
{
    char key[KEY_LENGTH];
    flight_key(0, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    while (!read_and_write(work->session, &id)) {
        atomic_fetch_add_explicit(&work->shared->of[work->number].conflicts, 1,
                                  memory_order_relaxed);
        if (board_state(work->shared) == 3)
            return;
    }
}

typedef void (*job)(worker *work);

static _Noreturn void worker_run(worker *work, job run)
{
    atomic_fetch_add_explicit(&work->shared->ready, 1, memory_order_acq_rel);
    while (board_state(work->shared) == 0)
        wait_ms(1);
    uint64_t from = 0;
    for (uint32_t state; (state = board_state(work->shared)) != 3;) {
        if (state == 2 && from == 0)
            from = cpu_ns();
        run(work);
        if (state == 2)
            atomic_fetch_add_explicit(&work->shared->of[work->number].done, 1,
                                      memory_order_relaxed);
    }
    atomic_store_explicit(&work->shared->of[work->number].cpu_ns, cpu_ns() - from,
                          memory_order_release);
    _exit(0);
}

static pid_t worker_start(const bench *of, uint32_t number, uint32_t workers, job run)
{
    const pid_t child = fork();
    if (child < 0)
        die("fork failed");
    if (child == 0) {
        worker work = {of->session, of->shared, number, workers, of->rows, number + 1};
        worker_run(&work, run);
    }
    return child;
}

/* Transactions a second of all workers together, or with `cpu` by processor time, as if each had a
 * core for itself: waiting then counts for nothing.  *least and *most of a worker, over the
 * mean. */
static double run_workers(const bench *of, uint32_t workers, job run, bool cpu, double *least,
                          double *most)
{
    pid_t children[WORKERS_MAX];
    memset(of->shared, 0, sizeof *of->shared);
    for (uint32_t number = 0; number < workers; number++)
        children[number] = worker_start(of, number, workers, run);
    while (atomic_load_explicit(&of->shared->ready, memory_order_acquire) < workers)
        wait_ms(1);
    board_tell(of->shared, 1);
    wait_ms(LEAD_MS);
    board_tell(of->shared, 2);
    struct timespec from;
    struct timespec to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    wait_ms(RUN_MS);
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double took = (double)(to.tv_sec - from.tv_sec) * 1e9 +
                        (double)(to.tv_nsec - from.tv_nsec);
    board_tell(of->shared, 3);
    double cpu_rate = 0;
    uint64_t all = 0;
    uint64_t conflicts = 0;
    uint64_t few = UINT64_MAX;
    uint64_t many = 0;
    for (uint32_t number = 0; number < workers; number++) {
        int status = 0;
        if (waitpid(children[number], &status, 0) < 0 || status != 0)
            die("a worker ended with %x", (unsigned)status);
        const uint64_t done = atomic_load(&of->shared->of[number].done);
        conflicts += atomic_load(&of->shared->of[number].conflicts);
        all += done;
        cpu_rate += (double)done * 1e9 / (double)atomic_load(&of->shared->of[number].cpu_ns);
        few = done < few ? done : few;
        many = done > many ? done : many;
    }
    *least = (double)few * workers / (double)all;
    *most = (double)many * workers / (double)all;
    if (getenv("BENCH_TALK") != NULL)
        fprintf(stderr, "%u workers: %.0f a second, %.2f conflicts each, least %.2f, most %.2f\n",
                workers, cpu ? cpu_rate : (double)all * 1e9 / took, (double)conflicts / (double)all,
                *least, *most);
    return cpu ? cpu_rate : (double)all * 1e9 / took;
}

/* ---- the benchmarks ------------------------------------------------------------------------- */

static void pair(const bench *of, int round)
{
    double least = 0;
    double most = 0;
    const double one = run_workers(of, 1, transaction_on_own_rows, by_cpu(), &least, &most);
    const double two = run_workers(of, 2, transaction_on_own_rows, by_cpu(), &least, &most);
    report("disjoint keys", "one process", round, 1e9 / one, "ns/row");
    report("disjoint keys", "two processes", round, 1e9 / two, "ns/row");
}

static void hot_way(const bench *of, int round, const char *what, job run)
{
    static const char *const ways[] = {"optimistic", "hybrid"};
    for (int turn = 0; turn < 2; turn++) {
        const int hybrid = (turn + round) % 2;
        double least = 0;
        double most = 0;
        need(aero_config_set(of->session, "aerostore.escalate_after", hybrid ? "2" : "0"),
             of->session, "config");
        const double rate = run_workers(of, HOT_WORKERS, run, false, &least, &most);
        report(what, ways[hybrid], round, 1e9 / rate, "ns/row");
        if (hybrid) {
            report(what, "least of a worker", round, least, "of the mean");
            report(what, "most of a worker", round, most, "of the mean");
        }
    }
}

static void hot(const bench *of, int round)
{
    hot_way(of, round, "hot row, running number", order_with_number);
    hot_way(of, round, "hot row, read and write", transaction_on_hot_row);
}

/* ---- a long scan beside a writer ------------------------------------------------------------ */

static void update_any_row(worker *work)
{
    char key[KEY_LENGTH];
    int32_t found = 0;
    static const uint32_t column = COLUMN_ALTITUDE;
    const uint64_t salt = random_next(&work->seed);
    flight_key(salt % work->rows, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    const aero_value altitude = value_int((int64_t)(salt >> 32) % 45000);
    need(aero_update(work->session, 0, &id, 1, &column, &altitude, &found), work->session,
         "update");
}

/* Count by a filter that no write meets, and write one row; as often as it takes.  The validation
 * looks at everything that was committed since. */
static uint32_t scan_and_write(const bench *of, uint64_t *scan_ns, uint64_t *commit_ns)
{
    aero_session *session = of->session;
    aero_query *query = NULL;
    const aero_value none = value_int(45000);
    need(aero_query_new(session, 0, &query), session, "query");
    need(aero_query_clause(query, AERO_OP_GE, COLUMN_ALTITUDE, 1, &none), session, "clause");
    uint32_t attempts = 0;
    for (bool done = false; !done;) {
        char key[KEY_LENGTH];
        int32_t found = 0;
        uint64_t count = 0;
        static const uint32_t column = COLUMN_GS;
        flight_key(of->rows - 1 - attempts, key);
        const aero_value id = value_text(key, KEY_LENGTH);
        const aero_value gs = value_real(1);
        attempts++;
        need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
        const uint64_t start = cpu_ns();
        need(aero_query_count(query, &count), session, "count");
        *scan_ns = cpu_ns() - start;
        aero_status status = aero_update(session, 0, &id, 1, &column, &gs, &found);
        const uint64_t last = cpu_ns();
        if (status == AERO_OK)
            status = aero_commit(session);
        *commit_ns = cpu_ns() - last;
        done = status == AERO_OK;
        if (!done && status != AERO_CONFLICT)
            need(status, session, "scan and write");
        if (aero_depth(session) > 0)
            need(aero_rollback(session), session, "rollback");
    }
    aero_query_free(query);
    return attempts;
}

static double mean(const uint64_t *values, size_t count)
{
    double sum = 0;
    for (size_t index = 0; index < count; index++)
        sum += (double)values[index];
    return sum / (double)count;
}

static void long_scan(const bench *of, int round)
{
    enum { SCANS = 51 };
    uint64_t scans[SCANS];
    uint64_t commits[SCANS];
    uint32_t attempts_most = 0;
    memset(of->shared, 0, sizeof *of->shared);
    const pid_t child = worker_start(of, 0, 1, update_any_row);
    while (atomic_load_explicit(&of->shared->ready, memory_order_acquire) < 1)
        wait_ms(1);
    board_tell(of->shared, 2);
    wait_ms(LEAD_MS);
    const uint64_t from = wall_ns();
    for (int scan = 0; scan < SCANS; scan++) {
        const uint32_t attempts = scan_and_write(of, &scans[scan], &commits[scan]);
        attempts_most = attempts > attempts_most ? attempts : attempts_most;
    }
    const uint64_t took = wall_ns() - from;
    const uint64_t beside = atomic_load(&of->shared->of[0].done);
    board_tell(of->shared, 3);
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || status != 0)
        die("the writer ended with %x", (unsigned)status);
    /* Processor time, as a neighbour would only add to the scan; but while we are kept from the
     * processor the writer goes on, and a commit then has more to look at. */
    const double scan_ns = mean(scans, SCANS);
    const double commit_ns = mean(commits, SCANS);
    if (getenv("BENCH_TALK") != NULL)
        fprintf(stderr, "%" PRIu64 " commits beside %d scans of %.0f us, %.0f us to commit\n",
                beside, SCANS, scan_ns / 1e3, commit_ns / 1e3);
    if (beside == 0)
        die("the writer made no commit in %" PRIu64 " us", took / 1000);
    report("long scan", "scan", round, scan_ns / (double)of->rows, "ns/row");
    report("long scan", "commit", round, commit_ns / (double)of->rows, "ns/row");
    report("long scan", "most attempts", round, attempts_most, "attempts");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: txn_many pair|hot|scan ROWS ROUNDS FLIGHTS.TSV DIRECTORY");
    bench of = {.rows = parse_count(argv[2])};
    const int rounds = (int)parse_count(argv[3]);
    unpin();
    of.session = store_open(argv[5], of.rows * 1024 + (256u << 20), &of.db);
    if (strcmp(argv[1], "hot") != 0)
        store_drop_indexes(of.session, 0); /* the bars are about transactions and a scan of rows */
    store_ingest(of.session, argv[4], of.rows);
    of.shared = mmap(NULL, sizeof *of.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0);
    if (of.shared == MAP_FAILED)
        die("no memory to share");
    for (int round = 1; round <= rounds; round++) {
        if (strcmp(argv[1], "pair") == 0)
            pair(&of, round);
        else if (strcmp(argv[1], "hot") == 0)
            hot(&of, round);
        else if (strcmp(argv[1], "scan") == 0)
            long_scan(&of, round);
        else
            die("no benchmark %s", argv[1]);
    }
    store_close(of.db, of.session);
    return 0;
}
