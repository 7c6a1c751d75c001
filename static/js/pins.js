// What an answer is pinned to: enough to see what it stood on, and to ask the same again.

import { h } from "./dom.js";
import { count, exactMoment, promptAddress } from "./words.js";

const code = (text) => h("code", {}, text);

/** A list of facts about `answer`. `snapshot`: what the server knows of it, or null when it has been removed. */
export function pins(answer, { created_at: askedAt }, snapshot) {
  const { ending, evidence, prompt, route } = answer;
  const claims = ending?.claims;
  const facts = [
    ["Asked", exactMoment(askedAt)],
    ["Commit", commitOf(evidence, snapshot)],
    ["Snapshot", snapshotOf(evidence, snapshot)],
    ["Model", ending?.model || route?.model],
    ["Sampling", samplingOf(prompt?.sampling)],
    ["Prompt", prompt && [code(prompt.sha256), " ", h("a", { class: "text", href: promptAddress(answer.id) }, "What the model saw")]],
    ["Claims", claims?.total ? `${count(claims.verified)} of ${count(claims.total)} verified` : ""],
  ];
  return h("dl", { class: "kv pins" }, facts.filter(([, told]) => told).flatMap(([name, told]) => [h("dt", {}, name), h("dd", {}, told)]));
}

function commitOf(evidence, snapshot) {
  const { commit, ref, dirty } = evidence ?? snapshot ?? {};
  if (!commit) return evidence || snapshot ? "A folder that is not under git" : "";
  return [code(commit), ref ? ` on ${ref}` : "", dirty ? ", with uncommitted changes" : ""];
}

function snapshotOf(evidence, snapshot) {
  const id = evidence?.snapshot ?? snapshot?.id;
  if (!id) return "";
  return [code(id), snapshot ? `, made ${exactMoment(snapshot.indexed_at)}` : "", snapshot?.kept ? "" : ". Its files have been removed: the passages shown are from the answer’s own log."];
}

/** "temperature 0.2, max_tokens 1024, stop "\n\n"": as the server got it, without what is empty. */
function samplingOf(sampling) {
  const set = Object.entries(sampling ?? {}).filter(([, value]) => value !== null && value.length !== 0);
  return set.map(([name, value]) => `${name} ${Array.isArray(value) ? value.map((one) => JSON.stringify(one)).join(" ") : value}`).join(", ");
}

