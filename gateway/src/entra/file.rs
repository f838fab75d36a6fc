//! Files that the gateway reads: there as a whole or not at all, and the gateway's.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use super::{Class, Trouble};

/// Writes a file so that it is there as a whole or not at all, and on the disk. Owner and mode
/// are those of `like`, if that is there, and else those of its folder and `mode`: whoever runs
/// the command need not be who runs the gateway.
pub(super) fn write_whole(
    file: &Path,
    bytes: &[u8],
    mode: u32,
    like: &Path,
) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| kept_not(file, &error);
    let folder = folder_of(file);
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // A part of an interrupted run may have another mode.
    let _ = fs::remove_file(&part);
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part)
        .map_err(failed)?;
    let there = fs::metadata(like).ok();
    let owner = match &there {
        Some(there) => there.clone(),
        None => fs::metadata(&folder).map_err(failed)?,
    };
    let ours = out.metadata().map_err(failed)?;
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        let given = chown(&part, Some(owner.uid()), Some(owner.gid()));
        if given.is_err() && ours.uid() != owner.uid() {
            let _ = fs::remove_file(&part);
            let what = format!(
                "{} is another user's, who could not read it then",
                like.display()
            );
            let fix = "run this as the user of the gateway, or as root";
            return Err(Trouble::new("V-ENT-008", Class::Refused, what, fix));
        }
    }
    if let Some(there) = there {
        let mode = fs::Permissions::from_mode(there.mode() & 0o666);
        fs::set_permissions(&part, mode).map_err(failed)?;
    }
    out.write_all(bytes).map_err(failed)?;
    out.sync_all().map_err(failed)?;
    fs::rename(&part, file)
        .and_then(|()| sync_folder(file))
        .map_err(failed)
}

/// Puts what became of names in a file's folder on the disk.
pub(super) fn sync_folder(file: &Path) -> std::io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// What is told when a file cannot be written.
pub(super) fn kept_not(file: &Path, error: &std::io::Error) -> Trouble {
    let what = format!("{} cannot be written: {error}", file.display());
    let fix = "make room, or make the folder writable for this user; then run it again";
    Trouble::new("V-ENT-008", Class::Unexpected, what, fix)
}
