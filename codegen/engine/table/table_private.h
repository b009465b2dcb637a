/* table_private.h — shared between the files of the table module.
 */
#ifndef AE_TABLE_TABLE_PRIVATE_H
#define AE_TABLE_TABLE_PRIVATE_H

#include "table/table.h"
#include "txn/visibility_inline.h"

/* The version of the row that the reader sees, or NULL. */
ae_version *ae_chain_find(const ae_reader *reader, ae_ref anchor);

/* Check a table's hash: every entry leads to a row's anchor.  Counts entries and shards. */
aero_status ae_verify_hash(const aero_db *db, uint32_t table, uint64_t *entries, uint64_t *shards,
                           aero_error *error);
/* Check a table's ordered indexes against its `rows` rows; adds the blocks of their trees to
 * *nodes. */
aero_status ae_verify_indexes(aero_db *db, uint32_t table, uint64_t rows, uint64_t *nodes,
                              aero_error *error);

#endif
