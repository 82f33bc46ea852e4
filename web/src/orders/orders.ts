/** The part of the card with which a person tells a device what to do, and sees what becomes of it. */

import "./orders.css";
import { getJson, postJson, Unanswered, type DeviceState } from "../details/device";
import { el } from "../dom";
import { parseCommand, parseTimeline, wishesFor, type Command, type Wish } from "./order";
import { wishWords } from "./order_words";
import { timeline } from "./timeline";

const LOOK_MS = 150;
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

  /** `onEnd` is told when nothing more happens: what the device is like may have changed. */
  constructor(private readonly onEnd: () => void) {
    this.element.append(this.buttons, this.story);
  }

  /** Another device: its story is its own. */
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
    this.device = state;
    this.slot = slot;
    this.buttons.replaceChildren(...wishesFor(state, slot).map((wish) => el("button",
      { class: wish.kind === "locate" ? "wish" : "wish main", type: "button", "data-kind": wish.kind, onclick: () => void this.order(wish) },
      wishWords(wish))));
    this.enable(!this.busy);
  }

  private async order(wish: Wish): Promise<void> {
    const device = this.device;
    if (device === null || this.busy) return;
    const asked = ++this.asked;
    this.enable(false);
    this.story.replaceChildren(el("p", { class: "open", role: "status" }, "Asking…"));
    try {
      const path = `/v1/devices/${encodeURIComponent(device.id)}/commands`;
      // Drawn anew for each press: a repetition of this request is the same order, another press is another.
      const placed = parseCommand(await postJson(path, wish, { "idempotency-key": freshKey() }));
      await this.follow(placed, asked);
    } catch (error) {
      if (asked !== this.asked) return;
      const words = error instanceof Unanswered ? error.message : "Something unexpected went wrong on this page.";
      this.story.replaceChildren(el("p", { class: "bad", role: "alert" }, words));
    } finally {
      if (asked === this.asked) {
        this.enable(true);
        this.onEnd();
      }
    }
  }

  private async follow(placed: Command, asked: number): Promise<void> {
    const path = `/v1/commands/${encodeURIComponent(placed.id)}`;
    const until = performance.now() + LONGEST_LOOK_MS;
    for (let command = placed; ; command = parseCommand(await getJson(path))) {
      const lines = parseTimeline(await getJson(`${path}/timeline`));
      if (asked !== this.asked) return;
      this.story.replaceChildren(timeline(command, lines));
      if (command.settled || command.phase === "unconfirmed" || performance.now() > until) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
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
