/** The words for the state of the connection; pure. */

import type { Conversation } from "../live/conversation";

export type Connection = "connecting" | "live" | "reconnecting" | "stale" | "refused" | "paused" | "signed_out";

export interface ConnectionWords {
  readonly connection: Connection;
  readonly words: string;
}

/** An unanswered watch is nothing to speak of until it takes this long. */
const SLOW_ANSWER_MS = 2_500;

export function connectionOf(now: Conversation, now_ms: number): ConnectionWords {
  switch (now.phase.name) {
    case "idle":
    case "connecting":
      return now.attempt > 0 || now.devices.size > 0
        ? { connection: "reconnecting", words: "Reconnecting" }
        : { connection: "connecting", words: "Connecting" };
    case "waiting": {
      const left_s = Math.max(1, Math.ceil((now.phase.until_ms - now_ms) / 1000));
      return { connection: "reconnecting", words: `Reconnecting in ${left_s} s` };
    }
    case "paused":
      return { connection: "paused", words: "Paused" };
    case "signed_out":
      return { connection: "signed_out", words: "Signed out" };
    case "open":
      if (now.refused !== null) return { connection: "refused", words: "View refused" };
      if (now.stale) return { connection: "stale", words: "Server is catching up" };
      if (now.answered) return { connection: "live", words: "Live" };
      if (now_ms - now.asked_ms < SLOW_ANSWER_MS) {
        return { connection: now.devices.size > 0 ? "live" : "connecting", words: now.devices.size > 0 ? "Live" : "Connecting" };
      }
      return { connection: "stale", words: "Stale" };
  }
}
