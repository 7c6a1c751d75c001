// An answer as a Markdown file: the question, the text as the log has it, and what each citation points at.

import { h } from "./dom.js";
import { citationsByNumber, combinedState, packed } from "./log.js";
import { spokenState } from "./citations.js";
import { range, shortCommit } from "./words.js";

/** The file's text. */
export function asMarkdown(answer) {
  const parts = [`# ${answer.question}`, answer.text.trim()];
  const cited = citationsByNumber(answer);
  const sources = packed(answer)
    .filter((passage) => cited.has(passage.number) || !answer.text)
    .map((passage) => {
      const state = cited.has(passage.number) ? `, ${spokenState(combinedState(cited.get(passage.number)))}` : "";
      return `- [${passage.number}] \`${passage.path}\` lines ${range(passage.start_line, passage.end_line)}${state}`;
    });
  if (sources.length) {
    const { repository, commit } = answer.evidence;
    parts.push(`## Sources in ${repository} at ${shortCommit(commit)}`, sources.join("\n"));
  }
  const by = answer.ending?.model || answer.route?.model;
  if (by) parts.push(`Answered by ${by}.`);
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

export function download(answer) {
  const name = answer.question.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "answer";
  const address = URL.createObjectURL(new Blob([asMarkdown(answer)], { type: "text/markdown" }));
  h("a", { href: address, download: `${name}.md` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
