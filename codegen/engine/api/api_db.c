/* api_db.c — the exported functions on databases, sessions, transactions and settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/os.h"
#include "table/stats.h"
#include "table/verify.h"
#include "txn/db.h"
#include "txn/txn.h"

int32_t aero_abi(void)
{
    return AERO_ABI;
}

#define LAYOUT(type) \
    { \
#type, (uint32_t)sizeof(type), (uint32_t) _Alignof(type) \
    }
const aero_layout_entry *aero_layout(void)
{
    static const aero_layout_entry entries[] = {LAYOUT(aero_error_info),
                                                LAYOUT(aero_error),
                                                LAYOUT(aero_value),
                                                LAYOUT(aero_open_options),
                                                LAYOUT(aero_stat),
                                                LAYOUT(aero_column_data),
                                                LAYOUT(aero_ingest_report),
                                                LAYOUT(aero_tsv_options),
                                                LAYOUT(aero_event),
                                                LAYOUT(aero_layout_entry),
                                                LAYOUT(aero_cell),
                                                LAYOUT(aero_column),
                                                LAYOUT(aero_index),
                                                LAYOUT(aero_table),
                                                LAYOUT(struct aero_schema),
                                                LAYOUT(aero_index_info),
                                                {NULL, 0, 0}};
    return entries;
}

/* ---- databases ------------------------------------------------------------------------------ */

aero_status aero_open(const aero_open_options *options, aero_db **db, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL)
        return ae_fail(error, AERO_USAGE, "no place for the handle");
    *db = NULL;
    if (options == NULL)
        return ae_fail(error, AERO_USAGE, "no options");
    return ae_db_open(options, db, error);
}

aero_status aero_close(aero_db *db, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL)
        return AERO_OK;
    const uint32_t sessions = ae_load32(&db->sessions);
    if (sessions != 0)
        return ae_fail(error, AERO_USAGE, "%u sessions are open on the database", sessions);
    ae_db_free(db);
    return AERO_OK;
}

const char *aero_boot(const aero_db *db)
{
    return db->segment.created ? "cold" : "warm";
}

const char *aero_data_dir(const aero_db *db)
{
    return db->data_dir;
}

uint32_t aero_orphans_cleared(const aero_db *db)
{
    return db->orphans_cleared;
}

aero_status aero_session_open(aero_db *db, aero_session **session, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL || session == NULL)
        return ae_fail(error, AERO_USAGE, "no database, or no place for the session");
    return ae_session_new(db, session, error);
}

void aero_session_close(aero_session *session)
{
    if (session != NULL && session->magic == AE_SESSION_MAGIC)
        ae_session_free(session);
}

const aero_error *aero_session_error(const aero_session *session)
{
    return &session->error;
}

/* ---- transactions --------------------------------------------------------------------------- */

aero_status aero_begin(aero_session *session, int32_t isolation)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE,
                       "a transaction is open already; savepoints nest inside it");
    if (isolation < AERO_ISOLATION_SERIALIZABLE || isolation > AERO_ISOLATION_READ_ONLY)
        return ae_fail(&session->error, AERO_USAGE, "%d is no isolation level", isolation);
    return ae_txn_begin(session, isolation, true);
}

static aero_status enter_transaction(aero_session *session)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (!session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "no transaction is open");
    return AERO_OK;
}

aero_status aero_commit(aero_session *session)
{
    const aero_status status = enter_transaction(session);
    if (status != AERO_OK)
        return status;
    if (session->txn.doomed) {
        const bool cancelled = session->txn.cancelled;
        ae_txn_rollback(session);
        if (cancelled)
            return ae_txn_cancelled(session);
        return ae_conflict(session, AERO_CONFLICT_WRITE, NULL);
    }
    return ae_txn_commit(session);
}

aero_status aero_rollback(aero_session *session)
{
    const aero_status status = enter_transaction(session);
    if (status == AERO_OK)
        ae_txn_rollback(session);
    return status;
}

int32_t aero_depth(const aero_session *session)
{
    return session->txn.open ? 1 + (int32_t)session->txn.savepoint_count : 0;
}

static aero_status enter_name(aero_session *session, const char *name, size_t length)
{
    const aero_status status = ae_session_enter(session);
    if (status == AERO_OK && name == NULL && length > 0)
        return ae_fail(&session->error, AERO_USAGE, "the savepoint's name is missing");
    return status;
}

aero_status aero_savepoint(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_savepoint(session, name, name_length);
}

aero_status aero_rollback_to(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_rollback_to(session, name, name_length);
}

aero_status aero_release(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_release(session, name, name_length);
}

/* ---- settings ------------------------------------------------------------------------------- */

static const char *const config_keys[] = {
    "aerostore.synchronous_commit", "aerostore.checkpoint_interval_secs",
    "aerostore.escalate_after", "aerostore.lock_timeout_ms", "aerostore.transaction_timeout_secs"};
#define CONFIG_KEYS (sizeof config_keys / sizeof config_keys[0])

const char *aero_config_key(uint32_t index)
{
    return index < CONFIG_KEYS ? config_keys[index] : NULL;
}

static aero_status config_find(aero_session *session, const char *key, size_t *index)
{
    for (*index = 0; key != NULL && *index < CONFIG_KEYS; (*index)++)
        if (strcmp(key, config_keys[*index]) == 0)
            return AERO_OK;
    char supported[1024] = "";
    size_t length = 0;
    for (size_t each = 0; each < CONFIG_KEYS; each++)
        length += (size_t)snprintf(supported + length, sizeof supported - length, "%s%s",
                                   each == 0 ? "" : ", ", config_keys[each]);
    return ae_fail(&session->error, AERO_NAME, "unknown config key '%.200s'; supported: %s",
                   key == NULL ? "" : key, supported);
}

/* Where the number of a key is kept: keys after the first are all numbers. */
static ae_a64 *config_number(aero_db *db, size_t index)
{
    switch (index) {
    case 1:
        return &db->checkpoint_interval_secs;
    case 2:
        return &db->escalate_after;
    case 4:
        return &db->proc.shared->transaction_timeout_secs;
    default:
        return &db->lock_timeout_ms;
    }
}

static bool config_boolean(const char *text, uint32_t *value)
{
    static const char *const yes[] = {"on", "true", "yes", "1"};
    static const char *const no[] = {"off", "false", "no", "0"};
    for (size_t index = 0; index < sizeof yes / sizeof yes[0]; index++) {
        *value = strcasecmp(text, yes[index]) == 0;
        if (*value || strcasecmp(text, no[index]) == 0)
            return true;
    }
    return false;
}

aero_status aero_config_set(aero_session *session, const char *key, const char *value)
{
    size_t index = 0;
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK)
        status = config_find(session, key, &index);
    if (status != AERO_OK)
        return status;
    if (value == NULL)
        return ae_fail(&session->error, AERO_USAGE, "the value is missing");
    if (index == 0) {
        uint32_t on = 0;
        if (!config_boolean(value, &on))
            return ae_fail(&session->error, AERO_TYPE, "%s must be on or off, not '%.100s'", key,
                           value);
        ae_store32(&session->db->synchronous_commit, on);
        return AERO_OK;
    }
    uint64_t number = 0;
    const char *at = value;
    for (; *at >= '0' && *at <= '9' && number <= INT32_MAX; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (at == value || *at != '\0' || number > INT32_MAX)
        return ae_fail(&session->error, AERO_TYPE,
                       "expected non-negative integer for %s, got '%.100s'", key, value);
    ae_store64(config_number(session->db, index), number);
    return AERO_OK;
}

aero_status aero_config_get(aero_session *session, const char *key, const char **value)
{
    size_t index = 0;
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK)
        status = config_find(session, key, &index);
    if (status != AERO_OK)
        return status;
    if (index == 0)
        snprintf(session->config_text, sizeof session->config_text, "%s",
                 ae_load32(&session->db->synchronous_commit) != 0 ? "on" : "off");
    else
        snprintf(session->config_text, sizeof session->config_text, "%llu",
                 (unsigned long long)ae_load64(config_number(session->db, index)));
    *value = session->config_text;
    return AERO_OK;
}

/* ---- looking inside ------------------------------------------------------------------------- */

aero_status aero_stats(aero_session *session, const aero_stat **stats, uint32_t *count)
{
    const aero_status status = ae_session_enter(session);
    return status != AERO_OK ? status : ae_stats_collect(session, stats, count);
}

aero_status aero_verify(aero_session *session, uint64_t *rows, uint64_t *blocks)
{
    const aero_status status = ae_session_enter(session);
    return status != AERO_OK ? status : ae_verify(session, rows, blocks);
}
