// An answer is the log of its events (docs/protocol.md). This module turns events into what the page shows, and nothing else:
// no DOM, no clock, no socket. Every tab that has read the same events holds the same answer, so a reload, a second tab and a
// lost connection need no code of their own.

/** The answer before its first event; `given` is an answer as `opened` and `answer` send it. */
export function newAnswer(given) {
  return {
    id: given.id,
    number: given.number ?? null,
    question: given.question,
    requestedRoute: given.requested_route ?? "auto",
    filters: given.filters ?? {},
    retryOf: given.retry_of ?? null,
    /** The answer that this one stands beside, and those that stand beside this one: asked again of a newer snapshot. */
    reaskedOf: given.reasked_of ?? null,
    reasks: given.reasks ?? [],
    /** Ended before this page came to it: nothing about it is news. */
    past: ["completed", "failed", "cancelled"].includes(given.state),
    seq: 0,
    outcome: null, // "completed", "failed" or "cancelled"
    ending: null, // the payload of that event
    ...blank(1),
  };
}

/** What a `reset` throws away. */
function blank(attempt) {
  return { attempt, status: null, route: null, evidence: null, prompt: null, ...written() };
}

/** What is withdrawn when moderation refuses an answer. */
function written() {
  return { text: "", citations: new Map(), places: new Map() };
}

/** "next", "duplicate" or "gap": whether `event` can be applied to `answer` now. */
export function order(answer, event) {
  if (event.seq <= answer.seq) return "duplicate";
  return event.seq === answer.seq + 1 ? "next" : "gap";
}

/** The answer after `event`. Duplicates leave it as it is; a gap is the caller's to ask about, with `order`. */
export function reduce(answer, event) {
  if (order(answer, event) !== "next") return answer;
  const apply = kinds[event.kind];
  return { ...answer, ...(apply ? apply(answer, event.payload) : {}), seq: event.seq };
}

const kinds = {
  status: (_, payload) => ({ status: payload }),
  route: (_, payload) => ({ route: payload }),
  passages: (_, payload) => ({ evidence: payload }),
  prompt: (_, payload) => ({ prompt: payload }),
  delta: (answer, payload) => ({ text: answer.text + payload.text }),
  citation: (answer, payload) => ({ citations: new Map(answer.citations).set(citationKey(payload), payload) }),
  place: (answer, payload) => ({ places: new Map(answer.places).set(payload.start, payload) }),
  reset: (_, payload) => ({ ...blank(payload.attempt), resetReason: payload.reason }),
  completed: (_, payload) => ({ outcome: "completed", ending: payload }),
  failed: (_, payload) => ({ outcome: "failed", ending: payload, ...(payload.code === "refused" ? written() : {}) }),
  cancelled: (_, payload) => ({ outcome: "cancelled", ending: payload }),
};

/** A later citation event with the same start and number replaces an earlier one. */
export const citationKey = (citation) => `${citation.start}:${citation.number}`;

export const isRunning = (answer) => answer.outcome === null;

/** The passages that the model saw, and those that didn't fit, each in the order of the search. */
export function packed(answer) {
  return (answer.evidence?.passages ?? []).filter((passage) => passage.state === "packed");
}

export function dropped(answer) {
  return (answer.evidence?.passages ?? []).filter((passage) => passage.state === "dropped");
}

/** Passage number → its citations, in the order of the text. */
export function citationsByNumber(answer) {
  const groups = new Map();
  for (const citation of [...answer.citations.values()].sort((a, b) => a.start - b.start)) {
    if (!groups.has(citation.number)) groups.set(citation.number, []);
    groups.get(citation.number).push(citation);
  }
  return groups;
}

/**
 * The state that stands for all the citations of one passage. One that failed its check outweighs the others: what is green
 * was checked without exception.
 */
export function combinedState(citations) {
  const states = new Set(citations.map((citation) => citation.state));
  return ["unverified", "pending", "verified", "similar"].find((state) => states.has(state)) ?? "none";
}
