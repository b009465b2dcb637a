/* watch_private.h — a watch as watch.c and image.c share it. */
#ifndef AE_WATCH_PRIVATE_H
#define AE_WATCH_PRIVATE_H

#include "txn/changes.h"
#include "watch/watch.h"

/* A private copy of a row: the struct, and its long texts by address. */
typedef struct watch_image {
    void *row;
    char *text;
    size_t room;
} watch_image;

enum image_result { IMAGE_COPIED, IMAGE_TORN, IMAGE_NO_MEMORY };

/* Copy a version's row.  The version may be reused meanwhile, so nothing read leads outside the
 * block that holds the texts; TORN when it would. */
enum image_result ae_image_copy(const aero_db *db, const aero_table *of, const ae_version *version,
                                watch_image *image);

/* What a transaction did to one row. */
typedef struct watch_change {
    ae_ref anchor;
    ae_ref created;
    ae_ref replaced;
    uint32_t what;
    uint32_t place; /* in the transaction */
} watch_change;

struct ae_watch {
    ae_session_child child;
    aero_session *session; /* NULL once it closed */
    uint64_t epoch;        /* of forks */
    uint32_t table;
    const aero_table *of;
    ae_watch_match match;
    void *context;
    uint32_t line;
    uint64_t pin;   /* as it stands in the line */
    uint64_t trail; /* how far the pin stays behind `next` */
    uint64_t next;  /* position to read next; all before have been told */
    uint64_t clock; /* as it was seen last */
    watch_change *changes;
    size_t change_room;
    size_t change_count;
    size_t change_at;
    bool failed; /* no memory while the changes were gathered */
    bool torn;   /* a reference led nowhere: the pin must be gone */
    bool busy;   /* something was committed since the last wait */
    watch_image old_image;
    watch_image new_image;
};

#endif
