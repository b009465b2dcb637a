/* sync_gates.c — commits with and without waiting for the disk, and writes beside a checkpoint.
 *
 *   sync_gates FLIGHTS.TSV ROUNDS MEMORY DISK
 *
 * How it works: four kinds of commits, each acknowledged from the disk and from memory, in turns: a
 * row inserted, a row of a thousand put, a transaction that rolls back three of four savepoints,
 * and a row inserted under the logical profile.  What was committed is counted at the end, whatever
 * the log's ring had to wait for.  Then updates in one process while another takes a checkpoint,
 * which has a processor of its own if there are two.
 *
 * Concurrency: one thread a process.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "driver.h"

enum { SPAN_MS = 400, KEYS = 1000, SAVEPOINTS = 3, HOT = 10000 };

typedef struct bench {
    const char *flights;
    const char *memory; /* folders */
    const char *disk;
    int rounds;
} bench;

static aero_session *place_open(const bench *of, const char *name, const char *profile,
                                uint64_t size, aero_db **db)
{
    char store[4096];
    char segment[4096];
    snprintf(store, sizeof store, "%s/%s", of->disk, name);
    snprintf(segment, sizeof segment, "%s/%s", of->memory, name);
    const aero_open_options options = {
        .data_dir = store, .profile = profile, .shm_path = segment, .size = size};
    return store_open_as(&options, db);
}

/* ---- kinds of commits ----------------------------------------------------------------------- */

static void put(aero_session *session, char kind, uint64_t key, uint64_t number)
{
    char id[KEY_LENGTH + 1];
    int32_t inserted = 0;
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE,
                                       COLUMN_UPDATED_AT};
    flight_key(key, id);
    id[KEY_LENGTH] = kind;
    const aero_value values[] = {value_text(id, sizeof id), value_real(1), value_real(2),
                                 value_int((int64_t)(number % 40000)), value_time((int64_t)number)};
    need(aero_upsert(session, 0, 5, columns, values, &inserted), session, "put");
}

static void commit_plain(aero_session *session, uint64_t number)
{
    put(session, 'P', number, number);
}

static void commit_keyed(aero_session *session, uint64_t number)
{
    put(session, 'K', number % KEYS, number);
}

static void commit_churn(aero_session *session, uint64_t number)
{
    need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
    put(session, 'S', number % KEYS, number);
    for (uint64_t inner = 0; inner < SAVEPOINTS; inner++) {
        need(aero_savepoint(session, "s", 1), session, "savepoint");
        put(session, 'S', (number + inner) % KEYS, inner);
        need(aero_rollback_to(session, "s", 1), session, "rollback to");
        need(aero_release(session, "s", 1), session, "release");
    }
    need(aero_commit(session), session, "commit");
}

typedef struct kind {
    const char *name;
    void (*commit)(aero_session *, uint64_t number);
    uint64_t most; /* rows that there can be, 0: one a commit */
} kind;

static void gate(const bench *of, const char *profile, const kind *commits)
{
    aero_db *db = NULL;
    char what[64];
    uint64_t number = 0;
    uint64_t rows = 0;
    aero_session *session = place_open(of, commits->name, profile, (uint64_t)4 << 30, &db);
    snprintf(what, sizeof what, "gate %s", commits->name);
    for (int turn = 0; turn < 2 * of->rounds; turn++) {
        const bool waits = turn % 2 == 0;
        need(aero_config_set(session, "aerostore.synchronous_commit", waits ? "on" : "off"),
             session, "config");
        const uint64_t first = number;
        const uint64_t from = wall_ns();
        do
            commits->commit(session, number++);
        while (wall_ns() - from < SPAN_MS * UINT64_C(1000000));
        report(what, waits ? "sync" : "async", turn / 2,
               (double)(wall_ns() - from) / (double)(number - first), "ns/commit");
    }
    need(aero_count(session, 0, &rows), session, "count");
    if (rows != (commits->most != 0 && number > commits->most ? commits->most : number))
        die("%s: %" PRIu64 " rows after %" PRIu64 " commits", commits->name, rows, number);
    store_close(db, session);
}

/* ---- beside a checkpoint -------------------------------------------------------------------- */

enum order { REST, GO, END };

typedef struct board {
    _Atomic uint32_t order;
    _Atomic uint32_t done; /* checkpoints; the first is that it is ready */
} board;

static void checkpointer(const bench *of, board *shared)
{
    aero_db *db = NULL;
    unpin();
    aero_session *session = place_open(of, "checkpoint", NULL, 0, &db);
    atomic_fetch_add(&shared->done, 1);
    for (uint32_t order = REST; order != END; order = atomic_load(&shared->order)) {
        if (order == GO) {
            aero_checkpoint_report made;
            need(aero_checkpoint(session, &made), session, "checkpoint");
            atomic_store(&shared->order, REST);
            atomic_fetch_add(&shared->done, 1);
        }
        wait_ms(1);
    }
    store_close(db, session);
}

static void update(aero_session *session, uint64_t number)
{
    char id[KEY_LENGTH];
    int32_t found = 0;
    static const uint32_t column = COLUMN_ALTITUDE;
    flight_key(number % HOT, id);
    const aero_value key = value_text(id, KEY_LENGTH);
    const aero_value altitude = value_int((int64_t)(number % 40000));
    need(aero_update(session, 0, &key, 1, &column, &altitude, &found), session, "update");
    if (!found)
        die("a row is missing");
}

static void beside(const bench *of, uint64_t rows)
{
    aero_db *db = NULL;
    uint64_t number = 0;
    board *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    if (shared == MAP_FAILED)
        die("no memory to share");
    aero_session *session = place_open(of, "checkpoint", NULL, (uint64_t)8 << 30, &db);
    store_ingest(session, of->flights, rows);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        checkpointer(of, shared);
        _exit(0);
    }
    while (atomic_load(&shared->done) == 0)
        wait_ms(1);
    for (int round = 0; round < of->rounds; round++) {
        uint64_t first = number;
        uint64_t from = wall_ns();
        do
            update(session, number++);
        while (wall_ns() - from < SPAN_MS * UINT64_C(1000000));
        report("beside a checkpoint", "without", round,
               (double)(wall_ns() - from) / (double)(number - first), "ns/commit");
        const uint32_t done = atomic_load(&shared->done);
        atomic_store(&shared->order, GO);
        first = number;
        from = wall_ns();
        do
            update(session, number++);
        while (atomic_load(&shared->done) == done);
        report("beside a checkpoint", "with", round,
               (double)(wall_ns() - from) / (double)(number - first), "ns/commit");
    }
    atomic_store(&shared->order, END);
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || status != 0)
        die("the checkpointer ended with %x", (unsigned)status);
    store_close(db, session);
}

static uint64_t lines_count(const char *path)
{
    uint64_t count = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die("cannot read %s", path);
    for (int byte = getc(file); byte != EOF; byte = getc(file))
        count += byte == '\n';
    fclose(file);
    return count;
}

int main(int argc, char **argv)
{
    static const kind kinds[] = {{"plain", commit_plain, 0},
                                 {"keyed upserts", commit_keyed, KEYS},
                                 {"savepoint churn", commit_churn, KEYS}};
    static const kind logical = {"logical", commit_plain, 0};
    if (argc != 5)
        die("usage: sync_gates FLIGHTS.TSV ROUNDS MEMORY DISK");
    const bench of = {.flights = argv[1],
                      .rounds = (int)parse_count(argv[2]),
                      .memory = argv[3],
                      .disk = argv[4]};
    for (size_t index = 0; index < sizeof kinds / sizeof kinds[0]; index++)
        gate(&of, NULL, &kinds[index]);
    gate(&of, "logical", &logical);
    beside(&of, lines_count(of.flights));
    return 0;
}
