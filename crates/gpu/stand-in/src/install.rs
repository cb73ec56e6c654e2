//! A copy of the library with its script beside it.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::Script;

/// The name of the script's file, beside the library.
pub(crate) const SCRIPT_FILE: &str = "script.json";

/// Puts a library that plays `script` into `dir`, and gives its path.
///
/// Each folder's copy is a library of its own to the loader, with a state of its own.
///
/// # Errors
/// When the library was not built beside the running executable, or `dir` cannot be written to.
pub fn install(script: &Script, dir: &Path) -> io::Result<PathBuf> {
    install_without(script, dir, &[])
}

/// The same, without the C functions named in `missing`: a library of an older driver.
///
/// The names are made unfindable in the copy, so that looking one up fails as it does where it was
/// never there.
///
/// # Errors
/// As [`install()`]; and when the library does not have a function of that name to lose.
pub fn install_without(script: &Script, dir: &Path, missing: &[&str]) -> io::Result<PathBuf> {
    let mut library = fs::read(built()?)?;
    for name in missing {
        forget(&mut library, name)?;
    }
    fs::write(dir.join(SCRIPT_FILE), serde_json::to_vec_pretty(script)?)?;
    let path = dir.join("libnvidia-ml.so.1");
    fs::write(&path, library)?;
    Ok(path)
}

/// Where the library was built: with the tests' own dependencies.
fn built() -> io::Result<PathBuf> {
    let name = format!("{DLL_PREFIX}plimsoll_nvml_stand_in{DLL_SUFFIX}");
    let executable = env::current_exe()?;
    let beside = executable.ancestors().skip(1).take(2);
    beside
        .flat_map(|folder| [folder.join(&name), folder.join("deps").join(&name)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let place = executable.display();
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no {name} beside {place}: make plimsoll-nvml-stand-in a dev-dependency"),
            )
        })
}

/// Spoils the name of a function wherever it stands as a whole string in `library`. A lookup goes by
/// the hash of the name that is asked for, and then compares names: it finds nothing.
fn forget(library: &mut [u8], name: &str) -> io::Result<()> {
    let whole = [b"\0", name.as_bytes(), b"\0"].concat();
    let mut found = false;
    let mut from = 0;
    while let Some(place) = library[from..].windows(whole.len()).position(|bytes| bytes == whole) {
        // The byte behind the leading zero: the name's first.
        library[from + place + 1] = b'~';
        from += place + 1;
        found = true;
    }
    let unknown = || io::Error::other(format!("the stand-in has no function {name} to lose"));
    found.then_some(()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_spoilt() {
        let mut library = *b"..\0getPower\0getPower_v2\0forgetPower\0getPower\0";
        forget(&mut library, "getPower").unwrap();
        assert_eq!(&library, b"..\0~etPower\0getPower_v2\0forgetPower\0~etPower\0");
        assert!(forget(&mut library, "getPower").is_err(), "nothing is left to spoil");
    }
}
