/* log_private.h — the log's part of the segment, between the files of this module.
 */
#ifndef AE_WAL_LOG_PRIVATE_H
#define AE_WAL_LOG_PRIVATE_H

#include "wal/log.h"

/* A slot's ring of records.  Positions count bytes and never fall; their place in the ring is the
 * remainder by its size.  It outlives the claims of its slot. */
typedef struct aei_ring {
    ae_a64 head; /* records below are of committed transactions.  Holder of the slot, or reaper */
    ae_a64 fill; /* a record between head and here is of the transaction in the slot.  The same */
    ae_a64 tail; /* records below are in the stream.  Raised by writers */
    /* A large transaction's pieces lie at or above this LSN; 0 none.  They are needed until `tail`
     * has reached `piece_end`, or while that is 0.  Holder of the slot, or reaper. */
    ae_a64 piece;
    ae_a64 piece_end;
    ae_a32 block; /* memory, 0 none yet.  Holder of the slot, once */
    uint32_t _pad[5];
} aei_ring;
_Static_assert(sizeof(aei_ring) == 64, "one line a ring");

/* What lies in a ring. */
typedef struct aei_record {
    uint64_t generation; /* of the transaction: the 40 bits that the commit queue has; or a skip */
    uint64_t last_piece;
    uint32_t size; /* of the operations behind it */
    uint32_t pieces;
} aei_record;
_Static_assert(sizeof(aei_record) == 24, "records stay aligned");
#define AEI_RECORD_SKIP UINT64_MAX /* the rest of this lap is empty */
#define AEI_GENERATION (((uint64_t)1 << 40) - 1)

static inline uint64_t aei_record_span(uint64_t size)
{
    return (sizeof(aei_record) + size + 7) & ~(uint64_t)7;
}

/* Where the stream stands, as one writer left it.  Each member has two, so that it never writes the
 * one that is published. */
typedef struct aei_state {
    ae_a64 lsn;
    ae_a64 previous;
    ae_a64 number;
    ae_a64 framed;
    ae_a64 base;
} aei_state;

struct ae_log_shared {
    /* Constant but for recovery: 1 from ae_log_start on. */
    ae_a32 on;
    uint32_t ring_size;
    ae_a64 published; /* version << 16 | index of a state.  CAS by the holder of the writer word */
    ae_a64 written_number; /* of the published state, or of one before: a hint.  Writers */
    uint64_t _pad0[5];
    /* Who writes: version << 16 | AEI_HOLDER_FENCE | member + 1.  CAS by all. */
    ae_a64 holder;
    ae_a64 since_ns; /* monotonic: when the holder last made progress.  A hint */
    uint64_t _pad1[6];
    ae_a64 durable_number; /* raised by writers after a sync (keeps W4) */
    ae_a64 durable_lsn;
    ae_a32 event;   /* moves when a writer is done; waited on */
    ae_a32 waiting; /* somebody may wait on it */
    ae_a32 poison;  /* errno of the failure that ended writing, 0 none.  CAS by writers */
    ae_a32 full;    /* errno when the last write found no room, 0 else: a hint.  Writers */
    ae_a64 syncs;   /* for statistics */
    ae_a64 sync_ns; /* how long the last one took: a hint */
    ae_a64 group;   /* commits that the last one covered, and that came while it ran: a hint */
    ae_a64 tries;   /* at making files after one that may have failed: their bases differ */
    aei_ring rings[AE_SLOTS];
    aei_state states[2 * AE_MEMBERS];
    /* How long syncs took, for statistics; written once a sync. */
    ae_a64 sync_total_ns;
    ae_a64 sync_times[AE_LOG_SYNC_TIMES];
};
_Static_assert(offsetof(ae_log_shared, rings) == 192, "lines stay apart");

#define AEI_NO_BASE UINT64_MAX

/* The writer word. */
#define AEI_HOLDER_SHIFT 16
#define AEI_HOLDER_MEMBER 0x7fffu /* + 1; 0 nobody */
/* Nothing may be added to the current file, and the next thing to do is to begin a new one: a
 * living holder was replaced, which may still write into it; or somebody has begun to make a new
 * one, which says that the current one ends. */
#define AEI_HOLDER_FENCE 0x8000u
static inline uint32_t aei_holder_member(uint64_t word)
{
    return (uint32_t)(word & AEI_HOLDER_MEMBER) - 1;
}

/* ---- log.c ---------------------------------------------------------------------------------- */

/* The published state and its word, consistent with each other. */
void aei_state_read(const ae_log *log, uint64_t *word, ae_log_position *position);
/* Publish a state in place of the one that `word` named.  False: somebody replaced us. */
bool aei_state_publish(ae_log *log, uint32_t member, uint64_t *word,
                       const ae_log_position *position);
char *aei_ring_bytes(const ae_log *log, uint32_t slot);

/* Identity of the store: a recovery gives the segment that of the files, after the log is open. */
static inline const uint8_t *aei_store(const ae_log *log)
{
    return log->proc->heap->segment->header->store_id;
}

/* ---- files.c: the writer's descriptor ------------------------------------------------------- */

/* Have `writer->fd` be the current file.  IO when it is nowhere. */
aero_status aei_file_open(ae_log *log, ae_log_writer *writer, uint64_t base, aero_error *error);
/* Make the next file, durable, and have the writer's descriptor be it; *position moves past its
 * first frame.  `holder`: the writer word, while it is ours; IO when it is not.  `avoid`: somebody
 * else may have made one with this base, or be about to. */
aero_status aei_file_make(ae_log *log, ae_log_writer *writer, uint64_t holder,
                          ae_log_position *position, bool avoid, aero_error *error);
/* An error of a call on the log, with its code. */
aero_status aei_file_fail(const ae_log *log, int failure, const char *what, aero_error *error);

/* ---- gather.c ------------------------------------------------------------------------------- */

/* Frames made of what was decided, in the writer's buffer. */
typedef struct aei_batch {
    size_t size;              /* bytes of whole frames */
    uint64_t start;           /* LSN of the first */
    ae_log_position position; /* after them */
    uint64_t tails[AE_SLOTS]; /* of the rings that were touched */
    uint64_t touched[(AE_SLOTS + 63) / 64];
    bool more; /* there was more than one batch holds */
} aei_batch;
aero_status aei_gather(ae_log *log, ae_log_writer *writer, const ae_log_position *from,
                       uint64_t upto, aei_batch *batch, aero_error *error);
/* The writer's buffer has room for `size` bytes. */
bool aei_buffer_room(ae_log_writer *writer, size_t size);
/* Fill a frame's header (but for checksum) at the end of the stream. */
void aei_frame_start(const ae_log *log, ae_frame *frame, enum ae_frame_kind kind,
                     const ae_log_position *position);

#endif
