/* What `verify` says of a segment in which one word is wrong.
 *
 * Strategy: a store with long texts, older versions, deleted rows and indexes; one word of each
 * kind is changed by hand, verified, and put back.  Invariants: the verdict is CORRUPT and names
 * what is damaged; nothing is changed by looking; with the word back, all is well.
 *
 * variants: plain asan
 */
#include "flights.h"
#include "table/table.h"
#include "txn/db.h"

enum { SIZE = 8 << 20, ROWS = 30, LONG_TEXT = 3000 };

static test_store store;
static ae_version *row;   /* with a long text */
static ae_version *plain; /* without */
static ae_anchor *anchor; /* of the first */
static ae_slot *slot;     /* a free one, in whose limbo something is */

static void *at(ae_ref ref)
{
    return ae_at(&store.db->segment, ref);
}

static ae_ref ref_of(const void *object)
{
    return ae_ref_of(&store.db->segment, object);
}

/* The newest version of a row. */
static ae_version *version_of(const char *key)
{
    const ae_heap *heap = &store.db->heap;
    const ae_pool *pool = &heap->pools[ae_heap_version_pool(FLIGHTS)];
    for (uint32_t index = 0; index < ae_pool_slab_count(pool); index++) {
        const ae_slab *of = ae_pool_slab(heap, pool, index);
        for (uint32_t object = 0; object < ae_load32(&of->high); object++) {
            ae_version *version = ae_slab_object(of, object);
            aero_value found;
            if (ae_load64(&version->begin) == 0 ||
                ae_load64(&version->begin) >= AE_STAMP_INFINITY ||
                ae_load64(&version->end) != AE_STAMP_INFINITY)
                continue;
            const ae_ref block = ae_load32(&version->overflow);
            aero_schema()->tables[FLIGHTS].columns[FLIGHT_ID].get(
                version->row, block == 0 ? NULL : at(block + 1), &found);
            if (found.length == strlen(key) && memcmp(found.u.data, key, found.length) == 0)
                return version;
        }
    }
    fail_msg("no version of %s", key);
    return NULL;
}

static int make(void **state)
{
    (void)state;
    static char text[LONG_TEXT];
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_UPDATED, FLIGHT_DEST};
    char name[32];
    int32_t inserted = 0;
    memset(text, 'x', sizeof text);
    store_open(&store, SIZE);
    aero_session *other = session_new(&store);
    for (uint32_t number = 0; number < ROWS; number++)
        assert_ok(other, flight_put(other, flight_name(name, number), number));
    const aero_value values[] = {v_text("long"), v_real(1), v_real(2), v_int(3),
                                 v_data(AERO_TYPE_TEXT, text, sizeof text)};
    assert_ok(other, aero_upsert(other, FLIGHTS, 5, columns, values, &inserted));
    for (uint32_t number = 0; number < ROWS; number += 3) {
        assert_ok(other, flight_put(other, flight_name(name, number), number + 1000));
        assert_ok(other, flight_delete(other, flight_name(name, number + 1)));
    }
    row = version_of("long");
    plain = version_of(flight_name(name, 2));
    anchor = at(ae_load32(&row->anchor));
    aero_session_close(other);
    slot = NULL;
    for (uint32_t index = 0; index < AE_SLOTS && slot == NULL; index++) {
        ae_slot *of = ae_slot_at(&store.db->proc, index);
        if (ae_load64(&of->owner) == 0 && ae_load32(&of->cache.magazines) != 0)
            slot = of;
    }
    assert_non_null(slot);
    store_verify(store.session);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    store_close(&store);
    return 0;
}

/* The verdict with a word of `size` bytes changed to `value`. */
static void found(void *word, size_t size, uint64_t value, const char *words)
{
    uint64_t kept = 0;
    uint64_t after = 0;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    memcpy(&kept, word, size);
    if (memcmp(&kept, &value, size) == 0)
        fail_msg("%s: the word is %llx already", words, (unsigned long long)value);
    memcpy(word, &value, size);
    const aero_status status = aero_verify(store.session, &rows, &blocks);
    memcpy(&after, word, size);
    memcpy(word, &kept, size);
    if (memcmp(&after, &value, size) != 0)
        fail_msg("%s: looking has changed the word to %llx", words, (unsigned long long)after);
    const char *text = status == AERO_OK ? "fine" : aero_session_error(store.session)->text;
    if (status != AERO_CORRUPT || strstr(text, words) == NULL)
        fail_msg("%d, not \"%s\": %s", status, words, text);
    store_verify(store.session);
}

#define FOUND(word, value, words) found(&(word), sizeof(word), (uint64_t)(value), words)

/* The slab around a place, of objects or of their insides. */
static const ae_slab *slab_of(ae_ref inside)
{
    const uint32_t page = ae_page_slab(&store.db->segment, inside);
    return at(page << (AE_PAGE_SHIFT - 4));
}

/* A slab of blocks that are too large for magazines: nothing else is found first. */
static ae_slab *slab_of_large_ones(void)
{
    const ae_heap *heap = &store.db->heap;
    for (uint32_t pool = heap->class_first; pool < heap->pool_count; pool++)
        if (heap->pools[pool].object_size > 4096 && ae_pool_slab_count(&heap->pools[pool]) > 0 &&
            slab_of(ae_load32(&slot->cache.magazines)) != ae_pool_slab(heap, &heap->pools[pool], 0))
            return (ae_slab *)(uintptr_t)ae_pool_slab(heap, &heap->pools[pool], 0);
    fail_msg("no large block");
    return NULL;
}

/* Goal: a slab's header and its pages are held against each other and against the pool. */
static void test_words_of_a_slab(void **state)
{
    (void)state;
    ae_slab *slab = slab_of_large_ones();
    const uint64_t bytes = (uint64_t)slab->pages << AE_PAGE_SHIFT;
    ae_a32 *map = &store.db->segment.page_map[ref_of(slab) >> (AE_PAGE_SHIFT - 4)];
    FOUND(slab->pool, slab->pool + 1, "slab header");
    FOUND(slab->object_size, slab->object_size + 16, "slab header");
    FOUND(slab->pages, 0, "slab header");
    FOUND(slab->pages, UINT32_MAX, "slab header");
    FOUND(slab->first_offset, slab->first_offset + 8, "slab header");
    FOUND(slab->first_offset, 0, "slab header");
    FOUND(slab->object_count, bytes / slab->object_size + 1, "slab header");
    FOUND(slab->high, slab->object_count + 1, "slab header");
    FOUND(*map, 0, "page map");
    FOUND(slab->block.word, AE_WORD_RETIRED | 1, "slab out of service");
}

/* Goal: a version's stamps, marks and references make sense, and its texts lie where they can. */
static void test_words_of_a_version(void **state)
{
    (void)state;
    const aero_table *table = &aero_schema()->tables[FLIGHTS];
    const uint64_t stale = ae_mark((uint32_t)(slot - ae_slot_at(&store.db->proc, 0)), 77, 1);
    ae_block *block = at(ae_load32(&row->overflow));
    const aero_column *column = &table->columns[FLIGHT_DEST];
    aero_cell *cell = (aero_cell *)(void *)(row->row + column->offset);
    const ae_slab *around = ae_heap_slab(&store.db->heap, ref_of(block));
    const uint64_t room = around->object_size - sizeof(ae_block);
    FOUND(row->older, 7, "older version");
    FOUND(row->older, ref_of(anchor), "older version");
    FOUND(row->begin, stale, "mark of no transaction");
    FOUND(row->end, stale, "mark of no transaction");
    FOUND(row->begin, 1 << 20, "stamps");
    FOUND(row->end, 1 << 20, "stamps");
    FOUND(row->end, 1, "stamps");
    FOUND(row->anchor, 0, "anchor reference");
    FOUND(row->anchor, ref_of(row), "anchor reference");
    FOUND(row->anchor, ae_load32(&plain->anchor), "head of a live row");
    FOUND(row->begin, AE_STAMP_TAKEN, "stamps"); /* nobody would see it, and nothing replaced it */
    FOUND(row->begin, AE_STAMP_DEAD, "stamps");
    FOUND(row->overflow, 7, "overflow block");
    FOUND(row->overflow, ref_of(anchor), "overflow block");
    FOUND(plain->overflow, ref_of(block), "overflow block");
    FOUND(block->word, AE_WORD_OWNED | ref_of(plain), "overflow block");
    FOUND(cell->length, column->max_length + 1, "text");
    FOUND(cell->u.where, room + 1, "text");
    FOUND(cell->u.where, room - LONG_TEXT + 1, "text");
    FOUND(anchor->tag, anchor->tag + 1, "tag of a row's key");
    FOUND(row->end, ae_load64(&row->begin), "");
}

/* Goal: an anchor leads to a version that names it. */
static void test_words_of_an_anchor(void **state)
{
    (void)state;
    const uint64_t head = ae_load64(&anchor->head);
    FOUND(anchor->head, ae_head_next(head, ref_of(anchor)), "head");
    FOUND(anchor->head, ae_head_next(head, ref_of(plain)), "head of a live row");
    FOUND(anchor->head, ae_head_next(head, AE_HEAD_CLOSED), "head of a live row");
}

/* A block of the index of altitudes: a node. */
static ae_block *block_of_nobodys(void)
{
    const ae_heap *heap = &store.db->heap;
    for (uint32_t pool = heap->class_first; pool < heap->pool_count; pool++)
        for (uint32_t index = 0; index < ae_pool_slab_count(&heap->pools[pool]); index++) {
            const ae_slab *of = ae_pool_slab(heap, &heap->pools[pool], index);
            for (uint32_t object = 0; of != NULL && object < ae_load32(&of->high); object++) {
                ae_block *block = ae_slab_object(of, object);
                const uint64_t word = ae_load64(&block->word);
                if ((word & AE_WORD_OWNED) != 0 && (ae_ref)word == 0)
                    return block;
            }
        }
    fail_msg("no block without an owner");
    return NULL;
}

/* Goal: a block belongs to something that names it, or is in some account. */
static void test_words_of_a_block(void **state)
{
    (void)state;
    ae_block *block = block_of_nobodys();
    FOUND(block->word, 5, "block word");
    FOUND(block->word, AE_WORD_OWNED | ref_of(plain), "owner of a block");
    FOUND(block->word, AE_WORD_OWNED | ref_of(row), "owner of a block");
    FOUND(block->word, AE_WORD_RETIRED | 1, "");
    FOUND(block->word, 0, "");
}

/* Goal: the process table is judged before anything in it is followed. */
static void test_words_of_the_process_table(void **state)
{
    (void)state;
    ae_proc_shared *shared = store.db->proc.shared;
    const uint64_t clock = ae_load64(&shared->clock);
    FOUND(shared->tail, clock - 1, "commit queue");
    FOUND(shared->tail, clock + AE_SLOTS + 1, "commit queue");
    FOUND(slot->owner, (uint64_t)5 << 33, "owner of slot");
    FOUND(slot->owner, AE_MEMBERS + 1, "owner of slot");
    FOUND(slot->snapshot, clock, "owner of slot");
    FOUND(slot->chunk_first, 7, "writes of slot");
    FOUND(slot->write_block, 7, "writes of slot");
    FOUND(slot->cache.magazines, 7, "magazines of slot");
}

/* Goal: lists of what is dead have their length, their kind and their end. */
static void test_words_of_the_lists(void **state)
{
    (void)state;
    ae_slot *of = NULL;
    for (uint32_t index = 0; index < AE_SLOTS && of == NULL; index++)
        if (ae_load32(&ae_slot_at(&store.db->proc, index)->limbo_head) != 0)
            of = ae_slot_at(&store.db->proc, index);
    assert_non_null(of);
    ae_version *dead = at(ae_load32(&of->limbo_head));
    FOUND(of->limbo_head, 7, "limbo list of slot");
    FOUND(of->limbo_head, ref_of(anchor), "limbo list of slot");
    FOUND(of->limbo_head, 0, "dead versions outside limbo");
    FOUND(dead->limbo_next, ref_of(dead), "limbo list of slot");
    FOUND(of->block_head, ref_of(row), "limbo list of slot");
    FOUND(of->block_head, 7, "limbo list of slot");
}

/* Goal: numbers of rows and of pages are held against what was found. */
static void test_words_of_the_accounts(void **state)
{
    (void)state;
    ae_segment_header *header = store.db->segment.header;
    FOUND(store.db->row_counts[FLIGHTS], store.db->row_counts[FLIGHTS] + ((uint64_t)1 << 32),
          "number of rows");
    FOUND(header->used, header->used - AE_PAGE_SIZE, "");
    FOUND(header->first_page, header->first_page - 1, "pages that nothing leads to");
}

/* Goal: an index has an entry for what each row holds, and a definition that can be. */
static void test_words_of_an_index(void **state)
{
    (void)state;
    const aero_column *column = &aero_schema()->tables[FLIGHTS].columns[FLIGHT_ALTITUDE];
    ae_index_place *place = ae_catalog_place(&store.db->catalog, FLIGHTS, 0);
    char words[64];
    FOUND(place->column_count, AE_KEY_COLUMNS_MAX + 1, "definition of index 0");
    FOUND(place->columns[0], 99, "definition of index 0");
    FOUND(place->state, UINT64_MAX, "definition of index 0");
    FOUND(place->root.width, 7, "definition of index 0");
    snprintf(words, sizeof words, "of %d rows", (int)row_count(store.session, FLIGHTS));
    found(plain->row + column->offset, 4, 987654, words);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_words_of_a_slab, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_a_version, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_an_anchor, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_a_block, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_the_process_table, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_the_lists, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_the_accounts, make, drop),
    cmocka_unit_test_setup_teardown(test_words_of_an_index, make, drop),
};

AE_TEST_MAIN(tests)
