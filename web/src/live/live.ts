/** The socket edge of the live conversation: moves frames, owns timers, decides nothing. */

import { advance, START, type Conversation, type Effect, type Happening } from "./conversation";
import { parseFrame, type ClientFrame, type MapDevice, type Wish } from "./frames";

const TICK_MS = 2_000;
/** Long enough to glance at another tab without losing the connection. */
const PAUSE_AFTER_HIDDEN_MS = 20_000;

/** The server's close code for a token that is missing, bad, or has ended. */
const UNAUTHENTICATED = 4401;

export interface LiveListener {
  /** The token to say; empty when nobody is signed in. */
  token(): string;
  /** Nobody is signed in any more; `refused` when the server did not take the token. */
  onSignedOut(refused: boolean): void;
  /** The conversation moved on: connection, refusal or counts may be others. */
  onState(state: Conversation): void;
  /** Devices changed: all of them, or only these ids (an id without a device vanished). */
  onDevices(devices: ReadonlyMap<string, MapDevice>, changed: "all" | readonly string[]): void;
}

/** Watches one box at a time and keeps `devices` equal to what the server says is in it. */
export class Live {
  private state: Conversation = START;
  private socket: WebSocket | null = null;
  private retryTimer: number | undefined;
  private hiddenTimer: number | undefined;

  constructor(
    private readonly url: string,
    private readonly listener: LiveListener,
  ) {
    setInterval(() => this.happen({ name: "tick" }), TICK_MS);
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
    // A hidden page stays paused: nobody would see it, and it would stay connected.
    window.addEventListener("online", () => {
      if (!document.hidden) this.happen({ name: "visible" });
    });
  }

  get conversation(): Conversation {
    return this.state;
  }

  /** Replaces what is watched. Callers debounce; the newest wish is sent again on every reconnect. */
  watch(wish: Wish): void {
    this.happen({ name: "wished", wish });
  }

  private visibilityChanged(): void {
    clearTimeout(this.hiddenTimer);
    if (document.hidden) {
      this.hiddenTimer = window.setTimeout(() => this.happen({ name: "hidden" }), PAUSE_AFTER_HIDDEN_MS);
    } else {
      this.happen({ name: "visible" });
    }
  }

  private happen(happening: Happening): void {
    const before = this.state;
    const { next, effects } = advance(before, happening, performance.now(), Math.random());
    this.state = next;
    for (const effect of effects) this.perform(effect);
    if (next !== before) this.listener.onState(this.state);
  }

  private perform(effect: Effect): void {
    switch (effect.name) {
      case "connect":
        return this.connect();
      case "send":
        return this.send(effect.frame);
      case "disconnect":
        return this.disconnect();
      case "wait":
        clearTimeout(this.retryTimer);
        this.retryTimer = window.setTimeout(() => this.happen({ name: "waited" }), effect.delay_ms);
        return;
      case "show":
        return this.listener.onDevices(this.state.devices, effect.changed);
    }
  }

  private connect(): void {
    clearTimeout(this.retryTimer);
    this.disconnect();
    if (this.listener.token() === "") return this.signOut(false);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    // Events of a socket that was replaced say nothing about the one in use.
    const mine = (happening: Happening): void => {
      if (this.socket === socket) this.happen(happening);
    };
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", token: this.listener.token() } satisfies ClientFrame));
      mine({ name: "opened" });
    };
    socket.onclose = ({ code }) => {
      if (code !== UNAUTHENTICATED) return mine({ name: "closed" });
      // Coming back with the same token would end the same way.
      if (this.socket === socket) this.signOut(true);
    };
    socket.onmessage = (message: MessageEvent<unknown>) => {
      const frame = typeof message.data === "string" ? parseFrame(message.data) : null;
      if (frame !== null) mine({ name: "heard", frame });
    };
  }

  private signOut(refused: boolean): void {
    this.happen({ name: "signed_out" });
    this.listener.onSignedOut(refused);
  }

  private send(frame: ClientFrame): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  private disconnect(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }
}

/** The address of `/v1/live` on the origin that served `page`. */
export function liveUrl(page: Location | URL): string {
  const url = new URL("/v1/live", page.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  return url.href;
}
