/* feed.h — pins of those who follow the commits: what they have not read yet is kept for them.
 *
 * A follower has a line with a pin: every commit with a number at or below it has been read, so
 * what later ones replaced must stay.  The pin holds the horizon as a snapshot does, but only so
 * far: when it lags by three quarters of the queue's entries, whoever computes the horizon revokes
 * it by compare-and-swap, and the follower learns it when it next looks.  So a slow, stopped or
 * dead follower costs a bounded amount of memory and nobody's time.  When memory runs short, pins
 * are first moved up to what has been told, and then revoked, the oldest first.
 *
 * The line of a dead follower keeps its pin until it is revoked or the line is needed: who comes
 * back with a position takes it over and misses nothing.
 *
 * Invariants
 *   P4  a follower believes what it copied at a position only if its pin was still at or below that
 *       position after the copy
 *   P5  a pin only rises while it has an owner
 *
 * Concurrency: any thread of any process; a line is moved by its owner, and by who needs memory.
 * Progress: lock-free.
 */
#ifndef AE_PROC_FEED_H
#define AE_PROC_FEED_H

#include "proc/proc.h"

/* Claim a line for the member and pin the clock.  (A snapshot of the caller's would not do: nobody
 * keeps for it what came between it and the pin.)  LIMIT when AE_FEEDS living followers have
 * all. */
aero_status ae_feed_claim(ae_proc *proc, uint32_t member, uint32_t *line, uint64_t *pin,
                          aero_error *error);
/* Take over a dead follower's line: of those with a pin at or below `position`, the one with the
 * highest, so that the others stay for who comes back with an older position.  False: nobody keeps
 * what came after the position. */
bool ae_feed_adopt(ae_proc *proc, uint32_t member, uint64_t position, uint32_t *line,
                   uint64_t *pin);
/* Is what was committed after `position` still kept? */
bool ae_feed_holds(const ae_proc *proc, uint32_t line, uint64_t position);
/* Move the pin up; *pin is where it is then.  False when it was revoked. */
bool ae_feed_advance(ae_proc *proc, uint32_t line, uint64_t to, uint64_t *pin);
/* Pin the clock anew after a revocation. */
uint64_t ae_feed_restart(ae_proc *proc, uint32_t line);
void ae_feed_release(ae_proc *proc, uint32_t line);
/* A member, whose process had this identity, is being buried: its lines stay, without an owner,
 * until they are taken over, needed or revoked. */
void ae_feed_orphan(ae_proc *proc, uint32_t member, uint64_t identity);

/* The least pin that counts, at most `horizon`; revokes those too far behind the clock.  For
 * ae_horizon_compute. */
uint64_t ae_feed_horizon(ae_proc *proc, uint64_t clock, uint64_t horizon);
/* Memory is short: keep nothing that has been told. */
void ae_feed_squeeze(ae_proc *proc);
/* Memory is still short: revoke the oldest pin, if it is what holds the horizon.  False: it is
 * not. */
bool ae_feed_revoke(ae_proc *proc, uint64_t horizon);

/* Tell sleeping followers of a commit.  Costs a load and a fence when nobody sleeps. */
void ae_feed_notify(ae_proc *proc);
/* Wake everybody who sleeps. */
void ae_feed_wake(ae_proc *proc);
/* Sleep until the clock passes `clock`, or the time is over, or for no reason.  Never longer than
 * AE_FEED_SLEEP_NS: a committer may be stopped or killed between its commit and the wake-up. */
void ae_feed_sleep(ae_proc *proc, uint64_t clock, uint64_t timeout_ns);
#define AE_FEED_SLEEP_NS 100000000u

#endif
