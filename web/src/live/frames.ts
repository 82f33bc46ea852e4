/** The frames of `/v1/live`: their types, and the parser that lets only well-formed ones in. */

export const KINDS = ["bike", "cabinet", "locker"] as const;
export type Kind = (typeof KINDS)[number];

export interface ReasonSince {
  readonly reason: string;
  /** Unix milliseconds. */
  readonly since: number;
}

/** What the map knows of one device. `id` is its current public id. */
export interface MapDevice {
  readonly id: string;
  readonly marker: number;
  readonly kind: Kind;
  readonly lat: number;
  readonly lon: number;
  readonly available: boolean;
  readonly reasons: readonly ReasonSince[];
  readonly battery_pct: number | null;
  readonly units: number;
  readonly spaces: number;
  /** Time of the report behind this, Unix milliseconds. */
  readonly at: number;
}

/** [west, south, east, north] in degrees. */
export type Box = readonly [number, number, number, number];

/** What a client wishes to see; the id is added when it is sent. */
export interface Wish {
  readonly box: Box;
  readonly zoom: number;
  readonly kinds: readonly Kind[];
  readonly availability: "available" | "any";
  readonly min_battery_pct: number;
}

export type ClientFrame = { readonly type: "hello"; readonly token: string } | ({ readonly type: "watch"; readonly id: number } & Wish) | { readonly type: "unwatch" };

export interface Snapshot {
  readonly type: "snapshot";
  readonly id: number;
  readonly devices: readonly MapDevice[];
  readonly count: number;
  /** The rest of the snapshot follows as changes; the last frame of it says false. */
  readonly more: boolean;
  /** The server itself is cut off from the devices: what it says may be old. */
  readonly stale: boolean;
}

export interface Changes {
  readonly type: "changes";
  readonly id: number;
  readonly shown: readonly MapDevice[];
  readonly moved: readonly MapDevice[];
  readonly vanished: readonly string[];
  /** How many devices this client must have after this frame. */
  readonly count: number;
  readonly more: boolean;
  readonly stale: boolean;
}

export interface Refused {
  readonly type: "refused";
  readonly id: number | null;
  readonly reason: string;
  readonly detail: string;
}

export type ServerFrame = Snapshot | Changes | Refused;

type Fields = Record<string, unknown>;

/** The frame in `text`, or null when this is no frame this client knows (newer servers may say more). */
export function parseFrame(text: string): ServerFrame | null {
  const fields = asFields(parseJson(text));
  if (fields === null) return null;
  switch (fields["type"]) {
    case "snapshot":
      return {
        type: "snapshot",
        id: asNumber(fields["id"], -1),
        devices: asList(fields["devices"], asDevice),
        count: asNumber(fields["count"], -1),
        more: fields["more"] === true,
        stale: fields["stale"] === true,
      };
    case "changes":
      return {
        type: "changes",
        id: asNumber(fields["id"], -1),
        shown: asList(fields["shown"], asDevice),
        moved: asList(fields["moved"], asDevice),
        vanished: asList(fields["vanished"], asText),
        count: asNumber(fields["count"], -1),
        more: fields["more"] === true,
        stale: fields["stale"] === true,
      };
    case "refused":
      return {
        type: "refused",
        id: typeof fields["id"] === "number" ? fields["id"] : null,
        reason: asText(fields["reason"]) ?? "unknown",
        detail: asText(fields["detail"]) ?? "",
      };
    default:
      return null;
  }
}

/** A map device out of parsed JSON, or null when it lacks what a map needs. */
export function asDevice(value: unknown): MapDevice | null {
  const fields = asFields(value);
  if (fields === null) return null;
  const { id, kind, lat, lon } = fields;
  if (typeof id !== "string" || typeof lat !== "number" || typeof lon !== "number") return null;
  if (!isKind(kind)) return null;
  return {
    id,
    kind,
    lat,
    lon,
    marker: asNumber(fields["marker"], 0),
    available: fields["available"] === true,
    reasons: asList(fields["reasons"], asReason),
    battery_pct: typeof fields["battery_pct"] === "number" ? fields["battery_pct"] : null,
    units: asNumber(fields["units"], 0),
    spaces: asNumber(fields["spaces"], 0),
    at: asNumber(fields["at"], 0),
  };
}

export function isKind(value: unknown): value is Kind {
  return KINDS.some((kind) => kind === value);
}

function asReason(value: unknown): ReasonSince | null {
  const fields = asFields(value);
  if (fields === null || typeof fields["reason"] !== "string") return null;
  return { reason: fields["reason"], since: asNumber(fields["since"], 0) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function asFields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

function asNumber(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

function asText(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function asList<Item>(value: unknown, parse: (item: unknown) => Item | null): Item[] {
  if (!Array.isArray(value)) return [];
  const items: Item[] = [];
  for (const raw of value) {
    const item = parse(raw);
    if (item !== null) items.push(item);
  }
  return items;
}
