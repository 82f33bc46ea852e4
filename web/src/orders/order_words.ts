/** What the page says of orders: what they do, what happened to them, and how they ended. */

import { sentence } from "../words/words";
import type { Command, Line, Wish } from "./order";

export function wishWords(wish: Wish): string {
  if (wish.kind === "unlock") return "Unlock";
  if (wish.kind === "eject") return `Eject from slot ${wish.slot}`;
  if (wish.kind === "open_slot") return `Open compartment ${wish.slot}`;
  return "Make it ring";
}

const HAPPENED: Readonly<Record<string, string>> = {
  requested: "Asked for",
  issued: "Accepted by the gateway",
  claimed: "Recorded as sent",
  published: "Sent to the device",
  published_again: "Sent again",
  probed: "Asked whether it is listening",
  broker_ack: "The broker has it",
  device_ack: "The device answers",
  evidence: "Its sensors say",
  contradiction: "Its sensors say otherwise",
  incident: "An incident was raised",
  settled: "Settled",
};

/** What a person reads of the details of a line; numbers for programs stay with the API. */
const SAID: Readonly<Record<string, (value: string) => string>> = {
  result: plain,
  why: plain,
  reason: (value) => (value === "success" ? "" : plain(value)),
  kind: plain,
  owner: (value) => `by ${value}`,
  copy: (value) => (value === "1" ? "" : `copy ${value}`),
};

export function lineWords(line: Line): string {
  const words = HAPPENED[line.what] ?? sentence(line.what);
  const said = Object.entries(line.detail).map(([name, value]) => SAID[name]?.(value) ?? "").filter((value) => value !== "");
  return said.length > 0 ? `${words}: ${said.join(", ")}` : words;
}

function plain(value: string): string {
  return value.replaceAll("_", " ");
}

const ENDED: Readonly<Record<string, string>> = {
  confirmed: "Done, and its sensors confirm it.",
  refused: "The device refused.",
  failed: "It did not open.",
  expired: "It was never sent: the time ran out.",
  cancelled: "Taken back before it was sent.",
  unconfirmed: "Silence. It may have opened: the next report will tell.",
  executed_late: "It opened too late. An incident was raised.",
  abandoned: "Given up.",
};

/** Kinds that no sensor shows, as gateway/core/command.py has it (`SENSED`): the device's word is all there is. */
const UNSENSED: readonly string[] = ["locate", "configure"];
/** What ends otherwise for them: nothing was opened. */
const ENDED_UNSENSED: Readonly<Record<string, string>> = {
  confirmed: "Done, the device says so.",
  failed: "The device could not do it.",
  unconfirmed: "Silence. It may have been done.",
};

/** How it stands, in a sentence. */
export function phaseWords(command: Command): string {
  const special = UNSENSED.includes(command.kind) ? ENDED_UNSENSED[command.phase] : undefined;
  const words = special ?? ENDED[command.phase] ?? "On its way…";
  return command.reason === "" ? words : `${words} (${plain(command.reason)})`;
}

/** Good, bad or open, for the colour. */
export function phaseTone(phase: string): "good" | "bad" | "open" {
  if (phase === "confirmed") return "good";
  if (["issued", "sent", "accepted", "executed"].includes(phase)) return "open";
  return "bad";
}
