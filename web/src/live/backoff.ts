/** How long to wait before the next attempt to connect: exponential, with full jitter. */

const FIRST_CEILING_MS = 500;
const HIGHEST_CEILING_MS = 15_000;
/** Below this a person would not even see the word "reconnecting", and a crashed server would be hammered. */
const LEAST_MS = 150;

/** Milliseconds before attempt number `attempt` (1 is the first retry); `chance` is uniform in [0, 1). */
export function backoffMs(attempt: number, chance: number): number {
  const ceiling = Math.min(HIGHEST_CEILING_MS, FIRST_CEILING_MS * 2 ** Math.min(attempt, 10));
  return Math.max(LEAST_MS, Math.round(ceiling * chance));
}
