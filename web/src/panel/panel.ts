/** The side panel: counters, rate, filters, legend and the nearest devices; it knows no socket and no map. */

import { byId, el, say, svg } from "../dom";
import { KINDS, type Kind, type MapDevice } from "../live/frames";
import { LOOKS, LOOK_WORDS, lookOf } from "../map/look";
import { countWords, deviceTitle, KIND_WORDS } from "../words/words";
import type { Tally } from "./tally";

export interface Filter {
  readonly kinds: readonly Kind[];
  readonly availability: "available" | "any";
  readonly min_battery_pct: number;
}

export interface PanelListener {
  onFilter(filter: Filter): void;
  onTiles(shown: boolean): void;
  onTheme(): void;
  onPick(device: MapDevice): void;
}

const KIND_GLYPHS: Readonly<Record<Kind, string>> = {
  bike: "M6.2 11.6a3.9 3.9 0 1 0 0 7.8 3.9 3.9 0 0 0 0-7.8m11.6 0a3.9 3.9 0 1 0 0 7.8 3.9 3.9 0 0 0 0-7.8M6.2 15.5l3.4-6.9h5.6l-3.6 6.9H6.2m11.6 0L14.6 6.2h2.3M8.2 6.6h2.6M9.6 8.6l2 6.9",
  cabinet: "M5 3.5h14v17H5zM12.8 6.5l-4 6h3l-.8 5 4.2-6.4h-3z",
  locker: "M4.6 4.4h14.8v15.2H4.6zM12 4.4v15.2M4.6 12h14.8M9.4 8v.8M16.8 8v.8M9.4 15.2v.8M16.8 15.2v.8",
};

export class Panel {
  private readonly rows = new Map<Kind, { box: HTMLInputElement; count: HTMLElement; bar: HTMLElement }>();
  private readonly shares = new Map<string, HTMLElement>();
  private readonly legend = new Map<string, HTMLElement>();
  private filterTimer: number | undefined;

  constructor(private readonly listener: PanelListener) {
    this.buildKinds();
    this.buildLegend();
    const battery = byId<HTMLInputElement>("battery");
    battery.addEventListener("input", () => {
      say(byId("battery-out"), `${battery.value} %`);
      this.filterChanged();
    });
    byId("any").addEventListener("change", () => this.filterChanged());
    const tiles = byId<HTMLInputElement>("tiles");
    tiles.addEventListener("change", () => this.listener.onTiles(tiles.checked));
    byId("theme").addEventListener("click", () => this.listener.onTheme());
    byId("fold").addEventListener("click", () => this.fold(!byId("panel").classList.contains("folded")));
    // On a phone the map comes first.
    this.fold(matchMedia("(max-width: 640px)").matches);
  }

  filter(): Filter {
    return {
      kinds: KINDS.filter((kind) => this.rows.get(kind)?.box.checked ?? true),
      availability: byId<HTMLInputElement>("any").checked ? "any" : "available",
      min_battery_pct: Number(byId<HTMLInputElement>("battery").value),
    };
  }

  setTiles(shown: boolean): void {
    byId<HTMLInputElement>("tiles").checked = shown;
  }

  showTally(tally: Tally): void {
    say(byId("total"), countWords(tally.total));
    say(byId("available"), countWords(tally.available));
    for (const kind of KINDS) {
      const row = this.rows.get(kind);
      const { total, available } = tally.by_kind[kind];
      if (row === undefined) continue;
      say(row.count, `${countWords(available)} of ${countWords(total)}`);
      row.bar.style.width = `${total === 0 ? 0 : (100 * available) / total}%`;
    }
    for (const look of LOOKS) {
      const share = this.shares.get(look);
      const count = this.legend.get(look);
      if (share !== undefined) share.style.flexGrow = String(tally.by_look[look]);
      if (count !== undefined) say(count, countWords(tally.by_look[look]));
    }
    const words = LOOKS.map((look) => `${LOOK_WORDS[look]} ${tally.by_look[look]}`).join(", ");
    byId("share").setAttribute("aria-label", words);
  }

  showRate(per_second: number, history: readonly number[]): void {
    say(byId("rate"), per_second >= 100 ? countWords(Math.round(per_second)) : per_second.toFixed(1));
    const top = Math.max(4, ...history);
    const step = 100 / Math.max(1, history.length - 1);
    const line = history.map((count, at) => `${(at * step).toFixed(1)} ${(26 - (24 * count) / top).toFixed(1)}`).join("L");
    byId("pulse").replaceChildren(
      svg("path", { d: `M0 28L${line}L100 28Z`, class: "area" }),
      svg("path", { d: `M${line}`, class: "line", "vector-effect": "non-scaling-stroke" }),
    );
  }

  showNearest(devices: readonly MapDevice[]): void {
    const list = byId("near");
    // Replacing a focused button would throw a keyboard user out of the list.
    if (list.contains(document.activeElement)) return;
    list.replaceChildren(...devices.map((device) => {
      const look = lookOf(device);
      const battery = device.battery_pct === null ? "" : `${device.battery_pct} %`;
      return el("li", {}, el("button", { type: "button", onclick: () => this.listener.onPick(device) },
        el("i", { class: `look ${look}`, "aria-hidden": "true" }),
        el("span", {}, deviceTitle(device)), el("small", {}, battery || LOOK_WORDS[look])));
    }));
    if (devices.length === 0) list.replaceChildren(el("li", { class: "none" }, "No device in this view."));
  }

  private fold(folded: boolean): void {
    byId("panel").classList.toggle("folded", folded);
    byId("fold").setAttribute("aria-expanded", String(!folded));
    byId("fold").setAttribute("aria-label", folded ? "Unfold the panel" : "Fold the panel");
  }

  /** At least one kind stays shown: a watch without kinds means every kind. */
  private kindChanged(box: HTMLInputElement): void {
    if (![...this.rows.values()].some((row) => row.box.checked)) box.checked = true;
    else this.filterChanged();
  }

  private filterChanged(): void {
    clearTimeout(this.filterTimer);
    this.filterTimer = window.setTimeout(() => this.listener.onFilter(this.filter()), 120);
  }

  private buildKinds(): void {
    for (const kind of KINDS) {
      const box: HTMLInputElement = el("input", { type: "checkbox", checked: true, id: `kind-${kind}`, onchange: () => this.kindChanged(box) });
      const count = el("span", { class: "count" }, "0 of 0");
      const bar = el("i");
      const glyph = svg("svg", { viewBox: "0 0 24 24", class: "glyph", "aria-hidden": "true" }, svg("path", { d: KIND_GLYPHS[kind] }));
      const words = el("span", { class: "name" }, KIND_WORDS[kind].many);
      byId("kinds").append(el("label", { class: "kind" }, box, glyph, words, count, el("span", { class: "bar" }, bar)));
      this.rows.set(kind, { box, count, bar });
    }
  }

  private buildLegend(): void {
    for (const look of LOOKS) {
      const share = el("i", { class: look, title: LOOK_WORDS[look] });
      byId("share").append(share);
      this.shares.set(look, share);
      const count = el("b", {}, "0");
      byId("legend").append(el("li", {}, el("i", { class: `look ${look}`, "aria-hidden": "true" }), LOOK_WORDS[look], count));
      this.legend.set(look, count);
    }
  }
}
