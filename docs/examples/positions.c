/* positions.c — a first look from C: write a row, read it back, count what a query finds.
 *
 * Build: cc positions.c -I <include> -L <package> -laerostore -Wl,-rpath,<package>
 * Usage: positions DATA_DIR
 *
 * Columns are numbered in the order of their declaration; aero_schema() names them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aerostore/aerostore.h"

enum { FLIGHT_ID, LAT, LON, ALTITUDE, GS, UPDATED_AT, TYP, DEST };
enum { FLIGHT_STATE };

static aero_value text(const char *data)
{
    return (aero_value){.type = AERO_TYPE_TEXT, .length = (uint32_t)strlen(data), .u.data = data};
}

/* Print the last error of a session; any error ends the example. */
static int failed(const aero_session *session)
{
    fprintf(stderr, "%s\n", aero_session_error(session)->text);
    return 1;
}

static int work(aero_session *session)
{
    const uint32_t columns[] = {FLIGHT_ID, LAT, LON, ALTITUDE, UPDATED_AT, DEST};
    const aero_value values[] = {
        text("UAL123"),
        {.type = AERO_TYPE_DOUBLE, .u.real = 37.6189},
        {.type = AERO_TYPE_DOUBLE, .u.real = -122.3750},
        {.type = AERO_TYPE_INT, .u.integer = 31000},
        text("1533099600.25"), /* texts are read as a TSV cell would be */
        text("KJFK"),
    };
    const uint32_t wanted[] = {ALTITUDE, DEST};
    const aero_value low = {.type = AERO_TYPE_INT, .u.integer = 30000};
    aero_value got[2];
    aero_query *query = NULL;
    int32_t flag = 0;
    uint64_t count = 0;
    if (aero_upsert(session, FLIGHT_STATE, 6, columns, values, &flag) != AERO_OK)
        return failed(session);
    if (aero_get(session, FLIGHT_STATE, &values[0], 2, wanted, got, &flag) != AERO_OK || !flag)
        return failed(session);
    printf("UAL123 at %" PRId64 " ft, bound for %.*s\n", got[0].u.integer, (int)got[1].length,
           got[1].u.data);
    if (aero_query_new(session, FLIGHT_STATE, &query) != AERO_OK)
        return failed(session);
    if (aero_query_clause(query, AERO_OP_GE, ALTITUDE, 1, &low) != AERO_OK ||
        aero_query_count(query, &count) != AERO_OK) {
        aero_query_free(query);
        return failed(session);
    }
    aero_query_free(query);
    printf("%" PRIu64 " flights at or above 30000 ft\n", count);
    return 0;
}

int main(int argc, char **argv)
{
    const aero_open_options options = {.data_dir = argc > 1 ? argv[1] : "positions_data"};
    aero_db *db = NULL;
    aero_session *session = NULL;
    aero_error error;
    if (aero_open(&options, &db, &error) != AERO_OK ||
        aero_session_open(db, &session, &error) != AERO_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    const int status = work(session);
    aero_session_close(session);
    return aero_close(db, &error) == AERO_OK ? status : 1;
}
