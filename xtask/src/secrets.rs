//! The secrets of the local shop: made on its first start, kept in files that only their owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// What a generated password is made of: 32 characters, none of which looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A secret: from the environment, else from the file, which is made where it is not there.
pub fn secret(
    variable: &str,
    file: &Path,
    make: fn() -> io::Result<String>,
) -> anyhow::Result<String> {
    if let Ok(given) = std::env::var(variable) {
        return Ok(given);
    }
    kept(file, make).with_context(|| file.display().to_string())
}

fn kept(file: &Path, make: fn() -> io::Result<String>) -> io::Result<String> {
    match fs::read_to_string(file) {
        Ok(kept) => return Ok(kept.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = make()?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(created, "{secret}")?;
    Ok(secret)
}

/// A key: 256 random bits in hexadecimal.
pub fn key() -> io::Result<String> {
    Ok(random::<32>()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// A password that a human can read and type: 100 random bits, five characters to a group.
pub fn password() -> io::Result<String> {
    let characters = random::<20>()?.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = characters
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    Ok(groups.join("-"))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-secret-{}", std::process::id()));
        let file = dir.join("deep/service-key");
        let made = secret("SOUK_XTASK_NOT_SET", &file, key).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(secret("SOUK_XTASK_NOT_SET", &file, key).unwrap(), made);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_environment_comes_first() {
        let file = Path::new("/nowhere/service-key");
        assert_eq!(secret("CARGO_PKG_NAME", file, key).unwrap(), "xtask");
    }

    #[test]
    fn a_password_can_be_read_aloud() {
        let made = password().unwrap();
        assert_eq!(made.len(), 23);
        assert!(made.split('-').all(|group| group.len() == 5), "{made}");
        assert_ne!(made, password().unwrap());
    }
}
