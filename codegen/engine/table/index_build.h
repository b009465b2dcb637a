/* index_build.h — making and dropping ordered indexes of a table in use.
 *
 * Concurrency: as table.h.  Others read and write the table meanwhile, and find the index at their
 * next statement.
 */
#ifndef AE_TABLE_INDEX_BUILD_H
#define AE_TABLE_INDEX_BUILD_H

#include "table/table.h"

/* Make an index over some columns.  Errors: USAGE in a transaction, or for columns that are no
 * columns of the table or named twice; EXISTS when there is such an index, or, of a unique one,
 * when two rows have one value; CONFLICT when rows in question are just being written; FULL,
 * LIMIT. */
aero_status ae_index_create(aero_session *session, uint32_t table, const uint32_t *columns,
                            uint32_t count, bool unique);
/* Errors: USAGE in a transaction, NOT_FOUND. */
aero_status ae_index_drop(aero_session *session, uint32_t table, const uint32_t *columns,
                          uint32_t count);

/* NOT_FOUND for these columns, which are checked only here. */
aero_status ae_index_missing(aero_session *session, uint32_t table, const uint32_t *columns,
                             uint32_t count);

/* A new segment that nobody else sees is about to be filled with rows: its indexes are left alone.
 * They are of no use until each has been filled. */
void ae_index_defer(const aero_db *db);
/* Is this an index that is still to be filled? */
bool ae_index_deferred(const aero_db *db, uint32_t table, uint32_t number);
/* What a thread that fills several indexes uses again: memory that was had once need not be made
 * by the kernel once more.  Starts as {.count = 0}. */
#define AE_INDEX_SPARES 8u
typedef struct ae_index_memory {
    uint64_t *spares[AE_INDEX_SPARES];
    uint32_t count;
} ae_index_memory;
void ae_index_memory_free(ae_index_memory *memory);
/* Make the entries of a deferred index from what the table holds.  Nobody writes to the table
 * meanwhile, but other sessions may fill its other indexes.  Errors: EXISTS when two rows have one
 * value of a unique index; FULL, NO_MEMORY. */
aero_status ae_index_fill(aero_session *session, uint32_t table, uint32_t number,
                          ae_index_memory *memory);

#endif
