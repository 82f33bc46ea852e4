/** Composition root of the page: joins the live conversation, the map, the panel and the card. */

import "maplibre-gl/dist/maplibre-gl.css";
import "./page.css";
import { Card } from "./details/card";
import { getJson } from "./details/device";
import { byId, el, say } from "./dom";
import { offerHooks } from "./hooks";
import type { Conversation } from "./live/conversation";
import type { Box, MapDevice } from "./live/frames";
import { Live, liveUrl } from "./live/live";
import { canDraw, FleetMap, type View } from "./map/fleet_map";
import { lookOf, LOOK_WORDS } from "./map/look";
import type { Theme } from "./map/theme";
import { connectionOf } from "./panel/connection";
import { Panel } from "./panel/panel";
import { Rate, tallyOf } from "./panel/tally";
import { startOf } from "./start";
import { ageWords, countWords, deviceTitle, refusalWords, zoomHelps } from "./words/words";

const NEAREST = 8;
const FIGURES_MS = 300;
const CLOSE_UP_ZOOM = 16;
const WHOLE_WORLD: Box = [-180, -85, 180, 85];

let view: View | null = null;
let theme = startTheme();
let devices: ReadonlyMap<string, MapDevice> = new Map();
let figures_due = true;
const rate = new Rate(61);

const panel = new Panel({
  onFilter: watch,
  onTiles: (shown) => map?.setTiles(shown),
  onTheme: () => setTheme(theme === "dark" ? "light" : "dark"),
  onPick: (device) => {
    map?.flyTo(device.lat, device.lon, CLOSE_UP_ZOOM);
    pick(device.id);
  },
});
const card = new Card(() => pick(null), (lat, lon) => map?.flyTo(lat, lon, CLOSE_UP_ZOOM));
const map = canDraw() ? openMap() : null;
const live = new Live(liveUrl(location), { onState: showConnection, onDevices });

setTheme(theme);
setInterval(() => showFigures(), FIGURES_MS);
setInterval(() => figures_due = true, 1000);
void showFleetSize();
setInterval(() => void showFleetSize(), 15_000);
offerHooks(live, map, card);
if (map === null) listOnly();
else if (new URLSearchParams(location.search).get("tiles") === "osm") {
  panel.setTiles(true);
  map.setTiles(true);
}

function openMap(): FleetMap {
  // A link to a place wins; else the page starts where the fleet is.
  const linked = /^#\d/.test(location.hash);
  const opened = new FleetMap(byId("map"), theme, {
    onView: (seen) => {
      view = seen;
      if (linked || started) watch();
    },
    onPick: pick,
    onPoint: showTip,
  });
  let started = linked;
  if (!linked) {
    void startOf().then((start) => {
      started = true;
      if (start.box !== null) opened.fit(start.box);
      else if (start.place !== null) opened.flyTo(start.place.lat, start.place.lon, 13);
      else watch();
    });
  }
  return opened;
}

function watch(): void {
  if (view !== null) live.watch({ ...view, ...panel.filter() });
}

function onDevices(now: ReadonlyMap<string, MapDevice>, changed: "all" | readonly string[]): void {
  devices = now;
  figures_due = true;
  if (changed !== "all") rate.add(changed.length, performance.now());
  map?.show(now, changed);
  const id = card.id;
  if (id !== null && (changed === "all" || changed.includes(id))) card.heard(now.get(id) ?? null);
}

function pick(id: string | null): void {
  const device = id === null ? undefined : devices.get(id);
  map?.select(device?.id ?? null);
  if (device === undefined) card.close();
  else card.open(device);
}

function showFigures(): void {
  const conversation = live.conversation;
  showConnection(conversation);
  if (!figures_due) return;
  figures_due = false;
  const now_ms = performance.now();
  panel.showTally(tallyOf(devices.values()));
  panel.showRate(rate.perSecond(now_ms), rate.history(now_ms));
  panel.showNearest(nearest());
}

function nearest(): MapDevice[] {
  if (view === null) return [];
  const [west, south, east, north] = view.box;
  const lat = (south + north) / 2;
  const lon = (west + east) / 2;
  const narrow = Math.cos((lat * Math.PI) / 180);
  const away = (device: MapDevice): number => Math.hypot(device.lat - lat, (device.lon - lon) * narrow);
  return [...devices.values()].sort((one, other) => away(one) - away(other)).slice(0, map === null ? 200 : NEAREST);
}

function showConnection(conversation: Conversation): void {
  const { connection, words } = connectionOf(conversation, performance.now());
  const pill = byId("connection");
  pill.dataset["phase"] = connection;
  say(pill.querySelector("span") ?? pill, words);
  document.body.classList.toggle("not-live", connection === "reconnecting" || connection === "stale");
  const notice = byId("notice");
  const { refused } = conversation;
  notice.hidden = refused === null && map !== null;
  if (refused !== null && notice.dataset["shown"] !== refused.reason) {
    notice.dataset["shown"] = refused.reason;
    notice.replaceChildren(el("p", {}, refusalWords(refused.reason, refused.detail)),
      ...(zoomHelps(refused.reason) && map !== null ? [el("button", { type: "button", onclick: () => map.zoomIn() }, "Zoom in")] : []));
  }
}

function showTip(device: MapDevice | null, x_px: number, y_px: number): void {
  const tip = byId("tip");
  tip.hidden = device === null;
  if (device === null) return;
  const battery = device.battery_pct === null ? "" : ` · ${device.battery_pct} %`;
  const units = device.kind === "bike" ? "" : ` · ${device.units} to take`;
  const since = device.reasons[0]?.since;
  const age = since === undefined || since === 0 ? "" : ` for ${ageWords(Date.now() - since)}`;
  tip.replaceChildren(el("b", {}, deviceTitle(device)), el("span", {}, `${LOOK_WORDS[lookOf(device)]}${age}${battery}${units}`));
  const left_px = Math.min(x_px + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.transform = `translate(${left_px}px, ${Math.min(y_px + 14, innerHeight - tip.offsetHeight - 8)}px)`;
}

async function showFleetSize(): Promise<void> {
  if (document.hidden) return;
  const answer = await getJson("/v1/fleet").catch(() => null);
  const total = typeof answer === "object" && answer !== null && "total" in answer ? answer.total : null;
  if (typeof total === "number") say(byId("fleet-size"), `${countWords(total)} devices in the whole fleet`);
}

function startTheme(): Theme {
  const wished = new URLSearchParams(location.search).get("theme") ?? localStorage.getItem("latchkey-theme");
  if (wished === "dark" || wished === "light") return wished;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

function setTheme(next: Theme): void {
  if (next !== theme) localStorage.setItem("latchkey-theme", next);
  theme = next;
  document.documentElement.dataset["theme"] = next;
  say(byId("theme"), next === "dark" ? "Light colours" : "Dark colours");
  map?.setTheme(next);
}

/** Without WebGL the page lists the devices of the fleet's surroundings instead of drawing them. */
function listOnly(): void {
  document.body.classList.add("list-only");
  byId("notice").replaceChildren(el("p", {}, "This browser cannot draw the map because WebGL is not available. The devices are listed instead."));
  void startOf().then(({ box, place }) => {
    const around: Box = place === null ? WHOLE_WORLD : [place.lon - 0.05, place.lat - 0.05, place.lon + 0.05, place.lat + 0.05];
    view = { box: box ?? around, zoom: 12 };
    watch();
  });
}

