/* hash.h — the primary-key index: from the hash of a key to a row's anchor, growing while used.
 *
 * How it works.  Extendible hashing (Fagin et al., 1979): a directory, indexed by the top bits of
 * the hash, leads to shards of 508 entries in 127 cache lines; inside a shard linear probing by
 * lines.  A shard that is too full is frozen entry by entry, its entries are copied to two new
 * shards that nobody else sees, and one compare-and-swap on its `successor` makes them current;
 * then the directory is swung over.  Several may build the copies; one wins.  Shards are all of one
 * size, so a retired one is soon reused.
 *
 *   hash:   | 31-bit tag ....................... |   entry: word  frozen 1 | tag 31 | anchor 32
 *           | directory index | …                           hint  version that was newest, or 0
 *
 * The hint spares the walk through the anchor: the version it names is taken when it is visible,
 * belongs to the anchor and has the key; whatever else it is by now, the anchor knows better.
 *
 * Invariants
 *   X1  an entry goes from empty to a row's to removed, and perhaps to another row's of the same
 *   tag; its
 *       tag never changes.  It is frozen at any time; a frozen one never changes
 *   X2  entries of one tag are found before the first empty entry on their probe path
 *   X3  a shard is retired after no directory entry leads to it, and no child names it as parent
 *   X4  an anchor has at most one entry that is not removed (in current shards)
 *
 * Concurrency: any thread of any process that holds a published snapshot; inserting, removing and
 * splitting need a transaction slot.  Progress: look-ups wait-free but for following splits, the
 * rest lock-free.
 */
#ifndef AE_INDEX_HASH_H
#define AE_INDEX_HASH_H

#include "proc/proc.h"

#ifndef AE_HASH_LINES /* fewer where interleavings are explored */
#define AE_HASH_LINES 127u
#endif
#define AE_HASH_LINE_ENTRIES 4u
#define AE_HASH_ENTRIES (AE_HASH_LINES * AE_HASH_LINE_ENTRIES)
#define AE_HASH_FROZEN ((uint64_t)1 << 63)
#define AE_HASH_REMOVED 1u /* in place of the anchor */

typedef struct ae_hash_entry {
    ae_a64 word;
    ae_a32 hint; /* written racily by writers of the row; any value is safe */
    uint32_t _pad;
} ae_hash_entry;

typedef struct ae_shard {
    ae_block block;
    ae_a64 successor; /* 0, or the two (or twice one) shards that replace this: low, high << 32 */
    uint32_t depth;   /* bits of the prefix all its tags share */
    uint32_t prefix;
    ae_a32 parent;      /* the shard this was split from, until the directory leads nowhere to it */
    uint32_t probe_max; /* entries an insert may step over before it has the shard split */
    uint32_t _pad[6];
    ae_hash_entry entries[AE_HASH_ENTRIES];
#if AE_HASH_LINES < 127u
    char _fill[(127u - AE_HASH_LINES) * 64u];
#endif
} ae_shard;
_Static_assert(sizeof(ae_shard) == 8192, "one 8 KiB block");
_Static_assert(offsetof(ae_shard, entries) == 64, "entries fill whole lines");

typedef struct ae_hash_root {
    uint32_t bits;     /* of the directory; constant */
    ae_ref directory;  /* ae_a32 shard references; 0 stands for the root shard */
    ae_a32 root_shard; /* depth 0; 0 while the table was never written */
    uint32_t _pad[13];
} ae_hash_root;
_Static_assert(sizeof(ae_hash_root) == 64, "one cache line");

/* Where a process's look-ups of a prefix of the tag were led last, 0 unknown; its own memory, racy.
 * It only tells what is worth fetching.  32 KiB stay in the second-level cache, and are enough for
 * the shards of two million rows. */
#define AE_HASH_NEAR_BITS 13
typedef struct ae_hash_near {
    ae_a32 shards[1u << AE_HASH_NEAR_BITS];
} ae_hash_near;

/* A process's view of one table's hash. */
typedef struct ae_hash {
    ae_proc *proc;
    ae_hash_root *root;
    ae_a32 *directory;
    uint32_t bits;
    uint32_t shard_pool;
    uint32_t table;
    ae_hash_near *near;
} ae_hash;

aero_status ae_hash_create(ae_segment *segment, ae_hash_root *root, uint32_t tables,
                           aero_error *error);
aero_status ae_hash_open(ae_hash *hash, ae_proc *proc, ae_hash_root *root, uint32_t table,
                         aero_error *error);

/* The part of a key's hash that is used. */
static inline uint32_t ae_hash_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 33);
}
static inline ae_ref ae_hash_anchor(uint64_t word)
{
    return (ae_ref)word;
}
/* Neither empty nor removed; the word is bare of AE_HASH_FROZEN. */
static inline bool ae_hash_is_row(uint64_t word)
{
    return ae_hash_anchor(word) > AE_HASH_REMOVED;
}
static inline uint32_t ae_hash_home(uint32_t tag)
{
    return (uint32_t)((uint64_t)(tag * 0x9e3779b1u) * AE_HASH_LINES >> 32);
}

/* A walk along the entries with one tag. */
typedef struct ae_hash_walk {
    const ae_hash *hash;
    ae_shard *shard;
    uint32_t tag;
    uint32_t line;
    uint32_t place; /* in the line */
    uint32_t lines; /* looked at */
} ae_hash_walk;

/* Where the directory says which shard has the tag. */
static inline const ae_a32 *ae_hash_place(const ae_hash *hash, uint32_t tag)
{
    return &hash->directory[hash->bits == 0 ? 0 : tag >> (31 - hash->bits)];
}

static inline ae_shard *ae_hash_shard(const ae_hash *hash, uint32_t tag)
{
    ae_ref ref = ae_load32_acquire(ae_hash_place(hash, tag));
    if (ref == 0)
        ref = ae_load32_acquire(&hash->root->root_shard);
    return ref == 0 ? NULL : ae_at(hash->proc->heap->segment, ref);
}

static inline void ae_hash_walk_in(ae_hash_walk *walk, ae_shard *shard)
{
    walk->shard = shard;
    walk->line = ae_hash_home(walk->tag);
    walk->place = 0;
    walk->lines = 0;
}

/* Bring the entry's line near; the shard's address is known without a miss on it. */
static inline void ae_hash_prefetch(const ae_hash *hash, uint32_t tag)
{
    const ae_shard *shard = ae_hash_shard(hash, tag);
    if (shard == NULL)
        return;
    /* The home line, and the one after it, where a full one's entries go. */
    const ae_hash_entry *home = &shard->entries[ae_hash_home(tag) * AE_HASH_LINE_ENTRIES];
    __builtin_prefetch(home);
    __builtin_prefetch(home + AE_HASH_LINE_ENTRIES);
}

/* A look-up comes next: ask for the entry's line where the last one of the prefix was led, while
 * the directory's line, which may be a miss as well, is on its way.  Where several shards share the
 * prefix every other guess is left out, as most would be wrong. */
static inline void ae_hash_approach(const ae_hash *hash, uint32_t tag)
{
    ae_a32 *near = &hash->near->shards[tag >> (31 - AE_HASH_NEAR_BITS)];
    const ae_ref guess = ae_load32(near);
    if (guess != 0) {
        const ae_shard *shard = ae_at(hash->proc->heap->segment, guess);
        const ae_hash_entry *home = &shard->entries[ae_hash_home(tag) * AE_HASH_LINE_ENTRIES];
        __builtin_prefetch(home);
        __builtin_prefetch(home + AE_HASH_LINE_ENTRIES);
    }
    const ae_ref ref = ae_load32(ae_hash_place(hash, tag));
    if (__builtin_expect(ref != guess, 0))
        ae_store32(near, guess == 0 ? ref : 0);
}

static inline void ae_hash_walk_start(ae_hash_walk *walk, const ae_hash *hash, uint32_t tag)
{
    walk->hash = hash;
    walk->tag = tag;
    ae_hash_walk_in(walk, ae_hash_shard(hash, tag));
}

/* The shard that took this one's place for the tag, or NULL while there is none. */
ae_shard *ae_hash_follow(const ae_hash *hash, const ae_shard *shard, uint32_t tag);

/* What the entries of a line are, one bit each, without a branch: where an entry lies in its line
 * cannot be foreseen. */
typedef struct ae_hash_seen {
    uint64_t words[AE_HASH_LINE_ENTRIES];
    uint32_t ours;  /* have the tag */
    uint32_t empty; /* frozen or not */
    uint32_t frozen;
} ae_hash_seen;

static inline ae_hash_seen ae_hash_look(const ae_hash_entry *line, uint32_t tag)
{
    ae_hash_seen seen = {.ours = 0, .empty = 0, .frozen = 0};
    for (uint32_t place = 0; place < AE_HASH_LINE_ENTRIES; place++) {
        /* Acquire, in this order: what the anchor leads to is there before its entry; pairs with
         * ae_hash_put. */
        const uint64_t word = ae_load64_acquire(&line[place].word);
        const uint64_t bare = word & ~AE_HASH_FROZEN;
        seen.words[place] = word;
        seen.ours |= (uint32_t)((uint32_t)(bare >> 32) == tag) << place;
        seen.empty |= (uint32_t)(bare == 0) << place;
        seen.frozen |= (uint32_t)(word >> 63) << place;
    }
    /* What comes after the first empty one is not on the probe path (X2). */
    const uint32_t before = (seen.empty & (0u - seen.empty)) - 1u;
    seen.ours &= before;
    return seen;
}

/* The next entry whose tag is the walk's, or NULL.  *word is what was read of it (never
 * removed). */
static inline ae_hash_entry *ae_hash_walk_next(ae_hash_walk *walk, uint64_t *word)
{
    while (walk->shard != NULL) {
        ae_hash_entry *line = &walk->shard->entries[walk->line * AE_HASH_LINE_ENTRIES];
        const ae_hash_seen seen = ae_hash_look(line, walk->tag);
        for (uint32_t ours = seen.ours >> walk->place << walk->place; ours != 0; ours &= ours - 1) {
            const uint32_t place = (uint32_t)__builtin_ctz(ours);
            *word = seen.words[place] & ~AE_HASH_FROZEN;
            walk->place = place + 1;
            if (ae_hash_is_row(*word))
                return &line[place];
        }
        walk->place = 0;
        if (seen.empty == 0 && ++walk->lines < AE_HASH_LINES) {
            walk->line = walk->line + 1 == AE_HASH_LINES ? 0 : walk->line + 1;
            continue;
        }
        /* The end of the path: of this shard's, if it was frozen. */
        const uint32_t end = seen.empty == 0 ? 0 : (uint32_t)__builtin_ctz(seen.empty);
        ae_shard *next = (seen.frozen >> end & 1) == 0
                             ? NULL
                             : ae_hash_follow(walk->hash, walk->shard, walk->tag);
        if (next == NULL)
            return NULL;
        ae_hash_walk_in(walk, next);
    }
    return NULL;
}

/* Does the row behind the anchor have the key that is looked for? */
typedef bool (*ae_hash_match)(void *context, ae_ref anchor);

/* Find the anchor with a matching key, or enter `anchor` (when it is not 0) for the tag.
 * *found: the matching anchor, or 0 when `anchor` was entered or nothing matches; *entry: its
 * entry.  When another was found, `anchor` may have been entered all the same: the caller removes
 * it. Errors: FULL, LIMIT. */
aero_status ae_hash_put(ae_hash *hash, uint32_t slot, uint32_t tag, ae_hash_match match,
                        void *context, ae_ref anchor, ae_ref hint, ae_ref *found,
                        ae_hash_entry **entry, aero_error *error);
/* About so many rows come to a table that has had none, and nobody else is at it: make its shards
 * at once instead of splitting them all, one size after another.  Too few or too many do no harm.
 * Errors: FULL; then the table is of no use. */
aero_status ae_hash_expect(ae_hash *hash, uint32_t slot, uint64_t rows, aero_error *error);
/* Remove the anchor's entry; no harm when it is gone already. */
aero_status ae_hash_remove(ae_hash *hash, uint32_t slot, uint32_t tag, ae_ref anchor,
                           aero_error *error);

/* About how many bytes its current shards take, from a few of them.  The caller holds a published
 * snapshot. */
uint64_t ae_hash_weight(const ae_hash *hash);

/* Finish or undo the split that the slot's dead holder was at. */
void ae_hash_recover(ae_hash *hash, uint32_t slot);

/* Walk all current shards: counts entries in use, calls `see` for each.  False at the first damage,
 * with the error set.  For verify. */
typedef bool (*ae_hash_see)(void *context, uint32_t tag, ae_ref anchor, ae_ref hint);
aero_status ae_hash_check(const ae_hash *hash, ae_hash_see see, void *context, uint64_t *entries,
                          uint64_t *shards, aero_error *error);

#endif
