/** How a device looks on the map: one of a few looks, from its availability and its reasons. */

import type { MapDevice } from "../live/frames";

export const LOOKS = ["available", "riding", "low", "busy", "fault", "offline"] as const;
export type Look = (typeof LOOKS)[number];

export const LOOK_WORDS: Readonly<Record<Look, string>> = {
  available: "Available",
  riding: "On the move",
  low: "Battery low",
  busy: "In use or empty",
  fault: "Fault or alarm",
  offline: "Not heard",
};

/** Which look wins when a device has several reasons: what staff must act on comes first. */
const LOOK_OF_REASON: readonly (readonly [string, Look])[] = [
  ["alarm", "fault"],
  ["fault", "fault"],
  ["never_heard", "offline"],
  ["lost", "offline"],
  ["quiet", "offline"],
  ["no_position", "offline"],
  ["in_motion", "riding"],
  ["low_battery", "low"],
];

export function lookOf(device: MapDevice): Look {
  if (device.available) return "available";
  for (const [reason, look] of LOOK_OF_REASON) {
    if (device.reasons.some((held) => held.reason === reason)) return look;
  }
  return "busy";
}

/** How full a cabinet or locker is, 0…1; a bike is always 1. */
export function levelOf(device: MapDevice): number {
  const places = device.units + device.spaces;
  return device.kind === "bike" || places === 0 ? 1 : device.units / places;
}
