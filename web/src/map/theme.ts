/** The two colour schemes of the map; the page's own colours are in page.css. */

import type { Rgb } from "./batch";
import type { Palette } from "./fleet_layer";

export type Theme = "dark" | "light";

export interface MapColours {
  readonly ground: string;
  readonly line: string;
  readonly strong_line: string;
  readonly palette: Palette;
}

export const MAP_COLOURS: Readonly<Record<Theme, MapColours>> = {
  dark: {
    ground: "#0c1219",
    line: "#141d28",
    strong_line: "#1c2836",
    palette: {
      looks: {
        available: rgb("#34d8a4"),
        riding: rgb("#53aeff"),
        low: rgb("#ffbe45"),
        busy: rgb("#b197fc"),
        fault: rgb("#ff6464"),
        offline: rgb("#748094"),
      },
      rim: rgb("#0c1219"),
      ink: rgb("#08121a"),
      shadow: 0.35,
      trail: 0.6,
    },
  },
  light: {
    ground: "#eef1f4",
    line: "#e3e8ed",
    strong_line: "#d5dce4",
    palette: {
      looks: {
        available: rgb("#0b9468"),
        riding: rgb("#1d72d2"),
        low: rgb("#c98200"),
        busy: rgb("#7c58d8"),
        fault: rgb("#d43a3a"),
        offline: rgb("#7b8697"),
      },
      rim: rgb("#ffffff"),
      ink: rgb("#ffffff"),
      shadow: 0.22,
      trail: 0.5,
    },
  },
};

function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}
