// Keeps the page fresh: fetches this same page and swaps its live part. Without JavaScript the page reloads itself.
"use strict";

const PERIOD_MS = 2000;
const freshness = document.getElementById("freshness");

async function refresh() {
  // Not location.href: it may hold a password (user:password@host), and fetch refuses such an address.
  const here = location.origin + location.pathname + location.search;
  const answer = await fetch(here, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) {
    throw new Error("the server answered " + answer.status);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (!fresh) {
    throw new Error("the server answered something else");
  }
  document.getElementById("live").replaceWith(fresh);
  document.title = page.title;
}

function say(text, stale) {
  freshness.textContent = text;
  document.body.classList.toggle("stale", stale);
}

// Somebody marking text to copy it would lose the selection.
function isMarking() {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed;
}

async function turn() {
  if (!document.hidden && !isMarking()) {
    try {
      await refresh();
      say("Read at " + new Date().toLocaleTimeString() + ".", false);
    } catch (problem) {
      say("Not up to date: " + problem.message + ". Trying again.", true);
    }
  }
  setTimeout(turn, PERIOD_MS);
}

setTimeout(turn, PERIOD_MS);
