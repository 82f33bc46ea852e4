import { expect, test } from "vitest";
import type { MapDevice } from "../live/frames";
import { graticuleOf, degreesWords } from "./graticule";
import { levelOf, lookOf } from "./look";
import { toDegrees, toPlace } from "./mercator";
import { FADE_S, placeAt, Scene } from "./scene";

function device(id: string, lat: number, more: Partial<MapDevice> = {}): MapDevice {
  return { id, kind: "bike", lat, lon: 103, marker: 1, available: true, reasons: [], battery_pct: 50, units: 1, spaces: 0, at: 1, ...more };
}

function show(scene: Scene, devices: MapDevice[], now_s: number): void {
  scene.follow(new Map(devices.map((each) => [each.id, each])), "all", now_s);
}

test("a device glides from where it is drawn to where it was reported", () => {
  const scene = new Scene();
  show(scene, [device("a", 1)], 10);
  show(scene, [device("a", 1.001)], 12);
  const actor = scene.actors.get("a");
  if (actor === undefined) throw new Error("gone");
  expect(toDegrees(placeAt(actor, 12)).lat).toBeCloseTo(1, 9);
  const middle = toDegrees(placeAt(actor, 13)).lat;
  expect(middle).toBeGreaterThan(1);
  expect(middle).toBeLessThan(1.001);
  expect(toDegrees(placeAt(actor, 20)).lat).toBeCloseTo(1.001, 9);
  expect(actor.trail).toHaveLength(1);
});

test("a device set down far away jumps there, without a trail across the city", () => {
  const scene = new Scene();
  show(scene, [device("a", 1)], 10);
  show(scene, [device("a", 2)], 11);
  const actor = scene.actors.get("a");
  expect(actor && toDegrees(placeAt(actor, 11)).lat).toBeCloseTo(2, 9);
  expect(actor?.trail).toHaveLength(0);
});

test("who left fades out and is then forgotten; who comes back in time stays", () => {
  const scene = new Scene();
  show(scene, [device("a", 1), device("b", 1)], 10);
  show(scene, [], 11);
  show(scene, [device("b", 1)], 11.1);
  scene.sweep(11 + FADE_S + 0.01);
  expect([...scene.actors.keys()]).toEqual(["b"]);
  expect(scene.busyUntil()).toBeLessThan(12);
});

test("only named devices are touched by a small change", () => {
  const scene = new Scene();
  show(scene, [device("a", 1), device("b", 1)], 10);
  scene.follow(new Map([["a", device("a", 1.0001)]]), ["a"], 11);
  expect(scene.actors.get("b")?.gone_s).toBe(Infinity);
});

test("the reason staff must act on decides the look", () => {
  const held = (...names: string[]): MapDevice =>
    device("a", 1, { available: false, reasons: names.map((reason) => ({ reason, since: 1 })) });
  expect(lookOf(device("a", 1))).toBe("available");
  expect(lookOf(held("low_battery", "fault"))).toBe("fault");
  expect(lookOf(held("bolt_not_closed", "in_motion"))).toBe("riding");
  expect(lookOf(held("bolt_not_closed"))).toBe("busy");
  expect(lookOf(held("something_new"))).toBe("busy");
  expect(levelOf(device("a", 1, { kind: "cabinet", units: 3, spaces: 9 }))).toBe(0.25);
});

test("mercator goes there and back, and its lines are countable", () => {
  for (const [lat, lon] of [[0, 0], [1.3, 103.85], [-54.8, -68.3], [78.2, 15.6]] as const) {
    const back = toDegrees(toPlace(lat, lon));
    expect(back.lat).toBeCloseTo(lat, 9);
    expect(back.lon).toBeCloseTo(lon, 9);
  }
  expect(graticuleOf([103.8, 1.2, 103.9, 1.3]).spacing_deg).toBe(0.02);
  expect(graticuleOf([-180, -80, 180, 80]).spacing_deg).toBe(30);
  expect(degreesWords(-1.3, 0.02, "N", "S")).toBe("1.30° S");
});
