// Light, dark, or as the system says. Loaded in the head as a plain script, so that the stored choice holds before the first
// paint; the rest of the page is modules.

"use strict";
{
  const choices = ["system", "light", "dark"];
  const root = document.documentElement;

  const stored = () => {
    try {
      return choices.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system";
    } catch {
      return "system"; // storage is switched off: the choice lasts for this page
    }
  };

  const apply = (choice) => {
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.ariaLabel = button.title = `Theme: ${choice}`;
    }
  };

  const toggle = () => {
    const next = choices[(choices.indexOf(root.dataset.theme ?? "system") + 1) % choices.length];
    apply(next);
    try {
      localStorage.setItem("theme", next);
    } catch {
      // As above.
    }
  };

  apply(stored());
  addEventListener("storage", (event) => event.key === "theme" && apply(stored()));
  document.addEventListener("DOMContentLoaded", () => apply(root.dataset.theme ?? "system"));
  document.addEventListener("click", (event) => event.target.closest?.("[data-theme-toggle]") && toggle());
}
