/* entries.c — removing index entries that no version needs (see entries.h). */
#include "txn/entries.h"

#include "txn/visibility_inline.h"

/* What a version that was just looked at says about an entry. */
enum version_says { SAYS_NOTHING, SAYS_SAME, SAYS_OTHER };

/* Can a version that began so be behind one that began at `younger` (0: it is the newest)?  The
 * link may lead to memory that has been used again, even for another version of the row, one that
 * has been taken out of the chain: such a one began later, or has not committed. */
static bool begin_fits(const aero_db *db, uint64_t younger, uint64_t begin, bool *again)
{
    uint64_t number = begin;
    if (younger == 0)
        return true;
    if ((begin & AE_MARK) != 0) {
        if (ae_mark_same(begin, younger))
            return (begin & AE_MARK_SEQUENCE) < (younger & AE_MARK_SEQUENCE);
        const enum ae_mark_state state = ae_mark_resolve(&db->proc, begin, &number);
        *again |= state == AE_MARK_STALE;
        if (state != AE_MARK_DONE)
            return false;
    }
    return (younger & AE_MARK) != 0 || number <= younger;
}

/* Look at one version of the row's chain, behind one that began at *younger, which becomes this
 * one's.  *last: nobody needs the versions behind it.  *again: it changed meanwhile. */
static enum version_says version_ask(const aero_db *db, uint32_t table, const ae_key_shape *shape,
                                     ae_ref anchor, const ae_version *version, uint64_t *younger,
                                     const uint64_t words[AE_KEY_WORDS_MAX], bool *last,
                                     bool *again)
{
    uint64_t own[AE_KEY_WORDS_MAX];
    const uint64_t horizon = ae_load64_acquire(&db->proc.shared->horizon);
    const uint64_t end = ae_load64_acquire(&version->end);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const bool marked = (begin & AE_MARK) != 0;
    if (ae_load32(&version->anchor) != anchor || begin == 0 ||
        (!marked && begin >= AE_STAMP_TAKEN) || !begin_fits(db, *younger, begin, again)) {
        *last = true; /* not of this chain, or being freed: a link that nobody needs */
        return SAYS_NOTHING;
    }
    *younger = begin;
    const bool read = ae_key_words_racy(&db->heap, &db->schema->tables[table], shape, version, own);
    /* Acquire: all was read before the version is seen to be still the same. */
    atomic_thread_fence(memory_order_acquire);
    if (ae_load64_acquire(&version->begin) != begin) {
        *again = true;
        return SAYS_NOTHING;
    }
    /* Whoever may still look sees this one, or a younger one. */
    *last = !marked && begin <= horizon;
    if (end <= horizon)
        return SAYS_NOTHING; /* dead to everybody: its own freer is on the way */
    return read && ae_key_words_equal(own, words) ? SAYS_SAME : SAYS_OTHER;
}

bool ae_entry_needed(const aero_db *db, uint32_t table, const ae_key_shape *shape, ae_ref anchor,
                     const uint64_t words[AE_KEY_WORDS_MAX])
{
    const ae_anchor *row = ae_at(&db->segment, anchor);
    for (;;) {
        const uint64_t head = ae_load64_acquire(&row->head);
        uint64_t younger = 0;
        ae_ref ref = ae_head_is_row(head) ? ae_head_ref(head) : 0;
        ae_step step = {NULL, 0};
        ae_ref tortoise = 0; /* Brent's cycle detection: links of the undone may lead anywhere */
        uint32_t steps = 0;
        uint32_t lap = 1;
        bool last = false;
        bool again = false;
        bool same = false;
        while (ref != 0 && ref != tortoise && !last && !again && !same) {
            if (ref != ae_head_ref(head) && !ae_heap_leads(&db->heap, ref))
                break; /* a link that nobody needs */
            const ae_version *version = ae_at(&db->segment, ref);
            const ae_ref older = ae_load32(&version->older);
            same = version_ask(db, table, shape, anchor, version, &younger, words, &last, &again) ==
                   SAYS_SAME;
            atomic_thread_fence(memory_order_acquire);
            again |= !ae_step_holds(&step, ref);
            step = (ae_step){version, younger};
            if (++steps == lap) {
                tortoise = ref;
                lap *= 2;
                steps = 0;
            }
            ref = older;
        }
        /* Only of a chain that has not changed: its counter moves with every change. */
        if (!again && ae_load64_acquire(&row->head) == head)
            return same;
        ae_pause();
    }
}

/* Has the newest version of the row the words?  The usual case: the key did not change. */
static bool head_has(const aero_db *db, uint32_t table, const ae_key_shape *shape,
                     const ae_version *version, const uint64_t words[AE_KEY_WORDS_MAX])
{
    const ae_ref anchor = ae_load32(&version->anchor);
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    uint64_t younger = 0;
    bool last = false;
    bool again = false;
    if (!ae_head_is_row(head))
        return false;
    const ae_version *newest = ae_at(&db->segment, ae_head_ref(head));
    return newest != version &&
           version_ask(db, table, shape, anchor, newest, &younger, words, &last, &again) ==
               SAYS_SAME &&
           ae_load64_acquire(&row->head) == head;
}

/* Indexes looked at together, each for several versions. */
#define DROP_INDEXES 4u

/* An index, as it is now. */
typedef struct drop_index {
    ae_key_shape shape;
    ae_tree tree;
} drop_index;

/* An entry that may have to go. */
typedef struct drop {
    drop_index *of;
    ae_tree_key key;
    uint32_t version; /* which of those to be freed */
} drop;

/* The entry of a version in one index.  False: there is none, or another version has it. */
static bool drop_prepare(const aero_db *db, uint32_t table, const ae_version *version,
                         const drop_index *of, ae_tree_key *key)
{
    key->anchor = ae_load32(&version->anchor);
    /* No text, because it has been given back: then this was done before. */
    return ae_key_words_racy(&db->heap, &db->schema->tables[table], &of->shape, version,
                             key->words) &&
           !head_has(db, table, &of->shape, version, key->words);
}

/* False: no memory. */
static bool drop_do(aero_db *db, uint32_t slot, uint32_t table, const drop *at, ae_ref near)
{
    drop_index *of = at->of;
    ae_tree_spot spot;
    if (!ae_tree_spot_near(&of->tree, &at->key, near, &spot))
        return true;
    AE_CRASH_POINT("entry.ticket");
    if (ae_entry_needed(db, table, &of->shape, at->key.anchor, at->key.words))
        return true;
    AE_CRASH_POINT("entry.unneeded");
    return ae_tree_spot_remove(&of->tree, slot, &at->key, &spot, NULL) != AERO_FULL;
}

uint32_t ae_entries_drop(aero_db *db, uint32_t slot, uint32_t table,
                         const ae_version *const *versions, uint32_t count)
{
    uint32_t done = count;
    AE_ASSERT(count <= AE_ENTRIES_TOGETHER);
    /* Out of the chain before we look who is in it: of two that are freed at once, and of which
     * each might leave the entry to the other, one sees that the other is gone.  Pairs with itself,
     * and with ae_catalog_building. */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t mask = ae_catalog_maintained(&db->catalog, table);
    while (mask != 0) {
        drop_index indexes[DROP_INDEXES];
        drop drops[DROP_INDEXES * AE_ENTRIES_TOGETHER];
        ae_tree_want wants[DROP_INDEXES * AE_ENTRIES_TOGETHER];
        uint32_t some = 0;
        for (uint32_t index = 0; mask != 0 && index < DROP_INDEXES; mask &= mask - 1, index++) {
            drop_index *of = &indexes[index];
            ae_index_place *place = ae_catalog_place(&db->catalog, table,
                                                     (uint32_t)__builtin_ctzll(mask));
            if (!ae_catalog_shape(&db->catalog, table, place, &of->shape) ||
                !ae_catalog_tree(&db->catalog, place, &of->shape, &of->tree))
                continue;
            for (uint32_t version = 0; version < count; version++) {
                drop *at = &drops[some];
                if (!drop_prepare(db, table, versions[version], of, &at->key))
                    continue;
                at->of = of;
                at->version = version;
                wants[some++] = (ae_tree_want){&of->tree, &at->key, 0};
            }
        }
        ae_tree_fetch(wants, some);
        for (uint32_t index = 0; index < some; index++)
            if (!drop_do(db, slot, table, &drops[index], wants[index].near) &&
                drops[index].version < done)
                done = drops[index].version;
    }
    AE_CRASH_POINT("entry.dropped");
    return done;
}

void ae_entries_abandon(const aero_db *db, uint32_t table)
{
    for (uint64_t mask = ae_catalog_maintained(&db->catalog, table); mask != 0; mask &= mask - 1)
        (void)ae_add64(
            &ae_catalog_place(&db->catalog, table, (uint32_t)__builtin_ctzll(mask))->orphans, 1);
}
