// The thread: one turn a question, drawn at most once a frame. When a drawing takes long (a very long open code block), the next
// one waits, so that drawing never takes more than about a fifth of the time.

import { isRunning } from "./log.js";
import { Turn } from "./turn.js";

const SHARE = 4;

export class Thread {
  constructor(element, scroller, actions) {
    Object.assign(this, { element, scroller, actions });
    this.turns = new Map();
    this.waiting = new Map(); // turn number → the answer to draw
    this.notBefore = 0;
    this.scheduled = false;
    setInterval(() => this.tick(), 1000);
    this.offerJump();
  }

  /** Show `answer` in its place, in the next frame. */
  show(answer) {
    this.waiting.set(answer.number, answer);
    this.schedule();
  }

  remove(number) {
    this.waiting.delete(number);
    this.turns.get(number)?.element.remove();
    this.turns.delete(number);
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    const wait = this.notBefore - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
    else requestAnimationFrame(() => this.draw());
  }

  draw() {
    const began = performance.now();
    this.scheduled = false;
    for (const [number, answer] of this.waiting) this.turn(number).update(answer);
    this.waiting.clear();
    const took = performance.now() - began;
    this.notBefore = took > 8 ? performance.now() + took * SHARE : 0;
  }

  turn(number) {
    if (!this.turns.has(number)) {
      const turn = new Turn(number, this.actions);
      this.turns.set(number, turn);
      const next = [...this.turns.keys()].filter((other) => other > number).sort((a, b) => a - b)[0];
      if (next) this.turns.get(next).element.before(turn.element);
      else this.element.append(turn.element);
      if (!next) this.watchFoot(turn.element);
    }
    return this.turns.get(number);
  }

  tick() {
    for (const turn of this.turns.values()) if (isRunning(turn.shown)) turn.drawProgress();
  }

  /** To the end: the scroller counts from there (column-reverse), and stays there as text arrives. */
  toLatest() {
    this.scroller.scrollTop = 0;
  }

  offerJump() {
    this.foot = new IntersectionObserver(([foot]) => this.scroller.classList.toggle("away", !foot.isIntersecting), { root: this.scroller });
  }

  watchFoot(turn) {
    this.foot.disconnect();
    this.foot.observe(turn.querySelector(".foot"));
  }

  chips() {
    return [...this.element.querySelectorAll(".prose button.cite")];
  }
}
