/* log.h — the write-ahead log: rings of records in the segment, a writer that gathers them, files.
 *
 * How it works.  A committing transaction puts its record into the ring of its own slot, before its
 * outcome is known.  The commit queue orders the outcomes.  A writer, whoever holds the writer
 * word, walks the decided positions of the queue, gathers the records of those that committed, in
 * that order, into frames in its own memory, and writes them to the file.  So the log is in commit
 * order without anybody having reserved a place in it; there are no holes, and nothing that a
 * stopped process could write into later:
 *
 *   slot 3   | …  gen 17 | gen 18 |          only the slot's owner writes a ring
 *   slot 7   | gen 5 |
 *   queue    … 7:5  3:17  9:2(aborted)  3:18 …      the writer walks the decided positions
 *   file     … [frame: commits 100 101 103] …       and writes what committed
 *
 * The writer's progress is one published record: LSN, commit number, file.  It is exchanged by one
 * compare-and-swap after the write, so of a writer that was stopped, replaced and goes on nothing
 * is believed; and whoever replaces a living one goes on in a new file, so nothing that it may
 * still write can hit anything that counts.
 *
 * A transaction larger than its ring writes its operations to the file before it commits, as
 * pieces; they mean nothing unless its commit follows.
 *
 * Invariants
 *   W1  a ring is written by the holder of its slot; a record counts once it lies below `head`, or
 *       the slot is COMMITTED and it lies below `fill`
 *   W2  the published record changes by compare-and-swap only, and its LSN and number never fall
 *   W3  bytes of the current file below the published LSN are those of the stream
 *   W4  `durable_number` is raised after a successful sync of all that lies below, never after a
 *       failed one: that poisons the log
 *   W5  tails of the rings are raised only past what was published
 *
 * Concurrency: any thread of any process.  Progress: an asynchronous commit waits only when its
 * ring is full; waiting for the writer is bounded, a dead or stopped one is replaced.
 */
#ifndef AE_WAL_LOG_H
#define AE_WAL_LOG_H

#include "proc/proc.h"
#include "wal/codec.h"
#include "wal/frame.h"

typedef struct ae_log_shared ae_log_shared;

/* Where the log stands.  Positions up to `number` of the commit queue are in the stream below
 * `lsn`, or did not commit. */
typedef struct ae_log_position {
    uint64_t lsn;
    uint64_t previous; /* LSN of the last frame below; equal to lsn when there is none */
    uint64_t number;
    uint64_t framed; /* up to this number when the last frame of commits was made: at most number */
    uint64_t base;   /* of the current file; UINT64_MAX: the next write makes a new one */
} ae_log_position;

/* What the commit queue tells the writer about a decided position: which slot and generation took
 * it.  False: it has been overwritten, which the writer's keeping up prevents. */
typedef bool (*ae_log_owner)(void *context, uint64_t position, uint32_t *slot,
                             uint64_t *generation);

/* A process's view.  Constant after ae_log_open. */
typedef struct ae_log {
    ae_proc *proc;
    ae_log_shared *shared;
    enum ae_stack stack;
    uint32_t ring_pool;    /* of the heap */
    const char *directory; /* borrowed, absolute */
    const char *name;      /* borrowed: "aerostore.wal" */
    char package[24];
    uint64_t schema; /* fingerprint */
    ae_log_owner owner;
    void *owner_context;
} ae_log;

/* What is known of another holder of the writer word by watching it. */
typedef struct ae_log_watch {
    uint64_t holder;
    uint64_t since_ns;
    uint64_t from_ns; /* own clock */
} ae_log_watch;

/* What one session needs to write: its descriptor of the current file and a buffer. */
typedef struct ae_log_writer {
    int fd;
    uint64_t base; /* of the file that fd is; UINT64_MAX none */
    uint8_t *buffer;
    size_t capacity;
    uint32_t member;
    ae_log_watch watched; /* by AE_LOG_TRY_SYNC, from one call to the next */
} ae_log_writer;

/* ---- making and opening --------------------------------------------------------------------- */

/* Carve the log's shared part into a segment that is being made; the log is off. */
aero_status ae_log_create(ae_segment *segment, aero_error *error);
/* A view.  `directory` and `name` must live as long as it.  CORRUPT when the shared part
 * contradicts itself. */
aero_status ae_log_open(ae_log *log, ae_proc *proc, const struct aero_schema *schema,
                        enum ae_stack stack, const char *directory, const char *name,
                        ae_log_owner owner, void *owner_context, aero_error *error);
/* Switch it on in a segment that nobody else sees yet: everything up to `position` is on disk and
 * durable.  The first write makes a new file whose base is position.lsn.  The clock of the segment
 * must stand at position.number.  */
void ae_log_start(ae_log *log, const ae_log_position *position);
bool ae_log_is_on(const ae_log *log);
/* May a transaction commit?  IO when the log is poisoned, FULL while the disk is: it is tried
 * first. */
aero_status ae_log_ready(ae_log *log, ae_log_writer *writer, aero_error *error);

/* Does the path still lead to the data directory?  It may have been moved while it is used, and
 * another one, even a copy, be in its place, whose files have the same identity: what was written
 * there would be missing here.  Asked before a file is opened or made.  Errors: IO. */
aero_status ae_log_directory_check(const ae_log *log, aero_error *error);

void ae_log_writer_init(ae_log_writer *writer, uint32_t member);
void ae_log_writer_free(ae_log_writer *writer);

/* Name of the file with this base LSN when it is not the plain one: "<name>.<20 digits>". */
void ae_log_part_name(const ae_log *log, uint64_t base, char *out, size_t capacity);

/* ---- where it stands ------------------------------------------------------------------------ */

/* Written: the operating system has it. */
ae_log_position ae_log_written(const ae_log *log);
/* Its number alone; may lag a little. */
uint64_t ae_log_written_number(const ae_log *log);
/* Durable: commits up to this number, and bytes up to this LSN, are on the disk. */
uint64_t ae_log_durable_number(const ae_log *log);
uint64_t ae_log_durable_lsn(const ae_log *log);
/* 0, or the errno of the failure after which nothing is written any more. */
int ae_log_poisoned(const ae_log *log);

/* ---- the committer's side ------------------------------------------------------------------- */

/* Place for a record of `size` bytes in the slot's ring, and how many bytes there are (at least so
 * many); NULL when there is none: it is larger than ae_log_record_max(), or the ring is full until
 * a writer has been there. */
uint8_t *ae_log_place(ae_log *log, uint32_t slot, size_t size, size_t *room);
size_t ae_log_record_max(const ae_log *log);
/* The record at `place` is complete, `size` bytes of operations.  `pieces` were written before, the
 * last of them at `last_piece`. */
void ae_log_offer(ae_log *log, uint32_t slot, const uint8_t *place, uint64_t generation,
                  size_t size, uint32_t pieces, uint64_t last_piece);
/* Everything in the ring is written, for ae_log_written() has reached a clock that was read after
 * the slot's last decision.  The writer may have died before it said so.  By the slot's holder. */
void ae_log_ring_written(ae_log *log, uint32_t slot);
/* After the decision: the offered record stays (committed) or is taken back.  Idempotent; done by
 * the slot's holder or its reaper, before the slot is released. */
void ae_log_settle(ae_log *log, uint32_t slot, bool committed);

/* Give the slot's ring its memory unless it has some.  Errors: FULL, PANIC. */
aero_status ae_log_ring_make(ae_log *log, uint32_t slot, aero_error *error);
/* The block that the slot's ring lies in, 0 none.  For the reaper and verify. */
ae_ref ae_log_ring_block(const ae_log *log, uint32_t slot);

/* The slot's transaction is about to write pieces; everything that the slot committed before is
 * written (ae_log_flush). */
void ae_log_pieces_begin(ae_log *log, uint32_t slot);
/* Files that hold the stream from this LSN on are needed by large transactions that may still
 * commit, or whose commit is not written yet; UINT64_MAX: none.  After ae_log_rotate it tells which
 * older files must be kept. */
uint64_t ae_log_oldest_piece(const ae_log *log);
/* Write one piece of a transaction that is too large for a ring: `size` bytes of whole
 * operations, after AE_PIECE_ROOM bytes of room in `buffer`.  `before` is the LSN of the piece
 * before, 0 for the first; *piece is that of this one.  Errors: IO, FULL. */
#define AE_PIECE_ROOM (AE_FRAME_HEADER + (uint32_t)sizeof(ae_piece_head))
aero_status ae_log_piece(ae_log *log, ae_log_writer *writer, uint8_t *buffer, size_t size,
                         uint64_t before, uint32_t index, uint64_t *piece, aero_error *error);

/* Is more than half of the slot's ring unwritten? */
bool ae_log_presses(const ae_log *log, uint32_t slot);

/* ---- the writer's side ---------------------------------------------------------------------- */

enum ae_log_depth {
    AE_LOG_TRY,   /* write unless somebody else does so now */
    AE_LOG_WRITE, /* the operating system has it: it survives every process */
    AE_LOG_SYNC,  /* the disk has it */
    /* The disk has it, unless somebody else is at it now; that one is not waited for, but replaced
     * like any other when it is found dead, or stopped by two calls that are long enough apart. */
    AE_LOG_TRY_SYNC
};

/* See that commits up to `number` (at most the clock) are written, or durable: by writing oneself,
 * or by waiting for whoever does.  Errors: IO when the log is poisoned, FULL when the disk is: then
 * it may be tried again. */
aero_status ae_log_flush(ae_log *log, ae_log_writer *writer, uint64_t number,
                         enum ae_log_depth depth, aero_error *error);
/* End the current file where everything decided so far is written, durable, and go on in a new one.
 * *position: where the new one begins. */
aero_status ae_log_rotate(ae_log *log, ae_log_writer *writer, ae_log_position *position,
                          aero_error *error);
/* A session begins with this member's line: drop the writer word if a dead one left it with it. */
void ae_log_member_new(ae_log *log, uint32_t member);

/* ---- figures -------------------------------------------------------------------------------- */

/* Syncs by how long they took: the i-th number counts those below 2^i microseconds that are in no
 * earlier one; the last has the rest. */
#define AE_LOG_SYNC_TIMES 24u
typedef struct ae_log_figures {
    uint64_t syncs;
    uint64_t sync_total_ns;
    uint64_t sync_times[AE_LOG_SYNC_TIMES];
    uint64_t rings;      /* that slots have */
    uint64_t ring_bytes; /* all of them together */
    uint64_t fixed_bytes;
} ae_log_figures;
void ae_log_figures_take(const ae_log *log, ae_log_figures *figures);

/* ---- looking inside ------------------------------------------------------------------------- */

/* Do rings and positions contradict themselves?  For verify; the text says how. */
bool ae_log_check(const ae_log *log, const char **fault);

#endif
