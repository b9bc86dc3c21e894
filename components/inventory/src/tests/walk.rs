//! A random walk: whatever is done in whatever order, the levels are what a simple model says, and the ledger adds up to them.

use std::collections::BTreeMap;

use super::*;

const PRODUCTS: u128 = 3;
const STEPS: u128 = 200;

/// Xorshift: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    /// A number below this.
    fn roll(&mut self, below: u128) -> u128 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u128::from(self.0) % below
    }

    /// One to four each of some products.
    fn lines(&mut self) -> Lines {
        let bits = self.roll((1 << PRODUCTS) - 1) + 1;
        let chosen = (0..PRODUCTS).filter(|product| bits & (1 << product) != 0);
        chosen
            .map(|product| (id(product), self.roll(4) as i64 + 1))
            .collect()
    }
}

type Lines = Vec<(Uuid, i64)>;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Committed,
    Released,
    Expired,
}

/// What should be so. Each operation returns the status that it should be answered with.
#[derive(Default)]
struct Model {
    on_hand: BTreeMap<Uuid, i64>,
    orders: BTreeMap<u128, (State, Lines)>,
}

impl Model {
    fn reserved(&self, product: Uuid) -> i64 {
        let open = self
            .orders
            .values()
            .filter(|(state, _)| *state == State::Open);
        let lines = open.flat_map(|(_, lines)| lines);
        lines
            .filter(|(id, _)| *id == product)
            .map(|(_, quantity)| quantity)
            .sum()
    }

    fn has(&self, lines: &Lines) -> bool {
        let available = |product: Uuid| self.on_hand[&product] - self.reserved(product);
        lines
            .iter()
            .all(|(product, quantity)| available(*product) >= *quantity)
    }

    fn add(&mut self, lines: &Lines, sign: i64) {
        for (product, quantity) in lines {
            *self.on_hand.get_mut(product).unwrap() += sign * quantity;
        }
    }

    fn reserve(&mut self, order: u128, lines: Lines) -> u16 {
        let status = match self.orders.get(&order) {
            None => 201,
            Some((State::Released, _)) => return 409,
            Some((_, others)) if *others != lines => return 409,
            Some((State::Expired, _)) => 200,
            Some(_) => return 200,
        };
        if !self.has(&lines) {
            return 409;
        }
        self.orders.insert(order, (State::Open, lines));
        status
    }

    fn commit(&mut self, order: u128) -> u16 {
        let Some((state, lines)) = self.orders.get(&order).cloned() else {
            return 404;
        };
        match state {
            State::Released => return 409,
            State::Committed => return 200,
            State::Expired if !self.has(&lines) => return 409,
            _ => self.add(&lines, -1),
        }
        self.orders.insert(order, (State::Committed, lines));
        200
    }

    fn release(&mut self, order: u128) -> u16 {
        let tombstone = (State::Released, Lines::new());
        let (state, lines) = self.orders.get(&order).cloned().unwrap_or(tombstone);
        if state == State::Committed {
            self.add(&lines, 1);
        }
        self.orders.insert(order, (State::Released, lines));
        200
    }

    fn set(&mut self, product: Uuid, on_hand: i64) -> u16 {
        if on_hand < self.reserved(product) {
            return 409;
        }
        self.on_hand.insert(product, on_hand);
        200
    }
}

/// Does something with one of these orders; returns the status and the one expected.
fn step(dice: &mut Dice, model: &mut Model, orders: std::ops::Range<u128>) -> (u16, u16) {
    let order = orders.start + dice.roll(orders.end - orders.start);
    let product = id(dice.roll(PRODUCTS));
    match dice.roll(12) {
        0..4 => {
            // Mostly the lines that the order had before: only so is an expired one made again.
            let same = dice.roll(3) > 0;
            let known = model.orders.get(&order).map(|(_, lines)| lines.clone());
            let lines = known.filter(|lines| same && !lines.is_empty());
            let lines = lines.unwrap_or_else(|| dice.lines());
            (reserve(order, &lines).status, model.reserve(order, lines))
        }
        4..6 => (commit(order).status, model.commit(order)),
        6 => (release(order).status, model.release(order)),
        7..9 => {
            if let Some((state @ State::Open, _)) = model.orders.get_mut(&order) {
                *state = State::Expired;
                let_expire(order);
            }
            (Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204)
        }
        9..11 => {
            let delta = if dice.roll(2) == 0 { 4 } else { -3 };
            let answer = adjust(product, json!({"delta": delta, "reason": "walk"}), None);
            (
                answer.status,
                model.set(product, model.on_hand[&product] + delta),
            )
        }
        _ => {
            let on_hand = dice.roll(15) as i64;
            let path = format!("/api/inventory/{product}");
            let answer = admin("PUT", &path, json!({"on_hand": on_hand}));
            (answer.status, model.set(product, on_hand))
        }
    }
}

fn walk(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut model = Model::default();
    for product in 0..PRODUCTS {
        model.on_hand.insert(stocked(product, 10), 10);
    }
    let mut statuses = BTreeMap::new();
    for number in 0..STEPS {
        // An order that was released is over, so new ones come up as the walk goes on.
        let orders = number / 8..number / 8 + 8;
        let (status, expected) = step(&mut dice, &mut model, orders);
        assert_eq!(status, expected, "seed {seed}, step {number}");
        *statuses.entry(status).or_insert(0) += 1;
        for product in (0..PRODUCTS).map(id) {
            let expected = (model.on_hand[&product], model.reserved(product));
            assert_eq!(level(product), expected, "seed {seed}, step {number}");
        }
    }
    assert!(
        statuses[&201] > 10 && statuses[&409] > 20,
        "it went everywhere: {statuses:?}"
    );

    let audit = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/inventory/audit")
        .body;
    assert_eq!(
        audit,
        json!({"products": PRODUCTS as u64, "mismatches": []}),
        "seed {seed}"
    );
    for product in (0..PRODUCTS).map(id) {
        let entries = whole_ledger(product);
        let sum = |field: &str| {
            entries
                .iter()
                .map(|entry| entry[field].as_i64().unwrap())
                .sum::<i64>()
        };
        assert_eq!(
            (sum("on_hand_change"), sum("reserved_change")),
            level(product),
            "seed {seed}"
        );
    }
}

/// All pages of it.
fn whole_ledger(product: Uuid) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/inventory/{product}/ledger?limit=50{cursor}");
        let page = Ask::of(&SERVICE).admin().send("GET", &path).body;
        entries.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return entries,
        }
    }
}

#[test]
fn the_books_balance_after_a_random_walk() {
    for seed in 1..=3 {
        // Each thread has a database of its own.
        std::thread::spawn(move || walk(seed)).join().unwrap();
    }
}
