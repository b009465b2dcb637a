/* logged.h — a database with its log switched on from the start, and the log read back.
 *
 * The log starts empty: nothing is recovered.  Readers apply what they read to a model of flights:
 * altitude by key.
 */
#ifndef AE_TEST_LOGGED_H
#define AE_TEST_LOGGED_H

#include <dirent.h>

#include "flights.h"
#include "txn/db.h"
#include "txn/txn.h"
#include "wal/reader.h"

#define LOG_NAME "test.wal"

/* Where the files of logs go: $AE_TEST_DISK, or tmpfs as everything else. */
static inline void logged_paths(test_store *store)
{
    const char *root = getenv("AE_TEST_DISK");
    store_paths(store);
    if (root != NULL)
        snprintf(store->data_dir, sizeof store->data_dir, "%s/aerostore-test-%d", root,
                 (int)getpid());
}

typedef struct log_start {
    enum ae_stack stack;
    bool off;
    ae_log_position from;
    const uint8_t *store; /* identity, of a log that goes on */
} log_start;

static inline aero_status log_fill(void *context, aero_db *db, bool *exists, aero_error *error)
{
    const log_start *start = context;
    (void)error;
    *exists = false;
    if (start->store != NULL)
        ae_segment_adopt(&db->segment, start->store);
    if (!start->off)
        ae_log_start(&db->log, &start->from);
    return AERO_OK;
}

static inline void logged_attach(test_store *store, uint64_t size, const log_start *start)
{
    const aero_open_options options = {
        .data_dir = store->data_dir, .shm_path = store->segment, .size = size};
    const ae_db_boot boot = {.context = (void *)(uintptr_t)start,
                             .log_name = LOG_NAME,
                             .stack = start->stack == 0 ? AE_STACK_ROW : start->stack,
                             .fill = log_fill};
    if (ae_db_new(&options, &store->db, &store->error) != AERO_OK ||
        ae_db_attach(store->db, &boot, &store->error) != AERO_OK ||
        aero_session_open(store->db, &store->session, &store->error) != AERO_OK)
        fail_msg("open: %s", store->error.text);
}

static inline void logged_open(test_store *store, uint64_t size)
{
    static const log_start start = {.from = {.number = 1, .framed = 1}};
    logged_paths(store);
    logged_attach(store, size, &start);
}

/* Let go of the database, keep the files. */
static inline void logged_leave(test_store *store)
{
    if (store->session != NULL)
        aero_session_close(store->session);
    assert_int_equal(ae_load32(&store->db->sessions), 0);
    ae_db_free(store->db);
    store->db = NULL;
    store->session = NULL;
    unlink(store->segment);
}

static inline void files_remove(const char *directory)
{
    DIR *folder = opendir(directory);
    const struct dirent *entry;
    char path[512];
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    if (folder != NULL)
        closedir(folder);
    rmdir(directory);
}

static inline void logged_close(test_store *store)
{
    store_verify(store->session);
    logged_leave(store);
    files_remove(store->data_dir);
}

/* ---- reading back --------------------------------------------------------------------------- */

enum { MODEL_ROWS = 4096 };
typedef struct log_model {
    uint32_t count;
    struct {
        char key[32];
        int64_t altitude;
    } rows[MODEL_ROWS];
    uint64_t commits;
    uint64_t number; /* of the last */
    uint64_t frames;
    uint64_t operations[4];
    uint64_t end;
    enum ae_frame_fault fault;
    enum ae_stack stack;
    void (*each)(struct log_model *model); /* called after each commit */
} log_model;

static inline int64_t *model_row(log_model *model, const char *key, size_t length)
{
    for (uint32_t index = 0; index < model->count; index++)
        if (strlen(model->rows[index].key) == length &&
            memcmp(model->rows[index].key, key, length) == 0)
            return &model->rows[index].altitude;
    assert_in_range(model->count, 0, MODEL_ROWS - 1);
    assert_in_range(length, 1, 31);
    memcpy(model->rows[model->count].key, key, length);
    model->rows[model->count].altitude = FLIGHT_NONE;
    return &model->rows[model->count++].altitude;
}

static inline int64_t model_get(log_model *model, const char *key)
{
    return *model_row(model, key, strlen(key));
}

static inline aero_status model_apply(void *context, const uint8_t *data, size_t size,
                                      aero_error *error)
{
    log_model *model = context;
    const aero_table *table = &aero_schema()->tables[FLIGHTS];
    ae_ops ops = {model->stack, aero_schema(), data, size};
    for (;;) {
        ae_op op;
        aero_value key;
        aero_value altitude;
        _Alignas(16) char row[512];
        aero_status status = ae_ops_next(&ops, &op, error);
        if (status != AERO_OK || op.data == NULL)
            return status;
        model->operations[op.kind]++;
        table->clear(row);
        status = ae_op_apply(aero_schema(), &op, row, error);
        if (status != AERO_OK)
            return status;
        table->columns[FLIGHT_ID].get(row, NULL, &key);
        int64_t *place = model_row(model, key.u.data, key.length);
        if (op.kind == AE_OP_UPDATE) { /* onto the row as it is */
            const aero_value now = v_int(*place);
            assert_int_not_equal(*place, FLIGHT_NONE);
            table->clear(row);
            table->columns[FLIGHT_ALTITUDE].set(row, &now);
            status = ae_op_apply(aero_schema(), &op, row, error);
            if (status != AERO_OK)
                return status;
        }
        table->columns[FLIGHT_ALTITUDE].get(row, NULL, &altitude);
        *place = op.kind >= AE_OP_DELETE ? FLIGHT_NONE : altitude.u.integer;
    }
}

/* Read the whole log of a directory. */
static inline aero_status log_read(log_model *model, const char *directory, enum ae_stack stack,
                                   aero_error *error)
{
    ae_log_files files;
    ae_log_reader reader;
    void (*each)(struct log_model * model) = model->each;
    memset(model, 0, sizeof *model);
    model->stack = stack;
    model->each = each;
    aero_status status = ae_log_files_open(&files, directory, LOG_NAME, error);
    if (status != AERO_OK || files.count == 0)
        return status;
    status = ae_log_reader_start(&reader, &files, UINT64_MAX, error);
    while (status == AERO_OK) {
        status = ae_log_reader_next(&reader, error);
        if (status != AERO_OK || reader.frame == NULL)
            break;
        model->frames++;
        if (reader.frame->kind != AE_FRAME_COMMITS)
            continue;
        ae_commits commits;
        ae_commit commit;
        ae_commits_start(&commits, reader.frame);
        while ((status = ae_commits_next(&commits, &commit, error)) == AERO_OK &&
               commit.data != NULL) {
            assert_true(commit.number > model->number);
            model->number = commit.number;
            model->commits++;
            if (commit.pieces != 0)
                status = ae_pieces_read(&files, commit.last_piece, commit.pieces, model_apply,
                                        model, error);
            if (status == AERO_OK)
                status = model_apply(model, commit.data, commit.size, error);
            if (status != AERO_OK)
                break;
            if (each != NULL)
                each(model);
        }
    }
    if (status == AERO_OK)
        status = ae_log_reader_beyond(&reader, error);
    model->end = reader.lsn;
    model->fault = reader.fault;
    if (status == AERO_OK && reader.lsn < reader.durable)
        status = ae_fail(error, AERO_CORRUPT, "%s at %llu, durable up to %llu",
                         ae_frame_fault_text(reader.fault), (unsigned long long)reader.lsn,
                         (unsigned long long)reader.durable);
    ae_log_reader_end(&reader);
    ae_log_files_close(&files);
    return status;
}

static inline void log_read_ok(log_model *model, const test_store *store)
{
    aero_error error;
    ae_error_clear(&error);
    if (log_read(model, store->data_dir, AE_STACK_ROW, &error) != AERO_OK)
        fail_msg("log: %s", error.text);
}

#endif
