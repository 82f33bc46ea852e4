import { describe, expect, test } from "vitest";
import { ANSWER_WITHIN_MS, advance, SILENCE_MS, START, type Conversation, type Effect, type Happening } from "./conversation";
import type { MapDevice, Wish } from "./frames";

const WISH: Wish = { box: [0, 0, 1, 1], zoom: 14, kinds: ["bike"], availability: "any", min_battery_pct: 0 };

function bike(id: string, lat = 0): MapDevice {
  return { id, kind: "bike", lat, lon: 0, marker: 1, available: true, reasons: [], battery_pct: 50, units: 1, spaces: 0, at: 1 };
}

/** A conversation with a clock and everything it asked for. */
class Trial {
  state: Conversation = START;
  effects: Effect[] = [];
  now_ms = 0;

  does(...happenings: Happening[]): this {
    for (const happening of happenings) {
      const step = advance(this.state, happening, this.now_ms, 0.5);
      this.state = step.next;
      this.effects.push(...step.effects);
    }
    return this;
  }

  snapshot(devices: MapDevice[], more = false, count = devices.length, id = this.state.watch): this {
    return this.does({ name: "heard", frame: { type: "snapshot", id, devices, count, more, stale: false } });
  }

  changes(shown: MapDevice[], moved: MapDevice[], vanished: string[], count: number, more = false, id = this.state.watch): this {
    return this.does({ name: "heard", frame: { type: "changes", id, shown, moved, vanished, count, more, stale: false } });
  }

  watches(): number {
    return this.effects.filter((effect) => effect.name === "send" && effect.frame.type === "watch").length;
  }

  ids(): string[] {
    return [...this.state.devices.keys()].sort();
  }
}

const opened = (): Trial => new Trial().does({ name: "wished", wish: WISH }, { name: "opened" });

describe("a watch", () => {
  test("is sent when the connection opens, and only then", () => {
    const trial = new Trial().does({ name: "wished", wish: WISH });
    expect(trial.effects).toEqual([{ name: "connect" }]);
    trial.does({ name: "opened" });
    expect(trial.effects.at(-1)).toEqual({ name: "send", frame: { type: "watch", id: 1, ...WISH } });
  });

  test("replaces the one before: late frames of the old one change nothing", () => {
    const trial = opened().snapshot([bike("a")]).does({ name: "wished", wish: { ...WISH, zoom: 15 } });
    trial.changes([bike("b")], [], [], 2, false, 1).snapshot([bike("c")], false, 1, 1);
    expect(trial.ids()).toEqual(["a"]);
    expect(trial.snapshot([bike("d")]).ids()).toEqual(["d"]);
  });

  test("that is refused shows nothing, because nothing could be kept true", () => {
    const trial = opened().snapshot([bike("a")]).does({ name: "wished", wish: WISH });
    trial.does({ name: "heard", frame: { type: "refused", id: trial.state.watch, reason: "too_many_devices", detail: "" } });
    expect(trial.ids()).toEqual([]);
    expect(trial.state.refused?.reason).toBe("too_many_devices");
    expect(trial.does({ name: "wished", wish: WISH }).state.refused).toBeNull();
  });

  test("that stays unanswered ends the connection, which is then tried again", () => {
    const trial = opened();
    trial.now_ms = ANSWER_WITHIN_MS;
    trial.does({ name: "tick" });
    expect(trial.effects.slice(-2).map((effect) => effect.name)).toEqual(["disconnect", "wait"]);
  });

  test("is made again after a long silence, so whatever was missed heals", () => {
    const trial = opened().snapshot([bike("a")]);
    trial.now_ms = SILENCE_MS;
    trial.does({ name: "tick" });
    expect(trial.watches()).toBe(2);
    expect(trial.ids()).toEqual(["a"]);
  });
});

describe("devices", () => {
  test("are shown, moved and taken away by changes", () => {
    const trial = opened().snapshot([bike("a"), bike("b")]).changes([bike("c")], [bike("a", 5)], ["b"], 2);
    expect(trial.ids()).toEqual(["a", "c"]);
    expect(trial.state.devices.get("a")?.lat).toBe(5);
    expect(trial.state.drifts).toBe(0);
  });

  test("of the view before stay until a snapshot in parts is whole, then only what was told remains", () => {
    const trial = opened().snapshot([bike("old"), bike("both")]).does({ name: "wished", wish: WISH });
    trial.snapshot([bike("both")], true);
    expect(trial.ids()).toEqual(["both", "old"]);
    trial.changes([bike("new")], [], [], 2, true);
    expect(trial.ids()).toEqual(["both", "new", "old"]);
    trial.changes([bike("last")], [], [], 3);
    expect(trial.ids()).toEqual(["both", "last", "new"]);
    expect(trial.effects.at(-1)).toEqual({ name: "show", changed: "all" });
    expect(trial.state.drifts).toBe(0);
  });

  test("stay on the map while the connection is being made anew", () => {
    const trial = opened().snapshot([bike("a")]).does({ name: "closed" }, { name: "waited" }, { name: "opened" });
    expect(trial.ids()).toEqual(["a"]);
    expect(trial.snapshot([]).ids()).toEqual([]);
  });

  test("that do not add up make the client ask again, but not with every frame", () => {
    const trial = opened().snapshot([bike("a")]);
    trial.now_ms = 10_000;
    trial.changes([], [], [], 7);
    expect([trial.state.drifts, trial.watches()]).toEqual([1, 2]);
    trial.snapshot([bike("a")], false, 7);
    expect([trial.state.drifts, trial.watches()]).toEqual([1, 2]);
  });
});

describe("the connection", () => {
  test("waits longer after each failure and starts small again after an answer", () => {
    const trial = new Trial().does({ name: "wished", wish: WISH });
    const waits = (): number[] => trial.effects.flatMap((effect) => (effect.name === "wait" ? [effect.delay_ms] : []));
    for (let failures = 0; failures < 4; failures += 1) trial.does({ name: "closed" }, { name: "waited" });
    expect(waits()).toEqual([500, 1000, 2000, 4000]);
    trial.does({ name: "opened" }).snapshot([]).does({ name: "closed" });
    expect(waits().at(-1)).toBe(500);
  });

  test("that is never made is given up, and tried again", () => {
    const trial = new Trial().does({ name: "wished", wish: WISH });
    trial.now_ms = ANSWER_WITHIN_MS - 1;
    expect(trial.does({ name: "tick" }).effects).toHaveLength(1);
    trial.now_ms = ANSWER_WITHIN_MS;
    trial.does({ name: "tick" });
    expect(trial.effects.slice(1).map((effect) => effect.name)).toEqual(["disconnect", "wait"]);
    expect(trial.does({ name: "waited" }).effects.at(-1)).toEqual({ name: "connect" });
  });

  test("is given up while the page is hidden and taken up at once when it is seen", () => {
    const trial = opened().snapshot([bike("a")]).does({ name: "hidden" });
    expect(trial.state.phase.name).toBe("paused");
    trial.does({ name: "closed" }, { name: "waited" }, { name: "tick" });
    expect(trial.state.phase.name).toBe("paused");
    trial.does({ name: "visible" });
    expect(trial.effects.at(-1)).toEqual({ name: "connect" });
  });

  test("is not tried again with a token that was refused, until somebody looks at the page again", () => {
    const trial = opened().does({ name: "signed_out" });
    expect(trial.effects.at(-1)).toEqual({ name: "disconnect" });
    const asked = trial.effects.length;
    trial.does({ name: "closed" }, { name: "waited" }, { name: "tick" }, { name: "hidden" }, { name: "wished", wish: WISH });
    expect(trial.state.phase.name).toBe("signed_out");
    expect(trial.effects).toHaveLength(asked);
    expect(trial.does({ name: "visible" }).effects.at(-1)).toEqual({ name: "connect" });
  });
});

test("after any walk of the fleet, cuts and pans the client holds what the server believes", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const chance = chanceOf(seed);
    const trial = opened();
    const server = new Map<string, MapDevice>();
    const told = new Map<string, MapDevice>();
    let fresh = true;
    for (let turn = 0; turn < 60; turn += 1) {
      trial.now_ms += 100;
      const id = `d${Math.floor(chance() * 12)}`;
      if (chance() < 0.3) server.delete(id);
      else server.set(id, bike(id, turn));
      if (chance() < 0.08) {
        trial.does({ name: "closed" }, { name: "waited" }, { name: "opened" });
        [fresh] = [true, told.clear()];
      } else if (chance() < 0.08) {
        trial.does({ name: "wished", wish: WISH });
        [fresh] = [true, told.clear()];
      }
      if (chance() < 0.6) fresh = tell(trial, server, told, fresh, 2);
    }
    while (fresh || told.size !== server.size || [...server].some(([id, device]) => told.get(id) !== device)) {
      fresh = tell(trial, server, told, fresh, 2);
    }
    expect(trial.state.devices, `seed ${seed}`).toEqual(server);
    expect(trial.state.drifts, `seed ${seed}`).toBe(0);
  }
});

/** Says at most `most` devices, as the server does. Returns false: the next frame is no snapshot. */
function tell(trial: Trial, server: Map<string, MapDevice>, told: Map<string, MapDevice>, fresh: boolean, most: number): boolean {
  const due = [...server.values()].filter((device) => told.get(device.id) !== device);
  const sent = due.slice(0, most);
  const vanished = [...told.keys()].filter((id) => !server.has(id));
  const shown = sent.filter((device) => !told.has(device.id));
  const moved = sent.filter((device) => told.has(device.id));
  for (const device of sent) told.set(device.id, device);
  for (const id of vanished) told.delete(id);
  const more = due.length > most;
  if (fresh) trial.snapshot(sent, more, told.size);
  else trial.changes(shown, moved, vanished, told.size, more);
  return false;
}

/** A small generator, so a failing seed can be run again. */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
