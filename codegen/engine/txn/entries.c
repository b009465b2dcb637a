/* entries.c — removing index entries that no version needs (see entries.h). */
#include "txn/entries.h"

#include <string.h>

#include "txn/visibility_inline.h"

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
 * one's.  True: somebody sees it, or may, and `own` are its words.  *last: nobody needs the
 * versions behind it.  *again: it changed meanwhile. */
static bool version_ask(const aero_db *db, uint32_t table, const ae_key_shape *shape, ae_ref anchor,
                        const ae_version *version, uint64_t *younger,
                        uint64_t own[AE_KEY_WORDS_MAX], bool *last, bool *again)
{
    const uint64_t horizon = ae_load64_acquire(&db->proc.shared->horizon);
    const uint64_t end = ae_load64_acquire(&version->end);
    const uint64_t begin = ae_load64_acquire(&version->begin);
    const bool marked = (begin & AE_MARK) != 0;
    if (ae_load32(&version->anchor) != anchor || begin == 0 ||
        (!marked && begin >= AE_STAMP_TAKEN) || !begin_fits(db, *younger, begin, again)) {
        *last = true; /* not of this chain, or being freed: a link that nobody needs */
        return false;
    }
    *younger = begin;
    const bool read = ae_key_words_racy(&db->heap, &db->schema->tables[table], shape, version, own);
    /* Acquire: all was read before the version is seen to be still the same. */
    atomic_thread_fence(memory_order_acquire);
    if (ae_load64_acquire(&version->begin) != begin) {
        *again = true;
        return false;
    }
    /* Whoever may still look sees this one, or a younger one. */
    *last = !marked && begin <= horizon;
    return read && end > horizon; /* dead to everybody: its own freer is on the way */
}

/* ---- whether entries are needed ------------------------------------------------------------- */

#define ASK_BUCKETS 256u

/* Words of one row in one index: has a version that somebody sees, or may, the same?  Asked for all
 * of them in one walk along the chain, which on a hot row may be thousands of versions long. */
typedef struct asking {
    const aero_db *db;
    const ae_key_shape *shape;
    const ae_tree_key *keys;
    uint32_t table;
    ae_ref anchor;
    uint32_t count;
    uint32_t open;   /* keys for which no version has been found */
    uint32_t walked; /* versions looked at */
    bool needed[AE_ENTRIES_OF_ROW];
    /* Keys by a hash of their words, as numbers + 1: the first, and for each the next. */
    uint8_t first[ASK_BUCKETS];
    uint8_t next[AE_ENTRIES_OF_ROW];
} asking;
_Static_assert(AE_ENTRIES_OF_ROW < UINT8_MAX, "a key's number + 1 fits a byte");

static uint32_t words_bucket(const uint64_t words[AE_KEY_WORDS_MAX])
{
    uint64_t mixed = 0;
    for (uint32_t word = 0; word < AE_KEY_WORDS_MAX; word++)
        mixed = (mixed ^ words[word]) * 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
    return (uint32_t)(mixed >> 56) % ASK_BUCKETS;
}

static void asking_start(asking *ask)
{
    AE_ASSERT(ask->count <= AE_ENTRIES_OF_ROW);
    memset(ask->first, 0, sizeof ask->first);
    for (uint32_t index = 0; index < ask->count; index++) {
        uint8_t *first = &ask->first[words_bucket(ask->keys[index].words)];
        ask->needed[index] = false;
        ask->next[index] = *first;
        *first = (uint8_t)(index + 1);
    }
    ask->open = ask->count;
    ask->walked = 0;
}

static void asking_found(asking *ask, const uint64_t words[AE_KEY_WORDS_MAX])
{
    for (uint32_t at = ask->first[words_bucket(words)]; at != 0; at = ask->next[at - 1]) {
        if (ask->needed[at - 1] || !ae_key_words_equal(ask->keys[at - 1].words, words))
            continue;
        ask->needed[at - 1] = true;
        ask->open--;
    }
}

/* A committed version of the row that has been asked, with all behind it.  While it is in the chain
 * it stays what it is, and so do they, or go. */
typedef struct asked_from {
    ae_ref ref; /* 0: none yet */
    uint64_t begin;
} asked_from;

/* Walk from the row's head to what has been asked, *from, which moves to the newest committed one.
 * False: something has changed on the way. */
static bool chain_ask(asking *ask, uint64_t head, asked_from *from)
{
    const aero_db *db = ask->db;
    asked_from newest = {0, 0};
    uint64_t younger = 0;
    ae_ref ref = ae_head_is_row(head) ? ae_head_ref(head) : 0;
    ae_step step = {NULL, 0};
    ae_ref tortoise = 0; /* Brent's cycle detection: links of the undone may lead anywhere */
    uint32_t steps = 0;
    uint32_t lap = 1;
    bool last = false;
    while (ref != 0 && ref != tortoise && !last && ask->open != 0) {
        uint64_t own[AE_KEY_WORDS_MAX];
        bool again = false;
        if (ref != ae_head_ref(head) && !ae_heap_leads(&db->heap, ref))
            break; /* a link that nobody needs */
        const ae_version *version = ae_at(&db->segment, ref);
        const ae_ref older = ae_load32(&version->older);
        const bool seen = version_ask(db, ask->table, ask->shape, ask->anchor, version, &younger,
                                      own, &last, &again);
        atomic_thread_fence(memory_order_acquire);
        if (again || !ae_step_holds(&step, ref))
            return false;
        ask->walked++;
        if (seen)
            asking_found(ask, own);
        if (newest.ref == 0 && younger != 0 && (younger & AE_MARK) == 0)
            newest = (asked_from){ref, younger};
        last |= ref == from->ref && younger == from->begin;
        step = (ae_step){version, younger};
        if (++steps == lap) {
            tortoise = ref;
            lap *= 2;
            steps = 0;
        }
        ref = older;
    }
    *from = newest;
    return true;
}

/* Racy by nature: what is being written or undone counts while it is in the chain.  Whoever frees
 * or undoes a version that was found takes it out after us, and then looks itself. */
static void asking_do(asking *ask)
{
    const ae_anchor *row = ae_at(&ask->db->segment, ask->anchor);
    asked_from from = {0, 0};
    asking_start(ask);
    while (ask->open != 0) {
        const uint64_t head = ae_load64_acquire(&row->head);
        /* Only of a chain that has not changed: its counter moves with every change.  A hot row's
         * moves faster than a long chain is walked; then it is what is new that is asked. */
        if (chain_ask(ask, head, &from) && ae_load64_acquire(&row->head) == head)
            return;
        ae_pause();
    }
}

bool ae_entry_needed(const aero_db *db, uint32_t table, const ae_key_shape *shape,
                     const ae_tree_key *key)
{
    asking ask = {
        .db = db, .table = table, .shape = shape, .keys = key, .anchor = key->anchor, .count = 1};
    asking_do(&ask);
    return ask.needed[0];
}

/* Has the newest version of the row the words?  The usual case: the key did not change. */
static bool head_has(const aero_db *db, uint32_t table, const ae_key_shape *shape,
                     const ae_version *version, const uint64_t words[AE_KEY_WORDS_MAX])
{
    const ae_ref anchor = ae_load32(&version->anchor);
    const ae_anchor *row = ae_at(&db->segment, anchor);
    const uint64_t head = ae_load64_acquire(&row->head);
    uint64_t own[AE_KEY_WORDS_MAX];
    uint64_t younger = 0;
    bool last = false;
    bool again = false;
    if (!ae_head_is_row(head))
        return false;
    const ae_version *newest = ae_at(&db->segment, ae_head_ref(head));
    return newest != version &&
           version_ask(db, table, shape, anchor, newest, &younger, own, &last, &again) && !again &&
           ae_key_words_equal(own, words) && ae_load64_acquire(&row->head) == head;
}

/* ---- removing them -------------------------------------------------------------------------- */

/* Indexes looked at together, each for several versions. */
#define DROP_INDEXES 4u

/* An index, as it is now. */
typedef struct drop_index {
    ae_key_shape shape;
    ae_tree tree;
} drop_index;

static bool index_open(const aero_db *db, uint32_t table, uint64_t mask, drop_index *of)
{
    AE_ASSERT(mask != 0);
    ae_index_place *place = ae_catalog_place(&db->catalog, table, (uint32_t)__builtin_ctzll(mask));
    return ae_catalog_shape(&db->catalog, table, place, &of->shape) &&
           ae_catalog_tree(&db->catalog, place, &of->shape, &of->tree);
}

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

/* The ticket, before anybody is asked whether the entry is needed. */
static bool drop_ticket(const drop_index *of, const ae_tree_key *key, ae_ref near,
                        ae_tree_spot *spot)
{
    const bool found = ae_tree_spot_near(&of->tree, key, near, spot);
    if (found)
        AE_CRASH_POINT("entry.ticket");
    return found;
}

/* False: no memory. */
static bool drop_remove(drop_index *of, uint32_t slot, const ae_tree_key *key, ae_tree_spot *spot)
{
    AE_CRASH_POINT("entry.unneeded");
    return ae_tree_spot_remove(&of->tree, slot, key, spot, NULL) != AERO_FULL;
}

/* An entry that may have to go. */
typedef struct drop {
    drop_index *of;
    ae_tree_key key;
    uint32_t version; /* which of those to be freed */
} drop;

/* False: no memory. */
static bool drop_do(const aero_db *db, uint32_t slot, uint32_t table, const drop *at, ae_ref near,
                    uint32_t *walked)
{
    drop_index *of = at->of;
    ae_tree_spot spot;
    if (!drop_ticket(of, &at->key, near, &spot))
        return true;
    asking ask = {.db = db,
                  .table = table,
                  .shape = &of->shape,
                  .keys = &at->key,
                  .anchor = at->key.anchor,
                  .count = 1};
    asking_do(&ask);
    *walked += ask.walked;
    return ask.needed[0] || drop_remove(of, slot, &at->key, &spot);
}

/* Of a few versions, whatever rows they are of: all leaves of some indexes are fetched at once. */
static uint32_t few_drop(const aero_db *db, uint32_t slot, uint32_t table,
                         const ae_version *const *versions, uint32_t count, uint32_t *walked)
{
    uint32_t done = count;
    uint64_t mask = ae_catalog_maintained(&db->catalog, table);
    AE_ASSERT(count <= AE_ENTRIES_TOGETHER);
    while (mask != 0) {
        drop_index indexes[DROP_INDEXES];
        drop drops[DROP_INDEXES * AE_ENTRIES_TOGETHER];
        ae_tree_want wants[DROP_INDEXES * AE_ENTRIES_TOGETHER];
        uint32_t some = 0;
        for (uint32_t index = 0; mask != 0 && index < DROP_INDEXES; mask &= mask - 1, index++) {
            drop_index *of = &indexes[index];
            if (!index_open(db, table, mask, of))
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
            if (!drop_do(db, slot, table, &drops[index], wants[index].near, walked) &&
                drops[index].version < done)
                done = drops[index].version;
    }
    return done;
}

/* Entries of one row in one index that may have to go. */
typedef struct row_drops {
    drop_index of;
    uint32_t count;
    ae_tree_key keys[AE_ENTRIES_OF_ROW];
    ae_tree_spot spots[AE_ENTRIES_OF_ROW];
    uint32_t versions[AE_ENTRIES_OF_ROW];
} row_drops;

/* Find them, and keep those that are there. */
static void row_drops_find(row_drops *drops)
{
    uint32_t kept = 0;
    for (uint32_t from = 0; from < drops->count; from += AE_TREE_WANTS_MAX) {
        ae_tree_want wants[AE_TREE_WANTS_MAX];
        const uint32_t left = drops->count - from;
        const uint32_t some = left < AE_TREE_WANTS_MAX ? left : AE_TREE_WANTS_MAX;
        for (uint32_t index = 0; index < some; index++)
            wants[index] = (ae_tree_want){&drops->of.tree, &drops->keys[from + index], 0};
        ae_tree_fetch(wants, some);
        for (uint32_t index = 0; index < some; index++) {
            ae_tree_spot spot;
            if (!drop_ticket(&drops->of, wants[index].key, wants[index].near, &spot))
                continue;
            drops->keys[kept] = *wants[index].key;
            drops->versions[kept] = drops->versions[from + index];
            drops->spots[kept++] = spot;
        }
    }
    drops->count = kept;
}

/* Of many versions of one row: its chain is walked once for all of them. */
static uint32_t row_drop(const aero_db *db, uint32_t slot, uint32_t table,
                         const ae_version *const *versions, uint32_t count, uint32_t *walked)
{
    uint32_t done = count;
    uint64_t mask = ae_catalog_maintained(&db->catalog, table);
    AE_ASSERT(count <= AE_ENTRIES_OF_ROW);
    for (; mask != 0; mask &= mask - 1) {
        row_drops drops;
        drops.count = 0;
        if (!index_open(db, table, mask, &drops.of))
            continue;
        for (uint32_t version = 0; version < count; version++) {
            ae_tree_key *key = &drops.keys[drops.count];
            drops.versions[drops.count] = version;
            drops.count += drop_prepare(db, table, versions[version], &drops.of, key);
        }
        row_drops_find(&drops);
        asking ask = {.db = db,
                      .table = table,
                      .shape = &drops.of.shape,
                      .keys = drops.keys,
                      .anchor = ae_load32(&versions[0]->anchor),
                      .count = drops.count};
        asking_do(&ask);
        *walked += ask.walked;
        for (uint32_t index = 0; index < drops.count; index++)
            if (!ask.needed[index] &&
                !drop_remove(&drops.of, slot, &drops.keys[index], &drops.spots[index]) &&
                drops.versions[index] < done)
                done = drops.versions[index];
    }
    return done;
}

uint32_t ae_entries_drop(aero_db *db, uint32_t slot, uint32_t table,
                         const ae_version *const *versions, uint32_t count)
{
    uint32_t walked = 0;
    AE_ASSERT(slot < AE_SLOTS);
    /* Out of the chain before we look who is in it: of two that are freed at once, and of which
     * each might leave the entry to the other, one sees that the other is gone.  Pairs with itself,
     * and with ae_catalog_building. */
    atomic_thread_fence(memory_order_seq_cst);
    const uint32_t done = count <= AE_ENTRIES_TOGETHER
                              ? few_drop(db, slot, table, versions, count, &walked)
                              : row_drop(db, slot, table, versions, count, &walked);
    ae_store32(&ae_slot_at(&db->proc, slot)->walked, walked);
    AE_CRASH_POINT("entry.dropped");
    return done;
}

void ae_entries_abandon(const aero_db *db, uint32_t table)
{
    for (uint64_t mask = ae_catalog_maintained(&db->catalog, table); mask != 0; mask &= mask - 1)
        (void)ae_add64(
            &ae_catalog_place(&db->catalog, table, (uint32_t)__builtin_ctzll(mask))->orphans, 1);
}
