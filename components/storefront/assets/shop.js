"use strict";
// Makes some pages handier; none needs it.

const root = document.documentElement;
root.classList.add("script");

// The next page may take a moment: a line at the top says that it is on its way, until it comes or is not wanted any more.
globalThis.navigation?.addEventListener("navigate", (event) => {
  if (event.destination.sameDocument || event.downloadRequest !== null) return;
  root.classList.add("on-its-way");
  event.signal.addEventListener("abort", () => root.classList.remove("on-its-way"));
});

// A stepper for each quantity. In the cart a changed quantity is sent by itself.
for (const label of document.querySelectorAll(".quantity")) {
  const input = label.querySelector("input");
  const inCart = label.closest(".change") !== null;
  const name = label.textContent.trim();
  let timer;
  const send = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (input.value !== input.defaultValue && input.reportValidity()) input.form.requestSubmit();
    }, 600);
  };
  const step = (text, spoken, change) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "step-button";
    button.textContent = text;
    button.setAttribute("aria-label", `${spoken}: ${name}`);
    button.addEventListener("click", () => {
      change();
      if (inCart) send();
    });
    return button;
  };
  const box = document.createElement("span");
  box.className = "stepper";
  label.replaceWith(box);
  box.append(
    step("−", "One less", () => input.stepDown()),
    label,
    step("+", "One more", () => input.stepUp()),
  );
  if (inCart) input.addEventListener("change", send);
}

// Suggestions below the search field: a combobox with a list, as ARIA describes it.
const search = document.querySelector(".search");
if (search) {
  const input = search.querySelector("input");
  const list = document.createElement("ul");
  list.id = "suggestions";
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggested products");
  list.hidden = true;
  search.append(list);
  input.autocomplete = "off";
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) {
    input.setAttribute(name, value);
  }
  let active = -1;
  let timer;
  let asked = 0;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    activate(-1);
  };
  const activate = (index) => {
    active = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    if (index < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[index].id);
  };
  const option = (item, index) => {
    const element = document.createElement("li");
    element.id = `suggestion-${index}`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", "false");
    element.dataset.href = item.href;
    const picture = document.createElement("img");
    picture.src = item.picture;
    picture.alt = "";
    picture.width = picture.height = 40;
    const name = document.createElement("span");
    name.textContent = item.name;
    const price = document.createElement("span");
    price.className = "price";
    price.textContent = item.price;
    element.append(picture, name, price);
    element.addEventListener("mousedown", (event) => event.preventDefault());
    element.addEventListener("click", () => location.assign(item.href));
    return element;
  };
  const ask = async () => {
    const turn = ++asked;
    try {
      const answer = await fetch(`/suggestions?${new URLSearchParams({ q: input.value.trim() })}`);
      const { items } = answer.ok ? await answer.json() : { items: [] };
      if (turn !== asked || document.activeElement !== input) return;
      list.replaceChildren(...items.map(option));
      activate(-1);
      list.hidden = items.length === 0;
      input.setAttribute("aria-expanded", String(items.length > 0));
    } catch {
      close();
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    if (input.value.trim().length < 2) {
      asked++;
      return close();
    }
    timer = setTimeout(ask, 150);
  });
  input.addEventListener("keydown", (event) => {
    const count = list.children.length;
    if (list.hidden || count === 0) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      // One place more than there are options: the field itself.
      const places = count + 1;
      const move = event.key === "ArrowDown" ? 1 : -1;
      activate(((active + 1 + move + places) % places) - 1);
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      location.assign(list.children[active].dataset.href);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  });
  input.addEventListener("blur", close);
}

// What happens to an order, as it happens: the part that says where it stands is fetched anew.
const follow = () => {
  const state = document.getElementById("state");
  if (!state?.dataset.stream) return;
  const events = new EventSource(state.dataset.stream);
  let seen = Number(state.dataset.seen);
  events.addEventListener("status", async (event) => {
    if (Number(event.lastEventId) <= seen) return;
    seen = Number(event.lastEventId);
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("state");
    if (!now) return;
    seen = Math.max(seen, Number(now.dataset.seen));
    state.className = now.className;
    state.replaceChildren(...now.childNodes);
    if (!now.dataset.stream) events.close();
    if (!page.querySelector("form.cancel")) document.querySelector("form.cancel")?.remove();
  });
};
follow();

// A form that was sent is not sent again while the answer is under way.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    const button = event.submitter;
    if (button?.classList.contains("wide")) button.setAttribute("aria-busy", "true");
  });
}
// A page that the browser brings back as it was left can be used again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  root.classList.remove("on-its-way");
  for (const form of document.querySelectorAll("form[method=post]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

// What is wrong with a form is read first.
document.querySelector(".alert")?.focus();
