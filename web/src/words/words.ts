/** What the page says: kinds, reasons and ages in plain English. */

import type { Kind, MapDevice } from "../live/frames";

export const KIND_WORDS: Readonly<Record<Kind, { readonly one: string; readonly many: string }>> = {
  bike: { one: "Bike", many: "Bikes" },
  cabinet: { one: "Cabinet", many: "Power-bank cabinets" },
  locker: { one: "Locker", many: "Lockers" },
};

const REASON_WORDS: Readonly<Record<string, string>> = {
  never_heard: "Has never been heard",
  quiet: "Has missed its heartbeats",
  lost: "Has been silent for too long",
  suspended: "Taken out of use by staff",
  no_position: "Its position is unknown",
  low_battery: "Battery is low",
  fault: "Reports a fault",
  alarm: "Raises an alarm",
  bolt_not_closed: "The lock is not closed",
  no_units: "Nothing left to take",
  claimed: "Held or rented by someone",
  in_motion: "Is on the move",
  returned: "Was just brought back",
};

/** A sentence for a reason; one this page has not heard of is shown by its name. */
export function reasonWords(reason: string): string {
  return REASON_WORDS[reason] ?? sentence(reason);
}

/** `motor_stall` as "Motor stall". */
export function sentence(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** An age a person can read: "now", "40 s", "12 min", "3 h", "2 d". */
export function ageWords(age_ms: number): string {
  const age_s = Math.max(0, Math.round(age_ms / 1000));
  if (age_s < 2) return "now";
  if (age_s < 60) return `${age_s} s`;
  if (age_s < 3600) return `${Math.floor(age_s / 60)} min`;
  if (age_s < 48 * 3600) return `${Math.floor(age_s / 3600)} h`;
  return `${Math.floor(age_s / 86_400)} d`;
}

/** "123 456 789": nine digits in groups, as they are painted on a device. */
export function markerWords(marker: number): string {
  return String(marker).padStart(9, "0").replace(/(\d{3})(?=\d)/g, "$1 ");
}

export function deviceTitle(device: Pick<MapDevice, "kind" | "marker">): string {
  return `${KIND_WORDS[device.kind].one} ${markerWords(device.marker)}`;
}

/** Whether a narrower view would be accepted. */
export function zoomHelps(reason: string): boolean {
  return ["box_too_wide", "too_many_devices", "view_filled_up"].includes(reason);
}

/** Why the server did not take a watch, as something a person can act on. */
export function refusalWords(reason: string, detail: string): string {
  if (reason === "box_too_wide") return "This view is too wide to show single devices. Zoom in to see them.";
  if (reason === "too_many_devices" || reason === "view_filled_up") return "There are too many devices in this view. Zoom in to see them.";
  return `The server did not accept this view: ${detail || sentence(reason)}.`;
}

const WHOLE = new Intl.NumberFormat("en");

/** "4,812" */
export function countWords(count: number): string {
  return WHOLE.format(count);
}
