//! What has to fit, as queries for what does not: each row is a discrepancy, in words.

/// The name of a check, and its query.
type Check = (&'static str, &'static str);

/// What is not at rest. What has been delivered comes first: what is under way after that is under way because of it.
pub const REST: &[Check] = &[
    (
        "delivery",
        "SELECT consumer || ' is at ' || position || ' of ' || (SELECT max(position) FROM events.log) \
             || ', after ' || failures || ' failures: ' || ifnull(last_error, '-') \
         FROM events.subscriptions WHERE position <> (SELECT max(position) FROM events.log)",
    ),
    (
        "delivery",
        "SELECT held.state || ' for ' || held.consumer || ': ' || ifnull(log.type || ' of ' || log.subject || ' at ' || held.position || ', attempts ' || held.attempts, '?') \
             || ': ' || ifnull(held.reason, '-') \
         FROM events.held LEFT JOIN events.log USING (position)",
    ),
    (
        "sagas",
        "SELECT 'the saga of order ' || id || ' is at the step ' || step || ', the order ' || status FROM orders.orders \
         WHERE step <> 'done' OR status IN ('pending', 'reserved')",
    ),
    (
        "operations",
        "SELECT 'the operation ' || key || ' of payment ' || payment_id || ' is ' || status FROM payments.operations \
         WHERE status IN ('asked', 'ready')",
    ),
    (
        "notifications",
        "SELECT 'the delivery ' || id || ' on ' || channel || ' is ' || status FROM notifications.deliveries WHERE status = 'pending'",
    ),
];

/// What does not fit within the databases.
pub const BOOKS: &[Check] = &[
    (
        "ledger",
        "SELECT 'product ' || product_id || ': stock is ' || stock.on_hand || '/' || stock.reserved || ' at ' || stock.version \
             || ', by the ledger ' || ifnull(entries.on_hand || '/' || entries.reserved || ' at ' || entries.last, 'nothing') \
         FROM inventory.stock LEFT JOIN (SELECT product_id, sum(on_hand_change) AS on_hand, sum(reserved_change) AS reserved, \
             count(*) AS entries, max(version) AS last FROM inventory.ledger GROUP BY product_id) AS entries USING (product_id) \
         WHERE (stock.on_hand, stock.reserved, stock.version, stock.version) \
             IS NOT (entries.on_hand, entries.reserved, entries.entries, entries.last)",
    ),
    (
        "ledger",
        "SELECT 'product ' || product_id || ' has entries but no stock' FROM inventory.ledger \
         WHERE product_id NOT IN (SELECT product_id FROM inventory.stock) GROUP BY product_id",
    ),
    (
        "reservations",
        "SELECT 'product ' || product_id || ': reserved are ' || reserved || ', by open reservations ' || open \
         FROM (SELECT product_id, reserved, (SELECT ifnull(sum(line.value), 0) \
                 FROM inventory.reservations, json_each(lines) AS line \
                 WHERE state = 'open' AND line.key = product_id) AS open FROM inventory.stock) \
         WHERE reserved <> open",
    ),
    (
        "reservations",
        "SELECT 'a reservation is open for order ' || order_id || ', which is ' || ifnull(status, 'not there') \
         FROM inventory.reservations LEFT JOIN orders.orders ON orders.id = order_id \
         WHERE state = 'open' AND ifnull(step, 'done') = 'done'",
    ),
    (
        "reservations",
        "SELECT 'order ' || id || ' is ' || status || ', its reservation ' || ifnull(state, 'not there') \
         FROM orders.orders LEFT JOIN inventory.reservations ON order_id = id \
         WHERE step = 'done' AND (status IN ('confirmed', 'shipped', 'delivered')) <> (ifnull(state, '') = 'committed')",
    ),
    (
        "reservations",
        "WITH ordered AS (SELECT orders.id, item.value ->> 'product_id' AS product, sum(item.value ->> 'quantity') AS quantity \
             FROM orders.orders, json_each(items) AS item \
             WHERE status IN ('confirmed', 'shipped', 'delivered') AND step = 'done' GROUP BY 1, 2), \
         taken AS (SELECT order_id AS id, line.key AS product, line.value AS quantity \
             FROM inventory.reservations, json_each(lines) AS line WHERE state = 'committed') \
         SELECT 'order ' || id || ': ordered and not taken from the stock: ' || product || ' x ' || quantity \
             FROM (SELECT * FROM ordered EXCEPT SELECT * FROM taken) \
         UNION ALL SELECT 'order ' || id || ': taken from the stock and not ordered: ' || product || ' x ' || quantity \
             FROM (SELECT * FROM taken EXCEPT SELECT * FROM ordered)",
    ),
    (
        "captures",
        "SELECT 'order ' || orders.id || ' is ' || orders.status || ' for ' || total_amount || ' ' || orders.currency || ', captured ' \
             || ifnull(captured || ' ' || payments.currency, 'nothing') || ' in ' || captures || ' captures' \
         FROM (SELECT *, (SELECT count(*) FROM payments.transactions JOIN payments.payments AS paid ON paid.id = payment_id \
                 WHERE paid.order_id = orders.id AND kind = 'capture' AND transactions.status = 'succeeded') AS captures \
             FROM orders.orders) AS orders \
         LEFT JOIN payments.payments ON order_id = orders.id \
         WHERE orders.status IN ('confirmed', 'shipped', 'delivered') AND step = 'done' AND total_amount > 0 \
             AND (total_amount, orders.currency, 1) IS NOT (captured, payments.currency, captures)",
    ),
    (
        "charges",
        "SELECT 'order ' || orders.id || ' is ' || orders.status || ', its payment ' || payments.id || ' is ' || payments.status \
             || ': captured ' || captured || ', refunded ' || payments.refunded \
         FROM orders.orders JOIN payments.payments ON order_id = orders.id \
         WHERE orders.status IN ('rejected', 'cancelled') \
             AND (captured <> payments.refunded OR refunding <> 0 OR payments.status NOT IN ('declined', 'voided', 'refunded'))",
    ),
    (
        "charges",
        "SELECT 'payment ' || id || ' is for order ' || order_id || ', which is not there' FROM payments.payments \
         WHERE order_id NOT IN (SELECT id FROM orders.orders)",
    ),
    (
        "transactions",
        "SELECT 'payment ' || id || ': captured ' || captured || ', refunded ' || refunded || ', by its history ' || taken || ' and ' || given \
         FROM (SELECT id, captured, refunded, \
             (SELECT ifnull(sum(amount), 0) FROM payments.transactions \
                 WHERE payment_id = payments.id AND kind = 'capture' AND status = 'succeeded') AS taken, \
             (SELECT ifnull(sum(amount), 0) FROM payments.transactions \
                 WHERE payment_id = payments.id AND kind = 'refund' AND status = 'succeeded') AS given \
             FROM payments.payments) \
         WHERE (captured, refunded) <> (taken, given)",
    ),
    (
        "notifications",
        "WITH happened AS ( \
             SELECT 'order_confirmed' AS kind, order_id FROM orders.order_history WHERE status = 'confirmed' \
             UNION ALL SELECT 'payment_receipt', order_id FROM payments.payments WHERE captured > 0 \
             UNION ALL SELECT 'order_shipped', order_id FROM orders.order_history WHERE status = 'shipped' \
             UNION ALL SELECT 'order_cancelled', order_id FROM orders.order_history AS cancelled WHERE status = 'cancelled' \
                 AND (reason LIKE 'cancelled_by_%' OR EXISTS (SELECT 1 FROM orders.order_history AS earlier \
                     WHERE earlier.order_id = cancelled.order_id AND earlier.status = 'confirmed'))), \
         counted AS ( \
             SELECT kind, order_id, 1 AS expected, 0 AS found FROM happened \
             WHERE order_id NOT IN (SELECT orders.id FROM orders.orders \
                 JOIN users.users ON users.id = user_id WHERE deleted_at IS NOT NULL) \
             UNION ALL SELECT kind, order_id, 0, 1 FROM notifications.notifications WHERE kind <> 'stock_low') \
         SELECT 'order ' || ifnull(order_id, 'none') || ': ' || sum(found) || ' notifications ' || kind || ', not ' || sum(expected) \
         FROM counted GROUP BY kind, order_id HAVING sum(expected) <> sum(found)",
    ),
    (
        "notifications",
        "SELECT 'notification ' || notifications.id || ' about order ' || order_id || ' is for ' || ifnull(notifications.user_id, 'nobody') \
             || ', not for ' || orders.user_id \
         FROM notifications.notifications JOIN orders.orders ON orders.id = order_id \
         WHERE notifications.user_id IS NOT orders.user_id",
    ),
    (
        "notifications",
        "WITH counted AS ( \
             SELECT 'stock.low/' || product_id || '/' || version AS cause, 1 AS expected, 0 AS found FROM inventory.ledger \
             WHERE on_hand - reserved < 5 AND on_hand - on_hand_change - (reserved - reserved_change) >= 5 \
             UNION ALL SELECT cause, 0, 1 FROM notifications.notifications WHERE kind = 'stock_low') \
         SELECT sum(found) || ' notifications of ' || cause || ', not ' || sum(expected) \
         FROM counted GROUP BY cause HAVING sum(expected) <> sum(found)",
    ),
    (
        "events",
        "WITH RECURSIVE numbers (number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM numbers \
             WHERE number < (SELECT max(version) FROM products.products)), \
         happened AS ( \
             SELECT 'order.' || iif(status = 'pending', 'placed', status) AS type, order_id AS subject, 0 AS number \
                 FROM orders.order_history WHERE status NOT IN ('reserved', 'authorized') \
             UNION ALL SELECT 'payment.captured', id, 0 FROM payments.payments WHERE captured > 0 \
             UNION ALL SELECT 'payment.declined', id, 0 FROM payments.payments WHERE status = 'declined' \
             UNION ALL SELECT 'payment.voided', id, 0 FROM payments.payments WHERE status = 'voided' AND token IS NOT NULL \
             UNION ALL SELECT 'payment.refunded', payment_id, 0 FROM payments.transactions \
                 WHERE kind = 'refund' AND status = 'succeeded' AND amount > 0 \
             UNION ALL SELECT 'user.registered', id, 0 FROM users.users \
             UNION ALL SELECT 'user.deleted', id, 0 FROM users.users WHERE deleted_at IS NOT NULL \
             UNION ALL SELECT 'product.created', id, 0 FROM products.products \
             UNION ALL SELECT 'product.deleted', id, 0 FROM products.products WHERE deleted_at IS NOT NULL \
             UNION ALL SELECT 'product.updated', id, numbers.number FROM products.products JOIN numbers \
                 ON numbers.number <= version - (deleted_at IS NOT NULL) \
             UNION ALL SELECT 'product.price-changed', product_id, version FROM products.price_history WHERE version > 1 \
             UNION ALL SELECT 'stock.' || CASE WHEN kind IN ('set', 'adjusted') THEN 'adjusted' \
                     WHEN kind IN ('released', 'expired', 'returned') THEN 'released' ELSE kind END, product_id, version \
                 FROM inventory.ledger \
             UNION ALL SELECT 'stock.low', product_id, version FROM inventory.ledger \
                 WHERE on_hand - reserved < 5 AND on_hand - on_hand_change - (reserved - reserved_change) >= 5), \
         counted AS ( \
             SELECT type, subject, number, 1 AS happened, 0 AS told FROM happened \
             UNION ALL SELECT type, subject, iif(type LIKE 'stock.%' OR type IN ('product.updated', 'product.price-changed'), \
                 event ->> '$.data.version', 0), 0, 1 FROM events.log \
             WHERE type NOT IN ('payment.authorized', 'notification.sent', 'notification.failed')) \
         SELECT type || ' of ' || subject || iif(number > 0, ' version ' || number, '') || ' happened ' || sum(happened) \
             || ' times, was told ' || sum(told) \
         FROM counted GROUP BY type, subject, number HAVING sum(happened) <> sum(told)",
    ),
    (
        "events",
        "SELECT 'payment.authorized of ' || id || ' was told ' || told || ' times' \
         FROM (SELECT id, (SELECT count(*) FROM events.log WHERE type = 'payment.authorized' AND subject = payments.id) AS told, \
             EXISTS (SELECT 1 FROM payments.operations WHERE payment_id = payments.id AND kind = 'capture') AS wanted \
             FROM payments.payments) WHERE told > 1 OR told < wanted",
    ),
    (
        "events",
        "SELECT 'that notification ' || notification_id || ' was ' || status || ' on ' || channel || ' was told ' || told || ' times' \
         FROM (SELECT *, (SELECT count(*) FROM events.log WHERE type = 'notification.sent' AND subject = notification_id \
             AND event ->> '$.data.channel' = channel) AS told FROM notifications.deliveries) \
         WHERE told <> (status = 'sent')",
    ),
    (
        "events",
        "SELECT 'notification ' || subject || ' was told of and is not there' FROM events.log \
         WHERE type = 'notification.sent' AND subject NOT IN (SELECT id FROM notifications.notifications) \
             AND ifnull(event ->> '$.data.user_id', '') NOT IN (SELECT id FROM users.users WHERE deleted_at IS NOT NULL)",
    ),
    (
        "events",
        "SELECT source || '#' || id || ' is ' || count(*) || ' times in the log' FROM events.log \
         GROUP BY source, id HAVING count(*) > 1",
    ),
    (
        "order of events",
        "SELECT type || ' of ' || subject || ' comes after what follows it' FROM ( \
             SELECT type, subject, number, max(number) OVER (PARTITION BY subject ORDER BY position) AS highest FROM ( \
                 SELECT type, subject, position, CASE type WHEN 'order.placed' THEN 1 WHEN 'order.confirmed' THEN 2 \
                     WHEN 'order.shipped' THEN 3 WHEN 'order.delivered' THEN 4 ELSE 5 END AS number \
                 FROM events.log WHERE type LIKE 'order.%' \
                 UNION ALL SELECT type, subject, position, event ->> '$.data.version' FROM events.log WHERE type LIKE 'stock.%')) \
         WHERE number < highest",
    ),
    (
        "availability",
        "SELECT 'product ' || product_id || ': products knows ' || ifnull(known.available || ' at ' || known.version, 'nothing') \
             || ', in stock are ' || ifnull(on_hand - reserved || ' since ' || since || ' at ' || stock.version, 'none') \
         FROM inventory.stock \
         LEFT JOIN (SELECT product_id, max(version) AS since FROM inventory.ledger \
             WHERE on_hand_change <> reserved_change OR version = 1 GROUP BY product_id) USING (product_id) \
         FULL JOIN products.availability AS known USING (product_id) \
         WHERE on_hand - reserved IS NOT known.available OR NOT ifnull(known.version BETWEEN since AND stock.version, FALSE)",
    ),
    (
        "stock of products",
        "SELECT 'no stock is kept of product ' || id FROM products.products \
         WHERE id NOT IN (SELECT product_id FROM inventory.stock)",
    ),
    (
        "refunds",
        "SELECT 'order ' || orders.id || ' knows of ' || orders.refunded || ' refunded, payment ' || payments.id \
             || ' of ' || payments.refunded \
         FROM orders.orders JOIN payments.payments ON order_id = orders.id WHERE orders.refunded <> payments.refunded",
    ),
    (
        "erasure",
        "WITH gone AS (SELECT id FROM users.users WHERE deleted_at IS NOT NULL) \
         SELECT 'orders has not erased ' || id FROM gone WHERE id NOT IN (SELECT user_id FROM orders.erased_users) \
         UNION ALL SELECT 'notifications has not erased ' || id FROM gone \
             WHERE id NOT IN (SELECT user_id FROM notifications.erased_users) \
         UNION ALL SELECT 'orders has erased ' || user_id FROM orders.erased_users WHERE user_id NOT IN (SELECT id FROM gone) \
         UNION ALL SELECT 'notifications has erased ' || user_id FROM notifications.erased_users \
             WHERE user_id NOT IN (SELECT id FROM gone) \
         UNION ALL SELECT 'notification ' || id || ' is for ' || user_id || ', who is gone' FROM notifications.notifications \
             WHERE user_id IN (SELECT id FROM gone) \
         UNION ALL SELECT 'order ' || id || ' has the address of ' || user_id || ', who is gone' FROM orders.orders \
             WHERE user_id IN (SELECT id FROM gone) AND status IN ('delivered', 'rejected', 'cancelled') \
                 AND shipping_address <> 'null'",
    ),
];

/// How much there was to compare.
pub const COUNTS: &str = "SELECT \
    (SELECT count(*) FROM orders.orders) || ' orders (' || \
    (SELECT group_concat(number || ' ' || status, ', ') FROM (SELECT count(*) AS number, status FROM orders.orders GROUP BY status)) || '), ' || \
    (SELECT count(*) FROM payments.payments) || ' payments, ' || \
    (SELECT count(*) FROM inventory.ledger) || ' movements of stock, ' || \
    (SELECT count(*) FROM notifications.notifications) || ' notifications, ' || \
    (SELECT count(*) FROM users.users) || ' accounts, ' || \
    (SELECT count(*) FROM events.log) || ' events'";

/// What a service's outbox has that is not marked as published.
pub fn unpublished(service: &str) -> String {
    format!(
        "SELECT '{service} has published up to ' || published || ' of ' || last FROM {service}.outbox_progress, \
             (SELECT ifnull(max(position), 0) AS last FROM {service}.outbox) WHERE published <> last"
    )
}

/// What a service's outbox has that the broker has not, or has otherwise; and what the broker has of it that it never had.
/// (An outbox keeps its last ten thousand events: what is older than those cannot be compared.)
pub fn not_logged(service: &str) -> String {
    let (kept, logged) = (leaves("outbox.data"), leaves("log.event -> '$.data'"));
    format!(
        "SELECT outbox.type || ' of ' || outbox.subject || ' at ' || outbox.position || ' of the outbox of {service} is ' \
             || iif(log.id IS NULL, 'not', 'otherwise') || ' in the log' \
         FROM {service}.outbox LEFT JOIN events.log ON log.source = '/services/{service}' AND log.id = outbox.id \
         WHERE (outbox.type, outbox.subject, {kept}) IS NOT (log.type, log.subject, {logged}) \
         UNION ALL \
         SELECT type || ' of ' || subject || ' at ' || position || ' of the log was never in the outbox of {service}' FROM events.log \
         WHERE source = '/services/{service}' AND id NOT IN (SELECT id FROM {service}.outbox) \
             AND (SELECT min(position) FROM {service}.outbox) = 1"
    )
}

/// What is in a JSON document, in an order of its own.
fn leaves(document: &str) -> String {
    format!(
        "(SELECT group_concat(fullkey || '=' || ifnull(atom, '')) FROM (SELECT fullkey, atom FROM json_tree({document}) \
             WHERE json_tree.type NOT IN ('object', 'array') ORDER BY fullkey))"
    )
}

/// Which events of a service are in the log before one of the same subject that happened earlier.
pub fn out_of_order(service: &str) -> String {
    format!(
        "SELECT type || ' of ' || subject || ' at ' || logged || ' of the log comes before what happened earlier, at ' || earlier \
         FROM (SELECT log.type, log.subject, log.position AS logged, \
                 max(log.position) OVER (PARTITION BY log.subject ORDER BY outbox.position) AS earlier \
             FROM {service}.outbox JOIN events.log ON log.source = '/services/{service}' AND log.id = outbox.id) \
         WHERE logged < earlier"
    )
}
