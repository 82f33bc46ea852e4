/** The card of one device: asked anew when the map hears of it, its history when it is opened. */

import { byId, el, say, svg } from "../dom";
import type { MapDevice } from "../live/frames";
import { lookOf, LOOK_WORDS } from "../map/look";
import { ageWords, deviceTitle, reasonWords, sentence } from "../words/words";
import { fetchDevice, fetchHistory, reportedAt, Unanswered, type DeviceState, type HistoryPoint } from "./device";
import { lengthWords, linePlot, tracePlot } from "./plots";
import { Orders } from "../orders/orders";
import { slotGrid } from "./slots";

const REFRESH_MS = 5_000;
/** A device that reports every second is not asked for with each report. */
const LEAST_PAUSE_MS = 1_000;

const RANGES = [
  { words: "1 h", hours: 1, step: "raw" },
  { words: "24 h", hours: 24, step: "1m" },
  { words: "7 d", hours: 168, step: "1h" },
] as const;
type Range = (typeof RANGES)[number];

export class Card {
  private readonly card = byId("card");
  private readonly head = el("div", { class: "card-head" });
  private readonly reported = el("p");
  private readonly why = el("div", { class: "why", "aria-live": "polite" });
  private readonly facts = el("dl", { class: "facts" });
  private readonly slots = el("div");
  private readonly orders = new Orders(() => void this.ask());
  private readonly history = el("div", { class: "history" });
  private readonly trouble = el("p", { class: "trouble", role: "alert" });
  private shown: MapDevice | null = null;
  private state: DeviceState | null = null;
  private slot = 0;
  private range: Range = RANGES[0];
  private asked = new AbortController();
  private asked_ms = 0;
  private soon: number | undefined;
  private gone = false;
  private timer: number | undefined;
  private opener: Element | null = null;

  /** `onRenamed` is told the id the device goes by on the map now: it was used, and nobody is to follow it. */
  constructor(
    private readonly onClose: () => void,
    private readonly onCentre: (lat: number, lon: number) => void,
    private readonly onRenamed: (id: string) => void,
  ) {
    this.card.append(this.head, this.trouble, this.why, this.slots, this.orders.element, this.facts, this.history);
    this.card.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.onClose();
    });
  }

  get id(): string | null {
    return this.shown?.id ?? null;
  }

  open(device: MapDevice): void {
    const other = this.shown?.id !== device.id;
    this.shown = device;
    if (!other) return;
    this.opener = document.activeElement;
    this.state = null;
    this.gone = false;
    this.trouble.textContent = "";
    this.slot = 0;
    this.slots.replaceChildren();
    this.orders.clear();
    this.facts.replaceChildren();
    this.card.hidden = false;
    document.body.classList.add("with-card");
    this.drawHead(device);
    this.drawWhy(device.available, device.reasons);
    this.drawHistory(null);
    this.card.scrollTop = 0;
    this.card.focus({ preventScroll: true });
    this.asked.abort();
    this.asked = new AbortController();
    void this.ask();
    void this.askHistory();
    clearInterval(this.timer);
    this.timer = window.setInterval(() => void this.ask(), REFRESH_MS);
  }

  /** The map heard of the device again, or lost sight of it (`null`). */
  heard(device: MapDevice | null): void {
    if (this.shown === null) return;
    if (device !== null) this.show(device);
    else if (!this.gone) {
      // Or it is there under another id: the answer tells.
      this.gone = true;
      this.trouble.textContent = "This device has left the map: it moved out of view, is filtered out, or is no longer shown.";
    }
    this.askSoon();
  }

  /** The same device under its new id. */
  show(device: MapDevice): void {
    this.shown = device;
    if (this.gone) this.trouble.textContent = "";
    this.gone = false;
    this.drawHead(device);
    this.drawWhy(device.available, device.reasons);
  }

  close(): void {
    if (this.shown === null) return;
    this.shown = null;
    clearInterval(this.timer);
    clearTimeout(this.soon);
    this.asked.abort();
    this.orders.clear();
    this.card.hidden = true;
    document.body.classList.remove("with-card");
    if (this.opener instanceof HTMLElement && this.opener.isConnected) this.opener.focus({ preventScroll: true });
  }

  private askSoon(): void {
    clearTimeout(this.soon);
    this.soon = window.setTimeout(() => void this.ask(), Math.max(0, LEAST_PAUSE_MS - (performance.now() - this.asked_ms)));
  }

  private async ask(): Promise<void> {
    const device = this.shown;
    if (device === null || document.hidden) return;
    this.asked_ms = performance.now();
    await this.telling(async (signal) => {
      // By its device id once that is known: the other one changes with every use.
      const state = await fetchDevice(this.state?.id ?? device.id, signal);
      if (signal.aborted || this.shown === null) return;
      // Answers may overtake each other.
      if (this.state !== null && state.revision < this.state.revision) return;
      this.state = state;
      this.drawState(state);
      this.drawReported(this.shown);
      if (state.public_id !== this.shown.id) this.onRenamed(state.public_id);
    });
  }

  private async askHistory(): Promise<void> {
    const device = this.shown;
    if (device === null) return;
    const range = this.range;
    await this.telling(async (signal) => {
      const points = await fetchHistory(this.state?.id ?? device.id, range.hours, range.step, signal);
      if (!signal.aborted && this.range === range) this.drawHistory(points);
    });
  }

  /** Runs `work`; what goes wrong is told on the card. */
  private async telling(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.asked;
    try {
      await work(signal);
      if (!signal.aborted && !this.gone) this.trouble.textContent = "";
    } catch (error) {
      if (signal.aborted) return;
      this.trouble.textContent = error instanceof Unanswered ? error.message : "Something unexpected went wrong on this page.";
    }
  }

  private drawHead(device: MapDevice): void {
    const look = lookOf(device);
    const close = el("button", { class: "icon", type: "button", "aria-label": "Close", onclick: () => this.onClose() },
      svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M6 6l12 12M18 6 6 18" })));
    const centre = el("button", { class: "icon", type: "button", "aria-label": "Centre the map on it",
      onclick: () => this.onCentre(this.shown?.lat ?? device.lat, this.shown?.lon ?? device.lon) },
      svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
        svg("path", { d: "M12 3v4M12 17v4M3 12h4M17 12h4M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7" })));
    const focused = this.head.contains(document.activeElement) ? document.activeElement?.getAttribute("aria-label") : null;
    this.head.replaceChildren(
      el("i", { class: `look ${look} big`, "aria-hidden": "true" }),
      el("div", {}, el("h2", {}, deviceTitle(device)), this.reported),
      centre, close);
    if (focused === "Close") close.focus();
    if (focused === "Centre the map on it") centre.focus();
    this.drawReported(device);
  }

  private drawReported(device: MapDevice): void {
    say(this.reported, `${LOOK_WORDS[lookOf(device)]} · reported ${agoWords(reportedAt(device, this.state))}`);
  }

  private drawWhy(available: boolean, reasons: MapDevice["reasons"]): void {
    if (available) {
      this.why.replaceChildren(el("p", { class: "good" }, "Available: nothing stands in the way of a rental."));
      return;
    }
    this.why.replaceChildren(el("h3", {}, "Why it is not available"), el("ul", {}, ...reasons.map(({ reason, since }) =>
      el("li", {}, el("span", {}, reasonWords(reason)), el("small", {}, since > 0 ? `for ${ageWords(Date.now() - since)}` : "")))));
  }

  private drawState(state: DeviceState): void {
    this.drawWhy(state.available, state.reasons);
    this.drawSlots(state);
    this.facts.replaceChildren(...factsOf(state).flatMap(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]));
  }

  private drawSlots(state: DeviceState): void {
    const pick = (slot: number): void => {
      this.slot = slot;
      this.drawSlots(state);
      this.slots.querySelectorAll("button")[state.slots.findIndex((one) => one.number === slot)]?.focus();
    };
    const at = [...this.slots.querySelectorAll("button")].findIndex((button) => button === document.activeElement);
    this.slots.replaceChildren(...(state.slots.length > 0 ? [slotGrid(state, this.slot, pick)] : []));
    if (at >= 0) this.slots.querySelectorAll("button")[at]?.focus();
    this.orders.show(state, this.slot);
  }

  private drawHistory(points: readonly HistoryPoint[] | null): void {
    const pick = (range: Range) => (): void => {
      this.range = range;
      this.drawHistory(null);
      void this.askHistory();
    };
    const buttons = RANGES.map((range) => el("button",
      { type: "button", "aria-pressed": String(range === this.range), onclick: pick(range) }, range.words));
    const at = buttons.findIndex((_, index) => this.history.querySelectorAll("button")[index] === document.activeElement);
    this.history.replaceChildren(el("div", { class: "history-head" }, el("h3", {}, "History"), el("div", { class: "ranges" }, ...buttons)),
      ...this.plots(points));
    if (at >= 0) buttons[at]?.focus();
  }

  private plots(points: readonly HistoryPoint[] | null): Node[] {
    if (points === null) return [el("p", { class: "quiet tall" }, "Asking for the history…")];
    const now_ms = Date.now();
    const times = { from_ms: now_ms - this.range.hours * 3_600_000, to_ms: now_ms };
    const battery = points.flatMap((point) => (point.battery_pct === null ? [] : [{ at_ms: point.at_ms, value: point.battery_pct }]));
    const units = points.flatMap((point) => (point.units === null ? [] : [{ at_ms: point.at_ms, value: point.units }]));
    const stays = this.shown?.kind !== "bike";
    const drawn: Node[] = [];
    if (battery.length > 0 && (!stays || units.length === 0)) {
      drawn.push(el("h4", {}, "Battery"), linePlot({ values: battery, ...times, top: 100, unit: " %", label: "Battery over time" }));
    }
    if (stays && units.length > 0) {
      const top = Math.max(4, this.state?.slots.length ?? 0, ...units.map((unit) => unit.value));
      drawn.push(el("h4", {}, "Units to take"), linePlot({ values: units, ...times, top, unit: "", label: "Units over time" }));
    }
    const trace = stays ? null : tracePlot(points);
    if (trace !== null) drawn.push(el("h4", {}, `Way, ${lengthWords(trace.length_m)}`), trace.drawn);
    if (drawn.length === 0) drawn.push(el("p", { class: "quiet tall" }, "Nothing was stored in this time."));
    return drawn;
  }
}

function factsOf(state: DeviceState): [string, string][] {
  const facts: [string, string | null][] = [
    ["Battery", state.battery_pct === null ? null : `${state.battery_pct} %${state.charging === true ? ", charging" : ""}`],
    ["Lock", state.bolt === null ? null : sentence(state.bolt)],
    ["Moving", state.moving === null ? null : state.moving ? "Yes" : "No"],
    ["Presence", `${sentence(state.presence)}${state.heard_at_ms === null ? "" : `, heard ${agoWords(state.heard_at_ms)}`}`],
    ["Faults", state.faults.length === 0 ? null : state.faults.map(sentence).join(", ")],
    ["Alarms", state.alarms.length === 0 ? null : state.alarms.map(sentence).join(", ")],
    ["Position", state.lat === null || state.lon === null ? null
      : `${state.lat.toFixed(5)}, ${state.lon.toFixed(5)}${state.accuracy_m ? ` (± ${Math.round(state.accuracy_m)} m)` : ""}`],
    ["Signal", state.signal_dbm === null ? null : `${state.signal_dbm} dBm`],
    ["Model", state.model || null],
    ["Firmware", state.firmware],
    ["Device", state.id],
    ["Public id", state.public_id],
    ["Revision", String(state.revision)],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}

function agoWords(at_ms: number): string {
  const age = ageWords(Date.now() - at_ms);
  return age === "now" ? "just now" : `${age} ago`;
}
