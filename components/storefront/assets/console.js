"use strict";
// Has the parts of a page that show what happens now look again by themselves, until somebody pauses them. No page needs it.

const live = document.querySelector("[data-refresh]");
if (live) {
  const state = document.createElement("span");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  const watch = document.createElement("p");
  watch.className = "watch";
  watch.append(state, button);
  live.before(watch);
  let paused = false;

  const show = () => {
    state.textContent = `As of ${new Date().toISOString().slice(11, 19)} UTC`;
    button.textContent = paused ? "Go on" : "Pause";
  };
  // Whoever is on a link, has opened or marked something, or types is not to lose it.
  const isInUse = () =>
    live.contains(document.activeElement) || live.querySelector("details[open]") || !getSelection().isCollapsed;
  const look = async () => {
    if (paused || document.hidden || isInUse()) return;
    try {
      const answer = await fetch(location.href);
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.getElementById(live.id);
      if (!now || paused || isInUse()) return;
      const scrolled = [...live.querySelectorAll(".scroll")].map((it) => it.scrollLeft);
      live.replaceChildren(...now.childNodes);
      live.querySelectorAll(".scroll").forEach((it, index) => (it.scrollLeft = scrolled[index] ?? 0));
      show();
    } catch {
      // The shop is away; the next look may find it.
    }
  };
  button.addEventListener("click", () => {
    paused = !paused;
    show();
    look();
  });
  show();
  setInterval(look, live.dataset.refresh * 1000);
}
