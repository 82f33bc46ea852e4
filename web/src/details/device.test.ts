import { expect, test } from "vitest";
import { reportedAt } from "./device";

test("a device reported when the newer of two answers says", () => {
  // It stands still: the map was told of nothing since.
  expect(reportedAt({ at: 1_000 }, { at_ms: 30_000 })).toBe(30_000);
  // It moves: the map heard of it after the card had asked.
  expect(reportedAt({ at: 31_000 }, { at_ms: 30_000 })).toBe(31_000);
  expect(reportedAt({ at: 1_000 }, null)).toBe(1_000);
  expect(reportedAt({ at: 1_000 }, { at_ms: null })).toBe(1_000);
});
