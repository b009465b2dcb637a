/* Plans: whatever way leads to the rows, they are the same; the way is the cheap one; orders of
 * indexes spare sorts and stop early; what an index answers is still noted for validation.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "query_random.h"

#include "query/limits.h"

enum { ROWS = 400 };

static aero_query *query_on(aero_session *session, uint32_t table, const char *compare)
{
    aero_query *query;
    assert_int_equal(aero_query_new(session, table, &query), AERO_OK);
    if (compare != NULL && aero_query_compare(query, compare, strlen(compare)) != AERO_OK)
        fail_msg("%s: %s", compare, session->error.text);
    return query;
}

static const char *plan_of(aero_query *query)
{
    const char *text;
    size_t length;
    assert_int_equal(aero_query_explain(query, 0, &text, &length), AERO_OK);
    return text;
}

/* ---- random searches ------------------------------------------------------------------------ */

enum { CLAUSES_MAX = 5, SORTS_MAX = 3 };

typedef struct search {
    uint32_t table;
    clause clauses[CLAUSES_MAX];
    size_t clause_count;
    uint32_t sorts[SORTS_MAX];
    bool descending[SORTS_MAX];
    size_t sort_count;
    int64_t limit;
    int64_t offset;
    bool passes[ROWS]; /* what the judge says */
    size_t passing;
} search;

static void random_search(aero_session *session, uint32_t table, search *out, uint64_t *random)
{
    const aero_table *about = ae_session_table(session, table);
    *out = (search){.table = table, .limit = -1};
    out->clause_count = random_word(random) % (CLAUSES_MAX + 1);
    for (size_t i = 0; i < out->clause_count; i++) {
        int32_t op;
        uint32_t column;
        do {
            op = (int32_t)(random_word(random) % 16) + 1;
            column = (uint32_t)(random_word(random) % about->column_count);
            if (i > 0 && random_word(random) % 3 == 0)
                column = out->clauses[i - 1].column;
        } while ((op == AERO_OP_TRUE || op == AERO_OP_FALSE) &&
                 !takes_truth(about->columns[column].kind));
        random_clause(session, about, column, op, &out->clauses[i], random);
    }
    out->sort_count = random_word(random) % (SORTS_MAX + 1);
    const bool alike = random_word(random) % 2 == 0;
    const ae_index_info *along = NULL; /* an index that has the sort's columns, or most of them */
    if (session->index_count > 0 && random_word(random) % 2 == 0)
        along = &session->indexes[random_word(random) % session->index_count].info;
    for (size_t i = 0; i < out->sort_count; i++) {
        out->sorts[i] = along != NULL && i < along->column_count
                            ? along->columns[i]
                            : (uint32_t)(random_word(random) % about->column_count);
        out->descending[i] = i > 0 && alike ? out->descending[0] : random_word(random) % 2;
        for (size_t j = 0; j < i; j++) {
            if (out->sorts[j] == out->sorts[i])
                out->sort_count = i; /* a column counts once */
        }
    }
    if (random_word(random) % 3 == 0)
        out->limit = (int64_t)(random_word(random) % 30);
    if (random_word(random) % 3 == 0)
        out->offset = (int64_t)(random_word(random) % 20);
}

static aero_query *query_of(aero_session *session, const search *from)
{
    aero_query *query = query_on(session, from->table, NULL);
    for (size_t i = 0; i < from->clause_count; i++)
        add(session, query, ae_session_table(session, from->table), &from->clauses[i], false);
    for (size_t i = 0; i < from->sort_count; i++)
        assert_int_equal(aero_query_sort(query, from->sorts[i], from->descending[i]), AERO_OK);
    assert_int_equal(aero_query_limit(query, from->limit, from->offset), AERO_OK);
    return query;
}

static bool passes_all(const aero_session *session, const search *by, size_t row)
{
    const aero_table *about = ae_session_table(session, by->table);
    for (size_t i = 0; i < by->clause_count; i++) {
        const clause *each = &by->clauses[i];
        aero_value value;
        fake_get(session, by->table, row, each->column, &value);
        if (!judge(&about->columns[each->column], &value, each->op, each->count, each->raw))
            return false;
    }
    return true;
}

static void ask_judge(const aero_session *session, search *about)
{
    about->passing = 0;
    for (size_t i = 0; i < ROWS; i++) {
        about->passes[i] = passes_all(session, about, i);
        about->passing += about->passes[i];
    }
}

/* Order of two rows by the sort columns alone. */
static int sort_order(const aero_session *session, const search *by, size_t left, size_t right)
{
    for (size_t i = 0; i < by->sort_count; i++) {
        aero_value a;
        aero_value b;
        fake_get(session, by->table, left, by->sorts[i], &a);
        fake_get(session, by->table, right, by->sorts[i], &b);
        const int nulls = (a.type == AERO_TYPE_NULL) - (b.type == AERO_TYPE_NULL);
        const int order = nulls != 0 || a.type == AERO_TYPE_NULL ? nulls : judge_order(&a, &b);
        if (order != 0)
            return nulls == 0 && by->descending[i] ? -order : order;
    }
    return 0;
}

static size_t run(aero_session *session, aero_query *query, uint32_t table, size_t *out)
{
    const aero_table *about = ae_session_table(session, table);
    aero_cursor *cursor;
    const aero_row *row;
    size_t count = 0;
    if (aero_cursor_open(query, &cursor) != AERO_OK)
        fail_msg("%s", session->error.text);
    while (aero_cursor_next(cursor, &row) == AERO_OK && row != NULL) {
        aero_value value;
        aero_row_values(row, 1, &about->key_column, &value);
        assert_true(count < ROWS);
        out[count++] = value.type == AERO_TYPE_TEXT ? strtoul(value.u.data + 1, NULL, 10)
                                                    : (size_t)value.u.integer;
    }
    aero_cursor_close(cursor);
    return count;
}

/* Are these the rows: as many as there should be, each once, all passing, in order, and none left
 * out that sorts before one that is there? */
static void check_rows(aero_session *session, const search *by, const size_t *rows, size_t count,
                       const char *plan)
{
    const size_t passing = by->passing;
    size_t before = 0; /* rows that must come before the first */
    bool given[ROWS] = {false};
    size_t wanted = passing > (size_t)by->offset ? passing - (size_t)by->offset : 0;
    if (by->limit >= 0 && wanted > (size_t)by->limit)
        wanted = (size_t)by->limit;
    if (count != wanted)
        fail_msg("%zu rows, not %zu\n%s", count, wanted, plan);
    for (size_t i = 0; i < count; i++) {
        if (!by->passes[rows[i]] || given[rows[i]])
            fail_msg("row %zu does not belong here\n%s", rows[i], plan);
        given[rows[i]] = true;
        if (i > 0 && sort_order(session, by, rows[i - 1], rows[i]) > 0)
            fail_msg("rows %zu and %zu are not in order\n%s", rows[i - 1], rows[i], plan);
    }
    if (count == 0)
        return;
    size_t after = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (given[i] || !by->passes[i])
            continue;
        const int first = sort_order(session, by, i, rows[0]);
        const int last = sort_order(session, by, i, rows[count - 1]);
        if (first > 0 && last < 0)
            fail_msg("row %zu is missing\n%s", i, plan);
        before += first < 0;
        after += last > 0;
    }
    if (before > (size_t)by->offset || after > passing - (size_t)by->offset - count)
        fail_msg("not the right window\n%s", plan);
}

static const char *const market_indexes[2][6] = {
    {"isin", "title grade", "sector currency", "logo", "grade tick title", "open_for_trade"},
    {"price", "venue placed_at", "note venue", "gateway6 lot", "amount", "symbol price"},
};

/* Goal: every way gives the same rows, in the right order, also when estimates are far off and when
 * the index goes away; method: random clauses, sorts and windows, each run on every way and
 * compared with a judge of values. */
static void every_way_gives_the_same_rows(void **state)
{
    (void)state;
    enum { ROUNDS = 60, SEARCHES = 40 };
    uint64_t random = new_seed();
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t table = round % 2;
        const aero_table *about = &aero_schema()->tables[table];
        aero_session *session = fake_session();
        fake_fill(session, table, ROWS, &random);
        for (int i = 0; i < 6; i++) {
            if (random_word(&random) % 4 != 0)
                fake_index_make(session, table, market_indexes[table][i]);
        }
        for (int i = 0; i < SEARCHES; i++) {
            search what;
            size_t rows[ROWS];
            char way[128] = "";
            random_search(session, table, &what, &random);
            ask_judge(session, &what);
            aero_query *query = query_of(session, &what);
            for (uint32_t kind = 0; kind < 4 + session->index_count; kind++) {
                static const char *const ways[] = {"", "scan", "key", "intersection"};
                if (kind < 4)
                    snprintf(way, sizeof way, "%s", ways[kind]);
                else
                    snprintf(way, sizeof way, "index %s",
                             about->columns[session->indexes[kind - 4].info.columns[0]].name);
                session->lie = random_word(&random) % 4 == 0 ? random_word(&random) % 1000 + 1 : 0;
                assert_int_equal(aero_query_using(query, way, strlen(way)), AERO_OK);
                char plan[4096];
                snprintf(plan, sizeof plan, "asked for \"%s\"\n%s", way, plan_of(query));
                session->gone = (int)(random_word(&random) % 6);
                const size_t count = run(session, query, table, rows);
                session->gone = 0;
                check_rows(session, &what, rows, count, plan);
                uint64_t counted;
                assert_int_equal(aero_query_count(query, &counted), AERO_OK);
                assert_int_equal(counted, count);
                assert_int_equal(session->readers, 0);
            }
            aero_query_free(query);
        }
        fake_close(session);
    }
}

/* ---- prepared searches ---------------------------------------------------------------------- */

/* The search with a parameter for every constant; `in` takes a list. */
static aero_query *prepare(aero_session *session, const search *from)
{
    aero_query *query = query_on(session, from->table, NULL);
    uint64_t next = 0;
    for (size_t i = 0; i < from->clause_count; i++) {
        const clause *each = &from->clauses[i];
        aero_value values[2];
        const uint32_t count = each->op == AERO_OP_IN ? 1 : each->count;
        for (uint32_t v = 0; v < count; v++)
            values[v] = (aero_value){.type = AERO_TYPE_PARAMETER, .u.natural = next++};
        assert_int_equal(aero_query_clause(query, each->op, each->column, count, values), AERO_OK);
    }
    for (size_t i = 0; i < from->sort_count; i++)
        assert_int_equal(aero_query_sort(query, from->sorts[i], from->descending[i]), AERO_OK);
    assert_int_equal(aero_query_limit(query, from->limit, from->offset), AERO_OK);
    return query;
}

static void bind_all(aero_session *session, aero_query *query, const search *from)
{
    const aero_table *about = ae_session_table(session, from->table);
    uint32_t next = 0;
    for (size_t i = 0; i < from->clause_count; i++) {
        const clause *each = &from->clauses[i];
        aero_value values[20];
        for (uint32_t v = 0; v < each->count; v++)
            values[v] = is_pattern(each->op)
                            ? each->raw[v]
                            : given(session, &about->columns[each->column], &each->raw[v], false);
        const bool listed = each->op == AERO_OP_IN;
        for (uint32_t v = 0; v < (listed ? 1 : each->count); v++) {
            if (aero_query_bind(query, next++, listed ? each->count : 1, &values[v]) != AERO_OK)
                fail_msg("%s", session->error.text);
        }
    }
}

/* Goal: a prepared search gives, for every set of values, what a search with these constants gives,
 * and a read noted with earlier values keeps them; method: random searches bound five times. */
static void prepared_searches_follow_their_values(void **state)
{
    (void)state;
    enum { ROUNDS = 30, SEARCHES = 30, BINDINGS = 5 };
    uint64_t random = new_seed();
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t table = round % 2;
        const aero_table *about = &aero_schema()->tables[table];
        aero_session *session = fake_session();
        fake_fill(session, table, ROWS, &random);
        for (int i = 0; i < 6; i++) {
            if (random_word(&random) % 4 != 0)
                fake_index_make(session, table, market_indexes[table][i]);
        }
        for (int i = 0; i < SEARCHES; i++) {
            search what;
            search before = {.clause_count = 0};
            size_t rows[ROWS];
            random_search(session, table, &what, &random);
            aero_query *query = prepare(session, &what);
            session->notes = (int)(random_word(&random) % 2);
            for (int binding = 0; binding < BINDINGS; binding++) {
                for (size_t c = 0; c < what.clause_count; c++)
                    random_clause(session, about, what.clauses[c].column, what.clauses[c].op,
                                  &what.clauses[c], &random);
                ask_judge(session, &what);
                bind_all(session, query, &what);
                for (size_t r = 0; session->noted.match != NULL && r < ROWS; r++)
                    assert_int_equal(session->noted.match(session->noted.context,
                                                          fake_row(session, table, r), NULL),
                                     before.passes[r]);
                if (session->noted.match != NULL)
                    session->noted.release(session->noted.context);
                session->noted.match = NULL;
                session->gone = random_word(&random) % 8 == 0;
                char plan[4096];
                snprintf(plan, sizeof plan, "binding %d\n%s", binding, plan_of(query));
                const size_t count = run(session, query, table, rows);
                check_rows(session, &what, rows, count, plan);
                before = what;
            }
            if (session->noted.match != NULL)
                session->noted.release(session->noted.context);
            session->noted.match = NULL;
            session->gone = 0;
            aero_query_free(query);
        }
        fake_close(session);
    }
}

/* Goal: wrong bindings are refused and do no harm; method: one of each kind. */
static void wrong_bindings_are_refused(void **state)
{
    (void)state;
    uint64_t seed = 5;
    aero_session *session = fake_session();
    fake_fill(session, INSTRUMENT, ROWS, &seed);
    aero_query *query = query_on(session, INSTRUMENT, NULL);
    aero_value values[2] = {{.type = AERO_TYPE_PARAMETER, .u.natural = 1},
                            {.type = AERO_TYPE_INT, .u.integer = 100}};
    const uint32_t sector = fake_column(INSTRUMENT, "sector");
    uint64_t count;
    assert_int_equal(aero_query_clause(query, AERO_OP_RANGE, sector, 2, values), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_USAGE); /* nothing is bound */
    assert_int_equal(aero_query_bind(query, 2, 1, &values[1]), AERO_USAGE);
    assert_int_equal(aero_query_bind(query, 1, 2, &values[0]), AERO_USAGE);
    assert_int_equal(aero_query_bind(query, 1, 0, NULL), AERO_USAGE);
    const aero_value text = {.type = AERO_TYPE_TEXT, .length = 3, .u.data = "abc"};
    assert_int_equal(aero_query_bind(query, 1, 1, &text), AERO_TYPE);
    assert_int_equal(aero_query_count(query, &count), AERO_USAGE);
    const aero_value low = {.type = AERO_TYPE_INT, .u.integer = 1};
    assert_int_equal(aero_query_bind(query, 1, 1, &low), AERO_OK);
    assert_int_equal(aero_query_count(query, &count), AERO_OK);
    assert_true(count > 0);
    aero_cursor *cursor;
    assert_int_equal(aero_cursor_open(query, &cursor), AERO_OK);
    assert_int_equal(aero_query_bind(query, 1, 1, &low), AERO_USAGE);
    aero_cursor_close(cursor);
    values[0].u.natural = AEI_PARAMETERS_MAX;
    assert_int_equal(aero_query_clause(query, AERO_OP_EQ, sector, 1, values), AERO_LIMIT);
    aero_query_free(query);
    fake_close(session);
}

/* ---- the choice ----------------------------------------------------------------------------- */

/* A session with trades whose columns say how selective they are. */
static aero_session *trades(size_t count)
{
    aero_session *session = fake_session();
    const aero_table *about = ae_session_table(session, TRADE);
    fake_add(session, TRADE, count);
    for (size_t i = 0; i < count; i++) {
        char *row = fake_row(session, TRADE, i);
        const struct {
            const char *name;
            int64_t value;
        } cells[] = {{"trade_id", (int64_t)i},        {"amount", (int64_t)(i * 7 % count)},
                     {"account", (int64_t)(i % 100)}, {"venue", (int64_t)(i % 10)},
                     {"lot", (int64_t)(i % 2)},       {"placed_at", (int64_t)i}};
        for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++) {
            const aero_value value = {.type = AERO_TYPE_INT, .u.integer = cells[c].value};
            about->columns[fake_column(TRADE, cells[c].name)].set(row, &value);
        }
        const aero_value null = {.type = AERO_TYPE_NULL};
        about->columns[fake_column(TRADE, "price")].set(row, &null);
    }
    static const char *const names[] = {"amount", "account", "venue", "lot", "venue placed_at"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fake_index_make(session, TRADE, names[i]);
    return session;
}

static void check_way(aero_query *query, const char *wanted)
{
    const char *plan = plan_of(query);
    if (strstr(plan, wanted) == NULL)
        fail_msg("\"%s\" is not in this plan:\n%s", wanted, plan);
    aero_query_free(query);
}

/* Goal: the cheap way is taken, whatever the order of the clauses; method: plans of typical
 * searches. */
static void cheap_ways_are_taken(void **state)
{
    (void)state;
    aero_session *session = trades(ROWS * 10);
    const struct {
        const char *compare;
        const char *wanted;
    } cases[] = {
        {"= amount 5", "index on amount: amount = 5\n"},
        {"{= lot 1} {= amount 5}", "index on amount: amount = 5\n  filter 1: lot = 1\n"},
        {"{= amount 5} {= lot 1}", "index on amount: amount = 5\n  filter 1: lot = 1\n"},
        {"{= amount 5} {= trade_id 3}", "key look-up, 1 key: trade_id = 3\n"},
        {"{in trade_id {1 2 3}} {< amount 2000}", "key look-up, 3 keys"},
        {"= lot 1", "scan of the table\n  filter 1: lot = 1\n"},
        {"!= amount 5", "scan of the table"},
        {"match note *x*", "scan of the table"},
        {"> amount 3990", "index on amount: amount > 3990\n  expected: 9 candidates"},
        {"{> amount 10} {<= amount 12.5}", "amount > 10 and amount <= 12\n  expected: 2 cand"},
        {"{> amount 12} {< amount 12}", "nothing to read"},
        {"null amount", "nothing to read"}, /* never NULL */
        {"in amount {1 2 3 4 2}", "(4 ranges)\n  expected: 4 candidates"},
        {"{= venue 3} {< placed_at 0.0001}",
         "index on venue, placed_at: venue = 3 and placed_at <"},
        {"{= account 7} {= venue 7} {> amount 3000}", "index on account: account = 7\n"},
        {"{< amount 500} {< account 10}",
         "intersection of indexes\n  index on account: account < 10, about 400 entries\n"
         "  index on amount: amount < 500, about 500 entries\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_way(query_on(session, TRADE, cases[i].compare), cases[i].wanted);
    fake_close(session);
}

static aero_query *sorted(aero_session *session, const char *compare, const char *column,
                          bool descending, int64_t limit)
{
    aero_query *query = query_on(session, TRADE, compare);
    assert_int_equal(aero_query_sort(query, fake_column(TRADE, column), descending), AERO_OK);
    assert_int_equal(aero_query_limit(query, limit, 0), AERO_OK);
    return query;
}

/* Goal: an index in the order asked for spares the sort, and reading stops at the limit; method:
 * count the entries met. */
static void orders_of_indexes_stop_early(void **state)
{
    (void)state;
    aero_session *session = trades(ROWS * 10);
    check_way(sorted(session, NULL, "amount", false, 50),
              "Trade: index on amount, in its order\n  limit: 50\n");
    check_way(sorted(session, NULL, "amount", true, 50), "in its order, backward\n  limit: 50\n");
    check_way(sorted(session, "= venue 3", "placed_at", true, 5),
              "index on venue, placed_at: venue = 3, in its order, backward\n  limit: 5\n");
    check_way(sorted(session, "= account 3", "account", true, 5), "account = 3\n  limit: 5\n");
    for (int way = 0; way < 2; way++) {
        aero_query *query = sorted(session, "= lot 0", "amount", way == 1, 10);
        size_t rows[ROWS];
        session->entries_met = 0;
        assert_int_equal(run(session, query, TRADE, rows), 10);
        assert_true(session->entries_met < 100);
        aero_query_free(query);
    }
    aero_query *query = sorted(session, NULL, "amount", true, 3);
    size_t rows[ROWS];
    session->entries_met = 0;
    assert_int_equal(run(session, query, TRADE, rows), 3);
    assert_true(session->entries_met <= AE_INDEX_BATCH);
    aero_query_free(query);
    fake_close(session);
}

/* Goal: NULLs come last in every group of a backward order, not only at its end; method: columns
 * with NULLs, every pair of directions. */
static void nulls_of_later_columns_come_last(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    aero_session *session = fake_session();
    fake_fill(session, TRADE, ROWS, &random);
    fake_index_make(session, TRADE, "urgency venue gateway");
    for (int directions = 0; directions < 8; directions++) {
        search what = {.table = TRADE, .limit = -1, .sort_count = 3};
        size_t rows[ROWS];
        const char *const names[] = {"urgency", "venue", "gateway"};
        for (int i = 0; i < 3; i++) {
            what.sorts[i] = fake_column(TRADE, names[i]);
            what.descending[i] = directions >> i & 1;
        }
        ask_judge(session, &what);
        aero_query *query = query_of(session, &what);
        assert_int_equal(aero_query_using(query, "index urgency", 13), AERO_OK);
        assert_non_null(strstr(plan_of(query), "in its order"));
        const size_t count = run(session, query, TRADE, rows);
        check_rows(session, &what, rows, count, plan_of(query));
        aero_query_free(query);
    }
    fake_close(session);
}

/* Goal: an order that held for one value of `in` is not believed of two; method: bind both. */
static void more_values_may_need_a_sort(void **state)
{
    (void)state;
    aero_session *session = trades(ROWS);
    search what = {.table = TRADE, .limit = -1, .sort_count = 1, .clause_count = 1};
    what.sorts[0] = fake_column(TRADE, "placed_at");
    what.clauses[0] = (clause){.op = AERO_OP_IN, .column = fake_column(TRADE, "venue")};
    for (int i = 0; i < 5; i++)
        what.clauses[0].raw[i] = (aero_value){.type = AERO_TYPE_INT, .u.integer = 9 - i};
    aero_query *query = prepare(session, &what);
    assert_int_equal(aero_query_using(query, "index venue", 11), AERO_OK);
    for (uint32_t i = 0; i < 12; i++) {
        size_t rows[ROWS];
        what.clauses[0].count = i % 4 == 0 ? 1 : i % 5;
        ask_judge(session, &what);
        bind_all(session, query, &what);
        const size_t count = run(session, query, TRADE, rows);
        check_rows(session, &what, rows, count, plan_of(query));
    }
    aero_query_free(query);
    fake_close(session);
}

/* Goal: a search that an index answers alone is noted with all its clauses, one without any as the
 * whole table; method: look at what was noted. */
static void noted_reads_have_all_clauses(void **state)
{
    (void)state;
    aero_session *session = trades(ROWS);
    static const char *const ways[] = {"scan", "index amount", "intersection"};
    session->notes = 1;
    for (size_t way = 0; way < 3; way++) {
        aero_query *query = query_on(session, TRADE, "{< amount 40} {= venue 0}");
        uint64_t count;
        assert_int_equal(aero_query_using(query, ways[way], strlen(ways[way])), AERO_OK);
        assert_int_equal(aero_query_count(query, &count), AERO_OK);
        assert_non_null(session->noted.match);
        uint64_t matched = 0;
        for (size_t i = 0; i < ROWS; i++)
            matched += session->noted.match(session->noted.context, fake_row(session, TRADE, i),
                                            NULL);
        assert_int_equal(matched, count);
        aero_query_free(query);
        session->noted.release(session->noted.context);
        session->noted.match = NULL;
    }
    aero_query *query = sorted(session, NULL, "amount", false, 1);
    size_t rows[ROWS];
    assert_int_equal(run(session, query, TRADE, rows), 1);
    assert_int_equal(session->noted_tables, 1);
    aero_query_free(query);
    fake_close(session);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_way_gives_the_same_rows),
    cmocka_unit_test(prepared_searches_follow_their_values),
    cmocka_unit_test(wrong_bindings_are_refused),
    cmocka_unit_test(cheap_ways_are_taken),
    cmocka_unit_test(orders_of_indexes_stop_early),
    cmocka_unit_test(nulls_of_later_columns_come_last),
    cmocka_unit_test(more_values_may_need_a_sort),
    cmocka_unit_test(noted_reads_have_all_clauses),
};
AE_TEST_MAIN(tests)
