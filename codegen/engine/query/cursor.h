/* cursor.h — running a query: rows one by one, many at once by column, or as TSV.
 *
 * A cursor keeps one snapshot: rows that are changed or deleted while it is open, by its own
 * session too, are still handed out as they were.  When its session closes, it lets go of
 * everything but its handle, which ae_cursor_close frees; all other calls then answer AERO_STALE.
 */
#ifndef AE_QUERY_CURSOR_H
#define AE_QUERY_CURSOR_H

#include "query/query.h"

/* Errors: those of ae_reader_open, LIMIT, NO_MEMORY. */
aero_status ae_cursor_open(aero_query *query, aero_cursor **cursor);
void ae_cursor_close(aero_cursor *cursor);
aero_session *ae_cursor_session(const aero_cursor *cursor);
/* STALE when the snapshot is gone: in a child of fork, after the end of its transaction. */
aero_status ae_cursor_check(aero_cursor *cursor);
/* No row of the cursor is in the caller's hands: it may be cancelled until the next check. */
void ae_cursor_rest(aero_cursor *cursor);
/* Why the rows ended early: NO_MEMORY, or OK. */
aero_status ae_cursor_status(const aero_cursor *cursor);
uint64_t ae_cursor_rows(const aero_cursor *cursor);
/* The snapshot it reads, published until it is closed or has given its last row. */
uint64_t ae_cursor_snapshot(const aero_cursor *cursor);
/* The image of a row it stands on. */
const void *ae_row_image(const aero_row *row);
const aero_row *ae_cursor_next(aero_cursor *cursor);
void ae_row_values(const aero_row *row, uint32_t count, const uint32_t *columns,
                   aero_value *values);
/* fetch.c.  Errors: USAGE, LIMIT, NO_MEMORY. */
aero_status ae_cursor_fetch(aero_cursor *cursor, uint32_t max_rows, uint32_t count,
                            const uint32_t *columns, aero_column_data *data, uint32_t *rows);
/* tsv.c.  Errors: USAGE, INTERRUPTED, NO_MEMORY. */
aero_status ae_cursor_write_tsv(aero_cursor *cursor, const aero_tsv_options *options,
                                aero_writer writer, void *context, uint64_t *rows);

#endif
