/* The log in every order: several commit and write for each other, a writer is stopped and
 * replaced, or dies, and goes on into what is not its any more.
 *
 * Files lie in memory here and go back with the segment.  Whoever is interrupted counts as stopped,
 * and time goes by for those who wait, so writers are replaced.  At each acknowledgement what is
 * synced must hold the commit (W4); at the end the files, read as a recovery reads them, hold the
 * commits that everybody sees, each once and in order, and no other (W1, W2).
 *
 * variants: explore
 * links: tests/explore * generated/aerostore
 */
#include <errno.h>
#include <string.h>

#include "base/os_file.h"
#include "base/os_wait.h"
#include "explored_atomics.h"
#include "flight_models.h"
#include "wal/log_private.h"
#include "wal/reader.h"

/* ---- files ---------------------------------------------------------------------------------- */

enum { FILES = 12, FILE_BYTES = 8 << 10, NAME_BYTES = 192, FD_FIRST = 100 };

typedef struct memory_file {
    bool used;
    char name[NAME_BYTES]; /* empty: none yet */
    uint64_t size;
    uint64_t synced; /* bytes that a power failure leaves */
    uint8_t bytes[FILE_BYTES];
} memory_file;

static struct {
    memory_file files[FILES];
    bool synced_only; /* reading shows what a power failure leaves */
} disk, frozen_disk;
static ae_a64 touched; /* each change is an access, where threads may be interrupted */

static memory_file *file_at(int fd)
{
    explore_assert(fd >= FD_FIRST && fd < FD_FIRST + FILES && disk.files[fd - FD_FIRST].used);
    return &disk.files[fd - FD_FIRST];
}

static memory_file *file_named(const char *path)
{
    for (uint32_t index = 0; index < FILES; index++)
        if (disk.files[index].used && strcmp(disk.files[index].name, path) == 0)
            return &disk.files[index];
    return NULL;
}

int ae_os_file_unnamed(const char *path, int *fd)
{
    (void)path;
    ae_add64(&touched, 1);
    for (uint32_t index = 0; index < FILES; index++) {
        if (disk.files[index].used)
            continue;
        disk.files[index] = (memory_file){.used = true};
        *fd = FD_FIRST + (int)index;
        return 0;
    }
    explore_fail("more than %d files", FILES);
}

int ae_os_file_open(const char *path, uint32_t how, int *fd)
{
    const memory_file *file = file_named(path);
    (void)how;
    if (file == NULL)
        return ENOENT;
    *fd = FD_FIRST + (int)(file - disk.files);
    return 0;
}

int ae_os_file_name(int fd, const char *path)
{
    ae_add64(&touched, 1);
    if (file_named(path) != NULL)
        return EEXIST;
    snprintf(file_at(fd)->name, NAME_BYTES, "%s", path);
    return 0;
}

void ae_os_file_close(int fd)
{
    (void)fd;
}

int ae_os_file_write(int fd, uint64_t offset, const void *data, size_t size)
{
    ae_add64(&touched, 1);
    memory_file *file = file_at(fd);
    explore_assert(offset + size <= FILE_BYTES);
    memcpy(file->bytes + offset, data, size);
    file->size = offset + size > file->size ? offset + size : file->size;
    /* What was synced and is written anew may be torn. */
    file->synced = offset < file->synced ? offset : file->synced;
    return 0;
}

int ae_os_file_read(int fd, uint64_t offset, void *data, size_t size, size_t *done)
{
    const memory_file *file = file_at(fd);
    const uint64_t end = disk.synced_only ? file->synced : file->size;
    *done = offset >= end ? 0 : end - offset < size ? (size_t)(end - offset) : size;
    memcpy(data, file->bytes + offset, *done);
    return 0;
}

int ae_os_file_sync(int fd)
{
    ae_add64(&touched, 1);
    file_at(fd)->synced = file_at(fd)->size;
    return 0;
}

int ae_os_file_state(int fd, uint64_t *size, uint32_t *names)
{
    const memory_file *file = file_at(fd);
    *size = disk.synced_only ? file->synced : file->size;
    *names = 1;
    return 0;
}

int ae_os_directory_sync(const char *path)
{
    (void)path;
    return 0;
}

int ae_os_directory_list(const char *path, int (*visit)(void *context, const char *name),
                         void *context)
{
    int answer = 0;
    (void)path;
    for (uint32_t index = 0; index < FILES && answer == 0; index++) {
        const char *slash = strrchr(disk.files[index].name, '/');
        if (disk.files[index].used && slash != NULL)
            answer = visit(context, slash + 1);
    }
    return answer;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Sleepers wake late, so that a few turns are enough to give a stopped one up. */
enum { LATE_NS = 20000000 };

bool ae_os_process_stopped(uint64_t identity)
{
    (void)identity;
    return true;
}

void ae_os_wait(ae_a32 *word, uint32_t expected, uint64_t timeout_ns)
{
    (void)word;
    (void)expected;
    (void)timeout_ns;
    world_later(LATE_NS);
    explored_pause();
}

/* ---- what is in the files ------------------------------------------------------------------- */

enum { KEYS = 3, NUMBERS = 64 };

static bool fenced; /* each run begins where a new file is due */

static struct {
    uint64_t first;                            /* the clock at the beginning */
    uint64_t acknowledged[EXPLORE_THREADS][2]; /* numbers of commits */
} run;

typedef struct stream {
    uint64_t last;      /* number of the last commit */
    bool has[NUMBERS];  /* commits, from the first of the run on */
    char keys[NUMBERS]; /* which flight, by its last letter; 0: none */
} stream;

static void commits_read(stream *of, const ae_frame *frame)
{
    ae_commits commits;
    ae_commit commit;
    aero_error error;
    ae_commits_start(&commits, frame);
    for (;;) {
        if (ae_commits_next(&commits, &commit, &error) != AERO_OK)
            explore_fail("log: %s", error.text);
        if (commit.data == NULL)
            return;
        explore_assert(commit.number > of->last);
        of->last = commit.number;
        if (commit.number <= run.first)
            continue;
        const uint64_t index = commit.number - run.first;
        explore_assert(index < NUMBERS);
        of->has[index] = true;
        const char *key = memmem(commit.data, commit.size, "row-", 4);
        of->keys[index] = key == NULL ? '\0' : key[4];
    }
}

/* Read the files as a recovery does. */
static void stream_read(stream *of, bool synced_only)
{
    const ae_log *log = &world.db->log;
    ae_log_files files;
    ae_log_reader reader;
    aero_error error;
    *of = (stream){.last = 0};
    /* Before the files: others go on while these are loaded, but not while those are read. */
    const uint64_t durable = ae_log_durable_lsn(log);
    const uint64_t written = synced_only ? durable : ae_log_written(log).lsn;
    disk.synced_only = synced_only;
    if (ae_log_files_open(&files, log->directory, log->name, &error) != AERO_OK ||
        ae_log_reader_start(&reader, &files, UINT64_MAX, &error) != AERO_OK)
        explore_fail("log: %s", error.text);
    for (;;) {
        if (ae_log_reader_next(&reader, &error) != AERO_OK)
            explore_fail("log: %s", error.text);
        if (reader.frame == NULL)
            break;
        if (reader.frame->kind == AE_FRAME_COMMITS)
            commits_read(of, reader.frame);
    }
    explore_assert(reader.lsn >= reader.durable);
    explore_assert(reader.lsn >= durable && reader.lsn >= written);
    ae_log_reader_end(&reader);
    ae_log_files_close(&files);
    disk.synced_only = false;
}

/* The number of the commit that a flight comes from. */
static uint64_t number_of_row(const char *key)
{
    aero_session *session = world.observer;
    const aero_table *of = &session->db->schema->tables[FLIGHTS];
    const aero_value value = v_text(key);
    ae_reader reader;
    ae_view view;
    uint64_t number = 0;
    of->clear(session->key_row);
    of->columns[FLIGHT_ID].set(session->key_row, &value);
    if (ae_reader_open(session, true, &reader) != AERO_OK)
        explore_fail("reader: %s", aero_session_error(session)->text);
    if (ae_table_find(&reader, FLIGHTS, session->key_row, &view)) {
        const char *row = view.row;
        number = ae_load64(
            &((const ae_version *)(const void *)(row - offsetof(ae_version, row)))->begin);
    }
    ae_reader_close(&reader);
    return number;
}

/* ---- bodies --------------------------------------------------------------------------------- */

/* Write a flight; once that is acknowledged it survives a power failure. */
static void commit(uint32_t thread, uint32_t step, const char *key)
{
    aero_session *session = world.sessions[thread];
    stream of;
    must(thread, flight_put(session, key, 100 + thread));
    const uint64_t durable = ae_log_durable_number(&world.db->log);
    stream_read(&of, true);
    uint32_t found = 0;
    for (uint32_t index = 0; index < NUMBERS; index++)
        if (of.has[index] && of.keys[index] == key[4] && run.first + index <= durable)
            found = index;
    explore_assert(found != 0);
    run.acknowledged[thread][step] = run.first + found;
}

static void body_own_row(uint32_t thread)
{
    const char key[] = {'r', 'o', 'w', '-', (char)('a' + thread), '\0'};
    commit(thread, 0, key);
}

static void body_same_row(uint32_t thread)
{
    commit(thread, 0, "row-a");
}

/* One that is taken back, and one that is not. */
static void body_rolls_back(uint32_t thread)
{
    aero_session *session = world.sessions[thread];
    must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
    if (try_(thread, flight_put(session, "row-a", 7)) && !try_(thread, aero_commit(session)))
        return;
    if (session->txn.open)
        must(thread, aero_rollback(session));
}

static void begin(void)
{
    memset(&run, 0, sizeof run);
    disk = frozen_disk;
    ae_store64(&touched, 0);
    if (fenced) {
        ae_a64 *holder = &world.db->log.shared->holder;
        ae_store64(holder, ae_load64(holder) | AEI_HOLDER_FENCE);
    }
    run.first = ae_load64(&world.db->proc.shared->clock);
}

/* What the log says is what everybody sees. */
static void end(void)
{
    static const char *const keys[] = {"row-a", "row-b", "row-c"};
    stream of;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    (void)ae_reap_all(world.db, world.observer->member);
    const uint64_t clock = ae_load64(&world.db->proc.shared->clock);
    aero_error error;
    if (ae_log_flush(&world.db->log, &world.observer->log_writer, clock, AE_LOG_SYNC, &error) !=
        AERO_OK)
        explore_fail("flush: %s", error.text);
    stream_read(&of, true);
    uint64_t newest[KEYS] = {0};
    for (uint32_t index = 0; index < NUMBERS; index++)
        if (of.has[index]) {
            explore_assert(run.first + index <= clock);
            explore_assert(of.keys[index] >= 'a' && of.keys[index] < 'a' + KEYS);
            newest[of.keys[index] - 'a'] = run.first + index;
        }
    for (uint32_t key = 0; key < KEYS; key++) {
        const uint64_t seen = number_of_row(keys[key]);
        if (seen > run.first && newest[key] != seen)
            explore_fail("%s is of commit %" PRIu64 ", in the log of %" PRIu64, keys[key], seen,
                         newest[key]);
        explore_assert(seen > run.first || newest[key] == 0);
    }
    for (uint32_t thread = 0; thread < EXPLORE_THREADS; thread++)
        if (run.acknowledged[thread][0] != 0)
            explore_assert(of.has[run.acknowledged[thread][0] - run.first]);
    if (aero_verify(world.observer, &rows, &blocks) != AERO_OK)
        explore_fail("verify: %s", aero_session_error(world.observer)->text);
}

/* ---- models --------------------------------------------------------------------------------- */

static void search(explore_model model)
{
    flights_open();
    ae_log *log = &world.db->log;
    memset(&disk, 0, sizeof disk);
    ae_log_position position = ae_log_written(log);
    position = (ae_log_position){.framed = ae_load64(&world.db->proc.shared->clock)};
    ae_log_start(log, &position);
    /* Everybody has a ring, a buffer and the file from the beginning. */
    for (uint32_t index = 0; index <= EXPLORE_THREADS; index++) {
        aero_session *session = index < EXPLORE_THREADS ? world.sessions[index] : world.observer;
        char key[] = {'r', 'o', 'w', '-', (char)('a' + index % KEYS), '\0'};
        must(index % EXPLORE_THREADS, flight_put(session, key, 1));
        must(index % EXPLORE_THREADS, flight_put(session, key, 2));
    }
    frozen_disk = disk;
    model.begin = begin;
    model.end = end;
    flights_search(&model);
}

/* Goal: W1 to W4 for two that commit at once, write for each other, and replace each other. */
static void test_two_commit(void **state)
{
    (void)state;
    search((explore_model){.name = "log: two commit",
                           .threads = 2,
                           .body = {body_own_row, body_own_row},
                           .interruptions = 2});
}

/* Goal: the same for one row, of which one may have to try again. */
static void test_two_commit_a_row(void **state)
{
    (void)state;
    search((explore_model){.name = "log: two commit a row",
                           .threads = 2,
                           .body = {body_same_row, body_rolls_back},
                           .interruptions = 2});
}

/* Goal: a file that is named late does not hide another.  Method: a living writer was replaced
 * before, by one that died at once. */
static void test_two_make_a_file(void **state)
{
    (void)state;
    fenced = true;
    search((explore_model){.name = "log: two make a file",
                           .threads = 2,
                           .body = {body_own_row, body_own_row},
                           .interruptions = 2});
    fenced = false;
}

/* Goal: what the dead committed is in the log, and nothing else of theirs. */
static void test_two_commit_and_one_dies(void **state)
{
    (void)state;
    search((explore_model){.name = "log: death",
                           .threads = 2,
                           .body = {body_own_row, body_own_row},
                           .interruptions = 1,
                           .deaths = 1});
}

/* Goal: a writer that was replaced while it was stopped acknowledges nothing that the new file cuts
 * off.  Method: its successor dies, or is stopped, before it has published that file. */
static void test_a_replaced_writer_goes_on(void **state)
{
    (void)state;
    search((explore_model){.name = "log: replaced writer",
                           .threads = 2,
                           .body = {body_own_row, body_own_row},
                           .interruptions = 2,
                           .deaths = 1,
                           .spared = 1,
                           .steady = 2});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_two_commit),
    cmocka_unit_test(test_two_commit_a_row),
    cmocka_unit_test(test_two_make_a_file),
    cmocka_unit_test(test_two_commit_and_one_dies),
    cmocka_unit_test(test_a_replaced_writer_goes_on),
};

AE_TEST_MAIN(tests)
