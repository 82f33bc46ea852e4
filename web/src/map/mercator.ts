/** Web mercator: degrees to the unit square and back. */

export interface Place {
  /** 0 at 180° west, 1 at 180° east. */
  readonly x: number;
  /** 0 at the top of the square map, 1 at its bottom. */
  readonly y: number;
}

const HIGHEST_LAT = 85.051129;

export function toPlace(lat: number, lon: number): Place {
  const bounded = Math.max(-HIGHEST_LAT, Math.min(HIGHEST_LAT, lat));
  const sine = Math.sin((bounded * Math.PI) / 180);
  return { x: lon / 360 + 0.5, y: 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI) };
}

export function toDegrees(place: Place): { lat: number; lon: number } {
  const lat = (360 / Math.PI) * Math.atan(Math.exp((0.5 - place.y) * 2 * Math.PI)) - 90;
  return { lat, lon: (place.x - 0.5) * 360 };
}
