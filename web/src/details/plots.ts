/** Two small plots drawn as SVG: a line over time and a trace over the ground. */

import { svg } from "../dom";
import { toPlace } from "../map/mercator";
import type { HistoryPoint } from "./device";

const WIDE = 320;
const HIGH = 96;
const LEFT = 34;
const BOTTOM = 18;
const TOP = 8;
/** A longer silence than this share of the range is a gap in the line, not a straight guess. */
const GAP_SHARE = 0.2;

export interface LinePlot {
  readonly values: readonly { readonly at_ms: number; readonly value: number }[];
  readonly from_ms: number;
  readonly to_ms: number;
  readonly top: number;
  readonly unit: string;
  readonly label: string;
}

export function linePlot(plot: LinePlot): SVGElement {
  const { values, from_ms, to_ms, top } = plot;
  const x = (at_ms: number): number => LEFT + ((WIDE - LEFT - 4) * (at_ms - from_ms)) / Math.max(1, to_ms - from_ms);
  const y = (value: number): number => HIGH - BOTTOM - ((HIGH - BOTTOM - TOP) * value) / top;
  const drawn = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot", role: "img", "aria-label": plot.label });
  for (const part of [0, 0.5, 1]) {
    const at = y(top * part);
    drawn.append(
      svg("line", { x1: LEFT, x2: WIDE - 4, y1: at, y2: at, class: "grid" }),
      svg("text", { x: LEFT - 6, y: at + 3.5, class: "tick end" }, `${Math.round(top * part)}${plot.unit}`),
    );
  }
  for (const part of [0, 0.5, 1]) {
    const at_ms = from_ms + (to_ms - from_ms) * part;
    const side = part === 0 ? "start" : part === 1 ? "end" : "middle";
    drawn.append(svg("text", { x: x(at_ms), y: HIGH - 4, class: `tick ${side}` }, clockWords(at_ms, to_ms - from_ms)));
  }
  for (const run of runsOf(values, (to_ms - from_ms) * GAP_SHARE)) {
    const line = run.map(({ at_ms, value }) => `${x(at_ms).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    const first = run[0];
    const last = run.at(-1);
    if (first === undefined || last === undefined || run.length < 2) continue;
    const area = `M${x(first.at_ms).toFixed(1)} ${y(0)}L${line}L${x(last.at_ms).toFixed(1)} ${y(0)}Z`;
    drawn.append(svg("path", { d: area, class: "area" }), svg("path", { d: `M${line}`, class: "line" }));
  }
  const newest = values.at(-1);
  if (newest !== undefined) drawn.append(svg("circle", { cx: x(newest.at_ms), cy: y(newest.value), r: 3, class: "dot" }));
  return drawn;
}

/** The way a device took, north up, with a scale; null when it did not leave its place. */
export function tracePlot(points: readonly HistoryPoint[]): { drawn: SVGElement; length_m: number } | null {
  const fixes = points.flatMap(({ lat, lon }) => (lat === null || lon === null ? [] : [{ lat, lon }]));
  const length_m = fixes.reduce((sum, fix, at) => sum + (at === 0 ? 0 : metres(fixes[at - 1] ?? fix, fix)), 0);
  const places = fixes.map(({ lat, lon }) => toPlace(lat, lon));
  const xs = places.map((place) => place.x);
  const ys = places.map((place) => place.y);
  const [left, right, up, down] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const middle = fixes[0];
  if (middle === undefined) return null;
  const metres_per_unit = 40_075_016 * Math.cos((middle.lat * Math.PI) / 180);
  if (Math.max(right - left, down - up) * metres_per_unit < 30) return null;
  const high = 120;
  const scale = Math.min((WIDE - 32) / Math.max(right - left, 1e-12), (high - 32) / Math.max(down - up, 1e-12));
  const x = (place: { x: number }): string => (WIDE / 2 + (place.x - (left + right) / 2) * scale).toFixed(1);
  const y = (place: { y: number }): string => (high / 2 + (place.y - (up + down) / 2) * scale).toFixed(1);
  const first = places[0];
  const last = places.at(-1);
  if (first === undefined || last === undefined) return null;
  const words = `Way of ${lengthWords(length_m)}`;
  const drawn = svg("svg", { viewBox: `0 0 ${WIDE} ${high}`, class: "plot trace", role: "img", "aria-label": words },
    svg("path", { d: `M${places.map((place) => `${x(place)} ${y(place)}`).join("L")}`, class: "line" }),
    svg("circle", { cx: x(first), cy: y(first), r: 3.5, class: "start" }),
    svg("circle", { cx: x(last), cy: y(last), r: 4.5, class: "dot" }));
  return { drawn, length_m };
}

export function lengthWords(length_m: number): string {
  return length_m < 950 ? `${Math.round(length_m / 10) * 10} m` : `${(length_m / 1000).toFixed(1)} km`;
}

/** Cuts a line where nothing was heard for longer than `gap_ms`. */
export function runsOf<Point extends { readonly at_ms: number }>(points: readonly Point[], gap_ms: number): Point[][] {
  const runs: Point[][] = [];
  let newest_ms = -Infinity;
  for (const point of points) {
    if (point.at_ms - newest_ms > gap_ms) runs.push([]);
    runs.at(-1)?.push(point);
    newest_ms = point.at_ms;
  }
  return runs;
}

function metres(one: { lat: number; lon: number }, other: { lat: number; lon: number }): number {
  const radian = Math.PI / 180;
  const north = (other.lat - one.lat) * radian;
  const east = (other.lon - one.lon) * radian * Math.cos(((one.lat + other.lat) / 2) * radian);
  return 6_371_009 * Math.hypot(north, east);
}

function clockWords(at_ms: number, span_ms: number): string {
  const at = new Date(at_ms);
  if (span_ms > 36 * 3_600_000) return at.toLocaleDateString("en", { day: "numeric", month: "short" });
  return at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
}
