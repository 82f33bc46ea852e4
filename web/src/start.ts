/** Where the map starts when no link says so: where the fleet is, asked from the server. */

import { getJson, parseDevice } from "./details/device";
import type { Box, MapDevice } from "./live/frames";

/** A fleet up to this size is asked for whole, once, to see where it is; of a larger one a device is asked for. */
export const MOST_FOR_OVERVIEW = 6_000;
export const WHOLE_WORLD: Box = [-180, -85, 180, 85];
/** So many hundredths of the devices may lie outside on each side: a stray device must not shrink the city to a dot. */
const STRAY_PCT = 3;
/** About 500 m: a single device is shown with its surroundings. */
const LEAST_SPAN_DEG = 0.005;

export interface Place {
  readonly lat: number;
  readonly lon: number;
}

/** How many devices the whole fleet has; null when the server does not say. */
export async function fleetSize(): Promise<number | null> {
  const answer = await getJson("/v1/fleet");
  const size = typeof answer === "object" && answer !== null && "devices" in answer ? answer.devices : null;
  return typeof size === "number" ? size : null;
}

/** The place of some device of the fleet; null when none of the first has one. */
export async function somePlace(): Promise<Place | null> {
  const answer = await getJson("/v1/devices?limit=10");
  const listed = typeof answer === "object" && answer !== null && "devices" in answer ? answer.devices : null;
  if (!Array.isArray(listed)) return null;
  for (const entry of listed as unknown[]) {
    if (typeof entry !== "object" || entry === null || !("id" in entry)) continue;
    const { lat, lon } = parseDevice(await getJson(`/v1/devices/${encodeURIComponent(String(entry.id))}`));
    if (lat !== null && lon !== null) return { lat, lon };
  }
  return null;
}

/** The box around all devices but the strays; null without devices. */
export function denseBox(devices: Iterable<MapDevice>): Box | null {
  const all = [...devices];
  const [west, east] = span(all.map((device) => device.lon));
  const [south, north] = span(all.map((device) => device.lat));
  return all.length === 0 ? null : [west, south, east, north];
}

function span(values: number[]): [number, number] {
  values.sort((one, other) => one - other);
  const strays = Math.floor((values.length * STRAY_PCT) / 100);
  const low = values[strays] ?? 0;
  const high = values[values.length - 1 - strays] ?? 0;
  const grown = Math.max(0, LEAST_SPAN_DEG - (high - low)) / 2;
  return [low - grown, high + grown];
}
