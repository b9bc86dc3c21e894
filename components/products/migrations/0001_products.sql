-- Categories, products, their price history and the search index.
-- Statements are separated by empty lines, and each can be repeated.

CREATE TABLE IF NOT EXISTS categories (
    slug       TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    position   INTEGER NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

-- `number` ties a product to its row in the search index. `id` is a UUIDv7, so it sorts by time of creation.
CREATE TABLE IF NOT EXISTS products (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    sku            TEXT NOT NULL COLLATE NOCASE,
    name           TEXT NOT NULL COLLATE NOCASE,
    description    TEXT NOT NULL,
    category       TEXT NOT NULL REFERENCES categories (slug),
    price_amount   INTEGER NOT NULL CONSTRAINT price_not_negative CHECK (price_amount >= 0),
    price_currency TEXT NOT NULL,
    image_url      TEXT,
    attributes     TEXT NOT NULL CONSTRAINT attributes_are_json CHECK (json_valid(attributes)),
    version        INTEGER NOT NULL DEFAULT 1,
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    deleted_at     TEXT
);

-- A deleted product's SKU can be used again.
CREATE UNIQUE INDEX IF NOT EXISTS products_by_sku ON products (sku) WHERE deleted_at IS NULL;

-- One index for each order a list can have, within all products and within a category.

CREATE INDEX IF NOT EXISTS products_by_id ON products (id) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS products_by_price ON products (price_amount, id) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS products_by_name ON products (name, id) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS products_by_category_id ON products (category, id) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS products_by_category_price ON products (category, price_amount, id) WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS products_by_category_name ON products (category, name, id) WHERE deleted_at IS NULL;

-- Price history: written by triggers, so that no price changes without its entry.

CREATE TABLE IF NOT EXISTS price_history (
    product_id TEXT NOT NULL REFERENCES products (id),
    version    INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    currency   TEXT NOT NULL,
    valid_from TEXT NOT NULL,
    PRIMARY KEY (product_id, version)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS first_price AFTER INSERT ON products BEGIN
    INSERT INTO price_history (product_id, version, amount, currency, valid_from)
    VALUES (new.id, new.version, new.price_amount, new.price_currency, new.created_at);
END;

CREATE TRIGGER IF NOT EXISTS next_price AFTER UPDATE OF price_amount, price_currency ON products
WHEN (new.price_amount, new.price_currency) IS NOT (old.price_amount, old.price_currency) BEGIN
    INSERT INTO price_history (product_id, version, amount, currency, valid_from)
    VALUES (new.id, new.version, new.price_amount, new.price_currency, new.updated_at);
END;

-- Search: an index without a copy of the text, kept by triggers. Word stems and accents do not matter.

CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5 (
    name, sku, category, description,
    content = '', contentless_delete = 1,
    tokenize = 'porter unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE TRIGGER IF NOT EXISTS search_new_product AFTER INSERT ON products BEGIN
    INSERT INTO search (rowid, name, sku, category, description)
    SELECT new.number, new.name, new.sku, categories.name, new.description
    FROM categories WHERE slug = new.category;
END;

CREATE TRIGGER IF NOT EXISTS search_changed_product
AFTER UPDATE OF name, sku, category, description, deleted_at ON products BEGIN
    DELETE FROM search WHERE rowid = new.number;
    INSERT INTO search (rowid, name, sku, category, description)
    SELECT new.number, new.name, new.sku, categories.name, new.description
    FROM categories WHERE slug = new.category AND new.deleted_at IS NULL;
END;

CREATE TRIGGER IF NOT EXISTS search_renamed_category AFTER UPDATE OF name ON categories WHEN new.name IS NOT old.name BEGIN
    DELETE FROM search WHERE rowid IN (SELECT number FROM products WHERE category = new.slug AND deleted_at IS NULL);
    INSERT INTO search (rowid, name, sku, category, description)
    SELECT number, name, sku, new.name, description
    FROM products WHERE category = new.slug AND deleted_at IS NULL;
END;
