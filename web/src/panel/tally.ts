/** Counts of what is in view: by kind, by look, and how many changes came in the last seconds; pure. */

import { KINDS, type Kind, type MapDevice } from "../live/frames";
import { LOOKS, lookOf, type Look } from "../map/look";

export interface Tally {
  readonly total: number;
  readonly available: number;
  readonly by_kind: Readonly<Record<Kind, { readonly total: number; readonly available: number }>>;
  readonly by_look: Readonly<Record<Look, number>>;
}

export function tallyOf(devices: Iterable<MapDevice>): Tally {
  const by_kind = Object.fromEntries(KINDS.map((kind) => [kind, { total: 0, available: 0 }])) as Record<
    Kind,
    { total: number; available: number }
  >;
  const by_look = Object.fromEntries(LOOKS.map((look) => [look, 0])) as Record<Look, number>;
  let total = 0;
  for (const device of devices) {
    total += 1;
    by_kind[device.kind].total += 1;
    if (device.available) by_kind[device.kind].available += 1;
    by_look[lookOf(device)] += 1;
  }
  return { total, available: by_look.available, by_kind, by_look };
}

/** How many changes came in each of the last `seconds`. */
export class Rate {
  private readonly counts: number[];
  private second = 0;

  constructor(private readonly seconds: number) {
    this.counts = new Array<number>(seconds).fill(0);
  }

  add(count: number, now_ms: number): void {
    this.turn(now_ms);
    this.counts[this.second % this.seconds] = (this.counts[this.second % this.seconds] ?? 0) + count;
  }

  /** The whole seconds before this one, oldest first. */
  history(now_ms: number): number[] {
    this.turn(now_ms);
    return Array.from({ length: this.seconds - 1 }, (_, at) => this.counts[(this.second + 1 + at) % this.seconds] ?? 0);
  }

  /** Mean per second over the last `over` whole seconds. */
  perSecond(now_ms: number, over = 5): number {
    const last = this.history(now_ms).slice(-over);
    return last.reduce((sum, count) => sum + count, 0) / last.length;
  }

  private turn(now_ms: number): void {
    const now = Math.floor(now_ms / 1000);
    for (let at = Math.max(this.second + 1, now - this.seconds + 1); at <= now; at += 1) this.counts[at % this.seconds] = 0;
    this.second = Math.max(this.second, now);
  }
}
