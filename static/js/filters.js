// Where a search looks: a folder, a language, and whether tests count. Kept in the tab for the conversation's repository.

export class Filters {
  constructor(repository) {
    this.key = `filters:${repository}`;
    this.folder = document.getElementById("filter-folder");
    this.language = document.getElementById("filter-language");
    this.tests = document.getElementById("filter-tests");
    const kept = JSON.parse(sessionStorage.getItem(this.key) ?? "{}");
    this.put(kept);
    for (const field of [this.folder, this.language, this.tests]) field.addEventListener("input", () => this.keep());
    document.getElementById("filters-clear").addEventListener("click", () => this.put({}));
  }

  /** As the protocol has it: only what restricts something, or undefined. */
  get value() {
    const value = {
      ...(this.folder.value.trim() && { folder: this.folder.value.trim() }),
      ...(this.language.value && { languages: [this.language.value] }),
      ...(this.tests.checked && { tests: false }),
    };
    return Object.keys(value).length ? value : undefined;
  }

  put({ folder = "", languages = [], tests = true }) {
    this.folder.value = folder;
    this.language.value = languages[0] ?? "";
    this.tests.checked = !tests;
    this.keep();
  }

  keep() {
    sessionStorage.setItem(this.key, JSON.stringify(this.value ?? {}));
    document.getElementById("filters-told").textContent = told(this.value) || "Everywhere";
  }
}

/** "src/flask, python, no tests", or "" where nothing restricts. */
export function told(filters) {
  return [filters?.folder, ...(filters?.languages ?? []), filters?.tests === false && "no tests"].filter(Boolean).join(", ");
}
