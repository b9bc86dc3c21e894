//! Stores in Redis: a key of the store is a key of the database that the address names, as in Spin.
//!
//! Each operation is one command or one script, which Redis runs by itself: also what several hosts do at once is done one
//! after the other. The connection is kept, and made anew when it ends, as for [`spin:redis`](super::super::redis).

use super::super::redis::{Address, Server};
use super::{Failure, MAX_RESULT_BYTES, Pair};
use crate::bindings::redis::Error;
use redis::{Cmd, FromRedisValue, cmd};
use std::collections::BTreeSet;

/// Writes a key if it has the value that is given as the second argument; a key that has none is seen to by `SET ... NX`.
const SWAP: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1]) return 1";

/// How many keys Redis looks at for one part of a list.
const SCAN_COUNT: usize = 1000;

/// One store.
pub struct RedisStore(Server);

impl RedisStore {
    /// The store at an address, where nobody looks yet.
    pub fn new(address: Address) -> Self {
        Self(Server::at(address))
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let answer = self.0.run(command).await.map_err(in_words)?;
        redis::from_redis_value(answer).map_err(|error| error.to_string())
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.ask(cmd("GET").arg(key)).await
    }

    /// The values of keys, as they were at one moment.
    pub async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Pair>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values: Vec<Option<Vec<u8>>> = self.ask(cmd("MGET").arg(&keys)).await?;
        Ok(keys.into_iter().zip(values).collect())
    }

    /// Whether a key has a value.
    pub async fn exists(&self, key: &str) -> Result<bool, Failure> {
        self.ask(cmd("EXISTS").arg(key)).await
    }

    /// Writes a key.
    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.ask(cmd("SET").arg(key).arg(value)).await
    }

    /// Writes keys, all of them or none.
    pub async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        if pairs.is_empty() {
            return Ok(());
        }
        let mut command = cmd("MSET");
        for (key, value) in pairs {
            command.arg(key).arg(value.as_slice());
        }
        self.ask(&command).await
    }

    /// Deletes keys, all of them or none.
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let _deleted: u64 = self.ask(cmd("DEL").arg(keys)).await?;
        Ok(())
    }

    /// All keys. They come in parts, so that a long list holds up nobody else's commands.
    pub async fn keys(&self) -> Result<Vec<String>, Failure> {
        // The same key may come in several parts.
        let mut keys = BTreeSet::new();
        let mut bytes = 0;
        let mut cursor = 0u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("COUNT").arg(SCAN_COUNT);
            let (next, part): (u64, Vec<String>) = self.ask(&scan).await?;
            bytes += part.iter().map(String::len).sum::<usize>();
            if bytes > MAX_RESULT_BYTES {
                return Err(format!("the keys have more than {MAX_RESULT_BYTES} bytes"));
            }
            keys.extend(part);
            if next == 0 {
                return Ok(keys.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Adds to the counter that a key holds.
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64, Failure> {
        self.ask(cmd("INCRBY").arg(key).arg(delta)).await
    }

    /// Writes a key if it still has the value that was seen; says whether it had.
    pub async fn swap(
        &self,
        key: &str,
        seen: Option<&[u8]>,
        value: &[u8],
    ) -> Result<bool, Failure> {
        match seen {
            None => self.ask(cmd("SET").arg(key).arg(value).arg("NX")).await,
            Some(seen) => {
                let mut swap = cmd("EVAL");
                swap.arg(SWAP).arg(1).arg(key).arg(value).arg(seen);
                self.ask(&swap).await
            }
        }
    }
}

fn in_words(error: Error) -> Failure {
    match error {
        Error::Other(why) => why,
        error => error.to_string(),
    }
}
