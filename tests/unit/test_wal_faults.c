/* The log when calls on its files fail: each in turn, once and for good, with each error.
 *
 * A worker commits until something fails.  Whatever fails: what was acknowledged is in the log that
 * a reader finds, what was refused before it was decided is not in memory, nothing is acknowledged
 * after a failed sync, reads go on, and the file holds no more than a prefix.
 *
 * variants: faults
 */
#include "base/os_file.h"
#include "logged.h"

static log_model model;

static struct {
    const char *call; /* NULL: any */
    uint32_t left;    /* passages until it fails; 0: never */
    bool lasting;
    int failure;
    uint32_t failed;
    uint32_t calls;
    uint32_t changes; /* calls of any kind */
    bool poisons;     /* one failed that must end all writing */
} fault;

int ae_file_hook(const ae_file_call *call)
{
    if (call->done)
        return 0;
    fault.changes++;
    if (fault.call != NULL && strcmp(fault.call, call->name) != 0)
        return 0;
    fault.calls++;
    if (fault.left == 0 || (--fault.left > 0 && !(fault.lasting && fault.failed > 0)))
        return 0;
    if (fault.lasting)
        fault.left = 1;
    fault.failed++;
    struct stat info;
    const bool named = call->fd >= 0 && fstat(call->fd, &info) == 0 && info.st_nlink > 0;
    const bool fatal = strcmp(call->name, "sync") == 0 ||
                       (strcmp(call->name, "write") == 0 && fault.failure == EIO);
    fault.poisons |= named && fatal;
    return fault.failure;
}

static void fault_set(const char *call, uint32_t passage, bool lasting, int failure)
{
    memset(&fault, 0, sizeof fault);
    fault.call = call;
    fault.left = passage;
    fault.lasting = lasting;
    fault.failure = failure;
}

enum { STEPS = 14 };

typedef struct run {
    int64_t acknowledged;
    int64_t visible; /* in memory */
    bool poisoned;
    uint32_t changes; /* calls when it was seen to be poisoned */
} run;

/* One step; large ones need pieces. */
static aero_status step_run(aero_session *s, int64_t step)
{
    char name[32];
    aero_status status = aero_begin(s, AERO_ISOLATION_SNAPSHOT);
    if (status != AERO_OK)
        return status;
    const uint32_t rows = step % 5 == 4 ? 300 : 1;
    for (uint32_t row = 0; status == AERO_OK && row < rows; row++)
        status = flight_put(s, flight_name(name, row), step);
    assert_int_equal(status, AERO_OK);
    return aero_commit(s);
}

static run steps_run(test_store *store)
{
    run of = {.visible = FLIGHT_NONE};
    aero_session *s = store->session;
    aero_error error;
    char name[32];
    for (int64_t step = 1; step <= STEPS; step++) {
        aero_status status = step_run(s, step);
        if (status == AERO_OK && step == 7) {
            ae_log_position position;
            const aero_status turned = ae_log_rotate(&store->db->log, &s->log_writer, &position,
                                                     &error);
            assert_true(turned == AERO_OK || fault.failed > 0);
        }
        if (status == AERO_OK) {
            of.acknowledged = of.visible = step;
            continue;
        }
        assert_true(fault.failed > 0);
        assert_true(strstr(aero_session_error(s)->text, LOG_NAME) != NULL);
        /* Refused, or decided and not written: the code says which. */
        if (status == AERO_NOT_DURABLE)
            of.visible = step;
        else
            assert_true(status == AERO_IO || status == AERO_FULL);
        assert_int_equal(flight_get(s, flight_name(name, 0)), of.visible);
        /* Once it is poisoned nothing is tried any more: not in the hope of a better answer. */
        if (of.poisoned)
            assert_int_equal(fault.changes, of.changes);
        of.poisoned = ae_log_poisoned(&store->db->log) != 0;
        of.changes = fault.changes;
    }
    of.poisoned = ae_log_poisoned(&store->db->log) != 0;
    return of;
}

static void fault_check(test_store *store, const run *of)
{
    char name[32];
    aero_error error;
    if (log_read(&model, store->data_dir, AE_STACK_ROW, &error) != AERO_OK)
        fail_msg("log: %s", error.text);
    const int64_t logged = model.commits == 0 ? 0 : model_get(&model, flight_name(name, 0));
    assert_true(logged >= of->acknowledged);
    assert_int_equal(of->poisoned, fault.poisons);
    if (of->poisoned) {
        assert_status(store->session, AERO_IO, step_run(store->session, 99));
        assert_int_not_equal(flight_get(store->session, flight_name(name, 0)), 99);
    } else if (!fault.lasting) { /* it was as if nothing had happened */
        assert_ok(store->session, step_run(store->session, 99));
        log_read_ok(&model, store);
        assert_int_equal(model_get(&model, flight_name(name, 0)), 99);
        assert_int_equal(model_get(&model, flight_name(name, 299)),
                         flight_get(store->session, flight_name(name, 299)));
    }
    fault_set(NULL, 0, false, 0);
    store_verify(store->session);
}

/* Fail passage 1, 2, 3 … until none is left. */
static void faults_run(const char *call, bool lasting, int failure, uint32_t least)
{
    uint32_t passage = 1;
    for (;; passage++) {
        test_store store;
        logged_open(&store, 8u << 20);
        fault_set(call, passage, lasting, failure);
        const run of = steps_run(&store);
        const bool failed = fault.failed > 0;
        if (failed)
            fault_check(&store, &of);
        else
            assert_int_equal(of.acknowledged, STEPS);
        fault_set(NULL, 0, false, 0);
        logged_close(&store);
        if (!failed)
            break;
    }
    assert_in_range(passage, least, UINT32_MAX);
}

static void test_a_failed_write_is_never_acknowledged(void **state)
{
    (void)state;
    faults_run("write", false, EIO, 15);
    faults_run("write", true, EIO, 15);
}

static void test_a_full_disk_is_told_and_is_no_damage(void **state)
{
    (void)state;
    faults_run("write", false, ENOSPC, 15);
    faults_run("write", true, ENOSPC, 15);
    faults_run("write", false, EDQUOT, 15);
}

static void test_a_failed_sync_ends_all_writing_at_once(void **state)
{
    (void)state;
    faults_run("sync", false, EIO, 15);
    faults_run("sync", true, EIO, 15);
    faults_run("sync", false, ENOSPC, 15);
}

static void test_a_file_that_cannot_be_made_is_told(void **state)
{
    static const char *const calls[] = {"open", "name", "dirsync"};
    static const int failures[] = {EIO, ENOSPC, EMFILE, EACCES};
    (void)state;
    for (size_t call = 0; call < 3; call++)
        for (size_t index = 0; index < 4; index++) {
            faults_run(calls[call], false, failures[index], 2);
            faults_run(calls[call], true, failures[index], 2);
        }
}

static void test_commits_wait_for_room_and_go_on(void **state)
{
    test_store store;
    char name[32];
    (void)state;
    logged_open(&store, 8u << 20);
    assert_ok(store.session, step_run(store.session, 1));
    fault_set("write", 1, true, ENOSPC);
    const aero_status first = step_run(store.session, 2);
    assert_int_equal(first, AERO_NOT_DURABLE);
    /* From now on commits are refused while nothing has been decided. */
    const int64_t now = flight_get(store.session, flight_name(name, 0));
    for (int64_t step = 3; step < 6; step++) {
        assert_status(store.session, AERO_FULL, step_run(store.session, step));
        assert_int_equal(flight_get(store.session, flight_name(name, 0)), now);
    }
    fault_set(NULL, 0, false, 0);
    assert_ok(store.session, step_run(store.session, 7));
    log_read_ok(&model, &store);
    assert_int_equal(model_get(&model, flight_name(name, 0)), 7);
    logged_close(&store);
}

/* Some file systems make no files without names. */
static void test_a_file_system_without_unnamed_files_will_do(void **state)
{
    test_store store;
    aero_error error;
    ae_log_position position;
    char name[32];
    (void)state;
    logged_open(&store, 8u << 20);
    for (int64_t step = 1; step <= 3; step++) {
        fault_set("open", 1, false, EOPNOTSUPP);
        assert_ok(store.session, step_run(store.session, step));
        assert_int_equal(
            ae_log_rotate(&store.db->log, &store.session->log_writer, &position, &error), AERO_OK);
        assert_int_equal(fault.failed, 1);
    }
    DIR *folder = opendir(store.data_dir);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        assert_null(strstr(entry->d_name, ".part-"));
    closedir(folder);
    log_read_ok(&model, &store);
    assert_int_equal(model_get(&model, flight_name(name, 0)), 3);
    logged_close(&store);
}

static void test_a_log_whose_file_was_removed_is_not_trusted(void **state)
{
    test_store store;
    char path[256];
    (void)state;
    logged_open(&store, 8u << 20);
    assert_ok(store.session, step_run(store.session, 1));
    snprintf(path, sizeof path, "%s/%s", store.data_dir, LOG_NAME);
    assert_int_equal(unlink(path), 0);
    assert_status(store.session, AERO_NOT_DURABLE, step_run(store.session, 2));
    assert_status(store.session, AERO_IO, step_run(store.session, 3));
    assert_int_not_equal(ae_log_poisoned(&store.db->log), 0);
    logged_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_failed_write_is_never_acknowledged),
    cmocka_unit_test(test_a_full_disk_is_told_and_is_no_damage),
    cmocka_unit_test(test_a_failed_sync_ends_all_writing_at_once),
    cmocka_unit_test(test_a_file_that_cannot_be_made_is_told),
    cmocka_unit_test(test_commits_wait_for_room_and_go_on),
    cmocka_unit_test(test_a_file_system_without_unnamed_files_will_do),
    cmocka_unit_test(test_a_log_whose_file_was_removed_is_not_trusted),
};

AE_TEST_MAIN(tests)
