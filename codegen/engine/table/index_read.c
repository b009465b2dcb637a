/* index_read.c — lists of indexes, and rows through them (see index_read.h). */
#include "table/index_read.h"

#include <stdlib.h>
#include <string.h>

#include "table/table_private.h"

_Static_assert(AE_INDEX_WORDS == AE_KEY_WORDS_MAX && AE_INDEX_WORDS == AE_TREE_WORDS_MAX,
               "one idea of a key");

/* ---- which there are ------------------------------------------------------------------------ */

/* The name of an index is those of its columns; kept for as long as the handle lives. */
static const char *name_of(aero_db *db, const aero_table *of, const ae_key_shape *shape)
{
    size_t length = 0;
    for (uint32_t index = 0; index < shape->column_count; index++)
        length += strlen(of->columns[shape->columns[index]].name) + 1;
    ae_index_name *name = malloc(sizeof *name + length + 1);
    if (name == NULL)
        return "";
    char *end = name->text;
    for (uint32_t index = 0; index < shape->column_count; index++) {
        const char *column = of->columns[shape->columns[index]].name;
        const size_t bytes = strlen(column);
        if (index > 0)
            *end++ = ',';
        memcpy(end, column, bytes);
        end += bytes;
    }
    *end = '\0';
    /* Acquire: texts of other threads; pairs with the exchange below. */
    ae_index_name *first = atomic_load_explicit(&db->index_names, memory_order_acquire);
    for (;;) {
        for (const ae_index_name *at = first; at != NULL; at = at->next)
            if (strcmp(at->text, name->text) == 0) {
                free(name);
                return at->text;
            }
        name->next = first;
        /* Release: the text before the link. */
        if (atomic_compare_exchange_strong_explicit(&db->index_names, &first, name,
                                                    memory_order_acq_rel, memory_order_acquire))
            return name->text;
    }
}

/* The snapshot a statement of the session reads with is at least this. */
static uint64_t session_snapshot(const aero_session *session)
{
    return session->txn.open && session->txn.snapshot != 0 ? session->txn.snapshot : UINT64_MAX;
}

/* The shape and tree of an index that may be used at a snapshot.  The caller holds one. */
static bool index_look(const aero_db *db, uint32_t table, uint32_t number, uint64_t snapshot,
                       ae_key_shape *shape, ae_tree *tree)
{
    ae_index_place *place = ae_catalog_place(&db->catalog, table, number);
    const uint64_t state = ae_load64_acquire(&place->state);
    return number < AE_INDEXES_MAX && ae_index_phase_of(state) == AE_INDEX_READY &&
           ae_load64(&place->usable_from) <= snapshot &&
           ae_catalog_shape(&db->catalog, table, place, shape) &&
           ae_catalog_tree(&db->catalog, place, shape, tree) &&
           ae_load64_acquire(&place->state) == state;
}

uint32_t ae_index_list(const aero_session *session, uint32_t table, ae_index_info *infos,
                       uint32_t max)
{
    aero_db *db = session->db;
    const aero_table *of = &db->schema->tables[table];
    const uint64_t snapshot = session_snapshot(session);
    uint32_t count = 0;
    for (uint64_t mask = ae_catalog_maintained(&db->catalog, table); mask != 0; mask &= mask - 1) {
        const uint32_t number = (uint32_t)__builtin_ctzll(mask);
        ae_key_shape shape;
        ae_tree tree;
        if (!index_look(db, table, number, snapshot, &shape, &tree))
            continue;
        if (count++ >= max)
            continue;
        ae_index_info *info = &infos[count - 1];
        memset(info, 0, sizeof *info);
        info->number = number;
        info->word_count = shape.word_count;
        info->column_count = shape.worded_count;
        info->unique = ae_load32(&ae_catalog_place(&db->catalog, table, number)->unique) != 0;
        for (uint32_t index = 0; index < shape.worded_count; index++) {
            info->columns[index] = shape.columns[index];
            info->word_at[index + 1] = info->word_at[index] +
                                       ae_key_column_words(&of->columns[shape.columns[index]]);
        }
    }
    return count;
}

const char *ae_index_title(const aero_session *session, uint32_t table, uint32_t number)
{
    ae_key_shape shape;
    ae_tree tree;
    if (!index_look(session->db, table, number, UINT64_MAX, &shape, &tree))
        return "";
    return name_of(session->db, &session->db->schema->tables[table], &shape);
}

uint32_t ae_index_columns(const aero_session *session, uint32_t table, uint32_t number,
                          uint32_t *columns)
{
    ae_key_shape shape;
    ae_tree tree;
    if (!index_look(session->db, table, number, UINT64_MAX, &shape, &tree))
        return 0;
    memcpy(columns, shape.columns, shape.column_count * sizeof *columns);
    return shape.column_count;
}

uint64_t ae_index_epoch(const aero_session *session, uint32_t table)
{
    const ae_catalog *catalog = &session->db->catalog;
    const uint64_t snapshot = session_snapshot(session);
    uint64_t hidden = 0;
    const uint64_t epoch = ae_load64_acquire(&catalog->shared->tables[table].epoch);
    if (snapshot != UINT64_MAX)
        for (uint64_t mask = ae_catalog_maintained(catalog, table); mask != 0; mask &= mask - 1) {
            const uint32_t number = (uint32_t)__builtin_ctzll(mask);
            hidden |= ae_load64(&ae_catalog_place(catalog, table, number)->usable_from) > snapshot;
        }
    return epoch << 1 | hidden; /* in an old transaction there may be fewer */
}

void ae_index_words(const aero_table *table, const ae_index_info *info, const void *row,
                    const char *base, uint64_t words[AE_INDEX_WORDS])
{
    ae_key_shape shape = {.column_count = info->column_count,
                          .worded_count = info->column_count,
                          .word_count = info->word_count,
                          .width = info->word_count};
    for (uint32_t index = 0; index < info->column_count; index++)
        shape.columns[index] = info->columns[index];
    ae_key_words(table, &shape, row, base, words);
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Trees are looked at under a published snapshot: an open read's, or one of its own.  An open
 * transaction's would not do: while it is at rest, as it is between its statements, nodes are freed
 * beside it, or it may have been cancelled.  Returns what has to be taken back. */
static ae_a64 *session_pin(const aero_session *session)
{
    ae_a64 *pin = &session->db->proc.shared->members[session->member].pin;
    if (ae_load64(pin) != 0)
        return NULL;
    (void)ae_snapshot_publish(&session->db->proc, pin);
    return pin;
}

static void session_unpin(ae_a64 *pin)
{
    if (pin != NULL)
        /* Release: the reads are over; pairs with ae_horizon_compute. */
        ae_store64_release(pin, 0);
}

/* A range of the columns' words in the tree, whose keys may have one word more. */
static void tree_range(const ae_key_shape *shape, const ae_index_range *range, ae_tree_range *keys)
{
    AE_ASSERT(shape->word_count <= AE_INDEX_WORDS);
    ae_tree_range_all(keys);
    memcpy(keys->low.words, range->low, shape->word_count * sizeof *range->low);
    memcpy(keys->high.words, range->high, shape->word_count * sizeof *range->high);
}

uint64_t ae_index_estimate(aero_session *session, uint32_t table, uint32_t number,
                           const ae_index_range *range)
{
    ae_key_shape shape;
    ae_tree tree;
    ae_tree_range keys;
    uint64_t estimate = 0;
    ae_a64 *pin = session_pin(session);
    if (index_look(session->db, table, number, UINT64_MAX, &shape, &tree)) {
        tree_range(&shape, range, &keys);
        estimate = ae_tree_estimate(&tree, &keys);
    }
    session_unpin(pin);
    return estimate;
}

bool ae_index_figures_take(aero_session *session, uint32_t table, uint32_t number,
                           ae_index_figures *figures)
{
    ae_key_shape shape;
    ae_tree tree;
    ae_tree_sample sample;
    memset(figures, 0, sizeof *figures);
    ae_a64 *pin = session_pin(session);
    const bool there = index_look(session->db, table, number, UINT64_MAX, &shape, &tree);
    if (there) {
        ae_tree_sample_take(&tree, session->random, &sample);
        figures->title = name_of(session->db, &session->db->schema->tables[table], &shape);
        figures->entries = sample.entries;
        figures->distinct = sample.distinct;
        figures->bytes = sample.bytes;
    }
    session_unpin(pin);
    return there;
}

void ae_index_size(aero_session *session, uint32_t table, uint32_t number, uint64_t *entries,
                   uint64_t *distinct)
{
    ae_index_figures figures;
    (void)ae_index_figures_take(session, table, number, &figures);
    *entries = figures.entries;
    *distinct = figures.distinct;
}

/* ---- rows ----------------------------------------------------------------------------------- */

bool ae_index_read_open(ae_index_read *read, ae_reader *reader, uint32_t table, uint32_t number,
                        const ae_index_range *range, bool backward)
{
    AE_ASSERT(table < reader->session->db->schema->table_count);
    read->reader = reader;
    read->entries = 0;
    read->failed = AERO_OK;
    read->table = table;
    read->number = number;
    read->backward = backward;
    if (!index_look(reader->session->db, table, number, reader->snapshot, &read->shape,
                    &read->tree))
        return false;
    ae_index_read_seek(read, range);
    return true;
}

void ae_index_read_seek(ae_index_read *read, const ae_index_range *range)
{
    ae_tree_range keys;
    read->range = *range;
    read->taken = 0;
    read->count = 0;
    read->begun = false;
    read->ended = false;
    read->resting = false;
    tree_range(&read->shape, range, &keys);
    ae_tree_seek(&read->cursor, &read->tree, &keys, read->backward);
}

/* Remember the last entry that was taken, before the batch is forgotten. */
static void last_keep(ae_index_read *read)
{
    if (read->taken == 0)
        return;
    const uint32_t at = read->taken - 1;
    const uint32_t width = read->tree.width;
    memcpy(read->last.words, read->words + (size_t)at * width, width * sizeof *read->words);
    read->last.anchor = read->anchors[at];
    read->begun = true;
}

void ae_index_read_rest(ae_index_read *read)
{
    last_keep(read);
    read->taken = read->count = 0;
    read->resting = true;
}

/* Down the tree again, to what is left of the range. */
static void read_wake(ae_index_read *read)
{
    read->resting = false;
    if (read->ended || !read->begun)
        return; /* the walk is at no node */
    ae_tree_range keys;
    AE_ASSERT(read->last.anchor != UINT32_MAX);
    tree_range(&read->shape, &read->range, &keys);
    if (read->backward) {
        keys.high = read->last; /* which is not in the range */
    } else {
        keys.low = read->last;
        keys.low.anchor++;
    }
    ae_tree_seek(&read->cursor, &read->tree, &keys, read->backward);
}

/* Fetch entries when none are left; false at the end. */
static bool read_fill(ae_index_read *read, size_t max)
{
    AE_ASSERT(max > 0 && read->taken <= read->count);
    if (read->taken < read->count)
        return true;
    if (read->resting)
        read_wake(read);
    last_keep(read);
    read->taken = 0;
    read->count = ae_tree_next(&read->cursor, read->words, read->anchors,
                               max < AE_INDEX_BATCH ? (uint32_t)max : AE_INDEX_BATCH);
    AE_ASSERT(read->count <= AE_INDEX_BATCH);
    read->ended = read->count == 0;
    if (read->ended && read->cursor.fail != AERO_OK)
        read->failed = ae_fail(&read->reader->session->error, read->cursor.fail,
                               "an index of %s is damaged",
                               read->reader->session->db->schema->tables[read->table].name);
    return read->count > 0;
}

/* Bring the newest versions of some rows near, all of them at once. */
static void rows_fetch(const aero_db *db, const ae_ref *anchors, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++)
        __builtin_prefetch(ae_at(&db->segment, anchors[index]));
    for (uint32_t index = 0; index < count; index++) {
        const ae_anchor *row = ae_at(&db->segment, anchors[index]);
        const char *version = ae_at(&db->segment, ae_head_ref(ae_load64(&row->head)));
        __builtin_prefetch(version);
        __builtin_prefetch(version + 64);
    }
}

/* The version that the reader sees: the newest one, mostly. */
static inline ae_version *row_find(const ae_reader *reader, ae_ref anchor)
{
    AE_ASSERT(anchor != 0);
    const aero_db *db = reader->session->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    if (ae_head_is_row(head)) {
        ae_version *version = ae_at(&db->segment, ae_head_ref(head));
        if (ae_version_sight(&db->proc, reader->snapshot, reader->own, version) == AE_SEEN &&
            ae_load32(&version->anchor) == anchor)
            return version;
    }
    return ae_chain_find(reader, anchor);
}

static inline void view_fill(const aero_db *db, ae_view *view, const ae_version *version)
{
    view->row = version->row;
    view->base = (const char *)ae_at(&db->segment, ae_load32(&version->overflow) + 1);
}

size_t ae_index_read_next(ae_index_read *read, ae_view *views, size_t max)
{
    const aero_db *db = read->reader->session->db;
    const aero_table *of = &db->schema->tables[read->table];
    const uint32_t width = read->tree.width;
    size_t count = 0;
    while (count < max && read_fill(read, max - count)) {
        const uint32_t left = read->count - read->taken;
        const uint32_t some = left < max - count ? left : (uint32_t)(max - count);
        const ae_ref *anchors = read->anchors + read->taken;
        const uint64_t *words = read->words + (size_t)read->taken * width;
        rows_fetch(db, anchors, some);
        for (uint32_t index = 0; index < some; index++, words += width) {
            uint64_t own[AE_KEY_WORDS_MAX];
            const ae_version *version = row_find(read->reader, anchors[index]);
            if (version == NULL)
                continue;
            view_fill(db, &views[count], version);
            ae_key_words(of, &read->shape, views[count].row, views[count].base, own);
            /* Else the row is met under its own key. */
            count += memcmp(own, words, width * sizeof *words) == 0;
        }
        read->taken += some;
        read->entries += some;
    }
    AE_ASSERT(count <= max && read->taken <= read->count);
    return count;
}

size_t ae_index_read_anchors(ae_index_read *read, ae_ref *anchors, size_t max)
{
    size_t count = 0;
    while (count < max && read_fill(read, max - count)) {
        const uint32_t left = read->count - read->taken;
        const uint32_t some = left < max - count ? left : (uint32_t)(max - count);
        memcpy(anchors + count, read->anchors + read->taken, some * sizeof *anchors);
        count += some;
        read->taken += some;
        read->entries += some;
    }
    AE_ASSERT(count <= max);
    return count;
}

size_t ae_anchors_read(ae_reader *reader, uint32_t table, const ae_ref *anchors, size_t count,
                       ae_view *views)
{
    const aero_db *db = reader->session->db;
    size_t found = 0;
    (void)table;
    for (size_t first = 0; first < count; first += AE_INDEX_BATCH) {
        const uint32_t some = count - first < AE_INDEX_BATCH ? (uint32_t)(count - first)
                                                             : AE_INDEX_BATCH;
        rows_fetch(db, anchors + first, some);
        for (uint32_t index = 0; index < some; index++) {
            const ae_version *version = row_find(reader, anchors[first + index]);
            if (version != NULL)
                view_fill(db, &views[found++], version);
        }
    }
    AE_ASSERT(found <= count);
    return found;
}

/* ---- the ends ------------------------------------------------------------------------------- */

/* Is the value before (forward) or behind (backward) the best so far? */
static bool view_is_better(const aero_column *column, const ae_view *view, const ae_view *best,
                           bool backward)
{
    const int32_t order = column->compare(view->row, view->base, best->row, best->base);
    return backward ? order > 0 : order < 0;
}

/* The best row at one end: among those with equal words the values decide.  Errors: NO_MEMORY,
 * CORRUPT. */
static aero_status end_find(ae_reader *reader, uint32_t table, const ae_index_info *info,
                            bool backward, ae_view *best, bool *found)
{
    const aero_table *of = &reader->session->db->schema->tables[table];
    const aero_column *column = &of->columns[info->columns[0]];
    const uint32_t width = info->word_at[1];
    ae_index_read *read = malloc(sizeof *read);
    ae_index_range range;
    ae_view views[AE_INDEX_BATCH];
    uint64_t first[AE_INDEX_WORDS];
    *found = false;
    memset(range.low, 0, sizeof range.low);
    memset(range.high, 0xff, sizeof range.high);
    if (read == NULL)
        return ae_fail(&reader->session->error, AERO_NO_MEMORY, "no memory to read an index");
    bool more = ae_index_read_open(read, reader, table, info->number, &range, backward);
    while (more) {
        const size_t count = ae_index_read_next(read, views, AE_INDEX_BATCH);
        more = count > 0;
        for (size_t index = 0; index < count && more; index++) {
            uint64_t words[AE_INDEX_WORDS];
            if (column->null_index >= 0 &&
                ae_null_get(views[index].row, (uint32_t)column->null_index))
                continue;
            ae_index_words(of, info, views[index].row, views[index].base, words);
            if (*found && memcmp(words, first, width * sizeof *words) != 0)
                more = false;
            else if (!*found || view_is_better(column, &views[index], best, backward))
                *best = views[index];
            if (!*found)
                memcpy(first, words, sizeof first);
            *found = true;
        }
    }
    const aero_status status = ae_index_read_status(read);
    free(read);
    return status;
}

static void value_keep(aero_value *value, char **text)
{
    AE_ASSERT(*text != NULL);
    if (value->type != AERO_TYPE_TEXT && value->type != AERO_TYPE_BYTES)
        return;
    if (value->length > 0)
        memcpy(*text, value->u.data, value->length);
    value->u.data = *text;
    *text += value->length;
}

aero_status ae_index_span(aero_session *session, uint32_t table, const ae_index_info *info,
                          aero_value *low, aero_value *high, int32_t *found)
{
    const aero_column *column = &session->db->schema->tables[table].columns[info->columns[0]];
    ae_reader reader;
    ae_view views[2];
    bool some = false;
    aero_status status = ae_reader_open(session, false, &reader);
    *found = 0;
    if (status != AERO_OK)
        return status;
    if (ae_reader_notes(&reader))
        ae_reader_note_table(&reader, table);
    status = end_find(&reader, table, info, false, &views[0], &some);
    if (status == AERO_OK && some)
        status = end_find(&reader, table, info, true, &views[1], &some);
    if (status == AERO_OK && some) {
        column->get(views[0].row, views[0].base, low);
        column->get(views[1].row, views[1].base, high);
        char *text = ae_session_text(session, (size_t)low->length + high->length + 1);
        if (text == NULL) {
            status = ae_fail(&session->error, AERO_NO_MEMORY, "no memory for two values");
        } else {
            value_keep(low, &text);
            value_keep(high, &text);
            *found = 1;
        }
    }
    ae_reader_close(&reader);
    return status;
}
