//! Hashing passwords: Argon2id, one at a time.
//!
//! A hash takes this instance's only thread for some 30 ms. So that the other requests of the instance wait for one hash at
//! most, those who want one wait in a [line](Line), and each lets everything else go first. The line is short: who finds it
//! full is told so at once, which is better than to be told after a long time.
//!
//! A hash also needs a block of memory. An instance has one, which it keeps: memory that a Wasm instance has grown by is
//! never given back, and whoever has the block is the one who may hash.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use futures::lock::{Mutex, MutexGuard};
use souk_chassis::Problem;

use crate::domain::Password;

/// Memory in KiB, passes and lanes: one of the settings that the OWASP Password Storage Cheat Sheet calls equal in strength
/// (46 MiB and 1 pass, 19 and 2, 12 and 3, 9 and 4, 7 and 5). In Wasm this one is the fastest, as more of it fits into the
/// processor's caches, and it is the one by which an instance grows least.
const RECOMMENDED: (u32, u32, u32) = (7 * 1024, 5, 1);

/// Tests are not optimized, and hash often.
const USED: (u32, u32, u32) = if cfg!(test) { (8, 1, 1) } else { RECOMMENDED };

/// Bytes of a hash.
const OUTPUT: usize = 32;

/// Bytes of a salt.
const SALT: usize = 16;

/// How many may wait: as many as an instance serves at once unless the host is told otherwise. They are through in half a second.
const WAITING: usize = 16;

static LINE: Line = Line::new();

/// Where those stand who want to hash a password.
struct Line {
    memory: Mutex<Vec<Block>>,
    waiting: AtomicUsize,
}

/// The right to hash; others wait until it is dropped.
pub struct Turn(MutexGuard<'static, Vec<Block>>);

/// Waits for a turn. Refused at once where too many wait already.
pub async fn turn() -> Result<Turn, Problem> {
    LINE.turn().await
}

impl Line {
    const fn new() -> Self {
        Self {
            memory: Mutex::new(Vec::new()),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn turn(&'static self) -> Result<Turn, Problem> {
        let place = Place::take(&self.waiting)
            .ok_or_else(|| Problem::unavailable("too many are logging in at this moment", 1))?;
        loop {
            if let Some(memory) = self.memory.try_lock() {
                drop(place);
                return Ok(Turn(memory));
            }
            pause().await;
        }
    }
}

/// A moment in which the instance does everything else that is ready, and takes in new requests, which it would not if this were
/// only a yield. Those who wait for a turn look again after each: requests of an instance cannot wake each other, only the host
/// can. There is nothing to look at while a hash is being made.
#[cfg(target_family = "wasm")]
async fn pause() {
    spin_sdk::time::sleep(std::time::Duration::from_millis(1)).await;
}

/// Outside Wasm there is no timer, and no other request.
#[cfg(not(target_family = "wasm"))]
async fn pause() {
    spin_sdk::wasip3::wit_bindgen::yield_async().await;
}

/// A place in the line; given up when it is dropped, also by a request that ends early.
struct Place(&'static AtomicUsize);

impl Place {
    fn take(waiting: &'static AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

impl Turn {
    /// The hash of a new password, as a PHC string.
    pub async fn hash(&mut self, password: &Password) -> Result<String, Problem> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(Problem::internal)?;
        let params = params()?;
        let output = self.compute(password, &salt, params.clone()).await?;
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(Problem::internal)?,
            salt: Some(Salt::new(&salt).map_err(Problem::internal)?),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Whether the password is the one that was hashed. Where there is no hash it is not, which takes as long to say.
    pub async fn matches(
        &mut self,
        password: &Password,
        hash: Option<&str>,
    ) -> Result<bool, Problem> {
        let Some(hash) = hash else {
            self.compute(password, &[0; SALT], params()?).await?;
            return Ok(false);
        };
        let hash = PasswordHash::new(hash).map_err(Problem::internal)?;
        let (Some(salt), Some(expected)) = (&hash.salt, hash.hash) else {
            return Err(Problem::internal("a kept hash has no salt or no output"));
        };
        let params = Params::try_from(&hash).map_err(Problem::internal)?;
        // `Output` compares in constant time.
        Ok(self.compute(password, salt, params).await? == expected)
    }

    /// Lets everything else go first, then hashes.
    async fn compute(
        &mut self,
        password: &Password,
        salt: &[u8],
        params: Params,
    ) -> Result<Output, Problem> {
        pause().await;
        #[cfg(test)]
        tests::COUNT.set(tests::COUNT.get() + 1);
        let memory = &mut *self.0;
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        let mut output = [0; OUTPUT];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                password.as_bytes(),
                salt,
                &mut output,
                &mut memory[..blocks],
            )
            .map_err(Problem::internal)?;
        Output::new(&output).map_err(Problem::internal)
    }
}

/// Whether a hash was made with other parameters than are used now, and is to be made anew.
pub fn is_outdated(hash: &str) -> bool {
    let kept = PasswordHash::new(hash).ok();
    let kept = kept.map(|hash| (hash.algorithm, Params::try_from(&hash).ok()));
    kept != Some((ARGON2ID_IDENT, params().ok()))
}

fn params() -> Result<Params, Problem> {
    let (memory, passes, lanes) = USED;
    Params::new(memory, passes, lanes, Some(OUTPUT)).map_err(Problem::internal)
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use std::cell::Cell;

    thread_local! {
        /// How many hashes this test has made.
        pub static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    #[test]
    fn a_password_fits_its_own_hash_only() {
        block_on(async {
            let mut turn = turn().await.unwrap();
            let hash = turn.hash(&password("correct horse")).await.unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
            assert!(
                turn.matches(&password("correct horse"), Some(&hash))
                    .await
                    .unwrap()
            );
            assert!(
                !turn
                    .matches(&password("correct horsf"), Some(&hash))
                    .await
                    .unwrap()
            );
            assert!(
                !turn
                    .matches(&password("correct horse"), None)
                    .await
                    .unwrap()
            );
            let again = turn.hash(&password("correct horse")).await.unwrap();
            assert_ne!(hash, again, "each hash has its own salt");
        });
    }

    /// From the reference implementation: `echo -n password | argon2 somesalt -id -v 13 -k 256 -t 2 -p 1 -l 32`.
    #[test]
    fn a_hash_is_what_the_reference_implementation_makes() {
        let reference =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let mut turn = block_on(turn()).unwrap();
        assert!(block_on(turn.matches(&password("password"), Some(reference))).unwrap());
        assert!(is_outdated(reference), "the parameters are others");
    }

    #[test]
    fn a_hash_of_today_is_not_outdated() {
        let mut turn = block_on(turn()).unwrap();
        let hash = block_on(turn.hash(&password("correct horse"))).unwrap();
        assert!(!is_outdated(&hash));
        assert!(is_outdated(&hash.replace("t=1", "t=2")));
        assert!(is_outdated(&hash.replace("argon2id", "argon2i")));
        assert!(is_outdated("rubbish"));
    }

    #[test]
    fn the_parameters_are_as_strong_as_owasp_recommends() {
        let (memory, passes, lanes) = RECOMMENDED;
        let equal = [
            (47104, 1, 1),
            (19456, 2, 1),
            (12288, 3, 1),
            (9216, 4, 1),
            (7168, 5, 1),
        ];
        assert!(equal.contains(&(memory, passes, lanes)));
    }

    #[test]
    fn the_line_is_bounded_and_moves_on() {
        static LINE: Line = Line::new();
        let first = block_on(LINE.turn()).unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(LINE.turn())).collect();
        for place in &mut waiting {
            assert!(place.now_or_never().is_none(), "one at a time");
        }
        let refused = block_on(LINE.turn()).unwrap_err();
        assert_eq!(refused.status(), 503);

        // One who gives up leaves a place to another.
        waiting.pop();
        assert!(LINE.turn().now_or_never().is_none());

        drop(first);
        drop(waiting);
        assert!(LINE.turn().now_or_never().unwrap().is_ok());
    }
}
