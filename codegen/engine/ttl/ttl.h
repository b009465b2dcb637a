/* ttl.h — time to live: finding the rows whose time has come, and having them deleted.
 *
 * A round of sweeping reads through the versions of each table that has a time to live, in steps of
 * a few milliseconds, and deletes what is due in small transactions.  Where a round stands is
 * written in the segment, so that the next step may be anybody's.
 *
 * Concurrency: any number of sessions may sweep at once; they do the same work twice then, and each
 * row is still deleted once.  Progress: a sweeper that dies or stops leaves its place to others.
 */
#ifndef AE_TTL_TTL_H
#define AE_TTL_TTL_H

#include "txn/age.h"

/* One step of the round that is due; at most some milliseconds.  True: there is more to do at once.
 * Never fails: what could not be deleted now is still due the next time.
 * REQUIRES: no transaction is open. */
bool ae_ttl_step(aero_session *session);

/* A whole round at once, of one table or of all (AE_TTL_ALL).  *expired counts rows.
 * Errors: USAGE in a transaction; those of ae_table_expire. */
#define AE_TTL_ALL UINT32_MAX
aero_status ae_ttl_sweep(aero_session *session, uint32_t table, uint64_t *expired);

#endif
