/* crew.c — threads of a recovery (see crew.h).
 *
 * Who cannot be started, or finds no room for a session, is simply not there: the caller's own
 * thread does all that is left.
 */
#include "durable/crew.h"

#include "base/os.h"
#include "base/os_store.h"
#include "base/os_wait.h"

/* More threads than this wait for each other at the files and at memory. */
#define CREW_MOST 16u
/* The lock is held for a fraction of a millisecond. */
#define LOCK_LOOK_NS 1000000u

void ae_crew_lock(ae_crew *crew)
{
    /* Acquire: what the last holder did; pairs with ae_crew_unlock. */
    while (!ae_cas32(&crew->lock, 0, 1))
        ae_os_wait(&crew->lock, 1, LOCK_LOOK_NS);
}

void ae_crew_unlock(ae_crew *crew)
{
    ae_store32_release(&crew->lock, 0); /* pairs with ae_crew_lock */
    (void)ae_os_wake(&crew->lock, 1);
}

static void crew_work(ae_crew *crew, aero_session *session)
{
    AE_ALWAYS(crew->work != NULL && session != NULL);
    const aero_status status = crew->work(crew, session);
    if (status == AERO_OK)
        return;
    ae_crew_lock(crew);
    if (crew->status == AERO_OK) {
        crew->status = status;
        crew->error = session->error;
    }
    ae_store32_release(&crew->stopped, 1); /* pairs with ae_crew_stopped */
    ae_crew_unlock(crew);
}

static void crew_member(void *context)
{
    ae_crew *crew = context;
    aero_session *session = NULL;
    if (ae_session_new(crew->db, &session, NULL) != AERO_OK)
        return;
    crew_work(crew, session);
    ae_session_free(session);
}

aero_status ae_crew_run(ae_crew *crew, aero_session *session, uint64_t jobs)
{
    ae_os_thread *threads[CREW_MOST];
    uint32_t wanted = ae_os_processors();
    uint32_t count = 0;
    crew->status = AERO_OK;
    wanted = wanted > CREW_MOST ? CREW_MOST : wanted;
    wanted = wanted > jobs ? (uint32_t)jobs : wanted;
    while (count + 1 < wanted && ae_os_thread_start(crew_member, crew, &threads[count]) == 0)
        count++;
    AE_ALWAYS(count <= CREW_MOST);
    crew_work(crew, session);
    for (uint32_t index = 0; index < count; index++)
        ae_os_thread_join(threads[index]);
    if (crew->status != AERO_OK)
        session->error = crew->error;
    return crew->status;
}
