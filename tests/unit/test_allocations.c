/* Every allocation of private memory fails in turn, once and for good.
 *
 * Strategy: the program brings its own malloc, which counts the calls of the engine and lets the
 * n-th fail, or the n-th and all that follow.  A session does one of everything; n grows until none
 * is left to fail.  Invariants: a call answers OK, NO_MEMORY (or IO, saying so) or NOT_DURABLE, and
 * never with a signal; what was acknowledged is there afterwards, what was refused is not; after
 * closing, every block is free again; the store verifies and opens.
 *
 * variants: plain
 */
#include <pthread.h>

#include "flights.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

/* What the allocator knows, under a lock: recovery has threads. */
static struct {
    bool armed;
    bool lasting;
    uint32_t left; /* calls until it fails; 0: never */
    uint32_t calls;
    uint32_t failed;
    int64_t live; /* blocks handed out while armed and not freed since, whenever */
} allocator;

enum { LIVE_MOST = 4096 };
static void *live_blocks[LIVE_MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool fails_now(void)
{
    if (!allocator.armed)
        return false;
    allocator.calls++;
    if (allocator.left == 0 || --allocator.left > 0)
        return false;
    if (allocator.lasting)
        allocator.left = 1;
    allocator.failed++;
    errno = ENOMEM;
    return true;
}

static bool fails(void)
{
    pthread_mutex_lock(&lock);
    const bool now = fails_now();
    pthread_mutex_unlock(&lock);
    return now;
}

static void *handed(void *block)
{
    pthread_mutex_lock(&lock);
    if (allocator.armed && block != NULL) {
        uint32_t place = 0;
        while (place < LIVE_MOST && live_blocks[place] != NULL)
            place++;
        if (place == LIVE_MOST)
            abort();
        live_blocks[place] = block;
        allocator.live++;
    }
    pthread_mutex_unlock(&lock);
    return block;
}

static void returned(const void *block)
{
    pthread_mutex_lock(&lock);
    for (uint32_t place = 0; block != NULL && allocator.live > 0 && place < LIVE_MOST; place++)
        if (live_blocks[place] == block) {
            live_blocks[place] = NULL;
            allocator.live--;
            break;
        }
    pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
    return fails() ? NULL : handed(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : handed(__libc_calloc(count, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : handed(__libc_memalign(alignment, size));
}

void free(void *block)
{
    returned(block);
    __libc_free(block);
}

void *realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    returned(block);
    return handed(__libc_realloc(block, size));
}

/* ---- one of everything ---------------------------------------------------------------------- */

enum { STEPS = 8, LONG_TEXT = 9000 };

/* What a run was told of its steps: each writes one row of its own. */
typedef struct told {
    aero_status opened;
    aero_status steps[STEPS];
    const char *odd; /* a call that answered neither OK nor NO_MEMORY */
    aero_error odd_error;
    aero_error error; /* of calls without a session */
} told;

static aero_status note(told *of, aero_session *session, const char *call, aero_status status)
{
    const aero_error *error = session != NULL ? aero_session_error(session) : &of->error;
    /* What the C library allocates for a call of the system is that call's error. */
    const bool told = status == AERO_OK || status == AERO_NO_MEMORY || status == AERO_NOT_DURABLE ||
                      (status == AERO_IO && strstr(error->text, strerror(ENOMEM)) != NULL);
    if (!told && of->odd == NULL) {
        of->odd = call;
        of->odd_error = *error;
        of->odd_error.code = status;
    }
    return status;
}
#define NOTE(call_) note(of, session, #call_, call_)

static aero_status plain_rows(told *of, aero_session *session)
{
    static char text[LONG_TEXT];
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_UPDATED, FLIGHT_DEST};
    memset(text, 'x', sizeof text);
    const aero_value values[] = {v_text("step-0"), v_real(1), v_real(2), v_int(3),
                                 v_data(AERO_TYPE_TEXT, text, sizeof text)};
    int32_t flag = 0;
    return NOTE(aero_upsert(session, FLIGHTS, 5, columns, values, &flag));
}

/* Savepoints, long names, reads that are noted, and more writes than a record holds. */
static aero_status transaction(told *of, aero_session *session)
{
    char name[200];
    int32_t found = 0;
    const aero_value key = v_text("step-0");
    aero_status status = NOTE(aero_begin(session, AERO_ISOLATION_SERIALIZABLE));
    memset(name, 'n', sizeof name);
    for (uint32_t row = 0; status == AERO_OK && row < 300; row++) {
        snprintf(name, 32, "many-%u", row);
        status = NOTE(flight_put(session, name, row));
        if (status == AERO_OK)
            status = NOTE(aero_exists(session, FLIGHTS, &key, &found));
    }
    for (uint32_t depth = 0; status == AERO_OK && depth < 20; depth++) {
        status = NOTE(aero_savepoint(session, name, 100 + depth));
        if (status == AERO_OK)
            status = NOTE(flight_put(session, "undone", depth));
    }
    if (status == AERO_OK)
        status = NOTE(aero_rollback_to(session, name, 100));
    if (status == AERO_OK)
        status = NOTE(flight_put(session, "step-1", 1));
    if (status == AERO_OK)
        return NOTE(aero_commit(session));
    (void)NOTE(aero_rollback(session));
    return status;
}

static aero_status searches(told *of, aero_session *session)
{
    static const char text[] = "{match flight_id {s*}} {in altitude {1 2 3}} {>= lat -1e9}";
    static const uint32_t columns[] = {FLIGHT_ID, FLIGHT_ALTITUDE, FLIGHT_DEST};
    aero_query *query = NULL;
    aero_cursor *cursor = NULL;
    aero_column_data data[3];
    const char *plan = NULL;
    size_t length = 0;
    uint32_t rows = 0;
    uint64_t count = 0;
    const aero_status stored = NOTE(flight_put(session, "step-2", 2));
    if (stored != AERO_OK)
        return stored;
    if (NOTE(aero_query_new(session, FLIGHTS, &query)) == AERO_OK &&
        NOTE(aero_query_compare(query, text, sizeof text - 1)) == AERO_OK &&
        NOTE(aero_query_sort(query, FLIGHT_ALTITUDE, 1)) == AERO_OK &&
        NOTE(aero_query_sort(query, FLIGHT_LAT, 0)) == AERO_OK &&
        NOTE(aero_query_count(query, &count)) == AERO_OK &&
        NOTE(aero_query_explain(query, 1, &plan, &length)) == AERO_OK &&
        NOTE(aero_cursor_open(query, &cursor)) == AERO_OK)
        (void)NOTE(aero_cursor_fetch(cursor, 100, 3, columns, data, &rows));
    aero_cursor_close(cursor);
    aero_query_free(query);
    return AERO_OK;
}

static aero_status lines(told *of, aero_session *session)
{
    static const char text[] = "step-3\t1\t2\t3\t\t5\tA\\tB\t\\\\\nline\t1\t2\t\t\t5\n";
    aero_ingest_report report;
    const aero_tsv_options options = {.null_text = "none", .separator = "\t"};
    return NOTE(aero_ingest_tsv(session, FLIGHTS, text, sizeof text - 1, &options, &report));
}

static aero_status indexes(told *of, aero_session *session)
{
    const uint32_t columns[] = {FLIGHT_LAT, FLIGHT_DEST};
    aero_index_info infos[8];
    uint32_t count = 0;
    const aero_status stored = NOTE(flight_put(session, "step-4", 4));
    if (stored != AERO_OK)
        return stored;
    if (NOTE(aero_index_create(session, FLIGHTS, 2, columns, 0)) == AERO_OK &&
        NOTE(aero_index_list(session, FLIGHTS, 8, infos, &count)) == AERO_OK)
        (void)NOTE(aero_index_drop(session, FLIGHTS, 2, columns));
    return AERO_OK;
}

static aero_status watches(told *of, aero_session *session)
{
    aero_query *query = NULL;
    aero_watch *watch = NULL;
    aero_event event = {0};
    aero_status stored = AERO_NO_MEMORY;
    if (NOTE(aero_query_new(session, FLIGHTS, &query)) == AERO_OK &&
        NOTE(aero_watch_open(query, AERO_WATCH_SNAPSHOT, 0, &watch)) == AERO_OK &&
        (stored = NOTE(flight_put(session, "step-5", 5))) == AERO_OK)
        for (uint32_t next = 0; next < 400; next++)
            if (NOTE(aero_watch_next(watch, &event)) != AERO_OK || event.kind == AERO_EVENT_NONE)
                break;
    aero_watch_close(watch);
    aero_query_free(query);
    return stored;
}

static aero_status the_rest(told *of, aero_session *session, const char *copy)
{
    aero_checkpoint_report report;
    const aero_stat *stats = NULL;
    const char *value = NULL;
    uint32_t count = 0;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    const aero_status stored = NOTE(flight_put(session, "step-6", 6));
    (void)NOTE(aero_stats(session, &stats, &count));
    (void)NOTE(aero_config_set(session, "aerostore.checkpoint_interval_secs", "0"));
    (void)NOTE(aero_config_get(session, "aerostore.checkpoint_interval_secs", &value));
    (void)NOTE(aero_verify(session, &rows, &blocks));
    (void)NOTE(aero_checkpoint(session, &report));
    (void)NOTE(aero_backup(session, copy, &report));
    return stored;
}

static void run_all(told *of, test_store *store, const char *copy)
{
    aero_db *db = NULL;
    aero_session *session = NULL;
    const aero_open_options options = {
        .data_dir = store->data_dir, .shm_path = store->segment, .size = 16 << 20};
    of->opened = NOTE(aero_open(&options, &db, &of->error));
    if (of->opened != AERO_OK)
        return;
    if ((of->opened = NOTE(aero_session_open(db, &session, &of->error))) == AERO_OK) {
        (void)NOTE(aero_config_set(session, "aerostore.checkpoint_interval_secs", "0"));
        of->steps[0] = plain_rows(of, session);
        of->steps[1] = transaction(of, session);
        of->steps[2] = searches(of, session);
        of->steps[3] = lines(of, session);
        of->steps[4] = indexes(of, session);
        of->steps[5] = watches(of, session);
        of->steps[6] = the_rest(of, session, copy);
        of->steps[7] = NOTE(flight_put(session, "step-7", 7));
        aero_session_close(session);
    }
    session = NULL;
    (void)NOTE(aero_close(db, &of->error));
    aero_files_report report;
    if (of->steps[0] == AERO_OK)
        (void)NOTE(aero_files_verify(&options, &report, &of->error));
}

/* ---- the test ------------------------------------------------------------------------------- */

/* One of everything on a new store with faults; returns how many blocks are lost. */
static int64_t run_with(uint32_t passage, bool lasting, told *of)
{
    test_store store;
    char copy[128];
    char name[32];
    store_paths(&store);
    snprintf(copy, sizeof copy, "%s.copy", store.data_dir);
    memset(of, 0, sizeof *of);
    for (uint32_t step = 0; step < STEPS; step++)
        of->steps[step] = AERO_NO_MEMORY;
    memset(&allocator, 0, sizeof allocator);
    memset(live_blocks, 0, sizeof live_blocks);
    allocator.left = passage;
    allocator.lasting = lasting;
    allocator.armed = true;
    run_all(of, &store, copy);
    allocator.armed = false;
    if (of->odd != NULL)
        fail_msg("allocation %u%s: %s: %d %s", passage, lasting ? " and all after" : "", of->odd,
                 of->odd_error.code, of->odd_error.text);
    const int64_t lost = allocator.live;
    store_attach(&store, 16 << 20);
    for (uint32_t step = 0; step < STEPS; step++) {
        snprintf(name, sizeof name, "step-%u", step);
        int32_t found = 0;
        const aero_value key = v_text(name);
        assert_ok(store.session, aero_exists(store.session, FLIGHTS, &key, &found));
        if (of->steps[step] != AERO_NOT_DURABLE && found != (of->steps[step] == AERO_OK))
            fail_msg("allocation %u: step %u was told %d, its row is %sthere", passage, step,
                     of->steps[step], found ? "" : "not ");
    }
    assert_int_equal(flight_get(store.session, "many-299") == FLIGHT_NONE,
                     flight_get(store.session, "step-1") == FLIGHT_NONE);
    assert_int_equal(flight_get(store.session, "undone"), FLIGHT_NONE);
    store_close(&store);
    folder_remove(copy);
    return lost;
}

/* Goal: no failed allocation does harm.  Method: the file's head tells. */
static void every_failing_allocation(bool lasting)
{
    told first;
    /* What the C library keeps for good, as with the stack of a thread, is there then. */
    run_with(0, false, &first);
    run_with(0, false, &first);
    assert_int_equal(first.opened, AERO_OK);
    for (uint32_t step = 0; step < STEPS; step++)
        assert_int_equal(first.steps[step], AERO_OK);
    const uint32_t calls = allocator.calls;
    printf("%u allocations\n", calls);
    assert_true(calls > 50);
    for (uint32_t passage = 1; passage <= calls; passage++) {
        told of;
        const int64_t lost = run_with(passage, lasting, &of);
        if (lost != 0)
            fail_msg("allocation %u%s: %" PRId64 " blocks are lost", passage,
                     lasting ? " and all after" : "", lost);
    }
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    every_failing_allocation(false);
}

static void test_each_allocation_fails_with_all_after_it(void **state)
{
    (void)state;
    every_failing_allocation(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_allocation_fails_once),
    cmocka_unit_test(test_each_allocation_fails_with_all_after_it),
};

AE_TEST_MAIN(tests)
