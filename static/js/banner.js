// One line above the thread when something about the models isn't as it should be: still on its way, not reachable, nobody
// there to answer, a model that only demonstrates, or one whose licence forbids what a reader may be about to do.

import { h, icon } from "./dom.js";
import { scale } from "./progress.js";

export class Banner {
  constructor() {
    this.element = document.getElementById("banner");
  }

  show({ models, answerer }) {
    const parts = this.parts(models?.code ?? {}, answerer) ?? licences(Object.values(models ?? {}));
    this.element.hidden = !parts;
    if (parts) this.element.replaceChildren(...parts);
  }

  parts(model, answerer) {
    if (!answerer) return line("Nothing answers at the moment: the answerer isn’t running. Questions wait for it.");
    if (model.state === "downloading" || model.state === "loading") {
      const percent = model.percent ?? null;
      const words = model.state === "loading" ? "Loading the model" : `Downloading the model${percent === null ? "" : `, ${percent} %`}`;
      const parts = [icon("clock"), h("span", {}, `${words}. Until it is here, “Search” finds code without it.`)];
      if (model.state === "downloading" && percent !== null) parts.push(scale(percent, "The model's download"));
      return parts;
    }
    if (model.state === "unreachable") return line(model.message || "The model server can’t be reached. “Search” works without it.");
    if (model.state === "ready" && model.message) return line(model.message);
    if (model.demonstration) return line(`This model only demonstrates. ${model.model.replace(/-demonstration$/, "")} is far too small for real answers; what is found and cited is real.`);
    return null;
  }
}

/** Shown as long as such a model is the one that would be asked, so that it is read before the first question. */
function licences(models) {
  const limited = new Map(models.filter((model) => model.licence).map((model) => [model.model, model.licence]));
  return limited.size ? line([...limited].map(([name, licence]) => `${name}: ${licence}`).join(" ")) : null;
}

const line = (text) => [icon("warn"), h("span", {}, text)];
