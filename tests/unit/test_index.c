/* Ordered indexes of tables: what they show against a scan, unique ones, coming and going, and what
 * they cost in memory.
 *
 * variants: plain asan
 * links: * generated/market
 */
#include "index_probe.h"

enum { INSTRUMENT = 0, TRADE = 1 };
enum { SYMBOL = 0, ISIN = 1, TITLE = 2, SECTOR = 3, CURRENCY = 4, OPEN = 7, LOGO = 8 };
enum { TRADE_ID = 0, TRADE_SYMBOL = 1, PRICE = 2, AMOUNT = 3, VENUE = 8, ACCOUNT = 9 };
enum { PLACED_AT = 10, GATEWAY6 = 12, TERMINAL = 13, NOTE = 14 };
#if defined(__SANITIZE_ADDRESS__)
enum { STEPS = 3000 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { STEPS = 3000 };
#else
enum { STEPS = 20000 };
#endif
#else
enum { STEPS = 20000 };
#endif

#define assert_indexes(session_, table_, random_, ranges_) \
    do { \
        const char *wrong_ = probe_indexes((session_), (table_), (random_), (ranges_)); \
        if (wrong_ != NULL) \
            fail_msg("index against scan: %s", wrong_); \
    } while (0)

/* ---- words ---------------------------------------------------------------------------------- */

static aero_value random_value(const aero_column *column, uint64_t *random, char *text)
{
    aero_value value = {.type = AERO_TYPE_NULL};
    const uint64_t bits = next_random(random);
    const uint64_t some = next_random(random) % 7;
    size_t length = next_random(random) % 40;
    if ((column->flags & AERO_COLUMN_NULLABLE) != 0 && bits % 6 == 0)
        return value;
    switch (column->kind) {
    case AERO_KIND_BOOL:
        return (aero_value){.type = AERO_TYPE_BOOL, .u = {.integer = (int64_t)(bits & 1)}};
    case AERO_KIND_FLOAT32:
    case AERO_KIND_FLOAT64:
        return v_real(some == 0 ? -0.0 : some == 1 ? 0.0 : ((double)(int64_t)bits / 1e17));
    case AERO_KIND_INT8:
        return v_int((int8_t)bits);
    case AERO_KIND_INT16:
        return v_int(some == 0 ? INT16_MIN : (int16_t)bits % 9);
    case AERO_KIND_INT32:
    case AERO_KIND_INT64:
        return v_int(some == 0 ? INT32_MIN : some == 1 ? INT32_MAX : (int32_t)bits);
    case AERO_KIND_TIMESTAMP:
        return (aero_value){.type = AERO_TYPE_TIME, .u = {.integer = (int32_t)bits % 100}};
    case AERO_KIND_UINT8:
        return v_int((uint8_t)bits);
    case AERO_KIND_UINT16:
        return v_int(some == 0 ? UINT16_MAX : (uint16_t)bits % 5);
    case AERO_KIND_UINT32:
    case AERO_KIND_UINT64:
    case AERO_KIND_INET:
        return v_int((uint32_t)bits);
    case AERO_KIND_CHAR:
        return v_text(some % 2 == 0 ? "A" : "B");
    case AERO_KIND_IPV6:
    case AERO_KIND_MAC:
        memset(text, (int)(bits & 3), 16);
        text[15] = (char)some;
        return v_data(AERO_TYPE_BYTES, text, column->size);
    default:
        break;
    }
    /* Texts that share beginnings, with NULs behind, of all lengths around the words' end. */
    memset(text, 'a', 40);
    text[some * 3] = (char)('a' + bits % 3);
    if (length > 0 && column->kind != AERO_KIND_FIXED && bits % 11 == 0)
        text[length - 1] = '\0';
    if (column->kind == AERO_KIND_FIXED)
        length = column->size < 40 ? column->size : 40;
    else if (length > column->max_length)
        length = column->max_length;
    return v_data(column->kind == AERO_KIND_BYTES ? AERO_TYPE_BYTES : AERO_TYPE_TEXT, text, length);
}

/* Goal: words are in the order of the values, and NULLs come last; short values with equal words
 * are equal.  Method: random values of every column of two tables, all pairs of some. */
static void test_words_keep_the_order_of_values(void **state)
{
    enum { ROWS = 60 };
    const struct aero_schema *schema = aero_schema();
    uint64_t random = test_seed("words");
    static char rows[ROWS][2048] __attribute__((aligned(64)));
    static char texts[ROWS][64];
    (void)state;
    for (uint32_t table = 0; table < schema->table_count; table++)
        for (uint32_t at = 0; at < schema->tables[table].column_count; at++) {
            const aero_table *of = &schema->tables[table];
            const aero_column *column = &of->columns[at];
            ae_key_shape shape = {.column_count = 1, .columns = {at}};
            uint64_t words[ROWS][AE_KEY_WORDS_MAX];
            ae_key_shape_finish(of, &shape, false);
            for (uint32_t row = 0; row < ROWS; row++) {
                aero_value value = random_value(column, &random, texts[row]);
                if (column->kind == AERO_KIND_CHAR || column->kind == AERO_KIND_INET)
                    value = value.type == AERO_TYPE_NULL ? value : v_int((int64_t)(row % 5));
                of->clear(rows[row]);
                column->set(rows[row], &value);
                ae_key_words(of, &shape, rows[row], NULL, words[row]);
            }
            for (uint32_t one = 0; one < ROWS; one++)
                for (uint32_t other = 0; other < ROWS; other++) {
                    aero_value left;
                    aero_value right;
                    column->get(rows[one], NULL, &left);
                    column->get(rows[other], NULL, &right);
                    const int order = probe_words_order(words[one], words[other]);
                    if (left.type == AERO_TYPE_NULL || right.type == AERO_TYPE_NULL) {
                        if (left.type == right.type)
                            assert_int_equal(order, 0);
                        else if (left.type == AERO_TYPE_NULL)
                            assert_true(order >= 0);
                        continue;
                    }
                    const int32_t truth = column->compare(rows[one], NULL, rows[other], NULL);
                    const bool is_short = left.length <= 8 * shape.word_count - 1;
                    if (order < 0 ? truth >= 0 : order > 0 ? truth <= 0 : truth != 0 && is_short)
                        fail_msg("%s.%s: values %d, words %d", of->name, column->name, truth,
                                 order);
                }
        }
}

/* Goal: sorting keys sorts them, for every width and count.  Method: against qsort. */
static int item_order_width;
static int item_order(const void *left, const void *right)
{
    const uint64_t *one = left;
    const uint64_t *other = right;
    for (int word = 0; word < item_order_width; word++)
        if (one[word] != other[word])
            return one[word] < other[word] ? -1 : 1;
    return ((uint32_t)one[item_order_width] > (uint32_t)other[item_order_width]) -
           ((uint32_t)one[item_order_width] < (uint32_t)other[item_order_width]);
}

static void test_sorting_keys_sorts_them(void **state)
{
    uint64_t random = test_seed("sorting");
    (void)state;
    for (uint32_t turn = 0; turn < 60; turn++) {
        const uint32_t width = 1 + turn % 4;
        const size_t stride = width + 1;
        const size_t count = turn < 8 ? turn : next_random(&random) % 3000;
        uint64_t *items = malloc((2 * count + 1) * stride * sizeof *items);
        uint64_t *wanted = malloc((count + 1) * stride * sizeof *wanted);
        uint64_t *words = malloc((count + 1) * width * sizeof *words);
        ae_ref *anchors = malloc((count + 1) * sizeof *anchors);
        const uint64_t mask = turn % 3 == 0 ? UINT64_MAX : 0xff00000000000003ull;
        for (size_t at = 0; at < count * stride; at++)
            items[at] = next_random(&random) & mask;
        memcpy(wanted, items, count * stride * sizeof *items);
        item_order_width = (int)width;
        qsort(wanted, count, stride * sizeof *items, item_order);
        const uint64_t *sorted = ae_key_sort(items, items + count * stride, count, width);
        for (size_t at = 0; at < count; at++)
            assert_int_equal(item_order(sorted + at * stride, wanted + at * stride), 0);
        const size_t packed = ae_key_pack(sorted, count, width, words, anchors);
        for (size_t at = 1; at < packed; at++) {
            int order = 0;
            for (uint32_t word = 0; word < width && order == 0; word++)
                order = (words[at * width + word] > words[(at - 1) * width + word]) -
                        (words[at * width + word] < words[(at - 1) * width + word]);
            assert_true(order > 0 || (order == 0 && anchors[at] > anchors[at - 1]));
        }
        free(items);
        free(wanted);
        free(words);
        free(anchors);
    }
}

/* ---- against a scan ------------------------------------------------------------------------- */

static void trade_random(aero_session *session, uint64_t *random, uint64_t keys)
{
    static char texts[16][64];
    uint32_t columns[16];
    aero_value values[16];
    uint32_t count = 0;
    const aero_table *of = &aero_schema()->tables[TRADE];
    const int64_t key = (int64_t)(next_random(random) % keys);
    int32_t flag = 0;
    const aero_value id = v_int(key);
    aero_status status = AERO_OK;
    if (next_random(random) % 5 == 0) {
        assert_ok(session, aero_delete(session, TRADE, &id, &flag));
        return;
    }
    for (uint32_t column = 0; column < of->column_count; column++) {
        const bool needed = column == TRADE_ID || column == TRADE_SYMBOL || column == AMOUNT ||
                            column == ACCOUNT || column == PLACED_AT;
        if (!needed && next_random(random) % 2 == 0)
            continue;
        columns[count] = column;
        values[count] = column == TRADE_ID
                            ? id
                            : random_value(&of->columns[column], random, texts[count]);
        count++;
    }
    if (next_random(random) % 3 == 0)
        status = aero_replace(session, TRADE, count, columns, values, &flag);
    else
        status = aero_upsert(session, TRADE, count, columns, values, &flag);
    assert_ok(session, status);
}

/* Goal: indexes show what a scan shows, whatever was done.  Method: random writes, transactions
 * that commit and roll back, savepoints, and indexes of all kinds coming and going; probed
 * between. */
static void test_indexes_show_what_a_scan_shows(void **state)
{
    static const uint32_t extra[][3] = {{NOTE, 0, 0},
                                        {TRADE_SYMBOL, 0, 0},
                                        {GATEWAY6, VENUE, 0},
                                        {TERMINAL, NOTE, ACCOUNT},
                                        {AMOUNT, ACCOUNT, PRICE},
                                        {ACCOUNT, 0, 0}};
    static const uint32_t extra_count[] = {1, 1, 2, 3, 3, 1};
    bool there[6] = {false};
    test_store store;
    uint64_t random = test_seed("against a scan");
    uint32_t depth = 0;
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint64_t what = next_random(&random) % 200;
        if (what < 4 && depth == 0) {
            assert_ok(store.session, aero_begin(store.session, AERO_ISOLATION_SNAPSHOT));
            depth = 1;
        } else if (what < 8 && depth > 0) {
            assert_ok(store.session,
                      what < 6 ? aero_commit(store.session) : aero_rollback(store.session));
            depth = 0;
        } else if (what < 11 && depth > 0) {
            assert_ok(store.session, aero_savepoint(store.session, "s", 1));
            depth++;
        } else if (what < 14 && depth > 1) {
            assert_ok(store.session, aero_rollback_to(store.session, "s", 1));
        } else if (what == 14 && depth == 0) {
            const uint32_t which = (uint32_t)(next_random(&random) % 6);
            if (there[which])
                assert_ok(store.session,
                          aero_index_drop(store.session, TRADE, extra_count[which], extra[which]));
            else
                assert_ok(store.session, aero_index_create(store.session, TRADE, extra_count[which],
                                                           extra[which], 0));
            there[which] = !there[which];
        } else if (what == 15 && depth == 0 && step % 7 == 0) {
            uint64_t deleted = 0;
            assert_ok(store.session, aero_reset(store.session, TRADE, &deleted));
        } else {
            trade_random(store.session, &random, 400);
        }
        if (step % 251 == 0)
            assert_indexes(store.session, TRADE, &random, 6);
        if (step % 1009 == 0 && depth == 0)
            store_verify(store.session);
    }
    if (depth > 0)
        assert_ok(store.session, aero_rollback(store.session));
    assert_indexes(store.session, TRADE, &random, 20);
    store_close(&store);
}

/* Goal: an old snapshot finds its rows in the indexes after their keys have moved, and a new one
 * finds the new ones.  Method: a transaction of another session stays open over many writes. */
static void test_an_old_snapshot_finds_its_rows(void **state)
{
    test_store store;
    uint64_t random = test_seed("old snapshot");
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *old = session_new(&store);
    for (uint32_t round = 0; round < 4; round++) {
        uint64_t count = 0;
        for (uint32_t step = 0; step < 600; step++)
            trade_random(store.session, &random, 300);
        assert_ok(old, aero_begin(old, AERO_ISOLATION_SNAPSHOT));
        assert_ok(old, aero_count(old, TRADE, &count));
        for (uint32_t step = 0; step < 1500; step++) {
            trade_random(store.session, &random, 300);
            if (step % 500 == 0) {
                assert_indexes(old, TRADE, &random, 5);
                assert_indexes(store.session, TRADE, &random, 5);
            }
        }
        assert_int_equal(row_count(old, TRADE), count);
        assert_ok(old, aero_commit(old));
    }
    aero_session_close(old);
    store_close(&store);
}

/* Goal: an index made while an older transaction is open is not used by it, and by later ones it
 * is; dropping takes it away from both at their next look, and frees its memory. */
static void test_an_index_is_for_snapshots_from_its_making_on(void **state)
{
    const uint32_t column = ACCOUNT;
    test_store store;
    ae_index_info infos[AE_INDEXES_MAX];
    uint64_t random = test_seed("making");
    (void)state;
    store_open(&store, 64 << 20);
    aero_session *old = session_new(&store);
    for (uint32_t step = 0; step < 2000; step++)
        trade_random(store.session, &random, 500);
    const uint32_t before = ae_index_list(store.session, TRADE, infos, AE_INDEXES_MAX);
    const uint64_t epoch = ae_index_epoch(store.session, TRADE);
    assert_ok(old, aero_begin(old, AERO_ISOLATION_SNAPSHOT));
    assert_int_not_equal(row_count(old, TRADE), 0);
    for (uint32_t step = 0; step < 500; step++) /* versions that only the old one sees */
        trade_random(store.session, &random, 500);
    assert_ok(store.session, aero_index_create(store.session, TRADE, 1, &column, 0));
    assert_status(store.session, AERO_EXISTS,
                  aero_index_create(store.session, TRADE, 1, &column, 0));
    assert_int_not_equal(ae_index_epoch(store.session, TRADE), epoch);
    assert_int_equal(ae_index_list(store.session, TRADE, infos, AE_INDEXES_MAX), before + 1);
    assert_int_equal(ae_index_list(old, TRADE, infos, AE_INDEXES_MAX), before);
    assert_int_not_equal(ae_index_epoch(old, TRADE), ae_index_epoch(store.session, TRADE));
    assert_indexes(store.session, TRADE, &random, 5);
    assert_indexes(old, TRADE, &random, 5);
    assert_status(old, AERO_USAGE, aero_index_create(old, TRADE, 1, &column, 0));
    assert_status(old, AERO_USAGE, aero_index_drop(old, TRADE, 1, &column));
    assert_ok(store.session, aero_index_drop(store.session, TRADE, 1, &column));
    assert_status(store.session, AERO_NOT_FOUND, aero_index_drop(store.session, TRADE, 1, &column));
    store_verify(store.session); /* the old one keeps the tree from being destroyed */
    assert_ok(old, aero_commit(old));
    assert_indexes(old, TRADE, &random, 5);
    assert_int_equal(ae_index_list(old, TRADE, infos, AE_INDEXES_MAX), before);
    aero_session_close(old);
    store_close(&store);
}

/* ---- unique --------------------------------------------------------------------------------- */

static aero_status instrument_put(aero_session *session, const char *symbol, const char *isin)
{
    const uint32_t columns[] = {SYMBOL, ISIN};
    const aero_value values[] = {v_text(symbol), isin == NULL ? (aero_value){.type = AERO_TYPE_NULL}
                                                              : v_text(isin)};
    int32_t inserted = 0;
    return aero_upsert(session, INSTRUMENT, 2, columns, values, &inserted);
}

/* Goal: a unique column refuses a second row with its value, names itself, and lets everything else
 * through.  Method: all ways to bring or give up a value. */
static void test_unique_values_stay_unique(void **state)
{
    test_store store;
    int32_t found = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *other = session_new(&store);
    aero_session *one = store.session;
    assert_ok(one, instrument_put(one, "A", "DE0000000001"));
    assert_status(one, AERO_EXISTS, instrument_put(one, "B", "DE0000000001"));
    assert_string_equal(aero_session_error(one)->field, "isin");
    assert_int_equal(aero_session_error(one)->column_count, 1);
    assert_int_equal(aero_session_error(one)->columns[0], ISIN);
    assert_int_equal(row_count(one, INSTRUMENT), 1);
    assert_ok(one, instrument_put(one, "A", "DE0000000001")); /* itself */
    assert_ok(one, instrument_put(one, "B", NULL));
    assert_ok(one, instrument_put(one, "C", NULL)); /* nulls are no duplicates */
    assert_status(other, AERO_EXISTS, instrument_put(other, "C", "DE0000000001"));
    assert_ok(one, instrument_put(one, "A", "DE0000000002"));
    assert_ok(other, instrument_put(other, "C", "DE0000000001"));
    const aero_value key = v_text("C");
    assert_ok(one, aero_delete(one, INSTRUMENT, &key, &found));
    assert_ok(one, instrument_put(one, "D", "DE0000000001"));
    /* In a transaction: a value given up in it can be taken in it; a failing statement is undone
     * alone. */
    assert_ok(one, aero_begin(one, AERO_ISOLATION_SERIALIZABLE));
    assert_status(one, AERO_EXISTS, instrument_put(one, "E", "DE0000000001"));
    assert_ok(one, instrument_put(one, "D", "DE0000000003"));
    assert_ok(one, instrument_put(one, "E", "DE0000000001"));
    /* Others cannot know how it will end. */
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_status(other, AERO_CONFLICT, instrument_put(other, "F", "DE0000000001"));
    assert_ok(other, aero_rollback(other));
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_status(other, AERO_CONFLICT, instrument_put(other, "F", "DE0000000003"));
    assert_ok(other, aero_rollback(other));
    assert_ok(one, aero_rollback(one));
    assert_ok(other, instrument_put(other, "F", "DE0000000003"));
    assert_status(other, AERO_EXISTS, instrument_put(other, "G", "DE0000000001"));
    /* Committed after the snapshot: a conflict, not a violation, and not let through. */
    assert_ok(other, aero_begin(other, AERO_ISOLATION_SNAPSHOT));
    assert_int_equal(row_count(other, INSTRUMENT), 4);
    assert_ok(one, instrument_put(one, "H", "DE0000000009"));
    assert_status(other, AERO_CONFLICT, instrument_put(other, "I", "DE0000000009"));
    assert_ok(other, aero_rollback(other));
    aero_session_close(other);
    store_close(&store);
}

/* Goal: long values with a common beginning are told apart, and equal ones are not. */
static void test_long_unique_values_are_compared_whole(void **state)
{
    const uint32_t title = TITLE;
    const uint32_t columns[] = {SYMBOL, TITLE};
    test_store store;
    char text[600];
    char symbol[16];
    int32_t flag = 0;
    (void)state;
    store_open(&store, 32 << 20);
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t row = 0; row < 200; row++) {
            memset(text, 'x', sizeof text);
            snprintf(text + 500, 20, "%u", row);
            snprintf(symbol, sizeof symbol, "S%u", row);
            const aero_value values[] = {v_text(symbol), v_text(text)};
            assert_ok(store.session,
                      aero_upsert(store.session, INSTRUMENT, 2, columns, values, &flag));
        }
        if (turn == 0)
            assert_ok(store.session, aero_index_create(store.session, INSTRUMENT, 1, &title, 1));
    }
    const aero_value again[] = {v_text("T"), v_text(text)};
    assert_status(store.session, AERO_EXISTS,
                  aero_insert(store.session, INSTRUMENT, 2, columns, again));
    assert_ok(store.session, aero_index_drop(store.session, INSTRUMENT, 1, &title));
    assert_ok(store.session, aero_insert(store.session, INSTRUMENT, 2, columns, again));
    assert_status(store.session, AERO_EXISTS,
                  aero_index_create(store.session, INSTRUMENT, 1, &title, 1));
    assert_string_equal(aero_session_error(store.session)->field, "title");
    store_verify(store.session);
    assert_ok(store.session, aero_index_create(store.session, INSTRUMENT, 1, &title, 0));
    store_close(&store);
}

/* Goal: a batch that brings a duplicate is refused as a whole; one that gives a value from row to
 * row is not. */
static void test_batches_keep_unique_values(void **state)
{
    const uint32_t columns[] = {SYMBOL, ISIN};
    const aero_tsv_options options = {.column_count = 2, .columns = columns, .batch_size = 200};
    static char text[16000];
    test_store store;
    aero_ingest_report report;
    uint64_t random = test_seed("batches");
    (void)state;
    store_open(&store, 32 << 20);
    for (uint32_t turn = 0; turn < 4; turn++) {
        size_t length = 0;
        for (uint32_t line = 0; line < 200; line++)
            length += (size_t)snprintf(text + length, 64, "S%u\tDE%010u\n", line % 150,
                                       turn == 2 && line == 60 ? 1000199 : turn * 1000 + line);
        if (turn == 2)
            length += (size_t)snprintf(text + length, 64, "X\tDE%010u\n", 1000199);
        const aero_status status = aero_ingest_tsv(store.session, INSTRUMENT, text, length,
                                                   &options, &report);
        /* In the third turn the two lines are in different batches, or one: either is refused. */
        assert_int_equal(status, turn == 2 ? AERO_EXISTS : AERO_OK);
        assert_indexes(store.session, INSTRUMENT, &random, 5);
        store_verify(store.session);
    }
    store_close(&store);
}

/* ---- keys known beforehand ------------------------------------------------------------------ */

enum { TAGGED = 400000, CROWD = 500 };

/* Numbers that have nothing to do with each other: hashes of neighbours are never equal. */
static uint64_t scattered(uint64_t index)
{
    uint64_t random = index + 1;
    return next_random(&random) >> 2;
}

static uint64_t tag_of(uint64_t id)
{
    const aero_table *of = &aero_schema()->tables[TRADE];
    static char row[2048] __attribute__((aligned(64)));
    const aero_value key = {.type = AERO_TYPE_UINT, .u = {.natural = id}};
    of->columns[TRADE_ID].set(row, &key);
    return ae_hash_tag(of->hash_key(row, NULL));
}

static int by_tag(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void trade_put(aero_session *session, uint64_t id, int64_t venue)
{
    const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, PRICE, AMOUNT, ACCOUNT, PLACED_AT, VENUE};
    const aero_value values[] = {v_int((int64_t)id), v_text("A"),       v_real(1),   v_int(1),
                                 v_int(1),           v_int(4000000000), v_int(venue)};
    int32_t flag = 0;
    assert_ok(session, aero_upsert(session, TRADE, 7, columns, values, &flag));
}

static void trade_move(aero_session *session, uint64_t id, int64_t venue)
{
    const uint32_t columns[] = {PRICE, VENUE};
    const aero_value key = v_int((int64_t)id);
    const aero_value values[] = {v_real((double)venue), v_int(venue)};
    int32_t found = 0;
    assert_ok(session, aero_update(session, TRADE, &key, 2, columns, values, &found));
    assert_int_equal(found, 1);
}

/* Goal: a leaf that was looked for before the row was found is not believed when the row turns out
 * to be another one.  Method: two rows whose hashes are equal as far as they are used, one before
 * and one behind some leaves of equal values; each comes to that value in turn. */
static void test_rows_of_one_tag_find_their_own_leaves(void **state)
{
    static uint64_t tagged[TAGGED];
    uint64_t twins[2] = {0, 0};
    test_store store;
    uint64_t random = test_seed("twins");
    (void)state;
    for (uint64_t index = 0; index < TAGGED; index++)
        tagged[index] = tag_of(scattered(index)) << 32 | index;
    qsort(tagged, TAGGED, sizeof *tagged, by_tag);
    for (uint32_t at = 1; at < TAGGED; at++)
        if (tagged[at] >> 32 == tagged[at - 1] >> 32) {
            twins[0] = scattered((uint32_t)tagged[at - 1]);
            twins[1] = scattered((uint32_t)tagged[at]);
        }
    assert_true(twins[0] != twins[1]);
    store_open(&store, 32 << 20);
    trade_put(store.session, twins[0], 9);
    for (uint64_t row = 0; row < CROWD; row++)
        trade_put(store.session, TAGGED + row, 7);
    trade_put(store.session, twins[1], 9);
    for (int64_t venue = 7; venue < 9; venue++)
        for (uint32_t twin = 0; twin < 2; twin++) {
            /* The next one moves the same keys, it seems. */
            trade_move(store.session, TAGGED, 100 + 2 * venue + twin);
            trade_move(store.session, twins[twin], venue);
            assert_indexes(store.session, TRADE, &random, 20);
            store_verify(store.session);
        }
    store_close(&store);
}

/* Goal: a batch of more rows than keys are kept before they are entered has all its entries, where
 * many keys come to one leaf, and where few do.  Method: one transaction of as many rows, keys at
 * random and many of them equal; each index against a scan. */
static void test_a_batch_of_more_rows_than_keys_are_kept(void **state)
{
    enum { ROWS = 66000, LINE = 64 };
    static const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, PRICE, AMOUNT,
                                       ACCOUNT,  PLACED_AT,    VENUE};
    const aero_tsv_options options = {.column_count = 7, .columns = columns, .batch_size = ROWS};
    aero_ingest_report report;
    test_store store;
    uint64_t random = 11;
    size_t length = 0;
    char *data = malloc((size_t)ROWS * LINE);
    (void)state;
    assert_non_null(data);
    for (uint32_t row = 0; row < ROWS; row++)
        length += (size_t)snprintf(data + length, LINE, "%u\tA\t%u\t1\t%u\t%u\t%u\n", row,
                                   (unsigned)(next_random(&random) >> 40), row % 100,
                                   (unsigned)(next_random(&random) % 5000) + 1, row % 7);
    store_open(&store, 64 << 20);
    assert_ok(store.session,
              aero_ingest_tsv(store.session, TRADE, data, length, &options, &report));
    assert_int_equal(report.inserted, ROWS);
    assert_int_equal(report.batches, 1);
    assert_indexes(store.session, TRADE, &random, 0);
    store_verify(store.session);
    store_close(&store);
    free(data);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Goal: keys that move for ever, and an index that is made and dropped for ever, take no more
 * memory after a while.  Method: segment in use after a warm-up, and after ten times as much. */
static void test_moving_keys_need_no_memory(void **state)
{
    const uint32_t column = ACCOUNT;
    test_store store;
    uint64_t used = 0;
    (void)state;
    store_open(&store, 64 << 20);
    for (uint32_t turn = 0; turn < 11; turn++) {
        for (uint32_t step = 0; step < STEPS / 2; step++) {
            const uint64_t at = (uint64_t)turn * STEPS + step;
            const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, PRICE, AMOUNT, ACCOUNT, PLACED_AT};
            const aero_value values[] = {v_int(step % 500),
                                         v_text(step % 2 == 0 ? "A" : "B"),
                                         v_real((double)(at * 7919 % 100003)),
                                         v_int(1),
                                         v_int((int64_t)(at % 1000)),
                                         v_int((int64_t)at)};
            int32_t flag = 0;
            assert_ok(store.session, aero_upsert(store.session, TRADE, 6, columns, values, &flag));
        }
        assert_ok(store.session, aero_index_create(store.session, TRADE, 1, &column, 0));
        assert_ok(store.session, aero_index_drop(store.session, TRADE, 1, &column));
        if (turn == 1)
            used = stat_value(store.session, "segment_used");
    }
    assert_in_range(stat_value(store.session, "segment_used"), used, used + (1 << 20));
    store_close(&store);
}

/* Goal: span gives the ends of what is not null.  Method: against the rows. */
static void test_span_gives_the_ends(void **state)
{
    const uint32_t price = PRICE;
    const uint32_t note = NOTE;
    test_store store;
    aero_value low;
    aero_value high;
    int32_t found = 1;
    (void)state;
    store_open(&store, 16 << 20);
    assert_ok(store.session, aero_index_span(store.session, TRADE, 1, &price, &low, &high, &found));
    assert_int_equal(found, 0);
    for (uint32_t row = 0; row < 100; row++) {
        const uint32_t columns[] = {TRADE_ID, TRADE_SYMBOL, PRICE, AMOUNT, ACCOUNT, PLACED_AT};
        aero_value values[] = {v_int(row), v_text("A"), v_real((double)row - 50.0),
                               v_int(1),   v_int(1),    v_int(1)};
        if (row % 3 == 0)
            values[2] = (aero_value){.type = AERO_TYPE_NULL};
        assert_ok(store.session, aero_insert(store.session, TRADE, 6, columns, values));
    }
    assert_ok(store.session, aero_index_span(store.session, TRADE, 1, &price, &low, &high, &found));
    assert_int_equal(found, 1);
    assert_true(low.u.real == -49.0 && high.u.real == 48.0);
    assert_status(store.session, AERO_NOT_FOUND,
                  aero_index_span(store.session, TRADE, 1, &note, &low, &high, &found));
    store_close(&store);
}

/* Goal: versions are freed some at a time, each with the entries of its own table.  Method:
 * transactions replace rows of two tables in turn, so that their versions wait in turn; whether an
 * entry stays that leads nowhere is told by verify. */
static void test_versions_of_two_tables_are_freed_in_turn(void **state)
{
    enum { ROUNDS = 40, EACH = 5 };
    static const uint32_t instrument[] = {SYMBOL, SECTOR};
    static const uint32_t trade[] = {TRADE_ID, TRADE_SYMBOL, AMOUNT, ACCOUNT, PLACED_AT, VENUE};
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *session = store.session;
    for (int64_t round = 0; round < ROUNDS; round++) {
        assert_ok(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
        for (int64_t row = 0; row < EACH; row++) {
            char name[16];
            int32_t inserted = 0;
            snprintf(name, sizeof name, "s%d", (int)row);
            const aero_value one[] = {v_text(name), v_int(round * EACH + row)};
            const aero_value other[] = {v_int(row),           v_text(name),     v_int(round),
                                        v_int(round % 3 + 7), v_int(1 + round), v_int(100 + round)};
            assert_ok(session, aero_upsert(session, INSTRUMENT, 2, instrument, one, &inserted));
            assert_ok(session, aero_upsert(session, TRADE, 6, trade, other, &inserted));
        }
        session->reclaim_debt = 1000; /* look at the horizon */
        assert_ok(session, aero_commit(session));
        if (round % 8 == 7)
            store_verify(session);
    }
    assert_int_equal(row_count(session, TRADE), EACH);
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_versions_of_two_tables_are_freed_in_turn),
    cmocka_unit_test(test_words_keep_the_order_of_values),
    cmocka_unit_test(test_sorting_keys_sorts_them),
    cmocka_unit_test(test_indexes_show_what_a_scan_shows),
    cmocka_unit_test(test_an_old_snapshot_finds_its_rows),
    cmocka_unit_test(test_an_index_is_for_snapshots_from_its_making_on),
    cmocka_unit_test(test_unique_values_stay_unique),
    cmocka_unit_test(test_long_unique_values_are_compared_whole),
    cmocka_unit_test(test_batches_keep_unique_values),
    cmocka_unit_test(test_rows_of_one_tag_find_their_own_leaves),
    cmocka_unit_test(test_a_batch_of_more_rows_than_keys_are_kept),
    cmocka_unit_test(test_moving_keys_need_no_memory),
    cmocka_unit_test(test_span_gives_the_ends),
};

AE_TEST_MAIN(tests)
