/* catalog.c — places of indexes and their states (see catalog.h). */
#include "index/catalog.h"

#include "base/os.h"

#define PHASE_SHIFT 60
#define OWNER_SLOT_SHIFT 48
#define OWNER_GENERATION (((uint64_t)1 << OWNER_SLOT_SHIFT) - 1)
#define STATE(phase, rest) ((uint64_t)(phase) << PHASE_SHIFT | (rest))
#define STATE_REST (((uint64_t)1 << PHASE_SHIFT) - 1)

_Static_assert(AE_SLOTS <= 256, "a slot fits between generation and phase");

static uint64_t owner_of(const ae_catalog *catalog, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint64_t generation = ae_load64(&ae_slot_at(catalog->proc, slot)->generation);
    return (uint64_t)slot << OWNER_SLOT_SHIFT | (generation & OWNER_GENERATION);
}

static void place_define(ae_index_place *place, const ae_key_shape *shape, bool unique)
{
    AE_ALWAYS(shape->column_count > 0 && shape->column_count <= AE_KEY_COLUMNS_MAX);
    ae_store64(&place->usable_from, 0);
    ae_store64(&place->orphans, 0);
    ae_store32(&place->unique, unique ? 1 : 0);
    ae_store32(&place->column_count, shape->column_count);
    for (uint32_t index = 0; index < shape->column_count; index++)
        ae_store32(&place->columns[index], shape->columns[index]);
    ae_tree_create(&place->root, shape->width);
}

aero_status ae_catalog_create(ae_segment *segment, const aero_table *tables, uint32_t table_count,
                              aero_error *error)
{
    AE_ALWAYS(table_count <= AE_TABLES_MAX);
    const ae_ref root = ae_segment_carve(segment, sizeof(ae_catalog_shared) +
                                                      table_count * sizeof(ae_catalog_table));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the catalogue of indexes");
    segment->header->roots[AE_ROOT_INDEXES] = root;
    ae_catalog_shared *shared = ae_at(segment, root);
    for (uint32_t width = 1; width <= AE_TREE_WORDS_MAX; width++)
        ae_tree_create(&shared->patterns[width - 1], width);
    for (uint32_t table = 0; table < table_count; table++) {
        const aero_table *of = &tables[table];
        ae_catalog_table *at = &shared->tables[table];
        for (uint32_t index = 0; index < of->index_count; index++) {
            const aero_index *declared = &of->indexes[index];
            ae_key_shape shape = {.column_count = declared->column_count};
            if (index >= AE_INDEXES_MAX || declared->column_count == 0 ||
                declared->column_count > AE_KEY_COLUMNS_MAX)
                return ae_fail(error, AERO_SCHEMA,
                               "table %s has indexes that this engine cannot hold", of->name);
            for (uint32_t column = 0; column < declared->column_count; column++)
                shape.columns[column] = declared->columns[column];
            ae_key_shape_finish(of, &shape, declared->unique != 0);
            place_define(&at->places[index], &shape, declared->unique != 0);
            ae_store64(&at->places[index].state, STATE(AE_INDEX_READY, 0));
            ae_store64(&at->maintained, ae_load64(&at->maintained) | (uint64_t)1 << index);
        }
    }
    return AERO_OK;
}

aero_status ae_catalog_open(ae_catalog *catalog, ae_proc *proc, const aero_table *tables,
                            uint32_t table_count, aero_error *error)
{
    AE_ALWAYS(table_count <= AE_TABLES_MAX);
    ae_segment *segment = proc->heap->segment;
    const ae_ref root = segment->header->roots[AE_ROOT_INDEXES];
    const uint64_t bytes = sizeof(ae_catalog_shared) + table_count * sizeof(ae_catalog_table);
    if (root == 0 || !ae_segment_holds(segment, root, bytes))
        return ae_fail(error, AERO_CORRUPT, "the segment's catalogue of indexes is damaged");
    catalog->proc = proc;
    catalog->tables = tables;
    catalog->table_count = table_count;
    catalog->shared = ae_at(segment, root);
    aero_status status = AERO_OK;
    for (uint32_t width = 1; width <= AE_TREE_WORDS_MAX && status == AERO_OK; width++) {
        status = ae_tree_open(&catalog->patterns[width], proc,
                              &catalog->shared->patterns[width - 1], error);
        if (status == AERO_OK && catalog->patterns[width].width != width)
            status = ae_fail(error, AERO_CORRUPT, "the segment's catalogue of indexes is damaged");
    }
    for (uint32_t table = 0; table < table_count && status == AERO_OK; table++)
        for (uint32_t number = 0; number < AE_INDEXES_MAX && status == AERO_OK; number++) {
            ae_index_place *place = ae_catalog_place(catalog, table, number);
            const uint64_t state = ae_load64_acquire(&place->state);
            const enum ae_index_phase phase = ae_index_phase_of(state);
            ae_key_shape shape;
            ae_tree tree;
            if (phase == AE_INDEX_ABSENT || phase == AE_INDEX_CLAIMED)
                continue;
            if (phase <= AE_INDEX_DESTROYING && ae_catalog_shape(catalog, table, place, &shape) &&
                ae_catalog_tree(catalog, place, &shape, &tree))
                continue;
            if (ae_load64_acquire(&place->state) == state) /* else others are at it just now */
                status = ae_fail(error, AERO_CORRUPT, "index %u of table %s is damaged", number,
                                 tables[table].name);
        }
    return status;
}

bool ae_catalog_shape(const ae_catalog *catalog, uint32_t table, const ae_index_place *place,
                      ae_key_shape *shape)
{
    AE_ASSERT(table < catalog->table_count);
    const aero_table *of = &catalog->tables[table];
    const uint32_t count = ae_load32(&place->column_count);
    if (count == 0 || count > AE_KEY_COLUMNS_MAX)
        return false;
    shape->column_count = count;
    for (uint32_t index = 0; index < count; index++) {
        shape->columns[index] = ae_load32(&place->columns[index]);
        if (shape->columns[index] >= of->column_count)
            return false;
    }
    ae_key_shape_finish(of, shape, ae_load32(&place->unique) != 0);
    return true;
}

bool ae_catalog_tree(const ae_catalog *catalog, ae_index_place *place, const ae_key_shape *shape,
                     ae_tree *tree)
{
    if (place->root.width != shape->width)
        return false;
    AE_ASSERT(shape->width >= 1 && shape->width <= AE_TREE_WORDS_MAX);
    *tree = catalog->patterns[shape->width];
    tree->root = &place->root;
    tree->root_ref = ae_ref_of(catalog->proc->heap->segment, &place->root);
    return true;
}

/* ---- coming and going ----------------------------------------------------------------------- */

static bool place_is_over(const ae_index_place *place, const ae_key_shape *shape)
{
    if (ae_load32(&place->column_count) != shape->column_count)
        return false;
    for (uint32_t index = 0; index < shape->column_count; index++)
        if (ae_load32(&place->columns[index]) != shape->columns[index])
            return false;
    return true;
}

/* Another index over the same columns?  Both claim before they look, so that of two at least one
 * sees the other. */
static aero_status rival_find(const ae_catalog *catalog, uint32_t table, uint32_t own,
                              const ae_key_shape *shape, aero_error *error)
{
    AE_ASSERT(table < catalog->table_count && own < AE_INDEXES_MAX);
    const aero_table *of = &catalog->tables[table];
    for (uint32_t number = 0; number < AE_INDEXES_MAX; number++) {
        const ae_index_place *place = ae_catalog_place(catalog, table, number);
        const enum ae_index_phase phase = ae_index_phase_of(ae_load64_acquire(&place->state));
        if (number == own || phase == AE_INDEX_ABSENT || phase > AE_INDEX_READY ||
            !place_is_over(place, shape))
            continue;
        char name[AE_KEY_NAME_SIZE];
        ae_key_name(of, shape->column_count, shape->columns, name);
        if (phase == AE_INDEX_CLAIMED)
            return ae_fail(error, AERO_CONFLICT, "somebody is making the same index of %s (%s)",
                           of->name, name);
        ae_fail(error, AERO_EXISTS, "%s has an index over these columns (%s) already", of->name,
                name);
        ae_key_error_place(error, of, shape->column_count, shape->columns);
        return AERO_EXISTS;
    }
    return AERO_OK;
}

aero_status ae_catalog_claim(const ae_catalog *catalog, uint32_t slot, uint32_t table,
                             const ae_key_shape *shape, bool unique, uint32_t *number,
                             aero_error *error)
{
    AE_ALWAYS(table < catalog->table_count && slot < AE_SLOTS);
    const uint64_t owner = owner_of(catalog, slot);
    uint32_t own = 0;
    for (; own < AE_INDEXES_MAX; own++)
        /* Acquire: the last one's definition is over; pairs with ae_catalog_tend. */
        if (ae_cas64(&ae_catalog_place(catalog, table, own)->state, STATE(AE_INDEX_ABSENT, 0),
                     STATE(AE_INDEX_CLAIMED, owner)))
            break;
    if (own == AE_INDEXES_MAX)
        return ae_fail(error, AERO_LIMIT, "%s has its most indexes (%u)",
                       catalog->tables[table].name, AE_INDEXES_MAX);
    AE_CRASH_POINT("index.claimed");
    ae_index_place *place = ae_catalog_place(catalog, table, own);
    place_define(place, shape, unique);
    atomic_thread_fence(memory_order_seq_cst); /* claimed before looking; pairs with itself */
    const aero_status status = rival_find(catalog, table, own, shape, error);
    if (status != AERO_OK)
        ae_catalog_abandon(catalog, slot, table, own);
    *number = own;
    return status;
}

/* Stores of others from before they could see the mask are visible afterwards. */
static void barrier(const ae_catalog *catalog)
{
    if (catalog->proc->asymmetric)
        while (!ae_os_barrier()) /* fails only for want of kernel memory */
            ae_os_sleep_ns(1000000);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with ae_catalog_fence */
}

void ae_catalog_building(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_catalog_table *at = &catalog->shared->tables[table];
    /* Release: the definition before the state, the state before the bit; pairs with readers of
     * either. */
    ae_store64_release(&at->places[number].state,
                       STATE(AE_INDEX_BUILDING, owner_of(catalog, slot)));
    AE_CRASH_POINT("index.building");
    (void)ae_or64(&at->maintained, (uint64_t)1 << number);
    AE_CRASH_POINT("index.maintained");
    barrier(catalog);
}

void ae_catalog_ready(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number,
                      uint64_t usable_from)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_catalog_table *at = &catalog->shared->tables[table];
    (void)slot;
    ae_store64(&at->places[number].usable_from, usable_from);
    /* Release: all entries before the state. */
    ae_store64_release(&at->places[number].state, STATE(AE_INDEX_READY, 0));
    AE_CRASH_POINT("index.ready");
    (void)ae_add64(&at->epoch, 1);
}

/* The place says "closing" on behalf of `owner`: take its bit away, and let it wait for the
 * horizon.  Safe to repeat. */
static void place_close(const ae_catalog *catalog, uint32_t table, uint32_t number, uint64_t state)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_catalog_table *at = &catalog->shared->tables[table];
    (void)ae_and64(&at->maintained, ~((uint64_t)1 << number));
    (void)ae_add64(&at->epoch, 1);
    AE_CRASH_POINT("index.unmaintained");
    barrier(catalog);
    /* Whoever saw the bit holds a snapshot no newer than this (C2). */
    const uint64_t clock = ae_load64_acquire(&catalog->proc->shared->clock);
    /* Before the place has no owner any more, who is found when he dies. */
    (void)ae_add64(&catalog->shared->untidy, 1);
    AE_CRASH_POINT("index.untidy");
    (void)ae_cas64(&at->places[number].state, state, STATE(AE_INDEX_DROPPING, clock));
    AE_CRASH_POINT("index.dropping");
}

void ae_catalog_abandon(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_index_place *place = ae_catalog_place(catalog, table, number);
    const uint64_t owner = owner_of(catalog, slot);
    if (ae_cas64(&place->state, STATE(AE_INDEX_CLAIMED, owner), STATE(AE_INDEX_ABSENT, 0)))
        return;
    if (ae_cas64(&place->state, STATE(AE_INDEX_BUILDING, owner), STATE(AE_INDEX_CLOSING, owner)))
        place_close(catalog, table, number, STATE(AE_INDEX_CLOSING, owner));
}

bool ae_catalog_drop(const ae_catalog *catalog, uint32_t slot, uint32_t table, uint32_t number)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_index_place *place = ae_catalog_place(catalog, table, number);
    const uint64_t closing = STATE(AE_INDEX_CLOSING, owner_of(catalog, slot));
    if (!ae_cas64(&place->state, STATE(AE_INDEX_READY, 0), closing))
        return false;
    AE_CRASH_POINT("index.closing");
    place_close(catalog, table, number, closing);
    return true;
}

void ae_catalog_defer(const ae_catalog *catalog, uint32_t table)
{
    ae_store64(&catalog->shared->tables[table].maintained, 0); /* alone */
}

void ae_catalog_resume(const ae_catalog *catalog, uint32_t table, uint32_t number,
                       uint64_t usable_from)
{
    AE_ALWAYS(table < catalog->table_count && number < AE_INDEXES_MAX);
    ae_catalog_table *at = &catalog->shared->tables[table];
    ae_store64(&at->places[number].usable_from, usable_from);
    (void)ae_or64(&at->maintained, (uint64_t)1 << number);
    (void)ae_add64(&at->epoch, 1);
}

uint32_t ae_catalog_tend(const ae_catalog *catalog, uint32_t slot, uint64_t horizon)
{
    AE_ASSERT(slot < AE_SLOTS);
    const uint64_t destroying = STATE(AE_INDEX_DESTROYING, owner_of(catalog, slot));
    const uint64_t tidied = ae_load64_acquire(&catalog->shared->tidied);
    const uint64_t untidy = ae_load64_acquire(&catalog->shared->untidy);
    uint32_t waiting = 0;
    for (uint32_t table = 0; table < catalog->table_count; table++)
        for (uint32_t number = 0; number < AE_INDEXES_MAX; number++) {
            ae_index_place *place = ae_catalog_place(catalog, table, number);
            const uint64_t state = ae_load64_acquire(&place->state);
            ae_key_shape shape;
            ae_tree tree;
            if (ae_index_phase_of(state) == AE_INDEX_DESTROYING ||
                ae_index_phase_of(state) == AE_INDEX_CLOSING)
                waiting++;
            if (ae_index_phase_of(state) != AE_INDEX_DROPPING)
                continue;
            if ((state & STATE_REST) >= horizon || !ae_cas64(&place->state, state, destroying)) {
                waiting++;
                continue;
            }
            AE_CRASH_POINT("index.destroying");
            if (ae_catalog_shape(catalog, table, place, &shape) &&
                ae_catalog_tree(catalog, place, &shape, &tree) &&
                ae_tree_destroy(&tree, slot, NULL) == AERO_FULL) {
                /* A step that a writer had begun needs a node: the rest another time. */
                ae_store64_release(&place->state, state);
                waiting++;
                continue;
            }
            AE_CRASH_POINT("index.destroyed");
            /* Release: nobody works on the tree before the place is claimed again. */
            ae_store64_release(&place->state, STATE(AE_INDEX_ABSENT, 0));
        }
    if (waiting == 0) /* what was dropped meanwhile is counted beyond this; neither goes back */
        (void)ae_cas64(&catalog->shared->tidied, tidied, untidy);
    return waiting;
}

void ae_catalog_recover(const ae_catalog *catalog, uint32_t slot)
{
    AE_ALWAYS(slot < AE_SLOTS);
    const uint64_t owner = owner_of(catalog, slot);
    for (uint32_t table = 0; table < catalog->table_count; table++)
        for (uint32_t number = 0; number < AE_INDEXES_MAX; number++) {
            ae_index_place *place = ae_catalog_place(catalog, table, number);
            const uint64_t state = ae_load64_acquire(&place->state);
            const enum ae_index_phase phase = ae_index_phase_of(state);
            if ((state & STATE_REST) != owner)
                continue;
            if (phase == AE_INDEX_CLAIMED || phase == AE_INDEX_BUILDING)
                ae_catalog_abandon(catalog, slot, table, number);
            else if (phase == AE_INDEX_CLOSING || phase == AE_INDEX_DESTROYING)
                place_close(catalog, table, number, state);
        }
}
