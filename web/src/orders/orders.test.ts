import { describe, expect, it } from "vitest";

import { parseCommand, parseTimeline, wishesFor } from "./order";
import { lineWords, phaseTone, phaseWords, wishWords } from "./order_words";

describe("what can be asked of a device", () => {
  it("is one thing a person means by its kind", () => {
    expect(wishesFor({ kind: "bike" }, 0).map(wishWords)).toEqual(["Unlock", "Make it ring"]);
    expect(wishesFor({ kind: "cabinet" }, 3).map(wishWords)).toEqual(["Eject from slot 3"]);
    expect(wishesFor({ kind: "locker" }, 7).map(wishWords)).toEqual(["Open compartment 7"]);
  });

  it("is nothing physical where no slot was picked", () => {
    expect(wishesFor({ kind: "cabinet" }, 0).map((wish) => wish.kind)).toEqual(["locate"]);
  });
});

describe("the story of an order", () => {
  it("is read line by line, whatever else the server says", () => {
    const lines = parseTimeline({ lines: [{ after_ms: 12, what: "device_ack", phase: "executed", detail: { result: "executed" }, more: 1 }] });
    expect(lines).toHaveLength(1);
    expect(lines.map(lineWords)).toEqual(["The device answers: executed"]);
  });

  it("leaves what only programs read to them", () => {
    const line = (what: string, detail: Record<string, string>): string => lineWords({ after_ms: 1, what, phase: "sent", detail });
    expect(line("published", { copy: "1" })).toBe("Sent to the device");
    expect(line("published_again", { copy: "2" })).toBe("Sent again: copy 2");
    expect(line("evidence", { seq: "7", why: "openings_rose", made_ms: "1795310306652" })).toBe("Its sensors say: openings rose");
    expect(line("broker_ack", { reason: "success" })).toBe("The broker has it");
  });

  it("survives an answer that is none", () => {
    expect(parseTimeline(null)).toEqual([]);
    expect(parseTimeline({ lines: [7] })).toHaveLength(1);
    expect(parseCommand("no")).toEqual({ id: "", kind: "", phase: "", settled: false, reason: "" });
  });

  it("never calls silence a failure", () => {
    const silent = parseCommand({ id: "1", phase: "unconfirmed", settled: false, reason: "" });
    expect(phaseWords(silent)).toContain("may have opened");
    expect(phaseTone("unconfirmed")).toBe("bad");
    expect(phaseTone("sent")).toBe("open");
  });

  it("claims no sensor for what none shows", () => {
    const ended = (kind: string, phase: string): string => phaseWords(parseCommand({ id: "1", kind, phase, settled: true, reason: "" }));
    expect(ended("unlock", "confirmed")).toBe("Done, and its sensors confirm it.");
    expect(ended("locate", "confirmed")).toBe("Done, the device says so.");
    expect(ended("locate", "failed")).not.toContain("open");
    expect(ended("locate", "unconfirmed")).not.toContain("open");
    expect(ended("locate", "refused")).toBe("The device refused.");
  });

  it("gives the device's reason", () => {
    expect(phaseWords(parseCommand({ id: "1", phase: "refused", settled: true, reason: "old_fence" }))).toBe("The device refused. (old fence)");
  });
});
