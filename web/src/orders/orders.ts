/** The part of the card with which a person tells a device what to do, and sees what becomes of it. */

import "./orders.css";
import { getJson, postJson, Unanswered, type DeviceState } from "../details/device";
import { el } from "../dom";
import { parseCommand, parseTimeline, wishesFor, type Command, type Wish } from "./order";
import { wishWords } from "./order_words";
import { timeline } from "./timeline";

const LOOK_MS = 150;
/** A server that just failed to answer is given a moment longer. */
const TROUBLE_MS = 500;
/** After its time is up a command is unconfirmed within seconds; longer than this nobody looks at it. */
const LONGEST_LOOK_MS = 90_000;

export class Orders {
  readonly element = el("section", { class: "orders" });
  private readonly buttons = el("div", { class: "wishes" });
  private readonly story = el("div", { "aria-live": "polite" });
  private device: Pick<DeviceState, "id" | "kind"> | null = null;
  private slot = 0;
  private asked = 0;
  private busy = false;
  /** By device id, the orders whose end was not told yet: their story goes on when the card is opened again. */
  private readonly running = new Map<string, Command>();
  /** The keys of orders that nobody answered, by device and wish. */
  private readonly unanswered = new Map<string, string>();

  /** `onEnd` is told when nothing more happens: what the device is like may have changed. */
  constructor(private readonly onEnd: () => void) {
    this.element.append(this.buttons, this.story);
  }

  /** Another device, whose story is its own, or none: nothing is followed any more. */
  clear(): void {
    this.asked += 1;
    this.device = null;
    this.slot = 0;
    this.busy = false;
    this.buttons.replaceChildren();
    this.story.replaceChildren();
  }

  /** What can be asked of this device; the buttons stay in place while nothing changes. */
  show(state: Pick<DeviceState, "id" | "kind">, slot: number): void {
    if (this.device?.id === state.id && this.slot === slot) return;
    const other = this.device?.id !== state.id;
    this.device = state;
    this.slot = slot;
    this.buttons.replaceChildren(...wishesFor(state, slot).map((wish) => el("button",
      { class: wish.kind === "locate" ? "wish" : "wish main", type: "button", "data-kind": wish.kind, onclick: () => void this.order(wish) },
      wishWords(wish))));
    this.enable(!this.busy);
    const running = this.running.get(state.id);
    if (other && running !== undefined) void this.tell(state.id, () => Promise.resolve(running));
  }

  private async order(wish: Wish): Promise<void> {
    const device = this.device;
    if (device === null || this.busy) return;
    this.story.replaceChildren(el("p", { class: "open", role: "status" }, "Asking…"));
    await this.tell(device.id, () => this.place(device.id, wish));
  }

  /** Tells the story of one order to its end, or until another is told. */
  private async tell(device_id: string, place: () => Promise<Command>): Promise<void> {
    const asked = ++this.asked;
    this.enable(false);
    try {
      const placed = await place();
      this.running.set(device_id, placed);
      if (asked !== this.asked) return;
      await this.follow(placed, asked);
      if (asked === this.asked) this.running.delete(device_id);
    } catch (error) {
      if (asked !== this.asked) return;
      this.running.delete(device_id);
      const words = error instanceof Unanswered ? error.message : "Something unexpected went wrong on this page.";
      this.story.replaceChildren(el("p", { class: "bad", role: "alert" }, words));
    } finally {
      if (asked === this.asked) {
        this.enable(true);
        this.onEnd();
      }
    }
  }

  private async place(device_id: string, wish: Wish): Promise<Command> {
    const path = `/v1/devices/${encodeURIComponent(device_id)}/commands`;
    const name = JSON.stringify([device_id, wish.kind, wish.slot]);
    // Each press is another order. Only one that got no answer may have been placed: its repetition is the same.
    const key = this.unanswered.get(name) ?? freshKey();
    this.unanswered.set(name, key);
    try {
      const placed = parseCommand(await postJson(path, wish, { "idempotency-key": key }));
      this.unanswered.delete(name);
      return placed;
    } catch (error) {
      if (error instanceof Unanswered && error.status > 0) this.unanswered.delete(name);
      throw error;
    }
  }

  private async follow(placed: Command, asked: number): Promise<void> {
    const path = `/v1/commands/${encodeURIComponent(placed.id)}`;
    const until = performance.now() + LONGEST_LOOK_MS;
    for (let command = placed; asked === this.asked;) {
      try {
        const lines = parseTimeline(await getJson(`${path}/timeline`));
        if (asked !== this.asked) return;
        this.story.replaceChildren(timeline(command, lines));
        if (command.settled || command.phase === "unconfirmed" || performance.now() > until) return;
        await pause(LOOK_MS);
        if (asked !== this.asked) return;
        command = parseCommand(await getJson(path));
      } catch (error) {
        // The command runs on while nobody can be asked about it.
        if (!(error instanceof Unanswered && error.passes) || performance.now() > until) throw error;
        await pause(TROUBLE_MS);
      }
    }
  }

  private enable(enabled: boolean): void {
    this.busy = !enabled;
    // Not `disabled`: that would take the focus away from whoever uses the keyboard.
    for (const button of this.buttons.querySelectorAll("button")) button.setAttribute("aria-disabled", String(this.busy));
  }
}

/** 128 random bits; `crypto.randomUUID` is absent where a page is not served over TLS. */
function freshKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pause(pause_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pause_ms));
}
