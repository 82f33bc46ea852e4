/** Where the map starts: the surroundings of the fleet, asked from the server. */

import { getJson, parseDevice } from "./details/device";
import type { Box } from "./live/frames";

export interface Start {
  readonly box: Box | null;
  readonly place: { readonly lat: number; readonly lon: number } | null;
}

const NOWHERE: Start = { box: null, place: null };

/** The box of the fleet, or the place of one device, or nothing when the server knows neither. */
export async function startOf(): Promise<Start> {
  try {
    const box = boxOf(await getJson("/v1/fleet"));
    if (box !== null) return { box, place: null };
    return { box: null, place: await firstPlace() };
  } catch {
    return NOWHERE;
  }
}

/** The `box` of a fleet answer, [west, south, east, north], when it is one. */
export function boxOf(fleet: unknown): Box | null {
  if (typeof fleet !== "object" || fleet === null || !("box" in fleet) || !Array.isArray(fleet.box)) return null;
  const [west, south, east, north] = fleet.box as unknown[];
  if (![west, south, east, north].every((side) => typeof side === "number")) return null;
  return [west, south, east, north] as Box;
}

async function firstPlace(): Promise<Start["place"]> {
  const answer = await getJson("/v1/devices?limit=20");
  const listed = typeof answer === "object" && answer !== null && "devices" in answer ? answer.devices : null;
  if (!Array.isArray(listed)) return null;
  for (const entry of listed as unknown[]) {
    if (typeof entry !== "object" || entry === null || !("id" in entry)) continue;
    const { lat, lon } = parseDevice(await getJson(`/v1/devices/${encodeURIComponent(String(entry.id))}`));
    if (lat !== null && lon !== null) return { lat, lon };
  }
  return null;
}
