/** The slots of a cabinet or locker as a grid of small cells: free, occupied, charging low, open, or at fault. */

import { el } from "../dom";
import type { DeviceState, SlotState } from "./device";
import { sentence } from "../words/words";

export type SlotLook = "free" | "occupied" | "fault" | "open";

export function slotLook(slot: SlotState): SlotLook {
  if (slot.faults.length > 0) return "fault";
  if (slot.door_open) return "open";
  return slot.occupied ? "occupied" : "free";
}

export function slotWords(slot: SlotState): string {
  const charge = slot.charge_pct === null ? "" : `, ${slot.charge_pct} %`;
  const unit = slot.unit_id === null ? "" : `, unit ${slot.unit_id}`;
  const faults = slot.faults.length === 0 ? "" : `, ${slot.faults.map(sentence).join(", ")}`;
  return `Slot ${slot.number}: ${slotLook(slot)}${charge}${unit}${faults}`;
}

/** `picked` is the slot a person chose, 0 for none; a press on it again lets it go. */
export function slotGrid(state: DeviceState, picked: number, onPick: (slot: number) => void): HTMLElement {
  const cells = state.slots.map((slot) => el("li",
    { class: `slot ${slotLook(slot)}`, title: slotWords(slot), "aria-label": slotWords(slot) },
    el("button", { type: "button", "aria-label": `Pick slot ${slot.number}`, "aria-pressed": String(slot.number === picked),
      onclick: () => onPick(slot.number === picked ? 0 : slot.number) }),
    el("b", {}, String(slot.number)),
    slot.charge_pct === null ? null : el("i", { style: `height:${slot.charge_pct}%` })));
  const what = state.kind === "locker" ? "Compartments" : "Slots";
  const counts = `${state.units} to take, ${state.spaces} free to return into`;
  return el("section", { class: "slots" }, el("h3", {}, what, el("small", {}, state.kind === "locker" ? `${state.units} free` : counts)),
    el("ol", {}, ...cells));
}
