import { afterEach, expect, test, vi } from "vitest";
import { Live } from "./live";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a page that nobody sees stays paused when the network comes back", () => {
  vi.useFakeTimers();
  let sockets = 0;
  const page = Object.assign(new EventTarget(), { hidden: false });
  const machine = Object.assign(new EventTarget(), { setTimeout: (act: () => void, after_ms: number) => setTimeout(act, after_ms) });
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", machine);
  vi.stubGlobal("WebSocket", class {
    constructor() {
      sockets += 1;
    }
    close(): void {}
  });
  const nothing = (): void => {};
  const live = new Live("ws://127.0.0.1/", { token: () => "any", onSignedOut: nothing, onState: nothing, onDevices: nothing });
  live.watch({ box: [0, 0, 1, 1], zoom: 14, kinds: ["bike"], availability: "any", min_battery_pct: 0 });
  page.hidden = true;
  page.dispatchEvent(new Event("visibilitychange"));
  vi.advanceTimersByTime(20_000);
  expect(live.conversation.phase.name).toBe("paused");

  const before = sockets;
  machine.dispatchEvent(new Event("online"));
  expect([live.conversation.phase.name, sockets]).toEqual(["paused", before]);
  page.hidden = false;
  machine.dispatchEvent(new Event("online"));
  expect(live.conversation.phase.name).toBe("connecting");
});
