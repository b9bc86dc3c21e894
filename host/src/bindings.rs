//! Bindings of the interfaces in `wit/host`, generated at compile time.
#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit/host",
    world: "capabilities",
    imports: {
        "spin:sqlite/sqlite.[method]connection.execute": async | store | trappable,
        "spin:sqlite/sqlite.[static]connection.open-async": async | store | trappable,
        "spin:sqlite/sqlite.[method]connection.execute-async": async | store | trappable,
        "spin:sqlite/sqlite.[method]connection.last-insert-rowid-async": async | store | trappable,
        "spin:sqlite/sqlite.[method]connection.changes-async": async | store | trappable,
        "spin:key-value/key-value.[static]store.open": async | store | trappable,
        "spin:key-value/key-value.[method]store.get": async | store | trappable,
        "spin:key-value/key-value.[method]store.set": async | store | trappable,
        "spin:key-value/key-value.[method]store.delete": async | store | trappable,
        "spin:key-value/key-value.[method]store.exists": async | store | trappable,
        "spin:key-value/key-value.[method]store.get-keys": async | store | trappable,
        "wasi:keyvalue/store.[method]bucket.get": async | store | trappable,
        "wasi:keyvalue/store.[method]bucket.set": async | store | trappable,
        "wasi:keyvalue/store.[method]bucket.delete": async | store | trappable,
        "wasi:keyvalue/store.[method]bucket.exists": async | store | trappable,
        "wasi:keyvalue/store.[method]bucket.list-keys": async | store | trappable,
        "wasi:keyvalue/atomics.increment": async | store | trappable,
        "wasi:keyvalue/atomics.swap": async | store | trappable,
        "wasi:keyvalue/atomics.[static]cas.new": async | store | trappable,
        "wasi:keyvalue/atomics.[method]cas.current": async | store | trappable,
        "wasi:keyvalue/batch.get-many": async | store | trappable,
        "wasi:keyvalue/batch.set-many": async | store | trappable,
        "wasi:keyvalue/batch.delete-many": async | store | trappable,
        "spin:redis/redis.[static]connection.open": async | store | trappable,
        "spin:redis/redis.[method]connection.publish": async | store | trappable,
        "spin:redis/redis.[method]connection.get": async | store | trappable,
        "spin:redis/redis.[method]connection.set": async | store | trappable,
        "spin:redis/redis.[method]connection.incr": async | store | trappable,
        "spin:redis/redis.[method]connection.del": async | store | trappable,
        "spin:redis/redis.[method]connection.sadd": async | store | trappable,
        "spin:redis/redis.[method]connection.smembers": async | store | trappable,
        "spin:redis/redis.[method]connection.srem": async | store | trappable,
        "spin:redis/redis.[method]connection.execute": async | store | trappable,
        "spin:variables/variables.get": async | store | trappable,
        default: async | trappable,
    },
    with: {
        "spin:key-value/key-value.store": crate::capabilities::key_value::OpenStore,
        "wasi:keyvalue/store.bucket": crate::capabilities::key_value::OpenStore,
        "wasi:keyvalue/atomics.cas": crate::capabilities::key_value::CompareAndSwap,
        "spin:redis/redis.connection": crate::capabilities::redis::OpenServer,
        "spin:sqlite/sqlite.connection": crate::capabilities::sqlite::GuestConnection,
    },
});

pub use spin::key_value::key_value;
pub use spin::redis::redis;
pub use spin::sqlite::sqlite;
pub use spin::variables::variables;
pub use wasi::keyvalue as wasi_key_value;
