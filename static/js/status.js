// What the page polls: models, answerer and index. Often while something is on its way, seldom otherwise, never in a hidden tab.

const OFTEN_MS = 1500;
const SELDOM_MS = 5000;

export class Status {
  /** `onStatus(status)` after each answer; `answering()` whether one is being waited for. */
  constructor(address, repository, { onStatus, answering }) {
    this.address = `${address}?${new URLSearchParams(repository ? { repository } : {})}`;
    Object.assign(this, { onStatus, answering });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.poll());
    this.poll();
  }

  async poll() {
    clearTimeout(this.timer);
    const status = await this.fetch();
    if (status) this.onStatus(status);
    if (document.visibilityState === "hidden") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), status && (this.answering() || onItsWay(status)) ? OFTEN_MS : SELDOM_MS);
  }

  /** Ask now, if nothing has been asked for a while: there is reason to think that something has changed. */
  soon() {
    if (performance.now() - this.asked > OFTEN_MS) this.poll();
  }

  async fetch() {
    this.asked = performance.now();
    try {
      const response = await fetch(this.address, { headers: { Accept: "application/json" } });
      return response.ok ? await response.json() : null;
    } catch {
      return null; // the connection's state is shown by the socket
    }
  }
}

const isBuilding = (job) => job?.state === "running" || job?.state === "queued";

function onItsWay({ models, answerer, repository }) {
  const waiting = Object.values(models ?? {}).some((model) => model?.state === "downloading" || model?.state === "loading");
  return waiting || !answerer || isBuilding(repository?.job);
}
