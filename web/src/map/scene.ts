/** What is drawn: every device with its glide between two places, its trail, its coming and going; no drawing here. */

import type { MapDevice } from "../live/frames";
import { lookOf, levelOf, type Look } from "./look";
import { toPlace, type Place } from "./mercator";

/** A device that is heard seldom still glides, but does not lag behind by more than this. */
const LONGEST_GLIDE_S = 6;
const SHORTEST_GLIDE_S = 0.5;
/** Further than this is no ride between two reports but a device set down elsewhere: it jumps. About 2 km. */
const JUMP = 2 / 40_000;
/** Nearer than this (about 5 cm) is no movement. */
const NOISE = 1e-9;
export const FADE_S = 0.35;
export const TRAIL_S = 150;
const TRAIL_PLACES = 40;

export interface TrailPlace extends Place {
  readonly at_s: number;
}

export interface Actor {
  device: MapDevice;
  look: Look;
  level: number;
  from: Place;
  to: Place;
  glide_start_s: number;
  glide_end_s: number;
  born_s: number;
  /** When it left the view; Infinity while it is in it. */
  gone_s: number;
  heard_s: number;
  readonly trail: TrailPlace[];
}

/** All actors by id. Times are seconds of one steady clock. */
export class Scene {
  readonly actors = new Map<string, Actor>();
  /** With reduced motion devices jump, appear and go at once, and leave no trail. */
  still = false;

  /** Makes the scene show `devices`; only `changed` ids are looked at. */
  follow(devices: ReadonlyMap<string, MapDevice>, changed: "all" | readonly string[], now_s: number): void {
    if (changed === "all") {
      for (const id of this.actors.keys()) if (!devices.has(id)) this.leave(id, now_s);
      for (const device of devices.values()) this.enter(device, now_s);
      return;
    }
    for (const id of changed) {
      const device = devices.get(id);
      if (device === undefined) this.leave(id, now_s);
      else this.enter(device, now_s);
    }
  }

  /** Forgets who has faded out. */
  sweep(now_s: number): void {
    for (const [id, actor] of this.actors) if (actor.gone_s + FADE_S < now_s) this.actors.delete(id);
  }

  /** Forgets who has faded out; true while something still moves or fades. In a live fleet something always does: who
   * left is forgotten meanwhile, or every picture would carry all who ever left. */
  goOn(now_s: number): boolean {
    this.sweep(now_s);
    return this.busyUntil() > now_s;
  }

  /** The time until which something moves or fades. */
  busyUntil(): number {
    let until = 0;
    for (const actor of this.actors.values()) {
      until = Math.max(until, actor.glide_end_s, actor.born_s + FADE_S);
      if (actor.gone_s !== Infinity) until = Math.max(until, actor.gone_s + FADE_S);
    }
    return until;
  }

  private enter(device: MapDevice, now_s: number): void {
    const place = toPlace(device.lat, device.lon);
    const actor = this.actors.get(device.id);
    if (actor === undefined) {
      this.actors.set(device.id, newActor(device, place, this.still ? -FADE_S : now_s));
      return;
    }
    actor.device = device;
    actor.look = lookOf(device);
    actor.level = levelOf(device);
    if (actor.gone_s !== Infinity) {
      actor.gone_s = Infinity;
      actor.born_s = now_s;
    }
    if (distance(actor.to, place) > NOISE) this.glide(actor, place, now_s);
    actor.heard_s = now_s;
  }

  private glide(actor: Actor, place: Place, now_s: number): void {
    const here = placeAt(actor, now_s);
    const jump = this.still || distance(here, place) > JUMP;
    if (jump) actor.trail.length = 0;
    else {
      actor.trail.push({ ...here, at_s: now_s });
      if (actor.trail.length > TRAIL_PLACES) actor.trail.shift();
    }
    // Gliding for as long as the last pause took keeps a steadily reporting bike in steady motion.
    const pause_s = Math.max(SHORTEST_GLIDE_S, Math.min(LONGEST_GLIDE_S, (now_s - actor.heard_s) * 1.1));
    actor.from = jump ? place : here;
    actor.to = place;
    actor.glide_start_s = now_s;
    actor.glide_end_s = jump ? now_s : now_s + pause_s;
  }

  private leave(id: string, now_s: number): void {
    const actor = this.actors.get(id);
    if (actor === undefined || actor.gone_s !== Infinity) return;
    if (this.still) this.actors.delete(id);
    else actor.gone_s = now_s;
  }
}

function newActor(device: MapDevice, place: Place, born_s: number): Actor {
  return {
    device,
    look: lookOf(device),
    level: levelOf(device),
    from: place,
    to: place,
    glide_start_s: born_s,
    glide_end_s: born_s,
    born_s,
    gone_s: Infinity,
    heard_s: born_s,
    trail: [],
  };
}

/** Where the actor is drawn at `now_s`. */
export function placeAt(actor: Actor, now_s: number): Place {
  const whole_s = actor.glide_end_s - actor.glide_start_s;
  const part = whole_s <= 0 ? 1 : Math.max(0, Math.min(1, (now_s - actor.glide_start_s) / whole_s));
  return {
    x: actor.from.x + (actor.to.x - actor.from.x) * part,
    y: actor.from.y + (actor.to.y - actor.from.y) * part,
  };
}

function distance(one: Place, other: Place): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
