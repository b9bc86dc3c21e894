//! Compiled components on disk, so that only the first start of a version compiles.
//!
//! An entry is two files, named by a hash of the Wasm, of the engine's version and settings and
//! of this host: `<key>.cwasm`, the code, and `<key>.sum`, its SHA-256. Code whose sum does not
//! match (cut short by a full disk or a lost power line) is compiled again. A lock file that the
//! kernel releases with its process makes two hosts that start at once compile each component
//! once between them.

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The cache folder, or nothing where it is disabled.
pub struct CodeCache(Option<PathBuf>);

impl CodeCache {
    /// The user's cache folder, else one in the state directory.
    pub fn new(disabled: bool, state_dir: &Path) -> Self {
        let user = || {
            let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            xdg.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
                .filter(|dir| dir.is_absolute())
        };
        Self((!disabled).then(|| match user() {
            Some(dir) => dir.join("souk").join("code"),
            None => state_dir.join("code"),
        }))
    }

    /// The component made of `parts` (modules or components, in an order that means something):
    /// from the cache, else from `build`, which gives the bytes of the whole component.
    ///
    /// # Errors
    /// Those of `build` and of the compiler. A cache that cannot be used is a warning.
    pub fn load(
        &self,
        engine: &Engine,
        parts: &[&[u8]],
        build: impl Fn() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Component> {
        let compile = || {
            let code = engine.precompile_component(&build()?)?;
            anyhow::Ok(code)
        };
        let Some(dir) = &self.0 else {
            return deserialize(engine, &compile()?);
        };
        let entry = Entry::new(dir, engine, parts);
        if let Some(component) = entry.read(engine) {
            return Ok(component);
        }
        let locked = match entry.lock() {
            Ok(lock) => lock,
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled code cannot be cached");
                return deserialize(engine, &compile()?);
            }
        };
        // Another host may have written it while this one waited for the lock.
        if let Some(component) = entry.read(engine) {
            return Ok(component);
        }
        let code = compile()?;
        if let Err(error) = entry.write(&code) {
            tracing::warn!(dir = %dir.display(), %error, "compiled code cannot be cached");
        }
        drop(locked);
        match entry.read(engine) {
            Some(component) => Ok(component),
            None => deserialize(engine, &code),
        }
    }
}

struct Entry {
    code: PathBuf,
    sum: PathBuf,
    lock: PathBuf,
}

impl Entry {
    fn new(dir: &Path, engine: &Engine, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        hash.update(settings.finish().to_le_bytes());
        hash.update(env!("CARGO_PKG_VERSION"));
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let key = hex(&hash.finalize());
        Self {
            code: dir.join(format!("{key}.cwasm")),
            sum: dir.join(format!("{key}.sum")),
            lock: dir.join(format!("{key}.lock")),
        }
    }

    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.lock.parent().expect("joined to a folder"))?;
        let file = File::create(&self.lock)?;
        file.lock()?;
        Ok(file)
    }

    /// The component, where the entry is there and whole.
    #[allow(unsafe_code)]
    fn read(&self, engine: &Engine) -> Option<Component> {
        let sum = fs::read_to_string(&self.sum).ok()?;
        let code = fs::read(&self.code).ok()?;
        if hex(&Sha256::digest(&code)) != sum {
            tracing::warn!(file = %self.code.display(), "compiled code is damaged; compiling again");
            return None;
        }
        // SAFETY: the file holds what `Engine::precompile_component` gave (the sum says so), for
        // this engine's version and settings (the key says so).
        match unsafe { Component::deserialize_file(engine, &self.code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(file = %self.code.display(), %error, "compiled code is unusable; compiling again");
                None
            }
        }
    }

    /// Each file appears whole or not at all, and the sum goes last.
    fn write(&self, code: &[u8]) -> io::Result<()> {
        replace(&self.code, code)?;
        replace(&self.sum, hex(&Sha256::digest(code)).as_bytes())
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().expect("joined to a folder");
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> anyhow::Result<Component> {
    // SAFETY: the bytes come from this engine's `precompile_component` a moment ago.
    Ok(unsafe { Component::deserialize(engine, code)? })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Loads the empty component; says whether that needed a build.
    fn load(cache: &CodeCache, engine: &Engine, part: &[u8]) -> bool {
        let built = Cell::new(false);
        let empty = || {
            built.set(true);
            Ok(b"\0asm\x0d\0\x01\0".to_vec())
        };
        cache.load(engine, &[part], empty).unwrap();
        built.get()
    }

    #[test]
    fn the_second_load_builds_nothing_and_damage_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache(Some(dir.path().to_owned()));
        let engine = Engine::default();
        assert!(load(&cache, &engine, b"a"));
        assert!(!load(&cache, &engine, b"a"));
        assert!(load(&cache, &engine, b"b"));

        let code = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "cwasm"));
        for path in code {
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }
        assert!(load(&cache, &engine, b"a"));
        assert!(!load(&cache, &engine, b"a"));
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = CodeCache(Some(file.path().join("below-a-file")));
        assert!(load(&cache, &Engine::default(), b"a"));
    }
}
