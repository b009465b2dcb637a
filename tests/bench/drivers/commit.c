/* commit.c — one-row commits with a log: synchronous against bare loops of write and fdatasync,
 * asynchronous against no log at all.
 *
 *   commit DISK SEGMENT MILLISECONDS ROUNDS PROCESSES
 *
 * The bare loop appends a record and syncs, again and again.  The bare group is as many processes
 * appending to one buffer in shared memory; whoever comes first writes and syncs for all.  Records
 * of both have the size that a commit takes in the log.  Compiled with the engine's sources, since
 * a database without a log is nothing that users can have.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os_wait.h"
#include "driver.h"
#include "txn/db.h"

enum { RECORD = 128, BUFFER = 1 << 20, PROCESSES_MAX = 64 };

typedef struct board {
    _Alignas(64) _Atomic uint64_t counts[PROCESSES_MAX][8];
    _Atomic bool over;
    pthread_mutex_t lock; /* of `appended` and the buffer */
    ae_a64 appended;
    ae_a64 durable;
    ae_a32 leader;
    ae_a32 event;
    char buffer[BUFFER];
} board;

static board *common;
static uint64_t span_ns;

static int scratch_file(const char *disk)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bare", disk);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die("cannot make %s", path);
    unlink(path);
    return fd;
}

/* ---- workers -------------------------------------------------------------------------------- */

typedef void (*worker)(uint32_t number, void *context);

/* Nanoseconds a commit, over all workers; each counts in its line of the board. */
static double workers_run(uint32_t count, worker run, void *context)
{
    pid_t children[PROCESSES_MAX];
    atomic_store(&common->over, false);
    memset((void *)common->counts, 0, sizeof common->counts);
    fflush(NULL);
    for (uint32_t number = 0; number < count; number++) {
        children[number] = fork();
        if (children[number] == 0) {
            run(number, context);
            _exit(0);
        }
    }
    uint64_t before = 0;
    uint64_t after = 0;
    for (uint32_t number = 0; number < count; number++) /* all have begun */
        while (atomic_load(&common->counts[number][0]) == 0)
            usleep(1000);
    for (uint32_t number = 0; number < count; number++)
        before += atomic_load(&common->counts[number][0]);
    const uint64_t from = wall_ns();
    usleep((useconds_t)(span_ns / 1000));
    for (uint32_t number = 0; number < count; number++)
        after += atomic_load(&common->counts[number][0]);
    const double took = (double)(wall_ns() - from);
    atomic_store(&common->over, true);
    for (uint32_t number = 0; number < count; number++)
        waitpid(children[number], NULL, 0);
    return took / (double)(after - before);
}

static void bare_one(uint32_t number, void *context)
{
    const int fd = *(const int *)context;
    char record[RECORD];
    memset(record, 7, sizeof record);
    for (uint64_t at = 0; !atomic_load(&common->over); at += sizeof record) {
        if (pwrite(fd, record, sizeof record, (off_t)at) != RECORD || fdatasync(fd) != 0)
            die("cannot write");
        atomic_fetch_add(&common->counts[number][0], 1);
    }
}

static void group_flush(int fd)
{
    const uint64_t from = ae_load64_acquire(&common->durable);
    pthread_mutex_lock(&common->lock);
    const uint64_t upto = ae_load64(&common->appended);
    pthread_mutex_unlock(&common->lock);
    for (uint64_t at = from; at < upto;) {
        const uint64_t place = at % BUFFER;
        const uint64_t size = upto - at < BUFFER - place ? upto - at : BUFFER - place;
        if (pwrite(fd, common->buffer + place, size, (off_t)at) != (ssize_t)size)
            die("cannot write");
        at += size;
    }
    if (upto > from && fdatasync(fd) != 0)
        die("cannot sync");
    ae_store64_release(&common->durable, upto);
}

static void bare_group(uint32_t number, void *context)
{
    const int fd = *(const int *)context;
    char record[RECORD];
    memset(record, 7, sizeof record);
    while (!atomic_load(&common->over)) {
        pthread_mutex_lock(&common->lock);
        const uint64_t at = ae_load64(&common->appended);
        memcpy(common->buffer + at % BUFFER, record, sizeof record);
        ae_store64(&common->appended, at + sizeof record);
        pthread_mutex_unlock(&common->lock);
        for (;;) {
            const uint32_t event = ae_load32_acquire(&common->event);
            if (ae_load64_acquire(&common->durable) >= at + sizeof record)
                break;
            if (ae_cas32(&common->leader, 0, 1)) {
                group_flush(fd);
                ae_store32_release(&common->leader, 0);
                ae_add32(&common->event, 1);
                ae_os_wake_all(&common->event);
            } else {
                ae_os_wait(&common->event, event, 10000000);
            }
        }
        atomic_fetch_add(&common->counts[number][0], 1);
    }
}

typedef struct store {
    aero_db *db;
    aero_session *session;
    bool synchronous;
} store;

static void commits(uint32_t number, void *context)
{
    store *of = context;
    const uint32_t columns[] = {COLUMN_LAT, COLUMN_LON, COLUMN_ALTITUDE, COLUMN_UPDATED_AT};
    ae_store32(&of->db->synchronous_commit, of->synchronous);
    for (uint64_t turn = 0; !atomic_load(&common->over); turn++) {
        char key[KEY_LENGTH];
        int32_t found = 0;
        flight_key(number * 100 + turn % 100, key);
        const aero_value values[] = {value_real((double)(turn % 90)), value_real(2.5),
                                     value_int((int64_t)(turn % 45000)), value_int((int64_t)turn)};
        const aero_value name = value_text(key, KEY_LENGTH);
        need(aero_update(of->session, 0, &name, 4, columns, values, &found), of->session, "update");
        if (!found)
            die("a row is missing");
        atomic_fetch_add(&common->counts[number][0], 1);
    }
}

/* ---- databases ------------------------------------------------------------------------------ */

static aero_status boot_fill(void *context, aero_db *db, bool *exists, aero_error *error)
{
    static const ae_log_position start = {.number = 1, .framed = 1};
    (void)error;
    *exists = false;
    if (*(const bool *)context)
        ae_log_start(&db->log, &start);
    return AERO_OK;
}

static void store_begin(store *of, const char *disk, const char *segment, bool logs)
{
    const aero_open_options options = {
        .data_dir = disk, .shm_path = segment, .size = (uint64_t)1 << 30};
    const ae_db_boot boot = {
        .context = &logs, .log_name = "bench.wal", .stack = AE_STACK_ROW, .fill = boot_fill};
    aero_error error;
    unlink(segment);
    if (ae_db_new(&options, &of->db, &error) != AERO_OK ||
        ae_db_attach(of->db, &boot, &error) != AERO_OK ||
        aero_session_open(of->db, &of->session, &error) != AERO_OK)
        die("open: %s", error.text);
    ae_store32(&of->db->synchronous_commit, 0);
    for (uint32_t row = 0; row < PROCESSES_MAX * 100; row++) {
        char key[KEY_LENGTH];
        const uint32_t columns[] = {COLUMN_ID, COLUMN_LAT, COLUMN_LON, COLUMN_UPDATED_AT};
        flight_key(row, key);
        const aero_value values[] = {value_text(key, KEY_LENGTH), value_real(1), value_real(2),
                                     value_int(3)};
        need(aero_insert(of->session, 0, 4, columns, values), of->session, "insert");
    }
}

static void store_end(store *of, const char *disk, const char *segment)
{
    char path[4096];
    aero_session_close(of->session);
    ae_db_free(of->db);
    unlink(segment);
    snprintf(path, sizeof path, "%s/bench.wal", disk);
    unlink(path);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: commit DISK SEGMENT MILLISECONDS ROUNDS PROCESSES");
    const uint64_t rounds = parse_count(argv[4]);
    const uint32_t many = (uint32_t)parse_count(argv[5]);
    pthread_mutexattr_t shared;
    cpu_set_t all;
    span_ns = parse_count(argv[3]) * 1000000;
    if (many > PROCESSES_MAX)
        die("at most %d processes", PROCESSES_MAX);
    memset(&all, 0xff, sizeof all); /* the group needs every core */
    (void)sched_setaffinity(0, sizeof all, &all);
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&common->lock, &shared);
    for (int round = 0; round < (int)rounds; round++) {
        int fd = scratch_file(argv[1]);
        store of = {.synchronous = true};
        report("sync 1", "bare loop", round, workers_run(1, bare_one, &fd), "ns/row");
        store_begin(&of, argv[1], argv[2], true);
        report("sync 1", "aerostore", round, workers_run(1, commits, &of), "ns/row");
        report("sync 16", "aerostore", round, workers_run(many, commits, &of), "ns/row");
        ae_store64(&common->appended, 0);
        ae_store64(&common->durable, 0);
        report("sync 16", "bare group", round, workers_run(many, bare_group, &fd), "ns/row");
        of.synchronous = false;
        report("async", "aerostore", round, workers_run(1, commits, &of), "ns/row");
        store_end(&of, argv[1], argv[2]);
        store_begin(&of, argv[1], argv[2], false);
        report("async", "no log", round, workers_run(1, commits, &of), "ns/row");
        store_end(&of, argv[1], argv[2]);
        close(fd);
    }
    return 0;
}
