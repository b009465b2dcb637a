/* verify_rounds.c — verify beside writers: what is in flight is no damage.
 *
 * How it works.  An object on its way from one account to another is missing from both for a
 * moment, and its owner may lose the processor just then, or be stopped for an hour.  So a walk
 * that found the accounts off is done again, and is believed when it was off twice in a row while
 * nobody was at work: no slot of another session was in a call before or after, and no commit came
 * between.  Shapes (references, page map, stamps) are right at every instant, or nearly so: for
 * them the same words a few times in a row will do, whoever is at work.  Where others never leave a
 * moment's peace, that is what is said.
 */
#include <string.h>

#include "base/os.h"
#include "table/table_private.h"
#include "table/verify.h"

/* So many rounds at least, and for two seconds: a hundred rounds of a small segment, and longer
 * than any burst that is over soon. */
#define VERIFY_ROUNDS 20u
#define VERIFY_LEAST_NS 2000000000u
#define VERIFY_PAUSE_NS 5000000u
/* Rounds that found the accounts off while nobody was at work, and the first that counts: what has
 * just died is cleared away by then. */
#define VERIFY_QUIET 2u
#define VERIFY_FIRST 3u
/* Rounds that found one shape wrong: what changes is found in another state each time. */
#define VERIFY_SAME 5u

/* Is a call of another session under way? */
static bool others_work(const aero_session *session)
{
    for (uint32_t index = 0; index < AE_SLOTS; index++) {
        const ae_slot *slot = ae_slot_at(&session->db->proc, index);
        const uint32_t owner = (uint32_t)ae_load64_acquire(&slot->owner);
        if (owner != 0 && owner - 1 != session->member && ae_load32_acquire(&slot->resting) == 0)
            return true;
    }
    return false;
}

aero_status ae_verify(aero_session *session, uint64_t *rows, uint64_t *blocks)
{
    const uint64_t began = ae_os_monotonic_ns();
    char last[sizeof session->error.text] = "";
    uint32_t quiet = 0;
    uint32_t same = 0;
    for (uint32_t round = 0;
         round < VERIFY_ROUNDS || ae_os_monotonic_ns() - began < VERIFY_LEAST_NS; round++) {
        bool accounts;
        if (round > 0)
            ae_os_sleep_ns(VERIFY_PAUSE_NS);
        const bool worked = others_work(session);
        const uint64_t clock = ae_load64_acquire(&session->db->proc.shared->clock);
        const aero_status status = aei_verify_walk(session, rows, blocks, &accounts);
        if (status == AERO_OK)
            return AERO_OK;
        const bool moved = worked || others_work(session) ||
                           ae_load64_acquire(&session->db->proc.shared->clock) != clock;
        quiet = moved ? 0 : quiet + 1;
        same = strcmp(last, session->error.text) == 0 ? same + 1 : 1;
        if ((quiet >= VERIFY_QUIET && round >= VERIFY_FIRST) || (same >= VERIFY_SAME && !accounts))
            return status;
        memcpy(last, session->error.text, sizeof last);
    }
    return ae_fail(&session->error, AERO_TIMEOUT,
                   "too much is written for every block to be accounted for, and nothing that is "
                   "wrong has lasted; the last to be odd was: %.600s",
                   last);
}
