/** The client's side of the live conversation, pure: what happened goes in, the next state and what to do come out. */

import { backoffMs } from "./backoff";
import type { Changes, ClientFrame, MapDevice, Refused, ServerFrame, Snapshot, Wish } from "./frames";

/** A silent connection is asked again after this long: the answer is a snapshot, which also heals whatever was missed. */
export const SILENCE_MS = 45_000;
/** A connection not made, or a watch unanswered, for this long means the connection is dead, though nobody said so. */
export const ANSWER_WITHIN_MS = 12_000;
/** A watch that was refused because others came just before it is made again after this long. */
export const TOO_FAST_PAUSE_MS = 1_500;
/** A server whose counts never agree must not be asked for a snapshot with every frame. */
export const DRIFT_PAUSE_MS = 3_000;

export type Phase =
  | { readonly name: "idle" }
  | { readonly name: "connecting"; readonly since_ms: number }
  | { readonly name: "open" }
  | { readonly name: "waiting"; readonly until_ms: number }
  | { readonly name: "paused" }
  /** Nobody is signed in: with another token the page begins anew. */
  | { readonly name: "signed_out" };

export interface Conversation {
  readonly phase: Phase;
  readonly wish: Wish | null;
  /** Id of the newest watch sent; frames for older ones are ignored. */
  readonly watch: number;
  /** True once the newest watch was answered on this connection. */
  readonly answered: boolean;
  readonly refused: Refused | null;
  /** What to show. While a snapshot is still arriving, devices of the view before stay in it, so that none flickers. */
  readonly devices: ReadonlyMap<string, MapDevice>;
  /** What the server has told for the newest watch while its snapshot is still arriving; else null. */
  readonly arriving: ReadonlyMap<string, MapDevice> | null;
  /** The server says that it is itself cut off from the devices. */
  readonly stale: boolean;
  /** Failed attempts since the last answer. */
  readonly attempt: number;
  /** When the newest watch was sent, or the newest frame came. */
  readonly heard_ms: number;
  readonly asked_ms: number;
  readonly drifts: number;
  readonly last_drift_ms: number;
}

export const START: Conversation = {
  phase: { name: "idle" },
  wish: null,
  watch: 0,
  answered: false,
  refused: null,
  devices: new Map(),
  arriving: null,
  stale: false,
  attempt: 0,
  heard_ms: 0,
  asked_ms: 0,
  drifts: 0,
  last_drift_ms: -DRIFT_PAUSE_MS,
};

export type Happening =
  | { readonly name: "wished"; readonly wish: Wish }
  | { readonly name: "opened" }
  | { readonly name: "heard"; readonly frame: ServerFrame }
  | { readonly name: "closed" }
  | { readonly name: "waited" }
  | { readonly name: "hidden" }
  | { readonly name: "visible" }
  | { readonly name: "signed_out" }
  | { readonly name: "tick" };

export type Effect =
  | { readonly name: "connect" }
  | { readonly name: "send"; readonly frame: ClientFrame }
  | { readonly name: "disconnect" }
  | { readonly name: "wait"; readonly delay_ms: number }
  /** The devices are now others: everything was replaced, or only these ids changed. */
  | { readonly name: "show"; readonly changed: "all" | readonly string[] };

export interface Step {
  readonly next: Conversation;
  readonly effects: readonly Effect[];
}

/** What is true after `happening`. `now_ms` must never go back; `chance` is uniform in [0, 1). */
export function advance(now: Conversation, happening: Happening, now_ms: number, chance: number): Step {
  switch (happening.name) {
    case "wished":
      return wished({ ...now, wish: happening.wish }, now_ms);
    case "opened":
      return watchAgain({ ...now, phase: { name: "open" }, answered: false }, now_ms);
    case "heard":
      return now.phase.name === "open" ? heard({ ...now, heard_ms: now_ms }, happening.frame, now_ms) : stay(now);
    case "closed":
      return ["paused", "idle", "signed_out"].includes(now.phase.name) ? stay(now) : retry(now, now_ms, chance);
    case "waited":
      return now.phase.name === "waiting" ? connect(now, now_ms) : stay(now);
    case "hidden":
      return now.phase.name === "idle" || now.phase.name === "signed_out" ? stay(now) : disconnect(now, "paused");
    case "visible":
      // Signed out too: without a token the attempt ends in the question for one, which a person may have closed.
      return ["paused", "waiting", "signed_out"].includes(now.phase.name) ? connect({ ...now, attempt: 0 }, now_ms) : stay(now);
    case "signed_out":
      return disconnect(now, "signed_out");
    case "tick":
      return tick(now, now_ms, chance);
  }
}

function wished(now: Conversation, now_ms: number): Step {
  if (now.phase.name === "idle") return connect(now, now_ms);
  return now.phase.name === "open" ? watchAgain(now, now_ms) : stay(now);
}

function connect(now: Conversation, now_ms: number): Step {
  return { next: { ...now, phase: { name: "connecting", since_ms: now_ms }, answered: false }, effects: [{ name: "connect" }] };
}

function disconnect(now: Conversation, name: "paused" | "signed_out"): Step {
  return { next: { ...now, phase: { name }, answered: false }, effects: [{ name: "disconnect" }] };
}

function watchAgain(now: Conversation, now_ms: number): Step {
  if (now.wish === null) return stay(now);
  const id = now.watch + 1;
  return {
    next: { ...now, watch: id, answered: false, arriving: null, refused: null, asked_ms: now_ms, heard_ms: now_ms },
    effects: [{ name: "send", frame: { type: "watch", id, ...now.wish } }],
  };
}

function retry(now: Conversation, now_ms: number, chance: number): Step {
  const attempt = now.attempt + 1;
  const delay_ms = backoffMs(attempt, chance);
  return {
    next: { ...now, phase: { name: "waiting", until_ms: now_ms + delay_ms }, answered: false, attempt },
    effects: [{ name: "wait", delay_ms }],
  };
}

function giveUp(now: Conversation, now_ms: number, chance: number): Step {
  const { next, effects } = retry(now, now_ms, chance);
  return { next, effects: [{ name: "disconnect" }, ...effects] };
}

function tick(now: Conversation, now_ms: number, chance: number): Step {
  if (now.phase.name === "connecting") {
    return now_ms - now.phase.since_ms < ANSWER_WITHIN_MS ? stay(now) : giveUp(now, now_ms, chance);
  }
  if (now.phase.name !== "open" || now.wish === null) return stay(now);
  if (!now.answered && now.refused === null) {
    return now_ms - now.asked_ms < ANSWER_WITHIN_MS ? stay(now) : giveUp(now, now_ms, chance);
  }
  const again_ms = now.refused?.reason === "too_fast" ? TOO_FAST_PAUSE_MS : SILENCE_MS;
  return now_ms - now.heard_ms >= again_ms ? watchAgain(now, now_ms) : stay(now);
}

function heard(now: Conversation, frame: ServerFrame, now_ms: number): Step {
  if (frame.type === "refused") {
    if (frame.id !== null && frame.id !== now.watch) return stay(now);
    // Nothing is watched now, so nothing shown could be kept true.
    const next = { ...now, attempt: 0, refused: frame, devices: new Map<string, MapDevice>(), arriving: null };
    return { next, effects: [{ name: "send", frame: { type: "unwatch" } }, { name: "show", changed: "all" }] };
  }
  if (frame.id !== now.watch) return stay(now);
  if (frame.type === "snapshot") return heardSnapshot({ ...now, attempt: 0, stale: frame.stale }, frame, now_ms);
  // Changes before the snapshot of the same watch would be changes of nothing.
  return now.answered ? heardChanges({ ...now, stale: frame.stale }, frame, now_ms) : stay(now);
}

function heardSnapshot(now: Conversation, frame: Snapshot, now_ms: number): Step {
  const told = new Map(frame.devices.map((device) => [device.id, device]));
  const answered = { ...now, answered: true, refused: null };
  if (!frame.more) return withDriftCheck({ ...answered, devices: told, arriving: null }, frame.count, "all", now_ms);
  const next = { ...answered, devices: new Map([...now.devices, ...told]), arriving: told };
  return withDriftCheck(next, frame.count, [...told.keys()], now_ms);
}

function heardChanges(now: Conversation, frame: Changes, now_ms: number): Step {
  const devices = changedBy(frame, now.devices);
  const changed = [...[...frame.shown, ...frame.moved].map((device) => device.id), ...frame.vanished];
  if (now.arriving === null) return withDriftCheck({ ...now, devices }, frame.count, changed, now_ms);
  const told = changedBy(frame, now.arriving);
  if (!frame.more) return withDriftCheck({ ...now, devices: told, arriving: null }, frame.count, "all", now_ms);
  return withDriftCheck({ ...now, devices, arriving: told }, frame.count, changed, now_ms);
}

function changedBy(frame: Changes, devices: ReadonlyMap<string, MapDevice>): ReadonlyMap<string, MapDevice> {
  const after = new Map(devices);
  for (const device of frame.shown) after.set(device.id, device);
  for (const device of frame.moved) after.set(device.id, device);
  for (const id of frame.vanished) after.delete(id);
  return after;
}

function withDriftCheck(now: Conversation, count: number, changed: "all" | readonly string[], now_ms: number): Step {
  const show: Effect = { name: "show", changed };
  const drifted = count >= 0 && count !== (now.arriving ?? now.devices).size;
  if (!drifted || now_ms - now.last_drift_ms < DRIFT_PAUSE_MS) return { next: now, effects: [show] };
  const again = watchAgain({ ...now, drifts: now.drifts + 1, last_drift_ms: now_ms }, now_ms);
  return { next: again.next, effects: [show, ...again.effects] };
}

function stay(now: Conversation): Step {
  return { next: now, effects: [] };
}
