/* query.h — searches: built clause by clause, planned, and run (cursor.h).
 *
 * A query is private to the session that made it.  It may run many times; while a cursor of it is
 * open it cannot be changed.  After its session was closed every call answers AERO_STALE, and only
 * ae_query_free is of use.
 *
 * Floor F7: the API's entry points (api_query.c) check handles and sessions before they call here.
 */
#ifndef AE_QUERY_QUERY_H
#define AE_QUERY_QUERY_H

#include "txn/session.h"

/* A new query on a table of the session's schema.  Errors: USAGE, NO_MEMORY. */
aero_status ae_query_new(aero_session *session, uint32_t table, aero_query **query);
/* Free it, as soon as its last cursor is closed. */
void ae_query_free(aero_query *query);
/* The session it belongs to, or NULL after that was closed. */
aero_session *ae_query_session(const aero_query *query);

/* Each adds to the query or leaves it as it was.  Errors: PARSE, NAME, TYPE, USAGE, LIMIT,
 * NO_MEMORY; those of a text carry the position in error.line. */
aero_status ae_query_compare(aero_query *query, const char *text, size_t length);
aero_status ae_query_clause(aero_query *query, int32_t op, uint32_t column, uint32_t count,
                            const aero_value *values);
aero_status ae_query_glob(aero_query *query, const char *pattern, size_t length);
aero_status ae_query_sort(aero_query *query, uint32_t column, int32_t descending);
aero_status ae_query_limit(aero_query *query, int64_t limit, int64_t offset);

/* Give a parameter its values: one, or for `in` any number.  Errors: USAGE, TYPE, LIMIT, NO_MEMORY;
 * the clauses that it is in cannot be used then until it is bound again. */
aero_status ae_query_bind(aero_query *query, uint32_t parameter, uint32_t count,
                          const aero_value *values);

/* Ask for a way to the rows: "scan", "key", "index COLUMN", "intersection", or "" for the cheapest.
 * Where there is no such way the planner chooses.  Errors: USAGE, NAME. */
aero_status ae_query_using(aero_query *query, const char *way, size_t length);

/* Rows after filters, offset and limit.  Errors: those of ae_reader_open, NO_MEMORY. */
aero_status ae_query_count(aero_query *query, uint64_t *count);
/* The plan in words; the text lives until the query's next call. */
aero_status ae_query_explain(aero_query *query, bool execute, const char **text, size_t *length);

#endif
