/** The trail behind one device, as the numbers the graphics card takes; pure. */

import { LOOKS } from "./look";
import type { Place } from "./mercator";
import { TRAIL_S, type Actor } from "./scene";

/** Per piece: tail, path (from, to), glide, age of both ends, look. */
export const TRAIL_FLOATS = 11;

/** Adds the pieces of its trail that have not faded by `now_s`, measured from `anchor`. */
export function pushTrail(lines: number[], actor: Actor, { x, y }: Place, now_s: number): void {
  // The last piece ends at the marker. A bike that was used is at the same spot under its new public id when the old
  // one leaves: a trail that stayed would show both to be one bike.
  if (actor.gone_s !== Infinity) return;
  const look = LOOKS.indexOf(actor.look === "available" ? "riding" : actor.look);
  const oldest_s = now_s - TRAIL_S;
  actor.trail.forEach((tail, at) => {
    const next = actor.trail[at + 1];
    if ((next?.at_s ?? actor.glide_end_s) < oldest_s) return;
    if (next !== undefined) {
      lines.push(tail.x - x, tail.y - y, next.x - x, next.y - y, next.x - x, next.y - y, 0, 0, tail.at_s, next.at_s, look);
      return;
    }
    const { from, to, glide_start_s, glide_end_s } = actor;
    lines.push(tail.x - x, tail.y - y, from.x - x, from.y - y, to.x - x, to.y - y);
    lines.push(glide_start_s, glide_end_s, tail.at_s, glide_end_s, look);
  });
}
