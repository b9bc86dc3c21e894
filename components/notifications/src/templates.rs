//! What notifications say.
//!
//! Each is put together once, as a [`Letter`], and written twice: as text and as HTML, so that both say the same. What comes from
//! data may be anything: in HTML maud escapes it, and in text and titles it stays on its line.

use maud::{Markup, html};
use souk_chassis::Money;
use uuid::Uuid;

use crate::domain::{
    Line, OrderCancelled, OrderConfirmed, OrderShipped, PaymentCaptured, StockLow,
};

/// What a notification says, in each form.
#[derive(Debug)]
pub struct Content {
    /// On one line: it is the subject of a mail.
    pub title: String,
    pub text: String,
    /// A fragment.
    pub html: String,
}

/// What there is to say.
#[derive(Default)]
struct Letter<'a> {
    title: String,
    opening: String,
    lines: &'a [Line],
    /// Whether the lines have their prices.
    priced: bool,
    /// Such as the total.
    facts: Vec<(&'static str, String)>,
}

pub fn order_confirmed(event: &OrderConfirmed) -> Content {
    Letter {
        title: format!("Order {} is confirmed", number(event.order_id)),
        opening: "Thank you for your order.".into(),
        lines: &event.items,
        priced: true,
        facts: vec![
            ("Order", number(event.order_id)),
            ("Total", money(&event.total)),
        ],
    }
    .write()
}

pub fn payment_receipt(event: &PaymentCaptured) -> Content {
    let card = format!("{} ending in {}", event.card.brand, event.card.last4);
    Letter {
        title: format!("Receipt for order {}", number(event.order_id)),
        opening: "We have received your payment.".into(),
        facts: vec![
            ("Order", number(event.order_id)),
            ("Amount", money(&event.amount)),
            ("Card", card),
        ],
        ..Letter::default()
    }
    .write()
}

pub fn order_shipped(event: &OrderShipped) -> Content {
    Letter {
        title: format!("Order {} is on its way", number(event.order_id)),
        opening: "Your order was sent.".into(),
        lines: &event.items,
        facts: vec![
            ("Order", number(event.order_id)),
            ("Carrier", event.carrier.clone()),
            ("Tracking number", event.tracking.clone()),
        ],
        ..Letter::default()
    }
    .write()
}

pub fn order_cancelled(event: &OrderCancelled) -> Content {
    let mut facts = vec![("Order", number(event.order_id))];
    facts.extend(event.total.as_ref().map(|total| ("Total", money(total))));
    Letter {
        title: format!("Order {} was cancelled", number(event.order_id)),
        opening: format!(
            "{} You are not charged for it, and get back what you have paid.",
            in_words(&event.reason)
        ),
        lines: &event.items,
        priced: true,
        facts,
    }
    .write()
}

pub fn stock_low(event: &StockLow) -> Content {
    let left = match event.available {
        0 => "Nothing is left".to_owned(),
        available => format!("Only {available} left"),
    };
    Letter {
        title: format!("{left} of product {}", number(event.product_id)),
        opening: "A product is running out.".into(),
        facts: vec![
            ("Product", event.product_id.to_string()),
            ("Can be ordered", event.available.to_string()),
        ],
        ..Letter::default()
    }
    .write()
}

/// Why an order was cancelled; its customer need not know which service was down.
fn in_words(reason: &str) -> &'static str {
    match reason {
        "cancelled_by_customer" => "Your order was cancelled as you asked.",
        "cancelled_by_admin" => "The shop has cancelled your order.",
        "product_unavailable" | "out_of_stock" | "reservation_refused" => {
            "Your order was cancelled because something in it is not available any more."
        }
        "payment_declined" | "payment_refused" | "payment_capture_failed" => {
            "Your order was cancelled because the payment could not be made."
        }
        _ => "Your order was cancelled because it could not be completed.",
    }
}

impl Letter<'_> {
    fn write(&self) -> Content {
        Content {
            title: one_line(&self.title),
            text: self.text(),
            html: self.html().into_string(),
        }
    }

    fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| self.row(line)).collect();
        let facts = self.facts.iter();
        let facts: Vec<_> = facts
            .map(|(name, value)| format!("{name}: {}", one_line(value)))
            .collect();
        let parts = [self.opening.clone(), lines.join("\n"), facts.join("\n")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n\n") + "\n"
    }

    /// `2 × Chair, EUR 12.34 each: EUR 24.68`
    fn row(&self, line: &Line) -> String {
        let (each, total) = self.prices(line);
        let each = each.map_or(String::new(), |each| format!(", {each} each"));
        let total = total.map_or(String::new(), |total| format!(": {total}"));
        format!("{} × {}{each}{total}", line.quantity, name(line))
    }

    fn html(&self) -> Markup {
        html! {
            p { (one_line(&self.opening)) }
            @if !self.lines.is_empty() {
                table {
                    @for line in self.lines {
                        @let (each, total) = self.prices(line);
                        tr {
                            td { (line.quantity) " ×" }
                            td { (name(line)) }
                            @if let Some(each) = each { td { (each) " each" } }
                            @if let Some(total) = total { td { (total) } }
                        }
                    }
                }
            }
            table {
                @for (name, value) in &self.facts {
                    tr { th align="left" { (name) } td { (one_line(value)) } }
                }
            }
        }
    }

    fn prices(&self, line: &Line) -> (Option<String>, Option<String>) {
        let price = |price: &Option<Money>| price.as_ref().filter(|_| self.priced).map(money);
        (price(&line.unit_price), price(&line.line_total))
    }
}

/// What a line's product is called. One that could never be looked up has no name.
fn name(line: &Line) -> String {
    let called = line.name.as_deref().map(one_line);
    let called = called.filter(|name| !name.is_empty());
    called.unwrap_or_else(|| format!("product {}", number(line.product_id)))
}

/// By what people call an order or a product that has no better name: the end of its id.
fn number(id: Uuid) -> String {
    let id = id.simple().to_string().to_ascii_uppercase();
    id[id.len() - 12..].to_owned()
}

/// `EUR 12.34`
fn money(money: &Money) -> String {
    let currency = one_line(&money.currency);
    let digits = minor_digits(&currency);
    let unit = 10_u64.pow(digits as u32);
    let sign = if money.amount < 0 { "-" } else { "" };
    let amount = money.amount.unsigned_abs();
    match digits {
        0 => format!("{currency} {sign}{amount}"),
        _ => format!(
            "{currency} {sign}{}.{:0digits$}",
            amount / unit,
            amount % unit
        ),
    }
}

/// How many decimals a currency has, by ISO 4217.
fn minor_digits(currency: &str) -> usize {
    match currency {
        "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Text from outside as it may stand on a line: whatever breaks lines or turns their direction is a space.
fn one_line(text: &str) -> String {
    let breaks = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let words = text.split(|c: char| c.is_whitespace() || breaks(c));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::NewNotification;
    use serde_json::{Value, json};

    const HOSTILE: &str =
        "\"><script>alert('x')</script>\r\nBcc: all@example.org\u{2028}\u{202e}&\u{0}";
    const ID: &str = "0192f0c1-0000-7000-8000-0a1b2c3d4e5f";

    fn line(name: &str) -> Value {
        json!({"product_id": ID, "name": name, "quantity": 2,
            "unit_price": {"amount": 1234, "currency": "EUR"}, "line_total": {"amount": 2468, "currency": "EUR"}})
    }

    fn order(name: &str, more: Value) -> Value {
        let mut order = json!({"order_id": ID, "user_id": ID, "items": [line(name)],
            "total": {"amount": 2468, "currency": "EUR"}});
        let fields = more.as_object().unwrap().clone();
        order.as_object_mut().unwrap().extend(fields);
        order
    }

    fn written<T: serde::de::DeserializeOwned + Into<NewNotification>>(event: Value) -> Content {
        let event: T = serde_json::from_value(event).unwrap();
        event.into().content
    }

    /// One of each kind, with this wherever data can be any text.
    fn all_with(text: &str) -> [Content; 5] {
        let shipment = json!({"carrier": text, "tracking": text});
        let cancellation = json!({"reason": text, "was_confirmed": true});
        let payment = json!({"payment_id": ID, "order_id": ID, "user_id": ID, "amount": {"amount": 1, "currency": text},
            "card": {"brand": text, "last4": text}});
        let stock = json!({"product_id": ID, "available": 3, "version": 1});
        [
            written::<OrderConfirmed>(order(text, json!({}))),
            written::<OrderShipped>(order(text, shipment)),
            written::<OrderCancelled>(order(text, cancellation)),
            written::<PaymentCaptured>(payment),
            written::<StockLow>(stock),
        ]
    }

    #[test]
    fn a_confirmation_says_what_was_ordered() {
        let content = written::<OrderConfirmed>(order("Oak chair", json!({"from_cart": true})));
        assert_eq!(content.title, "Order 0A1B2C3D4E5F is confirmed");
        assert_eq!(
            content.text,
            "Thank you for your order.\n\n2 × Oak chair, EUR 12.34 each: EUR 24.68\n\n\
             Order: 0A1B2C3D4E5F\nTotal: EUR 24.68\n"
        );
        for said in ["Oak chair", "EUR 12.34 each", "<td>EUR 24.68</td>"] {
            assert!(content.html.contains(said), "{said}: {}", content.html);
        }
    }

    #[test]
    fn a_product_without_a_name_and_a_price_is_still_something() {
        let mut event = order("", json!({"reason": "out_of_stock", "was_confirmed": true}));
        event["total"] = Value::Null;
        event["items"][0]["name"] = Value::Null;
        event["items"][0]["unit_price"] = Value::Null;
        event["items"][0]["line_total"] = Value::Null;
        let content = written::<OrderCancelled>(event);
        let row = "\n2 × product 0A1B2C3D4E5F\n";
        assert!(content.text.contains(row), "{}", content.text);
        assert!(content.text.contains("not available any more"));
    }

    #[test]
    fn a_shipment_says_how_to_follow_it() {
        let shipment = json!({"carrier": "DHL", "tracking": "JD0001"});
        let content = written::<OrderShipped>(order("Oak chair", shipment));
        let facts = "2 × Oak chair\n\nOrder: 0A1B2C3D4E5F\nCarrier: DHL\nTracking number: JD0001\n";
        assert!(content.text.ends_with(facts), "{}", content.text);
    }

    #[test]
    fn a_receipt_names_the_card_by_its_last_digits() {
        let event = json!({"payment_id": ID, "order_id": ID, "user_id": ID,
            "amount": {"amount": 980, "currency": "JPY"}, "card": {"brand": "visa", "last4": "4242"}});
        let content = written::<PaymentCaptured>(event);
        assert_eq!(content.title, "Receipt for order 0A1B2C3D4E5F");
        let facts = "Amount: JPY 980\nCard: visa ending in 4242\n";
        assert!(content.text.ends_with(facts), "{}", content.text);
    }

    #[test]
    fn reasons_are_words() {
        assert_eq!(
            in_words("cancelled_by_customer"),
            "Your order was cancelled as you asked."
        );
        for reason in ["inventory_unreachable", HOSTILE] {
            assert_eq!(
                in_words(reason),
                "Your order was cancelled because it could not be completed."
            );
        }
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        for content in all_with(HOSTILE) {
            assert!(!content.html.contains("<script"), "{}", content.html);
            let quoted = content.html.replace("align=\"left\"", "");
            assert!(!quoted.contains('"'), "{}", content.html);
        }
        let [confirmed, ..] = all_with(HOSTILE);
        assert!(confirmed.html.contains("&lt;script&gt;"));
        assert!(confirmed.html.contains("&amp;"));
    }

    #[test]
    fn nothing_from_outside_breaks_a_line() {
        let [hostile, harmless] = [HOSTILE, "harmless"].map(all_with);
        for (hostile, harmless) in hostile.iter().zip(&harmless) {
            assert!(!hostile.title.contains(char::is_control));
            let lines = |content: &Content| content.text.lines().count();
            assert_eq!(lines(hostile), lines(harmless), "{}", hostile.text);
            let odd = |c: char| (c.is_control() && c != '\n') || "\u{2028}\u{202e}".contains(c);
            assert!(!hostile.text.contains(odd), "{:?}", hostile.text);
            assert!(!hostile.html.contains(odd), "{:?}", hostile.html);
        }
    }

    #[test]
    fn a_title_is_one_line_whatever_is_in_it() {
        let letter = Letter {
            title: HOSTILE.into(),
            ..Letter::default()
        };
        assert_eq!(
            letter.write().title,
            "\"><script>alert('x')</script> Bcc: all@example.org &"
        );
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        let written = |amount, currency: &str| {
            money(&Money {
                amount,
                currency: currency.into(),
            })
        };
        assert_eq!(written(1234, "EUR"), "EUR 12.34");
        assert_eq!(written(5, "EUR"), "EUR 0.05");
        assert_eq!(written(980, "JPY"), "JPY 980");
        assert_eq!(written(1234, "KWD"), "KWD 1.234");
        assert_eq!(written(-250, "USD"), "USD -2.50");
    }
}
