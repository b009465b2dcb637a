/* lmdb_peer.h — LMDB as a peer: flight key → the same 88-byte row, in a file on the benchmark's own
 * tmpfs folder, without any syncing.
 *
 * Concurrency: one thread.
 */
#ifndef BENCH_LMDB_PEER_H
#define BENCH_LMDB_PEER_H

#include <lmdb.h>
#include <sys/stat.h>

#include "driver.h"

typedef struct lmdb_peer {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader; /* reset between reads; renewed for each, as each get is its own snapshot */
} lmdb_peer;

static inline void lmdb_need(int code, const char *what)
{
    if (code != 0)
        die("lmdb %s: %s", what, mdb_strerror(code));
}

/* `flags`: how writes go, besides MDB_NOSYNC. */
static inline void lmdb_peer_open_with(lmdb_peer *peer, const char *directory, uint64_t rows,
                                       unsigned flags)
{
    char path[4096];
    MDB_txn *txn = NULL;
    snprintf(path, sizeof path, "%s/lmdb%u", directory, flags);
    mkdir(path, 0700);
    lmdb_need(mdb_env_create(&peer->env), "create");
    lmdb_need(mdb_env_set_maxdbs(peer->env, 2), "maxdbs");
    lmdb_need(mdb_env_set_mapsize(peer->env, rows * 512 + (64u << 20)), "mapsize");
    lmdb_need(mdb_env_open(peer->env, path, MDB_NOSYNC | flags, 0600), "open");
    lmdb_need(mdb_txn_begin(peer->env, NULL, 0, &txn), "begin");
    lmdb_need(mdb_dbi_open(txn, NULL, 0, &peer->dbi), "dbi");
    for (uint64_t i = 0; i < rows; i++) {
        flight one;
        plain_row row;
        flight_make(i, &one);
        plain_fill(&row, &one);
        MDB_val key = {KEY_LENGTH, one.key};
        MDB_val data = {sizeof row, &row};
        lmdb_need(mdb_put(txn, peer->dbi, &key, &data, MDB_APPEND), "put");
    }
    lmdb_need(mdb_txn_commit(txn), "commit");
    lmdb_need(mdb_txn_begin(peer->env, NULL, MDB_RDONLY, &peer->reader), "begin reader");
    mdb_txn_reset(peer->reader);
}

/* Its fastest way: through a writable mapping. */
static inline void lmdb_peer_open(lmdb_peer *peer, const char *directory, uint64_t rows)
{
    lmdb_peer_open_with(peer, directory, rows, MDB_WRITEMAP | MDB_NOMETASYNC);
}

static inline void lmdb_peer_close(lmdb_peer *peer)
{
    mdb_txn_abort(peer->reader);
    mdb_env_close(peer->env);
}

#endif
