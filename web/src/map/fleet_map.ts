/** The map itself: background, graticule, fleet layer, picking, and how often it is drawn. */

import {
  AttributionControl, Map as MapLibreMap, NavigationControl, ScaleControl, setWorkerUrl,
  type GeoJSONSource, type StyleSpecification,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import type { Box, MapDevice } from "../live/frames";
import { degreesWords, graticuleLines, graticuleOf } from "./graticule";
import { FleetLayer, markerSize } from "./fleet_layer";
import { toDegrees, toPlace } from "./mercator";
import { placeAt, Scene, TRAIL_S } from "./scene";
import { MAP_COLOURS, type Theme } from "./theme";
import { el } from "../dom";

setWorkerUrl(workerUrl);

/** Trails fade slowly: a few pictures a second show it. */
const TRAIL_PICTURE_MS = 250;
/** A machine that draws without a graphics card rests after each picture as long as the picture took. */
const REST_PER_PICTURE = 1;
const SLOW_PICTURE_MS = 26;
const WATCH_MARGIN = 0.06;
/** The zoom buttons and the scale take the lower right corner. */
const CONTROLS_PX = 150;
const SETTLE_MS = 160;
const LONGEST_UNSETTLED_MS = 700;

export interface View {
  readonly box: Box;
  readonly zoom: number;
}

export interface MapListener {
  onView(view: View): void;
  onPick(id: string | null): void;
  /** A person has taken the map in hand. */
  onTouched(): void;
  onPoint(device: MapDevice | null, x_px: number, y_px: number): void;
}

export class FleetMap {
  readonly scene = new Scene();
  private readonly map: MapLibreMap;
  private readonly layer: FleetLayer;
  private readonly labels = el("div", { class: "degrees", "aria-hidden": "true" });
  private drawTimer: number | undefined;
  private viewTimer: number | undefined;
  private unsettled_ms: number | null = null;
  private trails_until_s = 0;
  private loaded = false;
  private drawn_ms = 0;
  private rest_ms = 0;
  private cost_ms = 16;

  constructor(container: HTMLElement, theme: Theme, private readonly listener: MapListener) {
    this.scene.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.layer = new FleetLayer(this.scene, nowS, MAP_COLOURS[theme].palette);
    this.map = new MapLibreMap({
      container,
      style: plainStyle(theme),
      center: [0, 20],
      zoom: 1.6,
      minZoom: 1,
      maxZoom: 19.5,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: false,
      attributionControl: false,
      hash: true,
      fadeDuration: 0,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
    this.map.addControl(new ScaleControl({ maxWidth: 110 }), "bottom-right");
    this.map.addControl(new AttributionControl({ compact: false }), "bottom-right");
    container.append(this.labels);
    this.listen();
  }

  /** Where the map is now, with the small margin that lets a short pan find its devices already there. */
  view(): View {
    const bounds = this.map.getBounds();
    const wide = (bounds.getEast() - bounds.getWest()) * WATCH_MARGIN;
    const high = (bounds.getNorth() - bounds.getSouth()) * WATCH_MARGIN;
    const box: Box = [
      Math.max(-180, bounds.getWest() - wide), Math.max(-90, bounds.getSouth() - high),
      Math.min(180, bounds.getEast() + wide), Math.min(90, bounds.getNorth() + high),
    ];
    return { box, zoom: Math.round(this.map.getZoom() * 100) / 100 };
  }

  /** Follows the devices that the conversation holds. */
  show(devices: ReadonlyMap<string, MapDevice>, changed: "all" | readonly string[]): void {
    const now_s = nowS();
    this.scene.follow(devices, changed, now_s);
    this.trails_until_s = Math.max(this.trails_until_s, now_s + (this.scene.still ? 0 : TRAIL_S));
    this.layer.refresh();
  }

  select(id: string | null): void {
    this.layer.selected = id;
    this.layer.refresh();
  }

  flyTo(lat: number, lon: number, zoom: number): void {
    const target = { center: [lon, lat] as [number, number], zoom };
    if (this.scene.still || this.map.getZoom() < 5) this.map.jumpTo(target);
    else this.map.flyTo({ ...target, duration: 900 });
  }

  /** Shows the box in the part of the map that the panel leaves free. */
  fit(box: Box): void {
    const wide = this.map.getContainer().clientWidth > 900;
    const padding = { left: wide ? 356 : 30, right: 40, top: wide ? 40 : 150, bottom: 40 };
    this.map.fitBounds([[box[0], box[1]], [box[2], box[3]]], { padding, maxZoom: 15, animate: false });
  }

  zoomIn(): void {
    this.map.easeTo({ zoom: this.map.getZoom() + 2, duration: this.scene.still ? 0 : 500 });
  }

  setTheme(theme: Theme): void {
    const colours = MAP_COLOURS[theme];
    this.layer.palette = colours.palette;
    this.layer.refresh();
    this.whenLoaded(() => {
      this.map.setPaintProperty("ground", "background-color", colours.ground);
      this.map.setPaintProperty("lines", "line-color", lineColour(theme));
    });
  }

  /** Streets from openstreetmap.org, only when a person asks for them: the page needs no internet. */
  setTiles(shown: boolean): void {
    this.whenLoaded(() => {
      if (this.map.getLayer("streets") !== undefined) this.map.removeLayer("streets");
      if (this.map.getSource("streets") !== undefined) this.map.removeSource("streets");
      if (!shown) return;
      this.map.addSource("streets", {
        type: "raster",
        tiles: ["https://tile.openstreetmap.org/{z}/{x}/{y}.png"],
        tileSize: 256,
        maxzoom: 19,
        attribution: "© OpenStreetMap contributors",
      });
      const paint = { "raster-opacity": 0.55, "raster-saturation": -0.6 };
      this.map.addLayer({ id: "streets", type: "raster", source: "streets", paint }, "lines");
    });
  }

  /** Where a device is drawn right now, in degrees; null when it is not on the map. */
  drawnAt(id: string): { lat: number; lon: number } | null {
    const actor = this.scene.actors.get(id);
    return actor === undefined || actor.gone_s !== Infinity ? null : toDegrees(placeAt(actor, nowS()));
  }

  /** Where a device is drawn right now, in CSS pixels of the map; null when it is not on the map. */
  pixelOf(id: string): { x: number; y: number } | null {
    const at = this.drawnAt(id);
    return at === null ? null : this.map.project([at.lon, at.lat]);
  }

  private listen(): void {
    const { map } = this;
    // Not `load`, which comes once: a style that is made anew has lost what was added by hand.
    map.on("style.load", () => {
      this.loaded = true;
      map.addLayer(this.layer);
      this.redrawLines();
    });
    map.on("webglcontextlost", () => this.loaded = false);
    map.on("load", () => this.viewSettled());
    map.on("move", () => this.viewMoved());
    map.on("moveend", () => this.redrawLines());
    map.on("resize", () => this.viewMoved());
    map.on("render", () => this.drawn());
    map.on("movestart", (event) => {
      if ("originalEvent" in event && event.originalEvent !== undefined) this.listener.onTouched();
    });
    // The move that a wheel begins names no event of a person.
    map.on("wheel", () => this.listener.onTouched());
    map.on("click", (event) => this.listener.onPick(this.nearest(event.point.x, event.point.y)?.id ?? null));
    map.on("mousemove", (event) => {
      const device = this.nearest(event.point.x, event.point.y);
      map.getCanvas().style.cursor = device === null ? "" : "pointer";
      this.listener.onPoint(device, event.point.x, event.point.y);
    });
    map.on("mouseout", () => this.listener.onPoint(null, 0, 0));
    map.on("movestart", () => this.listener.onPoint(null, 0, 0));
  }

  private whenLoaded(act: () => void): void {
    if (this.loaded) act();
    else this.map.once("style.load", act);
  }

  private viewMoved(): void {
    this.placeLabels();
    const now_ms = performance.now();
    this.unsettled_ms ??= now_ms;
    clearTimeout(this.viewTimer);
    const left_ms = this.unsettled_ms + LONGEST_UNSETTLED_MS - now_ms;
    this.viewTimer = window.setTimeout(() => this.viewSettled(), Math.max(0, Math.min(SETTLE_MS, left_ms)));
  }

  private viewSettled(): void {
    this.unsettled_ms = null;
    this.listener.onView(this.view());
  }

  /** Asks for the next picture while something moves, and lets a slow machine rest in between. */
  private drawn(): void {
    const now_ms = performance.now();
    const cost_ms = now_ms - this.drawn_ms - this.rest_ms;
    // Only pictures that followed each other tell what one costs.
    if (cost_ms < 500) this.cost_ms += (cost_ms - this.cost_ms) * 0.1;
    this.drawn_ms = now_ms;
    this.rest_ms = 0;
    clearTimeout(this.drawTimer);
    const now_s = nowS();
    const busy = this.scene.goOn(now_s);
    if (!busy && this.trails_until_s < now_s) return;
    const rest_ms = busy ? (this.cost_ms > SLOW_PICTURE_MS ? this.cost_ms * REST_PER_PICTURE : 0) : TRAIL_PICTURE_MS;
    if (rest_ms === 0) {
      this.map.triggerRepaint();
      return;
    }
    this.rest_ms = rest_ms;
    this.drawTimer = window.setTimeout(() => this.map.triggerRepaint(), rest_ms);
  }

  private nearest(x_px: number, y_px: number): MapDevice | null {
    const reach_px = Math.max(12, markerSize(this.map.getZoom()) * 0.7);
    const world_px = 512 * 2 ** this.map.getZoom();
    const at = this.map.unproject([x_px, y_px]);
    const point = toPlace(at.lat, at.lng);
    const now_s = nowS();
    let best: MapDevice | null = null;
    let best_px = reach_px;
    for (const actor of this.scene.actors.values()) {
      if (actor.gone_s !== Infinity) continue;
      const place = placeAt(actor, now_s);
      const away_px = Math.hypot(place.x - point.x, place.y - point.y) * world_px;
      if (away_px < best_px) [best, best_px] = [actor.device, away_px];
    }
    return best;
  }

  private redrawLines(): void {
    const bounds = this.map.getBounds();
    const box: Box = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    void this.map.getSource<GeoJSONSource>("graticule")?.setData(graticuleLines(box));
    this.placeLabels();
  }

  private placeLabels(): void {
    const bounds = this.map.getBounds();
    const centre = this.map.getCenter();
    const high_px = this.map.getContainer().clientHeight;
    const { lons, lats, spacing_deg } = graticuleOf([
      bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth(),
    ]);
    this.labels.replaceChildren(
      ...lons.map((lon) => {
        const x_px = this.map.project([lon, centre.lat]).x;
        const text = degreesWords(lon, spacing_deg, "E", "W");
        return el("span", { class: "lon", style: `transform:translateX(${x_px.toFixed(1)}px)` }, text);
      }),
      ...lats.flatMap((lat) => {
        const y_px = this.map.project([centre.lng, lat]).y;
        if (y_px > high_px - CONTROLS_PX) return [];
        const text = degreesWords(lat, spacing_deg, "N", "S");
        return [el("span", { class: "lat", style: `transform:translateY(${y_px.toFixed(1)}px)` }, text)];
      }),
    );
  }
}

/** Whether this browser can draw the map at all. */
export function canDraw(): boolean {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

function nowS(): number {
  return performance.now() / 1000;
}

function plainStyle(theme: Theme): StyleSpecification {
  return {
    version: 8,
    sources: { graticule: { type: "geojson", data: { type: "FeatureCollection", features: [] } } },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": MAP_COLOURS[theme].ground } },
      { id: "lines", type: "line", source: "graticule", paint: { "line-color": lineColour(theme), "line-width": 1 } },
    ],
  };
}

function lineColour(theme: Theme): ["case", ["get", string], string, string] {
  return ["case", ["get", "strong"], MAP_COLOURS[theme].strong_line, MAP_COLOURS[theme].line];
}
