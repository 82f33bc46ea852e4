import { expect, test } from "vitest";
import type { MapDevice } from "../live/frames";
import { FADE_S, Scene, TRAIL_S } from "./scene";
import { pushTrail, TRAIL_FLOATS } from "./trail";

function bike(id: string, lat: number): MapDevice {
  return { id, kind: "bike", lat, lon: 103, marker: 1, available: true, reasons: [], battery_pct: 50, units: 1, spaces: 0, at: 1 };
}

function show(scene: Scene, devices: MapDevice[], now_s: number): void {
  scene.follow(new Map(devices.map((each) => [each.id, each])), "all", now_s);
}

/** How many pieces of trails are drawn. */
function pieces(scene: Scene, now_s: number): number {
  const lines: number[] = [];
  for (const actor of scene.actors.values()) pushTrail(lines, actor, { x: 0, y: 0 }, now_s);
  expect(lines.length % TRAIL_FLOATS).toBe(0);
  return lines.length / TRAIL_FLOATS;
}

test("a bike draws a trail, which fades", () => {
  const scene = new Scene();
  for (const at of [0, 1, 2]) show(scene, [bike("a", 1 + at / 10_000)], 10 + at);
  expect(pieces(scene, 12)).toBe(2);
  expect(pieces(scene, 20 + TRAIL_S)).toBe(0);
});

test("the trail of a public id does not lead to the next one of the same bike", () => {
  const scene = new Scene();
  show(scene, [bike("old", 1)], 10);
  show(scene, [bike("old", 1.0001)], 11);
  expect(pieces(scene, 11)).toBe(1);
  show(scene, [bike("new", 1.0001)], 12);
  expect(scene.actors.has("old")).toBe(true);
  expect(pieces(scene, 12)).toBe(0);
});

test("who left is forgotten though others are still on their way", () => {
  const scene = new Scene();
  show(scene, [bike("a", 1), bike("b", 1)], 10);
  show(scene, [bike("a", 1.0001)], 16);
  const faded_s = 16 + FADE_S + 0.01;
  expect(scene.goOn(faded_s)).toBe(true);
  expect([...scene.actors.keys()]).toEqual(["a"]);
  expect(scene.goOn(30)).toBe(false);
});
