"use strict";
// What pages do besides htmx: keys, quiet while nobody looks, and the playground's live answer.

// A refresh must not swap what is being read: not in a hidden tab, not under a selection.
document.addEventListener("htmx:beforeRequest", (event) => {
  const polls = (event.target.getAttribute("hx-trigger") || "").startsWith("every");
  const selecting = !getSelection().isCollapsed;
  if (polls && (document.hidden || selecting)) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  } else if (event.key === "j" || event.key === "k") {
    const rows = [...document.querySelectorAll("[data-row]")];
    const at = rows.indexOf(document.activeElement);
    const next = rows[event.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0)];
    if (next) next.focus();
  }
});

const ENDS = ["succeeded", "failed", "cancelled", "expired"];

function follow(answer) {
  const source = new EventSource(answer.dataset.events);
  const state = document.getElementById("state");
  const place = document.getElementById("place");
  const cancel = document.getElementById("cancel");

  function show(word, about) {
    state.textContent = word;
    state.className = "state " + word;
    place.textContent = about || "";
  }

  for (const word of ["queued", "running"]) source.addEventListener(word, () => show(word));
  source.addEventListener("waiting", (event) => {
    const waiting = JSON.parse(event.data);
    show("queued", waiting.reason.replace(/_/g, " ") + (waiting.position ? ", place " + waiting.position : ""));
  });
  source.addEventListener("attempt", (event) => {
    const attempt = JSON.parse(event.data);
    if (attempt.reason) place.textContent = attempt.target + ": " + attempt.reason.kind + ", " + (attempt.decision || "");
  });
  source.addEventListener("answer", (event) => {
    const choices = JSON.parse(event.data).choices || [];
    for (const choice of choices) answer.textContent += (choice.message && choice.message.content) || "";
  });
  source.onmessage = (event) => {
    if (event.data === "[DONE]") return;
    if (state.textContent === "queued") show("running");
    const piece = JSON.parse(event.data);
    for (const choice of piece.choices || []) answer.textContent += (choice.delta && choice.delta.content) || "";
  };
  for (const word of ENDS) {
    source.addEventListener(word, (event) => {
      const job = JSON.parse(event.data);
      const cost = job.cost_usd === null ? "" : "$" + job.cost_usd.toFixed(6);
      show(word, cost);
      if (job.error) answer.textContent += job.error.message || "";
      cancel.disabled = true;
      source.close();
    });
  }
}

const answer = document.getElementById("answer");
if (answer) follow(answer);
