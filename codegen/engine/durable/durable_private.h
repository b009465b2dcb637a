/* durable_private.h — what the files of this module share.
 */
#ifndef AE_DURABLE_DURABLE_PRIVATE_H
#define AE_DURABLE_DURABLE_PRIVATE_H

#include <limits.h>

#include "base/os_pack.h"
#include "base/os_store.h"
#include "durable/durable.h"
#include "durable/format.h"
#include "wal/log.h"
#include "wal/reader.h"

/* Names of a profile's files in its data directory. */
typedef struct ae_file_names {
    const char *log;
    const char *checkpoint;
} ae_file_names;
const ae_file_names *aei_durable_names(enum ae_profile profile);
enum ae_stack aei_durable_stack(enum ae_profile profile);
/* Which profile's files lie in the directory: AE_PROFILES when none do.  MISMATCH when there are
 * those of several. */
aero_status aei_durable_profile(const char *directory, enum ae_profile *profile, aero_error *error);
/* "directory/name" with an ending; false when it does not fit. */
bool aei_durable_path(const char *directory, const char *name, const char *ending, char *out,
                      size_t size);

/* What a repair has made, durable but not yet named as the checkpoint: the checkpoint's name with
 * this ending.  As long as it is there the other files mean nothing, and the store is not opened:
 * CORRUPT; IO when it cannot be found out. */
#define AE_REPAIRED ".repaired"
aero_status aei_repair_pending(const char *directory, aero_error *error);

/* The lock file's bytes. */
#define AE_LOCK_NAME "aerostore.lock"
enum ae_lock_place { AE_LOCK_OPENING = 0, AE_LOCK_CHECKPOINT = 1, AE_LOCK_KEEPER = 2 };

/* The files' side of a handle. */
struct ae_durable {
    int directory_fd; /* its lock says that the database is in use */
    bool private;
    bool attached; /* the handle is whole */
    ae_recovery_report recovery;
    ae_os_thread *thread; /* the keeper of a database in private memory */
    ae_a32 ending;        /* tells it to go */
};

/* Take a byte of the lock file, trying for as long as `wait_ms`.  AGAIN-like answers are EAGAIN.
 * The descriptor is to be closed by aei_lock_drop. */
int aei_lock_take(const char *directory, enum ae_lock_place place, uint64_t wait_ms, int *fd);
void aei_lock_drop(int fd, enum ae_lock_place place);

/* ---- reading a checkpoint (load.c) ---------------------------------------------------------- */

typedef struct ae_checkpoint_file {
    char path[PATH_MAX];
    int fd; /* -1: there is none */
    uint64_t size;
    uint64_t serial;
    uint8_t store[16];
    ae_checkpoint_head head;
    uint8_t *buffer; /* the last block; the caller may exchange it for memory of its own */
    size_t capacity;
    uint8_t *spare; /* what a packed one is unpacked to, and then exchanged with */
    size_t spare_capacity;
    ae_os_pack pack;     /* from the first packed block on */
    uint64_t offset;     /* of the next block */
    uint32_t number;     /* of the next block */
    uint64_t rows;       /* so far */
    uint32_t block_rows; /* of the last block, and its bytes in the file */
    uint32_t block_size;
    const uint8_t *payload;
    size_t payload_size;
} ae_checkpoint_file;

/* Open and judge the head.  A file that is not there is no error: file->fd is -1. */
aero_status aei_checkpoint_open(ae_checkpoint_file *file, const char *path, aero_error *error);
/* The next block of rows; payload NULL at the (correct) end. */
aero_status aei_checkpoint_next(ae_checkpoint_file *file, aero_error *error);
void aei_checkpoint_close(ae_checkpoint_file *file);

/* ---- recovering (recover.c) ----------------------------------------------------------------- */

/* Tells the caller of a long recovery how far it is.  One thread: the opener's. */
typedef struct ae_recovery_teller {
    aero_recovering call; /* NULL: nobody listens */
    void *context;
    uint64_t all;
    uint64_t told_ns;
} ae_recovery_teller;
/* `now`: whenever the last time was.  INTERRUPTED when the caller wants no more. */
aero_status aei_recovery_tell(ae_recovery_teller *teller, enum aero_recovery_phase phase,
                              uint64_t done, bool now, aero_error *error);

/* Where to stop, for other times; UINT64_MAX and INT64_MAX: nowhere. */
typedef struct ae_recovery_goal {
    uint64_t number;
    int64_t time_us;
    bool lenient; /* for repair: take what is good before the damage, report the rest */
    ae_recovery_teller *teller;
} ae_recovery_goal;

/* Fill the tables of a new, unnamed segment from files, and start its log.  No file is changed. */
aero_status aei_recover(aero_db *db, const ae_recovery_goal *goal, ae_recovery_report *report,
                        aero_error *error);

/* ---- what several threads do for it (fill.c) ------------------------------------------------ */

/* Bring the rows of an opened checkpoint into the tables; *rows counts them, also those before an
 * error.  `lenient` goal: what is good before damage stays. */
aero_status aei_rows_load(aero_session *session, ae_checkpoint_file *file,
                          const ae_recovery_goal *goal, uint64_t *rows);
/* Make the indexes that ae_index_defer left alone.  MISMATCH or CORRUPT when the rows do not fit a
 * unique one. */
aero_status aei_indexes_fill(aero_session *session);

/* ---- writing a checkpoint (checkpoint.c) ---------------------------------------------------- */

/* Write all rows that a snapshot sees to a new file and make it durable. */
typedef struct ae_checkpoint_job {
    const char *path; /* of the new file; must not exist */
    uint64_t serial;
    uint8_t store[16];
    ae_checkpoint_head head;            /* number is filled in */
    uint64_t least;                     /* the snapshot has at least this number */
    const ae_checkpoint_manner *manner; /* NULL: no rests */
} ae_checkpoint_job;
/* The name of an older checkpoint that is kept: name, point, serial number. */
bool aei_checkpoint_kept(const char *directory, const char *name, uint64_t serial, char *out,
                         size_t size);
/* The greatest serial number below `serial` of the checkpoints that are kept; 0: there is none.
 * Numbers are missing where a checkpoint failed late, or none was kept for a time. */
uint64_t aei_checkpoint_older(const char *directory, const char *name, uint64_t serial);
aero_status aei_checkpoint_write(aero_session *session, ae_checkpoint_job *job,
                                 ae_checkpoint_report *report);

/* ---- the keeper (keeper.c) ------------------------------------------------------------------ */

/* See that somebody flushes and takes checkpoints: this process's thread for private memory, the
 * daemon for a shared segment.  Cheap when there is one already. */
void aei_keeper_ensure(aero_session *session);

/* ---- opening (open.c) ----------------------------------------------------------------------- */

/* Give the new handle its files' side, take the directory's lock, and attach.  On an error the
 * handle is freed. */
aero_status aei_durable_attach(aero_db *db, const ae_db_boot *boot, aero_error *error);

#endif
