import { expect, test } from "vitest";
import { SignedIn, tokenIn } from "./token";

test("a token stands alone in the fragment, or beside a place", () => {
  expect(tokenIn("#token=a.b.c")).toEqual({ token: "a.b.c", rest: "" });
  expect(tokenIn("#15/31.2/121.4&token=a%2Bb")).toEqual({ token: "a+b", rest: "#15/31.2/121.4" });
  expect(tokenIn("#15/31.2/121.4")).toEqual({ token: "", rest: "#15/31.2/121.4" });
  expect(tokenIn("")).toEqual({ token: "", rest: "" });
  expect(tokenIn("#15/31.2/121.4&token=%")).toEqual({ token: "", rest: "#15/31.2/121.4" });
});

test("a token leaves the address for the tab's own memory", () => {
  const memory = new Map<string, string>();
  const signed = new SignedIn({
    getItem: (name) => memory.get(name) ?? null,
    setItem: (name, value) => void memory.set(name, value),
    removeItem: (name) => void memory.delete(name),
  });
  let shown = "";
  const place = { hash: "#15/1/2&token=abc", pathname: "/", search: "?theme=dark" } as Location;
  const past = { state: null, replaceState: (_: unknown, __: string, url: string) => void (shown = url) } as unknown as History;
  expect(signed.takeFrom(place, past)).toBe(true);
  expect(signed.token).toBe("abc");
  expect(shown).toBe("/?theme=dark#15/1/2");
  signed.forget();
  expect(signed.token).toBe("");
});
