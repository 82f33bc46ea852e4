/** What the HTTP routes say of one device: types, parsing, and errors as sentences. */

import { signedIn } from "../login/token";
import { isKind, type Kind, type MapDevice, type ReasonSince } from "../live/frames";

export interface SlotState {
  readonly number: number;
  readonly unit_id: string | null;
  readonly occupied: boolean;
  readonly charge_pct: number | null;
  readonly door_open: boolean;
  readonly faults: readonly string[];
}

export interface DeviceState {
  readonly id: string;
  readonly public_id: string;
  readonly marker: number;
  readonly kind: Kind;
  readonly model: string;
  readonly presence: string;
  readonly heard_at_ms: number | null;
  readonly revision: number;
  readonly at_ms: number | null;
  readonly lat: number | null;
  readonly lon: number | null;
  readonly accuracy_m: number | null;
  readonly battery_pct: number | null;
  readonly charging: boolean | null;
  readonly moving: boolean | null;
  readonly bolt: string | null;
  readonly slots: readonly SlotState[];
  readonly faults: readonly string[];
  readonly alarms: readonly string[];
  readonly signal_dbm: number | null;
  readonly firmware: string | null;
  readonly available: boolean;
  readonly reasons: readonly ReasonSince[];
  readonly units: number;
  readonly spaces: number;
}

export interface HistoryPoint {
  readonly at_ms: number;
  readonly lat: number | null;
  readonly lon: number | null;
  readonly battery_pct: number | null;
  readonly units: number | null;
}

/** When it last reported. The map hears only of what changed beyond noise, so of a device that stands still the answer
 * about it knows more; of one that moves the map may. */
export function reportedAt(onMap: Pick<MapDevice, "at">, state: Pick<DeviceState, "at_ms"> | null): number {
  return Math.max(onMap.at, state?.at_ms ?? 0);
}

/** The server answered with a problem, or not at all (`status` 0); the message is a sentence for a person. */
export class Unanswered extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }

  /** The same question may have an answer a moment later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

type Fields = Record<string, unknown>;

export async function fetchDevice(id: string, signal: AbortSignal): Promise<DeviceState> {
  return parseDevice(await getJson(`/v1/devices/${encodeURIComponent(id)}`, signal));
}

export async function fetchHistory(id: string, hours: number, step: string, signal: AbortSignal): Promise<HistoryPoint[]> {
  const now = Date.now();
  const query = new URLSearchParams({
    from: new Date(now - hours * 3_600_000).toISOString(),
    to: new Date(now).toISOString(),
    step,
    limit: "5000",
  });
  const answer = fieldsOf(await getJson(`/v1/devices/${encodeURIComponent(id)}/history?${query.toString()}`, signal));
  return listOf(answer["points"]).map(parsePoint).filter((point) => point.at_ms > 0).sort((one, other) => one.at_ms - other.at_ms);
}

export async function getJson(path: string, signal?: AbortSignal): Promise<unknown> {
  return askJson(path, signal ? { signal } : {});
}

export async function postJson(path: string, body: object, headers: Readonly<Record<string, string>>): Promise<unknown> {
  return askJson(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } });
}

async function askJson(path: string, request: RequestInit): Promise<unknown> {
  let answer: Response;
  try {
    const headers = { accept: "application/json", authorization: `Bearer ${signedIn.token}`, ...request.headers };
    answer = await fetch(path, { ...request, headers });
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw new Unanswered("The server cannot be reached.", 0);
  }
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok) return body;
  const problem = fieldsOf(body);
  throw new Unanswered(textOf(problem["detail"]) ?? textOf(problem["title"]) ?? `The server answered with error ${answer.status}.`, answer.status);
}

export function parseDevice(value: unknown): DeviceState {
  const fields = fieldsOf(value);
  if (!isKind(fields["kind"])) throw new Unanswered("The server described a kind of device this page does not know.", 200);
  const position = fieldsOf(fields["position"]);
  const availability = fieldsOf(fields["availability"]);
  const lock = fieldsOf(fields["lock"]);
  return {
    id: textOf(fields["id"]) ?? "",
    public_id: textOf(fields["public_id"]) ?? "",
    marker: numberOf(fields["marker"]) ?? 0,
    kind: fields["kind"],
    model: textOf(fields["model"]) ?? "",
    presence: textOf(fields["presence"]) ?? "",
    heard_at_ms: timeOf(fields["heard_at"]),
    revision: numberOf(fields["revision"]) ?? 0,
    at_ms: timeOf(fields["at"]),
    lat: numberOf(position["lat"]),
    lon: numberOf(position["lon"]),
    accuracy_m: numberOf(position["accuracy_m"]),
    battery_pct: numberOf(fields["battery_pct"]),
    charging: flagOf(fields["charging"]),
    moving: flagOf(fields["moving"]),
    bolt: textOf(lock["bolt"]),
    slots: listOf(fields["slots"]).map(parseSlot),
    faults: namesOf(fields["faults"]),
    alarms: namesOf(fields["alarms"]),
    signal_dbm: numberOf(fields["signal_dbm"]),
    firmware: textOf(fields["firmware"]),
    available: availability["available"] === true,
    reasons: listOf(availability["reasons"]).map((reason) => ({
      reason: textOf(reason["reason"]) ?? "unknown",
      since: timeOf(reason["since"]) ?? 0,
    })),
    units: numberOf(availability["units"]) ?? 0,
    spaces: numberOf(availability["spaces"]) ?? 0,
  };
}

function parseSlot(fields: Fields): SlotState {
  const unit_id = textOf(fields["unit_id"]);
  return {
    number: numberOf(fields["number"]) ?? 0,
    unit_id,
    occupied: flagOf(fields["occupied"]) ?? unit_id !== null,
    charge_pct: numberOf(fields["charge_pct"]),
    door_open: fields["door_closed"] === false,
    faults: namesOf(fields["faults"]),
  };
}

function parsePoint(fields: Fields): HistoryPoint {
  return {
    at_ms: timeOf(fields["at"]) ?? 0,
    lat: numberOf(fields["lat"]),
    lon: numberOf(fields["lon"]),
    battery_pct: numberOf(fields["battery_pct"]) ?? middleOf(fields["battery_min_pct"], fields["battery_max_pct"]),
    units: numberOf(fields["units"]) ?? middleOf(fields["units_min"], fields["units_max"]),
  };
}

/** The middle of the least and the greatest of a step; null when it has none. */
function middleOf(least: unknown, greatest: unknown): number | null {
  const [low, high] = [numberOf(least), numberOf(greatest)];
  return low === null || high === null ? null : (low + high) / 2;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : [];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function flagOf(value: unknown): boolean | null {
  return typeof value === "boolean" ? value : null;
}

/** Unix milliseconds of a time given as such or as RFC 3339 text. */
function timeOf(value: unknown): number | null {
  const time_ms = typeof value === "string" ? Date.parse(value) : value;
  return typeof time_ms === "number" && Number.isFinite(time_ms) ? time_ms : null;
}
