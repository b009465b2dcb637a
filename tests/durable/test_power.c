/* Power failures and failing calls: what was acknowledged is there, whatever the disk did.
 *
 * A scripted run of commits and checkpoints is recorded (disk.h).  Then many states that
 * a power failure may leave are drawn, recovered, and compared: the rows must be those of some
 * commit between the last that was acknowledged and the last that was tried, whole, and a store
 * that was recovered takes another commit and keeps it.  A refusal is a failure of the test.
 *
 * In a second series every call that changes a file fails in turn, once or for good: a commit is
 * then acknowledged or it is not, reads go on, and opening again finds what was acknowledged.
 *
 * $AE_POWER_STATES sets the number of states of each kind (500; 15,000 give some 20,000 distinct
 * ones in all).
 * Not verified here: that the kernel and the disk keep what they promise about fdatasync.
 *
 * variants: faults
 * links: * generated/market
 */
#include "disk.h"

#include "txn/handles.h"

enum { INSTRUMENT = 0, SYMBOL = 0, TITLE = 2, COUNT = 3, KEYS = 7, COMMITS = 48, LARGE = 20 };
/* States drawn of one recorded run. */
enum { RECORDING = 200 };

/* What rows hold differs from recording to recording. */
static uint64_t salt;

static size_t title_length(uint32_t number)
{
    return 1 + (size_t)((number * 37 + salt) % 600);
}

static void row_name(char name[32], uint32_t key)
{
    snprintf(name, 32, "row-%u", key);
}

static aero_status row_put(aero_session *session, uint32_t key, uint32_t number)
{
    const uint32_t columns[] = {SYMBOL, TITLE, COUNT};
    char name[32];
    char title[600];
    int32_t flag = 0;
    row_name(name, key);
    memset(title, 'a' + (int)((number + salt) % 26), sizeof title);
    const aero_value values[] = {v_text(name), v_data(AERO_TYPE_TEXT, title, title_length(number)),
                                 v_int(number)};
    return aero_upsert(session, INSTRUMENT, 3, columns, values, &flag);
}

static aero_status row_drop(aero_session *session, uint32_t key)
{
    char name[32];
    int32_t found = 0;
    row_name(name, key);
    const aero_value symbol = v_text(name);
    return aero_delete(session, INSTRUMENT, &symbol, &found);
}

/* Commit `number`: rows 0 and 1 get it, another one comes and one goes. */
static aero_status commit(aero_session *session, uint32_t number)
{
    aero_status status = aero_begin(session, AERO_ISOLATION_SNAPSHOT);
    if (status == AERO_OK)
        status = row_put(session, 0, number);
    if (status == AERO_OK)
        status = row_put(session, 2 + number % KEYS, number);
    if (status == AERO_OK)
        status = row_drop(session, 2 + (number + 3) % KEYS);
    for (uint32_t more = 0; status == AERO_OK && number == LARGE && more < 1500; more++)
        status = row_put(session, 100 + more, number);
    if (status == AERO_OK)
        status = row_put(session, 1, number);
    if (status != AERO_OK) {
        (void)aero_rollback(session);
        return status;
    }
    return aero_commit(session);
}

/* The number in a row; 0: there is none. */
static uint32_t row_number(aero_session *session, uint32_t key)
{
    const uint32_t columns[] = {COUNT, TITLE};
    char name[32];
    aero_value values[2];
    int32_t found = 0;
    row_name(name, key);
    const aero_value symbol = v_text(name);
    assert_ok(session, aero_get(session, INSTRUMENT, &symbol, 2, columns, values, &found));
    if (!found)
        return 0;
    const uint32_t number = (uint32_t)values[0].u.integer;
    assert_int_equal(values[1].length, title_length(number));
    assert_int_equal(values[1].u.data[0], 'a' + (int)((number + salt) % 26));
    return number;
}

/* What commit `number` leaves in a row. */
static uint32_t row_expected(uint32_t key, uint32_t number)
{
    if (key < 2)
        return number;
    for (; number > 0; number--) {
        if (2 + (number + 3) % KEYS == key)
            return 0;
        if (2 + number % KEYS == key)
            return number;
    }
    return 0;
}

/* The commit whose rows these are; fails when they are no commit's. */
static uint32_t state_number(aero_session *session)
{
    const uint32_t number = row_number(session, 0);
    for (uint32_t key = 1; key < 2 + KEYS; key++)
        if (row_number(session, key) != row_expected(key, number))
            fail_msg("row %u is of commit %u, row 0 of %u", key, row_number(session, key), number);
    for (uint32_t more = 0; more < 1500; more += 499)
        assert_int_equal(row_number(session, 100 + more), number >= LARGE ? LARGE : 0);
    return number;
}

static bool place_open(test_store *store, const char *profile)
{
    const aero_open_options options = {
        .data_dir = store->data_dir, .profile = profile, .memory = "private", .size = 32 << 20};
    return aero_open(&options, &store->db, &store->error) == AERO_OK &&
           aero_session_open(store->db, &store->session, &store->error) == AERO_OK;
}

static void place_close(test_store *store)
{
    aero_session_close(store->session);
    (void)aero_close(store->db, &store->error);
    store->session = NULL;
    store->db = NULL;
}

/* Asynchronous: most commits are written, one by one, and few are synced, so that many writes lie
 * between two syncs.  What is durable counts as acknowledged. */
static void flush_some(test_store *store, uint32_t number, uint64_t *random)
{
    ae_log *log = &store->db->log;
    aero_session *session = store->session;
    const uint64_t clock = ae_load64_acquire(&store->db->proc.shared->clock);
    const uint64_t what = next_random(random) % 12;
    if (what > 3)
        assert_ok(session, ae_log_flush(log, &session->log_writer, clock,
                                        what > 10 ? AE_LOG_SYNC : AE_LOG_WRITE, &session->error));
    if (ae_log_durable_number(log) >= clock)
        disk.acknowledged = number;
}

/* Commits 1 … COMMITS with checkpoints between; what fails is not acknowledged. */
static void script(test_store *store, bool synchronous, uint64_t *random)
{
    aero_checkpoint_report report;
    aero_session *session = store->session;
    if (!synchronous) {
        store->db->keep = NULL; /* the recorder knows one thread */
        assert_ok(session, aero_config_set(session, "aerostore.synchronous_commit", "off"));
    }
    for (uint32_t number = 1; number <= COMMITS; number++) {
        disk.tried = number;
        if (commit(session, number) != AERO_OK)
            return;
        if (synchronous)
            disk.acknowledged = number;
        else
            flush_some(store, number, random);
        if (number % 11 == 0 && aero_checkpoint(session, &report) == AERO_OK)
            disk.acknowledged = number;
    }
}

static void judge(test_store *store, const char *profile, uint32_t acknowledged, uint32_t tried,
                  uint64_t draw)
{
    if (!place_open(store, profile))
        fail_msg("state %" PRIu64 ": refused: %s", draw, store->error.text);
    const uint32_t number = state_number(store->session);
    if (number < acknowledged || number > tried)
        fail_msg("state %" PRIu64 ": commit %u, acknowledged %u, tried %u", draw, number,
                 acknowledged, tried);
    if (draw % 8 == 0 && number < COMMITS) {
        assert_ok(store->session, commit(store->session, number + 1));
        place_close(store);
        assert_true(place_open(store, profile));
        assert_int_equal(state_number(store->session), number + 1);
    }
    if (draw % 16 == 0)
        store_verify(store->session);
    place_close(store);
}

static int by_number(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Record a run, draw states of it, recover each. */
static void recording(test_store *store, const char *profile, bool synchronous, uint64_t *random,
                      uint64_t *seen, uint64_t states)
{
    memset(&disk, 0, sizeof disk);
    salt = next_random(random) % 100000;
    disk.recording = true;
    folder_remove(store->data_dir);
    assert_true(place_open(store, profile));
    script(store, synchronous, random);
    assert_int_equal(disk.tried, COMMITS);
    disk.recording = false;
    place_close(store);
    for (uint64_t draw = 0; draw < states; draw++) {
        disk_state state;
        const uint32_t end = 1 + (uint32_t)(next_random(random) % disk.count);
        disk_draw(&state, end, random);
        seen[draw] = disk_digest(&state);
        disk_materialize(&state, store->data_dir);
        disk_drop(&state);
        /* Acknowledged before the last event, tried before the next one. */
        const uint32_t tried = end < disk.count ? disk.events[end].tried : disk.tried;
        judge(store, profile, disk.events[end - 1].acknowledged, tried, draw);
    }
    disk_forget();
    free(disk.events);
}

static void power_failures(const char *profile, bool synchronous)
{
    const char *wish = getenv("AE_POWER_STATES");
    const uint64_t states = wish != NULL ? strtoull(wish, NULL, 10) : 500;
    uint64_t random = test_seed("power failures");
    uint64_t *seen = calloc(states, sizeof *seen);
    uint64_t distinct = 0;
    test_store store;
    store_paths(&store);
    for (uint64_t done = 0; done < states;) {
        const uint64_t some = states - done < RECORDING ? states - done : RECORDING;
        recording(&store, profile, synchronous, &random, seen + done, some);
        done += some;
    }
    qsort(seen, states, sizeof *seen, by_number);
    for (uint64_t draw = 0; draw < states; draw++)
        distinct += draw == 0 || seen[draw] != seen[draw - 1];
    printf("%s: %" PRIu64 " states, %" PRIu64 " distinct\n", profile, states, distinct);
    folder_remove(store.data_dir);
    free(seen);
}

static void test_power_failures_of_the_row_stack(void **state)
{
    (void)state;
    power_failures("shared", true);
}

static void test_power_failures_of_the_logical_stack(void **state)
{
    (void)state;
    power_failures("logical", true);
}

static void test_power_failures_between_few_syncs(void **state)
{
    (void)state;
    power_failures("shared", false);
}

/* Goal: no failing call makes a commit acknowledged that is not there afterwards. */
static void test_every_failing_call_is_told(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    uint32_t rounds = 0;
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        for (uint32_t call = 1;; call += call < 40 ? 1 : 7) {
            test_store store;
            store_paths(&store);
            memset(&disk, 0, sizeof disk);
            assert_true(place_open(&store, "embedded"));
            disk.fail_at = call;
            disk.fail_errno = errors[kind % 2];
            disk.fail_for_good = kind >= 2;
            script(&store, true, NULL);
            /* Reads go on. */
            const uint32_t shown = row_number(store.session, 0);
            assert_true(shown >= disk.acknowledged && shown <= disk.tried);
            disk.fail_at = 0;
            place_close(&store);
            if (!place_open(&store, "embedded"))
                fail_msg("call %u, kind %d: %s", call, kind, store.error.text);
            const uint32_t number = state_number(store.session);
            if (number < disk.acknowledged || number > disk.tried)
                fail_msg("call %u, kind %d: commit %u, acknowledged %u, tried %u", call, kind,
                         number, disk.acknowledged, disk.tried);
            store_verify(store.session);
            place_close(&store);
            folder_remove(store.data_dir);
            rounds++;
            if (disk.failed == 0)
                break;
        }
    }
    printf("%u rounds\n", rounds);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_power_failures_of_the_row_stack),
    cmocka_unit_test(test_power_failures_of_the_logical_stack),
    cmocka_unit_test(test_power_failures_between_few_syncs),
    cmocka_unit_test(test_every_failing_call_is_told),
};

AE_TEST_MAIN(tests)
