/* limits.h — every bound of the engine, once, with its reason.  Meeting a bound is an error code.
 *
 * What stands inside an #ifndef is made smaller by the build that explores interleavings, or a lap
 * of the queue would be thousands of steps away.
 */
#ifndef AE_BASE_LIMITS_H
#define AE_BASE_LIMITS_H

/* References count 16-byte units in 32 bits: 64 GiB. */
#define AE_UNIT 16u
#define AE_SEGMENT_MAX ((uint64_t)1 << 36)
/* Below this the fixed structures leave no room for rows. */
#define AE_SEGMENT_MIN ((uint64_t)4 << 20)
#define AE_SEGMENT_DEFAULT ((uint64_t)1 << 30)

/* Segment space is handed out in pages of 64 KiB: large enough that the page map of 64 GiB is 4
 * MiB, small enough that a table of ten rows costs little. */
#define AE_PAGE_SHIFT 16u
#define AE_PAGE_SIZE (1u << AE_PAGE_SHIFT)

/* Slabs grow from one page to 8 MiB: eight of each size, so a pool wastes at most about an
 * eighth. */
#define AE_SLAB_PAGES_MAX 128u
#define AE_SLABS_PER_SIZE 8u
/* Slabs a pool may have beyond those, where it takes the pages that others gave back: every page of
 * a small segment, and of a large one some thousands are always side by side. */
#define AE_SLABS_SMALL 1024u

/* Pages that rows may not take, so that a full segment still has blocks for deleting and for
 * rewriting key shards: one in this many, and at least two. */
#define AE_RESERVE_SHARE 128u

/* Storage is reserved from the file system in steps that grow with the segment. */
#define AE_EXTENT_MIN ((uint64_t)1 << 20)
#define AE_EXTENT_MAX ((uint64_t)64 << 20)

/* From this size on a segment asks for huge pages: below, a small table would pay for what it does
 * not use. */
#define AE_HUGE_LEAST ((uint64_t)16 << 20)

/* Transaction slots: the mark in a version has 8 bits for the slot. */
#ifndef AE_SLOTS
#define AE_SLOTS 256u
#endif
/* Attached sessions: one cache line each; 64 KiB in all. */
#define AE_MEMBERS 1024u
/* Open watches: one cache line each. */
#define AE_FEEDS 64u
/* A transaction's writes: the mark has 28 bits for the sequence number of a write. */
#define AE_WRITES_MAX ((1u << 28) - 2u)

/* Keys that are sorted together when an index is made: their memory, twice 8 (width + 1) bytes
 * each, is private and given back. */
#ifndef AE_BUILD_KEYS
#define AE_BUILD_KEYS ((size_t)1 << 20)
#endif

/* Commits of a segment: retired blocks keep the number of one in 52 bits.  A million a second last
 * 70 years; then the database is read-only until it is dumped and loaded. */
#define AE_COMMITS_MAX ((uint64_t)1 << 51)

/* Objects a slot keeps at hand per pool: one word of a slab's bitmap refills it. */
#define AE_MAGAZINE_MAX 64u
/* Pools with objects above this size take from the bitmap directly. */
#define AE_MAGAZINE_OBJECT_MAX 4096u

#define AE_TABLES_MAX 32u
/* Largest text or bytes value, 1 MiB: what one overflow block and one log frame carry
 * comfortably. */
#define AE_TEXT_BYTES_MAX (1u << 20)
/* Largest overflow block: the texts of one row together. */
#define AE_OVERFLOW_MAX (16u << 20)

/* Commit queue: entries a long reader may fall behind before it must start anew. */
#ifndef AE_QUEUE_MIN
#define AE_QUEUE_MIN 1024u
#endif
#ifndef AE_QUEUE_MAX
#define AE_QUEUE_MAX 1048576u
#endif

/* Spins before a committer that does not decide is aborted by the one behind it.  A decision takes
 * tens of nanoseconds; this is some 20 microseconds, so only the stopped and the dead are hit. */
#ifndef AE_DECIDE_SPINS
#define AE_DECIDE_SPINS 4000u
#endif

/* How often the slots are searched for dead owners, by one of all sessions: the horizon is to be
 * free within
 * 100 ms of a death, and a search costs some 10 microseconds a slot in use. */
#define AE_REAP_INTERVAL_NS 50000000u

/* Locks for relinking the versions of rows: two who prune different rows rarely meet. */
#define AE_PRUNE_LOCKS 256u
/* Commits that the horizon may lie behind before it is worth while to look between snapshots:
 * transactions that are running are closer together. */
#ifdef AE_EXPLORE
#define AE_PRUNE_LAG 1u
#else
#define AE_PRUNE_LAG 128u
#endif

/* Row latches.  A writer queues for a row after so many conflicts on it in a row; it goes on
 * queueing for so many of its writes after the last time that anybody was in the way. */
#define AE_ESCALATE_AFTER 2u
#define AE_LATCH_HEAT 8u
/* Latches a transaction gives up at its end with a wake-up; those beyond lapse with its generation,
 * and who waits for one looks again by itself. */
#define AE_LATCHES_KEPT 16u
/* How long a writer waits for a row that somebody has locked: longer than a transaction of a
 * program, shorter than the patience of a person. */
#define AE_LOCK_TIMEOUT_MS 1000u
/* A latch that the engine took for its own retry is held for microseconds.  An owner that keeps it
 * this long is stopped, or was sent to sleep for several time slices: it is taken away. */
#define AE_LATCH_STEAL_NS 50000000u

/* A checkpoint bounds what a recovery replays: every five minutes, or when the log has grown by as
 * much as is replayed in a second or two. */
#define AE_CHECKPOINT_INTERVAL_SECS 300u
#define AE_CHECKPOINT_LOG_BYTES ((uint64_t)256 << 20)
/* Of the processor's time, a checkpoint that is taken by itself leaves this part to others, in
 * percent: where all processors are busy, writers keep more than they would by fair shares. */
#define AE_CHECKPOINT_REST_PERCENT 50u
/* What an asynchronous commit may lose: a fifth of a second, some ten flushes of a slow disk. */
#define AE_FLUSH_INTERVAL_MS 200u

/* Between two rounds of looking for rows whose time to live is over: such times are minutes or
 * more, and a round reads through all rows of the tables that have one. */
#ifndef AE_TTL_SWEEP_INTERVAL_MS
#define AE_TTL_SWEEP_INTERVAL_MS 1000u
#endif

/* Savepoints open at once in a transaction. */
#define AE_SAVEPOINTS_MAX 1000000u
#define AE_NAME_MAX 255u

/* Longest line of a TSV input: the texts of the largest row.  It bounds what is kept of a cut
 * line. */
#define AE_INGEST_LINE_MAX ((size_t)16 << 20)
/* Rows a batch may have, and what its row images and its copied texts may take before it is ended
 * early: the memory of an ingest is independent of the input. */
#define AE_INGEST_BATCH_DEFAULT 1024u
#define AE_INGEST_BATCH_MAX 1000000u
#define AE_INGEST_IMAGES_MAX ((size_t)256 << 20)
#define AE_INGEST_TEXTS_MAX ((size_t)64 << 20)

#endif
