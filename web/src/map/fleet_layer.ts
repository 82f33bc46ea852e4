/** The WebGL layer that draws the scene: two programs, buffers refilled only when the scene changed. */

import type { CustomLayerInterface, Map as MapLibreMap } from "maplibre-gl";
import { KINDS } from "../live/frames";
import { Batch, type Rgb } from "./batch";
import { glyphAtlas } from "./glyphs";
import { LOOKS, type Look } from "./look";
import { toPlace, type Place } from "./mercator";
import { FADE_S, TRAIL_S, type Actor, type Scene } from "./scene";
import { MARKER_FRAGMENT, MARKER_VERTEX, TRAIL_FRAGMENT, TRAIL_VERTEX } from "./shaders";
import { pushTrail, TRAIL_FLOATS } from "./trail";

export interface Palette {
  readonly looks: Readonly<Record<Look, Rgb>>;
  readonly rim: Rgb;
  readonly ink: Rgb;
  readonly shadow: number;
  readonly trail: number;
}

const MARKER_FLOATS = 12;
const NEVER_S = 1e9;
/** Who lies on top where markers touch: what staff looks for above what is only there. */
const ORDER: Readonly<Record<Look, number>> = { offline: 0, busy: 1, available: 2, low: 3, riding: 4, fault: 5 };

export class FleetLayer implements CustomLayerInterface {
  readonly id = "fleet";
  readonly type = "custom" as const;
  selected: string | null = null;
  private map: MapLibreMap | null = null;
  private markers: Batch | null = null;
  private trails: Batch | null = null;
  private anchor: Place = { x: 0.5, y: 0.5 };
  private dirty = true;

  constructor(
    private readonly scene: Scene,
    private readonly now_s: () => number,
    public palette: Palette,
  ) {}

  /** The scene, the selection or the palette changed. */
  refresh(): void {
    this.dirty = true;
    this.map?.triggerRepaint();
  }

  onAdd(map: MapLibreMap, gl: WebGL2RenderingContext): void {
    this.map = map;
    this.markers = new Batch(gl, MARKER_VERTEX, MARKER_FRAGMENT, MARKER_FLOATS, [
      ["a_path", 4], ["a_glide_s", 2], ["a_life_s", 2], ["a_dress", 4],
    ], false);
    this.trails = new Batch(gl, TRAIL_VERTEX, TRAIL_FRAGMENT, TRAIL_FLOATS, [
      ["a_tail", 2], ["a_path", 4], ["a_glide_s", 2], ["a_age_s", 2], ["a_look", 1],
    ], true);
    this.markers.texture(glyphAtlas());
    this.dirty = true;
  }

  render(gl: WebGL2RenderingContext): void {
    const { map, markers, trails } = this;
    if (map === null || markers === null || trails === null) return;
    if (this.dirty) this.fill(map, markers, trails);
    const zoom = map.getZoom();
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.disable(gl.CULL_FACE);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.begin(trails, map);
    trails.set1("u_width_px", Math.max(1.2, Math.min(4, (zoom - 9) * 0.55)));
    trails.set1("u_trail_s", TRAIL_S);
    trails.set1("u_strength", this.palette.trail);
    trails.draw();
    const size_px = markerSize(zoom);
    this.begin(markers, map);
    markers.set1("u_size_px", size_px);
    markers.set1("u_ratio", window.devicePixelRatio);
    markers.set1("u_fade_s", FADE_S);
    markers.set1("u_shadow", size_px > 8 ? this.palette.shadow : 0);
    markers.set3("u_rim", this.palette.rim);
    markers.set3("u_ink", this.palette.ink);
    markers.draw();
    gl.bindVertexArray(null);
  }

  private begin(batch: Batch, map: MapLibreMap): void {
    const centre = map.getCenter();
    const middle = toPlace(centre.lat, centre.lng);
    const canvas = map.getCanvas();
    batch.use();
    batch.set2("u_shift", [this.anchor.x - middle.x, this.anchor.y - middle.y]);
    batch.set1("u_world_px", 512 * 2 ** map.getZoom());
    batch.set2("u_view_px", [canvas.clientWidth, canvas.clientHeight]);
    batch.set1("u_now_s", this.now_s());
    batch.setLooks(LOOKS.flatMap((look) => [...this.palette.looks[look]]));
  }

  private fill(map: MapLibreMap, markers: Batch, trails: Batch): void {
    this.dirty = false;
    const centre = map.getCenter();
    this.anchor = toPlace(centre.lat, centre.lng);
    const actors = [...this.scene.actors.values()];
    actors.sort((one, other) => this.height(one) - this.height(other));
    const marks = new Float32Array(actors.length * MARKER_FLOATS);
    const lines: number[] = [];
    const now_s = this.now_s();
    actors.forEach((actor, at) => {
      marks.set(this.marker(actor), at * MARKER_FLOATS);
      pushTrail(lines, actor, this.anchor, now_s);
    });
    markers.upload(marks);
    trails.upload(new Float32Array(lines));
  }

  private height(actor: Actor): number {
    return actor.device.id === this.selected ? 99 : ORDER[actor.look] + (actor.device.kind === "bike" ? 0 : 0.5);
  }

  private marker(actor: Actor): number[] {
    const { from, to, device } = actor;
    return [
      from.x - this.anchor.x, from.y - this.anchor.y, to.x - this.anchor.x, to.y - this.anchor.y,
      actor.glide_start_s, actor.glide_end_s, actor.born_s, Math.min(actor.gone_s, NEVER_S),
      KINDS.indexOf(device.kind), LOOKS.indexOf(actor.look), actor.level, device.id === this.selected ? 1 : 0,
    ];
  }
}

/** Diameter of a marker in CSS pixels: a grain in a city, a badge in a street. */
export function markerSize(zoom: number): number {
  const steps: readonly (readonly [number, number])[] = [[9, 3], [11, 4.4], [12, 5.6], [13, 7.6], [14, 13], [15, 19], [16, 25], [18, 32]];
  let [low_zoom, low_px] = steps[0] ?? [9, 3];
  for (const [high_zoom, high_px] of steps) {
    if (zoom <= high_zoom) {
      const part = high_zoom === low_zoom ? 1 : Math.max(0, (zoom - low_zoom) / (high_zoom - low_zoom));
      return low_px + (high_px - low_px) * part;
    }
    [low_zoom, low_px] = [high_zoom, high_px];
  }
  return low_px;
}
