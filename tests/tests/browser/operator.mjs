// What operators do at the console, one scene a run: `node operator.mjs <scene>`.
import assert from "node:assert/strict";
import {
  ADMIN_EMAIL,
  ADMIN_PASSWORD,
  admin,
  api,
  customer,
  LATE,
  look,
  noComplaints,
  placed,
  play,
  register,
  SHOP,
  until,
  visitor,
} from "./stage.mjs";

const REQUESTS = 12;

// An administrator who has come to the console, which had them log in first.
async function operator(options) {
  const page = await visitor(options);
  await page.goto("/console");
  await page.waitForURL("**/login?next=%2Fconsole");
  await page.getByLabel("E-mail address").fill(ADMIN_EMAIL);
  await page.getByLabel("Password").fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return page;
}

const number = (order) => order.id.slice(24).toUpperCase();
const tracesOf = (page) => page.getByRole("region", { name: "Traces" }).getByRole("link");

async function haveFail(page, { from, to, percent = "0", seconds = "120", blackhole = false }) {
  await page.goto("/console/faults");
  await page.getByLabel("Calls of").selectOption(from);
  await page.getByLabel("to", { exact: true }).selectOption(to);
  await page.getByLabel("How many percent fail").fill(percent);
  await page.getByLabel("For how many seconds").fill(seconds);
  if (blackhole) await page.getByLabel("They are never answered").check();
  await page.getByRole("button", { name: "Have them fail" }).click();
  await banner(page).getByText(`Calls of ${from} to ${to}`).waitFor();
}

async function endFaults(page) {
  await page.goto("/console/faults");
  await page.getByRole("button", { name: "End all of them" }).click();
  await page.getByText("Nothing fails on purpose.").waitFor();
  assert.equal(await banner(page).count(), 0);
}

const banner = (page) => page.getByRole("complementary", { name: "Failures on order" });

// Where there are digits that count nothing, or what is there beside them, and why it leads nowhere.
const LEADS_NOWHERE = {
  time: "a moment",
  "h1, h2, th, dt": "a name",
  "label, option, button, summary, pre": "what is typed, chosen, pressed or folded away",
  "figure.chart svg": "an axis; the link below the chart leads to what is drawn",
  "figure.chart .legend span": "what a line of the chart is called",
  ".waterfall": "how long a part took is how long the bar beside it is; the page is the trace that all of it is of",
  "ol.log": "what somebody wrote",
  ".words, [data-column=Details]": "what somebody said",
  "[aria-label='What fails on purpose']": "what somebody has ordered",
  "[aria-label=Movements] td": "the row is the movement itself, with what was there after it",
  "[data-column='Opened so far']": "nobody keeps when a breaker opened",
  "[data-column='Retries left of 50']": "a retry that is left has not been made",
};

// What is shown with digits, leads nowhere, and is not said above to do so.
async function strays(page) {
  return page.evaluate((exceptions) => {
    for (const table of document.querySelectorAll("main table")) {
      const columns = [...table.querySelectorAll("thead th")].map((it) => it.textContent);
      for (const row of table.querySelectorAll("tbody tr")) {
        [...row.children].forEach((cell, index) => (cell.dataset.column = columns[index]));
      }
    }
    const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const isId = (text) => /^[0-9a-f-]{16,}$/.test(text);
    const found = [];
    while (texts.nextNode()) {
      const text = texts.currentNode.textContent.trim();
      const element = texts.currentNode.parentElement;
      if (/\d/.test(text) && !isId(text) && !element.closest(["a", ...exceptions].join())) {
        found.push(`${text} in ${element.outerHTML}`);
      }
    }
    return found;
  }, Object.keys(LEADS_NOWHERE));
}

// Where the numbers of a page lead: of those that differ only in what they ask for, the first.
async function waysOn(page) {
  const hrefs = await page.locator("main a[href]").evaluateAll((links) =>
    links.filter((link) => /\d/.test(link.textContent)).map((link) => link.href.baseVal ?? link.href),
  );
  const ways = new Map();
  for (const href of hrefs) {
    const url = new URL(href, page.url());
    const way = url.pathname.replace(/[0-9a-f-]{16,}/, "*") + [...url.searchParams.keys()].join();
    if (!ways.has(way)) ways.set(way, url);
  }
  return [...ways.values()];
}

const amount = (text) => parseFloat(text.match(/\d[\d.]*/)?.[0] ?? "0");

async function sumOf(cells) {
  const texts = await cells.allTextContents();
  return texts.reduce((sum, text) => sum + amount(text), 0);
}

// Follows a number until it and the page that it leads to say the same: things happen in between.
async function agree(page, path, numberOn, counted) {
  for (let tries = 0; ; tries++) {
    await page.goto(path);
    const link = await numberOn(page);
    const number = (await link.count()) ? amount(await link.textContent()) : 0;
    if (number > 0) {
      await link.click();
      const there = await counted();
      if (there === number) return;
      assert.ok(tries < 100, `${path} says ${number}, and ${page.url()} has ${there}`);
    }
    assert.ok(tries < 100, `${path} has nothing to count`);
    await page.waitForTimeout(300);
  }
}

// The number in a column of a table, in the first row in which there are these words.
const inTable = (name, words, column) => async (page) => {
  const table = page.getByRole("region", { name });
  const columns = await table.locator("thead th").allTextContents();
  const row = table.locator("tbody tr").filter({ hasText: words }).first();
  return row.locator("> *").nth(columns.indexOf(column)).getByRole("link");
};

// What is measured is listed, though perhaps more of it than the number says.
async function leadsSomewhere(page, path, numberOn) {
  for (let tries = 0; ; tries++) {
    await page.goto(path);
    const link = await numberOn(page);
    if (await link.count()) {
      await link.click();
      if (await page.locator("main tbody tr").count()) return;
    }
    assert.ok(tries < 100, `${path} leads to nothing: ${page.url()}`);
    await page.waitForTimeout(300);
  }
}

// As many traces of failed requests to the gateway are listed as it is said to have failed in.
async function failuresAgree(page, token) {
  const from = new Date(Date.now() - 600_000).toISOString();
  const query = `service=gateway&from=${from}`;
  for (let tries = 0; ; tries++) {
    const { items } = await api("GET", `/api/ops/metrics?${query}`, undefined, token);
    const failed = items.reduce((sum, { errors }) => sum + errors, 0);
    await page.goto("/console");
    await (await inTable("Requests by service", "gateway", "Failed")(page)).click();
    const listed = await page.locator("main tbody tr").count();
    if (failed >= REQUESTS && listed === failed) return;
    assert.ok(tries < 100, `${failed} requests failed, and ${page.url()} has ${listed}`);
    await page.waitForTimeout(300);
  }
}

const inTile = (name) => (page) => page.locator(".numbers div").filter({ hasText: name }).getByRole("link");

// Asks until so many requests have failed: a fault is known everywhere a moment after it was ordered.
async function failToBeThere(count) {
  for (let failed = 0, tries = 0; failed < count; tries++) {
    assert.ok(tries < 20 * count, "nothing fails");
    const answer = await fetch(`${SHOP}/api/inventory?product_ids=018f0000-0000-7000-8000-00000000000a`);
    if (answer.status >= 500) failed++;
  }
}

const scenes = {
  async onlyOperatorsComeIn() {
    const page = await visitor({ javaScriptEnabled: false });
    await register(page);
    const answer = await page.goto("/console/traces");
    assert.equal(answer.status(), 404);
    await page.getByRole("heading", { name: "There is nothing on this shelf" }).waitFor();
    await page.goto("/account");
    assert.equal(await page.getByRole("link", { name: "Console" }).count(), 0);
    const other = await operator({ javaScriptEnabled: false });
    await other.goto("/account");
    await other.getByRole("link", { name: "Console" }).click();
    await other.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    noComplaints(other);
  },

  async findTheTraceOfAnOrder() {
    const order = await placed(await customer());
    const page = await operator({ javaScriptEnabled: false });
    // Traces arrive a moment later.
    await until(page, `/console/orders/${order.id}`, tracesOf(page));
    await page.goto("/console");
    await page.getByLabel("Find an order").fill(number(order));
    // One, two: the third click is to spare.
    await page.getByRole("button", { name: "Find" }).click();
    await tracesOf(page).first().click();
    await page.waitForURL("**/console/traces/*");
    const waterfall = page.getByRole("region", { name: "Waterfall" });
    // A trace comes in parts, so the page may have been asked for between two of them.
    const shows = (what) => until(page, page.url(), what);
    for (const service of ["gateway", "orders", "products", "inventory", "payments"]) {
      await shows(waterfall.getByText(service, { exact: true }));
    }
    // Of these two nobody knows but the services themselves.
    await shows(waterfall.getByText("step authorize"));
    await shows(waterfall.getByText("provider authorize"));
    await shows(waterfall.locator("code", { hasText: "INSERT INTO orders" }));
    assert.ok((await waterfall.locator("svg.bar rect:not(.track)").count()) > 10);
    noComplaints(page);
  },

  async seeWhoFails() {
    const page = await operator();
    // Of the calls of one service to another there is one failure on order: the last.
    await haveFail(page, { from: "gateway", to: "inventory", percent: "1" });
    await haveFail(page, { from: "gateway", to: "inventory", percent: "100" });
    assert.equal(await banner(page).getByRole("listitem").count(), 1);
    await failToBeThere(REQUESTS);
    const failing = page.getByRole("row", { name: "gateway inventory" });
    await until(page, "/console/map", failing.getByText("open"));
    await page.getByText(/failed, (half )?open/).waitFor();
    await page.goto("/console");
    await banner(page).waitFor();
    await page.getByText(/gateway is in trouble with inventory: [1-9]\d* failed, \d+ slow of [1-9]\d* calls/).waitFor();
    const failed = await page.getByRole("link", { name: /^[1-9]\d* failed$/ }).getAttribute("href");
    await until(page, failed, page.getByText(/call=failed:inventory .*why=503/).first());
    // The tile counts what failed, and leads to it.
    await until(page, "/console", page.locator(".numbers .bad", { hasText: "Failed" }));
    await page.locator(".numbers .bad", { hasText: "Failed" }).getByRole("link").click();
    await page.waitForURL("**/console/traces?*status=error*");
    await page.getByText(/\d+ failed/).first().waitFor();
    await endFaults(page);
    noComplaints(page);
  },

  async mistypeAFilter() {
    const page = await operator();
    for (const wrong of ["/console/traces?from=yesterday", "/console/logs?attribute=odd"]) {
      const answer = await page.request.get(wrong);
      assert.equal(answer.status(), 400);
      const text = await answer.text();
      assert.ok(text.includes(wrong.includes("from") ? "from" : "attribute"), text);
      assert.ok(text.includes(`href="${wrong.split("?")[0]}"`), "the way on asks for nothing that is wrong");
    }
    noComplaints(page);
  },

  async redeliverADeadLetter() {
    const page = await operator({ javaScriptEnabled: false });
    await haveFail(page, { from: "events", to: "notifications", blackhole: true });
    const token = await customer();
    const order = await placed(token);
    const letter = page.getByRole("row", { name: number(order) }).filter({ hasText: "order.confirmed" });
    for (let tries = 0; !(await letter.count()); tries++) {
      assert.ok(tries < 60, "no dead letter comes");
      await page.waitForTimeout(500);
      await page.goto("/console/events/dead-letters");
    }
    await endFaults(page);
    await page.goto("/console/events/dead-letters");
    await letter.getByRole("button", { name: "Redeliver" }).click();
    await page.getByText("It is delivered again.").waitFor();
    for (let tries = 0; ; tries++) {
      const { items } = await api("GET", "/api/notifications", undefined, token);
      if (items.some((one) => one.order_id === order.id)) break;
      assert.ok(tries < 60, "the notification does not come");
      await page.waitForTimeout(500);
    }
    await page.goto("/console/events/dead-letters");
    assert.equal(await letter.count(), 0);
    noComplaints(page);
  },

  async everyNumber() {
    const page = await operator({ javaScriptEnabled: false });
    const operators = await admin();
    const haveFail = (...faults) => api("PUT", "/api/ops/faults", { faults }, operators);
    const notTaken = { from: "events", to: "notifications", blackhole: true, seconds: 600 };
    await haveFail(notTaken);
    const token = await customer();
    const order = await placed(token);
    for (let count = 0; count < 3; count++) await placed(token);
    // One checkout comes as far as the payment, whose provider is late, and then not further.
    const { id } = await placed(token, LATE);
    const notPaid = { from: "orders", to: "payments", error_percent: 100, seconds: 600 };
    await haveFail(notTaken, notPaid);
    await haveFail(notTaken, notPaid, { from: "gateway", to: "inventory", error_percent: 100, seconds: 600 });
    await failToBeThere(REQUESTS);
    await haveFail(notTaken, notPaid);

    const subscriptions = "/console/events/subscriptions";
    const rows = () => page.locator("main tbody tr").count();
    await agree(page, subscriptions, inTable("Consumers", "notifications", "Behind"), rows);
    await agree(page, subscriptions, inTable("Consumers", "notifications", "Held back"), rows);
    await agree(page, subscriptions, inTable("Consumers", "notifications", "Dead letters"), rows);
    await agree(page, "/console", inTile("Dead letters"), rows);
    await agree(page, "/console/events/dead-letters", inTable("Dead letters", "notifications", "Tries"), () => page.locator("ol.log > li").count());
    await agree(page, "/console", inTile("Unfinished checkouts"), rows);
    const product = order.items[0].product_id;
    const amounts = () => sumOf(page.locator("main tbody td.digits"));
    await agree(page, "/console/stock", inTable("Stock", order.items[0].name, "Promised"), amounts);
    await agree(page, "/console", inTile("Money taken"), amounts);
    await leadsSomewhere(page, "/console/services", inTable("Services", "orders", "Answers within"));
    await leadsSomewhere(page, "/console/map", inTable("Calls between services", "gateway", "p99"));
    await failuresAgree(page, operators);

    await until(page, `/console/orders/${order.id}`, tracesOf(page));
    const trace = await tracesOf(page).first().getAttribute("href");
    const lost = [];
    for (const path of [
      "/console",
      "/console/map",
      "/console/traces",
      trace,
      "/console/logs",
      "/console/orders",
      `/console/orders/${order.id}`,
      `/console/orders/${id}`,
      "/console/orders/sagas",
      "/console/events",
      subscriptions,
      `${subscriptions}/notifications`,
      "/console/events/dead-letters",
      "/console/stock",
      `/console/stock/${product}`,
      `/console/stock/${product}/reservations`,
      "/console/services",
      "/console/services/gateway",
      "/console/faults",
    ]) {
      await page.goto(path);
      lost.push(...(await strays(page)).map((stray) => `${path}: ${stray}`));
      for (const way of await waysOn(page)) {
        const answer = await page.request.get(String(way));
        if (answer.status() !== 200) lost.push(`${path} leads to ${way}: ${answer.status()}`);
      }
    }
    assert.deepEqual(lost, []);
    noComplaints(page);
    const reader = await operator();
    await look(reader, {
      "console-in-trouble": "/console",
      "console-breakers": "/console/services",
      "console-unfinished": "/console/orders/sagas",
      "console-behind": subscriptions,
      "console-held": `${subscriptions}/notifications`,
      "console-refused": "/console/events/dead-letters",
      "console-tries": "/console/logs?service=events",
      "console-promised": `/console/stock/${product}/reservations`,
    });
    noComplaints(reader);
  },

  async followTheLog() {
    const page = await operator();
    await page.goto("/console/logs");
    await page.getByRole("link", { name: "Follow" }).click();
    await page.waitForURL("**/console/logs?follow=1");
    await page.getByText(/As of .* UTC/).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
    noComplaints(page);
  },

  async everyPage() {
    const order = await placed(await customer());
    const page = await operator();
    await until(page, `/console/orders/${order.id}`, tracesOf(page));
    const trace = await tracesOf(page).first().getAttribute("href");
    const product = order.items[0].product_id;
    await haveFail(page, { from: "carts", to: "products", percent: "1" });
    await until(page, "/console/map", page.getByRole("row", { name: "gateway orders" }));
    await look(page, {
      "console-overview": "/console",
      "console-map": "/console/map",
      "console-traces": "/console/traces",
      "console-no-traces": "/console/traces?service=nobody",
      "console-trace": trace,
      "console-logs": "/console/logs",
      "console-follow": "/console/logs?follow=1",
      "console-orders": "/console/orders",
      "console-order": `/console/orders/${order.id}`,
      "console-sagas": "/console/orders/sagas",
      "console-events": "/console/events",
      "console-subscriptions": "/console/events/subscriptions",
      "console-dead-letters": "/console/events/dead-letters",
      "console-stock": "/console/stock",
      "console-movements": `/console/stock/${product}`,
      "console-services": "/console/services",
      "console-service": "/console/services/gateway",
      "console-faults": "/console/faults",
      "console-nothing": "/console/traces/none",
    });
    await api("PUT", "/api/ops/faults", { faults: [] }, await admin());
    noComplaints(page);
  },
};

await play(scenes);
