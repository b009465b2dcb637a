/* record.c — what a transaction leaves in the log: its writes, before it asks to commit.
 *
 * The intents are encoded into a record in the slot's ring; what does not fit there is written to
 * the file as pieces, which count only with the commit that follows.  Nothing is visible before its
 * record is complete (law L6), and the commit queue gives the records their order.
 */
#include <stdlib.h>

#include "txn/txn.h"

/* The writes of a transaction, one after the other. */
typedef struct writes_walk {
    const aero_db *db;
    const ae_intent *intents; /* where index lies: in the slot or a chunk */
    const ae_slot *slot;
    ae_ref chunk;
    uint32_t index;
    uint32_t count;
} writes_walk;

static const ae_intent *writes_next(writes_walk *walk)
{
    if (walk->index == walk->count)
        return NULL;
    const uint32_t index = walk->index++;
    if (index < AE_INTENTS_INLINE)
        return &walk->slot->intents[index];
    const uint32_t place = (index - AE_INTENTS_INLINE) % AE_INTENTS_CHUNK;
    if (place == 0) {
        const ae_intent_chunk *before = ae_at(&walk->db->segment, walk->chunk);
        walk->chunk = walk->chunk == 0 ? ae_load32(&walk->slot->chunk_first)
                                       : ae_load32(&before->next);
    }
    return &((const ae_intent_chunk *)ae_at(&walk->db->segment, walk->chunk))->intents[place];
}

static ae_image image_of(const aero_db *db, ae_ref ref)
{
    if (ref == 0)
        return (ae_image){NULL, NULL};
    const ae_version *version = ae_at(&db->segment, ref);
    const ae_ref overflow = ae_load32(&version->overflow);
    return (ae_image){version->row, overflow == 0 ? NULL : ae_at(&db->segment, overflow + 1)};
}

static size_t write_encode(const aero_db *db, const ae_intent *intent, uint8_t *out,
                           size_t capacity)
{
    const uint32_t what = ae_load32(&intent->what);
    const uint32_t table = what & 0xffu;
    const ae_ref created = ae_load32(&intent->created);
    const ae_ref replaced = ae_load32(&intent->replaced);
    const ae_image before = image_of(db, replaced);
    const ae_image after = image_of(db, created);
    const enum ae_op_kind kind = (what & AE_INTENT_EXPIRED) != 0 ? AE_OP_EXPIRE
                                 : created == 0                  ? AE_OP_DELETE
                                 : replaced == 0                 ? AE_OP_INSERT
                                                                 : AE_OP_UPDATE;
    return ae_codec_encode(db->log.stack, &db->schema->tables[table], table, kind, &before, &after,
                           out, capacity);
}

static writes_walk writes_start(const aero_session *session)
{
    return (writes_walk){.db = session->db,
                         .slot = ae_slot_at(&session->db->proc, session->txn.slot),
                         .count = session->txn.intent_count};
}

/* Encode all writes; gives up once more than `most` bytes are needed.  What is returned may exceed
 * `capacity`. */
static size_t writes_encode(const aero_session *session, uint8_t *out, size_t capacity, size_t most)
{
    writes_walk walk = writes_start(session);
    size_t total = 0;
    for (const ae_intent *intent; total <= most && (intent = writes_next(&walk)) != NULL;)
        total += write_encode(session->db, intent, total < capacity ? out + total : out,
                              total < capacity ? capacity - total : 0);
    return total;
}

/* ---- pieces --------------------------------------------------------------------------------- */

typedef struct pieces {
    aero_session *session;
    uint8_t *buffer;
    size_t capacity; /* of operations, behind AE_PIECE_ROOM */
    size_t size;
    uint32_t count;
    uint64_t last;
} pieces;

static aero_status piece_flush(pieces *of)
{
    if (of->size == 0)
        return AERO_OK;
    aero_session *session = of->session;
    const aero_status status = ae_log_piece(&session->db->log, &session->log_writer, of->buffer,
                                            of->size, of->last, of->count, &of->last,
                                            &session->error);
    AE_CRASH_POINT("record.piece");
    of->count++;
    of->size = 0;
    return status;
}

static aero_status piece_room(pieces *of, size_t size)
{
    if (size > AE_FRAME_MAX - AE_PIECE_ROOM - AE_FRAME_ALIGN)
        return ae_fail(&of->session->error, AERO_LIMIT,
                       "a row of %zu bytes is too large to be logged", size);
    if (size <= of->capacity)
        return AERO_OK;
    uint8_t *grown = realloc(of->buffer, AE_PIECE_ROOM + size + AE_FRAME_ALIGN);
    if (grown == NULL)
        return ae_fail(&of->session->error, AERO_NO_MEMORY, "no memory to log the transaction");
    of->buffer = grown;
    of->capacity = size;
    return AERO_OK;
}

static aero_status piece_add(pieces *of, const ae_intent *intent)
{
    const aero_db *db = of->session->db;
    for (;;) {
        const size_t left = of->capacity - of->size;
        const size_t size = write_encode(db, intent, of->buffer + AE_PIECE_ROOM + of->size, left);
        if (size <= left) {
            of->size += size;
            return AERO_OK;
        }
        aero_status status = piece_flush(of);
        if (status == AERO_OK)
            status = piece_room(of, size);
        if (status != AERO_OK)
            return status;
    }
}

/* Write all of the transaction as pieces. */
static aero_status pieces_write(aero_session *session, pieces *of)
{
    aero_db *db = session->db;
    writes_walk walk = writes_start(session);
    *of = (pieces){.session = session};
    /* What the slot committed before is written first: one mark for pieces is enough then. */
    aero_status status = ae_log_flush(&db->log, &session->log_writer,
                                      ae_load64_acquire(&db->proc.shared->clock), AE_LOG_WRITE,
                                      &session->error);
    if (status == AERO_OK)
        status = piece_room(of, AE_FRAME_TARGET - AE_PIECE_ROOM);
    ae_log_pieces_begin(&db->log, session->txn.slot);
    for (const ae_intent *intent; status == AERO_OK && (intent = writes_next(&walk)) != NULL;)
        status = piece_add(of, intent);
    if (status == AERO_OK)
        status = piece_flush(of);
    free(of->buffer);
    return status;
}

/* ---- records -------------------------------------------------------------------------------- */

/* Place for `size` bytes, by writing what is in the ring if need be. */
static aero_status record_place(aero_session *session, size_t size, uint8_t **place, size_t *room)
{
    aero_db *db = session->db;
    for (int round = 0; (*place = ae_log_place(&db->log, session->txn.slot, size, room)) == NULL;
         round++) {
        if (round == 2)
            return ae_fail(&session->error, AERO_PANIC, "the log's ring of slot %u is damaged",
                           session->txn.slot);
        /* Everything the slot has in its ring is decided: it was there before this transaction. */
        const aero_status status = ae_log_flush(&db->log, &session->log_writer,
                                                ae_load64_acquire(&db->proc.shared->clock),
                                                AE_LOG_WRITE, &session->error);
        if (status != AERO_OK)
            return status;
        ae_log_ring_written(&db->log, session->txn.slot);
    }
    return AERO_OK;
}

/* The writer needs the queue's entries of what it has not written: wait for it in good time. */
static aero_status queue_lag(aero_session *session)
{
    aero_db *db = session->db;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    if (clock - ae_log_written_number(&db->log) <= db->queue.mask / 2)
        return AERO_OK;
    return ae_log_flush(&db->log, &session->log_writer, clock, AE_LOG_WRITE, &session->error);
}

static aero_status ring_make(aero_session *session)
{
    aero_db *db = session->db;
    const uint32_t slot = session->txn.slot;
    const aero_status status = ae_log_ring_make(&db->log, slot, &session->error);
    if (status != AERO_FULL || !ae_reclaim_hard(session))
        return status;
    return ae_log_ring_make(&db->log, slot, &session->error);
}

aero_status ae_record_prepare(aero_session *session)
{
    aero_db *db = session->db;
    ae_txn *txn = &session->txn;
    uint8_t *place = NULL;
    size_t room = 0;
    size_t size = 0;
    pieces cut = {.session = session};
    if (!ae_log_is_on(&db->log))
        return AERO_OK;
    txn->logged = true;
    aero_status status = ae_log_ready(&db->log, &session->log_writer, &session->error);
    if (status == AERO_OK)
        status = queue_lag(session);
    if (status == AERO_OK)
        status = ring_make(session);
    if (status == AERO_OK)
        status = record_place(session, 0, &place, &room);
    if (status != AERO_OK)
        return status;
    const size_t most = ae_log_record_max(&db->log);
    size = writes_encode(session, place, room, most);
    if (size > most) {
        size = 0;
        status = pieces_write(session, &cut);
        if (status == AERO_OK)
            status = record_place(session, 0, &place, &room);
    } else if (size > room) {
        status = record_place(session, size, &place, &room);
        if (status == AERO_OK)
            size = writes_encode(session, place, room, most);
    }
    if (status == AERO_OK)
        ae_log_offer(&db->log, txn->slot, place, txn->generation, size, cut.count, cut.last);
    return status;
}

void ae_record_settle(aero_session *session, bool committed)
{
    if (session->txn.logged)
        ae_log_settle(&session->db->log, session->txn.slot, committed);
    session->txn.logged = false;
}

aero_status ae_record_finish(aero_session *session, uint32_t slot, uint64_t number)
{
    aero_db *db = session->db;
    if (!ae_log_is_on(&db->log))
        return AERO_OK;
    if (ae_txn_synchronous(session)) {
        if (ae_log_flush(&db->log, &session->log_writer, number, AE_LOG_SYNC, &session->error) ==
            AERO_OK)
            return AERO_OK;
        /* It is decided, and others may have read it: neither "done" nor "undone" is true. */
        const aero_error error = session->error;
        return ae_fail(&session->error, AERO_NOT_DURABLE,
                       "committed, but not known to be on the disk: %.900s", error.text);
    }
    /* Half a ring is a good size for a write, and leaves time until it is full. */
    if (ae_log_presses(&db->log, slot))
        (void)ae_log_flush(&db->log, &session->log_writer, number, AE_LOG_TRY, NULL);
    return AERO_OK;
}
