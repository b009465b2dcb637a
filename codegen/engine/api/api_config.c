/* api_config.c — settings by name: those of this process's handle, and those that all processes of
 * a database share. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/os_pack.h"
#include "txn/age.h"
#include "txn/txn.h"

enum kind { KIND_BOOLEAN, KIND_NATURAL };

/* Where a setting lives: a word of the handle (synchronous_commit has 32 bits), of the shared
 * settings, or of the process table. */
enum home { HOME_SYNCHRONOUS, HOME_HANDLE, HOME_SETTINGS, HOME_PROCESSES };

struct key {
    const char *name;
    enum kind kind;
    uint64_t most;
    enum home home;
    size_t offset;
};

static const struct key keys[] = {
    {"aerostore.synchronous_commit", KIND_BOOLEAN, 1, HOME_SYNCHRONOUS, 0},
    {"aerostore.checkpoint_interval_secs", KIND_NATURAL, INT32_MAX, HOME_SETTINGS,
     offsetof(ae_settings, checkpoint_interval_secs)},
    {"aerostore.flush_interval_ms", KIND_NATURAL, 60000, HOME_SETTINGS,
     offsetof(ae_settings, flush_interval_ms)},
    {"aerostore.checkpoint_wal_bytes", KIND_NATURAL, INT64_MAX, HOME_SETTINGS,
     offsetof(ae_settings, checkpoint_wal_bytes)},
    {"aerostore.ttl_sweep_interval_ms", KIND_NATURAL, INT32_MAX, HOME_SETTINGS,
     offsetof(ae_settings, ttl_sweep_interval_ms)},
    {"aerostore.checkpoint_rest_percent", KIND_NATURAL, 95, HOME_SETTINGS,
     offsetof(ae_settings, checkpoint_rest_percent)},
    {"aerostore.checkpoint_compression", KIND_BOOLEAN, 1, HOME_SETTINGS,
     offsetof(ae_settings, checkpoint_compression)},
    {"aerostore.keep_log", KIND_BOOLEAN, 1, HOME_SETTINGS, offsetof(ae_settings, keep_log)},
    {"aerostore.escalate_after", KIND_NATURAL, INT32_MAX, HOME_HANDLE,
     offsetof(aero_db, escalate_after)},
    {"aerostore.lock_timeout_ms", KIND_NATURAL, INT32_MAX, HOME_HANDLE,
     offsetof(aero_db, lock_timeout_ms)},
    {"aerostore.transaction_timeout_secs", KIND_NATURAL, INT32_MAX, HOME_PROCESSES,
     offsetof(ae_proc_shared, transaction_timeout_secs)},
};
#define KEYS (sizeof keys / sizeof keys[0])

const char *aero_config_key(uint32_t index)
{
    return index < KEYS ? keys[index].name : NULL;
}

static aero_status config_find(aero_session *session, const char *name, const struct key **key)
{
    char list[1024];
    size_t length = 0;
    for (size_t index = 0; index < KEYS; index++) {
        *key = &keys[index];
        if (name != NULL && strcmp(name, keys[index].name) == 0)
            return AERO_OK;
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
                                   index == 0 ? "" : ", ", keys[index].name);
    }
    return ae_fail(&session->error, AERO_NAME, "unknown config key '%.200s'; supported: %s",
                   name == NULL ? "" : name, list);
}

static ae_a64 *config_word(const aero_session *session, const struct key *key)
{
    AE_ALWAYS(key->home != HOME_SYNCHRONOUS && key->offset % sizeof(ae_a64) == 0);
    aero_db *db = session->db;
    char *base = key->home == HOME_SETTINGS    ? (char *)db->settings
                 : key->home == HOME_PROCESSES ? (char *)db->proc.shared
                                               : (char *)db;
    return (ae_a64 *)(void *)(base + key->offset);
}

static bool config_boolean(const char *text, uint64_t *value)
{
    AE_ASSERT(text != NULL);
    static const char *const yes[] = {"on", "true", "yes", "1"};
    static const char *const no[] = {"off", "false", "no", "0"};
    for (size_t index = 0; index < sizeof yes / sizeof yes[0]; index++) {
        *value = strcasecmp(text, yes[index]) == 0;
        if (*value || strcasecmp(text, no[index]) == 0)
            return true;
    }
    return false;
}

static bool config_natural(const char *text, uint64_t most, uint64_t *value)
{
    AE_ASSERT(text != NULL);
    const char *at = text;
    *value = 0;
    for (; *at >= '0' && *at <= '9' && *value <= most; at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
            return false;
    return at != text && *at == '\0' && *value <= most;
}

/* Can this machine do what the setting asks for? */
static bool config_can(const struct key *of, uint64_t number)
{
    ae_os_pack pack;
    if (of->home != HOME_SETTINGS || of->offset != offsetof(ae_settings, checkpoint_compression) ||
        number == 0)
        return true;
    const bool can = ae_os_pack_open(&pack);
    ae_os_pack_close(&pack);
    return can;
}

aero_status aero_config_set(aero_session *session, const char *key, const char *value)
{
    const struct key *of = NULL;
    uint64_t number = 0;
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK)
        status = config_find(session, key, &of);
    if (status != AERO_OK)
        return status;
    if (value == NULL)
        return ae_fail(&session->error, AERO_USAGE, "the value is missing");
    if (of->kind == KIND_BOOLEAN && !config_boolean(value, &number))
        return ae_fail(&session->error, AERO_TYPE, "%s must be on or off, not '%.100s'", key,
                       value);
    if (of->kind == KIND_NATURAL && !config_natural(value, of->most, &number))
        return ae_fail(&session->error, AERO_TYPE,
                       "expected non-negative integer for %s, at most %llu, got '%.100s'", key,
                       (unsigned long long)of->most, value);
    if (!config_can(of, number))
        return ae_fail(&session->error, AERO_USAGE, "%s needs %s, which is not on this machine",
                       key, AE_OS_PACK_LIBRARY);
    AE_ALWAYS(number <= of->most);
    if (of->home != HOME_SYNCHRONOUS)
        ae_store64(config_word(session, of), number);
    else
        ae_store32(&session->db->synchronous_commit, (uint32_t)number);
    /* What had nobody to do it may have somebody now. */
    if (session->db->keep != NULL && !session->txn.open && ae_ttl_active(session->db))
        session->db->keep(session);
    return AERO_OK;
}

aero_status aero_config_get(aero_session *session, const char *key, const char **value)
{
    const struct key *of = NULL;
    aero_status status = ae_session_enter(session);
    if (status == AERO_OK)
        status = config_find(session, key, &of);
    if (status != AERO_OK)
        return status;
    const uint64_t number = of->home != HOME_SYNCHRONOUS
                                ? ae_load64(config_word(session, of))
                                : ae_load32(&session->db->synchronous_commit);
    if (of->kind == KIND_BOOLEAN)
        snprintf(session->config_text, sizeof session->config_text, "%s",
                 number != 0 ? "on" : "off");
    else
        snprintf(session->config_text, sizeof session->config_text, "%llu",
                 (unsigned long long)number);
    *value = session->config_text;
    return AERO_OK;
}
