// What scenes have in common, whoever plays in them. The test that starts one says where the shop and the programs are.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

export const { SHOP, ADMIN_EMAIL, ADMIN_PASSWORD, SCREENSHOTS } = process.env;
const { CHROMIUM, NODE_MODULES } = process.env;
const require = createRequire(join(NODE_MODULES, "of-the-tests.js"));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

export const GOOD = "4242 4242 4242 4242";
export const DECLINED = "4000 0000 0000 0002";
export const LATE = "4000 0000 0000 0119";
export const PASSWORD = "a long enough password";
const LIMIT = 60_000;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });

// A visitor's own browser window. Whatever its pages complain about fails the scene.
export async function visitor(options = {}) {
  const context = await browser.newContext({ baseURL: SHOP, viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    // A page that says so by its status is no complaint: the scene expects it.
    const expected = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
    if (message.type() === "error" && !expected) page.complaints.push(message.text());
  });
  return page;
}

export function noComplaints(page) {
  assert.deepEqual(page.complaints, []);
}

export const unique = () => `${Date.now()}-${Math.floor(Math.random() * 1e6)}`;

export async function api(method, path, body, token, more = {}) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }), ...more };
  const answer = await fetch(SHOP + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : {};
}

async function logIn(email, password) {
  return (await api("POST", "/api/sessions", { email, password })).access_token;
}

export async function admin() {
  return logIn(ADMIN_EMAIL, ADMIN_PASSWORD);
}

// A customer of the API, who has no browser.
export async function customer() {
  const email = `customer-${unique()}@souk.example`;
  await api("POST", "/api/users", { email, password: PASSWORD, name: "Ada Shopper" });
  return logIn(email, PASSWORD);
}

// An order that a customer has placed by the API.
export async function placed(token, card = GOOD) {
  const [product] = await products();
  const body = {
    items: [{ product_id: product.id, quantity: 1 }],
    shipping_address: { name: "Ada", line1: "Market Street 1", city: "Berlin", postal_code: "10115", country: "DE" },
    payment_method: { type: "card", number: card.replaceAll(" ", ""), exp_month: 9, exp_year: 2039, cvc: "737" },
  };
  return api("POST", "/api/orders", body, token, { "idempotency-key": unique() });
}

export async function products() {
  return (await api("GET", "/api/products?limit=30")).items;
}

export async function addToCart(page, product) {
  await page.goto(`/products/${product.id}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.waitForURL("**/cart?added=*");
}

export async function register(page, path = "/register") {
  await page.goto(path);
  await page.getByLabel("Your name").fill("Ada Shopper");
  await page.getByLabel("E-mail address").fill(`shopper-${unique()}@souk.example`);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Open account" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/register"));
}

export async function fillAddress(page) {
  await page.getByLabel("Full name").fill("Ada Shopper");
  await page.getByLabel("Street and number").fill("Market Street 1");
  await page.getByLabel("Postal code").fill("10115");
  await page.getByLabel("City").fill("Berlin");
  await page.getByLabel("Country").selectOption("DE");
}

export async function fillCard(page, number) {
  await page.getByLabel("Card number").fill(number);
  await page.getByLabel("Valid until").fill("09/39");
  await page.getByLabel("Security code").fill("737");
}

export async function order(page) {
  await page.getByRole("button", { name: "Order and pay" }).click();
}

// Loads a page again until something is there.
export async function until(page, path, wanted) {
  for (let tries = 0; tries < 50; tries++) {
    await page.goto(path);
    if (await wanted.count()) return;
    await page.waitForTimeout(200);
  }
  assert.fail(`${path} does not come to show what it should`);
}

// Waits for what changes gradually, as colours do from daylight to dark: half way nothing has to be readable.
async function rest(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
}

async function axe(page, what) {
  // By the protocol, which the page's policy does not concern.
  if (!(await page.evaluate(() => "axe" in globalThis))) await inject(page);
  const violations = await page.evaluate(async () => {
    // The one rule of WCAG 2.2 is off where nobody asks for it.
    const rules = { "target-size": { enabled: true } };
    const found = await globalThis.axe.run(document, { resultTypes: ["violations"], rules });
    return found.violations.map(({ id, nodes }) => ({ id, where: nodes.map((node) => `${node.html} ${node.failureSummary}`) }));
  });
  assert.deepEqual(violations, [], what);
}

async function fits(page, what) {
  const { inside, wide } = await page.evaluate(() => ({ inside: document.documentElement.scrollWidth, wide: innerWidth }));
  assert.ok(inside <= wide, `${what} is ${inside} wide on a screen of ${wide}`);
}

// Looks at pages as they are on a telephone, a tablet and a desk, in daylight and in the dark.
export async function look(page, pages) {
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(path);
    await examine(page, name);
  }
}

export async function examine(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 768, 320]) {
      await page.setViewportSize({ width, height: 900 });
      await rest(page);
      await fits(page, `${name} at ${width}`);
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      await axe(page, `${name}, ${width} wide, ${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function inject(page) {
  const { readFile } = await import("node:fs/promises");
  await page.evaluate(await readFile(AXE, "utf8"));
}

// Plays the scene that the command line names.
export async function play(scenes) {
  const scene = scenes[process.argv[2]];
  assert.ok(scene, `there is no scene ${process.argv[2]}`);
  try {
    await scene();
  } finally {
    await browser.close();
  }
}
