/* watch.c — what watches cost the writers, and how fast events are read.
 *
 * How it works: a writer in a process of its own, on one core, updates rows in single statements;
 * subscribers in other processes, on the other core, read every event.  For the rate of events a
 * subscriber sleeps while commits pile up in the queue, and then reads them all.
 *
 * Concurrency: one thread a process.
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { WATCHERS_MAX = 4, LEAD_MS = 100, PILE = 40000, PILE_ROWS = 100, PILE_EVENTS = 200000 };
enum state { WAIT, WARM, COUNT, END };

typedef struct board {
    _Atomic uint32_t ready;
    _Atomic uint32_t state;
    char pad[56];
    struct {
        _Atomic uint64_t done; /* commits or events while it counted */
        _Atomic uint64_t overflows;
        char pad[48];
    } of[WATCHERS_MAX + 1];
    _Atomic uint64_t took_ns;
    _Atomic uint64_t events;
} board;

typedef struct bench {
    aero_session *session;
    aero_db *db;
    board *shared;
    uint64_t rows;
    uint64_t run_ms;
} bench;

static uint32_t board_state(const board *shared)
{
    return atomic_load_explicit(&shared->state, memory_order_acquire);
}

static void board_tell(board *shared, uint32_t state)
{
    atomic_store_explicit(&shared->state, state, memory_order_release);
}

static void wait_ready(const board *shared, uint32_t count)
{
    while (atomic_load_explicit(&shared->ready, memory_order_acquire) < count)
        wait_ms(1);
}

/* The first core is the writer's; a machine with one core has it for all. */
static void pin_to(bool writer)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (long core = 0; core < sysconf(_SC_NPROCESSORS_CONF); core++)
        if ((core == 0) == writer)
            CPU_SET((size_t)core, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static pid_t child_start(const bench *of, uint32_t number, void (*run)(const bench *, uint32_t))
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        die("fork failed");
    if (child == 0) {
        run(of, number);
        _exit(0);
    }
    return child;
}

static void child_end(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || status != 0)
        die("a process ended with %x", (unsigned)status);
}

/* ---- who writes and who watches ------------------------------------------------------------- */

static void update_any(aero_session *session, uint64_t rows, uint64_t *seed)
{
    static const uint32_t columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE, COLUMN_GS,
                                       COLUMN_UPDATED_AT};
    char key[KEY_LENGTH];
    int32_t found = 0;
    const uint64_t salt = random_next(seed);
    flight_key(salt % rows, key);
    const aero_value id = value_text(key, KEY_LENGTH);
    const aero_value values[] = {value_real((double)(salt >> 40) / 1e6), value_real(1),
                                 value_int((int64_t)(salt >> 32) % 45000), value_real(3),
                                 value_time((int64_t)(salt >> 8))};
    need(aero_update(session, 0, &id, 5, columns, values, &found), session, "update");
}

static void write_on(const bench *of, uint32_t number)
{
    board *shared = of->shared;
    uint64_t seed = 7;
    uint64_t done = 0;
    uint64_t from = 0;
    pin_to(true);
    atomic_fetch_add(&shared->ready, 1);
    for (uint32_t state = WAIT; state != END; state = board_state(shared)) {
        if (state == COUNT && from == 0)
            from = now_ns();
        for (int step = 0; step < 64 && state != WAIT; step++)
            update_any(of->session, of->rows, &seed);
        done += state == COUNT ? 64 : 0;
    }
    atomic_store(&shared->took_ns, now_ns() - from);
    atomic_store(&shared->of[number].done, done);
}

static aero_watch *watch_new(const bench *of)
{
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    need(aero_query_new(of->session, 0, &query), of->session, "query");
    need(aero_watch_open(query, AERO_WATCH_NOW, 0, &watch), of->session, "watch");
    return watch;
}

static void watch_on(const bench *of, uint32_t number)
{
    board *shared = of->shared;
    aero_event event;
    int32_t ready = 0;
    pin_to(false);
    aero_watch *watch = watch_new(of);
    atomic_fetch_add(&shared->ready, 1);
    while (board_state(shared) != END) {
        need(aero_watch_next(watch, &event), of->session, "next");
        if (event.kind == AERO_EVENT_NONE)
            need(aero_watch_wait(watch, 10000, &ready), of->session, "wait");
        else if (event.kind == AERO_EVENT_OVERFLOW)
            atomic_fetch_add(&shared->of[number].overflows, 1);
        else if (board_state(shared) == COUNT)
            atomic_fetch_add_explicit(&shared->of[number].done, 1, memory_order_relaxed);
    }
    aero_watch_close(watch);
}

/* ---- throughput ----------------------------------------------------------------------------- */

/* Nanoseconds a commit takes the writer while so many watch. */
static double writer_ns(const bench *of, uint32_t watchers)
{
    pid_t children[WATCHERS_MAX + 1];
    memset(of->shared, 0, sizeof *of->shared);
    for (uint32_t number = 0; number <= watchers; number++)
        children[number] = child_start(of, number, number == 0 ? write_on : watch_on);
    wait_ready(of->shared, watchers + 1);
    board_tell(of->shared, WARM);
    wait_ms(LEAD_MS);
    board_tell(of->shared, COUNT);
    wait_ms(of->run_ms);
    board_tell(of->shared, END);
    for (uint32_t number = 0; number <= watchers; number++)
        child_end(children[number]);
    const uint64_t done = atomic_load(&of->shared->of[0].done);
    if (done == 0)
        die("the writer made no commit");
    for (uint32_t number = 1; number <= watchers && getenv("BENCH_TALK") != NULL; number++)
        fprintf(stderr,
                "%u of %u watchers: %" PRIu64 " events of %" PRIu64 ", %" PRIu64 " overflows\n",
                number, watchers, atomic_load(&of->shared->of[number].done), done,
                atomic_load(&of->shared->of[number].overflows));
    return (double)atomic_load(&of->shared->took_ns) / (double)done;
}

static void throughput(const bench *of, int round)
{
    static const struct {
        uint32_t watchers;
        const char *peer;
    } ways[] = {{0, "no subscriber"}, {1, "one subscriber"}, {4, "four subscribers"}};
    for (int turn = 0; turn < 3; turn++) {
        const int way = (turn + round) % 3;
        report("writer", ways[way].peer, round, writer_ns(of, ways[way].watchers), "ns/row");
    }
}

/* ---- events --------------------------------------------------------------------------------- */

static void drain(const bench *of, uint32_t number)
{
    board *shared = of->shared;
    aero_event event;
    uint64_t events = 0;
    (void)number;
    pin_to(false);
    aero_watch *watch = watch_new(of);
    atomic_fetch_add(&shared->ready, 1);
    while (board_state(shared) != COUNT)
        wait_ms(1);
    const uint64_t from = now_ns();
    for (;; events++) {
        need(aero_watch_next(watch, &event), of->session, "next");
        if (event.kind == AERO_EVENT_NONE)
            break;
        if (event.kind == AERO_EVENT_OVERFLOW)
            die("the subscriber fell behind after %" PRIu64 " events", events);
    }
    atomic_store(&shared->took_ns, now_ns() - from);
    atomic_store(&shared->events, events);
    aero_watch_close(watch);
}

/* Commit `count` changes, `each` in a transaction, then let a subscriber read them. */
static double event_ns(const bench *of, uint32_t count, uint32_t each)
{
    uint64_t seed = 9;
    memset(of->shared, 0, sizeof *of->shared);
    const pid_t child = child_start(of, 0, drain);
    wait_ready(of->shared, 1);
    for (uint32_t done = 0; done < count; done += each) {
        if (each > 1)
            need(aero_begin(of->session, AERO_ISOLATION_SNAPSHOT), of->session, "begin");
        for (uint32_t step = 0; step < each; step++)
            update_any(of->session, of->rows, &seed);
        if (each > 1)
            need(aero_commit(of->session), of->session, "commit");
    }
    board_tell(of->shared, COUNT);
    child_end(child);
    const uint64_t events = atomic_load(&of->shared->events);
    /* A row that a transaction wrote twice is told once. */
    if (events > count || events < count - count / 10)
        die("%" PRIu64 " events of %u changes", events, count);
    return (double)atomic_load(&of->shared->took_ns) / (double)events;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: watch ROWS ROUNDS FLIGHTS.TSV DIRECTORY MILLISECONDS");
    bench of = {.rows = parse_count(argv[1]), .run_ms = parse_count(argv[5])};
    const int rounds = (int)parse_count(argv[2]);
    of.session = store_open(argv[4], of.rows * 1024 + (256u << 20), &of.db);
    store_ingest(of.session, argv[3], of.rows);
    /* The fastest writers there are: they do not wait for the disk. */
    need(aero_config_set(of.session, "aerostore.synchronous_commit", "off"), of.session, "config");
    of.shared = mmap(NULL, sizeof *of.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0);
    if (of.shared == MAP_FAILED)
        die("no memory to share");
    for (int round = 1; round <= rounds; round++)
        throughput(&of, round);
    /* Afterwards, because what piles up is cleared away by the next ones who commit. */
    for (int round = 1; round <= rounds; round++) {
        report("events", "one-row transactions", round, event_ns(&of, PILE, 1), "ns/row");
        report("events", "hundred-row transactions", round, event_ns(&of, PILE_EVENTS, PILE_ROWS),
               "ns/row");
    }
    store_close(of.db, of.session);
    return 0;
}
