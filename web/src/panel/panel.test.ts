import { expect, test } from "vitest";
import { ageWords, markerWords, reasonWords, refusalWords } from "../words/words";
import { START, type Conversation } from "../live/conversation";
import type { MapDevice } from "../live/frames";
import { runsOf } from "../details/plots";
import { parseDevice } from "../details/device";
import { slotLook } from "../details/slots";
import { denseBox } from "../start";
import { connectionOf } from "./connection";
import { Rate, tallyOf } from "./tally";

const BIKE: MapDevice = { id: "a", kind: "bike", lat: 1, lon: 2, marker: 1, available: true, reasons: [], battery_pct: 5, units: 1, spaces: 0, at: 1 };

test("every device is counted once by kind and once by look", () => {
  const low: MapDevice = { ...BIKE, id: "b", available: false, reasons: [{ reason: "low_battery", since: 1 }] };
  const tally = tallyOf([BIKE, low, { ...BIKE, id: "c", kind: "locker" }]);
  expect([tally.total, tally.available]).toEqual([3, 2]);
  expect(tally.by_kind.bike).toEqual({ total: 2, available: 1 });
  expect(Object.values(tally.by_look).reduce((sum, count) => sum + count)).toBe(3);
});

test("the rate is the mean of whole seconds and forgets", () => {
  const rate = new Rate(10);
  for (let second = 0; second < 8; second += 1) rate.add(4, second * 1000 + 10);
  expect(rate.perSecond(8_000)).toBe(4);
  expect(rate.perSecond(30_000)).toBe(0);
  expect(rate.history(30_000)).toHaveLength(9);
});

test("the state of the connection is one honest word", () => {
  const say = (state: Partial<Conversation>, now_ms = 0): string => connectionOf({ ...START, ...state }, now_ms).words;
  const devices = new Map([["a", BIKE]]);
  expect(say({ phase: { name: "connecting", since_ms: 0 } })).toBe("Connecting");
  expect(say({ phase: { name: "connecting", since_ms: 0 }, attempt: 2 })).toBe("Reconnecting");
  expect(say({ phase: { name: "waiting", until_ms: 3_500 } }, 1_000)).toBe("Reconnecting in 3 s");
  expect(say({ phase: { name: "open" }, answered: true })).toBe("Live");
  expect(say({ phase: { name: "open" }, answered: false, devices }, 5_000)).toBe("Stale");
  expect(say({ phase: { name: "open" }, answered: true, stale: true })).toBe("Server is catching up");
  expect(say({ phase: { name: "paused" } })).toBe("Paused");
  expect(say({ phase: { name: "signed_out" }, devices })).toBe("Signed out");
});

test("words are for people", () => {
  expect(markerWords(1234567)).toBe("001 234 567");
  expect([0, 59_000, 61_000, 7_200_000, 3 * 86_400_000].map(ageWords)).toEqual(["now", "59 s", "1 min", "2 h", "3 d"]);
  expect(reasonWords("low_battery")).toBe("Battery is low");
  expect(reasonWords("brand_new_reason")).toBe("Brand new reason");
  expect(refusalWords("too_many_devices", "")).toContain("Zoom in");
});

test("a stray device does not shrink the city", () => {
  const city = Array.from({ length: 99 }, (_, at) => ({ ...BIKE, id: `b${at}`, lat: 1 + at / 1000, lon: 100 + at / 1000 }));
  const box = denseBox([...city, { ...BIKE, id: "stray", lat: 60, lon: -120 }]);
  expect(box?.[0]).toBeGreaterThan(99);
  expect(box?.[3]).toBeLessThan(2);
  expect(denseBox([])).toBeNull();
});

test("silence is a gap in a plot, not a guess", () => {
  const at = (...times: number[]): { at_ms: number }[] => times.map((at_ms) => ({ at_ms }));
  expect(runsOf(at(0, 1, 2, 50, 51), 10).map((run) => run.length)).toEqual([3, 2]);
});

test("a device answer is read, with what it does not know left out", () => {
  const state = parseDevice({ id: "x", kind: "locker", heard_at: "2026-01-01T00:00:00Z", slots: [{ number: 1, door_closed: false }, { number: 2, unit_id: "u" }, { number: 3, faults: ["jam"] }], availability: { available: true, reasons: [], units: 2, spaces: 1 } });
  expect(state.heard_at_ms).toBe(Date.UTC(2026, 0, 1));
  expect(state.lat).toBeNull();
  expect(state.slots.map(slotLook)).toEqual(["open", "occupied", "fault"]);
});
