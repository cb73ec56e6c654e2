//! Where the library lies.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;
use std::{env, io};

/// The path of the library, which was built with the tests' own dependencies.
///
/// # Errors
/// When it was not built beside the running executable.
pub fn library() -> io::Result<PathBuf> {
    let name = format!("{DLL_PREFIX}plimsoll_stepped_clock{DLL_SUFFIX}");
    let executable = env::current_exe()?;
    let beside = executable.ancestors().skip(1).take(2);
    beside
        .flat_map(|folder| [folder.join(&name), folder.join("deps").join(&name)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let place = executable.display();
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no {name} beside {place}: make plimsoll-stepped-clock a dev-dependency"),
            )
        })
}
