// The one WebSocket of a page. It reconnects by itself, with growing pauses, and at once when the network or the tab comes
// back. It knows nothing of what it carries: whoever listens sends `open` with what it has already seen.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;
/** Attempts that never opened, after which the page says that something on the way doesn't pass WebSockets on. */
const BLOCKED_AFTER = 3;
const SIGNED_OUT = 4401;

export class Connection {
  /**
   * `onState` gets "connecting", "live", "lost", "blocked" or "signed-out"; `onLive` runs after each successful connection,
   * before anything else is received.
   */
  constructor(path, { onMessage, onState, onLive }) {
    const address = new URL(path, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    Object.assign(this, { address, onMessage, onState, onLive, failures: 0, everLive: false });
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
    this.connect();
  }

  get live() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Sends now, or returns false: what must not be lost is kept by the caller and sent again from `onLive`. */
  send(message) {
    if (!this.live) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  connect() {
    clearTimeout(this.timer);
    if (!this.everLive && this.failures === 0) this.onState("connecting");
    this.socket = new WebSocket(this.address);
    this.socket.onopen = () => {
      this.failures = 0;
      this.everLive = true;
      this.onState("live");
      this.onLive();
    };
    this.socket.onmessage = ({ data }) => this.onMessage(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.closed(code);
  }

  closed(code) {
    if (code === SIGNED_OUT) {
      this.onState("signed-out");
      return;
    }
    this.failures += 1;
    const blocked = !this.everLive && this.failures >= BLOCKED_AFTER;
    this.onState(blocked ? "blocked" : "lost");
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1));
    this.timer = setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2));
  }

  hurry() {
    if (this.socket.readyState === WebSocket.CLOSED && this.timer) this.connect();
  }
}
