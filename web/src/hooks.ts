/** What tests may ask the page, on `window.latchkey`: read-only views of what the page shows anyway. */

import type { Card } from "./details/card";
import type { MapDevice } from "./live/frames";
import type { Live } from "./live/live";
import type { FleetMap } from "./map/fleet_map";
import { connectionOf, type Connection } from "./panel/connection";

export interface Hooks {
  /** How many devices the page holds now. */
  devices(): number;
  /** The device with this public id, or null. */
  device(id: string): MapDevice | null;
  /** All devices the page holds. */
  all(): MapDevice[];
  /** The state of the connection, as the pill at the top of the panel names it. */
  connection(): Connection;
  /** True once the map shows its place and the newest watch was answered whole on the present connection. */
  settled(): boolean;
  /** How often the page found that it had drifted from the server. */
  drifts(): number;
  /** Where the device is drawn at this moment, in degrees and in pixels of the map; null when it is not drawn. */
  drawn(id: string): { lat: number; lon: number; x: number; y: number } | null;
  /** The id of the device on the card, or null. */
  selected(): string | null;
}

declare global {
  interface Window {
    latchkey?: Hooks;
  }
}

interface Page {
  readonly live: Live;
  readonly map: FleetMap | null;
  readonly card: Card;
  /** The map has found its place. */
  started(): boolean;
}

export function offerHooks({ live, map, card, started }: Page): void {
  window.latchkey = {
    devices: () => live.conversation.devices.size,
    device: (id) => live.conversation.devices.get(id) ?? null,
    all: () => [...live.conversation.devices.values()],
    connection: () => connectionOf(live.conversation, performance.now()).connection,
    settled: () => started() && live.conversation.answered && live.conversation.arriving === null,
    drifts: () => live.conversation.drifts,
    drawn: (id) => {
      const at = map?.drawnAt(id) ?? null;
      const pixel = map?.pixelOf(id) ?? null;
      return at === null || pixel === null ? null : { ...at, x: pixel.x, y: pixel.y };
    },
    selected: () => card.id,
  };
}
