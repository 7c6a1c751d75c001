// Forms that this page sends without leaving it.

const token = document.querySelector("[name=csrfmiddlewaretoken]").value;

/** Sends fields; resolves to "" or to what is the matter, in a sentence. */
export async function post(address, fields) {
  let response;
  try {
    response = await fetch(address, {
      method: "POST",
      headers: { "X-CSRFToken": token, Accept: "application/json" },
      body: new URLSearchParams(fields),
    });
  } catch {
    return "The server can’t be reached. Try again when the page is connected.";
  }
  if (response.ok) return "";
  const told = await response.json().catch(() => ({}));
  return told.message || `The server refused this (${response.status}).`;
}
