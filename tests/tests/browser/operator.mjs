// What operators do at the console, one scene a run: `node operator.mjs <scene>`.
import assert from "node:assert/strict";
import {
  ADMIN_EMAIL,
  ADMIN_PASSWORD,
  admin,
  api,
  customer,
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

// Whatever the answer is.
const get = (path) => fetch(SHOP + path);

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
    for (const service of ["gateway", "orders", "inventory", "payments"]) {
      await waterfall.getByText(service, { exact: true }).first().waitFor();
    }
    // Of these two nobody knows but the services themselves.
    await waterfall.getByText("step authorize").first().waitFor();
    await waterfall.getByText("provider authorize").first().waitFor();
    await waterfall.locator("code", { hasText: "INSERT INTO orders" }).first().waitFor();
    assert.ok((await waterfall.locator("svg.bar rect:not(.track)").count()) > 10);
    noComplaints(page);
  },

  async seeWhoFails() {
    const page = await operator();
    await haveFail(page, { from: "gateway", to: "inventory", percent: "100" });
    for (let count = 0; count < REQUESTS; count++) await get("/api/inventory?product_ids=018f0000-0000-7000-8000-00000000000a");
    const failing = page.getByRole("row", { name: "gateway inventory" });
    await until(page, "/console/map", failing.getByText("open"));
    await page.getByText(/failed, (half )?open/).waitFor();
    await page.goto("/console");
    await banner(page).waitFor();
    await page.getByText(/gateway is in trouble with inventory/).waitFor();
    // The tile counts what failed, and leads to it.
    await until(page, "/console", page.locator(".numbers .bad", { hasText: "Failed" }));
    await page.locator(".numbers .bad", { hasText: "Failed" }).getByRole("link").click();
    await page.waitForURL("**/console/traces?*status=error*");
    await page.getByText(/\d+ failed/).first().waitFor();
    await endFaults(page);
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
