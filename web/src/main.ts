/** Composition root of the page: joins the live conversation, the map, the panel and the card. */

import "maplibre-gl/dist/maplibre-gl.css";
import "./page.css";
import { Card } from "./details/card";
import { byId, el, say } from "./dom";
import { offerHooks } from "./hooks";
import { askToSignIn } from "./login/sign_in";
import { signedIn } from "./login/token";
import type { Conversation } from "./live/conversation";
import type { MapDevice } from "./live/frames";
import { Live, liveUrl } from "./live/live";
import { canDraw, FleetMap, type View } from "./map/fleet_map";
import { lookOf, LOOK_WORDS } from "./map/look";
import type { Theme } from "./map/theme";
import { connectionOf } from "./panel/connection";
import { Panel } from "./panel/panel";
import { Rate, tallyOf } from "./panel/tally";
import { denseBox, fleetSize, MOST_FOR_OVERVIEW, somePlace, WHOLE_WORLD } from "./start";
import { ageWords, countWords, deviceTitle, refusalWords, zoomHelps } from "./words/words";

const NEAREST = 6;
const FIGURES_MS = 300;
const CLOSE_UP_ZOOM = 16;
const START_ZOOM = 13;
const OVERVIEW_MS = 400;
const MOST_UNSTEADY = 12;

signedIn.takeFromLinks();
let view: View | null = null;
let theme = startTheme();
let devices: ReadonlyMap<string, MapDevice> = new Map();
let figures_due = true;
/** The timer of the overview while it lasts. */
let overview: number | null = /^#\d/.test(location.hash) ? null : 0;
const rate = new Rate(61);

const panel = new Panel({
  onFilter: watch,
  onTiles: (shown) => map?.setTiles(shown),
  onTheme: () => setTheme(theme === "dark" ? "light" : "dark"),
  onPick: (device) => {
    endOverview();
    map?.flyTo(device.lat, device.lon, CLOSE_UP_ZOOM);
    pick(device.id);
  },
});
const card = new Card(() => pick(null), (lat, lon) => map?.flyTo(lat, lon, CLOSE_UP_ZOOM), follow);
const map = canDraw() ? openMap() : null;
const live = new Live(liveUrl(location), { token: () => signedIn.token, onSignedOut: askToSignIn, onState: showConnection, onDevices });

setTheme(theme);
setInterval(() => showFigures(), FIGURES_MS);
setInterval(() => figures_due = true, 1000);
void showFleetSize();
setInterval(() => void showFleetSize(), 15_000);
offerHooks({ live, map, card, started: () => overview === null || map === null });
// A link to a place wins; else the page starts where the fleet is.
if (map === null) listOnly();
else if (overview !== null) void beginOverview();
if (new URLSearchParams(location.search).get("tiles") === "osm") {
  panel.setTiles(true);
  map?.setTiles(true);
}

function openMap(): FleetMap {
  return new FleetMap(byId("map"), theme, {
    onView: (seen) => {
      view = seen;
      watch();
    },
    onPick: pick,
    onPoint: showTip,
    onTouched: () => endOverview(),
  });
}

/** Watches the whole world until the fleet is known well enough to show where it is. */
async function beginOverview(): Promise<void> {
  const size = await fleetSize().catch(() => null);
  // Whoever took the map in hand meanwhile keeps it.
  if (overview === null) return;
  if (map !== null && size !== null && size > MOST_FOR_OVERVIEW) {
    const place = await somePlace().catch(() => null);
    if (overview === null) return;
    endOverview();
    if (place !== null) map.flyTo(place.lat, place.lon, START_ZOOM);
    return;
  }
  watch();
  let before = 0;
  let unsteady = 0;
  overview = window.setInterval(() => {
    const { answered, arriving } = live.conversation;
    if (!answered || arriving !== null || devices.size === 0) return;
    // A fleet that is just being switched on keeps growing: wait for it, but not for ever.
    unsteady += 1;
    const steady = devices.size === before || unsteady > MOST_UNSTEADY;
    before = devices.size;
    const box = steady ? denseBox(devices.values()) : null;
    if (box === null) return;
    map?.fit(box);
    view = map?.view() ?? view;
    endOverview();
  }, OVERVIEW_MS);
}

function endOverview(): void {
  if (overview === null) return;
  clearInterval(overview);
  overview = null;
  watch();
}

function watch(): void {
  const seen = overview === null && map !== null ? view : { box: WHOLE_WORLD, zoom: 1 };
  if (seen !== null) live.watch({ ...seen, ...panel.filter() });
}

function onDevices(now: ReadonlyMap<string, MapDevice>, changed: "all" | readonly string[]): void {
  devices = now;
  figures_due = true;
  if (changed !== "all" && live.conversation.arriving === null) rate.add(changed.length, performance.now());
  map?.show(now, changed);
  const id = card.id;
  if (id !== null && (changed === "all" || changed.includes(id))) card.heard(now.get(id) ?? null);
}

function pick(id: string | null): void {
  const device = id === null ? undefined : devices.get(id);
  map?.select(device?.id ?? null);
  showTip(null, 0, 0);
  if (device === undefined) card.close();
  else card.open(device);
}

/** The device of the card goes by another id now. */
function follow(id: string): void {
  const device = devices.get(id);
  if (device === undefined) return;
  map?.select(id);
  card.show(device);
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
  const [west, south, east, north] = view?.box ?? WHOLE_WORLD;
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
  document.body.classList.toggle("not-live", ["reconnecting", "stale", "signed_out"].includes(connection));
  const notice = byId("notice");
  const { refused } = conversation;
  // The whole world is too much for it: a person has to say where to look.
  if (refused !== null && zoomHelps(refused.reason)) endOverview();
  notice.hidden = refused === null && map !== null;
  if (refused !== null && notice.dataset["shown"] !== refused.reason) {
    notice.dataset["shown"] = refused.reason;
    notice.replaceChildren(el("p", {}, refusalWords(refused.reason, refused.detail)),
      ...(zoomHelps(refused.reason) && map !== null ? [el("button", { type: "button", onclick: zoomIn }, "Zoom in")] : []));
  }
}

function zoomIn(): void {
  endOverview();
  map?.zoomIn();
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
  const size = await fleetSize().catch(() => null);
  if (size !== null) say(byId("fleet-size"), `${countWords(size)} devices in the fleet`);
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

/** Without WebGL the page lists the devices instead of drawing them. */
function listOnly(): void {
  document.body.classList.add("list-only");
  byId("notice").replaceChildren(el("p", {}, "This browser cannot draw the map because WebGL is not available. The devices are listed instead."));
  watch();
}
