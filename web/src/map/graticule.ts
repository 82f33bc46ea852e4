/** Lines of latitude and longitude for a view, at a spacing a person can count in. */

import type { Feature, FeatureCollection } from "geojson";
import type { Box } from "../live/frames";

const SPACINGS_DEG = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
/** About this many lines fit the width of a view without becoming the picture. */
const LINES_ACROSS = 9;

export interface Graticule {
  readonly spacing_deg: number;
  readonly lons: readonly number[];
  readonly lats: readonly number[];
}

export function graticuleOf(box: Box): Graticule {
  const [west, south, east, north] = box;
  const wanted_deg = Math.max(east - west, 1e-6) / LINES_ACROSS;
  const spacing_deg = SPACINGS_DEG.findLast((spacing) => spacing >= wanted_deg) ?? 30;
  return { spacing_deg, lons: multiples(west, east, spacing_deg), lats: multiples(south, north, spacing_deg) };
}

/** The lines as GeoJSON, long enough that a pan finds them already drawn; every fifth is `strong`. */
export function graticuleLines(box: Box): FeatureCollection {
  const [west, south, east, north] = box;
  const wide = east - west;
  const high = north - south;
  const around: Box = [west - wide, Math.max(-85, south - high), east + wide, Math.min(85, north + high)];
  const { spacing_deg } = graticuleOf(box);
  const lons = multiples(around[0], around[2], spacing_deg);
  const lats = multiples(around[1], around[3], spacing_deg);
  const line = (at: number, coordinates: [number, number][]): Feature => ({
    type: "Feature",
    properties: { strong: Math.round(at / spacing_deg) % 5 === 0 },
    geometry: { type: "LineString", coordinates },
  });
  return {
    type: "FeatureCollection",
    features: [
      ...lons.map((lon) => line(lon, [[lon, around[1]], [lon, around[3]]])),
      ...lats.map((lat) => line(lat, [[around[0], lat], [around[2], lat]])),
    ],
  };
}

/** "1.305° N"; as many decimals as the spacing needs. */
export function degreesWords(value: number, spacing_deg: number, positive: string, negative: string): string {
  const decimals = Math.max(0, Math.ceil(-Math.log10(spacing_deg) - 1e-9));
  const side = value === 0 ? "" : value > 0 ? ` ${positive}` : ` ${negative}`;
  return `${Math.abs(value).toFixed(decimals)}°${side}`;
}

function multiples(from: number, to: number, spacing: number): number[] {
  const found: number[] = [];
  for (let step = Math.ceil(from / spacing); step * spacing <= to; step += 1) {
    found.push(Number((step * spacing).toFixed(6)));
  }
  return found;
}
