// What shoppers do, one scene a run: `node shopper.mjs <scene>`.
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  addToCart,
  admin,
  api,
  DECLINED,
  examine,
  fillAddress,
  fillCard,
  GOOD,
  LATE,
  look,
  noComplaints,
  order,
  PASSWORD,
  play,
  products,
  register,
  SCREENSHOTS,
  SHOP,
  unique,
  until,
  visitor,
} from "./stage.mjs";

// To the checkout with one thing in the cart, where it is said already where that goes.
async function toCheckout(page) {
  const [first] = await products();
  await addToCart(page, first);
  await register(page);
  await page.goto("/checkout");
  await fillAddress(page);
}

// From the front page to a confirmed order: as a guest first, who then opens an account and finds the cart as it was.
async function buy(page) {
  await page.goto("/");
  const name = await page.locator(".card a").first().textContent();
  await page.locator(".card a").first().click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.getByText(`${name} is in your cart.`).waitFor();
  await page.getByRole("link", { name: "To the checkout" }).click();
  await page.waitForURL("**/login?next=%2Fcheckout");
  await page.getByRole("link", { name: "Open an account" }).click();
  await register(page, page.url());
  await page.waitForURL("**/checkout");
  await fillAddress(page);
  await page.getByLabel("Keep this address").check();
  await fillCard(page, GOOD);
  await order(page);
  await page.waitForURL("**/orders/*");
  await page.getByText("Thank you. Your order is confirmed").waitFor();
  await page.getByText("VISA ending in 4242").waitFor();
  await page.goto("/account/addresses");
  await page.getByText("Market Street 1").first().waitFor();
  await page.goto("/orders");
  await page.getByText(name).waitFor();
  noComplaints(page);
}

const scenes = {
  async buyWithoutScript() {
    await buy(await visitor({ javaScriptEnabled: false }));
  },

  async buyWithScript() {
    const page = await visitor();
    await buy(page);
    // The cart hears of the order a moment later.
    await until(page, "/cart", page.getByText("Your cart is empty"));
    // A stepper changes the cart by itself, and an empty one says so.
    const [first] = await products();
    await addToCart(page, first);
    await page.getByRole("button", { name: "One more" }).click();
    await page.locator(".badge", { hasText: "2" }).waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByText("Your cart is empty").waitFor();
    noComplaints(page);
  },

  async declinedCard() {
    const page = await visitor();
    await toCheckout(page);
    await fillCard(page, DECLINED);
    await order(page);
    await page.getByRole("alert").getByText("Your card was declined").waitFor();
    assert.equal(await page.getByLabel("Card number").inputValue(), "", "a card is not kept");
    assert.equal(await page.getByLabel("Street and number").inputValue(), "Market Street 1");
    await examine(page, "declined");
    await fillCard(page, GOOD);
    await order(page);
    await page.getByText("Thank you. Your order is confirmed").waitFor();
    noComplaints(page);
  },

  async outOfStock() {
    const page = await visitor();
    const [first, second] = await products();
    await addToCart(page, first);
    await addToCart(page, second);
    await api("PUT", `/api/inventory/${first.id}`, { on_hand: 0 }, await admin());
    await page.goto("/cart");
    await page.getByText("Out of stock. Please remove it to go on.").waitFor();
    assert.equal(await page.getByRole("link", { name: "To the checkout" }).count(), 0);
    await examine(page, "out-of-stock");
    await page.getByRole("button", { name: `Remove ${first.name}` }).click();
    await page.getByRole("link", { name: "To the checkout" }).waitFor();
    await page.goto(`/products/${first.id}`);
    await page.getByText("Out of stock at the moment").waitFor();
    noComplaints(page);
  },

  async expiredSession() {
    const page = await visitor();
    await register(page);
    const context = page.context();
    // What a browser does when the access token has had its time.
    await context.clearCookies({ name: "souk_access" });
    await page.goto("/account");
    await page.getByRole("heading", { name: "Your account" }).waitFor();
    const names = (await context.cookies()).map((cookie) => cookie.name);
    assert.ok(names.includes("souk_access"), "the session was refreshed");
    for (const cookie of await context.cookies()) {
      assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", cookie.name);
    }
    // The session is ended elsewhere: by the next refresh it is noticed.
    await context.clearCookies({ name: "souk_access" });
    await context.addCookies([{ name: "souk_refresh", value: "nobody-has-this", url: SHOP }]);
    await page.goto("/orders");
    await page.waitForURL("**/login?next=%2Forders");
    await page.getByText("Please log in to go on").waitFor();
    noComplaints(page);
  },

  async liveStatus() {
    const page = await visitor();
    await toCheckout(page);
    await fillCard(page, GOOD);
    await order(page);
    await page.getByText("Thank you. Your order is confirmed").waitFor();
    const id = page.url().split("/").pop();
    const token = await admin();
    for (let tries = 0; ; tries++) {
      // It is shipped once its payment is captured.
      try {
        await api("POST", `/api/orders/${id}/ship`, { carrier: "Snail", tracking: "S-1" }, token);
        break;
      } catch (error) {
        if (tries > 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    await page.getByText("Your order is on its way to you.").waitFor();
    await page.getByText("Sent with Snail").waitFor();
    assert.equal(await page.getByRole("button", { name: "Cancel this order" }).count(), 0);
    await api("POST", `/api/orders/${id}/deliver`, undefined, token);
    await page.getByText("Your order has arrived.").waitFor();
    noComplaints(page);
  },

  async suggestions() {
    const page = await visitor();
    const [first] = await products();
    const word = first.name.split(/[^a-zA-Z]/).find((part) => part.length > 3);
    await page.goto("/");
    const field = page.getByRole("combobox", { name: "Search the shop" });
    await field.pressSequentially(word.slice(0, 4));
    await page.getByRole("option", { name: first.name }).waitFor();
    await examine(page, "suggestions");
    await field.press("ArrowDown");
    const list = page.getByRole("listbox", { name: "Suggested products" });
    assert.equal(await list.getByRole("option", { selected: true }).count(), 1);
    await field.press("Escape");
    assert.equal(await list.count(), 0);
    await field.press("Enter");
    await page.waitForURL(`**/?q=${word.slice(0, 4)}*`);
    noComplaints(page);
  },

  // From the front page to an order, without a pointer.
  async keyboardOnly() {
    const page = await visitor();
    await page.goto("/");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    const tabTo = async (what) => {
      for (let presses = 0; presses < 80; presses++) {
        const here = await page.evaluate(() => {
          const { activeElement: it } = document;
          const seen = getComputedStyle(it).outlineStyle !== "none" || getComputedStyle(it, "::after").outlineStyle !== "none";
          const label = it.labels?.[0]?.textContent ?? it.textContent;
          return { name: `${label ?? ""}`.trim(), seen };
        });
        if (here.name.startsWith(what)) {
          assert.ok(here.seen, `the focus on ${what} is not to be seen`);
          return;
        }
        await page.keyboard.press("Tab");
      }
      assert.fail(`the keyboard does not come to ${what}`);
    };
    const name = await page.locator(".card a").first().textContent();
    await tabTo(name);
    await page.keyboard.press("Enter");
    await page.waitForURL("**/products/*");
    await tabTo("Add to cart");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/cart?added=*");
    await tabTo("To the checkout");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/login*");
    await tabTo("Open an account");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/register*");
    const type = async (label, text) => {
      await tabTo(label);
      await page.keyboard.type(text);
    };
    await type("Your name", "Ada Shopper");
    await type("E-mail address", `keys-${unique()}@souk.example`);
    await type("Password", PASSWORD);
    await page.keyboard.press("Enter");
    await page.waitForURL("**/checkout");
    await type("Full name", "Ada Shopper");
    await type("Street and number", "Market Street 1");
    await type("Postal code", "10115");
    await type("City", "Berlin");
    await type("Country", "Germany");
    await type("Card number", GOOD);
    await type("Valid until", "09/39");
    await type("Security code", "737");
    await page.keyboard.press("Enter");
    await page.getByText("Thank you. Your order is confirmed").waitFor();
    noComplaints(page);
  },

  async account() {
    const page = await visitor({ javaScriptEnabled: false });
    await register(page);
    await page.goto("/account");
    await page.getByLabel("Your name").fill("Ada Renamed");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Your name is changed.").waitFor();
    assert.equal(await page.getByLabel("Your name").inputValue(), "Ada Renamed");

    await page.getByRole("link", { name: "Password" }).click();
    await page.getByLabel("Present password").fill("not this one at all");
    await page.getByLabel("New password").fill("another good password");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("This is not the present password.").waitFor();
    await page.getByLabel("Present password").fill(PASSWORD);
    await page.getByLabel("New password").fill("another good password");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("Your password is changed.").waitFor();

    await page.goto("/account/addresses/new");
    await fillAddress(page);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Usual address").waitFor();
    await page.getByRole("link", { name: "Change Market Street 1" }).click();
    await page.getByLabel("City").fill("Potsdam");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("10115 Potsdam").waitFor();
    await page.getByRole("button", { name: "Delete Market Street 1" }).click();
    await page.getByText("No address yet").waitFor();

    await page.goto("/account");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download your data" }).click();
    assert.equal((await download).suggestedFilename(), "account.json");

    await page.getByRole("link", { name: "Delete the account" }).click();
    await page.getByRole("button", { name: "Delete my account" }).click();
    await page.getByText("Please tick this box").waitFor();
    await page.getByLabel("I am sure").check();
    await page.getByRole("button", { name: "Delete my account" }).click();
    await page.waitForURL("**/login?done=deleted");
    await page.getByText("Your account is deleted.").waitFor();
    await page.goto("/account");
    await page.waitForURL("**/login?next=%2Faccount");
    noComplaints(page);
  },

  async lightFirstPage() {
    const page = await visitor();
    let html = 0;
    let all = 0;
    const reads = [];
    page.on("response", (response) => {
      const type = response.headers()["content-type"] ?? "";
      if (type.startsWith("image/") && !response.url().endsWith("/assets/icon.svg")) return;
      reads.push(
        response.body().then((body) => {
          all += body.length;
          if (type.startsWith("text/html")) html += body.length;
        }),
      );
    });
    await page.addInitScript(() => {
      globalThis.moved = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => (globalThis.moved += entry.value))).observe({
        type: "layout-shift",
        buffered: true,
      });
    });
    await page.goto("/", { waitUntil: "networkidle" });
    await Promise.all(reads);
    assert.ok(html > 1_000 && html <= 30_000, `the HTML has ${html} bytes`);
    assert.ok(all <= 100_000, `all has ${all} bytes`);
    const moved = await page.evaluate(() => globalThis.moved);
    assert.ok(moved < 0.01, `the layout moved by ${moved}`);
    console.log(`first page: ${html} bytes of HTML, ${all} without pictures, moved by ${moved}`);
    // What has not changed is not sent again.
    const { etag } = (await page.request.get("/")).headers();
    const again = await page.request.get("/", { headers: { "if-none-match": etag } });
    assert.equal(again.status(), 304);
    noComplaints(page);
  },

  async everyPage() {
    const page = await visitor();
    const [first, second, third] = await products();
    const pages = {
      front: "/",
      category: `/?category=${first.category}`,
      search: "/?q=a",
      "nothing-found": "/?q=zzzzzz",
      product: `/products/${first.id}`,
      "empty-cart": "/cart",
      login: "/login?next=%2Fcheckout",
      register: "/register",
      "not-found": "/nowhere",
    };
    await look(page, pages);

    await addToCart(page, first);
    await addToCart(page, second);
    await register(page);
    await look(page, {
      "no-orders": "/orders",
      "no-notifications": "/notifications",
      "no-addresses": "/account/addresses",
      cart: "/cart",
      checkout: "/checkout",
    });
    await page.goto("/checkout");
    await page.locator("form#checkout").evaluate((form) => (form.noValidate = true));
    await order(page);
    await page.getByText("Please look at these again:").waitFor();
    await examine(page, "checkout-with-errors");

    await page.goto("/checkout");
    await fillAddress(page);
    await page.getByLabel("Keep this address").check();
    await fillCard(page, GOOD);
    await order(page);
    await page.getByText("Thank you. Your order is confirmed").waitFor();
    const orderPage = new URL(page.url()).pathname;
    await addToCart(page, third);
    await until(page, "/notifications", page.locator(".message"));
    await look(page, {
      order: orderPage,
      orders: "/orders",
      notifications: "/notifications",
      addresses: "/account/addresses",
      "new-address": "/account/addresses/new",
      account: "/account",
      password: "/account/password",
      "delete-account": "/account/delete",
      "checkout-with-address": "/checkout",
    });
    noComplaints(page);
  },

  // Pages where something is not as it should be.
  async everyState() {
    const page = await visitor();
    const [first] = await products();
    await page.goto("/login");
    await page.getByLabel("E-mail").fill("nobody@souk.example");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").waitFor();
    await examine(page, "login-failed");
    await page.goto("/register");
    await page.locator("main form").evaluate((form) => (form.noValidate = true));
    await page.getByRole("button", { name: "Open account" }).click();
    await page.getByText("Please look at these again:").waitFor();
    await examine(page, "register-with-errors");

    await toCheckout(page);
    await page.getByLabel("Keep this address").check();
    await fillCard(page, LATE);
    await order(page);
    await page.getByText("Your order is safe, and we are finishing it.").waitFor();
    await examine(page, "order-unfinished");
    await page.goto("/account/addresses");
    await page.getByRole("link", { name: "Change Market Street 1, Berlin" }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    await examine(page, "address");
    noComplaints(page);

    const away = (to) => ({ from: "gateway", to, error_percent: 100, seconds: 600 });
    const faults = ["products", "carts"].map(away);
    await api("PUT", "/api/ops/faults", { faults }, await admin());
    await look(page, { "away-search": "/?q=tea", "away-product": `/products/${first.id}`, "away-cart": "/cart" });
  },

  // Where the next page takes a while something says that it is on its way, until it comes or is not wanted any more.
  async slowPage() {
    const page = await visitor();
    let letGo;
    const held = new Promise((resolve) => (letGo = resolve));
    // Who has left does not care any more whether it comes.
    await page.route("**/products/*", async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    // Playwright gets no answer from a page that awaits the next one, so the page itself has to say when it is seen.
    await page.route("**/seen", (route) => route.fulfill());
    const go = async (after) => {
      const isSeen = page.waitForRequest("**/seen");
      await page.evaluate((after) => {
        const look = setInterval(async () => {
          const { content, visibility } = getComputedStyle(document.documentElement, "::before");
          if (content === "none" || visibility !== "visible") return;
          clearInterval(look);
          await fetch("/seen");
          if (after === "stay") stop();
        }, 20);
      }, after);
      await page.locator(".card a").first().click({ noWaitAfter: true });
      await isSeen;
    };
    const line = () => page.evaluate(() => getComputedStyle(document.documentElement, "::before").content);

    await page.goto("/");
    assert.equal(await line(), "none");
    await go("stay");
    await page.waitForFunction(() => getComputedStyle(document.documentElement, "::before").content === "none");
    await go("leave");
    letGo();
    await page.getByRole("button", { name: "Add to cart" }).waitFor();
    assert.equal(await line(), "none");
    // To go to a place on the page takes no time, also a second time.
    for (let times = 0; times < 2; times++) {
      await page.evaluate(() => document.querySelector("a[href='#main']").click());
      assert.equal(await line(), "none");
    }
    // Nor is it there on a page that the browser brings back as it was left, which Playwright keeps it from doing.
    await page.evaluate(() => {
      document.documentElement.classList.add("on-its-way");
      dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    });
    assert.equal(await line(), "none");
    noComplaints(page);
  },

  // Everything can be read in its order where the style sheet does not come.
  async withoutStyle() {
    const page = await visitor();
    const [first] = await products();
    await addToCart(page, first);
    await page.route("**/*.css*", (route) => route.abort());
    for (const [name, path] of Object.entries({ front: "/", product: `/products/${first.id}`, cart: "/cart", register: "/register" })) {
      await page.goto(path);
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--gap")), "");
      assert.deepEqual(await unreadable(page), [], name);
      await page.screenshot({ path: join(SCREENSHOTS, `no-style-${name}.png`), fullPage: true });
    }
  },
};

// Headings and fields that are not seen, or pictures that hide the text.
async function unreadable(page) {
  return page.evaluate(() => {
    const seen = (it) => it.checkVisibility() && it.getBoundingClientRect().height > 0;
    const wanted = document.querySelectorAll("main h1, main h2, main label, main p, main button, header a");
    const hidden = [...wanted].filter((it) => !seen(it) && !it.closest("[hidden], details"));
    const icons = [...document.querySelectorAll("svg")].filter((it) => it.getBoundingClientRect().width > 100);
    return [...hidden, ...icons].map((it) => it.outerHTML.slice(0, 120));
  });
}

await play(scenes);
