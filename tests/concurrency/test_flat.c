/* Memory that stays flat: a mixed load in a segment of about four times the live data, and a row
 * that is updated for ever, alone and beside a transaction that is left open.
 *
 * Short here: one writer and a count of operations, so that no scheduler has a say.  Under `invoke
 * torture` $AE_FLAT_SECONDS has two writers run for so long, also looks at their rate, and
 * $AE_HOT_UPDATES says how often the hot row is written.
 *
 * variants: plain asan
 */
#include <pthread.h>
#include <stdatomic.h>

#include "flights.h"

enum { PARTS = 10, COMERS = 64, PART_OPERATIONS = 12000, WRITERS_MOST = 2 };
/* Of so few rows a twentieth is less than what pages and the fill of index leaves make. */
enum { PAGES_APART = 4 * 65536 };
enum { SHORT_ROWS = 4000, LEAST_ROWS = 40000, MOST_ROWS = 200000 };
/* Few enough for each to be written in the first half. */
enum { ROWS_A_SECOND = 350 };
/* Seconds from which on a part is long enough to judge a rate by. */
enum { SURE = 300 };
/* Slices of a part, each followed by a look at how fast the machine is. */
enum { SLICES = 10, STEPS = 200000, STEP_WORDS = 1 << 22 };

static uint64_t wish(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Seconds of processor time that this process has used: a busy neighbour does not change a rate. */
static double cpu_seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- the mixed load ------------------------------------------------------------------------- */

typedef struct writer {
    test_store *store;
    uint64_t rows;
    uint64_t number;
    uint64_t random;
    uint64_t came; /* and as many went, but the last COMERS */
    uint64_t until_ns;
    atomic_bool failed;
    atomic_ullong done;
} writer;

static aero_status scan_some(aero_session *session, uint64_t salt)
{
    aero_query *query = NULL;
    uint64_t count = 0;
    const aero_value bound[] = {v_int((int64_t)(salt % 40000)), v_int((int64_t)(salt % 40000) + 9)};
    aero_status status = aero_query_new(session, FLIGHTS, &query);
    if (status != AERO_OK)
        return status;
    status = aero_query_clause(query, AERO_OP_GE, FLIGHT_ALTITUDE, 1, &bound[0]);
    if (status == AERO_OK)
        status = aero_query_clause(query, AERO_OP_LE, FLIGHT_ALTITUDE, 1, &bound[1]);
    if (status == AERO_OK)
        status = aero_query_count(query, &count);
    aero_query_free(query);
    return status;
}

/* Mostly updates of any row; of sixteen one that comes and one that goes, and a scan. */
static aero_status operate(writer *of, aero_session *session)
{
    char name[32];
    const uint64_t salt = next_random(&of->random);
    const uint64_t kind = salt % 16;
    if (kind == 0)
        return scan_some(session, salt >> 8);
    if (kind > 1)
        return flight_put(session, flight_name(name, (salt >> 32) % of->rows),
                          (int64_t)(salt >> 8) % 45000);
    const uint64_t base = of->rows * (of->number + 2);
    aero_status status = flight_insert(session, flight_name(name, base + of->came),
                                       (int64_t)(salt >> 8) % 45000);
    if (status == AERO_OK && of->came >= COMERS)
        status = flight_delete(session, flight_name(name, base + of->came - COMERS));
    of->came++;
    return status;
}

/* Until the time is over, or when there is none, a part's operations. */
static void operate_part(writer *of, aero_session *session)
{
    for (uint64_t step = 0; of->until_ns != 0 ? now_ns() < of->until_ns : step < PART_OPERATIONS;
         step++) {
        if (operate(of, session) != AERO_OK) {
            fprintf(stderr, "writer: %s\n", aero_session_error(session)->text);
            of->failed = true;
            return;
        }
        of->done++;
    }
}

static void *writer_main(void *context)
{
    writer *of = context;
    aero_session *session = NULL;
    aero_error error;
    if (aero_session_open(of->store->db, &session, &error) != AERO_OK) {
        of->failed = true;
        return NULL;
    }
    operate_part(of, session);
    aero_session_close(session);
    return NULL;
}

/* Run a part with all writers.  Returns operations a second of processor time. */
static double part_run(writer *writers, uint32_t count, uint64_t part_ns)
{
    pthread_t threads[WRITERS_MOST];
    const double from = cpu_seconds();
    uint64_t done = 0;
    for (uint32_t each = 0; each < count; each++) {
        writers[each].until_ns = part_ns == 0 ? 0 : now_ns() + part_ns;
        writers[each].done = 0;
        assert_int_equal(pthread_create(&threads[each], NULL, writer_main, &writers[each]), 0);
    }
    for (uint32_t each = 0; each < count; each++) {
        assert_int_equal(pthread_join(threads[each], NULL), 0);
        assert_false(writers[each].failed);
        done += writers[each].done;
    }
    return (double)done / (cpu_seconds() - from);
}

/* Seconds of processor time for reads of 32 MB at random, each of which waits for the one before:
 * what a busy neighbour on the same memory makes slower, as it does the load. */
static double machine_pace(void)
{
    static uint32_t *words;
    if (words == NULL) {
        words = malloc(STEP_WORDS * 2 * sizeof *words);
        assert_non_null(words);
        for (uint32_t at = 0; at < STEP_WORDS * 2; at++)
            words[at] = at * 2654435761u;
    }
    const double from = cpu_seconds();
    uint32_t at = 1;
    for (uint32_t step = 0; step < STEPS; step++)
        at = words[(at + step) % (STEP_WORDS * 2)] + step;
    assert_true(at != 1 || from > 0); /* it is used */
    return cpu_seconds() - from;
}

/* A part in slices.  Returns operations in the time of one reading of machine_pace. */
static double part_paced(writer *writers, uint32_t count, uint64_t part_ns)
{
    double rate = 0;
    double pace = 0;
    for (int slice = 0; slice < SLICES; slice++) {
        rate += part_run(writers, count, part_ns / SLICES);
        pace += machine_pace();
    }
    return rate / SLICES * (pace / SLICES);
}

static void rows_fill(aero_session *session, uint64_t rows)
{
    char name[32];
    for (uint64_t key = 0; key < rows; key++)
        assert_ok(session, flight_insert(session, flight_name(name, key), (int64_t)key % 45000));
}

/* What `rows` rows take, and what an empty segment of that size does. */
static uint64_t rows_weight(uint64_t rows, uint64_t size, uint64_t *empty)
{
    test_store store;
    store_open(&store, size);
    *empty = stat_value(store.session, "segment_used");
    rows_fill(store.session, rows);
    const uint64_t weight = stat_value(store.session, "segment_used") - *empty;
    store_close(&store);
    return weight;
}

/* Somebody who looks once and then does nothing. */
static aero_session *holder_new(test_store *store)
{
    aero_session *holder = session_new(store);
    uint64_t rows = 0;
    assert_ok(holder, aero_begin(holder, AERO_ISOLATION_READ_ONLY));
    assert_ok(holder, aero_count(holder, FLIGHTS, &rows));
    assert_true(rows > 0);
    return holder;
}

static void holder_close(aero_session *holder, uint64_t rows)
{
    uint64_t seen = 0;
    assert_ok(holder, aero_count(holder, FLIGHTS, &seen));
    assert_int_equal(seen, rows);
    assert_ok(holder, aero_commit(holder));
    aero_session_close(holder);
}

static uint64_t rows_for(uint64_t seconds)
{
    const uint64_t rows = seconds * ROWS_A_SECOND;
    if (seconds == 0)
        return SHORT_ROWS;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

/* Parts of equal length in a segment of four times the rows; with a holder, memory is held against
 * the most of the first half, by when each row has been written, and its slabs have grown. */
static void load_run(bool held)
{
    const uint64_t seconds = wish("AE_FLAT_SECONDS", 0);
    const uint64_t rows = rows_for(seconds);
    const uint32_t count = seconds == 0 ? 1 : WRITERS_MOST;
    const uint64_t seed = test_seed("flat");
    writer writers[WRITERS_MOST];
    double rates[PARTS];
    uint64_t used[PARTS];
    uint64_t most = 0;
    uint64_t empty = 0;
    test_store store;
    aero_session *holder = NULL;
    uint64_t live = rows_weight(rows, rows * 2048 + (64 << 20), &empty);
    /* Again with that size, because what is fixed grows with it. */
    live = rows_weight(rows, empty + 4 * live, &empty);
    store_open(&store, empty + 4 * live);
    rows_fill(store.session, rows);
    if (held)
        holder = holder_new(&store);
    for (uint32_t each = 0; each < count; each++)
        writers[each] = (writer){
            .store = &store, .rows = rows, .number = each, .random = seed + each};
    for (int part = 0; part < PARTS; part++) {
        rates[part] = seconds == 0 ? part_run(writers, count, 0)
                                   : part_paced(writers, count, seconds * 1000000000u / PARTS);
        used[part] = stat_value(store.session, "segment_used") - empty;
        printf("part %d: rate %.0f, %" PRIu64 " bytes for rows of %" PRIu64 "\n", part, rates[part],
               used[part], live);
        if (!held)
            assert_true((double)used[part] <= 1.05 * (double)used[0] + PAGES_APART);
        most = part < PARTS / 2 && used[part] > most ? used[part] : most;
        if (held && part >= PARTS / 2)
            assert_true((double)used[part] <= 1.1 * (double)most + PAGES_APART);
    }
    /* The rows, those that the holder sees, and of these a part that is looked at by and by. */
    assert_true((double)used[PARTS - 1] <= 2.5 * (double)live + PAGES_APART);
    if (seconds != 0)
        assert_true(rates[PARTS - 1] >= (seconds < SURE ? 0.75 : 0.9) * rates[1]);
    if (held)
        holder_close(holder, rows);
    store_close(&store);
}

/* Goal: under a mixed load memory stays flat after the first part, and in the long form the rate
 * too. */
static void test_a_mixed_load_stays_flat(void **state)
{
    (void)state;
    load_run(false);
}

/* Goal: the same with one transaction open all the time: what its snapshot needs is kept, and no
 * more. */
static void test_a_mixed_load_beside_an_open_transaction_stays_flat(void **state)
{
    (void)state;
    load_run(true);
}

/* ---- a hot row ------------------------------------------------------------------------------ */

/* Count what is dead now and then; the segment does not grow after the first updates. */
static void hot_row_run(bool held, uint64_t few)
{
    const uint64_t updates = wish("AE_HOT_UPDATES", 50000);
    uint64_t used = 0;
    uint64_t looks = 0;
    uint64_t many = 0;
    test_store store;
    aero_session *holder = NULL;
    store_open(&store, 16 << 20);
    /* A checkpoint's snapshot would need a version of its own time. */
    assert_ok(store.session,
              aero_config_set(store.session, "aerostore.checkpoint_wal_bytes", "1000000000000"));
    assert_ok(store.session, flight_insert(store.session, "hot", 0));
    if (held)
        holder = holder_new(&store);
    for (uint64_t done = 1; done <= updates; done++) {
        assert_ok(store.session, flight_put(store.session, "hot", (int64_t)(done % 45000)));
        if (done % 1000 != 0)
            continue;
        looks++;
        many += stat_value(store.session, "dead_versions") > few;
        if (done == 5000)
            used = stat_value(store.session, "segment_used");
    }
    /* A keeper that is held up while it reads may hold up the others for a moment. */
    assert_true(many <= looks / 10);
    assert_true(stat_value(store.session, "segment_used") <= used + PAGES_APART);
    if (held) {
        assert_int_equal(flight_get(holder, "hot"), 0);
        holder_close(holder, 1);
    }
    store_close(&store);
}

/* Goal: a row that is updated for ever keeps a handful of versions: what waits until the horizon is
 * looked at, which is done once for some 64 of them. */
static void test_a_hot_row_keeps_few_versions(void **state)
{
    (void)state;
    hot_row_run(false, 64);
}

/* Goal: also beside an open transaction, which has seen it as it was at first. */
static void test_a_hot_row_keeps_few_versions_beside_an_open_transaction(void **state)
{
    (void)state;
    hot_row_run(true, 160);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_mixed_load_stays_flat),
    cmocka_unit_test(test_a_mixed_load_beside_an_open_transaction_stays_flat),
    cmocka_unit_test(test_a_hot_row_keeps_few_versions),
    cmocka_unit_test(test_a_hot_row_keeps_few_versions_beside_an_open_transaction),
};

AE_TEST_MAIN(tests)
