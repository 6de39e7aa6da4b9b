// Keeps the page fresh: fetches this same page and swaps its live part whenever the service tells of an event, and every
// few seconds, because ages and queues change without one. Without JavaScript the page reloads itself.
"use strict";

// Without the stream of events, and with it.
const PERIOD_MS = 2000;
const LIVE_PERIOD_MS = 5000;
// A service with many events is not asked for its page more often.
const PAUSE_MS = 250;
// A refused stream is not taken up again by the browser itself.
const RETRY_MS = 5000;
const EVENTS = ["started", "gap", "granted", "released", "expired", "forced", "session-ended"];

const freshness = document.getElementById("freshness");
let stream = null;
let timer = 0;
let reading = false;
let again = false;
let readAt = 0;

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

function isLive() {
  return stream !== null && stream.readyState === EventSource.OPEN;
}

function plan(delay) {
  clearTimeout(timer);
  timer = setTimeout(turn, delay);
}

async function turn() {
  reading = true;
  again = false;
  if (!document.hidden && !isMarking()) {
    try {
      await refresh();
      const how = isLive() ? "Live: shows each change at once. Read at " : "Read at ";
      say(how + new Date().toLocaleTimeString() + ".", false);
    } catch (problem) {
      say("Not up to date: " + problem.message + ". Trying again.", true);
    }
  }
  reading = false;
  readAt = Date.now();
  plan(again ? PAUSE_MS : isLive() ? LIVE_PERIOD_MS : PERIOD_MS);
}

// Something happened: read the page, once for all that happens in a moment.
function soon() {
  if (reading) {
    again = true;
  } else {
    plan(Math.max(0, readAt + PAUSE_MS - Date.now()));
  }
}

function follow() {
  const asked = new URLSearchParams(location.search);
  const wanted = new URLSearchParams();
  for (const field of ["prefix", "auth"]) {
    if (asked.get(field)) {
      wanted.set(field, asked.get(field));
    }
  }
  stream = new EventSource(location.origin + "/v1/events?" + wanted);
  EVENTS.forEach((kind) => stream.addEventListener(kind, soon));
  stream.addEventListener("error", () => {
    if (stream !== null && stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(resume, RETRY_MS);
    }
  });
}

// A page that nobody sees needs no connection; browsers allow few of them to one server.
function resume() {
  if (document.hidden && stream !== null) {
    stream.close();
    stream = null;
  } else if (!document.hidden && stream === null) {
    follow();
    soon();
  }
}

document.addEventListener("visibilitychange", resume);
resume();
plan(PERIOD_MS);
