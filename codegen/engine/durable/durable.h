/* durable.h — a database with its files: opening (attach, or recover), checkpoints, closing.
 *
 * See README.md of this module for the rules of recovery and for who may touch which file when.
 */
#ifndef AE_DURABLE_DURABLE_H
#define AE_DURABLE_DURABLE_H

#include "txn/db.h"

/* Attach to the database's segment; when there is none, recover one from the files.  Errors: as
 * aero_open. */
aero_status ae_durable_open(const aero_open_options *options, ae_sweep *sweep, aero_db **db,
                            aero_error *error);
/* Let go of everything.  No session is open. */
void ae_durable_close(aero_db *db);

typedef struct ae_checkpoint_report {
    uint64_t rows;
    uint64_t bytes;
    uint64_t number; /* the last commit in it */
    double elapsed_ms;
} ae_checkpoint_report;

/* How a checkpoint leaves the processor to others. */
typedef struct ae_checkpoint_manner {
    uint64_t rest_percent; /* of its time: below 100 */
    /* Called at least every few milliseconds of work.  False: no rest now. */
    bool (*between)(void *context);
    void *context;
} ae_checkpoint_manner;

/* Write a checkpoint and cut the log; `manner` is NULL when somebody waits: then it rests only
 * while others commit.  The session has no transaction open.  Errors: USAGE, IO, FULL (disk),
 * TIMEOUT when another process is at it for too long. */
aero_status ae_checkpoint(aero_session *session, const ae_checkpoint_manner *manner,
                          ae_checkpoint_report *report);

/* What recovery did when this handle made the segment; zeros otherwise. */
typedef struct ae_recovery_report {
    uint64_t rows;      /* from the checkpoint */
    uint64_t commits;   /* from the log */
    uint64_t cut_bytes; /* of a torn tail */
    uint64_t cut_lsn;   /* where it began */
    uint64_t number;    /* the last commit */
    uint64_t lsn;       /* where the log ends */
    uint64_t damage;    /* repair: 1 when something had to be left out */
    double elapsed_ms;
} ae_recovery_report;
const ae_recovery_report *ae_durable_recovery(const aero_db *db);

/* ---- files of a database that is not open here (inspect.c) ---------------------------------- */

/* What to take; see ae_durable_copy. */
typedef struct ae_copy_goal {
    uint64_t number; /* commits up to this; UINT64_MAX: all */
    int64_t time_us; /* commits up to this time; INT64_MAX: all */
} ae_copy_goal;

/* Read all files of a data directory as recovery would, and check what comes out of them; nothing
 * is changed.  Errors: those of recovery; NOT_FOUND when there is no store. */
aero_status ae_durable_check(const aero_open_options *options, ae_recovery_report *report,
                             aero_error *error);
/* Make a store in the directory `target` (made, or empty) of what the files of another hold, up to
 * the goal. */
aero_status ae_durable_restore(const aero_open_options *options, const char *target,
                               const ae_copy_goal *goal, ae_recovery_report *report,
                               aero_error *error);
/* Make the store usable again with what is good of its files; they are moved into a directory
 * beside them, whose name is given in `aside` (PATH_MAX bytes).  Refused while it is in use. */
aero_status ae_durable_repair(const aero_open_options *options, char *aside,
                              ae_recovery_report *report, aero_error *error);
/* Make a store in `target` of what the open database holds now. */
aero_status ae_durable_backup(aero_session *session, const char *target,
                              ae_checkpoint_report *report);

#endif
