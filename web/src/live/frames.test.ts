import { expect, test } from "vitest";
import { backoffMs } from "./backoff";
import { asDevice, parseFrame } from "./frames";

const DEVICE = { id: "p1", marker: 123456789, kind: "bike", lat: 1, lon: 2, available: false, reasons: [{ reason: "fault", since: 5 }], battery_pct: null, units: 0, spaces: 0, at: 9 };

test("frames of the protocol are understood", () => {
  const text = JSON.stringify({ type: "snapshot", id: 3, cursor: "c", devices: [DEVICE], count: 1, more: true, stale: true });
  expect(parseFrame(text)).toEqual({ type: "snapshot", id: 3, devices: [DEVICE], count: 1, more: true, stale: true });
  expect(parseFrame('{"type":"refused","id":null,"reason":"bad_frame","detail":"d"}')).toEqual({ type: "refused", id: null, reason: "bad_frame", detail: "d" });
});

test.each(["", "{", "[]", "null", "7", '{"type":"later_invention"}', "\u0000"])("%j is no frame and no exception", (text) => {
  expect(parseFrame(text)).toBeNull();
});

test("a device without a place or of an unknown kind is left out", () => {
  expect(asDevice({ ...DEVICE, lat: "1" })).toBeNull();
  expect(asDevice({ ...DEVICE, kind: "boat" })).toBeNull();
  expect(asDevice({ ...DEVICE, later: "field" })).toEqual(DEVICE);
});

test("waiting grows, is bounded, and is spread over the whole range", () => {
  expect(backoffMs(1, 0.999)).toBeLessThanOrEqual(1_000);
  expect(backoffMs(50, 0.999)).toBeLessThanOrEqual(15_000);
  expect(backoffMs(50, 0)).toBeGreaterThan(0);
  expect(backoffMs(6, 0.1)).toBeLessThan(backoffMs(6, 0.9));
});
