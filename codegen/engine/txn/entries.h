/* entries.h — the ordered indexes and the versions of rows: which entries are needed, and removing
 * those that are not.
 *
 * An entry (key, anchor) stands for every version of the row with that key.  Whoever frees a
 * version has the duty to remove its entry, unless another version of the row with the same key
 * has it:
 *
 *   freeing                                    writing a version with the key
 *   take the version out of the chain          publish the version in the chain
 *   fence; look at the head: same key? leave   fence
 *   read the entry's ticket                    put: a live entry gets a new sequence number
 *   walk the chain: same key? leave
 *   remove the entry if its word is the ticket
 *
 * Either the walk meets the new version, or the entry has another word than the ticket, or the
 * writer finds it removed and puts it anew.  Versions that ended at or before the horizon count as
 * out of the chain.
 */
#ifndef AE_TXN_ENTRIES_H
#define AE_TXN_ENTRIES_H

#include "txn/handles.h"
#include "row/version.h"

/* Has a version of the row that somebody sees, or may see, these words?  Racy by nature: what is
 * being written or undone counts while it is in the chain. */
bool ae_entry_needed(const aero_db *db, uint32_t table, const ae_key_shape *shape,
                     const ae_tree_key *key);

/* Versions whose entries are removed together: the leaves of their keys are fetched at once. */
#define AE_ENTRIES_TOGETHER 4u
/* ... and if all are of one row: its chain, which while somebody holds the horizon back may have
 * thousands of versions, is walked once for them. */
#define AE_ENTRIES_OF_ROW 128u
/* Remove the entries of some versions of a table that are out of their rows' chains, and about to
 * be freed, where no other version needs them.  Returns for how many, from the first one on, that
 * has been done; for want of memory not for all: try again before the others are freed.  How many
 * versions were looked at for it is left in the slot (`walked`). */
uint32_t ae_entries_drop(aero_db *db, uint32_t slot, uint32_t table,
                         const ae_version *const *versions, uint32_t count);

/* The version is freed all the same: count what stays behind. */
void ae_entries_abandon(const aero_db *db, uint32_t table);

#endif
