/* cursor_private.h — the cursor as cursor.c, fetch.c, tsv.c and explain.c share it. */
#ifndef AE_QUERY_CURSOR_PRIVATE_H
#define AE_QUERY_CURSOR_PRIVATE_H

#include "query/cursor.h"
#include "query/order.h"
#include "query/source.h"

/* The row the cursor stands on. */
struct aero_row {
    ae_view view;
    const aero_table *table;
    char *scratch; /* AE_TEXT_MAX bytes for each column whose text is made when it is read */
    const uint32_t *slots; /* column → its number among these, NULL when there is none */
};

/* Arrays behind one aero_column_data; they grow and stay until the cursor is closed. */
typedef struct aei_buffer {
    void *numbers; /* int64_t or double */
    size_t number_room;
    uint8_t *nulls;
    size_t null_room;
    uint32_t *offsets;
    size_t offset_room;
    char *text;
    size_t text_room;
} aei_buffer;

struct aero_cursor {
    ae_session_child child;
    aero_session *session; /* NULL once it closed */
    aero_query *query;     /* NULL once let go */
    ae_reader reader;
    bool reading; /* the reader is open */
    bool ordered; /* rows are taken from `order`: all of them, or group by group */
    bool grouped;
    uint64_t skip; /* rows of the offset still to be left out */
    uint64_t left; /* rows of the limit still to be given */
    uint64_t rows; /* given */
    aei_order order;
    size_t order_at;
    aero_status failed; /* while a group was sorted: the rows end with this error */
    aero_row row;
    uint32_t *slots;
    ae_view *held; /* rows read for a fetch but not given: held[held_at..held_count) */
    size_t held_room;
    size_t held_at;
    size_t held_count;
    aei_buffer *buffers;
    uint32_t buffer_count;
    aei_stream stream;
};

/* Take up to `max` rows, held ones first; fewer only at the end.  They stay valid until the next
 * call; the one that finds no more closes the reader. */
size_t aei_cursor_take(aero_cursor *cursor, ae_view *views, size_t max);
/* As aei_cursor_take, but past the held rows, and the reader stays open. */
size_t aei_cursor_read(aero_cursor *cursor, ae_view *views, size_t max);
void aei_cursor_stop(aero_cursor *cursor);
/* fetch.c */
void aei_buffers_free(aero_cursor *cursor);
size_t aei_buffers_bytes(const aero_cursor *cursor);

#endif
