// Asking an answer's question again at HEAD: the new answer stands beside the old one, on a page that shows what has changed.

import { randomId } from "./conversation.js";
import { notice } from "./notice.js";
import { post } from "./post.js";
import { answerAddress, changesAddress } from "./words.js";

export async function askAgain(answer) {
  const id = randomId();
  const problem = await post(`${answerAddress(answer.id)}again/`, { answer: id });
  if (problem) notice(problem, { name: "warn", stays: true });
  else location.assign(changesAddress(id));
}
