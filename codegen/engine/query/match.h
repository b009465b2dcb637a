/* match.h — a query's conditions as a test of single row images, wherever they come from.
 *
 * Concurrency: private to the query's thread.
 */
#ifndef AE_QUERY_MATCH_H
#define AE_QUERY_MATCH_H

#include "query/query.h"

typedef struct ae_matcher ae_matcher;

/* Keeps the query until it is freed; the query must not change meanwhile.  LIMIT, NO_MEMORY. */
aero_status ae_matcher_new(aero_query *query, ae_matcher **matcher);
void ae_matcher_free(ae_matcher *matcher);
/* `context` is the matcher.  Sorting, limit and offset do not count. */
bool ae_matcher_match(void *context, const void *row, const char *base);
/* The table of the query. */
uint32_t ae_query_table(const aero_query *query);

#endif
