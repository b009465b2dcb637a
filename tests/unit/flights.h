/* flights.h — rows of FlightState in tests: a key and an altitude, the other columns filled along.
 */
#ifndef AE_TEST_FLIGHTS_H
#define AE_TEST_FLIGHTS_H

#include "store.h"

enum {
    FLIGHTS = 0,
    FLIGHT_ID = 0,
    FLIGHT_LAT = 1,
    FLIGHT_LON = 2,
    FLIGHT_ALTITUDE = 3,
    FLIGHT_UPDATED = 5,
    FLIGHT_TYP = 6,
    FLIGHT_DEST = 7,
    FLIGHT_NONE = -1 /* altitude of a row that is not there */
};

static inline aero_status flight_write(aero_session *session, const char *key, int64_t altitude,
                                       bool insert)
{
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE, FLIGHT_UPDATED};
    const aero_value values[] = {v_text(key), v_real((double)altitude), v_real(-(double)altitude),
                                 v_int(altitude), v_int(1500000000 + altitude)};
    int32_t inserted = 0;
    return insert ? aero_insert(session, FLIGHTS, 5, columns, values)
                  : aero_upsert(session, FLIGHTS, 5, columns, values, &inserted);
}

static inline aero_status flight_insert(aero_session *session, const char *key, int64_t altitude)
{
    return flight_write(session, key, altitude, true);
}

static inline aero_status flight_put(aero_session *session, const char *key, int64_t altitude)
{
    return flight_write(session, key, altitude, false);
}

static inline aero_status flight_delete(aero_session *session, const char *key)
{
    const aero_value value = v_text(key);
    int32_t found = 0;
    const aero_status status = aero_delete(session, FLIGHTS, &value, &found);
    return status == AERO_OK && !found ? AERO_NOT_FOUND : status;
}

/* Altitude of a row, or FLIGHT_NONE. */
static inline int64_t flight_get(aero_session *session, const char *key)
{
    const uint32_t column = FLIGHT_ALTITUDE;
    const aero_value value = v_text(key);
    aero_value altitude;
    int32_t found = 0;
    assert_ok(session, aero_get(session, FLIGHTS, &value, 1, &column, &altitude, &found));
    return found ? altitude.u.integer : FLIGHT_NONE;
}

static inline const char *flight_name(char name[32], uint64_t number)
{
    snprintf(name, 32, "f%07" PRIu64, number);
    return name;
}

#endif
