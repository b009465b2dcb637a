/* entry.c — entering rows into ordered indexes, one by one or in sorted batches, and the
 * enforcement of unique ones.
 *
 * How it works.  A version is published in its row's chain first, and its keys are entered after
 * that (why: txn/entries.h); before the commit nobody but the transaction itself needs them.  A
 * version that has the key of the one it replaces is not entered again.
 *
 * Unique keys.  Whoever brings a value enters first and looks afterwards who else has it; so of two
 * who bring one value at least one sees the other.  Another row that has the value for this
 * transaction is a violation; one that has it for others only, or may have it (written by somebody
 * who has not committed, or committed after our snapshot), is a conflict: the next attempt knows
 * more.  NULLs are no duplicates.
 */
#include <stdlib.h>
#include <string.h>

#include "table/publish_private.h"
#include "txn/entries.h"

/* Keys of one index that are kept before they are entered: as many as a large index has leaves, so
 * that those of one leaf come together.  In transactions of 65,536 rows a load into three indexes
 * takes 0.87 of the time that it takes with 4,096 keys.  What is not filled is never touched. */
#define BATCH_KEYS 65536u
/* Rivals of a unique value looked at in one go. */
#define RIVALS 8u

typedef struct entry_list {
    uint32_t count;
    uint32_t number; /* of the index; its shape cannot change while the transaction runs */
    ae_key_shape shape;
    uint64_t *items; /* as ae_key_sort takes them, and as much scratch behind */
} entry_list;

struct ae_entry_batch {
    aero_session *session;
    uint32_t table;
    uint32_t list_count;
    entry_list lists[AE_INDEXES_MAX];
    uint64_t words[BATCH_KEYS * AE_KEY_WORDS_MAX]; /* packed, for the tree */
    ae_ref anchors[BATCH_KEYS];
};

/* ---- unique --------------------------------------------------------------------------------- */

enum rival { RIVAL_NONE, RIVAL_HAS, RIVAL_MAY_HAVE };

/* What a row that wants to be alone with its key is compared with. */
typedef struct claim {
    aero_session *session;
    const aero_table *of;
    uint32_t table;
    const ae_key_shape *shape;
    const uint64_t *words;
    const void *row;
    const char *base;
} claim;

static const char *version_base(const aero_db *db, const ae_version *version)
{
    return (const char *)ae_at(&db->segment, ae_load32(&version->overflow) + 1);
}

/* A mark of somebody who has died: clear it away.  True: look again. */
static bool stamp_reaped(const aero_session *session, uint64_t stamp)
{
    aero_db *db = session->db;
    const uint32_t slot = ae_mark_slot(stamp);
    const bool own = ae_mark_same(stamp, ae_txn_mark(session));
    return (stamp & AE_MARK) != 0 && stamp != AE_STAMP_INFINITY && !own &&
           ae_slot_dead(&db->proc, slot) && ae_reap_slot(db, slot, session->member);
}

/* One version of another row, from the newest on.  *last: those behind it do not matter. */
static enum rival version_judge(const claim *mine, ae_ref anchor, const ae_version *version,
                                bool *last, bool *again)
{
    const aero_db *db = mine->session->db;
    uint64_t words[AE_KEY_WORDS_MAX];
    const uint64_t end = ae_load64_acquire(&version->end);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const enum ae_sight sight = ae_version_sight(&db->proc, mine->session->txn.snapshot,
                                                 ae_txn_mark(mine->session), version);
    if (ae_load32(&version->anchor) != anchor || sight == AE_NOTHING || sight == AE_ENDED) {
        *last = true;
        return RIVAL_NONE;
    }
    const bool read = ae_key_words_racy(&db->heap, mine->of, mine->shape, version, words);
    atomic_thread_fence(memory_order_acquire);
    *again = ae_load64_acquire(&version->begin) != begin ||
             ae_load64_acquire(&version->end) != end || stamp_reaped(mine->session, begin) ||
             stamp_reaped(mine->session, end);
    *last = sight == AE_SEEN;
    if (*again || !read || !ae_key_words_equal(words, mine->words))
        return RIVAL_NONE;
    /* Of long values the words are the beginning only.  What others are just writing may be undone
     * while it is compared: equal beginnings must do, for as long as it runs.  One of our own is a
     * write that was undone, met over a link to memory that has been used again. */
    if (sight == AE_UNBORN)
        return ae_mark_same(begin, ae_txn_mark(mine->session)) ? RIVAL_NONE : RIVAL_MAY_HAVE;
    if (ae_key_has_null(mine->of, mine->shape, version->row) ||
        !ae_key_values_equal(mine->of, mine->shape, version->row, version_base(db, version),
                             mine->row, mine->base))
        return RIVAL_NONE;
    return end == AE_STAMP_INFINITY ? RIVAL_HAS : RIVAL_MAY_HAVE;
}

/* Another row with an entry of the same words: does it have the value?  *version: the one that
 * has. */
static enum rival rival_judge(const claim *mine, ae_ref anchor, const ae_version **version)
{
    const aero_db *db = mine->session->db;
    const ae_anchor *row = ae_at(&db->segment, anchor);
    for (;;) {
        const uint64_t head = ae_load64_acquire(&row->head);
        ae_ref ref = ae_head_is_row(head) ? ae_head_ref(head) : 0;
        enum rival found = RIVAL_NONE;
        ae_step step = {NULL, 0}; /* as in ae_chain_find */
        ae_ref tortoise = 0;
        uint32_t steps = 0;
        uint32_t lap = 1;
        bool last = false;
        bool again = false;
        while (ref != 0 && ref != tortoise && !last && !again && found == RIVAL_NONE) {
            if (ref != ae_head_ref(head) && !ae_heap_leads(&db->heap, ref))
                break; /* a link that nobody needs */
            *version = ae_at(&db->segment, ref);
            const ae_ref older = ae_load32(&(*version)->older);
            const uint64_t begin = ae_load64_acquire(&(*version)->begin);
            found = version_judge(mine, anchor, *version, &last, &again);
            atomic_thread_fence(memory_order_acquire);
            again |= !ae_step_holds(&step, ref);
            step = (ae_step){*version, begin};
            if (++steps == lap) {
                tortoise = ref;
                lap *= 2;
                steps = 0;
            }
            ref = older;
        }
        if (!again && ae_load64_acquire(&row->head) == head)
            return found;
        ae_pause();
    }
}

static aero_status unique_error(const claim *mine, const ae_version *version)
{
    AE_ASSERT(version != NULL && mine->shape->column_count > 0);
    aero_session *session = mine->session;
    const ae_key_shape *shape = mine->shape;
    char name[AE_KEY_NAME_SIZE];
    /* That the other row was there is a read: the error may decide what the caller does next. */
    if (session->txn.tracks)
        ae_reads_key(&session->txn.reads, mine->table,
                     mine->of->hash_key(version->row, version_base(session->db, version)));
    ae_key_name(mine->of, shape->column_count, shape->columns, name);
    if (shape->column_count == 1)
        ae_fail(&session->error, AERO_EXISTS, "%s has a row with this %s already", mine->of->name,
                name);
    else
        ae_fail(&session->error, AERO_EXISTS,
                "%s has a row with these values of its unique index %s already", mine->of->name,
                name);
    ae_key_error_place(&session->error, mine->of, shape->column_count, shape->columns);
    return AERO_EXISTS;
}

/* Words of a unique index that no other row had. */
typedef struct free_words {
    const aero_table *of;
    ae_key_shape shape;
    uint64_t words[AE_KEY_WORDS_MAX];
} free_words;

static bool free_words_match(void *context, const void *row, const char *base)
{
    const free_words *noted = context;
    uint64_t words[AE_KEY_WORDS_MAX];
    ae_key_words(noted->of, &noted->shape, row, base, words);
    return ae_key_words_equal(words, noted->words);
}

/* That a value was free is a read, too: the write's success told it.  While the write stands nobody
 * else can take the value; inside a savepoint it may be undone, and what it told remains. */
static void free_words_note(const claim *mine)
{
    ae_txn *txn = &mine->session->txn;
    if (!txn->tracks || txn->savepoint_count == 0)
        return;
    free_words *noted = malloc(sizeof *noted);
    if (noted == NULL) {
        ae_reads_table(&txn->reads, mine->table);
        return;
    }
    *noted = (free_words){.of = mine->of, .shape = *mine->shape};
    memcpy(noted->words, mine->words, sizeof noted->words);
    const ae_predicate predicate = {
        .table = mine->table, .match = free_words_match, .release = free, .context = noted};
    ae_reads_predicate(&txn->reads, &predicate);
}

/* The key has been entered: is the row alone with its value? */
static aero_status unique_check(const claim *mine, const ae_tree *tree, ae_ref anchor)
{
    AE_ASSERT(anchor != 0 && mine->words != NULL);
    ae_tree_cursor cursor;
    ae_tree_range range;
    uint64_t words[RIVALS * AE_KEY_WORDS_MAX];
    ae_ref anchors[RIVALS];
    memcpy(range.low.words, mine->words, sizeof range.low.words);
    memcpy(range.high.words, mine->words, sizeof range.high.words);
    range.low.anchor = 0;
    range.high.anchor = UINT32_MAX;
    atomic_thread_fence(memory_order_seq_cst); /* entered before looking; pairs with itself */
    ae_tree_seek(&cursor, tree, &range, false);
    for (uint32_t count; (count = ae_tree_next(&cursor, words, anchors, RIVALS)) > 0;)
        for (uint32_t index = 0; index < count; index++) {
            const ae_version *version = NULL;
            const enum rival found = anchors[index] == anchor
                                         ? RIVAL_NONE
                                         : rival_judge(mine, anchors[index], &version);
            if (found == RIVAL_HAS)
                return unique_error(mine, version);
            if (found == RIVAL_MAY_HAVE)
                return ae_conflict(mine->session, AERO_CONFLICT_WRITE, mine->of->name);
        }
    if (cursor.fail != AERO_OK)
        return ae_fail(&mine->session->error, cursor.fail, "an index of %s is damaged",
                       mine->of->name);
    free_words_note(mine);
    return AERO_OK;
}

/* ---- one by one ----------------------------------------------------------------------------- */

static aero_status tree_put(aero_session *session, ae_tree *tree, const ae_tree_key *key,
                            ae_ref near)
{
    AE_ASSERT(session->txn.open);
    const uint32_t slot = session->txn.slot;
    aero_status status = ae_tree_put_near(tree, slot, key, near, &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_tree_put(tree, slot, key, &session->error);
    return status;
}

static aero_status batch_add(struct ae_entry_batch *batch, uint32_t number,
                             const ae_key_shape *shape, const ae_tree_key *key);

/* Indexes entered together. */
#define PUT_GROUP 8u

/* An entry to be made. */
typedef struct entry {
    uint32_t number;
    bool unique;
    bool same; /* the replaced version has the words as well; only the values differ */
    ae_key_shape shape;
    ae_tree tree;
    ae_tree_key key;
} entry;

/* Make the row's key for one index; *needed: it differs from the replaced version's. */
static aero_status entry_prepare(const row_write *write, uint32_t number, ae_ref anchor,
                                 const void *image, const ae_version *replaced, entry *of,
                                 bool *needed)
{
    AE_ASSERT(anchor != 0 && number < AE_INDEXES_MAX);
    aero_session *session = write->session;
    const aero_db *db = session->db;
    ae_index_place *place = ae_catalog_place(&db->catalog, write->table, number);
    uint64_t before[AE_KEY_WORDS_MAX];
    of->number = number;
    of->unique = ae_load32(&place->unique) != 0;
    of->same = false;
    of->key.anchor = anchor;
    *needed = true;
    if (!ae_catalog_shape(&db->catalog, write->table, place, &of->shape) ||
        !ae_catalog_tree(&db->catalog, place, &of->shape, &of->tree))
        return ae_fail(&session->error, AERO_CORRUPT, "index %u of %s is damaged", number,
                       write->of->name);
    ae_key_words(write->of, &of->shape, image, NULL, of->key.words);
    if (replaced == NULL)
        return AERO_OK;
    ae_key_words(write->of, &of->shape, replaced->row, version_base(db, replaced), before);
    of->same = ae_key_words_equal(before, of->key.words);
    *needed = !of->same ||
              (of->unique && !ae_key_values_equal(write->of, &of->shape, image, NULL, replaced->row,
                                                  version_base(db, replaced)));
    return AERO_OK;
}

static aero_status entry_put(const row_write *write, const void *image, entry *of, ae_ref near)
{
    AE_ASSERT(of->key.anchor != 0);
    if (write->batch != NULL)
        return batch_add(write->batch, of->number, &of->shape, &of->key);
    const aero_status status = of->same ? AERO_OK
                                        : tree_put(write->session, &of->tree, &of->key, near);
    AE_CRASH_POINT("entry.put");
    if (status != AERO_OK || !of->unique || ae_key_has_null(write->of, &of->shape, image))
        return status;
    const claim mine = {.session = write->session,
                        .of = write->of,
                        .table = write->table,
                        .shape = &of->shape,
                        .words = of->key.words,
                        .row = image};
    return unique_check(&mine, &of->tree, of->key.anchor);
}

aero_status ae_entries_put(const row_write *write, ae_ref anchor, const void *image,
                           const ae_version *replaced)
{
    const ae_catalog *catalog = &write->session->db->catalog;
    aero_status status = AERO_OK;
    ae_catalog_fence(catalog); /* published before we look who wants to know */
    uint64_t mask = ae_catalog_maintained(catalog, write->table);
    uint64_t moved = 0;
    while (mask != 0 && status == AERO_OK) {
        entry entries[PUT_GROUP];
        ae_tree_want wants[PUT_GROUP];
        uint32_t count = 0;
        for (; mask != 0 && count < PUT_GROUP && status == AERO_OK; mask &= mask - 1) {
            entry *of = &entries[count];
            bool needed = false;
            status = entry_prepare(write, (uint32_t)__builtin_ctzll(mask), anchor, image, replaced,
                                   of, &needed);
            if (!needed)
                continue;
            moved |= mask & (0 - mask);
            wants[count++] = (ae_tree_want){&of->tree, &of->key,
                                            ae_entry_near(write->ahead, of->number, &of->key)};
        }
        AE_ASSERT(count <= PUT_GROUP);
        if (write->batch == NULL && status == AERO_OK)
            ae_tree_fetch(wants, count);
        for (uint32_t index = 0; index < count && status == AERO_OK; index++)
            status = entry_put(write, image, &entries[index], wants[index].near);
    }
    if (write->batch == NULL && replaced != NULL) {
        write->session->moved = moved;
        write->session->moved_table = write->table;
    }
    return status;
}

/* ---- in batches ----------------------------------------------------------------------------- */

static void batch_free(struct ae_entry_batch *batch)
{
    for (uint32_t index = 0; index < AE_INDEXES_MAX; index++)
        free(batch->lists[index].items);
    free(batch);
}

struct ae_entry_batch *ae_entry_batch_start(aero_session *session, uint32_t table)
{
    struct ae_entry_batch *batch = session->entry_batch;
    if (ae_catalog_maintained(&session->db->catalog, table) == 0)
        return NULL;
    if (batch == NULL) {
        batch = calloc(1, sizeof *batch);
        if (batch == NULL)
            return NULL;
        session->entry_batch = batch;
        session->entry_batch_free = batch_free;
    }
    AE_ASSERT(batch->list_count <= AE_INDEXES_MAX);
    batch->session = session;
    batch->table = table;
    /* The lists keep their memory. */
    for (uint32_t index = 0; index < batch->list_count; index++)
        batch->lists[index].count = 0;
    batch->list_count = 0;
    return batch;
}

/* After the put: each row that wants to be alone. */
static aero_status batch_unique(const struct ae_entry_batch *batch, const entry_list *list,
                                const uint64_t *items, const ae_tree *tree)
{
    aero_session *session = batch->session;
    aero_db *db = session->db;
    const aero_table *of = &db->schema->tables[batch->table];
    const uint32_t width = list->shape.width;
    ae_reader reader;
    aero_status status = ae_reader_open(session, false, &reader);
    for (uint32_t index = 0; index < list->count && status == AERO_OK; index++) {
        uint64_t words[AE_KEY_WORDS_MAX];
        const uint64_t *item = items + (size_t)index * (width + 1);
        const ae_ref anchor = ae_key_item_anchor(item, width);
        const ae_version *version = ae_chain_find(&reader, anchor);
        if (version == NULL || ae_key_has_null(of, &list->shape, version->row))
            continue;
        ae_key_words(of, &list->shape, version->row, version_base(db, version), words);
        if (memcmp(words, item, width * sizeof *words) != 0)
            continue; /* written once more in the same batch */
        const claim mine = {.session = session,
                            .of = of,
                            .table = batch->table,
                            .shape = &list->shape,
                            .words = words,
                            .row = version->row,
                            .base = version_base(db, version)};
        status = unique_check(&mine, tree, anchor);
    }
    ae_reader_close(&reader);
    return status;
}

static aero_status list_flush(struct ae_entry_batch *batch, entry_list *list)
{
    AE_ASSERT(list->count <= BATCH_KEYS && list->number < AE_INDEXES_MAX);
    aero_session *session = batch->session;
    const aero_db *db = session->db;
    ae_index_place *place = ae_catalog_place(&db->catalog, batch->table, list->number);
    const uint32_t slot = session->txn.slot;
    ae_tree tree;
    if (list->count == 0)
        return AERO_OK;
    if (!ae_catalog_tree(&db->catalog, place, &list->shape, &tree))
        return ae_fail(&session->error, AERO_CORRUPT, "index %u is damaged", list->number);
    const uint32_t width = list->shape.width;
    const uint64_t *items = ae_key_sort(list->items, list->items + BATCH_KEYS * (width + 1),
                                        list->count, width);
    const size_t count = ae_key_pack(items, list->count, width, batch->words, batch->anchors);
    AE_ASSERT(count <= list->count);
    aero_status status = ae_tree_put_sorted(&tree, slot, batch->words, batch->anchors, count,
                                            &session->error);
    if (status == AERO_FULL && ae_reclaim_hard(session))
        status = ae_tree_put_sorted(&tree, slot, batch->words, batch->anchors, count,
                                    &session->error);
    AE_CRASH_POINT("entry.flushed");
    if (status == AERO_OK && ae_load32(&place->unique) != 0)
        status = batch_unique(batch, list, items, &tree);
    list->count = 0;
    return status;
}

static aero_status batch_add(struct ae_entry_batch *batch, uint32_t number,
                             const ae_key_shape *shape, const ae_tree_key *key)
{
    uint32_t index = 0;
    while (index < batch->list_count && batch->lists[index].number != number)
        index++;
    entry_list *list = &batch->lists[index];
    if (index == batch->list_count) {
        list->count = 0;
        list->number = number;
        list->shape = *shape;
        batch->list_count++;
        if (list->items == NULL)
            list->items = malloc(2 * (size_t)BATCH_KEYS * (AE_KEY_WORDS_MAX + 1) *
                                 sizeof *list->items);
        if (list->items == NULL)
            return ae_fail(&batch->session->error, AERO_NO_MEMORY,
                           "no memory to collect keys of indexes");
    }
    AE_ASSERT(list->count < BATCH_KEYS && batch->list_count <= AE_INDEXES_MAX);
    uint64_t *item = list->items + (size_t)list->count++ * (shape->width + 1);
    memcpy(item, key->words, shape->width * sizeof *item);
    item[shape->width] = key->anchor;
    return list->count == BATCH_KEYS ? list_flush(batch, list) : AERO_OK;
}

aero_status ae_entry_batch_flush(struct ae_entry_batch *batch)
{
    aero_status status = AERO_OK;
    for (uint32_t index = 0; index < batch->list_count && status == AERO_OK; index++)
        status = list_flush(batch, &batch->lists[index]);
    return status;
}
