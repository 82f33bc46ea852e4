/** Orders to a device as the HTTP routes say them: what can be asked of which kind, and parsing of the answers. */

import type { DeviceState } from "../details/device";

/** What the page lets a person ask; the server knows more. */
export interface Wish {
  readonly kind: "unlock" | "eject" | "open_slot" | "locate";
  readonly slot: number;
}

export interface Command {
  readonly id: string;
  /** One of more than the page lets a person ask. */
  readonly kind: string;
  readonly phase: string;
  readonly settled: boolean;
  readonly reason: string;
}

export interface Line {
  readonly after_ms: number;
  readonly what: string;
  readonly phase: string;
  readonly detail: Readonly<Record<string, string>>;
}

/** What can be asked of this device; `slot` is the one a person picked, 0 for none. */
export function wishesFor(state: Pick<DeviceState, "kind">, slot: number): Wish[] {
  if (state.kind === "bike") return [{ kind: "unlock", slot: 0 }, { kind: "locate", slot: 0 }];
  if (slot === 0) return [{ kind: "locate", slot: 0 }];
  return [{ kind: state.kind === "cabinet" ? "eject" : "open_slot", slot }];
}

type Fields = Record<string, unknown>;

export function parseCommand(value: unknown): Command {
  const fields = fieldsOf(value);
  return {
    id: textOf(fields["id"]),
    kind: textOf(fields["kind"]),
    phase: textOf(fields["phase"]),
    settled: fields["settled"] === true,
    reason: textOf(fields["reason"]),
  };
}

export function parseTimeline(value: unknown): Line[] {
  const lines = fieldsOf(value)["lines"];
  if (!Array.isArray(lines)) return [];
  return (lines as unknown[]).map((line) => {
    const fields = fieldsOf(line);
    const detail = Object.entries(fieldsOf(fields["detail"])).map(([name, said]) => [name, String(said)] as const);
    return {
      after_ms: typeof fields["after_ms"] === "number" ? fields["after_ms"] : 0,
      what: textOf(fields["what"]),
      phase: textOf(fields["phase"]),
      detail: Object.fromEntries(detail),
    };
  });
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
