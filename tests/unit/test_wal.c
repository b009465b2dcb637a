/* The log of a running database: what gets into it, in which order, and what does not.
 *
 * variants: plain asan tsan
 */
#include <pthread.h>

#include "logged.h"

static log_model model;

/* ---- what is logged ------------------------------------------------------------------------- */

static void test_a_synchronous_commit_is_in_the_file_when_it_returns(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 16u << 20);
    for (int64_t value = 1; value <= 50; value++) {
        assert_ok(store.session, flight_put(store.session, "UAL1", value));
        log_read_ok(&model, &store);
        assert_int_equal(model_get(&model, "UAL1"), value);
        assert_int_equal(model.commits, value);
        assert_int_equal(ae_log_durable_number(&store.db->log), value + 1);
    }
    assert_ok(store.session, flight_delete(store.session, "UAL1"));
    log_read_ok(&model, &store);
    assert_int_equal(model_get(&model, "UAL1"), FLIGHT_NONE);
    assert_int_equal(model.operations[AE_OP_INSERT], 1);
    assert_int_equal(model.operations[AE_OP_UPDATE], 49);
    assert_int_equal(model.operations[AE_OP_DELETE], 1);
    assert_int_equal(model.end, ae_log_written(&store.db->log).lsn);
    logged_close(&store);
}

static void test_an_asynchronous_commit_is_written_by_the_next_flush(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 16u << 20);
    ae_store32(&store.db->synchronous_commit, 0);
    for (int64_t value = 1; value <= 20; value++)
        assert_ok(store.session, flight_put(store.session, "UAL1", value));
    assert_int_equal(ae_log_written(&store.db->log).number, 1);
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 0);
    aero_error error;
    const uint64_t clock = ae_load64(&store.db->proc.shared->clock);
    assert_int_equal(
        ae_log_flush(&store.db->log, &store.session->log_writer, clock, AE_LOG_WRITE, &error),
        AERO_OK);
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 20);
    assert_int_equal(model.frames, 2); /* the file's first, and one for all commits */
    assert_int_equal(ae_log_durable_number(&store.db->log), 1);
    /* A synchronous transaction makes those before it durable, too. */
    assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(store.session, flight_put(store.session, "UAL2", 7));
    store.session->txn.synchronous = 1;
    assert_ok(store.session, aero_commit(store.session));
    assert_int_equal(ae_log_durable_number(&store.db->log), clock + 1);
    logged_close(&store);
}

static void test_rolled_back_work_is_not_in_the_log(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 16u << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "UAL1", 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "UAL1", 2));
    assert_ok(s, flight_put(s, "UAL2", 2));
    assert_ok(s, aero_rollback(s));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "UAL3", 3));
    assert_ok(s, aero_savepoint(s, "one", 3));
    for (uint32_t index = 0; index < 400; index++) {
        char name[32];
        assert_ok(s, flight_put(s, flight_name(name, index), 4));
    }
    assert_ok(s, aero_rollback_to(s, "one", 3));
    assert_ok(s, flight_put(s, "UAL4", 4));
    assert_ok(s, aero_commit(s));
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 2);
    assert_int_equal(model.operations[AE_OP_INSERT], 3);
    assert_int_equal(model.operations[AE_OP_UPDATE], 0);
    assert_int_equal(model_get(&model, "UAL1"), 1);
    assert_int_equal(model_get(&model, "UAL2"), FLIGHT_NONE);
    assert_int_equal(model_get(&model, "UAL4"), 4);
    logged_close(&store);
}

static void test_a_conflict_leaves_nothing_in_the_log(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 16u << 20);
    aero_session *one = store.session;
    aero_session *two = session_new(&store);
    assert_ok(one, flight_put(one, "UAL1", 1));
    assert_ok(one, flight_put(one, "UAL2", 1));
    /* Write skew: each reads what the other writes. */
    assert_ok(one, aero_begin(one, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(two, aero_begin(two, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(one, "UAL2"), 1);
    assert_int_equal(flight_get(two, "UAL1"), 1);
    assert_ok(one, flight_put(one, "UAL1", 2));
    assert_ok(two, flight_put(two, "UAL2", 3));
    assert_ok(one, aero_commit(one));
    assert_status(two, AERO_CONFLICT, aero_commit(two));
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 3);
    assert_int_equal(model_get(&model, "UAL1"), 2);
    assert_int_equal(model_get(&model, "UAL2"), 1);
    aero_session_close(two);
    logged_close(&store);
}

static void test_reading_leaves_no_file(void **state)
{
    test_store store;
    char path[256];
    (void)state;
    logged_open(&store, 16u << 20);
    assert_int_equal(flight_get(store.session, "UAL1"), FLIGHT_NONE);
    snprintf(path, sizeof path, "%s/%s", store.data_dir, LOG_NAME);
    assert_int_not_equal(access(path, F_OK), 0);
    logged_close(&store);
}

static void test_a_log_that_is_off_writes_nothing(void **state)
{
    static const log_start off = {.off = true};
    test_store store;
    char path[256];
    (void)state;
    logged_paths(&store);
    logged_attach(&store, 16u << 20, &off);
    assert_ok(store.session, flight_put(store.session, "UAL1", 1));
    snprintf(path, sizeof path, "%s/%s", store.data_dir, LOG_NAME);
    assert_int_not_equal(access(path, F_OK), 0);
    logged_close(&store);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

/* A transaction of so many rows; returns how many bytes the log took for it. */
static uint64_t rows_commit(test_store *store, uint32_t count, int64_t altitude)
{
    aero_session *s = store->session;
    const uint64_t before = ae_log_written(&store->db->log).lsn;
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SNAPSHOT));
    for (uint32_t index = 0; index < count; index++) {
        char name[32];
        assert_ok(s, flight_put(s, flight_name(name, index), altitude));
    }
    assert_ok(s, aero_commit(s));
    return ae_log_written(&store->db->log).lsn - before;
}

static void rows_check(test_store *store, uint32_t count, int64_t altitude)
{
    log_read_ok(&model, store);
    for (uint32_t index = 0; index < count; index++) {
        char name[32];
        assert_int_equal(model_get(&model, flight_name(name, index)), altitude);
    }
}

static void test_transactions_of_all_sizes_come_back(void **state)
{
    test_store store;
    (void)state;
    /* The ring of this segment is 4 KiB: from a few rows on they need pieces. */
    logged_open(&store, 8u << 20);
    for (uint32_t count = 1; count < 3000; count += 1 + count / 3) {
        (void)rows_commit(&store, count, 1000 + count);
        rows_check(&store, count, 1000 + count);
    }
    store_verify(store.session);
    /* What was begun in pieces and not finished does not count. */
    aero_session *s = store.session;
    aero_session *other = session_new(&store);
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(s, "other"), FLIGHT_NONE);
    for (uint32_t index = 0; index < 1000; index++) {
        char name[32];
        assert_ok(s, flight_put(s, flight_name(name, index), -5));
    }
    assert_ok(other, flight_put(other, "other", 1));
    assert_status(s, AERO_CONFLICT, aero_commit(s));
    assert_true(ae_log_oldest_piece(&store.db->log) == UINT64_MAX);
    log_read_ok(&model, &store);
    char name[32];
    assert_true(model_get(&model, flight_name(name, 0)) > 0);
    aero_session_close(other);
    logged_close(&store);
}

static void test_rows_larger_than_a_frame_come_back(void **state)
{
    static char text[60000];
    test_store store;
    (void)state;
    logged_open(&store, 64u << 20);
    aero_session *s = store.session;
    memset(text, 't', sizeof text);
    for (uint32_t round = 0; round < 12; round++) {
        const uint32_t columns[] = {FLIGHT_ID,      FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE,
                                    FLIGHT_UPDATED, FLIGHT_TYP, FLIGHT_DEST};
        const aero_value values[] = {v_text("UAL1"),
                                     v_real(1),
                                     v_real(2),
                                     v_int(round),
                                     v_int(3),
                                     v_data(AERO_TYPE_TEXT, text, 5000u * round),
                                     v_data(AERO_TYPE_TEXT, text, 60000 - 5000u * round)};
        int32_t inserted = 0;
        assert_ok(s, aero_upsert(s, FLIGHTS, 7, columns, values, &inserted));
        log_read_ok(&model, &store);
        assert_int_equal(model_get(&model, "UAL1"), round);
    }
    logged_close(&store);
}

static void test_an_update_of_one_column_takes_little(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 64u << 20);
    ae_store32(&store.db->synchronous_commit, 0);
    aero_session *s = store.session;
    const uint32_t column = FLIGHT_ALTITUDE;
    const aero_value key = v_text("UAL1");
    enum { UPDATES = 3000 };
    assert_ok(s, flight_put(s, "UAL1", 1));
    int32_t found = 0;
    for (int64_t round = 0; round < UPDATES; round++) {
        const aero_value value = v_int(round);
        assert_ok(s, aero_update(s, FLIGHTS, &key, 1, &column, &value, &found));
    }
    aero_error error;
    assert_int_equal(ae_log_flush(&store.db->log, &s->log_writer,
                                  ae_load64(&store.db->proc.shared->clock), AE_LOG_WRITE, &error),
                     AERO_OK);
    log_read_ok(&model, &store);
    assert_int_equal(model.operations[AE_OP_UPDATE], UPDATES);
    /* kind, length, key (2 + 4 + 4), altitude (2 + 4), and two for the commit: 20 bytes */
    assert_in_range(model.end / UPDATES, 18, 22);
    logged_close(&store);
}

/* ---- order and the rings -------------------------------------------------------------------- */

static void test_the_log_has_the_order_of_the_commits_of_all_slots(void **state)
{
    test_store store;
    aero_session *sessions[5];
    (void)state;
    logged_open(&store, 16u << 20);
    ae_store32(&store.db->synchronous_commit, 0);
    uint64_t random = test_seed("order of commits");
    for (uint32_t index = 0; index < 5; index++)
        sessions[index] = session_new(&store);
    for (int64_t round = 1; round <= 4000; round++) {
        aero_session *s = sessions[next_random(&random) % 5];
        if (next_random(&random) % 4 == 0) {
            assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
            assert_ok(s, flight_put(s, "shared", -round));
            assert_ok(s, aero_rollback(s));
        }
        assert_ok(s, flight_put(s, "shared", round));
        if (next_random(&random) % 64 == 0) {
            log_read_ok(&model, &store);
            assert_int_equal(model.commits == 0 ? FLIGHT_NONE : model_get(&model, "shared"),
                             model.commits == 0 ? FLIGHT_NONE : (int64_t)model.commits);
        }
    }
    for (uint32_t index = 0; index < 5; index++)
        aero_session_close(sessions[index]);
    ae_store32(&store.db->synchronous_commit, 1);
    assert_ok(store.session, flight_put(store.session, "shared", 4001));
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 4001);
    assert_int_equal(model_get(&model, "shared"), 4001);
    logged_close(&store);
}

typedef struct worker {
    test_store *store;
    uint32_t number;
    pthread_t thread;
} worker;

enum { WORKERS = 4, WORKER_ROUNDS = 300 };

static void *worker_run(void *context)
{
    const worker *of = context;
    aero_session *s = NULL;
    char own[32];
    if (aero_session_open(of->store->db, &s, NULL) != AERO_OK)
        return NULL; /* missed below */
    snprintf(own, sizeof own, "w%u", of->number);
    for (int64_t round = 1; round <= WORKER_ROUNDS; round++) {
        aero_status status;
        do {
            (void)aero_begin(s, AERO_ISOLATION_SNAPSHOT);
            s->txn.synchronous = round % 3 == 0;
            status = flight_put(s, own, round);
            if (status == AERO_OK)
                status = flight_put(s, "shared", round);
            if (status == AERO_OK)
                status = aero_commit(s);
            else
                (void)aero_rollback(s);
        } while (status == AERO_CONFLICT);
        if (status != AERO_OK) {
            printf("worker %u: %d %s\n", of->number, status, aero_session_error(s)->text);
            break;
        }
    }
    aero_session_close(s);
    return NULL;
}

static void test_threads_commit_at_once_and_all_of_it_is_logged(void **state)
{
    test_store store;
    worker workers[WORKERS];
    (void)state;
    logged_open(&store, 16u << 20);
    for (uint32_t index = 0; index < WORKERS; index++) {
        workers[index] = (worker){.store = &store, .number = index};
        assert_int_equal(pthread_create(&workers[index].thread, NULL, worker_run, &workers[index]),
                         0);
    }
    for (uint32_t index = 0; index < WORKERS; index++)
        pthread_join(workers[index].thread, NULL);
    assert_ok(store.session, flight_put(store.session, "last", 1));
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, WORKERS * WORKER_ROUNDS + 1);
    for (uint32_t index = 0; index < WORKERS; index++) {
        char own[32];
        snprintf(own, sizeof own, "w%u", index);
        assert_int_equal(model_get(&model, own), WORKER_ROUNDS);
    }
    assert_int_equal(model_get(&model, "shared"), flight_get(store.session, "shared"));
    logged_close(&store);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_a_rotation_begins_a_file_that_the_reader_goes_on_in(void **state)
{
    test_store store;
    aero_error error;
    ae_log_position position;
    (void)state;
    logged_open(&store, 16u << 20);
    uint64_t base = 0;
    for (int64_t round = 1; round <= 6; round++) {
        assert_ok(store.session, flight_put(store.session, "UAL1", round));
        assert_int_equal(
            ae_log_rotate(&store.db->log, &store.session->log_writer, &position, &error), AERO_OK);
        assert_true(position.lsn > base);
        assert_int_equal(position.number, round + 1);
        base = position.lsn;
    }
    ae_log_files files;
    assert_int_equal(ae_log_files_open(&files, store.data_dir, LOG_NAME, &error), AERO_OK);
    assert_int_equal(files.count, 7);
    assert_int_equal(files.files[6].base, base);
    assert_int_equal(files.files[6].head.number, 7);
    ae_log_files_close(&files);
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 6);
    assert_int_equal(model_get(&model, "UAL1"), 6);
    /* Another session finds the newest file by itself. */
    aero_session *other = session_new(&store);
    assert_ok(other, flight_put(other, "UAL1", 7));
    log_read_ok(&model, &store);
    assert_int_equal(model_get(&model, "UAL1"), 7);
    aero_session_close(other);
    logged_close(&store);
}

static void test_a_log_goes_on_behind_what_was_recovered(void **state)
{
    test_store store;
    (void)state;
    logged_open(&store, 16u << 20);
    for (int64_t round = 1; round <= 5; round++)
        assert_ok(store.session, flight_put(store.session, "UAL1", round));
    const ae_log_position end = ae_log_written(&store.db->log);
    uint8_t identity[16];
    memcpy(identity, store.db->segment.header->store_id, 16);
    logged_leave(&store);
    const log_start start = {.from = end, .store = identity};
    logged_attach(&store, 16u << 20, &start);
    assert_int_equal(ae_load64(&store.db->proc.shared->clock), end.number);
    assert_ok(store.session, flight_delete(store.session, "UAL1") == AERO_NOT_FOUND ? 0 : 1);
    assert_ok(store.session, flight_put(store.session, "UAL2", 1));
    log_read_ok(&model, &store);
    assert_int_equal(model.commits, 6);
    assert_int_equal(model.number, end.number + 1);
    assert_int_equal(model_get(&model, "UAL1"), 5);
    assert_int_equal(model_get(&model, "UAL2"), 1);
    logged_close(&store);
}

/* Each cut of the last file, and each byte changed: the reader ends where it should, and never
 * gives what was not written. */
static void test_a_torn_end_gives_a_prefix(void **state)
{
    test_store store;
    aero_error error;
    char path[256];
    (void)state;
    logged_open(&store, 16u << 20);
    for (int64_t round = 1; round <= 12; round++)
        assert_ok(store.session, flight_put(store.session, "UAL1", round));
    const uint64_t end = ae_log_written(&store.db->log).lsn;
    snprintf(path, sizeof path, "%s/%s", store.data_dir, LOG_NAME);
    char *content = malloc(end);
    FILE *file = fopen(path, "r+");
    assert_int_equal(fread(content, 1, end, file), end);
    for (uint64_t size = end; size-- > 0;) {
        assert_int_equal(ftruncate(fileno(file), (off_t)size), 0);
        const aero_status status = log_read(&model, store.data_dir, AE_STACK_ROW, &error);
        if (size < 128) {
            assert_int_equal(status, AERO_CORRUPT);
        } else { /* no frame tells of those behind it */
            assert_int_equal(status, AERO_OK);
            assert_in_range(model.commits, 0, 12); /* the last bytes are padding */
            if (model.commits > 0)
                assert_int_equal(model_get(&model, "UAL1"), model.commits);
        }
    }
    rewind(file);
    for (uint64_t place = 0; place < end; place++) {
        content[place] ^= 0x10;
        rewind(file);
        assert_int_equal(fwrite(content, 1, end, file), end);
        fflush(file);
        const aero_status status = log_read(&model, store.data_dir, AE_STACK_ROW, &error);
        if (status == AERO_OK)
            assert_in_range(model.commits, 11, 12); /* padding, or the last frame */
        else
            assert_true(status == AERO_CORRUPT || status == AERO_MISMATCH);
        content[place] ^= 0x10;
    }
    fclose(file);
    free(content);
    logged_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_synchronous_commit_is_in_the_file_when_it_returns),
    cmocka_unit_test(test_an_asynchronous_commit_is_written_by_the_next_flush),
    cmocka_unit_test(test_rolled_back_work_is_not_in_the_log),
    cmocka_unit_test(test_a_conflict_leaves_nothing_in_the_log),
    cmocka_unit_test(test_reading_leaves_no_file),
    cmocka_unit_test(test_a_log_that_is_off_writes_nothing),
    cmocka_unit_test(test_transactions_of_all_sizes_come_back),
    cmocka_unit_test(test_rows_larger_than_a_frame_come_back),
    cmocka_unit_test(test_an_update_of_one_column_takes_little),
    cmocka_unit_test(test_the_log_has_the_order_of_the_commits_of_all_slots),
    cmocka_unit_test(test_threads_commit_at_once_and_all_of_it_is_logged),
    cmocka_unit_test(test_a_rotation_begins_a_file_that_the_reader_goes_on_in),
    cmocka_unit_test(test_a_log_goes_on_behind_what_was_recovered),
    cmocka_unit_test(test_a_torn_end_gives_a_prefix),
};

AE_TEST_MAIN(tests)
