/* reclaim_private.h — what reclaim.c and vacuum.c share. */
#ifndef AE_TXN_RECLAIM_PRIVATE_H
#define AE_TXN_RECLAIM_PRIVATE_H

#include "txn/txn.h"

/* Free up to `most` versions of the slot's limbo: the dead, and, when an old snapshot holds the
 * horizon back, those that no snapshot sees (`snapshots`, NULL: not asked).  One that is needed, or
 * that cannot be had just now, gets another turn later. */
uint32_t aei_limbo_reclaim(aero_db *db, uint32_t slot, uint64_t horizon, ae_snapshots *snapshots,
                           uint32_t most);

#endif
