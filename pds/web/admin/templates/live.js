// Loads the numbers again every ten seconds, while the page is looked at and until it is stopped.
"use strict";
const now = document.getElementById("now");
const place = document.getElementById("live");
const button = document.createElement("button");
button.type = "button";
button.className = "plain";
let goes = true;

function show() {
  button.textContent = goes ? place.dataset.stop : place.dataset.go;
}

async function load() {
  if (!goes || document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(now.dataset.part, { credentials: "same-origin" });
    if (answer.ok && goes) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      now.replaceChildren(...page.body.childNodes);
    } else if (answer.status === 403) {
      goes = false;
      show();
    }
  } catch {
    // The server is away for a moment; the numbers stay as they were.
  }
}

button.addEventListener("click", () => {
  goes = !goes;
  show();
  load();
});
show();
place.append(button);
place.hidden = false;
setInterval(load, 10_000);
