/* query_fake.h — a session, a reader, a scan and indexes over plain arrays, to test the query
 * module by itself: rows are private images, everything is visible, readers are counted.
 *
 * The tables are those of the package `market`, which have nearly every kind between them.
 */
#ifndef AE_QUERY_FAKE_H
#define AE_QUERY_FAKE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aerostore/gen.h"
#include "index/key.h"
#include "market.h"
#include "table/index_read.h"
#include "table/table.h"

enum { INSTRUMENT = 0, TRADE = 1 };

enum { FAKE_INDEXES = 8 };

/* An index: the rows' numbers, sorted when it was made. */
typedef struct fake_index {
    ae_index_info info;
    uint32_t table;
    uint32_t *rows;
    uint64_t (*words)[AE_INDEX_WORDS];
    size_t count;
} fake_index;

struct aero_session {
    aero_error error;
    ae_session_child *children;
    char *rows[2];
    size_t row_count[2];
    char **texts; /* owned by the rows */
    size_t text_count;
    int readers;      /* open ones */
    int stale;        /* ae_session_enter refuses */
    int reader_stale; /* ae_reader_check refuses */
    int notes;        /* reads are to be noted */
    ae_predicate noted;
    int noted_tables;
    fake_index indexes[FAKE_INDEXES];
    uint32_t index_count;
    uint64_t epoch;
    int gone;             /* so many opens of an index fail */
    uint64_t lie;         /* estimates are this, unless 0 */
    uint64_t entries_met; /* by reads of indexes */
};

aero_status ae_session_enter(aero_session *session)
{
    if (session->stale)
        return AERO_STALE;
    ae_error_clear(&session->error);
    return AERO_OK;
}

aero_error *ae_session_error_buffer(aero_session *session)
{
    return &session->error;
}

const aero_table *ae_session_table(const aero_session *session, uint32_t table)
{
    (void)session;
    return &aero_schema()->tables[table];
}

uint32_t ae_session_table_count(const aero_session *session)
{
    (void)session;
    return aero_schema()->table_count;
}

void ae_session_adopt(aero_session *session, ae_session_child *child)
{
    child->next = session->children;
    child->back = &session->children;
    if (child->next != NULL)
        child->next->back = &child->next;
    session->children = child;
}

void ae_session_disown(ae_session_child *child)
{
    if (child->back == NULL)
        return;
    *child->back = child->next;
    if (child->next != NULL)
        child->next->back = child->back;
    child->back = NULL;
}

aero_status ae_reader_open(aero_session *session, bool lasting, ae_reader *reader)
{
    (void)lasting;
    *reader = (ae_reader){.session = session};
    session->readers++;
    return AERO_OK;
}

void ae_reader_close(ae_reader *reader)
{
    reader->session->readers--;
}

void ae_reader_rest(ae_reader *reader)
{
    (void)reader;
}

aero_status ae_reader_check(ae_reader *reader)
{
    aero_session *session = reader->session;
    return session->reader_stale ? ae_fail(&session->error, AERO_STALE, "stale") : AERO_OK;
}

bool ae_reader_notes(const ae_reader *reader)
{
    return reader->session->notes != 0;
}

void ae_reader_predicate(ae_reader *reader, const ae_predicate *predicate)
{
    reader->session->noted = *predicate;
}

void ae_reader_note_table(ae_reader *reader, uint32_t table)
{
    (void)table;
    reader->session->noted_tables++;
}

static inline char *fake_row(const aero_session *session, uint32_t table, size_t index)
{
    return session->rows[table] + index * ae_session_table(session, table)->row_size;
}

bool ae_table_find(ae_reader *reader, uint32_t table, const void *key_row, ae_view *view)
{
    const aero_session *session = reader->session;
    for (size_t i = 0; i < session->row_count[table]; i++) {
        const char *row = fake_row(session, table, i);
        if (ae_session_table(session, table)->key_equal(row, NULL, key_row, NULL)) {
            *view = (ae_view){.row = row};
            return true;
        }
    }
    return false;
}

void ae_scan_start(ae_scan *scan, ae_reader *reader, uint32_t table)
{
    *scan = (ae_scan){.reader = reader, .table = table};
}

void ae_scan_seek(ae_scan *scan)
{
    scan->seeks = true; /* there are no slabs to leave out */
}

size_t ae_scan_next(ae_scan *scan, ae_view *views, size_t max)
{
    const aero_session *session = scan->reader->session;
    size_t count = 0;
    while (count < max && scan->slot_index < session->row_count[scan->table])
        views[count++] = (ae_view){.row = fake_row(session, scan->table, scan->slot_index++)};
    return count;
}

uint64_t ae_table_size(const aero_session *session, uint32_t table)
{
    return session->row_count[table];
}

uint64_t ae_table_rows(const aero_session *session, uint32_t table)
{
    return session->row_count[table];
}

/* ---- indexes -------------------------------------------------------------------------------- */

static inline const fake_index *fake_index_at(const aero_session *session, uint32_t table,
                                              uint32_t number)
{
    for (uint32_t i = 0; i < session->index_count; i++) {
        const fake_index *index = &session->indexes[i];
        if (index->table == table && index->info.number == number)
            return index;
    }
    abort();
}

static inline int fake_order(const uint64_t *left, const uint64_t *right)
{
    for (int i = 0; i < (int)AE_INDEX_WORDS; i++) {
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    }
    return 0;
}

uint32_t ae_index_list(const aero_session *session, uint32_t table, ae_index_info *infos,
                       uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < session->index_count; i++) {
        if (session->indexes[i].table != table)
            continue;
        if (count < max)
            infos[count] = session->indexes[i].info;
        count++;
    }
    return count;
}

uint64_t ae_index_epoch(const aero_session *session, uint32_t table)
{
    (void)table;
    return session->epoch;
}

static inline bool fake_inside(const fake_index *index, const ae_index_range *range, size_t at)
{
    uint64_t high[AE_INDEX_WORDS] = {0}; /* words beyond the index's width count for nothing */
    uint64_t low[AE_INDEX_WORDS] = {0};
    memcpy(high, range->high, index->info.word_count * sizeof *high);
    memcpy(low, range->low, index->info.word_count * sizeof *low);
    return fake_order(low, index->words[at]) <= 0 && fake_order(index->words[at], high) <= 0;
}

uint64_t ae_index_estimate(aero_session *session, uint32_t table, uint32_t number,
                           const ae_index_range *range)
{
    const fake_index *index = fake_index_at(session, table, number);
    uint64_t count = 0;
    for (size_t i = 0; i < index->count; i++)
        count += fake_inside(index, range, i);
    return session->lie != 0 ? session->lie : count;
}

void ae_index_size(aero_session *session, uint32_t table, uint32_t number, uint64_t *entries,
                   uint64_t *distinct)
{
    const fake_index *index = fake_index_at(session, table, number);
    *entries = index->count;
    *distinct = index->count > 0;
    for (size_t i = 1; i < index->count; i++)
        *distinct += fake_order(index->words[i - 1], index->words[i]) != 0;
}

void ae_index_read_seek(ae_index_read *read, const ae_index_range *range)
{
    read->range = *range;
    read->entries = 0; /* here: places of the range that were looked at */
}

bool ae_index_read_open(ae_index_read *read, ae_reader *reader, uint32_t table, uint32_t number,
                        const ae_index_range *range, bool backward)
{
    memset(read, 0, sizeof *read);
    read->reader = reader;
    read->table = table;
    read->number = number;
    read->backward = backward;
    ae_index_read_seek(read, range);
    return reader->session->gone == 0 || reader->session->gone-- == 0;
}

void ae_index_read_rest(ae_index_read *read)
{
    (void)read;
}

size_t ae_index_read_anchors(ae_index_read *read, ae_ref *anchors, size_t max)
{
    aero_session *session = read->reader->session;
    const fake_index *index = fake_index_at(session, read->table, read->number);
    size_t count = 0;
    while (count < max && read->entries < index->count) {
        const size_t step = (size_t)read->entries++;
        const size_t at = read->backward ? index->count - 1 - step : step;
        if (fake_inside(index, &read->range, at))
            anchors[count++] = index->rows[at] + 1;
    }
    session->entries_met += count;
    return count;
}

size_t ae_anchors_read(ae_reader *reader, uint32_t table, const ae_ref *anchors, size_t count,
                       ae_view *views)
{
    for (size_t i = 0; i < count; i++)
        views[i] = (ae_view){.row = fake_row(reader->session, table, anchors[i] - 1)};
    return count;
}

size_t ae_index_read_next(ae_index_read *read, ae_view *views, size_t max)
{
    ae_ref anchors[256];
    const size_t count = ae_index_read_anchors(read, anchors, max < 256 ? max : 256);
    return ae_anchors_read(read->reader, read->table, anchors, count, views);
}

void ae_index_words(const aero_table *table, const ae_index_info *info, const void *row,
                    const char *base, uint64_t words[AE_INDEX_WORDS])
{
    ae_key_shape shape = {.column_count = info->column_count};
    memcpy(shape.columns, info->columns, sizeof info->columns);
    ae_key_shape_finish(table, &shape, false);
    ae_key_words(table, &shape, row, base, words);
}

/* ---- what tests do with it ------------------------------------------------------------------ */

static inline aero_session *fake_session(void)
{
    aero_session *session = calloc(1, sizeof *session);
    ae_error_clear(&session->error);
    return session;
}

/* Close every child, as closing a session does. */
static inline void fake_close(aero_session *session)
{
    while (session->children != NULL) {
        ae_session_child *child = session->children;
        ae_session_disown(child);
        child->close(child);
    }
    for (size_t i = 0; i < session->text_count; i++)
        free(session->texts[i]);
    free(session->texts);
    for (uint32_t i = 0; i < session->index_count; i++) {
        free(session->indexes[i].rows);
        free(session->indexes[i].words);
    }
    free(session->rows[0]);
    free(session->rows[1]);
    free(session);
}

/* A text that lives as long as the session. */
static inline const char *fake_text(aero_session *session, const char *data, size_t length)
{
    session->texts = realloc(session->texts, (session->text_count + 1) * sizeof(char *));
    char *copy = malloc(length + 1);
    memcpy(copy, data, length);
    copy[length] = '\0';
    session->texts[session->text_count++] = copy;
    return copy;
}

/* Room for more rows, cleared; returns the first. */
static inline char *fake_add(aero_session *session, uint32_t table, size_t count)
{
    const aero_table *about = ae_session_table(session, table);
    const size_t before = session->row_count[table];
    session->rows[table] = realloc(session->rows[table], (before + count) * about->row_size);
    session->row_count[table] = before + count;
    for (size_t i = before; i < before + count; i++)
        about->clear(fake_row(session, table, i));
    return fake_row(session, table, before);
}

static inline uint32_t fake_column(uint32_t table, const char *name)
{
    const aero_table *about = &aero_schema()->tables[table];
    for (uint32_t i = 0; i < about->column_count; i++) {
        if (strcmp(about->columns[i].name, name) == 0)
            return i;
    }
    fprintf(stderr, "no column %s\n", name);
    abort();
}

/* An index over the rows that are there; `names` are separated by spaces. */
static inline void fake_index_make(aero_session *session, uint32_t table, const char *names)
{
    fake_index *index = &session->indexes[session->index_count++];
    const aero_table *about = ae_session_table(session, table);
    ae_key_shape shape = {0};
    char copy[128];
    char *rest = copy;
    snprintf(copy, sizeof copy, "%s", names);
    for (const char *name; (name = strtok_r(rest, " ", &rest)) != NULL;)
        shape.columns[shape.column_count++] = fake_column(table, name);
    ae_key_shape_finish(about, &shape, false);
    index->table = table;
    index->info = (ae_index_info){.number = session->index_count - 1,
                                  .word_count = shape.word_count,
                                  .column_count = shape.worded_count};
    for (uint32_t i = 0; i < shape.worded_count; i++) {
        index->info.columns[i] = shape.columns[i];
        index->info.word_at[i + 1] = index->info.word_at[i] +
                                     ae_key_column_words(&about->columns[shape.columns[i]]);
    }
    index->count = session->row_count[table];
    index->rows = calloc(index->count + 1, sizeof *index->rows);
    index->words = calloc(index->count + 1, sizeof *index->words);
    for (size_t i = 0; i < index->count; i++) { /* insertion: few rows */
        uint64_t words[AE_INDEX_WORDS];
        size_t at = i;
        ae_index_words(about, &index->info, fake_row(session, table, i), NULL, words);
        for (; at > 0 && fake_order(words, index->words[at - 1]) < 0; at--) {
            memcpy(index->words[at], index->words[at - 1], sizeof words);
            index->rows[at] = index->rows[at - 1];
        }
        memcpy(index->words[at], words, sizeof words);
        index->rows[at] = (uint32_t)i;
    }
    session->epoch++;
}

static inline uint64_t random_word(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ull;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t new_seed(void)
{
    const char *const given = getenv("AEROSTORE_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    return seed;
}

/* A random value of a column: from small sets, so that values meet again, with the extremes. */
static inline aero_value fake_value(aero_session *session, const aero_column *column,
                                    uint64_t *random)
{
    static const int64_t wholes[] = {0, 1, -1, 2, 7, 100, -100, 126, 127, -128};
    static const double reals[] = {0.0, 1.5, -1.5, 2.0, 1e30, -1e30, 1.0 / 1024, 100.0};
    static const char letters[] = "aAbBz0";
    const uint64_t word = random_word(random);
    const int64_t whole = wholes[word % 10];
    char text[64];
    aero_value value = {.type = AERO_TYPE_INT, .u.integer = whole < 0 ? -whole : whole};
    size_t length = word % 16;
    switch (column->kind) {
    case AERO_KIND_BOOL:
        return (aero_value){.type = AERO_TYPE_BOOL, .u.integer = (int64_t)(word & 1)};
    case AERO_KIND_INT8:
    case AERO_KIND_INT16:
    case AERO_KIND_INT32:
        value.u.integer = whole;
        return value;
    case AERO_KIND_INT64:
        value.u.integer = word % 5 == 0 ? INT64_MAX : word % 7 == 0 ? INT64_MIN : whole;
        return value;
    case AERO_KIND_UINT64:
        if (word % 5 == 0)
            return (aero_value){.type = AERO_TYPE_UINT, .u.natural = UINT64_MAX};
        return value;
    case AERO_KIND_FLOAT32:
    case AERO_KIND_FLOAT64:
        return (aero_value){.type = AERO_TYPE_DOUBLE,
                            .u.real = column->kind == AERO_KIND_FLOAT32 ? (float)reals[word % 8]
                                                                        : reals[word % 8]};
    case AERO_KIND_TIMESTAMP:
        return (aero_value){.type = AERO_TYPE_TIME, .u.integer = whole * 250000};
    case AERO_KIND_CHAR:
        value.u.integer = word % 3 == 0 ? 0xe9 : letters[word % 6];
        return value;
    case AERO_KIND_IPV6:
        length = 16;
        break;
    case AERO_KIND_MAC:
        length = 6;
        break;
    case AERO_KIND_FIXED:
        length = word % (column->size + 1);
        break;
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        if (column->max_length > 40 && word % 3 == 0)
            length = 12 + word % 23; /* around what the words of an index hold */
        break;
    default: /* the small unsigned kinds and INET */
        return value;
    }
    /* Some texts share a long beginning, and some hold NUL. */
    const bool alike = random_word(random) % 3 == 0;
    const bool zeros = column->kind != AERO_KIND_IPV6 && column->kind != AERO_KIND_MAC;
    for (size_t i = 0; i < length; i++) {
        const uint64_t letter = random_word(random);
        text[i] = alike ? 'a' : letters[letter % 6];
        if (zeros && letter / 6 % 16 == 0)
            text[i] = '\0';
    }
    if (column->kind == AERO_KIND_IPV6 && word % 5 == 0)
        memset(text, 0xff, length); /* the words of a NULL */
    value.type = column->kind == AERO_KIND_TEXT || column->kind == AERO_KIND_FIXED
                     ? AERO_TYPE_TEXT
                     : AERO_TYPE_BYTES;
    value.length = (uint32_t)length;
    value.u.data = fake_text(session, text, length);
    return value;
}

/* Add rows of random values; keys count up from the number of rows there. */
static inline void fake_fill(aero_session *session, uint32_t table, size_t count, uint64_t *random)
{
    const aero_table *about = ae_session_table(session, table);
    const size_t before = session->row_count[table];
    fake_add(session, table, count);
    for (size_t i = before; i < before + count; i++) {
        for (uint32_t c = 0; c < about->column_count; c++) {
            const aero_column *column = &about->columns[c];
            aero_value value = fake_value(session, column, random);
            if (c == about->key_column && column->kind == AERO_KIND_TEXT) {
                char key[16];
                value.length = (uint32_t)snprintf(key, sizeof key, "S%05zu", i);
                value.u.data = fake_text(session, key, value.length);
            } else if (c == about->key_column) {
                value = (aero_value){.type = AERO_TYPE_INT, .u.integer = (int64_t)i};
            } else if (column->null_index >= 0 && random_word(random) % 4 == 0) {
                value.type = AERO_TYPE_NULL;
            }
            column->set(fake_row(session, table, i), &value);
        }
    }
}

static inline void fake_get(const aero_session *session, uint32_t table, size_t row,
                            uint32_t column, aero_value *value)
{
    ae_session_table(session, table)
        ->columns[column]
        .get(fake_row(session, table, row), NULL, value);
}

#endif
