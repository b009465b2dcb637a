/* stats.h — figures about the database, cheap enough to ask for at any time.
 */
#ifndef AE_TABLE_STATS_H
#define AE_TABLE_STATS_H

#include "table/table.h"

/* As aero_stats. */
aero_status ae_stats_collect(aero_session *session, const aero_stat **stats, uint32_t *count);

#endif
