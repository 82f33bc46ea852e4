/** The story of one order, drawn: a line for each moment, with a bar that shows when it was. */

import { el } from "../dom";
import type { Command, Line } from "./order";
import { lineWords, phaseTone, phaseWords } from "./order_words";

export function timeline(command: Command, lines: readonly Line[]): HTMLElement {
  const last_ms = Math.max(1, ...lines.map((line) => line.after_ms));
  return el("section", { class: "timeline", "data-phase": command.phase },
    el("p", { class: phaseTone(command.phase), role: "status" }, phaseWords(command)),
    el("ol", {}, ...lines.map((line) => el("li", {},
      el("span", { class: "ms" }, `${line.after_ms} ms`),
      el("i", { class: "when", "aria-hidden": "true" },
        el("i", { style: `margin-left:${Math.min(100, Math.max(0, (line.after_ms / last_ms) * 100)).toFixed(1)}%` })),
      el("span", {}, lineWords(line))))));
}
