/* durable.c — checkpoint, recovery, verify, replay of the log, and warm attach.
 *
 *   durable FLIGHTS.TSV ROUNDS MEMORY DISK
 *
 * How it works: rows come from the file; their store's files lie in DISK, its segment in MEMORY.
 * Recovery is measured from a checkpoint, also of ten and a hundred thousand rows, and from a log
 * of one-row commits.  The peer of the checkpoint is a file of its size, written in blocks and
 * synced.  For the attach every process of the store is killed first: the writers and the daemon.
 *
 * Concurrency: one thread a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "driver.h"

enum { BLOCK = 256 << 10, ORPHANS = 4, ATTACHED_ROWS = 100000 };

typedef struct bench {
    const char *memory; /* folders */
    const char *disk;
    const char *text; /* the flights */
    uint64_t length;
    uint64_t rows;
    int round;
} bench;

typedef struct place {
    char store[4096];
    char segment[4096];
} place;

static place place_named(const bench *of, const char *name)
{
    place at;
    snprintf(at.store, sizeof at.store, "%s/%s", of->disk, name);
    snprintf(at.segment, sizeof at.segment, "%s/%s", of->memory, name);
    return at;
}

static aero_session *place_open(const place *at, uint64_t size, aero_db **db)
{
    const aero_open_options options = {
        .data_dir = at->store, .shm_path = at->segment, .size = size};
    return store_open_as(&options, db);
}

/* Take the segment away, as a restart of the machine would. */
static void place_forget(const place *at)
{
    if (unlink(at->segment) != 0)
        die("no segment at %s", at->segment);
}

static void place_remove(const place *at)
{
    char command[4200];
    place_forget(at);
    snprintf(command, sizeof command, "rm -r '%s'", at->store);
    if (system(command) != 0)
        die("cannot remove %s", at->store);
}

/* Bytes of the first `rows` lines. */
static uint64_t lines_length(const bench *of, uint64_t rows)
{
    const char *at = of->text;
    for (uint64_t row = 0; row < rows; row++)
        at = (const char *)memchr(at, '\n', of->length - (uint64_t)(at - of->text)) + 1;
    return (uint64_t)(at - of->text);
}

static void load(const bench *of, aero_session *session, uint64_t rows, uint64_t batch)
{
    const aero_tsv_options options = {.batch_size = batch};
    aero_ingest_report got;
    need(aero_ingest_tsv(session, 0, of->text, lines_length(of, rows), &options, &got), session,
         "ingest");
    if (got.inserted != rows)
        die("%" PRIu64 " rows instead of %" PRIu64, got.inserted, rows);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Nanoseconds to write and sync a file of this size. */
static uint64_t plain_write(const bench *of, uint64_t size)
{
    static char block[BLOCK];
    char path[4096];
    uint64_t state = size;
    for (size_t at = 0; at < sizeof block; at += sizeof state) {
        const uint64_t word = random_next(&state);
        memcpy(block + at, &word, sizeof word);
    }
    snprintf(path, sizeof path, "%s/plain", of->disk);
    const uint64_t from = now_ns();
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (uint64_t at = 0; at < size; at += sizeof block)
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            die("cannot write %s", path);
    if (fdatasync(fd) != 0 || close(fd) != 0)
        die("cannot sync %s", path);
    const uint64_t took = now_ns() - from;
    unlink(path);
    return took;
}

/* What the last opening took to recover, which the database knows itself. */
static double recovered_ns(aero_session *session, uint64_t units)
{
    return (double)store_stat(session, "recovered_us") * 1000.0 / (double)units;
}

static void checkpoint_and_recover(const bench *of, uint64_t rows, const char *label)
{
    const place at = place_named(of, "checkpoint");
    char what[64];
    aero_db *db = NULL;
    aero_checkpoint_report made;
    uint64_t seen = 0;
    uint64_t blocks = 0;
    aero_session *session = place_open(&at, (uint64_t)8 << 30, &db);
    load(of, session, rows, 0);
    uint64_t from = now_ns();
    need(aero_checkpoint(session, &made), session, "checkpoint");
    snprintf(what, sizeof what, "checkpoint%s", label);
    report(what, "aerostore", of->round, (double)(now_ns() - from) / (double)rows, "ns/row");
    report(what, "plain write", of->round, (double)plain_write(of, made.bytes) / (double)rows,
           "ns/row");
    store_close(db, session);
    place_forget(&at);
    session = place_open(&at, (uint64_t)8 << 30, &db);
    snprintf(what, sizeof what, "recovery%s", label);
    report(what, "checkpoint", of->round, recovered_ns(session, rows), "ns/row");
    from = now_ns();
    need(aero_verify(session, &seen, &blocks), session, "verify");
    snprintf(what, sizeof what, "verify%s", label);
    report(what, "aerostore", of->round, (double)(now_ns() - from), "ns");
    if (seen != rows)
        die("recovery gave %" PRIu64 " rows of %" PRIu64, seen, rows);
    store_close(db, session);
    place_remove(&at);
}

static void replay(const bench *of)
{
    const place at = place_named(of, "replay");
    aero_db *db = NULL;
    aero_session *session = place_open(&at, (uint64_t)8 << 30, &db);
    load(of, session, of->rows, 1);
    store_close(db, session);
    place_forget(&at);
    session = place_open(&at, (uint64_t)8 << 30, &db);
    const uint64_t commits = store_stat(session, "recovered_commits");
    if (commits < of->rows)
        die("%" PRIu64 " commits in the log of %" PRIu64, commits, of->rows);
    report("replay", "log", of->round, recovered_ns(session, commits), "ns/commit");
    store_close(db, session);
    place_remove(&at);
}

/* ---- attach --------------------------------------------------------------------------------- */

static void orphan_live(const place *at, uint32_t number, int ready)
{
    char key[KEY_LENGTH];
    aero_db *db = NULL;
    int32_t inserted = 0;
    static const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_UPDATED_AT};
    aero_session *session = place_open(at, 0, &db);
    flight_key(number, key);
    const aero_value values[] = {value_text(key, KEY_LENGTH), value_real(1), value_real(2),
                                 value_time(3)};
    if (number > 0) {
        need(aero_begin(session, AERO_ISOLATION_SERIALIZABLE), session, "begin");
        need(aero_upsert(session, 0, 4, columns, values, &inserted), session, "upsert");
    }
    const uint64_t keeper = store_stat(session, "keeper_pid");
    if (write(ready, &keeper, sizeof keeper) != (ssize_t)sizeof keeper)
        die("cannot tell");
    for (;;)
        pause();
}

/* Have processes attach, each with an open transaction but the first, and kill them all, and the
 * daemon. */
static void orphans_make(const place *at, uint32_t count)
{
    pid_t orphans[ORPHANS + 1];
    uint64_t keeper = 0;
    int ready[2];
    if (pipe(ready) != 0)
        die("no pipe");
    fflush(NULL);
    for (uint32_t number = 0; number <= count; number++) {
        orphans[number] = fork();
        if (orphans[number] == 0)
            orphan_live(at, number, ready[1]);
        if (read(ready[0], &keeper, sizeof keeper) != (ssize_t)sizeof keeper)
            die("a victim did not start");
    }
    for (uint32_t number = 0; number <= count; number++) {
        kill(orphans[number], SIGKILL);
        waitpid(orphans[number], NULL, 0);
    }
    while (keeper != 0 && (kill((pid_t)keeper, SIGKILL) == 0 || errno != ESRCH))
        wait_ms(1);
    close(ready[0]);
    close(ready[1]);
}

static void attach(const bench *of)
{
    const place at = place_named(of, "attached");
    const place other = place_named(of, "other");
    aero_db *db = NULL;
    aero_session *session = place_open(&at, (uint64_t)1 << 30, &db);
    load(of, session, of->rows < ATTACHED_ROWS ? of->rows : ATTACHED_ROWS, 0);
    store_close(db, session);
    for (uint32_t count = 0; count <= ORPHANS; count += ORPHANS) {
        const aero_open_options options = {.data_dir = at.store, .shm_path = at.segment};
        aero_error error;
        orphans_make(&at, count);
        /* The victims have had the caches; another store's attach brings the code back to them. */
        for (int time = 0; time < 3; time++) {
            session = place_open(&other, 0, &db);
            store_close(db, session);
        }
        const uint64_t from = now_ns();
        if (aero_open(&options, &db, &error) != AERO_OK)
            die("attach: %s", error.text);
        const uint64_t took = now_ns() - from;
        if (strcmp(aero_boot(db), "warm") != 0 || aero_orphans_cleared(db) < count)
            die("not a warm attach, or %u orphans", aero_orphans_cleared(db));
        report("attach", count == 0 ? "nobody's transaction" : "four orphans", of->round,
               (double)took, "ns");
        if (aero_close(db, &error) != AERO_OK)
            die("close: %s", error.text);
    }
    place_remove(&at);
    place_remove(&other);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: durable FLIGHTS.TSV ROUNDS MEMORY DISK");
    bench of = {.memory = argv[3], .disk = argv[4]};
    const int rounds = (int)parse_count(argv[2]);
    const int fd = open(argv[1], O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0)
        die("cannot read %s", argv[1]);
    of.length = (uint64_t)about.st_size;
    of.text = mmap(NULL, of.length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (of.text == MAP_FAILED)
        die("cannot map %s", argv[1]);
    for (uint64_t at = 0; at < of.length; at++)
        of.rows += of.text[at] == '\n';
    unpin(); /* recovery takes what there is */
    for (of.round = 1; of.round <= rounds; of.round++) {
        if (of.rows > 10000)
            checkpoint_and_recover(&of, 10000, " of 10,000");
        if (of.rows > 100000)
            checkpoint_and_recover(&of, 100000, " of 100,000");
        checkpoint_and_recover(&of, of.rows, "");
        replay(&of);
        attach(&of);
    }
    return 0;
}
