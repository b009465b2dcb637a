/* hash.c — entering, removing and splitting (see hash.h). */
#include "index/hash.h"

#include <string.h>

#ifdef AE_EXPLORE /* shards of twelve entries */
#define PROBE_MAX 8u
#define SPLIT_ENTRIES_MIN 4u
#else
/* A probe path longer than this many entries makes the shard split: reached at about five sixths
 * full. */
#define PROBE_MAX (6u * AE_HASH_LINE_ENTRIES)
/* A frozen shard with fewer live entries than this is rewritten, not split: removals filled it. */
#define SPLIT_ENTRIES_MIN 280u
#endif
/* Entries that are asked for ahead of being frozen: sixteen lines. */
#define FREEZE_AHEAD (16u * AE_HASH_LINE_ENTRIES)
/* Rows per shard that is made for rows to come: chance brings hardly one to where it splits. */
#define EXPECT_PER_SHARD (AE_HASH_ENTRIES * 2 / 3)
/* Of a segment, shards for rows that may never come take at most one in this. */
#define EXPECT_SHARE 16u
/* Rows per shard for sizing the directory: a shard is between 42 % and 84 % full. */
#define ROWS_PER_SHARD 160u
#define ROW_BYTES_LEAST 128u

aero_status ae_hash_create(ae_segment *segment, ae_hash_root *root, uint32_t tables,
                           aero_error *error)
{
    const uint64_t shards = segment->size / ROW_BYTES_LEAST / ROWS_PER_SHARD / (tables > 4 ? 2 : 1);
    root->bits = 4;
    while (((uint64_t)1 << root->bits) < shards && root->bits < 28)
        root->bits++;
    AE_ALWAYS(root->bits >= 4 && root->bits <= 28);
    root->directory = ae_segment_carve(segment, sizeof(ae_a32) << root->bits);
    if (root->directory == 0)
        return ae_fail(error, AERO_FULL, "no room for a key directory of %u bits", root->bits);
    return AERO_OK;
}

aero_status ae_hash_open(ae_hash *hash, ae_proc *proc, ae_hash_root *root, uint32_t table,
                         aero_error *error)
{
    const ae_segment *segment = proc->heap->segment;
    const uint64_t first = (uint64_t)segment->header->first_page << AE_PAGE_SHIFT;
    if (root->bits < 4 || root->bits > 28 || root->directory == 0 ||
        ((uint64_t)root->directory << 4) + ((uint64_t)sizeof(ae_a32) << root->bits) > first)
        return ae_fail(error, AERO_CORRUPT, "a key directory of the segment is damaged");
    hash->proc = proc;
    hash->root = root;
    hash->directory = ae_at(segment, root->directory);
    hash->bits = root->bits;
    hash->table = table;
    hash->shard_pool = ae_heap_class(proc->heap, sizeof(ae_shard) - sizeof(ae_block));
    return AERO_OK;
}

ae_shard *ae_hash_follow(const ae_hash *hash, const ae_shard *shard, uint32_t tag)
{
    /* Acquire: the new shards are filled before they are named; pairs with split_publish. */
    const uint64_t successor = ae_load64_acquire(&shard->successor);
    if (successor == 0)
        return NULL;
    const bool high = shard->depth < 31 && (tag >> (30 - shard->depth) & 1u) != 0;
    return ae_at(hash->proc->heap->segment, (ae_ref)(high ? successor >> 32 : successor));
}

/* ---- splitting ------------------------------------------------------------------------------ */

/* How many entries hold a row. */
static uint32_t shard_live(const ae_shard *shard)
{
    uint32_t live = 0;
    for (uint32_t index = 0; index < AE_HASH_ENTRIES; index++) {
        const uint64_t word = ae_load64(&shard->entries[index].word) & ~AE_HASH_FROZEN;
        live += ae_hash_is_row(word);
    }
    return live;
}

/* The most entries that an insert would have to step over. */
static uint32_t shard_longest(const ae_shard *shard)
{
    uint32_t longest = 0;
    uint32_t steps = 0;
    for (uint32_t count = 2 * AE_HASH_ENTRIES; count-- > 0;) { /* twice round: paths wrap */
        const uint32_t index = count % AE_HASH_ENTRIES;
        steps = ae_load64(&shard->entries[index].word) == 0 ? 0 : steps + 1;
        if (index % AE_HASH_LINE_ENTRIES == 0 && steps > longest)
            longest = steps;
    }
    AE_ASSERT(longest <= 2 * AE_HASH_ENTRIES);
    return longest < AE_HASH_ENTRIES ? longest : AE_HASH_ENTRIES;
}

/* Freeze every entry; returns how many hold a row. */
static uint32_t shard_freeze(ae_shard *shard)
{
    uint32_t live = 0;
    for (uint32_t index = 0; index < AE_HASH_ENTRIES; index++) {
        /* Locked operations wait for each other's misses. */
        if (index % AE_HASH_LINE_ENTRIES == 0 && index + FREEZE_AHEAD < AE_HASH_ENTRIES)
            ae_fetch_to_write(&shard->entries[index + FREEZE_AHEAD]);
        /* From here on no insert or removal can change the entry (keeps X1). */
        const uint64_t word = ae_or64(&shard->entries[index].word, AE_HASH_FROZEN) &
                              ~AE_HASH_FROZEN;
        live += ae_hash_is_row(word);
    }
    return live;
}

/* Put an entry into a shard that nobody else sees. */
static void shard_fill(ae_shard *shard, uint64_t word, uint32_t hint)
{
    AE_ASSERT(ae_hash_is_row(word) && (word & AE_HASH_FROZEN) == 0);
    uint32_t index = ae_hash_home((uint32_t)(word >> 32)) * AE_HASH_LINE_ENTRIES;
    const uint32_t end = AE_HASH_ENTRIES;
    for (uint32_t steps = 0; ae_load64(&shard->entries[index].word) != 0; steps++) {
        AE_ALWAYS(steps < end);
        index = index + 1 == end ? 0 : index + 1;
    }
    ae_store32(&shard->entries[index].hint, hint);
    ae_store64(&shard->entries[index].word, word);
}

static aero_status shard_new(ae_hash *hash, uint32_t slot, ae_ref *ref, aero_error *error)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(hash->proc, slot);
    const aero_status status = ae_heap_take(hash->proc->heap, &at->cache, slot, hash->shard_pool,
                                            ref, error);
    if (status != AERO_OK)
        return status;
    ae_shard *shard = ae_at(hash->proc->heap->segment, *ref);
    memset((char *)shard + sizeof shard->block, 0, sizeof *shard - sizeof shard->block);
    shard->probe_max = PROBE_MAX;
    return AERO_OK;
}

static void shard_drop(ae_hash *hash, uint32_t slot, ae_ref ref)
{
    if (ref != 0)
        ae_heap_give(hash->proc->heap, &ae_slot_at(hash->proc, slot)->cache, slot, hash->shard_pool,
                     ref);
}

/* Range of directory entries a shard answers for. */
static void shard_range(const ae_hash *hash, const ae_shard *shard, uint32_t *first,
                        uint32_t *count)
{
    AE_ALWAYS(shard->depth <= hash->bits);
    *count = 1u << (hash->bits - shard->depth);
    *first = shard->prefix << (hash->bits - shard->depth);
}

/* Make every directory entry of the range that still leads to `from` (or, for the root, says 0)
 * lead to `to`. */
static void directory_swing(ae_hash *hash, ae_ref from, ae_ref to)
{
    AE_ASSERT(to != 0 && from != to);
    uint32_t first = 0;
    uint32_t count = 0;
    shard_range(hash, ae_at(hash->proc->heap->segment, to), &first, &count);
    for (uint32_t index = first; index < first + count; index++) {
        const uint32_t seen = ae_load32_acquire(&hash->directory[index]);
        if (seen == from || seen == 0)
            (void)ae_cas32(&hash->directory[index], seen, to);
    }
}

static void split_forget(ae_hash *hash, uint32_t slot)
{
    ae_slot *at = ae_slot_at(hash->proc, slot);
    /* `old` first: without it a reaper gives back no copy, for these may be in use. */
    ae_store32_release(&at->split_old, 0);
    for (int side = 0; side < 2; side++) {
        ae_heap_linked(&at->cache, ae_load32(&at->split_new[side]));
        ae_store32_release(&at->split_new[side], 0);
    }
}

/* The winner's duty: nobody finds the old shard any more, so it can go (keeps X3).  The children
 * forget it first.  So whoever reads it as a parent holds a snapshot from before it was retired,
 * and it cannot become, under the same reference, a shard that the directory rightly leads to. */
static void split_finish(ae_hash *hash, uint32_t slot, ae_ref old, ae_ref low, ae_ref high)
{
    AE_ASSERT(old != 0 && low != 0 && high != 0);
    const ae_segment *segment = hash->proc->heap->segment;
    const ae_slot *at = ae_slot_at(hash->proc, slot);
    directory_swing(hash, old, low);
    directory_swing(hash, old, high);
    AE_CRASH_POINT("hash.swung");
    /* Release: the directory before the parents; pairs with shard_split. */
    ae_store32_release(&((ae_shard *)ae_at(segment, low))->parent, 0);
    ae_store32_release(&((ae_shard *)ae_at(segment, high))->parent, 0);
    /* ... and both before the clock is read at which the old one is retired: whoever publishes a
     * newer snapshot does not meet it.  Pairs with ae_snapshot_publish. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!ae_limbo_last_is(&at->block_head, &at->block_tail, old)) /* or a death came after it */
        ae_block_retire(hash->proc, slot, old);
    AE_CRASH_POINT("hash.retired");
    split_forget(hash, slot);
}

/* Copies that lost, or that nobody was to see. */
static void split_drop(ae_hash *hash, uint32_t slot, const ae_ref *fresh)
{
    shard_drop(hash, slot, fresh[0]);
    shard_drop(hash, slot, fresh[1]);
    split_forget(hash, slot);
}

/* Two empty shards, named in the slot's registers. */
static aero_status split_prepare(ae_hash *hash, uint32_t slot, ae_ref old, ae_ref *fresh,
                                 aero_error *error)
{
    AE_ASSERT(old != 0 && slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(hash->proc, slot);
    ae_store32_release(&at->split_table, hash->table);
    ae_store32_release(&at->split_old, old);
    for (int side = 0; side < 2; side++) {
        const aero_status status = shard_new(hash, slot, &fresh[side], error);
        if (status != AERO_OK) {
            split_drop(hash, slot, fresh);
            return status;
        }
        ae_store32_release(&at->split_new[side], fresh[side]);
        AE_CRASH_POINT("hash.prepared");
    }
    return AERO_OK;
}

/* Copy the rows of a frozen shard. */
static void split_fill(const ae_hash *hash, uint32_t slot, const ae_shard *shard,
                       const ae_ref *fresh, bool two)
{
    AE_ASSERT(fresh[0] != 0 && (!two || fresh[1] != 0));
    const ae_segment *segment = hash->proc->heap->segment;
    const ae_ref old = ae_ref_of(segment, shard);
    ae_shard *children[2] = {ae_at(segment, fresh[0]), ae_at(segment, fresh[two ? 1 : 0])};
    for (uint32_t side = 0; side < (two ? 2u : 1u); side++) {
        children[side]->depth = shard->depth + (two ? 1 : 0);
        children[side]->prefix = two ? shard->prefix << 1 | side : shard->prefix;
        ae_store32(&children[side]->parent, old);
    }
    for (uint32_t index = 0; index < AE_HASH_ENTRIES; index++) {
        const uint64_t word = ae_load64(&shard->entries[index].word) & ~AE_HASH_FROZEN;
        if (!ae_hash_is_row(word))
            continue;
        const bool up = two && ((uint32_t)(word >> 32) >> (30 - shard->depth) & 1u) != 0;
        shard_fill(children[up ? 1 : 0], word, ae_load32(&shard->entries[index].hint));
    }
    /* Where rewriting did not shorten the paths, since nothing had been removed, or the directory
     * has its most bits, longer ones are borne, twice as long each time, or the shard would be
     * rewritten for ever. */
    const uint32_t longest = two ? 0 : shard_longest(children[0]);
    if (!two && longest + AE_HASH_LINE_ENTRIES >= PROBE_MAX)
        children[0]->probe_max = 2 * longest < AE_HASH_ENTRIES ? 2 * longest : AE_HASH_ENTRIES;
    for (uint32_t side = 0; side < (two ? 2u : 1u); side++) {
        /* Whose copy it is: a reaper must know it from one that another made of the same memory. */
        ae_store32(&children[side]->block.extra, slot + 1);
        ae_store64_release(&children[side]->block.word, AE_WORD_OWNED | old);
    }
    AE_CRASH_POINT("hash.filled");
}

static aero_status shard_split(ae_hash *hash, uint32_t slot, ae_shard *shard, aero_error *error)
{
    ae_slot *at = ae_slot_at(hash->proc, slot);
    const ae_ref old = ae_ref_of(hash->proc->heap->segment, shard);
    /* A split whose winner has not yet swung the directory to this shard is completed first, or the
     * directory could be swung back to it after it is gone.  Acquire: pairs with split_finish. */
    const ae_ref parent = ae_load32_acquire(&shard->parent);
    if (parent != 0)
        directory_swing(hash, parent, old);
    if (ae_load64_acquire(&shard->successor) != 0)
        return AERO_OK;
    const bool deepest = shard->depth >= hash->bits;
    if (deepest && shard_live(shard) > AE_HASH_ENTRIES * 9 / 10)
        return ae_fail(error, AERO_FULL, "a key directory of %u bits has its most keys",
                       hash->bits);
    /* Memory first: a shard that is frozen and cannot be replaced takes no write any more. */
    ae_ref fresh[2] = {0, 0};
    const aero_status status = split_prepare(hash, slot, old, fresh, error);
    if (status != AERO_OK)
        return status;
    const uint32_t live = shard_freeze(shard);
    AE_ASSERT(live <= AE_HASH_ENTRIES);
    AE_CRASH_POINT("hash.frozen");
    const bool two = live >= SPLIT_ENTRIES_MIN && !deepest;
    if (!two) {
        ae_store32_release(&at->split_new[1], 0);
        shard_drop(hash, slot, fresh[1]);
        fresh[1] = 0;
    }
    if (ae_load64_acquire(&shard->successor) == 0)
        split_fill(hash, slot, shard, fresh, two);
    const ae_ref high = two ? fresh[1] : fresh[0];
    /* Release: the copies are complete before anyone follows; pairs with ae_hash_follow. */
    if (ae_cas64(&shard->successor, 0, (uint64_t)high << 32 | fresh[0])) {
        AE_CRASH_POINT("hash.published");
        split_finish(hash, slot, old, fresh[0], high);
    } else {
        split_drop(hash, slot, fresh);
    }
    return AERO_OK;
}

static aero_status root_make(ae_hash *hash, uint32_t slot, aero_error *error)
{
    ae_slot *at = ae_slot_at(hash->proc, slot);
    ae_ref ref = 0;
    const aero_status status = shard_new(hash, slot, &ref, error);
    if (status != AERO_OK)
        return status;
    ae_store32_release(&at->split_table, hash->table);
    ae_store32_release(&at->split_new[0], ref);
    ae_shard *shard = ae_at(hash->proc->heap->segment, ref);
    ae_store32(&shard->block.extra, slot + 1);
    ae_store64_release(&shard->block.word, AE_WORD_OWNED);
    if (!ae_cas32(&hash->root->root_shard, 0, ref))
        shard_drop(hash, slot, ref);
    split_forget(hash, slot);
    return AERO_OK;
}

/* How many bits of tags the shards share that so many rows fill. */
static uint32_t expect_depth(const ae_hash *hash, uint64_t rows)
{
    const uint64_t most = hash->proc->heap->segment->size / EXPECT_SHARE / sizeof(ae_shard);
    uint32_t depth = 0;
    while (depth < hash->bits && ((uint64_t)2 << depth) <= most && rows >> depth > EXPECT_PER_SHARD)
        depth++;
    return depth;
}

aero_status ae_hash_expect(ae_hash *hash, uint32_t slot, uint64_t rows, aero_error *error)
{
    ae_slot *at = ae_slot_at(hash->proc, slot);
    const uint32_t depth = expect_depth(hash, rows);
    if (depth == 0 || ae_load32_acquire(&hash->root->root_shard) != 0)
        return AERO_OK;
    for (uint32_t prefix = 0; prefix < 1u << depth; prefix++) {
        ae_ref ref = 0;
        const aero_status status = shard_new(hash, slot, &ref, error);
        if (status != AERO_OK)
            return status;
        ae_shard *shard = ae_at(hash->proc->heap->segment, ref);
        uint32_t first = 0;
        uint32_t count = 0;
        shard->depth = depth;
        shard->prefix = prefix;
        ae_store32(&shard->block.extra, slot + 1);
        ae_store64_release(&shard->block.word, AE_WORD_OWNED);
        shard_range(hash, shard, &first, &count);
        for (uint32_t index = first; index < first + count; index++)
            ae_store32_release(&hash->directory[index], ref);
        /* Nothing leads to it any more once the directory is full; it says that there are rows. */
        if (prefix == 0)
            ae_store32_release(&hash->root->root_shard, ref);
        ae_heap_linked(&at->cache, ref);
        AE_CRASH_POINT("hash.expected");
    }
    return AERO_OK;
}

void ae_hash_recover(ae_hash *hash, uint32_t slot)
{
    ae_slot *at = ae_slot_at(hash->proc, slot);
    const ae_segment *segment = hash->proc->heap->segment;
    const ae_ref old = ae_load32_acquire(&at->split_old);
    const ae_ref low = ae_load32_acquire(&at->split_new[0]);
    const ae_ref high = ae_load32_acquire(&at->split_new[1]);
    if (ae_load32_acquire(&at->split_table) != hash->table)
        return;
    if (old != 0) {
        ae_shard *shard = ae_at(segment, old);
        const uint64_t pair = (uint64_t)(high != 0 ? high : low) << 32 | low;
        if (low != 0 && ae_load64_acquire(&shard->successor) == pair &&
            ae_load32(&((const ae_block *)ae_at(segment, low))->extra) == slot + 1) {
            split_finish(hash, slot, old, low, high != 0 ? high : low);
            return;
        }
    } else if (low != 0 && ae_load32_acquire(&hash->root->root_shard) == low) {
        split_forget(hash, slot);
        return;
    }
    /* Copies that were never named: given back unless that has been done. */
    for (int side = 0; side < 2; side++) {
        const ae_ref ref = side == 0 ? low : high;
        const ae_block *block = ae_at(segment, ref);
        uint32_t cached_by = 0;
        const uint64_t word = ae_load64_acquire(&block->word);
        bool mine = false;
        for (uint32_t index = 0; index < 4; index++)
            mine |= ref != 0 && ae_load32(&at->cache.direct[index]) == ref;
        if (mine && word == (AE_WORD_OWNED | old) && ae_load32(&block->extra) == slot + 1 &&
            !ae_heap_is_cached_word(AE_POOL_BLOCK, word, &cached_by))
            shard_drop(hash, slot, ref);
    }
    split_forget(hash, slot);
}

/* ---- entering and removing ------------------------------------------------------------------ */

enum probe_result { PROBE_FOUND, PROBE_ENTERED, PROBE_AGAIN, PROBE_SPLIT };

/* One walk along a probe path: a matching row, or where a new one can go. */
typedef struct probe {
    ae_hash_entry
        *entry;    /* the match, or the first removed entry of the tag, or the first empty one */
    uint64_t word; /* what was read of it */
    bool company;  /* entries of the tag were met */
} probe;

/* One entry of a probe path that is not empty.  True: the walk ends with *result. */
static bool probe_entry(ae_hash_entry *at, uint64_t seen, uint32_t tag, ae_hash_match match,
                        void *context, probe *path, enum probe_result *result)
{
    if ((seen & AE_HASH_FROZEN) != 0) {
        *result = PROBE_SPLIT;
        return true;
    }
    if ((uint32_t)(seen >> 32) != tag)
        return false;
    path->company = true;
    if (!ae_hash_is_row(seen)) {
        path->word = path->entry == NULL ? seen : path->word;
        path->entry = path->entry == NULL ? at : path->entry;
        return false;
    }
    if (!match(context, ae_hash_anchor(seen)))
        return false;
    path->entry = at;
    path->word = seen;
    *result = PROBE_FOUND;
    return true;
}

/* Walk the probe path of one shard. */
static enum probe_result shard_probe(ae_shard *shard, uint32_t tag, ae_hash_match match,
                                     void *context, probe *path)
{
    uint32_t line = ae_hash_home(tag);
    enum probe_result result = PROBE_SPLIT;
    *path = (probe){.entry = NULL};
    for (uint32_t steps = 0; steps < AE_HASH_ENTRIES; steps += AE_HASH_LINE_ENTRIES) {
        ae_hash_entry *entries = &shard->entries[line * AE_HASH_LINE_ENTRIES];
        const ae_hash_seen seen = ae_hash_look(entries, tag);
        const uint32_t end = seen.empty == 0 ? AE_HASH_LINE_ENTRIES
                                             : (uint32_t)__builtin_ctz(seen.empty);
        if (__builtin_expect((seen.ours | seen.frozen) != 0, 0))
            for (uint32_t place = 0; place < end; place++)
                if (probe_entry(&entries[place], seen.words[place], tag, match, context, path,
                                &result))
                    return result;
        if (seen.empty != 0) {
            if ((seen.frozen >> end & 1) != 0)
                return PROBE_SPLIT;
            /* Mostly without a look at the shard's header, which would be a miss of its own. */
            if (path->entry == NULL && (steps + end < PROBE_MAX || steps + end < shard->probe_max))
                path->entry = &entries[end];
            break;
        }
        line = line + 1 == AE_HASH_LINES ? 0 : line + 1;
    }
    return path->entry == NULL ? PROBE_SPLIT : PROBE_AGAIN;
}

/* Another entry with a matching row, whatever is frozen. */
static ae_hash_entry *shard_rival(ae_shard *shard, uint32_t tag, ae_hash_match match, void *context,
                                  const ae_hash_entry *own, ae_ref *found)
{
    uint32_t index = ae_hash_home(tag) * AE_HASH_LINE_ENTRIES;
    for (uint32_t steps = 0; steps < AE_HASH_ENTRIES; steps++) {
        ae_hash_entry *at = &shard->entries[index];
        const uint64_t bare = ae_load64_acquire(&at->word) & ~AE_HASH_FROZEN;
        if (bare == 0)
            break;
        if (at != own && (uint32_t)(bare >> 32) == tag && ae_hash_is_row(bare) &&
            match(context, ae_hash_anchor(bare))) {
            *found = ae_hash_anchor(bare);
            return at;
        }
        index = index + 1 == AE_HASH_ENTRIES ? 0 : index + 1;
    }
    return NULL;
}

/* Find a match in the shard, or enter the anchor.
 *
 * Inserters of one key must not both succeed.  Where no entry of the tag has ever been on the path,
 * they come to the same empty entry, and one sees the other there.  But removed entries of the tag
 * are used again, or rows that come and go would have the shard rewritten for ever; and one
 * inserter may have passed an entry before it was removed, and go on to a later place, while
 * another uses it.  So each enters first, and then looks along the path for the other: of two, at
 * least one sees the other, and gives up.  An entry of the tag cannot appear where none was, since
 * tags never change (X1). */
static enum probe_result shard_enter(ae_shard *shard, uint32_t tag, ae_hash_match match,
                                     void *context, ae_ref anchor, ae_ref hint, ae_ref *found,
                                     ae_hash_entry **entry)
{
    probe path;
    const enum probe_result result = shard_probe(shard, tag, match, context, &path);
    if (result == PROBE_SPLIT)
        return PROBE_SPLIT;
    *entry = path.entry;
    if (result == PROBE_FOUND) {
        *found = ae_hash_anchor(path.word);
        return PROBE_FOUND;
    }
    /* Release: the row behind the anchor is complete; pairs with ae_hash_walk_next. */
    if (!ae_cas64(&path.entry->word, path.word, (uint64_t)tag << 32 | anchor))
        return PROBE_AGAIN;
    ae_store32(&path.entry->hint, hint);
    AE_CRASH_POINT("hash.entered");
    if (!path.company)
        return PROBE_ENTERED;
    atomic_thread_fence(memory_order_seq_cst); /* entered before looking; pairs with itself */
    ae_hash_entry *rival = shard_rival(shard, tag, match, context, path.entry, found);
    *entry = rival == NULL ? path.entry : rival;
    return rival == NULL ? PROBE_ENTERED : PROBE_FOUND;
}

static void hash_find(const ae_hash *hash, uint32_t tag, ae_hash_match match, void *context,
                      ae_ref *found, ae_hash_entry **entry)
{
    ae_hash_walk walk;
    uint64_t word = 0;
    ae_hash_walk_start(&walk, hash, tag);
    for (ae_hash_entry *at; (at = ae_hash_walk_next(&walk, &word)) != NULL;) {
        /* The version is on its way while `match` looks at the anchor: one miss instead of two. */
        const char *version = ae_at(hash->proc->heap->segment, ae_load32(&at->hint));
        __builtin_prefetch(version, 1);
        __builtin_prefetch(version + 64);
        if (!match(context, ae_hash_anchor(word)))
            continue;
        *found = ae_hash_anchor(word);
        *entry = at;
        return;
    }
}

aero_status ae_hash_put(ae_hash *hash, uint32_t slot, uint32_t tag, ae_hash_match match,
                        void *context, ae_ref anchor, ae_ref hint, ae_ref *found,
                        ae_hash_entry **entry, aero_error *error)
{
    ae_shard *shard = ae_hash_shard(hash, tag);
    *found = 0;
    *entry = NULL;
    if (anchor ==
        0) { /* looking needs neither memory nor a split, so it works when the segment is full */
        hash_find(hash, tag, match, context, found, entry);
        return AERO_OK;
    }
    for (;;) {
        aero_status status = AERO_OK;
        if (shard == NULL) {
            status = root_make(hash, slot, error);
        } else {
            const enum probe_result result = shard_enter(shard, tag, match, context, anchor, hint,
                                                         found, entry);
            if (result == PROBE_AGAIN)
                continue;
            if (result != PROBE_SPLIT)
                return AERO_OK;
            status = shard_split(hash, slot, shard, error);
        }
        if (status != AERO_OK)
            return status;
        ae_shard *next = shard == NULL ? NULL : ae_hash_follow(hash, shard, tag);
        shard = next != NULL ? next : ae_hash_shard(hash, tag);
    }
}

aero_status ae_hash_remove(ae_hash *hash, uint32_t slot, uint32_t tag, ae_ref anchor,
                           aero_error *error)
{
    const uint64_t wanted = (uint64_t)tag << 32 | anchor;
    ae_shard *shard = ae_hash_shard(hash, tag);
    while (shard != NULL) {
        const uint32_t end = AE_HASH_ENTRIES;
        uint32_t index = ae_hash_home(tag) * AE_HASH_LINE_ENTRIES;
        bool frozen = false;
        for (uint32_t steps = 0; steps < end; steps++) {
            ae_hash_entry *at = &shard->entries[index];
            const uint64_t seen = ae_load64_acquire(&at->word);
            frozen = (seen & AE_HASH_FROZEN) != 0;
            if (frozen || seen == 0)
                break;
            if (seen == wanted) {
                if (ae_cas64(&at->word, wanted, (uint64_t)tag << 32 | AE_HASH_REMOVED))
                    return AERO_OK;
                steps--; /* frozen meanwhile: looked at again, as the same step */
                continue;
            }
            index = index + 1 == end ? 0 : index + 1;
        }
        if (!frozen)
            return AERO_OK;
        const aero_status status = shard_split(hash, slot, shard, error);
        if (status != AERO_OK)
            return status;
        shard = ae_hash_follow(hash, shard, tag);
    }
    return AERO_OK;
}

aero_status ae_hash_check(const ae_hash *hash, ae_hash_see see, void *context, uint64_t *entries,
                          uint64_t *shards, aero_error *error)
{
    const ae_heap *heap = hash->proc->heap;
    const ae_ref root = ae_load32_acquire(&hash->root->root_shard);
    ae_ref last = 0;
    *entries = 0;
    *shards = 0;
    for (uint32_t index = 0; index < 1u << hash->bits; index++) {
        ae_ref ref = ae_load32_acquire(&hash->directory[index]);
        ref = ref == 0 ? root : ref;
        if (ref == last || ref == 0)
            continue;
        last = ref;
        const ae_slab *slab = ae_heap_slab(heap, ref);
        if (slab == NULL || slab->pool != hash->shard_pool)
            return ae_fail(error, AERO_CORRUPT, "key directory entry %u leads to no shard", index);
        const ae_shard *shard = ae_at(heap->segment, ref);
        if (shard->depth > hash->bits || shard->prefix != index >> (hash->bits - shard->depth))
            return ae_fail(error, AERO_CORRUPT, "shard %u has prefix %x/%u", ref, shard->prefix,
                           shard->depth);
        (*shards)++;
        for (uint32_t at = 0; at < AE_HASH_ENTRIES; at++) {
            const uint64_t word = ae_load64_acquire(&shard->entries[at].word) & ~AE_HASH_FROZEN;
            if (!ae_hash_is_row(word))
                continue;
            (*entries)++;
            if (!see(context, (uint32_t)(word >> 32), ae_hash_anchor(word),
                     ae_load32(&shard->entries[at].hint)))
                return ae_fail(error, AERO_CORRUPT, "shard %u entry %u leads to no row", ref, at);
        }
    }
    return AERO_OK;
}

/* ---- figures -------------------------------------------------------------------------------- */

#define BYTES_SAMPLES 32u

uint64_t ae_hash_weight(const ae_hash *hash)
{
    const uint64_t entries = (uint64_t)1 << hash->bits;
    const uint64_t step = entries > BYTES_SAMPLES ? entries / BYTES_SAMPLES : 1;
    uint64_t shards = 0;
    uint64_t samples = 0;
    /* A shard of depth d answers for a 2^d-th of the directory, so the mean of 2^d over the
     * directory is the number of shards; tags are hashes, and any places of it do as well as random
     * ones. */
    for (uint64_t index = 0; index < entries; index += step, samples++) {
        const uint32_t tag = hash->bits == 0 ? 0 : (uint32_t)(index << (31 - hash->bits));
        const ae_shard *shard = ae_hash_shard(hash, tag);
        if (shard != NULL)
            shards += (uint64_t)1 << (shard->depth < 31 ? shard->depth : 31);
    }
    return shards / samples * sizeof(ae_shard);
}
